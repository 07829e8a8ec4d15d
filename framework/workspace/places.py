"""What there is, and what a reference names: stores and their health, datasets, files."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from framework import registry
from framework.attempt import attempt
from framework.errors import (
    DatasetNotFoundError,
    MissingExtraError,
    OptionError,
    UnknownNameError,
    known_names,
    nearest,
)
from framework.factory import DataFactory
from framework.files import is_name
from framework.settings import as_settings
from framework.store import Store
from framework.workspace.files import SUFFIXES, File

Place = tuple[Store, str] | File
LeftOut = Callable[[str, str], None]


class Places:
    """The settings' stores, and files beside them; see `Workspace` for the parameters."""

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

    def store(self, name: str) -> Store:
        """The store of that type or configured name."""
        self._check_store(name, self.names())
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
                cure=f"Write store:name; stores: {', '.join(self.names())}.",
                resource=reference,
            )
        return self.store(kind), name

    def names(self) -> list[str]:
        """All stores: the types, then the configured instances."""
        return [*self.factory.list_data_sources(), *self.settings.stores]

    def _check_store(self, name: str, known: Sequence[str]) -> None:
        if name not in known:
            raise UnknownNameError(f"There is no store {name!r}.", cure=known_names(name, known), resource=name)

    def readable(self, reference: str) -> Place:
        """As `dataset`; and text without a colon is the path of a file that is there."""
        if ":" in reference:
            return self.dataset(reference)
        file = self._file(reference)
        if not file.exists():
            close = nearest(file.path.name, _files_in(file.path.parent))
            raise DatasetNotFoundError(
                f"There is no file {reference!r}.",
                cure=f"Did you mean {str(file.path.with_name(close))!r}?" if close else None,
                resource=reference,
            )
        return self._recorded(file.path.resolve()) or file

    def _file(self, reference: str) -> File:
        path = Path(reference).expanduser()
        if path.suffix not in SUFFIXES:
            raise OptionError(
                f"{reference!r} is neither store:name nor a file that can be read.",
                cure=f"Stores: {', '.join(self.names())}; files end with {' or '.join(SUFFIXES)}.",
                resource=reference,
            )
        return File(path)

    def _recorded(self, path: Path) -> tuple[Store, str] | None:
        """The dataset that the file is to a store over its folder, with what that store knows of it, if it is one."""
        own = self.settings.data_folder.resolve()
        inside = path.is_relative_to(own)
        name = path.relative_to(own).as_posix() if inside else path.name
        if not is_name(name) or not is_name(name.removesuffix(path.suffix)):
            return None
        if inside:
            return self.store(SUFFIXES[path.suffix]), name
        beside = DataFactory(as_settings(self.settings, FS_DATA=str(path.parent)), self.logger)
        return beside.create_store(SUFFIXES[path.suffix]), name

    def _target(self, reference: str, source: Place) -> Place:
        if ":" not in reference:
            file = self._file(reference)
            inside = file.path.resolve().is_relative_to(self.settings.data_folder.resolve())
            return (self._recorded(file.path.resolve()) if inside else None) or file
        if not reference.endswith(":"):
            return self.dataset(reference)
        return self.store(reference[:-1]), source.path.stem if isinstance(source, File) else source[0].canonical(
            source[1]
        )

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

    def at_hand(self, store: str) -> list[str]:
        """The datasets of a store that answers at once, as `store:name`; else none."""
        instance = self.settings.stores.get(store, {"type": store})
        kind, embedded = instance.get("type"), self.settings.database is None and "url" not in instance
        slow = kind == "arctic" or (kind == "postgres" and not embedded)
        return [] if slow or self._resting(store) else self.datasets(store)

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
        return [self._health(name, wake=wake, named=bool(stores)) for name in stores or self.names()]

    def _health(self, name: str, *, wake: bool, named: bool) -> dict[str, Any]:
        resting = None if wake else attempt(name, partial(self._resting, name)).value
        if resting is not None:
            return {"store": name, "state": resting, "why": None}
        made = attempt(name, partial(self.store, name))
        store, error = made.value, made.error
        if store is not None:
            error = store.why_unusable()
        elif named and error is not None:
            raise error
        lacks = isinstance(error, MissingExtraError) and name not in self.settings.stores
        state = "not installed" if lacks else "down" if error is not None else "up"
        return {"store": name, "state": state, "why": None if error is None else str(error)}

    def _resting(self, name: str) -> str | None:
        """What state a store is in that nobody has to be asked for, told without loading what would ask.

        "stopped" or "unused" if using it would start the embedded server, or make the first of its files; None if not.
        """
        settings = self.settings
        instance = settings.stores.get(name, {"type": name})
        if instance.get("type") == "postgres" and not instance.get("url") and settings.database is None:
            status = self.server().status()
            return None if status["running"] else "stopped" if status["version"] else "unused"
        if instance.get("type") == "arctic" and not instance.get("uri") and settings.ARCTIC_URI is None:
            made = settings.ARCTIC_HOST not in (None, "localhost") or (settings.own_folder / "arctic").exists()
            return None if made else "unused"
        return None

    def server(self) -> Any:
        """The embedded PostgreSQL of this workspace; OptionError when the settings name a server elsewhere."""
        if self.settings.database is not None:
            raise OptionError(
                f"The settings name a server ({self.settings.database.shown}), which is not ours to manage.",
                cure="Unset DB_SERVER and DB_URL to use the embedded one.",
            )
        server = registry.find("server", "postgres_embedded").load()
        return server(self.settings.own_folder / "postgres", self.logger, database=self.settings.DB_NAME)


def _unready(name: str, kind: str, error: Exception | None) -> dict[str, Any]:
    why = None if error is None else str(error)
    return {"store": name, "type": kind, "roles": [], "what": "", "ready": error is None, "why": why}


def _files_in(folder: Path) -> list[str]:
    tried = attempt(str(folder), lambda: [path.name for path in folder.iterdir() if path.suffix in SUFFIXES])
    return tried.value or []
