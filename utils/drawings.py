"""Drawings as pen strokes: Quick, Draw! in typed splits, its official files, and a stand-in.

A drawing is an int16 array (T, 3), one row a point: the move (dx, dy) to it from the point before,
and 1 where the pen is lifted after it, else 0. The first move starts from (0, 0). The first move of
each further stroke is the jump of the lifted pen, so every stroke stands where it was drawn. A
drawing of one point has one row, an empty one none.

The official files are described at https://github.com/googlecreativelab/quickdraw-dataset; each
line of NAME.ndjson is a record whose ``drawing`` is a list of strokes [[x, …], [y, …]], 0 … 255.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, tee
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from utils import data
from utils.datasets import STAND_IN
from utils.paths import atomic, data_folders

OFFICIAL = "https://storage.googleapis.com/quickdraw_dataset/full/simplified"
LARGEST = 255  # of a coordinate
CLASSES = (
    "ant",
    "butterfly",
    "crab",
    "duck",
    "pig",
    "backpack",
    "basket",
    "cactus",
    "campfire",
    "pineapple",
)
ANIMALS = (
    "butterfly",
    "cow",
    "elephant",
    "giraffe",
    "monkey",
    "octopus",
    "scorpion",
    "shark",
    "snake",
    "spider",
)
SPLIT_SEED = 0  # which drawing is in which split never changes


@dataclass(frozen=True)
class Drawings:
    """N ≥ 1 drawings, each int16 (T, 3) as the module says, labels int64 (N,), key_ids uint64 (N,).

    Raises ValueError when they are anything else.
    """

    steps: tuple[NDArray[np.int16], ...]
    labels: NDArray[np.int64]
    key_ids: NDArray[np.uint64]

    def __post_init__(self) -> None:
        for steps in self.steps:
            check_steps(steps)
        shapes = (self.labels.shape, self.key_ids.shape)
        if not self.steps or shapes != ((len(self.steps),),) * 2 or self.labels.dtype != np.int64:
            raise ValueError(
                f"labels must be int64 and key_ids given, one for each of {len(self.steps)} "
                f"drawings, at least one; got {self.labels.dtype} {shapes}."
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DrawingData:
    """A data set of drawings in three disjoint splits; other fields as in ImageData."""

    train: Drawings
    validation: Drawings
    test: Drawings
    class_names: tuple[str, ...]
    name: str
    source: str
    sha256: Mapping[str, str]
    is_stand_in: bool = False


@dataclass(frozen=True)
class SampleData:
    """Some drawings beside a data set, under a name, real or a stand-in."""

    drawings: Drawings
    name: str
    is_stand_in: bool = False


class Record(NamedTuple):
    """One line of an official file."""

    word: str
    key_id: int
    recognised: bool
    steps: NDArray[np.int16]


def check_steps(steps: NDArray) -> None:
    """Raise ValueError unless ``steps`` is one drawing: int16 (T, 3), third column 0 or 1."""
    if steps.ndim != 2 or steps.shape[1] != 3 or steps.dtype != np.int16:
        raise ValueError(f"a drawing must be int16 (T, 3); got {steps.dtype} {steps.shape}.")
    if steps[:, 2].size and not 0 <= steps[:, 2].min() <= steps[:, 2].max() <= 1:
        raise ValueError("the third column of a drawing says whether the pen is lifted: 0 or 1.")


def from_strokes(strokes: Any) -> NDArray[np.int16]:
    """Steps (T, 3) of a drawing given as official records do: a list of strokes [[x, …], [y, …]].

    Strokes without points are left out. Raises ValueError for anything else, and for coordinates
    that are no whole numbers from 0 to 255.
    """
    if not isinstance(strokes, Sequence) or isinstance(strokes, str):
        raise ValueError("a drawing must be a list of strokes")
    points = [p for p in map(_points, strokes) if len(p)]
    if not points:
        return np.zeros((0, 3), dtype=np.int16)
    lifted = np.concatenate([np.arange(len(p)) == len(p) - 1 for p in points])
    moves = np.diff(np.concatenate(points), axis=0, prepend=np.zeros((1, 2), dtype=np.int16))
    return np.column_stack([moves, lifted]).astype(np.int16)


def _points(stroke: Any) -> NDArray[np.int16]:
    """Points (n, 2) of one stroke [[x, …], [y, …]]."""
    if not isinstance(stroke, Sequence) or len(stroke) != 2:
        raise ValueError("a stroke must be two lists, of x and of y")
    x, y = stroke
    if not isinstance(x, Sequence) or not isinstance(y, Sequence) or len(x) != len(y):
        raise ValueError("a stroke must have as many x as y")
    if not all(type(v) is int and 0 <= v <= LARGEST for v in (*x, *y)):
        raise ValueError(f"a coordinate must be a whole number from 0 to {LARGEST}")
    return np.array([x, y], dtype=np.int16).T


def to_strokes(steps: NDArray[np.int16]) -> list[NDArray[np.int64]]:
    """The points (n, 2) of each stroke of a drawing (T, 3): ``from_strokes`` undone."""
    points = np.cumsum(steps[:, :2], axis=0, dtype=np.int64)
    strokes = np.split(points, np.flatnonzero(steps[:, 2]) + 1)
    return [stroke for stroke in strokes if len(stroke)]


def moves(steps: NDArray[np.int16]) -> NDArray[np.float32]:
    """What a network reads of a drawing (T, 3): float32 (max(T, 1), 3), the largest side 6 long.

    The first move starts from the middle of the drawing. An empty drawing is one step that goes
    nowhere.
    """
    if not len(steps):
        return np.zeros((1, 3), dtype=np.float32)
    points = np.cumsum(steps[:, :2], axis=0)
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = steps.astype(np.float32)
    scaled[0, :2] -= (low + high) / 2
    scaled[:, :2] *= 6 / max((high - low).max(), 1)
    return scaled


def read_ndjson(
    lines: Iterable[str | bytes], name: str, word: str | None = None
) -> Iterator[Record]:
    """The records of an official simplified file, one a line, each checked.

    ``name`` is what error messages call the file; with ``word``, every record must be of that
    class. Raises DataError, naming the line and what is wrong with it.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            if word not in (None, record.word):
                raise ValueError(f"it is a drawing of {record.word!r}, not of {word!r}")
        except ValueError as error:  # JSON and UTF-8 errors are ValueErrors too
            raise data.DataError(f"{name}, line {number}, is no drawing: {error}.") from error
        yield record


