"""A copy of data that a step may change without another seeing it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any

from framework.attempt import attempt

FIXED = (int, float, complex, str, bytes, bool, type(None), type(...))


def own(value: Any) -> Any:
    """The value itself if it cannot be changed, else a copy of all of it; the value where that cannot be had."""
    kind = type(value)
    if kind in FIXED:
        return value
    library = kind.__module__.partition(".")[0]
    if library in ("pyarrow", "pathlib", "datetime"):
        return value
    if library == "pandas" and kind.__name__ in ("DataFrame", "Series"):
        return _frame(value)
    if library == "numpy" and hasattr(value, "copy"):
        return copy.deepcopy(value) if getattr(value.dtype, "hasobject", False) else value.copy()
    copied = attempt("copy", lambda: copy.deepcopy(value))
    return value if copied.error is not None else copied.value


def _frame(value: Any) -> Any:
    """A copy of a frame or series, with the lists and the like that its cells hold."""
    pandas = sys.modules["pandas"]
    lazily = int(pandas.__version__.split(".")[0]) >= 3  # written to, it copies itself
    made = value.copy(deep=not lazily)
    if made.ndim == 1:
        return made.map(copy.deepcopy) if _holds_more(made) else made
    for place in _objects(made):
        column = made.iloc[:, place]
        if _holds_more(column):
            made.isetitem(place, column.map(copy.deepcopy))
    return made


def _objects(frame: Any) -> Iterator[int]:
    return (place for place, dtype in enumerate(frame.dtypes) if dtype.kind == "O")


def _holds_more(column: Any) -> bool:
    """Whether its cells hold what can be changed."""
    from pandas.api.types import infer_dtype

    return column.dtype.kind == "O" and infer_dtype(column, skipna=True) in ("mixed", "mixed-integer")
