"""Attention: each element of a sequence looks at the others and takes what it needs.

After Vaswani et al. 2017, "Attention is all you need" (arXiv 1706.03762); numbers of sections and
equations are theirs. Sizes: N sequences, L queries, S keys and values of E numbers each, h heads of
d = E / h numbers.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from utils.nn.activations import GELU, ReLU, softmax
from utils.nn.dropout import Dropout
from utils.nn.init import xavier_uniform_
from utils.nn.linear import Linear
from utils.nn.module import Array, Module, Parameter, Sequential
from utils.nn.normalisation import LayerNorm

Mask = Array | NDArray[np.bool_]


def scaled_dot_product_attention(
    query: Array, key: Array, value: Array, attn_mask: Mask | None = None, is_causal: bool = False
) -> tuple[Array, Array]:
    """Y = A V with A = softmax(Q Kᵀ / √d) (equation 1): how much a query takes of each value.

    query (…, L, d), key (…, S, d), value (…, S, F) → Y (…, L, F) and A (…, L, S). As the function
    of torch.nn.functional, which keeps A: ``attn_mask``, broadcast to (…, L, S), is True where a
    query *may* look, or floats to add to the scores; ``is_causal`` lets query i see keys 0 … i.
    The weights of a query that may look nowhere are 0.
    """
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"attention: expected query (…, L, d), key (…, S, d) and value (…, S, F); "
            f"got {query.shape}, {key.shape} and {value.shape}."
        )
    masks = [] if attn_mask is None else [~attn_mask if attn_mask.dtype == bool else attn_mask]
    if is_causal:
        masks.append(causal_mask(query.shape[-2], key.shape[-2]))
    weights = attention_weights(query, key, masks)
    return weights @ value, weights


def scaled_dot_product_attention_backward(
    gradient: Array, query: Array, key: Array, value: Array, weights: Array
) -> tuple[Array, Array, Array]:
    """Gradients of ``query``, ``key`` and ``value`` from that of Y (…, L, F)."""
    to_weights = gradient @ value.swapaxes(-1, -2)  # dA = dY Vᵀ
    dq, dk = attention_weights_backward(to_weights, query, key, weights)
    return dq, dk, weights.swapaxes(-1, -2) @ gradient  # dV = Aᵀ dY


def attention_weights(query: Array, key: Array, masks: Sequence[Mask] = ()) -> Array:
    """A = softmax(Q Kᵀ / √d) for (…, L, d) and (…, S, d) → (…, L, S).

    ``masks``, each broadcast to (…, L, S), are True where *not* to look, or floats to add to the
    scores.
    """
    scores = query @ key.swapaxes(-1, -2)
    scores *= 1 / math.sqrt(query.shape[-1])
    if not masks:
        return softmax(scores)
    for mask in masks:
        if mask.dtype.kind not in "bf":
            raise ValueError(f"attention: a mask holds booleans or floats; got {mask.dtype}.")
        scores += np.where(mask, -np.inf, 0) if mask.dtype == bool else mask
    blind = np.isneginf(scores).all(axis=-1, keepdims=True)
    return softmax(np.where(blind, 0, scores)) * ~blind


def attention_weights_backward(
    gradient: Array, query: Array, key: Array, weights: Array
) -> tuple[Array, Array]:
    """Gradients of ``query`` and ``key`` from that of A (…, L, S)."""
    slope = np.sum(weights * gradient, axis=-1, keepdims=True)
    scores = weights * (gradient - slope)  # dS = A ⊙ (dA − Σ A dA), through the softmax
    scores *= 1 / math.sqrt(query.shape[-1])
    return scores @ key, scores.swapaxes(-1, -2) @ query  # dQ = dS K / √d, dK = dSᵀ Q / √d


def causal_mask(queries: int, keys: int) -> NDArray[np.bool_]:
    """(L, S), True where a key comes after the query: nobody looks into the future."""
    return np.arange(keys) > np.arange(queries)[:, None]


def sinusoidal_positions(length: int, d_model: int, *, dtype: DTypeLike = np.float32) -> Array:
    """(length, d_model): a pattern for each position, to be added to what stands there.

    PE(pos, 2i) = sin(pos / 10000^(2i/d_model)), PE(pos, 2i+1) = cos(pos / 10000^(2i/d_model))
    (section 3.5).
    """
    if length < 1 or d_model < 2 or d_model % 2:
        raise ValueError(
            f"sinusoidal_positions: length is ≥ 1 and d_model even; got {length} and {d_model}."
        )
    rates = 10000.0 ** (-np.arange(0, d_model, 2) / d_model)  # (d_model / 2,)
    angles = np.arange(length)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(length, -1).astype(dtype)


class MultiheadAttention(Module):
    """h attentions side by side, each on projections of its own (section 3.2.2).

    head_i = Attention(Q W_iQ, K W_iK, V W_iV),  Y = concat(head_1, …, head_h) W_O

    As torch.nn.MultiheadAttention: in_proj_weight (3E, E) holds the projections of query, key and
    value of all heads below each other; out_proj is a Linear layer.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if min(embed_dim, num_heads) < 1 or embed_dim % num_heads:
            sizes = f"{embed_dim} and {num_heads}"
            raise ValueError(f"{self.name}: embed_dim is a multiple of num_heads; got {sizes}.")
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        weight = Parameter(np.empty((3 * embed_dim, embed_dim), dtype))
        self.in_proj_weight = xavier_uniform_(weight, rng=rng)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if bias:
            self.out_proj.bias.data[...] = 0
        self.dropout = Dropout(dropout, rng=rng)

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Mask | None = None,
        need_weights: bool = True,
        attn_mask: Mask | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Array, Array | None]:
        """query (L, N, E), key and value (S, N, E) → (L, N, E); N comes first if ``batch_first``.

        Masks are True where *not* to look: ``key_padding_mask`` (N, S) at keys that are padding,
        ``attn_mask`` (L, S) or (N·h, L, S) at pairs; floats are added to the scores instead.
        ``is_causal`` lets query i see keys 0 … i. The second output is the weights: their mean
        over the heads (N, L, S), or all of them (N, h, L, S).
        """
        check_inputs(self, query, key, value)
        inputs = [self._turn(x) for x in (query, key, value)]
        projected = project(inputs, self.in_proj_weight, self.in_proj_bias)
        q, k, v = heads = [split_heads(x, self.num_heads) for x in projected]  # (N, h, L or S, d)
        shape = (*q.shape[:3], k.shape[2])
        masks = scores_masks(self.name, shape, key_padding_mask, attn_mask, is_causal)
        weights = attention_weights(q, k, masks)
        dropped = self.dropout.forward(weights)  # after the softmax, as in PyTorch
        self._saved = inputs, heads, weights, dropped
        y = self._turn(self.out_proj.forward(join_heads(dropped @ v)))
        if not need_weights:
            return y, None
        return y, dropped.mean(axis=1) if average_attn_weights else dropped

    def backward(self, gradient: Array) -> tuple[Array, Array, Array]:
        """Gradients of query, key and value from that of the first output."""
        inputs, (q, k, v), weights, dropped = self.saved()
        self.check(gradient, *self._turn(inputs[0]).shape, dtype=q.dtype)
        dy = split_heads(self.out_proj.backward(self._turn(gradient)), self.num_heads)
        to_weights = self.dropout.backward(dy @ v.swapaxes(2, 3))  # dA = dY Vᵀ
        dq, dk = attention_weights_backward(to_weights, q, k, weights)
        dv = dropped.swapaxes(2, 3) @ dy  # dV = Aᵀ dY
        gradients = [join_heads(d) for d in (dq, dk, dv)]
        dx = project_backward(gradients, inputs, self.in_proj_weight, self.in_proj_bias)
        return tuple(self._turn(d) for d in dx)

    def axes(self, length: str) -> str:
        """The letters of the first two axes in the user's order."""
        return f"N{length}" if self.batch_first else f"{length}N"

    def _turn(self, x: Array) -> Array:
        """From the user's order of axes to N first, and back."""
        return x if self.batch_first else x.swapaxes(0, 1)


