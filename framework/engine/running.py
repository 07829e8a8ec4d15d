"""One run of a plan: what begins when, what stands for it, what of it is recorded, and what is let go of."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from framework.attempt import attempt
from framework.engine.executors import executor_of
from framework.engine.gate import Done, Gate, Ready, Tried
from framework.engine.hub import DataHub
from framework.engine.ledger import StepRow, Writer, params_text
from framework.engine.plan import Node, Plan
from framework.engine.records import Record
from framework.engine.trying import check_stopped
from framework.errors import StepError
from framework.results import Outcome, Result
from framework.steps import Made, Step, Told

NOTHING_WAS_RUN = 20
Reuse = Callable[[int, Node], StepRow | None]


class PlanRun:
    """One run of a plan."""

    def __init__(
        self,
        gate: Gate,
        plan: Plan,
        hub: DataHub,
        writer: Writer | None,
        reuse: Reuse | None,
        codes: Mapping[int, str],
        origins: Mapping[int, Mapping[str, str]],
        *,
        keep_going: bool,
    ) -> None:
        self.gate, self.plan, self.hub, self.writer, self.reuse = gate, plan, hub, writer, reuse
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
        self.unusable: dict[int, str] = {}  # steps on which none can build, and why
        self.needless: set[int] = set()  # those of them that need not run
        self.in_process = gate.executor == "processes"
        self.executor = executor_of(gate.executor, gate.workers)
        self.side_by_side = self.executor.workers > 1
        self.begun: set[int] = set()
        # The file's order is an order that fits, so that one after the other nothing need be waited for.
        self.offered = [place for place, waits in enumerate(self.waits) if not (self.side_by_side and waits)]

    def result(self) -> Result:
        started = time.perf_counter()
        if self.writer is not None:
            self.hub.tidy(self.plan.written)
        try:
            self.gate.carry_out(self.executor, self._next, self._answer)
        except BaseException:
            self._broken_off()
            raise
        children = [self.results[place] for place in range(len(self.plan))]
        return self._whole(children, time.perf_counter() - started)

    def _whole(self, children: list[Result], seconds: float) -> Result:
        whole = Result(self.plan.name, execution_time=seconds, children=children)
        failed = [child for child in children if not child]
        if failed:  # what was not run is not what it failed of
            going_on = {self.results[place].name for place, node in enumerate(self.plan.nodes) if node.step.goes_on}
            broken = [child for child in failed if child.error is not None]
            first = next((child for child in broken if child.name not in going_on), (broken or failed)[0])
            whole.outcome, whole.exit_code, whole.error = first.outcome, first.exit_code, first.error
            if first.name in going_on:
                whole.outcome, whole.exit_code = Outcome.ERROR, Outcome.ERROR.exit_code
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
            blocking = self._blocking(node)
            if blocking and self.needless.issuperset(blocking):
                self._pass_over(place, self._after(blocking[0]), None)
                continue
            blocked = self._blocked(node, blocking)
            if blocked is not None:
                self._skip(place, blocked)
                continue
            row = self.reuse(place, node) if self.reuse is not None else None
            if row is not None:
                self._take(place, row)
                continue
            needless = self._asked(node.step)
            if needless is not None:
                self._pass_over(place, *needless)
                continue
            alone = not self.has_barrier and not node.step.retries  # tried again, it must find what it found before
            last = frozenset(name for name in node.step.inputs if alone and self.readers[name] == 1)
            self.begun.add(place)
            return place, node.step, partial(self._call, node.step, last)
        return None

    def _blocking(self, node: Node) -> list[int]:
        """The steps before it without which it cannot run, and that did not."""
        return [place for place in node.after if place in self.unusable and self._is_built_on(node.step, place)]

    def _is_built_on(self, step: Step, before: int) -> bool:
        other = self.plan.nodes[before].step
        if _reads(step, other):
            return True
        return other.name not in step.despite and (other.name in step.after or not self.plan.loose)

    def _blocked(self, node: Node, blocking: list[int]) -> str | None:
        """Why a step cannot run after what has failed."""
        failed = [place for place in blocking if place not in self.needless]
        if self.stopped and not self.keep_going and not self._asks_of_failure(node):
            return "an earlier step failed"
        return self._after(failed[0]) if failed else None

    def _after(self, before: int) -> str:
        return f"{self.plan.nodes[before].step.name!r}, which comes before it, {self.unusable[before]}"

    def _asks_of_failure(self, node: Node) -> bool:
        """Whether its condition looks at how a step ended that failed, so that it is asked even now."""
        there = (place for place in node.after if place in self.unusable and place not in self.needless)
        return any(self.plan.nodes[place].step.name in node.step.despite for place in there)

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
            lacking = self._lacking(step, outputs) if made.told is None else []  # a mod may make less than it can
            done = Done(inputs=before, warnings=[*made.warnings, *lacking], told=made.told)
            for name, data in outputs.items():
                check_stopped()  # what was given up saves nothing
                if data is not None or name in visit.registered:
                    hub.put(name, data)
                    done.names.append(name)
                else:
                    hub.lack(name, step.name)
                    done.lacking.append(name)
            done.outputs = [hub.record(name) for name in done.names] if noted else []
            if visit.changes:
                done.told = replace(done.told or Told(outcome=""), metrics={**visit.changes, **_metrics_of(done.told)})
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
        result = self.gate.result_of(node.step, done)
        value = done.attempt.value
        if value is not None:
            if value.told is None or not value.told.artifacts:
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
                {} if done.told is None else done.told.as_dict(),
            )
        )

    def _take(self, place: int, row: StepRow) -> None:
        """Let what an earlier run made stand for the step."""
        step = self.plan.nodes[place].step
        for record in row.outputs:
            if self.hub.known(record.name) is None:
                self.hub.recall(record)
        result = Result(step.name, outcome=Outcome.SKIPPED)
        result.artifacts = row.metrics.get("artifacts") or {record.name: record.ref for record in row.outputs}
        result.metrics, result.globals = row.metrics.get("metrics", {}), row.metrics.get("globals", {})
        if self.gate.on_done is not None:
            self.gate.on_done(result)
        if self.writer is not None:
            now = [self.hub.known(record.name) or record for record in row.outputs]  # with stamps of today
            before = [_newer(self.hub.known(record.name), record) for record in row.inputs]
            state, outcome, run_id = Outcome.SKIPPED.state, Outcome.SKIPPED.name, self.writer.row.run_id
            taken = replace(row, run_id=run_id, place=place, state=state, outcome=outcome, inputs=before, outputs=now)
            taken.started_at, taken.seconds = time.time(), 0.0
            self.writer.step(taken)
        self._settled(place, result)

    @staticmethod
    def _asked(step: Step) -> tuple[str, Exception | None] | None:
        """Why a step need not run, or what went wrong when that was asked."""
        if step.when is None:
            return None
        asked = attempt(step.name, step.when)
        if asked.error is not None:
            return str(asked.error), asked.error
        return None if asked.value is None else (asked.value, None)

    def _pass_over(self, place: int, why: str, error: Exception | None) -> None:
        """Settle a step that need not run, and whose dependents then cannot; or one of which that cannot be told."""
        step = self.plan.nodes[place].step
        result = Result(step.name, outcome=Outcome.SKIPPED) if error is None else Result(step.name).fail(error)
        if error is None:
            result.warnings.append(f"skipped: {why}")
        self.gate.logger.info("step %r is skipped: %s", step.name, why)
        if self.gate.on_done is not None:
            self.gate.on_done(result)
        if self.writer is not None:
            row = StepRow(
                self.writer.row.run_id, place, step.name, result.outcome.state, result.outcome.name, time.time(), 0.0
            )
            row.warnings, row.error = result.warnings, "; ".join(result.errors) or None
            self.writer.step(row)
        if error is None:
            self.unusable[place] = "was skipped"
            self.needless.add(place)
        self._settled(place, result)

    def _skip(self, place: int, why: str) -> None:
        step = self.plan.nodes[place].step
        result = Result(step.name, outcome=Outcome.CANCELLED)
        result.errors.append(f"not run: {why}")
        self.gate.logger.warning("step %r is not run: %s", step.name, why)
        if self.gate.on_done is not None:
            self.gate.on_done(result)
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
        step = self.plan.nodes[place].step
        if not result:
            self.unusable[place] = "did not run" if result.outcome is Outcome.CANCELLED else "failed"
            self.stopped = self.stopped or not (step.goes_on or result.outcome is Outcome.CANCELLED)
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


def _metrics_of(told: Told | None) -> Mapping[str, Any]:
    return {} if told is None else told.metrics


def _reads(step: Step, other: Step) -> bool:
    return not set(step.inputs).isdisjoint(other.outputs)


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
