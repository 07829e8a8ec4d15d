"""Attempts: all are tried, and nothing is swallowed that should not be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from framework.attempt import attempt, attempt_all, errors_only


def fails() -> int:
    raise ValueError("no")


def test_all_are_tried_and_answered_in_the_order_given() -> None:
    """A failure stops none, and does not move the others."""
    done = attempt_all([("a", lambda: 1), ("b", fails), ("b", lambda: 3)])
    assert [(one.name, one.value, bool(one)) for one in done] == [("a", 1, True), ("b", None, False), ("b", 3, True)]
    assert isinstance(done[1].error, ValueError)


def test_what_is_no_error_becomes_one() -> None:
    """An odd end of a call is told in its words; errors, and what may pass, pass as they are."""

    def raises(odd: BaseException) -> Callable[[], None]:
        def call() -> None:
            raise odd

        return call

    with pytest.raises(RuntimeError, match="GeneratorExit: gone"):
        errors_only(raises(GeneratorExit("gone")), (KeyboardInterrupt,), RuntimeError)
    with pytest.raises(KeyboardInterrupt):
        errors_only(raises(KeyboardInterrupt()), (KeyboardInterrupt,), RuntimeError)
    with pytest.raises(ValueError, match="no"):
        errors_only(fails, (), RuntimeError)
    assert errors_only(lambda: 1, (), RuntimeError) == 1


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
