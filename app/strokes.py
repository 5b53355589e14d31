"""Drawings as the page sends them: pen strokes, checked, described, and drawn as pixels.

A drawing is a list of strokes, each an array (n, 3) of points x, y in units of the canvas, which is
``WIDTH`` × ``HEIGHT`` with y pointing down, and t in milliseconds since the drawing began.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import LineString

from utils import centring, drawings

WIDTH, HEIGHT = 480, 320
PEN = 2.4  # width of a stroke in pixels of MNIST's 20×20 box; chosen on validation digits
FINER = 8  # a pixel of that box is drawn as 8×8
OFF_MIDDLE = 0.5  # of a cut, against the width of its gap; chosen on validation pairs
SMALLEST = 24  # units: what is smaller is drawn as small as it is, not magnified
Stroke = NDArray[np.float64]


def bounds(strokes: Sequence[Stroke]) -> NDArray[np.float64]:
    """Left, top, right and bottom (4,) of all points. Raises ValueError for an empty drawing."""
    if not strokes:
        raise ValueError("this drawing is empty: there is no ink to find.")
    points = np.concatenate(strokes)[:, :2]
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def ink(strokes: Sequence[Stroke], pen: float = PEN) -> NDArray[np.float32]:
    """The drawing with a pen as wide as MNIST's: (160, 160) at most, in [0, 1].

    Its larger side is 20 pixels of MNIST long, each drawn as 8×8, so that a large and a small
    drawing get strokes of the same width. Raises ValueError for an empty drawing.
    """
    left, top, right, bottom = bounds(strokes)
    scale = (centring.BOX - pen) * FINER / max(right - left, bottom - top, SMALLEST)
    wide = pen * FINER
    size = [round(side * scale + wide) + 1 for side in (right - left, bottom - top)]
    picture = Image.new("L", size)
    pencil = ImageDraw.Draw(picture)
    for stroke in strokes:
        places = _simplified((stroke[:, :2] - [left, top]) * scale + wide / 2, 0.25)
        pencil.line(places.ravel().tolist(), fill=255, width=round(wide))
        for x, y in places:  # round ends and corners
            pencil.circle((x, y), wide / 2, fill=255)
    return np.asarray(picture, dtype=np.float32) / 255


def digit(strokes: Sequence[Stroke], pen: float = PEN) -> NDArray[np.float32]:
    """What a network sees of a drawn digit: (28, 28) in MNIST's own form."""
    return centring.as_mnist(ink(strokes, pen))


def split(strokes: Sequence[Stroke]) -> tuple[list[Stroke], list[Stroke]]:
    """The strokes of the left and of the right digit of a number of two.

    Cut where the gap between the right end of what lies left and the left end of what lies right
    is widest; being off the middle counts against a gap. A single stroke is cut at its thinnest
    place near the middle. Raises ValueError for an empty drawing.
    """
    left, _, right, _ = bounds(strokes)
    ordered = sorted(strokes, key=lambda stroke: stroke[:, 0].min() + stroke[:, 0].max())
    ends = np.maximum.accumulate([stroke[:, 0].max() for stroke in ordered])[:-1]
    starts = np.minimum.accumulate([stroke[:, 0].min() for stroke in ordered[::-1]])[-2::-1]
    gaps = starts - ends  # (strokes − 1,): negative where digits overlap
    if len(gaps) and gaps.max() > -0.25 * (right - left):
        off_middle = np.abs((starts + ends) / 2 - (left + right) / 2)
        cut = int((gaps - OFF_MIDDLE * off_middle).argmax()) + 1
        return ordered[:cut], ordered[cut:]
    return _cut_at(strokes, _thinnest(strokes, left, right))


def _thinnest(strokes: Sequence[Stroke], left: float, right: float) -> float:
    """The x in the middle third that the fewest line pieces cross."""
    candidates = np.linspace(left + (right - left) / 3, right - (right - left) / 3, 41)
    pieces = np.concatenate([np.column_stack([s[:-1, 0], s[1:, 0]]) for s in strokes])
    low, high = pieces.min(axis=1), pieces.max(axis=1)
    crossings = [np.sum((low <= x) & (x <= high)) for x in candidates]
    fewest = np.flatnonzero(np.equal(crossings, min(crossings)))
    return float(candidates[fewest[len(fewest) // 2]])


def _cut_at(strokes: Sequence[Stroke], x: float) -> tuple[list[Stroke], list[Stroke]]:
    """What lies left and what lies right of x; a stroke that crosses it is broken there."""
    parts: tuple[list[Stroke], list[Stroke]] = ([], [])
    for stroke in strokes:
        side = (stroke[:, 0] > x).astype(int)
        for piece in np.split(np.arange(len(stroke)), np.flatnonzero(np.diff(side)) + 1):
            parts[side[piece[0]]].append(stroke[piece])
    return parts


def steps(strokes: Sequence[Stroke], tolerance: float = 2.0) -> NDArray[np.int16]:
    """The drawing as Quick, Draw! keeps it: int16 (T, 3), see ``utils.drawings``.

    Its larger side is 255, and points nearer than ``tolerance`` to the straight line are left out
    (Ramer, Douglas and Peucker). An empty drawing has no steps.
    """
    if not strokes:
        return drawings.from_strokes([])
    low, high = bounds(strokes)[:2], bounds(strokes)[2:]
    scale = drawings.LARGEST / max((high - low).max(), SMALLEST)
    scaled = [(stroke[:, :2] - low) * scale for stroke in strokes]
    whole = [np.rint(_simplified(points, tolerance)).astype(int) for points in scaled]
    return drawings.from_strokes([points.T.tolist() for points in whole])


def _simplified(points: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    if len(points) < 2:
        return points
    return np.array(LineString(points).simplify(tolerance, preserve_topology=False).coords)
