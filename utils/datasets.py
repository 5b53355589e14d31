"""Typed data sets: frozen records whose splits are disjoint by construction."""

import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils import data

STAND_IN = "Stand-in data:"  # begins the one sentence printed whenever real data cannot be had
CIFAR100_CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
    mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
    plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
    television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905  a hundred words read better than a hundred strings
)


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


@dataclass(frozen=True)
class _Cifar:
    """What the archives of CIFAR-10 and CIFAR-100 have each in its own way."""

    name: str
    folder: str
    files: Mapping[str, tuple[str, ...]]  # of the official training and test set
    labels: bytes  # the key of the labels in a file
    classes: int
    held_out: int  # images a class for validation


_CIFAR10 = _Cifar(
    "CIFAR-10",
    "cifar-10-batches-py",
    {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    *(b"labels", 10, 500),
)
_CIFAR100 = _Cifar(
    "CIFAR-100",
    "cifar-100-python",
    {"train": ("train",), "test": ("test",)},
    *(b"fine_labels", 100, 50),
)


def cifar10() -> ImageData:
    """Small photographs of ten kinds of things; as ``cifar100``, with 500 held out of a class."""
    return _cifar(_CIFAR10)


def cifar100() -> ImageData:
    """Small photographs of 100 kinds of things: images uint8 (N, 32, 32, 3), labels 0 … 99.

    train 45,000, validation 5,000 (450 and 50 a class, from the official training set), test
    10,000 (the official test set, of which ten images, known for long, stand in train too). Images
    are ordered by the sha256 of their pixels, so that the official archive and a pack give the
    same splits. Names of the classes: ``CIFAR100_CLASSES``. Without a network: a stand-in, with
    one printed sentence.
    """
    return _cifar(_CIFAR100)


def _cifar(cifar: _Cifar) -> ImageData:
    try:
        return _official_cifar(cifar)
    except data.Unavailable as reason:
        print(
            f"{STAND_IN} {cifar.name} cannot be had here. {reason} This run uses generated "
            f"patterns of {cifar.classes} kinds, 32×32."
        )
        return _patterns(cifar)


def _official_cifar(cifar: _Cifar) -> ImageData:
    key = cifar.name.replace("-", "").lower()
    paths = {part: data.fetch(f"{key}-{part}") for part in ("train", "test")}
    read = {part: _read_cifar(path, cifar, part) for part, path in paths.items()}
    train, test = (_by_pixels(*images) for images in read.values())
    held_out = _held_out(train, cifar)
    return ImageData(
        train=Split(train.images[~held_out], train.labels[~held_out]),
        validation=Split(train.images[held_out], train.labels[held_out]),
        test=test,
        name=cifar.name,
        source="two lossless packs" if paths["test"].suffix == ".npz" else "the official archive",
        sha256={path.name: data.sha256(path) for path in paths.values()},
    )


def _held_out(train: Split, cifar: _Cifar) -> NDArray[np.bool_]:
    """Which images are for validation: chosen by their pixels, and none that occurs twice."""
    held_out, digests = np.zeros(len(train), dtype=bool), _digests(train.images)
    occurs = np.unique(digests[:, 0], return_inverse=True, return_counts=True)
    second = np.where(occurs[2][occurs[1]] > 1, 2**64 - 1, digests[:, 1])  # doubles stay in train
    for label in range(cifar.classes):
        here = np.flatnonzero(train.labels == label)
        held_out[here[np.argsort(second[here], kind="stable")[: cifar.held_out]]] = True
    return held_out


def _digests(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The sha256 of the pixels of each image as four numbers (N, 4)."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest() for image in images)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 4)


def _by_pixels(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    """The same examples in an order that does not depend on the file that they came from."""
    order = np.lexsort((labels, _digests(images)[:, 0]))
    return Split(images[order], labels[order])


def _read_cifar(
    path: Path, cifar: _Cifar, part: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 32, 32, 3) and labels (N,) of ``train`` or ``test``, from a pack or the archive.

    Raises DataError when the file is something else.
    """
    if path.suffix == ".npz":
        return read_strips(path)
    try:
        with tarfile.open(path) as tar:
            members = [tar.extractfile(f"{cifar.folder}/{name}") for name in cifar.files[part]]
            contents = [member.read() for member in members]
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise data.DataError(f"{path.name} is not the archive of {cifar.name}: {error}.") from error
    batches = [read_pickle(content, path.name) for content in contents]
    try:
        labels = np.concatenate([np.asarray(b[cifar.labels], dtype=np.int64) for b in batches])
        rows = np.concatenate([b[b"data"] for b in batches])
        images = rows.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise data.DataError(f"{path.name} holds no images of {cifar.name} in {part}.") from error
    return np.ascontiguousarray(images), labels


def read_strips(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 32, 32, 3) and labels (N,) of a pack, as ``read_pack`` reads it.

    Raises DataError when there is not one label an image.
    """
    images, others = read_pack(path, "labels")
    labels = others["labels"]
    if len(images) != len(labels):
        raise data.DataError(f"{path.name} has {len(images)} images, but {len(labels)} labels.")
    return images, labels.astype(np.int64)


def read_pack(path: Path, *names: str) -> tuple[NDArray[np.uint8], dict[str, NDArray]]:
    """Images (N, 32, 32, 3) of a pack, and other arrays in it by name.

    ``blob`` holds WebP files one after another, strips of images one under another, and
    ``offsets`` cuts them. Raises DataError when the file is something else.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with np.load(path, allow_pickle=False) as pack:
            blob, offsets = pack["blob"], pack["offsets"]
            others = {name: pack[name] for name in names}
        files = [blob[a:b].tobytes() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        strips = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
        images = np.concatenate([strip.reshape(-1, 32, 32, 3) for strip in strips])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, UnidentifiedImageError) as error:
        raise data.DataError(f"{path.name} is not a pack of images.") from error
    return images, others


class _Plain(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, text and NumPy arrays, and refuses all else.

    A pickle is a program: the usual reader runs whatever it says, this one only what it lists.
    """

    def find_class(self, module: str, name: str) -> object:
        module = module.replace("numpy.core", "numpy._core")
        allowed = {
            ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
            ("numpy._core.numeric", "_frombuffer"): np._core.numeric._frombuffer,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # Python 3's bytes
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]


def read_pickle(content: bytes, name: str) -> object:
    """Content of a pickle of plain data; no code in it is ever run, and text stays bytes.

    Raises DataError, naming the file ``name``, for a damaged pickle and for one that asks for
    more than arrays, lists and dictionaries.
    """
    try:
        return _Plain(io.BytesIO(content), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError) as error:
        raise data.DataError(
            f"{name} is not read: its pickle is no plain data ({error})."
        ) from error


def _patterns(cifar: _Cifar) -> ImageData:
    """2,000 / 500 / 1,000 images: a soft pattern of colours for a class, moved and lit anew."""
    from scipy.ndimage import zoom

    rng, classes = np.random.default_rng(0), cifar.classes
    kinds = np.stack(
        [zoom(rng.uniform(0, 255, (5, 5, 3)), (6.4, 6.4, 1), order=1) for _ in range(classes)]
    )
    splits = []
    for count in (2000, 500, 1000):
        labels = rng.permutation(np.repeat(np.arange(classes), count // classes))
        moves = rng.integers(-3, 4, (len(labels), 2))
        images = [np.roll(kinds[c], m, axis=(0, 1)) for c, m in zip(labels, moves, strict=True)]
        light = rng.uniform(0.7, 1.0, (len(labels), 1, 1, 1))
        noisy = np.stack(images) * light + rng.normal(0, 10, (len(labels), 32, 32, 3))
        splits.append(Split(noisy.clip(0, 255).astype(np.uint8), labels))
    source = "a stand-in of generated patterns"
    return ImageData(*splits, name=cifar.name, source=source, sha256={}, is_stand_in=True)
