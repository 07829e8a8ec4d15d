"""The vault over one store: `<FS_BACKUP>/<store>/<dataset>/<backup id>/` with the content and its manifest.

A backup is made in a folder with a hidden name, its manifest written last, read again and checked, and only then
renamed. So whatever is listed is whole; what a crash leaves is not listed, and the next backup sweeps it away.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256 as sha
from pathlib import Path
from urllib.parse import quote

from framework.attempt import attempt, attempt_all
from framework.errors import (
    BackupNotFoundError,
    IntegrityError,
    OptionError,
    StorageError,
    known_names,
    nearest,
)
from framework.files import lock_for, locked, make_folder, storage_errors, sync_folder
from framework.interfaces import BackupRecord, IDataBackup
from framework.redact import redact
from framework.results import Result, raise_if_any_failed
from framework.store import Keeps
from framework.vault.manifest import NAME, Manifest, files_in

KEEP = 30


class Vault(IDataBackup):
    """Verified copies of a store's tables.

    Parameters
    ----------
    store : Store
        Whose tables are kept.
    folder : Path
        Where the copies lie, absolute.
    keep : int
        How many backups of each dataset are kept; the oldest go when a new one has been verified, never in a restore.
    logger : logging.Logger, optional
    """

    def __init__(self, store: Keeps, folder: Path, *, keep: int = KEEP, logger: logging.Logger | None = None) -> None:
        if keep < 1:
            raise OptionError(f"keep={keep}: a vault keeps at least 1 backup of each dataset.")
        self.store = store
        self.folder = folder
        self.keep = keep
        self.logger = logger or logging.getLogger(f"millpond.vault.{store.name}")

    def covers(self, store: object) -> bool:
        """Whether it keeps the very tables that `store` holds, in the place where that store's own vault keeps them."""
        own = getattr(store, "vault", None)
        same_place = getattr(store, "identity", None) == self.store.identity
        return same_place and isinstance(own, Vault) and own._home == self._home

    @property
    def _home(self) -> Path:
        return self.folder / _as_file(self.store.name)

    @property
    def _place(self) -> str:
        """What tells the store's place from another of the same name, such as another server's."""
        return sha(redact(repr(self.store.identity)).encode()).hexdigest()[:16]

    # ------------------------------------------------------------------ backing up

    def backup_data(self, source: str) -> tuple[bool, str | None]:
        """Copy one snapshot of a dataset: `(True, backup_id)` when it has been written, read again and checked.

        `(False, None)` and a WARNING with the nearest name when there is nothing of that name.
        """
        name = self.store.canonical(source)
        if not self.store.exists(name):
            close = nearest(name, self.store.list_sources())
            hint = f"; did you mean {close!r}?" if close else ""
            self.logger.warning("nothing to back up: %s has no dataset %r%s", self.store.name, name, hint)
            return False, None
        with self._locked(name):
            backup_id = self._backup(name)
            tried = attempt(f"pruning the backups of {name}", partial(self._prune, name))
        if tried.error is not None:  # the backup is good all the same
            self.logger.warning("%s:%s: old backups were not removed: %s", self.store.name, name, tried.error)
        return True, backup_id

    def backup_all(self) -> list[tuple[str, str]]:
        """Back up every dataset: `[(source, backup_id), ...]`; PartialFailure with the report after trying all."""
        names = self.store.list_sources()
        attempts = attempt_all([(name, partial(self.backup_data, name)) for name in names])
        report = []
        for done in attempts:
            result = Result(name=done.name, execution_time=done.seconds)
            result.fail(done.error) if done.error else result.artifacts.update(
                backup=str((done.value or (False, None))[1])
            )
            report.append(result)
        raise_if_any_failed(report, f"backup of all of {self.store.name}")
        return [(done.name, done.value[1]) for done in attempts if done.value and done.value[1]]

    def _backup(self, name: str, *, unread: bool = False) -> str:
        """Make one backup; called with the vault's lock held. With `unread`, also of what cannot be read."""
        home = self._home / _as_file(name)
        with storage_errors(f"the backup of {self.store.name}:{name}"):
            make_folder(home)
            _sweep(home)
            now = self._now(name)
            backup_id = f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(2)}"
            making = home / f".{backup_id}.partial"
            making.mkdir()
            try:
                self._fill(making, backup_id, name, now, unread=unread)
            except BaseException:
                shutil.rmtree(making, ignore_errors=True)
                raise
            os.rename(making, home / backup_id)
            sync_folder(home)
        self.logger.info("%s:%s backed up as %s", self.store.name, name, backup_id)
        return backup_id

    def _now(self, name: str) -> datetime:
        """This moment, but after the last backup's, should the clock have been set back."""
        now = datetime.now(UTC)
        made = [manifest.created for manifest, _ in self._finished(name)]
        return max([now, *(moment + timedelta(microseconds=1) for moment in made)])

    def _fill(self, making: Path, backup_id: str, name: str, now: datetime, *, unread: bool) -> None:
        exported = self.store.export(name, making, unread=unread)
        manifest = Manifest(
            backup_id=backup_id,
            source=name,
            store=self.store.name,
            created_at=now.isoformat(),
            rows=exported.rows,
            fingerprint=exported.fingerprint,
            schema=exported.schema,
            media=exported.media,
            files=files_in(making),
            version=exported.version,
            place=self._place,
        )
        manifest.write(making)
        written = Manifest.read(making)
        if written != manifest:
            raise IntegrityError(f"The manifest of the backup of {name!r} was not written as it is.")
        written.check(making)
        sync_folder(making)

    def _prune(self, name: str) -> None:
        """Remove all but the last `keep` of this place's; called with the vault's lock held."""
        own = [folder for manifest, folder in self._finished(name) if manifest.place == self._place]
        for folder in own[: -self.keep]:
            gone = folder.with_name(f".{folder.name}.partial")
            os.rename(folder, gone)  # at once no backup any more; a crash leaves what the next one sweeps
            shutil.rmtree(gone)

    # ------------------------------------------------------------------ what there is

    def list_backups(self, source: str | None = None) -> list[BackupRecord]:
        """Finished backups, newest last; of one dataset or of all."""
        names = [self.store.canonical(source)] if source is not None else None
        found = [manifest.record for manifest, _ in self._all(names)]
        return sorted(found, key=lambda record: (record.created_at, record.backup_id))

    def verify_backup(self, backup_id: str) -> bool:
        """True if every byte is as it was written; IntegrityError or BackupNotFoundError otherwise."""
        manifest, folder = self._find(backup_id)
        manifest.check(folder)
        return True

    def damaged(self) -> dict[str, str]:
        """Backups whose manifest cannot be read, and why; they are not listed."""
        found = {}
        for home in _folders(self._home):
            for folder in _folders(home):
                tried = attempt(folder.name, partial(_manifest, folder))
                if tried.error is not None:
                    found[f"{self.store.name}:{home.name} {folder.name}"] = str(tried.error)
        return found

    def _all(self, names: list[str] | None) -> Iterator[tuple[Manifest, Path]]:
        homes = [self._home / _as_file(name) for name in names] if names is not None else _folders(self._home)
        for home in homes:
            for folder in _folders(home):
                if (folder / NAME).is_file():
                    tried = attempt(folder.name, partial(_manifest, folder))
                    if tried.value is None:
                        self.logger.warning("not listed: %s", tried.error)
                    else:
                        yield tried.value, folder

    def _finished(self, name: str) -> list[tuple[Manifest, Path]]:
        return sorted(self._all([name]), key=lambda pair: (pair[0].created_at, pair[0].backup_id))

    def _find(self, backup_id: str, source: str | None = None) -> tuple[Manifest, Path]:
        if not isinstance(backup_id, str):
            raise BackupNotFoundError(f"A backup's id is text, not {type(backup_id).__name__}.")
        for home in _folders(self._home):
            folder = home / _as_file(backup_id)
            if (folder / NAME).is_file():
                manifest = _manifest(folder)
                if source is None or manifest.source == source:
                    return manifest, folder
                raise BackupNotFoundError(
                    f"The backup {backup_id!r} is of {manifest.source!r}, not of {source!r}.", resource=backup_id
                )
        known = [manifest.backup_id for manifest, _ in self._all(None if source is None else [source])]
        raise BackupNotFoundError(
            f"There is no backup {backup_id!r} of the {self.store.name} store.",
            cure=known_names(backup_id, known),
            resource=backup_id,
        )

    # ------------------------------------------------------------------ the way back

    def restore_data(self, source: str, backup_id: str | None = None) -> bool:
        """Put a backup (the newest unless one is named) in the dataset's place.

        It is checked first; what it replaces is backed up first; nothing is pruned. On an error the dataset is as it
        was.

        Raises
        ------
        BackupNotFoundError, IntegrityError, LockedError, StorageError
        """
        name = self.store.canonical(source)
        with self.store.locked(name), self._locked(name):
            manifest, folder = self._find(backup_id, name) if backup_id is not None else self._newest(name)
            manifest.check(folder)
            if self.store.exists(name):
                self._backup(name, unread=True)
            self.store.adopt(name, folder, manifest.media)
        self.logger.info("%s:%s restored from %s", self.store.name, name, manifest.backup_id)
        return True

    def _newest(self, name: str) -> tuple[Manifest, Path]:
        """The newest backup of this place; of another of the same name, as after a move, if this one has none."""
        for folder in reversed(_folders(self._home / _as_file(name))):
            if not attempt(folder.name, partial(_manifest, folder)):
                raise IntegrityError(
                    f"The newest backup of {self.store.name}:{name}, {folder.name}, is damaged.",
                    cure="Name another one: millpond backups.",
                    resource=folder.name,
                )
            break
        finished = self._finished(name)
        own = [pair for pair in finished if pair[0].place == self._place]
        if finished and not own:
            self.logger.warning("%s:%s is restored from a backup of another place", self.store.name, name)
        if not finished:
            known = {manifest.source for manifest, _ in self._all(None)}
            raise BackupNotFoundError(
                f"There is no backup of {name!r} of the {self.store.name} store.",
                cure=known_names(name, known),
                resource=f"{self.store.name}:{name}",
            )
        return (own or finished)[-1]

    # ------------------------------------------------------------------ the rest

    def health_check(self) -> bool:
        """True if the store and the folder of backups can be used."""

        def probe() -> None:
            folder = self.folder
            while not folder.exists():
                folder = folder.parent
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise StorageError(f"{folder} cannot be read and written.", cure="Set FS_BACKUP to a folder that can.")

        tried = attempt(f"health of the vault of {self.store.name}", probe)
        if tried.error is not None:
            self.logger.warning("the vault of %s cannot be used: %s", self.store.name, tried.error)
        return tried.error is None and self.store.health_check()

    def _locked(self, name: str) -> AbstractContextManager[None]:
        with storage_errors(f"the backups of {self.store.name}:{name}"):
            lock = lock_for(self._home / ".locks" / f"{_as_file(name)}.lock")
        return locked(lock, timeout=60, what=f"the backups of {self.store.name}:{name}")

    def __repr__(self) -> str:
        return f"<Vault of {self.store.name}>"


def _as_file(name: str) -> str:
    """A file name for any dataset name: reversible for all but very long ones, never a path, never hidden."""
    safe = quote(name, safe=" ").replace(".", "%2E", 1) if name.startswith(".") else quote(name, safe=" ")
    return safe if len(safe) <= 200 else f"{safe[:150]}~{sha(name.encode()).hexdigest()[:32]}"


def _folders(parent: Path) -> list[Path]:
    """The folders in it that are not hidden, sorted; none if it is not there."""
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def _manifest(folder: Path) -> Manifest:
    """The manifest of a finished backup; IntegrityError unless it lies where it was put."""
    manifest = Manifest.read(folder)
    if (_as_file(manifest.source), manifest.backup_id) != (folder.parent.name, folder.name):
        raise IntegrityError(
            f"The backup in {folder.parent.name}/{folder.name} is {manifest.backup_id} of {manifest.source!r}.",
            cure="Put it back to where it was.",
        )
    return manifest


def _sweep(home: Path) -> None:
    """Remove what backups that died left; the caller holds the lock."""
    for left in home.glob(".*.partial"):
        shutil.rmtree(left, ignore_errors=True)
