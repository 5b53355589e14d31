"""CIFAR-100: one set of splits from pack and archive, a pickle that cannot run code, a stand-in."""

import io
import os
import pickle
import tarfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from utils import data, datasets
from utils.datasets import CIFAR100_CLASSES, STAND_IN, cifar10, cifar100, read_pickle, read_strips
from utils.leaks import shared

RNG = np.random.default_rng(0)
LABELS = {"train": np.repeat(np.arange(100), 60), "test": np.repeat(np.arange(100), 2)}
IMAGES = {
    part: RNG.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    for part, labels in LABELS.items()
}


def pack(path: Path, part: str, order: np.ndarray) -> Path:
    """A pack as the course reads them: strips of 500 images, losslessly compressed."""
    images, files = IMAGES[part][order], []
    for start in range(0, len(images), 500):
        stream = io.BytesIO()
        strip = images[start : start + 500].reshape(-1, 32, 3)
        Image.fromarray(strip).save(stream, "WEBP", lossless=True, quality=0, method=0)
        files.append(np.frombuffer(stream.getvalue(), np.uint8))
    offsets = np.cumsum([0, *map(len, files)])
    labels = LABELS[part][order].astype(np.uint8)
    np.savez(path, blob=np.concatenate(files), offsets=offsets, labels=labels)
    return path


