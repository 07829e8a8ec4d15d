"""Writing to tables that others made: what they declared stays, and what does not fit changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import psycopg
import pytest

from framework.errors import SchemaError
from framework.testing import assert_same


def text(*cells: Any) -> Any:
    return pd.Series(cells, dtype=object)


DECLARED = """
CREATE TABLE orders (
  id serial PRIMARY KEY,
  name varchar(9) NOT NULL,
  net numeric(10, 2) CHECK (net > 0),
  gross numeric(12, 2) GENERATED ALWAYS AS (net * 2) STORED,
  state mood NOT NULL DEFAULT 'new',
  made timestamptz NOT NULL DEFAULT '2024-01-01Z',
  tags int[],
  doc jsonb,
  who uuid UNIQUE,
  "Mixed Case" pos)
"""


@pytest.fixture
def orders(raw: Any) -> Any:
    """A table with most of what one can declare."""
    raw.execute("CREATE TYPE mood AS ENUM ('new', 'paid'); CREATE DOMAIN pos AS int CHECK (VALUE > 0)")
    raw.execute(DECLARED)
    raw.execute("INSERT INTO orders (name, net, tags) VALUES ('first', 1.50, '{1,2}'), ('second', 2, NULL)")

    def rows(columns: str = "*") -> list[Any]:
        return list(raw.execute(f"SELECT {columns} FROM orders ORDER BY id").fetchall())

    return rows


def declared(raw: Any) -> list[Any]:
    """The columns as they were declared, with their constraints and indexes."""
    columns = (
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attgenerated::text, attidentity::text,"
        " pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    checks = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass ORDER BY 1"
    return [raw.execute(columns).fetchall(), raw.execute(checks).fetchall()]


UUID = "00000000-0000-0000-0000-000000000001"
NEW = pd.DataFrame(
    {
        "name": text("third", "fourth"),
        "net": text(Decimal("3.25"), Decimal("4")),
        "tags": text("{3}", None),
        "doc": text('{"a": 1}', None),
        "who": text(UUID, None),
    }
)


def test_an_append_leaves_to_the_server_what_it_fills(store: Any, raw: Any, orders: Any) -> None:
    """Numbers, defaults and generated columns that the frame lacks are the server's; each type reads its own text."""
    before = declared(raw)
    store.save_data(NEW, "orders", mode="append")
    assert orders("id, name, net, gross, state::text, tags, doc, who::text")[2:] == [
        (3, "third", Decimal("3.25"), Decimal("6.50"), "new", [3], {"a": 1}, UUID),
        (4, "fourth", Decimal("4.00"), Decimal("8.00"), "new", None, None, None),
    ]
    assert declared(raw) == before


def test_rows_that_are_read_can_be_appended(store: Any, raw: Any, orders: Any) -> None:
    """All columns, the generated one too, go in under other keys; the server's numbers go on after them."""
    before = declared(raw)
    frame = store.get_data("orders").assign(id=[10, 11])
    frame["id"] = frame["id"].astype("int32")
    store.save_data(frame, "orders", mode="append")
    assert orders("id, gross") == [
        (1, Decimal("3.00")),
        (2, Decimal("4.00")),
        (10, Decimal("3.00")),
        (11, Decimal("4.00")),
    ]
    raw.execute("INSERT INTO orders (name, net) VALUES ('next', 1)")
    assert orders("id")[-1] == (12,)
    assert declared(raw) == before


@pytest.mark.parametrize("identity", ["ALWAYS", "BY DEFAULT"])
def test_an_identity_is_kept(store: Any, raw: Any, identity: str) -> None:
    """Numbers that the frame brings stay what they are, and those that the server makes follow them."""
    raw.execute(f"CREATE TABLE d (id int GENERATED {identity} AS IDENTITY PRIMARY KEY, v text)")
    raw.execute("INSERT INTO d (v) VALUES ('a')")
    store.save_data(pd.DataFrame({"v": text("b")}), "d", mode="append")
    store.save_data(pd.DataFrame({"id": [7], "v": text("c")}), "d", mode="append")
    store.save_data(pd.DataFrame({"v": text("d")}), "d", mode="append")
    assert raw.execute("SELECT id, v FROM d ORDER BY id").fetchall() == [(1, "a"), (2, "b"), (7, "c"), (8, "d")]
    store.save_data(pd.DataFrame({"id": [2, 20], "v": text("B", "t")}), "d", mode="upsert", keys=["id"])
    raw.execute("INSERT INTO d (v) VALUES ('after')")
    assert raw.execute("SELECT id, v FROM d WHERE id IN (2, 20, 21) ORDER BY id").fetchall() == [
        (2, "B"), (20, "t"), (21, "after")
    ]  # fmt: skip


