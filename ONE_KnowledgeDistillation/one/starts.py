"""How a network of an experiment comes about: from nothing, or from trained networks."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ONE_KnowledgeDistillation.one import surgery
from ONE_KnowledgeDistillation.one.experiments import Experiment, Scale
from ONE_KnowledgeDistillation.one.models import Answers, Branched, apart, resnet

NOISE = 0.05  # of a weight's deviation, where copies shall stop being equal

Start = Callable[[Sequence[Branched], torch.Generator], Branched]


def build(
    experiment: Experiment,
    scale: Scale,
    classes: int,
    parents: Sequence[Branched],
    generator: torch.Generator,
) -> nn.Module:
    """The network with which an experiment begins."""
    if experiment.start in STARTS:
        return STARTS[experiment.start](parents, generator)
    make = partial(
        resnet, scale.depth, classes, width=scale.width, block=scale.block, generator=generator
    )
    if experiment.start == "taught":
        return Taught(make(), parents[0])
    if experiment.shared:
        return make(experiment.branches, gated=experiment.gated)
    return apart([make() for _ in range(experiment.branches)])


class Frozen(nn.Module):
    """A module that does not learn: no gradients, and always in evaluation mode."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.requires_grad_(False)

    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)

    def forward(self, inputs: Tensor) -> Any:
        with torch.no_grad():
            return self.module(inputs)


class Taught(nn.Module):
    """A student of one branch, and a teacher that has finished and learns no more.

    It answers with two branches, student and teacher. In training the teacher has the whole
    share, so the loss of ONE is that of plain distillation; in use the student has it.
    """

    def __init__(self, student: Branched, teacher: Branched) -> None:
        super().__init__()
        self.student, self.teacher = student, Frozen(copy.deepcopy(teacher))

    def forward(self, images: Tensor) -> Answers:
        logits = torch.stack([net(images).ensemble for net in (self.student, self.teacher)], dim=1)
        shares = [0.0, 1.0] if self.training else [1.0, 0.0]
        return Answers(logits, logits.new_tensor(shares).expand(len(logits), 2))


def three_to_five(parents: Sequence[Branched], generator: torch.Generator) -> Branched:
    """Branches 1 and 2 of three are copied; the copies begin with noise and half a share."""
    return _noisy(surgery.expanded(parents[0], [0, 1, 2, 0, 1], generator), 3, generator)


def one_to_three(parents: Sequence[Branched], generator: torch.Generator) -> Branched:
    """One branch becomes three; two of them begin with noise."""
    return _noisy(one_to_three_equal(parents, generator), 1, generator)


def one_to_three_equal(parents: Sequence[Branched], generator: torch.Generator) -> Branched:
    """One branch becomes three equal ones, which stay equal."""
    return surgery.expanded(parents[0], [0, 0, 0], generator)


def _noisy(model: Branched, first: int, generator: torch.Generator) -> Branched:
    for branch in model.branches[first:]:
        surgery.perturb(branch, NOISE, generator)
    return model


def combined(parents: Sequence[Branched], generator: torch.Generator) -> Branched:
    """Trained networks side by side, frozen; only the gate over them is new and learns."""
    together = apart(copy.deepcopy(list(parents)))
    together.trunk = Frozen(together.trunk)
    together.branches = nn.ModuleList(Frozen(branch) for branch in together.branches)
    return together


STARTS: dict[str, Start] = {
    "three_to_five": three_to_five,
    "one_to_three": one_to_three,
    "one_to_three_equal": one_to_three_equal,
    "combined": combined,
    "merged": surgery.merged,
}
