"""Leaks: ways in which a score says something else than it seems to, each with its detector.

A detector returns what it found, so that a lesson can show and count it; ``require_…`` raises
ValueError in one sentence, so that a training cannot start on it. What they look for::

    shared  require_disjoint                  test data in training, byte for byte
    near_duplicates  moved_duplicates         the same, almost; copies made before the split
    duplicates  contradictions                data that repeat, or contradict, themselves
    shared_groups  require_groups_apart       one store, one person, one source on both sides
    fitted_on                                 numbers that were computed from the test set too
    require_unit_range  require_same_scale    inputs that were scaled twice, or not at all
    require_label_map  best_renaming          outputs under wrong names
    blocks_below_chance                       rows whose labels belong elsewhere
    shuffled_label_scores                     any way at all by which the answers get in
    still_tied                                a copy of weights that is none

None of them can prove that there is no leak: each says what it would have found.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pairs = NDArray[np.int64]

# --- the same example twice ---------------------------------------------------------------------


def shared(first: NDArray, second: NDArray) -> NDArray[np.int64]:
    """Places in ``second`` (M, …) whose example occurs, byte for byte, in ``first`` (N, …).

    Both in the same form, as uint8 images are before anything is scaled. Raises ValueError for
    examples of different shapes or types, which could never be equal.
    """
    _require_one_form(first, second)
    known = set(_keys(first))
    return np.array([i for i, key in enumerate(_keys(second)) if key in known], dtype=np.int64)


def require_disjoint(**splits: NDArray) -> None:
    """Raise ValueError if two of the named splits share an example: test data in training."""
    for (one, first), (other, second) in combinations(splits.items(), 2):
        found = shared(first, second)
        if len(found):
            raise ValueError(
                f"{len(found)} of the {len(second)} examples of {other} stand in {one} too: "
                "a score on them is no test."
            )


def duplicates(examples: NDArray) -> NDArray[np.int64]:
    """Places of examples (N, …) that occurred before, byte for byte, in the same set."""
    seen: set[bytes] = set()
    found = []
    for i, key in enumerate(_keys(examples)):
        if key in seen:
            found.append(i)
        seen.add(key)
    return np.array(found, dtype=np.int64)


def contradictions(examples: NDArray, labels: ArrayLike) -> NDArray[np.int64]:
    """Places of examples (N, …) that occur, byte for byte, under another of the labels (N,) too.

    No model can be right about all of them. A few are slips of the hand; if they are many, the
    examples are not what they should be, as when a failed download is filled with one drawing.
    Raises ValueError unless there is one label an example.
    """
    labels = np.asarray(labels)
    if labels.shape != examples.shape[:1]:
        raise ValueError(f"{len(examples)} examples need as many labels; got {labels.shape}.")
    under: dict[bytes, set] = {}
    for key, label in zip(_keys(examples), labels.tolist(), strict=True):
        under.setdefault(key, set()).add(label)
    found = [i for i, key in enumerate(_keys(examples)) if len(under[key]) > 1]
    return np.array(found, dtype=np.int64)


# --- almost the same example --------------------------------------------------------------------

DIRECTIONS, SAMPLE, BLOCK = 16, 128, 256  # projected to; rows that choose them; compared at once


def near_duplicates(first: NDArray, second: NDArray, within: float) -> Pairs:
    """Pairs (K, 2) of places in ``first`` (N, …) and ``second`` (M, …) that are almost equal.

    Almost: the root of the mean squared difference of their values is at most ``within``, in the
    units of the values (grey levels of bytes). It finds all such pairs and no others, in order of
    the second place, then of the first; sums are of float64, exact for bytes. It looks at all
    values only where a projection to 16 directions, which can shorten a distance but never
    lengthen it, leaves the pair possible; a ``within`` far below the usual distance is quick.

    A pair across two splits was one thing once: copied, saved again, or taken twice. Raises
    ValueError for different shapes or types, values that are not finite, and ``within`` < 0.
    """
    _require_one_form(first, second)
    size = math.prod(first.shape[1:])
    a, b = first.reshape(len(first), size), second.reshape(len(second), size)
    return _sorted(list(_close(a, b, within * math.sqrt(size))))


def moved_duplicates(first: NDArray, second: NDArray, within: float) -> Pairs:
    """Pairs (K, 2) of images (N, H, W[, C]), (M, H, W[, C]) that a move makes almost equal.

    A move takes an image any number of pixels along both axes, what leaves at one edge coming
    back at the other, after mirroring it left to right or not. It finds exactly the pairs for
    which some move leaves at most ``within``, measured as in ``near_duplicates`` (up to rounding:
    1 part in 10¹⁰ of the sums of squares). It is quick because a move changes only the phases of an
    image's Fourier transform: pairs whose amplitudes differ by more are left out.

    Pairs across two splits say that copies were made before the split. Copies that were turned,
    cut, or coloured it does not find; ``shuffled_label_scores`` does. Raises ValueError as
    ``near_duplicates``, and for arrays that are no images.
    """
    _require_one_form(first, second)
    if first.ndim not in (3, 4):
        raise ValueError(f"images must be (N, H, W) or (N, H, W, C); got {first.shape}.")
    a, b = (images if images.ndim == 4 else images[..., None] for images in (first, second))
    limit, found = within * math.sqrt(math.prod(a.shape[1:])), []
    of_a = _amplitudes(a)
    rounding = 1e-6 * math.sqrt(_largest_square(of_a))  # of float32, and some more
    for other in (b, b[:, :, ::-1]):
        for pairs in _close(of_a, _amplitudes(other), limit + rounding):
            found.append(pairs[_moved_gaps(a, other, pairs) <= limit])
    return _sorted(found)


def _close(a: NDArray, b: NDArray, limit: float) -> Iterator[Pairs]:
    """Pairs of rows of ``a`` (N, D) and ``b`` (M, D) at a Euclidean distance of at most ``limit``.

    Rows are compared in the order of their first projection, so that most never meet.
    """
    largest = max(_largest_square(rows) for rows in (a, b))
    if not (limit >= 0 and np.isfinite(largest)):
        raise ValueError("near duplicates need finite values and a distance of 0 or more.")
    if not (len(a) and len(b)):
        return
    basis, middle = _directions(a, b)
    low_a, low_b = (_projected(rows, basis, middle) for rows in (a, b))  # (N, k), (M, k)
    scale = max(_largest_square(low_a), _largest_square(low_b)) or 1.0
    slack = limit**2 + 1e-9 * largest + 2e-5 * scale  # more than any rounding: no pair is lost
    order_a, order_b = low_a[:, 0].argsort(kind="stable"), low_b[:, 0].argsort(kind="stable")
    left, right = _factors(low_a[order_a], low_b[order_b], scale)
    line = low_a[order_a, 0]
    for start in range(0, len(b), BLOCK):
        some = order_b[start : start + BLOCK]
        ends = low_b[some[[0, -1]], 0] + (-math.sqrt(slack), math.sqrt(slack))
        near = slice(*np.searchsorted(line, ends))
        possible = left[near] @ right[start : start + BLOCK].T <= slack / scale
        i, j = np.divmod(np.flatnonzero(possible), len(some))  # quicker than np.nonzero
        for pairs in _blocks(np.column_stack([order_a[near][i], some[j]])):
            gaps = np.square(a[pairs[:, 0]].astype(float) - b[pairs[:, 1]]).sum(axis=1)
            yield pairs[gaps <= limit**2]


def _factors(a: NDArray, b: NDArray, scale: float) -> tuple[NDArray, NDArray]:
    """Float32 rows (N, k + 2) and (M, k + 2) whose products are squared distances / ``scale``."""
    a, b = a / math.sqrt(scale), b / math.sqrt(scale)
    left = [-2 * a, np.square(a).sum(axis=1, keepdims=True), np.ones((len(a), 1))]
    right = [b, np.ones((len(b), 1)), np.square(b).sum(axis=1, keepdims=True)]
    return np.hstack(left).astype(np.float32), np.hstack(right).astype(np.float32)


def _largest_square(rows: NDArray) -> float:
    """Largest squared length of a row; not finite if a value is not."""
    squares = [np.square(some, dtype=float).sum(axis=1).max() for some in _blocks(rows)]
    return float(np.max(squares, initial=0))


def _directions(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Orthonormal columns (D, k) along which some rows of both vary most, and their mean (D,)."""
    some = np.concatenate([rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE] for rows in (a, b)])
    middle = some.mean(axis=0, dtype=float)
    _, vectors = np.linalg.eigh((some - middle) @ (some - middle).T)
    wide = (some - middle).T @ vectors[:, ::-1][:, :DIRECTIONS]  # (D, k)
    return np.linalg.qr(wide)[0], middle


