"""One preparation under way: its stages, each on record as it ends, and what they have made so far."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from framework.attempt import Attempt, attempt
from framework.engine.ledger import RunRow, StepRow, Writer
from framework.engine.records import Record
from framework.engine.trying import wait_before
from framework.errors import OutcomeUnknownError, UnavailableError
from framework.prepare.blueprint import Blueprint
from framework.prepare.configuration import Request
from framework.prepare.keeping import Kept
from framework.prepare.recipe import Recipe
from framework.prepare.states import PipelineState, StageResult

T = TypeVar("T")
TRIES = 3  # of what fails for a passing reason
PASSING = (UnavailableError, ConnectionError, TimeoutError, InterruptedError)
Check = Callable[[], None]
Listener = Callable[[PipelineState, str], None]


def nothing() -> None:
    """Nothing asks to stop."""


def nobody(state: PipelineState, stage: str) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Job:
    """One preparation under way.

    Attributes
    ----------
    request : Request
    state : PipelineState
    row : RunRow
        As it is on record.
    kept : Kept
        Where its files go.
    logger : logging.Logger
    blueprint : Blueprint
    preprocessing : dict
        How it is preprocessed, whole.
    check : callable
        Raises to stop.
    on_stage : callable
        Told of each stage as it begins.
    monitored : bool
        Whether times, memory and rates are recorded.
    """

    request: Request
    state: PipelineState
    row: RunRow
    kept: Kept
    logger: logging.Logger
    blueprint: Blueprint
    preprocessing: dict[str, Any]
    check: Check = nothing
    on_stage: Listener = nobody
    monitored: bool = True
    writer: Writer | None = None
    recipe: Recipe | None = None
    card: dict[str, Any] | None = None
    frame: Any = None
    fields: Any = None  # as they were before caps, encodings and scales
    records: dict[str, list[Record]] = field(default_factory=dict)
    place: int = 0

    def stage(self, name: str, work: Callable[[], T]) -> T:
        """Do a stage: its state, log and record are right whatever becomes of it."""
        self.check()
        state = self.state
        state.stage = name
        heard = attempt("listener", lambda: self.on_stage(state, name))
        if heard.error is not None:  # who listens stops no work
            self.logger.warning("who is told of stages failed: %s", heard.error)
        began, used = time.time(), time.process_time()
        done: Attempt[T] = attempt(name, work)
        state.seconds[name] = done.seconds
        cpu = time.process_time() - used
        self._record(name, began, done, cpu)
        if done.error is not None:
            raise done.error
        return done.value  # type: ignore[return-value]

    def _record(self, name: str, began: float, done: Attempt[Any], cpu: float) -> None:
        assert self.writer is not None
        result: StageResult | None = getattr(self.state, name, None)
        failed = done.error is not None
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        rows = self.state.ingestion.rows if self.state.ingestion is not None else None
        metrics: dict[str, Any] = {}
        if self.monitored:
            metrics = {"seconds": done.seconds, "cpu_seconds": cpu, "rows": rows, "peak_memory": memory}
        told = {} if result is None else {"result": _without_values(result.as_dict())}
        self.place += 1
        self.writer.step(
            StepRow(
                self.state.id,
                self.place,
                name,
                "FAILED" if failed else "COMPLETED",
                "ERROR" if failed else "SUCCESS",
                began,
                done.seconds,
                inputs=self.records.pop("inputs", []),
                outputs=self.records.pop("outputs", []),
                memory=memory if self.monitored else None,
                error=f"{type(done.error).__name__}: {done.error}" if failed else None,
                metrics={**({"metrics": metrics} if metrics else {}), **told},
            )
        )
        kept = attempt("ledger", self.writer.flush)
        if kept.error is not None:  # it is tried again when the run ends, and raised then
            self.logger.warning("stage %s is not on record yet: %s", name, kept.error)
        words = "failed" if failed else "is over"
        extra = {"stage": name, "file": self.request.name, "blueprint": self.state.blueprint, **metrics}
        self.logger.info("stage %s %s", name, words, extra=extra)

    def retried(self, work: Callable[[], T]) -> T:
        """Do it; again when it fails for a reason that passes."""
        for again in range(TRIES - 1):
            done = attempt("try", work)
            if done.error is None:
                return done.value  # type: ignore[return-value]
            if not isinstance(done.error, PASSING) or (isinstance(done.error, OutcomeUnknownError) and again):
                raise done.error
            self.logger.warning("tried again: %s", done.error)
            ends = time.monotonic() + wait_before(again)
            while time.monotonic() < ends:
                self.check()
                time.sleep(0.05)
        return work()


def _without_values(told: dict[str, Any]) -> dict[str, Any]:
    """What a stage says of itself, without what rows hold."""
    hidden = {"examples", "refused", "rows_shown", "rejected"}
    return {
        name: [_without_values(each) if isinstance(each, dict) else each for each in value]
        if isinstance(value, list)
        else value
        for name, value in told.items()
        if name not in hidden
    }
