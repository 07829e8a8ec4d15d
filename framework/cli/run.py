"""What holds for every command: exit codes, errors in words, signals, a reader that has enough."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from framework.attempt import attempt
from framework.errors import CaseError, PartialFailure, StepError
from framework.results import Outcome, exit_code_of

USAGE = 20
RUNNING = ("run-mod", "run-job", "run-script")
ABOUT_COMPLETION = ("--install-completion", "--show-completion")
CANCELLED = Outcome.CANCELLED.exit_code
GRACE = 2.0  # seconds for what is under way to let go after a signal; whatever is cut then is as after a crash
_asked: list[str] = []  # the words of this command
LONGEST = 4000  # characters of one line of an error: an argument of 100 kB is not told back


def run(arguments: Sequence[str]) -> int:
    """The command's exit code: 0, 10 with warnings, 20 bad input, 30 failed, 40 timed out, 50 stopped or locked out."""
    _have_streams()
    _obey_signals()
    given = list(arguments)
    _asked[:] = given
    as_json = "--json" in given and not _answers_in_json(given)
    code = 0
    try:
        tried = attempt("millpond", lambda: _answer(given))
        if tried.error is None:
            code = int(tried.value or 0)
            sys.stdout.flush()
            return code
        error: BaseException = tried.error
    except SystemExit as ended:
        if ended.code == CANCELLED:
            _leave()
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # how the parser tells that nobody reads us any more
            return _closed_pipe()
        error = StepError(f"Something that was run called sys.exit({ended.code!r}).", cure="Let it raise an error.")
    except KeyboardInterrupt:
        _leave()
    except BrokenPipeError:
        return _closed_pipe(code)
    except OSError as refused:  # the answer could not be written
        error = refused
    if isinstance(error, BrokenPipeError):
        return _closed_pipe()
    code = show_error(error, as_json=as_json)
    if not as_json and _answers_in_json(given):
        _show_result(error, code)
    with suppress(OSError):
        sys.stdout.flush()
        return code
    _closed_pipe()  # what could not be written is not tried again when Python ends
    return code


def _answers_in_json(arguments: Sequence[str]) -> bool:
    """Whether the last line on standard error is the result, for the program that calls us."""
    words = iter(arguments)
    for word in words:
        if word == "--workspace":
            next(words, None)
        elif not word.startswith("-"):
            return word in RUNNING
    return False


def _show_result(error: BaseException, code: int) -> None:
    from framework.redact import redact
    from framework.results import Result

    result = Result("run").fail(error)
    result.exit_code = code
    faults = getattr(error, "faults", None)
    result.errors = [redact(str(fault)) for fault in faults] if faults else [redact(_told(error, code)["message"])]
    print(json.dumps(result.as_dict()), file=sys.stderr)


def _answer(arguments: list[str]) -> Any:
    if arguments == ["--version"]:
        from framework._version import __version__

        print(f"millpond {__version__}")
        return 0
    from framework.cli import complete
    from framework.cli.app import app

    def parse() -> Any:
        return app(arguments, prog_name="millpond", standalone_mode=False)

    if complete.is_asked():
        return complete.complete(parse)
    if arguments and arguments[0].split("=")[0] in ABOUT_COMPLETION:
        return _ended(parse)
    return parse()


def _ended(parse: Callable[[], Any]) -> int:
    """The code of what ends itself."""
    try:
        return int(parse() or 0)
    except SystemExit as ended:
        return USAGE if ended.code else 0


def _have_streams() -> None:
    """A stream that the caller closed swallows what is written; a character that it cannot show is escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - to the end of the process
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _obey_signals() -> None:
    """INT and TERM end with 50: the main thread unwinds, so that locks and files are let go, but not for long."""
    if threading.current_thread() is not threading.main_thread():
        return  # signals are the caller's
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=_wait_no_longer, args=(told,), daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, lambda number, frame: _end_at_once())
    print("millpond: stopped", file=sys.stderr)
    raise SystemExit(CANCELLED)


def _leave() -> NoReturn:
    """All is unwound: threads that still wait for a site or a server are not waited for."""
    with suppress(OSError):
        sys.stderr.flush()
    _end_at_once()


def _end_at_once() -> NoReturn:
    if _answers_in_json(_asked):
        from framework.results import Result

        line = json.dumps(Result("run", Outcome.CANCELLED, errors=["stopped"]).as_dict())
        with suppress(OSError):  # past what buffers and locks there are: the main thread may hold them
            os.write(2, f"{line}\n".encode())
    os._exit(CANCELLED)


def _wait_no_longer(told: int) -> None:
    """A thread that goes on, or a call that Python cannot interrupt, is cut off, as by a crash."""
    while os.read(told, 1)[0] not in (signal.SIGINT, signal.SIGTERM):
        pass  # a step whose time is up is told so by a signal too
    time.sleep(GRACE)
    _end_at_once()


def _closed_pipe(code: int = 0) -> int:
    """Who read us had enough: nothing more is written, also not when Python ends; the code of what ran stands."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def show_error(error: BaseException, *, as_json: bool) -> int:
    """Tell one error on standard error, in words or as JSON, without secrets; its exit code."""
    from framework.redact import redact

    if os.environ.get("MILLPOND_DEBUG"):
        print(redact("".join(traceback.format_exception(error))), file=sys.stderr, end="")
    code = USAGE if _from_parser(error) else exit_code_of(error)
    if as_json:
        print(redact(json.dumps(_told(error, code))), file=sys.stderr)
    else:
        print("\n".join(_shown(redact(line)) for line in _lines(error)), file=sys.stderr)
    return code


def _from_parser(error: BaseException) -> bool:
    """Whether the command line itself was wrong; the parser's classes are private to it."""
    return hasattr(error, "format_message") and hasattr(error, "show")


def _told(error: BaseException, code: int) -> dict[str, Any]:
    words = error.format_message() if isinstance(error, Exception) and _from_parser(error) else str(error)  # type: ignore[attr-defined]
    told: dict[str, Any] = {
        "status": "error",
        "error": type(error).__name__,
        "message": _cut(words),
        "exit_code": code,
    }
    if isinstance(error, CaseError) and error.faults:
        told["faults"] = [{"where": each.where, "message": each.message, "cure": each.cure} for each in error.faults]
    if isinstance(error, PartialFailure):
        told["report"] = [{"name": result.name, **result.as_dict()} for result in error.report]
    return told


def _lines(error: BaseException) -> list[str]:
    if _from_parser(error):
        text = io.StringIO()
        error.show(file=text)  # type: ignore[attr-defined]
        return text.getvalue().rstrip("\n").split("\n")
    if isinstance(error, PartialFailure):
        failed = [result for result in error.report if not result]
        if failed:
            head = f"millpond: {error.resource or 'work'}: {len(failed)} of {len(error.report)} failed."
            return [head, *(f"  {result.name}: {'; '.join(result.errors)}" for result in failed)]
    if isinstance(error, CaseError) and error.faults:
        return [f"millpond: {error.message.partition(chr(10))[0]}", *(f"  {fault}" for fault in error.faults)]
    if hasattr(error, "cure"):
        return [f"millpond: {error}"]
    return [f"millpond: {type(error).__name__}: {error} (the whole story: MILLPOND_DEBUG=1)"]


def _shown(line: str) -> str:
    from framework.logs import one_line

    return one_line(_cut(line))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text)} characters)"
