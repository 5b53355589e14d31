"""Bounds, defaults and whole sentences: small faults here once passed all the other tests."""

import re

import numpy as np
import pytest
import torch

from utils import nn
from utils.nn import optim
from utils.nn.attention import sinusoidal_positions

BOARD = np.zeros((1, 2, 4, 4))
FLAT = np.zeros((3, 2))
POOLS = [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)]


def whole(sentence: str) -> str:
    """A pattern that matches the sentence and nothing else."""
    return f"^{re.escape(sentence)}$"


@pytest.mark.parametrize("layer", POOLS, ids=lambda layer: layer.name)
def test_a_pool_says_which_axes_it_expects(layer: nn.Module):
    said = f"{layer.name}: expected floats of shape (N, C, H, W); got float64 of shape (3, 2)."
    with pytest.raises(ValueError, match=whole(said)):
        layer(FLAT)


def test_unpooling_says_which_axes_it_expects():
    said = "MaxUnpool2d: expected floats of shape (N, C, H, W); got float64 of shape (3, 2)."
    with pytest.raises(ValueError, match=whole(said)):
        nn.MaxUnpool2d(2)(FLAT, FLAT.astype(int))


def convolution(make: type[nn.Module], **options) -> nn.Module:
    """A layer from 2 to 3 channels; its kernel is 2×2 unless told."""
    return make(2, 3, **{"kernel_size": 2, "rng": np.random.default_rng(0), **options})


@pytest.mark.parametrize("make", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_convolution_says_which_axes_it_expects(make: type[nn.Module]):
    layer, said = (
        convolution(make),
        f"{make.__name__}: expected float32 of shape (N, 2, H, W); got ",
    )
    for wrong, got in ((FLAT, "(3, 2)"), (BOARD, "(1, 2, 4, 4)")):
        with pytest.raises(ValueError, match=whole(f"{said}float64 of shape {got}.")):
            layer(wrong)


def test_a_convolution_names_itself_where_the_kernel_is_too_large():
    with pytest.raises(ValueError, match="^Conv2d: "):
        convolution(nn.Conv2d, kernel_size=5)(BOARD.astype(np.float32))


@pytest.mark.parametrize(
    ("make", "what", "least"),
    [
        (nn.Conv2d, "kernel_size", 1),
        (nn.Conv2d, "stride", 1),
        (nn.Conv2d, "dilation", 1),
        (nn.Conv2d, "padding", 0),
        (nn.ConvTranspose2d, "padding", 0),
        (nn.ConvTranspose2d, "output_padding", 0),
    ],
)
def test_a_convolution_names_the_argument_that_is_wrong(make, what: str, least: int):
    said = f"{make.__name__}: {what} must be a whole number ≥ {least} or two of them; got 0.5."
    with pytest.raises(ValueError, match=whole(said)):
        convolution(make, **{what: 0.5})


def test_convolutions_pad_nothing_unless_told():
    board = BOARD.astype(np.float32)
    assert convolution(nn.Conv2d)(board).shape == (1, 3, 3, 3)
    assert convolution(nn.ConvTranspose2d)(board).shape == (1, 3, 5, 5)


@pytest.mark.parametrize(("ours", "theirs"), [("LeakyReLU", "LeakyReLU"), ("ELU", "ELU")])
def test_the_slope_at_zero_is_that_of_torch(ours: str, theirs: str):
    layer, zero = getattr(nn, ours)(), torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    getattr(torch.nn, theirs)()(zero).sum().backward()
    layer(np.zeros((1, 1)))
    assert layer.backward(np.ones((1, 1))) == zero.grad.numpy()


@pytest.mark.parametrize(
    ("indices", "got"),
    [(np.zeros((1, 2)), "float64 of shape (1, 2)"), ([0], "[0]"), (np.zeros(0, int), "(0,)")],
)
def test_an_embedding_says_what_it_got_instead_of_indices(indices, got: str):
    with pytest.raises(ValueError, match=re.escape(got)):
        nn.Embedding(3, 2, rng=np.random.default_rng(0))(indices)


def test_an_embedding_takes_unsigned_indices():
    layer = nn.Embedding(3, 2, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(layer(np.array([2], np.uint8))[0], layer.weight.data[2])


@pytest.mark.parametrize("make", [nn.MaxPool2d, nn.MaxUnpool2d, nn.AvgPool2d])
@pytest.mark.parametrize("what", ["kernel_size", "stride", "padding"])
def test_a_window_names_the_argument_that_is_wrong(make: type[nn.Module], what: str):
    least = 0 if what == "padding" else 1
    said = f"{make.__name__}: {what} must be a whole number ≥ {least} or two of them; got 0.5."
    with pytest.raises(ValueError, match=whole(said)):
        make(**{"kernel_size": 2, what: 0.5})


@pytest.mark.parametrize("make", [nn.MaxPool2d, nn.MaxUnpool2d, nn.AvgPool2d])
def test_windows_step_by_their_own_size_unless_told(make: type[nn.Module]):
    assert make((2, 3)).stride == (2, 3)
    assert make((2, 3), 1).stride == (1, 1)


def test_unpooling_keeps_float32():
    indices = np.zeros((1, 1, 1, 1), int)
    assert nn.MaxUnpool2d(2)(np.ones((1, 1, 1, 1), np.float32), indices).dtype == np.float32


def test_flattening_needs_an_axis_to_flatten():
    with pytest.raises(ValueError, match=r"^Flatten: expected floats of shape \(…, N\); got float"):
        nn.Flatten()(np.array(1.0))


def test_an_embedding_is_made_in_the_dtype_that_is_asked_for():
    rng = np.random.default_rng(0)
    assert nn.Embedding(3, 2, rng=rng).weight.data.dtype == np.float32
    assert nn.Embedding(3, 2, rng=rng, dtype=np.float64).weight.data.dtype == np.float64


def test_the_least_sizes_are_accepted():
    assert sinusoidal_positions(1, 2).shape == (1, 2)
    optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=1.0)
    nn.CosineAnnealingLR(optimizer, 1).step()
    assert optimizer.lr == 0
    nn.StepLR(optimizer, 1)
    inputs, labels = np.ones((2, 1)), np.zeros(2, int)
    assert len(nn.batches(inputs, labels, 1, np.random.default_rng(0))) == 2


@pytest.mark.parametrize(("length", "width"), [(0, 4), (1, 0), (1, 3), (0, 3)])
def test_positions_need_a_length_and_an_even_width(length: int, width: int):
    said = f"sinusoidal_positions: length is ≥ 1 and d_model even; got {length} and {width}."
    with pytest.raises(ValueError, match=whole(said)):
        sinusoidal_positions(length, width)


@pytest.mark.parametrize(
    ("steps", "part", "kind"), [(0, 0.3, "cos"), (4, 1.5, "cos"), (4, -0.1, "cos"), (4, 0.3, "up")]
)
def test_each_fault_of_a_one_cycle_schedule_is_refused(steps: int, part: float, kind: str):
    optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=1.0, momentum=0.9)
    with pytest.raises(ValueError, match=r"^OneCycleLR needs total_steps ≥ 1, pct_start from 0 to"):
        nn.OneCycleLR(optimizer, 1.0, total_steps=steps, pct_start=part, anneal_strategy=kind)


