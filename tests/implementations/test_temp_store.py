"""The temp store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import time_machine

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

    def test_what_nobody_saved_for_long_is_removed(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A save removes what was saved here more than keep_days ago, said in the log; and no file of others."""
        store = self.made(tmp_path)
        with time_machine.travel("2024-01-01", tick=False):
            store.save_data(PLAIN, "old")
            store.save_data(PLAIN, "again")
        pq.write_table(pa.table({"a": [1]}), store.folder / "theirs.parquet")
        with time_machine.travel("2024-01-06", tick=False):
            store.save_data(PLAIN, "again")
        for name in ("old", "theirs"):
            self.aged(store, name, "2024-01-01")
        self.aged(store, "again", "2024-01-06")
        with time_machine.travel("2024-01-09", tick=False), caplog.at_level("INFO", "millpond"):
            store.save_data(PLAIN, "new")
            assert store.list_sources() == ["again", "new", "theirs"]
        assert "temp:old removed" in caplog.text

    def test_it_looks_for_old_ones_once_an_hour(self, tmp_path: Path) -> None:
        """Not at each save; and never with keep_days=None."""
        with time_machine.travel("2024-01-01", tick=False):
            for name in ("old", "older"):
                self.made(tmp_path).save_data(PLAIN, name)
        store = self.made(tmp_path, keep_days=None)
        self.aged(store, "old", "2024-01-01")
        self.aged(store, "older", "2024-01-01")
        store.save_data(PLAIN, "new")
        assert len(store.list_sources()) == 3
        store = self.made(tmp_path)
        (store.folder / ".millpond" / "swept").touch()
        store.save_data(PLAIN, "new")
        assert len(store.list_sources()) == 3
        os.utime(store.folder / ".millpond" / "swept", (1, 1))
        store.save_data(PLAIN, "new")
        assert store.list_sources() == ["new"]

    def test_an_old_one_that_is_being_written_stays(self, tmp_path: Path) -> None:
        """Its writer holds the lock; nobody waits for it."""
        store, other = self.made(tmp_path), self.made(tmp_path)
        with time_machine.travel("2024-01-01", tick=False):
            store.save_data(PLAIN, "old")
        self.aged(store, "old", "2024-01-01")
        os.utime(store.folder / ".millpond" / "swept", (1, 1))
        with other.locked("old"):
            store.save_data(PLAIN, "new")
        assert store.list_sources() == ["new", "old"]

    def made(self, place: Path, **options: Any) -> Any:
        return DataFactory(as_settings(workspace=place)).create_store("temp", **options)

    def aged(self, store: Any, name: str, day: str) -> None:
        when = pd.Timestamp(day).timestamp()
        os.utime(store.folder / f"{name}.parquet", (when, when))
