"""The features of a blueprint as they are, neither capped nor scaled, beside what its rows are told apart by."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from framework.mods.artifacts import write_frame
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.prepare.stages import BlueprintName, Moment, blueprint_of, frame_of_fields

METADATA = ModMetadata(
    name="feature_engineering",
    version="1.0.0",
    description="Makes the features of a blueprint, unscaled, beside the identifier of each row",
    author="Millpond",
    tags=["transformer", "preparation", "features"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data"]},
)
EXAMPLE = {"input_artifact": "customers.parquet", "blueprint": "customer_churn", "as_of": "2024-06-30"}
EXAMPLE_FILES = {
    "customers.parquet": "customer_id,last_activity_date,account_created_date,total_value,support_tickets\n"
    "c1,2024-05-01,2023-01-15,120.5,2\nc2,2024-04-20,2022-11-03,80,0\nc3,2024-03-11,2023-06-30,45.25,1\n",
}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    blueprint: BlueprintName = Field(description="whose features are made")
    mapping: dict[str, str] = Field(default_factory=dict, description="{field: column}, where its name does not say it")
    as_of: Moment = Field(None, description="no feature sees a row after it; the latest date there unless given")
    missing_value_strategy: Literal["auto", "drop", "mean", "median", "mode"] = Field(
        "auto", description="what stands in for missing values"
    )
    feature_settings: dict[str, Any] = Field(
        default_factory=dict, description="in place of what the blueprint learns: {plans: {free: 0, pro: 2}}"
    )
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    blueprint = blueprint_of(params.blueprint)
    frame, warnings = frame_of_fields(params.input_artifact, blueprint, params.mapping)
    made, done = _made(frame, blueprint, params)
    target = here.output(params.output_path)
    for name, value in {
        "rows_processed": len(frame),
        "rows_output": write_frame(target, made),
        "rows_dropped": sum(each["count"] for each in done.refused),
        "features": done.features_created,
        "features_absent": done.features_absent,
        "imputed": done.imputed,
        "as_of": done.as_of,
    }.items():
        result.add_metric(name, value)
    for each in done.refused:
        result.add_warning(f"{each['count']} rows were refused: {each['why']}")
    for words in (*warnings, *done.notes, *done.warnings):
        result.add_warning(words)
    result.add_artifact("output_data", target)
    return result.success()


def _made(frame: Any, blueprint: Any, params: Params) -> tuple[Any, Any]:
    """Identifier and features, one row for each that comes out, and what was done for that."""
    import pandas as pd

    from framework.prepare.learning import Learning
    from framework.prepare.preprocessing import PreprocessingResult, checked_config
    from framework.prepare.rows import nothing

    done = PreprocessingResult()
    config = checked_config(
        {"missing_value_strategy": params.missing_value_strategy, "feature_settings": params.feature_settings}
    )
    learning = Learning(config, blueprint, done, target=None, keep_dates=False, check=nothing)
    learning.choose_inputs(frame, keep_extra=False)
    learning.admit(frame, params.as_of)
    learning.impute()
    learning.make_features()
    named = learning.table.frame([name for name in _telling(blueprint) if name in learning.table.columns])
    return pd.concat([named.reset_index(drop=True), learning.raw.reset_index(drop=True)], axis=1), done


def _telling(blueprint: Any) -> list[str]:
    """What its rows are told apart by: the identifier, or what is nearest to one and the time."""
    if blueprint.identifier:
        return list(blueprint.identifier)
    return [each.name for each in blueprint.fields if each.kind == "identifier" or each.name == blueprint.time]
