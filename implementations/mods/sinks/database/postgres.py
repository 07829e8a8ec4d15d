"""Rows by COPY BINARY: straight into the table where its types are the rows', else by a table to be cast from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from framework.errors import IntegrityError, SchemaError
from framework.registry import missing_extra
from framework.schema import Field

from .kinds import family, fitted
from .rows import check_whole
from .table import Target

NATIVE = {  # what COPY takes as it is, by the server's name
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
    "character varying": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "interval": pa.duration("us"),
}
ROUNDED = ("numeric", "timestamp", "time ", "interval")  # to their precision, without a word
UNBOUND = {"character": "bpchar", "bit": "bit varying"}  # those names alone would stand for a length of 1
TYPES = sa.text(
    "SELECT attname, format_type(atttypid, NULL), format_type(atttypid, atttypmod), atthasdef OR attidentity <> ''"
    " FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped"
)
ORDINAL = "millpond_row"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table, and what is sent for it.

    Attributes
    ----------
    base, full : str
        The server's type without its precision, and with it.
    filled : bool
        The server has a value for a row that brings none.
    """

    field: Field
    into: str
    base: str
    full: str
    filled: bool

    @property
    def sent(self) -> pa.DataType:
        return NATIVE.get(self.base, pa.string())

    @property
    def limited(self) -> bool:
        """Whether the server would round."""
        return self.full != self.base and self.base.startswith(ROUNDED)

    @property
    def direct(self) -> bool:
        return self.base in NATIVE and not self.limited


def write(target: Target, fields: list[Field], pieces: Iterable[Any], *, keys: list[str]) -> int:
    """Add the rows, in the place of those with the same keys if there are any; how many came."""
    from psycopg import sql

    columns = _columns(target, fields, sql)
    place = _Place(target, sql, columns)
    if not keys and all(column.direct for column in columns):
        come = place.copy(place.table, pieces)
    else:
        come = place.stage(pieces)
        place.check_rounding()
        taken = place.merge(keys) if keys else place.insert()
        place.check(taken, come)
    place.advance()
    return come


def _columns(target: Target, fields: list[Field], sql: Any) -> list[Column]:
    name = _named(target, sql).as_string(target.connection.connection.driver_connection)
    rows = target.connection.execute(TYPES, {"table": name}).all()
    types: Mapping[str, Any] = {row[0]: row[1:] for row in rows}
    kinds = target.columns
    return [Column(each, family(kinds[each.name]), *types[each.name]) for each in fields]


def _named(target: Target, sql: Any) -> Any:
    return sql.Identifier(*(each for each in (target.schema, target.name) if each is not None))


