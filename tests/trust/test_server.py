"""A server that goes away: its backend is ended or itself is stopped in the middle of a save, or its answer is lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import psycopg
import pytest
from harness.nursery import ChildFailedError, Nursery
from harness.proxy import Door
from harness.scenes import Scene, make, perform, perform_anew, stamped
from harness.tally import Tally
from psycopg.conninfo import conninfo_to_dict

from framework.errors import OutcomeUnknownError
from framework.testing.elsewhere import Recipe
from implementations.storage.postgres_embedded import EmbeddedPostgres

OPERATIONS = ("replace", "append", "upsert", "save_with_backup", "restore", "delete", "rename")


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, which it may stop."""
    folder = Path(tempfile.mkdtemp(prefix="millpond-own-"))
    own = EmbeddedPostgres(folder / "postgres")
    own.url()
    yield own
    own.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own(server: EmbeddedPostgres, place: Path) -> Recipe:
    """A store on that server."""
    return Recipe("postgres", str(place), {"DB_URL": server.url(), "DB_SCHEMA": "own"}, {})


def ended(scene: Scene) -> None:
    """End the sessions of the store's children, as an administrator does."""
    with psycopg.connect(scene.store.address(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'millpond' AND pid <> pg_backend_pid()"
        )


def crashed(server: EmbeddedPostgres) -> None:
    """Stop the server at once, as a crash does."""
    os.kill(server.status()["pid"], signal.SIGQUIT)


def interrupt(
    nursery: Nursery, scene: Scene, tally: Tally, trials: int, strike: Callable[[], None], mend: Callable[[], Any]
) -> None:
    """Strike at random moments of operations in a child; what it says and what is there must go together."""
    chance = random.Random(tally.seed)
    operations = [name for name in OPERATIONS if name in scene.operations]
    for trial in range(trials):
        operation, value = operations[trial % len(operations)], 1 + chance.randrange(10_000)
        scene.prepare(operation, value)
        backups = scene.backups()
        scene.store.close()
        with nursery.child(perform if trial % 3 else perform_anew, scene.recipe, operation, value) as child:
            assert child.told() == "ready"
            child.pipe.send("go")
            time.sleep(chance.uniform(0, 0.05))
            strike()
            try:
                word, why = child.told()
            except ChildFailedError as error:
                word, why = "raised", error
        mend()
        tally.trials += 1
        state = scene.found(operation, value, backups=backups)
        _count(tally, word, str(why), state, f"{operation} of {value}, trial {trial}")
    left = scene.swept()
    scene.store.close()
    assert not left, left
    tally.close()


def _count(tally: Tally, word: str, why: str, state: str, what: str) -> None:
    unknown = why.startswith("OutcomeUnknownError")
    if state not in ("old", "new"):
        wrong, _, rest = state.partition(": ")
        tally.wrong(wrong, f"{what}: {rest}")
    elif word == "raised":
        tally.wrong("stuck", f"not one of our errors: {what}: {why[-400:]}")
    elif word == "done" and state == "old":
        tally.wrong("lost", f"acknowledged and gone: {what}")
    elif word == "refused" and state == "new" and not unknown:
        tally.wrong("duplicated", f"refused and there, so that a second try would do it twice: {what}: {why}")
    else:
        tally.counts[f"outcome unknown, {state}" if unknown else f"{word}, {state}"] += 1


@pytest.mark.timeout(200)
def test_a_session_that_is_ended_leaves_old_or_new(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally]
) -> None:
    """An administrator ends the session in the middle of an operation: all or nothing, and the error says which."""
    scene = Scene(recipe("postgres"))
    interrupt(nursery, scene, tally("sessions ended", "postgres"), 40, lambda: ended(scene), lambda: None)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_sessions_that_are_ended_leave_old_or_new(
    nursery: Nursery, recipe: Callable[[str], Recipe], tally: Callable[..., Tally]
) -> None:
    """The same, five times as often."""
    scene = Scene(recipe("postgres"))
    interrupt(nursery, scene, tally("sessions ended", "postgres"), 200, lambda: ended(scene), lambda: None)


def restart(server: EmbeddedPostgres) -> None:
    while server.running():
        time.sleep(0.005)
    server.start()


