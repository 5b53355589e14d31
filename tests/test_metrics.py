"""Scores against scikit-learn, by hand, and on bad input."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from utils.metrics import (
    accuracy,
    average_precision,
    balanced_accuracy,
    box_areas,
    box_iou,
    calibration,
    confusion_matrix,
    share_interval,
)


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    return np.where(rng.random(400) < 0.7, labels, rng.integers(0, 6, 400)), labels


def test_scores_equal_scikit_learns(answers):
    predictions, labels = answers
    assert accuracy(predictions, labels) == reference.accuracy_score(labels, predictions)
    expected = reference.confusion_matrix(labels, predictions, labels=range(6))
    np.testing.assert_array_equal(confusion_matrix(predictions, labels, 6), expected)
    balanced = reference.recall_score(labels, predictions, average="macro", labels=range(5))
    assert balanced_accuracy(predictions, labels, 6) == pytest.approx(balanced, abs=1e-15)


def test_yes_and_no_count_as_classes_1_and_0():
    said, true = np.array([True, False, True]), np.array([True, True, True])
    np.testing.assert_array_equal(confusion_matrix(said, true, 2), [[0, 0], [1, 2]])
    assert accuracy(said, true) == pytest.approx(2 / 3)


def test_a_class_that_never_occurs_does_not_count():
    assert balanced_accuracy([0, 0, 1], [0, 0, 1], classes=9) == 1.0


@pytest.mark.parametrize("score", [accuracy, lambda p, y: confusion_matrix(p, y, 3)])
def test_bad_answers_are_refused(score):
    with pytest.raises(ValueError, match="empty"):
        score([], np.array([], dtype=int))
    with pytest.raises(ValueError, match="one length"):
        score([1, 2], [1])
    with pytest.raises(ValueError, match="whole class numbers"):
        score([0.5, 1.0], [0, 1])


def test_a_forecaster_that_is_right_as_often_as_it_says_is_calibrated():
    probabilities = np.tile([0.8, 0.2], (10, 1))
    found = calibration(probabilities, [0] * 8 + [1] * 2)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert (found.share[8], found.confidence[8], found.accuracy[8]) == pytest.approx((1, 0.8, 0.8))
    assert calibration(np.tile([1.0, 0.0], (10, 1)), [0] * 5 + [1] * 5).error == 0.5


def test_calibration_weighs_each_bin_by_its_share():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(4), 300), rng.integers(0, 4, 300)
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = [(sure >= low) & (sure < low + 0.1) for low in np.arange(10) / 10]
    gaps = [abs(sure[b].mean() - right[b].mean()) * b.mean() for b in bins if b.any()]
    assert calibration(probabilities, labels).error == pytest.approx(sum(gaps))


@pytest.mark.parametrize("row", [[0.5, 0.6], [1.5, -0.5], [np.nan, 1.0]])
def test_calibration_refuses_what_is_no_distribution(row):
    with pytest.raises(ValueError, match="with sum 1"):
        calibration([row], [0])


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"labels must lie in 0 … 9; found 0 … 10"):
        confusion_matrix([0, 1], [0, 10], 10)
    with pytest.raises(ValueError, match=r"predictions must lie in 0 … 9; found -1 … 1"):
        confusion_matrix([-1, 1], [0, 1], 10)


@pytest.mark.parametrize("right", [0, 1, 47, 100])
def test_the_interval_of_a_share_equals_scipys(right: int):
    expected = stats.binomtest(right, 100).proportion_ci(method="wilson")
    assert share_interval(right, 100) == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize(("right", "count"), [(-1, 5), (6, 5), (0, 0)])
def test_a_share_that_is_none_is_refused(right: int, count: int):
    with pytest.raises(ValueError, match="a share needs"):
        share_interval(right, count)


def test_the_archives_boxes():
    assert box_iou([[80, 32, 276, 432]], [[77, 252, 147, 383]])[0, 0] == 0.11139314406102065


def test_disjoint_touching_and_empty_boxes_have_iou_0():
    boxes = [[0, 0, 1, 1], [2, 2, 3, 3], [1, 0, 2, 1], [0.5, 0.5, 0.5, 0.5]]
    np.testing.assert_array_equal(box_iou(boxes, boxes), np.diag([1.0, 1, 1, 0]))


def test_no_boxes_have_no_pairs():
    assert box_iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert box_areas([]).shape == (0,)


@pytest.mark.parametrize(
    "boxes", [[[0, 0, 1]], [0, 0, 1, 1], [[1, 0, 0, 1]], [[0, 0, np.nan, 1]]], ids=str
)
def test_boxes_that_are_none_are_refused(boxes):
    with pytest.raises(ValueError, match="box"):
        box_areas(boxes)


def at(x: float) -> list[float]:
    return [x, 0, x + 10, 10]


def test_average_precision_ranks_the_boxes_of_all_pictures_together():
    truth = [[at(0), at(50)], [at(0)]]
    found = [([at(1), at(20)], [0.9, 0.7]), ([at(0), at(0)], [0.8, 0.6])]
    # right, right, wrong, wrong (taken); the third true box is never found: 2/3 at precision 1
    assert average_precision(found, truth) == pytest.approx(2 / 3)
    # strict: the first is wrong, so precision is 1/2 where the second is right
    assert average_precision(found, truth, iou=0.95) == pytest.approx(1 / 3 * 1 / 2)


def test_average_precision_of_everything_and_of_nothing():
    assert average_precision([([at(0), at(50)], [0.5, 0.4])], [[at(0), at(50)]]) == 1
    nothing = np.zeros((0, 4)), np.zeros(0)
    assert average_precision([nothing], [[at(0)]]) == 0
    assert average_precision([([at(0)], [0.9]), ([at(0)], [0.8])], [[], [at(0)]]) == 0.5
    with pytest.raises(ValueError, match="without any true box"):
        average_precision([nothing], [[]])


def test_average_precision_is_the_mean_of_the_best_precisions_at_each_recall():
    rng = np.random.default_rng(0)
    real = rng.integers(0, 60, (40, 1)) + np.array([0, 0, 12, 12]) + 100.0 * np.arange(40)[:, None]
    guesses = real + rng.integers(-4, 5, (40, 4))
    confidences = rng.permutation(40) / 40
    hits = np.diag(box_iou(guesses, real))[np.argsort(-confidences)] >= 0.5
    recall, precision = hits.cumsum() / 40, hits.cumsum() / np.arange(1, 41)
    area = np.mean([max(precision[recall >= r - 1e-12], default=0) for r in np.arange(1, 41) / 40])
    assert average_precision([(guesses, confidences)], [real]) == pytest.approx(area)
