"""The stages of a preparation: what each does with the file, and with what the one before has made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.engine.records import record_of, stamp_of_path
from framework.errors import ProcessingException
from framework.prepare.blueprint import Blueprint
from framework.prepare.compatibility import compatibility
from framework.prepare.configuration import READING, PipelineConfig
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.issues import number
from framework.prepare.job import Job
from framework.prepare.keeping import REJECTED
from framework.prepare.learning import Learning
from framework.prepare.preprocessing import PreprocessingResult
from framework.prepare.quality import final_quality
from framework.prepare.recipe import Applied, Recipe
from framework.prepare.rows import moment
from framework.prepare.stages import displaced, names_after, readable, renamed
from framework.prepare.states import FeatureEngineering
from framework.prepare.validation import DataValidationService

if TYPE_CHECKING:
    import pandas as pd


class Staged:
    """What an orchestrator does to one dataset; see `PipelineOrchestrator` for the parameters."""

    config: PipelineConfig
    ingestion: DataIngestionService
    validation: DataValidationService

    def _ingested(self, job: Job) -> pd.DataFrame:
        request, kept = job.request, job.kept
        reading: dict[str, Any] = request.told(READING)
        if reading.get("on_bad_rows") == "quarantine":
            reading["rejected"] = kept.made() / REJECTED
        is_path = isinstance(request.source, (str, Path))

        def read() -> tuple[Any, Any]:
            return self.ingestion.ingest(
                request.source,
                filename=request.name,
                content_length=request.content_length,
                check=job.check,
                **reading,
            )

        stamp = stamp_of_path(Path(request.source)) if is_path else None
        frame, result = job.retried(read) if is_path else read()
        table: pd.DataFrame = frame
        job.state.ingestion = result
        job.state.warnings += result.warnings
        if is_path:
            job.records["inputs"] = [record_of("file", request.name, Path(request.source), None, loaded_at=stamp)]
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
            state.warnings += [
                f"{each.field!r} is not there: {each.cost or ', '.join(each.features)}"
                for each in found.missing_optional
            ]

        job.stage("validation", validate)
        job.stage("compatibility", compare)
        state.warnings += state.validation.warnings
        if not state.validation.passed:
            state.stage = "validation"
            state.validation.raise_if_failed()
        columns = list(frame.columns)
        state.warnings += displaced(columns, found)
        after = names_after(columns, found)
        named = renamed(frame, after)
        odd = {issue.column for issue in state.validation.issues if issue.rule == "type" and issue.severity == "low"}
        made, cleared = readable(named, blueprint, [name for name, column in found.fields.items() if column in odd])
        state.warnings += [
            f"{name}: {count:,} values that cannot be read are missing" for name, count in cleared.items()
        ]
        return made

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
            state.warnings += [*_left_out(result.refused), *result.warnings]

        job.stage("preprocessing", types_and_gaps)
        job.stage("feature_engineering", features)
        result.seconds = state.seconds["preprocessing"] + state.seconds["feature_engineering"]

    def _applied(self, job: Job, frame: pd.DataFrame, recipe: Recipe) -> None:
        state = job.state
        applied = recipe.apply(frame, as_of=job.request.asked.get("as_of"), check=job.check)
        as_of = str(moment(job.request.asked["as_of"])) if job.request.asked.get("as_of") else recipe.as_of
        state.preprocessing = _as_preprocessing(recipe, applied, rows=len(frame), as_of=as_of)
        state.feature_engineering = _features(state.preprocessing)
        if not len(applied.frame):
            whys = "; ".join(f"{each['count']}: {each['why']}" for each in applied.refused)
            cure = f"The recipe is as of {recipe.as_of}; give as_of= where the rows are later."
            raise ProcessingException(f"No row is left to prepare: {whys or 'the file is empty'}.", cure=cure)
        job.frame, job.fields, state.features_raw = applied.frame, applied.fields, applied.features_raw
        state.warnings += _left_out(applied.refused)
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


def _left_out(refused: list[dict[str, Any]]) -> list[str]:
    said = [f"{number(each['count'], 'row')} left out: {each['why']}" for each in refused]
    return [f"{each}; give as_of= to say a later day" if "after as_of" in each else each for each in said]


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
