"""Connections to one server: to write by psycopg, to read rows by ADBC, and no password in what either says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from framework.errors import UnavailableError
from framework.redact import redact

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_SECONDS = 10
IN_ORDER = ("synchronize_seqscans = off", "max_parallel_workers_per_gather = 0")  # rows come as they lie in the table
BOUNDS = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3}


def conninfo(address: str, store: str) -> str:
    """The address as libpq takes it, with bounds on waiting; UnavailableError for what is none."""
    if address.startswith("postgresql+"):  # SQLAlchemy's spelling, which names a driver
        address = "postgresql://" + address.split("://", 1)[1]
    try:
        given = conninfo_to_dict(address)
        return make_conninfo(address, **{key: value for key, value in BOUNDS.items() if key not in given})
    except psycopg.ProgrammingError:
        raise UnavailableError(
            f"The address of the {store} store cannot be read.", cure="It is postgresql://user@host:port/name."
        ) from None  # the cause would show a part of it, perhaps of the password


def to_write(address: str, store: str) -> Connection[Any]:
    """A psycopg connection, in autocommit."""
    try:
        connection = psycopg.connect(conninfo(address, store), application_name="millpond", autocommit=True)
    except psycopg.OperationalError as error:
        raise _unreachable(error, store) from None
    connection.execute("; ".join(f"SET {setting}" for setting in IN_ORDER))
    return connection


def to_read(address: str, store: str) -> Any:
    """An ADBC connection, which begins a transaction with each first statement."""
    try:
        connection = adbc.connect(conninfo(address, store))
    except adbc_driver_manager.Error as error:
        raise _unreachable(error, store) from None
    with connection.cursor() as cursor:
        for setting in (*IN_ORDER, "timezone = 'UTC'"):
            cursor.execute(f"SET {setting}")
    connection.commit()
    return connection


def _unreachable(error: Exception, store: str) -> UnavailableError:
    told = redact(" ".join(str(error).split())).rstrip(".?")
    return UnavailableError(
        f"The server of the {store} store cannot be used: {told}.",
        cure="Check DB_SERVER, DB_PORT, DB_USER and DB_PASSWORD, and that it runs.",
        resource=store,
    )
