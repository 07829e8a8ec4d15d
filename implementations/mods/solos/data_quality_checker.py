"""How good rows are: complete, unique, valid, fresh, as many as there should be; a score, and a report.

score = 100 x (0.40 completeness + 0.30 uniqueness + 0.30 validity), where completeness is the mean share of cells that
are there, over the columns with a threshold (all columns without one); uniqueness the share of rows whose keys no
earlier row has; validity the mean share of the cells that are there and within their column's range.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from framework.errors import ParameterError
from framework.files import replace_bytes, storage_errors
from framework.mods import duck
from framework.mods.artifacts import check_columns, opened, write_tables
from framework.mods.asked import check_case
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import without_nan
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run

if TYPE_CHECKING:
    import pyarrow as pa

METADATA = ModMetadata(
    name="data_quality_checker",
    version="1.0.0",
    description="Scores rows by completeness, uniqueness and validity, checks freshness and number, writes a report",
    author="Millpond",
    tags=["solo", "quality", "validation"],
    artifacts={"consumes": ["input_artifact"], "makes": ["report"]},
)
EXAMPLE = {
    "input_artifact": "customers.csv",
    "keys": ["id"],
    "completeness": {"name": 0.5},
    "ranges": {"age": {"min": 0, "max": 130}},
    "min_rows": 2,
    "min_score": 80,
}
EXAMPLE_FILES = {"customers.csv": "id,name,age\n1,Ada,36\n2,,28\n"}
WEIGHTS = {"completeness": Fraction("0.40"), "uniqueness": Fraction("0.30"), "validity": Fraction("0.30")}
MEMORY = "256MB"


class Range(BaseModel):
    """Within what a column's values lie, both ends included; times and dates as ISO text."""

    model_config = ConfigDict(extra="forbid")

    min: int | float | date | datetime | str | None = None
    max: int | float | date | datetime | str | None = None


class Freshness(BaseModel):
    """How old the newest row may be."""

    model_config = ConfigDict(extra="forbid")

    column: str
    max_age_hours: float = Field(gt=0)


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact | None = Field(None, description="the rows; or say a dataset")
    dataset: str | None = Field(None, pattern=r"^[^:]+:.+$", description="store:name, in place of an artifact")
    completeness: dict[str, float] = Field(
        default_factory=dict, description="of a column the least share of cells that are there, 0 to 1"
    )
    min_completeness: float | None = Field(None, ge=0, le=1, description="the same of all other columns")
    keys: list[str] = Field(default_factory=list, description="columns that together are in no two rows the same")
    ranges: dict[str, Range] = Field(default_factory=dict, description="min and max of a column")
    freshness: Freshness | None = Field(None, description="column and max_age_hours; times without a zone are UTC")
    min_rows: int | None = Field(None, ge=0, description="that there are at least")
    max_rows: int | None = Field(None, ge=0, description="that there are at most")
    min_score: float | None = Field(None, ge=0, le=100, description="the least score")
    on_fail: Literal["error", "warn"] = Field("error", description="what a broken threshold makes of the result")
    output_path: str | None = Field(None, description="where the JSON report goes; into the run's folder unless given")

    @field_validator("completeness")
    @classmethod
    def _are_shares(cls, shares: dict[str, float]) -> dict[str, float]:
        wrong = [f"{name}: {share}" for name, share in shares.items() if not 0 <= share <= 1]
        if wrong:
            raise ValueError(f"a share is between 0 and 1, not {', '.join(wrong)}; 95 % is 0.95")
        return shares

    @field_validator("keys", mode="before")
    @classmethod
    def _one_or_several(cls, keys: Any) -> Any:
        return [keys] if isinstance(keys, str) else keys

    @model_validator(mode="after")
    def _has_one_source(self) -> Params:
        if (self.input_artifact is None) == (self.dataset is None):
            raise ValueError("say input_artifact or dataset, and not both")
        return self


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    with _rows(params, here) as path:
        measures = _measured(path, params, here)
    faults = list(_faults(measures, params))
    report = {**_reported(measures, params), "passed": not faults, "faults": faults}
    target = here.output(params.output_path, name="report.json")
    with storage_errors(str(target)):
        replace_bytes(target, json.dumps(report, indent=2, ensure_ascii=False, default=str).encode() + b"\n")
    result.add_artifact("report", target)
    for name in ("rows", "score", *WEIGHTS):
        result.add_metric("rows_processed" if name == "rows" else name, report[name])
    result.add_metric("faults", len(faults))
    here.logger.info("score %s, %d faults", report["score"], len(faults))
    for fault in faults:
        (result.add_warning if params.on_fail == "warn" else result.add_error)(fault)
    if not faults:
        return result.success()
    return result.warning() if params.on_fail == "warn" else result.error(30)