def _projected(rows: NDArray, basis: NDArray, middle: NDArray) -> NDArray[np.float64]:
    return np.concatenate([(some - middle) @ basis for some in _blocks(rows)])


def _amplitudes(images: NDArray) -> NDArray[np.float32]:
    """Lengths (N, D) of the Fourier coefficients of images (N, H, W, C): no move changes them.

    By Parseval's theorem, and because lengths differ by no more than the numbers do, two rows are
    at most as far apart as the images.
    """
    height, width, channels = images.shape[1:]
    lengths = np.empty((len(images), height, width // 2 + 1, channels), np.float32)
    for start in range(0, len(images), BLOCK):
        some = slice(start, start + BLOCK)
        lengths[some] = np.abs(np.fft.rfft2(images[some], axes=(1, 2), norm="ortho"))
    return lengths.reshape(len(images), math.prod(lengths.shape[1:]))


def _moved_gaps(a: NDArray, b: NDArray, pairs: Pairs) -> NDArray[np.float64]:
    """Distance (K,) of each pair of images after the best move, from all correlations at once."""
    one, other = (
        images[places].astype(float) for images, places in zip((a, b), pairs.T, strict=True)
    )
    product = np.fft.rfft2(one, axes=(1, 2)) * np.fft.rfft2(other, axes=(1, 2)).conj()
    best = np.fft.irfft2(product.sum(axis=3), s=one.shape[1:3], axes=(1, 2)).max(axis=(1, 2))
    lengths = np.square(one).sum(axis=(1, 2, 3)) + np.square(other).sum(axis=(1, 2, 3))
    return np.sqrt(np.maximum(lengths * (1 - 1e-10) - 2 * best, 0))


def _blocks(rows: NDArray) -> Iterator[NDArray]:
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))


