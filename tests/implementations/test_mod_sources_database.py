"""The mod that reads SQL databases: SQLite and a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from framework.errors import (
    ColumnNotFoundError,
    DataException,
    DatasetNotFoundError,
    MissingExtraError,
    ParameterError,
    UnavailableError,
)
from framework.mods.addresses import address, shown
from framework.mods.artifacts import read_table
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.redact import redact
from framework.steps import Made

SECRET = "p4ss-of-the-database"


class Reader:
    """Runs the mod again and again, its cursors kept between the runs as a job keeps them."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.cursors: dict[str, Any] = {}

    def made(self, **params: Any) -> Made:
        run = ModRun(
            "r1",
            "database_reader",
            self.root / "runs" / "r1" / "database_reader",
            self.root,
            logging.getLogger("millpond.mods"),
            cursors=json.loads(json.dumps(self.cursors)),
        )
        made = Mods(self.root).load("database_reader").call({"connection_string": self.url, **params}, run)
        self.cursors.update(run.moved)
        return made

    def table(self, **params: Any) -> pa.Table:
        return read_table(self.made(**params).told.artifacts["output_data"])

    def __call__(self, **params: Any) -> list[tuple[Any, ...]]:
        """The rows of the artifact."""
        return [tuple(row.values()) for row in self.table(**params).to_pylist()]


@pytest.fixture
def shop(tmp_path: Path) -> Callable[[str], None]:
    """Runs SQL in the file shop.db."""

    def run(sql: str) -> None:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
            db.executescript(sql)

    run("CREATE TABLE sales (id INTEGER, day TEXT, amount REAL, code TEXT)")
    return run


@pytest.fixture
def read(tmp_path: Path, shop: Any) -> Reader:
    return Reader(tmp_path, "sqlite:///shop.db")


@pytest.fixture
def server(tmp_path: Path, raw: Any, postgres_url: str) -> Reader:
    """PostgreSQL, by an address without a driver."""
    assert postgres_url.startswith("postgresql://")
    return Reader(tmp_path, postgres_url)


# --------------------------------------------------------------------------- what is read


def test_a_table_and_a_query_with_parameters(read: Reader, shop: Any) -> None:
    """Both are read in their order, with their types; a colon in a text is no parameter."""
    shop("INSERT INTO sales VALUES (1, '2024-05-01', 1.5, '007'), (2, '2024-05-02', NULL, '12:30'), (NULL, '', 2, '')")
    assert read(table="sales") == [(1, "2024-05-01", 1.5, "007"), (2, "2024-05-02", None, "12:30"), (None, "", 2.0, "")]
    assert read(table="sales", columns=["code", "id"]) == [("007", 1), ("12:30", 2), ("", None)]
    query = "SELECT id, '12:30' AS t FROM sales WHERE day > :day ORDER BY id DESC;"
    assert read(query=query, params={"day": "2024-04-30"}) == [(2, "12:30"), (1, "12:30")]
    assert read.table(table="sales").schema.field("id").type == pa.int64()


