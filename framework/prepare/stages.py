"""What the mods of preparation share: which blueprint is meant, which columns are its fields, what is written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from framework import registry
from framework.errors import OptionError, UnknownNameError
from framework.files import copy_into, replace_bytes, replacing, storage_errors
from framework.mods.artifacts import opened, write_tables

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from framework.prepare.blueprint import Blueprint
    from framework.prepare.compatibility import CompatibilityResult
    from framework.prepare.quality import FinalQuality
    from framework.prepare.validation import ValidationResult
    from framework.schema import FrameSchema


def _known(name: str) -> str:
    try:
        registry.find("blueprint", name)
    except UnknownNameError as error:
        raise ValueError(str(error)) from None
    return name


def _said(thresholds: Any) -> Any:
    """Those that are said: None is as usual."""
    from framework.prepare.validation_config import THRESHOLDS

    if not isinstance(thresholds, dict):
        return thresholds
    return {name: value for name, value in thresholds.items() if value is not None or name not in THRESHOLDS}


def _measured(thresholds: dict[str, float]) -> dict[str, float]:
    from framework.prepare.validation_config import THRESHOLDS

    other = [name for name in thresholds if name not in THRESHOLDS]
    if other:
        raise ValueError(f"there is no threshold {other[0]!r}, only {', '.join(THRESHOLDS)}")
    return configured(thresholds)


def _timely(as_of: Any) -> Any:
    from framework.prepare.rows import moment

    if as_of is not None:
        moment(as_of)
    return as_of


BlueprintName = Annotated[str, AfterValidator(_known)]  # looked for without importing any
Thresholds = Annotated[dict[str, float], BeforeValidator(_said), AfterValidator(_measured)]
Moment = Annotated[str | date | datetime | None, AfterValidator(_timely)]


def configured(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a validation, if each is one; ValueError as pydantic wants it, else."""
    from framework.prepare.validation_config import checked_options

    try:
        return checked_options(options)
    except OptionError as error:
        raise ValueError(str(error)) from None


def blueprint_of(name: str) -> Blueprint:
    """The blueprint of that name; UnknownNameError names those that exist."""
    found: Blueprint = registry.find("blueprint", name).load()
    return found


# --------------------------------------------------------------------------- columns and fields


def schema_of(path: str | Path, arrow: pa.Schema) -> FrameSchema:
    """What the columns of an artifact are, in the order in which they lie there."""
    from framework.mods.artifacts import frame_schema

    known = frame_schema(path, arrow)
    by_name = {each.name: each for each in known.fields}
    return replace(known, fields=tuple(by_name[name] for name in arrow.names))


def columns_of(path: str | Path) -> list[Any]:
    """The labels of an artifact's columns; no row is read."""
    with opened(path) as (arrow, _):
        return [each.label for each in schema_of(path, arrow).values]


def fields_of(columns: list[Any], blueprint: Blueprint, mapping: Mapping[str, str] | None) -> CompatibilityResult:
    """Which column is which field; what is required and lacks is left to the stage, which knows what that means.

    Raises
    ------
    CompatibilityException
        The mapping names what is not there, or two columns could be one field.
    """
    from framework.prepare.compatibility import compatibility

    found = compatibility(columns, blueprint, mapping=mapping)
    if [fault for fault in found.faults if not fault.startswith("Required")]:
        found.raise_if_failed()
    return found


def names_after(columns: list[Any], found: CompatibilityResult) -> dict[Any, Any]:
    """What each column is called once the fields have their names; one whose name a field takes is not among them."""
    fields = {column: name for name, column in found.fields.items()}
    return {column: fields.get(column, column) for column in columns if column in fields or column not in found.fields}


def renamed(frame: pd.DataFrame, after: Mapping[Any, Any]) -> pd.DataFrame:
    """Those columns by their new names, not copied: by pandas' own `rename` all would be, twice."""
    import pandas as pd

    kept = [place for place, column in enumerate(frame.columns) if column in after]
    made = pd.DataFrame({place: frame.iloc[:, place] for place in kept}, index=frame.index, copy=False)
    made.columns = pd.Index([after[frame.columns[place]] for place in kept])
    return made


def displaced(columns: list[Any], found: CompatibilityResult) -> Iterator[str]:
    """In words, the columns that give way to a field of their name."""
    after = names_after(columns, found)
    for column in columns:
        if column not in after:
            yield f"{found.fields[column]!r} is the field {column!r}: the column of that name was left out."


def frame_of_fields(
    path: str | Path, blueprint: Blueprint, mapping: Mapping[str, str] | None
) -> tuple[pd.DataFrame, list[str]]:
    """All of an artifact as a frame in which the fields have their names, and what was done for that."""
    from framework.mods.artifacts import read_frame

    columns = columns_of(path)
    found = fields_of(columns, blueprint, mapping)
    frame, after = read_frame(path), names_after(columns, found)
    return renamed(frame, after), [*found.warnings, *displaced(columns, found)]


def readable(frame: pd.DataFrame, blueprint: Blueprint, names: Iterable[str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The frame with its fields readable: what is not of a field's type is missing, and how many that were, by field.

    Parameters
    ----------
    frame : DataFrame
        Its columns have the names of the blueprint's fields.
    names : iterable of str
        Fields that hold such values.
    """
    import pandas as pd

    from framework.prepare.checks import check_column
    from framework.prepare.columns import OF_KIND, typed

    made, cleared = frame.copy(deep=False), {}
    for name in names:
        field = blueprint.field(name)
        kind = "number" if OF_KIND[field.kind] == "number" else field.kind
        odd = check_column(frame[name], replace(field, kind=kind), column=name, rules=False).broken.get("type")
        if odd is None or not odd.any():
            continue
        cells = frame[name].astype(object).mask(odd)
        if OF_KIND[kind] in ("number", "datetime"):
            made[name] = pd.Series(typed(cells, kind), index=frame.index)
        else:
            made[name] = cells
        cleared[name] = int(odd.sum())
    return made, cleared


# --------------------------------------------------------------------------- what is written down


def measures(judged: ValidationResult | FinalQuality) -> dict[str, Any]:
    """The metrics of a judgement: rows, the score and what it is made of, issues by severity, whether it passed."""
    from framework.prepare.issues import SEVERITIES

    parts = {name: getattr(judged, name) for name in ("completeness", "uniqueness", "validity")}
    found = Counter(issue.severity for issue in judged.issues)
    return {
        "rows_processed": judged.rows,
        "rows_output": judged.rows,
        "score": None if judged.score is None else judged.score.value,
        **{name: None if part is None else part.overall for name, part in parts.items()},
        "issues": {severity: found[severity] for severity in SEVERITIES},
        "passed": judged.passed,
    }


def pass_on(source: Path, target: Path) -> None:
    """The rows as they are: a Parquet file byte by byte."""
    if source == target:
        return
    if source.suffix == ".parquet":
        with storage_errors(str(target)), open(source, "rb") as file, replacing(target) as sink:
            copy_into(sink, file)
        return
    with opened(source) as (schema, pieces):
        write_tables(target, schema, pieces)


def write_told(path: Path, told: Mapping[str, Any]) -> Path:
    """Write what a stage says of its work, as JSON; where it is."""
    with storage_errors(str(path)):
        replace_bytes(path, json.dumps(told, indent=2, ensure_ascii=False, default=str).encode() + b"\n")
    return path
