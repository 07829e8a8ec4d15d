"""The five interfaces, and the powers a component may have beside them.

The abstract methods are exactly those that every component must write. What more a component can do is a Protocol
below, asked with `isinstance`: a class that has only the abstract methods works wherever an interface is taken.

The words of the contract, the same in every store:

- *committed*: durable, verified, and visible to other processes.
- a failure raises a typed error and leaves the old data as it was; `save_data` never answers False.
- a name that does not exist is an error that names what exists.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["replace", "append", "upsert"]


class IDataSource(ABC):
    """Reads named tables."""

    @abstractmethod
    def get_data(self, source: str) -> pd.DataFrame:
        """The frame that was saved: values, dtypes, index, column and row order."""

    @abstractmethod
    def list_sources(self) -> list[str]:
        """Names that `get_data` accepts, sorted; reads no content."""

    @abstractmethod
    def health_check(self) -> bool:
        """True if it can be used; never raises, writes nothing, bounded in time."""


class IDataSaver(ABC):
    """Writes named tables."""

    @abstractmethod
    def save_data(self, data: pd.DataFrame, destination: str) -> bool:
        """Commit `data` under `destination` and answer True, or raise and leave what was there."""

    @abstractmethod
    def save_with_backup(self, data: pd.DataFrame, destination: str) -> bool:
        """A verified backup of what is there, then the save; no backup, no save. With nothing there yet it saves."""

    @abstractmethod
    def health_check(self) -> bool:
        """True if it can be used; never raises, writes nothing, bounded in time."""


class IDataBackup(ABC):
    """Keeps copies of named tables."""

    @abstractmethod
    def backup_data(self, source: str) -> tuple[bool, str | None]:
        """`(True, backup_id)`; `(False, None)` and a WARNING when there is nothing of that name."""

    @abstractmethod
    def backup_all(self) -> list[tuple[str, str]]:
        """`[(source, backup_id), ...]`; tries all, then raises PartialFailure if any failed."""

    @abstractmethod
    def health_check(self) -> bool:
        """True if it can be used; never raises, writes nothing, bounded in time."""


class ICalculator(ABC):
    """Turns tables into tables."""

    @abstractmethod
    def run_complete_calculation(
        self,
        data_source: IDataSource,
        data_saver: IDataSaver,
        backup_service: IDataBackup,
        sources: list[str] | None = None,
    ) -> list[Any]:
        """One truthy or falsy result per source, in their order; goes on after one that fails."""

    @abstractmethod
    def health_check(self) -> bool:
        """True if it can be used; never raises, writes nothing, bounded in time."""


class IScraper(ABC):
    """Reads a site into tables."""

    @abstractmethod
    def scrape_data(self, data_saver: IDataSaver) -> bool:
        """Scrape every source and save what can be had; True, or PartialFailure after trying all."""

    @abstractmethod
    def scrape_single_source(self, source_name: str, data_saver: IDataSaver) -> bool:
        """Scrape one source and save it; True or raises."""

    @abstractmethod
    def get_available_sources(self) -> list[str]:
        """Names that `scrape_single_source` accepts."""

    @abstractmethod
    def health_check(self) -> bool:
        """True if the site answers; at most one request, never raises, bounded in time."""


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a dataset without reading its rows.

    Attributes
    ----------
    rows : int
    bytes : int
        What it takes in the store.
    columns : mapping of str to str
        Column label to dtype, in order.
    saved_at : datetime or None
        When it was saved by Millpond (UTC); None for a table that others wrote.
    version : int or None
        How many times it was saved by Millpond.
    """

    name: str
    store: str
    rows: int
    bytes: int
    columns: Mapping[str, str] = field(default_factory=dict)
    index: str = ""
    saved_at: datetime | None = None
    version: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """One finished backup, as its manifest tells it; `rows` is None for a damaged dataset that was kept as it was."""

    backup_id: str
    source: str
    store: str
    created_at: datetime
    rows: int | None
    bytes: int
    fingerprint: str
    version: int | None = None


@runtime_checkable
class Describes(Protocol):
    def describe(self, name: str) -> Description:
        """Rows, bytes, schema, saved_at, version; DatasetNotFoundError if there is none of that name."""


@runtime_checkable
class Deletes(Protocol):
    def delete_data(self, name: str) -> bool:
        """Gone when it returns True; DatasetNotFoundError if there was none."""


@runtime_checkable
class Renames(Protocol):
    def rename_data(self, old: str, new: str) -> bool:
        """Moved when it returns True; DatasetExistsError if there is one called `new`."""


@runtime_checkable
class Iterates(Protocol):
    def iter_data(self, source: str, *, chunk_rows: int = ...) -> Iterator[pd.DataFrame]:
        """The rows of `get_data` in frames of `chunk_rows`, of one snapshot, in memory that does not grow with them."""


@runtime_checkable
class Restores(Protocol):
    def list_backups(self, source: str | None = None) -> list[BackupRecord]:
        """Finished backups, newest last."""

    def verify_backup(self, backup_id: str) -> bool:
        """True if it can be restored byte for byte; raises otherwise."""

    def restore_data(self, source: str, backup_id: str | None = None, *, into: str | None = None) -> bool:
        """Put the backup (the newest if none is named) in the dataset's place; what was there is backed up first."""
