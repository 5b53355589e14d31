"""Linear, Flatten, Embedding: layers that multiply by a matrix, or only rearrange numbers."""

import math

import numpy as np
from numpy.typing import DTypeLike, NDArray

from utils.nn.init import uniform
from utils.nn.module import Array, Module, Parameter


class Linear(Module):
    """Fully connected layer y = x Wᵀ + b, as torch.nn.Linear.

    x (…, in_features) → y (…, out_features); weight (out_features, in_features), bias
    (out_features,). Both start uniform in ±1/√in_features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        bound = 1 / math.sqrt(in_features)
        self.weight = uniform((out_features, in_features), bound, rng, dtype)
        self.bias = uniform((out_features,), bound, rng, dtype) if bias else None

    def forward(self, x: Array) -> Array:
        """y = x Wᵀ + b."""
        weight = self.weight.data
        self.check(x, "…", weight.shape[1], dtype=weight.dtype)
        self._saved = x
        y = x @ weight.T
        if self.bias is not None:
            y += self.bias.data
        return y

    def accumulate(self, gradient: Array) -> None:
        """dW = dyᵀ x and db = Σ dy, over all rows."""
        x = self.saved()
        outputs, inputs = self.weight.data.shape
        self.check(gradient, *x.shape[:-1], outputs, dtype=x.dtype)
        rows = gradient.reshape(-1, outputs)
        self.weight.accumulate(rows.T @ x.reshape(-1, inputs))
        if self.bias is not None:
            self.bias.accumulate(rows.sum(axis=0))

    def backward(self, gradient: Array) -> Array:
        """dx = dy W."""
        self.accumulate(gradient)
        return gradient @ self.weight.data


class Flatten(Module):
    """(N, A, B, …) → (N, A·B·…), as torch.nn.Flatten."""

    def forward(self, x: Array) -> Array:
        """One row of numbers for each example."""
        self.check(x, "…", "N")
        self._saved = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient: Array) -> Array:
        """The same numbers in the shape of the input."""
        shape = self.saved()
        self.check(gradient, shape[0], math.prod(shape[1:]))
        return gradient.reshape(shape)


class Embedding(Module):
    """A table of vectors, looked up by number, as torch.nn.Embedding.

    indices (…) of integers → (…, embedding_dim); weight (num_embeddings, embedding_dim) starts
    standard normal.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.weight = Parameter(rng.normal(size=(num_embeddings, embedding_dim)).astype(dtype))

    def forward(self, indices: NDArray[np.integer]) -> Array:
        """y = W[indices]."""
        check_indices(self.name, "indices", indices, len(self.weight.data))
        self._saved = indices
        return self.weight.data[indices]

    def backward(self, gradient: Array) -> None:
        """dW[i] = Σ of dy over the places where index i stood; indices have no gradient."""
        indices = self.saved()
        self.check(gradient, *indices.shape, self.weight.data.shape[1])
        order = np.argsort(indices, axis=None, kind="stable")  # equal indices side by side
        rows, starts = np.unique(indices.ravel()[order], return_index=True)
        vectors = gradient.reshape(-1, gradient.shape[-1])[order]
        self.weight.accumulate_rows(rows, np.add.reduceat(vectors, starts))


def check_indices(layer: str, what: str, indices: NDArray[np.integer], limit: int) -> None:
    """Raise ValueError unless these are integers, at least one; IndexError out of 0 … limit − 1."""
    if not isinstance(indices, np.ndarray) or indices.dtype.kind not in "iu" or not indices.size:
        got = f"{indices.dtype} of shape {indices.shape}" if hasattr(indices, "shape") else indices
        raise ValueError(f"{layer}: {what} are an array of integers, at least one; got {got}.")
    low, high = indices.min(), indices.max()
    if low < 0 or high >= limit:
        raise IndexError(
            f"{layer}: {what} lie from 0 to {limit - 1}; got {high if high >= limit else low}."
        )
