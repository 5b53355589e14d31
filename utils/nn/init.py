"""Initial weights: how large they are decides whether signals survive many layers.

Each function fills a parameter in place, as those of torch.nn.init do, and returns it.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from utils.nn.module import Parameter

Rng = np.random.Generator
Mode = Literal["fan_in", "fan_out"]

GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, a: float = 0.01) -> float:
    """Factor that makes up for what an activation takes from the variance, as PyTorch has it."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + a**2))
    if nonlinearity not in GAINS:
        raise ValueError(
            f"no gain is known for {nonlinearity!r}; there are {[*GAINS, 'leaky_relu']}."
        )
    return GAINS[nonlinearity]


def fans(weight: Parameter) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs an output sums up, and the other way round.

    weight (out, in, …): both are multiplied by the size of the kernel where there is one.
    """
    shape = weight.data.shape
    if len(shape) < 2:
        raise ValueError(f"fans need a weight with two axes or more; got shape {shape}.")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def uniform(shape: tuple[int, ...], bound: float, rng: Rng, dtype: DTypeLike) -> Parameter:
    """A new parameter from U(−bound, bound): PyTorch's own start, with bound 1/√fan_in."""
    return uniform_(Parameter(np.empty(shape, dtype)), bound, rng=rng)


def uniform_(weight: Parameter, bound: float, *, rng: Rng) -> Parameter:
    """W ~ U(−bound, bound)."""
    weight.data[...] = rng.uniform(-bound, bound, weight.data.shape)
    return weight


def normal_(weight: Parameter, std: float, *, rng: Rng) -> Parameter:
    """W ~ N(0, std²)."""
    weight.data[...] = rng.normal(0, std, weight.data.shape)
    return weight


def xavier_uniform_(weight: Parameter, gain: float = 1.0, *, rng: Rng) -> Parameter:
    """W ~ U(±gain √(6 / (fan_in + fan_out))) (Glorot and Bengio 2010, equation 16)."""
    return uniform_(weight, gain * math.sqrt(6 / sum(fans(weight))), rng=rng)


def xavier_normal_(weight: Parameter, gain: float = 1.0, *, rng: Rng) -> Parameter:
    """W ~ N(0, gain² · 2 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 12)."""
    return normal_(weight, gain * math.sqrt(2 / sum(fans(weight))), rng=rng)


def kaiming_uniform_(
    weight: Parameter,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng,
) -> Parameter:
    """W ~ U(±gain √(3 / fan)); ``a`` is the slope of a leaky ReLU (He et al. 2015, section 2.2)."""
    return uniform_(weight, math.sqrt(3) * _kaiming_std(weight, a, mode, nonlinearity), rng=rng)


def kaiming_normal_(
    weight: Parameter,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng,
) -> Parameter:
    """W ~ N(0, gain² / fan); ``a`` is the slope of a leaky ReLU (He et al. 2015, equation 10)."""
    return normal_(weight, _kaiming_std(weight, a, mode, nonlinearity), rng=rng)


def _kaiming_std(weight: Parameter, a: float, mode: Mode, nonlinearity: str) -> float:
    """gain / √fan."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out'; got {mode!r}.")
    fan = fans(weight)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def orthogonal_(weight: Parameter, gain: float = 1.0, *, rng: Rng) -> Parameter:
    """W = gain · Q with orthonormal rows (or columns, where these are fewer), uniformly drawn.

    weight (rows, …) counts as a matrix (rows, columns) (Saxe et al. 2014, arXiv 1312.6120).
    """
    rows = len(weight.data)
    columns = math.prod(weight.data.shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes Q uniform among orthonormal matrices (Mezzadri 2007)
    q = q.T if rows < columns else q
    weight.data[...] = gain * q.reshape(weight.data.shape)
    return weight
