"""A PostgreSQL with nothing to install: the binaries of a wheel, a folder of ours, a socket in a private folder.

The server starts when somebody asks for its address and outlives the process that asked; processes share it by its
folder. It is as durable as any other (fsync, data checksums), listens on no network port, and trusts whoever can enter
its socket's folder: one user.

PostgreSQL refuses to run as root. Root's server runs in a user namespace, in which root's files belong to an ordinary
user; where the system has none, as an unprivileged user, to whom the folder is given.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from filelock import FileLock, Timeout

from framework.errors import (
    BaseFrameworkException,
    LockedError,
    MissingExtraError,
    ParameterError,
    StorageError,
    UnavailableError,
)
from framework.files import copy_into, make_folder, replacing, storage_errors
from framework.unprivileged import user_name

from .cluster import check_data, create, isolate, launch
from .postmaster import PORT, Postmaster, last_lines, living, version_in, works_in
from .programs import MAJOR, PIP_LINE, binary, client
from .sockets import address, as_environment

PROVIDES = {
    "kind": "server",
    "name": "postgres_embedded",
    "object": "EmbeddedPostgres",
    "extra": "embedded",
    "summary": "a PostgreSQL with nothing to install, started when needed",
}

LONGEST_LOG = 16 * 2**20  # bytes


class EmbeddedPostgres:
    """The PostgreSQL whose data lie in one folder.

    Parameters
    ----------
    folder : Path
        The server's data; made when first needed, private to its owner. Nothing in it is ever deleted.
    logger : logging.Logger, optional
    database : str
        The database that `url` leads to; made when it is missing.
    isolation : {"auto", "namespace", "user"}
        How root's server is run; "auto" is as the folder's owner, or for a new folder in the first way that works.
    timeout : float
        Seconds to wait for another process that starts or stops it, and for the server itself.

    Raises
    ------
    MissingExtraError
        The package with the binaries is not installed.
    LockedError
        Another process is still starting or stopping it.
    StorageError
        The folder holds another version's data, another user's, or something else; or the server does not start.
    UnavailableError
        The server runs but does not answer in time.
    """

    def __init__(
        self,
        folder: Path,
        logger: logging.Logger | None = None,
        *,
        database: str = "millpond",
        isolation: Literal["auto", "namespace", "user"] = "auto",
        timeout: float = 60.0,
    ) -> None:
        if not 0 < len(database.encode()) < 64 or "\0" in database:
            raise ParameterError(f"{database!r} is no database name: 1 to 63 bytes without NUL are.")
        if isolation not in ("auto", "namespace", "user"):
            raise ParameterError(f"There is no isolation {isolation!r}. Known: auto, namespace, user.")
        self.folder = Path(folder).expanduser().resolve()
        self.logger = logger or logging.getLogger("millpond.postgres_embedded")
        self.database = database
        self.isolation = isolation
        self.timeout = timeout
        self.log = self.folder / "server.log"
        self._known: Postmaster | None = None  # the server in which the database was seen

    def url(self) -> str:
        """The address for libpq, psycopg and ADBC, without a password; starts the server if it does not run."""
        server = self._server()
        if server is None or not server.ready or server != self._known:
            with self._alone():
                server, _ = self._start()
                self._have_database(server)
            self._known = server
        return address(server, self.database)

    def start(self) -> bool:
        """Start the server and wait until it answers; False if it ran already."""
        with self._alone():
            _, started = self._start()
        return started

    def stop(self) -> bool:
        """Stop the server in order, ending open transactions, and wait until it is gone; False if it did not run."""
        if not self.folder.exists():
            return False
        with self._alone():
            server = self._server()
            if server is None:
                return False
            self._end(server)
            if server.socket_folder != str(self.folder):
                with suppress(OSError):
                    os.rmdir(server.socket_folder)
        self.logger.info("PostgreSQL in %s stopped", self.folder)
        return True

    def running(self) -> bool:
        """Whether it accepts connections now."""
        server = self._server()
        return server is not None and server.ready

    def status(self) -> dict[str, Any]:
        """Folder, data version, log; of a running server pid, port, socket folder and start in Unix time."""
        server = self._server()
        return {
            "folder": str(self.folder),
            "running": server is not None and server.ready,
            "version": self._version(),
            "pid": server.pid if server else None,
            "port": PORT if server else None,
            "socket": server.socket_folder if server else None,
            "started": server.started if server else None,
            "log": str(self.log),
        }

    # -- clients -------------------------------------------------------------------------------------------------------

    @staticmethod
    def binary(name: str) -> Path:
        """One of the wheel's programs, such as `initdb`; UnknownNameError, MissingExtraError."""
        return binary(name)

    def psql(self, arguments: Sequence[str] = ()) -> int:
        """Let psql talk to the server, on this process's own streams; its exit code. Starts the server."""
        return subprocess.run([client("psql"), *arguments], env=self._environment(), check=False).returncode

    def dump(self, target: Path | BinaryIO) -> None:
        """All of the database as SQL, one snapshot: into an open file, or to a path, whole or not at all."""
        if not isinstance(target, Path):
            self._dump(target)
            return
        with storage_errors(str(target)), replacing(target) as sink:
            self._dump(sink)

    def _dump(self, sink: Any) -> None:
        command = [str(client("pg_dump")), f"--lock-wait-timeout={self.timeout * 1000:.0f}"]
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=self._environment()) as dumping:
                copy_into(sink, cast(BinaryIO, dumping.stdout))
            if dumping.returncode:
                said.seek(0)
                why = said.read(4096).decode(errors="replace").strip()
                raise StorageError(
                    f"pg_dump failed: {why}.", cure="Another may hold a table: try again.", resource=str(self.folder)
                )

    def _environment(self) -> dict[str, str]:
        """What the clients need, in place of what the environment says of other servers."""
        self.url()
        assert self._known is not None
        others = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DB_", "ARCTIC_"))}
        return {**others, **as_environment(self._known, self.database)}

    # -- starting and stopping, all under the lock ---------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock beside the folder; what the system refuses inside becomes a StorageError."""
        try:
            make_folder(self.folder.parent)
            with FileLock(f"{self.folder}.lock", timeout=self.timeout):
                yield
        except Timeout:
            raise LockedError(
                f"Another process has held the PostgreSQL in {self.folder} for {self.timeout:g} s to start or stop it.",
                cure="Try again when it is done.",
            ) from None
        except BaseFrameworkException:
            raise
        except OSError as error:
            raise self._refused(error) from error

    def _start(self) -> tuple[Postmaster, bool]:
        """The server, ready, and whether this call started it."""
        binary("postgres")  # the pip line, before anything is made
        check_data(self.folder)
        deadline = time.monotonic() + self.timeout
        server = self._server()
        ready = self._await(server.pid, deadline) if server else None
        if ready:
            self._bound_log()
            return ready, False
        isolation = isolate(self.folder, way=self.isolation)
        if version_in(self.folder) is None:
            started = time.perf_counter()
            create(self.folder, isolation)
            self.logger.info("PostgreSQL %s made in %s in %.1f s", MAJOR, self.folder, time.perf_counter() - started)
        isolation.own(self.folder)
        self.folder.chmod(0o700)
        server = launch(
            self.folder, isolation, self.log, wait=lambda pid: self._await(pid, deadline), deadline=deadline
        )
        self.logger.info("PostgreSQL %s started in %s, pid %d", MAJOR, self.folder, server.pid)
        return server, True

    def _await(self, pid: int, deadline: float) -> Postmaster | None:
        """The server once it is ready; None if process `pid` ended without that."""
        while True:
            server = self._server()
            if server and server.ready:
                return server
            if server is None and not works_in(pid, self.folder):
                return None
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"PostgreSQL (pid {pid}) in {self.folder} is not ready yet. Its log ends:\n{last_lines(self.log)}",
                    cure="It may be recovering from a crash: try again in a minute.",
                )
            time.sleep(0.01)

    def _end(self, server: Postmaster) -> None:
        if not works_in(server.pid, self.folder):
            raise StorageError(
                f"PostgreSQL in {self.folder} answers, but its process is not visible from here.",
                cure="Stop it in the container that started it.",
            )
        os.kill(server.pid, signal.SIGINT)
        deadline = time.monotonic() + self.timeout
        while works_in(server.pid, self.folder):
            if time.monotonic() > deadline:
                raise StorageError(
                    f"PostgreSQL (pid {server.pid}) in {self.folder} has not stopped.", cure="Try again."
                )
            time.sleep(0.01)

    def _have_database(self, server: Postmaster) -> None:
        try:
            import psycopg
            from psycopg import sql
        except ImportError as error:
            raise MissingExtraError("psycopg is missing.", cure=PIP_LINE) from error
        url = address(server, "postgres")
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=max(2, int(self.timeout))) as connection:
                there = "SELECT 1 FROM pg_database WHERE datname = %s"
                if connection.execute(there, [self.database]).fetchone() is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))
        except psycopg.Error as error:
            raise UnavailableError(
                f"PostgreSQL in {self.folder} runs but cannot be used: {error}",
                cure=f"Its log is {self.log}; `millpond db stop` and a new try start it again.",
            ) from error

    # -- what the folder says ------------------------------------------------------------------------------------------

    def _server(self) -> Postmaster | None:
        """The server that lives, ready or not."""
        try:
            return living(self.folder)
        except OSError as error:
            raise self._refused(error) from error

    def _version(self) -> str | None:
        try:
            return version_in(self.folder)
        except OSError as error:
            raise self._refused(error) from error

    def _bound_log(self) -> None:
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LONGEST_LOG:
                os.truncate(self.log, 0)

    def _refused(self, error: OSError) -> StorageError:
        cure = "Set FS_DATA to a folder that this user may write, or set DB_SERVER to use a server of your own."
        with suppress(OSError):
            owner = self.folder.stat().st_uid
            if owner != os.geteuid() != 0:
                cure = f"Its folder belongs to {user_name(owner)}: run as that user, or set FS_DATA to another folder."
        return StorageError(f"PostgreSQL in {self.folder} cannot be used: {error}.", cure=cure)
