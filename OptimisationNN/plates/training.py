"""Training a reader on plates that are drawn while it learns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from OptimisationNN.plates import readers
from OptimisationNN.plates.sets import Plates, Stream
from OptimisationNN.plates.texts import Alphabet
from utils.history import History
from utils.training import fit, predict

EVERY = 2**31  # plates of a seed: more than any training asks for
HELD_OUT = 1_000_000  # added to the seed of a training: no plate of a test was ever seen


class Kind(NamedTuple):
    """A way to read: the network, its loss, and what its logits say."""

    network: type[nn.Module]
    loss: Callable[[Any, Tensor], Tensor]
    texts: Callable[[Any, Alphabet], list[str]]


KINDS = {
    "place": Kind(readers.PlaceReader, readers.place_loss, readers.place_texts),
    "line": Kind(readers.LineReader, readers.line_loss, readers.line_texts),
}


@dataclass(frozen=True)
class Plan:
    """How long and on what a reader is trained; ``checked`` plates are read after each epoch."""

    kind: str = "place"
    alphabet: Alphabet = Alphabet()
    epochs: int = 20
    steps: int = 150
    batch: int = 64
    strength: float = 1.0
    rate: float = 2e-3
    checked: int = 500


def train(plan: Plan, seed: int, *, checkpoint: Path | None = None) -> tuple[nn.Module, History]:
    """A trained reader, with loss and shares of right characters and plates by epoch.

    Resumable from ``checkpoint``. Raises ValueError for an unknown kind.
    """
    kind = kind_of(plan.kind)
    generator = torch.Generator().manual_seed(seed)
    reader = kind.network(len(plan.alphabet.letters), generator)
    seen = Plates(EVERY, seed, plan.alphabet, plan.strength)
    held_out = Plates(plan.checked, seed + HELD_OUT, plan.alphabet, plan.strength).tensors()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=plan.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, total_steps=plan.epochs * plan.steps, pct_start=0.2
    )

    def measure(model: nn.Module) -> dict[str, float]:
        characters, plates = score(model, plan, held_out)
        return {"validation_characters": characters, "validation_plates": plates}

    history = fit(
        reader,
        Stream(seen, plan.batch, plan.steps, generator),
        kind.loss,
        optimizer,
        epochs=plan.epochs,
        measure=measure,
        schedule=schedule,
        max_norm=5.0,
        checkpoint=checkpoint,
        generator=generator,
    )
    return reader, history


def kind_of(name: str) -> Kind:
    """One of ``KINDS``. Raises ValueError, listing them, for another name."""
    if name not in KINDS:
        raise ValueError(f"no reader called {name!r}; there are {', '.join(KINDS)}.")
    return KINDS[name]


def read(reader: nn.Module, plan: Plan, images: Tensor) -> list[str]:
    """Texts of plates uint8 (N, 3, 30, 140)."""
    return kind_of(plan.kind).texts(predict(reader, images), plan.alphabet)


def score(reader: nn.Module, plan: Plan, plates: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Share of characters and of whole plates that are read right."""
    texts = [plan.alphabet.decode(row) for row in plates[1].numpy()]
    return readers.shares_right(read(reader, plan, plates[0]), texts)
