"""Attempts: all are tried, in order or side by side, and nothing is swallowed that should not be."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from framework.attempt import attempt, attempt_all


def fails() -> int:
    raise ValueError("no")


@pytest.mark.parametrize("workers", [1, 3])
def test_all_are_tried_and_answered_in_the_order_given(workers: int) -> None:
    """A failure stops none, and does not move the others."""
    told: list[int] = []
    done = attempt_all(
        [("a", lambda: 1), ("b", fails), ("b", lambda: 3)],
        workers=workers,
        on_done=lambda place, done: told.append(place),
    )
    assert [(one.name, one.value, bool(one)) for one in done] == [("a", 1, True), ("b", None, False), ("b", 3, True)]
    assert isinstance(done[1].error, ValueError)
    assert sorted(told) == [0, 1, 2]


def test_side_by_side_is_side_by_side() -> None:
    """Two calls that wait for each other both end."""
    meeting = threading.Barrier(2, timeout=10)
    done = attempt_all([("a", meeting.wait), ("b", meeting.wait)], workers=2)
    assert all(done)


def test_threads_see_the_callers_context() -> None:
    """What a run has set holds in its threads."""
    run: ContextVar[str] = ContextVar("run", default="none")
    run.set("r1")
    done = attempt_all([("a", run.get), ("b", run.get)], workers=2)
    assert [one.value for one in done] == ["r1", "r1"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_is_stopped_is_stopped(stop: type[BaseException]) -> None:
    """Ctrl-C and exit are not failures of the call."""

    def stopped() -> None:
        raise stop

    with pytest.raises(stop):
        attempt("a", stopped)
    begun: list[str] = []
    with pytest.raises(stop):
        attempt_all([("a", stopped), ("b", lambda: begun.append("b"))])
    assert begun == []
