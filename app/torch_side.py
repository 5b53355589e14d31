"""The networks of the application that need PyTorch; imported when one of them is first asked."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from OptimisationNN.plates import commands
from OptimisationNN.plates.augment import CHANGES, photographed
from OptimisationNN.plates.drawing import plate
from OptimisationNN.plates.readers import place_texts
from utils import models
from utils.networks import digit_cnn


class DigitReader:
    """The course's digit reader, as ``app.shelf.Reader``."""

    def __init__(self) -> None:
        self.model = digit_cnn(torch.Generator())
        self.model.load_state_dict(models.load("digit_cnn"))
        self.model.eval()

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return self.model(torch.from_numpy(x)).numpy()

    def insight(self, x: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
        image = torch.from_numpy(x).requires_grad_()
        first = self.model[:3](image)  # convolution, BatchNorm, ReLU
        largest = self.model[3:](first).max()
        (slope,) = torch.autograd.grad(largest, image)
        return first[0].detach().numpy(), slope[0, 0].numpy()


class PlateReader:
    """Draws a plate, distorts and reads it."""

    def __init__(self) -> None:
        self.reader, self.plan = commands.load(None)

    def read(
        self, text: str, strengths: Mapping[str, float], seed: int
    ) -> tuple[NDArray, NDArray, str, list[float]]:
        """Clean and distorted image (30, 140, 3), the text read, each character's probability.

        Raises ValueError for a text that is on no plate, or a change that there is not.
        """
        strange = sorted(set(strengths) - set(CHANGES))
        if strange:
            raise ValueError(f"there is no change {strange[0]!r}; there are {', '.join(CHANGES)}.")
        clean = plate(self.plan.alphabet.check(text))
        distorted = photographed(clean, np.random.default_rng(seed), strengths)
        image = torch.from_numpy(distorted).permute(2, 0, 1)[None]  # (1, 3, 30, 140)
        with torch.inference_mode():
            logits = self.reader(image)  # (1, 9, kinds)
        (found,) = place_texts(logits, self.plan.alphabet)
        confidence = logits.softmax(dim=2).amax(dim=2)[0, : len(found)]
        return clean, distorted, found, confidence.tolist()


READERS: Mapping[str, Callable[[], Any]] = {"digit_cnn": DigitReader, "plate_reader": PlateReader}
