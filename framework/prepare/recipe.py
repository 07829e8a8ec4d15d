"""What a preparation learnt, as data: applied to other rows it gives the columns that it gave, bit by bit.

A recipe is JSON. It holds what stands in for missing values, caps, what the blueprint learnt, encodings, scales, the
day as of which all of it holds, and the versions that made it; it holds no code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.errors import CompatibilityException, ParameterError, known_names
from framework.prepare import capping, encoding, imputing, reducing, scaling
from framework.prepare.blueprint import Blueprint
from framework.prepare.columns import OF_KIND, Table, no_repeated_names
from framework.prepare.recipe_form import FORMAT, KEYS, VERSION, read, suits
from framework.prepare.rows import (
    Input,
    admitted,
    assembled,
    features_of,
    moment,
    needed,
    nothing,
    rows_of,
    same_family,
    taken,
    whole_rows,
    zones,
)

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd


@dataclass(slots=True)
class Applied:
    """What a recipe made of a frame.

    Attributes
    ----------
    frame : pandas.DataFrame
        The columns of the recipe; the target last, where the frame had it.
    features_raw : pandas.DataFrame
        The features, unscaled.
    fields : pandas.DataFrame
        The fields, dates too, as they were before caps, encodings and scales.
    refused : list of dict
        {why, count, rows}: rows that are not in `frame`, by their labels in what was given, twenty at most.
    imputed : dict
        How many values stand in for missing ones, by column.
    capped : dict
        {column: {below, above}}.
    unseen : dict
        {column: {text: count}} of texts that were not there when the recipe was learnt.
    notes : list of str
        Time zones that columns came in, and what the blueprint did to the rows.
    """

    frame: pd.DataFrame
    features_raw: pd.DataFrame
    fields: pd.DataFrame
    refused: list[dict[str, Any]] = field(default_factory=list)
    imputed: dict[str, int] = field(default_factory=dict)
    capped: dict[str, dict[str, int]] = field(default_factory=dict)
    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All but the frames, JSON-able."""
        names = ("refused", "imputed", "capped", "unseen", "notes")
        return {"rows": len(self.frame), **{name: getattr(self, name) for name in names}}


