"""AAA: how good a stock is within its group, in grades from A+ to F.

The group is the whole frame given to `calculate`. Three levels, each scored 0 to 10 within the group: a metric (one
column of the screener), a pillar (its metrics' weighted mean, scaled again), and overall (the same over the pillars).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.calculating import Calculator
from framework.errors import ColumnNotFoundError, ParameterError, StepError, UnknownNameError, known_names, nearest

PROVIDES = {
    "kind": "calculator",
    "name": "aaa",
    "object": "AAACalculator",
    "extra": None,
    "summary": "Rates each stock within its group: valuation, profitability, growth, performance, overall; A+ to F.",
}

Matrix: TypeAlias = npt.NDArray[np.float64]
Scaling: TypeAlias = Literal["minmax", "rank"]

PILLARS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "valuation": ("Fwd P/E", "PEG", "P/S", "P/B", "P/FCF"),
        "profitability": ("Profit M", "Oper M", "Gross M", "ROE", "ROA"),
        "growth": ("EPS this Y", "EPS next Y", "EPS next 5Y", "Sales Q/Q", "EPS Q/Q"),
        "performance": ("Perf Month", "Perf Quart", "Perf Half", "Perf Year", "Perf YTD", "Volatility M"),
    }
)
METRICS: tuple[str, ...] = tuple(metric for metrics in PILLARS.values() for metric in metrics)
MULTIPLES = frozenset(PILLARS["valuation"])  # at or below 0 they say nothing: there are no earnings to pay for
LOWER_IS_BETTER = MULTIPLES | {"Volatility M"}
STRATEGIES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        name: MappingProxyType(dict(zip(PILLARS, weights, strict=True)))
        for name, weights in {
            "balanced": (25.0, 25.0, 25.0, 25.0),
            "value": (50.0, 20.0, 15.0, 15.0),
            "growth": (20.0, 25.0, 40.0, 15.0),
            "quality": (20.0, 45.0, 20.0, 15.0),
            "momentum": (15.0, 20.0, 20.0, 45.0),
        }.items()
    }
)
SCALINGS = ("minmax", "rank")
GRADES = ("A+", "A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "F")
MISSING = "NR"

TOP = 10.0
# Scores are binary fractions, so what is one number on paper (a mean of 5, the edge 10/13) comes out as several that
# differ in the last digits. Means nearer than this are one mean, and a score this near to an edge is on it.
NOISE = 1e-9


def _edge(k: int) -> float:
    """The smallest float that is not below k * 10/13, so that `score >= edge` is exact for every float score."""
    exact = Fraction(10 * k, len(GRADES))
    near = float(exact)
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)


EDGES: Matrix = np.array([_edge(k) for k in range(len(GRADES))])
_WORDS = pd.Series([*reversed(GRADES), MISSING])  # of whatever dtype text has in this pandas


class AAACalculator(Calculator):
    """Rates each stock within its group, which is the whole frame.

    Parameters
    ----------
    config : object, optional
        Nothing is asked of it.
    logger : logging.Logger, optional
    strategy : str or mapping of str to float
        `balanced`, `value`, `growth`, `quality`, `momentum`, or the pillars' weights; a pillar that the mapping leaves
        out has weight 0. Only the weights' ratios count.
    scaling : {"minmax", "rank"}
        How values become scores, at all three levels.
    metric_weights : mapping of str to float, optional
        Weight of a metric within its pillar; 1 unless given.

    Raises
    ------
    UnknownNameError
        A strategy, scaling, pillar or metric that there is not.
    ParameterError
        A weight that is negative or no finite number; a strategy or a pillar without any weight above 0.

    Notes
    -----
    Over the n rows of the group whose value x is there:

    - metric, minmax: ``10 (x - min) / (max - min)``; where lower is better (valuation, `Volatility M`)
      ``10 (max - x) / (max - min)``; 5 when all are equal.
    - metric, rank: ``10 (r - 1) / (n - 1)`` with r the average rank, or ``10 (n - r) / (n - 1)`` where lower is better;
      5 when n is 1.
    - pillar: ``sum(w s) / sum(w)`` over the scores s that are there, if their weights w are at least half of all the
      pillar's; then scaled as a metric is, higher being better. Means within 1e-9 of one another are equal.
    - overall: the same over the pillars' scores with the strategy's weights.
    - grade: thirteen equal bands of 10/13; on an edge (within 1e-9) it is the better grade. An inner edge is
      stored as the nearest float that is not below it, so a grade is always the exact band of the score beside it.

    Missing is a null, an infinite value, a multiple <= 0. A missing value has no score (never 0) and the grade `NR`.
    """

    name = "aaa"
    reads = "AAA - "
    saves = "AAA_"

    def __init__(
        self,
        config: object | None = None,
        logger: logging.Logger | None = None,
        strategy: str | Mapping[str, float] = "balanced",
        scaling: Scaling = "minmax",
        metric_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(config, logger)
        self.strategy = strategy if isinstance(strategy, str) else "custom"
        self.pillar_weights = _pillar_weights(strategy)
        self.metric_weights = _metric_weights(metric_weights)
        self.scaling = _one_of(scaling, SCALINGS, "scaling")

    @property
    def params(self) -> Mapping[str, Any]:
        """Strategy, pillar weights, scaling and metric weights."""
        return {
            "strategy": self.strategy,
            "pillar_weights": dict(self.pillar_weights),
            "scaling": self.scaling,
            "metric_weights": dict(self.metric_weights),
        }

    def check(self) -> None:
        """Rate two made-up stocks; the better one must have A+ and the other F."""
        super().check()
        worse_and_better = {m: [2.0, 1.0] if m in LOWER_IS_BETTER else [1.0, 2.0] for m in METRICS}
        grades = self.calculate(pd.DataFrame(worse_and_better))["AAA - overall"].tolist()
        if grades != ["F", "A+"]:
            raise StepError(f"The better of two stocks was rated {grades[1]} and the worse {grades[0]}.")

    def calculate(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rate each row against all others of `frame`, which stays as it was.

        Parameters
        ----------
        frame : pandas.DataFrame
            One row per stock, with a numeric column for each of `METRICS` (percent as a fraction); other columns, the
            index and the order of rows are kept as they are.

        Returns
        -------
        pandas.DataFrame
            The input's columns, then `score - x` (float64, 0 to 10, NaN when missing) and `AAA - x` (text) side by
            side for each metric in the order of `PILLARS`, then each pillar, then `overall`. Columns of those names
            that the input had are replaced, so that rating twice is rating once.

        Raises
        ------
        ColumnNotFoundError
            Columns are missing; names all of them.
        ParameterError
            A metric's column is there twice or holds something that is no number.
        """
        _demand_columns(frame)
        values = _values(frame)
        lower = np.array([metric in LOWER_IS_BETTER for metric in METRICS])
        metrics = self._scored(values, lower)
        means = [
            _weighted_mean(metrics[:, [METRICS.index(m) for m in names]], [self.metric_weights[m] for m in names])
            for names in PILLARS.values()
        ]
        pillars = self._scored(_settled(np.column_stack(means)))
        overall = _weighted_mean(pillars, [self.pillar_weights[pillar] for pillar in PILLARS])
        scores = np.column_stack([metrics, pillars, self._scored(_settled(overall[:, None]))])
        return _beside(frame, scores, [*METRICS, *PILLARS, "overall"])

    def _scored(self, values: Matrix, lower: npt.NDArray[np.bool_] | None = None) -> Matrix:
        """Each column of `values` scaled to 0..10; `lower` marks those where lower is better."""
        turned = np.zeros(values.shape[1], dtype=bool) if lower is None else lower
        scores = _minmax(values, turned) if self.scaling == "minmax" else _ranked(values, turned)
        return _on_edges(scores)


