"""Processes beside each other: what was acknowledged is stored, once; readers see whole saves."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from harness.crowd import hold, save, torn_log, wait, watch, work
from harness.nursery import Nursery
from harness.scenes import make, stamped
from harness.tally import Tally

from framework.errors import BaseFrameworkException
from framework.testing.elsewhere import Recipe

KINDS = ["csv", "parquet", "temp", "postgres", "arctic"]
MODES = ("append", "replace", "upsert")


def crowd(nursery: Nursery, recipe: Recipe, tally: Tally, processes: int, saves: int) -> None:
    """Processes that append, replace and upsert, and one that reads; then all is held against what they say."""
    store = make(recipe)
    for mode in MODES:
        save(store, mode, 0, 0)
    with ExitStack() as stack:
        watcher = stack.enter_context(nursery.child(watch, recipe))
        assert watcher.told() == "ready"
        share = saves // processes
        workers = [
            stack.enter_context(nursery.child(work, recipe, who, share, MODES)) for who in range(1, processes + 1)
        ]
        for worker in workers:
            assert worker.told() == "ready"
        for worker in workers:
            worker.pipe.send("go")
        told = [worker.told(3000) for worker in workers]
        with suppress(BrokenPipeError):  # it is dead, and its last word says why
            watcher.pipe.send("stop")
        reads, wrong = watcher.told()
    for fault in wrong:
        tally.wrong("torn", f"a reader saw {fault}")
    for refusal in (refusal for *_, refusals in told for refusal in refusals):
        tally.wrong("stuck", f"refused with another word than LockedError, {refusal}")
    tally.trials = share * processes
    tally.notes |= {"processes": processes, "reads": reads, "conflicts": sum(conflicts for _, conflicts, _ in told)}
    _held_against(store, tally, {who: acknowledged for who, (acknowledged, *_) in enumerate(told, start=1)})
    store.close()
    tally.close()


def _held_against(store: object, tally: Tally, acknowledged: dict[int, dict[str, list[int]]]) -> None:
    try:
        log, counts, whole = (store.get_data(name) for name in ("log", "counter", "whole"))  # type: ignore[attr-defined]
    except BaseFrameworkException as error:
        tally.wrong("torn", f"what the crowd left cannot be read: {type(error).__name__}: {error}")
        return
    fault = torn_log(log)
    if fault:
        tally.wrong("torn", f"log: {fault}")
    counter = counts.set_index("who")["number"]
    for who, saved in acknowledged.items():
        stored = list(log.loc[log["who"] == who, "number"])
        for number in set(saved["append"]) - set(stored):
            tally.wrong("lost", f"append {number} of {who}")
        if len(stored) > len(set(stored)) or set(stored) - set(saved["append"]):
            tally.wrong("duplicated", f"appends of {who}: {len(stored)} rows, {len(saved['append'])} acknowledged")
        if saved["upsert"] and counter.get(who) != saved["upsert"][-1]:
            tally.wrong("lost", f"upsert {saved['upsert'][-1]} of {who}: there is {counter.get(who)}")
    if not whole.equals(stamped(int(whole["value"].iloc[0]), len(whole))):
        tally.wrong("torn", f"whole: {len(whole)} rows of {sorted(set(whole['value']))[:5]}")


SHARE = {"csv": 300, "parquet": 300, "temp": 100, "postgres": 150, "arctic": 150}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_acknowledged_is_stored(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str, processes: int
) -> None:
    """Processes save at once: each acknowledged row is there once, and who reads meanwhile sees no mixture."""
    crowd(nursery, recipe(kind), tally(f"{processes} processes at once", kind), processes, SHARE[kind])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_of_many_saves_each_that_was_acknowledged_is_stored(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str, processes: int
) -> None:
    """The same with 10,000 saves."""
    crowd(nursery, recipe(kind), tally(f"{processes} processes at once", kind), processes, 10_000)


# ------------------------------------------------------------------ locks of the dead


def freed(nursery: Nursery, recipe: Recipe, tally: Tally, kills: int) -> None:
    """Kill who holds the lock, and see when who waits for it has it: within a second."""
    make(recipe).save_data(stamped(3), "d")
    waits = []
    for _ in range(kills):
        with ExitStack() as stack:
            holder = stack.enter_context(nursery.child(hold, recipe))
            assert holder.told() == "held"
            waiter = stack.enter_context(nursery.child(wait, recipe))
            assert waiter.told() == "waiting"
            time.sleep(0.02)
            began = time.monotonic()
            holder.kill()
            waits.append(waiter.told(20) - began)
        tally.trials += 1
        if waits[-1] < 0:
            tally.wrong("duplicated", f"two held one lock, for {-waits[-1]:.3f} s")
        if waits[-1] >= 1:
            tally.wrong("stuck", f"the lock of a dead holder was free after {waits[-1]:.1f} s")
    tally.notes["longest wait, s"] = round(max(waits), 3)
    tally.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["csv", "postgres", "arctic"])
def test_a_dead_holders_lock_is_free_within_a_second(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """Who waits for a lock whose holder was killed has it at once."""
    freed(nursery, recipe(kind), tally("holder of the lock killed", kind), 40)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp", "postgres", "arctic"])
def test_many_dead_holders_locks_are_free_within_a_second(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same, 200 times."""
    freed(nursery, recipe(kind), tally("holder of the lock killed", kind), 200)
