"""The features of price_optimization, against plain loops over the sales."""

from __future__ import annotations

import math
from datetime import date, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest

from framework import registry
from framework.prepare.blueprint import Blueprint
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.recipe import Recipe

NAMES = ["revenue", "price_elasticity", "price_elasticity_se", "demand_trend", "price_position"]


@pytest.fixture
def blueprint() -> Blueprint:
    """The blueprint as a pipeline finds it."""
    found: Blueprint = registry.find("blueprint", "price_optimization").load()
    return found


def sales(seed: int = 5) -> list[dict[str, Any]]:
    """Six products of different elasticity, a few sales a day."""
    random = Random(seed)
    made = []
    for product in range(6):
        for place in range(60):
            price = round(random.uniform(5, 20), 2)
            quantity = 300 * price ** -(0.5 + product / 2) * math.exp(random.gauss(0, 0.1)) + place / 10
            day = date(2026, 1, 1) + timedelta(days=place // 2)
            made.append({"product_id": f"P{product}", "price": price, "quantity_sold": quantity, "date": day})
    random.shuffle(made)
    return made


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).assign(date=lambda frame: pd.to_datetime(frame["date"]))


def line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Slope and its standard error, by the sums of a textbook."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    sxx = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sxx
    start = mean_y - slope * mean_x
    rest = sum((y - start - slope * x) ** 2 for x, y in points)
    return slope, math.sqrt(rest / (n - 2) / sxx) if n > 2 else math.nan


def by_hand(rows: list[dict[str, Any]]) -> list[list[float]]:
    made = []
    for row in rows:
        own = [each for each in rows if each["product_id"] == row["product_id"]]
        slope, error = line([(math.log(each["price"]), math.log(each["quantity_sold"])) for each in own])
        by_day: dict[date, float] = {}
        for each in own:
            by_day[each["date"]] = by_day.get(each["date"], 0.0) + each["quantity_sold"]
        trend, _ = line([(float(day.toordinal()), quantity) for day, quantity in by_day.items()])
        low, high = min(each["price"] for each in own), max(each["price"] for each in own)
        made.append([row["price"] * row["quantity_sold"], slope, error, trend, (row["price"] - low) / (high - low)])
    return made


def test_features_are_those_of_plain_loops(blueprint: Blueprint) -> None:
    """Revenue, elasticity with its error, trend and position agree with an independent computation."""
    rows = sales()
    _, raw, _, result = DataPreprocessingService().fit(frame_of(rows), blueprint)
    assert list(raw) == NAMES == result.features_created
    for made, wanted in zip(raw.to_numpy("float64").tolist(), by_hand(rows), strict=True):
        assert made == pytest.approx(wanted, rel=1e-8)


def test_elasticity_is_found_again(blueprint: Blueprint) -> None:
    """Demand that falls by 1.7 percent for a percent of price has the elasticity -1.7, and an error of nothing."""
    rows = [
        {"product_id": "A", "price": price, "quantity_sold": 900 * price**-1.7, "date": date(2026, 1, 1)}
        for price in (2.0, 3.0, 5.0, 7.0)
    ]
    _, raw, _, _ = DataPreprocessingService().fit(frame_of(rows), blueprint)
    assert raw["price_elasticity"].tolist() == pytest.approx([-1.7] * 4)
    assert raw["price_elasticity_se"].tolist() == pytest.approx([0.0] * 4, abs=1e-12)


