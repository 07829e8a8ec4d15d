"""A store that is a folder with one file per dataset; the format is the subclass's.

In the folder `x` and `x<suffix>` are one dataset. What is ours beside the data lies in `<folder>/.millpond/`.
"""

from __future__ import annotations

import os
import shutil
import stat
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from framework.errors import DataException, FidelityError, FormatError, OptionError, StorageError
from framework.files import (
    check_name,
    copy_into,
    is_name,
    lock_for,
    locked,
    remove,
    remove_leftovers,
    replacing,
    storage_errors,
    sync_folder,
    under,
)
from framework.interfaces import Description, Mode
from framework.store import Export, Store

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema

OWN = ".millpond"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save leaves on record beside the schema."""

    rows: int
    saved_at: datetime | None = None
    version: int | None = None


class FolderStore(Store):
    """One file per dataset in a folder."""

    suffix: ClassVar[str]

    # ------------------------------------------------------------------ what the format adds

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where the files lie, absolute."""

    @abstractmethod
    def _read_file(self, path: Path, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        """The table and schema of one file."""

    @abstractmethod
    def _write_file(self, path: Path, name: str, table: pa.Table, schema: FrameSchema, saved: Saved) -> None:
        """Put the file there, atomically and verified."""

    @abstractmethod
    def _version(self, path: Path) -> int | None:
        """The version on record; None where there is none, or none that can be read: a broken file can be replaced."""

    @abstractmethod
    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        """What is on record of the file."""

    # ------------------------------------------------------------------ names

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.suffix, str(self.folder))

    def canonical(self, name: str) -> str:
        check_name(name)
        short = name.removesuffix(self.suffix)
        check_name(short)
        return name if short.endswith(self.suffix) else short  # x.csv.csv is a file of its own beside x.csv

    def path(self, name: str) -> Path:
        """The file of a canonical name; DatasetNameError when a link leads out of the folder."""
        file = name if name.endswith(self.suffix) else name + self.suffix
        return under(self.folder, file)

    def exists(self, name: str) -> bool:
        return self.path(name).is_file()

    def list_sources(self) -> list[str]:
        names = []
        settings = self.settings
        others = {settings.data_folder, settings.temp_folder, settings.backup_folder} - {self.folder}
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [sub for sub in folders if not sub.startswith(".") and Path(folder, sub) not in others]
            inside = Path(folder).relative_to(self.folder)
            for file in files:
                full = (inside / file).as_posix()
                short = full.removesuffix(self.suffix)
                if short != full and is_name(full) and is_name(short) and _is_regular(os.path.join(folder, file)):
                    names.append(full if short.endswith(self.suffix) else short)
        return sorted(names)

    # ------------------------------------------------------------------ the contract

    def _hold(self, name: str, timeout: float) -> AbstractContextManager[None]:
        with storage_errors(f"the lock of {self.name}:{name}"):
            lock = lock_for(under(self.folder, f"{OWN}/locks/{name}{self.suffix}.lock"))
        return locked(lock, timeout=timeout, what=f"{self.name}:{name}")

    def _read(self, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        with self._found(name) as path:
            return self._read_file(path, name, columns)

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

    def _write(
        self, name: str, table: pa.Table, schema: FrameSchema, *, mode: Mode, keys: Sequence[Any] | None
    ) -> None:
        from framework.schema import append

        if mode == "upsert":
            raise OptionError(
                f"The {self.name} store has no mode='upsert' yet.",
                cure="Use a postgres store, or read, change and replace.",
            )
        path = self.path(name)
        with storage_errors(f"{self.name}:{name}"):
            there = path.is_file()
            if mode == "append" and there:
                table, schema = append(self._read_file(path, name, None), (table, schema), f"{self.name}:{name}")
            version = (self._version(path) or 0) + 1 if there else 1
            self._write_file(path, name, table, schema, Saved(table.num_rows, datetime.now(UTC), version))

    def _delete(self, name: str) -> None:
        path = self.path(name)
        with storage_errors(f"{self.name}:{name}"):
            remove_leftovers(path)
            remove(path)

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
        from framework.schema import fingerprint

        copy = folder / f"data{self.suffix}"
        with self._found(name) as path:
            self._copy(path, copy)
            try:  # the copy is read, so that what is kept is known to be readable
                saved, _ = self._saved(copy, name)
                table, schema = self._read_file(copy, name, None)
            except DataException:
                if not unread:
                    raise
                return Export(self.suffix, None, "", "", None)
        return Export(self.suffix, table.num_rows, fingerprint(table, schema), schema.dumps(), saved.version)

    def _copy(self, path: Path, copy: Path) -> None:
        """Copy one snapshot of the file, with what is on record of it."""
        with open(path, "rb") as source:
            copy_synced(source, copy)

    def adopt(self, name: str, folder: Path, media: str) -> None:
        if media != self.suffix:  # a backup of another kind of store
            super().adopt(name, folder, media)
            return
        path = self.path(name)
        with storage_errors(f"{self.name}:{name}"):
            self._adopt_file(folder / f"data{self.suffix}", path, name)

    def _adopt_file(self, kept: Path, path: Path, name: str) -> None:
        with open(kept, "rb") as source, replacing(path) as sink:
            copy_into(sink, source)


class ParquetFolder(FolderStore):
    """One Parquet file per dataset; what is on record lies in its footer."""

    suffix = ".parquet"

    def _read_file(self, path: Path, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        from framework.formats.parquet import read_parquet

        return read_parquet(path, columns)

    def _write_file(self, path: Path, name: str, table: pa.Table, schema: FrameSchema, saved: Saved) -> None:
        from framework.formats.parquet import write_parquet

        notes = {"version": str(saved.version or 1)}
        if saved.saved_at is not None:
            notes["saved_at"] = saved.saved_at.isoformat()
        write_parquet(path, table, schema, notes)

    def _version(self, path: Path) -> int | None:
        try:
            return self._saved(path, path.stem)[0].version
        except (FormatError, FidelityError):
            return None

    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        from framework.formats.parquet import read_footer

        footer, schema = read_footer(path)
        notes = footer.metadata or {}
        when, version = notes.get(b"millpond.saved_at"), notes.get(b"millpond.version")
        rows = footer.num_rows if schema.fields else schema.range_rows
        try:
            saved_at = datetime.fromisoformat(when.decode()) if when else None
            return Saved(rows, saved_at, int(version) if version else None), schema
        except ValueError as error:
            raise FormatError(f"The notes in the footer of {path.name} are damaged: {error}.") from error


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False  # it was there a moment ago


def is_backup(folder: Path) -> bool:
    """Whether it holds a backup, finished or in the making, and no dataset."""
    return folder.name.endswith(".partial") or (folder / "manifest.json").is_file()


def copy_synced(source: Any, target: Path) -> None:
    """Copy an open file's bytes to `target` and make them durable."""
    with open(target, "xb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
        sink.flush()
        os.fsync(sink.fileno())
    sync_folder(target.parent)


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
