"""DataFactory: components by their names, made when asked for and connected when used."""

from __future__ import annotations

import builtins
import inspect
import logging
from pathlib import Path
from typing import Any, cast

from framework import registry
from framework.errors import OptionError, UnknownNameError, known_names
from framework.interfaces import ICalculator, IDataBackup, IDataSaver, IDataSource, IScraper
from framework.settings import Settings, as_settings
from framework.store import Store
from framework.vault import LocalPlace, Place, RemotePlace, Vault


class DataFactory:
    """Makes stores, vaults, scrapers and calculators by name.

    Parameters
    ----------
    config : object, optional
        Settings, or any object with attributes of their names; what it lacks comes from the environment, `.env`,
        `millpond.yaml` and the defaults.
    logger : logging.Logger, optional

    Examples
    --------
    >>> factory = DataFactory()
    >>> factory.create_data_saver("csv").save_data(frame, "prices")
    True
    """

    def __init__(self, config: object | None = None, logger: logging.Logger | None = None) -> None:
        self.settings: Settings = as_settings(config)
        self.logger = logger

    def create_data_source(self, type: str, name: str | None = None, **options: Any) -> IDataSource:
        """The store of that type, or the configured instance of that name, to read from.

        Raises
        ------
        UnknownNameError, OptionError, MissingExtraError
        """
        return self.create_store(type, name, role="source", **options)

    def create_data_saver(self, type: str, name: str | None = None, **options: Any) -> IDataSaver:
        """The store of that type, or the configured instance of that name, to write to."""
        return self.create_store(type, name, role="saver", **options)

    def create_data_backup(self, type: str, name: str | None = None, **options: Any) -> IDataBackup:
        """The vault over the store of that type, or over the configured instance of that name."""
        store = self.create_store(type, name, role="backup", **options)
        return cast(Vault, store.vault)

    def create_store(self, type: str, name: str | None = None, *, role: str = "source", **options: Any) -> Store:
        """The store itself: source and saver in one, its vault in `vault` when it has one."""
        if not isinstance(type, str):
            raise OptionError(f"A store is named by text, not {builtins.type(type).__name__}.")
        instance = self.settings.stores.get(type)
        if instance is not None:
            given = dict(instance)
            kind = given.pop("type", None)
            unfit = sorted({"name", "role", "logger", "vault"} & set(given))
            if unfit:
                raise OptionError(f"The store {type!r} in millpond.yaml has no option {unfit[0]!r}.")
            if not isinstance(kind, str):
                raise OptionError(
                    f"The store {type!r} in millpond.yaml has no type.", cure="Add type: csv, or another."
                )
            type, name, options = kind, name or type, {**given, **options}
        unfit = sorted({"logger", "vault"} & set(options))
        if unfit:
            raise OptionError(f"The {type} store has no option {unfit[0]!r}.")
        entry = self._find(type, role)
        store = cast(Store, entry.load()(self.settings, name=name, logger=self.logger, **options))
        if "backup" in entry.roles:
            store.vault = self._vault(store)
        return store

    def _vault(self, store: Store) -> Vault:
        settings, where = self.settings, self.settings.backup_place
        place: Place = (
            LocalPlace(where)
            if isinstance(where, Path)
            else RemotePlace(where, options=settings.backup_options, scratch=settings.own_folder / "vault")
        )
        return Vault(store, place, keep=settings.BACKUP_KEEP, stores=self._saver, logger=self.logger)

    def _saver(self, name: str) -> Store:
        return self.create_store(name, role="saver")

    def _find(self, type: str, role: str) -> registry.Entry:
        known = [*registry.named("store", role), *self.settings.stores]
        if type not in known:
            raise UnknownNameError(
                f"There is no store {type!r} that is a {role}.", cure=known_names(str(type), known), resource=str(type)
            )
        return registry.find("store", type, role)

    def create_scraper(self, name: str, **options: Any) -> IScraper:
        """The scraper of that name."""
        return cast(IScraper, self._made("scraper", name, options))

    def create_calculator(self, name: str, **options: Any) -> ICalculator:
        """The calculator of that name."""
        return cast(ICalculator, self._made("calculator", name, options))

    def _made(self, kind: str, name: str, options: dict[str, Any]) -> Any:
        component = registry.find(kind, name).load()
        known = inspect.signature(component).parameters
        if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values()):
            for option in options:
                if option not in known:
                    raise OptionError(f"The {kind} {name!r} has no option {option!r}.", cure=known_names(option, known))
        return component(self.settings, self.logger, **options)

    def list_data_sources(self) -> list[str]:
        """Types that `create_data_source` takes, whether or not what they need is installed."""
        return registry.named("store", "source")

    def list_data_savers(self) -> list[str]:
        """Types that `create_data_saver` takes."""
        return registry.named("store", "saver")

    def list_data_backup(self) -> list[str]:
        """Types that `create_data_backup` takes; never temp."""
        return registry.named("store", "backup")

    def list_scrapers(self) -> list[str]:
        return registry.named("scraper")

    def list_calculators(self) -> list[str]:
        return registry.named("calculator")
