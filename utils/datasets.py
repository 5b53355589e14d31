"""Typed data sets: frozen records whose splits are disjoint by construction."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils import data

STAND_IN = "Stand-in data:"  # begins the one sentence printed whenever real data cannot be had


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W) or (N, H, W, 3) in 0 … 255, and labels int64 (N,), N ≥ 1.

    Raises ValueError when they are anything else.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64, one for each of the {len(self.images)} images; "
                f"got {self.labels.dtype} {self.labels.shape}."
            )
        if self.labels.min() < 0:
            raise ValueError(f"labels must be class numbers from 0; found {self.labels.min()}.")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set of images in three disjoint splits.

    ``source`` says in words what was read, ``sha256`` maps each file read to its hash, and
    ``is_stand_in`` is True when the real data could not be had.
    """

    train: Split
    validation: Split
    test: Split
    name: str
    source: str
    sha256: Mapping[str, str]
    is_stand_in: bool = False

    @property
    def development(self) -> Split:
        """Train and validation joined, for a final refit once every choice is made."""
        parts = (self.train, self.validation)
        return Split(
            np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts])
        )


def check_images(images: NDArray) -> None:
    """Raise ValueError unless images are uint8 (N, H, W) or (N, H, W, 3) with N ≥ 1."""
    shape = images.shape
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3):
        raise ValueError(f"images must have shape (N, H, W) or (N, H, W, 3); got {shape}.")
    if images.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8 in 0 … 255; got {images.dtype}"
            + (f" in {images.min():g} … {images.max():g}." if images.size else ".")
        )
    if not images.size:
        raise ValueError(f"an empty data set: got images of shape {shape}.")


def as_float(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images uint8 (N, H, W[, 3]) as float32 (N, C, H, W) in [0, 1]: what a network reads.

    Raises ValueError for another shape or type, so that nothing is divided by 255 twice.
    """
    check_images(images)
    channels_last = images if images.ndim == 4 else images[..., None]
    return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2), dtype=np.float32) / 255


def mnist() -> ImageData:
    """Handwritten digits: images uint8 (N, 28, 28), labels 0 … 9.

    train 50,000 (the first of the official training set), validation 10,000 (its last), test
    10,000 (the official test set). Without a network: the stand-in, with one printed sentence.
    """
    try:
        return _official_mnist()
    except data.Unavailable as reason:
        print(
            f"{STAND_IN} MNIST cannot be had here. {reason} This run uses the 1,797 small digits "
            "that come with scikit-learn, resized to 28×28."
        )
        return _small_digits()


def _official_mnist() -> ImageData:
    names = ("train-images", "train-labels", "test-images", "test-labels")
    paths = [data.fetch(f"mnist-{name}") for name in names]
    images, labels, test_images, test_labels = (read_idx(path) for path in paths)
    labels, test_labels = labels.astype(np.int64), test_labels.astype(np.int64)
    return ImageData(
        train=Split(images[:50_000], labels[:50_000]),
        validation=Split(images[50_000:], labels[50_000:]),
        test=Split(test_images, test_labels),
        name="MNIST",
        source="the four official files",
        sha256={path.name: data.sha256(path) for path in paths},
    )


def _small_digits() -> ImageData:
    """1,197 / 300 / 300 digits of scikit-learn: 8×8 drawn as 20×20 in a frame of 4, as MNIST."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = np.round(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    large = [Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC) for image in small]
    images = np.pad(np.stack([np.asarray(image) for image in large]), ((0, 0), (4, 4), (4, 4)))
    labels = digits.target.astype(np.int64)
    cuts = (slice(0, 1197), slice(1197, 1497), slice(1497, None))
    return ImageData(
        *(Split(images[cut], labels[cut]) for cut in cuts),
        name="MNIST",
        source="a stand-in made from scikit-learn's digits",
        sha256={},
        is_stand_in=True,
    )


def mnist_100(per_class: tuple[int, int, int] = (500, 100, 100), *, seed: int = 0) -> ImageData:
    """Pairs of MNIST digits side by side: images uint8 (N, 28, 56), label = 10 · left + right.

    train, validation and test hold ``per_class`` pairs of each of the 100 classes, 50,000, 10,000
    and 10,000 unless told, in random order. The pairs of a split are made of the digits of the
    same split of ``mnist``, so no digit image occurs in two splits; within one, every image of a
    digit is used equally often, give or take one on each side. Without a network: pairs of the
    stand-in's digits.
    """
    digits, rng = mnist(), np.random.default_rng(seed)
    splits = (digits.train, digits.validation, digits.test)
    return ImageData(
        *(_pairs(split, count, rng) for split, count in zip(splits, per_class, strict=True)),
        name="MNIST-100",
        source=f"pairs of digits of {digits.name}, {digits.source}; seed {seed}",
        sha256=digits.sha256,
        is_stand_in=digits.is_stand_in,
    )


def _pairs(digits: Split, per_class: int, rng: np.random.Generator) -> Split:
    labels = rng.permutation(np.repeat(np.arange(100), per_class))
    halves = [digits.images[_places(digits.labels, half, rng)] for half in divmod(labels, 10)]
    return Split(np.concatenate(halves, axis=2), labels)


def _places(labels: NDArray, wanted: NDArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """For each wanted digit the place of one, each place used as often as any other of it."""
    places = np.empty(len(wanted), dtype=np.int64)
    for digit in np.unique(wanted):
        here = wanted == digit
        places[here] = np.resize(rng.permutation(np.flatnonzero(labels == digit)), here.sum())
    return places


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Array of a gzipped IDX file of unsigned bytes (the format of MNIST).

    Header, big-endian: two zero bytes, type 8, number of axes, then each length in four bytes.
    Raises DataError when the file is something else.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise data.DataError(f"{path.name} is not a gzip file: {error}.") from error
    if raw[:3] != b"\0\0\x08":
        raise data.DataError(f"{path.name} is not an IDX file of unsigned bytes.")
    axes = raw[3]
    shape = tuple(np.frombuffer(raw, ">u4", axes, offset=4)) if len(raw) >= 4 + 4 * axes else ()
    values = np.frombuffer(raw, np.uint8, offset=min(len(raw), 4 + 4 * axes))
    if not shape or values.size != np.prod(shape, dtype=np.int64):
        raise data.DataError(f"{path.name} says it holds {shape}, but has {values.size} bytes.")
    return values.reshape(shape).copy()  # a copy of its own, so that torch may share it
