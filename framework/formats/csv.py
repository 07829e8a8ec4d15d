"""CSV: our own files, whose schema is known, and those that others wrote, whose is found out (`csv_inference`).

Ours: UTF-8 unless told otherwise, text always quoted, a missing cell empty and unquoted, so that "" and missing differ.
"""

from __future__ import annotations

import base64
import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from framework.errors import FidelityError, FormatError, IntegrityError
from framework.files import HashingWriter
from framework.schema import Field, FrameSchema, only_rows, plain

BLOCK = 1 << 22


class _Transcoder:
    """Takes UTF-8, passes on another encoding."""

    def __init__(self, sink: HashingWriter, encoding: str) -> None:
        self._sink, self._decoder = sink, codecs.getincrementaldecoder("utf-8")()
        self._encoder = codecs.getincrementalencoder(encoding)()  # one mark of the byte order, at the beginning
        self.closed = False

    def write(self, data: Any) -> int:
        self._sink.write(self._encoder.encode(self._decoder.decode(bytes(data))))
        return len(data)

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self.closed = True


# --------------------------------------------------------------------------- writing


def write_rows(
    sink: HashingWriter, table: pa.Table, schema: FrameSchema, *, delimiter: str, encoding: str
) -> tuple[int, bool]:
    """Write header and rows; how many lines that makes, and whether a cell has several. FidelityError for the rest."""
    _check_labels(schema)
    text = table_of_text(plain(table, schema), schema)
    out: Any = sink if encoding == "utf-8" else _Transcoder(sink, encoding)
    header = delimiter.join(_quoted(name, delimiter) for name in schema.names) + "\n"
    try:
        out.write(header.encode())
        if schema.fields and text.num_rows:
            options = pacsv.WriteOptions(include_header=False, delimiter=delimiter, batch_size=16_384)
            pacsv.write_csv(text, pa.PythonFile(out, mode="w"), options)
    except UnicodeEncodeError as error:
        raise FidelityError(
            f"{error.object[error.start]!r} cannot be written in {encoding}.", cure="Leave encoding= at utf-8."
        ) from error
    return _lines(header, text)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _check_labels(schema: FrameSchema) -> None:
    for field in schema.fields:
        if "\0" in field.name:
            raise FidelityError(f"The label {field.label!r} holds a NUL character, which CSV cannot hold.")


def _quoted(name: str, delimiter: str) -> str:
    special = any(mark in name for mark in (delimiter, '"', "\n", "\r"))
    return '"' + name.replace('"', '""') + '"' if special else name


def _lines(header: str, text: pa.Table) -> tuple[int, bool]:
    """How many line ends the file must have (the rows', the header's, those in cells), and whether a cell has any."""
    texts = [column for column in text.columns if pa.types.is_string(column.type)]
    inside = sum(pc.sum(pc.count_substring(column, "\n")).as_py() or 0 for column in texts)
    rows = text.num_rows if text.num_columns else 0
    several = inside or header.count("\n") > 1 or "\r" in header
    several = several or any(pc.any(pc.match_substring(column, "\r")).as_py() for column in texts)
    return header.count("\n") + rows + inside, bool(several)


def check_lines(path: Path, lines: int) -> None:
    """IntegrityError unless the file has that many line ends."""
    with open(path, "rb") as file:
        found = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    if found != lines:
        raise IntegrityError(f"{path.name}: {found} lines were written of {lines}.")


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
    span = pc.min_max(pc.year(column)).as_py()
    if span["min"] is not None and not 1 <= span["min"] <= span["max"] <= 9999:
        raise FidelityError(f"Column {field.label!r} holds a year beyond 1 to 9999.", cure="Use parquet.")


# --------------------------------------------------------------------------- reading our own


def read_own(
    file: BinaryIO, name: str, schema: FrameSchema, rows: int, *, delimiter: str, encoding: str, multiline: bool
) -> pa.Table:
    """The table of a file that we wrote.

    Raises
    ------
    IntegrityError
        When it is not what the record says.
    """
    if not schema.fields:
        return only_rows(rows)
    converting = pacsv.ConvertOptions(
        column_types={field.name: _spelled_type(field) for field in schema.fields},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["true"],
        false_values=["false"],
    )
    reading = pacsv.ReadOptions(column_names=schema.names, skip_rows_after_names=1, block_size=BLOCK)
    parsing = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=multiline, ignore_empty_lines=False)
    try:
        content = file.read() if encoding == "utf-8" else file.read().decode(encoding).encode()
        table = parse(pa.BufferReader(content), len(content), reading, parsing, converting)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise IntegrityError(f"{name} cannot be read as it was saved: {error}.", resource=name) from error
    if table.num_rows != rows:
        raise IntegrityError(f"{name} has {table.num_rows} rows, and {rows} were saved.")
    columns = [_from_spelled(table.column(field.name), field) for field in schema.fields]
    return pa.table(columns, names=schema.names)


