"""The other benchmarks in one table: each number beside what it is compared with, as a ratio."""

import json
from collections.abc import Callable
from typing import Any

from benchmarks import archive
from utils.paths import RESULTS

Row = tuple[str, str, Callable[[Any], float]]  # what, beside what, the ratio of a record


def _times(one: str, other: str) -> Callable[[Any], float]:
    return lambda record: record[one]["milliseconds"] / record[other]["milliseconds"]


ROWS: dict[str, tuple[Row, ...]] = {
    "knn_speed": (
        ("nearest neighbours, 8 columns", "scikit-learn", lambda r: r["few columns"]["ratio"]),
        ("nearest neighbours, 784 columns", "scikit-learn", lambda r: r["images"]["ratio"]),
    ),
    "one_speed": (
        (
            "epoch of ONE, three branches",
            "a port of the archive",
            lambda r: 1 / r["pocket"]["ratio"],
        ),
    ),
    "plates_speed": (
        ("a plate drawn", "the goal, 1,500 a second", lambda r: _slow(r["drawn"])),
        ("a plate distorted", "the goal, 1,500 a second", lambda r: _slow(r["distorted"])),
        ("a plate read", "the goal, 500 a second", lambda r: _slow(r["read"])),
    ),
    "app_load": (
        ("the application's p95", "the goal, 100 ms", lambda r: r["milliseconds"]["p95"] / 100),
        ("memory of a worker", "the goal, 150 MB", lambda r: r["megabytes_of_a_worker"] / 150),
    ),
    "imports": (
        ("`import utils.nn`", "`import numpy`", _times("utils.nn", "numpy")),
        ("`import utils.training`", "`import torch`", _times("utils.training", "torch")),
    ),
    "archive": (
        ("all notebooks", "a minute for each, five for one", lambda r: _share(r["seconds"])),
        ("the slowest notebook", "its budget", lambda r: max(map(_spent, r["seconds"].items()))),
    ),
}


def table() -> str:
    """Markdown; time or memory over that of the second column: below 1 is better."""
    lines = ["| time or memory of | over that of | ratio |", "| --- | --- | ---: |"]
    for name, rows in ROWS.items():
        place = RESULTS / "benchmarks" / f"{name}.json"
        if place.is_file():
            record = json.loads(place.read_text("utf-8"))
            lines += [f"| {what} | {beside} | {of(record):.2f} |" for what, beside, of in rows]
    return "\n".join(lines)


def _slow(rate: dict[str, float]) -> float:
    return rate["goal"] / rate["per_second"]


def _share(seconds: dict[str, float]) -> float:
    return sum(seconds.values()) / sum(map(archive.budget, seconds))


def _spent(measured: tuple[str, float]) -> float:
    name, seconds = measured
    return seconds / archive.budget(name)
