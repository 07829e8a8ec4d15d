"""A table or a query of any database that SQLAlchemy knows, as an artifact: streamed, and only what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr, model_validator

from framework.errors import (
    ColumnNotFoundError,
    DataException,
    DatasetNotFoundError,
    MissingExtraError,
    ParameterError,
    StorageError,
    UnavailableError,
    known_names,
)
from framework.mods.addresses import address, exact_json, shown
from framework.mods.artifacts import write_tables
from framework.mods.base import BaseModParams, ModMetadata
from framework.mods.cursors import Progress
from framework.mods.records import HEAVY, Rows, weight_of
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.mods.statements import check_reads, normalised
from framework.mods.values import dumped
from framework.redact import redact
from framework.registry import missing_extra

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import URL, Connection, CursorResult, Engine

METADATA = ModMetadata(
    name="database_reader",
    version="1.0.0",
    description="Reads a table or a query of any SQL database, also only what is new",
    author="Millpond",
    tags=["source", "database", "sql"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {
    "connection_string": "sqlite:///shop.db",
    "query": "SELECT id, name FROM customers WHERE city = :city ORDER BY id",
    "params": {"city": "Bern"},
}
EXAMPLE_FILES = {
    "shop.db": """CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
INSERT INTO customers VALUES (1, 'Ada', 'Bern'), (2, 'Ben', 'Oslo'), (3, 'Cleo', 'Bern');
""",
}
NUMERIC = 1700  # what PostgreSQL calls the type
PATIENCE = 10  # seconds to connect
FIRST = 64  # rows of the first batch, from which is seen how large they are


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    connection_string: SecretStr = Field(description="a URL of SQLAlchemy, such as postgresql://user:pass@host/name")
    table: str | None = Field(None, min_length=1, description="a table or view, also schema.table; or a query")
    query: str | None = Field(None, min_length=1, description="a SELECT; :name stands for a parameter")
    params: dict[str, Any] = Field(default_factory=dict, description="the values of :name in the query")
    columns: list[str] | None = Field(None, min_length=1, description="only these, of a table")
    cursor_column: str | None = Field(
        None, min_length=1, description="read only rows whose value is not less than the largest one read before"
    )
    cursor_start: int | float | str | datetime | date | None = Field(None, description="the first time, from here on")
    batch_size: int = Field(10_000, ge=1, le=1_000_000, description="most rows fetched at a time; large ones are fewer")
    pool_size: int | None = Field(None, ge=1, description="connections kept open")
    timeout: float = Field(PATIENCE, gt=0, description="seconds to wait for a connection")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Params:
        if (self.table is None) == (self.query is None):
            raise ValueError("say either table or query")
        if self.query is None and self.params:
            raise ValueError("params are the values of :name in a query, and there is none")
        if self.query is not None and self.columns is not None:
            raise ValueError("columns are of a table: name them in the query")
        if self.columns is not None and self.cursor_column is not None and self.cursor_column not in self.columns:
            raise ValueError(f"columns lack the cursor_column {self.cursor_column!r}: add it")
        if self.cursor_start is not None and self.cursor_column is None:
            raise ValueError("cursor_start is the first value of cursor_column, which is not said")
        return self


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    url = _url(params.connection_string.get_secret_value(), here)
    if params.query is not None:
        check_reads(params.query, url.get_backend_name())
    progress = _progress(params, here, url)
    with _connected(url, params) as connection, Rows(here.folder) as rows:
        with _words(url, "the query"):
            _lead(progress, params, connection)
            answer = connection.execute(_statement(params, progress), params.params)
            names = _names(answer)
            rows.kinds = _kinds(answer)
        _check_cursor(progress, names)
        for some in _batches(answer, params.batch_size, url):
            rows.add_rows(names, _new(some, names, progress))
        if not rows.count:
            rows.add_rows(names, [])
            rows.kinds |= _declared(params, connection, url)
        schema, tables = rows.tables()
        target = here.output(params.output_path)
        written = write_tables(target, schema, tables)
        for note in [*(progress.notes if progress else ()), *rows.notes]:
            result.add_warning(note)
    known = progress.known if progress else 0
    if progress is not None and (kept := progress.kept()) is not None:
        here.move_cursor(_source(params, url), kept)
    here.logger.info("read %d rows from %s", written, shown(url))
    result.add_metric("rows_processed", written + known)
    result.add_metric("rows_output", written)
    result.add_metric("rows_known", known)
    result.add_artifact("output_data", target)
    return result.success()


def _batches(answer: CursorResult[Any], size: int, url: URL) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows, fewer at a time where they are large."""
    count = min(size, FIRST)
    while True:
        with _words(url, "reading the rows"):
            some = answer.fetchmany(count)
        if not some:
            return
        weight = sum(map(weight_of, some))
        yield some
        fitting = HEAVY * len(some) // weight if weight else size
        count = max(1, min(size, 4 * count, fitting))


