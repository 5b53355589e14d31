"""Recorded runs and the ledger of claims.

``results/claims.toml`` is written by hand: what others claimed and how to read it honestly.
``results/ID.json`` is written by ``make reproduce ID=…`` alone: what we measured. Notebooks hand
their numbers over with ``record``, which does nothing outside such a run.
"""

import json
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from utils.history import History
from utils.paths import RESULTS, atomic

NOT_YET = "not yet"


@dataclass(frozen=True)
class Claim:
    """One row of the ledger, keyed by (id, metric); the head of claims.toml explains each field."""

    id: str
    row: int
    system: str
    metric: str
    claimed: float | str
    where: str
    honest: float | str
    why: str
    better: str
    notebook: str
    command: str
    seeds: int


@dataclass(frozen=True)
class Result:
    """A recorded run: per-seed values of each metric, with all that made them."""

    id: str
    fields: dict[str, Any]

    def values(self, metric: str) -> list[float]:
        """One value a seed. Raises KeyError when the metric was not recorded."""
        metrics = self.fields["metrics"]
        if metric not in metrics:
            raise KeyError(f"results/{self.id}.json has no {metric!r}, only {sorted(metrics)}.")
        return metrics[metric]["values"]

    def mean(self, metric: str) -> float:
        return float(np.mean(self.values(metric)))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """95 % interval of the mean over seeds, or None from a single run."""
        return interval(self.values(metric))

    @property
    def histories(self) -> list[History]:
        """The training of each seed, where one was recorded."""
        return [History(rows) for rows in self.fields["histories"]]


@cache
def ledger(path: Path = RESULTS / "claims.toml") -> tuple[Claim, ...]:
    """All rows of the ledger, in the order of the file."""
    return tuple(Claim(**row) for row in tomllib.loads(path.read_text("utf-8"))["claim"])


def read(id: str, folder: Path = RESULTS) -> Result:
    """The recorded run of one system. Raises FileNotFoundError naming the command that makes it."""
    path = folder / f"{id}.json"
    if not path.is_file():
        raise FileNotFoundError(f"no results/{id}.json yet: make reproduce ID={id} records it.")
    return Result(id, json.loads(path.read_text("utf-8")))


def recorded(folder: Path = RESULTS) -> dict[str, Result]:
    """All recorded runs by their id, in the order of the alphabet."""
    return {path.stem: read(path.stem, folder) for path in sorted(folder.glob("*.json"))}


def write(id: str, fields: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Store a run as results/ID.json, whole or not at all."""
    path = folder / f"{id}.json"
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def interval(values: list[float]) -> tuple[float, float] | None:
    """95 % interval of the mean, mean ± t · s/√n with Student's t of n−1; None for n < 2."""
    n = len(values)
    if n < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def record(id: str, *, on: Any = None, history: History | None = None, **metrics: float) -> None:
    """Hand a notebook's headline numbers to ``make reproduce``; do nothing elsewhere.

    ``on`` is the data set that the numbers were measured on. Raises ValueError for numbers that
    come from a stand-in, are not finite, or were handed over before.
    """
    folder = os.environ.get("NN_COURSE_RECORD")
    if folder is None:
        return
    if getattr(on, "is_stand_in", False):
        raise ValueError(f"{id}: numbers measured on a stand-in are never recorded.")
    path = Path(folder) / f"{id}.json"
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {"metrics": {}}
    for name, value in metrics.items():
        if name in known["metrics"] or not np.isfinite(value):
            raise ValueError(f"{id}: {name}={value} is not finite or was recorded before.")
        known["metrics"][name] = float(value)
    if history is not None:
        known["history"] = history.rows
    if on is not None:
        known["data"] = describe_data(on)
    path.write_text(json.dumps(known), "utf-8")


def describe_data(on: Any) -> dict[str, Any]:
    """What a data set is, for the record: name, source, hashes and the sizes of its splits."""
    splits = [split for split in ("train", "validation", "test") if hasattr(on, split)]
    sizes = {split: len(getattr(on, split)) for split in splits}
    return {"name": on.name, "source": on.source, "sha256": dict(on.sha256), "splits": sizes}
