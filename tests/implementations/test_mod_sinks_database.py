"""database_writer: on SQLite and on a real PostgreSQL, read back past it."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from framework import DataFactory, as_settings
from framework.errors import (
    ColumnNotFoundError,
    DataException,
    DatasetNotFoundError,
    IntegrityError,
    KeysError,
    LockedError,
    MissingExtraError,
    OutcomeUnknownError,
    ParameterError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from framework.mods.artifacts import write_frame
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.redact import redact

SECRET = "s3cret-of-the-writer"


@dataclass
class Database:
    """One to write to, and a look at it past the mod."""

    root: Path
    url: str
    schema: str | None
    look: Callable[[str], list[tuple[Any, ...]]]

    def write(self, frame: pd.DataFrame, *, load: str = "", **given: Any) -> dict[str, Any]:
        """Write the frame to the table t; the metrics."""
        write_frame(self.root / "came.parquet", frame)
        return self.call({"input_artifact": "came.parquet", **given}, load=load)

    def call(self, values: dict[str, Any], *, load: str = "") -> dict[str, Any]:
        where = {} if self.schema is None else {"schema": self.schema}
        whole = {"table_name": "t", "connection_string": self.url, **where, **values}
        return called(self.root, whole, load=load)

    def rows(self, columns: str = "*", order: str = "1") -> list[tuple[Any, ...]]:
        return self.look(f"SELECT {columns} FROM t ORDER BY {order}")


def called(root: Path, values: dict[str, Any], *, load: str = "", **more: Any) -> dict[str, Any]:
    folder = root / "runs" / "r1" / "database_writer"
    logger = logging.getLogger("millpond.mods")
    run = ModRun("r1", "database_writer", folder, root, logger, load_id=load, **more)
    return dict(Mods(root).load("database_writer").call(values, run).told.metrics)


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    def look(query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(tmp_path / "shop.db")
        try:
            with connection:
                return list(connection.execute(query))
        finally:
            connection.close()

    return Database(tmp_path, "sqlite:///shop.db", None, look)


@pytest.fixture
def postgres(tmp_path: Path, postgres_url: str, postgres_schema: str) -> Database:
    def look(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(postgres_url) as connection:
            connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(postgres_schema)))
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    with psycopg.connect(postgres_url) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(postgres_schema)))
    return Database(tmp_path, postgres_url, postgres_schema, look)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


def people(*ids: int, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": list(ids), "name": [f"n{each}" for each in ids], **columns})


# --------------------------------------------------------------------------- append, once


def test_a_table_that_is_not_there_is_made_of_the_rows_types(postgres: Database) -> None:
    """Each kind of column gets the server's type for it, and its values are read back as they were."""
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "small": pd.array([7, None], dtype="Int16"),
            "ratio": [0.5, None],
            "ok": pd.array([True, None], dtype="boolean"),
            "text": ["007", None],
            "raw": [b"\x00\xff", None],
            "day": [date(2024, 2, 29), None],
            "at": pd.to_datetime(["2024-01-01 10:00:00.123456", None]),
            "moment": pd.to_datetime(["2024-01-01 10:00:00+01:00", None]).tz_convert("Europe/Berlin"),
            "price": [Decimal("12.3400"), None],
            "took": pd.to_timedelta(["1 day 00:00:01", None]),
        }
    )
    postgres.write(frame)
    types = dict(
        postgres.look(
            "SELECT column_name, data_type FROM information_schema.columns"
            f" WHERE table_schema = '{postgres.schema}' AND table_name = 't'"
        )
    )
    assert types == {
        "id": "bigint",
        "small": "smallint",
        "ratio": "double precision",
        "ok": "boolean",
        "text": "text",
        "raw": "bytea",
        "day": "date",
        "at": "timestamp without time zone",
        "moment": "timestamp with time zone",
        "price": "numeric",
        "took": "interval",
    }
    first, second = postgres.rows()
    assert first[1:7] == (7, 0.5, True, "007", b"\x00\xff", date(2024, 2, 29))
    assert first[7] == datetime(2024, 1, 1, 10, 0, 0, 123456)
    assert first[8] == datetime(2024, 1, 1, 9, tzinfo=UTC)
    assert (str(first[9]), first[10].total_seconds()) == ("12.3400", 86401.0)
    assert second == (2, *[None] * 10)


