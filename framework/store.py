"""What every store shares: the contract, told once. A store adds how it reads, writes and locks.

`get_data` gives the frame that was saved. `save_data` commits or raises and leaves what was there; it never answers
False. A name that does not exist is an error that names what exists; a second writer waits, then LockedError.
"""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framework.attempt import attempt
from framework.errors import (
    ColumnNotFoundError,
    ConfigurationException,
    DatasetNotFoundError,
    OptionError,
    StorageError,
    known_names,
)
from framework.interfaces import Description, IDataBackup, IDataSaver, IDataSource, Mode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from framework.schema import FrameSchema
    from framework.settings import Settings


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
    """What a store put into a folder for a backup."""

    media: str
    rows: int | None
    fingerprint: str
    schema: str
    version: int | None


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
    def adopt(self, name: str, folder: Path, media: str) -> None: ...
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
    def _read(self, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        """The table and its schema, of one snapshot; DatasetNotFoundError."""

    @abstractmethod
    def _write(
        self, name: str, table: pa.Table, schema: FrameSchema, *, mode: Mode, keys: Sequence[Any] | None
    ) -> None:
        """Commit; called with the writer's lock held."""

    @abstractmethod
    def _delete(self, name: str) -> None:
        """Remove; called with the writer's lock held, for a dataset that exists."""

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
        start: Any = None,
        end: Any = None,
    ) -> pd.DataFrame:
        """The frame that was saved: values, dtypes, index, column and row order.

        Parameters
        ----------
        source : str
        columns : list of labels, optional
            Only these, in this order; the index always comes.
        start, end : timestamp or text, optional
            Only rows from `start` to `end`, both inclusive, by the DatetimeIndex or the option `time_column`.

        Raises
        ------
        DatasetNotFoundError, ColumnNotFoundError
        """
        from framework.schema import decode

        name = self.canonical(source)
        if isinstance(columns, str):
            raise OptionError(
                f"columns= takes a list of labels, not the text {columns!r}.", cure=f"columns=[{columns!r}]"
            )
        wanted = columns
        by = self.options.time_column
        if by is not None and columns is not None and (start is not None or end is not None) and by not in columns:
            wanted = [*columns, by]
        table, schema = self._read(name, wanted)
        frame = decode(table, schema)
        if start is not None or end is not None:
            frame = self._between(frame, name, start, end)
        return frame if wanted is columns else frame[list(columns or ())]

    def _between(self, frame: pd.DataFrame, name: str, start: Any, end: Any) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        column = self.options.time_column
        times: Any = frame.index if column is None else frame.get(column)
        if times is None:
            raise ColumnNotFoundError(
                f"{name!r} has no column {column!r}, the time_column.",
                cure=known_names(str(column), map(str, frame.columns)),
            )
        if not pd.api.types.is_datetime64_any_dtype(times.dtype):
            raise OptionError(
                f"start= and end= need times, and {name!r} has no DatetimeIndex.",
                cure="Create the store with time_column='<a column of times>'.",
            )
        keep = np.ones(len(frame), dtype=bool)
        zone = getattr(times.dtype, "tz", None)
        if start is not None:
            keep &= np.asarray(times >= _moment(start, zone))
        if end is not None:
            keep &= np.asarray(times <= _moment(end, zone))
        return frame.loc[keep]

    # ------------------------------------------------------------------ writing

    def save_data(
        self,
        data: pd.DataFrame,
        destination: str,
        *,
        mode: Mode = "replace",
        keys: Sequence[Any] | str | None = None,
        lossy: bool = False,
    ) -> bool:
        """Commit `data` under `destination` and answer True, or raise and leave what was there.

        Parameters
        ----------
        data : pandas.DataFrame
        destination : str
        mode : {"replace", "append", "upsert"}
            Append continues a RangeIndex. Upsert replaces the rows whose keys are there already and adds the others at
            the end.
        keys : list of labels, optional
            What upsert tells rows apart by; the named index or DatetimeIndex unless given.
        lossy : bool
            Keep as text what could not be given back exactly, instead of FidelityError.

        Raises
        ------
        DatasetNameError, FidelityError, SchemaError, KeysError, LockedError, StorageError
        """
        name, commit = self._prepared(data, destination, mode, keys, lossy=lossy)
        with self.locked(name):
            return commit()

    def _prepared(
        self, data: Any, destination: str, mode: Mode, keys: Sequence[Any] | str | None, *, lossy: bool
    ) -> tuple[str, Callable[[], bool]]:
        """The dataset's name, and what commits the save under its lock; all that can be refused before is."""
        from framework.schema import encode

        name = self.canonical(destination)
        if mode not in ("replace", "append", "upsert"):
            raise OptionError(f"mode={mode!r} is not a way to save.", cure="Known: replace, append, upsert.")
        if keys is not None and mode != "upsert":
            raise OptionError("keys= goes with mode='upsert'.")
        table, schema = encode(data, lossy=lossy)

        def commit() -> bool:
            self._write(name, table, schema, mode=mode, keys=[keys] if isinstance(keys, str) else keys)
            self.logger.info("%s:%s saved, %d rows (%s)", self.name, name, table.num_rows, mode)
            return True

        return name, commit

    def save_with_backup(
        self,
        data: pd.DataFrame,
        destination: str,
        *,
        mode: Mode = "replace",
        keys: Sequence[Any] | str | None = None,
        lossy: bool = False,
    ) -> bool:
        """A verified backup of what is there, then the save, under one lock; no backup, no save.

        When nothing of that name is there yet it saves, and says so in the log at INFO.
        """
        if self.vault is None:
            raise ConfigurationException(
                f"The {self.name} store has no vault to back up to.", cure="Create it with DataFactory, or pass vault=."
            )
        name, commit = self._prepared(data, destination, mode, keys, lossy=lossy)
        with self.locked(name):
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
        from framework.schema import fingerprint

        return fingerprint(*self._read(self.canonical(name), None))

    def unknown(self, name: str) -> DatasetNotFoundError:
        """The error for a name that is not there, naming what is."""
        return DatasetNotFoundError(
            f"The {self.name} store has no dataset {name!r}.",
            cure=known_names(name, self.list_sources()),
            resource=f"{self.name}:{name}",
        )

    def export(self, name: str, folder: Path, *, unread: bool = False) -> Export:
        """Put one snapshot of the dataset into `folder`, as Parquet with its schema, and say what it holds.

        With `unread`, a store that keeps files gives the bytes of one that cannot be read.
        """
        from framework.formats.parquet import read_parquet, write_parquet
        from framework.schema import fingerprint

        version = self.describe(name).version
        path = folder / "data.parquet"
        write_parquet(path, *self._read(name, None))
        table, schema = read_parquet(path)
        return Export("parquet", table.num_rows, fingerprint(table, schema), schema.dumps(), version)

    def adopt(self, name: str, folder: Path, media: str) -> None:
        """Commit what `export` put into `folder`; called with the writer's lock held."""
        from framework.formats.parquet import read_parquet

        self._write(name, *read_parquet(folder / "data.parquet"), mode="replace", keys=None)

    def close(self) -> None:
        """Let go of what is open; a store can be used again afterwards."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _moment(bound: Any, zone: Any) -> pd.Timestamp:
    """A bound as a time that can be compared with times of that zone; OptionError otherwise."""
    import pandas as pd

    try:
        moment: Any = pd.Timestamp(bound)
        if zone is not None and moment.tzinfo is None:
            moment = moment.tz_localize(zone)
    except (ValueError, TypeError) as error:
        raise OptionError(f"start= and end= are times, and {bound!r} is none: {error}.") from error
    if moment is pd.NaT:
        raise OptionError("start= and end= are times, and NaT is none.")
    if zone is None and moment.tzinfo is not None:
        raise OptionError(f"{bound!r} has a time zone, and the times have none.", cure="Pass it without one.")
    return cast("pd.Timestamp", moment)


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
