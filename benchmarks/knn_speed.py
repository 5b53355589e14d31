"""``python -m benchmarks.knn_speed``: the lesson's nearest neighbours beside scikit-learn's.

The class is taken from the cells of the lesson, so what is timed is what is taught. Both look at
all points, and must give the same answers; they take turns, on one thread.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.timing import quartiles, seconds, store
from tools import notebooks
from utils.paths import ROOT

PATH = ROOT / "build" / "bench" / "knn_speed.json"
LESSON = ROOT / "PythonMLCourse" / "Part1" / "Seminar04" / "knn_vectorised.ipynb"
PARTS = ("def euclidean(", "def nearest(", "class KnnBruteClassifier")
SIZES = {"few columns": (20_000, 2_000, 8), "images": (10_000, 1_000, 784)}  # points, queries


def taught() -> Any:
    """The lesson's class. Raises ValueError when the lesson no longer has one of its parts."""
    cells = [cell.source for cell in notebooks.code_cells(notebooks.read(LESSON))]
    space: dict[str, Any] = {"np": np}
    for part in PARTS:
        found = [source for source in cells if part in source]
        if len(found) != 1:
            raise ValueError(f"{len(found)} cells of {LESSON.name} hold {part!r}; wanted is one.")
        exec(found[0], space)
    return space["KnnBruteClassifier"]


def measure(points: int, queries: int, columns: int, rounds: int) -> dict[str, float]:
    """Quartiles of ours over scikit-learn's. Raises ArithmeticError where their answers differ."""
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(points, columns)), rng.integers(0, 10, points)
    asked = rng.normal(size=(queries, columns))
    models = [
        taught()(5).fit(inputs, labels),
        KNeighborsClassifier(5, algorithm="brute", n_jobs=1).fit(inputs, labels),
    ]
    answers = [model.kneighbors(asked)[1] for model in models]  # warms up, too
    if not np.array_equal(*answers):
        raise ArithmeticError("the two find other neighbours.")
    ours, theirs = (partial(model.predict, asked) for model in models)
    low, ratio, high = quartiles([seconds(ours) / seconds(theirs) for _ in range(rounds)])
    return {"ratio": ratio, "low": low, "high": high}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, default=PATH)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args(arguments)
    found = {name: measure(*size, given.rounds) for name, size in SIZES.items()}
    store(given.path, found)
    for name, one in found.items():
        print(f"{name:12} {one['ratio']:.2f} ({one['low']:.2f}–{one['high']:.2f})")


if __name__ == "__main__":
    main()
