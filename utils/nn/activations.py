"""Activation functions: what makes a network more than one matrix.

An element-wise activation supplies two formulas, its value f(x) and its slope f′(x); both take and
return arrays of any shape, and can be plotted. ``Softmax`` works on a whole axis.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from utils.nn.module import Array, Module


class Activation(Module):
    """y = f(x) for each number by itself; a subclass supplies ``value`` and ``slope``."""

    def value(self, x: Array) -> Array:
        """f(x)."""
        raise NotImplementedError

    def slope(self, x: Array, y: Array) -> Array:
        """f′(x), which may use y = f(x)."""
        raise NotImplementedError

    def forward(self, x: Array) -> Array:
        """y = f(x)."""
        self.check(x, "…")
        y = self.value(x)
        self._saved = x, y
        return y

    def backward(self, gradient: Array) -> Array:
        """dx = dy ⊙ f′(x)."""
        x, y = self.saved()
        self.check(gradient, *y.shape)
        return gradient * self.slope(x, y)


class ReLU(Activation):
    """f(x) = max(x, 0)."""

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def slope(self, x: Array, y: Array) -> Array:
        return y > 0


class LeakyReLU(Activation):
    """f(x) = x for x > 0, negative_slope · x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = float(negative_slope)

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0) + self.negative_slope * np.minimum(x, 0)

    def slope(self, x: Array, y: Array) -> Array:
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(self.negative_slope))


class ELU(Activation):
    """f(x) = x for x > 0, α (eˣ − 1) elsewhere (Clevert et al. 2016, arXiv 1511.07289)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0) + self.alpha * np.expm1(np.minimum(x, 0))

    def slope(self, x: Array, y: Array) -> Array:
        return np.where(x > 0, x.dtype.type(1), y + self.alpha)  # α eˣ = f(x) + α


class Sigmoid(Activation):
    """f(x) = σ(x) = 1 / (1 + e⁻ˣ)."""

    def value(self, x: Array) -> Array:
        return sigmoid(x)

    def slope(self, x: Array, y: Array) -> Array:
        return y * (1 - y)  # σ′ = σ (1 − σ)


class Tanh(Activation):
    """f(x) = tanh x = 2 σ(2x) − 1."""

    def value(self, x: Array) -> Array:
        return np.tanh(x)

    def slope(self, x: Array, y: Array) -> Array:
        return 1 - y * y  # tanh′ = 1 − tanh²


class SiLU(Activation):
    """f(x) = x σ(x), also called Swish (Ramachandran et al. 2017, arXiv 1710.05941)."""

    def value(self, x: Array) -> Array:
        return x * sigmoid(x)

    def slope(self, x: Array, y: Array) -> Array:
        s = sigmoid(x)
        return s + y * (1 - s)  # (x σ)′ = σ + x σ (1 − σ)


class GELU(Activation):
    """f(x) = x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016, 1606.08415).

    With approximate="tanh", Φ(x) ≈ ½ (1 + tanh u(x)), u(x) = √(2/π) (x + 0.044715 x³).
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is 'none' or 'tanh'; got {approximate!r}.")
        self.approximate = approximate

    def value(self, x: Array) -> Array:
        return x * self._distribution(x)

    def slope(self, x: Array, y: Array) -> Array:
        return self._distribution(x) + x * self._density(x)  # (x Φ)′ = Φ + x Φ′

    def _distribution(self, x: Array) -> Array:
        """Φ(x) = ½ (1 + erf(x / √2))."""
        if self.approximate == "tanh":
            return 0.5 * (1 + np.tanh(_U * (x + 0.044715 * x**3)))
        return 0.5 * (1 + erf(x * math.sqrt(0.5)))

    def _density(self, x: Array) -> Array:
        """Φ′(x) = e^(−x²/2) / √(2π)."""
        if self.approximate == "tanh":
            t = np.tanh(_U * (x + 0.044715 * x**3))
            return 0.5 * (1 - t * t) * _U * (1 + 3 * 0.044715 * x * x)  # ½ (1 − tanh² u) u′
        return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


