"""A file or stream of bytes as content that can be read from its beginning as often as is needed, within a limit."""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final

from framework.errors import (
    DatasetNotFoundError,
    FormatError,
    IngestionException,
    IntegrityError,
    OptionError,
    known_names,
)
from framework.files import storage_errors
from framework.formats.compression import Read, unpacked

IN_MEMORY = 1 << 24  # bytes of a stream, beyond which they lie in a temporary file
MOST_LISTED = 1 << 20  # bytes of a zip's list of files
OTHERS: Final[dict[bytes, str]] = {
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ\0": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"PK\3\4": "a zip",
    b"\x1f\x8b": "packed by gzip",
    b"PAR1": "Parquet",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"SQLite format 3\0": "an SQLite database",
}
WRONG_ZIP: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file or a stream.

    Attributes
    ----------
    name : str
    size : int
        Bytes as they came, packed or not.
    compression : str or None
        gzip, zip or none.
    begin : callable
        A `read` from the first byte of what is in it; one at a time.
    """

    name: str
    size: int
    compression: str | None
    begin: Callable[[], Read]


@contextmanager
def opened(
    source: str | Path | BinaryIO,
    *,
    filename: str | None,
    most: int,
    chunk: int,
    content_length: int | None = None,
    packed: bool = True,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Content]:
    """The content of a file or of a binary stream.

    Parameters
    ----------
    most : int
        Bytes that there may be, as they come and unpacked.
    chunk : int
        Bytes of one read of a stream.
    content_length : int, optional
        What the stream was said to hold.
    packed : bool
        Whether gzip and zip are unpacked, which are known by their first bytes.

    Raises
    ------
    DatasetNotFoundError
        There is no such file.
    IngestionException
    """
    with ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            name = shown_name(filename or path.name)
            file: Any = stack.enter_context(_regular(path, name))
        else:
            if not callable(getattr(source, "read", None)):
                raise OptionError(
                    f"A source is a path or a binary stream, not {type(source).__name__}.",
                    cure="Bytes are a stream in io.BytesIO.",
                    resource="source",
                )
            name = shown_name(filename or getattr(source, "name", None))
            stack.enter_context(storage_errors(name))
            file = spool(stack)
            _spool(source, file, name, most=most, chunk=chunk, promised=content_length, check=check)
        size = file.seek(0, os.SEEK_END)
        if content_length is not None and size != content_length:
            raise _wrong_length(name, size, content_length)
        if size > most:
            raise too_large(name, most, f"is {size:,} bytes")
        yield _content(file, name, size, most=most, packed=packed)


def spool(stack: ExitStack) -> Any:
    """A file in memory while it is small, gone with the stack."""
    return stack.enter_context(SpooledTemporaryFile(IN_MEMORY))


def shown_name(name: object) -> str:
    """The last part of a name that a stranger gave, fit for a message."""
    last = re.split(r"[/\\]", name)[-1] if isinstance(name, str) else ""
    return "".join(char if char.isprintable() else "?" for char in last)[:120] or "the stream"


def too_large(name: str, most: int, what: str) -> IngestionException:
    return IngestionException(
        f"{name} {what}, and {most:,} are the most.", cure="If that is right, raise max_file_size=.", resource=name
    )


@contextmanager
def _regular(path: Path, name: str) -> Iterator[Any]:
    with storage_errors(str(path)):
        _check_regular(path)
        with open(path, "rb") as file:
            yield _Unchanged(file, name)


def _check_regular(path: Path) -> None:
    if path.is_dir():
        raise IngestionException(f"{path} is a folder.", cure="Say which of its files.", resource=str(path))
    if not path.exists():
        there = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DatasetNotFoundError(f"There is no file {str(path)!r}.", cure=known_names(path.name, there))
    if not path.is_file():  # a pipe has no end that one could wait for
        raise IngestionException(f"{path} is no regular file.", cure="Open it and pass the stream.", resource=str(path))


class _Unchanged:
    """A file that must stay as it is: it is read more than once, and the second time another table would come out."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name, self._before = file, name, _stamp(file)
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        if _stamp(self._file) != self._before:
            raise IngestionException(
                f"{self._name} was changed while it was read.",
                cure="Wait until it is written, or copy it first and read the copy.",
                resource=self._name,
            )
        return block


