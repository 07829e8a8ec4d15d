"""Rows held to rules: they pass, or the run fails, or those that break one are kept beside with the rule's name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from framework.errors import ParameterError
from framework.files import copy_into, replacing, storage_errors
from framework.mods import duck, kinds
from framework.mods.artifacts import opened, write_tables
from framework.mods.asked import check_names, expression, locked
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import ROW, Judged, beside, judged, numbers, repeating, without, write_rejected
from framework.mods.result import ModResult
from framework.mods.run import current_run

METADATA = ModMetadata(
    name="validator",
    version="1.0.0",
    description="Holds rows to rules, and keeps those that break one apart",
    author="Millpond",
    tags=["transformer", "validate", "rules", "quality"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data", "rejected"], "optional": ["rejected"]},
)
EXAMPLE = {
    "input_artifact": "contracts.parquet",
    "rules": [
        {"rule": "not_null", "columns": ["id", "email"]},
        {"rule": "unique", "column": "id"},
        {"rule": "pattern", "column": "email", "pattern": r"[^@\s]+@[^@\s]+\.[a-z]+"},
        {"rule": "range", "column": "seats", "min": 1, "max": 500},
        {"rule": "allowed", "column": "plan", "values": ["free", "basic", "premium"]},
        {"rule": "expression", "check": "end_date >= start_date", "name": "ends after its start"},
    ],
    "on_fail": "quarantine",
    "max_rejected": 0.5,
}
EXAMPLE_FILES = {
    "contracts.parquet": "id,email,plan,seats,start_date,end_date\n"
    "1,ada@example.com,basic,5,2024-01-01,2024-12-31\n2,ben@example.com,premium,900,2024-02-01,2024-01-31\n"
    "3,cy@example.com,free,1,2024-03-01,\n",
}
NEEDS = {  # which fields a rule takes, of which the first must be there
    "not_null": (),
    "unique": ("keep",),
    "type": ("type",),
    "range": ("min", "max"),
    "pattern": ("pattern",),
    "allowed": ("values",),
    "length": ("min", "max"),
    "expression": ("check",),
}
RULE = "_rule"


class Rule(BaseModel):
    """One rule; what is null breaks not_null alone."""

    model_config = ConfigDict(extra="forbid")

    rule: Literal["not_null", "unique", "type", "range", "pattern", "allowed", "length", "expression"]
    column: str | None = Field(None, description="that it is about")
    columns: list[str] | None = Field(None, min_length=1, description="each of these; unique: these together")
    name: str | None = Field(None, min_length=1, description="what it is called in `_rule` and the metrics")
    keep: Literal["first", "none"] | None = Field(None, description="unique: whether the first of those alike is good")
    type: str | None = Field(None, description="int, float, decimal(12, 2), bool, date, datetime, instant, text")
    min: int | float | Decimal | date | datetime | str | None = Field(None, description="range, length: at least")
    max: int | float | Decimal | date | datetime | str | None = Field(None, description="range, length: at most")
    pattern: str | None = Field(None, description="a regular expression (RE2) that the whole text meets")
    values: list[Any] | None = Field(None, min_length=1, description="allowed: the values that may be")
    check: str | None = Field(None, description="expression: in SQL over the columns: end_date >= start_date")

    @field_validator("type")
    @classmethod
    def _is_known(cls, kind: str | None) -> str | None:
        return None if kind is None else kinds.checked(kind)

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:  # the engine of DuckDB's patterns is Arrow's too
            pc.match_substring_regex(pa.array([""]), pattern or "")
        except pa.ArrowInvalid as error:
            raise ValueError(f"{pattern!r} is no regular expression of RE2: {error}") from error
        return pattern

    @field_validator("check")
    @classmethod
    def _is_one_expression(cls, text: str | None) -> str | None:
        return text if text is None or expression(text) else None

    @model_validator(mode="after")
    def _is_whole(self) -> Rule:
        takes = NEEDS[self.rule]
        there = {name for fields in NEEDS.values() for name in fields if getattr(self, name) is not None}
        if there - set(takes):
            raise ValueError(f"{min(there - set(takes))} is none of what {self.rule} takes: {', '.join(takes) or 'no'}")
        if takes and self.rule != "unique" and not there:
            raise ValueError(f"{self.rule} needs {' or '.join(takes)}")
        if self.rule == "expression" and (self.column or self.columns):
            raise ValueError("an expression names its columns itself: leave column out")
        if self.rule != "expression" and (self.column is None) == (self.columns is None):
            raise ValueError(f"{self.rule} needs a column, or columns")
        if self.rule == "length" and not all(isinstance(each, int | None) for each in (self.min, self.max)):
            raise ValueError("a length lies between whole numbers")
        return self

    @property
    def about(self) -> list[str]:
        """Its columns."""
        return [self.column] if self.column is not None else list(self.columns or ())


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    rules: list[Rule] = Field(min_length=1, description="{rule: not_null | unique | type | range | ..., column: ...}")
    on_fail: Literal["error", "warn", "quarantine"] = Field(
        "error",
        description="for rows that break a rule: nothing passes; all passes, with a warning; they go to "
        "<output>.rejected.parquet, with the rules in `_rule` and their number, from 0, in `_row`",
    )
    max_rejected: float = Field(0.05, ge=0, le=1, description="the share of rows beyond which quarantine is an error")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target = here.output(params.output_path)
    with ExitStack() as stack:
        connection = stack.enter_context(duck.connected(here))
        rows = stack.enter_context(judged(here, params.input_artifact))
        tests = list(_tests(connection, rows, params.rules))
        counts, broken = _counted(connection, rows, tests)
        shown = ", ".join(f"{name}: {count}" for name, count in counts.items() if count)
        words = f"{broken} of {rows.count} rows break a rule ({shown})"
        share = broken / max(rows.count, 1)
        failed = bool(broken) and (
            params.on_fail == "error" or (params.on_fail == "quarantine" and share > params.max_rejected)
        )
        quarantined = params.on_fail == "quarantine"
        if quarantined:
            _mark(connection, rows, tests)
            write_rejected(beside(target), rows.path, _told(connection))
            result.add_artifact("rejected", beside(target))
        if not failed:
            _pass_on(connection, rows.path, target, refused=quarantined and broken > 0)
            result.add_artifact("output_data", target)
        result.add_metric("rows_processed", rows.count)
        result.add_metric("rows_output", 0 if failed else rows.count - (broken if quarantined else 0))
    result.add_metric("rows_rejected", broken)
    result.add_metric("rules", counts)
    if failed:
        limit = f", more than max_rejected: {params.max_rejected:g}" if quarantined else ""
        result.add_error(f"{words}{limit}; nothing was passed on")
        return result.error(30)
    if broken:
        result.add_warning(f"{words}, kept in {beside(target).name}" if quarantined else words)
        return result.warning()
    return result.success()


# --------------------------------------------------------------------------- what breaks a rule


@dataclass(frozen=True, slots=True)
class _Test:
    """A rule as SQL that is true of the rows that break it."""

    name: str
    broken: str


def _tests(connection: Any, rows: Judged, rules: list[Rule]) -> Iterator[_Test]:
    """What the rules ask of each row; no file but the artifact is within the expressions' reach."""
    for rule in rules:
        if rule.check is not None:
            check_names(rule.check, rows.names, rows.path.name)
    locked(connection, [rows.file])
    seen: dict[str, int] = {}
    for number, (name, test) in enumerate(each for rule in rules for each in _of(connection, rows, rule)):
        seen[name] = seen.get(name, 0) + 1
        whole = name if seen[name] == 1 else f"{name} #{seen[name]}"
        if isinstance(test, _Repeated):
            connection.execute(f"CREATE TEMP TABLE repeated{number} AS {test.sql}")
            test = f"{rows.row} IN (FROM repeated{number})"
        yield _Test(whole, f"coalesce({test}, false)")


