"""``make format``: bring everything that has one right form into it.

Notebooks are normalised (setup cell, badge, metadata, ids, pictures), code in modules and notebooks
is formatted by ruff, and the generated parts of the README pages are written anew.
"""

import subprocess
import sys

from tools import notebooks, readme
from utils.paths import ROOT


def main() -> int:
    """Format; the exit code is ruff's when it finds what it cannot mend."""
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "format", "-q", "."], cwd=ROOT, check=True)
    found = subprocess.run([*ruff, "check", "-q", "--fix", "."], cwd=ROOT).returncode
    for path in notebooks.find():
        notebooks.write(path, notebooks.normalise(notebooks.read(path), path))
    readme.main()
    return found


if __name__ == "__main__":
    sys.exit(main())
