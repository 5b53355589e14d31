"""Attention, heads, encoder layer and positions against finite differences, PyTorch and by hand."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gradients import check_gradients, compare_with_torch
from utils.nn.attention import (
    MultiheadAttention,
    TransformerEncoderLayer,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
    sinusoidal_positions,
)
from utils.nn.module import Module

torch.set_num_threads(1)
checked = settings(derandomize=True, deadline=None, max_examples=100, database=None)


def new_rng() -> np.random.Generator:
    return np.random.default_rng(0)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


class Attend(Module):
    """The attention function as a layer, for the two judges."""

    def __init__(self, attn_mask: np.ndarray | None = None, is_causal: bool = False) -> None:
        self.mask, self.is_causal = attn_mask, is_causal

    def forward(self, query, key, value):
        y, weights = scaled_dot_product_attention(query, key, value, self.mask, self.is_causal)
        self._saved = query, key, value, weights
        return y

    def backward(self, gradient):
        return scaled_dot_product_attention_backward(gradient, *self.saved())


class TorchAttend(torch.nn.Module):
    def __init__(self, attn_mask: np.ndarray | None = None, is_causal: bool = False) -> None:
        super().__init__()
        self.mask = None if attn_mask is None else torch.tensor(attn_mask)
        self.is_causal = is_causal

    def forward(self, query, key, value):
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, self.mask, is_causal=self.is_causal
        )


class First(Module):
    """Multi-head attention with fixed masks, without its weights."""

    def __init__(self, layer: MultiheadAttention, **masks: np.ndarray | bool | None) -> None:
        self.layer, self.masks = layer, masks

    def forward(self, query, key, value):
        return self.layer.forward(query, key, value, need_weights=False, **self.masks)[0]

    def backward(self, gradient):
        return self.layer.backward(gradient)


class TorchFirst(torch.nn.Module):
    """The same in PyTorch, whose ``is_causal`` only announces that the mask is the causal one."""

    def __init__(self, layer: torch.nn.Module, is_causal: bool = False, **masks) -> None:
        super().__init__()
        self.layer, self.is_causal = layer, is_causal
        self.masks = {k: None if m is None else torch.tensor(m) for k, m in masks.items()}

    def forward(self, query, key, value):
        sizes = [x.shape[1 if self.layer.batch_first else 0] for x in (query, key)]
        masks = {name: as_number(mask, query.dtype) for name, mask in self.masks.items()}
        if self.is_causal:
            causal = as_number(torch.ones(sizes, dtype=torch.bool).triu(1), query.dtype)
            given = masks.get("attn_mask")
            masks["attn_mask"] = causal if given is None else causal + given
        return self.layer(query, key, value, need_weights=False, **masks)[0]


def as_number(mask: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    """−∞ where a mask is True."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(mask, -torch.inf)


@st.composite
def masks(draw, *shape: int) -> np.ndarray | None:
    """None, booleans that are True where not to look, or floats; key 0 can always be seen."""
    kind = draw(st.sampled_from(["none", "bool", "float"]))
    if kind == "none":
        return None
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if kind == "float":
        return rng.normal(size=shape)
    blocked = rng.random(shape) < 0.5
    blocked[..., 0] = False
    return blocked


@given(data=st.data())
@checked
def test_the_function_equals_torchs(data):
    n, heads, queries, keys, d, values = (data.draw(st.integers(1, 5)) for _ in range(6))
    shape = data.draw(st.sampled_from([(queries, keys), (n, 1, queries, keys)]))
    mask, causal = data.draw(masks(*shape)), data.draw(st.booleans())
    if mask is not None:
        mask, causal = (~mask if mask.dtype == bool else mask), False  # PyTorch takes one of them
    arrays = normal(n, heads, queries, d), normal(n, heads, keys, d), normal(n, heads, keys, values)
    compare_with_torch(Attend(mask, causal), TorchAttend(mask, causal), *arrays, rng=new_rng())


