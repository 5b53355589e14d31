"""What the ledger records of the application: a function a row, function(seed, profile).

The networks that only the application uses are trained here, on MNIST's training digits; the epochs
were chosen on its validation digits. Everything is measured through the server, as the page is.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from app import networks, strokes, tracing
from app.lenses import pair_probabilities
from app.server import Settings, create
from app.strokes import HEIGHT, WIDTH, Stroke
from utils import centring, drawings, models, nn
from utils.datasets import ImageData, Split, as_float, mnist, mnist_100
from utils.digits import wobbled
from utils.history import History
from utils.metrics import accuracy
from utils.paths import ROOT, atomic
from utils.results import describe_data

BATCH, PEAK = 128, 3e-3
RUNS = ROOT / "build" / "app"
EPOCHS = {"digit_mlp": 30, "small_digit_cnn": 12, "pair_joint": 12, "pair_heads": 12}

Handed = dict[str, Any]  # "metrics", "history" and "data", as tools.reproduce takes them


class Wobbled:
    """Batches of a split in a new order every epoch, each digit bent a little on its own."""

    def __init__(self, split: Split, labels: NDArray[np.int64], seed: int) -> None:
        self.split, self.labels = split, labels
        self.rng, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.split) // BATCH)

    def __iter__(self) -> Iterator[tuple[NDArray, NDArray]]:
        order = self.rng.permutation(len(self.split))
        for some in np.array_split(order, len(self)):
            images = torch.from_numpy(as_float(self.split.images[some]))
            bent = [wobbled(half, self.generator) for half in images.split(28, dim=3)]
            yield torch.cat(bent, dim=3).numpy(), self.labels[some]


class BothDigits(nn.Module):
    """Cross entropy of the left digit plus that of the right one; logits (N, 20), labels 0 … 99."""

    def __init__(self) -> None:
        self.left, self.right = nn.CrossEntropyLoss(), nn.CrossEntropyLoss()

    def forward(self, logits: NDArray, labels: NDArray[np.int64]) -> float:
        left, right = np.split(logits, 2, axis=1)
        return self.left(left, labels // 10) + self.right(right, labels % 10)

    def backward(self) -> NDArray:
        return np.concatenate([self.left.backward(), self.right.backward()], axis=1)


def trained(name: str, data: ImageData, result: str, seed: int) -> tuple[nn.Module, History]:
    """A network of the application, trained now or read from ``RUNS``; that of seed 0 is stored."""
    rng = np.random.default_rng(seed)
    model = networks.BUILDERS[name](rng)
    weights = RUNS / f"{name}-{seed}.npz"
    rows = weights.with_suffix(".json")
    if not rows.is_file():
        history = train(model, Wobbled(data.train, data.train.labels, seed), EPOCHS[name], rng)
        model.save(weights)
        with atomic(rows) as temporary:
            temporary.write_text(json.dumps(history.rows), "utf-8")
    model.load(weights)
    if seed == 0:
        models.save(name, model.state_dict(), result=result)
    return model.eval(), History(json.loads(rows.read_text("utf-8")))


def train(model: nn.Module, batches: Wobbled, epochs: int, rng: np.random.Generator) -> History:
    """Train in place by AdamW in one cycle."""
    optimizer = nn.AdamW(model.parameters(), lr=PEAK, weight_decay=0.01)
    schedule = nn.OneCycleLR(optimizer, PEAK, total_steps=epochs * len(batches))
    loss = BothDigits() if model[-1].weight.data.shape[0] == 20 else nn.CrossEntropyLoss()
    return nn.fit(model, batches, loss, optimizer, epochs=epochs, schedule=schedule, rng=rng)


def digits(seed: int, profile: str) -> Handed:
    """Row 69: the digit readers on test images, and on the same digits drawn through the page."""
    data = mnist()
    mlp, _ = trained("digit_mlp", data, "digit-web-app", seed)
    cnn, history = trained("small_digit_cnn", data, "digit-web-app", seed)
    images, labels = as_float(data.test.images), data.test.labels
    replayed = replay(data.test)
    metrics = {
        "mlp_test_accuracy": accuracy(nn.predict(mlp, images).argmax(axis=1), labels),
        "cnn_test_accuracy": accuracy(nn.predict(cnn, images).argmax(axis=1), labels),
        "replayed_drawing_accuracy_mlp": replayed["digit_mlp"],
        "replayed_drawing_accuracy_cnn": replayed["small_digit_cnn"],
        "replayed_drawing_accuracy": replayed["digit_cnn"],
    }
    return {"metrics": metrics, "history": history.rows, "data": describe_data(data)}


def replay(split: Split) -> dict[str, float]:
    """Accuracy of each digit reader on all digits of a split, traced and sent to the server."""
    right: dict[str, int] = {}
    with TestClient(create(Settings())) as client:
        cards = client.get("/api/models").json()
        names = [card["name"] for card in cards if card["lens"] == "digit"]
        for image, label in zip(split.images, split.labels, strict=True):
            question = {"drawing": as_json(tracing.traced(image)), "models": names}
            for answer in client.post("/api/digit", json=question).json()["answers"]:
                hit = int(np.argmax(answer["probabilities"])) == label
                right[answer["model"]] = right.get(answer["model"], 0) + int(hit)
    return {name: hits / len(split) for name, hits in right.items()}


def as_json(drawing: list[Stroke]) -> dict[str, list]:
    """Strokes as the page sends them: points on the canvas, to a tenth of a unit."""
    return {"strokes": [inside(stroke).round(1).tolist() for stroke in drawing]}


def inside(stroke: Stroke) -> Stroke:
    """Points outside the canvas moved to its edge, as a browser's pen stops there."""
    return np.clip(stroke, [0, 0, 0], [WIDTH, HEIGHT, np.inf])


