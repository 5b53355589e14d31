"""What happens to a plate before a camera sees it: ten changes, each alone or all together.

Each is a pure function of an image uint8 (H, W, 3), a generator and a strength: 0 leaves the image
as it is, 1 is the most that the archive (SemyonKim/Neural-Network-Exercises) allows for the changes
that it has, which are seven of the ten. Sizes in pixels are those of a plate of 140 × 30.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator, float], Picture]


def turned(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Seen from the side: turned in space by up to 20°, as shear; all of it stays in the frame."""
    height, width = image.shape[:2]
    angle = np.deg2rad(20 * strength) * rng.uniform(-1, 1)
    up = np.tan(angle) * height / 2  # pixels that the left edge rises and the right one sinks
    corners = _corners(height, width) * [np.cos(angle), 1] + [[0, up], [0, -up], [0, -up], [0, up]]
    low, high = corners.min(axis=0), corners.max(axis=0)
    return _seen(image, (corners - low) / (high - low) * [width, height]) if strength else image


def shifted_corners(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """A random perspective: each corner moves by up to 5 pixels of 112, as the archive's do."""
    height, width = image.shape[:2]
    far = 5 * strength * height / 112 * rng.uniform(-1, 1, (4, 2))
    return _seen(image, _corners(height, width) + far) if strength else image


def dented(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """A local distortion: smooth displacements of up to a pixel."""
    if not strength:
        return image
    height, width = image.shape[:2]
    rough = rng.uniform(-1, 1, (2, 4, 10))
    moves = [_grown(some, (height, width)) * strength for some in rough]
    rows, columns = np.mgrid[:height, :width]
    places = [rows + moves[0], columns + moves[1]]
    channels = [
        ndimage.map_coordinates(image[..., c], places, order=1, mode="nearest") for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def smudged(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Dirt: brown clouds that cover up to half of the light."""
    dirt = clouds(rng, (5, 18), image.shape[:2])
    cover = 0.5 * strength * rng.random() * np.clip(2 * dirt - 0.6, 0, 1)[..., None]
    return _bytes(image * (1 - cover) + cover * np.array([70, 55, 40]))


def blended(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """A reflection of the surroundings: another picture shines through, by up to 0.4."""
    light = 255 * clouds(rng, (3, 8), image.shape[:2])[..., None]
    share = 0.4 * strength * rng.random()
    return _bytes((1 - share) * image + share * light * rng.uniform(0.7, 1, 3))


def blurred(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Out of focus: a Gaussian of a standard deviation of up to 0.6 pixels."""
    sigma = 0.6 * strength * rng.random()
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest")


def moved(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Motion blur: the mean over a straight way of up to 3 pixels, in any direction."""
    length, angle = 3 * strength * rng.random(), rng.uniform(0, np.pi)
    steps = np.linspace(-length / 2, length / 2, 7)
    way = _spread(steps * np.sin(angle), steps * np.cos(angle))  # (7, 7), sum 1
    wide = np.pad(image.astype(np.float32), ((3, 3), (3, 3), (0, 0)), mode="edge")
    height, width = image.shape[:2]
    parts = (way[i, j] * wide[i : i + height, j : j + width] for i, j in np.argwhere(way))
    return _bytes(sum(parts))


def _spread(down: NDArray, right: NDArray) -> NDArray[np.float32]:
    """Points (n,) as weights (7, 7) around the middle, each shared by its four neighbours."""
    weights = np.zeros((7, 7), np.float32)
    for y, x in zip(down + 3, right + 3, strict=True):
        i, j = int(y), int(x)
        share = np.outer([1 - (y - i), y - i], [1 - (x - j), x - j])
        weights[i : i + 2, j : j + 2] += share / len(down)
    return weights


def noisy(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Sensor noise with a standard deviation of up to 15 grey values, also on white.

    The archive scales its noise by 255 − maximum, which is 0 on a white plate.
    """
    spread = 15 * strength * rng.random()
    return _bytes(image + spread * rng.standard_normal(image.shape, dtype=np.float32))


def lit(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Light from one side: the darkest corner loses up to half of it."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * np.linspace(-1, 1, width)
    ramp = across + np.sin(angle) * np.linspace(-1, 1, height)[:, None]
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    return _bytes(image * (1 - 0.5 * strength * rng.random() * ramp[..., None]))


def covered(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Snow or mud: a round spot of up to 4 pixels' radius, at most half as dark as the letters."""
    height, width = image.shape[:2]
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    radius = strength * rng.uniform(1, 4)
    rows, columns = np.ogrid[:height, :width]
    inside = np.clip(radius - np.hypot(rows - y, columns - x), 0, 1)[..., None]
    return _bytes(image * (1 - inside) + inside * rng.uniform(110, 230))


CHANGES: Mapping[str, Change] = {
    change.__name__: change
    for change in (
        *(smudged, covered, blended, turned, shifted_corners, dented),  # what is before the lens
        *(lit, blurred, moved, noisy),  # what light and camera do
    )
}


def photographed(
    image: Picture,
    rng: np.random.Generator,
    strength: float | Mapping[str, float] = 1.0,
) -> Picture:
    """All changes one after the other; ``strength`` is one for all, or one by name (others 0)."""
    for name, change in CHANGES.items():
        own = strength if isinstance(strength, int | float) else strength.get(name, 0.0)
        image = change(image, rng, own)
    return image


def _bytes(values: NDArray) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def clouds(
    rng: np.random.Generator, cells: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """A smooth surface of this shape from ``cells`` random numbers, about 0 to 1."""
    return _grown(rng.random(cells), shape)


def _grown(rough: NDArray, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A few random numbers as a smooth surface of this shape."""
    small = Image.fromarray(rough.astype(np.float32))
    return np.asarray(small.resize(shape[::-1], Image.Resampling.BICUBIC))


def _corners(height: int, width: int) -> NDArray[np.float64]:
    """(x, y) of the corners: top left, top right, bottom right, bottom left."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=float)


def _seen(image: Picture, corners: NDArray[np.float64]) -> Picture:
    """The image with its corners moved there; what lies outside is the colour of its edge."""
    height, width = image.shape[:2]
    wide = np.pad(image, ((height, height), (width, width), (0, 0)), mode="edge")
    coefficients = homography(corners, _corners(height, width) + [width, height])
    way = Image.Transform.PERSPECTIVE
    seen = Image.fromarray(wide).transform(
        (width, height), way, coefficients.tolist(), Image.Resampling.BILINEAR
    )
    return np.asarray(seen)


def homography(source: NDArray, target: NDArray) -> NDArray[np.float64]:
    """(a … h) of x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (gx + hy + 1).

    The projective map that takes four points (4, 2) of ``source`` to those of ``target``.
    """
    rows, wanted = [], target.ravel()
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return np.linalg.solve(np.array(rows), wanted)
