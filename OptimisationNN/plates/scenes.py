"""A plate somewhere in a picture: scenes, a small detector, and reading what it has found."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from OptimisationNN.plates.augment import clouds, photographed
from OptimisationNN.plates.drawing import HEIGHT, WIDTH, plate
from OptimisationNN.plates.readers import convolution
from OptimisationNN.plates.texts import Alphabet
from utils.metrics import box_iou
from utils.training import drawing_from

TALL, LONG, CELL = 96, 160, 8  # pixels of a scene, and of a cell of the detector's map


class Scene(NamedTuple):
    """A picture (96, 160, 3), the box (x1, y1, x2, y2) of its plate, and the plate's text."""

    image: NDArray[np.uint8]
    box: NDArray[np.float64]
    text: str


def scene(alphabet: Alphabet, seed: int, index: int, strength: float = 0.5) -> Scene:
    """Scene number ``index``: walls, windows, and one plate of 56 to 120 pixels' width."""
    rng = np.random.default_rng([seed, index])
    image = _surroundings(rng)
    text = alphabet.draw(rng)
    seen = photographed(plate(text), rng, strength)
    width = int(rng.integers(56, 121))
    height = round(width * HEIGHT / WIDTH)
    x, y = int(rng.integers(0, LONG - width + 1)), int(rng.integers(0, TALL - height + 1))
    small = Image.fromarray(seen).resize((width, height), Image.Resampling.BOX)
    image[y : y + height, x : x + width] = np.asarray(small)
    return Scene(image, np.array([x, y, x + width, y + height], float), text)


def _surroundings(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Smooth colours with a few bars and panes, which are as bright and as straight as plates."""
    image = np.stack([255 * clouds(rng, (4, 6), (TALL, LONG)) for _ in range(3)], axis=-1)
    for _ in range(int(rng.integers(3, 9))):
        y, x = rng.integers(0, TALL), rng.integers(0, LONG)
        high, wide = rng.integers(4, 40), rng.integers(4, 60)
        image[y : y + high, x : x + wide] = rng.uniform(0, 255, 3)
    noise = rng.normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def scenes(alphabet: Alphabet, seed: int, count: int) -> tuple[Tensor, Tensor, list[str]]:
    """Images uint8 (N, 3, 96, 160), boxes (N, 4) and texts."""
    found = [scene(alphabet, seed, index) for index in range(count)]
    images = torch.stack([torch.from_numpy(s.image).permute(2, 0, 1) for s in found])
    boxes = torch.from_numpy(np.stack([s.box for s in found])).float()
    return images, boxes, [s.text for s in found]


class Detector(nn.Module):
    """Scenes uint8 (N, 3, 96, 160) to maps (N, 5, 12, 20).

    Of each cell: the logit that a plate's middle is there, and the distances to the plate's left,
    upper, right and lower edge in pixels (FCOS, Tian et al. 2019).
    """

    def __init__(self, generator: torch.Generator, width: int = 64) -> None:
        super().__init__()
        with drawing_from(generator):
            self.body = nn.Sequential(
                convolution(3, 16, pool=(2, 2)),
                convolution(16, 32, pool=(2, 2)),
                convolution(32, width, pool=(2, 2)),
                convolution(width, width),
                convolution(width, width),
                nn.Conv2d(width, 5, 1),
            )

    def forward(self, images: Tensor) -> Tensor:
        scaled = (images.float() / 255 - 0.5).contiguous(memory_format=torch.channels_last)
        maps = self.body(scaled)
        return torch.cat([maps[:, :1], CELL * F.softplus(maps[:, 1:])], dim=1)


def middles() -> Tensor:
    """(x, y) of the middle of each cell: (2, 12, 20)."""
    y, x = torch.meshgrid(torch.arange(TALL // CELL), torch.arange(LONG // CELL), indexing="ij")
    return CELL * (torch.stack([x, y]) + 0.5)


def detector_loss(maps: Tensor, boxes: Tensor) -> Tensor:
    """Cross entropy of “a plate's middle is here”, and 1 − IoU where it is; boxes (N, 4)."""
    x, y = middles()
    edges = boxes[:, :, None, None]
    centre_x, centre_y = (edges[:, 0] + edges[:, 2]) / 2, (edges[:, 1] + edges[:, 3]) / 2
    inside = ((x - centre_x).abs() < CELL) & ((y - centre_y).abs() < 0.75 * CELL)  # (N, 12, 20)
    score = F.binary_cross_entropy_with_logits(
        maps[:, 0], inside.float(), pos_weight=maps.new_tensor(10.0)
    )
    found = boxes_of(maps).permute(0, 2, 3, 1)[inside]
    wanted = edges.expand(-1, -1, *inside.shape[1:]).permute(0, 2, 3, 1)[inside]
    return score + (1 - _iou_of_pairs(found, wanted)).mean()


def boxes_of(maps: Tensor) -> Tensor:
    """Each cell's box (N, 4, 12, 20) as (x1, y1, x2, y2)."""
    centre = middles()
    return torch.cat([centre - maps[:, 1:3], centre + maps[:, 3:5]], dim=1)


def _iou_of_pairs(a: Tensor, b: Tensor) -> Tensor:
    """IoU (P,) of boxes (P, 4) pair by pair, with gradients."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(dim=1) for box in (a, b)]
    return shared / (areas[0] + areas[1] - shared)


class Found(NamedTuple):
    """Boxes (D, 4) in one picture, surest first, with their confidences (D,)."""

    boxes: NDArray[np.float64]
    confidences: NDArray[np.float64]


def detected(maps: Tensor, least: float = 0.05, overlap: float = 0.3) -> list[Found]:
    """What the detector has found in each picture: sure enough, and not covered by a surer one."""
    every = []
    for own, boxes in zip(maps[:, 0].sigmoid().flatten(1), boxes_of(maps).flatten(2), strict=True):
        order = own.argsort(descending=True)
        order = order[own[order] >= least]
        sure, rows = own[order].double().numpy(), boxes[:, order].T.double().numpy()
        kept: list[int] = []
        for row in range(len(rows)):
            if not kept or box_iou(rows[row : row + 1], rows[kept]).max() <= overlap:
                kept.append(row)
        every.append(Found(rows[kept], sure[kept]))
    return every


def cut_out(image: Tensor, box: NDArray[np.float64]) -> Tensor:
    """The part of a scene (3, 96, 160) inside a box, as a plate (3, 30, 140)."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    part = picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=tuple(_clipped(box)))
    return torch.from_numpy(np.array(part)).permute(2, 0, 1)


def _clipped(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """A box inside the scene, at least a pixel wide and high."""
    x1, y1 = np.clip(box[:2], 0, [LONG - 1, TALL - 1])
    x2, y2 = np.clip(box[2:], [x1 + 1, y1 + 1], [LONG, TALL])
    return np.array([x1, y1, x2, y2])
