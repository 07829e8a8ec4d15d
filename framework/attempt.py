"""Try one call, or several, and answer with what became of each.

The only broad `except` of the project stands here, so that "try all, then report" is written once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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


def attempt_all(calls: Iterable[tuple[str, Callable[[], T]]]) -> list[Attempt[T]]:
    """Try every call, given with its name, one after the other; a failure stops none."""
    return [attempt(name, call) for name, call in calls]


def errors_only(
    call: Callable[[], T], passing: tuple[type[BaseException], ...], error: Callable[[str], Exception]
) -> T:
    """Call it; what it raises that is neither an error nor one of `passing` becomes one, made of its words."""
    try:
        return call()
    except BaseException as odd:
        if isinstance(odd, (Exception, *passing)):
            raise
        raise error(f"{type(odd).__name__}: {odd}") from odd
