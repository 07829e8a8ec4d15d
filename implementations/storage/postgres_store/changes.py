"""Changes of one table within one transaction: replace, append, upsert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from framework.errors import FidelityError, KeysError, SchemaError, known_names
from framework.schema import Field, FrameSchema, joined

from .rows import NATIVE, ORDINAL, Part, copy_in, declared, held_column, to_send
from .table import Table

SMALL = 4096  # bytes of rows that one page holds, so that DELETE + COPY keeps their order
MOST_COLUMNS = 1500  # of the server's 1600, some of which dropped columns take


# --------------------------------------------------------------------------- replace


def replace_rows(place: Table, there: dict[str, str] | None, table: pa.Table, schema: FrameSchema) -> None:
    """Put these rows in the table's place; the table itself stays, with its views, grants and indexes."""
    parts = [to_send(table.column(field.name), field) for field in schema.fields]
    wanted = {part.name: part.type for part in parts}
    if len(wanted) != len(parts) or len(parts) > MOST_COLUMNS:
        raise FidelityError(f"{place.name!r} has {len(parts)} columns; PostgreSQL holds {MOST_COLUMNS} of them.")
    if there is None:
        columns = sql.SQL(", ").join(declared(column, kind) for column, kind in wanted.items())
        place.run("CREATE TABLE {} ({})", place.target, columns)
        copy_in(place.connection, place.target, parts)
    else:
        _check_table(place)
        _refill(place, there, wanted, parts)
    place.note(schema)


def _check_table(place: Table) -> None:
    kind = place.kind()
    if kind not in ("r", "p"):
        words = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
        raise SchemaError(f"{place.name!r} is {words.get(str(kind), 'no table')}.", cure="Save under another name.")


def _refill(place: Table, there: dict[str, str], wanted: dict[str, str], parts: list[Part]) -> None:
    kept = {column: kind for column, kind in there.items() if column != ORDINAL}
    same = kept == wanted
    if same and _refilled_small(place, parts, ordered=ORDINAL in there):
        return
    place.wait_at_most()
    place.run("TRUNCATE {}", place.target)
    if _of_others(place, kept, wanted):
        _refill_cast(place, kept, parts)
        return
    if not same:
        _alter(place, there, wanted)
    copy_in(place.connection, place.target, parts)


