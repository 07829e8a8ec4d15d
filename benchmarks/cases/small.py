"""A save of ten rows, many times over, against the bare minimum that is as durable."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from data import frame_of
from rows import OURS, Call, Case, Place, Row, within

CALLS = 200
TEN = 10


def _ours(kind: str) -> Callable[[Place], Call]:
    def prepare(place: Place) -> Call:
        from cases.ours import warmed

        frame, made = frame_of(place.folder, "prices").head(TEN), warmed(kind, place)
        made.save_data(frame, "ten")

        def call() -> int:
            made.save_data(frame, "ten")
            return TEN

        return call

    return prepare


def _bare_file(kind: str) -> Callable[[Place], Call]:
    """A file beside, synced, renamed, the folder synced: the same bytes that the format makes of the rows."""

    def prepare(place: Place) -> Call:
        frame, path = frame_of(place.folder, "prices").head(TEN), place.scratch("bare") / f"ten.{kind}"
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
        content = path.read_bytes()

        def call() -> int:
            _replace(path, content)
            return TEN

        return call

    return prepare


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.tmp")
    with open(beside, "wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    os.rename(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _bare_table(place: Place) -> Call:
    """DELETE and COPY in one transaction, over a connection that is open, of bytes that are ready."""
    import psycopg
    from cases.server import COLUMNS, binary

    content = binary(place, "ten")
    connection = psycopg.connect(place.url)
    connection.execute("DROP TABLE IF EXISTS bare_ten")
    connection.execute(f"CREATE TABLE bare_ten ({COLUMNS})")
    connection.commit()

    def call() -> int:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM bare_ten")
            with cursor.copy("COPY bare_ten FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(content)
        connection.commit()
        return TEN

    return call


def _files(kind: str) -> Row:
    return Row(
        f"small_{kind}",
        f"save of 10 rows, {kind}",
        (
            Case(OURS, OURS, _ours(kind), calls=CALLS),
            Case("bare file, synced, renamed", "pandas2", _bare_file(kind), calls=CALLS),
        ),
        (within(2, "bare file, synced, renamed"),),
        size=lambda rows: TEN,
    )


ROWS = (
    _files("csv"),
    _files("parquet"),
    Row(
        "small_postgres",
        "save of 10 rows, postgres",
        (
            Case(OURS, OURS, _ours("postgres"), calls=CALLS),
            Case("bare DELETE + COPY", "pandas2", _bare_table, calls=CALLS),
        ),
        (within(3, "bare DELETE + COPY"),),
        size=lambda rows: TEN,
        server=True,
    ),
)
