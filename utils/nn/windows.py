"""Windows that slide over images: what convolution and pooling see through them, and where.

A window is a kernel of kh × kw elements, ``dilation`` pixels apart, put down at every
``stride``-th pixel of the padded images. Pairs are (vertical, horizontal) throughout.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Literal, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from utils.nn.module import Array

Pair = tuple[int, int]
Size = int | Pair
Padding = Size | Literal["same"]
TILE = 2**18  # numbers worked on at a time: 1 MB of float32, which stays in the processor's cache


@dataclass(frozen=True)
class Window:
    """A sliding window over images (N, C, H, W) of one ``size`` = (H, W)."""

    size: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    before: Pair  # padding above, padding on the left
    after: Pair  # padding below, padding on the right

    @classmethod
    def with_places(
        cls, places: Pair, shape: tuple[Pair, Pair, Pair], padding: Pair, extra: Pair = (0, 0)
    ) -> Self:
        """The window of (kernel, stride, dilation) that has this many places in its images.

        Several sizes have: the images are the smallest, larger by ``extra`` < stride pixels.
        """
        parts = zip(places, *shape, padding, extra, strict=True)
        size = tuple((n - 1) * s + d * (k - 1) + 1 - 2 * p + e for n, k, s, d, p, e in parts)
        return cls(size, *shape, padding, padding)

    @property
    def padded(self) -> Pair:
        """Size of the images with their padding."""
        return tuple(map(sum, zip(self.before, self.size, self.after, strict=True)))

    @property
    def output(self) -> Pair:
        """Number of places of the window: ⌊(padded − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
        sizes = zip(self.padded, self.dilation, self.kernel, self.stride, strict=True)
        return tuple((p - d * (k - 1) - 1) // s + 1 for p, d, k, s in sizes)

    def check(self, layer: str) -> None:
        """Raises ValueError if the images are smaller than the window, or have no size at all."""
        if min(self.size) < 1:
            raise ValueError(f"{layer}: the output would have the size {self.size}.")
        if min(self.output) < 1:
            raise ValueError(
                f"{layer}: a kernel {self.kernel} with dilation {self.dilation} does not fit into "
                f"images {self.size}, {self.padded} with their padding."
            )

    def pad(self, x: Array, value: float = 0.0) -> Array:
        """Images with a border of ``value``; ``x`` itself where there is no padding."""
        if self.padded == self.size:
            return x
        padded = np.full((*x.shape[:2], *self.padded), value, x.dtype)
        self.crop(padded)[...] = x
        return padded

    def crop(self, padded: Array) -> Array:
        """View (N, C, H, W) of padded images without their border."""
        (top, left), (height, width) = self.before, self.size
        return padded[:, :, top : top + height, left : left + width]

    def views(self, padded: Array) -> Array:
        """View (N, C, kh, kw, Ho, Wo): what element (u, v) of the kernel meets at each place."""
        (sh, sw), (dh, dw), (kh, kw) = self.stride, self.dilation, self.kernel
        span = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
        places = sliding_window_view(padded, span, axis=(2, 3), writeable=True)
        return places[:, :, ::sh, ::sw, ::dh, ::dw].transpose(0, 1, 4, 5, 2, 3)

    def line(self, padded: Array, axis: int, k: int) -> Array:
        """View of what element k of the kernel meets along one axis (2 or 3) alone."""
        step = self.stride[axis - 2]
        first = k * self.dilation[axis - 2]
        places = slice(first, first + step * (self.output[axis - 2] - 1) + 1, step)
        return padded[:, :, places] if axis == 2 else padded[..., places]

    def apart(self, axis: int) -> bool:
        """Whether along this axis (2 or 3) no pixel lies in two windows."""
        i = axis - 2
        return self.stride[i] > self.dilation[i] * (self.kernel[i] - 1)


def tiles(images: int, numbers: int) -> list[slice]:
    """Slices of a batch: as many images at a time as make TILE numbers, at least one."""
    step = max(1, TILE // numbers)
    return [slice(start, min(start + step, images)) for start in range(0, images, step)]


def pair(layer: str, what: str, value: Size, least: int = 1) -> Pair:
    """A size given as one number or as (vertical, horizontal), as a pair.

    Raises ValueError for anything but whole numbers ≥ least.
    """
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(isinstance(n, Integral) and n >= least for n in both):
        raise ValueError(
            f"{layer}: {what} must be a whole number ≥ {least} or two of them; got {value!r}."
        )
    return both


def borders(
    layer: str, padding: Padding, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[Pair, Pair]:
    """Padding before (above, left) and after (below, right).

    "same" pads by dilation·(kernel − 1) in all, which keeps the size; an odd pixel goes after.
    Raises ValueError for "same" with a stride.
    """
    if padding != "same":
        both = pair(layer, "padding", padding, 0)
        return both, both
    if stride != (1, 1):
        raise ValueError(f"{layer}: padding 'same' needs stride 1; got {stride}.")
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    before = tuple(t // 2 for t in total)
    return before, tuple(t - b for t, b in zip(total, before, strict=True))
