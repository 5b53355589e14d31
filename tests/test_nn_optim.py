"""Optimizers and schedules equal torch's step by step; clipping; the training loop."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils import nn
from utils.nn import optim
from utils.nn.optim import Optimizer

torch.set_num_threads(1)

STEPS = 50
CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.02}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.1, "weight_decay": 0.05}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.8, "eps": 1e-4, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.01}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "alpha": 0.9}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3}),
    ("Adam", {"weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.03, "weight_decay": 0.5, "betas": (0.8, 0.95)}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "betas": (0.7, 0.9), "weight_decay": 0.1, "momentum_decay": 0.05}),
    ("LazyAdam", {"weight_decay": 0.1}),
]
SHAPES = [(3, 4), (5,), ()]


def theirs_of(name: str) -> type[torch.optim.Optimizer]:
    """LazyAdam is Adam where every row was touched."""
    return getattr(torch.optim, "Adam" if name == "LazyAdam" else name)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """torch keeps a factor of NAdam in its default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def problem(seed: int, shapes: list[tuple[int, ...]]):
    """Parameters here and in torch, and what makes their gradients: w − target plus noise."""
    rng = np.random.default_rng(seed)
    ours = [nn.Parameter(rng.normal(size=shape)) for shape in shapes]
    theirs = [torch.tensor(p.data.copy(), requires_grad=True) for p in ours]

    def gradients() -> None:
        for parameter, tensor in zip(ours, theirs, strict=True):
            noise = rng.normal(size=parameter.data.shape)
            parameter.grad = np.asarray(parameter.data - 1 + 0.5 * noise)
            tensor.grad = torch.tensor(parameter.grad)

    return ours, theirs, gradients


def run(ours: Optimizer, theirs: torch.optim.Optimizer, gradients, steps: int = STEPS) -> None:
    """Both step by step, compared after each."""
    for _ in range(steps):
        gradients()
        given = [None if p.grad is None else p.grad.copy() for p in ours.parameters]
        ours.step()
        theirs.step()
        for p, tensor, g in zip(
            ours.parameters, theirs.param_groups[0]["params"], given, strict=True
        ):
            np.testing.assert_allclose(p.data, tensor.detach().numpy(), rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(p.grad, g)  # gradients are left alone


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_every_optimizer_is_torchs_step_by_step(name: str, arguments: dict):
    ours, theirs, gradients = problem(0, SHAPES)
    run(getattr(nn, name)(ours, **arguments), theirs_of(name)(theirs, **arguments), gradients)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.floats(1e-4, 0.2),
    st.floats(0, 0.3),
    st.tuples(st.floats(0, 0.95), st.floats(0.5, 0.999)),
    st.integers(0, 2**32 - 1),
)
def test_also_with_drawn_hyperparameters(name: str, lr: float, decay: float, rates, seed: int):
    arguments = {"lr": lr, "weight_decay": decay}
    if name == "SGD":
        arguments |= {"momentum": rates[0], "nesterov": rates[0] > 0.3}
    elif name == "RMSprop":
        arguments |= {"momentum": rates[0], "alpha": rates[1], "eps": 1e-6}
    elif name == "Adadelta":
        arguments |= {"rho": rates[1]}
    elif name == "Adagrad":
        arguments |= {"lr_decay": rates[0]}
    else:
        arguments |= {"betas": rates}
    ours, theirs, gradients = problem(seed, [(2, 3)])
    run(getattr(nn, name)(ours, **arguments), theirs_of(name)(theirs, **arguments), gradients, 12)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_large_parameters_are_updated_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(optim, "PIECE", 7)
    arguments = {"lr": 0.05, "weight_decay": 0.1}
    ours, theirs, gradients = problem(1, [(5, 6), (7,), (2, 7)])
    run(getattr(nn, name)(ours, **arguments), theirs_of(name)(theirs, **arguments), gradients, 10)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_a_parameter_without_gradient_waits(name: str):
    ours, theirs, gradients = problem(2, [(3,), (4,)])
    seen = 0

    def sometimes() -> None:
        nonlocal seen
        gradients()
        seen += 1
        if seen % 3:
            ours[1].zero_grad()
            theirs[1].grad = None

    run(
        getattr(nn, name)(ours),
        theirs_of(name)(theirs, lr=getattr(nn, name)(ours).lr),
        sometimes,
        9,
    )


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_training_goes_on_from_a_state_dict(name: str, arguments: dict):
    ours, theirs, gradients = problem(3, SHAPES)
    first = getattr(nn, name)(ours, **arguments)
    reference = theirs_of(name)(theirs, **arguments)
    run(first, reference, gradients, 5)
    second = getattr(nn, name)(ours)
    second.load_state_dict(first.state_dict())
    run(second, reference, gradients, 5)


