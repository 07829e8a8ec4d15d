"""How every store is written to: under the writer's lock, once, with a backup before if that is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from framework.attempt import attempt
from framework.errors import ConfigurationException, DatasetExistsError, OptionError, StorageError
from framework.interfaces import IDataSaver, Mode
from framework.store.keeping import Keeping
from framework.store.reading import Reading
from framework.store.records import Save

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from framework.schema import FrameSchema

LONGEST_SAVE_ID = 200


class Store(Reading, Keeping, IDataSaver):
    """A place that holds named tables.

    Parameters
    ----------
    settings : Settings
    name : str, optional
        The instance's own name; its type unless given.
    logger : logging.Logger, optional
    vault : IDataBackup, optional
        Where `save_with_backup` puts what it replaces; the factory gives one.
    **options
        Those of the class's `Options`; an unknown one is an OptionError.
    """

    def save_data(
        self,
        data: pd.DataFrame,
        destination: str,
        *,
        mode: Mode = "replace",
        keys: Sequence[Any] | str | None = None,
        lossy: bool = False,
        save_id: str | None = None,
    ) -> bool:
        """Commit `data` under `destination` and answer True, or raise and leave what was there.

        Parameters
        ----------
        data : pandas.DataFrame
        destination : str
        mode : {"replace", "append", "upsert"}
            Append continues a RangeIndex. Upsert replaces the rows whose keys are there already and adds the others at
            the end. In both, columns that are new are added, and types grow where every value stays what it is.
        keys : list of labels, optional
            What upsert tells rows apart by; the named index or DatetimeIndex unless given.
        lossy : bool
            Keep as text what could not be given back exactly, instead of FidelityError.
        save_id : str, optional
            A name for this save: tried again under the same one, it adds nothing. A replace forgets the ids of the
            saves whose rows it takes away, but not its own.

        Raises
        ------
        DatasetNameError, FidelityError, SchemaError, KeysError, LockedError, StorageError, OutcomeUnknownError
        """
        name, save, commit = self._prepared(data, destination, mode, keys, lossy=lossy, save_id=save_id)
        with self.locked(name):
            return self._saved_before(name, save) or commit()

    def _prepared(
        self,
        data: Any,
        destination: str,
        mode: Mode,
        keys: Sequence[Any] | str | None,
        *,
        lossy: bool,
        save_id: str | None,
    ) -> tuple[str, Save, Callable[[], bool]]:
        """The dataset's name, and what commits the save under its lock; all that can be refused before is."""
        from framework.schema import encode

        name = self.canonical(destination)
        if mode not in ("replace", "append", "upsert"):
            raise OptionError(f"mode={mode!r} is not a way to save.", cure="Known: replace, append, upsert.")
        if keys is not None and mode != "upsert":
            raise OptionError("keys= goes with mode='upsert'.")
        if save_id is not None and (not isinstance(save_id, str) or not 0 < len(save_id) <= LONGEST_SAVE_ID):
            raise OptionError(f"save_id= is text of 1 to {LONGEST_SAVE_ID} characters.")
        table, schema = encode(data, lossy=lossy)
        labels = None if keys is None else (keys,) if isinstance(keys, str) else _labels(keys)
        save = Save(mode, labels, save_id)

        def commit() -> bool:
            self._write(name, table, schema, save)
            self.logger.info("%s:%s saved, %d rows (%s)", self.name, name, table.num_rows, mode)
            return True

        return name, save, commit

    def _saved_before(self, name: str, save: Save) -> bool:
        """Whether that very save has been made."""
        if save.save_id is None or save.save_id not in self._save_ids(name):
            return False
        self.logger.info("%s:%s holds the save %s already", self.name, name, save.save_id)
        return True

    def _merged(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> tuple[pa.Table, FrameSchema]:
        """All the rows that there are after the save."""
        from framework.schema import ALL, append, keys_of, upsert

        if save.mode == "replace" or not self.exists(name):
            if save.mode == "upsert":
                keys_of(table, schema, save.keys, name)
            return table, schema
        there = self._read(name, ALL)
        if save.mode == "append":
            return append(there, (table, schema), f"{self.name}:{name}")
        return upsert(there, (table, schema), save.keys, f"{self.name}:{name}")

    def save_with_backup(
        self,
        data: pd.DataFrame,
        destination: str,
        *,
        mode: Mode = "replace",
        keys: Sequence[Any] | str | None = None,
        lossy: bool = False,
        save_id: str | None = None,
    ) -> bool:
        """A verified backup of what is there, then the save, under one lock; no backup, no save.

        When nothing of that name is there yet it saves, and says so in the log at INFO.
        """
        if self.vault is None:
            raise ConfigurationException(
                f"The {self.name} store has no vault to back up to.", cure="Create it with DataFactory, or pass vault=."
            )
        name, save, commit = self._prepared(data, destination, mode, keys, lossy=lossy, save_id=save_id)
        with self.locked(name):
            if self._saved_before(name, save):
                return True
            if not self.exists(name):
                self.logger.info("%s:%s is new: there is nothing to back up", self.name, name)
            elif not self.vault.backup_data(name)[0]:
                raise StorageError(f"{self.name}:{name} was not saved, for no backup of it was made.", resource=name)
            return commit()

    def delete_data(self, name: str) -> bool:
        """Gone when it returns True; DatasetNotFoundError if there was none."""
        name = self.canonical(name)
        with self.locked(name):
            if not self.exists(name):
                raise self.unknown(name)
            self._delete(name)
        self.logger.info("%s:%s deleted", self.name, name)
        return True

    def rename_data(self, old: str, new: str) -> bool:
        """The dataset `old` is called `new` when it returns True; its backups keep the name under which they were made.

        Raises
        ------
        DatasetNotFoundError, DatasetExistsError
        """
        old, new = self.canonical(old), self.canonical(new)
        first, second = sorted((old, new))
        with self.locked(first), self.locked(second):
            if not self.exists(old):
                raise self.unknown(old)
            if self.exists(new):
                raise DatasetExistsError(
                    f"The {self.name} store has a dataset {new!r} already.",
                    cure="Delete it first, or choose another name.",
                    resource=f"{self.name}:{new}",
                )
            self._rename(old, new)
        self.logger.info("%s:%s is now called %s", self.name, old, new)
        return True

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the writer's lock of a dataset; who holds it already goes on."""
        held: set[str] = self._holding.__dict__.setdefault(f"names of {os.getpid()}", set())  # a fork holds nothing
        if name in held:
            yield
            return
        given = self.options.lock_timeout
        with self._hold(name, self.settings.LOCK_TIMEOUT if given is None else given):
            held.add(name)
            try:
                yield
            finally:
                held.discard(name)

    # ------------------------------------------------------------------ the rest

    def health_check(self) -> bool:
        """True if it can be used; the reason why not goes to the log."""
        error = self.why_unusable()
        if error is not None:
            self.logger.warning("the %s store cannot be used: %s", self.name, error)
        return error is None

    def why_unusable(self) -> Exception | None:
        """The error that using it would give; None when it can be used."""
        return attempt(f"health of {self.name}", self._probe).error

    @property
    def dormant(self) -> bool:
        """Whether looking into it would first have to start a server."""
        return False


def _labels(keys: Any) -> tuple[Any, ...]:
    if not isinstance(keys, Iterable) or not all(isinstance(key, Hashable) for key in keys):
        raise OptionError(f"keys= takes a list of labels, not {keys!r}.", cure="keys=['id']")
    return tuple(keys)
