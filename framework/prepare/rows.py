"""Which rows and columns of a frame are prepared: the steps that learning a recipe and applying it share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.errors import CompatibilityException, ParameterError, ProcessingException
from framework.prepare import imputing
from framework.prepare.blueprint import Blueprint
from framework.prepare.columns import OF_KIND, Table, family, missing, typed

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

SHOWN = 20  # rows of a refusal, by their labels


@dataclass(frozen=True, slots=True)
class Input:
    """One column that a recipe takes.

    Attributes
    ----------
    name : str
    kind : str
        As a blueprint's field has it; of an extra column by what it held.
    family : {"number", "text", "datetime", "flag", "empty"}
        What it held when the recipe was learnt, and has to hold again.
    role : {"field", "extra", "target", "left out"}
        A column that was left out for its gaps may be there and is not looked at.
    """

    name: str
    kind: str
    family: str
    role: str = "field"


def nothing() -> None:
    """Between two pieces of work: goes on."""


def moment(as_of: Any) -> pd.Timestamp:
    """The time that `as_of` names: of a date its last instant.

    Raises
    ------
    ParameterError
        It is no time, or has a zone.
    """
    is_date = isinstance(as_of, date) and not isinstance(as_of, datetime)
    try:
        when = pd.Timestamp(as_of)
    except (ValueError, TypeError) as error:
        raise ParameterError(f"as_of is {as_of!r}, which is no time.", cure="Write 2026-06-30.") from error
    if pd.isna(when) or when.tz is not None:
        raise ParameterError(f"as_of is {as_of!r}.", cure="Give a time without a zone, such as 2026-06-30.")
    if is_date or (isinstance(as_of, str) and ":" not in as_of):
        return when + pd.Timedelta(days=1) - pd.Timedelta(1, "ns")
    return when


def taken(frame: pd.DataFrame, inputs: Iterable[Input], *, check: Callable[[], None] = nothing) -> Table:
    """The inputs of a frame, typed; a target that is no field as it came."""
    columns = {}
    for each in inputs:
        check()
        columns[each.name] = typed(frame[each.name], each.kind)
    return Table(frame.index, columns)


def same_family(each: Input, column: pd.Series) -> None:
    if OF_KIND[each.kind] == "identifier" or each.family == "empty":
        return
    found = family(column)
    if found not in (each.family, "empty"):
        raise CompatibilityException(
            f"{each.name} holds {found}, but held {each.family} when the recipe was learnt.",
            cure=f"Read it as {each.family}, or learn a recipe of such data.",
            resource=each.name,
        )


def needed(blueprint: Blueprint, inputs: Iterable[Input], *, also: Iterable[str | None] = ()) -> list[str]:
    """The columns that a row must have: identifiers, required dates, the time of the blueprint, and those asked for."""
    must = {*blueprint.identifier, blueprint.time, *also}
    must |= {each.name for each in blueprint.fields if each.kind == "identifier"}
    must |= {each.name for each in blueprint.fields if each.kind == "datetime" and each.required}
    return [each.name for each in inputs if each.name in must and each.role != "left out"]


def admitted(
    table: Table, blueprint: Blueprint, when: pd.Timestamp, must: list[str]
) -> tuple[Table, list[dict[str, Any]]]:
    """The rows that are not after `when` and lack nothing of what they must have; and what was refused."""
    refused: list[dict[str, Any]] = []
    if blueprint.time in table.columns:
        late = table.columns[blueprint.time] > np.datetime64(when)
        table = _without(table, late, f"{blueprint.time} is after as_of {when}", refused)
    for name in must:
        table = _without(table, missing(table.columns[name]), f"{name} is missing", refused)
    return table, refused


def whole_rows(table: Table, names: list[str]) -> tuple[Table, list[dict[str, Any]]]:
    """The rows in which nothing is missing, and what was refused."""
    refused: list[dict[str, Any]] = []
    kept = imputing.whole(table, names)
    return _without(table, ~kept, "a value is missing, and missing_value_strategy is drop", refused), refused


def _without(table: Table, rows: Any, why: str, refused: list[dict[str, Any]]) -> Table:
    if rows is None or not rows.any():
        return table
    labels = table.index[rows][:SHOWN].tolist()
    shown = [label if isinstance(label, int) else str(label) for label in labels]
    refused.append({"why": why, "count": int(rows.sum()), "rows": shown})
    return table.where(~rows)


def rows_of(table: Table, blueprint: Blueprint, when: pd.Timestamp) -> tuple[Table, list[str]]:
    """The rows that come out, where the blueprint makes them of those that go in."""
    if blueprint.rows is None:
        return table, []
    made, notes = blueprint.rows(table.frame(list(table.columns)), when)
    kinds = {each.name: each.kind for each in blueprint.fields}
    return Table(made.index, {str(name): typed(made[name], kinds[str(name)]) for name in made}), notes


def features_of(
    blueprint: Blueprint, table: Table, when: pd.Timestamp, learnt: Mapping[str, Any], names: list[str]
) -> pd.DataFrame:
    """The features, made of values that are neither capped nor scaled."""
    if not names:
        return table.frame([])
    there = [each.name for each in blueprint.fields if each.name in table.columns]
    made = blueprint.make(table.frame(there), when, dict(learnt))
    lacking = [name for name in names if name not in made]
    if lacking or len(made) != len(table):
        raise ProcessingException(
            f"The blueprint {blueprint.name} made {len(made)} rows of {len(table)}"
            + (f" and no {', '.join(lacking)}." if lacking else "."),
            cure="Its make() answers a row for each row and a column for each feature whose fields are there.",
        )
    return made[names]


def assembled(columns: dict[str, Any], names: list[str], index: pd.Index) -> pd.DataFrame:
    """A frame of those columns in that order."""
    return pd.DataFrame({name: columns[name] for name in names}, index=index, copy=False)
