"""Which column is which field of a blueprint, against what plain Python says of their names."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import CompatibilityException, DataException
from framework.prepare.blueprint import Blueprint, Feature, Field
from framework.prepare.compatibility import compatibility, near

PLAN = Blueprint(
    name="visits",
    description="",
    fields=(
        Field("visitor_id", "identifier"),
        Field("visit_date", "datetime"),
        Field("amount", "number"),
        Field("plan_type", "category", required=False, cost="No tier of value."),
    ),
    features=(
        Feature("recency", ("visit_date",)),
        Feature("tier", ("plan_type",)),
        Feature("spend_of_plan", ("amount", "plan_type")),
    ),
    identifier=("visitor_id",),
    make=lambda frame, as_of, learnt: frame,
)
NAMES = [each.name for each in PLAN.fields]
SPELLINGS = [
    spelling
    for name in NAMES
    for spelling in (name, name.upper(), name.replace("_", " "), name.replace("_", ""), name.title(), f" {name}_")
]


def folded(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in " _\t")


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(SPELLINGS), st.sampled_from(["other", "x1", "id"])), unique=True, max_size=9))
def test_a_field_is_the_column_of_its_very_name_else_the_only_one_that_is_spelt_alike(columns: list[str]) -> None:
    """The very name wins; one like it is taken; of two like it none is, and it is said."""
    found = compatibility(columns, PLAN)
    for name in NAMES:
        alike = [column for column in columns if folded(column) == folded(name)]
        if name in columns:
            assert (found.fields[name], found.how[name]) == (name, "exact")
        elif len(alike) == 1:
            assert (found.fields[name], found.how[name]) == (alike[0], "loose")
            assert any(repr(alike[0]) in warning for warning in found.warnings)
        else:
            assert name not in found.fields
            assert (len(alike) > 1) == any(name in fault and "could be" in fault for fault in found.faults)
    there = set(found.fields)
    assert set(found.unused) == set(columns) - set(found.fields.values())
    disputed = any("could be" in fault for fault in found.faults)
    assert found.passed == (set(PLAN.required) <= there and not disputed)
    assert json.loads(json.dumps(found.as_dict()))["passed"] == found.passed


def test_a_missing_optional_field_is_told_with_its_cost_and_the_features_that_are_lost() -> None:
    """It does not forbid to go on."""
    found = compatibility(["visitor_id", "visit_date", "amount"], PLAN).raise_if_failed()
    (lack,) = found.missing_optional
    assert (lack.field, lack.cost, lack.features) == ("plan_type", "No tier of value.", ["tier", "spend_of_plan"])


def test_a_name_that_only_comes_near_is_proposed_and_never_taken() -> None:
    """The error names the mapping that would take it."""
    found = compatibility(["visitors_id", "date_of_visit", "amount"], PLAN)
    assert found.fields == {"amount": "amount"}
    assert found.missing_required == ["visitor_id", "visit_date"]
    assert found.proposed["visitor_id"] == ["visitors_id"]
    with pytest.raises(CompatibilityException, match=r"visitor_id, visit_date.*mapping=.*'visitors_id'") as raised:
        found.raise_if_failed()
    assert isinstance(raised.value, DataException)
    assert raised.value.exit_code == 20
    assert pickle.loads(pickle.dumps(raised.value)).result == found  # noqa: S301 - our own, within this test


def test_a_mapping_is_the_last_word() -> None:
    """The column that it names is taken, though another has the very name."""
    found = compatibility(["visitor_id", "day", "visit_date", "amount"], PLAN, mapping={"visit_date": "day"})
    assert found.fields["visit_date"] == "day"
    assert found.how["visit_date"] == "mapped"
    assert found.unused == ["visit_date"]


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"visitdate": "day"}, r"names no field: 'visitdate'.*visit_date"),
        ({"visit_date": "dya"}, r"not there: 'dya'.*'day'"),
        ({"visit_date": "day", "amount": "day"}, r"'day' to both 'visit_date' and 'amount'"),
    ],
    ids=["field", "column", "twice"],
)
def test_a_mapping_that_cannot_be_is_a_fault(mapping: dict[str, str], told: str) -> None:
    """It says what is wrong and what exists."""
    with pytest.raises(CompatibilityException, match=told):
        compatibility(["visitor_id", "day", "amount"], PLAN, mapping=mapping).raise_if_failed()


def test_two_columns_of_one_name_are_no_field() -> None:
    """Which of them is meant cannot be told."""
    with pytest.raises(CompatibilityException, match="2 columns are called 'amount'"):
        compatibility(["visitor_id", "visit_date", "amount", "amount"], PLAN).raise_if_failed()


def test_labels_that_are_no_text_are_no_field() -> None:
    """They are left over, as text."""
    assert compatibility(["visitor_id", "visit_date", "amount", 7, None], PLAN).unused == ["7", "None"]


@pytest.mark.timeout(20)
def test_ten_thousand_columns_and_endless_names_are_looked_through() -> None:
    """What resembles nothing costs little."""
    columns = [f"column number {place}" for place in range(10_000)] + ["visitor id" * 5000, "__class__"]
    assert compatibility(columns, PLAN).missing_required == ["visitor_id", "visit_date", "amount"]


def test_words_in_another_order_come_near() -> None:
    """By the words that both have, or by their letters."""
    assert near("account_created_date", ["CreatedAccountDate", "zip", "acount_created_date"]) == [
        "CreatedAccountDate",
        "acount_created_date",
    ]
