"""Purchases become customers by a case, customers become a dataset for a model of churn.

A purchase is a line of four words: the customer, the day (19970101), how many CDs, and the dollars. That is the form of
the CDNOW data set (Fader and Hardie), which is not in this repository; where the variable MILLPOND_CDNOW names a folder
with its `CDNOW_master.txt`, it is prepared and computed again too. Purchases alike are made up for everybody else.

A purchase tells nothing of plans, of uses of a product and of tickets. For all nine features to be shown, something
that purchases do tell stands for each, by a rule that the case says aloud:

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

import math
import os
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
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
CDNOW = "MILLPOND_CDNOW"
NINE = [
    "days_since_last_activity", "account_tenure_days", "daily_value_rate", "support_intensity", "feature_usage_rate",
    "activity_recency_score", "value_tier", "plan_value_score", "engagement_score",
]  # fmt: skip
AS_OF = date(1998, 6, 30)

STEPS = '''
"""From purchases to customers."""

from typing import Annotated, Optional

import pandas as pd
from pydantic import BaseModel

from framework import DataSink, DataSource, plugin

NAMES = ["customer_id", "date", "pieces", "dollars"]


class PurchasesConfig(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    lines: Annotated[str, DataSource(name="purchases_text")]
    purchases: Optional[Annotated[pd.DataFrame, DataSink(name="purchases")]] = None


@plugin(name="Purchases of Lines", default_config=PurchasesConfig)
def purchases_of_lines(config: PurchasesConfig, logger) -> pd.DataFrame:
    """A row a line; a first line of words is a header."""
    rows = [line.split() for line in config.lines.splitlines() if line.strip()]
    rows = rows[1:] if rows and not rows[0][1].isdigit() else rows
    made = pd.DataFrame(rows, columns=NAMES)
    logger.info("%d purchases", len(made))
    return made.assign(
        date=pd.to_datetime(made["date"], format="%Y%m%d"),
        pieces=made["pieces"].astype("int64"),
        dollars=made["dollars"].astype("float64"),
    )


class CustomersConfig(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    purchases: Annotated[pd.DataFrame, DataSource(name="purchases")]
    customers: Optional[Annotated[pd.DataFrame, DataSink(name="customers")]] = None
    basic_from: int = 2
    premium_from: int = 4
    enterprise_from: int = 10


@plugin(name="Customers of Purchases", default_config=CustomersConfig)
def customers_of_purchases(config: CustomersConfig, logger) -> pd.DataFrame:
    """A row a customer; the plan is a tier of loyalty, a ticket a purchase that cost nothing."""
    known = config.purchases.assign(cents=(config.purchases["dollars"] * 100).round().astype("int64"))
    of_each = known.assign(free=known["cents"] == 0).groupby("customer_id", sort=True)
    made = of_each.agg(
        account_created_date=("date", "min"),
        last_activity_date=("date", "max"),
        total_value=("cents", "sum"),
        feature_usage_count=("date", "size"),
        support_tickets=("free", "sum"),
    ).reset_index()
    tiers = [0, config.basic_from, config.premium_from, config.enterprise_from, float("inf")]
    plans = pd.cut(made["feature_usage_count"], tiers, right=False, labels=["free", "basic", "premium", "enterprise"])
    logger.info("%d customers", len(made))
    return made.assign(total_value=made["total_value"] / 100, plan_type=plans.astype(str))
'''
CASE = """
case_name: "Customers of purchases"

data_sources:
  purchases_text:
    path: "{path}"
    handler: "text"
    outside: true
  purchases:
    path: "made/purchases.parquet"
  customers:
    path: "made/customers.csv"

pipeline:
  - plugin: "Purchases of Lines"
  - plugin: "Customers of Purchases"
    config:
      basic_from: 2
      premium_from: 4
      enterprise_from: 10
