"""From a picture of a digit back to pen strokes: its skeleton, followed from end to end.

The order and direction of the strokes are a guess, for a picture does not keep them.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.morphology import skeletonize

from app.strokes import HEIGHT, WIDTH, Stroke

FINER = 4  # the picture is enlarged so that its skeleton is smooth
SPEED = 0.3  # canvas units a millisecond: an unhurried hand
AROUND = [(-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)]

Pixel = tuple[int, int]


def traced(image: NDArray[np.uint8], size: float = 200.0, finer: int = FINER) -> list[Stroke]:
    """Strokes on the canvas that draw this picture (H, W), bright ink on 0, ``size`` units tall.

    Raises ValueError for a picture without ink.
    """
    height, width = image.shape
    large = Image.fromarray(image).resize((width * finer, height * finer), Image.Resampling.BICUBIC)
    paths = _paths(_skeleton(np.asarray(large)))
    scale = size / (height * finer)
    middle = np.array([width, height]) * finer / 2
    corner = np.array([WIDTH, HEIGHT]) / 2 - middle * scale
    return timed([np.array(path)[:, ::-1] * scale + corner for path in paths])


def _skeleton(picture: NDArray[np.uint8]) -> set[Pixel]:
    """Pixels (row, column) of the middle lines of all ink."""
    pixels = {(int(row), int(column)) for row, column in np.argwhere(skeletonize(picture > 100))}
    if not pixels:
        raise ValueError("this picture is empty: there is no ink to trace.")
    return pixels


def _paths(pixels: set[Pixel]) -> list[list[Pixel]]:
    """Every pixel in some path; paths begin at loose ends where there are any."""
    left, paths = set(pixels), []
    while left:
        ends = [pixel for pixel in left if len(_near(pixel, left)) <= 1]
        path = _followed(min(ends or left), left)
        start = _joint(path[0], pixels - set(path))
        stop = _joint(path[-1], pixels - set(path[-3:]))
        paths.append([*start, *path, *stop])
    return paths


def _followed(start: Pixel, left: set[Pixel]) -> list[Pixel]:
    """From ``start`` as straight on as possible; what is walked on is taken from ``left``."""
    path = [start]
    left.discard(start)
    while near := _near(path[-1], left):
        behind = np.array(path[-1]) - path[max(0, len(path) - 6)]
        ahead = [np.dot(behind, np.subtract(pixel, path[-1])) for pixel in near]
        path.append(near[int(np.argmax(ahead))])
        left.discard(path[-1])
    return path


def _near(pixel: Pixel, others: set[Pixel]) -> list[Pixel]:
    """The neighbours of a pixel that are among ``others``; straight ones first."""
    row, column = pixel
    return [(row + i, column + j) for i, j in AROUND if (row + i, column + j) in others]


def _joint(end: Pixel, others: set[Pixel]) -> list[Pixel]:
    """One pixel of another path beside this end, so that branches touch and rings close."""
    return _near(end, others)[:1]


def timed(paths: list[NDArray[np.float64]]) -> list[Stroke]:
    """Strokes (n, 3): points with the time at which an even hand reaches them."""
    strokes, clock = [], 0.0
    for path in paths:
        lengths = np.hypot(*np.diff(path, axis=0, prepend=path[:1]).T)
        times = clock + np.cumsum(lengths) / SPEED
        strokes.append(np.column_stack([path, times]))
        clock = times[-1] + 200
    return strokes
