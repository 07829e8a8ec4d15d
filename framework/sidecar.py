"""The record beside a file that cannot keep its own schema.

It is written before the file is renamed into place and describes the old and the new one, so that the rename is the one
commit: whichever of the two lies there is known by its size, mtime and inode, or, when it was copied, by its checksum.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from framework.errors import IntegrityError
from framework.files import CHUNK, replace_bytes

logger = logging.getLogger("millpond.sidecar")
Read = Callable[[int], bytes]


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


def find(sidecar: Path, file: BinaryIO) -> Record | None:
    """The record that describes the open file; None when it was changed by others, or has none."""
    records = _load(sidecar)
    told = stat_of(file)
    for record in records:
        if told == {"size": record.size, "mtime_ns": record.mtime_ns, "inode": record.inode}:
            return record
    same_size = [record for record in records if record.size == told["size"]]
    if not same_size:
        return None
    file.seek(0)
    hashed = hashlib.sha256()
    while block := file.read(CHUNK):
        hashed.update(block)
    digest = hashed.hexdigest()
    file.seek(0)
    return next((record for record in same_size if record.sha256 == digest), None)


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
            if record is None and sidecar.is_file():
                _say_why(path, sidecar)
            yield file, record
            return


def _say_why(path: Path, sidecar: Path) -> None:
    if not _load(sidecar):
        raise IntegrityError(
            f"The record of {path.name}, which holds its dtypes, is damaged.",
            cure=f"Restore it from a backup, or delete {sidecar} to read the file as one that others wrote.",
            resource=path.name,
        )
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
    before = None
    if current.is_file():
        with open(current, "rb") as file:
            before = find(sidecar, file)
    records = [asdict(record)] + ([asdict(before)] if before else [])
    replace_bytes(sidecar, json.dumps({"millpond": 1, "files": records, "crc": _crc(records)}).encode())


def _record(told: dict[str, Any]) -> Record:
    lists = {name: tuple(told.get(name, ())) for name in ("save_ids", "blocks")}
    return Record(**{**told, **lists, "instead": tuple(map(tuple, told.get("instead", ())))})


def _crc(records: list[dict[str, Any]]) -> int:
    return zlib.crc32(json.dumps(records).encode())


def _load(sidecar: Path) -> list[Record]:
    try:
        told = json.loads(sidecar.read_bytes())
        return [_record(record) for record in told["files"]] if told["crc"] == _crc(told["files"]) else []
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        return []  # damaged
