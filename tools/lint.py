"""The limits of a notebook: form, length, outputs and tags, each a small rule with a name.

A rule is a function (notebook, path) → reasons. Exceptions are named one by one in EXCEPTIONS.
"""

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from nbformat import NotebookNode

from tools import notebooks, prose
from tools.exercises import exercises
from tools.notebooks import code_cells, tags
from utils.datasets import STAND_IN
from utils.paths import ROOT
from utils.results import ledger

MAX_LINES, MAX_MEDIAN, MAX_BYTES = 30, 8, 600_000
SECTIONS = ("Exercises", "Recap", "References")
PLAIN_TAGS = ("solution", "check", "trained", "raises-exception")
TOLERANCE_TAG = re.compile(r"^(rtol|atol|rms):\d")
TASK_TAG = re.compile(r"^task:PART\d-S\d\d-[A-Z0-9-]+$")  # what utils.grading marks
NOISE = {
    "a memory address": re.compile(r"\b0x[0-9a-f]{6,}"),
    "a timing": re.compile(r"Wall time|CPU times|\d ?(ns|µs|ms|s) ± "),
    "a progress bar": re.compile(r"\d+%\|"),
    "a NumPy scalar (print it with a format)": re.compile(r"\bnp\.(float|int|str|bool)\w*\("),
}

# (notebook, rule name): reason. A notebook that must break a limit is named here, with why.
_ALL_LESSONS = notebooks.name_of(notebooks.CONSOLIDATED)
EXCEPTIONS: dict[tuple[str, str], str] = {
    (_ALL_LESSONS, "setup"): "every chapter keeps the imports of its lesson",
    (_ALL_LESSONS, "sections"): "every chapter has its own",
    (_ALL_LESSONS, "practice"): "every chapter has its own exercises",
    (_ALL_LESSONS, "lengths"): "all lessons of the course in one file; each is measured alone",
    (_ALL_LESSONS, "orphan_numbers"): "its prose is checked in the lessons, by their ledger rows",
}

Rule = Callable[[NotebookNode, Path], Iterator[str]]


def faults(path: Path, notebook: NotebookNode | None = None) -> list[str]:
    """Every broken limit of one notebook, as ``rule: reason``."""
    notebook = notebook if notebook is not None else notebooks.read(path)
    found = []
    for rule in RULES:
        if (notebooks.name_of(path), rule.__name__) not in EXCEPTIONS:
            found += [f"{rule.__name__}: {reason}" for reason in rule(notebook, path)]
    return found


