"""The keepers' tools: normaliser, exercises, prose numbers, limits, README, reproduction."""

import copy
import importlib.metadata
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.fixtures.make import FAIL, PLOT, build
from tools import exercises, lint, notebooks, prose, readme, reproduce, run
from utils import results
from utils.paths import ROOT

PATH = ROOT / "basic" / "made_up.ipynb"
HEAD = f"""\
# A made-up lesson

{notebooks.badge(PATH)}

What problem, and what you will have at the end.

**Headline:** one half is 0.512.

**You will learn**

- one thing,
- another,
- and a third.

*Time: 1 minute. Data: none. Before: nothing.*"""
SOLUTION = 'def double(x):\n    """Twice x."""\n    return 2 * x'


def code(source: str, *tags: str, text: str = "") -> NotebookNode:
    cell = new_code_cell(source, execution_count=1, metadata={"tags": list(tags)})
    if text:
        cell.outputs = [new_output("stream", name="stdout", text=text)]
    return cell


@pytest.fixture
def sound() -> NotebookNode:
    """A notebook that keeps every limit."""
    cells = [
        new_markdown_cell(HEAD),
        code(notebooks.bootstrap()),
        code("import numpy as np"),
        code('print(f"{0.512:.3f}")', text="0.512\n"),
        new_markdown_cell("## Exercises\n\n### Exercise 1 (easy): double"),
        code(SOLUTION, "solution"),
        code("assert double(2) == 4", "check"),
        new_markdown_cell("### Exercise 2 (hard): the same"),
        code(SOLUTION, "solution"),
        code("assert double(3) == 6", "check"),
        new_markdown_cell("## Recap\n\nDone."),
        new_markdown_cell("## References\n\nA paper (2015), eq. 3.14."),
    ]
    return new_notebook(cells=cells)


def test_a_sound_notebook_has_no_faults(sound: NotebookNode):
    assert lint.faults(PATH, sound) == []


def change(position: int, **fields) -> object:
    return lambda notebook: notebook.cells[position].update(fields)


def output(kind: str, **fields) -> list[NotebookNode]:
    return [new_output(kind, **fields)]