_U = math.sqrt(2 / math.pi)


class Softmax(Module):
    """y = eˣ / Σ eˣ along one axis: positive numbers whose sum is 1. Any shape."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Array:
        """yᵢ = e^xᵢ / Σⱼ e^xⱼ."""
        self.check(x, "…")
        self._saved = softmax(x, self.dim)
        return self._saved

    def backward(self, gradient: Array) -> Array:
        """dxᵢ = yᵢ (dyᵢ − Σⱼ yⱼ dyⱼ)."""
        y = self.saved()
        self.check(gradient, *y.shape)
        return y * (gradient - np.sum(y * gradient, axis=self.dim, keepdims=True))


def softmax(x: Array, axis: int = -1) -> Array:
    """eˣ / Σ eˣ along an axis; the largest x is subtracted first, so that nothing overflows."""
    y = np.exp(x - x.max(axis=axis, keepdims=True))
    y /= y.sum(axis=axis, keepdims=True)
    return y


def log_softmax(x: Array, axis: int = -1) -> Array:
    """log(eˣ / Σ eˣ) = x − log Σ eˣ along an axis: finite also where the softmax itself is 0."""
    y = x - x.max(axis=axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ) = e^min(x, 0) / (1 + e^−|x|): no exponent is positive, so none overflows."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def erf(x: Array) -> Array:
    """Error function 2/√π ∫₀ˣ e^(−t²) dt, to within a rounding or two.

    Rational approximations on three intervals by Cody 1969 (Math. Comp. 23, 631–637).
    """
    a = np.minimum(np.abs(x), 6)  # erf(6) = 1 − 2e−17
    small, large = a <= 0.46875, a > 4
    y = np.piecewise(a, [small, large], [_erf_small, _erf_large, _erf_middle])
    return np.copysign(y, x)


def _erf_small(a: Array) -> Array:
    """erf(a) = a R(a²)."""
    return a * _rational(a * a, _SMALL)


def _erf_middle(a: Array) -> Array:
    """erf(a) = 1 − e^(−a²) R(a)."""
    return 1 - np.exp(-a * a) * _rational(a, _MIDDLE)


def _erf_large(a: Array) -> Array:
    """erf(a) = 1 − e^(−a²)/a · (1/√π − R(1/a²)/a²)."""
    z = 1 / (a * a)
    return 1 - np.exp(-a * a) / a * (1 / math.sqrt(math.pi) - z * _rational(z, _LARGE))


def _rational(x: Array, fraction: tuple[Sequence[float], Sequence[float]]) -> Array:
    """P(x) / Q(x), coefficients from the highest power down (Horner's scheme)."""
    top, bottom = (np.full_like(x, c[0]) for c in fraction)
    for c in fraction[0][1:]:
        top = top * x + c
    for c in fraction[1][1:]:
        bottom = bottom * x + c
    return top / bottom


# The coefficients of P and Q on each interval.
_SMALL = (
    (0.185777706184603153, 3.16112374387056560, 113.864154151050156, 377.485237685302021)
    + (3209.37758913846947,),
    (1.0, 23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062),
)
_MIDDLE = (
    (2.15311535474403846e-8, 0.564188496988670089, 8.88314979438837594, 66.1191906371416295)
    + (298.635138197400131, 881.952221241769090, 1712.04761263407058, 2051.07837782607147)
    + (1230.33935479799725,),
    (1.0, 15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019)
    + (3290.79923573345963, 4362.61909014324716, 3439.36767414372164, 1230.33935480374942),
)
_LARGE = (
    (1.63153871373020978e-2, 0.305326634961232344, 0.360344899949804439, 0.125781726111229246)
    + (1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 0.527905102951428412)
    + (6.05183413124413191e-2, 2.33520497626869185e-3),
)
