"""``python -m benchmarks.imports``: how long importing takes, and how much memory it holds.

Each import runs in processes of their own, after one that warms the disk's cache; the median of the
rounds counts. NumPy and torch are there to compare with. Linux only, which tells the memory.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import store
from utils.paths import ROOT

PATH = ROOT / "build" / "bench" / "imports.json"
NAMES = ("utils", "numpy", "utils.nn", "utils.metrics", "app.server", "torch", "utils.training")
PROGRAM = """
import time
start = time.perf_counter()
import {name}
seconds = time.perf_counter() - start
with open("/proc/self/status") as file:  # ru_maxrss would tell of the parent, too
    (peak,) = (line.split()[1] for line in file if line.startswith("VmHWM"))
print(seconds, int(peak) / 1024)
"""


def measure(name: str, rounds: int) -> dict[str, float]:
    """Milliseconds of ``import name`` and MB of the process after it, as medians."""
    command = [sys.executable, "-c", PROGRAM.format(name=name)]
    runs = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(rounds + 1)
    ][1:]
    seconds, megabytes = (statistics.median(map(float, some)) for some in zip(*runs, strict=True))
    return {"milliseconds": round(seconds * 1000, 1), "megabytes": round(megabytes, 1)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, default=PATH)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    found = {name: measure(name, given.rounds) for name in NAMES}
    store(given.path, found)
    for name, one in found.items():
        print(f"{name:16} {one['milliseconds']:8.1f} ms {one['megabytes']:8.1f} MB")


if __name__ == "__main__":
    main()
