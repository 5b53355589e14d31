"""The application's drawings: drawn as MNIST would, cut in two, simplified, described, traced."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import recorded, strokes, tracing
from app.diagnosis import EMPTY, advice, diagnosis
from utils import drawings
from utils.datasets import mnist

DIGITS, DOODLES = mnist(), drawings.quick_draw()
LINE = np.array([[100.0, 50.0, 0.0], [100.0, 250.0, 900.0]])
RING = np.column_stack(
    [
        300 + 60 * np.cos(np.linspace(0, 2 * np.pi, 80)),
        150 + 80 * np.sin(np.linspace(0, 2 * np.pi, 80)),
        np.arange(80.0),
    ]
)
SEVEN = np.array([[120.0, 60.0, 0.0], [230.0, 60.0, 300.0], [150.0, 260.0, 900.0]])
points = st.tuples(st.floats(0, 480), st.floats(0, 320), st.floats(0, 1e6))
some_strokes = st.lists(
    st.lists(points, min_size=1, max_size=12).map(lambda some: np.array(some, dtype=float)),
    min_size=1,
    max_size=6,
)


def test_a_vertical_line_becomes_a_one_in_the_middle():
    image = strokes.digit([LINE])
    lit = np.argwhere(image > 0.5)
    assert image.shape == (28, 28)
    assert np.ptp(lit[:, 0]) + 1 == pytest.approx(20, abs=1)
    assert np.ptp(lit[:, 1]) + 1 <= 4
    assert lit[:, 1].mean() == pytest.approx(14, abs=1)


@pytest.mark.parametrize("factor", [0.2, 1.0, 1.2])
def test_size_and_place_on_the_canvas_do_not_matter(factor):
    moved = SEVEN * [factor, factor, 1] + [30, 5, 0]
    np.testing.assert_allclose(strokes.digit([moved]), strokes.digit([SEVEN]), atol=0.25)


@pytest.mark.skipif(DIGITS.is_stand_in, reason="no real MNIST on this machine")
def test_the_pen_is_as_wide_as_in_mnist():
    digits = DIGITS.validation
    drawn = np.mean([strokes.digit(tracing.traced(image)) for image in digits.images[:150]])
    assert drawn == pytest.approx(digits.images[:150].mean() / 255, rel=0.2)


@given(some_strokes)
def test_whatever_is_drawn_has_ink_and_stays_in_its_frame(drawing):
    image = strokes.digit(drawing)
    assert image.shape == (28, 28)
    assert 0 < image.max() <= 1
    assert image.min() == 0
    assert isinstance(advice(drawing), str)


@given(some_strokes)
def test_a_cut_loses_no_point(drawing):
    left, right = strokes.split(drawing)
    before = sorted(map(tuple, np.concatenate(drawing).tolist()))
    assert sorted(map(tuple, np.concatenate([*left, *right]).tolist())) == before


@given(some_strokes)
def test_steps_are_what_the_doodle_reader_knows(drawing):
    steps = strokes.steps(drawing)
    drawings.check_steps(steps)
    assert steps[:, 2].sum() == len(drawing)
    assert drawings.moves(steps).shape == (len(steps), 3)


def test_an_empty_drawing_is_one_sentence_and_has_no_steps():
    with pytest.raises(ValueError, match="this drawing is empty"):
        strokes.digit([])
    assert len(strokes.steps([])) == 0
    assert advice([]) == EMPTY


def test_a_number_is_cut_at_the_widest_gap_whatever_the_order_of_its_strokes():
    bar = np.array([[80.0, 60.0, 0.0], [120.0, 60.0, 9.0]])
    left, right = strokes.split([RING, LINE, bar])
    assert [s.tobytes() for s in right] == [RING.tobytes()]
    assert {s.tobytes() for s in left} == {LINE.tobytes(), bar.tobytes()}


def test_a_number_drawn_without_lifting_is_cut_at_its_thinnest_place():
    joined = np.concatenate([RING - [150, 0, 0], RING + [100, 0, 0]])
    left, right = strokes.split([joined])
    assert max(s[:, 0].max() for s in left) <= min(s[:, 0].min() for s in right)
    assert 209 < strokes.bounds(left)[2] < strokes.bounds(right)[0] + 1e-9 < 345


@pytest.mark.parametrize("steps", DOODLES.test.steps[:20])
def test_a_doodle_comes_back_stroke_by_stroke(steps):
    assert strokes.steps(recorded.as_drawn(steps))[:, 2].sum() == steps[:, 2].sum()


@pytest.mark.skipif(DOODLES.is_stand_in, reason="no real drawings on this machine")
def test_a_doodle_that_was_simplified_is_hardly_simplified_again():
    for steps in DOODLES.test.steps[:20]:
        again = strokes.steps(recorded.as_drawn(steps))
        assert 0.7 * len(steps) <= len(again) <= len(steps)


@pytest.mark.parametrize(
    ("drawing", "words"),
    [
        ([LINE[:1]], "a dot"),
        ([LINE / [1, 20, 1] + [0, 100, 0]], "very small"),
        ([LINE * [0, 1, 1]], "touches the edge"),
        ([LINE[:, [1, 0, 2]] + [100, 0, 0]], "two digits"),
        ([LINE + [i, 0, 0] for i in range(13)], "many strokes"),
        ([RING], "Nothing is wrong"),
    ],
)
def test_help_is_one_sentence_about_what_matters_most(drawing, words):
    assert words in advice(drawing)


def test_measures_of_a_ring_are_those_of_geometry():
    found = diagnosis([RING], strokes.digit([RING]))
    assert found.box == (240.0, 70.0, 360.0, 230.0)
    assert found.offset == (60.0, -10.0)
    assert found.points == 80
    assert 0.05 < found.mass < 0.25
    assert 0.3 < found.density < 0.8


def test_tracing_leaves_no_ink_far_from_a_stroke():
    image = DIGITS.validation.images[3]
    drawing = tracing.traced(image, size=28, finer=4)
    corner = np.array([strokes.WIDTH, strokes.HEIGHT]) / 2 - 14
    traced = np.concatenate(drawing)[:, :2] - corner
    inked = np.argwhere(image > 128)[:, ::-1] + 0.5
    gaps = np.linalg.norm(inked[:, None] - traced[None], axis=2).min(axis=1)
    assert gaps.max() < 3


def test_a_picture_without_ink_is_refused():
    with pytest.raises(ValueError, match="no ink to trace"):
        tracing.traced(np.zeros((28, 28), np.uint8))


def test_traced_strokes_take_time_and_do_not_overlap_in_it():
    drawing = tracing.traced(DIGITS.validation.images[5])
    times = [stroke[:, 2] for stroke in drawing]
    assert all(np.all(np.diff(t) >= 0) for t in times)
    assert all(a[-1] < b[0] for a, b in zip(times, times[1:], strict=False))


def test_every_pixel_of_the_ink_is_read():
    assert recorded.pixels_read() == 1.0


def test_beside_leaves_the_gap_that_was_asked_for():
    images = DIGITS.validation.images
    left, right = recorded.beside(images[0], images[1], 12.0)
    assert strokes.bounds(right)[0] - strokes.bounds(left)[2] == pytest.approx(12)
    assert right[0][0, 2] > left[-1][-1, 2]
