"""Scene in, text out: training the detector, and reading what it has found."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from OptimisationNN.plates import training
from OptimisationNN.plates.readers import shares_right
from OptimisationNN.plates.scenes import Detector, Found, cut_out, detected, detector_loss, scenes
from OptimisationNN.plates.texts import Alphabet
from OptimisationNN.plates.training import HELD_OUT, Plan
from utils.metrics import average_precision, box_iou
from utils.training import fit, predict, shuffled_batches


@dataclass(frozen=True)
class Search:
    """How long and on how many scenes a detector is trained."""

    scenes: int = 2_000
    epochs: int = 12
    batch: int = 16
    width: int = 32
    rate: float = 3e-3


def train_detector(search: Search, seed: int, alphabet: Alphabet) -> Detector:
    """A detector that was trained on scenes of this seed."""
    generator = torch.Generator().manual_seed(seed)
    detector = Detector(generator, search.width)
    images, boxes, _ = scenes(alphabet, seed, search.scenes)
    batches = shuffled_batches(images, boxes, search.batch, generator)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=search.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, search.rate, total_steps=search.epochs * len(batches), pct_start=0.2
    )
    how = {"epochs": search.epochs, "schedule": schedule, "generator": generator}
    fit(detector, batches, detector_loss, optimizer, **how)
    return detector.eval()


def find(detector: Detector, images: Tensor) -> list[Found]:
    """What the detector finds in scenes uint8 (N, 3, 96, 160)."""
    return detected(predict(detector, images))


def read_found(reader: nn.Module, plan: Plan, images: Tensor, found: list[Found]) -> list[str]:
    """The text in the surest box of each scene; "" where nothing was found."""
    texts = [""] * len(found)
    seen = [place for place, one in enumerate(found) if len(one.boxes)]
    if seen:
        cut = torch.stack([cut_out(images[place], found[place].boxes[0]) for place in seen])
        for place, text in zip(seen, training.read(reader, plan, cut), strict=True):
            texts[place] = text
    return texts


class Scores(NamedTuple):
    """AP at IoU 0.5 and 0.75, mean IoU of the surest boxes, and the share of texts read right."""

    average_precision: float
    strict_average_precision: float
    mean_iou: float
    texts_right: float


def score(
    detector: Detector, reader: nn.Module, plan: Plan, seed: int, count: int
) -> tuple[Scores, Scores]:
    """The detector with the reader behind it, and the reader behind the true boxes.

    On ``count`` scenes that neither of them has seen in its training with ``seed``.
    """
    images, boxes, texts = scenes(plan.alphabet, seed + 2 * HELD_OUT, count)
    truth = [box[None].double().numpy() for box in boxes]
    perfect = [Found(box, np.ones(1)) for box in truth]

    def scored(found: list[Found]) -> Scores:
        overlaps = [
            box_iou(one.boxes[:1], box)[0, 0] if len(one.boxes) else 0.0
            for one, box in zip(found, truth, strict=True)
        ]
        precisions = [average_precision(found, truth, iou=least) for least in (0.5, 0.75)]
        said = read_found(reader, plan, images, found)
        return Scores(*precisions, float(np.mean(overlaps)), shares_right(said, texts)[1])

    return scored(find(detector, images)), scored(perfect)
