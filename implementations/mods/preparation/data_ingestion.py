"""A CSV file of somebody else's as an artifact: encoding, dialect and types are found, in memory that does not grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from framework.errors import OptionError
from framework.mods.base import BaseModParams, InputPath, ModMetadata
from framework.mods.mod import check_apart
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.prepare.ingestion import CHUNK_SIZE, MAX_FILE_SIZE

METADATA = ModMetadata(
    name="data_ingestion",
    version="1.0.0",
    description="Reads an unknown CSV, plain or in gzip or zip: finds encoding, dialect and types",
    author="Millpond",
    tags=["source", "preparation", "csv"],
    artifacts={"makes": ["output_data", "rejected"], "optional": ["rejected"]},
)
EXAMPLE = {"input_path": "customers.csv", "on_bad_rows": "quarantine", "date_format": {"since": "%d.%m.%Y"}}
EXAMPLE_FILES = {"customers.csv": "id;name;since;value\n007;Ada;01.04.2021;12,5\n008;Ben\n009;Cy;15.08.2022;7,25\n"}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_path: InputPath = Field(description="a CSV file, plain or in gzip or zip, whatever it is called")
    base_path: str | None = Field(None, description="where a relative path begins")
    max_file_size: int = Field(MAX_FILE_SIZE, ge=1, description="bytes of the file, and of what is packed in it")
    chunk_size: int = Field(CHUNK_SIZE, ge=1, description="bytes of one read; 256 times as many are parsed at once")
    enable_compression: bool = Field(True, description="whether gzip and zip are accepted")
    encoding: str | None = Field(None, description="as Python names it; found unless given")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="one mark; found unless given")
    decimal: Literal[".", ","] | None = Field(None, description="before a number's fraction; found unless given")
    date_format: str | dict[str, str | None] | None = Field(
        None, description="of all dates, or by column, as strptime has it; null leaves a column as text"
    )
    header: bool | None = Field(None, description="whether the first row is names; found unless given")
    on_bad_rows: Literal["refuse", "quarantine"] = Field(
        "refuse",
        description="for rows that are too short, too long or broken; quarantine: to <output>.rejected.parquet",
    )
    max_rows: int | None = Field(None, ge=1, description="the most rows there may be")
    max_columns: int = Field(1 << 14, ge=1, description="the most columns there may be")
    max_field: int = Field(1 << 20, ge=1, description="the most characters of one value")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("max_file_size", "chunk_size", "max_rows", "max_columns", "max_field", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("that is true or false, and a whole number is wanted")
        return value

    @model_validator(mode="after")
    def _can_be_read_so(self) -> Params:
        from framework.formats.handlers.csv import CsvHandler

        try:
            CsvHandler(delimiter=self.delimiter, encoding=self.encoding or "utf-8")
        except OptionError as error:
            raise ValueError(str(error).replace(" of the csv handler", "")) from error
        return self


def run(params: Params) -> dict[str, Any]:
    from framework.prepare.ingestion import DataIngestionService, rejected_beside

    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    service = DataIngestionService(
        max_file_size=params.max_file_size,
        chunk_size=params.chunk_size,
        enable_compression=params.enable_compression,
    )
    into = here.output(params.output_path)
    rejected = {"the place of rejected rows": str(rejected_beside(into))}
    check_apart(here, {"input_path": params.input_path}, {"output_path": str(into), **rejected})
    target, found = service.ingest(
        Path(params.input_path),
        into=into,
        encoding=params.encoding,
        delimiter=params.delimiter,
        decimal=params.decimal,
        date_format=params.date_format,
        header=params.header,
        on_bad_rows=params.on_bad_rows,
        max_rows=params.max_rows,
        max_columns=params.max_columns,
        max_field=params.max_field,
    )
    here.logger.info("read %d rows of %s, %s", found.rows, found.file, found.encoding)
    result.add_artifact("output_data", target)
    _tell(result, found)
    if found.rejected is None:
        return result.success()
    result.add_artifact("rejected", found.rejected)
    first = found.refused[0]
    result.add_warning(f"{found.rows_refused} rows were put aside, the first of line {first[0]}: {first[1]}")
    return result.warning()


def _tell(result: ModResult, found: Any) -> None:
    for name, value in {
        "rows_processed": found.rows + found.rows_refused,
        "rows_output": found.rows,
        "rows_rejected": found.rows_refused,
        "columns": len(found.columns),
        "types": {each["name"]: each["type"] for each in found.columns},
        "nulls": {each["name"]: each["nulls"] for each in found.columns},
        "encoding": found.encoding,
        "confidence": found.encoding_confidence,
        "dialect": found.dialect,
        "compression": found.compression,
        "bytes_processed": found.bytes,
    }.items():
        result.add_metric(name, value)
    for words in found.warnings:
        result.add_warning(words)
