"""Pooling against finite differences, PyTorch and plain loops over the windows."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gradients import check_gradients, compare_with_torch
from utils.nn.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    MaxPool2d,
    MaxUnpool2d,
    SpatialPyramidPool,
)

torch.set_num_threads(1)
checked = settings(derandomize=True, deadline=None, max_examples=100, database=None)


def pairs(low: int, high: int) -> st.SearchStrategy:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def poolings(draw, dilated: bool = True) -> tuple[dict, tuple]:
    """Arguments of a pooling layer, and the shape of images that it can read.

    No window lies in the padding alone, as one can where an image is smaller than the dilation:
    PyTorch's backward then writes outside its memory.
    """
    kernel, stride = draw(pairs(1, 4)), draw(st.none() | pairs(1, 4))
    dilation = draw(pairs(1, 3)) if dilated else (1, 1)
    span = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    least = [max(d, s - 2 * p) for d, s, p in zip(dilation, span, padding, strict=True)]
    size = [n + draw(st.integers(0, 5)) for n in least]
    options = {"kernel_size": kernel, "stride": stride, "padding": padding}
    if dilated:
        options["dilation"] = dilation
    return options, (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size)


def images(*shape: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype(dtype)


def with_ties(*shape: int) -> np.ndarray:
    """Images of the numbers −1, 0 and 1: most windows have several largest elements."""
    return np.random.default_rng(8).integers(-1, 2, shape).astype(float)


def largest(x: np.ndarray, kernel: int, stride: int) -> list[tuple[tuple, tuple]]:
    """(place, pixel) of the first largest element of each window, by looking at each in turn."""
    height, width = ((n - kernel) // stride + 1 for n in x.shape[2:])
    found = []
    for n, c, i, j in np.ndindex(*x.shape[:2], height, width):
        rows, columns = np.indices((kernel, kernel)).reshape(2, -1)
        pixels = [
            (n, c, i * stride + u, j * stride + v) for u, v in zip(rows, columns, strict=True)
        ]
        found.append(((n, c, i, j), max(pixels, key=lambda pixel: x[pixel])))
    return found


# --- maxima --------------------------------------------------------------------------------------


@checked
@given(poolings(), st.booleans(), st.booleans())
def test_max_pooling_equals_that_of_torch(case, return_indices, ties):
    """Ties too: PyTorch gives the gradient, and the index, to the first in row order."""
    options, shape = case
    options |= {"return_indices": return_indices}
    x = with_ties(*shape) if ties else images(*shape)
    rng = np.random.default_rng(1)
    compare_with_torch(MaxPool2d(**options), torch.nn.MaxPool2d(**options), x, rng=rng)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": 4, "stride": 1, "padding": "same"},
        {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "dilation": (1, 2)},
        {"kernel_size": 2, "return_indices": True},
    ],
)
def test_max_pooling_has_the_gradient_of_finite_differences(options):
    check_gradients(MaxPool2d(**options), images(2, 3, 7, 6), rng=np.random.default_rng(2))


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 1), (3, 2), (2, 3)])
@pytest.mark.parametrize("draw", [images, with_ties])
def test_max_pooling_is_the_first_largest_of_each_window(kernel, stride, draw):
    x = draw(2, 2, 7, 8)
    layer = MaxPool2d(kernel, stride)
    y = layer(x)
    gradient = np.random.default_rng(3).normal(size=y.shape)
    expected = np.zeros_like(x)
    for place, pixel in largest(x, kernel, stride):
        assert y[place] == x[pixel]
        expected[pixel] += gradient[place]
    np.testing.assert_allclose(layer.backward(gradient), expected, rtol=1e-12, atol=1e-14)


def test_of_equal_elements_one_gets_the_whole_gradient():
    layer = MaxPool2d(2)
    layer(np.array([[[[0.0, 5], [5, 5]]]]))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1, 1)))[0, 0], [[0, 1], [0, 0]])


@pytest.mark.parametrize("kernel", [1, 2, 4, (3, 4)])
def test_same_padding_keeps_the_size_and_an_odd_pixel_goes_below_and_right(kernel):
    x = images(2, 3, 8, 9)
    y = MaxPool2d(kernel, stride=1, padding="same")(x)
    assert y.shape == MaxPool2d(kernel, 1, "same", dilation=2)(x).shape == x.shape
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    borders = ((kw - 1) // 2, kw // 2, (kh - 1) // 2, kh // 2)  # left, right, above, below
    padded = torch.nn.functional.pad(torch.tensor(x), borders, value=-np.inf)
    np.testing.assert_array_equal(y, torch.nn.functional.max_pool2d(padded, (kh, kw), 1))


def test_the_pooling_of_one_pixel_is_a_copy():
    x = images(1, 1, 2, 2)
    assert not np.shares_memory(MaxPool2d(1)(x), x)


# --- faults of the system that this library replaces ---------------------------------------------


@pytest.mark.parametrize(("kernel", "stride"), [(4, 1), (2, 2), (3, 2)])
def test_the_gradient_of_max_pooling_correlates_with_the_truth(kernel, stride):
    """It took NCHW for NHWC: a correlation of −0.06 at stride 1, and an error at stride 2."""
    x = images(2, 3, 9, 8)
    layer = MaxPool2d(kernel, stride)
    gradient = np.random.default_rng(4).normal(size=layer(x).shape)
    h = 1e-6
    truth = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        truth[i] = np.sum(gradient * (layer(x + step) - layer(x - step))) / (2 * h)
    layer(x)
    ours = layer.backward(gradient)
    assert np.corrcoef(ours.ravel(), truth.ravel())[0, 1] == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(ours, truth, rtol=1e-7, atol=1e-7)


# --- unpooling -----------------------------------------------------------------------------------


@checked
@given(pairs(1, 3), pairs(0, 1), pairs(1, 4), st.booleans())
def test_unpooling_equals_that_of_torch(kernel, padding, places, given_size):
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    size = [max(1, n * k - 2 * p) for n, k, p in zip(places, kernel, padding, strict=True)]
    pool = MaxPool2d(kernel, padding=padding, return_indices=True)
    y, indices = pool(images(2, 3, *size))
    theirs = torch.nn.MaxUnpool2d(kernel, padding=padding)
    inputs = (y, indices, size) if given_size else (y, indices)
    rng = np.random.default_rng(5)
    compare_with_torch(MaxUnpool2d(kernel, padding=padding), theirs, *inputs, rng=rng)


def test_unpooling_has_the_gradient_of_finite_differences():
    y, indices = MaxPool2d(2, return_indices=True)(images(2, 3, 6, 4))
    check_gradients(MaxUnpool2d(2), y, indices, rng=np.random.default_rng(6))


def test_unpooling_puts_each_maximum_back_to_its_place():
    x = images(2, 3, 7, 6)
    y, indices = MaxPool2d(2, return_indices=True)(x)
    back = MaxUnpool2d(2)(y, indices, (7, 6))
    assert ((back == x) | (back == 0)).all()
    assert np.count_nonzero(back) == y.size
    np.testing.assert_array_equal(MaxPool2d(2)(back), np.maximum(y, 0))


@pytest.mark.parametrize(
    ("indices", "error", "sentence"),
    [
        (np.full((1, 1, 2, 2), 16), IndexError, "MaxUnpool2d: indices must lie in 0 … 15"),
        (np.full((1, 1, 2, 2), -1), IndexError, "found -1 … -1"),
        (np.zeros((1, 1, 2, 2)), ValueError, "expected integer indices (1, 1, 2, 2); got float64"),
        (np.zeros((1, 1, 1, 2), int), ValueError, "(1, 1, 1, 2)"),
    ],
)
def test_bad_indices_are_named(indices, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        MaxUnpool2d(2)(images(1, 1, 2, 2), indices)


# --- means and pyramids --------------------------------------------------------------------------


@checked
@given(poolings(dilated=False))
def test_average_pooling_equals_that_of_torch(case):
    options, shape = case
    ours, theirs = AvgPool2d(**options), torch.nn.AvgPool2d(**options)
    compare_with_torch(ours, theirs, images(*shape), rng=np.random.default_rng(9))


@checked
@given(pairs(1, 9), pairs(1, 5), st.booleans(), st.booleans())
def test_adaptive_pooling_equals_that_of_torch(size, cells, maxima, ties):
    """Also where there are more cells than pixels, and where cells overlap."""
    name = "AdaptiveMaxPool2d" if maxima else "AdaptiveAvgPool2d"
    ours = (AdaptiveMaxPool2d if maxima else AdaptiveAvgPool2d)(cells)
    x = with_ties(2, 2, *size) if ties else images(2, 2, *size)
    compare_with_torch(ours, getattr(torch.nn, name)(cells), x, rng=np.random.default_rng(10))


LAYERS = [
    AvgPool2d(2),
    AvgPool2d((3, 2), stride=(2, 1), padding=1),
    AdaptiveAvgPool2d((4, 3)),
    AdaptiveMaxPool2d((4, 3)),
    SpatialPyramidPool((1, 2, 3)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_gradient_is_that_of_finite_differences(layer):
    check_gradients(layer, images(2, 3, 6, 5), rng=np.random.default_rng(11))


class Pyramid(torch.nn.Module):
    """Spatial pyramid pooling of PyTorch's parts."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pools = [torch.nn.functional.adaptive_max_pool2d(x, level) for level in self.levels]
        return torch.cat([pool.flatten(1) for pool in pools], dim=1)


