"""Leaks: each detector finds its fault, and is silent on the course's own splits."""

import numpy as np
import pytest

from utils.datasets import as_float, mnist
from utils.leaks import duplicates, require_disjoint, require_unit_range, shared

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)


def test_shared_examples_are_found_where_they_stand():
    second = np.concatenate([IMAGES[3:5] + 1, IMAGES[7:8], IMAGES[:1] + 1, IMAGES[7:8]])
    np.testing.assert_array_equal(shared(IMAGES[5:], second), [2, 4])
    assert shared(IMAGES[:5], IMAGES[5:]).size == 0


def test_examples_of_another_form_cannot_be_compared():
    with pytest.raises(ValueError, match=r"uint8 \(4, 4\) and float64 \(4, 4\)"):
        shared(IMAGES, IMAGES / 255)
    with pytest.raises(ValueError, match="one form"):
        shared(IMAGES, IMAGES[:, :2])


def test_splits_that_overlap_are_named_and_counted():
    require_disjoint(train=IMAGES[:10], validation=IMAGES[10:15], test=IMAGES[15:])
    with pytest.raises(ValueError, match="2 of the 7 examples of test stand in train too"):
        require_disjoint(
            train=IMAGES[:10], validation=IMAGES[10:13], test=IMAGES[[8, 9, *range(13, 18)]]
        )


def test_repeated_examples_are_found():
    np.testing.assert_array_equal(duplicates(IMAGES[[0, 1, 0, 2, 1]]), [2, 4])


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


def test_no_false_alarm_on_the_courses_own_splits():
    digits = mnist()
    require_disjoint(
        train=digits.train.images, validation=digits.validation.images, test=digits.test.images
    )
    require_unit_range(as_float(digits.train.images[:100]))
    require_unit_range(np.zeros((2, 1, 4, 4), np.float32))
