"""Customers who may leave: how recent, how old, how valuable and how engaged each one is on one day.

Every age is counted in whole days of the calendar, from the date of the event to the date of `as_of`; the time of day
does not count. A rate divides by max(account_tenure_days, 1), so that a customer of today has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from framework.errors import ProcessingException
from framework.prepare.blueprint import Blueprint, Feature, Field, Learnt, Plot, Rule

if TYPE_CHECKING:
    import pandas as pd

PROVIDES = {
    "kind": "blueprint",
    "name": "customer_churn",
    "object": "BLUEPRINT",
    "summary": "Customers who may leave: recency, tenure, value and engagement",
}
PLANS = {"free": 0, "basic": 1, "premium": 2, "enterprise": 3}
DECAY_DAYS = 30.0
MONTH_DAYS = 30.0
RANKS_KEPT = 50_000
STEPS = 10_000
RFM = "recency and monetary value of RFM: Hughes, Strategic Database Marketing (1994)"

FIELDS = (
    Field("customer_id", "identifier", critical=True, description="what a customer is told apart by"),
    Field("last_activity_date", "datetime", critical=True, description="the most recent interaction"),
    Field("account_created_date", "datetime", critical=True, description="the registration"),
    Field("total_value", "number", critical=True, minimum=0, description="spent, or used, in the whole life"),
    Field(
        "support_tickets", "integer", required=False, minimum=0,
        cost="no support_intensity: how often a customer asks for help", description="tickets in the whole life",
    ),
    Field(
        "feature_usage_count", "number", required=False, minimum=0,
        cost="no feature_usage_rate and no engagement_score: how much a customer uses the product",
        description="uses of the product in the whole life",
    ),
    Field(
        "plan_type", "category", required=False,
        cost="no plan_value_score: how high the plan is", description="the plan: free, basic, premium, enterprise",
    ),
)  # fmt: skip

FEATURES = (
    Feature(
        "days_since_last_activity", ("last_activity_date",), unit="days", source=RFM,
        formula="date(as_of) - date(last_activity_date)",
    ),
    Feature(
        "account_tenure_days", ("account_created_date",), unit="days", source="date arithmetic",
        formula="date(as_of) - date(account_created_date)",
    ),
    Feature(
        "daily_value_rate", ("total_value", "account_created_date"), unit="value per day", source=RFM,
        formula="total_value / max(account_tenure_days, 1)",
    ),
    Feature(
        "support_intensity", ("support_tickets", "account_created_date"), unit="tickets per 30 days",
        source="a rate over the tenure", formula="30 * support_tickets / max(account_tenure_days, 1)",
    ),
    Feature(
        "feature_usage_rate", ("feature_usage_count", "account_created_date"), unit="uses per day",
        source="a rate over the tenure", formula="feature_usage_count / max(account_tenure_days, 1)",
    ),
    Feature(
        "activity_recency_score", ("last_activity_date",), unit="0 to 1", source="exponential decay of 30 days",
        formula="exp(-days_since_last_activity / 30)",
    ),
    Feature(
        "value_tier", ("total_value",), scaled=False, unit="1 (lowest) to 4", source=RFM,
        formula="1 + how many of the stored quartiles (linear) of total_value it exceeds",
    ),
    Feature(
        "plan_value_score", ("plan_type",), scaled=False, unit="0 to 3", source="the order of the plans",
        formula="free 0, basic 1, premium 2, enterprise 3; another plan is missing",
    ),
    Feature(
        "engagement_score", ("last_activity_date", "feature_usage_count", "total_value"), unit="0 to 1",
        source="a composite index of equal weights: OECD/JRC, Handbook on Constructing Composite Indicators (2008)",
        formula="(activity_recency_score + rank(feature_usage_count) + rank(total_value)) / 3, ranks from 0 to 1",
    ),
)  # fmt: skip


def learn(frame: pd.DataFrame, as_of: pd.Timestamp) -> Learnt:
    """The edges of the tiers, the ranks of usage and value, and the scores of the plans.

    Returns
    -------
    dict
        `plans`, {plan: score}; `value_edges`, the three quartiles of total_value; `value_ranks` and `usage_ranks`,
        {values, ranks}: distinct values and their 0-1 ranks; `why` a feature is missing.
    """
    import numpy as np

    value = frame["total_value"].to_numpy("float64")
    known = value[~np.isnan(value)]
    edges = np.quantile(known, (0.25, 0.5, 0.75)).tolist() if len(known) else []
    learnt: Learnt = {"plans": dict(PLANS), "value_edges": edges, "value_ranks": ranks(value)}
    if "feature_usage_count" in frame:
        learnt["usage_ranks"] = ranks(frame["feature_usage_count"].to_numpy("float64"))
    if "plan_type" in frame:
        learnt["why"] = {"plan_value_score": ["the plan is none of those that have a score"]}
    return learnt


def ranks(values: Any) -> dict[str, list[float]]:
    """Distinct values and the rank of each from 0 (lowest) to 1 (highest).

    The rank of a value is (r - 1) / (n - 1), r its rank from 1 to n of all values, the mean of them where values are
    equal; 0.5 of a single one. Of more than 50,000 distinct values the first and the last of each ten-thousandth of the
    ranks are kept; a value between two kept ones lies between their ranks, linearly: less than 0.0001 beside its own.
    """
    import numpy as np

    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    shares = (before + (counts - 1) / 2) / (total - 1) if total > 1 else np.full(len(distinct), 0.5)
    if len(distinct) > RANKS_KEPT:
        step = np.floor(shares * STEPS)
        kept = np.append(True, step[1:] != step[:-1]) | np.append(step[1:] != step[:-1], True)
        distinct, shares = distinct[kept], shares[kept]
    return {"values": distinct.tolist(), "ranks": shares.tolist()}


def make(frame: pd.DataFrame, as_of: pd.Timestamp, learnt: Learnt) -> pd.DataFrame:
    """The nine features, or those whose fields are there.

    Raises
    ------
    ProcessingException
        An event lies after `as_of`: its age would be negative.
    """
    import numpy as np
    import pandas as pd

    idle = ages(frame["last_activity_date"], as_of)
    tenure = ages(frame["account_created_date"], as_of)
    lived = np.maximum(tenure, 1)
    value = frame["total_value"].to_numpy("float64")
    recency = np.exp(idle / -DECAY_DAYS)
    made: dict[str, Any] = {
        "days_since_last_activity": idle,
        "account_tenure_days": tenure,
        "daily_value_rate": value / lived,
    }
    if "support_tickets" in frame:
        made["support_intensity"] = MONTH_DAYS * frame["support_tickets"].to_numpy("float64") / lived
    if "feature_usage_count" in frame:
        made["feature_usage_rate"] = frame["feature_usage_count"].to_numpy("float64") / lived
    made["activity_recency_score"] = recency
    made["value_tier"] = np.searchsorted(learnt["value_edges"], value, side="left").astype("int8") + np.int8(1)
    if "plan_type" in frame:
        made["plan_value_score"] = plan_scores(frame["plan_type"], learnt["plans"])
    if "feature_usage_count" in frame:
        usage = frame["feature_usage_count"].to_numpy("float64")
        made["engagement_score"] = (
            recency + ranked(usage, learnt["usage_ranks"]) + ranked(value, learnt["value_ranks"])
        ) / 3
    return pd.DataFrame(made, index=frame.index)


def ages(dates: pd.Series, as_of: pd.Timestamp) -> Any:
    """Whole days from each date to that of `as_of`; none of no date; a date after it is refused."""
    import numpy as np

    on = dates.to_numpy("datetime64[D]")
    days = np.where(np.isnat(on), np.nan, (np.datetime64(as_of, "D") - on).astype("float64"))
    late = days < 0
    if late.any():
        first = dates[late].iloc[0]
        raise ProcessingException(
            f"{dates.name} lies after as_of {as_of.date()} in {int(late.sum())} rows, the first {first}: "
            "a negative age.",
            cure="Correct those rows, or give an as_of that is not before them.",
            resource=str(dates.name),
        )
    return days


def plan_scores(plans: pd.Series, scores: Mapping[str, float]) -> Any:
    """The score of each plan, without regard to case and space around it; missing of an unknown one."""
    import numpy as np
    import pandas as pd

    codes, levels = pd.factorize(plans)
    known = {str(plan).strip().casefold(): float(score) for plan, score in scores.items()}
    each = [known.get(str(level).strip().casefold(), np.nan) for level in levels]
    return np.array([*each, np.nan])[codes]


def ranked(values: Any, learnt: dict[str, list[float]]) -> Any:
    """The 0-1 rank of each value among those learnt; what lies outside them is 0 or 1."""
    import numpy as np

    if not learnt["values"]:
        return np.full(len(values), np.nan)
    return np.interp(values, learnt["values"], learnt["ranks"])


def _in_order(frame: pd.DataFrame) -> pd.Series:
    return ~(frame["account_created_date"] > frame["last_activity_date"])


def _known_plan(frame: pd.DataFrame) -> pd.Series:
    import numpy as np
    import pandas as pd

    plans = frame["plan_type"]
    return pd.Series(plans.isna().to_numpy() | ~np.isnan(plan_scores(plans, PLANS)), index=plans.index)


BLUEPRINT = Blueprint(
    name="customer_churn",
    description="Customers who may leave: one row a customer, as of one day",
    fields=FIELDS,
    features=FEATURES,
    identifier=("customer_id",),
    time="last_activity_date",
    learn=learn,
    make=make,
    rules=(
        Rule(
            "created_before_active",
            ("account_created_date", "last_activity_date"),
            _in_order,
            severity="high",
            message="the account was created after its last activity",
        ),
        Rule(
            "known_plan",
            ("plan_type",),
            _known_plan,
            severity="low",
            message="the plan is none of free, basic, premium, enterprise: its score is missing",
        ),
    ),
    thresholds={"completeness": 0.95, "uniqueness": 1.0, "validity": 0.98, "score": 80},
    plots=(
        Plot("Days since the last activity", "histogram", "days_since_last_activity"),
        Plot("Customers by tier of value", "bar", "value_tier"),
        Plot("Engagement", "histogram", "engagement_score"),
        Plot("Value and tenure", "scatter", "account_tenure_days", "total_value"),
    ),
)
