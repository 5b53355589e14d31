"""Networks with M branches on shared layers, and a gate that weighs the branches."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from utils.backbones import CIFAR_SCALE, ResidualBlock
from utils.training import channels_last, drawing_from

__all__ = [
    "Answers",
    "Bottleneck",
    "Branched",
    "Even",
    "Gate",
    "Part",
    "Scaled",
    "SideBySide",
    "apart",
    "resnet",
]


class Answers(NamedTuple):
    """What a network says about N images: logits (N, M, K) of its branches, their shares (N, M)."""

    branches: Tensor
    shares: Tensor

    @property
    def ensemble(self) -> Tensor:
        """Logits (N, K) of all branches together: z_e = Σ_i g_i z_i."""
        return (self.shares[..., None] * self.branches).sum(dim=1)


class Gate(nn.Module):
    """Shared maps (N, C, H, W) to shares (N, M) that are positive and add up to 1.

    g = softmax(ReLU(BN(W · GAP(h) + b)) + o), equation 3 of the paper but for the offset o (M,),
    which is 0 there. −∞ takes a branch out; −ln k gives it one of k equal parts of its share.
    """

    def __init__(self, channels: int, branches: int) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, branches),
            nn.BatchNorm1d(branches),
            nn.ReLU(),
        )
        self.offset: Tensor
        self.register_buffer("offset", torch.zeros(branches))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.softmax(self.score(maps) + self.offset, dim=1)


class Even(nn.Module):
    """No gate: each of ``branches`` has the same share, whatever the image."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, maps: Tensor) -> Tensor:
        return maps.new_full((len(maps), self.branches), 1 / self.branches)


class Branched(nn.Module):
    """Any backbone that can be cut in two: images to ``Answers``.

    ``trunk`` takes images to maps (N, ``channels``, H, W), each branch takes the maps to logits.
    One branch has no gate: its share is 1. Raises ValueError for no branch.
    """

    def __init__(
        self, trunk: nn.Module, branches: Sequence[nn.Module], channels: int, *, gated: bool = True
    ) -> None:
        super().__init__()
        if not branches:
            raise ValueError("a network needs at least one branch; M = 0 was asked for.")
        count = len(branches)
        self.trunk, self.branches = trunk, nn.ModuleList(branches)
        self.gate = Gate(channels, count) if gated and count > 1 else Even(count)
        self.channels = channels

    def forward(self, images: Tensor) -> Answers:
        maps = self.trunk(images)
        logits = torch.stack([branch(maps) for branch in self.branches], dim=1)
        return Answers(logits, self.gate(maps))


class Scaled(nn.Module):
    """Images in [0, 1] with the mean and deviation of CIFAR's colours taken out."""

    def __init__(self) -> None:
        super().__init__()
        for name, values in zip(("mean", "deviation"), CIFAR_SCALE, strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.deviation


class Bottleneck(ResidualBlock):
    """ReLU(x + 1×1, 3×3 and 1×1 convolutions), four times as wide outside as inside.

    He et al. (2016), figure 5; ``outputs`` is the width outside.
    """

    expansion = 4

    @staticmethod
    def make_body(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        """The three convolutions."""
        inside = outputs // Bottleneck.expansion
        return nn.Sequential(
            *_convolution(inputs, inside, 1),
            nn.ReLU(),
            *_convolution(inside, inside, 3, stride),
            nn.ReLU(),
            *_convolution(inside, outputs, 1),
        )


def _convolution(
    inputs: int, outputs: int, size: int, stride: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs)


# convolutions in a block, and how much wider a stage is outside its blocks than inside
BLOCKS: dict[str, tuple[type[ResidualBlock], int, int]] = {
    "basic": (ResidualBlock, 2, 1),
    "bottleneck": (Bottleneck, 3, Bottleneck.expansion),
}


def resnet(
    depth: int,
    classes: int,
    branches: int = 1,
    *,
    generator: torch.Generator,
    width: int = 16,
    block: str = "basic",
    gated: bool = True,
) -> Branched:
    """The ResNet for CIFAR of He et al. (2016), section 4.2, whose third stage is a branch.

    ``depth`` counts the layers with weights: 6n + 2 with basic blocks, 9n + 2 with bottlenecks.
    ``width`` is that of the first stage; the others have twice and four times as much. Images
    (N, 3, 32, 32) in [0, 1]. Raises ValueError for another depth, an unknown block, or no branch.
    """
    make, blocks, wider = _block(depth, block)
    with drawing_from(generator):
        first = nn.Sequential(Scaled(), *_convolution(3, width, 3), nn.ReLU())
        stage1 = _stage(make, width, width * wider, blocks, 1)
        stage2 = _stage(make, width * wider, 2 * width * wider, blocks, 2)
        ends = [_branch(make, 2 * width * wider, blocks, classes) for _ in range(branches)]
        model = Branched(nn.Sequential(first, stage1, stage2), ends, 2 * width * wider, gated=gated)
    return channels_last(model)


def _block(depth: int, block: str) -> tuple[type[nn.Module], int, int]:
    """What to build stages of, how many to a stage, and how much wider it is outside."""
    if block not in BLOCKS:
        raise ValueError(f"no block called {block!r}; there are {sorted(BLOCKS)}.")
    make, layers, wider = BLOCKS[block]
    blocks, rest = divmod(depth - 2, 3 * layers)
    if rest or blocks < 1:
        raise ValueError(
            f"depth {depth} is not {3 * layers}n + 2, as a ResNet of {block} blocks has; try "
            f"{3 * layers * max(1, blocks) + 2}."
        )
    return make, blocks, wider


def _stage(
    make: type[nn.Module], inputs: int, outputs: int, blocks: int, stride: int
) -> nn.Sequential:
    rest = [make(outputs, outputs) for _ in range(blocks - 1)]
    return nn.Sequential(make(inputs, outputs, stride), *rest)


def _branch(make: type[nn.Module], inputs: int, blocks: int, classes: int) -> nn.Sequential:
    """The third stage, the mean of each channel, and one linear layer."""
    stage = _stage(make, inputs, 2 * inputs, blocks, 2)
    end = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * inputs, classes)
    return nn.Sequential(stage, *end)


class SideBySide(nn.Module):
    """Several trunks on the same images: their maps one behind the other, (N, Σ C, H, W)."""

    def __init__(self, trunks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.trunks = nn.ModuleList(trunks)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([trunk(images) for trunk in self.trunks], dim=1)


class Part(nn.Module):
    """Channels ``start`` to ``stop`` of the maps: what one of several trunks has made."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, maps: Tensor) -> Tensor:
        return maps[:, self.start : self.stop]


def apart(models: Sequence[Branched], *, gated: bool = True) -> Branched:
    """Networks that share nothing, under one gate that sees the maps of all of them.

    Each network gives all its branches. Raises ValueError for no network.
    """
    branches, start = [], 0
    for model in models:
        part = Part(start, start + model.channels)
        branches += [nn.Sequential(part, branch) for branch in model.branches]
        start += model.channels
    return Branched(SideBySide([m.trunk for m in models]), branches, start, gated=gated)
