"""Parquet of our own: the schema lies in the footer. What others wrote: `parquet_foreign`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from framework.checksums import CHUNK
from framework.errors import BaseFrameworkException, FidelityError, FormatError, IntegrityError
from framework.files import replacing
from framework.formats.parquet_foreign import ForeignParquet, Part, described
from framework.formats.parquet_mark import Mark, MarkingSink, find_mark
from framework.schema import ALL, FrameSchema, Selection, Test, expression, only_rows

KEY = b"millpond"
ROW_GROUP = 1 << 20  # rows
GROUP_BYTES = 1 << 25  # bytes of the pieces that are one row group
SAMPLE, RUN = 1024, 64  # cells, and how many of them stand together
FEW = 50  # rows, for which no dictionary is made
BATCH = 1 << 16  # rows
MOST_KEPT = 1 << 16  # bytes of a footer that is known again
logger = logging.getLogger("millpond.parquet")


def write_parquet(
    path: Path,
    table: pa.Table,
    schema: FrameSchema,
    extra: dict[str, str] | None = None,
    *,
    compression: str = "snappy",
) -> None:
    """Put the table at `path`, atomically, its rows checked against the footer before the rename.

    Parameters
    ----------
    extra : mapping, optional
        What else goes into the footer, under `millpond.<key>`.
    """
    notes = {KEY: schema.dumps().encode(), **{f"millpond.{k}".encode(): v.encode() for k, v in (extra or {}).items()}}
    rows = _put(path, table.schema.with_metadata(notes), iter([table]), compression, small=table.nbytes < CHUNK)
    if schema.fields and rows != table.num_rows:  # a file with no column has no rows either; the schema has them
        raise IntegrityError(f"{path.name}: {rows} rows were written of {table.num_rows}.")


def write_pieces(
    path: Path,
    arrow: pa.Schema,
    pieces: Iterable[pa.Table],
    schema: FrameSchema | None = None,
    *,
    compression: str = "snappy",
) -> int:
    """As `write_parquet`, a piece at a time, each with the columns of `arrow`: how many rows there are.

    Without a `schema` the file is as anybody would write it. Pieces become row groups together, so that many small ones
    do not make the file slow to read.
    """
    notes = {} if schema is None else {KEY: schema.dumps().encode()}
    given = 0

    def counted() -> Iterator[pa.Table]:
        nonlocal given
        for group in _grouped(pieces):
            given += group.num_rows
            yield group

    rows = _put(path, arrow.with_metadata(notes or None), counted(), compression)
    if len(arrow) and rows != given:
        raise IntegrityError(f"{path.name}: {rows} rows were written of {given}.")
    return given


def _grouped(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Pieces put together up to some ten megabytes."""
    held: list[pa.Table] = []
    size = 0
    for piece in pieces:
        if not piece.num_rows:
            continue
        held.append(piece)
        size += piece.nbytes
        if size >= GROUP_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)


def _put(path: Path, arrow: pa.Schema, tables: Iterator[pa.Table], compression: str, *, small: bool = False) -> int:
    """Write the tables into one file: how many rows its footer says."""
    first = next(tables, None)
    spelling = _spelling(arrow.empty_table() if first is None else first, compression)
    with replacing(path, digest=False) as sink:
        marking = MarkingSink(sink)
        few = pa.BufferOutputStream() if small else None  # Arrow's own is quicker for what is small
        try:
            with pq.ParquetWriter(
                marking if few is None else few, arrow, write_page_checksum=True, **spelling
            ) as writer:
                for table in () if first is None else chain([first], tables):
                    writer.write_table(table, ROW_GROUP)
                marking.end_of_rows()
            if few is not None:
                marking.write(few.getvalue())
            marking.finish()
        except pa.ArrowInvalid as error:  # a time beyond what its unit reaches in the file
            raise FidelityError(
                f"{path.name}: Parquet cannot hold a value: {error}.", cure="Use another unit."
            ) from error
        return notes_in(marking.footer)[0]


