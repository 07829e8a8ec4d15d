"""CSV files in a folder: ours with a record beside them, and whatever others put there."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import field_validator

from framework.files import copy_into, replacing, under
from framework.folder import OWN, FolderStore, Saved, copy_synced, is_backup
from framework.formats.csv import check_lines, read_foreign, read_own, write_rows
from framework.formats.csv_inference import apply_dtypes, infer
from framework.schema import FrameSchema
from framework.sidecar import Record, find, opened, put, stat_of
from framework.store import StoreOptions

if TYPE_CHECKING:
    import pyarrow as pa

PROVIDES = {
    "kind": "store",
    "name": "csv",
    "object": "CsvStore",
    "roles": ["source", "saver", "backup"],
    "extra": None,
    "summary": "CSV files in FS_DATA",
}


class CsvOptions(StoreOptions):
    """How the files are spelled.

    Attributes
    ----------
    delimiter : str
        One character.
    encoding : str
        Of files that others wrote, and of those that are saved.
    dtype : mapping of column to pandas dtype
        For files that others wrote: what not to find out.
    nulls : list of str
        For files that others wrote: texts that are missing, in every column.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    dtype: Mapping[str, str] = {}
    nulls: Sequence[str] = ()

    @field_validator("delimiter")
    @classmethod
    def _one_mark(cls, value: str) -> str:
        mark = len(value) == 1 and value.isascii() and (value == "\t" or value.isprintable())
        if not mark or value.isalnum() or value in "\"+-.: '":
            raise ValueError("it is one mark such as , ; | or a tab, and none that numbers, times or quotes hold")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            found = codecs.lookup(value).name
            plain = "a,1.5-\n".encode(found).decode(found) == "a,1.5-\n"
        except (LookupError, UnicodeError, TypeError, ValueError):
            plain = False
        if not plain or found in ("idna", "punycode"):
            raise ValueError(f"{value!r} is not an encoding of text that Python knows")
        return found


class CsvStore(FolderStore):
    """One CSV file per dataset in FS_DATA."""

    kind = "csv"
    suffix = ".csv"
    Options = CsvOptions
    options: CsvOptions

    @property
    def folder(self) -> Path:
        return self.settings.data_folder

    def _record(self, path: Path) -> Path:
        """Where the record of a file lies: under our own folder, or beside a backup's copy."""
        root = self.folder.resolve()
        if path.is_relative_to(root) and not is_backup(path.parent):
            return under(root, f"{OWN}/csv/{path.relative_to(root).as_posix()}.json")
        return path.with_name(path.name + ".record.json")

    def _write_file(self, path: Path, name: str, table: pa.Table, schema: FrameSchema, saved: Saved) -> None:
        assert saved.saved_at is not None
        about: dict[str, Any] = {"delimiter": self.options.delimiter, "encoding": self.options.encoding}
        lines, saved_at = 0, saved.saved_at.isoformat()
        multiline = False

        def record(beside: Path) -> None:
            if not about["encoding"].startswith(("utf-16", "utf-32")):
                check_lines(beside, lines)
            told = {**stat_of(beside), "sha256": sink.hash.hexdigest(), **about, "multiline": multiline}
            text = schema.dumps()
            put(
                self._record(path),
                Record(schema=text, rows=saved.rows, saved_at=saved_at, version=saved.version or 1, **told),
                path,
            )

        with replacing(path, verify=record) as sink:
            lines, multiline = write_rows(sink, table, schema, **about)

    def _read_file(self, path: Path, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        with opened(path, self._record(path)) as (file, record):
            table, schema = self._foreign(file, name) if record is None else self._own(file, name, record)
        if columns is not None:
            schema = schema.select(columns, name)
            table = table.select(schema.names)
        return table, schema

    def _own(self, file: BinaryIO, name: str, record: Record) -> tuple[pa.Table, FrameSchema]:
        schema = FrameSchema.loads(record.schema)
        spelled = {"delimiter": record.delimiter, "encoding": record.encoding}
        return read_own(file, name, schema, record.rows, multiline=record.multiline, **spelled), schema

    def _foreign(self, file: BinaryIO, name: str) -> tuple[pa.Table, FrameSchema]:
        options = self.options
        spelled = {"delimiter": options.delimiter, "encoding": options.encoding}
        table = read_foreign(file.read(), name, nulls=options.nulls, **spelled)
        return apply_dtypes(table, options.dtype, name) if options.dtype else infer(table)

    def _version(self, path: Path) -> int | None:
        with open(path, "rb") as file:
            record = find(self._record(path), file)
        return None if record is None else record.version

    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        with opened(path, self._record(path)) as (file, record):
            if record is not None:
                return Saved(record.rows, record.when, record.version), FrameSchema.loads(record.schema)
            table, schema = self._foreign(file, name)
            return Saved(table.num_rows), schema

    def _delete(self, name: str) -> None:
        record = self._record(self.path(name))
        super()._delete(name)
        record.unlink(missing_ok=True)

    def _copy(self, path: Path, copy: Path) -> None:
        with opened(path, self._record(path)) as (file, record):
            copy_synced(file, copy)
        if record is not None:
            put(self._record(copy), replace(record, **stat_of(copy)), copy)

    def _adopt_file(self, kept: Path, path: Path, name: str) -> None:
        with opened(kept, self._record(kept)) as (file, record), replacing(path, verify=lambda new: tell(new)) as sink:

            def tell(beside: Path) -> None:
                if record is not None:
                    put(self._record(path), replace(record, **stat_of(beside)), path)

            copy_into(sink, file)
