"""Hypothesis strategies for frames of every dtype that stores are asked to hold, and of some that they may refuse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.testing.examples import array

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

MOST_ROWS = 8
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "+05:30")
UNITS = ("s", "ms", "us", "ns")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
NOTHING = (None, float("nan"), pd.NA)


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

    kinds = [_integers, _masked, _floats, _booleans, _text, _times, _durations, _categories, _objects]
    return st.sampled_from(kinds).flatmap(lambda kind: kind(rows))


def index(rows: int) -> SearchStrategy[pd.Index[Any]]:
    """An index of that many rows: a RangeIndex, one level, or two."""
    from hypothesis import strategies as st

    name = st.none() | st.sampled_from(["key", "", "x", 7])
    steps = st.integers(-3, 3).filter(bool)
    ranges = st.builds(
        lambda start, step, name: pd.RangeIndex(start, start + rows * step, step, name=name),
        st.integers(-5, 5),
        steps,
        name,
    )
    held = column(rows).filter(lambda cells: cells.dtype != "float16")  # pandas has no such index
    level = held.map(lambda cells: pd.Index(cells, dtype=cells.dtype))
    one = st.builds(lambda level, name: level.rename(name), level, name)
    two = st.builds(lambda a, b, x, y: pd.MultiIndex.from_arrays([a, b], names=[x, y]), level, level, name, name)
    return ranges | one | two


def labels(width: int) -> SearchStrategy[pd.Index[Any]]:
    """Labels for that many columns: text, integers or both, perhaps repeated; or of two levels."""
    from hypothesis import strategies as st

    word = st.text(max_size=5) | st.sampled_from(["x", "index", "column", "a,b", "millpond_row"])
    mixed = st.lists(word | st.integers(-3, 3) | st.none() | st.booleans(), min_size=width, max_size=width)
    plain = st.lists(word, min_size=width, max_size=width, unique=True)
    flat = (plain | mixed).map(lambda given: pd.Index(given, dtype=object, tupleize_cols=False))
    if not width:
        return flat | st.just(pd.RangeIndex(0))
    pairs = st.lists(st.tuples(word, word), min_size=width, max_size=width)
    return flat | st.just(pd.RangeIndex(width)) | pairs.map(pd.MultiIndex.from_tuples)


# --------------------------------------------------------------------------- columns by kind


def _cells(cell: SearchStrategy[Any], rows: int, make: Callable[[list[Any]], Any]) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    return st.lists(cell, min_size=rows, max_size=rows).map(make)


def _objects_of(cells: list[Any]) -> Any:
    return pd.Series(cells, dtype=object)


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


def _booleans(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    sure = _cells(st.booleans(), rows, lambda cells: pd.Series(cells, dtype=bool))
    return sure | _cells(st.none() | st.booleans(), rows, lambda cells: pd.Series(pd.array(cells, dtype="boolean")))


def _text(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    looks = st.sampled_from(["007", "NA", "", "nan", "1E5", "true", "2024-01-01", "a\nb", "\r", '"', ",", " x "])
    word = st.text(max_size=6) | looks
    mixed = _cells(word | st.sampled_from(NOTHING), rows, _objects_of)
    return mixed | _cells(st.none() | word, rows, lambda cells: pd.Series(pd.array(cells, dtype="string")))


def _times(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(how: tuple[str, str | None]) -> SearchStrategy[Any]:
        unit, zone = how
        cell = st.integers(-(2**61), 2**61) if unit == "ns" else st.integers(-(10**11), 10**11)

        def make(cells: list[int]) -> Any:
            stamps = pd.Series(np.array(cells, dtype="int64").view(f"datetime64[{unit}]"))
            return stamps if zone is None else stamps.dt.tz_localize("UTC").dt.tz_convert(zone)

        return _cells(cell | st.just(int(np.iinfo("int64").min)), rows, make)

    return st.tuples(st.sampled_from(UNITS), st.none() | st.sampled_from(ZONES)).flatmap(of)


def _durations(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    def of(unit: str) -> SearchStrategy[Any]:
        cell = st.integers(-(10**9), 10**9) | st.just(int(np.iinfo("int64").min))
        return _cells(cell, rows, lambda cells: pd.Series(np.array(cells, dtype="int64").view(f"timedelta64[{unit}]")))

    return st.sampled_from(UNITS).flatmap(of)


def _categories(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    words = st.lists(st.text(max_size=4), min_size=1, max_size=4, unique=True)
    numbers = st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True)

    def of(categories: list[Any]) -> SearchStrategy[Any]:
        codes = st.lists(st.integers(-1, len(categories) - 1), min_size=rows, max_size=rows)
        kept = pd.Index(categories)
        return st.builds(
            lambda codes, ordered: pd.Series(pd.Categorical.from_codes(codes, kept, ordered=ordered)),
            codes,
            st.booleans(),
        )

    return (words | numbers).flatmap(of)


def _objects(rows: int) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    day = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
    cell = st.sampled_from([st.binary(max_size=5), day, st.booleans(), st.integers(-(2**66), 2**66), st.floats()])
    return cell.flatmap(lambda one: _cells(st.none() | one, rows, _objects_of))
