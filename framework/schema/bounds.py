"""What a field is compared with, in the field's own terms."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from framework.errors import OptionError
from framework.schema.fields import Field
from framework.schema.zones import zone_of

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

OBJECTS: dict[str, tuple[type, ...]] = {
    "decimal": (Decimal, int, float, Fraction),
    "uuid": (UUID,),
    "clock": (time,),
    "complex": (complex, int, float),
}
NARROW: dict[str, Callable[[float], Any]] = {"float": np.float32, "halffloat": np.float16}
SECONDS = {"s": Fraction(1), "ms": Fraction(1, 10**3), "us": Fraction(1, 10**6), "ns": Fraction(1, 10**9)}
RELATIVE = ("now", "today")  # which would mean another moment each time
LETTER = re.compile(r"[a-zA-Z:]")


def is_gone(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, (float, complex, np.floating)) and bool(value != value)


def unfit(value: Any, field: Field) -> OptionError:
    return OptionError(
        f"{value!r} cannot be compared with {field.label!r}, which is {field.shown}.", cure="Convert the value."
    )


def as_object(value: Any, op: str, field: Field) -> Any:
    """A value as Python compares it with the cells."""
    if is_gone(value):
        raise OptionError(f"{value!r} is a missing value, which {op!r} never meets.", cure="Use 'is null'.")
    value = value.item() if isinstance(value, np.generic) and field.kind in ("decimal", "complex", "mixed") else value
    ordered = op not in ("==", "!=", "in", "not in")
    if field.kind.startswith("period["):
        try:
            value = pd.Period(value, freq=field.dtype[len("period[") : -1]) if isinstance(value, str) else value
        except ValueError as error:
            raise unfit(value, field) from error
        fit = isinstance(value, pd.Period) and f"period[{value.freqstr}]" == field.dtype
    elif field.kind.startswith("interval["):
        fit = isinstance(value, pd.Interval) and not ordered
    elif field.kind == "mixed":
        fit = not ordered and isinstance(value, Hashable)
    else:
        fit = isinstance(value, OBJECTS.get(field.kind, ())) and not isinstance(value, bool)
        fit = fit and not (field.kind == "complex" and ordered)
        fit = fit and not (isinstance(value, time) and value.tzinfo is not None and ordered)
    if not fit:
        raise unfit(value, field)
    return value


def whole(op: str, value: Any, field: Field) -> tuple[str, Any]:
    """A test of whole numbers against any number: the bound that is whole, or what it comes to."""
    never, always = ("in", pa.array([], held_type(field))), ("not null", None)
    least, most = _range(field)
    exact = value == math.inf or value == -math.inf or value == math.floor(value)
    if op in ("==", "!=") and (not exact or not least <= value <= most):
        return never if op == "==" else always
    if op in ("<", "<="):
        if value > most:
            return always
        bound = value if exact else math.floor(value)
        if value < least:
            return never
        return op if exact else "<=", _held_scalar(bound, field)
    if op in (">", ">="):
        if value < least:
            return always
        if value > most:
            return never
        bound = value if exact else math.ceil(value)
        if bound > most:
            return never
        return op if exact else ">=", _held_scalar(bound, field)
    return op, _held_scalar(value, field)


def floating(op: str, value: Any, field: Field) -> tuple[str, Any]:
    """The comparison of floats with any number: the float that is the bound, or what it comes to."""
    if type(value) is float and field.type != "double":  # as NumPy and pandas compare: in the column's own precision
        with np.errstate(over="ignore"):
            return op, pa.scalar(float(NARROW[field.type](value)), pa.float64())
    try:
        bound = float(value)
    except OverflowError:
        bound = math.inf if value > 0 else -math.inf
    if bound == value:
        return op, pa.scalar(bound, pa.float64())
    if op in ("==", "!="):
        return ("in", pa.array([], pa.float64())) if op == "==" else ("not null", None)
    inside = bound < value  # the largest float below the value, else the least above
    turned = {"<": "<=" if inside else "<", "<=": "<=" if inside else "<", ">": ">" if inside else ">="}
    return turned.get(op, ">" if inside else ">="), pa.scalar(bound, pa.float64())


def _range(field: Field) -> tuple[int, int]:
    info = np.iinfo(field.type if field.kind == "integer" else "int64")
    least = int(info.min) if field.kind == "integer" else int(info.min) + 1  # that one is NaT
    return least, int(info.max)


def held_type(field: Field) -> pa.DataType:
    return pa.float32() if field.type == "halffloat" else field.arrow_type


def _held_scalar(value: Any, field: Field) -> Any:
    if field.kind == "integer":
        return pa.scalar(int(value), field.arrow_type)
    return pa.scalar(int(value), pa.int64()).cast(field.arrow_type)


def _number(value: Any, field: Field) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, Fraction)):
        raise unfit(value, field)
    return value


def _moment(value: Any, field: Field) -> Fraction:
    """A time as a count of the field's units."""
    if not isinstance(value, (str, date, datetime, np.datetime64)) or value in RELATIVE:
        raise unfit(value, field)
    try:
        moment: Any = pd.Timestamp(value)
        if field.zone is not None and moment.tzinfo is None:
            moment = moment.tz_localize(zone_of(field.zone), ambiguous="NaT", nonexistent="NaT")
    except (ValueError, TypeError, OverflowError) as error:
        raise OptionError(f"{value!r} is no time to compare {field.label!r} with: {error}.") from error
    if moment is pd.NaT:
        raise OptionError(
            f"{value!r} is no moment to compare {field.label!r} with: it is missing, or is never or twice in its zone.",
            cure="Give the time with its own zone.",
        )
    if field.zone is None and moment.tzinfo is not None:
        raise OptionError(f"{value!r} has a time zone, and the times have none.", cure="Pass it without one.")
    return Fraction(int(moment.asm8.view("int64"))) * SECONDS[moment.unit] / SECONDS[field.arrow_type.unit]


def _span(value: Any, field: Field) -> Fraction:
    """A duration as a count of the field's units."""
    if not isinstance(value, (str, timedelta, np.timedelta64)) or (isinstance(value, str) and not LETTER.search(value)):
        raise unfit(value, field)  # a number without a unit would be nanoseconds
    try:
        span: Any = pd.Timedelta(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise unfit(value, field) from error
    if span is pd.NaT:
        raise unfit(value, field)
    return Fraction(int(span.asm8.view("int64"))) * SECONDS[span.unit] / SECONDS[field.arrow_type.unit]


NUMBERS: dict[str, Callable[[Any, Field], Any]] = {
    "integer": _number,
    "float": _number,
    "time": _moment,
    "instant": _moment,
    "duration": _span,
}


def as_scalar(value: Any, field: Field) -> Any:
    """Text, bytes, booleans and dates as they are; other kinds are not compared."""
    value = value.item() if isinstance(value, np.bool_) else value
    wanted: dict[str, type] = {"text": str, "bytes": bytes, "boolean": bool, "date": date}
    if field.kind == "date" and isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError as error:
            raise unfit(value, field) from error
    if field.kind not in wanted or not isinstance(value, wanted[field.kind]) or isinstance(value, datetime):
        raise unfit(value, field)
    try:
        return pa.scalar(value, field.arrow_type)
    except UnicodeEncodeError as error:
        raise unfit(value, field) from error
