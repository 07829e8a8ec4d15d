"""From checked rows to columns for a model: every choice of every setting, and numbers equal to scikit-learn's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from framework.errors import CompatibilityException, ParameterError, ProcessingException
from framework.prepare import scaling
from framework.prepare.blueprint import Blueprint, Feature, Field
from framework.prepare.columns import quantiles
from framework.prepare.imputing import skewness
from framework.prepare.preprocessing import CHOICES, DataPreprocessingService
from framework.prepare.recipe import Recipe
from framework.prepare.reducing import weigh

SCALERS = {"robust": RobustScaler, "standard": StandardScaler, "minmax": MinMaxScaler}
PLAIN = {"outlier_method": "none", "scaling_method": "none"}


def made(frame: pd.DataFrame, as_of: pd.Timestamp, learnt: dict[str, Any]) -> pd.DataFrame:
    values = {"age_days": (as_of - frame["since"]).dt.days.astype("float64")}
    if "amount" in frame:
        values["double"] = frame["amount"] * 2
        values["level"] = (frame["amount"] > learnt["middle"]).astype("int8")
    return pd.DataFrame(values, index=frame.index)


ORDERS = Blueprint(
    name="orders",
    description="Orders, for the tests",
    fields=(
        Field("id", "identifier"),
        Field("since", "datetime"),
        Field("amount", "number", required=False),
        Field("pieces", "integer", required=False),
        Field("country", "category", required=False),
        Field("paid", "flag", required=False),
        Field("secret", "category", required=False, keep=False),
    ),
    features=(
        Feature("age_days", ("since",)),
        Feature("double", ("amount",)),
        Feature("level", ("amount",), scaled=False),
    ),
    identifier=("id",),
    time="since",
    learn=lambda frame, as_of: {"middle": float(frame["amount"].median())} if "amount" in frame else {},
    make=made,
)


def orders(count: int = 200, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount = rng.gamma(2, 100, count)
    amount[rng.random(count) < 0.1] = np.nan
    pieces = pd.array(rng.poisson(4, count), dtype="Int64")
    pieces[rng.random(count) < 0.05] = pd.NA
    country = rng.choice(["DE", "FR", "IT", None], count, p=[0.5, 0.3, 0.15, 0.05])
    paid = pd.array(rng.random(count) < 0.7, dtype="boolean")
    paid[3] = pd.NA
    return pd.DataFrame(
        {
            "country": pd.Series(country, dtype=object),
            "id": [f"O{number}" for number in range(count)],
            "since": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 90, count), unit="D"),
            "amount": amount,
            "pieces": pieces,
            "paid": paid,
            "left": rng.integers(0, 2, count),
        }
    )


def fit(frame: pd.DataFrame, config: Mapping[str, Any] | None = None, **asked: Any) -> tuple[Any, Any, Recipe, Any]:
    return DataPreprocessingService(config).fit(frame, ORDERS, **asked)


# --------------------------------------------------------------------------- configuration


@pytest.mark.parametrize("key", list(CHOICES))
def test_the_list_of_the_choices_is_not_a_choice(key: str) -> None:
    """The text in which the specification lists them is an error that names them."""
    with pytest.raises(ParameterError, match=f"Choose one of {', '.join(CHOICES[key])}"):
        DataPreprocessingService({key: "|".join(CHOICES[key])})


@pytest.mark.parametrize("value", ["", "AUTO", None, 3, ["auto"]])
def test_another_value_is_an_error(value: Any) -> None:
    """Of whatever type."""
    with pytest.raises(ParameterError, match="missing_value_strategy is"):
        DataPreprocessingService({"missing_value_strategy": value})


def test_an_unknown_key_is_an_error_that_names_the_nearest() -> None:
    """A slip of the pen does not pass for a default."""
    with pytest.raises(ParameterError, match="Did you mean 'scaling_method'"):
        DataPreprocessingService({"scaling_methods": "robust"})


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"edges": []}, "no feature setting 'edges'.*middle"),
        ({"middle": "high"}, "The feature setting middle is 'high'"),
    ],
)
def test_a_feature_setting_is_one_that_the_blueprint_has(given_settings: dict[str, Any], message: str) -> None:
    """By its name and its type."""
    with pytest.raises(ParameterError, match=message):
        fit(orders(), {"feature_settings": given_settings})


@pytest.mark.parametrize("key", list(CHOICES))
def test_each_choice_of_each_setting_prepares(key: str) -> None:
    """And gives, for other rows in pieces, what it gave at once."""
    for choice in CHOICES[key]:
        frame = orders()
        prepared, raw, recipe, result = fit(frame, {key: choice}, target="left")
        assert len(prepared) == result.rows_out == len(raw) > 100
        assert prepared.notna().all().all()
        if choice != "target":
            pd.testing.assert_frame_equal(Recipe.loads(recipe.dumps(), blueprint=ORDERS).transform(frame), prepared)
        json.dumps(result.as_dict(), allow_nan=False)


# --------------------------------------------------------------------------- what comes out


def test_columns_come_in_order_and_the_target_last() -> None:
    """Identifier, kept fields as the blueprint has them, features, target; the rest is dropped and told."""
    frame = orders().assign(other="x", secret="s")
    prepared, raw, _, result = fit(frame, target="left")
    countries = ["country_DE", "country_FR", "country_IT"]
    assert list(prepared) == ["id", "amount", "pieces", *countries, "paid", "age_days", "double", "level", "left"]
    assert list(raw) == result.features_created == ["age_days", "double", "level"]
    assert {each["column"]: each["why"] for each in result.dropped} == {
        "other": "the blueprint does not name it",
        "since": "dates go into features",
        "secret": "the blueprint does not keep it",
    }


def test_dates_and_extra_columns_come_out_if_asked_for() -> None:
    """Dates in their place, extras after the fields, each encoded, capped and scaled by what it holds."""
    count = len(orders())
    extra = {"note": ["a", "b"] * (count // 2), "weight": np.arange(count), "double": 1.0, "void": None}
    prepared, _, _, result = fit(orders().assign(**extra), keep_dates=True, keep_extra=True)
    assert list(prepared)[:2] == ["id", "since"]
    assert list(prepared)[-7:] == ["left", "note_a", "note_b", "weight", "age_days", "double", "level"]
    assert {"weight", "left"} <= set(result.scaled)
    assert {each["column"]: each["why"] for each in result.dropped} == {
        "double": "a feature has that name",
        "void": "it is empty",
    }


def test_the_target_is_left_as_it_is() -> None:
    """Neither capped nor scaled nor filled nor of another type; a row without it teaches nothing and is refused."""
    frame = orders()
    prepared, _, _, result = fit(frame, target="amount")
    known = frame["amount"].dropna()
    pd.testing.assert_series_equal(prepared["amount"], known)
    assert [(each["why"], each["count"]) for each in result.refused] == [("amount is missing", 200 - len(known))]
    prepared, _, _, _ = fit(frame, target="left")
    pd.testing.assert_series_equal(prepared["left"], frame["left"])


def test_a_feature_that_is_the_target_is_not_made() -> None:
    """Else a model would be told what it is to foretell."""
    _, raw, _, result = fit(orders().assign(level=1), target="level")
    assert list(raw) == ["age_days", "double"]
    assert result.features_absent == [{"feature": "level", "lacking": ["it is the target"]}]


def test_the_rows_keep_their_labels() -> None:
    """So that what came out can be laid beside what went in."""
    frame = orders().set_index(pd.Index(np.arange(200) * 7, name="row"))
    frame.iloc[5, frame.columns.get_loc("id")] = None
    prepared, raw, _, result = fit(frame)
    assert prepared.index.tolist() == raw.index.tolist() == [each for each in frame.index if each != 35]
    assert result.refused == [{"why": "id is missing", "count": 1, "rows": [35]}]


def test_what_was_given_is_not_touched() -> None:
    """Not a value of the frame changes."""
    frame = orders()
    before = frame.copy(deep=True)
    fit(frame, {"missing_value_strategy": "mean"}, target="left")
    pd.testing.assert_frame_equal(frame, before)


# --------------------------------------------------------------------------- as_of


def test_as_of_is_the_latest_date_unless_given_and_is_warned_of() -> None:
    """And written down."""
    frame = orders()
    _, _, recipe, result = fit(frame)
    assert recipe.as_of == frame["since"].max().isoformat()
    assert "as_of was not given" in result.warnings[0]
    assert not fit(frame, as_of="2026-12-31")[3].warnings


def test_a_date_means_its_whole_day() -> None:
    """What happened at noon of that day is not after it; of a time it is."""
    frame = orders().assign(since=pd.Timestamp("2026-03-01 12:00"))
    assert fit(frame, as_of="2026-03-01")[3].rows_out == 200
    with pytest.raises(ProcessingException, match=r"No row is left to learn of: 200: since is after as_of"):
        fit(frame, as_of="2026-03-01 11:00")


@pytest.mark.parametrize("as_of", ["yesterday-ish", float("nan"), "2026-01-01T00:00+02:00", object()])
def test_as_of_is_a_time(as_of: Any) -> None:
    """Anything else is an error."""
    with pytest.raises(ParameterError, match="as_of is"):
        fit(orders(), as_of=as_of)


# --------------------------------------------------------------------------- missing values


def test_auto_explains_each_choice() -> None:
    """Skewed: median. Else: mean. Text and flag: mode."""
    frame = orders()
    _, _, recipe, result = fit(frame)
    found = {each["column"]: (each["what"], each["why"]) for each in result.choices if "missing" in each}
    assert found["amount"][0] == "median"
    assert found["pieces"] == ("mean", f"skewness {frame['pieces'].skew():.2f} is within 1")
    assert found["country"] == ("mode", "a text has no mean")
    assert found["paid"] == ("mode", "a flag has no mean")
    assert recipe.values["amount"] == frame["amount"].median()
    assert recipe.values["pieces"] == pytest.approx(frame["pieces"].mean())
    assert result.imputed == {name: int(frame[name].isna().sum()) for name in ("amount", "pieces", "country", "paid")}


def test_an_optional_column_that_is_mostly_missing_is_left_out() -> None:
    """Beyond 60 percent, under auto; its features are absent and listed."""
    frame = orders(1000)
    frame["amount"] = np.where(np.arange(1000) < 601, np.nan, 1.0)
    prepared, raw, recipe, result = fit(frame)
    assert "amount" not in prepared
    assert list(raw) == ["age_days"]
    assert [each["feature"] for each in result.features_absent] == ["double", "level"]
    pd.testing.assert_frame_equal(recipe.transform(frame), prepared)
    frame["amount"] = np.where(np.arange(1000) < 600, np.nan, 1.0)
    assert "amount" in fit(frame)[0]
    assert "amount" in fit(frame, {"missing_value_strategy": "mean"})[0]


def test_drop_refuses_rows_with_a_gap() -> None:
    """They are counted, and nothing stands in for anything."""
    frame = orders()
    prepared, _, recipe, result = fit(frame, {"missing_value_strategy": "drop"})
    whole = frame[["amount", "pieces", "country", "paid"]].notna().all(axis=1)
    assert prepared["id"].tolist() == frame["id"][whole].tolist()
    assert result.refused[0]["count"] == int((~whole).sum())
    assert result.imputed == recipe.values == {}


@pytest.mark.parametrize(("strategy", "name"), [("mean", "mean"), ("median", "median"), ("mode", "most_frequent")])
def test_what_stands_in_is_what_scikit_learn_puts(strategy: str, name: str) -> None:
    """For numbers, and the most frequent for texts."""
    frame = orders()
    prepared, _, _, _ = fit(frame, {"missing_value_strategy": strategy, **PLAIN, "encoding_strategy": "label"})
    numbers = frame[["amount", "pieces"]].astype("float64")
    wanted = SimpleImputer(strategy=name).fit_transform(numbers)
    np.testing.assert_allclose(prepared[["amount", "pieces"]].to_numpy(), wanted, rtol=1e-15)
    texts = SimpleImputer(strategy="most_frequent").fit_transform(frame[["country"]].fillna(np.nan))
    assert prepared["country"].tolist() == [["DE", "FR", "IT"].index(each) for each in texts.ravel()]


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=60))
@settings(deadline=None)
def test_skewness_is_the_adjusted_one(values: list[float]) -> None:
    """G1 by fractions, exactly, wherever the values differ by more than rounding."""
    array = np.array(values)
    if array.std() > 1e-6 * max(1.0, abs(array).max()):
        exact = [Fraction(value) for value in values]
        mean, n = sum(exact) / len(exact), len(exact)
        second, third = (sum((each - mean) ** power for each in exact) / n for power in (2, 3))
        wanted = math.sqrt(n * (n - 1)) / (n - 2) * float(third) / float(second) ** 1.5
        assert skewness(array) == pytest.approx(wanted, rel=1e-6, abs=1e-6)


# --------------------------------------------------------------------------- caps


@pytest.mark.parametrize("method", ["iqr", "zscore"])
def test_numbers_beyond_the_fences_are_set_to_the_fence(method: str) -> None:
    """By the quartiles or three standard deviations, of the imputed values; counted, and no row is lost."""
    frame = orders()
    config = {"outlier_method": method, "scaling_method": "none", "missing_value_strategy": "median"}
    prepared, _, recipe, result = fit(frame, config)
    values = frame["amount"].fillna(frame["amount"].median())
    low, high = values.quantile(0.25), values.quantile(0.75)
    fences = (low - 1.5 * (high - low), high + 1.5 * (high - low))
    if method == "zscore":
        fences = (values.mean() - 3 * values.std(ddof=0), values.mean() + 3 * values.std(ddof=0))
    assert recipe.caps["amount"] == pytest.approx(fences)
    pd.testing.assert_series_equal(prepared["amount"], values.clip(*fences))
    assert result.capped["amount"] == {"below": 0, "above": int((values > fences[1]).sum())}
    assert result.capped["amount"]["above"] > 0


def test_quartiles_that_are_equal_cap_nothing() -> None:
    """A column of mostly zeros keeps what is not zero; the choice says why."""
    frame = orders().assign(amount=[0.0] * 180 + [5.0] * 20)
    prepared, _, _, result = fit(frame, {"scaling_method": "none"})
    assert prepared["amount"].sum() == 100
    assert any(each["what"] == "not capped" and "quartiles are 0" in each["why"] for each in result.choices)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40))
@settings(deadline=None)
def test_quantiles_are_those_of_numpy(values: list[float]) -> None:
    """To the last bit, but the rounding of a median of an even number."""
    found = quantiles(np.array(values), (0.25, 0.5, 0.75))
    wanted = np.quantile(values, (0.25, 0.5, 0.75))
    assert (found[0], found[2]) == (wanted[0], wanted[2])
    assert found[1] == pytest.approx(np.median(values), rel=1e-15)


# --------------------------------------------------------------------------- encodings


def test_auto_is_onehot_up_to_ten_values_and_label_beyond() -> None:
    """Onehot columns are scikit-learn's, and labels the places of the values in order."""
    frame = orders()
    frame["country"] = [f"c{number % 10:02d}" for number in range(200)]
    prepared, _, _, result = fit(frame)
    columns = [f"country_c{number:02d}" for number in range(10)]
    np.testing.assert_array_equal(
        prepared[columns].to_numpy(), OneHotEncoder(sparse_output=False).fit_transform(frame[["country"]])
    )
    frame.loc[0, "country"] = "c10"
    prepared, _, _, result = fit(frame)
    assert result.encoded == {"country": "label"}
    np.testing.assert_array_equal(prepared[["country"]].to_numpy(), OrdinalEncoder().fit_transform(frame[["country"]]))
    assert prepared["country"].dtype == "int8"


