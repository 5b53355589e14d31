"""fit and History: the loop is right, seeded, and says what is wrong."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from utils.history import History
from utils.training import count_parameters, evaluate, fit, predict, shuffled_batches


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_clouds(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    points = rng.normal(size=(n, 2)) + 3 * labels[:, None]
    return torch.tensor(points, dtype=torch.float32), torch.tensor(labels)


def net(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2))


def train(model: nn.Module, seed: int = 0, epochs: int = 3, learning_rate: float = 0.1) -> History:
    inputs, labels = two_clouds()
    batches = shuffled_batches(inputs, labels, 32, generator(seed))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    return fit(
        model,
        batches,
        nn.CrossEntropyLoss(),
        optimizer,
        epochs=epochs,
        validation=(inputs, labels),
        generator=generator(seed),
    )


def test_fit_learns_and_records_every_epoch():
    history = train(net(), epochs=10)
    assert history.columns == ["epoch", "loss", "validation_loss", "validation_accuracy"]
    assert history["epoch"] == list(range(1, 11))
    assert history["loss"][-1] < history["loss"][0]
    assert history["validation_accuracy"][-1] > 0.95


def test_numbers_that_a_reader_measures_join_the_row_and_can_choose_the_best():
    inputs, labels = two_clouds()
    model, found = net(), iter([0.2, 0.9, 0.5])
    history = fit(
        model,
        shuffled_batches(inputs, labels, 32, generator()),
        nn.CrossEntropyLoss(),
        torch.optim.SGD(model.parameters(), lr=0.1),
        epochs=3,
        measure=lambda trained: {"top5": next(found), "same": float(trained is model)},
        keep_best="top5",
        generator=generator(),
    )
    assert history.columns == ["epoch", "loss", "top5", "same"]
    assert history["top5"] == [0.2, 0.9, 0.5]
    assert set(history["same"]) == {1.0}


def test_the_same_seed_gives_the_same_run_with_dropout_and_another_does_not():
    runs = [train(net(dropout=0.5), seed).rows for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_fit_leaves_torchs_global_state_alone():
    before = torch.get_rng_state()
    train(net(dropout=0.5))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_recorded_loss_is_the_mean_over_examples_also_with_a_short_last_batch():
    inputs, labels = two_clouds(50)
    model, loss = net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    batches = shuffled_batches(inputs, labels, 32, generator())
    history = fit(model, batches, loss, optimizer, epochs=1, generator=generator())
    assert history["loss"][0] == pytest.approx(loss(model(inputs), labels).item(), rel=1e-6)


def test_evaluate_counts_in_pieces_and_in_evaluation_mode():
    inputs, labels = two_clouds()
    model, loss = net(dropout=0.9), nn.CrossEntropyLoss()
    whole = evaluate(model, (inputs, labels), loss, size=1000)
    pieces = evaluate(model, (inputs, labels), loss, size=7)
    assert whole == pytest.approx(pieces, rel=1e-6)


def test_every_example_comes_once_an_epoch_in_a_new_order():
    batches = shuffled_batches(torch.arange(10), torch.arange(10), 4, generator())
    first, second = (torch.cat([x for x, _ in batches]).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [len(x) for x, _ in batches] == [4, 4, 2]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        shuffled_batches(torch.zeros(0), torch.zeros(0), 4, generator())
    with pytest.raises(ValueError, match="3 inputs and 2 labels"):
        shuffled_batches(torch.zeros(3), torch.zeros(2), 4, generator())
    model = net()
    optimizer = torch.optim.SGD(model.parameters())
    with pytest.raises(ValueError, match="no batches"):
        fit(model, [], nn.CrossEntropyLoss(), optimizer, epochs=1, generator=generator())


def test_a_loss_that_explodes_is_told():
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        train(net(), learning_rate=1e30)


def test_history_refuses_rows_of_another_shape():
    history = History()
    history.append(epoch=1, loss=2)
    with pytest.raises(ValueError, match="this history has"):
        history.append(epoch=2)
    with pytest.raises(KeyError, match="no column 'accuracy'"):
        _ = history["accuracy"]
    assert len(history) == 1


def scripted(accuracies: list[float]) -> History:
    """A training whose validation accuracy after epoch i is ``accuracies[i - 1]``."""

    class Scripted(nn.Module):
        """Its one weight counts the epochs; it is right on the first share of 100 examples."""

        def __init__(self) -> None:
            super().__init__()
            self.count = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            share = accuracies[int(self.count) - 1]
            right = torch.arange(len(x)) < share * len(x)
            return torch.stack([right.float(), 1 - right.float()], dim=1) + 0 * self.count

    class Counting(torch.optim.SGD):
        def step(self):
            self.param_groups[0]["params"][0].data += 1

    model = Scripted()
    examples = torch.zeros(100, 1), torch.zeros(100, dtype=torch.int64)
    history = fit(
        model,
        [examples],
        nn.CrossEntropyLoss(),
        Counting(model.parameters(), lr=1),
        epochs=len(accuracies),
        validation=examples,
        keep_best="validation_accuracy",
        patience=2,
        generator=generator(),
    )
    history.kept = int(model.count)
    return history


@pytest.mark.parametrize(
    ("accuracies", "kept", "epochs"),
    [
        ([0.1, 0.5, 0.9], 3, 3),
        ([0.1, 0.9, 0.5, 0.9, 0.95], 2, 4),  # a tie is no improvement
        ([0.9, 0.1, 0.2, 0.8], 1, 3),
    ],
)
def test_the_best_epoch_is_restored_by_copy_and_patience_ends_a_training(accuracies, kept, epochs):
    history = scripted(accuracies)
    assert (history.kept, len(history)) == (kept, epochs)


def test_a_column_that_is_not_there_is_named():
    inputs, labels = two_clouds()
    model = net()
    with pytest.raises(ValueError, match="'validation_loss' is no column; there are .*'loss'"):
        fit(
            model,
            [(inputs, labels)],
            nn.CrossEntropyLoss(),
            torch.optim.SGD(model.parameters()),
            epochs=1,
            keep_best="validation_loss",
            generator=generator(),
        )


class Stopped(Exception):
    """The power goes out."""


def long_training(checkpoint: Path | None, *, stop_at: int | None = None):
    """Six epochs of a network with dropout, momentum and a schedule; perhaps stopped in one."""
    inputs, labels = two_clouds()
    model, draws = net(dropout=0.3), generator(5)
    batches = shuffled_batches(inputs, labels, 32, draws)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=6 * len(batches))
    passes = 0

    class Interrupted:
        def __iter__(self):
            nonlocal passes
            passes += 1
            yield from islice(batches, 3 if passes == stop_at else None)
            if passes == stop_at:
                raise Stopped

    how = {"validation": (inputs, labels), "keep_best": "validation_loss", "schedule": schedule}
    history = fit(
        model,
        Interrupted(),
        nn.CrossEntropyLoss(),
        optimizer,
        epochs=6,
        max_norm=1.0,
        checkpoint=checkpoint,
        generator=draws,
        **how,
    )
    return history, model.state_dict()


@pytest.mark.parametrize("stop_at", [2, 6])
def test_an_interrupted_training_goes_on_to_the_same_result_bit_for_bit(stop_at, tmp_path: Path):
    history, weights = long_training(None)
    path = tmp_path / "run.pt"
    with pytest.raises(Stopped):
        long_training(path, stop_at=stop_at)
    again, resumed = long_training(path)
    assert again.rows == history.rows
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]
    assert long_training(path)[0].rows == history.rows  # a finished one is not trained again


def spoilt(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    if kind == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "a web page":
        path.write_bytes(b"<html>404</html>")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "a list":
        torch.save([1, 2], path)
    elif kind == "weights alone":
        torch.save({"weight": torch.zeros(2)}, path)


@pytest.mark.parametrize("kind", ["cut off", "a web page", "empty", "a list", "weights alone"])
def test_a_spoilt_checkpoint_is_refused_in_one_sentence(kind: str, tmp_path: Path):
    path = tmp_path / "run.pt"
    long_training(path)
    spoilt(path, kind)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"run\.pt .*delete it") as error:
        long_training(path)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused_before_anything_changes(tmp_path: Path):
    path = tmp_path / "run.pt"
    long_training(path)
    other = nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Linear(9, 2))
    weights = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"another model: 0.weight is \(8, 2\) there and \(9, 2\)"):
        fit(
            other,
            [two_clouds()],
            nn.CrossEntropyLoss(),
            optimizer,
            epochs=7,
            checkpoint=path,
            generator=generator(),
        )
    assert all(torch.equal(other.state_dict()[name], weights[name]) for name in weights)


def test_the_log_is_what_tensorboard_reads(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    inputs, labels = two_clouds()
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = shuffled_batches(inputs, labels, 32, generator())
    history = fit(
        model,
        batches,
        nn.CrossEntropyLoss(),
        optimizer,
        epochs=3,
        log=tmp_path,
        generator=generator(),
    )
    log = EventAccumulator(str(tmp_path)).Reload()
    stored = log.Scalars("loss")
    assert [event.step for event in stored] == [1, 2, 3]
    np.testing.assert_allclose([event.value for event in stored], history["loss"], rtol=1e-6)


def test_evaluate_takes_batches_as_well_as_a_pair_and_predict_gives_all_rows():
    inputs, labels = two_clouds()
    model = net(dropout=0.5)
    batches = shuffled_batches(inputs, labels, 32, generator())
    on_batches = evaluate(model, batches, nn.CrossEntropyLoss())
    np.testing.assert_allclose(
        on_batches, evaluate(model, (inputs, labels), nn.CrossEntropyLoss()), rtol=1e-6
    )
    model.eval()
    torch.testing.assert_close(predict(model, inputs, size=7), model(inputs).detach())
    with pytest.raises(ValueError, match="no examples"):
        evaluate(model, [], nn.CrossEntropyLoss())


def test_batches_are_changed_anew_each_time_they_are_drawn():
    def noisy(x: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        return x + torch.rand(x.shape, generator=draws)

    inputs, labels = two_clouds()
    first, second = (
        shuffled_batches(inputs, labels, len(inputs), generator(), noisy) for _ in range(2)
    )
    (once, order), (again, _) = next(iter(first)), next(iter(first))
    assert torch.equal(once, next(iter(second))[0])
    assert not torch.equal(once, again)
    assert torch.equal(order.sort()[0], labels.sort()[0])


def test_convolutions_are_laid_out_for_speed_where_that_does_not_crash():
    def network(inputs: int) -> nn.Module:
        shortcut = nn.Conv2d(inputs, 16, 1, stride=2)
        return nn.Sequential(nn.Conv2d(1, inputs, 3), shortcut, nn.Flatten(), nn.Linear(144, 2))

    for inputs, laid_out in ((8, True), (4, False)):
        model = network(inputs)
        images, labels = torch.rand(32, 1, 8, 8), torch.zeros(32, dtype=torch.long)
        generator = torch.Generator().manual_seed(0)
        batches = shuffled_batches(images, labels, 16, generator)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        fit(model, batches, nn.CrossEntropyLoss(), optimizer, epochs=3, generator=generator)
        assert model[0].weight.is_contiguous(memory_format=torch.channels_last)  # 1 channel: both
        assert model(images).shape == (32, 2)
        maps = model[0](images)
        assert maps.is_contiguous(memory_format=torch.channels_last) == laid_out


def test_only_what_training_changes_is_counted():
    model = net()
    assert count_parameters(model) == 2 * 8 + 8 + 8 * 2 + 2
    model[0].requires_grad_(False)
    assert count_parameters(model) == 8 * 2 + 2
