"""Training: shuffled batches, gradient clipping, and one loop."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from utils.history import History
from utils.nn.losses import Loss
from utils.nn.module import Array, Module, Parameter
from utils.nn.optim import Optimizer
from utils.nn.schedules import Schedule

Batch = tuple[NDArray, NDArray]


class Batches:
    """What ``batches`` returns: each pass over it has a new random order."""

    def __init__(
        self, inputs: NDArray, labels: NDArray, size: int, rng: np.random.Generator
    ) -> None:
        if not len(inputs) or len(inputs) != len(labels) or size < 1:
            raise ValueError(
                f"batches need as many labels as inputs, at least one, and a size of at least 1; "
                f"got {len(inputs)} inputs, {len(labels)} labels and size {size}."
            )
        self.inputs, self.labels, self.size, self.rng = inputs, labels, size, rng

    def __len__(self) -> int:
        return math.ceil(len(self.inputs) / self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = self.rng.permutation(len(self.inputs))
        for start in range(0, len(order), self.size):
            some = order[start : start + self.size]
            yield self.inputs[some], self.labels[some]


def batches(inputs: NDArray, labels: NDArray, size: int, rng: np.random.Generator) -> Batches:
    """Batches (inputs, labels) in a new random order every epoch; the last may be smaller.

    ``inputs`` (N, …), ``labels`` (N, …). ``len`` is the number of batches. Raises ValueError for
    an empty set or different lengths.
    """
    return Batches(inputs, labels, size, rng)


def fit(
    model: Module,
    batches: Iterable[Batch],
    loss: Loss,
    optimizer: Optimizer,
    *,
    epochs: int,
    validation: Batch | None = None,
    schedule: Schedule | None = None,
    max_norm: float | None = None,
    rng: np.random.Generator,
) -> History:
    """Train ``model`` in place for ``epochs`` passes over ``batches``.

    One row an epoch: ``epoch``, ``loss`` (mean over the examples of the epoch) and, where
    ``validation`` = (inputs, labels) is given, ``validation_loss`` and, for integer labels,
    ``validation_accuracy``. ``max_norm`` clips gradients. ``rng`` is what layers draw from
    (dropout), from now on. Raises ValueError for no batches, and FloatingPointError when the loss
    is no longer finite.
    """
    for module in model.modules():
        if "rng" in vars(module):
            module.rng = rng
    history = History()
    for epoch in range(1, epochs + 1):
        mean = _one_epoch(model, batches, loss, optimizer, schedule, max_norm)
        history.append(epoch=epoch, loss=mean, **_held_out(model, validation, loss))
        if schedule and schedule.unit == "epoch":
            schedule.step()
    return history


def _one_epoch(model, batches, loss, optimizer, schedule, max_norm) -> float:
    """One pass: forward, backward, step; returns the mean loss over the examples."""
    model.train()
    total, count = 0.0, 0
    for inputs, labels in batches:
        optimizer.zero_grad()
        value = loss(model(inputs), labels)
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss became {value}: try a smaller learning rate.")
        model.accumulate(loss.backward())
        if max_norm is not None:
            clip_grad_norm_(optimizer.parameters, max_norm)
        optimizer.step()
        if schedule and schedule.unit == "batch":
            schedule.step()
        total, count = total + value * len(labels), count + len(labels)
    if not count:
        raise ValueError("there are no batches to train on.")
    return total / count


def _held_out(model: Module, validation: Batch | None, loss: Loss) -> dict[str, float]:
    """Columns of the history about the validation set."""
    if validation is None:
        return {}
    value, accuracy = evaluate(model, validation, loss)
    columns = {"validation_loss": value, "validation_accuracy": accuracy}
    return {name: number for name, number in columns.items() if number is not None}


def evaluate(
    model: Module, examples: Batch, loss: Loss, size: int = 1000
) -> tuple[float, float | None]:
    """Mean loss and accuracy on (inputs, labels), in evaluation mode, ``size`` rows at a time.

    The accuracy is None where labels are no integers.
    """
    inputs, labels = examples
    total, right, classes = 0.0, 0, labels.dtype.kind in "iu"
    for some, outputs in _outputs(model, inputs, size):
        total += loss(outputs, labels[some]) * len(outputs)
        if classes:
            right += int((outputs.argmax(axis=1) == labels[some]).sum())
    return total / len(labels), right / len(labels) if classes else None


def predict(model: Module, inputs: NDArray, size: int = 1000) -> Array:
    """All outputs, in evaluation mode, computed ``size`` rows at a time: memory stays bounded."""
    return np.concatenate([outputs for _, outputs in _outputs(model, inputs, size)])


def _outputs(model: Module, inputs: NDArray, size: int) -> Iterator[tuple[slice, Array]]:
    """Slices of the inputs, each with the model's outputs; the model's mode is put back."""
    if not len(inputs):
        raise ValueError(f"{model.name}: there are no inputs to evaluate.")
    training = model.training
    model.eval()
    for start in range(0, len(inputs), size):
        some = slice(start, start + size)
        yield some, model(inputs[some])
    model.train(training)


def clip_grad_norm_(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients together so that their common norm is at most ``max_norm``, in place.

    Returns the norm ``|g| = √Σ g²`` from before (Pascanu et al. 2013, algorithm 1). Computed in
    float64, so that an exploded float32 gradient is clipped too.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = math.sqrt(sum(_squares(gradient) for gradient in gradients))
    if norm + 1e-6 > max_norm:
        for gradient in gradients:
            gradient *= max_norm / (norm + 1e-6)
    return norm


def _squares(gradient: Array) -> float:
    """Σ g² in float64."""
    flat = gradient.reshape(-1)
    return float(np.einsum("i,i", flat, flat, dtype=np.float64))
