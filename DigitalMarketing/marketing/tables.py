"""The tables of the marketing lessons, checked when they are read.

Each loader returns ``CourseFiles``: ``inputs`` is the table or tables. Where they are not at hand,
a twin of the same form stands in, and ``expected`` holds the truth that it was drawn from, so that
an estimator can be seen to find it; of the real tables the truth is not known (None).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from utils.course_files import CourseFiles, load, read_table
from utils.data import DataError

MARKDOWNS = tuple(f"MarkDown{number}" for number in range(1, 6))
STORE_COLUMNS = ("Store", "Type", "Size")
FEATURE_COLUMNS = (
    *("Store", "Date", "Temperature", "Fuel_Price", *MARKDOWNS),
    *("CPI", "Unemployment", "IsHoliday"),
)
SALES_COLUMNS = ("Store", "Dept", "Date", "Weekly_Sales", "IsHoliday")
CAMPAIGN_COLUMNS = (
    *("ID", "Year_Birth", "Education", "Marital_Status", "Income", "Kidhome", "Teenhome"),
    *("Dt_Customer", "Recency", "MntWines", "MntFruits", "MntMeatProducts", "MntFishProducts"),
    *("MntSweetProducts", "MntGoldProds", "NumDealsPurchases", "NumWebPurchases"),
    *("NumCatalogPurchases", "NumStorePurchases", "NumWebVisitsMonth", "AcceptedCmp1"),
    *("AcceptedCmp2", "AcceptedCmp3", "AcceptedCmp4", "AcceptedCmp5", "Complain", "Response"),
)
SHOPPER_COLUMNS = (
    *("Administrative", "Administrative_Duration", "Informational", "Informational_Duration"),
    *("ProductRelated", "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues"),
    *("SpecialDay", "Month", "OperatingSystems", "Browser", "Region", "TrafficType"),
    *("VisitorType", "Weekend", "Revenue"),
)
SCORE_COLUMNS = (
    *("world_rank", "institution", "country", "national_rank", "quality_of_education"),
    *("alumni_employment", "quality_of_faculty", "publications", "influence", "citations"),
    *("broad_impact", "patents", "score", "year"),
)


# --- checks --------------------------------------------------------------------------------------


def parsed(dates: pd.Series, form: str) -> pd.Series:
    """Dates of one written form, "%d/%m/%Y". Raises DataError naming the first other one.

    A form is asked for, because 05/02/2010 is a day in May to some and in February to others.
    """
    found = pd.to_datetime(dates, format=form, errors="coerce")
    if found.isna().any():
        row = found.isna().to_numpy().argmax()
        raise DataError(f"{dates.name} in row {row} is {dates.iloc[row]!r}, not a date as {form}.")
    return found


def require_unique(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The table, if no two rows have the same keys. Raises DataError naming the first double."""
    double = table.duplicated(list(keys))
    if double.any():
        first = table.loc[double, list(keys)].iloc[0].to_dict()
        raise DataError(f"{double.sum()} rows are there twice; the first is {first}.")
    return table


def require_known(table: pd.DataFrame, key: str, known: pd.Series) -> pd.DataFrame:
    """The table, if each key stands in ``known``. Raises DataError naming those that do not."""
    missing = sorted(set(table[key]) - set(known))
    if missing:
        raise DataError(f"{key} {', '.join(map(str, missing[:5]))} stands in no other table.")
    return table


def require_varying(table: pd.DataFrame) -> pd.DataFrame:
    """The table, if no column is constant. Raises DataError naming those that are."""
    constant = [name for name in table if table[name].nunique(dropna=False) < 2]
    if constant:
        raise DataError(f"the same value in every row tells nothing: {', '.join(constant)}.")
    return table


def regular(series: pd.Series, freq: str) -> pd.Series:
    """A series by date, without gaps: freq "MS" is every first of a month, "7D" each seventh day.

    Raises DataError naming the first date that is missing or too much.
    """
    series = series.sort_index()
    wanted = pd.date_range(series.index[0], series.index[-1], freq=freq)
    odd = wanted.symmetric_difference(series.index)
    if len(odd) or not series.index.is_unique:
        first = odd[0] if len(odd) else series.index[series.index.duplicated()][0]
        raise DataError(f"the series is not regular at {first:%Y-%m-%d}.")
    return series.asfreq(freq)


