"""What a data folder says of its server: the pid file, whether its process lives, its log."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PORT = 5432  # part of the socket's file name only
NO_PROCESS = 2**31 - 1  # above any system's largest process id


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a server's own pid file says of it."""

    pid: int
    started: int
    socket_folder: str
    ready: bool


def living(folder: Path) -> Postmaster | None:
    """The server that lives, ready or not; a pid file's writer may be dead, and its pid another's by now."""
    try:
        lines = (folder / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(lines) < 3 or not lines[0].isdigit() or not lines[2].isdigit():
        return None
    lines += [""] * 8
    server = Postmaster(int(lines[0]), int(lines[2]), lines[4], lines[7].strip() == "ready")
    alive = (works_in(server.pid, folder) and _is_postgres(server.pid)) or _answers(server.socket_folder)
    return server if alive else None


def version_in(folder: Path) -> str | None:
    """The major version of the data; None where there are none."""
    try:
        return (folder / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def free_pid_files(folder: Path, sockets: Path) -> None:
    """Let a dead server's pid files name no process, where another process has its pid by now.

    PostgreSQL would take that process for a server. The files stay: they tell it of shared memory still in use.
    """
    for path in (folder / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock"):
        with suppress(FileNotFoundError), path.open("r+b") as file:
            first, newline, rest = file.read().partition(b"\n")
            if newline and _exists(first):
                file.seek(0)
                file.write(str(NO_PROCESS).encode() + newline + rest)  # never shorter than what it replaces


def last_lines(log: Path, start: int = 0, *, lines: int = 15) -> str:
    """What the log says from byte `start` on, at most so many lines of it."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - 8192))
            said = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        said = []
    return "\n".join(said[-lines:]) or "(nothing was written)"


def works_in(pid: int, folder: Path) -> bool:
    """Whether process `pid` has `folder` for its working folder, as a server has its data's."""
    if sys.platform == "linux":
        with suppress(OSError):
            return os.path.samefile(f"/proc/{pid}/cwd", folder)
        return False
    shown = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(folder) in shown.stdout


def _is_postgres(pid: int) -> bool:
    """Whether that process is a PostgreSQL: a shell that stands in the folder may have a dead server's pid."""
    if sys.platform != "linux":
        return True  # its arguments were looked at
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    return False


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


def _exists(pid: bytes) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True
