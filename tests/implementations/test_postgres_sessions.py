"""Sessions: the lock that one holds, and how they end and begin with their store, their process and their server."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from framework import DataFactory, as_settings
from framework.errors import LockedError
from framework.testing import assert_same

TWO = pd.DataFrame({"k": [1, 2], "t": pd.Series(["a", None], dtype=object)})
OTHER = pd.DataFrame({"k": [7]})


@pytest.fixture
def raw(raw: psycopg.Connection[Any], postgres_schema: str) -> Iterator[psycopg.Connection[Any]]:
    yield raw
    raw.execute(f'DROP SCHEMA IF EXISTS "{postgres_schema}_b" CASCADE')


@pytest.fixture
def make(raw: Any, postgres_url: str, postgres_schema: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    made = []

    def store(name: str = "postgres", /, stores: dict[str, Any] | None = None, **options: Any) -> Any:
        config = {"DB_URL": postgres_url, "DB_SCHEMA": postgres_schema, "stores": stores or {}}
        made.append(DataFactory(as_settings(config, workspace=tmp_path)).create_store(name, **options))
        return made[-1]

    yield store
    for one in made:
        one.close()


def test_the_lock_is_the_servers(make: Any, postgres_url: str) -> None:
    """Stores that know nothing of each other but the server wait for each other, wherever they run."""
    store, other = (
        make(),
        make(lock_timeout=0.2, url=f"{postgres_url}{'&' if '?' in postgres_url else '?'}application_name=elsewhere"),
    )
    store.save_data(TWO, "d")
    with store.locked("d"):
        with pytest.raises(LockedError):
            other.save_data(OTHER, "d")
        other.save_data(OTHER, "e")
    other.save_data(OTHER, "d")
    assert_same(OTHER, store.get_data("d"))


# --------------------------------------------------------------------------- connections


def sessions(raw: Any, name: str) -> int:
    """How many sessions of that name are open, once those that are ending have ended."""
    time.sleep(0.1)
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    return int(raw.execute(query, [name]).fetchone()[0])


def test_connections_end_with_their_store(make: Any, raw: Any, postgres_url: str, tmp_path: Path) -> None:
    """close() ends them, a store that is used again opens others, and one that nobody holds any more leaves none."""
    name = f"closing_{os.getpid()}"
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}application_name={name}"
    store = DataFactory(as_settings({"DB_URL": url, "DB_SCHEMA": make().namespace}, workspace=tmp_path)).create_store(
        "postgres"
    )
    store.save_data(TWO, "d")
    assert_same(TWO, store.get_data("d"))
    assert sessions(raw, name) >= 2
    store.close()
    assert sessions(raw, name) == 0
    assert_same(TWO, store.get_data("d"))
    next(store.iter_data("d", chunk_rows=1))
    del store
    gc.collect()
    assert sessions(raw, name) == 0


@pytest.mark.timeout(60)
def test_a_forked_child_leaves_its_parents_connections_alone(make: Any, raw: Any) -> None:
    """A child that uses the store opens its own, ends them with itself, and the parent's go on."""
    import multiprocessing

    store = make()
    store.save_data(TWO, "d")
    store.get_data("d")
    pids = "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity WHERE application_name = 'millpond'"
    before = set(raw.execute(pids).fetchone()[0])
    child = multiprocessing.get_context("fork").Process(target=_use, args=(store,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    store.save_data(TWO, "d", mode="append")
    assert len(store.get_data("d")) == 4
    assert before <= set(raw.execute(pids).fetchone()[0])


def _use(store: Any) -> None:
    store.save_data(OTHER, "from the child")
    assert_same(OTHER, store.get_data("from the child"))
    store.close()


def test_a_server_that_ended_its_sessions_is_used_again(make: Any, raw: Any, postgres_url: str) -> None:
    """Connections that the server ended between two calls are found out and replaced: no call sees it."""
    name = f"ended_{os.getpid()}"
    store = make(url=f"{postgres_url}{'&' if '?' in postgres_url else '?'}application_name={name}")
    for turn in range(5):
        store.save_data(TWO, "d", mode="append")
        assert len(store.get_data("d")) == 2 * (turn + 1)
        raw.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [name])
