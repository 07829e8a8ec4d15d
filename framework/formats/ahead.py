"""Jobs done side by side and ahead of who takes their results, in order; and what must be done in turn all the same."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from threading import Event
from typing import NoReturn, TypeVar

from framework.errors import DataException

MOST_WORKERS = 4  # each holds a piece in memory

T = TypeVar("T")


def in_order(jobs: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
    """What each job gives, or raises; they are begun in this order. A single one needs no thread."""
    calls = _faults_in_their_place(jobs)
    few = list(islice(calls, 2))
    if len(few) < 2:
        yield from (call() for call in few)
        return
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="millpond")
        stack.callback(pool.shutdown, cancel_futures=True)
        waiting: deque[Future[T]] = deque()
        for call in chain(few, calls):
            waiting.append(pool.submit(call))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _faults_in_their_place(jobs: Iterable[Callable[[], T]]) -> Iterator[Callable[[], T]]:
    """The jobs; when no more can be had because the data is at fault, one that says so: faults before it come first."""
    try:
        yield from jobs
    except DataException as error:
        fault = error

        def say() -> NoReturn:
            raise fault

        yield say


class Turn:
    """One job's turn at each of several things, which comes after that of the job before."""

    def __init__(self, things: int, before: Turn | None) -> None:
        self._over = [Event() for _ in range(things)]
        self._before: list[Event] | None = None if before is None else before._over

    @contextmanager
    def at(self, thing: int) -> Iterator[None]:
        """Wait for the turn at that thing, and pass it on afterwards."""
        if self._before is not None:
            self._before[thing].wait()
        yield
        self._over[thing].set()

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *_: object) -> None:
        """Pass on what was not taken, or not finished: never ahead of the job before."""
        for thing, over in enumerate(self._over):
            if not over.is_set():
                if self._before is not None:
                    self._before[thing].wait()
                over.set()
