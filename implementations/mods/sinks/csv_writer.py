"""An artifact as a CSV file for others to read: piece by piece, and there only when it is whole."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from framework.attempt import attempt
from framework.errors import FidelityError
from framework.files import replacing, storage_errors
from framework.formats.compression import codec_of, packed
from framework.mods.artifacts import check_columns, frame_schema, opened
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema

METADATA = ModMetadata(
    name="csv_writer",
    version="1.0.0",
    description="Writes rows to a CSV file, compressed if its name ends with .gz or .zst",
    author="Millpond",
    tags=["sink", "csv", "file"],
    artifacts={"consumes": ["input_artifact"], "makes": ["output_data"]},
)
EXAMPLE = {"input_artifact": "customers.parquet", "output_path": "customers_clean.csv", "delimiter": ";"}
EXAMPLE_FILES = {"customers.parquet": "id,name\n1,Ada\n2,Ben\n"}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows; in a job, those of the mod before unless given")
    output_path: str = Field(min_length=1, description="the file; .csv.gz and .csv.zst are compressed")
    columns: list[str] | None = Field(None, min_length=1, description="only these, in this order")
    delimiter: str = Field(",", description="one character of ASCII, such as ; or a tab")
    encoding: str = Field("utf-8", description="as Python names it; utf-8-sig for Excel")
    header: bool = Field(True, description="begin with the columns' names")

    @field_validator("delimiter")
    @classmethod
    def _parts_cells(cls, delimiter: str) -> str:
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
            raise ValueError('one character of ASCII, but no quote or end of line: "," or ";" or "\\t"')
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            "a".encode(encoding)  # not all that Python calls by a name makes bytes of text: hex, rot13
        except (LookupError, UnicodeError):
            raise ValueError(
                f"Python knows no encoding {encoding!r} of text; write utf-8, utf-8-sig, cp1252 or such"
            ) from None
        return encoding


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target = here.output(params.output_path)
    with opened(params.input_artifact) as (arrow, _):
        check_columns(params.columns or (), arrow.names, "the artifact")
    with opened(params.input_artifact, params.columns) as (arrow, pieces):
        schema = _chosen(frame_schema(params.input_artifact, arrow), arrow.names)
        with storage_errors(str(target)), replacing(target) as sink, packed(sink, codec_of(target.name)) as stream:
            rows = _write(stream, schema, pieces, params)
    here.logger.info("wrote %d rows to %s", rows, target)
    result.add_metric("rows_processed", rows)
    result.add_metric("rows_output", rows)
    result.add_metric("bytes_output", target.stat().st_size)
    result.add_artifact("output_data", target)
    return result.success()


def _chosen(schema: FrameSchema, names: list[str]) -> FrameSchema:
    from dataclasses import replace

    by_name = {each.name: each for each in schema.fields}
    return replace(schema, fields=tuple(by_name[name] for name in names))


def _write(stream: Any, schema: FrameSchema, pieces: Iterable[pa.Table], params: Params) -> int:
    """Header and rows, in the encoding; how many rows."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    from framework.formats.csv import header_of, table_of_text
    from framework.schema import plain

    encoder = codecs.getincrementalencoder(params.encoding)()
    options = pacsv.WriteOptions(include_header=False, delimiter=params.delimiter)
    rows = 0
    try:
        head = header_of(schema, params.delimiter).decode() if params.header else ""
        stream.write(encoder.encode(head))
        for piece in pieces:
            ours = _without_nan(piece.select(schema.names))
            block = pa.BufferOutputStream()
            pacsv.write_csv(_short(table_of_text(plain(ours, schema), schema), ours), block, options)
            stream.write(encoder.encode(block.getvalue().to_pybytes().decode()))
            rows += piece.num_rows
    except UnicodeEncodeError as error:
        raise FidelityError(
            f"{error.object[error.start]!r} cannot be written in {params.encoding}.", cure="Leave encoding at utf-8."
        ) from error
    return rows


def _without_nan(piece: pa.Table) -> pa.Table:
    """NaN is a missing value, which an empty cell says."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(piece.schema):
        if pa.types.is_floating(field.type):
            column = piece.column(place)
            piece = piece.set_column(place, field, pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column))
    return piece


def _short(text: pa.Table, piece: pa.Table) -> pa.Table:
    """Whole seconds without a fraction, and decimals as the numbers that they are, not as quoted text."""
    import pyarrow as pa

    for place, name in enumerate(text.column_names):
        kind = text.column(place).type
        if pa.types.is_decimal(piece.column(place).type):
            text = text.set_column(place, name, piece.column(place))
        elif pa.types.is_timestamp(kind):
            done = attempt(name, partial(text.column(place).cast, pa.timestamp("s", kind.tz)))
            text = text if done.value is None else text.set_column(place, name, done.value)
    return text