def test_sqlite_holds_the_same_values(sqlite: Database) -> None:
    """Leading zeros, nulls, whole numbers with nulls, exact decimals and times to the microsecond stay."""
    frame = pd.DataFrame(
        {
            "id": pd.array([1, None], dtype="Int64"),
            "text": ["007", None],
            "price": [Decimal("12.3400"), None],
            "at": pd.to_datetime(["2024-01-01 10:00:00.123456", None]),
            "moment": pd.to_datetime(["2024-01-01 10:00:00+01:00", None]),
            "raw": [b"\x00", None],
        }
    )
    for _ in range(2):
        sqlite.write(frame)
    row = (1, "007", "12.3400", "2024-01-01 10:00:00.123456", "2024-01-01 09:00:00.000000", b"\x00")
    assert sqlite.look("SELECT * FROM t") == [row, (None,) * 6] * 2


def test_append_adds_behind_what_is_there(database: Database) -> None:
    """Append is the default; its metrics tell what was there and what is now."""
    first = database.write(people(1, 2))
    second = database.write(people(3))
    assert database.rows("id, name") == [(1, "n1"), (2, "n2"), (3, "n3")]
    assert (first["rows_before"], first["rows_after"], first["table_created"]) == (0, 2, True)
    assert (second["rows_before"], second["rows_after"], second["rows_output"]) == (2, 3, 1)
    assert second["table_created"] is False


def test_a_load_is_added_once(database: Database) -> None:
    """A re-run of the same run adds nothing and says how many rows it skipped; another load adds."""
    database.write(people(1, 2), load="run-1")
    again = database.write(people(1, 2), load="run-1")
    assert (again["rows_output"], again["rows_skipped"], again["rows_after"]) == (0, 2, 2)
    database.write(people(1, 2), load="run-2")
    assert database.rows("id") == [(1,), (1,), (2,), (2,)]
    assert database.look("SELECT table_name, load_id, loaded_rows FROM millpond_loads ORDER BY 2") == [
        ("t", "run-1", 2),
        ("t", "run-2", 2),
    ]


def test_a_load_whose_rows_were_replaced_can_be_made_again(database: Database) -> None:
    """A replace takes the loads of the rows that it takes away off the record."""
    database.write(people(1, 2), load="run-1")
    database.write(people(7, 8), mode="replace")
    database.write(people(1, 2), load="run-1")
    assert database.rows("id") == [(1,), (2,), (7,), (8,)]


def test_a_load_that_fails_is_not_on_record(database: Database) -> None:
    """Rows and record are of one transaction: what failed can be made again."""
    database.write(people(1))
    with pytest.raises(SchemaError):
        database.write(pd.DataFrame({"id": ["x"], "new": [1]}), load="run-1")
    assert database.rows() == [(1, "n1")]
    done = database.write(people(2), load="run-1")
    assert (done["rows_output"], done["rows_skipped"]) == (1, 0)


# --------------------------------------------------------------------------- columns


def test_new_columns_are_added_and_the_old_rows_lack_them(database: Database) -> None:
    """A column that the table lacks is added, nullable; one that the rows lack stays empty and is told."""
    database.write(people(1))
    told = database.write(pd.DataFrame({"id": [2], "100% new": [0.5]}))
    assert told["columns_added"] == ["100% new"]
    assert told["columns_lacking"] == ["name"]
    assert database.rows() == [(1, "n1", None), (2, None, 0.5)]


@pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
def test_an_impossible_change_changes_nothing(database: Database, mode: str) -> None:
    """Text for a column of numbers is refused with the column's name, and the new column beside it is not added."""
    database.write(people(1, 2), mode="upsert", keys=["id"])
    given = {"mode": mode, **({"keys": ["id"]} if mode == "upsert" else {})}
    with pytest.raises(SchemaError, match="'id'"):
        database.write(pd.DataFrame({"id": ["x", "y"], "new": [1, 2]}), **given)
    assert database.rows() == [(1, "n1"), (2, "n2")]


def test_a_fault_in_the_last_rows_takes_all_back(database: Database) -> None:
    """One transaction: 30 000 rows are gone again when a later one cannot be held."""
    database.write(pd.DataFrame({"id": pd.array([0], dtype="int64")}))
    many = pd.DataFrame({"id": [float(each) for each in range(30_000)] + [0.5]})
    with pytest.raises(SchemaError, match="'id'"):
        database.write(many, batch_size=500)
    assert database.rows() == [(0,)]


def test_numbers_go_into_text_and_whole_floats_into_integers(database: Database) -> None:
    """A column of zip codes that held only digits today still goes into the text that it is in the database."""
    database.write(pd.DataFrame({"zip": ["0123", "x"], "count": [1, 2]}))
    database.write(pd.DataFrame({"zip": [4567], "count": [3.0]}))
    assert database.rows(order="2") == [("0123", 1), ("x", 2), ("4567", 3)]


def test_a_column_without_a_value_fits_everywhere(database: Database) -> None:
    """A day on which nobody filled in the number is no change of its type."""
    database.write(pd.DataFrame({"id": [1], "count": [5]}))
    database.write(pd.DataFrame({"id": [2], "count": pd.Series([None], dtype="object")}))
    assert database.rows() == [(1, 5), (2, None)]


def test_tables_of_others_keep_their_types(postgres: Database) -> None:
    """What others declared, such as numeric, jsonb, uuid or a domain, is cast by the server and stays."""
    postgres.look(
        "CREATE TABLE t (id serial PRIMARY KEY, price numeric(10,2), doc jsonb, code varchar(4), key uuid,"
        " day date, made timestamptz DEFAULT now())"
    )
    frame = pd.DataFrame(
        {
            "id": [5],
            "price": [12.34],
            "doc": ['{"a": 1}'],
            "code": ["ab"],
            "key": ["6f1c2c5e-6a0e-4a3e-9d7b-0d6a3a1f0001"],
            "day": [date(2024, 1, 2)],
        }
    )
    postgres.write(frame)
    (row,) = postgres.rows("id, price, doc, code, key::text, day, made IS NOT NULL")
    assert row == (5, Decimal("12.34"), {"a": 1}, "ab", frame["key"][0], date(2024, 1, 2), True)
    postgres.look("INSERT INTO t (code) VALUES ('next')")
    assert postgres.rows("id") == [(5,), (6,)]


@pytest.mark.parametrize(
    ("declared", "value"), [("numeric(10,2)", 1.234), ("varchar(2)", "abc"), ("smallint", 70_000)], ids=str
)
def test_a_value_that_a_column_would_cut_is_refused(postgres: Database, declared: str, value: Any) -> None:
    """Nothing is rounded or cut to fit what others declared."""
    postgres.look(f"CREATE TABLE t (v {declared})")
    with pytest.raises(SchemaError):
        postgres.write(pd.DataFrame({"v": [value]}))
    assert postgres.rows() == []


def test_nanoseconds_are_refused_where_microseconds_are_held(database: Database) -> None:
    """A time with more digits than the database holds is an error that names the column."""
    with pytest.raises(SchemaError, match="'at'"):
        database.write(pd.DataFrame({"at": pd.to_datetime(["2024-01-01 00:00:00.000000001"])}))


# --------------------------------------------------------------------------- upsert


