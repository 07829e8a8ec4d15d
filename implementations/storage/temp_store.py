"""Parquet files in FS_TEMP: what one process leaves for the next, shared by name, never backed up."""

from __future__ import annotations

from pathlib import Path

from framework.folder import ParquetFolder

PROVIDES = {
    "kind": "store",
    "name": "temp",
    "object": "TempStore",
    "roles": ["source", "saver"],
    "extra": None,
    "summary": "Parquet files in FS_TEMP, shared between processes",
}


class TempStore(ParquetFolder):
    """One Parquet file per dataset in FS_TEMP."""

    kind = "temp"

    @property
    def folder(self) -> Path:
        return self.settings.temp_folder
