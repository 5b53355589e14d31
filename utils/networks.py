"""Networks that more than one topic uses. Each takes a generator for its first weights."""

import torch
from torch import nn

from utils.training import channels_last, drawing_from


def digit_cnn(generator: torch.Generator, dropout: float = 0.2) -> nn.Sequential:
    """The course's digit reader: (N, 1, 28, 28) in [0, 1] to logits (N, 10).

    Convolutions 5×5×24, twice 3×3×64 and twice 3×3×128, each with BatchNorm and ReLU, halved by
    pooling after the first and the third; the strongest answer of each of the 128 filters, and
    one linear layer.
    """
    with drawing_from(generator):
        layers = nn.Sequential(
            *_convolution(1, 24, 5),
            nn.MaxPool2d(2),  # (N, 24, 14, 14)
            *_convolution(24, 64),
            *_convolution(64, 64),
            nn.MaxPool2d(2),  # (N, 64, 7, 7)
            *_convolution(64, 128),
            *_convolution(128, 128),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),  # (N, 128)
            nn.Dropout(dropout),
            nn.Linear(128, 10),
        )
    return channels_last(layers)


def small_cnn(generator: torch.Generator) -> nn.Sequential:
    """A small digit reader, layer by layer as an archive ships one: (N, 1, 28, 28) to (N, 10).

    Convolutions 3×3 with 16, 32 and 64 filters, each with ReLU and halved by pooling, and a dense
    layer of 64 (semenshestakov/NeuralNetwork_MNIST, "Model ex2ep CNN64").
    """
    with drawing_from(generator):
        layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (N, 16, 14, 14)
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (N, 32, 7, 7)
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (N, 64, 3, 3)
            *(nn.Flatten(), nn.Dropout(0.15), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10)),
        )
    return channels_last(layers)


def _convolution(inputs: int, outputs: int, size: int = 3) -> tuple[nn.Module, ...]:
    """Convolution that keeps height and width, BatchNorm (which has the bias), ReLU."""
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
