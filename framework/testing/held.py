"""Frames of what no store knows by itself: objects, decimals, periods, intervals, Arrow's dtypes, odd labels."""

from __future__ import annotations

import datetime as dt
import uuid
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

Make = Callable[[], pd.DataFrame]
times: Any = pd.to_datetime
array: Any = pd.array
PARIS = zoneinfo.ZoneInfo("Europe/Paris")


def column(values: Any, dtype: Any = None) -> pd.DataFrame:
    """A frame of one column `x`."""
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


def text(*values: Any) -> pd.DataFrame:
    """A frame of one object column `x`."""
    cells = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        cells[place] = value
    return column(cells, object)


def indexed(index: Any) -> pd.DataFrame:
    """A frame of one column over that index."""
    return pd.DataFrame({"x": np.arange(len(index), dtype="float64")}, index=index)


def labelled(*labels: Any, dtype: Any = object) -> pd.DataFrame:
    """A frame of one row under those labels."""
    return pd.DataFrame([range(len(labels))], columns=pd.Index(list(labels), dtype=dtype, tupleize_cols=False))


def _under(index: Any) -> pd.DataFrame:
    return pd.DataFrame([range(len(index))], columns=index)


def _arrow(values: Any, kind: pa.DataType) -> pd.DataFrame:
    return column(pd.array(values, dtype=pd.ArrowDtype(kind)))


def _lacking(level: Any, codes: list[int]) -> pd.DataFrame:
    """Over a MultiIndex whose first level lacks a value somewhere."""
    levels: list[Any] = [level, pd.Index(["a", "b"], dtype=object)]
    both = [codes, [0, 1, 0][: len(codes)]]
    return indexed(pd.MultiIndex(levels=levels, codes=both, names=["n", "n"]))


def _zoned(zone: Any, unit: str = "us") -> pd.DataFrame:
    stamps = pd.DatetimeIndex(["2024-10-27 00:30", None, "2024-10-27 01:30"]).as_unit(unit)  # type: ignore[arg-type]
    return pd.DataFrame({"x": stamps.tz_localize("UTC").tz_convert(zone)})


def _periods(freq: str) -> pd.DataFrame:
    return column(pd.PeriodIndex(["2024-03-01", None, "1969-12-31"], freq=freq))


def _intervals(*breaks: Any, closed: Any = "right") -> pd.DataFrame:
    return column(pd.arrays.IntervalArray.from_breaks(pd.Index(list(breaks)), closed=closed))


OBJECTS: dict[str, Make] = {
    "decimals": lambda: text(*map(Decimal, ("1.10", "1.1", "-0", "0E+3", "1E-400", "-" + "9" * 60))),
    "decimals that are no numbers": lambda: text(Decimal("NaN"), None, Decimal("-Infinity"), Decimal("NaN12"), np.nan),
    "times of a day": lambda: text(dt.time(0), None, dt.time(23, 59, 59, 999999), dt.time(1, 2, 3)),
    "times of a day in a zone": lambda: text(dt.time(1, tzinfo=dt.UTC), dt.time(2, 30, fold=1)),
    "datetimes": lambda: text(dt.datetime(1, 1, 1), None, dt.datetime(9999, 12, 31, 23, 59, 59, 999999), pd.NaT),
    "datetimes in zones": lambda: text(
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS),
        dt.datetime(2024, 3, 31, 2, 30, tzinfo=PARIS),
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
        dt.datetime(2024, 1, 1, fold=1),
    ),
    "timedeltas": lambda: text(dt.timedelta(-1, 2, 3), None, dt.timedelta(0)),
    "timedeltas as far as they go": lambda: text(dt.timedelta.max, dt.timedelta.min),
    "uuids": lambda: text(uuid.UUID(int=0), None, uuid.UUID("12345678-1234-5678-1234-567812345678")),
    "floats as objects": lambda: text(1.5, np.nan, None, -0.0, np.inf, -np.inf, 5e-324),
    "floats as objects beside NA": lambda: text(1.5, pd.NA, np.nan),
    "integers beside NaN": lambda: text(1, np.nan, None),
    "integers beyond 64 bits": lambda: text(2**70, 1, -(2**64), None),
    "numbers among text": lambda: text(1, "1", 1.0, True, None, np.nan, "a", -0.0, pd.NaT),
    "objects of all kinds": lambda: text(
        b"\x00\xff", dt.date(2024, 2, 29), Decimal("1.10"), 1 + 2j, complex(-0.0, np.inf), uuid.UUID(int=7), pd.NA, "é"
    ),
    "floats among booleans": lambda: text(True, 0.5),
    "lists": lambda: text([1], [2, [3, None, np.nan]], [], None),
    "dictionaries": lambda: text({"a": 1, "b": [1.5, "x"]}, {}, {"$a": 1}, {1: "one", (2, 3): None}),
    "tuples": lambda: text((1, "a"), (), ((1,), [2])),
    "a surrogate without its partner": lambda: text("ok", "\ud800"),
    "numpy's integers as objects": lambda: text(np.int64(1), np.int64(2), np.uint8(3)),
    "numpy's other scalars as objects": lambda: text(
        np.float32(0.1), np.float64(np.nan), np.bool_(True), np.datetime64("2024-01-01"), np.complex64(1j), np.str_("a")
    ),
    "pandas' scalars as objects": lambda: text(
        pd.Timestamp("2024-01-01 00:00:00.123456789"),
        pd.Timestamp("2024-01-01", tz="Europe/Paris").as_unit("s"),
        pd.Timedelta(1, "ns"),
        pd.Period("2024-03", "M"),
        pd.Interval(0.5, 1.5, closed="both"),
    ),
}

