"""Whether data is good enough, against what plain Python says of each cell and each row."""

from __future__ import annotations

import json
import logging
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import (
    ColumnNotFoundError,
    CompatibilityException,
    DataQualityError,
    OptionError,
    StepError,
    UnknownNameError,
    ValidationException,
)
from framework.prepare.anomalies import by_iqr, by_zscore, in_order
from framework.prepare.blueprint import Blueprint, Field, Rule
from framework.prepare.checks import arrow_of, check_column
from framework.prepare.patterns import matches
from framework.prepare.repeats import repeated
from framework.prepare.validation import DataValidationService, ValidationConfig, ValidationResult

PLAN = Blueprint(
    name="visits",
    description="Visits of customers.",
    fields=(
        Field("id", "identifier", critical=True, pattern=r"V\d+"),
        Field("opened", "datetime", critical=True),
        Field("closed", "datetime", required=False),
        Field("amount", "number", minimum=0, maximum=100),
        Field("plan", "category", required=False, allowed=("Free", "Paid")),
    ),
    features=(),
    identifier=("id",),
    make=lambda frame, as_of, learnt: frame,
    rules=(
        Rule(
            "order", ("opened", "closed"), lambda frame: frame["closed"] >= frame["opened"], "high", "closed too soon"
        ),
    ),
)


def visits(rows: int = 100) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=rows)
    return pd.DataFrame(
        {
            "id": [f"V{place}" for place in range(rows)],
            "opened": days,
            "closed": days + pd.Timedelta(days=1),
            "amount": np.linspace(1, 99, rows),
            "plan": ["free ", "PAID"] * (rows // 2),
        }
    )


def judged(frame: pd.DataFrame, plan: Blueprint = PLAN, **config: Any) -> ValidationResult:
    return DataValidationService(config).validate(frame, plan)


def found(result: ValidationResult) -> dict[tuple[str, str], str]:
    return {(issue.rule, issue.column): issue.severity for issue in result.issues}


# Cells, one by one.

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
FLAGS = {"true", "yes", "y", "t", "1", "on", "false", "no", "n", "f", "0", "off"}
TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "1", " 2.5 ", "-3", "+4", "1e3", "1e999", "inf", "nan", "1_000", "٣", "0x1", "Yes", "off "]
    ),
    st.sampled_from(["Free", " PAID\t", "V1", "V1\n", "true", "1.", ".5", ".", "\x1c", "free"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),  # to a category of pandas it is ""
)
CELLS = st.one_of(
    st.none(), TEXTS, st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.just(math.nan)
)


def missing(cell: Any) -> bool:
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )


def as_number(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, str):
        cell = float(cell.strip()) if NUMBER.fullmatch(cell.strip()) else math.nan
    try:
        return float(cell) if math.isfinite(float(cell)) else None
    except OverflowError:
        return None


def of_type(cell: Any, kind: str) -> bool:
    if kind == "number":
        return as_number(cell) is not None
    if kind == "integer":
        number = as_number(cell)
        return number is not None and number.is_integer()
    return str(cell).strip().casefold() in FLAGS


@pytest.mark.parametrize("kind", ["number", "integer"])
@settings(deadline=None)
@given(cells=st.lists(CELLS, max_size=12))
def test_numbers_are_told_from_what_is_none(kind: Any, cells: list[Any]) -> None:
    """Of cells of any types together: which are missing, which are no number, which lie outside."""
    field = Field("x", kind, minimum=-2, maximum=1000)
    checked = check_column(pd.Series(cells, dtype=object), field, column="x")
    gone = [missing(cell) for cell in cells]
    odd = [not lost and not of_type(cell, kind) for cell, lost in zip(cells, gone, strict=True)]
    far = [
        not lost and not wrong and not -2 <= (as_number(cell) or 0) <= 1000
        for cell, lost, wrong in zip(cells, gone, odd, strict=True)
    ]
    assert checked.missing.tolist() == gone
    assert checked.broken.get("type", np.zeros(len(cells), bool)).tolist() == odd
    assert checked.broken.get("range", np.zeros(len(cells), bool)).tolist() == far