def head(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """The first cell: title, badge, headline, learning points, and time, data, prerequisites."""
    first = notebook.cells[0].source if notebook.cells else ""
    points = r"(- .+\n(  .+\n)*){3,5}\n"
    wanted = {
        "a title (# …)": r"\A# \S",
        "the badge (make format writes it)": re.escape(notebooks.badge(path)),
        "**Headline:** and a sentence": r"^\*\*Headline:\*\* \S",
        "**You will learn** and 3 to 5 points": r"^\*\*You will learn\*\*\n\n?" + points,
        "*Time: … Data: … Before: …*": r"^\*Time: \d+ minutes?\. Data: [^*]+ Before: [^*]+\*$",
    }
    for what, pattern in wanted.items():
        if not re.search(pattern, first, flags=re.MULTILINE):
            yield f"the first cell needs {what}"


def sections(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """Exercises, Recap, References close the notebook; headings say something."""
    text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    titles = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    if tuple(t for t in titles if t in SECTIONS) != SECTIONS:
        yield f"it needs the sections {', '.join(SECTIONS)}, in this order"
    yield from (f"the heading {t!r} says nothing" for t in titles if re.match(r"Step \d", t))


def setup(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """The generated setup cell, then one import cell, and no import after it but in a task's cells.

    Those can be handed in alone.
    """
    cells = code_cells(notebook)
    if not cells or cells[0].source != notebooks.bootstrap():
        yield "the first code cell is not the generated setup cell (make format writes it)"
    for number, cell in enumerate(cells[1:], 2):
        imports = [isinstance(n, ast.Import | ast.ImportFrom) for n in _body(cell)]
        if number == 2 and not any(imports):
            yield "the second code cell must hold the imports"
        if number > 2 and any(imports) and not any(map(TASK_TAG.match, tags(cell))):
            yield f"cell [{number}] imports: the import cell is [2]"


def lengths(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """At most 30 lines a code cell, median at most 8, at most 600 kB (the setup cell left out)."""
    counts = [_lines(cell) for cell in code_cells(notebook)[1:]]
    for number, count in enumerate(counts, 2):
        if count > MAX_LINES:
            yield f"cell [{number}] has {count} lines, more than {MAX_LINES}"
    if counts and statistics.median(counts) > MAX_MEDIAN:
        yield f"the median cell has {statistics.median(counts)} lines, more than {MAX_MEDIAN}"
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        yield f"the file has {path.stat().st_size:,} bytes, more than {MAX_BYTES:,}"


def source(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """No trailing semicolon, no plt.show(), no nbval comment that switches the checker off."""
    for number, cell in enumerate(code_cells(notebook), 1):
        if re.search(r";[ \t]*$", cell.source, flags=re.MULTILINE):
            yield f"cell [{number}] has a trailing semicolon"
        if re.search(r"\bplt\.show\(", cell.source):
            yield f"cell [{number}] calls plt.show(): show(fig) draws and tells"
        if re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE_)", cell.source):
            yield f"cell [{number}] switches the checker off"


def outputs(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """No stored noise; every picture is drawn by show(), with its alt text."""
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell.outputs:
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            yield from (f"cell [{number}] stores {w}" for w, p in NOISE.items() if p.search(text))
            if output.get("name") == "stderr":
                yield f"cell [{number}] stores text on stderr"
            if STAND_IN in text:
                yield f"cell [{number}] was stored on stand-in data"
            if "image/png" in output.get("data", {}) and not _told(output):
                yield f"cell [{number}] stores a picture without alt text: use show(fig)"


def tagging(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """Known tags only; a tolerance says why; a trained cell has its claim in it or right after."""
    cells = code_cells(notebook)
    for number, cell in enumerate(cells, 1):
        for tag in tags(cell):
            known = tag in PLAIN_TAGS or TASK_TAG.match(tag) or TOLERANCE_TAG.match(tag)
            if not known:
                yield f"cell [{number}] has the unknown tag {tag!r}"
            if TOLERANCE_TAG.match(tag) and "# tolerance:" not in cell.source:
                yield f"cell [{number}] widens the tolerance without '# tolerance: reason'"
        near = cell.source + (cells[number].source if number < len(cells) else "")
        if "trained" in tags(cell) and "claim(" not in near:
            yield f"cell [{number}] is tagged trained, but no claim() stands in it or right after"


def practice(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """Two to four exercises, each with its check."""
    try:
        count = len(exercises(notebook))
    except ValueError as error:
        yield str(error)
        return
    if not 2 <= count <= 4:
        yield f"it has {count} exercises; a notebook has 2 to 4"


def orphan_numbers(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """Numbers in prose stand in an output, a result file or the ledger."""
    for heading, number in prose.orphans(notebook, notebooks.name_of(path)):
        yield f"under “{heading}” the number {number} stands in no output and no result file"


def links(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """Links within the course lead to what is there."""
    text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    yield from (f"the link to {target} leads nowhere" for target in dead_links(text, path))


def dead_links(text: str, path: Path) -> list[str]:
    """Targets of the links in ``text``, a page at ``path``, where no file or folder is."""
    targets = re.findall(r"\]\(([^):#\s]+)(?:#[^)\s]*)?\)", text)
    homes = ((ROOT if target.startswith("/") else path.parent, target) for target in targets)
    return [target for home, target in homes if not (home / target.lstrip("/")).exists()]


def ledger_rows(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """A notebook that the ledger names hands over every metric of its rows."""
    code = "\n".join(cell.source for cell in code_cells(notebook))
    for claim in ledger():
        if claim.command == notebooks.name_of(path):
            if f'record("{claim.id}"' not in re.sub(r"\(\s+", "(", code):
                yield f"it never calls record({claim.id!r}, …)"
            elif f"{claim.metric}=" not in code:
                yield f"record({claim.id!r}, …) has no {claim.metric}"


def same_functions(books: dict[Path, NotebookNode]) -> list[str]:
    """Functions defined in two notebooks: they belong into utils or a topic's package."""
    homes: dict[str, set[str]] = {}
    for path, notebook in books.items():
        for cell in code_cells(notebook):
            for node in _body(cell):
                if isinstance(node, ast.FunctionDef):
                    homes.setdefault(node.name, set()).add(notebooks.name_of(path))
    twice = {name: sorted(where) for name, where in homes.items() if len(where) > 1}
    return [f"{name}() is defined in {' and in '.join(where)}" for name, where in twice.items()]


def _body(cell: NotebookNode) -> list[ast.stmt]:
    return ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.MULTILINE)).body


def _lines(cell: NotebookNode) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def _told(output: NotebookNode) -> bool:
    return bool(output.metadata.get("image/png", {}).get("alt"))


RULES: tuple[Rule, ...] = (
    head,
    sections,
    setup,
    lengths,
    source,
    outputs,
    tagging,
    practice,
    orphan_numbers,
    links,
    ledger_rows,
)
