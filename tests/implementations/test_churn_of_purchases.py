"""Purchases become customers by a case, customers become a dataset for a model of churn.

A purchase is a line of four words: the customer, the day (19970101), how many CDs, and the dollars. That is the form of
the CDNOW data set (Fader and Hardie), which is not in this repository; where the variable MILLPOND_CDNOW names a folder
with its `CDNOW_master.txt`, it is prepared and computed again too. For everybody else purchases alike are made up by
the project `examples/projects/customer-churn`, whose case and steps these are.

A purchase tells nothing of plans, of uses of a product and of tickets. For all nine features to be shown, something
that purchases do tell stands for each, by a rule of the case:

- `account_created_date` and `last_activity_date` are the first and the last purchase;
- `total_value` is the sum of the dollars, in whole cents;
- `feature_usage_count` is how many purchases there are;
- `support_tickets` is how many of them cost nothing: of what a shop sells, the nearest to a return or a replacement;
- `plan_type` is a tier of loyalty by the number of purchases: one free, up to three basic, up to nine premium, more
  enterprise.

The nine features are computed again from the lines themselves, without pandas, without the case, and in other ways than
the blueprint does it: days by ordinals, cents as Decimal, ranks by counting.
"""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework import registry
from framework.prepare.blueprint import Blueprint
from framework.prepare.compatibility import compatibility
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.recipe import Recipe
from framework.prepare.validation import DataValidationService

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "examples" / "projects" / "customer-churn"
CDNOW = "MILLPOND_CDNOW"
LAST, LAST_OF_CDNOW = date(2024, 12, 31), date(1998, 6, 30)
NINE = [
    "days_since_last_activity", "account_tenure_days", "daily_value_rate", "support_intensity", "feature_usage_rate",
    "activity_recency_score", "value_tier", "plan_value_score", "engagement_score",
]  # fmt: skip


