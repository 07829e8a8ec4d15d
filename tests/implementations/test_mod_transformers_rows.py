"""filter, deduplicator and sql: which rows they let through, and what a query may not do."""

from __future__ import annotations

import io
import logging
import math
import os
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.errors import (
    ColumnNotFoundError,
    DataException,
    FidelityError,
    OptionError,
    ParameterError,
    StorageError,
)
from framework.formats.parquet_foreign import described
from framework.mods.catalog import Mods
from framework.mods.run import ModRun

NUMBER = count()


def made_of(mod: str, root: Path, table: pa.Table, **values: Any) -> Any:
    """What a mod told of a table."""
    pq.write_table(table, root / "in.parquet")
    run = ModRun("r1", mod, root / f"runs/{next(NUMBER)}", root, logging.getLogger("millpond.mods"))
    made = Mods(root).load(mod).call({"input_artifact": "in.parquet", **values}, run)
    assert not list(run.folder.glob(".*")), "something was left in the run's folder"
    return made


def answer(mod: str, root: Path, table: pa.Table, **values: Any) -> pa.Table:
    return pq.read_table(made_of(mod, root, table, **values).told.artifacts["output_data"])


def missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


# --------------------------------------------------------------------------- filter

TABLE = pa.table(
    {
        "id": [0, 1, 2, 3],
        "name": pa.array(["Ada", None, "Ben", "Cy"]),
        "price": pa.array([1.5, math.nan, 10.0, None], from_pandas=False),
        "kind": pa.array(["x", "y", None, "x"]).dictionary_encode(),
        "day": pa.array([date(2024, 1, 1), None, date(2024, 3, 1), date(2024, 2, 1)]),
        "sum": pa.array([Decimal("1.10"), None, Decimal("2.20"), Decimal("3.30")]),
    }
)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"where": [["id", ">=", 2]]}, [2, 3]),
        ({"where": [["name", "is null"]]}, [1]),
        ({"where": [["price", "not null"], ["kind", "==", "x"]]}, [0]),
        ({"where": [["kind", "in", ["y", "z"]]]}, [1]),
        ({"where": [["day", "<", date(2024, 2, 15)]]}, [0, 3]),
        ({"where": [["sum", ">", Decimal("1.5")]]}, [2, 3]),
        ({"expression": "price > 1"}, [0, 2]),
        ({"expression": "name LIKE 'A%' OR day >= '2024-02-15'"}, [0, 2]),
        ({"expression": "kind = 'x';"}, [0, 3]),
        ({"expression": "id % 2 = 0 -- even ones"}, [0, 2]),
        ({"expression": "id > 0", "where": [["id", "<", 3]]}, [1, 2]),
        ({"expression": "id > 9"}, []),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_filter_keeps_the_rows_that_meet_it(tmp_path: Path, values: dict[str, Any], wanted: list[int]) -> None:
    """By conditions, by SQL, by both; the rows stay as they were, and in their order."""
    made = made_of("filter", tmp_path, TABLE, **values)
    after = pq.read_table(made.told.artifacts["output_data"])
    assert repr(after.to_pylist()) == repr(TABLE.take(pa.array(wanted, pa.int64())).to_pylist())
    assert after.schema.types == TABLE.schema.types
    metrics = made.told.metrics
    assert (metrics["rows_processed"], metrics["rows_dropped"]) == (4, 4 - len(wanted))


def test_nan_is_seen_where_the_statistics_of_a_file_do_not_tell_of_it(tmp_path: Path) -> None:
    """Parquet's least and greatest value leave NaN out, also where no cell is null; every mod finds it all the same."""
    table = pa.table({"x": pa.array([0.1, math.nan, 9.0, math.nan])})
    assert answer("filter", tmp_path, table, expression="x IS NULL").num_rows == 2
    assert answer("sql", tmp_path, table, query="SELECT * FROM input WHERE x IS NULL").num_rows == 2
    assert answer("deduplicator", tmp_path, table).num_rows == 3
    asked = {"n": {"column": "x", "function": "count"}, "top": {"column": "x", "function": "max"}}
    assert answer("aggregator", tmp_path, table, aggregations=asked).to_pylist() == [{"n": 2, "top": 9.0}]