def test_upsert_puts_rows_in_the_place_of_those_with_their_keys(database: Database) -> None:
    """The others are added; a column that the rows do not bring keeps its value; twice is as once."""
    database.write(people(1, 2, age=[10, 20]), mode="upsert", keys=["id"])
    for _ in range(2):
        told = database.write(pd.DataFrame({"id": [2, 3], "name": ["new", "c"]}), mode="upsert", keys="id")
    assert database.rows() == [(1, "n1", 10), (2, "new", 20), (3, "c", None)]
    assert (told["rows_before"], told["rows_after"], told["rows_output"]) == (3, 3, 2)


def test_upsert_by_several_keys(database: Database) -> None:
    """Rows are told apart by all keys together."""
    frame = pd.DataFrame({"shop": ["a", "a", "b"], "day": [1, 2, 1], "sold": [1, 2, 3]})
    database.write(frame, mode="upsert", keys=["shop", "day"])
    database.write(frame.assign(sold=[10, 20, 30]).iloc[1:], mode="upsert", keys=["shop", "day"])
    assert database.rows(order="1, 2") == [("a", 1, 1), ("a", 2, 20), ("b", 1, 30)]


def test_upsert_where_the_rows_are_only_keys(database: Database) -> None:
    """There is nothing to change in a row that is there."""
    for _ in range(2):
        database.write(pd.DataFrame({"id": [1, 2]}), mode="upsert", keys=["id"])
    assert database.rows() == [(1,), (2,)]


def test_upsert_without_a_unique_index_replaces_whole_rows(database: Database) -> None:
    """A table of others without an index on the keys is upserted too, but no column of it may be lost by that."""
    database.write(people(1, 2))
    database.write(pd.DataFrame({"id": [2, 3], "name": ["new", "c"]}), mode="upsert", keys=["id"])
    assert database.rows() == [(1, "n1"), (2, "new"), (3, "c")]
    with pytest.raises(SchemaError, match="name"):
        database.write(pd.DataFrame({"id": [1]}), mode="upsert", keys=["id"])
    assert database.rows() == [(1, "n1"), (2, "new"), (3, "c")]


@pytest.mark.parametrize("ids", [[1, None], [1, 1]], ids=["null", "repeated"])
def test_keys_that_tell_nothing_apart_are_refused(database: Database, ids: list[Any]) -> None:
    """A null or repeated key is a KeysError, and not even the table is made."""
    frame = pd.DataFrame({"id": pd.array(ids, dtype="Int64"), "name": ["a", "b"]})
    with pytest.raises(KeysError, match="id"):
        database.write(frame, mode="upsert", keys=["id"])
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
        database.rows()


def test_a_key_that_is_no_column_is_named(database: Database) -> None:
    """The error tells the columns that there are."""
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'name'"):
        database.write(people(1), mode="upsert", keys=["names"])


@pytest.mark.parametrize("given", [{"mode": "upsert"}, {"mode": "append", "keys": ["id"]}, {"mode": "merge"}], ids=str)
def test_modes_and_keys_are_checked_before_anything_runs(sqlite: Database, given: dict[str, Any]) -> None:
    """Upsert needs keys, nothing else takes them, and there are three modes."""
    with pytest.raises(ParameterError, match=r"keys|mode"):
        sqlite.write(people(1), **given)
    assert not (sqlite.root / "shop.db").exists()


# --------------------------------------------------------------------------- replace


def test_replace_keeps_what_the_table_is(postgres: Database) -> None:
    """Its rows are others; its constraints, its grants and the views on it are as they were."""
    postgres.look("CREATE TABLE t (id bigint PRIMARY KEY, name text DEFAULT 'none')")
    postgres.look("CREATE VIEW v AS SELECT name FROM t")
    postgres.write(people(1, 2))
    identity = postgres.look("SELECT 't'::regclass::oid")
    postgres.write(people(2, 3), mode="replace")
    assert postgres.look("SELECT * FROM v ORDER BY 1") == [("n2",), ("n3",)]
    assert postgres.look("SELECT 't'::regclass::oid") == identity


