"""What a file's columns hold, in one pass at the speed of parsing it, and in memory that does not grow with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import IngestionException
from framework.files import storage_errors
from framework.formats.csv_inference import NULL_WORDS, Guess
from framework.mods.duck import literal
from framework.prepare.dialects import Dialect, find
from framework.prepare.encodings import of_sample
from framework.prepare.profiling import QUANTILES, WORKERS, ColumnProfile, Profile
from framework.prepare.sketches import Moments, Sketch, room_of
from framework.prepare.spellings import Evidence
from framework.prepare.unpacking import opened

SAMPLE = 1 << 18  # bytes
MEMORY = "128MB"  # of DuckDB, beyond the pieces that wait to be looked at
BUFFER = 1 << 23  # bytes that DuckDB reads at once
BATCH = 20_480  # rows
UNBOUNDED = 1 << 60  # bytes
BEGUN = datetime(1970, 1, 1, tzinfo=UTC)
WORDS = ", ".join(map(literal, NULL_WORDS))
LAST = (1 << 63) - 1
DUCKS = {"number": "DOUBLE", "time": "TIMESTAMP"}
CASTS: dict[str, tuple[str, object]] = {  # and what stands in place of what is none
    "number": ("try_cast({} AS DOUBLE)", "'Infinity'::DOUBLE"),
    "time": ("epoch_us(try_cast({} AS TIMESTAMP))", LAST),
}


def skim(path: str | Path, *, memory: str = MEMORY, check: Callable[[], None] = lambda: None) -> Profile:
    """Counts, nulls, range, mean, deviation and quantiles of each column of a CSV or Parquet file.

    Counts, nulls and the range are exact, mean and deviation as float64 has them. Quantiles are of
    numbers: exact up to 32,768 values, and beyond that off by no more than `Profile.rank_error` of the ranks, 0.034 %
    of ten million values and 0.052 % of a billion, whatever their order. Distinct and most frequent values are not
    looked for: `profile_parquet` does.

    A column of a CSV file is numbers or times where each of its cells is one; numbers are read as float64, spelled in
    whatever way DuckDB knows, as ` 1` and `1E5`. Whole numbers with zeros in front, `007`, are text, of which there are
    only the counts.

    Parameters
    ----------
    path : path
        CSV, plain or packed, in whatever dialect and encoding ingestion knows, or Parquet if it is called `.parquet`.
        What is not UTF-8 with points in its numbers is first brought into Parquet beside, which takes longer.
    memory : str
        What DuckDB may have.
    check : callable
        Called between pieces; what it raises stops the work.

    Raises
    ------
    IngestionException
        With the line, for a CSV file that is no table.
    DatasetNotFoundError, StorageError
    """
    started = time.perf_counter()
    path = Path(path)
    if path.suffix == ".parquet":
        return _skimmed_parquet(path, check, started)
    with opened(path, filename=None, most=UNBOUNDED, chunk=SAMPLE, check=check) as content:
        sample = content.begin()(SAMPLE) if content.compression is None else b""
    seen = _columns_of(sample, path.name) if sample else None
    while seen is not None:
        dialect, columns = seen
        if not _by_duckdb(path, dialect, columns, memory=memory, check=check):
            columns = [each.anew() for each in columns]
            if not _by_duckdb(path, dialect, columns, memory=memory, check=check, closely=True):
                break
        if not any(each.marked for each in columns if each.kind != "text"):
            for each in columns:
                each.type = each.type if each.kind == "text" or each.moments.count else "null"
            return _profile(columns, started)
        seen = dialect, [_text(each.name) if each.kind == "text" or each.marked else each.anew() for each in columns]
    return _brought_into_parquet(path, check, started)


# --------------------------------------------------------------------------- one column


@dataclass(slots=True)
class Skimmed:
    """One column, as far as it has been seen.

    Attributes
    ----------
    kind : {"number", "time", "text"}
        A time is counted in microseconds.
    """

    name: str
    type: str
    kind: str
    sketch: Sketch
    moments: Moments = field(default_factory=Moments)
    rows: int = 0
    nulls: int = 0

    def add(self, array: Any) -> None:
        """The next values; null or NaN is none."""
        self.rows += len(array)
        there = array.drop_null() if array.null_count else array
        if self.kind == "text":
            self.nulls += len(array) - len(there)
            return
        values = (_counted(there) if self.kind == "time" else there).to_numpy(zero_copy_only=False)
        if self.kind == "number":
            if len(values) and np.isnan(values.min()):  # which is NaN where one is
                values = values[~np.isnan(values)]
            self.sketch.add(values)
            self.moments.add(values.astype("float64", copy=False), whole=self.type == "int64")
        elif len(values):
            self.moments.within(values)
        self.nulls += len(array) - len(values)

    def anew(self) -> Skimmed:
        """The same, with nothing seen."""
        return Skimmed(self.name, self.type, self.kind, Sketch(self.sketch.room))

    def profile(self) -> ColumnProfile:
        told: dict[str, Any] = {"name": self.name, "count": self.rows - self.nulls, "nulls": self.nulls}
        if self.kind == "text" or not self.moments.count:
            return ColumnProfile(**told, type=self.type, distinct=None)
        told |= {"distinct": None, "min": self.cell(self.moments.low), "max": self.cell(self.moments.high)}
        if self.kind == "time":
            return ColumnProfile(**told, type=self.type)
        quantiles = dict(zip(map(str, QUANTILES), map(self.cell, self.sketch.quantiles(QUANTILES)), strict=True))
        kind = "double" if self.type == "int64" and not self.moments.whole else self.type
        mean, std = self.moments.mean, self.moments.std
        return ColumnProfile(**told, type=kind, mean=mean, std=std, quantiles=quantiles)

    @property
    def marked(self) -> bool:
        """Whether there was a mark of something else."""
        return bool(max(self.moments.high, -self.moments.low) >= (np.inf if self.kind == "number" else LAST))

    def cell(self, value: float) -> Any:
        """JSON-able: times as ISO has them."""
        if self.kind == "number":
            return int(value) if self.type == "int64" and self.moments.whole and value.is_integer() else value
        return (BEGUN + timedelta(microseconds=int(value))).replace(tzinfo=None).isoformat(" ")


def _profile(found: list[Skimmed], started: float) -> Profile:
    error = max((each.sketch.error for each in found if each.kind != "text"), default=0.0)
    rows = found[0].rows if found else 0
    columns = [each.profile() for each in found]
    return Profile(rows, columns, False, time.perf_counter() - started, rank_error=error)


# --------------------------------------------------------------------------- CSV


def _columns_of(sample: bytes, name: str) -> tuple[Dialect, list[Skimmed]] | None:
    """How the file is written and what its columns seem to be; None where DuckDB would read another thing in it."""
    encoding = of_sample(sample)
    if encoding is None or encoding.name not in ("utf-8", "utf-8-sig"):
        return None
    text = sample.decode("utf-8", "replace")
    try:
        dialect = find(text.removeprefix("\ufeff"), name, whole=len(sample) < SAMPLE)
        marks = Evidence(
            dialect.names, dialect.rows, delimiter=dialect.delimiter, decimal=None, date_format=None, file=name,
            line=dialect.line,
        )  # fmt: skip
    except IngestionException:
        return None
    if dialect.quote != '"' or dialect.single or dialect.line > 1 or len(set(dialect.names)) < len(dialect.names):
        return None
    guesses = [Guess(column) for column in dialect.names]
    whole = [row for row in dialect.rows if len(row) == len(guesses)]
    for guess, cells in zip(guesses, zip(*whole, strict=True), strict=False):
        guess.add(pa.chunked_array([pa.array([cell or None for cell in cells], pa.string())]))
    room = room_of(len(guesses))
    found = [_seeming(guess, room) for guess in guesses]
    for each in found:
        days = marks.days[each.name]
        if each.kind == "text" and (marks.marks[each.name].marked or (days.alive and days.seen)):
            return None  # numbers with a comma, or dates in a format of their own
    return dialect, found


def _seeming(guess: Guess, room: int) -> Skimmed:
    """What a column is by its sample; an empty one may yet be a number."""
    kind = guess.type if guess.family else pa.int64()
    if pa.types.is_timestamp(kind) and not guess.zoned:
        return Skimmed(guess.name, "timestamp[us]", "time", Sketch(room))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Skimmed(guess.name, str(kind), "number", Sketch(room))
    return _text(guess.name)


def _text(name: str) -> Skimmed:
    return Skimmed(name, "string", "text", Sketch(0))


def _by_duckdb(
    path: Path,
    dialect: Dialect,
    found: list[Skimmed],
    *,
    memory: str,
    check: Callable[[], None],
    closely: bool = False,
) -> bool:
    """Let the whole file go by; False where DuckDB does not get on with it."""
    import duckdb

    with _plainly_named(path) as name, duckdb.connect(":memory:", config={"memory_limit": memory}) as connection:
        connection.execute(f"SET threads = {WORKERS}")
        connection.execute("SET enable_progress_bar = false")
        reader: Any = None
        while True:
            try:
                reader = reader or connection.sql(_sql(name, dialect, found, closely=closely)).to_arrow_reader(BATCH)
                batch = next(reader, None)
            except (duckdb.Error, pa.ArrowException, OSError):  # the last is DuckDB's too, as Arrow passes it on
                return False  # ingestion says where, or reads it all the same
            check()
            if batch is None:
                return True
            for each, array in zip(found, batch.columns, strict=True):
                each.add(array)


def _sql(name: str, dialect: Dialect, found: list[Skimmed], *, closely: bool) -> str:
    """Each column as what it seems to be; looked at closely, with a mark in place of what is something else.

    Else DuckDB reads numbers with a point and times as such, which costs the least, and refuses what is none. Whole
    numbers are looked at in any case.
    """
    kinds, typed, wanted = [], [], []
    for place, each in enumerate(found):
        cell, value = f"c{place}", f"v{place}"
        straight = not closely and each.kind != "text" and each.type != "int64"
        kinds.append(f"'{cell}': '{DUCKS[each.kind] if straight else 'VARCHAR'}'")
        typed.append(cell)
        if straight:
            wanted.append(cell)
        elif each.kind == "text":
            wanted.append(f"CASE WHEN {cell} IS NULL THEN NULL ELSE true END")
        else:
            cast, mark = CASTS[each.kind]
            typed.append(f"{cast.format(cell)} AS {value}")
            known = f"coalesce({value}, CASE WHEN {cell} IS NULL OR {cell} IN ({WORDS}) THEN NULL ELSE {mark} END)"
            led = f"CASE WHEN {value} >= 1 AND starts_with({cell}, '0') THEN {mark} ELSE {known} END"
            wanted.append(led if each.type == "int64" else known)
    return (
        f"SELECT {', '.join(wanted)} FROM (SELECT {', '.join(typed)} FROM read_csv({literal(name)},"  # noqa: S608
        f" auto_detect = false, columns = {{{', '.join(kinds)}}}, header = {str(dialect.header).lower()},"
        f" delim = {literal(dialect.delimiter)}, quote = '\"', escape = '\"', allow_quoted_nulls = false,"
        f" strict_mode = true, buffer_size = {BUFFER}, compression = 'none'))"
    )


@contextmanager
def _plainly_named(path: Path) -> Iterator[str]:
    """A name of the file that is no pattern to DuckDB."""
    with ExitStack() as stack:
        if set(str(path)) & set("*?[{"):
            folder = stack.enter_context(TemporaryDirectory(prefix="millpond-"))
            plain = Path(folder) / "data.csv"
            plain.symlink_to(path.resolve())
            path = plain
        yield str(path)


def _brought_into_parquet(path: Path, check: Callable[[], None], started: float) -> Profile:
    from framework.prepare.ingestion import DataIngestionService

    with TemporaryDirectory(prefix=".millpond-", dir=path.parent) as folder:
        target = Path(folder) / "skimmed.parquet"
        DataIngestionService(max_file_size=UNBOUNDED).ingest(path, into=target, check=check)
        return _skimmed_parquet(target, check, started)


# --------------------------------------------------------------------------- Parquet


def _skimmed_parquet(path: Path, check: Callable[[], None], started: float) -> Profile:
    import pyarrow.parquet as pq

    with storage_errors(str(path)), pq.ParquetFile(path) as file:
        return _profile(_by_pieces(file.schema_arrow, file.iter_batches(), check), started)


def _by_pieces(schema: pa.Schema, pieces: Iterable[pa.RecordBatch], check: Callable[[], None]) -> list[Skimmed]:
    room = room_of(len(schema))
    found = [_of_type(each, room) for each in schema]
    for piece in pieces:
        check()
        for each, array in zip(found, piece.columns, strict=True):
            each.add(array)
    return found


def _of_type(field: pa.Field, room: int) -> Skimmed:
    kind = field.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Skimmed(field.name, str(kind), "number", Sketch(room))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return Skimmed(field.name, str(kind), "time", Sketch(room))
    return Skimmed(field.name, str(kind), "text", Sketch(0))


def _counted(times: pa.Array) -> pa.Array:
    """Times as microseconds since 1970."""
    if pa.types.is_integer(times.type):
        return times
    zone = getattr(times.type, "tz", None)
    return pc.cast(times, pa.timestamp("us", zone), safe=False).view(pa.int64())
