"""The umask and the user decide who may read what is kept."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.nursery import Nursery
from harness.scenes import Scene, done, make, stamped

from framework.errors import StorageError
from framework.testing.elsewhere import Recipe

NOBODY = 65534


def saved(pipe: Any, recipe: Recipe, umask: int, user: int | None) -> None:
    """In a child under that umask, as that user: every operation once; tell the modes of what lies there then."""
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    os.umask(umask)
    scene = Scene(recipe)
    for operation in scene.operations:
        scene.prepare(operation, 5)
        word, why = done(scene.store, operation, 5)
        assert word == "done", why
    scene.prepare("replace", 5)
    place = Path(recipe.place)
    pipe.send({path.relative_to(place).as_posix(): path.stat().st_mode for path in place.rglob("*")})


def allowed(mode: int) -> int:
    return 0o777 if stat.S_ISDIR(mode) else 0o666


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_the_umask_decides_who_reads(nursery: Nursery, recipe: Callable[[str], Recipe], kind: str, umask: int) -> None:
    """Data, records, backups, locks and folders get the modes that the umask leaves, and no narrower ones."""
    with nursery.child(saved, recipe(kind), umask, None) as child:
        modes = child.told()
    wrong = {name: oct(mode) for name, mode in modes.items() if stat.S_IMODE(mode) != allowed(mode) & ~umask}
    assert not wrong, f"under umask {umask:03o}: {wrong}"
    assert any(name.endswith((".csv", ".parquet")) for name in modes)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_an_ordinary_user_does_all_that_root_does(
    nursery: Nursery, recipe: Callable[[str], Recipe], place: Path, kind: str
) -> None:
    """Every operation works as a user without rights, in a folder of its own."""
    os.chown(place, NOBODY, NOBODY)
    with nursery.child(saved, recipe(kind), 0o077, NOBODY) as child:
        modes = child.told()
    assert modes
    assert {path.stat().st_uid for path in place.rglob("*")} == {NOBODY}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_another_users_data_is_read_and_not_written(
    nursery: Nursery, recipe: Callable[[str], Recipe], place: Path, kind: str
) -> None:
    """What root saved, a user who may only read it reads; saving over it is a StorageError, and changes nothing."""
    place.chmod(0o755)
    given = recipe(kind)
    store = make(given)
    store.save_data(stamped(5), "d")
    with nursery.child(_tries, given) as child:
        assert child.told() == ("read", StorageError.__name__)
    assert store.get_data("d").equals(stamped(5))


def _tries(pipe: Any, recipe: Recipe) -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    store = make(recipe)
    assert store.get_data("d").equals(stamped(5))
    try:
        store.save_data(stamped(6), "d")
    except StorageError as error:
        pipe.send(("read", type(error).__name__))
    else:
        pipe.send(("read", "saved"))
