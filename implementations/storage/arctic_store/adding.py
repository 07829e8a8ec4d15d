"""Rows behind those that are there, without writing those anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from framework.schema import Field, FrameSchema, joined, lacking_filled
from framework.store import Save

from .columns import INDEX, Unfit, nulls_of, to_frame
from .records import Record
from .symbols import At, Symbol

MOST_PIECES = 100  # of appended rows, before ArcticDB is told to join them


@dataclass(frozen=True, slots=True)
class _Old:
    """What is on record of the old rows."""

    record: Record

    def nulls(self, name: str) -> int:
        return self.record.nulls.get(name, 0)

    def span(self, name: str) -> tuple[int, int] | None:
        raise Unfit  # it is asked for when a type grows


def added(
    symbol: Symbol, at: At, record: Record, table: pa.Table, schema: FrameSchema, save: Save, *, source: str
) -> tuple[Any, dict[str, str]] | None:
    """The frame to append and the record that goes with it; None when all rows must be written."""
    if not (record.rows and record.held and table.num_rows):
        return None
    rows = record.rows + table.num_rows
    try:
        whole, columns = joined(record.schema, (table, schema), old=_Old(record), rows=rows, source=source)
        whole = lacking_filled(whole, columns, table.num_rows, source)
        if [_form(field) for field in whole.fields] != [_form(field) for field in record.schema.fields]:
            return None
        filled = [
            pa.chunked_array([pa.nulls(table.num_rows, field.arrow_type)]) if column is None else column
            for field, column in zip(whole.fields, columns, strict=True)
        ]
        more = pa.table(filled, names=whole.names)
        frame, _ = to_frame(more, whole, record.held)
    except Unfit:
        return None
    if any(each.name == INDEX for each in record.held):
        last = symbol.library.get_description(symbol.key, as_of=at.number).date_range[1]
        if frame.index[0] < pd.Timestamp(last).tz_localize(None):
            return None
    else:
        frame.index = pd.RangeIndex(record.rows, rows)
    kept, pieces = symbol.kept(at), record.pieces + 1
    if pieces > MOST_PIECES:
        kept, pieces = (*kept, symbol.library.compact_data(symbol.key).version), 0
    new = replace(
        record,
        schema=whole,
        rows=rows,
        version=record.version + 1,
        saved_at=datetime.now(UTC),
        save_ids=save.ids(record.save_ids),
        nulls=dict(Counter(record.nulls) + Counter(nulls_of(more))),
        kept=tuple(dict.fromkeys(kept)),
        pieces=pieces,
    )
    return frame, new.dumps()


def _form(field: Field) -> tuple[str, str, str]:
    """What decides how a field is held."""
    return field.name, field.kind, field.type
