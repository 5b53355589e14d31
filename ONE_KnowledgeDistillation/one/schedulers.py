"""Learning rates that follow the size of the gradients, module by module."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

LOWEST, HIGHEST = 0.1, 20.0


def by_module(model: nn.Module) -> list[dict[str, list[nn.Parameter]]]:
    """One parameter group for each module that has weights of its own, first to last."""
    own = ([*module.parameters(recurse=False)] for module in model.modules())
    return [{"params": parameters} for parameters in own if parameters]


class GradientRatio(LRScheduler):
    """lr of a module = its base rate · decay(step) · clip(mean |g| of the last / its own, .1, 20).

    Steps after each batch, while the gradients of that batch are still there. ``geometric`` is a
    share m from 0 to below 1: a factor is the old one to the power m times the new one to the
    power 1 − m, which takes single batches less seriously; 0 forgets at once. ``decay`` is a
    function of the number of steps, 1 if None. Raises ValueError for another share.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        decay: Callable[[int], float] | None = None,
        *,
        geometric: float = 0.0,
    ) -> None:
        if not 0 <= geometric < 1:
            raise ValueError(f"geometric must be from 0 to below 1; got {geometric}.")
        self.decay, self.geometric = decay, geometric
        self.factors = [1.0] * len(optimizer.param_groups)
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        if self.last_epoch > 0:
            pairs = zip(self.factors, self._ratios(), strict=True)
            self.factors = [self._mixed(old, new) for old, new in pairs]
        decay = self.decay(self.last_epoch) if self.decay else 1.0
        pairs = zip(self.base_lrs, self.factors, strict=True)
        return [rate * decay * factor for rate, factor in pairs]

    def state_dict(self) -> dict[str, Any]:
        """All but the function, which a checkpoint cannot hold."""
        return {name: v for name, v in super().state_dict().items() if name != "decay"}

    def _ratios(self) -> list[float]:
        sizes = [_mean_gradient(group["params"]) for group in self.optimizer.param_groups]
        return [min(max(sizes[-1] / size, LOWEST), HIGHEST) if size else 1.0 for size in sizes]

    def _mixed(self, old: float, new: float) -> float:
        return math.exp(self.geometric * math.log(old) + (1 - self.geometric) * math.log(new))


def _mean_gradient(parameters: list[nn.Parameter]) -> float:
    """Mean |g| over all numbers that have a gradient; 0 without any."""
    gradients = [p.grad.abs() for p in parameters if p.grad is not None]
    count = sum(g.numel() for g in gradients)
    return sum(g.sum() for g in gradients).item() / count if count else 0.0
