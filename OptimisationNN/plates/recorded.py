"""What the ledger records of the plates: a function a row, called as function(seed, profile).

A reader is trained once a kind and seed, into build/plates/readers/, and read by the rows that need
it. Nothing is chosen here: the plan was fixed on validation plates before any test plate was drawn.
"""

import csv
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from OptimisationNN.plates import commands, finding, sets, training
from OptimisationNN.plates.augment import CHANGES, Change
from OptimisationNN.plates.drawing import plate
from OptimisationNN.plates.templates import read_clean
from OptimisationNN.plates.texts import BLANK, Alphabet
from OptimisationNN.plates.training import HELD_OUT, Plan
from utils import checkpoints, models
from utils.history import History
from utils.metrics import calibration
from utils.paths import ROOT
from utils.training import predict

PLAN = Plan()
RUNS = ROOT / "build" / "plates" / "readers"
ALPHABET = Alphabet()

WRITTEN = 20_000  # plates of row 36, as many as the archive asks for
COMPARED = 2_000  # of them read by templates
TESTED = 5_000  # plates of each strength
ALONE = 1_000  # plates for each change alone
FILES = 2_000  # plates of row 40, read from files
SCENES = 1_000
STRENGTHS = {"moderate": 0.5, "full": 1.0, "beyond": 1.5}
TRIPLE = 3.0  # of a change alone; nothing above 1 was trained on
VISIBLE = 10  # grey values

Plates = tuple[Tensor, Tensor]


def generated(seed: int, profile: str) -> dict[str, float]:
    """Row 36: plates written, listed, and read back; and whether clean ones show their label."""
    with tempfile.TemporaryDirectory() as folder:
        table = sets.write(Path(folder), WRITTEN, seed, ALPHABET)
        good = sum(1 for _ in listed(table))
    clean = (sets.photograph(ALPHABET, seed, index, 0.0) for index in range(COMPARED))
    agree = [read_clean(image, ALPHABET) == text for text, image in clean]
    return {"generated_plates": good, "labels_in_pixels_share": float(np.mean(agree))}


def augmented(seed: int, profile: str) -> dict[str, float]:
    """Row 37: how many changes are seen on a plate, and how much noise lies on white."""
    seen = {name: visibility(change, seed) for name, change in CHANGES.items()}
    white = np.full((30, 140, 3), 255, np.uint8)
    noisy = [CHANGES["noisy"](white, np.random.default_rng([seed, i]), 1.0) for i in range(100)]
    return {
        "effective_operations_share": float(np.mean([size >= VISIBLE for size in seen.values()])),
        "least_visible_change": min(seen.values()),
        "noise_on_white": float(np.mean([image.std() for image in noisy])),
    }


def visibility(change: Change, seed: int, count: int = 100) -> float:
    """Grey values by which a pixel changes at full strength: the most on a plate, over plates."""
    most = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        clean = plate(ALPHABET.draw(rng))
        most.append(abs(change(clean, rng, 1.0).astype(int) - clean).max())
    return float(np.mean(most))


def recognised(seed: int, profile: str) -> dict[str, Any]:
    """Row 38: both readers on plates of a seed that neither training nor validation has seen.

    Seed 0 stores them as the course's own.
    """
    at = {name: unseen(seed, strength, TESTED) for name, strength in STRENGTHS.items()}
    metrics: dict[str, float] = {}
    for kind, prefix in (("place", ""), ("line", "ctc_")):
        reader, _ = trained(kind, seed)
        found = accuracies(reader, replace(PLAN, kind=kind), at)
        metrics |= {f"{prefix}{name}": value for name, value in found.items()}
        if seed == 0:
            state = models.halved(reader.state_dict())
            models.save(commands.STORED[kind], state, result="plate-recogniser")
    reader, history = trained("place", seed)
    metrics["calibration_error"] = calibration_error(reader, at["full"])
    metrics |= alone(reader, seed)
    return {"metrics": metrics, "history": history.rows}


