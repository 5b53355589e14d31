"""Growing, joining and mending branched networks, with the state of their optimizers.

A plan names for each branch of the new network the branch of the old one that it copies, or None
for a new one. The expansion theorem: whatever the plan, as long as each old branch is in it, the
ensemble says after the surgery what it said before. Copies divide the share of their original
(offset −ln k), and new branches wait behind a mask (offset −∞) until ``unmask``.
"""

import copy
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ONE_KnowledgeDistillation.one.models import Branched, Gate
from utils.training import channels_last, drawing_from

Plan = Sequence[int | None]


def expanded(model: Branched, plan: Plan, generator: torch.Generator) -> Branched:
    """A new network whose branches are copies and newcomers after ``plan``; the old one stays.

    Raises ValueError when the plan leaves out a branch, names one that is not there, or the
    network has several branches and no gate.
    """
    _check(model, plan)
    with drawing_from(generator):
        branches = [_branch(model, source) for source in plan]
        grown = Branched(copy.deepcopy(model.trunk), branches, model.channels)
    if isinstance(grown.gate, Gate):
        fresh = grown.gate.state_dict()
        old = model.gate.state_dict() if isinstance(model.gate, Gate) else fresh  # its row 0
        grown.gate.load_state_dict({name: _rows(old[name], fresh[name], plan) for name in fresh})
        grown.gate.offset.copy_(_offsets(model, plan))
    return channels_last(grown)


def _check(model: Branched, plan: Plan) -> None:
    count = len(model.branches)
    if {source for source in plan if source is not None} != set(range(count)):
        raise ValueError(
            f"a plan for {count} branches must name each of 0 … {count - 1} and no other; "
            f"got {list(plan)}."
        )
    if count > 1 and not isinstance(model.gate, Gate):
        raise ValueError("a network without a gate cannot share out what its branches say.")


def _branch(model: Branched, source: int | None) -> nn.Module:
    """A copy of a branch, or one like it with new weights."""
    branch = copy.deepcopy(model.branches[source or 0])
    if source is None:
        for module in branch.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return branch


def _offsets(model: Branched, plan: Plan) -> Tensor:
    """−ln k more than before for each of k copies, −∞ for a newcomer."""
    copies = Counter(plan)
    old = model.gate.offset.tolist() if isinstance(model.gate, Gate) else [0.0]
    offsets = [-math.inf if s is None else old[s] - math.log(copies[s]) for s in plan]
    return torch.tensor(offsets)


def _rows(old: Tensor, fresh: Tensor, plan: Plan) -> Tensor:
    """A tensor of a gate, one row a branch: copies from ``old``, newcomers from ``fresh``."""
    if not old.dim():  # a count of batches or steps
        return old
    rows = [fresh[i] if source is None else old[source] for i, source in enumerate(plan)]
    return torch.stack(rows)


def unmask(model: Branched, offset: float = 0.0) -> None:
    """Let waiting branches take part, with that offset: the ensemble changes from here on."""
    offsets = model.gate.offset
    offsets[torch.isinf(offsets)] = offset


def carry_optimizer(
    before: torch.optim.Optimizer,
    old: Branched,
    after: torch.optim.Optimizer,
    new: Branched,
    plan: Plan,
) -> None:
    """Give ``after``, an optimizer of ``new``, what ``before`` remembers about ``old``.

    Copies take the memory of their original; newcomers begin with none.
    """
    theirs = dict(old.named_parameters())
    for name, parameter in new.named_parameters():
        memory = before.state.get(theirs.get(_source(name, plan)), {})
        if name.startswith("gate."):
            fresh = torch.zeros_like(parameter)
            memory = {key: _rows(value, fresh, plan) for key, value in memory.items()}
        after.state[parameter] = copy.deepcopy(memory)


def _source(name: str, plan: Plan) -> str | None:
    """The name in the old network of a parameter of the new one: branches.3.x → branches.0.x."""
    if not name.startswith("branches."):
        return name
    _, index, rest = name.split(".", 2)
    source = plan[int(index)]
    return None if source is None else f"branches.{source}.{rest}"


@torch.no_grad()
def perturb(branch: nn.Module, share: float, generator: torch.Generator) -> None:
    """Add noise to each weight tensor, ``share`` of its own deviation: copies stop being equal.

    Equal copies get equal gradients and stay equal for ever; the loss cannot tell them apart.
    """
    for weight in branch.parameters():
        if weight.dim() > 1:
            noise = torch.randn(weight.shape, generator=generator)
            weight += share * weight.std() * noise.to(weight)


def replace_branch(model: Branched, index: int, donor: Branched, donor_index: int = 0) -> None:
    """Give a branch the weights of a donor's branch; tensors go by place and shape, not by name.

    Raises ValueError, before anything is changed, for a branch that is not there or does not fit.
    """
    own, other = _pick(model, index), _pick(donor, donor_index)
    old, new = own.state_dict(), other.state_dict()
    shapes = [[tuple(t.shape) for t in state.values()] for state in (old, new)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"the donor's branch does not fit: it has {len(shapes[1])} tensors, "
            f"{_numbers(new):,} numbers; branch {index} has {len(shapes[0])}, {_numbers(old):,}."
        )
    own.load_state_dict(dict(zip(old, new.values(), strict=True)))


def _pick(model: Branched, index: int) -> nn.Module:
    if not 0 <= index < len(model.branches):
        raise ValueError(
            f"there is no branch {index}; this network has branches 0 … {len(model.branches) - 1}."
        )
    return model.branches[index]


def _numbers(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())


def merged(models: Sequence[Branched], generator: torch.Generator) -> Branched:
    """One network of several: the first one's shared layers, the first branch of each, a new gate.

    The other branches have never met these shared layers: train it before use. Raises ValueError
    for networks whose branches do not fit.
    """
    with drawing_from(generator):
        branches = [copy.deepcopy(_pick(models[0], 0)) for _ in models]
        whole = Branched(copy.deepcopy(models[0].trunk), branches, models[0].channels)
    for index, model in enumerate(models):
        replace_branch(whole, index, model)
    return channels_last(whole)


def zero_padded(model: Branched, into: int, generator: torch.Generator) -> Branched:
    """As an archive grows a network: new branches, and zeros for their rows of the gate.

    A score of ReLU(0) = 0 is no share of 0: softmax gives the untrained branches up to
    (M' − M) / M' of the whole. It is here to be measured, not to be used.
    """
    newcomers = into - len(model.branches)
    grown = expanded(model, [*range(len(model.branches)), *[None] * newcomers], generator)
    for tensor in grown.gate.state_dict().values():
        if tensor.dim():
            tensor[-newcomers:] = 0
    return grown
