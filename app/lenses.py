"""Each lens looks at a drawing in its own way and answers a question of the page."""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import api, strokes
from app.diagnosis import EMPTY, diagnosis
from app.shelf import Shelf
from utils import drawings
from utils.nn.activations import softmax

NOISE_WIDTH = 64


def packed(image: NDArray) -> str:
    """An image in [0, 1] or uint8 as base64 of its bytes, row by row."""
    if image.dtype != np.uint8:
        image = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return base64.b64encode(image.tobytes()).decode()


class Stopwatch:
    """``milliseconds`` after the block."""

    milliseconds = 0.0


@contextmanager
def timed(shelf: Shelf, name: str) -> Iterator[Stopwatch]:
    """Time a prediction of a model; its card shows the latest."""
    watch, start = Stopwatch(), time.perf_counter()
    yield watch
    watch.milliseconds = round((time.perf_counter() - start) * 1000, 3)
    shelf.milliseconds[name] = watch.milliseconds


def digit(question: api.DigitQuestion, shelf: Shelf) -> api.DigitAnswer:
    """The digit readers side by side: those asked for, or all that are loaded.

    Raises KeyError for a network that reads no digits.
    """
    every = shelf.of("digit") if question.models is None else question.models
    shelf.require(every, "digit")
    names = [name for name in every if question.models is not None or shelf.awake(name)]
    loading = [name for name in every if name not in names]
    drawing = question.drawing.arrays()
    if not drawing:
        return api.DigitAnswer(pixels=None, answers=[], diagnosis=None, loading=loading, help=EMPTY)
    image = strokes.digit(drawing)
    found = diagnosis(drawing, image)
    answers = [_answer(shelf, name, image, question.detail) for name in names]
    return api.DigitAnswer(
        pixels=packed(image),
        answers=answers,
        diagnosis=api.Diagnosed(**vars(found)),
        loading=loading,
        help=found.help,
    )


def _answer(shelf: Shelf, name: str, image: NDArray, detail: bool) -> api.Answer:
    reader, x = shelf.reader(name), image[None, None]
    with timed(shelf, name) as watch:
        probabilities = softmax(reader.logits(x))[0]
    return api.Answer(
        model=name,
        probabilities=probabilities.tolist(),
        milliseconds=watch.milliseconds,
        detail=_detail(*reader.insight(x)) if detail else None,
    )


def _detail(maps: NDArray, slope: NDArray) -> api.Detail:
    """The first layer's answers, scaled to the largest, and |d largest logit / d pixel|."""
    maps = maps.reshape(1, -1, 32) if maps.ndim == 1 else maps[:12]  # dense: 8 rows of 32
    saliency = np.abs(slope)
    return api.Detail(
        activations=[packed(one / max(float(maps.max()), 1e-9)) for one in maps],
        height=maps.shape[1],
        width=maps.shape[2],
        saliency=packed(saliency / max(float(saliency.max()), 1e-9)),
    )


def pair(question: api.DrawingQuestion, shelf: Shelf) -> api.PairAnswer:
    """A number of two digits: cut, centred, and read by a joint head and by two heads."""
    drawing = question.drawing.arrays()
    sides = strokes.split(drawing) if drawing else ([], [])
    if not all(sides):
        help = "Draw two digits side by side." if drawing else EMPTY
        return api.PairAnswer(pixels=None, readings=[], cut=None, help=help)
    image = np.concatenate([strokes.digit(side) for side in sides], axis=1)  # (28, 56)
    cut = (strokes.bounds(sides[0])[2] + strokes.bounds(sides[1])[0]) / 2
    return api.PairAnswer(
        pixels=packed(image),
        readings=[_pair_reading(shelf, name, image) for name in shelf.of("pair")],
        cut=round(float(cut), 1),
        help="Each digit is centred and scaled on its own.",
    )


def _pair_reading(shelf: Shelf, name: str, image: NDArray) -> api.PairReading:
    with timed(shelf, name) as watch:
        joint = pair_probabilities(shelf.reader(name).logits(image[None, None]))[0]
    best = np.argsort(joint.ravel())[::-1][:5]
    return api.PairReading(
        model=name,
        left=joint.sum(axis=1).tolist(),
        right=joint.sum(axis=0).tolist(),
        best=[(int(number), float(joint.flat[number])) for number in best],
        milliseconds=watch.milliseconds,
    )


def pair_probabilities(logits: NDArray) -> NDArray:
    """(N, 10, 10) of left and right digit, from 100 logits, or from twice ten by their product."""
    if logits.shape[1] == 100:
        return softmax(logits).reshape(-1, 10, 10)
    left, right = softmax(logits[:, :10]), softmax(logits[:, 10:])
    return left[:, :, None] * right[:, None, :]


def doodle(question: api.DrawingQuestion, shelf: Shelf) -> api.DoodleAnswer:
    """What the doodle reader makes of the strokes so far, in their true order."""
    steps = strokes.steps(question.drawing.arrays())
    (name,) = shelf.of("doodle")
    with timed(shelf, name) as watch:
        logits = shelf.reader(name).logits(drawings.moves(steps)[None])
    return api.DoodleAnswer(
        classes=list(drawings.CLASSES),
        probabilities=softmax(logits)[0].tolist(),
        steps=len(steps),
        milliseconds=watch.milliseconds,
    )


def generate(question: api.NoiseQuestion, shelf: Shelf) -> api.GeneratedAnswer:
    """The ten digits, drawn by the generator from one noise."""
    noise = np.random.default_rng(question.seed).standard_normal(NOISE_WIDTH)
    noise = noise + np.array(question.sliders) @ directions()
    every = np.repeat(noise[None].astype(np.float32), 10, axis=0)
    (name,) = shelf.of("generate")
    with timed(shelf, name) as watch:
        images = shelf.reader(name).logits(every, np.arange(10))
    return api.GeneratedAnswer(
        pixels=[packed(image) for image in images], milliseconds=watch.milliseconds
    )


def directions() -> NDArray[np.float64]:
    """Four directions (4, 64) at right angles, of length 4: half as long as most noise."""
    random = np.random.default_rng(0).standard_normal((NOISE_WIDTH, api.SLIDERS))
    return 4 * np.linalg.qr(random)[0].T


def plate(question: api.PlateQuestion, shelf: Shelf) -> api.PlateAnswer:
    """A plate drawn, distorted and read back. Raises ValueError for what is on no plate."""
    (name,) = shelf.of("plate")
    with timed(shelf, name) as watch:
        seen = shelf.reader(name).read(question.text, question.strengths, question.seed)
    clean, distorted, text, confidence = seen
    return api.PlateAnswer(
        clean=packed(clean),
        distorted=packed(distorted),
        read=text,
        confidence=confidence,
        right=text == question.text,
        milliseconds=watch.milliseconds,
    )


def sample(question: api.SampleQuestion) -> dict[str, NDArray]:
    """A drawing as training data: images uint8 (1, 28, 28), labels int64 (1,)."""
    image = strokes.digit(question.drawing.arrays())
    pixels = np.rint(image * 255).astype(np.uint8)
    return {"images": pixels[None], "labels": np.array([question.label])}


LENSES: dict[str, Callable[[Any, Shelf], Any]] = {
    "digit": digit,
    "pair": pair,
    "doodle": doodle,
    "generate": generate,
    "plate": plate,
}
