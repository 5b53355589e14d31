"""What the ledger records of the pocket runs: a function a row, called as function(seed, profile).

``make reproduce ID=one-pocket-merged`` trains what is missing in build/one/pocket/, and reads the
rest. An experiment stands beside its control, which may use up the same compute.
"""

import re
from collections.abc import Callable
from statistics import fmean
from typing import Any

from torch.nn.functional import cross_entropy

from ONE_KnowledgeDistillation.one import voting
from ONE_KnowledgeDistillation.one.evaluate import answers_to, top
from ONE_KnowledgeDistillation.one.experiments import FIVE, ONE_BRANCH, THREE, experiment, scale
from ONE_KnowledgeDistillation.one.starts import STARTS
from ONE_KnowledgeDistillation.one.tasks import Task, task
from ONE_KnowledgeDistillation.one.train import Run, run
from utils.metrics import accuracy, calibration
from utils.results import describe_data

POCKET = scale("pocket")

Handed = dict[str, Any]  # metrics, history, data and seconds, as tools.reproduce takes them


def pocket(name: str, seed: int) -> Run:
    """An experiment in the pocket profile, trained now or read."""
    return run(name, seed, POCKET, _task())


def _task() -> Task:
    return task(POCKET.data)


def handed(metrics: dict[str, float], *runs: Run) -> Handed:
    """Metrics, the history of the first run, the data set, and the seconds of all trainings."""
    return {
        "metrics": metrics,
        "history": runs[0].measures["history"],
        "data": describe_data(_task().source),
        "seconds": sum(one.measures["seconds"] for one in runs),
    }


def key(one: Run) -> str:
    """``three_branch``: an experiment's name inside the names of metrics."""
    return one.measures["experiment"].replace("-", "_")


def accuracies(*names: str) -> Callable[[int, str], Handed]:
    """The function of a ledger row that holds the accuracies of these experiments."""

    def measure(seed: int, profile: str) -> Handed:
        runs = [pocket(name, seed) for name in names]
        metrics = {k: value for one in runs for k, value in accuracies_of(one).items()}
        return handed(metrics, *runs)

    return measure


def accuracies_of(one: Run) -> dict[str, float]:
    """Test accuracy of the ensemble and the mean branch (or the network, if it is a single one).

    Of an experiment that begins with trained networks, also where its ensemble began, on
    validation images.
    """
    name, test = key(one), one.measures["test"]
    known = experiment(one.measures["experiment"])
    if known.branches == 1:
        return {f"{name}_accuracy": test["ensemble"]}
    found = {f"{name}_branch_accuracy": fmean(branch_scores(one))}
    found[f"{name}_ensemble_accuracy"] = test["ensemble"]
    if known.start in STARTS:
        found[f"{name}_start_accuracy"] = one.measures["before"]["ensemble"]
    return found


def branch_scores(one: Run) -> list[float]:
    """Test accuracy of each branch."""
    return [v for name, v in one.measures["test"].items() if re.fullmatch(r"branch\d+", name)]


baseline = accuracies(ONE_BRANCH, "one-branch-longer")
three_branch = accuracies(THREE)
five_branch = accuracies(FIVE, "three-branch-longer")
three_to_five = accuracies("three-to-five", "five-branch-longer")
combined = accuracies("combined", "together")
merged = accuracies("merged", "three-branch-like-merged")
one_to_three = accuracies("one-to-three", "three-branch-like-expanded")
branch_counts = accuracies("two-branch", "four-branch")
ablations = accuracies("no-gate", "no-sharing", "no-distillation")
five_to_one = accuracies("five-to-one")
temperatures = accuracies(*(f"temperature-{t}" for t in (1, 2, 5, 8)))
ramps = accuracies(*(f"ramp-{r}" for r in (0, 50, 100)))


def one_to_three_equal(seed: int, profile: str) -> Handed:
    """Three equal copies, and how far their branches are apart at the end."""
    one = pocket("one-to-three-equal", seed)
    gap = max(branch_scores(one)) - min(branch_scores(one))
    return handed(accuracies_of(one) | {"largest_gap_of_two_branches": gap}, one)


def learning_rates(seed: int, profile: str) -> Handed:
    """Rates by gradient ratios beside a constant rate (plain SGD) and a cosine."""
    kinds = ("ratio", "constant", "cosine", "geometric")
    runs = {kind: pocket(f"schedule-{kind}", seed) for kind in kinds}
    scores = {kind: one.measures["test"]["ensemble"] for kind, one in runs.items()}
    metrics = {f"test_accuracy_{kind}": score for kind, score in scores.items()}
    metrics["test_accuracy_gain_over_sgd"] = scores["ratio"] - scores["constant"]
    return handed(metrics, *runs.values())


def top5(seed: int, profile: str) -> Handed:
    """Whether the label is among the first five answers."""
    one, three = (pocket(name, seed) for name in (ONE_BRANCH, THREE))
    test = three.measures["test"]
    metrics = {
        "one_branch_top5": one.measures["test"]["ensemble_top5"],
        "three_branch_branch_top5": fmean([test[f"branch{i}_top5"] for i in (1, 2, 3)]),
        "three_branch_ensemble_top5": test["ensemble_top5"],
    }
    return handed(metrics, three, one)


def votes(seed: int, profile: str) -> Handed:
    """All subsets of five branches in all ways; the best is chosen on validation images."""
    five, data = pocket(FIVE, seed), _task()
    known = voting.all_votes(answers_to(five.model, data.validation[0]), data.validation[1])
    best = voting.best_vote(known)
    answers, labels = answers_to(five.model, data.test[0]), data.test[1]
    chosen = voting.vote(answers, best.subset, best.way)
    logits = answers.ensemble.double()
    metrics = {
        "subsets_evaluated": len({vote.subset for vote in known}),
        "best_subset_test_accuracy": accuracy(chosen, labels),
        "branches_in_best_subset": len(best.subset),
        "whole_ensemble_test_accuracy": top(answers.ensemble, labels),
        "disagreement": voting.disagreement(answers),
        "q_statistic": voting.q_statistic(answers, labels),
        "gate_entropy": voting.gate_entropy(answers),
        "negative_log_likelihood": cross_entropy(logits, labels).item(),
        "calibration_error": calibration(logits.softmax(dim=1), labels, bins=15).error,
    }
    return handed(metrics | _by_size(voting.all_votes(answers, labels)), five)


def _by_size(votes: list[voting.Vote]) -> dict[str, float]:
    """Mean accuracy of all subsets of one size under the gate's weights."""
    weighted = [vote for vote in votes if vote.way == "weighted"]
    sizes = {len(vote.subset) for vote in weighted}
    return {
        f"mean_test_accuracy_of_{size}_branches": fmean(
            [vote.accuracy for vote in weighted if len(vote.subset) == size]
        )
        for size in sorted(sizes)
    }
