"""What a store is made of, and what it writes itself."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from framework.errors import DatasetNotFoundError, known_names
from framework.interfaces import Description, IDataBackup, IDataSource
from framework.store.options import StoreOptions, checked_options
from framework.store.records import Save

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection
    from framework.settings import Settings


class Hooks(IDataSource):
    """A store's own part; `Store` tells the parameters."""

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

    # ------------------------------------------------------------------ what all say alike

    def unknown(self, name: str) -> DatasetNotFoundError:
        """The error for a name that is not there, naming what is."""
        return DatasetNotFoundError(
            f"The {self.name} store has no dataset {name!r}.",
            cure=known_names(name, self.list_sources()),
            resource=f"{self.name}:{name}",
        )

    def close(self) -> None:
        """Let go of what is open; a store can be used again afterwards."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
