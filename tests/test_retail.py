"""Last year's same week, by hand; and the invented tables hold the truth that they claim."""

import numpy as np
import pandas as pd
import pytest

from DigitalMarketing.marketing import retail, tables
from utils.data import DataError


def weeks(store: int, sales: list[float], first: str = "2010-02-05") -> pd.DataFrame:
    dates = pd.date_range(first, periods=len(sales), freq="7D")
    return pd.DataFrame({"Store": store, "Date": dates, "Weekly_Sales": sales})


def test_last_year_finds_the_same_store_and_week_in_any_order_of_the_rows():
    table = pd.concat([weeks(1, [float(n) for n in range(60)]), weeks(2, [100.0] * 10)])
    table = table.reset_index(drop=True).sample(frac=1, random_state=0)
    found = retail.last_year(table, ["Store"])
    assert found.index.equals(table.index)
    wanted = np.where(table["Store"] == 1, table["Weekly_Sales"] - 52, np.nan)
    np.testing.assert_array_equal(found, np.where(wanted >= 0, wanted, np.nan))


def test_last_year_keeps_thanksgiving_beside_thanksgiving():
    table = weeks(1, [0.0] * 143)
    table["Weekly_Sales"] = table["Date"].dt.isocalendar().week.to_numpy(float)
    found = retail.last_year(table, ["Store"])
    assert (found == table["Weekly_Sales"])[found.notna()].all()


def test_a_gap_stays_a_gap():
    table = weeks(1, [1.0, 2.0, 3.0]).drop(1)
    assert retail.last_year(table, ["Store"], weeks=1).isna().all()


def test_doubles_and_the_future_are_refused():
    table = weeks(1, [1.0, 2.0])
    with pytest.raises(DataError, match="2 rows are there twice"):
        retail.last_year(pd.concat([table, table]), ["Store"])
    with pytest.raises(DataError, match="0 weeks are not in it"):
        retail.last_year(table, ["Store"], weeks=0)


def test_least_squares_finds_the_truth_of_the_invented_tables():
    invented, truth = tables.retail_twin()
    whole = tables.joined(invented)
    columns = pd.get_dummies(whole["Dept"], dtype=float).assign(
        per_size=np.log(whole["Size"]),
        december=1.0 * (whole["Date"].dt.month == 12),
        holiday=1.0 * whole["IsHoliday"],
    )
    found = np.linalg.lstsq(columns.to_numpy(), np.log(whole["Weekly_Sales"]), rcond=None)[0]
    for name, value in zip(("per_size", "december", "holiday"), found[-3:], strict=True):
        assert value == pytest.approx(truth[name], abs=0.01)
