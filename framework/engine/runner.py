"""The runner: the one gate through which all work passes.

resolve -> load inputs -> call -> save outputs -> record -> return. A step's error becomes a Result; nothing here knows
what a step does, and whatever runs, in whatever executor, is logged, retried, bounded in time and recorded here.
"""

from __future__ import annotations

import heapq
import json
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from framework.attempt import Attempt
from framework.engine.executors import Executor, executor_of
from framework.engine.hub import DataHub
from framework.engine.ledger import StepRow, Writer
from framework.engine.plan import Node, Plan
from framework.engine.records import Record
from framework.engine.trying import check_stopped, longest, tried
from framework.errors import StepError
from framework.logs import without_secrets
from framework.results import Outcome, Result
from framework.steps import Made, Step

NOTHING_WAS_RUN = 20
Told = Callable[[Result], None]
Reuse = Callable[[int, Node], StepRow | None]


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


@dataclass(slots=True)
class Tried:
    """What became of a step, and how often it was tried."""

    attempt: Attempt[Done]
    tries: int
    started_at: float
    memory: int

    def in_words(self) -> Tried:
        """The same, with the words of an error that cannot leave its process."""
        error = self.attempt.error
        told = StepError(f"{type(error).__name__}: {error}")
        return replace(self, attempt=Attempt(self.attempt.name, None, told, self.attempt.seconds))


Ready = tuple[int, Step, Callable[[], Done]]


