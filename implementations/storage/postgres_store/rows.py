"""Rows on their way to the server and back: names, types, COPY BINARY."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from framework.errors import FidelityError, IntegrityError, SchemaError
from framework.schema import Field, FrameSchema, fit

CATALOG = "millpond_catalog"
ORDINAL = "millpond_row"
LONGEST = 63  # bytes of a PostgreSQL name
RESERVED = {ORDINAL, "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
BATCH = 100_000  # rows encoded at a time
EPOCH_SPAN = (-210_866_803_200_000_000, 9_223_371_331_199_999_999)  # microseconds from 1970 that a timestamp holds

# The server's type for each Arrow type, and the Arrow type that is sent for it.
TYPES: dict[str, tuple[str, pa.DataType]] = {
    **dict.fromkeys(("int8", "int16", "uint8"), ("smallint", pa.int16())),
    **dict.fromkeys(("int32", "uint16"), ("integer", pa.int32())),
    **dict.fromkeys(("int64", "uint32"), ("bigint", pa.int64())),
    "uint64": ("numeric", pa.uint64()),
    **dict.fromkeys(("halffloat", "float"), ("real", pa.float32())),
    "double": ("double precision", pa.float64()),
    "bool": ("boolean", pa.bool_()),
    "string": ("text", pa.string()),
    "binary": ("bytea", pa.binary()),
    "date32": ("date", pa.date32()),
}
STAMP, STAMP_TZ = "timestamp without time zone", "timestamp with time zone"
NATIVE = {name for name, _ in TYPES.values() if name != "numeric"} | {STAMP, STAMP_TZ}

RECEIVES: dict[str, pa.DataType] = {
    **dict(TYPES.values()),
    STAMP: pa.timestamp("us"),
    STAMP_TZ: pa.timestamp("us", "UTC"),
    "character varying": pa.string(),
    "character": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One column as it is sent: its name and type at the server, and Arrow values that COPY takes for that type."""

    name: str
    type: str
    values: Any


# --------------------------------------------------------------------------- names


def is_text(name: str) -> bool:
    """Whether the server takes it as text: no NUL, no half of a character."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


def held_name(name: str) -> str:
    """The server's name for a dataset: its own, or a shortened one that no other has."""
    return name if len(name.encode()) <= LONGEST else _shortened(name)


def held_column(name: str) -> str:
    """The server's name for a column: its own unless that is too long or the server's."""
    return name if len(name.encode()) <= LONGEST and name not in RESERVED else _shortened(name)


def _shortened(name: str) -> str:
    return f"{name.encode()[:40].decode(errors='ignore')}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def declared(column: str, kind: str) -> sql.Composable:
    """`"column" type`, for CREATE and ALTER."""
    return sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind))


# --------------------------------------------------------------------------- sending


def to_send(column: Any, field: Field, *, there: str | None = None) -> Part:
    """A column as the server takes it: in the type of the column that is there, else in the one that holds it exactly.

    Raises
    ------
    FidelityError
        For a value that no type of the server's holds.
    SchemaError
        For values that the column that is there does not hold.
    """
    name = held_column(field.name)
    if not is_text(name):
        raise FidelityError(f"The label {field.label!r} holds a NUL character, which PostgreSQL cannot hold.")
    if field.kind == "text" and pc.any(pc.match_substring(column, "\0")).as_py():
        raise FidelityError(
            f"Column {field.label!r} holds a NUL character, which PostgreSQL cannot hold.", cure="Use parquet."
        )
    kind, values = _exact(column, field)
    if there is None or there == kind:
        return Part(name, kind, values)
    wanted = RECEIVES.get(there)
    if wanted is None:
        raise SchemaError(f"Column {name!r} has the type {there}, which is not written yet.", cure="Cast it to text.")
    try:
        return Part(name, there, column.cast(wanted))
    except pa.ArrowException as error:
        raise SchemaError(
            f"Column {name!r} is {there}, and the new values do not fit: {error}.",
            cure="Convert them, or save with mode='replace'.",
        ) from error


def may_hold(kind: str, field: Field) -> bool:
    """Whether a column of the server's type `kind` is one that `to_send` may have made for that field."""
    if field.kind in ("time", "instant"):
        return kind in ("bigint", STAMP if field.kind == "time" else STAMP_TZ)
    return kind == ("bigint" if field.kind == "duration" else TYPES[field.type][0])


def _exact(column: Any, field: Field) -> tuple[str, Any]:
    if field.kind in ("time", "instant"):
        kind = STAMP if field.kind == "time" else STAMP_TZ
        stamps = _as_microseconds(column)
        return (kind, stamps) if stamps is not None else ("bigint", column.cast(pa.int64()))
    if field.kind == "duration":
        return "bigint", column.cast(pa.int64())
    kind, sent = TYPES[field.type]
    try:
        return kind, column.cast(sent)
    except pa.ArrowInvalid:
        raise FidelityError(
            f"Column {field.label!r} holds integers beyond what a bigint holds.",
            cure="Use parquet, or keep them as text.",
        ) from None


def _as_microseconds(column: Any) -> Any:
    """The times as the server's timestamps hold them; None when that would lose something."""
    try:
        stamps = column.cast(pa.timestamp("us", column.type.tz))
    except pa.ArrowInvalid:
        return None
    span = pc.min_max(stamps.cast(pa.int64())).as_py()
    first, last = EPOCH_SPAN
    return stamps if span["min"] is None or first <= span["min"] <= span["max"] <= last else None


def copy_in(connection: Any, target: sql.Composable, parts: list[Part]) -> None:
    """COPY the rows; IntegrityError unless the server reports just as many."""
    import pgpq

    if not parts:
        return
    table = pa.table([part.values for part in parts], names=[part.name for part in parts])
    names = sql.SQL(", ").join(sql.Identifier(part.name) for part in parts)
    encoder = pgpq.ArrowToPostgresBinaryEncoder(table.schema)
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(target, names)) as copy:
            copy.write(encoder.write_header())
            for batch in table.to_batches(max_chunksize=BATCH):
                copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())
        if cursor.rowcount != table.num_rows:
            raise IntegrityError(f"The server took {cursor.rowcount} rows of {table.num_rows}.")


# --------------------------------------------------------------------------- receiving


def received(table: pa.Table, schema: FrameSchema) -> pa.Table:
    """What the server gave, in the schema's own types."""
    columns = []
    for field in schema.fields:
        column = table.column(held_column(field.name))
        if field.kind in ("time", "instant", "duration") and pa.types.is_integer(column.type):
            column = column.cast(pa.int64()).cast(field.arrow_type)
        columns.append(fit(column, field))
    return pa.table(columns, names=schema.names) if columns else table
