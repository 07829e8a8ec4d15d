"""Conditions on rows, against what plain Python says of each cell."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ColumnNotFoundError, OptionError
from framework.schema import Selection, decode, encode, expression, keys_of
from framework.testing import assert_same

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
DTYPES = ["int8", "int64", "uint8", "uint64", "float16", "float32", "float64", "Int64", "UInt8", "Float64"]
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 127, 128, -128, 255, 256, 10**40]),
    st.floats(allow_nan=False),
    st.sampled_from([0.5, -0.5, math.inf, -math.inf, -0.0, 2.0**63, 2.0**64]),
    st.fractions(-2, 2),
)


def cells(dtype: str) -> st.SearchStrategy[list[Any]]:
    if dtype.lower().startswith("float"):
        width: Any = int(dtype[-2:])
        each: st.SearchStrategy[Any] = st.floats(width=width)
    else:
        info = np.iinfo(dtype.lower())
        edges = [int(info.min), int(info.max), 0, 1]
        each = st.one_of(st.integers(int(info.min), int(info.max)), st.sampled_from(edges))
    if dtype[0].isupper():
        each = st.one_of(each, st.none())
    return st.lists(each, max_size=8)


def exact(cell: Any) -> Any:
    return cell if isinstance(cell, float) and math.isinf(cell) else Fraction(cell)


@given(st.data())
def test_numbers_are_compared_as_numbers(data: st.DataObject) -> None:
    """Whatever the dtype of the column and the type of the value, a row is kept when the numbers compare so."""
    dtype = data.draw(st.sampled_from(DTYPES))
    values = data.draw(cells(dtype))
    op, bound = data.draw(st.sampled_from(sorted(COMPARE))), data.draw(NUMBERS)
    frame = pd.DataFrame({"x": pd.array(values, dtype=dtype) if dtype[0].isupper() else np.array(values, dtype)})
    held = [None if cell is pd.NA or cell != cell else cell.item() for cell in frame["x"].array]
    meant = bound
    if type(bound) is float and dtype in ("float16", "float32"):  # as NumPy compares: in the column's precision
        with np.errstate(over="ignore"):
            meant = float(np.dtype(dtype).type(bound))
    wanted = [i for i, cell in enumerate(held) if cell is not None and COMPARE[op](exact(cell), exact(meant))]
    selection = Selection.asked(where=[("x", op, bound)])
    got = decode(*selection.exactly(*encode(frame), "d"))
    assert_same(frame.iloc[wanted].reset_index(drop=True), got)


@given(st.data())
def test_what_a_store_may_leave_out_is_never_wanted(data: st.DataObject) -> None:
    """The rows that the pushed-down expression gives hold all that meet the conditions."""
    values = data.draw(st.lists(st.one_of(st.none(), st.floats(), st.just(float("nan"))), max_size=8))
    frame = pd.DataFrame({"x": pd.array(values, dtype="Float64"), "n": range(len(values))})
    op = data.draw(st.sampled_from([*sorted(COMPARE), "in", "not in", "is null", "not null"]))
    bound: Any = data.draw(st.floats(allow_nan=False))
    where = [("x", op)] if "null" in op else [("x", op, [bound, 0.5] if "in" in op else bound)]
    selection = Selection.asked(where=where)
    table, schema = encode(frame)
    less = table.filter(expression(selection.pushdown(schema, "d")))
    wanted = selection.exactly(table, schema, "d")[0]
    assert selection.exactly(less, schema, "d")[0].equals(wanted)


def test_an_expression_prunes_a_file(tmp_path: Any) -> None:
    """The expression is one that Arrow's readers take, times and text included."""
    frame = pd.DataFrame({"t": ["a", "b", None], "w": pd.to_datetime(["2024-01-01", "2024-01-02", None])})
    frame["t"] = pd.Series(["a", "b", None], dtype=object)
    table, schema = encode(frame)
    pq.write_table(table, tmp_path / "d.parquet")
    selection = Selection.asked(where=[("t", ">=", "b"), ("w", "<", "2024-01-02 00:00:01")])
    less = pq.read_table(tmp_path / "d.parquet", filters=expression(selection.pushdown(schema, "d")))
    assert less.num_rows == 1


def test_rows_are_not_left_out_where_their_places_tell_what_is_missing() -> None:
    """None and NaN in one column are told apart by their places, so nothing is pushed down."""
    frame = pd.DataFrame({"n": [1, 2, 3], "t": pd.Series([None, float("nan"), "a"], dtype=object)})
    _, schema = encode(frame)
    assert Selection.asked(where=[("n", ">", 1)]).pushdown(schema, "d") == ()
    assert len(Selection.asked(["n"], [("n", ">", 1)]).pushdown(schema, "d")) == 1


def test_the_schema_to_read_holds_what_the_conditions_need() -> None:
    """Columns of the conditions follow those that were asked for, once each."""
    _, schema = encode(pd.DataFrame({"a": [1], "b": [1], "c": [1]}))
    selection = Selection.asked(["c"], [("a", ">", 0), ("c", ">", 0), ("a", "<", 5)])
    assert selection.of(schema, "d").names == ["c", "a"]
    assert selection.labels == ["c", "a", "c", "a"]