def _spelling(table: pa.Table, compression: str) -> dict[str, Any]:
    """Which columns get a dictionary and which are compressed: where it is no use, it takes long, and to read too."""
    if table.num_rows <= FEW:
        coded = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
        return {"use_dictionary": coded, "compression": compression}
    if table.num_rows <= 2 * SAMPLE:
        return {"use_dictionary": True, "compression": compression}
    begins = np.linspace(0, table.num_rows - RUN, SAMPLE // RUN).astype(np.int64)
    places = pa.array((begins[:, None] + np.arange(RUN)).ravel())
    samples = {
        field.name: table.column(field.name).take(places).combine_chunks()
        for field in table.schema
        if not pa.types.is_dictionary(field.type)
    }
    repeated = [name for name in table.column_names if name not in samples or _repeats(samples[name])]
    dense = [name for name, sample in samples.items() if name not in repeated and _is_dense(sample)]
    if compression != "snappy" or not dense:
        return {"use_dictionary": repeated, "compression": compression}
    codecs = {name: "none" if name in dense else compression for name in table.column_names}
    return {"use_dictionary": repeated, "compression": codecs}


def _repeats(sample: Any) -> bool:
    if pa.types.is_null(sample.type):
        return True
    return bool(pc.count_distinct(sample, mode="all").as_py() < SAMPLE * 3 // 4)


def _is_dense(sample: Any) -> bool:
    """Whether what is made for speed would make these numbers smaller by less than a quarter."""
    if not pa.types.is_floating(sample.type) and not pa.types.is_integer(sample.type):
        return False
    cells = sample.buffers()[1]
    return bool(pa.Codec("snappy").compress(cells).size > cells.size * 3 // 4)


def _parsed(footer: bytes) -> Any:
    return pq.read_metadata(pa.BufferReader(footer))


def notes_in(footer: bytes) -> tuple[int, dict[bytes, bytes]]:
    """How many rows a footer says, and its notes. One that was looked at a moment ago is known by its bytes."""
    return _known_notes(footer) if len(footer) <= MOST_KEPT else _notes(footer)


def _notes(footer: bytes) -> tuple[int, dict[bytes, bytes]]:
    metadata = _parsed(footer)
    return metadata.num_rows, metadata.metadata or {}


_known_notes = lru_cache(maxsize=32)(_notes)


def read_parquet(path: Path, selection: Selection = ALL) -> tuple[pa.Table, FrameSchema]:
    """What the selection needs of the table, with its schema; what others wrote gets the schema that loses nothing.

    Raises
    ------
    FormatError, IntegrityError, ColumnNotFoundError
    """
    with _opened(path, ahead=True) as (file, source, mark, schema, name):
        if schema is None:
            return ForeignParquet([Part(name, path, file=file)], name).read(selection)
        tests = selection.pushdown(schema, name)
        schema = selection.of(schema, name)
        if not schema.fields:
            return only_rows(schema.range_rows), schema
        groups = _groups(source, file, tests)
        if mark is not None and groups is None and len(schema.names) == len(file.schema_arrow.names):
            content = mark.content(source.fileno(), name)  # read once: what was checked is what is parsed
            file = pq.ParquetFile(pa.BufferReader(content), metadata=file.metadata)
        elif mark is not None:
            mark.check(source.fileno(), name, _ranges(file, groups, schema.names))
        if groups is None:
            return file.read(columns=schema.names, use_threads=True), schema
        return file.read_row_groups(groups, columns=schema.names, use_threads=True), schema


@contextmanager
def scan_parquet(path: Path, selection: Selection = ALL) -> Iterator[tuple[FrameSchema, Iterator[pa.Table]]]:
    """As `read_parquet`, in pieces of some ten thousand rows, from the file as it was when it was opened."""
    with _opened(path) as (file, source, mark, schema, name):
        if schema is None:
            yield ForeignParquet([Part(name, path, file=file)], name).scan(selection)
            return
        tests = selection.pushdown(schema, name)
        schema = selection.of(schema, name)
        if not schema.fields:
            yield schema, iter([only_rows(schema.range_rows)])
            return
        groups = _groups(source, file, tests)
        each = range(file.num_row_groups) if groups is None else groups
        pieces = (piece for group in each for piece in _batches(file, source, mark, group, schema.names, name))
        yield schema, checked(pieces, path)


def _batches(file: Any, source: Any, mark: Mark | None, group: int, names: list[str], name: str) -> Iterator[pa.Table]:
    if mark is not None:
        mark.check(source.fileno(), name, _ranges(file, [group], names))
    for batch in file.iter_batches(batch_size=BATCH, row_groups=[group], columns=names):
        yield pa.Table.from_batches([batch])


def _ranges(file: Any, groups: Sequence[int] | None, names: list[str]) -> Iterator[tuple[int, int]]:
    """Where the columns of the row groups lie in the file."""
    there = file.schema_arrow.names
    flat = file.metadata.num_columns == len(there)
    columns = [there.index(name) for name in names] if flat else range(file.metadata.num_columns)
    for number in range(file.num_row_groups) if groups is None else groups:
        group = file.metadata.row_group(number)
        for column in map(group.column, columns):
            begins = [column.data_page_offset]
            if column.has_dictionary_page:
                begins.append(column.dictionary_page_offset)
            yield min(begins), min(begins) + column.total_compressed_size


def checked(pieces: Iterator[pa.Table], path: Path) -> Iterator[pa.Table]:
    """The pieces, with what Arrow says of damage on the way as our errors."""
    with readable(path):
        yield from pieces


@contextmanager
def _opened(path: Path, *, ahead: bool = False) -> Iterator[tuple[Any, Any, Mark | None, FrameSchema | None, str]]:
    """The open file, its bytes, its mark, its schema if it is ours, and its dataset's name; read `ahead` or not."""
    name = path.name.removesuffix(".parquet")
    with readable(path), pa.OSFile(str(path), "rb") as source:
        mark = find_mark(source.fileno(), name)
        if mark is None:  # another's, or another wrote our table anew
            file = pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=ahead)
        else:
            file = pq.ParquetFile(source, metadata=_parsed(mark.footer), pre_buffer=ahead)
        arrow = file.schema_arrow
        yield file, source, mark, own_schema(arrow.metadata, arrow), name


def _groups(source: Any, file: Any, tests: Sequence[Test]) -> list[int] | None:
    """The row groups that may hold rows that meet the tests, by their statistics; None for all.

    A condition is left out where the file spells the column otherwise than the test does, or where statistics do not
    count what is missing: NaN.
    """
    arrow = file.schema_arrow
    sure = [
        test
        for test in tests
        if arrow.field(test.field.name).type == test.field.arrow_type
        and not (test.op == "is null" and pa.types.is_floating(test.field.arrow_type))
    ]
    wanted = expression(sure)
    if wanted is None or file.num_row_groups < 2:
        return None
    import pyarrow.dataset as ds  # which imports pandas

    fragment = ds.ParquetFileFormat().make_fragment(source)
    return [group.id for group in fragment.subset(wanted).row_groups]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what Arrow says of a file's bytes into FormatError and IntegrityError."""
    try:
        yield
    except BaseFrameworkException:  # of whoever was given the rows; some of ours are OSErrors
        raise
    except pa.ArrowInvalid as error:
        raise FormatError(
            f"{path.name} is not a Parquet file that can be read: {error}.", resource=path.stem
        ) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's own word, not Arrow's
            raise
        raise IntegrityError(
            f"{path.name} is damaged: {error}.", cure="Restore it from a backup: millpond restore.", resource=path.stem
        ) from error


def read_notes(path: Path) -> dict[bytes, bytes]:
    """The notes in a footer; another who wrote our table anew carries them along."""
    with _footer(path) as (source, mark):
        return pq.read_metadata(source).metadata or {} if mark is None else notes_in(mark.footer)[1]


def read_footer(path: Path) -> tuple[Any, FrameSchema]:
    """The file's metadata and its schema, without reading its rows."""
    with _footer(path) as (source, mark):
        metadata = pq.read_metadata(source) if mark is None else _parsed(mark.footer)
    arrow = metadata.schema.to_arrow_schema()
    schema = own_schema(metadata.metadata, arrow)
    return metadata, described(arrow) if schema is None else schema


@contextmanager
def _footer(path: Path) -> Iterator[tuple[Any, Mark | None]]:
    """The open file and its mark."""
    try:
        with pa.OSFile(str(path), "rb") as source:
            yield source, find_mark(source.fileno(), path.stem)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FormatError(
            f"{path.name} is not a Parquet file that can be read: {error}.", resource=path.stem
        ) from error


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
