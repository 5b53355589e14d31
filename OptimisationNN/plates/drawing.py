"""Clean plates from their texts: the standard's proportions, a free font, four times too large.

All sizes are millimetres of a plate of 520 × 112; a plate is drawn at 560 × 120 pixels and made
smaller by the mean of 4 × 4 pixels.
"""

from functools import cache
from typing import NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from OptimisationNN.plates.texts import MAIN

HEIGHT, WIDTH, FINER = 30, 140, 4
TALL, LONG = 112, 520  # mm
DIGIT_HEIGHT, LETTER_HEIGHT, REGION_HEIGHT = 76, 58, 58
BASE = 94  # lower edge of the main characters
REGION_BASE = 69
INK, PAPER = np.array([25, 25, 30]), np.array([244, 244, 240])
FLAG = ((255, 255, 255), (30, 60, 165), (200, 30, 35))


class Cell(NamedTuple):
    """Where a character stands: left and right edge, lower edge, height; in mm."""

    left: float
    right: float
    base: float
    height: float


_WIDE = (44, 107, 155, 203, 266, 322)  # middles of the six main characters


def cells(text: str) -> list[Cell]:
    """One cell a character."""
    found = []
    for place, middle in enumerate(_WIDE):
        height = LETTER_HEIGHT if place in (0, 4, 5) else DIGIT_HEIGHT
        found.append(Cell(middle - 23, middle + 23, BASE, height))
    digits = len(text) - MAIN
    step = 45 if digits == 2 else 39
    for place in range(digits):
        middle = 442 + (place - (digits - 1) / 2) * step
        found.append(Cell(middle - step / 2 + 2, middle + step / 2 - 2, REGION_BASE, REGION_HEIGHT))
    return found


def _box(cell: Cell) -> tuple[int, int, int, int]:
    """Pixel edges (left, top, right, bottom) of a cell on the fine canvas."""
    across, down = WIDTH * FINER / LONG, HEIGHT * FINER / TALL
    top = cell.base - cell.height
    return (
        round(cell.left * across),
        round(top * down),
        round(cell.right * across),
        round(cell.base * down),
    )


@cache
def _font() -> ImageFont.FreeTypeFont:
    folder = matplotlib.get_data_path()
    return ImageFont.truetype(f"{folder}/fonts/ttf/DejaVuSans-Bold.ttf", 200)


@cache
def glyph(character: str, width: int, height: int) -> NDArray[np.uint8]:
    """Ink (height, width) of a character, 255 where it is: as tall as the cell, in its middle."""
    left, top, right, bottom = _font().getbbox(character)
    large = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(large).text((-left, -top), character, fill=255, font=_font())
    wide = min(width, round(large.width * height / large.height))
    small = np.asarray(large.resize((wide, height), Image.Resampling.BOX))
    ink = np.zeros((height, width), np.uint8)
    start = (width - wide) // 2
    ink[:, start : start + wide] = small
    return ink


@cache
def _paper() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What is the same on all plates: colours (30, 140, 3), and how far ink covers them (30, 140).

    A frame, the line before the region, RUS and the flag.
    """
    ink = np.zeros((HEIGHT * FINER, WIDTH * FINER), np.uint8)
    ink[2:5], ink[-5:-2], ink[2:-2, 2:5], ink[2:-2, -5:-2] = 255, 255, 255, 255
    ink[2:-2, 396:399] = 255
    for place, character in enumerate("RUS"):
        left, top, right, bottom = _box(Cell(388 + 19 * place, 406 + 19 * place, 100, 20))
        ink[top:bottom, left:right] = glyph(character, right - left, bottom - top)
    fine = np.broadcast_to(PAPER, (*ink.shape, 3)).copy()
    left, top, right, bottom = _box(Cell(452, 492, 101, 24))
    for stripe, colour in enumerate(FLAG):
        high = (bottom - top) // 3
        fine[top + stripe * high : top + (stripe + 1) * high, left:right] = colour
    return _smaller(fine), _smaller(ink)


def _smaller(fine: NDArray) -> NDArray[np.float32]:
    """Means of 4 × 4 pixels: (4 H, 4 W, …) to (H, W, …)."""
    blocks = fine.reshape(len(fine) // FINER, FINER, -1, FINER, *fine.shape[2:])
    return blocks.mean(axis=(1, 3), dtype=np.float32)


@cache
def printed(character: str, cell: Cell) -> tuple[slice, slice, NDArray[np.float32]]:
    """Rows and columns of the plate that a character touches, and the ink that it adds there."""
    left, top, right, bottom = _box(cell)
    x, y = left // FINER, top // FINER
    across, down = -(-right // FINER) - x, -(-bottom // FINER) - y
    ink = np.zeros((down * FINER, across * FINER), np.uint8)
    inside = slice(top - y * FINER, bottom - y * FINER), slice(left - x * FINER, right - x * FINER)
    ink[inside] = glyph(character, right - left, bottom - top)
    return slice(y, y + down), slice(x, x + across), _smaller(ink)


def plate(text: str) -> NDArray[np.uint8]:
    """A clean plate (30, 140, 3) with this text, which is not checked."""
    colours, empty = _paper()
    ink = empty.copy()
    for character, cell in zip(text, cells(text), strict=True):
        rows, columns, more = printed(character, cell)
        ink[rows, columns] += more
    covered = ink[..., None] / np.float32(255)
    return (colours + covered * (INK - colours)).astype(np.uint8)


def ink_of(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What characters add to an empty plate (30, 140), 0 … 255: ``plate`` the other way round."""
    colours, empty = _paper()
    return 255 * ((colours - image) / (colours - INK)).mean(axis=2) - empty
