"""Rows behind rows: whether new ones fit the old, and how the schema grows to hold both.

A column that is new is added; the old rows lack it. A type grows where every value stays what it is: to more bytes, to
finer times, from integers to floats, to a dtype that holds missing cells. Everything else is a SchemaError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import SchemaError
from framework.schema.columns import decode_column
from framework.schema.fields import Field, fit
from framework.schema.frames import FrameSchema, table_of
from framework.schema.kindred import is_nan, merged, nothing, runs_for
from framework.schema.missing import counted
from framework.schema.objects import retold
from framework.schema.widening import Old, bounded, in_floats, lacking, widened

__all__ = ["Held", "Old", "append", "grown", "joined", "lacking_filled", "matched", "merged", "nothing"]


@dataclass(frozen=True, slots=True)
class Held:
    """Old rows that are at hand."""

    table: pa.Table
    schema: FrameSchema

    def nulls(self, name: str) -> int:
        return int(self.table.column(name).null_count)

    def span(self, name: str) -> tuple[int, int] | None:
        field = next(field for field in self.schema.fields if field.name == name)
        column = fit(self.table.column(name), field)  # a file may keep other units
        if not pa.types.is_integer(column.type):
            column = column.cast(pa.int64())
        found = pc.min_max(column).as_py()
        return None if found["min"] is None else (found["min"], found["max"])


def append(
    old: tuple[pa.Table, FrameSchema], new: tuple[pa.Table, FrameSchema], source: str
) -> tuple[pa.Table, FrameSchema]:
    """The old rows followed by the new ones; SchemaError if they do not fit."""
    (old_table, before), (new_table, _) = old, new
    rows = old_table.num_rows + new_table.num_rows
    schema, added = joined(before, new, old=Held(old_table, before), rows=rows, source=source)
    schema = lacking_filled(schema, added, new_table.num_rows, source)
    columns = [
        pa.chunked_array([*there.chunks, *come.chunks], type=field.arrow_type)
        for field, there, come in zip(
            schema.fields,
            grown(old_table, before, schema),
            [nothing(new_table.num_rows, f) if c is None else c for f, c in zip(schema.fields, added, strict=True)],
            strict=True,
        )
    ]
    return table_of(columns, schema.names, rows), schema


def grown(table: pa.Table, before: FrameSchema, schema: FrameSchema) -> list[Any]:
    """The old columns in the types of the schema that has grown; those that are new to them hold nothing."""
    known = {field.name: field for field in before.fields}
    return [_regrown(table, known.get(field.name), field) for field in schema.fields]


def _regrown(table: pa.Table, was: Field | None, field: Field) -> Any:
    if was is None or table.column(field.name).null_count == table.num_rows:
        return nothing(table.num_rows, field)
    column = table.column(field.name)
    if field.kind == "mixed" != was.kind:
        return retold(decode_column(column, was), field.label)
    return fit(column, field)


def lacking_filled(schema: FrameSchema, columns: Sequence[Any], rows: int, source: str) -> FrameSchema:
    """The schema when `rows` new rows miss the columns that are None; SchemaError if a column holds nothing missing."""
    if not rows:
        return schema
    fields = []
    for field, column in zip(schema.fields, columns, strict=True):
        if column is None and not field.nullable:
            raise SchemaError(
                f"{rows} new rows of {source!r} have no value for {field.label!r}, which holds none that is missing.",
                cure="Give the frame that column.",
                resource=source,
            )
        if column is None and field.dtype == "object":
            runs = merged((*field.missing, ("None", rows)))
            field = replace(field, missing=bounded(runs, field.label, source))
        fields.append(field)
    return replace(schema, fields=tuple(fields))


def joined(
    before: FrameSchema, new: tuple[pa.Table, FrameSchema], *, old: Old, rows: int, source: str
) -> tuple[FrameSchema, list[Any]]:
    """The schema of old and new rows together, and the new columns in its order and types.

    Parameters
    ----------
    old : Old
    rows : int
        How many there are together.

    Returns
    -------
    schema : FrameSchema
        The old fields in their places, some of wider types, and after them those that are added.
    columns : list of pyarrow.ChunkedArray or None
        One for each field; None for one that the new rows lack.

    Raises
    ------
    SchemaError
        For the first column that does not fit.
    """
    new_table, after = new
    rows_before = rows - new_table.num_rows
    fields: list[Field] = []
    columns: list[Any] = []
    for mine, theirs in matched(before, after, source):
        if theirs is None:
            fields += [mine] if mine else []
            columns.append(None)
            continue
        column = _plain(new_table.column(theirs.name))
        if mine is None:
            taken = {f.name for f in (*before.fields, *fields)}
            field, column = _added(theirs, column, rows_before, taken=taken, source=source)
        else:
            retells = isinstance(old, Held)
            field, column = widened(mine, (theirs, column), old=old, rows=rows_before, source=source, retells=retells)
        fields.append(field)
        columns.append(fit(column, field))
    labels = _columns_with(before, [field for field in fields if field.level is None])
    return counted(replace(before, fields=tuple(fields), columns=labels), rows), columns


def _plain(column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def matched(before: FrameSchema, after: FrameSchema, source: str) -> list[tuple[Field | None, Field | None]]:
    """Old and new field side by side, the old ones in their order, then those that are only new."""
    levels = [[(f.level, f.label) for f in schema.levels] for schema in (before, after)]
    if before.index["kind"] != after.index["kind"] or sorted(map(str, levels[0])) != sorted(map(str, levels[1])):
        raise SchemaError(
            f"{source!r} has {_index_words(before)} and the new rows have {_index_words(after)}.",
            cure="Give them the same index, or save with mode='replace'.",
            resource=source,
        )
    if [_key(f) for f in before.fields] == [_key(f) for f in after.fields]:
        return list(zip(before.fields, after.fields, strict=True))  # labels may be repeated
    known = {_key(field): field for field in after.fields}
    mine = {_key(field) for field in before.fields}
    if len(known) != len(after.fields) or len(mine) != len(before.fields):
        raise SchemaError(
            f"The new rows do not have the columns of {source!r}, and labels are repeated.",
            cure="Give them the same columns in the same order, or save with mode='replace'.",
            resource=source,
        )
    if not any(f.level is None and _key(f) in known for f in before.fields) and before.values and after.values:
        raise SchemaError(
            f"The new rows have no column of {source!r}.",
            cure=f"It has {', '.join(str(f.label) for f in before.values[:12])}.",
            resource=source,
        )
    answer: list[tuple[Field | None, Field | None]] = [(field, known.get(_key(field))) for field in before.fields]
    return answer + [(None, field) for field in after.fields if _key(field) not in mine]


def _key(field: Field) -> tuple[Any, ...]:
    label = "nan" if is_nan(field.label) else field.label  # NaN is the same label, though it equals nothing
    return (field.level, type(field.label), label)


def _index_words(schema: FrameSchema) -> str:
    return (
        "a RangeIndex" if schema.index["kind"] == "range" else f"the index {[field.label for field in schema.levels]}"
    )


def _columns_with(before: FrameSchema, values: Sequence[Field]) -> dict[str, Any]:
    """What the columns' own index is when some are added."""
    columns = before.columns
    if len(values) == len(before.values):
        return columns
    labels = [field.label for field in values]
    if columns["kind"] == "multi":
        if all(isinstance(label, tuple) and len(label) == len(columns["names"]) for label in labels):
            return columns
        return {"kind": "index", "dtype": "object", "names": [None]}
    text = columns["kind"] == "index" and str(columns["dtype"]).startswith("string")
    if text and all(isinstance(label, str) for label in labels):
        return columns
    whole = columns["kind"] == "range" or columns["dtype"] == "int64"
    dtype = "int64" if whole and all(type(label) is int for label in labels) else "object"
    return {"kind": "index", "dtype": dtype, "names": columns["names"]}


# --------------------------------------------------------------------------- one column


def _added(theirs: Field, column: Any, rows: int, *, taken: set[str], source: str) -> tuple[Field, Any]:
    """The field of a column that the old rows lack, and its cells."""
    name, count = theirs.name, 1
    while name in taken:
        name, count = f"{theirs.name}_{count}", count + 1
    field = replace(theirs, name=name)
    if not rows:
        return field, column
    if field.kind.startswith("interval[integer") and field.categories is None:
        field, column = in_floats(field, column, source)
    note = f"added when there were {rows} rows, which lack it"
    field = replace(field, note=note) if field.nullable else lacking(field, source, note=note)
    if field.dtype == "object" and field.categories is None:
        runs = merged((("None", rows), *runs_for(theirs, column.null_count)))
        field = replace(field, missing=bounded(runs, field.label, source))
    return field, column