def _record(line: str | bytes) -> Record:
    fields = json.loads(line)
    wanted = {"word": str, "key_id": str, "recognized": bool, "drawing": list}
    for key, kind in wanted.items():
        if not isinstance(fields, dict) or not isinstance(fields.get(key), kind):
            raise ValueError(f"it needs the field {key!r} of type {kind.__name__}")
    if not fields["key_id"].isdecimal() or int(fields["key_id"]) >= 2**64:
        raise ValueError(f"its key_id {fields['key_id']!r} is no number of 64 bits")
    steps = from_strokes(fields["drawing"])
    return Record(fields["word"], int(fields["key_id"]), fields["recognized"], steps)


def fetch_official(word: str, count: int) -> Path:
    """Path of the first ``count`` recognised drawings of an official file, gzipped, in the cache.

    The file is streamed and the connection closed as soon as ``count`` drawings have come. No
    sha256 of these files is published, so each line is checked instead, and the file appears in
    the cache whole or not at all. Raises Unavailable and DataError as ``utils.data`` does, and
    DataError when there are fewer drawings.
    """
    place = Path("quickdraw", "simplified", f"{word}-{count}.ndjson.gz")
    for folder in data_folders():
        if (folder / place).is_file():
            return folder / place
    data.require_network()
    url = f"{OFFICIAL}/{quote(word)}.ndjson"
    path = data.writable_folder() / place
    with data.in_one_sentence(url, path.parent), atomic(path) as temporary:
        chosen = list(islice(_recognised(_lines(url), url, word), count))
        if len(chosen) < count:
            raise data.DataError(f"{url} has only {len(chosen)} recognised drawings, not {count}.")
        with gzip.open(temporary, "wb") as stream:
            stream.writelines(line + b"\n" for line in chosen)
    return path


def _lines(url: str) -> Iterator[bytes]:
    """The lines of a file on a server, as they arrive."""
    import requests

    with requests.get(url, stream=True, timeout=data.TIMEOUT) as answer:
        answer.raise_for_status()
        yield from answer.iter_lines(chunk_size=1 << 16)


def _recognised(lines: Iterator[bytes], name: str, word: str) -> Iterator[bytes]:
    """The lines whose drawing the game recognised; every line is checked on the way."""
    lines, checked = tee(line for line in lines if line.strip())
    records = read_ndjson(checked, name, word)
    return (line for line, record in zip(lines, records, strict=True) if record.recognised)


