"""What columns weigh, and the smallest type that holds whatever may stand in one.

Only what can be held without loss is made smaller: a type is chosen by what may come, not by what came, so that it is
the same for every batch. Fractions stay float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd


def weigh(column: Any) -> int:
    """Bytes of a column without its index, texts included."""
    if not isinstance(column, pd.Series):
        column = pd.Series(column, copy=False)
    if column.dtype == object:
        return _weigh_objects(column)
    return int(column.memory_usage(index=False, deep=True))


def _weigh_objects(column: pd.Series) -> int:
    """As pandas counts it, every row its own text; of many rows by a sample of them, evenly taken."""
    step = max(len(column) // 10_000, 1)
    sample = column.iloc[::step]
    if not len(sample):
        return 0
    return round(int(sample.memory_usage(index=False, deep=True)) * len(column) / len(sample))


def reduced(column: Any, *, flag: bool = False) -> Any:
    """A flag as bool where nothing is missing; anything else as it is."""
    return column.astype(bool) if flag and not np.isnan(column).any() else column