def test_postgres_types_are_kept(server: Reader, raw: Any, postgres_schema: str) -> None:
    """Numbers, times with and without a zone, truths, bytes, JSON and arrays come out without loss."""
    raw.execute(
        "CREATE TABLE t (big numeric(30,0), money numeric(12,2), i int, f float8, ok bool, day date, at timestamp, "
        "moment timestamptz, clock time, raw bytea, doc jsonb, list int[], id uuid, name text)"
    )
    raw.execute(
        "INSERT INTO t VALUES (123456789012345678901234567890, 1.50, 7, 0.1, true, '2024-02-29', "
        "'2024-02-29 12:00:00.123456', '2024-02-29 12:00:00+02', '07:30', '\\x00ff', '{\"a\": [1, null]}', '{1,2}', "
        "'11111111-2222-3333-4444-555555555555', '007'), "
        "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )
    told = server.table(table=f"{postgres_schema}.t")
    assert told.slice(1).to_pylist() == [dict.fromkeys(told.column_names)]
    row = told.to_pylist()[0]
    assert (row["big"], row["money"]) == (Decimal("123456789012345678901234567890"), Decimal("1.50"))
    assert (row["i"], row["f"], row["ok"], row["day"]) == (7, 0.1, True, dt.date(2024, 2, 29))
    assert row["at"] == dt.datetime(2024, 2, 29, 12, 0, 0, 123456)
    assert row["moment"] == dt.datetime(2024, 2, 29, 10, tzinfo=dt.UTC)
    assert (row["clock"], row["raw"]) == (dt.time(7, 30), b"\x00\xff")
    assert (json.loads(row["doc"]), row["list"]) == ({"a": [1, None]}, "[1,2]")
    assert (row["id"], row["name"]) == ("11111111-2222-3333-4444-555555555555", "007")


def test_a_table_without_rows_has_its_types(server: Reader, raw: Any, postgres_schema: str, read: Reader) -> None:
    """What comes after it finds the same columns on a day without a row."""
    raw.execute("CREATE TABLE t (i int, f float8, n numeric(12,2), at timestamptz, name text)")
    kinds = [pa.int64(), pa.float64(), pa.decimal128(18, 2), pa.timestamp("us", "UTC"), pa.string()]
    for asked in ({"table": f"{postgres_schema}.t"}, {"query": f"SELECT * FROM {postgres_schema}.t"}):
        assert server.table(**asked).schema.types == kinds
    assert read.table(table="sales").schema.types == [pa.int64(), pa.string(), pa.float64(), pa.string()]


def test_a_reader_changes_nothing(server: Reader, raw: Any, postgres_schema: str, read: Reader, shop: Any) -> None:
    """A query that writes is refused, and what it did is taken back."""
    raw.execute("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
    for query in ("DELETE FROM {0}.t", "DELETE FROM {0}.t RETURNING i", "DROP TABLE {0}.t"):
        with pytest.raises(ParameterError):
            server(query=query.format(postgres_schema))
    assert raw.execute("SELECT count(*) FROM t").fetchone() == (1,)
    shop("INSERT INTO sales (id) VALUES (1)")
    with pytest.raises(ParameterError, match="begins with 'DELETE'"):
        read(query="DELETE FROM sales")
    assert len(read(table="sales")) == 1


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE sales",
        "  -- SELECT\n DELETE FROM sales",
        "/* SELECT */ DELETE FROM sales",
        "SELECT 1; DROP TABLE sales",
        "WITH one AS (SELECT 1) DELETE FROM sales",
        "WITH one AS (SELECT 1) INSERT INTO sales (id) SELECT 9",
        "PRAGMA writable_schema = ON",
        "ATTACH 'other.db' AS other",
    ],
    ids=["drop", "comment", "block", "two", "with", "insert", "pragma", "attach"],
)
def test_a_statement_that_writes_is_refused_before_it_runs(read: Reader, shop: Any, query: str) -> None:
    """SQLite commits what changes its tables at once, so nothing but what reads gets there."""
    shop("INSERT INTO sales (id) VALUES (1)")
    with pytest.raises(ParameterError, match=r"changes nothing|one SELECT"):
        read(query=query)
    assert [row[0] for row in read(table="sales")] == [1]
    assert not (read.root / "other.db").exists()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'DROP; DELETE' AS a -- ; DELETE\n;",
        "VALUES ('INTO')",
        'WITH "delete" AS (SELECT \'x\' AS "into") SELECT * FROM "delete"',
        "WITH a AS (SELECT 1 AS b) SELECT replace('x;y', ';', b) AS c FROM a",
    ],
    ids=["text", "values", "names", "function"],
)
def test_a_statement_that_reads_is_let_through(read: Reader, query: str) -> None:
    """Words in texts, names and comments are none of the statement's."""
    assert len(read(query=query)) == 1


