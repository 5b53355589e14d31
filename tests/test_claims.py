"""claim() prints a line that is the same everywhere, or raises."""

from types import SimpleNamespace

import pytest

from utils.claims import claim


def test_a_claim_that_holds_is_printed(capsys: pytest.CaptureFixture):
    claim("test accuracy", 0.9731, ">=", 0.97)
    claim("inertia", 4570, about=4568.5, within=0.01)
    assert capsys.readouterr().out == (
        "✓ test accuracy ≥ 0.97   (measured 0.9731)\n"
        "✓ inertia ≈ 4568.5 (±1.00%)   (measured 4570)\n"
    )


@pytest.mark.parametrize(
    ("value", "comparison", "bound"),
    [(0.9, ">=", 0.97), (2, "<=", 1), (1, ">", 1), (1, "<", 1), (1.0000001, "==", 1)],
)
def test_a_claim_that_fails_raises(value: float, comparison: str, bound: float):
    with pytest.raises(AssertionError, match="does not hold: measured"):
        claim("it", value, comparison, bound)


@pytest.mark.parametrize("comparison", [">=", "<=", ">", "<", "=="])
def test_nan_never_holds(comparison: str):
    with pytest.raises(AssertionError):
        claim("it", float("nan"), comparison, 0)
    with pytest.raises(AssertionError):
        claim("it", float("nan"), about=1, within=9)


def test_on_stand_in_data_a_claim_says_that_it_was_not_checked(capsys: pytest.CaptureFixture):
    stand_in = SimpleNamespace(is_stand_in=True, name="MNIST")
    claim("test accuracy", 0.5, ">=", 0.97, on=stand_in)
    words = "– test accuracy ≥ 0.97   (not checked: MNIST is a stand-in here)\n"
    assert capsys.readouterr().out == words
    with pytest.raises(AssertionError):
        claim("test accuracy", 0.5, ">=", 0.97, on=SimpleNamespace(is_stand_in=False))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"comparison": ">="},
        {"comparison": "!=", "bound": 1},
        {"about": 1},
        {"comparison": ">=", "bound": 1, "about": 1, "within": 0.1},
    ],
    ids=str,
)
def test_a_claim_without_a_clear_bound_is_refused(arguments: dict):
    with pytest.raises(ValueError, match="give a comparison"):
        claim("it", 1.0, **arguments)
