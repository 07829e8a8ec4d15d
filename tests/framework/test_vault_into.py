"""A backup put into another place than it came from: another name, another store, another kind of store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework import DataFactory, Vault, as_settings
from framework.errors import (
    BackupNotFoundError,
    ConfigurationException,
    DatasetNameError,
    FidelityError,
    FormatError,
    IntegrityError,
    LockedError,
    OptionError,
    StorageError,
    UnknownNameError,
)
from framework.testing import assert_same
from framework.testing.examples import SAME
from framework.testing.suite import OTHER, PLAIN

KINDS = ("csv", "parquet", "postgres")


@pytest.fixture
def factory(tmp_path: Path, postgres_url: str, postgres_schema: str) -> DataFactory:
    stores = {"crm": {"type": "csv", "delimiter": ";"}}
    settings = as_settings(workspace=tmp_path, DB_URL=postgres_url, DB_SCHEMA=postgres_schema, stores=stores)
    return DataFactory(settings)


def backup(store: Any, name: str = "d") -> str:
    return str(store.vault.backup_data(name)[1])


@pytest.mark.parametrize("to", [*KINDS, "temp"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_goes_into_any_store(factory: DataFactory, kind: str, to: str) -> None:
    """From each kind of store into each, under another name: the same frame, and the source stays as it is."""
    store, frame = factory.create_store(kind), SAME["all kinds side by side"]()
    store.save_data(frame, "d")
    backup_id = backup(store)
    store.save_data(OTHER, "d")
    assert store.vault.restore_data("d", backup_id, into=f"{to}:copy") is True
    target = factory.create_store(to)
    assert_same(frame, target.get_data("copy"))
    assert_same(OTHER, store.get_data("d"))
    assert len(store.vault.list_backups()) == 1


@pytest.mark.parametrize("to", KINDS)
def test_what_is_replaced_is_backed_up_by_its_own_vault(factory: DataFactory, to: str) -> None:
    """The target's vault has what was there, and gives it back."""
    store, target = factory.create_store("parquet"), factory.create_store(to)
    store.save_data(PLAIN, "d")
    backup_id = backup(store)
    target.save_data(OTHER, "there")
    store.vault.restore_data("d", backup_id, into=f"{to}:there")
    assert_same(PLAIN, target.get_data("there"))
    (aside,) = target.vault.list_backups("there")
    target.vault.restore_data("there", aside.backup_id)
    assert_same(OTHER, target.get_data("there"))


def test_another_name_in_the_same_store_gets_the_original_bytes(factory: DataFactory) -> None:
    """A file that others wrote is theirs under the other name, too."""
    store = factory.create_store("csv")
    store.folder.mkdir()
    (store.folder / "d.csv").write_bytes(b"id,name\r\n007,x\r\n")
    backup(store)
    store.vault.restore_data("d", into="csv:e/f")
    assert (store.folder / "e" / "f.csv").read_bytes() == b"id,name\r\n007,x\r\n"


def test_a_file_that_others_wrote_is_read_as_its_own_store_reads_it(factory: DataFactory) -> None:
    """The options of the store that kept it hold, whatever those of the target are."""
    crm = factory.create_store("crm")
    crm.folder.mkdir()
    (crm.folder / "d.csv").write_bytes(b'id;name\n007;"a,b"\n')
    before = crm.get_data("d")
    backup(crm)
    for to in ("csv", "parquet", "postgres"):
        crm.vault.restore_data("d", into=f"{to}:copy")
        assert_same(before, factory.create_store(to).get_data("copy"))


def test_what_the_target_cannot_hold_is_refused_and_nothing_changes(factory: DataFactory) -> None:
    """PostgreSQL holds no NUL in text: FidelityError, and what was there is there."""
    store, target = factory.create_store("parquet"), factory.create_store("postgres")
    frame = pd.DataFrame({"t": ["a\0b", "c"]})
    store.save_data(frame, "d")
    backup(store)
    target.save_data(OTHER, "d")
    try:
        target.save_data(frame, "probe")
    except FidelityError:
        with pytest.raises(FidelityError):
            store.vault.restore_data("d", into="postgres:d")
        assert_same(OTHER, target.get_data("d"))
        with pytest.raises(FidelityError):
            store.vault.restore_data("d", into="postgres:new")
        assert not target.exists("new")
    else:
        store.vault.restore_data("d", into="postgres:d")
        assert_same(frame, target.get_data("d"))


@pytest.mark.parametrize("to", ["parquet", "csv", "temp"])
def test_the_ids_of_saves_go_with_the_rows_that_they_brought(factory: DataFactory, to: str) -> None:
    """In another store those of the backup are on record, and those of what was replaced there are not."""
    store, target = factory.create_store("csv" if to == "parquet" else "parquet"), factory.create_store(to)
    store.save_data(PLAIN, "d", save_id="mine")
    backup(store)
    if target.vault is not None:
        target.save_data(OTHER, "d")
        target.save_data(OTHER, "d", mode="append", save_id="theirs")
    store.vault.restore_data("d", into=f"{to}:d")
    target.save_data(OTHER, "d", mode="append", save_id="mine")
    assert_same(PLAIN, target.get_data("d"))
    target.save_data(OTHER, "d", mode="append", save_id="theirs")
    assert list(target.get_data("d")["n"]) == [3, 1, 2, 7]