@settings(deadline=None)
@given(cells=st.lists(st.one_of(st.none(), TEXTS), max_size=12))
def test_texts_are_judged_by_pattern_and_by_what_is_allowed(cells: list[str | None]) -> None:
    """A cell that breaks the pattern is not asked further; case and space around do not count for what is allowed."""
    field = Field("x", "category", pattern=r"[A-Za-z ]*\s?", allowed=("Free", "paid", "Yes"))
    wrong = [not missing(cell) and not re.fullmatch(r"[A-Za-z ]*\s?", cell or "") for cell in cells]
    strange = [
        not missing(cell) and not odd and (cell or "").strip().casefold() not in ("free", "paid", "yes")
        for cell, odd in zip(cells, wrong, strict=True)
    ]
    for dtype in ("object", "string", "category"):
        checked = check_column(pd.Series(cells, dtype=dtype), field, column="x")
        assert checked.missing.tolist() == [missing(cell) for cell in cells]
        assert checked.broken.get("pattern", np.zeros(len(cells), bool)).tolist() == wrong
        assert checked.broken.get("allowed", np.zeros(len(cells), bool)).tolist() == strange


@settings(deadline=None)
@given(cells=st.lists(st.one_of(st.none(), TEXTS), max_size=12))
def test_flags_are_the_words_that_mean_yes_or_no(cells: list[str | None]) -> None:
    """Without regard to case and space around them."""
    checked = check_column(pd.Series(cells, dtype=object), Field("x", "flag"), column="x")
    odd = [not missing(cell) and not of_type(cell, "flag") for cell in cells]
    assert checked.broken.get("type", np.zeros(len(cells), bool)).tolist() == odd


