"""Optimizers: how a parameter moves once its gradient is known.

The base class goes through the parameters and does what all have in common; an optimizer supplies
its ``update``. All of them compute what their namesake in torch.optim computes, step by step.
"""

import copy
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from utils.nn.module import Array, Parameter

PIECE = 2**15  # numbers updated at once: what one update touches stays in the cache
FLUSH = 50  # steps after which slots are looked through for …
TINY = 1e-30  # … numbers below this, which become 0


class Optimizer:
    """Moves parameters against their gradients; a subclass names its ``slots`` and its ``update``.

    ``slots`` are the arrays that it keeps for each parameter, under PyTorch's names and 0 at first.
    ``lr`` and the other hyper-parameters are plain attributes: a schedule changes them.
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self, parameters: Iterable[Parameter], lr: float, weight_decay: float = 0.0
    ) -> None:
        self.parameters = list(parameters)
        if not self.parameters or lr < 0 or weight_decay < 0:
            raise ValueError(
                f"{type(self).__name__} needs at least one parameter, lr ≥ 0 and weight_decay ≥ 0; "
                f"got {len(self.parameters)}, {lr} and {weight_decay}."
            )
        self.lr, self.weight_decay = float(lr), float(weight_decay)
        self.state: list[dict[str, Any]] = [{"step": 0} for _ in self.parameters]

    def update(self, step: int, w: Array, g: Array, **slots: Array) -> None:
        """Change ``w`` and the slots in place for its gradient ``g``, at step 1, 2, …

        All arrays have one axis and one length; ``g`` is left alone.
        """
        raise NotImplementedError

    def decay(self, w: Array, g: Array) -> Array:
        """g + λ w: the gradient of the loss with ``½ λ |w|²`` added to it."""
        return g + self.weight_decay * w if self.weight_decay else g

    def initial(self, data: Array) -> Array:
        """A new slot for the parameter ``data``."""
        return np.zeros_like(data)

    def zero_grad(self) -> None:
        """Forget all gradients; call it before each backward."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for parameter, state in zip(self.parameters, self.state, strict=True):
            if parameter.grad is None:
                continue
            state["step"] += 1
            for name in self.slots:
                if name not in state:
                    state[name] = self.initial(parameter.data)
            slots = {name: state[name] for name in self.slots}
            self.apply(parameter, state["step"], slots)
            if state["step"] % FLUSH == 0:
                flush(slots.values())

    def apply(self, parameter: Parameter, step: int, slots: dict[str, Array]) -> None:
        """Update one parameter."""
        parameter.data = np.asarray(parameter.data, order="C")  # a view would be updated in vain
        self.update_pieces(step, parameter.data, parameter.grad, slots)

    def update_pieces(self, step: int, w: Array, g: Array, slots: dict[str, Array]) -> None:
        """Update arrays of any shape, piece after piece."""
        w, g = w.reshape(-1), g.reshape(-1)
        slots = {name: slot.reshape(-1) for name, slot in slots.items()}
        for start in range(0, w.size, PIECE):
            some = slice(start, start + PIECE)
            piece = w[some]
            pieces = {name: slot[some] for name, slot in slots.items()}
            self.update(step, piece, self.decay(piece, g[some]), **pieces)

    def state_dict(self) -> dict[str, Any]:
        """What going on later needs: hyper-parameters, and step and slots of each parameter."""
        return {
            "hyperparameters": copy.deepcopy(self._hyperparameters()),
            "state": copy.deepcopy(self.state),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the optimizer was whose ``state_dict()`` this is.

        Parameters are told apart by their position. Raises ValueError where they do not match.
        """
        hyperparameters, state = state_dict["hyperparameters"], state_dict["state"]
        shapes = [{v.shape for k, v in slots.items() if k != "step"} for slots in state]
        fits = hyperparameters.keys() == self._hyperparameters().keys()
        fits = fits and len(shapes) == len(self.parameters)
        if not fits or any(
            not found <= {parameter.data.shape}
            for found, parameter in zip(shapes, self.parameters, strict=True)
        ):
            raise ValueError(f"{type(self).__name__}: this state is of another optimizer or model.")
        vars(self).update(copy.deepcopy(hyperparameters))
        self.state = copy.deepcopy(state)

    def _hyperparameters(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("parameters", "state")}


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's form (Sutskever et al. 2013)."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        if nesterov and momentum <= 0:
            raise ValueError(f"SGD: nesterov needs a momentum above 0; got {momentum}.")
        self.momentum, self.nesterov = float(momentum), nesterov

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def update(self, step: int, w: Array, g: Array, momentum_buffer: Array | None = None) -> None:
        if momentum_buffer is not None:
            momentum_buffer *= self.momentum
            momentum_buffer += g  # b ← μ b + g
            g = g + self.momentum * momentum_buffer if self.nesterov else momentum_buffer
        w -= self.lr * g  # w ← w − η b, Nesterov's: w ← w − η (g + μ b)


class Adagrad(Optimizer):
    """Steps shrink with the sum of all squared gradients (Duchi et al. 2011, JMLR 12)."""

    slots = ("sum",)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.lr_decay, self.eps = float(lr_decay), float(eps)
        self.initial_accumulator_value = float(initial_accumulator_value)

    def initial(self, data: Array) -> Array:
        return np.full_like(data, self.initial_accumulator_value)

    def update(self, step: int, w: Array, g: Array, sum: Array) -> None:
        sum += g * g  # s ← s + g²
        rate = self.lr / (1 + (step - 1) * self.lr_decay)
        w -= rate * g / (np.sqrt(sum) + self.eps)  # w ← w − η g / (√s + ε)


class Adadelta(Optimizer):
    """Each step is as long as the steps before it, on average (Zeiler 2012, arXiv 1212.5701)."""

    slots = ("square_avg", "acc_delta")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.rho, self.eps = float(rho), float(eps)

    def update(self, step: int, w: Array, g: Array, square_avg: Array, acc_delta: Array) -> None:
        average(square_avg, g * g, self.rho)  # v ← ρ v + (1 − ρ) g²
        delta = np.sqrt((acc_delta + self.eps) / (square_avg + self.eps)) * g
        average(acc_delta, delta * delta, self.rho)  # d ← ρ d + (1 − ρ) Δ²
        w -= self.lr * delta  # w ← w − η Δ with Δ = √((d + ε) / (v + ε)) g


class RMSprop(Optimizer):
    """The gradient is divided by the root of its running mean square (Hinton 2012, lecture 6e).

    ``centered`` takes the running variance in place of the mean square (Graves 2013, 1308.0850).
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps = float(alpha), float(eps)
        self.momentum, self.centered = float(momentum), centered

    @property
    def slots(self) -> tuple[str, ...]:
        wanted = {"momentum_buffer": self.momentum, "grad_avg": self.centered}
        return "square_avg", *(name for name, needed in wanted.items() if needed)

    def update(
        self,
        step: int,
        w: Array,
        g: Array,
        square_avg: Array,
        momentum_buffer: Array | None = None,
        grad_avg: Array | None = None,
    ) -> None:
        average(square_avg, g * g, self.alpha)  # v ← α v + (1 − α) g²
        variance = square_avg
        if grad_avg is not None:
            average(grad_avg, g, self.alpha)  # m ← α m + (1 − α) g
            variance = np.maximum(square_avg - grad_avg * grad_avg, 0)  # − 1e-20 by rounding
        g = g / (np.sqrt(variance) + self.eps)  # g / (√v + ε), centered: g / (√(v − m²) + ε)
        if momentum_buffer is not None:
            momentum_buffer *= self.momentum
            momentum_buffer += g  # b ← μ b + g
            g = momentum_buffer
        w -= self.lr * g


class Adam(Optimizer):
    """Running means of gradient and square, corrected for their start (Kingma and Ba 2015)."""

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{type(self).__name__}: betas lie from 0 to below 1; got {betas}.")
        self.betas, self.eps = tuple(map(float, betas)), float(eps)

    @property
    def momentum(self) -> float:
        """β₁, under the name that it has in SGD: a schedule may change it."""
        return self.betas[0]

    @momentum.setter
    def momentum(self, value: float) -> None:
        self.betas = float(value), self.betas[1]

    def update(self, step: int, w: Array, g: Array, exp_avg: Array, exp_avg_sq: Array) -> None:
        average(exp_avg, g, self.betas[0])  # m ← β₁ m + (1 − β₁) g
        average(exp_avg_sq, g * g, self.betas[1])  # v ← β₂ v + (1 − β₂) g²
        bias1, root2 = 1 - self.betas[0] ** step, math.sqrt(1 - self.betas[1] ** step)
        # w ← w − η (m / bias1) / (√v / root2 + ε)
        w -= (self.lr * root2 / bias1) * (exp_avg / (np.sqrt(exp_avg_sq) + self.eps * root2))


class AdamW(Adam):
    """Adam whose decay shrinks the weights themselves (Loshchilov and Hutter 2019, 1711.05101)."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def decay(self, w: Array, g: Array) -> Array:
        """w ← w − η λ w, outside the gradient."""
        w *= 1 - self.lr * self.weight_decay
        return g


class NAdam(Adam):
    """Adam with Nesterov's momentum, which warms up (Dozat 2016)."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)
        self.momentum_decay = float(momentum_decay)
        self._products = [1.0]  # Π μᵢ for i = 1 … step

    def update(self, step: int, w: Array, g: Array, exp_avg: Array, exp_avg_sq: Array) -> None:
        average(exp_avg, g, self.betas[0])  # m ← β₁ m + (1 − β₁) g
        average(exp_avg_sq, g * g, self.betas[1])  # v ← β₂ v + (1 − β₂) g²
        product, following = self._product(step), self._product(step) * self._mu(step + 1)
        rate_g = self.lr * (1 - self._mu(step)) / (1 - product)
        rate_m = self.lr * self._mu(step + 1) / (1 - following)
        root2 = math.sqrt(1 - self.betas[1] ** step)
        # w ← w − (rate_g g + rate_m m) / (√v / root2 + ε)
        w -= (rate_g * g + rate_m * exp_avg) / (np.sqrt(exp_avg_sq) / root2 + self.eps)

    def _mu(self, step: int) -> float:
        """μ = β₁ (1 − ½ · 0.96^(step · momentum_decay))."""
        return self.betas[0] * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def _product(self, step: int) -> float:
        """Π μᵢ for i = 1 … step."""
        while len(self._products) <= step:
            self._products.append(self._products[-1] * self._mu(len(self._products)))
        return self._products[step]


class LazyAdam(Adam):
    """Adam for embeddings: rows that were not looked up keep their values and their averages.

    Without it every row moves at every step, for its averages fade slowly. As
    torch.optim.SparseAdam, but that ε stands where Adam has it.
    """

    def apply(self, parameter: Parameter, step: int, slots: dict[str, Array]) -> None:
        rows = parameter.rows
        if rows is None:
            return super().apply(parameter, step, slots)
        arrays = [parameter.data, *slots.values()]
        chosen = [array[rows] for array in arrays]  # copies
        picked = dict(zip(slots, chosen[1:], strict=True))
        self.update_pieces(step, chosen[0], parameter.grad[rows], picked)
        for array, values in zip(arrays, chosen, strict=True):
            array[rows] = values
        return None


def flush(arrays: Iterable[Array]) -> None:
    """Set numbers below TINY to 0, in place.

    The averages of a unit that no longer learns fade into denormal numbers (below 1e-38 in
    float32) and stay there, and a processor computes with those some ten times more slowly.
    """
    for array in arrays:
        array[np.abs(array) < TINY] = 0


def average(running: Array, newest: Array, rate: float) -> None:
    """running ← rate · running + (1 − rate) · newest."""
    running += (1 - rate) * (newest - running)
