"""Scores: accuracy and its interval, confusion, calibration, overlap and precision of boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Share of predictions that equal their label. Both (N,) integers, N ≥ 1.

    Raises ValueError for an empty set or different lengths.
    """
    predictions, labels = _paired(predictions, labels)
    return float(np.mean(predictions == labels))


def confusion_matrix(predictions: ArrayLike, labels: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): row = true label, column = prediction.

    Raises ValueError for an empty set, different lengths or a value outside 0 … classes−1.
    """
    predictions, labels = _paired(predictions, labels)
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(
                f"{name} must lie in 0 … {classes - 1}; found {values.min()} … {values.max()}."
            )
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def balanced_accuracy(predictions: ArrayLike, labels: ArrayLike, classes: int) -> float:
    """Mean over the classes that occur of the share of that class answered correctly."""
    counts = confusion_matrix(predictions, labels, classes)
    totals = counts.sum(axis=1)
    return float(np.mean(np.diag(counts)[totals > 0] / totals[totals > 0]))


def share_interval(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share, ``right`` of ``count``, by Wilson's formula (1927).

    It stays inside 0 … 1 and is not empty for 0 or ``count`` right. Raises ValueError unless
    0 ≤ right ≤ count and count ≥ 1.
    """
    if not 0 <= right <= count or count < 1:
        raise ValueError(f"a share needs 0 ≤ right ≤ count, count ≥ 1; got {right} of {count}.")
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / count + spread / (4 * count))
    return float(middle - half), float(middle + half)


class Calibration(NamedTuple):
    """By bin of confidence (B,): mean confidence, accuracy, share of the answers; and the error."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    share: NDArray[np.float64]
    error: float


def calibration(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> Calibration:
    """Whether answers are right as often as their probability says.

    From probabilities (N, K) of the classes, rows of sum 1, and labels (N,). The expected
    calibration error is the mean of ``|accuracy − confidence|`` over equal bins, weighted by share
    (Guo et al. 2017, equation 3); an empty bin holds zeros. Raises ValueError as ``accuracy``
    does, and where a row is no distribution.
    """
    probabilities = np.asarray(probabilities)
    if not (probabilities.min() >= 0 and np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)):
        raise ValueError("each row of probabilities must be 0 or more, with sum 1.")
    answers, labels = _paired(probabilities.argmax(axis=1), labels)
    confidence, right = probabilities.max(axis=1), answers == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    means, accuracies = (
        np.bincount(places, weights=values, minlength=bins) / np.maximum(counts, 1)
        for values in (confidence, right)
    )
    share = counts / len(places)
    return Calibration(means, accuracies, share, float(share @ np.abs(accuracies - means)))


def box_areas(boxes: ArrayLike) -> NDArray[np.float64]:
    """Areas (N,) of boxes (N, 4) given as (x1, y1, x2, y2) with x1 ≤ x2 and y1 ≤ y2.

    Raises ValueError for another shape, a value that is not finite or swapped corners.
    """
    boxes = _boxes(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must have shape (N, 4) as x1, y1, x2, y2; got {boxes.shape}.")
    sides = boxes[:, 2:] - boxes[:, :2]  # (N, 2): width, height
    if not np.isfinite(boxes).all() or (sides < 0).any():
        raise ValueError("a box needs finite corners with x1 ≤ x2 and y1 ≤ y2.")
    return sides.prod(axis=1)


def box_iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of every box in ``a`` (N, 4) with every box in ``b`` (M, 4).

    Boxes are (x1, y1, x2, y2). Returns (N, M) in [0, 1]; 0 where the boxes are disjoint and
    where both have no area. Raises ValueError as ``box_areas`` does.
    """
    area_a, area_b = box_areas(a), box_areas(b)
    a, b = _boxes(a), _boxes(b)
    low = np.maximum(a[:, None, :2], b[None, :, :2])  # (N, M, 2)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])  # (N, M, 2)
    intersection = np.clip(high - low, 0, None).prod(axis=2)  # (N, M)
    union = area_a[:, None] + area_b[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def average_precision(
    found: Sequence[tuple[ArrayLike, ArrayLike]], truth: Sequence[ArrayLike], iou: float = 0.5
) -> float:
    """Area under precision over recall, exactly, of the boxes that were found in some pictures.

    ``found``: for each picture boxes (D, 4) and confidences (D,); ``truth``: its true boxes (G, 4).
    Surest first, all pictures together, a box takes the true one that it overlaps best, if by at
    least ``iou`` and not taken yet; precision at a recall is the best from there on (Everingham
    et al. 2010, section 4.2). Raises ValueError without any true box.
    """
    ranked = []
    for (boxes, confidences), real in zip(found, truth, strict=True):
        order = np.argsort(-np.asarray(confidences), kind="stable")
        right = _matched(box_iou(boxes, real)[order], iou) if len(real) else np.zeros(len(order))
        ranked += zip(np.asarray(confidences)[order], right, strict=True)
    total = sum(len(real) for real in truth)
    if not total:
        raise ValueError("without any true box there is no recall: give at least one.")
    hits = np.array([right for _, right in sorted(ranked, key=lambda pair: -pair[0])], dtype=float)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * hits).sum() / total)


def _matched(overlaps: NDArray[np.float64], iou: float) -> NDArray[np.bool_]:
    """Whether each row, in order, finds a column that overlaps by ``iou`` and is still free."""
    free, right = overlaps.copy(), np.zeros(len(overlaps), dtype=bool)
    for row in range(len(free)):
        best = free[row].argmax()
        right[row] = free[row, best] >= iou
        if right[row]:
            free[:, best] = -1
    return right


def _boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """As floats; an empty list is no boxes, (0, 4)."""
    boxes = np.asarray(boxes, dtype=float)
    return boxes if boxes.size or boxes.ndim > 1 else boxes.reshape(0, 4)


def _paired(predictions: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray]:
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.shape != labels.shape or labels.ndim != 1:
        raise ValueError(
            f"predictions and labels must be two lists of one length; "
            f"got shapes {predictions.shape} and {labels.shape}."
        )
    if not labels.size:
        raise ValueError("an empty data set has no accuracy: give at least one label.")
    for name, values in (("predictions", predictions), ("labels", labels)):
        if values.dtype.kind not in "iub":
            raise ValueError(f"{name} must be whole class numbers; got dtype {values.dtype}.")
    return predictions.astype(np.int64), labels.astype(np.int64)
