"""Revenue by the day: what it was of late, how it grows, how it swings, and where in the calendar a day stands.

Windows count days of the calendar, not rows: the seven days that end with 10 March are 4 to 10 March, whether or not
each of them has a row. A day that is not there counts neither as zero nor as the row before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from framework.prepare.blueprint import Blueprint, Feature, Field, Learnt, Plot, Rule

if TYPE_CHECKING:
    import pandas as pd

PROVIDES = {
    "kind": "blueprint",
    "name": "revenue_projection",
    "object": "BLUEPRINT",
    "summary": "Revenue by the day: moving averages, growth, seasons, volatility",
}
WINDOWS = (7, 30, 90)
LAGS = (1, 7, 30)
CALENDAR = ("day_of_week", "week", "month", "quarter")
CHART = "Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed., 2021)"

FIELDS = (
    Field("date", "datetime", critical=True, description="the day"),
    Field("revenue", "number", critical=True, description="taken on that day"),
    Field(
        "customer_count", "number", required=False, minimum=0,
        cost="no column of active customers: a projection knows revenue alone", description="active customers",
    ),
)  # fmt: skip

FEATURES = (
    *(
        Feature(
            f"revenue_ma_{n}", ("date", "revenue"), unit="revenue", source=f"trailing moving average: {CHART}, 3.3",
            formula=f"mean of the revenue of those days that are there, of the {n} days that end with this one",
        )
        for n in WINDOWS
    ),
    *(
        Feature(
            f"revenue_growth_{n}d", ("date", "revenue"), unit="share", source="relative change",
            formula=f"revenue / revenue {n} days before - 1; missing if that day is not there or was not above 0",
        )
        for n in LAGS
    ),
    Feature(
        "day_of_week", ("date",), scaled=False, unit="0 (Monday) to 6", source="ISO 8601",
        formula="the ISO day of the week - 1",
    ),
    Feature("week", ("date",), scaled=False, unit="1 to 53", source="ISO 8601", formula="the ISO week of the year"),
    Feature("month", ("date",), scaled=False, unit="1 to 12", source="Gregorian calendar", formula="month of the year"),
    Feature(
        "quarter", ("date",), scaled=False, unit="1 to 4", source="Gregorian calendar", formula="ceil(month / 3)"
    ),
    *(
        Feature(
            f"revenue_volatility_{n}", ("date", "revenue"), unit="revenue", source="sample standard deviation, rolling",
            formula=f"standard deviation (n - 1) of the days that are there, of the {n} that end with this one; "
            "missing of fewer than two",
        )
        for n in WINDOWS
    ),
)  # fmt: skip


def rows(frame: pd.DataFrame, as_of: pd.Timestamp) -> tuple[pd.DataFrame, list[str]]:
    """One row a day, in the order of the days: several rows of a date are summed, exactly, in whatever order.

    A day of which a value is missing is missing: a part of a sum is not the sum.
    """
    import pandas as pd

    days = frame["date"].dt.normalize()
    order = days.argsort(kind="stable")
    sorted_days = days.iloc[order]
    repeated = sorted_days.duplicated(keep=False).to_numpy()
    made = frame.iloc[order].assign(date=sorted_days)
    notes = _cut_short(days, as_of)
    if not repeated.any():
        return made.reset_index(drop=True), notes
    several = made[repeated]
    numbers = [name for name in several.columns if name != "date"]
    summed = several.groupby("date", sort=True)[numbers].agg(lambda values: total(values.to_numpy("float64")))
    whole = pd.concat([made[~repeated], summed.reset_index()]).sort_values("date", kind="stable")
    note = f"{len(several)} rows of {len(summed)} dates were summed: one row a date, {len(whole)} of {len(frame)}"
    return whole.reset_index(drop=True), [note, *notes]


def _cut_short(days: pd.Series, as_of: pd.Timestamp) -> list[str]:
    """In words, that the last day may lack what came after `as_of`, where that is in the midst of it."""
    begins = as_of.normalize()
    ends = (as_of.floor("s") - begins).total_seconds() >= 86_399
    if as_of == begins or ends or not (days == begins).any():
        return []
    return [f"{begins.date()} is summed up to {as_of.time()}, which is as_of: it may not be the whole day"]


def learn(frame: pd.DataFrame, as_of: pd.Timestamp) -> Learnt:
    """The revenue of each day: what the windows of other rows look back on.

    Returns
    -------
    dict
        `until` (ISO date), `days` (ISO dates, in order) and `revenue` (of each, None where it is missing); `why` a
        feature is missing.
    """
    known = frame.sort_values("date")
    return {
        "until": as_of.strftime("%Y-%m-%d"),
        "days": known["date"].dt.strftime("%Y-%m-%d").tolist(),
        "revenue": [None if value != value else value for value in known["revenue"].to_numpy("float64").tolist()],
        "why": {
            **{f"revenue_growth_{n}d": [f"no revenue above 0 {n} days before"] for n in LAGS},
            **{f"revenue_volatility_{n}": [f"fewer than two of the {n} days are there"] for n in WINDOWS},
        },
    }


def make(frame: pd.DataFrame, as_of: pd.Timestamp, learnt: Learnt) -> pd.DataFrame:
    """Averages, growth, calendar and volatility of each day.

    A day looks back on the days that were learnt and on itself, never on another row beside it: so the numbers do not
    depend on which rows come together. A window that reaches into days of which nothing was learnt, those
    between the last one learnt and its own, is missing.
    """
    import numpy as np
    import pandas as pd

    history = _history(learnt)
    until = int(np.datetime64(learnt["until"], "D").astype("int64"))
    days = frame["date"].to_numpy("datetime64[D]").astype("int64").tolist()
    revenue = frame["revenue"].to_numpy("float64").tolist()
    seen = [_looked_back(day, value, history, until) for day, value in zip(days, revenue, strict=True)]
    names = [f"revenue_ma_{n}" for n in WINDOWS] + [f"revenue_growth_{n}d" for n in LAGS]
    swings = [f"revenue_volatility_{n}" for n in WINDOWS]
    table = np.array(seen, dtype="float64").reshape(len(seen), len(names) + len(swings))
    made: dict[str, Any] = {name: table[:, place].copy() for place, name in enumerate(names)}
    dates = pd.DatetimeIndex(frame["date"])
    iso = dates.isocalendar()
    for name, values in zip(CALENDAR, (dates.day_of_week, iso["week"], dates.month, dates.quarter), strict=True):
        made[name] = np.asarray(values, dtype="int8")
    made |= {name: table[:, len(names) + place].copy() for place, name in enumerate(swings)}
    return pd.DataFrame(made, index=frame.index)


def _history(learnt: Learnt) -> dict[int, float]:
    import numpy as np

    days = np.array(learnt["days"], dtype="datetime64[D]").astype("int64").tolist()
    return {day: np.nan if value is None else value for day, value in zip(days, learnt["revenue"], strict=True)}


def _looked_back(day: int, value: float, history: dict[int, float], until: int) -> list[float]:
    """Averages, growths and deviations of one day."""
    known = day <= until + 1  # a later one has days before it of which nothing is known
    windows = [_window(day, value, history, n) if known else [] for n in WINDOWS]
    growths = [_growth(value, history.get(day - n)) for n in LAGS]
    return [*map(_mean, windows), *growths, *map(_deviation, windows)]


def _window(day: int, value: float, history: dict[int, float], n: int) -> list[float]:
    """What is known of the `n` days that end with this one."""
    there = [history[each] for each in range(day - n + 1, day) if each in history]
    return [each for each in [*there, value] if each == each]


def _mean(values: list[float]) -> float:
    return total(values) / len(values) if values else float("nan")


def total(values: Iterable[float]) -> float:
    """The exact sum, rounded once, in whatever order; endless where it is beyond what can be counted."""
    import math

    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _deviation(values: list[float]) -> float:
    import math

    if len(values) < 2:
        return math.nan
    middle = _mean(values)
    return math.sqrt(total([(each - middle) * (each - middle) for each in values]) / (len(values) - 1))


def _growth(value: float, before: float | None) -> float:
    return value / before - 1 if before is not None and before > 0 else float("nan")


def _not_negative(frame: pd.DataFrame) -> pd.Series:
    return ~(frame["revenue"] < 0)


BLUEPRINT = Blueprint(
    name="revenue_projection",
    description="Revenue by the day, with what came before it",
    fields=FIELDS,
    features=FEATURES,
    identifier=(),  # several rows of a date are summed, so no field has to be unique
    time="date",
    learn=learn,
    make=make,
    rows=rows,
    rules=(
        Rule(
            "revenue_not_negative",
            ("revenue",),
            _not_negative,
            severity="medium",
            message="the revenue is below zero: growth from that day is missing",
        ),
    ),
    thresholds={"completeness": 0.95, "uniqueness": 1.0, "validity": 0.98, "score": 80},
    plots=(
        Plot("Revenue by day", "line", "date", "revenue"),
        Plot("Average of 30 days", "line", "date", "revenue_ma_30"),
        Plot("Volatility of 30 days", "line", "date", "revenue_volatility_30"),
        Plot("Revenue by day of the week", "bar", "day_of_week", "revenue"),
    ),
)
