"""RNN, LSTM and GRU against finite differences and against PyTorch's packed sequences."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.gradients import as_tuple, check_gradients, compare_with_torch
from utils.nn.module import Module
from utils.nn.recurrent import GRU, LSTM, RNN, Recurrent

torch.set_num_threads(1)
checked = settings(derandomize=True, deadline=None, max_examples=50, database=None)

KINDS = {
    "RNN tanh": (RNN, {}),
    "RNN relu": (RNN, {"nonlinearity": "relu"}),
    "LSTM": (LSTM, {}),
    "GRU": (GRU, {}),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def layer(kind: str, *sizes: int, seed: int = 0, **options) -> Recurrent:
    """A layer of one of the four kinds, with weights that do not depend on ``options``' order."""
    cls, extra = KINDS[kind]
    return cls(*sizes, **extra, **options, rng=np.random.default_rng(seed))


def torch_layer(kind: str, *sizes: int, **options) -> torch.nn.Module:
    cls, extra = KINDS[kind]
    return getattr(torch.nn, cls.__name__)(*sizes, **extra, **options)


class Unrolled(Module):
    """A layer as a function of arrays, x or (x, h) or (x, h, c) → (y, h) or (y, h, c)."""

    def __init__(self, layer: Recurrent, lengths: list[int] | None) -> None:
        self.layer, self.lengths = layer, lengths

    def forward(self, x, *state):
        self.stateful = bool(state)
        y, last = self.layer.forward(x, self.lengths, joined(state))
        return y, *as_tuple(last)

    def backward(self, gradient, *state_gradients):
        dx = self.layer.backward(gradient, joined(state_gradients))
        return dx, *(as_tuple(self.layer.state_gradient) if self.stateful else ())


class TorchUnrolled(torch.nn.Module):
    """The same in PyTorch, with packed sequences."""

    def __init__(self, layer: torch.nn.Module, lengths: list[int] | None) -> None:
        super().__init__()
        self.layer, self.lengths = layer, lengths

    def forward(self, x, *state):
        first = self.layer.batch_first
        if self.lengths is None:
            y, last = self.layer(x, joined(state))
        else:
            packed = pack_padded_sequence(x, self.lengths, first, enforce_sorted=False)
            y, last = self.layer(packed, joined(state))
            y, _ = pad_packed_sequence(y, first, total_length=x.shape[1 if first else 0])
        return y, *as_tuple(last)


def joined(state: tuple):
    """None, h, or the pair (h, c)."""
    return state if len(state) > 1 else state[0] if state else None


def inputs(kind: str, sizes: tuple, steps: int, sequences: int, *, state: bool, **options) -> list:
    """x and, if wanted, a first state."""
    rng = np.random.default_rng(steps + 10 * sequences)
    features, hidden, layers = sizes
    shape = (sequences, steps) if options["batch_first"] else (steps, sequences)
    ways = 2 if options["bidirectional"] else 1
    states = rng.normal(size=(2 if kind == "LSTM" else 1, layers * ways, sequences, hidden))
    return [rng.normal(size=(*shape, features)), *(states if state else [])]


@st.composite
def cases(draw) -> dict:
    """Sizes, options and lengths; the padding may be longer than the longest sequence."""
    sequences = draw(st.integers(1, 5))
    lengths = draw(st.none() | st.lists(st.integers(1, 7), min_size=sequences, max_size=sequences))
    return {
        "kind": draw(st.sampled_from(list(KINDS))),
        "sizes": (draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 3))),
        "steps": max(lengths or [1]) + draw(st.integers(0, 3)),
        "sequences": sequences,
        "lengths": lengths,
        "state": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }


@given(case=cases())
@settings(checked, max_examples=150)
def test_everything_equals_torchs_packed_sequences(case):
    """Outputs, last states, and gradients of inputs, first states and parameters."""
    kind, sizes, lengths, bias = (case.pop(k) for k in ("kind", "sizes", "lengths", "bias"))
    arrays = inputs(kind, sizes, **case)
    options = {"bias": bias} | {k: case[k] for k in ("bidirectional", "batch_first")}
    ours = Unrolled(layer(kind, *sizes, **options), lengths)
    theirs = TorchUnrolled(torch_layer(kind, *sizes, **options), lengths)
    compare_with_torch(ours, theirs, *arrays, rng=np.random.default_rng(1))


@given(case=cases())
@settings(checked, max_examples=40)
def test_gradients_equal_finite_differences(case):
    kind, sizes, lengths, bias = (case.pop(k) for k in ("kind", "sizes", "lengths", "bias"))
    sizes = tuple(min(size, 2) for size in sizes)
    arrays = inputs(kind, sizes, **case)
    options = {"bias": bias} | {k: case[k] for k in ("bidirectional", "batch_first")}
    ours = Unrolled(layer(kind, *sizes, **options), lengths)
    check_gradients(ours, *arrays, rng=np.random.default_rng(2))


