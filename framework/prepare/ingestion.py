"""The first stage of preparing: a file or stream of somebody else's becomes a table, or is refused with a reason."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from framework.errors import IngestionException, OptionError
from framework.files import remove, storage_errors
from framework.prepare.unpacking import Content, opened

if TYPE_CHECKING:
    from framework.prepare.reading import Asked, Table

MAX_FILE_SIZE = 100 * 1024 * 1024
CHUNK_SIZE = 8192
READS = 256  # of the size of a chunk are a piece, which one thread works on
LEAST_PIECE = 1 << 12  # bytes
WORDS = {"time": "datetime", "instant": "datetime"}


@dataclass(frozen=True, slots=True)
class IngestionResult:
    """What was found in a file.

    Attributes
    ----------
    file : str
    bytes : int
        As they came, packed or not.
    encoding : str
        As Python names it.
    encoding_confidence : float
        0 to 1; 1 where nothing else is possible.
    dialect : dict
        delimiter, quote, decimal, header.
    rows : int
    columns : list of dict
        name, type (integer, float, boolean, datetime, text), nulls.
    rows_refused : int
    refused : list of (line, why)
        The first thousand.
    rejected : str or None
        Where all of them were put.
    compression : str or None
    seconds : float
    warnings : list of str
    """

    file: str
    bytes: int
    encoding: str
    encoding_confidence: float
    dialect: dict[str, Any]
    rows: int
    columns: list[dict[str, Any]]
    rows_refused: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    rejected: str | None = None
    compression: str | None = None
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {**asdict(self), "refused": [list(each) for each in self.refused]}


class DataIngestionService:
    """Reads CSV of others: encoding, dialect and types are found, and nothing is guessed that may be two things.

    Parameters
    ----------
    max_file_size : int
        Bytes of a file, and of what is in it when it is unpacked.
    chunk_size : int
        Bytes of one read of a stream; 256 times as many are parsed at once.
    enable_compression : bool
        Whether gzip and zip are accepted.
    """

    def __init__(
        self, max_file_size: int = MAX_FILE_SIZE, chunk_size: int = CHUNK_SIZE, enable_compression: bool = True
    ) -> None:
        self.max_file_size = _positive("max_file_size", max_file_size)
        self.chunk_size = _positive("chunk_size", chunk_size)
        self.enable_compression = enable_compression

    def ingest(
        self,
        source: str | Path | BinaryIO,
        *,
        into: str | Path | None = None,
        rejected: str | Path | None = None,
        filename: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        date_format: str | Mapping[str, str | None] | None = None,
        header: bool | None = None,
        on_bad_rows: Literal["refuse", "quarantine"] = "refuse",
        content_length: int | None = None,
        max_rows: int | None = None,
        max_columns: int = 1 << 14,
        max_field: int = 1 << 20,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[Any, IngestionResult]:
        """Read a file or a binary stream.

        Parameters
        ----------
        source : path or binary stream
            CSV, plain or in gzip or zip, whatever it is called.
        into : path, optional
            Where to write the table as Parquet, a piece at a time, in memory that does not grow with it.
        rejected : path, optional
            Where the rows go that are put aside, as Parquet of _line, _why and _text; beside `into` unless given:
            `x.parquet` has `x.rejected.parquet`.
        filename : str, optional
            What messages call it.
        encoding, delimiter, decimal, header
            What is not to be found out.
        date_format : str or mapping of column to str or None, optional
            How dates are written, as `strptime` has it; None for a column leaves it as text.
        on_bad_rows : {"refuse", "quarantine"}
            What becomes of a file with rows that are too short or long, or broken.
        content_length : int, optional
            How many bytes the stream was said to have.
        max_rows, max_columns, max_field : int
            The most there may be; of a field, characters.
        check : callable
            Called between pieces; what it raises stops the reading.

        Returns
        -------
        pandas.DataFrame or Path, and IngestionResult
            The path is `into`.

        Raises
        ------
        IngestionException, DatasetNotFoundError, StorageError, OptionError
        """
        from framework.prepare.reading import Asked

        asked = Asked(
            encoding, delimiter, decimal, date_format, header, on_bad_rows, max_rows, max_columns, max_field, check
        )
        _check(asked, content_length)
        target, aside = (None if path is None else Path(path) for path in (into, rejected))
        started = time.perf_counter()
        with self._opened(source, filename=filename, content_length=content_length, check=check) as content:
            return self._read(content, asked, target, aside, started)

    def _opened(self, source: str | Path | BinaryIO, **said: Any) -> AbstractContextManager[Content]:
        packed = self.enable_compression
        return opened(source, most=self.max_file_size, chunk=self.chunk_size, packed=packed, **said)

    def _read(
        self, content: Content, asked: Asked, into: Path | None, rejected: Path | None, started: float
    ) -> tuple[Any, IngestionResult]:
        with ExitStack() as stack:
            table = self._in_memory(content, asked, into, stack)
            aside = rejected or (None if into is None else rejected_beside(into))
            place = aside if table.refused.count else None
            if place is not None:
                table.refused.write(place)
            elif aside is not None:
                _clear(aside)
            seconds = time.perf_counter() - started
            return into if into is not None else table.frame, _result(content, table, place, seconds)

    def _in_memory(self, content: Content, asked: Asked, into: Path | None, stack: ExitStack) -> Table:
        """Once more in smaller pieces when there is not the memory."""
        from framework.prepare.reading import Reading

        piece = max(self.chunk_size * READS, LEAST_PIECE)
        try:
            return Reading(content, asked, stack, piece=piece).read(into)
        except MemoryError:
            stack.close()
        try:
            return Reading(content, asked, stack, piece=max(piece // 2, LEAST_PIECE)).read(into)
        except MemoryError as error:
            raise IngestionException(
                f"There is not the memory to read {content.name}.",
                cure="Have it written to a file with into=, or set a smaller chunk_size=.",
                resource=content.name,
            ) from error


def rejected_beside(into: Path) -> Path:
    """Where the rows go that are put aside, unless it is said."""
    return into.with_suffix(".rejected.parquet")


def _clear(place: Path) -> None:
    """Remove what an earlier reading put aside there, and what is told of it: no row of this one is. Nothing else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(place).names if place.is_file() else []
    except (pa.ArrowException, OSError):
        return
    if names == ["_line", "_why", "_text"]:
        with storage_errors(str(place)):
            remove(place)
            place.with_name(place.name.removesuffix(place.suffix) + ".metadata.json").unlink(missing_ok=True)


