"""Conditions that the server applies itself, so that rows nobody asked for are not sent.

It gives at least the rows that meet them; whoever asks it applies them exactly afterwards. A test is left out wherever
the server compares otherwise than the frame would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from psycopg import sql

from framework.schema.conditions import ABOUT_NULL, AMONG, Test

from .names import held_column
from .rows import INTEGERS, STAMP, STAMP_TZ

SIGNS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
FLOATS = ("real", "double precision")
TEXTS = ("text", "character varying")
MICROSECONDS = {"s": (10**6, 1), "ms": (10**3, 1), "us": (1, 1), "ns": (1, 10**3)}
STAMPS_OF = {STAMP: "", STAMP_TZ: "+00"}
YEARS = (np.datetime64("0001-01-01", "us").astype(int), np.datetime64("9999-12-31", "us").astype(int))


def condition(tests: Iterable[Test], kinds: Mapping[str, str], *, encoding: str = "UTF8") -> sql.Composable | None:
    """What stands behind WHERE; None when the server can leave out nothing.

    Parameters
    ----------
    tests : iterable of Test
    kinds : mapping
        The server's type of each of its columns.
    encoding : str
        The database's; text is compared only in UTF8, whose bytes are in the order of the characters.
    """
    parts = []
    for test in tests:
        held = held_column(test.field.name)
        part = _said(test, sql.Identifier(held), kinds[held], encoding)
        if part is not None:
            parts.append(part)
    return sql.SQL(" AND ").join(parts) if parts else None


def _said(test: Test, column: sql.Composable, kind: str, encoding: str) -> sql.Composable | None:
    if test.op in ABOUT_NULL:
        return _about_null(test, column, kind)
    if kind in STAMPS_OF:
        return _of_times(test, column, kind)
    if kind in FLOATS:
        if test.op == "not in":  # Arrow tells -0.0 from 0.0 among several, the server never does
            return None
        return _compared(test, column, "double precision", float)
    if kind in INTEGERS or kind == "numeric":
        return _of_integers(test, column, kind)
    if kind in TEXTS and test.field.kind == "text":
        return _of_texts(test, column) if encoding == "UTF8" else None
    if (kind, test.field.kind) in (("bytea", "bytes"), ("boolean", "boolean"), ("date", "date")):
        return _compared(test, column, kind, lambda value: value)
    return None


def _about_null(test: Test, column: sql.Composable, kind: str) -> sql.Composable:
    if test.op == "not null":
        return sql.SQL("num_nulls({}) = 0").format(column)  # of a row of nulls IS NOT NULL says no
    null = sql.SQL("{} IS NULL").format(column)
    return sql.SQL("({} OR {} = 'NaN')").format(null, column) if kind in FLOATS else null


def _compared(test: Test, column: sql.Composable, kind: str, cell: Callable[[Any], Any]) -> sql.Composable:
    """A comparison with what `cell` makes of the values, as the server's type `kind`."""
    if test.op in AMONG:
        values = sql.Literal([cell(value) for value in test.value.to_pylist()])
        sign = "= ANY" if test.op == "in" else "<> ALL"
        return sql.SQL("{} {} ({}::{})").format(column, sql.SQL(sign), values, sql.SQL(f"{kind}[]"))
    value = sql.Literal(cell(test.value.as_py()))
    return sql.SQL("{} {} {}::{}").format(column, sql.SQL(SIGNS[test.op]), value, sql.SQL(kind))


def _of_integers(test: Test, column: sql.Composable, kind: str) -> sql.Composable | None:
    """Integers, and times and durations that are kept as counts."""
    if test.field.kind not in ("integer", "time", "instant", "duration"):
        return None
    value = test.value
    if not pa.types.is_integer(value.type):
        value = value.cast(pa.int64())
    return _compared(Test(test.field, test.op, value), column, "numeric" if kind == "numeric" else "bigint", int)


def _of_texts(test: Test, column: sql.Composable) -> sql.Composable | None:
    texts = test.value.to_pylist() if test.op in AMONG else [test.value.as_py()]
    if any("\0" in text for text in texts):
        return None
    if test.op not in ("==", "in"):  # for these the column's own index will do
        column = sql.SQL('{} COLLATE "C"').format(column)
    return _compared(test, column, "text", str)


def _of_times(test: Test, column: sql.Composable, kind: str) -> sql.Composable | None:
    """Times that are kept in microseconds: a bound between two of them is taken wider."""
    if test.field.kind not in ("time", "instant") or test.op in ("!=", "not in"):
        return None
    times, over = MICROSECONDS[test.field.arrow_type.unit]
    counts = test.value.cast(pa.int64())
    numbers = [value * times for value in (counts.to_pylist() if test.op == "in" else [counts.as_py()])]
    up = test.op in ("<", "<=")
    moments = [-(-number // over) if up else number // over for number in numbers]
    if not all(YEARS[0] <= moment <= YEARS[1] for moment in moments):
        return None
    texts = [f"{np.datetime64(moment, 'us')}{STAMPS_OF[kind]}" for moment in moments]
    if test.op == "in":
        return sql.SQL("{} = ANY ({}::{})").format(column, sql.Literal(texts), sql.SQL(f"{kind}[]"))
    exact = all(number % over == 0 for number in numbers)
    sign = SIGNS[test.op] if exact else SIGNS[test.op].rstrip("=") + "="
    return sql.SQL("{} {} {}::{}").format(column, sql.SQL(sign), sql.Literal(texts[0]), sql.SQL(kind))
