"""The features of revenue_projection, against plain loops over the days."""

from __future__ import annotations

import math
import statistics
from datetime import date, timedelta
from random import Random

import pandas as pd
import pytest

from framework import registry
from framework.prepare.blueprint import Blueprint
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.recipe import Recipe

NAMES = [
    "revenue_ma_7", "revenue_ma_30", "revenue_ma_90",
    "revenue_growth_1d", "revenue_growth_7d", "revenue_growth_30d",
    "day_of_week", "week", "month", "quarter",
    "revenue_volatility_7", "revenue_volatility_30", "revenue_volatility_90",
]  # fmt: skip


@pytest.fixture
def blueprint() -> Blueprint:
    """The blueprint as a pipeline finds it."""
    found: Blueprint = registry.find("blueprint", "revenue_projection").load()
    return found


def days_with_gaps(count: int = 200, seed: int = 3) -> dict[date, float]:
    """Revenue by day, over the turn of a year, a fifth of the days not there, some without revenue."""
    random = Random(seed)
    days = [date(2025, 10, 1) + timedelta(days=place) for place in range(count)]
    return {day: random.choice([0.0, round(random.uniform(1, 500), 2)]) for day in days if random.random() < 0.8}


def frame_of(days: dict[date, float]) -> pd.DataFrame:
    return pd.DataFrame({"date": pd.to_datetime(list(days)), "revenue": list(days.values())})


def by_hand(days: dict[date, float]) -> list[list[float]]:
    """Every feature, a day at a time, by looking at each day of the calendar."""
    made = []
    for day, revenue in sorted(days.items()):
        windows = []
        for length in (7, 30, 90):
            window = []
            for back in range(length):
                if day - timedelta(days=back) in days:
                    window.append(days[day - timedelta(days=back)])
            windows.append(window)
        growths = []
        for lag in (1, 7, 30):
            before = days.get(day - timedelta(days=lag), 0.0)
            growths.append((revenue - before) / before if before > 0 else math.nan)
        calendar = [day.weekday(), day.isocalendar().week, day.month, (day.month - 1) // 3 + 1]
        swings = [statistics.stdev(window) if len(window) > 1 else math.nan for window in windows]
        made.append([*(sum(window) / len(window) for window in windows), *growths, *calendar, *swings])
    return made


def test_features_are_those_of_plain_loops_over_the_calendar(blueprint: Blueprint) -> None:
    """Averages, growth, calendar and volatility of days with gaps agree with an independent computation."""
    days = days_with_gaps()
    _, raw, _, result = DataPreprocessingService().fit(frame_of(days), blueprint)
    assert list(raw) == NAMES == result.features_created
    for made, wanted in zip(raw.to_numpy("float64").tolist(), by_hand(days), strict=True):
        assert made == pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True)


def test_a_missing_day_is_a_day_and_not_a_row(blueprint: Blueprint) -> None:
    """The row before is not yesterday: growth over a gap is missing, and a window ends by the calendar."""
    days = {date(2026, 3, 1): 10.0, date(2026, 3, 2): 20.0, date(2026, 3, 9): 40.0}
    _, raw, _, _ = DataPreprocessingService().fit(frame_of(days), blueprint)
    assert raw["revenue_growth_1d"].tolist() == pytest.approx([math.nan, 1.0, math.nan], nan_ok=True)
    assert raw["revenue_growth_7d"].tolist() == pytest.approx([math.nan, math.nan, 1.0], nan_ok=True)
    assert raw["revenue_ma_7"].tolist() == [10.0, 15.0, 40.0]


def test_several_rows_of_a_date_are_summed_and_reported(blueprint: Blueprint) -> None:
    """One row a day comes out, whatever the order of the parts; of a part that is missing the day is missing."""
    frame = pd.DataFrame(
        {
            "date": pd.to_datetime(
                ["2026-01-02 08:00", "2026-01-01 00:00", "2026-01-02 18:00", *["2026-01-03 00:00"] * 2]
            ),
            "revenue": [0.1, 5.0, 0.2, 7.0, math.nan],
            "customer_count": [3, 2, 4, 1, 1],
        }
    )
    service = DataPreprocessingService({"scaling_method": "none", "outlier_method": "none"})
    made, _, _, result = service.fit(frame, blueprint, keep_dates=True)
    assert made["date"].dt.strftime("%d").tolist() == ["01", "02", "03"]
    assert made["revenue"].tolist()[:2] == [5.0, 0.1 + 0.2]
    assert made["customer_count"].tolist() == [2, 7, 2]
    assert result.imputed == {"revenue": 1}
    assert result.notes == ["4 rows of 2 dates were summed: one row a date, 3 of 5"]
    turned, _, _, _ = service.fit(frame.iloc[::-1], blueprint, keep_dates=True)
    pd.testing.assert_frame_equal(turned, made, check_exact=True)