# --------------------------------------------------------------------------- the database


def _url(text: str, here: ModRun) -> URL:
    """The address, with the driver that we use, and a relative file of SQLite in the workspace."""
    try:
        url = address(text)
    except ImportError as error:
        raise missing_extra(f"mod {METADATA.name!r}", "sql", error.name) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        path = Path(here.at(str(url.database)))
        if not str(url.database).startswith("file:"):
            if not path.is_file():
                raise DatasetNotFoundError(
                    f"There is no database {path}.", cure="Correct the path.", resource=str(path)
                )
            url = url.set(database=str(path))
    return url


@contextmanager
def _connected(url: URL, params: Params) -> Iterator[Connection]:
    """A connection that streams what it reads, and takes back whatever a query changed."""
    engine = _engine(url, params)
    try:
        with _words(url, "connecting", connecting=True):
            connection = engine.connect()
            _begin_to_read(connection, url.get_backend_name())
        try:
            yield connection.execution_options(stream_results=True, max_row_buffer=params.batch_size)
        finally:
            with _words(url, "closing"):
                connection.close()
    finally:
        engine.dispose()


def _begin_to_read(connection: Connection, backend: str) -> None:
    """One state of the database for all that is asked, and nothing of it can be changed."""
    if backend == "postgresql":
        connection.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    elif backend == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")
    elif backend in ("mysql", "mariadb"):
        connection.exec_driver_sql("START TRANSACTION READ ONLY")


def _engine(url: URL, params: Params) -> Engine:
    import sqlalchemy as sa

    options: dict[str, Any] = {} if params.pool_size is None else {"pool_size": params.pool_size}
    if url.get_backend_name() == "postgresql":
        options["json_deserializer"] = exact_json
    patience = dict.fromkeys(("postgresql", "mysql", "mariadb"), "connect_timeout")
    known = patience.get(url.get_backend_name())
    arguments = {known: max(1, round(params.timeout))} if known and known not in url.query else {}
    try:
        engine = sa.create_engine(url, hide_parameters=True, connect_args=arguments, **options)
        if url.drivername == "postgresql+psycopg":
            sa.event.listen(engine, "connect", _keep_months)
        return engine
    except sa.exc.NoSuchModuleError:
        raise ParameterError(
            f"SQLAlchemy knows no database {url.drivername!r}.",
            cure="Such as postgresql, mysql+pymysql, mssql+pyodbc, oracle+oracledb, sqlite.",
        ) from None
    except ImportError as error:
        extra = {"psycopg": "postgres"}.get(error.name or "")
        if extra:
            raise missing_extra(f"mod {METADATA.name!r}", extra, error.name) from error
        raise MissingExtraError(
            f"The database {url.drivername} needs the package {error.name}, which is not installed.",
            cure=f"Install it with: pip install {error.name}",
        ) from error


def _keep_months(connection: Any, _: object) -> None:
    """From now on an interval of months is text, for how many days they have is not said."""
    from psycopg.types.datetime import IntervalLoader

    class Loader(IntervalLoader):
        def load(self, data: Any) -> Any:
            text = bytes(data).decode()
            return text if "mon" in text or "year" in text else super().load(data)

    connection.adapters.register_loader("interval", Loader)


