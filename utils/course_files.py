"""Input files of the Python & ML course's tasks, each with a generated twin of the same form.

Where a file is not at hand, a twin stands in with one printed sentence; expected results are then
computed here, by another way than the lessons teach, or left out (None).
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from utils import data
from utils.datasets import STAND_IN, ImageData, Split, read_pack, read_pickle, read_strips

TRACK_COLUMNS = ("TIMESTAMP", "TRACK_ID", "OBJECT_TYPE", "X", "Y", "CITY_NAME")
TITANIC_COLUMNS = (
    *("PassengerId", "Survived", "Pclass", "Name", "Sex", "Age"),
    *("SibSp", "Parch", "Ticket", "Fare", "Cabin", "Embarked"),
)


@dataclass(frozen=True)
class CourseFiles:
    """The inputs of a task and, where known, the expected result."""

    name: str
    inputs: Any
    expected: Any
    sha256: dict[str, str] = field(default_factory=dict)
    is_stand_in: bool = False

    @property
    def source(self) -> str:
        """Where they come from, for the record of a run."""
        return "a generated twin" if self.is_stand_in else "the course's files"


def load(
    name: str,
    entries: tuple[str, ...],
    read: Callable[..., tuple[Any, Any]],
    twin: Callable[[], tuple[Any, Any]],
) -> CourseFiles:
    """The real files of these entries of the catalogue, or a twin, with one sentence.

    ``read`` takes their paths, ``twin`` nothing; both return what is given and what is expected.
    """
    try:
        paths = [data.fetch(entry) for entry in entries]
    except data.Unavailable as reason:
        print(f"{STAND_IN} {name} cannot be had here. {reason} This run uses a generated twin.")
        return CourseFiles(name, *twin(), is_stand_in=True)
    return CourseFiles(name, *read(*paths), {path.name: data.sha256(path) for path in paths})


def _load(name: str, parts: tuple[str, ...], read: Callable, twin: Callable) -> CourseFiles:
    """``load`` with files of the Python & ML course."""
    return load(name, tuple(f"course-{part}" for part in parts), read, twin)


def read_table(path: Path | io.StringIO, columns: tuple[str, ...], **options: Any) -> pd.DataFrame:
    """A CSV file with at least these columns; ``options`` are those of ``pandas.read_csv``.

    Raises DataError for what is no table, naming the columns that are missing.
    """
    name = getattr(path, "name", "the file")
    try:
        table = pd.read_csv(path, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise data.DataError(f"{name} is no table: {error}.") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise data.DataError(
            f"{name} has no column {', '.join(missing)}; it has {', '.join(table.columns)}."
        )
    return table


def titanic() -> CourseFiles:
    """Passengers of the Titanic: ``inputs`` is the pair (train, validation), 712 and 179 rows."""

    def read(train: Path, validation: Path) -> tuple[Any, Any]:
        return (read_table(train, TITANIC_COLUMNS), read_table(validation, TITANIC_COLUMNS)), None

    parts = ("titanic-train", "titanic-validation")
    return _load("the list of the Titanic's passengers", parts, read, _titanic_twin)


def _titanic_twin() -> tuple[Any, Any]:
    """891 invented passengers: women, children and first class are more likely to survive."""
    rng, count = np.random.default_rng(0), 891
    sex = rng.choice(["male", "female"], count, p=[0.65, 0.35])
    kind = rng.choice([1, 2, 3], count, p=[0.24, 0.21, 0.55])
    age = np.where(rng.random(count) < 0.2, np.nan, rng.gamma(5, 6, count).round(1))
    score = 2.5 * (sex == "female") - 1.0 * (kind - 1) - 0.03 * np.nan_to_num(age, nan=29.0)
    survived = rng.random(count) < 1 / (1 + np.exp(-score - 0.2))
    numbers = np.arange(1, count + 1)
    table = pd.DataFrame(
        {
            "PassengerId": numbers,
            "Survived": survived.astype(int),
            "Pclass": kind,
            "Name": [f"Passenger, No. {n}" for n in numbers],
            "Sex": sex,
            "Age": age,
            "SibSp": rng.poisson(0.5, count),
            "Parch": rng.poisson(0.4, count),
            "Ticket": numbers.astype(str),
            "Fare": (rng.gamma(2, 40, count) / kind).round(4),
            "Cabin": np.where(rng.random(count) < 0.77, None, "C1"),
            "Embarked": rng.choice(["S", "C", "Q"], count, p=[0.72, 0.19, 0.09]),
        }
    )
    order = rng.permutation(count)
    return (table.iloc[order[:712]], table.iloc[order[712:]]), None


def matrices() -> CourseFiles:
    """Matrices A (3, 4) and B (4, 3) as dictionaries, and what the task expects of them."""

    def read(given: Path, wanted: Path) -> tuple[Any, Any]:
        return json.loads(given.read_text("utf-8")), json.loads(wanted.read_text("utf-8"))

    return _load("the matrices", ("matrix-input", "matrix-expected"), read, _matrix_twin)


def _matrix_twin() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 4)), rng.random((4, 3))
    return {"A": as_fields(a), "B": as_fields(b)}, None


def as_fields(matrix: NDArray) -> dict[str, Any]:
    """A matrix as the task's files write it: nrows, ncols and data row by row."""
    rows, columns = matrix.shape
    return {"nrows": rows, "ncols": columns, "data": matrix.ravel().tolist()}


