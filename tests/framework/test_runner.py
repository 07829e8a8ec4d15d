"""The runner: a Result for each step, whatever it does."""

from __future__ import annotations

import logging

import pytest

from framework.engine import Runner
from framework.results import Outcome, Result
from framework.steps import Step


def test_a_step_is_called_with_its_inputs_and_its_result_names_its_outputs() -> None:
    """What it returned is handed on; the result holds references only."""
    step = Step("double", lambda x: x * 2, outputs=("temp:doubled",))
    result, value = Runner().execute(step, {"x": 21})
    assert value == 42
    assert result.outcome is Outcome.SUCCESS
    assert result.artifacts == {"temp:doubled": "temp:doubled"}
    assert result.execution_time >= 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_step_that_raises_is_a_result_and_stops_no_other(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    """The error is in the result, in the log, and in nobody's way."""
    told: list[Result] = []
    runner = Runner(logging.getLogger("millpond.test"), workers=workers, on_done=told.append)
    good, bad = Step("same", lambda: 1), Step("same", lambda: 1 // 0)
    with caplog.at_level("INFO", "millpond.test"):
        answers = runner.execute_all([(good, {}), (bad, {}), (good, {})])
    assert [bool(result) for result, _ in answers] == [True, False, True]
    assert [value for _, value in answers] == [1, None, 1]
    assert isinstance(answers[1][0].error, ZeroDivisionError)
    assert len(told) == 3
    assert "step 'same' failed" in caplog.text
