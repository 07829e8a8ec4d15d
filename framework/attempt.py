"""Try one call, or several side by side, and answer with what became of each.

The only broad `except` of the project stands here, so that "try all, then report" is written once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """What became of one call: a value or an error, and the seconds it took."""

    name: str
    value: T | None
    error: Exception | None
    seconds: float

    def __bool__(self) -> bool:
        return self.error is None


def attempt(name: str, call: Callable[[], T]) -> Attempt[T]:
    """Call it; KeyboardInterrupt and SystemExit pass, every other error is in the answer."""
    started = time.perf_counter()
    try:
        value = call()
    except Exception as error:
        return Attempt(name, None, error, time.perf_counter() - started)
    return Attempt(name, value, None, time.perf_counter() - started)


def attempt_all(
    calls: Iterable[tuple[str, Callable[[], T]]],
    *,
    workers: int = 1,
    on_done: Callable[[int, Attempt[T]], None] | None = None,
) -> list[Attempt[T]]:
    """Try every call, `workers` of them side by side, and answer in the order given.

    Parameters
    ----------
    calls : iterable of (name, callable)
    workers : int
        Threads; 1 runs them one after the other in this thread.
    on_done : callable, optional
        Told of each as it ends, with its place in `calls`, in this thread.
    """
    pairs = list(calls)
    tell = on_done or (lambda place, done: None)
    answers: list[Attempt[T] | None] = [None] * len(pairs)
    if workers <= 1 or len(pairs) <= 1:
        for place, (name, call) in enumerate(pairs):
            done = attempt(name, call)
            answers[place] = done
            tell(place, done)
    else:
        pool = ThreadPoolExecutor(max_workers=min(workers, len(pairs)), thread_name_prefix="millpond")
        places = {
            pool.submit(copy_context().run, attempt, name, call): place for place, (name, call) in enumerate(pairs)
        }
        try:
            for future in as_completed(places):
                place = places[future]
                done = answers[place] = future.result()
                tell(place, done)
        finally:  # Ctrl-C: what has not begun does not begin, and what has is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
    return [answer for answer in answers if answer is not None]
