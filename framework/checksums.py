"""What was written, summed up as it passes, and held against what lies on the disk."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from framework.errors import IntegrityError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor
    from io import FileIO

CHUNK = 1 << 20  # bytes that are read, and summed up, at a time


class Sink:
    """What Arrow asks of a file that it only writes to."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


class HashingWriter(Sink):
    """A binary sink that counts and sums up what passes, so that what lies on the disk can be held against it.

    Large blocks are summed up by a thread of its own while the next is made. Without `digest` there is no `sha256`.
    """

    def __init__(self, sink: BinaryIO, *, digest: bool = True) -> None:
        self._sink = sink
        self._hash = hashlib.sha256() if digest else None
        self._blocks: list[int] = []
        self._crc = self._filled = self.size = 0
        self._worker: ThreadPoolExecutor | None = None
        self._summing: Future[None] | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data if isinstance(data, bytes) else bytes(data))  # which nobody changes meanwhile
        self._wait()
        if len(view) < CHUNK // 16:
            self._sum(view)
        else:
            self._summing = self.aside(self._sum, view)
        self.size += len(view)
        written = len(view)
        while view:  # an unbuffered file may take less than it was given
            view = view[self._sink.write(view) :]
        return written

    def _sum(self, view: memoryview) -> None:
        if self._hash is not None:
            self._hash.update(view)
        while view:
            part = view[: CHUNK - self._filled]
            self._crc, self._filled = zlib.crc32(part, self._crc), self._filled + len(part)
            view = view[len(part) :]
            if self._filled == CHUNK:
                self._blocks.append(self._crc)
                self._crc = self._filled = 0

    def _wait(self) -> None:
        if self._summing is not None:
            self._summing.result()
            self._summing = None

    def aside(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Let the thread do it after what it does."""
        self._worker = self._worker or _one_thread()
        return self._worker.submit(work, *arguments)

    @property
    def sha256(self) -> str:
        """Hex digest of all that was written."""
        self._wait()
        assert self._hash is not None
        return self._hash.hexdigest()

    @property
    def blocks(self) -> tuple[int, ...]:
        """CRC32 of each `CHUNK` of it."""
        self._wait()
        return (*self._blocks, self._crc) if self._filled else tuple(self._blocks)

    def finish(self) -> None:
        """Let go of the thread."""
        if self._worker is not None:
            self._worker.shutdown()
            self._worker = None

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._sink.flush()


def _one_thread() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1)


def check_bytes(path: str, written: HashingWriter) -> None:
    """IntegrityError when the bytes of a file are not those that were written."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        there = tuple(_sums(file, min(CHUNK, size + 1)))
    if size != written.size or there != written.blocks:
        raise IntegrityError(
            f"{os.path.basename(os.path.dirname(path))}: the bytes on the disk are not those that were written.",
            cure="Check the disk; what was there before is untouched.",
        )


def _sums(file: FileIO, most: int) -> Iterator[int]:
    """CRC32 of each `CHUNK` of an open file, read into one buffer of `most` bytes."""
    held = memoryview(bytearray(most))
    while filled := _filled(file, held):
        yield zlib.crc32(held[:filled])


def _filled(file: FileIO, held: memoryview) -> int:
    """How many bytes were read: all that fit, unless it ends before."""
    filled = 0
    while filled < len(held) and (count := file.readinto(held[filled:])):
        filled += count
    return filled
