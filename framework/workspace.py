"""Workspace: a folder with its settings, data and backups, and all that a door asks of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from framework import registry
from framework.attempt import attempt, attempt_all
from framework.errors import (
    BackupNotFoundError,
    DatasetNotFoundError,
    IntegrityError,
    MissingExtraError,
    OptionError,
    PartialFailure,
    UnknownNameError,
    known_names,
    nearest,
)
from framework.factory import DataFactory
from framework.interfaces import BackupRecord, Description, IDataSaver
from framework.results import Result, raise_if_any_failed
from framework.settings import as_settings
from framework.store import Store
from framework.vault import Vault

if TYPE_CHECKING:
    import pandas as pd

Told = Callable[[Result], None]
LeftOut = Callable[[str, str], None]
FILES = {".csv": "csv", ".parquet": "parquet"}


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
        self._check_store(name, self._names())
        return self.factory.create_store(name, role="saver" if name in self.factory.list_data_savers() else "source")

    def stores(self) -> list[dict[str, Any]]:
        """What stores there are: name, type, roles, what they are, whether they can be had, else why not."""
        rows = [self._row(entry.name, entry) for entry in registry.entries() if entry.kind == "store"]
        for name, instance in self.settings.stores.items():
            kind = str(instance.get("type"))
            tried = attempt(name, partial(registry.find, "store", kind))
            rows.append(self._row(name, tried.value) if tried.value else _unready(name, kind, tried.error))
        return rows

    def _row(self, name: str, entry: registry.Entry) -> dict[str, Any]:
        row = _unready(name, entry.name, attempt(name, entry.load).error)
        return {**row, "roles": list(entry.roles), "what": entry.summary}

    def dataset(self, reference: str) -> tuple[Store, str]:
        """The store and the name that `store:name` means.

        Raises
        ------
        OptionError
            For one that names no store.
        """
        kind, colon, name = reference.partition(":")
        if not (kind and colon and name):
            raise OptionError(
                f"{reference!r} names no dataset.",
                cure=f"Write store:name; stores: {', '.join(self._names())}.",
                resource=reference,
            )
        return self.store(kind), name

    def _names(self) -> list[str]:
        return [*self.factory.list_data_sources(), *self.settings.stores]

    def _check_store(self, name: str, known: Sequence[str]) -> None:
        if name not in known:
            raise UnknownNameError(f"There is no store {name!r}.", cure=known_names(name, known), resource=name)

    def readable(self, reference: str) -> tuple[Store, str]:
        """As `dataset`; and text without a colon is the path of a file."""
        if ":" in reference:
            return self.dataset(reference)
        path = Path(reference).expanduser()
        if path.suffix not in FILES:
            raise OptionError(
                f"{reference!r} is neither store:name nor a file that can be read.",
                cure=f"Stores: {', '.join(self._names())}; files end with {' or '.join(FILES)}.",
                resource=reference,
            )
        if not path.is_file():
            close = nearest(path.name, _files_in(path.parent))
            raise DatasetNotFoundError(
                f"There is no file {reference!r}.",
                cure=f"Did you mean {str(path.with_name(close))!r}?" if close else None,
                resource=reference,
            )
        path, own = path.resolve(), self.settings.data_folder.resolve()
        if path.is_relative_to(own):  # its record, if it is ours, lies there
            return self.store(FILES[path.suffix]), path.relative_to(own).as_posix()
        beside = DataFactory(as_settings(self.settings, FS_DATA=str(path.parent)), self.logger)
        return beside.create_store(FILES[path.suffix]), path.name

    def datasets(self, store: str | None = None, *, on_left_out: LeftOut | None = None) -> list[str]:
        """All datasets, as `store:name`, of a store, or of all stores that can be looked into.

        Parameters
        ----------
        store : str, optional
        on_left_out : callable, optional
            Told of each store that is not looked into, and why: what it needs is not installed, its embedded server
            is stopped, or it is down.
        """
        if store is not None:
            return [f"{store}:{dataset}" for dataset in self.store(store).list_sources()]
        answer = []
        for row in self.health(wake=False):
            if row["state"] == "up":
                answer += self.datasets(row["store"])
            elif on_left_out is not None and row["state"] != "unused":
                on_left_out(row["store"], row["state"])
        return answer

    def head(self, reference: str, rows: int = 10, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The first rows of a dataset; ColumnNotFoundError for a column that it has not."""
        store, name = self.readable(reference)
        return store.get_data(name, columns=list(columns) if columns else None).head(rows)

    def describe(self, reference: str, *, fingerprint: bool = False) -> tuple[Description, str | None]:
        """What is known of a dataset; with its fingerprint when that is asked for."""
        store, name = self.readable(reference)
        return store.describe(name), store.fingerprint(name) if fingerprint else None

    def remove(self, reference: str) -> bool:
        """Delete a dataset; its backups stay."""
        store, name = self.dataset(reference)
        return store.delete_data(name)

    # ------------------------------------------------------------------ runs

    def scrape(self, name: str, to: str, sources: Sequence[str] = (), **options: Any) -> dict[str, int]:
        """Let a scraper save what it reads to a store: each dataset and its rows; PartialFailure with the report."""
        scraper, saver = self.factory.create_scraper(name, **options), _Noting(self.store(to))
        if sources:
            cast(Any, scraper).scrape_data(saver, sources=list(sources))
        else:
            scraper.scrape_data(saver)
        return {f"{to}:{dataset}": rows for dataset, rows in saver.saved.items()}

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
        """Let a calculator read from one store and save to another, with backup.

        Raises
        ------
        DatasetNotFoundError
            One of `sources` is not there; nothing was run.
        PartialFailure
            Some failed; the others are saved.
        """
        calculator = cast(Any, self.factory.create_calculator(name, **options))
        reader, saver = self.store(source), self.store(to)
        for wanted in sources:
            prefix = getattr(calculator, "reads", "")
            dataset = reader.canonical(prefix + wanted.removeprefix(prefix))
            if not reader.exists(dataset):
                raise reader.unknown(dataset)
        results: list[Result] = calculator.run_complete_calculation(
            reader, saver, saver.vault, list(sources) or None, on_done=on_done
        )
        raise_if_any_failed(results, f"calculation {name}")
        return results

    # ------------------------------------------------------------------ backups

    def vault(self, store: str) -> Vault:
        """The vault over a store."""
        known = self._vaulted()
        if store not in known and store in self._names():
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

    def restore(self, reference: str, backup_id: str | None = None) -> bool:
        """Put a backup, the newest unless one is named, in the dataset's place; what was there is backed up first."""
        _, vault, name = self._backed(reference)
        return vault.restore_data(name, backup_id)

    # ------------------------------------------------------------------ health

    def health(self, stores: Sequence[str] = (), *, wake: bool = True) -> list[dict[str, Any]]:
        """The state of each store, and why it is not up.

        Parameters
        ----------
        stores : sequence of str
            All unless given.
        wake : bool
            Whether a stopped embedded server counts as up, since using it starts it. Otherwise it is "stopped", or
            "unused" when it never ran, and nobody is asked.

        Returns
        -------
        list of dict
            `store`; `state`: up, down or not installed, and without `wake` stopped or unused; `why`: None when up.
        """
        return [self._health(name, wake=wake, named=bool(stores)) for name in stores or self._names()]

    def _health(self, name: str, *, wake: bool, named: bool) -> dict[str, Any]:
        made = attempt(name, partial(self.store, name))
        store, error = made.value, made.error
        if store is not None:
            if not wake and attempt(name, lambda: store.dormant).value:
                ran = self.server().status()["version"] is not None
                return {"store": name, "state": "stopped" if ran else "unused", "why": None}
            error = store.why_unusable()
        elif named and error is not None:
            raise error
        lacks = isinstance(error, MissingExtraError) and name not in self.settings.stores
        state = "not installed" if lacks else "down" if error is not None else "up"
        return {"store": name, "state": state, "why": None if error is None else str(error)}

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


class _Noting(IDataSaver):
    """A saver that remembers what was saved through it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.saved: dict[str, int] = {}

    def save_data(self, data: pd.DataFrame, destination: str, **options: Any) -> bool:
        saved = self.store.save_data(data, destination, **options)
        self.saved[destination] = len(data)
        return saved

    def save_with_backup(self, data: pd.DataFrame, destination: str, **options: Any) -> bool:
        saved = self.store.save_with_backup(data, destination, **options)
        self.saved[destination] = len(data)
        return saved

    def health_check(self) -> bool:
        return self.store.health_check()


def _unready(name: str, kind: str, error: Exception | None) -> dict[str, Any]:
    why = None if error is None else str(error)
    return {"store": name, "type": kind, "roles": [], "what": "", "ready": error is None, "why": why}


def _files_in(folder: Path) -> list[str]:
    tried = attempt(str(folder), lambda: [path.name for path in folder.iterdir() if path.suffix in FILES])
    return tried.value or []
