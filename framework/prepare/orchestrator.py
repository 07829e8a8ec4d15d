"""One preparation from file to dataset: its stages in order, each on record as it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.attempt import attempt
from framework.engine.ledger import Ledger
from framework.engine.recording import ledger_of, on_record, run_row
from framework.engine.records import Record, record_of
from framework.errors import (
    BaseFrameworkException,
    OptionError,
    ProcessingException,
)
from framework.factory import DataFactory
from framework.files import storage_errors
from framework.logs import log_context
from framework.mods.guard import replaced
from framework.prepare.blueprint import Blueprint
from framework.prepare.compatibility import compatibility
from framework.prepare.configuration import READING, PipelineConfig, Request
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.job import Check, Job, Listener, nobody, nothing
from framework.prepare.keeping import Kept
from framework.prepare.learning import Learning
from framework.prepare.preprocessing import PreprocessingResult
from framework.prepare.quality import final_quality
from framework.prepare.recipe import Applied, Recipe
from framework.prepare.rows import moment
from framework.prepare.stages import displaced, names_after
from framework.prepare.states import FeatureEngineering, PipelineState, PipelineStatus
from framework.prepare.validation import DataValidationService
from framework.results import exit_code_of
from framework.settings import Settings, as_settings

if TYPE_CHECKING:
    import pandas as pd

KIND = "prepare"  # of its runs


class PipelineOrchestrator:
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

    @property
    def ledger(self) -> Ledger:
        """What ran here."""
        return ledger_of(self.settings)

    def begin(self, request: Request, *, check: Check = nothing, on_stage: Listener = nobody) -> Job:
        """A preparation that waits for its turn, on record as PENDING."""
        kept = Kept.of(request, self.settings.workspace)
        told = {
            "file": request.name,
            "blueprint": request.blueprint_name,
            "config": {**self.config.as_dict(), "preprocessing": dict(request.preprocessing or {})},
            "asked": {name: _plain(value) for name, value in request.asked.items()},
            "max_file_size": self.ingestion.max_file_size,
        }
        row = run_row(KIND, kept.dataset, str(kept.folder), told)
        kept = kept.run(row.run_id)
        row.plan = {**told, "folder": str(kept.folder)}
        state = PipelineState(request.name, request.blueprint_name, row.run_id)
        with closing(self.ledger) as ledger:
            ledger.queue([row])
        return Job(request, state, row, kept, self.logger, check, on_stage, monitored=self.monitoring)

    def run(self, job: Job) -> tuple[pd.DataFrame, PipelineState]:
        """Prepare one dataset.

        Returns
        -------
        pandas.DataFrame, PipelineState

        Raises
        ------
        IngestionException, DataQualityError, CompatibilityException
            The input is refused; exit code 20. Each has the state in its attribute `state`.
        ProcessingException
            A stage failed; exit code 30.
        BaseFrameworkException
            Of its own kind where a setting, the blueprint's name or the store is at fault.
        """
        with self._turn(job), log_context(run_id=job.state.id), on_record(self.ledger, job.row) as writer:
            job.writer = writer
            job.state.status = PipelineStatus.IN_PROGRESS
            job.state.started_at = time.time()
            self.logger.info("preparing %s for %s", job.request.name, job.request.blueprint_name)
            try:
                done = attempt(job.request.name, lambda: self._stages(job))
            except BaseException:
                self._ended(job, PipelineStatus.CANCELLED)
                raise
            if done.error is not None:
                raise self._failed(job, done.error)
            self._ended(job, PipelineStatus.COMPLETED)
            job.row.state, job.row.outcome, job.row.exit_code = "COMPLETED", "SUCCESS", 0
            return job.frame, job.state

    def cancel(self, job: Job) -> None:
        """Record that a preparation that waited will not begin."""
        job.state.status, job.state.ended_at = PipelineStatus.CANCELLED, time.time()
        with closing(self.ledger) as ledger:
            ledger.end(job.row, "CANCELLED", "cancelled before it began")

    @contextmanager
    def _turn(self, job: Job) -> Iterator[None]:
        """One of the places of those that run at once; waiting for it can be stopped."""
        try:
            while not self._places.acquire(timeout=0.1):
                job.check()
        except BaseException:
            self.cancel(job)
            raise
        try:
            yield
        finally:
            self._places.release()

    # ------------------------------------------------------------------ stages

    def _stages(self, job: Job) -> None:
        request, asked = job.request, job.request.asked
        preprocessing = self.config.preprocessing(request.preprocessing)
        blueprint = self._blueprint(job)
        frame = job.stage("ingestion", lambda: self._ingested(job))
        frame = self._judged(job, frame, blueprint)
        if job.recipe is not None:
            job.stage("preprocessing", lambda: self._applied(job, frame, job.recipe))
        else:
            self._fitted(job, frame, blueprint, preprocessing)
        job.stage("quality", lambda: self._last_look(job, blueprint))
        job.check()
        self._deliver(job, blueprint, report=asked.get("report", True))

    def _blueprint(self, job: Job) -> Blueprint:
        said = job.request.blueprint
        recipe = job.request.asked.get("recipe")
        if recipe is not None:
            job.recipe = _recipe_at(Path(recipe), said if isinstance(said, Blueprint) else None)
            if said and job.request.blueprint_name != job.recipe.blueprint.name:
                own = job.recipe.blueprint.name
                words = f"The recipe is of the blueprint {own!r}, not of {job.request.blueprint_name!r}."
                raise OptionError(words, cure="Give that one.")
            job.blueprint = job.recipe.blueprint
            job.state.blueprint = job.blueprint.name
        else:
            job.blueprint = said if isinstance(said, Blueprint) else self.validation.schemas.blueprint(said)
        return job.blueprint

    def _ingested(self, job: Job) -> pd.DataFrame:
        request, kept = job.request, job.kept
        reading: dict[str, Any] = request.told(READING)
        if reading.get("on_bad_rows") == "quarantine":
            reading["rejected"] = kept.made() / "rejected.parquet"
        is_path = isinstance(request.source, (str, Path))

        def read() -> tuple[Any, Any]:
            return self.ingestion.ingest(
                request.source,
                filename=request.name,
                content_length=request.content_length,
                check=job.check,
                **reading,
            )

        frame, result = job.retried(read) if is_path else read()
        table: pd.DataFrame = frame
        job.state.ingestion = result
        job.state.warnings += result.warnings
        if is_path:
            job.records["inputs"] = [record_of("file", request.name, Path(request.source), None)]
        if result.rejected:
            job.state.files["rejected"] = result.rejected
        return table

    def _judged(self, job: Job, frame: pd.DataFrame, blueprint: Blueprint) -> pd.DataFrame:
        """The fields by their names; both stages are over before one of them refuses."""
        state = job.state
        found = compatibility(frame.columns, blueprint, mapping=job.request.asked.get("mapping"))

        def validate() -> None:
            state.validation = self.validation.validate(frame, blueprint, found.fields, check=job.check)

        def compare() -> None:
            state.compatibility = found
            state.warnings += found.warnings
            found.raise_if_failed()

        job.stage("validation", validate)
        job.stage("compatibility", compare)
        state.warnings += state.validation.warnings
        state.validation.raise_if_failed()
        columns = list(frame.columns)
        state.warnings += displaced(columns, found)
        after = names_after(columns, found)
        return frame[list(after)].rename(columns=after)

    def _fitted(self, job: Job, frame: pd.DataFrame, blueprint: Blueprint, config: dict[str, Any]) -> None:
        state, asked = job.state, job.request.asked
        result = PreprocessingResult()
        learning = Learning(
            config,
            blueprint,
            result,
            target=asked.get("target"),
            keep_dates=asked.get("keep_dates", False),
            check=job.check,
        )

        def types_and_gaps() -> None:
            state.preprocessing = result
            learning.choose_inputs(frame, keep_extra=asked.get("keep_extra", False))
            learning.admit(frame, asked.get("as_of"))
            learning.impute()

        def features() -> None:
            learning.make_features()
            state.features_raw = learning.raw
            job.fields = learning.table.frame(list(learning.table.columns))
            job.frame = learning.finish(frame)
            job.recipe = learning.recipe
            state.feature_engineering = _features(result)
            state.warnings += result.warnings

        job.stage("preprocessing", types_and_gaps)
        job.stage("feature_engineering", features)
        result.seconds = state.seconds["preprocessing"] + state.seconds["feature_engineering"]

    def _applied(self, job: Job, frame: pd.DataFrame, recipe: Recipe | None) -> None:
        assert recipe is not None
        state = job.state
        applied = recipe.apply(frame, as_of=job.request.asked.get("as_of"), check=job.check)
        job.frame, job.fields, state.features_raw = applied.frame, applied.fields, applied.features_raw
        as_of = str(moment(job.request.asked["as_of"])) if job.request.asked.get("as_of") else recipe.as_of
        state.preprocessing = _as_preprocessing(recipe, applied, rows=len(frame), as_of=as_of)
        state.feature_engineering = _features(state.preprocessing)
        state.warnings += [
            f"{name} has {sum(seen.values())} values that the recipe has not seen: {', '.join(list(seen)[:5])}"
            for name, seen in applied.unseen.items()
        ]

    def _last_look(self, job: Job, blueprint: Blueprint) -> None:
        assert job.recipe is not None
        quality = final_quality(
            job.frame,
            blueprint,
            features=job.recipe.features,
            target=job.recipe.target,
            thresholds=self.config.quality_thresholds,
        )
        job.state.quality = quality
        quality.raise_if_failed()

    # ------------------------------------------------------------------ what comes out

    def _deliver(self, job: Job, blueprint: Blueprint, *, report: bool) -> None:
        """The files, and then the dataset: what is in a store has its recipe."""
        from framework.prepare.card import data_card

        assert job.recipe is not None
        state = job.state
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
        job.kept.forget_old(self.settings.PREPARED_DAYS)

    def _stored(self, job: Job, out: str) -> None:
        kind, _, name = out.partition(":")
        store = DataFactory(self.settings, self.logger).create_store(kind, role="saver")
        dataset = store.canonical(name)
        allow = job.request.asked.get("allow_shrink", False)

        def save() -> None:
            replaced(store, dataset, job.frame, len(job.frame), what=out, allow=allow, save_id=job.state.id)

        job.retried(save)
        digest = (job.card or {}).get("fingerprint")
        job.records["outputs"] = [Record(dataset, f"{kind}:{dataset}", digest, rows=len(job.frame))]
        job.state.files["dataset"] = f"{kind}:{dataset}"

    def _report(self, job: Job) -> None:
        """The report; where what it needs is not installed, a warning says so."""
        from framework.prepare.report import report_html

        blueprint, state = job.blueprint, job.state
        if blueprint is None:
            return
        made = attempt(
            "report",
            lambda: report_html(
                state, job.card, job.frame, state.features_raw, blueprint, fields=job.fields, check=job.check
            ),
        )
        if made.value is not None:
            job.state.files |= job.kept.write(report=made.value)
        else:
            job.state.warnings.append(f"There is no report: {made.error}")
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
        if job.state.validation is not None and job.request.asked.get("report", True):
            job.frame = None
            self._report(job)
        self._ended(job, PipelineStatus.FAILED)
        told = {"error": str(typed), "exit_code": exit_code_of(typed)}
        self.logger.error("%s was not prepared", job.request.name, extra=told)
        typed.state = job.state  # type: ignore[attr-defined]
        return typed

    def _ended(self, job: Job, status: PipelineStatus) -> None:
        job.state.status, job.state.ended_at = status, time.time()
        if status is not PipelineStatus.FAILED:
            told = {"rows": None if job.frame is None else len(job.frame)}
            self.logger.info("%s: %s", job.request.name, status.lower(), extra=told)


def _recipe_at(place: Path, blueprint: Blueprint | None) -> Recipe:
    path = place / "recipe.json" if place.is_dir() else place
    with storage_errors(str(path)):
        text = path.read_text(encoding="utf-8")
    return Recipe.loads(text, blueprint=blueprint)


def _features(result: PreprocessingResult) -> FeatureEngineering:
    late = [each["count"] for each in result.refused if "after as_of" in each["why"]]
    return FeatureEngineering(list(result.features_created), list(result.features_absent), result.as_of, sum(late))


def _as_preprocessing(recipe: Recipe, applied: Applied, *, rows: int, as_of: str) -> PreprocessingResult:
    """What a recipe did, as what was learnt is told."""
    return PreprocessingResult(
        as_of=as_of,
        rows_in=rows,
        rows_out=len(applied.frame),
        imputed=applied.imputed,
        capped=applied.capped,
        encoded={name: learnt["method"] for name, learnt in recipe.encodings.items()},
        scaled=list(recipe.scales),
        columns={str(name): str(applied.frame[name].dtype) for name in applied.frame},
        features_created=list(recipe.features),
        refused=applied.refused,
        notes=applied.notes,
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, dict, type(None))) else str(value)
