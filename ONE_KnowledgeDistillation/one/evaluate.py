"""What a branched network knows: top-1 and top-5, branch by branch and together."""

import torch
from torch import Tensor

from ONE_KnowledgeDistillation.one.models import Answers, Branched
from ONE_KnowledgeDistillation.one.tasks import as_input


@torch.no_grad()
def answers_to(model: Branched, images: Tensor, size: int = 250) -> Answers:
    """What the network says about images uint8 (N, 3, H, W), in evaluation mode, on the CPU."""
    model.eval()
    parts = [model(as_input(some)) for some in images.split(size)]
    return Answers(*(torch.cat(tensors).float().cpu() for tensors in zip(*parts, strict=True)))


def top(logits: Tensor, labels: Tensor, k: int = 1) -> float:
    """Share of examples whose label is among the k largest logits (N, K)."""
    best = logits.topk(k, dim=1).indices
    return (best == labels[:, None]).any(dim=1).double().mean().item()


def scores(model: Branched, examples: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Accuracy of branch 1 … M and of the ensemble, top-1 and top-5.

    With one branch, it is the ensemble.
    """
    answers, labels = answers_to(model, examples[0]), examples[1].cpu()
    named = {f"branch{i + 1}": answers.branches[:, i] for i in range(answers.branches.shape[1])}
    named["ensemble"] = answers.ensemble
    top1 = {name: top(logits, labels) for name, logits in named.items()}
    return top1 | {f"{name}_top5": top(logits, labels, 5) for name, logits in named.items()}
