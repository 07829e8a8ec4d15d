"""The gate through which all work passes: begun, tried, bounded in time, logged, and answered with a Result."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from framework.attempt import Attempt
from framework.engine.executors import Executor
from framework.engine.records import Record
from framework.engine.trying import longest, tried
from framework.errors import ModError, StepError
from framework.results import Outcome, Result
from framework.steps import Step, Told

Listener = Callable[[Result], None]


@dataclass(slots=True)
class Done:
    """What a step did, once it succeeded."""

    value: Any = None
    inputs: list[Record] = field(default_factory=list)
    outputs: list[Record] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)  # what lies in memory alone, if it was made elsewhere
    names: list[str] = field(default_factory=list)  # of all that it made
    lacking: list[str] = field(default_factory=list)  # of what it made nothing of
    warnings: list[str] = field(default_factory=list)
    told: Told | None = None


@dataclass(slots=True)
class Tried:
    """What became of a step, and how often it was tried."""

    attempt: Attempt[Done]
    tries: int
    started_at: float
    memory: int

    @property
    def told(self) -> Told | None:
        """What the step told of itself, also where it failed."""
        error = self.attempt.error
        if isinstance(error, ModError):
            return error.made.told if error.made is not None else None
        return self.attempt.value.told if self.attempt.value is not None else None

    def in_words(self) -> Tried:
        """The same, with the words of an error that cannot leave its process."""
        error = self.attempt.error
        told = StepError(f"{type(error).__name__}: {error}")
        return replace(self, attempt=Attempt(self.attempt.name, None, told, self.attempt.seconds))


Ready = tuple[int, Step, Callable[[], Done]]


class Gate:
    """Carries out pieces of work, each a step's, whatever they do.

    Parameters
    ----------
    logger : logging.Logger, optional
    workers : int
        Steps side by side; 1 is one after the other.
    executor : {"threads", "processes"}
    on_start : callable, optional
        Told of each Step as it begins, in the calling thread.
    on_done : callable, optional
        Told of each Result as it comes, in the calling thread (progress bars).
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        workers: int = 1,
        executor: str = "threads",
        on_start: Callable[[Step], None] | None = None,
        on_done: Listener | None = None,
    ) -> None:
        self.logger = logger or logging.getLogger("millpond.runner")
        self.workers = workers
        self.executor = executor
        self.on_start = on_start
        self.on_done = on_done

    def carry_out(
        self, executor: Executor, take: Callable[[], Ready | None], answer: Callable[[int, Tried], Any]
    ) -> None:
        """Do what `take` gives, as many at once as the executor does, until it gives none and all are answered."""
        under_way = 0
        try:
            while True:
                while under_way < executor.workers and (ready := take()) is not None:
                    place, step, call = ready
                    if self.on_start is not None:
                        self.on_start(step)
                    executor.begin(place, partial(self._tried, step, call), longest=longest(step.retries, step.timeout))
                    under_way += 1
                if not under_way:
                    return
                place, done = executor.next_done()
                under_way -= 1
                answer(place, done.value or Tried(Attempt("", None, done.error, done.seconds), 1, time.time(), 0))
        finally:  # Ctrl-C: what has not begun does not begin, and what has is told to stop
            executor.stop()

    def _tried(self, step: Step, call: Callable[[], Done]) -> Tried:
        if self.logger.isEnabledFor(logging.INFO):
            self.logger.info("step %r started", step.name)
        started_at = time.time()
        done, tries = tried(
            step.name, call, retries=step.retries, timeout=step.timeout, on_retry=partial(self._again, step)
        )
        return Tried(done, tries, started_at, _peak_memory())

    def _again(self, step: Step, failed: Attempt[Any]) -> None:
        self.logger.warning("step %r failed and is tried again: %s", step.name, failed.error)

    def result_of(self, step: Step, done: Tried) -> Result:
        result = Result(name=step.name, execution_time=done.attempt.seconds)
        if done.attempt.error is not None:
            result.fail(done.attempt.error)
            self.logger.error("step %r failed after %.2f s: %s", step.name, done.attempt.seconds, result.errors[-1])
            self.logger.info("where step %r failed", step.name, exc_info=done.attempt.error)
        else:
            result.artifacts = {output: output for output in step.outputs}
            assert done.attempt.value is not None
            if done.attempt.value.warnings:
                result.warnings = list(done.attempt.value.warnings)
                result.outcome, result.exit_code = Outcome.WARNING, Outcome.WARNING.exit_code
                self.logger.warning("step %r: %s", step.name, "; ".join(result.warnings))
            if self.logger.isEnabledFor(logging.INFO):
                self.logger.info("step %r done in %.2f s", step.name, done.attempt.seconds)
        told = done.told
        if told is not None:
            _say(result, told)
        if self.on_done is not None:
            self.on_done(result)
        return result


def _say(result: Result, told: Told) -> None:
    """Put into the result what the step told of itself; its own word on how it ended counts."""
    result.metrics, result.globals = dict(told.metrics), dict(told.globals)
    result.artifacts = dict(told.artifacts)
    if result.error is None and told.outcome:
        result.outcome = Outcome[told.outcome]
        result.exit_code = result.outcome.exit_code


def _peak_memory() -> int:
    """The most memory that this process has had so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
