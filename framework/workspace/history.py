"""What ran: looked at, compared, forgotten, and run again."""

from __future__ import annotations

import shutil
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.results import Result
from framework.vault.contents import digests_of
from framework.workspace.flows import AS_USUAL, Flows, How

if TYPE_CHECKING:
    from framework.engine.ledger import RunRow, StepRow
    from framework.engine.replay import Compared


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a replay.

    Attributes
    ----------
    result : Result
    outputs : list of Compared
        Each output of the run beside what it is now.
    changed_code : list of str
        Steps whose code is not what it was.
    folder : Path or None
        Where the outputs lie, if one of them differs.
    """

    run_id: str
    result: Result
    outputs: list[Compared]
    changed_code: list[str]
    folder: Path | None

    @property
    def same(self) -> bool:
        """Whether every output is what it was."""
        return bool(self.result) and all(each.same for each in self.outputs)

    @property
    def first_difference(self) -> Compared | None:
        """The first output that is not what it was."""
        return next((each for each in self.outputs if not each.same), None)


class History(Flows):
    """What a workspace knows of its runs; see `Workspace` for the parameters."""

    def runs(self, *, limit: int | None = 20, case: str | None = None) -> list[RunRow]:
        """The last runs, newest first."""
        key = str(self.project.case_folder(case)) if case is not None else None
        with closing(self.ledger) as ledger:
            return ledger.runs(limit=limit, key=key)

    def ran(self, run_id: str = "last") -> tuple[RunRow, list[StepRow]]:
        """A run and its steps; `last` is the newest."""
        with closing(self.ledger) as ledger:
            row = ledger.find(run_id)
            return row, ledger.steps(row.run_id)

    def diff(self, one: str, other: str) -> list[dict[str, Any]]:
        """What differs between two runs: code, parameters, inputs, outputs of each step."""
        from framework.engine.ledger import differences

        return differences(self.ran(one)[1], self.ran(other)[1])

    def prune_runs(self, *, keep: int | None = None, days: float | None = None) -> tuple[int, int]:
        """Forget runs beyond these bounds, and what was kept for them alone: how many runs, how many files."""
        settings = self.settings
        with closing(self.ledger) as ledger:
            gone = ledger.prune(
                keep_runs=settings.LEDGER_KEEP if keep is None else keep,
                keep_days=settings.LEDGER_DAYS if days is None else days,
            )
            left = [kept for run in ledger.runs() for kept in run.plan.get("kept", {}).values()]
        return gone, self.contents.sweep({digest for kept in left for digest in digests_of(kept)})

    def replay(self, run_id: str = "last", *, how: How = AS_USUAL) -> Replayed:
        """Run a run again with exactly what it read and was set to, and compare every output; nothing is overwritten.

        Raises
        ------
        ConfigurationException
            Its inputs were not kept.
        """
        from framework.engine.recording import finish, on_record, run_row
        from framework.engine.replay import again, compared
        from framework.engine.runner import Runner

        row, then = self.ran(run_id)
        if row.replay_of:  # a replay is of what it replayed
            row, then = self.ran(row.replay_of)
        folder = self.settings.own_folder / "replays" / f"{row.run_id}_{uuid.uuid4().hex[:6]}"
        keep = False
        try:
            flow = again(self.loom, row, self.contents, folder)
            mine = run_row(
                "replay", flow.case.name, flow.case.key, flow.told(), log_file=how.log_file, replay_of=row.run_id
            )
            mine.run_id, mine.key = f"replay_{uuid.uuid4().hex[:8]}", f"replay of {row.run_id}"
            with on_record(self.ledger, mine) as writer:
                runner = Runner(self._log, on_start=how.on_start, on_done=how.on_done)
                result = runner.run(flow.plan, flow.hub, writer=writer, codes=flow.codes, origins=flow.origins)
                finish(mine, result)
            codes = {node.step.name: flow.codes[place] for place, node in enumerate(flow.plan.nodes)}
            changed = [step.name for step in then if step.code and step.code != codes.get(step.name)]
            outputs = compared(then, self.ran(mine.run_id)[1])
            keep = not (result and all(each.same for each in outputs))
            return Replayed(mine.run_id, result, outputs, changed, folder if keep else None)
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
