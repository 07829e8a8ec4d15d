"""Compressed files: which are, and their bytes in and out as a stream."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from framework.errors import FormatError, IntegrityError

Codec = Literal["gzip", "zstd"]
SUFFIXES: Final[dict[Codec, str]] = {"gzip": ".gz", "zstd": ".zst"}
GZIP_LEVEL = 6
MOST_UNPACKED = 1 << 33  # bytes of a compressed file that others wrote, unless told otherwise
Read = Callable[[int], bytes]


def codec_of(name: str) -> Codec | None:
    """How a file of that name is compressed."""
    return next((codec for codec, suffix in SUFFIXES.items() if name.endswith(suffix)), None)


class _Bytes:
    """A `read` or `write` as the file that Arrow wants, and closes."""

    def __init__(self, *, read: Read | None = None, write: Callable[[bytes], Any] | None = None) -> None:
        self.read, self.write = read, write
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def flush(self) -> None:
        """Nothing is held back."""

    def readable(self) -> bool:
        return self.read is not None

    def writable(self) -> bool:
        return self.write is not None

    def seekable(self) -> bool:
        return False


@contextmanager
def packed(sink: Any, codec: Codec | None) -> Iterator[Any]:
    """A sink whose bytes reach `sink` compressed; `sink` itself when there is nothing to do."""
    if codec is None:
        yield sink
        return
    if codec == "gzip":  # which Arrow knows only at its slowest
        with gzip.GzipFile("", "wb", GZIP_LEVEL, sink, mtime=0) as packing:
            yield packing
        return
    import pyarrow as pa

    with pa.CompressedOutputStream(pa.PythonFile(_Bytes(write=sink.write), mode="w"), codec) as stream:
        yield stream


def unpacked(read: Read, codec: Codec | None, name: str, *, most: int | None = None) -> Read:
    """A `read` of the content of what `read` gives, which is never whole in memory.

    Parameters
    ----------
    most : int, optional
        How many bytes there may be: a few thousand compressed ones can stand for gigabytes.

    Raises
    ------
    FormatError
        There are more than `most`.
    IntegrityError
        The compressed bytes are damaged or cut.
    """
    if codec is None:
        return read
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(_Bytes(read=read), mode="r"), codec)
    given = 0

    def next_bytes(size: int) -> bytes:
        nonlocal given
        try:
            block = bytes(stream.read(size))
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise IntegrityError(
                f"{name} is damaged: {error}.", cure="Restore it from a backup, or fetch it again.", resource=name
            ) from error
        given += len(block)
        if most is not None and given > most:
            raise FormatError(
                f"{name} holds more than {most:,} bytes when it is unpacked.",
                cure="If that is right, create the store with a larger max_bytes=.",
                resource=name,
            )
        return block

    return next_bytes