LONG = "\n".join(f"x{i} = {i}" for i in range(31))
BROKEN = {
    "no title": (change(0, source=HEAD.replace("# A made", "A made")), "head"),
    "no badge": (change(0, source=HEAD.replace("made_up.ipynb", "x.ipynb")), "head"),
    "no headline": (change(0, source=HEAD.replace("**Headline:**", "Headline:")), "head"),
    "one learning point": (change(0, source=HEAD.replace("- another,\n", "")), "head"),
    "no time": (change(0, source=HEAD.replace("*Time:", "*When:")), "head"),
    "no recap": (change(10, source="## The end"), "sections"),
    "a heading that says nothing": (change(4, source="## Step 3\n\n## Exercises"), "sections"),
    "another setup cell": (change(1, source="import sys"), "setup"),
    "no imports": (change(2, source="x = 1"), "setup"),
    "a late import": (change(3, source="import math"), "setup"),
    "a long cell": (change(3, source=LONG), "lengths"),
    "long cells": (
        lambda nb: [
            c.update(source=c.source + "\n# more" * 9) for c in notebooks.code_cells(nb)[2:]
        ],
        "lengths",
    ),
    "a semicolon": (change(3, source="x = 1;"), "source"),
    "plt.show": (change(3, source="plt.show()"), "source"),
    "checker switched off": (change(3, source="# NBVAL_IGNORE_OUTPUT\nx = 1"), "source"),
    "an address": (
        change(2, outputs=output("stream", text="<A at 0x7f06da016de0>")),
        "outputs",
    ),
    "a timing": (change(2, outputs=output("stream", text="Wall time: 3 s")), "outputs"),
    "a progress bar": (change(2, outputs=output("stream", text=" 50%|#####")), "outputs"),
    "a NumPy scalar": (
        change(2, outputs=output("execute_result", data={"text/plain": "np.float64(0.5)"})),
        "outputs",
    ),
    "stderr": (change(2, outputs=output("stream", name="stderr", text="careful")), "outputs"),
    "stand-in": (change(2, outputs=output("stream", text="Stand-in data: x")), "outputs"),
    "no alt text": (change(2, outputs=output("display_data", data={"image/png": "x"})), "outputs"),
    "an unknown tag": (change(3, metadata={"tags": ["skip"]}), "tagging"),
    "a tolerance without reason": (change(3, metadata={"tags": ["rtol:0.1"]}), "tagging"),
    "trained without claim": (change(3, metadata={"tags": ["trained"]}), "tagging"),
    "one exercise": (lambda nb: nb.cells[5].metadata.clear(), "practice"),
    "no check": (lambda nb: nb.cells[6].metadata.clear(), "practice"),
    "a dead link": (change(10, source="## Recap\n\n[There](../nowhere.ipynb#part)"), "links"),
    "an orphan number": (change(10, source="## Recap\n\nIt was 0.513."), "orphan_numbers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_limit_is_found(name: str, sound: NotebookNode):
    spoil, rule = BROKEN[name]
    spoil(sound)
    broken = {fault.partition(":")[0] for fault in lint.faults(PATH, sound)}
    assert broken == {rule}


def test_a_large_file_is_found(sound: NotebookNode, tmp_path: Path):
    path = tmp_path / "large.ipynb"
    path.write_bytes(b" " * 600_001)
    assert list(lint.lengths(sound, path)) == ["the file has 600,001 bytes, more than 600,000"]


def test_a_function_in_two_notebooks_is_found(sound: NotebookNode):
    books = {PATH: sound, PATH.with_name("second.ipynb"): copy.deepcopy(sound)}
    found = lint.same_functions(books)
    assert found == ["double() is defined in basic/made_up.ipynb and in basic/second.ipynb"]


def test_a_notebook_of_the_ledger_must_hand_over_its_metrics(sound: NotebookNode):
    path = ROOT / "basic" / "perceptron.ipynb"
    assert list(lint.ledger_rows(sound, path)) == ["it never calls record('perceptron', …)"]
    sound.cells[3].source = 'record("perceptron", accuracy=1)'
    missing = ["record('perceptron', …) has no averaged_test_accuracy"]
    assert list(lint.ledger_rows(sound, path)) == missing


# --- prose --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("accuracy 0.983", [0.98312]),
        ("98.3 % right", [0.98312]),
        ("98.3% right", [98.31]),
        ("about 40 %", [0.4]),
        ("−0.28 m", [-0.2791]),
        ("17,036.5 sales", [17036.52]),
        ("see [1.25](https://x.org/3.75)", [1.25]),
        ("$x = 0.75$ and $$y = 0.25$$ and\n```\n0.125\n```", []),
        ("version 1.2.3 of 2015, 28 rows, 10,000 images", []),
        ("*Time: 2 minutes. Data: 1.5 MB. Before: nothing.*", []),
    ],
)
def test_numbers_with_a_source(text: str, known: list[float]):
    assert prose.orphans_in(text, known) == []


@pytest.mark.parametrize(
    ("text", "known", "lost"),
    [
        ("accuracy 0.984", [0.98312], ["0.984"]),
        ("98.4 % right", [0.98312], ["98.4 %"]),
        ("40 % and 0.512", [0.512], ["40 %"]),
        ("(-10.7722)", [-10.794], ["10.7722"]),
        ("a rate of `0.25`", [0.25], ["0.25"]),  # a parameter must be in the code or an output
    ],
)
def test_orphan_numbers(text: str, known: list[float], lost: list[str]):
    assert prose.orphans_in(text, known) == lost


def test_a_measured_bracket_is_no_source():
    cell = code("claim(...)", text="✓ accuracy ≥ 0.9   (measured 0.9731)\n")
    words = new_markdown_cell("It reached 0.9731, more than 0.9.")
    notebook = new_notebook(cells=[words, cell])
    assert prose.orphans(notebook, "made_up.ipynb") == [("", "0.9731")]


# --- normaliser ---------------------------------------------------------------------------------


def test_normalising_twice_is_normalising_once(sound: NotebookNode):
    once = notebooks.normalise(sound, PATH)
    again = notebooks.normalise(copy.deepcopy(once), PATH)
    assert once == again


