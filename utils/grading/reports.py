"""Marks of a file, criterion by criterion, as text."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from utils.grading.criteria import Criterion, Task
from utils.grading.running import SECONDS, outcome


@dataclass(frozen=True)
class Mark:
    """A criterion, and None or the first example that fails."""

    criterion: Criterion
    failed: str | None

    @property
    def marks(self) -> int:
        return 0 if self.failed else self.criterion.marks


def grade(task: Task, file: Path, seconds: float = SECONDS) -> list[Mark]:
    """Marks of a file (.py, or .ipynb: its cells tagged ``task:NAME``), a criterion each.

    Raises ValueError where the file is missing or holds nothing for the task.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = _script(task, file, Path(folder))
        rows = tqdm(task.criteria, desc=task.name, leave=False, disable=None)
        return [Mark(c, outcome(task, i, script, seconds)) for i, c in enumerate(rows)]


def _script(task: Task, file: Path, folder: Path) -> Path:
    if not file.is_file():
        raise ValueError(f"there is no file {file}.")
    if file.suffix != ".ipynb":
        return file.resolve()
    script = folder / f"{file.stem}.py"
    script.write_text(cells_of(task.name, file), "utf-8")
    return script


def cells_of(name: str, notebook: Path) -> str:
    """The code of a notebook's cells with the tag ``task:NAME``, one after another.

    Raises ValueError where there are none, or the file is no notebook.
    """
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{notebook.name} is not a notebook.") from error
    wanted = f"task:{name}"
    chosen = [c for c in cells if wanted in c.get("metadata", {}).get("tags", [])]
    if not chosen:
        raise ValueError(f"{notebook.name} has no cell with the tag {wanted}.")
    return "\n\n\n".join("".join(cell["source"]) for cell in chosen) + "\n"


def text(task: Task, marks: Sequence[Mark]) -> str:
    """The report: a line a criterion, the first failing example below it, and the sum."""
    lines = [f"{task.name}: {task.asks}"]
    for mark in marks:
        sign = "✗" if mark.failed else "✓"
        lines.append(f"{sign} {mark.marks}/{mark.criterion.marks}  {mark.criterion.what}")
        lines += [f"       {mark.failed}"] if mark.failed else []
    return "\n".join([*lines, f"{sum(m.marks for m in marks)} of {task.marks} marks"])
