"""A CSV file's bytes in pieces of whole records, in bounded memory, with the line where each piece begins."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from framework.errors import FormatError
from framework.formats.compression import Read

PIECE = 1 << 22  # bytes
LONGEST = 1 << 30  # bytes of one record: an open quote would take all the rest
QUOTE, LF, CR = ord('"'), ord("\n"), ord("\r")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records in UTF-8.

    Attributes
    ----------
    data : bytes
    line : int
        That of its first record.
    """

    data: bytes
    line: int


def pieces(read: Read, name: str, *, quoted: bool = True, size: int = PIECE) -> Iterator[bytes]:
    """The bytes in pieces, each ending with a record whose quotes are closed; the last one as it is.

    Parameters
    ----------
    quoted : bool
        Whether a line end may stand in quotes.
    size : int
        Bytes of a piece, about.
    """
    rest, wanted = b"", size
    while block := read(wanted):
        cut = block.rfind(b"\n") + 1
        if cut and b'"' not in block and b'"' not in rest:  # no need to look closer, nor to copy twice
            yield b"".join((rest, memoryview(block)[:cut])) if rest or cut < len(block) else block
            rest, wanted = block[cut:], size
            continue
        data = rest + block if rest else block
        cut = _end_of_records(data, quoted=quoted)
        if cut:
            yield data if cut == len(data) else data[:cut]
        rest, wanted = (data[cut:], size) if cut else (data, len(data))
        if len(rest) > LONGEST:
            raise FormatError(f"{name} has a record of more than {LONGEST:,} bytes.", cure="Is a quote left open?")
    if rest:
        yield rest


def _end_of_records(data: bytes, *, quoted: bool) -> int:
    """Where the last record that is whole ends; 0 if none is."""
    mark = b"\n" if b"\n" in data else b"\r"
    at = data.rfind(mark, 0, len(data) if mark == b"\n" else len(data) - 1)
    if at < 0 or not quoted or b'"' not in data:
        return at + 1
    open_quotes = data.count(b'"', 0, at)
    while at >= 0 and open_quotes % 2:
        before = data.rfind(mark, 0, data.rfind(b'"', 0, at))  # the ends after that quote are all in it
        open_quotes -= data.count(b'"', max(before, 0), at)
        at = before
    return at + 1


def lines_in(data: bytes) -> int:
    """How many line ends: LF, CR or both together."""
    count = int(np.count_nonzero(np.frombuffer(data, np.uint8) == LF))
    return count + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else count


