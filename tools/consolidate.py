"""``make consolidate``: all lessons of PythonMLCourse in one notebook that runs from top to bottom.

Only the lessons are edited. A chapter is a lesson without its setup cell and its badge, with its
headings one level lower; a test proves that the committed notebook is what this module builds.
"""

import os
import re
import sys
from functools import cache
from pathlib import Path

from nbformat import NotebookNode, v4

from tools import notebooks, run
from tools.notebooks import CONSOLIDATED

FOLDER = CONSOLIDATED.parent

HEAD = """\
# Python and machine learning: the whole course in one notebook

{badge}

Every lesson of the course as a chapter, to read and to search from end to end. It is generated \
from the lessons by `make consolidate`; to work on one of them, open it by itself in the list below.

**Headline:** {cells} code cells of {lessons} lessons run in one kernel, in the order of the page.

**You will learn**

- to decide under uncertainty: neighbours, regression, kernels and trees, beside scikit-learn
- to prepare tables, and to judge a classifier without fooling yourself
- to build, count and train networks for images, and to judge detectors

*Time: 5 minutes. Data: that of the lessons. Before: nothing.*

{contents}"""


def lessons() -> list[Path]:
    """The lessons of both parts: seminars in their order, then the part's competitions."""
    found = [p for p in notebooks.find() if p.is_relative_to(FOLDER) and p != CONSOLIDATED]
    return sorted(found, key=lambda p: (p.parts[-3], p.parts[-2].startswith("Comp"), p.parts[-2:]))


@cache
def title(path: Path) -> str:
    """A lesson's title with its part: ``Part 2. Seminar 1: images are arrays``."""
    own = re.match(r"# (.+)", notebooks.read(path).cells[0].source)[1]
    return f"Part {path.parts[-3][-1]}. {own}"


def chapter(path: Path) -> list[NotebookNode]:
    """The cells of a lesson as they stand in the course, not yet executed."""
    cells = [c for c in notebooks.read(path).cells if c.source != notebooks.bootstrap()]
    head = cells[0].source.replace(notebooks.badge(path) + "\n\n", "")
    cells[0].source = re.sub(r"\A# .+", f"# {title(path)}", head)
    return [_fresh(cell, path.parent) for cell in cells]


def _fresh(cell: NotebookNode, folder: Path) -> NotebookNode:
    """The same cell without id and outputs; headings sink by one level, and links still lead."""
    if cell.cell_type == "code":
        return v4.new_code_cell(cell.source, metadata=cell.metadata)
    lower = re.sub(r"^(?=#+ )", "#", cell.source, flags=re.MULTILINE)
    return v4.new_markdown_cell(moved_links(lower, folder), metadata=cell.metadata)


def moved_links(text: str, folder: Path) -> str:
    """Text whose links to notebooks, written from ``folder``, lead to them from ``FOLDER``."""

    def moved(link: re.Match) -> str:
        return f"]({Path(os.path.relpath(folder / link[1], FOLDER)).as_posix()})"

    return re.sub(r"\]\(([^):\s]+\.ipynb)\)", moved, text)


def build() -> NotebookNode:
    """The notebook of all chapters, not yet executed."""
    chapters = [cell for path in lessons() for cell in chapter(path)]
    cells = [v4.new_code_cell(notebooks.bootstrap()), *chapters]
    links = [f"1. [{title(path)}]({path.relative_to(FOLDER).as_posix()})" for path in lessons()]
    head = HEAD.format(
        badge=notebooks.badge(CONSOLIDATED),
        cells=sum(cell.cell_type == "code" for cell in cells),
        lessons=len(lessons()),
        contents="\n".join(links),
    )
    return v4.new_notebook(cells=[v4.new_markdown_cell(head), *cells])


def measure(seed: int, profile: str) -> dict[str, float]:
    """Share of the code cells that a fresh run executes in their order (ledger row 99).

    Raises nbclient's CellExecutionError at the first cell that raises.
    """
    cells = notebooks.code_cells(run.execute(CONSOLIDATED))
    in_order = [cell.execution_count == number for number, cell in enumerate(cells, 1)]
    return {"cells_executed_in_order_share": sum(in_order) / len(cells)}


def main() -> int:
    """Build the notebook anew, execute it and keep its outputs."""
    notebooks.write(CONSOLIDATED, build())
    return run.main(["--store", str(CONSOLIDATED)])


if __name__ == "__main__":
    sys.exit(main())
