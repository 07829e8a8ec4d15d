"""A store that is a folder with one file per dataset; the format is the subclass's.

In the folder `x` and `x<suffix>` are one dataset. What is ours beside the data lies in `<folder>/.millpond/`. A folder
of part files that another tool wrote (`formats/parts`) is a dataset too, which is only read.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from framework.errors import DataException, FidelityError, FormatError, IntegrityError, SchemaError, StorageError
from framework.files import (
    check_name,
    copy_into,
    is_name,
    lock_for,
    locked,
    make_folder,
    remove,
    remove_leftovers,
    replacing,
    storage_errors,
    sync_folder,
    under,
)
from framework.interfaces import Description
from framework.store import Export, Save, Store, exported

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection

    Pieces = tuple[FrameSchema, Iterable[pa.Table]]

OWN = ".millpond"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save leaves on record beside the schema."""

    rows: int
    saved_at: datetime | None = None
    version: int | None = None
    save_ids: tuple[str, ...] = ()


class FolderStore(Store):
    """One file per dataset in a folder."""

    suffix: ClassVar[str]

    # ------------------------------------------------------------------ what the format adds

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where the files lie, absolute."""

    @abstractmethod
    def _read_file(self, path: Path, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        """What the selection needs of one file."""

    @abstractmethod
    def _write_file(self, path: Path, name: str, table: pa.Table, schema: FrameSchema, saved: Saved) -> None:
        """Put the file there, atomically and verified."""

    @abstractmethod
    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        """What is on record of the file."""

    def _before(self, path: Path) -> Saved | None:
        """What is on record of the file; None where there is none, or none that can be read, which can be replaced."""
        try:
            return self._saved(path, path.stem)[0]
        except (FormatError, FidelityError, IntegrityError, SchemaError):
            return None

    @contextmanager
    def _scan_file(self, path: Path, name: str, selection: Selection) -> Iterator[Pieces]:
        """As `_read_file`, in pieces, of the file as it is when it is opened. A format that can reads bit by bit."""
        table, schema = self._read_file(path, name, selection)
        yield schema, [table]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """All that its files may end in."""
        return (self.suffix,)

    # ------------------------------------------------------------------ names

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.suffix, str(self.folder))

    def canonical(self, name: str) -> str:
        check_name(name)
        short = self._short(name)
        check_name(short)
        return name if short.endswith(self.suffixes) else short  # x.csv.csv is a file of its own beside x.csv

    def _short(self, name: str) -> str:
        return next((name.removesuffix(suffix) for suffix in self.suffixes if name.endswith(suffix)), name)

    def ending(self, path: Path) -> str:
        """Which of its suffixes a file has."""
        return max((suffix for suffix in self.suffixes if path.name.endswith(suffix)), key=len)

    def path(self, name: str) -> Path:
        """The file of a canonical name; DatasetNameError when a link leads out of the folder."""
        return under(self.folder, name if name.endswith(self.suffixes) else name + self.suffix)

    def exists(self, name: str) -> bool:
        return self.path(name).is_file()

    def list_sources(self) -> list[str]:
        names = set()
        settings = self.settings
        others = {settings.data_folder, settings.temp_folder, settings.backup_folder} - {self.folder}
        for folder, folders, files in os.walk(self.folder):
            inside = Path(folder).relative_to(self.folder).as_posix()
            if inside != "." and self._is_dataset(inside, files):
                names.add(inside)
                folders.clear()
                continue
            folders[:] = [sub for sub in folders if not sub.startswith(".") and Path(folder, sub) not in others]
            for file in files:
                full = file if inside == "." else f"{inside}/{file}"
                short = self._short(full)
                name = full if short.endswith(self.suffixes) else short
                if short != full and is_name(name) and is_name(short) and _is_regular(os.path.join(folder, file)):
                    names.add(name)
        return sorted(names)

    def _is_dataset(self, folder: str, files: Sequence[str]) -> bool:
        """Whether a folder in which these files lie is itself a dataset."""
        return False

    # ------------------------------------------------------------------ the contract

    def _hold(self, name: str, timeout: float) -> AbstractContextManager[None]:
        with storage_errors(f"the lock of {self.name}:{name}"):
            lock = lock_for(under(self.folder, f"{OWN}/locks/{name}{self.suffix}.lock"))
        return locked(lock, timeout=timeout, what=f"{self.name}:{name}")

    def _read(self, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        with self._found(name) as path:
            return self._read_file(path, name, selection)

    @contextmanager
    def _scan(self, name: str, selection: Selection) -> Iterator[Pieces]:
        with self._found(name) as path, self._scan_file(path, name, selection) as pieces:
            yield pieces

    @contextmanager
    def _found(self, name: str) -> Iterator[Path]:
        """The file of a dataset; DatasetNotFoundError when there is none, or when it goes away meanwhile."""
        path = self.path(name)
        if not path.is_file():
            raise self.unknown(name)
        with storage_errors(f"{self.name}:{name}"):
            try:
                yield path
            except FileNotFoundError:
                if path.exists():
                    raise
                raise self.unknown(name) from None

    def _write(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> None:
        path = self.path(name)
        with storage_errors(f"{self.name}:{name}"):
            table, schema = self._merged(name, table, schema, save)
            before = (self._before(path) if os.path.isfile(path) else None) or Saved(0)
            saved = Saved(table.num_rows, datetime.now(UTC), (before.version or 0) + 1, save.ids(before.save_ids))
            self._write_file(path, name, table, schema, saved)

    def _save_ids(self, name: str) -> tuple[str, ...]:
        path = self.path(name)
        before = self._before(path) if path.is_file() else None
        return before.save_ids if before else ()

    def _delete(self, name: str) -> None:
        path = self.path(name)
        with storage_errors(f"{self.name}:{name}"):
            remove_leftovers(path)
            remove(path)

    def _rename(self, old: str, new: str) -> None:
        source, target = self.path(old), self.path(new)
        with storage_errors(f"{self.name}:{new}"):
            make_folder(target.parent)
            remove_leftovers(source)
            self._move_file(source, target)

    def _move_file(self, source: Path, target: Path) -> None:
        os.rename(source, target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)

    def describe(self, name: str) -> Description:
        name = self.canonical(name)
        with self._found(name) as path:
            size = path.stat().st_size
            saved, schema = self._saved(path, name)
        return describe(self.name, name, schema, saved, size)

    def _probe(self) -> None:
        folder = self.folder
        while not folder.exists():  # it is made by the first save
            folder = folder.parent
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise StorageError(f"{folder} cannot be read and written.", cure="Give this user leave to it.")

    # ------------------------------------------------------------------ backup: the original bytes

    def export(self, name: str, folder: Path, *, unread: bool = False) -> Export:
        from framework.schema import ALL

        with self._found(name) as path:
            media = self.ending(path)
            copy = folder / f"data{media}"
            self._copy(path, copy)
            try:  # the copy is read, so that what is kept is known to be readable
                saved, _ = self._saved(copy, name)
                return exported(media, *self._read_file(copy, name, ALL), saved.version, saved.save_ids)
            except DataException as error:
                if unread:
                    return Export(media, None, "", "", None)
                error.message = error.message.replace(copy.name, path.name)
                raise self._no_backup(name, error) from error.__cause__

    def _copy(self, path: Path, copy: Path) -> None:
        """Copy one snapshot of the file, with what is on record of it."""
        with open(path, "rb") as source:
            copy_synced(source, copy)

    def adopt(self, name: str, folder: Path, media: str, save_ids: tuple[str, ...] = ()) -> None:
        if media not in self.suffixes:  # a backup of another kind of store
            super().adopt(name, folder, media, save_ids)
            return
        with storage_errors(f"{self.name}:{name}"):
            self._adopt_file(folder / f"data{media}", name)

    def kept(self, name: str, folder: Path, media: str) -> tuple[pa.Table, FrameSchema]:
        from framework.schema import ALL

        if media not in self.suffixes:
            return super().kept(name, folder, media)
        with storage_errors(f"the backup of {self.name}:{name}"):
            return self._read_file(folder / f"data{media}", name, ALL)

    def _adopt_file(self, kept: Path, name: str) -> None:
        with open(kept, "rb") as source, replacing(self.path(name)) as sink:
            copy_into(sink, source)


def _is_regular(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)


def is_backup(folder: Path) -> bool:
    """Whether it holds a backup, finished or in the making, and no dataset."""
    return folder.name.endswith(".partial") or os.path.isfile(os.path.join(folder, "manifest.json"))


def copy_synced(source: Any, target: Path) -> None:
    """Copy an open file's bytes to `target`, durably, and read them back: what is no frame is copied as well."""
    with replacing(target, digest=False) as sink:
        copy_into(sink, source)


def describe(store: str, name: str, schema: FrameSchema, saved: Saved, size: int) -> Description:
    """The description of a dataset from what is on record."""
    notes = [f"{field.label}: {field.note}" for field in schema.fields if field.note]
    return Description(
        name=name,
        store=store,
        rows=saved.rows,
        bytes=size,
        columns={str(field.label): field.shown for field in schema.values},
        index=", ".join(f"{field.label}: {field.shown}" for field in schema.levels) or "RangeIndex",
        saved_at=saved.saved_at,
        version=saved.version,
        notes=tuple(notes),
    )
