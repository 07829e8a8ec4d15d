"""Labels of columns and names of levels: as JSON, and the columns' own index."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from framework.schema import cells
from framework.schema.columns import COUNTED, decode_column, encode_column
from framework.schema.fields import Field, refuse, text_dtype, text_name

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

RENAME = "Rename it to text."
PLAIN = ("object", "int64", "bool")  # dtypes of labels that need no more than their name


def plain_label(label: Any) -> Any:
    """The label as a schema keeps it; FidelityError for one that could not be given back."""
    if type(label) is str:
        return _encodable(label)
    if label is None or type(label) in (int, bool):
        return label
    if isinstance(label, tuple):
        return tuple(plain_label(part) for part in label)
    if cells.is_missing(label):
        return cells.missing_of(str(cells.missing_name(label)))  # one NaN for all, so that it is found again
    try:
        cells.dumps(label)
    except cells.Unheld:
        raise refuse(label, f"a label of type {type(label).__name__} is not held", cure=RENAME) from None
    return label


def _encodable(label: str) -> str:
    try:
        label.encode()
    except UnicodeEncodeError:
        raise refuse(label, "a label with half a character is not held", cure="Rename it.") from None
    return label


def label_to_json(label: Any) -> Any:
    return {"tuple": [label_to_json(part) for part in label]} if isinstance(label, tuple) else cells.told(label)


def label_from_json(data: Any) -> Any:
    if isinstance(data, dict) and "tuple" in data:
        return tuple(label_from_json(part) for part in data["tuple"])
    return cells.meant(data)


# --------------------------------------------------------------------------- fields

SLOTS = ("name", "kind", "type", "dtype", "level", "missing", "zone", "ordered", "note")


def field_to_json(field: Field) -> dict[str, Any]:
    data = {slot: getattr(field, slot) for slot in SLOTS}
    data = {slot: value for slot, value in data.items() if value is not None and value is not False and value != ()}
    if field.categories is not None:
        data["categories"] = categories_to_json(field)
    return {**data, "label": label_to_json(field.label)}


def field_from_json(data: dict[str, Any]) -> Field:
    missing = tuple((name, count) for name, count in data.get("missing", ()))
    field = Field(**{**data, "label": label_from_json(data["label"]), "missing": missing})
    if field.categories is None:
        return field
    return Field(**{**data, "label": field.label, "missing": missing, "categories": _categories_from_json(field)})


def categories_to_json(field: Field) -> list[Any]:
    """The categories as numbers and text: times as counts, bytes as base64."""
    kept = list(field.categories or ())
    if field.kind == "bytes":
        return [base64.b64encode(cell).decode() for cell in kept]
    if field.kind in COUNTED:
        return pa.array(kept, type=field.arrow_type).cast(COUNTED[field.kind]).to_pylist()  # type: ignore[no-any-return]
    return kept


def _categories_from_json(field: Field) -> tuple[Any, ...]:
    kept = list(field.categories or ())
    if field.kind == "bytes":
        return tuple(base64.b64decode(cell) for cell in kept)
    if field.kind in COUNTED:
        return tuple(pa.array(kept, type=COUNTED[field.kind]).cast(field.arrow_type).to_pylist())
    return tuple(kept)


# --------------------------------------------------------------------------- the columns' own index


def columns_spec(columns: Any, labels: list[Any]) -> dict[str, Any]:
    """What the columns' index is, beside its labels."""
    names = [label_to_json(plain_label(name)) for name in columns.names]
    if isinstance(columns, pd.RangeIndex):
        return {"kind": "range", "start": columns.start, "stop": columns.stop, "step": columns.step, "names": names}
    if isinstance(columns, pd.MultiIndex):
        spec = {"kind": "multi", "names": names, "levels": [_level_spec(level) for level in columns.levels]}
    else:
        spec = {"kind": "index", "names": names, **_level_spec(columns)}
    if "like" in spec or "levels" in spec:
        _check(columns, spec, labels)
    return spec


def _level_spec(index: Any) -> dict[str, Any]:
    if isinstance(index.dtype, pd.StringDtype):
        return {"dtype": text_name(index.dtype)}
    if str(index.dtype) in PLAIN:
        return {"dtype": str(index.dtype)}
    _, field = encode_column(index, None, lossy=False)
    return {"dtype": field.shown, "like": field_to_json(field)}


def _check(columns: Any, spec: dict[str, Any], labels: list[Any]) -> None:
    """What pandas does not make of the labels again is refused."""
    try:
        made = columns_from(spec, labels)
        same = type(made) is type(columns) and made.equals(columns) and _dtypes(made) == _dtypes(columns)
    except (ValueError, TypeError, ArithmeticError):
        same = False
    if not same:
        raise refuse(columns.name, f"column labels of {columns.dtype} such as these are not held", cure=RENAME)


def _dtypes(index: Any) -> list[Any]:
    return [level.dtype for level in (index.levels if isinstance(index, pd.MultiIndex) else [index])]


def columns_from(spec: dict[str, Any], labels: list[Any]) -> Any:
    """The columns' index of these labels."""
    names = [label_from_json(name) for name in spec["names"]]
    if spec["kind"] == "range":
        return pd.RangeIndex(spec["start"], spec["stop"], spec["step"], name=names[0])
    if spec["kind"] == "index":
        return _index(labels, spec).rename(names[0])
    levels = spec.get("levels")
    if levels is None or any(not isinstance(label, tuple) or len(label) != len(levels) for label in labels):
        return _of_tuples(labels, names)
    parts = [_index([label[at] for label in labels], level) for at, level in enumerate(levels)]
    return pd.MultiIndex.from_arrays(parts, names=names)


def _of_tuples(labels: list[Any], names: list[Any]) -> Any:
    if labels:
        return pd.MultiIndex.from_tuples(labels, names=names)
    return pd.MultiIndex.from_arrays([[]] * len(names), names=names)


def _index(labels: list[Any], spec: dict[str, Any]) -> Any:
    dtype: Any = spec["dtype"]
    if "like" in spec:
        like = field_from_json(spec["like"])
        dtype = decode_column(pa.chunked_array([], type=like.arrow_type), like).dtype
    elif dtype.startswith("string["):
        dtype = text_dtype(dtype)
    if dtype == "object":
        held = np.empty(len(labels), dtype=object)
        for place, label in enumerate(labels):  # one by one: a tuple is a label, not several
            held[place] = label
        return pd.Index(held, dtype=object, tupleize_cols=False)
    return pd.Index(labels, dtype=dtype, tupleize_cols=False)
