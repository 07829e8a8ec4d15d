"""One column: pandas to Arrow and back, with a Field that says what Arrow alone would forget."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FidelityError
from framework.schema.arrow_dtypes import decode_arrow, encode_arrow
from framework.schema.fields import (
    ARROW,
    FLOATS,
    INTEGERS,
    MASKED,
    TO_TEXT,
    WIDER,
    Column,
    Field,
    fit,
    refuse,
    text_dtype,
    text_name,
)
from framework.schema.objects import as_text, decode_objects, encode_objects
from framework.schema.zones import pandas_name, zone_of

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

DENSE = "Save what series.sparse.to_dense() gives, or pass lossy=True to keep it as text."
COUNTED = {"time": pa.int64(), "instant": pa.int64(), "duration": pa.int64(), "date": pa.int32()}
MOST_TEXT = 2**31 - 1  # bytes that one piece of Arrow's text holds
NAT = int(np.iinfo("int64").min)


def encode_column(values: Any, label: Any, *, lossy: bool) -> tuple[Column, Field]:
    """Arrow values and the Field of one column; FidelityError for what could not be given back."""
    try:
        array, field = _encode_exactly(values, label)
    except FidelityError:
        if not lossy:
            raise
        array, field = _encode_exactly(as_text(values), label)
    return (array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])), field


def _encode_exactly(values: Any, label: Any) -> tuple[Any, Field]:
    try:
        return _encode(values, label)
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise refuse(label, f"a value cannot be kept ({error})") from error


def _encode(values: Any, label: Any) -> tuple[Any, Field]:
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return encode_objects(values, label) if dtype.hasobject else _encode_numpy(values, label, dtype)
    if str(dtype) in MASKED:
        kind, alias = MASKED[str(dtype)]
        array = pa.array(values.array, type=pa.type_for_alias(alias), from_pandas=False)
        return array, Field("", label, kind, alias, str(dtype))
    for known, encode in _extensions().items():
        if isinstance(dtype, known):
            return encode(values, label)
    raise refuse(label, f"the dtype {dtype} is not held", cure=DENSE if isinstance(dtype, pd.SparseDtype) else TO_TEXT)


def _encode_numpy(values: Any, label: Any, dtype: np.dtype[Any]) -> tuple[Any, Field]:
    name = _name(dtype)
    plain = values.to_numpy()
    if not dtype.isnative:
        raise refuse(label, f"the dtype {dtype.str} is not in this machine's byte order")
    if name == "bool":
        return pa.array(plain), Field("", label, "boolean", "bool", "bool")
    if name in INTEGERS:
        return pa.array(plain), Field("", label, "integer", name, name)
    if name in FLOATS:
        gaps = len(plain) > 0 and bool(np.isnan(plain.min()))  # a tenth of the time that Arrow takes to look
        return pa.array(plain, from_pandas=gaps), Field("", label, "float", FLOATS[name], name)
    if name in ("complex64", "complex128"):
        texts = [f"{cell.real!r} {cell.imag!r}" for cell in plain.astype("complex128").tolist()]
        return pa.array(texts, type=pa.string()), Field("", label, "complex", "string", name)
    if dtype.kind in "mM":
        unit = np.datetime_data(dtype)[0]
        kind, alias = ("time", f"timestamp[{unit}]") if dtype.kind == "M" else ("duration", f"duration[{unit}]")
        wanted, counts = pa.type_for_alias(alias), plain.view("i8")
        gaps = len(plain) > 0 and counts.min() == NAT
        array = pa.array(plain, type=wanted) if gaps else pa.array(counts).view(wanted)
        return array, Field("", label, kind, alias, f"{dtype.name}")
    raise refuse(label, f"the dtype {dtype} is not held")


_name = lru_cache(maxsize=64)(lambda dtype: dtype.name)  # numpy makes it anew each time


def _encode_text(values: Any, label: Any) -> tuple[Any, Field]:
    dtype = values.dtype
    if dtype.storage == "pyarrow" and values.array.nbytes < MOST_TEXT:
        array = pa.array(values.array).cast(pa.string())
    else:
        array = pa.array(values.to_numpy(dtype=object), type=pa.string(), from_pandas=True)
    return array, Field("", label, "text", "string", text_name(dtype))


def _encode_instant(values: Any, label: Any) -> tuple[Any, Field]:
    dtype = values.dtype
    zone = pandas_name(dtype.tz)
    if zone is None:
        raise refuse(label, f"the time zone {str(dtype.tz)!r} has no name by which it can be found again")
    array = pa.array(values.array.tz_convert("UTC"))
    return array, Field("", label, "instant", f"timestamp[{dtype.unit}]", f"datetime64[{dtype.unit}]", zone=zone)


def _encode_period(values: Any, label: Any) -> tuple[Any, Field]:
    """As the count of periods since 1970, which is what a period is."""
    name, counts = str(values.dtype), values.array.asi8
    return pa.array(counts, mask=counts == NAT), Field("", label, name, "int64", name)


def _encode_category(values: Any, label: Any) -> tuple[Any, Field]:
    array = values.array
    dictionary, inner = encode_column(array.categories, label, lossy=False)
    whole, kept = dictionary.combine_chunks(), tuple(dictionary.to_pylist())
    if inner.missing or not pa.array(kept, type=inner.arrow_type).equals(whole):
        raise refuse(label, f"categories of {array.categories.dtype} such as these are not held")
    codes = pa.array(array.codes, mask=array.codes < 0)
    plain = inner.kind in COUNTED or inner.kind == "bytes"  # no file format keeps a dictionary of those
    coded = whole.take(codes) if plain else pa.DictionaryArray.from_arrays(codes, whole)
    return coded, replace(inner, categories=kept, ordered=bool(array.ordered))


def _encode_interval(values: Any, label: Any) -> tuple[Any, Field]:
    """As JSON of both ends, in their own kind: `[0.5, 1.5]`."""
    array = values.array
    gone = np.asarray(array.isna())
    ends = [encode_column(pd.Series(end), label, lossy=False) for end in (array.left, array.right)]
    inner = ends[0][1]
    if inner.kind not in ("integer", "float", "time", "instant", "duration") or inner.dtype.endswith(ARROW):
        raise refuse(label, f"intervals of {array.dtype.subtype} are not held")
    pairs = zip(*(_counts(column, inner) for column, _ in ends), gone, strict=True)
    texts = [None if lost else json.dumps([left, right]) for left, right, lost in pairs]
    name = f"interval[{inner.kind} {inner.type} {inner.dtype} {array.closed}]"
    field = Field("", label, name, "string", f"interval[{inner.dtype}, {array.closed}]", zone=inner.zone)
    return pa.array(texts, type=pa.string()), field


def _counts(column: Column, field: Field) -> list[Any]:
    numbers = column if field.kind in ("integer", "float") else column.cast(pa.int64())
    return numbers.to_pylist()  # type: ignore[no-any-return]


@cache
def _extensions() -> dict[type, Callable[[Any, Any], tuple[Any, Field]]]:
    return {
        pd.CategoricalDtype: _encode_category,
        pd.StringDtype: _encode_text,
        pd.DatetimeTZDtype: _encode_instant,
        pd.PeriodDtype: _encode_period,
        pd.IntervalDtype: _encode_interval,
        pd.ArrowDtype: encode_arrow,
    }


# --------------------------------------------------------------------------- Arrow -> pandas


def decode_column(column: Column, field: Field) -> Any:
    """The pandas array of one column, of the recorded dtype.

    Raises
    ------
    FidelityError
        For a cell that is none of the kind on record: somebody wrote it past the store.
    """
    try:
        return _decode(column, field)
    except (ValueError, ArithmeticError, LookupError, TypeError, pa.ArrowException) as error:
        raise _strange(field, f"holds what is no {field.shown}: {error}") from error


def _decode(column: Column, field: Field) -> Any:
    if field.categories is not None:
        return _decode_category(column, field)
    values = fit(column, field)
    if values.null_count and field.dtype in WIDER:  # others put a null where there was none, or a level lacks one
        field = replace(field, dtype=WIDER[field.dtype])
    if field.dtype == "object":
        return decode_objects(values, field)
    if field.dtype.endswith(ARROW):
        return decode_arrow(values, field)
    return DECODERS[field.kind.split("[")[0]](values, field)


def _strange(field: Field, why: str) -> FidelityError:
    return FidelityError(
        f"Column {field.label!r} {why}.",
        cure="Somebody wrote it past Millpond: put the value right, or restore a backup.",
        resource=str(field.label),
    )


def _decode_category(column: Column, field: Field) -> Any:
    inner = replace(field, categories=None, missing=())
    known = pa.chunked_array([pa.array(field.categories, type=field.arrow_type)])
    if pa.types.is_dictionary(column.type) and all(c.dictionary.equals(known.chunk(0)) for c in column.chunks):
        codes = pa.chunked_array([chunk.indices for chunk in column.chunks], type=column.type.index_type)
    else:
        values = fit(column, inner)
        codes = pc.index_in(values, value_set=known.combine_chunks())
        strange = pc.and_(pc.is_null(codes), pc.is_valid(values))
        if pc.any(strange).as_py():
            raise _strange(field, f"holds {pc.filter(values, strange)[0].as_py()!r}, none of its categories")
    numbers = _owned(codes.fill_null(-1))
    categories = index_of(_decode(known, inner))
    return pd.Categorical.from_codes(numbers, categories=categories, ordered=field.ordered)


def index_of(values: Any) -> Any:
    """An index of just that dtype: pandas would make numbers, times or text of objects."""
    return pd.Index(values, dtype=object) if values.dtype == object else pd.Index(values)


def _decode_masked(values: Column, field: Field) -> Any:
    if field.dtype not in MASKED:
        return _owned(values).astype(field.dtype, copy=False)
    nothing = pa.scalar(0).cast(values.type)
    numbers, gone = _owned(values.fill_null(nothing)), _owned(values.is_null())
    return getattr(pd.arrays, MASKED_ARRAYS[field.kind])(numbers, gone)  # made so, a NaN beside NA stays one


MASKED_ARRAYS = {"integer": "IntegerArray", "float": "FloatingArray", "boolean": "BooleanArray"}


def _owned(values: Column) -> Any:
    """The numbers in memory of their own, for a frame's owner may write.

    It is Arrow's, which has some at hand: numpy asks the system for it, and touching that takes longer than the copy.
    """
    kind = values.type
    if values.null_count or not len(values) or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _writable(values.to_numpy())
    whole = pa.concat_arrays(values.chunks)  # a copy of a single one too
    return _writable(np.frombuffer(whole.buffers()[1], kind.to_pandas_dtype(), len(whole)))


def _writable(numbers: Any) -> Any:
    """Arrow lends its memory read-only."""
    return numbers if numbers.flags.writeable else numbers.copy()


def _decode_text(values: Column, field: Field) -> Any:
    dtype = text_dtype(field.dtype)
    return dtype.__from_arrow__(values.cast(pa.large_string()) if dtype.storage == "pyarrow" else values)


def _numbers(values: Column) -> Any:
    numbers = values.cast(pa.int64())
    return _owned(numbers.fill_null(NAT) if numbers.null_count else numbers)


def _decode_time(values: Column, field: Field) -> Any:
    stamps = pd.DatetimeIndex(_numbers(values).view(field.dtype))
    return stamps.array if field.zone is None else stamps.tz_localize("UTC").tz_convert(zone_of(field.zone)).array


def _decode_duration(values: Column, field: Field) -> Any:
    return pd.TimedeltaIndex(_numbers(values).view(field.dtype)).array


def _decode_period(values: Column, field: Field) -> Any:
    dtype: Any = pd.PeriodDtype(field.dtype.removeprefix("period[").removesuffix("]"))
    return pd.arrays.PeriodArray(_numbers(values), dtype=dtype)


def _decode_interval(values: Column, field: Field) -> Any:
    kind, alias, dtype, closed = field.kind.removeprefix("interval[").removesuffix("]").split(" ")
    inner = Field("", field.label, kind, alias, dtype, zone=field.zone)
    pairs = [(None, None) if text is None else json.loads(text) for text in values.to_pylist()]
    if kind == "integer" and values.null_count:  # others put a null there: pandas then has floats
        inner = replace(inner, kind="float", type="double", dtype="float64")
    stored = inner.arrow_type if kind in ("integer", "float") else pa.int64()
    sides: list[Any] = []
    for side in (0, 1):
        column = pa.chunked_array([pa.array([pair[side] for pair in pairs], type=stored)])
        sides.append(index_of(_decode(column.cast(inner.arrow_type), inner)))
    make: Any = pd.arrays.IntervalArray.from_arrays
    return make(sides[0], sides[1], closed=closed)


def _decode_complex(values: Column, field: Field) -> Any:
    parts = [("nan", "0.0") if text is None else text.split(" ") for text in values.to_pylist()]
    return np.array([complex(float(real), float(imag)) for real, imag in parts], dtype=field.dtype)


DECODERS: dict[str, Callable[[Column, Field], Any]] = {
    "integer": _decode_masked,
    "boolean": _decode_masked,
    "float": _decode_masked,
    "text": _decode_text,
    "time": _decode_time,
    "instant": _decode_time,
    "duration": _decode_duration,
    "period": _decode_period,
    "interval": _decode_interval,
    "complex": _decode_complex,
}
