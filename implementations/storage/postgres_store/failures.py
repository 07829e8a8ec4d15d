"""The server's errors as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager
import psycopg

from framework.errors import FidelityError, LockedError, SchemaError, StorageError, UnavailableError

DRIVERS = (psycopg.Error, adbc_driver_manager.Error)

# What the server says, by its SQLSTATE: the same through both drivers.
GONE = {"42P01"}
HELD = {"55P03", "40P01"}
LATE = {"57014"}
UNFIT = {"2BP01", "0A000", "42703", "42809", "42804", "42846", "428C9", "42P16", "44000"}
LOST = ("57P0", "08")
LOST_WORDS = ("server closed the connection", "no connection to the server", "terminating connection", "not received")


def is_lost(error: BaseException | None) -> bool:
    """Whether a driver's error means that the connection is gone, and not only the statement."""
    if not isinstance(error, DRIVERS):
        return False
    if str(error.sqlstate or "").startswith(LOST):
        return True
    return error.sqlstate is None and any(words in str(error) for words in LOST_WORDS)


@contextmanager
def errors_of(what: str, *, gone: Callable[[], Exception] | None = None) -> Iterator[None]:
    """Turn the server's errors into ours, naming `what`; `gone` is for a table that went away meanwhile."""
    try:
        yield
    except DRIVERS as error:
        raise _ours(error, what, gone) from error


def _ours(error: Any, what: str, gone: Callable[[], Exception] | None) -> Exception:
    state = str(error.sqlstate or "")
    if state in GONE and gone is not None:
        return gone()
    if state in HELD:
        return LockedError(
            f"{what!r} is held by another transaction.",
            cure="Try again, or wait longer with LOCK_TIMEOUT.",
            resource=what,
        )
    if state in UNFIT or state.startswith(("22", "23")):  # a value that a type, a constraint or a trigger refuses
        return SchemaError(
            f"{what!r} cannot take this data: {words(error)}.",
            cure="Change the data or what depends on the table, or save under another name.",
            resource=what,
        )
    if state.startswith("54"):  # a limit of the server's: the width of a row, the length of a statement
        return FidelityError(
            f"{what!r} is more than the server holds: {words(error)}.",
            cure="Save fewer or shorter columns, or use parquet.",
            resource=what,
        )
    if state in LATE:
        return UnavailableError(
            f"The server was stopped in its work on {what!r}: {words(error)}. Nothing was changed.",
            cure="Try again, or give it longer with the option statement_timeout.",
            resource=what,
        )
    if is_lost(error) or isinstance(error, (psycopg.OperationalError, adbc_driver_manager.OperationalError)):
        return UnavailableError(
            f"The server failed while {what!r} was used: {words(error)}.",
            cure="Nothing was changed. Try again when it is there.",
            resource=what,
        )
    return StorageError(f"The server refused {what!r}: {words(error)}.", resource=what)


def words(error: Exception) -> str:
    """What the server said, on one line."""
    diagnosis = getattr(error, "diag", None)
    main = getattr(diagnosis, "message_primary", None)
    detail = getattr(diagnosis, "message_detail", None)
    told = (main or str(error).split("\n")[0]).rstrip(".")
    return f"{told} ({detail.rstrip('.')})" if detail else told
