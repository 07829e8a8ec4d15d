"""Of every blueprint: rows after as_of change nothing, pieces change nothing; and formulas computed in another way."""

from __future__ import annotations

import math
import statistics
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import registry
from framework.prepare.blueprint import Blueprint
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.recipe import Recipe

AS_OF = pd.Timestamp("2026-03-01")
NAMES = ["customer_churn", "price_optimization", "revenue_projection"]
SIZES = st.one_of(st.floats(0.01, 1e6), st.just(0.0), st.integers(1, 10**12).map(float))


def blueprint(name: str) -> Blueprint:
    """The blueprint as a pipeline finds it."""
    found: Blueprint = registry.find("blueprint", name).load()
    return found


def rows_of(name: str, count: int, seed: int, *, start: str, days: int) -> pd.DataFrame:
    """Rows of that blueprint, each within those days."""
    rng = np.random.default_rng(seed)
    on = pd.Timestamp(start) + pd.to_timedelta(rng.integers(0, days * 24, count), unit="h")
    if name == "revenue_projection":
        return pd.DataFrame({"date": on, "revenue": rng.gamma(2, 100, count).round(2), "customer_count": 3})
    if name == "price_optimization":
        products = rng.choice(["A", "B", "C"], count)
        price, sold = rng.uniform(1, 9, count).round(2), rng.integers(1, 99, count)
        return pd.DataFrame({"product_id": products, "price": price, "quantity_sold": sold, "date": on})
    made = {"customer_id": [f"{seed}-{place}" for place in range(count)], "last_activity_date": on}
    made["account_created_date"] = on - pd.to_timedelta(rng.integers(0, 500, count), unit="D")
    made |= {"total_value": rng.gamma(2, 100, count), "support_tickets": rng.poisson(2, count)}
    made |= {"feature_usage_count": rng.poisson(30, count), "plan_type": rng.choice(["free", "basic"], count)}
    return pd.DataFrame(made)


def of_models(name: str, frame: pd.DataFrame, **asked: Any) -> tuple[pd.DataFrame, pd.DataFrame, Recipe, Any]:
    return DataPreprocessingService().fit(frame, blueprint(name), as_of=AS_OF, keep_dates=True, **asked)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_rows_after_as_of_change_nothing(name: str, data: Any) -> None:
    """However many, wherever among the others, whatever they hold: not a bit of a row, nor of the recipe."""
    before = rows_of(name, 40, 1, start="2025-12-01", days=80)
    later = rows_of(name, data.draw(st.integers(1, 12)), 2, start="2026-03-02", days=60)
    for column in ("total_value", "revenue", "price", "quantity_sold", "feature_usage_count"):
        if column in later:
            later[column] = data.draw(st.lists(SIZES, min_size=len(later), max_size=len(later)))
    if "plan_type" in later:
        later["plan_type"] = data.draw(st.sampled_from(["enterprise", "other", None]))
    both = pd.concat([before, later], ignore_index=True)
    order = np.array(data.draw(st.permutations(range(len(both)))))
    among = both.iloc[order]
    alone = among[among.index < len(before)]
    made, raw, recipe, result = of_models(name, among)
    wanted, wanted_raw, wanted_recipe, _ = of_models(name, alone)
    pd.testing.assert_frame_equal(made, wanted, check_exact=True)
    pd.testing.assert_frame_equal(raw, wanted_raw, check_exact=True)
    assert recipe.dumps() == wanted_recipe.dumps()
    assert sum(each["count"] for each in result.refused) == len(later)


@pytest.mark.parametrize("name", NAMES)
@given(order=st.permutations(range(40)), cut=st.integers(0, 40), seed=st.integers(3, 5))
@settings(deadline=None, max_examples=15)
def test_pieces_of_new_rows_come_out_as_the_whole_of_them(name: str, order: list[int], cut: int, seed: int) -> None:
    """In any order; of days that are summed, whole days."""
    recipe = Recipe.loads(of_models(name, rows_of(name, 60, 1, start="2025-12-01", days=80))[2].dumps())
    new = rows_of(name, 40, seed, start="2025-12-01", days=80)
    whole = recipe.transform(new)
    mixed = new.iloc[list(order)]
    if name == "revenue_projection":
        first = mixed["date"].dt.normalize() < mixed["date"].dt.normalize().sort_values().iloc[min(cut, 39)]
        parts = [mixed[first], mixed[~first]]
        made = pd.concat([recipe.transform(part) for part in parts]).sort_values("date").reset_index(drop=True)
    else:
        parts = [mixed.iloc[:cut], mixed.iloc[cut:]]
        made = pd.concat([recipe.transform(part) for part in parts]).loc[whole.index]
    pd.testing.assert_frame_equal(made, whole, check_exact=True)


@pytest.mark.parametrize("ids", [[7, 8, 9], [7.0, 8.0, 9.0], ["7", "8", "9"], ["7", 8, 9.0]], ids=str)
def test_a_product_is_known_again_however_its_number_is_read(ids: list[Any]) -> None:
    """A file in which one product has letters has texts for all of them."""
    sales = rows_of("price_optimization", 90, 6, start="2025-12-01", days=80)
    numbers = sales.assign(product_id=sales["product_id"].map({"A": 7, "B": 8, "C": 9}))
    _, wanted, recipe, _ = of_models("price_optimization", numbers)
    recipe = Recipe.loads(recipe.dumps())
    again = sales.assign(product_id=sales["product_id"].map(dict(zip("ABC", ids, strict=True))))
    pd.testing.assert_frame_equal(recipe.apply(again).features_raw, wanted, check_exact=True)
    mixed = pd.concat([again.astype({"product_id": object}), again.head(1).assign(product_id="X9")], ignore_index=True)
    raw = recipe.apply(mixed).features_raw
    pd.testing.assert_frame_equal(raw.head(90), wanted, check_exact=True)
    assert raw["price_elasticity"].isna().tolist() == [False] * 90 + [True]