def _result(content: Content, table: Table, rejected: Path | None, seconds: float) -> IngestionResult:
    dialect, schema = table.dialect, table.schema
    return IngestionResult(
        file=content.name,
        bytes=content.size,
        encoding=table.encoding.name,
        encoding_confidence=table.encoding.confidence,
        dialect={
            "delimiter": dialect.delimiter,
            "quote": dialect.quote,
            "decimal": table.decimal,
            "header": dialect.header,
        },
        rows=schema.range_rows,
        columns=[
            {"name": each.name, "type": WORDS.get(each.kind, each.kind), "nulls": table.nulls[each.name]}
            for each in schema.fields
        ],
        rows_refused=table.refused.count,
        refused=table.refused.shown,
        rejected=None if rejected is None else str(rejected),
        compression=content.compression,
        seconds=seconds,
        warnings=table.warnings,
    )


def _positive(name: str, value: int, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name}={value!r} is not a whole number of {least} or more.", resource=name)
    return value


def _is_format(said: object) -> bool:
    """Whether that is None or what `strptime` understands; pandas has words for it that mean to guess."""
    if not isinstance(said, str) or "%" not in said:
        return said is None
    try:
        datetime.strptime("", said)
    except (ValueError, re.error) as error:  # the second for a directive that is there twice
        return "does not match" in str(error)
    return False


def _check(asked: Asked, content_length: int | None) -> None:
    """OptionError for what cannot be meant."""
    from framework.formats.handlers.csv import CsvHandler

    CsvHandler(delimiter=asked.delimiter, encoding=asked.encoding or "utf-8")
    for option, value, known in (
        ("decimal", asked.decimal, (None, ".", ",")),
        ("on_bad_rows", asked.on_bad_rows, ("refuse", "quarantine")),
        ("header", asked.header, (None, True, False)),
    ):
        if value not in known:
            shown = ", ".join(repr(each) for each in known if each is not None)
            raise OptionError(f"{option}={value!r} is not known.", cure=f"It is one of {shown}.", resource=option)
    said = asked.date_format
    formats = list(said.values()) if isinstance(said, Mapping) else [said]
    columns = list(said) if isinstance(said, Mapping) else []
    if not all(isinstance(column, str) for column in columns) or not all(map(_is_format, formats)):
        raise OptionError(
            f"date_format={said!r} is no format.",
            cure="Such as '%d.%m.%Y', or {'since': '%d.%m.%Y'}.",
            resource="date_format",
        )
    if content_length is not None:
        _positive("content_length", content_length, least=0)
    for option in ("max_rows", "max_columns", "max_field"):
        if getattr(asked, option) is not None:
            _positive(option, getattr(asked, option))
