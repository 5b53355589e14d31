"""Convolution and transposed convolution of images.

    y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] · x[n, c, s·i + d·u − p, s·j + d·v − p]

with stride s, dilation d and padding p. Write the pixels under each place of the kernel as a column
of a matrix (im2col) and this is a matrix product, y = W · columns(x): linear in x and in W. Three
functions say it all: ``convolve``, its transpose with respect to x, and its gradient with respect
to W. A transposed convolution is the same layer with the first two exchanged (Dumoulin and Visin
2016, arXiv 1603.07285, chapter 4).

Columns hold each pixel kh · kw times, so they are made for a few images at a time: the memory stays
small, and the matrix product finds them in the processor's cache.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from utils.nn.init import uniform
from utils.nn.module import Array, Module
from utils.nn.windows import Padding, Size, Window, borders, pair, tiles


def convolve(x: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """y = W · columns(x) + b: images (N, C, H, W), weight (groups, O, K) → (N, groups·O, Ho, Wo).

    O counts the outputs of one group; K = C/groups · kh · kw.
    """
    y = np.empty((len(x), *weight.shape[:2], *window.output), x.dtype)
    flat = _flat(y, len(weight))
    for images, columns in _column_tiles(x, len(weight), window):
        np.matmul(weight, columns, out=flat[images])
        if bias is not None:
            flat[images] += bias.reshape(*weight.shape[:2], 1)
    return y.reshape(len(x), -1, *window.output)


def convolve_transposed(y: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """x = Σ_places Wᵀ · y + b: (N, groups·O, Ho, Wo), weight (groups, O, K) → (N, C, H, W)."""
    flat, transposed = _flat(y, len(weight)), weight.swapaxes(1, 2)
    channels = weight.shape[0] * weight.shape[2] // (window.kernel[0] * window.kernel[1])
    x = np.empty((len(y), channels, *window.size), y.dtype)
    for images, buffer in _rooms(len(y), (*transposed.shape[:2], flat.shape[3]), y.dtype):
        columns = np.matmul(transposed, flat[images], out=buffer)  # (n, groups, K, places)
        x[images] = _add_columns(columns, channels, window)
        if bias is not None:
            x[images] += bias[:, None, None]
    return x


def weight_gradient(x: Array, y: Array, weight: Array, window: Window) -> Array:
    """dW = Σ_n y · columns(x)ᵀ: (N, C, H, W) and (N, groups·O, Ho, Wo) → (groups, O, K).

    Summed as its transpose, columns(x) · yᵀ: that matrix product is a third faster.
    """
    flat, transposed = _flat(y, len(weight)), np.zeros_like(weight.swapaxes(1, 2))
    for images, columns in _column_tiles(x, len(weight), window):
        transposed += np.matmul(columns, flat[images].swapaxes(2, 3)).sum(axis=0)
    return transposed.swapaxes(1, 2)


def _flat(y: Array, groups: int) -> Array:
    """(N, groups, O, places) from (N, …, Ho, Wo)."""
    return y.reshape(len(y), groups, -1, y.shape[-2] * y.shape[-1])


def _rooms(images: int, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[tuple[slice, Array]]:
    """Slices of a batch, each with room for an array of that shape an image; one room for all."""
    slices = tiles(images, math.prod(shape))
    room = np.empty((slices[0].stop, *shape), dtype)
    for some in slices:
        yield some, room[: some.stop - some.start]


def _column_tiles(x: Array, groups: int, window: Window) -> Iterator[tuple[slice, Array]]:
    """Slices of a batch (N, C, H, W), each with its columns (n, groups, K, places)."""
    views = window.views(window.pad(x))  # (N, C, kh, kw, Ho, Wo)
    for images, columns in _rooms(len(x), views.shape[1:], x.dtype):
        columns[...] = views[images]
        yield images, _flat(columns, groups)


def _add_columns(columns: Array, channels: int, window: Window) -> Array:
    """Images (n, C, H, W) in which each pixel is the sum of its copies in the columns."""
    padded = np.zeros((len(columns), channels, *window.padded), columns.dtype)
    views = window.views(padded)  # (n, C, kh, kw, Ho, Wo)
    columns = columns.reshape(views.shape)
    for u, v in np.ndindex(window.kernel):
        views[:, :, u, v] += columns[:, :, u, v]
    return window.crop(padded)


class _Convolution(Module):
    """The arguments and parameters that Conv2d and ConvTranspose2d have in common."""

    def __init__(
        self, channels: tuple[int, int], kernel: Size, stride: Size, dilation: Size, groups: int
    ) -> None:
        if min(*channels, groups) < 1 or any(c % groups for c in channels):
            raise ValueError(f"{self.name}: groups={groups} must divide the channels {channels}.")
        self.in_channels, self.out_channels = channels
        self.groups = groups
        self.kernel_size = pair(self.name, "kernel_size", kernel)
        self.stride = pair(self.name, "stride", stride)
        self.dilation = pair(self.name, "dilation", dilation)

    def _draw(
        self, shape: tuple[int, int], bias: bool, rng: np.random.Generator, dtype: DTypeLike
    ) -> None:
        """Weight (*shape, kh, kw) and bias from U(−1/√n, 1/√n), n = shape[1] · kh · kw."""
        shape = (*shape, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = uniform(shape, bound, rng, dtype)
        self.bias = uniform((self.out_channels,), bound, rng, dtype) if bias else None

    def _operands(self) -> tuple[Array, Array | None]:
        """The weight as one matrix a group, (groups, first axis / groups, K), and the bias."""
        weight = self.weight.data
        matrices = weight.reshape(self.groups, len(weight) // self.groups, -1)
        return matrices, None if self.bias is None else self.bias.data

    def _accumulate(self, images: Array, places: Array, gradient: Array, window: Window) -> None:
        """dW from what lies under the window and at its places, db = Σ gradient."""
        weight = weight_gradient(images, places, self._operands()[0], window)
        self.weight.accumulate(weight.reshape(self.weight.data.shape))
        if self.bias is not None:
            self.bias.accumulate(gradient.sum(axis=(0, 2, 3)))


class Conv2d(_Convolution):
    """Convolution (N, in_channels, H, W) → (N, out_channels, Ho, Wo), as torch.nn.Conv2d.

    Ho = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1; padding "same" keeps the
    size (stride 1 only). weight is (out_channels, in_channels/groups, kh, kw).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__((in_channels, out_channels), kernel_size, stride, dilation, groups)
        self.padding = borders(self.name, padding, self.kernel_size, self.stride, self.dilation)
        self._draw((out_channels, in_channels // groups), bias, rng, dtype)

    def forward(self, x: Array) -> Array:
        """y = W · columns(x) + b."""
        self.check(x, "N", self.in_channels, "H", "W", dtype=self.weight.data.dtype)
        window = Window(x.shape[2:], self.kernel_size, self.stride, self.dilation, *self.padding)
        window.check(self.name)
        self._saved = x, window
        return convolve(x, *self._operands(), window)

    def accumulate(self, gradient: Array) -> None:
        """dW = dy · columns(x)ᵀ, db = Σ dy."""
        x, window = self.saved()
        self.check(gradient, len(x), self.out_channels, *window.output, dtype=x.dtype)
        self._accumulate(x, gradient, gradient, window)

    def backward(self, gradient: Array) -> Array:
        """dx = Wᵀ · dy, added up where the columns came from."""
        self.accumulate(gradient)
        _, window = self.saved()
        return convolve_transposed(gradient, self._operands()[0], None, window)


class ConvTranspose2d(_Convolution):
    """Transposed convolution (N, in_channels, H, W) → (N, out_channels, Ho, Wo), as PyTorch's.

    Ho = (H − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1, and
    output_padding < stride. weight is (in_channels, out_channels/groups, kh, kw).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__((in_channels, out_channels), kernel_size, stride, dilation, groups)
        self.padding = pair(self.name, "padding", padding, 0)
        self.output_padding = pair(self.name, "output_padding", output_padding, 0)
        if any(o >= s for o, s in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(f"{self.name}: output_padding must be less than stride {self.stride}.")
        self._draw((in_channels, out_channels // groups), bias, rng, dtype)

    def forward(self, x: Array) -> Array:
        """y = Wᵀ · x put under the window's places, + b."""
        self.check(x, "N", self.in_channels, "H", "W", dtype=self.weight.data.dtype)
        sizes = self.kernel_size, self.stride, self.dilation
        window = Window.with_places(x.shape[2:], sizes, self.padding, self.output_padding)
        window.check(self.name)
        self._saved = x, window
        return convolve_transposed(x, *self._operands(), window)

    def accumulate(self, gradient: Array) -> None:
        """dW = x · columns(dy)ᵀ, db = Σ dy."""
        x, window = self.saved()
        self.check(gradient, len(x), self.out_channels, *window.size, dtype=x.dtype)
        self._accumulate(gradient, x, gradient, window)

    def backward(self, gradient: Array) -> Array:
        """dx = W · columns(dy)."""
        self.accumulate(gradient)
        _, window = self.saved()
        return convolve(gradient, self._operands()[0], None, window)