class _Place:
    """The table of a transaction, in the driver's own words."""

    def __init__(self, target: Target, sql: Any, columns: list[Column]) -> None:
        self.target, self.sql, self.columns = target, sql, columns
        self.driver: Any = target.connection.connection.driver_connection
        self.table = _named(target, sql)
        self.staged = sql.Identifier("pg_temp", "millpond_staged")
        self.names = self._listed([column.field.name for column in columns])

    def _listed(self, names: list[str]) -> Any:
        return self.sql.SQL(", ").join(map(self.sql.Identifier, names))

    def run(self, query: str, *parts: Any, **named: Any) -> Any:
        """Execute a query whose `{}` are these parts; the cursor."""
        return self.driver.execute(self.sql.SQL(query).format(*parts, **named))

    # ------------------------------------------------------------------ sending

    def copy(self, table: Any, pieces: Iterable[Any]) -> int:
        """COPY the rows; IntegrityError unless the server reports just as many."""
        try:
            import pgpq
        except ModuleNotFoundError as error:
            raise missing_extra("mod 'database_writer'", "postgres", error.name) from error
        encoder = pgpq.ArrowToPostgresBinaryEncoder(pa.schema([(c.field.name, c.sent) for c in self.columns]))
        command = self.sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, self.names)
        sent = 0
        with self.driver.cursor() as cursor:
            with cursor.copy(command) as stream:
                stream.write(encoder.write_header())
                for piece in pieces:
                    for batch in self._sent(piece).to_batches():
                        stream.write(encoder.write_batch(batch))
                    sent += piece.num_rows
                stream.write(encoder.finish())
            self.check(cursor.rowcount, sent)
        return sent

    def check(self, taken: int, sent: int) -> None:
        """IntegrityError when the server dropped rows, as a trigger may make it."""
        if taken != sent:
            raise IntegrityError(
                f"The server took {taken} rows of {sent} for {self.target.shown}; nothing was changed.",
                cure="See which trigger or rule of the table drops rows.",
                resource=self.target.shown,
            )

    def _sent(self, piece: pa.Table) -> pa.Table:
        made = []
        for column in self.columns:
            name, shown = column.field.name, self.target.shown
            values = fitted(piece.column(name), column.field, column.into, "postgresql", shown)
            try:
                made.append(self._checked(column, values, values.cast(column.sent)))
            except pa.ArrowInvalid as error:
                raise SchemaError(
                    f"Column {name!r} of {shown} is {column.full}, which cannot hold these values: {error}.",
                    cure="Widen the column, or change the values.",
                    resource=shown,
                ) from error
        return pa.table(made, names=[column.field.name for column in self.columns])

    def _checked(self, column: Column, values: Any, sent: Any) -> Any:
        """What is sent; SchemaError where it is of fewer digits than what came, of which Arrow says no word."""
        if column.base != "real" or values.null_count == len(values):
            return sent
        wrong = values.filter(pc.not_equal(sent.cast(pa.float64()), values.cast(pa.float64())))
        if len(wrong):
            raise SchemaError(
                f"Column {column.field.name!r} of {self.target.shown} is real, which would round {wrong[0].as_py()!r}.",
                cure="Make the column double precision in the database, or round the values to what a real holds.",
                resource=self.target.shown,
            )
        return sent

    def stage(self, pieces: Iterable[Any]) -> int:
        """Put the rows into a table of this transaction's own, numbered in their order."""
        words = {str(kind): name for name, kind in NATIVE.items() if name != "character varying"}
        declared = self.sql.SQL(", ").join(
            self.sql.SQL("{} {}").format(self.sql.Identifier(each.field.name), self.sql.SQL(words[str(each.sent)]))
            for each in self.columns
        )
        number = self.sql.Identifier(ORDINAL)
        self.run("CREATE TEMP TABLE {} ({}, {} bigserial) ON COMMIT DROP", self.staged, declared, number)
        return self.copy(self.staged, pieces)

    # ------------------------------------------------------------------ from there into the table

    def _cast(self, column: Column) -> Any:
        """The staged value in the column's type without its length, so that a text that is too long is an error."""
        value = self.sql.Identifier("s", column.field.name)
        kind = UNBOUND.get(column.base, column.base)
        return value if column.direct else self.sql.SQL("{}::{}").format(value, self.sql.SQL(kind))

    def check_rounding(self) -> None:
        """SchemaError for a value that has more digits than its column."""
        for column in self.columns:
            if column.limited:
                value = self._cast(column)
                query = "SELECT {0}::text FROM {1} s WHERE {0}::{2} IS DISTINCT FROM {0} LIMIT 1"
                found = self.run(query, value, self.staged, self.sql.SQL(column.full)).fetchone()
                if found:
                    shown = self.target.shown
                    raise SchemaError(
                        f"Column {column.field.name!r} of {shown} is {column.full}, which would round {found[0]}.",
                        cure="Round the values, or widen the column.",
                        resource=shown,
                    )

    def insert(self, *, after: Any = None) -> int:
        """Insert what is staged, in its order; how many rows the server took."""
        query = "INSERT INTO {} ({}) SELECT {} FROM {} s ORDER BY s.{} {}"
        values = self.sql.SQL(", ").join(map(self._cast, self.columns))
        number = self.sql.Identifier(ORDINAL)
        done = self.run(query, self.table, self.names, values, self.staged, number, after or self.sql.SQL(""))
        return int(done.rowcount)

    def merge(self, keys: list[str]) -> int:
        """Put what is staged in the place of the rows with the same keys, and behind the others; how many it took."""
        self.run("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", self.table)
        sql, by_name = self.sql, {each.field.name: each for each in self.columns}
        if self.target.is_unique(keys):
            # where the rows are only keys, one is set to what it is, so that each is counted
            changed = [name for name in by_name if name not in keys] or keys[:1]
            update = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in changed)
            return self.insert(after=sql.SQL("ON CONFLICT ({}) DO UPDATE SET {}").format(self._listed(keys), update))
        check_whole(self.target, [each.field for each in self.columns])
        same = sql.SQL(" AND ").join(
            sql.SQL("t.{} = {}").format(sql.Identifier(key), self._cast(by_name[key])) for key in keys
        )
        self.run("DELETE FROM {} t USING {} s WHERE {}", self.table, self.staged, same)
        return self.insert()

    def advance(self) -> None:
        """Let the sequences behind columns that were given values go on after them."""
        for column in self.columns:
            if not column.filled or column.into != "integer":
                continue
            name = column.field.name
            whole = self.sql.Literal(self.table.as_string(self.driver))
            asked = self.run("SELECT pg_get_serial_sequence({}, {})", whole, self.sql.Literal(name))
            (sequence,) = cast(Any, asked.fetchone())
            if sequence is not None:
                self.run(
                    "SELECT setval({0}, m) FROM (SELECT max({1})::bigint FROM {2}) x (m)"
                    " WHERE m > (SELECT last_value FROM {3})",
                    self.sql.Literal(sequence),
                    self.sql.Identifier(name),
                    self.table,
                    self.sql.SQL(sequence),
                )
