"""What a column of someone else's CSV is: nothing is lost, whatever it looks like."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from framework.errors import OptionError
from framework.formats.csv_dtypes import UnfitCell, columns_of, told
from framework.formats.csv_inference import Guess


def text(*cells: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, pa.string())])


def kind_of(*cells: str | None) -> str:
    guess = Guess("x")
    guess.add(text(*cells))
    return str(guess.type)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2"], "int64"),
        (["1", None], "int64"),
        (["NA", "1"], "int64"),
        (["1.50", "2.0"], "double"),
        (["2.5e-3", "1"], "double"),
        (["1e+5"], "double"),
        (["-0", "1"], "double"),
        (["0.1", "0.30000000000000004"], "double"),
        (["1.50", "2.00", "3.0", "0.30000000000000004"], "double"),
        (["1.50", "0.30000000000000004", None], "double"),
        (["0.0", "0.00", "1.50", "0.30000000000000004"], "double"),
        (["1", "NaN", "2.5"], "double"),
        (["true", "false"], "bool"),
        (["2020-01-02", "NA"], "timestamp[ns]"),
        (["2020-01-02T03:04:05Z"], "timestamp[ns, tz=UTC]"),
        (["0001-01-01"], "timestamp[us]"),
    ],
)
def test_what_comes_back_as_it_was_is_a_number_a_boolean_or_a_time(cells: list[str | None], kind: str) -> None:
    """Written back, each gives its text again, up to zeros, exponents and ISO spellings."""
    assert kind_of(*cells) == kind


@pytest.mark.parametrize(
    "cells",
    [
        ["007"],
        ["+1"],
        ["1E5"],
        ["1e5"],
        ["0x1F"],
        ["TRUE"],
        [" 1"],
        ["12345678901234567890"],
        ["0.5", "9007199254740993"],
        [".5"],
        ["5."],
        ["00.5"],
        ["-01"],
        ["1", "007"],
        ["1.5", "007.5"],
        ["1", "-01"],
        ["1", "-"],
        ["1.5", "5."],
        ["1.5", ".5"],
        ["1.5", "1E5"],
        ["1.5", "+2"],
        ["1", " 2"],
        ["1.2.3"],
        ["1-2"],
        ["--1"],
        ["-"],
        ["1", ""],
        ["1", "x"],
        ["NA"],
        ["NA", "x"],
        ["true", "True"],
        ["true", "NA"],
        ["0.1", "0.1000000000000000055"],
        ["0.1", "0.2", "0.3", "0.1000000000000000055"],
        ["1e-400"],
        ["1.0e999"],
        ["2020-02-30"],
        ["2020-01-02T03:04:05+02:00"],
        ["2020-01-02T03:04:05Z", "2020-01-02T03:04:05"],
    ],
)
def test_what_would_lose_something_stays_text(cells: list[str]) -> None:
    """One such cell is enough."""
    assert kind_of(*cells) == "string"


@given(
    st.lists(
        st.one_of(st.decimals(allow_nan=False, allow_infinity=False).map(str), st.text("0123456789.-+eE", max_size=20)),
        min_size=1,
    )
)
def test_no_number_is_ever_changed(cells: list[str]) -> None:
    """Whatever column of numbers is found, each is just the number that its text says."""
    guess = Guess("x")
    for cell in cells:
        guess.add(text(cell))
    if str(guess.type) != "string":
        for cell, number in zip(cells, guess.convert(text(*cells)).to_pylist(), strict=True):
            assert Decimal(cell) == Decimal(repr(number))


@example(["NA", "true"])
@example(["2024-01-02T03:04:05Z", "NA"])
@given(
    st.lists(
        st.sampled_from(
            [
                *("1", "-0", "1.5", "NA", None, "007", "9007199254740993", "1e-400", "true"),
                *("2024-01-02", "2024-01-02T03:04:05Z"),
            ]
        )
    )
)
def test_told_bit_by_bit_or_all_at_once_is_the_same(cells: list[str | None]) -> None:
    """What a column is does not depend on where its pieces end."""
    whole, parts = Guess("x"), Guess("x")
    whole.add(text(*cells))
    for cell in cells:
        parts.add(text(cell))
    assert whole.type == parts.type
    assert whole.field == parts.field
    assert whole.convert(text(*cells)).to_pylist() == parts.convert(text(*cells)).to_pylist()


def test_a_dtype_that_is_given_is_applied_strictly() -> None:
    """Large integers beside a gap keep every digit; text asked for stays text."""
    cells = {"id": ["9007199254740993", None], "code": ["007", "1"], "ok": ["TRUE", "false"], "n": ["1", "2"]}
    columns = columns_of(
        list(cells), dtypes={"id": "Int64", "code": "str", "ok": "bool"}, date_format=None, decimal="."
    )
    values = [column.add(text(*cells[name])).to_pylist() for name, column in zip(cells, columns, strict=True)]
    assert values == [[9007199254740993, None], ["007", "1"], [True, False], [1, 2]]
    assert [column.field.dtype for column in columns] == ["Int64", "object", "bool", "int64"]


@pytest.mark.parametrize(
    ("dtype", "cell"),
    [
        ("int64", " 1"),
        ("int64", "1_000"),
        ("int64", "1.5"),
        ("int64", None),
        ("Int8", "300"),
        ("float64", "1_0.5"),
        ("float64", "1,5"),
        ("bool", None),
        ("boolean", "maybe"),
        ("datetime64[ns]", "25/12/2020"),
        ("datetime64[ns, UTC]", "2020-13-01"),
    ],
)
def test_a_cell_that_is_not_of_the_given_dtype_is_named_with_its_place(dtype: str, cell: str | None) -> None:
    """Nothing is guessed, and nothing becomes False or another month."""
    good = {
        "datetime64[ns]": "2020-01-02",
        "datetime64[ns, UTC]": "2020-01-02T00:00:00Z",
        "bool": "true",
        "boolean": "true",
    }
    with pytest.raises(UnfitCell) as caught:
        told("x", dtype, ".").add(text(good.get(dtype, "1"), cell))
    assert caught.value.place == 1


def test_a_dtype_that_pandas_does_not_know_is_an_error() -> None:
    """By its column."""
    with pytest.raises(OptionError, match="'integer' of 'price' is not a pandas dtype"):
        told("price", "integer", ".")


def test_dates_in_a_format_reach_beyond_nanoseconds() -> None:
    """Years that nanoseconds do not reach make microseconds of all."""
    (column,) = columns_of(["d"], dtypes={}, date_format={"d": "%d.%m.%Y"}, decimal=".")
    column.add(text("01.02.2024", None))
    column.add(text("01.02.0999"))
    assert column.field.dtype == "datetime64[us]"
    assert [str(day) for day in column.convert(text("01.02.2024", "01.02.0999")).cast("date32").to_pylist()] == [
        "2024-02-01",
        "0999-02-01",
    ]
