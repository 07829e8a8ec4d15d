"""What a data card tells of each column: what it is, how it was made, and its numbers, but of no row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.prepare.blueprint import Blueprint, Feature, Field
from framework.prepare.checks import arrow_of
from framework.prepare.issues import shown
from framework.prepare.repeats import repeated
from framework.redact import MASK

if TYPE_CHECKING:
    import pandas as pd

    from framework.prepare.recipe import Recipe
else:
    from framework.lazy import pd

DIGITS = 12  # of a number that was scaled and is told as it was before
MOST_LEVELS = 20  # that are named
FEWEST_ROWS = 5  # of a level that is named: with fewer it might tell of somebody
SCALES = {
    "robust": "(value - median) / (third quartile - first quartile)",
    "standard": "(value - mean) / standard deviation",
    "minmax": "(value - lowest) / (highest - lowest)",
}


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to rows and columns, whether a recipe was learnt of them or applied to them.

    Each attribute is that of `PreprocessingResult`, or of `Applied`; empty where it has none.
    """

    rows_in: int = 0
    rows_out: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    imputed: dict[str, int] = field(default_factory=dict)
    capped: dict[str, dict[str, int]] = field(default_factory=dict)
    choices: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)
    features_absent: list[dict[str, Any]] = field(default_factory=list)
    features_missing: list[dict[str, Any]] = field(default_factory=list)
    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0
    bytes_features: int = 0
    is_fit: bool = False

    @classmethod
    def of(cls, work: Any) -> Done:
        """Of a stage's result, or of none."""
        found = {each.name: getattr(work, each.name) for each in fields(cls) if hasattr(work, each.name)}
        if hasattr(work, "frame"):
            found["rows_out"] = len(work.frame)
        return cls(**found, is_fit=hasattr(work, "choices"))


def columns_told(recipe: Recipe, work: Done, frame: pd.DataFrame, blueprint: Blueprint) -> list[dict[str, Any]]:
    """Each column that came out, in order."""
    telling = _Telling(recipe, work, blueprint)
    return [telling.told(str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns)]


@dataclass(frozen=True, slots=True)
class _Made:
    """Where a column comes from."""

    name: str
    role: str
    source: str
    field: Field | None
    feature: Feature | None


class _Telling:
    def __init__(self, recipe: Recipe, work: Done, blueprint: Blueprint) -> None:
        self.recipe = recipe
        self.work = work
        self.fields = {each.name: each for each in blueprint.fields}
        self.features = {each.name: each for each in blueprint.features if each.name in recipe.features}
        self.named = {each.name for each in blueprint.fields if each.kind == "identifier"} | set(blueprint.identifier)
        self.roles = {each.name: each.role for each in recipe.inputs}
        self.of = {made: name for name, each in recipe.encodings.items() for made in each.get("columns", [name])}
        self.filled = {each["column"]: each for each in work.choices if "missing" in each}

    def made(self, name: str) -> _Made:
        """Whence the column is; a field goes before a feature of its name."""
        source = self.of.get(name, name)
        if name == self.recipe.target:
            role = "target"
        elif source in self.named:
            role = "identifier"
        elif name in self.features:
            role = "feature"
        else:
            role = self.roles.get(source, "field")
        return _Made(name, role, source, self.fields.get(source), self.features.get(name))

    def told(self, name: str, column: pd.Series) -> dict[str, Any]:
        made = self.made(name)
        is_unique = made.role == "identifier" or name in self.named
        told: dict[str, Any] = {
            "name": name,
            "type": str(column.dtype),
            "role": made.role,
            **self._meant(made),
            "missing": int(column.isna().sum()),
        }
        told |= self._done(made)
        if is_unique:
            return {**told, "distinct": _distinct(column)}
        if _is_withheld(made, column):
            return {**told, "withheld": "its values might tell of somebody"}
        scale = self.recipe.scales.get(name) if made.role != "target" else None
        return {**told, "values": _numbers(column, scale, self.recipe.config["scaling_method"])}

    def _meant(self, made: _Made) -> dict[str, Any]:
        """Kind, unit and the words of the blueprint."""
        if made.feature is not None:
            each = made.feature
            return {"unit": each.unit, "formula": each.formula, "source": each.source, "needs": list(each.needs)}
        told: dict[str, Any] = {} if made.source == made.name else {"made_of": made.source}
        if made.field is None:
            return told
        return {**told, "kind": made.field.kind, "unit": made.field.unit, "description": made.field.description}

    def _done(self, made: _Made) -> dict[str, Any]:
        """How it was imputed, capped, encoded and scaled; what was not done is not told."""
        recipe, told = self.recipe, {}
        if (made.source in self.filled or made.source in recipe.values) and made.feature is None:
            told["imputed"] = self._filled(made.source)
        if made.source in recipe.caps and made.feature is None:
            low, high = recipe.caps[made.source]
            counts = self.work.capped.get(made.source, {})
            told["capped"] = {"lowest": low, "highest": high, "below": 0, "above": 0, **counts}
        if made.source in recipe.encodings:
            learnt = recipe.encodings[made.source]
            told["encoded"] = {"method": learnt["method"], "levels": len(learnt["values"])}
            if learnt["method"] == "target" and self.work.is_fit:
                told["encoded"]["cross_fitted"] = True
        if made.name in recipe.scales:
            method = recipe.config["scaling_method"]
            told["scaled"] = {"method": method, "formula": SCALES[method], "numbers": list(recipe.scales[made.name])}
        return told

    def _filled(self, source: str) -> dict[str, Any]:
        choice, value = self.filled.get(source, {}), self.recipe.values.get(source)
        told: dict[str, Any] = {"how": choice.get("what", "the recipe's value"), "why": choice.get("why", "")}
        told["count"] = int(self.work.imputed.get(source, 0))
        return told if value is None or isinstance(value, str) else {**told, "value": value}


