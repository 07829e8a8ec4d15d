"""Tables in a PostgreSQL schema: one transaction per save, COPY BINARY from Arrow, a catalogue of logical schemas.

A table keeps its identity when it is replaced, so views, grants and indexes survive. Rows come back in the order in
which they were saved: the table's own when it was written in one go, else that of a column of numbers that the server
fills.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from psycopg import sql
from pydantic import ConfigDict, Field, SecretStr

from framework import registry
from framework.errors import DatasetNameError
from framework.folder import Saved, describe
from framework.interfaces import Description, Mode
from framework.redact import register_secret
from framework.schema import FrameSchema, natural, only_rows, plain
from framework.store import Store, StoreOptions

from .changes import add_rows, keys_of, replace_rows
from .connect import to_read, to_write
from .rows import CATALOG, NATIVE, ORDINAL, held_column, is_text, received
from .sessions import Sessions, errors_of
from .table import Table

if TYPE_CHECKING:
    from psycopg import Connection

PROVIDES = {
    "kind": "store",
    "name": "postgres",
    "object": "PostgresStore",
    "roles": ["source", "saver", "backup"],
    "extra": "postgres",
    "summary": "Tables in DB_SCHEMA of the server DB_SERVER, or of an embedded one",
}

BY_NO_INDEX = "SELECT " + ", ".join(
    f"set_config('{way}', 'off', true)" for way in ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
)
LONGEST_NAME = 1000


class PostgresOptions(StoreOptions):
    """Which server and schema.

    Attributes
    ----------
    url : str, optional
        A libpq address; the settings say it unless given.
    schema : str, optional
        The server's schema; DB_SCHEMA unless given.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    url: SecretStr | None = None
    namespace: str | None = Field(default=None, alias="schema")


