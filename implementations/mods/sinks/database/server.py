"""A database by its SQLAlchemy address: connections, one transaction, and what it says as our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from framework.errors import (
    BaseFrameworkException,
    DataException,
    KeysError,
    LockedError,
    MissingExtraError,
    OutcomeUnknownError,
    ParameterError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from framework.mods.run import ModRun
from framework.redact import redact
from framework.registry import missing_extra

PATIENCE = 30.0  # seconds to wait for another writer, where no setting says it
POSTGRES = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 45_000,
    "application_name": "millpond",
    "options": "-c TimeZone=UTC -c DateStyle=ISO",
}
LOST = ("57P0", "08")
LOST_WORDS = ("server closed the connection", "connection is lost", "lost connection", "gone away", "not received")
FAMILIES = {"22": SchemaError, "23": SchemaError, "42": SchemaError, "0A": SchemaError, "44": SchemaError}


def engine_of(address: str, run: ModRun) -> sa.Engine:
    """The engine of an address; a relative SQLite file lies in the workspace.

    Raises
    ------
    ParameterError, MissingExtraError
    """
    try:
        url = sa.make_url(address)
        if url.get_backend_name() in ("postgresql", "postgres"):
            return sa.create_engine(url.set(drivername="postgresql+psycopg"), connect_args=_bounds(url), pool_size=1)
        if url.get_backend_name() == "sqlite":
            return _sqlite(url, run)
        return sa.create_engine(url, pool_size=1)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ValueError) as error:
        raise ParameterError(
            f"connection_string is no address that SQLAlchemy knows: {redact(str(error)).splitlines()[0]}.",
            cure="Write such as postgresql://user:password@host:5432/name or sqlite:///file.db.",
            resource=run.mod,
        ) from None
    except ModuleNotFoundError as error:
        raise _lacking(error) from error


def _bounds(url: sa.URL) -> dict[str, Any]:
    return {name: value for name, value in POSTGRES.items() if name not in url.query}


def _lacking(error: ModuleNotFoundError) -> MissingExtraError:
    package = error.name or "?"
    if package == "psycopg":
        return missing_extra("mod 'database_writer'", "postgres", package)
    return MissingExtraError(
        f"That database needs the package {package}, which is not installed.",
        cure=f"Install it with: pip install {package}",
        resource=package,
    )


def _sqlite(url: sa.URL, run: ModRun) -> sa.Engine:
    """SQLite whose transaction holds what changes tables too, and keeps other writers out from its beginning."""
    name = url.database
    if name and name != ":memory:" and not name.startswith("file:"):
        url = url.set(database=str(run.at(name)))
    engine = sa.create_engine(url, connect_args={"timeout": patience(run)})

    @sa.event.listens_for(engine, "connect")
    def _by_hand(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def patience(run: ModRun) -> float:
    """How long to wait for another writer, in seconds."""
    return PATIENCE if run.settings is None else float(run.settings.LOCK_TIMEOUT)


@contextmanager
def transaction(engine: sa.Engine, what: str, load_id: str) -> Iterator[sa.Connection]:
    """One transaction: whole when it is left, and nothing of it after an error.

    Raises
    ------
    UnavailableError, OutcomeUnknownError
        The connection is lost; in the second case while it was asked to commit.
    LockedError, SchemaError, KeysError, StorageError
    """
    committing = False
    drivers = (sa.exc.SQLAlchemyError, getattr(engine.dialect.dbapi, "Error", sa.exc.SQLAlchemyError))
    try:
        with engine.connect() as connection:
            begun = connection.begin()
            yield connection
            committing = True
            begun.commit()
    except drivers as error:
        raise _ours(error, what, load_id if committing else None, committing=committing) from None
    finally:
        engine.dispose()


def _ours(error: Any, what: str, load_id: str | None, *, committing: bool) -> BaseFrameworkException:
    """What the driver says as one of ours; the cause is not chained, for it may show the address or the rows."""
    cause = getattr(error, "orig", None) or error
    names = {kind.__name__ for kind in type(cause).__mro__}
    state, said = str(getattr(cause, "sqlstate", None) or ""), words(cause)
    if _is_lost(state, said, names, known=hasattr(cause, "sqlstate")):
        if committing:
            return OutcomeUnknownError(
                f"The connection was lost while {what} was being committed: {said}.",
                cure="Run it again: an append that is there already adds nothing.",
                save_id=load_id,
                resource=what,
            )
        return UnavailableError(f"The database of {what} cannot be used: {said}. Nothing was changed.", resource=what)
    if state in ("55P03", "40P01") or "database is locked" in said or "Lock wait timeout" in said:
        return LockedError(f"{what} is held by another transaction.", cure="Try again when it is free.", resource=what)
    if state == "21000":
        return KeysError(f"The keys of {what} are the same in several rows: {said}.", resource=what)
    if state[:2] in FAMILIES or names & {"IntegrityError", "DataError", "ProgrammingError"}:
        return SchemaError(f"{what} cannot take this data: {said}. Nothing was changed.", resource=what)
    if names & {"OperationalError", "DatabaseError", "InterfaceError"}:
        return StorageError(f"The database refused {what}: {said}.", resource=what)
    return DataException(f"{what}: {said}.", resource=what)


def _is_lost(state: str, said: str, names: set[str], *, known: bool) -> bool:
    if state.startswith(LOST) or any(text in said for text in LOST_WORDS):
        return True
    return known and not state and bool(names & {"OperationalError", "InterfaceError"})


def words(error: Any) -> str:
    """What the database said, on one line, without a secret."""
    diagnosis = getattr(error, "diag", None)
    told = getattr(diagnosis, "message_primary", None) or str(error)
    detail = getattr(diagnosis, "message_detail", None)
    line = " ".join(redact(f"{told} ({detail})" if detail else told).split())
    return line.rstrip(".")
