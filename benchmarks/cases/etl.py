"""A CSV file, cleaned, validated, into PostgreSQL: as a job, and as it is written by hand.

The work: customers without an age or an income go, text is trimmed, ids must be there and unique, balances and ages
within bounds, countries among those known; the table is replaced. By hand the same is written with what each brings
along, without what a job does beside: files between the steps with their checksums, a record of the run, its log.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cases.server import checkpoint, connect, pipeline_of
from data import customers
from rows import OURS, Call, Case, Place, Row, within

COUNTRIES = ["US", "GB", "DE", "FR", "JP", "BR", "IN", "CA", "AU", "SE", "NO", "IT"]
SQL_ROWS = 50_000  # to_sql takes minutes for all; its time grows with the rows
TIMES = 9  # the large file holds so many of the small one
JOB = """
mods:
  csv_reader: {{input_path: "{path}"}}
  data_cleaner: {{null_strategy: drop, columns: [age, income], duplicates: keep}}
  validator:
    rules:
      - {{column: customer_id, rule: not_null}}
      - {{column: customer_id, rule: unique}}
      - {{column: age, rule: range, min: 18, max: 120}}
      - {{column: balance, rule: range, min: -100000, max: 100000}}
      - {{column: country, rule: allowed, values: [{countries}]}}
  database_writer: {{connection_string: "{url}", table_name: {table}, mode: replace, allow_shrink: true}}
