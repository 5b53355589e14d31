"""Shows what each change makes of a plate; --help tells more."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the course, from any folder

from OptimisationNN.plates import commands

if __name__ == "__main__":
    sys.exit(commands.run(commands.augment))