def archive(path: Path, spoil=lambda batch: batch) -> Path:
    """An archive as the official one: pickles of rows of bytes, red before green before blue."""
    with tarfile.open(path, "w:gz") as tar:
        for part in ("train", "test"):
            rows = IMAGES[part].transpose(0, 3, 1, 2).reshape(-1, 3072)
            batch = {b"data": rows, b"fine_labels": LABELS[part].tolist(), b"batch_label": b"x"}
            content = pickle.dumps(spoil(batch), protocol=2)
            info = tarfile.TarInfo(f"cifar-100-python/{part}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def archive10(path: Path) -> Path:
    """The same images in the form of CIFAR-10: five training files, and labels 0 … 9."""
    parts = {f"data_batch_{i}": ("train", slice(1200 * i - 1200, 1200 * i)) for i in range(1, 6)}
    with tarfile.open(path, "w:gz") as tar:
        for name, (part, rows) in (parts | {"test_batch": ("test", slice(None))}).items():
            images = IMAGES[part][rows].transpose(0, 3, 1, 2).reshape(-1, 3072)
            batch = {b"data": images, b"labels": (np.arange(len(images)) % 10).tolist()}
            content = pickle.dumps(batch, protocol=2)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def from_archive(tmp_path_factory) -> datasets.ImageData:
    path = archive(tmp_path_factory.mktemp("archive") / "cifar-100-python.tar.gz")
    with mock.patch.object(data, "fetch", return_value=path):
        return cifar100()


def test_the_archive_gives_splits_of_even_classes(from_archive):
    assert [len(s) for s in vars(from_archive).values() if isinstance(s, datasets.Split)] == [
        1000,
        5000,
        200,
    ]
    assert set(np.bincount(from_archive.validation.labels)) == {50}
    assert set(np.bincount(from_archive.train.labels)) == {10}
    assert not len(shared(from_archive.train.images, from_archive.validation.images))
    assert from_archive.source == "the official archive"
    label_of = {i.tobytes(): n for i, n in zip(IMAGES["train"], LABELS["train"], strict=True)}
    split = from_archive.train
    assert all(label_of[i.tobytes()] == n for i, n in zip(split.images, split.labels, strict=True))


def test_cifar10_is_read_from_five_files(tmp_path: Path):
    path = archive10(tmp_path / "cifar-10-python.tar.gz")
    with mock.patch.object(data, "fetch", return_value=path):
        found = cifar10()
    assert [len(found.train), len(found.validation), len(found.test)] == [1000, 5000, 200]
    assert set(np.bincount(found.validation.labels)) == {500}
    assert found.name == "CIFAR-10"
    with pytest.raises(data.DataError, match="is not the archive of CIFAR-100"):
        datasets._read_cifar(path, datasets._CIFAR100, "train")


def test_packs_in_another_order_give_the_same_splits(from_archive, tmp_path: Path):
    paths = {
        f"cifar100-{part}": pack(tmp_path / f"{part}.webp.npz", part, RNG.permutation(len(labels)))
        for part, labels in LABELS.items()
    }
    with mock.patch.object(data, "fetch", paths.get):
        from_packs = cifar100()
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(from_packs, part), getattr(from_archive, part)
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert from_packs.source == "two lossless packs"
    assert set(from_packs.sha256) == {"train.webp.npz", "test.webp.npz"}


def test_an_image_that_occurs_twice_is_never_held_out(tmp_path: Path):
    images = IMAGES["train"].copy()
    images[60:65] = images[0]
    images[66] = images[65]
    with mock.patch.dict(IMAGES, train=images):
        path = archive(tmp_path / "twice.tar.gz")
    with mock.patch.object(data, "fetch", return_value=path):
        found = cifar100()
    assert not len(shared(found.train.images, found.validation.images))
    assert set(np.bincount(found.validation.labels)) == {50}


class Evil:
    """A pickle that would create a file when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_pickle_cannot_run_code(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "evil.tar.gz", lambda batch: batch | {b"more": Evil()})
    with (
        mock.patch.object(data, "fetch", return_value=path),
        pytest.raises(data.DataError, match=r"no plain data \(it asks for posix.mkdir\)"),
    ):
        cifar100()
    assert not (tmp_path / "pwned").exists()


def test_plain_pickles_of_both_pythons_are_read():
    python2 = b"\x80\x02}q\x01U\x05labelq\x02]q\x03(K\x01K\x02es."  # {'label': [1, 2]}
    assert read_pickle(python2, "x") == {b"label": [1, 2]}
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for protocol in (2, 4, 5):
        loaded = read_pickle(pickle.dumps({b"data": array}, protocol), "x")
        np.testing.assert_array_equal(loaded[b"data"], array)


@pytest.mark.parametrize("content", [b"", b"<html>", pickle.dumps([1, 2])[:-3]])
def test_a_damaged_pickle_is_named(content: bytes):
    with pytest.raises(data.DataError, match="^train is not read"):
        read_pickle(content, "train")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda batch: [1, 2],
        lambda batch: {b"data": batch[b"data"]},
        lambda batch: batch | {b"data": batch[b"data"][:, :100]},
        lambda batch: batch | {b"fine_labels": [1, 2]},
    ],
)
def test_an_archive_of_something_else_is_refused(spoil, tmp_path: Path):
    path = archive(tmp_path / "a.tar.gz", spoil)
    with pytest.raises(data.DataError, match=r"a\.tar\.gz holds no images of CIFAR-100 in test"):
        datasets._read_cifar(path, datasets._CIFAR100, "test")


def test_a_truncated_archive_is_refused(tmp_path: Path):
    path = archive(tmp_path / "a.tar.gz")
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(data.DataError, match="is not the archive"):
        datasets._read_cifar(path, datasets._CIFAR100, "train")


@pytest.mark.parametrize("content", [{"blob": np.zeros(5, np.uint8)}, None], ids=str)
def test_a_file_that_is_no_pack_is_refused(content, tmp_path: Path):
    path = tmp_path / "p.npz"
    if content is None:
        path.write_bytes(b"<html>404</html>")
    else:
        np.savez(path, **content, offsets=np.array([0, 5]), labels=np.zeros(3, np.uint8))
    with pytest.raises(data.DataError, match="p.npz is not a pack of images"):
        read_strips(path)


def test_a_pack_with_a_label_too_few_is_refused(tmp_path: Path):
    path = pack(tmp_path / "p.npz", "test", np.arange(200))
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, "labels": arrays["labels"][:-1]})
    with pytest.raises(data.DataError, match="200 images, but 199 labels"):
        read_strips(path)


@pytest.mark.parametrize(("loader", "classes"), [(cifar10, 10), (cifar100, 100)])
def test_the_stand_in_says_so_and_has_the_same_form(loader, classes, no_data: Path, capsys):
    photos = loader()
    printed = capsys.readouterr().out
    assert photos.is_stand_in
    assert printed.startswith(STAND_IN)
    assert printed.count("\n") == 1
    assert [len(photos.train), len(photos.validation), len(photos.test)] == [2000, 500, 1000]
    assert photos.train.images.shape[1:] == (32, 32, 3)
    assert set(photos.test.labels) == set(range(classes))
    np.testing.assert_array_equal(photos.test.images, loader().test.images)


def test_real_cifar100_where_it_is_at_hand(capsys):
    photos = cifar100()
    if photos.is_stand_in:
        pytest.skip("no real CIFAR-100 on this machine")
    assert capsys.readouterr().out == ""
    assert [len(photos.train), len(photos.validation), len(photos.test)] == [45_000, 5_000, 10_000]
    assert set(np.bincount(photos.validation.labels)) == {50}
    assert not len(shared(photos.train.images, photos.validation.images))
    pixels = photos.development.images / 255
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), [0.50707516, 0.48654887, 0.44091784])
    np.testing.assert_allclose(pixels.std((0, 1, 2)), [0.26733429, 0.25643846, 0.27615047])
    path = data.fetch("cifar100-test")
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            assert tuple(n.decode() for n in arrays["class_names"]) == CIFAR100_CLASSES


def test_the_classes_have_names():
    assert len(set(CIFAR100_CLASSES)) == 100
    assert list(CIFAR100_CLASSES) == sorted(CIFAR100_CLASSES)
