"""Parquet as an artifact: a file, a folder of parts or a pattern; columns and rows picked, types kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from framework.errors import DatasetNotFoundError, OptionError
from framework.files import storage_errors
from framework.mods.artifacts import write_tables
from framework.mods.base import BaseModParams, InputPath, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.mods.spill import Spill, as_pieces, selected

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.formats.parquet_foreign import ForeignParquet
    from framework.schema import FrameSchema, Selection

METADATA = ModMetadata(
    name="parquet_reader",
    version="1.0.0",
    description="Reads Parquet files and folders of parts, whole or the rows that meet conditions",
    author="Millpond",
    tags=["source", "parquet", "file"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {"input_path": "sales.parquet", "columns": ["day", "amount"], "where": [["amount", ">=", 10]]}
EXAMPLE_FILES = {"sales.parquet": "day,shop,amount\n2024-05-01,north,10.5\n2024-05-02,south,3\n2024-05-03,north,12\n"}
SUFFIX = ".parquet"


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_path: InputPath = Field(description="a file, a folder of parts or a pattern such as sales_*.parquet")
    base_path: str | None = Field(None, description="where relative paths begin")
    columns: list[str] | None = Field(None, min_length=1, description="only these, in this order")
    where: list[list[Any]] = Field(
        default_factory=list,
        description="conditions that all rows meet: [[column, op, value]]; op is == != < <= > >=, in, not in, is null "
        "or not null",
    )
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("where")
    @classmethod
    def _can_be_met(cls, where: list[list[Any]]) -> list[list[Any]]:
        from framework.schema import Selection

        try:
            Selection.asked(where=[tuple(each) for each in where])
        except OptionError as error:
            raise ValueError(str(error)) from error
        return where


def run(params: Params) -> dict[str, Any]:
    from framework.schema import Selection

    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    files = _files(Path(params.input_path))
    selection = Selection.asked(columns=params.columns, where=[tuple(each) for each in params.where])
    target = here.output(params.output_path)
    with Spill(here.folder) as spill, _opened(files, selection, spill) as (there, arrow, pieces, schema):
        rows = write_tables(target, arrow, pieces, schema)
    here.logger.info("read %d rows of %d in %d files", rows, there, len(files))
    result.add_metric("rows_processed", there)
    result.add_metric("rows_output", rows)
    result.add_metric("rows_dropped", there - rows)
    result.add_metric("files", len(files))
    result.add_artifact("output_data", target)
    return result.success()


Part = tuple[Path, dict[str, str | None]]
Opened = tuple[int, "pa.Schema", Iterable["pa.Table"], "FrameSchema | None"]


def _files(path: Path) -> list[Part]:
    """The files, each with what its folders say of its rows."""
    from framework.formats.parts import parts_of

    if not path.is_dir():
        names = sorted(glob(str(path))) if has_magic(str(path)) and not path.exists() else [str(path)]
        return [(Path(name), {}) for name in names]
    with storage_errors(str(path)):
        parts = [(part.path, part.values) for part in parts_of(path, [SUFFIX])]
        found = parts or [
            (each, {}) for each in sorted(path.glob(f"*{SUFFIX}")) if not each.name.startswith((".", "_"))
        ]
    if not found:
        raise DatasetNotFoundError(
            f"The folder {path} holds no {SUFFIX} file.",
            cure="Name the folder that its parts are in.",
            resource=str(path),
        )
    return found


@contextmanager
def _opened(files: list[Part], selection: Selection, spill: Spill) -> Iterator[Opened]:
    """How many rows there are, and those that are asked for; the schema of their frame, where one was written."""
    from framework.formats.parquet import read_footer, read_notes, scan_parquet

    with storage_errors(str(files[0][0])):
        if len(files) == 1 and not files[0][1]:
            path = files[0][0]
            notes = read_notes(path)
            with scan_parquet(path, selection) as (schema, pieces):
                wanted, rows = selected(schema, pieces, selection, path.name, spill)
                framed = b"millpond" in notes or b"pandas" in notes
                yield read_footer(path)[0].num_rows, *_shaped(wanted, rows, framed=framed)
            return
        from framework.formats.parquet import readable

        with readable(files[0][0].parent):
            whole = _as_one(files)
            schema, pieces = whole.scan(selection)
            wanted, rows = selected(schema, pieces, selection, whole.name, spill)
            yield whole.rows, *_shaped(wanted, rows, framed=b"pandas" in (whole.arrow.metadata or {}))


def _as_one(files: list[Part]) -> ForeignParquet:
    from framework.formats.parquet_foreign import ForeignParquet, Part

    return ForeignParquet([Part(path.name, path, values) for path, values in files], files[0][0].parent.name)


def _shaped(
    schema: FrameSchema, pieces: Iterable[pa.Table], *, framed: bool
) -> tuple[pa.Schema, Iterable[pa.Table], FrameSchema | None]:
    """The pieces with the types that the file gets: those of the frame, or as whoever wrote it chose them."""
    from itertools import chain

    if framed:
        return *as_pieces(schema, pieces), schema
    rest = iter(pieces)
    first = next(rest, None)
    if first is None:
        return *as_pieces(schema, ()), None
    return first.schema.remove_metadata(), (each.replace_schema_metadata() for each in chain([first], rest)), None