def knn_points() -> CourseFiles:
    """X_train (670, 4), y_train (670,), X_test (330, 4), and predictions for three settings."""

    def read(points: Path, wanted: Path) -> tuple[Any, Any]:
        return tuple(_text_keys(read_object(path)) for path in (points, wanted))

    return _load("the points of the task", ("knn-data", "knn-expected"), read, _knn_twin)


def _text_keys(fields: dict) -> dict[str, Any]:
    return {k.decode() if isinstance(k, bytes) else k: value for k, value in fields.items()}


def read_object(path: Path) -> dict:
    """The dictionary in an .npy file that is a pickle; no code in it is ever run."""
    content = path.read_bytes()
    stream = io.BytesIO(content)
    try:
        np.lib.format.read_magic(stream)
        np.lib.format.read_array_header_1_0(stream)
    except ValueError as error:
        raise data.DataError(f"{path.name} is no .npy file: {error}.") from error
    whole = read_pickle(content[stream.tell() :], path.name)
    return whole.item() if isinstance(whole, np.ndarray) else whole


def _knn_twin() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    centres, labels = rng.normal(0, 6, (10, 4)), rng.integers(0, 10, 1000)
    points = centres[labels] + rng.normal(0, 2.5, (1000, 4))
    return {"X_train": points[:670], "y_train": labels[:670], "X_test": points[670:]}, None


def tracks_to_clean() -> CourseFiles:
    """Traffic tracks with faults: missing numbers, short and static tracks; and the clean table."""

    def read(path: Path, wanted: Path) -> tuple[Any, Any]:
        return read_table(path, TRACK_COLUMNS), read_table(wanted, TRACK_COLUMNS)

    def twin() -> tuple[Any, Any]:
        table = _scene(np.random.default_rng(1), moving=14, static=6, short=8)
        table.loc[[50, 200, 350], "X"] = np.nan
        return table, None

    return _load("the tracks to clean", ("tracks-to-clean", "tracks-cleaned"), read, twin)


def tracks() -> CourseFiles:
    """One scene of 16 tracks, in order of time, and the set of fast ones; X and Y in metres."""

    def read(path: Path, wanted: Path) -> tuple[Any, Any]:
        return read_table(path, TRACK_COLUMNS), frozenset(wanted.read_text("utf-8").split())

    def twin() -> tuple[Any, Any]:
        return _scene(np.random.default_rng(2), moving=9, static=5, short=2), None

    return _load("the scene of tracks", ("tracks", "tracks-fast"), read, twin)


def _scene(rng: np.random.Generator, moving: int, static: int, short: int) -> pd.DataFrame:
    """Tracks at ten points a second for up to five seconds, in order of time."""
    rows = []
    for number in range(moving + static + short):
        points = int(rng.integers(2, 10)) if number >= moving + static else 50
        speed = 0.02 if moving <= number < moving + static else rng.uniform(2, 16)  # m/s
        angle, start = rng.uniform(0, 2 * np.pi), rng.uniform(0, 100, 2)
        kind = ["AV", "AGENT"][number] if number < 2 else "OTHERS"
        name = f"00000000-0000-0000-0000-{number:012}"
        for step in range(points):
            x, y = start + speed * step / 10 * np.array([np.cos(angle), np.sin(angle)])
            x, y = (x, y) + rng.normal(0, 0.02, 2)
            rows.append((315970000 + step / 10, name, kind, x, y, "PIT"))
    table = pd.DataFrame(rows, columns=TRACK_COLUMNS)
    return table.sort_values("TIMESTAMP", kind="stable", ignore_index=True)


