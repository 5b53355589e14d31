"""Features and heads; and the command for the full animal faces, on a generated folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from utils import photos, transfer
from utils.backbones import mobilenet_v1

CLASSES = ("cat", "dog", "wild")
COUNTS = {"train": dict.fromkeys(CLASSES, 30), "val": dict.fromkeys(CLASSES, 15)}


@pytest.fixture(scope="module")
def faces() -> Path:
    return photos.generated(CLASSES)


@pytest.fixture
def model():
    return mobilenet_v1(torch.Generator().manual_seed(0)).eval()


def test_features_follow_the_photographs_whatever_the_batch(faces: Path, model):
    folder = photos.find(faces / "val").take(range(7))
    features = transfer.photo_features(model, folder, 64)
    assert (features.shape, features.dtype) == ((7, 256), np.float32)
    by_threes = transfer.photo_features(model, folder, 64, batch=3)
    np.testing.assert_allclose(by_threes, features, atol=1e-5)


def test_a_mirrored_photograph_has_the_same_features(tmp_path: Path, faces: Path, model):
    (tmp_path / "cat").mkdir()
    first = photos.read(photos.find(faces / "val").paths[0])
    first.save(tmp_path / "cat" / "a.png")
    first.transpose(0).save(tmp_path / "cat" / "b.png")  # left and right exchanged
    features = transfer.photo_features(model, photos.find(tmp_path), 96)
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)


def test_a_head_chooses_its_strength_by_cross_validation():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    head = transfer.chosen_head(rng.normal(labels[:, None], 0.4, (60, 3)), labels)
    assert head.best_score_ > 0.9
    assert set(head.best_params_) == {"logisticregression__C"}


def test_the_command_for_all_faces_learns_from_a_folder(faces: Path, capsys):
    assert transfer.main([str(faces), "--size", "64"], counts=COUNTS) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2] == "90 faces learned, 45 tested"
    floor = 0.2 if transfer.mobilenet().is_stand_in else 0.6  # random weights know nothing
    assert float(printed[-1].split()[2]) > floor


def test_the_command_says_what_is_missing(faces: Path, tmp_path: Path, capsys):
    assert transfer.main([str(tmp_path / "nowhere")]) == 1
    assert "is no folder" in capsys.readouterr().out
    shutil.copytree(faces, tmp_path / "faces")
    assert transfer.main([str(tmp_path / "faces")]) == 1
    assert "the animal faces are" in capsys.readouterr().out
