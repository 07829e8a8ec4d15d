"""A save that is old or new and never between, for one file and for a whole folder.

The handler writes into a staging folder beside the target, under the target's own name. The staging folder is locked
while its writer lives, so that the next writer knows one that a dead process
left, and takes back from it what was there.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from framework.errors import FormatError, IntegrityError
from framework.files import make_folder, storage_errors, sync_folder

ASIDE = ".aside"  # what was there, while a kernel that cannot exchange two names is between two renames
EXCHANGE = 2  # RENAME_EXCHANGE
HERE = -100  # AT_FDCWD


class Saves(Protocol):
    """What a handler is here."""

    def save(self, data: Any, path: Path) -> None: ...


def save_atomically(handler: Saves, data: Any, path: Path) -> None:
    """Let the handler save, such that at `path` is the old or the new whatever happens, and durable on return.

    On an error what was there is as it was, and nothing is left beside it.

    Raises
    ------
    FormatError
        A folder is there and a file would be written, or the reverse.
    StorageError
        The disk refused.
    BaseFrameworkException
        Whatever the handler says of the data.
    """
    path = Path(os.path.realpath(path))
    folders = bool(getattr(handler, "handles_directories", False))
    with storage_errors(str(path)):
        recover(path)
        if folders and _is_itself(data, path):
            sync_tree(path)
            return
        _check_target(path, folders=folders)
        make_folder(path.parent)
        with staging(path) as folder:
            staged = folder / path.name
            handler.save(data, staged)
            _put(staged, path, folder)


def _is_itself(data: Any, path: Path) -> bool:
    """Whether a step wrote into the folder that it was given, and answers with its path."""
    return isinstance(data, str | os.PathLike) and os.path.isdir(data) and os.path.realpath(data) == str(path)


def _check_target(path: Path, *, folders: bool) -> None:
    if path.is_dir() and not folders:
        raise FormatError(f"{path} is a folder, and a file would be written.", resource=str(path))
    if folders and path.exists() and not path.is_dir():
        raise FormatError(f"{path} is a file, and a folder would be written.", resource=str(path))


def _put(staged: Path, path: Path, folder: Path) -> None:
    """Make what was staged durable, and let it take the place of what is there."""
    if not staged.exists():
        raise IntegrityError(
            f"The handler wrote nothing at {path.name}.", cure="Its save() writes to the path that it is given."
        )
    old = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    if old is not None:
        staged.chmod(old)
    if staged.is_dir():
        sync_tree(staged)
        with _held(path.parent):
            swap(staged, path, folder)
    else:
        _sync_file(staged)
        os.rename(staged, path)
    sync_folder(path.parent)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where kernel or file system cannot."""
    call = _renameat2()
    if call is None:
        return False
    if call(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


@cache
def _renameat2() -> Any:
    with suppress(OSError, AttributeError):
        call = ctypes.CDLL(None, use_errno=True).renameat2
        call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        return call
    return None


def swap(staged: Path, path: Path, folder: Path, *, at_once: Callable[[Path, Path], bool] = exchange) -> None:
    """Let a folder take another's place, in one step where that can be done."""
    if not path.exists():
        os.rename(staged, path)
    elif not at_once(staged, path):
        os.rename(path, folder / ASIDE)
        os.rename(staged, path)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """One swap at a time in a folder: whether something is there must not change before it is swapped."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# --------------------------------------------------------------------------- staging


@contextmanager
def staging(path: Path) -> Iterator[Path]:
    """A folder beside the target, locked while it is in use and removed afterwards."""
    while True:
        folder = path.parent / f".{path.name}.{secrets.token_hex(4)}.staging"
        folder.mkdir()
        with suppress(FileNotFoundError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():  # nobody took it for a leftover meanwhile
                break
            os.close(held)
    try:
        yield folder
    finally:
        _undo(folder, path)
        os.close(held)


def recover(path: Path) -> None:
    """Remove what dead writers left beside `path`; what one of them had moved aside is put back."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.staging")
    try:
        names = os.listdir(path.parent)
    except OSError:
        return  # the load or save that follows says why
    for name in filter(pattern.fullmatch, names):
        folder = path.parent / name
        with suppress(FileNotFoundError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                waits = (folder / ASIDE).exists()  # its writer is between two renames, or died there
                fcntl.flock(held, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
                _undo(folder, path)
            except BlockingIOError:
                pass  # its writer lives
            finally:
                os.close(held)


def _undo(folder: Path, path: Path) -> None:
    if (folder / ASIDE).exists() and not path.exists():
        os.rename(folder / ASIDE, path)
        sync_folder(path.parent)
    shutil.rmtree(folder, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Make all files of a folder, and their names, durable."""
    for place, _, names in os.walk(folder):
        for name in names:
            _sync_file(Path(place, name))
        sync_folder(Path(place))


def _sync_file(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
