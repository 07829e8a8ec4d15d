"""Workspace: a folder with its settings, data and backups, and all that a door asks of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from framework import registry
from framework.attempt import attempt, attempt_all
from framework.errors import BackupNotFoundError, OptionError, UnknownNameError, known_names
from framework.factory import DataFactory
from framework.interfaces import BackupRecord, Description
from framework.results import Result, raise_if_any_failed
from framework.settings import as_settings
from framework.store import Store
from framework.vault import Vault

if TYPE_CHECKING:
    import pandas as pd

Told = Callable[[Result], None]


class Workspace:
    """A folder with `millpond.yaml`; without one, the current folder. Relative paths start there.

    Parameters
    ----------
    folder : path, optional
        Found from the current folder unless given.
    config : object, optional
        Settings, or any object with attributes of their names.
    logger : logging.Logger, optional
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        config: object | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.settings = as_settings(config, workspace=folder)
        self.logger = logger
        self.factory = DataFactory(self.settings, logger)

    # ------------------------------------------------------------------ data

    def store(self, name: str) -> Store:
        """The store of that type or configured name."""
        return self.factory.create_store(name, role="saver" if name in self.factory.list_data_savers() else "source")

    def stores(self) -> list[dict[str, Any]]:
        """What stores there are: name, type, roles, what they are, whether what they need is installed."""
        rows = []
        for entry in registry.entries():
            if entry.kind == "store":
                rows.append(self._row(entry.name, entry))
        for name, instance in self.settings.stores.items():
            tried = attempt(name, partial(registry.find, "store", str(instance.get("type"))))
            rows.append(self._row(name, tried.value) if tried.value else {"store": name, "ready": str(tried.error)})
        return rows

    def _row(self, name: str, entry: registry.Entry) -> dict[str, Any]:
        tried = attempt(name, entry.load)
        ready = "yes" if tried else str(tried.error)
        return {
            "store": name,
            "type": entry.name,
            "roles": ", ".join(entry.roles),
            "what": entry.summary,
            "ready": ready,
        }

    def dataset(self, reference: str) -> tuple[Store, str]:
        """The store and the name that `store:name` means.

        Raises
        ------
        OptionError
            For one that names no store.
        """
        kind, colon, name = reference.partition(":")
        if not colon or not name:
            stores = [*self.factory.list_data_sources(), *self.settings.stores]
            raise OptionError(
                f"{reference!r} names no dataset.",
                cure=f"Write store:name; stores: {', '.join(stores)}.",
                resource=reference,
            )
        return self.store(kind), name

    def readable(self, reference: str) -> tuple[Store, str]:
        """As `dataset`; and text without a colon is the path of a file."""
        if ":" in reference:
            return self.dataset(reference)
        path = Path(reference)
        kinds = {".csv": "csv", ".parquet": "parquet"}
        if path.suffix not in kinds:
            raise OptionError(
                f"{reference!r} is neither store:name nor a file that can be read.",
                cure=f"Files end with {', '.join(kinds)}.",
                resource=reference,
            )
        beside = DataFactory(as_settings(self.settings, FS_DATA=str(path.absolute().parent)), self.logger)
        return beside.create_store(kinds[path.suffix]), path.name

    def datasets(self, store: str | None = None) -> list[str]:
        """All datasets of a store, or of all stores that can be used, as `store:name`."""
        names = [store] if store is not None else [*self.factory.list_data_sources(), *self.settings.stores]
        answer = []
        for name in names:
            if store is not None or self._in_use(name):
                answer += [f"{name}:{dataset}" for dataset in self.store(name).list_sources()]
        return answer

    def _in_use(self, name: str) -> bool:
        """Whether looking into it starts nothing, waits for nothing and fails of nothing."""
        made = attempt(name, partial(self.store, name))
        return made.value is not None and made.value.dormant is False and made.value.health_check()

    def head(self, reference: str, rows: int = 10) -> pd.DataFrame:
        """The first rows of a dataset."""
        store, name = self.readable(reference)
        return store.get_data(name).head(rows)

    def describe(self, reference: str, *, fingerprint: bool = False) -> tuple[Description, str | None]:
        """What is known of a dataset; with its fingerprint when that is asked for."""
        store, name = self.readable(reference)
        return store.describe(name), store.fingerprint(name) if fingerprint else None

    def remove(self, reference: str) -> bool:
        """Delete a dataset; its backups stay."""
        store, name = self.dataset(reference)
        return store.delete_data(name)

    # ------------------------------------------------------------------ runs

    def scrape(self, name: str, to: str, sources: Sequence[str] = (), **options: Any) -> bool:
        """Let a scraper save what it reads to a store; True, or PartialFailure with the report."""
        scraper, saver = self.factory.create_scraper(name, **options), self.store(to)
        if sources:
            return bool(cast(Any, scraper).scrape_data(saver, sources=list(sources)))
        return scraper.scrape_data(saver)

    def calculate(
        self,
        name: str,
        source: str,
        to: str,
        sources: Sequence[str] = (),
        *,
        on_done: Told | None = None,
        **options: Any,
    ) -> list[Result]:
        """Let a calculator read from one store and save to another, with backup; PartialFailure if any failed."""
        calculator = cast(Any, self.factory.create_calculator(name, **options))
        saver = self.store(to)
        results: list[Result] = calculator.run_complete_calculation(
            self.store(source), saver, saver.vault, list(sources) or None, on_done=on_done
        )
        raise_if_any_failed(results, f"calculation {name}")
        return results

    # ------------------------------------------------------------------ backups

    def vault(self, store: str) -> Vault:
        """The vault over a store."""
        return cast(Vault, self.factory.create_data_backup(store))

    def backup(self, reference: str) -> str:
        """Back up one dataset: the backup's id. DatasetNotFoundError when there is nothing of that name."""
        store, name = self._backed(reference)
        done, backup_id = cast(Vault, store.vault).backup_data(name)
        if not done or backup_id is None:
            raise store.unknown(store.canonical(name))
        return backup_id

    def _backed(self, reference: str) -> tuple[Store, str]:
        store, name = self.dataset(reference)
        if store.vault is None:
            raise UnknownNameError(
                f"The {store.name} store is never backed up.",
                cure=f"Stores with backups: {', '.join(self.factory.list_data_backup())}.",
            )
        return store, name

    def backup_all(self, store: str | None = None) -> list[tuple[str, str]]:
        """Back up every dataset of a store, or of all: `[(store:name, id), ...]`; PartialFailure after trying all."""
        names = [store] if store is not None else [name for name in self._vaulted() if self._in_use(name)]
        vaults = {name: self.vault(name) for name in names}
        attempts = attempt_all([(name, vault.backup_all) for name, vault in vaults.items()])
        report = []
        for done in attempts:
            result = Result(name=done.name, execution_time=done.seconds)
            report.append(result.fail(done.error) if done.error else result)
        raise_if_any_failed(report, "backup of all")
        return [(f"{done.name}:{source}", key) for done in attempts for source, key in done.value or ()]

    def _vaulted(self) -> list[str]:
        return [*self.factory.list_data_backup(), *self.settings.stores]

    def backups(self, reference: str | None = None) -> list[BackupRecord]:
        """Finished backups, newest last: of a dataset, of a store (`store:`), or of all."""
        if reference is not None and not reference.endswith(":"):
            store, name = self._backed(reference)
            return cast(Vault, store.vault).list_backups(name)
        names = [reference[:-1]] if reference else self._vaulted()
        usable = names if reference else [name for name in names if attempt(name, partial(self.vault, name))]
        found = [record for name in usable for record in self.vault(name).list_backups()]
        return sorted(found, key=lambda record: (record.created_at, record.backup_id))

    def verify(self, backup_id: str | None = None, reference: str | None = None) -> list[Result]:
        """Check one backup, those of a dataset, or all; PartialFailure with the report if any is damaged."""
        records = self.backups(reference)
        chosen = [record for record in records if backup_id in (None, record.backup_id)]
        if backup_id is not None and not chosen:
            known = [record.backup_id for record in records]
            raise BackupNotFoundError(f"There is no backup {backup_id!r}.", cure=known_names(backup_id, known))
        attempts = attempt_all([(r.backup_id, partial(self._verify, r)) for r in chosen])
        report = []
        for record, done in zip(chosen, attempts, strict=True):
            result = Result(name=f"{record.store}:{record.source} {record.backup_id}", execution_time=done.seconds)
            report.append(result.fail(done.error) if done.error else result)
        raise_if_any_failed(report, "verification")
        return report

    def _verify(self, record: BackupRecord) -> bool:
        return self.vault(record.store).verify_backup(record.backup_id)

    def restore(self, reference: str, backup_id: str | None = None) -> bool:
        """Put a backup, the newest unless one is named, in the dataset's place; what was there is backed up first."""
        store, name = self._backed(reference)
        return cast(Vault, store.vault).restore_data(name, backup_id)

    # ------------------------------------------------------------------ health

    def health(self, stores: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Whether each store that can be had can be used."""
        rows = []
        for name in stores or [*self.factory.list_data_sources(), *self.settings.stores]:
            made = attempt(name, partial(self.store, name))
            if made.value is None:
                if stores:
                    raise made.error or OptionError(name)
                rows.append({"store": name, "state": "not installed", "why": str(made.error)})
            else:
                error = made.value.why_unusable()
                rows.append({"store": name, "state": "down" if error else "up", "why": str(error or "")})
        return rows

    # ------------------------------------------------------------------ the embedded server

    def server(self) -> Any:
        """The embedded PostgreSQL of this workspace; OptionError when the settings name a server elsewhere."""
        if self.settings.database is not None:
            raise OptionError(
                f"The settings name a server ({self.settings.database.shown}), which is not ours to manage.",
                cure="Unset DB_SERVER and DB_URL to use the embedded one.",
            )
        server = registry.find("server", "postgres_embedded").load()
        return server(self.settings.own_folder / "postgres", self.logger, database=self.settings.DB_NAME)
