"""Convolutions against finite differences, PyTorch and their own algebra."""

import re
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gradients import check_gradients, compare_with_torch
from utils.nn import windows
from utils.nn.conv import Conv2d, ConvTranspose2d, convolve, convolve_transposed
from utils.nn.windows import Window

torch.set_num_threads(1)
checked = settings(derandomize=True, deadline=None, max_examples=100, database=None)
even_same = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def pairs(low: int, high: int) -> st.SearchStrategy:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw) -> tuple[tuple, dict, tuple]:
    """Positional and keyword arguments of a Conv2d, and the shape of images that it can read."""
    groups = draw(st.integers(1, 3))
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    kernel, dilation = draw(pairs(1, 4)), draw(pairs(1, 3))
    same = draw(st.booleans())
    stride = (1, 1) if same else draw(pairs(1, 3))
    padding = "same" if same else draw(pairs(0, 3))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    options["bias"] = draw(st.booleans())
    span = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    least = (1, 1) if same else [max(1, s - 2 * p) for s, p in zip(span, padding, strict=True)]
    size = [n + draw(st.integers(0, 4)) for n in least]
    return (*channels, kernel), options, (draw(st.integers(1, 3)), channels[0], *size)


@st.composite
def transposed_convolutions(draw) -> tuple[tuple, dict, tuple]:
    """The same of a ConvTranspose2d whose output is not empty."""
    groups = draw(st.integers(1, 3))
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    kernel, dilation, stride = draw(pairs(1, 4)), draw(pairs(1, 3)), draw(pairs(1, 3))
    extra = tuple(draw(st.integers(0, s - 1)) for s in stride)
    size = [draw(st.integers(1, 5)) for _ in range(2)]
    full = [
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(size, stride, dilation, kernel, strict=True)
    ]
    padding = tuple(draw(st.integers(0, min(3, (n - 1) // 2))) for n in full)
    options = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups}
    options |= {"dilation": dilation, "bias": draw(st.booleans())}
    return (*channels, kernel), options, (draw(st.integers(1, 3)), channels[0], *size)


def images(*shape: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype(dtype)


# --- gradients -----------------------------------------------------------------------------------


@even_same
@checked
@given(convolutions())
def test_convolution_equals_that_of_torch(case):
    arguments, options, shape = case
    rng = np.random.default_rng(1)
    ours = Conv2d(*arguments, **options, rng=rng)
    compare_with_torch(ours, torch.nn.Conv2d(*arguments, **options), images(*shape), rng=rng)


@checked
@given(transposed_convolutions())
def test_transposed_convolution_equals_that_of_torch(case):
    arguments, options, shape = case
    rng = np.random.default_rng(1)
    ours, theirs = ConvTranspose2d(*arguments, **options, rng=rng), torch.nn.ConvTranspose2d
    compare_with_torch(ours, theirs(*arguments, **options), images(*shape), rng=rng)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "dilation": 2},
        {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2, "bias": False},
    ],
)
def test_convolution_has_the_gradient_of_finite_differences(options):
    rng = np.random.default_rng(2)
    check_gradients(Conv2d(4, 6, (3, 2), **options, rng=rng), images(2, 4, 6, 7), rng=rng)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": (3, 1), "output_padding": (2, 0), "dilation": (1, 2), "groups": 2},
    ],
)
def test_transposed_convolution_has_the_gradient_of_finite_differences(options):
    rng = np.random.default_rng(2)
    check_gradients(ConvTranspose2d(4, 6, (3, 2), **options, rng=rng), images(2, 4, 3, 5), rng=rng)


@checked
@given(pairs(1, 3), pairs(1, 3), pairs(1, 2), pairs(0, 2), st.integers(1, 2))
def test_convolution_and_transposed_convolution_are_transposes(kernel, stride, dilation, pad, g):
    """⟨W · columns(x), y⟩ = ⟨x, Wᵀ y⟩ for all x and y, which is what backward rests on."""
    window = Window((7, 8), kernel, stride, dilation, pad, pad)
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(g, 3, 2 * kernel[0] * kernel[1]))
    x, y = rng.normal(size=(2, 2 * g, 7, 8)), rng.normal(size=(2, 3 * g, *window.output))
    left = np.sum(convolve(x, weight, None, window) * y)
    right = np.sum(x * convolve_transposed(y, weight, None, window))
    np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-10)


