"""One table as one connection sees it: what it is, its columns, what there is to know of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from .names import CATALOG, ORDINAL, held_column, held_name

if TYPE_CHECKING:  # so that a store can be looked into without loading pandas
    from psycopg import Connection

    from framework.schema import Field, FrameSchema

LOOK = """
PREPARE millpond_look (text, text, text) AS
SELECT k.known, k.since, c.relkind::text, c.relispartition OR c.relkind = 'p', c.relhastriggers, a.attname,
  format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), NULL), format_type(a.atttypid, a.atttypmod),
  a.attgenerated <> '', a.attidentity <> '' OR a.atthasdef, a.attnotnull, a.atttypmod
FROM (SELECT count(DISTINCT attrelid) > 0, count(*) FROM pg_attribute
      WHERE attrelid = to_regclass($1) AND attname IN ('dataset', 'save_ids', 'made_ids', 'shape')) k (known, since)
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $2)
  ON c.relname = $3 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'd'
ORDER BY a.attnum"""  # made ready when a connection is opened
WORDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
ROUNDED = ("numeric", "interval", "timestamp", "time ")
TO_UNIT = {"s": (1, 10**6), "ms": (1, 10**3), "us": (1, 1), "ns": (10**3, 1)}  # from microseconds: times, over


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the server has it.

    Attributes
    ----------
    type : str
        The type without its length or precision, a domain's the one below it.
    full : str
        The type as it was declared.
    generated : bool
        The server makes its values, and nobody else may.
    filled : bool
        The server has a value for a row that brings none.
    required : bool
        It holds no null.
    limited : bool
        It has a precision to which values are rounded.
    """

    name: str
    type: str
    full: str
    generated: bool = False
    filled: bool = False
    required: bool = False
    limited: bool = False


@dataclass(frozen=True, slots=True)
class There:
    """A table that exists.

    Attributes
    ----------
    kind : str
        The server's word: r a table, p one in partitions, v a view, m a materialized one, f a foreign one.
    parted : bool
        It has partitions or is one.
    watched : bool
        Triggers or foreign keys of others hang on it.
    """

    kind: str
    parted: bool
    watched: bool
    columns: dict[str, Column]

    @property
    def ordered(self) -> bool:
        """Whether a column has the order of its rows."""
        return ORDINAL in self.columns

    @property
    def own(self) -> dict[str, Column]:
        """The columns but the one that has the order."""
        return {name: column for name, column in self.columns.items() if name != ORDINAL}

    @property
    def shape(self) -> dict[str, str]:
        """Their types, by which it shows whether others changed them."""
        return {name: column.full for name, column in self.own.items()}

    @property
    def is_table(self) -> bool:
        return self.kind in ("r", "p")

    @property
    def word(self) -> str:
        return WORDS.get(self.kind, "a table")


class Table:
    """A dataset's table.

    Parameters
    ----------
    connection : psycopg.Connection
    namespace : str
        The server's schema.
    name : str
        The dataset.
    """

    def __init__(self, connection: Connection[Any], namespace: str, name: str) -> None:
        self.connection = connection
        self.namespace = namespace
        self.name = name
        self.target = sql.Identifier(namespace, held_name(name))
        self.catalog = sql.Identifier(namespace, CATALOG)
        self.has_catalog = False
        self.is_new_catalog = False

    def run(self, query: str | sql.Composed, *parts: Any, **named: Any) -> Any:
        """Execute a query whose `{}` are these parts; the cursor."""
        whole = sql.SQL(query).format(*parts, **named) if isinstance(query, str) else query
        return self.connection.execute(whole)

    def row(self, query: str, *parts: Any) -> tuple[Any, ...]:
        """The one row that a query answers."""
        answer: tuple[Any, ...] = self.run(query, *parts).fetchone()
        return answer

    def begun(self) -> There | None:
        """Begin a transaction; what is there then."""
        return self.look(first="BEGIN; ")

    def look(self, *, first: str = "") -> There | None:
        """What is there now, `first` done before; None when there is no such table."""
        catalog = self.catalog.as_string(self.connection)
        given = map(sql.Literal, (catalog, self.namespace, held_name(self.name)))
        answer = self.run(first + "EXECUTE millpond_look ({}, {}, {})", *given)
        if first:
            answer.nextset()
        rows = answer.fetchall()
        known, since, kind, parted, watched = rows[0][:5]
        self.has_catalog, self.is_new_catalog = known, since == 4
        if kind is None:
            return None
        columns = {}
        for name, base, full, generated, filled, must, modifier in (row[5:] for row in rows if row[5] is not None):
            limited = modifier >= 0 and base.startswith(ROUNDED)
            columns[name] = Column(name, base, full, generated, filled, must, limited)
        return There(kind, parted, watched, columns)

    @property
    def text(self) -> sql.Literal:
        """The table's full name as the server casts it to a regclass."""
        return sql.Literal(self.target.as_string(self.connection))

    def rows(self) -> int:
        return int(self.row("SELECT count(*) FROM {}", self.target)[0])

    def lock(self, how: str) -> None:
        """Lock the table in the server's mode `how`, for this transaction."""
        self.run("LOCK TABLE {} IN {} MODE", self.target, sql.SQL(how))

    def sample(self, columns: Sequence[Column]) -> Any:
        """A row that shows of each column its type, and whether a cell of it is missing somewhere."""
        import pyarrow as pa

        from .rows import GIVES, INTEGERS

        whole = [column for column in columns if column.type in INTEGERS or column.type == "boolean"]
        unsure = [column.name for column in whole if not column.required]
        tests = sql.SQL(", ").join(sql.SQL("bool_or({} IS NULL)").format(sql.Identifier(name)) for name in unsure)
        found = self.row("SELECT {} FROM {}", tests, self.target) if unsure else ()
        full = {column.name for column in whole} - {name for name, lacks in zip(unsure, found, strict=True) if lacks}
        cells = [(column.name, GIVES.get(column.type, pa.string())) for column in columns]
        shown = [pa.array([0]).cast(kind) if name in full else pa.nulls(1, kind) for name, kind in cells]
        return pa.table(shown, names=[name for name, _ in cells])


class Before:
    """The old rows, as far as `joined` asks for them.

    Parameters
    ----------
    schema : FrameSchema
        Theirs.
    """

    def __init__(self, place: Table, there: There, schema: FrameSchema) -> None:
        self._place = place
        self._there = there
        self._fields: dict[str, Field] = {field.name: field for field in schema.fields}

    def nulls(self, name: str) -> int:
        held = sql.Identifier(held_column(name))
        return int(self._place.row("SELECT count(*) - count({}) FROM {}", held, self._place.target)[0])

    def span(self, name: str) -> tuple[int, int] | None:
        held, kind = held_column(name), self._there.columns[held_column(name)].type
        stamped = kind.startswith("timestamp")
        value = "(extract(epoch FROM {0}({1})) * 1000000)::bigint" if stamped else "{0}({1})"
        parts = [sql.SQL(value).format(sql.SQL(which), sql.Identifier(held)) for which in ("min", "max")]
        least, most = self._place.row("SELECT {}, {} FROM {}", *parts, self._place.target)
        if least is None:
            return None
        times, over = TO_UNIT[self._fields[name].arrow_type.unit] if stamped else (1, 1)
        return int(least) * times // over, int(most) * times // over