@kinds
def test_gradients_through_long_sequences(kind):
    rng = np.random.default_rng(3)
    ours = Unrolled(layer(kind, 1, 2, bidirectional=True), [100, 1, 43])
    check_gradients(ours, rng.normal(size=(100, 3, 1)), rng=rng)


@kinds
def test_gradients_through_dropout_between_layers(kind):
    rng = np.random.default_rng(4)
    ours = Unrolled(layer(kind, 2, 3, num_layers=3, dropout=0.4, bidirectional=True), [5, 2])
    check_gradients(ours, rng.normal(size=(5, 2, 2)), rng=rng)


@kinds
def test_dropout_acts_between_layers_and_in_training_only(kind):
    x = np.random.default_rng(5).normal(size=(4, 3, 2)).astype(np.float32)
    options = {"num_layers": 2, "dropout": 0.5}
    ours, same = layer(kind, 2, 8, **options), layer(kind, 2, 8, num_layers=2)
    same.load_state_dict(ours.state_dict())
    expected, _ = same(x)
    assert not np.allclose(ours(x)[0], expected)
    assert not np.array_equal(ours(x)[0], ours(x)[0])
    np.testing.assert_array_equal(ours.eval()(x)[0], expected)
    single = layer(kind, 2, 8, dropout=0.5)
    np.testing.assert_array_equal(single(x)[0], single.eval()(x)[0])


@kinds
def test_what_lies_in_the_padding_does_not_matter(kind):
    """Not even what is no number; and its gradient is 0."""
    rng = np.random.default_rng(6)
    ours, lengths = layer(kind, 3, 4, 2, bidirectional=True).astype(np.float64), [2, 5, 3]
    x, gradient = rng.normal(size=(6, 3, 3)), rng.normal(size=(6, 3, 8))
    y, state = ours(x, lengths)
    dx = ours.backward(gradient)
    padding = np.arange(6)[:, None] >= np.array(lengths)
    x[padding] = gradient[padding] = np.nan
    again, state_again = ours(x, lengths)
    np.testing.assert_array_equal(again, y)
    np.testing.assert_array_equal(state_again, state)
    np.testing.assert_array_equal(ours.backward(gradient), dx)
    assert (y[padding] == 0).all()
    assert (dx[padding] == 0).all()


@kinds
def test_a_sequence_does_not_depend_on_its_batch(kind):
    rng = np.random.default_rng(7)
    ours, lengths = layer(kind, 3, 4, 2, bidirectional=True).astype(np.float64), [2, 5, 3]
    x = rng.normal(size=(5, 3, 3))
    y, state = ours(x, lengths)
    for i, length in enumerate(lengths):
        alone, last = ours(x[:length, [i]])
        np.testing.assert_allclose(alone, y[:length, [i]], rtol=1e-12, atol=1e-14)
        for mine, all_of_them in zip(as_tuple(last), as_tuple(state), strict=True):
            np.testing.assert_allclose(mine, all_of_them[:, [i]], rtol=1e-12, atol=1e-14)


@kinds
def test_a_sequence_can_be_read_in_two_parts(kind):
    """The state carries everything over, and its gradient carries everything back."""
    rng = np.random.default_rng(8)
    ours = layer(kind, 3, 4, 2).astype(np.float64)
    x, gradient = rng.normal(size=(7, 2, 3)), rng.normal(size=(7, 2, 4))
    y, last = ours(x)
    dx = ours.backward(gradient)
    head, middle = ours(x[:4])
    tail, end = ours.forward(x[4:], state=middle)
    np.testing.assert_allclose(np.concatenate([head, tail]), y, rtol=1e-12)
    np.testing.assert_allclose(end, last, rtol=1e-12)
    d_tail = ours.backward(gradient[4:])
    carried = ours.state_gradient
    ours(x[:4])
    d_head = ours.backward(gradient[:4], carried)
    np.testing.assert_allclose(np.concatenate([d_head, d_tail]), dx, rtol=1e-11, atol=1e-14)


@kinds
def test_the_gradient_of_the_last_state_alone(kind):
    rng = np.random.default_rng(9)
    ours = layer(kind, 3, 4, bidirectional=True).astype(np.float64)
    x = rng.normal(size=(5, 2, 3))
    _, last = ours(x, [5, 2])
    of_state = tuple(rng.normal(size=s.shape) for s in as_tuple(last))
    dx = ours.backward(None, joined(of_state))
    np.testing.assert_array_equal(dx, ours.backward(np.zeros((5, 2, 8)), joined(of_state)))
    assert np.abs(dx[:2]).min() > 0