def test_convolution_is_the_sum_of_its_definition():
    """y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] · x[n, c, i + u − 1, j + v − 1]."""
    layer = Conv2d(2, 3, 3, padding=1, rng=np.random.default_rng(4), dtype=np.float64)
    x = images(2, 2, 4, 5)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    w, b = layer.weight.data, layer.bias.data
    y = layer(x)
    for n, o, i, j in np.ndindex(y.shape):
        expected = b[o] + np.sum(w[o] * padded[n, :, i : i + 3, j : j + 3])
        assert y[n, o, i, j] == pytest.approx(expected, rel=1e-12)


# --- tiles, memory and dtype ---------------------------------------------------------------------


@pytest.mark.parametrize("tile", [1, 300, 700])
@pytest.mark.parametrize("layer", [Conv2d, ConvTranspose2d])
def test_the_size_of_the_tiles_changes_nothing(layer, tile, monkeypatch):
    module = layer(2, 4, 3, padding=1, groups=2, rng=np.random.default_rng(5), dtype=np.float64)
    x, gradient = images(7, 2, 4, 5), images(7, 4, 4, 5)
    results = []
    for size in (2**18, tile):
        monkeypatch.setattr(windows, "TILE", size)
        module.zero_grad()
        results.append([module(x), module.backward(gradient), module.weight.grad])
    for whole, tiled in zip(*results, strict=True):
        np.testing.assert_allclose(tiled, whole, rtol=1e-12, atol=1e-12)


def test_the_columns_of_a_whole_batch_never_exist():
    """Forward and backward need their arrays and one padded copy; the columns would need 29 MB."""
    layer = Conv2d(16, 32, 3, padding=1, rng=np.random.default_rng(6))
    x = images(128, 16, 14, 28, dtype=np.float32)
    tracemalloc.start()
    y = layer(x)
    layer.backward(y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < y.nbytes + 2.5 * x.nbytes + 6e6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", [Conv2d, ConvTranspose2d])
def test_the_dtype_is_kept(layer, dtype):
    module = layer(2, 3, 3, rng=np.random.default_rng(8)).astype(dtype)
    y = module(images(2, 2, 5, 5, dtype=dtype))
    arrays = [y, module.backward(y), module.weight.grad, module.bias.grad]
    assert {array.dtype for array in arrays} == {np.dtype(dtype)}


def test_float32_is_as_exact_as_float32_can_be():
    single = Conv2d(3, 4, 5, padding=2, rng=np.random.default_rng(9))
    double = Conv2d(3, 4, 5, padding=2, rng=np.random.default_rng(9)).astype(np.float64)
    x = images(4, 3, 9, 9, dtype=np.float32)
    np.testing.assert_allclose(single(x), double(x.astype(float)), rtol=1e-5, atol=1e-5)


def test_a_first_layer_can_leave_the_gradient_of_its_input_out():
    layer = Conv2d(2, 3, 3, rng=np.random.default_rng(10))
    y = layer(images(2, 2, 5, 5, dtype=np.float32))
    layer.backward(y)
    expected = layer.weight.grad
    layer.zero_grad()
    assert layer.accumulate(y) is None
    np.testing.assert_array_equal(layer.weight.grad, expected)


@pytest.mark.parametrize("layer", [Conv2d, ConvTranspose2d])
def test_weights_start_as_those_of_torch(layer):
    """U(−1/√n, 1/√n) with n = weight.shape[1] · kh · kw, for weight and bias."""
    module = layer(64, 32, 3, groups=2, rng=np.random.default_rng(11))
    theirs = getattr(torch.nn, layer.__name__)(64, 32, 3, groups=2)
    bound = np.prod(module.weight.data.shape[1:]) ** -0.5
    for ours, reference in ((module.weight, theirs.weight), (module.bias, theirs.bias)):
        assert ours.data.shape == tuple(reference.shape)
        assert 0.8 * bound < np.abs(ours.data).max() <= bound
        assert ours.data.std() == pytest.approx(bound / 3**0.5, rel=0.25)
        assert reference.std().item() == pytest.approx(bound / 3**0.5, rel=0.25)


# --- faults of the system that this library replaces ---------------------------------------------


def test_the_input_gradient_holds_nothing_that_lay_in_memory():
    """Its sums started from np.empty: 1.8 to 2.7 times the gradient was whatever was there."""
    layer = Conv2d(3, 4, 3, stride=2, rng=np.random.default_rng(12), dtype=np.float64)
    y = layer(images(2, 3, 8, 8))
    first = layer.backward(y)
    for _ in range(5):
        litter = [np.full(n, np.nan) for n in (first.size, y.size, 2 * first.size) for _ in "abc"]
        del litter
        np.testing.assert_array_equal(layer.backward(y), first)
    assert (first[:, :, -1] == 0).all()  # the last row lies under no window


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("kernel", [3, 5, (1, 7)])
def test_same_padding_knows_of_dilation(kernel, dilation):
    """It turned 8×8 into 6×6 at a dilation of two."""
    rng = np.random.default_rng(13)
    layer = Conv2d(1, 1, kernel, padding="same", dilation=dilation, rng=rng)
    assert layer(images(1, 1, 8, 8, dtype=np.float32)).shape == (1, 1, 8, 8)


def test_dilation_one_is_no_dilation():
    """It counted the holes between the elements: none was 0."""
    layer = Conv2d(1, 1, 2, rng=np.random.default_rng(14), bias=False, dtype=np.float64)
    layer.weight.data[...] = [[1, 10], [100, 1000]]
    assert layer(np.array([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]]))[0, 0, 0, 0] == 5421
    layer.dilation = (2, 2)
    assert layer(np.array([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])).item() == 9731