def check_inputs(layer: MultiheadAttention, query: Array, key: Array, value: Array) -> None:
    """Raise ValueError unless query is (L, N, E), and key and value are both (S, N, E)."""
    for x, length in ((query, "L"), (key, "S"), (value, "S")):
        dtype = layer.in_proj_weight.data.dtype
        layer.check(x, *layer.axes(length), layer.embed_dim, dtype=dtype)
    sequences = 0 if layer.batch_first else 1
    if query.shape[sequences] != key.shape[sequences] or key.shape != value.shape:
        raise ValueError(
            f"{layer.name}: key and value have one shape, and as many sequences as query; "
            f"got {query.shape}, {key.shape}, {value.shape}."
        )


def scores_masks(
    layer: str,
    shape: tuple[int, ...],
    key_padding_mask: Mask | None,
    attn_mask: Mask | None,
    is_causal: bool,
) -> list[Mask]:
    """The masks that are given, each broadcasting to the scores' shape (N, h, L, S)."""
    n, heads, queries, keys = shape
    masks = [causal_mask(queries, keys)] if is_causal else []
    if key_padding_mask is not None:
        _check_mask(layer, "key_padding_mask", key_padding_mask, (n, keys))
        masks.append(key_padding_mask[:, None, None])
    if attn_mask is not None:
        _check_mask(layer, "attn_mask", attn_mask, (queries, keys), (n * heads, queries, keys))
        masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.reshape(shape))
    return masks


