"""Which columns are the fields of a blueprint: they get the fields' names; what lacks is told with what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from framework.mods.artifacts import opened, write_tables
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.prepare.stages import BlueprintName, blueprint_of, displaced, names_after, schema_of, write_told

METADATA = ModMetadata(
    name="blueprint_compatibility",
    version="1.0.0",
    description="Finds the column of each field of a blueprint, gives it the field's name, and tells what lacks",
    author="Millpond",
    tags=["transformer", "preparation", "columns"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data", "compatibility"]},
)
EXAMPLE = {
    "input_artifact": "customers.parquet",
    "blueprint": "customer_churn",
    "mapping": {"total_value": "spent"},
}
EXAMPLE_FILES = {
    "customers.parquet": "Customer ID,LAST_ACTIVITY_DATE,account_created_date,spent,note\n"
    "c1,2024-05-01,2023-01-15,120.5,\nc2,2024-04-20,2022-11-03,80,called\n",
}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    blueprint: BlueprintName = Field(description="whose fields are looked for")
    mapping: dict[str, str] = Field(default_factory=dict, description="{field: column}, where its name does not say it")
    unused: Literal["keep", "drop"] = Field("keep", description="what becomes of columns that are no field")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")


def run(params: Params) -> dict[str, Any]:
    from framework.prepare.compatibility import compatibility

    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    blueprint, target = blueprint_of(params.blueprint), here.output(params.output_path)
    with opened(params.input_artifact) as (arrow, pieces):
        schema = schema_of(params.input_artifact, arrow)
        columns = [each.label for each in schema.values]
        found = compatibility(columns, blueprint, mapping=params.mapping)
        told = write_told(here.output(name="compatibility.json"), found.as_dict())
        found.raise_if_failed()
        after = names_after(columns, found)
        if params.unused == "drop":
            after = {column: name for column, name in after.items() if name in found.fields}
        on_record = params.input_artifact.endswith(".parquet")  # of CSV it is not known how many rows there will be
        rows = _write(target, arrow, pieces, schema, after, on_record=on_record)
    result.add_artifact("output_data", target)
    result.add_artifact("compatibility", told)
    for name, value in {
        "rows_processed": rows,
        "rows_output": rows,
        "fields": len(found.fields),
        "renamed": {column: name for name, column in found.fields.items() if name != column},
        "missing_optional": [each.field for each in found.missing_optional],
        "unused": list(found.unused),
    }.items():
        result.add_metric(name, value)
    for lack in found.missing_optional:
        result.add_warning(f"{lack.field!r} is not there: {lack.cost or 'nothing depends on it'}")
    for words in (*found.warnings, *displaced(columns, found)):
        result.add_warning(words)
    return result.success()


def _write(target: Any, arrow: Any, pieces: Any, schema: Any, after: dict[Any, Any], *, on_record: bool) -> int:
    """The rows with the names of `after`, of the columns that it has, and of the index."""
    from dataclasses import replace

    import pyarrow as pa

    kept = [(each, each.label if each.level is not None else after.get(each.label)) for each in schema.fields]
    kept = [(each, label) for each, label in kept if each.level is not None or each.label in after]
    names = {each.name: each.name if each.level is not None else str(label) for each, label in kept}
    fields = tuple(replace(each, name=names[each.name], label=label) for each, label in kept)
    told = pa.schema([arrow.field(name).with_name(new) for name, new in names.items()])

    def renamed() -> Iterator[Any]:
        for piece in pieces:
            yield piece.select(list(names)).rename_columns(list(names.values()))

    return write_tables(target, told, renamed(), replace(schema, fields=fields) if on_record else None)
