"""The vault: what is backed up can be had back, or says that it cannot."""

from __future__ import annotations

import logging
import multiprocessing
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework import DataFactory, Vault, as_settings
from framework.errors import (
    BackupNotFoundError,
    DatasetNotFoundError,
    IntegrityError,
    LockedError,
    OptionError,
    PartialFailure,
    StorageError,
)
from framework.testing import assert_same
from framework.testing.examples import SAME
from framework.testing.suite import OTHER, PLAIN

KINDS = ("csv", "parquet", "postgres")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings under which a store of that kind keeps to this test."""
    given: dict[str, Any] = {"workspace": tmp_path}
    if kind == "postgres":
        given["DB_URL"] = request.getfixturevalue("postgres_url")
        given["DB_SCHEMA"] = request.getfixturevalue("postgres_schema")
    return given


@pytest.fixture
def store(kind: str, place: dict[str, Any]) -> Iterator[Any]:
    made = DataFactory(as_settings(**place)).create_store(kind)
    yield made
    made.close()


@pytest.fixture
def vault(store: Any) -> Any:
    return store.vault


def backup(vault: Any, name: str = "d") -> str:
    done, backup_id = vault.backup_data(name)
    assert done is True
    return str(backup_id)


def folder_of(vault: Any, backup_id: str) -> Path:
    (folder,) = vault.folder.glob(f"*/*/{backup_id}")
    return Path(folder)


# --------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("what", ["all kinds side by side", "a MultiIndex", "no column", "no row", "many rows"])
def test_a_backup_gives_the_same_frame_back(store: Any, vault: Any, what: str) -> None:
    """What was there when it was backed up is there again after a restore, whatever came in between."""
    frame = SAME[what]()
    store.save_data(frame, "d")
    backup_id = backup(vault)
    for between in (lambda: store.save_data(OTHER, "d"), lambda: store.delete_data("d")):
        between()
        assert vault.restore_data("d", backup_id) is True
        assert_same(frame, store.get_data("d"))


@pytest.mark.parametrize("name", ["a b", "deep/er", "x.y", "ü/日本", "AAA - energy", "%2e", "-"])
def test_any_dataset_can_be_backed_up(store: Any, vault: Any, name: str, kind: str) -> None:
    """Slashes, dots and other scripts in a name do not confuse the vault."""
    if name.startswith("%") and kind != "postgres":
        return
    store.save_data(PLAIN, name)
    store.save_data(OTHER, "another")
    backup(vault, name)
    assert [record.source for record in vault.list_backups()] == [name]
    store.delete_data(name)
    assert vault.restore_data(name) is True
    assert_same(PLAIN, store.get_data(name))


@pytest.mark.parametrize("name", ["..", ".hidden", "../../x", "a\nb", '"; drop table x; --', "N" * 900, "~", "CON"])
def test_odd_names_stay_in_the_vault(tmp_path: Path, postgres_url: str, postgres_schema: str, name: str) -> None:
    """A name that is a path, or longer than a file's may be, is kept under the vault's folder, and comes back."""
    settings = as_settings(workspace=tmp_path, DB_URL=postgres_url, DB_SCHEMA=postgres_schema)
    store = DataFactory(settings).create_store("postgres")
    store.save_data(PLAIN, name)
    backup(store.vault, name)
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    assert [record.source for record in store.vault.list_backups(name)] == [name]
    store.delete_data(name)
    store.vault.restore_data(name)
    assert_same(PLAIN, store.get_data(name))


def test_names_that_look_alike_to_the_vault_stay_apart(tmp_path: Path, postgres_url: str, postgres_schema: str) -> None:
    """Long names with a common beginning, and names that are another's quoted form, do not share backups."""
    settings = as_settings(workspace=tmp_path, DB_URL=postgres_url, DB_SCHEMA=postgres_schema)
    store = DataFactory(settings).create_store("postgres")
    names = ["a/b", "a%2Fb", ".x", "%2Ex", "x" * 300 + "1", "x" * 300 + "2"]
    for name in names:
        store.save_data(PLAIN, name)
        backup(store.vault, name)
    assert all(len(store.vault.list_backups(name)) == 1 for name in names)


