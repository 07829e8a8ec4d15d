"""Connections to one server: to write by psycopg, to read rows by ADBC, and no password in what either says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from framework.errors import UnavailableError
from framework.redact import redact

from .table import LOOK

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_SECONDS = 10
BOUNDS: dict[str, int | str] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 45_000,  # ms that what was sent may stay unanswered by the other machine
    "application_name": "millpond",
}
ALWAYS = {
    "synchronize_seqscans": "off",  # rows come as they lie in the table
    "max_parallel_workers_per_gather": "0",
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
}


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect, and how.

    Attributes
    ----------
    store : str
        The store's name, for errors.
    words : mapping
        libpq's own words, such as those for TLS; they stand over the address.
    settings : mapping
        The session's settings.
    """

    store: str
    words: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def conninfo(self, address: str) -> str:
        """The address as libpq takes it, with bounds on waiting; UnavailableError for what is none."""
        if address.startswith("postgresql+"):  # SQLAlchemy's spelling, which names a driver
            address = "postgresql://" + address.split("://", 1)[1]
        try:
            given = conninfo_to_dict(address)
            bounds = {key: value for key, value in BOUNDS.items() if key not in given}
            return make_conninfo(address, **{**bounds, **self.words})
        except psycopg.ProgrammingError:
            raise UnavailableError(
                f"The address of the {self.store} store cannot be read.", cure="It is postgresql://user@host:port/name."
            ) from None  # the cause would show a part of it, perhaps of the password

    def to_write(self, address: str) -> Connection[Any]:
        """A psycopg connection, in autocommit."""
        try:
            connection = psycopg.connect(self.conninfo(address), autocommit=True, prepare_threshold=None)
            connection.execute("; ".join([*self._said(), LOOK]))
        except psycopg.OperationalError as error:
            raise self._unreachable(error) from None
        return connection

    def to_read(self, address: str) -> Any:
        """An ADBC connection, which begins a transaction with each first statement."""
        import adbc_driver_postgresql.dbapi as adbc

        try:
            connection = adbc.connect(self.conninfo(address))
            with connection.cursor() as cursor:
                for said in self._said():
                    cursor.execute(said)
        except adbc_driver_manager.Error as error:
            raise self._unreachable(error) from None
        connection.commit()
        return connection

    def _said(self) -> list[str]:
        return [f"SET {name} = '{value}'" for name, value in (ALWAYS | dict(self.settings)).items()]

    def _unreachable(self, error: Exception) -> UnavailableError:
        told = redact(" ".join(str(error).split())).rstrip(".?")
        return UnavailableError(
            f"The server of the {self.store} store cannot be used: {told}.",
            cure="Check DB_SERVER, DB_PORT, DB_USER and DB_PASSWORD, the TLS options, and that it runs.",
            resource=self.store,
        )