def well_quoted(data: bytes, delimiter: str) -> bool:
    """Whether every quote opens or closes a whole cell, or is doubled in one."""
    text = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(text == QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    doubled = closing[:-1] + 1 == opening[1:]
    around = np.zeros(256, dtype=bool)
    around[[ord(delimiter), LF, CR]] = True
    before = (opening == 0) | around[text[opening - 1]]
    after = (closing == len(text) - 1) | around[text[np.minimum(closing + 1, len(text) - 1)]]
    before[1:] |= doubled
    after[:-1] |= doubled
    return bool(before.all() and after.all())


def line_ends_in_quotes(data: bytes) -> bool:
    """Whether a quoted cell holds a line end; its quotes are well."""
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero((text == LF) | (text == CR))
    return bool((np.searchsorted(np.flatnonzero(text == QUOTE), ends) % 2).any())


# --------------------------------------------------------------------------- what others wrote


def foreign_pieces(read: Read, name: str, *, delimiter: str, encoding: str, size: int = PIECE) -> Iterator[Piece]:
    """The pieces of a file that others wrote, in UTF-8 without a byte order mark.

    Raises
    ------
    FormatError
        With the line, for bytes that are not in the encoding, a NUL, quotes that are not right.
    """
    line, first = 1, True
    source = iter(pieces(in_utf8(read, name, encoding), name, size=size))
    for data in source:
        if first:
            data, first = data.removeprefix(codecs.BOM_UTF8), False
        _check_bytes(data, name, line, encoding)
        if QUOTE in data and not well_quoted(data, delimiter):
            yield from _one_by_one(data, source, name, line, delimiter, encoding, size)
            return
        yield Piece(data, line)
        line += lines_in(data)


def _check_bytes(data: bytes, name: str, line: int, encoding: str) -> None:
    if b"\0" in data:
        at = line + lines_in(data[: data.index(b"\0")])
        raise FormatError(
            f"{name} holds a NUL byte in line {at}.", cure="Is it UTF-16? Pass encoding=.", line=at, resource=name
        )
    try:
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_in(name, encoding, line, error) from error


def _not_in(name: str, encoding: str, line: int, error: UnicodeDecodeError) -> FormatError:
    line += lines_in(error.object[: error.start])
    return FormatError(
        f"{name} is not {encoding}: byte 0x{error.object[error.start]:02x} in line {line}.",
        cure="Pass the encoding that it is in, such as encoding='cp1252'.",
        line=line,
        resource=name,
    )


def in_utf8(read: Read, name: str, encoding: str) -> Read:
    """A `read` that gives UTF-8, whatever the encoding is."""
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        return read
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1

    def next_bytes(size: int) -> bytes:
        nonlocal line
        while block := read(size):
            text = _decoded(block, final=False)
            if text:  # a block may hold less than one character
                line += text.count("\n")
                return text.encode()
        return _decoded(b"", final=True).encode()

    def _decoded(block: bytes, *, final: bool) -> str:
        try:
            return decoder.decode(block, final)
        except UnicodeDecodeError as error:
            line_at = line + error.object[: error.start].decode(encoding, "ignore").count("\n")
            raise FormatError(
                f"{name} is not {encoding}: byte 0x{error.object[error.start]:02x} in line {line_at}.",
                cure="Pass the encoding that it is in, such as encoding='cp1252'.",
                line=line_at,
                resource=name,
            ) from error
        except UnicodeError as error:  # UTF-16 without its mark
            raise FormatError(f"{name} is not {encoding}: {error}.", line=line, resource=name) from error

    return next_bytes


class _Joined(io.RawIOBase):
    """Blocks of bytes one after the other, as a file."""

    def __init__(self, first: bytes, others: Iterator[bytes]) -> None:
        self._left, self._others = memoryview(first), others  # of which a part is no copy

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if not self._left:
            self._left = memoryview(next(self._others, b""))
        view = memoryview(buffer)  # type: ignore[arg-type]
        given = self._left[: len(view)]
        view[: len(given)] = given
        self._left = self._left[len(given) :]
        return len(given)


def _one_by_one(
    first: bytes, others: Iterator[bytes], name: str, line: int, delimiter: str, encoding: str, size: int
) -> Iterator[Piece]:
    """Pieces of records that Python's csv module found, where quotes stand in the midst of cells."""
    rest = _checked(others, name, line + lines_in(first), encoding)
    text = io.TextIOWrapper(io.BufferedReader(_Joined(first, rest)), "utf-8", newline="")
    held: list[str] = []
    begin, length = line, 0
    for end, record in _records(_kept(text, held), name, line, delimiter):
        length += sum(map(len, record))
        if length > size:
            yield Piece("".join(held).encode(), begin)
            held.clear()
            begin, length = end + 1, 0
    if held:
        yield Piece("".join(held).encode(), begin)


def _checked(others: Iterator[bytes], name: str, line: int, encoding: str) -> Iterator[bytes]:
    for data in others:
        _check_bytes(data, name, line, encoding)
        yield data
        line += lines_in(data)


def _kept(lines: io.TextIOWrapper, held: list[str]) -> Iterator[str]:
    for line in lines:
        held.append(line)
        yield line


def records(data: bytes, name: str, line: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line where it begins; FormatError with that line when its quotes are not right."""
    begin = line
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    for end, record in _records(text, name, line, delimiter):
        yield begin, record
        begin = end + 1


def _records(lines: Iterator[str], name: str, line: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line where it ends."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    begin = line
    try:
        for record in reader:
            end = line + reader.line_num - 1
            yield end, record
            begin = end + 1
    except csv.Error as error:
        why = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise FormatError(f"{name}, line {begin}: {why}.", line=begin, resource=name) from error


def header_of(piece: Piece, name: str, delimiter: str) -> tuple[list[str], int, int]:
    """The first record that is not blank, the bytes up to its end, and the line of it."""
    held: list[str] = []
    text = io.TextIOWrapper(io.BytesIO(piece.data), "utf-8", newline="")
    begin = piece.line
    for end, record in _records(_kept(text, held), name, piece.line, delimiter):
        if record:
            return record, len("".join(held).encode()), begin
        begin = end + 1
    raise FormatError(f"{name} is empty: it has no header.", line=1, resource=name)
