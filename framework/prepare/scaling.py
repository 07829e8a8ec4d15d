"""Numbers on one scale, by the formulas (and to the numbers) of scikit-learn's scalers; missing ones stay missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework.prepare.columns import Between, places

EPS = float(np.finfo("float64").eps)


def learn(values: Any, method: str, quarters: list[Between] | None = None) -> list[float]:
    """What `scale` needs of a column; `quarters` are of its values, if known.

    robust: the median and the range of the quartiles. standard: the mean and the standard deviation of the population.
    minmax: factor and shift that take the lowest to 0 and the highest to 1. A column of one value is divided by 1.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return [0.0, 1.0]
    if method == "robust":
        low, middle, high = (each.value for each in quarters or places(known))
        return [middle, _divisor(high - low)]
    if method == "standard":
        with np.errstate(over="ignore", invalid="ignore"):
            mean, variance = float(known.mean()), float(known.var())
            noise = np.square(len(known) * mean * EPS)
        constant = variance <= len(known) * EPS * variance + noise
        return [mean, 1.0 if constant else float(np.sqrt(variance))]
    low, high = float(known.min()), float(known.max())
    factor = 1.0 / _divisor(high - low)
    return [factor, -low * factor]


def _divisor(spread: float) -> float:
    return spread if spread >= 10 * EPS else 1.0


def scale(values: Any, method: str, learnt: list[float]) -> Any:
    """The values on their scale."""
    first, second = learnt
    made = values * first if method == "minmax" else values - first
    if method == "minmax":
        made += second
    else:
        made /= second
    return made
