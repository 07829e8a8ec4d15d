"""A whole frame: its columns, index and labels as one Arrow table and one FrameSchema, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import ColumnNotFoundError, FidelityError, FormatError, OptionError, SchemaError, known_names
from framework.schema.fields import (
    MASKED,
    OBJECTS,
    Field,
    decode_column,
    encode_column,
    fit,
    refuse,
    text_dtype,
    text_name,
    zone_is_known,
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
    return _table([column for column, _ in parts], schema.names, len(frame)), schema


def _table(columns: list[Any], names: list[str], rows: int) -> pa.Table:
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


# --------------------------------------------------------------------------- tables that others wrote


def natural(table: pa.Table, source: str) -> FrameSchema:
    """The schema of a table that came without one: the dtype that loses nothing for each Arrow type.

    Raises
    ------
    FidelityError
        For the first column of a type that is not read.
    """
    fields = [_natural_field(name, table.column(name), source) for name in table.column_names]
    index = {"kind": "range", "start": 0, "stop": table.num_rows, "step": 1, "name": None}
    return FrameSchema(tuple(fields), index, {"kind": "index", "dtype": "object", "names": [None]})


def _natural_field(name: str, column: Any, source: str) -> Field:
    kind, nulls = column.type, column.null_count > 0
    if pa.types.is_dictionary(kind):
        values = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        inner = _natural_field(name, pa.chunked_array([values.dictionary]), source)
        return replace(inner, categories=tuple(values.dictionary.to_pylist()), ordered=kind.ordered)
    if pa.types.is_integer(kind):
        masked = {dtype: name for name, (_, dtype) in MASKED.items()}
        return Field(name, name, "integer", str(kind), masked[str(kind)] if nulls else str(kind))
    if pa.types.is_floating(kind):
        return Field(
            name, name, "float", str(kind), {"halffloat": "float16", "float": "float32"}.get(str(kind), "float64")
        )
    if pa.types.is_boolean(kind):
        return Field(name, name, "boolean", "bool", "boolean" if nulls else "bool")
    if pa.types.is_timestamp(kind) and (kind.tz is None or zone_is_known(kind.tz)):
        dtype = f"datetime64[{kind.unit}]"
        return Field(name, name, "instant" if kind.tz else "time", f"timestamp[{kind.unit}]", dtype, zone=kind.tz)
    if pa.types.is_duration(kind):
        return Field(name, name, "duration", str(kind), f"timedelta64[{kind.unit}]")
    for held, alias in ((pa.types.is_date, "date"), (_is_text, "string"), (_is_bytes, "bytes")):
        if held(kind):
            _, family, stored = OBJECTS[alias]
            return Field(name, name, family, stored, "object")
    raise FidelityError(
        f"Column {name!r} of {source!r} has the type {kind}, which is not read yet.",
        cure="Leave it out with columns=[...].",
        resource=source,
    )


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null))


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary))


def plain(table: pa.Table, schema: FrameSchema) -> pa.Table:
    """The table in the fields' own Arrow types, dictionaries decoded: for formats that have no categories."""
    columns = [fit(table.column(field.name), field) for field in schema.fields]
    return _table(columns, schema.names, table.num_rows)


# --------------------------------------------------------------------------- append


def append(
    old: tuple[pa.Table, FrameSchema], new: tuple[pa.Table, FrameSchema], source: str
) -> tuple[pa.Table, FrameSchema]:
    """The old rows followed by the new ones, under the old schema; SchemaError if they do not fit."""
    (old_table, before), (new_table, after) = old, new
    had = {field.name: old_table.column(field.name).null_count for field in before.fields}
    rows = old_table.num_rows + new_table.num_rows
    schema, added = joined(before, (new_table, after), had=had.__getitem__, rows=rows, source=source)
    columns = [
        pa.chunked_array([*fit(old_table.column(field.name), field).chunks, *column.chunks], type=field.arrow_type)
        for field, column in zip(schema.fields, added, strict=True)
    ]
    return _table(columns, schema.names, rows), schema


def joined(
    before: FrameSchema,
    new: tuple[pa.Table, FrameSchema],
    *,
    had: Callable[[str], int],
    rows: int,
    source: str,
) -> tuple[FrameSchema, list[Any]]:
    """The schema of old and new rows together, and the new columns in its order and types.

    Parameters
    ----------
    had : callable
        How many cells of an old column, by its stored name, are missing.
    rows : int
        How many there are together.

    Raises
    ------
    SchemaError
        For the first column that does not fit.
    """
    new_table, after = new
    fields, columns = [], []
    for mine, theirs in _matched(before, after, source):
        column = new_table.column(theirs.name)
        field = _joined(mine, theirs, had, column.null_count, source)
        columns.append(_fitted(column, field, source))
        fields.append(field)
    index = before.index
    if index["kind"] == "range":
        index = {**index, "stop": index["start"] + rows * index["step"]}
    return replace(before, fields=tuple(fields), index=index), columns


