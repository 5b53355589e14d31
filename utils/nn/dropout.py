"""Dropout: noise in training that keeps units from relying on each other."""

import numpy as np

from utils.nn.module import Array, Module


class Dropout(Module):
    """Sets each number to 0 with probability p in training, as torch.nn.Dropout.

    What is kept is divided by 1 − p, so that its expectation stays, and evaluation changes nothing
    (Srivastava et al. 2014, JMLR 15, with the scaling moved into training). Any shape.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, from 0 to 1; got {p}.")
        self.p, self.rng = float(p), rng

    def forward(self, x: Array) -> Array:
        """y = x ⊙ m, m = 1 / (1 − p) where a number is kept and 0 elsewhere; evaluation: m = 1."""
        self.check(x, "…")
        if not self.training or self.p == 0:
            self._saved = x.dtype.type(1), x.shape
            return x
        keep = self.rng.random(x.shape, dtype=np.float32) >= self.p
        mask = np.multiply(keep, 1 / max(1 - self.p, 1e-9), dtype=x.dtype)
        self._saved = mask, x.shape
        return x * mask

    def backward(self, gradient: Array) -> Array:
        """dx = dy ⊙ m."""
        mask, shape = self.saved()
        self.check(gradient, *shape)
        return gradient * mask
