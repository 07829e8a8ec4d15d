"""What a save and a backup tell of themselves, and a store as a vault sees it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from framework.interfaces import Mode

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema

MOST_SAVE_IDS = 50  # that a dataset keeps on record


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


def exported(
    media: str, table: pa.Table, schema: FrameSchema, version: int | None, save_ids: tuple[str, ...]
) -> Export:
    """What a backup tells of rows that have all been made a frame again; FidelityError for what cannot be."""
    from framework.schema import ALL, fingerprint, frames

    for _ in frames(schema, [table], ALL, media, rows=1_000_000):
        pass
    return Export(media, table.num_rows, fingerprint(table, schema), schema.dumps(), version, save_ids)
