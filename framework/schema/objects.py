"""A column of Python objects as Arrow and back: by the exact types of its cells."""

from __future__ import annotations

import ctypes
import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.schema import cells as one
from framework.schema.cells import missing_of
from framework.schema.fields import MOST_RUNS, Column, Field, Runs, refuse

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

SAMPLED = 1000  # cells by which it is judged whether objects are repeated
RUN = 512  # texts that stand together, by which it is judged whether they are
MOST_BYTES = 2**31 - 1  # that one piece of Arrow's text holds

# The exact type of all cells -> the kind and the Arrow type that hold it; what does not fit there is kept as `mixed`.
ARROW_HOLDS: dict[type, tuple[str, str]] = {
    str: ("text", "string"),
    bytes: ("bytes", "binary"),
    bool: ("boolean", "bool"),
    int: ("integer", "int64"),
    float: ("float", "double"),
    dt.date: ("date", "date32"),
    dt.datetime: ("time", "timestamp[us]"),
    dt.timedelta: ("duration", "duration[us]"),
}
PRINTED: dict[type, tuple[str, Callable[[Any], str]]] = {
    Decimal: ("decimal", str),
    dt.time: ("clock", dt.time.isoformat),
    uuid.UUID: ("uuid", str),
}
READ: dict[str, Callable[[Any], Any]] = {
    "decimal": Decimal,
    "clock": dt.time.fromisoformat,
    "uuid": uuid.UUID,
    "mixed": one.loads,
}


def encode_objects(values: Any, label: Any) -> tuple[Any, Field]:
    """Arrow values and the Field of a column of objects."""
    cells = values.to_numpy()
    few, codes = once(cells)
    array, name, alias = _encoded(few, label)
    if codes is not None:
        array = spread(array, codes)
    return array, Field("", label, name, alias, "object", missing=_missing_runs(cells, array, label))


