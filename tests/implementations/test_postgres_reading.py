"""How rows come from the server: only those that are wanted, of one moment, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest

from framework.errors import UnavailableError
from framework.schema import Selection, decode
from framework.testing import assert_same

ROWS = pd.DataFrame(
    {
        "n": np.arange(1000),
        "x": [np.nan if n % 10 == 0 else n / 4 for n in range(1000)],
        "t": pd.Series([f"T{n:03d}" for n in range(1000)], dtype=object),
        "at": pd.date_range("2024-01-01", periods=1000, freq="h").as_unit("us"),
        "fine": pd.date_range("2024-01-01", periods=1000, freq="h") + pd.Timedelta(1, "ns"),
        "big": np.arange(1000, dtype="uint64") + np.uint64(2**63),
        "c": pd.Categorical(["lo", "hi"] * 500, categories=["lo", "hi"], ordered=True),
        "b": pd.Series([bytes([n % 256]) for n in range(1000)], dtype=object),
    }
)


def sent(store: Any, name: str, where: list[Any]) -> int:
    """How many rows the server sends for a condition."""
    table, _ = store._read(name, Selection.asked(where=where))
    return int(table.num_rows)


def test_asking_what_there_is_loads_no_pandas(
    store: Any, postgres_url: str, postgres_schema: str, tmp_path: Path
) -> None:
    """Health and names of a server's tables need neither pandas nor pyarrow, nor the driver that brings them."""
    store.save_data(ROWS, "d")
    settings = {"DB_URL": postgres_url, "DB_SCHEMA": postgres_schema}
    code = (
        "import sys; from framework import DataFactory\n"
        f"store = DataFactory({settings!r}).create_store('postgres')\n"
        "assert store.health_check() and store.list_sources() == ['d'] and store.exists('d')\n"
        "print(*sorted({'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ([("n", "<", 10)], 10),
        ([("n", "in", [1, 5, 2000])], 2),
        ([("x", "is null")], 100),
        ([("t", ">=", "T990")], 10),
        ([("t", "==", "T005")], 1),
        ([("at", "<", "2024-01-01 05:00")], 6),  # one more than meet it, for a bound in nanoseconds
        ([("fine", "<=", "2024-01-01 05:00")], 5),
        ([("big", ">", 2**63 + 989)], 10),
        ([("c", ">", "lo")], 500),
        ([("b", "==", b"\0")], 4),
        ([("n", ">=", 10), ("n", "<", 20), ("c", "==", "lo")], 5),
    ],
    ids=repr,
)
def test_the_server_leaves_out_what_nobody_wants(store: Any, where: list[Any], rows: int) -> None:
    """Only rows that may meet the conditions are sent, and what comes of it is exact."""
    store.save_data(ROWS, "d")
    assert sent(store, "d", where) in (rows, rows - 1 if where[0][0] == "at" else rows)
    everything = Selection.asked(where=where)
    whole = store._read("d", Selection())
    assert_same(decode(*everything.exactly(*whole, "d")), store.get_data("d", where=where))


def test_the_server_leaves_out_rows_of_a_table_of_others(store: Any, raw: Any) -> None:
    """Whatever rows are asked for, the dtypes are those of the whole."""
    raw.execute("CREATE TABLE t AS SELECT i AS n, nullif(i, 500) AS k, i::text AS s FROM generate_series(1, 1000) i")
    assert sent(store, "t", [("n", "<=", 10)]) == 10
    few = store.get_data("t", where=[("n", "<=", 10)])
    assert few["k"].dtype == "Int32"
    assert few["n"].dtype == "int32"
    assert few["n"].tolist() == list(range(1, 11))
    assert sent(store, "t", [("s", "in", ["1", "x'; DROP TABLE t; --", "\\", "%s"])]) == 1


def test_texts_are_compared_by_code_points_whatever_the_collation(store: Any, raw: Any) -> None:
    """A column that sorts and equates as people do loses no row that a frame would keep."""
    people = "CREATE COLLATION people (provider = icu, locale = 'en-u-ks-level2', deterministic = false)"
    try:
        raw.execute(people)
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server is built without ICU, and only ICU has collations that equate different texts")
    raw.execute("CREATE TABLE t (s text COLLATE people); INSERT INTO t VALUES ('a'), ('A'), ('b'), ('B'), ('é')")
    assert store.get_data("t", where=[("s", "==", "a")])["s"].tolist() == ["a"]
    assert store.get_data("t", where=[("s", "!=", "a")])["s"].tolist() == ["A", "b", "B", "é"]
    assert store.get_data("t", where=[("s", "<", "a")])["s"].tolist() == ["A", "B"]
    assert store.get_data("t", where=[("s", "not in", ["a", "b"])])["s"].tolist() == ["A", "B", "é"]


def test_an_index_serves_a_condition_and_the_order_holds(store: Any, raw: Any) -> None:
    """Rows found by an index come as they were saved."""
    shuffled = ROWS[["n", "t"]].sample(frac=1, random_state=7).reset_index(drop=True)
    store.save_data(shuffled, "d")
    raw.execute("CREATE INDEX ON d (n)")
    raw.execute("VACUUM ANALYZE d")
    got = store.get_data("d", where=[("n", "<", 20)])
    assert_same(shuffled[shuffled["n"] < 20].reset_index(drop=True), got)