def test_target_encoding_is_smoothed_as_scikit_learn_does_it() -> None:
    """With the weight of ten rows; the recipe holds the means of all rows."""
    frame = orders()
    frame["country"] = frame["country"].fillna("DE")
    _, _, recipe, _ = fit(frame, {"encoding_strategy": "target", **PLAIN}, target="left")
    theirs = TargetEncoder(smooth=10.0, target_type="continuous").fit(frame[["country"]], frame["left"])
    assert recipe.encodings["country"]["means"] == pytest.approx(theirs.encodings_[0].tolist(), rel=1e-12)
    np.testing.assert_allclose(
        recipe.transform(frame)[["country"]].to_numpy(), theirs.transform(frame[["country"]]), rtol=1e-12
    )


def test_target_encoding_does_not_leak() -> None:
    """Where each text stands once it tells nothing of its own target: the column does not follow the target."""
    frame = orders(400).assign(country=[f"c{number}" for number in range(400)])
    prepared, _, _, _ = fit(frame, {"encoding_strategy": "target", **PLAIN}, target="left")
    assert prepared["country"].nunique() <= 5
    assert abs(np.corrcoef(prepared["country"], prepared["left"])[0, 1]) < 0.3
    own = frame.copy()
    own.loc[7, "left"] = 1 - own.loc[7, "left"]
    again, _, _, _ = fit(own, {"encoding_strategy": "target", **PLAIN}, target="left")
    assert again["country"][7] == prepared["country"][7]


