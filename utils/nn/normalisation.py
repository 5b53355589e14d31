"""Normalisation: numbers are shifted and scaled to mean 0 and variance 1, then learn their own.

Both kinds compute x̂ = (x − μ) / √(σ² + ε) and y = γ x̂ + β; batch normalisation takes μ and σ² of
a channel over the batch, layer normalisation of an example over its features.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from utils.nn.module import Array, Module, Parameter


def standardise(x: Array, axis: int | tuple[int, ...], eps: float) -> tuple[Array, ...]:
    """x̂ = (x − μ) / √(σ² + ε) over axes, with what it took: x̂, μ, σ², 1 / √(σ² + ε)."""
    mean = x.mean(axis=axis, keepdims=True)
    centred = x - mean
    variance = np.square(centred).mean(axis=axis, keepdims=True)
    scale = 1 / np.sqrt(variance + eps)
    centred *= scale
    return centred, mean, variance, scale


def standardise_backward(
    gradient: Array, standard: Array, scale: Array, axis: int | tuple[int, ...]
) -> Array:
    """dx = (g − mean(g) − x̂ mean(g x̂)) / √(σ² + ε) for the gradient g of x̂."""
    slope = np.mean(gradient * standard, axis=axis, keepdims=True)
    dx = standard * -slope
    dx += gradient
    dx -= gradient.mean(axis=axis, keepdims=True)
    dx *= scale
    return dx


class _Running(Module):
    """Running mean and (unbiased) variance of each channel over the batches seen in training.

    ``momentum`` is the weight of the newest batch; None gives all batches the same weight.
    """

    buffers = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(self, num_features: int, momentum: float | None, dtype: DTypeLike) -> None:
        self.momentum = momentum
        self.running_mean = np.zeros(num_features, dtype)
        self.running_var = np.ones(num_features, dtype)
        self.num_batches_tracked = np.array(0)

    def track(self, mean: Array, variance: Array, count: int) -> None:
        """running ← (1 − momentum) running + momentum · newest, σ² times count / (count − 1)."""
        if count < 2:
            raise ValueError(f"{self.name}: training needs 2 values a channel or more; got 1.")
        self.num_batches_tracked += 1
        rate = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean += rate * (mean - self.running_mean)
        self.running_var += rate * (variance * (count / (count - 1)) - self.running_var)


class _BatchNorm(_Running):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithm 1).

    In training μ and σ² are those of the batch, in evaluation the running ones. weight γ, bias β,
    running_mean and running_var are (num_features,).
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(num_features, momentum, dtype)
        self.eps = float(eps)
        self.weight = Parameter(np.ones(num_features, dtype))
        self.bias = Parameter(np.zeros(num_features, dtype))

    def forward(self, x: Array) -> Array:
        """y = γ (x − μ) / √(σ² + ε) + β, channel by channel."""
        weight = self.weight.data
        self.check(x, *self._shape(x), dtype=weight.dtype)
        channels = x.reshape(*x.shape[:2], -1)  # (N, C, L)
        if self.training:
            standard, mean, variance, scale = standardise(channels, (0, 2), self.eps)
            self.track(mean.ravel(), variance.ravel(), x.size // len(weight))
        else:
            scale = 1 / np.sqrt(self.running_var + self.eps)[:, None]
            standard = (channels - self.running_mean[:, None]) * scale
        self._saved = standard, scale, self.training, x.shape
        return (weight[:, None] * standard + self.bias.data[:, None]).reshape(x.shape)

    def backward(self, gradient: Array) -> Array:
        """dγ = Σ dy x̂, dβ = Σ dy; dx goes through μ and σ² too, unless they were running ones."""
        standard, scale, training, shape = self.saved()
        self.check(gradient, *shape)
        dy = gradient.reshape(standard.shape)
        self.weight.accumulate(np.einsum("ncl,ncl->c", dy, standard))
        self.bias.accumulate(dy.sum(axis=(0, 2)))
        dx = dy * self.weight.data[:, None]
        dx = standardise_backward(dx, standard, scale, (0, 2)) if training else dx * scale
        return dx.reshape(shape)

    def _shape(self, x: Any) -> tuple[str | int, ...]:
        raise NotImplementedError


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L), as torch.nn.BatchNorm1d; see ``_BatchNorm``."""

    def _shape(self, x: Any) -> tuple[str | int, ...]:
        return ("N", len(self.weight.data), "L")[: 3 if np.ndim(x) == 3 else 2]


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W), as torch.nn.BatchNorm2d; see ``_BatchNorm``."""

    def _shape(self, x: Any) -> tuple[str | int, ...]:
        return ("N", len(self.weight.data), "H", "W")


class LayerNorm(Module):
    """Layer normalisation of the last axes, as torch.nn.LayerNorm (Ba et al. 2016, 1607.06450).

    ``(…, *normalized_shape)``; weight γ and bias β have the normalized_shape.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.eps = float(eps)
        self.weight = Parameter(np.ones(shape, dtype))
        self.bias = Parameter(np.zeros(shape, dtype))

    def forward(self, x: Array) -> Array:
        """y = γ (x − μ) / √(σ² + ε) + β, example by example."""
        weight = self.weight.data
        self.check(x, "…", *weight.shape, dtype=weight.dtype)
        standard, _, _, scale = standardise(x.reshape(-1, weight.size), 1, self.eps)
        self._saved = standard, scale, x.shape
        return standard.reshape(x.shape) * weight + self.bias.data

    def backward(self, gradient: Array) -> Array:
        """dγ = Σ dy x̂, dβ = Σ dy; dx goes through μ and σ² too."""
        standard, scale, shape = self.saved()
        self.check(gradient, *shape)
        weight, rows = self.weight.data, gradient.reshape(standard.shape)
        self.weight.accumulate(np.einsum("nf,nf->f", rows, standard).reshape(weight.shape))
        self.bias.accumulate(rows.sum(axis=0).reshape(weight.shape))
        dx = standardise_backward(rows * weight.ravel(), standard, scale, 1)
        return dx.reshape(shape)