def _one_of(value: Any, known: Iterable[str], what: str) -> str:
    names = list(known)
    if value not in names:
        raise UnknownNameError(f"There is no {what} {value!r}.", cure=known_names(str(value), names), resource=what)
    return str(value)


def _weight(value: Any, what: str) -> float:
    number = float(value) if isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_) else math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ParameterError(f"The weight of {what} is {value!r}.", cure="A weight is a finite number, 0 or above.")
    return number


def _weights(given: Any, known: Iterable[str], what: str) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"The weights of {what}s are {given!r}.", cure=f"Pass a mapping from {what} to weight, or leave it out."
        )
    names = list(known)
    return {_one_of(name, names, what): _weight(value, f"{what} {name!r}") for name, value in given.items()}


def _pillar_weights(strategy: Any) -> Mapping[str, float]:
    if isinstance(strategy, str):
        return STRATEGIES[_one_of(strategy, STRATEGIES, "strategy")]
    weights = dict.fromkeys(PILLARS, 0.0) | _weights(strategy, PILLARS, "pillar")
    if not any(weights.values()):
        raise ParameterError("The strategy gives no pillar a weight above 0.", cure=f"Pillars: {', '.join(PILLARS)}.")
    return weights


def _metric_weights(given: Mapping[str, float] | None) -> Mapping[str, float]:
    weights = dict.fromkeys(METRICS, 1.0) | _weights({} if given is None else given, METRICS, "metric")
    for pillar, metrics in PILLARS.items():
        if not any(weights[metric] for metric in metrics):
            raise ParameterError(
                f"No metric of the pillar {pillar!r} has a weight above 0.",
                cure=f"To leave the pillar out of the rating, give {pillar!r} the weight 0 in `strategy`.",
            )
    return weights