def test_target_encoding_needs_a_target_of_numbers_or_two_texts() -> None:
    """None, or one of many texts, is an error; of two the second counts as one."""
    config = {"encoding_strategy": "target"}
    with pytest.raises(ParameterError, match="there is no target"):
        fit(orders(), config)
    with pytest.raises(ParameterError, match="goal has 3"):
        fit(orders(198).assign(goal=["a", "b", "c"] * 66), config, target="goal")
    texts = orders().assign(left=lambda frame: frame["left"].map({0: "no", 1: "yes"}))
    by_text, by_number = (fit(frame, config, target="left")[0] for frame in (texts, orders()))
    pd.testing.assert_series_equal(by_text["country"], by_number["country"])
    assert set(by_text["left"]) == {"no", "yes"}


def test_names_of_onehot_columns_meet_no_other() -> None:
    """A text that would make the name of a column that is there makes another."""
    frame = orders().assign(country=["DE", "FR"] * 100, country_DE=1.0)
    prepared, _, _, _ = fit(frame, keep_extra=True)
    assert {"country_DE", "country_DE_2", "country_FR"} <= set(prepared)


def test_a_thousand_onehot_columns_are_the_most() -> None:
    """More would fill the memory: an error that names another way."""
    frame = orders(1100).assign(country=[f"c{number}" for number in range(1100)])
    with pytest.raises(ParameterError, match="would make 1100 columns of country"):
        fit(frame, {"encoding_strategy": "onehot"})


