"""A process that kills itself at the n-th of what it does: a statement, a file's rename, a call of our own code."""

from __future__ import annotations

import os
import posix
import signal
import sqlite3
import sys
import threading
from dataclasses import dataclass, field
from io import IOBase
from pathlib import Path
from types import FrameType
from typing import Any

import framework
from framework.mods.run import is_running

ROOT = Path(framework.__file__).parents[1]
OURS = tuple(str(ROOT / name) + os.sep for name in ("framework", "implementations"))
DATABASE = (sqlite3.Connection, sqlite3.Cursor)
NAMING = {"rename", "replace", "link", "unlink", "mkdir", "rmdir"}
SYSTEM = NAMING | {"write", "flush", "fsync", "fdatasync", "truncate"}
DRIVER = f"{os.sep}psycopg{os.sep}"
SENT = frozenset({"execute", "executemany", "commit", "rollback", "write", "close"})
KINDS = ("writes", "calls", "makes", "loads")
SINK = "database_writer"
OUTSIDE = "outside of them"


@dataclass(slots=True)
class Fate:
    """Counts what the process does, and ends it at one of these moments: before it is done, or right after.

    Parameters
    ----------
    kind : {"writes", "calls", "makes", "loads"}
        What is counted: what is said to a database or asked of the file system; every call of a function of ours; the
        same while a mod other than the sink makes its artifact; what the sink alone says and asks.
    nth : int, optional
        At which of them it dies; at none unless given.
    pipe : optional
        Who is told in which mod, before.
    """

    kind: str
    nth: int | None = None
    pipe: Any = None
    count: int = 0
    _guard: Any = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Count from now on, in every thread."""
        follow = self._call if self.kind in ("calls", "makes") else self._write
        threading.setprofile(follow)
        sys.setprofile(follow)

    def end(self) -> int:
        """Count no longer; how many there were."""
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        return self.count

    def _write(self, frame: FrameType, event: str, function: Any) -> None:
        if event in ("c_call", "c_return"):
            of = getattr(function, "__self__", None)
            name = getattr(function, "__name__", "")
            if isinstance(of, DATABASE) or (name in SYSTEM and (isinstance(of, IOBase) or of is posix)):
                self._came()
        elif event in ("call", "return"):
            code = frame.f_code
            if code.co_name in SENT and DRIVER in code.co_filename:
                self._came()

    def _call(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            self._came()

    def _came(self) -> None:
        if self.kind in ("makes", "loads") and _where() != self.kind:
            return
        with self._guard:
            self.count += 1
            if self.count == self.nth:
                die(self.pipe)


def _where() -> str:
    run = is_running()
    return "" if run is None else "loads" if run.mod == SINK else "makes"


def die(pipe: Any) -> None:
    """Tell in which mod, and be killed as by another process: nothing is closed, flushed or unwound."""
    run = is_running()
    pipe.send(("dies", OUTSIDE if run is None else run.mod))
    os.kill(os.getpid(), signal.SIGKILL)
