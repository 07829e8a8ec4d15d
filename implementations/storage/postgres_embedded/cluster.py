"""A cluster's folder, and how its server is brought up."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from framework.errors import StorageError
from framework.files import sync_folder
from framework.unprivileged import Isolation, isolations

from .postmaster import NO_PROCESS, PORT, Postmaster, free_pid_files, last_lines, version_in
from .programs import MAJOR, binary
from .sockets import SUPERUSER, socket_folder

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


def check_data(folder: Path) -> None:
    """StorageError if the folder holds what is not ours, or another version's data; nothing is touched."""
    version = version_in(folder)
    if version is None and folder.exists() and any(folder.iterdir()):
        raise StorageError(
            f"{folder} holds something that is not a PostgreSQL cluster.",
            cure="Move it away, or set FS_DATA to another folder.",
        )
    if version not in (None, MAJOR):
        raise StorageError(
            f"The data in {folder} are of PostgreSQL {version}; this Millpond runs {MAJOR}.",
            cure=(
                f"Dump them with a PostgreSQL {version} "
                f'(pg_ctl -w -D "{folder}" -o "-k /tmp" start; pg_dumpall -h /tmp -U {SUPERUSER} > old.sql; '
                f'pg_ctl -D "{folder}" stop), move the folder away, '
                "and restore: millpond db psql -- -f old.sql"
            ),
        )


def create(folder: Path, isolation: Isolation) -> None:
    """A new cluster, synced beside the folder and then renamed: a killed initdb leaves nothing in its place."""
    marks = {"prefix": f".{folder.name}.", "suffix": ".new"}
    for old in folder.parent.glob(f"{marks['prefix']}*{marks['suffix']}"):
        if time.time() - old.stat().st_mtime > 3600:  # never had data: its initdb was killed
            shutil.rmtree(old, ignore_errors=True)
    new = Path(tempfile.mkdtemp(**marks, dir=folder.parent))
    try:
        isolation.own(new)
        done = isolation.run([binary("initdb"), "-D", new, *CLUSTER], cwd=new)
        if done.returncode != 0:
            raise StorageError(
                f"PostgreSQL could not make its data folder {folder}: {(done.stderr or done.stdout).strip()}",
                cure="Set FS_DATA to a folder with room that this user may write, or set DB_SERVER.",
            )
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    sync_folder(folder.parent)


def launch(
    folder: Path, isolation: Isolation, log: Path, *, wait: Callable[[int], Postmaster | None], deadline: float
) -> Postmaster:
    """Start the server and leave it behind; `wait` answers with it once it is ready, or None if it ended.

    It is tried again until `deadline` (monotonic) while a killed server's children still hold the data.

    Raises
    ------
    StorageError
        It ended; with what its log says.
    """
    sockets = socket_folder(folder, isolation)
    free_pid_files(folder, sockets)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    settings = {**SETTINGS, "unix_socket_directories": str(sockets)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    shell: list[str | Path] = ["/bin/sh", "-c", LEAVE_BEHIND, "sh", log]
    command = [*shell, binary("postgres"), "-D", folder, *options]
    while True:
        seen = log.stat().st_size if log.exists() else 0
        started = isolation.run(command, cwd=folder)
        server = wait(int(started.stdout.strip() or NO_PROCESS))
        if server:
            return server
        said = last_lines(log, seen)
        # after a kill the old server's children need a moment to notice
        if "pre-existing shared memory block" not in said or time.monotonic() > deadline:
            raise StorageError(
                f"PostgreSQL did not start in {folder}. Its log {log} ends:\n{said}",
                cure="Put right what the log says, or set DB_SERVER to use a server of your own.",
            )
        time.sleep(0.1)


def isolate(folder: Path, *, way: str) -> Isolation:
    """Whom the server runs as: the first way that can reach its folder and its programs."""
    candidates = isolations(folder, way=way, begun=version_in(folder) is not None)
    if candidates[0].name == "plain":
        return candidates[0]
    paths = [*reversed(folder.parents), binary("postgres")]
    refusals = []
    for candidate in candidates:
        refusal = candidate.refusal(paths)
        if refusal is None:
            return candidate
        refusals.append(f"{candidate}: {refusal}")
    raise StorageError(
        f"PostgreSQL cannot run in {folder}, which this user alone can reach ({'; '.join(refusals)}).",
        cure="Set FS_DATA to a folder that such a user can reach, run as an ordinary user, or set DB_SERVER.",
    )
