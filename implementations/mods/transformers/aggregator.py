"""One row for each group of rows, with sums, counts and the like; groups stand as they were first seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from framework.errors import ParameterError
from framework.mods import duck
from framework.mods.artifacts import opened, write_tables
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import Carrier, Judged, judged
from framework.mods.result import ModResult
from framework.mods.run import current_run

METADATA = ModMetadata(
    name="aggregator",
    version="1.0.0",
    description="Makes one row of each group of rows: sums, counts and the like",
    author="Millpond",
    tags=["transformer", "group", "aggregate"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data"]},
)
EXAMPLE = {
    "input_artifact": "orders.parquet",
    "group_by": ["country"],
    "aggregations": {
        "orders": {"function": "count"},
        "amount": {"column": "amount", "function": "sum"},
        "customers": {"column": "customer_id", "function": "count_distinct"},
        "p90": {"column": "amount", "function": "quantile", "q": 0.9},
    },
}
EXAMPLE_FILES = {
    "orders.parquet": "id,customer_id,country,amount\n1,7,DE,12.5\n2,8,FR,40.0\n3,7,DE,3.25\n4,9,DE,\n",
}
NUMERIC = ("sum", "mean", "std", "median", "quantile")
FUNCTIONS = {
    "mean": "favg({0}::DOUBLE)",
    "std": "stddev_samp({0}::DOUBLE)",
    "median": "quantile_cont({0}::DOUBLE, 0.5)",
    "min": "min({0})",
    "max": "max({0})",
    "count": "count({0})",
    "count_distinct": "count(DISTINCT {0})",
    "first": "arg_min({0}, {1})",
    "last": "arg_max({0}, {1})",
}
Function = Literal[
    "sum", "mean", "min", "max", "count", "count_distinct", "first", "last", "std", "median", "quantile"
]  # fmt: skip


class Aggregation(BaseModel):
    """What one column of the output is."""

    model_config = ConfigDict(extra="forbid")

    column: str | None = Field(None, description="of the input; a count without one counts rows")
    function: Function = Field(
        description="of the values that are there; first and last too. std divides by n - 1; a quantile lies between "
        "two values where need be; the sum of none is null"
    )
    q: float | None = Field(None, ge=0, le=1, description="of a quantile")

    @model_validator(mode="after")
    def _is_whole(self) -> Aggregation:
        if self.column is None and self.function != "count":
            raise ValueError(f"{self.function} needs a column")
        if (self.q is None) == (self.function == "quantile"):
            raise ValueError("a quantile needs q, such as 0.9" if self.q is None else "q belongs to quantile")
        return self


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    group_by: list[str] = Field(
        default_factory=list, description="columns whose values make a group; null is a value; none: all is one group"
    )
    aggregations: dict[str, Aggregation] = Field(min_length=1, description="{column of the output: {column, function}}")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @model_validator(mode="after")
    def _names_differ(self) -> Params:
        for name in self.group_by:
            if name in self.aggregations or self.group_by.count(name) > 1:
                raise ValueError(f"two columns of the output are called {name!r}: rename one")
        return self


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target = here.output(params.output_path)
    with duck.connected(here) as connection, judged(here, params.input_artifact) as rows:
        made = {name: _made(rows, each) for name, each in params.aggregations.items()}
        _, answers = duck.tables(connection, _query(rows, params.group_by, [sql for sql, _ in made.values()]))
        with opened(rows.path, params.group_by) as (schema, pieces):
            whole = schema
            for name, (_, kind) in made.items():
                whole = _appended(whole, name, kind)
            carrier = Carrier(schema, pieces) if params.group_by else None
            groups = write_tables(target, whole, _grouped(carrier, answers, whole))
        result.add_metric("rows_processed", rows.count)
    result.add_metric("rows_output", groups)
    result.add_artifact("output_data", target)
    return result.success()


def _query(rows: Judged, group_by: list[str], made: list[str]) -> str:
    """A group a row: the number of its first row, then what is made of it."""
    columns = ", ".join(f"{sql} AS a{place}" for place, sql in enumerate(made))
    if not group_by:
        return f"SELECT 0 AS first, {columns} FROM {rows.source}"  # noqa: S608 - quoted
    key = rows.key(group_by)
    return f"SELECT min({rows.row}) AS first, {columns} FROM {rows.source} GROUP BY {key} ORDER BY first"  # noqa: S608


def _grouped(carrier: Carrier | None, answers: Iterator[Any], whole: Any) -> Iterator[Any]:
    """The groups' keys, carried from their first rows, and what was made of each."""
    import pyarrow as pa

    for answer in answers:
        columns = []
        if carrier is not None:
            columns = carrier.take(answer.column(0).combine_chunks().to_numpy()).columns
        for place, field in enumerate(whole):
            if place >= len(columns):
                made = answer.column(place - len(whole) + answer.num_columns)
                columns.append(made if made.type == field.type else made.cast(field.type))
        yield pa.table(columns, schema=whole)


# --------------------------------------------------------------------------- one column of the output


def _made(rows: Judged, asked: Aggregation) -> tuple[str, Any]:
    """What DuckDB makes a column by, and its Arrow type."""
    import pyarrow as pa

    if asked.column is None:
        return "count(*)", pa.int64()
    value = rows.value(asked.column)
    kind = rows.schema.field(asked.column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if asked.function in NUMERIC and not _is_number(kind):
        raise ParameterError(
            f"{asked.function} needs numbers, and {asked.column!r} is {kind}.",
            cure=f"Make it a number in data_cleaner: types: {{{asked.column}: float}}.",
            resource=asked.column,
        )
    if asked.function == "sum":
        return _sum(value, kind)
    if asked.function == "quantile":
        return f"quantile_cont({value}::DOUBLE, {asked.q!r})", pa.float64()
    if asked.function in ("count", "count_distinct"):
        return FUNCTIONS[asked.function].format(value, rows.row), pa.int64()
    return FUNCTIONS[asked.function].format(value, rows.row), pa.float64() if asked.function in NUMERIC else kind


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def _sum(value: str, kind: Any) -> tuple[str, Any]:
    """Whole numbers add up to whole numbers; beyond 64 bits it is an error."""
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return f"fsum({value}::DOUBLE)", pa.float64()
    if pa.types.is_decimal(kind):
        return f"sum({value})", pa.decimal128(38, kind.scale)
    unsigned = pa.types.is_uint64(kind)
    whole = f"{value}::INTEGER" if pa.types.is_boolean(kind) else value
    return f"sum({whole})::{'UBIGINT' if unsigned else 'BIGINT'}", pa.uint64() if unsigned else pa.int64()


def _appended(schema: Any, name: str, kind: Any) -> Any:
    import pyarrow as pa

    return schema.append(pa.field(name, kind))
