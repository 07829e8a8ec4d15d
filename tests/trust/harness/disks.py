"""A disk that is full: a small file system of one child's own, or a limit on the size of its files."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

from framework.testing.elsewhere import Recipe
from harness.scenes import OPERATIONS, Scene, done, stamped

NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000
PRIVATE, RECURSIVE = 1 << 18, 1 << 14


def mount_small(folder: Path, size: int) -> None:
    """Mount an empty file system of that size, for this process alone; OSError where that is not permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = NEW_MOUNTS if os.geteuid() == 0 else NEW_MOUNTS | NEW_USER
    _checked(libc.unshare(flags))
    _checked(libc.mount(b"none", b"/", None, PRIVATE | RECURSIVE, None))
    _checked(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode()))


def _checked(answer: int) -> None:
    if answer != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def may_mount(pipe: Any, folder: str) -> None:
    """In a child: tell why no small file system can be mounted, or None."""
    try:
        mount_small(Path(folder), 1 << 20)
    except OSError as error:
        pipe.send(f"no file system may be mounted here: {error.strerror}")
    else:
        pipe.send(None)


def fills(pipe: Any, recipe: Recipe, operation: str, value: int, size: int) -> None:
    """In a child, on a file system that is filled up to `size` bytes: the operation, and what is there then."""
    mount_small(Path(recipe.place), 8 << 20)
    scene = Scene(recipe)
    scene.prepare(operation, value)
    backups = scene.backups()
    place = Path(recipe.place)
    free = shutil.disk_usage(place).free
    (place / "ballast").write_bytes(b"\0" * max(free - size, 0))
    pipe.send(_after(scene, operation, value, backups=backups, ballast=place / "ballast"))


def limited(pipe: Any, recipe: Recipe, operation: str, value: int, size: int) -> None:
    """In a child whose files may not grow beyond `size` bytes: the same."""
    scene = Scene(recipe)
    scene.prepare(operation, value)
    backups = scene.backups()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    pipe.send(_after(scene, operation, value, backups=backups, ballast=None))


def _after(scene: Scene, operation: str, value: int, *, backups: int, ballast: Path | None) -> dict[str, Any]:
    try:
        word, why = done(scene.store, operation, value)
    except OSError as error:
        word, why = "raised", repr(error)
    left = scene.leftovers() if word != "done" else []
    state = scene.found(operation, value, backups=backups)
    if ballast is not None:
        ballast.unlink()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    scene.store.save_data(stamped(value + 7), "d")  # with room again, the next save works
    return {"word": word, "why": why, "state": state, "left": left, "copies": OPERATIONS[operation].copies}