@dataclass(slots=True)
class Recipe:
    """What was learnt; made by `DataPreprocessingService.fit` or `Recipe.loads`.

    Attributes
    ----------
    blueprint : Blueprint
    config : dict
        Strategy, methods and settings by which it was learnt.
    as_of : str
        ISO 8601: no feature sees a row after it.
    target : str or None
    keep_dates : bool
    inputs : list of Input
    ignored : list of str
        Columns that were there and are not looked at.
    values : dict
        What stands in for a missing value, by column.
    caps : dict
        {column: [lowest, highest]}.
    features : list of str
    formulas : dict
        How each feature is made, in the words of the blueprint: with other words it is another feature.
    learnt : dict
        What the blueprint learnt.
    encodings : dict
        By column, as `encoding.learn` gives them.
    scales : dict
        {column: [number, number]}, as `scaling.learn` gives them.
    columns : dict
        {name: type} of what comes out, in order, without the target.
    versions : dict
        Of what made it.
    """

    blueprint: Blueprint
    config: dict[str, Any]
    as_of: str
    target: str | None = None
    keep_dates: bool = False
    inputs: list[Input] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    caps: dict[str, list[float]] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    formulas: dict[str, str] = field(default_factory=dict)
    learnt: dict[str, Any] = field(default_factory=dict)
    encodings: dict[str, dict[str, Any]] = field(default_factory=dict)
    scales: dict[str, list[float]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def transform(self, frame: pd.DataFrame, *, as_of: Any = None) -> pd.DataFrame:
        """The columns of the recipe for these rows; what was refused and unseen: see `apply`."""
        return self.apply(frame, as_of=as_of).frame

    def apply(self, frame: pd.DataFrame, *, as_of: Any = None, check: Callable[[], None] = nothing) -> Applied:
        """The columns of the recipe for these rows, and what became of them.

        Each row's numbers depend on that row alone (where the blueprint sums rows: on the rows of that sum), not on
        their order nor on what comes with it.

        Parameters
        ----------
        frame : pandas.DataFrame
            With the columns of the frame that the recipe was learnt of; the target may be missing.
        as_of : str, date or datetime, optional
            The recipe's own unless given; not before it, as it has seen rows up to then.
        check : callable
            Called between pieces of work; raises to stop.

        Raises
        ------
        CompatibilityException
            A column is missing, new, or of another type.
        ProcessingException
            A value cannot be read as its kind, or a date lies after `as_of`.
        ParameterError
            `as_of` is before the recipe's.
        """
        inputs = self._suiting(frame)
        when = self._moment(as_of)
        table, refused = admitted(taken(frame, inputs, check=check), self.blueprint, when, self._needed(inputs))
        table, notes = rows_of(table, self.blueprint, when)
        notes = [*zones(frame, inputs), *notes]
        if self.config["missing_value_strategy"] == "drop":
            table, dropped = whole_rows(table, self.fields("number", "text", "flag"))
            refused += dropped
        check()
        table, imputed = imputing.fill(table, self.values)
        raw = features_of(self.blueprint, table, when, self.learnt, self.features, self.target)
        check()
        fields = table.frame(list(table.columns))
        applied = Applied(table.frame([]), raw, fields, refused, imputed, notes=notes)
        columns = self.finished(table, raw, applied, check=check)
        applied.frame = assembled(columns, [*self.columns, *self._target_in(table)], table.index)
        return applied

    def finished(
        self, table: Table, raw: pd.DataFrame, applied: Applied, *, check: Callable[[], None] = nothing
    ) -> dict[str, Any]:
        """All columns that may come out, capped, encoded and scaled; counts go into `applied`."""
        columns: dict[str, Any] = {**table.columns, **{str(name): raw[name].to_numpy() for name in raw}}
        for name, fences in self.caps.items():
            columns[name], below, above = capping.cap(columns[name], fences)
            if below or above:
                applied.capped[name] = {"below": below, "above": above}
        for name, learnt in self.encodings.items():
            check()
            made, unseen = encoding.encode(columns.pop(name), learnt)
            columns |= made
            if unseen:
                applied.unseen[name] = unseen
        for name, learnt_scale in self.scales.items():
            columns[name] = scaling.scale(columns[name], self.config["scaling_method"], learnt_scale)
        for name in self.fields("flag"):
            columns[name] = reducing.reduced(columns[name], flag=True)
        return columns

    def fields(self, *families: str) -> list[str]:
        """Names of inputs of those families that are columns of a model: neither the target nor left out."""
        return [each.name for each in self.inputs if each.role in ("field", "extra") and OF_KIND[each.kind] in families]

    def _target_in(self, table: Table) -> list[str]:
        return [self.target] if self.target is not None and self.target in table.columns else []

    def _needed(self, inputs: list[Input]) -> list[str]:
        """What a row must have; not the target, of which nothing is made."""
        return needed(self.blueprint, [each for each in inputs if each.role != "target"])

    def _suiting(self, frame: pd.DataFrame) -> list[Input]:
        """The inputs that are taken of this frame; refuses one whose columns are others."""
        no_repeated_names(frame)
        there = set(frame.columns)
        wanted = [each for each in self.inputs if each.role != "left out"]
        lacking = [each.name for each in wanted if each.name not in there and each.role != "target"]
        if lacking:
            raise CompatibilityException(
                f"The recipe needs columns that are missing: {', '.join(lacking)}.",
                cure=known_names(lacking[0], [str(name) for name in frame.columns]),
            )
        known = {each.name for each in self.inputs} | set(self.ignored)
        new = [str(name) for name in frame.columns if name not in known]
        if new:
            raise CompatibilityException(
                f"The recipe does not know these columns: {', '.join(new)}.",
                cure="Leave them out, or learn a recipe of data that has them.",
            )
        inputs = [each for each in wanted if each.name in there]
        for each in inputs:
            same_family(each, frame[each.name])
        return inputs

    def _moment(self, as_of: Any) -> pd.Timestamp:
        own = pd.Timestamp(self.as_of)
        when = own if as_of is None else moment(as_of)
        if when < own:
            raise ParameterError(
                f"as_of {when} is before the recipe's, {own}: it has seen rows in between.",
                cure="Learn a recipe as of that day.",
            )
        return when

    # ----------------------------------------------------------------------------------------------- as JSON

    def as_dict(self) -> dict[str, Any]:
        """The recipe as data, JSON-able."""
        made: dict[str, Any] = {"format": FORMAT, "version": VERSION, "blueprint": self.blueprint.name}
        made |= {name: getattr(self, name) for name in KEYS}
        return {**made, "inputs": [asdict(each) for each in self.inputs]}

    def dumps(self) -> str:
        """The recipe as JSON: the same bytes for the same recipe."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def loads(cls, text: str | bytes, *, blueprint: Blueprint | None = None) -> Recipe:
        """A recipe from its JSON.

        Parameters
        ----------
        blueprint : Blueprint, optional
            One of your own that is not in a folder of blueprints; else it is found by its name.

        Raises
        ------
        FormatError
            It is no recipe, of a later version, has a part that no recipe has, or its blueprint has changed since.
        UnknownNameError
            There is no blueprint of that name.
        """
        parts = read(text)
        found = blueprint or registry.find("blueprint", parts["blueprint"]).load()
        suits(parts, found)
        inputs = [Input(**each) for each in parts["inputs"]]
        return cls(found, **{name: parts[name] for name in KEYS if name != "inputs"}, inputs=inputs)