def panel(table: pd.DataFrame, entity: str, period: str) -> pd.DataFrame:
    """A table by (entity, period), as linearmodels takes it.

    Raises DataError for doubles, for a single period, and for entities that miss some.
    """
    indexed = require_unique(table, (entity, period)).set_index([entity, period]).sort_index()
    periods, counts = table[period].nunique(), table.groupby(entity)[period].count()
    if periods < 2:
        raise DataError("a panel needs at least two periods; this one has 1.")
    if (counts != periods).any():
        short = counts.index[counts != periods][0]
        raise DataError(f"{entity} {short} has {counts[short]} of {periods} periods.")
    return indexed


# --- retail --------------------------------------------------------------------------------------


class Retail(NamedTuple):
    """45 stores, their weeks, and the weekly sales of their departments in dollars."""

    stores: pd.DataFrame
    features: pd.DataFrame
    sales: pd.DataFrame


def retail() -> CourseFiles:
    """``inputs`` is a ``Retail``: 45, 8,190 and 421,570 rows, 2010-02-05 to 2012-10-26."""

    def read(stores: Path, features: Path, sales: Path) -> tuple[Any, Any]:
        tables = (
            read_table(stores, STORE_COLUMNS),
            read_table(features, FEATURE_COLUMNS),
            read_table(sales, SALES_COLUMNS),
        )
        return checked(*tables), None

    entries = ("marketing-stores", "marketing-features", "marketing-sales")
    return load("the retail tables", entries, read, retail_twin)


def checked(stores: pd.DataFrame, features: pd.DataFrame, sales: pd.DataFrame) -> Retail:
    """The three tables with dates, if their keys fit together. Raises DataError if not."""
    require_unique(stores, ("Store",))
    features = features.assign(Date=parsed(features["Date"], "%d/%m/%Y"))
    sales = sales.assign(Date=parsed(sales["Date"], "%d/%m/%Y"))
    require_unique(require_known(features, "Store", stores["Store"]), ("Store", "Date"))
    require_unique(require_known(sales, "Store", stores["Store"]), ("Store", "Dept", "Date"))
    return Retail(stores, features, sales)


def joined(tables: Retail) -> pd.DataFrame:
    """One row a store, department and week, with what is known of the store and of the week.

    Raises DataError where the two tables of weeks disagree about a holiday or a week is missing.
    """
    weeks = tables.features.rename(columns={"IsHoliday": "holiday_by_features"})
    whole = tables.sales.merge(tables.stores, on="Store", validate="many_to_one")
    whole = whole.merge(weeks, on=["Store", "Date"], how="left", validate="many_to_one")
    differ = whole["holiday_by_features"] != whole["IsHoliday"]
    if differ.any():
        first = whole.loc[differ, ["Store", "Date"]].iloc[0]
        raise DataError(
            f"the tables disagree about the week of {first['Date']:%Y-%m-%d} in store "
            f"{first['Store']}, or one does not have it."
        )
    return whole.drop(columns="holiday_by_features")


def retail_twin() -> tuple[Retail, dict[str, float]]:
    """Invented tables, and the truth that an estimator must find in them.

    Log sales: a department's level + .9 ln size + .35 December + .07 holiday + noise.
    """
    rng = np.random.default_rng(0)
    truth = {"holiday": 0.07, "per_size": 0.9, "december": 0.35, "noise": 0.15}
    numbers = np.arange(1, 46)
    kinds = np.repeat(["A", "B", "C"], [22, 17, 6])
    means = {"A": 180_000, "B": 100_000, "C": 40_000}
    sizes = [int(rng.normal(means[kind], 0.15 * means[kind])) for kind in kinds]
    stores = pd.DataFrame({"Store": numbers, "Type": kinds, "Size": sizes})
    dates = pd.date_range("2010-02-05", "2012-10-26", freq="7D")
    holidays = dates.isocalendar().week.isin([6, 36, 47, 52]).to_numpy()
    features = _weeks(rng, numbers, dates, holidays)
    departments = np.arange(1, 9)
    level = np.log(rng.uniform(0.05, 0.4, len(departments)))
    store, dept, week = (a.ravel() for a in np.meshgrid(numbers, departments, range(len(dates)),
                                                        indexing="ij"))  # fmt: skip
    log = level[dept - 1] + truth["per_size"] * np.log(stores["Size"].to_numpy()[store - 1])
    log = log + truth["december"] * (dates.month.to_numpy()[week] == 12)
    log = log + truth["holiday"] * holidays[week] + rng.normal(0, truth["noise"], len(log))
    sales = pd.DataFrame(
        {
            "Store": store,
            "Dept": dept,
            "Date": dates[week].strftime("%d/%m/%Y"),
            "Weekly_Sales": np.exp(log).round(2),
            "IsHoliday": holidays[week],
        }
    )
    return checked(stores, features, sales), truth


