"""What the page and the server say to each other: checked, and limited in size."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from app.strokes import HEIGHT, WIDTH, Stroke

MOST_POINTS = 10_000
MOST_STROKES = 500
SLIDERS = 4


def _number(value: object) -> object:
    """JSON knows 3.0 as a whole number, and neither true nor "3" as one."""
    if isinstance(value, bool | str):
        raise ValueError("this must be a whole number")
    return value


X = Annotated[float, Field(ge=0, le=WIDTH, allow_inf_nan=False, strict=True)]
Y = Annotated[float, Field(ge=0, le=HEIGHT, allow_inf_nan=False, strict=True)]
Time = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, strict=True)]
Point = tuple[X, Y, Time]
Digit = Annotated[int, Field(ge=0, le=9), BeforeValidator(_number)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Seed = Annotated[int, Field(ge=0, le=2**31), BeforeValidator(_number)]
Slider = Annotated[float, Field(ge=-3, le=3, allow_inf_nan=False, strict=True)]
Pixels = Annotated[str, Field(description="bytes of the image, row by row, in base64")]


class Message(BaseModel):
    """No field that is not asked for."""

    model_config = ConfigDict(extra="forbid")


class Drawing(Message):
    """Strokes of points [x, y, t] on a canvas of 480×320; at most 10,000 points in all."""

    strokes: list[Annotated[list[Point], Field(min_length=1)]] = Field(max_length=MOST_STROKES)

    @model_validator(mode="after")
    def _few_enough(self) -> "Drawing":
        if (count := sum(map(len, self.strokes))) > MOST_POINTS:
            raise ValueError(
                f"a drawing has at most {MOST_POINTS:,} points; this one has {count:,}"
            )
        return self

    def arrays(self) -> list[Stroke]:
        """Each stroke as (n, 3)."""
        return [np.array(stroke) for stroke in self.strokes]


class DigitQuestion(Message):
    """``detail`` asks for activations and saliency too; ``models``: these alone."""

    drawing: Drawing
    models: list[str] | None = Field(default=None, max_length=10)
    detail: StrictBool = False


class DrawingQuestion(Message):
    drawing: Drawing


class Ink(Drawing):
    """A drawing with at least one stroke."""

    strokes: list[Annotated[list[Point], Field(min_length=1)]] = Field(
        min_length=1, max_length=MOST_STROKES
    )


class SampleQuestion(Message):
    drawing: Ink
    label: Digit


class NoiseQuestion(Message):
    """The noise of ``seed``, moved along four directions."""

    seed: Seed = 0
    sliders: list[Slider] = Field(
        default_factory=lambda: [0.0] * SLIDERS, min_length=SLIDERS, max_length=SLIDERS
    )


class PlateQuestion(Message):
    """``strengths`` are named after the changes, 0 … 1 each."""

    text: str = Field(default="A123BC77", max_length=9)
    strengths: dict[str, Share] = Field(default_factory=dict, max_length=20)
    seed: Seed = 0


class Detail(BaseModel):
    """What the first layer makes of the image, and which pixels sway the answer."""

    activations: list[Pixels]
    height: int
    width: int
    saliency: Pixels


class Answer(BaseModel):
    """Probabilities (10,) by one network."""

    model: str
    probabilities: list[float]
    milliseconds: float
    detail: Detail | None = None


class Diagnosed(BaseModel):
    """See ``app.diagnosis.Diagnosis``."""

    mass: float
    density: float
    offset: tuple[float, float]
    box: tuple[float, float, float, float]
    points: int
    help: str


class DigitAnswer(BaseModel):
    """``pixels`` are the 28×28 that the networks see; None, and no answers, for no drawing.

    Networks in ``loading`` will answer in some seconds; naming them in the question waits for them.
    """

    pixels: Pixels | None
    answers: list[Answer]
    diagnosis: Diagnosed | None
    loading: list[str]
    help: str


class PairReading(BaseModel):
    """Probabilities of the digits, and the five likeliest numbers with theirs."""

    model: str
    left: list[float]
    right: list[float]
    best: list[tuple[int, float]]
    milliseconds: float


class PairAnswer(BaseModel):
    """``pixels`` are 28×56: both digits, each centred; ``cut`` is the x between them."""

    pixels: Pixels | None
    readings: list[PairReading]
    cut: float | None
    help: str


class DoodleAnswer(BaseModel):
    """Probabilities of ``classes``; ``steps`` is how many moves of the pen were read."""

    classes: list[str]
    probabilities: list[float]
    steps: int
    milliseconds: float


class GeneratedAnswer(BaseModel):
    """One 28×28 image for each digit, of the same noise."""

    pixels: list[Pixels]
    milliseconds: float


class PlateAnswer(BaseModel):
    """Images of 30×140×3; ``read`` with the probability of each character."""

    clean: Pixels
    distorted: Pixels
    read: str
    confidence: list[float]
    right: bool
    milliseconds: float


class ModelCard(BaseModel):
    """A stored network. ``accuracy`` is the recorded one of results/``result``.json."""

    name: str
    lens: Literal["digit", "pair", "doodle", "generate", "plate"]
    title: str
    library: Literal["NumPy", "PyTorch"]
    parameters: int
    accuracy: float | None
    measure: str
    result: str
    milliseconds: float | None
