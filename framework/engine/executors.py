"""Where the steps of a plan run: one after the other, in threads, or each in a process of its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.reduction import ForkingPickler
from queue import SimpleQueue
from typing import Any, Protocol

from framework.attempt import Attempt, attempt
from framework.engine.trying import UNWIND, Stopped, tell_to_stop
from framework.errors import FidelityError, OptionError, StepError, StepTimeoutError, known_names

Work = Callable[[], Any]
EXECUTORS = ("threads", "processes")
GRACE = 5.0  # seconds beyond its time after which a process that does not heed it is killed
LOOK = 0.5  # seconds between two looks whether a process still lives
PR_SET_PDEATHSIG = 1


class Executor(Protocol):
    """Does pieces of work, `workers` of them side by side."""

    workers: int

    def begin(self, place: int, work: Work, *, longest: float | None = None) -> None:
        """Start the work of a place, for which there is room; it may take `longest` seconds."""

    def next_done(self) -> tuple[int, Attempt[Any]]:
        """The place of a piece that is done, and what became of it; waits for one."""

    def stop(self) -> None:
        """Nothing more: a thread that works is told to stop, and a process that does is killed."""


def executor_of(kind: str, workers: int) -> Executor:
    """The executor of that kind; OptionError for one that there is not."""
    if kind not in EXECUTORS:
        raise OptionError(f"There is no executor {kind!r}.", cure=known_names(kind, EXECUTORS))
    if kind == "processes":
        return Processes(max(workers, 1))
    return Serial() if workers <= 1 else Threads(workers)


class Serial:
    """In the calling thread, when it is begun."""

    workers = 1

    def __init__(self) -> None:
        self._done: tuple[int, Attempt[Any]] | None = None

    def begin(self, place: int, work: Work, *, longest: float | None = None) -> None:
        self._done = (place, attempt("step", work))

    def next_done(self) -> tuple[int, Attempt[Any]]:
        done, self._done = self._done, None
        assert done is not None
        return done

    def stop(self) -> None:
        """Nothing is under way."""


class Threads:
    """In threads of this process, which do not keep it alive."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._orders: SimpleQueue[tuple[int, Context, Work] | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, Attempt[Any] | BaseException]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0

    def begin(self, place: int, work: Work, *, longest: float | None = None) -> None:
        self._under_way += 1
        if self._under_way > len(self._threads):
            thread = threading.Thread(target=self._serve, name=f"millpond {len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._orders.put((place, copy_context(), work))

    def _serve(self) -> None:
        with suppress(Stopped):
            while (order := self._orders.get()) is not None:
                place, context, work = order
                try:
                    self._answers.put((place, context.run(attempt, "step", work)))
                except (KeyboardInterrupt, SystemExit) as ended:
                    self._answers.put((place, ended))

    def next_done(self) -> tuple[int, Attempt[Any]]:
        place, answer = self._answers.get()
        self._under_way -= 1
        if isinstance(answer, BaseException):
            raise answer
        return place, answer

    def stop(self) -> None:
        for thread in self._threads:
            if self._under_way:
                tell_to_stop(thread)
            self._orders.put(None)
        ends = time.monotonic() + UNWIND
        for thread in self._threads if self._under_way else ():
            thread.join(max(0.0, ends - time.monotonic()))
        self._threads = []


class Processes:
    """Each in a process that is forked for it, with all that this one has in memory; a pipe brings the answer."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._under_way: dict[Connection, tuple[int, Any, float | None]] = {}

    def begin(self, place: int, work: Work, *, longest: float | None = None) -> None:
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe(duplex=False)
        child = fork.Process(target=_in_child, args=(theirs, work, os.getpid()))
        child.start()
        self._under_way[ours] = (place, child, None if longest is None else time.monotonic() + longest + GRACE)
        theirs.close()

    def next_done(self) -> tuple[int, Attempt[Any]]:
        while True:
            for ready in wait_for_any(list(self._under_way), LOOK):
                return self._received(next(pipe for pipe in self._under_way if pipe is ready))
            for pipe, (_, child, end) in self._under_way.items():
                if end is not None and time.monotonic() > end:
                    _kill(child)
                    return self._received(pipe, late=True)
                if child.exitcode is not None:  # what it started may hold the pipe open
                    return self._received(pipe)

    def _received(self, pipe: Connection, *, late: bool = False) -> tuple[int, Attempt[Any]]:
        place, child, _ = self._under_way.pop(pipe)
        packed = attempt("answer", pipe.recv_bytes) if pipe.poll() else None
        pipe.close()
        if packed is not None and packed.value:
            unpacked = attempt("answer", partial(ForkingPickler.loads, packed.value))  # from this run's own process
            answer = unpacked.value
            if not isinstance(answer, Attempt):
                answer = Attempt("step", None, _unsent(unpacked.error), 0.0)
            if _error_in(answer) is not None:
                _kill(child)  # with what it started and did not end
            child.join()
            return place, answer
        _kill(child)
        child.join()
        error: Exception = StepError(f"The process of the step {_end(child.exitcode)}.")
        if late:
            error = StepTimeoutError(
                "The step did not heed its timeout, and its process was killed; its outputs are as they were.",
                cure="Raise its `timeout`, or give it less to do.",
            )
        return place, Attempt("step", None, error, 0.0)

    def stop(self) -> None:
        for _, child, _ in self._under_way.values():
            _kill(child)
        for pipe, (_, child, _) in self._under_way.items():
            child.join()
            pipe.close()
        self._under_way = {}


def _error_in(done: Attempt[Any]) -> Exception | None:
    """The error of the work, which may have made an attempt itself."""
    inner = getattr(done.value, "attempt", None)
    return inner.error if isinstance(inner, Attempt) else done.error


def _kill(child: Any) -> None:
    """The process, and what it started."""
    with suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _end(code: int | None) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended itself with {code}"


def _unsent(error: BaseException | None) -> FidelityError:
    return FidelityError(
        f"What the step made cannot be sent from its process: {error}.",
        cure="Give it a path or a store in the case, or run the case in threads.",
    )


def _in_child(theirs: Connection, work: Work, parent: int) -> None:
    os.setpgid(0, 0)  # Ctrl-C is the parent's business, and what the step starts can be ended with it
    _die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    with suppress(ValueError, OSError):
        signal.set_wakeup_fd(-1)
    done = attempt("step", work)
    packed = attempt("answer", partial(_packed, done))
    in_words = getattr(done.value, "in_words", None)
    if packed.value is None and in_words is not None and _error_in(done) is not None:
        packed = attempt("answer", lambda: _packed(Attempt("step", in_words(), None, done.seconds)))
    if packed.value is None:
        unsent: Attempt[Any] = Attempt("step", None, _unsent(packed.error), done.seconds)
        packed = attempt("answer", partial(_packed, unsent))
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with suppress(OSError):
        theirs.send_bytes(packed.value or b"")
    os._exit(0)


def _packed(done: Attempt[Any]) -> bytes:
    """The answer as bytes that can be read again: some errors can be packed, and not unpacked."""
    made = bytes(ForkingPickler.dumps(done))
    if _error_in(done) is not None:
        ForkingPickler.loads(made)
    return made


def _die_with(parent: int) -> None:
    """Let the kernel, or a thread where the kernel does not, end this process when its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        return
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(1)