@pytest.mark.parametrize(
    ("kind", "values", "odd"),
    [
        (
            "datetime",
            ["2024-02-29", "2024-02-30", "2024-01-01T10:00:00+02:00", "01/02/2024", None, "9999-01-01"],
            [1, 3, 5],
        ),
        ("datetime", [1, 2], [0, 1]),
        ("datetime", pd.to_datetime(["2024-01-01", None]), []),
        ("flag", [True, False], []),
        ("flag", pd.array([0, 1, 2, None], dtype="Int64"), [2]),
        ("flag", [0.0, 1.0, 0.5, math.nan], [2]),
        ("number", [True, False], [0, 1]),
        ("number", pd.to_datetime(["2024-01-01"]), [0]),
        ("number", [1.0, math.inf, math.nan], [1]),
        ("integer", [1.0, 1.5, math.nan], [1]),
        ("integer", pd.array([1, None], dtype="Int64"), []),
        ("text", [[1], [2]], [0, 1]),
        ("category", [b"a", None], [0]),
        ("identifier", [1, 2], []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_column_of_another_type_is_told(kind: Any, values: Any, odd: list[int]) -> None:
    """By the type that it has in the frame."""
    checked = check_column(pd.Series(values), Field("x", kind), column="x")
    assert np.flatnonzero(checked.broken.get("type", [])).tolist() == odd


@pytest.mark.parametrize(("values", "broken"), [([1.0, 2.0, 7.0], [2]), ([1, 2, 7], [2]), ([True, False], [0, 1])])
def test_numbers_are_allowed_as_they_would_be_written(values: list[Any], broken: list[int]) -> None:
    """A whole number without a point, though a gap made the column one of floats."""
    checked = check_column(pd.Series(values), Field("x", "category", allowed=("1", "2")), column="x")
    assert np.flatnonzero(checked.broken["allowed"]).tolist() == broken


def test_a_long_column_that_repeats_itself_is_judged_like_a_short_one() -> None:
    """Each distinct text is judged once, and every row has its verdict."""
    cells = ["Free", "paid", "x", "", None] * 2_000
    field = Field("x", "category", pattern="[a-zA-Z]+", allowed=("Free", "paid"))
    long, short = (check_column(pd.Series(each), field, column="x") for each in (cells, cells[:5]))
    assert long.broken["allowed"].tolist() == short.broken["allowed"].tolist() * 2_000
    assert long.missing.tolist() == short.missing.tolist() * 2_000
    numbers = check_column(pd.Series(["1", "2.5", "x", None] * 2_000), Field("x", "number"), column="x").numbers
    assert numbers[:3].tolist()[:2] == [1.0, 2.5]
    assert np.isnan(numbers[2::4]).all()


PIECES = [
    "a",
    "b",
    r"\d",
    r"\w",
    r"\s",
    r"\S",
    ".",
    "^",
    "$",
    r"\b",
    "[^a]",
    "(?:a|b)",
    "é",
    r"\.",
    "-",
    r"\n",
    "(?i:A)",
]
LETTERS = st.text(st.sampled_from("abAB1 .-_\n\t\x0b\x1cé٣ſ"), max_size=5)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", "", "*", "?", "{2}", "{,2}"])), max_size=4),
    st.booleans(),
    st.lists(LETTERS, max_size=8),
)
def test_a_pattern_matches_what_python_says(parts: list[tuple[str, str]], either: bool, texts: list[str]) -> None:
    """Though another engine looks first."""
    pattern = ("|" if either else "").join(piece + often for piece, often in parts)
    try:
        re.compile(pattern)
    except re.error:  # such as `^*`
        return
    wanted = [re.fullmatch(pattern, text) is not None for text in texts]
    assert matches(pa.array(texts, pa.string()), pattern).tolist() == wanted


@pytest.mark.parametrize("pattern", [r"(?=a)a+", r"(a)\1", "a++", "[[:alpha:]]+", r"a\$", "^a|b$", r"a\Z", "(?x) a #$"])
def test_patterns_that_only_python_knows_are_asked_of_it(pattern: str) -> None:
    """Look-ahead, references back, possessive, and what looks like an end and is none."""
    texts = ["a", "aa", "b", "a$", "ab", "A", ":"]
    assert matches(pa.array(texts), pattern).tolist() == [bool(re.fullmatch(pattern, text)) for text in texts]


def test_a_pattern_that_is_none_is_an_error() -> None:
    """It names it."""
    with pytest.raises(OptionError, match=r"'\(' is no pattern"):
        matches(pa.array(["a"]), "(")


# Keys.


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "ab", "", "\0", None]), st.one_of(st.none(), st.integers(0, 2))), max_size=20
    ),
    st.integers(1, 2),
    st.sampled_from([0, 3_000]),
)
def test_a_row_repeats_an_earlier_one_when_all_of_its_key_is_the_same(rows: list[Any], width: int, more: int) -> None:
    """Rows that lack a part of it are not looked at; among many rows as among few."""
    rows = [*((f"more {place}", place) for place in range(more, 0, -1)), *rows]
    columns = [pd.Series([row[0] for row in rows], dtype=object), pd.Series([row[1] for row in rows], dtype="Int64")]
    keys = [tuple(row[:width]) for row in rows]
    known = np.array([None not in key for key in keys], dtype=bool)
    seen: set[Any] = set()
    wanted = []
    for place, key in enumerate(keys):
        if known[place] and key in seen:
            wanted.append(place)
        seen.add(key)
    assert repeated([arrow_of(column) for column in columns[:width]], known).tolist() == wanted


def test_one_repeat_among_many_is_found_in_whatever_order() -> None:
    """Sorted rows are seen at once to be all different; the others by their hashes."""
    ids = [f"C{place:06}" for place in range(20_000)]
    whole = np.ones(20_001, dtype=bool)
    assert repeated([pa.array(ids)], whole[1:]).tolist() == []
    assert repeated([pa.array(ids[::-1])], whole[1:]).tolist() == []
    assert repeated([pa.array([*ids, ids[7]])], whole).tolist() == [20_000]
    assert repeated([pa.array([*ids[::-1], ids[7]]).dictionary_encode()], whole).tolist() == [20_000]


