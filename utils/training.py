"""Training a torch model: shuffled batches and one loop, the same in every lesson."""

import sys
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from tqdm import tqdm

from utils.history import History

__all__ = ["History", "evaluate", "fit", "shuffled_batches"]

Loss = Callable[[Tensor, Tensor], Tensor]


def shuffled_batches(
    inputs: Tensor, labels: Tensor, size: int, generator: torch.Generator
) -> DataLoader:
    """Batches (inputs, labels) in a new random order every epoch; the last may be smaller.

    ``inputs`` (N, …), ``labels`` (N,). Raises ValueError for an empty set or different lengths.
    """
    if not len(inputs) or len(inputs) != len(labels):
        raise ValueError(
            f"batches need as many labels as inputs, at least one; "
            f"got {len(inputs)} inputs and {len(labels)} labels."
        )
    examples = TensorDataset(inputs, labels)
    order = BatchSampler(RandomSampler(examples, generator=generator), size, drop_last=False)
    return DataLoader(examples, sampler=order, batch_size=None)  # one lookup a batch, not a row


def fit(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    validation: tuple[Tensor, Tensor] | None = None,
    generator: torch.Generator,
) -> History:
    """Train ``model`` in place for ``epochs`` passes over ``batches``.

    One row an epoch: ``epoch``, ``loss`` (mean over the examples of the epoch) and, where
    ``validation`` = (inputs, labels) is given, ``validation_loss`` and ``validation_accuracy``.
    ``generator`` seeds what layers draw (dropout); torch's global state is left as it was.
    Raises ValueError for no batches, and FloatingPointError when the loss is no longer finite.
    """
    history = History()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for epoch in tqdm(range(1, epochs + 1), desc="epochs", disable=not sys.stderr.isatty()):
            row = {"epoch": epoch, "loss": _one_epoch(model, batches, loss, optimizer)}
            if validation is not None:
                held_out_loss, accuracy = evaluate(model, validation, loss)
                row |= {"validation_loss": held_out_loss, "validation_accuracy": accuracy}
            history.append(**row)
    return history


def _one_epoch(model, batches, loss, optimizer) -> float:
    """One pass: forward, backward, step; returns the mean loss over the examples."""
    model.train()
    total, count = 0.0, 0
    for inputs, labels in batches:
        optimizer.zero_grad()
        batch_loss = loss(model(inputs), labels)
        if not torch.isfinite(batch_loss):
            raise FloatingPointError(
                f"the loss became {batch_loss.item()}: try a smaller learning rate."
            )
        batch_loss.backward()
        optimizer.step()
        total, count = total + batch_loss.item() * len(labels), count + len(labels)
    if not count:
        raise ValueError("there are no batches to train on.")
    return total / count


@torch.no_grad()
def evaluate(
    model: nn.Module, examples: tuple[Tensor, Tensor], loss: Loss, size: int = 1000
) -> tuple[float, float]:
    """Mean loss and accuracy on (inputs, labels), in evaluation mode, ``size`` rows at a time."""
    model.eval()
    total, right = 0.0, 0
    for inputs, labels in zip(examples[0].split(size), examples[1].split(size), strict=True):
        logits = model(inputs)
        total += loss(logits, labels).item() * len(labels)
        right += int((logits.argmax(dim=1) == labels).sum())
    return total / len(examples[1]), right / len(examples[1])
