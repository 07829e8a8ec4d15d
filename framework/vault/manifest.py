"""A backup's manifest: what is in it, written last; a folder without one is no backup."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256 as sha
from pathlib import Path

from framework.errors import IntegrityError
from framework.files import replace_bytes, sha256
from framework.interfaces import BackupRecord

NAME = "manifest.json"
VERSION = 1


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
    """

    backup_id: str
    source: str
    store: str
    created_at: str
    rows: int | None
    fingerprint: str
    schema: str
    media: str
    files: dict[str, tuple[int, str]]
    version: int | None = None
    place: str = ""
    millpond: int = VERSION

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
        body = json.dumps(asdict(self), indent=1)
        return json.dumps({**asdict(self), "seal": sha(body.encode()).hexdigest()}, indent=1).encode()

    def write(self, folder: Path) -> None:
        replace_bytes(folder / NAME, self.dumps())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest in that folder; IntegrityError for one that is damaged or of a newer Millpond."""
        written = (folder / NAME).read_bytes()
        try:
            data = json.loads(written)
            if data["millpond"] > VERSION:
                raise IntegrityError(
                    f"The backup {folder.name} was made by a newer Millpond.", cure="pip install --upgrade millpond"
                )
            files = {name: (int(size), str(digest)) for name, (size, digest) in data["files"].items()}
            manifest = cls(**{**{key: value for key, value in data.items() if key != "seal"}, "files": files})
            if manifest.dumps() != written:
                raise ValueError("it is not as it was written")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(
                f"The manifest of the backup {folder.name} is damaged: {error}.", cure="Use another: millpond backups."
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
