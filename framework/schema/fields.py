"""One column: pandas to Arrow and back, with a Field that says what Arrow alone would forget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FidelityError

Runs = tuple[tuple[str, int], ...]
Column = Any  # a pyarrow.ChunkedArray

MISSING: dict[str, Any] = {"None": None, "nan": float("nan"), "NaT": pd.NaT, "NA": pd.NA}
MOST_RUNS = 50_000  # beyond this the record of missing kinds would outgrow the data


@dataclass(frozen=True, slots=True)
class Field:
    """What a column is, apart from its values.

    Attributes
    ----------
    name : str
        Under which it is stored; unique text.
    label : Any
        Its label in the frame, or the name of its index level.
    kind : str
        integer, float, boolean, text, bytes, time, instant (a time with a zone), duration, date.
    type : str
        The Arrow type, by alias; `instant` is kept in UTC.
    dtype : str
        The pandas dtype to give back.
    missing : runs of (kind, count)
        Which of None, nan, NaT, NA the missing cells are, in order; one run stands for all, none means the dtype's own.
    """

    name: str
    label: Any
    kind: str
    type: str
    dtype: str
    level: int | None = None
    missing: Runs = ()
    zone: str | None = None
    categories: tuple[Any, ...] | None = None
    ordered: bool = False
    note: str | None = None

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the plain values (never a dictionary)."""
        kind = pa.type_for_alias(self.type)
        return pa.timestamp(kind.unit, "UTC") if self.kind == "instant" else kind

    @property
    def shown(self) -> str:
        """The dtype as a person reads it."""
        if self.categories is not None:
            return "category"
        if self.dtype.startswith("string["):
            return "string"
        return self.dtype if self.zone is None else self.dtype.replace("]", f", {self.zone}]")

    @property
    def nullable(self) -> bool:
        """Whether the pandas dtype can hold a missing cell."""
        return (
            self.categories is not None or not self.dtype.startswith(("int", "uint", "bool")) or self.dtype == "boolean"
        )


TO_TEXT = "Convert it to one of the types that stores hold, or pass lossy=True to keep it as text."


def refuse(label: Any, why: str, *, cure: str = TO_TEXT) -> FidelityError:
    return FidelityError(f"Column {label!r}: {why}.", cure=cure, resource=str(label), operation="save")


# --------------------------------------------------------------------------- pandas -> Arrow


def encode_column(values: Any, label: Any, *, lossy: bool) -> tuple[Column, Field]:
    """Arrow values and the Field of one column; FidelityError for what could not be given back."""
    try:
        array, field = _encode_exactly(values, label)
    except FidelityError:
        if not lossy:
            raise
        array, field = _encode_exactly(_as_text(values), label)
    return (array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])), field


def _encode_exactly(values: Any, label: Any) -> tuple[Any, Field]:
    try:
        return _encode(values, label)
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise refuse(label, f"a value cannot be kept ({error})") from error


def _as_text(values: Any) -> Any:
    cells = [None if _is_missing(cell) else str(cell) for cell in values]
    return pd.Series(
        [None if cell is None else cell.encode("utf-8", "replace").decode() for cell in cells], dtype=object
    )


def _is_missing(cell: Any) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell)


def _encode(values: Any, label: Any) -> tuple[Any, Field]:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _encode_category(values.array, label)
    if isinstance(dtype, pd.StringDtype):
        array = pa.array(values.to_numpy(dtype=object), type=pa.string(), from_pandas=True)
        return array, Field("", label, "text", "string", text_name(dtype))
    if isinstance(dtype, pd.DatetimeTZDtype):
        zone = str(dtype.tz)
        if not _zone_comes_back(dtype, zone):
            raise refuse(label, f"the time zone {zone!r} has no name by which it can be found again")
        array = pa.array(values.array.tz_convert("UTC"))
        return array, Field("", label, "instant", f"timestamp[{dtype.unit}]", f"datetime64[{dtype.unit}]", zone=zone)
    if isinstance(dtype, np.dtype):
        return _encode_object(values, label) if dtype.hasobject else _encode_numpy(values, label, dtype)
    if str(dtype) in MASKED:
        kind, alias = MASKED[str(dtype)]
        return pa.array(values.array, type=pa.type_for_alias(alias), from_pandas=False), Field(
            "", label, kind, alias, str(dtype)
        )
    raise refuse(label, f"the dtype {dtype} is not held")


INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = {"float16": "halffloat", "float32": "float", "float64": "double"}
MASKED = {
    **{name.replace("int", "Int").replace("u", "U"): ("integer", name) for name in INTEGERS},
    "Float32": ("float", "float"),
    "Float64": ("float", "double"),
    "boolean": ("boolean", "bool"),
}


