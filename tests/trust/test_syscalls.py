"""Every system call of every operation: the process dies at it, it is refused, or it lies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness.nursery import Nursery
from harness.scenes import NAME, Scene
from harness.syscalls import CALLS, calls_of, hurt, why_not
from harness.tally import Tally

from framework.errors import BaseFrameworkException
from framework.testing.elsewhere import Recipe

OPERATIONS = ("replace", "append", "upsert", "save_with_backup", "backup", "restore", "delete", "rename")
WAYS = {"SIGKILL": "signal=KILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC", "swallowed": "retval=1"}
FEW = {"swallowed": 1}  # of so few points each is tried, and not every 8th, which may all be harmless
WHY_NOT = why_not()
needs_strace = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def every_call(nursery: Nursery, recipe: Recipe, tally: Tally, way: str, *, each: int) -> None:
    """Each `each`th point of each operation; what is there must be old or new, and a refusal one of our errors."""
    scene = Scene(recipe)
    scene.fill_vault()
    points = value = 0
    for operation in [name for name in OPERATIONS if name in scene.operations]:
        scene.prepare(operation, 4)
        calls = calls_of(nursery, recipe, operation, 4, CALLS[way])
        for call, nth in ((name, nth) for name, count in calls.items() for nth in range(1, count + 1)):
            points += 1
            if (points + tally.seed) % each:
                continue
            value += 1
            _prepare(scene, operation, value, tally)
            backups = scene.backups()
            word, why = hurt(nursery, recipe, operation, value, call=call, nth=nth, how=WAYS[way])
            what = f"{operation}, {call} {nth} of {calls[call]}: {word} {why if word != 'done' else ''}"
            _count(tally, scene.found(operation, value, backups=backups), word, way=way, what=what)
            tally.trials += 1
    tally.notes["points"] = points
    left = scene.swept()
    if left:
        tally.wrong("stuck", f"what no later save sweeps: {left}")
    tally.close()


def _prepare(scene: Scene, operation: str, value: int, tally: Tally) -> None:
    """The state before; the save that makes it must not be kept out by what went wrong in the last trial."""
    try:
        scene.prepare(operation, value)
    except BaseFrameworkException as error:
        tally.wrong("stuck", f"the next save, before {operation}: {type(error).__name__}: {error}")
        scene.store.delete_data(NAME)
        scene.prepare(operation, value)


def _count(tally: Tally, state: str, word: str, *, way: str, what: str) -> None:
    if state not in ("old", "new"):
        wrong, _, why = state.partition(": ")
        tally.wrong(wrong, f"{what}: {why}")
    elif word == "raised":
        tally.wrong("stuck", f"not one of our errors, {what}")
    elif word == "done" and state == "old" and not what.startswith("backup"):
        tally.wrong("lost", f"acknowledged and gone, {what}")
    else:
        tally.counts[f"{word}, {state}"] += 1


@needs_strace
@pytest.mark.timeout(200)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_system_call_that_goes_wrong_leaves_old_or_new(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str, way: str
) -> None:
    """At every 8th system call of each operation, died at or refused, and at each write swallowed: old or new."""
    every_call(nursery, recipe(kind), tally(f"{way} at a system call", kind), way, each=FEW.get(way, 8))


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_each_system_call_that_goes_wrong_leaves_old_or_new(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str, way: str
) -> None:
    """The same at every system call."""
    every_call(nursery, recipe(kind), tally(f"{way} at a system call", kind), way, each=1)
