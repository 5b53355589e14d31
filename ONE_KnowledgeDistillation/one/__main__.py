"""python -m ONE_KnowledgeDistillation.one train | sweep | list: run the experiments of the table.

One GPU: --device cuda. Several processes or hosts: torchrun --nproc-per-node 2 -m
ONE_KnowledgeDistillation.one train … A cluster: sweep --backend dask, with a Dask client running.
"""

import argparse
import sys
from collections.abc import Sequence

import joblib
import torch
from torch import distributed as dist

from ONE_KnowledgeDistillation.one.experiments import EXPERIMENTS, SCALES, scale
from ONE_KnowledgeDistillation.one.sweep import sweep
from ONE_KnowledgeDistillation.one.tasks import TASKS, task
from ONE_KnowledgeDistillation.one.train import run


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        {"train": _train, "sweep": _sweep, "list": _list}[given.command](given)
    except ValueError as reason:
        print(reason, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ONE_KnowledgeDistillation.one")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments")
    train = commands.add_parser("train", help="run one experiment, parents first")
    train.add_argument("--experiment", required=True, metavar="NAME")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, …")
    many = commands.add_parser("sweep", help="run experiments with several seeds")
    many.add_argument("--experiments", nargs="+", default=list(EXPERIMENTS), metavar="NAME")
    many.add_argument("--seeds", type=int, default=3)
    many.add_argument("--jobs", type=int, default=1)
    many.add_argument("--backend", default="loky", help="of joblib: loky, dask, …")
    for command in (train, many):
        command.add_argument("--profile", default="pocket", choices=list(SCALES))
        command.add_argument("--data", choices=list(TASKS), help="another data set")
        command.add_argument("--epochs", type=int, help="another length of training")
        command.add_argument("--count", type=int, help="so many training images only")
    return parser


def _scale(given: argparse.Namespace):
    changes = {
        name: getattr(given, name) for name in ("data", "epochs", "count") if getattr(given, name)
    }
    if changes:
        changes["name"] = "-".join([given.profile, *map(str, changes.values())])
    return scale(given.profile, **changes)


def _train(given: argparse.Namespace) -> None:
    size = _scale(given)
    if dist.is_torchelastic_launched():
        dist.init_process_group("nccl" if given.device.startswith("cuda") else "gloo")
    if given.device.startswith("cuda"):
        torch.set_float32_matmul_precision("high")  # TF32
    found = task(size.data, given.device, size.count)
    measures = run(given.experiment, given.seed, size, found, device=given.device).measures
    _print(measures)
    if dist.is_initialized():
        dist.destroy_process_group()


def _sweep(given: argparse.Namespace) -> None:
    with joblib.parallel_config(backend=given.backend):
        for measures in sweep(given.experiments, given.seeds, _scale(given), jobs=given.jobs):
            _print(measures)


def _list(given: argparse.Namespace) -> None:
    for name, one in EXPERIMENTS.items():
        print(f"{name:28} {one.about}")


def _print(measures: dict) -> None:
    scores = "  ".join(f"{k} {v:.4f}" for k, v in measures["test"].items() if "top5" not in k)
    print(f"{measures['experiment']:28} {measures['seed']}  {measures['seconds']:7.1f} s  {scores}")


if __name__ == "__main__":
    sys.exit(main())