def test_a_filter_over_many_pieces_with_names_of_ours(tmp_path: Path) -> None:
    """Of 300,000 rows every thousandth, with columns that are called as Millpond calls its own."""
    names = ("c0", "c1", "_row", "file_row_number")
    table = pa.table({name: range(place, 300_000 + place) for place, name in enumerate(names)})
    after = answer("filter", tmp_path, table, expression="c0 % 1000 = 7 AND _row = c1 + 1")
    assert after.column("c0").to_pylist() == list(range(7, 300_000, 1000))
    assert after.column("file_row_number").to_pylist() == list(range(10, 300_003, 1000))


@pytest.mark.parametrize(
    "expression",
    [
        "id > (SELECT 1)", "id > 1) OR (1=1", "id > 1; DROP TABLE input", "EXISTS (FROM read_text('/etc/passwd'))",
        "id FROM input", "id, name", "count(*) OVER () > 1", "id ORDER BY 1", "*", "", "id > ?", "list_any(id, x -> x)",
    ],
)  # fmt: skip
def test_an_expression_is_one_expression_over_a_row(tmp_path: Path, expression: str) -> None:
    """Anything else is refused before a row is read."""
    with pytest.raises((ParameterError, OptionError)):
        answer("filter", tmp_path, TABLE, expression=expression)
    assert not list(tmp_path.rglob("output_data*"))


def test_a_filters_faults_are_named(tmp_path: Path) -> None:
    """An unknown column with the nearest, an unknown operator, nothing at all, two names that SQL takes for one."""
    for values in ({"where": [["nmae", "is null"]]}, {"expression": "nmae IS NULL"}):
        with pytest.raises(ColumnNotFoundError, match=r"no column 'nmae'.*'name'"):
            answer("filter", tmp_path, TABLE, **values)
    with pytest.raises(ParameterError, match="no operator"):
        answer("filter", tmp_path, TABLE, where=[["id", "=>", 1]])
    with pytest.raises(ParameterError, match="say which rows"):
        answer("filter", tmp_path, TABLE)
    with pytest.raises(ParameterError, match="'A' and 'a'"):
        answer("filter", tmp_path, pa.table({"A": [1], "a": [2]}), expression="a > 1")


# --------------------------------------------------------------------------- deduplicator


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.sampled_from([math.nan, 0.0, 1.0])),
            st.one_of(st.none(), st.sampled_from(["", "a", "A"])),
            st.one_of(st.none(), st.integers(0, 3)),
        ),
        max_size=12,
    ),
    st.sampled_from([None, ["f"], ["t"], ["f", "t"]]),
    st.sampled_from(["first", "last", "none"]),
    st.sampled_from([[], ["n"], ["-n"]]),
)
def test_of_rows_that_are_alike_the_right_one_stays(
    tmp_path: Path, rows: list[Any], keys: list[str] | None, keep: str, order: list[str]
) -> None:
    """As plain Python picks it; nulls and NaN are alike, rows keep their order, the others lie beside."""
    names, kinds = ("f", "t", "n"), (pa.float64(), pa.string(), pa.int64())
    table = pa.table(
        {name: pa.array([row[i] for row in rows], kinds[i], from_pandas=False) for i, name in enumerate(names)}
    )
    made = made_of("deduplicator", tmp_path, table, keys=keys, keep=keep, order_by=order, keep_rejected=True)

    def rank(number: int) -> tuple[Any, ...]:
        value = rows[number][2]
        sign = -1 if order == ["-n"] else 1
        return ((value is None, 0 if value is None else sign * value) if order else (), number)

    groups: dict[Any, list[int]] = {}
    for number, row in enumerate(rows):
        cells = [row[names.index(name)] for name in keys or names]
        groups.setdefault(tuple(None if missing(cell) else cell for cell in cells), []).append(number)
    kept = set()
    for members in groups.values():
        ranked = sorted(members, key=rank)
        kept |= {"first": {ranked[0]}, "last": {ranked[-1]}, "none": set() if len(members) > 1 else {ranked[0]}}[keep]

    after = pq.read_table(made.told.artifacts["output_data"])
    rejected = pq.read_table(made.told.artifacts["rejected"])
    assert repr(after.to_pylist()) == repr(table.take(sorted(kept)).to_pylist() if kept else [])
    assert rejected.column("_row").to_pylist() == [number for number in range(len(rows)) if number not in kept]
    assert made.told.metrics["duplicates_removed"] == rejected.num_rows


