"""What a piece of data was when a run read or wrote it: enough to know it again without having kept it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.attempt import attempt
from framework.formats.handlers.handler import fingerprint_of
from framework.store import Store

CONTENT = ("file:", "folder:")  # how the fingerprint of what lies on the disk begins
ABSENT = "absent"  # the fingerprint of a file that is not there, and need not be
JUST_NOW = 20_000_000  # ns in which a file may be written twice and show one time
UNSURE = "just written"
Stamp = tuple[Any, ...]
Place = Path | tuple[Store, str] | None


@dataclass(frozen=True, slots=True)
class Record:
    """A piece of data as it was.

    Attributes
    ----------
    name, ref : str
        What the case calls it, and where it lies.
    fingerprint : str or None
        Of what it means, or of its bytes; None where neither can be told.
    stamp : tuple or None
        What changes when its place is written: sizes and times of files, the version of a dataset. While it is the
        same nothing is read to know that the data is. None for what is in memory alone.
    rows, bytes : int or None
    how : str
        The handler and its options, in short: the same bytes read in another way are other data.
    """

    name: str
    ref: str
    fingerprint: str | None
    stamp: Stamp | None = None
    rows: int | None = None
    bytes: int | None = None
    how: str = ""

    @property
    def is_of_bytes(self) -> bool:
        """Whether the fingerprint is that of a file's bytes."""
        return bool(self.fingerprint and self.fingerprint.startswith(CONTENT))

    def as_list(self) -> list[Any]:
        """As it is kept."""
        return [self.name, self.ref, self.fingerprint, self.stamp, self.rows, self.bytes, self.how]

    @classmethod
    def of_list(cls, said: Sequence[Any]) -> Record:
        """What `as_list` gave."""
        name, ref, fingerprint, stamp, rows, size, how = said
        return cls(name, ref, fingerprint, None if stamp is None else tuple(stamp), rows, size, how)


def record_of(name: str, ref: str, place: Place, value: Any, *, loaded_at: Stamp | None = None) -> Record:
    """What the data is now.

    Parameters
    ----------
    place : path, (store, dataset), or None
        Where it lies; None for what is in memory alone.
    value : object
        What was loaded from there or saved there, if that is at hand.
    loaded_at : tuple, optional
        The stamp that the place had before `value` was loaded. Where a file's is another by now, its fingerprint is
        not known.
    """
    rows = rows_of(value)
    if isinstance(place, Path):
        return _of_path(name, ref, place, value, rows, loaded_at)
    if place is not None:
        store, dataset = place
        stamp = loaded_at if loaded_at is not None else stamp_of_dataset(store, dataset)
        tried = attempt(ref, lambda: store.fingerprint(dataset)) if value is None else None
        return Record(name, ref, tried.value if tried is not None else fingerprint_of(value), stamp, rows)
    if isinstance(value, Path):
        return Record(name, str(value), fingerprint_of(value))
    return Record(name, ref, fingerprint_of(value), None, rows)


def rows_of(value: Any) -> int | None:
    """How many rows it has, if it is made of rows."""
    return len(value) if hasattr(value, "__len__") and not isinstance(value, (str, bytes, dict)) else None


def _of_path(name: str, ref: str, place: Path, value: Any, rows: int | None, loaded_at: Stamp | None) -> Record:
    stamp = stamp_of_path(place)
    if stamp is None:
        return Record(name, ref, ABSENT if value is None and not os.path.lexists(place) else None, None, rows)
    by_meaning = None if value is None or isinstance(value, Path) else fingerprint_of(value)
    if by_meaning is not None:
        return Record(name, ref, by_meaning, stamp, rows, _size(place))
    content = fingerprint_of(place)
    if (loaded_at is not None and loaded_at != stamp) or stamp_of_path(place) != stamp:
        content = None  # it is being written
    elif value is None and time.time_ns() - _written_at(stamp) < JUST_NOW:
        stamp = (*stamp, UNSURE)
    return Record(name, ref, content, stamp, rows, _size(place))


def stamp_of_path(path: Path) -> Stamp | None:
    """Size, time and identity of a file; of a folder, a hash over those of all its files; None if that is not known."""
    try:
        status = os.stat(path)
        if not os.path.isdir(path):
            return (status.st_size, status.st_mtime_ns, status.st_ino)
        every, newest = hashlib.sha256(), status.st_mtime_ns
        for each in _inside(path):
            inside = os.stat(each)
            newest = max(newest, inside.st_mtime_ns)
            told = f"{os.path.relpath(each, path)}\0{inside.st_size}\0{inside.st_mtime_ns}\0{inside.st_ino}\0"
            every.update(told.encode(errors="surrogateescape"))
        return (every.hexdigest()[:16], newest, status.st_ino)
    except OSError:
        return None


def _written_at(stamp: Stamp) -> int:
    return int(stamp[1])


def stamp_of_dataset(store: Store, dataset: str) -> Stamp | None:
    """Version, time and size of a dataset; None if it is not there or says none of them."""
    told = attempt(dataset, lambda: store.describe(dataset)).value
    if told is None or (told.version is None and told.saved_at is None):
        return None
    return (told.version, told.saved_at.isoformat() if told.saved_at else None, told.rows)


def stamp_of(place: Place) -> Stamp | None:
    """The stamp of a file, folder or dataset."""
    if place is None:
        return None
    return stamp_of_path(place) if isinstance(place, Path) else stamp_of_dataset(*place)


def _inside(folder: Path) -> list[str]:
    """All files and folders in it."""
    return sorted(os.path.join(place, name) for place, folders, files in os.walk(folder) for name in (*folders, *files))


def _size(path: Path) -> int | None:
    files = [each for each in _inside(path) if os.path.isfile(each)] if path.is_dir() else [str(path)]
    return attempt("size", lambda: sum(map(os.path.getsize, files))).value
