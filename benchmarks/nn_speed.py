"""``python -m benchmarks.nn_speed``: training steps of ``utils.nn`` and PyTorch side by side.

The same four networks are built of both libraries with the same weights. Their losses must agree
over the first steps; then steps (forward, loss, backward, update) of both are timed in turns, with
one thread and with two, each in a process of its own. What counts is the ratio ours / PyTorch: bare
times say more about the machine. The goal is a geometric mean of 1 with one thread, and no case
above 1.5.
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils import nn as ours
from utils.paths import ROOT, atomic

PATH = ROOT / "build" / "bench" / "nn_speed.json"
CHECKED = 3  # steps whose losses are compared
AGREEMENT = 1e-4  # largest relative difference of these losses
BLOCK = 3  # timed steps in a row, after one that warms the caches
PAUSE = 0.05  # seconds before a block: the other library's threads stop waiting for work
MEMORY = 600  # MB that case (c) may use


# --- the networks: ``nn`` is utils.nn or torch.nn ------------------------------------------------


def one_convolution(nn: Any, **draw: Any) -> Any:
    """(a) The CNN of schneimo/neural-network-basics: 28 × 28 · 32 = 25088 after its pooling.

    The pooling is 4×4 with stride 1 and keeps the size: of its three pixels of padding one goes
    above and left, two below and right.
    """
    pool = ours.MaxPool2d(4, stride=1, padding="same") if nn is ours else torch_same_pool()
    return nn.Sequential(
        nn.Conv2d(1, 32, 7, padding=3, **draw), nn.ReLU(), pool, nn.Flatten(),
        nn.Linear(25088, 100, **draw), nn.ReLU(), nn.Linear(100, 10, **draw),
    )  # fmt: skip


def mlp(nn: Any, **draw: Any) -> Any:
    """(b) 784-256-128-10 with ReLU."""
    return nn.Sequential(
        nn.Linear(784, 256, **draw), nn.ReLU(),
        nn.Linear(256, 128, **draw), nn.ReLU(),
        nn.Linear(128, 10, **draw),
    )  # fmt: skip


def digit_pairs(nn: Any, **draw: Any) -> Any:
    """(c) The CNN for pairs of digits, 28 × 56 pixels and 100 classes."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, **draw), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, **draw), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 256, **draw), nn.ReLU(),
        nn.Dropout(0.4, **({"rng": draw["rng"]} if draw else {})), nn.Linear(256, 100, **draw),
    )  # fmt: skip


def gru(nn: Any, **draw: Any) -> Any:
    """(d) A GRU of two layers of 64 units in both directions, and the mean of its outputs."""
    layer = nn.GRU(3, 64, num_layers=2, bidirectional=True, **draw)
    mean = OverTime() if nn is ours else torch_over_time()
    return nn.Sequential(layer, mean, nn.Linear(128, 10, **draw))


class OverTime(ours.Module):
    """Mean over the steps of what a recurrent layer returns: outputs (T, N, H), state → (N, H)."""

    def forward(self, outputs_and_state: tuple) -> np.ndarray:
        self._saved = outputs_and_state[0].shape
        return outputs_and_state[0].mean(axis=0)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        return np.broadcast_to(gradient / self.saved()[0], self.saved())


def torch_over_time() -> Any:
    """OverTime for torch."""
    import torch

    class OverTime(torch.nn.Module):
        def forward(self, outputs_and_state):
            return outputs_and_state[0].mean(dim=0)

    return OverTime()


