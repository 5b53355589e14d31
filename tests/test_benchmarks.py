"""The benchmark compares like with like, and tells it as ratios."""

import json

import pytest
import torch

from benchmarks import app_load, archive, beside, imports, knn_speed, one_speed
from benchmarks.nn_speed import (
    AGREEMENT,
    CASES,
    batch,
    disagreement,
    geometric_mean,
    our_step,
    table,
    torch_step,
)
from ONE_KnowledgeDistillation.one.experiments import scale
from ONE_KnowledgeDistillation.one.losses import ONELoss
from ONE_KnowledgeDistillation.one.models import Answers
from tests.browser import free_port


@pytest.mark.parametrize("key", CASES)
def test_both_libraries_train_the_same_network(key: str):
    case = CASES[key]
    net, step = our_step(case, *batch(case))
    reference, their_step = torch_step(case, *batch(case), net.state_dict())
    assert disagreement(net, reference, step, their_step) <= AGREEMENT


def test_the_table_shows_ratios_their_quartiles_and_the_geometric_mean():
    row = {"ratio": 0.5, "low": 0.4, "high": 0.6}
    cases = {"a": row, "b": {**row, "ratio": 2.0}}
    assert geometric_mean(cases) == pytest.approx(1.0)
    words = table({1: cases, 2: cases})
    assert "| 1 thread | 2 threads |" in words
    assert "0.50 (0.40–0.60)" in words
    assert "| geometric mean | 1.00 | 1.00 |" in words


def test_the_port_of_one_has_our_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(16, 3, 10, generator=generator)
    shares = torch.rand(16, 3, generator=generator).softmax(dim=1)
    answers, labels = Answers(logits, shares), torch.arange(16) % 10
    theirs = one_speed.ported_loss(list(logits.unbind(dim=1)), answers.ensemble, labels)
    torch.testing.assert_close(theirs, ONELoss()(answers, labels))


def test_both_loops_of_one_are_timed_on_the_same_network():
    found = one_speed.measure(scale("pocket", depth=8, width=8, batch=16), count=32, rounds=3)
    assert 0 < found["low"] <= found["ratio"] <= found["high"]
    assert min(found["port"], found["ours"]) > 0


def test_drawers_ask_at_their_times_and_every_answer_counts():
    found = app_load.measure(drawers=3, seconds=0.5, workers=1, port=free_port())
    assert 0 < found["answers_a_second"] <= 30  # three drawers ask ten times a second
    assert 0 < found["milliseconds"]["p50"] <= found["milliseconds"]["p99"]
    assert found["megabytes_of_a_worker"] < 150


def test_the_lesson_and_the_library_find_the_same_neighbours():
    found = knn_speed.measure(points=300, queries=40, columns=5, rounds=2)
    assert 0 < found["low"] <= found["ratio"] <= found["high"]


def test_a_lesson_that_changed_is_noticed(monkeypatch):
    monkeypatch.setattr(knn_speed, "PARTS", ("def no_such_function(",))
    with pytest.raises(ValueError, match="0 cells of knn_vectorised.ipynb hold"):
        knn_speed.taught()


def test_an_import_has_its_time_and_memory():
    small, large = imports.measure("utils", 1), imports.measure("numpy", 1)
    assert 0 < small["milliseconds"] < large["milliseconds"]
    assert 0 < small["megabytes"] < large["megabytes"]


def test_the_notebook_of_all_lessons_may_take_longest():
    lesson, whole = "basic/perceptron.ipynb", "PythonMLCourse/PythonMLCourse.ipynb"
    assert (archive.budget(lesson), archive.budget(whole)) == (60, 300)
    told = archive.slowest({lesson: 12.0, whole: 100.0, "a": 1.0}, 2)
    assert told.splitlines() == [f"  100.0 of 300 s  {whole}", f"   12.0 of 60 s  {lesson}"]


def test_the_table_shows_what_was_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(beside, "RESULTS", tmp_path)
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    seconds = {"basic/perceptron.ipynb": 30.0, "PythonMLCourse/PythonMLCourse.ipynb": 60.0}
    (folder / "archive.json").write_text(json.dumps({"date": "", "seconds": seconds}))
    rows = {"numpy": 50.0, "utils.nn": 75.0, "torch": 1.0, "utils.training": 1.0}
    times = {name: {"milliseconds": milliseconds} for name, milliseconds in rows.items()}
    (folder / "imports.json").write_text(json.dumps(times))
    assert beside.table().splitlines()[2:] == [
        "| `import utils.nn` | `import numpy` | 1.50 |",
        "| `import utils.training` | `import torch` | 1.00 |",
        "| all notebooks | a minute for each, five for one | 0.25 |",
        "| the slowest notebook | its budget | 0.50 |",
    ]