@pytest.mark.parametrize("left", [0, 1, 2])
def test_replace_that_would_empty_or_halve_a_table_is_refused(database: Database, left: int) -> None:
    """Less than half of five rows is refused, and nothing is changed, unless it is said to be meant."""
    five = people(1, 2, 3, 4, 5)
    database.write(five)
    with pytest.raises(DataException, match="allow_shrink"):
        database.write(five.iloc[:left], mode="replace")
    assert len(database.rows()) == 5
    told = database.write(five.iloc[:left], mode="replace", allow_shrink=True)
    assert (told["rows_before"], told["rows_after"], len(database.rows())) == (5, left, left)


def test_replace_by_half_is_no_mistake(database: Database) -> None:
    """Half of the rows may stay away."""
    database.write(people(1, 2, 3, 4))
    database.write(people(1, 2), mode="replace")
    assert database.rows("id") == [(1,), (2,)]


# --------------------------------------------------------------------------- where, and when it is not there


def test_without_an_address_the_workspaces_settings_say_it(
    tmp_path: Path, postgres_url: str, postgres_schema: str
) -> None:
    """DB_URL and DB_SCHEMA are where the table goes, and the store of that server reads it."""
    settings = as_settings({"DB_URL": postgres_url, "DB_SCHEMA": postgres_schema}, workspace=tmp_path)
    factory = DataFactory(settings)
    write_frame(tmp_path / "a.parquet", people(1, 2))
    values = {"input_artifact": "a.parquet", "table_name": "t"}
    called(tmp_path, values, settings=settings, open_store=factory.create_store)
    frame = factory.create_store("postgres").get_data("t")
    assert frame.to_dict("list") == {"id": [1, 2], "name": ["n1", "n2"]}


def test_a_server_that_cannot_be_reached_is_unavailable_without_its_password(tmp_path: Path) -> None:
    """The error says what was tried, and no part of it is the password."""
    write_frame(tmp_path / "a.parquet", people(1))
    values = {
        "input_artifact": "a.parquet",
        "table_name": "t",
        "connection_string": f"postgresql://u:{SECRET}@127.0.0.1:1/x",
    }
    with pytest.raises(UnavailableError) as caught:
        called(tmp_path, values)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert SECRET not in redact(f"it was {SECRET}.")


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("nonsense", ParameterError),
        ("nosuch://x/y", ParameterError),
        ("firebird+fdb://x/y", (ParameterError, MissingExtraError)),
        ("sqlite:////nowhere/at/all/x.db", StorageError),
    ],
    ids=str,
)
def test_an_address_that_leads_nowhere_is_told(tmp_path: Path, address: str, error: Any) -> None:
    """Each is a typed error."""
    write_frame(tmp_path / "a.parquet", people(1))
    with pytest.raises(error):
        called(tmp_path, {"input_artifact": "a.parquet", "table_name": "t", "connection_string": address})


def test_an_artifact_that_is_not_there_is_found_before_anything_runs(sqlite: Database) -> None:
    """No database is opened for it."""
    with pytest.raises(DatasetNotFoundError, match=r"none\.parquet"):
        sqlite.call({"input_artifact": "none.parquet"})
    assert not (sqlite.root / "shop.db").exists()


DIES = """CREATE FUNCTION {}.die() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"""


def test_a_connection_that_is_lost_on_the_way_changes_nothing(postgres: Database) -> None:
    """The server goes away while rows come: UnavailableError, and the table is as it was."""
    postgres.write(people(1))
    postgres.look(DIES.format(postgres.schema))
    postgres.look("CREATE TRIGGER dies AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION die()")
    with pytest.raises(UnavailableError) as caught:
        postgres.write(people(2), load="run-1")
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert postgres.rows("id") == [(1,)]


