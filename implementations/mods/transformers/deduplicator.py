"""One row of those that are alike in their keys: the first, the last, or none; the rows stay in their order."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from framework.mods import duck
from framework.mods.artifacts import opened, write_tables
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import Judged, Numbers, as_told, beside, judged, repeats, without, write_rejected
from framework.mods.result import ModResult
from framework.mods.run import current_run

METADATA = ModMetadata(
    name="deduplicator",
    version="1.0.0",
    description="Keeps one row of those that are alike in their keys",
    author="Millpond",
    tags=["transformer", "duplicates", "keys"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data", "rejected"], "optional": ["rejected"]},
)
EXAMPLE = {
    "input_artifact": "customers.parquet",
    "keys": ["id"],
    "order_by": ["-changed_on"],
    "keep_rejected": True,
}
EXAMPLE_FILES = {
    "customers.parquet": "id,name,changed_on\n1,Ada,2024-01-03\n2,Ben,2024-01-01\n1,Ada L.,2024-02-01\n3,C,2024-01-09\n"
}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    keys: list[str] | None = Field(None, min_length=1, description="columns that make rows alike; all unless given")
    keep: Literal["first", "last", "none"] = Field("first", description="which of the rows that are alike stays")
    order_by: list[str] = Field(
        default_factory=list,
        description="columns that decide which is first, '-' before one that falls; nulls come last; "
        "else the order of the rows",
    )
    keep_rejected: bool = Field(False, description="write the others to <output>.rejected.parquet, with their `_row`")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target = here.output(params.output_path)
    with duck.connected(here) as connection, judged(here, params.input_artifact) as rows:
        keys = rows.names if params.keys is None else params.keys
        order = ", ".join(_ordering(rows, each) for each in params.order_by)

        def repeated() -> Numbers:
            return repeats(connection, rows, keys, keep=params.keep, order=order)

        with opened(rows.path) as (schema, pieces):
            rows_output = write_tables(target, schema, without(pieces, repeated()))
        if params.keep_rejected:
            write_rejected(beside(target), rows.path, as_told(repeated()))
            result.add_artifact("rejected", beside(target))
        removed = rows.count - rows_output
    result.add_metric("rows_processed", rows_output + removed)
    result.add_metric("rows_output", rows_output)
    result.add_metric("duplicates_removed", removed)
    result.add_artifact("output_data", target)
    return result.success()


def _ordering(rows: Judged, given: str) -> str:
    """A column of order_by as SQL; a name that begins with `-` itself is that column."""
    falls = given.startswith("-") and given not in rows.names
    return f"{rows.value(given.removeprefix('-') if falls else given)} {'DESC' if falls else 'ASC'} NULLS LAST"
