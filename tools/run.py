"""Execute notebooks headless: ``make notebooks`` (all, with a table) and ``make store`` (keep one).

Every notebook runs in a kernel of its own, in its own folder, on one BLAS thread, as in the tests.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

from tools import notebooks
from utils import data
from utils.paths import ROOT

# What a kernel gets unless the caller's environment says otherwise: one BLAS thread (two spin
# against each other on a shared core), sets that print in the same order every time, and a C
# library (glibc) that keeps the memory of large arrays for the next ones: a tenth less time.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**28),
}


@dataclass(frozen=True)
class Outcome:
    """One row of the table; ``error`` is empty when the notebook ran to its end."""

    notebook: str
    seconds: float
    checked: int
    unchecked: int
    error: str


def fetch_all() -> str:
    """Fetch the notebooks' data once before kernels start; say in a sentence what they run on.

    Where there is no network, forbids it to the kernels, so that none waits for time-outs.
    """
    try:
        for name, entry in data.catalogue().items():
            if not entry.on_demand:
                data.fetch(name)
    except data.Unavailable as reason:
        os.environ["NN_COURSE_OFFLINE"] = "1"
        return f"{reason} Notebooks on stand-in data are run, but not compared."
    except data.DataError as reason:
        return str(reason)
    return "the real data is at hand."


def execute(path: Path, **environment: str) -> NotebookNode:
    """Run a notebook from its first cell to its last and return it with fresh outputs.

    Raises nbclient's CellExecutionError at the first cell that raises.
    """
    notebook = notebooks.read(path)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        skip_cells_with_tag="never",  # no tag skips a cell: every one runs
    )
    quiet = subprocess.DEVNULL  # the kernel's own log; what cells print is captured
    return client.execute(env={**ENVIRONMENT, **os.environ, **environment}, stderr=quiet)


def outcome(path: Path) -> tuple[Outcome, NotebookNode | None]:
    """Execute one notebook; measure it and count its claims."""
    start, notebook, error = time.perf_counter(), None, ""
    try:
        notebook = execute(path)
    except (CellExecutionError, DeadKernelError) as failure:
        error = str(failure).strip().splitlines()[-1]
    seconds = time.perf_counter() - start
    cells = notebooks.code_cells(notebook) if notebook else []
    printed = "".join(o.get("text", "") for cell in cells for o in cell.outputs)
    checked = len(re.findall(r"^✓ ", printed, flags=re.MULTILINE))
    unchecked = len(re.findall(r"^– .*\(not checked", printed, flags=re.MULTILINE))
    return Outcome(notebooks.name_of(path), seconds, checked, unchecked, error), notebook


def table(outcomes: list[Outcome]) -> str:
    """The table of a run: notebook, seconds, claims checked, and what went wrong."""
    width = max(len(o.notebook) for o in outcomes)
    lines = [f"{'notebook':{width}}  seconds  claims"]
    for o in outcomes:
        claims = f"{o.checked} checked" + (f", {o.unchecked} on stand-in" if o.unchecked else "")
        lines.append(f"{o.notebook:{width}}  {o.seconds:7.1f}  {o.error or claims}")
    failed = sum(bool(o.error) for o in outcomes)
    total = sum(o.seconds for o in outcomes)
    lines.append(f"{len(outcomes)} notebooks, {failed} failed, {total:.0f} s")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the named notebooks, or all; with --store, keep their normalised outputs."""
    parser = argparse.ArgumentParser(prog="python -m tools.run", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (default: all)")
    parser.add_argument("--store", action="store_true", help="write the outputs into the files")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.paths] or notebooks.find()
    if not paths:
        print("There are no notebooks to run.")
        return 1
    print(f"Course data: {fetch_all()}")
    outcomes = []
    for path in tqdm(paths, desc="notebooks", disable=not sys.stderr.isatty()):
        result, notebook = outcome(path)
        outcomes.append(result)
        if notebook is not None:
            target = path if options.store else ROOT / "build/notebooks" / notebooks.name_of(path)
            notebooks.write(target, notebooks.normalise(notebook, path))
    print(table(outcomes))
    return int(any(o.error for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
