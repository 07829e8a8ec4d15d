"""What one column is apart from its values: its Field, and the names of dtypes, types and missing cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from framework.errors import FidelityError
from framework.schema import zones

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

__all__ = ["FLOATS", "INTEGERS", "MASKED", "MOST_RUNS", "OBJECTS", "WIDER", "Column", "Field", "Runs"]

Runs = tuple[tuple[str, int], ...]
Column = Any  # a pyarrow.ChunkedArray

MOST_RUNS = 50_000  # beyond this the record of missing kinds would outgrow the data
ARROW = "[pyarrow]"

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = {"float16": "halffloat", "float32": "float", "float64": "double"}
MASKED = {
    **{name.replace("int", "Int").replace("u", "U"): ("integer", name) for name in INTEGERS},
    "Float32": ("float", "float"),
    "Float64": ("float", "double"),
    "boolean": ("boolean", "bool"),
}
WIDER = {"bool": "boolean", **{dtype: masked for masked, (kind, dtype) in MASKED.items() if kind == "integer"}}

# What pandas says of an object column -> the exact Python type, kind and Arrow type that hold it.
OBJECTS: dict[str, tuple[type, str, str]] = {
    "string": (str, "text", "string"),
    "bytes": (bytes, "bytes", "binary"),
    "date": (date, "date", "date32"),
}


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
        integer, float, boolean, text, bytes, time, instant (a time with a zone), duration, date; and those that are
        stored as text or counts: decimal, clock (a time of day), uuid, mixed, `period[...]`, `interval[...]`, complex.
        Values of two kinds are never the same, even where both are stored alike.
    type : str
        The Arrow type, by alias; `instant` is kept in UTC.
    dtype : str
        The pandas dtype to give back.
    missing : runs of (kind, count)
        Which of None, nan, NaT, NA the missing cells are, in order; one run stands for all, none means the dtype's own.
    zone : str, optional
        The time zone by name, as `zones.zone_of` finds it.
    categories : tuple, optional
        As Arrow's own Python values.
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
        kind = type_of(self.type)
        return pa.timestamp(kind.unit, "UTC") if self.kind == "instant" else kind

    @property
    def shown(self) -> str:
        """The dtype as a person reads it."""
        if self.categories is not None:
            return "category"
        if self.dtype == "object":
            return self.kind if self.kind in ("decimal", "clock", "uuid", "mixed") else "object"
        if self.dtype.endswith(ARROW):
            return self.dtype
        if self.dtype.startswith("string["):
            return "string"
        return self.dtype if self.zone is None else self.dtype.replace("]", f", {zones.shown(self.zone)}]")

    @property
    def nullable(self) -> bool:
        """Whether the pandas dtype can hold a missing cell; a level of plain integers or booleans can lack one too."""
        if self.categories is not None:
            return True
        return not self.kind.startswith("interval[integer") and (self.dtype not in WIDER or self.level is not None)


TO_TEXT = "Convert it to one of the types that stores hold, or pass lossy=True to keep it as text."


def refuse(label: Any, why: str, *, cure: str = TO_TEXT) -> FidelityError:
    return FidelityError(f"Column {label!r}: {why}.", cure=cure, resource=str(label), operation="save")


def nothing_of(field: Field) -> str:
    """Which kind of missing a cell is where nothing but the dtype says it."""
    if field.dtype == "object":
        return "None"
    if field.dtype in MASKED or field.dtype.endswith((ARROW, ",NA]")):
        return "NA"
    return "nan" if field.kind in ("text", "float") else "NaT"


def text_name(dtype: Any) -> str:
    """A pandas string dtype by its storage and missing value, which its own name leaves out."""
    return f"string[{dtype.storage},{'NA' if dtype.na_value is pd.NA else 'nan'}]"


def text_dtype(name: str) -> Any:
    """The pandas string dtype of that name."""
    storage, missing = name.removeprefix("string[").removesuffix("]").split(",")
    make: Any = pd.StringDtype
    return make(storage, na_value=float("nan") if missing == "nan" else pd.NA)


PARTS: dict[re.Pattern[str], Any] = {
    re.compile(r"(decimal\d+)\((\d+), (-?\d+)\)"): lambda name, *sizes: getattr(pa, name)(*map(int, sizes)),
    re.compile(r"timestamp\[(\w+), tz=(.+)\]"): pa.timestamp,
    re.compile(r"fixed_size_binary\[(\d+)\]"): lambda size: pa.binary(int(size)),
}


@lru_cache(maxsize=256)
def type_of(name: str) -> pa.DataType:
    """The Arrow type that prints so."""
    for pattern, make in PARTS.items():
        found = pattern.fullmatch(name)
        if found:
            return make(*found.groups())
    return pa.type_for_alias(name)


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