def torch_same_pool() -> Any:
    """MaxPool2d(4, stride=1, padding="same") for torch, which has no such padding."""
    import torch

    class SamePool(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.max_pool2d(x, 4, 1, padding=2)[:, :, 1:, 1:]

    return SamePool()


@dataclass(frozen=True)
class Case:
    """A network, the shape of one batch with its axis of examples, classes and optimizer."""

    title: str
    network: Callable[..., Any]
    shape: tuple[int, ...]
    classes: int
    optimizer: str
    lr: float
    batch_axis: int = 0


CASES = {
    "a": Case(
        "CNN with one 7×7 convolution, SGD", one_convolution, (32, 1, 28, 28), 10, "SGD", 1e-2
    ),
    "b": Case("MLP 784-256-128-10, Adam", mlp, (128, 784), 10, "Adam", 1e-3),
    "c": Case("CNN for pairs of digits, Adam", digit_pairs, (256, 1, 28, 56), 100, "Adam", 1e-3),
    "d": Case("GRU 2×64 bidirectional, Adam", gru, (60, 64, 3), 10, "Adam", 1e-3, batch_axis=1),
}


# --- one step of either library ------------------------------------------------------------------


def our_step(case: Case, x: np.ndarray, labels: np.ndarray) -> tuple[Any, Callable[[], float]]:
    """Our network, and a function that trains it for one step and returns the loss."""
    net = case.network(ours, rng=np.random.default_rng(0))
    loss = ours.CrossEntropyLoss()
    optimizer = getattr(ours, case.optimizer)(net.parameters(), lr=case.lr)

    def step() -> float:
        optimizer.zero_grad()
        value = loss(net(x), labels)
        net.accumulate(loss.backward())
        optimizer.step()
        return value

    return net, step


def torch_step(
    case: Case, x: np.ndarray, labels: np.ndarray, weights: dict
) -> tuple[Any, Callable[[], float]]:
    """The same of PyTorch, from our weights."""
    import torch

    net = case.network(torch.nn)
    net.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    loss = torch.nn.CrossEntropyLoss()
    optimizer = getattr(torch.optim, case.optimizer)(net.parameters(), lr=case.lr)
    images, targets = torch.tensor(x), torch.tensor(labels)

    def step() -> float:
        optimizer.zero_grad()
        value = loss(net(images), targets)
        value.backward()
        optimizer.step()
        return value.item()

    return net, step


def batch(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal inputs and random labels: the time does not depend on what they show."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, case.classes, case.shape[case.batch_axis])
    return rng.standard_normal(case.shape, dtype=np.float32), labels


# --- measuring, in a process of its own ----------------------------------------------------------


def measure(case: Case, threads: int, rounds: int) -> dict[str, Any]:
    """Check that both libraries agree, then seconds a step of each: one median a round."""
    import torch

    torch.set_num_threads(threads)
    x, labels = batch(case)
    net, step = our_step(case, x, labels)
    reference, their_step = torch_step(case, x, labels, net.state_dict())
    difference = disagreement(net, reference, step, their_step)
    seconds = [(block(step), block(their_step)) for _ in range(rounds)]
    mine, theirs = zip(*seconds, strict=True)
    return {"ours": mine, "torch": theirs, "difference": difference}


def disagreement(net: Any, reference: Any, step: Callable, their_step: Callable) -> float:
    """Largest relative difference of the losses over the first steps, with dropout switched off."""
    net.eval(), reference.eval()
    worst = 0.0
    for _ in range(CHECKED):
        mine, theirs = step(), their_step()
        worst = max(worst, abs(mine - theirs) / abs(theirs))
    if not worst <= AGREEMENT:
        raise AssertionError(f"the losses differ by {worst:.1e}: the networks are not the same.")
    net.train(), reference.train()
    return worst


def block(step: Callable[[], float]) -> float:
    """Median seconds of a few steps in a row."""
    time.sleep(PAUSE)
    step()
    seconds = []
    for _ in range(BLOCK):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peak_memory(case: Case) -> float:
    """Largest memory in MB of this process, which imports only our library, over a few steps."""
    _, step = our_step(case, *batch(case))
    for _ in range(5):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


# --- all of it -----------------------------------------------------------------------------------


def in_a_process(task: str, case: str, threads: int, rounds: int) -> Any:
    """Run this module again as a worker with so many threads; what it printed."""
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    command = [sys.executable, "-m", "benchmarks.nn_speed", "--worker", task, "--cases", case]
    run = subprocess.run(
        [*command, "--threads", str(threads), "--rounds", str(rounds)],
        env=os.environ | dict.fromkeys(limits, str(threads)),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"case ({case}) with {threads} threads failed:\n{run.stderr}")
    return json.loads(run.stdout)


def summary(measured: dict[str, Any]) -> dict[str, float]:
    """Quartiles of the ratio over the rounds (both take their turn in each), and median seconds."""
    ratios = [a / b for a, b in zip(measured["ours"], measured["torch"], strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
    seconds = {key: statistics.median(measured[key]) for key in ("ours", "torch")}
    return {"ratio": ratio, "low": low, "high": high} | seconds


def table(results: dict[int, dict[str, dict[str, float]]]) -> str:
    """The ratios as Markdown, one row a case and one column a number of threads."""
    head = [f"{n} thread{'s' * (n > 1)}" for n in results]
    rows = [["ours / PyTorch, a training step", *head], ["---"] + ["---:"] * len(head)]
    for key in next(iter(results.values())):
        ratios = [cases[key] for cases in results.values()]
        cells = [f"{r['ratio']:.2f} ({r['low']:.2f}–{r['high']:.2f})" for r in ratios]
        rows.append([f"({key}) {CASES[key].title}", *cells])
    rows.append(["geometric mean", *(f"{geometric_mean(r):.2f}" for r in results.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def geometric_mean(cases: dict[str, dict[str, float]]) -> float:
    return math.exp(statistics.fmean(math.log(case["ratio"]) for case in cases.values()))


def versions() -> dict[str, str]:
    from importlib.metadata import version

    names = {name: version(name) for name in ("numpy", "torch")}
    return names | {"python": platform.python_version(), "machine": platform.machine()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--path", type=Path, default=PATH)
    parser.add_argument("--worker", choices=["measure", "memory"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure all cases, print the table and store it."""
    args = arguments()
    if args.worker:
        case = CASES[args.cases[0]]
        if args.worker == "memory":
            print(json.dumps(peak_memory(case)))
        else:
            print(json.dumps(measure(case, args.threads[0], args.rounds)))
        return
    results = {
        threads: {
            key: summary(in_a_process("measure", key, threads, args.rounds)) for key in args.cases
        }
        for threads in args.threads
    }
    print(table(results))
    memory = in_a_process("memory", "c", 1, 1)
    print(f"\nBrackets: quartiles over {args.rounds} rounds.")
    print(f"Peak memory of (c), NumPy alone: {memory:.0f} MB (goal: below {MEMORY}).")
    record = {"threads": results, "memory_mb": memory, "versions": versions()}
    with atomic(args.path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