def _demand_columns(frame: Any) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise ParameterError(f"calculate was given {type(frame).__name__}.", cure="Pass a DataFrame, a row per stock.")
    there = list(frame.columns)
    lacking = [metric for metric in METRICS if metric not in there]
    if lacking:
        names = [name for name in there if isinstance(name, str)]
        close = {metric: nearest(metric, names) for metric in lacking}
        told = ", ".join(f"{m!r} (nearest: {near!r})" if near else repr(m) for m, near in close.items())
        raise ColumnNotFoundError(
            f"The rating needs {len(METRICS)} columns and {len(lacking)} are not there: {told}.",
            cure="The screener's custom view has them all; rename your own to these names.",
            resource=", ".join(lacking),
            operation="calculate",
        )
    for metric in METRICS:
        if there.count(metric) > 1:
            raise ParameterError(
                f"The column {metric!r} is there {there.count(metric)} times.", cure="Keep one of them."
            )


def _values(frame: pd.DataFrame) -> Matrix:
    """The metrics as floats, in the order of `METRICS`; NaN for what is missing."""
    values = np.empty((len(frame), len(METRICS)), order="F")
    for place, metric in enumerate(METRICS):
        values[:, place] = _numbers(frame[metric])
    values[~np.isfinite(values)] = np.nan
    multiples = np.array([metric in MULTIPLES for metric in METRICS])
    values[(values <= 0) & multiples] = np.nan
    return values


def _numbers(column: pd.Series[Any]) -> Matrix:
    """A column of any dtype as floats, if all that is there is a number."""
    if column.dtype.kind in "iuf":
        return column.to_numpy(dtype="float64", na_value=np.nan)
    cells, missing = column.to_numpy(dtype=object), column.isna().to_numpy()
    for row, cell in enumerate(cells):
        if not missing[row] and (isinstance(cell, bool | np.bool_) or not isinstance(cell, Real | Decimal)):
            raise ParameterError(
                f"The column {column.name!r} holds {cell!r} (row {column.index[row]!r}), which is not a number.",
                cure="Make it numeric first, for example with pandas.to_numeric; a missing value is NaN.",
                resource=str(column.name),
                operation="calculate",
            )
    return np.array([math.nan if gone else float(cell) for cell, gone in zip(cells, missing, strict=True)], dtype=float)


