"""Rows behind rows: whether new ones fit the old, and the schema of both together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import SchemaError
from framework.schema.fields import Field, fit
from framework.schema.frames import FrameSchema, table_of


def append(
    old: tuple[pa.Table, FrameSchema], new: tuple[pa.Table, FrameSchema], source: str
) -> tuple[pa.Table, FrameSchema]:
    """The old rows followed by the new ones, under the old schema; SchemaError if they do not fit."""
    (old_table, before), (new_table, after) = old, new
    had = {field.name: old_table.column(field.name).null_count for field in before.fields}
    rows = old_table.num_rows + new_table.num_rows
    schema, added = joined(before, (new_table, after), had=had.__getitem__, rows=rows, source=source)
    columns = [
        pa.chunked_array([*fit(old_table.column(field.name), field).chunks, *column.chunks], type=field.arrow_type)
        for field, column in zip(schema.fields, added, strict=True)
    ]
    return table_of(columns, schema.names, rows), schema


def joined(
    before: FrameSchema,
    new: tuple[pa.Table, FrameSchema],
    *,
    had: Callable[[str], int],
    rows: int,
    source: str,
) -> tuple[FrameSchema, list[Any]]:
    """The schema of old and new rows together, and the new columns in its order and types.

    Parameters
    ----------
    had : callable
        How many cells of an old column, by its stored name, are missing.
    rows : int
        How many there are together.

    Raises
    ------
    SchemaError
        For the first column that does not fit.
    """
    new_table, after = new
    fields, columns = [], []
    for mine, theirs in _matched(before, after, source):
        column = new_table.column(theirs.name)
        field = _joined(mine, theirs, had, column.null_count, source)
        columns.append(_fitted(column, field, source))
        fields.append(field)
    index = before.index
    if index["kind"] == "range":
        index = {**index, "stop": index["start"] + rows * index["step"]}
    return replace(before, fields=tuple(fields), index=index), columns


def _fitted(column: Any, field: Field, source: str) -> Any:
    """The new values in the old type; SchemaError if one of them would change."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        fitted = fit(column, field)
        if pa.types.is_floating(fitted.type) and fitted.type != column.type:  # only there is a cast silent
            back = fitted.cast(column.type)
            changed = pc.not_equal(back, column)
            if pa.types.is_floating(column.type):
                changed = pc.and_(changed, pc.invert(pc.is_nan(column)))
            if pc.any(changed).as_py():
                raise _unfit(field.label, source, f"is {field.dtype}, and a new value is too fine or too large for it")
    except pa.ArrowException as error:
        raise _unfit(field.label, source, f"is {field.shown}, and a new value does not fit ({error})") from error
    return fitted


def _matched(before: FrameSchema, after: FrameSchema, source: str) -> list[tuple[Field, Field]]:
    if (before.index["kind"], len(before.levels)) != (after.index["kind"], len(after.levels)):
        raise SchemaError(
            f"{source!r} has {_index_words(before)} and the new rows have {_index_words(after)}.",
            cure="Give them the same index, or save with mode='replace'.",
            resource=source,
        )
    if [(f.level, f.label) for f in before.fields] == [(f.level, f.label) for f in after.fields]:
        return list(zip(before.fields, after.fields, strict=True))  # labels may be repeated
    known = {(field.level, field.label): field for field in after.fields}
    mine = {(field.level, field.label) for field in before.fields}
    if len(known) != len(after.fields) or mine != set(known):
        gone = sorted(str(label) for _, label in mine - set(known))
        more = sorted(str(label) for _, label in set(known) - mine)
        raise SchemaError(
            f"The new rows do not have the columns of {source!r}: missing {gone or 'none'}, unknown {more or 'none'}.",
            cure="Give them the same columns, or save with mode='replace'.",
            resource=source,
        )
    return [(field, known[field.level, field.label]) for field in before.fields]


def _index_words(schema: FrameSchema) -> str:
    return (
        "a RangeIndex" if schema.index["kind"] == "range" else f"the index {[field.label for field in schema.levels]}"
    )


def _joined(mine: Field, theirs: Field, had: Callable[[str], int], come: int, source: str) -> Field:
    """The old field, as it must be to hold the new values too."""
    label = mine.label
    if come and not mine.nullable:
        raise _unfit(label, source, f"is {mine.dtype}, and the new rows have missing values")
    if (mine.categories is None) != (theirs.categories is None) and mine.categories is not None:
        raise _unfit(label, source, "has categories, and the new rows have none")
    field = mine
    if mine.kind != theirs.kind:
        if (mine.kind, theirs.kind) != ("float", "integer"):
            raise _unfit(label, source, f"holds {mine.kind}, and the new rows hold {theirs.kind}")
        field = replace(field, note="integers were appended to floats")
    if mine.categories is not None and theirs.categories is not None:
        if mine.ordered and mine.categories != theirs.categories:
            raise _unfit(label, source, "has ordered categories, and the new rows have others")
        more = tuple(value for value in theirs.categories if value not in mine.categories)
        field = replace(field, categories=mine.categories + more)
    if mine.dtype != "object" or not come:
        return field
    return replace(field, missing=_merged(_joined_runs(mine, had(mine.name)) + _joined_runs(theirs, come)))


def _joined_runs(field: Field, count: int) -> tuple[tuple[str, int], ...]:
    if not count:
        return ()
    if len(field.missing) <= 1:
        return ((field.missing[0][0] if field.missing else "None", count),)
    return field.missing


def _merged(runs: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    answer: list[tuple[str, int]] = []
    for name, count in runs:
        if answer and answer[-1][0] == name:
            answer[-1] = (name, answer[-1][1] + count)
        else:
            answer.append((name, count))
    return tuple(answer)


def _unfit(label: Any, source: str, why: str) -> SchemaError:
    return SchemaError(
        f"Column {label!r} of {source!r} {why}.",
        cure="Convert the new rows, or save with mode='replace'.",
        resource=source,
        operation="append",
    )
