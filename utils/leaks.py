"""Leaks: ways in which a score gets better than it honestly is, each with its detector.

A detector returns what it found, so that a lesson can show and count it; ``require_…`` raises
ValueError in one sentence, so that a training cannot start on it.
"""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray


def shared(first: NDArray, second: NDArray) -> NDArray[np.int64]:
    """Places in ``second`` (M, …) whose example occurs, byte for byte, in ``first`` (N, …).

    Both in the same form, as uint8 images are before anything is scaled. Raises ValueError for
    examples of different shapes or types, which could never be equal.
    """
    if first.shape[1:] != second.shape[1:] or first.dtype != second.dtype:
        raise ValueError(
            f"only examples of one form can be compared: got {first.dtype} {first.shape[1:]} and "
            f"{second.dtype} {second.shape[1:]}."
        )
    known = set(_keys(first))
    return np.array([i for i, key in enumerate(_keys(second)) if key in known], dtype=np.int64)


def require_disjoint(**splits: NDArray) -> None:
    """Raise ValueError if two of the named splits share an example: test data in training."""
    for (one, first), (other, second) in combinations(splits.items(), 2):
        found = shared(first, second)
        if len(found):
            raise ValueError(
                f"{len(found)} of the {len(second)} examples of {other} stand in {one} too: "
                "a score on them is no test."
            )


def duplicates(examples: NDArray) -> NDArray[np.int64]:
    """Places of examples (N, …) that occurred before, byte for byte, in the same set."""
    seen: set[bytes] = set()
    found = []
    for i, key in enumerate(_keys(examples)):
        if key in seen:
            found.append(i)
        seen.add(key)
    return np.array(found, dtype=np.int64)


def require_unit_range(inputs: NDArray, name: str = "inputs") -> None:
    """Raise ValueError unless ``inputs`` look like images scaled once to 0 … 1.

    Bytes that were never divided by 255 reach far beyond 1; those divided twice stay below 1/255.
    """
    low, high = float(np.min(inputs)), float(np.max(inputs))
    if low < 0 or high > 1:
        raise ValueError(f"{name} reach from {low:g} to {high:g}: divide bytes by 255, once.")
    if 0 < high <= 1 / 254:
        raise ValueError(f"{name} reach to {high:g} only: they were divided by 255 twice.")


def _keys(examples: NDArray) -> Iterable[bytes]:
    return (example.tobytes() for example in np.ascontiguousarray(examples))
