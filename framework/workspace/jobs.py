"""Mods and jobs: one mod, several in a job, resumed where they stopped; each run on record."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import ConfigurationException, DatasetNotFoundError, StepTimeoutError, UnknownNameError
from framework.logs import current_session, log_context
from framework.results import Result
from framework.workspace.cases import Params, as_settings_texts
from framework.workspace.flows import AS_USUAL, How
from framework.workspace.history import History
from framework.workspace.making import mod_files, project_files, write_new

if TYPE_CHECKING:
    from framework.engine.faults import Faults
    from framework.engine.job import Job, JobReader
    from framework.engine.jobs import JobRun
    from framework.engine.ledger import Ledger, RunRow
    from framework.engine.resuming import Before
    from framework.mods.catalog import Mods
    from framework.yaml import Document

RUNS = "runs"
CALL = "the call"
JOB_KEYS = ("mods", "globals")
LOOK_BACK = 50  # runs of a job in which one is looked for that did not succeed


class Jobs(History):
    """What a workspace does with mods and jobs; see `Workspace` for the parameters."""

    @property
    def mods(self) -> Mods:
        """The mods that there are."""
        from framework.mods.catalog import Mods

        return Mods(self.settings.workspace)

    # ------------------------------------------------------------------ what would run

    def job(self, path: str | os.PathLike[str], params: Params = (), *, mods: Collection[str] = ()) -> Job:
        """The job of a file, checked.

        Parameters
        ----------
        params : mapping or iterable of str
            `{"csv_reader.delimiter": "|"}`, `{"csv_reader": {"delimiter": "|"}}`, or texts; they win.
            `globals.NAME` is a global.
        mods : collection of str
            Those that run, by their names in the job; all unless given.

        Raises
        ------
        CaseError
            Holds all that is wrong with it, each with its place.
        """
        from framework.engine.faults import Faults

        file = Path(os.path.abspath(Path(path).expanduser()))  # by it its runs are found again: one job, one spelling
        if not file.is_file():
            raise UnknownNameError(
                f"There is no job {path}.", cure="Name a file with `mods:` in it.", resource=str(path)
            )
        faults = Faults()
        made = self._job_reader(as_settings_texts(params), faults).read(file, faults, names=mods)
        faults.check(file.name)
        return made

    def mod_job(
        self,
        name: str,
        params: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        settings: Iterable[str] = (),
        *,
        shared: Mapping[str, Any] | None = None,
    ) -> Job:
        """A job of one mod.

        Parameters
        ----------
        name : str
            Of the mod, or the dotted module that it is.
        params : mapping or path, optional
            Its parameters; a file holds them, or is a job's, whose block for that mod is used.
        settings : iterable of str
            `PARAM=VALUE`, which win.
        shared : mapping, optional
            Globals.
        """
        from framework.engine.faults import Faults
        from framework.engine.parameters import mapping_at
        from framework.yaml import Document

        faults = Faults()
        mod = self.mods.load(name)
        call: list[Any] = [_of_mod(mod.name, each) for each in settings]
        document, instance = Document({"mods": {mod.name: {}}}, CALL, {}), mod.name
        if isinstance(params, Mapping):
            call = [(f"{mod.name}.{key}", value) for key, value in params.items()] + call
        elif params is not None:
            document, instance = self._params_file(Path(params).expanduser().absolute(), mod.name, name, faults)
            call = [_of_mod(instance, each) for each in settings]
        value = dict(document.value)
        if shared:
            value["globals"] = {**mapping_at(document, ("globals",), faults), **shared}
        value["mods"] = {instance: {**mapping_at(document, ("mods", instance), faults), "mod": name}}
        value.pop("steps", None)
        read = self._job_reader(call, faults)
        made = read.of(Document(value, document.name, document.lines), f"mod:{mod.name}", mod.name, faults)
        faults.check(mod.name)
        return replace(made, alone=False)

    def _params_file(self, path: Path, mod: str, name: str, faults: Faults) -> tuple[Document, str]:
        """The job that a file of parameters stands for, and what the mod is called in it."""
        from framework.engine.case import as_document
        from framework.engine.parameters import mapping_at
        from framework.yaml import Document

        if not path.is_file():
            raise DatasetNotFoundError(
                f"File not found: {path}", cure="Name a YAML file of parameters.", resource=str(path)
            )
        document = as_document(path, self.settings.workspace, faults)
        faults.check(path.name)
        if not any(key in document.value for key in JOB_KEYS):
            lines = {("mods", mod, *route): line for route, line in document.lines.items()}
            return Document({"mods": {mod: document.value}}, document.name, lines), mod
        blocks = mapping_at(document, ("mods",), faults)
        named = [key for key, said in blocks.items() if key in (mod, name) or _names(said) in (mod, name)]
        return document, named[0] if named else mod

    def _job_reader(self, settings: Iterable[Any], faults: Faults) -> JobReader:
        from framework.engine.job import JobReader
        from framework.engine.parameters import read_settings

        variables = self.variables
        return JobReader(self.project, self.mods, read_settings(settings, faults), variables=variables)

    # ------------------------------------------------------------------ running

    def run_mod(
        self,
        name: str | Job,
        params: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        settings: Iterable[str] = (),
        *,
        shared: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        how: How = AS_USUAL,
    ) -> Result:
        """Run one mod, recorded: its Result; see `mod_job` for the parameters.

        Raises
        ------
        UnknownNameError, PluginException, CaseError
            There is no such mod, or what it is set to is wrong; nothing was run.
        """
        job = self.mod_job(name, params, settings, shared=shared) if isinstance(name, str) else name
        whole = self._run_job(job, "mod", how, timeout=timeout)
        result = whole.children[0] if whole.children else whole
        result.run_id, result.children = whole.run_id, []
        result.logs = {**result.logs, **self._logs}
        return result

    def run_job(
        self,
        path: str | os.PathLike[str] | Job,
        params: Params = (),
        *,
        mods: Collection[str] = (),
        resume: bool = False,
        fresh: bool = False,
        parallel: int | None = None,
        timeout: float | None = None,
        how: How = AS_USUAL,
    ) -> Result:
        """Run a job, recorded: one Result, with a child for each mod.

        Parameters
        ----------
        path : path or Job
            Its file, or what `job` gave.
        params, mods
            See `job`.
        resume : bool
            Go on with the newest run of it that did not succeed, from where it stopped.
        fresh : bool
            Begin anew, also where such a run has read a source whose data is not kept yet.
        parallel : int, optional
            Mods side by side; as the job says unless given.

        Raises
        ------
        CaseError
            The job has faults; nothing was run.
        LockedError
            Another run of it goes on; nothing was run.
        """
        job = self.job(path, params, mods=mods) if isinstance(path, (str, os.PathLike)) else path
        asked: dict[str, Any] = {"resume": resume, "fresh": fresh, "parallel": parallel, "timeout": timeout}
        return self._run_job(job, "job", how, chosen=mods, **asked)

    def _run_job(
        self,
        job: Job,
        kind: str,
        how: How,
        *,
        resume: bool = False,
        fresh: bool = False,
        chosen: Collection[str] = (),
        parallel: int | None = None,
        timeout: float | None = None,
    ) -> Result:
        from framework.engine.hub import DataHub
        from framework.engine.recording import finish, on_record, run_row
        from framework.engine.resuming import Resumed
        from framework.engine.runner import Runner
        from framework.engine.trying import bounded

        with self._alone(job.key) if job.alone else nullcontext():
            row = run_row(kind, job.name, job.key, {}, log_file=how.log_file)
            with closing(self.ledger) as ledger:
                run = self._job_run(job, row, ledger, chosen)
                before = None if kind == "mod" else self._before(ledger, run, resume=resume, fresh=fresh)
            if before is not None:
                run.first = before.first
            row.plan = run.told()
            reuse = None if before is None else Resumed(run, before.rows)

            def listen(result: Result) -> None:
                run.note(result)
                if how.on_done is not None:
                    how.on_done(result)

            runner = Runner(
                self._log,
                workers=parallel or job.parallel,
                on_start=how.on_start,
                on_done=listen,
            )
            hub = DataHub(run.folder, self._log, open_store=self.store)
            with log_context(run_id=row.run_id), on_record(self.ledger, row) as writer:
                try:
                    limit = timeout if timeout is not None else job.timeout
                    origins = run.origins()

                    def work() -> Result:
                        return runner.run(run.plan, hub, writer=writer, reuse=reuse, origins=origins, codes={})

                    result = work() if limit is None else bounded(job.name, work, limit)
                except StepTimeoutError as error:  # of all together: a mod's own is its Result
                    result = Result(job.name).fail(error)
                finally:
                    self._keep_cursors(run, row, before)
                result.artifacts = {
                    f"{child.name}.{name}": path for child in result.children for name, path in child.artifacts.items()
                }
                _end_as_the_first_that_stopped_it(result, job)
                finish(row, result)
        result.logs = {**result.logs, **self._logs}
        for child in result.children:
            child.logs = {**child.logs, **self._logs}
        self._tell_of(result, job.name, job.key, job.on_failure)
        self.forget_runs()
        return result

    @property
    def _logs(self) -> dict[str, Any]:
        session = current_session()
        return {} if session is None else {"log_file": str(session.path), "session_id": session.session_id}

    def _job_run(self, job: Job, row: RunRow, ledger: Ledger, chosen: Collection[str]) -> JobRun:
        from framework.engine.jobs import JobRun

        cursors = {use.name: ledger.cursors(_state_key(job, use.name)) for use in job.uses}
        return JobRun(
            job,
            run_id=row.run_id,
            first=row.run_id,
            chosen=chosen,
            folder=self.settings.workspace / RUNS / row.run_id,
            root=self.settings.workspace,
            logger=self._log,
            open_store=self.store,
            settings=self.settings,
            made=self._made_before(ledger, job, chosen) if chosen else {},
            cursors=lambda name: cursors.get(name, {}),
            variables=self.variables,
            logs=self._logs,
        )

    def _made_before(self, ledger: Ledger, job: Job, chosen: Collection[str]) -> dict[str, dict[str, Any]]:
        """What the mods that do not run now made in the last run of the job that succeeded."""
        here = {use.name for use in job.uses}
        wanted = {name for use in job.uses for name, _ in use.reads if name not in here}
        wanted |= {name for use in job.uses for name in use.needs if name not in here}
        rows = ledger.last_steps(job.key, wanted, of_success=True) if wanted else {}
        read = sorted({each for use in job.uses for each in use.reads if each[0] not in here})
        for name, artifact in read:
            path = rows[name].metrics.get("artifacts", {}).get(artifact) if name in rows else None
            if path is None or not os.path.exists(path):
                raise DatasetNotFoundError(
                    f"What {name!r} makes is read, and there is none of an earlier run of {job.name}.",
                    cure=f"Let {name!r} run as well: millpond run-job FILE {name} {' '.join(chosen)}",
                    resource=name,
                )
        return {name: {"status": "success", "exit_code": 0, **each.metrics} for name, each in rows.items()}

    def _before(self, ledger: Ledger, run: JobRun, *, resume: bool, fresh: bool) -> Before | None:
        """The run that is gone on with: asked for, or because what it read must not be read again beside it."""
        if fresh:
            return None
        from framework.engine.resuming import changed, gone_on_with

        runs = ledger.runs(limit=LOOK_BACK, key=run.job.key)
        if resume and not runs:
            raise UnknownNameError(f"{run.job.name} has not run yet.", cure="Run it without --resume.")
        before = gone_on_with(runs, ledger.steps, run)
        if before is None or not (resume or before.read):
            return None
        last, now = before.row, run.told()
        if before.chosen != now["chosen"]:
            if not resume and {use.name for use in run.job.uses}.isdisjoint(before.read):
                return None
            what = f"a run of {', '.join(before.chosen) or 'all its mods'}"
            differs, cure = f"it was {what}", f"Run it so with --resume ({what}), or begin anew with --fresh."
        else:
            differs, cure = changed(last.plan, now), "Set it as it was, or begin anew with --fresh."
        if differs:
            said = "" if resume else f" It has read {', '.join(before.read)}."
            raise ConfigurationException(
                f"The run {last.run_id} of {run.job.name} did not succeed, and {differs}.{said}",
                cure=cure,
                resource=last.run_id,
            )
        before.check_there(run.job.name)
        self._log.info("going on with the run %s%s", last.run_id, "" if resume else ", whose sources were read")
        return before

    def _keep_cursors(self, run: JobRun, row: RunRow, before: Before | None) -> None:
        """Move the cursors of what has been saved."""
        with closing(self.ledger) as ledger:
            done = {name for name, told in run.made.items() if told["status"] in ("success", "warning")}
            then = before.rows if before is not None else {}
            moved = {name: row.metrics["cursors"] for name, row in then.items() if row.metrics.get("cursors")}
            moved |= {name: cursors for name, cursors in run.moved.items() if cursors}
            keys = [(_state_key(run.job, name), source, value) for name, source, value in run.settled(moved, done)]
            ledger.move_cursors(keys, row.run_id)

    # ------------------------------------------------------------------ new ones

    def new_mod(self, name: str, kind: str = "transformers") -> list[Path]:
        """Write a mod to begin with, under `mods/`; DatasetExistsError if there is one."""
        return write_new(mod_files(self.settings.workspace, name, kind))

    def new_project(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Make a project with a job that runs; DatasetExistsError if something is in its place."""
        return write_new(project_files(Path(folder).expanduser().absolute()))

    def forget_runs(self) -> int:
        """Remove the folders of runs that ended more than RUNS_DAYS ago: how many."""
        folder = self.settings.workspace / RUNS
        before, gone = time.time() - self.settings.RUNS_DAYS * 86400, 0
        for each in folder.iterdir() if folder.is_dir() else ():
            if re.search(r"_[0-9a-f]{8}$", each.name) and each.is_dir() and each.stat().st_mtime < before:
                shutil.rmtree(each, ignore_errors=True)
                gone += 1
        return gone


def _end_as_the_first_that_stopped_it(result: Result, job: Job) -> None:
    """A job's code is that of the mod that stopped it, also where others had run before."""
    stopping = [child for child in result.children if not child and child.error and not job.use(child.name).goes_on]
    if stopping:
        result.outcome, result.exit_code = stopping[0].outcome, stopping[0].exit_code


def _state_key(job: Job, name: str) -> str:
    return "|".join((job.project, job.key, name))


def _of_mod(name: str, setting: Any) -> Any:
    """`PARAM=VALUE` as the parameter of that mod; with the mod's name before it, or a global's, it is left."""
    if not isinstance(setting, str):
        return setting
    target = setting.partition("=")[0]
    return setting if target.startswith((f"{name}.", "globals.")) else f"{name}.{setting}"


def _names(said: Any) -> str | None:
    return said.get("mod") if isinstance(said, dict) else None