@pytest.mark.timeout(200)
def test_a_server_that_crashes_leaves_old_or_new(
    nursery: Nursery, own: Recipe, server: EmbeddedPostgres, tally: Callable[..., Tally]
) -> None:
    """The server is stopped at once in the middle of an operation, and started: all of it or nothing."""
    counts = tally("server crashed", "postgres")
    interrupt(nursery, Scene(own), counts, 8, lambda: crashed(server), lambda: restart(server))


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_server_that_often_crashes_leaves_old_or_new(
    nursery: Nursery, own: Recipe, server: EmbeddedPostgres, tally: Callable[..., Tally]
) -> None:
    """The same, 200 times."""
    counts = tally("server crashed", "postgres")
    interrupt(nursery, Scene(own), counts, 200, lambda: crashed(server), lambda: restart(server))


# ------------------------------------------------------------------ between calls


def reconnect(own: Recipe, server: EmbeddedPostgres, tally: Tally, restarts: int) -> None:
    """Restart the server between calls of one store; no call may notice."""
    store = make(own)
    for number in range(restarts):
        store.save_data(stamped(number, 30), "d")
        if number % 2:
            server.stop()
        else:
            crashed(server)
        restart(server)
        assert store.get_data("d")["value"].iloc[0] == number
        tally.trials += 1
    store.close()
    tally.close()


@pytest.mark.timeout(200)
def test_a_restart_between_calls_is_not_noticed(
    own: Recipe, server: EmbeddedPostgres, tally: Callable[..., Tally]
) -> None:
    """A store goes on after its server was restarted, without an error."""
    reconnect(own, server, tally("restart between calls", "postgres"), 6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_restarts_between_calls_are_not_noticed(
    own: Recipe, server: EmbeddedPostgres, tally: Callable[..., Tally]
) -> None:
    """The same, 50 times."""
    reconnect(own, server, tally("restart between calls", "postgres"), 50)


# ------------------------------------------------------------------ the answer to a commit


def cut(recipe: Recipe, tally: Tally, cuts: int, folder: Path) -> None:
    """Lose the line at the COMMIT of an append: it happens once.

    While the server can be asked, the save answers True. Every fifth time it cannot: then the error holds the save's
    id, and the same save again adds nothing.
    """
    door = Door(make(recipe).address(), folder)
    store = make(replace(recipe, settings={**recipe.settings, "DB_URL": f"postgresql:///?{_as_url(door.address)}"}))
    store.save_data(pd.DataFrame({"n": [-1]}), "d")
    for number in range(cuts):
        given = f"save {number}" if number % 2 else None
        done_by_server = number % 3 != 0
        door.shuts = number % 5 == 4
        door.after, door.before = done_by_server, not done_by_server
        frame = pd.DataFrame({"n": [number]})
        tally.trials += 1
        unknown = refused(lambda given=given, frame=frame: store.save_data(frame, "d", mode="append", save_id=given))
        assert (unknown is not None) == door.shuts, "known where nobody could know, or the other way round"
        if unknown is not None:
            assert unknown.save_id
            assert given in (None, unknown.save_id)
            tally.counts["outcome unknown"] += 1
            door.refusing = False
            store.save_data(frame, "d", mode="append", save_id=unknown.save_id)
        assert door.cuts == tally.trials, "the line was not cut"
    stored = list(store.get_data("d")["n"])
    for number in range(cuts):
        if stored.count(number) != 1:
            wrong = "duplicated" if number in stored else "lost"
            tally.wrong(wrong, f"row {number} is there {stored.count(number)} times")
    store.close()
    door.close()
    tally.close()


def refused(save: Callable[[], bool]) -> OutcomeUnknownError | None:
    """The error that says that the outcome is unknown; None when the save answers True."""
    try:
        assert save()
    except OutcomeUnknownError as unknown:
        return unknown
    return None


def _as_url(address: str) -> str:
    return urlencode(conninfo_to_dict(address))


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="mp-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(120)
def test_a_commit_whose_answer_is_lost_is_not_made_twice(
    recipe: Callable[[str], Recipe], tally: Callable[..., Tally], short: Path
) -> None:
    """Whether or not the server had committed: the outcome is unknown, and the same save_id adds nothing twice."""
    cut(recipe("postgres"), tally("answer to the commit cut", "postgres"), 10, short)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_commits_whose_answers_are_lost_are_not_made_twice(
    recipe: Callable[[str], Recipe], tally: Callable[..., Tally], short: Path
) -> None:
    """The same, 50 times."""
    cut(recipe("postgres"), tally("answer to the commit cut", "postgres"), 50, short)
