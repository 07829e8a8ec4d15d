"""The writer's lock of a dataset, and transactions under it that happen once however the connection fares."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from framework.errors import BaseFrameworkException, OutcomeUnknownError, UnavailableError

from .connect import CONNECT_SECONDS
from .failures import is_lost
from .sessions import Sessions, discard

if TYPE_CHECKING:
    from psycopg import Connection

Work = Callable[["Connection[Any]"], None]
Happened = Callable[["Connection[Any]"], bool]


class Held:
    """The server's own lock, so that it holds across hosts; it is gone when its connection is.

    Attributes
    ----------
    connection : psycopg.Connection
        The one that holds it.
    relied : bool
        Whether something was read under the lock that the caller goes by. Then a lock that was lost is not taken again
        behind his back: another writer may have come in between.
    """

    def __init__(self, sessions: Sessions, key: int) -> None:
        self._sessions = sessions
        self._key = key
        self.relied = False
        self.connection: Connection[Any] = self._locked()

    def _locked(self) -> Connection[Any]:
        """A connection that has the lock; the idle ones show by it whether they live."""
        while (idle := self._sessions.idle()) is not None:
            try:
                return self._lock(idle)
            except psycopg.Error as error:
                if not is_lost(error):
                    raise
        return self._lock(self._sessions.new())

    def _lock(self, connection: Connection[Any]) -> Connection[Any]:
        try:
            connection.execute(f"SELECT pg_advisory_lock({self._key})")
        except BaseException:
            discard(connection)
            raise
        return connection

    def renew(self) -> None:
        """Take the lock anew after its connection was lost, as soon as the server answers.

        The lost connection's backend had the lock, so whoever gets it knows that the other has ended.
        """
        discard(self.connection)
        end, pause = time.monotonic() + CONNECT_SECONDS, 0.05
        while True:
            try:
                self.connection = self._locked()
                return
            except (UnavailableError, psycopg.OperationalError) as error:
                if isinstance(error, psycopg.errors.LockNotAvailable) or time.monotonic() > end:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def release(self) -> None:
        """Let the next writer in."""
        with suppress(psycopg.Error):
            if self.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                server = self.connection.pgconn
                server.send_query(f"SET LOCAL statement_timeout = 0; SELECT pg_advisory_unlock({self._key})".encode())
                server.flush()
                self._sessions.give(self.connection)  # whoever takes it next waits for the answer
                return
        discard(self.connection)

    def commit(self, work: Work, happened: Happened, *, what: str, save_id: str | None = None) -> None:
        """Do `work`, which begins a transaction, once.

        A connection that is lost before the COMMIT was sent has committed nothing: the whole is tried once more. One
        that is lost with it may have: `happened` is asked over another connection.

        Raises
        ------
        OutcomeUnknownError
            When nobody can be asked.
        """
        for last in (self.relied, True):
            sent = False
            try:
                work(self.connection)
                sent = True
                self.connection.execute("COMMIT")
                return
            except BaseException as error:
                if not self._is_lost(error):
                    self._undo()
                    raise
                if last and not sent:
                    raise
                if self._found(happened, what=what, save_id=save_id if sent else None, sent=sent, error=error):
                    return
                if last:
                    raise

    def _is_lost(self, error: BaseException) -> bool:
        return isinstance(error, psycopg.Error) and (is_lost(error) or self.connection.closed)

    def _undo(self) -> None:
        with suppress(psycopg.Error):
            self.connection.execute("ROLLBACK")

    def _found(self, happened: Happened, *, what: str, save_id: str | None, sent: bool, error: BaseException) -> bool:
        """Whether it has happened, once the lock is ours again."""
        try:
            self.renew()
            return happened(self.connection)
        except (BaseFrameworkException, psycopg.Error) as reason:
            if not sent:
                if isinstance(reason, psycopg.errors.LockNotAvailable):
                    raise
                raise error from None
            again = f" Save the same again with save_id={save_id!r}: if it has happened, that adds nothing."
            raise OutcomeUnknownError(
                f"The server went away while it committed {what!r}: it is whole or has not happened.",
                cure="Look when the server is there again." + (again if save_id else ""),
                save_id=save_id,
                resource=what,
            ) from reason
