"""A frame's columns as ArcticDB holds them exactly, in its plain format, and back."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FidelityError, FormatError
from framework.schema import Field, FrameSchema, fit, only_rows

TEXT: Any = pd.StringDtype("pyarrow", na_value=np.nan)  # type: ignore[call-arg]
NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
DAY = 86_400 * 10**9
INDEX = ""


@dataclass(frozen=True, slots=True)
class Held:
    """How one field is held.

    Attributes
    ----------
    name : str
        Of its column; empty for the index of times.
    how : str
        same, gaps (NaN stands for a missing cell), text, time (nanoseconds, UTC), count, half, base64.
    there : str or None
        The name of a column that says which cells are not missing.
    """

    name: str
    how: str
    there: str | None = None


class Unfit(Exception):
    """Rows that cannot be held as those before them are."""


def to_frame(
    table: pa.Table, schema: FrameSchema, like: Sequence[Held] | None = None
) -> tuple[pd.DataFrame, tuple[Held, ...]]:
    """The frame that ArcticDB is given, and how it holds each field; `like` those before or Unfit."""
    index, columns, held = None, {}, []
    taken = set(schema.names)
    for place, field in enumerate(schema.fields):
        column = fit(table.column(field.name), field)
        mine = like[place] if like else None
        how = _how(column, field) if mine is None else _like(column, field, mine)
        values, there = _values(column, how)
        wanted = mine.name == INDEX if mine else index is None and _is_series(field, schema, how)
        if wanted and not column.null_count and len(values) and (values[1:] >= values[:-1]).all():
            index = pd.DatetimeIndex(values, name=_index_name(field))
            held.append(Held(INDEX, how))
            continue
        if mine and mine.name == INDEX:
            raise Unfit
        name = mine.name if mine else field.name
        if not mine and _is_odd(name, series=index is not None or not len(column)):
            name = _unique(f"column_{place}", taken)
        columns[name] = values
        mark = mine.there if mine else None
        if there is not None and mark is None:
            if mine:
                raise Unfit
            mark = _unique(f"{name}__there", taken)
        if mark is not None:
            columns[mark] = np.ones(len(column), dtype=bool) if there is None else there
        held.append(Held(name, how, mark))
    return pd.DataFrame(columns, index=index, copy=False), tuple(held)


def _is_series(field: Field, schema: FrameSchema, how: str) -> bool:
    levels = schema.levels
    return levels == (field,) and how == "time" and field.kind in ("time", "instant") and field.categories is None


def _is_odd(name: str, *, series: bool) -> bool:
    """Whether ArcticDB would not give a column of that name back: `index` is what it calls an index without one."""
    return not name or "\0" in name or (series and name == "index")


def _index_name(field: Field) -> str | None:
    return field.label if field.label == field.name else None


def _unique(base: str, taken: set[str]) -> str:
    name, count = base, 1
    while name in taken:
        name, count = f"{base}_{count}", count + 1
    taken.add(name)
    return name


def _how(column: Any, field: Field) -> str:
    kind, types = column.type, pa.types
    if types.is_string(kind):
        return "text"
    if types.is_binary(kind):
        return "base64"
    if types.is_float16(kind):
        return "half"
    if types.is_floating(kind):
        nan = not field.dtype.startswith("float") or field.dtype.endswith("]")
        return "same" if nan and pc.any(pc.is_nan(column)).as_py() else "gaps"
    if types.is_integer(kind) or types.is_boolean(kind):
        return "same"
    if types.is_timestamp(kind) or types.is_date32(kind):
        return "time" if _reaches(column) else "count"
    if types.is_duration(kind):
        return "count"
    raise FidelityError(f"Column {field.label!r}: ArcticDB does not hold {kind}.", resource=str(field.label))


def _like(column: Any, field: Field, mine: Held) -> str:
    """The way in which the rows before are held, if these can be too."""
    natural = _how(column, field)
    if natural == mine.how or (natural, mine.how) == ("time", "count"):
        return mine.how
    if (natural, mine.how) == ("gaps", "same") and (mine.there or not column.null_count):
        return mine.how
    raise Unfit


def _reaches(column: Any) -> bool:
    """Whether all times are told in nanoseconds."""
    per = DAY if pa.types.is_date32(column.type) else NS[column.type.unit]
    ends = pc.min_max(_counts(column)).as_py()
    return ends["min"] is None or -(2**63) < ends["min"] * per <= ends["max"] * per < 2**63


def _counts(column: Any) -> Any:
    return column.cast(pa.int32()).cast(pa.int64()) if pa.types.is_date32(column.type) else column.cast(pa.int64())


def _values(column: Any, how: str) -> tuple[Any, Any]:
    """The column's cells, and which are there when the cells alone do not tell."""
    if how == "base64":
        texts = [None if cell is None else base64.b64encode(cell).decode() for cell in column.to_pylist()]
        column = pa.chunked_array([pa.array(texts, pa.string())])
    if how in ("text", "base64"):
        text = column.cast(pa.large_string())
        return pd.array(text if text.num_chunks else pa.chunked_array([text.combine_chunks()]), dtype=TEXT), None
    if how == "half":
        column = pa.chunked_array([pa.array(column.to_numpy().astype("float32"), mask=np.asarray(column.is_null()))])
    there = None
    if column.null_count and how not in ("gaps", "time"):
        there = column.is_valid().to_numpy()
    if how == "time":
        per = DAY if pa.types.is_date32(column.type) else NS[column.type.unit]
        counts = pc.multiply(_counts(column), per) if per > 1 else _counts(column)
        counts = counts.fill_null(np.iinfo("int64").min) if counts.null_count else counts
        return counts.to_numpy().view("M8[ns]"), None
    if how == "count":
        column = _counts(column)
    if there is not None:
        column = column.fill_null(pa.scalar(0).cast(column.type))
    return column.to_numpy(), there


