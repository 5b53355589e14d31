"""Recorded runs: handed over, stored whole, read back; and their intervals."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from utils import results
from utils.history import History
from utils.results import Result, interval, read, record, recorded, write


def data_set(is_stand_in: bool = False) -> SimpleNamespace:
    parts = dict.fromkeys(("train", "validation", "test"), [0] * 5)
    return SimpleNamespace(
        name="MNIST", source="files", sha256={"a": "b"}, is_stand_in=is_stand_in, **parts
    )


def test_record_does_nothing_outside_a_reproduction(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("NN_COURSE_RECORD", raising=False)
    record("an-id", test_accuracy=float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_record_hands_over_metrics_history_and_data(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("NN_COURSE_RECORD", str(tmp_path))
    history = History()
    history.append(epoch=1, loss=0.5)
    record("an-id", on=data_set(), history=history, test_accuracy=np.float64(0.9))
    record("an-id", seconds=3)
    handed = json.loads((tmp_path / "an-id.json").read_text())
    assert handed["metrics"] == {"test_accuracy": 0.9, "seconds": 3.0}
    assert handed["history"] == [{"epoch": 1.0, "loss": 0.5}]
    assert handed["data"]["splits"] == {"train": 5, "validation": 5, "test": 5}


@pytest.mark.parametrize(
    ("metrics", "on"),
    [({"x": 1}, data_set(True)), ({"x": float("nan")}, None), ({"known": 1}, None)],
    ids=["stand-in", "nan", "twice"],
)
def test_numbers_that_do_not_count_are_refused(metrics, on, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("NN_COURSE_RECORD", str(tmp_path))
    record("an-id", known=1)
    with pytest.raises(ValueError, match="an-id"):
        record("an-id", on=on, **metrics)


def test_a_result_is_written_whole_and_read_back(tmp_path: Path):
    metrics = {"accuracy": {"values": [0.5, 0.7]}}
    write("an-id", {"metrics": metrics, "histories": [[{"epoch": 1.0}]]}, tmp_path)
    result = read("an-id", tmp_path)
    assert result.mean("accuracy") == pytest.approx(0.6)
    assert result.histories[0]["epoch"] == [1.0]
    assert [path.name for path in tmp_path.iterdir()] == ["an-id.json"]
    with pytest.raises(KeyError, match="accuracy"):
        result.values("loss")


def test_a_failed_write_leaves_the_old_result(tmp_path: Path):
    write("an-id", {"metrics": {}}, tmp_path)
    with pytest.raises(TypeError):
        write("an-id", {"metrics": object()}, tmp_path)
    assert read("an-id", tmp_path).fields == {"metrics": {}}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_result_names_the_command(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="make reproduce ID=no-such"):
        read("no-such", tmp_path)


def test_all_recorded_runs_are_read_in_order(tmp_path: Path):
    for id in ("b", "a"):
        write(id, {"metrics": {"accuracy": {"values": [0.5]}}}, tmp_path)
    (tmp_path / "claims.toml").write_text("", "utf-8")
    runs = recorded(tmp_path)
    assert list(runs) == ["a", "b"]
    assert runs["b"].id == "b"
    assert runs["b"].mean("accuracy") == 0.5


def test_the_interval_is_students():
    values = [0.91, 0.93, 0.92, 0.95]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(interval(values), expected)
    assert interval([0.9]) is None
    assert Result("x", {"metrics": {"a": {"values": [1.0]}}}).interval("a") is None


def test_the_ledger_is_read():
    rows = results.ledger()
    assert rows[0].id == "constant-classifier"
    assert rows[0].claimed == 0.101
