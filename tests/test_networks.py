"""Networks shared by topics: their shapes, and that their first weights follow the generator."""

import pytest
import torch

from utils import networks
from utils.training import count_parameters


@pytest.mark.parametrize(("name", "most"), [("digit_cnn", 300_000), ("small_cnn", 65_000)])
def test_a_digit_reader_gives_ten_logits_and_follows_its_generator(name: str, most: int):
    make = getattr(networks, name)
    model, again, other = (make(torch.Generator().manual_seed(seed)).eval() for seed in (0, 0, 1))
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert model(images).shape == (3, 10)
    assert torch.equal(model(images), again(images))
    assert not torch.equal(model(images), other(images))
    assert count_parameters(model) < most