def quick_draw(classes: Sequence[str] = CLASSES, per_class: int = 800) -> DrawingData:
    """Classes of Quick, Draw!, ``per_class`` drawings each: 70 % train, 10 % validation, 20 % test.

    Read from the pack: 20 classes of 800 drawings that Li et al. (2018) selected for a study of
    strokes. It has a second source with other classes; a task never mixes the two, because then
    the source would give the class away. Where the pack is not at hand, the first drawings of the
    official files, or ten generated shapes, stand in, with one printed sentence.

    Raises ValueError when the pack has no ``per_class`` such drawings of a class.
    """
    try:
        return _from_pack(data.fetch("quickdraw-strokes"), tuple(classes), per_class)
    except data.Unavailable:
        pass  # the pack has no address; its source has
    try:
        official = official_quick_draw(classes, per_class)
    except data.Unavailable as reason:
        print(
            f"{STAND_IN} Quick, Draw! cannot be had here. {reason} This run uses ten simple "
            "shapes, generated as if drawn by an unsteady hand."
        )
        return wobbly_shapes(per_class)
    print(
        f"{STAND_IN} the selected drawings of this lesson cannot be had here. This run uses the "
        f"first {per_class} recognised drawings a class of the official Quick, Draw! files."
    )
    return DrawingData(**{**vars(official), "is_stand_in": True})


def _from_pack(path: Path, classes: tuple[str, ...], per_class: int) -> DrawingData:
    with np.load(path, allow_pickle=False) as pack:
        arrays = dict(pack)
    names = [name.decode() for name in arrays["class_names"]]
    steps = np.column_stack([arrays["dx"], arrays["dy"], arrays["pen"].astype(np.int16)])
    places = []
    for name in classes:
        index = names.index(name) if name in names else -1
        found = np.flatnonzero((arrays["labels"] == index) & (arrays["source"] == 0))
        if len(found) < per_class:
            raise ValueError(f"the pack has {len(found)} drawings of {name!r}, not {per_class}.")
        places.append(found[:per_class])
    starts, ends = arrays["offsets"][:-1], arrays["offsets"][1:]
    drawings = [[steps[starts[i] : ends[i]] for i in some] for some in places]
    keys = [arrays["key_ids"][some] for some in places]
    train, validation, test = _split(drawings, keys)
    source = f"the pack of {per_class} drawings a class selected by Li et al. (2018)"
    hashes = {path.name: data.sha256(path)}
    return DrawingData(train, validation, test, classes, "Quick, Draw!", source, hashes)


def official_quick_draw(classes: Sequence[str] = ANIMALS, per_class: int = 10_000) -> DrawingData:
    """The first ``per_class`` recognised drawings of each class in the official files, split alike.

    The default is what the doodle network of Elliot-Sones was trained on; it loads some 60 MB.
    Raises Unavailable and DataError as ``fetch_official`` does.
    """
    paths = [fetch_official(word, per_class) for word in classes]
    records = [_read(path, word) for path, word in zip(paths, classes, strict=True)]
    drawings = [[r.steps for r in some] for some in records]
    keys = [np.array([r.key_id for r in some], dtype=np.uint64) for some in records]
    train, validation, test = _split(drawings, keys)
    source = f"the first {per_class} recognised drawings a class of the official files"
    hashes = {path.name: data.sha256(path) for path in paths}
    return DrawingData(train, validation, test, tuple(classes), "Quick, Draw!", source, hashes)


def official_sample(doodles: DrawingData) -> SampleData:
    """The first 25 official records, recognised or not, of each class of ``doodles``.

    Many of them are in the pack too: compare ``key_ids`` before testing on them. Where the sample
    cannot be had, other wobbly shapes stand in, with one printed sentence; for a stand-in they do
    so silently. Raises ValueError for a class that the sample does not have.
    """
    shapes = SampleData(wobbly_shapes(36, seed=1).train, "the official sample", is_stand_in=True)
    if doodles.is_stand_in:
        return shapes
    try:
        path = data.fetch("quickdraw-sample")
    except data.Unavailable as reason:
        print(f"{STAND_IN} the official sample cannot be had here. {reason} Shapes stand in.")
        return shapes
    records = [r for r in _read(path) if r.word in doodles.class_names]
    lost = set(doodles.class_names) - {r.word for r in records}
    if lost:
        raise ValueError(f"the sample has no drawings of {sorted(lost)}.")
    labels = np.array([doodles.class_names.index(r.word) for r in records])
    keys = np.array([r.key_id for r in records], dtype=np.uint64)
    return SampleData(Drawings(tuple(r.steps for r in records), labels, keys), shapes.name)


def _read(path: Path, word: str | None = None) -> list[Record]:
    """All records of a gzipped file. Raises DataError when it is damaged."""
    try:
        with gzip.open(path, "rb") as stream:
            return list(read_ndjson(stream, path.name, word))
    except (OSError, EOFError) as error:
        raise data.DataError(f"{path} is damaged: delete it to load it again.") from error


