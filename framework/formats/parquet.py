"""Parquet: the schema lies in the footer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from framework.errors import ColumnNotFoundError, FidelityError, FormatError, IntegrityError, known_names
from framework.files import replacing
from framework.schema import Field, FrameSchema, encode, natural, only_rows

KEY = b"millpond"
logger = logging.getLogger("millpond.parquet")


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
        try:
            pq.write_table(table.replace_schema_metadata(notes), sink, write_page_checksum=True, compression="snappy")
        except pa.ArrowInvalid as error:  # a time beyond what its unit reaches in the file
            raise FidelityError(
                f"{path.name}: Parquet cannot hold a value: {error}.", cure="Use another unit."
            ) from error


def read_parquet(path: Path, columns: Sequence[Any] | None = None) -> tuple[pa.Table, FrameSchema]:
    """The table and its schema; a file that others wrote gets the schema that loses nothing.

    Raises
    ------
    FormatError, IntegrityError, ColumnNotFoundError
    """
    name = path.name.removesuffix(".parquet")
    try:
        with pa.OSFile(str(path), "rb") as source:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            schema = own_schema(file.schema_arrow.metadata, file.schema_arrow)
            if schema is None:
                return _foreign(file, name, columns)
            schema = schema if columns is None else schema.select(columns, name)
            if not schema.fields:
                return only_rows(schema.range_rows), schema
            return file.read(columns=schema.names, use_threads=True), schema
    except pa.ArrowInvalid as error:
        raise FormatError(f"{path.name} is not a Parquet file that can be read: {error}.", resource=name) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's own word, not Arrow's
            raise
        raise IntegrityError(
            f"{path.name} is damaged: {error}.", cure="Restore it from a backup: millpond restore.", resource=name
        ) from error


def read_footer(path: Path) -> tuple[Any, FrameSchema]:
    """The file's metadata and its schema, without reading its rows."""
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FormatError(
            f"{path.name} is not a Parquet file that can be read: {error}.", resource=path.stem
        ) from error
    schema = own_schema(metadata.metadata, metadata.schema.to_arrow_schema())
    return metadata, _described(metadata.schema.to_arrow_schema()) if schema is None else schema


def own_schema(notes: dict[bytes, bytes] | None, arrow: pa.Schema) -> FrameSchema | None:
    """The schema in a footer's notes; None when others wrote the file, FormatError when the notes are damaged.

    Tools that change a file's columns carry our notes along: those then describe another table, and are passed over.
    """
    text = (notes or {}).get(KEY)
    if text is None and any(key.startswith(KEY) for key in notes or ()):
        raise FormatError("The schema in the footer is gone.")
    if text is None:
        return None
    schema = FrameSchema.loads(text)
    same = schema.names == arrow.names and all(_held_as(arrow.field(f.name).type, f.arrow_type) for f in schema.fields)
    if not same:
        logger.warning("a Parquet file has other columns than were saved; its dtypes are found anew")
    return schema if same else None


def _held_as(there: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column of that type was written from the wanted one: categories as a dictionary, seconds as more."""
    plain = there.value_type if pa.types.is_dictionary(there) else there
    return bool(plain.id == wanted.id)


def _described(arrow: pa.Schema) -> FrameSchema:
    """The schema of a file that others wrote, without its rows; a column that is not read has its Arrow type there."""
    if b"pandas" in (arrow.metadata or {}):
        return encode(arrow.empty_table().to_pandas(), lossy=True)[1]
    fields: list[Field] = []
    for name in arrow.names:
        try:
            fields += natural(arrow.empty_table().select([name]), "").fields
        except FidelityError:
            kind = str(arrow.field(name).type)
            fields.append(Field(name, name, "unread", kind, kind))
    return replace(natural(arrow.empty_table().select([]), ""), fields=tuple(fields))


def _foreign(file: Any, name: str, columns: Sequence[Any] | None) -> tuple[pa.Table, FrameSchema]:
    if b"pandas" in (file.schema_arrow.metadata or {}):  # pandas wrote it and knows its index and dtypes
        frame = file.read().to_pandas()
        return encode(frame if columns is None else frame[_there(columns, list(frame.columns), name)])
    if len(set(file.schema_arrow.names)) < len(file.schema_arrow.names):
        raise FormatError(f"{name} has two columns of one name, of which either could be meant.", resource=name)
    wanted = None if columns is None else _there(columns, file.schema_arrow.names, name)
    table = file.read(columns=wanted)
    table = table if wanted is None else table.select(wanted)
    return table, natural(table, name)


def _there(columns: Sequence[Any], known: list[Any], name: str) -> list[Any]:
    for column in columns:
        if column not in known:
            raise ColumnNotFoundError(
                f"{name!r} has no column {column!r}.", cure=known_names(str(column), map(str, known)), resource=name
            )
    return list(columns)
