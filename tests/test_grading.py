"""The grader: full marks for worked solutions, the right ones lost for wrong ones, no crash."""

from pathlib import Path

import pytest

from tests.wrong_solutions import WRONG, Wrong
from utils.grading.__main__ import main
from utils.grading.criteria import Failed, expect, expect_error, same
from utils.grading.reports import cells_of, grade, text
from utils.grading.running import outcome
from utils.grading.tasks import TASKS
from utils.paths import ROOT

COURSE = ROOT / "PythonMLCourse"
MATRIX = COURSE / "Part1" / "Seminar06" / "matrix.py"
FILES = {"PART1-S03-MATRIX": MATRIX, "PART1-S06-MODULE": MATRIX}


def solution(name: str) -> str:
    """The worked solution of a task: a module, or the cells of the notebook that has it."""
    if name in FILES:
        return FILES[name].read_text("utf-8")
    found = []
    for notebook in sorted(COURSE.glob("Part*/*/*.ipynb")):
        if f'"task:{name}"' in notebook.read_text("utf-8"):
            found.append(cells_of(name, notebook))
    assert len(found) == 1, f"{len(found)} notebooks solve {name}"
    return found[0]


def lost(name: str, source: str, folder: Path, seconds: float = 20) -> list[str]:
    """The criteria that a file does not meet."""
    file = folder / "student.py"
    file.write_text(source, "utf-8")
    return [m.criterion.what for m in grade(TASKS[name], file, seconds) if m.failed]


@pytest.mark.parametrize("name", TASKS)
def test_a_worked_solution_has_full_marks(name: str, tmp_path: Path):
    file = tmp_path / "student.py"
    file.write_text(solution(name), "utf-8")
    marks = grade(TASKS[name], file)
    assert sum(m.marks for m in marks) == TASKS[name].marks, text(TASKS[name], marks)


def test_every_task_has_three_wrong_solutions():
    assert set(WRONG) == set(TASKS)
    assert min(map(len, WRONG.values())) >= 3


CASES = [(name, one) for name, some in WRONG.items() for one in some]


@pytest.mark.parametrize(("name", "one"), CASES, ids=[f"{n}: {w.what}" for n, w in CASES])
def test_a_wrong_solution_loses_the_right_marks(name: str, one: Wrong, tmp_path: Path):
    source = solution(name)
    for old, new in one.changes:
        assert old in source, f"the solution has no {old!r}"
        source = source.replace(old, new)
    file = tmp_path / "student.py"
    file.write_text(source, "utf-8")
    whats = [criterion.what for criterion in TASKS[name].criteria]
    for beginning in one.lost:
        (number,) = (i for i, what in enumerate(whats) if what.startswith(beginning))
        assert outcome(TASKS[name], number, file), f"{whats[number]}: met"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "defines nothing called entropy"),
        ("def entropy(:", "line 1 is not Python"),
        ("x = 1\nraise KeyError('me')", "line 2 raises KeyError"),
        ("import sys\nsys.exit(0)", "ended the program (exit status 0)"),
        ("import os\nos._exit(3)", "ended the program (exit status 3)"),
        ("def entropy(p):\n    raise SystemExit", "ended the program"),
        ("def entropy(p):\n    return entropy(p)", "RecursionError"),
        ("def entropy(p):\n    return 1 / 0", "raises ZeroDivisionError"),
        ("def entropy(p):\n    return 'a lot'", "gives 'a lot'"),
        ("def entropy(p):\n    return [0] * 10**12", "raises MemoryError"),
        ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')", "raises"),
    ],
)
def test_whatever_a_file_does_it_is_one_sentence(source: str, told: str, tmp_path: Path):
    file = tmp_path / "student.py"
    file.write_text(source, "utf-8")
    first = grade(TASKS["PART2-S08-ENTROPY"], file)[0]
    assert told in first.failed
    assert "\n" not in first.failed


def test_an_endless_loop_costs_one_criterion(tmp_path: Path):
    source = solution("PART2-S08-ENTROPY").replace(
        "def maximum_entropy(n):", "def maximum_entropy(n):\n    while True: pass"
    )
    assert lost("PART2-S08-ENTROPY", source, tmp_path, 2)[0].startswith("its maximum")


def test_what_a_file_prints_cannot_disturb(tmp_path: Path):
    source = "print('{\"failed\": null}' * 1000)\n" + solution("PART2-S08-ENTROPY")
    assert lost("PART2-S08-ENTROPY", source, tmp_path) == []


def test_the_command_line(tmp_path: Path, capsys):
    file = tmp_path / "student.py"
    file.write_text(solution("PART2-S01-CROP"), "utf-8")
    assert main(["PART2-S01-CROP", str(file)]) == 0
    assert "10 of 10 marks" in capsys.readouterr().out
    file.write_text("def crop(image, row, column, size):\n    return image", "utf-8")
    assert main(["PART2-S01-CROP", str(file)]) == 1
    told = capsys.readouterr().out
    assert "✗ 0/4" in told
    assert "crop(image, 0, 15, 5) gives" in told
    assert main([]) == 0
    assert capsys.readouterr().out.count("\n") == len(TASKS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["PART9"], "give one of PART1-S01-SPLIT"),
        (["PART2-S01-CROP", "nowhere.py"], "there is no file nowhere.py"),
        (
            ["PART2-S01-CROP", str(COURSE / "Part2" / "Seminar08" / "maximum_entropy.ipynb")],
            "has no cell",
        ),
    ],
)
def test_what_is_not_there_is_told(arguments, told, capsys):
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_notebook_can_be_handed_in(capsys):
    notebook = COURSE / "Part2" / "Seminar08" / "maximum_entropy.ipynb"
    assert main(["PART2-S08-ENTROPY", str(notebook)]) == 0


def test_numbers_are_compared_by_shape_and_size():
    assert same([1, 2], (1.0, 2.0 + 1e-12))
    assert not same([[1, 2]], [1, 2])
    assert not same("12", 12.5)
    assert same("a", "a")
    with pytest.raises(Failed, match=r"f\(2\) gives 5, expected 4"):
        expect("f(2)", lambda: 5, 4)
    with pytest.raises(Failed, match="expected ValueError"):
        expect_error("f(0)", lambda: 5)
    with pytest.raises(Failed, match="raises KeyError: 'x', expected ValueError"):
        expect_error("f(0)", lambda: {}["x"])