def _split(
    drawings: Sequence[Sequence[NDArray[np.int16]]], keys: Sequence[NDArray[np.uint64]]
) -> tuple[Drawings, Drawings, Drawings]:
    """Cut each class into 70, 10 and 20 %, at random but always the same; mix the classes."""
    rng = np.random.default_rng(SPLIT_SEED)
    chosen: tuple[list[tuple[int, int]], ...] = ([], [], [])
    for label, some in enumerate(drawings):
        order, cuts = rng.permutation(len(some)), (len(some) * 7 // 10, len(some) * 8 // 10)
        for split, part in zip(chosen, np.split(order, cuts), strict=True):
            split += [(label, int(i)) for i in part]
    return tuple(_chosen(drawings, keys, rng.permutation(split)) for split in chosen)


def _chosen(drawings: Sequence, keys: Sequence, pairs: NDArray[np.int64]) -> Drawings:
    """The drawings at pairs (label, place)."""
    steps = tuple(np.ascontiguousarray(drawings[label][i]) for label, i in pairs)
    return Drawings(steps, pairs[:, 0].copy(), np.array([keys[label][i] for label, i in pairs]))


def _corners(*points: tuple[float, float], n: int = 12) -> NDArray[np.float64]:
    """``n`` points evenly spaced along the straight lines through ``points``."""
    corners = np.array(points)
    far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    at = np.linspace(0, far[-1], n)
    return np.column_stack([np.interp(at, far, corners[:, axis]) for axis in (0, 1)])


def _turn(start: float, end: float, r0: float, r1: float, n: int = 14) -> NDArray[np.float64]:
    """``n`` points about (0, 0) from one angle to another while the radius goes from r0 to r1."""
    angle, radius = np.linspace(start, end, n), np.linspace(r0, r1, n)
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


_CORNERS_OF_STAR = tuple((np.sin(0.8 * np.pi * i), -np.cos(0.8 * np.pi * i)) for i in range(6))
_UPRIGHT, _LEVEL = _corners((0, -1), (0, 1), n=6), _corners((-1, 0), (1, 0), n=6)
SHAPES: dict[str, list[NDArray[np.float64]]] = {  # y points down, as on a screen
    "circle": [_turn(0, 2 * np.pi, 1, 1)],
    "square": [_corners((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))],
    "triangle": [_corners((0, -1), (1, 1), (-1, 1), (0, -1))],
    "plus": [_UPRIGHT, _LEVEL],
    "tee": [_UPRIGHT, _LEVEL - (0, 1)],  # the strokes of a plus: only the jump tells them apart
    "zigzag": [_corners((-1, 0.4), (-0.5, -0.4), (0, 0.4), (0.5, -0.4), (1, 0.4))],
    "spiral": [_turn(0, 4.5 * np.pi, 0.1, 1, 22)],
    "star": [_corners(*_CORNERS_OF_STAR, n=16)],
    "house": [
        _corners((-1, 0), (1, 0), (1, 1), (-1, 1), (-1, 0)),
        _corners((-1, 0), (0, -1), (1, 0), n=7),
    ],
    "face": [
        _turn(0, 2 * np.pi, 1, 1),
        np.array([[-0.35, -0.3]]),
        np.array([[0.35, -0.3]]),
        _turn(0.2 * np.pi, 0.8 * np.pi, 0.55, 0.55, 6),
    ],
}


def wobbly_shapes(per_class: int = 800, seed: int = 0) -> DrawingData:
    """Ten simple shapes drawn by an unsteady hand, always the same: the stand-in."""
    rng = np.random.default_rng(seed)
    drawings = [[_by_hand(shape, rng) for _ in range(per_class)] for shape in SHAPES.values()]
    numbers = seed * 10**6 + np.arange(len(SHAPES) * per_class, dtype=np.uint64)
    numbers = numbers.reshape(len(SHAPES), per_class)
    train, validation, test = _split(drawings, list(numbers))
    source = "ten generated shapes, a stand-in"
    return DrawingData(
        train, validation, test, tuple(SHAPES), "Quick, Draw!", source, {}, is_stand_in=True
    )


def _by_hand(shape: list[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.int16]:
    """A shape turned, stretched and shaken, its strokes in any order and direction, in 0 … 255."""
    angle, stretch = rng.normal(0, 0.2), np.diag(np.exp(rng.normal(0, 0.2, 2)))
    turned = stretch @ [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    strokes = [
        (shape[i] + _shaking(len(shape[i]), rng)) @ turned for i in rng.permutation(len(shape))
    ]
    strokes = [stroke[:: rng.choice([-1, 1])] for stroke in strokes]
    low = np.min([stroke.min(axis=0) for stroke in strokes], axis=0)
    size = np.max([(stroke - low).max() for stroke in strokes])
    whole = [np.round((stroke - low) / size * LARGEST).astype(int).T.tolist() for stroke in strokes]
    return from_strokes(whole)


def _shaking(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How far each of ``n`` points (n, 2) of a stroke misses: a slow drift and a little tremor."""
    drift = np.cumsum(rng.normal(0, 0.04, (n, 2)), axis=0)
    return drift + rng.normal(0, 0.03, (n, 2)) + rng.normal(0, 0.08, 2)
