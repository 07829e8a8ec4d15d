"""One table as one connection sees it: its columns, its record in the catalogue, its locks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg import sql

from framework.errors import FidelityError, FormatError
from framework.schema import FrameSchema

from .rows import CATALOG, ORDINAL, held_column, held_name, may_hold

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True, slots=True)
class Record:
    """What the catalogue says of a dataset."""

    schema: FrameSchema
    saved_at: datetime
    version: int


class Table:
    """A dataset's table.

    Parameters
    ----------
    connection : psycopg.Connection
    namespace : str
        The server's schema.
    name : str
        The dataset.
    patience : float
        Seconds to wait for locks of others.
    """

    def __init__(
        self, connection: Connection[Any], namespace: str, name: str, *, patience: float, logger: logging.Logger
    ) -> None:
        self.connection = connection
        self.namespace = namespace
        self.name = name
        self.patience = patience
        self.logger = logger
        self.target = sql.Identifier(namespace, held_name(name))
        self.catalog = sql.Identifier(namespace, CATALOG)

    @property
    def regclass(self) -> sql.Composable:
        """The table as a `regclass` literal."""
        return sql.SQL("{}::regclass").format(sql.Literal(self.target.as_string(self.connection)))

    def run(self, query: str, *parts: sql.Composable, **named: sql.Composable) -> Any:
        """Execute a query whose `{}` are these parts; the cursor."""
        return self.connection.execute(sql.SQL(query).format(*parts, **named))

    def number(self, query: str, *parts: sql.Composable) -> int:
        """The one number that a query answers."""
        row = self.run(query, *parts).fetchone()
        return int(row[0]) if row else 0

    # ------------------------------------------------------------------ looking

    def columns(self, relation: str | None = None) -> dict[str, str] | None:
        """Column to type, in the table's own order; None when there is no such table."""
        rows = self.connection.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = relnamespace AND nspname = %s"
            " LEFT JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped"
            " WHERE relname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY attnum",
            [self.namespace, relation or held_name(self.name)],
        ).fetchall()
        return {column: kind for column, kind in rows if column is not None} if rows else None

    def kind(self) -> str | None:
        """The server's word for what it is: r a table, v a view, ...; None when there is none."""
        row = self.connection.execute(
            "SELECT relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = %s AND relname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f')",
            [self.namespace, held_name(self.name)],
        ).fetchone()
        return row[0] if row else None

    def has_catalog(self) -> bool:
        return self.columns(CATALOG) is not None

    def record(self, columns: dict[str, str]) -> Record | None:
        """What the catalogue says; None for a table that others made or gave other columns."""
        if not self.has_catalog():
            return None
        row = self.run(
            "SELECT schema, saved_at, version FROM {} WHERE dataset = {}", self.catalog, sql.Literal(self.name)
        ).fetchone()
        if row is None:
            return None
        try:
            schema = FrameSchema.loads(row[0])
        except FormatError:
            self.logger.warning("the record of %s is damaged; its dtypes are found anew", self.name)
            return None
        held = {held_column(field.name): field for field in schema.fields}
        if set(held) != set(columns) - {ORDINAL} or not all(may_hold(columns[name], held[name]) for name in held):
            self.logger.warning("%s has other columns than were saved; its dtypes are found anew", self.name)
            return None
        return Record(schema, row[1].astimezone(UTC), row[2])

    def check_times(self, columns: dict[str, str]) -> None:
        """FidelityError for a time that is infinite or a date beyond year 9999, which no frame holds."""
        tests = {
            "timestamp without time zone": "NOT isfinite({0})",
            "timestamp with time zone": "NOT isfinite({0})",
            "date": "{0} NOT BETWEEN '0001-01-01' AND '9999-12-31'",
        }
        for column, kind in columns.items():
            if kind in tests:
                test = sql.SQL(tests[kind]).format(sql.Identifier(column))
                if self.run("SELECT 1 FROM {} WHERE {} LIMIT 1", self.target, test).fetchone():
                    raise FidelityError(
                        f"Column {column!r} of {self.name!r} holds a {kind} that no frame holds, such as infinity.",
                        cure="Leave the column out with columns=[...], or change the value at the server.",
                        resource=self.name,
                    )

    def rows(self) -> int:
        return self.number("SELECT count(*) FROM {}", self.target)

    def nulls(self, column: str) -> int:
        """How many cells of a column, by its stored name, are null."""
        held = sql.Identifier(held_column(column))
        return self.number("SELECT count(*) - count({}) FROM {}", held, self.target)

    # ------------------------------------------------------------------ locks and the catalogue

    @property
    def milliseconds(self) -> int:
        """The patience as the server takes it, in which 0 would be for ever."""
        return max(int(self.patience * 1000), 1)

    def wait_at_most(self) -> None:
        """Bound the wait for locks in this transaction."""
        self.connection.execute(f"SET LOCAL lock_timeout = {self.milliseconds}")

    def lock(self, how: str, execute: Callable[[str], Any] | None = None) -> None:
        """Lock the table in the server's mode `how`, for this transaction or that of another connection's `execute`."""
        run: Callable[[str], Any] = execute or self.connection.execute
        run(f"SET LOCAL lock_timeout = {self.milliseconds}")
        run(f"LOCK TABLE {self.target.as_string(self.connection)} IN {how} MODE")

    def make_catalog(self) -> None:
        """Make the server's schema and the catalogue where they are missing."""
        if self.has_catalog():
            return
        self.connection.execute("SELECT pg_advisory_xact_lock(7235419)")  # IF NOT EXISTS is not safe side by side
        self.run("CREATE SCHEMA IF NOT EXISTS {}", sql.Identifier(self.namespace))
        self.run(
            "CREATE TABLE IF NOT EXISTS {} (dataset text PRIMARY KEY, relation text NOT NULL, schema text NOT NULL,"
            " saved_at timestamptz NOT NULL, version bigint NOT NULL)",
            self.catalog,
        )

    def note(self, schema: FrameSchema) -> None:
        """Put the schema into the catalogue; the version goes up by one."""
        texts = (sql.Literal(text) for text in (self.name, held_name(self.name), schema.dumps()))
        self.run(
            "INSERT INTO {} AS c VALUES ({}, {}, {}, now(), 1) ON CONFLICT (dataset) DO UPDATE SET"
            " schema = excluded.schema, saved_at = excluded.saved_at, version = c.version + 1",
            self.catalog,
            *texts,
        )

    def drop(self) -> None:
        """Remove the table and its record."""
        self.wait_at_most()
        self.run("DROP TABLE {}", self.target)
        if self.has_catalog():
            self.run("DELETE FROM {} WHERE dataset = {}", self.catalog, sql.Literal(self.name))
