"""Networks shared by topics: their shapes, and that their first weights follow the generator."""

import torch

from utils.networks import digit_cnn
from utils.training import count_parameters


def test_the_digit_reader_gives_ten_logits_and_follows_its_generator():
    model, again, other = (
        digit_cnn(torch.Generator().manual_seed(seed)).eval() for seed in (0, 0, 1)
    )
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert model(images).shape == (3, 10)
    assert torch.equal(model(images), again(images))
    assert not torch.equal(model(images), other(images))
    assert count_parameters(model) < 300_000
