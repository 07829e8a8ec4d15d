"""A door before a PostgreSQL server that lets a COMMIT through and keeps its answer to itself."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

SECONDS = 20.0


class Door:
    """A socket in a folder that leads to the server.

    Parameters
    ----------
    address : str
        The server's.
    folder : Path
        Where the socket is put; its path is short.

    Attributes
    ----------
    address : str
        The same server's, through this door.
    before, after : bool
        What happens to the next COMMIT: the line is cut before it gets to the server, or after it was carried out.
    refusing : bool
        Whether nobody gets through; a cut with `shuts` begins it, and ends every other line too.
    cuts : int
        How often a line was cut.
    """

    def __init__(self, address: str, folder: Path) -> None:
        told = conninfo_to_dict(address)
        host, port = str(told.get("host") or "localhost"), int(told.get("port") or 5432)
        self._server: tuple[str, int] | str = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self.address = make_conninfo(address, host=str(folder), port=5432, sslmode="disable", gssencmode="disable")
        self.before = self.after = False
        self.refusing = self.shuts = False
        self.cuts = 0
        self._lines: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(50)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        unix = isinstance(self._server, str)
        server = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        with client, server, suppress(OSError):
            if self.refusing:
                return
            server.connect(self._server)
            self._lines.add(client)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for side in ready:
                    data = side.recv(1 << 16)
                    if not data or (side is client and self._cut(data, server)):
                        return
                    (server if side is client else client).sendall(data)

    def _cut(self, data: bytes, server: socket.socket) -> bool:
        """Whether the line ends here; a COMMIT that is let through has been carried out by then."""
        if b"COMMIT" not in data.upper() or not (self.before or self.after):
            return False
        if self.after:
            server.sendall(data)
            server.settimeout(SECONDS)
            server.recv(1 << 16)
        self.before = self.after = False
        self.cuts += 1
        if self.shuts:
            self.refusing = True
            for line in self._lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
        return True

    def close(self) -> None:
        self._listener.close()
