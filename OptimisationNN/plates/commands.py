"""The command lines of the plates: generator.py, augmenter.py, train.py and test.py."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from OptimisationNN.plates import sets, training
from OptimisationNN.plates.augment import CHANGES
from OptimisationNN.plates.drawing import plate
from OptimisationNN.plates.texts import Alphabet
from utils import checkpoints, models
from utils.paths import ROOT

STORED = {"place": "plate_reader", "line": "plate_line_reader"}


def run(
    command: Callable[[Sequence[str] | None], None], arguments: Sequence[str] | None = None
) -> int:
    """Exit status of a command: 2, with one sentence, for what was asked wrongly."""
    try:
        command(arguments)
    except (ValueError, FileNotFoundError) as reason:
        print(reason, file=sys.stderr)
        return 2
    return 0


def generate(arguments: Sequence[str] | None = None) -> None:
    """Write plates as images and a table plates.csv (file, text). Goes on where it stopped."""
    parser = argparse.ArgumentParser("generator.py", description=generate.__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other plates")
    parser.add_argument("--letters", default=Alphabet().letters, help="the letters to draw from")
    parser.add_argument("--strength", type=float, default=1.0, help="of all changes, 0 to 1")
    given = parser.parse_args(arguments)
    alphabet = Alphabet(given.letters)
    table = sets.write(given.out, given.count, given.seed, alphabet, given.strength)
    print(f"{given.count} plates, listed in {table}")


def augment(arguments: Sequence[str] | None = None) -> None:
    """Show what each change makes of one plate, at five strengths, as one image."""
    parser = argparse.ArgumentParser("augmenter.py", description=augment.__doc__)
    parser.add_argument("--text", default="A123BC77", help="what stands on the plate")
    parser.add_argument("--out", type=Path, required=True, help="the image to write, a .png")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    sheet = contact_sheet(Alphabet().check(given.text), given.seed)
    Image.fromarray(sheet).save(given.out)
    print(f"{', '.join(CHANGES)}: one row each, from strength 0 to 1, in {given.out}")


def contact_sheet(text: str, seed: int) -> np.ndarray:
    """Every change at strengths 0, ¼, ½, ¾ and 1: (rows · 30, 5 · 140, 3)."""
    clean = plate(text)
    rows = [
        [change(clean, np.random.default_rng(seed), strength) for strength in np.linspace(0, 1, 5)]
        for change in CHANGES.values()
    ]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def train(arguments: Sequence[str] | None = None) -> None:
    """Train a reader on fresh plates and store its weights. Goes on where it stopped."""
    parser = argparse.ArgumentParser("train.py", description=train.__doc__)
    parser.add_argument("--kind", default="place", choices=list(training.KINDS))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=150, help="batches of 64 plates an epoch")
    parser.add_argument("--strength", type=float, default=1.0, help="of all changes, 0 to 1")
    parser.add_argument("--letters", default=Alphabet().letters)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "plates" / "reader.pt")
    given = parser.parse_args(arguments)
    plan = training.Plan(
        given.kind,
        Alphabet(given.letters),
        epochs=given.epochs,
        steps=given.steps,
        strength=given.strength,
    )
    part = given.out.with_suffix(".part")
    reader, history = training.train(plan, given.seed, checkpoint=part)
    about = {"kind": given.kind, "letters": given.letters, "model": reader.state_dict()}
    checkpoints.save(given.out, about)
    part.unlink(missing_ok=True)
    print(f"plates read right: {history['validation_plates'][-1]:.4f}; stored in {given.out}")


def read(arguments: Sequence[str] | None = None) -> None:
    """Read the plate in an image of 140×30 pixels."""
    parser = argparse.ArgumentParser("test.py", description=read.__doc__)
    parser.add_argument("--image", type=Path, required=True, nargs="+")
    parser.add_argument("--model", type=Path, help="what train.py has stored; else the course's")
    given = parser.parse_args(arguments)
    images = torch.stack([sets.read_image(path) for path in given.image])
    reader, plan = load(given.model)
    for path, text in zip(given.image, training.read(reader, plan, images), strict=True):
        print(f"{path.name}  {text}")


def load(path: Path | None, kind: str = "place") -> tuple[torch.nn.Module, training.Plan]:
    """A stored reader and its plan; None: the course's own reader of this kind.

    Raises ValueError for a file that holds another thing, or is cut off.
    """
    if path is None:
        state = models.load(STORED[kind])
        about = {"kind": kind, "letters": Alphabet().letters, "model": state}
    else:
        about = checkpoints.load(path)
    if set(about) != {"kind", "letters", "model"}:
        raise ValueError(f"{path.name} holds {sorted(about)}, no reader that train.py has stored.")
    plan = training.Plan(about["kind"], Alphabet(about["letters"]))
    network = training.kind_of(plan.kind).network
    reader = network(len(plan.alphabet.letters), torch.Generator())
    reader.load_state_dict(about["model"])
    return reader.eval(), plan
