"""Pooling: each window of an image becomes one number, its largest or its mean.

The maximum of a window is the maximum over its rows' maxima, and these are found for all windows
at once by comparing shifted copies of the image: kw − 1 comparisons along the rows and kh − 1 along
the columns. Each comparison leaves a mask of one byte a window, true where the later element was
the larger; the masks lead the gradient back to the element it belongs to. Where several are equally
large that is the first, row by row, as in PyTorch.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from utils.nn.module import Array, Module
from utils.nn.windows import Padding, Pair, Size, Window, borders, pair, tiles

Masks = list[NDArray[np.bool_]]
ROWS, COLUMNS = 2, 3  # axes of images (N, C, H, W)


class MaxPool2d(Module):
    """Largest element of each window: (N, C, H, W) → (N, C, Ho, Wo), as torch.nn.MaxPool2d.

    Ho = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1; padding is with −∞, and
    "same" (stride 1 only; PyTorch has it for Conv2d alone) keeps the size. With ``return_indices``
    forward also returns where each maximum is in its H · W pixels, for MaxUnpool2d.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        return_indices: bool = False,
    ) -> None:
        self.kernel_size = pair(self.name, "kernel_size", kernel_size)
        self.stride = pair(self.name, "stride", kernel_size if stride is None else stride)
        self.dilation = pair(self.name, "dilation", dilation)
        self.padding = borders(self.name, padding, self.kernel_size, self.stride, self.dilation)
        if padding != "same":
            _check_padding(self.name, self.padding[0], self.kernel_size)
        self.return_indices = return_indices

    def forward(self, x: Array) -> Array | tuple[Array, NDArray[np.int64]]:
        """y = max of the maxima of a window's rows."""
        self.check(x, "N", "C", "H", "W")
        window = Window(x.shape[2:], self.kernel_size, self.stride, self.dilation, *self.padding)
        window.check(self.name)
        y, masks = np.empty((*x.shape[:2], *window.output), x.dtype), []
        for images in tiles(len(x), 2 * x[0].size):
            of_rows, along_rows = _maxima(window.pad(x[images], -np.inf), window, COLUMNS)
            y[images], along_columns = _maxima(of_rows, window, ROWS)
            masks.append((images, along_rows, along_columns))
        self._saved = window, y.shape, masks
        return (y, _indices(*self._saved)) if self.return_indices else y

    def backward(self, gradient: Array, *_: None) -> Array:
        """Each window's gradient goes to its largest element."""
        window, shape, masks = self.saved()
        self.check(gradient, *shape)
        x = np.empty((*shape[:2], *window.size), gradient.dtype)
        for images, along_rows, along_columns in masks:
            of_rows = _to_the_largest(gradient[images], along_columns, window, ROWS)
            x[images] = window.crop(_to_the_largest(of_rows, along_rows, window, COLUMNS))
        return x


def _maxima(x: Array, window: Window, axis: int) -> tuple[Array, Masks]:
    """Largest under each place of the kernel along one axis, and where element k = 1, 2, … was it.

    Mask k − 1 is true where element k is larger than all elements before it.
    """
    largest, masks = window.line(x, axis, 0).copy(), []
    for k in range(1, window.kernel[axis - ROWS]):
        element = window.line(x, axis, k)
        masks.append(element > largest)
        np.maximum(largest, element, out=largest)
    return largest, masks


def _to_the_largest(gradient: Array, masks: Masks, window: Window, axis: int) -> Array:
    """Transpose of ``_maxima``: zeros, and each window's gradient at the element that was largest.

    An element that won was larger than all before it, and lost to none after it: so from the last
    to the first, each takes what its mask says of the gradient that is left.
    """
    shape = list(gradient.shape)
    shape[axis] = window.padded[axis - ROWS]
    x = np.zeros(shape, gradient.dtype)
    first, left, apart = window.line(x, axis, 0), gradient, window.apart(axis)
    for k in range(len(masks), 0, -1):
        place = window.line(x, axis, k)
        won = np.multiply(left, masks[k - 1], out=place if apart else None)
        if not apart:
            place += won
        left = np.subtract(left, won, out=first if apart else None)
    if left is not first:
        first += left
    return x


def _at_the_largest(values: NDArray, masks: Masks, window: Window, axis: int) -> NDArray:
    """What stands in ``values``, shaped as the argument of ``_maxima``, where the maxima were."""
    chosen = window.line(values, axis, 0)
    for k, mask in enumerate(masks, start=1):
        chosen = np.where(mask, window.line(values, axis, k), chosen)
    return chosen


