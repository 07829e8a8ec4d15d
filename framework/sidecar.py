"""The record beside a file that cannot keep its own schema.

It has two slots. The one that does not describe the file that lies there takes the record of the file that is about to
replace it, before that is renamed into place, so that the rename is the one commit: whichever of the two lies there has
a record, and is known by its size, mtime and inode, or, when it was copied, by its checksum. A slot whose name is known
to be on the disk is written where it lies, with one sync; it is never that of the file that readers see.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from framework.checksums import CHUNK
from framework.errors import IntegrityError
from framework.files import replace_bytes, sync_folder

logger = logging.getLogger("millpond.sidecar")
Read = Callable[[int], bytes]
MOST_KEPT = 1 << 16  # bytes of a slot that is known again by them
PAGE = 4096  # bytes of which a slot takes a whole number, so that the next record mostly fits where it lies
BEGIN = b'{"millpond": 2, "crc": %10d, "told": '


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one file.

    Attributes
    ----------
    blocks : tuple of int
        CRC32 of each `CHUNK` of its bytes.
    instead : tuple of (name, size, mtime_ns, inode)
        Files of the same dataset that it took the place of, in case one still lies there.
    """

    size: int
    mtime_ns: int
    inode: int
    sha256: str
    schema: str
    rows: int
    saved_at: str
    version: int
    delimiter: str
    encoding: str
    multiline: bool
    save_ids: tuple[str, ...] = ()
    blocks: tuple[int, ...] = ()
    instead: tuple[tuple[str, int, int, int], ...] = ()

    @property
    def when(self) -> datetime:
        return datetime.fromisoformat(self.saved_at)


def stat_of(file: BinaryIO | Path) -> dict[str, Any]:
    """What tells a file without reading it."""
    found = file.stat() if isinstance(file, Path) else os.fstat(file.fileno())
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}


@dataclass(frozen=True, slots=True)
class _Slot:
    """What is in a slot; no record where it is damaged.

    Attributes
    ----------
    sure : bool
        Whether its name is known to be on the disk: who made it may have died before he had seen to that.
    """

    path: Path
    record: Record | None
    size: int
    sure: bool


def find(sidecar: Path, file: BinaryIO) -> Record | None:
    """The record that describes the open file; None when it was changed by others, or has none."""
    slot = _which(_slots(sidecar), file)
    return None if slot is None else slot.record


def _which(slots: list[_Slot], file: BinaryIO) -> _Slot | None:
    """The slot whose record describes the open file."""
    told = stat_of(file)
    known = [(slot, slot.record) for slot in slots if slot.record is not None and slot.record.size == told["size"]]
    for slot, record in known:
        if told["mtime_ns"] == record.mtime_ns and told["inode"] == record.inode:
            return slot
    if not known:
        return None
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # every binary file has readinto
    file.seek(0)
    return next((slot for slot, record in known if record.sha256 == digest), None)


@contextmanager
def opened(path: Path, sidecar: Path) -> Iterator[tuple[BinaryIO, Record | None]]:
    """The file with the record that describes just it, however often it is replaced meanwhile.

    Raises
    ------
    IntegrityError
        When there is a record, and it is damaged.
    """
    while True:
        with open(path, "rb") as file:
            record = find(sidecar, file)
            if record is None and stat_of(file) != stat_of(path):
                continue  # it was replaced, and its record with it, before we had read that
            if record is None:
                _say_why(path, sidecar)
            yield file, record
            return


def _say_why(path: Path, sidecar: Path) -> None:
    slots = _slots(sidecar)
    for slot in slots:
        if slot.record is None:
            raise IntegrityError(
                f"The record of {path.name}, which holds its dtypes, is damaged.",
                cure=f"Restore it from a backup, or delete {slot.path} to read the file as one that others wrote.",
                resource=path.name,
            )
    if slots:
        logger.warning("%s is not as it was saved; its dtypes are found anew", path.name)