def _sorted(found: list[Pairs]) -> Pairs:
    """All pairs once, in order of the second place, then of the first."""
    pairs = np.concatenate([np.empty((0, 2), np.int64), *found])
    return np.unique(pairs[:, ::-1], axis=0)[:, ::-1]


# --- the same source ----------------------------------------------------------------------------


def shared_groups(first: ArrayLike, second: ArrayLike) -> NDArray:
    """The groups that stand on both sides, each once, in order.

    ``first`` and ``second`` name the group of each row: its store, its person, the photograph that
    it was cut from; (N,), or (N, G) where a row has several. Who tests on a group that was trained
    on asks "do you know this one?", not "do you know this kind?".
    """
    return np.intersect1d(np.ravel(first), np.ravel(second))


def require_groups_apart(**groups: ArrayLike) -> None:
    """Raise ValueError if a group stands in two of the named splits, as ``shared_groups`` says."""
    for (one, first), (other, second) in combinations(groups.items(), 2):
        found = shared_groups(first, second)
        if len(found):
            raise ValueError(
                f"{len(found)} of the {len(np.unique(second))} groups of {other} stand in {one} "
                f"too, {found[0]} among them: a score on them is no test on new ones."
            )


# --- numbers from the wrong rows ----------------------------------------------------------------


