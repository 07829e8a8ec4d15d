"""What the columns of a dataset hold: counts, range, mean, quantiles, the values that come most often.

A frame is profiled exactly, a column at a time; what streams by is profiled by DuckDB, within bounded memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import DataException
from framework.files import storage_errors
from framework.prepare.anomalies import quantile_of
from framework.prepare.checks import SAMPLE, Coded, arrow_of, is_text
from framework.prepare.issues import shown
from framework.prepare.repeats import hashes_of
from framework.prepare.sketches import GREATEST, Sketch, room_of

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOP = 5  # values that come most often
WORKERS = min(os.cpu_count() or 1, 4)
MEMORY = "256MB"  # of DuckDB, beyond what it is given


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column holds; what does not apply to its type is None or empty.

    Attributes
    ----------
    name, type : str
        The type as Arrow calls it.
    count : int
        Values that are there: neither null nor NaN.
    nulls : int
    distinct : int, optional
        Of the values that are there: text by hashes of 64 bits; all by an estimate where the profile is not exact.
    min, max : JSON-able
    mean, std : float, optional
        Of numbers up to 1e150; of a sample, n - 1.
    quantiles : dict
        By share, linear between values.
    top : list of dict
        `{"value", "count"}`, most often first; none where no value comes twice. Estimates have no
        counts, and are of text and flags only.
    """

    name: str
    type: str
    count: int
    nulls: int
    distinct: int | None = 0
    min: Any = None
    max: Any = None
    mean: float | None = None
    std: float | None = None
    quantiles: dict[str, Any] = field(default_factory=dict)
    top: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Profile:
    """What the columns of a dataset hold.

    Attributes
    ----------
    rows : int
    columns : list of ColumnProfile
    exact : bool
        Whether distinct counts, quantiles and top values are reckoned; else they are estimates.
    seconds : float
    rank_error : float
        By how much the rank of a quantile is off at most, as a share of the values.
    """

    rows: int
    columns: list[ColumnProfile]
    exact: bool
    seconds: float
    rank_error: float = 0.0

    def __getitem__(self, name: str) -> ColumnProfile:
        return next(each for each in self.columns if each.name == name)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def profile(data: pd.DataFrame | pa.Table, *, top: int = TOP, check: Callable[[], None] = lambda: None) -> Profile:
    """Profile a frame or an Arrow table, exactly; beside it there is memory for a few columns at a time.

    Parameters
    ----------
    data : DataFrame or Table
    top : int
        How many of the values that come most often.
    check : callable
        Called between columns; what it raises stops the work.
    """
    started = time.perf_counter()
    if isinstance(data, pa.Table):
        rows, names, column = data.num_rows, data.column_names, data.column
    else:
        rows, names, column = len(data), list(data.columns), lambda place: arrow_of(data.iloc[:, place])

    def one(place: int) -> ColumnProfile:
        return _column(str(names[place]), column(place), top)

    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="millpond-profile")
    columns = []
    try:
        for task in [pool.submit(one, place) for place in range(len(names))]:
            check()
            columns.append(task.result())
    finally:
        pool.shutdown(cancel_futures=True)
    return Profile(rows, columns, True, time.perf_counter() - started)


def _column(name: str, array: pa.Array, top: int) -> ColumnProfile:
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    kind = array.type
    there = array.drop_null() if array.null_count else array
    if pa.types.is_floating(kind):
        there = there.filter(pc.invert(pc.is_nan(there)))
    about: dict[str, Any] = {"name": name, "type": str(kind), "count": len(there), "nulls": len(array) - len(there)}
    if not len(there):
        return ColumnProfile(**about)
    if pa.types.is_boolean(kind):
        return ColumnProfile(**about, **_of_ordered(np.sort(_ints(there)), lambda value: bool(value), top))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        ordered = np.sort(there.to_numpy(zero_copy_only=False))
        return ColumnProfile(**about, **_of_ordered(ordered, lambda value: value.item(), top), **_moments(ordered))
    if pa.types.is_temporal(kind):
        return ColumnProfile(**about, **_of_ordered(np.sort(_ints(there)), _instant(kind), top))
    return ColumnProfile(**about, **_of_words(name, there, top))


def _ints(array: pa.Array) -> Any:
    if pa.types.is_boolean(array.type):
        return array.cast(pa.uint8()).to_numpy(zero_copy_only=False)
    return array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).to_numpy(zero_copy_only=False)


def _instant(kind: pa.DataType) -> Callable[[Any], str]:
    """How a time, kept as a count, is written."""
    width = pa.int32() if kind.bit_width == 32 else pa.int64()

    def written(count: Any) -> str:
        return str(pa.array([int(count)], width).view(kind).cast(pa.string())[0].as_py())

    return written


