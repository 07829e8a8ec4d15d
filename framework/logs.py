"""Logs without secrets, and without lines that a message forges.

Loggers of the project are named `millpond.*`; the root logger and its handlers are left alone.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import IO, Any

from framework.errors import ParameterError, SettingError, StorageError, known_names
from framework.files import make_folder, storage_errors
from framework.redact import redact, register_secret

__all__ = [
    "ConsoleFormatter",
    "JsonFormatter",
    "RedactingFilter",
    "console_logging",
    "register_secret",
    "session_log",
    "without_secrets",
]

STYLES = ("console", "json", "auto")
DEEPEST = 50  # levels of what is written as JSON; what holds itself ends there
CONSOLE_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

# C0, DEL, C1, and Unicode's line and direction marks: what can end a line, move the cursor or reorder what is read.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


_OF_SESSION = re.compile(r"_\d{8}_\d{6}(_\d+)?\.log$")


def one_line(text: str) -> str:
    """The text with every control character but the tab written as an escape, so that it stays one line."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # Left to logging, a message that does not fit its arguments is printed as it is, secrets and all.
        return f"{record.msg} {record.args!r}"


class ConsoleFormatter(logging.Formatter):
    """One line for a message; a traceback below it, indented, so that no line of it passes for a message.

    Secrets are masked in all of it.
    """

    def __init__(self, fmt: str = CONSOLE_FORMAT) -> None:
        super().__init__(fmt)

    def format(self, record: logging.LogRecord) -> str:
        record.message = redact(_message(record))  # before its line ends are escaped: a secret may hold one
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [redact(one_line(self.formatMessage(record)))]
        for block in (self._exception(record), record.stack_info):
            if block:
                lines += [f"    {one_line(line)}" for line in redact(block).split("\n")]
        return "\n".join(lines)

    def _exception(self, record: logging.LogRecord) -> str | None:
        return self.formatException(record.exc_info) if record.exc_info else record.exc_text


class RedactingFilter(logging.Filter):
    """For handlers of your own: masks secrets in message, traceback and `extra`.

    >>> handler.addFilter(RedactingFilter())
    """

    _own = frozenset(vars(logging.makeLogRecord({})))

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(_message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None  # a handler would write the traceback anew from it
        record.exc_text = redact(record.exc_text) if record.exc_text else None
        record.stack_info = redact(record.stack_info) if record.stack_info else None
        for name, value in vars(record).items():
            if name not in self._own and isinstance(value, str):
                setattr(record, name, redact(value))
        return True


class _ConsoleHandler(logging.StreamHandler[Any]):
    """The one that `console_logging` put there, told from a user's own.

    Without a stream of its own it asks for standard error each time: a progress bar puts itself before it.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        super().__init__(stream or sys.stderr)
        self._follows = stream is None

    def emit(self, record: logging.LogRecord) -> None:
        if self._follows:
            self.stream = sys.stderr
        super().emit(record)


def console_logging(
    level: int | str = "INFO", *, stream: IO[str] | None = None, style: str = "console"
) -> logging.Handler:
    """Write the logs of Millpond to the console, from `level` on; a second call replaces the first.

    Parameters
    ----------
    level : int or str
        DEBUG, INFO, WARNING, ERROR, CRITICAL, in any case, or a number.
    stream : text file, optional
        Standard error unless given.
    style : {"console", "json", "auto"}
        Lines to read, or one of JSON each; auto is lines on a terminal and JSON elsewhere.

    Raises
    ------
    ParameterError
        No such level, or style.
    """
    number = _level(level)
    if style not in STYLES:
        raise ParameterError(f"There is no log format {style!r}.", cure=known_names(style, STYLES))
    as_json = style == "json" or (style == "auto" and not (stream or sys.stderr).isatty())
    logger = logging.getLogger("millpond")
    for old in [handler for handler in logger.handlers if isinstance(handler, _ConsoleHandler)]:
        logger.removeHandler(old)
    handler = _ConsoleHandler(stream)
    handler.setFormatter(JsonFormatter() if as_json else ConsoleFormatter())
    handler.addFilter(_with_context)
    handler.setLevel(number)
    logger.addHandler(handler)
    logger.setLevel(number)
    return handler


class JsonFormatter(logging.Formatter):
    """One line of JSON for a message; what `extra=` adds are further keys. Secrets are masked in all of it."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        own = RedactingFilter._own | {"message", "asctime"}
        told |= {name: value for name, value in vars(record).items() if name not in own}
        if record.exc_info or record.exc_text:
            told["error"] = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        # Masked before it is JSON, so that no mask swallows a quote.
        return json.dumps(without_secrets(told), ensure_ascii=False)


def without_secrets(value: Any) -> Any:
    """The value with secrets masked in all text of it, made of nothing but what JSON knows."""
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in (int, float, bool, type(None)):
        return value
    if kind is str:
        return redact(value)
    if depth > DEEPEST:
        return "..."
    if isinstance(value, Enum):
        return _plain(value.value, depth + 1)
    if isinstance(value, Mapping):
        return {redact(str(key)): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, (set, frozenset)):
        return [_plain(each, depth + 1) for each in sorted(value, key=repr)]
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(), depth + 1)
    return redact(value.isoformat() if hasattr(value, "isoformat") else str(value))


