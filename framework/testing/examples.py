"""Frames by name: those that every store gives back as they were, and those that it may refuse but never change."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from framework.testing.held import Make, array, column, indexed, text, times

__all__ = ["MAYBE", "REFUSED", "SAME", "UNLABELLED", "array", "column", "indexed", "text", "times"]


def _integers(dtype: str) -> pd.DataFrame:
    span = np.iinfo(dtype)
    return column(np.array([span.min, 0, 1, span.max], dtype=dtype))


def _masked(dtype: str) -> pd.DataFrame:
    span = np.iinfo(dtype.lower())
    return column(array([span.min, None, span.max], dtype=dtype))


def _floats(dtype: str) -> pd.DataFrame:
    span = np.finfo(dtype)
    edges = [0.0, -0.0, 0.1, 1 / 3, span.max, span.min, span.tiny, span.smallest_subnormal, np.inf, -np.inf, np.nan]
    return column(np.array(edges, dtype=dtype))


def _nan_beside_na() -> pd.DataFrame:
    numbers = pd.array([0.0, 1.0, 2.0], dtype="Float64")
    return column(pd.arrays.FloatingArray(np.array([np.nan, 1.0, 2.0]), np.array([False, True, False])), numbers.dtype)


STAMPS = ["1969-12-31 23:59:59.999999", None, "2024-02-29 12:00:00", "2262-04-11 00:00:00"]


def _times(unit: str, zone: str | None = None) -> pd.DataFrame:
    stamps = pd.Series(pd.DatetimeIndex(STAMPS).as_unit(unit))  # type: ignore[arg-type]
    return pd.DataFrame({"x": stamps if zone is None else stamps.dt.tz_localize("UTC").dt.tz_convert(zone)})


def _durations(unit: str) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(pd.TimedeltaIndex(["-1 days", None, "36:00:01"]).as_unit(unit))})  # type: ignore[arg-type]


def _category(values: list[Any], categories: list[Any], *, ordered: bool = False) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Categorical(values, categories=categories, ordered=ordered)})


def _many() -> pd.DataFrame:
    """More rows than one page, block or batch of a small buffer holds, so that their order is put to the test."""
    numbers = np.random.default_rng(7).permutation(20_000)
    return pd.DataFrame({"n": numbers, "t": pd.Series([f"row {n}" for n in numbers], dtype=object)})


def _wide() -> pd.DataFrame:
    return pd.DataFrame({f"column {place}": [place, -place] for place in range(300)})


def _all_kinds() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [1.5, np.nan, -0.0],
            "b": [True, False, True],
            "I": pd.array([1, None, 3], dtype="Int64"),
            "B": pd.array([True, None, False], dtype="boolean"),
            "t": pd.Series(["x", None, np.nan], dtype=object),
            "d": times(["2020-01-01", None, "2021-01-01"]),
            "u": times(["2020-01-01", None, "2021-01-01"], utc=True),
            "c": pd.Categorical(["a", None, "b"], categories=["b", "a", "z"]),
        }
    )


def _nested(depth: int) -> Any:
    cell: Any = 1
    for _ in range(depth):
        cell = [cell]
    return cell


class _OwnZone(dt.tzinfo):
    """A zone that has no name."""

    def utcoffset(self, when: Any) -> dt.timedelta:
        return dt.timedelta(hours=1)

    def dst(self, when: Any) -> dt.timedelta:
        return dt.timedelta()

    def tzname(self, when: Any) -> str:
        return "mine"


SAME: dict[str, Make] = {
    "all kinds side by side": _all_kinds,
    **{f"{name}, to its ends": lambda name=name: _integers(name) for name in ("int8", "int16", "int32", "int64")},  # type: ignore[misc]
    **{f"{name}, to its ends": lambda name=name: _integers(name) for name in ("uint8", "uint16", "uint32")},  # type: ignore[misc]
    **{f"{name} with NA": lambda name=name: _masked(name) for name in ("Int8", "Int16", "Int32", "Int64", "UInt32")},  # type: ignore[misc]
    **{f"{name}, every edge": lambda name=name: _floats(name) for name in ("float16", "float32", "float64")},  # type: ignore[misc]
    "floats that need 17 digits": lambda: column([0.1 + 0.2, 5e-324, 1.7976931348623157e308, 2**53 + 2.0, 1e23]),
    "Float64 with NA": lambda: column(pd.array([1.5, None, -0.0], dtype="Float64")),
    "Float32 with NA": lambda: column(pd.array([1.5, None], dtype="Float32")),
    "Float64 with NaN beside NA": _nan_beside_na,
    "bool": lambda: column([True, False, True]),
    "boolean with NA": lambda: column(pd.array([True, None, False], dtype="boolean")),
    "text": lambda: text("plain", "two words", " edges "),
    "text with None": lambda: text("a", None, "b"),
    "text with None beside NaN": lambda: text("a", None, np.nan, None, "b", np.nan),
    "text with None, NaN and NA": lambda: text(None, np.nan, pd.NA, "b", None),
    "text that looks like numbers": lambda: text("007", "1E5", "0x1F", "+1", "1.0", "12345678901234567890"),
    "text that looks missing": lambda: text("NA", "NaN", "null", "None", "", "nan", "NULL", "\\N"),
    "text that looks like booleans": lambda: text("TRUE", "false", "t"),
    "text that looks like times": lambda: text("2024-01-01", "2024-01-01T00:00:00Z"),
    "the empty text beside missing": lambda: text("", None, "", np.nan),
    "line ends inside text": lambda: text("a\nb", "c\r\nd", "e\rf", "\n", "\r"),
    "quotes and delimiters": lambda: text('"', '""', "a,b", ";", "\t", "'", "\\", 'a"b', "--", "$$", "%s {}"),
    "unicode": lambda: text("ü", "e\u0301", "日本", "🦆", "\u202e", "\ufeff", "\u2028", "\x7f", "\x01"),
    "a long text": lambda: text("x" * 100_000, "y"),
    "nothing but None": lambda: text(None, None),
    "nothing but NaN as object": lambda: text(np.nan, np.nan),
    "string": lambda: column(pd.array(["a", None, ""], dtype="string")),
    "string of Python objects": lambda: column(pd.array(["a", None], dtype="string[python]")),
    "str": lambda: column(["a", np.nan, "b"], pd.StringDtype("pyarrow", na_value=np.nan)),
    "naive times in ns": lambda: _times("ns"),
    "naive times in us": lambda: _times("us"),
    "naive times in ms": lambda: _times("ms"),
    "naive times in s": lambda: _times("s"),
    "times to the nanosecond": lambda: column(times(["2024-01-01 00:00:00.123456789", None])),
    "times in UTC": lambda: _times("us", "UTC"),
    "times in UTC to the nanosecond": lambda: column(times(["2024-01-01 00:00:00.123456789Z", None])),
    "times in a zone": lambda: _times("ns", "America/New_York"),
    "both sides of a changing clock": lambda: column(
        times(["2024-11-03 05:30", "2024-11-03 06:30"], utc=True).tz_convert("America/New_York")
    ),
    "times at a fixed offset": lambda: _times("us", "+05:30"),
    **{f"durations in {unit}": lambda unit=unit: _durations(unit) for unit in ("s", "ms", "us", "ns")},  # type: ignore[misc]
    "categories": lambda: _category(["a", None, "b"], ["b", "a"]),
    "categories that are not used": lambda: _category(["a"], ["z", "a", "b"]),
    "ordered categories": lambda: _category(["low", "high", None], ["low", "mid", "high"], ordered=True),
    "integer categories": lambda: _category([3, 1, None], [3, 2, 1]),
    "float categories": lambda: _category([0.5, 1.5], [1.5, 0.5]),
    "no category at all": lambda: _category([], []),
    "categories that look like others": lambda: _category(["", "NA", "007", None], ["NA", "", "007"]),
    "more categories than a byte counts": lambda: _category(
        [f"c{place}" for place in range(400)], [f"c{place}" for place in reversed(range(400))]
    ),
    "dates": lambda: text(dt.date(2024, 2, 29), None, dt.date(1, 1, 1), dt.date(9999, 12, 31)),
    "bytes": lambda: text(b"\x00\xff", None, b"", b"a,b\n"),
    "bool beside None": lambda: text(True, None, False),
    "integers beside None": lambda: text(2**62, None, -1),
    "a RangeIndex with start, step and name": lambda: indexed(pd.RangeIndex(5, 15, 3, name="n")),
    "a RangeIndex that counts down": lambda: indexed(pd.RangeIndex(9, 0, -3)),
    "an index of integers": lambda: indexed(pd.Index([3, 1, 1])),
    "a named index": lambda: indexed(pd.Index(["b", "a", "b"], dtype=object, name="key")),
    "an index named as a column is": lambda: indexed(pd.Index([3, 1], name="x")),
    "an index with missing labels": lambda: indexed(pd.Index(["a", None, np.nan], dtype=object)),
    "a DatetimeIndex": lambda: indexed(pd.date_range("2024-01-01", periods=4, freq="h", name="when")),
    "a DatetimeIndex in a zone": lambda: indexed(pd.date_range("2024-03-30", periods=4, freq="12h", tz="Europe/Paris")),
    "a DatetimeIndex with NaT": lambda: indexed(pd.DatetimeIndex(["2024-01-01", None])),
    "a TimedeltaIndex": lambda: indexed(pd.to_timedelta(["1 days", "2 days"])),
    "an index of categories": lambda: indexed(pd.CategoricalIndex(["a", "b"], categories=["b", "a"], name="c")),
    "an index of Int64": lambda: indexed(pd.Index(pd.array([1, None], dtype="Int64"))),
    "an index of floats": lambda: indexed(pd.Index([0.5, np.nan, -0.0])),
    "a MultiIndex": lambda: indexed(
        pd.MultiIndex.from_arrays([[1, 1, 2], pd.Index(["a", "b", "a"], dtype=object)], names=["i", None])
    ),
    "a MultiIndex with times": lambda: indexed(
        pd.MultiIndex.from_product([pd.date_range("2024-01-01", periods=2, tz="UTC"), ["a"]], names=["when", "who"])
    ),
    "no row": lambda: _all_kinds().iloc[:0],
    "no row of objects": lambda: text(),
    "no row under a named index": lambda: indexed(pd.Index([], dtype="int64", name="key")),
    "no row under a MultiIndex": lambda: indexed(
        pd.MultiIndex.from_arrays([pd.Index([], dtype="int64"), pd.Index([], dtype=object)], names=["a", "b"])
    ),
    "no column": lambda: pd.DataFrame(index=pd.RangeIndex(3)),
    "no column under a named index": lambda: pd.DataFrame(index=pd.Index(["a", "b"], dtype=object, name="key")),
    "neither row nor column": pd.DataFrame,
    "labels that are repeated": lambda: pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"]).astype({}),
    "labels that are integers": lambda: pd.DataFrame([[1, 2.0], [3, 4.0]]),
    "labels that are integers out of order": lambda: pd.DataFrame([[1, 2.0]], columns=[7, 3]),
    "labels of several types": lambda: pd.DataFrame(
        [[1, 2, 3, 4]], columns=pd.Index([1, "1", None, True], dtype=object)
    ),
    "labels that differ in case": lambda: pd.DataFrame([[1, 2, 3]], columns=["a", "A", "a "]),
    "the empty label": lambda: pd.DataFrame([[1, 2]], columns=["", "column"]),
    "labels that need quoting": lambda: pd.DataFrame(
        [[1] * 7], columns=['"', "a,b", "c\nd", "'; --", "%s", "ü", "e\rf"]
    ),
    "long labels": lambda: pd.DataFrame([[1, 2]], columns=["x" * 100 + "1", "x" * 100 + "2"]),
    "labels of two levels": lambda: pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")], names=["upper", None])
    ),
    "labels under a name": lambda: pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], name="what")),
    "labels that a store uses itself": lambda: pd.DataFrame(
        [[1, 2, 3, 4, 5]], columns=["index", "millpond_row", "ctid", "oid", "level_0"]
    ),
    "many rows": _many,
    "many columns": _wide,
}


class Odd:
    """An object that no store has heard of."""

    def __repr__(self) -> str:
        return "something odd"


REFUSED: dict[str, Make] = {
    "objects of an unknown class": lambda: text(Odd(), "a"),
    "sets": lambda: text({1}, {2}),
    "arrays in cells": lambda: text(np.array([1, 2]), None),
    "a class that is nearly text": lambda: text(type("Name", (str,), {})("a"), "b"),
    "an unknown object deep inside": lambda: text([{"a": (1, Odd())}]),
    "a list that is nested too deep": lambda: text(_nested(60)),
    "sparse numbers": lambda: column(pd.arrays.SparseArray([0, 0, 1])),
    "lists of Arrow's own dtype": lambda: column(array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64())))),
    "numbers in another byte order": lambda: column(np.array([1, 2], dtype=">i4")),
    "a datetime in a zone of one's own": lambda: text(dt.datetime(2024, 1, 1, tzinfo=_OwnZone())),
}
"""What is refused, and kept as text with `lossy=True`."""

UNLABELLED: dict[str, Make] = {
    "a label of an unknown class": lambda: pd.DataFrame([[1]], columns=pd.Index([Odd()], dtype=object)),
    "a label that is a set": lambda: pd.DataFrame([[1]], columns=pd.Index([frozenset({1})], dtype=object)),
    "a label with a surrogate": lambda: pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)),
}
"""What is refused in any case."""

MAYBE: dict[str, Make] = {
    "text with NaT": lambda: text("a", pd.NaT),
    "four kinds of nothing": lambda: text(None, np.nan, pd.NaT, pd.NA),
    "uint64, to its ends": lambda: _integers("uint64"),
    "UInt64 with NA": lambda: _masked("UInt64"),
    "a NUL in text": lambda: text("a\0b", "c"),
    "a NUL in a label": lambda: pd.DataFrame([[1]], columns=["a\0b"]),
    "times beyond the year 9999": lambda: column(np.array(["10000-01-01", "-0044-03-15"], dtype="datetime64[s]")),
    "times as far as they go": lambda: column(np.array([2**62, -(2**62)], dtype="datetime64[us]")),
    "2,000 columns": lambda: pd.DataFrame([range(2000)], columns=[f"c{place}" for place in range(2000)]),
}
"""What a store may hold or refuse, but never change."""
