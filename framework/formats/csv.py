"""CSV of our own, whose schema is on record. What others wrote: `csv_foreign`.

UTF-8 unless told otherwise, text always quoted, a missing cell empty and unquoted, so that "" and missing differ.
"""

from __future__ import annotations

import base64
import codecs
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from framework.checksums import HashingWriter
from framework.errors import FidelityError, IntegrityError
from framework.formats.compression import Codec, Read, packed
from framework.formats.csv_foreign import BLOCK, parse
from framework.formats.records import in_utf8, lines_in, pieces
from framework.schema import Field, FrameSchema, Test, only_rows, plain

DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
YEAR_1, YEAR_10000 = -719_162, 2_932_897  # days since 1970
FIRST_NANOSECOND = -9_223_372_036_000_000_000
SLICE = 1 << 16  # rows that are put into words at a time


class _Transcoder:
    """Takes UTF-8, passes on another encoding."""

    def __init__(self, sink: Any, encoding: str) -> None:
        self._sink, self._decoder = sink, codecs.getincrementaldecoder("utf-8")()
        self._encoder = codecs.getincrementalencoder(encoding)()  # one mark of the byte order, at the beginning

    def write(self, data: bytes) -> None:
        self._sink.write(self._encoder.encode(self._decoder.decode(data)))


# --------------------------------------------------------------------------- writing


def write_rows(
    sink: HashingWriter,
    table: pa.Table,
    schema: FrameSchema,
    *,
    delimiter: str,
    encoding: str,
    codec: Codec | None = None,
) -> bool:
    """Write header and rows; whether a cell has several lines.

    Raises
    ------
    FidelityError
        For what CSV or the encoding cannot spell.
    IntegrityError
        When other than one line was made for each row.
    """
    _check_labels(schema)
    text = table_of_text(plain(table, schema), schema)
    header = header_of(schema, delimiter)
    lines, several = _lines(header, text)
    made = header.count(b"\n") if several else lines_in(header)
    try:
        with packed(sink, codec) as stream:
            out = stream if encoding == "utf-8" else _Transcoder(stream, encoding)
            out.write(header)
            for block in _spelled(text, delimiter) if schema.fields else ():
                made += block.count(b"\n") if several else lines_in(block)
                out.write(block)
    except UnicodeEncodeError as error:
        raise FidelityError(
            f"{error.object[error.start]!r} cannot be written in {encoding}.", cure="Leave encoding= at utf-8."
        ) from error
    if made != lines:
        raise IntegrityError(f"{made} lines were made of {lines}.")
    return several


def header_of(schema: FrameSchema, delimiter: str) -> bytes:
    """The line, or lines, of the columns' names."""
    return (delimiter.join(_quoted(name, delimiter) for name in schema.names) + "\n").encode()


def _spelled(text: pa.Table, delimiter: str) -> Iterator[bytes]:
    """The rows as CSV, in order; a large table by several threads."""
    options = pacsv.WriteOptions(include_header=False, delimiter=delimiter)
    slices = (text.slice(start, SLICE) for start in range(0, text.num_rows, SLICE))
    if text.num_rows <= SLICE:
        yield from (_words(part, options) for part in slices)
        return
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(pa.cpu_count()) as workers:
        for part in slices:
            waiting.append(workers.submit(_words, part, options))
            if len(waiting) > 2 * pa.cpu_count():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _words(part: pa.Table, options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pacsv.write_csv(part, sink, options)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _check_labels(schema: FrameSchema) -> None:
    for field in schema.fields:
        if "\0" in field.name:
            raise FidelityError(f"The label {field.label!r} holds a NUL character, which CSV cannot hold.")


def _quoted(name: str, delimiter: str) -> str:
    special = any(mark in name for mark in (delimiter, '"', "\n", "\r"))
    return '"' + name.replace('"', '""') + '"' if special else name


def _lines(header: bytes, text: pa.Table) -> tuple[int, bool]:
    """How many lines there must be (the rows', the header's, those in cells), and whether a cell has any."""
    texts = [column for column in text.columns if pa.types.is_string(column.type)]
    inside = sum(pc.sum(pc.count_substring(column, "\n")).as_py() or 0 for column in texts)
    rows = text.num_rows if text.num_columns else 0
    several = inside or header.count(b"\n") > 1 or b"\r" in header
    several = several or any(pc.any(pc.match_substring(column, "\r")).as_py() for column in texts)
    return (header.count(b"\n") if several else 1) + rows + inside, bool(several)


def table_of_text(table: pa.Table, schema: FrameSchema) -> pa.Table:
    """The table in types that CSV can spell: durations as counts, bytes as base64."""
    columns = [_spellable(table.column(place), field) for place, field in enumerate(schema.fields)]
    return pa.table(columns, names=schema.names) if columns else table


def _spellable(column: Any, field: Field) -> Any:
    if field.kind == "duration":
        return column.cast(pa.int64())
    if field.type == "halffloat":
        return column.cast(pa.float32())
    if field.kind == "bytes":
        cells = [None if cell is None else base64.b64encode(cell).decode() for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(cells, type=pa.string())])
    if field.kind in ("time", "instant", "date"):
        _check_years(column, field)
    if field.kind == "text" and pc.any(pc.match_substring(column, "\0")).as_py():
        raise FidelityError(
            f"Column {field.label!r} holds a NUL character, which CSV cannot hold.", cure="Use parquet."
        )
    return column


