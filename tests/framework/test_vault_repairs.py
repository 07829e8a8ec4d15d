"""The vault when things are already broken: the data, the newest backup, the folder, the clock."""

from __future__ import annotations

import datetime
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import time_machine

from framework import DataFactory, Vault, as_settings
from framework.errors import BackupNotFoundError, FidelityError, FormatError, IntegrityError, PartialFailure
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
    old, *_ = [backup(vault) for _ in range(3)]
    blocked = next((tmp_path / "b").rglob(old)).with_name(f".{old}.partial")
    blocked.write_text("in the way of the renaming")
    assert vault.backup_data("d")[0]
    assert "old backups were not removed" in caplog.text


# --------------------------------------------------------------------------- restored twice


def test_a_restore_that_is_run_twice_brings_the_bad_data_not_back(store: Any) -> None:
    """What a restore put aside is listed, and is restored when it is named, and only then."""
    store.save_data(ONE, "d")
    good = backup(store.vault)
    store.save_data(TWO, "d")
    for _ in range(3):
        store.vault.restore_data("d")
        assert_same(ONE, store.get_data("d"))
    listed = [record.backup_id for record in store.vault.list_backups("d")]
    assert (len(listed), listed[0]) == (4, good)
    store.vault.restore_data("d", listed[1])
    assert_same(TWO, store.get_data("d"))
    newer = backup(store.vault)
    store.save_data(ONE, "d")
    store.vault.restore_data("d")
    assert_same(TWO, store.get_data("d"))
    assert newer in [record.backup_id for record in store.vault.list_backups("d")]


def test_rubbish_that_was_put_aside_is_never_the_newest(store: Any) -> None:
    """A second restore gives the good rows again; with nothing else there it is refused, and names what there is."""
    store.save_data(ONE, "d")
    good = backup(store.vault)
    store.path("d").write_bytes(b'a,b\n1\n2,3,4\n"')
    for _ in range(2):
        store.vault.restore_data("d")
        assert_same(ONE, store.get_data("d"))
    store.vault.place.remove(f"{store.name}/d", good)
    aside = [record.backup_id for record in store.vault.list_backups("d")]
    with pytest.raises(BackupNotFoundError, match=aside[-1]):
        store.vault.restore_data("d")
    assert_same(ONE, store.get_data("d"))


def test_a_damaged_manifest_behind_what_was_put_aside_is_told(store: Any) -> None:
    """The newest that is meant is damaged: no older one is taken for it, though newer ones were put aside."""
    store.save_data(ONE, "d")
    older = backup(store.vault)
    store.save_data(TWO, "d")
    newest = backup(store.vault)
    store.vault.restore_data("d", older)
    next(store.vault.folder.rglob(f"{newest}/manifest.json")).write_text("{")
    with pytest.raises(IntegrityError, match=newest):
        store.vault.restore_data("d")


def test_a_manifest_of_an_earlier_version_is_read(store: Any) -> None:
    """It lacks what later ones tell: it was made by no restore, and its seal holds."""
    store.save_data(ONE, "d", save_id="one")
    key = backup(store.vault)
    path = next(store.vault.folder.rglob(f"{key}/manifest.json"))
    told = json.loads(path.read_bytes())
    told = {name: told[name] for name in told if name not in ("save_ids", "before_restore", "seal")} | {"millpond": 1}
    seal = sha256(json.dumps(told, indent=1).encode()).hexdigest()
    path.write_text(json.dumps({**told, "seal": seal}, indent=1))
    store.save_data(TWO, "d")
    assert store.vault.verify_backup(key)
    assert store.vault.restore_data("d")
    assert_same(ONE, store.get_data("d"))
    path.write_text(path.read_text().replace("{", '{"before_restore": true, ', 1))
    with pytest.raises(IntegrityError):
        store.vault.verify_backup(key)


# --------------------------------------------------------------------------- what cannot be read


