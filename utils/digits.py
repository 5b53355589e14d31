"""Digit images as tensors: where the ink is, moving it about, and MNIST's own centring.

Images are float tensors (N, 1, H, W) in [0, 1], ink bright on 0, as ``utils.datasets.as_float``
gives them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from utils import centring


def ink_boxes(images: Tensor) -> Tensor:
    """Boxes (N, 4) around the ink: top, left, bottom, right; the last two are exclusive.

    Raises ValueError for an image without ink.
    """
    ink = images > 0
    rows, columns = ink.any(dim=3)[:, 0], ink.any(dim=2)[:, 0]  # (N, H), (N, W)
    if not rows.any(dim=1).all():
        empty = int((~rows.any(dim=1)).nonzero()[0])
        raise ValueError(f"image {empty} is empty: there is no ink to find.")
    ends = [(_first(lines), lines.shape[1] - _first(lines.flip(1))) for lines in (rows, columns)]
    (top, bottom), (left, right) = ends
    return torch.stack([top, left, bottom, right], dim=1)


def _first(lines: Tensor) -> Tensor:
    """Index of the first True in each row."""
    return lines.int().argmax(dim=1)


def positions(images: Tensor) -> Tensor:
    """In how many places (N,) of its frame an image can lie without losing ink.

    (H − height + 1)(W − width + 1) of the ink's box: 81 for a 20×20 box in 28×28.
    """
    top, left, bottom, right = ink_boxes(images).T
    height, width = images.shape[2:]
    return (height - (bottom - top) + 1) * (width - (right - left) + 1)


def shifted(images: Tensor, down: Tensor | int, right: Tensor | int) -> Tensor:
    """Each image moved by whole pixels, one shift for all or one each (N,).

    What leaves the frame is lost, what enters is empty.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height) - torch.as_tensor(down).reshape(-1, 1)  # (N or 1, H)
    columns = torch.arange(width) - torch.as_tensor(right).reshape(-1, 1)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    every = torch.arange(len(images))[:, None, None]
    moved = images[every, 0, (rows % height)[:, :, None], (columns % width)[:, None, :]]
    return (moved * inside)[:, None]


def moved_anywhere(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image in a random place that keeps all its ink in the frame, all equally likely."""
    top, left, bottom, right = ink_boxes(images).T
    height, width = images.shape[2:]
    down = _between(-top, height - bottom, generator)
    return shifted(images, down, _between(-left, width - right, generator))


def _between(low: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
    """A random integer from low to high, both included, for each pair: (N,)."""
    share = torch.rand(len(low), generator=generator)
    return low + (share * (high - low + 1)).long()


def wobbled(
    images: Tensor,
    generator: torch.Generator,
    *,
    degrees: float = 12,
    scale: float = 0.12,
    shear: float = 0.2,
    pixels: float = 2.5,
) -> Tensor:
    """Each image turned, scaled, sheared and moved at random, up to the given amounts.

    Bilinear sampling of x ↦ s·R(a)·x + shear·y + t (Simard et al. 2003 use such distortions).
    """
    amounts = torch.tensor([math.radians(degrees), scale, shear, *[2 * pixels / centring.SIDE] * 2])
    draws = (2 * torch.rand(len(images), 5, generator=generator) - 1) * amounts
    angle, growth, lean, *shift = draws.T
    cosine, sine = (1 + growth) * angle.cos(), (1 + growth) * angle.sin()
    rows = [
        torch.stack([cosine, lean - sine, shift[0]], 1),
        torch.stack([sine, cosine, shift[1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def as_mnist(drawing: Tensor) -> Tensor:
    """``utils.centring.as_mnist`` of a drawing (H, W), as a batch of one: (1, 1, 28, 28)."""
    return torch.from_numpy(centring.as_mnist(drawing.numpy()))[None, None]