def _weeks(
    rng: np.random.Generator, stores: np.ndarray, dates: pd.DatetimeIndex, holidays: np.ndarray
) -> pd.DataFrame:
    """What is known of each week in each store; markdowns begin late, as in the real table."""
    store, week = (a.ravel() for a in np.meshgrid(stores, np.arange(len(dates)), indexing="ij"))
    warm = 60 - 25 * np.cos(2 * np.pi * dates.day_of_year.to_numpy() / 365)
    columns = {
        "Store": store,
        "Date": dates[week].strftime("%d/%m/%Y"),
        "Temperature": warm[week] + rng.normal(0, 6, len(week)),
        "Fuel_Price": 2.7 + 0.008 * week + rng.normal(0, 0.05, len(week)),
    }
    for name in MARKDOWNS:
        given = (week > 92) & (rng.random(len(week)) < 0.8)
        columns[name] = np.where(given, rng.gamma(1, 3000, len(week)), np.nan)
    columns["CPI"] = 170 + 0.05 * week + store % 3 * 20
    columns["Unemployment"] = 8 - 0.01 * week + rng.normal(0, 0.2, len(week))
    return pd.DataFrame(columns | {"IsHoliday": holidays[week]})


# --- a series and panels -------------------------------------------------------------------------


def alcohol_sales() -> CourseFiles:
    """``inputs`` is a monthly series from 1992-01 to 2019-01, in millions of dollars."""

    def read(path: Path) -> tuple[Any, Any]:
        table = read_table(path, ("DATE", "S4248SM144NCEN"))
        dates = pd.DatetimeIndex(parsed(table["DATE"], "%Y-%m-%d"), name="month")
        values = table["S4248SM144NCEN"].to_numpy(float)
        return regular(pd.Series(values, dates, name="sales"), "MS"), None

    return load("the sales of alcohol", ("marketing-alcohol",), read, _series_twin)


def _series_twin() -> tuple[Any, Any]:
    """Log sales: a trend of .4 % a month, a season of 12 months, noise with memory .5."""
    rng, truth = np.random.default_rng(2), {"growth": 0.004, "memory": 0.5, "noise": 0.03}
    dates = pd.date_range("1992-01-01", "2019-01-01", freq="MS", name="month")
    noise = np.zeros(len(dates))
    for month in range(1, len(dates)):
        noise[month] = truth["memory"] * noise[month - 1] + rng.normal(0, truth["noise"])
    season = 0.12 * np.sin(2 * np.pi * (dates.month.to_numpy() - 4) / 12)
    log = 8.2 + truth["growth"] * np.arange(len(dates)) + season + noise
    series = pd.Series(np.exp(log).round(), dates, name="sales")
    return regular(series, "MS"), truth


AIRLINE_COLUMNS = {"I": "airline", "T": "year", "C": "cost", "Q": "output", "PF": "fuel_price",
                   "LF": "load_factor"}  # fmt: skip


def airlines() -> CourseFiles:
    """``inputs``: cost, output, fuel_price and load_factor of 6 airlines in 15 years.

    Indexed by (airline, year). Greene, Econometric Analysis; cost in $1,000.
    """

    def read(path: Path) -> tuple[Any, Any]:
        table = read_table(path, tuple(AIRLINE_COLUMNS)).rename(columns=AIRLINE_COLUMNS)
        return panel(table, "airline", "year"), None

    return load("the airlines' costs", ("marketing-airlines",), read, _airline_twin)