# Outliers.


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_outliers_are_those_that_pandas_says(values: list[float]) -> None:
    """Beyond the fences, and beyond three deviations; a value on a fence is none."""
    series = pd.Series(values, dtype="float64")
    ordered = in_order(series.to_numpy(copy=True))
    low, high = series.quantile(0.25), series.quantile(0.75)
    fences = by_iqr(ordered)
    outside = int(((series < fences.lower) | (series > fences.upper)).sum())
    assert fences.count == (0 if low == high else outside)
    if values:
        assert fences.lower == pytest.approx(low - 1.5 * (high - low), rel=1e-9, abs=1e-6)
        assert fences.upper == pytest.approx(high + 1.5 * (high - low), rel=1e-9, abs=1e-6)
    far = by_zscore(ordered)
    if values:
        assert far.upper == pytest.approx(series.mean() + 3 * series.std(ddof=0), rel=1e-9, abs=1e-6)
        assert far.count == int(((series < far.lower) | (series > far.upper)).sum())


def test_outliers_of_more_than_their_share_are_medium_and_fewer_low() -> None:
    """Neither stops; values so great that they cannot be reckoned with are none."""
    frame = visits()
    few = judged(frame.assign(amount=[50.0 + place % 5 for place in range(97)] + [90.0] * 3))
    many = judged(frame.assign(amount=[50.0 + place % 5 for place in range(90)] + [90.0] * 10))
    assert found(few)["outliers_iqr", "amount"] == "low"
    assert found(many)["outliers_iqr", "amount"] == "medium"
    assert few.passed
    assert many.passed
    assert many.warnings
    assert by_iqr(np.array([-1.7e308, 1.7e308, 1.7e308])).count == 0


# The whole.


def test_good_data_passes_with_all_points() -> None:
    """No issue, no reason."""
    result = judged(visits()).raise_if_failed()
    assert (result.issues, result.failures, result.warnings) == ([], [], [])
    assert result.score is not None
    assert (result.score.value, result.score.reasons) == (100.0, [])
    assert result.rows == 100


