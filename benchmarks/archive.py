"""``python -m benchmarks.archive``: seconds of every notebook, compared with its stored outputs.

The checker of the tests runs each in a kernel of its own on one thread, as many side by side as
there are ``--workers``. Only notebooks whose every output was the stored one get a time. A notebook
may take a minute, the one that holds a whole course five.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from tools import notebooks
from utils.paths import ROOT

PATH = ROOT / "build" / "bench" / "archive.json"
BUDGET, BUDGET_OF_ALL_LESSONS = 60, 300  # seconds


def budget(name: str) -> int:
    """Seconds that the notebook of this name may take."""
    of_all = notebooks.name_of(notebooks.CONSOLIDATED)
    return BUDGET_OF_ALL_LESSONS if name == of_all else BUDGET


def measure(paths: list[Path], workers: int, place: Path) -> dict[str, float]:
    """Seconds by notebook, also written to ``place`` with the day."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-n", str(workers)]
    names = [str(path) for path in paths]
    environment = {**os.environ, "NN_COURSE_TIMES": str(place)}
    subprocess.run([*command, "--dist", "loadscope", *names], cwd=ROOT, env=environment)
    return json.loads(place.read_text("utf-8"))["seconds"]


def slowest(seconds: dict[str, float], count: int = 10) -> str:
    """The notebooks that take longest, with what they may take."""
    ordered = sorted(seconds, key=seconds.__getitem__, reverse=True)[:count]
    return "\n".join(f"{seconds[name]:7.1f} of {budget(name)} s  {name}" for name in ordered)


def main(arguments: list[str] | None = None) -> int:
    """Measure all notebooks; 1 if one is missing or over its budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, default=PATH)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    paths = notebooks.find()
    seconds = measure(paths, given.workers, given.path.resolve())
    print(slowest(seconds))
    print(f"{len(seconds)} of {len(paths)} notebooks verified, {sum(seconds.values()):.0f} s")
    over = [name for name, spent in seconds.items() if spent > budget(name)]
    return int(bool(over) or len(seconds) < len(paths))


if __name__ == "__main__":
    sys.exit(main())
