"""A recipe gives other rows the columns that it gave, bit by bit, whatever comes with them."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import registry
from framework.errors import CompatibilityException, FormatError, ParameterError, ProcessingException, UnknownNameError
from framework.prepare.blueprint import Blueprint, Field
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.recipe import Recipe

AS_OF = "2026-06-30"


def customers(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    created = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 800, count), unit="D")
    usage = pd.array(rng.poisson(60, count), dtype="Int64")
    usage[rng.random(count) < 0.1] = pd.NA
    value = rng.gamma(2, 300, count)
    value[rng.random(count) < 0.1] = np.nan
    plan = rng.choice(["free", "basic", "premium", "enterprise", None], count)
    region = rng.choice([f"region {number}" for number in range(14)], count)
    return pd.DataFrame(
        {
            "customer_id": [f"C{seed}-{number}" for number in range(count)],
            "last_activity_date": created + pd.to_timedelta(rng.integers(0, 100, count), unit="D"),
            "account_created_date": created,
            "total_value": value,
            "support_tickets": rng.poisson(2, count),
            "feature_usage_count": usage,
            "plan_type": pd.Series(plan, dtype=object),
            "region": pd.Series(region, dtype=object),
            "churned": rng.integers(0, 2, count),
        }
    )


@cache
def learnt(encoding: str = "auto", scaling: str = "robust") -> tuple[Recipe, pd.DataFrame]:
    """A recipe that was written and read, and what the fit gave."""
    config = {"encoding_strategy": encoding, "scaling_method": scaling}
    blueprint = registry.find("blueprint", "customer_churn").load()
    made, _, recipe, _ = DataPreprocessingService(config).fit(
        customers(300, 1), blueprint, as_of=AS_OF, target="churned", keep_extra=True, keep_dates=True
    )
    return Recipe.loads(recipe.dumps()), made


@pytest.mark.parametrize("scaling", ["robust", "standard", "minmax", "none"])
@pytest.mark.parametrize("encoding", ["auto", "onehot", "label"])
def test_the_rows_that_it_was_learnt_of_come_out_as_they_did(encoding: str, scaling: str) -> None:
    """To the last bit, names, order and types with them, after the recipe was written and read."""
    recipe, made = learnt(encoding, scaling)
    pd.testing.assert_frame_equal(recipe.transform(customers(300, 1)), made, check_exact=True)


def test_target_encoded_columns_are_exempt_and_only_those() -> None:
    """The rows it was learnt of were cross-fitted: only the scaled column of that text differs."""
    recipe, made = learnt("target")
    again = recipe.transform(customers(300, 1))
    differing = [name for name in made if not made[name].equals(again[name])]
    assert set(differing) == {"plan_type", "region"}


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_each_row_comes_out_alike_whatever_comes_with_it(data: Any) -> None:
    """In any order, in pieces of any size, alone: the same bits."""
    encoding = data.draw(st.sampled_from(["auto", "onehot", "label", "target"]))
    recipe, _ = learnt(encoding, data.draw(st.sampled_from(["robust", "standard", "minmax", "none"])))
    new = customers(60, data.draw(st.integers(2, 50)))
    new.loc[new.index[::7], "region"] = "region of none"
    at_once = recipe.transform(new)
    order = data.draw(st.permutations(range(len(new))))
    cuts = sorted({0, len(new), *data.draw(st.lists(st.integers(1, len(new) - 1), max_size=8))})
    pieces = [recipe.transform(new.iloc[list(order[start:end])]) for start, end in pairwise(cuts)]
    pd.testing.assert_frame_equal(pd.concat(pieces).sort_index(), at_once, check_exact=True)


@given(st.integers(0, 10), st.permutations(range(90)), st.sets(st.integers(1, 89), max_size=5))
@settings(max_examples=30, deadline=None)
def test_days_come_out_alike_in_any_order_and_in_pieces_of_whole_days(seed: int, order: Any, cuts: set[int]) -> None:
    """Revenue of a day is summed exactly, and looks back on what was learnt."""
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 60, 90)), unit="D")
    frame = pd.DataFrame({"date": days, "revenue": rng.gamma(1, 100, 90)})
    blueprint = registry.find("blueprint", "revenue_projection").load()
    made, _, recipe, _ = DataPreprocessingService().fit(frame, blueprint, keep_dates=True, as_of="2026-03-31")
    pd.testing.assert_frame_equal(recipe.transform(frame.iloc[list(order)]), made, check_exact=True)
    numbers = days.day_of_year.to_numpy()
    groups = np.searchsorted(sorted(cuts), numbers, side="right")
    pieces = [recipe.transform(frame[groups == each]) for each in np.unique(groups)]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), made, check_exact=True)


# --------------------------------------------------------------------------- rows that are unlike those before


@pytest.mark.parametrize("encoding", ["onehot", "label", "target"])
def test_a_text_that_was_not_there_is_zeros_or_less_than_none_or_the_mean_and_is_counted(encoding: str) -> None:
    """By the encoding; the recipe says which texts and how often."""
    recipe, _ = learnt(encoding, "none")
    applied = recipe.apply(customers(20, 3).assign(region=["mars"] * 15 + ["moon"] * 5))
    assert applied.unseen == {"region": {"mars": 15, "moon": 5}}
    found = applied.frame[[name for name in applied.frame if name.startswith("region")]].to_numpy()
    wanted = {"onehot": 0, "label": -1, "target": recipe.encodings["region"].get("mean")}[encoding]
    assert (found == wanted).all()


def test_rows_that_cannot_be_prepared_are_refused_and_reported() -> None:
    """Without an identifier or a date, or after as_of; the others come out as ever."""
    recipe, _ = learnt()
    new = customers(30, 4)
    broken = new.copy()
    broken.loc[3, "customer_id"] = None
    broken.loc[5, "last_activity_date"] = pd.Timestamp("2026-07-01")
    broken.loc[8, "account_created_date"] = pd.NaT
    applied = recipe.apply(broken)
    assert applied.refused == [
        {"why": "last_activity_date is after as_of 2026-06-30 23:59:59.999999999", "count": 1, "rows": [5]},
        {"why": "customer_id is missing", "count": 1, "rows": [3]},
        {"why": "account_created_date is missing", "count": 1, "rows": [8]},
    ]
    pd.testing.assert_frame_equal(applied.frame, recipe.transform(new).drop(index=[3, 5, 8]), check_exact=True)
    json.dumps(applied.as_dict(), allow_nan=False)


def test_no_rows_give_no_rows() -> None:
    """With all the columns, of their types."""
    recipe, made = learnt()
    empty = recipe.transform(customers(10, 5).iloc[:0])
    pd.testing.assert_series_equal(empty.dtypes, made.dtypes)
    assert len(empty) == 0


def test_the_target_may_be_missing_and_comes_last_where_it_is_there() -> None:
    """New rows do not have it yet."""
    recipe, made = learnt()
    new = customers(10, 6)
    without = recipe.transform(new.drop(columns="churned"))
    assert list(without) == list(made)[:-1]
    pd.testing.assert_frame_equal(recipe.transform(new).drop(columns="churned"), without, check_exact=True)


def test_a_later_as_of_may_be_given_and_no_earlier_one() -> None:
    """The features count up to it; before the recipe's own it has seen what was not yet."""
    recipe, _ = learnt()
    new = customers(10, 7)
    first, later = (recipe.apply(new, as_of=day).features_raw for day in (None, "2026-07-10"))
    assert (later["account_tenure_days"] - first["account_tenure_days"]).tolist() == [10] * 10
    with pytest.raises(ParameterError, match="is before the recipe's"):
        recipe.transform(new, as_of="2026-06-29")


