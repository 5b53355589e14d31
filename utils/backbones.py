"""Networks that learned on many photographs, and lend what they learned to a few.

A ``Backbone`` has three parts: its inputs' scale, a row of ``stages``, and a ``head``. Three can
be had: MobileNet v1 with ImageNet weights, a residual network that the course itself trains on
CIFAR-100 (``train_cifar100``), and any ResNet of torchvision with its published weights.

What backbones are lent for, a new head on a few photographs, is in ``utils.transfer``.
"""

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from utils import data, models
from utils.datasets import STAND_IN, ImageData, Split, as_float, cifar100
from utils.paths import ROOT
from utils.training import channels_last, drawing_from, evaluate, fit, shuffled_batches

CIFAR_RESULT = "cifar100-backbone"  # the row of the ledger behind models/resnet_cifar100
IMAGENET_SCALE = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # as torchvision's weights want it
CIFAR_SCALE = ((0.507, 0.487, 0.441), (0.267, 0.256, 0.276))  # mean, deviation of its pixels


class Backbone(nn.Module):
    """Images (N, 3, H, W) in [0, 1] to logits (N, classes): scale, stages, mean over places, head.

    ``stages`` is what may be frozen or trained, first to last; ``features`` (N, F) is what the
    head reads; ``side`` is the width of the images that it learned on.
    """

    def __init__(
        self,
        scale: tuple[tuple[float, ...], tuple[float, ...]],
        stages: nn.Sequential,
        head: nn.Linear,
    ) -> None:
        super().__init__()
        mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in scale)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)
        self.stages, self.head, self.frozen = stages, head, 0
        self.name, self.side, self.is_stand_in = "", 224, False

    def freeze(self, stages: int) -> "Backbone":
        """Train only what comes after the first ``stages`` stages; returns itself.

        A frozen stage also keeps the statistics of its BatchNorm, which no optimizer changes and
        every forward pass in training mode would.
        """
        self.frozen = stages
        for i, stage in enumerate(self.stages):
            stage.requires_grad_(i >= stages)
        return self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode for all that is not frozen."""
        super().train(mode)
        for stage in self.stages[: self.frozen]:
            stage.eval()
        return self

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each stage gives: (N, C, H, W), ever smaller and with ever more channels."""
        found = [(images - self.mean) / self.deviation]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]

    def features(self, images: Tensor) -> Tensor:
        """What the head reads, (N, F): the mean of each channel of the last stage."""
        return self.maps(images)[-1].mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


# Channels after each block of MobileNet at full width, and the stages, in which blocks are grouped
# by the size of their maps; the first block of a stage halves height and width.
_MOBILE_STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))


def mobilenet_v1(generator: torch.Generator, width: float = 0.25, classes: int = 1000) -> Backbone:
    """MobileNet v1 (Howard et al. 2017, table 1) with random weights: five stages.

    A block is a 3×3 convolution of each channel by itself, then a 1×1 convolution that mixes the
    channels. At width 0.25 it has 256 features and 0.2 million weights before the head.
    """
    channels = int(32 * width)
    with drawing_from(generator):
        stages = [list(_convolution(3, channels, 3, stride=2))]
        for stage, outputs in enumerate(_MOBILE_STAGES):
            stages += [[]] if stage else []
            for block, full in enumerate(outputs):
                stride = 2 if stage and not block else 1
                stages[-1] += _convolution(channels, channels, 3, stride=stride, alone=True)
                stages[-1] += _convolution(channels, int(full * width), 1)
                channels = int(full * width)
        head = nn.Linear(channels, classes)
    scale = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # pixels go from -1 to 1
    return Backbone(scale, nn.Sequential(*(nn.Sequential(*stage) for stage in stages)), head)