@st.composite
def multihead(draw) -> tuple[dict, dict, list]:
    """Options, masks and inputs of multi-head attention, self- or cross-."""
    n, queries, keys, heads = (draw(st.integers(1, 5)) for _ in range(4))
    width, batch_first = heads * draw(st.integers(1, 3)), draw(st.booleans())
    pairs = draw(st.sampled_from([(queries, keys), (n * heads, queries, keys)]))
    options = {"embed_dim": width, "num_heads": heads, "batch_first": batch_first}
    given_masks = {
        "key_padding_mask": draw(masks(n, keys)),
        "attn_mask": draw(masks(*pairs)),
        "is_causal": draw(st.booleans()) and len(pairs) == 2,
    }
    shapes = [(n, size, width) if batch_first else (size, n, width) for size in (queries, keys)]
    arrays = [normal(*shapes[0]), normal(*shapes[1], seed=1), normal(*shapes[1], seed=2)]
    return options | {"bias": draw(st.booleans())}, given_masks, arrays


def with_random_biases(layer: Module) -> Module:
    """Biases start at 0, where an error in them would not show."""
    for name, parameter in layer.named_parameters():
        if "bias" in name:
            parameter.data = np.random.default_rng(1).normal(size=parameter.data.shape)
    return layer


@given(case=multihead())
@checked
def test_multihead_attention_equals_torchs(case):
    options, given_masks, arrays = case
    ours = First(with_random_biases(MultiheadAttention(**options, rng=new_rng())), **given_masks)
    theirs = TorchFirst(torch.nn.MultiheadAttention(**options), **given_masks)
    compare_with_torch(ours, theirs, *arrays, rng=new_rng())


@given(case=multihead())
@settings(checked, max_examples=40)
def test_gradients_of_multihead_attention(case):
    options, given_masks, arrays = case
    ours = MultiheadAttention(**options, dropout=0.2, rng=new_rng())
    check_gradients(First(with_random_biases(ours), **given_masks), *arrays, rng=new_rng())


def test_gradients_of_the_function_over_long_masked_sequences():
    mask = np.random.default_rng(3).random((2, 1, 60, 50)) < 0.7
    arrays = normal(2, 3, 60, 2), normal(2, 3, 50, 2), normal(2, 3, 50, 2)
    check_gradients(Attend(mask, is_causal=True), *arrays, rng=new_rng())


