"""A whole frame: its columns, index and labels as one Arrow table and one FrameSchema, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from framework.errors import ColumnNotFoundError, FormatError, OptionError, SchemaError, known_names
from framework.schema.fields import (
    Field,
    decode_column,
    encode_column,
    fit,
    refuse,
    text_dtype,
    text_name,
)

VERSION = 1


@dataclass(frozen=True, slots=True)
class FrameSchema:
    """What a frame is, apart from its values.

    Attributes
    ----------
    fields : tuple of Field
        Index levels first, then columns, in the frame's order.
    index : dict
        `{"kind": "range", "start", "stop", "step", "name"}` or `{"kind": "fields"}`.
    columns : dict
        What the columns' own index is: its kind, dtype and names.
    """

    fields: tuple[Field, ...]
    index: dict[str, Any]
    columns: dict[str, Any]

    def dumps(self) -> str:
        """As JSON text with a checksum of its own, for a footer, a sidecar or a catalogue, which have none."""
        fields = [_field_to_json(field) for field in self.fields]
        data = {"millpond": VERSION, "fields": fields, "index": self.index, "columns": self.columns}
        return json.dumps({**data, "crc": _crc(data)})

    @classmethod
    def loads(cls, text: str | bytes) -> FrameSchema:
        """The schema of that JSON text; SchemaError for one that a newer Millpond wrote, FormatError for rubbish."""
        try:
            data = json.loads(text)
            if data.pop("crc") != _crc(data):
                raise ValueError("its checksum is another")
            if data["millpond"] == VERSION:
                return cls(tuple(_field_from_json(field) for field in data["fields"]), data["index"], data["columns"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"A schema on record is damaged: {error!r}.") from error
        raise SchemaError(
            f"The schema has version {data['millpond']!r}, and this Millpond reads {VERSION}.",
            cure="Upgrade with: pip install --upgrade millpond",
        )

    @property
    def names(self) -> list[str]:
        return [field.name for field in self.fields]

    @property
    def range_rows(self) -> int:
        """How many rows a RangeIndex says; what there is to go by when there is no column."""
        return len(range(self.index["start"], self.index["stop"], self.index["step"]))

    @property
    def levels(self) -> tuple[Field, ...]:
        """The fields of the index; none for a RangeIndex."""
        return tuple(field for field in self.fields if field.level is not None)

    @property
    def values(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.level is None)

    def select(self, labels: Sequence[Any], source: str) -> FrameSchema:
        """Only those columns, in that order; the index stays. A label that is repeated stands for all its columns.

        Raises
        ------
        ColumnNotFoundError
            Names what exists.
        OptionError
            A label is asked for twice.
        """
        known: dict[tuple[type, Any], list[Field]] = {}  # by type too, for 1 and True are equal
        for field in self.values:
            known.setdefault((type(field.label), field.label), []).append(field)
        asked = [label.item() if hasattr(label, "item") else label for label in labels]
        wanted: list[Field] = []
        for label in asked:
            if not isinstance(label, Hashable) or (type(label), label) not in known:
                names = [str(field.label) for field in self.values]
                raise ColumnNotFoundError(
                    f"{source!r} has no column {label!r}.", cure=known_names(str(label), names), resource=source
                )
            found = known[type(label), label]
            if found[0] in wanted:
                raise OptionError(f"columns= names {label!r} twice.", resource=source)
            wanted += found
        columns = self.columns
        if columns["kind"] == "range":
            columns = {"kind": "index", "dtype": "int64", "names": columns["names"]}
        return replace(self, fields=self.levels + tuple(wanted), columns=columns)


def _crc(data: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(data).encode())


def _field_to_json(field: Field) -> dict[str, Any]:
    data = {key: value for key, value in asdict(field).items() if value is not None and value is not False}
    if not field.missing:
        del data["missing"]
    return {**data, "label": _label_to_json(field.label)}


def _field_from_json(data: dict[str, Any]) -> Field:
    categories = data.get("categories")
    return Field(
        **{
            **data,
            "label": _label_from_json(data["label"]),
            "missing": tuple((name, count) for name, count in data.get("missing", ())),
            "categories": None if categories is None else tuple(categories),
        }
    )


def _label_to_json(label: Any) -> Any:
    return {"tuple": [_label_to_json(part) for part in label]} if isinstance(label, tuple) else label


def _label_from_json(data: Any) -> Any:
    return tuple(_label_from_json(part) for part in data["tuple"]) if isinstance(data, dict) else data


# --------------------------------------------------------------------------- encode


def encode(frame: pd.DataFrame, *, lossy: bool = False) -> tuple[pa.Table, FrameSchema]:
    """The frame as an Arrow table, with the schema that gives it back.

    Raises
    ------
    FidelityError
        For the first column, label or index that could not be given back exactly (those that can only be kept as
        text are kept so with `lossy=True`).
    """
    if not isinstance(frame, pd.DataFrame):
        raise SchemaError(
            f"A store keeps a pandas DataFrame, not {type(frame).__name__}.", cure="Wrap it: pd.DataFrame(...)"
        )
    labels = [_plain_label(label) for label in frame.columns]
    index = _index_kind(frame.index)
    parts: list[tuple[Any, Field]] = []
    if index["kind"] == "fields":
        _check_levels(frame.index)
        for level in range(frame.index.nlevels):
            name = _plain_label(frame.index.names[level])
            column, field = encode_column(frame.index.get_level_values(level), name, lossy=lossy)
            parts.append((column, replace(field, level=level)))
    for place, label in enumerate(labels):
        parts.append(encode_column(frame.iloc[:, place], label, lossy=lossy))
    fields = _named([field for _, field in parts])
    schema = FrameSchema(fields, index, _columns_kind(frame.columns))
    return table_of([column for column, _ in parts], schema.names, len(frame)), schema


def table_of(columns: list[Any], names: list[str], rows: int) -> pa.Table:
    """A table of these columns, or of that many rows when there is none."""
    return pa.table(columns, names=names) if columns else only_rows(rows)


def only_rows(rows: int) -> pa.Table:
    """A table with no column, which Arrow nevertheless lets have rows."""
    return pa.table({"": pa.nulls(rows)}).select([])


def _plain_label(label: Any) -> Any:
    """A label as JSON can keep it; numpy's integers become Python's."""
    if type(label) is str:
        return _encodable(label)
    if label is None or type(label) in (int, bool):
        return label
    if isinstance(label, tuple):
        return tuple(_plain_label(part) for part in label)
    if hasattr(label, "item") and type(label.item()) in (int, bool):
        return label.item()
    raise refuse(label, f"a label of type {type(label).__name__} is not held", cure="Rename it to text.")


def _encodable(label: str) -> str:
    try:
        label.encode()
    except UnicodeEncodeError:
        raise refuse(label, "a label with half a character is not held", cure="Rename it.") from None
    return label


def _index_kind(index: Any) -> dict[str, Any]:
    if isinstance(index, pd.RangeIndex):
        name = _label_to_json(_plain_label(index.name))
        return {"kind": "range", "start": index.start, "stop": index.stop, "step": index.step, "name": name}
    return {"kind": "fields", "multi": isinstance(index, pd.MultiIndex)}


def _check_levels(index: Any) -> None:
    """A level of integers or booleans that lacks a value would come back as another dtype."""
    if isinstance(index, pd.MultiIndex):
        for name, level, codes in zip(index.names, index.levels, index.codes, strict=True):
            if level.dtype.kind in "iub" and (codes < 0).any():
                raise refuse(name, "an index level of integers with a missing value is not held", cure="Make it Int64.")


def _columns_kind(columns: Any) -> dict[str, Any]:
    names = [_label_to_json(_plain_label(name)) for name in columns.names]
    if isinstance(columns, pd.RangeIndex):
        return {"kind": "range", "start": columns.start, "stop": columns.stop, "step": columns.step, "names": names}
    if isinstance(columns, pd.MultiIndex):
        return {"kind": "multi", "names": names}
    dtype = columns.dtype
    if isinstance(dtype, pd.StringDtype):
        return {"kind": "index", "dtype": text_name(dtype), "names": names}
    if str(dtype) not in ("object", "int64", "bool"):
        raise refuse(columns.name, f"column labels of {dtype} are not held", cure="Rename them to text.")
    return {"kind": "index", "dtype": str(dtype), "names": names}


def _named(fields: list[Field]) -> tuple[Field, ...]:
    """Each field with a unique, non-empty text under which it is stored: its label where that will do."""
    taken = {field.label for field in fields if isinstance(field.label, str) and field.level is None}
    given: set[str] = set()
    answer = []
    for field in fields:
        own = isinstance(field.label, str) and field.label != "" and (field.level is None or field.label not in taken)
        base = field.label if own else _made_name(field)
        name, count = base, 1
        while name in given or (not own and name in taken):
            name, count, own = f"{base}_{count}", count + 1, False
        given.add(name)
        answer.append(replace(field, name=name))
    return tuple(answer)


def _made_name(field: Field) -> str:
    if field.label is not None and field.label != "":
        parts = field.label if isinstance(field.label, tuple) else (field.label,)
        return "_".join(map(str, parts)) or "column"
    return "index" if field.level == 0 else "column" if field.level is None else f"index_{field.level}"


# --------------------------------------------------------------------------- decode


def decode(table: pa.Table, schema: FrameSchema) -> pd.DataFrame:
    """The frame that the table and its schema stand for."""
    index = _decode_index(table, schema)
    arrays = [decode_column(table.column(field.name), field) for field in schema.values]
    frame = pd.DataFrame({place: _typed(array, index) for place, array in enumerate(arrays)}, index=index, copy=False)
    frame.columns = _decode_columns(schema)
    return frame


def _typed(values: Any, index: Any) -> Any:
    """Objects as a Series that says so, for pandas would make text of them anew."""
    return pd.Series(values, index=index, dtype=object, copy=False) if values.dtype == object else values


def _decode_index(table: pa.Table, schema: FrameSchema) -> Any:
    spec = schema.index
    if spec["kind"] == "range":
        stop = spec["start"] + table.num_rows * spec["step"]
        unchanged = schema.range_rows == table.num_rows
        return pd.RangeIndex(
            spec["start"], spec["stop"] if unchanged else stop, spec["step"], name=_label_from_json(spec["name"])
        )
    levels = [_typed_index(decode_column(table.column(field.name), field), field) for field in schema.levels]
    names = [field.label for field in schema.levels]
    if spec["multi"]:
        return pd.MultiIndex.from_arrays(levels, names=names)
    return levels[0].rename(names[0])


def _typed_index(values: Any, field: Field) -> Any:
    if field.dtype == "object" and field.categories is None:
        return pd.Index(values, dtype=object)
    return pd.Index(values)


def _decode_columns(schema: FrameSchema) -> Any:
    spec, labels = schema.columns, [field.label for field in schema.values]
    names = [_label_from_json(name) for name in spec["names"]]
    if spec["kind"] == "range":
        return pd.RangeIndex(spec["start"], spec["stop"], spec["step"], name=names[0])
    if spec["kind"] == "multi":
        return (
            pd.MultiIndex.from_tuples(labels, names=names)
            if labels
            else pd.MultiIndex.from_arrays([[]] * len(names), names=names)
        )
    dtype: Any = spec["dtype"]
    if dtype.startswith("string["):
        dtype = text_dtype(dtype)
    return pd.Index(labels, dtype=dtype, name=names[0], tupleize_cols=False)


def plain(table: pa.Table, schema: FrameSchema) -> pa.Table:
    """The table in the fields' own Arrow types, dictionaries decoded: for formats that have no categories."""
    columns = [fit(table.column(field.name), field) for field in schema.fields]
    return table_of(columns, schema.names, table.num_rows)
