"""Backbones: features equal a NumPy forward pass, frozen means frozen, training resumes."""

import hashlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from utils import backbones, data, models
from utils.backbones import load_keras, mobilenet_v1, moved_and_mirrored, small_resnet
from utils.datasets import STAND_IN, ImageData, Split
from utils.training import count_parameters

IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 64, 64, 3)).astype(np.float32)


def batch() -> torch.Tensor:
    return torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())


def keras_arrays() -> dict[str, np.ndarray]:
    """Random weights of MobileNet v1, width 0.25, under Keras's names and in its layout."""
    rng, arrays = np.random.default_rng(1), {}
    channels = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]

    def layer(name: str, kernel: str, shape: tuple[int, ...], outputs: int) -> None:
        deviation = np.sqrt(2 / np.prod(shape[:3]) if shape[3] > 1 else 2 / 9)
        arrays[f"{name}/{kernel}"] = rng.normal(0, deviation, shape)
        for part, low in (("gamma", 0.8), ("beta", -0.1), ("moving_mean", -0.1)):
            arrays[f"{name}_bn/{part}"] = rng.uniform(low, low + 0.4, outputs)
        arrays[f"{name}_bn/moving_variance"] = rng.uniform(0.5, 1.5, outputs)

    layer("conv1", "kernel", (3, 3, 3, 8), 8)
    for i, (inputs, outputs) in enumerate(zip(channels[:-1], channels[1:], strict=True), 1):
        layer(f"conv_dw_{i}", "depthwise_kernel", (3, 3, inputs, 1), inputs)
        layer(f"conv_pw_{i}", "kernel", (1, 1, inputs, outputs), outputs)
    arrays["conv_preds/kernel"] = rng.normal(0, 0.05, (1, 1, 256, 1000))
    arrays["conv_preds/bias"] = rng.normal(0, 0.05, 1000)
    return {name: values.astype(np.float32) for name, values in arrays.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.savez(tmp_path / "net.npz", **keras_arrays())
    return tmp_path / "net.npz"


def numpy_features(arrays: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """The 256 features of MobileNet v1, as its paper and Keras define them, in NumPy alone."""
    strides = {2: 2, 4: 2, 6: 2, 12: 2}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, variance = (
            arrays[f"{name}_bn/{p}"] for p in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return np.clip((x - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0, 6)

    def windows(x: np.ndarray, stride: int) -> np.ndarray:  # (N, H, W, C, 3, 3)
        before = 0 if stride == 2 else 1
        x = np.pad(x, ((0, 0), (before, 1), (before, 1), (0, 0)))
        return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))[:, ::stride, ::stride]

    x = images.astype(np.float64) * 2 - 1
    x = norm(np.einsum("nhwcij,ijco->nhwo", windows(x, 2), arrays["conv1/kernel"]), "conv1")
    for i in range(1, 14):
        kernel = arrays[f"conv_dw_{i}/depthwise_kernel"][..., 0]
        x = np.einsum("nhwcij,ijc->nhwc", windows(x, strides.get(i, 1)), kernel)
        x = norm(x, f"conv_dw_{i}")
        x = norm(x @ arrays[f"conv_pw_{i}/kernel"][0, 0], f"conv_pw_{i}")
    return x.mean(axis=(1, 2))


def test_mobilenets_features_equal_a_numpy_forward_pass(path: Path):
    arrays = keras_arrays()
    model = load_keras(mobilenet_v1(torch.Generator()), path).eval()
    with torch.no_grad():
        features, logits = model.features(batch()), model(batch())
    expected = numpy_features(arrays, IMAGES)
    assert expected.std() > 0.05
    np.testing.assert_allclose(features, expected, atol=1e-4)
    head = expected @ arrays["conv_preds/kernel"][0, 0] + arrays["conv_preds/bias"]
    np.testing.assert_allclose(logits, head, atol=1e-4)


def test_the_real_mobilenets_features_equal_a_numpy_forward_pass(capsys):
    model = backbones.mobilenet()
    if model.is_stand_in:
        assert capsys.readouterr().out.startswith(STAND_IN)
        pytest.skip("no weights of MobileNet on this machine")
    arrays = dict(np.load(data.fetch("mobilenet-v1-025")))
    assert sum(values.size for values in arrays.values()) == 475_544
    with torch.no_grad():
        features = model.features(batch())
    np.testing.assert_allclose(features, numpy_features(arrays, IMAGES), atol=1e-3)


def test_without_its_weights_mobilenet_is_a_stand_in(no_data: Path, capsys):
    model = backbones.mobilenet()
    printed = capsys.readouterr().out
    assert model.is_stand_in
    assert printed.startswith(STAND_IN)
    assert printed.count("\n") == 1


def _without(arrays: dict) -> dict:
    return {name: values for name, values in arrays.items() if name != "conv_pw_7/kernel"}


@pytest.mark.parametrize(
    "spoil",
    [_without, lambda a: a | {"conv1/kernel": np.zeros((3, 3, 3, 16), np.float32)}],
    ids=["an array is missing", "another width"],
)
def test_weights_of_another_network_are_refused_and_change_nothing(spoil, tmp_path: Path):
    path = tmp_path / "other.npz"
    np.savez(path, **spoil(keras_arrays()))
    model = mobilenet_v1(torch.Generator())
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(data.DataError, match=r"^other\.npz has no weights for this MobileNet"):
        load_keras(model, path)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_a_truncated_file_of_weights_is_refused(path: Path):
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(data.DataError, match="net.npz has no weights"):
        load_keras(mobilenet_v1(torch.Generator()), path)


def test_mobilenet_has_five_stages_and_the_published_size():
    model = mobilenet_v1(torch.Generator())
    shapes = [tuple(m.shape[1:]) for m in model.eval().maps(torch.zeros(1, 3, 224, 224))]
    assert shapes == [(16, 112, 112), (32, 56, 56), (64, 28, 28), (128, 14, 14), (256, 7, 7)]
    assert count_parameters(model) == 470_072  # 475,544 less the statistics of BatchNorm
    assert [m.stride for m in model.modules() if isinstance(m, nn.Conv2d)].count((2, 2)) == 5


def test_a_frozen_stage_keeps_weights_and_statistics():
    model = small_resnet(torch.Generator().manual_seed(0), classes=2).freeze(3).train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    nn.functional.cross_entropy(model(batch()), torch.tensor([0, 1])).backward()
    optimizer.step()
    changed = {n.split(".")[1] for n, t in model.state_dict().items() if not t.equal(before[n])}
    assert changed == {"3", "weight", "bias"}  # the last stage and the head
    assert all(p.requires_grad for p in model.freeze(0).parameters())


def test_the_small_resnet_fits_into_the_repository_and_follows_its_generator(tmp_path: Path):
    model, again = (small_resnet(torch.Generator().manual_seed(3)) for _ in range(2))
    small = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.eval()(small), again.eval()(small))
    assert model(small).shape == (2, 100)
    assert model.features(batch()).shape == (2, 192)
    path = models.save("r", models.halved(model.state_dict()), result="x", folder=tmp_path)
    assert path.stat().st_size < 6_000_000


def test_images_are_moved_by_whole_pixels_and_half_of_them_mirrored():
    images = torch.zeros(200, 3, 9, 9, dtype=torch.uint8)
    images[:, 0, 4, 5], images[:, 1, 4, 5] = 255, 51
    moved = moved_and_mirrored(images, torch.Generator().manual_seed(0), by=2)
    assert moved.shape == images.shape
    _, rows, columns = moved[:, 0].nonzero().T
    assert len(rows) == 200
    assert (rows.min(), rows.max()) == (2, 6)
    assert (columns.min(), columns.max()) == (1, 7)  # 5 ± 2, or mirrored 3 ± 2
    assert moved[:, 1].max() == pytest.approx(0.2)
    still = moved_and_mirrored(images[:50], torch.Generator().manual_seed(0), by=0)
    straight = still[:, 0, 4, 5] == 1
    assert 10 < straight.sum() < 40
    assert torch.equal(still[straight], images[:50][straight] / 255)


def toy(count: int = 64) -> ImageData:
    rng = np.random.default_rng(0)
    splits = [
        Split(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 100)
        for n in (count, 20, 20)
    ]
    return ImageData(*splits, name="toy", source="noise", sha256={}, is_stand_in=True)


def weights(epochs: int, checkpoint: Path | None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    model = backbones._fitted(toy(), 64, epochs, generator, checkpoint)
    return {name: t.clone() for name, t in model.state_dict().items()}


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path):
    whole, path = weights(2, None), tmp_path / "c.pt"
    once = mock.Mock(side_effect=[(1.0, 0.0), KeyboardInterrupt])
    with mock.patch("utils.training.evaluate", once), pytest.raises(KeyboardInterrupt):
        weights(2, path)
    assert path.exists()
    resumed = weights(2, path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_training_returns_accuracies_and_cleans_up(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(backbones, "ROOT", tmp_path)
    monkeypatch.setattr(backbones, "cifar100", toy)
    scores = backbones.train_cifar100(0, "quick")
    assert set(scores) == {"validation_accuracy", "test_accuracy"}
    assert all(0 <= score <= 1 for score in scores.values())
    assert not list(tmp_path.rglob("*.pt"))
    with pytest.raises(ValueError, match="stand-in"):
        backbones.train_cifar100(0, "full")


def test_the_stored_resnet_reads_photographs():
    if "resnet_cifar100" not in models.index():
        pytest.skip("not trained yet: make reproduce ID=cifar100-backbone")
    assert backbones.cifar_resnet().features(batch()).shape == (2, 192)


def test_the_stored_resnet_joins_the_lenders(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(models, "index", dict)
    names = [lender.name for lender in backbones.lenders()]
    assert names == ["MobileNet"]
    state = small_resnet(torch.Generator().manual_seed(1)).state_dict()
    monkeypatch.setattr(models, "index", lambda: {"resnet_cifar100": {}})
    monkeypatch.setattr(models, "load", lambda name: models.halved(state))
    lenders = backbones.lenders()
    assert [(lender.name, lender.side) for lender in lenders] == [
        ("MobileNet", 224),
        ("ResNet-14", 32),
    ]
    assert not any(lender.training for lender in lenders)


def served(tmp_path: Path, monkeypatch, digits: str | None = None) -> list[str]:
    """torchvision's weights of resnet18 become random ones, whose file name tells their sha256."""
    net = backbones_torchvision().models.resnet18()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    whole, asked = (tmp_path / "weights.pth").read_bytes(), []
    digits = digits or hashlib.sha256(whole).hexdigest()[:8]
    listed = mock.Mock()
    listed.DEFAULT.url = f"https://download.pytorch.org/models/resnet18-{digits}.pth"

    def download(self, url, output_file, pooch):
        asked.append(url)
        Path(output_file).write_bytes(whole)

    monkeypatch.setenv("NN_COURSE_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NN_COURSE_OFFLINE", "")
    monkeypatch.setattr("pooch.HTTPDownloader.__call__", download)
    monkeypatch.setattr(backbones_torchvision().models, "get_model_weights", lambda _: listed)
    return asked


def backbones_torchvision():
    from utils.vision import torchvision

    return torchvision


def test_published_weights_are_checked_and_kept(tmp_path: Path, monkeypatch):
    asked = served(tmp_path, monkeypatch)
    for _ in range(2):
        model = backbones.published_resnet("resnet18")
    assert len(asked) == 1
    assert len(model.stages) == 5
    net = backbones_torchvision().models.resnet18()
    net.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
    mean, deviation = (torch.tensor(v).reshape(3, 1, 1) for v in backbones.IMAGENET_SCALE)
    with torch.no_grad():
        expected = net.eval()((batch() - mean) / deviation)
        torch.testing.assert_close(model(batch()), expected)


def test_published_weights_with_another_hash_are_refused(tmp_path: Path, monkeypatch):
    served(tmp_path, monkeypatch, digits="00000000")
    with pytest.raises(data.DataError, match="sha256"):
        backbones.published_resnet("resnet18")
    assert not list((tmp_path / "cache").rglob("*.pth"))


def test_published_weights_need_a_network(tmp_path: Path, monkeypatch):
    asked = served(tmp_path, monkeypatch)
    monkeypatch.setenv("NN_COURSE_OFFLINE", "1")
    monkeypatch.setenv("NN_COURSE_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(data.Unavailable):
        backbones.published_resnet("resnet18")
    assert asked == []
