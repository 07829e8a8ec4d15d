"""Which kind of missing a cell is, when rows are left out, taken in pieces or put in another order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from framework.schema.fields import Field, Runs
from framework.schema.frames import FrameSchema
from framework.schema.kindred import runs_for


def kept(table: pa.Table, schema: FrameSchema, mask: Any) -> tuple[pa.Table, FrameSchema]:
    """The rows where `mask` is true; a RangeIndex counts them anew."""
    fields = schema.fields
    if any(len(field.missing) > 1 for field in fields):
        picked = np.asarray(mask)
        fields = tuple(
            _left(field, table.column(field.name), picked) if len(field.missing) > 1 else field for field in fields
        )
    table = table.filter(mask)
    return table, replace(counted(schema, table.num_rows), fields=fields)


def counted(schema: FrameSchema, rows: int, *, skipped: int = 0) -> FrameSchema:
    """The schema of that many rows, `skipped` rows after the first one of a RangeIndex."""
    index = schema.index
    if index["kind"] != "range":
        return schema
    start = index["start"] + skipped * index["step"]
    return replace(schema, index={**index, "start": start, "stop": start + rows * index["step"]})


def _left(field: Field, column: Any, picked: Any) -> Field:
    kinds = kinds_of(field, column.null_count)
    return replace(field, missing=runs_of(kinds[picked[nulls_of(column)]]))


def nulls_of(column: Any) -> Any:
    """The places of the cells that are missing."""
    return np.flatnonzero(np.asarray(column.is_null()))


def kinds_of(field: Field, count: int) -> Any:
    """The kind of each missing cell of a column that has `count` of them, in order."""
    runs = runs_for(field, count)
    return np.repeat(np.array([name for name, _ in runs], dtype=object), [n for _, n in runs])


def runs_of(kinds: Sequence[str] | Any) -> Runs:
    """Kinds in order as runs."""
    return tuple((str(name), len(list(same))) for name, same in groupby(kinds))


class Cursor:
    """Takes the kinds of missing cells piece by piece.

    Parameters
    ----------
    schema : FrameSchema
        Of the whole.
    """

    def __init__(self, schema: FrameSchema) -> None:
        self._schema = schema
        self._left = {field.name: deque(field.missing) for field in schema.fields if len(field.missing) > 1}

    def next(self, piece: pa.Table) -> FrameSchema:
        """The schema of the next piece."""
        if not self._left:
            return counted(self._schema, piece.num_rows)
        fields = tuple(
            replace(field, missing=self._take(field.name, piece.column(field.name).null_count))
            if field.name in self._left
            else field
            for field in self._schema.fields
        )
        return replace(counted(self._schema, piece.num_rows), fields=fields)

    def _take(self, name: str, count: int) -> Runs:
        left, taken = self._left[name], []
        while count and left:
            kind, there = left.popleft()
            part = min(there, count)
            taken.append((kind, part))
            count -= part
            if there > part:
                left.appendleft((kind, there - part))
        return tuple(taken)
