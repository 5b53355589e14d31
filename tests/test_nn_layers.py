"""Linear, embedding, activations, dropout and normalisation: gradients, and equality with torch."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn as torch_nn

from tests.gradients import check_gradients, compare_with_torch
from utils import nn
from utils.nn.activations import erf, sigmoid

torch.set_num_threads(1)

drawn = settings(derandomize=True, deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
shapes = st.lists(sizes, min_size=1, max_size=4).map(tuple)

ACTIVATIONS = [
    (nn.ReLU, torch_nn.ReLU, {}),
    (nn.LeakyReLU, torch_nn.LeakyReLU, {}),
    (nn.LeakyReLU, torch_nn.LeakyReLU, {"negative_slope": 0.3}),
    (nn.ELU, torch_nn.ELU, {}),
    (nn.ELU, torch_nn.ELU, {"alpha": 0.4}),
    (nn.GELU, torch_nn.GELU, {}),
    (nn.GELU, torch_nn.GELU, {"approximate": "tanh"}),
    (nn.SiLU, torch_nn.SiLU, {}),
    (nn.Sigmoid, torch_nn.Sigmoid, {}),
    (nn.Tanh, torch_nn.Tanh, {}),
]


def judge(ours: nn.Module, theirs: torch_nn.Module, *inputs: np.ndarray, seed: int) -> None:
    """Finite differences and torch."""
    check_gradients(ours, *inputs, rng=np.random.default_rng(seed))
    compare_with_torch(ours, theirs, *inputs, rng=np.random.default_rng(seed))


@drawn
@given(st.lists(sizes, max_size=3), sizes, sizes, st.booleans(), seeds)
def test_linear(before: list[int], inputs: int, outputs: int, bias: bool, seed: int):
    rng = np.random.default_rng(seed)
    layer = nn.Linear(inputs, outputs, bias, rng=rng)
    judge(layer, torch_nn.Linear(inputs, outputs, bias), rng.normal(size=(*before, inputs)), seed=1)


@drawn
@given(shapes, seeds)
def test_flatten(shape: tuple[int, ...], seed: int):
    x = np.random.default_rng(seed).normal(size=(3, *shape))
    judge(nn.Flatten(), torch_nn.Flatten(), x, seed=seed)


@drawn
@given(shapes, st.integers(1, 9), sizes, seeds)
def test_embedding_with_repeated_indices(shape: tuple[int, ...], rows: int, width: int, seed: int):
    rng = np.random.default_rng(seed)
    layer, indices = nn.Embedding(rows, width, rng=rng), rng.integers(0, rows, shape)
    judge(layer, torch_nn.Embedding(rows, width), indices, seed=seed)


def test_embedding_names_the_rows_that_it_touched():
    layer = nn.Embedding(6, 2, rng=np.random.default_rng(0))
    for indices, rows in (([4, 1, 4], [1, 4]), ([0], [0, 1, 4])):
        y = layer(np.array(indices))
        layer.backward(np.ones_like(y))
        assert layer.weight.rows.tolist() == rows
    assert layer.weight.grad[:, 0].tolist() == [1, 1, 0, 0, 2, 0]
    layer.weight.accumulate(np.ones((6, 2), np.float32))
    assert layer.weight.rows is None


@pytest.mark.parametrize(("ours", "theirs", "arguments"), ACTIVATIONS)
@drawn
@given(shapes, st.sampled_from([0.1, 1.0, 5.0]), seeds)
def test_activations(
    ours, theirs, arguments: dict, shape: tuple[int, ...], width: float, seed: int
):
    x = width * np.random.default_rng(seed).normal(size=shape)
    judge(ours(**arguments), theirs(**arguments), x, seed=seed)


@drawn
@given(shapes, st.data(), seeds)
def test_softmax(shape: tuple[int, ...], data: st.DataObject, seed: int):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = 3 * np.random.default_rng(seed).normal(size=shape)
    judge(nn.Softmax(dim), torch_nn.Softmax(dim), x, seed=seed)


@pytest.mark.parametrize(("ours", "theirs", "arguments"), ACTIVATIONS)
def test_activations_of_huge_and_tiny_numbers_are_those_of_torch(ours, theirs, arguments: dict):
    for dtype in (np.float32, np.float64):
        x = np.array([-1e4, -800, -90, -20, -5.5, -1e-30, 0, 1e-30, 3.9, 20, 90, 800, 1e4], dtype)
        y = ours(**arguments)(x)
        expected = theirs(**arguments)(torch.tensor(x)).numpy()
        np.testing.assert_allclose(y, expected, rtol=3e-6, atol=1e-7)
        assert y.dtype == dtype


def test_softmax_of_1000_is_safe():
    x = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    np.testing.assert_array_equal(nn.Softmax()(x), [[1, 0], [0, 1]])
    assert sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]


def test_erf_is_exact_to_1e_15():
    x = np.concatenate([np.linspace(-7, 7, 100_001), np.logspace(-300, 1, 3000)])
    expected = np.array([math.erf(v) for v in x])
    assert np.abs(erf(x) - expected).max() < 1e-15
    relative = erf(x) / np.where(x == 0, 1, expected)
    assert np.abs(relative[x != 0] - 1).max() < 1e-15
    single = erf(x.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - expected).max() < 3e-7
    assert np.isnan(erf(np.array([np.nan]))).all()
    assert erf(np.array([-np.inf, np.inf])).tolist() == [-1, 1]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_near_relu_far_from_zero(approximate: str):
    x = np.array([-30.0, 30.0])
    assert nn.GELU(approximate)(x).tolist() == [0, 30]


def normal_shapes(kind: str) -> st.SearchStrategy:
    lengths = {"1d": st.sampled_from([0, 1]), "2d": st.just(2)}[kind]
    return lengths.flatmap(lambda n: st.tuples(st.integers(2, 5), *[sizes] * (n + 1)))


@pytest.mark.parametrize("kind", ["1d", "2d"])
@drawn
@given(st.data(), st.sampled_from([None, 0.1, 0.7]), st.sampled_from([1e-5, 1e-2]), seeds)
def test_batch_norm_in_training_and_then_in_evaluation(kind, data, momentum, eps, seed):
    shape = data.draw(normal_shapes(kind))
    rng = np.random.default_rng(seed)
    layers = {
        "1d": (nn.BatchNorm1d, torch_nn.BatchNorm1d),
        "2d": (nn.BatchNorm2d, torch_nn.BatchNorm2d),
    }[kind]
    ours, theirs = (layer(shape[1], eps, momentum) for layer in layers)
    for parameter in ours.parameters():
        parameter.data[...] = rng.normal(size=shape[1])
    for train in (True, True, False):
        x = 2 + 3 * rng.normal(size=shape)
        compare_with_torch(ours.train(train), theirs, x, rng=rng)
    check_gradients(ours, x, rng=rng)
    if x[:, 0].var() > 1:  # over two near values the function bends within one step
        check_gradients(ours.train(), x, rng=rng)
    assert int(ours.num_batches_tracked) >= 2


@drawn
@given(st.lists(sizes, max_size=2), st.lists(st.integers(2, 5), min_size=1, max_size=2), seeds)
def test_layer_norm(before: list[int], shape: list[int], seed: int):
    rng = np.random.default_rng(seed)
    ours, theirs = nn.LayerNorm(tuple(shape)), torch_nn.LayerNorm(shape)
    for parameter in ours.parameters():
        parameter.data[...] = rng.normal(size=shape)
    x = 1 + 2 * rng.normal(size=(*before, *shape))
    compare_with_torch(ours, theirs, x, rng=rng)
    if x.reshape(-1, math.prod(shape)).var(axis=1).min() > 0.1:
        check_gradients(ours, x, rng=rng)


def test_layer_norm_takes_an_int():
    assert nn.LayerNorm(5).weight.data.shape == (5,)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 1.0])
def test_dropout_keeps_the_right_share_and_the_mean(p: float):
    layer = nn.Dropout(p, rng=np.random.default_rng(0))
    x = np.ones((200, 500), np.float32)
    y = layer(x)
    kept = y > 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.005)
    assert np.allclose(y[kept], 1 / max(1 - p, 1e-9))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(layer.backward(x), y)
    np.testing.assert_array_equal(layer.eval()(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)


@drawn
@given(shapes, st.sampled_from([0.0, 0.5, 0.9]), st.booleans(), seeds)
def test_dropout_gradient(shape: tuple[int, ...], p: float, train: bool, seed: int):
    rng = np.random.default_rng(seed)
    check_gradients(nn.Dropout(p, rng=rng).train(train), rng.normal(size=shape), rng=rng)


WITH_DTYPE = [
    nn.Linear(4, 4, rng=np.random.default_rng(0)),
    nn.Dropout(np.float64(0.5), rng=np.random.default_rng(0)),
    nn.BatchNorm1d(4, np.float64(1e-5), np.float64(0.1)),
    nn.LayerNorm(4, np.float64(1e-5)),
    nn.LeakyReLU(np.float64(0.1)),
    nn.ELU(np.float64(0.1)),
    nn.Softmax(),
    nn.Flatten(),
    *(ours(**arguments) for ours, _, arguments in ACTIVATIONS),
]


@pytest.mark.parametrize("layer", WITH_DTYPE, ids=lambda layer: layer.name)
@pytest.mark.parametrize("train", [True, False])
def test_float32_stays_float32(layer: nn.Module, train: bool):
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    y = layer.train(train)(x)
    dx = layer.backward(np.ones_like(y))
    assert {y.dtype, dx.dtype, *(p.grad.dtype for p in layer.parameters())} == {x.dtype}
    assert {v.dtype.name for v in layer.state_dict().values()} <= {"float32", "int64"}


@pytest.mark.parametrize("layer", WITH_DTYPE, ids=lambda layer: layer.name)
def test_bad_input_is_told_in_one_sentence(layer: nn.Module):
    good = np.ones((6, 4), np.float32)
    for bad in (good.astype(int), good[:0], good.tolist()):
        with pytest.raises(ValueError, match=rf"^{layer.name}: expected float.*; got .*\.$"):
            layer(bad)
    y = layer.train()(good)
    with pytest.raises(ValueError, match=rf"^{layer.name}: expected float.*got float32 of sh"):
        layer.backward(y[:-1])


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            WITH_DTYPE[0],
            (2, 5),
            r"Linear: expected float32 of shape (…, 4); got float32 of shape (2, 5).",
        ),
        (nn.BatchNorm1d(3), (2, 4), r"BatchNorm1d: expected float32 of shape (N, 3); got"),
        (nn.BatchNorm1d(3), (2, 4, 5), r"BatchNorm1d: expected float32 of shape (N, 3, L); got"),
        (nn.BatchNorm2d(3), (2, 3, 4), r"BatchNorm2d: expected float32 of shape (N, 3, H, W); got"),
        (nn.BatchNorm1d(3), (1, 3), r"BatchNorm1d: training needs 2 values a channel or more"),
        (nn.LayerNorm((2, 3)), (3,), r"LayerNorm: expected float32 of shape (…, 2, 3); got"),
    ],
)
def test_wrong_shapes(layer: nn.Module, shape: tuple[int, ...], message: str):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        layer(np.ones(shape, np.float32))


def test_another_dtype_than_the_weights_is_refused():
    with pytest.raises(ValueError, match="expected float32 of shape"):
        WITH_DTYPE[0](np.ones((2, 4)))


def test_backward_before_forward():
    for layer in (nn.ReLU(), nn.Softmax(), nn.LayerNorm(3), nn.Flatten()):
        with pytest.raises(RuntimeError, match=f"^{layer.name}: backward needs a forward before"):
            layer.backward(np.ones((2, 3), np.float32))


def test_embedding_refuses_what_is_no_index():
    layer = nn.Embedding(3, 2, rng=np.random.default_rng(0))
    for bad, got in (([0, 3], "3"), ([-1, 2], "-1")):
        with pytest.raises(IndexError, match=f"Embedding: indices lie from 0 to 2; got {got}."):
            layer(np.array(bad))
    for bad in (np.ones(2), np.zeros(0, int), [0]):
        with pytest.raises(ValueError, match="Embedding: indices are an array of integers"):
            layer(bad)


def test_bad_arguments():
    with pytest.raises(ValueError, match="Dropout: p is a probability"):
        nn.Dropout(1.5, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="GELU: approximate is"):
        nn.GELU("fast")


def test_the_inputs_of_a_network_need_no_gradient():
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng)
    )
    y = model(rng.normal(size=(5, 2, 3)).astype(np.float32))
    model.backward(y)
    expected = [p.grad.copy() for p in model.parameters()]
    model.zero_grad()
    assert model.accumulate(y) is None
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)


def spread(values: np.ndarray) -> tuple[float, float]:
    return float(np.abs(values).max()), float(values.std())


@pytest.mark.parametrize(
    "name", ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"]
)
@pytest.mark.parametrize("shape", [(400, 300), (60, 50, 5, 7)])
def test_initialisers_have_the_spread_of_torchs(name: str, shape: tuple[int, ...]):
    weight = nn.Parameter(np.empty(shape, np.float32))
    filled = getattr(nn.init, name)(weight, rng=np.random.default_rng(0))
    tensor = getattr(torch_nn.init, name)(torch.empty(shape))
    assert filled is weight
    largest, deviation = spread(weight.data)
    theirs_largest, theirs_deviation = spread(tensor.numpy())
    assert deviation == pytest.approx(theirs_deviation, rel=0.01)
    if "uniform" in name:
        assert largest == pytest.approx(theirs_largest, rel=0.01)
    assert abs(weight.data.mean()) < 0.02 * deviation


@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu"])
def test_gains_are_torchs(name: str):
    assert nn.init.calculate_gain(name) == pytest.approx(torch_nn.init.calculate_gain(name))


def test_kaiming_knows_fan_out_and_the_slope():
    weight = nn.Parameter(np.empty((500, 100)))
    rng = np.random.default_rng(0)
    nn.init.kaiming_normal_(weight, 0.5, "fan_out", rng=rng)
    assert weight.data.std() == pytest.approx(math.sqrt(2 / 1.25 / 500), rel=0.01)
    nn.init.kaiming_normal_(weight, nonlinearity="tanh", rng=rng)
    assert weight.data.std() == pytest.approx(5 / 3 / 10, rel=0.01)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (6, 2, 3, 3)])
def test_orthogonal(shape: tuple[int, ...]):
    weight = nn.Parameter(np.empty(shape))
    nn.init.orthogonal_(weight, 2.0, rng=np.random.default_rng(0))
    matrix = weight.data.reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_initialisers_say_what_is_wrong():
    rng, weight = np.random.default_rng(0), nn.Parameter(np.empty((2, 2)))
    with pytest.raises(ValueError, match="two axes or more; got shape"):
        nn.init.xavier_uniform_(nn.Parameter(np.empty(3)), rng=rng)
    with pytest.raises(ValueError, match="no gain is known for 'cos'"):
        nn.init.kaiming_normal_(weight, nonlinearity="cos", rng=rng)
    with pytest.raises(ValueError, match="mode is 'fan_in' or 'fan_out'; got 'fan'"):
        nn.init.kaiming_normal_(weight, mode="fan", rng=rng)


def test_linear_and_embedding_start_as_torchs():
    rng = np.random.default_rng(0)
    ours, theirs = nn.Linear(300, 400, rng=rng), torch_nn.Linear(300, 400)
    for name in ("weight", "bias"):
        largest, deviation = spread(getattr(ours, name).data)
        expected = spread(getattr(theirs, name).detach().numpy())
        assert (largest, deviation) == pytest.approx(expected, rel=0.1)
    assert nn.Embedding(300, 40, rng=rng).weight.data.std() == pytest.approx(1, rel=0.02)