def _distinct(column: pd.Series) -> int:
    """How many values there are, as validation tells them apart; pandas would hold up all other threads meanwhile."""
    known = column.notna().to_numpy()
    array = arrow_of(column)
    return int(np.count_nonzero(known)) - len(repeated([getattr(array, "storage", array)], known))


def _is_withheld(made: _Made, column: pd.Series) -> bool:
    """Of a column whose name speaks of a secret, or that seems to number the rows although no field says so."""
    if MASK in (shown("", made.source), shown("", made.name)):
        return True
    if made.field is not None or made.feature is not None or made.source != made.name or made.role == "target":
        return False
    return len(column) > 1 and bool(column.is_unique)


def _numbers(column: pd.Series, scale: list[float] | None, method: str) -> dict[str, Any]:
    """Lowest, mean and highest; of texts how many there are, by name where none is rare."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return {"true": int(column.sum()), "false": int((~column.astype("boolean").fillna(True)).sum())}
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        known = column.dropna()
        return {"min": known.min().isoformat(), "max": known.max().isoformat()} if len(known) else {}
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return _levels(column)
    values = column.to_numpy("float64", na_value=np.nan)
    known = values[np.isfinite(values)]
    if not len(known):
        return {}
    told: dict[str, Any] = {"min": float(known.min()), "mean": float(known.mean()), "max": float(known.max())}
    if scale is not None:
        told["before_scaling"] = {name: unscaled(value, method, scale) for name, value in told.items()}
        largest = max(map(abs, [*told["before_scaling"].values(), *(scale if method != "minmax" else ())]))
        places = DIGITS - math.ceil(math.log10(largest)) if largest > 0 else 0
        told["before_scaling"] = {name: round(value, places) for name, value in told["before_scaling"].items()}
    return told


def _levels(column: pd.Series) -> dict[str, Any]:
    counts = column.astype(str)[column.notna()].value_counts()
    told: dict[str, Any] = {"levels": len(counts)}
    if 0 < len(counts) <= MOST_LEVELS and int(counts.min()) >= FEWEST_ROWS:
        told["rows"] = {str(name): int(count) for name, count in counts.items()}
    return told


def unscaled(value: Any, method: str, scale: Sequence[float]) -> Any:
    """What was scaled, as it was before."""
    first, second = scale
    return (value - second) / first if method == "minmax" else value * second + first