def made_up(count: int) -> str:
    """Purchases of that many customers, as the project makes them, without faults."""
    spec = importlib.util.spec_from_file_location("make_data_of_customer_churn", PROJECT / "make_data.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text: str = script.purchases(count, LAST)
    return text


def customers_by_case(folder: Path, purchases: str) -> Path:
    """Where the case of the project, run by the command in a copy of it, puts the customers."""
    for part in ("modules", "cases"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("made", "__pycache__"))
    shutil.copy(PROJECT / "millpond.yaml", folder)
    (folder / "data").mkdir()
    (folder / "data" / "purchases.txt").write_text(purchases, newline="")
    command = [sys.executable, "-m", "framework", "pipeline", "--case", "customers"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FS_", "DB_", "MILLPOND"))}
    ran = subprocess.run(
        command, cwd=folder, env={**kept, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(pd.read_csv(folder / "cases/customers/made/rejected.csv")) == 0
    return folder / "cases/customers/made/customers.csv"


def prepared(customers: Path, as_of: date) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Recipe]:
    """Through the stages: what came, the dataset, its features before scaling, and the recipe."""
    blueprint: Blueprint = registry.find("blueprint", "customer_churn").load()
    frame, read = DataIngestionService().ingest(customers)
    fields = compatibility(frame.columns, blueprint).raise_if_failed().fields
    judged = DataValidationService().validate(frame, blueprint, fields).raise_if_failed()
    assert (read.rows, judged.rows) == (len(frame), len(frame))
    assert judged.score is not None
    assert judged.score.value == 100.0
    made, raw, recipe, result = DataPreprocessingService().fit(frame, blueprint, as_of=as_of)
    assert result.features_created == NINE
    assert (result.refused, result.features_missing, result.imputed) == ([], [], {})
    return frame, made, raw, recipe


def by_hand(text: str, as_of: date) -> dict[str, list[float]]:
    """The nine features of each customer, from the lines."""
    bought: dict[str, list[tuple[int, Decimal]]] = defaultdict(list)
    for line in text.splitlines()[1:]:
        customer, day, _, dollars = line.split()
        bought[customer].append((date(int(day[:4]), int(day[4:6]), int(day[6:])).toordinal(), Decimal(dollars)))
    value = {customer: sum((dollars for _, dollars in each), Decimal()) for customer, each in bought.items()}
    values, counts = sorted(value.values()), sorted(len(each) for each in bought.values())
    edges = [quartile(values, share) for share in (Decimal("0.25"), Decimal("0.5"), Decimal("0.75"))]
    made = {}
    for customer, each in bought.items():
        idle = as_of.toordinal() - max(day for day, _ in each)
        tenure = as_of.toordinal() - min(day for day, _ in each)
        lived, spent, uses = max(tenure, 1), value[customer], len(each)
        free = sum(dollars == 0 for _, dollars in each)
        recency = math.exp(-idle / 30)
        made[customer] = [
            float(idle),
            float(tenure),
            float(spent / lived),
            float(Decimal(30 * free) / lived),
            float(Decimal(uses) / lived),
            recency,
            1.0 + sum(spent > edge for edge in edges),
            float(0 if uses < 2 else 1 if uses < 4 else 2 if uses < 10 else 3),
            (recency + share_below(uses, counts) + share_below(spent, values)) / 3,
        ]
    return made


def quartile(ordered: list[Decimal], share: Decimal) -> Decimal:
    """Linear between the two nearest."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def share_below(value: Any, ordered: list[Any]) -> float:
    """The rank from 0 to 1: how many of the others are less, those that are equal counted half."""
    less, upto = bisect_left(ordered, value), bisect_right(ordered, value)
    return (less + (upto - less - 1) / 2) / (len(ordered) - 1)


def agree(frame: pd.DataFrame, raw: pd.DataFrame, wanted: dict[str, list[float]]) -> None:
    """Holds that every number of every customer is that of the computation by hand."""
    customers = [f"{int(each):05d}" for each in frame["customer_id"]]
    assert sorted(customers) == sorted(wanted)
    assert list(raw) == NINE
    for name, values, place in zip(NINE, raw.to_numpy("float64").T.tolist(), range(9), strict=True):
        assert values == pytest.approx([wanted[customer][place] for customer in customers], rel=1e-12, abs=1e-15), name


def holds(folder: Path, purchases: str, as_of: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Holds of purchases what this module is about; answers with the dataset and its features."""
    frame, made, raw, recipe = prepared(customers_by_case(folder, purchases), as_of)
    agree(frame, raw, by_hand(purchases, as_of))
    again = Recipe.loads(recipe.dumps()).apply(frame.sample(frac=1, random_state=5))
    pd.testing.assert_frame_equal(again.frame.sort_index(), made, check_exact=True)
    pd.testing.assert_frame_equal(again.features_raw.sort_index(), raw, check_exact=True)
    return made, raw


def test_customers_of_purchases_have_the_nine_features(tmp_path: Path) -> None:
    """By the project's case and the stages: every number agrees with an independent computation from the lines."""
    made, raw = holds(tmp_path, made_up(600), LAST)
    assert len(made) == 600
    assert set(raw["value_tier"]) == {1, 2, 3, 4}
    assert set(raw["plan_value_score"]) == {0, 1, 2, 3}
    assert raw["support_intensity"].gt(0).any()


def test_the_computation_by_hand_sees_a_difference(tmp_path: Path) -> None:
    """Of a day or a cent: what agrees above could have failed."""
    text = made_up(60)
    frame, _, raw, _ = prepared(customers_by_case(tmp_path, text), LAST)
    agree(frame, raw, by_hand(text, LAST))
    head, first, rest = text.split("\r\n", 2)
    customer, day, pieces, dollars = first.split()
    for other in (f"{customer} {int(day) + 1} {pieces} {dollars}", f"{customer} {day} {pieces} {dollars[:-1]}5"):
        with pytest.raises(AssertionError):
            agree(frame, raw, by_hand(f"{head}\n{other}\n{rest}", LAST))


@pytest.mark.skipif(CDNOW not in os.environ, reason=f"{CDNOW} does not name a folder with the CDNOW purchases")
def test_the_customers_of_cdnow_have_the_nine_features(tmp_path: Path) -> None:
    """All 23,570 of them, by 69,659 purchases."""
    made, _ = holds(tmp_path, (Path(os.environ[CDNOW]) / "CDNOW_master.txt").read_text(), LAST_OF_CDNOW)
    assert len(made) == 23_570