def test_a_backup_tells_what_it_holds(store: Any, vault: Any, kind: str) -> None:
    """The record has source, store, rows, bytes, version and the fingerprint that the dataset has."""
    store.save_data(OTHER, "d")
    store.save_data(PLAIN, "d")
    backup_id = backup(vault)
    (record,) = vault.list_backups()
    assert (record.backup_id, record.source, record.store) == (backup_id, "d", kind)
    assert (record.rows, record.version) == (3, 2)
    assert record.bytes > 0
    assert record.fingerprint == store.fingerprint("d")
    assert vault.verify_backup(backup_id) is True


def test_backups_are_listed_newest_last(store: Any, vault: Any) -> None:
    """list_backups orders by time, of one dataset or of all; without a name restore takes the newest."""
    made = []
    for value in (1, 2, 3):
        store.save_data(pd.DataFrame({"x": [value]}), "d")
        made.append(backup(vault))
    store.save_data(PLAIN, "e")
    made.append(backup(vault, "e"))
    assert [record.backup_id for record in vault.list_backups()] == made
    assert [record.backup_id for record in vault.list_backups("d")] == made[:3]
    assert vault.list_backups("nothing") == []
    store.save_data(OTHER, "d")
    vault.restore_data("d")
    assert list(store.get_data("d")["x"]) == [3]


def test_a_restore_backs_up_what_it_replaces(store: Any, vault: Any) -> None:
    """What a restore puts aside can be restored itself, and a missing dataset needs no such backup."""
    store.save_data(PLAIN, "d")
    first = backup(vault)
    store.save_data(OTHER, "d")
    vault.restore_data("d", first)
    assert len(vault.list_backups("d")) == 2
    assert_same(PLAIN, store.get_data("d"))
    vault.restore_data("d", vault.list_backups("d")[-1].backup_id)
    assert_same(OTHER, store.get_data("d"))
    store.delete_data("d")
    vault.restore_data("d", first)
    assert len(vault.list_backups("d")) == 3


# --------------------------------------------------------------------------- what is not there


