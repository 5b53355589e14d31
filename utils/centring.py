"""MNIST's own form of a digit: 20 pixels large, its centre of mass in the middle. NumPy alone."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, BOX = 28, 20  # MNIST: a 28×28 frame around digits scaled to fit 20×20


def as_mnist(drawing: NDArray[np.floating]) -> NDArray[np.float32]:
    """A drawing (H, W) of any size, ink bright on 0, as MNIST would hold it: (28, 28) in [0, 1].

    The ink's box is scaled, its shape kept, to fit 20×20, and placed so that the centre of mass
    of the ink lies on pixel (14, 14), counted from 0, of the 28×28 frame (LeCun et al. 1998,
    section III.A; in MNIST's own files its mean is 14.0). Raises ValueError for an empty drawing.
    """
    ink = drawing[ink_slices(drawing)]
    height, width = (max(1, round(side * BOX / max(ink.shape))) for side in ink.shape)
    picture = Image.fromarray(np.ascontiguousarray(ink, dtype=np.float32))
    small = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    rows, columns = (slice(start, start + n) for start, n in _places(small))
    frame = np.zeros((SIDE, SIDE), dtype=np.float32)
    frame[rows, columns] = small
    return frame


def ink_slices(drawing: NDArray) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around the ink. Raises ValueError without ink."""
    ink = drawing > 0
    lines = [np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0)]
    if not len(lines[0]):
        raise ValueError("this drawing is empty: there is no ink to find.")
    return tuple(slice(int(some[0]), int(some[-1]) + 1) for some in lines)


def _places(image: NDArray[np.float32]) -> list[tuple[int, int]]:
    """First row and first column in the frame, each with the size of the image."""
    ink = image.astype(np.float64) / image.sum(dtype=np.float64)
    centres = ink.sum(axis=1) @ np.arange(len(ink)), ink.sum(axis=0) @ np.arange(len(ink.T))
    starts = [round(SIDE / 2 - float(centre)) for centre in centres]
    return [(min(max(s, 0), SIDE - n), n) for s, n in zip(starts, image.shape, strict=True)]
