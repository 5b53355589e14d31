"""Reading clean plates by comparing pixels: what a generator says must be what it has drawn."""

import numpy as np
from numpy.typing import NDArray

from OptimisationNN.plates.drawing import Cell, cells, ink_of, printed
from OptimisationNN.plates.texts import LONGEST, Alphabet


def read_clean(image: NDArray[np.uint8], alphabet: Alphabet) -> str:
    """The text of a clean plate (30, 140, 3), from its pixels alone.

    At each place the character whose ink is nearest; of the two forms, with two or three digits
    in the region, the one that leaves less ink unexplained.
    """
    forms = [cells("?" * length) for length in (LONGEST - 1, LONGEST)]
    return min(_nearest(ink_of(image), form, alphabet) for form in forms)[1]


def _nearest(ink: NDArray[np.float64], form: list[Cell], alphabet: Alphabet) -> tuple[float, str]:
    """Ink (30, 140) that is not explained, and the characters that explain the rest."""
    text = ""
    for place, cell in enumerate(form):
        options = [(kind, *printed(kind, cell)) for kind in alphabet.kinds(place)]
        misses = [abs(ink[rows, columns] - own).sum() for _, rows, columns, own in options]
        kind, rows, columns, own = options[int(np.argmin(misses))]
        ink[rows, columns] -= own
        text += kind
    return float(abs(ink).sum()), text
