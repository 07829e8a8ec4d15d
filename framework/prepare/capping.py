"""Outliers: numbers beyond the fences are set to the fence, so that no row is lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework.prepare.columns import Between, places

FENCE = 1.5
DEVIATIONS = 3.0


def learn(values: Any, method: str, quarters: list[Between] | None = None) -> tuple[list[float] | None, str]:
    """The lowest and the highest value that stay, None if all do, and why; `quarters` are of the values, if known.

    iqr: the quartiles (linear) less and plus 1.5 times what lies between them (Tukey 1977). zscore: the mean less and
    plus three standard deviations (of the population). Where half of the values are equal the quartiles say nothing of
    the others, and none is capped.
    """
    if not len(values):
        return None, "nothing is there"
    if method == "iqr":
        low, _, high = (each.value for each in quarters or places(values))
        if low == high:
            return None, f"both quartiles are {low:g}: every other value would be an outlier"
        fences = [low - FENCE * (high - low), high + FENCE * (high - low)]
        why = "beyond 1.5 times the range of the quartiles"
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            middle, spread = float(values.mean()), float(values.std())
        if spread == 0:
            return None, "all values are equal"
        fences, why = [middle - DEVIATIONS * spread, middle + DEVIATIONS * spread], "beyond three standard deviations"
    return (fences, why) if np.isfinite(fences).all() else (None, "the values are too great to be reckoned with")


def cap(values: Any, fences: list[float]) -> tuple[Any, int, int]:
    """The values within the fences; how many were below and above."""
    low, high = fences
    if not len(values):
        return values, 0, 0
    below = int(np.count_nonzero(values < low)) if values.min() < low or np.isnan(values.min()) else 0
    above = int(np.count_nonzero(values > high)) if values.max() > high or np.isnan(values.max()) else 0
    return (np.clip(values, low, high) if below or above else values), below, above
