"""Rows into rows: those whose keys are there are replaced in their places, the others follow at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from framework.errors import KeysError, known_names
from framework.schema.fields import Field, fit
from framework.schema.frames import FrameSchema, table_of
from framework.schema.joining import Held, grown, joined, lacking_filled, matched
from framework.schema.kindred import canonical, nothing
from framework.schema.missing import counted, kinds_of, nulls_of, runs_of
from framework.schema.widening import bounded

INT32_BYTES = 2**31 - 1


def upsert(
    old: tuple[pa.Table, FrameSchema], new: tuple[pa.Table, FrameSchema], keys: Sequence[Any] | None, source: str
) -> tuple[pa.Table, FrameSchema]:
    """The old rows with the new ones in their places or after them.

    Raises
    ------
    KeysError, SchemaError
    """
    (old_table, before), (new_table, after) = old, new
    stored = keys_of(new_table, after, keys, source)
    rows = old_table.num_rows
    schema, columns = joined(before, new, old=Held(old_table, before), rows=rows + new_table.num_rows, source=source)
    pairs = matched(before, after, source)
    by_name = {theirs.name: field for (_, theirs), field in zip(pairs, schema.fields, strict=True) if theirs}
    by = [by_name[name] for name in stored]
    check_keys_there(before, [field.name for field in by], source, labels=[field.label for field in by])
    there = dict(zip(schema.names, grown(old_table, before, schema), strict=True))
    come = {field.name: column for field, column in zip(schema.fields, columns, strict=True)}
    places, fresh = _places(_told_apart(by, there), _told_apart(by, come), [field.label for field in by], source)
    schema = counted(lacking_filled(schema, columns, len(fresh), source), rows + len(fresh))
    fields, taken = [], []
    for field, column, pair in zip(schema.fields, columns, pairs, strict=True):
        lacks = column is None
        given = nothing(new_table.num_rows, field) if column is None else column
        order = np.concatenate([np.arange(rows) if lacks else places, rows + fresh])
        taken.append(_taken(there[field.name], given, order))
        fields.append(_told(field, pair, (there[field.name], given), order, source))
    return table_of(taken, schema.names, rows + len(fresh)), replace(schema, fields=tuple(fields))


def keys_of(table: pa.Table, schema: FrameSchema, keys: Sequence[Any] | None, source: str) -> list[str]:
    """The stored names of an upsert's keys; KeysError for none, a null or a repeated one."""
    levels = schema.levels
    named = all(level.label is not None for level in levels) or (
        len(levels) == 1 and levels[0].kind in ("time", "instant")
    )
    if keys is None and not (levels and named):
        raise KeysError("An upsert needs keys.", cure="Pass keys=[...], or give the frame a named or Datetime index.")
    found = levels if keys is None else [_keyed(label, schema) for label in keys]
    by = list({field.name: field for field in found}.values())
    if not by:
        raise KeysError("keys=[] names no column.", cure=known_names("", [str(f.label) for f in schema.fields]))
    labels = [field.label for field in by]
    told = _told_apart(by, {field.name: fit(table.column(field.name), field) for field in by})
    if any(column.null_count for column in told.columns):
        raise KeysError(f"A key among {labels} is missing in a row for {source!r}.", cure="Drop or mend the row.")
    if told.group_by(told.column_names).aggregate([]).num_rows != table.num_rows:
        raise KeysError(f"The keys {labels} are repeated in the rows for {source!r}.", cure="Drop the duplicates.")
    return [field.name for field in by]


def _keyed(label: Any, schema: FrameSchema) -> Field:
    found = schema.labelled(label)
    if len(found) > 1:
        raise KeysError(f"The frame has {len(found)} columns {label!r}: a key is one.", cure="Give each its label.")
    if found:
        return found[0]
    known = [str(field.label) for field in schema.fields]
    raise KeysError(f"The frame has no column {label!r}.", cure=known_names(str(label), known))


def _told_apart(by: Sequence[Field], columns: dict[str, Any]) -> pa.Table:
    """The keys, spelled so that equal ones are the same to Arrow."""
    return pa.table([canonical(columns[field.name], field) for field in by], names=[field.name for field in by])


def check_keys_there(before: FrameSchema, names: Sequence[str], source: str, *, labels: Sequence[Any] = ()) -> None:
    """KeysError for a key that is no column of the rows that are there."""
    unknown = [label for name, label in zip(names, labels or names, strict=True) if name not in before.names]
    if unknown:
        known = [str(field.label) for field in before.fields]
        raise KeysError(
            f"{source!r} has no column {unknown[0]!r} to tell rows by.", cure=known_names(str(unknown[0]), known)
        )


def _places(old: pa.Table, new: pa.Table, labels: Sequence[Any], source: str) -> tuple[Any, Any]:
    """For each old row where it is to be taken from, in old rows followed by new ones; and the new rows that are left.

    Raises
    ------
    KeysError
        When a key of the new rows is there more than once.
    """
    keys, rows = old.column_names, old.num_rows
    pairs = old.append_column("\0old", pa.array(np.arange(rows))).join(
        new.append_column("\0new", pa.array(np.arange(new.num_rows))), keys=keys, join_type="inner", use_threads=False
    )
    hit, by = (pairs.column(name).to_numpy() for name in ("\0old", "\0new"))
    if len(np.unique(by)) != len(by):
        raise KeysError(f"The keys {labels} are repeated in {source!r}.", cure="Choose keys that tell rows apart.")
    places = np.arange(rows)
    places[hit] = rows + by
    fresh = np.ones(new.num_rows, dtype=bool)
    fresh[by] = False
    return places, np.flatnonzero(fresh)


def _taken(old: Any, new: Any, order: Any) -> Any:
    """The cells of both columns, in that order."""
    both = pa.chunked_array([*old.chunks, *new.chunks], type=old.type)
    wide = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(old.type)
    if wide is None or both.nbytes < INT32_BYTES:
        return both.take(pa.array(order))
    return both.cast(wide).take(pa.array(order)).cast(old.type)


def _told(
    field: Field, pair: tuple[Field | None, Field | None], columns: tuple[Any, Any], order: Any, source: str
) -> Field:
    """The field with the kinds of its missing cells in their new order."""
    if field.dtype != "object" or field.categories is not None:
        return field
    old, new = columns
    kinds = np.full(len(old) + len(new), "", dtype=object)
    absent = replace(field, missing=())
    mine, theirs = (one or absent for one in pair)
    kinds[nulls_of(old)] = kinds_of(mine, old.null_count)
    kinds[len(old) + nulls_of(new)] = kinds_of(theirs, new.null_count)
    told = kinds[order]
    return replace(field, missing=bounded(runs_of(told[told != ""]), field.label, source))
