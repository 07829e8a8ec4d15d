"""The vault over one store: `<FS_BACKUP>/<store>/<dataset>/<backup id>/` with the content and its manifest.

What is listed is whole: the manifest comes last, after the content has been read again and checked. How that is done in
a folder and behind an address is told in `places` and `remote`, what is kept how long in `retention`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from functools import partial
from hashlib import sha256 as sha
from pathlib import Path

from framework.attempt import Attempt, attempt, attempt_all
from framework.errors import (
    BackupNotFoundError,
    ConfigurationException,
    IntegrityError,
    OptionError,
    StorageError,
    known_names,
    nearest,
)
from framework.files import lock_for, locked, storage_errors
from framework.interfaces import BackupRecord, IDataBackup
from framework.redact import redact
from framework.results import Result, raise_if_any_failed
from framework.store import Keeps, Save, Store
from framework.vault.choice import Choice, after_the_newest
from framework.vault.manifest import MOMENT, Manifest, as_file, files_in, manifest_at
from framework.vault.places import LocalPlace, Place
from framework.vault.retention import KEEP, spare


class Vault(IDataBackup):
    """Verified copies of a store's tables.

    Parameters
    ----------
    store : Store
        Whose tables are kept.
    place : Path or Place
        Where the copies lie: an absolute folder, or a `RemotePlace`.
    keep : int
        How many backups of each dataset are kept. The oldest go when a new one has been verified, never in a restore,
        and never one of the three newest that are good.
    stores : callable, optional
        Gives another store by its name, for `restore_data(into=)`; the factory's.
    logger : logging.Logger, optional
    """

    def __init__(
        self,
        store: Keeps,
        place: Path | Place,
        *,
        keep: int = KEEP,
        stores: Callable[[str], Store] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise OptionError(
                f"keep={keep!r}: a vault keeps at least 1 backup of each dataset.",
                cure="Three good ones are kept in any case.",
            )
        self.store = store
        self.place: Place = LocalPlace(place) if isinstance(place, Path) else place
        self.keep = keep
        self.stores = stores
        self.logger = logger or logging.getLogger(f"millpond.vault.{store.name}")
        self._homes: dict[str, str] = {}  # of backups that were seen, by their ids

    @property
    def folder(self) -> Path | None:
        """The folder of all backups; None when they lie behind an address."""
        return self.place.folder

    def covers(self, store: object) -> bool:
        """Whether it keeps the very tables that `store` holds, in the place where that store's own vault keeps them."""
        own = getattr(store, "vault", None)
        same_tables = getattr(store, "identity", None) == self.store.identity
        return same_tables and isinstance(own, Vault) and (own.place, own._shelf) == (self.place, self._shelf)

    @property
    def _shelf(self) -> str:
        return as_file(self.store.name)

    def _home(self, name: str) -> str:
        return f"{self._shelf}/{as_file(name)}"

    @property
    def _origin(self) -> str:
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

    def _backup(self, name: str, *, before_restore: bool = False) -> str:
        """Make one backup; called with the vault's lock held. Before a restore, also of what cannot be read."""
        home = self._home(name)
        with storage_errors(f"the backup of {self.store.name}:{name}"):
            now = after_the_newest(self.place, home, self.logger)
            backup_id = f"{now:{MOMENT}}-{secrets.token_hex(4)}"
            with self.place.making(home, backup_id) as making:
                manifest = self._manifest_of(making, backup_id, name, now, before_restore=before_restore)
                self.place.keep(home, backup_id, making, manifest)
        self.logger.info("%s:%s backed up as %s", self.store.name, name, backup_id)
        return backup_id

    def _manifest_of(self, making: Path, backup_id: str, name: str, now: datetime, *, before_restore: bool) -> Manifest:
        exported = self.store.export(name, making, unread=before_restore)
        return Manifest(
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
            place=self._origin,
            save_ids=exported.save_ids,
            before_restore=before_restore,
        )

    def _prune(self, name: str) -> None:
        """Remove what retention spares of this place's; called after a new backup, with the vault's lock held."""
        own = [manifest for manifest in self._finished(name) if manifest.place == self._origin]
        for manifest in spare(own, keep=self.keep, good=self._good):
            self.place.remove(self._home(name), manifest.backup_id)
            self.logger.info("%s:%s: the old backup %s was removed", self.store.name, name, manifest.backup_id)

    def _good(self, manifest: Manifest) -> bool:
        """Whether it can be restored to something that can be read."""
        tried = attempt(manifest.backup_id, partial(self._verify, manifest))
        if tried.error is not None:
            self.logger.warning("not counted among the good ones: %s", tried.error)
        return tried.error is None and manifest.rows is not None

    # ------------------------------------------------------------------ what there is

    def list_backups(self, source: str | None = None) -> list[BackupRecord]:
        """Finished backups, newest last; of one dataset or of all."""
        names = [self.store.canonical(source)] if source is not None else None
        found = [manifest.record for manifest in self._all(names)]
        return sorted(found, key=lambda record: (record.created_at, record.backup_id))

    def verify_backup(self, backup_id: str) -> bool:
        """True if every byte is as it was written; IntegrityError or BackupNotFoundError otherwise."""
        self._verify(self._find(backup_id))
        return True

    def _verify(self, manifest: Manifest) -> None:
        with self._checked(manifest):
            return

    @contextmanager
    def _checked(self, manifest: Manifest) -> Iterator[Path]:
        """The folder with its files, all of them as they were written."""
        home = self._home(manifest.source)
        with self.place.at_hand(home, manifest.backup_id, manifest.files) as folder:
            with storage_errors(f"the backup {manifest.backup_id}"):
                manifest.check(folder)
            yield folder

    def damaged(self) -> dict[str, str]:
        """Backups whose manifest cannot be read, and why; they are not listed."""
        found = {}
        for home in self.place.homes(self._shelf):
            for written in self.place.manifests(home):
                tried = attempt(written.name, partial(manifest_at, home, written))
                if tried.error is not None:
                    found[f"{self.store.name}:{home.partition('/')[2]} {written.name}"] = str(tried.error)
        return found

    def _all(self, names: list[str] | None) -> Iterator[Manifest]:
        with storage_errors(f"the backups of {self.store.name}"):
            homes = [self._home(name) for name in names] if names is not None else self.place.homes(self._shelf)
            for home in homes:
                for tried in self._tried(home):
                    if tried.value is not None:
                        self._homes[tried.name] = home
                        yield tried.value
                    elif not isinstance(tried.error, FileNotFoundError):
                        self.logger.warning("not listed: %s", tried.error)

    def _tried(self, home: str) -> list[Attempt[Manifest]]:
        """What came of reading each manifest of a home, by the backups' ids in their order."""
        with storage_errors(f"the backups of {self.store.name}"):
            return [attempt(made.name, partial(manifest_at, home, made)) for made in self.place.manifests(home)]

    def _finished(self, name: str) -> list[Manifest]:
        return sorted(self._all([name]), key=lambda manifest: (manifest.created, manifest.backup_id))

    def _find(self, backup_id: str, source: str | None = None) -> Manifest:
        if not isinstance(backup_id, str):
            raise BackupNotFoundError(f"A backup's id is text, not {type(backup_id).__name__}.")
        key = as_file(backup_id)
        for home in self._likely(key, source):
            written = self.place.manifest(home, key) if key else None
            if written is None:
                continue
            manifest = manifest_at(home, Attempt(key, written, None, 0.0))
            if source is None or manifest.source == source:
                return manifest
            raise BackupNotFoundError(
                f"The backup {backup_id!r} is of {manifest.source!r}, not of {source!r}.", resource=backup_id
            )
        known = [manifest.backup_id for manifest in self._all(None if source is None else [source])]
        raise BackupNotFoundError(
            f"There is no backup {backup_id!r} of the {self.store.name} store.",
            cure=known_names(backup_id, known),
            resource=backup_id,
        )

    def _likely(self, key: str, source: str | None) -> Iterator[str]:
        """The homes where a backup may be, the likely one first: each costs a look, which is long over a network."""
        first = self._home(source) if source is not None else self._homes.get(key)
        if first is not None:
            yield first
        yield from (home for home in self.place.homes(self._shelf) if home != first)

    # ------------------------------------------------------------------ the way back

    def restore_data(self, source: str, backup_id: str | None = None, *, into: str | None = None) -> bool:
        """Put a backup (the newest unless one is named) in the dataset's place, or in another's.

        It is checked first; what it replaces is backed up first, by the vault of the store that holds it; nothing is
        pruned. On an error the dataset is as it was. What restores put aside so is only taken when it is named.

        Parameters
        ----------
        source : str
            The dataset of which there is a backup; it need not exist any more.
        backup_id : str, optional
        into : str, optional
            `store:name`: where to put it instead. A store of another kind gets the rows.

        Raises
        ------
        BackupNotFoundError, IntegrityError, LockedError, StorageError, FidelityError
        """
        name = self.store.canonical(source)
        target, new = self._target(into, name)
        vault = self if target is self.store else _vault_of(target)
        with ExitStack() as held:
            if isinstance(target, Store) and target is not self.store:
                held.callback(target.close)
            held.enter_context(target.locked(new))
            for lock in self._locks([(self, name), (vault, new)]):
                held.enter_context(lock)
            manifest = self._find(backup_id, name) if backup_id is not None else self._newest(name)
            folder = held.enter_context(self._checked(manifest))
            if target.exists(new):
                _put_aside(target, new, vault)
            self._put(manifest, folder, target, new)
        self.logger.info("%s:%s restored from %s to %s:%s", self.store.name, name, manifest.backup_id, target.name, new)
        return True

    def _target(self, into: str | None, name: str) -> tuple[Keeps, str]:
        """The store and the canonical name to restore into."""
        if into is None:
            return self.store, name
        store, colon, new = into.partition(":") if isinstance(into, str) else ("", "", "")
        if not (store and colon and new):
            raise OptionError(
                f"into={into!r} names no dataset.",
                cure=f"Write the store, too: into='{self.store.name}:{into or name}'.",
            )
        if store == self.store.name:
            return self.store, self.store.canonical(new)
        if self.stores is None:
            raise ConfigurationException(
                f"The vault of {self.store.name} knows no other store.", cure="Create it with DataFactory."
            )
        target = self.stores(store)
        return target, target.canonical(new)

    def _put(self, manifest: Manifest, folder: Path, target: Keeps, new: str) -> None:
        if target is self.store:
            target.adopt(new, folder, manifest.media, manifest.save_ids)
            return
        from framework.schema import decode, encode

        frame = decode(*self.store.kept(manifest.source, folder, manifest.media))
        assert isinstance(target, Store)
        target._write(new, *encode(frame), Save(held=manifest.save_ids))

    def _newest(self, name: str) -> Manifest:
        """The newest backup of this place; of another of the same name, as after a move, if this one has none.

        Never one that a restore made of what it replaced, nor what cannot be read.
        """
        choice = Choice.of(self._tried(self._home(name)), self._origin)
        if choice.unreadable is not None:
            raise IntegrityError(
                f"The newest backup of {self.store.name}:{name}, {choice.unreadable.name}, cannot be read: "
                f"{choice.unreadable.error}",
                cure="Name another one: millpond backups.",
                resource=choice.unreadable.name,
            )
        if choice.newest is None:
            raise self._no_newest(name, choice.aside)
        if choice.newest.place != self._origin:
            self.logger.warning("%s:%s is restored from a backup of another place", self.store.name, name)
        return choice.newest

    def _no_newest(self, name: str, aside: Sequence[str]) -> BackupNotFoundError:
        known = {manifest.source for manifest in self._all(None)}
        return BackupNotFoundError(
            f"There is no backup of {name!r} of the {self.store.name} store"
            + (", but what restores put aside." if aside else "."),
            cure=f"Name one of that: {', '.join(aside[-5:])}." if aside else known_names(name, known),
            resource=f"{self.store.name}:{name}",
        )

    # ------------------------------------------------------------------ the rest

    def health_check(self) -> bool:
        """True if the store and the place of the backups can be used."""
        tried = attempt(f"health of the vault of {self.store.name}", self.place.probe)
        if tried.error is not None:
            self.logger.warning("the vault of %s cannot be used: %s", self.store.name, tried.error)
        return tried.error is None and self.store.health_check()

    def _locks(self, datasets: list[tuple[Vault | None, str]]) -> list[AbstractContextManager[None]]:
        """The locks of those vaults' datasets, each once, in the order in which everyone takes them."""
        by_path = {vault.place.lock(vault._home(name)): (vault, name) for vault, name in datasets if vault is not None}
        return [vault._locked(name) for _, (vault, name) in sorted(by_path.items(), key=lambda pair: pair[0])]

    def _locked(self, name: str) -> AbstractContextManager[None]:
        with storage_errors(f"the backups of {self.store.name}:{name}"):
            lock = lock_for(self.place.lock(self._home(name)))
        return locked(lock, timeout=60, what=f"the backups of {self.store.name}:{name}")

    def __repr__(self) -> str:
        return f"<Vault of {self.store.name}>"


def _vault_of(target: Keeps) -> Vault | None:
    vault = getattr(target, "vault", None)
    return vault if isinstance(vault, Vault) else None


def _put_aside(target: Keeps, name: str, vault: Vault | None) -> None:
    """Back up what a restore is about to replace; the vault's lock is held."""
    if vault is None:
        raise StorageError(
            f"There is a dataset {target.name}:{name}, and no backup is made of what lies in {target.name}.",
            cure="Delete it first, or restore into another name.",
            resource=f"{target.name}:{name}",
        )
    vault._backup(name, before_restore=True)