def diagnostics(seed: int, profile: str) -> Handed:
    """Row 86: test images through the page's own centring, read by the deep network."""
    from app.torch_side import DigitReader

    data, reader = mnist(), DigitReader()
    images = as_float(data.test.images)
    again = np.stack([centring.as_mnist(image[0]) for image in images])[:, None]
    answers = [reader.logits(some).argmax(axis=1) for some in np.array_split(again, 100)]
    share = accuracy(np.concatenate(answers), data.test.labels)
    metrics = {"preprocessing_round_trip_accuracy": share}
    return {"metrics": metrics, "data": describe_data(data)}


def pairs(seed: int, profile: str) -> Handed:
    """Row 90: both pair networks on test pairs; and cuts and readings of traced pairs."""
    data = mnist_100()
    joint, history = trained("pair_joint", data, "digit-pair-app", seed)
    heads, _ = trained("pair_heads", data, "digit-pair-app", seed)
    images, labels = as_float(data.test.images), data.test.labels
    cuts, readings = replay_pairs(data.test)
    metrics = {
        "joint_test_accuracy": accuracy(_numbers(joint, images), labels),
        "heads_test_accuracy": accuracy(_numbers(heads, images), labels),
        "segmentation_accuracy": cuts,
        "pair_accuracy": readings["pair_joint"],
        "pair_accuracy_heads": readings["pair_heads"],
    }
    return {"metrics": metrics, "history": history.rows, "data": describe_data(data)}


def _numbers(model: nn.Module, images: NDArray) -> NDArray[np.int64]:
    """The likeliest number 0 … 99 of each image (N, 1, 28, 56)."""
    return pair_probabilities(nn.predict(model, images)).reshape(-1, 100).argmax(axis=1)


def replay_pairs(split: Split, seed: int = 0) -> tuple[float, dict[str, float]]:
    """Share of traced pairs that are cut rightly, and read rightly by each network.

    Between the digits are −8 to 40 units, drawn at random: some overlap.
    """
    rng = np.random.default_rng(seed)
    cut, right = 0, dict.fromkeys(("pair_joint", "pair_heads"), 0)
    with TestClient(create(Settings(numpy_only=True))) as client:
        for image, label in zip(split.images, split.labels, strict=True):
            left, other = beside(*np.split(image, 2, axis=1), float(rng.uniform(-8, 40)))
            drawing = [inside(stroke) for stroke in left + other]
            cut += len(strokes.split(drawing)[0]) == len(left) and _same(drawing, left)
            answer = client.post("/api/pair", json={"drawing": as_json(drawing)}).json()
            for reading in answer["readings"]:
                right[reading["model"]] += int(reading["best"][0][0] == label)
    return cut / len(split), {name: hits / len(split) for name, hits in right.items()}


def beside(left: NDArray, right: NDArray, gap: float) -> tuple[list[Stroke], list[Stroke]]:
    """Two digits traced, the second one moved so that ``gap`` units lie between them."""
    one, other = tracing.traced(left), tracing.traced(right)
    middle = WIDTH / 2
    one = [stroke + [middle - gap / 2 - strokes.bounds(one)[2], 0, 0] for stroke in one]
    later = one[-1][-1, 2] + 300
    shift = middle + gap / 2 - strokes.bounds(other)[0]
    return one, [stroke + [shift, 0, later] for stroke in other]


def _same(drawing: list[Stroke], left: list[Stroke]) -> bool:
    """Whether the page's cut puts exactly the strokes of ``left`` on the left."""
    found = strokes.split(drawing)[0]
    wanted = {inside(stroke).tobytes() for stroke in left}
    return {stroke.tobytes() for stroke in found} == wanted


def doodles(seed: int, profile: str) -> Handed:
    """Row 93: test doodles by their pen order, and after a picture of them was traced."""
    data = drawings.quick_draw()
    by_order = [as_drawn(steps) for steps in data.test.steps]
    by_picture = [tracing.traced(pictured(drawing), 300, finer=1) for drawing in by_order]
    with TestClient(create(Settings(numpy_only=True))) as client:

        def share(some: list[list[Stroke]]) -> float:
            named = [_named(client, drawing) for drawing in some]
            return accuracy(np.array(named), data.test.labels)

        metrics = {
            "accuracy_from_pen_order": share(by_order),
            "accuracy_from_traced_picture": share(by_picture),
        }
    return {"metrics": metrics, "data": describe_data(data)}


def _named(client: TestClient, drawing: list[Stroke]) -> int:
    answer = client.post("/api/doodle", json={"drawing": as_json(drawing)}).json()
    return int(np.argmax(answer["probabilities"]))


def as_drawn(steps: NDArray[np.int16]) -> list[Stroke]:
    """A doodle on the canvas, stroke by stroke, with a time for each point."""
    corner = np.array([WIDTH, HEIGHT]) / 2 - drawings.LARGEST / 2
    return tracing.timed([points + corner for points in drawings.to_strokes(steps)])


def pictured(drawing: list[Stroke]) -> NDArray[np.uint8]:
    """A picture (300, 300) of a doodle: its order is lost in it."""
    ink = strokes.ink(drawing, pen=0.4)
    return np.asarray(Image.fromarray((ink * 255).astype(np.uint8)).resize((300, 300)))


def pixels_read(side: int = 160) -> float:
    """Share of the pixels of the drawn ink that change the 28×28 image.

    Shrinking is linear and works on rows and on columns alike: a pixel is read when its row and
    its column have a weight.
    """
    lines = Image.fromarray(np.eye(side, dtype=np.float32))
    size = (side, centring.BOX)
    weights = np.asarray(lines.resize(size, Image.Resampling.BILINEAR))  # (20, side)
    return float(np.any(weights > 0, axis=0).mean() ** 2)