def _minmax(values: Matrix, lower: npt.NDArray[np.bool_]) -> Matrix:
    there = ~np.isnan(values)
    # A power of two that brings the largest to at most 1: exact, and max - min cannot overflow.
    exponents = np.frexp(np.max(np.abs(values), axis=0, initial=0.0, where=there))[1]
    small = np.ldexp(values, -exponents)
    low = np.min(small, axis=0, initial=np.inf, where=there)
    high = np.max(small, axis=0, initial=-np.inf, where=there)
    spread = high - low
    scores: Matrix = TOP * (np.where(lower, high - small, small - low) / np.where(spread > 0, spread, 1.0))
    return np.where(there & (spread <= 0), TOP / 2, scores)


def _ranked(values: Matrix, lower: npt.NDArray[np.bool_]) -> Matrix:
    ranks = pd.DataFrame(values).rank(method="average").to_numpy()
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    scores: Matrix = TOP * (np.where(lower, count - ranks, ranks - 1) / np.maximum(count - 1, 1))
    return np.where(there & (count == 1), TOP / 2, scores)


def _weighted_mean(scores: Matrix, weights: Iterable[float]) -> Matrix:
    """Of what is there in each row, NaN if that is less than half of all the weight."""
    given = np.array(list(weights))
    shares = given / given.max() / (given / given.max()).sum()  # in two steps: a sum of huge weights cannot overflow
    weight = np.where(np.isnan(scores), 0.0, shares).sum(axis=1)
    total = (np.nan_to_num(scores) * shares).sum(axis=1)
    enough = weight >= 0.5 - NOISE  # 0.1 + 0.2 of 0.1 + 0.2 + 0.3 is half, whatever the last digit says
    mean: Matrix = np.divide(total, weight, out=np.full(len(scores), np.nan), where=enough)
    return mean


def _settled(means: Matrix) -> Matrix:
    """Means that are equal on paper made equal: each run of near ones takes the value of its lowest."""
    if not len(means):
        return means
    order = np.argsort(means, axis=0)
    ascending = np.take_along_axis(means, order, axis=0)
    leads = np.ones(means.shape, dtype=bool)
    leads[1:] = ~(np.diff(ascending, axis=0) <= NOISE)  # so that each NaN leads its own run
    leader = np.maximum.accumulate(np.where(leads, np.arange(len(means))[:, None], 0), axis=0)
    settled = np.empty_like(means)
    np.put_along_axis(settled, order, np.take_along_axis(ascending, leader, axis=0), axis=0)
    return settled


def _on_edges(scores: Matrix) -> Matrix:
    """Scores that are on an inner edge on paper put on it; the others as they are."""
    nearest_edge = np.clip(np.rint(np.nan_to_num(scores) * len(GRADES) / TOP), 1, len(GRADES) - 1).astype(np.intp)
    edge = EDGES[nearest_edge]
    return np.where(np.abs(scores - edge) <= NOISE, edge, scores)


def _bands(scores: Matrix) -> npt.NDArray[np.intp]:
    """Place of each score's grade in `_WORDS`: how many inner edges it has reached; the last for a missing one."""
    # Exact for scores of `_on_edges`: edge k times 13 is 10 k or above, also once rounded, and no other score is near.
    bands = np.clip(np.nan_to_num(scores) * len(GRADES) / TOP, 0, len(GRADES) - 1).astype(np.intp)
    return np.where(np.isnan(scores), len(GRADES), bands)


def _beside(frame: pd.DataFrame, scores: Matrix, names: list[str]) -> pd.DataFrame:
    """The frame without older ratings, and the new ones after it; built at once."""
    scores = np.asfortranarray(scores)  # column by column from here on
    bands = _bands(scores)
    new: dict[str, pd.Series[Any]] = {}
    for place, name in enumerate(names):
        new[f"score - {name}"] = pd.Series(scores[:, place], index=frame.index)
        new[f"AAA - {name}"] = _WORDS.take(bands[:, place]).set_axis(frame.index)
    kept = frame.loc[:, ~frame.columns.isin(list(new))]
    rated = pd.concat([kept, pd.DataFrame(new, index=frame.index)], axis=1)
    rated.columns.names = frame.columns.names
    return rated
