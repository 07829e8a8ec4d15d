"""Connections that belong to one process, and the server's errors as ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import adbc_driver_manager
import psycopg
from psycopg import errors as told

from framework.errors import DataException, LockedError, SchemaError, StorageError, UnavailableError

MOST_IDLE = 4


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
                if self._pid != os.getpid():  # the parent's sockets are the parent's
                    self._idle, self._pid = [], os.getpid()
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            if _alive(connection):
                return connection

    def _give(self, connection: Any) -> None:
        with self._lock:
            if len(self._idle) < MOST_IDLE and self._pid == os.getpid():
                self._idle.append(connection)
                return
        connection.close()


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


@contextmanager
def errors_of(what: str) -> Iterator[None]:
    """Turn the server's errors into ours, naming `what`."""
    try:
        yield
    except DataException:
        raise
    except (told.LockNotAvailable, told.DeadlockDetected) as error:
        raise LockedError(
            f"{what!r} is held by another transaction.",
            cure="Try again, or wait longer with LOCK_TIMEOUT.",
            resource=what,
        ) from error
    except (
        told.DependentObjectsStillExist,
        told.FeatureNotSupported,
        told.IntegrityConstraintViolation,
        told.UndefinedColumn,
        told.WrongObjectType,
        told.DatatypeMismatch,
    ) as error:
        raise SchemaError(
            f"{what!r} cannot take this data: {_words(error)}.",
            cure="Change what depends on it, or save under another name.",
            resource=what,
        ) from error
    except (psycopg.OperationalError, adbc_driver_manager.OperationalError) as error:
        raise UnavailableError(
            f"The server failed while {what!r} was used: {_words(error)}.",
            cure="What was there is untouched unless the server had committed already.",
            resource=what,
        ) from error
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        raise StorageError(f"The server refused {what!r}: {_words(error)}.", resource=what) from error


def _words(error: Exception) -> str:
    diagnosis = getattr(error, "diag", None)
    main = getattr(diagnosis, "message_primary", None)
    detail = getattr(diagnosis, "message_detail", None)
    return " ".join(part for part in (main or str(error).split("\n")[0], detail and f"({detail})") if part)
