"""ONE in training: every experiment of the table, resuming, compute, processes and clusters."""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.multiprocessing import spawn

from ONE_KnowledgeDistillation.one import (
    evaluate,
    losses,
    models,
    recorded,
    starts,
    tasks,
    train,
)
from ONE_KnowledgeDistillation.one.__main__ import main
from ONE_KnowledgeDistillation.one.experiments import EXPERIMENTS, experiment, scale
from ONE_KnowledgeDistillation.one.sweep import order, sweep
from utils.datasets import ImageData, Split
from utils.history import History
from utils.results import ledger

TINY = scale("pocket", name="tiny", depth=8, width=8, epochs=2, more=1, batch=32)


def tiny_task(classes: int = 6) -> tasks.Task:
    rng = np.random.default_rng(0)
    splits = []
    for count in (96, 24, 24):
        labels = np.arange(count) % classes
        images = rng.integers(0, 80, (count, 32, 32, 3)) + 25 * labels[:, None, None, None]
        splits.append(Split(images.astype(np.uint8), labels))
    source = ImageData(*splits, name="tiny", source="generated", sha256={}, is_stand_in=True)
    return tasks.Task(*(tasks._tensors(s, classes, "cpu") for s in splits), classes, source)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """A folder in which parents are trained once for all tests."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_and_is_read_again(name: str, shelf: Path):
    first = train.run(name, 0, TINY, tiny_task(), folder=shelf)
    wanted = {"ensemble", "ensemble_top5", "branch1", "branch1_top5"}
    assert wanted <= set(first.measures["test"])
    assert len(first.measures["history"]) == first.measures["epochs"]
    assert max(r["ensemble"] for r in first.measures["history"]) == pytest.approx(
        first.measures["validation"]["ensemble"]
    )
    again = train.run(name, 0, TINY, tiny_task(), folder=shelf)
    assert again.measures == json.loads((shelf / "tiny" / f"{name}-0.json").read_text("utf-8"))
    images = tiny_task().test[0]
    told = [evaluate.answers_to(r.model, images).ensemble for r in (first, again)]
    torch.testing.assert_close(*told, rtol=0, atol=0)
    assert not list((shelf / "tiny").glob("*.part"))


RECORDED = (
    *("baseline", "three_branch", "five_branch", "three_to_five", "combined", "merged", "top5"),
    *("one_to_three", "one_to_three_equal", "branch_counts", "ablations", "five_to_one", "votes"),
    *("temperatures", "ramps", "learning_rates"),
)


@pytest.fixture
def tiny_records(monkeypatch, shelf: Path) -> None:
    monkeypatch.setattr(recorded, "POCKET", TINY)
    monkeypatch.setattr(recorded, "_task", tiny_task)
    monkeypatch.setattr(recorded, "run", partial(train.run, folder=shelf))


@pytest.mark.parametrize("name", RECORDED)
def test_a_row_of_the_ledger_gets_numbers_a_history_and_its_data(name: str, tiny_records: None):
    handed = getattr(recorded, name)(0, "full")
    assert all(math.isfinite(value) for value in handed["metrics"].values())
    assert History(handed["history"])["epoch"] == [*range(1, len(handed["history"]) + 1)]
    assert handed["data"]["name"] == "tiny"
    rows = [claim for claim in ledger() if claim.command == f"{recorded.__name__}:{name}"]
    assert {claim.metric for claim in rows} in (set(), set(handed["metrics"]))


def test_accuracies_are_those_of_the_runs(tiny_records: None):
    measures = recorded.pocket("merged", 0).measures
    metrics = recorded.merged(0, "full")["metrics"]
    test = measures["test"]
    mean = (test["branch1"] + test["branch2"] + test["branch3"]) / 3
    assert metrics["merged_branch_accuracy"] == pytest.approx(mean)
    assert metrics["merged_ensemble_accuracy"] == test["ensemble"]
    assert metrics["merged_start_accuracy"] == measures["before"]["ensemble"]


def test_equal_copies_stay_equal_and_votes_are_counted(tiny_records: None):
    assert recorded.one_to_three_equal(0, "full")["metrics"]["largest_gap_of_two_branches"] == 0
    votes = recorded.votes(0, "full")["metrics"]
    assert votes["subsets_evaluated"] == 31
    assert 1 <= votes["branches_in_best_subset"] <= 5


def test_controls_use_the_compute_of_what_they_control():
    size = scale("pocket")
    for name, one in EXPERIMENTS.items():
        if one.like:
            budget = train.compute(experiment(one.like), size, 20)
            used = train.compute(one, size, 20)
            assert abs(used - budget) <= train.cost(one, size, 20) / 2, name


def test_costs_grow_by_a_branch_and_count_frozen_passes_once():
    size = scale("paper")
    costs = [
        train.cost(experiment(n), size, 100) for n in ("one-branch", "three-branch", "five-branch")
    ]
    assert costs[2] - costs[1] == pytest.approx(costs[1] - costs[0], rel=1e-3)
    assert costs[0] / 3 == pytest.approx(69e6, rel=0.02)  # He et al.: 69 million multiply-adds
    assert train.cost(experiment("combined"), size, 100) == pytest.approx(costs[0], rel=1e-3)


class PowerCut(Exception):
    """What it says."""


def test_an_interrupted_run_goes_on_to_the_same_network(tmp_path: Path, monkeypatch):
    whole = train.run("three-branch", 1, TINY, tiny_task(), folder=tmp_path / "whole")
    real, calls = train.scores, []

    def cut(model, examples):
        calls.append(model)
        if len(calls) == 3:  # before training, after the first epoch, after the second
            raise PowerCut
        return real(model, examples)

    monkeypatch.setattr(train, "scores", cut)
    with pytest.raises(PowerCut):
        train.run("three-branch", 1, TINY, tiny_task(), folder=tmp_path / "cut")
    assert [p.suffix for p in (tmp_path / "cut" / "tiny").iterdir()] == [".part"]
    monkeypatch.setattr(train, "scores", real)
    resumed = train.run("three-branch", 1, TINY, tiny_task(), folder=tmp_path / "cut")
    for ours, theirs in zip(
        resumed.model.state_dict().values(), whole.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert resumed.measures["history"] == whole.measures["history"]


@pytest.mark.parametrize(
    ("name", "changes", "classes"),
    [("two-branch", {}, 6), ("three-branch", {"depth": 14}, 6), ("three-branch", {}, 5)],
    ids=["another M", "another depth", "another number of classes"],
)
def test_a_network_of_another_run_is_refused_and_kept(name, changes, classes, tmp_path, shelf):
    train.run("three-branch", 0, TINY, tiny_task(), folder=shelf)
    folder = tmp_path / "tiny"
    folder.mkdir()
    size = scale("pocket", **{**vars(TINY), **changes})
    for suffix in (".pt", ".json"):
        content = (shelf / "tiny" / f"three-branch-0{suffix}").read_bytes()
        if suffix == ".json":  # as if it fitted
            fields = json.loads(content) | {"experiment": name, "scale": vars(size)}
            content = json.dumps(fields).encode()
        (folder / f"{name}-0{suffix}").write_bytes(content)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match="is from another model"):
        train.run(name, 0, size, tiny_task(classes), folder=tmp_path)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_measures_of_another_size_are_refused(shelf: Path):
    train.run("three-branch", 0, TINY, tiny_task(), folder=shelf)
    other = scale("pocket", **{**vars(TINY), "epochs": 3})
    with pytest.raises(ValueError, match="three-branch-0.json has scale"):
        train.run("three-branch", 0, other, tiny_task(), folder=shelf)


def test_a_cut_off_checkpoint_is_one_sentence(tmp_path: Path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "one-branch-0.part").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match="no complete checkpoint"):
        train.run("one-branch", 0, TINY, tiny_task(), folder=tmp_path)


def test_unknown_names_list_the_known_ones(capsys):
    with pytest.raises(ValueError, match="no experiment called 'x'; there are one-branch"):
        experiment("x")
    with pytest.raises(ValueError, match="no profile called 'x'; there are pocket"):
        scale("x")
    with pytest.raises(ValueError, match="no data called 'x'; there are cifar10"):
        tasks.task("x")
    with pytest.raises(ValueError, match="no schedule called 'x'; there are constant"):
        train.schedule_of("x", torch.optim.SGD(nn.Linear(1, 1).parameters()), 9)
    assert main(["train", "--experiment", "x"]) == 2
    assert "no experiment called" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(EXPERIMENTS)


@pytest.mark.parametrize("kind", [*train.DECAYS, "ratio", "geometric"])
def test_schedules_stay_between_nothing_and_twenty_times_the_rate(kind: str):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = torch.optim.SGD([{"params": layer.parameters()} for layer in model], lr=0.1)
    schedule, rates = train.schedule_of(kind, optimizer, 10), []
    for _ in range(10):
        model(torch.ones(1, 2)).sum().backward()
        rates.append(schedule.get_last_lr()[-1])
        optimizer.step()
        schedule.step()
    assert 0 <= min(rates) <= max(rates) <= 2
    if kind != "constant":
        assert rates[-1] < max(rates)


def test_parents_come_in_earlier_rounds_and_once():
    rounds = order(["combined", "three-to-five", "one-branch"], 2)
    flat = [one for some in rounds for one in some]
    assert len(flat) == len(set(flat))
    places = {one: i for i, some in enumerate(rounds) for one in some}
    for name, seed in flat:
        for parent in train.family(experiment(name), seed):
            assert places[parent] < places[name, seed]
    assert ("one-branch", 5) in flat  # the third parent of combined with seed 1


def test_top_5_counts_labels_among_the_five_best():
    logits = torch.arange(20.0).repeat(3, 1)
    labels = torch.tensor([19, 15, 14])
    assert evaluate.top(logits, labels) == pytest.approx(1 / 3)
    assert evaluate.top(logits, labels, 5) == pytest.approx(2 / 3)


def test_a_student_is_taught_by_a_teacher_that_stays_as_it_is():
    task, draws = tiny_task(), torch.Generator().manual_seed(0)
    teacher = models.resnet(8, 6, 2, generator=draws, width=8)
    student = models.resnet(8, 6, generator=draws, width=8)
    both = starts.Taught(student, teacher).train()
    assert not both.teacher.module.training
    before = {name: t.clone() for name, t in both.teacher.state_dict().items()}
    optimizer = torch.optim.SGD(both.parameters(), lr=0.1)
    images = tasks.as_input(task.train[0][:32])
    losses.ONELoss()(both(images), task.train[1][:32]).backward()
    optimizer.step()
    assert all(torch.equal(before[name], t) for name, t in both.teacher.state_dict().items())
    answers = both.eval()(images)
    torch.testing.assert_close(answers.ensemble, student(images).ensemble)


def frozen_statistics(seed: int = 0) -> models.Branched:
    """A network in float64 whose BatchNorm takes its running statistics."""
    draws = torch.Generator().manual_seed(seed)
    return models.resnet(8, 6, 3, generator=draws, width=4).double().eval()


def one_of_two(rank: int, port: int, folder: str) -> None:
    """What each of two processes does: its share of a batch, and the gradients of both."""
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    images, labels = tiny_task().train
    batches = tasks.Share([(tasks.as_input(images[:32]).double(), labels[:32])], rank, 2)
    model = nn.parallel.DistributedDataParallel(frozen_statistics())
    for inputs, right in batches:
        losses.ONELoss()(model(inputs), right).backward()
    torch.save([p.grad for p in model.parameters()], Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_gradients_of_one(tmp_path: Path, free_port: int):
    spawn(one_of_two, (free_port, str(tmp_path)), nprocs=2)
    images, labels = tiny_task().train
    alone = frozen_statistics()
    losses.ONELoss()(alone(tasks.as_input(images[:32]).double()), labels[:32]).backward()
    for rank in range(2):
        gradients = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for ours, theirs in zip(alone.parameters(), gradients, strict=True):
            torch.testing.assert_close(ours.grad, theirs, rtol=1e-9, atol=1e-12)


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_a_sweep_runs_on_a_dask_cluster_of_two_workers(no_data: Path):
    import joblib
    from dask.distributed import Client

    few, names = (
        scale("pocket", name="few", depth=8, width=8, epochs=1, count=200),
        ["one-branch", "two-branch"],
    )
    with (
        Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        joblib.parallel_config(backend="dask", client=cluster),
    ):
        measures = sweep(names, 1, few, folder=no_data)
    assert [m["experiment"] for m in measures] == names
    alone = sweep(names, 1, few, folder=no_data / "alone")
    assert [m["test"] for m in measures] == [m["test"] for m in alone]


def test_the_command_line_trains_on_a_few_hundred_images(no_data: Path, monkeypatch, capsys):
    monkeypatch.setattr(train.run, "__kwdefaults__", {"folder": no_data, "device": "cpu"})
    tasks.task.cache_clear()
    command = ["train", "--experiment", "one-branch", "--profile", "paper", "--data", "cifar10"]
    assert main([*command, "--epochs", "1", "--count", "300"]) == 0
    assert "one-branch" in capsys.readouterr().out
    (folder,) = [path for path in no_data.iterdir() if path.name.startswith("paper")]
    assert folder.name == "paper-cifar10-1-300"
    tasks.task.cache_clear()