@contextmanager
def _rows(params: Params, here: ModRun) -> Iterator[Path]:
    """The file that the rows are in; a dataset's are put into one that is gone afterwards."""
    if params.input_artifact is not None:
        yield Path(params.input_artifact)
        return
    store, _, name = str(params.dataset).partition(":")
    path = here.folder / "dataset.parquet"
    try:
        _put(here.store(store).iter_data(name), path)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _put(frames: Iterator[Any], path: Path) -> None:
    from framework.schema import encode, plain

    def tables(first: pa.Table) -> Iterator[pa.Table]:
        yield first
        for frame in frames:
            yield plain(*encode(frame, lossy=True)).cast(first.schema)

    first = plain(*encode(next(frames), lossy=True))
    write_tables(path, first.schema, tables(first))


# --------------------------------------------------------------------------- measuring


@dataclass(frozen=True, slots=True)
class Asked:
    """One number that is asked of all rows."""

    about: str
    column: str
    sql: str


@dataclass(frozen=True, slots=True)
class Measures:
    """What was found, exact: thresholds are compared with this, never with what a report shows of it.

    Attributes
    ----------
    parts : mapping
        Of the score, by the names of the weights.
    shares : mapping
        Of each column, the cells that are there.
    newest : int or None
        Microseconds since 1970.
    """

    source: str
    rows: int
    parts: dict[str, Fraction]
    shares: dict[str, Fraction]
    outside: dict[str, int]
    repeated: int
    newest: int | None

    @property
    def score(self) -> Fraction:
        """Of 100."""
        return 100 * sum((WEIGHTS[name] * part for name, part in self.parts.items()), Fraction(0))


def _measured(path: Path, params: Params, here: ModRun) -> Measures:
    """What all rows say."""
    with opened(path) as (schema, _):
        check_case(schema.names, path.name)
        wanted = [*params.completeness, *params.keys, *params.ranges]
        check_columns([*wanted, *([params.freshness.column] if params.freshness else [])], schema.names, path.name)
    asked = list(_questions(schema, params))
    (rows, *numbers) = _answer(path, here, ["count(*)", *(each.sql for each in asked)])
    found = {(each.about, each.column): number for each, number in zip(asked, numbers, strict=True)}
    repeated = _repeated(path, here, schema, params.keys) if params.keys else 0
    shares = {column: _share(number, rows) for (about, column), number in found.items() if about == "there"}
    outside = {column: number for (about, column), number in found.items() if about == "outside"}
    held = {column: found["there", column] for column in outside}
    valid = [_share(held[column] - outside[column], held[column]) for column in outside]
    limited = list(params.completeness) if params.completeness and params.min_completeness is None else list(shares)
    parts = {
        "completeness": _mean([shares[column] for column in limited]),
        "uniqueness": _share(rows - repeated, rows),
        "validity": _mean(valid),
    }
    newest = found.get(("newest", params.freshness.column)) if params.freshness else None
    return Measures(params.dataset or path.name, rows, parts, shares, outside, repeated, newest)


def _reported(found: Measures, params: Params) -> dict[str, Any]:
    """The report without its verdict; what is less than 1 is never shown as 1."""
    return {
        "source": found.source,
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": found.rows,
        "score": _floored(found.score, 2),
        "formula": "100 x (0.40 completeness + 0.30 uniqueness + 0.30 validity)",
        **{name: _floored(part, 6) for name, part in found.parts.items()},
        "columns": {name: {"completeness": _floored(share, 6)} for name, share in found.shares.items()},
        "outside_range": found.outside,
        "repeated_keys": found.repeated,
        "newest": None if found.newest is None else _moment(found.newest).isoformat(),
    }


def _floored(exact: Fraction, digits: int) -> float:
    return floor(exact * 10**digits) / 10**digits


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _share(some: int, of: int) -> Fraction:
    return Fraction(some, of) if of else Fraction(1)


def _mean(shares: list[Fraction]) -> Fraction:
    return sum(shares, Fraction(0)) / len(shares) if shares else Fraction(1)