# --------------------------------------------------------------------------- scales


@pytest.mark.parametrize("method", list(SCALERS))
def test_scaled_numbers_are_those_of_scikit_learn(method: str) -> None:
    """Fields and features; a tier is not scaled."""
    config = {"outlier_method": "none", "scaling_method": method, "missing_value_strategy": "mean"}
    prepared, _, _, result = fit(orders(), config)
    unscaled, _, _, _ = fit(orders(), {**config, "scaling_method": "none"})
    names = ["amount", "pieces", "age_days", "double"]
    assert result.scaled == names
    np.testing.assert_allclose(
        prepared[names].to_numpy(), SCALERS[method]().fit_transform(unscaled[names]), rtol=1e-12, atol=1e-14
    )
    pd.testing.assert_series_equal(prepared["level"], unscaled["level"])


@pytest.mark.parametrize("method", list(SCALERS))
@given(values=st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(float("nan"))), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_column_scales_as_scikit_learn_does(method: str, values: list[float]) -> None:
    """With gaps, of one value, tiny or large."""
    column = np.array(values)
    if np.isnan(column).all():
        return
    wanted = SCALERS[method]().fit_transform(column[:, None]).ravel()
    np.testing.assert_allclose(
        scaling.scale(column, method, scaling.learn(column, method)), wanted, rtol=1e-6, atol=1e-9
    )