@pytest.mark.parametrize(("as_of", "said"), [("2026-01-02 12:00", True), ("2026-01-02", False), ("2026-01-03", False)])
def test_a_day_that_as_of_cuts_short_is_told(blueprint: Blueprint, as_of: str, said: bool) -> None:
    """A part of a day is not the day: its sum stands, and it is said up to when."""
    days = pd.to_datetime(["2026-01-01 09:00", "2026-01-02 09:00", "2026-01-02 18:00"])
    frame = pd.DataFrame({"date": days, "revenue": [1.0, 2.0, 4.0]})
    notes = DataPreprocessingService().fit(frame, blueprint, as_of=as_of)[3].notes
    told = "2026-01-02 is summed up to 12:00:00, which is as_of: it may not be the whole day"
    assert (told in notes) == said


def test_customer_count_is_optional(blueprint: Blueprint) -> None:
    """The features need only a date and revenue."""
    frame = frame_of(days_with_gaps())
    with_it, features, _, _ = DataPreprocessingService().fit(frame.assign(customer_count=5), blueprint)
    without, same, _, _ = DataPreprocessingService().fit(frame, blueprint)
    assert list(with_it) == ["revenue", "customer_count", *NAMES]
    assert list(without) == ["revenue", *NAMES]
    pd.testing.assert_frame_equal(features, same)


def test_no_feature_sees_a_row_after_as_of(blueprint: Blueprint) -> None:
    """What comes later changes nothing and is counted."""
    days = days_with_gaps()
    last = date(2026, 1, 15)
    before = {day: revenue for day, revenue in days.items() if day <= last}
    later = {day: 1e9 if day > last else revenue for day, revenue in days.items()}
    _, raw, _, result = DataPreprocessingService().fit(frame_of(later), blueprint, as_of=last)
    _, alone, _, _ = DataPreprocessingService().fit(frame_of(before), blueprint, as_of=last)
    pd.testing.assert_frame_equal(raw, alone, check_exact=True)
    assert [each["count"] for each in result.refused] == [len(days) - len(before)]


def test_a_new_day_looks_back_on_the_days_that_were_learnt(blueprint: Blueprint) -> None:
    """The day after the last has its features; one beyond it has no average, rather than one of too few days."""
    days = days_with_gaps()
    last, day = date(2026, 1, 15), timedelta(days=1)
    known = {each: revenue for each, revenue in days.items() if each <= last}
    _, _, recipe, _ = DataPreprocessingService().fit(frame_of(known), blueprint, as_of=last)
    recipe = Recipe.loads(recipe.dumps())
    new = {last + day: 70.0, last + 2 * day: 80.0}
    raw = recipe.apply(frame_of(new), as_of=last + 2 * day).features_raw
    wanted = by_hand({**known, last + day: 70.0})[-1]
    assert raw.iloc[0].tolist() == pytest.approx(wanted, rel=1e-9, nan_ok=True)
    averages = [name for name in NAMES if "_ma_" in name or "volatility" in name]
    assert raw.iloc[1][averages].isna().all()
    assert raw["day_of_week"].tolist() == [each.weekday() for each in new]


def test_the_calendar_is_never_scaled(blueprint: Blueprint) -> None:
    """Day, week, month and quarter come out as they are."""
    made, raw, _, result = DataPreprocessingService().fit(frame_of(days_with_gaps()), blueprint)
    for name in ("day_of_week", "week", "month", "quarter"):
        assert name not in result.scaled
        pd.testing.assert_series_equal(made[name], raw[name])


def test_the_rule_finds_a_negative_revenue(blueprint: Blueprint) -> None:
    """And keeps one that is missing."""
    frame = pd.DataFrame({"revenue": [-1.0, 0.0, math.nan]})
    assert [rule.check(frame).tolist() for rule in blueprint.rules] == [[False, True, True]]
