"""What happens to a plate before a camera sees it: ten changes, each alone or all together.

Each is a pure function of an image uint8 (H, W, 3), a generator and a strength: 0 leaves the image
as it is, 1 is the most that the archive (SemyonKim/Neural-Network-Exercises) allows for the changes
that it has, which are seven of the ten; up to 4 a plate is still a plate, if one that nobody can
read. Sizes in pixels are those of a plate of 140 × 30.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, special

Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator, float], Picture]
Strength = float | Mapping[str, float]  # one for all changes, or one by name (others 0)

NORMAL = special.ndtri((np.arange(256) + 0.5) / 256).astype(np.float32)  # 256 quantiles: fast


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
    down, right = (
        _grown(rough, image.shape[:2]) * strength for rough in rng.uniform(-1, 1, (2, 4, 10))
    )
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    return _between(image, rows + down, columns + right)


def smudged(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Dirt: brown clouds that cover up to half of the light."""
    dirt = clouds(rng, (5, 18), image.shape[:2])
    most = min(1, 0.5 * strength * rng.random())
    cover = most * np.clip(2 * dirt - 0.6, 0, 1)[..., None]
    return _bytes(image * (1 - cover) + cover * np.array([70, 55, 40], np.float32))


def blended(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """A reflection of the surroundings: another picture shines through, by up to 0.4."""
    light = 255 * clouds(rng, (3, 8), image.shape[:2])[..., None]
    share = min(1, 0.4 * strength * rng.random())
    tint = rng.uniform(0.7, 1, 3).astype(np.float32)
    return _bytes((1 - share) * image.astype(np.float32) + share * light * tint)


def blurred(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Out of focus: a Gaussian of a standard deviation of up to 0.6 pixels."""
    sigma = 0.6 * strength * rng.random()
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest")


def moved(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Motion blur: the mean over a straight way of up to 3 pixels, in any direction."""
    length, angle = 3 * strength * rng.random(), rng.uniform(0, np.pi)
    reach = int(length / 2) + 1
    steps = np.linspace(-length / 2, length / 2, 7)
    way = _spread(steps * np.sin(angle), steps * np.cos(angle), reach)
    wide = np.pad(image.astype(np.float32), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = image.shape[:2]
    parts = (way[i, j] * wide[i : i + height, j : j + width] for i, j in np.argwhere(way > 1e-6))
    return _bytes(sum(parts))


def _spread(down: NDArray, right: NDArray, reach: int) -> NDArray[np.float32]:
    """Points (n,) as weights around the middle, each shared by its four neighbours; their sum is 1.

    Shape (1 + 2 · reach, 1 + 2 · reach).
    """
    places = np.arange(-reach, reach + 1)
    by_row, by_column = (np.clip(1 - abs(p[:, None] - places), 0, 1) for p in (down, right))
    return (by_row.T @ by_column / len(down)).astype(np.float32)


def noisy(image: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Sensor noise with a standard deviation of up to 15 grey values, also on white.

    The archive scales its noise by 255 − maximum, which is 0 on a white plate.
    """
    spread = 15 * strength * rng.random()
    return _bytes(image + spread * NORMAL[rng.integers(0, 256, image.shape, np.uint8)])


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
    middle = [rng.uniform(0, size) for size in image.shape[:2]]
    radius = strength * rng.uniform(1, 4)
    near = tuple(slice(max(0, int(m - radius)), int(m + radius) + 1) for m in middle)
    spot = image[near]
    rows, columns = (
        np.arange(n) + part.start - m for n, part, m in zip(spot.shape, near, middle, strict=False)
    )
    inside = np.clip(radius - np.hypot(rows[:, None], columns), 0, 1)[..., None]
    seen = image.copy()
    seen[near] = _bytes(spot * (1 - inside) + inside * rng.uniform(110, 230))
    return seen


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
    strength: Strength = 1.0,
) -> Picture:
    """All changes one after the other."""
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
    a, b, c, d, e, f, g, h = homography(corners, _corners(height, width))
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5  # middles of pixels
    far = g * x + h * y + 1
    return _between(image, (d * x + e * y + f) / far - 0.5, (a * x + b * y + c) / far - 0.5)


def _between(image: Picture, rows: NDArray, columns: NDArray) -> Picture:
    """Colours at places (H, W) between pixels, bilinear; outside, those of the edge."""
    height, width = image.shape[:2]
    y = rows.astype(np.float32).clip(0, height - 1).ravel()
    x = columns.astype(np.float32).clip(0, width - 1).ravel()
    top, left = np.minimum(y.astype(int), height - 2), np.minimum(x.astype(int), width - 2)
    down, right = y - top.astype(np.float32), x - left.astype(np.float32)
    channels = image.reshape(-1, 3).T.astype(np.float32)  # (3, H · W): fast along the last axis
    first = top * width + left
    a, b, c, d = (channels.take(first + step, axis=1) for step in (0, 1, width, width + 1))
    upper, lower = a + right * (b - a), c + right * (d - c)
    seen = _bytes(upper + down * (lower - upper))
    return np.ascontiguousarray(seen.T).reshape(image.shape)


def homography(source: NDArray, target: NDArray) -> NDArray[np.float64]:
    """(a … h) of x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (gx + hy + 1).

    The projective map that takes four points (4, 2) of ``source`` to those of ``target``.
    """
    rows, wanted = [], target.ravel()
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return np.linalg.solve(np.array(rows), wanted)
