"""The benchmark compares like with like, and tells it as ratios."""

import pytest

from benchmarks.nn_speed import (
    AGREEMENT,
    CASES,
    batch,
    disagreement,
    geometric_mean,
    our_step,
    table,
    torch_step,
)


@pytest.mark.parametrize("key", CASES)
def test_both_libraries_train_the_same_network(key: str):
    case = CASES[key]
    net, step = our_step(case, *batch(case))
    reference, their_step = torch_step(case, *batch(case), net.state_dict())
    assert disagreement(net, reference, step, their_step) <= AGREEMENT


def test_the_table_shows_ratios_their_quartiles_and_the_geometric_mean():
    row = {"ratio": 0.5, "low": 0.4, "high": 0.6}
    cases = {"a": row, "b": {**row, "ratio": 2.0}}
    assert geometric_mean(cases) == pytest.approx(1.0)
    words = table({1: cases, 2: cases})
    assert "| 1 thread | 2 threads |" in words
    assert "0.50 (0.40–0.60)" in words
    assert "| geometric mean | 1.00 | 1.00 |" in words