DTYPES: dict[str, Make] = {
    **{f"periods of {freq}": lambda freq=freq: _periods(freq) for freq in ("D", "M", "Q-NOV", "W-SUN", "h", "3D")},  # type: ignore[misc]
    "intervals of integers": lambda: _intervals(0, 1, 5),
    "intervals of floats, closed nowhere": lambda: _intervals(-np.inf, -0.0, 0.1, np.inf, closed="neither"),
    "intervals of times": lambda: _intervals(*times(["2024-01-01", "2024-01-02", "2024-01-05"]), closed="left"),
    "intervals of times in a zone": lambda: _intervals(*times(["2024-01-01", "2024-01-02"]).tz_localize("Asia/Tokyo")),
    "intervals of durations": lambda: _intervals(pd.Timedelta(0), pd.Timedelta(7), closed="both"),
    "intervals, one missing": lambda: column(pd.arrays.IntervalArray.from_arrays([0.0, np.nan], [1.5, np.nan])),
    "complex numbers": lambda: column([1 + 2j, complex(-0.0, np.nan), complex(np.inf, -0.0)]),
    "complex numbers of half the size": lambda: column(np.array([0.1 + 2j], dtype="complex64")),
    "integers of Arrow's own dtype": lambda: _arrow([1, None, -(2**63)], pa.int64()),
    "small integers of Arrow's own dtype": lambda: _arrow([1, None], pa.uint8()),
    "floats of Arrow's own dtype": lambda: _arrow(pa.array([0.5, None, np.nan]), pa.float32()),
    "booleans of Arrow's own dtype": lambda: _arrow([True, None], pa.bool_()),
    "text of Arrow's own dtype": lambda: _arrow(["a", None, ""], pa.string()),
    "large text of Arrow's own dtype": lambda: _arrow(["a", None], pa.large_string()),
    "bytes of Arrow's own dtype": lambda: _arrow([b"a\x00", None], pa.binary()),
    "times of Arrow's own dtype": lambda: _arrow(pa.array([1, None], pa.timestamp("ns")), pa.timestamp("ns")),
    "times in a zone of Arrow's own dtype": lambda: _arrow(
        pa.array([1, None], pa.timestamp("us", "Europe/Paris")), pa.timestamp("us", "Europe/Paris")
    ),
    "dates of Arrow's own dtype": lambda: _arrow([dt.date(2024, 2, 29), None], pa.date32()),
    "durations of Arrow's own dtype": lambda: _arrow(pa.array([-1, None], pa.duration("ms")), pa.duration("ms")),
    "decimals of Arrow's own dtype": lambda: _arrow([Decimal("1.10"), None], pa.decimal128(9, 2)),
    "times of a day of Arrow's own dtype": lambda: _arrow(
        pa.array([86399999999999, None], pa.time64("ns")), pa.time64("ns")
    ),
    "categories of times": lambda: column(pd.Categorical(times(["2024-01-01", None, "2023-01-01"]))),
    "categories of times in a zone": lambda: column(pd.Categorical(times(["2024-01-01", "2023-01-01"], utc=True))),
    "categories of durations": lambda: column(pd.Categorical(pd.to_timedelta([1, None, 0], unit="D"), ordered=True)),
    "categories of intervals": lambda: column(pd.cut([0.5, 7.25, np.nan, 9], [0, 1, 8, 9])),
    "categories of periods": lambda: column(pd.Categorical(pd.PeriodIndex(["2024-01", "2023-01"], freq="M"))),
    "categories of dates": lambda: column(pd.Categorical(pd.Index([dt.date(2024, 1, 1)], dtype=object))),
    "categories of bytes": lambda: column(pd.Categorical(pd.Index([b"b", b"\xff"], dtype=object))),
    "categories of decimals": lambda: column(pd.Categorical(pd.Index([Decimal("1.10"), Decimal(2)], dtype=object))),
    "categories of several types": lambda: column(
        pd.Categorical.from_codes([0, 1, -1, 2], pd.Index([1, "a", (2, 3)], dtype=object, tupleize_cols=False))
    ),
    "categories of Int64": lambda: column(pd.Categorical(array([3, 1, None], dtype="Int64"))),
    "times in a zone by zoneinfo": lambda: _zoned(PARIS),
    "times in a zone by dateutil": lambda: _zoned("dateutil/Europe/Berlin"),
    "times at an offset by datetime": lambda: _zoned(dt.timezone(-dt.timedelta(hours=3, minutes=30)), "ns"),
    "times at an offset with seconds": lambda: _zoned(dt.timezone(dt.timedelta(hours=1, seconds=7)), "s"),
}

