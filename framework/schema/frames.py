"""A whole frame: its columns, index and labels as one Arrow table and one FrameSchema, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from framework.errors import ColumnNotFoundError, FormatError, OptionError, SchemaError, known_names
from framework.schema.columns import decode_column, encode_column, index_of
from framework.schema.fields import WIDER, Field, fit, refuse
from framework.schema.kindred import is_nan
from framework.schema.labels import (
    columns_from,
    columns_spec,
    field_from_json,
    field_to_json,
    label_from_json,
    label_to_json,
    plain_label,
)

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

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
        fields = [field_to_json(field) for field in self.fields]
        data = {"millpond": VERSION, "fields": fields, "index": self.index, "columns": self.columns}
        text = json.dumps(data)
        return f'{text[:-1]}, "crc": {zlib.crc32(text.encode())}}}'

    @classmethod
    def loads(cls, text: str | bytes) -> FrameSchema:
        """The schema of that JSON text; SchemaError for one that a newer Millpond wrote, FormatError for rubbish."""
        try:
            data = json.loads(text)
            if data.pop("crc") != _crc(data):
                raise ValueError("its checksum is another")
            if data["millpond"] == VERSION:
                return cls(tuple(field_from_json(field) for field in data["fields"]), data["index"], data["columns"])
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
            label = _asked(field.label)
            known.setdefault((type(label), label), []).append(field)
        asked = [_asked(label) for label in labels]
        wanted: list[Field] = []
        taken: set[str] = set()
        for label in asked:
            if not isinstance(label, Hashable) or (type(label), label) not in known:
                names = [str(field.label) for field in self.values]
                raise ColumnNotFoundError(
                    f"{source!r} has no column {label!r}.", cure=known_names(str(label), names), resource=source
                )
            found = known[type(label), label]
            if found[0].name in taken:
                raise OptionError(f"columns= names {label!r} twice.", resource=source)
            taken.add(found[0].name)
            wanted += found
        columns = self.columns
        if columns["kind"] == "range":
            columns = {"kind": "index", "dtype": "int64", "names": columns["names"]}
        return replace(self, fields=self.levels + tuple(wanted), columns=columns)

    def labelled(self, label: Any) -> list[Field]:
        """The columns of that label, or else the levels of the index; by type too, for 1 and True are equal."""
        asked = [label, label.item()] if hasattr(label, "item") else [label]
        named = [level for level in self.levels if level.label is not None]
        for fields in (self.values, named):
            found = [field for field in fields if any(_is_same(field.label, one) for one in asked)]
            if found:
                return found
        return []


def _asked(label: Any) -> Any:
    """A label as it is looked for: numpy's numbers are Python's."""
    return plain_label(label.item() if isinstance(label, np.generic) else label) if _is_hashable(label) else label


def _is_same(mine: Any, asked: Any) -> bool:
    if type(mine) is not type(asked):
        return False
    return mine is asked or (is_nan(mine) and is_nan(asked)) or (mine is not pd.NA and bool(mine == asked))


def _is_hashable(label: Any) -> bool:
    return isinstance(label, Hashable) and not isinstance(label, (list, dict, set))


def _crc(data: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(data).encode())


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
    labels = [plain_label(label) for label in frame.columns]
    index = _index_kind(frame.index)
    parts: list[tuple[Any, Field]] = []
    if index["kind"] == "fields":
        for level in range(frame.index.nlevels):
            column, field = _encode_level(frame.index, level, plain_label(frame.index.names[level]), lossy=lossy)
            parts.append((column, replace(field, level=level)))
    alike = all(type(label) is str for label in labels)  # else pandas might find one for another, such as 1 for True
    columns = (column for _, column in frame.items()) if alike else (frame.iloc[:, at] for at in range(len(labels)))
    for label, column in zip(labels, columns, strict=True):
        parts.append(encode_column(column, label, lossy=lossy))
    fields = _named([field for _, field in parts])
    schema = FrameSchema(fields, index, columns_spec(frame.columns, labels))
    return table_of([column for column, _ in parts], schema.names, len(frame)), schema


def table_of(columns: list[Any], names: list[str], rows: int) -> pa.Table:
    """A table of these columns, or of that many rows when there is none."""
    return pa.table(columns, names=names) if columns else only_rows(rows)


def only_rows(rows: int) -> pa.Table:
    """A table with no column, which Arrow nevertheless lets have rows."""
    return pa.table({"": pa.nulls(rows)}).select([])


def _index_kind(index: Any) -> dict[str, Any]:
    if isinstance(index, pd.RangeIndex):
        name = label_to_json(plain_label(index.name))
        return {"kind": "range", "start": index.start, "stop": index.stop, "step": index.step, "name": name}
    return {"kind": "fields", "multi": isinstance(index, pd.MultiIndex)}


def _encode_level(index: Any, level: int, name: Any, *, lossy: bool) -> tuple[Any, Field]:
    """One level of an index: of integers or booleans that lack a value as they are, not as pandas shows them."""
    values = index.get_level_values(level)
    if isinstance(index, pd.MultiIndex):
        known, codes = index.levels[level], index.codes[level]
        if isinstance(known.dtype, np.dtype) and known.dtype.kind in "iub" and (codes < 0).any():
            column, field = encode_column(known, name, lossy=lossy)
            return column.take(pa.array(codes, mask=codes < 0)), field
        if values.dtype != known.dtype:
            raise refuse(name, f"an index level of {known.dtype} with a missing value is not held")
    return encode_column(values, name, lossy=lossy)


def _named(fields: list[Field]) -> tuple[Field, ...]:
    """Each field with a unique, non-empty text under which it is stored: its label where that will do."""
    taken = {field.label for field in fields if type(field.label) is str and field.level is None}
    given: set[str] = set()
    answer = []
    for field in fields:
        own = type(field.label) is str and field.label != "" and (field.level is None or field.label not in taken)
        base = field.label if own else _made_name(field)
        name, count = base, 1
        while name in given or (not own and name in taken):
            name, count, own = f"{base}_{count}", count + 1, False
        given.add(name)
        answer.append(replace(field, name=name))
    return tuple(answer)


def _made_name(field: Field) -> str:
    if field.label is not None and not (isinstance(field.label, str) and field.label == ""):
        parts = field.label if isinstance(field.label, tuple) else (field.label,)
        return "_".join(map(str, parts)) or "column"
    return "index" if field.level == 0 else "column" if field.level is None else f"index_{field.level}"


# --------------------------------------------------------------------------- decode


def decode(table: pa.Table, schema: FrameSchema) -> pd.DataFrame:
    """The frame that the table and its schema stand for."""
    index = _decode_index(table, schema)
    arrays = [decode_column(table.column(field.name), field) for field in schema.values]
    frame = pd.DataFrame({place: _typed(array, index) for place, array in enumerate(arrays)}, index=index, copy=False)
    frame.columns = columns_from(schema.columns, [field.label for field in schema.values])
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
            spec["start"], spec["stop"] if unchanged else stop, spec["step"], name=label_from_json(spec["name"])
        )
    levels = [index_of(decode_column(table.column(field.name), field)) for field in schema.levels]
    names = [field.label for field in schema.levels]
    if not spec["multi"]:
        return levels[0].rename(names[0])
    index: Any = pd.MultiIndex.from_arrays(levels, names=names)
    for place, field in enumerate(schema.levels):
        if (
            field.dtype in WIDER and str(levels[place].dtype) == WIDER[field.dtype]
        ):  # some are missing, which the codes say
            level = index.levels[place].astype(field.dtype)
            index = index.set_levels(level, level=place, verify_integrity=False)
    return index


def plain(table: pa.Table, schema: FrameSchema) -> pa.Table:
    """The table in the fields' own Arrow types, dictionaries decoded: for formats that have no categories."""
    columns = [fit(table.column(field.name), field) for field in schema.fields]
    return table_of(columns, schema.names, table.num_rows)
