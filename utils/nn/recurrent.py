"""RNN, LSTM and GRU: layers that read a sequence step by step and carry a state.

From the bottom to the top: ``Packing`` lays sequences of different lengths out without their
padding. A ``Cell`` is one step and its derivative. A ``Direction`` walks its cell along the steps
and does the matrix products, a ``Layer`` has one or two directions, and ``Recurrent`` has layers.
``RNN``, ``LSTM`` and ``GRU`` only name their cell.

Inside, a sequence is a column, as in the formulas: W x, not x Wᵀ. Sizes: T steps, N sequences,
n of them running at a step, I inputs, H hidden units, G gates, S states (h, and for LSTM also c),
L layers, D directions, F features of any kind.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from utils.nn.dropout import Dropout
from utils.nn.init import uniform
from utils.nn.module import Array, Module, Parameter

Steps = list[Array]  # one array (F, n) for each step
State = Array | tuple[Array, Array]  # h, or for LSTM (h, c); each (L·D, N, H)


class Packing:
    """Sequences of different lengths, longest first and without padding, as PyTorch packs them.

        a, b, c of lengths 3, 2, 1  →  steps with the columns  a₀ b₀ c₀ | a₁ b₁ | a₂

    The sequences that run at a step are always the first ones, so a step belongs to the first
    columns of the state. From the last step to the first is the reverse direction: each sequence
    joins in at its own last step.
    """

    def __init__(self, lengths: NDArray[np.integer], steps: int, batch_first: bool) -> None:
        """``lengths`` (N,) from 1 to ``steps``; padded arrays are (T, N, F), or (N, T, F)."""
        self.order = np.argsort(-lengths, kind="stable")  # longest first
        self.batch_first = batch_first
        self.shape = (len(lengths), steps) if batch_first else (steps, len(lengths))
        counts = [np.count_nonzero(lengths > t) for t in range(lengths.max())]  # n of each step
        self.running = [self.order[:n] for n in counts]

    def pack(self, padded: Array) -> Steps:
        """(T, N, F) → a list of (F, n)."""
        steps = zip(self._by_step(padded), self.running, strict=False)
        return [np.ascontiguousarray(x[running].T) for x, running in steps]

    def unpack(self, steps: Steps) -> Array:
        """A list of (F, n) → (T, N, F), 0 after the end of each sequence."""
        padded = np.zeros((*self.shape, len(steps[0])), steps[0].dtype)
        for x, running, step in zip(self._by_step(padded), self.running, steps, strict=False):
            x[running] = step.T
        return padded

    def _by_step(self, padded: Array) -> Array:
        return padded.swapaxes(0, 1) if self.batch_first else padded

    def sort(self, states: Sequence[Array]) -> Array:
        """S arrays (L·D, N, H) in the user's order → (L·D, S, H, N) in ours, a copy."""
        return np.stack([state[:, self.order].swapaxes(1, 2) for state in states], axis=1)

    def unsort(self, states: Array) -> tuple[Array, ...]:
        """The inverse of ``sort``."""
        back = np.argsort(self.order)
        return tuple(
            np.ascontiguousarray(s[..., back].swapaxes(1, 2)) for s in states.swapaxes(0, 1)
        )


class Cell:
    """One step: what becomes of the state h when W_ih x + b_ih meets W_hh h + b_hh.

    There are ``gates`` such sums of H numbers each, and ``states`` states. ``slots`` ≥ gates is how
    many arrays (H, n) a step keeps for its derivative.
    """

    gates = 1
    slots = 1
    states = 1

    def step(self, inputs: Array, gates: Array, state: Array) -> None:
        """Turn ``state`` (S, H, n) into the next one, in place.

        ``inputs`` (G, H, n) is W_ih x + b_ih. ``gates`` (slots, H, n) comes with W_hh h + b_hh in
        its first G slots and leaves with what ``step_backward`` needs.
        """
        raise NotImplementedError

    def step_backward(self, gates: Array, before: Array, gradient: Array, out: Array) -> None:
        """The derivative of a step that left ``gates`` and whose state was ``before`` (S, H, n).

        ``gradient`` (S, H, n) of the state after the step becomes that of the state before it,
        without its way through W_hh. ``out`` (slots, H, n) gets that of W_hh h + b_hh.
        """
        raise NotImplementedError

    def to_inputs(self, out: Array) -> None:
        """Turn the gradient of W_hh h + b_hh into that of W_ih x + b_ih: of a sum, the same."""


