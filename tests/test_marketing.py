"""The marketing tables: real and invented ones of one form, and one sentence for bad input."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from DigitalMarketing.marketing import tables
from utils.course_files import read_table
from utils.data import DataError
from utils.datasets import STAND_IN

LOADERS = (
    *(tables.retail, tables.alcohol_sales, tables.airlines, tables.mall_customers),
    *(tables.campaign, tables.shoppers, tables.institutions),
)


def frames(inputs) -> list[pd.DataFrame]:
    if isinstance(inputs, tables.Retail):
        return list(inputs)
    return [inputs.to_frame() if isinstance(inputs, pd.Series) else inputs]


@pytest.mark.parametrize("load", LOADERS)
def test_a_twin_says_so_has_a_truth_and_the_form_of_the_real_table(load, request, capsys):
    real = load()
    capsys.readouterr()
    request.getfixturevalue("no_data")
    twin, again = load(), load()
    assert capsys.readouterr().out.startswith(STAND_IN)
    assert twin.is_stand_in
    assert twin.expected is not None
    for one, other, same in zip(*(frames(t.inputs) for t in (real, twin, again)), strict=True):
        assert set(one.columns) == set(other.columns)
        assert one.index.names == other.index.names
        pd.testing.assert_frame_equal(other, same)


def test_the_join_keeps_every_sale_and_knows_store_and_week(no_data: Path):
    retail = tables.retail().inputs
    whole = tables.joined(retail)
    assert len(whole) == len(retail.sales)
    assert not whole[["Type", "Size", "Temperature", "CPI"]].isna().any(axis=None)


def test_weeks_that_disagree_or_are_missing_are_refused(no_data: Path):
    stores, features, sales = tables.retail().inputs
    wrong = features.assign(IsHoliday=~features["IsHoliday"])
    with pytest.raises(DataError, match="disagree about the week of 2010-02-05 in store 1"):
        tables.joined(tables.Retail(stores, wrong, sales))
    with pytest.raises(DataError, match="or one does not have it"):
        tables.joined(tables.Retail(stores, features.iloc[1:], sales))


def as_written(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(Date=table["Date"].dt.strftime("%d/%m/%Y"))


def test_doubles_and_strangers_among_the_keys_are_refused(no_data: Path):
    stores, features, sales = tables.retail().inputs
    features, sales = as_written(features), as_written(sales)
    with pytest.raises(DataError, match="1 rows are there twice; the first is {'Store': 1, 'Dept'"):
        tables.checked(stores, features, pd.concat([sales, sales.iloc[:1]]))
    with pytest.raises(DataError, match="Store 45 stands in no other table"):
        tables.checked(stores.iloc[:-1], features, sales)


def test_dates_of_another_form_are_refused():
    with pytest.raises(DataError, match="Date in row 1 is '02/13/2010', not a date as %d/%m/%Y"):
        tables.parsed(pd.Series(["01/02/2010", "02/13/2010"], name="Date"), "%d/%m/%Y")


def test_a_series_with_a_gap_or_a_double_is_refused():
    months = pd.date_range("2000-01-01", periods=6, freq="MS")
    series = pd.Series(np.arange(6.0), months)
    assert tables.regular(series[::-1], "MS").index.freqstr == "MS"
    with pytest.raises(DataError, match="not regular at 2000-03-01"):
        tables.regular(series.drop(months[2]), "MS")
    with pytest.raises(DataError, match="not regular at 2000-02-01"):
        tables.regular(pd.concat([series, series.iloc[1:2]]), "MS")


def test_a_panel_of_one_period_or_with_holes_is_refused():
    table = pd.DataFrame({"firm": [1, 1, 2, 2], "year": [1, 2, 1, 2], "x": range(4)})
    assert tables.panel(table, "firm", "year").index.names == ["firm", "year"]
    with pytest.raises(DataError, match="at least two periods; this one has 1"):
        tables.panel(table[table["year"] == 1], "firm", "year")
    with pytest.raises(DataError, match="firm 2 has 1 of 2 periods"):
        tables.panel(table.iloc[:3], "firm", "year")


def test_a_constant_column_is_refused():
    with pytest.raises(DataError, match="tells nothing: b"):
        tables.require_varying(pd.DataFrame({"a": [1, 2], "b": [3, 3]}))


def test_a_table_with_another_separator_is_refused(tmp_path: Path):
    path = tmp_path / "campaign.csv"
    path.write_text("ID,Income\n1,2\n")
    with pytest.raises(DataError, match="campaign.csv has no column ID, Income; it has ID,Income"):
        read_table(path, ("ID", "Income"), sep=";")
