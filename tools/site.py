"""``make site``: the course as a web site, from the stored outputs, readable without a network.

Sphinx with myst-nb renders the notebooks as they are committed; nothing is executed. Setup cells
are left out, solutions are folded, each lesson says when it was last verified and how long it
takes. Beside the lessons stand the table of honest numbers and the pages of ``utils``.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from nbformat import NotebookNode
from sphinx.application import Sphinx

from tools import notebooks, readme
from utils.paths import RESULTS, ROOT

SITE = ROOT / "build" / "site"
TIMES = RESULTS / "benchmarks" / "archive.json"
TITLES = {
    "basic": "First steps",
    "medium": "Networks",
    "PythonMLCourse": "Python and machine learning",
    "DigitalMarketing": "Digital marketing",
    "ONE_KnowledgeDistillation": "Knowledge distillation",
    "OptimisationNN": "Licence plates",
    "visualization": "The course in pictures",
}
TEXTS = (  # pages that stand in the repository; their links work because they keep their places
    "README.md",
    "CONTRIBUTING.md",
    "results/README.md",
    "medium/README.md",
    "ONE_KnowledgeDistillation/README.md",
    "app/README.md",
)
NARROW = """\
.bd-article table { display: block; overflow-x: auto; }
.bd-article dt.sig { overflow-wrap: anywhere; }
"""
FURTHER = ("README", "results/README", "app/README", "api/index", "CONTRIBUTING")
CONFIG = {
    "project": "Neural Network Exercises",
    "author": "the authors of Neural Network Exercises",
    "extensions": [
        "myst_nb",
        "sphinx.ext.autodoc",
        "sphinx.ext.napoleon",
        "sphinx.ext.viewcode",
        "sphinx-mathjax-offline",
    ],
    "html_theme": "sphinx_book_theme",
    "html_title": "Neural Network Exercises",
    "html_theme_options": {"show_navbar_depth": 1, "use_download_button": False},
    "html_show_sphinx": False,
    "html_static_path": ["_static"],
    "html_css_files": ["narrow.css"],
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "myst_enable_extensions": ["dollarmath", "amsmath"],
    "myst_heading_anchors": 3,
    "autodoc_typehints": "none",
    "autodoc_member_order": "bysource",
    "suppress_warnings": [
        "myst.header",
        "misc.highlighting_failure",
        "mystnb.unknown_mime_type",  # plotly's figures have a static twin
    ],
}


def sources(folder: Path) -> None:
    """Write everything that Sphinx reads into ``folder``."""
    times = json.loads(TIMES.read_text("utf-8")) if TIMES.is_file() else {}
    books = notebooks.find()
    for path in books:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        notebooks.write(target, for_reading(notebooks.read(path), path, times))
    for name in TEXTS:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(without_badges((ROOT / name).read_text("utf-8")), "utf-8")
    by_topic = {topic: topic_books(books, topic) for topic in TITLES}
    for topic, lessons in by_topic.items():
        if lessons:
            (folder / topic / "index.md").write_text(topic_page(topic, lessons), "utf-8")
    write_api(folder / "api")
    settings = [f"{name} = {value!r}" for name, value in CONFIG.items()]
    (folder / "_static").mkdir()
    (folder / "_static" / "narrow.css").write_text(NARROW, "utf-8")
    (folder / "conf.py").write_text("\n".join(settings) + "\n", "utf-8")
    (folder / "index.md").write_text(front([t for t, some in by_topic.items() if some]), "utf-8")


def topic_books(books: list[Path], topic: str) -> list[Path]:
    """The lessons of a topic."""
    return [p for p in books if p.relative_to(ROOT).parts[0] == topic]


def for_reading(notebook: NotebookNode, path: Path, times: dict) -> NotebookNode:
    """The notebook without its setup cell, solutions folded, the badge replaced by a stamp."""
    first = notebook.cells[0]
    first.source = first.source.replace(notebooks.badge(path), stamp(path, times))
    setup = notebooks.code_cells(notebook)[0]
    tag(setup, "remove-cell")
    for cell in notebooks.code_cells(notebook):
        if "solution" in notebooks.tags(cell):
            tag(cell, "hide-input")
    return notebook


def tag(cell: NotebookNode, name: str) -> None:
    """Add a tag to a cell."""
    cell.metadata["tags"] = [*notebooks.tags(cell), name]


def stamp(path: Path, times: dict) -> str:
    """One line below the title: where the notebook runs, when it was verified, how long it took."""
    name = notebooks.name_of(path)
    seconds = times.get("seconds", {}).get(name)
    checked = f"verified {times['date']}, {seconds:.0f} s on one core" if seconds else ""
    colab = notebooks.badge(path).rpartition("](")[2].rstrip(")")
    return " · ".join(part for part in (f"[Open in Colab]({colab})", checked) if part)


def topic_page(topic: str, books: list[Path]) -> str:
    """Title, one line a lesson with its headline, and the table of contents."""
    lines = [f"# {TITLES[topic]}", ""]
    for path in books:
        title, headline = readme.head_of(path)
        place = path.relative_to(ROOT / topic).as_posix()
        lines += [f"- **[{title}]({place})**. {headline}"]
    extra = [Path(text).name for text in TEXTS if Path(text).parent.as_posix() == topic]
    places = [path.relative_to(ROOT / topic).as_posix() for path in books]
    return "\n".join([*lines, "", *toctree([*places, *extra], hidden=True)]) + "\n"


def toctree(places: list[str], *, hidden: bool = False) -> list[str]:
    """A table of contents of these pages."""
    options = [":maxdepth: 1", *([":hidden:"] if hidden else [])]
    return ["```{toctree}", *options, "", *places, "```"]


def front(topics: list[str]) -> str:
    """The first page."""
    places = [f"{topic}/index" for topic in topics]
    words = [
        "# Neural Network Exercises",
        "",
        "A neural-network course whose every notebook runs, on two cores, with or without a",
        "network, and whose every number is checked. [What it is, and how to start](README.md).",
        "[Claimed, honest, ours: every number](results/README.md).",
        "",
    ]
    return "\n".join([*words, *toctree([*places, *FURTHER])])


def write_api(folder: Path) -> None:
    """A page for each module of ``utils``, from its docstrings."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "utils").rglob("*.py")
        if path.name != "__init__.py" and "grading" not in path.parts
    )
    for name in names:
        body = f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"
        (folder / f"{name}.md").write_text(f"# {name}\n\n{body}", "utf-8")
    page = ["# The shared package", "", "From the docstrings of `utils`.", "", *toctree(names)]
    (folder / "index.md").write_text("\n".join(page) + "\n", "utf-8")


def without_badges(text: str) -> str:
    """Badges as words, for their pictures are elsewhere; links into a notebook lead to its top."""
    text = re.sub(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]+)\)", r"[Colab](\1)", text)
    return re.sub(r"(\.ipynb)#[^)\s]*", r"\1", text)


def build(folder: Path = SITE) -> int:
    """Write ``folder``/html; how many warnings Sphinx had."""
    shutil.rmtree(folder, ignore_errors=True)
    sources(folder / "source")
    app = Sphinx(
        folder / "source",
        folder / "source",
        folder / "html",
        folder / "doctrees",
        "html",
        status=None,
        warning=sys.stderr,
        freshenv=True,
    )
    app.build()
    return app._warncount


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("make site", description="The course as a web site.")
    parser.add_argument("--folder", type=Path, default=SITE)
    folder = parser.parse_args(arguments).folder
    warnings = build(folder)
    print(f"{folder / 'html' / 'index.html'}, {warnings} warnings")
    return int(warnings > 0)


if __name__ == "__main__":
    sys.exit(main())
