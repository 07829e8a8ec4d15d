"""The fingerprint: one hash over what a frame means, whatever holds it.

It covers labels, order, kinds, values, which cells are missing and as what, the index and the categories. It does not
cover backing dtypes (object text and a string dtype with the same cells are one), chunking, or how a store
lays values out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.schema.fields import Field, fit, nothing_of
from framework.schema.frames import FrameSchema
from framework.schema.labels import categories_to_json, label_to_json
from framework.schema.zones import shown

SPEC = "2"
PIECE = 65_536  # rows hashed at a time, so that what is made of them stays in the processor's cache


def fingerprint(table: pa.Table, schema: FrameSchema) -> str:
    """`2:` and the hex digest of the frame that the table and its schema stand for; equal frames have equal ones."""
    return fingerprint_of([table], schema)


def fingerprint_of(tables: Iterable[pa.Table], schema: FrameSchema) -> str:
    """The fingerprint of a frame that comes in pieces, under the schema of the whole."""
    columns = [_ColumnPrint(field) for field in schema.fields]
    rows = 0
    with ThreadPoolExecutor(min(len(columns), os.cpu_count() or 1) or 1) as threads:  # hashing lets others run
        for table in tables:
            rows += table.num_rows
            parts = [table.column(column.field.name) for column in columns]
            list(threads.map(_ColumnPrint.update, columns, parts))
    index = dict(schema.index)
    if index["kind"] == "range":
        index["stop"] = index["start"] + rows * index["step"]
    told = [rows, index, schema.columns["names"], [column.told() for column in columns]]
    return f"{SPEC}:{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()}"


class _ColumnPrint:
    """The hashes of one column: its values one after the other, the lengths of texts, the places of what is missing."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._hashes = [hashlib.sha256() for _ in range(3)]
        self._rows = self._missing = 0

    def update(self, column: Any) -> None:
        """Hash the next rows."""
        for chunk in fit(column, self.field).chunks:
            for start in range(0, len(chunk), PIECE):
                self._piece(chunk.slice(start, PIECE))

    def _piece(self, piece: Any) -> None:
        values, lengths, places = self._hashes
        if piece.null_count:
            gone: Any = np.flatnonzero(np.asarray(piece.is_null()))
            places.update((gone + self._rows).astype("<i8"))
            self._missing += len(gone)
            self._rows += len(gone)
            piece = piece.drop_null()
        self._rows += len(piece)
        if pa.types.is_string(piece.type) or pa.types.is_binary(piece.type):
            _, offsets, data = piece.buffers()
            ends: Any = np.frombuffer(offsets, dtype="<i4")[piece.offset : piece.offset + len(piece) + 1]
            if len(piece):
                lengths.update(ends[1:] - ends[:-1])
                values.update(memoryview(data or b"")[ends[0] : ends[-1]])
        else:
            values.update(_numbers(piece))

    def told(self) -> list[Any]:
        """What the column is, and the hashes of what it holds."""
        field = self.field
        runs = field.missing if len(field.missing) > 1 else field.missing[:1]
        names = [[name, count if len(runs) > 1 else self._missing] for name, count in runs or [[nothing_of(field), 0]]]
        categories = None if field.categories is None else [categories_to_json(field), field.ordered]
        unit = field.type if field.kind in ("time", "instant", "duration") else ""
        zone = None if field.zone is None else shown(field.zone)
        what = [label_to_json(field.label), field.level, field.kind, unit, zone, categories]
        return [*what, names if self._missing else [], [each.hexdigest() for each in self._hashes]]


def _numbers(piece: Any) -> Any:
    """The values, of which none is missing, in the widest type of their kind."""
    kind = piece.type
    if pa.types.is_boolean(kind):
        return np.asarray(piece)
    if pa.types.is_floating(kind):
        numbers = piece.to_numpy(zero_copy_only=False).astype("<f8", copy=False)
        if pc.any(pc.is_nan(piece)).as_py():
            numbers = np.where(np.isnan(numbers), np.nan, numbers)  # one NaN for all
        return numbers
    if pa.types.is_date(kind):
        piece = piece.cast(pa.int32())
    elif not pa.types.is_integer(kind):
        piece = piece.cast(pa.int64())
    numbers = piece.to_numpy(zero_copy_only=False)
    return numbers if numbers.dtype == np.uint64 else numbers.astype("<i8", copy=False)
