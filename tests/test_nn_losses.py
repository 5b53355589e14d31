"""Losses: gradients, equality with torch, and safety at the ends."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn as torch_nn

from tests.gradients import check_gradients
from utils import nn
from utils.nn.losses import Loss

torch.set_num_threads(1)

drawn = settings(derandomize=True, deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 7)
shapes = st.lists(sizes, min_size=1, max_size=3).map(tuple)


class Against(nn.Module):
    """A loss against fixed targets as a layer with one output, for ``check_gradients``."""

    def __init__(self, loss: Loss, targets: np.ndarray) -> None:
        self.loss, self.targets = loss, targets

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.array([self.loss(x, self.targets)])

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        return gradient[0] * self.loss.backward()


def judge(ours: Loss, theirs: torch_nn.Module, outputs: np.ndarray, targets: np.ndarray) -> None:
    """Finite differences and torch, value and gradient."""
    check_gradients(Against(ours, targets), outputs, rng=np.random.default_rng(0))
    tensor = torch.tensor(outputs, requires_grad=True)
    expected = theirs(tensor, torch.tensor(targets))
    expected.backward()
    value = ours(outputs, targets)
    assert type(value) is float
    assert value == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(ours.backward(), tensor.grad.numpy(), rtol=1e-9, atol=1e-12)


def classification(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(n, classes)), rng.integers(0, classes, n)


@drawn
@given(sizes, sizes, st.sampled_from([0.0, 0.1, 0.5, 1.0]), seeds)
def test_cross_entropy(n: int, classes: int, smoothing: float, seed: int):
    ours = nn.CrossEntropyLoss(label_smoothing=smoothing)
    theirs = torch_nn.CrossEntropyLoss(label_smoothing=smoothing)
    judge(ours, theirs, *classification(n, classes, seed))


@drawn
@given(sizes, sizes, st.sampled_from([1, 2]), st.sampled_from([0.5, 1.0, 3.0]), seeds)
def test_hinge(n: int, classes: int, p: int, margin: float, seed: int):
    ours, theirs = (
        loss(p=p, margin=margin) for loss in (nn.MultiMarginLoss, torch_nn.MultiMarginLoss)
    )
    judge(ours, theirs, *classification(n, classes, seed))


@drawn
@given(shapes, st.booleans(), seeds)
def test_binary_cross_entropy(shape: tuple[int, ...], soft: bool, seed: int):
    rng = np.random.default_rng(seed)
    targets = rng.random(shape) if soft else rng.integers(0, 2, shape).astype(float)
    judge(nn.BCEWithLogitsLoss(), torch_nn.BCEWithLogitsLoss(), 3 * rng.normal(size=shape), targets)


@drawn
@given(shapes, seeds)
def test_mean_squared_error(shape: tuple[int, ...], seed: int):
    outputs, targets = np.random.default_rng(seed).normal(size=(2, *shape))
    judge(nn.MSELoss(), torch_nn.MSELoss(), outputs, targets)


@drawn
@given(sizes, sizes, st.booleans(), seeds)
def test_divergence(n: int, classes: int, log_target: bool, seed: int):
    outputs, targets = np.log(np.random.default_rng(seed).dirichlet(np.ones(classes), (2, n)))
    if not log_target:
        targets = np.where(targets < -2, 0, np.exp(targets))  # 0 log 0 = 0
    theirs = torch_nn.KLDivLoss(reduction="batchmean", log_target=log_target)
    judge(nn.KLDivLoss(log_target=log_target), theirs, outputs, targets)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_certain_and_wrong_network_has_a_finite_loss(dtype: type):
    loss = nn.CrossEntropyLoss()
    assert loss(np.array([[1000, 0], [-1000, 0]], dtype), np.array([1, 1])) == 500
    assert loss.backward().tolist() == [[0.5, -0.5], [0, 0]]
    loss = nn.BCEWithLogitsLoss()
    assert loss(np.array([1000, -1000], dtype), np.array([0, 0], dtype)) == 500
    assert loss.backward().tolist() == [0.5, 0]


def test_minus_infinity_is_a_logit():
    """A class that is masked out."""
    assert nn.CrossEntropyLoss()(np.array([[0.0, 0.0, -np.inf]]), np.array([0])) == pytest.approx(
        np.log(2)
    )


CLASSIFICATION = [
    nn.CrossEntropyLoss(0.1),
    nn.CrossEntropyLoss(np.float64(0.1)),
    nn.MultiMarginLoss(),
]
REAL = [nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.KLDivLoss(), nn.KLDivLoss(log_target=True)]
CLASSIFICATION += [nn.MultiMarginLoss(2, np.float64(1))]


@pytest.mark.parametrize("loss", CLASSIFICATION + REAL, ids=lambda loss: loss.name)
def test_float32_stays_float32(loss: Loss):
    outputs = np.log(np.full((4, 3), 1 / 3, np.float32))
    targets = np.array([0, 1, 2, 0]) if loss in CLASSIFICATION else np.abs(outputs)
    assert type(loss(outputs, targets)) is float
    assert loss.backward().dtype == np.float32


@pytest.mark.parametrize("loss", CLASSIFICATION, ids=lambda loss: loss.name)
@pytest.mark.parametrize(
    ("outputs", "labels", "error", "message"),
    [
        (np.ones((2, 3)), np.array([0, 3]), IndexError, "labels lie from 0 to 2; got 3."),
        (np.ones((2, 3)), np.array([-1, 0]), IndexError, "labels lie from 0 to 2; got -1."),
        (np.ones((2, 3)), np.array([0.0, 1.0]), ValueError, "labels are an array of integers"),
        (
            np.ones((2, 3)),
            np.array([0, 1, 2]),
            ValueError,
            "expected labels of shape .2,.; got .3,.",
        ),
        (
            np.ones((2, 3)),
            np.array([[0], [1]]),
            ValueError,
            "expected labels of shape .2,.; got .2, 1",
        ),
        (np.ones((0, 3)), np.zeros(0, int), ValueError, "expected floats of shape .N, C.; got"),
        (np.ones(3), np.array([0, 1, 2]), ValueError, "expected floats of shape .N, C.; got"),
        (np.ones((2, 3), int), np.array([0, 1]), ValueError, "expected floats .* got int64"),
        (
            np.full((2, 3), np.nan),
            np.array([0, 1]),
            FloatingPointError,
            "expected numbers; got NaN",
        ),
    ],
)
def test_bad_labels_and_scores_are_told(loss: Loss, outputs, labels, error, message: str):
    with pytest.raises(error, match=f"^{loss.name}: {message}"):
        loss(outputs, labels)


@pytest.mark.parametrize("loss", REAL, ids=lambda loss: loss.name)
def test_bad_targets_are_told(loss: Loss):
    good = np.ones((2, 3))
    for bad in (good[0], good[:, :1], good.astype(int), good.astype(np.float32)):
        with pytest.raises(
            ValueError, match=rf"^{loss.name}: expected float64 of shape \(2, 3\); got"
        ):
            loss(good, bad)
    for outputs, targets in ((good * np.nan, good), (good, good * np.nan)):
        with pytest.raises(FloatingPointError, match=f"^{loss.name}: expected numbers; got NaN"):
            loss(outputs, targets)
    with pytest.raises(ValueError, match=f"^{loss.name}: expected floats"):
        loss(good[:0], good[:0])


def test_backward_before_forward():
    for loss in (nn.CrossEntropyLoss(), nn.MSELoss()):
        with pytest.raises(RuntimeError, match=f"^{loss.name}: backward needs a forward before it"):
            loss.backward()


def test_bad_arguments():
    with pytest.raises(ValueError, match="label_smoothing lies from 0 to 1; got 2"):
        nn.CrossEntropyLoss(2)
    with pytest.raises(ValueError, match="p is 1 or 2; got 3"):
        nn.MultiMarginLoss(p=3)
    with pytest.raises(ValueError, match="only reduction='batchmean'"):
        nn.KLDivLoss("mean")
