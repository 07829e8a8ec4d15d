"""What the cases of PostgreSQL share: the table's columns, connections, tables as others make them."""

from __future__ import annotations

import os
from typing import Any

from data import frame_of
from rows import Place

COLUMNS = (
    "timestamp timestamp, symbol text, open double precision, high double precision, low double precision,"
    " close double precision, volume bigint"
)
COPY_OUT = "COPY {} TO STDOUT (FORMAT BINARY)"
COPY_IN = "COPY {} FROM STDIN (FORMAT BINARY)"


def connect(place: Place) -> Any:
    import psycopg

    return psycopg.connect(place.url, autocommit=True)


def by_host(place: Place) -> str:
    """The address with its socket's folder where a host stands, and a password: for those who insist on them."""
    from urllib.parse import parse_qs, quote, urlsplit

    parts = urlsplit(place.url)
    if parts.hostname:
        return place.url
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    host = f"{quote(asked['host'], safe='')}:{asked.get('port', '5432')}"
    return f"{parts.scheme}://{asked.get('user') or parts.username}:none@{host}{parts.path}"


def checkpoint(place: Place) -> None:
    """Let the server write what it holds, so that the turn begins with clean pages."""
    import psycopg

    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def binary(place: Place, name: str) -> bytes:
    """The rows of prices in the server's binary format, all or the first ten."""
    path = place.scratch("binary") / f"{name}.bin"
    if not path.exists():
        frame = frame_of(place.folder, "prices")
        frame = frame.head(10) if name == "ten" else frame
        fill(place, f"source_{name}", frame)
        with (
            connect(place) as connection,
            connection.cursor().copy(COPY_OUT.format(f"source_{name}")) as copy,
            open(path, "wb") as sink,
        ):
            sink.writelines(copy)
    return path.read_bytes()


def fill(place: Place, table: str, frame: Any, columns: str = COLUMNS) -> None:
    """Make the table with those rows, by CSV, vacuumed."""
    import io

    import pyarrow as pa
    import pyarrow.csv as csv

    text = io.BytesIO()
    csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), text)
    with connect(place) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute(f"CREATE TABLE {table} ({columns})")
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT CSV, HEADER)") as copy:
            copy.write(text.getbuffer())
        cursor.execute(f"VACUUM ANALYZE {table}")


def pipeline_of(place: Place, name: str) -> Any:
    """dlt's, with all that it writes in the run's folder."""
    os.environ |= {
        "DLT_DATA_DIR": str(place.scratch("dlt", name)),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    os.chdir(place.scratch("dlt"))
    import dlt

    return dlt.pipeline(name, destination=dlt.destinations.postgres(by_host(place)), dataset_name=name)