@pytest.mark.parametrize(
    "label", [1, True, 1.0, None, float("nan"), pd.NaT, ("a", 1)], ids=lambda label: f"{type(label).__name__} {label}"
)
def test_a_condition_and_a_key_find_a_column_by_whatever_label_it_has(label: Any) -> None:
    """By type too, for 1, True and 1.0 are equal; None is a label like others, and means no index without a name."""
    others = [one for one in (1, True, 1.0, None, ("a", 1)) if type(one) is not type(label)]
    frame = pd.DataFrame([[7, *(0 for _ in others)], [8, *(0 for _ in others)]], index=["x", "y"])
    frame.columns = pd.Index([label, *others], dtype=object, tupleize_cols=False)
    table, schema = encode(frame)
    assert decode(*Selection.asked(where=[(label, "==", 8)]).exactly(table, schema, "d")).index.tolist() == ["y"]
    assert keys_of(table, schema, [label], "d") == [schema.values[0].name]
    table, schema = encode(frame[[]])
    with pytest.raises(ColumnNotFoundError):
        Selection.asked(where=[(label, "is null")]).tests(schema, "d")


def test_a_repeated_label_cannot_be_compared() -> None:
    """A condition on a label that two columns have is refused."""
    frame = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with pytest.raises(OptionError, match="2 columns"):
        Selection.asked(where=[("x", ">", 0)]).exactly(*encode(frame), "d")


def test_a_pushed_value_has_the_fields_own_type() -> None:
    """A store gets a scalar that compares with the stored column as it is."""
    frame = pd.DataFrame({"w": pd.to_datetime(["2024-01-01"]).as_unit("s"), "n": np.array([1], "int8")})
    _, schema = encode(frame)
    late, small = Selection.asked(where=[("w", ">", "2024-01-01 00:00:00.5"), ("n", "<", 1000)]).tests(schema, "d")
    assert (late.op, late.value.type) == (">=", pa.timestamp("s"))
    assert small.op == "not null"


@pytest.mark.parametrize(
    ("values", "condition", "places"),
    [
        ([2.0**53, 2.0**53 + 2], (">=", 2**53 + 1), [1]),
        ([2.0**53, 2.0**53 + 2], ("<", 2**53 + 1), [0]),
        ([2.0**53, 2.0**53 + 2], ("==", 2**53 + 1), []),
        ([1.0, math.inf], ("<", 10**400), [0]),
        ([1.0, -math.inf], (">", -(10**400)), [0]),
        (np.array([0.1, 0.2], "float32"), ("==", 0.1), [0]),
        ([1, True, "a", 1.0], ("==", 1), [0, 3]),
        ([1, True, "a", None], ("==", True), [1]),
        ([1, True, [1], "a"], ("in", [1, "b"]), [0]),
        (pd.to_timedelta([1, 2], unit="h"), (">", "90min"), [1]),
    ],
    ids=str,
)
def test_values_mean_what_they_are(values: Any, condition: tuple[str, Any], places: list[int]) -> None:
    """Numbers beyond what a float holds, a column's own precision, booleans beside ones, spans with their unit."""
    mixed = isinstance(values, list) and any(isinstance(value, str) for value in values)
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object) if mixed else values})
    got = decode(*Selection.asked(where=[("x", *condition)]).exactly(*encode(frame), "d"))
    assert_same(frame.iloc[places].reset_index(drop=True), got)


@pytest.mark.parametrize(
    ("values", "op", "value"),
    [
        (pd.to_timedelta([1], unit="h"), ">", 5),
        (pd.to_timedelta([1], unit="h"), ">", "5"),
        (pd.to_datetime(["2024-01-01"]), ">", "now"),
        (pd.DatetimeIndex(["2024-10-27"], tz="Europe/Paris"), "==", "2024-10-27 02:30"),
        (pd.DatetimeIndex(["2024-03-31"], tz="Europe/Paris"), "==", "2024-03-31 02:30"),
        (pd.Series(["a"], dtype=object), "==", "\ud800"),
        (pd.Series(["a"], dtype=object), "in", ["b", "\ud800"]),
        ([1], "in", np.array(1)),
        (pd.Series([1, "a"], dtype=object), "==", np.array([1, 2])),
        (pd.Series([1, "a"], dtype=object), ">", 1),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_meant_is_refused(values: Any, op: str, value: Any) -> None:
    """No unit, another moment each time, a time that is never or twice, half a character: an OptionError."""
    table, schema = encode(pd.DataFrame({"x": values}))
    with pytest.raises(OptionError):
        Selection.asked(where=[("x", op, value)]).exactly(table, schema, "d")


@pytest.mark.parametrize("columns", [5, "x", b"x"], ids=repr)
def test_columns_are_a_list(columns: Any) -> None:
    """What is no list of labels is an OptionError that shows one."""
    with pytest.raises(OptionError, match="list of labels"):
        Selection.asked(columns)


@pytest.mark.parametrize(
    ("condition", "places"), [(("!=", 1.0), [1]), (("is null",), [2, 3]), (("not in", [1.0]), [1])]
)
def test_a_nan_beside_na_is_missing_too(condition: tuple[Any, ...], places: list[int]) -> None:
    """A NaN that a masked column holds as a value meets only `is null`."""
    numbers = pd.arrays.FloatingArray(np.array([1.0, 2.0, np.nan, 0.0]), np.array([False, False, False, True]))
    table, schema = encode(pd.DataFrame({"x": numbers, "n": range(4)}))
    got = decode(*Selection.asked(where=[("x", *condition)]).exactly(table, schema, "d"))
    assert got["n"].tolist() == places
