"""A full disk is an error and no damage."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.disks import fills, limited, may_mount
from harness.nursery import Nursery
from harness.scenes import Scene
from harness.tally import Tally

from framework.testing.elsewhere import Recipe

FULL = 200
WRITING = ("replace", "append", "upsert", "save_with_backup", "backup", "restore", "rename", "delete")


def fill(nursery: Nursery, recipe: Recipe, tally: Tally, work: Callable[..., None], trials: int, most: int) -> None:
    """Operations in turn, each with room for a random number of bytes: old or new, a typed error, nothing left."""
    chance = random.Random(tally.seed)
    operations = [name for name in WRITING if name in Scene(recipe).operations]
    for trial in range(trials):
        operation, value = operations[trial % len(operations)], 1 + chance.randrange(10_000)
        size = int(most * chance.random() ** 2)  # small ones more often: they are where things fail
        empty(Path(recipe.place))
        with nursery.child(work, recipe, operation, value, size) as child:
            found = child.told()
        tally.trials += 1
        what = f"{operation} of {value} with {size} bytes: {found['word']} {found['why']}"
        _count(tally, found, what)
    assert tally.counts["refused"] > trials // 20, "hardly any disk was full"
    tally.close()


def empty(place: Path) -> None:
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _count(tally: Tally, found: dict[str, Any], what: str) -> None:
    tally.counts[found["word"]] += 1
    if found["state"] not in ("old", "new"):
        wrong, _, why = found["state"].partition(": ")
        tally.wrong(wrong, f"{what}: {why}")
    elif found["word"] == "done" and found["state"] == "old" and not what.startswith("backup "):
        tally.wrong("lost", what)
    elif found["word"] == "refused" and (found["state"] == "new" and not what.startswith(("backup ", "delete "))):
        tally.counts["refused, new all the same"] += 1
    elif found["word"] == "raised":
        tally.wrong("stuck", f"not one of our errors: {what}")
    if found["left"]:
        tally.wrong("stuck", f"left behind: {found['left']}, {what}")


@pytest.fixture
def small(nursery: Nursery, place: Path) -> None:
    """A child may mount a file system of its own."""
    with nursery.child(may_mount, str(place)) as child:
        why = child.told()
    if why:
        pytest.skip(why)


@pytest.mark.usefixtures("small")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_full_disk_leaves_what_was_there(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """On a file system with room for a part of what is written: the old data, no temporary file, a typed error."""
    fill(nursery, recipe(kind), tally("full disk (tmpfs)", kind), fills, FULL // 5, 400_000)


@pytest.mark.usefixtures("small")
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_many_full_disks_leave_what_was_there(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same, five times as often."""
    fill(nursery, recipe(kind), tally("full disk (tmpfs)", kind), fills, FULL, 400_000)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_limit_on_files_leaves_what_was_there(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """A process that may not write files of more than some size gets a typed error, and the old data is there."""
    fill(nursery, recipe(kind), tally("limit on a file's size", kind), limited, FULL // 5, 200_000)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_many_limits_on_files_leave_what_was_there(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same, five times as often."""
    fill(nursery, recipe(kind), tally("limit on a file's size", kind), limited, FULL, 200_000)
