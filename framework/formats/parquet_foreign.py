"""Parquet that others wrote: one file, or a folder of parts that are one table.

The schema is the one that loses nothing over all rows. What pandas wrote has the index and dtypes that pandas gives it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from framework.errors import ColumnNotFoundError, FidelityError, FormatError, SchemaError, known_names
from framework.schema import Field, FrameSchema, Selection, counted, encode, fit, natural

BATCH = 1 << 16  # rows
PANDAS = b"pandas"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a table.

    Attributes
    ----------
    values : mapping of column to text or None
        What its folder's name says, `year=2024/`; None where that says that it is missing.
    """

    name: str
    path: Path
    values: Mapping[str, str | None] = field(default_factory=dict)
    file: Any = None

    @contextmanager
    def opened(self) -> Iterator[Any]:
        if self.file is not None:
            yield self.file
            return
        with pa.OSFile(str(self.path), "rb") as source:
            yield pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False)  # it would keep all read


class ForeignParquet:
    """One table in one file or several.

    Raises
    ------
    SchemaError
        Two parts hold a column of types that are not one without loss; names both.
    FormatError
        Two columns have one name.
    """

    def __init__(self, parts: Sequence[Part], name: str) -> None:
        self.parts, self.name = parts, name
        self.rows = 0
        self.folders = _folder_types(parts)
        self.arrow = self._unified()

    @property
    def _by_pandas(self) -> bool:
        return PANDAS in (self.arrow.metadata or {})

    def read(self, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        """What the selection needs of the table."""
        if self._by_pandas:
            table, schema = encode(self._whole(self.arrow.names).to_pandas())
        else:
            table = self._whole(self._needed(selection))
            schema = natural(table, self.name)
        wanted = selection.of(schema, self.name)
        return table.select(wanted.names), wanted

    def scan(self, selection: Selection) -> tuple[FrameSchema, Iterator[pa.Table]]:
        """What the selection needs, in pieces."""
        if self._by_pandas:
            return self._scan_of_pandas(selection)
        names = self._needed(selection)
        schema = selection.of(self._natural(names), self.name)
        return schema, (table.select(schema.names) for table in self._pieces(names))

    # ------------------------------------------------------------------ what pandas wrote

    def _scan_of_pandas(self, selection: Selection) -> tuple[FrameSchema, Iterator[pa.Table]]:
        """Each piece is turned into a frame together with rows that stand for all, so that its dtypes are theirs."""
        sample = self._sample()
        whole = encode(sample.to_pandas())[1]
        if whole.index["kind"] == "range":
            whole = counted(replace(whole, index=self._range(whole.index)), self.rows)
        schema = selection.of(whole, self.name)

        def pieces() -> Iterator[pa.Table]:
            for piece in self._pieces(self.arrow.names):
                table, _ = encode(pa.concat_tables([piece, sample]).to_pandas())
                columns = [fit(table.column(f.name), f) for f in schema.fields]
                yield pa.table(columns, names=schema.names).slice(0, piece.num_rows)

        return schema, pieces()

    def _range(self, unsaid: dict[str, Any]) -> dict[str, Any]:
        """The RangeIndex that pandas noted, if it is of these rows."""
        for told in json.loads(self.arrow.metadata[PANDAS])["index_columns"]:
            if isinstance(told, dict) and told["kind"] == "range":
                start, stop, step = told["start"], told["stop"], told["step"]
                if len(range(start, stop, step)) == self.rows:
                    return {**unsaid, "start": start, "step": step, "name": told["name"]}
        return unsaid

    def _sample(self) -> pa.Table:
        """What is there first, each category, and a gap where something is missing."""
        rows = {name: values if nulls == 0 else [*values, None] for name, values, nulls in self._seen()}
        most = max(map(len, rows.values()), default=1)
        columns = [
            pa.array([*cells, *cells[:1] * (most - len(cells))], self.arrow.field(name).type)
            for name, cells in rows.items()
        ]
        return pa.Table.from_arrays(columns, schema=self.arrow)

    def _seen(self) -> Iterator[tuple[str, list[Any], int]]:
        """For each column the values that its dtype needs, and how many are missing."""
        for name in self.arrow.names:
            kind = self.arrow.field(name).type
            if pa.types.is_dictionary(kind):
                yield name, self._categories(name, kind).dictionary.to_pylist(), int(self._has_nulls(name))
                continue
            first: list[Any] = []
            for piece in self._pieces([name]):
                first = piece.column(0).drop_null().slice(0, 1).to_pylist()
                if first:
                    break
            nulls = int(self._has_nulls(name))
            yield name, first or [None], nulls

    # ------------------------------------------------------------------ what others wrote

    def _natural(self, names: list[str]) -> FrameSchema:
        """The schema over all rows, without holding them."""
        fields: list[Field] = []
        for name in names:
            kind = self.arrow.field(name).type
            if pa.types.is_dictionary(kind):
                fields += natural(pa.table({name: self._categories(name, kind)}), self.name).fields
            elif pa.types.is_time64(kind):  # its values say what it is
                fields += [natural(piece, self.name).fields[0] for piece in self._pieces([name])][:1]
            else:
                cell = pa.nulls(1, kind) if self._has_nulls(name) else pa.array([], kind)
                fields += natural(pa.table({name: cell}), self.name).fields
        return counted(replace(natural(pa.table({}), ""), fields=tuple(fields)), self.rows)

    def _categories(self, name: str, kind: Any) -> Any:
        """No row, with the categories of all rows."""
        found: dict[Any, None] = {}
        for piece in self._pieces([name]):
            for chunk in piece.column(0).chunks:
                found.update(dict.fromkeys(chunk.dictionary.to_pylist()))
        values = pa.array(list(found), kind.value_type)
        return pa.DictionaryArray.from_arrays(pa.array([], kind.index_type), values, ordered=kind.ordered)

    def _has_nulls(self, name: str) -> bool:
        """By the statistics, or by looking where there are none."""
        known = self._nulls[name]
        if known is not None:
            return known > 0
        return any(piece.column(0).null_count for piece in self._pieces([name]))

    def _needed(self, selection: Selection) -> list[str]:
        """The columns to read; ColumnNotFoundError for one that is not there."""
        known, wanted = self.arrow.names, selection.labels
        if len(set(known)) < len(known):
            raise FormatError(f"{self.name} has two columns of one name, of which either could be meant.")
        for column in wanted or ():
            if column not in known:
                raise ColumnNotFoundError(
                    f"{self.name!r} has no column {column!r}.",
                    cure=known_names(str(column), known),
                    resource=self.name,
                )
        return list(known) if wanted is None else [column for column in known if column in wanted]

    # ------------------------------------------------------------------ the parts as one

    def _unified(self) -> pa.Schema:
        """The columns of all parts, each of the type that holds every part's values."""
        kinds: dict[str, pa.Field] = {}
        first: dict[str, str] = {}
        metadata: list[Any] = []
        for part in self.parts:
            with part.opened() as file:
                self.rows += file.metadata.num_rows
                arrow = file.schema_arrow
                metadata.append(arrow.metadata or {})
            if len(self.parts) == 1 and not self.folders:
                return arrow
            for column in arrow:
                before = kinds.get(column.name)
                wider = column.type if before is None else wider_type(before.type, column.type)
                if wider is None:
                    raise SchemaError(
                        f"Column {column.name!r} of {self.name!r} is {before.type} in {first[column.name]} and "  # type: ignore[union-attr]
                        f"{column.type} in {part.name}.",
                        cure="Leave it out with columns=[...], or have the parts written anew with one type.",
                        resource=self.name,
                    )
                kinds[column.name] = pa.field(column.name, wider)
                first.setdefault(column.name, part.name)
        for name, kind in self.folders.items():
            kinds.setdefault(name, pa.field(name, kind))
        notes = metadata[0] if all(PANDAS in told for told in metadata) and not self.folders else None
        return pa.schema(list(kinds.values()), metadata=notes)

    @cached_property
    def _nulls(self) -> dict[str, int | None]:
        """How many cells of each column are missing, by the statistics; None where those do not say."""
        counts: dict[str, int | None] = dict.fromkeys(self.arrow.names, 0)
        for part in self.parts:
            with part.opened() as file:
                told = _nulls_of(file.metadata)
            for name, count in counts.items():
                more = told.get(name)
                counts[name] = None if count is None or more is None else count + more
        return counts

    def _whole(self, names: list[str]) -> pa.Table:
        if len(self.parts) == 1 and not self.folders:
            with self.parts[0].opened() as file:
                return file.read(columns=names).select(names)
        tables = []
        for part in self.parts:
            with part.opened() as file:
                there = [name for name in names if name in file.schema_arrow.names]
                tables.append(self._shaped(file.read(columns=there), part, names))
        return pa.concat_tables(tables).replace_schema_metadata(self.arrow.metadata)

    def _pieces(self, names: list[str]) -> Iterator[pa.Table]:
        for part in self.parts:
            with part.opened() as file:
                there = [name for name in names if name in file.schema_arrow.names]
                for batch in file.iter_batches(batch_size=BATCH, columns=there):
                    yield self._shaped(pa.Table.from_batches([batch]), part, names)

    def _shaped(self, table: pa.Table, part: Part, names: list[str]) -> pa.Table:
        """A part's rows with the columns and types of all."""
        columns = []
        for name in names:
            kind = self.arrow.field(name).type
            if name in table.column_names:
                column = table.column(name)
                columns.append(column if column.type == kind else column.cast(kind))
            else:
                said = part.values.get(name)
                cell = pa.nulls(1, kind) if said is None else pa.array([said]).cast(kind)
                columns.append(pa.chunked_array([cell.take(pa.array([0] * table.num_rows, pa.int64()))]))
        schema = pa.schema([self.arrow.field(name) for name in names], metadata=self.arrow.metadata)
        return pa.Table.from_arrays(columns, schema=schema) if columns else table.select([])


def _nulls_of(metadata: Any) -> dict[str, int]:
    """What the statistics of one file say of the columns that have them throughout."""
    counts = {metadata.schema.column(place).path: 0 for place in range(metadata.num_columns)}
    for at in range(metadata.num_row_groups):
        group = metadata.row_group(at)
        for place in range(group.num_columns):
            column = group.column(place)
            statistics = column.statistics
            if statistics is None or not statistics.has_null_count:
                counts.pop(column.path_in_schema, None)
            elif column.path_in_schema in counts:
                counts[column.path_in_schema] += statistics.null_count
    return counts


def _folder_types(parts: Sequence[Part]) -> dict[str, pa.DataType]:
    """The columns that folders' names say: whole numbers where each is spelled as one."""
    names = list(dict.fromkeys(name for part in parts for name in part.values))
    kinds = {}
    for name in names:
        said = [part.values.get(name) for part in parts]
        whole = [text for text in said if text is not None]
        plain = all(text.isascii() and text.lstrip("-").isdigit() and str(int(text)) == text for text in whole)
        kinds[name] = pa.int64() if whole and plain and all(abs(int(t)) < 2**63 for t in whole) else pa.string()
    return kinds


SIGNED = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
UNITS = ["s", "ms", "us", "ns"]


def wider_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both; None when there is none."""
    types = pa.types
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if types.is_dictionary(one) or types.is_dictionary(other):
        plain = [kind.value_type if types.is_dictionary(kind) else kind for kind in (one, other)]
        return wider_type(*plain)
    if types.is_integer(one) and types.is_integer(other):
        return _wider_integer(one, other)
    if types.is_floating(one) and types.is_floating(other):
        return max(one, other, key=FLOATS.index)
    for small, large in ((pa.string(), pa.large_string()), (pa.binary(), pa.large_binary())):
        if {one, other} == {small, large}:
            return large
    if types.is_timestamp(one) and types.is_timestamp(other) and one.tz == other.tz:
        return max(one, other, key=lambda kind: UNITS.index(kind.unit))
    return None


def _wider_integer(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    signed = [pa.types.is_signed_integer(kind) for kind in (one, other)]
    if signed[0] == signed[1]:
        return max(one, other, key=lambda kind: kind.bit_width)
    whole, natural_number = (one, other) if signed[0] else (other, one)
    wide = max(whole.bit_width, 2 * natural_number.bit_width)
    return next((kind for kind in SIGNED if kind.bit_width == wide), None)


def described(arrow: pa.Schema) -> FrameSchema:
    """The schema of a file that others wrote, without its rows; a column that is not read has its Arrow type there."""
    if PANDAS in (arrow.metadata or {}):
        return encode(arrow.empty_table().to_pandas(), lossy=True)[1]
    fields: list[Field] = []
    empty = arrow.empty_table()
    for name in arrow.names:
        try:
            fields += natural(empty.select([name]), "").fields
        except FidelityError:
            kind = str(arrow.field(name).type)
            fields.append(Field(name, name, "unread", kind, kind))
    return replace(natural(empty.select([]), ""), fields=tuple(fields))
