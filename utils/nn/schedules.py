"""Schedules: how the learning rate changes while a training goes on.

Each is made with its optimizer, sets ``optimizer.lr`` at once, and again at each ``step()``, to
exactly the sequence of its namesake in torch.optim.lr_scheduler.
"""

import math
from typing import Literal

from utils.nn.optim import Optimizer


class Schedule:
    """A learning rate as a function of the number of steps; a subclass supplies ``rate``.

    ``unit`` says what a step is: ``fit`` calls ``step()`` after each epoch or after each batch.
    """

    unit: Literal["epoch", "batch"] = "epoch"

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.base, self.count = optimizer, optimizer.lr, 0
        self.apply()

    def rate(self, count: int) -> float:
        """Learning rate after ``count`` steps."""
        raise NotImplementedError

    def apply(self) -> None:
        """Hand the optimizer what it shall use now."""
        self.optimizer.lr = self.rate(self.count)

    def step(self) -> None:
        """Go on by one."""
        self.count += 1
        self.apply()


class StepLR(Schedule):
    """lr = base · gamma^⌊count / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size is at least 1; got {step_size}.")
        self.step_size, self.gamma = step_size, float(gamma)
        super().__init__(optimizer)

    def rate(self, count: int) -> float:
        return self.base * self.gamma ** (count // self.step_size)


class CosineAnnealingLR(Schedule):
    """lr = eta_min + ½ (base − eta_min) (1 + cos(π count / T_max)) (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max is at least 1; got {T_max}.")
        self.T_max, self.eta_min = T_max, float(eta_min)
        super().__init__(optimizer)

    def rate(self, count: int) -> float:
        return _cosine(self.base, self.eta_min, count / self.T_max)


class OneCycleLR(Schedule):
    """Up to ``max_lr``, then down to almost nothing, a step a batch (Smith and Topin 2018).

    lr goes max_lr / div_factor → max_lr in the first ``pct_start`` of ``total_steps``, and on to
    max_lr / div_factor / final_div_factor; momentum (β₁ of Adam) goes the other way round.
    """

    unit = "batch"

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        if total_steps < 1 or not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "OneCycleLR needs total_steps ≥ 1, pct_start from 0 to 1 and anneal_strategy 'cos' "
                f"or 'linear'; got {total_steps}, {pct_start} and {anneal_strategy!r}."
            )
        if cycle_momentum and not hasattr(optimizer, "momentum"):
            name = type(optimizer).__name__
            raise ValueError(f"OneCycleLR: {name} has no momentum; say cycle_momentum=False.")
        self.total_steps, self.peak = total_steps, float(pct_start * total_steps) - 1
        self.anneal = _cosine if anneal_strategy == "cos" else _line
        start = max_lr / div_factor
        self.rates = start, float(max_lr), start / final_div_factor
        self.momenta = (max_momentum, base_momentum, max_momentum) if cycle_momentum else None
        super().__init__(optimizer)

    def rate(self, count: int) -> float:
        return self._between(self.rates, count)

    def apply(self) -> None:
        if self.count > self.total_steps:
            raise ValueError(
                f"OneCycleLR: made for {self.total_steps} steps; this is step {self.count}."
            )
        super().apply()
        if self.momenta:
            self.optimizer.momentum = self._between(self.momenta, self.count)

    def _between(self, ends: tuple[float, float, float], count: int) -> float:
        """From the first of ``ends`` to the second at the peak, then to the third."""
        if count <= self.peak:
            return self.anneal(ends[0], ends[1], count / self.peak if self.peak else 1.0)
        fall = self.total_steps - 1 - self.peak  # 0 for a schedule that only rises
        return self.anneal(ends[1], ends[2], (count - self.peak) / fall if fall else 1.0)


def _cosine(start: float, end: float, part: float) -> float:
    """Half a cosine from start (part = 0) to end (part = 1)."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


def _line(start: float, end: float, part: float) -> float:
    return start + (end - start) * part
