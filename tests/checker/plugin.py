"""A pytest plugin over nbval: every code cell in order, every output compared, one rule.

nbval runs the kernels. Four of its methods are replaced, because its own ``super()`` calls name
the class and a subclass would recurse: how cells are collected (numbered as Jupyter shows them),
how outputs are compared, how a failure is told, and how a reply is awaited (so that a dead kernel
is found at once). After the first failure of a notebook the rest of it is skipped.
"""

import datetime
import os
import queue
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbval import kernel as nbval_kernel
from nbval import plugin as nbval_plugin

from benchmarks.timing import store
from tests.checker.compare import why_outputs_differ
from tools.exercises import Exercise, exercises, stub
from tools.notebooks import ANSI, headings, tags
from tools.run import ENVIRONMENT, fetch_all
from utils.datasets import STAND_IN

NBVAL_SECONDS = 2000  # nbval's default for one cell
CELL_SECONDS = 300  # more than a whole notebook's budget: a cell that hangs, not a slow machine
OUTPUT_SECONDS = 60  # nbval's fixed 5 s for the outputs is too short on a loaded machine


class Broken(Exception):
    """A notebook cell that must not pass; the message says why."""


# --- collecting --------------------------------------------------------------------------------


def collect(self: nbval_plugin.IPyNbFile) -> Iterator[pytest.Item]:
    """One item for each code cell, numbered as Jupyter does, then one for each exercise's stub."""
    self.nb = nbformat.read(self.path, as_version=4)
    self.failed_at, self.on_stand_in = None, False
    titles, number = headings(self.nb), 0
    for position, cell in enumerate(self.nb.cells):
        if cell.cell_type == "code":
            number += 1
            options = defaultdict(bool, check=True)
            options["check_exception"] = "raises-exception" in tags(cell)
            item = nbval_plugin.IPyNbCell.from_parent(
                self, name=f"[{number}]", cell_num=number, cell=cell, options=options
            )
            item.title, item.output_timeout = titles[position], OUTPUT_SECONDS
            yield item
    for exercise in exercises(self.nb):
        name = f"[{exercise.number}] stub"
        yield Stub.from_parent(self, name=name, exercise=exercise)


class Stub(pytest.Item):
    """The stub of an exercise, run after the notebook in its kernel: the check must refuse it."""

    def __init__(self, *, exercise: Exercise, **kwargs) -> None:
        super().__init__(**kwargs)
        self.exercise = exercise

    def runtest(self) -> None:
        kernel = self.parent.kernel
        if error := _error_of(kernel, stub(self.exercise.solution.source)):
            raise Broken(
                f"The stub of the exercise in cell [{self.exercise.number}] raises {error}."
            )
        if not _error_of(kernel, self.exercise.check.source):
            raise Broken(
                f"{self._where()}\n  The check cell [{self.exercise.number + 1}] accepts the empty "
                "stub: a student who wrote nothing would pass."
            )

    def _where(self) -> str:
        return f"{_notebook(self)}, exercise in cell [{self.exercise.number}]"

    def repr_failure(self, excinfo, style=None) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{_notebook(self)} {self.name}"


def _error_of(kernel, source: str) -> str | None:
    """Run source in the kernel; the error it raised, or None."""
    message = kernel.execute_cell_input(source, allow_stdin=False)
    kernel.await_reply(message, timeout=CELL_SECONDS)
    error = None
    while True:
        reply = kernel.get_message("iopub", timeout=OUTPUT_SECONDS)
        if reply["parent_header"].get("msg_id") != message:
            continue
        if reply["msg_type"] == "error":
            error = f"{reply['content']['ename']}: {reply['content']['evalue']}"
        if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            return error


# --- running -----------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not isinstance(item.parent, nbval_plugin.IPyNbFile):
        return
    if item.parent.failed_at is not None:
        pytest.skip(f"this notebook failed in cell {item.parent.failed_at}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    if isinstance(item, nbval_plugin.IPyNbCell) and (why := why_not_stored_well(item)):
        raise Broken(why)


def why_not_stored_well(item: nbval_plugin.IPyNbCell) -> str | None:
    """None when the stored cell was run in order and without complaint, else the reason."""
    cell, count = item.cell, item.cell.execution_count
    if count is None:
        return "This cell was never run: execute the notebook and store its outputs."
    if count != item.cell_num:
        return f"It was run out of order: Jupyter shows [{count}], in order it is {item.name}."
    if _has(cell.outputs, "error") and "raises-exception" not in tags(cell):
        return "An error is stored as its output."
    if any(o.get("name") == "stderr" for o in cell.outputs):
        return "A warning or other text on stderr is stored as its output: mend its cause."
    if any(STAND_IN in o.get("text", "") for o in cell.outputs):
        return "Its outputs were stored on stand-in data: execute it where the real data is."
    return None


def _has(outputs: list, kind: str) -> bool:
    return any(output.output_type == kind for output in outputs)


def compare_outputs(self: nbval_plugin.IPyNbCell, test, ref, skip_compare=None) -> bool:
    """Compare unless this notebook has said that it runs on stand-in data."""
    notebook = self.parent
    if any(STAND_IN in str(output.get("text", "")) for output in test):
        notebook.on_stand_in = True
        self.user_properties.append(("stand_in", _notebook(self)))
    self.comparison_traceback = []
    if notebook.on_stand_in:
        return True
    if why := why_outputs_differ(ref, test, tags(self.cell)):
        self.comparison_traceback = [why]
    return not self.comparison_traceback


def await_reply(
    self: nbval_kernel.RunningKernel, msg_id: str, timeout: float | None = None
) -> None:
    """As nbval's, but a kernel that died is found within two seconds, not at the time-out."""
    end = time.monotonic() + (timeout or OUTPUT_SECONDS)
    while time.monotonic() < end:
        try:
            return _await_reply(self, msg_id, timeout=2)
        except queue.Empty:
            if not self.is_alive():
                raise Broken("The kernel died: out of memory, or killed.") from None
    raise queue.Empty


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    failed = call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception)
    if isinstance(item, nbval_plugin.IPyNbCell) and failed and item.parent.failed_at is None:
        item.parent.failed_at = item.name
    return (yield)