def test_a_backup_of_nothing_warns(store: Any, vault: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Backing up an unknown dataset answers (False, None), and a WARNING names the nearest."""
    store.save_data(PLAIN, "prices")
    with caplog.at_level(logging.WARNING):
        assert vault.backup_data("price") == (False, None)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "'price'" in record.getMessage()
    assert "did you mean 'prices'" in record.getMessage()
    assert vault.list_backups() == []


def test_an_unknown_backup_is_an_error_that_names_what_exists(store: Any, vault: Any) -> None:
    """An id that is not there, one of another dataset, a path: BackupNotFoundError, and nothing changes."""
    store.save_data(PLAIN, "d")
    with pytest.raises(BackupNotFoundError, match="There are none yet"):
        vault.restore_data("d")
    backup_id = backup(vault)
    for wrong in ("nothing", backup_id[:-1] + "x", "../" + backup_id, "", "."):
        with pytest.raises(BackupNotFoundError):
            vault.verify_backup(wrong)
        with pytest.raises(BackupNotFoundError, match=backup_id):
            vault.restore_data("d", wrong)
    store.save_data(OTHER, "e")
    with pytest.raises(BackupNotFoundError, match=r"of 'd', not of 'e'"):
        vault.restore_data("e", backup_id)
    with pytest.raises(BackupNotFoundError, match="Known: d"):
        vault.restore_data("f")
    assert_same(OTHER, store.get_data("e"))
    assert_same(PLAIN, store.get_data("d"))


# --------------------------------------------------------------------------- all of them


def test_all_datasets_are_backed_up(store: Any, vault: Any) -> None:
    """backup_all answers each dataset with its backup, in order."""
    for name in ("b", "a", "c/d"):
        store.save_data(PLAIN, name)
    answer = vault.backup_all()
    assert [source for source, _ in answer] == ["a", "b", "c/d"]
    assert [vault.verify_backup(backup_id) for _, backup_id in answer] == [True] * 3
    assert (
        DataFactory(as_settings(workspace=vault.folder.parent / "backup")).create_store("csv").vault.backup_all() == []
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_dataset_that_cannot_be_backed_up_keeps_no_other_from_it(store: Any, vault: Any, kind: str) -> None:
    """backup_all tries all and then raises PartialFailure, whose report has a Result each."""
    for name in ("a", "b", "c"):
        store.save_data(PLAIN, name)
    (store.folder / f"b.{kind}").write_bytes(b"\x00 rubbish")
    with pytest.raises(PartialFailure, match=r"1 of 3 failed.*b: FormatError") as caught:
        vault.backup_all()
    assert [(result.name, bool(result)) for result in caught.value.report] == [("a", True), ("b", False), ("c", True)]
    assert caught.value.exit_code == 30
    assert [record.source for record in vault.list_backups()] == ["a", "c"]
    for record in vault.list_backups():
        assert vault.verify_backup(record.backup_id)


# --------------------------------------------------------------------------- damage


def test_no_damage_goes_unnoticed(store: Any, vault: Any) -> None:
    """One bit flipped anywhere, one byte cut off or added, in any file of a backup: verify and restore raise."""
    store.save_data(pd.DataFrame({"x": [1, 2], "t": ["a", "b"]}), "d")
    backup_id = backup(vault)
    folder, chance = folder_of(vault, backup_id), random.Random(5)
    store.save_data(PLAIN, "d")
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        places = range(len(whole)) if len(whole) < 3000 else chance.sample(range(len(whole)), 3000)
        for at in places:
            bent = bytearray(whole)
            bent[at] ^= 1 << chance.randrange(8)
            _refused(vault, path, bytes(bent), backup_id)
        for damaged in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\n", whole + b"\0"):
            _refused(vault, path, damaged, backup_id)
        path.write_bytes(whole)
    with pytest.raises(IntegrityError):
        _restore_damaged(vault, folder, backup_id)
    assert_same(PLAIN, store.get_data("d"))
    assert len(vault.list_backups("d")) == 1  # nothing was replaced, so nothing was put aside


def _refused(vault: Any, path: Path, content: bytes, backup_id: str) -> None:
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        vault.verify_backup(backup_id)


def _restore_damaged(vault: Any, folder: Path, backup_id: str) -> None:
    path = next(path for path in folder.iterdir() if path.name.startswith("data"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    try:
        vault.restore_data("d", backup_id)
    finally:
        path.write_bytes(whole)


def test_a_file_that_is_gone_is_noticed(store: Any, vault: Any) -> None:
    """A backup that lacks a file is refused; without its manifest it is no backup."""
    store.save_data(PLAIN, "d")
    backup_id = backup(vault)
    folder = folder_of(vault, backup_id)
    for path in sorted(folder.iterdir()):
        path.rename(folder.parent / "aside")
        kind = BackupNotFoundError if path.name == "manifest.json" else IntegrityError
        with pytest.raises(kind):
            vault.verify_backup(backup_id)
        with pytest.raises(kind):
            vault.restore_data("d", backup_id)
        (folder.parent / "aside").rename(path)
    (folder / "manifest.json").unlink()
    assert vault.list_backups() == []


def test_a_damaged_manifest_is_not_listed(store: Any, vault: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A manifest that is no JSON, or of a newer Millpond, is passed over with a WARNING; the others are listed."""
    store.save_data(PLAIN, "d")
    bad, newer, good = backup(vault), backup(vault), backup(vault)
    (folder_of(vault, bad) / "manifest.json").write_text("{")
    path = folder_of(vault, newer) / "manifest.json"
    path.write_text(path.read_text().replace('"millpond": 2', '"millpond": 3'))
    with caplog.at_level(logging.WARNING):
        assert [record.backup_id for record in vault.list_backups()] == [good]
    assert bad in caplog.text
    assert "newer Millpond" in caplog.text
    store.save_data(OTHER, "d")
    assert vault.restore_data("d", good) is True
    assert_same(PLAIN, store.get_data("d"))


def test_an_older_backup_is_never_taken_for_a_damaged_newest(store: Any, vault: Any) -> None:
    """When the newest backup is damaged, a restore that names none raises and changes nothing."""
    store.save_data(PLAIN, "d")
    backup(vault)
    time.sleep(1.01 - time.time() % 1)
    path = folder_of(vault, backup(vault)) / "manifest.json"
    path.write_bytes(path.read_bytes()[:-1])
    store.save_data(OTHER, "d")
    with pytest.raises(IntegrityError, match="newest"):
        vault.restore_data("d")
    assert_same(OTHER, store.get_data("d"))


def test_a_backup_that_was_moved_is_not_taken_for_another(store: Any, vault: Any) -> None:
    """A backup copied under another dataset or id is refused and not listed: it is not what its place says."""
    store.save_data(PLAIN, "d")
    store.save_data(OTHER, "e")
    one, two = backup(vault, "d"), backup(vault, "e")
    copied = folder_of(vault, two).parent / one
    shutil.copytree(folder_of(vault, one), copied)
    renamed = folder_of(vault, two).with_name(two[:-1] + "~")
    shutil.copytree(folder_of(vault, two), renamed)
    assert [record.backup_id for record in vault.list_backups("e")] == [two]
    with pytest.raises(IntegrityError):
        vault.verify_backup(renamed.name)


def test_a_copied_vault_is_a_vault(store: Any, vault: Any, place: dict[str, Any], kind: str, tmp_path: Path) -> None:
    """The folder of backups can be copied to another disk and restored from there."""
    store.save_data(SAME["all kinds side by side"](), "d")
    backup(vault)
    shutil.copytree(vault.folder, tmp_path / "elsewhere")
    shutil.rmtree(vault.folder)
    other = DataFactory(as_settings(**{**place, "FS_BACKUP": "elsewhere"})).create_store(kind)
    store.delete_data("d")
    assert other.vault.restore_data("d") is True
    assert_same(SAME["all kinds side by side"](), store.get_data("d"))


# --------------------------------------------------------------------------- crashes, disks, others


def test_what_a_crash_left_is_not_listed_and_swept(store: Any, vault: Any) -> None:
    """A folder that a dead backup left is no backup, and the next backup of that dataset removes it."""
    store.save_data(PLAIN, "d")
    done = folder_of(vault, backup(vault))
    left = done.with_name(".20200101T000000Z-aaaaaa.partial")
    shutil.copytree(done, left)
    (done.parent / "20200101T000000Z-bbbbbb").mkdir()  # one without a manifest
    assert len(vault.list_backups()) == 1
    backup(vault)
    assert not left.exists()
    assert len(vault.list_backups()) == 2


def _back_up_for_ever(pipe: Any, place: dict[str, Any], kind: str) -> None:
    vault = DataFactory(as_settings(**place)).create_data_backup(kind)
    pipe.send("ready")
    while True:
        vault.backup_data("d")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_backup_that_is_killed_is_whole_or_not_there(store: Any, vault: Any, kind: str, place: Any) -> None:
    """SIGKILL at any moment of a backup: whatever is listed verifies, and the next backup goes on at once."""
    store.save_data(SAME["many rows"](), "d")
    chance, context = random.Random(3), multiprocessing.get_context("fork")
    for _ in range(10):
        ours, theirs = context.Pipe()
        process = context.Process(target=_back_up_for_ever, args=(theirs, place, kind), daemon=True)
        process.start()
        assert ours.poll(20)
        time.sleep(chance.uniform(0, 0.12))
        process.kill()
        process.join()
        for record in vault.list_backups():
            assert vault.verify_backup(record.backup_id)
        began = time.monotonic()
        backup(vault)
        assert time.monotonic() - began < 5
    assert list(vault.folder.rglob("*.partial")) == []


def test_a_folder_that_cannot_be_written_is_an_error(store: Any, vault: Any) -> None:
    """A file where the vault's folder should be: StorageError on backing up, health says no, the data is untouched."""
    store.save_data(PLAIN, "d")
    vault.folder.write_text("a file")
    with pytest.raises(StorageError):
        vault.backup_data("d")
    assert vault.health_check() is False
    assert_same(PLAIN, store.get_data("d"))


def test_health_is_that_of_store_and_folder(store: Any, vault: Any) -> None:
    """A vault whose folder does not exist yet is healthy, and a probe makes nothing."""
    assert vault.health_check() is True
    assert not vault.folder.exists()


def test_the_last_thirty_are_kept(tmp_path: Path) -> None:
    """A backup prunes the oldest beyond `keep`, 30 unless given, of its dataset only."""
    store = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet")
    vault = store.vault
    store.save_data(PLAIN, "other")
    backup(vault, "other")
    store.save_data(PLAIN, "d")
    made = [backup(vault) for _ in range(32)]
    assert [record.backup_id for record in vault.list_backups("d")] == made[2:]
    assert len(vault.list_backups("other")) == 1
    assert len(list((vault.folder / "parquet" / "d").iterdir())) == 30
    with pytest.raises(OptionError, match="keep=0"):
        Vault(store, vault.folder, keep=0)


def test_a_restore_never_prunes(tmp_path: Path) -> None:
    """The backup that a restore makes of what it replaces pushes no other out."""
    store = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet")
    vault = Vault(store, tmp_path / "backup", keep=2)
    store.save_data(PLAIN, "d")
    made = [backup(vault) for _ in range(2)]
    vault.restore_data("d", made[0])
    vault.restore_data("d", made[0])
    assert [record.backup_id for record in vault.list_backups("d")][:2] == made
    assert len(vault.list_backups("d")) == 4


def test_a_restore_takes_the_writers_lock(store: Any, vault: Any, place: dict[str, Any], kind: str) -> None:
    """While a writer holds the dataset a restore waits its patience out and changes nothing."""
    from concurrent.futures import ThreadPoolExecutor

    store.save_data(PLAIN, "d")
    backup_id = backup(vault)
    store.save_data(OTHER, "d")
    hasty = DataFactory(as_settings(**place)).create_store(kind, lock_timeout=0.2)
    with ThreadPoolExecutor(1) as pool, store.locked("d"), pytest.raises(LockedError):
        pool.submit(hasty.vault.restore_data, "d", backup_id).result(timeout=20)
    assert_same(OTHER, store.get_data("d"))
    assert len(vault.list_backups("d")) == 1


def test_stores_share_a_folder_of_backups(tmp_path: Path) -> None:
    """Two stores keep their backups apart under one FS_BACKUP, of equal dataset names too."""
    factory = DataFactory(as_settings(workspace=tmp_path, stores={"crm": {"type": "csv"}}))
    one, two, three = (factory.create_store(name) for name in ("csv", "parquet", "crm"))
    for store, frame in ((one, PLAIN), (two, OTHER)):
        store.save_data(frame, "d")
        backup(store.vault)
    assert [len(store.vault.list_backups()) for store in (one, two, three)] == [1, 1, 0]
    with pytest.raises(BackupNotFoundError):
        one.vault.restore_data("d", two.vault.list_backups()[0].backup_id)
    assert one.vault.covers(one)
    assert not one.vault.covers(two)
    assert not one.vault.covers(three)  # the same files, but backups of its own


def test_the_original_bytes_of_a_file_come_back(tmp_path: Path) -> None:
    """A file that others wrote is restored byte for byte, and is still theirs."""
    store = DataFactory(as_settings(workspace=tmp_path)).create_store("csv")
    store.folder.mkdir()
    theirs = b'\xef\xbb\xbfid;name\r\n007;"a, b"\r\n'
    path = store.folder / "d.csv"
    path.write_bytes(theirs)
    store = DataFactory(as_settings(workspace=tmp_path)).create_store("csv", delimiter=";")
    before = store.get_data("d")
    backup(store.vault)
    store.save_data(OTHER, "d")
    store.vault.restore_data("d")
    assert path.read_bytes() == theirs
    assert_same(before, store.get_data("d"))
    assert store.describe("d").version is None


def test_a_dataset_that_vanishes_is_no_backup(store: Any, vault: Any) -> None:
    """Whatever is deleted before it is backed up is not there to be read either."""
    store.save_data(PLAIN, "d")
    store.delete_data("d")
    assert vault.backup_data("d") == (False, None)
    with pytest.raises(DatasetNotFoundError):
        store.get_data("d")