def test_a_parameter_that_was_set_to_a_view_is_updated_too():
    parameter = nn.Parameter(np.zeros((2, 3)))
    parameter.data = np.zeros((3, 2)).T
    parameter.grad = np.ones((3, 2)).T
    nn.SGD([parameter], lr=1.0).step()
    np.testing.assert_array_equal(parameter.data, -np.ones((2, 3)))


def test_a_state_dict_is_a_copy_and_of_one_kind():
    ours, _, gradients = problem(0, SHAPES)
    optimizer = nn.Adam(ours)
    gradients()
    optimizer.step()
    state = optimizer.state_dict()
    optimizer.step()
    assert (state["state"][0]["step"], optimizer.state[0]["step"]) == (1, 2)
    assert not np.array_equal(state["state"][0]["exp_avg"], optimizer.state[0]["exp_avg"])
    for other in (nn.SGD(ours), nn.Adam(ours[:2]), nn.Adam(ours[::-1]), nn.Adam([*ours, ours[0]])):
        with pytest.raises(ValueError, match="this state is of another optimizer or model"):
            other.load_state_dict(state)


def test_lazy_adam_is_torchs_sparse_adam():
    """With ε → 0, for torch puts it elsewhere. Indices repeat, rows come and go."""
    rng = np.random.default_rng(0)
    layer = nn.Embedding(9, 4, rng=rng).astype(np.float64)
    theirs = torch.nn.Embedding(9, 4, sparse=True).double()
    theirs.load_state_dict({"weight": torch.tensor(layer.weight.data)})
    ours = nn.LazyAdam(layer.parameters(), lr=0.1, eps=1e-30)
    sparse = torch.optim.SparseAdam(theirs.parameters(), lr=0.1, eps=1e-30)
    for _ in range(STEPS):
        indices = rng.integers(0, 9, 4)
        y, tensor = layer(indices), theirs(torch.tensor(indices))
        c = rng.normal(size=y.shape)
        ours.zero_grad(), sparse.zero_grad()
        layer.backward(c), tensor.backward(torch.tensor(c))
        ours.step(), sparse.step()
        np.testing.assert_allclose(layer.weight.data, theirs.weight.detach().numpy(), rtol=1e-9)


def test_lazy_adam_leaves_untouched_rows_alone_and_adam_does_not():
    moved = {}
    for kind in (nn.LazyAdam, nn.Adam):
        layer = nn.Embedding(5, 2, rng=np.random.default_rng(0))
        optimizer = kind(layer.parameters(), lr=0.1)
        for indices in ([0, 1], [3]):
            before = layer.weight.data.copy(), layer.weight.data.copy()
            optimizer.zero_grad()
            layer.backward(np.ones_like(layer(np.array(indices))))
            optimizer.step()
        moved[kind] = np.flatnonzero((layer.weight.data != before[0]).any(axis=1)).tolist()
    assert moved == {nn.LazyAdam: [3], nn.Adam: [0, 1, 3]}


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_float32_stays_float32_also_with_a_numpy_rate(name: str, arguments: dict):
    parameter = nn.Parameter(np.ones((3, 2), np.float32))
    arguments = {k: np.float64(v) if type(v) is float else v for k, v in arguments.items()}
    optimizer = getattr(nn, name)([parameter], **arguments)
    seen = []
    update = type(optimizer).update

    def watch(self, step, w, g, **slots):
        seen.extend(a.dtype for a in (w, g, *slots.values()))
        update(self, step, w, g, **slots)

    optimizer.update = watch.__get__(optimizer)
    parameter.grad = np.ones((3, 2), np.float32)
    optimizer.step()
    assert {parameter.data.dtype, *seen} == {np.dtype(np.float32)}
    numbers = [v for v in vars(optimizer).values() if isinstance(v, float)]
    assert all(type(v) is float for v in numbers)  # np.float64 would turn float32 into float64


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_averages_of_a_dead_unit_end_at_zero_not_at_denormal_numbers(name: str, arguments: dict):
    parameter = nn.Parameter(np.ones(3, np.float32))
    optimizer = getattr(nn, name)([parameter], **arguments | {"weight_decay": 0.0})
    parameter.grad = np.array([1, 1e-10, -1], np.float32)
    for _ in range(1200):
        optimizer.step()
        parameter.grad = np.zeros(3, np.float32)
    for slot in optimizer.slots:
        size = np.abs(optimizer.state[0][slot])
        assert not ((size > 0) & (size < np.finfo(np.float32).tiny)).any()