@contextmanager
def _words(url: URL, what: str, *, connecting: bool = False) -> Iterator[None]:
    """What SQLAlchemy raises as our errors, in words without a secret."""
    import sqlalchemy as sa

    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        said = redact(" ".join(str(getattr(error, "orig", None) or error).split())).rstrip(".")
        place = shown(url)
        lost = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
        if connecting or lost:
            raise UnavailableError(
                f"{place} cannot be reached ({what}): {said}.", cure="Is the address right, and the server up?"
            ) from None
        refused = sa.exc.ProgrammingError, sa.exc.ArgumentError, sa.exc.StatementError
        in_sqlite = isinstance(error, sa.exc.OperationalError) and url.get_backend_name() == "sqlite"
        if isinstance(error, sa.exc.ProgrammingError) or in_sqlite or type(error) in refused:
            raise ParameterError(f"{place} refuses {what}: {said}.", cure="Correct table, query or params.") from None
        if isinstance(error, sa.exc.InternalError) and "read-only" in said:
            raise ParameterError(f"{place} refuses {what}: {said}.", cure="A reader changes nothing.") from None
        kind = StorageError if isinstance(error, sa.exc.OperationalError) else DataException
        raise kind(f"{place} failed ({what}): {said}.", resource=place) from None


def _statement(params: Params, progress: Progress | None) -> Any:
    """What is asked."""
    import sqlalchemy as sa

    if params.query is not None and progress is None:
        return sa.text(params.query.strip().rstrip(";"))
    columns: list[Any] = [sa.column(name) for name in params.columns or ()]
    return _asked(sa.select(*(columns or [sa.text("*")])).select_from(_from(params)), progress)


def _from(params: Params) -> Any:
    """The table, or the query as one."""
    import sqlalchemy as sa

    if params.query is not None:
        inner = sa.text(params.query.strip().rstrip(";") + "\n")  # behind which a comment in its last line ends
        return inner.columns().subquery("rows_of_query")
    schema, _, table = str(params.table).rpartition(".")
    return sa.table(table, schema=schema or None)


def _names(answer: CursorResult[Any]) -> list[str]:
    if not answer.returns_rows:
        raise ParameterError("The query gives no rows.", cure="Write a SELECT; a reader changes nothing.")
    names = list(answer.keys())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ParameterError(f"The query gives two columns {twice!r}.", cure=f"Name one: {twice} AS other_{twice}.")
    return names


def _kinds(answer: CursorResult[Any]) -> dict[str, pa.DataType]:
    """What PostgreSQL says of columns in which there may be no value."""
    import pyarrow as pa

    told = getattr(answer.cursor, "description", None) if answer.cursor is not None else None
    known = {16: pa.bool_(), 17: pa.binary(), 1082: pa.date32(), 1083: pa.time64("us"), 1114: pa.timestamp("us")}
    known |= dict.fromkeys((20, 21, 23, 26), pa.int64()) | dict.fromkeys((700, 701), pa.float64())
    known |= {1184: pa.timestamp("us", "UTC")}
    found = {each[0]: known[each[1]] for each in told or () if isinstance(each[1], int) and each[1] in known}
    for each in told or ():
        if each[1] == NUMERIC and each[5] is not None:  # digits behind the point
            found[each[0]] = pa.decimal128(18 if (each[4] or 38) <= 18 else 38, each[5])
    return found


