"""Module and Parameter: what every layer of this library is made of.

A layer computes ``forward(x)`` and remembers what its ``backward(gradient)`` needs. ``backward``
takes the gradient of the loss with respect to the layer's output, adds to the ``grad`` of its
parameters, and returns the gradient with respect to its input. That is all of backpropagation.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from utils.paths import atomic

Array = NDArray[np.floating]


class Parameter:
    """An array that is learned: its values ``data`` and their gradient ``grad`` (None at first).

    ``rows`` are the rows of ``grad`` that may differ from zero, in order; None means all of them.
    """

    def __init__(self, data: ArrayLike) -> None:
        self.data: Array = np.asarray(data, order="C")  # optimizers see it as one long row
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad: Array | None = None
        self.rows: NDArray[np.integer] | None = None

    def accumulate(self, gradient: Array) -> None:
        """grad ← grad + gradient: a parameter that is used twice collects both contributions.

        The array becomes the parameter's own: later sums are written into it.
        """
        if self.grad is None:
            self.grad = np.asarray(gradient)  # the sum of an axis may be a scalar
        else:
            self.grad += gradient
        self.rows = None

    def accumulate_rows(self, rows: NDArray[np.integer], gradient: Array) -> None:
        """grad[rows] ← grad[rows] + gradient, for distinct ``rows`` (K,) and gradient (K, …)."""
        if self.grad is None:
            self.grad, self.rows = np.zeros_like(self.data), rows
        elif self.rows is not None:
            self.rows = np.union1d(self.rows, rows)
        self.grad[rows] += gradient


class Module:
    """A layer, or layers joined together.

    Parameters, buffers (arrays that are kept but not learned) and sub-modules are found among the
    attributes, in the order in which ``__init__`` set them. Names in ``buffers`` list the buffers.
    """

    training = True
    buffers: tuple[str, ...] = ()
    _saved: Any = None  # what backward needs; set by forward

    def forward(self, x: Array) -> Array:
        raise NotImplementedError

    def backward(self, gradient: Array) -> Array:
        raise NotImplementedError

    def accumulate(self, gradient: Array) -> None:
        """As ``backward``, without the gradient with respect to the input.

        Training needs none where the input is data. A first layer that overrides this saves work.
        """
        self.backward(gradient)

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def saved(self) -> Any:
        """What the last forward remembered. Raises RuntimeError when there was none."""
        if self._saved is None:
            raise RuntimeError(f"{self.name}: backward needs a forward before it.")
        return self._saved

    def check(self, x: Array, *shape: str | int, dtype: Any = None) -> None:
        """Raise ValueError unless ``x`` is a float array (of ``dtype``) of this shape, not empty.

        A letter stands for any size, a leading "…" for any number of axes: ("…", 784).
        """
        fits = isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size > 0
        if fits and (dtype is None or x.dtype == dtype) and _matches(x.shape, shape):
            return
        expected = f"{'floats' if dtype is None else np.dtype(dtype)} of shape {_shown(shape)}"
        got = f"{x.dtype} of shape {_shown(x.shape)}" if hasattr(x, "shape") else type(x).__name__
        raise ValueError(f"{self.name}: expected {expected}; got {got}.")

    @property
    def name(self) -> str:
        return type(self).__name__

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """Direct sub-modules with their names; a list of modules is numbered."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list) and value and isinstance(value[0], Module):
                yield from ((f"{name}.{i}", module) for i, module in enumerate(value))

    def modules(self) -> Iterator["Module"]:
        """This module and every one inside it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """All parameters with PyTorch's dotted names."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, child in self.children():
            yield from child.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> list[Parameter]:
        """All parameters, each once, also where two layers share it."""
        return list(dict.fromkeys(parameter for _, parameter in self.named_parameters()))

    def zero_grad(self) -> None:
        """Forget all gradients; call it before each backward."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def train(self, mode: bool = True) -> Self:
        """Switch to training behaviour (dropout drops, batch norm uses the batch)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation behaviour."""
        return self.train(False)

    def astype(self, dtype: Any) -> Self:
        """Convert all parameters and float buffers, to float64 for a gradient check."""
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype, order="C")
            parameter.zero_grad()
        for module in self.modules():
            for name in module.buffers:
                value = getattr(module, name)
                if value.dtype.kind == "f":
                    setattr(module, name, value.astype(dtype))
        return self

    def _arrays(self, prefix: str = "") -> Iterator[tuple[str, Array]]:
        """All parameters and buffers themselves, with PyTorch's names and in its order."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value.data
        for name in self.buffers:
            yield prefix + name, getattr(self, name)
        for name, child in self.children():
            yield from child._arrays(f"{prefix}{name}.")

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers, with PyTorch's names and in its order."""
        return {name: array.copy() for name, array in self._arrays()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over all parameters and buffers, converted to the module's own dtype.

        ``state`` may hold tensors: ``load_state_dict(torch_model.state_dict())``. Nothing changes
        when names are missing or unexpected or a shape is wrong: that raises ValueError.
        """
        own = dict(self._arrays())
        missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unexpected:
            raise ValueError(
                f"{self.name}: these weights belong to another model; "
                f"missing {missing}, unexpected {unexpected}."
            )
        given = {name: np.asarray(state[name]) for name in own}
        for name, array in own.items():
            if given[name].shape != array.shape:
                raise ValueError(
                    f"{self.name}: {name} has shape {array.shape}; got {given[name].shape}."
                )
        for name, array in own.items():
            array[...] = given[name]

    def save(self, path: Path | str) -> None:
        """Write ``state_dict()`` to an .npz file, whole or not at all."""
        with atomic(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(file, **self.state_dict())

    def load(self, path: Path | str) -> Self:
        """Read what ``save`` wrote; no pickled code is ever run.

        Raises ValueError for a damaged file, and as ``load_state_dict`` for another model's.
        """
        self.load_state_dict(_read(Path(path)))
        return self


def _matches(shape: tuple[int, ...], wanted: tuple[str | int, ...]) -> bool:
    """Whether a shape is the wanted one, in which strings stand for any size."""
    if wanted and wanted[0] == "…":
        wanted = wanted[1:]
        shape = shape[max(0, len(shape) - len(wanted)) :]
    sizes = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(isinstance(w, str) or s == w for s, w in sizes)


def _shown(shape: tuple[str | int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


# What a damaged file makes zipfile and numpy raise (RuntimeError: it looks encrypted).
_BROKEN = (EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError)
_BROKEN += (zipfile.BadZipFile, zlib.error)


def _read(path: Path) -> dict[str, Array]:
    """All arrays of an .npz file."""
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except _BROKEN as error:
            raise ValueError(f"{path.name} is damaged, or is no .npz file of arrays.") from error


class Sequential(Module):
    """Layers one after the other, each fed with the output of the one before it.

    ``Sequential(Linear(784, 10, rng=rng), ReLU())`` has the parameters 0.weight and 0.bias.
    """

    def __init__(self, *layers: Module) -> None:
        if len(set(layers)) < len(layers):
            raise ValueError(
                "Sequential: one layer stands in it twice; a layer remembers one forward only, "
                "so make a second one."
            )
        self.layers = list(layers)

    def children(self) -> Iterator[tuple[str, Module]]:
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int | slice) -> Module:
        """One layer, or for a slice the Sequential of those layers (they are shared)."""
        chosen = self.layers[index]
        return Sequential(*chosen) if isinstance(index, slice) else chosen

    def forward(self, x: Array) -> Array:
        """x → last(… second(first(x)))."""
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, gradient: Array) -> Array:
        """The chain rule: the gradient passes through the layers from the last to the first."""
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient

    def accumulate(self, gradient: Array) -> None:
        """As ``backward``, down to the first layer that has parameters."""
        learning = (i for i, layer in enumerate(self.layers) if layer.parameters())
        first = next(learning, len(self.layers) - 1)
        for layer in reversed(self.layers[first + 1 :]):
            gradient = layer.backward(gradient)
        self.layers[first].accumulate(gradient)
