"""The last look at a prepared dataset: whether a model may be given it; the rows pass unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from framework.mods.artifacts import check_columns, read_frame
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.prepare.stages import BlueprintName, Thresholds, blueprint_of, measures, pass_on, write_told

METADATA = ModMetadata(
    name="quality_assurance",
    version="1.0.0",
    description="Judges what a model would be given: identifiers, gaps, numbers that are not finite, and a score",
    author="Millpond",
    tags=["transformer", "preparation", "validate", "quality"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data", "quality"]},
)
EXAMPLE = {"input_artifact": "prepared.parquet", "blueprint": "customer_churn", "thresholds": {"score": 90}}
EXAMPLE_FILES = {
    "prepared.parquet": "customer_id,total_value,days_since_last_activity,value_tier\n"
    "c1,0.93,-0.4,4\nc2,0.0,0.0,2\nc3,-0.71,1.6,1\n",
}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the prepared rows: Parquet, or CSV")
    blueprint: BlueprintName = Field(description="what they were prepared for")
    features: list[str] | None = Field(None, description="those that were made; the blueprint's that are there")
    target: str | None = Field(None, description="what a model is to foretell; the blueprint's unless given")
    thresholds: Thresholds = Field(default_factory=dict, description="score (0 to 100) is looked at")
    on_fail: Literal["error", "warn"] = Field("error", description="what it is when the rows are not good enough")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")


def run(params: Params) -> dict[str, Any]:
    from framework.prepare.quality import final_quality

    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    blueprint, source = blueprint_of(params.blueprint), Path(params.input_artifact)
    frame = read_frame(source)
    check_columns([*(params.features or ()), *([params.target] if params.target else ())], frame.columns, source.name)
    made = [each.name for each in blueprint.features if each.name in frame.columns]
    judged = final_quality(
        frame,
        blueprint,
        features=made if params.features is None else params.features,
        target=params.target or blueprint.target,
        thresholds=params.thresholds,
    )
    told = write_told(here.output(name="quality.json"), judged.as_dict())
    if params.on_fail == "error":
        judged.raise_if_failed()
    target = here.output(params.output_path)
    pass_on(source, target)
    result.add_artifact("output_data", target)
    result.add_artifact("quality", told)
    for name, value in measures(judged).items():
        result.add_metric(name, value)
    result.add_metric("columns", judged.columns)
    serious = [issue.message for issue in judged.issues if issue.severity in ("high", "medium")]
    for words in (*judged.failures, *serious):
        result.add_warning(words)
    return result.success() if judged.passed else result.warning()
