"""Backups of all stores: made, listed, verified, put back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

from framework.attempt import attempt, attempt_all
from framework.errors import (
    BackupNotFoundError,
    IntegrityError,
    PartialFailure,
    UnknownNameError,
    known_names,
)
from framework.interfaces import BackupRecord
from framework.results import Result, raise_if_any_failed
from framework.store import Store
from framework.vault import Vault
from framework.workspace.places import Places


class Keeping(Places):
    """The vaults over the stores."""

    def vault(self, store: str) -> Vault:
        """The vault over a store."""
        known = self._vaulted()
        if store not in known and store in self.names():
            raise UnknownNameError(
                f"The {store} store is never backed up.", cure=f"Stores with backups: {', '.join(known)}."
            )
        self._check_store(store, known)
        return cast(Vault, self.factory.create_data_backup(store))

    def _vaulted(self) -> list[str]:
        kept = self.factory.list_data_backup()
        return [*kept, *(name for name, instance in self.settings.stores.items() if instance.get("type") in kept)]

    def _backed(self, reference: str) -> tuple[Store, Vault, str]:
        store, name = self.dataset(reference)
        return store, self.vault(reference.partition(":")[0]), store.canonical(name)

    def backup(self, reference: str) -> str:
        """Back up one dataset: the backup's id. DatasetNotFoundError when there is nothing of that name."""
        store, vault, name = self._backed(reference)
        backup_id = vault.backup_data(name)[1] if store.exists(name) else None
        if backup_id is None:
            raise store.unknown(name)
        return backup_id

    def backup_all(self, store: str | None = None) -> list[tuple[str, str]]:
        """Back up every dataset of a store, or of all: `[(store:name, id), ...]`; PartialFailure after trying all.

        Of all: a stopped embedded server is started; one that is down fails; what is not installed is left out.
        """
        names = [store] if store is not None else self._to_back_up()
        attempts = attempt_all([(name, self.vault(name).backup_all) for name in names])
        report: list[Result] = []
        for done in attempts:
            if isinstance(done.error, PartialFailure):
                report += [replace(result, name=f"{done.name}:{result.name}") for result in done.error.report]
            else:
                result = Result(name=done.name, execution_time=done.seconds)
                report.append(result.fail(done.error) if done.error else result)
        raise_if_any_failed(report, "backup of all")
        return [(f"{done.name}:{source}", key) for done in attempts for source, key in done.value or ()]

    def _to_back_up(self) -> list[str]:
        states = {row["store"]: row["state"] for row in self.health(wake=False)}
        return [name for name in self._vaulted() if states[name] not in ("unused", "not installed")]

    def backups(self, reference: str | None = None) -> list[BackupRecord]:
        """Finished backups, newest last: of a dataset, of a store (`store:`), or of all.

        Raises
        ------
        BackupNotFoundError
            There is neither a backup nor a dataset of that name.
        """
        if reference is not None and not reference.endswith(":"):
            store, vault, name = self._backed(reference)
            found = vault.list_backups(name)
            if not found and attempt(name, partial(store.exists, name)).value is False:
                known = {record.source for record in vault.list_backups()}
                raise BackupNotFoundError(
                    f"The {store.name} store has no dataset {name!r}, and no backup of one.",
                    cure=known_names(name, known),
                    resource=reference,
                )
            return found
        records = [record for vault in self._vaults(reference) for record in vault.list_backups()]
        return sorted(records, key=lambda record: (record.created_at, record.backup_id))

    def _vaults(self, reference: str | None) -> list[Vault]:
        """Of the store that a reference names; else of all stores that can be had."""
        if reference is not None:
            return [self.vault(reference.partition(":")[0])]
        tried = [attempt(name, partial(self.vault, name)) for name in self._vaulted()]
        return [done.value for done in tried if done.value is not None]

    def verify(self, backup_id: str | None = None, reference: str | None = None) -> list[Result]:
        """Check one backup, those of a dataset or a store, or all; PartialFailure with the report if any is damaged.

        The results are named by the backups' ids; `artifacts` name the dataset.
        """
        if backup_id is not None:
            return [self._verify_one(backup_id, reference)]
        records = self.backups(reference)
        attempts = attempt_all([(r.backup_id, partial(self._verify, r)) for r in records])
        report = []
        for record, done in zip(records, attempts, strict=True):
            dataset = f"{record.store}:{record.source}"
            result = Result(name=record.backup_id, execution_time=done.seconds, artifacts={"dataset": dataset})
            report.append(result.fail(done.error) if done.error else result)
        for vault in self._vaults(reference):
            for backup, why in vault.damaged().items():
                report.append(Result(name=backup).fail(IntegrityError(why)))
        raise_if_any_failed(report, "verification")
        return report

    def _verify(self, record: BackupRecord) -> bool:
        return self.vault(record.store).verify_backup(record.backup_id)

    def _verify_one(self, backup_id: str, reference: str | None) -> Result:
        """By its id, so that one whose manifest is damaged, and which is in no list, is told as what it is."""
        vaults = self._vaults(reference)
        for vault in vaults:
            done = attempt(backup_id, partial(vault.verify_backup, backup_id))
            if not isinstance(done.error, BackupNotFoundError):
                result = Result(name=backup_id, execution_time=done.seconds)
                if done.error is not None:
                    return result.fail(done.error).raise_if_failed()
                record = next(r for r in vault.list_backups() if r.backup_id == backup_id)
                result.artifacts["dataset"] = f"{record.store}:{record.source}"
                return result
        known = [record.backup_id for vault in vaults for record in vault.list_backups()]
        raise BackupNotFoundError(
            f"There is no backup {backup_id!r}.", cure=known_names(backup_id, known), resource=backup_id
        )

    def restore(self, reference: str, backup_id: str | None = None, *, into: str | None = None) -> bool:
        """Put a backup, the newest unless one is named, in the dataset's place; what was there is backed up first.

        Parameters
        ----------
        into : str, optional
            Put it there, a `store:name`, and leave the dataset as it is.
        """
        _, vault, name = self._backed(reference)
        if into is None:
            return vault.restore_data(name, backup_id)
        self.dataset(into)
        return bool(cast(Any, vault).restore_data(name, backup_id, into=into))
