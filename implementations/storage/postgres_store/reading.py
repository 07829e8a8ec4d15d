"""Reading a table: one snapshot, through Arrow, in the order in which the rows were saved."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
from psycopg import sql

from framework.files import storage_errors
from framework.folder import Saved, describe
from framework.interfaces import Description

from .catalog import Record, record_of
from .failures import DRIVERS, errors_of
from .names import ORDINAL, held_column
from .place import Place
from .table import Table, There

if TYPE_CHECKING:  # so that a store can be looked into without loading pandas
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection, Test

IN_PLACE = "SELECT set_config('enable_indexscan', 'off', true), set_config('enable_indexonlyscan', 'off', true)"
CLOCK = "time without time zone"
COUNT = sql.SQL("count(*)")
LOCKED, SHARED = ("r", "p", "v"), "ACCESS SHARE"  # the kinds that can be locked


STOPPED = "57014"  # the server's state for a statement that was canceled
MOST_IN_MEMORY = 16 * 2**20  # bytes of rows in pieces; more of them go to disk


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of the server for a selection.

    Attributes
    ----------
    schema : FrameSchema
        Of the rows that come.
    query : str
        Empty when the schema has no column, and says itself how many rows there are.
    kinds : dict
        The server's types of the columns that come; none when only their number does.
    in_place : bool
        Whether the rows' order is that in which they lie: an index would give its own, a bitmap does not.
    moment : str
        The snapshot.
    """

    schema: FrameSchema
    query: str = ""
    kinds: dict[str, str] = field(default_factory=dict)
    in_place: bool = False
    moment: str = ""


class Reading(Place):
    """What the tables hold."""

    def _read(self, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        import pyarrow as pa

        from framework.schema import counted, only_rows

        with self._opened(name, selection, _whole) as (schema, pieces):
            found = list(pieces)
        table = pa.concat_tables(found) if schema.fields else only_rows(sum(piece.num_rows for piece in found))
        return table, counted(schema, table.num_rows) if schema.index.get("stop") == 0 else schema

    @contextmanager
    def _scan(self, name: str, selection: Selection) -> Iterator[tuple[FrameSchema, Iterable[pa.Table]]]:
        """The rows, kept aside on disk: who takes them slowly keeps no save waiting, nor the server from tidying up."""
        with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY) as aside:
            with self._opened(name, selection, _bit_by_bit) as (schema, pieces):
                if schema.fields:
                    pieces = _kept_aside(pieces, schema, aside)
            yield schema, pieces

    @contextmanager
    def _opened(
        self, name: str, selection: Selection, fetch: Callable[[Any], Iterator[pa.Table]]
    ) -> Iterator[tuple[FrameSchema, Iterable[pa.Table]]]:
        """The rows of one snapshot. When not all are taken, their connection is closed and not given back."""
        what = f"{self.name}:{name}"
        with self._readers.use() as reader, reader.cursor() as rows:
            with errors_of(what, gone=lambda: self.unknown(name)):
                rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                with self._snapshot(name, rows.execute) as (place, there):
                    plan = self._plan(place, there, selection)
                    if plan.query:
                        rows.execute(f"SET TRANSACTION SNAPSHOT '{plan.moment}'")
                pieces = _sent(rows, plan, fetch, what)
            yield plan.schema, pieces
            with suppress(*DRIVERS):  # the rows are there, and a lost connection shows when it is lent again
                reader.rollback()  # it goes back to the others without a lock

    def _plan(self, place: Table, there: There, selection: Selection) -> Plan:
        found = record_of(place, there, self.logger)
        whole = None if found is None else found.schema
        if whole is None:
            whole = self._natural(place, there, selection)
        schema = selection.of(whole, place.name)
        if found is not None and found.schema is not None and not whole.fields:
            return Plan(schema)
        kinds = {name: there.columns[name].type for name in map(held_column, schema.names)}
        query = self._query(place, there, kinds, selection.pushdown(whole, place.name))
        (moment,) = place.row("SELECT pg_export_snapshot()")
        return Plan(schema, query.as_string(place.connection), kinds, not there.ordered, moment)

    def _query(self, place: Table, there: There, kinds: dict[str, str], tests: Sequence[Test]) -> sql.Composable:
        from .pushing import condition
        from .rows import fetched

        columns = sql.SQL(", ").join(fetched(name, kind) for name, kind in kinds.items()) if kinds else COUNT
        query = sql.SQL("SELECT {} FROM {}").format(columns, place.target)
        where = condition(tests, kinds, encoding=str(place.connection.info.parameter_status("server_encoding")))
        if where is not None:
            query += sql.SQL(" WHERE ") + where
        if there.ordered and kinds:
            query += sql.SQL(" ORDER BY {}").format(sql.Identifier(ORDINAL))
        return query

    def _natural(self, place: Table, there: There, selection: Selection) -> FrameSchema:
        """The dtypes that lose nothing, of a table that others made."""
        from framework.schema import counted, natural

        labels = selection.labels
        wanted = [column for column in there.own.values() if labels is None or column.name in labels]
        clocks = [column.name for column in wanted if column.type == CLOCK]
        if clocks:  # which the server has, and no clock of Python's
            tests = sql.SQL(", ").join(sql.SQL("bool_or({} = '24:00')").format(sql.Identifier(name)) for name in clocks)
            beyond = dict(zip(clocks, place.row("SELECT {} FROM {}", tests, place.target), strict=True))
            wanted = [replace(column, type="text") if beyond.get(column.name) else column for column in wanted]
        schema = natural(place.sample(wanted), f"{self.name}:{place.name}")
        uuids = {column.name for column in wanted if column.type == "uuid"}
        fields = (replace(told, kind="uuid") if told.name in uuids else told for told in schema.fields)
        return replace(counted(schema, 0), fields=tuple(fields))

    @contextmanager
    def _snapshot(self, name: str, execute: Callable[[str], Any] | None = None) -> Iterator[tuple[Table, There]]:
        """A transaction that sees one moment, and the table then.

        The table is locked by `execute`, that is by the connection that reads its rows. Were it both, a TRUNCATE that
        waits for the first would keep the second waiting, and so itself.
        """
        with self._writers.use() as connection, errors_of(f"{self.name}:{name}", gone=lambda: self.unknown(name)):
            place = self._table(connection, name)
            there = place.look()
            if there is None:
                raise self.unknown(name)
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                if there.kind in LOCKED:  # before the snapshot is taken: after a TRUNCATE it would find nothing
                    (execute or connection.execute)(f"LOCK TABLE {place.target.as_string(connection)} IN {SHARED} MODE")
                there = place.look()
                if there is None:
                    raise self.unknown(name)
                yield place, there

    def describe(self, name: str) -> Description:
        name = self.canonical(name)
        with self._snapshot(name) as (place, there):
            found, rows = record_of(place, there, self.logger), place.rows()
            size = place.row("SELECT pg_total_relation_size({}::regclass)", place.text)[0]
        if found is None or found.schema is None:
            columns = {column.name: column.type for column in there.own.values()}
            return Description(name, self.name, rows, size, columns, "RangeIndex")
        return _described(self.name, name, found, found.schema, rows, size)


