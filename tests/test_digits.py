"""Digit images: boxes, moves that keep the ink, and MNIST's centring."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.datasets import as_float, mnist
from utils.digits import as_mnist, ink_boxes, moved_anywhere, positions, shifted, wobbled


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def block(top: int, left: int, height: int, width: int, side: int = 28) -> torch.Tensor:
    image = torch.zeros(1, 1, side, side)
    image[:, :, top : top + height, left : left + width] = 1
    return image


boxes = st.tuples(*[st.integers(1, 28)] * 2).flatmap(
    lambda size: st.tuples(
        st.integers(0, 28 - size[0]), st.integers(0, 28 - size[1]), *map(st.just, size)
    )
)


@given(boxes)
@settings(max_examples=60, deadline=None)
def test_a_box_is_found_and_its_places_are_counted(box):
    top, left, height, width = box
    image = block(*box)
    assert ink_boxes(image).tolist() == [[top, left, top + height, left + width]]
    assert positions(image).tolist() == [(29 - height) * (29 - width)]


def test_a_digit_of_mnists_box_has_81_places():
    assert positions(block(4, 4, 20, 20)).tolist() == [81]


@given(boxes, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_moving_anywhere_keeps_all_ink(box, seed):
    moved = moved_anywhere(block(*box), generator(seed))
    assert moved.sum() == box[2] * box[3]
    top, left, bottom, right = ink_boxes(moved)[0].tolist()
    assert (bottom - top, right - left) == box[2:]


def test_every_place_is_reached_equally_often():
    images = block(0, 0, 26, 27)
    moved = moved_anywhere(images.expand(6000, 1, 28, 28), generator())
    counts = torch.unique(ink_boxes(moved)[:, :2], dim=0, return_counts=True)[1]
    assert len(counts) == 3 * 2
    assert (counts - 1000).abs().max() < 150


def test_shifts_lose_what_leaves_the_frame_and_can_differ_by_image():
    images = block(0, 0, 2, 2).repeat(3, 1, 1, 1)
    moved = shifted(images, torch.tensor([0, 3, -1]), torch.tensor([0, 1, 0]))
    assert torch.equal(moved[0], images[0])
    assert ink_boxes(moved[1:2]).tolist() == [[3, 1, 5, 3]]
    assert moved[2].sum() == 2
    assert torch.equal(shifted(images, 26, 0), shifted(images, torch.full((3,), 26), 0))


def test_wobbling_changes_little_and_follows_its_generator():
    images = torch.from_numpy(as_float(mnist().train.images[:64]))
    wobbly = wobbled(images, generator())
    assert torch.equal(wobbly, wobbled(images, generator()))
    assert wobbly.shape == images.shape
    assert wobbly.min() >= 0
    assert wobbly.max() <= 1
    assert 0.8 < wobbly.sum() / images.sum() < 1.2
    still = wobbled(images, generator(), degrees=0, scale=0, shear=0, pixels=0)
    torch.testing.assert_close(still, images, atol=1e-5, rtol=0)


def test_mnists_own_digits_go_through_its_pipeline_unchanged():
    digits = mnist()
    if digits.is_stand_in:
        pytest.skip("no real MNIST on this machine")
    images = torch.from_numpy(as_float(digits.test.images[:300]))
    for elsewhere in (images, moved_anywhere(images, generator())):
        torch.testing.assert_close(
            torch.cat([as_mnist(image[0]) for image in elsewhere]), images, atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("size", [(300, 300), (40, 500), (3, 2), (1, 1)])
def test_a_drawing_of_any_size_comes_out_centred_in_a_box_of_20(size):
    drawing = torch.zeros(600, 600)
    drawing[20 : 20 + size[0], 70 : 70 + size[1]] = 0.7
    digit = as_mnist(drawing)
    assert digit.shape == (1, 1, 28, 28)
    top, left, bottom, right = ink_boxes(digit)[0].tolist()
    assert max(bottom - top, right - left) == 20
    mass = digit[0, 0] / digit.sum()
    middle = [float((mass.sum(dim=d) * torch.arange(28)).sum()) for d in (1, 0)]
    assert all(abs(place - 14) <= 0.51 for place in middle)


def test_an_empty_image_is_refused():
    with pytest.raises(ValueError, match="image 1 is empty"):
        ink_boxes(torch.cat([block(0, 0, 1, 1), torch.zeros(1, 1, 28, 28)]))
    with pytest.raises(ValueError, match="is empty"):
        as_mnist(torch.zeros(50, 50))
