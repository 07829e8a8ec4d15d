"""Result and Outcome: words, codes, JSON."""

from __future__ import annotations

import json

import pytest

from framework.errors import DatasetNotFoundError, LockedError, PartialFailure, StepError
from framework.results import Outcome, Result, exit_code_of, raise_if_any_failed

KEYS = {"status", "execution_time", "metrics", "artifacts", "globals", "warnings", "errors", "exit_code", "logs"}


@pytest.mark.parametrize(
    ("outcome", "status", "state", "code"),
    [
        (Outcome.SUCCESS, "success", "COMPLETED", 0),
        (Outcome.WARNING, "warning", "COMPLETED", 10),
        (Outcome.ERROR, "error", "FAILED", 30),
        (Outcome.TIMEOUT, "error", "FAILED", 40),
        (Outcome.CANCELLED, "error", "CANCELLED", 50),
    ],
)
def test_an_outcome_carries_its_words(outcome: Outcome, status: str, state: str, code: int) -> None:
    """Status, state and exit code are one truth."""
    assert (outcome.status, outcome.state, outcome.exit_code) == (status, state, code)
    assert Result("x", outcome).exit_code == code
    assert bool(Result("x", outcome)) is (status != "error")


def test_the_dictionary_always_has_all_keys_and_is_json() -> None:
    """A reader never has to ask whether a key is there."""
    told = Result("load").as_dict()
    assert set(told) == KEYS
    assert set(told["logs"]) == {"log_file", "session_id", "run_id"}
    assert told["logs"]["run_id"].startswith("load_")
    nested = Result("all", children=[Result("one").fail(ValueError("no"))]).as_dict()
    assert json.loads(json.dumps(nested)) == nested
    assert nested["children"][0]["errors"] == ["ValueError: no"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("x"), 30),
        (DatasetNotFoundError("x"), 20),
        (LockedError("x"), 50),
        (TimeoutError("x"), 40),
        (KeyboardInterrupt(), 50),
    ],
)
def test_a_failure_has_the_code_of_its_error(error: BaseException, code: int) -> None:
    """The code that a scheduler sees says what kind of failure it was."""
    result = Result("x").fail(error)
    assert result.exit_code == code
    assert not result
    if not isinstance(error, TimeoutError):
        assert exit_code_of(error) == code


def test_raise_if_failed_raises_the_very_error() -> None:
    """What a step failed of is what its caller catches."""
    error = ValueError("no")
    with pytest.raises(ValueError) as caught:
        Result("x").fail(error).raise_if_failed()
    assert caught.value is error
    assert Result("y").raise_if_failed().name == "y"
    with pytest.raises(StepError, match="z failed"):
        Result("z", Outcome.ERROR).raise_if_failed()


def test_a_report_without_failures_raises_nothing_and_one_with_names_them() -> None:
    """The message counts and names what failed; the report is whole."""
    good, bad = Result("good"), Result("bad").fail(ValueError("broken"))
    raise_if_any_failed([good], "backup")
    with pytest.raises(PartialFailure, match=r"backup: 1 of 2 failed\. bad: ValueError: broken") as caught:
        raise_if_any_failed([good, bad], "backup")
    assert caught.value.report == [good, bad]


def test_work_that_was_locked_out_altogether_ends_as_a_lock_does() -> None:
    """When every part found its dataset locked, nothing was run, which is 50; one part that ran makes it 30."""
    locked = [Result(name=name).fail(LockedError("held")) for name in "ab"]
    assert exit_code_of(PartialFailure("work", locked)) == 50
    assert exit_code_of(PartialFailure("work", [*locked, Result(name="c")])) == 30
    assert exit_code_of(PartialFailure("work", [*locked, Result(name="c").fail(ValueError("bad"))])) == 30
    assert exit_code_of(PartialFailure("work")) == 30
