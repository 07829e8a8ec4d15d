"""What is kept how long: the last ones, and never fewer than three that are good."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import time_machine

from framework import DataFactory, Vault, as_settings
from framework.errors import FormatError, IntegrityError, OptionError, SettingError
from framework.vault.retention import FLOOR, spare


def store_in(folder: Path, **settings: Any) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    return DataFactory(as_settings(None, workspace=folder, **settings)).create_store("parquet")


def backup(vault: Vault) -> str:
    return str(vault.backup_data("d")[1])


def damage(vault: Any, backup_id: str) -> None:
    (path,) = vault.folder.glob(f"*/*/{backup_id}/data.parquet")
    path.write_bytes(b"!" + path.read_bytes()[1:])


def kept(vault: Vault) -> list[str]:
    return [record.backup_id for record in vault.list_backups("d")]


def good(vault: Vault) -> list[str]:
    """Those that verify."""
    answer = []
    for backup_id in kept(vault):
        try:
            vault.verify_backup(backup_id)
        except IntegrityError:
            continue
        answer.append(backup_id)
    return answer


# --------------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("states", "keep", "gone"),
    [
        ("gggg", 30, 0),
        ("ggggg", 4, 1),
        ("ggggg", 1, 2),
        ("ggg", 1, 0),
        ("gggbbb", 3, 0),
        ("ggggbbb", 3, 1),
        ("bbgggbg", 3, 3),
        ("bbbbb", 1, 0),
        ("ggbbbbg", 2, 0),
    ],
)
def test_only_what_is_older_than_the_last_and_than_three_good_ones_may_go(states: str, keep: int, gone: int) -> None:
    """Oldest first, g is good and b is damaged: so many of the oldest are spared."""
    backups = list(enumerate(states))
    assert spare(backups, keep=keep, good=lambda backup: backup[1] == "g") == backups[:gone]


def test_no_more_are_read_than_it_takes() -> None:
    """To find out what may go, three good ones are read, not all."""
    asked: list[int] = []
    assert spare(range(40), keep=30, good=lambda backup: not asked.append(backup)) == list(range(10))
    assert asked == [39, 38, 37]
    assert spare(range(30), keep=30, good=lambda backup: not asked.append(backup)) == []
    assert len(asked) == FLOOR


# --------------------------------------------------------------------------- in a vault


def test_a_setting_says_how_many_are_kept(tmp_path: Path) -> None:
    """BACKUP_KEEP: more than three are kept as it says; of fewer, three are; zero is refused."""
    for keep, left in ((5, 5), (1, 3)):
        store = store_in(tmp_path / str(keep), BACKUP_KEEP=keep)
        store.save_data(pd.DataFrame({"x": [1]}), "d")
        made = [backup(store.vault) for _ in range(7)]
        assert kept(store.vault) == made[-left:]
    for wrong in (0, -1, True, "many"):
        with pytest.raises(SettingError, match="BACKUP_KEEP"):
            as_settings(None, workspace=tmp_path, BACKUP_KEEP=wrong)
    unfit: list[Any] = [0, -1, True, "3", 3.0, None]
    for wrong in unfit:
        with pytest.raises(OptionError, match="keep="):
            Vault(store, tmp_path, keep=wrong)


def test_a_damaged_backup_takes_no_good_ones_seat(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Among the newest are damaged ones: older good ones stay for them, and a WARNING tells of the damaged."""
    store = store_in(tmp_path, BACKUP_KEEP=3)
    store.save_data(pd.DataFrame({"x": [1]}), "d")
    made = [backup(store.vault) for _ in range(3)]
    damage(store.vault, made[1])
    damage(store.vault, made[2])
    with caplog.at_level(logging.WARNING):
        made.append(backup(store.vault))
    assert kept(store.vault) == made
    assert made[2] in caplog.text
    made += [backup(store.vault) for _ in range(2)]
    assert kept(store.vault) == made[3:]


def test_rubbish_that_was_put_aside_is_no_good_one(tmp_path: Path) -> None:
    """Bytes that could not be read, kept by a restore, count for nothing among the three."""
    store = store_in(tmp_path, BACKUP_KEEP=1)
    store.save_data(pd.DataFrame({"x": [1]}), "d")
    made = [backup(store.vault) for _ in range(3)]
    for _ in range(3):
        store.path("d").write_bytes(b'a,b\n"')
        store.vault.restore_data("d", made[0])
    backup(store.vault)
    assert made[1:] == [key for key in kept(store.vault) if key in made]


def test_what_is_removed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log names each backup that goes."""
    store = store_in(tmp_path, BACKUP_KEEP=3)
    store.save_data(pd.DataFrame({"x": [1]}), "d")
    made = [backup(store.vault) for _ in range(3)]
    with caplog.at_level(logging.INFO):
        backup(store.vault)
    assert f"{made[0]} was removed" in caplog.text


# --------------------------------------------------------------------------- years of nights


def _years(folder: Path, chance: random.Random) -> None:
    """Nights under a clock that jumps, with policies that change, failures and damage; the truths after each."""
    clock = datetime(2026, 1, 1, tzinfo=UTC)
    store = store_in(folder)
    made, left, damages = 0, 0, chance.random() < 0.5
    for night in range(chance.randint(6, 11)):
        clock += timedelta(days=chance.choice([1, 1, 1, 7, 400, 1500, -2, -900]), microseconds=chance.randrange(10**6))
        vault = Vault(store, folder / "b", keep=chance.choice([1, 1, 2, 3, 4, 6, 30]))
        store.save_data(pd.DataFrame({"night": [night]}), "d")
        newest = None
        with time_machine.travel(clock, tick=chance.random() < 0.5):
            if chance.random() < 0.2:
                store.path("d").write_bytes(b'a,b\n"')
                before = kept(vault)
                with pytest.raises(FormatError):
                    vault.backup_data("d")
                assert kept(vault) == before
            else:
                newest = backup(vault)
                made += 1
        there = good(vault)
        assert len(there) >= min(FLOOR, left + (newest is not None)), f"pruned below {FLOOR} good ones"
        assert damages or len(there) >= min(FLOOR, made)
        assert newest is None or there[-1] == newest
        if damages and chance.random() < 0.25 and there:
            damage(vault, chance.choice(there))
            left = len(there) - 1
        else:
            left = len(there)


@pytest.mark.parametrize(
    "seeds", [range(200), pytest.param(range(200, 1200), marks=pytest.mark.slow)], ids=["200", "1000"]
)
@pytest.mark.timeout(1800)
def test_three_good_ones_are_left_whatever_clock_policy_and_failures_do(
    seeds: range, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After each night at least three good backups are there, or all good ones ever made; the newest always is."""
    caplog.set_level(logging.ERROR, logger="millpond")
    for seed in seeds:
        _years(tmp_path / str(seed), random.Random(seed))
