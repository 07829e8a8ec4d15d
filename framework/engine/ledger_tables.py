"""The ledger's tables: SQLite by the standard library, any other database by SQLAlchemy."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from framework.errors import (
    BaseFrameworkException,
    ConfigurationException,
    IntegrityError,
    LockedError,
    StorageError,
    UnavailableError,
)
from framework.files import make_folder, storage_errors
from framework.redact import redact
from framework.registry import missing_extra

FORMAT = 1  # of the tables; a ledger of a later one is left alone
COLUMNS = {
    "runs": (
        "run_id",
        "kind",
        "name",
        "key",
        "started_at",
        "state",
        "outcome",
        "exit_code",
        "ended_at",
        "reason",
        "pid",
        "host",
        "user",
        "versions",
        "plan",
        "log_file",
        "replay_of",
        "format",
    ),
    "steps": (
        "run_id",
        "place",
        "name",
        "state",
        "outcome",
        "started_at",
        "seconds",
        "version",
        "code",
        "params",
        "inputs",
        "outputs",
        "attempts",
        "memory",
        "warnings",
        "error",
        "metrics",
    ),
    "state": ("key", "source", "value", "moved_at", "run_id"),
}
NUMBERS = {
    "started_at": "DOUBLE PRECISION",
    "moved_at": "DOUBLE PRECISION",
    "ended_at": "DOUBLE PRECISION",
    "seconds": "DOUBLE PRECISION",
}
COUNTS = {"exit_code": "INTEGER", "pid": "INTEGER", "format": "INTEGER", "place": "INTEGER", "attempts": "INTEGER"}
KINDS = {**NUMBERS, **COUNTS, "memory": "BIGINT"}
WAIT = 30.0  # seconds for another process to finish its write

LAST = "\U0010ffff"  # above every text that begins as the one before it
CURES = {
    "full": "Free some space and try again.",
    "readonly": "Give yourself the right to write it, or let LEDGER_URL name another ledger.",
    "unable to open": "Give yourself the right to write its folder, or let LEDGER_URL name another ledger.",
}

Row = Sequence[Any]


class Tables(Protocol):
    """What the ledger asks of a database."""

    def insert(self, table: str, rows: Iterable[Row]) -> None: ...
    def update_run(self, run_id: str, values: Mapping[str, Any]) -> None: ...
    def runs(self, *, limit: int | None = None, key: str | None = None) -> list[Row]: ...
    def runs_like(self, beginning: str) -> list[Row]: ...
    def steps(self, run_id: str) -> list[Row]: ...
    def run_ids(self, key: str, limit: int) -> list[str]: ...
    def beyond(self, keep: int, before: float) -> list[Row]: ...
    def forget(self, run_ids: Iterable[str]) -> None: ...
    def state(self, key: str) -> list[Row]: ...
    def put_state(self, rows: Iterable[Row]) -> None: ...
    def close(self) -> None: ...


def open_tables(url: str, *, wait: float = WAIT) -> Tables:
    """The tables at a path or an address, made if they are not there.

    Parameters
    ----------
    wait : float
        Seconds for another process to finish its write, of a SQLite file.
    """
    if "://" not in url:
        return SqliteTables(Path(url), wait=wait)
    return SqlTables(url)


def _check_format(found: int, what: str) -> None:
    if found > FORMAT:
        raise ConfigurationException(
            f"The ledger {what} was written by a later Millpond (format {found}; this one knows {FORMAT}).",
            cure="Install that version, or let LEDGER_URL name another ledger.",
            resource=what,
        )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _created(table: str, kinds: Mapping[str, str]) -> str:
    columns = ", ".join(f"{_quoted(name)} {kinds.get(name, 'TEXT')}" for name in COLUMNS[table])
    return f"CREATE TABLE IF NOT EXISTS millpond_{table} ({columns})"


def _selected(table: str, more: str) -> str:
    columns = ", ".join(f"t.{_quoted(name)}" for name in COLUMNS[table])
    return f"SELECT {columns} FROM millpond_{table} t {more}"  # noqa: S608 - names of ours


INDEXES = (
    'CREATE INDEX IF NOT EXISTS millpond_runs_by_start ON millpond_runs ("started_at")',
    'CREATE INDEX IF NOT EXISTS millpond_runs_by_key ON millpond_runs ("key", "started_at")',
    'CREATE UNIQUE INDEX IF NOT EXISTS millpond_runs_by_id ON millpond_runs ("run_id")',
    'CREATE INDEX IF NOT EXISTS millpond_steps_by_run ON millpond_steps ("run_id", "place")',
)
NEWEST = 'ORDER BY t."started_at" DESC, t."run_id" DESC'
BEYOND = """WHERE t."started_at" < :before OR t."run_id" NOT IN
    (SELECT "run_id" FROM millpond_runs ORDER BY "started_at" DESC, "run_id" DESC LIMIT :keep)"""


class SqliteTables:
    """A SQLite file, for many processes at once."""

    def __init__(self, path: Path, *, wait: float = WAIT) -> None:
        self.path = path
        self._wait = wait
        self._guard = threading.Lock()
        with storage_errors(f"the ledger {path}"):
            make_folder(path.parent)
        with self._errors():
            self._db = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        self._db.execute("PRAGMA synchronous=NORMAL")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        _check_format(found, str(self.path))
        if found:  # made, and in WAL
            return
        with suppress(sqlite3.OperationalError):  # another process opens it too, and does it
            self._db.execute("PRAGMA journal_mode=WAL")
        with self._writing():
            for statement in (_created("runs", KINDS), _created("steps", KINDS), *INDEXES):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={FORMAT}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise LockedError(
                    f"The ledger {self.path} is being written by another process, and was for {self._wait:g} s.",
                    cure="Try again.",
                    resource=str(self.path),
                ) from error
            cure = next((cure for word, cure in CURES.items() if word in str(error)), None)
            raise StorageError(f"The ledger {self.path}: {error}.", cure=cure, resource=str(self.path)) from error
        except sqlite3.DatabaseError as error:
            raise IntegrityError(
                f"The ledger {self.path} is damaged: {error}.",
                cure="Move it aside: a new one is made, and only the history is lost.",
                resource=str(self.path),
            ) from error

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        marks = ", ".join("?" * len(COLUMNS[table]))
        with self._guard, self._errors(), self._writing():
            self._db.executemany(f"INSERT INTO millpond_{table} VALUES ({marks})", rows)  # noqa: S608 - names of ours

    def update_run(self, run_id: str, values: Mapping[str, Any]) -> None:
        changes = ", ".join(f"{_quoted(name)} = :{name}" for name in values)
        statement = f'UPDATE millpond_runs SET {changes} WHERE "run_id" = :run_id'  # noqa: S608 - names of ours
        with self._guard, self._errors(), self._writing():
            self._db.execute(statement, {**values, "run_id": run_id})

    def runs(self, *, limit: int | None = None, key: str | None = None) -> list[Row]:
        where = 'WHERE t."key" = :key ' if key is not None else ""
        bound = "" if limit is None else f" LIMIT {int(limit)}"
        return self._read(_selected("runs", where + NEWEST + bound), {} if key is None else {"key": key})

    def runs_like(self, beginning: str) -> list[Row]:
        where = f'WHERE t."run_id" >= :low AND t."run_id" < :high {NEWEST} LIMIT 20'
        return self._read(_selected("runs", where), {"low": beginning, "high": beginning + LAST})

    def steps(self, run_id: str) -> list[Row]:
        return self._read(_selected("steps", 'WHERE t."run_id" = :run_id ORDER BY t."place"'), {"run_id": run_id})

    def run_ids(self, key: str, limit: int) -> list[str]:
        newest = f'SELECT t."run_id" FROM millpond_runs t WHERE t."key" = :key {NEWEST} LIMIT :limit'  # noqa: S608
        return [row[0] for row in self._read(newest, {"key": key, "limit": limit})]

    def beyond(self, keep: int, before: float) -> list[Row]:
        return self._read(_selected("runs", BEYOND), {"keep": keep, "before": before})

    def forget(self, run_ids: Iterable[str]) -> None:
        gone = [(run_id,) for run_id in run_ids]
        with self._guard, self._errors(), self._writing():
            self._db.executemany('DELETE FROM millpond_steps WHERE "run_id" = ?', gone)
            self._db.executemany('DELETE FROM millpond_runs WHERE "run_id" = ?', gone)

    def state(self, key: str) -> list[Row]:
        there = self._read("SELECT 1 FROM sqlite_master WHERE name = 'millpond_state'", {})
        return self._read(_selected("state", 'WHERE t."key" = :key'), {"key": key}) if there else []

    def put_state(self, rows: Iterable[Row]) -> None:
        marks = ", ".join("?" * len(COLUMNS["state"]))
        made = list(rows)
        with self._guard, self._errors(), self._writing():
            self._db.execute(_created("state", KINDS))  # a ledger of before has none
            keys = [(key, source) for key, source, *_ in made]
            self._db.executemany('DELETE FROM millpond_state WHERE "key" = ? AND "source" = ?', keys)
            self._db.executemany(f"INSERT INTO millpond_state VALUES ({marks})", made)  # noqa: S608 - names of ours

    def _read(self, statement: str, values: Mapping[str, Any]) -> list[Row]:
        with self._guard, self._errors():
            return self._db.execute(statement, values).fetchall()

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._db.close()


class SqlTables:
    """Any database that SQLAlchemy speaks to."""

    def __init__(self, url: str) -> None:
        try:
            import sqlalchemy
        except ModuleNotFoundError as error:
            raise missing_extra("ledger", "sql", error.name) from error
        self._sql = sqlalchemy
        self._tables = {name: self._table(name, sqlalchemy.MetaData()) for name in COLUMNS}
        with self._errors():
            self._engine = sqlalchemy.create_engine(_with_driver(url), pool_pre_ping=True, hide_parameters=True)
        self._make()

    def _table(self, name: str, catalog: Any) -> Any:
        sql, kinds = self._sql, {"DOUBLE PRECISION": self._sql.Double, "INTEGER": self._sql.Integer}
        kinds |= {"BIGINT": sql.BigInteger, "TEXT": sql.Text, "ID": sql.String(200)}
        made = sql.Table(f"millpond_{name}", catalog, *(sql.Column(c, kinds[_sql_kind(c)]) for c in COLUMNS[name]))
        if name == "runs":
            sql.Index("millpond_runs_by_id", made.c.run_id, unique=True)
            sql.Index("millpond_runs_by_start", made.c.started_at)
            sql.Index("millpond_runs_by_key", made.c.key, made.c.started_at, mysql_length={"key": 190})
        elif name == "steps":
            sql.Index("millpond_steps_by_run", made.c.run_id, made.c.place)
        return made

    def _make(self) -> None:
        """The tables, and beside them their format; another process may make them at the same time."""
        sql = self._sql
        catalog = sql.MetaData()
        form = sql.Table("millpond_format", catalog, sql.Column("format", sql.Integer, primary_key=True))
        with self._errors():
            if not sql.inspect(self._engine).has_table("millpond_format"):
                for table in (*self._tables.values(), form):
                    with suppress(sql.exc.IntegrityError, sql.exc.ProgrammingError, sql.exc.OperationalError):
                        table.create(self._engine, checkfirst=True)
            with self._engine.begin() as connection:
                found = connection.execute(sql.select(sql.func.max(form.c.format))).scalar()
                _check_format(found or 0, self._engine.url.render_as_string(hide_password=True))
            if found is None:
                with suppress(sql.exc.IntegrityError), self._engine.begin() as connection:
                    connection.execute(form.insert(), {"format": FORMAT})

    @contextmanager
    def _errors(self) -> Iterator[None]:
        errors = self._sql.exc
        try:
            yield
        except BaseFrameworkException:
            raise
        except (errors.ArgumentError, errors.NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
            raise ConfigurationException(
                redact(f"The ledger's address cannot be used: {error}."),
                cure="LEDGER_URL is a path or a SQLAlchemy address, and its driver is installed.",
            ) from None
        except errors.SQLAlchemyError as error:
            raise UnavailableError(redact(f"The ledger's database refused: {error}.")) from None

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        made = [dict(zip(COLUMNS[table], row, strict=True)) for row in rows]
        with self._errors(), self._engine.begin() as connection:
            connection.execute(self._tables[table].insert(), made)

    def update_run(self, run_id: str, values: Mapping[str, Any]) -> None:
        runs = self._tables["runs"]
        with self._errors(), self._engine.begin() as connection:
            connection.execute(runs.update().where(runs.c.run_id == run_id).values(**values))

    def runs(self, *, limit: int | None = None, key: str | None = None) -> list[Row]:
        runs = self._tables["runs"]
        asked = runs.select() if key is None else runs.select().where(runs.c.key == key)
        return self._read(asked.order_by(*self._newest).limit(limit))

    def runs_like(self, beginning: str) -> list[Row]:
        runs = self._tables["runs"]
        asked = runs.select().where(runs.c.run_id.startswith(beginning, autoescape=True))
        return self._read(asked.order_by(*self._newest).limit(20))

    def steps(self, run_id: str) -> list[Row]:
        steps = self._tables["steps"]
        return self._read(steps.select().where(steps.c.run_id == run_id).order_by(steps.c.place))

    def run_ids(self, key: str, limit: int) -> list[str]:
        runs = self._tables["runs"]
        asked = self._sql.select(runs.c.run_id).where(runs.c.key == key)
        return [row[0] for row in self._read(asked.order_by(*self._newest).limit(limit))]

    def beyond(self, keep: int, before: float) -> list[Row]:
        runs = self._tables["runs"]
        old = self._read(runs.select().where(runs.c.started_at < before))
        more = self._read(runs.select().order_by(*self._newest).offset(keep))
        return list({row[0]: row for row in [*old, *more]}.values())

    def forget(self, run_ids: Iterable[str]) -> None:
        gone = list(run_ids)
        with self._errors(), self._engine.begin() as connection:
            for table in ("steps", "runs"):
                made = self._tables[table]
                connection.execute(made.delete().where(made.c.run_id.in_(gone)))

    def state(self, key: str) -> list[Row]:
        state = self._tables["state"]
        if not self._sql.inspect(self._engine).has_table(state.name):
            return []
        return self._read(state.select().where(state.c.key == key))

    def put_state(self, rows: Iterable[Row]) -> None:
        state = self._tables["state"]
        with self._errors():
            state.create(self._engine, checkfirst=True)  # a ledger of before has none
            with self._engine.begin() as connection:
                for row in rows:
                    mine = (state.c.key == row[0]) & (state.c.source == row[1])
                    connection.execute(state.delete().where(mine))
                    connection.execute(state.insert(), dict(zip(COLUMNS["state"], row, strict=True)))

    @property
    def _newest(self) -> tuple[Any, Any]:
        runs = self._tables["runs"]
        return runs.c.started_at.desc(), runs.c.run_id.desc()

    def _read(self, asked: Any) -> list[Row]:
        with self._errors(), self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(asked)]

    def close(self) -> None:
        self._engine.dispose()


def _sql_kind(column: str) -> str:
    return "ID" if column == "run_id" else KINDS.get(column, "TEXT")


def _with_driver(url: str) -> str:
    """The address; of a PostgreSQL without a driver with the one that Millpond has."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def file_of(url: str) -> Path | None:
    """The file of a ledger that is one."""
    return None if "://" in url else Path(os.path.abspath(url))
