"""The postgres store, on a real server."""

from __future__ import annotations

import datetime as dt
import logging
import traceback
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from framework import DataFactory, as_settings
from framework.errors import DatasetNotFoundError, LockedError, SchemaError, UnavailableError
from framework.testing import StoreConformance, UpsertConformance, assert_same
from framework.testing.suite import Rows

OWN = "millpond_catalog"
TYPES = {int: "bigint", float: "double precision", str: "text", type(None): "double precision"}


class Postgres:
    """The raw side: psycopg, on a schema of the test's own."""

    url: str
    schema: str
    raw: psycopg.Connection[Any]

    @pytest.fixture(autouse=True)
    def _server(self, postgres_url: str, postgres_schema: str) -> Iterator[None]:
        self.url, self.schema = postgres_url, postgres_schema
        with psycopg.connect(postgres_url, autocommit=True) as self.raw:
            self.raw.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(postgres_schema)))
            yield

    def settings(self, place: Path) -> dict[str, Any]:
        return {"DB_URL": self.url, "DB_SCHEMA": self.schema}

    def run(self, query: str, *names: str) -> list[tuple[Any, ...]]:
        """Execute a query whose `{}` are tables of the schema."""
        targets = [sql.Identifier(self.schema, name) for name in names]
        cursor = self.raw.execute(sql.SQL(query).format(*targets))
        return cursor.fetchall() if cursor.description else []

    def columns(self, name: str) -> list[str]:
        query = (
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attname <> 'millpond_row' ORDER BY attnum"
        )
        target = sql.Identifier(self.schema, name).as_string(self.raw)
        return [column for (column,) in self.raw.execute(query, [target])]

    def raw_read(self, store: Any, name: str) -> Rows:
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns(name)))
        query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(self.schema, name))
        rows = self.raw.execute(query).fetchall()
        return [tuple(None if cell != cell else cell for cell in row) for row in rows]

    def raw_write(self, store: Any, name: str, rows: list[dict[str, Any]]) -> None:
        target = sql.Identifier(self.schema, name)
        self.raw.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(target))
        columns = [sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(TYPES[type(v)])) for c, v in rows[0].items()]
        self.raw.execute(sql.SQL("CREATE TABLE {} ({})").format(target, sql.SQL(", ").join(columns)))
        marks = sql.SQL(", ").join(sql.Placeholder() * len(columns))
        with self.raw.cursor() as cursor:
            insert = sql.SQL("INSERT INTO {} VALUES ({})").format(target, marks)
            cursor.executemany(insert, [list(row.values()) for row in rows])

    def raw_state(self, store: Any) -> dict[str, list[str]]:
        """Each relation of the schema with its rows, their places in the table included."""
        query = "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = %s::regnamespace"
        relations = sorted(self.raw.execute(query, [self.schema]).fetchall())
        rows = "SELECT (whole_row.*)::text || whole_row.ctid FROM {} whole_row"
        state = {name: [kind] for name, kind in relations if kind in "rvmS"}
        return {
            name: [*kinds, *(sorted(row for (row,) in self.run(rows, name)) if kinds == ["r"] else [])]
            for name, kinds in state.items()
        }


class TestPostgresStore(Postgres, StoreConformance, UpsertConformance):
    kind = "postgres"


PEOPLE = pd.DataFrame({"id": [1, 2, 3], "name": pd.Series(["a", "b", "c"], dtype=object)})
CANARY = "canary-3f9b"


