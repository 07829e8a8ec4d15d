"""A backup's manifest: what is in it, written last; a backup without one is none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256 as sha
from pathlib import Path
from urllib.parse import quote

from framework.attempt import Attempt
from framework.errors import IntegrityError
from framework.files import sha256
from framework.interfaces import BackupRecord

NAME = "manifest.json"
VERSION = 2
SINCE_2 = ("save_ids", "before_restore")  # which manifests of version 1 lack
MOMENT = "%Y%m%dT%H%M%S%fZ"
ID = r"[0-9]{8}T[0-9]{12}Z"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes
    ----------
    files : dict
        File name to `[bytes, sha256]`.
    media : str
        How the content is kept: a file store's own suffix (its original bytes), else `parquet`.
    rows : int or None
        None for bytes that could not be read and were kept all the same.
    place : str
        Tells the store's place from another of the same name.
    save_ids : tuple of str
        Of the saves that the rows hold.
    before_restore : bool
        Whether a restore made it of what it replaced.
    """

    backup_id: str
    source: str
    store: str
    created_at: str
    rows: int | None
    fingerprint: str
    schema: str
    media: str
    files: Mapping[str, tuple[int, str]]
    version: int | None = None
    place: str = ""
    millpond: int = VERSION
    save_ids: tuple[str, ...] = ()
    before_restore: bool = False

    @property
    def created(self) -> datetime:
        return datetime.fromisoformat(self.created_at)

    @property
    def record(self) -> BackupRecord:
        return BackupRecord(
            backup_id=self.backup_id,
            source=self.source,
            store=self.store,
            created_at=self.created,
            rows=self.rows,
            bytes=sum(size for size, _ in self.files.values()),
            fingerprint=self.fingerprint,
            version=self.version,
        )

    def dumps(self) -> bytes:
        """As JSON, closed by a checksum over all the rest: whatever changes a byte of it, shows."""
        lacking = SINCE_2 if self.millpond < 2 else ()
        told = {key: value for key, value in asdict(self).items() if key not in lacking}
        seal = sha(json.dumps(told, indent=1).encode()).hexdigest()
        return json.dumps({**told, "seal": seal}, indent=1).encode()

    @classmethod
    def loads(cls, written: bytes, backup_id: str) -> Manifest:
        """The manifest of those bytes; IntegrityError for one that is damaged or of a newer Millpond."""
        try:
            data = json.loads(written)
            if data["millpond"] > VERSION:
                raise IntegrityError(
                    f"The backup {backup_id} was made by a newer Millpond.", cure="pip install --upgrade millpond"
                )
            files = {name: (int(size), str(digest)) for name, (size, digest) in data["files"].items()}
            told = {key: value for key, value in data.items() if key != "seal"}
            manifest = cls(**{**told, "files": files, "save_ids": tuple(map(str, data.get("save_ids", ())))})
            if manifest.dumps() != written:
                raise ValueError("it is not as it was written")
            if any(Path(name).name != name or name == NAME for name in files):
                raise ValueError("it names files elsewhere")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise IntegrityError(
                f"The manifest of the backup {backup_id} is damaged: {error}.", cure="Use another: millpond backups."
            ) from error
        return manifest

    def check(self, folder: Path) -> None:
        """IntegrityError unless every file is there with the bytes that were written."""
        for name, (size, digest) in self.files.items():
            path = folder / name
            if not path.is_file():
                raise IntegrityError(f"The backup {self.backup_id} lacks its file {name}.", cure="Use another one.")
            if path.stat().st_size != size or sha256(path) != digest:
                raise IntegrityError(
                    f"The backup {self.backup_id} is damaged: {name} has other bytes than were written.",
                    cure="Use another: millpond backups.",
                    resource=self.backup_id,
                )


def files_in(folder: Path) -> dict[str, tuple[int, str]]:
    """Name to size and checksum of every file in a backup's folder."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != NAME)
    return {path.name: (path.stat().st_size, sha256(path)) for path in paths}


def as_file(name: str) -> str:
    """A file name for any dataset name: reversible for all but very long ones, never a path, never hidden."""
    safe = quote(name, safe=" ").replace(".", "%2E", 1) if name.startswith(".") else quote(name, safe=" ")
    return safe if len(safe) <= 200 else f"{safe[:150]}~{sha(name.encode()).hexdigest()[:32]}"


def moment_of(backup_id: str) -> datetime | None:
    """When a backup was made, as its id tells; None for what is no such id."""
    stamp = backup_id.partition("-")[0]
    try:
        return datetime.strptime(stamp, MOMENT).replace(tzinfo=UTC) if re.fullmatch(ID, stamp) else None
    except ValueError:  # digits that are no date
        return None


def manifest_at(home: str, written: Attempt[bytes]) -> Manifest:
    """The manifest of a finished backup; IntegrityError unless it lies where it was put."""
    if written.value is None:
        raise written.error or IntegrityError(f"The backup {written.name} has no manifest.")
    manifest, dataset = Manifest.loads(written.value, written.name), home.partition("/")[2]
    if (as_file(manifest.source), manifest.backup_id) != (dataset, written.name):
        raise IntegrityError(
            f"The backup in {dataset}/{written.name} is {manifest.backup_id} of {manifest.source!r}.",
            cure="Put it back to where it was.",
        )
    return manifest
