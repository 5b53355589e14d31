"""Sets of plates: drawn on the fly for training, or written as images and a table."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from OptimisationNN.plates.augment import Strength, photographed
from OptimisationNN.plates.drawing import plate
from OptimisationNN.plates.texts import Alphabet
from utils.paths import atomic

SETTINGS, TABLE = "plates.json", "plates.csv"


def photograph(
    alphabet: Alphabet, seed: int, index: int, strength: Strength
) -> tuple[str, NDArray[np.uint8]]:
    """Text and image (30, 140, 3) of plate number ``index``: the same for the same four."""
    rng = np.random.default_rng([seed, index])
    text = alphabet.draw(rng)
    return text, photographed(plate(text), rng, strength)


class Plates(Dataset):
    """``count`` plates of a seed, drawn when asked for: (image (3, 30, 140), classes (9,)).

    Images are uint8, classes as ``Alphabet.encode`` gives them.
    """

    def __init__(
        self, count: int, seed: int, alphabet: Alphabet | None = None, strength: Strength = 1.0
    ) -> None:
        self.count, self.seed, self.strength = count, seed, strength
        self.alphabet = alphabet or Alphabet()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(f"there is no plate {index}; this set has {self.count}.")
        text, image = photograph(self.alphabet, self.seed, index, self.strength)
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        return pixels, torch.from_numpy(self.alphabet.encode(text))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """All of them at once: (count, 3, 30, 140) and (count, 9)."""
        images, classes = zip(*(self[i] for i in range(self.count)), strict=True)
        return torch.stack(images), torch.stack(classes)


def write(folder: Path, count: int, seed: int, alphabet: Alphabet, strength: float = 1.0) -> Path:
    """Images 000000.png … and a table (file, text) in ``folder``; returns the table's path.

    Goes on where an earlier run with the same settings was interrupted; the table comes last, so
    that it is there only when all images are. Raises ValueError for a folder that holds anything
    else, or that cannot be written.
    """
    _begin(folder, {"seed": seed, "letters": alphabet.letters, "strength": strength})
    rows = []
    for index in tqdm(range(count), desc="plates", disable=None):
        path = folder / f"{index:06}.png"
        if not path.is_file():
            _, image = photograph(alphabet, seed, index, strength)
            with atomic(path) as temporary:
                Image.fromarray(image).save(temporary, "png")
        rows.append((path.name, alphabet.draw(np.random.default_rng([seed, index]))))
    with atomic(folder / TABLE) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "text"), *rows])
    return folder / TABLE


def _begin(folder: Path, settings: dict) -> None:
    """Make the folder, or see that it holds plates of the same settings."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / SETTINGS
        if known.is_file():
            theirs = json.loads(known.read_text("utf-8"))
            if theirs != settings:
                raise ValueError(f"{folder} holds plates of other settings, {theirs}.")
        elif any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty: choose a new folder.")
        else:
            with atomic(known) as temporary:
                temporary.write_text(json.dumps(settings) + "\n", "utf-8")
    except OSError as error:
        raise ValueError(f"{folder} cannot be written: {error.strerror}.") from error


def read_image(path: Path) -> Tensor:
    """A file as (3, 30, 140) uint8. Raises ValueError for another size or what is no image."""
    try:
        with Image.open(path) as file:
            size, image = file.size, file.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path.name} is no image that can be read: {error}.") from error
    if size != (140, 30):
        raise ValueError(f"{path.name} has {size[0]}×{size[1]} pixels; a plate has 140×30.")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class Stream:
    """``steps`` batches of fresh plates: numbers drawn by ``generator``, so that none comes twice.

    A checkpoint that keeps the generator goes on with the same plates.
    """

    def __init__(self, data: Plates, size: int, steps: int, generator: torch.Generator) -> None:
        self.data, self.size, self.steps, self.generator = data, size, steps, generator

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.steps):
            places = torch.randint(len(self.data), (self.size,), generator=self.generator)
            images, classes = zip(*(self.data[i] for i in places.tolist()), strict=True)
            yield torch.stack(images), torch.stack(classes)
