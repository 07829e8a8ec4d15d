"""Texts as numbers: a column a value, a number a value, or the mean of the target, smoothed and cross-fitted."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework.errors import ParameterError
from framework.prepare.columns import Texts, listed

FEW = 10
MOST_COLUMNS = 1000
FOLDS = 5
SMOOTHING = 10.0


def learn(name: str, texts: Texts, *, strategy: str, target: Any, taken: set[str]) -> dict[str, Any]:
    """How a column is encoded.

    Parameters
    ----------
    strategy : {"auto", "onehot", "label", "target"}
        auto: onehot up to ten values, else label.
    target : array or None
        As numbers, of the same rows.
    taken : set of str
        Names of columns that there are; those made here are added.

    Returns
    -------
    dict
        column, method, why, values (in order), and of onehot `columns`, of target `means` and `mean`.
    """
    present = np.flatnonzero(np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.levels)))
    values = sorted(texts.levels[place] for place in present)
    method, why = strategy, "as asked"
    if strategy == "auto":
        method = "onehot" if len(values) <= FEW else "label"
        why = f"{len(values)} values, " + (f"at most {FEW}" if method == "onehot" else f"more than {FEW}")
    made: dict[str, Any] = {"column": name, "method": method, "why": why, "values": values}
    if method == "onehot":
        if len(values) > MOST_COLUMNS:
            raise ParameterError(
                f"encoding_strategy onehot would make {len(values)} columns of {name}; {MOST_COLUMNS} are the most.",
                cure="Choose label or target, or leave that column out.",
            )
        made["columns"] = [_free(f"{name}_{value}", taken) for value in values]
    elif method == "target":
        with np.errstate(over="ignore"):
            made["mean"] = float(target.mean())
        made["means"] = _means(_places(texts, values), target, len(values), made["mean"]).tolist()
    return made


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free


def _places(texts: Texts, values: list[str]) -> Any:
    """For each row the place of its text among `values`, -1 if it is none of them."""
    of = {value: place for place, value in enumerate(values)}
    places = np.array([*(of.get(level, -1) for level in texts.levels), -1], dtype="int64")
    return places[texts.codes]


def _means(places: Any, target: Any, count: int, mean: float) -> Any:
    """The mean of the target of each value, drawn to the mean of all by the weight of ten rows."""
    there = places >= 0
    sums = np.bincount(places[there], weights=target[there], minlength=count)
    counts = np.bincount(places[there], minlength=count)
    return (sums + SMOOTHING * mean) / (counts + SMOOTHING)


def encode(texts: Texts, learnt: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """The columns made, and how often each text that was not learnt stands there.

    Such a text is zeros, -1, or the mean of the target.
    """
    values = learnt["values"]
    places = _places(texts, values)
    if learnt["method"] == "onehot":
        made = {name: (places == place).astype("uint8") for place, name in enumerate(learnt["columns"])}
    elif learnt["method"] == "label":
        made = {learnt["column"]: places.astype(label_type(len(values)))}
    else:
        made = {learnt["column"]: np.array([*learnt["means"], learnt["mean"]])[places]}
    return made, _unseen(texts, set(values))


def _unseen(texts: Texts, values: set[str]) -> dict[str, int]:
    new = [place for place, level in enumerate(texts.levels) if level not in values]
    if not new:
        return {}
    counts = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.levels))
    return {
        level: count for level, count in listed({texts.levels[place]: int(counts[place]) for place in new}) if count
    }


def label_type(count: int) -> str:
    """The smallest type for that many values and -1."""
    return next(name for name in ("int8", "int16", "int32", "int64") if count <= np.iinfo(name).max)


def cross_fitted(texts: Texts, learnt: dict[str, Any], target: Any) -> Any:
    """The column for the rows it was learnt of: each row by the targets of the other folds, never by its own.

    Five folds, by chance, always the same for the same number of rows (Micci-Barreca 2001; Pargent et al. 2022).
    """
    places = _places(texts, learnt["values"])
    folds = np.random.default_rng(0).permutation(len(places)) % FOLDS
    made = np.empty(len(places))
    for fold in range(FOLDS):
        own = folds == fold
        others = ~own
        if not others.any():
            made[own] = learnt["mean"]
            continue
        mean = float(target[others].mean())
        means = _means(places[others], target[others], len(learnt["values"]), mean)
        made[own] = np.append(means, mean)[places[own]]
    return made
