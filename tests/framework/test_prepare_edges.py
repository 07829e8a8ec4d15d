"""Preprocessing at the edges: a target among the fields, numbers beyond reckoning, odd names, blueprints that fail."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.errors import CompatibilityException, ParameterError, ProcessingException
from framework.prepare.blueprint import Blueprint, Feature, Field, Rule
from framework.prepare.checks import check_column
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.recipe import Recipe
from framework.prepare.validation import DataValidationService


def made(frame: pd.DataFrame, as_of: pd.Timestamp, learnt: dict[str, Any]) -> pd.DataFrame:
    values = {"age": (as_of - frame["since"]).dt.days.astype("float64"), "double": frame["amount"] * 2}
    values["above"] = frame["amount"] > learnt["middle"]
    if "pieces" in frame:
        values["each"] = frame["amount"] / frame["pieces"]
    return pd.DataFrame(values, index=frame.index)


ORDERS = Blueprint(
    name="orders",
    description="Orders, for the tests",
    fields=(
        Field("id", "identifier", critical=True),
        Field("since", "datetime"),
        Field("amount", "number"),
        Field("pieces", "number", required=False),
        Field("country", "category", required=False),
        Field("referrer", "identifier", required=False),
    ),
    features=(
        Feature("age", ("since",)),
        Feature("double", ("amount",)),
        Feature("above", ("amount",), scaled=False),
        Feature("each", ("amount", "pieces")),
    ),
    identifier=("id",),
    time="since",
    learn=lambda frame, as_of: {"middle": float(frame["amount"].median())},
    make=made,
)


def orders(count: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "id": [f"O{number}" for number in range(count)],
            "since": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 90, count), unit="D"),
            "amount": rng.gamma(2, 100, count),
            "pieces": rng.integers(1, 9, count).astype("float64"),
            "country": rng.choice(["DE", "FR"], count),
        }
    )


def fit(frame: pd.DataFrame, config: dict[str, Any] | None = None, plan: Blueprint = ORDERS, **asked: Any) -> Any:
    return DataPreprocessingService(config).fit(frame, plan, **{"as_of": "2026-06-30", **asked})


# --------------------------------------------------------------------------- the target


@pytest.mark.parametrize(
    ("target", "left"), [("amount", ["age"]), ("pieces", ["age", "double", "above"])], ids=["required", "optional"]
)
def test_no_feature_is_made_of_a_target_that_is_a_field(target: str, left: list[str]) -> None:
    """It would tell a model the answer; what is not made is listed and warned of."""
    prepared, raw, recipe, result = fit(orders(), target=target)
    assert list(raw) == left == recipe.features
    assert list(prepared)[-1] == target
    absent = {each["feature"]: each["lacking"] for each in result.features_absent}
    assert set(absent) == {"age", "double", "above", "each"} - set(left)
    assert set(map(tuple, absent.values())) == {(f"it is made of the target, {target}",)}
    assert any(f"would tell the target {target}" in each for each in result.warnings)


@pytest.mark.parametrize("target", ["amount", "pieces"])
def test_no_column_tells_a_target_that_is_a_field(target: str) -> None:
    """Whatever it holds, the others are the same bits; and rows that do not have it yet are prepared alike."""
    frame = orders()
    prepared, _, recipe, _ = fit(frame, target=target)
    other, _, _, _ = fit(frame.assign(**{target: frame[target].to_numpy()[::-1]}), target=target)
    pd.testing.assert_frame_equal(prepared.drop(columns=target), other.drop(columns=target), check_exact=True)
    recipe = Recipe.loads(recipe.dumps(), blueprint=ORDERS)
    without = recipe.transform(frame.drop(columns=target))
    pd.testing.assert_frame_equal(without, prepared.drop(columns=target), check_exact=True)
    assert len(recipe.transform(frame.assign(**{target: np.nan}))) == len(frame)


@pytest.mark.parametrize("kind", ["country", "since", "id", "referrer"])
def test_a_target_that_is_a_field_of_any_kind_comes_as_it_is(kind: str) -> None:
    """A text, a date, an identifier: each row has its own, last, and again by the recipe."""
    frame = orders().assign(referrer=[f"R{place}" for place in range(80)])
    prepared, _, recipe, _ = fit(frame, target=kind)
    assert list(prepared)[-1] == kind
    assert prepared[kind].tolist() == frame[kind].tolist()
    pd.testing.assert_frame_equal(
        Recipe.loads(recipe.dumps(), blueprint=ORDERS).transform(frame), prepared, check_exact=True
    )


# --------------------------------------------------------------------------- numbers


HUGE = {"half": np.where(np.arange(80) % 2, 1e308, 0.0), "both": np.where(np.arange(80) % 2, 1.7e308, -1.7e308)}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", HUGE)
@pytest.mark.parametrize("outliers", ["iqr", "zscore", "none"])
@pytest.mark.parametrize("scaling", ["robust", "standard", "minmax", "none"])
def test_numbers_beyond_reckoning_are_prepared_or_refused(values: str, outliers: str, scaling: str) -> None:
    """Never turned into infinities or NaN, and the recipe can be written."""
    frame = orders().assign(pieces=HUGE[values]).drop(columns="country")
    plan = replace(ORDERS, features=ORDERS.features[:1])
    try:
        prepared, _, recipe, _ = fit(frame, {"outlier_method": outliers, "scaling_method": scaling}, plan)
    except ProcessingException as error:
        assert "too great to be scaled" in str(error)  # noqa: PT017 - some are prepared, some refused
        return
    assert np.isfinite(prepared["pieces"]).all()
    again = Recipe.loads(recipe.dumps(), blueprint=plan).transform(frame)
    pd.testing.assert_frame_equal(again, prepared, check_exact=True)


@pytest.mark.parametrize("values", [[np.inf, 1.0], [1e308, 1.7e308]], ids=["endless", "huge"])
def test_a_target_that_has_no_mean_encodes_nothing(values: list[float]) -> None:
    """It says so, rather than writing a recipe that cannot be read."""
    with pytest.raises(ProcessingException, match="goal has values too great to be averaged"):
        fit(orders().assign(goal=values * 40), {"encoding_strategy": "target", "scaling_method": "none"}, target="goal")


@pytest.mark.parametrize("strategy", ["auto", "mean", "median", "mode"])
def test_what_stands_in_for_a_missing_number_lies_among_the_others(strategy: str) -> None:
    """Also where their sum is beyond what can be counted."""
    pieces = np.where(np.arange(80) % 3, 1.7e308, np.nan)
    prepared, _, recipe, _ = fit(
        orders().assign(pieces=pieces),
        {"missing_value_strategy": strategy, "scaling_method": "none", "outlier_method": "none"},
        replace(ORDERS, features=()),
    )
    assert recipe.values["pieces"] == pytest.approx(1.7e308)
    assert np.isfinite(prepared["pieces"]).all()


def test_a_feature_beyond_what_can_be_counted_is_missing_and_told() -> None:
    """A division by nothing is no number for a model."""
    frame = orders()
    frame.loc[4, "pieces"] = 0.0
    prepared, raw, recipe, result = fit(frame)
    assert raw["each"].isna().tolist() == [place == 4 for place in range(80)]
    assert prepared["each"].isna().sum() == 1
    assert {"feature": "each", "rows": 1, "why": ""} in result.features_missing
    assert recipe.transform(frame)["each"].isna().sum() == 1


# --------------------------------------------------------------------------- as_of


@pytest.mark.parametrize("as_of", ["9999-01-01", "1500-01-01", "2262-04-11", 20260630, 1e9, True, np.int64(3)])
def test_a_time_that_cannot_be_counted_and_a_number_are_no_as_of(as_of: Any) -> None:
    """20260630 would be the first minute of 1970."""
    with pytest.raises(ParameterError, match="as_of is"):
        fit(orders(), as_of=as_of)


@pytest.mark.parametrize("as_of", ["2026-03-01", np.datetime64("2026-03-01"), pd.Timestamp("2026-03-01").date()])
def test_a_day_means_the_whole_of_it_however_it_is_given(as_of: Any) -> None:
    """As a text, a date, or a date of NumPy."""
    assert fit(orders(), as_of=as_of)[2].as_of == "2026-03-01T23:59:59.999999999"


# --------------------------------------------------------------------------- names and labels


def test_names_that_meet_those_that_are_made_are_kept_apart() -> None:
    """An extra column called as a one-hot one or as a feature, and a target called as one."""
    frame = orders().assign(country_DE="x", double=1.0, country_FR=np.arange(80))
    prepared, raw, _, result = fit(frame, keep_extra=True, target="country_FR")
    assert prepared.columns.is_unique
    assert prepared["country_FR"].tolist() == list(range(80))
    assert {"country_DE_2", "country_FR_2", "country_DE_x"} <= set(prepared)
    assert {"column": "double", "why": "a feature has that name"} in result.dropped
    assert raw["double"].tolist() == (frame["amount"] * 2).tolist()
    assert prepared["country_DE_2"].tolist() == (frame["country"] == "DE").astype(int).tolist()


def test_labels_that_are_repeated_change_nothing() -> None:
    """Rows are told apart by their place."""
    frame = orders()
    prepared, _, recipe, _ = fit(frame)
    frame.index = pd.Index([7] * 80)
    for again in (fit(frame)[0], recipe.transform(frame)):
        pd.testing.assert_frame_equal(again.reset_index(drop=True), prepared, check_exact=True)
    frame.iloc[3, 0] = None
    assert len(recipe.transform(frame)) == 79


def test_an_optional_identifier_may_be_missing_and_a_required_one_may_not() -> None:
    """Who referred a customer is not known of each; a product's name is."""
    frame = orders().assign(referrer=["R1", None] * 40)
    assert len(fit(frame)[0]) == 80
    products = replace(ORDERS, identifier=())
    frame.loc[5, "id"] = " "
    assert len(fit(frame, plan=products)[0]) == 79
    issues = DataValidationService().validate(frame, products).issues
    assert {(issue.rule, issue.column, issue.severity) for issue in issues} >= {("identifier", "id", "critical")}
    assert not any(issue.column == "referrer" and issue.severity == "critical" for issue in issues)