def _check_years(column: Any, field: Field) -> None:
    span = pc.min_max(column)
    first, last = (span[end].value for end in ("min", "max"))
    if first is None:
        return
    of_a_day = 1 if field.kind == "date" else DAY[field.arrow_type.unit]
    if not YEAR_1 * of_a_day <= first <= last < YEAR_10000 * of_a_day:
        raise FidelityError(f"Column {field.label!r} holds a year beyond 1 to 9999.", cure="Use parquet.")
    if field.type == "timestamp[ns]" and first < FIRST_NANOSECOND:  # Arrow writes what it cannot read again
        raise FidelityError(f"Column {field.label!r} holds a time before 1677-09-21 00:12:44.", cure="Use parquet.")


# --------------------------------------------------------------------------- reading


def read_own(
    read: Read,
    name: str,
    schema: FrameSchema,
    wanted: FrameSchema,
    tests: Sequence[Test] = (),
    *,
    rows: int,
    delimiter: str,
    encoding: str,
    multiline: bool,
) -> Iterator[pa.Table]:
    """The columns of `wanted` in pieces, without rows that do not meet the tests.

    Raises
    ------
    IntegrityError
        When it is not what the record says; for the number of rows, after the last piece.
    """
    if not schema.fields:
        yield only_rows(rows)
        return
    options = (
        pacsv.ReadOptions(column_names=schema.names, block_size=BLOCK),
        pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=multiline, ignore_empty_lines=False),
        pacsv.ConvertOptions(
            check_utf8=False,
            column_types={field.name: _spelled_type(field) for field in wanted.fields},
            include_columns=wanted.names,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        ),
    )
    found = 0
    for body in _bodies(read, name, header_of(schema, delimiter), encoding, multiline=multiline):
        try:
            table = parse(body, *options)
        except pa.ArrowInvalid as error:
            raise IntegrityError(f"{name} cannot be read as it was saved: {error}.", resource=name) from error
        found += table.num_rows
        columns = [_from_spelled(table.column(field.name), field) for field in wanted.fields]
        yield meeting(pa.table(columns, names=wanted.names) if columns else only_rows(table.num_rows), tests)
    if not found:
        yield pa.table({field.name: pa.array([], field.arrow_type) for field in wanted.fields})
    if found != rows:
        raise IntegrityError(f"{name} has {found} rows, and {rows} were saved.", resource=name)


def together(pieces: Iterable[pa.Table]) -> pa.Table:
    """The pieces as one table, which keeps its rows without a column too."""
    tables = list(pieces)
    if tables[0].num_columns == 0:
        return only_rows(sum(table.num_rows for table in tables))
    return pa.concat_tables(tables)


def meeting(table: pa.Table, tests: Sequence[Test]) -> pa.Table:
    """The rows that meet all tests."""
    for test in tests:
        table = table.filter(test.met(table.column(test.field.name)))
    return table


def _bodies(read: Read, name: str, header: bytes, encoding: str, *, multiline: bool) -> Iterator[bytes]:
    first = True
    for data in pieces(in_utf8(read, name, encoding), name, quoted=multiline):
        body = data
        if first:
            marked = not data.startswith(header)  # a label may begin with the mark itself
            body, first = data.removeprefix(codecs.BOM_UTF8) if marked else data, False
            if not body.startswith(header):
                raise IntegrityError(f"{name} does not begin with the columns on record.", resource=name)
            body = body[len(header) :]
        if body:
            yield body


def _spelled_type(field: Field) -> pa.DataType:
    if field.kind == "duration":
        return pa.int64()
    if field.kind == "bytes":
        return pa.string()
    return pa.float32() if field.type == "halffloat" else field.arrow_type


def _from_spelled(column: Any, field: Field) -> Any:
    if field.kind == "duration":
        return column.cast(field.arrow_type)
    if field.kind == "bytes":
        cells = [None if cell is None else base64.b64decode(cell) for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(cells, type=pa.binary())])
    return column