def _indices(window: Window, shape: tuple[int, ...], masks: list) -> NDArray[np.int64]:
    """Number i · W + j of the pixel at which each window's maximum lies: (N, C, Ho, Wo)."""
    pixels = window.pad(np.arange(math.prod(window.size)).reshape(1, 1, *window.size))
    indices = np.empty(shape, np.int64)
    for images, along_rows, along_columns in masks:
        of_rows = _at_the_largest(pixels, along_rows, window, COLUMNS)
        indices[images] = _at_the_largest(of_rows, along_columns, window, ROWS)
    return indices


class MaxUnpool2d(Module):
    """Each maximum back where MaxPool2d found it, zeros elsewhere. Its windows must not overlap.

    (N, C, Ho, Wo) → (N, C, H, W), as torch.nn.MaxUnpool2d; H = (Ho − 1)·stride − 2·padding +
    kernel_size unless ``output_size`` = (H, W) says otherwise.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.kernel_size = pair(self.name, "kernel_size", kernel_size)
        self.stride = pair(self.name, "stride", kernel_size if stride is None else stride)
        self.padding = pair(self.name, "padding", padding, 0)

    def forward(self, x: Array, indices: NDArray, output_size: Pair | None = None) -> Array:
        """``indices`` (N, C, Ho, Wo) are those that MaxPool2d returned."""
        self.check(x, "N", "C", "H", "W")
        if output_size is None:
            shape = self.kernel_size, self.stride, (1, 1)
            output_size = Window.with_places(x.shape[2:], shape, self.padding).size
        height, width = output_size
        if indices.shape != x.shape or indices.dtype.kind != "i":
            raise ValueError(
                f"{self.name}: expected integer indices {x.shape}; "
                f"got {indices.dtype} {indices.shape}."
            )
        if indices.min() < 0 or indices.max() >= height * width:
            raise IndexError(
                f"{self.name}: indices must lie in 0 … {height * width - 1}, the pixels of "
                f"({height}, {width}); found {indices.min()} … {indices.max()}."
            )
        y = np.zeros((*x.shape[:2], height * width), x.dtype)
        np.put_along_axis(y, _flat(indices), _flat(x), axis=2)
        self._saved = indices, (*x.shape[:2], height, width)
        return y.reshape(*x.shape[:2], height, width)

    def backward(self, gradient: Array) -> Array:
        """dx is what stands at the indices."""
        indices, shape = self.saved()
        self.check(gradient, *shape)
        return np.take_along_axis(_flat(gradient), _flat(indices), axis=2).reshape(indices.shape)


class AvgPool2d(Module):
    """Mean of each window: (N, C, H, W) → (N, C, Ho, Wo), as torch.nn.AvgPool2d.

    Ho = ⌊(H + 2·padding − kernel_size) / stride⌋ + 1; the zeros of the padding count.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.kernel_size = pair(self.name, "kernel_size", kernel_size)
        self.stride = pair(self.name, "stride", kernel_size if stride is None else stride)
        self.padding = pair(self.name, "padding", padding, 0)
        _check_padding(self.name, self.padding, self.kernel_size)

    def forward(self, x: Array) -> Array:
        """y = Σ window / (kh · kw)."""
        self.check(x, "N", "C", "H", "W")
        sizes = self.kernel_size, self.stride, (1, 1)
        window = Window(x.shape[2:], *sizes, self.padding, self.padding)
        window.check(self.name)
        self._saved = window, (*x.shape[:2], *window.output)
        views = window.views(window.pad(x))  # (N, C, kh, kw, Ho, Wo)
        total = sum(views[:, :, u, v] for u, v in np.ndindex(window.kernel))
        return total / x.dtype.type(np.prod(window.kernel))

    def backward(self, gradient: Array) -> Array:
        """Each pixel of a window gets dy / (kh · kw)."""
        window, shape = self.saved()
        self.check(gradient, *shape)
        share = gradient / gradient.dtype.type(np.prod(window.kernel))
        x = np.zeros((*shape[:2], *window.padded), gradient.dtype)
        views = window.views(x)  # (N, C, kh, kw, Ho, Wo)
        for u, v in np.ndindex(window.kernel):
            views[:, :, u, v] += share
        return window.crop(x)