class PostgresStore(Store):
    """One table per dataset."""

    kind = "postgres"
    Options = PostgresOptions
    options: PostgresOptions

    def __init__(self, settings: Any, **given: Any) -> None:
        super().__init__(settings, **given)
        self.namespace = self.options.namespace or settings.DB_SCHEMA
        register_secret(self._given)
        self._writers = Sessions(lambda: to_write(self.address(), self.name))
        self._readers = Sessions(lambda: to_read(self.address(), self.name))

    # ------------------------------------------------------------------ the server

    @property
    def _given(self) -> str | None:
        """The address that an option or a setting gives; None means the embedded server."""
        secret = self.options.url or self.settings.database_url
        return None if secret is None else secret.get_secret_value()

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.kind, self._given or str(self.settings.own_folder), self.settings.DB_NAME, self.namespace)

    @cached_property
    def _embedded(self) -> Any:
        server = registry.find("server", "postgres_embedded").load()
        return server(self.settings.own_folder / "postgres", self.logger, database=self.settings.DB_NAME)

    def address(self) -> str:
        """The server's libpq address, with its password; an embedded server is started when it does not run."""
        return self._given or str(self._embedded.url())

    def close(self) -> None:
        """Close the idle connections; the next use opens others."""
        self._writers.close()
        self._readers.close()

    @property
    def dormant(self) -> bool:
        return self._given is None and not self._embedded.running()

    def _probe(self) -> None:
        if self.dormant:
            self._embedded.binary("postgres")  # it is started when it is used; a probe starts nothing
            return
        to_write(self.address(), self.name).close()  # not an idle one, whose server may have stopped answering

    # ------------------------------------------------------------------ names

    def canonical(self, name: str) -> str:
        if isinstance(name, str) and name.strip() and name != CATALOG and len(name) <= LONGEST_NAME and is_text(name):
            return name
        raise DatasetNameError(
            f"{str(name)[:80]!r} is not a dataset name in PostgreSQL.",
            cure=f"Use text without NUL, of at most {LONGEST_NAME} characters, other than {CATALOG!r}.",
        )

    def _table(self, connection: Connection[Any], name: str) -> Table:
        given = self.options.lock_timeout
        patience = self.settings.LOCK_TIMEOUT if given is None else given
        return Table(connection, self.namespace, name, patience=patience, logger=self.logger)

    def exists(self, name: str) -> bool:
        with self._writers.use() as connection, errors_of(f"{self.name}:{name}"):
            return self._table(connection, name).kind() is not None

    def list_sources(self) -> list[str]:
        with self._writers.use() as connection, errors_of(self.name):
            place = self._table(connection, CATALOG)
            rows = connection.execute(
                "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relname <> %s",
                [self.namespace, CATALOG],
            ).fetchall()
            known = place.run("SELECT relation, dataset FROM {}", place.catalog) if place.has_catalog() else ()
            names = dict(known)
        return sorted(names.get(relation, relation) for (relation,) in rows)

    # ------------------------------------------------------------------ reading

    def _read(self, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        with self._readers.use() as reader, reader.cursor() as rows:
            rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            answer = self._read_by(rows, name, columns)
            reader.rollback()  # it goes back to the others without a lock
        return answer

    def _read_by(self, rows: Any, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
        with self._snapshot(name, rows.execute) as (place, there):
            record = place.record(there)
            if record is None:
                return self._read_natural(rows, place, {c: k for c, k in there.items() if c != ORDINAL}, columns)
            schema = record.schema if columns is None else record.schema.select(columns, name)
            if not record.schema.fields:
                return only_rows(record.schema.range_rows), schema
            return received(self._fetch(rows, place, there, [held_column(n) for n in schema.names]), schema), schema

    def _read_natural(
        self, rows: Any, place: Table, there: dict[str, str], columns: Sequence[Any] | None
    ) -> tuple[pa.Table, FrameSchema]:
        """A table that others made: the dtypes that lose nothing."""
        wanted = list(there) if columns is None else [column for column in there if column in columns]
        place.check_times({column: there[column] for column in wanted})
        table = self._fetch(rows, place, place.columns() or there, wanted)
        schema = natural(table, f"{self.name}:{place.name}")
        schema = schema if columns is None else schema.select(columns, place.name)
        return table.select(schema.names), schema

    @contextmanager
    def _snapshot(
        self, name: str, execute: Callable[[str], Any] | None = None
    ) -> Iterator[tuple[Table, dict[str, str]]]:
        """A transaction that sees one moment, and the table's columns then.

        The table is locked by `execute`, that is by the connection that reads its rows. Were it both, a TRUNCATE that
        waits for the first would keep the second waiting, and so itself.
        """
        with self._writers.use() as connection, errors_of(f"{self.name}:{name}", gone=lambda: self.unknown(name)):
            place = self._table(connection, name)
            kind = place.kind()
            if kind is None:
                raise self.unknown(name)
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                if kind in ("r", "p", "v"):  # before the snapshot is taken: after a TRUNCATE it would find nothing
                    place.lock("ACCESS SHARE", execute)
                there = place.columns()
                if there is None:
                    raise self.unknown(name)
                yield place, there

    def _fetch(self, rows: Any, place: Table, there: dict[str, str], wanted: list[str]) -> pa.Table:
        """The rows in their order, through Arrow, as the connection's transaction sees them."""
        columns = sql.SQL(", ").join(
            sql.SQL("{}" if there[column] in NATIVE else "{0}::text AS {0}").format(sql.Identifier(column))
            for column in wanted
        )
        query = sql.SQL("SELECT {} FROM {}").format(columns if wanted else sql.SQL("count(*)"), place.target)
        if ORDINAL in there and wanted:
            query += sql.SQL(" ORDER BY {}").format(sql.Identifier(ORDINAL))
        (moment,) = place.run("SELECT pg_export_snapshot()").fetchone()
        rows.execute(f"SET TRANSACTION SNAPSHOT '{moment}'")
        if ORDINAL not in there:  # an index would give its own order
            rows.execute(BY_NO_INDEX)
            rows.fetchall()
        rows.execute(query.as_string(place.connection))
        table = rows.fetch_arrow_table()
        return table.rename_columns(wanted) if wanted else only_rows(table.column(0)[0].as_py())

    def describe(self, name: str) -> Description:
        name = self.canonical(name)
        with self._snapshot(name) as (place, there):
            record, rows = place.record(there), place.rows()
            size = place.number("SELECT pg_total_relation_size({})", place.regclass)
        if record is None:
            columns = {column: kind for column, kind in there.items() if column != ORDINAL}
            return Description(name, self.name, rows, size, columns, "RangeIndex")
        if not record.schema.fields:
            rows = record.schema.range_rows
        return describe(self.name, name, record.schema, Saved(rows, record.saved_at, record.version), size)

    # ------------------------------------------------------------------ writing

    @contextmanager
    def _hold(self, name: str, timeout: float) -> Iterator[None]:
        """The server's own lock, so that it holds across hosts; it is gone when the connection is."""
        key = int.from_bytes(hashlib.sha256(f"{self.namespace}\0{name}".encode()).digest()[:8], signed=True)
        with self._writers.use() as connection, errors_of(f"{self.name}:{name}"):
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {max(int(timeout * 1000), 1)}")
                connection.execute(f"SELECT pg_advisory_lock({key})")
            holding: dict[str, Connection[Any]] = self._holding.__dict__.setdefault("connections", {})
            holding[name] = connection
            try:
                yield
            finally:
                del holding[name]
                if not connection.closed:
                    connection.execute(f"SELECT pg_advisory_unlock({key})")

    def _write(
        self, name: str, table: pa.Table, schema: FrameSchema, *, mode: Mode, keys: Sequence[Any] | None
    ) -> None:
        connection: Connection[Any] = self._holding.connections[name]
        table, place = plain(table, schema), self._table(connection, name)
        stored = keys_of(table, schema, keys, name) if mode == "upsert" else None
        with errors_of(f"{self.name}:{name}"), connection.transaction():
            place.make_catalog()
            there = place.columns()
            if there is None or mode == "replace":
                replace_rows(place, there, table, schema)
            else:
                add_rows(place, there, table, schema, stored)

    def _delete(self, name: str) -> None:
        connection: Connection[Any] = self._holding.connections[name]
        with errors_of(f"{self.name}:{name}"), connection.transaction():
            self._table(connection, name).drop()