@pytest.mark.parametrize(("steps", "part"), [(1, 0.3), (5, 0.0), (5, 1.0)])
def test_a_one_cycle_schedule_may_rise_or_fall_only(steps: int, part: float):
    ours = optim.SGD([nn.Parameter(np.ones(1))], lr=1.0, momentum=0.9)
    schedule = nn.OneCycleLR(ours, 1.0, total_steps=steps, pct_start=part)
    rates = []
    for _ in range(steps):
        rates.append(ours.lr)
        schedule.step()
    assert max(rates) <= 1
    assert all(a <= b for a, b in zip(rates, rates[1:], strict=False)) or part < 1
    assert all(a >= b for a, b in zip(rates, rates[1:], strict=False)) or part > 0


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_evaluating_gives_the_mean_loss_and_the_share_right(kind: type[np.generic]):
    logits = np.random.default_rng(0).normal(size=(7, 3))
    labels = np.array([0, 1, 2, 0, 1, 2, 0], kind)
    model = nn.Sequential(nn.Linear(3, 3, rng=np.random.default_rng(0), dtype=np.float64))
    model[0].weight.data[:], model[0].bias.data[:] = np.eye(3), 0
    found, share = nn.evaluate(model, (logits, labels), nn.CrossEntropyLoss(), size=3)
    wanted = torch.nn.functional.cross_entropy(
        torch.tensor(logits), torch.tensor(labels.astype(int))
    )
    assert found == pytest.approx(wanted.item(), abs=1e-12)
    assert share == (logits.argmax(axis=1) == labels).mean()


def test_a_training_hands_its_generator_to_layers_that_draw_and_to_no_others():
    rng, fresh = np.random.default_rng(0), np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(2, 2, rng=rng), nn.Dropout(0.5, rng=rng))
    examples = np.ones((4, 2), np.float32), np.zeros(4, int)
    batches = nn.batches(*examples, 2, np.random.default_rng(2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    nn.fit(model, batches, nn.CrossEntropyLoss(), optimizer, epochs=1, rng=fresh)
    assert model[1].rng is fresh
    assert "rng" not in vars(model[0])


def test_a_loss_that_explodes_and_an_empty_stream_are_told_in_whole_sentences():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(1, 1, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=1e30)
    huge = [(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))] * 9
    said = r"^the loss became (inf|nan): try a smaller learning rate\.$"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=said):
        nn.fit(model, huge, nn.MSELoss(), optimizer, epochs=1, rng=rng)
    with pytest.raises(ValueError, match=whole("there are no batches to train on.")):
        nn.fit(model, [], nn.MSELoss(), optimizer, epochs=1, rng=rng)


def test_an_orthogonal_weight_has_no_gain_unless_told():
    weight = nn.init.orthogonal_(nn.Parameter(np.zeros((3, 5))), rng=np.random.default_rng(0))
    np.testing.assert_allclose(weight.data @ weight.data.T, np.eye(3), atol=1e-12)


def test_an_unknown_gain_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"^no gain is known for 'cos'; there are .*'leaky_relu'\]"
    ):
        nn.init.calculate_gain("cos")


def trained() -> optim.Adam:
    """An optimizer after one step."""
    parameter = nn.Parameter(np.ones(2))
    parameter.grad = np.ones(2)
    optimizer = optim.Adam([parameter], lr=0.1)
    optimizer.step()
    return optimizer


def test_the_state_of_an_optimizer_is_a_copy_on_its_way_out_and_in():
    optimizer = trained()
    kept = optimizer.state_dict()
    assert not {"parameters", "state"} & kept["hyperparameters"].keys()
    again = trained()
    again.load_state_dict(kept)
    for slots in (*optimizer.state, *again.state):
        for name, values in slots.items():
            if name != "step":
                values += 1
    for ours, fresh in zip(kept["state"], trained().state, strict=True):
        for name, values in ours.items():
            np.testing.assert_array_equal(values, fresh[name])


def test_a_foreign_state_is_refused_by_name():
    wrong = optim.Adam([nn.Parameter(np.ones(3))]).state_dict() | {"state": [{"m": np.ones(3)}]}
    with pytest.raises(ValueError, match="^Adam: this state is of another optimizer or model"):
        trained().load_state_dict(wrong)
