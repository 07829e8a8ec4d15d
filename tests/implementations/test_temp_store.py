"""The temp store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework import DataFactory, as_settings
from framework.errors import UnknownNameError
from framework.testing import FolderConformance, assert_same
from framework.testing.suite import PLAIN, Rows


class TestTempStore(FolderConformance):
    kind = "temp"
    suffix = ".parquet"
    deaths, examples = 5, 30  # its files are the parquet store's

    def raw_read(self, store: Any, name: str) -> Rows:
        return [tuple(row.values()) for row in pq.read_table(store.folder / f"{name}.parquet").to_pylist()]

    def raw_write(self, store: Any, name: str, rows: list[dict[str, Any]]) -> None:
        store.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), store.folder / f"{name}.parquet")

    def test_it_lies_in_fs_temp(self, tmp_path: Path) -> None:
        """Each dataset is a Parquet file in FS_TEMP, and nothing is written to FS_DATA or FS_BACKUP."""
        factory = DataFactory(as_settings(workspace=tmp_path, FS_TEMP="passing"))
        factory.create_data_saver("temp").save_data(PLAIN, "d")
        assert pq.read_table(tmp_path / "passing" / "d.parquet").num_rows == 3
        assert [path.name for path in tmp_path.iterdir()] == ["passing"]
        assert_same(PLAIN, factory.create_data_source("temp").get_data("d"))

    def test_it_is_never_backed_up(self, tmp_path: Path) -> None:
        """There is no vault over temp."""
        factory = DataFactory(as_settings(workspace=tmp_path))
        with pytest.raises(UnknownNameError, match="backup"):
            factory.create_data_backup("temp")
        assert factory.create_store("temp").vault is None