def once(cells: Any) -> tuple[Any, Any]:
    """Each object once, and which of them each cell is; all cells, and None, where few are repeated.

    It goes by the objects' addresses: a text that was read or made once is one object in all cells that hold it.
    """
    step = len(cells) // SAMPLED
    if step == 0:
        return cells, None
    cells = np.ascontiguousarray(cells)
    addresses = np.frombuffer((ctypes.c_byte * cells.nbytes).from_address(cells.ctypes.data), dtype=np.uintp)
    if len(pd.unique(addresses[::step])) * 2 > SAMPLED:
        return cells, None
    coded = pa.array(addresses).dictionary_encode()
    codes = coded.indices.to_numpy()
    first = np.empty(len(coded.dictionary), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return cells[first], coded.indices


def spread(array: Any, codes: Any, *, most: int = MOST_BYTES) -> Any:
    """The cells of the column, given each object once; in pieces of at most so many bytes of text."""
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        longest = pc.max(pc.binary_length(array)).as_py() or 1
        step = max(1, most // longest)
    else:
        step = len(codes)
    return pa.chunked_array([array.take(codes.slice(at, step)) for at in range(0, len(codes), step)])


def _encoded(cells: Any, label: Any) -> tuple[Any, str, str]:
    """Arrow values, and the kind and the Arrow type that hold them."""
    types = set(map(type, cells)) - {type(None), type(pd.NaT), type(pd.NA)}
    if float in types and len(types) <= 2 and _all_nan(cells, types):
        types.remove(float)
    kind = types.pop() if len(types) == 1 else str if not types else None
    array, name, alias = None, "mixed", "string"
    if kind in ARROW_HOLDS:
        name, alias = ARROW_HOLDS[kind]
        array = _native(cells, kind, alias)
    elif kind in PRINTED:
        name, printed = PRINTED[kind]
        array = _printed(cells, kind, printed)
    return (_mixed(cells, label), "mixed", "string") if array is None else (array, name, alias)


def _all_nan(cells: Any, types: set[type]) -> bool:
    """Whether the floats beside another type are all NaN; of text it shows when Arrow takes it."""
    return str in types or all(cell != cell for cell in cells if type(cell) is float)


def _native(cells: Any, kind: type, alias: str) -> Any:
    """None when a cell is beyond what the Arrow type holds, or tells more than it."""
    if kind is float:
        gone = [cell is None or cell is pd.NaT or cell is pd.NA for cell in cells]
        numbers = np.array([np.nan if lost else cell for cell, lost in zip(cells, gone, strict=True)], dtype=np.float64)
        return pa.array(numbers, mask=np.array(gone, dtype=bool))
    if kind is dt.datetime and any(type(cell) is kind and (cell.tzinfo or cell.fold) for cell in cells):
        return None
    try:
        return pa.array(cells, type=pa.type_for_alias(alias), from_pandas=True)
    except (pa.ArrowException, UnicodeError, OverflowError):
        return None


def _printed(cells: Any, kind: type, printed: Callable[[Any], str]) -> Any:
    if kind is dt.time and any(type(cell) is kind and (cell.tzinfo or cell.fold) for cell in cells):
        return None
    return pa.array([printed(cell) if type(cell) is kind else None for cell in cells], type=pa.string())


def _mixed(cells: Any, label: Any) -> Any:
    texts = []
    for cell in cells:
        try:
            texts.append(None if one.is_missing(cell) else one.dumps(cell))
        except one.Unheld as error:
            raise refuse(label, str(error)) from None
    return pa.array(texts, type=pa.string())


def retold(cells: Any, label: Any) -> Column:
    """The cells of any column of objects, as `mixed` keeps them."""
    return pa.chunked_array([_mixed(cells, label)])


def _missing_runs(cells: Any, array: Any, label: Any) -> Runs:
    if array.null_count == 0:
        return ()
    gone = cells[np.asarray(array.is_null())]
    runs = tuple((name, len(list(same))) for name, same in groupby(map(_missing_name, gone)))
    if len(runs) > MOST_RUNS:
        raise refuse(label, "None and NaN alternate too often to be told apart")
    return runs


def _missing_name(cell: Any) -> str:
    name = one.missing_name(cell)
    assert name is not None, type(cell)
    return name


# --------------------------------------------------------------------------- back


def decode_objects(values: Column, field: Field) -> Any:
    """The objects of a column; None, nan, NaT and NA in the places where they were."""
    if field.kind in ("text", "bytes"):
        texts = values.to_pandas(deduplicate_objects=_repeat(values))
        gone: dict[str, Any] = {"na_value": None} if values.null_count and texts.dtype != object else {}
        cells = texts.to_numpy(dtype=object, **gone)
        cells = cells if cells.flags.writeable else cells.copy()
    else:
        cells = np.empty(len(values), dtype=object)
        read, found = READ.get(field.kind), values.to_pylist()
        held = found if read is None else [None if cell is None else read(cell) for cell in found]
        for place, cell in enumerate(held):  # one by one: a list is a cell, not several
            cells[place] = cell
    return _mark_missing(cells, values, field.missing)


def _repeat(values: Column) -> bool:
    """Whether texts seem to repeat: then equal ones are made one object, which takes long where each is another."""
    step = len(values) // 8
    if step < RUN:
        return True
    runs = [piece for at in range(8) for piece in values.slice(at * step, RUN).chunks]
    return bool(pc.count_distinct(pa.chunked_array(runs, type=values.type)).as_py() < 0.98 * 8 * RUN)


def _mark_missing(cells: Any, values: Column, runs: Runs) -> Any:
    if values.null_count == 0 or not runs or (len(runs) == 1 and runs[0][0] == "None"):
        return cells
    places = np.flatnonzero(values.is_null().to_numpy())
    changed = sum(count for _, count in runs) != len(places)  # by others: then the first kind is for all
    if len(runs) == 1 or changed:
        cells[places] = missing_of(runs[0][0])
        return cells
    start = 0
    for name, count in runs:
        cells[places[start : start + count]] = missing_of(name)
        start += count
    return cells


def as_text(values: Any) -> Any:
    """The cells as Python prints them, a missing one None: what `lossy=True` keeps."""
    texts = [None if one.is_missing(cell) else str(cell).encode("utf-8", "replace").decode() for cell in values]
    return pd.Series(texts, dtype=object)
