"""The fingerprint: one hash over what a frame means, whatever holds it.

It covers labels, order, kinds, values, which cells are missing and as what, the index and the categories. It does not
cover backing dtypes (object text and a string dtype with the same cells are one), chunking, or how a store
lays values out.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa

from framework.schema.fields import Field, fit
from framework.schema.frames import FrameSchema

SPEC = "1"


def fingerprint(table: pa.Table, schema: FrameSchema) -> str:
    """Hex digest of the frame that the table and its schema stand for; equal frames have equal fingerprints."""
    digest = hashlib.sha256(f"millpond {SPEC} {table.num_rows}".encode())
    index = dict(schema.index)
    if index["kind"] == "range":
        index["stop"] = index["start"] + table.num_rows * index["step"]
    columns = {key: value for key, value in schema.columns.items() if key == "names"}
    digest.update(json.dumps([index, columns], sort_keys=True).encode())
    for field in schema.fields:
        column = fit(table.column(field.name), field)
        digest.update(json.dumps(_meaning(field, column), default=str).encode())
        for buffer in _canonical(column):
            digest.update(buffer)
    return digest.hexdigest()


def _meaning(field: Field, column: Any) -> list[Any]:
    runs = (
        field.missing
        if column.null_count and len(field.missing) > 1
        else field.missing[:1]
        if column.null_count
        else ()
    )
    names = [name for name, _ in runs] if len(runs) == 1 else list(runs)
    categories = None if field.categories is None else [list(field.categories), field.ordered]
    unit = field.type if field.kind in ("time", "instant", "duration") else ""
    return [repr(field.label), field.level, field.kind, unit, field.zone, names, categories]


def _canonical(column: Any) -> list[Any]:
    """Bytes that depend on the values alone: neither on offsets, nor chunks, nor what lies under a null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=array.type)
    valid = np.asarray(array.is_valid())
    mask = b"" if array.null_count == 0 else np.packbits(valid).tobytes()
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        return [mask, *_text(array, valid)]
    return [mask, np.ascontiguousarray(_numbers(array, valid))]


def _text(array: Any, valid: Any) -> list[Any]:
    if array.null_count:
        array = array.drop_null()
    large = array.cast(pa.large_binary())
    _, offsets, data = large.buffers()
    begin = np.frombuffer(offsets, dtype=np.int64)[large.offset : large.offset + len(large) + 1]
    if not len(begin):
        return []
    body = memoryview(data)[begin[0] : begin[-1]] if data is not None else b""
    return [np.ascontiguousarray(begin - begin[0]), body]


def _numbers(array: Any, valid: Any) -> Any:
    kind = array.type
    if pa.types.is_boolean(kind):
        return np.asarray(array.fill_null(False))
    if pa.types.is_floating(kind):
        numbers = np.array(array.to_numpy(zero_copy_only=False), dtype=np.float64)
        numbers[np.isnan(numbers)] = np.nan  # one NaN for all
        return numbers
    if pa.types.is_date(kind):
        array = array.cast(pa.int32())
    elif not pa.types.is_integer(kind):
        array = array.cast(pa.int64())
    numbers = array.fill_null(0).to_numpy(zero_copy_only=False)
    return numbers if numbers.dtype == np.uint64 else numbers.astype(np.int64, copy=False)