def trained(kind: str, seed: int) -> tuple[nn.Module, History]:
    """A reader of this kind, trained now, or where it stopped, or read from ``RUNS``."""
    plan, place = replace(PLAN, kind=kind), RUNS / f"{kind}-{seed}.pt"
    if not place.is_file():
        reader, history = training.train(plan, seed, checkpoint=place.with_suffix(".part"))
        checkpoints.save(place, {"model": reader.state_dict(), "history": history.rows})
        place.with_suffix(".part").unlink(missing_ok=True)
    known = checkpoints.load(place)
    reader = training.kind_of(kind).network(len(plan.alphabet.letters), torch.Generator())
    reader.load_state_dict(known["model"])
    return reader.eval(), History(known["history"])


def unseen(seed: int, strength: float | Mapping[str, float], count: int) -> Plates:
    """Test plates: another seed than those of training (seed) and validation (seed + HELD_OUT)."""
    return sets.Plates(count, seed + 2 * HELD_OUT, ALPHABET, strength).tensors()


def accuracies(reader: nn.Module, plan: Plan, at: Mapping[str, Plates]) -> dict[str, float]:
    """Shares of characters and plates, by strength, and by the digits of the region."""
    images, classes = at["full"]
    three = classes[:, -1] != BLANK
    characters, whole = training.score(reader, plan, at["full"])
    return {
        "character_accuracy": characters,
        "plate_accuracy": whole,
        "plate_accuracy_moderate": training.score(reader, plan, at["moderate"])[1],
        "plate_accuracy_beyond": training.score(reader, plan, at["beyond"])[1],
        "plate_accuracy_two_digits": training.score(
            reader, plan, (images[~three], classes[~three])
        )[1],
        "plate_accuracy_three_digits": training.score(
            reader, plan, (images[three], classes[three])
        )[1],
    }


def calibration_error(reader: nn.Module, plates: Plates) -> float:
    """Expected calibration error of single characters."""
    probabilities = predict(reader, plates[0]).softmax(dim=2)  # (N, 9, K)
    return calibration(probabilities.flatten(0, 1).double(), plates[1].flatten()).error


def alone(reader: nn.Module, seed: int) -> dict[str, float]:
    """Plates read right under one change at triple strength, and no other."""
    found = {name: unseen(seed, {name: TRIPLE}, ALONE) for name in CHANGES}
    return {
        f"plate_accuracy_{name}_alone": training.score(reader, PLAN, plates)[1]
        for name, plates in found.items()
    }


def predicted(seed: int, profile: str) -> dict[str, float]:
    """Row 40: what test.py answers for files that generator.py has written, of an unseen seed.

    With the weights as they are stored, in half precision.
    """
    reader, _ = trained("place", seed)
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "reader.pt"
        about = {"kind": "place", "letters": ALPHABET.letters}
        checkpoints.save(stored, about | {"model": models.halved(reader.state_dict())})
        table = sets.write(Path(folder) / "plates", FILES, seed + 3 * HELD_OUT, ALPHABET)
        images, texts = zip(*listed(table), strict=True)
        reader, plan = commands.load(stored)
    found = training.read(reader, plan, torch.stack(images))
    right = [one == text for one, text in zip(found, texts, strict=True)]
    return {"held_out_plate_accuracy": float(np.mean(right))}


def found_in_scenes(seed: int, profile: str) -> dict[str, float]:
    """Row 40, scene in, text out: a detector of this seed with the course's own reader behind it.

    Seed 0 stores it as the course's own.
    """
    reader, plan = commands.load(None)
    detector = finding.train_detector(finding.Search(), seed, ALPHABET)
    found, perfect = finding.score(detector, reader, plan, seed, SCENES)
    if seed == 0:
        models.save("plate_detector", models.halved(detector.state_dict()), result="plate-scenes")
    return {**found._asdict(), "texts_right_in_true_boxes": perfect.texts_right}


def listed(table: Path):
    """(image, text) of each row of a written table. Raises ValueError for what is no plate."""
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            yield sets.read_image(table.parent / row["file"]), ALPHABET.check(row["text"])
