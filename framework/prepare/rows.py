"""Which rows and columns of a frame are prepared: the steps that learning a recipe and applying it share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from framework.attempt import attempt
from framework.errors import BaseFrameworkException, CompatibilityException, ParameterError, ProcessingException
from framework.prepare import imputing
from framework.prepare.blueprint import Blueprint
from framework.prepare.checks import YEARS, blanks
from framework.prepare.columns import OF_KIND, Table, Texts, family, missing, plain, typed, zone_of

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

T = TypeVar("T")
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
    if isinstance(as_of, (int, float, np.number)) and as_of == as_of:
        raise ParameterError(f"as_of is {as_of!r}, a number.", cure="Write 2026-06-30, in YAML with quotes.")
    try:
        when = pd.Timestamp(as_of).as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        raise ParameterError(f"as_of is {as_of!r}.", cure=f"Give a time from {YEARS[0]} to {YEARS[1]}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ParameterError(f"as_of is {as_of!r}, which is no time.", cure="Write 2026-06-30.") from error
    if pd.isna(when) or when.tz is not None:
        raise ParameterError(f"as_of is {as_of!r}.", cure="Give a time without a zone, such as 2026-06-30.")
    if not YEARS[0] <= when.year <= YEARS[1]:
        raise ParameterError(f"as_of is {as_of!r}.", cure=f"Give a time from {YEARS[0]} to {YEARS[1]}.")
    of_days = isinstance(as_of, np.datetime64) and np.datetime_data(as_of.dtype)[0] == "D"
    if is_date or of_days or (isinstance(as_of, str) and ":" not in as_of):
        return when + pd.Timedelta(days=1) - pd.Timedelta(1, "ns")
    return when


def taken(frame: pd.DataFrame, inputs: Iterable[Input], *, check: Callable[[], None] = nothing) -> Table:
    """The inputs of a frame, typed; a target that is no field as it came."""
    columns = {}
    for each in inputs:
        check()
        columns[each.name] = typed(frame[each.name], each.kind)
    return Table(frame.index, columns)


def zones(frame: pd.DataFrame, inputs: Iterable[Input]) -> list[str]:
    """In words, the columns of times that came in a zone of their own."""
    return [
        f"{each.name} came in the time zone {zone}: its days are those of UTC"
        for each in inputs
        if (zone := zone_of(frame[each.name])) not in (None, "UTC")
    ]


def same_family(each: Input, column: pd.Series) -> None:
    if OF_KIND[each.kind] == "identifier" or each.family == "empty":
        return
    found = family(column)
    if found == "text" and OF_KIND[each.kind] != "text" and blanks(column).any():
        return  # a cell of white space made it a column of texts; what cannot be read is refused where it is read
    suits = (each.family, "empty", *([OF_KIND[each.kind]] if OF_KIND[each.kind] != "text" else []))
    if found not in suits:
        raise CompatibilityException(
            f"{each.name} holds {found}, but held {each.family} when the recipe was learnt.",
            cure=f"Read it as {each.family}, or learn a recipe of such data.",
            resource=each.name,
        )


def needed(blueprint: Blueprint, inputs: Iterable[Input], *, also: Iterable[str | None] = ()) -> list[str]:
    """The columns that a row must have: the identifier, required ids and dates, the time, and those asked for."""
    must = {*blueprint.identifier, blueprint.time, *also}
    must |= {each.name for each in blueprint.fields if each.kind in ("identifier", "datetime") and each.required}
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
    brought = blueprint.rows
    made, notes = asked(blueprint, "rows", lambda: brought(own(table, list(table.columns)), when))
    kinds = {each.name: each.kind for each in blueprint.fields}
    return Table(made.index, {str(name): typed(made[name], kinds[str(name)]) for name in made}), notes


def seen(blueprint: Blueprint, table: Table, target: str | None) -> pd.DataFrame:
    """What features are made of: the fields that are there, but not the target, which would be told by them.

    A target that is a required field is there and missing in each row.
    """
    there = {each.name: each for each in blueprint.fields if each.name in table.columns or each.name == target}
    columns = {name: table.columns[name] for name in there if name != target}
    if target in there and there[target].required:
        nothing_of = {"number": np.nan, "flag": np.nan, "datetime": np.datetime64("NaT", "ns")}
        columns[target] = np.full(len(table), nothing_of.get(OF_KIND[there[target].kind]))
    return own(Table(table.index, columns), [name for name in there if name in columns])


def own(table: Table, names: list[str]) -> pd.DataFrame:
    """A frame for the blueprint's own functions: what they write into it is written nowhere else."""
    columns = {name: table.columns[name] for name in names}
    made = {name: each.objects() if isinstance(each, Texts) else each.copy() for name, each in columns.items()}
    return pd.DataFrame(made, index=table.index, copy=False)  # a copy of the frame would put its columns together


def asked(blueprint: Blueprint, what: str, call: Callable[[], T]) -> T:
    """What a blueprint's own function answers.

    Raises
    ------
    ProcessingException
        It raised something that is no error of Millpond.
    """
    tried = attempt(what, call)
    if tried.error is None:
        return cast("T", tried.value)
    if isinstance(tried.error, BaseFrameworkException):
        raise tried.error
    raise ProcessingException(
        f"{what}() of the blueprint {blueprint.name} failed: {type(tried.error).__name__}: {tried.error}.",
        cure="Mend it, or the settings that it was given, so that it takes any rows that its fields allow.",
        resource=blueprint.name,
    ) from tried.error


def features_of(
    blueprint: Blueprint,
    table: Table,
    when: pd.Timestamp,
    learnt: Mapping[str, Any],
    names: list[str],
    target: str | None = None,
) -> pd.DataFrame:
    """The features, made of values that are neither capped nor scaled; one beyond what can be counted is missing."""
    if not names:
        return table.frame([])
    made = asked(blueprint, "make", lambda: blueprint.make(seen(blueprint, table, target), when, dict(learnt)))
    _as_promised(blueprint, made, table, names)
    endless = [name for name in names if np.isinf(made[name].to_numpy("float64", na_value=np.nan)).any()]
    return made[names].replace({name: [np.inf, -np.inf] for name in endless}, np.nan) if endless else made[names]


def _as_promised(blueprint: Blueprint, made: Any, table: Table, names: list[str]) -> None:
    cure = "Its make() answers a frame: for each row one with its label, for each feature a column of numbers or flags."
    if not isinstance(made, pd.DataFrame):
        raise ProcessingException(f"The blueprint {blueprint.name} made a {type(made).__name__}.", cure=cure)
    lacking = [name for name in names if name not in made]
    if lacking or len(made) != len(table):
        raise ProcessingException(
            f"The blueprint {blueprint.name} made {len(made)} rows of {len(table)}"
            + (f" and no {', '.join(lacking)}." if lacking else "."),
            cure=cure,
        )
    if not made.index.equals(table.index):
        raise ProcessingException(f"The blueprint {blueprint.name} made rows of other labels.", cure=cure)
    other = [name for name in names if not pd.api.types.is_numeric_dtype(made[name].dtype)]
    if other:
        raise ProcessingException(f"The blueprint {blueprint.name} made no numbers of {', '.join(other)}.", cure=cure)


def assembled(columns: dict[str, Any], names: list[str], index: pd.Index) -> pd.DataFrame:
    """A frame of those columns in that order."""
    return pd.DataFrame({name: plain(columns[name]) for name in names}, index=index, copy=False)
