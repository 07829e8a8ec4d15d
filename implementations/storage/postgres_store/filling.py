"""Values into columns: by COPY where the types are ours, by a staging table where the server has to cast them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from framework.errors import SchemaError

from .copying import copy_in
from .names import ORDINAL, declared, listed
from .rows import CAST, Part, sent_as
from .table import Column, Table

UNBOUND = {"character": "bpchar", "bit": "bit varying"}  # those names alone would stand for a length of 1
STAGED = sql.Identifier("pg_temp", "millpond_staged")


def is_direct(part: Part, column: Column) -> bool:
    """Whether COPY puts the part into the column as it is: the server would round to a precision without a word."""
    fitted = sent_as(part, column.type)
    return fitted is not None and fitted.type == column.type and not column.limited


def fill(place: Table, parts: Sequence[Part], columns: Mapping[str, Column]) -> None:
    """Put the rows at the end of the table."""
    if all(is_direct(part, columns[part.name]) for part in parts):
        copy_in(place.connection, place.target, [sent_as(part, columns[part.name].type) or part for part in parts])
    else:
        stage(place, parts)
        insert(place, parts, columns)
    advance(place, parts, columns)


def stage(place: Table, parts: Sequence[Part]) -> None:
    """Put the rows into a table of this transaction's own, numbered in their order."""
    columns = sql.SQL(", ").join(declared(part.name, part.type) for part in parts)
    create = "CREATE TEMP TABLE {} ({}, {} bigserial) ON COMMIT DROP"
    place.run(create, STAGED, columns, sql.Identifier(ORDINAL))
    copy_in(place.connection, STAGED, parts)


def insert(place: Table, parts: Sequence[Part], columns: Mapping[str, Column]) -> None:
    """Insert what is staged."""
    check_rounding(place, parts, columns)
    query = "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} s ORDER BY s.{}"
    names = listed([part.name for part in parts])
    place.run(query, place.target, names, casts(parts, columns), STAGED, sql.Identifier(ORDINAL))


def cast(part: Part, columns: Mapping[str, Column]) -> sql.Composable:
    """The staged value in the column's type without its length, so that a text that is too long is an error."""
    column, value = columns[part.name], sql.Identifier("s", part.name)
    return value if column.type == part.type else CAST.format(value, sql.SQL(UNBOUND.get(column.type, column.type)))


def casts(parts: Sequence[Part], columns: Mapping[str, Column]) -> sql.Composable:
    return sql.SQL(", ").join(cast(part, columns) for part in parts)


def check_rounding(place: Table, parts: Sequence[Part], columns: Mapping[str, Column]) -> None:
    """SchemaError for a value that has more digits than its column."""
    for part in parts:
        column = columns[part.name]
        if column.limited:
            value = cast(part, columns)
            query = "SELECT {0}::text FROM {1} s WHERE {0}::{2} IS DISTINCT FROM {0} LIMIT 1"
            found = place.run(query, value, STAGED, sql.SQL(column.full)).fetchone()
            if found:
                raise SchemaError(
                    f"Column {part.name!r} of {place.name!r} is {column.full}, which would round {found[0]}.",
                    cure="Round the values, or widen the column.",
                    resource=place.name,
                )


def advance(place: Table, parts: Sequence[Part], columns: Mapping[str, Column]) -> None:
    """Let the sequences behind columns that were given values go on after them."""
    for part in parts:
        if columns[part.name].filled:
            (sequence,) = place.row("SELECT pg_get_serial_sequence({}, {})", place.text, sql.Literal(part.name))
            if sequence is not None:
                place.run(
                    "SELECT setval({0}, m) FROM (SELECT max({1})::bigint FROM {2}) x (m)"
                    " WHERE m > (SELECT last_value FROM {3})",
                    sql.Literal(sequence),
                    sql.Identifier(part.name),
                    place.target,
                    sql.SQL(sequence),
                )
