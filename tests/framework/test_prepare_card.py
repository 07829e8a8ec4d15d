"""The data card: all that is to be known of a prepared dataset, and nothing of a row."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework import registry
from framework.prepare.card import data_card, rows_told, source_name, warnings_told
from framework.prepare.compatibility import compatibility
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.quality import final_quality
from framework.prepare.states import PipelineState, PipelineStatus
from framework.prepare.validation import DataValidationService
from framework.redact import register_secret
from framework.schema import encode, fingerprint

FOLDER = "/home/ann-private/exports"


class Prepared:
    """A dataset that went through the real stages, and its card."""

    def __init__(self, frame: pd.DataFrame, blueprint: str, **asked: Any) -> None:
        config, as_of = asked.pop("config", {}), asked.pop("as_of", None)
        self.plan = registry.find("blueprint", blueprint).load()
        self.state = PipelineState(f"{FOLDER}/{blueprint}.csv", blueprint)
        text = frame.to_csv(index=False).encode() + asked.pop("more", b"")
        read, self.state.ingestion = DataIngestionService().ingest(
            io.BytesIO(text), filename=self.state.source, on_bad_rows="quarantine"
        )
        self.state.compatibility = found = compatibility(read.columns, self.plan)
        self.state.validation = DataValidationService().validate(read, self.plan, found.fields)
        self.named = read.rename(columns={column: name for name, column in found.fields.items()})
        service = DataPreprocessingService(config)
        self.frame, self.raw, self.recipe, result = service.fit(self.named, self.plan, as_of=as_of, **asked)
        self.state.preprocessing = result
        self.state.warnings += result.warnings
        self.state.seconds = {"ingestion": 0.25, "preprocessing": 0.5}
        self.state.quality = final_quality(self.frame, self.plan, features=self.recipe.features)
        self.state.status, self.state.ended_at = PipelineStatus.COMPLETED, time.time()

    def card(self, **options: Any) -> dict[str, Any]:
        return data_card(self.state, self.recipe, self.frame, self.plan, **options)


def customers(rows: int = 400) -> pd.DataFrame:
    """With gaps, a negative value, unknown plans, and a row without a date."""
    chance = np.random.default_rng(5)
    last = pd.Timestamp("2026-06-30") - pd.to_timedelta(chance.integers(0, 90, rows), "D")
    frame = pd.DataFrame(
        {
            "Customer ID": [f"cust-{number:05d}" for number in range(rows)],
            "last_activity_date": last.strftime("%Y-%m-%d"),
            "account_created_date": (last - pd.to_timedelta(chance.integers(1, 900, rows), "D")).strftime("%Y-%m-%d"),
            "total_value": chance.lognormal(5, 1, rows).round(2),
            "support_tickets": chance.poisson(2, rows).astype(float),
            "plan_type": chance.choice(["free", "basic", "premium"], rows),
            "churned": chance.choice(["no", "yes"], rows),
        }
    )
    frame.loc[[7, 9], "total_value"] = np.nan
    frame.loc[[3, 4, 5], "support_tickets"] = np.nan
    frame.loc[[11], "total_value"] = -1.0
    frame.loc[[20, 21], "plan_type"] = "platinum"
    frame.loc[[30], "last_activity_date"] = None
    return frame


def revenue() -> pd.DataFrame:
    days = pd.date_range("2025-01-01", periods=120)
    frame = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "revenue": np.linspace(100, 300, 120).round(2)})
    return pd.concat([frame.drop(index=[40, 41]), frame.iloc[[10, 11, 12]]])


def prices() -> pd.DataFrame:
    """Two products without an elasticity: their price never changes."""
    rows = [
        (f"SKU-{product}", 10 + product + (day % 4 if product > 1 else 0), 50 - 3 * (day % 4) + product, day)
        for product in range(5)
        for day in range(20)
    ]
    frame = pd.DataFrame(rows, columns=["product_id", "price", "quantity_sold", "date"])
    return frame.assign(date=(pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["date"], "D")).dt.strftime("%Y-%m-%d"))


DATA = {"customer_churn": customers, "revenue_projection": revenue, "price_optimization": prices}


@pytest.mark.parametrize("name", sorted(DATA))
def test_a_card_is_json_and_tells_of_each_column_in_order(name: str) -> None:
    """What is read again is what was written, numbers as numbers, and the columns are those of the dataset."""
    prepared = Prepared(DATA[name](), name)
    card = prepared.card()
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert (card["format"], card["version"]) == ("millpond-card", 1)
    assert [each["name"] for each in card["columns"]] == list(prepared.frame.columns)
    assert [each["type"] for each in card["columns"]] == [str(each) for each in prepared.frame.dtypes]
    assert [each["missing"] for each in card["columns"]] == prepared.frame.isna().sum().tolist()
    assert card["dataset"]["rows"] == len(prepared.frame)
    assert card["made"]["seconds"] == {"ingestion": 0.25, "preprocessing": 0.5}
    numbers = [value for each in card["columns"] for value in each.get("values", {}).values()]
    assert numbers
    assert not any(isinstance(value, str) for value in numbers)


@pytest.mark.parametrize("name", sorted(DATA))
def test_the_rows_of_a_card_add_up(name: str) -> None:
    """Each row that was read came out, was refused for a reason, or was summed into another."""
    rows = Prepared(DATA[name](), name).card()["rows"]
    assert rows["read"] == rows["out"] + rows["brought_together"] + sum(each["count"] for each in rows["refused"])
    assert rows["read"] == len(DATA[name]())


def test_rows_that_were_refused_are_told_with_their_reasons() -> None:
    """Broken lines of the file and rows without a date are counted, each with its why."""
    rows = Prepared(customers(), "customer_churn", more=b"only,two\n").card()["rows"]
    assert rows["refused_in_file"] == 1
    assert rows["refused_in_file_why"][0]["count"] == 1
    assert rows["refused"] == [{"why": "last_activity_date is missing", "count": 1}]
    assert Prepared(revenue(), "revenue_projection").card()["rows"]["brought_together"] == 3


def test_a_preparation_that_only_read_tells_how_many_rows() -> None:
    """What did not get so far is None, not 0."""
    state = PipelineState("x.csv", "customer_churn")
    assert rows_told(state)["read"] is None
    _, state.ingestion = DataIngestionService().ingest(io.BytesIO(b"a,b\n1,2\n3,4\n"), filename="x.csv")
    assert (rows_told(state)["read"], rows_told(state)["out"]) == (2, None)


@pytest.mark.parametrize("scaling", ["robust", "standard", "minmax", "none"])
def test_the_numbers_of_a_feature_are_told_before_scaling_too(scaling: str) -> None:
    """They are those of the feature as it was made."""
    prepared = Prepared(customers(), "customer_churn", config={"scaling_method": scaling})
    told = {each["name"]: each["values"] for each in prepared.card()["columns"] if each["role"] == "feature"}
    assert set(told) == set(prepared.raw.columns)
    for name, column in prepared.raw.items():
        found = told[name].get("before_scaling", told[name])
        assert found["min"] == pytest.approx(column.min(), abs=1e-9)
        assert found["mean"] == pytest.approx(column.mean())
        assert found["max"] == pytest.approx(column.max())


def test_a_column_says_what_was_done_to_it() -> None:
    """Imputed, capped and scaled, with the numbers of the recipe; encoded, with the column that it is made of."""
    prepared = Prepared(customers(), "customer_churn")
    told = {each["name"]: each for each in prepared.card()["columns"]}
    value = told["total_value"]
    assert value["imputed"] == {
        "how": "median",
        "why": value["imputed"]["why"],
        "count": 2,
        "value": prepared.recipe.values["total_value"],
    }
    capped = prepared.state.preprocessing.capped["total_value"]
    assert value["capped"]["above"] == capped["above"] > 0
    assert [value["capped"]["lowest"], value["capped"]["highest"]] == prepared.recipe.caps["total_value"]
    assert value["scaled"]["numbers"] == prepared.recipe.scales["total_value"]
    assert told["plan_type_free"]["made_of"] == "plan_type"
    assert told["plan_type_free"]["encoded"] == {"method": "onehot", "levels": 4}
    assert told["support_intensity"]["unit"] == "tickets per 30 days"
    assert told["support_intensity"]["formula"]
    assert told["customer_id"]["role"] == "identifier"


def test_no_value_of_an_identifier_is_in_a_card() -> None:
    """Neither of text nor of number, neither as lowest nor in a reason why a feature is missing."""
    text = json.dumps(Prepared(customers(), "customer_churn").card())
    assert "cust-" not in text
    numbered = customers().assign(**{"Customer ID": np.arange(400) + 8_675_309})
    card = Prepared(numbered, "customer_churn").card()
    assert "values" not in card["columns"][0]
    assert card["columns"][0]["distinct"] == 399
    assert "8675" not in json.dumps(card)
    prepared = Prepared(prices(), "price_optimization")
    assert any("SKU-0" in each for each in prepared.state.warnings)
    assert "SKU-" not in json.dumps(prepared.card())


def test_reasons_of_missing_features_are_counted_without_their_products() -> None:
    """Two products of one price are one reason, twice."""
    told = {each["feature"]: each for each in Prepared(prices(), "price_optimization").card()["incomplete"]}
    assert told["price_elasticity"] == {
        "feature": "price_elasticity",
        "rows": 40,
        "why": ["fewer than 3 distinct prices (2 times)"],
    }


def test_a_column_that_may_tell_of_somebody_is_withheld() -> None:
    """An extra number of which each row has its own, and a column whose name speaks of a secret, have no values."""
    frame = customers().assign(phone=np.arange(400) + 4_915_000, password_age=np.arange(400) % 7, floor=1)
    told = {each["name"]: each for each in Prepared(frame, "customer_churn", keep_extra=True).card()["columns"]}
    assert {"withheld"} <= set(told["phone"]) & set(told["password_age"])
    assert "values" not in told["phone"]
    assert told["floor"]["values"]["max"] == 0.0
    assert told["floor"]["values"]["before_scaling"]["max"] == 1.0


def test_a_text_of_few_rows_is_not_named() -> None:
    """The levels of a target are told where each has many rows, else only how many there are."""
    card = Prepared(customers(), "customer_churn", target="churned").card()
    assert set(card["columns"][-1]["values"]["rows"]) == {"no", "yes"}
    rare = customers()
    rare.loc[0, "churned"] = "moved to Ms Miller's"
    card = Prepared(rare, "customer_churn", target="churned").card()
    assert card["columns"][-1]["values"] == {"levels": 3}
    assert "Miller" not in json.dumps(card)


def test_target_encoded_columns_are_said_to_be_cross_fitted() -> None:
    """The recipe's transform gives other values for these rows, and the card says so; else it says nothing of it."""
    config = {"encoding_strategy": "target"}
    prepared = Prepared(customers(), "customer_churn", target="churned", config=config)
    card = prepared.card()
    assert card["cross_fitted"] == ["plan_type"]
    assert any("cross-fitted" in each for each in card["notes"])
    again = prepared.recipe.transform(prepared.named)
    assert not again["plan_type"].equals(prepared.frame["plan_type"])
    plain = Prepared(customers(), "customer_churn", target="churned").card()
    assert plain["cross_fitted"] == []
    assert not any("cross-fitted" in each for each in plain["notes"])


