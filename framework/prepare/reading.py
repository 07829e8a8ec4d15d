"""One file read as a table: what it is written in is found, types over all rows, bad rows refused or put aside."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FormatError, IngestionException
from framework.formats.compression import Read
from framework.formats.csv_foreign import Foreign, Source, Spelling
from framework.formats.records import in_utf8
from framework.mods.artifacts import arrow_of, write_tables
from framework.prepare.dialects import Dialect, find
from framework.prepare.encodings import Encoding, of_sample, of_whole
from framework.prepare.quarantine import Record, Refused, Tangled, part, records_of
from framework.prepare.spellings import Evidence
from framework.prepare.unpacking import Content, spool
from framework.schema import ALL, FrameSchema, Selection, decode

SAMPLE = 1 << 18  # bytes
MOST_SAMPLED = 1 << 22  # bytes, where the first record is longer than a sample
ENCODED = 1 << 20  # bytes
SURE = 0.6
DECODE = "Pass the encoding= that it is in."
MEND = "Mend the line, or pass on_bad_rows='quarantine' to put such rows aside."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller said of a file; what is None is found out."""

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    date_format: str | Mapping[str, str | None] | None = None
    header: bool | None = None
    on_bad_rows: Literal["refuse", "quarantine"] = "refuse"
    max_rows: int | None = None
    max_columns: int = 1 << 14
    max_field: int = 1 << 20
    check: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Table:
    """What was read.

    Attributes
    ----------
    nulls : dict of column to int
    frame : pandas.DataFrame or None
        None where it was written to a file.
    """

    encoding: Encoding
    dialect: Dialect
    decimal: str
    schema: FrameSchema
    nulls: dict[str, int]
    refused: Refused
    warnings: list[str]
    frame: Any


class _NotInUtf8(Exception):
    """A file that began as UTF-8 is not all of it."""


class _TooLong(Exception):
    """A field is longer than it may be."""