def fitted_on(
    found: ArrayLike, statistic: Callable[[NDArray], ArrayLike], **splits: NDArray
) -> tuple[str, ...]:
    """The splits whose rows, taken together, have the ``statistic`` that was ``found``.

    ``statistic`` takes rows (N, …): means and deviations of a scaler, medians that fill gaps, class
    means. Fewer splits are tried first; equal is up to 1 part in 10⁶ of the largest number found.
    ("train",) is as it should be. A held-out split among the names says that the preparation saw
    it, () that the numbers come from other rows. Splits that have the same statistic cannot be
    told apart. Raises ValueError without a split.
    """
    if not splits:
        raise ValueError("fitted_on needs the splits that the numbers may come from.")
    found = np.asarray(found, dtype=float)
    margin = 1e-6 * np.abs(found).max(initial=0)
    for size in range(1, len(splits) + 1):
        for names in combinations(splits, size):
            value = np.asarray(statistic(np.concatenate([splits[name] for name in names])))
            if value.shape == found.shape and np.allclose(value, found, rtol=0, atol=margin):
                return names
    return ()


def require_unit_range(inputs: NDArray, name: str = "inputs") -> None:
    """Raise ValueError unless ``inputs`` look like images scaled once to 0 … 1.

    Bytes that were never divided by 255 reach far beyond 1; those divided twice stay below 1/255.
    """
    low, high = float(np.min(inputs)), float(np.max(inputs))
    if low < 0 or high > 1:
        raise ValueError(f"{name} reach from {low:g} to {high:g}: divide bytes by 255, once.")
    if 0 < high <= 1 / 254:
        raise ValueError(f"{name} reach to {high:g} only: they were divided by 255 twice.")


SPREADS = 2.0  # splits of one data set differ by a few per cent; a scaling too many by far more


def require_same_scale(**inputs: NDArray) -> None:
    """Raise ValueError if some inputs are scaled otherwise than the first, the training inputs.

    Compared over all values: the standard deviations may differ by a factor of 2, and the means by
    one of those of training. So a scaling too many, or one forgotten, on one side is found, and
    so is a column divided by a spread of almost nothing. What was scaled wrongly on all sides is
    not. Raises ValueError also for training inputs that do not vary.
    """
    (first, reference), *others = inputs.items()
    mean, spread = float(np.mean(reference)), float(np.std(reference))
    if not spread > 0:
        raise ValueError(f"{first} has no spread ({spread:g}) to compare with.")
    for name, values in others:
        ratio, apart = float(np.std(values)) / spread, abs(float(np.mean(values)) - mean) / spread
        if not (1 / SPREADS <= ratio <= SPREADS and apart <= 1):
            raise ValueError(
                f"{name} varies {ratio:.3g} times as much as {first}, and its mean is {apart:.3g} "
                "deviations away: scale both by the same numbers, once."
            )


# --- wrong names, wrong labels ------------------------------------------------------------------


def require_label_map(names: Sequence, classes: Sequence) -> None:
    """Raise ValueError unless ``names`` gives output k the name of class k, for every k.

    ``classes`` are the names in the order of training, each once. So the map is a bijection, and
    the right one: a set, or text in the order of the alphabet, makes a bijection that is wrong.
    """
    names, classes = list(names), list(classes)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice or len(names) != len(classes):
        raise ValueError(
            f"{len(classes)} classes have {len(names)} names"
            + (f", and {', '.join(twice)} stands for several." if twice else ".")
        )
    wrong = [k for k, (name, right) in enumerate(zip(names, classes, strict=True)) if name != right]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(names)} outputs have a wrong name: output {wrong[0]} is "
            f"{classes[wrong[0]]!r}, not {names[wrong[0]]!r}."
        )


class Renaming(NamedTuple):
    """Which class (K,) each answer should be called, and the accuracy before and after."""

    names: NDArray[np.int64]
    before: float
    after: float


def best_renaming(predictions: ArrayLike, labels: ArrayLike, classes: int) -> Renaming:
    """The bijection of the answers 0 … K−1 that makes most of ``predictions`` (N,) right.

    A model that is right after renaming, and was at chance before, knows its classes under
    wrong names. The bijection is chosen on these very examples: also a model that guesses gains a
    little by it, about √(2 ln K / N) for N far above K², and more for fewer. Raises ValueError
    for an empty set, different lengths or a class outside 0 … K−1.
    """
    from scipy.optimize import linear_sum_assignment

    predictions, labels = np.asarray(predictions), np.asarray(labels)
    values = np.concatenate([predictions.ravel(), labels.ravel()])
    if predictions.shape != labels.shape or labels.ndim != 1 or not labels.size:
        raise ValueError(f"predictions {predictions.shape} and labels {labels.shape} do not pair.")
    if values.min() < 0 or values.max() >= classes:
        raise ValueError(f"classes must lie in 0 … {classes - 1}: {values.min()} … {values.max()}.")
    counts = np.zeros((classes, classes), dtype=np.int64)  # answer, truth
    np.add.at(counts, (predictions, labels), 1)
    names = linear_sum_assignment(counts, maximize=True)[1]
    return Renaming(names, float(np.mean(predictions == labels)),
                    float(np.mean(names[predictions] == labels)))  # fmt: skip


