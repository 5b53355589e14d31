"""Profile: the sizes of a run, quick and full, with the same teaching code."""

import os
from typing import Any

NAMES = ("quick", "full")


class Profile:
    """``Profile(epochs=(2, 20), floor=(0.95, 0.985))`` holds one (quick, full) pair per name.

    ``run.epochs`` is the quick value unless ``NN_COURSE_PROFILE=full``; the quick one is what the
    committed notebook stores and the tests compare. ``run.seed`` is ``NN_COURSE_SEED``, or 0.

    Raises ValueError when a size is not a pair, or when a variable holds something else.
    """

    def __init__(self, **sizes: tuple[Any, Any]) -> None:
        self.name = _one_of("NN_COURSE_PROFILE", NAMES)
        self.full = self.name == "full"
        self.seed = _whole("NN_COURSE_SEED")
        for name, pair in sizes.items():
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ValueError(f"Profile({name}={pair!r}): give a pair (quick, full).")
            setattr(self, name, pair[self.full])

    def __repr__(self) -> str:
        sizes = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k not in ("name", "full"))
        return f"{self.name} profile: {sizes}"

    def __getattr__(self, name: str) -> Any:  # called only for names that were not given
        raise AttributeError(f"this profile has no size {name!r}; it has {sorted(vars(self))}.")


def _one_of(variable: str, allowed: tuple[str, ...]) -> str:
    value = os.environ.get(variable, allowed[0])
    if value not in allowed:
        raise ValueError(f"{variable}={value!r}: it must be one of {', '.join(allowed)}.")
    return value


def _whole(variable: str) -> int:
    value = os.environ.get(variable, "0")
    if not value.isdecimal():
        raise ValueError(f"{variable}={value!r}: it must be a whole number such as 0, 1 or 2.")
    return int(value)
