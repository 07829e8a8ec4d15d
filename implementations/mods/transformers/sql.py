"""What one SELECT answers, asked of artifacts as tables, by DuckDB; it opens no other file and changes nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

from pydantic import Field, field_validator, model_validator

from framework.errors import FidelityError, ParameterError
from framework.mods import duck
from framework.mods.artifacts import write_tables
from framework.mods.asked import check_case, locked, one_select
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import judged
from framework.mods.result import ModResult
from framework.mods.run import current_run

METADATA = ModMetadata(
    name="sql",
    version="1.0.0",
    description="Asks one SELECT of artifacts, by DuckDB",
    author="Millpond",
    tags=["transformer", "sql", "duckdb"],
    artifacts={"consumes": ["input_artifact", "artifacts"], "makes": ["output_data"]},
)
EXAMPLE = {
    "artifacts": {"orders": "orders.parquet", "customers": "customers.parquet"},
    "query": "SELECT c.country, count(*) AS orders, sum(o.amount) AS amount\n"
    "FROM orders o JOIN customers c ON c.id = o.customer_id\n"
    "GROUP BY c.country ORDER BY amount DESC",
}
EXAMPLE_FILES = {
    "orders.parquet": "id,customer_id,amount\n1,7,12.5\n2,8,40.0\n3,7,3.25\n",
    "customers.parquet": "id,country\n7,DE\n8,FR\n",
}
INPUT = "input"


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    query: str = Field(description="one SELECT, in DuckDB's SQL; it reads the tables named here and nothing else")
    input_artifact: InputArtifact | None = Field(None, description="what the query calls input")
    artifacts: dict[str, InputArtifact] = Field(default_factory=dict, description="further ones, by their names in it")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("query")
    @classmethod
    def _only_reads(cls, query: str) -> str:
        return one_select(query)

    @model_validator(mode="after")
    def _has_tables(self) -> Params:
        names = Counter(name.casefold() for name in (*self.artifacts, *([INPUT] if self.input_artifact else [])))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"two tables are called {twice[0]!r}, and SQL does not look at case: rename one")
        return self


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    paths = {**({INPUT: params.input_artifact} if params.input_artifact else {}), **params.artifacts}
    target = here.output(params.output_path)
    with ExitStack() as stack:
        connection = stack.enter_context(duck.connected(here))
        tables = {name: stack.enter_context(judged(here, path)) for name, path in paths.items()}
        for name, rows in tables.items():
            check_case(rows.names, rows.path.name)
            columns = f"SELECT {rows.columns} FROM {rows.source}"  # noqa: S608 - quoted
            connection.execute(f"CREATE VIEW {duck.quoted(name)} AS {columns}")
        locked(connection, [rows.file for rows in tables.values()])
        arrow, pieces = duck.tables(connection, _exported(connection, params.query))
        rows_output = write_tables(target, arrow, pieces)
        result.add_metric("rows_processed", sum(rows.count for rows in tables.values()))
    result.add_metric("rows_output", rows_output)
    result.add_artifact("output_data", target)
    return result.success()


# --------------------------------------------------------------------------- types that a file holds


def _exported(connection: Any, query: str) -> str:
    """The query with its columns as types that Parquet holds."""
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    columns = [(str(row[0]), str(row[1])) for row in described]
    _check_names([name for name, _ in columns])
    plain = {f"c{place}": _plain(f"c{place}", kind, name) for place, (name, kind) in enumerate(columns)}
    if all(place == cast for place, cast in plain.items()):
        return query
    named = zip(plain.values(), columns, strict=True)
    shown = ", ".join(f"{cast} AS {duck.quoted(name)}" for cast, (name, _) in named)
    return f"SELECT {shown} FROM (\n{query}\n) AS t({', '.join(plain)})"  # noqa: S608 - looked at


def _check_names(names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ParameterError(
                f"The query answers {count} columns {name!r}.", cure=f"Name each: o.{name} AS order_{name}."
            )


def _plain(column: str, kind: str, name: str) -> str:
    if kind in ("HUGEINT", "UHUGEINT"):  # what sum() of integers is
        return f"CAST({column} AS BIGINT)"
    if kind in ("UUID", "JSON", "BIT", "BIGNUM", "VARINT"):
        return f"CAST({column} AS VARCHAR)"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "INTERVAL", "VARIANT", "UNION", "GEOMETRY")):
        other = f"its microseconds: epoch_us({name})" if kind == "INTERVAL" else "take it apart with unnest"
        raise FidelityError(
            f"The column {name!r} is {kind}, which no artifact holds.",
            cure=f"Cast it: CAST({name} AS VARCHAR), or {other}.",
        )
    return column
