"""Missing values: what stands in for them, learnt once for each column.

Dates and identifiers are never invented: a row that lacks one that is needed is refused before this.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from framework.errors import ProcessingException
from framework.prepare.columns import Table, Texts, missing, quantiles

TOO_EMPTY = 0.60
SKEWED = 1.0


def skewness(values: Any) -> float:
    """The sample skewness, adjusted for bias (Joanes and Gill 1998, G1); 0 of fewer than three values or of one."""
    n = len(values)
    if n < 3:
        return 0.0
    greatest = float(np.abs(values).max())
    if greatest > 1e100:  # skewness is of no scale, and cubes of such numbers are beyond what can be counted
        values = values / greatest
    away = values - values.mean()
    square = away * away
    second = float(square.mean())
    if second <= (np.finfo("float64").eps * max(abs(float(values.mean())), 1e-300)) ** 2:
        return 0.0
    third = float((square * away).mean())
    return float(np.sqrt(n * (n - 1)) / (n - 2) * third / second**1.5)


def most_frequent(column: Any) -> Any:
    """The value that stands most often; of several the smallest."""
    if isinstance(column, Texts):
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
        most = counts.max()
        return min(level for level, count in zip(column.levels, counts, strict=True) if count == most)
    values, counts = np.unique(column, return_counts=True)
    return float(values[counts.argmax()])


def choose(column: Any, strategy: str, *, flag: bool) -> tuple[Any, str, str]:
    """What stands in for a missing value of the column, how it was found, and why so."""
    if isinstance(column, Texts):
        return most_frequent(column), "mode", "a text has no mean" if strategy != "mode" else "as asked"
    known = column[~np.isnan(column)]
    if flag:
        return most_frequent(known), "mode", "a flag has no mean" if strategy != "mode" else "as asked"
    if strategy == "mode":
        return most_frequent(known), "mode", "as asked"
    if strategy in ("mean", "median"):
        return _middle(known, strategy), strategy, "as asked"
    skew = skewness(known)
    if abs(skew) > SKEWED:
        return _middle(known, "median"), "median", f"skewness {skew:.2f} is beyond 1"
    return _middle(known, "mean"), "mean", f"skewness {skew:.2f} is within 1"


def _middle(values: Any, which: str) -> float:
    if which == "median":
        return quantiles(values, (0.5,))[0]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
    return mean if np.isfinite(mean) else float((values / len(values)).sum())


def learn(
    table: Table, kinds: dict[str, str], *, strategy: str, optional: set[str]
) -> tuple[dict[str, Any], list[str], list[dict[str, Any]]]:
    """What is put for missing values, the columns that are left out, and why.

    Parameters
    ----------
    kinds : dict
        Columns to look at, with the kind of each.
    optional : set of str
        Those that may be left out.

    Returns
    -------
    tuple
        {column: value}, [column left out], [{column, what, why, missing, share}].
    """
    values: dict[str, Any] = {}
    left_out, choices = [], []
    for name, kind in kinds.items():
        column = table.columns[name]
        lacking = missing(column)
        count = 0 if lacking is None else int(lacking.sum())
        share = count / len(table) if len(table) else 0.0
        told = {"column": name, "missing": count, "share": share}
        if count == len(table) or (strategy == "auto" and share > TOO_EMPTY and name in optional):
            if name not in optional:
                raise ProcessingException(f"{name} has no value at all.", cure="It is required.", resource=name)
            left_out.append(name)
            choices.append({**told, "what": "left out", "why": f"{share:.0%} of it is missing"})
        elif strategy == "drop":
            choices.append({**told, "what": "rows dropped", "why": "as asked"})
        else:
            values[name], what, why = choose(column, strategy, flag=kind == "flag")
            choices.append({**told, "what": what, "why": why})
    return values, left_out, choices


def fill(table: Table, values: dict[str, Any]) -> tuple[Table, dict[str, int]]:
    """Put the learnt values where values are missing; how many, by column."""
    columns, counts = dict(table.columns), {}
    for name, value in values.items():
        lacking = missing(columns[name])
        if lacking is not None:
            columns[name] = _filled(columns[name], lacking, value)
            counts[name] = int(lacking.sum())
    return Table(table.index, columns), counts


def _filled(column: Any, lacking: Any, value: Any) -> Any:
    if not isinstance(column, Texts):
        return np.where(lacking, value, column)
    levels = column.levels if value in column.levels else [*column.levels, value]
    return Texts(np.where(lacking, levels.index(value), column.codes), levels)


def whole(table: Table, names: list[str]) -> Any:
    """A mask of the rows in which none of those columns is missing."""
    kept = np.ones(len(table), dtype=bool)
    for name in names:
        lacking = missing(table.columns[name])
        if lacking is not None:
            kept &= ~lacking
    return kept