def test_the_quality_is_told_with_its_parts_and_issues_without_examples() -> None:
    """The points of the parts are the score; no issue shows a value of a row."""
    prepared = Prepared(customers(), "customer_churn")
    assert any(issue.examples for issue in prepared.state.validation.issues)
    told = prepared.card()["quality"]
    assert sum(part["points"] for part in told["parts"]) == pytest.approx(told["score"])
    assert all(
        part["most"] - part["points"] == pytest.approx(sum(one["points"] for one in part["lost"]))
        for part in told["parts"]
    )
    found = [each for severity in told["issues"].values() for each in severity]
    assert len(found) == len(prepared.state.validation.issues) > 3
    assert all("examples" not in each for each in found)
    assert told["thresholds"]["score"] == 80
    assert told["final"]["passed"]
    assert "completeness" in told["formula"]


def test_thresholds_and_settings_of_a_pipeline_are_told() -> None:
    """What was asked of this run stands in the card, over what is usual."""
    card = Prepared(customers(), "customer_churn").card(thresholds={"score": 95}, settings={"on_bad_rows": "refuse"})
    assert card["quality"]["thresholds"] == {"score": 95}
    assert card["settings"]["on_bad_rows"] == "refuse"
    assert card["settings"]["scaling_method"] == "robust"