def test_a_negative_age_is_an_error() -> None:
    """In new rows too."""
    recipe, _ = learnt()
    new = customers(10, 8)
    new.loc[2, "account_created_date"] = pd.Timestamp("2027-01-01")
    with pytest.raises(ProcessingException, match="negative age"):
        recipe.transform(new)


# --------------------------------------------------------------------------- columns that are others


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda f: f.drop(columns="region"), "needs columns that are missing: region", id="missing"),
        pytest.param(lambda f: f.rename(columns={"region": "Region"}), "Did you mean 'Region'", id="renamed"),
        pytest.param(lambda f: f.assign(new=1), "does not know these columns: new", id="new"),
        pytest.param(lambda f: pd.concat([f, f["region"]], axis=1), "Columns of one name", id="twice"),
        pytest.param(lambda f: f.assign(region=1), "region holds number, but held text", id="number-for-text"),
        pytest.param(lambda f: f.assign(total_value="1"), "total_value holds text, but held number", id="text"),
        pytest.param(
            lambda f: f.assign(last_activity_date=f["last_activity_date"].astype(str)),
            "last_activity_date holds text, but held datetime",
            id="text-for-date",
        ),
        pytest.param(
            lambda f: f.assign(support_tickets=True), "support_tickets holds flag, but held number", id="flag"
        ),
    ],
)
def test_a_column_that_is_missing_new_or_of_another_type_is_an_error(change: Any, message: str) -> None:
    """That names it; nothing is guessed."""
    recipe, _ = learnt()
    with pytest.raises(CompatibilityException, match=message):
        recipe.transform(change(customers(10, 9)))


