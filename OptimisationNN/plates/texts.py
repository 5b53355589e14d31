"""What may stand on a plate: alphabets, and texts of the form letter, 3 digits, 2 letters, region.

GOST R 50577, type 1: ``A123BC77`` or ``A123BC777``.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGITS = "0123456789"
SHARED = "ABCEHKMOPTXY"  # the twelve letters that Cyrillic and Latin share, as on real plates
CYRILLIC = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"  # all 33
MAIN = 6  # characters before the region
LONGEST = 9
BLANK = 10  # the class of a third region digit that is not there


@dataclass(frozen=True)
class Alphabet:
    """The letters of a set of plates. Raises ValueError for none, or for one that comes twice."""

    letters: str = SHARED

    def __post_init__(self) -> None:
        if not self.letters or len(set(self.letters)) != len(self.letters):
            raise ValueError(f"an alphabet needs letters, each once; got {self.letters!r}.")

    def kinds(self, position: int) -> str:
        """The characters that may stand at a position 0 … 8."""
        return self.letters if position in (0, 4, 5) else DIGITS

    @property
    def bits(self) -> float:
        """Information of the six main characters in bits: log2(L³ · 999)."""
        return 3 * math.log2(len(self.letters)) + math.log2(999)

    def draw(self, rng: np.random.Generator, three_digits: float = 0.3) -> str:
        """A random text; ``three_digits`` is the share of regions with three digits."""
        first, *others = (self.letters[i] for i in rng.integers(0, len(self.letters), 3))
        number = rng.integers(1, 1000)
        long = rng.random() < three_digits
        region = rng.integers(100, 1000) if long else rng.integers(1, 100)
        return f"{first}{number:03}{''.join(others)}{region:02}"

    def check(self, text: str) -> str:
        """The text, if it has the form of a plate. Raises ValueError saying what is wrong."""
        strange = sorted(set(text) - set(self.letters) - set(DIGITS))
        if strange:
            raise ValueError(
                f"{''.join(strange)!r} is not in the alphabet {self.letters} and no digit."
            )
        letter = f"[{re.escape(self.letters)}]"
        if not re.fullmatch(rf"{letter}\d{{3}}{letter}{{2}}\d{{2,3}}", text):
            raise ValueError(
                f"{text!r} has not the form of a plate: letter, three digits, two letters, region "
                "of two or three digits."
            )
        return text

    def encode(self, text: str) -> NDArray[np.int64]:
        """Class numbers (9,): place of each character in ``kinds``, ``BLANK`` for no ninth."""
        places = [self.kinds(i).index(c) for i, c in enumerate(self.check(text))]
        return np.array(places + [BLANK] * (LONGEST - len(places)))

    def decode(self, classes: NDArray[np.int64]) -> str:
        """The text of class numbers (9,)."""
        kept = [(i, c) for i, c in enumerate(classes) if i < LONGEST - 1 or c != BLANK]
        return "".join(self.kinds(i)[c] for i, c in kept)