def _declared(params: Params, connection: Connection, url: URL) -> dict[str, pa.DataType]:
    """What a table without a new row says of its columns."""
    import pyarrow as pa
    import sqlalchemy as sa

    if params.table is None or url.get_backend_name() == "postgresql":  # which told already
        return {}
    schema, _, table = params.table.rpartition(".")
    with _words(url, "looking at the table"):
        columns = sa.inspect(connection).get_columns(table, schema=schema or None)
    in_sqlite = url.get_backend_name() == "sqlite"  # where a truth is 0 or 1, and a time is text
    kinds: list[tuple[Any, Any]] = [(sa.Integer, pa.int64()), (sa.Float, pa.float64())]
    if in_sqlite:
        kinds += [(sa.Boolean, pa.int64()), (sa.Numeric, pa.float64())]
    else:
        kinds += [(sa.Boolean, pa.bool_()), (sa.DateTime, pa.timestamp("us")), (sa.Date, pa.date32())]
        kinds += [(sa.Time, pa.time64("us")), (sa.LargeBinary, pa.binary())]
    told = {}
    for column in columns:
        kind = next((arrow for of, arrow in kinds if isinstance(column["type"], of)), None)
        zoned = getattr(column["type"], "timezone", False) and kind == pa.timestamp("us")
        if kind is not None:
            told[column["name"]] = pa.timestamp("us", "UTC") if zoned else kind
    return told


# --------------------------------------------------------------------------- how far it was read


def _source(params: Params, url: URL) -> str:
    """Under which name it is kept how far it was read."""
    host, port = (own or url.query.get(name) or "" for own, name in ((url.host, "host"), (url.port, "port")))
    place = f"{url.get_backend_name()}://{host}{port and ':'}{port}/{url.database or ''}"
    what = params.table or f"query {_digest(params, url)}"
    return f"{place} {what} {params.cursor_column}"


def _digest(params: Params, url: URL) -> str:
    """What tells a query with its parameters from others."""
    said = [normalised(str(params.query), url.get_backend_name()), dict(sorted(params.params.items()))]
    return blake2b(dumped(said).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _progress(params: Params, here: ModRun, url: URL) -> Progress | None:
    if params.cursor_column is None:
        return None
    start = params.cursor_start
    plain = str(start) if isinstance(start, date) and url.get_backend_name() == "sqlite" else start
    return Progress(params.cursor_column, here.cursor(_source(params, url)), start=plain)


def _lead(progress: Progress | None, params: Params, connection: Connection) -> None:
    """Ask which value is the largest, where that is text: each database orders and equals it in its own way."""
    import sqlalchemy as sa

    if progress is None or not progress.may_be_text:
        return
    column: Any = sa.column(progress.column)
    nothing = sa.select(sa.text("*")).select_from(_from(params)).where(sa.false())
    with connection.execute(nothing, params.params) as there:
        _check_cursor(progress, list(there.keys()))
    mine = sa.select(column).select_from(_from(params))
    last = _asked(mine, progress).where(column.is_not(None)).order_by(column.desc()).limit(1)
    largest = connection.execute(last, params.params).scalar()
    if isinstance(largest, str):
        value: Any = sa.bindparam("value_of_cursor", largest, type_=sa.types.NullType())
        progress.lead(largest, connection.execute(mine.where(column >= value), params.params).scalars())


def _asked(query: Any, progress: Progress | None) -> Any:
    """The query for what is new, and for rows without a value, which are an error."""
    import sqlalchemy as sa

    if progress is None or progress.since is None:
        return query
    column: Any = sa.column(progress.column)
    value: Any = sa.bindparam("value_of_cursor", progress.since, type_=sa.types.NullType())
    return query.where(sa.or_(column >= value if progress.asks_again else column > value, column.is_(None)))


def _new(rows: Sequence[Sequence[Any]], names: list[str], progress: Progress | None) -> Sequence[Sequence[Any]]:
    """The rows that were not read before."""
    if progress is None:
        return rows
    place = names.index(progress.column)
    return [row for row in rows if progress.is_new(row[place], row)]


def _check_cursor(progress: Progress | None, names: list[str]) -> None:
    """ColumnNotFoundError when there is no such column."""
    if progress is not None and progress.column not in names:
        column = progress.column
        raise ColumnNotFoundError(
            f"There is no cursor_column {column!r}.", cure=known_names(column, names), resource=column
        )
