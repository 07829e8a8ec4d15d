"""Rows that cannot be read, told apart from those that can, one record at a time, with the line and the reason.

After quotes that are not right the reading goes on at the next line: one stray quote does not take the rest with it.
"""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from framework.formats.compression import Read
from framework.formats.records import LONGEST
from framework.prepare.dialects import Dialect

SHOWN = 1000  # bad rows that the result lists; the file has them all
LOOKED = 5000  # records between two looks at whether to stop
SPAN = 1 << 26  # bytes of memory of a record in quotes, beyond which one is taken to be open
LINE = 64  # bytes of memory that a line takes beside its characters
AGAIN = 4  # how often all that was read, and a span, may be read once more after quotes that are not right
BATCH = 10_000  # bad rows
SPOOLED = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in the file.

    Attributes
    ----------
    line : int
        Where it begins.
    lines : int
        How many it takes.
    text : str
        Its bytes, those that are not UTF-8 as lone surrogates.
    cells : list of str
        None in a blank line, and where its quotes are not right.
    why : str or None
        What is wrong with it.
    """

    line: int
    lines: int
    text: str
    cells: list[str]
    why: str | None


class Tangled(Exception):
    """Quotes so wrong that to tell the records apart would take for ever; from that record on."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.record = record


class _Raw(io.RawIOBase):
    """A `read` as a file."""

    def __init__(self, read: Read) -> None:
        self._read, self._left = read, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if not self._left:
            self._left = self._read(1 << 20)
        given = self._left[: len(view)]
        view[: len(given)] = given
        self._left = self._left[len(given) :]
        return len(given)


class _Lines:
    """Lines that can be put back."""

    def __init__(self, read: Read) -> None:
        self._text = io.TextIOWrapper(io.BufferedReader(_Raw(read)), "utf-8", errors="surrogateescape", newline="")
        self._back: deque[str] = deque()
        self.taken: list[str] = []
        self._length = self._read = self._again = 0

    def begin(self) -> None:
        """A new record begins."""
        self._read += sum(map(len, self.taken))
        self.taken, self._length = [], 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._length > SPAN:
            raise StopIteration
        line = self._back.popleft() if self._back else next(self._text)
        self.taken.append(line)
        self._length += len(line) + LINE
        return line

    def put_back(self) -> None:
        """All lines of the record but the first."""
        self._again += self._length
        self._back.extendleft(reversed(self.taken[1:]))
        self.taken = self.taken[:1]

    @property
    def tangled(self) -> bool:
        """Whether each line may open a quote that is closed nowhere: they would be read as often as there are lines."""
        return self._again > AGAIN * (SPAN + self._read)


def records_of(read: Read, *, delimiter: str, quote: Literal['"', "'"], width: int, most: int) -> Iterator[Record]:
    """Every record of UTF-8 bytes, well or not.

    Parameters
    ----------
    width : int
        How many cells a record has.
    most : int
        Characters of one cell.

    Raises
    ------
    Tangled
    """
    csv.field_size_limit(LONGEST)
    lines, line = _Lines(read), 1
    while True:
        lines.begin()
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)
        try:
            cells, why = next(reader, None), None
        except csv.Error as error:
            cells, why = [], _quotes(str(error))
            lines.put_back()
        if cells is None:
            return
        text = "".join(lines.taken)
        record = Record(line, len(lines.taken), text, cells, why or _fault(text, cells, width, most))
        if lines.tangled:
            raise Tangled(record)
        yield record
        line += len(lines.taken)


def _quotes(told: str) -> str:
    return "a quote is opened and never closed" if "end of data" in told else f"its quotes are not right ({told})"


def _fault(text: str, cells: list[str], width: int, most: int) -> str | None:
    if not cells:
        return None
    if "\0" in text:
        return "it holds a NUL byte"
    if not text.isascii():
        odd = next((char for char in text if "\udc80" <= char <= "\udcff"), None)
        if odd:
            return f"byte 0x{ord(odd) - 0xDC00:02x} is not UTF-8"
    if len(cells) != width:
        return f"{len(cells)} fields, and the header has {width}"
    longest = max(map(len, cells))
    return f"a field of {longest:,} characters, and {most:,} are the most" if longest > most else None


@dataclass(slots=True)
class Refused:
    """The rows that were put aside.

    Attributes
    ----------
    shown : list of (line, why)
        The first of them.
    """

    spool: BinaryIO
    count: int = 0
    shown: list[tuple[int, str]] = field(default_factory=list)

    def add(self, record: Record) -> None:
        why = record.why or ""
        self.count += 1
        if len(self.shown) < SHOWN:
            self.shown.append((record.line, why))
        text = record.text.rstrip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        self.spool.write(json.dumps([record.line, why, text]).encode() + b"\n")

    def write(self, path: Path) -> None:
        """Put them there as Parquet: _line, _why, _text."""
        import pyarrow as pa

        from framework.files import storage_errors
        from framework.formats.parquet import write_pieces

        kinds = pa.schema([("_line", pa.int64()), ("_why", pa.string()), ("_text", pa.string())])
        with storage_errors(str(path)):
            write_pieces(path, kinds, self._tables(kinds))

    def _tables(self, kinds: Any) -> Iterator[Any]:
        import pyarrow as pa

        self.spool.seek(0)
        rows: list[list[Any]] = []
        for told in self.spool:
            rows.append(json.loads(told))
            if len(rows) == BATCH:
                yield pa.table(list(map(list, zip(*rows, strict=True))), schema=kinds)
                rows = []
        if rows:
            yield pa.table(list(map(list, zip(*rows, strict=True))), schema=kinds)


def part(
    records: Iterator[Record],
    good: BinaryIO,
    refused: Refused | None,
    dialect: Dialect,
    *,
    rewrite: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> Record | None:
    """Write the good records; a bad one leaves its lines blank, so that those after it keep theirs.

    Not in a table of one column, where a blank line is a row.

    Parameters
    ----------
    refused : Refused, optional
        Takes the bad ones; without it the first is given back.
    dialect : Dialect
        If it has a header, that must be good.
    rewrite : str, optional
        The delimiter by which records are written anew, with double quotes.
    """
    header = dialect.header
    for number, record in enumerate(records):
        if number % LOOKED == 0:
            check()
        if record.why is None:
            good.write(_written(record, rewrite) if rewrite and record.cells else _ended(record.text).encode())
            header = header and not record.cells
        elif refused is None or header:
            return record
        else:
            refused.add(record)
            good.write(b"" if dialect.single else b"\n" * record.lines)
    return None


def _ended(text: str) -> str:
    """A record that ends with LF where it did with CR, which an LF after it would make one end of two."""
    return text[:-1] + "\n" if text.endswith("\r") else text


def _written(record: Record, delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(record.cells)
    return text.getvalue().encode()