def test_optimizers_say_what_is_wrong():
    parameter = nn.Parameter(np.ones(2))
    with pytest.raises(ValueError, match="SGD needs at least one parameter"):
        nn.SGD([])
    with pytest.raises(ValueError, match="Adam needs .* lr ≥ 0 .* got 1, -1"):
        nn.Adam([parameter], lr=-1)
    with pytest.raises(ValueError, match="nesterov needs a momentum"):
        nn.SGD([parameter], nesterov=True)
    with pytest.raises(ValueError, match="NAdam: betas lie from 0 to below 1"):
        nn.NAdam([parameter], betas=(0.9, 1.0))


SCHEDULES = [
    ("StepLR", {"step_size": 7}, 40),
    ("StepLR", {"step_size": 1, "gamma": 0.8}, 40),
    ("CosineAnnealingLR", {"T_max": 30}, 31),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.01}, 45),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40}, 40),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 37, "pct_start": 0.1}, 37),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 10, "pct_start": 0.05}, 10),
    (
        "OneCycleLR",
        {
            "max_lr": 0.1,
            "total_steps": 25,
            "anneal_strategy": "linear",
            "div_factor": 10,
            "final_div_factor": 100,
            "base_momentum": 0.7,
            "max_momentum": 0.9,
        },
        25,
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20, "cycle_momentum": False}, 20),
]