def test_duplicates_over_many_pieces(tmp_path: Path) -> None:
    """Of 300,000 rows with 1,000 keys the last of each stays, a type that SQL lacks too."""
    rows = 300_000
    table = pa.table({"k": [i * 31 % 1000 for i in range(rows)], "lasts": pa.array(range(rows), pa.duration("ns"))})
    after = answer("deduplicator", tmp_path, table, keys=["k"], keep="last")
    assert after.column("lasts").cast(pa.int64()).to_pylist() == list(range(rows - 1000, rows))


def test_keys_that_cannot_be_compared_exactly_are_refused(tmp_path: Path) -> None:
    """A decimal of more than 38 digits is not taken for one that is near."""
    table = pa.table({"d": pa.array([Decimal(1), Decimal(2)], pa.decimal256(60, 0))})
    with pytest.raises(FidelityError, match="38 digits"):
        answer("deduplicator", tmp_path, table)


# --------------------------------------------------------------------------- sql


def test_a_query_joins_artifacts_by_their_names(tmp_path: Path) -> None:
    """Named ones and `input`; a sum of whole numbers is a whole number, the query's order is kept."""
    pq.write_table(pa.table({"id": range(200_000), "n": range(200_000)}), tmp_path / "more.parquet")
    query = "SELECT m.id % 100000 AS k, sum(m.n) AS s FROM more m, input i WHERE i.id = 0 GROUP BY k ORDER BY s DESC, k"
    after = answer("sql", tmp_path, TABLE, query=query, artifacts={"more": "more.parquet"})
    assert after.schema.types == [pa.int64(), pa.int64()]
    assert after.column("k").to_pylist() == list(range(99_999, -1, -1))
    assert after.column("s")[0].as_py() == 99_999 + 199_999


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO input VALUES (1)", "DROP VIEW input", "CREATE TABLE t AS SELECT 1", "COPY input TO '{}/out.csv'",
        "COPY (SELECT 1) TO '{}/in.parquet'", "ATTACH '{}/a.db'", "SET enable_external_access = true", "INSTALL httpfs",
        "SELECT 1; SELECT 2", "WITH x AS (COPY (SELECT 1) TO '{}/out.csv') SELECT 1", "EXPLAIN ANALYZE SELECT 1",
        "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x",
        "EXPORT DATABASE '{}/x'", "CALL pragma_version()",
        "SELECT * FROM (WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x)",
        "PRAGMA version", "", "SELECT $1", "SELEC 1",
    ],
)  # fmt: skip
def test_a_query_that_is_more_than_one_select_is_refused(tmp_path: Path, query: str) -> None:
    """Before anything runs: no statement that changes something, not even inside a SELECT."""
    with pytest.raises(ParameterError, match="query"):
        answer("sql", tmp_path, TABLE, query=query.replace("{}", str(tmp_path)))
    assert sorted(os.listdir(tmp_path)) == ["in.parquet"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('{}/secret.txt')", "SELECT * FROM '{}/secret.parquet'", "SELECT * FROM glob('{}/*')",
        "SELECT * FROM read_parquet('{}/secret.parquet')", "SELECT * FROM read_csv('{}/secret.txt')",
        "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')", "SELECT * FROM params", "SELECT * FROM tables",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{}/out.csv''')",
    ],
)  # fmt: skip
def test_a_query_reads_nothing_but_its_tables(tmp_path: Path, query: str) -> None:
    """No file beside the artifacts, no address, no variable of the program."""
    (tmp_path / "secret.txt").write_text("secret\n")
    pq.write_table(pa.table({"x": ["secret"]}), tmp_path / "secret.parquet")
    with pytest.raises((DataException, OptionError), match="DuckDB"):
        answer("sql", tmp_path, TABLE, query=query.replace("{}", str(tmp_path)))
    assert not list(tmp_path.rglob("out*"))


def test_what_a_file_cannot_hold_is_refused_with_the_cure(tmp_path: Path) -> None:
    """Two columns of one name, an interval, a list; text of an identifier is text."""
    with pytest.raises(ParameterError, match=r"2 columns 'id'.*Name each"):
        answer("sql", tmp_path, TABLE, query="SELECT a.id, b.id FROM input a, input b")
    for column in ("INTERVAL 1 DAY", "[id]", "{'a': id}"):
        with pytest.raises(FidelityError, match="Cast it"):
            answer("sql", tmp_path, TABLE, query=f"SELECT {column} AS x FROM input")
    after = answer("sql", tmp_path, TABLE, query="SELECT '0ca67e0c-9dbd-4a45-9d7d-7b0ba4a0d1a5'::UUID AS x")
    assert after.to_pylist() == [{"x": "0ca67e0c-9dbd-4a45-9d7d-7b0ba4a0d1a5"}]


def test_names_that_sql_does_not_know_are_errors_of_the_parameters(tmp_path: Path) -> None:
    """A table or column that is not there ends with exit code 20, and says what is near."""
    with pytest.raises(OptionError, match="inputt"):
        answer("sql", tmp_path, TABLE, query="SELECT * FROM inputt")
    with pytest.raises(ParameterError, match="'input'"):
        answer("sql", tmp_path, TABLE, query="SELECT 1", artifacts={"INPUT": "in.parquet"})


def test_a_table_of_csv_is_asked_too(tmp_path: Path) -> None:
    """Its types are those that csv_reader finds: 007 is text."""
    (tmp_path / "more.csv").write_text("id,n\n007,1\n008,2\n")
    query = "SELECT id, sum(n) AS n FROM m GROUP BY id ORDER BY id"
    after = answer("sql", tmp_path, TABLE, query=query, artifacts={"m": "more.csv"})
    assert after.to_pylist() == [{"id": "007", "n": 1}, {"id": "008", "n": 2}]


@pytest.mark.parametrize("mod", ["aggregator", "data_cleaner", "deduplicator", "filter", "joiner", "sql", "validator"])
def test_the_example_of_a_mod_works(tmp_path: Path, mod: str) -> None:
    """As `mods show` prints it, on the files that it names."""
    found = Mods(tmp_path).load(mod)
    for name, text in found.module.EXAMPLE_FILES.items():
        pq.write_table(pa.csv.read_csv(io.BytesIO(text.encode())), tmp_path / name)
    run = ModRun("r1", mod, tmp_path / "runs", tmp_path, logging.getLogger("millpond.mods"))
    made = found.call(found.module.EXAMPLE, run)
    assert made.told.metrics["rows_output"] == pq.read_table(made.told.artifacts["output_data"]).num_rows > 0


# --------------------------------------------------------------------------- values that DuckDB would change

LONG = pa.table(
    {
        "id": [1, 2],
        "d": pa.array([Decimal("1234567890123456789012345678901234567890.12"), Decimal("0.12")], pa.decimal256(76, 2)),
    }
)


@pytest.mark.parametrize(
    ("mod", "asked"),
    [
        ("sql", {"query": "SELECT * FROM input"}),
        ("sql", {"query": "SELECT id FROM input WHERE d > 5"}),
        ("sql", {"query": "SELECT count(d) AS n FROM input"}),
        ("filter", {"expression": "d > 5"}),
        ("validator", {"rules": [{"rule": "expression", "check": "d > 5"}]}),
    ],
)
def test_a_number_of_more_than_38_digits_is_never_a_float(mod: str, asked: dict[str, Any], tmp_path: Path) -> None:
    """A query that needs such a column is refused with the cure, one that does not is answered."""
    with pytest.raises(FidelityError, match=r"'d' has more than 38 digits.*types: \{d: text\}"):
        made_of(mod, tmp_path, LONG, **asked)
    assert answer("sql", tmp_path, LONG, query="SELECT id FROM input").to_pylist() == [{"id": 1}, {"id": 2}]


def test_a_duration_is_an_interval_and_no_number(tmp_path: Path) -> None:
    """It is compared as what it is in any unit, and never answered as a number that nobody asked for."""
    spans = {unit: pa.array([1, 3_600, 7_200, None], pa.int64()).cast(pa.duration("s")) for unit in "s"}
    spans |= {unit: spans["s"].cast(pa.duration(unit)) for unit in ("ms", "us", "ns")}
    table = pa.table({"id": [0, 1, 2, 3], **spans})
    for unit in spans:
        assert answer("filter", tmp_path, table, expression=f"{unit} > INTERVAL 30 MINUTE")["id"].to_pylist() == [1, 2]
        after = answer("sql", tmp_path, table, query=f"SELECT epoch_us({unit}) AS n FROM input ORDER BY id")
        assert after["n"].to_pylist() == [1_000_000, 3_600_000_000, 7_200_000_000, None]
        with pytest.raises(FidelityError, match="INTERVAL"):
            made_of("sql", tmp_path, table, query=f"SELECT {unit} FROM input")
    odd = pa.table({"d": pa.array([1_000, 1_001], pa.duration("ns"))})
    with pytest.raises(FidelityError, match="'d' has nanoseconds"):
        made_of("sql", tmp_path, odd, query="SELECT max(epoch_us(d)) AS n FROM input")


def test_columns_that_only_case_tells_apart_are_not_mistaken(tmp_path: Path) -> None:
    """SQL has one name for both: it is refused before one is answered for the other."""
    for query in ("SELECT a FROM input", 'SELECT "A" FROM input', "SELECT * FROM input"):
        with pytest.raises(ParameterError, match="'A' and 'a', which are one name"):
            made_of("sql", tmp_path, pa.table({"A": [1], "a": [2]}), query=query)


def test_nan_is_what_is_missing_in_every_sql(tmp_path: Path) -> None:
    """It is greater than nothing, adds to nothing and is null, for a query as for an expression as for a rule."""
    table = pa.table({"x": pa.array([5.0, math.nan, 200.0])})
    told = "SELECT count(x) AS n, sum(x) AS s, avg(x) AS a, max(x) AS top FROM input"
    assert answer("sql", tmp_path, table, query=told).to_pylist() == [{"n": 2, "s": 205.0, "a": 102.5, "top": 200.0}]
    assert answer("sql", tmp_path, table, query="SELECT * FROM input")["x"].to_pylist() == [5.0, None, 200.0]
    assert answer("filter", tmp_path, table, expression="x > 100")["x"].to_pylist() == [200.0]
    assert answer("filter", tmp_path, table, expression="NOT x < 100")["x"].to_pylist() == [200.0]
    rules = [{"rule": "expression", "check": "x < 1000"}]
    assert made_of("validator", tmp_path, table, rules=rules).told.outcome == "SUCCESS"


@pytest.mark.timeout(60)
def test_a_table_of_very_many_columns_is_described_at_once() -> None:
    """What is done for a column does not grow with the number of columns: 20,000 would take half an hour."""
    names = [f"c{place}" for place in range(20_000)]
    assert described(pa.schema([(name, pa.int64()) for name in names])).names == names


def test_no_answer_depends_on_the_zone_of_the_machine(tmp_path: Path) -> None:
    """A text that is compared with an instant is of UTC, in a process whose zone is another too."""
    stamps = [datetime(2024, 1, 1, 0, 30, tzinfo=UTC), datetime(2023, 12, 31, 23, 30, tzinfo=UTC)]
    pq.write_table(pa.table({"id": [1, 2], "ts": pa.array(stamps, pa.timestamp("us", "UTC"))}), tmp_path / "tz.parquet")
    script = """
        import logging, sys
        from pathlib import Path
        import pyarrow.parquet as pq
        from framework.mods.catalog import Mods
        from framework.mods.run import ModRun
        root = Path(sys.argv[1])
        def made(mod, **values):
            run = ModRun("r1", mod, root / mod, root, logging.getLogger("x"))
            return Mods(root).load(mod).call({"input_artifact": "tz.parquet", **values}, run).told
        kept = made("filter", expression="ts >= '2024-01-01'").artifacts["output_data"]
        asked = made("sql", query="SELECT id FROM input WHERE ts >= '2024-01-01'").artifacts["output_data"]
        rules = [{"rule": "range", "column": "ts", "min": "2024-01-01"}]
        broken = made("validator", rules=rules, on_fail="warn").metrics["rows_rejected"]
        print(pq.read_table(kept)["id"].to_pylist(), pq.read_table(asked)["id"].to_pylist(), broken)
    """
    for zone in ("Asia/Tokyo", "America/New_York"):
        environment = {**os.environ, "TZ": zone}
        command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[0] == "[1] [1] 1", zone


def test_a_query_that_fails_in_the_midst_of_its_answer_is_no_failure_of_the_disk(tmp_path: Path) -> None:
    """A value in row 200,000 that cannot be cast: the data's error, not the storage's."""
    table = pa.table({"s": ["1"] * 200_000 + ["x"]})
    with pytest.raises(DataException, match="Could not convert string 'x'") as caught:
        made_of("sql", tmp_path, table, query="SELECT CAST(s AS INTEGER) AS v FROM input")
    assert not isinstance(caught.value, StorageError)
    assert not list(tmp_path.rglob("output_data*"))
