"""ONE: parameter counts of the paper, its loss in closed form, surgery, voting, learning rates."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ONE_KnowledgeDistillation.one import losses, models, surgery, voting
from ONE_KnowledgeDistillation.one.schedulers import HIGHEST, LOWEST, GradientRatio, by_module
from utils.training import count_parameters


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(branches: int = 3, *, depth: int = 8, seed: int = 0, **options) -> models.Branched:
    """A narrow network in float64 that has seen a few batches, so that its statistics are its own.

    The rows of the gate get weights and biases that give every branch another share.
    """
    draws = generator(seed)
    model = models.resnet(depth, 5, branches, generator=draws, width=4, **options).double()
    if isinstance(model.gate, models.Gate):
        for name, parameter in model.gate.named_parameters():
            parameter.data = torch.rand(parameter.shape, generator=draws).double() + (
                0.5 if name.endswith("bias") else 0
            )
    for _ in range(3):
        model.train()(images(4, seed=seed))
    return model.eval()


def images(count: int = 6, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=generator(seed)).double()


@pytest.mark.parametrize(
    ("depth", "block", "branches", "millions"),
    [
        (32, "basic", 1, 0.473),
        (32, "basic", 2, 0.833),
        (32, "basic", 3, 1.193),
        (32, "basic", 5, 1.914),
        (110, "basic", 1, 1.737),
        (164, "bottleneck", 1, 1.727),
        (164, "bottleneck", 3, 4.364),
    ],
)
def test_parameters_are_those_of_the_paper_and_its_code(depth, block, branches, millions):
    model = models.resnet(depth, 100, branches, generator=generator(), block=block)
    assert count_parameters(model) / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((33, 10), "depth 33 is not 6n [+] 2"),
        ((2, 10), "try 8"),
        ((32, 10, 0), "at least one branch"),
    ],
)
def test_an_impossible_network_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        models.resnet(*arguments, generator=generator())
    with pytest.raises(ValueError, match="no block called 'wide'"):
        models.resnet(32, 10, generator=generator(), block="wide")


def test_shares_add_up_and_the_ensemble_is_their_sum():
    answers = small(4)(images())
    torch.testing.assert_close(answers.shares.sum(dim=1), torch.ones(6).double())
    by_hand = sum(answers.shares[:, [i]] * answers.branches[:, i] for i in range(4))
    torch.testing.assert_close(answers.ensemble, by_hand)
    assert len(answers.shares.unique(dim=0)) > 1  # the gate looks at the image
    assert (small(4, gated=False)(images()).shares == 0.25).all()


def test_an_offset_masks_a_branch_or_divides_its_share():
    model = small(3)
    before = model(images()).shares
    model.gate.offset[:] = torch.tensor([0, -math.inf, -math.log(2)])
    after = model(images()).shares
    assert (after[:, 1] == 0).all()
    torch.testing.assert_close(after[:, 2] / after[:, 0], before[:, 2] / before[:, 0] / 2)


def test_any_backbone_that_can_be_cut_in_two_can_be_branched():
    trunk = nn.Conv2d(1, 7, 3)
    branches = [nn.Sequential(nn.Flatten(), nn.LazyLinear(4)) for _ in range(2)]
    answers = models.Branched(trunk, branches, 7)(torch.rand(5, 1, 6, 6))
    assert answers.branches.shape == (5, 2, 4)
    assert answers.ensemble.shape == (5, 4)


def test_networks_apart_share_nothing_and_answer_as_before():
    three = [small(1, seed=seed) for seed in range(3)]
    together = models.apart(three).double().eval()
    answers = together(images())
    for index, model in enumerate(three):
        torch.testing.assert_close(answers.branches[:, index], model(images()).ensemble)
    assert models.apart(three, gated=False).double().eval()(images()).shares[0, 0] == 1 / 3


def random_answers(branches: int = 3, count: int = 8) -> tuple[models.Answers, torch.Tensor]:
    draws = generator(branches)
    logits = torch.randn(count, branches, 5, generator=draws).double()
    shares = torch.rand(count, branches, generator=draws).double()
    labels = torch.randint(5, (count,), generator=draws)
    return models.Answers(logits, shares / shares.sum(dim=1, keepdim=True)), labels


def test_the_loss_is_equation_8_written_out():
    answers, labels = random_answers()
    total, temperature = 0.0, 3.0
    for logits, shares, label in zip(*answers, labels, strict=True):
        teacher = (shares[:, None] * logits).sum(dim=0)
        soft = (teacher / temperature).softmax(dim=0)
        total -= teacher.log_softmax(dim=0)[label]
        for own in logits:
            total -= own.log_softmax(dim=0)[label]
            apart = (soft.log() - (own / temperature).log_softmax(dim=0)) * soft
            total += temperature**2 * apart.sum()
    loss = losses.ONELoss(temperature=temperature)(answers, labels)
    assert loss.item() == pytest.approx(total.item() / len(labels), rel=1e-12)


def test_equal_branches_have_nothing_to_learn_from_each_other():
    answers, _ = random_answers(1)
    same = answers.branches.expand(-1, 4, -1)
    assert losses.distillation(same, answers.branches[:, 0]).item() == pytest.approx(0, abs=1e-12)


def test_no_gradient_reaches_the_teacher():
    teacher = torch.randn(4, 5, requires_grad=True)
    branches = torch.randn(4, 2, 5, requires_grad=True)
    losses.distillation(branches, teacher).backward()
    assert teacher.grad is None
    assert branches.grad.abs().sum() > 0


def test_one_branch_is_exactly_plain_training():
    model = small(1)
    assert not list(model.gate.parameters())
    answers, labels = model(images()), torch.arange(6) % 5
    plain = nn.functional.cross_entropy(answers.branches[:, 0], labels)
    assert torch.equal(losses.ONELoss()(answers, labels), plain)
    assert torch.equal(answers.ensemble, answers.branches[:, 0])


def test_the_ramp_rises_to_one():
    assert losses.ramp_up(0) == pytest.approx(math.exp(-5))
    assert losses.ramp_up(0.5) == pytest.approx(math.exp(-1.25))
    assert losses.ramp_up(1) == losses.ramp_up(7) == 1
    answers, labels = random_answers()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    steady = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    loss = losses.ONELoss(steady, ramp=4)
    plain = losses.cross_entropies(answers, labels)
    whole = losses.ONELoss()(answers, labels) - plain
    shares = []
    for _ in range(5):
        shares.append(((loss(answers, labels) - plain) / whole).item())
        optimizer.step()
        steady.step()
    assert shares == pytest.approx([losses.ramp_up(t / 4) for t in range(5)])
    with pytest.raises(ValueError, match="temperature must be positive"):
        losses.ONELoss(temperature=0)


plans = st.integers(1, 4).flatmap(
    lambda m: st.tuples(
        st.just(m),
        st.lists(st.one_of(st.none(), st.integers(0, m - 1)), max_size=3).map(
            lambda more: [*range(m), *more]
        ),
        st.randoms(use_true_random=False),
    )
)


@settings(max_examples=25, deadline=None)
@given(plans, st.sampled_from([8, 14]))
def test_expansion_leaves_the_ensemble_as_it_was(drawn, depth):
    branches, plan, order = drawn
    order.shuffle(plan)
    model = small(branches, depth=depth)
    before = model(images()).ensemble
    grown = surgery.expanded(model, plan, generator()).double().eval()
    after = grown(images())
    assert after.branches.shape[1] == len(plan)
    assert (after.ensemble - before).abs().max() <= 1e-6
    waiting = [i for i, source in enumerate(plan) if source is None]
    assert (after.shares[:, waiting] == 0).all()


def test_expansion_twice_and_in_training_mode():
    model = small(2).train()
    grown = surgery.expanded(model, [0, 1, 1], generator()).double().train()
    again = surgery.expanded(grown, [2, 0, 1, 2, None], generator()).double().train()
    before = model(images()).ensemble
    for larger in (grown, again):
        assert (larger(images()).ensemble - before).abs().max() <= 1e-6
    surgery.unmask(again)
    assert (again(images()).shares > 0).all()


@pytest.mark.parametrize("plan", [[0, 1], [0, 1, 3], [None, None, None], [0, 0, 1]])
def test_a_plan_that_loses_a_branch_is_refused(plan):
    with pytest.raises(ValueError, match="each of 0 … 2"):
        surgery.expanded(small(3), plan, generator())
    with pytest.raises(ValueError, match="without a gate"):
        surgery.expanded(small(3, gated=False), [0, 1, 2, None], generator())


def trained(model: models.Branched, optimizer: torch.optim.Optimizer, steps: int = 2) -> None:
    labels = torch.arange(6) % 5
    for step in range(steps):
        optimizer.zero_grad()
        losses.ONELoss()(model.train()(images(seed=step)), labels).backward()
        optimizer.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        lambda model: torch.optim.AdamW(model.parameters(), lr=0.01),
    ],
)
def test_the_optimizers_memory_is_carried_over(make):
    model = small(2)
    before = make(model)
    trained(model, before)
    plan = [1, 0, None, 1]
    grown = surgery.expanded(model, plan, generator()).double()
    after = make(grown)
    surgery.carry_optimizer(before, model, after, grown, plan)
    theirs, ours = dict(model.named_parameters()), dict(grown.named_parameters())
    key = next(k for k, v in before.state[theirs["gate.score.2.weight"]].items() if v.dim())
    for index, source in enumerate(plan):
        memory = after.state[ours[f"branches.{index}.3.bias"]]
        if source is None:
            assert not memory
        else:
            there = before.state[theirs[f"branches.{source}.3.bias"]]
            assert torch.equal(memory[key], there[key])
    rows = after.state[ours["gate.score.2.weight"]][key]
    assert torch.equal(rows[[0, 1]], before.state[theirs["gate.score.2.weight"]][key][[1, 0]])
    assert (rows[2] == 0).all()
    trained(grown, after)


def test_equal_copies_stay_equal_until_noise_breaks_the_symmetry():
    differences = []
    for share in (0.0, 0.05):
        grown = surgery.expanded(small(1), [0, 0, 0], generator()).double()
        draws = generator(7)
        for branch in grown.branches:
            surgery.perturb(branch, share, draws)
        trained(grown, torch.optim.SGD(grown.parameters(), lr=0.05))
        logits = grown.eval()(images()).branches.detach()
        differences.append((logits[:, 0] - logits[:, 1]).abs().max().item())
    assert differences[0] <= 1e-9 < 1e-3 < differences[1]


def test_zero_padding_gives_untrained_branches_a_large_share():
    model = small(3)
    for parameter in model.gate.parameters():
        nn.init.zeros_(parameter)  # before training, and wherever ReLU closes
    padded = surgery.zero_padded(model, 5, generator()).double().eval()
    surgery.unmask(padded)
    shares = padded(images()).shares[:, 3:].sum(dim=1)
    torch.testing.assert_close(shares, torch.full((6,), 0.4).double())


def test_a_branch_is_replaced_whatever_its_names():
    model, donor = small(3), small(2, seed=5)
    renamed = nn.Sequential(nn.Sequential(donor.branches[1][0], donor.branches[1][1]))
    renamed.append(donor.branches[1][2]).append(donor.branches[1][3])
    stranger = models.Branched(donor.trunk, [renamed], donor.channels)
    surgery.replace_branch(model, 2, stranger)
    for ours, theirs in zip(
        model.branches[2].state_dict().values(), renamed.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_branch_that_does_not_fit_leaves_everything_as_it_was():
    model = small(2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit"):
        surgery.replace_branch(model, 1, small(1, depth=14))
    with pytest.raises(ValueError, match="no branch 2"):
        surgery.replace_branch(model, 2, small(1))
    with pytest.raises(ValueError, match="no branch -1"):
        surgery.replace_branch(model, 0, small(1), -1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_merging_keeps_the_first_and_takes_one_branch_of_each():
    three = [small(1, seed=seed) for seed in range(3)]
    whole = surgery.merged(three, generator()).double().eval()
    logits = whole(images()).branches
    torch.testing.assert_close(logits[:, 0], three[0](images()).ensemble)
    for index, model in enumerate(three):
        assert torch.equal(whole.branches[index][3].weight, model.branches[0][3].weight)


def test_there_are_31_subsets_of_five():
    assert len(voting.subsets(5)) == len(set(voting.subsets(5))) == 31


def test_votes_by_hand():
    logits = torch.log(torch.tensor([[[0.9, 0.1], [0.4, 0.6], [0.45, 0.55]]]))
    answers = models.Answers(logits, torch.tensor([[0.1, 0.8, 0.1]]))
    ways = {way: voting.vote(answers, (0, 1, 2), way).item() for way in voting.WAYS}
    assert ways == {"weighted": 1, "equal": 0, "majority": 1}
    assert voting.vote(answers, (0, 1), "majority").item() == 0  # a tie: the surer one
    for subset, way in (((), "equal"), ((3,), "equal"), ((0,), "loud")):
        with pytest.raises(ValueError, match="a vote is one of"):
            voting.vote(answers, subset, way)


def test_the_whole_weighted_vote_is_the_ensemble_and_single_voters_are_the_branches():
    answers, labels = random_answers(4, 200)
    votes = {(v.subset, v.way): v.accuracy for v in voting.all_votes(answers, labels)}
    assert len(votes) == 15 * 3
    whole = (answers.ensemble.argmax(dim=1) == labels).double().mean()
    assert votes[(0, 1, 2, 3), "weighted"] == pytest.approx(whole.item())
    for way in voting.WAYS:
        own = (answers.branches[:, 2].argmax(dim=1) == labels).double().mean()
        assert votes[(2,), way] == pytest.approx(own.item())
    tied = [voting.Vote((0, 1), "equal", 0.5), voting.Vote((1,), "equal", 0.5)]
    assert voting.best_vote(tied).subset == (1,)


def test_diversity_of_equal_and_of_independent_voters():
    answers, labels = random_answers(3, 4000)
    assert voting.q_statistic(answers, labels) == pytest.approx(0, abs=0.2)
    assert voting.disagreement(answers) == pytest.approx(0.8, abs=0.03)
    same = models.Answers(answers.branches[:, :1].expand(-1, 3, -1), answers.shares)
    assert (voting.q_statistic(same, labels), voting.disagreement(same)) == (1, 0)


def test_gate_entropy_from_one_branch_to_an_even_gate():
    logits = torch.zeros(2, 4, 3)
    even = models.Answers(logits, torch.full((2, 4), 0.25))
    one = models.Answers(logits, torch.eye(4)[:2])
    assert voting.gate_entropy(even) == pytest.approx(1)
    assert voting.gate_entropy(one) == 0


def two_layers() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    for scale, module in ((1e-4, model[0]), (0.5, model[2])):
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, scale)
    return model


def test_rates_follow_the_ratio_of_gradients():
    model = two_layers()
    optimizer = torch.optim.SGD(by_module(model), lr=0.1)
    assert len(optimizer.param_groups) == 2
    schedule = GradientRatio(optimizer, lambda step: 0.5**step)
    optimizer.step()
    assert schedule.get_last_lr() == [0.1, 0.1]
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.1 * 0.5 * HIGHEST, 0.05])
    for parameter in model[0].parameters():
        parameter.grad[:] = 0.25
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.1 * 0.25 * 2, 0.025])
    for parameter in model[0].parameters():
        parameter.grad[:] = 1e9
    schedule.step()
    assert schedule.get_last_lr()[0] == pytest.approx(0.1 * 0.125 * LOWEST)
    assert "decay" not in schedule.state_dict()


def test_the_geometric_variant_takes_a_batch_less_seriously():
    optimizer = torch.optim.SGD(by_module(two_layers()), lr=1.0)
    schedule = GradientRatio(optimizer, geometric=0.5)
    optimizer.step()
    for _, expected in zip(range(2), (HIGHEST**0.5, HIGHEST**0.75), strict=True):
        schedule.step()
        assert schedule.get_last_lr()[0] == pytest.approx(expected)
    with pytest.raises(ValueError, match="from 0 to below 1"):
        GradientRatio(optimizer, geometric=1.0)


def test_a_module_without_gradients_keeps_its_rate():
    model = two_layers()
    model.zero_grad()
    optimizer = torch.optim.SGD(by_module(model), lr=0.1)
    schedule = GradientRatio(optimizer)
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.1, 0.1]
    assert np.allclose(schedule.factors, 1)
    assert list(itertools.chain(*[g["params"] for g in by_module(model)])) == [*model.parameters()]
