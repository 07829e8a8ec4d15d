"""The vault when things are already broken: the data, the newest backup, the folder, the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import time_machine

from framework import DataFactory, Vault, as_settings
from framework.errors import IntegrityError
from framework.testing import assert_same

ONE, TWO = pd.DataFrame({"a": [1], "t": ["007"]}), pd.DataFrame({"a": [2], "t": ["008"]})


@pytest.fixture(params=["csv", "parquet"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return DataFactory(as_settings(None, workspace=tmp_path)).create_store(request.param)


def backup(vault: Vault, name: str = "d") -> str:
    return str(vault.backup_data(name)[1])


@pytest.mark.parametrize("rubbish", [b"", b'a,b\n1\n2,3,4\n"', b"\xff\xfe\x00"])
def test_a_dataset_that_cannot_be_read_can_be_restored_and_its_bytes_are_kept(store: Any, rubbish: bytes) -> None:
    """The cure that its error names works, and what was there is put aside as it was."""
    store.save_data(ONE, "d")
    good = backup(store.vault)
    store.path("d").write_bytes(rubbish)
    with pytest.raises(Exception, match=r"d"):
        store.get_data("d")
    assert store.vault.restore_data("d", good)
    assert_same(ONE, store.get_data("d"))
    aside = store.vault.list_backups("d")[-1]
    assert aside.rows is None
    assert store.vault.verify_backup(aside.backup_id)
    assert store.vault.restore_data("d", aside.backup_id)
    assert store.path("d").read_bytes() == rubbish


def test_the_newest_backup_that_is_damaged_is_told_and_no_older_one_taken_for_it(store: Any) -> None:
    """Older data under the name of the newest would be a silent loss; named, the older one is restored."""
    store.save_data(ONE, "d")
    older = backup(store.vault)
    store.save_data(TWO, "d")
    newest = backup(store.vault)
    manifest = next(store.vault.folder.rglob(f"{newest}/manifest.json"))
    manifest.write_text("{")
    with pytest.raises(IntegrityError, match=newest):
        store.vault.restore_data("d")
    assert_same(TWO, store.get_data("d"))
    assert list(store.vault.damaged()) == [f"{store.name}:d {newest}"]
    assert store.vault.restore_data("d", older)
    assert_same(ONE, store.get_data("d"))


def test_backups_are_in_the_order_in_which_they_were_made_though_the_clock_goes_back(store: Any) -> None:
    """The newest is the last one made."""
    store.save_data(ONE, "d")
    first = backup(store.vault)
    store.save_data(TWO, "d")
    with time_machine.travel("2020-01-01"):
        second = backup(store.vault)
    assert [record.backup_id for record in store.vault.list_backups("d")] == [first, second]


def test_backups_inside_the_data_folder_are_no_datasets_and_keep_their_dtypes(tmp_path: Path) -> None:
    """FS_BACKUP may lie under FS_DATA."""
    settings = as_settings({"FS_DATA": ".", "FS_BACKUP": "./backup", "FS_TEMP": "./temp"}, workspace=tmp_path)
    factory = DataFactory(settings)
    store = factory.create_store("csv")
    factory.create_data_saver("temp").save_data(ONE, "t")
    frame = pd.DataFrame({"c": pd.Categorical(["x", "y"]), "t": ["1", "2"], "n": pd.array([1, None], dtype="Int64")})
    store.save_data(frame, "d")
    backup_id = backup(store.vault)
    assert store.list_sources() == ["d"]
    for _ in range(3):
        store.save_data(ONE, "d")
    assert store.vault.restore_data("d", backup_id)
    assert_same(frame, store.get_data("d"))


def test_old_backups_that_cannot_be_removed_fail_no_backup(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The new one is good and is answered; a WARNING says what was left."""
    store = DataFactory(as_settings(None, workspace=tmp_path)).create_store("csv")
    vault = Vault(store, tmp_path / "b", keep=1)
    store.save_data(ONE, "d")
    old = backup(vault)
    blocked = next((tmp_path / "b").rglob(old)).with_name(f".{old}.partial")
    blocked.write_text("in the way of the renaming")
    assert vault.backup_data("d")[0]
    assert "old backups were not removed" in caplog.text
