"""What a task consists of, and how a criterion looks at a student's file.

A check gets the student's names and calls them through ``expect`` and ``expect_error``, which turn
whatever happens into one sentence with the example that failed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Names = Mapping[str, Any]
Check = Callable[[Names], None]


class Failed(Exception):
    """A criterion is not met; the text is the first example that shows it."""


@dataclass(frozen=True)
class Criterion:
    """One thing that a file must do, and what it is worth."""

    what: str
    marks: int
    check: Check


@dataclass(frozen=True)
class Task:
    """A task: its name, what a file must define, and its criteria."""

    name: str
    asks: str
    criteria: tuple[Criterion, ...]

    @property
    def marks(self) -> int:
        return sum(criterion.marks for criterion in self.criteria)


def need(names: Names, name: str) -> Any:
    """What the file calls ``name``. Raises Failed where there is no such thing."""
    if name not in names:
        raise Failed(f"the file defines nothing called {name}")
    return names[name]


def expect(example: str, run: Callable[[], Any], wanted: Any, within: float = 1e-9) -> None:
    """Run an example and compare: numbers and arrays within a relative and absolute tolerance.

    Raises Failed when it gives something else or raises.
    """
    got = _result(example, run)
    if not same(got, wanted, within):
        raise Failed(f"{example} gives {brief(got)}, expected {brief(wanted)}")


def expect_true(example: str, run: Callable[[], Any], why: str) -> None:
    """Run an example that must be true; ``why`` says what is wrong otherwise."""
    if not _result(example, run):
        raise Failed(f"{example}: {why}")


def expect_error(example: str, run: Callable[[], Any], *kinds: type[Exception]) -> None:
    """Run an example that must raise one of ``kinds`` (by default ValueError)."""
    kinds = kinds or (ValueError,)
    names = " or ".join(kind.__name__ for kind in kinds)
    try:
        got = run()
    except kinds:
        return
    except Exception as error:
        raise Failed(f"{example} raises {said(error)}, expected {names}") from error
    raise Failed(f"{example} gives {brief(got)}, expected {names}")


def _result(example: str, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:
        raise Failed(f"{example} raises {said(error)}") from error


def said(error: Exception) -> str:
    """An exception in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:120]}" if text else type(error).__name__


def same(got: Any, wanted: Any, within: float = 1e-9) -> bool:
    """Equal: numbers and arrays within a tolerance and of one shape, all else by ==."""
    try:
        wanted_numbers = np.asarray(wanted, dtype=np.float64)
    except (TypeError, ValueError):
        return type(got) is not np.ndarray and bool(got == wanted)
    try:
        numbers = np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return numbers.shape == wanted_numbers.shape and bool(
        np.allclose(numbers, wanted_numbers, rtol=within, atol=within, equal_nan=True)
    )


def brief(value: Any) -> str:
    """A value in at most 80 characters."""
    text = (
        " ".join(np.array2string(value, precision=6).split())
        if isinstance(value, np.ndarray)
        else repr(value)
    )
    return text if len(text) <= 80 else f"{text[:77]}…"
