"""Upserts into a PostgreSQL table of all rows with its primary key in place; a tenth of its rows at a time.

Each way has a table of its own, which every turn changes; it is vacuumed before.
"""

from __future__ import annotations

from typing import Any

from cases.server import COLUMNS, checkpoint, connect, fill, pipeline_of
from data import changes, frame_of
from rows import OURS, Call, Case, Place, Row, within

KEYS = ["symbol", "timestamp"]
NAMES = "timestamp, symbol, open, high, low, close, volume"
INSERT = "INSERT INTO {} ({}) {} ON CONFLICT ({}) DO UPDATE SET {}"
BY_HAND = "COPY + ON CONFLICT"


def _some(rows: int) -> int:
    """How many rows are upserted: a tenth."""
    return rows // 10


def _settled(place: Place, table: str) -> None:
    with connect(place) as connection:
        connection.execute(f"VACUUM ANALYZE {table}")
    checkpoint(place)


def _upsert_ours(place: Place) -> Call:
    from cases.ours import store

    made = store("postgres", place)
    if place.turn == 0:
        made.save_data(frame_of(place.folder, "prices"), "merged")
        with connect(place) as connection:
            connection.execute(f"ALTER TABLE merged ADD PRIMARY KEY ({', '.join(KEYS)})")
    made.save_data(changes(place.folder, place.turn, 10), "merged", mode="upsert", keys=KEYS)
    rows = changes(place.folder, place.turn, _some(place.rows))
    _settled(place, "merged")

    def call() -> int:
        made.save_data(rows, "merged", mode="upsert", keys=KEYS)
        return len(rows)

    return call


def _upsert_first(place: Place) -> Call:
    """The first upsert of a table, which gives it the column that keeps the rows' order."""
    from cases.ours import store

    made = store("postgres", place)
    made.save_data(frame_of(place.folder, "prices").head(10), "warm")
    made.save_data(changes(place.folder, 0, 10), "warm", mode="upsert", keys=KEYS)
    made.save_data(frame_of(place.folder, "prices"), "first")
    with connect(place) as connection:
        connection.execute(f"ALTER TABLE first ADD PRIMARY KEY ({', '.join(KEYS)})")
    rows = changes(place.folder, place.turn, _some(place.rows))
    _settled(place, "first")

    def call() -> int:
        made.save_data(rows, "first", mode="upsert", keys=KEYS)
        return len(rows)

    return call


def _based(place: Place, table: str) -> None:
    """A table with all rows and the primary key; made once, changed by every turn."""
    if place.turn == 0:
        fill(place, table, frame_of(place.folder, "prices"), f"{COLUMNS}, PRIMARY KEY ({', '.join(KEYS)})")
    _settled(place, table)


def _insert(table: str, rows: str) -> str:
    """The statement that upserts those rows."""
    changed = ", ".join(f"{name} = excluded.{name}" for name in NAMES.split(", ") if name not in KEYS)
    return INSERT.format(table, NAMES, rows, ", ".join(KEYS), changed)


def _upsert_sql(place: Place) -> Call:
    """What one writes by hand: COPY into a staging table, INSERT ... ON CONFLICT."""
    import io

    import pyarrow as pa
    import pyarrow.csv as csv

    _based(place, "by_hand")
    rows, connection = changes(place.folder, place.turn, _some(place.rows)), connect(place)
    insert = _insert("by_hand", "TABLE staged")

    def call() -> int:
        text = io.BytesIO()
        csv.write_csv(pa.Table.from_pandas(rows, preserve_index=False), text)
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMP TABLE staged ({COLUMNS}) ON COMMIT DROP")
            with cursor.copy("COPY staged FROM STDIN (FORMAT CSV, HEADER)") as copy:
                copy.write(text.getbuffer())
            cursor.execute(insert)
        return len(rows)

    return call


def _upsert_executemany(place: Place) -> Call:
    _based(place, "one_by_one")
    rows = changes(place.folder, place.turn, _some(place.rows))
    connection = connect(place)
    query = _insert("one_by_one", "VALUES (%s, %s, %s, %s, %s, %s, %s)")

    def call() -> int:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(query, rows.itertuples(index=False, name=None))
        return len(rows)

    return call


def _upsert_dlt(place: Place) -> Call:
    import pyarrow as pa

    pipeline = pipeline_of(place, "merge")

    def put(frame: Any) -> int:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        how = {"disposition": "merge", "strategy": "upsert"}
        pipeline.run([table], table_name="prices", write_disposition=how, primary_key=KEYS).raise_on_failed_jobs()
        return len(frame)

    loaded = place.scratch("dlt") / "merge.loaded"
    if not loaded.exists():
        put(frame_of(place.folder, "prices"))
        loaded.touch()
    rows = changes(place.folder, place.turn, _some(place.rows))
    _settled(place, "merge.prices")
    return lambda: put(rows)


ROWS = (
    Row(
        "postgres_upsert",
        "upsert of a tenth, key in place",
        (
            Case(OURS, OURS, _upsert_ours),
            Case(BY_HAND, "pandas2", _upsert_sql),
            Case("executemany", "pandas2", _upsert_executemany, turns=2),
            Case("dlt merge", "dlt", _upsert_dlt),
            Case("millpond, first upsert of a table", OURS, _upsert_first, turns=1),
        ),
        (within(1.1, BY_HAND),),
        size=_some,
        server=True,
        rounds=3,
    ),
)
