"""The data that experiments run on: bytes of images and labels, as tensors on one device."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from utils.backbones import moved_and_mirrored
from utils.datasets import ImageData, Split, cifar10, cifar100
from utils.training import shuffled_batches

POCKET_CLASSES = 20


@dataclass(frozen=True)
class Task:
    """Pairs of images uint8 (N, 3, 32, 32) and labels (N,), and the data set that they are from."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: int
    source: ImageData


TASKS = {
    "cifar10": (cifar10, 10),
    "cifar100": (cifar100, 100),
    "cifar20": (cifar100, POCKET_CLASSES),  # the first 20 classes of CIFAR-100, apple to chair
}


@cache
def task(name: str, device: str = "cpu", count: int | None = None) -> Task:
    """One of ``TASKS``, with the first ``count`` training images. Raises ValueError for others."""
    if name not in TASKS:
        raise ValueError(f"no data called {name!r}; there are {', '.join(TASKS)}.")
    load, classes = TASKS[name]
    source = load()
    train = tuple(some[:count] for some in _tensors(source.train, classes, device))
    held_out = (_tensors(split, classes, device) for split in (source.validation, source.test))
    return Task(train, *held_out, classes, source)


def _tensors(split: Split, classes: int, device: str) -> tuple[Tensor, Tensor]:
    """The images of the first ``classes`` classes."""
    chosen = split.labels < classes
    images = torch.from_numpy(split.images[chosen]).permute(0, 3, 1, 2).contiguous()
    return images.to(device), torch.from_numpy(split.labels[chosen]).to(device)


def as_input(images: Tensor) -> Tensor:
    """Bytes to numbers in [0, 1]."""
    return images / 255


class Share:
    """Every ``of``-th example of each batch, from the ``number``-th on: one process's part.

    All processes draw the same batches and the same changes, so what they do together is what
    one process does alone.
    """

    def __init__(self, batches, number: int = 0, of: int = 1) -> None:
        self.batches, self.number, self.of = batches, number, of

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self.batches:
            yield images[self.number :: self.of], labels[self.number :: self.of]


def training_batches(
    examples: tuple[Tensor, Tensor], size: int, generator: torch.Generator
) -> "torch.utils.data.DataLoader":
    """Shuffled batches, each image moved by up to 4 pixels and mirrored or not."""
    return shuffled_batches(*examples, size, generator, moved_and_mirrored)