@pytest.mark.parametrize(
    ("prices", "quantities", "why"),
    [
        pytest.param([2.0, 3.0, 2.0, 3.0], [5, 4, 6, 4], "fewer than 3 distinct prices", id="two-prices"),
        pytest.param([2.0, 3.0, 4.0, 5.0], [5, 4, 0, 4], "is not above zero", id="quantity-of-zero"),
        pytest.param([2.0, 3.0, 4.0, 0.0], [5, 4, 3, 4], "is not above zero", id="price-of-zero"),
    ],
)
def test_where_there_is_no_elasticity_it_is_missing_and_the_reason_is_told(
    blueprint: Blueprint, prices: list[float], quantities: list[int], why: str
) -> None:
    """Nothing is invented, for that product alone."""
    odd = [
        {"product_id": "odd", "price": price, "quantity_sold": quantity, "date": date(2026, 1, 1 + place)}
        for place, (price, quantity) in enumerate(zip(prices, quantities, strict=True))
    ]
    frame = frame_of([*odd, *sales()])
    _, raw, _, result = DataPreprocessingService().fit(frame, blueprint)
    lacking = frame["product_id"] == "odd"
    for name in ("price_elasticity", "price_elasticity_se"):
        assert raw[name].isna().tolist() == lacking.tolist()
        told = next(each for each in result.features_missing if each["feature"] == name)
        assert told["rows"] == 4
        assert told["why"].startswith("odd: ")
        assert why in told["why"]
    assert raw["demand_trend"].notna().all()


def test_never_a_row_after_as_of(blueprint: Blueprint) -> None:
    """Later sales change neither elasticity nor trend nor the range of prices, and are counted."""
    rows = sales()
    last = date(2026, 1, 15)
    before = [row for row in rows if row["date"] <= last]
    later = [row if row["date"] <= last else {**row, "price": 1e6, "quantity_sold": 1e6} for row in rows]
    _, raw, recipe, result = DataPreprocessingService().fit(frame_of(later), blueprint, as_of=last)
    _, alone, recipe_alone, _ = DataPreprocessingService().fit(frame_of(before), blueprint, as_of=last)
    assert recipe.learnt == recipe_alone.learnt
    pd.testing.assert_frame_equal(raw.reset_index(drop=True), alone, check_exact=True)
    assert [each["count"] for each in result.refused] == [len(rows) - len(before)]


@pytest.mark.parametrize("ids", [lambda name: name, lambda name: int(name[1:])], ids=["texts", "numbers"])
def test_other_rows_get_what_was_learnt_of_their_product(blueprint: Blueprint, ids: Any) -> None:
    """By the product, also when the recipe was written and read; a product that was not there has none."""
    rows = [{**row, "product_id": ids(row["product_id"])} for row in sales()]
    _, raw, recipe, _ = DataPreprocessingService().fit(frame_of(rows), blueprint, as_of=date(2026, 12, 31))
    new = frame_of([{**rows[7], "price": 11.0}, {**rows[7], "product_id": ids("P99")}])
    found = Recipe.loads(recipe.dumps()).apply(new).features_raw
    assert found.iloc[0][NAMES[1:4]].tolist() == raw.iloc[7][NAMES[1:4]].tolist()
    assert found.iloc[1][NAMES[1:]].isna().all()
    assert found["revenue"].tolist() == pytest.approx([11 * rows[7]["quantity_sold"], raw["revenue"].iloc[7]])


def test_a_price_that_never_moved_stands_in_the_middle(blueprint: Blueprint) -> None:
    """Position is a half, trend over one day is missing."""
    rows = [{"product_id": "A", "price": 4.0, "quantity_sold": n, "date": date(2026, 1, 1)} for n in (1, 2)]
    _, raw, _, _ = DataPreprocessingService().fit(frame_of(rows), blueprint)
    assert raw["price_position"].tolist() == [0.5, 0.5]
    assert raw["demand_trend"].isna().all()


def test_rules_find_a_price_of_zero_and_a_row_loaded_twice(blueprint: Blueprint) -> None:
    """And keep what is missing."""
    frame = frame_of([*sales()[:2], sales()[0]])
    frame.loc[1, "price"] = 0.0
    assert {rule.name: rule.check(frame).tolist() for rule in blueprint.rules} == {
        "price_above_zero": [True, False, True],
        "row_seen_once": [True, True, False],
    }
    assert blueprint.rules[0].check(pd.DataFrame({"price": [math.nan]})).tolist() == [True]
