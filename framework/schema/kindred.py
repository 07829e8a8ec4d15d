"""Values that are the same, whatever their types and however they are spelled; and runs of missing kinds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framework.schema.fields import Column, Field, Runs, fit, nothing_of


def nothing(rows: int, field: Field) -> Column:
    """A column of missing cells."""
    return pa.chunked_array([pa.nulls(rows, field.arrow_type)])


def fits(column: Column, field: Field) -> bool:
    """Whether every value is the same in the field's type."""
    try:
        fitted = fit(column, field)
        source, target = column.type, fitted.type
        if pa.types.is_float16(source) and pa.types.is_floating(target):
            return True  # Arrow compares none of them, and all floats hold them
        if not pa.types.is_floating(target) or target == source:  # only to floats a cast is silent
            return _kindred(source, target)
        changed = pc.not_equal(fitted.cast(source), column)
        if pa.types.is_floating(source):
            changed = pc.and_(changed, pc.invert(pc.is_nan(column)))
        return not pc.any(changed).as_py()
    except (pa.ArrowException, OverflowError):
        return False


def _kindred(source: Any, target: Any) -> bool:
    """Whether a cast between the types keeps what the values are, and not only how they are spelled."""
    types = pa.types
    if types.is_floating(source) and types.is_integer(target):
        return False  # 3.0 is no integer, though it could be one
    families = (
        (types.is_integer, types.is_floating),
        (types.is_boolean,),
        (types.is_string, types.is_large_string),
        (types.is_binary, types.is_large_binary),
        (types.is_date,),
        (types.is_duration,),
        (types.is_decimal,),
        (types.is_null,),
    )
    if types.is_timestamp(source) and types.is_timestamp(target):
        return (source.tz is None) == (target.tz is None)
    held = [any(test(source) for test in tests) and any(test(target) for test in tests) for tests in families]
    return bool(source == target or types.is_null(source) or any(held))


def is_nan(label: Any) -> bool:
    return isinstance(label, float) and label != label


# --------------------------------------------------------------------------- one spelling


def canonical(column: Column, field: Field) -> Column:
    """The values in one spelling, so that equal ones are the same to Arrow; a NaN of any kind is missing."""
    kind = field.kind
    if kind == "float":
        numbers = pc.add(column.cast(pa.float64()), 0.0)  # which makes 0.0 of -0.0
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    if kind == "clock":
        return pc.replace_substring_regex(pc.replace_substring_regex(column, r"(\.\d*?)0+$", r"\1"), r"\.$", "")
    if kind.startswith("interval[float"):
        return pc.replace_substring_regex(column, r"-0\.0\b", "0.0")
    if kind in ("decimal", "complex"):
        return _respelled(column, _decimal if kind == "decimal" else _complex)
    return column


def _respelled(column: Column, spell: Any) -> Column:
    known = pc.unique(column)
    texts = [None if text is None else spell(text) for text in known.to_pylist()]
    return pa.chunked_array([pa.array(texts, type=pa.string()).take(_codes(column, known))])


def _codes(column: Column, known: Any) -> Any:
    codes = pc.index_in(column, value_set=known)
    return codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes


def _decimal(text: str) -> str | None:
    sign, digits, exponent = Decimal(text).as_tuple()
    if isinstance(exponent, str):
        return None if exponent in "nN" else text
    whole = "".join(map(str, digits))
    kept = whole.rstrip("0").lstrip("0")
    return f"{'-' * sign}{kept}e{exponent + len(whole) - len(whole.rstrip('0'))}" if kept else "0"


def _complex(text: str) -> str | None:
    parts = [float(part) + 0.0 for part in text.split(" ")]
    return None if any(part != part for part in parts) else " ".join(map(repr, parts))


# --------------------------------------------------------------------------- missing kinds


def runs_for(field: Field, count: int) -> Runs:
    """The kinds of a column's `count` missing cells, in order."""
    if not count:
        return ()
    runs = field.missing if field.dtype == "object" else ()
    if len(runs) > 1 and sum(there for _, there in runs) == count:
        return runs
    return ((runs[0][0] if runs else nothing_of(field), count),)  # one stands for all; by others: the first does


def merged(runs: Runs) -> Runs:
    """Runs in which neighbours of one kind are one."""
    answer: list[tuple[str, int]] = []
    for name, count in runs:
        if answer and answer[-1][0] == name:
            answer[-1] = (name, answer[-1][1] + count)
        else:
            answer.append((name, count))
    return tuple(answer)
