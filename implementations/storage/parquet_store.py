"""Parquet files in a folder."""

from __future__ import annotations

from pathlib import Path

from framework.parquet_folder import ParquetFolder

PROVIDES = {
    "kind": "store",
    "name": "parquet",
    "object": "ParquetStore",
    "roles": ["source", "saver", "backup"],
    "extra": None,
    "summary": "Parquet files in FS_DATA",
}


class ParquetStore(ParquetFolder):
    """One Parquet file per dataset in FS_DATA."""

    kind = "parquet"

    @property
    def folder(self) -> Path:
        return self.settings.data_folder
