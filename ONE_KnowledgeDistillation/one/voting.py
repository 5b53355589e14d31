"""Asking branches together: every subset, three ways to vote, and how different the voters are."""

from collections.abc import Sequence
from itertools import chain, combinations
from typing import NamedTuple

import torch
from torch import Tensor

from ONE_KnowledgeDistillation.one.models import Answers
from utils.metrics import accuracy

WAYS = ("weighted", "equal", "majority")


class Vote(NamedTuple):
    """A subset of branches, how it votes, and its accuracy."""

    subset: tuple[int, ...]
    way: str
    accuracy: float


def subsets(branches: int) -> list[tuple[int, ...]]:
    """All 2^M − 1 subsets that are not empty, small ones first."""
    sizes = range(1, branches + 1)
    return list(chain.from_iterable(combinations(range(branches), size) for size in sizes))


def vote(answers: Answers, subset: Sequence[int], way: str = "weighted") -> Tensor:
    """Classes (N,) on which a subset of the branches agrees.

    "weighted": logits times the gate's shares, which are made to add up to 1 again; "equal": mean
    of the probabilities; "majority": one vote a branch, ties go to the larger mean probability.
    Raises ValueError for an empty subset, a branch that is not there, or another way.
    """
    count = answers.branches.shape[1]
    if way not in WAYS or not subset or not set(subset) <= set(range(count)):
        raise ValueError(
            f"a vote is one of {', '.join(WAYS)} among branches 0 … {count - 1}; "
            f"got {way!r} and {list(subset)}."
        )
    logits, chosen = answers.branches[:, list(subset)], answers.shares[:, list(subset)]
    if way == "weighted":
        shares = chosen / chosen.sum(dim=1, keepdim=True)
        return (shares[..., None] * logits).sum(dim=1).argmax(dim=1)
    means = logits.softmax(dim=2).mean(dim=1)  # (N, K), below 1
    if way == "equal":
        return means.argmax(dim=1)
    ballots = torch.zeros_like(means)
    for choice in logits.argmax(dim=2).T:
        ballots[torch.arange(len(choice)), choice] += 1
    return (ballots + means / 2).argmax(dim=1)


def all_votes(answers: Answers, labels: Tensor) -> list[Vote]:
    """Every subset in every way, with its accuracy."""
    return [
        Vote(subset, way, accuracy(vote(answers, subset, way), labels))
        for subset in subsets(answers.branches.shape[1])
        for way in WAYS
    ]


def best_vote(votes: Sequence[Vote]) -> Vote:
    """The most accurate vote; of equals the smallest subset. Choose on validation images."""
    return max(votes, key=lambda v: (v.accuracy, -len(v.subset)))


def disagreement(answers: Answers) -> float:
    """Share of images on which two branches differ, mean over all pairs of branches."""
    choices = answers.branches.argmax(dim=2)  # (N, M)
    pairs = combinations(choices.T, 2)
    return float(torch.stack([(a != b).double().mean() for a, b in pairs]).mean())


def q_statistic(answers: Answers, labels: Tensor) -> float:
    """Yule's Q of two branches being right, mean over all pairs; 1: together, 0: independent.

    Q = (n11 n00 − n10 n01) / (n11 n00 + n10 n01), Kuncheva and Whitaker (2003), equation 1.
    """
    right = answers.branches.argmax(dim=2) == labels[:, None]  # (N, M)
    return float(torch.stack([_yule(a, b) for a, b in combinations(right.T, 2)]).mean())


def _yule(a: Tensor, b: Tensor) -> Tensor:
    same = (a & b).sum().double() * (~a & ~b).sum()
    other = (a & ~b).sum().double() * (~a & b).sum()
    return (same - other) / (same + other).clamp(min=1)


def gate_entropy(answers: Answers) -> float:
    """Mean entropy of the shares as a part of ln M: 1 is an even gate, 0 picks one branch."""
    shares = answers.shares
    entropies = -torch.special.xlogy(shares, shares).sum(dim=1)
    return float(entropies.mean() / torch.log(torch.tensor(float(shares.shape[1]))))