def test_a_damaged_backup_changes_nothing_elsewhere(factory: DataFactory) -> None:
    """It is checked before anything is put aside or replaced."""
    store, target = factory.create_store("csv"), factory.create_store("parquet")
    store.save_data(PLAIN, "d")
    backup_id = backup(store)
    (path,) = store.vault.folder.glob(f"*/*/{backup_id}/data.csv")
    path.write_bytes(path.read_bytes()[:-1])
    target.save_data(OTHER, "d")
    with pytest.raises(IntegrityError):
        store.vault.restore_data("d", backup_id, into="parquet:d")
    assert_same(OTHER, target.get_data("d"))
    assert target.vault.list_backups() == []


def test_rubbish_that_was_put_aside_goes_back_but_not_elsewhere(factory: DataFactory) -> None:
    """Bytes that nobody can read are no rows for another store: FormatError, nothing is made there."""
    store = factory.create_store("parquet")
    store.save_data(PLAIN, "d")
    good = backup(store)
    store.path("d").write_bytes(b"rubbish")
    store.vault.restore_data("d", good)
    aside = store.vault.list_backups("d")[-1].backup_id
    with pytest.raises(FormatError):
        store.vault.restore_data("d", aside, into="csv:d")
    assert not factory.create_store("csv").exists("d")


def test_a_store_without_backups_loses_nothing_to_a_restore(factory: DataFactory) -> None:
    """What lies in temp is never backed up, so it is not replaced either."""
    store, temp = factory.create_store("parquet"), factory.create_store("temp")
    store.save_data(PLAIN, "d")
    backup(store)
    temp.save_data(OTHER, "d")
    with pytest.raises(StorageError, match="no backup is made"):
        store.vault.restore_data("d", into="temp:d")
    assert_same(OTHER, temp.get_data("d"))


def test_a_target_that_is_none_is_an_error(factory: DataFactory, tmp_path: Path) -> None:
    """No store, no name, an unknown store, an unfit name, a vault on its own: each says what is wrong."""
    store = factory.create_store("parquet")
    store.save_data(PLAIN, "d")
    backup_id = backup(store)
    for wrong in ("", "d", ":d", "csv:", 5):
        with pytest.raises(OptionError, match="into="):
            store.vault.restore_data("d", backup_id, into=wrong)
    with pytest.raises(UnknownNameError, match="'cvs'"):
        store.vault.restore_data("d", backup_id, into="cvs:d")
    with pytest.raises(DatasetNameError):
        store.vault.restore_data("d", backup_id, into="csv:../x")
    with pytest.raises(BackupNotFoundError):
        store.vault.restore_data("nothing", into="csv:x")
    alone = Vault(store, tmp_path / "backup")
    with pytest.raises(ConfigurationException, match="no other store"):
        alone.restore_data("d", into="csv:d")
    assert alone.restore_data("d", into="parquet:e")
    assert sorted(store.list_sources()) == ["d", "e"]


def test_the_targets_lock_is_held(factory: DataFactory, tmp_path: Path) -> None:
    """While another writes the target, the restore waits its patience out and changes nothing."""
    from concurrent.futures import ThreadPoolExecutor

    hasty = DataFactory(as_settings(factory.settings, LOCK_TIMEOUT=0.2))
    store, target = hasty.create_store("parquet"), hasty.create_store("csv")
    store.save_data(PLAIN, "d")
    backup(store)
    target.save_data(OTHER, "x")
    with ThreadPoolExecutor(1) as pool, target.locked("x"), pytest.raises(LockedError):
        pool.submit(store.vault.restore_data, "d", into="csv:x").result(timeout=30)
    assert_same(OTHER, target.get_data("x"))
    assert target.vault.list_backups() == []


_CROSSWISE = """
import sys
from framework import DataFactory, as_settings
one, two = sys.argv[2:]
vault = DataFactory(as_settings(workspace=sys.argv[1])).create_data_backup(one)
vault.restore_data("d", into=one + ":ready")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(30):
    vault.restore_data("d", into=two + ":d")
"""


@pytest.mark.timeout(120)
def test_two_restores_crosswise_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    """One from A into B, the other from B into A, at the same time: both end well."""
    factory = DataFactory(as_settings(workspace=tmp_path))
    for kind in ("csv", "parquet"):
        store = factory.create_store(kind)
        store.save_data(PLAIN, "d")
        backup(store)
    calls = [
        [sys.executable, "-c", _CROSSWISE, str(tmp_path), *pair] for pair in (("csv", "parquet"), ("parquet", "csv"))
    ]
    running = [subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for call in calls]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(timeout=100) for process in running] == [0, 0]
    for kind in ("csv", "parquet"):
        store = factory.create_store(kind)
        assert_same(PLAIN, store.get_data("d"))
        assert len(store.vault.list_backups("d")) == 31
