"""Whether rows are good enough for a blueprint: issues by severity, a score with reasons; the rows pass unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from framework.mods.artifacts import read_frame
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.prepare.stages import (
    BlueprintName,
    Thresholds,
    blueprint_of,
    columns_of,
    configured,
    fields_of,
    measures,
    pass_on,
    write_told,
)

METADATA = ModMetadata(
    name="data_validation",
    version="1.0.0",
    description="Judges rows by a blueprint: completeness, uniqueness, validity, rules, outliers, and one score",
    author="Millpond",
    tags=["transformer", "preparation", "validate", "quality"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data", "validation"]},
)
EXAMPLE = {
    "input_artifact": "customers.parquet",
    "blueprint": "customer_churn",
    "mapping": {"total_value": "spent"},
    "thresholds": {"score": 90},
}
EXAMPLE_FILES = {
    "customers.parquet": "customer_id,last_activity_date,account_created_date,spent\n"
    "c1,2024-05-01,2023-01-15,120.5\nc2,2024-04-20,2022-11-03,80\nc3,2024-03-11,2023-06-30,45.25\n",
}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    blueprint: BlueprintName = Field(description="what the rows are to be good enough for")
    mapping: dict[str, str] = Field(default_factory=dict, description="{field: column}, where its name does not say it")
    validation_config: dict[str, Any] = Field(
        default_factory=dict,
        description="schema_validation, quality_checks, statistical_validation: true or false; outlier_share, "
        "iqr_factor, zscore, max_high, examples",
    )
    thresholds: Thresholds = Field(
        default_factory=dict, description="completeness, uniqueness, validity (0 to 1), score (0 to 100)"
    )
    on_fail: Literal["error", "warn"] = Field("error", description="what it is when the rows are not good enough")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("validation_config")
    @classmethod
    def _is_known(cls, options: dict[str, Any]) -> dict[str, Any]:
        return configured(options)


def run(params: Params) -> dict[str, Any]:
    from framework.prepare.validation import DataValidationService

    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    blueprint = blueprint_of(params.blueprint)
    found = fields_of(columns_of(params.input_artifact), blueprint, params.mapping)
    service = DataValidationService(params.validation_config, thresholds=params.thresholds, logger=here.logger)
    judged = service.validate(read_frame(params.input_artifact), blueprint, found.fields)
    told = write_told(here.output(name="validation.json"), judged.as_dict())
    if params.on_fail == "error":
        judged.raise_if_failed()
    target = here.output(params.output_path)
    pass_on(Path(params.input_artifact), target)
    result.add_artifact("output_data", target)
    result.add_artifact("validation", told)
    for name, value in measures(judged).items():
        result.add_metric(name, value)
    for words in (*found.warnings, *judged.failures, *judged.warnings):
        result.add_warning(words)
    return result.success() if judged.passed else result.warning()
