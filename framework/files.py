"""Files that are old or new and never between: atomic writes, one writer at a time, names that stay under a root."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from framework.errors import BaseFrameworkException, DatasetNameError, IntegrityError, LockedError, StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

LONGEST_NAME = 200
LONGEST_FILE = 200  # bytes of one segment: 255 less what temporary files and suffixes add
_SEGMENT = re.compile(r"[\w.\- ]+")
CHUNK = 1 << 20


# --------------------------------------------------------------------------- names


def check_name(name: object) -> str:
    """The dataset name itself if every file store may hold it.

    Segments of letters, digits, space, `_`, `.` and `-`, joined by `/`; none begins with a dot; at most 200 characters.

    Raises
    ------
    DatasetNameError
    """
    if not isinstance(name, str):
        raise DatasetNameError(f"A dataset name is text, not {type(name).__name__}.")
    why = _fault(name)
    if why:
        raise DatasetNameError(
            f"{name[:80]!r} is not a dataset name: {why}.",
            cure="Use letters, digits, space, '_', '.', '-', and '/' between segments.",
            resource=name[:80],
        )
    return name


def is_name(name: str) -> bool:
    """Whether every file store may hold a dataset of that name."""
    return _fault(name) is None


def _fault(name: str) -> str | None:
    if not name.strip():
        return "it is empty"
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters, and {LONGEST_NAME} is the most"
    for segment in name.split("/"):
        if not segment.strip():
            return "a segment is empty"
        if segment.startswith("."):
            return "a segment begins with a dot"
        if not _SEGMENT.fullmatch(segment):
            bad = next(char for char in segment if not _SEGMENT.fullmatch(char))
            return f"it holds {bad!r}"
        if len(segment.encode()) > LONGEST_FILE:
            return f"a segment takes more than {LONGEST_FILE} bytes"
    return None


def under(root: Path, relative: str) -> Path:
    """The path of `relative` under `root`; DatasetNameError if a link on the way leads elsewhere."""
    base = root.resolve()
    path = base / relative
    if path.is_symlink() or path.parent.resolve() != path.parent:
        raise DatasetNameError(f"{relative!r} is reached through a link, which is refused.", resource=relative)
    return path


# --------------------------------------------------------------------------- writing


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn what the operating system says into a StorageError that names `what`."""
    try:
        yield
    except BaseFrameworkException:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cure = "Free some space and try again; what was there is untouched." if full else None
        told = error.strerror or str(error)
        wrapped = StorageError(f"{what}: {told}.", cure=cure, resource=what)
        wrapped.errno = error.errno
        raise wrapped from error


class HashingWriter:
    """A binary sink that counts and hashes what passes, so that what lies on the disk can be held against it."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self.hash = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        self.hash.update(view)
        self.size += len(view)
        while view:  # an unbuffered file may take less than it was given
            view = view[self._sink.write(view) :]
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


@contextmanager
def replacing(path: Path, *, verify: Callable[[Path], None] | None = None) -> Iterator[HashingWriter]:
    """Write beside `path`; on leaving without an error: sync, read back, `verify`, rename, sync the folder.

    On an error, or if the process dies, what was at `path` is as it was. What a dead writer left beside it is removed
    by the next one, so only one may write a path at a time (`locked`).
    """
    make_folder(path.parent)
    remove_leftovers(path)
    beside = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)  # the umask holds
    try:
        with open(descriptor, "wb", buffering=0) as sink:
            writer = HashingWriter(sink)
            yield writer
            os.fsync(sink.fileno())
        _check_bytes(beside, writer)
        if verify is not None:
            verify(beside)
        os.rename(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def _check_bytes(path: Path, written: HashingWriter) -> None:
    if path.stat().st_size != written.size or sha256(path) != written.hash.hexdigest():
        raise IntegrityError(
            f"{path.parent.name}: the bytes on the disk are not those that were written.",
            cure="Check the disk; what was there before is untouched.",
        )


def replace_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, atomically."""
    with replacing(path) as sink:
        sink.write(data)


def copy_into(sink: HashingWriter, source: BinaryIO) -> None:
    """Pass all of an open file on."""
    while block := source.read(CHUNK):
        sink.write(block)


def remove_leftovers(path: Path) -> None:
    """Remove what writers that died left beside `path`; the caller holds its lock."""
    for left in path.parent.glob(f".{_escaped(path.name)}.????????.tmp"):
        left.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def make_folder(folder: Path) -> None:
    """Make the folder and its parents, each name synced into its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file so that it stays removed."""
    path.unlink()
    sync_folder(path.parent)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --------------------------------------------------------------------------- one writer


def lock_for(path: Path) -> BaseFileLock:
    """A lock on that file, freed by the kernel when its holder dies."""
    from filelock import FileLock

    with storage_errors(f"the lock {path.name}"):
        make_folder(path.parent)
    return FileLock(path, mode=0o666, thread_local=True)


@contextmanager
def locked(lock: BaseFileLock, *, timeout: float, what: str) -> Iterator[None]:
    """Hold `lock`, waiting `timeout` seconds at most; then LockedError."""
    from filelock import Timeout

    with storage_errors(f"the lock of {what}"):
        try:
            lock.acquire(timeout=timeout, poll_interval=0.02)
        except Timeout:
            raise LockedError(
                f"{what!r} is being written by another process, and was for {timeout:g} s.",
                cure="Try again, or wait longer with LOCK_TIMEOUT.",
                resource=what,
            ) from None
    try:
        yield
    finally:
        lock.release()
