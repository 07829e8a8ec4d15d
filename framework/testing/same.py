"""What "the same" means: values, missing kinds, dtypes, units, zones, names, index, order; not `freq` and `attrs`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from framework.schema.fields import MASKED


def assert_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """AssertionError that names the first difference between two frames; nothing when they are the same."""
    difference = first_difference(left, right)
    if difference is not None:
        raise AssertionError(difference)


def first_difference(left: pd.DataFrame, right: pd.DataFrame) -> str | None:
    """The first difference in words, what `left` has before what `right` has; None when they are the same.

    Looks at the shape, the labels, the index and the columns, in this order. NaN is NaN whatever its bits, and 0.0 is
    not -0.0; None, NaN, NaT and NA are four things; so are 1, 1.0 and True.
    """
    return next(_differences(left, right), None)


def _differences(left: Any, right: Any) -> Iterator[str]:
    for frame in (left, right):
        if not isinstance(frame, pd.DataFrame):
            yield f"{type(frame).__name__} is no DataFrame"
            return
    if len(left) != len(right):
        yield f"rows: {len(left)} and {len(right)}"
    if left.shape[1] != right.shape[1]:
        yield f"columns: {list(left.columns)} and {list(right.columns)}"
    else:
        yield from _in_index(left.columns, right.columns, "column labels")
    if len(left) == len(right):
        yield from _in_index(left.index, right.index, "index")
        for place in range(min(left.shape[1], right.shape[1])):
            yield from _in_values(
                _array(left.iloc[:, place]), _array(right.iloc[:, place]), f"column {left.columns[place]!r}"
            )


def _in_index(left: Any, right: Any, what: str) -> Iterator[str]:
    kinds = [_index_kind(index) for index in (left, right)]
    if kinds[0] != kinds[1]:
        yield f"{what}: {kinds[0]} and {kinds[1]}"
        return
    if not _same_cells(list(left.names), list(right.names)):
        yield f"{what}: names {list(left.names)} and {list(right.names)}"
    for level in range(left.nlevels):
        if isinstance(left, pd.MultiIndex):  # with a missing label a level of integers shows itself as floats
            dtypes = [_dtype(index.levels[level].dtype) for index in (left, right)]
            if dtypes[0] != dtypes[1]:
                yield f"{what}, level {level}: {dtypes[0]} and {dtypes[1]}"
        own = f"{what}, level {level}" if left.nlevels > 1 else what
        yield from _in_values(_array(left.get_level_values(level)), _array(right.get_level_values(level)), own)


def _index_kind(index: Any) -> str:
    if isinstance(index, pd.RangeIndex):
        return f"RangeIndex({index.start}, {index.stop}, {index.step})"
    return f"MultiIndex of {index.nlevels} levels" if isinstance(index, pd.MultiIndex) else "Index"


def _array(values: Any) -> Any:
    """The array of a column or an index; numpy's own where pandas only wraps it."""
    held = values.array
    return held.to_numpy() if isinstance(held, pd.arrays.NumpyExtensionArray) else held


def _in_values(left: Any, right: Any, what: str) -> Iterator[str]:
    names = _dtype(left.dtype), _dtype(right.dtype)
    if names[0] != names[1]:
        yield f"{what}: {names[0]} and {names[1]}"
    elif isinstance(left.dtype, pd.CategoricalDtype):
        if left.ordered != right.ordered:
            yield f"{what}: ordered {left.ordered} and {right.ordered}"
        if len(left.categories) != len(right.categories):
            yield f"{what}: categories {list(left.categories)} and {list(right.categories)}"
        else:
            yield from _in_values(_array(left.categories), _array(right.categories), f"{what}, categories")
            yield from _in_cells(left, right, left.codes != right.codes, what)
    else:
        yield from _in_cells(left, right, _unequal(left, right), what)


def _in_cells(left: Any, right: Any, unequal: Any, what: str) -> Iterator[str]:
    places = np.flatnonzero(unequal)
    if len(places):
        row = int(places[0])
        yield f"{what}, row {row}: {left[row]!r} and {right[row]!r} ({len(places)} of {len(left)} differ)"