def _airline_twin() -> tuple[Any, Any]:
    """ln cost = own level + .9 ln output + .4 ln fuel price − 1.1 load factor + noise."""
    rng = np.random.default_rng(2)
    truth = {"output": 0.9, "fuel_price": 0.4, "load_factor": -1.1}
    airline, year = (a.ravel() for a in np.meshgrid(range(1, 7), range(1, 16), indexing="ij"))
    level = rng.normal(9.5, 0.2, 6)[airline - 1]
    table = pd.DataFrame(
        {
            "airline": airline,
            "year": year,
            "output": np.exp(rng.normal(level - 10.5, 0.2) + 0.05 * year),
            "fuel_price": 1e5 * np.exp(0.16 * year + rng.normal(0, 0.1, len(year))),
            "load_factor": rng.uniform(0.43, 0.68, len(year)),
        }
    )
    log = level + 0.9 * np.log(table["output"]) + 0.4 * np.log(table["fuel_price"])
    log = log - 1.1 * table["load_factor"] + rng.normal(0, 0.05, len(table))
    return panel(table.assign(cost=np.exp(log)), "airline", "year"), truth


# --- customers and institutions ------------------------------------------------------------------


MALL_COLUMNS = {
    "Genre": "gender",  # misspelt in the file
    "Age": "age",
    "Annual Income (k$)": "income",
    "Spending Score (1-100)": "spending",
}


def mall_customers() -> CourseFiles:
    """``inputs``: gender, age, income ($1,000) and spending score (1 to 100) of 200 customers."""

    def read(path: Path) -> tuple[Any, Any]:
        table = read_table(path, tuple(MALL_COLUMNS))[list(MALL_COLUMNS)]
        return require_varying(table.rename(columns=MALL_COLUMNS)), None

    return load("the customers of a mall", ("marketing-mall",), read, _mall_twin)


def _mall_twin() -> tuple[Any, Any]:
    """Five groups of forty in the plane of income and spending; the truth is who is in which."""
    rng = np.random.default_rng(3)
    centres = np.array([[26, 20], [26, 79], [55, 50], [87, 17], [87, 82]])
    groups = np.repeat(np.arange(5), 40)
    points = centres[groups] + rng.normal(0, 7, (200, 2))
    table = pd.DataFrame(
        {
            "gender": rng.choice(["Female", "Male"], 200),
            "age": rng.integers(18, 70, 200),
            "income": points[:, 0].clip(15, 137).round().astype(int),
            "spending": points[:, 1].clip(1, 99).round().astype(int),
        }
    )
    return table, groups


def campaign() -> CourseFiles:
    """``inputs``: 2,240 customers; ``Response`` is 1 where the last campaign was accepted.

    24 incomes are missing; ``Dt_Customer`` is a date; money in the currency of the shop.
    """

    def read(path: Path) -> tuple[Any, Any]:
        table = read_table(path, CAMPAIGN_COLUMNS, sep=";", encoding="utf-8-sig")
        table = require_unique(table[list(CAMPAIGN_COLUMNS)], ("ID",))
        return table.assign(Dt_Customer=parsed(table["Dt_Customer"], "%Y-%m-%d")), None

    return load("the customers of a campaign", ("marketing-campaign",), read, _campaign_twin)


def _campaign_twin() -> tuple[Any, Any]:
    """Log odds of a response: −2.6 + 1.1 AcceptedCmp5 − 0.02 (Recency − 50)."""
    rng, count = np.random.default_rng(4), 2240
    truth = {"constant": -2.6, "AcceptedCmp5": 1.1, "Recency": -0.02}
    table = pd.DataFrame({"ID": np.arange(1, count + 1)})
    table["Year_Birth"] = rng.integers(1940, 1997, count)
    table["Education"] = rng.choice(["Basic", "Graduation", "Master", "PhD"], count)
    table["Marital_Status"] = rng.choice(["Married", "Single", "Together"], count)
    income = rng.normal(52_000, 20_000, count).clip(5_000).round()
    table["Income"] = np.where(rng.random(count) < 0.01, np.nan, income)
    for name in ("Kidhome", "Teenhome"):
        table[name] = rng.integers(0, 3, count)
    days = pd.to_timedelta(rng.integers(0, 700, count), unit="D")
    table["Dt_Customer"] = pd.Timestamp("2012-07-30") + days
    table["Recency"] = rng.integers(0, 100, count)
    for name in CAMPAIGN_COLUMNS:
        if name.startswith(("Mnt", "Num")):
            mean = income / (200 if name.startswith("Mnt") else 10_000)
            table[name] = rng.negative_binomial(1.5, 1.5 / (1.5 + mean))
        elif name.startswith(("AcceptedCmp", "Complain")):
            table[name] = (rng.random(count) < 0.07).astype(int)
    odds = truth["constant"] + truth["AcceptedCmp5"] * table["AcceptedCmp5"]
    odds = odds + truth["Recency"] * (table["Recency"] - 50)
    table["Response"] = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(int)
    return table[list(CAMPAIGN_COLUMNS)], truth


