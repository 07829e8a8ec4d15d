"""A folder store that also reads tables in parts: folders of files that another tool wrote (`formats/parts`).

Such a folder is one dataset, which is only read.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import StorageError
from framework.files import is_name, storage_errors, under_each
from framework.folder import OWN, FolderStore, Saved, describe
from framework.formats.parts import PartFile, parts_of
from framework.interfaces import Description
from framework.store import Export, Save, Store

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.folder import Pieces
    from framework.schema import FrameSchema, Selection


class PartsFolder(FolderStore):
    """One file per dataset, or a folder of parts."""

    @abstractmethod
    def _read_parts(self, parts: Sequence[PartFile], name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        """What the selection needs of a table in parts."""

    @abstractmethod
    def _scan_parts(self, parts: Sequence[PartFile], name: str, selection: Selection) -> Pieces:
        """The same in pieces."""

    @abstractmethod
    def _saved_parts(self, parts: Sequence[PartFile], name: str) -> tuple[Saved, FrameSchema]:
        """How many rows a table in parts has, and its schema."""

    def _parts(self, name: str, files: Sequence[str] | None = None) -> list[PartFile]:
        """The parts of a dataset that is a folder of another tool's; none for any other.

        A folder into which a dataset was ever saved here, or beside which a file of its name lies, is none.
        """
        root = self.folder
        if files is None and not os.path.isdir(os.path.join(root, name)):
            return []
        folder, own = under_each(root, (name, f"{OWN}/locks/{name}"))
        if own.is_dir() or self._files(name):
            return []
        return parts_of(folder, self.suffixes)

    def _files(self, name: str) -> list[Path]:
        """The files that a dataset of that name may be, of those that are there."""
        paths = under_each(self.folder, [name + suffix for suffix in self.suffixes])
        return [path for path in paths if os.path.isfile(path)]

    def _check_ours(self, name: str) -> None:
        """StorageError for a table in parts: it is another tool's."""
        if self._parts(name):
            raise StorageError(
                f"{self.name}:{name} is a folder of parts that another tool wrote, which is only read.",
                cure="Save under another name.",
                resource=f"{self.name}:{name}",
            )

    def _is_dataset(self, folder: str, files: Sequence[str]) -> bool:
        return is_name(folder) and bool(self._parts(folder, files))

    # ------------------------------------------------------------------ reading

    def exists(self, name: str) -> bool:
        return super().exists(name) or bool(self._parts(name))

    def _read(self, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        parts = self._parts(name)
        if not parts:
            return super()._read(name, selection)
        with storage_errors(f"{self.name}:{name}"):
            return self._read_parts(parts, name, selection)

    @contextmanager
    def _scan(self, name: str, selection: Selection) -> Iterator[Pieces]:
        parts = self._parts(name)
        if not parts:
            with super()._scan(name, selection) as pieces:
                yield pieces
            return
        with storage_errors(f"{self.name}:{name}"):
            yield self._scan_parts(parts, name, selection)

    def describe(self, name: str) -> Description:
        name = self.canonical(name)
        parts = self._parts(name)
        if not parts:
            return super().describe(name)
        with storage_errors(f"{self.name}:{name}"):
            saved, schema = self._saved_parts(parts, name)
            return describe(self.name, name, schema, saved, sum(part.path.stat().st_size for part in parts))

    def export(self, name: str, folder: Path, *, unread: bool = False) -> Export:
        if self._parts(name):
            return Store.export(self, name, folder)
        return super().export(name, folder, unread=unread)

    # ------------------------------------------------------------------ writing: another tool's are only read

    def _hold(self, name: str, timeout: float) -> AbstractContextManager[None]:
        with storage_errors(f"the lock of {self.name}:{name}"):
            for end in [at for at, mark in enumerate(name) if mark == "/"]:  # a lock of ours in it would hide it
                self._check_ours(name[:end])
        return super()._hold(name, timeout)

    def _write(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> None:
        self._check_ours(name)
        super()._write(name, table, schema, save)

    def _delete(self, name: str) -> None:
        self._check_ours(name)
        super()._delete(name)

    def _rename(self, old: str, new: str) -> None:
        self._check_ours(old)
        super()._rename(old, new)

    def adopt(self, name: str, folder: Path, media: str, save_ids: tuple[str, ...] = ()) -> None:
        self._check_ours(name)
        super().adopt(name, folder, media, save_ids)