# --------------------------------------------------------------------------- memory


def test_a_categorical_set_takes_half_the_memory_at_most() -> None:
    """The bytes that are told are those that pandas counts."""
    count = 5000
    words = [f"some longer text {number}" for number in range(40)]
    frame = orders(count).assign(
        **{f"word{place}": np.random.default_rng(place).choice(words, count) for place in range(4)}
    )
    frame = frame.astype({f"word{place}": object for place in range(4)})
    prepared, _, _, result = fit(frame, keep_extra=True)
    features = prepared[result.features_created].memory_usage(index=False, deep=True).sum()
    assert result.bytes_features == features
    assert result.bytes_after + features == prepared.memory_usage(index=False, deep=True).sum()
    assert result.bytes_before == frame.drop(columns=["since"]).memory_usage(index=False, deep=True).sum()
    assert result.bytes_after <= result.bytes_before / 2


def test_many_texts_are_weighed_by_a_sample_of_them() -> None:
    """To a hundredth of what pandas counts."""
    texts = pd.Series([f"text {number}" * (number % 7) for number in range(45_000)], dtype=object)
    assert weigh(texts) == pytest.approx(texts.memory_usage(index=False, deep=True), rel=0.01)


# --------------------------------------------------------------------------- what cannot be prepared


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("amount", "a lot", r"amount holds what is not a finite number in 1 rows, the first at row 3: 'a lot'"),
        ("amount", float("inf"), "amount holds what is not a finite number"),
        ("since", "31.12.2025", "since holds what is not a date as ISO 8601 has it"),
        ("since", 20260101, "since holds what is not a date"),
        ("paid", "perhaps", "paid holds what is not yes or no"),
    ],
)
def test_a_value_of_another_kind_is_an_error_that_shows_it(name: str, value: Any, message: str) -> None:
    """With its column, its row and how many there are."""
    frame = orders().astype({name: object})
    frame.loc[2, name] = value
    with pytest.raises(ProcessingException, match=message):
        fit(frame)


