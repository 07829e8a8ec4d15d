"""What processes beside each other do: append and replace, read, hold locks."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd

from framework.errors import BaseFrameworkException, LockedError
from framework.testing.elsewhere import Recipe
from harness.scenes import make, stamped


def work(pipe: Any, recipe: Recipe, who: int, times: int, modes: tuple[str, ...]) -> None:
    """Save in turn by these modes.

    Tell which saves were acknowledged, how many found the dataset locked, and what else was said of the others.
    """
    store = make(recipe)
    pipe.send("ready")
    pipe.recv()
    acknowledged: dict[str, list[int]] = {mode: [] for mode in modes}
    conflicts, refusals = 0, list[str]()
    for number in range(times):
        mode = modes[(number + who) % len(modes)]
        try:
            save(store, mode, who, number)
        except LockedError:
            conflicts += 1
        except BaseFrameworkException as error:
            refusals.append(f"{mode} {number} of {who}: {type(error).__name__}: {error}")
        else:
            acknowledged[mode].append(number)
    pipe.send((acknowledged, conflicts, refusals))


def save(store: Any, mode: str, who: int, number: int) -> None:
    """One save, told from all others by who made it and its number."""
    if mode == "replace":
        store.save_data(stamped(who * 1_000_000 + number, 20 + number % 200), "whole")
    else:
        frame = pd.DataFrame({"who": [who], "number": [number]})
        if mode == "append":
            store.save_data(frame, "log", mode="append")
        else:
            store.save_data(frame, "counter", mode="upsert", keys=["who"])


def watch(pipe: Any, recipe: Recipe) -> None:
    """Read until told to stop; tell how often, and what was seen that no save had left."""
    store = make(recipe)
    pipe.send("ready")
    reads, wrong, seen = 0, [], 0
    while not pipe.poll(0):
        try:
            whole, log = store.get_data("whole"), store.get_data("log")
        except BaseFrameworkException as error:
            wrong.append(f"{type(error).__name__}: {error}")
            continue
        value = int(whole["value"].iloc[0])
        if not whole.equals(stamped(value, len(whole))) or len(whole) != 20 + value % 1_000_000 % 200:
            wrong.append(f"whole: {len(whole)} rows of {sorted(set(whole['value']))[:5]}")
        fault = torn_log(log)
        if fault or len(log) < seen:
            wrong.append(f"log: {fault or f'{len(log)} rows after {seen}'}")
        seen = len(log)
        reads += 1
    pipe.send((reads, wrong[:5]))


def torn_log(log: pd.DataFrame) -> str | None:
    """Why a log was not left by a save: each writer's numbers rise, and none comes twice."""
    for who, numbers in log.groupby("who")["number"]:
        if not numbers.is_monotonic_increasing or numbers.duplicated().any():
            return f"the numbers of {who} do not rise"
    return None


def hold(pipe: Any, recipe: Recipe) -> None:
    """Hold the writer's lock until killed."""
    with make(recipe).locked("d"):
        pipe.send("held")
        pipe.recv()


def wait(pipe: Any, recipe: Recipe) -> None:
    """Wait for the lock, and tell when it was had."""
    store = make(recipe)
    pipe.send("waiting")
    with store.locked("d"):
        pipe.send(time.monotonic())
