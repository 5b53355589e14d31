"""What the benchmarks share: a clock, quartiles, and a file for the record."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from utils.paths import atomic


def seconds(work: Callable[[], Any]) -> float:
    """How long ``work()`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def store(path: Path, record: Any) -> None:
    """Write a record as JSON, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
