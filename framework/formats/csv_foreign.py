"""CSV that others wrote, in two passes: the first finds what each column is over all rows, the second converts.

Both go through the file in pieces, so that memory does not grow with it. When the whole table is wanted, the first pass
converts too, and the second is made only where a later row showed that an earlier piece was taken for something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from framework.errors import ColumnNotFoundError, FormatError, OptionError, known_names
from framework.formats.ahead import Turn, in_order
from framework.formats.compression import MOST_UNPACKED, Read, codec_of, unpacked
from framework.formats.csv_dtypes import Column, UnfitCell, columns_of
from framework.formats.records import (
    QUOTE,
    Piece,
    foreign_pieces,
    header_of,
    line_ends_in_quotes,
    lines_in,
    records,
)
from framework.schema import ALL, FrameSchema, Selection, counted, natural

BLOCK = 1 << 20
PIECE = 1 << 21  # bytes


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a file that others wrote is to be read; the csv store's options say what each means."""

    delimiter: str = ","
    encoding: str = "utf-8"
    nulls: Sequence[str] = ()
    decimal: str = "."
    dtype: Mapping[str, str] | None = None
    date_format: str | Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One file, which can be read from its beginning as often as is needed.

    Attributes
    ----------
    values : mapping of column to text or None
        Columns that each of its rows has beside those in the file.
    """

    name: str
    begin: Callable[[], Read]
    values: Mapping[str, str | None] = field(default_factory=dict)


class Foreign:
    """One table in one file or several of the same header.

    Parameters
    ----------
    piece : int
        Bytes, of which a few pieces are in memory at a time, each worked on by one thread.

    Raises
    ------
    FormatError
        With the line: bytes that are not in the encoding, a NUL, an open quote, a row with too many or too few fields,
        a repeated name in the header, a cell that is not of the dtype that was said.
    """

    def __init__(self, sources: Sequence[Source], spelling: Spelling, *, piece: int = PIECE) -> None:
        self.sources, self.spelling, self.piece = sources, spelling, piece
        self.rows = 0
        self._header: list[str] = []
        self._columns: dict[str, Column] = {}

    def read(self, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        """What the selection needs of the table."""
        pieces = list(self._first_pass(selection))
        schema = self.schema
        told = {each.name: each.arrow_type for each in schema.fields}
        columns: dict[str, Any] = {}
        stale = []
        for place, (name, kind) in enumerate(told.items()):
            parts = [piece[place] for piece in pieces]
            if all(part.type == kind or pa.types.is_null(part.type) for part in parts):
                chunks = [chunk for part in parts for chunk in _as(part, kind).chunks]
                columns[name] = pa.chunked_array(chunks, type=kind)
            else:
                stale.append(name)
        if stale:
            del pieces
            again = list(self._second_pass(stale))
            for name in stale:
                chunks = [chunk for table in again for chunk in table.column(name).chunks]
                columns[name] = pa.chunked_array(chunks, type=told[name])
        wanted = selection.of(schema, self.sources[0].name)
        return pa.table({name: columns[name] for name in wanted.names}), wanted

    def scan(self, selection: Selection) -> tuple[FrameSchema, Generator[pa.Table, None, None]]:
        """What the selection needs, in pieces."""
        for _ in self._first_pass(selection):
            pass
        wanted = selection.of(self.schema, self.sources[0].name)
        return wanted, self._second_pass(wanted.names)

    @property
    def schema(self) -> FrameSchema:
        """Of what was read."""
        fields = tuple(column.field for column in self._columns.values())
        return counted(replace(natural(pa.table({}), ""), fields=fields), self.rows)

    # ------------------------------------------------------------------ the passes

    def _first_pass(self, selection: Selection) -> Iterator[list[Any]]:
        """Find the columns; the cells of each piece as what they seem to be so far."""
        with closing(in_order(self._finds(selection))) as found:
            for rows, columns in found:
                self.rows += rows
                yield columns
        if not self._columns:  # a header alone
            self._choose(selection, self.sources[0].name)

    def _finds(self, selection: Selection) -> Iterator[Callable[[], tuple[int, list[Any]]]]:
        turn: Turn | None = None
        for source in self.sources:
            for piece in self._bodies(source):
                if not self._columns:
                    self._choose(selection, source.name)
                turn = Turn(len(self._columns), turn)
                yield partial(self._found, piece, source, turn)

    def _found(self, piece: Piece, source: Source, turn: Turn) -> tuple[int, list[Any]]:
        """The rows of a piece and its columns; each is told its cells in the order of the file."""
        found = []
        with turn:
            table = self._parsed(piece, source, list(self._columns))
            for place, column in enumerate(self._columns.values()):
                cells = table.column(place)
                with turn.at(place):
                    try:
                        typed = column.add(cells)
                    except UnfitCell as cell:
                        raise self._unfit(cell, piece, source) from None
                found.append(cells.cast(pa.binary()) if typed is None else typed)  # a type that no column ends as
        return table.num_rows, found

    def _second_pass(self, names: list[str]) -> Generator[pa.Table, None, None]:
        jobs = (
            partial(self._converted, piece, source, names) for source in self.sources for piece in self._bodies(source)
        )
        yield from in_order(jobs)

    def _converted(self, piece: Piece, source: Source, names: list[str]) -> pa.Table:
        table = self._parsed(piece, source, names)
        return pa.table([self._columns[name].convert(table.column(name)) for name in names], names=names)

    # ------------------------------------------------------------------ pieces

    def _bodies(self, source: Source) -> Iterator[Piece]:
        """The pieces of a file after its header, which must be that of the first file."""
        spelled, name = self.spelling, source.name
        rest = foreign_pieces(
            source.begin(), name, delimiter=spelled.delimiter, encoding=spelled.encoding, size=self.piece
        )
        for piece in rest:
            if piece.data[:1].isspace() and not piece.data.strip():
                continue
            header, length, line = header_of(piece, name, spelled.delimiter)
            self._check_header(header, source, line)
            body = piece.data[length:]
            if body:
                yield Piece(body, piece.line + lines_in(piece.data[:length]))
            break
        else:
            raise FormatError(f"{name} is empty: it has no header.", line=1, resource=name)
        yield from rest

    def _check_header(self, header: list[str], source: Source, line: int) -> None:
        if not self._header:
            check_header(header, source.name, self.spelling.delimiter, line)
            self._header = header
        elif header != self._header:
            raise FormatError(
                f"{source.name} has the columns {header}, and {self.sources[0].name} has {self._header}.",
                cure="Parts of one table have the same columns in the same order.",
                line=line,
                resource=source.name,
            )

    def _choose(self, selection: Selection, name: str) -> None:
        """Which columns are needed, and what finds out each."""
        spelled = self.spelling
        known = [*self._header, *(column for column in self.sources[0].values if column not in self._header)]
        formats = spelled.date_format if isinstance(spelled.date_format, Mapping) else {}
        for option, said in (("dtype", spelled.dtype or {}), ("date_format", formats)):
            for column in said:
                if column not in known:
                    raise OptionError(f"{option}= names {column!r}.", cure=known_names(column, known), resource=name)
        wanted = selection.labels
        for column in wanted or ():
            if column not in known:
                raise ColumnNotFoundError(
                    f"{name!r} has no column {column!r}.", cure=known_names(str(column), known), resource=name
                )
        header = known if wanted is None else [column for column in known if column in wanted]
        made = columns_of(header, dtypes=spelled.dtype or {}, date_format=spelled.date_format, decimal=spelled.decimal)
        self._columns = dict(zip(header, made, strict=True))

    def _parsed(self, piece: Piece, source: Source, names: list[str]) -> pa.Table:
        """The cells as text, a missing one null; nothing is interpreted."""
        header = set(self._header)
        table = self._parsed_file(piece, source.name, [column for column in names if column in header])
        for column in names:
            if column not in header:
                said = source.values.get(column)
                cell = pa.nulls(table.num_rows, pa.string()) if said is None else pa.array([said] * table.num_rows)
                table = table.append_column(column, pa.chunked_array([cell]))
        return table

    def _parsed_file(self, piece: Piece, name: str, names: list[str]) -> pa.Table:
        header, spelled = self._header, self.spelling
        if piece.data[:1] in (b"\r", b"\n") and not piece.data.strip(b"\r\n"):
            rows = lines_in(piece.data) if len(header) == 1 else 0
            return pa.table({column: pa.nulls(rows, pa.string()) for column in names})
        several = QUOTE in piece.data and line_ends_in_quotes(piece.data)
        options = (
            pacsv.ReadOptions(column_names=header, block_size=len(piece.data) + 2, use_threads=False),
            pacsv.ParseOptions(
                delimiter=spelled.delimiter, newlines_in_values=several, ignore_empty_lines=len(header) > 1
            ),
            pacsv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=names,
                null_values=["", *spelled.nulls],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        ended = piece.data.endswith((b"\n", b"\r"))  # without it Arrow takes an empty last cell for a quoted one
        try:
            return parse(piece.data if ended else piece.data + b"\n", *options)
        except pa.ArrowInvalid as error:
            check_records(piece, name, spelled.delimiter, len(header))  # names the line
            raise FormatError(f"{name} is not CSV that can be read: {error}.", resource=name) from error

    def _unfit(self, cell: UnfitCell, piece: Piece, source: Source) -> FormatError:
        """The error for a cell of that piece, with its line."""
        line = self._line(piece, source.name, cell.place)
        return FormatError(
            f"{source.name}, line {line}: {cell.shown} in column {cell.column!r} is not {cell.wanted}.",
            cure="Mend the cell, say what holds it, or leave the column out of dtype= and date_format=.",
            line=line,
            resource=source.name,
        )

    def _line(self, piece: Piece, name: str, row: int) -> int:
        single = len(self._header) == 1
        found = (
            line for line, record in records(piece.data, name, piece.line, self.spelling.delimiter) if record or single
        )
        return next(islice(found, row, None), 0)


def _as(column: Any, kind: pa.DataType) -> Any:
    return column if column.type == kind else column.cast(kind)


def parse(data: bytes, reading: Any, parsing: Any, converting: Any) -> pa.Table:
    """What Arrow reads; once more in one block when a row is longer than a block."""
    held = _without_python(data) if reading.use_threads else pa.py_buffer(data)
    try:
        return pacsv.read_csv(pa.BufferReader(held), reading, parsing, converting)
    except pa.ArrowInvalid as error:
        if "block" not in str(error) or len(data) <= reading.block_size:
            raise
        reading.block_size = min(len(data) + 1, 2**31 - 1)
        return pacsv.read_csv(pa.BufferReader(held), reading, parsing, converting)


def _without_python(data: bytes) -> pa.Buffer:
    """The bytes in Arrow's own memory.

    Arrow's threads let go of what they read a moment after the table is there. Were it Python's, and Python just
    ending, that would abort the process (apache/arrow#45017).
    """
    held = pa.allocate_buffer(len(data))
    memoryview(held).cast("B")[:] = data
    return held


def check_header(header: list[str], name: str, delimiter: str, line: int) -> None:
    """FormatError for a name that is repeated, and for one column that looks like several."""
    repeated = sorted(column for column, count in Counter(header).items() if count > 1)
    if repeated:
        raise FormatError(
            f"{name} has the column {repeated[0]!r} more than once.",
            cure="Rename it in the file.",
            line=line,
            resource=name,
        )
    others = [mark for mark in (";", "\t", "|", ",") if mark != delimiter and mark in "".join(header)]
    if len(header) == 1 and others:
        raise FormatError(
            f"{name} has one column, {header[0][:60]!r}.",
            cure=f"Is the delimiter {others[0]!r}? Pass delimiter=.",
            line=line,
            resource=name,
        )


def check_records(piece: Piece, name: str, delimiter: str, width: int) -> None:
    """FormatError with the line of the first record that has not `width` fields; blank lines are passed over."""
    for line, record in records(piece.data, name, piece.line, delimiter):
        if record and len(record) != width:
            raise FormatError(
                f"{name}, line {line}: {len(record)} fields, and the header has {width}.",
                cure="Mend the line, or quote the cell that holds the delimiter.",
                line=line,
                resource=name,
            )


def read_file(path: Path, selection: Selection = ALL, spelling: Spelling = Spelling()) -> tuple[pa.Table, FrameSchema]:
    """What the selection needs of one file, plain or compressed; see `Foreign`."""
    with open(path, "rb") as file:
        return Foreign([source_of(file, path.name)], spelling).read(selection)


def source_of(file: BinaryIO, name: str, *, most: int = MOST_UNPACKED) -> Source:
    """An open file that is not read by others meanwhile."""

    def begin() -> Read:
        file.seek(0)
        return unpacked(file.read, codec_of(name), name, most=most)

    return Source(name, begin)