def _fitted(column: Any, field: Field, source: str) -> Any:
    """The new values in the old type; SchemaError if one of them would change."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        fitted = fit(column, field)
        if pa.types.is_floating(fitted.type) and fitted.type != column.type:  # only there is a cast silent
            back = fitted.cast(column.type)
            changed = pc.not_equal(back, column)
            if pa.types.is_floating(column.type):
                changed = pc.and_(changed, pc.invert(pc.is_nan(column)))
            if pc.any(changed).as_py():
                raise _unfit(field.label, source, f"is {field.dtype}, and a new value is too fine or too large for it")
    except pa.ArrowException as error:
        raise _unfit(field.label, source, f"is {field.shown}, and a new value does not fit ({error})") from error
    return fitted


def _matched(before: FrameSchema, after: FrameSchema, source: str) -> list[tuple[Field, Field]]:
    if (before.index["kind"], len(before.levels)) != (after.index["kind"], len(after.levels)):
        raise SchemaError(
            f"{source!r} has {_index_words(before)} and the new rows have {_index_words(after)}.",
            cure="Give them the same index, or save with mode='replace'.",
            resource=source,
        )
    if [(f.level, f.label) for f in before.fields] == [(f.level, f.label) for f in after.fields]:
        return list(zip(before.fields, after.fields, strict=True))  # labels may be repeated
    known = {(field.level, field.label): field for field in after.fields}
    mine = {(field.level, field.label) for field in before.fields}
    if len(known) != len(after.fields) or mine != set(known):
        gone = sorted(str(label) for _, label in mine - set(known))
        more = sorted(str(label) for _, label in set(known) - mine)
        raise SchemaError(
            f"The new rows do not have the columns of {source!r}: missing {gone or 'none'}, unknown {more or 'none'}.",
            cure="Give them the same columns, or save with mode='replace'.",
            resource=source,
        )
    return [(field, known[field.level, field.label]) for field in before.fields]


def _index_words(schema: FrameSchema) -> str:
    return (
        "a RangeIndex" if schema.index["kind"] == "range" else f"the index {[field.label for field in schema.levels]}"
    )


def _joined(mine: Field, theirs: Field, had: Callable[[str], int], come: int, source: str) -> Field:
    """The old field, as it must be to hold the new values too."""
    label = mine.label
    if come and not mine.nullable:
        raise _unfit(label, source, f"is {mine.dtype}, and the new rows have missing values")
    if (mine.categories is None) != (theirs.categories is None) and mine.categories is not None:
        raise _unfit(label, source, "has categories, and the new rows have none")
    field = mine
    if mine.kind != theirs.kind:
        if (mine.kind, theirs.kind) != ("float", "integer"):
            raise _unfit(label, source, f"holds {mine.kind}, and the new rows hold {theirs.kind}")
        field = replace(field, note="integers were appended to floats")
    if mine.categories is not None and theirs.categories is not None:
        if mine.ordered and mine.categories != theirs.categories:
            raise _unfit(label, source, "has ordered categories, and the new rows have others")
        more = tuple(value for value in theirs.categories if value not in mine.categories)
        field = replace(field, categories=mine.categories + more)
    if mine.dtype != "object" or not come:
        return field
    return replace(field, missing=_merged(_joined_runs(mine, had(mine.name)) + _joined_runs(theirs, come)))


def _joined_runs(field: Field, count: int) -> tuple[tuple[str, int], ...]:
    if not count:
        return ()
    if len(field.missing) <= 1:
        return ((field.missing[0][0] if field.missing else "None", count),)
    return field.missing


def _merged(runs: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    answer: list[tuple[str, int]] = []
    for name, count in runs:
        if answer and answer[-1][0] == name:
            answer[-1] = (name, answer[-1][1] + count)
        else:
            answer.append((name, count))
    return tuple(answer)


def _unfit(label: Any, source: str, why: str) -> SchemaError:
    return SchemaError(
        f"Column {label!r} of {source!r} {why}.",
        cure="Convert the new rows, or save with mode='replace'.",
        resource=source,
        operation="append",
    )