def _of_ordered(ordered: Any, told: Callable[[Any], Any], top: int) -> dict[str, Any]:
    """What is read off values in their order: runs of equals say how many are distinct, and which come most often."""
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(np.append(starts, len(ordered)))
    return {
        "distinct": len(starts),
        "min": told(ordered[0]),
        "max": told(ordered[-1]),
        "quantiles": _quantiles(ordered, told),
        "top": [{"value": told(ordered[starts[place]]), "count": int(counts[place])} for place in _most(counts, top)],
    }


def _quantiles(ordered: Any, told: Callable[[Any], Any]) -> dict[str, Any]:
    if ordered.dtype == np.uint8 and isinstance(told(ordered[0]), bool):
        return {}
    if isinstance(told(ordered[0]), str):  # between two times there is the time below
        return {str(share): told(ordered[int(share * (len(ordered) - 1))]) for share in QUANTILES}
    return {str(share): quantile_of(ordered, share) for share in QUANTILES}


def _moments(ordered: Any) -> dict[str, Any]:
    values = ordered.astype(np.float64, copy=False)
    if abs(values[0]) > GREATEST or abs(values[-1]) > GREATEST:
        values = values[np.abs(values) <= GREATEST]
    if not len(values):
        return {}
    return {"mean": float(values.mean()), "std": float(values.std(ddof=1)) if len(values) > 1 else None}


def _most(counts: Any, top: int) -> Any:
    """The places of the greatest counts, the first of equals first; none of one."""
    if not top or not len(counts) or counts.max() < 2:
        return []
    least = np.partition(counts, -top)[-top] if len(counts) > top else 1
    places = np.flatnonzero(counts >= max(int(least), 2))
    return places[np.argsort(-counts[places], kind="stable")][:top]


def _of_words(name: str, there: pa.Array, top: int) -> dict[str, Any]:
    """Text, and whatever else Arrow can hold, by what it looks like."""
    coded = Coded.of(there)
    if coded is None:
        texts = [str(cell) for cell in there.to_pylist()]
        coded = Coded(pa.array(texts, pa.large_string()))
    if coded.codes is None and len(there) <= SAMPLE:
        coded = Coded.of(coded.values.dictionary_encode()) or coded
    ends = pc.min_max(coded.values).as_py()
    found = {"min": shown(ends["min"], name), "max": shown(ends["max"], name)}
    if coded.codes is not None:
        counts = np.bincount(coded.codes, minlength=len(coded.values))
        places = _most(counts, top)
        used = counts > 0
        if not used.all():  # categories that no row has
            ends = pc.min_max(coded.values.filter(pa.array(used))).as_py()
            found = {"min": shown(ends["min"], name), "max": shown(ends["max"], name)}
        most = [(coded.values[int(place)].as_py(), int(counts[place])) for place in places]
        distinct = int(np.count_nonzero(used))
    else:
        hashes = hashes_of([coded.values])
        ordered = np.sort(hashes)
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        counts = np.diff(np.append(starts, len(ordered)))
        wanted = [(ordered[starts[place]], int(counts[place])) for place in _most(counts, top)]
        most = [(coded.values[int(np.argmax(hashes == one))].as_py(), count) for one, count in wanted]
        distinct = len(starts)
    return {**found, "distinct": distinct, "top": [{"value": shown(cell, name), "count": n} for cell, n in most]}


# What streams by.


def profile_parquet(path: str | Path, *, top: int = TOP, memory: str = MEMORY) -> Profile:
    """Profile a Parquet file, a piece at a time: the memory does not depend on its size."""
    import pyarrow.parquet as pq

    with storage_errors(str(path)), pq.ParquetFile(path) as file:
        return profile_pieces(file.schema_arrow, file.iter_batches(), top=top, memory=memory)


