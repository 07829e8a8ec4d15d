"""Parquet files in FS_TEMP: what one process leaves for the next, by name, never backed up, gone after a while."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from framework.errors import DataException
from framework.files import make_folder
from framework.folder import OWN
from framework.parquet_folder import ParquetFolder, ParquetOptions
from framework.store import Save

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema

PROVIDES = {
    "kind": "store",
    "name": "temp",
    "object": "TempStore",
    "roles": ["source", "saver"],
    "extra": None,
    "summary": "Parquet files in FS_TEMP, shared between processes",
}
HOUR = 3600.0


class TempOptions(ParquetOptions):
    """How long what is left there is kept.

    Attributes
    ----------
    keep_days : float, optional
        A dataset that was saved by Millpond and not again for so many days is removed by a later save of any other;
        None keeps all.
    """

    keep_days: float | None = Field(default=7.0, gt=0, allow_inf_nan=False)


class TempStore(ParquetFolder):
    """One Parquet file per dataset in FS_TEMP."""

    kind = "temp"
    Options = TempOptions
    options: TempOptions

    @property
    def folder(self) -> Path:
        return self.settings.temp_folder

    def _write(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> None:
        super()._write(name, table, schema, save)
        if self.options.keep_days is not None and self._is_time():
            self._sweep(datetime.now(UTC) - timedelta(days=self.options.keep_days), but=name)

    def _is_time(self) -> bool:
        """Whether nobody has swept for an hour; from now on somebody has."""
        mark = self.folder / OWN / "swept"
        try:
            if 0 <= time.time() - mark.stat().st_mtime < HOUR:
                return False
        except FileNotFoundError:
            make_folder(mark.parent)
        mark.touch()
        return True

    def _sweep(self, before: datetime, *, but: str) -> None:
        """Remove what we saved and nobody saved since; the save that asks for it does not fail over it."""
        for name in self.list_sources():
            with suppress(DataException, OSError):  # locked, gone, or none of ours: the next one will see
                if name != but and not self._parts(name) and self._is_old(name, before):
                    self._remove_old(name, before)

    def _is_old(self, name: str, before: datetime) -> bool:
        path = self.path(name)
        if path.stat().st_mtime >= before.timestamp():
            return False
        saved = self._before(path)
        return saved is not None and saved.saved_at is not None and saved.saved_at < before

    def _remove_old(self, name: str, before: datetime) -> None:
        with self._hold(name, 0.0):
            if self._is_old(name, before):
                self._delete(name)
                self.logger.info("%s:%s removed: nobody saved it since %s", self.name, name, before.date())