def _date_beyond_all(store: Any, name: str) -> bytes:
    """A file of ours in which somebody put a day that no date is: it can be read, but is no frame."""
    store.save_data(pd.DataFrame({"d": pd.Series([datetime.date(2024, 1, 1)], dtype=object)}), name)
    path = store.path(name)
    known = pq.read_table(path)
    days = pa.table({"d": pa.array([2**30], pa.date32())}).replace_schema_metadata(known.schema.metadata)
    pq.write_table(days, path)
    return bytes(path.read_bytes())


def test_what_cannot_be_made_a_frame_is_no_verified_backup(tmp_path: Path) -> None:
    """No backup of it is made, but a restore puts its bytes aside, and only by name do they come back."""
    store = DataFactory(as_settings(None, workspace=tmp_path)).create_store("parquet")
    store.save_data(ONE, "d")
    backup(store.vault)
    content = _date_beyond_all(store, "d")
    with pytest.raises(FidelityError, match="parquet:d"):
        store.vault.backup_data("d")
    assert len(store.vault.list_backups("d")) == 1
    store.vault.restore_data("d")
    assert_same(ONE, store.get_data("d"))
    aside = store.vault.list_backups("d")[-1]
    assert aside.rows is None
    store.vault.restore_data("d", aside.backup_id)
    assert store.path("d").read_bytes() == content


def test_a_table_in_parts_that_cannot_be_made_a_frame_is_no_verified_backup(tmp_path: Path) -> None:
    """What a store copies as rows is made a frame before it counts, too."""
    store = DataFactory(as_settings(None, workspace=tmp_path)).create_store("parquet")
    _date_beyond_all(store, "d")
    store.path("d").rename(tmp_path / "part")
    folder = store.folder / "table"
    folder.mkdir()
    (tmp_path / "part").rename(folder / "part-0.parquet")
    with pytest.raises(FidelityError):
        store.get_data("table")
    with pytest.raises(FidelityError, match="parquet:table"):
        store.vault.backup_data("table")
    assert store.vault.list_backups() == []


def test_the_error_of_a_backup_that_cannot_be_made_names_the_dataset_and_a_cure(store: Any) -> None:
    """Whoever backs up or saves with a backup reads which dataset it is, in which file, and what helps."""
    store.save_data(ONE, "d")
    store.path("d").write_bytes(b'a,b\n1\n2,3,4\n"')
    with pytest.raises(FormatError, match=rf"{store.name}:d") as caught:
        store.save_with_backup(TWO, "d")
    assert "data." not in str(caught.value)
    assert caught.value.cure
    with pytest.raises(PartialFailure) as failed:
        store.vault.backup_all()
    (result,) = failed.value.report
    assert f"{store.name}:d" in str(result.errors)


# --------------------------------------------------------------------------- the clock, and folders of others


@pytest.mark.parametrize("odd", ["99999999T999999999999Z-x", "٢" * 8 + "T" + "٢" * 12 + "Z-x", "notes"])
def test_a_folder_that_is_no_backup_keeps_none_from_being_made_or_restored(store: Any, odd: str) -> None:
    """Whatever lies among the backups: the next one is made, and it is the newest."""
    store.save_data(ONE, "d")
    backup(store.vault)
    (store.vault.folder / store.name / "d" / odd).mkdir()
    store.save_data(TWO, "d")
    newest = backup(store.vault)
    assert [record.backup_id for record in store.vault.list_backups("d")][-1] == newest
    store.save_data(ONE, "d")
    store.vault.restore_data("d")
    assert_same(TWO, store.get_data("d"))


def test_only_a_backup_says_what_time_it_is(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A folder of the year 2099 without a manifest moves no clock; a backup of then does, and a WARNING says so."""
    store.save_data(ONE, "d")
    stray = store.vault.folder / store.name / "d" / "20990101T000000000000Z-aaaaaaaa"
    stray.mkdir(parents=True)
    backup(store.vault)
    assert store.vault.list_backups("d")[-1].created_at.year < 2099
    store.vault.restore_data("d")
    stray.rmdir()
    assert "clock" not in caplog.text
    with time_machine.travel("2099-01-01"):
        backup(store.vault)
    assert "clock" not in caplog.text
    newest = backup(store.vault)
    assert newest.startswith("2099")
    assert store.vault.list_backups("d")[-1].backup_id == newest
    assert "clock" in caplog.text
