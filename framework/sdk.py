"""Mods from Python: what is set once for a whole script, and each mod in one call.

set_global_config({"base_path": "/data/2024-08-12", "log_level": "INFO"})
result = run_mod("csv_reader", {"input_path": "customers.csv", "delimiter": "|"})
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from framework.attempt import attempt
from framework.errors import BaseFrameworkException, ParameterError, known_names
from framework.logs import STYLES, Session, console_logging, current_session
from framework.results import Result
from framework.workspace import Workspace
from framework.workspace.scripts import PARAMS, SESSION

__all__ = [
    "clear_global_config",
    "get_global_config",
    "get_params",
    "global_config",
    "run_mod",
    "set_global_config",
    "setup_logger",
]

USERS = "millpond.user"  # the logger above those of scripts
OF_COMMANDS = "framework.cli.run"  # where it is loaded, sessions are the command's to open
OF_LOGS = ("log_level", "log_path", "log_format")

_process: dict[str, Any] = {}
_task: ContextVar[Mapping[str, Any] | None] = ContextVar("millpond_global_config", default=None)
_guard = threading.RLock()
_open = ExitStack()
_logs: tuple[Any, ...] | None = None  # what the session that is open was opened with


def set_global_config(config: Mapping[str, Any]) -> None:
    """Set what holds for every mod that this process runs from now on; what was set before is gone.

    Parameters
    ----------
    config : mapping
        `base_path` and the like fill every parameter of that name; `log_path`, `log_level` and `log_format` (json,
        console, auto) say how the session is logged, which begins now.

    Raises
    ------
    ParameterError
        A key that is no name, a log level or format that there is not.
    """
    checked = _checked(config)
    with _guard:
        _process.clear()
        _process.update(checked)
        _have_session(checked)


def get_global_config() -> dict[str, Any]:
    """What is set, as a copy."""
    with _guard:
        own = _task.get()
        return dict(_process) if own is None else dict(own)


def clear_global_config() -> None:
    """Let nothing be set."""
    with _guard:
        _process.clear()


@contextmanager
def global_config(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """While it is open, this task and what it awaits have this configuration, and others theirs."""
    checked = _checked(config)
    token = _task.set(checked)
    try:
        yield dict(checked)
    finally:
        _task.reset(token)


def run_mod(name: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> dict[str, Any]:
    """Run a mod, recorded: the standard dictionary, also where it failed.

    Parameters
    ----------
    name : str
        The mod's name, or the dotted module that it is.
    params : mapping, optional
        Its parameters; what they do not say comes from the global configuration and the project's defaults.
    timeout : float, optional
        Seconds, after which its status is error and its exit code 40.

    Returns
    -------
    dict
        status, execution_time, metrics, artifacts, globals, warnings, errors, exit_code, logs.
    """
    shared = get_global_config()

    def run() -> Result:
        if not isinstance(params, Mapping | None):
            raise ParameterError(f"The parameters are a {type(params).__name__}.", cure="Pass a mapping.")
        with _guard:
            if _logs is None:
                _have_session(shared)
        return _workspace().run_mod(name, params or {}, shared=shared, timeout=timeout)

    done = attempt(name, run)
    if done.value is not None:
        return done.value.as_dict()
    assert done.error is not None
    return failed(name, done.error, done.seconds).as_dict()


def failed(name: str, error: Exception, seconds: float = 0.0) -> Result:
    """The result of what could not begin, each fault an error of its own."""
    result = Result(name, execution_time=seconds).fail(error)
    faults = getattr(error, "faults", None)
    if faults:
        result.errors = [str(fault) for fault in faults]
    elif isinstance(error, BaseFrameworkException):
        result.errors = [str(error)]
    session = current_session()
    if session is not None:
        result.logs |= {"log_file": str(session.path), "session_id": session.session_id}
    return result


def get_params() -> dict[str, Any]:
    """The parameters that this script was started with by `millpond run-script --params`; empty without."""
    path = os.environ.get(PARAMS)
    if not path:
        return {}
    try:
        found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"The parameters of this script cannot be read: {error}.") from error
    return found


def setup_logger(name: str) -> logging.Logger:
    """A logger whose messages go to the session's log; `extra=` becomes further keys of its lines.

    >>> setup_logger(__name__).info("Processing started", extra={"rows": 1000})
    """
    if _logs is None and current_session() is None and OF_COMMANDS not in sys.modules:
        _first.begin_listening()
    return logging.getLogger(name if name.startswith("millpond") else f"{USERS}.{name}")


# --------------------------------------------------------------------------- the session


def _checked(config: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(config, Mapping):
        raise ParameterError(f"The global configuration is a {type(config).__name__}.", cure="Pass a mapping.")
    for key in config:
        if not (isinstance(key, str) and key.isidentifier()):
            raise ParameterError(f"{key!r} is no name of a parameter.", cure="Use letters, digits and '_'.")
    level, style = config.get("log_level"), config.get("log_format")
    levels = logging.getLevelNamesMapping()
    if level is not None and (not isinstance(level, str) or level.upper() not in levels):
        raise ParameterError(f"There is no log level {level!r}.", cure=known_names(str(level), levels))
    if style is not None and style not in STYLES:
        raise ParameterError(f"There is no log format {style!r}.", cure=known_names(str(style), STYLES))
    for key in ("log_path", "base_path"):
        if not isinstance(config.get(key), (str, os.PathLike, type(None))):
            raise ParameterError(f"{key} is {config[key]!r}.", cure="Write a path.")
    return {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in config.items()}


class _First(logging.Handler):
    """Begins the session, or joins that of the command, with the first thing that a script logs."""

    def begin_listening(self) -> None:
        users = logging.getLogger(USERS)
        users.addHandler(self)
        users.setLevel(logging.DEBUG)  # how much is written is the session's to say

    def emit(self, record: logging.LogRecord) -> None:
        users = logging.getLogger(USERS)
        users.removeHandler(self)
        users.setLevel(logging.NOTSET)
        with _guard:
            begun = attempt("session", lambda: _have_session(get_global_config())) if _logs is None else None
        if begun is not None and begun.error is not None:  # what is logged stops no script
            logging.getLogger("millpond.session").warning("this session has no log: %s", begun.error)


_first = _First()


def _have_session(config: Mapping[str, Any]) -> None:
    """Open the session's log, or another where that is wished otherwise now."""
    global _logs
    wished = tuple(config.get(key) for key in OF_LOGS)
    if _logs == wished or (_logs is None and current_session() is not None):
        return
    level, folder, style = wished
    asked, join = _joined()
    level = asked or level
    _open.close()
    console_logging(str(level or "INFO").upper(), style=style or "auto")
    session = _workspace().session(_stem(), level=str(level).upper() if level else None, folder=folder, join=join)
    _open.enter_context(session)
    _logs = wished


def _joined() -> tuple[str | None, Session | None]:
    """The level and the session of the command that runs this script."""
    told = os.environ.get(SESSION)
    if not told:
        return None, None
    session_id, level, path = told.split(" ", 2)
    return (None if level == "-" else level), Session(Path(path), session_id)


def _script() -> Path | None:
    found = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(found).absolute() if found else None


def _stem() -> str:
    """What the log is called after: the script."""
    script = _script()
    return script.stem if script is not None else "session"


def _workspace() -> Workspace:
    from framework.settings import as_settings

    script = _script()
    return Workspace(config=as_settings(script=script) if script is not None else None)


atexit.register(_open.close)
