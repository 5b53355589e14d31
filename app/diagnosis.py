"""What can be said about a drawing before any network sees it, and one sentence of help."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import strokes
from app.strokes import HEIGHT, WIDTH, Stroke


@dataclass(frozen=True)
class Diagnosis:
    """Measures of a drawing; lengths in canvas units.

    ``mass`` is the mean of the 28×28 pixels (MNIST's is 0.13), ``density`` the share of the ink's
    box that is ink, ``offset`` the way (x, y) from the canvas' middle to the box's middle, ``box``
    left, top, right and bottom.
    """

    mass: float
    density: float
    offset: tuple[float, float]
    box: tuple[float, float, float, float]
    points: int
    help: str


def diagnosis(drawing: Sequence[Stroke], image: NDArray[np.float32]) -> Diagnosis:
    """Of a drawing that is not empty and its 28×28 image."""
    box = strokes.bounds(drawing)
    middle = (box[:2] + box[2:]) / 2
    lit = image > 0
    area = lit[np.ix_(lit.any(axis=1), lit.any(axis=0))]
    return Diagnosis(
        mass=round(float(image.mean()), 4),
        density=round(float(area.mean()), 4),
        offset=tuple((middle - [WIDTH / 2, HEIGHT / 2]).round(1).tolist()),
        box=tuple(box.round(1).tolist()),
        points=sum(map(len, drawing)),
        help=advice(drawing),
    )


EMPTY = "The canvas is empty: draw with the mouse, a finger, or the arrow keys and the space bar."


def advice(drawing: Sequence[Stroke]) -> str:
    """One sentence: the first thing that may spoil the reading, or that nothing does."""
    if not drawing:
        return EMPTY
    left, top, right, bottom = strokes.bounds(drawing)
    larger, wide, high = max(right - left, bottom - top), right - left, bottom - top
    edge = min(left, top, WIDTH - right, HEIGHT - bottom)
    findings = [
        (larger < 4, "This is a dot: no digit is that small, so any answer is a guess."),
        (larger < strokes.SMALLEST, "This is very small: draw larger, as large as you like."),
        (edge < 1, "The drawing touches the edge: what lies outside the canvas is lost."),
        (wide > 2.2 * high, "This is very wide for one digit: is it a number of two digits?"),
        (len(drawing) > 12, "These are many strokes for a digit: erase and draw it in a few."),
    ]
    said = (sentence for found, sentence in findings if found)
    return next(said, "Nothing is wrong with this drawing: it is centred and scaled for you.")
