"""A few rows in the place of a few: by DELETE and COPY in one journey, with all that a longer way keeps."""

from __future__ import annotations

import threading
from typing import Any

import pandas as pd
import psycopg
import pytest

from framework.errors import SchemaError
from framework.testing import assert_same

OLD = pd.DataFrame({"k": range(3), "t": pd.Series(["a", None, "c"], dtype=object)})
NEW = pd.DataFrame({"k": range(10, 14), "t": pd.Series(["x", "y", None, "z"], dtype=object)})


def file_of(raw: psycopg.Connection[Any], table: str) -> int:
    """The table's file, which TRUNCATE replaces and DELETE keeps."""
    found = raw.execute("SELECT pg_relation_filenode(%s::regclass)", [table]).fetchone()
    assert found is not None
    return int(found[0])


def test_the_tables_file_stays(store: Any, raw: psycopg.Connection[Any]) -> None:
    """Few rows are deleted and copied, and counted as one version."""
    store.save_data(OLD, "d")
    before = file_of(raw, "d")
    store.save_data(NEW, "d")
    assert file_of(raw, "d") == before
    assert_same(NEW, store.get_data("d"))
    assert store.describe("d").version == 2


def test_a_row_that_the_server_refuses_leaves_the_old_ones(store: Any, raw: psycopg.Connection[Any]) -> None:
    """A constraint that a new row breaks undoes all, the record too, and the next save goes on as ever."""
    store.save_data(OLD, "d")
    raw.execute("ALTER TABLE d ADD CHECK (k < 12)")
    with pytest.raises(SchemaError, match="check constraint"):
        store.save_data(NEW, "d")
    assert_same(OLD, store.get_data("d"))
    assert store.describe("d").version == 1
    store.save_data(NEW.head(2), "d")
    assert_same(NEW.head(2), store.get_data("d"))
    assert store.describe("d").version == 2


def test_a_rule_that_keeps_rows_does_not_keep_them(store: Any, raw: psycopg.Connection[Any]) -> None:
    """Where DELETE leaves rows, they are counted, and go the long way; that is one version too."""
    store.save_data(OLD, "d")
    raw.execute("CREATE RULE keeping AS ON DELETE TO d DO INSTEAD NOTHING")
    before = file_of(raw, "d")
    store.save_data(NEW, "d")
    assert file_of(raw, "d") != before
    assert_same(NEW, store.get_data("d"))
    assert store.describe("d").version == 2


def test_every_one_of_many_saves_is_a_version(store: Any, raw: psycopg.Connection[Any]) -> None:
    """Dead rows fill the file until it is emptied, and no save in between is lost or counted twice."""
    raw.execute("CREATE TABLE other (k bigint)")
    frames = [pd.DataFrame({"k": range(start, start + 100)}) for start in range(150)]
    store.save_data(frames[0], "d")
    raw.execute("ALTER TABLE d SET (autovacuum_enabled = off)")
    seen = set()
    with raw.transaction():
        raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM other")  # so that dead rows stay
        for frame in frames[1:]:
            store.save_data(frame, "d")
            seen.add(store.get_data("d")["k"].iloc[0])
    assert seen == set(range(1, 150))
    assert_same(frames[-1], store.get_data("d"))
    assert store.describe("d").version == len(frames)


def test_the_next_writer_is_let_in_at_once(store: Any) -> None:
    """A save that has returned holds nothing: writers take turns, in threads and over connections of their own."""
    done: list[int] = []

    def saves(name: int) -> None:
        for turn in range(20):
            store.save_data(NEW, "d", mode="append")
            done.append(name * 100 + turn)

    threads = [threading.Thread(target=saves, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 60
    assert len(store.get_data("d")) == 60 * len(NEW)
