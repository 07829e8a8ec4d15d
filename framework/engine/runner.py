"""The runner: resolve -> load inputs -> call -> save outputs -> record -> return.

A step's error becomes a Result; nothing here knows what a step does, and whatever runs, in whatever executor, passes
the same gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from framework.engine.executors import executor_of
from framework.engine.gate import Done, Gate, Tried
from framework.engine.hub import DataHub
from framework.engine.ledger import Writer
from framework.engine.plan import Plan
from framework.engine.running import PlanRun, Reuse
from framework.results import Result
from framework.steps import Step


class Runner(Gate):
    """Executes steps and answers with a Result each; see `Gate` for the parameters."""

    # ------------------------------------------------------------------ steps by themselves

    def execute(self, step: Step, inputs: Mapping[str, Any] | None = None) -> tuple[Result, Any]:
        """Run one step: its Result, and what it returned (None if it failed)."""
        return self.execute_all([(step, inputs or {})])[0]

    def execute_all(self, work: Iterable[tuple[Step, Mapping[str, Any]]]) -> list[tuple[Result, Any]]:
        """Run all steps, which must not depend on one another, and answer in their order; a failure stops none."""
        pairs = list(work)
        executor = executor_of(self.executor, min(self.workers, len(pairs)))
        answers: dict[int, tuple[Result, Any]] = {}

        def answer(place: int, done: Tried) -> None:
            result = self.result_of(pairs[place][0], done)
            answers[place] = (result, done.attempt.value.value if done.attempt.value else None)

        ready = iter([(place, step, partial(_called, step, inputs)) for place, (step, inputs) in enumerate(pairs)])
        self.carry_out(executor, lambda: next(ready, None), answer)
        return [answers[place] for place in range(len(pairs))]

    # ------------------------------------------------------------------ plans

    def run(
        self,
        plan: Plan,
        hub: DataHub,
        *,
        writer: Writer | None = None,
        reuse: Reuse | None = None,
        codes: Mapping[int, str] | None = None,
        origins: Mapping[int, Mapping[str, str]] | None = None,
        keep_going: bool = False,
    ) -> Result:
        """Run a plan: one Result, with a child for each step.

        Parameters
        ----------
        writer : Writer, optional
            Where each step is recorded.
        reuse : callable, optional
            Asked before each step: the row of an earlier run whose outputs stand for it, or None to run it.
        codes, origins : mapping of place
            The code version of each step, and where its parameters were said; for the record.
        keep_going : bool
            After a failure, whether to go on with the steps that do not depend on it.
        """
        running = PlanRun(self, plan, hub, writer, reuse, codes or {}, origins or {}, keep_going=keep_going)
        return running.result()


def _called(step: Step, inputs: Mapping[str, Any]) -> Done:
    return Done(value=step.call(**inputs))
