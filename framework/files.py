"""Files that are old or new and never between: atomic writes, one writer at a time, names that stay under a root."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from framework.checksums import CHUNK, HashingWriter, check_bytes
from framework.errors import BaseFrameworkException, DatasetNameError, LockedError, StorageError

LONGEST_NAME = 200
LONGEST_FILE = 200  # bytes of one segment: 255 less what temporary files and suffixes add
_SEGMENT = re.compile(r"[\w.\- ]+")
POLL = 0.02  # seconds between two looks at a lock that is held


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
    return under_each(root, (relative,))[0]


def under_each(root: Path, relatives: Iterable[str]) -> list[Path]:
    """As `under`, of several, for which the root is looked at once."""
    real = os.path.realpath(root)
    return [Path(under_real(real, relative)) for relative in relatives]


def under_real(root: str, relative: str) -> str:
    """As `under`, of a root that is known to be no link, nor to be reached through one."""
    path = root
    for part in relative.split("/"):
        path = f"{path}/{part}"
        if part == ".." or os.path.islink(path):
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


@contextmanager
def replacing(
    path: Path, *, verify: Callable[[Path], None] | None = None, digest: bool = True
) -> Iterator[HashingWriter]:
    """Write beside `path`; on leaving without an error: sync, read back, `verify`, rename, sync the folder.

    On an error, or if the process dies, what was at `path` is as it was. What a dead writer left beside it is removed
    by the next one, so only one may write a path at a time (`locked`).
    """
    folder = path.parent
    make_folder(folder)
    remove_leftovers(path)
    beside = os.path.join(folder, f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(
        beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _mode_of(path)
    )  # the umask holds
    try:
        with open(descriptor, "wb", buffering=0) as sink:
            writer = HashingWriter(sink, digest=digest)
            try:
                yield writer
                _synced(descriptor, beside, writer)
            finally:
                writer.finish()
        if verify is not None:
            verify(Path(beside))
        os.rename(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    sync_folder(folder)


def _mode_of(path: Path) -> int:
    """The mode of what is there; of a new file all that the umask leaves."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return 0o666


def _synced(descriptor: int, path: str, written: HashingWriter) -> None:
    """Make the bytes durable and read them back, a large file's both at once."""
    if written.size < 4 * CHUNK:
        os.fsync(descriptor)
        check_bytes(path, written)
        return
    checking = written.aside(check_bytes, path, written)
    os.fsync(descriptor)
    checking.result()


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
    with suppress(FileNotFoundError):
        for name in os.listdir(path.parent):
            if len(name) == length and name.startswith(before) and name.endswith(after):
                (path.parent / name).unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make the folder and its parents, each name synced into its parent."""
    if os.path.isdir(folder):
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


class Lock:
    """A lock on a file that may be there or not, freed by the kernel when its holder dies; each has one holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._holder = 0

    def acquire(self) -> bool:
        """Whether nobody held it, and now this does."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)  # the umask holds
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink == 0:  # it was removed meanwhile, and is no lock any more
                raise BlockingIOError
            self._descriptor, self._holder = descriptor, os.getpid()
            _held.add(self)
            return True
        except BaseException as error:  # an interrupt too: what nobody knows of would be held for ever
            _held.discard(self)
            self._descriptor, self._holder = -1, 0
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise

    def release(self) -> None:
        """Let go of it; in a child that was forked meanwhile it is the parent's still."""
        if self._holder == os.getpid():
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            descriptor, self._descriptor, self._holder = self._descriptor, -1, 0
            _held.discard(self)
            os.close(descriptor)

    def __del__(self) -> None:
        """What an interrupt kept from being let go of goes with its holder."""
        self.release()

    def forked(self) -> None:
        """In a child: close what it would hold beyond its parent's death."""
        descriptor, self._descriptor, self._holder = self._descriptor, -1, 0
        os.close(descriptor)


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forked() -> None:
    for lock in list(_held):
        lock.forked()
    _held.clear()


os.register_at_fork(after_in_child=_forked)


def lock_for(path: Path) -> Lock:
    """A lock on that file, which is made."""
    with storage_errors(f"the lock {path.name}"):
        make_folder(path.parent)
        return Lock(path)


@contextmanager
def locked(lock: Lock, *, timeout: float, what: str) -> Iterator[None]:
    """Hold `lock`, waiting `timeout` seconds at most; then LockedError."""
    ends = time.monotonic() + timeout
    try:
        with storage_errors(f"the lock of {what}"):
            while not lock.acquire():
                left = ends - time.monotonic()
                if left <= 0:
                    raise LockedError(
                        f"{what!r} is being written by another process, and was for {timeout:g} s.",
                        cure="Try again, or wait longer with LOCK_TIMEOUT.",
                        resource=what,
                    )
                time.sleep(min(POLL, left))
        yield
    finally:  # an interrupt may come as soon as it is held; what is not held is not let go of
        with storage_errors(f"the lock of {what}"):
            lock.release()