class TanhCell(Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman 1990, Cognitive Science 14, 179–211)."""

    def step(self, inputs: Array, gates: Array, state: Array) -> None:
        gates += inputs
        np.tanh(gates, out=gates)
        state[...] = gates

    def step_backward(self, gates: Array, before: Array, gradient: Array, out: Array) -> None:
        np.multiply(gradient, 1 - gates * gates, out=out)  # tanh′ = 1 − tanh²
        gradient[...] = 0  # the only way back is through W_hh


class ReLUCell(Cell):
    """h' = max(W_ih x + b_ih + W_hh h + b_hh, 0)."""

    def step(self, inputs: Array, gates: Array, state: Array) -> None:
        gates += inputs
        np.maximum(gates, 0, out=gates)
        state[...] = gates

    def step_backward(self, gates: Array, before: Array, gradient: Array, out: Array) -> None:
        np.multiply(gradient, gates > 0, out=out)
        gradient[...] = 0  # the only way back is through W_hh


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; f: Gers et al. 2000).

    With a = W_ih x + b_ih + W_hh h + b_hh in four parts, for the gates i, f, o and the candidate g:

        i, f, o = σ(a_i), σ(a_f), σ(a_o)    g = tanh(a_g)
        c' = f c + i g                      h' = o tanh(c')
    """

    gates, states = 4, 2
    slots = 5  # i, f, g, o, tanh(c')

    def step(self, inputs: Array, gates: Array, state: Array) -> None:
        gates[:4] += inputs
        sigmoid_(gates[:2])
        np.tanh(gates[2], out=gates[2])
        sigmoid_(gates[3])
        i, f, g, o, tanh_c = gates
        h, c = state
        c *= f
        c += i * g  # c' = f c + i g
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=h)  # h' = o tanh(c')

    def step_backward(self, gates: Array, before: Array, gradient: Array, out: Array) -> None:
        (dh, dc), (_, c) = gradient, before
        i, f, g, o, tanh_c = gates
        di, df, dg, do, _ = out
        np.multiply(dh, tanh_c * o * (1 - o), out=do)  # σ′ = σ (1 − σ)
        dc += dh * o * (1 - tanh_c * tanh_c)  # tanh′ = 1 − tanh²
        np.multiply(dc, g * i * (1 - i), out=di)
        np.multiply(dc, c * f * (1 - f), out=df)
        np.multiply(dc, i * (1 - g * g), out=dg)
        dc *= f
        dh[...] = 0  # the only way back is through W_hh


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), with r after W_hn as in PyTorch.

    r = σ(W_ir x + b_ir + W_hr h + b_hr)            z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))     h' = (1 − z) n + z h
    """

    gates = 3
    slots = 4  # r, z, n, m = W_hn h + b_hn

    def step(self, inputs: Array, gates: Array, state: Array) -> None:
        gates[:2] += inputs[:2]
        sigmoid_(gates[:2])
        _, z, n, m = gates
        m[...] = n
        n *= gates[0]
        n += inputs[2]
        np.tanh(n, out=n)
        h = state[0]
        h -= n
        h *= z
        h += n  # h' = n + z (h − n)

    def step_backward(self, gates: Array, before: Array, gradient: Array, out: Array) -> None:
        (r, z, n, m), (dh,), (h,) = gates, gradient, before
        dr, dz, dm, dn = out  # dm where W_hh h + b_hh has it: third
        np.multiply(dh, (1 - z) * (1 - n * n), out=dn)  # tanh′ = 1 − tanh²
        np.multiply(dn, r, out=dm)
        np.multiply(dm, m * (1 - r), out=dr)  # σ′ = σ (1 − σ)
        np.multiply(dh, (h - n) * z * (1 - z), out=dz)
        dh *= z

    def to_inputs(self, out: Array) -> None:
        out[2] = out[3]  # W_in x + b_in is not multiplied by r


def sigmoid_(x: Array) -> None:
    """x ← σ(x) = (1 + tanh(x/2)) / 2, in place: twice as fast as ``activations.sigmoid``."""
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5


class Direction:
    """One direction of one layer: a cell, its weights, and the walk along the steps."""

    def __init__(self, cell: Cell, parameters: dict[str, Parameter], reverse: bool) -> None:
        """The weights of the gates lie below each other: weight_ih (G·H, I), weight_hh (G·H, H)."""
        self.cell, self.parameters = cell, parameters
        self.order = slice(None, None, -1 if reverse else 1)

    def forward(self, xs: Steps, state: Array) -> Steps:
        """x (I, n) → h (H, n) in every step. ``state`` (S, H, N): the first turns into the last."""
        w_ih, w_hh = self.parameters["weight_ih"].data, self.parameters["weight_hh"].data
        b_ih, b_hh = self._bias("bias_ih", state), self._bias("bias_hh", state)
        hs, self.saved = [], []
        for x in xs[self.order]:
            n = x.shape[1]
            now = state[:, :, :n]
            before, gates = now.copy(), np.empty((self.cell.slots, state.shape[1], n), x.dtype)
            inputs = w_ih @ x
            inputs += b_ih[:, :n]
            recurrent = np.matmul(w_hh, now[0], out=gates.reshape(-1, n)[: len(w_hh)])
            recurrent += b_hh[:, :n]
            self.cell.step(inputs.reshape(-1, *before.shape[1:]), gates, now)
            self.saved.append((x, gates, before))
            hs.append(now[0].copy())
        return hs[self.order]

    def backward(self, gradients: Steps, state: Array) -> Steps:
        """Gradient of h (H, n) → of x (I, n). ``state``: that of the last → of the first state."""
        w_ih, w_hh = self.parameters["weight_ih"].data, self.parameters["weight_hh"].data
        steps = list(zip(self.saved, gradients[self.order], strict=True))
        dxs = []
        for (x, gates, before), dh in reversed(steps):
            now, out = state[:, :, : x.shape[1]], np.empty_like(gates)
            now[0] += dh
            self.cell.step_backward(gates, before, now, out)
            d = out.reshape(-1, x.shape[1])[: len(w_hh)]  # (G·H, n)
            now[0] += w_hh.T @ d
            self._accumulate("hh", d, before[0])
            self.cell.to_inputs(out)
            self._accumulate("ih", d, x)
            dxs.append(w_ih.T @ d)
        return dxs[::-1][self.order]

    def _bias(self, name: str, state: Array) -> Array:
        """(G·H, N): the bias once for each sequence, or 0."""
        bias = self.parameters.get(name)
        column = bias.data if bias else np.zeros(self.cell.gates * state.shape[1], state.dtype)
        return np.repeat(column[:, None], state.shape[2], axis=1)

    def _accumulate(self, kind: str, d: Array, x: Array) -> None:
        """dW = d xᵀ, db = Σ d: the contribution of one step."""
        self.parameters[f"weight_{kind}"].accumulate(d @ x.T)
        if f"bias_{kind}" in self.parameters:
            ones = np.ones(d.shape[1], d.dtype)
            self.parameters[f"bias_{kind}"].accumulate(d @ ones)  # as a product: faster than sum


class Layer(Module):
    """One or two directions that read the same columns, after a dropout."""

    def __init__(self, directions: list[Direction], dropout: Dropout) -> None:
        self.directions, self.dropout = directions, dropout

    def forward(self, xs: Steps, states: Array) -> Steps:
        """x (I, n) → y (D·H, n) in every step, and ``states`` (D, S, H, N) in place."""
        if self.dropout.p:
            xs = _all_at_once(self.dropout.forward, xs)
        pairs = zip(self.directions, states, strict=True)
        hs = [direction.forward(xs, state) for direction, state in pairs]
        return [np.concatenate(h) for h in zip(*hs, strict=True)]

    def backward(self, gradients: Steps, states: Array) -> Steps:
        """Gradient of y (D·H, n) → of x (I, n) in every step, and of ``states`` in place."""
        parts = zip(*(np.split(dy, len(self.directions)) for dy in gradients), strict=True)
        triples = zip(self.directions, parts, states, strict=True)
        dxs = [direction.backward(dh, state) for direction, dh, state in triples]
        dx = [reduce(np.add, ways) for ways in zip(*dxs, strict=True)]
        return _all_at_once(self.dropout.backward, dx) if self.dropout.p else dx


def _all_at_once(function: Callable[[Array], Array], steps: Steps) -> Steps:
    """One call of an element-wise function for the arrays of all steps."""
    ends = np.cumsum([x.shape[1] for x in steps])
    return np.split(function(np.concatenate(steps, axis=1)), ends[:-1], axis=1)


class Recurrent(Module):
    """Base of ``RNN``, ``LSTM`` and ``GRU``; arguments, names and layouts are PyTorch's.

    Layer k reads the outputs of layer k − 1, both directions of them if ``bidirectional``, each
    number set to 0 with probability ``dropout`` in training.
    """

    cell: Cell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_sizes(self.name, input_size, hidden_size, num_layers)
        self.input_size, self.hidden_size, self.batch_first = input_size, hidden_size, batch_first
        self.layers: list[Layer] = []
        for i in range(num_layers):
            directions = []
            for way in ("", "_reverse")[: 1 + bidirectional]:
                inputs = (1 + bidirectional) * hidden_size if i else input_size
                parameters = draw(self.cell.gates, inputs, hidden_size, bias, rng, dtype)
                vars(self).update({f"{k}_l{i}{way}": p for k, p in parameters.items()})
                directions.append(Direction(self.cell, parameters, reverse=bool(way)))
            self.layers.append(Layer(directions, Dropout(dropout if i else 0.0, rng=rng)))

    def forward(
        self, x: Array, lengths: ArrayLike | None = None, state: State | None = None
    ) -> tuple[Array, State]:
        """Read the sequences ``x`` (T, N, I), or (N, T, I) if ``batch_first``.

        ``lengths`` (N,) says how long each is (T by default), ``state`` (L·D, N, H) what it starts
        from (0 by default). Returns the outputs of the last layer (T, N, D·H), which are 0 after
        the end of a sequence, and the state (L·D, N, H) of every layer and direction after its
        last step. The reverse direction starts at the end of each sequence, so its last step is
        the sequence's first. The state of an LSTM is the pair (h, c).
        """
        axes = "NT" if self.batch_first else "TN"
        self.check(x, *axes, self.input_size, dtype=self.weight_ih_l0.data.dtype)
        packing = checked_packing(self.name, x, lengths, self.batch_first)
        states, steps = sorted_states(self, state, packing), packing.pack(x)
        for layer, now in zip(self.layers, states, strict=True):
            steps = layer.forward(steps, now)
        self._saved = packing
        return packing.unpack(steps), given_states(states, packing)

    def backward(self, gradient: Array | None, state_gradient: State | None = None) -> Array:
        """Gradient with respect to ``x`` from those of the outputs and of the returned state.

        None stands for 0. The gradient with respect to the first state is left in
        ``self.state_gradient``.
        """
        packing = self.saved()
        states = sorted_states(self, state_gradient, packing)
        shape = (*packing.shape, states.shape[1] * self.hidden_size)
        gradient = np.zeros(shape, states.dtype) if gradient is None else gradient
        self.check(gradient, *shape, dtype=states.dtype)
        steps = packing.pack(gradient)
        for layer, now in zip(self.layers[::-1], states[::-1], strict=True):
            steps = layer.backward(steps, now)
        self.state_gradient = given_states(states, packing)
        return packing.unpack(steps)


def check_sizes(layer: str, *sizes: int) -> None:
    """Raise ValueError for a size below 1."""
    if min(sizes) < 1:
        raise ValueError(
            f"{layer}: input_size, hidden_size and num_layers are whole numbers ≥ 1; got {sizes}."
        )


def draw(
    gates: int, inputs: int, hidden: int, bias: bool, rng: np.random.Generator, dtype: DTypeLike
) -> dict[str, Parameter]:
    """The parameters of one direction, uniform in ±1/√H."""
    rows = gates * hidden
    shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden)}
    if bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    return {name: uniform(s, 1 / math.sqrt(hidden), rng, dtype) for name, s in shapes.items()}