def test_another_type_of_the_same_kind_is_taken() -> None:
    """Whole numbers for fractions, categories for texts, a column without any value."""
    recipe, _ = learnt()
    new = customers(10, 10)
    new["total_value"] = np.arange(10.0)
    same = new.astype({"plan_type": "category", "region": "category", "total_value": "int32"})
    pd.testing.assert_frame_equal(recipe.transform(same), recipe.transform(new), check_exact=True)
    for void in (np.nan, None, pd.NA):
        assert recipe.apply(new.assign(plan_type=void)).imputed["plan_type"] == 10


def test_columns_that_were_dropped_before_may_come_again() -> None:
    """They are not looked at."""
    blueprint = registry.find("blueprint", "customer_churn").load()
    made, _, recipe, _ = DataPreprocessingService().fit(customers(50, 1), blueprint, as_of=AS_OF)
    assert recipe.ignored == ["region", "churned"]
    changed = customers(50, 1).assign(region=7).drop(columns="churned")
    pd.testing.assert_frame_equal(recipe.transform(changed), made, check_exact=True)


# --------------------------------------------------------------------------- as JSON


def test_a_recipe_is_json_and_the_same_bytes_again() -> None:
    """With a format, a version and the versions of what made it; learnt twice it is the same."""
    recipe, _ = learnt()
    text = recipe.dumps()
    assert Recipe.loads(text).dumps() == text == Recipe.loads(text.encode()).dumps()
    read = json.loads(text)
    assert (read["format"], read["version"], read["blueprint"]) == ("millpond-recipe", 1, "customer_churn")
    assert {"millpond", "python", "pandas", "numpy"} == set(read["versions"])
    learnt.cache_clear()
    assert learnt()[0].dumps() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is not JSON", id="empty"),
        pytest.param(b"\xff\xfe", "is not JSON", id="bytes"),
        pytest.param("[" * 100_000, "is not JSON", id="deep"),
        pytest.param("[1]", "is no recipe", id="list"),
        pytest.param('{"format": "other"}', "is no recipe", id="other"),
        pytest.param('{"format": "millpond-recipe", "version": 2}', "format version 2", id="later"),
        pytest.param('{"format": "millpond-recipe", "version": 1}', "lacks or has wrongly: config", id="hollow"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str | bytes, message: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(FormatError, match=message):
        Recipe.loads(text)


@pytest.mark.parametrize(("name", "value"), [("inputs", [1]), ("inputs", [{"name": "x"}]), ("caps", []), ("as_of", 3)])
def test_a_recipe_with_a_part_of_another_type_is_refused(name: str, value: Any) -> None:
    """By its name."""
    read = learnt()[0].as_dict()
    with pytest.raises(FormatError, match=f"lacks or has wrongly: {name}"):
        Recipe.loads(json.dumps({**read, name: value}))


def test_a_recipe_finds_its_blueprint_by_name_or_is_given_it() -> None:
    """One of your own is given; one that is another or makes other features is refused."""
    own = Blueprint("own", "", (Field("id", "identifier"),), (), ("id",), lambda frame, as_of, known: frame[[]])
    made, _, recipe, _ = DataPreprocessingService().fit(pd.DataFrame({"id": [1, 2]}), own)
    with pytest.raises(UnknownNameError, match="There is no blueprint 'own'"):
        Recipe.loads(recipe.dumps())
    again = Recipe.loads(recipe.dumps(), blueprint=own)
    pd.testing.assert_frame_equal(again.transform(pd.DataFrame({"id": [1, 2]})), made)
    with pytest.raises(FormatError, match="of the blueprint 'customer_churn', not of 'own'"):
        Recipe.loads(learnt()[0].dumps(), blueprint=own)
    gone = {"features": ["gone"], "formulas": {"gone": ""}}
    with pytest.raises(FormatError, match="no longer makes gone"):
        Recipe.loads(json.dumps({**recipe.as_dict(), **gone}), blueprint=own)
