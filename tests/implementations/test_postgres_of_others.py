"""Tables that others made or changed: read without loss, written without harm."""

from __future__ import annotations

import traceback
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from framework import DataFactory, as_settings
from framework.errors import FidelityError, SchemaError, UnavailableError
from framework.testing import assert_same


def test_rows_keep_their_order_when_an_index_offers_another(store: Any, raw: Any) -> None:
    """A column read alone could be answered from an index that sorts it; the frame's order holds all the same."""
    tickers = [f"T{(n * 7919) % 5000:05d}" for n in range(5000)]
    wide = ["x" * 500] * 5000  # the index is far smaller than the table
    store.save_data(pd.DataFrame({"ticker": tickers, "note": wide}), "prices")
    raw.execute("CREATE UNIQUE INDEX ON prices (ticker)")
    raw.execute("VACUUM ANALYZE prices")
    assert "Index Only Scan" in str(raw.execute("EXPLAIN SELECT ticker FROM prices").fetchall())
    assert store.get_data("prices", columns=["ticker"])["ticker"].tolist() == tickers


def test_a_table_with_types_of_its_own_keeps_them_and_its_key_through_a_restore(store: Any, raw: Any) -> None:
    """uuid and numeric are read as Python's own, jsonb and arrays as text, and all written back as what they are."""
    raw.execute(
        "CREATE TABLE mixed (id uuid PRIMARY KEY, amount numeric(10, 2), doc jsonb, tags int[], name varchar(9), n int)"
    )
    raw.execute(
        "INSERT INTO mixed VALUES (gen_random_uuid(), 1.50, '{\"a\": 1}', '{1,2}', 'x', 7),"
        " (gen_random_uuid(), NULL, NULL, NULL, NULL, NULL)"
    )
    before = raw.execute("SELECT * FROM mixed ORDER BY name").fetchall()
    frame = store.get_data("mixed")
    assert frame["amount"].tolist() == [Decimal("1.50"), None]
    assert frame["n"].dtype == "Int32"
    _, backup_id = store.vault.backup_data("mixed")
    raw.execute("DELETE FROM mixed")
    assert store.vault.restore_data("mixed", backup_id)
    assert raw.execute("SELECT * FROM mixed ORDER BY name").fetchall() == before
    kinds = raw.execute(
        "SELECT pg_typeof(id)::text, pg_typeof(amount)::text, pg_typeof(tags)::text FROM mixed"
    ).fetchone()
    assert kinds == ("uuid", "numeric", "integer[]")
    with pytest.raises(psycopg.errors.UniqueViolation):
        raw.execute("INSERT INTO mixed SELECT * FROM mixed")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("timestamp", "infinity"), ("date", "-infinity"), ("date", "12000-01-01"), ("date", "0044-03-15 BC")],
)
def test_a_time_that_no_frame_holds_is_refused(store: Any, raw: Any, kind: str, value: str) -> None:
    """Never a wrong number; the other columns can be read."""
    raw.execute(f"CREATE TABLE t (n int, at {kind})")
    raw.execute("INSERT INTO t VALUES (1, %s)", [value])
    with pytest.raises(FidelityError, match="such as infinity"):
        store.get_data("t")
    assert store.get_data("t", columns=["n"])["n"].tolist() == [1]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary-5521@[bad/x",
        "mysql://u:canary-5521@h/x",
        "postgresql://u:can ary-5521@h/x",
        "canary-5521",
    ],
)
@pytest.mark.parametrize("use", ["get_data", "list_sources", "health_check"])
def test_an_address_that_cannot_be_read_shows_nothing_of_itself(
    url: str, use: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the error, nor its causes, nor the log hold the password."""
    store = DataFactory(as_settings(None, workspace=tmp_path)).create_store("postgres", url=url)
    told = ""
    try:
        assert getattr(store, use)(*(["x"] if use == "get_data" else [])) is False
    except UnavailableError as error:
        told = "".join(traceback.format_exception(error))
    assert "ary-5521" not in told + caplog.text


def test_two_places_of_one_name_do_not_mix_their_backups(
    store: Any, postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A restore takes this server's schema's own backup; another's only when there is none, and says so."""
    settings = as_settings({"DB_URL": postgres_url, "DB_SCHEMA": f"{store.namespace}_b"}, workspace=tmp_path)
    other = DataFactory(settings).create_store("postgres")
    mine, theirs = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})
    try:
        store.save_data(mine, "t")
        other.save_data(theirs, "t")
        store.vault.backup_data("t")
        other.vault.backup_data("t")
        store.vault.restore_data("t")
        assert_same(mine, store.get_data("t"))
        other.save_data(theirs, "only here")
        other.vault.backup_data("only here")
        store.vault.restore_data("only here")
        assert "from a backup of another place" in caplog.text
        assert_same(theirs, store.get_data("only here"))
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA IF EXISTS "{store.namespace}_b" CASCADE')


def test_more_than_a_row_holds_is_refused_by_name(store: Any) -> None:
    """A row wider than the server's page is no failure of the server's."""
    wide = pd.DataFrame({f"c{n}": ["x" * 100] for n in range(1400)})
    with pytest.raises(FidelityError, match="more than the server holds"):
        store.save_data(wide, "wide")
    assert not store.exists("wide")


DDL = """
CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE parent (k text PRIMARY KEY); INSERT INTO parent VALUES ('x');
CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount numeric(10, 2), m mood, p positive,
  k text REFERENCES parent, d text DEFAULT 'given', twice int GENERATED ALWAYS AS (p * 2) STORED,
  "Mixed" int CHECK ("Mixed" < 10));
INSERT INTO t (amount, m, p, k, "Mixed") VALUES (1.5, 'sad', 1, 'x', 1), (2.5, 'glad', 2, 'x', 2)
"""
ROW = {"amount": Decimal("3.25"), "m": "glad", "p": 3, "k": "x", "Mixed": 3}


def test_rows_are_added_to_a_table_with_rules_of_its_own(store: Any, raw: Any) -> None:
    """The server fills what the frame lacks: identity, default, generated column; the types stay."""
    raw.execute(DDL)
    store.save_data(pd.DataFrame([ROW]), "t", mode="append")
    added = raw.execute("SELECT * FROM t WHERE p = 3").fetchall()
    assert added == [(3, Decimal("3.25"), "glad", 3, "x", "given", 6, 3)]
    store.save_data(store.get_data("t").iloc[:2], "t")
    assert raw.execute("SELECT id, twice FROM t ORDER BY id").fetchall() == [(1, 2), (2, 4)]
    assert raw.execute("SELECT pg_typeof(amount)::text, pg_typeof(m)::text FROM t").fetchone() == ("numeric", "mood")


@pytest.mark.parametrize(
    "wrong", [{"Mixed": 99}, {"k": "nobody"}, {"m": "angry"}, {"p": -1}, {"amount": Decimal("1.234")}], ids=repr
)
def test_what_breaks_a_rule_of_the_table_changes_nothing(store: Any, raw: Any, wrong: dict[str, Any]) -> None:
    """A check, a foreign key, an enum, a domain, a precision: SchemaError, and the rows are as they were."""
    raw.execute(DDL)
    before = raw.execute("SELECT * FROM t ORDER BY id").fetchall()
    with pytest.raises(SchemaError):
        store.save_data(pd.DataFrame([{**ROW, **wrong}]), "t", mode="append")
    assert raw.execute("SELECT * FROM t ORDER BY id").fetchall() == before