@pytest.mark.parametrize("average", [True, False])
def test_weights_equal_torchs(average):
    theirs = torch.nn.MultiheadAttention(6, 3).double()
    ours = MultiheadAttention(6, 3, rng=new_rng()).astype(np.float64)
    ours.load_state_dict(theirs.state_dict())
    x, padding = normal(4, 2, 6), np.array([[0, 0, 1, 1], [0, 0, 0, 1]], bool)
    y, weights = ours.forward(x, x, x, padding, average_attn_weights=average)
    t = torch.tensor(x)
    expected = theirs(t, t, t, torch.tensor(padding), average_attn_weights=average)
    np.testing.assert_allclose(y, expected[0].detach(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(weights, expected[1].detach(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
    assert (weights[1, ..., 3] == 0).all()


def test_weights_by_hand():
    """Scores (ln 3) and 0 give ¾ and ¼."""
    query, key = np.array([[2.0, 0, 0, 0]]), np.array([[np.log(3), 0, 0, 0], [0, 1, 0, 0]])
    y, weights = scaled_dot_product_attention(query, key, np.array([[4.0], [8.0]]))
    np.testing.assert_allclose(weights, [[0.75, 0.25]])
    np.testing.assert_allclose(y, [[5.0]])


def test_nobody_sees_the_future_or_the_padding():
    ours = MultiheadAttention(4, 2, batch_first=True, rng=new_rng()).astype(np.float64)
    x, padding = normal(1, 5, 4), np.array([[False, False, False, False, True]])
    y, _ = ours.forward(x, x, x, padding, is_causal=True)
    changed = x.copy()
    changed[:, 3:] += 1
    again, weights = ours.forward(changed, changed, changed, padding, is_causal=True)
    np.testing.assert_array_equal(again[:, :3], y[:, :3])
    np.testing.assert_array_equal(weights[0], np.tril(weights[0]))
    assert (weights[..., 4] == 0).all()


def test_a_query_that_may_look_nowhere_gets_nothing():
    """Where PyTorch's layer answers nan; its function answers 0 too."""
    mask = np.array([[True, False], [False, False]])
    arrays = normal(2, 3), normal(2, 3), normal(2, 4)
    compare_with_torch(Attend(mask), TorchAttend(mask), *arrays, rng=new_rng())
    y, weights = scaled_dot_product_attention(*arrays, mask)
    assert (y[1] == 0).all()
    assert (weights[1] == 0).all()
    check_gradients(Attend(mask), *arrays, rng=new_rng())
    ours = MultiheadAttention(4, 2, rng=new_rng()).astype(np.float64)
    x = normal(3, 1, 4)
    y, weights = ours.forward(x, x, x, np.ones((1, 3), bool))
    assert (weights == 0).all()
    assert np.isfinite(y).all()
    assert all(np.isfinite(d).all() for d in ours.backward(x))


def test_dropout_drops_weights_in_training_only():
    ours = MultiheadAttention(4, 2, dropout=0.5, rng=new_rng()).astype(np.float64)
    x = normal(50, 1, 4)
    _, weights = ours(x, x, x, None, True, None, False)
    _, kept = ours.eval()(x, x, x, None, True, None, False)
    dropped = weights == 0
    assert 0.4 < dropped.mean() < 0.6
    np.testing.assert_allclose(weights[~dropped], 2 * kept[~dropped])
    assert (kept > 0).all()


@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 5),
    activation=st.sampled_from(["relu", "gelu"]),
    norm_first=st.booleans(),
    batch_first=st.booleans(),
    data=st.data(),
)
@settings(checked, max_examples=60)
def test_the_encoder_layer_equals_torchs(sizes, activation, norm_first, batch_first, data):
    n, length, heads, d, hidden = sizes
    options = {
        "d_model": 2 * heads * d,  # of one number, layer normalisation leaves nothing
        "nhead": heads,
        "dim_feedforward": hidden,
        "activation": activation,
        "norm_first": norm_first,
        "batch_first": batch_first,
        "dropout": 0.0,
    }
    given_masks = {
        "src_mask": data.draw(masks(length, length)),
        "src_key_padding_mask": data.draw(masks(n, length)),
    }
    ours = with_random_biases(TransformerEncoderLayer(**options, rng=new_rng()))
    theirs = torch.nn.TransformerEncoderLayer(**options)
    shape = (n, length) if batch_first else (length, n)
    x = normal(*shape, 2 * heads * d)
    compare_with_torch(
        Masked(ours, given_masks), TorchMasked(theirs, given_masks), x, rng=new_rng()
    )


class Masked(Module):
    def __init__(self, layer: TransformerEncoderLayer, given_masks: dict) -> None:
        self.layer, self.masks = layer, given_masks

    def forward(self, x):
        return self.layer.forward(x, **self.masks)

    def backward(self, gradient):
        return self.layer.backward(gradient)


class TorchMasked(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module, given_masks: dict) -> None:
        super().__init__()
        self.layer = layer
        self.masks = {k: None if m is None else torch.tensor(m) for k, m in given_masks.items()}

    def forward(self, x):
        return self.layer(x, **{k: as_number(m, x.dtype) for k, m in self.masks.items()})


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_gradients_of_the_encoder_layer(activation, norm_first):
    ours = TransformerEncoderLayer(
        4, 2, 6, 0.3, activation, norm_first=norm_first, rng=np.random.default_rng(1)
    )
    padding = {"src_key_padding_mask": np.array([[0, 0, 0, 0, 1], [0, 0, 1, 1, 1]], bool)}
    check_gradients(Masked(ours, padding | {"is_causal": True}), normal(5, 2, 4), rng=new_rng())
    check_gradients(ours.eval(), normal(5, 2, 4), rng=new_rng())


def test_evaluation_of_the_encoder_layer_equals_torchs():
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16).eval()
    ours = TransformerEncoderLayer(8, 2, 16, rng=new_rng()).eval()
    compare_with_torch(ours, theirs, normal(5, 3, 8), rng=new_rng())


def test_float32_stays_float32():
    x = normal(5, 3, 8).astype(np.float32)
    for activation in ("relu", "gelu"):
        layer = TransformerEncoderLayer(8, 2, 16, 0.1, activation, rng=new_rng())
        y = layer.forward(x, np.zeros((5, 5)), np.zeros((3, 5), bool), is_causal=True)
        arrays = [y, layer.backward(y), *(p.grad for p in layer.parameters())]
        assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    attention = MultiheadAttention(8, 2, rng=new_rng())
    arrays = [*attention(x, x, x), *attention.backward(x)]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    assert sinusoidal_positions(3, 4).dtype == np.float32


@pytest.mark.parametrize("bias", [True, False])
def test_weights_move_to_torch_and_back(bias, tmp_path):
    theirs = torch.nn.MultiheadAttention(6, 3, bias=bias)
    ours = MultiheadAttention(6, 3, bias=bias, rng=new_rng())
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.save(tmp_path / "weights.npz")
    again = MultiheadAttention(6, 3, bias=bias, rng=np.random.default_rng(1))
    again.load(tmp_path / "weights.npz")
    for name, weights in theirs.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], weights, name)