def test_types_of_others_are_what_python_has_for_them(store: Any, raw: Any) -> None:
    """numeric is Decimal, time a clock, uuid a UUID; what has no type in Python is the server's text."""
    raw.execute(
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE mood AS ENUM ('sad', 'glad');"
        'CREATE TABLE t (id serial, p positive, m mood, "Mixed Case" numeric(9, 2), at time, late time, u uuid,'
        " j jsonb, tags int[], ip inet, span interval, price money, v varchar(5), c char(5),"
        " twice int GENERATED ALWAYS AS (p * 2) STORED);"
        'INSERT INTO t (p, m, "Mixed Case", at, late, u, j, tags, ip, span, price, v, c) VALUES'
        " (1, 'glad', 1.50, '12:34:56.5', '24:00', '00000000-0000-0000-0000-000000000001', '{\"a\": 1}', '{1,2}',"
        " '10.0.0.1', '1 day 2:00', 1.5, 'v ', 'c'), (2, 'sad', 'NaN', '00:00', '1:00',"
        " '00000000-0000-0000-0000-000000000002', '[]', '{}', '::1', '-1 mon', 2, '', '')"
    )
    first = store.get_data("t").iloc[0].to_dict()
    told = {"id": 1, "p": 1, "m": "glad", "Mixed Case": Decimal("1.50"), "at": time(12, 34, 56, 500_000)}
    told |= {"late": "24:00:00", "u": uuid.UUID(int=1), "j": '{"a": 1}', "tags": "{1,2}", "ip": "10.0.0.1/32"}
    told |= {"span": "1 day 02:00:00", "price": "$1.50", "v": "v ", "c": "c", "twice": 2}
    assert first == told
    assert store.get_data("t", where=[("u", "==", uuid.UUID(int=2))])["id"].tolist() == [2]
    assert store.get_data("t", where=[("Mixed Case", ">", 1)])["id"].tolist() == [1]


PARTED = (
    "TABLE v (n int, s text) PARTITION BY RANGE (n); CREATE TABLE v1 PARTITION OF v FOR VALUES FROM (0) TO (50);"
    "CREATE TABLE v2 PARTITION OF v FOR VALUES FROM (50) TO (101); INSERT INTO v"
)


@pytest.mark.parametrize("made", ["VIEW v AS", "MATERIALIZED VIEW v AS", PARTED])
def test_views_and_partitions_are_read(store: Any, raw: Any, made: str) -> None:
    """They are datasets like others, whole, in part and in chunks."""
    raw.execute("CREATE TABLE t AS SELECT i AS n, i::text AS s FROM generate_series(1, 100) i")
    raw.execute(" ".join(["CREATE", made, "SELECT * FROM t"]))
    assert store.get_data("v")["n"].tolist() == list(range(1, 101))
    assert store.get_data("v", where=[("n", ">", 98)])["s"].tolist() == ["99", "100"]
    assert [len(chunk) for chunk in store.iter_data("v", chunk_rows=60)] == [60, 40]


@pytest.mark.timeout(60)
def test_chunks_keep_nothing_open_at_the_server(store: Any, raw: Any) -> None:
    """Half-way through them the dataset can be altered, emptied and deleted; the chunks stay what they were."""
    store.save_data(ROWS, "d")
    chunks = store.iter_data("d", chunk_rows=10)
    first = next(chunks)
    raw.execute("SET lock_timeout = '5s'; ALTER TABLE d ADD COLUMN more int; TRUNCATE d")
    store.delete_data("d")
    assert_same(ROWS, pd.concat([first, *chunks]))


def test_a_server_that_goes_away_half_way_is_an_error_that_says_so(store: Any, raw: Any) -> None:
    """What the driver says is told as ours, and the next read has a new connection."""
    raw.execute(
        "CREATE TABLE t (n int); INSERT INTO t VALUES (1);"
        "CREATE FUNCTION fall() RETURNS int LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN 1; END$$;"
        "CREATE VIEW v AS SELECT fall() AS n FROM t"
    )
    for read in (store.get_data, lambda name: list(store.iter_data(name))):
        with pytest.raises(UnavailableError):
            read("v")
    assert store.get_data("t")["n"].tolist() == [1]


PEAK = """
import json, re, sys
from framework import DataFactory, as_settings
url, schema, name, folder = sys.argv[1:]
store = DataFactory(as_settings({"DB_URL": url, "DB_SCHEMA": schema}, workspace=folder)).create_store("postgres")
rows = sum(len(chunk) for chunk in store.iter_data(name, chunk_rows=20_000))
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps([rows, peak]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("rows", [600_000, pytest.param(6_000_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_rows(
    rows: int, raw: Any, postgres_url: str, postgres_schema: str, tmp_path: Path
) -> None:
    """Reading in chunks takes as much of it for many rows as for a third of them."""
    peaks = []
    for count in (rows // 3, rows):
        made = "i::bigint AS n, 'T' || i AS t, i * 0.5::float8 AS x, i * 1.5::float8 AS y, md5(i::text) AS note"
        raw.execute(f"CREATE TABLE t{count} AS SELECT {made} FROM generate_series(1, {count}) i")
        command = [sys.executable, "-c", PEAK, postgres_url, postgres_schema, f"t{count}", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        told, peak = json.loads(done.stdout)
        assert told == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 48 * 1024
