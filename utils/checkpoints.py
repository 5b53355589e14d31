"""Checkpoints: the state of a training, written whole or not at all, and checked before use."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from utils.paths import atomic

# what torch.load raises for files that it did not write, or that end too soon
UNREADABLE = (RuntimeError, pickle.UnpicklingError, EOFError, BadZipFile, ValueError, OSError)


def save(path: Path, state: dict[str, Any]) -> None:
    """Store nested dictionaries of tensors and numbers; the old file stays until it is done."""
    with atomic(path) as temporary:
        torch.save(state, temporary)


def load(path: Path) -> dict[str, Any]:
    """What ``save`` stored; no pickled code is ever run.

    Raises ValueError for a file that is cut off, damaged or something else.
    """
    try:
        state = torch.load(path, weights_only=True)
    except UNREADABLE as error:
        raise ValueError(
            f"{path.name} is no complete checkpoint (it was cut off, or is another kind of file): "
            "delete it to train anew."
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path.name} holds a {type(state).__name__}, no checkpoint: delete it.")
    return state


def restore(path: Path, now: Callable[[], dict], load_state: Callable[[dict], None]) -> None:
    """Load a checkpoint into a training whose present state is ``now()``.

    Raises ValueError, before anything is changed, when it belongs to another model or recipe.
    """
    stored, present = load(path), now()
    if set(stored) != set(present):
        raise ValueError(f"{path.name} holds {sorted(stored)}, not a training: delete it.")
    theirs, ours = _shapes(stored["model"]), _shapes(present["model"])
    if theirs != ours:
        name = next(n for n in [*ours, *theirs] if ours.get(n) != theirs.get(n))
        raise ValueError(
            f"{path.name} is from another model: {name} is {theirs.get(name, 'absent')} there "
            f"and {ours.get(name, 'absent')} here. Use another file, or delete this one."
        )
    load_state(stored)


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