def test_executing_an_unchanged_notebook_again_leaves_an_empty_diff(tmp_path: Path):
    path = ROOT / "tests" / "fixtures" / "again.ipynb"
    notebook = build("import matplotlib.pyplot as plt\nimport numpy as np\n"
                     "from utils import plots", PLOT, "print(1)\nprint(2)")  # fmt: skip
    try:
        notebook.cells[1].source = notebooks.bootstrap()
        notebooks.write(path, notebook)
        texts = []
        for _ in range(2):
            executed = run.execute(path)
            notebooks.write(path, notebooks.normalise(executed, path))
            texts.append(path.read_text("utf-8"))
    finally:
        path.unlink()
    assert texts[0] == texts[1]
    assert '"alt"' in texts[0]


def test_the_normaliser_keeps_tags_and_folds_solutions(sound: NotebookNode):
    sound.cells[3].metadata = nbformat.from_dict({"tags": ["trained"], "collapsed": True})
    stored = notebooks.normalise(sound, PATH)
    assert stored.cells[3].metadata == {"tags": ["trained"]}
    assert stored.cells[5].metadata["jupyter"] == {"source_hidden": True}
    assert [c.execution_count for c in notebooks.code_cells(stored)] == list(range(1, 8))
    assert stored.metadata == notebooks.KERNEL


def test_the_normaliser_writes_setup_and_badge_and_refuses_what_never_ran(sound: NotebookNode):
    sound.cells[1].source = "import sys  # an old setup cell"
    sound.cells[0].source = HEAD.replace("made_up.ipynb", "old_name.ipynb")
    stored = notebooks.normalise(sound, PATH)
    assert stored.cells[1].source == notebooks.bootstrap()
    assert notebooks.badge(PATH) in stored.cells[0].source
    stored.cells[3].execution_count = None
    with pytest.raises(notebooks.NeverRun, match=r"made_up.ipynb: code cell 3 was never run"):
        notebooks.normalise(stored, PATH)


def test_pictures_shrink_and_stay_the_same_to_the_eye():
    cells, _, _ = FAIL["wrong_picture"]
    stored = build(*cells).cells[-1].outputs[0]
    encoded = stored.data["image/png"]
    assert notebooks.small_png(encoded) == encoded.strip()
    assert len(encoded) < 20_000


def test_writing_a_notebook_that_is_not_valid_leaves_the_old_one(tmp_path: Path, sound):
    path = tmp_path / "a.ipynb"
    notebooks.write(path, sound)
    before = path.read_bytes()
    sound.cells[0]["source"] = 3
    with pytest.raises(nbformat.ValidationError):
        notebooks.write(path, sound)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


# --- exercises ----------------------------------------------------------------------------------


def test_a_stub_keeps_names_signatures_and_docstrings():
    solution = (
        "import math\n\n\n@staticmethod\ndef area(r: float) -> float:\n"
        '    """Area of a disc."""\n    return math.pi * r**2\n\n\n'
        'class Box:\n    """A box."""\n\n    def side(self):\n        return 1\n\n\n'
        "best, *rest = sorted([3, 1])\ntotal: int = 4\nprint(best)"
    )
    assert exercises.stub(solution) == (
        "# Write your code here.\nimport math\n\n@staticmethod\n"
        'def area(r: float) -> float:\n    """Area of a disc."""\n    ...\n\n'
        'class Box:\n    """A box."""\n\n    def side(self):\n        ...\n    ...\n'
        "best = ...\nrest = ...\ntotal = ..."
    )


def test_the_students_copy_has_stubs_and_no_outputs(sound: NotebookNode):
    student = exercises.student_copy(notebooks.normalise(sound, PATH))
    sources = [cell.source for cell in student.cells]
    assert not any("return 2 * x" in source for source in sources)
    assert sum(exercises.HERE in source for source in sources) == 2
    assert all(not cell.outputs for cell in notebooks.code_cells(student))
    assert "jupyter" not in student.cells[5].metadata