def _encode_numpy(values: Any, label: Any, dtype: np.dtype[Any]) -> tuple[Any, Field]:
    name = dtype.name
    plain = values.to_numpy()
    if not dtype.isnative:
        raise refuse(label, f"the dtype {dtype.str} is not in this machine's byte order")
    if name == "bool":
        return pa.array(plain), Field("", label, "boolean", "bool", "bool")
    if name in INTEGERS:
        return pa.array(plain), Field("", label, "integer", name, name)
    if name in FLOATS:
        return pa.array(plain, from_pandas=True), Field("", label, "float", FLOATS[name], name)
    if dtype.kind in "mM":
        unit = np.datetime_data(dtype)[0]
        kind, alias = ("time", f"timestamp[{unit}]") if dtype.kind == "M" else ("duration", f"duration[{unit}]")
        return pa.array(plain, type=pa.type_for_alias(alias)), Field("", label, kind, alias, f"{dtype.name}")
    raise refuse(label, f"the dtype {dtype} is not held")


# What pandas says of an object column -> the exact Python type, kind and Arrow type that hold it.
OBJECTS: dict[str, tuple[type, str, str]] = {
    "string": (str, "text", "string"),
    "empty": (str, "text", "string"),
    "bytes": (bytes, "bytes", "binary"),
    "date": (date, "date", "date32"),
    "boolean": (bool, "boolean", "bool"),
    "integer": (int, "integer", "int64"),
}


def _encode_object(values: Any, label: Any) -> tuple[Any, Field]:
    cells = values.to_numpy()
    inferred = pd.api.types.infer_dtype(cells, skipna=True)
    if inferred not in OBJECTS:
        kinds = sorted({type(cell).__name__ for cell in cells if cell is pd.NaT or not _is_missing(cell)})
        raise refuse(label, f"an object column of {' and '.join(kinds) or inferred} is not held")
    exact, kind, alias = OBJECTS[inferred]
    array = pa.array(cells, type=pa.type_for_alias(alias), from_pandas=True)
    if kind != "text" and any(type(cell) is not exact for cell in cells if not _is_missing(cell)):
        raise refuse(label, f"an object column that holds other types beside {exact.__name__} is not held")
    return array, Field("", label, kind, alias, "object", missing=_missing_runs(cells, array, label))


def _missing_runs(cells: Any, array: Any, label: Any) -> Runs:
    if array.null_count == 0:
        return ()
    gone = cells[np.asarray(array.is_null())]
    runs = tuple((name, len(list(same))) for name, same in groupby(_missing_name(cell, label) for cell in gone))
    if len(runs) > MOST_RUNS:
        raise refuse(label, "None and NaN alternate too often to be told apart")
    return runs


def _missing_name(cell: Any, label: Any) -> str:
    if cell is None:
        return "None"
    if cell is pd.NaT:
        return "NaT"
    if cell is pd.NA:
        return "NA"
    if isinstance(cell, float):
        return "nan"
    raise refuse(label, f"a missing value of type {type(cell).__name__} is not held")


def text_name(dtype: Any) -> str:
    """A pandas string dtype by its storage and missing value, which its own name leaves out."""
    return f"string[{dtype.storage},{'NA' if dtype.na_value is pd.NA else 'nan'}]"


def text_dtype(name: str) -> Any:
    """The pandas string dtype of that name."""
    storage, missing = name.removeprefix("string[").removesuffix("]").split(",")
    make: Any = pd.StringDtype
    return make(storage, na_value=float("nan") if missing == "nan" else pd.NA)


def zone_is_known(zone: str) -> bool:
    """Whether pandas finds a time zone of that name."""
    try:
        pd.DatetimeTZDtype("ns", zone)
    except (TypeError, KeyError, ValueError):
        return False
    return True


def _zone_comes_back(dtype: pd.DatetimeTZDtype, zone: str) -> bool:
    try:
        return pd.DatetimeTZDtype(dtype.unit, zone) == dtype
    except (TypeError, KeyError, ValueError):
        return False


def _encode_category(values: Any, label: Any) -> tuple[Any, Field]:
    categories = values.categories
    dictionary, inner = encode_column(categories, label, lossy=False)
    if inner.kind not in ("text", "integer", "float", "boolean"):
        raise refuse(label, f"categories of {categories.dtype} are not held")
    codes = pa.array(values.codes, mask=values.codes < 0)
    array = pa.DictionaryArray.from_arrays(codes, dictionary.combine_chunks())
    return array, replace(inner, categories=tuple(dictionary.to_pylist()), ordered=bool(values.ordered))


