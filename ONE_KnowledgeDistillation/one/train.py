"""Running one experiment: parents first, then a resumable training, then its measures."""

import json
import math
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from ONE_KnowledgeDistillation.one import starts
from ONE_KnowledgeDistillation.one.evaluate import scores
from ONE_KnowledgeDistillation.one.experiments import Experiment, Scale, experiment
from ONE_KnowledgeDistillation.one.losses import ONELoss
from ONE_KnowledgeDistillation.one.models import Branched
from ONE_KnowledgeDistillation.one.schedulers import GradientRatio, by_module
from ONE_KnowledgeDistillation.one.tasks import Share, Task, training_batches
from utils import checkpoints
from utils.history import History
from utils.paths import ROOT, atomic
from utils.training import fit

RUNS = ROOT / "build" / "one"
MEMBERS = 3  # networks that an experiment with several equal parents joins


class Run(NamedTuple):
    """A finished experiment: its network, and its measures as they stand in the JSON file."""

    model: Branched
    measures: dict[str, Any]


def run(
    name: str, seed: int, scale: Scale, task: Task, *, folder: Path = RUNS, device: str = "cpu"
) -> Run:
    """Train an experiment, or read what an earlier run left in ``folder``/scale.

    Before a training, parents are run where they are missing. The weights are those of the epoch
    with the best validation accuracy of the ensemble. Raises ValueError for an unknown experiment
    or a file that is from another one.
    """
    one = experiment(name)
    place = folder / scale.name / f"{name}-{seed}"
    if place.with_suffix(".json").is_file():
        expected = {"experiment": name, "seed": seed, "scale": vars(scale)}
        return _read(untrained(one, scale, task.classes), place, expected)
    parents = [
        run(parent, s, scale, task, folder=folder, device=device) for parent, s in family(one, seed)
    ]
    generator = torch.Generator().manual_seed(seed)
    model = starts.build(one, scale, task.classes, [p.model for p in parents], generator)
    start, before = time.perf_counter(), scores(model.to(device), task.validation)
    epochs = epochs_of(one, scale, task.classes)
    history = _train(model, one, scale, task, epochs, generator, place)
    measures = {
        "experiment": name,
        "seed": seed,
        "scale": vars(scale),
        "epochs": epochs,
        "compute": compute(one, scale, task.classes),
        "seconds": round(time.perf_counter() - start, 1),
        "before": before,
        "validation": scores(model, task.validation),
        "test": scores(model, task.test),
        "history": history.rows,
    }
    return _write(Run(model, measures), place)


def family(one: Experiment, seed: int) -> list[tuple[str, int]]:
    """Parents and their seeds: several equal ones have seeds of their own."""
    several = len(one.parents) > 1
    return [(p, MEMBERS * seed + i if several else seed) for i, p in enumerate(one.parents)]


def _read(model: nn.Module, place: Path, expected: dict[str, Any]) -> Run:
    """A finished run. Raises ValueError where it is another one than expected."""
    measures = json.loads(place.with_suffix(".json").read_text("utf-8"))
    for key, value in expected.items():
        if measures.get(key) != value:
            raise ValueError(
                f"{place.name}.json has {key} {measures.get(key)!r}, not {value!r}: use another "
                "folder, or delete it."
            )
    checkpoints.restore(
        place.with_suffix(".pt"),
        lambda: {"model": model.state_dict()},
        lambda state: model.load_state_dict(state["model"]),
    )
    return Run(model.eval(), measures)


def _write(done: Run, place: Path) -> Run:
    """Store weights, then measures, whole or not at all; of several processes the first does."""
    if not dist.is_initialized() or dist.get_rank() == 0:
        checkpoints.save(place.with_suffix(".pt"), {"model": done.model.state_dict()})
        with atomic(place.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(done.measures, indent=1) + "\n", "utf-8")
        place.with_suffix(".part").unlink(missing_ok=True)
    return done


def _train(
    model: nn.Module,
    one: Experiment,
    scale: Scale,
    task: Task,
    epochs: int,
    generator: torch.Generator,
    place: Path,
) -> History:
    """Train in place, resumable from ``place``.part."""
    batches = training_batches(task.train, scale.batch, generator)
    rate = scale.rate * (scale.again if one.start in starts.STARTS else 1)
    steps, kind = epochs * len(batches), one.schedule or scale.schedule
    optimizer = torch.optim.SGD(
        by_module(model), lr=rate, momentum=0.9, nesterov=True, weight_decay=scale.decay
    )
    schedule = schedule_of(kind, optimizer, steps)
    trained, batches = _spread(model, batches)
    loss = ONELoss(
        schedule, temperature=one.temperature, ramp=round(one.ramp * steps), weight=one.distil
    )
    return fit(
        trained,
        batches,
        loss,
        optimizer,
        epochs=epochs,
        schedule=schedule,
        measure=lambda _: scores(model, task.validation),
        keep_best="ensemble",
        checkpoint=place.with_suffix(".part"),
        generator=generator,
    )


def _spread(model: nn.Module, batches: DataLoader) -> tuple[nn.Module, DataLoader | Share]:
    """Model and batches for this process: the whole, or its part among several."""
    if not dist.is_initialized():
        return model, batches
    return DistributedDataParallel(model), Share(batches, dist.get_rank(), dist.get_world_size())


def _one_cycle(done: float) -> float:
    """Up in a straight line over the first fifth, then down a cosine to 0."""
    return done / 0.2 if done < 0.2 else _cosine((done - 0.2) / 0.8)


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


DECAYS: dict[str, Callable[[float], float]] = {  # of the share of the training that is done
    "constant": lambda done: 1.0,
    "cosine": _cosine,
    "one-cycle": _one_cycle,
    "steps": lambda done: 0.1 ** ((done >= 0.5) + (done >= 0.75)),  # as the paper
}


def schedule_of(kind: str, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    """A learning-rate schedule for so many steps.

    "ratio" and "geometric" are gradient ratios under a cosine. Raises ValueError for others.
    """
    if kind in ("ratio", "geometric"):
        geometric = 0.9 if kind == "geometric" else 0.0
        return GradientRatio(optimizer, lambda s: _cosine(s / steps), geometric=geometric)
    if kind not in DECAYS:
        names = ", ".join([*DECAYS, "ratio", "geometric"])
        raise ValueError(f"no schedule called {kind!r}; there are {names}.")
    return LambdaLR(optimizer, lambda s: DECAYS[kind](s / steps))


def epochs_of(one: Experiment, scale: Scale, classes: int) -> int:
    """Epochs of an experiment; of a control as many as its compute allows, at least one."""
    if one.like is None:
        return scale.more if one.start in starts.STARTS else scale.epochs
    budget = compute(experiment(one.like), scale, classes)
    return max(1, round(budget / cost(one, scale, classes)))


def compute(one: Experiment, scale: Scale, classes: int) -> float:
    """Multiply-adds for each image of the training set, parents included."""
    own = epochs_of(one, scale, classes) * cost(one, scale, classes)
    return own + sum(compute(experiment(p), scale, classes) for p in one.parents)


@cache
def cost(one: Experiment, scale: Scale, classes: int) -> float:
    """Multiply-adds to train on one image once: forward 1, backward 2; frozen networks 1."""
    model = untrained(one, scale, classes).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    passes = 1 if one.start == "combined" else 3
    return passes * counter.get_total_flops() / 2


def untrained(one: Experiment, scale: Scale, classes: int) -> nn.Module:
    """The network of an experiment before any training."""
    parents = [untrained(experiment(parent), scale, classes) for parent in one.parents]
    return starts.build(one, scale, classes, parents, torch.Generator())
