"""Training a torch model: shuffled batches and one loop, the same in every lesson."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from tqdm import tqdm

from utils import checkpoints
from utils.history import History

__all__ = [
    "History",
    "channels_last",
    "count_parameters",
    "drawing_from",
    "evaluate",
    "fit",
    "predict",
    "shuffled_batches",
]

Loss = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Any, Tensor]]


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Inside, what torch draws by itself (first weights, dropout) follows ``generator``.

    Afterwards torch's global state is what it was before.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield


def shuffled_batches(
    inputs: Tensor,
    labels: Tensor,
    size: int,
    generator: torch.Generator,
    change: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> DataLoader:
    """Batches (inputs, labels) in a new random order every epoch; the last may be smaller.

    ``inputs`` (N, …), ``labels`` (N,). ``change`` is what happens to the inputs of a batch each
    time it is drawn (data augmentation). Raises ValueError for an empty set or different lengths.
    """
    if not len(inputs) or len(inputs) != len(labels):
        raise ValueError(
            f"batches need as many labels as inputs, at least one; "
            f"got {len(inputs)} inputs and {len(labels)} labels."
        )
    examples = TensorDataset(inputs, labels)
    order = BatchSampler(RandomSampler(examples, generator=generator), size, drop_last=False)

    def changed(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return (change(batch[0], generator) if change else batch[0]), batch[1]

    # one lookup a batch, not a row; the loader's own draws come from the same generator
    return DataLoader(
        examples, sampler=order, batch_size=None, generator=generator, collate_fn=changed
    )


def channels_last(model: nn.Module) -> nn.Module:
    """The same model, its convolutions laid out with channels last: up to twice as fast here.

    Except where training would crash: PyTorch 2.13 overwrites memory in the backward pass of a
    1×1 convolution with a stride on fewer than 8 channels in this layout, on processors without
    AVX-512.
    """
    convolutions = (m for m in model.modules() if isinstance(m, nn.Conv2d))
    if any(m.in_channels < 8 and m.kernel_size == (1, 1) != m.stride for m in convolutions):
        return model
    return model.to(memory_format=torch.channels_last)


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    validation: tuple[Tensor, Tensor] | Batches | None = None,
    measure: Callable[[nn.Module], dict[str, float]] | None = None,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    max_norm: float | None = None,
    keep_best: str | None = None,
    patience: int | None = None,
    checkpoint: Path | None = None,
    log: Path | None = None,
    generator: torch.Generator,
) -> History:
    """Train ``model`` in place for ``epochs`` passes over ``batches``, on the model's device.

    Convolutions are laid out with ``channels_last`` first.

    One row an epoch: ``epoch``, ``loss`` (mean over the examples of the epoch) and, where
    ``validation`` (a pair of tensors, or batches) is given, ``validation_loss`` and
    ``validation_accuracy``; the numbers that ``measure`` finds in the model join the row.
    ``schedule`` steps after every batch; ``max_norm`` clips gradients.

    ``keep_best`` names a column (lowest is best for a loss, else highest): the model ends with
    the weights of its best epoch, and with ``patience`` stops after so many epochs without a
    better one. ``checkpoint`` is a file written after every epoch; where it exists, training goes
    on from it to the same result, bit for bit on one thread, as long as the batches draw from the
    same ``generator``. ``log`` is a folder for TensorBoard.

    ``generator`` also seeds what layers draw (dropout); torch's global state is left as it was.
    Raises ValueError for no batches or a checkpoint that does not fit, and FloatingPointError
    when the loss is no longer finite.
    """
    training = _Training(channels_last(model), optimizer, schedule, generator, _Best(keep_best))
    with drawing_from(generator), _writer(log) as writer:
        if checkpoint is not None and checkpoint.exists():
            checkpoints.restore(checkpoint, training.state, training.load_state)
        for epoch in _bar(range(len(training.history) + 1, epochs + 1), epochs):
            if patience is not None and training.best.age(epoch) >= patience:
                break
            row = {"epoch": epoch, "loss": _one_epoch(model, batches, loss, training, max_norm)}
            if validation is not None:
                held_out_loss, accuracy = evaluate(model, validation, loss)
                row |= {"validation_loss": held_out_loss, "validation_accuracy": accuracy}
            row |= measure(model) if measure is not None else {}
            training.add(row, writer)
            if checkpoint is not None:
                checkpoints.save(checkpoint, training.state())
    training.best.put_back(model)
    return training.history


@dataclass
class _Best:
    """The best epoch so far by one column of the history, and a copy of its weights."""

    column: str | None
    epoch: int = 0
    value: float = math.inf  # lower is better: an accuracy is counted negative
    weights: dict[str, Tensor] = field(default_factory=dict)

    def see(self, row: dict[str, float], model: nn.Module) -> None:
        if self.column is None:
            return
        if self.column not in row:
            raise ValueError(f"keep_best={self.column!r} is no column; there are {list(row)}.")
        value = row[self.column] if self.column.endswith("loss") else -row[self.column]
        if value < self.value:
            copies = {name: t.detach().clone() for name, t in model.state_dict().items()}
            self.epoch, self.value, self.weights = int(row["epoch"]), value, copies

    def age(self, epoch: int) -> int:
        """How many epochs have passed without a better one, before ``epoch`` begins."""
        return epoch - 1 - self.epoch if self.weights else 0

    def put_back(self, model: nn.Module) -> None:
        if self.weights:
            model.load_state_dict(self.weights)


@dataclass
class _Training:
    """All that changes while a model is trained."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None
    generator: torch.Generator
    best: _Best
    history: History = field(default_factory=History)

    def add(self, row: dict[str, float], writer) -> None:
        """One more epoch: into the history, the log, and the best one if it is."""
        self.history.append(**row)
        self.best.see(row, self.model)
        if writer is not None:
            for name, value in row.items():
                writer.add_scalar(name, value, row["epoch"])

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "generators": [self.generator.get_state(), torch.get_rng_state()],
            "history": self.history.rows,
            "best": vars(self.best),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        own, layers = state["generators"]
        self.generator.set_state(own)
        torch.set_rng_state(layers)
        self.history.rows = state["history"]
        self.best = _Best(**state["best"])