def wreck(column: str, value: Any, rows: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def wrecked(frame: pd.DataFrame) -> pd.DataFrame:
        cells = frame[column].astype(object).tolist()
        return frame.assign(**{column: pd.Series([value] * rows + cells[rows:]).infer_objects()})

    return wrecked


@pytest.mark.parametrize(
    ("change", "issue", "severity", "passed"),
    [
        (lambda frame: frame.drop(columns="amount"), ("missing_field", "amount"), "critical", False),
        (lambda frame: frame.iloc[:0], ("rows", ""), "critical", False),
        (wreck("id", None, 1), ("identifier", "id"), "critical", False),
        (wreck("id", "  ", 1), ("identifier", "id"), "critical", False),
        (wreck("id", "V99", 1), ("unique", "id"), "critical", False),
        (wreck("opened", None, 6), ("completeness", "opened"), "critical", False),
        (wreck("amount", None, 6), ("completeness", "amount"), "low", True),
        (wreck("amount", 101.0, 2), ("range", "amount"), "low", True),
        (wreck("amount", 101.0, 3), ("range", "amount"), "high", True),
        (wreck("amount", "much", 3), ("type", "amount"), "high", True),
        (wreck("id", "W1", 1), ("pattern", "id"), "low", True),
        (wreck("plan", "gold", 3), ("allowed", "plan"), "high", True),
        (wreck("closed", pd.Timestamp("2000-01-01"), 1), ("order", "opened, closed"), "high", True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_each_issue_has_its_severity(
    change: Callable[[pd.DataFrame], pd.DataFrame], issue: tuple[str, str], severity: str, passed: bool
) -> None:
    """Critical ones stop, others do not."""
    result = judged(change(visits()))
    assert found(result)[issue] == severity
    assert result.passed == passed
    if not passed:
        with pytest.raises(DataQualityError, match="not good enough for 'visits': 1 critical issue"):
            result.raise_if_failed()


def test_five_gaps_in_a_hundred_of_a_critical_field_are_put_up_with() -> None:
    """95 % is enough."""
    result = judged(wreck("opened", None, 5)(visits()))
    assert result.passed
    assert result.issues == []


def test_rules_that_only_together_are_too_many_make_the_worst_high() -> None:
    """The validity of a field is that of all its rules."""
    frame = visits().assign(amount=["much", 101, 101, *[5] * 97])
    assert found(judged(frame, statistical_validation=False)) == {
        ("range", "amount"): "high",
        ("type", "amount"): "low",
    }


def wide(bad: int) -> tuple[pd.DataFrame, Blueprint]:
    fields = tuple(Field(f"n{place}", "number", required=False, minimum=0) for place in range(bad))
    frame = visits().assign(**{field.name: -1.0 for field in fields})
    return frame, replace(PLAN, fields=PLAN.fields + fields)


def test_five_high_issues_are_put_up_with_and_six_are_not() -> None:
    """They are counted by rule and column."""
    assert judged(*wide(5), statistical_validation=False).passed
    result = judged(*wide(6), statistical_validation=False)
    assert result.failures == ["6 high issues, where 5 are put up with"]
    assert judged(*wide(6), max_high=6).passed
    with pytest.raises(DataQualityError) as raised:
        result.raise_if_failed()
    assert len(raised.value.issues) == 6
    assert isinstance(raised.value, ValidationException)
    assert raised.value.exit_code == 20
    assert pickle.loads(pickle.dumps(raised.value)).issues == raised.value.issues  # noqa: S301 - our own


SHARES = st.lists(st.sampled_from([None, "V1", "V2", "V3", "x"]), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(SHARES, st.data())
def test_the_score_is_the_formula_and_its_reasons_are_what_is_lost(ids: list[str | None], data: st.DataObject) -> None:
    """Over the required fields; the points of all reasons and the score are 100 together."""
    rows = len(ids)
    numbers = st.one_of(st.none(), st.sampled_from([5.0, 200.0, "much"]))
    amounts = data.draw(st.lists(numbers, min_size=rows, max_size=rows))
    there = data.draw(st.booleans())
    frame = pd.DataFrame({"id": pd.Series(ids, dtype=object), "opened": pd.Timestamp("2024-01-01")}, index=range(rows))
    if there:
        frame["amount"] = pd.Series(amounts, dtype=object)
    score = judged(frame, statistical_validation=False).score
    known, spent = [each for each in ids if each], [each for each in amounts if each is not None]
    complete = (len(known) / rows + 1 + (len(spent) / rows if there else 0)) / 3
    unique = len(set(known)) / rows
    good = 1 - known.count("x") / len(known) if known else 1
    sound = (spent.count(5.0) / len(spent) if spent else 1) if there else 0
    assert score is not None
    assert score.value == pytest.approx(40 * complete + 30 * unique + 30 * (good + 1 + sound) / 3)
    assert score.value + sum(reason.points for reason in score.reasons) == pytest.approx(100)
    assert [reason.points for reason in score.reasons] == sorted((r.points for r in score.reasons), reverse=True)


def test_a_score_below_its_threshold_fails_without_any_critical_issue() -> None:
    """The error says what cost most."""
    bad = visits().assign(amount=-5.0)
    assert judged(bad, score=91).failures == ["a score of 90.00, below 91"]
    assert judged(bad, score=90).passed
    with pytest.raises(DataQualityError, match=r"Most is lost by the validity of amount: 10\.0 points"):
        judged(bad, score=91).raise_if_failed()


def test_thresholds_are_the_calls_over_the_blueprints_over_the_usual_ones() -> None:
    """For completeness as for the rest."""
    frame = wreck("opened", None, 6)(visits())
    lenient = replace(PLAN, thresholds={"completeness": 0.9})
    assert not judged(frame).passed
    assert judged(frame, lenient).passed
    assert not judged(frame, lenient, completeness=0.95).passed
    assert not DataValidationService(thresholds={"completeness": 0.95}).validate(frame, lenient).passed
    assert judged(wreck("id", "V99", 1)(visits()), uniqueness=0.9).passed


def test_each_switch_takes_its_part_away() -> None:
    """And only its part."""
    frame = visits().assign(amount=["much"] * 3 + [500.0] * 3 + [50.0, 51.0] * 47).drop(columns="opened")
    outliers = {"outliers_iqr", "outliers_zscore"}
    all_of_it = {rule for rule, _ in found(judged(frame))}
    assert all_of_it == {"missing_field", "type", "range"} | outliers
    assert {rule for rule, _ in found(judged(frame, schema_validation=False))} == {"range"} | outliers
    assert {rule for rule, _ in found(judged(frame, quality_checks=False))} == {"missing_field", "type"} | outliers
    assert {rule for rule, _ in found(judged(frame, statistical_validation=False))} == all_of_it - outliers
    assert judged(frame, quality_checks=False).score is None
    json.dumps(judged(frame, quality_checks=False).as_dict())


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"schema_validaton": True}, "no option 'schema_validaton'.*schema_validation"),
        ({"quality_checks": "yes"}, "quality_checks is true or false, not 'yes'"),
        ({"completeness": 95}, "completeness is a number from 0 to 1, not 95"),
        ({"score": 101}, "score is a number from 0 to 100"),
        ({"zscore": 0}, "zscore is a number over 0"),
        ({"max_high": 2.5}, "max_high is a whole number from 0 on"),
        ({"validity": math.nan}, "validity is a number, not nan"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_is_none_is_an_error(config: dict[str, Any], told: str) -> None:
    """It says what the option takes."""
    with pytest.raises(OptionError, match=told):
        DataValidationService(config)


def test_a_configuration_may_be_an_object_and_the_callers_thresholds_go_over_it() -> None:
    """What it does not say stays as usual."""
    service = DataValidationService(ValidationConfig(score=50, validity=0.5), thresholds={"score": 60})
    assert service.config.thresholds(PLAN) == {"completeness": 0.95, "uniqueness": 1.0, "validity": 0.5, "score": 60}


def test_fields_may_have_columns_of_other_names() -> None:
    """Issues name the column, measures the field; a field or column that is not there is an error."""
    frame = visits().rename(columns={"amount": "Betrag"}).assign(Betrag=-1.0)
    names = {"id": "id", "opened": "opened", "amount": "Betrag"}
    result = DataValidationService().validate(frame, PLAN, names)
    assert found(result) == {("range", "Betrag"): "high"}
    assert result.validity is not None
    assert result.validity.fields == {"id": 1.0, "opened": 1.0, "amount": 0.0}
    with pytest.raises(ColumnNotFoundError, match=r"no column 'betrag'.*'Betrag'"):
        DataValidationService().validate(frame, PLAN, {"amount": "betrag"})
    with pytest.raises(UnknownNameError, match=r"no field 'amont'.*'amount'"):
        DataValidationService().validate(frame, PLAN, {"amont": "Betrag"})
    with pytest.raises(CompatibilityException, match="2 columns are called 'id'"):
        DataValidationService().validate(pd.concat([frame, frame], axis=1), PLAN, names)


def test_an_identifier_of_two_fields_is_repeated_only_as_a_whole() -> None:
    """And where rows of one identifier are brought together, a repeat is only noted."""
    plan = replace(PLAN, identifier=("plan", "opened"), rules=())
    assert found(judged(visits(), plan)) == {}
    twice = wreck("opened", pd.Timestamp("2024-01-03"), 1)(visits())
    assert found(judged(twice, plan)) == {("unique", "plan, opened"): "critical"}
    summed = replace(plan, rows=lambda frame, as_of: (frame, []))
    result = judged(twice, summed)
    assert found(result) == {("unique", "plan, opened"): "low"}
    assert result.score is not None
    assert result.score.value == 100


def test_a_rule_sees_values_of_its_types_and_those_that_lack_keep_it() -> None:
    """Text that is a date is one to it; text that is none, and a gap, are missing."""
    frame = visits().astype({"closed": str})
    frame.loc[[0, 1, 2], "closed"] = ["soon", None, "2000-01-01"]
    (issue,) = [issue for issue in judged(frame).issues if issue.rule == "order"]
    assert (issue.count, issue.examples) == (1, [{"row": 2}])
    assert "closed too soon" in issue.message


@pytest.mark.parametrize("answer", [lambda frame: frame["nothing"], lambda frame: [True]], ids=["raises", "too short"])
def test_a_rule_that_fails_itself_is_an_error_that_names_it(answer: Any) -> None:
    """Never a verdict."""
    with pytest.raises(StepError, match="The rule 'mine' failed"):
        judged(visits(), replace(PLAN, rules=(Rule("mine", ("amount",), answer),)))


def test_the_frame_is_not_changed_even_by_a_rule_that_tries() -> None:
    """Whatever its index is."""

    def spoil(frame: pd.DataFrame) -> pd.Series:
        frame.loc[:, "amount"] = -1.0
        return frame["amount"] < 0

    frame = visits().set_index(pd.Index(range(100, 0, -1)))
    before = frame.copy(deep=True)
    assert judged(frame, replace(PLAN, rules=(Rule("spoil", ("amount",), spoil),))).passed
    pd.testing.assert_frame_equal(frame, before)


def test_issues_show_few_rows_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """A value is cut short, masked in a column whose name tells, and in no log."""
    fields = (Field("id", "identifier"), Field("api_token", "text", pattern="x"), Field("note", "text", pattern="x"))
    plan = replace(PLAN, fields=fields, rules=())
    frame = pd.DataFrame({"id": range(9), "api_token": "hunter2", "note": "password=swordfish " + "y" * 99})
    with caplog.at_level(logging.DEBUG, logger="millpond.prepare"):
        result = judged(frame, plan)
    told = json.dumps(result.as_dict())
    assert "hunter2" not in told
    assert "swordfish" not in told
    assert "y" * 61 not in told
    assert all(len(issue.examples) == 3 for issue in result.issues)
    assert judged(frame, plan, examples=0).issues[0].examples == []
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert "yyy" not in caplog.text
    assert "swordfish" not in caplog.text


def test_low_issues_are_logged_as_information(caplog: pytest.LogCaptureFixture) -> None:
    """With the rule and the column as fields of the record."""
    with caplog.at_level(logging.INFO, logger="millpond.prepare"):
        judged(wreck("amount", None, 6)(visits()))
    (record,) = caplog.records
    assert (record.levelname, vars(record)["rule"], vars(record)["column"]) == ("INFO", "completeness", "amount")


class Stopped(BaseException):
    """What a caller raises to stop."""


@pytest.mark.parametrize("after", [0, 3, 5])
def test_the_work_stops_between_columns(after: int) -> None:
    """What `check` raises comes out as it is."""
    calls = iter(range(100))

    def check() -> None:
        if next(calls) >= after:
            raise Stopped

    with pytest.raises(Stopped):
        DataValidationService().validate(visits(), PLAN, check=check)


def test_data_of_a_blueprint_that_is_installed_is_judged_by_its_name() -> None:
    """Its own rules too."""
    frame = pd.DataFrame(
        {
            "Customer ID": ["C1", "C2"],
            "last_activity_date": pd.to_datetime(["2024-03-01", "2024-01-01"]),
            "account_created_date": pd.to_datetime(["2024-02-01", "2024-02-01"]),
            "total_value": [1.0, -1.0],
        }
    )
    result = DataValidationService().validate(frame, "customer_churn")
    assert ("range", "total_value") in found(result)
    assert any(issue.examples == [{"row": 1}] for issue in result.issues)
    assert DataValidationService().schemas.list_schemas() == [
        "customer_churn",
        "price_optimization",
        "revenue_projection",
    ]
    days = pd.DataFrame({"date": pd.to_datetime(["2024-01-01"] * 3), "revenue": [1.0, 2.0, 3.0]})
    assert DataValidationService().validate(days, "revenue_projection").passed
    sales = days.assign(product_id="P1", price=[1.0, 2.0, 3.0], quantity_sold=[3, 2, 1])
    assert DataValidationService().validate(sales, "price_optimization").passed
    with pytest.raises(UnknownNameError, match="churn"):
        DataValidationService().validate(frame, "churn")