def test_texts_that_are_numbers_dates_and_flags_are_taken_as_those() -> None:
    """As a CSV that was read as text has them."""
    frame = orders()
    texts = frame.assign(
        amount=[None if value != value else repr(value) for value in frame["amount"]],
        since=frame["since"].dt.strftime("%Y-%m-%d"),
        paid=["" if value is pd.NA else str(value) for value in frame["paid"]],
    )
    texts["paid"] = texts["paid"].replace("", None).astype(object)
    pd.testing.assert_frame_equal(fit(texts)[0], fit(frame)[0])


def test_a_number_and_the_text_of_it_are_one_text() -> None:
    """As a column has it whose cells were typed by hand."""
    frame = orders().assign(country=[1, "1", 2.0, "two"] * 50)
    prepared, _, recipe, _ = fit(frame)
    assert recipe.encodings["country"]["values"] == ["1", "2", "two"]
    assert prepared["country_1"].sum() == 100


def test_a_time_beyond_what_can_be_counted_in_nanoseconds_is_refused() -> None:
    """Never turned round into another century."""
    frame = orders().assign(since=np.array(["9999-12-31"] * 200, dtype="datetime64[s]"))
    with pytest.raises(ProcessingException, match="since holds a time before 1678 or after 2261: 9999-12-31"):
        fit(frame)


@pytest.mark.parametrize(("zone", "warned"), [("UTC", False), ("America/New_York", True)])
def test_times_of_a_zone_are_those_of_utc(zone: str, warned: bool) -> None:
    """As a file with 2026-01-01T00:00:00Z gives them; of another zone it is said that days are those of UTC."""
    frame = orders()
    zoned = frame.assign(since=frame["since"].dt.tz_localize("UTC").dt.tz_convert(zone))
    prepared, _, recipe, result = fit(zoned)
    pd.testing.assert_frame_equal(prepared, fit(frame)[0])
    told = f"since came in the time zone {zone}: its days are those of UTC"
    assert (told in result.warnings) == (told in recipe.apply(zoned).notes) == warned


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="since"), "needs columns that are missing: since"),
        (lambda frame: pd.concat([frame, frame["amount"]], axis=1), "Columns of one name: \\['amount'\\]"),
        (lambda frame: frame.assign(x=1).rename(columns={"x": 5}), "Names of columns that are no texts: \\[5\\]"),
    ],
    ids=["missing", "twice", "number"],
)
def test_a_frame_of_other_columns_is_refused(change: Any, message: str) -> None:
    """Before anything is done."""
    with pytest.raises(CompatibilityException, match=message):
        fit(change(orders()))


@pytest.mark.parametrize(
    "frame", [orders().iloc[:0], orders().assign(id=None), orders().assign(since=pd.NaT)], ids=["none", "ids", "dates"]
)
def test_where_no_row_can_be_prepared_it_says_why(frame: pd.DataFrame) -> None:
    """An empty frame, or one without identifiers or dates."""
    with pytest.raises(ProcessingException, match=r"No row is left to learn of|No date at all"):
        fit(frame)


def test_it_can_be_stopped_between_two_pieces() -> None:
    """What `check` raises ends the work."""

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(orders(), check=stop)