@kinds
def test_float32_stays_float32_and_close_to_torch(kind):
    rng = np.random.default_rng(10)
    options = {"num_layers": 2, "bidirectional": True, "dropout": 0.1}
    ours, theirs = layer(kind, 3, 5, **options).eval(), torch_layer(kind, 3, 5, **options).eval()
    ours.load_state_dict(theirs.state_dict())
    x = rng.normal(size=(6, 2, 3)).astype(np.float32)
    y, last = ours.train()(x, [6, 3])
    dx = ours.backward(np.ones_like(y))
    arrays = [y, dx, *as_tuple(last), *as_tuple(ours.state_gradient)]
    arrays += [p.grad for p in ours.parameters()] + [p.data for p in ours.parameters()]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    expected = theirs(torch.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(ours.eval()(x)[0], expected, rtol=1e-4, atol=1e-6)


@kinds
def test_weights_move_to_torch_and_back(kind, tmp_path):
    options = {"num_layers": 2, "bidirectional": True}
    theirs = torch_layer(kind, 3, 5, **options)
    ours = layer(kind, 3, 5, **options)
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.save(tmp_path / "weights.npz")
    again = layer(kind, 3, 5, seed=1, **options).load(tmp_path / "weights.npz")
    back = torch_layer(kind, 3, 5, **options)
    back.load_state_dict({k: torch.tensor(v) for k, v in again.state_dict().items()})
    for name, weights in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], weights), name


@kinds
def test_weights_start_as_torchs_do(kind):
    """Uniform in ±1/√H, all of them."""
    for name, weights in layer(kind, 300, 100).state_dict().items():
        assert weights.dtype == np.float32
        assert 0.09 < np.abs(weights).max() <= 0.1, name
        assert abs(weights.std() / 0.1 - 3**-0.5) < 0.1, name


def test_large_numbers_saturate_in_silence():
    for kind in ("RNN tanh", "LSTM", "GRU"):
        ours = layer(kind, 1, 2)
        y, _ = ours(np.array([1e30, -1e30, 0], np.float32).reshape(3, 1, 1))
        assert np.isfinite(y).all()
        assert np.isfinite(ours.backward(np.ones_like(y))).all()


x = np.zeros((4, 2, 3), np.float32)
BAD = {
    "features": (
        lambda m: m(x[..., :2]),
        "GRU: expected float32 of shape (T, N, 3); got float32 of shape (4, 2, 2)",
    ),
    "axes": (lambda m: m(x[0]), "GRU: expected float32 of shape (T, N, 3)"),
    "dtype": (lambda m: m(x.astype(float)), "got float64 of shape (4, 2, 3)"),
    "integers": (lambda m: m(x.astype(int)), "got int64 of shape (4, 2, 3)"),
    "empty": (lambda m: m(x[:, :0]), "got float32 of shape (4, 0, 3)"),
    "no steps": (lambda m: m(x[:0]), "got float32 of shape (0, 2, 3)"),
    "length 0": (
        lambda m: m(x, [0, 4]),
        "GRU: lengths are 2 whole numbers from 1 to 4; got [0, 4].",
    ),
    "too long": (lambda m: m(x, [2, 5]), "got [2, 5]."),
    "too few": (lambda m: m(x, [2]), "got [2]."),
    "halves": (lambda m: m(x, [1.5, 2]), "got [1.5, 2.0]."),
    "state": (
        lambda m: m(x, None, np.zeros((2, 2, 4), np.float32)),
        "shape (1, 2, 4); got float32 of shape (2, 2, 4)",
    ),
    "pair": (lambda m: m(x, None, (x, x)), "GRU: its state is one array; got 2."),
    "gradient": (lambda m: (m(x), m.backward(x)), "GRU: expected float32 of shape (4, 2, 4)"),
    "nonlinearity": (
        lambda m: RNN(3, 4, nonlinearity="elu", rng=None),
        "RNN: nonlinearity is 'tanh' or 'relu'; got 'elu'.",
    ),
    "size": (
        lambda m: LSTM(3, 0, rng=None),
        "LSTM: input_size, hidden_size and num_layers are whole numbers ≥ 1; got (3, 0, 1).",
    ),
    "one state": (
        lambda m: layer("LSTM", 3, 4)(x, None, x),
        "LSTM: its state is the pair (h, c); got 1.",
    ),
}


@pytest.mark.parametrize(("call", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        call(layer("GRU", 3, 4))
    assert "\n" not in str(caught.value)


def test_backward_needs_a_forward():
    with pytest.raises(RuntimeError, match="GRU: backward needs a forward before it"):
        layer("GRU", 3, 4).backward(x)
