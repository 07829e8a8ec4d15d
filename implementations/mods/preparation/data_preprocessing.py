"""Checked rows as columns for a model: gaps filled, outliers capped, features made, texts encoded, numbers scaled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from framework.files import replace_bytes, storage_errors
from framework.mods.artifacts import write_frame
from framework.mods.base import BaseModParams, InputArtifact, InputPath, ModMetadata, OutputPath
from framework.mods.mod import check_apart
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.prepare.stages import BlueprintName, Moment, blueprint_of, frame_of_fields, write_told

METADATA = ModMetadata(
    name="data_preprocessing",
    version="1.0.0",
    description="Imputes, caps, makes the blueprint's features, encodes and scales; learns a recipe, or applies one",
    author="Millpond",
    tags=["transformer", "preparation", "features", "recipe"],
    artifacts={
        "consumes": ["input_artifact"],
        "makes": ["output_data", "features_raw", "recipe", "preprocessing"],
    },
)
EXAMPLE = {
    "input_artifact": "customers.parquet",
    "blueprint": "customer_churn",
    "as_of": "2024-06-30",
    "scaling_method": "standard",
}
EXAMPLE_FILES = {
    "customers.parquet": "customer_id,last_activity_date,account_created_date,total_value,plan_type\n"
    "c1,2024-05-01,2023-01-15,120.5,basic\nc2,2024-04-20,2022-11-03,,premium\nc3,2024-03-11,2023-06-30,45.25,free\n",
}
FITTING = (
    "missing_value_strategy",
    "outlier_method",
    "encoding_strategy",
    "scaling_method",
    "feature_settings",
    "target",
    "keep_dates",
    "keep_extra",
)


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    blueprint: BlueprintName | None = Field(None, description="what they are; a recipe says it itself")
    recipe: InputPath | None = Field(
        None, description="to apply in place of learning one: a recipe.json, or the folder where it lies"
    )
    mapping: dict[str, str] = Field(default_factory=dict, description="{field: column}, where its name does not say it")
    missing_value_strategy: Literal["auto", "drop", "mean", "median", "mode"] = Field(
        "auto", description="what stands in for missing values"
    )
    outlier_method: Literal["iqr", "zscore", "none"] = Field("iqr", description="where numbers are capped")
    encoding_strategy: Literal["auto", "onehot", "label", "target"] = Field("auto", description="what texts become")
    scaling_method: Literal["robust", "standard", "minmax", "none"] = Field("robust", description="of the numbers")
    feature_settings: dict[str, Any] = Field(
        default_factory=dict, description="in place of what the blueprint learns: {plans: {free: 0, pro: 2}}"
    )
    as_of: Moment = Field(None, description="no feature sees a row after it; the latest date there unless given")
    target: str | None = Field(None, description="what a model is to foretell; the blueprint's unless given")
    keep_dates: bool = Field(False, description="whether dates come out too")
    keep_extra: bool = Field(False, description="whether columns that the blueprint does not name come out too")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")
    recipe_path: OutputPath | None = Field(
        None, description="where the recipe goes; into the run's folder unless given"
    )

    @model_validator(mode="after")
    def _learns_or_applies(self) -> Params:
        if self.recipe is None and self.blueprint is None:
            raise ValueError("say the blueprint to learn a recipe of, or a recipe to apply")
        said = [name for name in (*FITTING, "recipe_path") if name in self.model_fields_set]
        if self.recipe is not None and said:
            raise ValueError(f"a recipe holds what was learnt and how: leave {', '.join(said)} out")
        return self


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    made = _applied(params, result, here) if params.recipe is not None else _learnt(params, result, here)
    frame, raw, told = made
    target, features = here.output(params.output_path), here.output(name="features_raw.parquet")
    result.add_metric("rows_output", write_frame(target, frame.reset_index(drop=True)))
    write_frame(features, raw.reset_index(drop=True))
    result.add_metric("rows_dropped", sum(each["count"] for each in told["refused"]))
    result.add_metric("columns", len(frame.columns))
    result.add_metric("features", len(raw.columns))
    for name in ("imputed", "capped"):
        result.add_metric(name, told[name])
    for each in told["refused"]:
        result.add_warning(f"{each['count']} rows were refused: {each['why']}")
    for words in (*told["notes"], *told.get("warnings", ())):
        result.add_warning(words)
    result.add_artifact("output_data", target)
    result.add_artifact("features_raw", features)
    result.add_artifact("preprocessing", write_told(here.output(name="preprocessing.json"), told))
    return result.success()


def _learnt(params: Params, result: ModResult, here: ModRun) -> tuple[Any, Any, dict[str, Any]]:
    """Learn of these rows; the recipe is written down."""
    from framework.prepare.preprocessing import CHOICES, DataPreprocessingService

    blueprint = blueprint_of(str(params.blueprint))
    frame = _read(params, blueprint, result)
    config = {name: getattr(params, name) for name in (*CHOICES, "feature_settings")}
    made, raw, recipe, done = DataPreprocessingService(config).fit(
        frame,
        blueprint,
        as_of=params.as_of,
        target=params.target,
        keep_dates=params.keep_dates,
        keep_extra=params.keep_extra,
    )
    place = here.output(params.recipe_path, name="recipe.json")
    with storage_errors(str(place)):
        replace_bytes(place, recipe.dumps().encode())
    result.add_artifact("recipe", place)
    for name in ("as_of", "encoded", "bytes_before", "bytes_after", "bytes_features", "features_absent"):
        result.add_metric(name, getattr(done, name))
    result.add_metric("scaled", len(done.scaled))
    return made, raw, done.as_dict()


def _applied(params: Params, result: ModResult, here: ModRun) -> tuple[Any, Any, dict[str, Any]]:
    """Give these rows the columns of the recipe."""
    from framework.prepare.recipe import Recipe

    place = Path(str(params.recipe))
    place = place / "recipe.json" if place.is_dir() else place
    if params.output_path is not None:
        check_apart(here, {"recipe": str(place)}, {"output_path": str(here.output(params.output_path))})
    with storage_errors(str(place)):
        text = place.read_bytes()
    recipe = Recipe.loads(text, blueprint=blueprint_of(params.blueprint) if params.blueprint else None)
    made = recipe.apply(_read(params, recipe.blueprint, result), as_of=params.as_of)
    result.add_artifact("recipe", place)
    result.add_metric("as_of", recipe.as_of if params.as_of is None else str(params.as_of))
    result.add_metric("unseen", made.unseen)
    for column, texts in made.unseen.items():
        result.add_warning(f"{column} has {sum(texts.values())} values that were not there when the recipe was learnt")
    return made.frame, made.features_raw, made.as_dict()


def _read(params: Params, blueprint: Any, result: ModResult) -> Any:
    frame, warnings = frame_of_fields(params.input_artifact, blueprint, params.mapping)
    result.add_metric("rows_processed", len(frame))
    for words in warnings:
        result.add_warning(words)
    return frame