# --- bad input -----------------------------------------------------------------------------------

BAD_ARGUMENTS = [
    ({"kernel_size": 0}, "Conv2d: kernel_size must be a whole number ≥ 1 or two of them; got 0."),
    ({"kernel_size": (3, 3, 3)}, "got (3, 3, 3)."),
    ({"kernel_size": 2.5}, "got 2.5."),
    ({"stride": 0}, "Conv2d: stride must be"),
    ({"dilation": (1, 0)}, "Conv2d: dilation must be"),
    ({"padding": -1}, "Conv2d: padding must be a whole number ≥ 0"),
    ({"padding": "valid"}, "padding must be a whole number ≥ 0 or two of them; got 'valid'."),
    ({"padding": "same", "stride": 2}, "padding 'same' needs stride 1; got (2, 2)."),
    ({"groups": 3}, "Conv2d: groups=3 must divide the channels (4, 6)."),
    ({"groups": 0}, "Conv2d: groups=0 must divide"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD_ARGUMENTS)
def test_bad_arguments_are_named(options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Conv2d(4, 6, **({"kernel_size": 3} | options), rng=np.random.default_rng(0))


BAD_IMAGES = [
    (np.zeros((2, 3, 8, 8), np.float32), "Conv2d: expected float32 of shape (N, 4, H, W); got"),
    (np.zeros((4, 8, 8), np.float32), "(4, 8, 8)"),
    (np.zeros((0, 4, 8, 8), np.float32), "(0, 4, 8, 8)"),
    (np.zeros((2, 4, 8, 8), np.uint8), "got uint8"),
    (np.zeros((2, 4, 8, 8)), "got float64"),
    (np.zeros((2, 4, 2, 8), np.float32), "does not fit into images (2, 8)"),
    ([[1.0]], "list"),
]


@pytest.mark.parametrize(("x", "sentence"), BAD_IMAGES)
def test_bad_images_are_named(x, sentence):
    layer = Conv2d(4, 6, 3, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=re.escape(sentence)):
        layer(x)


@pytest.mark.parametrize("layer", [Conv2d, ConvTranspose2d])
def test_backward_needs_a_forward_and_a_gradient_of_the_outputs_shape(layer):
    module = layer(4, 6, 3, rng=np.random.default_rng(0))
    with pytest.raises(RuntimeError, match="backward needs a forward before it"):
        module.backward(np.zeros((1, 6, 3, 3), np.float32))
    y = module(np.zeros((2, 4, 5, 5), np.float32))
    with pytest.raises(ValueError, match=f"{layer.__name__}: expected float32 of shape"):
        module.backward(y[:1])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"output_padding": 1}, "output_padding must be less than stride (1, 1)."),
        ({"padding": 3}, "ConvTranspose2d: the output would have the size (-3, -3)."),
    ],
)
def test_a_transposed_convolution_names_what_it_cannot_do(options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        ConvTranspose2d(1, 1, 3, **options, rng=np.random.default_rng(0), dtype=float)(
            images(1, 1, 1, 1)
        )
