"""Running cases: what a run would do, and doing it, recorded."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import LockedError
from framework.files import lock_for, locked
from framework.results import Outcome, Result
from framework.vault.contents import Contents
from framework.workspace.cases import Cases, Params

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framework.engine.flow import Choice, Flow
    from framework.engine.ledger import Ledger
    from framework.engine.reuse import Reuse, Verdict
    from framework.steps import Step

Listener = Callable[[Result], None]
CANCELLED = Outcome.CANCELLED


@dataclass(frozen=True, slots=True)
class How:
    """How a case is run.

    Attributes
    ----------
    resume : bool
        Whether what has not changed since an earlier run stands.
    keep_inputs : bool, optional
        Whether what it reads is kept, so that the run can be replayed; as the case says unless given.
    keep_going : bool
        After a failure, whether to go on with what does not depend on it.
    parallel : int
        Steps side by side.
    executor : {"threads", "processes"}
    on_start : callable, optional
        Told of each step as it begins.
    on_done : callable, optional
        Told of each Result as it comes.
    log_file : Path, optional
        The session's log, for the record.
    """

    resume: bool = False
    keep_inputs: bool | None = None
    keep_going: bool = False
    parallel: int = 1
    executor: str = "threads"
    on_start: Callable[[Step], None] | None = None
    on_done: Listener | None = None
    log_file: Path | None = None


AS_USUAL = How()


class Flows(Cases):
    """What a workspace does with its cases; see `Workspace` for the parameters."""

    @property
    def ledger(self) -> Ledger:
        """What ran here."""
        from framework.engine.recording import ledger_of

        return ledger_of(self.settings)

    @property
    def contents(self) -> Contents:
        """What runs have read, kept by content."""
        return Contents(self.settings.backup_folder / ".inputs")

    def explain(self, case: str | os.PathLike[str], params: Params = ()) -> list[Verdict]:
        """What each step of a case would do with `resume`, and why."""
        flow = self.flow(case, params)
        return self._reuse(flow).verdicts

    def _reuse(self, flow: Flow) -> Reuse:
        from framework.engine.reuse import Reuse

        with closing(self.ledger) as ledger:
            rows = ledger.last_steps(flow.case.key, [node.step.name for node in flow.plan.nodes])
        return Reuse(flow.plan, flow.hub, rows, flow.codes)

    # ------------------------------------------------------------------ running

    def run(
        self,
        case: str | os.PathLike[str],
        params: Params = (),
        *,
        choice: Choice | None = None,
        section: str = "pipeline",
        how: How = AS_USUAL,
    ) -> Result:
        """Run a case: one Result, with a child for each step.

        Parameters
        ----------
        case : str or path
            Its name under `cases_root`, or its folder.
        params : mapping or iterable of str
            `{"My step.rate": 0.3}`, `{"My step": {"rate": 0.3}}`, or texts `My step.rate=0.3`; they win.
        choice : Choice
            Which steps; all unless given.
        section : {"pipeline", "generate_data"}
        how : How

        Raises
        ------
        CaseError
            The case has faults; nothing was run.
        LockedError
            Another run of the case goes on; nothing was run.
        """
        from framework.engine.recording import finish, on_record, run_row
        from framework.engine.runner import Runner

        flow = self.flow(case, params, choice=choice, section=section)
        with self._alone(flow.case.key):
            reuse = self._reuse(flow) if how.resume else None
            kind = "case" if section == "pipeline" else section
            row = run_row(kind, flow.case.name, flow.case.key, flow.told(), log_file=how.log_file)
            if how.keep_inputs or (how.keep_inputs is None and flow.case.replayable):
                row.plan = {**row.plan, "kept": self._keep(flow, row.run_id)}
            with on_record(self.ledger, row) as writer:
                runner = Runner(
                    self._log, workers=how.parallel, executor=how.executor, on_start=how.on_start, on_done=how.on_done
                )
                result = runner.run(
                    flow.plan,
                    flow.hub,
                    writer=writer,
                    reuse=reuse,
                    codes=flow.codes,
                    origins=flow.origins,
                    keep_going=how.keep_going,
                )
                finish(row, result)
        self._tell_of(result, flow.case.name, flow.case.key, flow.case.on_failure)
        return result

    @property
    def _log(self) -> logging.Logger:
        return self.logger or logging.getLogger("millpond.runner")

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """One run of a case, or of a job, at a time."""
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        lock = lock_for(self.settings.own_folder / "cases" / f"{name}.lock")
        with ExitStack() as held:
            try:
                held.enter_context(locked(lock, timeout=0.0, what=f"the run of {Path(key).name}"))
            except LockedError as error:
                raise LockedError(
                    f"Another run of {Path(key).name} goes on; nothing was run.",
                    cure="Try again when it is over: millpond runs list.",
                    resource=key,
                ) from error
            yield

    def _keep(self, flow: Flow, run_id: str) -> dict[str, Any]:
        from framework.engine.replay import keep_inputs

        scratch = self.settings.own_folder / "runs" / run_id
        try:
            return keep_inputs(flow, self.contents, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _tell_of(self, result: Result, name: str, key: str, hook: str | None) -> None:
        """Tell whom the case or the job names, or else the settings, of a run that failed."""
        hook = hook or self.settings.ON_FAILURE
        if result or not hook:
            return
        from framework.engine.alarm import tell

        story = {"name": name, "case": key, **result.as_dict(), "run_id": result.run_id}
        tell(hook, story, folder=self.settings.workspace, logger=self._log)

    def generate_data(
        self, case: str | os.PathLike[str] = "demo", params: Params = (), *, how: How = AS_USUAL
    ) -> Result:
        """Run the steps that a case lists under `generate_data`."""
        return self.run(case, params, section="generate_data", how=how)
