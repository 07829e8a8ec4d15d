"""Cases: what is wrong with them, what they would do, running them, what ran, and running that again."""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework._version import __version__
from framework.attempt import attempt
from framework.errors import ConfigurationException, DatasetExistsError, LockedError, UnknownNameError, known_names
from framework.files import lock_for, locked
from framework.layers import Names, from_dotenv
from framework.results import Outcome, Result
from framework.vault.contents import Contents, digests_of
from framework.workspace.keeping import Keeping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framework.engine.case import Project
    from framework.engine.flow import Choice, Flow, Loom
    from framework.engine.ledger import Ledger, RunRow, StepRow, Writer
    from framework.engine.plan import Plan
    from framework.engine.replay import Compared
    from framework.engine.reuse import Reuse, Verdict
    from framework.steps import Step

Told = Callable[[Result], None]
TEMPLATES = "templates"
LOGGING = "config/logging.yaml"
CANCELLED = Outcome.CANCELLED
Params = Mapping[str, Any] | Iterable[str]


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
    on_done: Told | None = None
    log_file: Path | None = None


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


class Flows(Keeping):
    """What a workspace does with its cases; see `Workspace` for the parameters."""

    # ------------------------------------------------------------------ what there is

    @property
    def loom(self) -> Loom:
        """Makes the cases of this workspace ready."""
        from framework.engine.flow import Loom

        root = self.settings.workspace
        _, variables = from_dotenv(root / ".env", Names((), ()))
        return Loom(root, self.store, self.logger or logging.getLogger("millpond.case"), {**variables, **os.environ})

    @property
    def project(self) -> Project:
        """What the project's own files say."""
        from framework.engine.case import Project

        return Project.read(self.settings.workspace)

    @property
    def ledger(self) -> Ledger:
        """What ran here."""
        from framework.engine.ledger import Ledger

        settings = self.settings
        return Ledger(
            settings.ledger_address,
            settings.own_folder / "runs",
            keep_runs=settings.LEDGER_KEEP,
            keep_days=settings.LEDGER_DAYS,
        )

    @property
    def contents(self) -> Contents:
        """What runs have read, kept by content."""
        return Contents(self.settings.backup_folder / ".inputs")

    def cases(self) -> list[str]:
        """The names of the cases."""
        return self.project.cases()

    def flow(
        self,
        case: str | os.PathLike[str],
        params: Params = (),
        *,
        choice: Choice | None = None,
        section: str = "pipeline",
    ) -> Flow:
        """The case, checked and ready.

        Raises
        ------
        CaseError
            Holds all that is wrong with it.
        """
        from framework.engine.flow import Choice

        return self.loom.flow(case, settings=as_settings_texts(params), choice=choice or Choice(), section=section)

    def plan(self, case: str | os.PathLike[str], params: Params = ()) -> Plan:
        """The steps of a case and their edges."""
        return self.flow(case, params).plan

    def explain(self, case: str | os.PathLike[str], params: Params = ()) -> list[Verdict]:
        """What each step of a case would do with `resume`, and why."""
        flow = self.flow(case, params)
        return self._reuse(flow).verdicts

    def parameters(self, case: str | os.PathLike[str], params: Params = ()) -> list[dict[str, Any]]:
        """Each parameter of each step of a case, with the place that says it."""
        flow = self.flow(case, params)
        rows = []
        for place, node in enumerate(flow.plan.nodes):
            for name, value in node.step.params.items():
                origin = flow.origins[place].get(name, "default")
                rows.append({"step": node.step.name, "parameter": name, "value": value, "from": origin})
        return rows

    @contextmanager
    def session(self, stem: str) -> Iterator[Path]:
        """While a command runs something: its log goes to a file of its own, `logs/<stem>_<time>.log`.

        `config/logging.yaml` says from which level on, or more, as `logging.config.dictConfig` takes it.
        """
        from framework.logs import configure, session_log
        from framework.yaml import read_yaml

        root = self.settings.workspace
        said = self.project.said("logging", {})
        folder = said.get("base_path", "logs") if isinstance(said, dict) else "logs"
        more = read_yaml(root / LOGGING).value if (root / LOGGING).is_file() else None
        more = {"level": more} if isinstance(more, str) else more
        level = configure(more, LOGGING) if isinstance(more, dict) else "INFO"
        with session_log(root / str(folder), stem, level=level) as path:
            yield path

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
        how: How = How(),
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
        from framework.engine.runner import Runner

        flow = self.flow(case, params, choice=choice, section=section)
        with self._alone(flow.case.key):
            reuse = self._reuse(flow) if how.resume else None
            row = self._run_row("case" if section == "pipeline" else section, flow, how)
            if how.keep_inputs or (how.keep_inputs is None and flow.case.replayable):
                row.plan = {**row.plan, "kept": self._keep(flow, row.run_id)}
            with self._on_record(row) as writer:
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
                _finish(row, result)
        self._told(flow, result)
        return result

    @property
    def _log(self) -> logging.Logger:
        return self.logger or logging.getLogger("millpond.runner")

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """One run of a case at a time."""
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        lock = lock_for(self.settings.own_folder / "cases" / f"{name}.lock")
        with ExitStack() as held:
            try:
                held.enter_context(locked(lock, timeout=0.0, what=f"the case {Path(key).name}"))
            except LockedError as error:
                raise LockedError(
                    f"Another run of the case {Path(key).name} goes on; nothing was run.",
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

    def _run_row(self, kind: str, flow: Flow, how: How, *, replay_of: str | None = None) -> RunRow:
        from framework.engine.ledger import RunRow

        word = re.sub(r"\W+", "_", Path(flow.case.key).name or flow.case.name).strip("_") or "run"
        return RunRow(
            run_id=f"{word}_{uuid.uuid4().hex[:8]}",
            kind=kind,
            name=flow.case.name,
            key=flow.case.key,
            started_at=time.time(),
            user=attempt("user", getpass.getuser).value or "",
            versions={"millpond": __version__, "python": platform.python_version()},
            plan=flow.told(),
            log_file=str(how.log_file) if how.log_file else None,
            replay_of=replay_of,
        )

    @contextmanager
    def _on_record(self, row: RunRow) -> Iterator[Writer]:
        """While it runs: a run that is broken off reads CANCELLED, and one that an error ends FAILED."""
        with closing(self.ledger) as ledger, ledger.run(row) as writer:
            try:
                yield writer
            except BaseException as error:
                _finish(row, Result(row.name, run_id=row.run_id).fail(error))
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    row.state, row.outcome, row.reason = CANCELLED.state, CANCELLED.name, "broken off"
                    row.exit_code = CANCELLED.exit_code
                raise

    def _told(self, flow: Flow, result: Result) -> None:
        hook = flow.case.on_failure or self.settings.ON_FAILURE
        if result or not hook:
            return
        from framework.engine.alarm import tell

        story = {"name": flow.case.name, "case": flow.case.key, **result.as_dict(), "run_id": result.run_id}
        tell(hook, story, folder=self.settings.workspace, logger=self._log)

    def generate_data(self, case: str | os.PathLike[str] = "demo", params: Params = (), *, how: How = How()) -> Result:
        """Run the steps that a case lists under `generate_data`."""
        return self.run(case, params, section="generate_data", how=how)

    # ------------------------------------------------------------------ what ran

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

    def replay(self, run_id: str = "last", *, how: How = How()) -> Replayed:
        """Run a run again with exactly what it read and was set to, and compare every output; nothing is overwritten.

        Raises
        ------
        ConfigurationException
            Its inputs were not kept.
        """
        from framework.engine.replay import again, compared
        from framework.engine.runner import Runner

        row, then = self.ran(run_id)
        if row.replay_of:  # a replay is of what it replayed
            row, then = self.ran(row.replay_of)
        folder = self.settings.own_folder / "replays" / f"{row.run_id}_{uuid.uuid4().hex[:6]}"
        keep = False
        try:
            flow = again(self.loom, row, self.contents, folder)
            mine = self._run_row("replay", flow, how, replay_of=row.run_id)
            mine.run_id, mine.key = f"replay_{uuid.uuid4().hex[:8]}", f"replay of {row.run_id}"
            with self._on_record(mine) as writer:
                runner = Runner(self._log, on_start=how.on_start, on_done=how.on_done)
                result = runner.run(flow.plan, flow.hub, writer=writer, codes=flow.codes, origins=flow.origins)
                _finish(mine, result)
            codes = {node.step.name: flow.codes[place] for place, node in enumerate(flow.plan.nodes)}
            changed = [step.name for step in then if step.code and step.code != codes.get(step.name)]
            outputs = compared(then, self.ran(mine.run_id)[1])
            keep = not (result and all(each.same for each in outputs))
            return Replayed(mine.run_id, result, outputs, changed, folder if keep else None)
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)

    def reference(self) -> str:
        """Every step, handler, store, scraper and calculator of this workspace, as Markdown."""
        from framework.workspace.reference import reference

        loom = self.loom
        return reference(loom.catalog, loom.handlers(), self.settings.workspace)

    # ------------------------------------------------------------------ new ones

    def templates(self) -> list[str]:
        """The names of the templates of cases."""
        folder = self._templates
        names = {path.name for path in folder.iterdir() if (path / "case.yaml").is_file()} if folder.is_dir() else set()
        files = folder.glob("*.yaml") if folder.is_dir() else ()
        return sorted(names | {path.stem.removesuffix("_case") for path in files})

    @property
    def _templates(self) -> Path:
        return self.settings.workspace / str(self.project.said("templates_root", TEMPLATES))

    def new_case(self, name: str, template: str) -> Path:
        """A case from a template, NAME_case.yaml, NAME.yaml or a folder NAME: its folder.

        Raises
        ------
        DatasetExistsError
            There is a case of that name; nothing is overwritten.
        """
        root, folder = self.project.cases_root, self._templates
        target = Path(os.path.normpath(root / name))
        if not target.is_relative_to(root) or target == root:
            raise ConfigurationException(f"{name!r} is no name of a case.", cure="Use letters, digits, '_' and '-'.")
        if (target / "case.yaml").exists():
            raise DatasetExistsError(f"There is a case {name!r} already.", cure="Choose another name.", resource=name)
        for source in (folder / f"{template}_case.yaml", folder / f"{template}.yaml", folder / template):
            if source.is_dir() and (source / "case.yaml").is_file():
                shutil.copytree(source, target, dirs_exist_ok=True)
                return target
            if source.is_file():
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / "case.yaml")
                return target
        raise UnknownNameError(
            f"There is no template {template!r}.", cure=known_names(template, self.templates()), resource=template
        )


def _finish(row: RunRow, result: Result) -> None:
    result.run_id = row.run_id
    row.state, row.outcome, row.exit_code = result.outcome.state, result.outcome.name, result.exit_code
    row.reason = result.errors[0] if result.errors else None


def as_settings_texts(params: Params) -> list[Any]:
    """Parameters of a call, as `--set` takes them."""
    if not isinstance(params, Mapping):
        return list(params)
    found: list[Any] = []
    for name, value in params.items():
        pairs: Sequence[tuple[str, Any]] = (
            [(f"{name}.{key}", each) for key, each in value.items()] if isinstance(value, Mapping) else [(name, value)]
        )
        found += pairs
    return found
