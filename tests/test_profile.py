"""Profile: one pair a size, quick unless asked."""

import pytest

from utils.profile import Profile


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NN_COURSE_PROFILE", raising=False)
    monkeypatch.delenv("NN_COURSE_SEED", raising=False)


def test_quick_is_the_default():
    run = Profile(epochs=(2, 20), floor=(0.9, 0.98))
    assert (run.epochs, run.floor, run.seed, run.full) == (2, 0.9, 0, False)
    assert repr(run) == "quick profile: seed=0, epochs=2, floor=0.9"


def test_full_and_seed_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NN_COURSE_PROFILE", "full")
    monkeypatch.setenv("NN_COURSE_SEED", "7")
    run = Profile(epochs=(2, 20))
    assert (run.epochs, run.seed, run.full) == (20, 7, True)


@pytest.mark.parametrize(
    ("name", "value"), [("NN_COURSE_PROFILE", "fast"), ("NN_COURSE_SEED", "-1")]
)
def test_another_value_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name}='{value}': it must be"):
        Profile()


def test_a_size_is_a_pair():
    with pytest.raises(ValueError, match="give a pair"):
        Profile(epochs=3)


def test_an_unknown_size_lists_the_known_ones():
    with pytest.raises(AttributeError, match="epochs"):
        _ = Profile(epochs=(1, 2)).steps
