"""What tells that a Parquet file of ours is as it was written, every bit of it.

Between the last row group and the footer, where no reader looks, stand the CRC32 of each block before them, and one of
these and of the footer: a footer has no checksum of its own, and a page's leaves out the page's header.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from framework.checksums import CHUNK, HashingWriter, Sink
from framework.errors import IntegrityError

MAGIC = b"MILLPOND"
PARQUET = b"PAR1"
END = 8  # bytes: the footer's length, and PARQUET
FIXED = 16  # bytes: how many blocks, the checksum, MAGIC
FIRST_READ = 1 << 15  # bytes at the end of the file, in which most footers are
WORTH_THREADS = 8  # blocks


class MarkingSink(Sink):
    """The sink for a Parquet writer, which puts the mark before the footer.

    Attributes
    ----------
    footer : bytes
        With its length and the last four bytes of the file.
    """

    def __init__(self, sink: HashingWriter) -> None:
        self._sink = sink
        self._held: list[bytes] = []
        self._length = self._told = 0
        self._ends = self.closed = False
        self.footer = b""

    def write(self, data: Any) -> int:
        self._held.append(bytes(data))
        self._length += len(data)
        self._told += len(data)
        if self._length >= CHUNK and not self._ends:
            self._pass_on()
        return len(data)

    def end_of_rows(self) -> None:
        """What is written from now on is the footer."""
        self._pass_on()
        self._ends = True

    def finish(self) -> None:
        """Write the mark and the footer."""
        held = b"".join(self._held)
        begin = len(held) - END - int.from_bytes(held[-END:-4], "little")
        self._sink.write(held[:begin])
        self.footer = held[begin:]
        table = struct.pack(f"<{len(self._sink.blocks)}I", *self._sink.blocks)
        self._sink.write(_mark(table, self.footer) + self.footer)

    def _pass_on(self) -> None:
        self._sink.write(b"".join(self._held))
        self._held.clear()
        self._length = 0

    def tell(self) -> int:
        return self._told

    def flush(self) -> None:
        """What is held is written in large blocks."""


def _mark(table: bytes, footer: bytes) -> bytes:
    counted = table + struct.pack("<I", len(table) // 4)
    return counted + struct.pack("<I", zlib.crc32(footer, zlib.crc32(counted))) + MAGIC


@dataclass(frozen=True, slots=True)
class Mark:
    """What was found at the end of a file.

    Attributes
    ----------
    footer : bytes
        With its length and the last four bytes of the file; whole.
    blocks : tuple of int
        CRC32 of each `CHUNK` of the bytes before `end`.
    """

    footer: bytes
    blocks: tuple[int, ...]
    end: int

    def check(self, descriptor: int, name: str, ranges: Iterable[tuple[int, int]]) -> None:
        """IntegrityError if the bytes from one place to another are not those that were written."""
        numbers = {n for begin, end in ranges for n in range(begin // CHUNK, (end + CHUNK - 1) // CHUNK)}
        self._check(descriptor, name, sorted(numbers))

    def content(self, descriptor: int, name: str) -> pa.Buffer:
        """All bytes before `end`, checked where they lie in memory; IntegrityError as above."""
        held = pa.allocate_buffer(self.end)
        self._check(descriptor, name, range(len(self.blocks)), memoryview(held))
        return held

    def _check(self, descriptor: int, name: str, numbers: Sequence[int], into: memoryview | None = None) -> None:
        if len(numbers) < WORTH_THREADS:
            sound = self._sound(descriptor, numbers, into)
        else:
            with ThreadPoolExecutor(2) as workers:
                halves = (numbers[::2], numbers[1::2])
                sound = all(workers.map(lambda half: self._sound(descriptor, half, into), halves))
        if not sound:
            raise damaged(name)

    def _sound(self, descriptor: int, numbers: Sequence[int], into: memoryview | None) -> bool:
        """Whether the blocks are as they were written; they are read to where they belong, or each over the last."""
        passing = memoryview(bytearray(CHUNK if numbers and into is None else 0))
        for number in numbers:
            if number >= len(self.blocks):
                return False
            begin, end = number * CHUNK, min((number + 1) * CHUNK, self.end)
            block = passing[: end - begin] if into is None else into[begin:end]
            if os.preadv(descriptor, [block], begin) != len(block) or zlib.crc32(block) != self.blocks[number]:
                return False
        return True


def damaged(name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is damaged: its bytes are not those that were saved.",
        cure="Restore it from a backup: millpond restore.",
        resource=name,
    )


def find_mark(descriptor: int, name: str) -> Mark | None:
    """The mark of an open file; None when it has none, as those of others.

    Raises
    ------
    IntegrityError
        The mark, the footer or its length is not what was written.
    """
    size = os.fstat(descriptor).st_size
    if size < 4 + END + FIXED:
        return None
    tail = os.pread(descriptor, min(size, FIRST_READ), max(0, size - FIRST_READ))
    length = int.from_bytes(tail[-END:-4], "little")
    if tail[-4:] != PARQUET:
        return None
    mark = _mark_before(descriptor, size, tail, length)
    if mark is not None and mark.footer:
        return mark
    bent = (length ^ (1 << bit) for bit in range(32))  # of which one may be the length that was written
    others = (_mark_before(descriptor, size, tail, other) for other in bent)
    if mark is not None or any(other is not None and other.footer for other in others):
        raise damaged(name)
    return None


def _mark_before(descriptor: int, size: int, tail: bytes, length: int) -> Mark | None:
    """The mark before a footer of that length; with no footer in it when they do not belong together."""
    footer_at = size - END - length
    if footer_at < 4 + FIXED:
        return None

    def bytes_at(begin: int, end: int) -> bytes:
        within = begin - (size - len(tail))
        return tail[within : within + end - begin] if within >= 0 else os.pread(descriptor, end - begin, begin)

    fixed = bytes_at(footer_at - FIXED, footer_at)
    if fixed[-len(MAGIC) :] != MAGIC:
        return None
    count, crc = struct.unpack("<2I", fixed[:8])
    end = footer_at - FIXED - 4 * count
    if end < 4:
        return Mark(b"", (), 0)
    table = bytes_at(end, footer_at - FIXED)
    footer = bytes_at(footer_at, size - END) + struct.pack("<I", length) + PARQUET
    whole = zlib.crc32(footer, zlib.crc32(table + fixed[:4])) == crc
    return Mark(footer if whole else b"", struct.unpack(f"<{count}I", table), end)
