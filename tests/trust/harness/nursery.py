"""A warm process that forks children, so that a trial costs milliseconds.

Each child does one piece of work, tells how far it is through a pipe of its own, and may be killed at any moment. The
nursery imports everything and does every kind of work once before the first fork, so that a child spends its time on
what is tried and not on imports.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

import framework

HERE = Path(__file__).parents[1]
ROOT = Path(framework.__file__).parents[1]
PATIENCE = 60.0


class ChildFailedError(AssertionError):
    """A child raised what no experiment expects."""


class Child:
    """A forked process at work.

    Attributes
    ----------
    pid : int
    pipe : Connection
        Our end; at its end of file the child is dead.
    """

    def __init__(self, nursery: Nursery, pid: int, pipe: Connection) -> None:
        self._nursery = nursery
        self.pid = pid
        self.pipe = pipe
        self.reaped = False

    def told(self, seconds: float = PATIENCE) -> Any:
        """What the child says next; ChildFailedError if it says nothing, died, or raised."""
        if not self.pipe.poll(seconds):
            raise ChildFailedError(f"the child said nothing for {seconds:g} s")
        try:
            said = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            raise ChildFailedError("the child died") from None
        if isinstance(said, tuple) and said and said[0] == "raised":
            raise ChildFailedError(said[1])
        return said

    def rest(self, seconds: float = PATIENCE) -> list[Any]:
        """All that it says until it is dead, but for a last word that it did not finish."""
        said = []
        with suppress(EOFError, OSError):
            while self.pipe.poll(seconds):
                said.append(self.pipe.recv())
        return said

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill it if it lives, and take its process away."""
        if not self.reaped:
            self.kill()
            self._nursery.reap(self.pid)
            self.reaped = True
        self.pipe.close()


class Nursery:
    """The warm process.

    Parameters
    ----------
    warm : sequence of callables
        What it does before the first fork; each importable by its name.
    """

    def __init__(self, warm: Sequence[Callable[[], None]] = ()) -> None:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from harness.nursery import serve; serve({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self._pipe = Connection(ours.detach())
        for work in warm:
            self._ask(("warm", work))

    def _ask(self, request: tuple[Any, ...]) -> Any:
        self._pipe.send(request)
        if not self._pipe.poll(PATIENCE):
            raise ChildFailedError("the nursery does not answer")
        answer = self._pipe.recv()
        if isinstance(answer, str):
            raise ChildFailedError(answer)
        return answer

    @contextmanager
    def child(self, work: Callable[..., None], *arguments: Any) -> Iterator[Child]:
        """A child that does `work(pipe, *arguments)`; dead and gone on leaving."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._pipe.send(("fork", work, arguments))
            send_handle(self._pipe, theirs.fileno(), self._process.pid)
            pid = self._pipe.recv()
        child = Child(self, pid, Connection(ours.detach()))
        try:
            yield child
        finally:
            child.end()

    def reap(self, pid: int) -> None:
        self._ask(("reap", pid))

    def close(self) -> None:
        self._pipe.close()
        self._process.wait(10)


def serve(descriptor: int) -> None:
    """The nursery's own loop, until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(descriptor)
    while True:
        try:
            order, *details = pipe.recv()
        except EOFError:
            os._exit(0)
        if order == "warm":
            pipe.send(_warmed(details[0]))
        elif order == "reap":
            with suppress(ChildProcessError):
                os.waitpid(details[0], 0)
            pipe.send(True)
        else:
            handle = recv_handle(pipe)
            pid = os.fork()
            if pid == 0:
                pipe.close()
                _live(Connection(handle), details[0], details[1])
            os.close(handle)
            pipe.send(pid)


def _warmed(work: Callable[[], None]) -> bool | str:
    try:
        work()
    except Exception:  # noqa: BLE001 - told to the parent, which raises it
        return traceback.format_exc()
    gc.collect()
    gc.freeze()
    return True


def _live(pipe: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Do the work and die, without any of the ends that a process otherwise comes to."""
    code = 0
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        work(pipe, *arguments)
    except BaseException:  # noqa: BLE001 - told to the parent, which raises it
        code = 1
        with suppress(OSError):
            pipe.send(("raised", traceback.format_exc()))
    os._exit(code)


def imports(*names: str) -> None:
    """Import modules by name, those that are installed."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what is done only to be warm."""
    return tempfile.TemporaryDirectory(prefix="millpond-warm-")
