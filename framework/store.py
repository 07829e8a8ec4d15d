"""What every store shares: the contract, told once. A store adds how it reads, writes and locks.

`get_data` gives the frame that was saved. `save_data` commits or raises and leaves what was there; it never answers
False. A name that does not exist is an error that names what exists; a second writer waits, then LockedError.
"""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framework.attempt import attempt
from framework.errors import (
    ConfigurationException,
    DataException,
    DatasetExistsError,
    DatasetNotFoundError,
    FidelityError,
    OptionError,
    StorageError,
    known_names,
)
from framework.interfaces import Description, IDataBackup, IDataSaver, IDataSource, Mode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection
    from framework.settings import Settings

Where = Sequence[tuple[Any, ...]]
MOST_SAVE_IDS = 50  # that a dataset keeps on record
LONGEST_SAVE_ID = 200


class StoreOptions(BaseModel):
    """The options that every store takes.

    Attributes
    ----------
    time_column : str, optional
        What `start` and `end` apply to when the frame has no DatetimeIndex.
    lock_timeout : float, optional
        Seconds that a writer waits for another; the setting LOCK_TIMEOUT unless given.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    time_column: str | None = None
    lock_timeout: float | None = Field(default=None, ge=0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Export:
    """What a store put into a folder for a backup.

    Attributes
    ----------
    rows : int or None
        None for what cannot be given back as a frame.
    save_ids : tuple of str
        Of the saves that its rows hold.
    """

    media: str
    rows: int | None
    fingerprint: str
    schema: str
    version: int | None
    save_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Save:
    """How a frame is saved.

    Attributes
    ----------
    keys : tuple of labels, optional
        What an upsert tells rows apart by; the index unless given.
    save_id : str, optional
        What goes on record with the save, so that the same one is not made twice.
    held : tuple of str
        Ids of earlier saves that the rows of a replace hold, as those of a backup do.
    """

    mode: Mode = "replace"
    keys: tuple[Any, ...] | None = None
    save_id: str | None = None
    held: tuple[str, ...] = ()

    def ids(self, before: Sequence[str]) -> tuple[str, ...]:
        """The ids to put on record, given those that are: a replace takes their rows away, and so their ids."""
        mine = () if self.save_id is None else (self.save_id,)
        return (*(self.held if self.mode == "replace" else before), *mine)[-MOST_SAVE_IDS:]


class Keeps(Protocol):
    """A store as a vault sees it."""

    name: str

    @property
    def identity(self) -> tuple[str, ...]: ...
    def canonical(self, name: str) -> str: ...
    def exists(self, name: str) -> bool: ...
    def list_sources(self) -> list[str]: ...
    def locked(self, name: str) -> AbstractContextManager[None]: ...
    def export(self, name: str, folder: Path, *, unread: bool = False) -> Export: ...
    def kept(self, name: str, folder: Path, media: str) -> tuple[pa.Table, FrameSchema]: ...
    def adopt(self, name: str, folder: Path, media: str, save_ids: tuple[str, ...] = ()) -> None: ...
    def health_check(self) -> bool: ...


class Store(IDataSource, IDataSaver):
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

    kind: ClassVar[str]
    Options: ClassVar[type[StoreOptions]] = StoreOptions

    def __init__(
        self,
        settings: Settings,
        *,
        name: str | None = None,
        logger: logging.Logger | None = None,
        vault: IDataBackup | None = None,
        **options: Any,
    ) -> None:
        self.settings = settings
        self.name = name or self.kind
        self.logger = logger or logging.getLogger(f"millpond.store.{self.name}")
        self.vault = vault
        self.options = checked_options(self.Options, options, self.kind)
        self._holding = threading.local()

    # ------------------------------------------------------------------ what a store writes itself

    @property
    @abstractmethod
    def identity(self) -> tuple[str, ...]:
        """What tells the place it is: two stores of one identity hold the same tables."""

    @abstractmethod
    def canonical(self, name: str) -> str:
        """The dataset that `name` means; DatasetNameError for one that this store may not hold."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is a dataset of that canonical name."""

    @abstractmethod
    def _hold(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other writers out; LockedError when it takes longer than `timeout` seconds."""

    @abstractmethod
    def _read(self, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        """The columns of `selection.of(schema, name)` with their schema, of one snapshot; DatasetNotFoundError.

        Rows that `selection.pushdown(schema, name)` does not ask for may be left out.
        """

    @abstractmethod
    def _write(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> None:
        """Commit; called with the writer's lock held. What a store cannot add or merge itself, `_merged` does."""

    @abstractmethod
    def _delete(self, name: str) -> None:
        """Remove; called with the writer's lock held, for a dataset that exists."""

    @abstractmethod
    def _rename(self, old: str, new: str) -> None:
        """Give a dataset that exists a name that is free; called with the writer's locks of both held."""

    @abstractmethod
    def _save_ids(self, name: str) -> tuple[str, ...]:
        """Ids of the last saves of a dataset that were given one, oldest first; none for one that is not there."""

    @abstractmethod
    def describe(self, name: str) -> Description:
        """Rows, bytes, schema, saved_at, version, without reading the rows where that can be had."""

    @abstractmethod
    def _probe(self) -> None:
        """Raise if the store cannot be used; reads only, in bounded time."""

    # ------------------------------------------------------------------ reading

    def get_data(
        self,
        source: str,
        *,
        columns: Sequence[Any] | None = None,
        where: Where | None = None,
        start: Any = None,
        end: Any = None,
    ) -> pd.DataFrame:
        """The frame that was saved: values, dtypes, index, column and row order.

        Parameters
        ----------
        source : str
        columns : list of labels, optional
            Only these, in this order; the index always comes.
        where : list of (column, op, value), optional
            Only rows that meet all of them; `op` is one of == != < <= > >= in, not in, is null, not null, the column a
            label or the name of an index level. A missing value meets only `is null`.
        start, end : timestamp or text, optional
            Only rows from `start` to `end`, both inclusive, by the DatetimeIndex or the option `time_column`.

        Returns
        -------
        pandas.DataFrame
            A RangeIndex counts the rows that are given.

        Raises
        ------
        DatasetNotFoundError, ColumnNotFoundError, OptionError
        """
        from framework.schema import decode

        name, selection = self.canonical(source), self._selection(columns, where, start, end)
        table, schema = self._read(name, selection)
        return decode(*selection.exactly(table, schema, name))

    def iter_data(
        self,
        source: str,
        *,
        chunk_rows: int = 100_000,
        columns: Sequence[Any] | None = None,
        where: Where | None = None,
        start: Any = None,
        end: Any = None,
    ) -> Iterator[pd.DataFrame]:
        """The rows of `get_data` in frames of `chunk_rows`, of one snapshot, in memory that does not grow with them.

        A RangeIndex goes on from frame to frame. A dataset without a row gives one empty frame. Until the last frame is
        taken, or the iterator closed, what it reads from stays open.

        Raises
        ------
        DatasetNotFoundError, ColumnNotFoundError, OptionError
        """
        name, selection = self.canonical(source), self._selection(columns, where, start, end)
        if isinstance(chunk_rows, bool) or not hasattr(chunk_rows, "__index__") or chunk_rows < 1:
            raise OptionError(f"chunk_rows={chunk_rows!r} is no number of rows.", cure="Use 1 or more.")
        opened = ExitStack()  # now, so that what cannot be read is an error of this call, and the moment is this one
        schema, pieces = opened.enter_context(self._scan(name, selection))
        selection.tests(schema, name)
        return self._chunks(opened, schema, pieces, selection, name, int(chunk_rows))

    @staticmethod
    def _chunks(
        opened: ExitStack,
        schema: FrameSchema,
        pieces: Iterable[pa.Table],
        selection: Selection,
        name: str,
        rows: int,
    ) -> Iterator[pd.DataFrame]:
        from framework.schema import frames

        with opened:
            yield from frames(schema, pieces, selection, name, rows=rows)

    @contextmanager
    def _scan(self, name: str, selection: Selection) -> Iterator[tuple[FrameSchema, Iterable[pa.Table]]]:
        """As `_read`, in pieces: their common schema and the pieces. A store that can reads bit by bit."""
        table, schema = self._read(name, selection)
        yield schema, [table]

    def _selection(self, columns: Sequence[Any] | None, where: Where | None, start: Any, end: Any) -> Selection:
        from framework.schema import Selection

        return Selection.asked(columns, where, start=start, end=end, time_column=self.options.time_column)

    # ------------------------------------------------------------------ writing

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
        held: set[str] = self._holding.__dict__.setdefault("names", set())
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

    def fingerprint(self, name: str) -> str:
        """The hash over what a dataset means, equal for equal frames in whatever store; reads all its rows."""
        from framework.schema import ALL, fingerprint

        return fingerprint(*self._read(self.canonical(name), ALL))

    def unknown(self, name: str) -> DatasetNotFoundError:
        """The error for a name that is not there, naming what is."""
        return DatasetNotFoundError(
            f"The {self.name} store has no dataset {name!r}.",
            cure=known_names(name, self.list_sources()),
            resource=f"{self.name}:{name}",
        )

    def export(self, name: str, folder: Path, *, unread: bool = False) -> Export:
        """Put one snapshot of the dataset into `folder`, as Parquet with its schema, and say what it holds.

        It has been read again as a frame. With `unread`, what cannot be is kept all the same, in a store that keeps
        files as the bytes that it is.
        """
        from framework.formats.parquet import read_parquet, write_parquet
        from framework.schema import ALL

        path = folder / "data.parquet"
        for _ in range(3):  # until nobody saves meanwhile
            version, before = self.describe(name).version, self._save_ids(name)
            write_parquet(path, *self._read(name, ALL))
            after = self._save_ids(name)
            if before == after:
                break
        ids = tuple(each for each in before if each in after)  # these saves are in the rows, whoever saved meanwhile
        try:
            return exported("parquet", *read_parquet(path), version, ids)
        except FidelityError as error:
            if not unread:
                raise self._no_backup(name, error) from error.__cause__
            return Export("parquet", None, "", "", version, ids)

    def _no_backup(self, name: str, error: DataException) -> DataException:
        """The error by which a dataset cannot be read, as the one by which it cannot be backed up."""
        error.message = f"No backup of {self.name}:{name} was made, for it cannot be read: {error.message}"
        error.cure = error.cure or f"Delete it, or restore an older backup: millpond restore {self.name}:{name}."
        return error

    def adopt(self, name: str, folder: Path, media: str, save_ids: tuple[str, ...] = ()) -> None:
        """Commit what `export` put into `folder`, with those ids on record; called with the writer's lock held."""
        self._write(name, *self.kept(name, folder, media), Save(held=save_ids))

    def kept(self, name: str, folder: Path, media: str) -> tuple[pa.Table, FrameSchema]:
        """The rows that `export` put into `folder`; OptionError when they are in a file that this store cannot read."""
        from framework.formats.parquet import read_parquet

        if media not in ("parquet", ".parquet"):
            raise OptionError(
                f"The backup of {name!r} is a {media} file, which the {self.kind} store {self.name} cannot read.",
                cure=f"It was made by another kind of store: create that one with name={self.name!r}, and restore "
                f"into='{self.name}:{name}'.",
            )
        return read_parquet(folder / "data.parquet")

    def close(self) -> None:
        """Let go of what is open; a store can be used again afterwards."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _labels(keys: Any) -> tuple[Any, ...]:
    if not isinstance(keys, Iterable) or not all(isinstance(key, Hashable) for key in keys):
        raise OptionError(f"keys= takes a list of labels, not {keys!r}.", cure="keys=['id']")
    return tuple(keys)


def exported(
    media: str, table: pa.Table, schema: FrameSchema, version: int | None, save_ids: tuple[str, ...]
) -> Export:
    """What a backup tells of rows that have all been made a frame again; FidelityError for what cannot be."""
    from framework.schema import ALL, fingerprint, frames

    for _ in frames(schema, [table], ALL, media, rows=1_000_000):
        pass
    return Export(media, table.num_rows, fingerprint(table, schema), schema.dumps(), version, save_ids)


def checked_options(model: type[StoreOptions], options: Mapping[str, Any], kind: str) -> StoreOptions:
    """The options as the model has them; OptionError naming the unknown or unfit one."""
    try:
        return model(**options)
    except ValidationError as error:
        fault = error.errors()[0]
        option = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            raise OptionError(
                f"The {kind} store has no option {option!r}.", cure=known_names(option, model.model_fields)
            ) from None
        raise OptionError(f"Option {option!r} of the {kind} store: {fault['msg']}.") from None
