"""Forecasts one step ahead that cannot look ahead, and how to judge them.

A forecaster is a function ``fit(past)`` that returns ``predict(past)``; both are given the months
up to now and nothing else. ``walk_forward`` asks them month by month. Series are natural
logarithms here, so that an error of 0.01 is about one per cent.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.tsa.statespace.sarimax import SARIMAX, SARIMAXResultsWrapper

from utils.data import DataError

Order = tuple[int, int, int]


class Forecast(NamedTuple):
    """The next value of a series of logarithms, and the standard deviation of its error."""

    mean: float
    spread: float


Predict = Callable[[pd.Series], Forecast]
Fit = Callable[[pd.Series], Predict]


# --- forecasting ---------------------------------------------------------------------------------


def walk_forward(fit: Fit, series: pd.Series, start: int, every: int = 12) -> pd.DataFrame:
    """Forecasts of ``series[start:]``, each from the values before it; columns mean and spread.

    The model is fitted anew at ``start`` and after every ``every`` steps; between, it is told the
    new values but keeps what it learned. Raises DataError where nothing is left before or after
    ``start``.
    """
    if not 0 < start < len(series):
        raise DataError(f"{len(series)} values have no step {start} with a past and a future.")
    rows = []
    for now in range(start, len(series)):
        past = series.iloc[:now]
        if (now - start) % every == 0:
            predict = fit(past)
        rows.append(predict(past))
    return pd.DataFrame(rows, series.index[start:], columns=Forecast._fields)


def repeating(period: int) -> Fit:
    """Forecaster: the value of ``period`` steps ago; 1 is the naive one, 12 last year's month."""

    def fit(past: pd.Series) -> Predict:
        spread = float(np.sqrt((past.diff(period).dropna() ** 2).mean()))
        return lambda past: Forecast(float(past.iloc[-period]), spread)

    return fit


def trading_days(months: pd.DatetimeIndex) -> pd.DataFrame:
    """Seven columns (M, 7): Mondays to Saturdays less Sundays of each month, and its length.

    The length is given in days beyond the mean of 30.44. Known for any month ahead (Bell and
    Hillmer 1983, Modeling time series with calendar variation, section 2).
    """
    first, length = months.day_of_week.to_numpy(), months.days_in_month.to_numpy()
    after = (np.arange(7) - first[:, None]) % 7  # (M, 7) days from the first to the first such day
    counts = 4 + (after < length[:, None] - 28)  # every weekday four times, some once more
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    table = pd.DataFrame(counts[:, :6] - counts[:, 6:], months, names, dtype=float)
    return table.assign(length=length - 365.25 / 12)


def sarima_of(
    past: pd.Series, order: Order, seasonal: Order, calendar: bool = False, fast: bool = False
) -> SARIMAX:
    """The model SARIMA(order)(seasonal) of period 12, with trading days as regressors or not.

    With a drift where there is no season. ``fast`` takes the differences before the filter: the
    same parameters, but the likelihood leaves the first months out.
    """
    period = 12 if any(seasonal) else 0
    return SARIMAX(
        past,
        trading_days(past.index) if calendar else None,
        order=order,
        seasonal_order=(*seasonal, period),
        trend=None if period else "c",
        simple_differencing=fast,
    )


def fitted(model: SARIMAX) -> SARIMAXResultsWrapper:
    """Maximum likelihood, from zeros: guessed starts need not be invertible.

    Says nothing where it did not converge: ask ``mle_retvals["converged"]``.
    """
    start = np.r_[np.zeros(model.k_params - 1), 0.01]  # the last one is the variance
    return model.fit(start, disp=0, maxiter=200, warn_convergence=False, cov_type="none")


def sarima(order: Order, seasonal: Order = (0, 0, 0), calendar: bool = False) -> Fit:
    """Forecaster: SARIMA with normal errors; see ``sarima_of``."""

    def fit(past: pd.Series) -> Predict:
        parameters = fitted(sarima_of(past, order, seasonal, calendar, fast=True)).params

        def predict(past: pd.Series) -> Forecast:
            model = sarima_of(past, order, seasonal, calendar)
            next_month = pd.DatetimeIndex([past.index[-1] + past.index.freq])
            ahead = model.filter(parameters, cov_type="none").get_forecast(
                1, exog=trading_days(next_month) if calendar else None
            )
            return Forecast(float(ahead.predicted_mean.iloc[0]), float(ahead.se_mean.iloc[0]))

        return predict

    return fit


def windows(values: ArrayLike, length: int) -> NDArray:
    """All stretches of ``length`` consecutive rows: (T,) or (T, F) → (T−length+1, length[, F]).

    Row i holds steps i … i+length−1, and nothing later. Raises DataError for a series too short.
    """
    values = np.asarray(values)
    if not 1 <= length <= len(values):
        raise DataError(f"{len(values)} values have no stretch of {length}.")
    return np.stack([values[i : i + length] for i in range(len(values) - length + 1)])


# --- judging -------------------------------------------------------------------------------------


def root_mean_square(errors: ArrayLike) -> float:
    """Of errors of any shape, in their unit."""
    return float(np.sqrt(np.mean(np.square(np.asarray(errors, float)))))


def scaled_error(errors: ArrayLike, past: ArrayLike, period: int = 12) -> float:
    """MASE: mean |error| over the mean |change| in ``period`` steps of the past.

    Below 1 it errs less than repeating did there (Hyndman and Koehler 2006, section 3). Raises
    DataError where the past is too short or repeats itself exactly.
    """
    past = np.asarray(past, float)
    changes = abs(past[period:] - past[:-period])
    if not len(changes) or not changes.mean() > 0:
        raise DataError("the past is too short, or the same in every period: nothing to scale by.")
    return float(np.mean(np.abs(errors)) / changes.mean())


class Comparison(NamedTuple):
    """Mean loss of the first less that of the second, in standard errors, and the p-value."""

    statistic: float
    p_value: float


def diebold_mariano(first: ArrayLike, second: ArrayLike, horizon: int = 1) -> Comparison:
    """Do two forecasts of the same N values have the same expected loss? Of their losses (N,).

    Below 0 the first is better. Two-sided; the variance counts the autocovariances up to
    ``horizon`` − 1 (Diebold and Mariano 1995, equation 3), the small-sample factor and Student's
    t of N − 1 are those of Harvey, Leybourne and Newbold (1997, equation 9). Raises DataError for
    different lengths, fewer than two values, a horizon below 1 or too long, and losses that do not
    vary.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    count = len(first)
    if first.shape != second.shape or first.ndim != 1 or not 1 <= horizon < count:
        raise DataError(f"losses {first.shape} and {second.shape} cannot be compared at {horizon}.")
    difference = first - second
    centred = difference - difference.mean()
    own = [float(centred[k:] @ centred[: count - k]) / count for k in range(horizon)]
    variance = (own[0] + 2 * sum(own[1:])) / count
    if not variance > 0:
        raise DataError("the losses differ by a constant: there is no spread to test by.")
    factor = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    statistic = float(difference.mean() / np.sqrt(variance) * np.sqrt(factor))
    return Comparison(statistic, float(2 * stats.t.sf(abs(statistic), count - 1)))