def checked_packing(layer: str, x: Array, lengths: ArrayLike | None, batch_first: bool) -> Packing:
    """Raise ValueError unless ``lengths`` is None or one length from 1 to T for each sequence."""
    sequences, steps = x.shape[:2] if batch_first else x.shape[1::-1]
    lengths = np.full(sequences, steps) if lengths is None else np.asarray(lengths)
    whole = lengths.dtype.kind in "iu" and lengths.shape == (sequences,)
    if not whole or lengths.min() < 1 or lengths.max() > steps:
        raise ValueError(
            f"{layer}: lengths are {sequences} whole numbers from 1 to {steps}; "
            f"got {lengths.tolist()}."
        )
    return Packing(lengths.astype(np.int64), steps, batch_first)


def sorted_states(layer: Recurrent, state: State | None, packing: Packing) -> Array:
    """A state (L·D, N, H), or a pair, as one new array (L, D, S, H, N); 0 for None."""
    layers, ways, kinds = len(layer.layers), len(layer.layers[0].directions), layer.cell.states
    dtype, sequences = layer.weight_ih_l0.data.dtype, len(packing.order)
    if state is None:
        return np.zeros((layers, ways, kinds, layer.hidden_size, sequences), dtype)
    parts = state if isinstance(state, tuple) else (state,)
    if len(parts) != kinds:
        expected = "the pair (h, c)" if kinds == 2 else "one array"
        raise ValueError(f"{layer.name}: its state is {expected}; got {len(parts)}.")
    for part in parts:
        layer.check(part, layers * ways, sequences, layer.hidden_size, dtype=dtype)
    return packing.sort(parts).reshape(layers, ways, kinds, layer.hidden_size, sequences)


def given_states(states: Array, packing: Packing) -> State:
    """The inverse of ``sorted_states``."""
    parts = packing.unsort(states.reshape(-1, *states.shape[2:]))
    return parts if len(parts) > 1 else parts[0]


class RNN(Recurrent):
    """Plain recurrent network with h' = tanh(…) or max(…, 0), as torch.nn.RNN."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        **options: Any,
    ) -> None:
        """``options``: what ``Recurrent`` takes after ``num_layers``, by name."""
        cells = {"tanh": TanhCell(), "relu": ReLUCell()}
        if nonlinearity not in cells:
            raise ValueError(f"RNN: nonlinearity is 'tanh' or 'relu'; got {nonlinearity!r}.")
        self.cell = cells[nonlinearity]
        super().__init__(input_size, hidden_size, num_layers, **options)


class LSTM(Recurrent):
    """Layers of ``LSTMCell``, as torch.nn.LSTM; a state is the pair (h, c)."""

    cell = LSTMCell()


class GRU(Recurrent):
    """Layers of ``GRUCell``, as torch.nn.GRU."""

    cell = GRUCell()