def profile_pieces(
    schema: pa.Schema,
    pieces: Iterable[pa.RecordBatch],
    *,
    top: int = TOP,
    memory: str = MEMORY,
    check: Callable[[], None] = lambda: None,
) -> Profile:
    """Profile Arrow batches as they come: counts, range and moments are exact, the rest are estimates.

    Distinct counts are DuckDB's HyperLogLog, top values its filtered space-saving. Quantiles are exact up to 32,768
    values, and beyond that off by no more than `Profile.rank_error` of the ranks.

    Parameters
    ----------
    schema : Arrow schema
    pieces : iterable of RecordBatch
    memory : str
        What DuckDB may have.
    check : callable
        Called between pieces; what it raises stops the work.
    """
    import duckdb

    started = time.perf_counter()
    asked = [_Asked(f"c{place}", each.name, each.type) for place, each in enumerate(schema)]
    kept = _Kept()
    room = room_of(len(asked))
    sketches = {each.place: Sketch(room) for each in asked if each.measured}
    reader = pa.RecordBatchReader.from_batches(
        pa.schema([(each.place, _plain(each.type)) for each in asked]), _renamed(asked, sketches, pieces, check, kept)
    )
    wanted = ", ".join(["count(*)", *(sql for each in asked for sql in each.sql(top).values())])
    try:
        with duckdb.connect(":memory:", config={"memory_limit": memory}) as connection:
            connection.execute(f"SET threads = {WORKERS}")
            connection.execute("SET enable_progress_bar = false")
            connection.register("pieces", reader)
            found = connection.execute(f"SELECT {wanted} FROM pieces").fetchone()  # noqa: S608 - ours
    except duckdb.Error as error:
        if kept.error is not None:
            raise kept.error from None
        raise DataException(f"DuckDB cannot profile this: {error}.", cure="Give it more memory=.") from error
    rows, *rest = found or (0,)
    answers = iter(rest)
    columns = [
        each.told({name: next(answers) for name in each.sql(top)}, rows, sketches.get(each.place)) for each in asked
    ]
    off = max((each.error for each in sketches.values()), default=0.0)
    return Profile(rows, columns, False, time.perf_counter() - started, rank_error=off)


def _plain(kind: pa.DataType) -> pa.DataType:
    """What DuckDB is given for a column: text as text, categories as what they say."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.float64() if pa.types.is_float16(kind) else kind


class _Kept:
    """The error that the pieces themselves raised, which DuckDB would only quote."""

    error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.error = error


def _renamed(
    asked: list[_Asked],
    sketches: Mapping[str, Sketch],
    pieces: Iterable[pa.RecordBatch],
    check: Callable[[], None],
    kept: _Kept,
) -> Iterator[pa.RecordBatch]:
    """The pieces, columns by their places; the numbers in them are taken note of."""
    with kept:
        for piece in pieces:
            check()
            arrays = [array.cast(_plain(array.type)) for array in piece.columns]
            for each, array in zip(asked, arrays, strict=True):
                if each.place in sketches:
                    numbers = array.drop_null().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
                    sketches[each.place].add(numbers[~np.isnan(numbers)])
            yield pa.RecordBatch.from_arrays(arrays, names=[each.place for each in asked])


@dataclass(frozen=True, slots=True)
class _Asked:
    """One column, as DuckDB is asked for it."""

    place: str
    name: str
    type: pa.DataType

    @property
    def measured(self) -> bool:
        """Whether these are numbers."""
        kind = _plain(self.type)
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))

    def sql(self, top: int) -> Mapping[str, str]:
        kind, measured = _plain(self.type), self.measured
        floating = pa.types.is_floating(kind)
        value = f"(CASE WHEN isnan({self.place}) THEN NULL ELSE {self.place} END)" if floating else self.place
        simple = is_text(kind) or measured or pa.types.is_boolean(kind) or pa.types.is_temporal(kind)
        if not simple:
            return {"count": f"count({value})"}
        found = {
            "count": f"count({value})",
            "distinct": f"approx_count_distinct({value})",
            "min": f"min({value})",
            "max": f"max({value})",
        }
        if top and (is_text(kind) or pa.types.is_boolean(kind)):  # of numbers it would take longer than all the rest
            found["top"] = f"approx_top_k({value}, {top})"
        if measured:
            fit = f"FILTER (abs({value}::DOUBLE) <= {GREATEST})"
            found["mean"] = f"avg({value}::DOUBLE) {fit}"
            found["std"] = f"stddev_samp({value}::DOUBLE) {fit}"
        return found

    def told(self, answer: dict[str, Any], rows: int, sketch: Sketch | None) -> ColumnProfile:
        count = int(answer["count"])
        return ColumnProfile(
            name=self.name,
            type=str(self.type),
            count=count,
            nulls=rows - count,
            distinct=min(int(answer.get("distinct", 0)), count),
            min=self.cell(answer.get("min")),
            max=self.cell(answer.get("max")),
            mean=answer.get("mean"),
            std=answer.get("std"),
            quantiles=dict(zip(map(str, QUANTILES), sketch.quantiles(QUANTILES) if sketch else [], strict=False)),
            top=[{"value": self.cell(cell)} for cell in answer.get("top") or []],
        )

    def cell(self, value: Any) -> Any:
        """JSON-able."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return shown(value.isoformat() if hasattr(value, "isoformat") else value, self.name)
