"""SIGKILL at a random moment of every operation."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness.nursery import Nursery
from harness.scenes import Scene, is_locked, perform
from harness.tally import Tally

from framework.testing.elsewhere import Recipe

FULL = {"csv": 1000, "parquet": 1000, "temp": 1000, "postgres": 200, "arctic": 200}


def deaths(nursery: Nursery, recipe: Recipe, tally: Tally, trials: int) -> None:
    """Kill a child in the middle of an operation, look at what is there, go on; the operations take turns."""
    chance, scene = random.Random(tally.seed), Scene(recipe)
    scene.fill_vault()
    lasting = {name: _lasts(nursery, scene, name, tally) for name in scene.operations}
    slowest = 0.0
    for trial in range(trials):
        operation = scene.operations[trial % len(scene.operations)]
        value = 1 + chance.randrange(10_000)
        began = time.monotonic()
        try:
            scene.prepare(operation, value)
        except Exception as error:
            if not is_locked(error):
                raise
            tally.wrong("stuck", f"the save after trial {trial - 1} was kept out: {error}")
            continue
        slowest = max(slowest, time.monotonic() - began)
        for left in scene.leftovers(swept_by_save=True):
            tally.wrong("stuck", f"left behind by trial {trial - 1} and by the save after it: {left}")
        backups = scene.backups()
        acknowledged = _killed(nursery, scene, operation, value, chance.uniform(0, 1.2 * lasting[operation]))
        tally.trials += 1
        state = scene.found(operation, value, backups=backups)
        _count(tally, state, acknowledged=acknowledged, what=f"{operation} of {value}, trial {trial}")
    left = scene.swept()
    scene.store.close()
    tally.notes["slowest next save, s"] = round(slowest, 2)
    if left:
        tally.wrong("stuck", f"what no later save sweeps: {left}")
    tally.close()


def _lasts(nursery: Nursery, scene: Scene, operation: str, tally: Tally) -> float:
    """Seconds that the operation takes when nobody kills it, the middle one of three, which must do what it should."""
    times = []
    for value in (3, 4, 5):
        scene.prepare(operation, value)
        with nursery.child(perform, scene.recipe, operation, value) as child:
            assert child.told() == "ready"
            child.pipe.send("go")
            word, seconds = child.told()
            assert word == "done", seconds
        state = scene.found(operation, value, backups=0)
        if state != ("old" if operation == "backup" else "new"):
            _count(tally, state, acknowledged=True, what=f"{operation} left alone")
        times.append(seconds)
    return sorted(times)[1]


def _killed(nursery: Nursery, scene: Scene, operation: str, value: int, delay: float) -> bool:
    """Whether the operation had been acknowledged when its process was killed."""
    with nursery.child(perform, scene.recipe, operation, value) as child:
        assert child.told() == "ready"
        child.pipe.send("go")
        time.sleep(delay)
        child.kill()
        said = child.rest()
    assert all(word == "done" for word, _ in said), said
    return bool(said)


def _count(tally: Tally, state: str, *, acknowledged: bool, what: str) -> None:
    if state in ("old", "new"):
        tally.counts["acknowledged" if acknowledged else f"died, {state}"] += 1
        if acknowledged and state == "old" and not what.startswith("backup "):
            tally.wrong("lost", f"acknowledged and gone: {what}")
    else:
        wrong, _, why = state.partition(": ")
        tally.wrong(wrong, f"{what}: {why}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", FULL)
def test_a_killed_process_leaves_old_or_new(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """Whatever a process does when it is killed: the dataset is what it was or was to be, and the next goes on."""
    deaths(nursery, recipe(kind), tally("SIGKILL at a random moment", kind), FULL[kind] // 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FULL)
def test_many_killed_processes_leave_old_or_new(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same, five times as often."""
    deaths(nursery, recipe(kind), tally("SIGKILL at a random moment", kind), FULL[kind])


def test_a_third_state_is_seen(recipe: Callable[[str], Any]) -> None:
    """The look at what is left tells a torn dataset from the old and the new one, and misses no backup."""
    scene = Scene(recipe("csv"))
    scene.prepare("replace", 4)
    assert scene.found("replace", 4, backups=0) == "old"
    path = scene.store.path("d")
    path.write_bytes(path.read_bytes()[:-300])
    assert scene.found("replace", 4, backups=0).startswith("torn")
    scene.prepare("save_with_backup", 4)
    scene.store.save_data(scene.store.get_data("d").assign(value=5), "d")
    assert scene.found("save_with_backup", 4, backups=0).startswith(("torn", "lost"))
