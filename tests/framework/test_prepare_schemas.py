"""Blueprints as schemas of pandera, and what users add to them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framework.errors import OptionError, UnknownNameError
from framework.prepare.blueprint import Blueprint, Field
from framework.prepare.schemas import SchemaRegistry
from framework.prepare.validation import DataValidationService

pandera = pytest.importorskip("pandera.pandas", reason="the extra `prepare` is not installed")

PLAN = Blueprint(
    name="goods",
    description="What is sold.",
    fields=(
        Field("sku", "identifier", pattern="S[0-9]", description="Stock-keeping unit"),
        Field("price", "number", minimum=0),
        Field("colour", "category", required=False, allowed=("red", "blue")),
    ),
    features=(),
    identifier=("sku",),
    make=lambda frame, as_of, learnt: frame,
)


def registry() -> SchemaRegistry:
    return SchemaRegistry([PLAN])


def test_a_schema_has_the_fields_with_their_words() -> None:
    """By name; one that is not there names those that are."""
    schemas = registry()
    assert schemas.list_schemas() == ["goods"]
    schema = schemas.get_schema("goods")
    assert list(schema.columns) == ["sku", "price", "colour"]
    assert schema.columns["sku"].description == "Stock-keeping unit"
    assert [schema.columns[name].required for name in schema.columns] == [True, True, False]
    with pytest.raises(UnknownNameError, match=r"no blueprint 'good'.*'goods'"):
        schemas.get_schema("good")


ROWS = st.tuples(
    st.sampled_from(["S1", "S2", "S3", "x", None, " "]),
    st.sampled_from([1.0, -1.0, None, "1", "much", " "]),
    st.sampled_from(["red", " Blue", "green", None]),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=5))
@example([(" ", 1.0, "red")])
def test_a_schema_refuses_what_the_service_has_an_issue_with(rows: list[Any]) -> None:
    """With thresholds at their strictest, and gaps where they may be: the two never disagree."""
    frame = pd.DataFrame(rows, columns=["sku", "price", "colour"], dtype=object)
    config = {"statistical_validation": False, "completeness": 0.0}
    issues = DataValidationService(config).validate(frame, PLAN).issues
    try:
        registry().get_schema("goods").validate(frame, lazy=True)
    except pandera.errors.SchemaErrors:
        assert issues
    else:
        assert not issues


def goods() -> pd.DataFrame:
    return pd.DataFrame({"sku": ["S1", "S2", "S3"], "Price": [1.0, 2.0, 3.0], "weight": [1, 2, 3]})


def test_a_check_that_a_user_adds_is_judged_too() -> None:
    """By the blueprint's names; high where more than may be break it, with the rows that do."""
    schemas = registry()
    cheap = pandera.Check(lambda prices: prices < 2.5, name="cheap")
    schemas.add("goods", pandera.DataFrameSchema({"price": pandera.Column(checks=cheap)}))
    result = DataValidationService(schemas=schemas).validate(goods(), "goods")
    (issue,) = result.issues
    assert (issue.rule, issue.severity, issue.count) == ("schema:cheap", "high", 1)
    assert issue.examples == [{"row": 2, "value": "3.0"}]
    assert DataValidationService({"schema_validation": False}, schemas=schemas).validate(goods(), "goods").issues == []
    names = [check.name for check in schemas.get_schema("goods").columns["price"].checks]
    assert names == ["type", "range", "cheap"]


def test_a_column_or_a_check_of_the_whole_frame_may_be_added() -> None:
    """A column that is not there is told."""
    schemas = registry()
    whole = pandera.Check(lambda frame: frame["price"].sum() < 5, name="together")
    schemas.add("goods", pandera.DataFrameSchema({"taste": pandera.Column()}, checks=whole))
    rules = {issue.rule for issue in DataValidationService(schemas=schemas).validate(goods(), "goods").issues}
    assert rules == {"schema:column_in_dataframe", "schema:together"}
    assert "taste" in schemas.get_schema("goods").columns
    with pytest.raises(OptionError, match="DataFrameSchema of pandera, not dict"):
        schemas.add("goods", {})  # type: ignore[arg-type]
