"""Data sets: shapes, types, disjoint splits, stand-ins, and bad files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from utils import data
from utils.datasets import STAND_IN, ImageData, Split, as_float, mnist, mnist_100, read_idx


@pytest.fixture
def stand_in(no_data: Path, capsys) -> tuple[ImageData, str]:
    """MNIST as a machine without network and cache gets it, and what was printed."""
    return mnist(), capsys.readouterr().out


def split_sizes(digits: ImageData) -> list[int]:
    return [len(split) for split in (digits.train, digits.validation, digits.test)]


def test_the_stand_in_says_so_in_one_sentence_and_has_the_same_form(stand_in):
    digits, printed = stand_in
    assert digits.is_stand_in
    assert digits.sha256 == {}
    assert printed.startswith(STAND_IN)
    assert printed.count("\n") == 1
    assert split_sizes(digits) == [1197, 300, 300]
    assert digits.train.images.shape[1:] == (28, 28)
    assert (digits.train.images.dtype, digits.train.labels.dtype) == (np.uint8, np.int64)
    assert digits.train.images.max() > 200
    assert set(digits.test.labels) == set(range(10))
    assert len(digits.development) == 1497


def test_real_mnist_where_it_is_at_hand(capsys):
    digits = mnist()
    if digits.is_stand_in:
        pytest.skip("no real MNIST on this machine")
    assert capsys.readouterr().out == ""
    assert split_sizes(digits) == [50_000, 10_000, 10_000]
    assert len(digits.development) == 60_000
    shares = np.bincount(digits.test.labels) / 10_000
    assert (shares[0], shares[1], shares[3]) == (0.0980, 0.1135, 0.1010)
    assert (digits.train.images.std(axis=0) == 0).sum() == 67  # dead pixels, of 784


@pytest.mark.parametrize("error", [data.DataError("wrong"), KeyError("x")], ids=str)
def test_only_a_missing_network_leads_to_a_stand_in(error, monkeypatch: pytest.MonkeyPatch):
    def fails(name: str):
        raise error

    monkeypatch.setattr(data, "fetch", fails)
    with pytest.raises(type(error)):
        mnist()


@pytest.fixture(scope="module")
def pairs() -> ImageData:
    return mnist_100((50, 10, 20))


def halves(split: Split) -> list[bytes]:
    """Each digit image of the pairs, left ones first."""
    return [half.tobytes() for part in np.split(split.images, 2, axis=2) for half in part]


def test_pairs_have_as_many_of_each_class_and_a_label_that_reads_both(pairs: ImageData):
    assert split_sizes(pairs) == [5_000, 1_000, 2_000]
    assert set(np.bincount(pairs.validation.labels)) == {10}
    assert pairs.train.images.shape[1:] == (28, 56)
    digits = mnist().train
    label_of = {image.tobytes(): label for image, label in zip(*vars(digits).values(), strict=True)}
    left, right = np.split(np.array([label_of[half] for half in halves(pairs.train)]), 2)
    np.testing.assert_array_equal(10 * left + right, pairs.train.labels)


def test_no_digit_image_of_the_pairs_is_in_two_splits(pairs: ImageData):
    train, validation, test = (
        set(halves(split)) for split in (pairs.train, pairs.validation, pairs.test)
    )
    assert not train & validation
    assert not (train | validation) & test


def test_pairs_use_the_images_of_a_digit_evenly_and_follow_their_seed(pairs: ImageData):
    digits, again = mnist().train.labels, mnist_100((50, 10, 20)).train
    np.testing.assert_array_equal(again.images, pairs.train.images)
    counts = np.unique(halves(pairs.train), return_counts=True)[1]
    fair = 1_000 / np.bincount(digits)  # times that an image of each digit is wanted
    assert counts.max() <= np.ceil(fair.max() / 2) * 2
    assert (mnist_100((5, 5, 5), seed=1).train.labels[:9] != again.labels[:9]).any()


def test_as_float_gives_what_a_network_reads():
    grey = np.array([[[0, 51], [102, 255]]], dtype=np.uint8)
    np.testing.assert_allclose(as_float(grey), [[[[0, 0.2], [0.4, 1]]]], atol=1e-7)
    colour = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    assert as_float(colour).shape == (1, 3, 2, 4)
    assert as_float(colour).dtype == np.float32
    assert as_float(colour).flags.c_contiguous


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 28, 28), np.float32), "uint8 in 0 … 255; got float32 in 0 … 0"),
        (np.zeros((28, 28), np.uint8), r"shape \(N, H, W\)"),
        (np.zeros((2, 28, 28, 1), np.uint8), r"shape \(N, H, W\)"),
        (np.zeros((0, 28, 28), np.uint8), "empty data set"),
    ],
    ids=["divided twice", "one image", "one channel last", "empty"],
)
def test_images_of_the_wrong_kind_are_refused(images: np.ndarray, words: str):
    with pytest.raises(ValueError, match=words):
        as_float(images)
    with pytest.raises(ValueError, match=words):
        Split(images, np.zeros(len(images), np.int64))


@pytest.mark.parametrize("labels", [np.zeros(3, np.int64), np.zeros(2), np.array([0, -1])], ids=str)
def test_labels_of_the_wrong_kind_are_refused(labels: np.ndarray):
    with pytest.raises(ValueError, match="labels must be"):
        Split(np.zeros((2, 4, 4), np.uint8), labels)


def idx(path: Path, shape: tuple[int, ...], body: bytes, magic: bytes = b"\0\0\x08") -> Path:
    header = magic + bytes([len(shape)]) + b"".join(struct.pack(">I", n) for n in shape)
    path.write_bytes(gzip.compress(header + body))
    return path


def test_idx_files_are_read(tmp_path: Path):
    array = read_idx(idx(tmp_path / "a.gz", (2, 3), bytes(range(6))))
    np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("shape", "body", "magic"),
    [((2, 3), b"12345", b"\0\0\x08"), ((2,), b"12", b"\0\0\x0d"), ((), b"", b"<h")],
)
def test_other_files_are_refused(shape, body, magic, tmp_path: Path):
    with pytest.raises(data.DataError, match=r"a\.gz"):
        read_idx(idx(tmp_path / "a.gz", shape, body, magic))


def test_a_file_that_is_no_gzip_is_refused(tmp_path: Path):
    (tmp_path / "a.gz").write_bytes(b"<html>404</html>")
    with pytest.raises(data.DataError, match="not a gzip file"):
        read_idx(tmp_path / "a.gz")
