"""Where the server's socket lies, and the address that leads to it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from framework.errors import StorageError
from framework.unprivileged import Isolation

from .postmaster import PORT, Postmaster

SUPERUSER = "postgres"
LONGEST_SOCKET_FOLDER = 103 - len(f"/.s.PGSQL.{PORT}")  # bytes; macOS allows 103 for the whole path, Linux 107


def address(server: Postmaster, database: str) -> str:
    """The server's libpq address."""
    host = quote(server.socket_folder, safe="")
    return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={host}&port={PORT}"


def as_environment(server: Postmaster, database: str) -> dict[str, str]:
    """The same in the variables that PostgreSQL's clients read."""
    return {"PGHOST": server.socket_folder, "PGPORT": str(PORT), "PGUSER": SUPERUSER, "PGDATABASE": database}


def socket_folder(folder: Path, isolation: Isolation) -> Path:
    """The data's own folder, unless a socket's address cannot hold it; then a private one, named after it."""
    if _fits(str(folder)):
        return folder
    name = f"millpond-{isolation.uid}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
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


def _fits(folder: str) -> bool:
    """Whether every client takes `folder` as a socket's folder: short, and without the signs that separate several."""
    return (
        re.fullmatch(r"/[\w./ +=~-]*[\w.+=~-]", folder, re.ASCII) is not None and len(folder) <= LONGEST_SOCKET_FOLDER
    )
