"""The sqlite store, as the how-to tests it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from framework.testing import FolderConformance


class TestSqliteStore(FolderConformance):
    """SQLite files, read and written by the standard library alone."""

    kind = "sqlite"
    suffix = ".sqlite"
    deaths, examples = 5, 30

    def raw_read(self, store: Any, name: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(store.folder / f"{name}.sqlite")) as db:
            return db.execute("SELECT * FROM data ORDER BY rowid").fetchall()

    def raw_write(self, store: Any, name: str, rows: list[dict[str, Any]]) -> None:
        store.folder.mkdir(parents=True, exist_ok=True)
        (store.folder / f"{name}.sqlite").unlink(missing_ok=True)
        with closing(sqlite3.connect(store.folder / f"{name}.sqlite")) as db:
            db.execute(f"CREATE TABLE theirs ({', '.join(rows[0])})")
            marks = ", ".join("?" * len(rows[0]))
            db.executemany(f"INSERT INTO theirs VALUES ({marks})", [tuple(row.values()) for row in rows])
            db.commit()