def verified(file: BinaryIO, record: Record, name: str) -> Read:
    """A `read` of the file that gives only bytes that are those on record.

    Raises
    ------
    IntegrityError
        For the first block that is not: the disk, or who wrote into the file without its time changing.
    """
    left = iter(record.blocks)
    held = b""

    def next_bytes(size: int) -> bytes:
        nonlocal held
        parts, count = [held], len(held)
        while count < size and (block := file.read(CHUNK)):
            if zlib.crc32(block) != next(left, None):
                raise IntegrityError(
                    f"{name} is damaged: its bytes are not those that were saved.",
                    cure="Restore it from a backup: millpond restore.",
                    resource=name,
                )
            parts.append(block)
            count += len(block)
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        held = whole[size:]
        return whole[:size] if held else whole

    return next_bytes


def put(sidecar: Path, record: Record, current: Path) -> None:
    """Record the file that is about to replace `current`, beside the record of the one that lies there."""
    slots = _slots(sidecar)
    here = None
    if slots and current.is_file():
        with open(current, "rb", buffering=0) as file:
            here = _which(slots, file)
    paths = _paths(sidecar)
    path = paths[1] if here is not None and here.path == paths[0] else paths[0]
    there = next((slot for slot in slots if slot.path == path and slot.record is not None), None)
    content = _spelled(record, sure=True)
    if here is None or there is None or len(content) != there.size or os.stat(path).st_nlink > 1:
        # without one here, a reader looks at both; a slot with a second name is in somebody's snapshot too
        replace_bytes(path, _spelled(record, sure=False))
        return
    if not there.sure:
        sync_folder(path.parent)
    _overwrite(path, content)


def remove_record(sidecar: Path) -> None:
    """Remove both slots, as far as they are there."""
    for path in _paths(sidecar):
        path.unlink(missing_ok=True)


def _overwrite(path: Path, content: bytes) -> None:
    """Put just as many bytes in the place of those of a file, durably; a crash may leave it damaged."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        done = 0
        while done < len(content):
            done += os.pwrite(descriptor, content[done:], done)
        os.fdatasync(descriptor)
        if os.pread(descriptor, len(content) + 1, 0) != content:
            raise IntegrityError(
                f"{path.name}: the bytes on the disk are not those that were written.",
                cure="Check the disk; what was there before is untouched.",
            )
    finally:
        os.close(descriptor)


# --------------------------------------------------------------------------- one slot


def _paths(sidecar: Path) -> tuple[Path, Path]:
    return sidecar, sidecar.with_name(f"{sidecar.stem}.2.json")


def _slots(sidecar: Path) -> list[_Slot]:
    """The slots that are there."""
    return [slot for path in _paths(sidecar) if (slot := _read(path)) is not None]


def _read(path: Path) -> _Slot | None:
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except FileNotFoundError:
        return None
    record, sure = _known(content) if len(content) <= MOST_KEPT else _told(content)
    return _Slot(path, record, len(content), sure)


def _told(content: bytes) -> tuple[Record | None, bool]:
    body = content[len(BEGIN % 0) :].rstrip(b" ")[:-1]
    if content.rstrip(b" ") != _sealed(body):
        return None, False
    told = json.loads(body)
    return _record(told["file"]), told["sure"]


_known = lru_cache(maxsize=32)(_told)  # a save looks at the same two more than once


def _spelled(record: Record, *, sure: bool) -> bytes:
    told = {name: getattr(record, name) for name in NAMES}
    sealed = _sealed(json.dumps({"sure": sure, "file": told}).encode())
    return sealed.ljust(-(-len(sealed) // PAGE) * PAGE)


def _sealed(body: bytes) -> bytes:
    return BEGIN % zlib.crc32(body) + body + b"}"


NAMES = [field.name for field in fields(Record)]


def _record(told: dict[str, Any]) -> Record:
    lists = {name: tuple(told.get(name, ())) for name in ("save_ids", "blocks")}
    return Record(**{**told, **lists, "instead": tuple(map(tuple, told.get("instead", ())))})