class AdaptiveAvgPool2d(Module):
    """Means over a grid of ``output_size`` cells: (N, C, H, W) → (N, C, Ho, Wo), as PyTorch's.

    Cell i spans the rows ⌊i · H / Ho⌋ … ⌈(i + 1) · H / Ho⌉ − 1, and so do the columns.
    """

    def __init__(self, output_size: Size) -> None:
        self.output_size = pair(self.name, "output_size", output_size)

    def forward(self, x: Array) -> Array:
        """y = R · x · Cᵀ, where R (Ho, H) averages the rows of each cell and C (Wo, W) columns."""
        self.check(x, "N", "C", "H", "W")
        sizes = zip(x.shape[2:], self.output_size, strict=True)
        rows, columns = (_averages(size, cells, x.dtype) for size, cells in sizes)
        self._saved = rows, columns, (*x.shape[:2], *self.output_size)
        return rows @ x @ columns.T

    def backward(self, gradient: Array) -> Array:
        """dx = Rᵀ · dy · C."""
        rows, columns, shape = self.saved()
        self.check(gradient, *shape)
        return rows.T @ gradient @ columns


class AdaptiveMaxPool2d(Module):
    """Maxima over a grid of ``output_size`` cells: (N, C, H, W) → (N, C, Ho, Wo), as PyTorch's.

    The cells are those of AdaptiveAvgPool2d.
    """

    def __init__(self, output_size: Size) -> None:
        self.output_size = pair(self.name, "output_size", output_size)

    def forward(self, x: Array) -> Array:
        """y = max of a cell."""
        self.check(x, "N", "C", "H", "W")
        numbers = np.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2:])  # of the pixels
        indices = np.empty((*x.shape[:2], *self.output_size), np.int64)
        for i, rows in enumerate(_cells(x.shape[2], self.output_size[0])):
            for j, columns in enumerate(_cells(x.shape[3], self.output_size[1])):
                largest = _flat(x[:, :, rows, columns]).argmax(axis=2)  # (N, C)
                indices[:, :, i, j] = numbers[rows, columns].ravel()[largest]
        self._saved = indices, x.shape
        return np.take_along_axis(_flat(x), _flat(indices), axis=2).reshape(indices.shape)

    def backward(self, gradient: Array) -> Array:
        """Each cell's gradient goes to its largest element; cells may overlap, so it is added."""
        indices, shape = self.saved()
        self.check(gradient, *indices.shape)
        x = np.zeros((shape[0] * shape[1], shape[2] * shape[3]), gradient.dtype)
        images = np.arange(len(x))[:, None]
        np.add.at(x, (images, indices.reshape(len(x), -1)), gradient.reshape(len(x), -1))
        return x.reshape(shape)


class SpatialPyramidPool(Module):
    """Images of any size to vectors of one length: (N, C, H, W) → (N, C · Σ level²).

    Maxima over grids of level × level cells, flattened and joined, the first level first (He,
    Zhang, Ren and Sun 2014, arXiv 1406.4729, section 2.2).
    """

    def __init__(self, levels: Sequence[int] = (1, 2, 4)) -> None:
        if not levels:
            raise ValueError(f"{self.name}: give at least one level.")
        self.pools = [AdaptiveMaxPool2d(level) for level in levels]

    def forward(self, x: Array) -> Array:
        """The levels' maxima side by side."""
        return np.concatenate([pool(x).reshape(len(x), -1) for pool in self.pools], axis=1)

    def backward(self, gradient: Array) -> Array:
        """The sum of the levels' gradients."""
        shapes = [pool.saved()[0].shape for pool in self.pools]
        ends = np.cumsum([np.prod(shape[1:]) for shape in shapes])
        self.check(gradient, shapes[0][0], int(ends[-1]))
        parts = zip(self.pools, np.split(gradient, ends[:-1], axis=1), shapes, strict=True)
        return sum(pool.backward(part.reshape(shape)) for pool, part, shape in parts)


def _check_padding(layer: str, padding: Pair, kernel: Pair) -> None:
    """Raises ValueError where a window could lie in the padding alone."""
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{layer}: padding {padding} is more than half of the kernel {kernel}.")


def _flat(images: NDArray) -> NDArray:
    """(N, C, H, W) → (N, C, H · W)."""
    return images.reshape(*images.shape[:2], -1)


def _cells(size: int, cells: int) -> list[slice]:
    """Cell i of a line of ``size`` pixels: ⌊i · size / cells⌋ … ⌈(i + 1) · size / cells⌉ − 1."""
    return [slice(i * size // cells, -(-(i + 1) * size // cells)) for i in range(cells)]


def _averages(size: int, cells: int, dtype: np.dtype) -> Array:
    """Matrix (cells, size) whose product with a line of pixels is the mean of each cell."""
    matrix = np.zeros((cells, size), dtype)
    for i, cell in enumerate(_cells(size, cells)):
        matrix[i, cell] = 1 / (cell.stop - cell.start)
    return matrix
