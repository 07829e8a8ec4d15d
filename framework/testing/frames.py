"""Hypothesis strategies for frames of every dtype that stores are asked to hold, and of some that they may refuse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from framework.testing.held import array
from framework.testing.naughty import NAUGHTY

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

MOST_ROWS = 8
ZONES = (
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "+05:30",
    "dateutil/Europe/Paris",
    dt.timezone(dt.timedelta(hours=-3)),
)
UNITS = ("s", "ms", "us", "ns")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
FREQS = ("D", "M", "Q-DEC", "W-SUN", "h", "s")
NOTHING = (None, float("nan"), pd.NA, pd.NaT)
EDGES = {"s": 6 * 10**10, "ms": 6 * 10**13, "us": 6 * 10**16, "ns": 2**63 - 1}  # years 68 to 3871; in ns 1677 to 2262
NAT = int(np.iinfo("int64").min)


def frames() -> SearchStrategy[pd.DataFrame]:
    """Frames of any of the dtypes, with any index and labels; some hold what a store may refuse, a NUL for example."""
    from hypothesis import strategies as st

    @st.composite
    def frame(draw: Any) -> pd.DataFrame:
        rows, width = draw(st.integers(0, MOST_ROWS)), draw(st.integers(0, 4))
        made = pd.DataFrame({place: draw(column(rows)) for place in range(width)}, index=pd.RangeIndex(rows))
        made.index, made.columns = draw(index(rows)), draw(labels(width))
        return made

    return frame()


def column(rows: int) -> SearchStrategy[Any]:
    """A Series or array of that many cells, of any dtype."""
    from hypothesis import strategies as st

    return st.sampled_from(KINDS).flatmap(lambda kind: kind(rows))


def index(rows: int) -> SearchStrategy[pd.Index[Any]]:
    """An index of that many rows: a RangeIndex, one level, or two of which cells may be missing."""
    from hypothesis import strategies as st

    name = st.none() | st.sampled_from(["key", "", "x", 7, ("a", 1), 0.5]) | word()
    steps = st.integers(-3, 3).filter(bool)
    ranges = st.builds(
        lambda start, step, name: pd.RangeIndex(start, start + rows * step, step, name=name),
        st.integers(-5, 5),
        steps,
        name,
    )
    level = column(rows).filter(_can_be_index).map(_as_index)
    one = st.builds(lambda level, name: level.rename(name), level, name)
    two = st.builds(lambda a, b, x, y: pd.MultiIndex.from_arrays([a, b], names=[x, y]), level, level, name, name)
    return ranges | one | two | _lacking(rows, name)


def _can_be_index(cells: Any) -> bool:
    """pandas has no index of float16; one of lists, dictionaries and complex numbers it cannot sort or hash."""
    if cells.dtype != object:
        return cells.dtype not in ("float16", "complex64", "complex128")
    return not any(isinstance(cell, (list, dict, tuple)) for cell in cells)


def _as_index(cells: Any) -> Any:
    return pd.Index(cells, dtype=cells.dtype)


def _lacking(rows: int, name: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """A MultiIndex with a level of integers or booleans of which some are missing."""
    from hypothesis import strategies as st

    levels = st.sampled_from([pd.Index([2**60 + 1, 3, -1]), pd.Index([7, 8, 9], dtype="int8"), pd.Index([False, True])])

    def of(level: Any) -> SearchStrategy[Any]:
        codes = [st.lists(st.integers(-1, len(one) - 1), min_size=rows, max_size=rows) for one in (level, "ab")]
        both: list[Any] = [level, pd.Index(["a", "b"], dtype=object)]
        return st.builds(
            lambda a, b, x: pd.MultiIndex(both, [a, b], names=[x, x], verify_integrity=False), *codes, name
        )

    return levels.flatmap(of)


def labels(width: int) -> SearchStrategy[pd.Index[Any]]:
    """Labels for that many columns: text, other objects, perhaps repeated; of any dtype; or of two levels."""
    from hypothesis import strategies as st

    some = word() | st.sampled_from(["x", "index", "column", "a,b", "millpond_row"])
    other = st.integers(-3, 3) | st.none() | st.booleans() | st.floats(width=16) | st.dates() | st.just(pd.Timestamp(0))
    mixed = st.lists(some | other | st.tuples(some, other), min_size=width, max_size=width)
    plain = st.lists(some, min_size=width, max_size=width, unique=True)
    flat = (plain | mixed).map(lambda given: pd.Index(_objects_of(given), dtype=object, tupleize_cols=False))
    typed = st.sampled_from([_integers, _recent, _periods, _floats, _categories]).flatmap(lambda kind: kind(width))
    if not width:
        return flat | st.just(pd.RangeIndex(0))
    pairs = st.lists(st.tuples(some, some), min_size=width, max_size=width)
    two = pairs.map(pd.MultiIndex.from_tuples)
    return flat | st.just(pd.RangeIndex(width)) | two | typed.filter(_can_be_index).map(_as_index)


def word() -> SearchStrategy[str]:
    """Text: any characters but halves of one, and what has broken programs before."""
    from hypothesis import strategies as st

    return st.text(max_size=6) | st.sampled_from(NAUGHTY)


# --------------------------------------------------------------------------- columns by kind


def _cells(cell: SearchStrategy[Any], rows: int, make: Callable[[list[Any]], Any]) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    return st.lists(cell, min_size=rows, max_size=rows).map(make)


def _objects_of(cells: list[Any]) -> Any:
    held = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):
        held[place] = cell
    return pd.Series(held, dtype=object)


def _integers(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(dtype: str) -> SearchStrategy[Any]:
        span = np.iinfo(dtype)
        return _cells(st.integers(int(span.min), int(span.max)), rows, lambda cells: pd.Series(cells, dtype=dtype))

    return st.sampled_from(INTEGERS).flatmap(of)


def _masked(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(dtype: str) -> SearchStrategy[Any]:
        span = np.iinfo(dtype.lower())
        cell = st.none() | st.integers(int(span.min), int(span.max))
        return _cells(cell, rows, lambda cells: pd.Series(array(cells, dtype=dtype)))

    floats = _cells(st.none() | st.floats(), rows, lambda cells: pd.Series(pd.array(cells, dtype="Float64")))
    return st.sampled_from([name.replace("int", "Int").replace("u", "U") for name in INTEGERS]).flatmap(of) | floats


def _floats(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(dtype: str) -> SearchStrategy[Any]:
        width: Any = np.dtype(dtype).itemsize * 8
        return _cells(st.floats(width=width), rows, lambda cells: pd.Series(np.array(cells, dtype=dtype)))

    return st.sampled_from(FLOATS).flatmap(of)


def _complex(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    return _cells(st.complex_numbers(), rows, lambda cells: pd.Series(np.array(cells, dtype="complex128")))


def _booleans(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    sure = _cells(st.booleans(), rows, lambda cells: pd.Series(cells, dtype=bool))
    return sure | _cells(st.none() | st.booleans(), rows, lambda cells: pd.Series(pd.array(cells, dtype="boolean")))


def _text(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    mixed = _cells(word() | st.sampled_from(NOTHING), rows, _objects_of)
    strings = [pd.StringDtype("python"), pd.StringDtype("pyarrow"), pd.StringDtype("pyarrow", na_value=np.nan)]

    def of(dtype: Any) -> SearchStrategy[Any]:
        return _cells(st.none() | word(), rows, lambda cells: pd.Series(pd.array(cells, dtype=dtype)))

    return mixed | st.sampled_from(strings).flatmap(of)


def _times(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(how: tuple[str, Any]) -> SearchStrategy[Any]:
        unit, zone = how
        edge = EDGES[unit] if zone is None else EDGES[unit] // 2

        def make(cells: list[int]) -> Any:
            stamps = pd.Series(np.array(cells, dtype="int64").view(f"datetime64[{unit}]"))
            return stamps if zone is None else stamps.dt.tz_localize("UTC").dt.tz_convert(zone)

        return _cells(st.integers(-edge, edge) | st.sampled_from([NAT, -edge, edge, 0]), rows, make)

    return st.tuples(st.sampled_from(UNITS), st.none() | st.sampled_from(ZONES)).flatmap(of)


def _recent(rows: int) -> SearchStrategy[Any]:
    """Times that pandas can show one by one; of old ones in a zone it cannot."""
    from hypothesis import strategies as st

    def of(how: tuple[Any, Any]) -> SearchStrategy[Any]:
        unit, zone = how
        return _cells(
            st.integers(0, 2**32),
            rows,
            lambda cells: pd.Series(pd.to_datetime(cells, unit="s", utc=True)).dt.as_unit(unit),
        ).map(lambda stamps: stamps.dt.tz_localize(None) if zone is None else stamps.dt.tz_convert(zone))

    return st.tuples(st.sampled_from(UNITS), st.none() | st.sampled_from(ZONES)).flatmap(of)


def _durations(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(unit: str) -> SearchStrategy[Any]:
        cell = st.integers(-EDGES[unit], EDGES[unit]) | st.just(NAT)
        return _cells(cell, rows, lambda cells: pd.Series(np.array(cells, dtype="int64").view(f"timedelta64[{unit}]")))

    return st.sampled_from(UNITS).flatmap(of)


def _periods(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    counted: Any = pd.PeriodIndex

    def of(freq: str) -> SearchStrategy[Any]:
        cell = st.integers(-100_000, 100_000) | st.just(NAT)
        return _cells(
            cell, rows, lambda cells: pd.Series(counted.from_ordinals(np.array(cells, dtype="int64"), freq=freq))
        )

    return st.sampled_from(FREQS).flatmap(of)


def _intervals(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(closed: Any) -> SearchStrategy[Any]:
        ends = st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)).map(sorted).map(tuple)
        times = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted)
        stamps = times.map(lambda pair: tuple(pd.Timestamp(day, unit="D") for day in pair))
        return (
            _cells(ends | st.just(np.nan), rows, lambda cells: _of_tuples(cells, closed, "float64"))
            | _cells(stamps, rows, lambda cells: _of_tuples(cells, closed, "datetime64[ns]"))
            | _cells(times.map(tuple), rows, lambda cells: _of_tuples(cells, closed, "int64"))
        )

    return st.sampled_from(["left", "right", "both", "neither"]).flatmap(of)


def _of_tuples(cells: list[Any], closed: Any, subtype: str) -> Any:
    dtype: Any = pd.IntervalDtype(subtype, closed=closed)
    return pd.Series(pd.arrays.IntervalArray.from_tuples(cells, closed=closed, dtype=dtype))


def _arrow(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(how: tuple[pa.DataType, SearchStrategy[Any]]) -> SearchStrategy[Any]:
        kind, cell = how
        return _cells(
            st.none() | cell, rows, lambda cells: pd.Series(pd.array(pa.array(cells, kind), dtype=pd.ArrowDtype(kind)))
        )

    counts = st.integers(-(2**63) + 1, 2**63 - 1)
    kinds: list[tuple[pa.DataType, SearchStrategy[Any]]] = [
        (pa.int64(), counts),
        (pa.uint8(), st.integers(0, 255)),
        (pa.float64(), st.floats()),
        (pa.bool_(), st.booleans()),
        (pa.string(), word()),
        (pa.large_string(), word()),
        (pa.binary(), st.binary(max_size=5)),
        (pa.date32(), st.dates()),
        (pa.decimal128(20, 3), st.integers(-(10**19), 10**19).map(lambda n: _decimal(n).scaleb(-3))),
        (pa.time64("us"), st.times()),
        (pa.timestamp("ns"), st.integers(-(2**62), 2**62)),
        (pa.timestamp("ms", "Europe/Paris"), st.integers(-(10**12), 10**12)),
        (pa.duration("us"), st.integers(-(10**15), 10**15)),
    ]
    return st.sampled_from(kinds).flatmap(of)


def _decimal(number: int) -> Any:
    from decimal import Decimal

    return Decimal(number)


def _categories(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def many(cell: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return st.lists(cell, min_size=1, max_size=4, unique=True)

    days = st.integers(-9, 9).map(lambda day: pd.Timestamp(day, unit="D"))
    breaks = st.lists(st.integers(-9, 9), min_size=2, max_size=5, unique=True).map(sorted)

    def of(kept: Any) -> SearchStrategy[Any]:
        codes = st.lists(st.integers(-1, len(kept) - 1), min_size=rows, max_size=rows)
        return st.builds(
            lambda codes, ordered: pd.Series(pd.Categorical.from_codes(codes, kept, ordered=ordered)),
            codes,
            st.booleans(),
        )

    return (
        many(word()).map(pd.Index).flatmap(of)
        | many(st.integers(-9, 9)).map(pd.Index).flatmap(of)
        | many(days).map(pd.Index).flatmap(of)
        | many(st.dates() | st.integers(2, 9)).map(lambda cells: pd.Index(cells, dtype=object)).flatmap(of)
        | breaks.map(pd.IntervalIndex.from_breaks).flatmap(of)
    )


def _objects(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    one = [
        st.binary(max_size=5),
        st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)),
        st.booleans(),
        st.integers(-(2**66), 2**66),
        st.floats(),
        st.decimals(allow_nan=False),
        st.times(),
        st.datetimes(),
        st.datetimes(timezones=st.timezones(no_cache=True), allow_imaginary=True),
        st.timedeltas(),
        st.uuids(),
    ]
    nested = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | word(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(word(), inner, max_size=3) | st.tuples(inner),
        max_leaves=4,
    )
    mixed = _cells(st.one_of(*one, nested, st.sampled_from(NOTHING)), rows, _objects_of)
    same = st.sampled_from(one).flatmap(lambda cell: _cells(st.sampled_from(NOTHING) | cell, rows, _objects_of))
    return mixed | same


KINDS: tuple[Callable[[int], SearchStrategy[Any]], ...] = (
    _integers,
    _masked,
    _floats,
    _complex,
    _booleans,
    _text,
    _times,
    _durations,
    _periods,
    _intervals,
    _arrow,
    _categories,
    _objects,
)