def _stamp(file: BinaryIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _spool(
    stream: Any, file: Any, name: str, *, most: int, chunk: int, promised: int | None, check: Callable[[], None]
) -> None:
    """All of a stream, up to one byte more than it may hold."""
    if promised is not None and promised > most:
        raise too_large(name, most, f"is said to be {promised:,} bytes")
    given = 0
    while block := _block(stream, chunk, name):
        check()
        given += len(block)
        if given > most:
            raise too_large(name, most, f"holds more than {most:,} bytes")
        if promised is not None and given > promised:
            raise _wrong_length(name, f"more than {promised:,}", promised)
        file.write(block)


def _block(stream: Any, chunk: int, name: str) -> bytes:
    """The next bytes of a stream; none only at its end."""
    try:
        block = stream.read(chunk)
    except IngestionException:
        raise
    except ValueError as error:  # it was closed
        raise IngestionException(
            f"{name} cannot be read: {error}.", cure="Pass it while it is open.", resource=name
        ) from error
    if block is None:
        raise IngestionException(
            f"{name} has nothing to give yet, and no end.", cure="Have it wait: set it to blocking.", resource=name
        )
    if not isinstance(block, bytes | bytearray | memoryview):
        raise IngestionException(
            f"{name} gives {type(block).__name__}, not bytes.", cure="Open it as binary: mode 'rb'.", resource=name
        )
    return bytes(block)


def _wrong_length(name: str, size: int | str, promised: int) -> IngestionException:
    shown = f"{size:,}" if isinstance(size, int) else size
    return IngestionException(
        f"{name} holds {shown} bytes, and content_length said {promised:,}.",
        cure="It was cut on its way, or the length is another's: send it again.",
        resource=name,
    )


# --------------------------------------------------------------------------- what is packed


def _content(file: Any, name: str, size: int, *, most: int, packed: bool) -> Content:
    file.seek(0)
    head = file.read(16)
    codec = "gzip" if head.startswith(b"\x1f\x8b") else "zip" if head.startswith((b"PK\3\4", b"PK\5\6")) else None
    if codec and not packed:
        raise IngestionException(
            f"{name} is compressed ({codec}), which is not accepted here.",
            cure="Unpack it, or pass enable_compression=True.",
            resource=name,
        )
    if codec == "zip":
        archive, member = _member(file, name, size, most)

    def begin() -> Read:
        if codec == "zip":
            return _unzipped(archive, member, name, most)
        file.seek(0)
        return _within(file.read, name, most) if codec is None else _ungzipped(file.read, name, most)

    _check_kind(begin(), name, "holds what is" if codec else "is")
    return Content(name, size, codec, begin)


def _check_kind(read: Read, name: str, holds: str) -> None:
    """Refuse what is known by its first bytes to be no text."""
    head = b""
    while len(head) < 16 and (block := read(16 - len(head))):
        head += block
    other = next((what for mark, what in OTHERS.items() if head.startswith(mark)), None)
    if other:
        raise IngestionException(
            f"{name} {holds} {other}, not CSV.", cure="Unpack it, or save it as CSV.", resource=name
        )


def _within(read: Read, name: str, most: int) -> Read:
    """The same bytes, of which there may be more than when the file was looked at."""
    given = 0

    def next_bytes(size: int) -> bytes:
        nonlocal given
        block = read(size)
        given += len(block)
        if given > most:
            raise too_large(name, most, f"holds more than {most:,} bytes")
        return block

    return next_bytes


def _ungzipped(read: Read, name: str, most: int) -> Read:
    inner = unpacked(read, "gzip", name, most=most)

    def next_bytes(size: int) -> bytes:
        try:
            return inner(size)
        except FormatError as error:
            raise too_large(name, most, f"holds more than {most:,} bytes when it is unpacked") from error
        except IntegrityError as error:
            raise _damaged(name, error.message) from error

    return next_bytes


def _damaged(name: str, why: str) -> IngestionException:
    told = why.removeprefix(f"{name} is damaged: ").rstrip(".")
    return IngestionException(f"{name} is damaged: {told}.", cure="Fetch it again.", resource=name)


def _member(file: Any, name: str, size: int, most: int) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    """The one file in a zip."""
    _check_listing(file, name, size)
    try:
        archive = zipfile.ZipFile(file)
    except WRONG_ZIP as error:
        raise _damaged(name, str(error)) from error
    there = [each for each in archive.infolist() if not each.filename.endswith("/") and not _passed_over(each.filename)]
    names = [shown_name(each.filename) for each in there]
    if "[Content_Types].xml" in names:
        raise IngestionException(f"{name} is an Excel or Word file.", cure="Save it as CSV.", resource=name)
    if len(there) != 1:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        holds = f"{len(names)} files ({shown})" if names else "no file"
        raise IngestionException(f"{name} holds {holds}.", cure="Pack one file in a zip.", resource=name)
    member = there[0]
    if member.flag_bits & 1:
        raise IngestionException(f"{name} is locked by a password.", cure="Unpack it first.", resource=name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise IngestionException(
            f"{name} is packed in a way that is not read (method {member.compress_type}).",
            cure="Pack it by deflate, as zip does by itself.",
            resource=name,
        )
    if member.file_size > most:
        raise too_large(name, most, f"holds {member.file_size:,} bytes when it is unpacked")
    return archive, member


def _passed_over(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1].startswith(".")


def _check_listing(file: Any, name: str, size: int) -> None:
    """Refuse a list of files so long that to read it would be the harm."""
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    listed = struct.unpack_from("<L", tail, at + 12)[0] if 0 <= at <= len(tail) - 22 else 0
    at = tail.rfind(b"PK\6\6")
    if 0 <= at <= len(tail) - 56:  # where the numbers are too large for the plain record
        listed = max(listed if listed != 0xFFFFFFFF else 0, struct.unpack_from("<Q", tail, at + 40)[0])
    if listed > MOST_LISTED:
        raise IngestionException(f"{name} holds too many files.", cure="Pack one file in a zip.", resource=name)


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, most: int) -> Read:
    try:
        stream = archive.open(member)
    except WRONG_ZIP as error:
        raise _damaged(name, str(error)) from error

    def read(size: int) -> bytes:
        try:
            return stream.read(size)
        except WRONG_ZIP as error:
            raise _damaged(name, str(error) or "it ends too early") from error

    return _within(read, name, most)
