"""The nine features of customer_churn, against plain loops over the rows."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest

from framework import registry
from framework.errors import ProcessingException
from framework.prepare.blueprint import Blueprint
from framework.prepare.preprocessing import DataPreprocessingService

NINE = [
    "days_since_last_activity", "account_tenure_days", "daily_value_rate", "support_intensity", "feature_usage_rate",
    "activity_recency_score", "value_tier", "plan_value_score", "engagement_score",
]  # fmt: skip
PLANS = {"free": 0, "basic": 1, "premium": 2, "enterprise": 3}
AS_OF = date(2026, 6, 30)


@pytest.fixture
def blueprint() -> Blueprint:
    """The blueprint as a pipeline finds it."""
    found: Blueprint = registry.find("blueprint", "customer_churn").load()
    return found


def customers(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Customers as a list of rows, some on the day itself, some of equal value."""
    random = Random(seed)
    made = []
    for number in range(count):
        created = datetime(2026, 6, 30, random.randrange(24)) - timedelta(
            days=random.choice([0, 1, random.randrange(700)])
        )
        last = min(created + timedelta(days=random.randrange(0, 400)), datetime(2026, 6, 30, 23, 59))
        made.append(
            {
                "customer_id": f"C{number:03d}",
                "last_activity_date": last,
                "account_created_date": created,
                "total_value": random.choice([0.0, 10.0, round(random.uniform(0, 900), 2)]),
                "support_tickets": random.randrange(0, 9),
                "feature_usage_count": random.randrange(0, 40),
                "plan_type": random.choice(["free", "Basic", " premium", "ENTERPRISE"]),
            }
        )
    return made


def rank(value: float, values: list[float]) -> float:
    """The mean place of a value among all, from 0 to 1."""
    below = sum(each < value for each in values)
    same = sum(each == value for each in values)
    return (below + (same - 1) / 2) / (len(values) - 1)


def quartile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def by_hand(rows: list[dict[str, Any]]) -> list[list[float]]:
    """The nine, a row at a time."""
    values = [row["total_value"] for row in rows]
    usages = [row["feature_usage_count"] for row in rows]
    edges = [quartile(values, share) for share in (0.25, 0.5, 0.75)]
    made = []
    for row in rows:
        idle = (AS_OF - row["last_activity_date"].date()).days
        tenure = (AS_OF - row["account_created_date"].date()).days
        lived = tenure if tenure > 1 else 1
        recency = math.e ** (-idle / 30)
        tier = 1
        for edge in edges:
            if row["total_value"] > edge:
                tier += 1
        engagement = (recency + rank(row["feature_usage_count"], usages) + rank(row["total_value"], values)) / 3
        made.append(
            [
                idle,
                tenure,
                row["total_value"] / lived,
                row["support_tickets"] / lived * 30,
                row["feature_usage_count"] / lived,
                recency,
                tier,
                PLANS[row["plan_type"].strip().lower()],
                engagement,
            ]
        )
    return made


def test_the_nine_features_are_those_of_plain_loops(blueprint: Blueprint) -> None:
    """Every number of every customer agrees with an independent computation, under the specification's names."""
    rows = customers(300)
    _, raw, _, result = DataPreprocessingService().fit(pd.DataFrame(rows), blueprint, as_of=AS_OF)
    assert list(raw) == NINE == result.features_created
    assert [each.name for each in blueprint.features] == NINE
    for made, wanted in zip(raw.to_numpy("float64").tolist(), by_hand(rows), strict=True):
        assert made == pytest.approx(wanted, rel=1e-12, abs=1e-15)


def test_features_see_values_before_caps_and_scales(blueprint: Blueprint) -> None:
    """An outlier that is capped in its column counts in full in the features."""
    rows = customers(60)
    rows[0]["total_value"] = 1e6
    made, raw, _, result = DataPreprocessingService({"scaling_method": "none"}).fit(
        pd.DataFrame(rows), blueprint, as_of=AS_OF
    )
    assert result.capped["total_value"]["above"] == 1
    assert made["total_value"].iloc[0] < 1e6
    assert raw["daily_value_rate"].iloc[0] == pytest.approx(1e6 / max(raw["account_tenure_days"].iloc[0], 1))


def test_an_unknown_plan_is_missing_and_told(blueprint: Blueprint) -> None:
    """A plan that has no score gets none, and the result says so."""
    rows = customers(20)
    rows[3]["plan_type"] = "platinum"
    _, raw, _, result = DataPreprocessingService().fit(pd.DataFrame(rows), blueprint, as_of=AS_OF)
    assert raw["plan_value_score"].isna().sum() == 1
    assert math.isnan(raw["plan_value_score"].iloc[3])
    why = "the plan is none of those that have a score"
    assert result.features_missing == [{"feature": "plan_value_score", "rows": 1, "why": why}]