# --------------------------------------------------------------------------- Arrow -> pandas


def decode_column(column: Column, field: Field) -> Any:
    """The pandas array of one column, of the recorded dtype."""
    if field.categories is not None:
        return _decode_category(column, field)
    values = fit(column, field)
    if values.null_count and not field.nullable:
        field = replace(field, dtype=WIDER.get(field.dtype, field.dtype))  # others put a null where there was none
    return DECODERS[field.kind](values, field)


WIDER = {"bool": "boolean", **{dtype: masked for masked, (kind, dtype) in MASKED.items() if kind == "integer"}}


def fit(column: Column, field: Field) -> Column:
    """The values in the field's own Arrow type; a cast that would change a value raises."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    wanted = field.arrow_type
    if column.type == wanted:
        return column
    if pa.types.is_float16(wanted):
        return pa.chunked_array([pa.array(column.to_numpy().astype("float16"), from_pandas=True)], type=wanted)
    return column.cast(wanted)


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
            raise FidelityError(
                f"Column {field.label!r} holds {pc.filter(values, strange)[0].as_py()!r}, none of its categories.",
                cure="Somebody wrote it past Millpond: put the value right, or restore a backup.",
                resource=str(field.label),
            )
    numbers = _writable(codes.fill_null(-1).to_numpy())
    categories = pd.Index(decode_column(known, inner))
    return pd.Categorical.from_codes(numbers, categories=categories, ordered=field.ordered)


def _decode_masked(values: Column, field: Field) -> Any:
    if field.dtype == "object":
        return _decode_object(values, field)
    if field.dtype not in MASKED:
        return _writable(values.to_numpy().astype(field.dtype, copy=False))
    nothing = pa.scalar(0).cast(values.type)
    numbers, gone = values.fill_null(nothing).to_numpy(), values.is_null().to_numpy()
    return MASKED_ARRAYS[field.kind](_writable(numbers), _writable(gone))  # made so, a NaN beside NA stays one


MASKED_ARRAYS: dict[str, Any] = {
    "integer": pd.arrays.IntegerArray,
    "float": pd.arrays.FloatingArray,
    "boolean": pd.arrays.BooleanArray,
}


def _writable(numbers: Any) -> Any:
    """Arrow lends its memory read-only; a frame's owner may write."""
    return numbers if numbers.flags.writeable else numbers.copy()


def _decode_object(values: Column, field: Field) -> Any:
    if field.kind == "integer" or field.kind == "boolean" or field.kind == "date":
        cells = np.empty(len(values), dtype=object)
        cells[:] = values.to_pylist()
    else:
        texts = values.to_pandas()  # equal texts are one object
        gone: dict[str, Any] = {"na_value": None} if values.null_count else {}
        cells = _writable(texts.to_numpy(dtype=object, **gone))
    return _mark_missing(cells, values, field.missing)


def _mark_missing(cells: Any, values: Column, runs: Runs) -> Any:
    """Give back None, nan, NaT or NA in the places where they were."""
    if values.null_count == 0 or not runs or (len(runs) == 1 and runs[0][0] == "None"):
        return cells
    places = np.flatnonzero(values.is_null().to_numpy())
    changed = sum(count for _, count in runs) != len(places)  # by others: then the first kind is for all
    if len(runs) == 1 or changed:
        cells[places] = MISSING[runs[0][0]]
        return cells
    start = 0
    for name, count in runs:
        cells[places[start : start + count]] = MISSING[name]
        start += count
    return cells


def _decode_text(values: Column, field: Field) -> Any:
    if field.dtype == "object":
        return _decode_object(values, field)
    dtype = text_dtype(field.dtype)
    return pd.array(_decode_object(values, replace(field, missing=())), dtype=dtype)


def _decode_time(values: Column, field: Field) -> Any:
    numbers = values.cast(pa.int64()).fill_null(np.iinfo("int64").min).to_numpy()
    stamps = pd.DatetimeIndex(_writable(numbers).view(field.dtype))
    return stamps.array if field.zone is None else stamps.tz_localize("UTC").tz_convert(field.zone).array


def _decode_duration(values: Column, field: Field) -> Any:
    numbers = values.cast(pa.int64()).fill_null(np.iinfo("int64").min).to_numpy()
    return pd.TimedeltaIndex(_writable(numbers).view(field.dtype)).array


DECODERS: dict[str, Callable[[Column, Field], Any]] = {
    "integer": _decode_masked,
    "boolean": _decode_masked,
    "float": _decode_masked,
    "text": _decode_text,
    "bytes": _decode_object,
    "date": _decode_object,
    "time": _decode_time,
    "instant": _decode_time,
    "duration": _decode_duration,
}