@dataclass(frozen=True, slots=True)
class _Repeated:
    sql: str


def _of(connection: Any, rows: Judged, rule: Rule) -> Iterator[tuple[str, str | _Repeated]]:
    """The name of each thing that a rule asks, and what breaks it."""
    if rule.check is not None:
        yield rule.name or f"expression({rule.check})", f"NOT {expression(rule.check)}"
        return
    name = rule.name or f"{rule.rule}({{}})"
    if rule.rule == "unique":
        there = " AND ".join(f"{rows.value(column)} IS NOT NULL" for column in rule.about)
        sql = repeating(connection, rows, rule.about, keep=rule.keep or "first", where=there)
        yield name.replace("{}", ", ".join(rule.about)), "false" if sql is None else _Repeated(sql)
        return
    for column in rule.about:
        several = rule.name is not None and len(rule.about) > 1
        yield (f"{name}({column})" if several else name.replace("{}", column)), _broken(rows, rule, column)


def _broken(rows: Judged, rule: Rule, column: str) -> str:
    """What is true of a value that breaks the rule; null where the value is."""
    value, kind = rows.value(column), rows.schema.field(column).type
    if rule.rule == "not_null":
        return f"{value} IS NULL"
    if rule.type is not None:
        return f"{value} IS NOT NULL AND NOT {kinds.fits(value, kind, rule.type)}"
    if rule.rule == "range":
        return _outside(value, *(_literal(each, kind, column) for each in (rule.min, rule.max)))
    if rule.values is not None:
        allowed = [str(_literal(each, kind, column)) for each in rule.values if each is not None]  # null passes anyway
        return f"{value} NOT IN ({', '.join(allowed)})" if allowed else f"{value} IS NOT NULL"
    _check_is_text(kind, column, rule.rule)
    if rule.pattern is not None:
        return f"NOT regexp_full_match({value}, {duck.literal(rule.pattern)})"
    return _outside(f"length({value})", *(None if each is None else str(each) for each in (rule.min, rule.max)))


