"""``python -m benchmarks.plates_speed``: how many plates are drawn, and read, in a second.

Drawn are clean plates of 140×30 pixels, and plates with all changes at full strength, by one
process a core, as a loader with as many workers does; the images come back to the process that
asked. Read are batches of 100 plates by the reader of places, from bytes to texts, with one thread
a core; its weights are random, since the time does not depend on them. The goals on two cores are
1,500 drawn, clean or not, and 500 read.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import quartiles, seconds, store
from OptimisationNN.plates.readers import PlaceReader
from OptimisationNN.plates.sets import Plates, photograph
from OptimisationNN.plates.texts import Alphabet
from OptimisationNN.plates.training import Plan, read
from utils.paths import ROOT

PATH = ROOT / "build" / "bench" / "plates_speed.json"
GOALS = {"drawn": 1_500, "distorted": 1_500, "read": 500}
STRENGTHS = {"drawn": 0.0, "distorted": 1.0}


def drawn(numbers: range, strength: float) -> NDArray[np.uint8]:
    """Plates (N, 30, 140, 3) of these numbers."""
    return np.stack([photograph(Alphabet(), 0, number, strength)[1] for number in numbers])


def rates(count: int, rounds: int, cores: int) -> Iterator[tuple[str, list[float]]]:
    """(what is done, how often in a second in each round)."""
    spawned = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(cores, spawned) as pool:
        for name, strength in STRENGTHS.items():
            work = partial(draw, count, cores, pool, strength)
            yield name, [count / s for s in timed(work, rounds)]
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    images, _ = Plates(count, seed=0).tensors()
    reader = PlaceReader(len(Alphabet().letters), torch.Generator().manual_seed(0))
    yield "read", [count / s for s in timed(lambda: read(reader, Plan(), images), rounds)]
    torch.set_num_threads(before)


def draw(count: int, cores: int, pool: Executor, strength: float) -> int:
    """Draw ``count`` plates in as many parts as there are cores; returns how many came back."""
    parts = [range(i, count, cores) for i in range(cores)]
    return sum(map(len, pool.map(drawn, parts, repeat(strength))))


def timed(work: Callable[[], Any], rounds: int) -> list[float]:
    """Seconds of each round; one more before them warms up."""
    return [seconds(work) for _ in range(rounds + 1)][1:]


def measure(count: int, rounds: int, cores: int) -> dict[str, dict[str, float]]:
    """Median and quartiles of plates in a second, drawn and read."""
    found = {}
    for name, each in rates(count, rounds, cores):
        low, middle, high = quartiles(each)
        found[name] = {"per_second": middle, "low": low, "high": high, "goal": GOALS[name]}
    return found


def main() -> None:
    """Measure both, print the rates and store them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1_500, help="plates in a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--path", type=Path, default=PATH)
    args = parser.parse_args()
    found = measure(args.count, args.rounds, args.cores)
    for name, row in found.items():
        print(
            f"{name}: {row['per_second']:.0f} a second ({row['low']:.0f}–{row['high']:.0f}), ",
            end="",
        )
        print(f"goal {row['goal']:,}, on {args.cores} cores")
    about = {"count": args.count, "cores": args.cores}
    store(args.path, about | found)


if __name__ == "__main__":
    main()
