"""The schema of a table that came without one: what loses nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from framework.errors import FidelityError
from framework.schema.arrow_dtypes import in_microseconds
from framework.schema.fields import MASKED, OBJECTS, Field, fit
from framework.schema.frames import FrameSchema
from framework.schema.zones import zone_is_known


def natural(table: pa.Table, source: str) -> FrameSchema:
    """The schema of a table that came without one: the dtype that loses nothing for each Arrow type.

    Raises
    ------
    FidelityError
        For the first column of a type that is not read.
    """
    fields = [_natural_field(name, table.column(name), source) for name in table.column_names]
    index = {"kind": "range", "start": 0, "stop": table.num_rows, "step": 1, "name": None}
    return FrameSchema(tuple(fields), index, {"kind": "index", "dtype": "object", "names": [None]})


def _natural_field(name: str, column: Any, source: str) -> Field:
    kind, nulls = column.type, column.null_count > 0
    if pa.types.is_dictionary(kind):
        values = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        inner = _natural_field(name, pa.chunked_array([values.dictionary]), source)
        categories = fit(pa.chunked_array([values.dictionary]), inner).to_pylist()
        return replace(inner, categories=tuple(categories), ordered=kind.ordered)
    if pa.types.is_integer(kind):
        masked = {dtype: name for name, (_, dtype) in MASKED.items()}
        return Field(name, name, "integer", str(kind), masked[str(kind)] if nulls else str(kind))
    if pa.types.is_floating(kind):
        return Field(
            name, name, "float", str(kind), {"halffloat": "float16", "float": "float32"}.get(str(kind), "float64")
        )
    if pa.types.is_boolean(kind):
        return Field(name, name, "boolean", "bool", "boolean" if nulls else "bool")
    if pa.types.is_timestamp(kind) and (kind.tz is None or zone_is_known(kind.tz)):
        dtype = f"datetime64[{kind.unit}]"
        return Field(name, name, "instant" if kind.tz else "time", f"timestamp[{kind.unit}]", dtype, zone=kind.tz)
    if pa.types.is_duration(kind):
        return Field(name, name, "duration", str(kind), f"timedelta64[{kind.unit}]")
    if pa.types.is_decimal(kind):
        return Field(name, name, "decimal", "string", "object")
    if pa.types.is_time(kind) and (str(kind) != "time64[ns]" or in_microseconds(column)):
        return Field(name, name, "clock", "string", "object")
    for held, alias in ((pa.types.is_date, "date"), (_is_text, "string"), (_is_bytes, "bytes")):
        if held(kind):
            _, family, stored = OBJECTS[alias]
            return Field(name, name, family, stored, "object")
    raise FidelityError(
        f"Column {name!r} of {source!r} has the type {kind}, which is not read yet.",
        cure="Leave it out with columns=[...].",
        resource=source,
    )


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null))


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary))
