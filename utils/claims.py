"""claim(): a checked statement whose stored text does not depend on the machine."""

import operator
from typing import Any

_COMPARISONS = {
    ">=": ("≥", operator.ge),
    "<=": ("≤", operator.le),
    ">": (">", operator.gt),
    "<": ("<", operator.lt),
    "==": ("=", operator.eq),
}


def claim(
    what: str,
    value: float,
    comparison: str | None = None,
    bound: float | None = None,
    *,
    about: float | None = None,
    within: float | None = None,
    on: Any = None,
) -> None:
    """State a headline and check it: for every reader, in every profile, on every machine.

    ``claim("test accuracy", accuracy, ">=", 0.97)`` prints
    ``✓ test accuracy ≥ 0.97   (measured 0.9731)`` or raises AssertionError.
    ``claim("inertia", x, about=4568.5, within=0.01)`` allows one per cent either way.
    The tests compare all of the line but the bracket, so choose a bound with a margin.

    ``on=digits`` names the data that the claim is about: on an offline stand-in
    (``digits.is_stand_in``) the line says that the claim was not checked. Claims that hold on
    any data (better than chance, the loss falls) take no ``on``.
    """
    holds, text = _check(what, float(value), comparison, bound, about, within)
    if getattr(on, "is_stand_in", False):
        print(f"– {text}   (not checked: {on.name} is a stand-in here)")
        return
    if not holds:
        raise AssertionError(f"✗ {text} does not hold: measured {float(value):.6g}")
    print(f"✓ {text}   (measured {float(value):.4g})")


def _check(what, value, comparison, bound, about, within) -> tuple[bool, str]:
    if about is not None and within is not None and comparison is None:
        return abs(value - about) <= within * abs(about), f"{what} ≈ {about} (±{within:.2%})"
    if comparison in _COMPARISONS and bound is not None and about is None and within is None:
        sign, holds = _COMPARISONS[comparison]
        return bool(holds(value, bound)), f"{what} {sign} {bound}"
    raise ValueError(
        f"claim({what!r}): give a comparison ({', '.join(_COMPARISONS)}) and a bound, "
        "or about= and within=."
    )
