"""A table as one transaction sees it: made, widened, and what is on record of its loads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from framework.schema import Field

from .kinds import declared

LOADS = "millpond_loads"
ADD = {"mssql": "ADD", "oracle": "ADD"}  # what all others call ADD COLUMN


class AddColumn(sa.schema.ExecutableDDLElement):
    """ALTER TABLE that adds a nullable column."""

    inherit_cache = False

    def __init__(self, table: Any, column: Any) -> None:
        self.table, self.column = table, column


@compiles(AddColumn)
def _add_column(element: AddColumn, compiler: Any, **_: Any) -> str:
    add = ADD.get(compiler.dialect.name, "ADD COLUMN")
    name = compiler.preparer.quote(element.column.name)
    kind = compiler.type_compiler.process(element.column.type)
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} {add} {name} {kind}"


@dataclass(slots=True)
class Target:
    """The table that is written to.

    Attributes
    ----------
    schema : str or None
        The database's own schema unless given.
    table : sqlalchemy.Table or None
        As it is in the database; None while there is none.
    """

    connection: sa.Connection
    name: str
    schema: str | None = None
    table: Any = None
    _loads: Any = field(default=None, repr=False)

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    @property
    def shown(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    @property
    def columns(self) -> dict[str, Any]:
        """Its columns' types, in order."""
        return {column.name: column.type for column in self.table.columns}

    # ------------------------------------------------------------------ what is there

    def lock(self, patience: float) -> None:
        """Keep other loads into this table waiting until the transaction ends."""
        if self.dialect == "postgresql":
            milliseconds = max(int(patience * 1000), 1)
            self.connection.execute(sa.select(sa.func.set_config("lock_timeout", f"{milliseconds}ms", True)))
            for each in (LOADS, self.name):
                key = sa.func.hashtextextended(f"millpond {self.schema} {each}", 0)
                if each == self.name or not sa.inspect(self.connection).has_table(LOADS, schema=self.schema):
                    self.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    def look(self) -> bool:
        """Look at it as it is now; whether there is one."""
        self.table = None
        if sa.inspect(self.connection).has_table(self.name, schema=self.schema):
            self.table = sa.Table(
                self.name, sa.MetaData(), schema=self.schema, autoload_with=self.connection, resolve_fks=False
            )
        return self.table is not None

    def rows(self) -> int:
        """How many rows there are; 0 while there is no table."""
        if self.table is None:
            return 0
        return int(self.connection.execute(sa.select(sa.func.count()).select_from(self.table)).scalar_one())

    def is_unique(self, keys: list[str]) -> bool:
        """Whether the database itself keeps rows apart by these columns."""
        asked, wanted = sa.inspect(self.connection), set(keys)
        there: list[Any] = [asked.get_pk_constraint(self.name, schema=self.schema)["constrained_columns"]]
        there += [each["column_names"] for each in asked.get_unique_constraints(self.name, schema=self.schema)]
        there += [
            each["column_names"]
            for each in asked.get_indexes(self.name, schema=self.schema)
            if each["unique"] and not any("where" in name for name in each.get("dialect_options", {}))
        ]
        return any(set(columns) == wanted for columns in there)

    # ------------------------------------------------------------------ changing it

    def create(self, fields: list[Field], keys: list[str]) -> None:
        """Make it, with the keys as its primary key."""
        if self.schema is not None and self.schema not in sa.inspect(self.connection).get_schema_names():
            self.connection.execute(sa.schema.CreateSchema(self.schema))
        made = []
        for each in fields:
            key = each.name in keys
            kind = declared(each, self.dialect, key=key)
            made.append(sa.Column(each.name, kind, primary_key=key, autoincrement=False, nullable=not key))
        sa.Table(self.name, sa.MetaData(), *made, schema=self.schema).create(self.connection)
        self.look()

    def widen(self, fields: list[Field]) -> list[str]:
        """Add the columns that it lacks, nullable; their names."""
        lacking = [each for each in fields if each.name not in self.columns]
        for each in lacking:
            column = sa.Column(each.name, declared(each, self.dialect, key=False))
            self.connection.execute(AddColumn(self.table, column))
        if lacking:
            self.look()
        return [each.name for each in lacking]

    def empty(self) -> None:
        """Delete its rows; it stays what it is, and who reads meanwhile sees the rows as they were."""
        self.connection.execute(sa.delete(self.table))

    # ------------------------------------------------------------------ loads on record

    @property
    def loads(self) -> Any:
        """The table of loads, beside it; made when it is not there."""
        if self._loads is None:
            self._loads = sa.Table(
                LOADS,
                sa.MetaData(),
                sa.Column("table_name", sa.String(255), primary_key=True),
                sa.Column("load_id", sa.String(255), primary_key=True),
                sa.Column("loaded_rows", sa.BigInteger, nullable=False),
                sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
                schema=self.schema,
            )
            self._loads.create(self.connection, checkfirst=True)
        return self._loads

    def loaded(self, load_id: str) -> int | None:
        """How many rows that load has added; None when it has not been made, or its rows were replaced."""
        if not load_id or self.table is None:
            return None
        asked = sa.select(self.loads.c.loaded_rows).where(self._mine(load_id))
        return self.connection.execute(asked).scalar_one_or_none()

    def record(self, load_id: str, rows: int) -> None:
        """Put a load on record."""
        if load_id:
            now = datetime.now(UTC)
            values = {"table_name": self.name, "load_id": load_id, "loaded_rows": rows, "loaded_at": now}
            self.connection.execute(sa.delete(self.loads).where(self._mine(load_id)))
            self.connection.execute(sa.insert(self.loads).values(values))

    def forget(self) -> None:
        """Take the loads off the record, for their rows are gone."""
        if self._loads is not None or sa.inspect(self.connection).has_table(LOADS, schema=self.schema):
            self.connection.execute(sa.delete(self.loads).where(self.loads.c.table_name == self.name))

    def _mine(self, load_id: str) -> Any:
        return (self.loads.c.table_name == self.name) & (self.loads.c.load_id == load_id)
