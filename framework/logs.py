"""Logs without secrets, and without lines that a message forges.

Loggers of the project are named `millpond.*`; the root logger and its handlers are left alone.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import IO, Any

from framework.errors import ParameterError, known_names
from framework.redact import redact, register_secret

__all__ = ["ConsoleFormatter", "RedactingFilter", "console_logging", "register_secret"]

CONSOLE_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

# C0, DEL, C1, and Unicode's line and direction marks: what can end a line, move the cursor or reorder what is read.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


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


def console_logging(level: int | str = "INFO", *, stream: IO[str] | None = None) -> logging.Handler:
    """Write the logs of Millpond to the console, from `level` on; a second call replaces the first.

    Parameters
    ----------
    level : int or str
        DEBUG, INFO, WARNING, ERROR, CRITICAL, in any case, or a number.
    stream : text file, optional
        Standard error unless given.

    Raises
    ------
    ParameterError
        No such level.
    """
    number = _level(level)
    logger = logging.getLogger("millpond")
    for old in [handler for handler in logger.handlers if isinstance(handler, _ConsoleHandler)]:
        logger.removeHandler(old)
    handler = _ConsoleHandler(stream)
    handler.setFormatter(ConsoleFormatter())
    handler.setLevel(number)
    logger.addHandler(handler)
    logger.setLevel(number)
    return handler


def _level(level: int | str) -> int:
    if isinstance(level, int):
        return level
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise ParameterError(f"There is no log level {level!r}.", cure=known_names(level, levels))
    return levels[level.upper()]
