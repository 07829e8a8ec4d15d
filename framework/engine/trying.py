"""One try of a piece of work, or several: retries, a bound on the time of each, and a word to stop."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

from framework.attempt import Attempt, attempt, errors_only
from framework.errors import StepError, StepTimeoutError
from framework.results import Outcome, exit_code_of

T = TypeVar("T")
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before the next try; doubled each time
AGAIN = 5.0  # seconds after which work that caught the word to stop hears it again
UNWIND = 1.0  # seconds that a thread which was told to stop has for letting go
LOOK = 0.2  # seconds between two looks of a thread that waits for another
BAD_INPUT = 20

_told: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_waits_for: dict[threading.Thread, threading.Thread] = {}


class Stopped(BaseException):
    """Raised where the work stands when it is told to stop; no `except Exception` of it holds it up."""


def tried(
    name: str, work: Callable[[], T], *, retries: int = 0, timeout: float | None = None, on_retry: Any = None
) -> tuple[Attempt[T], int]:
    """What became of the work, and how often it was tried.

    Parameters
    ----------
    retries : int
        How often it is tried again after an error; what is wrong with the input is not.
    timeout : float, optional
        Seconds for one try.
    on_retry : callable, optional
        Told of each attempt that failed and is tried again.
    """

    def call() -> T:
        return heeded(name, work) if timeout is None else bounded(name, work, timeout)

    done = attempt(name, call)
    for again in range(retries):
        if done.error is None or exit_code_of(done.error) == BAD_INPUT:
            return done, again + 1
        if on_retry is not None:
            on_retry(done)
        time.sleep(wait_before(again))
        done = attempt(name, call)
    return done, retries + 1 if retries else 1


def wait_before(again: int) -> float:
    """Seconds before the try that follows `again` others that were tried again."""
    return float(min(FIRST_WAIT * 2**again, LONGEST_WAIT))


def longest(retries: int, timeout: float | None) -> float | None:
    """Seconds that all tries and the waits between them may take."""
    return None if timeout is None else timeout * (retries + 1) + sum(map(wait_before, range(retries)))


def heeded(name: str, work: Callable[[], T]) -> T:
    """Do the work; what it raises beside errors is one too, but for Ctrl-C and an end that was asked for from outside.

    Raises
    ------
    StepError
        It called `sys.exit`, or raised what is no Exception.
    """

    def ended_by_itself() -> T:
        try:
            return work()
        except SystemExit as ended:
            if ended.code == Outcome.CANCELLED.exit_code:  # a signal's
                raise
            raise StepError(
                f"{name!r} called sys.exit({ended.code!r}).", cure="Let it raise an error.", resource=name
            ) from ended

    passing = (KeyboardInterrupt, SystemExit, Stopped)
    return errors_only(ended_by_itself, passing, lambda words: StepError(f"{name!r} raised {words}", resource=name))


# --------------------------------------------------------------------------- stopping


def tell_to_stop(thread: threading.Thread) -> None:
    """Raise Stopped where a thread's Python code stands, or will stand when its call of another language is over.

    Processes that it started, for which it may wait, are ended.
    """
    _told.add(thread)
    inner = _waits_for.get(thread)
    if inner is not None:
        tell_to_stop(inner)
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped))
        _end_children(thread)


def _end_children(thread: threading.Thread) -> None:
    """TERM for what this very thread started; where the kernel does not tell, they are left to themselves."""
    with suppress(OSError), open(f"/proc/self/task/{thread.native_id}/children") as told:
        for pid in told.read().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)


def check_stopped() -> None:
    """Stopped, if this thread was told to stop and went on all the same."""
    if _told and threading.current_thread() in _told:
        raise Stopped


# --------------------------------------------------------------------------- time


def bounded(name: str, work: Callable[[], T], seconds: float) -> T:
    """Do the work as `heeded` does; StepTimeoutError after that many seconds."""
    if threading.current_thread() is threading.main_thread():
        return _by_alarm(name, work, seconds)
    return _in_a_thread(name, work, seconds)


def _by_alarm(name: str, work: Callable[[], T], seconds: float) -> T:
    mine, armed, began = threading.current_thread(), True, time.monotonic()

    def ring(number: int, frame: FrameType | None) -> None:
        if armed:
            _told.add(mine)
            raise Stopped

    before = signal.signal(signal.SIGALRM, ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        try:
            value = heeded(name, work)
            check_stopped()  # it caught the alarm, and ended too late
            return value
        finally:
            armed = False  # the alarm may ring up to here, within the outer try
    except Stopped:
        raise _too_long(name, seconds) from None
    finally:
        signal.signal(signal.SIGALRM, before)
        outer = max(left - (time.monotonic() - began), 1e-3) if left else 0.0  # somebody else's, as it would be now
        signal.setitimer(signal.ITIMER_REAL, outer, every)
        _told.discard(mine)


def _in_a_thread(name: str, work: Callable[[], T], seconds: float) -> T:
    """In a thread of its own, which is told to stop, and not waited for when it does not."""
    from contextvars import copy_context

    answers: list[Attempt[T]] = []
    ended: list[BaseException] = []
    context = copy_context()

    def do() -> None:
        try:
            answers.append(context.run(attempt, name, lambda: heeded(name, work)))
        except (Stopped, SystemExit, KeyboardInterrupt) as error:
            ended.append(error)

    mine, thread = threading.current_thread(), threading.Thread(target=do, name=f"millpond {name}", daemon=True)
    ends = time.monotonic() + seconds
    _waits_for[mine] = thread
    try:
        thread.start()
        while thread.is_alive() and (left := ends - time.monotonic()) > 0:
            thread.join(min(LOOK, left))
        if thread.is_alive():
            tell_to_stop(thread)
            thread.join(UNWIND)  # it removes what it has half written
            raise _too_long(name, seconds)
    finally:
        del _waits_for[mine]
    if not answers:
        raise ended[0]
    if answers[0].error is not None:
        raise answers[0].error
    return answers[0].value  # type: ignore[return-value]


def _too_long(name: str, seconds: float) -> StepTimeoutError:
    return StepTimeoutError(
        f"{name!r} was not done after {seconds:g} s; its outputs are as they were.",
        cure="Raise its `timeout`, or give it less to do.",
        resource=name,
    )
