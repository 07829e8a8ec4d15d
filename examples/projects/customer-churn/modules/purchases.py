"""From lines to purchases, from purchases to customers."""

from __future__ import annotations

from datetime import date, timedelta
from logging import Logger
from typing import Annotated

import pandas as pd
from pydantic import BaseModel, Field

from framework import DataSink, DataSource, plugin
from framework.errors import ParameterError

NAMES = ["customer_id", "date", "pieces", "dollars"]
FORMS = {
    "date": (r"[0-9]{8}", "no such day"),
    "pieces": (r"-?[0-9]{1,9}", "no number of pieces"),
    "dollars": (r"-?[0-9]{1,12}(\.[0-9]+)?", "no amount"),
}


class PurchasesConfig(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    lines: Annotated[str, DataSource(name="purchases_text")]
    purchases: Annotated[pd.DataFrame, DataSink(name="purchases")] | None = None
    rejected: Annotated[pd.DataFrame, DataSink(name="rejected")] | None = None


@plugin(name="Purchases of Lines", default_config=PurchasesConfig)
def purchases_of_lines(config: PurchasesConfig, logger: Logger) -> dict[str, pd.DataFrame]:
    """A row a line; a line that is no purchase is kept apart, with the reason. A first line of words is a header."""
    lines = [(number, line) for number, line in enumerate(config.lines.splitlines(), 1) if line.strip()]
    if lines and not any(letter.isdigit() for letter in lines[0][1]):
        lines = lines[1:]
    words = [line.split() for _, line in lines]
    made = pd.DataFrame([each if len(each) == 4 else [""] * 4 for each in words], columns=NAMES, dtype=object)
    why = pd.Series("", index=made.index).mask(made["customer_id"] == "", "not four words")
    for column, (form, reason) in FORMS.items():
        texts = made[column].where(made[column].str.fullmatch(form).astype(bool), None)
        is_day = column == "date"
        made[column] = pd.to_datetime(texts, format="%Y%m%d", errors="coerce") if is_day else pd.to_numeric(texts)
        why = why.mask(made[column].isna() & (why == ""), reason)
    rejected = pd.DataFrame({"line": [number for number, _ in lines], "why": why, "text": [line for _, line in lines]})
    rejected = rejected[why != ""].reset_index(drop=True)
    if len(rejected):
        logger.warning("%d lines are no purchases, the first is line %d", len(rejected), rejected["line"].iloc[0])
    kept = made[why == ""].reset_index(drop=True).astype({"pieces": "int64", "dollars": "float64"})
    logger.info("%d purchases", len(kept))
    return {"purchases": kept, "rejected": rejected}


class CustomersConfig(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    purchases: Annotated[pd.DataFrame, DataSource(name="purchases")]
    customers: Annotated[pd.DataFrame, DataSink(name="customers")] | None = None
    basic_from: int = 2
    premium_from: int = 4
    enterprise_from: int = 10
    as_of: date | None = Field(None, description="what was bought after it is not known yet")
    churn_days: int = Field(
        0, ge=0, description="churned is who bought nothing in so many days after as_of; 0: unknown"
    )


@plugin(name="Customers of Purchases", default_config=CustomersConfig)
def customers_of_purchases(config: CustomersConfig, logger: Logger) -> pd.DataFrame:
    """A row a customer; the plan is a tier of loyalty, a ticket a purchase that cost nothing."""
    known = config.purchases
    if config.as_of is not None:
        known = known[known["date"] <= pd.Timestamp(config.as_of)]
    known = known.assign(cents=(known["dollars"] * 100).round().astype("int64"))
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
    made = made.assign(total_value=made["total_value"] / 100, plan_type=plans.astype(str))
    if config.churn_days:
        made["churned"] = ~made["customer_id"].isin(who_bought(config.purchases, config.as_of, config.churn_days))
    logger.info("%d customers", len(made))
    return made


def who_bought(purchases: pd.DataFrame, after: date | None, days: int) -> pd.Series[str]:
    """Who bought something in so many days after a day; an error if that is not known of all of them yet."""
    last = purchases["date"].max()
    latest = (last - pd.Timedelta(days=days)).date()
    if after is None or after > latest:
        raise ParameterError(
            f"The purchases end on {last.date()}: of no later day than {latest} is known who bought in {days} days.",
            cure=f"Give an as_of, {latest} or before it, or fewer churn_days.",
        )
    first, until = pd.Timestamp(after + timedelta(days=1)), pd.Timestamp(after + timedelta(days=days))
    return purchases.loc[purchases["date"].between(first, until), "customer_id"]
