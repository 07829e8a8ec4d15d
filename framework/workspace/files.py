"""One file by its path: whatever it is called, and nothing of ours put beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import DatasetNotFoundError, OptionError
from framework.files import replacing, storage_errors
from framework.interfaces import Description

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection
    from framework.store import Where

SUFFIXES = {".csv": "csv", ".parquet": "parquet"}


class File:
    """A .csv or .parquet file; read as one that others wrote, written as one that others read.

    Parameters
    ----------
    path : Path
        With one of the suffixes of `SUFFIXES`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind = SUFFIXES[path.suffix]

    @property
    def name(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return self.path.is_file()

    def get_data(self, *, columns: Sequence[Any] | None = None, where: Where | None = None) -> pd.DataFrame:
        """Its rows; DatasetNotFoundError, FormatError."""
        from framework.schema import Selection, decode

        return decode(*self._read(Selection.asked(columns, where)))

    def describe(self) -> Description:
        """Rows, bytes and columns."""
        from framework.folder import Saved, describe
        from framework.schema import ALL

        table, schema = self._read(ALL)
        return describe(self.kind, self.name, schema, Saved(table.num_rows), self.path.stat().st_size)

    def fingerprint(self) -> str:
        """The hash over what its rows mean."""
        from framework.schema import ALL, fingerprint

        return fingerprint(*self._read(ALL))

    def _read(self, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        with storage_errors(self.name):
            if not self.path.is_file():
                raise DatasetNotFoundError(f"There is no file {self.name!r}.", resource=self.name)
            if self.kind == "parquet":
                from framework.formats.parquet import read_parquet

                table, schema = read_parquet(self.path, selection)
            else:
                from framework.formats.csv_foreign import read_file

                table, schema = read_file(self.path, selection)
        return selection.exactly(table, schema, self.name)

    def save(self, frame: pd.DataFrame, *, lossy: bool = False) -> list[str]:
        """Write it, atomically; what a reader of the file cannot know any more: `column: dtype` each.

        Raises
        ------
        FidelityError, StorageError
        """
        from framework.schema import encode

        if not self.path.parent.is_dir():
            raise OptionError(f"There is no folder {str(self.path.parent)!r}.", cure="Make it.", resource=self.name)
        table, schema = encode(frame, lossy=lossy)
        with storage_errors(self.name):
            if self.kind == "parquet":
                from framework.formats.parquet import write_parquet

                write_parquet(self.path, table, schema)
                return []
            from framework.formats.csv import write_rows

            with replacing(self.path) as sink:
                write_rows(sink, table, schema, delimiter=",", encoding="utf-8")
        return self._lost(schema)

    def _lost(self, saved: FrameSchema) -> list[str]:
        """What a CSV without a record beside it does not tell."""
        from framework.schema import ALL

        _, found = self._read(ALL)
        told = {field.name: field.shown for field in found.fields}
        lost = [f"{field.name}: {field.shown}" for field in saved.fields if told.get(field.name) != field.shown]
        return [*lost, *(f"{field.name}: the index" for field in saved.levels)]
