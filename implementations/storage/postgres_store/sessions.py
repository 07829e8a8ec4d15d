"""Connections that belong to one process, lent and given back."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from psycopg import generators
from psycopg.pq import ExecStatus, TransactionStatus

from .failures import DRIVERS

MOST_IDLE = 4
ACTIVE = TransactionStatus.ACTIVE
DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
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
        connection = self.take()
        try:
            yield connection
        except BaseException:
            discard(connection)
            raise
        self.give(connection)

    def take(self) -> Any:
        """One that answers; whoever takes it gives it back or discards it."""
        while (connection := self.idle()) is not None:
            if _alive(connection):
                return connection
        return self._connect()

    def idle(self) -> Any:
        """One of the idle, unchecked; None when there is none."""
        while True:
            with self._lock:
                if self._pid != os.getpid():
                    PARENTS.append(self._idle)
                    self._idle, self._pid = [], os.getpid()
                    weakref.finalize(self, _close_all, self._idle, self._pid)
                connection = self._idle.pop() if self._idle else None
            if connection is None or _heard(connection):
                return connection

    def new(self) -> Any:
        """One that was not there before."""
        return self._connect()

    def give(self, connection: Any) -> None:
        """Take one back."""
        with self._lock:
            if len(self._idle) < MOST_IDLE and self._pid == os.getpid():
                self._idle.append(connection)
                return
        discard(connection)

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._lock:
            _close_all(self._idle, self._pid)


def discard(connection: Any) -> None:
    """Close a connection, whatever state it is in."""
    with suppress(*DRIVERS):
        connection.close()


def _close_all(idle: list[Any], pid: int) -> None:
    while idle and pid == os.getpid():
        discard(idle.pop())


def _heard(connection: Any) -> bool:
    """Whether what was sent last, whose answer nobody waited for, was done; if not, the connection is closed."""
    server = getattr(connection, "pgconn", None)  # ADBC's have none
    if server is None or server.transaction_status != ACTIVE:
        return True
    done = False
    try:
        with suppress(*DRIVERS):
            done = all(answer.status in DONE for answer in connection.wait(generators.execute(server)))
    finally:
        if not done:
            discard(connection)
    return done


def _alive(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        if not getattr(connection, "autocommit", False):
            connection.rollback()
    except DRIVERS:
        discard(connection)
        return False
    return True