def _described(store: str, name: str, found: Record, schema: FrameSchema, rows: int, size: int) -> Description:
    rows = rows if schema.fields else schema.range_rows
    return describe(store, name, schema, Saved(rows, found.saved_at, found.version), size)


# --------------------------------------------------------------------------- what is sent


def _sent(rows: Any, plan: Plan, fetch: Callable[[Any], Iterator[pa.Table]], what: str) -> Iterable[pa.Table]:
    """Send the query; the rows as they come, in the schema's types."""
    from framework.schema import only_rows

    if not plan.query:
        return [only_rows(plan.schema.range_rows)]
    if plan.in_place:
        rows.execute(IN_PLACE)
        rows.fetchall()
    rows.execute(plan.query)
    if not plan.kinds:
        return [only_rows(rows.fetchone()[0])]
    return _received(fetch(rows), plan, what)


def _received(tables: Iterator[pa.Table], plan: Plan, what: str) -> Iterator[pa.Table]:
    from .rows import received

    with errors_of(what):
        for table in tables:
            yield received(table, plan.schema, plan.kinds, what)


def _whole(rows: Any) -> Iterator[pa.Table]:
    yield rows.fetch_arrow_table()


def _bit_by_bit(rows: Any) -> Iterator[pa.Table]:
    """Tables of no more than some megabytes; the first one, without a row, tells the types when there is none."""
    import pyarrow as pa

    batches = rows.fetch_record_batch()
    yield batches.schema.empty_table()
    try:
        for batch in batches:
            yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:  # the driver's, in Arrow's words and without its state
        state = STOPPED if "canceling statement" in str(error) else None
        status = adbc_driver_manager.AdbcStatusCode.IO
        raise adbc_driver_manager.OperationalError(str(error), status_code=status, sqlstate=state) from error


def _kept_aside(pieces: Iterable[pa.Table], schema: FrameSchema, file: Any) -> Iterator[pa.Table]:
    """Write the pieces to the file; the same pieces, read from there as they are taken."""
    import pyarrow as pa

    arrow = pa.schema([(field.name, field.arrow_type) for field in schema.fields])
    with storage_errors("the temporary folder"):
        with pa.ipc.new_stream(file, arrow, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
            for piece in pieces:
                stream.write_table(piece)
        file.seek(0)
    return (pa.Table.from_batches([batch]) for batch in pa.ipc.open_stream(file))