def _bar(rows: range, epochs: int) -> tqdm:
    """A progress bar over epochs, in a terminal only."""
    silent = not sys.stderr.isatty()
    return tqdm(rows, desc="epochs", initial=rows.start - 1, total=epochs, disable=silent)


def _writer(folder: Path | None):
    """A TensorBoard writer into ``folder``, or a context that yields None."""
    if folder is None:
        return nullcontext()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder)


def _one_epoch(model, batches, loss, training: _Training, max_norm) -> float:
    """One pass: forward, backward, step; returns the mean loss over the examples."""
    model.train()
    device, total, count = _device(model), 0.0, 0
    for inputs, labels in batches:
        training.optimizer.zero_grad()
        batch_loss = loss(model(inputs.to(device)), labels.to(device))
        if not torch.isfinite(batch_loss):
            raise FloatingPointError(
                f"the loss became {batch_loss.item()}: try a smaller learning rate."
            )
        batch_loss.backward()
        if max_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        training.optimizer.step()
        if training.schedule is not None:
            training.schedule.step()
        total, count = total + batch_loss.item() * len(labels), count + len(labels)
    if not count:
        raise ValueError("there are no batches to train on.")
    return total / count


@torch.no_grad()
def evaluate(
    model: nn.Module, examples: tuple[Tensor, Tensor] | Batches, loss: Loss, size: int = 1000
) -> tuple[float, float]:
    """Mean loss and accuracy in evaluation mode, on batches or on a pair (inputs, labels).

    A pair is taken ``size`` rows at a time. Raises ValueError where there is nothing to evaluate.
    """
    model.eval()
    device, total, right, count = _device(model), 0.0, 0, 0
    for inputs, labels in _pieces(examples, size):
        logits, labels = model(inputs.to(device)), labels.to(device)
        total += loss(logits, labels).item() * len(labels)
        right += int((logits.argmax(dim=1) == labels).sum())
        count += len(labels)
    if not count:
        raise ValueError("there are no examples to evaluate.")
    return total / count, right / count


def _pieces(examples: tuple[Tensor, Tensor] | Batches, size: int) -> Iterator[tuple[Any, Tensor]]:
    """Batches as they are; a pair of tensors ``size`` rows at a time."""
    if not isinstance(examples, tuple):
        yield from examples
        return
    yield from zip(examples[0].split(size), examples[1].split(size), strict=True)


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor, size: int = 100) -> Tensor:
    """All outputs on the CPU, in evaluation mode, ``size`` rows at a time."""
    model.eval()
    return torch.cat([model(some.to(_device(model))).cpu() for some in inputs.split(size)])


def count_parameters(model: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
