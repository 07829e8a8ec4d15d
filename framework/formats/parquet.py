"""Parquet: the schema lies in the footer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from framework.errors import FormatError, IntegrityError
from framework.files import replacing
from framework.schema import FrameSchema, encode, natural, only_rows

KEY = b"millpond"


def write_parquet(path: Path, table: pa.Table, schema: FrameSchema, extra: dict[str, str] | None = None) -> None:
    """Put the table at `path`, atomically, its rows checked against the footer before the rename.

    Parameters
    ----------
    extra : mapping, optional
        What else goes into the footer, under `millpond.<key>`.
    """
    notes = {KEY: schema.dumps().encode(), **{f"millpond.{k}".encode(): v.encode() for k, v in (extra or {}).items()}}

    def verify(written: Path) -> None:
        rows = pq.read_metadata(written).num_rows
        if schema.fields and rows != table.num_rows:  # a file with no column has no rows either; the schema has them
            raise IntegrityError(f"{path.name}: {rows} rows were written of {table.num_rows}.")

    with replacing(path, verify=verify) as sink:
        pq.write_table(table.replace_schema_metadata(notes), sink, write_page_checksum=True, compression="snappy")


def read_parquet(path: Path, columns: Sequence[Any] | None = None) -> tuple[pa.Table, FrameSchema]:
    """The table and its schema; a file that others wrote gets the schema that loses nothing.

    Raises
    ------
    FormatError, IntegrityError, ColumnNotFoundError
    """
    name = path.name.removesuffix(".parquet")
    try:
        with open(path, "rb") as source:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            schema = own_schema(file.schema_arrow.metadata)
            if schema is None:
                return _foreign(file.read(), name, columns)
            schema = schema if columns is None else schema.select(columns, name)
            if not schema.fields:
                return only_rows(schema.range_rows), schema
            return file.read(columns=schema.names, use_threads=True), schema
    except pa.ArrowInvalid as error:
        raise FormatError(f"{path.name} is not a Parquet file that can be read: {error}.", resource=name) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise IntegrityError(
            f"{path.name} is damaged: {error}.", cure="Restore it from a backup: millpond restore.", resource=name
        ) from error


def read_footer(path: Path) -> tuple[Any, FrameSchema]:
    """The file's metadata and its schema, without reading its rows."""
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise FormatError(
            f"{path.name} is not a Parquet file that can be read: {error}.", resource=path.stem
        ) from error
    schema = own_schema(metadata.metadata)
    if schema is None:
        schema = natural(metadata.schema.to_arrow_schema().empty_table(), path.stem)
    return metadata, schema


def own_schema(notes: dict[bytes, bytes] | None) -> FrameSchema | None:
    text = (notes or {}).get(KEY)
    return None if text is None else FrameSchema.loads(text)


def _foreign(table: pa.Table, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
    if b"pandas" in (table.schema.metadata or {}):
        table, schema = encode(table.to_pandas())  # pandas wrote it and knows its index and dtypes
    else:
        schema = natural(table, name)
    if columns is not None:
        schema = schema.select(columns, name)
        table = table.select(schema.names)
    return table, schema