def _dtype(dtype: Any) -> str:
    if isinstance(dtype, pd.StringDtype):
        return f"string[{dtype.storage}, missing {dtype.na_value}]"
    return f"category of {_dtype(dtype.categories.dtype)}" if isinstance(dtype, pd.CategoricalDtype) else str(dtype)


def _unequal(left: Any, right: Any) -> Any:
    """A mask of the cells that differ, of two arrays of one dtype and length."""
    kind = left.dtype
    if isinstance(kind, (pd.DatetimeTZDtype, pd.PeriodDtype)) or (isinstance(kind, np.dtype) and kind.kind in "mM"):
        return np.asarray(left.asi8) != np.asarray(right.asi8)
    if isinstance(kind, np.dtype) and kind.kind in "iufb":
        return _unequal_numbers(np.asarray(left), np.asarray(right))
    if isinstance(kind, np.dtype) and kind.kind == "c":
        return _unequal_numbers(left.real, right.real) | _unequal_numbers(left.imag, right.imag)
    if kind.name in MASKED:
        return _unequal_masked(left, right)
    return np.array([not _same(*pair) for pair in zip(left, right, strict=True)], dtype=bool)


def _unequal_numbers(left: Any, right: Any) -> Any:
    if left.dtype.kind != "f":
        return left != right
    bits = f"u{left.dtype.itemsize}"
    differ = np.ascontiguousarray(left).view(bits) != np.ascontiguousarray(right).view(bits)
    return differ & ~(np.isnan(left) & np.isnan(right))


def _unequal_masked(left: Any, right: Any) -> Any:
    """Of arrays with a mask, in which a float may be NaN beside those that are NA."""
    held = [pa.array(values, from_pandas=False) for values in (left, right)]
    gone = [np.asarray(values.is_null()) for values in held]
    numbers = [
        values.fill_null(False if pa.types.is_boolean(values.type) else 0).to_numpy(zero_copy_only=False)
        for values in held
    ]
    return (gone[0] != gone[1]) | _unequal_numbers(*numbers)


def _same_cells(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(map(_same, left, right))


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if type(left) is not type(right) or left is pd.NaT or left is pd.NA:
        return False
    for kinds, same in SAME:
        if isinstance(left, kinds):
            return same(left, right)
    return bool(left == right)


def _same_float(left: Any, right: Any) -> bool:
    return bool(np.isnan(left) and np.isnan(right)) or bool(left == right and np.signbit(left) == np.signbit(right))


def _same_dict(left: Any, right: Any) -> bool:
    return _same_cells(list(left), list(right)) and _same_cells(list(left.values()), list(right.values()))


def _same_moment(left: Any, right: Any) -> bool:
    """The same on the wall, in the same zone, on the same side of a changing clock, of the same unit."""
    told = [(cell.isoformat(), str(cell.tzinfo), cell.fold, getattr(cell, "unit", None)) for cell in (left, right)]
    return told[0] == told[1]


SAME: list[tuple[Any, Callable[[Any, Any], bool]]] = [
    ((tuple, list), lambda left, right: _same_cells(list(left), list(right))),
    (dict, _same_dict),
    (np.complexfloating, lambda left, right: _same_float(left.real, right.real) and _same_float(left.imag, right.imag)),
    (complex, lambda left, right: _same_float(left.real, right.real) and _same_float(left.imag, right.imag)),
    ((float, np.floating), _same_float),
    (Decimal, lambda left, right: left.as_tuple() == right.as_tuple()),
    ((dt.datetime, dt.time), _same_moment),
    (pd.Timedelta, lambda left, right: left == right and left.unit == right.unit),
    (
        (np.datetime64, np.timedelta64),
        lambda left, right: left.dtype == right.dtype and left.view("i8") == right.view("i8"),
    ),
    (pd.Interval, lambda left, right: left.closed == right.closed and _same_ends(left, right)),
    (np.ndarray, lambda left, right: left.dtype == right.dtype and np.array_equal(left, right)),
]


def _same_ends(left: Any, right: Any) -> bool:
    return _same(left.left, right.left) and _same(left.right, right.right)