def test_features_that_are_absent_are_told_with_what_they_lack() -> None:
    """Usage was not there: no rate of it and no engagement."""
    card = Prepared(customers(), "customer_churn").card()
    assert {each["feature"]: each["lacking"] for each in card["absent"]} == {
        "feature_usage_rate": ["feature_usage_count"],
        "engagement_score": ["feature_usage_count"],
    }


def test_the_fingerprint_is_that_of_the_frame() -> None:
    """A store that keeps the frame gives it the same."""
    prepared = Prepared(customers(), "customer_churn")
    assert prepared.card()["fingerprint"] == fingerprint(*encode(prepared.frame))


def test_a_card_names_the_file_and_not_its_folder() -> None:
    """Of a path of either kind."""
    assert "ann-private" not in json.dumps(Prepared(customers(), "customer_churn").card())
    assert source_name("/srv/x/data.csv") == source_name(r"C:\Users\ann\data.csv") == "data.csv"
    assert source_name("data.csv") == "data.csv"


def test_a_secret_is_masked_in_a_card() -> None:
    """Wherever it comes from: a name of a column, a setting."""
    register_secret("tulip-garden-4711")
    frame = customers().assign(**{"tulip-garden-4711": 1})
    card = Prepared(frame, "customer_churn").card(settings={"out": "postgres://u:hunter22@h/db"})
    text = json.dumps(card)
    assert "tulip-garden" not in text
    assert "hunter22" not in text


def test_a_recipe_that_was_applied_has_a_card_too() -> None:
    """With what stands in for gaps, and how many texts it had not seen, but none of them."""
    prepared = Prepared(customers(), "customer_churn")
    new = prepared.named.head(50).copy()
    new.loc[new.index[:6], "plan_type"] = "for Ms Miller"
    prepared.state.preprocessing = applied = prepared.recipe.apply(new)
    prepared.state.warnings = ["plan_type has 6 values that the recipe has not seen: for Ms Miller"]
    prepared.frame = applied.frame
    card = prepared.card()
    assert card["rows"]["out"] == len(applied.frame)
    assert "plan_type has 6 values that the recipe has not seen" in card["warnings"]
    assert "Miller" not in json.dumps(card)
    told = {each["name"]: each for each in card["columns"]}
    assert told["support_tickets"]["imputed"]["count"] == 3
    assert {each["feature"] for each in card["absent"]} == {"feature_usage_rate", "engagement_score"}


def test_a_warning_is_told_once() -> None:
    """Though a stage and the state both have it."""
    prepared = Prepared(customers(), "customer_churn")
    found = warnings_told(prepared.state)
    assert len(found) == len(set(found)) > 0
