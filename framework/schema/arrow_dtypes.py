"""Columns of pandas' Arrow dtypes: kept as the plain type that says the same, given back as what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from framework.schema.fields import ARROW, Column, Field, refuse, type_of

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

COUNTS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def encode_arrow(values: Any, label: Any) -> tuple[Any, Field]:
    """Arrow values and the Field of a column of an Arrow dtype."""
    column = _column(values.array)
    kind, told = column.type, plain_type(column.type)
    if told is None:
        raise refuse(label, f"the dtype {values.dtype} is not held")
    name, alias = told
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    if name == "clock":
        column = pa.chunked_array([pa.array([_clock(cell, kind.unit) for cell in _ticks(column)], type=pa.string())])
    elif name == "instant":
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    else:
        column = column.cast(type_of(alias))
    return column, Field("", label, name, alias, f"{kind}{ARROW}", zone=zone)


def _column(array: Any) -> Column:
    held = array.__arrow_array__()
    return held if isinstance(held, pa.ChunkedArray) else pa.chunked_array([held])


def plain_type(kind: pa.DataType) -> tuple[str, str] | None:
    """The kind and the Arrow type, by alias, that hold the values of an Arrow type; None for one that is not held."""
    types = pa.types
    if types.is_timestamp(kind):
        return "time" if kind.tz is None else "instant", f"timestamp[{kind.unit}]"
    for name, alias, tests in HELD:
        if any(getattr(types, f"is_{test}")(kind) for test in tests):
            return name, alias or str(kind)
    return None


HELD: list[tuple[str, str, tuple[str, ...]]] = [
    ("integer", "", ("integer",)),
    ("float", "", ("floating",)),
    ("boolean", "bool", ("boolean",)),
    ("text", "string", ("string", "large_string", "string_view", "null")),
    ("bytes", "binary", ("binary", "large_binary", "fixed_size_binary", "binary_view")),
    ("duration", "", ("duration",)),
    ("date", "date32", ("date",)),
    ("decimal", "string", ("decimal",)),
    ("clock", "string", ("time",)),
]


def decode_arrow(values: Column, field: Field) -> Any:
    """The array of the recorded Arrow dtype."""
    wanted = type_of(field.dtype.removesuffix(ARROW))
    if field.kind == "clock":
        ticks = [None if cell is None else _of_clock(cell, wanted.unit) for cell in values.to_pylist()]
        counts = pa.array(ticks, type=pa.int32() if wanted.bit_width == 32 else pa.int64())
        values = pa.chunked_array([counts.cast(wanted)])
    elif pa.types.is_null(wanted):
        values = pa.chunked_array([pa.nulls(len(values))])
    return pd.arrays.ArrowExtensionArray(values.cast(wanted))


def _ticks(column: Column) -> Any:
    counts = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
    return counts.to_pylist()


def _clock(count: int | None, unit: str) -> str | None:
    if count is None:
        return None
    seconds, part = divmod(count, COUNTS[unit])
    shown = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{shown}.{part:0{len(str(COUNTS[unit])) - 1}}" if part else shown


def _of_clock(text: str, unit: str) -> int:
    whole, _, part = text.partition(".")
    hours, minutes, seconds = map(int, whole.split(":"))
    digits = len(str(COUNTS[unit])) - 1
    if len(part.rstrip("0")) > digits:
        raise ValueError(f"{text} is finer than {unit}")
    return (hours * 3600 + minutes * 60 + seconds) * COUNTS[unit] + int(part.ljust(digits, "0")[:digits] or 0)


def in_microseconds(column: Column) -> bool:
    """Whether times of a day have nothing finer than Python's microseconds."""
    ticks = column.cast(pa.int64())
    return not pc.any(pc.not_equal(ticks, pc.multiply(pc.divide(ticks, 1000), 1000))).as_py()
