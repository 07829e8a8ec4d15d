"""Rows behind rows of any other dtype: refused, or every cell old and new is what it was."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from framework.errors import DataException, KeysError, SchemaError
from framework.schema import append, decode, encode, fields, upsert
from framework.testing import assert_same
from framework.testing.examples import MAYBE, SAME, column, text
from framework.testing.held import HELD

A: Any = pd.ArrowDtype
FRAMES = {
    name: frame[["x"]].iloc[:12]
    for name, make in {**SAME, **MAYBE, **HELD}.items()
    if list((frame := make()).columns) == ["x"] and isinstance(frame.index, pd.RangeIndex) and "many" not in name
}
PAIRS = [(old, new) for old in FRAMES for new in FRAMES]


def arrow(values: Any, kind: Any) -> pd.DataFrame:
    return column(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, type=kind)])))


def counts(values: Any, kind: Any) -> pd.DataFrame:
    """Arrow values by what they count."""
    wide = pa.int32() if kind.bit_width == 32 else pa.int64()
    return column(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, type=wide).cast(kind)])))


# --------------------------------------------------------------------------- what a cell is worth


def worth(frame: pd.DataFrame) -> list[Any]:
    """Each cell as what can be compared whatever dtype holds it; None for one that is missing."""
    values: Any = frame["x"].array
    if isinstance(values, pd.Categorical):
        picked: Any = values.categories.take(np.maximum(values.codes, 0)) if len(values.categories) else values.codes
        held = worth(pd.DataFrame({"x": pd.Series(picked, dtype=getattr(picked, "dtype", None))}))
        return [None if code < 0 else cell for code, cell in zip(values.codes, held, strict=True)]
    if isinstance(values.dtype, pd.ArrowDtype) and pa.types.is_time(values.dtype.pyarrow_dtype):
        held_as: Any = values.__arrow_array__()
        nanos = held_as.cast(pa.time64("ns")).cast(pa.int64()).to_pylist()
        return [None if count is None else ("clock", count) for count in nanos]
    if getattr(values.dtype, "kind", "") in "mM" and not isinstance(values.dtype, (pd.ArrowDtype, pd.PeriodDtype)):
        unit = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[values.unit]
        what = "duration" if values.dtype.kind == "m" else "time" if values.tz is None else "instant"
        gone = values.isna()
        return [None if lost else (what, count * unit) for count, lost in zip(values.asi8.tolist(), gone, strict=True)]
    if isinstance(values.dtype, pd.ArrowDtype) and pa.types.is_temporal(values.dtype.pyarrow_dtype):
        kind = values.dtype.pyarrow_dtype
        if not pa.types.is_date(kind):
            plain = f"{'M8' if pa.types.is_timestamp(kind) else 'm8'}[{kind.unit}]"
            numbers: Any = values.__arrow_array__()
            made = pd.Series(np.array(numbers.cast(pa.int64()).fill_null(-(2**63)).to_numpy(), "i8").view(plain))
            return worth(pd.DataFrame({"x": made if getattr(kind, "tz", None) is None else made.dt.tz_localize("UTC")}))
    return [cell_worth(cell) for cell in values]


def cell_worth(cell: Any) -> Any:
    if isinstance(cell, (list, tuple, dict, np.ndarray, set)):
        return repr(cell)
    if isinstance(cell, pd.Interval):
        return ("interval", cell_worth(cell.left), cell_worth(cell.right), cell.closed)
    if isinstance(cell, (complex, np.complexfloating)):
        return None if repr(complex(cell)) == "(nan+0j)" else ("complex", repr(complex(cell)))
    if isinstance(cell, Decimal):
        return ("decimal", str(cell)) if cell.is_nan() else ("decimal", cell)
    if pd.isna(cell):
        return None
    if isinstance(cell, (bool, np.bool_)):
        return ("truth", bool(cell))
    if isinstance(cell, (int, float, np.integer, np.floating)):
        return ("number", cell.item() if isinstance(cell, np.generic) else cell)
    if isinstance(cell, dt.time):
        return ("clock", ((cell.hour * 60 + cell.minute) * 60 + cell.second) * 10**9 + cell.microsecond * 1000)
    if isinstance(cell, dt.datetime):
        since = cell.replace(tzinfo=None) - dt.datetime(1970, 1, 1)
        if cell.tzinfo is None and not isinstance(cell, pd.Timestamp):
            return ("time", ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000)
        return ("moment", cell.isoformat(), str(cell.tzinfo))
    if isinstance(cell, dt.timedelta) and not isinstance(cell, pd.Timedelta):
        return ("duration", ((cell.days * 86400 + cell.seconds) * 10**6 + cell.microseconds) * 1000)
    return (type(cell).__name__, cell)


def check(old: str, new: str) -> None:
    """Append and upsert of one frame to another: refused, or all cells are there."""
    before, after = FRAMES[old], FRAMES[new]
    there, come = encode(before), encode(after)
    wanted = worth(before) + worth(after)
    try:
        got = decode(*append(there, come, "d"))
    except SchemaError:
        pass
    else:
        assert worth(got) == wanted, f"{new} behind {old}"
    keyed = [frame.assign(k=np.arange(at, at + len(frame))) for frame, at in ((before, 0), (after, 1000))]
    try:
        got = decode(*upsert(encode(keyed[0]), encode(keyed[1]), ["k"], "d"))
    except SchemaError:
        return
    assert worth(got[["x"]]) == wanted, f"{new} into {old}"


@pytest.mark.parametrize("turn", range(4))
def test_a_save_that_is_not_refused_can_be_read(turn: int) -> None:
    """Of any two dtypes, the rows of one behind those of the other are refused or all are what they were."""
    for old, new in random.Random(turn).sample(PAIRS, 250):
        check(old, new)


@pytest.mark.slow
@pytest.mark.parametrize("old", FRAMES)
def test_every_dtype_behind_every_other(old: str) -> None:
    """The same of all pairs there are."""
    for new in FRAMES:
        check(old, new)


# --------------------------------------------------------------------------- one by one

GROWN: dict[str, tuple[pd.DataFrame, pd.DataFrame, str]] = {
    "text behind Arrow's null": (arrow([None], pa.null()), text("x"), "object"),
    "larger complex numbers": (column([1 + 1j], "complex64"), column([complex(1.1, 1e300)]), "complex128"),
    "decimals of more digits": (
        arrow([Decimal("1.10")], pa.decimal128(5, 2)),
        arrow([Decimal("1.2345")], pa.decimal128(10, 4)),
        "decimal128(10, 4)[pyarrow]",
    ),
    "decimals beyond the digits": (arrow([Decimal("1.10")], pa.decimal128(5, 2)), text(Decimal("123456.00")), "object"),
    "a decimal that is no number": (arrow([Decimal("1.10")], pa.decimal128(5, 2)), text(Decimal("NaN")), "object"),
    "finer times of a day": (
        arrow([dt.time(1)], pa.time32("s")),
        text(dt.time(1, 2, 3, 456)),
        "time64[us][pyarrow]",
    ),
    "nanoseconds of a day": (
        arrow([dt.time(1)], pa.time64("us")),
        counts([123456789], pa.time64("ns")),
        "time64[ns][pyarrow]",
    ),
    "bytes of another length": (arrow([b"ab"], pa.binary(2)), text(b"abc"), "binary[pyarrow]"),
    "halves behind Int8": (column([1, None], "Int8"), column([1.5], "float16"), "Float32"),
    "larger integers of Arrow's": (column([1, None], A(pa.int8())), column([300]), "int64[pyarrow]"),
    "finer times of Arrow's behind pandas'": (
        column(np.array(["2024-01-01"], "M8[s]")),
        counts([1], pa.timestamp("ns")),
        "datetime64[ns]",
    ),
    "a negative behind unsigned ones": (column([5], "uint64"), column([-1]), "int64"),
    "the largest behind signed ones": (column([5]), column([2**63 + 1], "uint64"), "uint64"),
    "integers behind no row": (pd.DataFrame({"x": []}, dtype=object), column([1]), "int64"),
    "text behind a mixture": (text(1, "a"), text("b"), "object"),
    "a mixture behind integers": (text(5), text(2**70), "object"),
    "an integer behind a mixture": (text(2**70), text(5), "object"),
}


@pytest.mark.parametrize("what", GROWN)
def test_a_column_grows_to_what_holds_both(what: str) -> None:
    """The dtype becomes one that holds all cells, which are what they were."""
    old, new, dtype = GROWN[what]
    got = decode(*append(encode(old), encode(new), "d"))
    assert str(got["x"].dtype) == dtype
    assert worth(got) == worth(old) + worth(new)


UNFIT: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "nanoseconds behind Python's times of a day": (text(dt.time(1)), counts([123456789], pa.time64("ns"))),
    "the year 20000 behind datetimes": (text(dt.datetime(2024, 1, 1)), column(np.array(["20000-01-01"], "M8[s]"))),
    "the year 26610 behind dates": (text(dt.date(2024, 1, 1)), counts([9_000_000], pa.date32())),
    "a long duration behind timedeltas": (text(dt.timedelta(1)), column(np.array([10**15], "m8[s]"))),
    "the year 5000 behind nanoseconds": (column(pd.to_datetime(["2024"])), column(np.array(["5000"], "M8[s]"))),
    "a negative behind the largest": (column([2**63 + 5], "uint64"), column([-1])),
    "a missing interval of integers": (column(pd.interval_range(0, 1)), text(None)),
    "a category beyond int8": (
        column(pd.Categorical(np.array([1], "int8"))),
        column(pd.Categorical(np.array([1]), categories=[1, 300])),
    ),
    "a category finer than seconds": (
        column(pd.Categorical(np.array(["2024-01-01"], "M8[s]"))),
        column(pd.Categorical(pd.DatetimeIndex(["2024-01-01"]), categories=pd.DatetimeIndex(["2024-01-01", 1]))),
    ),
    "a category that no float is": (
        column(pd.Categorical([1.5])),
        column(pd.Categorical([2], categories=[2, 2**53 + 1])),
    ),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_no_dtype_holds_is_refused(what: str) -> None:
    """A value that could not be read again is a SchemaError when it comes."""
    old, new = UNFIT[what]
    with pytest.raises(SchemaError):
        append(encode(old), encode(new), "d")


def test_equal_categories_are_one() -> None:
    """A category that is there in another spelling is that one."""
    old, new = (column(pd.Categorical(pd.Index([Decimal(one)], dtype=object))) for one in ("1.0", "1.00"))
    got = decode(*append(encode(old), encode(new), "d"))
    assert [str(one) for one in got["x"]] == ["1.0", "1.0"]


def test_intervals_that_old_rows_lack_become_those_of_floats() -> None:
    """pandas has no missing interval of integers; more of them may follow."""
    new = pd.DataFrame({"n": [2], "x": pd.interval_range(0, 1)})
    grown = append(encode(pd.DataFrame({"n": [1]})), encode(new), "d")
    got = decode(*append(grown, encode(new), "d"))
    assert str(got["x"].dtype) == "interval[float64, right]"
    assert worth(got) == [None, *worth(new), *worth(new)]


def test_kinds_of_missing_cells_stay() -> None:
    """What was NaN, NaT or NA in either part is so in the whole."""
    nan, pairs = float("nan"), []
    pairs.append((text(nan, pd.NaT), text(Decimal(1)), text(nan, pd.NaT, Decimal(1))))
    pairs.append((text(1.5, None), column([nan, 2.0]), text(1.5, None, nan, 2.0)))
    pairs.append((column([nan, nan]), text("a", None), text(nan, nan, "a", None)))
    pairs.append((text(dt.datetime(2024, 1, 1)), column(pd.to_datetime([None, "2025"])), None))
    for old, new, wanted in pairs:
        got = decode(*append(encode(old), encode(new), "d"))
        if wanted is not None:
            assert_same(wanted, got)
    assert got["x"][1] is pd.NaT


def test_a_kind_that_the_dtype_lacks_is_noted() -> None:
    """NaN behind NA becomes NA, and the field says so."""
    _, schema = append(encode(column([1.5, None], "Float64")), encode(column([np.nan])), "d")
    assert "nan" in str(schema.fields[0].note)


def test_kinds_of_columns_under_one_label_stay_apart() -> None:
    """An upsert tells missing cells by their column, not by its label."""
    old, new = (
        pd.DataFrame({0: [k], 1: text(a)["x"], 2: text(b)["x"]}) for k, a, b in ((1, "p", "x"), (2, None, np.nan))
    )
    old.columns = new.columns = ["k", "d", "d"]
    got = decode(*upsert(encode(old), encode(new), ["k"], "d"))
    assert got.iloc[1, 1] is None
    assert got.iloc[1, 2] is not None


def test_missing_kinds_that_alternate_too_often_are_refused() -> None:
    """More runs than are kept are a SchemaError, in append and in upsert."""
    half = text(*[None, np.nan] * (fields.MOST_RUNS // 4 + 1)).assign(k=0)
    old, new = (half.assign(k=np.arange(len(half)) + start) for start in (0, len(half)))
    for join in (lambda: append(encode(old), encode(new), "d"), lambda: upsert(encode(old), encode(new), ["k"], "d")):
        with pytest.raises(SchemaError, match="alternate"):
            join()


# --------------------------------------------------------------------------- keys

SAME_KEYS: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "zeros": (column([0.0]), column([-0.0])),
    "decimals": (text(Decimal("1.0")), text(Decimal("1.00"))),
    "tens": (text(Decimal("1E+1")), text(Decimal("10"))),
    "times of a day": (text(dt.time(1, 0, 0, 500000)), counts([3600_500_000_000], pa.time64("ns"))),
    "complex numbers": (column([complex(0.5, 0.0)], "complex64"), column([complex(0.5, -0.0)])),
    "intervals": (
        column(pd.arrays.IntervalArray.from_arrays([-0.0], [1.0])),
        column(pd.arrays.IntervalArray.from_arrays([0.0], [1.0])),
    ),
}


@pytest.mark.parametrize("what", SAME_KEYS)
def test_equal_keys_are_one_however_they_are_spelled(what: str) -> None:
    """A row whose key is equal is replaced."""
    old, new = SAME_KEYS[what]
    got = decode(*upsert(encode(old.assign(v=1)), encode(new.assign(v=2)), ["x"], "d"))
    assert list(got["v"]) == [2]


@pytest.mark.parametrize("key", [Decimal("NaN"), complex(float("nan"), 1)], ids=str)
def test_a_key_that_is_no_number_is_refused(key: Any) -> None:
    """NaN of any type equals nothing."""
    frame = text(key) if isinstance(key, Decimal) else column([key])
    with pytest.raises(KeysError, match="missing"):
        upsert(encode(frame), encode(frame), ["x"], "d")


def test_a_key_is_found_by_the_type_of_its_label() -> None:
    """1 and True are two labels; a column goes before an index level of its name."""
    old, new = pd.DataFrame([[1, 7, "o"]]), pd.DataFrame([[1, 8, "n"]])
    old.columns = new.columns = pd.Index([1, True, "v"], dtype=object)
    assert len(decode(*upsert(encode(old), encode(new), [1], "d"))) == 1
    assert len(decode(*upsert(encode(old), encode(new), [True], "d"))) == 2
    there = pd.DataFrame({"k": [1, 2], "v": [1, 1]}, index=pd.Index([10, 20], name="k"))
    come = pd.DataFrame({"k": [1], "v": [9]}, index=pd.Index([99], name="k"))
    assert list(decode(*upsert(encode(there), encode(come), ["k"], "d"))["v"]) == [9, 1]


def test_keys_are_named_by_their_labels() -> None:
    """An error says the label, not what the column is stored as."""
    old, new = pd.DataFrame({("a", 1): [1, 1]}), pd.DataFrame({("a", 1): [1]})
    with pytest.raises(KeysError, match=r"\('a', 1\)"):
        upsert(encode(old), encode(new), [("a", 1)], "d")


def test_what_is_refused_is_a_data_exception() -> None:
    """No error of Arrow or numpy comes through."""
    with pytest.raises(DataException):
        append(encode(column([1])), encode(text("a")), "d")
