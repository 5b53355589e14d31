"""What both lessons on the 45 stores need: last year's same week."""

from collections.abc import Sequence

import pandas as pd

from DigitalMarketing.marketing import tables
from utils.data import DataError

YEAR = 52  # weeks: the same weekday and week of the year, one day earlier in the month


def last_year(
    table: pd.DataFrame, keys: Sequence[str], value: str = "Weekly_Sales", weeks: int = YEAR
) -> pd.Series:
    """For each row, ``value`` of the same ``keys`` so many weeks before; NaN where there is none.

    ``table`` has the columns ``keys``, ``Date`` (days) and ``value``, rows in any order; the
    result (rows,) has its index. Only the past is used, so that it may serve as a forecast for up
    to ``weeks`` ahead. Raises DataError for two rows of one date, and unless weeks ≥ 1.
    """
    if weeks < 1:
        raise DataError(f"the past begins one week ago; {weeks} weeks are not in it.")
    names = [*keys, "Date"]
    tables.require_unique(table, names)
    known = table.set_index(names)[value]
    past = table[names].assign(Date=table["Date"] - pd.Timedelta(7 * weeks, "D"))
    found = known.reindex(pd.MultiIndex.from_frame(past))
    return pd.Series(found.to_numpy(), table.index, name=f"{value} {weeks} weeks ago")