"""


def file_of(place: Place, times: int) -> Path:
    """The CSV file; the large one is made by the first who needs it."""
    import pyarrow as pa
    import pyarrow.csv as csv

    small = place.folder / "customers.csv"
    if times == 1:
        return small
    path = place.folder / f"customers_{times}.csv"
    if not path.exists():
        rows = place.rows // 2
        beside = path.with_suffix(".part")
        with open(beside, "wb") as sink:
            for number in range(times):
                table = customers(rows, seed=10 + number)
                ids = pa.array([f"C{number * rows + each:09d}" for each in range(rows)])
                plain = csv.WriteOptions(include_header=number == 0, quoting_style="none", quoting_header="none")
                csv.write_csv(table.set_column(0, "customer_id", ids), sink, plain)
        beside.rename(path)
    return path


def _ours(place: Place, *, times: int) -> Call:
    from framework import Workspace

    folder = place.scratch("etl")
    (folder / "millpond.yaml").touch()
    job = folder / f"customers_{times}.yaml"
    told = {"countries": ", ".join(f'"{name}"' for name in COUNTRIES), "url": place.url, "table": f"ours_{times}"}
    job.write_text(JOB.format(path=file_of(place, times), **told))
    few = folder / "few.csv"
    few.write_bytes(b"".join((place.folder / "customers.csv").read_bytes().splitlines(keepends=True)[:11]))
    first = folder / "few.yaml"
    first.write_text(JOB.format(path=few, **{**told, "table": "few"}))
    found = Workspace(folder)
    found.run_job(first).raise_if_failed()
    checkpoint(place)

    def call() -> int:
        result = found.run_job(job).raise_if_failed()
        return int(result.children[0].metrics["rows_processed"])

    return call


def _checked(frame: Any) -> Any:
    """What a careful hand writes with pandas."""
    frame = frame.dropna(subset=["age", "income"])
    for name in frame.select_dtypes("object").columns:
        frame[name] = frame[name].str.strip()
    good = frame["customer_id"].notna() & ~frame["customer_id"].duplicated()
    good &= frame["age"].between(18, 120) & frame["balance"].between(-1e5, 1e5) & frame["country"].isin(COUNTRIES)
    return frame[good]


def _pandas(place: Place, *, times: int) -> Call:
    import pandas as pd
    import psycopg
    import sqlalchemy

    path = file_of(place, times)
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(place.url))
    dates = ["signup_date", "last_order_date"]

    def call() -> int:
        frame = pd.read_csv(path, parse_dates=dates, nrows=SQL_ROWS)
        _checked(frame).to_sql("by_pandas", engine, if_exists="replace", index=False)
        return len(frame)

    return call


def _duckdb(place: Place, *, times: int) -> Call:
    import duckdb

    path = file_of(place, times)
    countries = ", ".join(f"'{name}'" for name in COUNTRIES)
    good = (
        "age IS NOT NULL AND income IS NOT NULL AND customer_id IS NOT NULL AND age BETWEEN 18 AND 120"
        f" AND balance BETWEEN -100000 AND 100000 AND country IN ({countries})"
    )

    def call() -> int:
        folder = place.scratch("duckdb")
        with duckdb.connect(":memory:") as base:
            base.execute(f"CREATE VIEW c AS SELECT * FROM read_csv('{path}', header = true)")  # noqa: S608
            texts = [name for name, kind, *_ in base.execute("DESCRIBE c").fetchall() if kind == "VARCHAR"]
            trimmed = ", ".join(f'trim("{name}") AS "{name}"' for name in texts)
            once = f"SELECT * REPLACE ({trimmed}) FROM c WHERE {good} QUALIFY row_number() OVER (PARTITION BY customer_id) = 1"  # noqa: S608, E501
            base.execute(f"COPY ({once}) TO '{folder / 'out.csv'}' (HEADER, FORMAT CSV)")
            kinds = {"BIGINT": "bigint", "DOUBLE": "double precision", "DATE": "date", "TIMESTAMP": "timestamp"}
            columns = ", ".join(
                f'"{name}" {kinds.get(kind, "text")}' for name, kind, *_ in base.execute("DESCRIBE c").fetchall()
            )
            rows = base.execute("SELECT count(*) FROM c").fetchone()
        with connect(place) as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS by_duckdb; CREATE TABLE by_duckdb ({columns})")
            with (
                cursor.copy("COPY by_duckdb FROM STDIN (FORMAT CSV, HEADER)") as copy,
                open(folder / "out.csv", "rb") as source,
            ):
                while piece := source.read(1 << 20):
                    copy.write(piece)
        return int(rows[0]) if rows else 0

    return call


def _dlt(place: Place, *, times: int) -> Call:
    import pyarrow.csv as csv

    path, pipeline = file_of(place, times), pipeline_of(place, f"etl_{times}")
    seen = 0

    def pieces(limit: int | None = None) -> Any:
        nonlocal seen
        seen = 0
        with csv.open_csv(path, csv.ReadOptions(block_size=1 << 24)) as reader:
            for batch in reader:
                seen += batch.num_rows
                yield from _good(batch, limit)
                if limit is not None:
                    return

    def call() -> int:
        pipeline.run(pieces(), table_name="customers", write_disposition="replace").raise_on_failed_jobs()
        return seen

    pipeline.run(pieces(10), table_name="customers", write_disposition="replace").raise_on_failed_jobs()
    return call


def _good(batch: Any, limit: int | None) -> Any:
    """The rows of a piece that pass; that ids are unique dlt is told nowhere, and does not see to."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches([batch])
    good = pc.and_(pc.is_valid(table["age"]), pc.is_valid(table["income"]))
    good = pc.and_(good, pc.and_(pc.greater_equal(table["age"], 18), pc.less_equal(table["age"], 120)))
    good = pc.and_(good, pc.is_in(table["country"], pa.array(COUNTRIES)))
    kept = table.filter(good)
    yield kept if limit is None else kept.slice(0, limit)


def _bytes(place: Place, *, times: int) -> int:
    return file_of(place, times).stat().st_size


def _row(name: str, times: int, rounds: int) -> Row:
    def case(who: str, peer: str, prepare: Callable[..., Call], **more: Any) -> Case:
        return Case(who, peer, partial(prepare, times=times), **more)

    return Row(
        name,
        f"csv -> clean -> validate -> postgres, {'114 MB' if times == 1 else '1 GB'}",
        (
            case(OURS, OURS, _ours),
            case("pandas and to_sql", "pandas2", _pandas, part=SQL_ROWS),
            case("DuckDB and COPY", "duckdb", _duckdb),
            case("dlt", "dlt", _dlt, turns=1),
        ),
        (within(1.0, "pandas and to_sql"), within(1.0, "dlt")),
        size=lambda rows: rows // 2 * times,
        rate=partial(_bytes, times=times),
        server=True,
        rounds=rounds,
    )


ROWS = (_row("etl_small", 1, 3), _row("etl_large", TIMES, 1))