def _questions(schema: pa.Schema, params: Params) -> Iterator[Asked]:
    import pyarrow as pa

    for field in schema:
        name = duck.quoted(field.name)
        no_number = f" AND NOT isnan({name})" if pa.types.is_floating(field.type) else ""
        yield Asked("there", field.name, f"count(*) FILTER (WHERE {name} IS NOT NULL{no_number})")
        limits = params.ranges.get(field.name)
        if limits is not None:
            _check_range(field, limits)
            both = (("<", limits.min), (">", limits.max))
            ends = [f"{name} {sign} {_said(end)}" for sign, end in both if end is not None]
            if ends:
                outside = f"({' OR '.join(ends)}) AND {name} IS NOT NULL{no_number}"
                yield Asked("outside", field.name, f"count(*) FILTER (WHERE {outside})")
    if params.freshness:
        column = params.freshness.column
        kind = schema.field(column).type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise ParameterError(f"freshness: {column!r} holds {kind}, no times.", cure="Name a column of times.")
        yield Asked("newest", column, f"epoch_us(max({duck.quoted(column)})::TIMESTAMPTZ)")


def _check_range(field: Any, limits: Range) -> None:
    import pyarrow as pa

    numbers = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
    for end in (limits.min, limits.max):
        if end is not None and numbers == isinstance(end, str | date):
            raise ParameterError(
                f"ranges: {field.name!r} holds {field.type}, which {end!r} cannot bound.",
                cure="Give numbers for numbers, and text such as 2024-01-31 for dates and times.",
            )


def _said(end: Any) -> str:
    return repr(end) if isinstance(end, int | float) else duck.literal(str(end))


def _answer(path: Path, here: ModRun, numbers: list[str]) -> list[Any]:
    return _asked(path, here, f"SELECT {', '.join(numbers)} FROM came")  # noqa: S608


def _repeated(path: Path, here: ModRun, schema: pa.Schema, keys: list[str]) -> int:
    """How many rows have the keys of an earlier one."""
    names = ", ".join(without_nan(duck.quoted(key), schema.field(key).type) for key in keys)
    query = f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM (SELECT count(*) n FROM came GROUP BY {names})"  # noqa: S608
    return int(_asked(path, here, query, keys)[0])


def _asked(path: Path, here: ModRun, query: str, columns: list[str] | None = None) -> list[Any]:
    """The one row that a query over all rows gives."""
    import pyarrow as pa

    with duck.connected(here, memory=MEMORY) as connection, opened(path, columns) as (schema, pieces):
        batches = (batch for piece in pieces for batch in piece.to_batches())
        connection.register("came", pa.RecordBatchReader.from_batches(schema, batches))
        return list(connection.execute(query).fetchone())


# --------------------------------------------------------------------------- judging


def _faults(found: Measures, params: Params) -> Iterator[str]:
    """Every threshold that is broken."""
    for name, share in found.shares.items():
        least = params.completeness.get(name, params.min_completeness)
        if least is not None and share < Fraction(repr(least)):  # 0.95 is 95 of 100, not the float next to it
            yield f"completeness of {name} is {_floored(share, 6):g}, less than {least:g}"
    if found.repeated:
        yield f"{found.repeated} rows repeat the keys {', '.join(params.keys)} of others"
    for name, outside in found.outside.items():
        if outside:
            yield f"{outside} values of {name} are outside its range"
    yield from _of_number(found.rows, params)
    if params.freshness:
        yield from _of_age(found.newest, params.freshness)
    if params.min_score is not None and found.score < Fraction(repr(params.min_score)):
        yield f"the score is {_floored(found.score, 2):g}, less than {params.min_score:g}"


def _of_number(rows: int, params: Params) -> Iterator[str]:
    if params.min_rows is not None and rows < params.min_rows:
        yield f"there are {rows} rows, fewer than {params.min_rows}"
    if params.max_rows is not None and rows > params.max_rows:
        yield f"there are {rows} rows, more than {params.max_rows}"


def _of_age(newest: int | None, asked: Freshness) -> Iterator[str]:
    if newest is None:
        yield f"{asked.column} holds no time"
        return
    hours = (datetime.now(UTC) - _moment(newest)).total_seconds() / 3600
    if hours > asked.max_age_hours:
        yield f"the newest {asked.column} is {hours:.1f} hours old, more than {asked.max_age_hours:g}"