# --- telling -----------------------------------------------------------------------------------


def repr_failure(self: nbval_plugin.IPyNbCell, excinfo, style=None) -> str:
    """A failure that a student could read: where, what changed, the cell, and what to do."""
    error = excinfo.value
    if not isinstance(error, nbval_plugin.NbCellError):
        return _report(self, str(error) or repr(error))
    trace = ANSI.sub("", error.inner_traceback or "").strip()
    if str(error).startswith("Cell outputs differ"):
        return _report(self, f"The output is not the stored one: {trace}")
    last = "\n".join(trace.splitlines()[-12:])
    return _report(self, f"{error}\n{last}".strip())


def _report(item: nbval_plugin.IPyNbCell, why: str) -> str:
    under = f", under “{item.title}”" if item.title else ""
    parts = (
        f"{_notebook(item)}, cell {item.name}{under}",
        textwrap.indent(why, "  "),
        "  The cell:",
        textwrap.indent(item.cell.source, "    | "),
        f"  If the change is meant, store it: make store NOTEBOOK={_notebook(item)}",
    )
    return "\n".join(parts)


def _notebook(item: pytest.Item) -> str:
    return os.path.relpath(item.path, item.config.rootpath)


def reportinfo(self: nbval_plugin.IPyNbCell) -> tuple[Path, int, str]:
    return self.path, 0, f"{_notebook(self)} {self.name}"


def pytest_configure(config: pytest.Config) -> None:
    """In the first process: fetch the data once, so that no worker waits for a dead network."""
    config.option.nbval_current_env = True  # the kernel of this environment, whatever is installed
    if config.option.nbval_cell_timeout == NBVAL_SECONDS:
        config.option.nbval_cell_timeout = CELL_SECONDS
    if config.option.nbval and not hasattr(config, "workerinput"):
        config.course_data = fetch_all()


def pytest_report_header(config: pytest.Config) -> list[str]:
    words = getattr(config, "course_data", None)
    return [f"Course data: {words}"] if words else []


def pytest_terminal_summary(terminalreporter) -> None:
    """Name the notebooks that ran on stand-in data, and the seconds of each notebook.

    ``$NN_COURSE_TIMES`` names a file that gets the seconds of those whose every output was compared
    and is the stored one, as JSON with the day.
    """
    stand_ins, failed, seconds = set(), set(), defaultdict(float)
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            name = getattr(report, "nodeid", "").split("::")[0]
            if name.endswith(".ipynb"):
                seconds[name] += getattr(report, "duration", 0)
                failed |= {name} if outcome in ("failed", "error") else set()
                told = getattr(report, "user_properties", ())
                stand_ins |= {value for key, value in told if key == "stand_in"}
    if seconds:
        terminalreporter.section("notebooks: seconds on one core")
        for name, spent in sorted(seconds.items(), key=lambda pair: -pair[1]):
            terminalreporter.line(f"{spent:7.1f}  {name}")
    if stand_ins:
        terminalreporter.line(f"not compared, on stand-in data: {', '.join(sorted(stand_ins))}")
    if place := os.environ.get("NN_COURSE_TIMES"):
        write_times(Path(place), {n: s for n, s in seconds.items() if n not in failed | stand_ins})


def write_times(path: Path, seconds: dict[str, float]) -> None:
    """The seconds of the notebooks that were verified, and the day."""
    sorted_seconds = {name: round(seconds[name], 1) for name in sorted(seconds)}
    store(path, {"date": datetime.date.today().isoformat(), "seconds": sorted_seconds})


os.environ.update(ENVIRONMENT | os.environ)  # kernels inherit it
_await_reply = nbval_kernel.RunningKernel.await_reply
nbval_kernel.RunningKernel.await_reply = await_reply
nbval_plugin.IPyNbFile.collect = collect
nbval_plugin.IPyNbCell.compare_outputs = compare_outputs
nbval_plugin.IPyNbCell.repr_failure = repr_failure
nbval_plugin.IPyNbCell.reportinfo = reportinfo
