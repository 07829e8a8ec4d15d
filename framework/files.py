"""Files that are old or new and never between: atomic writes, one writer at a time, names that stay under a root."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from framework.errors import BaseFrameworkException, DatasetNameError, IntegrityError, LockedError, StorageError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from filelock import BaseFileLock

LONGEST_NAME = 200
LONGEST_FILE = 200  # bytes of one segment: 255 less what temporary files and suffixes add
_SEGMENT = re.compile(r"[\w.\- ]+")
CHUNK = 1 << 20  # bytes that are read, and summed up, at a time


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
    path = os.path.realpath(root)
    for part in relative.split("/"):
        path = os.path.join(path, part)
        if part == ".." or os.path.islink(path):
            raise DatasetNameError(f"{relative!r} is reached through a link, which is refused.", resource=relative)
    return Path(path)


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
        self.closed = False

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

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _one_thread() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1)


@contextmanager
def replacing(
    path: Path, *, verify: Callable[[Path], None] | None = None, digest: bool = True
) -> Iterator[HashingWriter]:
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
            writer = HashingWriter(sink, digest=digest)
            try:
                yield writer
                _synced(sink.fileno(), beside, writer)
            finally:
                writer.finish()
        if verify is not None:
            verify(beside)
        os.rename(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def _synced(descriptor: int, path: Path, written: HashingWriter) -> None:
    """Make the bytes durable and read them back, a large file's both at once."""
    if written.size < 4 * CHUNK:
        os.fsync(descriptor)
        _check_bytes(path, written)
        return
    checking = written.aside(_check_bytes, path, written)
    os.fsync(descriptor)
    checking.result()


def _check_bytes(path: Path, written: HashingWriter) -> None:
    with open(path, "rb") as file:
        there = tuple(zlib.crc32(block) for block in iter(lambda: file.read(CHUNK), b""))
    if path.stat().st_size != written.size or there != written.blocks:
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
    before, after = f".{path.name}.", ".tmp"
    length = len(before) + 8 + len(after)
    with suppress(FileNotFoundError), os.scandir(path.parent) as entries:
        for entry in entries:
            if len(entry.name) == length and entry.name.startswith(before) and entry.name.endswith(after):
                Path(entry.path).unlink(missing_ok=True)


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
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)  # the umask holds
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
    return FileLock(path, mode=mode, thread_local=True)


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
        with storage_errors(f"the lock of {what}"):
            lock.release()