@checked
@given(pairs(1, 9), st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True))
def test_pyramid_pooling_equals_that_of_torch_and_its_length_knows_no_size(size, levels):
    layer, x = SpatialPyramidPool(levels), images(2, 3, *size)
    compare_with_torch(layer, Pyramid(levels), x, rng=np.random.default_rng(12))
    assert layer(x).shape == (2, 3 * sum(n * n for n in levels))


# --- dtype and bad input -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "layer", [MaxPool2d(2), MaxPool2d(3, 1, "same"), *LAYERS], ids=lambda x: x.name
)
def test_the_dtype_is_kept(layer, dtype):
    y = layer(images(2, 3, 6, 5, dtype=dtype))
    assert {y.dtype, layer.backward(y).dtype} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MaxPool2d(0), "MaxPool2d: kernel_size must be a whole number ≥ 1"),
        (lambda: MaxPool2d(2, stride=0), "MaxPool2d: stride must be"),
        (lambda: MaxPool2d(2, padding=2), "padding (2, 2) is more than half of the kernel (2, 2)"),
        (lambda: MaxPool2d(2, padding="same"), "padding 'same' needs stride 1; got (2, 2)."),
        (lambda: AvgPool2d(3, padding=2), "AvgPool2d: padding (2, 2) is more than half"),
        (lambda: AdaptiveAvgPool2d((2, 0)), "AdaptiveAvgPool2d: output_size must be"),
        (lambda: SpatialPyramidPool((1, 0)), "output_size must be a whole number ≥ 1"),
        (lambda: SpatialPyramidPool(()), "SpatialPyramidPool: give at least one level."),
    ],
)
def test_bad_arguments_are_named(make, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make()


@pytest.mark.parametrize("layer", [MaxPool2d(2), *LAYERS], ids=lambda layer: layer.name)
@pytest.mark.parametrize(
    "x", [np.zeros((4, 8, 8)), np.zeros((0, 4, 8, 8)), np.zeros((2, 4, 8, 8), int)], ids=str
)
def test_bad_images_are_named(layer, x):
    sentence = f"expected floats of shape (N, C, H, W); got {x.dtype} of shape"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        layer(x)


@pytest.mark.parametrize("layer", [MaxPool2d(3), AvgPool2d(3)], ids=lambda layer: layer.name)
def test_images_smaller_than_the_window_are_named(layer):
    sentence = f"{layer.name}: a kernel (3, 3) with dilation (1, 1) does not fit into images (2, 4)"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        layer(np.zeros((1, 1, 2, 4)))


def test_backward_needs_a_forward_and_a_gradient_of_the_outputs_shape():
    for layer in (MaxPool2d(2), AvgPool2d(2), AdaptiveAvgPool2d(2), AdaptiveMaxPool2d(2)):
        with pytest.raises(RuntimeError, match="backward needs a forward before it"):
            layer.backward(np.zeros((1, 1, 2, 2)))
        layer(np.zeros((1, 1, 4, 4)))
        with pytest.raises(ValueError, match=f"{layer.name}: expected floats of shape"):
            layer.backward(np.zeros((1, 1, 4, 4)))
    with pytest.raises(RuntimeError, match="backward needs a forward before it"):
        SpatialPyramidPool().backward(np.zeros((1, 21)))
