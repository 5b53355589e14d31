"""Theory questions, and the sections of the course that answer each with a measurement.

``medium/questions.toml`` lists them, ``medium/README.md`` shows them, and ``make reproduce
ID=theory-demonstrations`` counts those whose section exists and has a claim in it.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools import notebooks
from utils.paths import ROOT

LIST = ROOT / "medium" / "questions.toml"


@dataclass(frozen=True)
class Question:
    """A question, and the notebook and the heading where it is answered."""

    number: str
    asks: str
    notebook: str
    section: str


def read(path: Path = LIST) -> list[Question]:
    """All questions in their order."""
    return [Question(**fields) for fields in tomllib.loads(path.read_text("utf-8"))["question"]]


def is_measured(question: Question) -> bool:
    """Whether the notebook has a section of this heading, and a claim stands in it."""
    path = ROOT / question.notebook
    return path.is_file() and any("claim(" in code for code in _codes(path, question.section))


def _codes(path: Path, section: str) -> Iterator[str]:
    """Sources of the code cells between a heading and the next one."""
    inside = False
    for cell in notebooks.read(path).cells:
        if cell.cell_type == "markdown":
            headings = [line for line in cell.source.splitlines() if line.startswith("#")]
            inside = headings[-1].lstrip("# ") == section if headings else inside
        elif inside:
            yield cell.source


def measured_share(seed: int, profile: str) -> dict[str, float]:
    """The ledger's metric of theory-demonstrations; nothing in it is random."""
    found = [is_measured(question) for question in read()]
    return {"questions_with_demonstration_share": sum(found) / len(found)}


def table() -> str:
    """The questions as a Markdown table with links to the sections."""
    rows = [f"| {q.number} | {q.asks} | [{q.section}]({_link(q)}) |" for q in read()]
    return "\n".join(["| | question | measured in |", "|---|---|---|", *rows])


def _link(question: Question) -> str:
    """Address of a section from medium/README.md, as Jupyter makes its anchors."""
    anchor = question.section.replace(" ", "-").replace("?", "%3F")
    return f"/{question.notebook}#{anchor}"
