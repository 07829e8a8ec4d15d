"""What processes on one host tell each other by files: which version is being read, and what is in the making."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from framework.files import make_folder, remove, replace_bytes

from .places import digest


def _lease(folder: Path, symbol: str, version: int) -> Path:
    return folder / f"{digest(symbol)}.{version}.lease"


def _taken(path: Path, how: int) -> int | None:
    """A descriptor that holds the file's lock, which the kernel frees when we die; None when another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:  # it was removed meanwhile, and the next one locks another file
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def reading(folder: Path, symbol: str, version: int) -> Iterator[bool]:
    """No version is pruned that is being read; False when this one is just going."""
    make_folder(folder)
    descriptor = _taken(_lease(folder, symbol, version), fcntl.LOCK_SH)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def unread(folder: Path, symbol: str, versions: Iterable[int]) -> Iterator[list[int]]:
    """Those of the versions that nobody reads, nor begins to; they are gone afterwards."""
    make_folder(folder)
    held: dict[int, int] = {}
    try:
        for version in versions:
            descriptor = _taken(_lease(folder, symbol, version), fcntl.LOCK_EX)
            if descriptor is not None:
                held[version] = descriptor
        yield list(held)
        for version in held:
            _lease(folder, symbol, version).unlink(missing_ok=True)
    finally:
        for descriptor in held.values():
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A dataset that is being made, deleted, or renamed from another; what its writer's death leaves."""

    name: str
    old: str | None = None


def unsettled(folder: Path) -> list[Unsettled]:
    """All that are in the making."""
    found = []
    with suppress(FileNotFoundError):
        for file in os.listdir(folder):
            if file.endswith(".unsettled"):
                with suppress(FileNotFoundError):
                    found.append(Unsettled(*json.loads((folder / file).read_bytes())))
    return found


def announce(folder: Path, what: Unsettled) -> None:
    replace_bytes(_note(folder, what), json.dumps([what.name, what.old]).encode())


def settled(folder: Path, what: Unsettled) -> None:
    with suppress(FileNotFoundError):
        remove(_note(folder, what))


def _note(folder: Path, what: Unsettled) -> Path:
    return folder / f"{digest(what.name)}.unsettled"
