"""Files of ours that another program copies or writes anew: what is on record of them still holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from framework import DataFactory
from framework.errors import FormatError, IntegrityError
from framework.settings import as_settings


def store(kind: str, folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    return DataFactory(as_settings(workspace=folder, FS_DATA=str(folder / "data"))).create_store(kind)


def test_a_save_is_known_again_though_a_tool_wrote_the_file_anew(tmp_path: Path) -> None:
    """The same save_id adds nothing, and the version goes on, as long as our notes are in the footer."""
    parquet, rows = store("parquet", tmp_path), pd.DataFrame({"n": [1, 2]})
    parquet.save_data(rows, "d")
    parquet.save_data(rows, "d", mode="append", save_id="day-2")
    path = tmp_path / "data" / "d.parquet"
    pq.write_table(pq.read_table(path), path)
    parquet.save_data(rows, "d", mode="append", save_id="day-2")
    assert len(parquet.get_data("d")) == 4
    assert parquet.describe("d").version == 2


def test_a_snapshot_of_hard_links_keeps_what_is_on_record_of_it(tmp_path: Path) -> None:
    """Saves of a CSV leave the record of a linked copy of its folder as it was."""
    live, small = store("csv", tmp_path / "live"), pd.array([1, None], dtype="Int8")
    for _ in range(3):
        live.save_data(pd.DataFrame({"n": small}), "d")
    for path in (tmp_path / "live").rglob("*"):
        target = tmp_path / "copy" / path.relative_to(tmp_path / "live")
        target.mkdir(parents=True) if path.is_dir() else os.link(path, target)
    for _ in range(3):
        live.save_data(pd.DataFrame({"n": ["other"]}), "d")
    assert store("csv", tmp_path / "copy").get_data("d")["n"].dtype == "Int8"


@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_a_damaged_table_can_be_replaced(tmp_path: Path, kind: str) -> None:
    """It cannot be read, nor be backed up; whoever has the data anew can save it."""
    store = DataFactory(as_settings({}, workspace=tmp_path)).create_store(kind)
    store.save_data(pd.DataFrame({"a": range(1000)}), "d")
    path = store.path("d")
    raw = bytearray(path.read_bytes())
    raw[-40] ^= 255
    path.write_bytes(raw)
    with pytest.raises((FormatError, IntegrityError)):
        store.get_data("d")
    store.save_data(pd.DataFrame({"a": [1]}), "d")
    assert store.get_data("d")["a"].tolist() == [1]