class Runner:
    """Executes steps and answers with a Result each.

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
        on_done: Told | None = None,
    ) -> None:
        self.logger = logger or logging.getLogger("millpond.runner")
        self.workers = workers
        self.executor = executor
        self.on_start = on_start
        self.on_done = on_done

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
            result = self._result(pairs[place][0], done)
            answers[place] = (result, done.attempt.value.value if done.attempt.value else None)

        ready = iter([(place, step, partial(_called, step, inputs)) for place, (step, inputs) in enumerate(pairs)])
        self._carry_out(executor, lambda: next(ready, None), answer)
        return [answers[place] for place in range(len(pairs))]

    def _carry_out(
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

    def _result(self, step: Step, done: Tried) -> Result:
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
        if self.on_done is not None:
            self.on_done(result)
        return result

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
        running = _Running(self, plan, hub, writer, reuse, codes or {}, origins or {}, keep_going=keep_going)
        return running.result()


def _called(step: Step, inputs: Mapping[str, Any]) -> Done:
    return Done(value=step.call(**inputs))


def _peak_memory() -> int:
    """The most memory that this process has had so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class _Running:
    """One run of a plan."""

    def __init__(
        self,
        runner: Runner,
        plan: Plan,
        hub: DataHub,
        writer: Writer | None,
        reuse: Reuse | None,
        codes: Mapping[int, str],
        origins: Mapping[int, Mapping[str, str]],
        *,
        keep_going: bool,
    ) -> None:
        self.runner, self.plan, self.hub, self.writer, self.reuse = runner, plan, hub, writer, reuse
        self.codes, self.origins, self.keep_going = codes, origins, keep_going
        self.results: dict[int, Result] = {}
        self.waits = [len(node.after) for node in plan.nodes]
        self.followers: list[list[int]] = [[] for _ in plan.nodes]
        for place, node in enumerate(plan.nodes):
            for before in node.after:
                self.followers[before].append(place)
        self.readers: dict[str, int] = {}
        for node in plan.nodes:
            for name in node.step.inputs:
                self.readers[name] = self.readers.get(name, 0) + 1
        self.makers = {name: node.step.name for node in plan.nodes for name in node.step.outputs}
        self.has_barrier = any(node.step.is_barrier for node in plan.nodes)
        self.stopped = False
        self.in_process = runner.executor == "processes"
        self.executor = executor_of(runner.executor, runner.workers)
        self.side_by_side = self.executor.workers > 1
        self.begun: set[int] = set()
        # The file's order is an order that fits, so that one after the other nothing need be waited for.
        self.offered = [place for place, waits in enumerate(self.waits) if not (self.side_by_side and waits)]

    def result(self) -> Result:
        started = time.perf_counter()
        if self.writer is not None:
            self.hub.tidy(self.plan.written)
        try:
            self.runner._carry_out(self.executor, self._next, self._answer)
        except BaseException:
            self._broken_off()
            raise
        children = [self.results[place] for place in range(len(self.plan))]
        return self._whole(children, time.perf_counter() - started)

    def _whole(self, children: list[Result], seconds: float) -> Result:
        whole = Result(self.plan.name, execution_time=seconds, children=children)
        failed = [child for child in children if not child]
        if failed:  # what was not run is not what it failed of
            first = next((child for child in failed if child.error is not None), failed[0])
            whole.outcome, whole.exit_code, whole.error = first.outcome, first.exit_code, first.error
            whole.errors = [f"{child.name}: {'; '.join(child.errors)}" for child in failed]
            if whole.exit_code == NOTHING_WAS_RUN and any(children):
                whole.exit_code = Outcome.ERROR.exit_code
        else:
            whole.warnings = [f"{child.name}: {each}" for child in children for each in child.warnings]
            if any(child.outcome is Outcome.WARNING for child in children):
                whole.outcome, whole.exit_code = Outcome.WARNING, Outcome.WARNING.exit_code
        for child in children:
            whole.artifacts |= child.artifacts
        return whole

    # ------------------------------------------------------------------ one step

    def _next(self) -> Ready | None:
        """The next step that is to run now; those that need not or must not are settled on the way to it."""
        while self.offered:
            place = heapq.heappop(self.offered)
            node = self.plan.nodes[place]
            blocked = self._blocked(node)
            if blocked is not None:
                self._skip(place, blocked)
                continue
            row = self.reuse(place, node) if self.reuse is not None else None
            if row is not None:
                self._take(place, row)
                continue
            alone = not self.has_barrier and not node.step.retries  # tried again, it must find what it found before
            last = frozenset(name for name in node.step.inputs if alone and self.readers[name] == 1)
            self.begun.add(place)
            return place, node.step, partial(self._call, node.step, last)
        return None

    def _blocked(self, node: Node) -> str | None:
        """Why a step cannot run after what has failed."""
        if not self.stopped:
            return None
        if not self.keep_going:
            return "an earlier step failed"
        failed = [before for before in node.after if before in self.results and not _usable(self.results[before])]
        return f"{self.plan.nodes[failed[0]].step.name!r}, which comes before it, failed" if failed else None

    def _call(self, step: Step, last: frozenset[str]) -> Done:
        """Load, call, save; where it runs, a thread or a process, is not known here."""
        hub, noted = self.hub, self.writer is not None
        with hub.visited(last) as visit:
            inputs = {name: hub.get(name) for name in step.takes}
            before = [hub.record(name) for name in step.inputs if name in hub] if noted else []
            value = step.call(**inputs)
            made = value if isinstance(value, Made) else Made(_by_name(step, value))
            outputs = {**visit.registered, **made.outputs}
            self._check_reads(step, visit.read)
            more = [name for name in visit.read if name not in step.inputs] if noted else []
            before += [hub.record(name) for name in more if name not in outputs and name in hub]
            done = Done(inputs=before, warnings=[*made.warnings, *self._lacking(step, outputs)])
            for name, data in outputs.items():
                check_stopped()  # what was given up saves nothing
                if data is not None or name in visit.registered:
                    hub.put(name, data)
                    done.names.append(name)
                else:
                    hub.lack(name, step.name)
                    done.lacking.append(name)
            done.outputs = [hub.record(name) for name in done.names] if noted else []
        if self.in_process:
            done.made = {name: outputs[name] for name in done.names if hub.entry(name) is None}
        return done

    def _check_reads(self, step: Step, read: Iterable[str]) -> None:
        """Side by side, what another step makes may not be there yet unless the step says that it reads it."""
        if step.is_barrier or not self.side_by_side:
            return
        for name in read:
            if name not in step.inputs and name not in step.outputs and name in self.makers:
                raise StepError(
                    f"{step.name!r} reads {name!r}, which {self.makers[name]!r} makes, and does not say so.",
                    cure=f"Name it under its inputs: inputs: [{name}].",
                    resource=name,
                )

    @staticmethod
    def _lacking(step: Step, outputs: Mapping[str, Any]) -> list[str]:
        return [f"{step.name!r} declares {name!r} and made none." for name in step.outputs if name not in outputs]

    def _answer(self, place: int, done: Tried) -> None:
        node = self.plan.nodes[place]
        result = self.runner._result(node.step, done)
        value = done.attempt.value
        if value is not None:
            result.artifacts = {name: _ref(self.hub, name) for name in node.step.outputs}
            if self.in_process:
                lacking = dict.fromkeys(value.lacking, node.step.name)
                self.hub.adopt(value.made, value.outputs, value.names, lacking)
        elif self.in_process:  # killed, it may have left something
            self.hub.tidy(node.step.outputs)
        self._record(place, result, done, value)
        self._settled(place, result)

    def _record(self, place: int, result: Result, done: Tried, value: Done | None) -> None:
        if self.writer is None:
            return
        step = self.plan.nodes[place].step
        self.writer.step(
            StepRow(
                self.writer.row.run_id,
                place,
                step.name,
                result.outcome.state,
                result.outcome.name,
                done.started_at,
                done.attempt.seconds,
                step.version,
                self.codes.get(place, ""),
                params_text(step.params, self.origins.get(place, {})),
                value.inputs if value else [],
                value.outputs if value else [],
                done.tries,
                done.memory,
                result.warnings,
                "; ".join(result.errors) or None,
            )
        )

    def _take(self, place: int, row: StepRow) -> None:
        """Let what an earlier run made stand for the step."""
        step = self.plan.nodes[place].step
        for record in row.outputs:
            if self.hub.known(record.name) is None:
                self.hub.recall(record)
        result = Result(step.name, outcome=Outcome.SKIPPED)
        result.artifacts = {record.name: record.ref for record in row.outputs}
        if self.runner.on_done is not None:
            self.runner.on_done(result)
        if self.writer is not None:
            now = [self.hub.known(record.name) or record for record in row.outputs]  # with stamps of today
            before = [_newer(self.hub.known(record.name), record) for record in row.inputs]
            state, outcome, run_id = Outcome.SKIPPED.state, Outcome.SKIPPED.name, self.writer.row.run_id
            taken = replace(row, run_id=run_id, place=place, state=state, outcome=outcome, inputs=before, outputs=now)
            taken.started_at, taken.seconds = time.time(), 0.0
            self.writer.step(taken)
        self._settled(place, result)

    def _skip(self, place: int, why: str) -> None:
        step = self.plan.nodes[place].step
        result = Result(step.name, outcome=Outcome.CANCELLED)
        result.errors.append(f"not run: {why}")
        self.runner.logger.warning("step %r is not run: %s", step.name, why)
        if self.runner.on_done is not None:
            self.runner.on_done(result)
        if self.writer is not None:
            state, outcome = Outcome.CANCELLED.state, Outcome.CANCELLED.name
            error = result.errors[0]
            self.writer.step(
                StepRow(self.writer.row.run_id, place, step.name, state, outcome, time.time(), 0.0, error=error)
            )
        self._settled(place, result)

    def _broken_off(self) -> None:
        """Record what was under way when all was stopped, and remove what a killed process left."""
        self.hub.tidy(self.plan.written)
        state, outcome = Outcome.CANCELLED.state, Outcome.CANCELLED.name
        for place in sorted(self.begun - set(self.results)) if self.writer is not None else ():
            name, run_id = self.plan.nodes[place].step.name, self.writer.row.run_id  # type: ignore[union-attr]
            row = StepRow(run_id, place, name, state, outcome, time.time(), 0.0, error="broken off")
            self.writer.step(row)  # type: ignore[union-attr]

    def _settled(self, place: int, result: Result) -> None:
        """Let those begin that waited for it, and go of data that nobody reads any more."""
        self.results[place] = result
        if not result:
            self.stopped = True
        step = self.plan.nodes[place].step
        for name in step.inputs:
            self.readers[name] -= 1
        if not self.has_barrier:
            for name in (*step.inputs, *step.outputs):
                if not self.readers.get(name) and (name in self.readers or self.hub.entry(name) is not None):
                    self.hub.release(name)
        if self.side_by_side:
            for follower in self.followers[place]:
                self.waits[follower] -= 1
                if not self.waits[follower]:
                    heapq.heappush(self.offered, follower)


def _newer(now: Record | None, then: Record) -> Record:
    """The record of today, if it is of the same content."""
    return now if now is not None and now.fingerprint == then.fingerprint else then


def _usable(result: Result) -> bool:
    return result.outcome.ok


def _by_name(step: Step, value: Any) -> Mapping[str, Any]:
    """What a step returned, by the names of its outputs."""
    if not step.outputs:
        return {}
    if len(step.outputs) == 1:
        return {step.outputs[0]: value}
    if isinstance(value, Mapping) and set(value) <= set(step.outputs):
        return value
    raise StepError(
        f"{step.name!r} returned {type(value).__name__} for {len(step.outputs)} outputs.",
        cure=f"Return a mapping with {', '.join(step.outputs)}.",
        resource=step.name,
    )


def _ref(hub: DataHub, name: str) -> str:
    entry = hub.entry(name)
    return entry.ref if entry is not None else "memory"


def params_text(params: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """Parameters as they are recorded: each with its value, without secrets, and where it was said."""
    if not params:
        return "{}"
    return json.dumps({name: [without_secrets(value), origins.get(name, "")] for name, value in params.items()})