def test_a_connection_that_is_lost_while_it_commits_says_what_to_do(postgres: Database) -> None:
    """It holds the load's id, under which the same rows are added once, whatever became of the first try."""
    postgres.write(people(1))
    postgres.look(DIES.format(postgres.schema))
    postgres.look(
        "CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION die()"
    )
    with pytest.raises(OutcomeUnknownError) as caught:
        postgres.write(people(2), load="run-1")
    assert caught.value.save_id == "run-1"
    postgres.look("DROP TRIGGER dies ON t")
    postgres.write(people(2), load="run-1")
    assert postgres.rows("id") == [(1,), (2,)]


@pytest.mark.timeout(60)
def test_a_table_that_another_holds_is_locked(postgres: Database, postgres_url: str) -> None:
    """After LOCK_TIMEOUT it is given up, and nothing is changed."""
    postgres.write(people(1), mode="upsert", keys=["id"])
    settings = as_settings({"LOCK_TIMEOUT": 0.5}, workspace=postgres.root)
    values = {"input_artifact": "came.parquet", "table_name": "t", "connection_string": postgres.url}
    values |= {"schema": postgres.schema, "mode": "upsert", "keys": ["id"]}
    with psycopg.connect(postgres_url) as other:
        other.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(sql.Identifier(str(postgres.schema), "t")))
        with pytest.raises(LockedError):
            called(postgres.root, values, settings=settings)


@pytest.mark.timeout(120)
def test_the_same_load_at_the_same_time_is_added_once(database: Database) -> None:
    """Eight at once: one makes the table and adds, the others find it done."""
    write_frame(database.root / "came.parquet", people(*range(2000)))
    values = {"input_artifact": "came.parquet"}
    with ThreadPoolExecutor(8) as workers:
        told = [each.result() for each in [workers.submit(database.call, values, load="run-1") for _ in range(8)]]
    assert sorted(each["rows_output"] for each in told) == [0] * 7 + [2000]
    assert database.look("SELECT count(*) FROM t") == [(2000,)]


@pytest.mark.timeout(120)
def test_a_writer_that_is_killed_has_written_nothing(database: Database) -> None:
    """Killed while its rows were on their way, the same load is made whole afterwards."""
    database.write(people(1))
    write_frame(database.root / "came.parquet", pd.DataFrame({"id": range(1_000_000)}))
    where = database.schema or ""
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(database.root), "came.parquet", database.url, where]
    child = subprocess.Popen(command)
    while child.poll() is None and not is_writing(database):
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -9
    assert database.rows("id") == [(1,)]
    done = database.call({"input_artifact": "came.parquet"}, load="run-1")
    assert (done["rows_output"], done["rows_after"]) == (1_000_000, 1_000_001)


def is_writing(database: Database) -> bool:
    """Whether somebody's rows are on their way."""
    if database.schema is None:
        return (database.root / "shop.db-journal").exists()
    copies = f"SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%{database.schema}%'"
    return bool(database.look(copies))


def test_names_are_taken_as_they_are(database: Database) -> None:
    """Capitals, quotes, per cent signs and words of SQL are plain names."""
    name = 'Odd "100%" :t'
    frame = pd.DataFrame({"select": [1], 'Say "100%" :x': ["a"]})
    for _ in range(2):
        database.write(frame, table_name=name, mode="upsert", keys=["select"])
    quoted = '"' + name.replace('"', '""') + '"'
    assert database.look(f"SELECT * FROM {quoted}") == [(1, "a")]


def test_a_schema_can_stand_before_the_table(database: Database) -> None:
    """schema.table is what database_reader takes too."""
    write_frame(database.root / "came.parquet", people(1))
    values = {"input_artifact": "came.parquet", "table_name": f"{database.schema or 'main'}.t"}
    called(database.root, {**values, "connection_string": database.url})
    assert database.rows() == [(1, "n1")]


