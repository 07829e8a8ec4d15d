"""The rows of an artifact that meet conditions, or an SQL expression, or both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field, field_validator, model_validator

from framework.errors import OptionError
from framework.mods import duck
from framework.mods.artifacts import opened, write_tables
from framework.mods.asked import check_names, expression, locked
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import judged, numbers, only
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run

METADATA = ModMetadata(
    name="filter",
    version="1.0.0",
    description="Keeps the rows that meet conditions or an SQL expression",
    author="Millpond",
    tags=["transformer", "filter", "rows"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data"]},
)
EXAMPLE = {
    "input_artifact": "orders.parquet",
    "where": [["status", "in", ["paid", "sent"]], ["amount", ">=", 10]],
    "expression": "sent_on IS NULL OR sent_on >= ordered_on",
}
EXAMPLE_FILES = {
    "orders.parquet": "id,status,amount,ordered_on,sent_on\n1,paid,12.5,2024-01-03,\n2,open,40.0,2024-01-03,\n"
    "3,sent,99.0,2024-01-04,2024-01-06\n4,sent,8.0,2024-01-05,2024-01-06\n"
}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    where: list[list[Any]] | None = Field(
        None,
        description="conditions [column, op, value] that all hold; op: == != < <= > >= in, not in, is null, not null; "
        "what is missing meets only is null",
    )
    expression: str | None = Field(
        None, description="in SQL, over the columns: price * amount > 100 AND name LIKE 'A%'"
    )
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("where")
    @classmethod
    def _are_conditions(cls, where: list[list[Any]] | None) -> list[list[Any]] | None:
        from framework.schema import Selection

        try:
            Selection.asked(where=_conditions(where))
        except OptionError as error:
            raise ValueError(str(error)) from error
        return where

    @field_validator("expression")
    @classmethod
    def _is_one_expression(cls, text: str | None) -> str | None:
        return text if text is None or expression(text) else None

    @model_validator(mode="after")
    def _says_which(self) -> Params:
        if not self.where and self.expression is None:
            raise ValueError("say which rows: where: [[column, op, value]], or expression")
        return self


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target, seen = here.output(params.output_path), [0]
    if params.expression is None:
        with opened(params.input_artifact) as (schema, pieces):
            rows = write_tables(target, schema, _meeting(params, schema, _counted(pieces, seen)))
    else:
        rows = _by_expression(params, here, target, seen)
    here.logger.info("kept %d rows of %d", rows, seen[0])
    result.add_metric("rows_processed", seen[0])
    result.add_metric("rows_output", rows)
    result.add_metric("rows_dropped", seen[0] - rows)
    result.add_artifact("output_data", target)
    return result.success()


def _by_expression(params: Params, here: ModRun, target: Any, seen: list[int]) -> int:
    """Write the rows of which the expression is true: how many."""
    text = params.expression or "true"
    with duck.connected(here) as connection, judged(here, params.input_artifact) as rows:
        check_names(text, rows.names, rows.path.name)
        locked(connection, [rows.file])
        sql = f"SELECT {rows.row} FROM {rows.named} WHERE {expression(text)} ORDER BY 1"  # noqa: S608 - looked at
        with opened(rows.path) as (schema, pieces):
            counted = _counted(pieces, seen)
            found = only(schema, counted, numbers(connection, sql))
            written = write_tables(target, schema, _meeting(params, schema, found))
            for _ in counted:  # those after the last that was kept count too
                pass
    return written


def _counted(pieces: Iterable[Any], seen: list[int]) -> Iterator[Any]:
    for piece in pieces:
        seen[0] += piece.num_rows
        yield piece


def _meeting(params: Params, schema: Any, pieces: Iterable[Any]) -> Iterable[Any]:
    """The rows of the pieces that meet the conditions."""
    if not params.where:
        return pieces
    from framework.formats.parquet_foreign import described
    from framework.schema import Selection

    known = described(schema)
    selection = Selection.asked(where=_conditions(params.where))
    tests = selection.tests(known, params.input_artifact)
    return (selection.rows(piece, known, params.input_artifact, tests)[0] for piece in pieces)


def _conditions(where: list[list[Any]] | None) -> list[tuple[Any, ...]]:
    return [tuple(each) for each in where or ()]
