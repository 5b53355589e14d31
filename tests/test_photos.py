"""Photographs in folders: found and read, every fault named, stand-ins, and the full faces."""

import os
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from utils import data, photos
from utils.datasets import STAND_IN


def write(path: Path, size: tuple[int, int] = (40, 30), colour=(200, 30, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, three photographs, of which one is grey and one stands in a folder below."""
    write(tmp_path / "dog" / "b.jpg", (30, 60))
    write(tmp_path / "cat" / "a.JPG")
    Image.new("L", (20, 20), 128).save(write(tmp_path / "cat" / "more" / "c.png"))
    (tmp_path / "cat" / "notes.txt").write_text("no photograph")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_photographs_are_found_by_class(folder: Path):
    found = photos.find(folder)
    assert found.class_names == ("cat", "dog")
    assert [p.name for p in found.paths] == ["a.JPG", "c.png", "b.jpg"]
    assert found.labels.tolist() == [0, 0, 1]
    assert found.labels.dtype == np.int64
    assert found.counts() == {"cat": 2, "dog": 1}
    assert found.take([2, 0]).labels.tolist() == [1, 0]
    assert found.take([2]).counts() == {"cat": 0, "dog": 1}


def test_arrays_are_square_and_rgb(folder: Path):
    images = photos.squares(photos.find(folder), 16)
    assert (images.shape, images.dtype) == ((3, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(images[1], np.full((16, 16, 3), 128))


def test_the_middle_is_cut_out_and_nothing_is_squeezed(tmp_path: Path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "wide.png")
    assert photos.squares(photos.find(tmp_path), 10).min() == 255


def test_a_photo_set_gives_changed_photographs_and_labels(folder: Path):
    examples = photos.PhotoSet(photos.find(folder), lambda pixels: pixels[:, :8, :8] / 255)
    image, label = examples[2]
    assert (len(examples), label) == (3, 1)
    assert (image.shape, image.dtype) == ((3, 8, 8), torch.float32)
    batch, labels = next(iter(torch.utils.data.DataLoader(examples, batch_size=3)))
    assert (batch.shape, labels.tolist()) == ((3, 3, 8, 8), [0, 0, 1])


def test_an_empty_class_folder_is_named(folder: Path):
    (folder / "wild").mkdir()
    with pytest.raises(data.DataError, match=r"class folder .*wild is empty") as error:
        photos.find(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("place", "words"), [("nowhere", "is no folder"), ("dog", "has no class folders")]
)
def test_a_folder_without_classes_is_refused(place: str, words: str, folder: Path):
    with pytest.raises(data.DataError, match=words):
        photos.find(folder / place)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.98], ids=str)
def test_a_cut_off_picture_is_named_in_one_sentence(suffix: str, kept, tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = tmp_path / "cat" / f"spoilt{suffix}"
    path.parent.mkdir()
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(data.DataError, match=rf"^cat/spoilt{suffix} cannot be read.*\.$"):
        photos.read(path)


def test_a_page_that_pretends_to_be_a_picture_is_named(tmp_path: Path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "page.jpg").write_text("<html>404</html>")
    with pytest.raises(data.DataError, match="cat/page.jpg"):
        photos.squares(photos.find(tmp_path), 8)


LOADERS = {
    photos.animal_faces: ({"cat": 10, "dog": 6, "wild": 10}, {"cat": 9, "dog": 5, "wild": 5}),
    photos.cats_dogs: ({"cat": 250, "dog": 250}, {"cat": 100, "dog": 100}),
    photos.ants_bees: ({"ants": 123, "bees": 121}, {"ants": 70, "bees": 83}),
}


@pytest.mark.parametrize("loader", LOADERS)
def test_the_real_photographs_where_they_are_at_hand(loader, capsys):
    found = loader()
    if found.is_stand_in:
        pytest.skip("no real photographs on this machine")
    assert (found.train.counts(), found.test.counts()) == LOADERS[loader]
    assert capsys.readouterr().out == ""
    assert list(found.sha256.values()) == [data.sha256(data.fetch(_entry(found)))]
    some = photos.squares(found.test, 24)
    assert len(np.unique(some.reshape(len(some), -1), axis=0)) == len(some)


def _entry(found: photos.Photos) -> str:
    (file,) = found.sha256
    return next(n for n, e in data.catalogue().items() if e.files[0].path.endswith(file))


@pytest.mark.parametrize("loader", LOADERS)
def test_the_stand_in_says_so_and_has_the_same_form(loader, no_data: Path, capsys):
    found = loader()
    printed = capsys.readouterr().out
    assert found.is_stand_in
    assert printed.startswith(STAND_IN)
    assert printed.count("\n") == 1
    assert found.train.class_names == tuple(LOADERS[loader][0])
    assert set(found.train.counts().values()) == {30}
    assert photos.squares(found.test, 32).std() > 20
    again = photos.squares(loader().train, 32)
    np.testing.assert_array_equal(again, photos.squares(found.train, 32))


SMALL = {"train": {"cat": 3, "dog": 2, "wild": 2}, "val": {"cat": 1, "dog": 1, "wild": 1}}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A generated folder with the layout of the official animal faces, 40 pixels wide."""
    root = tmp_path / "downloads" / "afhq"
    for part, counts in SMALL.items():
        for label, (name, count) in enumerate(counts.items()):
            for i in range(count):
                write(root / part / name / f"flickr_{name}_{i:06}.jpg", (40, 40), (90 * label,) * 3)
    return root


def test_all_animal_faces_are_read_from_a_folder(faces: Path):
    for place in (faces, faces.parent):
        found = photos.all_animal_faces(place, SMALL)
        assert (len(found.train), len(found.test)) == (7, 3)
        assert not found.is_stand_in


def zipped(faces: Path) -> Path:
    path = faces.parent / "afhq.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(faces.rglob("*.jpg")):
            archive.write(file, file.relative_to(faces.parent))
    return path


def test_all_animal_faces_are_read_from_a_zip_file(faces: Path, tmp_path: Path):
    with mock.patch.dict(os.environ, NN_COURSE_DATA=str(tmp_path / "cache")):
        assert len(photos.all_animal_faces(zipped(faces), SMALL).train) == 7


def test_a_face_too_few_is_told(faces: Path):
    (faces / "train" / "dog" / "flickr_dog_000001.jpg").unlink()
    with pytest.raises(data.DataError, match=r"'dog': 1.*the animal faces are .*'dog': 2"):
        photos.all_animal_faces(faces, SMALL)


def test_the_official_counts_make_16130_faces():
    assert sum(sum(counts.values()) for counts in photos.FACES.values()) == 16_130


def test_the_official_address_is_downloaded_once(faces: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("NN_COURSE_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NN_COURSE_OFFLINE", "")
    asked, whole = [], zipped(faces).read_bytes()

    def download(self, url, output_file, pooch):
        asked.append(url)
        Path(output_file).write_bytes(whole)

    with mock.patch("pooch.HTTPDownloader.__call__", download):
        for _ in range(2):
            assert len(photos.all_animal_faces(counts=SMALL).test) == 3
    assert asked == [photos.FACES_URL]