def test_sqlite_holds_yes_and_no_as_numbers(sqlite: Database) -> None:
    """A column that others declared INTEGER takes booleans, as SQLite itself does."""
    sqlite.look("CREATE TABLE t (ok INTEGER)")
    sqlite.write(pd.DataFrame({"ok": [True, False]}))
    assert sqlite.rows() == [(0,), (1,)]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_rows_that_the_server_drops_are_missed(postgres: Database, mode: str) -> None:
    """A trigger that lets a row vanish without a word makes the load an error, and nothing of it stays."""
    postgres.write(people(1), mode="upsert", keys=["id"])
    postgres.look(
        f"CREATE FUNCTION {postgres.schema}.drops() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END $$"
    )
    postgres.look("CREATE TRIGGER drops BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION drops()")
    with pytest.raises(IntegrityError, match="1 rows of 2"):
        postgres.write(people(2, 3), mode=mode, **({"keys": ["id"]} if mode == "upsert" else {}))
    assert postgres.rows("id") == [(1,)]


def test_a_domain_takes_what_its_type_takes(postgres: Database) -> None:
    """And its rule is kept."""
    postgres.look("CREATE DOMAIN age AS integer CHECK (VALUE >= 0); CREATE TABLE t (a age)")
    postgres.write(pd.DataFrame({"a": [5]}))
    with pytest.raises(SchemaError, match="age"):
        postgres.write(pd.DataFrame({"a": [-1]}))
    assert postgres.rows() == [(5,)]


def test_a_name_that_the_server_would_cut_is_refused(postgres: Database) -> None:
    """Two columns could become one."""
    with pytest.raises(SchemaError, match="63 bytes"):
        postgres.write(pd.DataFrame({"x" * 64: [1]}))


def test_csv_is_an_artifact_too(database: Database) -> None:
    """Types are found as csv_reader finds them."""
    (database.root / "a.csv").write_text("id,code\n1,007\n2,\n")
    database.call({"input_artifact": "a.csv"})
    assert database.rows() == [(1, "007"), (2, None)]


