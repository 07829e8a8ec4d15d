"""Where the tables lie: the server, its schema, the names of datasets there."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from framework import registry
from framework.errors import DatasetNameError
from framework.redact import register_secret
from framework.store import Store, StoreOptions

from .connect import Server
from .failures import errors_of
from .names import CATALOG, is_text
from .sessions import Sessions
from .table import Table

if TYPE_CHECKING:
    from psycopg import Connection

LONGEST_NAME = 1000
MOST_SECONDS = 2_000_000  # of which the server can count the milliseconds


class PostgresOptions(StoreOptions):
    """Which server and schema, and how long to wait for it.

    Attributes
    ----------
    url : str, optional
        A libpq address; the settings say it unless given.
    schema : str, optional
        The server's schema; DB_SCHEMA unless given.
    statement_timeout : float, optional
        Seconds that one statement may take; a chunk of rows that nobody takes does not count.
    connect_timeout : int, optional
        Seconds that a connection may take to come about; 10 unless given, here or in the address.
    sslmode : str, optional
        libpq's word for how much TLS there must be; `verify-full` checks the server's certificate and name.
    sslrootcert, sslcert, sslkey : path, optional
        Who vouches for the server (`system` for those that the system trusts), and this client's certificate and key;
        relative to the workspace.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    url: SecretStr | None = None
    namespace: str | None = Field(default=None, alias="schema", min_length=1)
    statement_timeout: float | None = Field(default=None, gt=0, le=MOST_SECONDS)
    connect_timeout: int | None = Field(default=None, ge=1, le=MOST_SECONDS)
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    sslrootcert: str | None = Field(default=None, min_length=1)
    sslcert: str | None = Field(default=None, min_length=1)
    sslkey: str | None = Field(default=None, min_length=1)

    def words(self, workspace: Path) -> dict[str, str]:
        """Those that libpq takes, in its own words."""
        words = {} if self.connect_timeout is None else {"connect_timeout": str(self.connect_timeout)}
        if self.sslmode is not None:
            words["sslmode"] = self.sslmode
        for name in ("sslrootcert", "sslcert", "sslkey"):
            path = getattr(self, name)
            if path is not None:
                words[name] = path if path == "system" else str(workspace / Path(path).expanduser())
        return words


class Place(Store):
    """A schema of a server, in which each dataset is a table."""

    kind = "postgres"
    Options = PostgresOptions
    options: PostgresOptions

    def __init__(self, settings: Any, **given: Any) -> None:
        super().__init__(settings, **given)
        self.namespace = self.options.namespace or settings.DB_SCHEMA
        register_secret(self._given)
        self._server = Server(self.name, self.options.words(settings.workspace), self._bounds())
        self._writers = Sessions(lambda: self._server.to_write(self.address()))
        self._readers = Sessions(lambda: self._server.to_read(self.address()))

    # ------------------------------------------------------------------ the server

    @property
    def _given(self) -> str | None:
        """The address that an option or a setting gives; None means the embedded server."""
        secret = self.options.url or self.settings.database_url
        return None if secret is None else secret.get_secret_value()

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.kind, self._given or str(self.settings.own_folder), self.settings.DB_NAME, self.namespace)

    @cached_property
    def _embedded(self) -> Any:
        server = registry.find("server", "postgres_embedded").load()
        return server(self.settings.own_folder / "postgres", self.logger, database=self.settings.DB_NAME)

    def address(self) -> str:
        """The server's libpq address, with its password; an embedded server is started when it does not run."""
        return self._given or str(self._embedded.url())

    def _bounds(self) -> dict[str, str]:
        """How long the server lets a session's statements wait and work, in the milliseconds that it counts."""
        options, bounds = self.options, {}
        patience = self.settings.LOCK_TIMEOUT if options.lock_timeout is None else options.lock_timeout
        bounds["lock_timeout"] = _milliseconds(patience)
        if options.statement_timeout is not None:
            bounds["statement_timeout"] = _milliseconds(options.statement_timeout)
        return bounds

    def close(self) -> None:
        """Close the idle connections; the next use opens others."""
        self._writers.close()
        self._readers.close()

    @property
    def dormant(self) -> bool:
        return self._given is None and not self._embedded.running()

    def _probe(self) -> None:
        if self.dormant:
            self._embedded.binary("postgres")  # it is started when it is used; a probe starts nothing
            return
        self._server.to_write(self.address()).close()  # not an idle one, whose server may have stopped answering

    # ------------------------------------------------------------------ names

    def canonical(self, name: str) -> str:
        if isinstance(name, str) and name.strip() and name != CATALOG and len(name) <= LONGEST_NAME and is_text(name):
            return name
        raise DatasetNameError(
            f"{str(name)[:80]!r} is not a dataset name in PostgreSQL.",
            cure=f"Use text without NUL, of at most {LONGEST_NAME} characters, other than {CATALOG!r}.",
        )

    def _table(self, connection: Connection[Any], name: str) -> Table:
        return Table(connection, self.namespace, name)

    def exists(self, name: str) -> bool:
        with self._writers.use() as connection, errors_of(f"{self.name}:{name}"):
            return self._table(connection, name).look() is not None

    def list_sources(self) -> list[str]:
        with self._writers.use() as connection, errors_of(self.name):
            place = self._table(connection, CATALOG)
            place.look()
            rows = connection.execute(
                "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relname <> %s",
                [self.namespace, CATALOG],
            ).fetchall()
            known = place.run("SELECT relation, dataset FROM {}", place.catalog) if place.has_catalog else ()
            names = dict(known)
        return sorted(names.get(relation, relation) for (relation,) in rows)


def _milliseconds(seconds: float) -> str:
    return str(min(max(int(seconds * 1000), 1), MOST_SECONDS * 1000))  # 0 would be for ever
