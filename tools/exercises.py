"""Exercises from solutions: one source, two notebooks.

In a committed notebook an exercise is a code cell tagged ``solution`` (executed, folded) and after
it a cell tagged ``check``. ``make exercises`` writes the student's copy to ``build/exercises/``:
the same notebook with a stub in place of each solution and no outputs. The tests prove that every
solution passes its check and every stub fails it.
"""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from tools import notebooks
from utils.paths import ROOT

HERE = "# Write your code here."


@dataclass(frozen=True)
class Exercise:
    """A solution cell and its check; ``number`` counts code cells from 1, as Jupyter does."""

    solution: NotebookNode
    check: NotebookNode
    number: int


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """The exercises of a notebook. Raises ValueError for a solution without a check after it."""
    cells = notebooks.code_cells(notebook)
    found = []
    for number, cell in enumerate(cells, 1):
        if "solution" in notebooks.tags(cell):
            if number == len(cells) or "check" not in notebooks.tags(cells[number]):
                raise ValueError(f"the solution in cell [{number}] has no check cell after it.")
            found.append(Exercise(cell, cells[number], number))
    return found


def stub(solution: str) -> str:
    """What the student starts from: names and signatures stay, everything else is theirs to write.

    Functions and classes keep signature and docstring; variables become ``...``; imports stay.
    """
    kept = [HERE]
    for node in ast.parse(solution).body:
        kept += _stub_of(node)
    return "\n".join(kept)


def _stub_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [ast.unparse(node)]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return ["", ast.unparse(_emptied(node))]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        return [f"{name} = ..." for name in names]
    return []


def _emptied(node: ast.FunctionDef | ast.ClassDef) -> ast.stmt:
    """The same definition with its docstring and ``...`` for a body; a class keeps its methods."""
    body: list[ast.stmt] = [node.body[0]] if ast.get_docstring(node) else []
    if isinstance(node, ast.ClassDef):
        body += [_emptied(part) for part in node.body if isinstance(part, ast.FunctionDef)]
    node.body = [*body, ast.Expr(ast.Constant(...))]
    return node


def student_copy(notebook: NotebookNode) -> NotebookNode:
    """The notebook as a student gets it: stubs for solutions, unfolded, nothing executed."""
    for exercise in exercises(notebook):
        exercise.solution.source = stub(exercise.solution.source)
        exercise.solution.metadata.pop("jupyter", None)
        exercise.solution.metadata.pop("cellView", None)
    for cell in notebooks.code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    return notebook


def main(target: Path = ROOT / "build" / "exercises") -> None:
    """Write the student's copy of every notebook that has exercises."""
    for path in notebooks.find():
        notebook = notebooks.read(path)
        if exercises(notebook):
            notebooks.write(target / notebooks.name_of(path), student_copy(notebook))
            print(target.relative_to(ROOT) / notebooks.name_of(path))


if __name__ == "__main__":
    sys.exit(main())
