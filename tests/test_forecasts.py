"""Forecasts that cannot look ahead, their errors, and the test between two of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from linearmodels.panel import PanelOLS
from scipy import stats

from DigitalMarketing.marketing import tables
from DigitalMarketing.marketing.forecasts import (
    diebold_mariano,
    fitted,
    repeating,
    root_mean_square,
    sarima,
    sarima_of,
    scaled_error,
    trading_days,
    walk_forward,
    windows,
)
from utils.data import DataError


@pytest.fixture
def series() -> pd.Series:
    """Nine years of a season, a trend and noise."""
    months = pd.date_range("2000-01-01", periods=108, freq="MS")
    noise = np.random.default_rng(0).normal(0, 0.05, 108)
    return pd.Series(np.sin(np.arange(108) * np.pi / 6) + 0.01 * np.arange(108) + noise, months)


def test_repeating_gives_the_value_of_a_period_ago(series):
    found = walk_forward(repeating(12), series, 96)
    np.testing.assert_array_equal(found["mean"], series.iloc[84:96])
    assert found.index.equals(series.index[96:])
    wanted = np.sqrt((series.iloc[:96].diff(12).dropna() ** 2).mean())
    assert found["spread"].iloc[0] == pytest.approx(wanted)


@pytest.mark.parametrize("calendar", [False, True])
def test_the_future_moves_nothing(series, calendar):
    other = series.copy()
    other.iloc[100:] += 5
    forecaster = sarima((1, 0, 0), (0, 1, 0), calendar)
    one, two = (walk_forward(forecaster, s.iloc[:102], 98, every=2) for s in (series, other))
    np.testing.assert_array_equal(one["mean"].iloc[:3], two["mean"].iloc[:3])
    assert one["mean"].iloc[3] != two["mean"].iloc[3]


def test_models_are_fitted_at_the_start_and_every_so_often(series):
    lengths = []

    def fit(past):
        lengths.append(len(past))
        return repeating(1)(past)

    walk_forward(fit, series, 96, every=5)
    assert lengths == [96, 101, 106]


@pytest.mark.parametrize("start", [0, 108, -1])
def test_a_start_without_past_or_future_is_refused(series, start):
    with pytest.raises(DataError, match="no step"):
        walk_forward(repeating(1), series, start)


def test_trading_days_count_the_calendar():
    table = trading_days(pd.date_range("2024-01-01", periods=3, freq="MS"))
    february = table.loc["2024-02-01"]  # 29 days from a Thursday on: five Thursdays
    assert february[["Mon", "Thu", "Sat"]].tolist() == [0, 1, 0]
    assert february["length"] == pytest.approx(29 - 365.25 / 12)
    pd.testing.assert_frame_equal(trading_days(table.index[1:2]), table.iloc[1:2], check_freq=False)


def test_windows_hold_what_they_should():
    assert windows([1, 2, 3, 4], 3).tolist() == [[1, 2, 3], [2, 3, 4]]
    assert windows(np.zeros((5, 2)), 2).shape == (4, 2, 2)
    for length in (0, 6):
        with pytest.raises(DataError, match="no stretch"):
            windows(np.zeros(5), length)


def test_scaled_error_is_one_for_the_forecast_that_scales_it():
    past = np.array([1.0, 5, 2, 9, 4, 7])
    assert scaled_error(past[2:] - past[:-2], past, 2) == 1
    for short in (past[:2], np.ones(9)):
        with pytest.raises(DataError, match="nothing to scale by"):
            scaled_error([1.0], short, 2)


def test_root_mean_square_of_any_shape():
    assert root_mean_square([[3.0], [4.0]]) == pytest.approx(12.5**0.5)


def test_diebold_mariano_one_step_ahead_is_a_paired_t_test():
    first, second = np.random.default_rng(1).normal(size=(2, 40)) ** 2
    found, known = diebold_mariano(first, second), stats.ttest_rel(first, second)
    assert found.statistic == pytest.approx(known.statistic)
    assert found.p_value == pytest.approx(known.pvalue)
    assert diebold_mariano(second, first).statistic == pytest.approx(-found.statistic)


def test_diebold_mariano_counts_overlap_as_the_formula_says():
    difference = np.array([1.0, 2, 2, 0, -1, -1, 1])
    n, h, d = 7, 3, difference - difference.mean()
    own = [sum(d[t] * d[t - k] for t in range(k, n)) / n for k in range(h)]
    plain = difference.mean() / np.sqrt((own[0] + 2 * (own[1] + own[2])) / n)
    wanted = plain * np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert diebold_mariano(difference, np.zeros(7), h).statistic == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("first", "second", "horizon", "reason"),
    [
        ([1.0, 2], [1.0], 1, "cannot be compared"),
        ([1.0], [2.0], 1, "cannot be compared"),
        ([1.0, 2], [2.0, 1], 0, "cannot be compared"),
        ([1.0, 2], [2.0, 3], 1, "no spread"),
    ],
)
def test_losses_that_cannot_be_compared_are_refused(first, second, horizon, reason):
    with pytest.raises(DataError, match=reason):
        diebold_mariano(first, second, horizon)


def test_the_truth_of_the_series_twin_is_found(no_data: Path):
    twin = tables.alcohol_sales()
    log = np.log(twin.inputs)
    month = log.index.month.to_numpy()
    shape = np.column_stack([np.ones(len(log)), np.arange(len(log)), np.eye(12)[month - 1][:, 1:]])
    b, *_ = np.linalg.lstsq(shape, log.to_numpy(), rcond=None)
    rest = pd.Series(log.to_numpy() - shape @ b, log.index)
    found = fitted(sarima_of(rest, (1, 0, 0), (0, 0, 0)))
    assert b[1] == pytest.approx(twin.expected["growth"], rel=0.05)
    assert found.params["ar.L1"] == pytest.approx(twin.expected["memory"], abs=0.12)
    assert np.sqrt(found.params["sigma2"]) == pytest.approx(twin.expected["noise"], rel=0.15)


def test_the_truth_of_the_airline_twin_is_found(no_data: Path):
    twin = tables.airlines()
    table = twin.inputs.assign(
        **{k: np.log(twin.inputs[k]) for k in ("cost", "output", "fuel_price")}
    )
    found = PanelOLS(table["cost"], table[list(twin.expected)], entity_effects=True).fit()
    for name, truth in twin.expected.items():
        assert abs(found.params[name] - truth) < 3 * found.std_errors[name], name