def test_make_exercises_writes_every_notebook_with_exercises(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(exercises, "ROOT", tmp_path)
    exercises.main(tmp_path / "exercises")
    written = {p.relative_to(tmp_path / "exercises").as_posix() for p in tmp_path.rglob("*.ipynb")}
    assert written == {notebooks.name_of(path) for path in notebooks.find()}


# --- README and reproduction --------------------------------------------------------------------


def test_generated_parts_stand_between_their_markers():
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb"
    assert readme.generated(text, "x", "new") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"
    with pytest.raises(ValueError, match="no markers"):
        readme.generated("a", "x", "new")


def test_ours_shows_the_interval_over_seeds():
    result = results.Result("x", {"metrics": {"a": {"values": [0.9, 0.92, 0.94]}}})
    assert readme.ours_of(result, "a") == "0.92 ± 0.05"
    result = results.Result("x", {"metrics": {"a": {"values": [10.0, 14.0, 18.0]}}})
    assert readme.ours_of(result, "a") == "14 ± 10"


def test_reproduce_refuses_what_it_cannot_do(capsys):
    assert reproduce.main(["no-such-row"]) == 2
    assert "There is no row 'no-such-row'" in capsys.readouterr().out
    waiting = next(c.id for c in results.ledger() if c.command == results.NOT_YET)
    assert reproduce.main([waiting]) == 2
    assert "no command yet" in capsys.readouterr().out


def test_reproduce_stores_what_a_command_measures(monkeypatch, tmp_path: Path, capsys):
    monkeypatch.setattr(reproduce, "MEASURED", tmp_path)
    stored = {}
    monkeypatch.setattr(results, "write", lambda id, fields: stored.update({id: fields}))
    monkeypatch.setattr(reproduce, "_summary", lambda id: "")
    reproduce.reproduce("tools.notebooks:measure_alt_text", ["visualisation-and-utils"])
    fields = stored["visualisation-and-utils"]
    assert fields["metrics"]["figures_with_alt_text_share"]["values"] == [1.0]
    assert fields["seeds"] == [0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", fields["date"])
    assert fields["versions"]["torch"] == importlib.metadata.version("torch")


def test_a_function_may_hand_over_a_history_too(monkeypatch):
    handed = {"metrics": {"a": 1.0}, "history": [{"epoch": 1.0}], "data": None}
    monkeypatch.setattr(notebooks, "measure_alt_text", lambda seed, profile: handed)
    assert reproduce.measure("tools.notebooks:measure_alt_text", 0) == {"": handed}


def test_an_interrupted_reproduction_measures_only_what_is_missing(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(reproduce, "MEASURED", tmp_path)
    asked = []

    def measure(command: str, seed: int) -> dict:
        if asked == [0, 1]:
            raise KeyboardInterrupt
        asked.append(seed)
        return {"perceptron": {"metrics": {"averaged_test_accuracy": seed / 10}}}

    monkeypatch.setattr(reproduce, "measure", measure)
    stored = {}
    monkeypatch.setattr(results, "write", lambda id, fields: stored.update({id: fields}))
    monkeypatch.setattr(reproduce, "_summary", lambda id: "")
    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce("basic/perceptron.ipynb", ["perceptron"])
    assert (asked, len(list(tmp_path.iterdir()))) == ([0, 1], 2)
    asked.append("again")
    reproduce.main(["perceptron", "--seed", "2"])
    assert not stored
    reproduce.reproduce("basic/perceptron.ipynb", ["perceptron"])
    assert asked == [0, 1, "again", 2]
    assert stored["perceptron"]["metrics"]["averaged_test_accuracy"]["values"] == [0, 0.1, 0.2]
    assert not list(tmp_path.iterdir())


def test_a_run_that_hands_over_other_metrics_is_refused():
    with pytest.raises(ValueError, match="the ledger lists"):
        reproduce.fields("perceptron", "x", [{"metrics": {"accuracy": 1.0}}], [1.0])
    with pytest.raises(ValueError, match="recorded nothing"):
        reproduce.fields("perceptron", "x", [None], [1.0])


def test_the_table_of_a_run_counts_claims_and_names_failures():
    outcomes = [run.Outcome("a.ipynb", 1.25, 3, 1, ""), run.Outcome("b.ipynb", 2, 0, 0, "boom")]
    table = run.table(outcomes)
    assert "a.ipynb      1.2  3 checked, 1 on stand-in" in table
    assert "boom" in table
    assert "2 notebooks, 1 failed, 3 s" in table