def test_the_scores_of_plans_can_be_others(blueprint: Blueprint) -> None:
    """A hierarchy of one's own takes the place of free, basic, premium, enterprise."""
    rows = [{**row, "plan_type": "solo" if place % 2 else "team"} for place, row in enumerate(customers(20))]
    service = DataPreprocessingService({"feature_settings": {"plans": {"Solo": 1, "Team": 5}}})
    _, raw, recipe, _ = service.fit(pd.DataFrame(rows), blueprint, as_of=AS_OF)
    assert raw["plan_value_score"].tolist() == [5.0, 1.0] * 10
    assert recipe.learnt["plans"] == {"Solo": 1, "Team": 5}


@pytest.mark.parametrize(
    ("gone", "absent"),
    [
        ("support_tickets", ["support_intensity"]),
        ("feature_usage_count", ["feature_usage_rate", "engagement_score"]),
        ("plan_type", ["plan_value_score"]),
    ],
)
def test_without_an_optional_field_its_features_are_absent_and_listed(
    blueprint: Blueprint, gone: str, absent: list[str]
) -> None:
    """The others are made as ever."""
    frame = pd.DataFrame(customers(30))
    _, whole, _, _ = DataPreprocessingService().fit(frame, blueprint, as_of=AS_OF)
    _, raw, _, result = DataPreprocessingService().fit(frame.drop(columns=gone), blueprint, as_of=AS_OF)
    assert result.features_absent == [{"feature": name, "lacking": [gone]} for name in absent]
    pd.testing.assert_frame_equal(raw, whole.drop(columns=absent))


def test_a_negative_age_is_an_error(blueprint: Blueprint) -> None:
    """An account that is created after as_of stops the work; the message says how many and which."""
    rows = customers(10)
    rows[4]["account_created_date"] = datetime(2026, 7, 2)
    with pytest.raises(ProcessingException, match=r"account_created_date lies after as_of 2026-06-30 in 1 rows"):
        DataPreprocessingService().fit(pd.DataFrame(rows), blueprint, as_of=AS_OF)


def test_a_customer_active_after_as_of_is_not_seen(blueprint: Blueprint) -> None:
    """Its row is refused and counted, and no edge or rank is learnt of it."""
    rows = customers(40)
    late = {**rows[0], "customer_id": "late", "last_activity_date": datetime(2026, 7, 1), "total_value": 1e9}
    _, raw, recipe, result = DataPreprocessingService().fit(pd.DataFrame([late, *rows]), blueprint, as_of=AS_OF)
    _, alone, recipe_alone, _ = DataPreprocessingService().fit(pd.DataFrame(rows), blueprint, as_of=AS_OF)
    assert [(each["count"], each["rows"]) for each in result.refused] == [(1, [0])]
    assert recipe.learnt == recipe_alone.learnt
    pd.testing.assert_frame_equal(raw.reset_index(drop=True), alone)


def test_a_single_customer_has_features(blueprint: Blueprint) -> None:
    """One row is lowest and highest at once: its rank is a half."""
    _, raw, _, _ = DataPreprocessingService().fit(pd.DataFrame(customers(1)), blueprint, as_of=AS_OF)
    assert raw["engagement_score"].iloc[0] == pytest.approx((raw["activity_recency_score"].iloc[0] + 1) / 3)
    assert raw["value_tier"].tolist() == [1]


@pytest.mark.parametrize(("count", "most"), [(20_000, 1e-12), (70_000, 1e-4)], ids=["exact", "thinned"])
def test_ranks_are_exact_or_a_ten_thousandth_beside(blueprint: Blueprint, count: int, most: float) -> None:
    """Of more than 50,000 distinct values fewer are kept, and a value that many customers have keeps its own rank."""
    random = Random(1)
    values = [14.99 if number % 10 == 0 else random.random() * 30 for number in range(count)]
    frame = pd.DataFrame(customers(1) * count)
    frame = frame.assign(customer_id=[f"C{number}" for number in range(count)], total_value=values)
    _, raw, recipe, _ = DataPreprocessingService().fit(frame, blueprint, as_of=AS_OF)
    assert len(recipe.learnt["value_ranks"]["values"]) <= 20_000
    exact = (frame["total_value"].rank() - 1) / (count - 1)
    found = raw["engagement_score"] * 3 - raw["activity_recency_score"] - 0.5
    assert (found - exact).abs().max() < most


def test_rules_find_what_is_wrong_and_keep_what_is_missing(blueprint: Blueprint) -> None:
    """A rule is false only of a row that breaks it."""
    frame = pd.DataFrame(
        {
            "account_created_date": pd.to_datetime(["2026-01-02", "2026-01-01", None]),
            "last_activity_date": pd.to_datetime(["2026-01-01", "2026-01-01", "2026-01-01"]),
            "plan_type": ["Gold", " FREE ", None],
        }
    )
    assert {rule.name: rule.check(frame).tolist() for rule in blueprint.rules} == {
        "created_before_active": [False, True, True],
        "known_plan": [False, True, True],
    }