@pytest.mark.parametrize(("name", "arguments", "steps"), SCHEDULES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_schedules_are_torchs_over_a_whole_cycle(name: str, arguments: dict, steps: int, kind: str):
    settings = {"lr": 0.2, "momentum": 0.8} if kind == "SGD" else {"lr": 0.2, "betas": (0.8, 0.9)}
    ours = getattr(nn, kind)([nn.Parameter(np.ones(1))], **settings)
    theirs = getattr(torch.optim, kind)([torch.ones(1, requires_grad=True)], **settings)
    mine = getattr(nn, name)(ours, **arguments)
    reference = getattr(torch.optim.lr_scheduler, name)(theirs, **arguments)
    for _ in range(steps):
        group = theirs.param_groups[0]
        momentum = group["momentum"] if kind == "SGD" else group["betas"][0]
        assert ours.lr == pytest.approx(group["lr"], rel=1e-9, abs=1e-12)
        assert ours.momentum == pytest.approx(momentum, rel=1e-9)
        theirs.step()
        mine.step()
        reference.step()


def test_one_cycle_ends_and_starts_at_its_peak_where_told():
    optimizer = nn.SGD([nn.Parameter(np.ones(1))], lr=0.2)
    schedule = nn.OneCycleLR(optimizer, 0.5, 4, pct_start=0.25)
    assert optimizer.lr == 0.5  # the way up has no length
    for _ in range(4):
        schedule.step()
    with pytest.raises(ValueError, match="made for 4 steps; this is step 5"):
        schedule.step()


def test_schedules_say_what_is_wrong():
    optimizer = nn.Adadelta([nn.Parameter(np.ones(1))])
    with pytest.raises(ValueError, match="Adadelta has no momentum; say cycle_momentum=False"):
        nn.OneCycleLR(optimizer, 0.5, 4)
    with pytest.raises(ValueError, match="OneCycleLR needs total_steps ≥ 1"):
        nn.OneCycleLR(optimizer, 0.5, 0, cycle_momentum=False)
    with pytest.raises(ValueError, match="step_size is at least 1; got 0"):
        nn.StepLR(optimizer, 0)
    with pytest.raises(ValueError, match="T_max is at least 1; got 0"):
        nn.CosineAnnealingLR(optimizer, 0)


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e6])
def test_clipping_is_torchs(max_norm: float):
    ours, theirs, gradients = problem(5, SHAPES)
    gradients()
    ours.append(nn.Parameter(np.ones(3)))  # without a gradient
    norm = nn.clip_grad_norm_(ours, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert norm == pytest.approx(expected.item(), rel=1e-12)
    for parameter, tensor in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(parameter.grad, tensor.grad.numpy(), rtol=1e-9)


def test_an_exploded_float32_gradient_is_clipped_too():
    parameter = nn.Parameter(np.ones(4, np.float32))
    parameter.grad = np.full(4, 1e30, np.float32)  # its square is no float32
    assert nn.clip_grad_norm_([parameter], 1.0) == pytest.approx(2e30)
    assert parameter.grad.dtype == np.float32
    np.testing.assert_allclose(parameter.grad, 0.5, rtol=1e-6)


def clouds(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % 2
    points = np.random.default_rng(0).normal(size=(n, 2)) + 3 * labels[:, None]
    return points.astype(np.float32), labels


def net(dropout: float = 0.0) -> nn.Sequential:
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Linear(2, 8, rng=rng), nn.ReLU(), nn.Dropout(dropout, rng=rng), nn.Linear(8, 2, rng=rng)
    )


def train(model: nn.Module, seed: int = 0, epochs: int = 3, lr: float = 0.1, **options):
    rng = np.random.default_rng(seed)
    return nn.fit(
        model,
        nn.batches(*clouds(), 32, rng),
        nn.CrossEntropyLoss(),
        nn.SGD(model.parameters(), lr=lr),
        epochs=epochs,
        validation=clouds(),
        rng=rng,
        **options,
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


def test_fit_is_the_loop_of_torch():
    model, (inputs, labels) = net(), clouds(64)
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    names = {"0.weight": "0.weight", "0.bias": "0.bias", "3.weight": "2.weight", "3.bias": "2.bias"}
    state = model.state_dict()
    theirs.float().load_state_dict(
        {names[name]: torch.tensor(value) for name, value in state.items()}
    )
    batches = [(inputs[:40], labels[:40]), (inputs[40:], labels[40:])]
    optimizer = nn.Adam(model.parameters(), lr=0.01)
    schedule = nn.OneCycleLR(optimizer, 0.1, 20)
    loss = nn.CrossEntropyLoss()
    history = nn.fit(
        model,
        batches,
        loss,
        optimizer,
        epochs=10,
        schedule=schedule,
        max_norm=0.5,
        rng=np.random.default_rng(0),
    )
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 20)
    losses = []
    for _ in range(10):
        total = 0
        for x, y in batches:
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
            value.backward()
            torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            total += value.item() * len(y)
        losses.append(total / 64)
    assert history["loss"] == pytest.approx(losses, rel=1e-4)


def test_an_epochs_schedule_steps_after_each_epoch():
    model = net()
    optimizer = nn.SGD(model.parameters(), lr=1.0)
    data = nn.batches(*clouds(), 32, np.random.default_rng(0))
    assert len(data) == 7
    schedule = nn.StepLR(optimizer, 1, 0.5)
    rng = np.random.default_rng(0)
    nn.fit(model, data, nn.CrossEntropyLoss(), optimizer, epochs=3, schedule=schedule, rng=rng)
    assert optimizer.lr == 0.125


def test_a_regression_has_no_accuracy():
    x = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    rng = np.random.default_rng(0)
    model = nn.Linear(1, 1, rng=rng)
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    data = nn.batches(x, 3 * x, 10, rng)
    history = nn.fit(
        model, data, nn.MSELoss(), optimizer, epochs=30, validation=(x, 3 * x), rng=rng
    )
    assert history.columns == ["epoch", "loss", "validation_loss"]
    assert history["validation_loss"][-1] < 1e-2


def test_evaluate_counts_in_pieces_and_in_evaluation_mode():
    model, loss = net(dropout=0.9), nn.CrossEntropyLoss()
    whole = nn.evaluate(model, clouds(), loss, size=1000)
    assert nn.evaluate(model, clouds(), loss, size=7) == pytest.approx(whole, rel=1e-6)
    assert model.training  # as it was
    outputs = nn.predict(model, clouds()[0], size=7)
    assert (outputs.argmax(axis=1) == clouds()[1]).mean() == pytest.approx(whole[1])


def test_every_example_comes_once_an_epoch_in_a_new_order():
    data = nn.batches(np.arange(10), np.arange(10), 4, np.random.default_rng(0))
    first, second = (np.concatenate([x for x, _ in data]).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [len(x) for x, _ in data] == [4, 4, 2]


def test_bad_input_is_refused():
    rng = np.random.default_rng(0)
    for inputs, labels in ((0, 0), (3, 2)):
        with pytest.raises(ValueError, match=f"got {inputs} inputs, {labels} labels and size 4"):
            nn.batches(np.zeros(inputs), np.zeros(labels), 4, rng)
    model = net()
    with pytest.raises(ValueError, match="no batches"):
        nn.fit(model, [], nn.CrossEntropyLoss(), nn.SGD(model.parameters()), epochs=1, rng=rng)
    with pytest.raises(ValueError, match="Sequential: there are no inputs to evaluate"):
        nn.predict(model, np.zeros((0, 2), np.float32))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
def test_a_loss_that_explodes_is_told():
    with pytest.raises(FloatingPointError, match="smaller learning rate|got NaN"):
        train(net(), lr=1e30)
