"""Going on with a run of a job that did not succeed: which one it is, what has changed since, what of it stands."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.engine.jobs import CHOSEN, JobRun
from framework.engine.ledger import DONE, SUCCEEDED, RunRow, StepRow
from framework.engine.plan import Node
from framework.errors import ConfigurationException
from framework.formats.handlers.content import fingerprint_of
from framework.logs import without_secrets
from framework.results import Outcome


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier run of a job that did not succeed.

    Attributes
    ----------
    rows : mapping
        Of each of its steps what became of it.
    read : list of str
        Mods that had read a source of which not all was kept.
    """

    row: RunRow
    rows: Mapping[str, StepRow]
    read: list[str]

    @property
    def first(self) -> str:
        """The run that it resumed itself, or its own."""
        return _first(self.row)

    @property
    def chosen(self) -> list[str]:
        """The mods that it was a run of; none where it was of all."""
        return list(self.row.plan.get(CHOSEN, []))

    def check_there(self, job: str) -> None:
        """ConfigurationException if what it has read is gone: read again, it would be more than what a sink kept."""
        gone = [name for name in self.read if self.rows[name].state in DONE and not _is_there(self.rows[name])]
        if gone:
            raise ConfigurationException(
                f"The run {self.row.run_id} of {job} did not succeed, and the files that {', '.join(gone)} made in it "
                "are gone or changed; their rows may be kept already.",
                cure="Put them back, or read them again with --fresh: then an append may have rows twice.",
                resource=self.row.run_id,
            )


def gone_on_with(runs: Sequence[RunRow], steps: Callable[[str], list[StepRow]], run: JobRun) -> Before | None:
    """What is left by the newest run of a job that did not succeed, if no later one has made up for it.

    One that has read what is read now comes before those after it that have not. A run of some of its mods says
    nothing of one of all of them, but for what it has read and kept itself.
    """
    mine, here, since = run.told()[CHOSEN], {use.name for use in run.job.uses}, set[str]()
    newest: Before | None = None
    for place, row in enumerate(runs):
        chosen = row.plan.get(CHOSEN, [])
        if row.state == "IN_PROGRESS" and not run.job.alone:
            continue  # beside this one; a job of one run at a time has none
        if row.state == SUCCEEDED and chosen in ([], mine):
            break
        if row.state == SUCCEEDED:
            since |= {each.name for each in steps(row.run_id)}
            continue
        rows = _of_all(row, runs[place:], steps, run)
        before = Before(row, rows, [name for name, each in rows.items() if each.metrics.get("cursors")])
        if since.intersection(before.read):
            break
        newest = newest or before
        if not here.isdisjoint(before.read):
            return before
        if before.first == row.run_id and not chosen:
            break  # all of it began anew, whatever had been before
    return newest


def _of_all(
    row: RunRow, runs: Sequence[RunRow], steps: Callable[[str], list[StepRow]], run: JobRun
) -> dict[str, StepRow]:
    """Of each step what became of it last, in that run or in those that it went on with.

    A run that died early tells of few; those before it still stand, unless they build on one that ran again since.
    """
    first, found = _first(row), dict[str, StepRow]()
    for each in reversed([each for each in runs if _first(each) == first]):
        for step in steps(each.run_id):
            for name in run.below(step.name) if step.state == SUCCEEDED else ():
                found.pop(name, None)
            found[step.name] = step
    return found


def _first(row: RunRow) -> str:
    return str(row.plan.get("first") or row.run_id)


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is set otherwise, in words; empty if nothing is."""
    now = json.loads(json.dumps(without_secrets(now)))  # as what was then has been kept
    before = {step["name"]: step for step in then.get("steps", [])}
    after = {step["name"]: step for step in now.get("steps", [])}
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            return f"the mod {name!r} is {'new' if one is None else 'gone'} since"
        if one["mod"] != other["mod"]:
            return f"{name!r} is another mod since"
        for key in dict.fromkeys([*one["params"], *other["params"]]):
            if one["params"].get(key) != other["params"].get(key):
                return f"the parameter {key!r} of {name!r} has changed since"
    return ""


class Resumed:
    """Which steps of a run that was broken off stand: those that were done, and all that they stand on.

    Parameters
    ----------
    rows : mapping
        Of each step its row in that run.
    """

    def __init__(self, run: JobRun, rows: Mapping[str, StepRow]) -> None:
        self.run, self.rows = run, rows
        self._again: set[int] = set()

    def __call__(self, place: int, node: Node) -> StepRow | None:
        """The row that stands for the step, or None to run it."""
        row = self.rows.get(node.step.name)
        if row is None or row.state not in DONE or self._builds_on_what_runs(node) or not _is_there(row):
            self._again.add(place)
            return None
        if row.was_needless:
            return None  # its condition is asked again
        self.run.stands[node.step.name] = Outcome.WARNING if row.outcome == Outcome.WARNING.name else Outcome.SUCCESS
        return row

    def _builds_on_what_runs(self, node: Node) -> bool:
        others = [self.run.plan.nodes[place].step for place in node.after if place in self._again]
        reads = set(node.step.inputs)
        return any(other.name in node.step.after or not reads.isdisjoint(other.outputs) for other in others)


def _is_there(row: StepRow) -> bool:
    """Whether all that it made is what it was."""
    return all(
        os.path.exists(record.ref) and fingerprint_of(Path(record.ref)) == record.fingerprint
        for record in row.outputs
        if record.fingerprint
    )