def test_postgres_cannot_be_left_from_within_the_query(server: Reader, raw: Any, postgres_schema: str) -> None:
    """A second statement behind an escaped quote is seen, and what a function or a WITH changes is refused."""
    raw.execute("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
    raw.execute("CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'DELETE FROM t RETURNING i'")
    table = f"{postgres_schema}.t"
    for query in (
        f"SELECT E'\\'' ; COMMIT; DROP TABLE {table}; --'",
        f"SELECT $$ ' $$ ; COMMIT; DROP TABLE {table}; SELECT ' '",
        f"WITH gone AS (DELETE FROM {table} RETURNING i) SELECT * FROM gone",
        f"SELECT * INTO {postgres_schema}.other FROM {table}",
        f"SELECT {postgres_schema}.gone()",
    ):
        with pytest.raises(ParameterError):
            server(query=query)
    assert server(query=f"SELECT i, $$;$$ AS a, E'\\';' AS b FROM {table}") == [(1, ";", "';")]


def test_postgres_json_and_intervals_lose_nothing(server: Reader) -> None:
    """Numbers in JSON keep their digits, and a month is not thirty days."""
    row = server.table(
        query='SELECT \'{"n": 0.12345678901234567890, "b": 12345678901234567890.5}\'::jsonb AS doc, '
        "'1 mon 2 days'::interval AS months, '2 days 03:00'::interval AS days"
    ).to_pylist()[0]
    assert "0.12345678901234567890" in row["doc"]
    assert "12345678901234567890.5" in row["doc"]
    assert (row["months"], row["days"]) == ("1 mon 2 days", dt.timedelta(days=2, hours=3))


# --------------------------------------------------------------------------- only what is new


def test_only_new_rows_are_read_the_next_time(read: Reader, shop: Any) -> None:
    """Rows beside the last value that come later are read, those that are known are not, whatever their order."""
    new = {"table": "sales", "columns": ["id", "day"], "cursor_column": "day"}
    shop("INSERT INTO sales (id, day) VALUES (2, '2024-05-02'), (1, '2024-05-01')")
    assert read(**new) == [(2, "2024-05-02"), (1, "2024-05-01")]
    assert read(**new) == []
    shop(
        "DELETE FROM sales; INSERT INTO sales (id, day) VALUES "
        "(4, '2024-05-03'), (2, '2024-05-02'), (3, '2024-05-02'), (1, '2024-05-01')"
    )
    assert read(**new) == [(4, "2024-05-03"), (3, "2024-05-02")]
    assert read(**new) == []


def test_equal_rows_are_counted(read: Reader, shop: Any) -> None:
    """A third row that is equal to two known ones is new."""
    new = {"table": "sales", "cursor_column": "id"}
    shop("INSERT INTO sales (id) VALUES (1), (1)")
    assert len(read(**new)) == 2
    shop("INSERT INTO sales (id) VALUES (1)")
    assert len(read(**new)) == 1
    assert read(**new) == []


def test_a_cursor_that_was_not_kept_is_read_again(read: Reader, shop: Any) -> None:
    """What depends on it failed, so the next run gets the same rows: nothing is lost."""
    new = {"table": "sales", "cursor_column": "id"}
    shop("INSERT INTO sales (id) VALUES (1)")
    read(**new)
    before = dict(read.cursors)
    shop("INSERT INTO sales (id) VALUES (2)")
    assert [row[0] for row in read(**new)] == [2]
    read.cursors = before
    assert [row[0] for row in read(**new)] == [2]


def test_postgres_is_read_on_by_times_numbers_and_dates(server: Reader, raw: Any, postgres_schema: str) -> None:
    """A cursor of each type survives being kept, and leads on; also around a query."""
    raw.execute(
        "CREATE TABLE t (i int, at timestamptz, day date, n numeric); "
        "INSERT INTO t VALUES (1, '2024-05-01 10:00+02', '2024-05-01', 1.5), (2, '2024-05-02', '2024-05-02', 2.5)"
    )
    for column in ("at", "day", "n"):
        asked = {"query": f"SELECT i, {column} FROM {postgres_schema}.t ORDER BY i;", "cursor_column": column}
        assert [row[0] for row in server(**asked)] == [1, 2]
        assert server(**asked) == []
        raw.execute("INSERT INTO t VALUES (3, '2024-05-03', '2024-05-03', 3.5)")
        assert [row[0] for row in server(**asked)] == [3]
        raw.execute("DELETE FROM t WHERE i = 3")


def test_a_cursor_starts_where_it_is_told(server: Reader, raw: Any, postgres_schema: str) -> None:
    """The first time rows are read from cursor_start on, as text or as a date."""
    raw.execute("CREATE TABLE t (i int, day date); INSERT INTO t VALUES (1, '2024-05-01'), (2, '2024-05-02')")
    for start in ("2024-05-02", dt.date(2024, 5, 2)):
        server.cursors = {}
        asked = {"table": f"{postgres_schema}.t", "cursor_column": "day", "cursor_start": start}
        assert [row[0] for row in server(**asked)] == [2]


@pytest.mark.parametrize(
    ("collation", "behind"), [("NOCASE", ["b", "c", "C", "c"]), ("BINARY", ["b", "c", "c"])], ids=["nocase", "binary"]
)
def test_text_is_read_on_in_the_order_of_the_database(
    read: Reader, shop: Any, collation: str, behind: list[str]
) -> None:
    """Each row comes once, also where capitals are the same as small letters there, and nothing is left out."""
    shop(f"CREATE TABLE names (name TEXT COLLATE {collation}); INSERT INTO names VALUES ('a'), ('B')")
    new = {"table": "names", "cursor_column": "name"}
    assert read(**new) == [("a",), ("B",)]
    assert read(**new) == []
    shop("INSERT INTO names VALUES ('b'), ('c'), ('C'), ('c')")
    assert read(**new) == [(each,) for each in behind]
    assert read(**new) == []
    shop("INSERT INTO names VALUES ('c'), ('d')")
    assert read(**new) == [("c",), ("d",)]


def test_postgres_orders_enums_as_it_does(server: Reader, raw: Any, postgres_schema: str) -> None:
    """An enumeration is read on by its own order, which is not that of the letters."""
    raw.execute(
        "CREATE TYPE size AS ENUM ('small', 'big', 'huge'); CREATE TABLE t (i int, size size); "
        "INSERT INTO t VALUES (1, 'small'), (2, 'big')"
    )
    asked = {"table": f"{postgres_schema}.t", "cursor_column": "size"}
    assert server(**asked) == [(1, "small"), (2, "big")]
    assert server(**asked) == []
    raw.execute("INSERT INTO t VALUES (3, 'small'), (4, 'big'), (5, 'huge')")
    assert server(**asked) == [(4, "big"), (5, "huge")]
    assert server(**asked) == []


def test_each_query_has_a_cursor_of_its_own(read: Reader, shop: Any) -> None:
    """Another query, or the same with other parameters, begins anew; other spaces and comments are the same one."""
    shop("INSERT INTO sales (id, code) VALUES (1, 'x'), (2, 'y'), (3, 'x  y'), (4, 'x y')")
    first = {"query": "SELECT id FROM sales WHERE code = :code", "cursor_column": "id"}
    assert read(**first, params={"code": "y"}) == [(2,)]
    assert read(**first, params={"code": "x"}) == [(1,)]
    assert (
        read(**{**first, "query": "SELECT id -- by code\n FROM  sales WHERE code = :code;"}, params={"code": "x"}) == []
    )
    assert read(query="SELECT id FROM sales WHERE code = 'x y'", cursor_column="id") == [(4,)]
    assert read(query="SELECT id FROM sales WHERE code = 'x  y'", cursor_column="id") == [(3,)]


def test_a_row_without_a_cursor_is_an_error(read: Reader, shop: Any) -> None:
    """It would never be read again, so it is said, the second time too."""
    shop("INSERT INTO sales (id) VALUES (1)")
    read(table="sales", cursor_column="id")
    shop("INSERT INTO sales (id, code) VALUES (NULL, 'x')")
    with pytest.raises(DataException, match="no value in the cursor's column 'id'"):
        read(table="sales", cursor_column="id")


# --------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"table": "sale"}, ParameterError, "no such table: sale"),
        ({"query": "SELECT 1 FORM x y"}, ParameterError, "syntax error"),
        ({"query": "SELECT :x"}, ParameterError, "'x'"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, ParameterError, "two columns 'a'"),
        ({"table": "sales", "cursor_column": "dya"}, ColumnNotFoundError, "Did you mean 'day'"),
        ({"table": "sales", "query": "SELECT 1"}, ParameterError, "either table or query"),
        ({"table": "sales", "columns": ["id"], "cursor_column": "day"}, ParameterError, "lack the cursor_column"),
        ({"table": "t", "connection_string": "sqlite:///gone.db"}, DatasetNotFoundError, "gone.db"),
        ({"table": "t", "connection_string": "mydb://h/x"}, ParameterError, "knows no database 'mydb'"),
        ({"table": "t", "connection_string": "shop"}, ParameterError, "no address of a database"),
        ({"table": "t", "connection_string": "mysql+pymysql://h/x"}, MissingExtraError, "pip install pymysql"),
    ],
    ids=["table", "syntax", "param", "twice", "cursor", "both", "lacks", "file", "dialect", "url", "driver"],
)
def test_what_is_wrong_is_named(read: Reader, params: dict[str, Any], error: type[Exception], says: str) -> None:
    """Bad parameters end with exit code 20 and their cure, and no file of a database is made."""
    with pytest.raises(error, match=says) as raised:
        read(**params)
    assert getattr(raised.value, "exit_code", None) == 20
    assert not (read.root / "gone.db").exists()