def test_a_hundred_thousand_categories_are_labels_and_no_columns() -> None:
    """One-hot columns of them are refused."""
    count = 100_000
    frame = pd.concat([orders()] * (count // 80), ignore_index=True).assign(
        id=range(count), country=[f"place {number:06d}" for number in range(count)]
    )
    prepared, _, recipe, _ = fit(frame)
    assert prepared["country"].tolist() == list(range(count))
    assert recipe.apply(frame.head(3).assign(country="new")).frame["country"].tolist() == [-1] * 3
    with pytest.raises(ParameterError, match="would make 100000 columns"):
        fit(frame, {"encoding_strategy": "onehot"})


@pytest.mark.parametrize("rows", [1, 2])
def test_a_row_or_two_can_be_prepared(rows: int) -> None:
    """By every choice of the scale and of the caps."""
    for scaling in ("robust", "standard", "minmax"):
        for outliers in ("iqr", "zscore"):
            prepared, _, _, _ = fit(orders(rows), {"scaling_method": scaling, "outlier_method": outliers})
            assert np.isfinite(prepared.drop(columns="id").to_numpy("float64")).all()


@pytest.mark.parametrize("cells", [[[1]], [{}], [b"x"]], ids=["list", "mapping", "bytes"])
def test_cells_that_are_no_values_are_refused_by_name(cells: list[Any]) -> None:
    """In an extra column too."""
    frame = orders().assign(odd=pd.Series(cells * 80, dtype=object))
    with pytest.raises((ProcessingException, CompatibilityException), match="odd holds what is not"):
        fit(frame, keep_extra=True)


# --------------------------------------------------------------------------- blueprints


def raising(frame: pd.DataFrame, as_of: Any, learnt: Any = None) -> Any:
    raise KeyError("lost")


FAULTY = [
    (replace(ORDERS, make=raising), "make.. of the blueprint orders failed: KeyError"),
    (replace(ORDERS, learn=raising), "learn.. of the blueprint orders failed: KeyError"),
    (replace(ORDERS, rows=raising), "rows.. of the blueprint orders failed: KeyError"),
    (replace(ORDERS, make=lambda f, a, k: made(f, a, k).iloc[::-1]), "made rows of other labels"),
    (replace(ORDERS, make=lambda f, a, k: made(f, a, k).astype(str)), "made no numbers of age"),
    (replace(ORDERS, make=lambda f, a, k: 3), "made a int"),
    (replace(ORDERS, make=lambda f, a, k: made(f, a, k).drop(columns="age")), "and no age"),
]  # type: ignore[var-annotated]


@pytest.mark.parametrize(("blueprint", "told"), FAULTY, ids=[told[:22] for _, told in FAULTY])
def test_a_blueprint_that_fails_is_an_error_that_names_it(blueprint: Blueprint, told: str) -> None:
    """Never features of other rows, nor an error of its own kind alone."""
    with pytest.raises(ProcessingException, match=told):
        fit(orders(), plan=blueprint)


def test_a_blueprint_that_writes_into_its_frame_changes_nothing_else() -> None:
    """Neither the columns that come out, nor the rows that were given, nor what is made of them again."""

    def spoiling(frame: pd.DataFrame, as_of: Any, learnt: Any = None) -> Any:
        wanted = made(frame, as_of, {"middle": 1.0})
        frame["amount"] *= 2
        frame.loc[frame.index[0], "amount"] = -1.0
        frame["country"] = None
        return {"middle": 1.0} if learnt is None else wanted

    frame = orders()
    plan = replace(ORDERS, learn=spoiling, make=spoiling)
    honest = fit(frame, plan=replace(ORDERS, learn=lambda frame, as_of: {"middle": 1.0}))
    for _ in range(2):
        prepared, raw, recipe, _ = fit(frame, plan=plan)
        pd.testing.assert_frame_equal(prepared, honest[0], check_exact=True)
        pd.testing.assert_frame_equal(raw, honest[1], check_exact=True)
        pd.testing.assert_frame_equal(recipe.transform(frame), honest[0], check_exact=True)
    pd.testing.assert_frame_equal(frame, orders())


def test_a_setting_that_the_blueprint_cannot_use_is_an_error_that_names_it() -> None:
    """Its type is right, what it holds is not."""
    plan = replace(ORDERS, learn=lambda frame, as_of: {"middle": [1.0]}, make=lambda f, a, k: f / k["middle"][0])
    with pytest.raises(ProcessingException, match=r"make.. of the blueprint orders failed"):
        fit(orders(), {"feature_settings": {"middle": ["x"]}}, plan)


# --------------------------------------------------------------------------- validation


def test_a_time_that_cannot_be_counted_is_of_another_type() -> None:
    """9999-12-31 for `never`, however its column is typed; a rule of the blueprint sees it as missing."""
    for dtype in ("datetime64[s]", "datetime64[us]", object):
        days = pd.Series(np.array(["2024-01-01", "9999-12-31", "NaT"], dtype="datetime64[s]")).astype(dtype)
        checked = check_column(days, Field("x", "datetime"), column="x")
        assert np.flatnonzero(checked.broken["type"]).tolist() == [1]


def test_a_required_field_without_any_value_is_as_one_that_is_not_there() -> None:
    """Critical, though it is no critical field; an optional one is low."""
    for column, severity in (("amount", "critical"), ("pieces", "low")):
        result = DataValidationService().validate(orders().assign(**{column: None}), ORDERS)
        assert [each.severity for each in result.issues if each.column == column] == [severity]
        assert result.passed == (severity == "low")


def test_a_time_that_cannot_be_counted_is_missing_to_a_rule_even_where_types_are_not_judged() -> None:
    """And no error of Arrow."""
    seen: list[Any] = []

    def keeps(frame: pd.DataFrame) -> pd.Series:
        seen.extend(frame["since"].isna())
        return frame["since"] > pd.Timestamp("2000-01-01")

    plan = replace(ORDERS, rules=(Rule("new", ("since",), keeps),))
    frame = orders(3).assign(since=np.array(["2024-01-01", "9999-12-31", "NaT"], dtype="datetime64[s]"))
    for types in (True, False):
        DataValidationService({"schema_validation": types}).validate(frame, plan)
    assert seen == [False, True, True] * 2


def test_now_and_today_are_no_dates() -> None:
    """They would be another one tomorrow."""
    checked = check_column(pd.Series(["now", "Today", "2024-01-01"]), Field("x", "datetime"), column="x")
    assert np.flatnonzero(checked.broken["type"]).tolist() == [0, 1]


def test_what_preprocessing_tells_can_be_written_as_json() -> None:
    """With warnings and reasons."""
    result = fit(orders(), as_of=None, target="amount")[3]
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["rows_out"] == 80
