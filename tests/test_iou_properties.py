"""Properties that box areas, IoU and non-maximum suppression have for every input.

Hypothesis searches for a counterexample; derandomised, so that each run tries the same inputs.
A side is 0 or at least half a unit: degenerate boxes are tried often, and no tolerance has to
excuse the rounding of boxes that are thinner than the grid of the floats.
"""

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metrics import box_areas, box_iou
from utils.vision import _nms, torchvision

checked = settings(derandomize=True, deadline=None, max_examples=100, database=None)

places = st.floats(-100, 100)
sides = st.one_of(st.just(0.0), st.floats(0.5, 50))


@st.composite
def boxes(draw, least: int = 1, most: int = 6) -> np.ndarray:
    """Boxes (N, 4) as x1, y1, x2, y2; many overlap, many are disjoint, some are lines or points."""
    rows = draw(st.lists(st.tuples(places, places, sides, sides), min_size=least, max_size=most))
    x, y, width, height = np.array(rows, dtype=float).reshape(-1, 4).T
    return np.column_stack([x, y, x + width, y + height])


@st.composite
def scored_boxes(draw) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) with whole corners, and distinct scores (N,): every IoU is free of rounding."""
    corner, side = st.integers(0, 20), st.integers(0, 12)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), max_size=25))
    x, y, width, height = np.array(rows, dtype=float).reshape(-1, 4).T
    scores = np.array(draw(st.permutations(range(len(rows)))), dtype=float)
    return np.column_stack([x, y, x + width, y + height]), scores


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes, from the definition."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = ((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b))
    union = area_a + area_b - width * height
    return width * height / union if union > 0 else 0.0


def plain_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Best score first: a box stays unless one that stayed overlaps it by more than threshold."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(plain_iou(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


# --- areas ---------------------------------------------------------------------------------------


@checked
@given(boxes())
def test_areas_are_those_of_shapely(some):
    expected = [shapely.box(*box).area for box in some]
    np.testing.assert_allclose(box_areas(some), expected, rtol=1e-9, atol=1e-9)


@checked
@given(boxes())
def test_an_area_is_zero_exactly_when_a_side_is(some):
    flat = (some[:, 2] == some[:, 0]) | (some[:, 3] == some[:, 1])
    np.testing.assert_array_equal(box_areas(some) == 0, flat)


@pytest.mark.parametrize(
    "wrong",
    [[[1, 0, 0, 1]], [[0, 1, 1, 0]], [[0, 0, np.nan, 1]], [[0, 0, np.inf, 1]], [0, 0, 1, 1]],
)
@pytest.mark.parametrize("function", [box_areas, lambda b: box_iou(b, [[0, 0, 1, 1]])])
def test_wrong_boxes_are_refused_in_a_sentence(wrong, function):
    with pytest.raises(ValueError, match=r"^(a box needs|boxes must have) .*\.$"):
        function(wrong)


# --- IoU -----------------------------------------------------------------------------------------


@checked
@given(boxes(), boxes())
def test_iou_has_one_row_a_box_and_lies_in_the_unit_interval(a, b):
    iou = box_iou(a, b)
    assert iou.shape == (len(a), len(b))
    assert (iou >= 0).all()
    assert (iou <= 1).all()


@checked
@given(boxes(), boxes())
def test_iou_is_symmetric(a, b):
    np.testing.assert_array_equal(box_iou(a, b), box_iou(b, a).T)


@checked
@given(boxes())
def test_iou_of_a_box_with_itself_is_one_or_zero_without_area(some):
    np.testing.assert_array_equal(np.diag(box_iou(some, some)), box_areas(some) > 0)


@checked
@given(boxes(), boxes(), places, places)
def test_iou_does_not_change_when_both_move(a, b, x, y):
    moved = box_iou(a + [x, y, x, y], b + [x, y, x, y])
    np.testing.assert_allclose(moved, box_iou(a, b), atol=1e-9)


@checked
@given(boxes(), boxes(), st.floats(0.01, 100), st.floats(0.01, 100))
def test_iou_does_not_change_when_an_axis_is_scaled(a, b, x, y):
    scaled = box_iou(a * [x, y, x, y], b * [x, y, x, y])
    np.testing.assert_allclose(scaled, box_iou(a, b), atol=1e-9)


@checked
@given(boxes(most=1), boxes(most=1), st.floats(0, 100), st.booleans())
def test_iou_of_boxes_that_touch_or_lie_apart_is_zero(a, b, gap, below):
    low, high = (1, 3) if below else (0, 2)  # apart along y or along x
    apart = b.copy()
    apart[:, high] = a[:, high] + gap + (b[:, high] - b[:, low])
    apart[:, low] = a[:, high] + gap
    assert box_iou(a, apart)[0, 0] == 0


@checked
@given(boxes(), boxes())
def test_iou_is_that_of_shapely(a, b):
    for iou, area, box in zip(box_iou(a, b), box_areas(a), a, strict=True):
        for value, other_area, other in zip(iou, box_areas(b), b, strict=True):
            if area == 0 or other_area == 0:  # no valid polygon, and nothing to share
                assert value == 0
                continue
            first, second = shapely.box(*box), shapely.box(*other)
            shared = first.intersection(second).area
            assert value == pytest.approx(shared / first.union(second).area, abs=1e-9)


@checked
@given(boxes(least=0), boxes(least=0))
def test_iou_is_that_of_torchvision_where_it_has_one(a, b):
    reference = torchvision.ops.box_iou(torch.tensor(a), torch.tensor(b)).numpy()  # float64
    without_area = (box_areas(a) == 0)[:, None] & (box_areas(b) == 0)[None, :]
    np.testing.assert_array_equal(np.isnan(reference), without_area)  # 0 / 0 there, 0 here
    np.testing.assert_allclose(box_iou(a, b), np.nan_to_num(reference), atol=1e-12)


# --- non-maximum suppression ---------------------------------------------------------------------

both_operators = pytest.mark.parametrize("nms", [torchvision.ops.nms, _nms], ids=["ops", "ours"])
# torchvision.ops.nms is `_nms` where torchvision's own does not load; elsewhere both are tested.


@both_operators
@checked
@given(scored_boxes(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_nms_is_the_plain_loop(nms, some, threshold):
    kept = nms(*map(torch.tensor, some), threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == plain_nms(*some, threshold)


@both_operators
@checked
@given(scored_boxes(), st.floats(0, 1))
def test_nms_a_second_time_removes_nothing(nms, some, threshold):
    boxes, scores = map(torch.tensor, some)
    kept = nms(boxes, scores, threshold)
    assert len(nms(boxes[kept], scores[kept], threshold)) == len(kept)


@both_operators
def test_nms_keeps_a_box_whose_iou_equals_the_threshold(nms):
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    scores = torch.tensor([0.9, 0.8], dtype=torch.float64)
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.49).tolist() == [0]