UNFIT = {
    "a check": {"net": text(Decimal("-1"))},
    "more digits than there are": {"net": text(Decimal("1.005"))},
    "a text that is too long": {"name": text("0123456789")},
    "no such state": {"state": text("lost")},
    "no uuid": {"who": text("x")},
    "no json": {"doc": text("{")},
    "no array": {"tags": text("1")},
    "a domain's check": {"Mixed Case": [-1]},
    "a key that is there": {"id": [1]},
    "no value where one must be": {"name": text(None)},
    "numbers where text is": {"name": [5]},
}


REPLACES = [what for what in UNFIT if what not in ("a key that is there", "numbers where text is")]  # which it may


@pytest.mark.parametrize(("mode", "what"), [*(("append", what) for what in UNFIT), *(("replace", w) for w in REPLACES)])
def test_what_does_not_fit_changes_nothing(store: Any, raw: Any, orders: Any, mode: str, what: str) -> None:
    """A broken constraint, a value that a type does not take: SchemaError, and nothing is rounded or cut."""
    before, types = orders(), declared(raw)
    row: dict[str, Any] = {"name": text("x"), "net": text(Decimal(1)), **UNFIT[what]}
    with pytest.raises(SchemaError):
        store.save_data(pd.DataFrame(row), "orders", mode=mode)
    assert orders() == before
    assert declared(raw) == types
    assert raw.execute("SELECT to_regclass('millpond_catalog')").fetchone() == (None,)


@pytest.mark.parametrize("keys", ["id", "who"])
def test_an_upsert_updates_by_any_key(store: Any, raw: Any, orders: Any, keys: str) -> None:
    """By the primary key or by a unique uuid: columns that the frame lacks stay, new rows get the defaults."""
    raw.execute("UPDATE orders SET who = %s WHERE id = 2", [UUID])
    before = declared(raw)
    other = UUID.replace("1", "2")
    by = {"id": [2, 30]} if keys == "id" else {"who": text(UUID, other)}
    frame = pd.DataFrame({**by, "name": text("changed", "new"), "net": text(Decimal("9.99"), Decimal("5"))})
    store.save_data(frame, "orders", mode="upsert", keys=[keys])
    assert orders("name, gross, state::text")[:2] == [
        ("first", Decimal("3.00"), "new"), ("changed", Decimal("19.98"), "new")
    ]  # fmt: skip
    assert orders("name, gross, state::text")[-1] == ("new", Decimal("10.00"), "new")
    assert len(orders()) == 3
    assert declared(raw) == before


def test_a_replace_keeps_what_was_declared(store: Any, raw: Any, orders: Any) -> None:
    """Types, keys, defaults, checks and generated columns stay; what is read is what the frame held, and twice over."""
    before = declared(raw)
    frame = store.get_data("orders")
    for _ in range(2):
        assert store.save_data(frame, "orders") is True
        assert declared(raw) == before
        assert_same(frame, store.get_data("orders"))
    raw.execute("INSERT INTO orders (name, net) VALUES ('next', 1)")
    assert orders("id, gross")[-1] == (3, Decimal("2.00"))


def test_a_replace_leaves_to_the_server_what_it_fills(store: Any, raw: Any, orders: Any) -> None:
    """Columns that the server can fill stay without being asked for; the frame comes back as it was saved."""
    raw.execute('ALTER TABLE orders DROP COLUMN tags, DROP COLUMN doc, DROP COLUMN who, DROP COLUMN "Mixed Case"')
    before = declared(raw)
    frame = pd.DataFrame({"name": text("a", "b"), "net": text(Decimal("1.00"), Decimal("2.00"))})
    store.save_data(frame, "orders")
    assert declared(raw) == before
    assert orders("name, gross, state::text") == [("a", Decimal("2.00"), "new"), ("b", Decimal("4.00"), "new")]
    assert_same(frame, store.get_data("orders"))
    store.save_data(frame, "orders", mode="append")
    assert store.get_data("orders")["name"].tolist() == ["a", "b", "a", "b"]
    assert [number for (number,) in orders("id")] == [3, 4, 5, 6]