def _of_others(place: Table, there: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether it is a table that others made, of just these columns, some of types that are read as text."""
    foreign = [kind for column, kind in there.items() if wanted.get(column) == "text" and kind not in NATIVE]
    return bool(foreign) and set(there) == set(wanted) and place.record(there) is None


def _refill_cast(place: Table, there: dict[str, str], parts: list[Part]) -> None:
    """Fill it by way of a staging table, each text cast to the type that its column has."""
    staged = stage(place, parts)
    names = sql.SQL(", ").join(sql.Identifier(part.name) for part in parts)
    casts = sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Identifier(part.name), sql.SQL(there[part.name])) for part in parts
    )
    insert = "INSERT INTO {} ({}) SELECT {} FROM {} ORDER BY {}"
    place.run(insert, place.target, names, casts, staged, sql.Identifier(ORDINAL))


def stage(place: Table, parts: list[Part]) -> sql.Identifier:
    """Put the rows into a table of this transaction's own, numbered in their order; its name."""
    staged = sql.Identifier("millpond_staged")
    columns = sql.SQL(", ").join(declared(part.name, part.type) for part in parts)
    create = "CREATE TEMP TABLE {} ({}, {} bigserial) ON COMMIT DROP"
    place.run(create, staged, columns, sql.Identifier(ORDINAL))
    copy_in(place.connection, staged, parts)
    return staged


def _refilled_small(place: Table, parts: list[Part], *, ordered: bool) -> bool:
    """Replace few rows by DELETE + COPY, which costs a tenth of TRUNCATE; False where that would lose their order."""
    if sum(part.values.nbytes for part in parts) > SMALL:
        return False
    if place.number("SELECT pg_relation_size({})", place.regclass) > 16 * SMALL:
        return False
    with place.connection.transaction() as tried:
        place.run("DELETE FROM {}", place.target)
        copy_in(place.connection, place.target, parts)
        pages = "SELECT count(DISTINCT (ctid::text::point)[0]) FROM {}"
        if ordered or place.number(pages, place.target) <= 1:
            return True
        raise psycopg.Rollback(tried)
    return False


def _alter(place: Table, there: dict[str, str], wanted: dict[str, str]) -> None:
    """Give the emptied table the wanted columns; those that stay keep their indexes and grants."""
    gone = [column for column, kind in there.items() if column != ORDINAL and wanted.get(column) != kind]
    new = [(column, kind) for column, kind in wanted.items() if there.get(column) != kind]
    changes = [sql.SQL("DROP COLUMN {}").format(sql.Identifier(column)) for column in gone]
    changes += [sql.SQL("ADD COLUMN {}").format(declared(column, kind)) for column, kind in new]
    place.run("ALTER TABLE {} {}", place.target, sql.SQL(", ").join(changes))


# --------------------------------------------------------------------------- append, upsert


def add_rows(place: Table, there: dict[str, str], table: pa.Table, schema: FrameSchema, keys: list[str] | None) -> None:
    """Add these rows behind the others; with keys, those whose keys are there replace the rows that have them."""
    _check_table(place)
    place.lock("SHARE ROW EXCLUSIVE")
    record = place.record(there)
    before = place.rows() if record is None or record.schema.fields else record.schema.range_rows
    if record is None:
        merged, columns = schema, [table.column(field.name) for field in schema.fields]
        _check_columns(place, schema, there)
    else:
        known = record.schema if keys is None else _shared(record.schema, schema, place.name)
        rows = before + table.num_rows
        merged, columns = joined(known, (table, schema), had=place.nulls, rows=rows, source=place.name)
    parts = [
        to_send(column, field, there=there[held_column(field.name)])
        for column, field in zip(columns, merged.fields, strict=True)
    ]
    if ORDINAL not in there and before and parts:  # from now on a column has the order: rows may lie anywhere
        number = "ALTER TABLE {} ADD COLUMN {} bigint GENERATED BY DEFAULT AS IDENTITY"
        place.run(number, place.target, sql.Identifier(ORDINAL))
    if keys is None:
        copy_in(place.connection, place.target, parts)
        added = table.num_rows
    else:
        added = _merge(place, parts, [held_column(key) for key in keys])
    if record is not None:
        place.note(_after(record.schema, merged, before + added, added if keys is not None else 0, place.name))


def _check_columns(place: Table, schema: FrameSchema, there: dict[str, str]) -> None:
    known = [column for column in there if column != ORDINAL]
    if {held_column(field.name) for field in schema.fields} != set(known):
        raise SchemaError(
            f"The new rows do not have the columns of {place.name!r}.", cure=f"It has {', '.join(known)}."
        )


def _shared(before: FrameSchema, after: FrameSchema, name: str) -> FrameSchema:
    """The old schema without the columns that the new rows leave as they are."""
    come = {(field.level, field.label) for field in after.fields}
    fields = tuple(f for f in before.fields if f.level is not None or (f.level, f.label) in come)
    for field in fields:
        if (field.level, field.label) not in come:
            continue
        theirs = next(f for f in after.fields if (f.level, f.label) == (field.level, field.label))
        kinds = {kind for kind, _ in (*field.missing, *theirs.missing)}
        if len(kinds) > 1:
            raise FidelityError(
                f"Column {field.label!r} of {name!r} would mix {' and '.join(sorted(kinds))}, and an upsert keeps one.",
                cure="Let its missing cells all be None.",
            )
    return replace(before, fields=fields)


def _after(before: FrameSchema, merged: FrameSchema, rows: int, fresh: int, name: str) -> FrameSchema:
    """The schema to record: what was merged, and the columns that were left as they are."""
    changed = {field.name: field for field in merged.fields}
    left = [field for field in before.fields if field.name not in changed]
    unfit = [field.label for field in left if fresh and not field.nullable]
    if unfit:
        raise SchemaError(
            f"{fresh} new rows of {name!r} have no value for {unfit[0]!r}, which holds none that is missing.",
            cure="Give the frame that column.",
        )
    index = dict(before.index)
    if index["kind"] == "range":
        index["stop"] = index["start"] + rows * index["step"]
    return replace(before, fields=tuple(changed.get(field.name, field) for field in before.fields), index=index)


def keys_of(table: pa.Table, schema: FrameSchema, keys: Sequence[Any] | None, name: str) -> list[str]:
    """The stored names of an upsert's keys; KeysError for none, a null or a repeated one."""
    levels = schema.levels
    fit = all(level.label is not None for level in levels) or (
        len(levels) == 1 and levels[0].kind in ("time", "instant")
    )
    if keys is None and not (levels and fit):
        raise KeysError("An upsert needs keys.", cure="Pass keys=[...], or give the frame a named or Datetime index.")
    by_label: dict[Any, Field] = {field.label: field for field in reversed(schema.fields)}
    labels = [level.label for level in levels] if keys is None else list(keys)
    unknown = [label for label in labels if label not in by_label]
    if unknown or not labels:
        cure = known_names(str((unknown or [""])[0]), map(str, by_label))
        raise KeysError(
            f"The frame has no column {unknown[0]!r}." if unknown else "keys=[] names no column.", cure=cure
        )
    stored = [by_label[label].name for label in labels]
    if any(table.column(column).null_count for column in stored):
        raise KeysError(f"A key among {labels} is missing in a row for {name!r}.", cure="Drop or mend the row.")
    if table.group_by(stored).aggregate([]).num_rows != table.num_rows:
        raise KeysError(f"The keys {labels} are repeated in the rows for {name!r}.", cure="Drop the duplicates.")
    return stored


def _merge(place: Table, parts: list[Part], keys: list[str]) -> int:
    """Update the rows that are there, insert the others; how many were inserted."""
    staged = stage(place, parts)
    place.run("ANALYZE {}", staged)
    named = {
        "t": place.target,
        "s": staged,
        "same": sql.SQL(" AND ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(key)) for key in keys),
        "names": sql.SQL(", ").join(sql.Identifier(part.name) for part in parts),
        "order": sql.Identifier(ORDINAL),
    }
    hits = place.run("SELECT count(*) FROM {t} t JOIN {s} s ON {same}", **named).fetchone()[0]
    others = [sql.Identifier(part.name) for part in parts if part.name not in keys]
    if others:
        changes = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(column) for column in others)
        place.run("UPDATE {t} t SET {changes} FROM {s} s WHERE {same}", changes=changes, **named)
    insert = "INSERT INTO {t} ({names}) SELECT {names} FROM {s} s"
    where = " WHERE NOT EXISTS (SELECT FROM {t} t WHERE {same}) ORDER BY s.{order}"
    added = int(place.run(insert + where, **named).rowcount)
    if hits + added != len(parts[0].values):
        raise KeysError(f"The keys {keys} are repeated in {place.name!r}.", cure="Choose keys that tell rows apart.")
    return added
