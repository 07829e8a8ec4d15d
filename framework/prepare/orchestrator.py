"""One preparation from file to dataset: its stages in order, each on record as it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.attempt import attempt, errors_only
from framework.engine.ledger import Ledger
from framework.engine.recording import BROKEN_OFF, ledger_of, on_record, run_row
from framework.engine.records import Record
from framework.errors import (
    BaseFrameworkException,
    DatasetNotFoundError,
    FormatError,
    OptionError,
    ProcessingException,
    UnknownNameError,
    known_names,
)
from framework.factory import DataFactory
from framework.files import storage_errors
from framework.logs import current_session, log_context
from framework.mods.guard import replaced
from framework.prepare.blueprint import Blueprint
from framework.prepare.configuration import PipelineConfig, Request
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.job import Check, Job, Listener, nobody, nothing
from framework.prepare.keeping import FILES, Kept, forget_old, used
from framework.prepare.recipe import Recipe
from framework.prepare.rows import moment
from framework.prepare.staged import Staged
from framework.prepare.states import PipelineState, PipelineStatus
from framework.prepare.validation import DataValidationService
from framework.results import exit_code_of
from framework.settings import Settings, as_settings

if TYPE_CHECKING:
    import pandas as pd

KIND = "prepare"  # of its runs
FORGET_EVERY = 600.0  # seconds


class PipelineOrchestrator(Staged):
    """Runs preparations, one call each; several may be made from several threads.

    Parameters
    ----------
    settings : object, optional
        Settings, or any object with attributes of their names; found from the current folder unless given.
    config : PipelineConfig, optional
    ingestion : DataIngestionService, optional
    validation : DataValidationService, optional
        Unless given, one with the configuration's switches and thresholds.
    max_concurrent : int
        How many run at once; others wait. Together they take so many times the memory of one.
    monitoring : bool
        Whether times, memory and rates are recorded.
    logger : logging.Logger, optional
    """

    def __init__(
        self,
        settings: object | None = None,
        *,
        config: PipelineConfig | None = None,
        ingestion: DataIngestionService | None = None,
        validation: DataValidationService | None = None,
        max_concurrent: int = 3,
        monitoring: bool = True,
        logger: logging.Logger | None = None,
    ) -> None:
        self.settings: Settings = settings if isinstance(settings, Settings) else as_settings(settings)
        self.config = config or PipelineConfig()
        self.ingestion = ingestion or DataIngestionService()
        self.logger = logger or logging.getLogger("millpond.prepare")
        self.validation = validation or DataValidationService(self.config.validation(), logger=self.logger)
        self.monitoring = monitoring
        self._places = threading.BoundedSemaphore(max_concurrent)
        self._forget_at = 0.0

    @property
    def ledger(self) -> Ledger:
        """What ran here."""
        return ledger_of(self.settings)

    def begin(self, request: Request, *, check: Check = nothing, on_stage: Listener = nobody) -> Job:
        """A preparation that waits for its turn, on record as PENDING.

        Raises
        ------
        OptionError, ParameterError, UnknownNameError, DatasetNameError, DatasetNotFoundError
            What is asked for is not there or cannot be meant; nothing is on record.
        """
        preprocessing = self.config.preprocessing(request.preprocessing)
        kept = Kept.of(request, self.settings.workspace)
        blueprint, recipe = self._meant(request)
        told = {
            "file": request.name,
            "blueprint": blueprint.name,
            "config": {**self.config.as_dict(), "preprocessing": preprocessing},
            "asked": {name: _plain(value) for name, value in request.asked.items()},
            "max_file_size": self.ingestion.max_file_size,
        }
        session = current_session()
        row = run_row(KIND, kept.dataset, str(kept.folder), told, log_file=session.path if session else None)
        kept = kept.run(row.run_id)
        row.plan = {**told, "folder": str(kept.folder)}
        state = PipelineState(request.name, blueprint.name, row.run_id)
        with closing(self.ledger) as ledger:
            ledger.queue([row])
        return Job(
            request,
            state,
            row,
            kept,
            self.logger,
            blueprint,
            preprocessing,
            check=check,
            on_stage=on_stage,
            monitored=self.monitoring,
            recipe=recipe,
        )

    def _meant(self, request: Request) -> tuple[Blueprint, Recipe | None]:
        """The blueprint and the recipe that are asked for; what else is named is looked for too."""
        said, asked = request.blueprint, request.asked
        if asked.get("as_of") is not None:
            moment(asked["as_of"])
        out = asked.get("out")
        if out is not None:
            known = [*DataFactory(self.settings).list_data_savers(), *self.settings.stores]
            kind = out.partition(":")[0]
            if kind not in known:
                raise UnknownNameError(f"There is no store {kind!r}.", cure=known_names(kind, known), resource=kind)
        place = asked.get("recipe")
        if place is None:
            return (said if isinstance(said, Blueprint) else self.validation.schemas.blueprint(str(said))), None
        recipe = _recipe_at(Path(place), said if isinstance(said, Blueprint) else None)
        if said and request.blueprint_name != recipe.blueprint.name:
            words = f"The recipe is of the blueprint {recipe.blueprint.name!r}, not of {request.blueprint_name!r}."
            raise OptionError(words, cure="Give that one.")
        used(Path(place) if Path(place).is_dir() else Path(place).parent)
        return recipe.blueprint, recipe

    def run(self, job: Job) -> tuple[pd.DataFrame, PipelineState]:
        """Prepare one dataset.

        Returns
        -------
        pandas.DataFrame, PipelineState

        Raises
        ------
        IngestionException, DataQualityError, CompatibilityException
            The input is refused; exit code 20. Each has the state in its attribute `state`, as all of these.
        ProcessingException
            A stage failed; exit code 30.
        BaseFrameworkException
            Of its own kind where the store or the ledger is at fault.
        """
        try:
            done = attempt(
                job.request.name, lambda: errors_only(lambda: self._run(job), BROKEN_OFF, ProcessingException)
            )
        except BROKEN_OFF:
            self._ended(job, PipelineStatus.CANCELLED)
            raise
        finally:
            self._forget()
        if done.error is not None:
            if job.row.ended_at is None:  # it could not begin
                attempt("ledger", lambda: self._end(job, "FAILED", str(done.error)))
            if job.state.status is not PipelineStatus.COMPLETED:
                self._ended(job, PipelineStatus.FAILED)
            done.error.state = job.state  # type: ignore[attr-defined]
            raise done.error
        return job.frame, job.state

    def _run(self, job: Job) -> None:
        with self._turn(job), log_context(run_id=job.state.id), on_record(self.ledger, job.row) as writer:
            job.writer = writer
            job.state.status, job.state.started_at = PipelineStatus.IN_PROGRESS, time.time()
            self.logger.info("preparing %s for %s", job.request.name, job.blueprint.name)
            done = attempt(job.request.name, lambda: self._stages(job))
            if done.error is not None:
                raise self._failed(job, done.error)
            self._ended(job, PipelineStatus.COMPLETED)
            job.row.state, job.row.outcome, job.row.exit_code = "COMPLETED", "SUCCESS", 0

    def cancel(self, job: Job) -> None:
        """Record that a preparation that waited will not begin."""
        self._ended(job, PipelineStatus.CANCELLED)
        self._end(job, "CANCELLED", "cancelled before it began")

    def _end(self, job: Job, state: str, reason: str) -> None:
        with closing(self.ledger) as ledger:
            ledger.end(job.row, state, reason)

    @contextmanager
    def _turn(self, job: Job) -> Iterator[None]:
        """One of the places of those that run at once; waiting for it can be stopped."""
        try:
            while not self._places.acquire(timeout=0.1):
                job.check()
        except BROKEN_OFF:
            self.cancel(job)
            raise
        try:
            yield
        finally:
            self._places.release()

    def _forget(self) -> None:
        """Remove what is too old, once in a while; that it cannot be removed harms nobody."""
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + FORGET_EVERY
        done = attempt("prepared", lambda: forget_old(self.settings.workspace, self.settings.PREPARED_DAYS))
        if done.error is not None:
            self.logger.warning("old preparations could not be removed: %s", done.error)

    # ------------------------------------------------------------------ stages

    def _stages(self, job: Job) -> None:
        frame = job.stage("ingestion", lambda: self._ingested(job))
        frame = self._judged(job, frame, job.blueprint)
        if job.recipe is not None:
            recipe = job.recipe
            job.stage("preprocessing", lambda: self._applied(job, frame, recipe))
        else:
            self._fitted(job, frame, job.blueprint, job.preprocessing)
        job.stage("quality", lambda: self._last_look(job, job.blueprint))
        job.check()
        self._deliver(job, job.blueprint, report=job.request.asked.get("report", True))

    def _deliver(self, job: Job, blueprint: Blueprint, *, report: bool) -> None:
        """The files, and then the dataset: what is in a store has its recipe."""
        from framework.prepare.card import data_card

        assert job.recipe is not None
        state = job.state
        state.stage = "files"
        job.card = data_card(
            state,
            job.recipe,
            job.frame,
            blueprint,
            thresholds=self.validation.config.thresholds(blueprint),
            settings={name: _plain(value) for name, value in job.request.asked.items()},
        )
        state.files |= job.kept.write(recipe=job.recipe.dumps(), card=job.card)
        if report:
            self._report(job)
        out = job.request.asked.get("out")
        if out is not None:
            job.stage("store", lambda: self._stored(job, out))

    def _stored(self, job: Job, out: str) -> None:
        kind, _, name = out.partition(":")
        store = DataFactory(self.settings, self.logger).create_store(kind, role="saver")
        dataset = store.canonical(name)
        allow = job.request.asked.get("allow_shrink", False)

        frame = job.frame.reset_index(drop=True)  # rows that were left out are no gaps

        def save() -> None:
            replaced(store, dataset, frame, len(frame), what=out, allow=allow, save_id=job.state.id)

        job.retried(save)
        digest = (job.card or {}).get("fingerprint")
        job.records["outputs"] = [Record(dataset, f"{kind}:{dataset}", digest, rows=len(job.frame))]
        job.state.files["dataset"] = f"{kind}:{dataset}"

    def _report(self, job: Job) -> None:
        """The report; where it cannot be made or kept, a warning says so."""
        state = job.state

        def make() -> dict[str, str]:
            from framework.prepare.report import report_html

            text = report_html(
                state, job.card, job.frame, state.features_raw, job.blueprint, fields=job.fields, check=job.check
            )
            return job.kept.write(report=text)

        made = attempt("report", make)
        if made.value is not None:
            state.files |= made.value
        else:
            state.warnings.append(f"There is no report: {made.error}")
            self.logger.warning("there is no report: %s", made.error)

    # ------------------------------------------------------------------ on record

    def _failed(self, job: Job, error: Exception) -> Exception:
        """The error as it is raised: typed, with the state."""
        if isinstance(error, MemoryError):
            typed: Exception = ProcessingException(
                f"There is not the memory to prepare {job.request.name}.",
                cure="Prepare fewer rows, or fewer files at once.",
                resource=job.request.name,
            )
            typed.__cause__ = error
        elif isinstance(error, BaseFrameworkException):
            typed = error
        else:
            typed = ProcessingException(
                f"{job.state.stage or 'The preparation'} failed: {type(error).__name__}: {error}.",
                resource=job.request.name,
                operation=job.state.stage,
            )
            typed.__cause__ = error
        job.state.errors.append(f"{type(typed).__name__}: {typed}")
        self._ended(job, PipelineStatus.FAILED)
        if job.state.validation is not None and job.request.asked.get("report", True):
            job.frame = job.card = None
            self._report(job)
        told = {"error": str(typed), "exit_code": exit_code_of(typed)}
        self.logger.error("%s was not prepared", job.request.name, extra=told)
        return typed

    def _ended(self, job: Job, status: PipelineStatus) -> None:
        job.state.status, job.state.ended_at = status, time.time()
        if status is not PipelineStatus.FAILED:
            told = {"rows": None if job.frame is None else len(job.frame)}
            self.logger.info("%s: %s", job.request.name, status.lower(), extra=told)


def _recipe_at(place: Path, blueprint: Blueprint | None) -> Recipe:
    path = place / FILES["recipe"] if place.is_dir() else place
    if not path.is_file():
        raise DatasetNotFoundError(f"There is no recipe {path}.", cure="Give a recipe.json, or its folder.")
    with storage_errors(str(path)):
        text = path.read_bytes()
    try:
        return Recipe.loads(text, blueprint=blueprint)
    except FormatError as error:
        raise OptionError(f"{path} cannot be applied: {error.message}", cure=error.cure, resource=str(path)) from error


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, dict, type(None))) else str(value)
