"""Power lost at any moment of any operation: every state that the disk may then be in, opened with the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from harness.nursery import Nursery
from harness.powerloss import Event, Layout, lay_out, layout_of, losses, recorded
from harness.scenes import Scene, stamped
from harness.tally import Tally

from framework.testing.elsewhere import Recipe

OPERATIONS = ("replace", "append", "upsert", "save_with_backup", "backup", "restore", "delete", "rename")
FIRST = "the first save"
NEW = {"d": stamped(5)}


def traced(nursery: Nursery, scene: Scene, operation: str) -> tuple[Layout, list[Event]]:
    """What lies there before the operation, and what it asks of the file system."""
    if operation == FIRST:
        before: Layout = {}
    else:
        scene.fill_vault()
        scene.prepare(operation, 4)
        before = layout_of(Path(scene.recipe.place))
    with nursery.child(recorded, scene.recipe, "replace" if operation == FIRST else operation, 4) as child:
        word, why, events = child.told()
    assert word == "done", why
    return before, events


def verdict(scene: Scene, operation: str, moment: str) -> str | None:
    """What is wrong with the state of the scene's place; None for the old or new one, the new one at the end."""
    over = moment == "end" and operation != "backup"
    if operation == FIRST:
        if not scene.unlike(NEW):
            return None
        return None if not over and not scene.store.list_sources() else f"torn: {scene.unlike(NEW)}"
    state = scene.found(operation, 4, backups=0)
    if state == "old" and over:
        return "lost: acknowledged, and gone"
    if operation == "backup" and moment == "end" and not scene.backups():
        return "lost: an acknowledged backup is gone"
    return None if state in ("old", "new") else state


def tried(scene: Scene, operation: str, before: Layout, events: list[Event], tally: Tally, most: int) -> int:
    """Lay out each state and look; how many were wrong."""
    wrong = 0
    for number, (moment, state) in enumerate(losses(before, events, seed=tally.seed, most=most)):
        place = Path(scene.recipe.place).with_name("lost") / str(number)
        place.mkdir(parents=True)
        lay_out(state, place)
        there = Scene(replace(scene.recipe, place=str(place)))
        why = verdict(there, operation, moment)
        tally.trials += 1
        if why:
            wrong += 1
            kind, _, rest = why.partition(": ")
            tally.wrong(kind, f"{operation}, before {moment!r}: {rest[:300]}")
        shutil.rmtree(place)
    return wrong


def every_loss(nursery: Nursery, recipe: Recipe, tally: Tally, most: int) -> None:
    for operation in (FIRST, *OPERATIONS):
        folder = Path(recipe.place) / operation.replace(" ", "-") / "d"
        folder.mkdir(parents=True)
        scene = Scene(replace(recipe, place=str(folder)))
        if operation == FIRST or operation in scene.operations:
            before, events = traced(nursery, scene, operation)
            count = tally.trials
            tried(scene, operation, before, events, tally, most)
            tally.notes.setdefault("states", {})[operation] = tally.trials - count
    tally.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_power_may_be_lost_at_any_moment(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """Of what the disk may hold after a power loss a share is tried: old or new, and new once it was acknowledged."""
    every_loss(nursery, recipe(kind), tally("power lost", kind), 150)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_power_may_be_lost_at_any_moment_in_full(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same, up to 5,000 states of each operation."""
    every_loss(nursery, recipe(kind), tally("power lost", kind), 5000)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dropped", ["sync", "sync folder"])
def test_a_disk_that_does_not_sync_is_found_out(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], dropped: str
) -> None:
    """The experiment can fail: with the syncs of files, or those of folders, taken out of the record, it does."""
    scene = Scene(recipe("csv"))
    before, events = traced(nursery, scene, "replace")
    events = [event for event in events if event[1] != dropped]
    assert tried(scene, "replace", before, events, tally("power lost, without syncs", "csv"), 300) > 0
