"""Inputs of the Python & ML course: real where they are at hand, else twins of the same form."""

import io
from pathlib import Path

import numpy as np
import pytest

from utils import course_files, data
from utils.datasets import STAND_IN
from utils.leaks import require_disjoint

LOADERS = (
    *(course_files.titanic, course_files.matrices, course_files.knn_points, course_files.tracks),
    *(course_files.tracks_to_clean, course_files.convolution, course_files.boxes),
    course_files.network_text,
)


def form(inputs: object) -> object:
    """Types, shapes and columns, without the values."""
    if isinstance(inputs, dict):
        return {name: form(value) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(map(form, inputs))
    if isinstance(inputs, np.ndarray):
        return inputs.shape
    return sorted(inputs.columns) if hasattr(inputs, "columns") else type(inputs)


@pytest.mark.parametrize("load", LOADERS)
def test_a_twin_says_so_and_has_the_form_of_the_real_file(load, request, capsys):
    real = load()
    capsys.readouterr()
    request.getfixturevalue("no_data")
    twin = load()
    printed = capsys.readouterr().out
    assert twin.is_stand_in
    assert printed.startswith(STAND_IN)
    assert printed.count("\n") == 1
    assert form(twin.inputs) == form(real.inputs)
    assert form(load().inputs) == form(twin.inputs)
    assert twin.source == "a generated twin"


def test_a_table_without_a_column_is_refused():
    with pytest.raises(data.DataError, match="has no column Y, Z; it has X"):
        course_files.read_table(io.StringIO("X\n1\n"), ("X", "Y", "Z"))
    with pytest.raises(data.DataError, match="is no table"):
        course_files.read_table(io.StringIO(""), ("X",))


def test_an_object_file_runs_no_code(tmp_path: Path):
    path = tmp_path / "points.npy"
    np.save(path, {"X_train": np.eye(2)}, allow_pickle=True)
    np.testing.assert_array_equal(course_files.read_object(path)["X_train"], np.eye(2))
    np.save(path, {"X_train": Path}, allow_pickle=True)
    with pytest.raises(data.DataError, match="no plain data"):
        course_files.read_object(path)
    path.write_bytes(b"<html>")
    with pytest.raises(data.DataError, match="is no .npy file"):
        course_files.read_object(path)


def test_the_competition_has_three_splits_without_doubles(no_data: Path, capsys):
    found = course_files.image_competition()
    assert capsys.readouterr().out.startswith(STAND_IN)
    things = found.labelled
    sizes = [len(split) for split in (things.train, things.validation, things.test)]
    assert sizes == [1750, 375, 375]
    require_disjoint(train=things.train.images, test=things.test.images)
    assert set(things.validation.labels) == set(range(125))
    assert len(found.asked) == len(set(found.filenames)) == 500


def test_equal_images_stay_in_one_split():
    images = np.arange(40, dtype=np.uint8).repeat(12).reshape(40, 2, 2, 3)
    images[20:] = images[:20]
    splits = course_files._three_splits(images, np.zeros(40, dtype=np.int64))
    require_disjoint(**{str(n): split.images for n, split in enumerate(splits)})
    assert sum(map(len, splits)) == 40
