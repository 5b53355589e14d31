"""The loss of ONE: cross entropy of every branch and of all together, and distillation."""

import math

import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from ONE_KnowledgeDistillation.one.models import Answers


def distillation(branches: Tensor, teacher: Tensor, temperature: float = 3.0) -> Tensor:
    """T² Σ_i KL(p̃_e ‖ p̃_i), mean over the batch: equations 6 and 7 of the paper.

    ``branches`` (N, M, K) and ``teacher`` (N, K) are logits; p̃ = softmax(z / T). No gradient flows
    into the teacher. T² keeps the gradients as large as those of the cross entropy.
    """
    target = F.softmax(teacher.detach() / temperature, dim=1)[:, None]
    own = F.log_softmax(branches / temperature, dim=2)
    divergence = F.kl_div(own, target.expand_as(own), reduction="none").sum(dim=(1, 2))
    return temperature**2 * divergence.mean()


def cross_entropies(answers: Answers, labels: Tensor) -> Tensor:
    """Σ_i CE(z_i) + CE(z_e); of a single branch CE(z) alone, which is plain training."""
    logits = answers.branches
    per_branch = F.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
    own = logits.shape[1] * per_branch
    return own if logits.shape[1] == 1 else own + F.cross_entropy(answers.ensemble, labels)


def ramp_up(done: float) -> float:
    """exp(−5 (1 − t)²) for the share t of the ramp that is done; 1 after its end."""
    return math.exp(-5 * (1 - min(done, 1)) ** 2)


class ONELoss:
    """L = Σ_i CE(z_i) + CE(z_e) + w(t) T² Σ_i KL(p̃_e ‖ p̃_i), equation 8, with a ramp-up.

    w rises over the first ``ramp`` steps of ``schedule``, whose count a checkpoint keeps; 0 is no
    ramp. ``weight`` = 0 leaves the distillation out. Raises ValueError where the temperature is
    not positive.
    """

    def __init__(
        self,
        schedule: LRScheduler | None = None,
        *,
        temperature: float = 3.0,
        ramp: int = 0,
        weight: float = 1.0,
    ) -> None:
        if temperature <= 0:
            raise ValueError(f"a temperature must be positive; got {temperature}.")
        self.schedule, self.temperature = schedule, temperature
        self.ramp, self.weight = ramp, weight

    def __call__(self, answers: Answers, labels: Tensor) -> Tensor:
        loss = cross_entropies(answers, labels)
        if answers.branches.shape[1] == 1 or not self.weight:
            return loss
        taught = distillation(answers.branches, answers.ensemble, self.temperature)
        return loss + self.weight * self._risen() * taught

    def _risen(self) -> float:
        if self.schedule is None or not self.ramp:
            return 1.0
        return ramp_up(self.schedule.last_epoch / self.ramp)