def shoppers() -> CourseFiles:
    """``inputs``: 12,330 sessions of an online shop; ``Revenue`` is True if something was sold."""

    def read(path: Path) -> tuple[Any, Any]:
        return read_table(path, SHOPPER_COLUMNS)[list(SHOPPER_COLUMNS)], None

    return load("the sessions of an online shop", ("marketing-shoppers",), read, _shopper_twin)


def _shopper_twin() -> tuple[Any, Any]:
    """Log odds of a sale: −2.3 + 0.09 page values − 12 exit rate."""
    rng, count = np.random.default_rng(5), 3000
    truth = {"constant": -2.3, "PageValues": 0.09, "ExitRates": -12.0}
    table = pd.DataFrame({name: rng.integers(1, 5, count) for name in SHOPPER_COLUMNS})
    for name, mean in (("Administrative", 2.3), ("Informational", 0.5), ("ProductRelated", 31)):
        table[name] = rng.poisson(mean, count)
        table[f"{name}_Duration"] = table[name] * rng.gamma(2, 18, count)
    table["ExitRates"] = rng.beta(1, 22, count)
    table["BounceRates"] = table["ExitRates"] * rng.random(count)
    table["PageValues"] = np.where(rng.random(count) < 0.22, rng.gamma(1, 25, count), 0.0)
    table["SpecialDay"] = rng.choice([0.0, 0.4, 0.8], count, p=[0.9, 0.05, 0.05])
    table["Month"] = rng.choice(["Mar", "May", "Nov", "Dec"], count)
    table["VisitorType"] = rng.choice(["Returning_Visitor", "New_Visitor"], count, p=[0.85, 0.15])
    table["Weekend"] = rng.random(count) < 0.23
    odds = truth["constant"] + truth["PageValues"] * table["PageValues"]
    odds = odds + truth["ExitRates"] * table["ExitRates"]
    table["Revenue"] = rng.random(count) < 1 / (1 + np.exp(-odds))
    return table, truth


def institutions() -> CourseFiles:
    """``inputs``: ranks and scores of universities, one row an institution and year, 2012 to 2015.

    All but ``score`` (0 to 100) and the names are ranks: 1 is the best. ``broad_impact`` is known
    from 2014 on.
    """

    def read(path: Path) -> tuple[Any, Any]:
        table = read_table(path, SCORE_COLUMNS)[list(SCORE_COLUMNS)]
        return require_unique(table, ("institution", "country", "year")), None

    return load("the scores of universities", ("marketing-cwur",), read, _institution_twin)


def _institution_twin() -> tuple[Any, Any]:
    """Ranks that follow one hidden quality each; score = 44 + 56 e^(−rank / 40)."""
    rng = np.random.default_rng(6)
    truth, tables = {"lowest": 44.0, "spread": 56.0, "scale": 40.0}, []
    for year, count in ((2012, 100), (2013, 100), (2014, 400), (2015, 400)):
        quality = np.sort(rng.normal(size=count))[::-1]
        table = pd.DataFrame({"world_rank": np.arange(1, count + 1)})
        table["institution"] = [f"University {number}" for number in table["world_rank"]]
        table["country"] = rng.choice(["USA", "China", "Japan", "Germany"], count)
        table["national_rank"] = table.groupby("country").cumcount() + 1
        for name in SCORE_COLUMNS[4:12]:
            noisy = quality + rng.normal(0, 0.5, count)
            table[name] = (-noisy).argsort().argsort() + 1
        if year < 2014:
            table["broad_impact"] = np.nan
        fall = np.exp(-table["world_rank"] / truth["scale"])
        table["score"] = (truth["lowest"] + truth["spread"] * fall).round(2)
        tables.append(table.assign(year=year))
    return pd.concat(tables, ignore_index=True)[list(SCORE_COLUMNS)], truth
