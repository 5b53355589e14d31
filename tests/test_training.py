"""fit and History: the loop is right, seeded, and says what is wrong."""

import numpy as np
import pytest
import torch
from torch import nn

from utils.history import History
from utils.training import evaluate, fit, shuffled_batches


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
