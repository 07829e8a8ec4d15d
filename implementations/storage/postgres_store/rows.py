"""Rows on their way to the server and back: types and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from framework.errors import FidelityError
from framework.schema import Field, FrameSchema, fit

from .names import held_column, is_text

EPOCH_SPAN = (-210_866_803_200_000_000, 9_223_371_331_199_999_999)  # microseconds from 1970 that a timestamp holds
DAYS = (-719_162, 2_932_896)  # from 1970 to the years 1 and 9999

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
STAMPS = {"time": STAMP, "instant": STAMP_TZ}
TEXTS = ("character varying", "character")
INTEGERS = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}
NATIVE = {name for name, _ in TYPES.values() if name != "numeric"} | {STAMP, STAMP_TZ}
CAST = sql.SQL("{}::{}")

# What a table of others gives for its types; whatever else there is comes as text.
GIVES: dict[str, pa.DataType] = {
    **{name: kind for name, kind in TYPES.values() if name in NATIVE},
    STAMP: pa.timestamp("us"),
    STAMP_TZ: pa.timestamp("us", "UTC"),
    "numeric": pa.decimal128(38, 9),
    "time without time zone": pa.time64("us"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One column as it is sent: its name, the type that COPY is told, and Arrow values that it takes for that."""

    name: str
    type: str
    values: Any


# --------------------------------------------------------------------------- sending


def to_send(column: Any, field: Field) -> Part:
    """A column in the server's type that holds it exactly; FidelityError for a value that none holds."""
    name = held_column(field.name)
    if not is_text(name):
        raise FidelityError(f"The label {field.label!r} holds a NUL character, which PostgreSQL cannot hold.")
    if pa.types.is_string(column.type) and _holds_nul(column):
        raise FidelityError(
            f"Column {field.label!r} holds a NUL character, which PostgreSQL cannot hold.", cure="Use parquet."
        )
    if field.kind in STAMPS:
        stamps = as_microseconds(column)
        return (
            Part(name, "bigint", column.cast(pa.int64())) if stamps is None else Part(name, STAMPS[field.kind], stamps)
        )
    if field.kind == "duration":
        return Part(name, "bigint", column.cast(pa.int64()))
    kind, sent = TYPES[field.type]
    try:
        return Part(name, kind, column.cast(sent))
    except pa.ArrowInvalid:
        raise FidelityError(
            f"Column {field.label!r} holds integers beyond what a bigint holds.",
            cure="Use parquet, or keep them as text.",
        ) from None


def _holds_nul(texts: Any) -> bool:
    """Whether a text holds a NUL; a byte that is none shows nearly always, and fast, that there is none."""
    blocks = (piece.buffers()[2] for piece in texts.chunks)
    if all(block is None or not block.size or np.frombuffer(block, dtype=np.uint8).min() for block in blocks):
        return False
    return bool(pc.any(pc.match_substring(texts, "\0")).as_py())


def sent_as(part: Part, kind: str) -> Part | None:
    """The part for a column that has the server's type `kind`; None when that cannot hold its values exactly.

    Text goes into whatever is no type of ours: the server reads it.
    """
    if part.type == kind:
        return part
    try:
        if part.type in INTEGERS and kind in INTEGERS:
            return Part(part.name, kind, part.values.cast(INTEGERS[kind]))
    except pa.ArrowInvalid:
        return None
    if (part.type, kind) == ("real", "double precision"):
        return Part(part.name, kind, part.values.cast(pa.float64()))
    if part.type == "text" and kind in TEXTS:
        return Part(part.name, kind, part.values)
    return part if part.type == "text" and kind not in NATIVE else None


def may_hold(kind: str, field: Field) -> bool:
    """Whether a column of the server's type `kind` is one that `to_send` may have made for that field."""
    if field.kind in STAMPS:
        return kind in ("bigint", STAMPS[field.kind])
    return kind == ("bigint" if field.kind == "duration" else TYPES[field.type][0])


def as_microseconds(column: Any) -> Any:
    """The times as the server's timestamps hold them; None when that would lose something."""
    try:
        stamps = column.cast(pa.timestamp("us", column.type.tz))
    except pa.ArrowInvalid:
        return None
    if column.type.unit == "ns":  # none of which is beyond it
        return stamps
    span = pc.min_max(stamps.cast(pa.int64())).as_py()
    first, last = EPOCH_SPAN
    return stamps if span["min"] is None or first <= span["min"] <= span["max"] <= last else None


# --------------------------------------------------------------------------- receiving


def fetched(column: str, kind: str) -> sql.Composable:
    """A column as it is asked for: a type that is not ours comes as text."""
    named = sql.Identifier(column)
    return CAST.format(named, sql.SQL(kind if kind in NATIVE else "text")) + sql.SQL(" AS ") + named


def received(table: pa.Table, schema: FrameSchema, kinds: Mapping[str, str], source: str) -> pa.Table:
    """What the server gave, in the schema's own types.

    Raises
    ------
    FidelityError
        For a value that no frame holds, or that the type on record does not.
    """
    columns = []
    for field in schema.fields:
        held = held_column(field.name)
        column = table.column(held)
        _check_times(column, held, kinds[held], source)
        if field.kind in ("time", "instant", "duration") and pa.types.is_integer(column.type):
            column = column.cast(pa.int64()).cast(field.arrow_type)
        try:
            columns.append(fit(column, field))
        except pa.ArrowInvalid as error:
            raise FidelityError(
                f"Column {field.label!r} of {source!r} holds a value that is no {field.shown}: {error}.",
                cure="Somebody wrote it past Millpond: put the value right, or restore a backup.",
                resource=source,
            ) from error
    return pa.table(columns, names=schema.names) if columns else table


def _check_times(column: Any, name: str, kind: str, source: str) -> None:
    """Infinite times, and dates beyond what Python has, come as numbers that mean nothing."""
    if kind in (STAMP, STAMP_TZ):
        numbers, (first, last) = column.cast(pa.int64()), EPOCH_SPAN
    elif kind == "date":
        numbers, (first, last) = column.cast(pa.int32()), DAYS
    else:
        return
    span = pc.min_max(numbers).as_py()
    if span["min"] is not None and not first <= span["min"] <= span["max"] <= last:
        raise FidelityError(
            f"Column {name!r} of {source!r} holds a {kind} that no frame holds, such as infinity.",
            cure="Leave the column out with columns=[...], or change the value at the server.",
            resource=source,
        )
