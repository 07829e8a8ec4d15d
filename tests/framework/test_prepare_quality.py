"""The last look at a prepared dataset: what may not pass does not, and nothing is told that is not so."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework import registry
from framework.errors import CompatibilityException, DataQualityError
from framework.prepare.blueprint import Blueprint, Field
from framework.prepare.quality import FinalQuality, final_quality

INFINITE = float("inf")


def blueprint(name: str = "customer_churn") -> Blueprint:
    found: Blueprint = registry.find("blueprint", name).load()
    return found


def judged(of: str = "customer_churn", *, how: dict[str, Any] | None = None, **columns: Any) -> FinalQuality:
    """What is said of these columns beside an identifier and a value, unless they are given; None leaves one out."""
    usual = {"customer_id": ["a", "b", "c"], "total_value": [1.0, 2.0, 3.5]} if of == "customer_churn" else {}
    there = {name: values for name, values in {**usual, **columns}.items() if values is not None}
    return final_quality(pd.DataFrame(there), blueprint(of), **(how or {}))


def told(quality: FinalQuality) -> list[tuple[str, str, str]]:
    return [(issue.rule, issue.column, issue.severity) for issue in quality.issues]


# --------------------------------------------------------------------------- what came out


def test_an_identifier_that_did_not_come_out_fails() -> None:
    """Rows that nothing tells apart are critical, and the score says why it is low."""
    quality = judged(customer_id=None)
    assert told(quality) == [("missing_field", "customer_id", "critical")]
    assert not quality.passed
    assert quality.score.value == pytest.approx(35)
    assert {(reason.part, reason.why) for reason in quality.score.reasons} >= {("completeness", "it is not there")}
    with pytest.raises(DataQualityError, match="told apart by"):
        quality.raise_if_failed()


def test_a_part_of_an_identifier_that_did_not_come_out_fails() -> None:
    """Of several, those that are there do not stand for the others."""
    plan = dataclasses.replace(blueprint(), identifier=("customer_id", "total_value"))
    quality = final_quality(pd.DataFrame({"customer_id": ["a", "a"], "x": [1, 2]}), plan)
    assert ("missing_field", "total_value", "critical") in told(quality)
    assert not quality.passed


@pytest.mark.parametrize("of", ["customer_churn", "price_optimization", "revenue_projection"])
def test_none_of_the_fields_is_critical(of: str) -> None:
    """Whatever else came out, a dataset without any field of its blueprint is not what was asked for."""
    quality = judged(of, customer_id=None, total_value=None, something=[1.0, 2.0, 3.0])
    assert [(rule, severity) for rule, _, severity in told(quality)] == [("missing_field", "critical")]
    assert not quality.passed
    assert quality.score.value < 50


@pytest.mark.parametrize(
    ("of", "columns"),
    [
        ("customer_churn", {}),
        ("price_optimization", {"product_id": ["p", "p", "q"], "price": [1.0, 2, 3], "quantity_sold": [3.0, 2, 2]}),
        ("revenue_projection", {"revenue": [10.0, 11, 12], "day_of_week": [0, 1, 2]}),
    ],
    ids=["churn", "price", "revenue"],
)
def test_dates_are_not_expected_to_come_out(of: str, columns: dict[str, Any]) -> None:
    """They went into features; and what has no identifier is not asked for one."""
    quality = judged(of, **columns)
    assert (quality.passed, quality.score.value, quality.issues) == (True, 100.0, [])


def test_a_required_field_that_did_not_come_out_is_told() -> None:
    """As a high issue; the rows may still be given to a model."""
    quality = judged(total_value=None, days_since_last_activity=[1.0, 2.0, 3.0])
    assert told(quality) == [("missing_field", "total_value", "high")]
    assert quality.passed


def test_the_target_is_not_expected_of_rows_to_be_foretold() -> None:
    """Such rows have none."""
    assert judged(total_value=None, how={"target": "total_value"}).issues == []


def test_texts_came_out_as_columns_of_their_values() -> None:
    """A required category is there when a column for one of its values is."""
    fields = (Field("key", "identifier"), Field("region", "category"))
    plan = Blueprint("regions", "of regions", fields, (), ("key",), make=lambda frame, as_of, learnt: frame[[]])
    north = pd.DataFrame({"key": ["a", "b"], "region_north": [0, 1]})
    assert final_quality(north, plan).issues == []
    assert told(final_quality(north[["key"]], plan)) == [("missing_field", "region", "high")]


def test_a_required_field_without_any_value_fails() -> None:
    """It came out in name only; its score of 80 is not what decides."""
    quality = judged(total_value=[np.nan] * 3)
    assert told(quality) == [("missing", "total_value", "critical")]
    assert not quality.passed
    assert [part.severity for part in judged(total_value=[np.nan, 1.0, 2.0]).issues] == ["high"]


def test_a_feature_without_any_value_is_medium() -> None:
    """A feature may be missing everywhere: that is told, and stops nothing."""
    quality = judged(plan_value_score=[np.nan] * 3, how={"features": ["plan_value_score"]})
    assert told(quality) == [("missing", "plan_value_score", "medium")]


def test_no_rows_are_critical() -> None:
    """Once, and without a word on each column."""
    empty = final_quality(pd.DataFrame({"customer_id": [], "total_value": []}), blueprint())
    assert told(empty) == [("rows", "", "critical")]


# --------------------------------------------------------------------------- values


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
@pytest.mark.parametrize("blank", ["", "  \t", None])
def test_a_blank_identifier_is_missing(dtype: str, blank: str | None) -> None:
    """White space tells no row from another, whatever holds it; it repeats none either."""
    quality = judged(customer_id=pd.Series(["a", blank, blank], dtype=dtype))
    assert told(quality) == [("identifier", "customer_id", "critical")]
    assert quality.issues[0].count == 2
    assert quality.uniqueness.overall == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1.0, INFINITE, np.nan]),
        pd.Series([1.0, -INFINITE, 2.0], dtype="float32"),
        pd.Series([1.0, INFINITE, None], dtype="Float64"),
        pd.Series([1.0, INFINITE, None], dtype="double[pyarrow]"),
        pd.Series([1.0, INFINITE, None], dtype=object),
        pd.Series([1.0, INFINITE, "text"], dtype=object),
        pd.Series([1.0, np.float32("inf"), "text"], dtype=object),
        pd.Series([Decimal(1), Decimal("-Infinity"), None], dtype=object),
        pd.Series([1.0, INFINITE, 2.0], dtype="category"),
        pd.Series([1.0, INFINITE, 2.0], dtype="Sparse[float]"),
        pd.Series([1, complex(0, INFINITE), 2]),
    ],
    ids=[
        "float64", "float32", "Float64", "arrow", "objects", "mixed", "numpy", "decimal", "category", "sparse",
        "complex",
    ],
)  # fmt: skip
def test_an_infinite_number_is_found_in_whatever_holds_it(values: pd.Series) -> None:
    """One critical issue, of one row."""
    quality = judged(x=values)
    (issue,) = (each for each in quality.issues if each.severity == "critical")
    assert (issue.rule, issue.column, issue.count, issue.message) == ("finite", "x", 1, "'x' is infinite in 1 row.")
    assert quality.validity.fields["x"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([None, 1, 2], dtype="Int64"),
        pd.Series([None, 1.5, 1.5], dtype="Float64"),
        pd.Series([None, True, True], dtype="boolean"),
        pd.Series([None, "a", "b"], dtype="string"),
        pd.Series([None, "a", "a"], dtype=object),
        pd.Series([1.0, np.nan, 1.0]),
        pd.Series([1, 2, 2], dtype="Int64"),
        pd.Series(["a", "a", "b"], dtype="category"),
        pd.Series([[1], [2], [1]]),
        pd.Series([{"a": 1}, {"a": 2}, {"a": 1}]),
        pd.Series([1, "1", None], dtype=object),
    ],
    ids=["Int64", "Float64", "boolean", "string", "objects", "float", "two", "category", "lists", "dicts", "mixed"],
)
def test_no_column_of_several_values_or_of_gaps_is_called_one_value(values: pd.Series) -> None:
    """What is missing in some rows is told as that alone."""
    assert "constant" not in {issue.rule for issue in judged(x=values).issues}


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 1, 1], dtype="Int64"),
        pd.Series([1.5, 1.5, 1.5]),
        pd.Series(["a", "a", "a"], dtype="category"),
        pd.Series(["a", "a", "a"], dtype="string"),
        pd.Series([True, True, True]),
        pd.Series([[1, 2]] * 3),
        pd.Series([np.array([1, 2])] * 3),
        pd.Series(pd.to_datetime(["2024-01-01"] * 3)),
        pd.Series(pd.period_range("2024-01", periods=1, freq="M").repeat(3)),
        pd.Series([Decimal("1.5")] * 3),
    ],
    ids=["Int64", "float", "category", "string", "flag", "lists", "arrays", "dates", "periods", "decimal"],
)
def test_a_column_of_one_value_is_told(values: pd.Series) -> None:
    """Low; medium of the target."""
    assert told(judged(x=values)) == [("constant", "x", "low")]
    assert told(judged(x=values, how={"target": "x"})) == [("constant", "x", "medium")]


def test_a_column_that_changes_late_is_not_constant() -> None:
    """All rows are looked at where the first are one."""
    values = [1.0] * 5000 + [2.0]
    ids = [f"c{number}" for number in range(len(values))]
    assert judged(customer_id=ids, total_value=values).issues == []


@pytest.mark.parametrize(
    ("keys", "again"),
    [
        ([[1], [2], [1]], 1),
        ([np.array([1, 2]), np.array([1, 3]), np.array([1, 2])], 1),
        ([{"a": 1}, {"a": 2}, {"a": 3}], 0),
        ([1, "x", 1], 1),
        (pd.to_timedelta([1, 2, 1], unit="D"), 1),
        (pd.period_range("2024-01", periods=3, freq="M"), 0),
        (pd.interval_range(0, 3), 0),
        (pd.Series([7, 8, 7], dtype="Int64"), 1),
    ],
    ids=["lists", "arrays", "dicts", "mixed", "durations", "periods", "intervals", "Int64"],
)
def test_identifiers_of_any_kind_are_compared(keys: Any, again: int) -> None:
    """Those that Python cannot hash by how they look."""
    quality = judged(customer_id=keys)
    assert [issue.count for issue in quality.issues if issue.rule == "unique"] == [again] * (again > 0)
    assert quality.uniqueness.overall == pytest.approx(1 - again / 3)


def test_identifiers_that_are_all_missing_repeat_nothing() -> None:
    """They are missing, and no row counts as unique."""
    for missing in (None, np.nan, pd.NaT):
        quality = judged(customer_id=[missing] * 3)
        assert told(quality) == [("identifier", "customer_id", "critical")]
        assert quality.uniqueness.overall == 0


def test_one_row_repeats_and_two_repeat() -> None:
    """The words fit the number."""
    assert judged(customer_id=["a", "a", "b"]).issues[0].message == "1 row repeats the identifier of an earlier one."
    assert judged(customer_id=["a", "a", "a"]).issues[0].message == "2 rows repeat the identifier of an earlier one."


# --------------------------------------------------------------------------- how it is asked


def test_columns_of_one_name_are_refused() -> None:
    """By a typed error that names them."""
    frame = pd.DataFrame([["a", 1, 2], ["b", 2, 3]], columns=["customer_id", "total_value", "total_value"])
    with pytest.raises(CompatibilityException, match=r"one name: \['total_value'\]"):
        final_quality(frame, blueprint())


@pytest.mark.parametrize("said", [None, {}, {"score": None}])
def test_a_threshold_that_is_none_is_as_usual(said: dict[str, Any] | None) -> None:
    """The blueprint's, else 80."""
    plan, gap = blueprint(), pd.DataFrame({"customer_id": ["a", "b"], "total_value": [1.0, None]})
    assert final_quality(gap, plan, thresholds=said).passed
    strict = dataclasses.replace(plan, thresholds={"score": 99})
    assert final_quality(gap, strict, thresholds=said).failures == ["a score of 90.00, below 99"]
    assert not final_quality(gap, plan, thresholds={"score": 99}).passed
    silent = dataclasses.replace(plan, thresholds={"score": None})
    assert final_quality(gap, silent, thresholds=said).passed
