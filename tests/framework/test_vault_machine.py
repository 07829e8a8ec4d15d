"""The vault under whatever order of things: random calls against a model, failing subsets, bits that flip."""

from __future__ import annotations

import logging
import random
from itertools import chain, combinations
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pytest

from framework import DataFactory, as_settings
from framework.errors import BackupNotFoundError, IntegrityError, PartialFailure
from framework.testing import assert_same
from framework.testing.suite import OTHER
from framework.vault.retention import FLOOR

KINDS = ("csv", "parquet")
NAMES = ("d", "e/f")


def store_in(folder: Path, kind: str, **settings: Any) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    return DataFactory(as_settings(None, workspace=folder, **settings)).create_store(kind)


# --------------------------------------------------------------------------- a machine


class Machine:
    """A store and its vault beside a model of both: what each dataset and each undamaged backup holds."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.keep = self.chance.choice([1, 3, 4, 30])
        where = f"memory://{uuid4().hex}" if seed % 4 == 3 else "./backup"
        self.store = store_in(folder, KINDS[seed % 2], BACKUP_KEEP=self.keep, FS_BACKUP=where)
        self.vault = self.store.vault
        self.data: dict[str, pd.DataFrame] = {}
        self.backups: dict[str, dict[str, pd.DataFrame | None]] = {name: {} for name in NAMES}  # None: damaged
        self.count = 0

    def run(self, steps: int) -> None:
        calls = [self.save, self.save, self.backup, self.backup, self.restore, self.into, self.delete, self.damage]
        for _ in range(steps):
            self.chance.choice(calls)(self.chance.choice(NAMES))
            self.check()
        for name in NAMES:
            self.restore_each(name)

    def save(self, name: str) -> None:
        self.count += 1
        frame = pd.DataFrame({"n": [self.count, None], "t": [f"00{self.count}", "NA"]}).astype({"n": "Int64"})
        if self.chance.random() < 0.3:
            there = self.data.get(name)
            self._listed(name, lambda: self.store.save_with_backup(frame, name), there, prunes=there is not None)
        else:
            self.store.save_data(frame, name)
        self.data[name] = frame

    def backup(self, name: str) -> None:
        if name in self.data:
            self._listed(name, lambda: self.vault.backup_data(name), self.data[name], prunes=True)
        else:
            assert self.vault.backup_data(name) == (False, None)

    def restore(self, name: str) -> None:
        if not self.backups[name]:
            with pytest.raises(BackupNotFoundError):
                self.vault.restore_data(name)
            return
        key = self.chance.choice(list(self.backups[name]))
        self._restore(name, key, name)

    def into(self, name: str) -> None:
        other = self.chance.choice(NAMES)
        if self.backups[name]:
            self._restore(name, self.chance.choice(list(self.backups[name])), other)

    def _restore(self, name: str, key: str, target: str) -> None:
        frame, there = self.backups[name][key], self.data.get(target)

        def call() -> None:
            self.vault.restore_data(name, key, into=f"{self.store.name}:{target}")

        if frame is None:
            with pytest.raises(IntegrityError):
                call()
            return
        self._listed(target, call, there, prunes=False)
        self.data[target] = frame

    def delete(self, name: str) -> None:
        if name in self.data:
            self.store.delete_data(name)
            del self.data[name]

    def damage(self, name: str) -> None:
        good = [key for key, frame in self.backups[name].items() if frame is not None]
        if not good or self.chance.random() < 0.5:
            return
        key = self.chance.choice(good)
        with self.raw(name, key) as file:
            content = bytearray(file.read())
            content[self.chance.randrange(len(content))] ^= 1 << self.chance.randrange(8)
            self.content = bytes(content)
        self.put(name, key)
        self.backups[name][key] = None

    def raw(self, name: str, key: str) -> Any:
        """The content of a backup, past the vault."""
        return self.fs().open(self.path(name, key), "rb")

    def put(self, name: str, key: str) -> None:
        with self.fs().open(self.path(name, key), "wb") as file:
            file.write(self.content)

    def fs(self) -> Any:
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem() if self.vault.folder else self.vault.place._open()[0]

    def path(self, name: str, key: str) -> str:
        root = self.vault.folder or self.vault.place._open()[1]
        return f"{root}/{self.store.name}/{name.replace('/', '%2F')}/{key}/data.{self.store.name}"

    def _listed(self, name: str, call: Any, there: pd.DataFrame | None, *, prunes: bool) -> None:
        """Make the call, and take what is listed anew and what is gone into the model."""
        before = dict(self.backups[name])
        call()
        now = [record.backup_id for record in self.vault.list_backups(name)]
        added = [key for key in now if key not in before]
        assert len(added) == (there is not None)
        for key in added:
            self.backups[name][key] = there
        gone = [key for key in before if key not in now]
        if gone:
            assert prunes
            assert gone == list(before)[: len(gone)]
            assert len(now) >= self.keep
            assert sum(self.backups[name][key] is not None for key in now) >= FLOOR
            for key in gone:
                del self.backups[name][key]

    def check(self) -> None:
        assert self.store.list_sources() == sorted(self.data)
        for name, frame in self.data.items():
            assert_same(frame, self.store.get_data(name))
        for name in NAMES:
            assert [record.backup_id for record in self.vault.list_backups(name)] == list(self.backups[name])

    def restore_each(self, name: str) -> None:
        """Every listed backup gives exactly what was saved, or says that it is damaged."""
        for key, frame in list(self.backups[name].items()):
            if frame is None:
                with pytest.raises(IntegrityError):
                    self.vault.verify_backup(key)
            else:
                assert self.vault.verify_backup(key) is True
                assert self.vault.restore_data(name, key) is True
                assert_same(frame, self.store.get_data(name))


@pytest.mark.parametrize(
    "seeds", [range(100), pytest.param(range(100, 1100), marks=pytest.mark.slow)], ids=["100", "1000"]
)
@pytest.mark.timeout(1800)
def test_every_listed_backup_gives_what_was_saved_whatever_came_before(
    seeds: range, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Saves, backups, restores, deletions, prunings and damage in any order: the store and vault equal the model."""
    caplog.set_level(logging.CRITICAL, logger="millpond")
    for seed in seeds:
        Machine(tmp_path / str(seed), seed).run(14)