CHILD = """
    import logging, sys
    from pathlib import Path
    from framework.mods.catalog import Mods
    from framework.mods.run import ModRun
    root = Path(sys.argv[1])
    logger = logging.getLogger("millpond.mods")
    run = ModRun("r1", "database_writer", root / "runs", root, logger, load_id="run-1")
    values = {"input_artifact": sys.argv[2], "table_name": "t", "connection_string": sys.argv[3]}
    if sys.argv[4]:
        values["schema"] = sys.argv[4]
    made = Mods(root).load("database_writer").call(values, run)
    print(made.told.metrics["memory_used_mb"])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(database: Database) -> None:
    """Ten times the rows take at most 60 MB more."""
    peaks = []
    for rows in (200_000, 2_000_000):
        frame = pd.DataFrame({"id": range(rows), "text": [f"text number {each}" for each in range(rows)]})
        write_frame(database.root / f"{rows}.parquet", frame)
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(database.root), f"{rows}.parquet", database.url]
        if peaks:
            database.look("DELETE FROM t")
            database.look("DELETE FROM millpond_loads")
        done = subprocess.run([*command, database.schema or ""], capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout))
    assert peaks[1] - peaks[0] < 60, peaks
    assert database.look("SELECT count(*) FROM t") == [(2_000_000,)]


# --------------------------------------------------------------------------- digits that a column has no place for


@pytest.mark.parametrize("value", [0.1234567890123, 16777217.0, 1e300])
def test_a_real_column_does_not_round(value: float, postgres: Database) -> None:
    """COPY into float4 says nothing of what it loses, so it is looked at before: nothing is written."""
    postgres.look("CREATE TABLE t (id bigint, x real)")
    with pytest.raises(SchemaError, match=r"'x' of .* is real, which would round"):
        postgres.write(pd.DataFrame({"id": [1, 2], "x": [0.5, value]}))
    assert postgres.rows() == []
    postgres.write(pd.DataFrame({"id": [1, 2, 3], "x": [0.5, float("nan"), float("inf")]}))
    assert postgres.rows() == [(1, 0.5), (2, None), (3, float("inf"))]


def test_nan_is_null_in_a_database(database: Database) -> None:
    """It is a missing value: an average over it is that of the others, in a new table and in one that is there."""
    pq.write_table(pa.table({"id": [1, 2], "x": [0.5, float("nan")]}), database.root / "came.parquet")
    for _ in range(2):
        database.call({"input_artifact": "came.parquet"})
        assert database.look("SELECT avg(x), count(x) = count(*) / 2 FROM t") == [(0.5, True)]


NUMBERS = [
    Decimal("12345678901234567.8912"),
    Decimal("0.12345678901234567890"),
    Decimal("18446744073709551617"),
    Decimal("123456789012345678901234567890"),
]


@pytest.mark.parametrize("value", NUMBERS, ids=str)
def test_a_numeric_column_of_sqlite_does_not_round(value: Decimal, sqlite: Database) -> None:
    """It keeps floats: a number that is none is refused, and nothing is written."""
    sqlite.look("CREATE TABLE t (id INTEGER PRIMARY KEY, d NUMERIC(38, 4))")
    with pytest.raises(SchemaError, match=f"would round {value}"):
        sqlite.write(pd.DataFrame({"id": [1, 2], "d": [Decimal("1.5"), value]}))
    assert sqlite.rows() == []


def test_a_numeric_column_of_sqlite_has_whole_numbers_as_such(sqlite: Database) -> None:
    """Whole numbers beyond 2 ** 53 come through, as rows and as keys by which rows are replaced."""
    big = 9007199254740993
    sqlite.look("CREATE TABLE t (f NUMERIC, d NUMERIC)")
    sqlite.write(pd.DataFrame({"f": [big, 3], "d": [Decimal(big), Decimal("-12.75")]}))
    assert sqlite.rows("f, typeof(f), d") == [(3, "integer", -12.75), (big, "integer", big)]
    sqlite.write(pd.DataFrame({"f": [big - 1, big], "d": [Decimal(1), Decimal(2)]}), mode="upsert", keys=["f"])
    assert sqlite.rows() == [(3, -12.75), (big - 1, 1), (big, 2)]
    sqlite.look("CREATE UNIQUE INDEX apart ON t (f)")
    sqlite.write(pd.DataFrame({"f": [big], "d": [Decimal(big)]}), mode="upsert", keys=["f"])
    assert sqlite.rows() == [(3, -12.75), (big - 1, 1), (big, big)]


def test_columns_that_only_case_tells_apart_go_where_the_database_tells_them_apart(database: Database) -> None:
    """SQLite does not: SchemaError with the cure, in a new table and beside a column that is there."""
    both = pd.DataFrame({"A": [1], "a": [2]})
    if database.schema is not None:
        database.write(both)
        assert database.rows('"A", a') == [(1, 2)]
        return
    with pytest.raises(SchemaError, match=r"'A' and 'a' are one name in t.*Rename one"):
        database.write(both)
    database.write(both[["A"]])
    with pytest.raises(SchemaError, match=r"'A' and 'a' are one name in t"):
        database.write(both[["a"]])
    assert database.rows() == [(1,)]


def test_a_key_that_is_nan_is_no_key(database: Database) -> None:
    """It is missing, as null is: rows are not doubled with each upsert."""
    database.look("CREATE TABLE t (k double precision, v integer)")
    pq.write_table(pa.table({"k": [1.0, float("nan")], "v": [1, 2]}), database.root / "came.parquet")
    with pytest.raises(KeysError, match="is null"):
        database.call({"input_artifact": "came.parquet", "mode": "upsert", "keys": ["k"]})
    assert database.rows() == []
