"""Connections that belong to one process, and the server's errors as ours."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import adbc_driver_manager
import psycopg

from framework.errors import FidelityError, LockedError, SchemaError, StorageError, UnavailableError

MOST_IDLE = 4
PARENTS: list[list[Any]] = []  # never closed in a child: it would end the parent's sessions


class Sessions:
    """Idle connections, checked before they are lent; after a fork there are none.

    Parameters
    ----------
    connect : callable
        Makes a connection.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._pid = os.getpid()
        weakref.finalize(self, _close_all, self._idle, self._pid)

    @contextmanager
    def use(self) -> Iterator[Any]:
        """Lend one; it comes back unless something was raised, and is then closed."""
        connection = self._take()
        try:
            yield connection
        except BaseException:
            with suppress(psycopg.Error, adbc_driver_manager.Error):
                connection.close()
            raise
        self._give(connection)

    def _take(self) -> Any:
        while True:
            with self._lock:
                if self._pid != os.getpid():
                    PARENTS.append(self._idle)
                    self._idle, self._pid = [], os.getpid()
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            if _alive(connection):
                return connection

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._lock:
            _close_all(self._idle, self._pid)

    def _give(self, connection: Any) -> None:
        with self._lock:
            if len(self._idle) < MOST_IDLE and self._pid == os.getpid():
                self._idle.append(connection)
                return
        connection.close()


def _close_all(idle: list[Any], pid: int) -> None:
    while idle and pid == os.getpid():
        with suppress(psycopg.Error, adbc_driver_manager.Error):
            idle.pop().close()


def _alive(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        connection.rollback()
    except (psycopg.Error, adbc_driver_manager.Error):
        with suppress(psycopg.Error, adbc_driver_manager.Error):
            connection.close()
        return False
    return True


# What the server says, by its SQLSTATE: the same through both drivers.
GONE = {"42P01"}
HELD = {"55P03", "40P01"}
UNFIT = {"2BP01", "0A000", "42703", "42809", "42804", "23000", "23001", "23502", "23503", "23505", "23514", "23P01"}


@contextmanager
def errors_of(what: str, *, gone: Callable[[], Exception] | None = None) -> Iterator[None]:
    """Turn the server's errors into ours, naming `what`; `gone` is for a table that went away meanwhile."""
    try:
        yield
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        raise _ours(error, what, gone) from error


def _ours(error: Any, what: str, gone: Callable[[], Exception] | None) -> Exception:
    state = error.sqlstate
    if state in GONE and gone is not None:
        return gone()
    if state in HELD:
        return LockedError(
            f"{what!r} is held by another transaction.",
            cure="Try again, or wait longer with LOCK_TIMEOUT.",
            resource=what,
        )
    if state in UNFIT:
        return SchemaError(
            f"{what!r} cannot take this data: {_words(error)}.",
            cure="Change what depends on it, or save under another name.",
            resource=what,
        )
    if str(state).startswith("54"):  # a limit of the server's: the width of a row, the length of a statement
        return FidelityError(
            f"{what!r} is more than the server holds: {_words(error)}.",
            cure="Save fewer or shorter columns, or use parquet.",
            resource=what,
        )
    if isinstance(error, (psycopg.OperationalError, adbc_driver_manager.OperationalError)):
        return UnavailableError(
            f"The server failed while {what!r} was used: {_words(error)}.",
            cure="What was there is untouched unless the server had committed already.",
            resource=what,
        )
    return StorageError(f"The server refused {what!r}: {_words(error)}.", resource=what)


def _words(error: Exception) -> str:
    diagnosis = getattr(error, "diag", None)
    main = getattr(diagnosis, "message_primary", None)
    detail = getattr(diagnosis, "message_detail", None)
    return " ".join(part for part in (main or str(error).split("\n")[0], detail and f"({detail})") if part)