def _outside(value: str, least: str | None, most: str | None) -> str:
    parts = [*([f"{value} < {least}"] if least else []), *([f"{value} > {most}"] if most else [])]
    return f"({' OR '.join(parts)})"


def _check_is_text(kind: Any, column: str, rule: str) -> None:
    if kinds.kind_of(kind) not in ("text", None):
        raise ParameterError(
            f"{rule} is about text, and {column!r} is {kind}.", cure="Ask for a range, or allowed values."
        )


def _literal(value: Any, kind: Any, column: str) -> str | None:
    """A value as SQL that a column of that type is compared with; ParameterError where it cannot be."""
    if value is None:
        return None
    known = kinds.kind_of(kind)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if known in ("int", "decimal") and Decimal(value).is_finite():
            return format(Decimal(str(value)), "f")
        if known == "float":
            return f"'{value}'::{'FLOAT' if kind.bit_width == 32 else 'DOUBLE'}"
    if (known == "bool" and isinstance(value, bool)) or (known == "text" and isinstance(value, str)):
        return str(value).lower() if isinstance(value, bool) else duck.literal(value)
    pattern = kinds.PATTERNS.get(known or "")
    if known in ("date", "datetime", "instant") and isinstance(value, str | date):
        text = str(value)
        if any(re.fullmatch(kinds.PATTERNS[each], text) for each in ("date", known)) and pattern:
            return f"{duck.literal(text)}::{kinds.SQL_TYPES[known]}"
    raise ParameterError(
        f"{value!r} cannot be compared with {column!r}, which is {kind}.",
        cure="Write it as the column has it, or give the column another type in data_cleaner.",
        resource=column,
    )


# --------------------------------------------------------------------------- which rows, and what is done with them


def _counted(connection: Any, rows: Judged, tests: list[_Test]) -> tuple[dict[str, int], int]:
    """How many rows break each rule, and how many break any."""
    each = [f"count(*) FILTER (b{place})" for place in range(len(tests))]
    whole = " OR ".join(f"b{place}" for place in range(len(tests)))
    sql = f"SELECT {', '.join(each)}, count(*) FILTER ({whole}) FROM ({_judging(rows, tests)})"  # noqa: S608
    ((*counts, broken),) = connection.execute(sql).fetchall()
    return dict(zip((test.name for test in tests), counts, strict=True)), broken


def _judging(rows: Judged, tests: list[_Test]) -> str:
    columns = ", ".join(f"{test.broken} AS b{place}" for place, test in enumerate(tests))
    return f"SELECT {rows.row} AS n, {columns} FROM {rows.named}"  # noqa: S608 - looked at


def _mark(connection: Any, rows: Judged, tests: list[_Test]) -> None:
    """Note the rows that break a rule, with the rules."""
    named = ", ".join(f"CASE WHEN b{place} THEN {duck.literal(test.name)} END" for place, test in enumerate(tests))
    whole = " OR ".join(f"b{place}" for place in range(len(tests)))
    marked = f"SELECT n, concat_ws('; ', {named}) AS why FROM ({_judging(rows, tests)}) WHERE {whole}"  # noqa: S608
    connection.execute(f"CREATE TEMP TABLE refused AS {marked}")


def _told(connection: Any) -> Iterator[Any]:
    """The rows that break a rule: `_rule` and `_row`."""
    named = f"why AS {RULE}, n AS {ROW}"
    schema, pieces = duck.tables(connection, f"SELECT {named} FROM refused ORDER BY n")  # noqa: S608 - ours
    yield schema.empty_table()
    yield from pieces


def _pass_on(connection: Any, source: Path, target: Path, *, refused: bool) -> None:
    """Write the output: the artifact as it is, or without the rows that were refused."""
    if refused:
        with opened(source) as (schema, pieces):
            good = without(pieces, numbers(connection, "SELECT n FROM refused ORDER BY n"))
            write_tables(target, schema, good)
    elif source.suffix == ".parquet":
        with storage_errors(str(target)), open(source, "rb") as file, replacing(target) as sink:
            copy_into(sink, file)
    else:
        with opened(source) as (schema, pieces):
            write_tables(target, schema, pieces)
