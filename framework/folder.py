"""A store that is a folder with one file per dataset; the format is the subclass's.

In the folder `x` and `x<suffix>` are one dataset. What is ours beside the data lies in `<folder>/.millpond/`.
"""

from __future__ import annotations

import os
import shutil
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from framework.errors import OptionError, StorageError
from framework.files import (
    check_name,
    copy_into,
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
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [sub for sub in folders if not sub.startswith(".")]
            inside = Path(folder).relative_to(self.folder)
            names += [
                (inside / file).as_posix()
                for file in files
                if file.endswith(self.suffix) and not file.startswith(".") and file != self.suffix
            ]
        short = [name.removesuffix(self.suffix) for name in names]
        return sorted(full if cut.endswith(self.suffix) else cut for full, cut in zip(names, short, strict=True))

    # ------------------------------------------------------------------ the contract

    def _hold(self, name: str, timeout: float) -> AbstractContextManager[None]:
        with storage_errors(f"the lock of {self.name}:{name}"):
            lock = lock_for(under(self.folder, f"{OWN}/locks/{name}{self.suffix}.lock"))
        return locked(lock, timeout=timeout, what=f"{self.name}:{name}")

    def _read(self, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        path = self.path(name)
        if not path.is_file():
            raise self.unknown(name)
        with storage_errors(f"{self.name}:{name}"):
            return self._read_file(path, name, columns)

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
            before = self._saved(path, name)[0] if path.is_file() else None
            if mode == "append" and before is not None:
                table, schema = append(self._read_file(path, name, None), (table, schema), f"{self.name}:{name}")
            version = (before.version or 0) + 1 if before else 1
            self._write_file(path, name, table, schema, Saved(table.num_rows, datetime.now(UTC), version))

    def _delete(self, name: str) -> None:
        path = self.path(name)
        with storage_errors(f"{self.name}:{name}"):
            remove_leftovers(path)
            remove(path)

    def describe(self, name: str) -> Description:
        name = self.canonical(name)
        path = self.path(name)
        if not path.is_file():
            raise self.unknown(name)
        with storage_errors(f"{self.name}:{name}"):
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

    def export(self, name: str, folder: Path) -> Export:
        from framework.schema import fingerprint

        path = self.path(name)
        if not path.is_file():
            raise self.unknown(name)
        copy = folder / f"data{self.suffix}"
        with storage_errors(f"the backup of {self.name}:{name}"):
            saved, table, schema = self._copy(path, name, copy)
        return Export(self.suffix, table.num_rows, fingerprint(table, schema), schema.dumps(), saved.version)

    def _copy(self, path: Path, name: str, copy: Path) -> tuple[Saved, pa.Table, FrameSchema]:
        """Copy one snapshot of the file and read the copy, so that what is kept is known to be readable."""
        with open(path, "rb") as source:
            copy_synced(source, copy)
        saved, _ = self._saved(copy, name)
        return saved, *self._read_file(copy, name, None)

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

    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        from framework.formats.parquet import read_footer

        footer, schema = read_footer(path)
        notes = footer.metadata or {}
        when, version = notes.get(b"millpond.saved_at"), notes.get(b"millpond.version")
        saved_at = datetime.fromisoformat(when.decode()) if when else None
        rows = footer.num_rows if schema.fields else schema.range_rows
        return Saved(rows, saved_at, int(version) if version else None), schema


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
