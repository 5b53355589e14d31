"""python -m utils.grading TASK FILE: marks for a student's file; without arguments, all tasks.

Exit status: 0 for full marks, 1 for fewer, 2 for a task or file that is not there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.grading.reports import grade, text
from utils.grading.running import SECONDS
from utils.grading.tasks import TASKS


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.grading", description=__doc__)
    parser.add_argument("task", nargs="?", metavar="TASK")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a criterion")
    given = parser.parse_args(arguments)
    if given.task is None:
        print(
            "\n".join(
                f"{name:22} {task.marks:3} marks  {task.asks}" for name, task in TASKS.items()
            )
        )
        return 0
    if given.task not in TASKS or given.file is None:
        print(f"give one of {', '.join(TASKS)} and a file.", file=sys.stderr)
        return 2
    try:
        marks = grade(TASKS[given.task], given.file, given.seconds)
    except ValueError as reason:
        print(reason, file=sys.stderr)
        return 2
    print(text(TASKS[given.task], marks))
    return int(any(mark.failed for mark in marks))


if __name__ == "__main__":
    sys.exit(main())
