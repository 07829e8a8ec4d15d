"""A CSV file, or several of one header, as an artifact: types found over all rows, nothing lost in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from framework.errors import OptionError, ParameterError
from framework.formats.compression import codec_of
from framework.mods.artifacts import arrow_of, write_tables
from framework.mods.base import BaseModParams, InputPath, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run

METADATA = ModMetadata(
    name="csv_reader",
    version="1.0.0",
    description="Reads CSV files with validation and format conversion",
    author="Millpond",
    tags=["source", "csv", "file"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {"input_path": "customers.csv", "delimiter": ";", "date_format": {"since": "%d.%m.%Y"}}
EXAMPLE_FILES = {"customers.csv": "id;name;since\n007;Ada;01.04.2021\n008;Ben;15.08.2022\n"}
SMALL = 1 << 26  # bytes of a file that is read in one pass


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_path: InputPath = Field(description="a .csv, .csv.gz or .csv.zst file, or a pattern such as day_*.csv")
    base_path: str | None = Field(None, description="where relative paths begin")
    delimiter: str = Field(",", min_length=1, max_length=1, description="one mark")
    encoding: str | None = Field("utf-8", description="as Python names it")
    nulls: list[str] = Field(default_factory=list, description="further texts that stand for a missing value")
    decimal: str = Field(".", min_length=1, max_length=1, description="what stands before a number's fraction")
    date_format: str | dict[str, str] | None = Field(None, description="of all times, or by column, as strptime has it")
    dtype: dict[str, str] | None = Field(None, description="the type of a column where it is not to be found")
    columns: list[str] | None = Field(None, description="only these")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @model_validator(mode="after")
    def _can_be_read_so(self) -> Params:
        from framework.formats.handlers.csv import CsvHandler

        try:
            CsvHandler(delimiter=self.delimiter, encoding=self.encoding or "utf-8", decimal=self.decimal)
        except OptionError as error:
            raise ValueError(str(error).replace(" of the csv handler", "")) from error
        return self


def run(params: Params) -> dict[str, Any]:
    from framework.formats.csv_foreign import Foreign, Spelling, source_of
    from framework.schema import Selection

    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    paths = list(_files(params.input_path))
    spelling = Spelling(
        params.delimiter, params.encoding or "utf-8", params.nulls, params.decimal, params.dtype, params.date_format
    )
    selection = Selection.asked(columns=params.columns)
    with ExitStack() as opened:
        files = [opened.enter_context(open(path, "rb")) for path in paths]
        sources = [source_of(file, path.name) for file, path in zip(files, paths, strict=True)]
        foreign = Foreign(sources, spelling)
        small = sum(path.stat().st_size for path in paths) < SMALL and not any(codec_of(path.name) for path in paths)
        if small:
            table, schema = foreign.read(selection)
            pieces: Iterable[Any] = [table]
        else:
            schema, pieces = foreign.scan(selection)
        target = here.output(params.output_path)
        rows = write_tables(target, arrow_of(schema), pieces, schema)
    here.logger.info("read %d rows of %d files", rows, len(paths))
    result.add_metric("rows_processed", rows)
    result.add_metric("rows_output", rows)
    result.add_metric("files", len(paths))
    result.add_artifact("output_data", target)
    return result.success()


def _files(pattern: str) -> Iterator[Path]:
    names = sorted(glob(pattern)) if has_magic(pattern) and not Path(pattern).exists() else [pattern]
    for name in names:
        if Path(name).is_dir():
            raise ParameterError(f"{name} is a folder.", cure=f"Say which of its files: {name}/*.csv", resource=name)
        yield Path(name)