"""


def made_up(count: int, seed: int = 1) -> str:
    """Purchases of that many customers as lines, some on one day, some of nothing, in the form of CDNOW."""
    random = Random(seed)
    start, lines = date(1997, 1, 1), [" customer_id  date number_of_cds  dollar_value"]
    for customer in range(1, count + 1):
        day = start + timedelta(days=random.randrange(84))
        while day <= AS_OF:
            pieces = random.choice([1, 1, 1, 2, 2, 3, 5])
            cents = 0 if random.random() < 0.02 else pieces * random.choice([777, 1177, 1200, 1499, 1699])
            lines.append(f" {customer:05d} {day:%Y%m%d} {pieces:2d} {cents // 100:4d}.{cents % 100:02d}")
            if random.random() < 0.45:
                break
            day += timedelta(days=int(random.expovariate(1 / 60)))
    return "\r\n".join(lines) + "\r\n"


def customers_by_case(folder: Path, purchases: Path) -> Path:
    """Where the case, run by the command in that folder, puts the customers."""
    (folder / "modules").mkdir(parents=True)
    (folder / "modules" / "purchases.py").write_text(STEPS)
    (folder / "millpond.yaml").write_text("settings: {}\n")
    case = folder / "cases" / "customers"
    case.mkdir(parents=True)
    (case / "case.yaml").write_text(CASE.format(path=purchases.as_posix()))
    command = [sys.executable, "-m", "framework", "pipeline", "--case", "customers"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FS_", "DB_", "MILLPOND"))}
    ran = subprocess.run(
        command, cwd=folder, env={**kept, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return case / "made" / "customers.csv"


def prepared(customers: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Recipe]:
    """Through the stages: what came, the dataset, its features before scaling, and the recipe."""
    blueprint: Blueprint = registry.find("blueprint", "customer_churn").load()
    frame, read = DataIngestionService().ingest(customers)
    fields = compatibility(frame.columns, blueprint).raise_if_failed().fields
    judged = DataValidationService().validate(frame, blueprint, fields).raise_if_failed()
    assert (read.rows, judged.rows) == (len(frame), len(frame))
    assert judged.score is not None
    assert judged.score.value == 100.0
    made, raw, recipe, result = DataPreprocessingService().fit(frame, blueprint, as_of=AS_OF)
    assert result.features_created == NINE
    assert (result.refused, result.features_missing, result.imputed) == ([], [], {})
    return frame, made, raw, recipe


def by_hand(text: str) -> dict[str, list[float]]:
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
        idle = AS_OF.toordinal() - max(day for day, _ in each)
        tenure = AS_OF.toordinal() - min(day for day, _ in each)
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


def holds(folder: Path, purchases: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Holds of a file of purchases what this module is about; answers with the dataset and its features."""
    customers = customers_by_case(folder, purchases)
    frame, made, raw, recipe = prepared(customers)
    agree(frame, raw, by_hand(purchases.read_text()))
    again = Recipe.loads(recipe.dumps()).apply(frame.sample(frac=1, random_state=5))
    pd.testing.assert_frame_equal(again.frame.sort_index(), made, check_exact=True)
    pd.testing.assert_frame_equal(again.features_raw.sort_index(), raw, check_exact=True)
    return made, raw


def test_customers_of_purchases_have_the_nine_features(tmp_path: Path) -> None:
    """By a case and the stages: every number agrees with an independent computation from the lines."""
    purchases = tmp_path / "purchases.txt"
    purchases.write_text(made_up(600), newline="")
    made, raw = holds(tmp_path / "project", purchases)
    assert len(made) == 600
    assert set(raw["value_tier"]) == {1, 2, 3, 4}
    assert set(raw["plan_value_score"]) == {0, 1, 2, 3}
    assert raw["support_intensity"].gt(0).any()


def test_the_computation_by_hand_sees_a_difference(tmp_path: Path) -> None:
    """Of a day or a cent: what agrees above could have failed."""
    text = made_up(60)
    purchases = tmp_path / "purchases.txt"
    purchases.write_text(text, newline="")
    frame, _, raw, _ = prepared(customers_by_case(tmp_path / "project", purchases))
    wanted = by_hand(text)
    agree(frame, raw, wanted)
    head, first, rest = text.split("\r\n", 2)
    customer, day, pieces, dollars = first.split()
    for other in (f"{customer} {int(day) + 1} {pieces} {dollars}", f"{customer} {day} {pieces} {dollars[:-1]}5"):
        with pytest.raises(AssertionError):
            agree(frame, raw, by_hand(f"{head}\n{other}\n{rest}"))


@pytest.mark.skipif(CDNOW not in os.environ, reason=f"{CDNOW} does not name a folder with the CDNOW purchases")
def test_the_customers_of_cdnow_have_the_nine_features(tmp_path: Path) -> None:
    """All 23,570 of them, by 69,659 purchases."""
    made, _ = holds(tmp_path / "project", Path(os.environ[CDNOW]).resolve() / "CDNOW_master.txt")
    assert len(made) == 23_570
