"""Many runs: experiments × seeds through joblib, on this machine or on a cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from ONE_KnowledgeDistillation.one.experiments import Scale, experiment
from ONE_KnowledgeDistillation.one.tasks import task
from ONE_KnowledgeDistillation.one.train import RUNS, family, run


def order(names: Sequence[str], seeds: int) -> list[list[tuple[str, int]]]:
    """Runs in rounds: every parent stands in an earlier round than its children, and once."""
    rounds: list[list[tuple[str, int]]] = [[(name, s) for name in names for s in range(seeds)]]
    while parents := [p for name, seed in rounds[0] for p in family(experiment(name), seed)]:
        rounds.insert(0, list(dict.fromkeys(parents)))
    seen: set[tuple[str, int]] = set()
    for place, some in enumerate(rounds):
        rounds[place] = [one for one in dict.fromkeys(some) if one not in seen]
        seen.update(some)
    return rounds


def sweep(
    names: Sequence[str], seeds: int, scale: Scale, *, jobs: int = 1, folder: Path = RUNS
) -> list[dict[str, Any]]:
    """Measures of all runs, parents included; what is finished already is only read.

    joblib decides where they run: local processes, or the cluster of the backend that
    ``joblib.parallel_config`` names.
    """
    measures = []
    for some in order(names, seeds):
        work = (delayed(_one)(name, seed, scale, folder) for name, seed in some)
        measures += Parallel(n_jobs=jobs)(work)
    return measures


def _one(name: str, seed: int, scale: Scale, folder: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    return run(name, seed, scale, task(scale.data, count=scale.count), folder=folder).measures
