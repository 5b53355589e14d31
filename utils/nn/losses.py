"""Losses: one number that says how wrong the outputs are, and its gradient.

``loss(outputs, targets)`` is the mean over the batch, as PyTorch's default; ``loss.backward()``
then returns the gradient with respect to the outputs.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.nn.activations import log_softmax, sigmoid
from utils.nn.linear import check_indices
from utils.nn.module import Array, Module


class Loss(Module):
    """A loss; a subclass supplies ``value`` and ``gradient``, and here its input is checked."""

    def value(self, outputs: Array, targets: Any) -> tuple[np.floating, Any]:
        """The loss and what ``gradient`` needs."""
        raise NotImplementedError

    def gradient(self, saved: Any) -> Array:
        """d loss / d outputs."""
        raise NotImplementedError

    def forward(self, outputs: Array, targets: Any) -> float:
        """Mean loss. Raises FloatingPointError where the outputs or targets hold NaN."""
        self.check_targets(outputs, targets)
        with np.errstate(invalid="ignore"):  # ∞ − ∞ is told below
            value, self._saved = self.value(outputs, targets)
        if math.isnan(value):
            raise FloatingPointError(f"{self.name}: expected numbers; got NaN among its inputs.")
        return float(value)

    def backward(self) -> Array:
        """Gradient of the mean loss with respect to the outputs, in their shape."""
        return self.gradient(self.saved())

    def check_targets(self, outputs: Array, targets: Any) -> None:
        """Real targets, one for each output."""
        self.check(outputs, "…")
        self.check(targets, *outputs.shape, dtype=outputs.dtype)


class _Classification(Loss):
    """A loss of scores (N, C) and labels (N,), integers from 0 to C − 1."""

    def check_targets(self, outputs: Array, targets: NDArray[np.integer]) -> None:
        self.check(outputs, "N", "C")
        check_indices(self.name, "labels", targets, outputs.shape[1])
        if targets.shape != outputs.shape[:1]:
            raise ValueError(
                f"{self.name}: expected labels of shape ({len(outputs)},); got {targets.shape}."
            )


class CrossEntropyLoss(_Classification):
    """−Σ q log p, p = softmax(logits), as torch.nn.CrossEntropyLoss.

    q is 1 at the label; with label smoothing ε it is ε/C everywhere and 1 − ε more at the label
    (Szegedy et al. 2016, section 7). logits (N, C), labels (N,).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"CrossEntropyLoss: label_smoothing lies from 0 to 1; got {label_smoothing}."
            )
        self.label_smoothing = float(label_smoothing)

    def value(self, logits: Array, labels: NDArray[np.integer]) -> tuple[np.floating, Any]:
        log_p, e = log_softmax(logits), self.label_smoothing
        loss = -(1 - e) * log_p[np.arange(len(labels)), labels].mean()
        if e:
            loss -= e * log_p.mean()
        return loss, (log_p, labels)

    def gradient(self, saved: Any) -> Array:
        """(p − q) / N."""
        log_p, labels = saved
        difference = np.exp(log_p)
        if self.label_smoothing:
            difference -= self.label_smoothing / log_p.shape[1]
        difference[np.arange(len(labels)), labels] -= 1 - self.label_smoothing
        difference /= len(labels)
        return difference


class MultiMarginLoss(_Classification):
    """The hinge loss: Σ_{j ≠ y} max(0, margin − x_y + x_j)ᵖ / C, as torch.nn.MultiMarginLoss.

    It is 0 once the score of the label y leads every other by the margin; p is 1 or 2. Scores
    (N, C), labels (N,) (Weston and Watkins 1999).
    """

    def __init__(self, p: int = 1, margin: float = 1.0) -> None:
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p is 1 or 2; got {p}.")
        self.p, self.margin = p, float(margin)

    def value(self, scores: Array, labels: NDArray[np.integer]) -> tuple[np.floating, Any]:
        rows = np.arange(len(labels))
        lacking = np.maximum(self.margin - scores[rows, labels][:, None] + scores, 0)
        lacking[rows, labels] = 0
        return (lacking**self.p).sum(axis=1).mean() / scores.shape[1], (lacking, labels)

    def gradient(self, saved: Any) -> Array:
        """At j ≠ y: p · lackingᵖ⁻¹ / (C N); at y: minus the sum of the others."""
        lacking, labels = saved
        slope = (lacking > 0) * (self.p * lacking ** (self.p - 1)) / lacking.size
        slope[np.arange(len(labels)), labels] = -slope.sum(axis=1)
        return slope


class BCEWithLogitsLoss(Loss):
    """−t log σ(x) − (1 − t) log(1 − σ(x)), the mean over all numbers. Any shape; t from 0 to 1."""

    def value(self, logits: Array, targets: Array) -> tuple[np.floating, Any]:
        # = max(x, 0) − x t + log(1 + e^−|x|), which never overflows
        loss = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
        return loss.mean(), (logits, targets)

    def gradient(self, saved: Any) -> Array:
        """(σ(x) − t) / size."""
        logits, targets = saved
        return (sigmoid(logits) - targets) / logits.size


class MSELoss(Loss):
    """(y − t)², the mean over all numbers. Any shape."""

    def value(self, outputs: Array, targets: Array) -> tuple[np.floating, Any]:
        difference = outputs - targets
        return np.square(difference).mean(), difference

    def gradient(self, saved: Array) -> Array:
        """2 (y − t) / size."""
        return saved * (2 / saved.size)


class KLDivLoss(Loss):
    """Σ t (log t − x) / N for log-probabilities x, as torch.nn.KLDivLoss(reduction="batchmean").

    ``log_target`` says that targets are log t too; 0 log 0 is 0. (N, …), N is the batch.
    """

    def __init__(self, reduction: str = "batchmean", log_target: bool = False) -> None:
        if reduction != "batchmean":
            raise ValueError(
                f"KLDivLoss: only reduction='batchmean' is the divergence; got {reduction!r}."
            )
        self.log_target = log_target

    def value(self, outputs: Array, targets: Array) -> tuple[np.floating, Any]:
        t = np.exp(targets) if self.log_target else targets
        log_t = targets if self.log_target else np.log(np.where(t == 0, 1, t))
        return np.where(t == 0, 0, t * (log_t - outputs)).sum() / len(outputs), t

    def gradient(self, saved: Array) -> Array:
        """−t / N."""
        return -saved / len(saved)
