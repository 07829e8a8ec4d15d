"""What validation calls missing, or of another type, preprocessing does too: one truth of every cell."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import ProcessingException
from framework.prepare.blueprint import Blueprint, Feature, Field, Rule
from framework.prepare.checks import check_column
from framework.prepare.columns import missing, plain, typed
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.validation import DataValidationService

KINDS = ["identifier", "datetime", "number", "integer", "category", "text", "flag"]
WORDS = [
    "", " ", "\t\n", "\u00a0", "1", " 2.5 ", "-3", "1e3", "1e999", "inf", "-Infinity", "nan", "NaT", "None", "1_000",
    "٣", "0x1", "1,5", "yes", " NO", "Y", "t", "off", "On", "true", "perhaps", "now", "today", "2024-02-29",
    "2024-02-30", " 2024-05-05 ", "2024-05-05T01:00:00Z", "2024-05-05T01:00:00+02:00", "20240505", "2024-05",
    "9999-12-31", "1677-09-22", "0001-01-01", "2262-04-12", "05.05.2024",
]  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([np.float64("nan"), pd.NA, pd.NaT, Decimal("1.50"), date(2024, 5, 5), datetime(2024, 5, 5, 7)]),
    st.sampled_from([date(9999, 12, 31), datetime(2024, 5, 5, tzinfo=UTC), b"1", [1], {}, 1j, np.int8(1), 10**400]),
)


def agrees(column: pd.Series, kind: Any) -> None:
    """Holds that a column is taken as its kind where validation has nothing against its types, with the same gaps."""
    checked = check_column(column, Field("x", kind), column="x", rules=False)
    odd = checked.broken.get("type")
    whole = kind == "integer" and odd is not None  # a fraction is a number, though it is no whole one
    if odd is not None and not whole:
        with pytest.raises(ProcessingException, match="x holds"):
            typed(column, kind)
        return
    try:
        made = typed(column, kind)
    except ProcessingException:
        assert check_column(column, Field("x", "number"), column="x", rules=False).broken
        return
    gone = missing(made)
    assert (np.zeros(len(column), bool) if gone is None else np.asarray(gone)).tolist() == checked.missing.tolist()


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(cells=st.lists(CELLS, min_size=1, max_size=6))
def test_validation_and_preprocessing_say_the_same_of_cells_of_any_types(kind: str, cells: list[Any]) -> None:
    """In one column together, as objects."""
    column = pd.Series([*cells, None], dtype=object, name="x").iloc[:-1]
    agrees(column, kind)


@pytest.mark.parametrize("dtype", ["object", "string", "category", "string[pyarrow]"])
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(cells=st.lists(st.one_of(st.none(), st.sampled_from(WORDS)), min_size=1, max_size=6))
def test_validation_and_preprocessing_say_the_same_of_texts(kind: str, dtype: str, cells: list[Any]) -> None:
    """In whatever type of column they come."""
    agrees(pd.Series(cells, dtype=dtype, name="x"), kind)


TYPES = {
    "bool": pd.Series([True, False]),
    "complex": pd.Series([1 + 1j, 2]),
    "float32": pd.Series([1.5, np.inf], dtype="float32"),
    "Int64": pd.array([1, None], dtype="Int64"),
    "boolean": pd.array([True, None], dtype="boolean"),
    "seconds": pd.Series(np.array(["2024-01-01", "9999-12-31"], dtype="datetime64[s]")),
    "zone": pd.Series(pd.to_datetime(["2024-01-01", None])).dt.tz_localize("Europe/Berlin"),
    "arrow date": pd.Series([date(2024, 1, 1), None], dtype=pd.ArrowDtype(pa.date32())),
    "arrow time": pd.Series([datetime(2024, 1, 1), None], dtype=pd.ArrowDtype(pa.timestamp("us"))),
    "arrow zone": pd.Series([datetime(2024, 1, 1), None], dtype=pd.ArrowDtype(pa.timestamp("us", tz="Asia/Tokyo"))),
    "arrow decimal": pd.Series([Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
    "arrow bool": pd.Series([True, None], dtype=pd.ArrowDtype(pa.bool_())),
    "categories of numbers": pd.Series([1, 2]).astype("category"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TYPES)
def test_validation_and_preprocessing_say_the_same_of_typed_columns(name: str, kind: str) -> None:
    """Of pandas, of NumPy and of Arrow."""
    agrees(pd.Series(TYPES[name], name="x"), kind)


def made(frame: pd.DataFrame, as_of: pd.Timestamp, learnt: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({"age": (as_of - frame["since"]).dt.days.astype("float64")}, index=frame.index)


VISITS = Blueprint(
    name="visits",
    description="Visits, for the tests",
    fields=(
        Field("id", "identifier", critical=True),
        Field("since", "datetime"),
        Field("amount", "number", required=False),
        Field("paid", "flag", required=False),
        Field("plan", "category", required=False),
    ),
    features=(Feature("age", ("since",)),),
    identifier=("id",),
    time="since",
    make=made,
)


def visits(**changed: Any) -> pd.DataFrame:
    rows = 40
    frame = pd.DataFrame(
        {
            "id": [f"V{number}" for number in range(rows)],
            "since": pd.date_range("2024-01-01", periods=rows).astype(str),
            "amount": [str(number / 4) for number in range(rows)],
            "paid": ["yes", "n"] * (rows // 2),
            "plan": ["free", "paid"] * (rows // 2),
        }
    ).astype(object)
    for name, cell in changed.items():
        frame.loc[7, name] = cell
    return frame


@pytest.mark.parametrize("blank", ["", "   ", "\u00a0"])
def test_white_space_alone_is_a_missing_value_in_every_stage(blank: str) -> None:
    """An identifier or a needed date of it refuses the row, anything else is filled; nothing is made of it."""
    for name in ("id", "since"):
        made, _, _, result = DataPreprocessingService().fit(visits(**{name: blank}), VISITS, as_of="2024-06-30")
        assert (len(made), result.refused) == (39, [{"why": f"{name} is missing", "count": 1, "rows": [7]}])
    made, _, _, result = DataPreprocessingService().fit(
        visits(amount=blank, paid=blank, plan=blank), VISITS, as_of="2024-06-30"
    )
    assert result.imputed == {"amount": 1, "paid": 1, "plan": 1}
    assert [name for name in made if name.startswith("plan")] == ["plan_free", "plan_paid"]
    issues = DataValidationService().validate(visits(id=blank), VISITS).issues
    assert ("identifier", "critical") in {(issue.rule, issue.severity) for issue in issues}


def test_every_word_for_a_flag_that_validation_takes_is_taken() -> None:
    """y, t, on, n, f and off as well as yes and no."""
    words = ["true", "Yes", " y", "T", "1", "ON", "false", "no ", "N", "f", "0", "oFF"]
    assert typed(pd.Series(words), "flag").tolist() == [1.0] * 6 + [0.0] * 6


@pytest.mark.parametrize(
    "times",
    [["2024-01-01T00:30:00Z"] * 3, ["2024-01-01T02:30:00+02:00", "2024-01-01T00:30:00Z", "2024-01-01T00:30:00"]],
)
def test_times_of_iso_8601_with_a_zone_are_prepared_from_file_to_feature(times: list[str]) -> None:
    """One zone or several in a column: all in UTC."""
    text = "id,since\n" + "".join(f"{number},{each}\n" for number, each in enumerate(times))
    frame, _ = DataIngestionService().ingest(io.BytesIO(text.encode()))
    assert DataValidationService().validate(frame, VISITS).passed
    _, raw, _, _ = DataPreprocessingService().fit(frame, VISITS, as_of="2024-01-11")
    assert raw["age"].tolist() == [10.0] * 3


def test_texts_are_the_numbers_that_python_reads() -> None:
    """To the last bit."""
    powers = 10.0 ** np.linspace(-300, 300, 2000)
    texts = [repr(value) for value in (np.random.default_rng(7).normal(size=2000) * powers).tolist()]
    assert typed(pd.Series(texts), "number").tolist() == [float(text) for text in texts]
    assert plain(typed(pd.Series([1, "1", True, 1.0], dtype=object), "category")).tolist() == ["1", "1", "True", "1"]


def test_a_cell_of_white_space_does_not_make_another_type_of_a_column() -> None:
    """In new rows of a recipe that was learnt of numbers, and the other way round."""
    numbers = visits().assign(amount=np.arange(40.0))
    spaced = visits(amount=" ")
    for first, second in ((numbers, spaced), (spaced, numbers)):
        _, _, recipe, _ = DataPreprocessingService().fit(first, VISITS, as_of="2024-06-30")
        assert len(recipe.transform(second)) == 40


@pytest.mark.parametrize("odd", [[1], {}, 7, 2.5, True, b"x", date(2024, 5, 5)], ids=str)
def test_a_rule_sees_texts_whatever_a_cell_holds(odd: Any) -> None:
    """A cell of another type among texts ends no validation: it is as it would be written, or missing."""
    plans: list[Any] = []

    def known(frame: pd.DataFrame) -> pd.Series:
        plans.extend(frame["plan"].dropna())
        return frame["plan"].isin({"free", "paid"})

    frame = visits()
    frame["plan"] = pd.Series(["free", odd, *["paid"] * 38], dtype=object)
    result = DataValidationService().validate(frame, replace(VISITS, rules=(Rule("known", ("plan",), known, "low"),)))
    assert all(isinstance(plan, str) for plan in plans)
    assert result.passed