class Reading:
    """A file that is read, in pieces of `piece` bytes."""

    def __init__(self, content: Content, asked: Asked, stack: ExitStack, *, piece: int) -> None:
        self.content, self.asked, self.piece, self.stack = content, asked, piece, stack
        self.name = content.name
        self.warnings: list[str] = []  # of the encoding
        self._parted_from: Callable[[], Read] | None = None  # what the good rows were taken from
        self._parsing: Foreign | None = None
        self._begin: Callable[[], Read] = content.begin

    def read(self, into: Path | None) -> Table:
        """The table: as a frame, or written to `into` as Parquet a piece at a time.

        Raises
        ------
        IngestionException
        """
        said = self.asked.encoding
        found = Encoding(said, 1.0, "as was said") if said else of_sample(_start(self.content.begin(), ENCODED))
        if found is None:
            return self._in(self._by_all_bytes(), into)
        try:
            return self._in(found, into)
        except _NotInUtf8:
            return self._in(self._by_all_bytes(), into)

    def _by_all_bytes(self) -> Encoding:
        found = of_whole(self._ticking(self.content.begin()))
        if found.confidence < SURE:
            self.warnings.append(f"The encoding is taken to be {found.name}, which is not sure: {found.why}.")
        return found

    # ------------------------------------------------------------------ in one encoding

    def _in(self, encoding: Encoding, into: Path | None) -> Table:
        def begin() -> Read:
            return _without_mark(in_utf8(self._ticking(self.content.begin()), self.name, encoding.name))

        self._begin, self._parted_from = begin, None
        dialect = self._ours(self._dialect)
        refused = Refused(spool(self.stack))
        guessed = self.asked.encoding is None and encoding.name == "utf-8"
        if dialect.quote == "'":
            self._part(dialect, refused if self.asked.on_bad_rows == "quarantine" else None, guessed=guessed)
        try:
            made = self._made(dialect, into)
        except (FormatError, _TooLong) as error:
            if guessed and isinstance(error.__cause__, UnicodeDecodeError):
                raise _NotInUtf8 from error
            if self.asked.on_bad_rows == "refuse" or refused.count:
                raise self._refusal(error, dialect) from error
            self._part(dialect, refused, guessed=guessed)
            made = self._ours(lambda: self._made(dialect, into), dialect)
        frame, schema, nulls, decimal, told = made
        return Table(encoding, dialect, decimal, schema, nulls, refused, self.warnings + told, frame)

    def _dialect(self) -> Dialect:
        wanted, asked = SAMPLE, self.asked
        while True:
            start = _start(self._begin(), wanted)
            whole = len(start) < wanted
            text = codecs.getincrementaldecoder("utf-8")("replace").decode(start, whole)
            last = whole or wanted >= MOST_SAMPLED
            try:
                if last or text.count("\n") + text.count("\r") > 1:
                    found = find(text, self.name, whole=whole, delimiter=asked.delimiter, header=asked.header)
                    break
            except IngestionException:
                if last or text.count('"') % 2 == 0:
                    raise
            wanted *= 4  # a long cell was cut
        if len(found.names) > asked.max_columns:
            raise IngestionException(
                f"{self.name} has {len(found.names):,} columns, and {asked.max_columns:,} are the most.",
                cure="If that is right, raise max_columns=.",
                line=found.line,
                resource=self.name,
            )
        return found

    def _ticking(self, read: Read) -> Read:
        """The same bytes; before each block it is asked whether to go on."""

        def next_bytes(size: int) -> bytes:
            self.asked.check()
            if self._parsing is not None:
                self._check_rows(self._parsing.rows)
            return read(size)

        return next_bytes

    def _check_rows(self, rows: int) -> None:
        if self.asked.max_rows is not None and rows > self.asked.max_rows:
            raise IngestionException(
                f"{self.name} has more than {self.asked.max_rows:,} rows.",
                cure="If that is right, raise max_rows=.",
                resource=self.name,
            )

    # ------------------------------------------------------------------ marks, dates, the table

    def _made(self, dialect: Dialect, into: Path | None) -> tuple[Any, FrameSchema, dict[str, int], str, list[str]]:
        """The frame or None, the schema, what is missing, the decimal mark, warnings; in one pass if that will do."""
        asked = self.asked
        evidence = Evidence(
            dialect.names,
            [row for row in dialect.rows if not self._odd(row)],
            delimiter=dialect.delimiter,
            decimal=asked.decimal,
            date_format=asked.date_format,
            file=self.name,
            line=dialect.line,
        )
        spelling = evidence.first
        schema, table, pieces = self._parsed(dialect, spelling, whole=into is None)
        unsettled = evidence.unsettled(schema)
        if unsettled:
            as_text = Spelling(dialect.delimiter, dtype=dict.fromkeys(unsettled, "str"))
            for piece in self._foreign(dialect, as_text).scan(Selection.asked(columns=unsettled))[1]:
                evidence.add(piece)
            settled = evidence.settled(schema)
            if settled != spelling:
                table, spelling = None, settled
                schema, table, pieces = self._parsed(dialect, spelling, whole=into is None)
        self._check_rows(schema.range_rows)
        told = evidence.told(schema)
        nulls = dict.fromkeys(schema.names, 0)
        if into is None:
            self._look(table, nulls)
            return decode(table, schema), schema, nulls, spelling.decimal, told
        write_tables(into, arrow_of(schema), self._looked_at(pieces, nulls), schema)
        return None, schema, nulls, spelling.decimal, told

    def _odd(self, row: list[str]) -> bool:
        """Whether that may be one that is put aside, and says nothing of the others."""
        text, most = "".join(row), self.asked.max_field
        return "\0" in text or "\ufffd" in text or (len(text) > most and max(map(len, row)) > most)

    def _parsed(self, dialect: Dialect, spelling: Spelling, *, whole: bool) -> tuple[FrameSchema, Any, Any]:
        """The schema, and the table or its pieces."""
        foreign = self._foreign(dialect, spelling)
        if whole:
            table, schema = foreign.read(ALL)
            return schema, table, None
        schema, pieces = foreign.scan(ALL)
        return schema, None, pieces

    def _foreign(self, dialect: Dialect, spelling: Spelling) -> Foreign:
        names = dialect.delimiter.join(f'"{name}"' for name in dialect.names).encode() + b"\n"

        def begin() -> Read:
            return self._begin() if dialect.header else _after(names, self._begin())

        self._parsing = Foreign([Source(self.name, begin)], spelling, piece=self.piece)
        return self._parsing

    def _look(self, table: Any, nulls: dict[str, int]) -> None:
        """Count what is missing; _TooLong for a field that is."""
        for name in table.column_names:
            column = table.column(name)
            nulls[name] += column.null_count
            if pa.types.is_string(column.type) and _longer(column, self.asked.max_field):
                raise _TooLong

    def _looked_at(self, pieces: Any, nulls: dict[str, int]) -> Iterator[Any]:
        for piece in pieces:
            self._look(piece, nulls)
            yield piece

    # ------------------------------------------------------------------ bad rows

    def _part(self, dialect: Dialect, refused: Refused | None, *, guessed: bool) -> None:
        """From here on only the good rows are read."""
        if guessed:
            self._check_utf8()
        good = spool(self.stack)
        rewrite = dialect.delimiter if dialect.quote == "'" else None
        records, check = self._records(dialect), self.asked.check
        try:
            bad = self._ours(lambda: part(records, good, refused, dialect, rewrite=rewrite, check=check))
        except Tangled as error:
            line = error.record.line
            raise IngestionException(
                f"{self.name}, line {line}: {error.record.why}, and again in very many lines after it.",
                cure="Its rows cannot be told apart: mend its quotes.",
                line=line,
                resource=self.name,
            ) from error
        if bad is not None:
            raise self._bad(bad)
        self._parted_from = self._begin

        def begin() -> Read:
            good.seek(0)
            return self._ticking(good.read)

        self._begin = begin

    def _check_utf8(self) -> None:
        """_NotInUtf8 for a file that only begins so: its other rows are not broken, they are in another encoding."""
        decoder, read = codecs.getincrementaldecoder("utf-8")(), self._begin()
        try:
            while block := read(ENCODED):
                decoder.decode(block)
            decoder.decode(b"", True)
        except UnicodeDecodeError as error:
            raise _NotInUtf8 from error

    def _in_file(self, line: int, dialect: Dialect) -> int:
        """The line in the file of one among the good rows, where the bad ones left no blank lines."""
        if self._parted_from is None or not dialect.single:
            return line
        kept = 0
        for record in self._records(dialect, self._parted_from):
            kept += 0 if record.why else record.lines
            if kept >= line:
                return record.line + record.lines - 1 - (kept - line)
        return line

    def _records(self, dialect: Dialect, begin: Callable[[], Read] | None = None) -> Iterator[Record]:
        width, most, read = len(dialect.names), self.asked.max_field, (begin or self._begin)()
        return records_of(read, delimiter=dialect.delimiter, quote=dialect.quote, width=width, most=most)

    def _bad(self, record: Record) -> IngestionException:
        line = record.line
        return IngestionException(f"{self.name}, line {line}: {record.why}.", cure=MEND, line=line, resource=self.name)

    def _ours(self, call: Callable[[], T], dialect: Dialect | None = None) -> T:
        try:
            return call()
        except (FormatError, _TooLong) as error:
            raise self._refusal(error, dialect) from error

    def _refusal(self, error: FormatError | _TooLong, dialect: Dialect | None) -> IngestionException:
        """The same in our words, of the first bad record."""
        if isinstance(error, _TooLong):
            return self._first_bad(dialect, None) or IngestionException(f"{self.name} has a field that is too long.")
        line, message = error.line, error.message
        cure = error.cure or (DECODE if isinstance(error.__cause__, UnicodeError) else MEND)
        if line is None:
            return IngestionException(message, cure=cure, resource=self.name)
        if dialect is not None:
            there = self._in_file(line if dialect.header else line - 1, dialect)  # a header was put before the rows
            message, line = re.sub(rf"\bline {line}\b", f"line {there}", message), there
        told = IngestionException(message, cure=cure, line=line, resource=self.name)
        return self._first_bad(dialect, line) or told

    def _first_bad(self, dialect: Dialect | None, before: int | None) -> IngestionException | None:
        """The first record that is bad, if there is one before that line: within a piece some faults are seen first."""
        try:
            for record in self._records(dialect) if dialect is not None else ():
                if before is not None and record.line >= before:
                    return None
                if record.why:
                    return self._bad(record)
        except (FormatError, Tangled):  # a byte that is not in the encoding, which was told already
            return None
        return None


def _longer(column: Any, most: int) -> bool:
    """Whether a cell has more characters than that."""
    measures = (pc.binary_length, pc.utf8_length)  # the first is at hand, and not less
    return all((pc.max(measure(column)).as_py() or 0) > most for measure in measures)


def _start(read: Read, wanted: int) -> bytes:
    """The first bytes, fewer only if there are no more."""
    found = b""
    while len(found) < wanted and (block := read(wanted - len(found))):
        found += block
    return found


def _after(first: bytes, read: Read) -> Read:
    """Some bytes, and then what `read` gives."""
    waiting = [first]
    return lambda size: waiting.pop() if waiting else read(size)


def _without_mark(read: Read) -> Read:
    """The same bytes without a byte order mark before them."""
    fresh = True

    def next_bytes(size: int) -> bytes:
        nonlocal fresh
        block = read(size)
        if fresh:
            fresh = False
            if block.startswith(codecs.BOM_UTF8):
                return block[len(codecs.BOM_UTF8) :] or read(size)
        return block

    return next_bytes
