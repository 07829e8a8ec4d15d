"""A folder with one Parquet file per dataset; what is on record lies in its footer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from framework.errors import FormatError, IntegrityError
from framework.folder import Saved
from framework.formats.parts import PartFile
from framework.parts_folder import PartsFolder
from framework.store import StoreOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.folder import Pieces
    from framework.formats.parquet_foreign import ForeignParquet
    from framework.schema import FrameSchema, Selection


class ParquetOptions(StoreOptions):
    """How the files are written.

    Attributes
    ----------
    compression : {"snappy", "gzip", "zstd", "none"}
        Whatever a file's is, it can be read. Snappy is for speed: columns of numbers that it would make hardly smaller
        are left as they are.
    """

    compression: Literal["snappy", "gzip", "zstd", "none"] = "snappy"


class ParquetFolder(PartsFolder):
    """One Parquet file per dataset."""

    suffix = ".parquet"
    Options = ParquetOptions
    options: ParquetOptions

    def _read_file(self, path: Path, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        from framework.formats.parquet import read_parquet

        return read_parquet(path, selection)

    @contextmanager
    def _scan_file(self, path: Path, name: str, selection: Selection) -> Iterator[Pieces]:
        from framework.formats.parquet import scan_parquet

        with scan_parquet(path, selection) as pieces:
            yield pieces

    def _read_parts(self, parts: Sequence[PartFile], name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        from framework.formats.parquet import readable

        with readable(parts[0].path.parent):
            return _as_one(parts, name).read(selection)

    def _scan_parts(self, parts: Sequence[PartFile], name: str, selection: Selection) -> Pieces:
        from framework.formats.parquet import checked, readable

        with readable(parts[0].path.parent):
            schema, pieces = _as_one(parts, name).scan(selection)
        return schema, checked(pieces, parts[0].path.parent)

    def _saved_parts(self, parts: Sequence[PartFile], name: str) -> tuple[Saved, FrameSchema]:
        from framework.formats.parquet import readable
        from framework.formats.parquet_foreign import described

        with readable(parts[0].path.parent):
            whole = _as_one(parts, name)
            return Saved(whole.rows), described(whole.arrow)

    def _write_file(self, path: Path, name: str, table: pa.Table, schema: FrameSchema, saved: Saved) -> None:
        from framework.formats.parquet import write_parquet

        notes = {"version": str(saved.version or 1), "save_ids": json.dumps(saved.save_ids)}
        if saved.saved_at is not None:
            notes["saved_at"] = saved.saved_at.isoformat()
        write_parquet(path, table, schema, notes, compression=self.options.compression)

    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        from framework.formats.parquet import read_footer

        footer, schema = read_footer(path)
        rows = footer.num_rows if schema.fields else schema.range_rows
        return _told(footer.metadata or {}, rows, path), schema

    def _before(self, path: Path) -> Saved | None:
        from framework.formats.parquet import read_notes

        try:
            return _told(read_notes(path), 0, path)
        except (FormatError, IntegrityError):  # what cannot be read can be replaced
            return None


def _told(notes: Mapping[bytes, bytes], rows: int, path: Path) -> Saved:
    """What the notes in a footer say of a save of so many rows."""
    when, version, ids = (notes.get(f"millpond.{key}".encode()) for key in ("saved_at", "version", "save_ids"))
    try:
        saved_at = datetime.fromisoformat(when.decode()) if when else None
        save_ids = tuple(json.loads(ids)) if ids else ()
        return Saved(rows, saved_at, int(version) if version else None, save_ids)
    except ValueError as error:
        raise FormatError(f"The notes in the footer of {path.name} are damaged: {error}.") from error


def _as_one(parts: Sequence[PartFile], name: str) -> ForeignParquet:
    from framework.formats.parquet_foreign import ForeignParquet, Part

    files = [Part(part.path.name, part.path, part.values) for part in parts]
    return ForeignParquet(files, name)