# --------------------------------------------------------------------------- all of them, some failing


@pytest.mark.parametrize("many", [5, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.timeout(1800)
def test_the_report_names_exactly_those_that_failed(many: int, tmp_path: Path) -> None:
    """Each subset of the datasets made unreadable in turn: the report lists it, and every other has a new backup."""
    names = [f"d{number}" for number in range(many)]
    store = store_in(tmp_path, "parquet", BACKUP_KEEP=3)
    for name in names:
        store.save_data(pd.DataFrame({"x": [name]}), name)
    whole = {name: store.path(name).read_bytes() for name in names}
    for broken in chain.from_iterable(combinations(names, size) for size in range(many + 1)):
        for name in names:
            store.path(name).write_bytes(b"PAR1 rubbish" if name in broken else whole[name])
        before = {name: {record.backup_id for record in store.vault.list_backups(name)} for name in names}
        if broken:
            with pytest.raises(PartialFailure, match=f"{len(broken)} of {many} failed") as caught:
                store.vault.backup_all()
            assert [result.name for result in caught.value.report] == names
            assert [result.name for result in caught.value.report if not result] == list(broken)
            assert caught.value.exit_code == 30
        else:
            assert [name for name, _ in store.vault.backup_all()] == names
        for name in names:
            new = {record.backup_id for record in store.vault.list_backups(name)} - before[name]
            assert len(new) == (name not in broken)
            assert all(store.vault.verify_backup(key) for key in new)


# --------------------------------------------------------------------------- bits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flips", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_one_bit_anywhere_is_noticed_by_verify_and_by_restore(kind: str, flips: int, tmp_path: Path) -> None:
    """One bit of any file of a backup, the manifest and a CSV's record too: both refuse, the target is untouched."""
    store, chance = store_in(tmp_path, kind), random.Random(23)
    store.save_data(pd.DataFrame({"x": range(50), "t": [f"0{n}" for n in range(50)]}), "d")
    backup_id = store.vault.backup_data("d")[1]
    store.save_data(OTHER, "d")
    (folder,) = store.vault.folder.glob(f"*/*/{backup_id}")
    files = sorted(folder.iterdir())
    for number in range(flips):
        path = files[number % len(files)]
        whole = path.read_bytes()
        bent = bytearray(whole)
        bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
        path.write_bytes(bent)
        for refused in (store.vault.verify_backup, lambda key: store.vault.restore_data("d", key)):
            with pytest.raises(IntegrityError):
                refused(backup_id)
        path.write_bytes(whole)
    assert_same(OTHER, store.get_data("d"))
    assert [record.backup_id for record in store.vault.list_backups()] == [backup_id]
    assert store.vault.restore_data("d", backup_id)