def nothing(rows: int, schema: FrameSchema) -> pa.Table:
    """That many rows without a column, or columns without a row."""
    columns = {field.name: pa.chunked_array([], type=field.arrow_type) for field in schema.fields}
    return pa.table(columns) if columns else only_rows(rows)


def nulls_of(table: pa.Table) -> dict[str, int]:
    """How many cells of each column are missing, of those that have one."""
    counts = {name: table.column(name).null_count for name in table.column_names}
    return {name: count for name, count in counts.items() if count}


def received(
    table: pa.Table, schema: FrameSchema, held: Sequence[Held], nulls: dict[str, int], source: str
) -> pa.Table:
    """The fields as they were, of what ArcticDB gives as Arrow."""
    try:
        columns = [_received(table, *each, nulls) for each in zip(schema.fields, held, strict=True)]
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise FormatError(
            f"{source!r} does not hold what is on record of it: {error}.",
            cure="Somebody wrote it past Millpond and kept our record: restore a backup, or save it anew.",
        ) from error
    return pa.table(columns, names=schema.names) if columns else only_rows(table.num_rows)


def _received(table: pa.Table, field: Field, mine: Held, nulls: dict[str, int]) -> Any:
    column = table.column(0 if mine.name == INDEX else mine.name)
    if nulls.get(field.name):
        if mine.there is not None:
            column = pc.if_else(table.column(mine.there), column, pa.scalar(None, column.type))
        elif mine.how == "gaps":
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return _back(column, field, mine.how)


def _back(column: Any, field: Field, how: str) -> Any:
    wanted = field.arrow_type
    if how == "base64":
        cells = [None if cell is None else base64.b64decode(cell) for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(cells, wanted)])
    if how == "half":
        gone = np.asarray(column.is_null())
        return pa.chunked_array([pa.array(column.to_numpy().astype("float16"), mask=gone)])
    if how == "time" and column.type != wanted:
        per = DAY if pa.types.is_date32(wanted) else NS[wanted.unit]
        column = column.cast(pa.int64())
        column = pc.divide(column, per) if per > 1 else column
    if pa.types.is_date32(wanted) and how in ("time", "count"):
        column = column.cast(pa.int32())
    return column if column.type == wanted else column.cast(wanted)