def parse(source: Any, size: int, reading: Any, parsing: Any, converting: Any) -> pa.Table:
    """What Arrow reads; once more in one block when a row is longer than a block."""
    try:
        return pacsv.read_csv(source, reading, parsing, converting)
    except pa.ArrowInvalid as error:
        if "block" not in str(error) or size <= reading.block_size:
            raise
        reading.block_size = min(size + 1, 2**31 - 1)
        source.seek(0)
        return pacsv.read_csv(source, reading, parsing, converting)


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


# --------------------------------------------------------------------------- reading what others wrote


def read_foreign(data: bytes, name: str, *, delimiter: str, encoding: str, nulls: Sequence[str]) -> pa.Table:
    """Every cell as text (a missing one null) under the header's names; nothing is interpreted.

    Raises
    ------
    FormatError
        With the line, for bytes that are not in the encoding, a NUL, an open quote, a row with too many or too few
        fields, a repeated name in the header.
    """
    text = _checked_text(data, name, encoding)
    body = text.encode() if text is not None else data.removeprefix(codecs.BOM_UTF8)
    header = _header(body, name, delimiter)
    quoted = b'"' in body
    if quoted:
        check_records(body, name, delimiter, len(header))
    try:
        table = parse(
            pa.BufferReader(body),
            len(body),
            pacsv.ReadOptions(column_names=header, skip_rows_after_names=1, block_size=BLOCK),
            pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted, ignore_empty_lines=len(header) > 1),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=["", *nulls],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        check_records(body, name, delimiter, len(header))  # names the line
        raise FormatError(f"{name} is not CSV that can be read: {error}.", resource=name) from error
    return table


def _checked_text(data: bytes, name: str, encoding: str) -> str | None:
    """The text when it is not UTF-8; None when the bytes are, which need no decoding."""
    if not data or data.isspace():
        raise FormatError(f"{name} is empty: it has no header.", line=1, resource=name)
    if b"\0" in data and codecs.lookup(encoding).name[:6] not in ("utf-16", "utf-32"):
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise FormatError(
            f"{name} holds a NUL byte in line {line}.", cure="Is it UTF-16? Pass encoding=.", line=line, resource=name
        )
    try:
        if not _is_utf8(encoding):
            return data.decode(encoding)
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(
            f"{name} is not {encoding}: byte 0x{data[error.start]:02x} in line {line}.",
            cure="Pass the encoding that it is in, such as encoding='cp1252'.",
            line=line,
            resource=name,
        ) from error
    return None


def _header(body: bytes, name: str, delimiter: str) -> list[str]:
    _, header = next(_records(body, name, delimiter), (1, []))
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise FormatError(
            f"{name} has the column {repeated[0]!r} more than once.",
            cure="Rename it in the file.",
            line=1,
            resource=name,
        )
    others = [mark for mark in (";", "\t", "|", ",") if mark != delimiter and mark in "".join(header)]
    if len(header) == 1 and others:
        raise FormatError(
            f"{name} has one column, {header[0][:60]!r}.",
            cure=f"Is the delimiter {others[0]!r}? Pass delimiter=.",
            line=1,
            resource=name,
        )
    return header


def _records(body: bytes, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line where it begins; FormatError with that line when its quotes are not right."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(body), "utf-8", newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for record in reader:
            yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        why = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise FormatError(f"{name}, line {line}: {why}.", line=line, resource=name) from error


def check_records(body: bytes, name: str, delimiter: str, width: int) -> None:
    """FormatError with the line of the first record that has not `width` fields; blank lines are passed over."""
    for line, record in _records(body, name, delimiter):
        if record and len(record) != width:
            raise FormatError(
                f"{name}, line {line}: {len(record)} fields, and the header has {width}.",
                cure="Mend the line, or quote the cell that holds the delimiter.",
                line=line,
                resource=name,
            )
