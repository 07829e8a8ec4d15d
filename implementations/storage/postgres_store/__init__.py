"""Tables in a PostgreSQL schema: one transaction per save, COPY BINARY from Arrow, a catalogue of logical schemas.

A table keeps its identity when it is replaced, so views, grants and indexes survive. Rows come back in the order in
which they were saved: the table's own when it was written in one go, else that of a column of numbers that the server
fills. A save whose connection is lost is made once: each goes on record with an id, which the server is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from psycopg import sql

from .catalog import Record, forget, ids_of, make, noted, record_of, rename
from .failures import errors_of
from .holding import Held
from .names import held_column, held_name
from .reading import Reading
from .table import Table, There

if TYPE_CHECKING:  # so that a store can be looked into without loading pandas
    import pyarrow as pa
    from psycopg import Connection
    from psycopg.sql import Composed

    from framework.schema import FrameSchema
    from framework.store import Save

PROVIDES = {
    "kind": "store",
    "name": "postgres",
    "object": "PostgresStore",
    "roles": ["source", "saver", "backup"],
    "extra": "postgres",
    "summary": "Tables in DB_SCHEMA of the server DB_SERVER, or of an embedded one",
}


class PostgresStore(Reading):
    """One table per dataset."""

    @contextmanager
    def _hold(self, name: str, timeout: float) -> Iterator[None]:
        key = int.from_bytes(hashlib.sha256(f"{self.namespace}\0{name}".encode()).digest()[:8], signed=True)
        with errors_of(f"{self.name}:{name}"):
            held = Held(self._writers, key)
        self._locks[name] = held
        try:
            yield
        finally:
            del self._locks[name]
            held.release()

    @property
    def _locks(self) -> dict[str, Held]:
        """Those that this thread holds, by dataset."""
        locks: dict[str, Held] = self._holding.__dict__.setdefault("locks", {})
        return locks

    def exists(self, name: str) -> bool:
        if name in self._locks:
            self._locks[name].relied = True
        return super().exists(name)

    # ------------------------------------------------------------------ saves

    def _write(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> None:
        from framework.schema import keys_of, plain

        table = plain(table, schema)
        keys = keys_of(table, schema, save.keys, name) if save.mode == "upsert" else None
        made = uuid4().hex

        def work(connection: Connection[Any]) -> None:
            place = self._table(connection, name)
            there = place.begun()
            make(place)
            if there is None:
                forget(place)  # of a table that others dropped
            found = self._found(place, there, schema, save)
            ids = save.ids(found.save_ids if found else ())

            def noting(schema: FrameSchema | None, shape: dict[str, str]) -> Composed:
                return noted(place, schema, shape, ids=ids, made=made if save.save_id is None else None)

            self._change(place, there, found, (table, schema), save, keys, noting)

        def happened(connection: Connection[Any]) -> bool:
            return (save.save_id or made) in ids_of(self._table(connection, name))

        with errors_of(f"{self.name}:{name}"):
            self._locks[name].commit(work, happened, what=f"{self.name}:{name}", save_id=save.save_id or made)

    def _found(self, place: Table, there: There | None, schema: FrameSchema, save: Save) -> Record | None:
        """What is on record; rows in the place of others with the same columns hang on nothing of it."""
        if there is None:
            return None
        same = set(there.own) <= {held_column(field.name) for field in schema.fields}
        plain_types = all(column.full != "numeric" for column in there.own.values())
        return None if save.mode == "replace" and same and plain_types else record_of(place, there, self.logger)

    def _change(
        self,
        place: Table,
        there: There | None,
        found: Record | None,
        new: tuple[pa.Table, FrameSchema],
        save: Save,
        keys: list[str] | None,
        noting: Callable[[FrameSchema | None, dict[str, str]], Composed],
    ) -> None:
        """Change the table, and what is on record of it."""
        from framework.schema import plain

        from .adding import add_rows, mixes_missing
        from .replacing import replace_rows

        table, schema = new
        before = None if found is None else found.schema
        ours = found is not None and (found.shape is not None or before is not None or found.damaged)
        if there is not None and save.mode != "replace":
            whole = before is not None and (not before.fields or (keys is not None and mixes_missing(before, schema)))
            if not whole:
                place.run(noting(*add_rows(place, there, before, (table, schema), keys)))
                return
            place.lock("SHARE ROW EXCLUSIVE")
            merged, schema = self._merged(place.name, table, schema, save)
            table = plain(merged, schema)
        replace_rows(place, there, table, schema, noting=partial(noting, schema), ours=ours)

    def _save_ids(self, name: str) -> tuple[str, ...]:
        with self._writers.use() as connection, errors_of(f"{self.name}:{name}"):
            return ids_of(self._table(connection, name))

    # ------------------------------------------------------------------ names

    def _delete(self, name: str) -> None:
        def work(connection: Connection[Any]) -> None:
            place = self._table(connection, name)
            place.begun()
            place.run("DROP TABLE {}", place.target)
            forget(place)

        def happened(connection: Connection[Any]) -> bool:
            return self._table(connection, name).look() is None

        self._locks[name].relied = False  # whoever had it in between, it goes
        with errors_of(f"{self.name}:{name}", gone=lambda: self.unknown(name)):
            self._locks[name].commit(work, happened, what=f"{self.name}:{name}")

    def _rename(self, old: str, new: str) -> None:
        def work(connection: Connection[Any]) -> None:
            place = self._table(connection, old)
            place.begun()
            place.run("ALTER TABLE {} RENAME TO {}", place.target, sql.Identifier(held_name(new)))
            rename(place, new)

        def happened(connection: Connection[Any]) -> bool:
            names = [self._table(connection, name).look() is not None for name in (old, new)]
            return names == [False, True]

        self._locks[old].relied = False  # the server takes no name that is not free
        with errors_of(f"{self.name}:{old}", gone=lambda: self.unknown(old)):
            self._locks[old].commit(work, happened, what=f"{self.name}:{old}")
