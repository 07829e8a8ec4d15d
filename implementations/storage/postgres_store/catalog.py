"""The catalogue: what a dataset's table alone would not say, in the same transaction as its rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from psycopg import sql

from framework.errors import FormatError

from .names import held_column, held_name
from .table import Table, There

if TYPE_CHECKING:  # so that a store can be looked into without loading pandas
    from framework.schema import FrameSchema

MOST_MADE_IDS = 10  # that nobody gave, so that a save of unknown outcome can be asked for
COLUMNS = (
    "dataset text PRIMARY KEY, relation text NOT NULL, schema text NOT NULL, saved_at timestamptz NOT NULL,"
    " version bigint NOT NULL, "
)
LATER = {  # what an earlier version's catalogue lacks
    "save_ids": "text[] NOT NULL DEFAULT '{}'",
    "made_ids": "text[] NOT NULL DEFAULT '{}'",
    "shape": "text",
}
NOTE = sql.SQL(
    "INSERT INTO {} AS c (dataset, relation, schema, shape, saved_at, version, save_ids, made_ids)"
    " VALUES ({}, {}, {}, {}, now(), 1, {}::text[], {}::text[]) ON CONFLICT (dataset) DO UPDATE SET"
    " relation = excluded.relation, schema = excluded.schema, shape = excluded.shape, saved_at = excluded.saved_at,"
    " version = c.version + 1, save_ids = excluded.save_ids, made_ids = (c.made_ids || excluded.made_ids)"
    "[greatest(1, 1 + cardinality(c.made_ids || excluded.made_ids) - {}):]"
)


@dataclass(frozen=True, slots=True)
class Record:
    """What the catalogue says of a dataset.

    Attributes
    ----------
    schema : FrameSchema or None
        None for a table that others made or gave other columns.
    damaged : bool
        Whether that is because the schema on record cannot be read.
    shape : dict or None
        The server's types of all columns when it was saved; an earlier version recorded none.
    save_ids, made_ids : tuple of str
        Of the last saves: those that were given, and those that the store made.
    """

    schema: FrameSchema | None
    damaged: bool
    saved_at: datetime
    version: int
    shape: dict[str, str] | None
    save_ids: tuple[str, ...]
    made_ids: tuple[str, ...]


def record(place: Table) -> Record | None:
    """The dataset's record, whether or not it fits the table; None when there is none."""
    from framework.schema import FrameSchema

    if not place.has_catalog:
        return None
    found = place.run(
        "SELECT to_jsonb(c) FROM {} c WHERE dataset = {}", place.catalog, sql.Literal(place.name)
    ).fetchone()
    if found is None:
        return None
    told = found[0]
    shape, text = told.get("shape"), told["schema"]
    try:
        schema = FrameSchema.loads(text) if text or shape is not None else None
        damaged = False
    except FormatError:
        schema, damaged = None, True
    saved_at = datetime.fromisoformat(told["saved_at"]).astimezone(UTC)
    ids = [tuple(told.get(column) or ()) for column in ("save_ids", "made_ids")]
    return Record(schema, damaged, saved_at, told["version"], shape and json.loads(shape), *ids)


def record_of(place: Table, there: There, logger: logging.Logger) -> Record | None:
    """The dataset's record; without a schema when the table is not the one that was saved."""
    from .rows import may_hold

    found = record(place)
    if found is None:
        return None
    if found.schema is None:
        if found.damaged:
            logger.warning("the record of %s is damaged; its dtypes are found anew", place.name)
        return found
    held = {held_column(field.name): field for field in found.schema.fields}
    if found.shape is not None:
        fits = found.shape == there.shape and set(held) <= set(found.shape)
    else:
        fits = set(held) == set(there.own) and all(may_hold(there.columns[n].type, f) for n, f in held.items())
    if fits:
        return found
    logger.warning("%s has other columns than were saved; its dtypes are found anew", place.name)
    return replace(found, schema=None)


def ids_of(place: Table) -> tuple[str, ...]:
    """Ids of the last saves; none for a table that is not there."""
    found = None if place.look() is None else record(place)
    return () if found is None else (*found.made_ids, *found.save_ids)


def make(place: Table) -> None:
    """Make the server's schema and the catalogue where they are missing, and what an earlier version's lacks."""
    if place.is_new_catalog:
        return
    place.run("SELECT pg_advisory_xact_lock(7235419)")  # IF NOT EXISTS is not safe side by side
    place.run("CREATE SCHEMA IF NOT EXISTS {}", sql.Identifier(place.namespace))
    later = sql.SQL(", ").join(sql.SQL(f"{name} {kind}") for name, kind in LATER.items())
    place.run("CREATE TABLE IF NOT EXISTS {} ({}{})", place.catalog, sql.SQL(COLUMNS), later)
    if place.has_catalog:
        added = sql.SQL(", ").join(sql.SQL(f"ADD COLUMN IF NOT EXISTS {name} {kind}") for name, kind in LATER.items())
        place.run("ALTER TABLE {} {}", place.catalog, added)
    place.has_catalog = place.is_new_catalog = True


def noted(
    place: Table, schema: FrameSchema | None, shape: dict[str, str], *, ids: Sequence[str] = (), made: str | None = None
) -> sql.Composed:
    """What records a save; the version goes up by one. No schema is what others' tables have.

    Parameters
    ----------
    ids : sequence of str
        Those that were given, all that are to be on record.
    made : str, optional
        The one that the store made, which joins the last few of its kind.
    """
    texts = ("", None) if schema is None else (schema.dumps(), json.dumps(shape))
    values = (place.name, held_name(place.name), *texts, list(ids), [made] if made else [])
    return NOTE.format(place.catalog, *map(sql.Literal, (*values, MOST_MADE_IDS)))


def forget(place: Table) -> None:
    """Remove a dataset's record."""
    if place.has_catalog:
        place.run("DELETE FROM {} WHERE dataset = {}", place.catalog, sql.Literal(place.name))


def rename(place: Table, new: str) -> None:
    """Record a dataset under another name; one that others made gets a record when its name is too long for a table."""
    forget_stale = "DELETE FROM {} WHERE dataset = {}"
    if not place.has_catalog:
        if held_name(new) == new:
            return
        make(place)
    place.run(forget_stale, place.catalog, sql.Literal(new))
    values = (sql.Literal(text) for text in (new, held_name(new), place.name))
    moved = place.run("UPDATE {} SET dataset = {}, relation = {} WHERE dataset = {}", place.catalog, *values)
    if moved.rowcount == 0 and held_name(new) != new:
        make(place)
        place.run(noted(Table(place.connection, place.namespace, new), None, {}))
