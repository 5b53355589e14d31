"""The networks of the application that run without PyTorch: the course's own layers, in NumPy."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from utils import models, nn
from utils.nn.activations import sigmoid

Array = NDArray[np.float32]


def digit_mlp(rng: np.random.Generator) -> nn.Sequential:
    """(N, 1, 28, 28) to logits (N, 10): two dense layers, 256 hidden units."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(256, 10, rng=rng),
    )


def small_digit_cnn(rng: np.random.Generator) -> nn.Sequential:
    """(N, 1, 28, 28) to logits (N, 10): two convolutions, two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 8, 14, 14)
        nn.Conv2d(8, 24, 5, padding=2, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 24, 7, 7)
        nn.Flatten(),
        nn.Linear(24 * 49, 64, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(64, 10, rng=rng),
    )


def pair_cnn(outputs: int, rng: np.random.Generator) -> nn.Sequential:
    """(N, 1, 28, 56) to logits: 100 of a joint head, or 20 of two heads of ten."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 8, 14, 28)
        nn.Conv2d(8, 24, 5, padding=2, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 24, 7, 14)
        nn.Flatten(),
        nn.Linear(24 * 98, 128, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(128, outputs, rng=rng),
    )


class DoodleReader(nn.Module):
    """The reader of the doodle lesson: moves (1, T, 3) to logits (1, 10).

    A bidirectional GRU; mean and largest value of its states over time; LayerNorm; one dense layer.
    """

    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        self.gru = nn.GRU(3, hidden, batch_first=True, bidirectional=True, rng=rng)
        self.norm = nn.LayerNorm(4 * hidden)
        self.head = nn.Linear(4 * hidden, 10, rng=rng)

    def forward(self, x: Array) -> Array:
        states = self.gru(x)[0]  # (1, T, 2 hidden)
        return self.head(self.norm(np.concatenate([states.mean(axis=1), states.max(axis=1)], 1)))


class DigitGenerator(nn.Module):
    """The conditional GAN's generator: noise (N, 64) and digits (N,) to (N, 28, 28) in [0, 1].

    Dense layers make 7×7 maps, transposed convolutions double them twice; a 1×1 convolution draws
    a sketch from the maps of each coarser size, and all three are added.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.class_vectors = nn.Embedding(10, 64, rng=rng)
        self.start = nn.Sequential(
            nn.Linear(128, 256, bias=False, rng=rng),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, 32 * 49, bias=False, rng=rng),
            _Maps(32, 7, 7),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        double = nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1, bias=False, rng=rng)
        self.middle = nn.Sequential(double, nn.BatchNorm2d(16), nn.ReLU())
        self.sketches = [nn.Conv2d(32, 1, 1, rng=rng), nn.Conv2d(16, 1, 1, rng=rng)]
        self.fine = nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1, rng=rng)

    def forward(self, noise: Array, digit: NDArray[np.int64]) -> Array:
        vectors = np.concatenate([self.class_vectors(digit), noise], axis=1)  # (N, 128)
        small = self.start(vectors)  # (N, 32, 7, 7)
        middle = self.middle(small)  # (N, 16, 14, 14)
        parts = [self.sketches[0](small), self.sketches[1](middle), self.fine(middle)]
        return sigmoid(sum(_enlarged(part[:, 0]) for part in parts))


class _Maps(nn.Module):
    """(N, channels · height · width) to (N, channels, height, width), as torch.nn.Unflatten."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return x.reshape(len(x), *self.shape)


def _enlarged(images: Array) -> Array:
    """Images (N, H, W) to (N, 28, 28), bilinear."""
    large = [Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image) for image in large])


BUILDERS: Mapping[str, Callable[[np.random.Generator], Any]] = {
    "digit_mlp": digit_mlp,
    "small_digit_cnn": small_digit_cnn,
    "pair_joint": lambda rng: pair_cnn(100, rng),
    "pair_heads": lambda rng: pair_cnn(20, rng),
    "doodle_gru": lambda rng: DoodleReader(96, rng),
    "digit_generator": DigitGenerator,
}


def stored(name: str) -> Any:
    """A network of ``BUILDERS`` with its stored weights, ready to answer.

    Raises KeyError and ValueError as ``utils.models.load`` does.
    """
    model = BUILDERS[name](np.random.default_rng(0))
    model.load_state_dict(models.load(name))
    return model.eval()
