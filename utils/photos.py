"""Photographs in class folders: found, checked, and read as arrays or as a torch data set.

A folder of photographs has one folder a class, as ``torchvision.datasets.ImageFolder`` expects:
``train/cat/flickr_000123.jpg``. What is wrong with one is said in one sentence that names it.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from utils import data
from utils.datasets import STAND_IN

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

# The official animal faces, version 1 (Choi et al. 2020): 16,130 photographs, 512×512.
FACES_URL = "https://www.dropbox.com/s/t9l9o3vsx2jai3z/afhq.zip?dl=1"
FACES = {
    "train": {"cat": 5153, "dog": 4739, "wild": 4738},
    "val": {"cat": 500, "dog": 500, "wild": 500},
}


@dataclass(frozen=True)
class Folder:
    """Photographs in class folders: a path and a label (N,) each; labels count ``class_names``."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, places: Sequence[int] | NDArray) -> "Folder":
        """Some of the photographs, by place."""
        return Folder(tuple(self.paths[i] for i in places), self.labels[places], self.class_names)

    def counts(self) -> dict[str, int]:
        """How many photographs each class has."""
        numbers = np.bincount(self.labels, minlength=len(self.class_names)).tolist()
        return dict(zip(self.class_names, numbers, strict=True))


@dataclass(frozen=True)
class Photos:
    """Two disjoint folders of photographs, to learn from and to be tested on.

    There is no validation part: choices are made by cross-validation inside ``train``.
    ``source``, ``sha256`` and ``is_stand_in`` are as in ``ImageData``.
    """

    train: Folder
    test: Folder
    name: str
    source: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    is_stand_in: bool = False
    validation: tuple = ()


def find(root: Path) -> Folder:
    """All photographs below the class folders of ``root``, classes and files in order of name.

    Raises DataError when ``root`` is no folder or has no class folders, and when one is empty.
    """
    if not root.is_dir():
        raise data.DataError(f"{root} is no folder: photographs lie in one folder a class.")
    classes = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise data.DataError(f"{root} has no class folders, such as {root.name}/cat.")
    paths: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(classes):
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not found:
            raise data.DataError(
                f"The class folder {folder} is empty: it needs photographs ({', '.join(SUFFIXES)})."
            )
        paths += found
        labels += [label] * len(found)
    return Folder(tuple(paths), np.array(labels), tuple(p.name for p in classes))


def read(path: Path) -> Image.Image:
    """One photograph, RGB, all of its pixels there.

    Raises DataError, naming the file, when it is cut off, damaged or no picture.
    """
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise data.DataError(
            f"{path.parent.name}/{path.name} cannot be read as a picture: it is damaged or cut off."
        ) from error


def squares(folder: Folder, size: int) -> NDArray[np.uint8]:
    """Photographs as an array (N, size, size, 3): the shorter side resized, the middle cut out."""
    return np.stack([np.asarray(_square(read(path), size)) for path in folder.paths])


def _square(picture: Image.Image, size: int) -> Image.Image:
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BILINEAR, box=box)


class PhotoSet(Dataset):
    """A folder as torch's data loaders read it: (``change`` of a photograph, its label).

    A photograph is read from its file each time, as uint8 (3, H, W) of its own size; ``change``
    makes all of one size, and may differ each time (data augmentation).
    """

    def __init__(self, folder: Folder, change: Callable[[Tensor], Tensor]) -> None:
        self.folder, self.change = folder, change

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        pixels = torch.from_numpy(np.array(read(self.folder.paths[place])))  # (H, W, 3)
        return self.change(pixels.permute(2, 0, 1)), int(self.folder.labels[place])


def animal_faces() -> Photos:
    """45 faces of cats, dogs and wild animals, 256×256: 26 to learn from and 19 to test.

    A pack with some of the 16,130 of ``all_animal_faces``; a stand-in where it is not at hand.
    """
    return _pack("animal faces", "animal-faces-mini", "afhq_mini", ("cat", "dog", "wild"))


def cats_dogs() -> Photos:
    """Cats and dogs at about 96×96: 250 a class to learn from, 100 a class to test."""
    return _pack("cats and dogs", "cats-dogs", "cats_dogs", ("cat", "dog"))


def ants_bees() -> Photos:
    """Ants and bees, 144 pixels, from PyTorch's transfer tutorial: 244 to learn from, 153 to test.

    They were taken from ImageNet, so a network that learned on ImageNet may have seen them.
    """
    return _pack("ants and bees", "hymenoptera", "hymenoptera_data", ("ants", "bees"))


def _pack(name: str, entry: str, folder: str, classes: tuple[str, ...]) -> Photos:
    try:
        archive = data.fetch(entry)
    except data.Unavailable as reason:
        print(
            f"{STAND_IN} the photographs of {name} cannot be had here. {reason} This run uses "
            "generated pictures of stripes."
        )
        root = generated(classes)
        parts = find(root / "train"), find(root / "val")
        return Photos(*parts, name, "a stand-in of generated pictures", is_stand_in=True)
    root = data.unpack(archive) / folder
    proof = {archive.name: data.sha256(archive)}
    return Photos(
        find(root / "train"), find(root / "val"), name, data.catalogue()[entry].about, proof
    )


def all_animal_faces(
    source: str | Path = FACES_URL, counts: Mapping[str, Mapping[str, int]] = FACES
) -> Photos:
    """All 16,130 animal faces, from a folder, a zip file, or the official address (about 0.7 GB).

    No sha256 of the zip is published, so the number of photographs of each class is checked.
    Raises DataError where it differs, and Unavailable as ``utils.data`` does.
    """
    if str(source).startswith(("http://", "https://")):
        source = data.fetch_unlisted(str(source), "images/afhq.zip")
    path = Path(source).expanduser()
    root = data.unpack(path) if path.is_file() else path
    root = root / "afhq" if (root / "afhq").is_dir() else root
    parts = {part: find(root / part) for part in counts}
    for part, wanted in counts.items():
        if parts[part].counts() != dict(wanted):
            raise data.DataError(
                f"{root / part} holds {parts[part].counts()}; the animal faces are {dict(wanted)}."
            )
    total = sum(len(part) for part in parts.values())
    return Photos(parts["train"], parts["val"], "all animal faces", f"{total:,} files, {path.name}")


@cache
def generated(
    classes: tuple[str, ...], train: int = 30, test: int = 15, size: int = 96, seed: int = 0
) -> Path:
    """A folder with ``train/`` and ``val/`` of generated pictures, which lives as long as Python.

    A class is a direction of stripes, in any colours and phase, with noise; the same each time.
    """
    root, rng = Path(tempfile.mkdtemp(prefix="photos-")), np.random.default_rng(seed)
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for part, count in (("train", train), ("val", test)):
        for label, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture = _stripes(np.pi * label / len(classes), size, rng)
                Image.fromarray(picture).save(folder / f"{name}_{i:03}.png")
    return root


def _stripes(angle: float, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Stripes (size, size, 3) across a direction, give or take some degrees, in two colours."""
    angle += rng.normal(0, 0.12)
    down, right = np.mgrid[:size, :size] / size
    wave = np.sin(2 * np.pi * rng.uniform(5, 8) * (right * np.cos(angle) + down * np.sin(angle)))
    share = (0.5 + 0.5 * wave)[..., None]
    one, other = rng.uniform(0, 255, (2, 3))
    noisy = share * one + (1 - share) * other + rng.normal(0, 12, (size, size, 3))
    return noisy.clip(0, 255).astype(np.uint8)