@pytest.mark.parametrize(
    "url",
    ["h:54x/db", "h:99999/db", "me:{}/db@h:p/db", "me:{}@h:p/db"],
    ids=["letters", "large", "slash", "password"],
)
def test_an_address_that_is_wrong_is_not_shown(read: Reader, url: str) -> None:
    """A bad port ends with exit code 20 and a cure, and what may be a part of the password is not told."""
    with pytest.raises(ParameterError, match=r"no address of a database.*%2F") as raised:
        read(table="t", connection_string=f"postgresql://{url.format(SECRET)}")
    assert raised.value.exit_code == 20
    assert SECRET not in str(raised.value)


def test_secrets_in_the_rest_of_an_address_are_never_shown() -> None:
    """A driver's own words are masked wherever they hold the password, and no address shows its query."""
    pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
    url = address("mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BX%7D%3BUID%3Dsa%3BPWD%3DTop%2BSecret99&token=other-one-77")
    assert shown(url) == "mssql+pyodbc:///"
    for said in ("login failed for Top+Secret99", "refused: other-one-77", f"at {url.render_as_string()}"):
        assert not {"Top", "other-one"} & set(redact(said).replace("%3D", " ").replace("+", " ").split()), said


def test_a_server_that_is_not_there_is_named_without_its_password(read: Reader) -> None:
    """The address is shown, the password is not."""
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1") as raised:
        read(table="t", connection_string=f"postgresql://me:{SECRET}@127.0.0.1:1/x", timeout=2)
    assert SECRET not in str(raised.value)
