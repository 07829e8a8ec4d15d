"""Clean rows: texts trimmed, types converted, short texts and nulls dealt with, duplicates removed, in that order."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from framework.errors import FormatError, ParameterError
from framework.files import remove, storage_errors, sync_folder
from framework.mods import duck, kinds
from framework.mods.artifacts import check_columns, opened, write_tables
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import judged, repeats, without
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run

METADATA = ModMetadata(
    name="data_cleaner",
    version="1.0.0",
    description="Trims text, converts types, handles nulls and removes duplicates",
    author="Millpond",
    tags=["transformer", "clean", "nulls", "duplicates"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data"]},
)
EXAMPLE = {
    "input_artifact": "customers.parquet",
    "types": {"age": "int"},
    "on_bad_type": "null",
    "min_length": {"name": 3},
    "columns": ["id", "name"],
    "null_strategy": "drop",
}
EXAMPLE_FILES = {
    "customers.parquet": "id,name,age\n1, Ada ,36\n2,Li,41\n3,Ben,unknown\n1,Ada,36\n",
}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows: Parquet, or CSV")
    trim: bool | list[str] = Field(
        True, description="take white space off the ends of text: of all columns, or of these"
    )
    types: dict[str, str] = Field(
        default_factory=dict,
        description="{column: type}: int, float, decimal(12, 2), bool, date, datetime, instant (with a zone), text",
    )
    date_format: str | dict[str, str] | None = Field(
        None,
        description="how text spells the dates and times of types, or of each column, as strptime has it; else ISO",
    )
    on_bad_type: Literal["error", "null"] = Field("error", description="for a value that is none of its type")
    min_length: int | dict[str, int] | None = Field(
        None, description="characters; shorter text becomes null, in all columns of text, or in these"
    )
    columns: list[str] | None = Field(None, min_length=1, description="whose nulls count; all unless given")
    null_strategy: Literal["keep", "drop", "fill", "flag"] = Field(
        "keep", description="drop rows with a null; fill with fill_value; flag in a column <column>_is_null of each"
    )
    fill_value: Any = Field(None, description="for fill: one for all of columns, or {column: value}")
    duplicates: Literal["drop", "keep"] = Field("drop", description="drop: of rows that are alike the first stays")
    duplicate_keys: list[str] | None = Field(None, min_length=1, description="what makes rows alike; all columns")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("types")
    @classmethod
    def _are_known(cls, types: dict[str, str]) -> dict[str, str]:
        return {column: kinds.checked(kind) for column, kind in types.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> Params:
        if (self.fill_value is None) == (self.null_strategy == "fill"):
            raise ValueError(
                "null_strategy: fill needs fill_value" if self.fill_value is None else "fill_value is for fill alone"
            )
        if isinstance(self.fill_value, dict) and self.columns is not None:
            raise ValueError("fill_value by column says which columns: leave columns out")
        if self.duplicates == "keep" and self.duplicate_keys is not None:
            raise ValueError(
                "duplicate_keys says what drop looks at, and duplicates: keep drops nothing: leave one out"
            )
        return self

    @model_validator(mode="after")
    def _spells_what_it_makes(self) -> Params:
        dated = {column: kind for column, kind in self.types.items() if kind in kinds.DATED}
        named = self.date_format if isinstance(self.date_format, dict) else {}
        other = [column for column in named if column not in dated]
        if other or (self.date_format and not dated):
            column = other[0] if other else "when"
            raise ValueError(
                f"date_format says how text spells what types makes dates or times of: types: {{{column}: date}}"
            )
        for column, kind in dated.items():
            spelling = self.spelling(column)
            if spelling is not None:
                kinds.check_spelling(column, kind, spelling)
        return self

    def spelling(self, column: str) -> str | None:
        """How text spells the dates of a column."""
        return self.date_format.get(column) if isinstance(self.date_format, dict) else self.date_format


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target, told = here.output(params.output_path), Counter[str]()
    with opened(params.input_artifact) as (schema, pieces):
        plan = _Plan.of(params, schema, told)
        if params.duplicates == "keep":
            rows = write_tables(target, plan.schema, plan.cleaned(pieces))
        else:
            check_columns(params.duplicate_keys or (), plan.schema.names, plan.name)
            with _draft(target) as draft:
                cleaned = write_tables(draft, plan.schema, plan.cleaned(pieces))
                rows = _without_duplicates(here, draft, target, params.duplicate_keys)
            told["duplicates_removed"] = cleaned - rows
    for metric in ("rows_processed", "rows_dropped", "duplicates_removed", "values_trimmed", "values_too_short"):
        result.add_metric(metric, told[metric])
    result.add_metric("rows_output", rows)
    result.add_metric("nulls_filled", told["nulls_filled"])
    result.add_metric("bad_types", dict(plan.bad))
    for name, count in plan.bad.items():
        result.add_warning(f"Found {count} values of {name!r} that are no {params.types[name]}, made null")
    if told["duplicates_removed"]:
        result.add_warning(f"Found {told['duplicates_removed']} duplicate records, removed automatically")
    result.add_artifact("output_data", target)
    return result.success()


# --------------------------------------------------------------------------- what is done to each column


@dataclass(slots=True)
class _Plan:
    """What is done to the pieces, with the columns that come out."""

    name: str
    schema: Any
    steps: Mapping[str, list[Callable[[Any], Any]]]
    finish: Callable[[Any], Any]
    told: Counter[str]
    bad: Counter[str] = field(default_factory=Counter)
    done: int = 0

    @classmethod
    def of(cls, params: Params, schema: Any, told: Counter[str]) -> _Plan:
        """The plan for a table of these columns; ParameterError and ColumnNotFoundError for what cannot be."""
        import pyarrow as pa

        name = Path(params.input_artifact).name
        check_columns(_named(params), schema.names, name)
        for column, kind in params.types.items():
            kinds.check_can_be_made(column, schema.field(column).type, kind)
        typed = pa.schema(
            [
                each.with_type(kinds.arrow_type(params.types[each.name])) if each.name in params.types else each
                for each in schema
            ]
        )
        _check_texts(params, schema, typed)
        after, finish = _null_handling(params, typed, told)
        plan = cls(name, after, {}, finish, told)
        plan.steps = {each.name: list(plan._steps(params, each, typed.field(each.name).type)) for each in schema}
        return plan

    def _steps(self, params: Params, column: Any, after: Any) -> Iterator[Callable[[Any], Any]]:
        name = column.name
        text = kinds.kind_of(column.type) == "text"
        if text and (params.trim is True or (isinstance(params.trim, list) and name in params.trim)):
            yield lambda cells: _as_text(cells, self._trimmed)
        if name in params.types:
            spelling = params.spelling(name) if text and params.types[name] in kinds.DATED else None
            yield lambda cells: self._typed(name, cells, params, spelling)
        least = params.min_length
        shortest = least.get(name) if isinstance(least, dict) else least
        if shortest and kinds.kind_of(after) == "text":
            yield lambda cells: _as_text(cells, lambda texts: self._long_enough(texts, shortest))

    def cleaned(self, pieces: Iterable[Any]) -> Iterator[Any]:
        """The pieces, without duplicates looked for."""
        import pyarrow as pa

        for piece in pieces:
            columns = []
            for name, cells in zip(piece.column_names, piece.columns, strict=True):
                for step in self.steps[name]:
                    cells = step(cells)
                columns.append(cells)
            self.done += piece.num_rows
            self.told["rows_processed"] += piece.num_rows
            after = self.finish(pa.table(columns, names=piece.column_names))
            self.told["rows_dropped"] += piece.num_rows - after.num_rows
            yield after.cast(self.schema)

    def _trimmed(self, texts: Any) -> Any:
        import pyarrow.compute as pc

        after = pc.utf8_trim_whitespace(texts)
        self.told["values_trimmed"] += pc.sum(pc.not_equal(texts, after)).as_py() or 0
        return after

    def _typed(self, name: str, cells: Any, params: Params, spelling: str | None) -> Any:
        import pyarrow.compute as pc

        after, bad = kinds.made(cells, params.types[name], spelling)
        count = pc.sum(bad).as_py() or 0
        if count and params.on_bad_type == "error":
            first = pc.index(bad, value=True).as_py()
            raise FormatError(
                f"{self.name}: {name!r} is {cells[first].as_py()!r} in row {self.done + first}, which is no "
                f"{params.types[name]}{f' spelled {spelling}' if spelling else ''}.",
                cure="Correct it, or set on_bad_type: null.",
                resource=name,
            )
        if count:
            self.bad[name] += count
        return after

    def _long_enough(self, texts: Any, least: int) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        short = pc.less(pc.utf8_length(texts), least)
        self.told["values_too_short"] += pc.sum(short).as_py() or 0
        return pc.if_else(short, pa.scalar(None, texts.type), texts)


def _named(params: Params) -> Iterator[str]:
    """All columns that the parameters name."""
    for given in (params.trim, params.types, params.date_format, params.min_length, params.columns, params.fill_value):
        yield from given if isinstance(given, (list, dict)) else ()


def _check_texts(params: Params, before: Any, after: Any) -> None:
    """ParameterError where a column that is named as text is none."""
    for what, given, schema in (("trim", params.trim, before), ("min_length", params.min_length, after)):
        for name in given if isinstance(given, (list, dict)) else ():
            kind = schema.field(name).type
            if kinds.kind_of(kind) != "text":
                raise ParameterError(
                    f"{what} is about text, and {name!r} is {kind}.",
                    cure=f"Leave {name} out of {what}, or make it text: types: {{{name}: text}}.",
                    resource=name,
                )


def _as_text(cells: Any, change: Callable[[Any], Any]) -> Any:
    """Text changed, also where it is kept as a dictionary."""
    import pyarrow as pa

    if not pa.types.is_dictionary(cells.type):
        return change(cells)
    return change(cells.cast(cells.type.value_type)).dictionary_encode().cast(cells.type)


# --------------------------------------------------------------------------- nulls


def _null_handling(params: Params, schema: Any, told: Counter[str]) -> tuple[Any, Callable[[Any], Any]]:
    """The columns once nulls are dealt with, and what deals with them in a piece."""
    import pyarrow as pa

    columns = schema.names if params.columns is None else params.columns
    if params.null_strategy == "drop":
        return schema, lambda piece: _dropped(piece, columns)
    if params.null_strategy == "fill":
        wanted = params.fill_value if isinstance(params.fill_value, dict) else dict.fromkeys(columns, params.fill_value)
        values = {name: _filling(schema.field(name), value) for name, value in wanted.items()}
        return schema, lambda piece: _filled(piece, values, told)
    if params.null_strategy == "flag":
        flags = {name: f"{name}_is_null" for name in columns}
        for name in flags.values():
            if name in schema.names:
                raise ParameterError(f"There is a column {name!r} already.", cure="Rename it.", resource=name)
        after = pa.schema([*schema, *(pa.field(name, pa.bool_()) for name in flags.values())])
        return after, lambda piece: _flagged(piece, flags)
    return schema, lambda piece: piece


def _is_null(cells: Any) -> Any:
    import pyarrow.compute as pc

    return pc.is_null(cells, nan_is_null=True)


def _dropped(piece: Any, columns: Iterable[str]) -> Any:
    import pyarrow.compute as pc

    lacking = None
    for name in columns:
        here = _is_null(piece.column(name))
        lacking = here if lacking is None else pc.or_(lacking, here)
    return piece if lacking is None or not pc.any(lacking).as_py() else piece.filter(pc.invert(lacking))


def _filled(piece: Any, values: Mapping[str, Any], told: Counter[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, name in enumerate(piece.column_names):
        cells = piece.column(place)
        lacking = _is_null(cells) if name in values else None
        count = (pc.sum(lacking).as_py() or 0) if lacking is not None else 0
        if not count:
            continue
        told["nulls_filled"] += count
        kind, plain = cells.type, values[name].type
        full = pc.if_else(lacking, values[name], cells.cast(plain) if kind != plain else cells)
        full = full.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else full
        piece = piece.set_column(place, name, full)
    return piece


def _flagged(piece: Any, flags: Mapping[str, str]) -> Any:
    for name, flag in flags.items():
        piece = piece.append_column(flag, _is_null(piece.column(name)))
    return piece


def _filling(column: Any, value: Any) -> Any:
    """A value as a column's type; ParameterError where it is none."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    dated = pa.types.is_temporal(kind) and isinstance(value, str)
    alike = isinstance(value, bool) == pa.types.is_boolean(kind) and (isinstance(value, str) == kinds.is_text(kind))
    try:
        if alike and pa.types.is_decimal(kind):
            return pa.scalar(Decimal(str(value)), kind)
        if dated or alike:
            return pa.scalar(value).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        pass
    raise ParameterError(
        f"fill_value {value!r} is none for {column.name!r}, which is {column.type}.",
        cure="Name the columns, or give each its own: fill_value: {name: unknown, age: 0}.",
        resource=column.name,
    )


# --------------------------------------------------------------------------- duplicates


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Where the rows lie until it is known which are duplicates."""
    draft = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}.parquet")
    try:
        yield draft
    finally:
        if draft.exists():
            remove(draft)


def _without_duplicates(here: ModRun, draft: Path, target: Path, keys: list[str] | None) -> int:
    """Put the rows in their place, of those that are alike the first: how many."""
    import pyarrow.parquet as pq

    with duck.connected(here) as connection, judged(here, draft) as rows:
        unwanted = repeats(connection, rows, rows.names if keys is None else keys)
        first = next(unwanted, None)
        if first is not None:
            with opened(draft) as (schema, pieces):
                return write_tables(target, schema, without(pieces, _chained(first, unwanted)))
    count = int(pq.read_metadata(draft).num_rows)
    with storage_errors(str(target)):
        os.replace(draft, target)
        sync_folder(target.parent)
    return count


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