def test_weights_start_as_torchs_do():
    ours = MultiheadAttention(96, 3, rng=new_rng()).state_dict()
    assert not ours["in_proj_bias"].any()
    assert not ours["out_proj.bias"].any()
    bounds = {"in_proj_weight": np.sqrt(6 / (4 * 96)), "out_proj.weight": 96**-0.5}
    for name, bound in bounds.items():
        assert 0.99 * bound < np.abs(ours[name]).max() <= bound * (1 + 1e-6), name


def test_positions_by_hand_and_their_distances():
    positions = sinusoidal_positions(60, 6, dtype=np.float64)
    rate = 10000 ** (4 / 6)
    np.testing.assert_allclose(positions[0], [0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(positions[7, 4:], [np.sin(7 / rate), np.cos(7 / rate)])
    products = positions @ positions.T
    for k in (0, 1, 10):  # p_i · p_(i+k) depends on k alone, which is what attention sees
        np.testing.assert_allclose(np.diag(products, k), products[0, k])


x = np.zeros((4, 2, 6), np.float32)
BAD = {
    "heads": (
        lambda m: MultiheadAttention(6, 4, rng=None),
        "embed_dim is a multiple of num_heads; got 6 and 4.",
    ),
    "width": (
        lambda m: m(x[..., :5], x, x),
        "MultiheadAttention: expected float32 of shape (L, N, 6); got float32 of shape (4, 2, 5)",
    ),
    "dtype": (
        lambda m: m(x, x.astype(float), x),
        "expected float32 of shape (S, N, 6); got float64 of shape (4, 2, 6)",
    ),
    "integers": (lambda m: m(x.astype(int), x, x), "got int64 of shape (4, 2, 6)"),
    "empty": (lambda m: m(x[:, :0], x[:, :0], x[:, :0]), "got float32 of shape (4, 0, 6)"),
    "batch": (
        lambda m: m(x[:, :1], x, x),
        "as many sequences as query; got (4, 1, 6), (4, 2, 6), (4, 2, 6).",
    ),
    "values": (lambda m: m(x, x, x[:3]), "key and value have one shape"),
    "padding": (
        lambda m: m(x, x, x, np.zeros((4, 2), bool)),
        "key_padding_mask is (2, 4); got (4, 2).",
    ),
    "pairs": (
        lambda m: m(x, x, x, None, True, np.zeros((2, 4, 4))),
        "attn_mask is (4, 4) or (6, 4, 4); got (2, 4, 4).",
    ),
    "mask": (
        lambda m: m(x, x, x, np.zeros((2, 4), int)),
        "attention: a mask holds booleans or floats; got int64.",
    ),
    "gradient": (
        lambda m: (m(x, x, x), m.backward(x[:2])),
        "expected float32 of shape (4, 2, 6); got float32 of shape (2, 2, 6)",
    ),
    "function": (
        lambda m: scaled_dot_product_attention(x, x[..., :3], x),
        "attention: expected query (…, L, d), key (…, S, d) and value (…, S, F)",
    ),
    "encoder": (
        lambda m: TransformerEncoderLayer(4, 2, rng=new_rng())(x),
        "TransformerEncoderLayer: expected float32 of shape (L, N, 4)",
    ),
    "activation": (
        lambda m: TransformerEncoderLayer(4, 2, activation="tanh", rng=None),
        "activation is 'relu' or 'gelu'; got 'tanh'.",
    ),
    "positions": (lambda m: sinusoidal_positions(4, 5), "d_model even; got 4 and 5."),
}


@pytest.mark.parametrize(("call", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        call(MultiheadAttention(6, 3, rng=new_rng()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layer", [MultiheadAttention, TransformerEncoderLayer])
def test_backward_needs_a_forward(layer):
    with pytest.raises(RuntimeError, match=f"{layer.__name__}: backward needs a forward before it"):
        layer(6, 3, rng=new_rng()).backward(x)