@dataclass(frozen=True, slots=True)
class Session:
    """Where this process logs.

    Attributes
    ----------
    path : Path
        The file.
    session_id : str
        In each line of it.
    """

    path: Path
    session_id: str


_sessions: list[Session] = []
_context: ContextVar[Mapping[str, str] | None] = ContextVar("millpond_log_context", default=None)


def current_session() -> Session | None:
    """The session that is open, if one is."""
    return _sessions[-1] if _sessions else None


@contextmanager
def log_context(**keys: str) -> Iterator[None]:
    """While it is open, what this thread logs has these keys in each line of JSON."""
    token = _context.set({**(_context.get() or {}), **keys})
    try:
        yield
    finally:
        _context.reset(token)


def _with_context(record: logging.LogRecord) -> bool:
    """Give a message the keys of what runs, and the session's."""
    session = current_session()
    if session is not None:
        record.session_id = session.session_id
    for name, value in (_context.get() or {}).items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


@contextmanager
def session_log(
    folder: Path,
    stem: str,
    *,
    level: int | str = logging.INFO,
    keep_days: float | None = None,
    join: Session | None = None,
) -> Iterator[Path]:
    """While it is open, what Millpond logs from `level` on goes to `<stem>_<YYYYmmdd_HHMMSS>.log`, a line of JSON each.

    The process's number is added to the name if another has taken it.

    Parameters
    ----------
    keep_days : float, optional
        Older logs of sessions in that folder are removed.
    join : Session, optional
        Another process's, whose file is written on.
    """
    least = _level(level)
    if join is not None:
        with storage_errors(f"the log {join.path}"):
            file: IO[str] = open(join.path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    else:
        file = _log_file(folder, re.sub(r"[^\w.-]+", "_", stem).encode()[:100].decode(errors="ignore") or "session")
    session = join or Session(Path(file.name), str(uuid.uuid4()))
    if keep_days is not None:
        forget_logs(folder, keep_days)
    logger = logging.getLogger("millpond")
    handler = logging.StreamHandler(file)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_with_context)
    handler.setLevel(least)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(before or least, least))
    _sessions.append(session)
    try:
        yield session.path
    finally:
        _sessions.remove(session)
        logger.removeHandler(handler)
        logger.setLevel(before)
        try:
            file.close()
        except OSError as error:  # what was done is done
            logger.warning("the log %s is not whole: %s", file.name, error)


def forget_logs(folder: Path, days: float) -> int:
    """Remove the logs of sessions in a folder that were last written before that many days: how many."""
    before, gone = time.time() - days * 86400, 0
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            if _OF_SESSION.search(path.name) and path.stat().st_mtime < before:
                path.unlink()
                gone += 1
    return gone


def _log_file(folder: Path, stem: str) -> IO[str]:
    """A file of its own for the session."""
    name = f"{stem}_{datetime.now():%Y%m%d_%H%M%S}"
    try:
        with storage_errors(f"the log in {folder}"):
            make_folder(folder)
            with suppress(FileExistsError):
                return open(folder / f"{name}.log", "x", encoding="utf-8", errors="backslashreplace")
            return open(folder / f"{name}_{os.getpid()}.log", "a", encoding="utf-8", errors="backslashreplace")
    except StorageError as error:
        error.cure = error.cure or "Say where logs may go with logging.base_path, or give the rights to that folder."
        raise


def configure(said: Mapping[str, Any], where: str) -> str | int:
    """What a project says of its logs, carried out: the level of sessions, and what `dictConfig` understands.

    Parameters
    ----------
    said : mapping
        `{level: DEBUG}`, or what `logging.config.dictConfig` takes; loggers that are there stay on.
    """
    import logging.config

    rest = {name: value for name, value in said.items() if name != "level"}
    if rest:
        try:
            logging.config.dictConfig({"version": 1, **rest, "disable_existing_loggers": False})
        except (ValueError, TypeError, AttributeError, ImportError) as error:
            raise SettingError(f"{where}: {error}.", cure="Write `level: INFO`, or what dictConfig takes.") from error
    level: str | int = said.get("level", "INFO")
    return level


def _level(level: int | str) -> int:
    if isinstance(level, int):
        return level
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise ParameterError(f"There is no log level {level!r}.", cure=known_names(level, levels))
    return levels[level.upper()]
