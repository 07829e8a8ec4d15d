"""Which steps need not run again, and why the others must: anything that is not known means run again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from framework.engine.hub import DataHub
from framework.engine.ledger import StepRow, params_text
from framework.engine.plan import Node, Plan
from framework.engine.records import Record
from framework.steps.models import hides

REUSE, UNNEEDED, MAYBE, RUN = "reuse", "not needed", "may run", "run"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a step would do, and why.

    Attributes
    ----------
    what : {"reuse", "not needed", "may run", "run"}
    """

    step: str
    what: str
    why: str

    @property
    def stands(self) -> bool:
        """Whether what an earlier run made stands for it."""
        return self.what in (REUSE, UNNEEDED)


class Reuse:
    """Judges the steps of a plan by what earlier runs recorded.

    Parameters
    ----------
    rows : mapping
        Of each step its newest row that says it was done.
    """

    def __init__(self, plan: Plan, hub: DataHub, rows: Mapping[str, StepRow], codes: Mapping[int, str]) -> None:
        self.plan, self.hub, self.rows, self.codes = plan, hub, rows, codes
        self._known: dict[str, Record | None] = {}
        self._runs: dict[str, str] = {}  # data that a step makes anew, and which
        self._barrier: str | None = None  # a step that runs, and may write anything
        self._behind_barrier = False
        self._last_reader = {  # of each name; of "" the last that may read any
            name: place
            for place, node in enumerate(plan.nodes)
            for name in (self._reads(node) if not node.step.is_barrier else [""])
        }
        self.verdicts = [self._foreseen(place, node) for place, node in enumerate(plan.nodes)]
        while self._take_back():
            pass

    def __call__(self, place: int, node: Node) -> StepRow | None:
        """The row that stands for the step, or None to run it."""
        verdict = self.verdicts[place]
        if self._behind_barrier:
            self._known = {name: known for name, known in self._known.items() if self.hub.entry(name) is None}
        self._behind_barrier = node.step.is_barrier
        if verdict.what == MAYBE:
            verdict = self._judged(place, node, {}, None)
            if verdict.what == UNNEEDED and self._is_read(place):
                return None
        if not verdict.stands:
            return None
        row = self.rows[node.step.name]
        self._known.update({record.name: record for record in row.outputs})
        return row

    # ------------------------------------------------------------------ before anything runs

    def _foreseen(self, place: int, node: Node) -> Verdict:
        verdict = self._judged(place, node, self._runs, self._barrier)
        if verdict.stands:
            for record in self.rows[node.step.name].outputs:
                self._known[record.name] = record
        else:
            self._runs.update(dict.fromkeys(node.step.outputs, node.step.name))
            self._barrier = node.step.name if node.step.is_barrier else self._barrier
        return verdict

    def _take_back(self) -> bool:
        """Let those run whose output is in memory alone, and which a step needs that may run; whether there were any.

        What follows on them may have to run then as well.
        """
        needed: set[str] = set()
        forced: dict[str, str] = {}
        for place in reversed(range(len(self.plan))):
            node, verdict = self.plan.nodes[place], self.verdicts[place]
            lacking = sorted(needed & set(node.step.outputs))
            if verdict.what == UNNEEDED and lacking:
                why = f"its output {lacking[0]!r} was in memory alone, and is needed"
                verdict = self.verdicts[place] = Verdict(node.step.name, RUN, why)
                forced.update(dict.fromkeys(node.step.outputs, node.step.name))
            if not verdict.stands:
                needed.update(self._reads(node))
        for place, node in enumerate(self.plan.nodes):
            name = next((name for name in self._reads(node) if name in forced), None)
            if name is not None and self.verdicts[place].stands:
                self.verdicts[place] = Verdict(node.step.name, MAYBE, f"{forced[name]!r} makes its input {name!r} anew")
                forced.update(dict.fromkeys(node.step.outputs, node.step.name))
        for name in forced:
            self._known.pop(name, None)
        return bool(forced)

    def _reads(self, node: Node) -> list[str]:
        """What it says that it reads, and what it read the last time."""
        row = self.rows.get(node.step.name)
        return [*node.step.inputs, *(record.name for record in row.inputs)] if row else list(node.step.inputs)

    def _is_read(self, place: int) -> bool:
        """Whether a step that comes after it reads what it makes; whether that one runs is not known yet."""
        return any(self._last_reader.get(name, -1) > place for name in ("", *self.plan.nodes[place].step.outputs))

    # ------------------------------------------------------------------ one step

    def _judged(self, place: int, node: Node, runs: Mapping[str, str], barrier: str | None) -> Verdict:
        step, row = node.step, self.rows.get(node.step.name)
        if not step.outputs:
            said = "it says nothing of its data" if step.is_barrier else "it declares no output"
            return Verdict(step.name, RUN, said)
        if row is None:
            return Verdict(step.name, RUN, "it has not been done yet")
        if row.version != step.version:
            return Verdict(step.name, RUN, f"its version was {row.version} and is {step.version}")
        if row.code != self.codes.get(place, ""):
            return Verdict(step.name, RUN, "its code has changed")
        changed = _changed(row.params, params_text(step.params, {}))
        if changed:
            return Verdict(step.name, RUN, changed)
        if barrier is not None:
            return Verdict(step.name, MAYBE, f"{barrier!r} comes before it, and says nothing of its data")
        why, maybe = self._inputs(node, row, runs)
        if why:
            return Verdict(step.name, MAYBE if maybe else RUN, why)
        return self._outputs(node, row)

    def _inputs(self, node: Node, row: StepRow, runs: Mapping[str, str]) -> tuple[str, bool]:
        then = {record.name: record for record in row.inputs}
        for name in dict.fromkeys([*node.step.inputs, *then]):
            if name in runs:
                return f"{runs[name]!r} makes its input {name!r} anew", True
        for name in node.step.inputs:
            if name not in then:
                if self.hub.holds(name):
                    return f"its input {name!r} was not there", False
                continue
            if not self._same(then[name]):
                return f"its input {name!r} has changed", False
        for name, record in then.items():
            if name not in node.step.inputs and not self._same(record):
                return f"{name!r}, which it read, has changed", False
        return "", False

    def _same(self, then: Record) -> bool:
        if then.fingerprint is None or self.hub.lacks(then.name):
            return False
        known = self._known.get(then.name)
        if known is None:
            if self.hub.entry(then.name) is not None and not self.hub.was_made(then.name):
                known = self.hub.now(then)
                if known is not None:
                    self.hub.recall(known)
            elif self.hub.holds(then.name):
                known = self.hub.record(then.name)
            if known is None:
                return False
            self._known[then.name] = known
        return known.fingerprint == then.fingerprint and known.how == then.how

    def _outputs(self, node: Node, row: StepRow) -> Verdict:
        name = node.step.name
        then = {record.name: record for record in row.outputs}
        for output in node.step.outputs:
            if output not in then:
                return Verdict(name, RUN, f"it made no {output!r} the last time")
        in_memory = False
        for record in row.outputs:
            if record.fingerprint is None:
                return Verdict(name, RUN, f"nothing is known of its output {record.name!r}")
            if self.hub.entry(record.name) is None and record.ref == "memory":
                in_memory = True
                continue
            now = self.hub.now(record)
            if now is None:
                return Verdict(name, RUN, f"its output {record.name!r} is not what was recorded")
            self.hub.recall(now)
        if in_memory:
            return Verdict(name, UNNEEDED, "nothing has changed, and no step that runs needs what it made in memory")
        return Verdict(name, REUSE, "nothing has changed")


def _changed(then: str, now: str) -> str:
    """Which parameters have other values."""
    before: dict[str, Any] = json.loads(then)
    after: dict[str, Any] = json.loads(now)
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            return f"its parameter {name!r} is {'new' if one is None else 'gone'}"
        if hides(one[0]) or hides(other[0]):
            return f"its parameter {name!r} is a secret, of which nothing is recorded"
        if json.dumps(one[0]) != json.dumps(other[0]):  # 1, 1.0 and true are three values
            return f"its parameter {name!r} was {one[0]!r} and is {other[0]!r}"
    return ""
