"""Values far from the others: by the fences of Tukey, and by standard deviations from the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

IQR_FACTOR = 1.5
ZSCORE = 3.0


@dataclass(frozen=True, slots=True)
class Outliers:
    """What lies outside of two bounds.

    Attributes
    ----------
    lower, upper : float
        A value on a bound is no outlier.
    count : int
    share : float
        Of the values that are there.
    """

    lower: float
    upper: float
    count: int
    share: float


def in_order(numbers: Any) -> Any:
    """The values that are there, ascending: what both judgements are made of."""
    there = numbers[~np.isnan(numbers)]
    there.sort()
    return there


def by_iqr(ordered: Any, factor: float = IQR_FACTOR) -> Outliers:
    """Values beyond Q1 - `factor` x IQR or Q3 + `factor` x IQR, IQR = Q3 - Q1, quantiles linear between values.

    Tukey, Exploratory Data Analysis (1977): 1.5 is his inner fence. Where half of the values are equal the quartiles
    say nothing of the others, and none is an outlier, as none is capped.
    """
    if not len(ordered):
        return Outliers(np.nan, np.nan, 0, 0.0)
    first, third = (float(quantile_of(ordered, share)) for share in (0.25, 0.75))
    if first == third:
        return Outliers(first, third, 0, 0.0)
    reach = factor * (third - first)
    return _outside(ordered, first - reach, third + reach)


def by_zscore(ordered: Any, limit: float = ZSCORE) -> Outliers:
    """Values more than `limit` standard deviations (of the population: n) from the mean."""
    if not len(ordered):
        return Outliers(np.nan, np.nan, 0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        middle, reach = float(ordered.mean()), limit * float(ordered.std())
    return _outside(ordered, middle - reach, middle + reach)


def quantile_of(ordered: Any, share: float) -> float:
    """A quantile of ascending values, linear between the two nearest, as NumPy and pandas have it."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    part = place - below
    low, high = float(ordered[below]), float(ordered[above])
    with np.errstate(over="ignore"):
        return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part


def _outside(ordered: Any, lower: float, upper: float) -> Outliers:
    if not (np.isfinite(lower) and np.isfinite(upper)):  # of values too great to be reckoned with
        return Outliers(lower, upper, 0, 0.0)
    count = int(np.searchsorted(ordered, lower, "left")) + len(ordered) - int(np.searchsorted(ordered, upper, "right"))
    return Outliers(lower, upper, count, count / len(ordered))