def convolution() -> CourseFiles:
    """(inputs (2, 33, 41, 4), kernel (5, 5, 4, 4), bias (4,)), NHWC; and the result at stride 4."""

    def read(*paths: Path) -> tuple[Any, Any]:
        *inputs, wanted = (np.load(path, allow_pickle=False) for path in paths)
        return tuple(inputs), wanted

    def twin() -> tuple[Any, Any]:
        rng = np.random.default_rng(3)
        return tuple(rng.normal(size=s) for s in ((2, 33, 41, 4), (5, 5, 4, 4), (4,))), None

    parts = tuple(f"convolution-{part}" for part in ("input", "kernel", "bias", "expected"))
    return _load("the arrays of the convolution", parts, read, twin)


def boxes() -> CourseFiles:
    """True boxes (x, y, w, h, c) and predicted ones with ``conf``; x, y is the top left corner."""

    def read(truth: Path, predicted: Path) -> tuple[Any, Any]:
        columns = ("x", "y", "w", "h", "c")
        return (read_table(truth, columns), read_table(predicted, (*columns, "conf"))), None

    return _load("the boxes", ("boxes", "boxes-predicted"), read, _boxes_twin)


def _boxes_twin() -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    truth = pd.DataFrame({"x": 200 * np.arange(5), "y": 50, "w": 100, "h": 120, "c": 1})
    predicted = pd.concat([truth, truth.iloc[:2] + 900]).assign(conf=np.linspace(0.9, 0.3, 7))
    predicted[["x", "y"]] += rng.integers(-12, 13, (7, 2))
    return (truth, predicted.assign(c=1)), None


def network_text() -> CourseFiles:
    """Five convolutions as one line of text; it is short enough to have no other twin."""

    def read(path: Path) -> tuple[Any, Any]:
        return path.read_text("utf-8").strip(), None

    def twin() -> tuple[Any, Any]:
        return "INPUT -> conv(3x3, s=1, SAME) -> conv(5x5, s=2, VALID)", None

    return _load("the description of a network", ("net-description",), read, twin)


@dataclass(frozen=True)
class ImageCompetition:
    """Labelled images in three splits, and the images that a submission is about."""

    labelled: ImageData
    asked: NDArray[np.uint8]  # (N, 32, 32, 3)
    filenames: tuple[str, ...]


def image_competition() -> ImageCompetition:
    """125 kinds of things, 32×32: 16,239 labelled images, 70 / 15 / 15 %, and 2,500 without.

    Which image is where never changes, and no image is in two splits, not even a double of it.
    Where the packs are not at hand, generated patterns stand in.
    """
    try:
        paths = [data.fetch(f"course125-{part}") for part in ("train", "test")]
    except data.Unavailable as reason:
        print(f"{STAND_IN} the 125-class images cannot be had here. {reason} Patterns stand in.")
        return _pattern_competition()
    images, labels = read_strips(paths[0])
    asked, others = read_pack(paths[1], "filenames")
    hashes = {path.name: data.sha256(path) for path in paths}
    splits = _three_splits(images, labels)
    found = ImageData(*splits, name="125 classes", source="two lossless packs", sha256=hashes)
    return ImageCompetition(found, asked, tuple(name.decode() for name in others["filenames"]))


def _three_splits(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[Split]:
    """70, 15 and 15 % of each class, equal images together, in an order drawn once."""
    _, alike = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True)
    drawn = np.random.default_rng(0).random(alike.max() + 1)[alike]  # one number an image
    place = np.empty(len(labels))
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        place[here] = drawn[here].argsort().argsort() / len(here)
    first = np.ones(alike.max() + 1)  # the place of the first of equal images
    np.minimum.at(first, alike, place)
    place = first[alike]
    bounds = ((0, 0.7), (0.7, 0.85), (0.85, 1))
    chosen = [(place >= low) & (place < high) for low, high in bounds]
    return [Split(images[rows], labels[rows]) for rows in chosen]


def _pattern_competition() -> ImageCompetition:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 256, (125, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    labels = np.repeat(np.arange(125), 20)
    noisy = kinds[labels] + rng.normal(0, 40, (len(labels), 32, 32, 3))
    images = noisy.clip(0, 255).astype(np.uint8)
    source = "a stand-in of generated patterns"
    splits = _three_splits(images, labels)
    found = ImageData(*splits, name="125 classes", source=source, sha256={}, is_stand_in=True)
    asked = images[rng.permutation(len(images))[:500]]
    return ImageCompetition(found, asked, tuple(f"img_{n:04}.png" for n in range(len(asked))))