class Block(NamedTuple):
    """Rows ``start`` … ``stop`` − 1 of a file, and the share of them that was answered rightly."""

    start: int
    stop: int
    share: float


def blocks_below_chance(
    right: ArrayLike, chance: float, blocks: int = 10, level: float = 0.001
) -> list[Block]:
    """The blocks of rows that are answered worse than by guessing: their labels belong elsewhere.

    ``right`` (N,) says for each row, in the order of the file, whether it was predicted rightly by
    a model of *other* rows; ``chance`` is the share that guessing would get. Each of the equal
    blocks is tested by the binomial distribution at ``level`` / ``blocks``: if every row is right
    with probability ``chance`` or more, independently, then with probability of at least
    1 − ``level`` nothing is reported. Shuffled rows hide what this finds. Raises ValueError unless
    0 < chance < 1 and 1 ≤ blocks ≤ N.
    """
    right = np.asarray(right, dtype=bool)
    if not 0 < chance < 1 or not 1 <= blocks <= right.size:
        raise ValueError(f"got chance {chance} and {blocks} blocks for {right.size} rows.")
    edges = np.linspace(0, len(right), blocks + 1).astype(int).tolist()
    found = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        some = right[start:stop]
        if _at_most(int(some.sum()), len(some), chance) < level / blocks:
            found.append(Block(start, stop, float(some.mean())))
    return found


def _at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k) for the number X of successes in n trials of probability p."""
    log_all = math.lgamma(n + 1) + n * math.log1p(-p)
    odds = math.log(p) - math.log1p(-p)
    return math.fsum(
        math.exp(log_all - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * odds)
        for i in range(k + 1)
    )


# --- controls -----------------------------------------------------------------------------------


def shuffled_label_scores(
    score: Callable[[NDArray], float],
    labels: NDArray,
    rng: np.random.Generator,
    rounds: int = 3,
) -> NDArray[np.float64]:
    """Scores (rounds,) of the whole experiment with labels (N,) that mean nothing.

    ``score`` takes labels and does everything that made the number in question: copies, selection
    of features, splits, training, evaluation. It gets the labels in random order, of the things
    that are independent (one a photograph, one a store), so that the classes keep their sizes
    and nothing can be learned about them. An honest experiment scores at chance, at most the share
    of the largest class; one that scores above knew the answers beforehand, in whatever way.
    Raises ValueError for less than one round.
    """
    if rounds < 1:
        raise ValueError(f"the control needs at least one round; got {rounds}.")
    return np.array([score(rng.permutation(labels)) for _ in range(rounds)], dtype=float)


def still_tied(kept: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """Names of the arrays in ``kept`` that are the memory of an array in ``live``: no copies.

    Weights that were kept in the best epoch and are still tied to the model's go on changing with
    it, and end as the last ones. Arrays or CPU tensors, as ``state_dict()`` gives them.
    """
    tensors = [np.asarray(array) for array in live.values()]
    return [n for n, a in kept.items() if any(np.shares_memory(np.asarray(a), t) for t in tensors)]


def _require_one_form(first: NDArray, second: NDArray) -> None:
    if first.shape[1:] != second.shape[1:] or first.dtype != second.dtype:
        raise ValueError(
            f"only examples of one form can be compared: got {first.dtype} {first.shape[1:]} and "
            f"{second.dtype} {second.shape[1:]}."
        )


def _keys(examples: NDArray) -> Iterable[bytes]:
    return (example.tobytes() for example in np.ascontiguousarray(examples))
