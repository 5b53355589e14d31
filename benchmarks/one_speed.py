"""``python -m benchmarks.one_speed``: our training of ONE beside a straight port of the archive's.

The same network of three branches learns from the same images, once by our loop and once by the
archive's way of doing it, written for today's PyTorch: each image is cropped, mirrored and scaled
by itself, maps are laid out channel by channel, and every batch is ranked for top-1 and top-5 of
each branch. Epochs of both are timed in turns on one thread, on images drawn at random, since the
time does not depend on what they show. The goal is a ratio port / ours of 1.5.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.timing import quartiles, seconds, store
from ONE_KnowledgeDistillation.one.evaluate import top
from ONE_KnowledgeDistillation.one.experiments import THREE, Scale, experiment, scale
from ONE_KnowledgeDistillation.one.losses import ONELoss
from ONE_KnowledgeDistillation.one.models import Branched
from ONE_KnowledgeDistillation.one.schedulers import by_module
from ONE_KnowledgeDistillation.one.starts import build
from ONE_KnowledgeDistillation.one.tasks import training_batches
from utils.paths import ROOT
from utils.vision import torchvision

PATH = ROOT / "build" / "bench" / "one_speed.json"
CLASSES = 100
TEMPERATURE = 3.0


class Pictures(Dataset):
    """Images one by one, as files would be read: cropped, mirrored, made a tensor."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.permute(0, 2, 3, 1).numpy(), labels.tolist()
        make = torchvision.transforms
        moved = make.RandomCrop(32, padding=4), make.RandomHorizontalFlip()
        self.change = make.Compose([make.ToPILImage(), *moved, make.ToTensor()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.change(self.images[place]), self.labels[place]


def ported_loss(branches: list[Tensor], ensemble: Tensor, labels: Tensor) -> Tensor:
    """The loss branch by branch."""
    loss = F.cross_entropy(ensemble, labels)
    target = F.softmax(ensemble.detach() / TEMPERATURE, dim=1)
    for logits in branches:
        loss = loss + F.cross_entropy(logits, labels)
        own = F.log_softmax(logits / TEMPERATURE, dim=1)
        loss = loss + TEMPERATURE**2 * F.kl_div(own, target, reduction="batchmean")
    return loss


def port(model: Branched, examples: tuple[Tensor, Tensor], size: Scale) -> Callable[[], float]:
    """A function that trains for an epoch as the archive does; it returns the last loss."""
    model = model.to(memory_format=torch.contiguous_format)
    batches = DataLoader(Pictures(*examples), size.batch, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def epoch() -> float:
        seen: dict[str, list[float]] = {}
        for images, labels in batches:
            answers = model.train()(images)
            branches = list(answers.branches.unbind(dim=1))
            loss = ported_loss(branches, answers.ensemble, labels)
            for name, logits in enumerate([*branches, answers.ensemble]):
                ranked = [top(logits.detach(), labels, k) for k in (1, 5)]
                seen.setdefault(str(name), []).extend(ranked)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    return epoch


def ours(model: Branched, examples: tuple[Tensor, Tensor], size: Scale) -> Callable[[], float]:
    """The same by the course's batches, layout and loss."""
    batches = training_batches(examples, size.batch, torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(by_module(model), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss_of = ONELoss(temperature=TEMPERATURE)

    def epoch() -> float:
        for images, labels in batches:
            optimizer.zero_grad()
            loss = loss_of(model.train()(images), labels)
            loss.backward()
            optimizer.step()
        return loss.item()

    return epoch


def measure(size: Scale, count: int, rounds: int) -> dict[str, Any]:
    """Quartiles of the ratio port / ours over the rounds, and median seconds of both epochs."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    examples = images, torch.randint(0, CLASSES, (count,), generator=generator)
    model = build(experiment(THREE), size, CLASSES, [], generator)
    loops = port(copy.deepcopy(model), examples, size), ours(model, examples, size)
    pairs = [tuple(map(seconds, loops)) for _ in range(rounds + 1)][1:]  # the first warms up
    low, ratio, high = quartiles([a / b for a, b in pairs])
    theirs, mine = (statistics.median(some) for some in zip(*pairs, strict=True))
    return {"ratio": ratio, "low": low, "high": high, "port": theirs, "ours": mine}


def main() -> None:
    """Measure both sizes, print the ratios and store them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=512, help="images in an epoch")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--path", type=Path, default=PATH)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: measure(scale(name), args.count, args.rounds) for name in ("pocket", "paper")}
    for name, row in found.items():
        print(
            f"{name}: port / ours {row['ratio']:.2f} ({row['low']:.2f}–{row['high']:.2f}), ", end=""
        )
        print(f"{args.count} images in {row['port']:.1f} and {row['ours']:.1f} s")
    store(args.path, {"count": args.count} | found)


if __name__ == "__main__":
    main()
