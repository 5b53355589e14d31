"""Stored weights: whole, hashed, never code."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from utils import models


def test_arrays_go_and_come_back(tmp_path: Path):
    state = {"weight": np.arange(6.0).reshape(2, 3), "bias": np.zeros(2)}
    path = models.save("net", state, result="an-id", folder=tmp_path)
    assert path.name == "net.npz"
    loaded = models.load("net", folder=tmp_path)
    assert loaded.keys() == state.keys()
    np.testing.assert_array_equal(loaded["weight"], state["weight"])
    entry = models.index(tmp_path)["net"]
    assert (entry["bytes"], entry["result"]) == (path.stat().st_size, "an-id")


def test_tensors_go_and_come_back(tmp_path: Path):
    state = torch.nn.Linear(3, 2).state_dict()
    assert models.save("net", state, result="an-id", folder=tmp_path).name == "net.pt"
    assert torch.equal(models.load("net", folder=tmp_path)["weight"], state["weight"])


def test_a_second_model_joins_the_list(tmp_path: Path):
    for name in ("b", "a"):
        models.save(name, {"x": np.zeros(1)}, result="an-id", folder=tmp_path)
    assert list(models.index(tmp_path)) == ["a", "b"]


def test_a_changed_file_is_refused(tmp_path: Path):
    path = models.save("net", {"x": np.zeros(1)}, result="an-id", folder=tmp_path)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match="make reproduce ID=an-id"):
        models.load("net", folder=tmp_path)


def test_an_unknown_model_lists_the_known_ones(tmp_path: Path):
    with pytest.raises(KeyError, match="no model called 'net'"):
        models.load("net", folder=tmp_path)


def test_a_failed_save_leaves_the_old_model(tmp_path: Path):
    models.save("net", {"x": np.ones(1)}, result="an-id", folder=tmp_path)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        models.save("net", {"x": lambda: None}, result="an-id", folder=tmp_path)
    assert models.load("net", folder=tmp_path)["x"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"net.npz", "index.json"}


@pytest.mark.parametrize(
    ("recording", "seed", "kept"), [(None, "0", False), ("1", "1", False), ("1", "0", True)]
)
def test_only_the_recorded_run_of_seed_0_keeps_its_weights(recording, seed, kept, monkeypatch):
    saved = []
    monkeypatch.setattr(models, "save", lambda name, state, result: saved.append((name, result)))
    monkeypatch.delenv("NN_COURSE_RECORD", raising=False)
    if recording:
        monkeypatch.setenv("NN_COURSE_RECORD", recording)
    monkeypatch.setenv("NN_COURSE_SEED", seed)
    models.keep("net", {}, result="an-id")
    assert saved == [("net", "an-id")] * kept


def test_halved_weights_are_half_as_large_and_load_again():
    layer = torch.nn.BatchNorm1d(3)
    state = models.halved(layer.state_dict())
    assert {t.dtype for t in state.values()} == {torch.float16, torch.int64}
    layer.load_state_dict(state)
    assert layer.weight.dtype == torch.float32


def test_a_network_of_torch_is_stored_as_plain_arrays(tmp_path):
    layer = torch.nn.Linear(2, 3)
    state = models.arrays(layer.state_dict())
    assert models.save("net", state, result="an-id", folder=tmp_path).name == "net.npz"
    np.testing.assert_array_equal(models.load("net", folder=tmp_path)["bias"], layer.bias.detach())


def test_what_batch_norm_has_counted_was_not_learned():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    assert models.learned(layers.state_dict()) == sum(p.numel() for p in layers.parameters())


def test_the_courses_own_models_load():
    for name, entry in models.index().items():
        assert models.learned(models.load(name)) == entry["parameters"]
