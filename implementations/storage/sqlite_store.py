"""One SQLite file per dataset: the store that `docs/how-to/add-your-own-store.md` builds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import FidelityError, FormatError, IntegrityError
from framework.files import replacing
from framework.folder import FolderStore, Saved

if TYPE_CHECKING:  # what is heavy is imported where it is used, so that a store can be made without it
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection

PROVIDES = {
    "kind": "store",
    "name": "sqlite",
    "object": "SqliteStore",
    "roles": ["source", "saver", "backup"],
    "extra": None,
    "summary": "SQLite files in FS_DATA",
}
MOST_COLUMNS = 2000  # that SQLite holds


class SqliteStore(FolderStore):
    """One SQLite file per dataset in FS_DATA: its rows in the table `data`, what is on record in `millpond`."""

    kind = "sqlite"
    suffix = ".sqlite"

    @property
    def folder(self) -> Path:
        return self.settings.data_folder

    def _write_file(self, path: Path, name: str, table: pa.Table, schema: FrameSchema, saved: Saved) -> None:
        from framework.schema import fingerprint, plain

        if len(schema.fields) > MOST_COLUMNS:
            raise FidelityError(f"{name!r} has {len(schema.fields)} columns; SQLite holds {MOST_COLUMNS} of them.")
        record = {"schema": schema.dumps(), "fingerprint": fingerprint(table, schema), **asdict(saved)}
        columns = [_sent(column) for column in plain(table, schema).columns]
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, replacing(path) as sink:
            db.execute(f"CREATE TABLE data ({', '.join(_names(schema)) or 'none_'})")  # without types: cells stay
            if columns:
                marks = ", ".join("?" * len(columns))
                db.executemany(f"INSERT INTO data VALUES ({marks})", zip(*columns, strict=True))  # noqa: S608
            db.execute("CREATE TABLE millpond (record)")
            db.execute("INSERT INTO millpond VALUES (?)", [json.dumps(record, default=datetime.isoformat)])
            sink.write(db.serialize())

    def _read_file(self, path: Path, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        from framework.schema import FrameSchema, fingerprint, only_rows

        with _opened(path) as db:
            record = _record(db)
            if record is None:
                table, schema = _of_others(db, name)
            else:
                schema = FrameSchema.loads(record["schema"])
                table = _received(db.execute("SELECT * FROM data ORDER BY rowid").fetchall(), schema, record["rows"])
                if fingerprint(table, schema) != record["fingerprint"]:
                    raise IntegrityError(f"{path.name} is damaged.", cure="Restore it from a backup.", resource=name)
        wanted = selection.of(schema, name)
        return (table.select(wanted.names) if wanted.fields else only_rows(table.num_rows)), wanted

    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        from framework.schema import FrameSchema

        with _opened(path) as db:
            record = _record(db)
            if record is None:
                table, schema = _of_others(db, name)
                return Saved(table.num_rows), schema
        when = datetime.fromisoformat(record["saved_at"])
        saved = Saved(record["rows"], when, record["version"], tuple(record["save_ids"]))
        return saved, FrameSchema.loads(record["schema"])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with open(path, "rb") as file:  # one moment's bytes, whatever is renamed over them
        content = file.read()
    if not content.startswith(b"SQLite format 3\0"):
        raise FormatError(f"{path.name} is not a SQLite file.", resource=path.stem)
    try:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
            db.deserialize(content)
            yield db
    except sqlite3.Error as error:
        raise FormatError(f"{path.name} is not a SQLite file that can be read: {error}.", resource=path.stem) from error


def _record(db: Any) -> dict[str, Any] | None:
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'millpond'").fetchone()
    return json.loads(db.execute("SELECT record FROM millpond").fetchone()[0]) if known else None


def _names(schema: FrameSchema) -> list[str]:
    """The columns' names, quoted; SQLite takes `a` and `A` for one, so the later gets a number."""
    given: dict[str, str] = {}
    for name in schema.names:
        free, count = name, 1
        while free.lower() in given:
            free, count = f"{name}_{count}", count + 1
        if "\0" in free:
            raise FidelityError(f"The label {name!r} holds a NUL character, which SQLite cannot hold.")
        given[free.lower()] = '"' + free.replace('"', '""') + '"'
    return list(given.values())


def _sent(column: Any) -> list[Any]:
    """Cells that SQLite keeps exactly: times as counts, NaN and what is beyond 63 bits as text."""
    import pyarrow as pa

    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    cells: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return ["nan" if cell != cell else cell for cell in cells]
    return (
        [str(cell) if cell is not None and cell >= 2**63 else cell for cell in cells]
        if column.type == pa.uint64()
        else cells
    )


def _received(rows: list[Any], schema: FrameSchema, count: int) -> pa.Table:
    import pyarrow as pa

    from framework.schema import only_rows

    if not schema.fields:
        return only_rows(count)
    cells = list(zip(*rows, strict=True)) or [()] * len(schema.fields)
    return pa.table([_column(list(c), f.arrow_type) for c, f in zip(cells, schema.fields, strict=True)], schema.names)


def _column(cells: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_temporal(kind):
        return pa.array(cells, pa.int32() if pa.types.is_date32(kind) else pa.int64()).cast(kind)
    if pa.types.is_decimal(kind):
        return pa.array(cells, pa.string()).cast(kind)
    python: Any = float if pa.types.is_floating(kind) else int if pa.types.is_integer(kind) else None
    python = bool if pa.types.is_boolean(kind) else python
    return pa.array([None if c is None else python(c) for c in cells] if python else cells, kind, from_pandas=False)


def _of_others(db: Any, name: str) -> tuple[pa.Table, FrameSchema]:
    """The one table of a file that others made: whole numbers and floats as such, the rest as it is."""
    import pandas as pd

    from framework.schema import encode

    tables = [
        row[0]
        for row in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
    ]
    if len(tables) != 1:
        raise FormatError(
            f"{name} holds {len(tables)} tables, and a dataset is one.", cure=f"It holds {', '.join(tables) or 'none'}."
        )
    rows = db.execute('SELECT * FROM "' + tables[0].replace('"', '""') + '"')  # noqa: S608 - quoted
    names = [told[0] for told in rows.description]
    cells = list(zip(*rows.fetchall(), strict=True)) or [()] * len(names)
    frame = pd.DataFrame({n: _typed(pd.Series(c, dtype=object)) for n, c in zip(names, cells, strict=True)})
    return encode(frame.set_axis(frame.columns.astype(object), axis=1))


def _typed(cells: Any) -> Any:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int}:
        return cells.astype("int64" if cells.notna().all() else "Int64")
    return cells.astype("float64") if kinds == {float} else cells
