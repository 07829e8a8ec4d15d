"""Where backups lie: `<home>/<backup id>/<file>`, a home being `<store>/<dataset>`; here a folder of this machine.

A backup is made in a folder with a hidden name, its manifest written last, read again and checked, and only then
renamed. So whatever is listed is whole; what a crash leaves is not listed, and the next backup sweeps it away.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from framework.attempt import Attempt, attempt
from framework.errors import IntegrityError, StorageError
from framework.files import make_folder, replace_bytes, storage_errors, sync_folder
from framework.vault.manifest import NAME, Manifest


class Place(Protocol):
    """What a vault needs of the place where it keeps backups."""

    @property
    def shown(self) -> str:
        """The place for messages, without a secret."""

    @property
    def folder(self) -> Path | None:
        """The folder that it is on this machine, if it is one."""

    def homes(self, store: str) -> list[str]:
        """The homes of a store that there are, sorted."""

    def ids(self, home: str) -> list[str]:
        """The ids of a home's backups, sorted."""

    def manifests(self, home: str) -> list[Attempt[bytes]]:
        """The manifests of a home's backups, by their ids, sorted; FileNotFoundError in one that has none."""

    def manifest(self, home: str, backup_id: str) -> bytes | None:
        """The bytes of one; None if there is no such backup."""

    def making(self, home: str, backup_id: str) -> AbstractContextManager[Path]:
        """An empty folder of this machine, in which a backup is made; afterwards it is not there any more."""

    def keep(self, home: str, backup_id: str, made: Path, manifest: Manifest) -> None:
        """Commit what was made: read again, checked, and from now on listed. Or raise, and it is not listed."""

    def at_hand(self, home: str, backup_id: str, names: Iterable[str]) -> AbstractContextManager[Path]:
        """A folder of this machine with those files of a backup, as far as they are there."""

    def remove(self, home: str, backup_id: str) -> None:
        """Remove a finished backup; it is none any more at once."""

    def lock(self, home: str) -> Path:
        """The file by which one process of this machine at a time changes a home."""

    def probe(self) -> None:
        """Raise if it cannot be used; reads only, in bounded time."""


class LocalPlace:
    """Backups in a folder of this machine.

    Parameters
    ----------
    folder : Path
        Absolute; made by the first backup.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self._root = folder

    @property
    def shown(self) -> str:
        return str(self._root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalPlace) and other._root == self._root

    def __hash__(self) -> int:
        return hash(self._root)

    def homes(self, store: str) -> list[str]:
        return [f"{store}/{name}" for name in _folders(self._root / store)]

    def ids(self, home: str) -> list[str]:
        return _folders(self._root / home)

    def manifests(self, home: str) -> list[Attempt[bytes]]:
        return [attempt(key, (self._root / home / key / NAME).read_bytes) for key in self.ids(home)]

    def manifest(self, home: str, backup_id: str) -> bytes | None:
        path = self._root / home / backup_id / NAME
        with storage_errors(f"the backup {backup_id}"):
            return path.read_bytes() if path.is_file() else None

    @contextmanager
    def making(self, home: str, backup_id: str) -> Iterator[Path]:
        folder = self._root / home
        make_folder(folder)
        for left in folder.glob(".*.partial"):  # of backups that died: the caller holds the lock
            shutil.rmtree(left, ignore_errors=True)
        making = folder / f".{backup_id}.partial"
        making.mkdir()
        try:
            yield making
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def keep(self, home: str, backup_id: str, made: Path, manifest: Manifest) -> None:
        written = manifest.dumps()
        replace_bytes(made / NAME, written)
        if (made / NAME).read_bytes() != written:
            raise IntegrityError(f"The manifest of the backup {backup_id} was not written as it is.")
        manifest.check(made)
        sync_folder(made)
        folder = self._root / home
        os.rename(made, folder / backup_id)
        sync_folder(folder)

    @contextmanager
    def at_hand(self, home: str, backup_id: str, names: Iterable[str]) -> Iterator[Path]:
        yield self._root / home / backup_id

    def remove(self, home: str, backup_id: str) -> None:
        folder = self._root / home / backup_id
        gone = folder.with_name(f".{backup_id}.partial")
        os.rename(folder, gone)  # a crash leaves what the next backup sweeps
        shutil.rmtree(gone)

    def lock(self, home: str) -> Path:
        store, _, dataset = home.partition("/")
        return self._root / store / ".locks" / f"{dataset}.lock"

    def probe(self) -> None:
        folder = self._root
        while not folder.exists():  # it is made by the first backup
            folder = folder.parent
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise StorageError(f"{folder} cannot be read and written.", cure="Set FS_BACKUP to a folder that can.")


def _folders(parent: Path) -> list[str]:
    """The names of the folders in it that are not hidden, sorted; none if it is not there."""
    with storage_errors(f"the backups in {parent.name}"):
        if not parent.is_dir():
            return []
        return sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
