"""The course as it is committed: every notebook within its limits, every number bound."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import lint, notebooks, prose, questions, readme, site
from utils import results
from utils.paths import RESULTS, ROOT
from utils.results import NOT_YET, ledger

BOOKS = notebooks.find()
PAGES = [ROOT / name for name in site.TEXTS]
RECORDED = sorted(RESULTS.glob("*.json"))


@pytest.mark.parametrize("path", BOOKS, ids=notebooks.name_of)
def test_a_notebook_keeps_its_limits(path: Path):
    assert lint.faults(path) == []


@pytest.mark.parametrize("path", BOOKS, ids=notebooks.name_of)
def test_a_notebook_is_stored_in_its_one_form(path: Path):
    stored = notebooks.read(path)
    assert notebooks.normalise(notebooks.read(path), path) == stored


@pytest.mark.parametrize("path", PAGES, ids=notebooks.name_of)
def test_links_of_a_page_lead_somewhere(path: Path):
    assert lint.dead_links(path.read_text("utf-8"), path) == []


def test_no_function_is_defined_in_two_notebooks():
    lessons = [path for path in BOOKS if path != notebooks.CONSOLIDATED]
    assert lint.same_functions({path: notebooks.read(path) for path in lessons}) == []


def test_exceptions_are_needed():
    for (name, rule), reason in lint.EXCEPTIONS.items():
        assert reason
        assert (ROOT / name).is_file()
        assert rule in {r.__name__ for r in lint.RULES}


def test_every_system_has_a_row_in_the_ledger():
    assert {claim.row for claim in ledger()} == set(range(1, 100))


def test_the_ledger_is_consistent():
    keys = [(claim.id, claim.metric) for claim in ledger()]
    assert len(set(keys)) == len(keys)
    for claim in ledger():
        assert claim.better in ("higher", "lower", "equal"), claim
        assert claim.seeds >= 1
        assert claim.where
        assert claim.why
        for number in (claim.claimed, claim.honest):
            assert number == "none" or not isinstance(number, str), claim
    for id in {claim.id for claim in ledger()}:
        rows = [claim for claim in ledger() if claim.id == id]
        same = {(c.row, c.system, c.notebook, c.command, c.seeds) for c in rows}
        assert len(same) == 1, id


@pytest.mark.parametrize("id", sorted({c.id for c in ledger() if c.command != NOT_YET}))
def test_a_row_with_a_command_has_a_notebook_or_function_and_a_result(id: str):
    claim = next(c for c in ledger() if c.id == id)
    if claim.command.endswith(".ipynb"):
        assert (ROOT / claim.command).is_file()
        assert claim.notebook == claim.command
    assert (RESULTS / f"{id}.json").is_file(), f"make reproduce ID={id}"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_result_belongs_to_its_row(path: Path):
    rows = [claim for claim in ledger() if claim.id == path.stem]
    fields = json.loads(path.read_text("utf-8"))
    assert {row.metric for row in rows} == set(fields["metrics"])
    assert {row.command for row in rows} == {fields["command"]}
    assert {row.seeds for row in rows} == {len(fields["seeds"])}
    assert fields["profile"] == "full"
    for metric in fields["metrics"].values():
        assert len(metric["values"]) == len(fields["seeds"])
    if fields["data"]:
        assert "stand-in" not in fields["data"]["source"]
        assert fields["data"]["sha256"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_ours_is_right_where_there_is_one_right_answer(path: Path):
    for claim in (c for c in ledger() if c.id == path.stem and c.better == "equal"):
        ours = results.read(claim.id).mean(claim.metric)
        lost = claim.honest == "none"  # with the original's data: nothing to be equal to
        assert lost or ours == pytest.approx(claim.honest, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("path", list(readme.pages()), ids=notebooks.name_of)
def test_the_generated_pages_are_up_to_date(path: Path):
    assert path.read_text("utf-8") == readme.pages()[path], "make format brings it up to date"


@pytest.mark.parametrize("question", questions.read(), ids=lambda question: question.number)
def test_a_theory_question_is_answered_by_a_measurement(question: questions.Question):
    assert questions.is_measured(question)


@pytest.mark.parametrize(
    ("notebook", "section"),
    [
        ("medium/none.ipynb", "What is pooling for?"),
        ("medium/cnn_from_scratch.ipynb", "No such section"),
        ("medium/cnn_from_scratch.ipynb", "Recap"),
    ],
)
def test_a_question_without_a_measured_section_is_found(notebook: str, section: str):
    assert not questions.is_measured(questions.Question("1", "Why?", notebook, section))


def test_numbers_in_the_readme_have_a_source():
    text = (ROOT / "README.md").read_text("utf-8")
    for name in ("index", "highlights", "honest numbers", "benchmarks", "other benchmarks"):
        text = readme.generated(text, name, "")
    known = [*prose.recorded_numbers(), 3.11]  # the version of Python
    assert prose.orphans_in(text.replace("`✓ test accuracy ≥ 0.97`", ""), known) == []


@pytest.mark.parametrize(
    "target",
    [
        "lab",
        "test",
        "notebooks",
        "app",
        "store",
        "reproduce",
        "bench",
        "exercises",
        "consolidate",
        "site",
        "lane",
        "coverage",
    ],
)
def test_make_knows_its_targets(target: str):
    run = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_make_lab_works_as_root_and_without_a_screen():
    run = subprocess.run(
        ["make", "-n", "lab", "DISPLAY=", "WAYLAND_DISPLAY="],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ("--no-browser" in run.stdout) == (sys.platform != "darwin")
