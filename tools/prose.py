"""The orphan-number check: a number in prose that looks like a result must come from somewhere.

In a notebook's markdown every decimal number and every percentage must be printed in an output of
that notebook, or stand in a result file or the ledger; rounding is allowed (98.3 % for 0.98312).
Numbers in ``code spans`` are parameters: they must occur in the code or in an output. Formulas,
link targets, the line of time and data in the head, and References are left out.
"""

import json
import re
from collections.abc import Iterable
from functools import cache

from nbformat import NotebookNode

from tools import notebooks
from tools.notebooks import ANSI, MEASURED
from utils import results
from utils.paths import RESULTS

NOT_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|(?<=\])\([^)\s]*\)|<[^>]+>|https?://\S+|^\*Time:.*?\*$",
    flags=re.DOTALL | re.MULTILINE,
)
CODE_SPAN = re.compile(r"`[^`\n]+`")
PROSE_NUMBER = re.compile(r"(?<![\w.])(\d+(?:,\d{3})*\.\d+|\d+(?=\s?%))(\s?%)?(?![\w]|\.\d)")
ANY_NUMBER = re.compile(r"\d+(?:[_,]\d{3})*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?")


def orphans(notebook: NotebookNode, name: str) -> list[tuple[str, str]]:
    """Numbers of the notebook called ``name`` without a source, as (heading, number)."""
    printed, code = numbers_printed(notebook), numbers_in_code(notebook)
    known = [*printed, *recorded_numbers(name)]
    titles = notebooks.headings(notebook)
    found = []
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and titles[position] != "References":
            lost = orphans_in(cell.source, known, [*printed, *code])
            found += [(titles[position], number) for number in lost]
    return found


def orphans_in(text: str, known: Iterable[float], parameters: Iterable[float] = ()) -> list[str]:
    """Numbers of a text that stand neither in ``known`` nor, as code, in ``parameters``."""
    text = NOT_PROSE.sub(" ", text)
    spans = " ".join(CODE_SPAN.findall(text))
    prose = CODE_SPAN.sub(" ", text)
    lost = [m for m in PROSE_NUMBER.finditer(prose) if not _stands_in(m, known)]
    lost += [m for m in PROSE_NUMBER.finditer(spans) if not _stands_in(m, parameters)]
    return [match.group().strip() for match in lost]


def _stands_in(match: re.Match, known: Iterable[float]) -> bool:
    """Is the written number one of the known ones, rounded to the digits written?"""
    written, percent = match.group(1).replace(",", ""), bool(match.group(2))
    half = 0.5000001 * 10.0 ** -len(written.partition(".")[2])
    scales = (1, 100) if percent else (1,)
    return any(abs(abs(k) * s - float(written)) <= half for k in known for s in scales)


def numbers_printed(notebook: NotebookNode) -> list[float]:
    """All numbers in the text outputs of a notebook, ``(measured …)`` brackets left out."""
    outputs = [o for cell in notebooks.code_cells(notebook) for o in cell.outputs]
    texts = [o.get("text", "") for o in outputs]
    for output in outputs:
        texts += [str(v) for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return _numbers(MEASURED.sub("", ANSI.sub("", "\n".join(texts))))


def numbers_in_code(notebook: NotebookNode) -> list[float]:
    return _numbers("\n".join(cell.source for cell in notebooks.code_cells(notebook)))


def _numbers(text: str) -> list[float]:
    return [float(n.replace(",", "").replace("_", "")) for n in ANY_NUMBER.findall(text)]


@cache
def recorded_numbers(notebook: str | None = None) -> tuple[float, ...]:
    """Metrics in the result files, and the ledger's numbers for one notebook (None: for all)."""
    rows = [c for c in results.ledger() if notebook in (None, c.notebook)]
    found = [n for c in rows for n in (c.claimed, c.honest) if not isinstance(n, str)]
    found += [n for c in rows for n in _numbers(f"{c.where} {c.why}")]
    for path in sorted(RESULTS.glob("*.json")):
        found += _leaves(json.loads(path.read_text("utf-8"))["metrics"])
    return tuple(found)


def _leaves(tree) -> list[float]:
    """All numbers in nested lists and dictionaries."""
    if isinstance(tree, dict | list):
        parts = tree.values() if isinstance(tree, dict) else tree
        return [leaf for part in parts for leaf in _leaves(part)]
    return [float(tree)] if isinstance(tree, int | float) else []
