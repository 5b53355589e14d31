"""The rendered site: a small one is built for real, and looked at in a browser."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import browser
from tools import notebooks, site
from utils.paths import ROOT

LESSON = ROOT / "basic" / "gradient_descent.ipynb"
BUILD = """
from pathlib import Path
from tools import notebooks, site
notebooks.find = lambda: [Path({lesson!r})]
site.TEXTS = ()
site.FURTHER = ("api/index",)
raise SystemExit(site.main(["--folder", {folder!r}]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a site of one lesson, and what Sphinx objected to."""
    folder = tmp_path_factory.mktemp("site")
    program = BUILD.format(lesson=str(LESSON), folder=str(folder))
    command = [sys.executable, "-c", program]  # Sphinx changes a process that it ran in
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return folder, done.stderr


def test_sphinx_objects_only_to_links_to_pages_that_are_left_out(built):
    _, told = built
    objections = [line for line in told.splitlines() if "WARNING" in line or "ERROR" in line]
    assert [line for line in objections if "[myst.xref_missing]" not in line] == []


def test_a_lesson_is_shown_without_its_setup_and_with_folded_solutions(built):
    page = (built[0] / "html" / "basic" / "gradient_descent.html").read_text("utf-8")
    assert "Setup: makes the course importable" not in page
    solutions = sum("solution" in notebooks.tags(c) for c in notebooks.read(LESSON).cells)
    assert page.count("cell tag_solution tag_hide-input") == solutions > 0
    assert "Open in Colab" in page
    assert "colab-badge" not in page


def test_the_modules_of_utils_have_their_pages(built):
    pages = {path.stem for path in (built[0] / "html" / "api").glob("*.html")}
    assert {"utils.leaks", "utils.metrics", "utils.nn.conv", "utils.nn.optim"} <= pages
    assert "Raise ValueError if two of the named splits" in (
        built[0] / "html" / "api" / "utils.leaks.html"
    ).read_text("utf-8")


@pytest.mark.skipif(not browser.installed(), reason="no browser of the Chromium family here")
@pytest.mark.parametrize("width", [420, 1400])
def test_pages_ask_for_nothing_elsewhere_and_fit_the_window(built, width: int):
    asked: list[str] = []
    faults: list[str] = []
    with browser.browser() as chromium:
        page = chromium.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        for name in ("index", "basic/gradient_descent", "api/utils.leaks"):
            page.goto((built[0] / "html" / f"{name}.html").as_uri())
            page.wait_for_timeout(300)
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0
        assert page.locator("mjx-container").count() == 0  # no formula on the last page
        page.goto((built[0] / "html" / "basic" / "gradient_descent.html").as_uri())
        page.wait_for_selector("mjx-container")  # formulas are drawn without another server
    assert faults == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


def test_the_stamp_says_when_a_lesson_was_verified_and_how_long_it_took():
    times = {"date": "2026-01-02", "seconds": {"basic/gradient_descent.ipynb": 12.3}}
    assert site.stamp(LESSON, times).endswith(" · verified 2026-01-02, 12 s on one core")
    assert site.stamp(LESSON, {}).startswith("[Open in Colab](https://")
    assert "verified" not in site.stamp(LESSON, {})


def test_badges_become_words_and_anchors_in_notebooks_are_dropped():
    badge = "[![Open in Colab](https://a/b.svg)](https://c/d.ipynb)"
    assert site.without_badges(badge) == "[Colab](https://c/d.ipynb)"
    assert site.without_badges("[x](a/b.ipynb#part)") == "[x](a/b.ipynb)"


def test_every_topic_of_the_course_has_a_title():
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (line,) = (line for line in project.splitlines() if line.startswith("topics = "))
    assert json.loads(line.partition("=")[2]) == list(site.TITLES)
