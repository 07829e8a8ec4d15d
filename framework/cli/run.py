"""What holds for every command: exit codes, errors in one line, signals, a pipe that is closed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from framework.attempt import attempt
from framework.errors import BaseFrameworkException
from framework.results import Outcome, exit_code_of

USAGE = 20
CANCELLED = Outcome.CANCELLED.exit_code


def run(arguments: Sequence[str]) -> int:
    """The command's exit code: 0, 10 with warnings, 20 bad input, 30 failed, 40 timed out, 50 stopped or locked out."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    from framework.cli.app import app

    try:
        tried = attempt("millpond", lambda: app(list(arguments), prog_name="millpond"))
    except SystemExit as ended:
        return _flushed(_code(ended.code))
    except KeyboardInterrupt:
        return CANCELLED
    if tried.error is None:
        return _flushed(0)
    if isinstance(tried.error, BrokenPipeError):
        return _closed_pipe()
    show_error(tried.error, as_json="--json" in arguments)
    return exit_code_of(tried.error)


def _stop(number: int, frame: FrameType | None) -> None:
    print("millpond: stopped", file=sys.stderr)
    raise SystemExit(CANCELLED)


def _code(code: object) -> int:
    """Usage errors are 20, whatever the parser says; Ctrl-C that it caught is 50."""
    if code is None:
        return 0
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        return Outcome.ERROR.exit_code
    return {1: CANCELLED, 2: USAGE, 130: CANCELLED}.get(code, code)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _closed_pipe()
    return code


def _closed_pipe() -> int:
    """Who read us had enough: nothing more is written, also not when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def show_error(error: BaseException, *, as_json: bool) -> None:
    """One error on standard error: in words, or as JSON."""
    from framework.redact import redact

    if as_json:
        told = {
            "status": "error",
            "error": type(error).__name__,
            "message": str(error),
            "exit_code": exit_code_of(error),
        }
        print(redact(json.dumps(told)), file=sys.stderr)
    elif isinstance(error, BaseFrameworkException):
        print(redact(f"millpond: {error}"), file=sys.stderr)
    else:
        if os.environ.get("MILLPOND_DEBUG"):
            raise error
        print(redact(f"millpond: {type(error).__name__}: {error} (the whole story: MILLPOND_DEBUG=1)"), file=sys.stderr)