def _check_mask(layer: str, what: str, mask: Mask, *shapes: tuple[int, ...]) -> None:
    if mask.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(f"{layer}: {what} is {expected}; got {mask.shape}.")


def project(inputs: list[Array], weight: Parameter, bias: Parameter | None) -> list[Array]:
    """x W_iᵀ + b_i for the i-th of three inputs (N, L, E), with W (3E, E) and b (3E,) in thirds."""
    weights = np.split(weight.data, 3)
    biases = np.split(bias.data, 3) if bias else (0, 0, 0)
    return [x @ w.T + b for x, w, b in zip(inputs, weights, biases, strict=True)]


def project_backward(
    gradients: list[Array], inputs: list[Array], weight: Parameter, bias: Parameter | None
) -> list[Array]:
    """dx_i = dy_i W_i; what is added to the parameters is dW_i = dy_iᵀ x_i and db_i = Σ dy_i."""
    rows = [d.reshape(-1, d.shape[2]) for d in gradients]
    pairs = zip(rows, inputs, strict=True)
    weight.accumulate(np.concatenate([d.T @ x.reshape(-1, x.shape[2]) for d, x in pairs]))
    if bias:
        bias.accumulate(np.concatenate([d.sum(axis=0) for d in rows]))
    return [d @ w for d, w in zip(gradients, np.split(weight.data, 3), strict=True)]


def split_heads(x: Array, heads: int) -> Array:
    """(N, L, E) → (N, h, L, d)."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def join_heads(x: Array) -> Array:
    """(N, h, L, d) → (N, L, E)."""
    return x.swapaxes(1, 2).reshape(len(x), x.shape[2], -1)


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers, each with a way around it (section 3.1).

    norm_first=False, as in the paper:                   x ← LN₁(x + SA(x)),  x ← LN₂(x + FF(x))
    norm_first=True (Xiong et al. 2020, 2002.04745):     x ← x + SA(LN₁(x)),  x ← x + FF(LN₂(x))

    with FF(x) = W₂ f(W₁ x + b₁) + b₂ (equation 2). As torch.nn.TransformerEncoderLayer.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Literal["relu", "gelu"] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        functions = {"relu": ReLU, "gelu": GELU}
        if activation not in functions:
            raise ValueError(f"{self.name}: activation is 'relu' or 'gelu'; got {activation!r}.")
        own = {"rng": rng, "dtype": dtype}
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **own)
        self.linear1 = Linear(d_model, dim_feedforward, **own)
        self.activation = functions[activation]()
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, **own)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, dtype=dtype)
        self.dropout1 = Dropout(dropout, rng=rng)
        self.dropout2 = Dropout(dropout, rng=rng)

    def forward(
        self,
        src: Array,
        src_mask: Mask | None = None,
        src_key_padding_mask: Mask | None = None,
        is_causal: bool = False,
    ) -> Array:
        """(L, N, E) → (L, N, E), or N first; masks are those of ``MultiheadAttention``."""
        weight = self.linear1.weight.data
        self.check(src, *self.self_attn.axes("L"), weight.shape[1], dtype=weight.dtype)
        self._saved = src.shape
        masks = src_key_padding_mask, False, src_mask, True, is_causal
        if self.norm_first:
            x = src + self._attend(self.norm1.forward(src), masks)
            return x + self._feed_forward().forward(self.norm2.forward(x))
        x = self.norm1.forward(src + self._attend(src, masks))
        return self.norm2.forward(x + self._feed_forward().forward(x))

    def backward(self, gradient: Array) -> Array:
        """Through the branches and around them: the two gradients are added."""
        self.check(gradient, *self.saved(), dtype=self.linear1.weight.data.dtype)
        if self.norm_first:
            dx = gradient + self.norm2.backward(self._feed_forward().backward(gradient))
            return dx + self.norm1.backward(self._attend_backward(dx))
        dx = self.norm2.backward(gradient)
        dx = self.norm1.backward(dx + self._feed_forward().backward(dx))
        return dx + self._attend_backward(dx)

    def _attend(self, x: Array, options: tuple) -> Array:
        """SA(x), followed by a dropout."""
        y, _ = self.self_attn.forward(x, x, x, *options)
        return self.dropout1.forward(y)

    def _attend_backward(self, gradient: Array) -> Array:
        return sum(self.self_attn.backward(self.dropout1.backward(gradient)))

    def _feed_forward(self) -> Sequential:
        """FF with a dropout after f and another at the end; it owns nothing."""
        layers = self.linear1, self.activation, self.dropout, self.linear2, self.dropout2
        return Sequential(*layers)
