"""Tables in a PostgreSQL schema: one transaction per save, COPY BINARY from Arrow, a catalogue of logical schemas.

A table keeps its identity when it is replaced, so views, grants and indexes survive. Rows come back in the order in
which they were saved: the table's own when it was written in one go, else that of a column of numbers that the server
fills.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
from psycopg import sql
from pydantic import ConfigDict, Field, SecretStr

from framework import registry
from framework.errors import DatasetNameError, UnavailableError
from framework.folder import Saved, describe
from framework.interfaces import Description, Mode
from framework.schema import FrameSchema, natural, only_rows, plain
from framework.store import Store, StoreOptions

from .changes import add_rows, keys_of, replace_rows
from .rows import CATALOG, NATIVE, ORDINAL, held_column, received
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

CONNECT_SECONDS = 10
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
        self._writers = Sessions(self._connect)
        self._readers = Sessions(self._connect_reader)

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
        given = self._given
        if given is None:
            return str(self._embedded.url())
        return "postgresql://" + given.split("://", 1)[1] if given.startswith("postgresql+") else given

    def _connect(self) -> Connection[Any]:
        try:
            connection = psycopg.connect(
                self.address(), connect_timeout=CONNECT_SECONDS, application_name="millpond", autocommit=True
            )
        except psycopg.ProgrammingError:
            raise UnavailableError(
                f"The address of the {self.name} store cannot be read.", cure="It is postgresql://user@host:port/name."
            ) from None  # the cause would show a part of it, perhaps of the password
        except psycopg.OperationalError as error:
            raise self._unreachable(error) from None
        connection.execute("SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0")
        return connection

    def _connect_reader(self) -> Any:
        try:
            connection = adbc.connect(self.address())
        except adbc_driver_manager.Error as error:
            raise self._unreachable(error) from None
        with connection.cursor() as cursor:
            for setting in ("synchronize_seqscans = off", "max_parallel_workers_per_gather = 0", "timezone = 'UTC'"):
                cursor.execute(f"SET {setting}")
        connection.commit()
        return connection

    def _unreachable(self, error: Exception) -> UnavailableError:
        told = " ".join(str(error).split())
        return UnavailableError(
            f"The server of the {self.name} store cannot be used: {told}.",
            cure="Check DB_SERVER, DB_PORT, DB_USER and DB_PASSWORD, and that it runs.",
            resource=self.name,
        )

    @property
    def dormant(self) -> bool:
        return self._given is None and not self._embedded.running()

    def _probe(self) -> None:
        if self.dormant:
            self._embedded.binary("postgres")  # it is started when it is used; a probe starts nothing
            return
        with self._writers.use() as connection:
            connection.execute("SELECT 1")

    # ------------------------------------------------------------------ names

    def canonical(self, name: str) -> str:
        if not isinstance(name, str) or not name.strip() or "\0" in name or name == CATALOG or len(name) > LONGEST_NAME:
            raise DatasetNameError(
                f"{str(name)[:80]!r} is not a dataset name in PostgreSQL.",
                cure=f"Use text without NUL, of at most {LONGEST_NAME} characters, other than {CATALOG!r}.",
            )
        return name

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
        with self._snapshot(name) as (place, there):
            record = place.record(there)
            if record is None:
                table = self._fetch(place, there, [column for column in there if column != ORDINAL])
                schema = natural(table, f"{self.name}:{name}")
                schema = schema if columns is None else schema.select(columns, name)
                return table.select(schema.names), schema
            schema = record.schema if columns is None else record.schema.select(columns, name)
            if not record.schema.fields:
                return only_rows(record.schema.range_rows), schema
            return received(self._fetch(place, there, [held_column(n) for n in schema.names]), schema), schema

    @contextmanager
    def _snapshot(self, name: str) -> Iterator[tuple[Table, dict[str, str]]]:
        """A transaction that sees one moment, and the table's columns then."""
        with self._writers.use() as connection, errors_of(f"{self.name}:{name}"):
            place = self._table(connection, name)
            kind = place.kind()
            if kind is None:
                raise self.unknown(name)
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                if kind in ("r", "p", "v"):  # before the snapshot is taken: after a TRUNCATE it would find nothing
                    place.lock("ACCESS SHARE")
                yield place, place.columns() or {}

    def _fetch(self, place: Table, there: dict[str, str], wanted: list[str]) -> pa.Table:
        """The rows in their order, through Arrow, as the connection's transaction sees them."""
        if not wanted:
            return only_rows(place.rows())
        columns = sql.SQL(", ").join(
            sql.SQL("{}" if there[column] in NATIVE else "{0}::text AS {0}").format(sql.Identifier(column))
            for column in wanted
        )
        query = sql.SQL("SELECT {} FROM {}").format(columns, place.target)
        if ORDINAL in there:
            query += sql.SQL(" ORDER BY {}").format(sql.Identifier(ORDINAL))
        (moment,) = place.run("SELECT pg_export_snapshot()").fetchone()
        with self._readers.use() as reader, reader.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{moment}'")
            cursor.execute(query.as_string(place.connection))
            table = cursor.fetch_arrow_table()
            reader.rollback()
        return table.rename_columns(wanted)

    def describe(self, name: str) -> Description:
        name = self.canonical(name)
        with self._snapshot(name) as (place, there):
            record, rows = place.record(there), place.rows()
            size = place.number("SELECT pg_total_relation_size({})", place.regclass)
        if record is None:
            columns = {column: kind for column, kind in there.items() if column != ORDINAL}
            return Description(self.name, name, rows, size, columns, "RangeIndex")
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