def test_elasticity_is_that_of_least_squares_by_matrices() -> None:
    """Slope and standard error of NumPy's lstsq and of the inverse of X'X, for each product."""
    sales = rows_of("price_optimization", 300, 8, start="2025-12-01", days=80)
    _, raw, _, _ = of_models("price_optimization", sales)
    for product in "ABC":
        own = (sales["product_id"] == product).to_numpy()
        x, y = (np.log(sales.loc[own, name].to_numpy("float64")) for name in ("price", "quantity_sold"))
        design = np.column_stack([np.ones(len(x)), x])
        found, rest, _, _ = np.linalg.lstsq(design, y, rcond=None)
        error = math.sqrt(rest[0] / (len(x) - 2) * np.linalg.inv(design.T @ design)[1, 1])
        assert raw.loc[own, "price_elasticity"].tolist() == pytest.approx([found[1]] * own.sum(), rel=1e-9)
        assert raw.loc[own, "price_elasticity_se"].tolist() == pytest.approx([error] * own.sum(), rel=1e-9)
        days = sales.loc[own, "date"].dt.normalize()
        by_day = sales.loc[own, "quantity_sold"].groupby(days).sum()
        slope = np.polyfit([day.toordinal() for day in by_day.index], by_day.to_numpy("float64"), 1)[0]
        assert raw.loc[own, "demand_trend"].tolist() == pytest.approx([slope] * own.sum(), rel=1e-6)


def test_revenue_of_several_rows_a_day_over_missing_days_is_that_of_decimals() -> None:
    """Sums, windows, growth and swings by the calendar, computed with Decimal and the standard library."""
    sales = rows_of("revenue_projection", 150, 9, start="2025-12-01", days=80)
    _, raw, _, result = of_models("revenue_projection", sales)
    by_day: dict[date, Decimal] = {}
    for day, amount in zip(sales["date"], sales["revenue"], strict=True):
        by_day[day.date()] = by_day.get(day.date(), Decimal()) + Decimal(str(amount))
    assert len(raw) == len(by_day) < 80
    assert "rows of" in result.notes[0]
    for (day, amount), made in zip(sorted(by_day.items()), raw.to_dict("records"), strict=True):
        for n in (7, 30, 90):
            window = [by_day[each] for back in range(n) if (each := day - timedelta(days=back)) in by_day]
            assert made[f"revenue_ma_{n}"] == pytest.approx(float(statistics.fmean(window)), rel=1e-12)
            swing = float(statistics.stdev(window)) if len(window) > 1 else math.nan
            assert made[f"revenue_volatility_{n}"] == pytest.approx(swing, rel=1e-9, nan_ok=True)
        for lag in (1, 7, 30):
            before = by_day.get(day - timedelta(days=lag))
            growth = float((amount - before) / before) if before else math.nan
            assert made[f"revenue_growth_{lag}d"] == pytest.approx(growth, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("name", "target"), [("customer_churn", "total_value"), ("price_optimization", "quantity_sold")]
)
def test_no_feature_tells_a_target_that_is_a_field(name: str, target: str) -> None:
    """What would be made of it is left out, and rows that do not have it yet can be prepared."""
    frame = rows_of(name, 60, 1, start="2025-12-01", days=80)
    made, raw, recipe, result = of_models(name, frame, target=target)
    plan = blueprint(name)
    assert list(raw) == [each.name for each in plan.features if target not in each.needs]
    assert any(f"would tell the target {target}" in each for each in result.warnings)
    again = Recipe.loads(recipe.dumps()).transform(frame.drop(columns=target))
    pd.testing.assert_frame_equal(again, made.drop(columns=target), check_exact=True)


def test_a_projection_of_revenue_itself_is_left_the_calendar() -> None:
    """An average that ends with a day tells of that day; days without revenue yet can be prepared."""
    frame = rows_of("revenue_projection", 60, 1, start="2025-12-01", days=80)
    made, raw, recipe, _ = of_models("revenue_projection", frame, target="revenue")
    assert list(raw) == ["day_of_week", "week", "month", "quarter"]
    again = Recipe.loads(recipe.dumps()).transform(frame.drop(columns="revenue"))
    pd.testing.assert_frame_equal(again, made.drop(columns="revenue"), check_exact=True)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_reckoning_leave_features_missing() -> None:
    """And end nothing: a sum, a square and a product that are beyond what can be counted."""
    days = pd.date_range("2026-01-01", periods=9).repeat(2)
    revenue = pd.DataFrame({"date": days, "revenue": [1e200, 2e200] * 9})
    assert of_models("revenue_projection", revenue)[1]["revenue_ma_7"].tolist() == pytest.approx([3e200] * 9)
    single = revenue.drop_duplicates("date").assign(revenue=[1e200, -1e200] * 4 + [1e200])
    assert of_models("revenue_projection", single)[1]["revenue_volatility_7"].isna().all()
    sales = rows_of("price_optimization", 30, 1, start="2025-12-01", days=80).assign(price=1e200, quantity_sold=1e200)
    raw = of_models("price_optimization", sales)[1]
    assert raw["revenue"].isna().all()
    assert raw["price_position"].tolist() == [0.5] * 30