INDEXES: dict[str, Make] = {
    "a PeriodIndex": lambda: indexed(pd.period_range("2024-01", periods=2, freq="M", name="p")),
    "an IntervalIndex": lambda: indexed(pd.interval_range(0, 2)),
    "an index of objects that are integers": lambda: indexed(pd.Index([1, 2], dtype=object)),
    "an index of dates": lambda: indexed(pd.Index([dt.date(2024, 1, 1), None], dtype=object)),
    "an index of tuples": lambda: indexed(pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)),
    "an index of decimals": lambda: indexed(pd.Index([Decimal("1.10"), Decimal("NaN")], dtype=object)),
    "an index of categories of intervals": lambda: indexed(pd.CategoricalIndex(pd.cut([1, 2], 2))),
    "an index of Arrow's own dtype": lambda: indexed(pd.Index(pd.array([1, None], dtype="int64[pyarrow]"))),
    "a name that is a time": lambda: indexed(pd.Index([1], name=pd.Timestamp("2024-01-01"))),
    "a name that is a tuple": lambda: indexed(pd.Index([1], name=("a", 1.5))),
    "a level of integers that lacks one": lambda: _lacking(pd.Index([2**60 + 1, 3]), [0, -1, 1]),
    "a level of booleans that lacks one": lambda: _lacking(pd.Index([False, True]), [1, -1]),
    "a level of nothing but missing integers": lambda: _lacking(pd.Index([], dtype="int8"), [-1, -1]),
    "a level of text that lacks one": lambda: _lacking(pd.Index(["z", "y"], dtype=object), [0, -1, 1]),
    "a level of times that lacks one": lambda: _lacking(pd.DatetimeIndex(["2024-01-01"]).as_unit("s"), [0, -1]),
    "levels of periods and intervals": lambda: indexed(
        pd.MultiIndex.from_arrays([pd.period_range("2024", periods=2, freq="D"), pd.interval_range(0, 2)])
    ),
    "a level that is not used": lambda: indexed(pd.MultiIndex.from_product([[1, 2], ["a", "b"]])[:1]),
}

LABELS: dict[str, Make] = {
    "labels that are floats": lambda: labelled(0.5, -1.0, np.nan, dtype="float64"),
    "labels that are floats as objects": lambda: labelled(0.5, np.nan, None, pd.NaT, pd.NA),
    "labels that are dates": lambda: labelled(dt.date(2024, 1, 1), dt.date(2024, 1, 2)),
    "labels that are times": lambda: _under(pd.DatetimeIndex(["2024-01-01", "2024-01-01"]).as_unit("s")),
    "labels that are times in a zone": lambda: _under(
        pd.date_range("2024-01-01", periods=2, tz="Europe/Paris", name="t")
    ),
    "labels that are durations": lambda: _under(pd.to_timedelta([1, 2], unit="h")),
    "labels that are periods": lambda: _under(pd.period_range("2024-01", periods=2, freq="M")),
    "labels that are intervals": lambda: _under(pd.interval_range(0, 2)),
    "labels that are categories": lambda: _under(
        pd.CategoricalIndex(["b", "a"], categories=["b", "z", "a"], ordered=True)
    ),
    "labels that are small integers": lambda: labelled(1, 2, dtype="int8"),
    "labels that are Int64": lambda: labelled(1, 2, dtype="Int64"),
    "labels that are truths": lambda: labelled(True, False, dtype=bool),
    "labels that are tuples of one level": lambda: labelled(("a", 1), ("b", 2.5)),
    "labels that are bytes, decimals and times": lambda: labelled(b"a", Decimal("1.10"), pd.Timestamp(0), dt.time(1)),
    "labels that are numpy's": lambda: labelled(np.int64(1), np.float32(0.5)),
    "labels of two levels of other dtypes": lambda: _under(
        pd.MultiIndex.from_arrays([pd.DatetimeIndex(["2024-01-01"] * 2).as_unit("s"), pd.Index([1, 2], dtype="int8")])
    ),
    "labels of two levels, of categories and text": lambda: _under(
        pd.MultiIndex.from_arrays(
            [pd.Categorical(["b", "a"], categories=["b", "a"]), pd.Index(["x", None], dtype=object)]
        )
    ),
    "no label of two levels": lambda: pd.DataFrame(
        index=pd.RangeIndex(2), columns=pd.MultiIndex.from_arrays([pd.Index([], dtype="int8"), pd.DatetimeIndex([])])
    ),
    "no label, and its dtype": lambda: pd.DataFrame(index=pd.RangeIndex(2), columns=pd.Index([], dtype="float64")),
}

HELD: dict[str, Make] = {**OBJECTS, **DTYPES, **INDEXES, **LABELS}
"""All of them: every store gives them back as they were."""