class TestPostgresAlone(Postgres):
    """What only a server has."""

    kind = "postgres"

    @pytest.fixture(autouse=True)
    def _closed(self) -> Iterator[None]:
        self.made: list[Any] = []
        yield
        for store in self.made:
            store.close()

    def store(self, place: Path, **options: Any) -> Any:
        made = DataFactory(as_settings(workspace=place, **self.settings(place))).create_store("postgres", **options)
        self.made.append(made)
        return made

    # ------------------------------------------------------------------ the server

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://me:{CANARY}@127.0.0.1:1/nothing",
            f"postgresql://me:{CANARY}@/nothing?host=/nowhere",
            f"postgresql://me:{CANARY}@no.such.host.invalid:5432/x",
            f"postgresql+psycopg://me:{CANARY}@127.0.0.1:1/nothing",
        ],
    )
    def test_a_server_that_is_down_is_an_error_without_a_secret(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str
    ) -> None:
        """Each use raises UnavailableError, health says no; the password is in no message, cause, log or repr."""
        store = DataFactory(as_settings(workspace=tmp_path)).create_store("postgres", url=url)
        told = [repr(store), repr(store.options), str(store.options)]
        for call in (lambda: store.save_data(PEOPLE, "d"), lambda: store.get_data("d"), store.list_sources):
            with pytest.raises(UnavailableError) as caught:
                call()
            told += [*traceback.format_exception(caught.value), repr(caught.value.context)]
        with caplog.at_level(logging.DEBUG):
            assert store.health_check() is False
        assert caplog.records
        assert CANARY not in "".join([*told, caplog.text])

    def test_an_address_that_is_none_is_an_error_without_a_secret(self, tmp_path: Path) -> None:
        """An address that libpq cannot read is refused without showing it."""
        store = DataFactory(as_settings(workspace=tmp_path)).create_store(
            "postgres", url=f"postgresql://me:{CANARY}@host:notaport/x?what=5"
        )
        with pytest.raises(UnavailableError) as caught:
            store.list_sources()
        assert CANARY not in "".join(traceback.format_exception(caught.value))

    def test_no_connection_is_made_before_it_is_used(self, tmp_path: Path) -> None:
        """Making the store of a server that is down raises nothing."""
        DataFactory(as_settings(workspace=tmp_path, DB_SERVER="127.0.0.1", DB_PORT=1)).create_store("postgres")

    def test_a_lock_of_others_is_waited_for_and_then_an_error(self, tmp_path: Path) -> None:
        """A table that somebody else holds: LockedError after lock_timeout, for writers and readers alike."""
        store = self.store(tmp_path, lock_timeout=0.3)
        store.save_data(PEOPLE, "d")
        with psycopg.connect(self.url) as blocker:
            blocker.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(self.schema, "d")))
            for call in (lambda: store.save_data(PEOPLE, "d", mode="append"), lambda: store.get_data("d")):
                with pytest.raises(LockedError):
                    call()
        assert_same(PEOPLE, store.get_data("d"))

    # ------------------------------------------------------------------ identity

    def test_views_grants_and_indexes_survive_a_replace(self, tmp_path: Path) -> None:
        """A replace keeps the table: who may read it, what is built on it, and how it is searched."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "people")
        self.run("CREATE VIEW {} AS SELECT id FROM {}", "ids", "people")
        self.run("CREATE INDEX ON {} (id)", "people")
        self.run("GRANT SELECT ON {} TO PUBLIC", "people")
        before = self.run("SELECT '{}'::regclass::oid".replace("'{}'", f"'\"{self.schema}\".people'"))
        for rows in (2, 30_000, 1):
            store.save_data(pd.DataFrame({"id": range(rows), "name": ["n"] * rows}).astype({"name": object}), "people")
            assert self.run("SELECT count(*) FROM {}", "ids") == [(rows,)]
        query = "SELECT relacl::text, (SELECT count(*) FROM pg_index WHERE indrelid = c.oid), oid FROM pg_class c"
        ((grants, indexes, oid),) = self.raw.execute(
            query + " WHERE relname = 'people' AND relnamespace = %s::regnamespace", [self.schema]
        ).fetchall()
        assert "=r/" in grants
        assert (indexes, [(oid,)]) == (1, before)
        assert store.list_sources() == ["ids", "people"]
        assert list(store.get_data("ids")["id"]) == [0]

    def test_columns_may_change_under_a_view_that_does_not_use_them(self, tmp_path: Path) -> None:
        """ALTER touches the columns that change, so a view on the others stands."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "people")
        self.run("CREATE VIEW {} AS SELECT id FROM {}", "ids", "people")
        store.save_data(PEOPLE.rename(columns={"name": "title"}).assign(more=0.5), "people")
        assert self.run("SELECT id FROM {}", "ids") == [(1,), (2,), (3,)]

    def test_a_view_in_the_way_of_a_change_is_an_error(self, tmp_path: Path) -> None:
        """Dropping a column that a view shows is a SchemaError that names the view, and nothing changes."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "people")
        self.run("CREATE VIEW {} AS SELECT name FROM {}", "names", "people")
        before = self.raw_state(store)
        with pytest.raises(SchemaError, match="names"):
            store.save_data(PEOPLE.drop(columns="name"), "people")
        with pytest.raises(SchemaError, match="a view"):
            store.save_data(PEOPLE, "names")
        with pytest.raises(SchemaError, match="names"):
            store.delete_data("people")
        assert self.raw_state(store) == before

    def test_a_constraint_of_others_is_obeyed(self, tmp_path: Path) -> None:
        """Rows that break a constraint are a SchemaError, and the old ones stay."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "people")
        self.run("ALTER TABLE {} ADD UNIQUE (id)", "people")
        for mode in ("append", "replace"):
            with pytest.raises(SchemaError):
                store.save_data(pd.concat([PEOPLE, PEOPLE], ignore_index=True), "people", mode=mode)
        assert_same(PEOPLE, store.get_data("people"))

    # ------------------------------------------------------------------ tables of others

    def test_tables_of_others_are_read_with_what_they_hold(self, tmp_path: Path) -> None:
        """Each of the server's common types comes back as what loses nothing, others as text."""
        self.run(
            "CREATE TABLE {} (a smallint, b integer, c bigint, d real, e double precision, f text, g varchar(5),"
            " h boolean, i timestamp, j timestamptz, k date, l bytea, m numeric(10,2), n uuid, o jsonb, p integer)",
            "theirs",
        )
        self.run(
            "INSERT INTO {} VALUES (1, 2, 3, 0.5, 0.1, 'x', 'y', true, '2024-01-01 00:00:00.000001',"
            " '2024-01-01 12:00+02', '2024-01-01', '\\x00ff', 1.10, '00000000-0000-0000-0000-000000000001',"
            " '{{\"a\": 1}}', NULL)",
            "theirs",
        )
        row = self.store(tmp_path).get_data("theirs").iloc[0]
        assert [row[c] for c in "abcdefgh"] == [1, 2, 3, 0.5, 0.1, "x", "y", True]
        assert row["i"] == pd.Timestamp("2024-01-01 00:00:00.000001")
        assert row["j"] == pd.Timestamp("2024-01-01 10:00", tz="UTC")
        assert (row["k"], row["l"], row["m"]) == (dt.date(2024, 1, 1), b"\x00\xff", Decimal("1.10"))
        assert (row["n"], row["o"]) == (UUID("00000000-0000-0000-0000-000000000001"), '{"a": 1}')
        assert row["p"] is pd.NA

    def test_rows_that_others_add_are_read(self, tmp_path: Path) -> None:
        """INSERT, UPDATE and DELETE by others show; the dtypes on record hold, but for a null where none could be."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE.assign(c=pd.Categorical(["x", "y", "x"])), "d")
        self.run("DELETE FROM {} WHERE id = 2", "d")
        self.run("INSERT INTO {} VALUES (NULL, NULL, 'y')", "d")
        got = store.get_data("d")
        assert got["id"].tolist() == [1, 3, pd.NA]
        assert str(got["id"].dtype) == "Int64"
        assert got["name"].tolist() == ["a", "c", None]
        assert got["c"].tolist() == ["x", "x", "y"]

    def test_a_column_whose_type_others_changed_is_read(self, tmp_path: Path) -> None:
        """After ALTER TYPE by others the values are given as they are now."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "d")
        self.run("ALTER TABLE {} ALTER id TYPE text USING 'no. ' || id", "d")
        assert list(store.get_data("d")["id"]) == ["no. 1", "no. 2", "no. 3"]
        store.save_data(PEOPLE, "d")
        assert_same(PEOPLE, store.get_data("d"))

    def test_a_table_that_others_dropped_is_gone(self, tmp_path: Path) -> None:
        """A record without its table is no dataset; the name can be saved again."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "d")
        self.run("DROP TABLE {}", "d")
        assert store.list_sources() == []
        with pytest.raises(DatasetNotFoundError):
            store.get_data("d")
        store.save_data(PEOPLE, "d", mode="append")
        assert_same(PEOPLE, store.get_data("d"))

    @pytest.mark.parametrize("record", ["", "{", "[]", "null", '{"millpond": 1}', '{"millpond": 1, "fields": [{}]}'])
    def test_a_damaged_catalogue_loses_no_row(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, record: str
    ) -> None:
        """A record that cannot be read is passed over with a WARNING; the rows are given, the next save mends it."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "d")
        target = sql.Identifier(self.schema, OWN)
        self.raw.execute(sql.SQL("UPDATE {} SET schema = %s").format(target), [record])
        with caplog.at_level(logging.WARNING):
            assert store.get_data("d")["id"].tolist() == [1, 2, 3]
        assert "d" in caplog.text
        assert store.describe("d").rows == 3
        store.save_data(PEOPLE, "d")
        assert_same(PEOPLE, store.get_data("d"))

    def test_a_catalogue_that_is_gone_loses_no_row(self, tmp_path: Path) -> None:
        """Without the catalogue the tables are read as those of others, and a save makes it anew."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "d")
        self.run("DROP TABLE {}", OWN)
        assert store.get_data("d")["id"].tolist() == [1, 2, 3]
        assert store.list_sources() == ["d"]
        store.save_data(PEOPLE, "d")
        assert store.describe("d").version == 1

    # ------------------------------------------------------------------ names

    @pytest.mark.parametrize(
        "name", ['x"; DROP TABLE kept; --', "%s", "'", "a.b", "../x", "select", "\\", "é" * 60, "n" * 990, ":x $1 {}"]
    )
    def test_a_name_is_never_sql(self, tmp_path: Path, name: str) -> None:
        """Quotes, semicolons, placeholders and more than 63 bytes are a name like any other, of table and column."""
        store = self.store(tmp_path)
        store.save_data(PEOPLE, "kept")
        frame = PEOPLE.rename(columns={"name": name})
        store.save_data(frame, name)
        store.save_data(frame, name, mode="append")
        store.save_data(frame.iloc[:1], name + "2", mode="upsert", keys=["id"])
        assert store.list_sources() == sorted(["kept", name, name + "2"])[:3]
        assert list(store.get_data(name).columns) == ["id", name]
        assert len(store.get_data(name, columns=[name])) == 6
        assert store.describe(name).rows == 6
        store.delete_data(name)
        assert_same(PEOPLE, store.get_data("kept"))

    def test_a_schema_is_made_when_it_is_missing(self, tmp_path: Path) -> None:
        """DB_SCHEMA need not exist, may be any text, and keeps its tables apart from those of another."""
        other = f"{self.schema}"
        self.raw.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(other)))
        store = self.store(tmp_path)
        assert store.list_sources() == []
        assert store.health_check() is True
        store.save_data(PEOPLE, "d")
        assert self.raw_read(store, "d") == [(1, "a"), (2, "b"), (3, "c")]

    # ------------------------------------------------------------------ order

    def test_rows_keep_their_order_whatever_the_server_does(self, tmp_path: Path) -> None:
        """Appends after deletions and a vacuum, updates, big tables: rows come in the order of their saves."""
        store = self.store(tmp_path)
        frame = pd.DataFrame({"id": range(20_000)})
        store.save_data(frame, "d")
        self.run("DELETE FROM {} WHERE id < 10000", "d")
        self.run("VACUUM {}", "d")
        store.save_data(pd.DataFrame({"id": range(20_000, 25_000)}), "d", mode="append")
        self.run("UPDATE {} SET id = id WHERE id % 3 = 0", "d")
        assert list(store.get_data("d")["id"]) == list(range(10_000, 25_000))
        assert self.columns("d") == ["id"]
        store.save_data(frame.iloc[::-1].reset_index(drop=True), "d")
        assert list(store.get_data("d")["id"]) == list(range(19_999, -1, -1))

    def test_two_stores_of_one_server_are_one(self, tmp_path: Path) -> None:
        """Stores under other settings but the same server and schema see the same tables, and wait for each other."""
        (tmp_path / "other").mkdir()
        one, two = self.store(tmp_path), self.store(tmp_path / "other", lock_timeout=0.2)
        one.save_data(PEOPLE, "d")
        assert_same(PEOPLE, two.get_data("d"))
        assert one.identity == two.identity
        with one.locked("d"), pytest.raises(LockedError):
            two.save_data(PEOPLE, "d")

    def test_connections_are_used_again(self, tmp_path: Path) -> None:
        """A hundred calls take a handful of connections."""
        store = self.store(tmp_path)
        for _ in range(30):
            store.save_data(PEOPLE, "d")
            store.get_data("d")
            store.describe("d")
        count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s"
        ((open_,),) = self.raw.execute(count, [f"%{self.schema}%"]).fetchall()
        assert open_ < 6
