"""Small trained weights of the course, each with its hash and the run that it came from."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from utils.data import sha256
from utils.paths import MODELS, atomic


def save(name: str, state: dict[str, Any], *, result: str, folder: Path = MODELS) -> Path:
    """Store a state dict as NAME.npz (arrays) or NAME.pt (tensors) and list it in index.json.

    ``result`` is the ID of the recorded run that the weights belong to. Both files are written
    whole or not at all.
    """
    arrays = all(isinstance(value, np.ndarray) for value in state.values())
    path = folder / f"{name}{'.npz' if arrays else '.pt'}"
    with atomic(path) as temporary:
        (_save_arrays if arrays else _save_tensors)(temporary, state)
    entry = {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "result": result,
        "parameters": learned(state),
    }
    with atomic(folder / "index.json") as temporary:
        listing = json.dumps({**index(folder), name: entry}, indent=1, sort_keys=True)
        temporary.write_text(listing + "\n", "utf-8")
    return path


def learned(state: dict[str, Any]) -> int:
    """How many numbers of a state dict were learned: all but what BatchNorm has counted."""
    counted = ("running_mean", "running_var", "num_batches_tracked")
    return sum(int(np.prod(v.shape)) for name, v in state.items() if not name.endswith(counted))


def keep(name: str, state: dict[str, Any], *, result: str) -> None:
    """Store the weights that a notebook trained, in the run of seed 0 of ``make reproduce``.

    Does nothing elsewhere: a reader's run never changes the course's models.
    """
    if "NN_COURSE_RECORD" in os.environ and os.environ.get("NN_COURSE_SEED", "0") == "0":
        save(name, state, result=result)


def load(name: str, *, folder: Path = MODELS) -> dict[str, Any]:
    """State dict of a stored model, its hash checked first; no pickled code is ever run.

    Raises KeyError for a model that is not listed, ValueError when the file was changed.
    """
    if name not in index(folder):
        raise KeyError(f"no model called {name!r}; there are {sorted(index(folder))}.")
    entry = index(folder)[name]
    path = folder / entry["file"]
    if not path.is_file() or sha256(path) != entry["sha256"]:
        raise ValueError(
            f"{path.name} is missing or is not the model that index.json lists (its sha256 "
            f"differs); make reproduce ID={entry['result']} makes it again."
        )
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    import torch

    return torch.load(path, weights_only=True)


def halved(state: dict[str, Any]) -> dict[str, Any]:
    """The same tensors, laid out plainly, floats in float16: half the size; loading widens them."""
    plain = {name: t.contiguous() for name, t in state.items()}
    return {name: t.half() if t.is_floating_point() else t for name, t in plain.items()}


def arrays(state: dict[str, Any]) -> dict[str, np.ndarray]:
    """The same tensors as NumPy arrays: stored as NAME.npz, which is read without PyTorch."""
    return {name: tensor.numpy() for name, tensor in state.items()}


def index(folder: Path = MODELS) -> dict[str, dict[str, Any]]:
    """The stored models: file, bytes, sha256, ID of the run and parameters, by name."""
    path = folder / "index.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _save_arrays(path: Path, state: dict[str, np.ndarray]) -> None:
    np.savez_compressed(path, **state)


def _save_tensors(path: Path, state: dict[str, Any]) -> None:
    import torch

    torch.save(state, path)
