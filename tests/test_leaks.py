"""Leaks: each detector finds its fault, and is silent on the course's own splits."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from DigitalMarketing.marketing import tables
from utils import drawings, kaggle, leaks
from utils.datasets import ImageData, as_float, cifar10, cifar100, mnist, mnist_100
from utils.leaks import (
    best_renaming,
    blocks_below_chance,
    contradictions,
    duplicates,
    fitted_on,
    moved_duplicates,
    near_duplicates,
    require_disjoint,
    require_groups_apart,
    require_label_map,
    require_same_scale,
    require_unit_range,
    shared,
    shared_groups,
    shuffled_label_scores,
    still_tied,
)
from utils.nn import Linear
from utils.paths import ROOT

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)
bytes_ = st.integers(0, 255)
checked = settings(deadline=None, max_examples=60)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- the same example twice ---------------------------------------------------------------------


def test_shared_examples_are_found_where_they_stand():
    second = np.concatenate([IMAGES[3:5] + 1, IMAGES[7:8], IMAGES[:1] + 1, IMAGES[7:8]])
    np.testing.assert_array_equal(shared(IMAGES[5:], second), [2, 4])
    assert shared(IMAGES[:5], IMAGES[5:]).size == 0


@pytest.mark.parametrize("detector", [shared, near_duplicates, moved_duplicates])
def test_examples_of_another_form_cannot_be_compared(detector):
    within = () if detector is shared else (1,)
    with pytest.raises(ValueError, match=r"uint8 \(4, 4\) and float64 \(4, 4\)"):
        detector(IMAGES, IMAGES / 255, *within)
    with pytest.raises(ValueError, match="one form"):
        detector(IMAGES, IMAGES[:, :2], *within)


def test_splits_that_overlap_are_named_and_counted():
    require_disjoint(train=IMAGES[:10], validation=IMAGES[10:15], test=IMAGES[15:])
    with pytest.raises(ValueError, match="2 of the 7 examples of test stand in train too"):
        require_disjoint(
            train=IMAGES[:10], validation=IMAGES[10:13], test=IMAGES[[8, 9, *range(13, 18)]]
        )


def test_repeated_examples_are_found():
    np.testing.assert_array_equal(duplicates(IMAGES[[0, 1, 0, 2, 1]]), [2, 4])


def test_examples_under_two_labels_are_found_and_honest_doubles_are_not():
    np.testing.assert_array_equal(contradictions(IMAGES[[0, 1, 0, 2, 1]], [3, 4, 5, 6, 4]), [0, 2])
    with pytest.raises(ValueError, match="as many labels"):
        contradictions(IMAGES, [1, 2])


# --- almost the same example --------------------------------------------------------------------


def almost_equal(first: np.ndarray, second: np.ndarray, within: float) -> list[list[int]]:
    """All pairs, by comparing each with each."""
    size = math.prod(first.shape[1:])
    a, b = (rows.reshape(len(rows), size).astype(float) for rows in (first, second))
    gaps = np.square(b[:, None] - a).sum(axis=2)  # (M, N)
    largest = (within * math.sqrt(size)) ** 2
    j, i = np.nonzero(gaps <= largest)
    return np.column_stack([i, j]).tolist()


def moved(image: np.ndarray, down: int, right: int, mirrored: bool) -> np.ndarray:
    return np.roll(image[:, ::-1] if mirrored else image, (down, right), axis=(0, 1))


rows_of_bytes = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 6)).flatmap(
    lambda n: st.tuples(*(arrays(np.uint8, (count, n[2]), elements=bytes_) for count in n[:2]))
)


@checked
@given(rows_of_bytes, st.floats(0, 300))
@example((np.zeros((3, 2), np.uint8), np.full((2, 2), 9, np.uint8)), 9.0)  # all alike, a tie
def test_near_duplicates_are_those_of_comparing_each_with_each(rows, within: float):
    assert near_duplicates(*rows, within).tolist() == almost_equal(*rows, within)


@pytest.mark.parametrize("kind", ["bytes", "floats", "far from zero"])
@pytest.mark.parametrize("within", [0.0, 3.0, 40.0])
def test_no_near_duplicate_is_lost_among_many(kind: str, within: float):
    values = rng(1).integers(0, 256, (1500, 24), dtype=np.uint8)
    noise = rng(2).integers(-3, 4, (400, 24))
    copies = (values[:400].astype(int) + noise).clip(0, 255).astype(np.uint8)
    second = rng(3).permutation(np.concatenate([copies, values[400:420], 255 - values[:300]]))
    if kind != "bytes":
        offset = 1e7 if kind == "far from zero" else 0.0
        values, second = (rows.astype(float) + offset for rows in (values, second))
    found = near_duplicates(values, second, within).tolist()
    assert found == almost_equal(values, second, within)
    assert len(found) >= (420 if within else 20)


images_and_moves = st.tuples(
    arrays(np.uint8, (3, 5, 4), elements=bytes_),
    st.lists(st.tuples(st.integers(0, 2), bytes_, bytes_, st.booleans()), max_size=4),
)


@checked
@given(images_and_moves)
def test_a_moved_image_is_found_however_it_is_moved(case):
    images, moves = case
    copies = [moved(images[which], *move) for which, *move in moves]
    second = np.array(copies, dtype=np.uint8).reshape(-1, 5, 4)
    found = {tuple(pair) for pair in moved_duplicates(images, second, 0).tolist()}
    assert found >= {(which, place) for place, (which, *_) in enumerate(moves)}


@checked
@given(st.integers(0, 10**6), st.sampled_from([0.0, 10.0, 50.0, 70.0]))
def test_moved_duplicates_are_those_of_trying_all_moves(seed: int, within: float):
    first, second = rng(seed).integers(0, 256, (2, 4, 3, 5, 2), dtype=np.uint8)
    second[0] = moved(first[1], 2, 3, True)
    every = [
        [moved(image, down, right, mirrored) for image in second]
        for down in range(3)
        for right in range(5)
        for mirrored in (False, True)
    ]
    pairs = {tuple(pair) for some in every for pair in almost_equal(first, np.array(some), within)}
    found = moved_duplicates(first, second, within).tolist()
    assert found == sorted(map(list, pairs), key=lambda pair: pair[::-1])


@pytest.mark.parametrize("detector", [near_duplicates, moved_duplicates])
def test_distances_need_numbers(detector):
    unknown = IMAGES / 255
    unknown[3, 2, 1] = np.nan
    for first, within in ((unknown, 1.0), (IMAGES / 255, -1.0), (IMAGES / 255, np.nan)):
        with pytest.raises(ValueError, match="finite values and a distance of 0 or more"):
            detector(first, IMAGES / 255, within)
    assert detector(IMAGES[:0], IMAGES, 1).shape == (0, 2)


def test_a_light_import():
    heavy = "{'scipy', 'sklearn', 'torch', 'pandas'}"
    program = f"import sys, utils.leaks; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_rows_are_no_images_to_move():
    with pytest.raises(ValueError, match=r"\(N, H, W\)"):
        moved_duplicates(IMAGES[:, 0], IMAGES[:, 0], 1)


# --- the same source ----------------------------------------------------------------------------


def test_groups_on_both_sides_are_named():
    np.testing.assert_array_equal(shared_groups(["b", "a", "c"], ["c", "d", "b", "b"]), ["b", "c"])
    np.testing.assert_array_equal(shared_groups([[1, 2], [3, 4]], [[4, 5]]), [4])
    require_groups_apart(train=[1, 1, 2], validation=[3], test=[4, 4])
    with pytest.raises(ValueError, match="1 of the 2 groups of test stand in train too, 2 among"):
        require_groups_apart(train=[1, 1, 2], validation=[3], test=[4, 2, 2])


# --- numbers from the wrong rows ----------------------------------------------------------------


def moments(rows: np.ndarray) -> np.ndarray:
    return np.array([rows.mean(axis=0), rows.std(axis=0)])


@checked
@given(st.integers(0, 10**6), st.sets(st.sampled_from(["train", "validation", "test"])))
def test_the_rows_behind_a_scaler_are_told(seed: int, names: set[str]):
    sizes = {"train": 40, "validation": 10, "test": 15}
    splits = {name: rng(seed).normal(size=(65, 3))[-size:] for name, size in sizes.items()}
    splits = {n: rows + i for i, (n, rows) in enumerate(splits.items())}
    rows = [splits[name] for name in splits if name in names] or [rng(seed + 1).normal(size=(9, 3))]
    found = fitted_on(moments(np.concatenate(rows).astype(np.float64)), moments, **splits)
    assert set(found) == names


def test_other_statistics_and_no_splits():
    splits = {"train": IMAGES[:15], "test": IMAGES[15:]}
    median = np.median(IMAGES, axis=0)
    assert fitted_on(median, lambda rows: np.median(rows, axis=0), **splits) == ("train", "test")
    assert fitted_on(median.ravel(), lambda rows: np.median(rows, axis=0), **splits) == ()
    with pytest.raises(ValueError, match="needs the splits"):
        fitted_on(median, moments)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (IMAGES, "divide bytes by 255, once"),
        (IMAGES / 255 / 255, "divided by 255 twice"),
        (IMAGES / 127.5 - 1, "from -1 to"),
    ],
    ids=["never", "twice", "centred"],
)
def test_wrong_scales_are_refused(inputs: np.ndarray, words: str):
    with pytest.raises(ValueError, match=words):
        require_unit_range(inputs)


@pytest.mark.parametrize("change", [lambda x: x / 255, lambda x: x * 255, lambda x: x + 1])
def test_a_scale_of_its_own_is_found_on_either_side(change):
    train, test = IMAGES[:12] / 255, IMAGES[12:] / 255
    require_same_scale(train=train, test=test)
    require_same_scale(train=change(train), test=change(test))
    for sides in ({"train": train, "test": change(test)}, {"train": change(train), "test": test}):
        with pytest.raises(ValueError, match="test varies .* scale both by the same numbers"):
            require_same_scale(**sides)


def test_a_scale_needs_a_spread_and_numbers():
    with pytest.raises(ValueError, match="train has no spread"):
        require_same_scale(train=np.ones(5), test=np.ones(5))
    with pytest.raises(ValueError, match="test varies nan times"):
        require_same_scale(train=np.arange(5.0), test=np.array([np.nan]))


# --- wrong names, wrong labels ------------------------------------------------------------------


@checked
@given(st.permutations("abcde"))
def test_only_the_names_of_training_in_their_order_will_do(names: list[str]):
    if names == list("abcde"):
        return require_label_map(names, "abcde")
    with pytest.raises(ValueError, match="outputs have a wrong name"):
        return require_label_map(names, "abcde")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("aba", "3 classes have 3 names, and a stands for several"),
        ("ab", "3 classes have 2 names."),
        ("acb", "2 of 3 outputs have a wrong name: output 1 is 'b', not 'c'"),
    ],
)
def test_wrong_maps_are_refused(names: str, words: str):
    with pytest.raises(ValueError, match=words):
        require_label_map(names, "abc")


@checked
@given(st.permutations(range(6)), st.integers(0, 10**6))
def test_scrambled_names_are_put_right(names: list[int], seed: int):
    labels = np.concatenate([np.arange(6), rng(seed).integers(0, 6, 60)])
    predictions = np.argsort(names)[labels]  # a model without a fault, under other names
    found = best_renaming(predictions, labels, 6)
    assert found.names.tolist() == names
    assert found.after == 1
    assert found.before == np.mean(predictions == labels)


def test_renaming_gains_little_for_one_who_guesses():
    gains = []
    for seed in range(20):
        predictions, labels = rng(seed).integers(0, 10, (2, 2_000))
        found = best_renaming(predictions, labels, 10)
        gains.append(found.after - found.before)
    assert 0 < np.mean(gains) < math.sqrt(2 * math.log(10) / 2_000)


@pytest.mark.parametrize(
    ("predictions", "labels"), [([], []), ([1, 2], [1]), ([3, 0], [0, 1]), ([-1], [0])]
)
def test_renaming_needs_answers_to_known_classes(predictions, labels):
    with pytest.raises(ValueError, match="do not pair|must lie in 0 … 2"):
        best_renaming(predictions, labels, 3)


def test_a_block_below_chance_is_found_where_it_stands():
    right = rng().random(2_000) < 0.8
    right[400:800] = rng(1).random(400) < 0.02
    found = blocks_below_chance(right, chance=0.1)
    assert [block[:2] for block in found] == [(400, 600), (600, 800)]
    assert all(block.share < 0.06 for block in found)


def test_guessing_is_no_alarm_as_often_as_promised():
    alarms = sum(
        bool(blocks_below_chance(rng(seed).random(300) < 0.3, 0.3, blocks=5, level=0.1))
        for seed in range(400)
    )
    assert alarms <= 60  # 40 at most on average; 60 is three standard deviations more


@checked
@given(st.integers(1, 60), st.floats(0.05, 0.95))
def test_the_binomial_distribution_is_right(n: int, p: float):
    whole = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    sums = [leaks._at_most(k, n, p) for k in range(n + 1)]
    np.testing.assert_allclose(sums, np.cumsum(whole), rtol=1e-9)


@pytest.mark.parametrize("settings", [{"chance": 0.0}, {"chance": 0.5, "blocks": 21}])
def test_blocks_need_a_chance_and_rows(settings: dict):
    with pytest.raises(ValueError, match="blocks for 20 rows"):
        blocks_below_chance(np.ones(20), **settings)


# --- controls -----------------------------------------------------------------------------------


def by_neighbour(points: np.ndarray, labels: np.ndarray, train: np.ndarray) -> float:
    """Accuracy of the nearest neighbour on the rows that are not ``train`` (a mask)."""
    gaps = np.square(points[~train][:, None] - points[train]).sum(axis=2)
    return float(np.mean(labels[train][gaps.argmin(axis=1)] == labels[~train]))


def test_labels_that_mean_nothing_give_a_leak_away():
    points, labels = rng().normal(size=(100, 5)), rng(1).integers(0, 4, 100)
    copies = np.concatenate([points, points + 0.01])
    apart = np.arange(200) % 100 < 70  # copies of a point on one side
    mixed = rng(2).random(200) < 0.7

    def split_by(train):
        return lambda some: by_neighbour(copies, np.tile(some, 2), train)

    honest, leaky = (
        shuffled_label_scores(split_by(train), labels, rng(3)) for train in (apart, mixed)
    )
    assert honest.shape == (3,)
    assert honest.max() <= 0.5
    assert leaky.min() >= 0.7


def test_the_control_keeps_the_sizes_of_the_classes():
    seen = []
    shuffled_label_scores(lambda some: seen.append(some) or 0.0, np.arange(9), rng(), rounds=2)
    assert [sorted(some) for some in seen] == [list(range(9))] * 2
    assert not np.array_equal(*seen)
    with pytest.raises(ValueError, match="at least one round"):
        shuffled_label_scores(lambda some: 0.0, np.arange(9), rng(), rounds=0)


def test_a_copy_that_is_none_is_named():
    model, layer = Linear(3, 2, rng=rng()), nn.Linear(3, 2)
    tied = {name: parameter.data for name, parameter in model.named_parameters()}
    assert still_tied(tied, tied) == ["weight", "bias"]
    assert still_tied({"row": tied["weight"][1]}, tied) == ["row"]
    assert still_tied(model.state_dict(), tied) == []
    assert still_tied(layer.state_dict(), layer.state_dict()) == ["weight", "bias"]
    copies = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    assert still_tied(copies, layer.state_dict()) == []


# --- no false alarm on the course's own splits --------------------------------------------------


def require_clean(data: ImageData, within: float, moved_too: int) -> None:
    """No detector of images says anything about these splits.

    ``within`` is far below what separates two photographs or two digits; moves are tried on
    ``moved_too`` held-out images, for they take longer.
    """
    train, held_out = data.train.images, data.validation.images
    require_disjoint(train=train, validation=held_out)
    assert not len(near_duplicates(train, held_out, within))
    some = held_out[:moved_too]
    assert not len(moved_duplicates(train[: 5 * moved_too], some, within))
    require_unit_range(as_float(train[:100]))
    require_same_scale(train=train, validation=held_out, test=data.test.images)
    bytes_of = train.reshape(len(train), -1)
    of_train = fitted_on(moments(bytes_of)[0], lambda rows: moments(rows)[0], train=bytes_of,
                         validation=held_out.reshape(len(held_out), -1))  # fmt: skip
    assert of_train == ("train",)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return mnist()


def test_no_false_alarm_on_digits(digits):
    require_clean(digits, within=4, moved_too=1_000)
    splits = (digits.train, digits.validation, digits.test)
    require_disjoint(**{str(i): split.images for i, split in enumerate(splits)})
    assert not len(near_duplicates(digits.train.images, digits.test.images, 4))
    for split in splits:
        assert not len(contradictions(split.images, split.labels))
    require_unit_range(np.zeros((2, 1, 4, 4), np.float32))


def test_no_false_alarm_on_a_reader_of_digits(digits):
    """Class means, asked in the order of the file, and with labels that mean nothing."""
    some, few = digits.train.images[:3_000].reshape(-1, 784) / 255, digits.validation
    labels, asked = digits.train.labels[: len(some)], few.images[:500].reshape(-1, 784) / 255

    def answers(taught, rows):
        means = np.stack([some[taught == k].mean(axis=0) for k in range(10)])
        return np.square(rows[:, None] - means).sum(axis=2).argmin(axis=1)

    told, truth = answers(labels, asked), few.labels[: len(asked)]
    assert blocks_below_chance(told == truth, chance=0.1) == []
    renamed = best_renaming(told, truth, 10)
    assert renamed.names.tolist() == list(range(10))
    assert renamed.after == renamed.before
    control = shuffled_label_scores(lambda l: np.mean(answers(l, asked) == truth), labels, rng())
    assert control.max() <= 0.3


def test_no_false_alarm_on_pairs_of_digits():
    pairs = mnist_100((20, 10, 10))
    parts = {
        name: getattr(pairs, name).images.reshape(-1, 28, 2, 28).swapaxes(1, 2).reshape(-1, 28, 28)
        for name in ("train", "validation", "test")
    }
    require_clean(pairs, within=4, moved_too=200)
    require_disjoint(**parts)


def test_no_false_alarm_on_photographs():
    """Ten test images of CIFAR-100 stand in its training set, as its loader says; no others do."""
    photos = cifar100()
    require_clean(photos, within=2, moved_too=200)
    known = near_duplicates(photos.train.images, photos.test.images, 2)
    assert len(known) == (0 if photos.is_stand_in else 10)
    np.testing.assert_array_equal(known[:, 1], shared(photos.train.images, photos.test.images))


def test_no_false_alarm_on_ten_kinds_of_photographs(monkeypatch):
    monkeypatch.setenv("NN_COURSE_OFFLINE", "1")  # what is at hand, or patterns
    require_clean(cifar10(), within=0, moved_too=200)


def test_no_false_alarm_on_drawings():
    doodles = drawings.quick_draw()
    splits = (doodles.train, doodles.validation, doodles.test)
    longest = max(len(steps) for split in splits for steps in split.steps)
    lines = [
        np.stack([np.pad(steps, ((0, longest - len(steps)), (0, 0))) for steps in split.steps])
        for split in splits
    ]
    require_groups_apart(**{str(i): split.key_ids for i, split in enumerate(splits)})
    require_disjoint(**{str(i): some for i, some in enumerate(lines)})
    assert not len(contradictions(lines[0], doodles.train.labels))
    require_same_scale(train=lines[0], validation=lines[1], test=lines[2])


def test_no_false_alarm_on_weeks_and_stores():
    """The splits of the retail lessons: years one after the other, and one store aside."""
    whole = tables.joined(tables.retail().inputs)
    starts = np.sort(whole["Date"].unique())[[52, 91]]
    part = np.searchsorted(starts, whole["Date"].to_numpy(), side="right")
    keys = whole[["Store", "Dept", "Date"]].assign(Date=whole["Date"].astype("int64"))
    rows = {name: keys.to_numpy()[part == i] for i, name in enumerate(("train", "check", "test"))}
    require_disjoint(**rows)
    require_groups_apart(**{name: some[:, 2] for name, some in rows.items()})
    sales = {name: whole["Weekly_Sales"].to_numpy()[part == i] for i, name in enumerate(rows)}
    require_same_scale(**sales)
    assert fitted_on(sales["train"].mean(), np.mean, **sales) == ("train",)
    require_groups_apart(train=keys.loc[keys["Store"] != 7, "Store"], test=[7, 7])


def test_no_false_alarm_on_files_of_the_competition_s_form(digits, tmp_path: Path):
    cut = digits.train.images[:400], digits.train.labels[:400]
    kaggle.write_digits(tmp_path / "train.csv", *cut)
    kaggle.write_digits(tmp_path / "test.csv", digits.validation.images[:200])
    images, labels = kaggle.read_train(tmp_path / "train.csv")
    asked = kaggle.read_test(tmp_path / "test.csv")
    require_disjoint(train=images, test=asked)
    require_same_scale(train=images, test=asked)
    assert not len(contradictions(images, labels))
    assert not len(near_duplicates(images, asked, 4))
