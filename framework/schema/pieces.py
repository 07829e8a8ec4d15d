"""A table that comes in pieces, as frames of a given number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from framework.schema.frames import FrameSchema, decode, only_rows, table_of
from framework.schema.joining import merged
from framework.schema.missing import Cursor, counted
from framework.schema.selection import Selection

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

Piece = tuple[pa.Table, FrameSchema]


def frames(
    schema: FrameSchema, pieces: Iterable[pa.Table], selection: Selection, source: str, *, rows: int
) -> Iterator[pd.DataFrame]:
    """The rows that the selection asks for, `rows` at a time; one empty frame when there is none.

    A RangeIndex goes on from frame to frame.

    Parameters
    ----------
    schema : FrameSchema
        Of the pieces together.
    """
    cursor, given, tests = Cursor(schema), 0, selection.tests(schema, source)
    waiting: list[Piece] = []
    ready = 0
    for piece in pieces:
        waiting.append(selection.exactly(piece, cursor.next(piece), source, tests))
        ready += waiting[-1][0].num_rows
        if ready < rows:
            continue
        table, told = _together(waiting)
        left, at = Cursor(told), 0
        while ready - at >= rows:
            yield _decoded(_cut(table, at, at + rows), left, skipped=given)
            at, given = at + rows, given + rows
        rest = _cut(table, at, ready)
        waiting, ready = [(rest, left.next(rest))], ready - at
    if ready or not given:
        nothing = _empty(schema)
        table, told = _together(waiting if ready else [selection.exactly(nothing, cursor.next(nothing), source, tests)])
        yield _decoded(table, Cursor(told), skipped=given)


def _empty(schema: FrameSchema) -> pa.Table:
    columns: list[Any] = [pa.chunked_array([], type=field.arrow_type) for field in schema.fields]
    return table_of(columns, schema.names, 0)


def _cut(table: pa.Table, start: int, stop: int) -> pa.Table:
    """Some of the rows; Arrow itself forgets how many there are when there is no column."""
    return table.slice(start, stop - start) if table.num_columns else only_rows(stop - start)


def _decoded(table: pa.Table, cursor: Cursor, *, skipped: int) -> pd.DataFrame:
    return decode(table, counted(cursor.next(table), table.num_rows, skipped=skipped))


def _together(pieces: list[Piece]) -> Piece:
    """Pieces that follow each other as one."""
    schema = pieces[0][1]
    rows = sum(table.num_rows for table, _ in pieces)
    fields: list[Any] = []
    for place, field in enumerate(schema.fields):
        runs = [
            run
            for table, told in pieces
            for run in _all_runs(told.fields[place].missing, table.column(field.name).null_count)
        ]
        fields.append(replace(field, missing=merged(tuple(runs))))
    whole = pa.concat_tables([table for table, _ in pieces]) if schema.fields else only_rows(rows)
    return whole, replace(counted(schema, rows), fields=tuple(fields))


def _all_runs(runs: Any, count: int) -> Any:
    """Runs that stand for just `count` cells."""
    if not count or not runs:
        return ()
    return runs if len(runs) > 1 else ((runs[0][0], count),)