def test_columns_are_added_to_a_table_of_others(store: Any, raw: Any, orders: Any) -> None:
    """An append with a column more adds it, and touches none of the others."""
    before = declared(raw)
    store.save_data(NEW.assign(note=text("n", None)), "orders", mode="append")
    assert orders("note") == [(None,), (None,), ("n",), (None,)]
    assert declared(raw)[0][:-1] == before[0]
    assert "millpond_row" not in str(declared(raw)), "the order of their rows is theirs"


def test_what_references_the_rows_is_not_swept_away(store: Any, raw: Any) -> None:
    """ON DELETE CASCADE would take others' rows with those that are replaced: SchemaError, and nothing is gone."""
    raw.execute("CREATE TABLE d (k bigint PRIMARY KEY, v text); INSERT INTO d VALUES (1, 'a'), (2, 'b')")
    raw.execute("CREATE TABLE lines (k bigint REFERENCES d ON DELETE CASCADE); INSERT INTO lines VALUES (1), (2)")
    frame = store.get_data("d")
    with pytest.raises(SchemaError, match="foreign key"):
        store.save_data(frame, "d")
    assert raw.execute("SELECT count(*) FROM lines").fetchone() == (2,)
    store.save_data(frame.assign(v=text("x", "y")), "d", mode="upsert", keys=["k"])
    assert raw.execute("SELECT v FROM d ORDER BY k").fetchall() == [("x",), ("y",)]


def test_rows_are_put_into_their_partitions(store: Any, raw: Any) -> None:
    """A table in partitions is appended to, upserted and replaced like another."""
    raw.execute(
        "CREATE TABLE d (k int PRIMARY KEY, v float8) PARTITION BY RANGE (k); CREATE TABLE low PARTITION OF d FOR"
        " VALUES FROM (0) TO (10); CREATE TABLE high PARTITION OF d FOR VALUES FROM (10) TO (20)"
    )
    store.save_data(pd.DataFrame({"k": [1, 11], "v": [0.5, 1.5]}), "d", mode="append")
    store.save_data(pd.DataFrame({"k": [11, 2], "v": [9.0, 2.5]}), "d", mode="upsert", keys=["k"])
    assert raw.execute("SELECT k, v FROM low ORDER BY k").fetchall() == [(1, 0.5), (2, 2.5)]
    assert raw.execute("SELECT k, v FROM high").fetchall() == [(11, 9.0)]
    with pytest.raises(SchemaError, match="partition"):
        store.save_data(pd.DataFrame({"k": [99], "v": [0.5]}), "d", mode="append")
    store.save_data(pd.DataFrame({"k": [12], "v": [7.0]}), "d")
    assert raw.execute("SELECT (SELECT count(*) FROM low), (SELECT count(*) FROM high)").fetchone() == (0, 1)


@pytest.mark.parametrize("made", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_is_not_written_to(store: Any, raw: Any, orders: Any, made: str) -> None:
    """It is read like a table; each way of saving is a SchemaError."""
    raw.execute("CREATE " + made + " seen AS SELECT id, name FROM orders")
    frame = store.get_data("seen")
    for given in ({}, {"mode": "append"}, {"mode": "upsert", "keys": ["id"]}):
        with pytest.raises(SchemaError, match="view"):
            store.save_data(frame, "seen", **given)
    assert len(orders()) == 2


def test_what_pandas_wrote_goes_on(store: Any, raw: Any, postgres_url: str) -> None:
    """A table of to_sql is appended to and upserted, its index column one like others."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_url))
    frame = pd.DataFrame({"a": [1, 2], "x": [0.5, None], "when": pd.to_datetime(["2024-01-01", None])})
    frame.to_sql("d", engine, schema=store.namespace)
    engine.dispose()
    more = store.get_data("d").assign(index=[2, 3])
    store.save_data(more, "d", mode="append")
    store.save_data(pd.DataFrame({"index": [0], "a": [100]}), "d", mode="upsert", keys=["index"])
    assert sorted(raw.execute('SELECT "index", a, x FROM d').fetchall()) == [
        (0, 100, 0.5), (1, 2, None), (2, 1, 0.5), (3, 2, None)
    ]  # fmt: skip