def _convolution(
    inputs: int, outputs: int, size: int, *, stride: int = 1, alone: bool = False
) -> tuple[nn.Module, ...]:
    """Padding, convolution, BatchNorm, ReLU6; ``alone``: each channel by itself.

    With stride 2 a row is added below and a column on the right only, as Keras does.
    """
    before = 0 if stride == 2 else size // 2
    return (
        nn.ZeroPad2d((before, size // 2, before, size // 2)),
        nn.Conv2d(inputs, outputs, size, stride, bias=False, groups=inputs if alone else 1),
        nn.BatchNorm2d(outputs, eps=1e-3),
        nn.ReLU6(),
    )


def mobilenet() -> Backbone:
    """MobileNet v1, width 0.25, with the weights that Google trained on ImageNet's 1,000 kinds.

    Where they cannot be had it keeps random weights, says so in one printed sentence, and has
    ``is_stand_in`` set.
    """
    model = channels_last(mobilenet_v1(torch.Generator().manual_seed(0)))
    model.name = "MobileNet"
    try:
        path = data.fetch("mobilenet-v1-025")
    except data.Unavailable as reason:
        print(f"{STAND_IN} the weights of MobileNet cannot be had here. {reason} It stays random.")
        model.is_stand_in = True
        return model.eval()
    return load_keras(model, path).eval()


def load_keras(model: Backbone, path: Path) -> Backbone:
    """Fill a MobileNet with the arrays of an npz file in Keras's layout; returns it.

    Raises DataError, before anything is changed, for a file that lacks an array or has one of
    another shape.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            state = _keras_state(model, dict(arrays))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise data.DataError(f"{path.name} has no weights for this MobileNet: {error}") from error
    model.load_state_dict(state)
    return model


def _keras_state(model: Backbone, arrays: Mapping[str, NDArray]) -> dict[str, Tensor]:
    """A state dict for ``model`` from Keras's names and axes."""
    state = dict(model.state_dict())
    norms = {"gamma": "weight", "beta": "bias"}
    norms |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    layers = [n for n, m in model.stages.named_modules() if isinstance(m, nn.Conv2d)]
    for number, layer in enumerate(layers):
        block, alone = (number + 1) // 2, number % 2 == 1
        name = "conv1" if not number else f"conv_{'dw' if alone else 'pw'}_{block}"
        kernel = arrays[f"{name}/{'depthwise_' * alone}kernel"]  # (H, W, in, out), or (H, W, ch, 1)
        order = (2, 3, 0, 1) if alone else (3, 2, 0, 1)
        state[f"stages.{layer}.weight"] = torch.from_numpy(kernel.transpose(order).copy())
        stage, place = layer.split(".")
        for theirs, ours in norms.items():
            values = torch.from_numpy(arrays[f"{name}_bn/{theirs}"])
            state[f"stages.{stage}.{int(place) + 1}.{ours}"] = values
    state["head.weight"] = torch.from_numpy(arrays["conv_preds/kernel"][0, 0].T.copy())
    state["head.bias"] = torch.from_numpy(arrays["conv_preds/bias"])
    for name, tensor in model.state_dict().items():
        if tensor.shape != state[name].shape:
            raise ValueError(f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}.")
    return state


class ResidualBlock(nn.Module):
    """ReLU(x + what two 3×3 convolutions add); the shortcut is 1×1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = self.make_body(inputs, outputs, stride)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    @staticmethod
    def make_body(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        """What is added to the shortcut; other kinds of block have another."""
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(self.shortcut(inputs) + self.body(inputs))


def small_resnet(generator: torch.Generator, classes: int = 100) -> Backbone:
    """ResNet-14 for 32×32 images: a convolution, three stages of two blocks, 192 features.

    Each stage halves height and width, with 48, 96 and 192 channels: 1.6 million weights.
    """
    with drawing_from(generator):
        first = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU()
        )
        blocks = [
            nn.Sequential(
                ResidualBlock(inputs, 2 * inputs, 2), ResidualBlock(2 * inputs, 2 * inputs)
            )
            for inputs in (24, 48, 96)
        ]
        return Backbone(CIFAR_SCALE, nn.Sequential(first, *blocks), nn.Linear(192, classes))


def cifar_resnet() -> Backbone:
    """``small_resnet`` with the weights that the course trained on CIFAR-100 and stores.

    Raises KeyError where they are not stored: ``train_cifar100`` makes them.
    """
    model = small_resnet(torch.Generator())
    model.name, model.side = "ResNet-14", 32
    model.load_state_dict(models.load("resnet_cifar100"))
    return model.eval()


def lenders() -> list[Backbone]:
    """The backbones at hand without a large download: MobileNet, the course's ResNet if stored."""
    stored = [cifar_resnet()] if "resnet_cifar100" in models.index() else []
    return [mobilenet(), *stored]


def published_resnet(name: str = "resnet18") -> Backbone:
    """A ResNet of torchvision with its ImageNet weights: five stages.

    The weights are downloaded once, and their sha256 must begin with the digits that torchvision
    puts into their file name. Raises Unavailable and DataError as ``utils.data`` does.
    """
    from utils.vision import torchvision

    url = torchvision.models.get_model_weights(name).DEFAULT.url
    file = url.rsplit("/", 1)[-1]  # resnet18-f37072fd.pth
    digits = file.removesuffix(".pth").rsplit("-", 1)[-1]
    path = data.fetch_unlisted(url, f"pretrained/{file}", digits)
    net = torchvision.models.get_model(name)
    net.load_state_dict(torch.load(path, weights_only=True))
    first = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    stages = nn.Sequential(first, net.layer1, net.layer2, net.layer3, net.layer4)
    model = Backbone(IMAGENET_SCALE, stages, net.fc)
    model.name = name
    return model.eval()


def train_cifar100(seed: int, profile: str) -> dict[str, float]:
    """Train ``small_resnet`` on CIFAR-100 and measure it; when full, 45 minutes on one core.

    SGD with Nesterov momentum under OneCycle, softened labels, images moved and mirrored. After
    each epoch a checkpoint is written to ``build/``, from which an interrupted training goes on.
    Seed 0 of the full profile stores the weights as ``resnet_cifar100``. Returns the accuracies
    on the validation and test images of ``cifar100``; raises ValueError where it is a stand-in
    and the profile is full.
    """
    photos = cifar100()
    if photos.is_stand_in and profile == "full":
        raise ValueError("CIFAR-100 is a stand-in here: nothing is recorded from it.")
    count, epochs = (len(photos.train), 15) if profile == "full" else (512, 1)
    checkpoint = ROOT / "build" / "checkpoints" / f"resnet_cifar100-{profile}-{seed}.pt"
    model = _fitted(photos, count, epochs, torch.Generator().manual_seed(seed), checkpoint)
    scores = {part: _accuracy(model, getattr(photos, part)) for part in ("validation", "test")}
    if profile == "full" and seed == 0:
        models.save("resnet_cifar100", models.halved(model.state_dict()), result=CIFAR_RESULT)
    checkpoint.unlink(missing_ok=True)
    return {f"{part}_accuracy": score for part, score in scores.items()}


def _fitted(photos: ImageData, count, epochs, generator, checkpoint) -> Backbone:
    """``small_resnet`` after ``epochs`` epochs on the first ``count`` training images."""
    model = small_resnet(generator)
    images = torch.from_numpy(photos.train.images[:count]).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(photos.train.labels[:count])
    batches = shuffled_batches(images, labels, 128, generator, moved_and_mirrored)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, total_steps=epochs * len(batches), pct_start=0.2, cycle_momentum=False
    )
    fit(
        model,
        batches,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        optimizer,
        epochs=epochs,
        validation=_tensors(photos.validation, count),
        schedule=schedule,
        checkpoint=checkpoint,
        generator=generator,
    )
    return model


def moved_and_mirrored(images: Tensor, generator: torch.Generator, by: int = 4) -> Tensor:
    """Images uint8 (N, 3, H, W) as floats in [0, 1], moved by up to ``by`` pixels, half mirrored.

    What would lie outside the frame is filled by reflection.
    """
    count, _, height, width = images.shape
    wide = nn.functional.pad(images.float() / 255, (by, by, by, by), mode="reflect")
    down, right = torch.randint(0, 2 * by + 1, (2, count, 1), generator=generator)
    rows = down + torch.arange(height)  # (N, H)
    columns = right + torch.arange(width)  # (N, W)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    example = torch.arange(count)[:, None, None]
    found = wide.permute(0, 2, 3, 1)[example, rows[:, :, None], columns[:, None, :]]  # (N, H, W, 3)
    return found.permute(0, 3, 1, 2)


def _tensors(split: Split, count: int) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(as_float(split.images[:count])), torch.from_numpy(split.labels[:count])


def _accuracy(model: Backbone, split: Split) -> float:
    return evaluate(model, _tensors(split, len(split)), nn.functional.cross_entropy)[1]
