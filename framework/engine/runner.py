"""The runner: the one gate through which all work passes.

A step's error becomes a Result; nothing here knows what a step does. Recording only logs for now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from framework.attempt import Attempt, attempt_all
from framework.results import Result
from framework.steps import Step

Told = Callable[[Result], None]


class Runner:
    """Executes steps and answers with a Result each.

    Parameters
    ----------
    logger : logging.Logger, optional
    workers : int
        Steps side by side, in threads; 1 is one after the other.
    on_done : callable, optional
        Told of each Result as it comes, in the calling thread (progress bars).
    """

    def __init__(self, logger: logging.Logger | None = None, *, workers: int = 1, on_done: Told | None = None) -> None:
        self.logger = logger or logging.getLogger("millpond.runner")
        self.workers = workers
        self.on_done = on_done

    def execute(self, step: Step, inputs: Mapping[str, Any] | None = None) -> tuple[Result, Any]:
        """Run one step: its Result, and what it returned (None if it failed)."""
        return self.execute_all([(step, inputs or {})])[0]

    def execute_all(self, work: Iterable[tuple[Step, Mapping[str, Any]]]) -> list[tuple[Result, Any]]:
        """Run all steps, which must not depend on one another, and answer in their order; a failure stops none."""
        pairs = list(work)
        results: dict[int, Result] = {}

        def call(step: Step, inputs: Mapping[str, Any]) -> Callable[[], Any]:
            def run() -> Any:
                self.logger.info("step %r started", step.name)
                return step.call(**inputs)

            return run

        def done(place: int, attempt: Attempt[Any]) -> None:
            results[place] = self._record(pairs[place][0], attempt)

        attempts = attempt_all(
            [(step.name, call(step, inputs)) for step, inputs in pairs], workers=self.workers, on_done=done
        )
        return [(results[place], attempt.value) for place, attempt in enumerate(attempts)]

    def _record(self, step: Step, attempt: Attempt[Any]) -> Result:
        result = Result(name=step.name, execution_time=attempt.seconds)
        if attempt.error is not None:
            result.fail(attempt.error)
            self.logger.error("step %r failed after %.2f s: %s", step.name, attempt.seconds, result.errors[-1])
        else:
            result.artifacts = {output: output for output in step.outputs}
            self.logger.info("step %r done in %.2f s", step.name, attempt.seconds)
        if self.on_done is not None:
            self.on_done(result)
        return result
