"""Which rows of an artifact: DuckDB says it by their numbers, and Arrow carries them, so that no value is changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import FidelityError, ParameterError
from framework.files import make_folder, storage_errors
from framework.mods import duck
from framework.mods.artifacts import check_columns, opened, write_tables
from framework.mods.run import ModRun

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "_row"
NUMBER = "file_row_number"  # DuckDB's own name of it
Numbers = Iterator[Any]  # of NumPy arrays of int64, ascending over all of them


@dataclass(frozen=True, slots=True)
class Judged:
    """An artifact as DuckDB reads it: columns by their place, c0, c1, ..., since to it `A` and `a` are one name.

    Attributes
    ----------
    path : Path
        Of the artifact.
    file : Path
        What DuckDB reads, of the same rows in the same order.
    schema : Arrow schema
    prefix, row : str
        What SQL calls a column before its place, and a row's number from 0 on: no column is called so.
    """

    path: Path
    file: Path
    schema: pa.Schema
    prefix: str
    row: str
    _places: Mapping[str, int]

    @classmethod
    def of(cls, path: Path, file: Path, schema: pa.Schema) -> Judged:
        """The artifact, with names for its columns that are not theirs."""
        taken = {name.casefold() for name in schema.names}
        prefix, row = "c", ROW
        while any(name.startswith(prefix) and name[len(prefix) :].isdigit() for name in taken):
            prefix += "_"
        while row in taken:
            row += "_"
        return cls(path, file, schema, prefix, row, {name: place for place, name in enumerate(schema.names)})

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return list(self.schema.names)

    @property
    def source(self) -> str:
        """What follows FROM: the columns by their places, and the row's number."""
        places = [f"{self.prefix}{place}" for place in range(len(self.schema))]
        file = f"read_parquet({duck.literal(str(self.file))}, {NUMBER}=true) AS t({', '.join([*places, self.row])})"
        shown = [_honest(place, each.type) for place, each in zip(places, self.schema, strict=True)]
        return f"(SELECT {', '.join([*shown, self.row])} FROM {file})"  # noqa: S608 - quoted

    @property
    def columns(self) -> str:
        """What follows SELECT: the columns by their names, NaN as null; one that DuckDB would change is refused."""
        return ", ".join(f"{self._shown(place)} AS {duck.quoted(name)}" for place, name in enumerate(self.names))

    @property
    def named(self) -> str:
        """As `source`, the columns by their names too, for SQL that a user wrote."""
        return f"(SELECT *, {self.columns} FROM {self.source})"  # noqa: S608 - quoted

    @property
    def count(self) -> int:
        """Its rows."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.file).num_rows)

    def _shown(self, place: int) -> str:
        """A column as a user's SQL sees it."""
        import pyarrow as pa

        column, field = f"{self.prefix}{place}", self.schema.field(place)
        if pa.types.is_decimal256(field.type):
            return duck.refusing(column, *self._too_long(field.name))
        if pa.types.is_duration(field.type):
            return _lasting(column, field, self.path.name)
        return without_nan(column, field.type)

    def _too_long(self, name: str) -> tuple[str, str]:
        """Why a column is refused, and the cure."""
        return (
            f"{self.path.name}: {name!r} has more than 38 digits, which cannot be compared exactly.",
            f"Make it text in data_cleaner: types: {{{name}: text}}",
        )

    def column(self, name: str) -> str:
        """A column, as SQL.

        Raises
        ------
        ColumnNotFoundError
        FidelityError
            DuckDB does not hold its values exactly.
        """
        import pyarrow as pa

        if name not in self._places:
            check_columns([name], self.names, self.path.name)
        place = self._places[name]
        if pa.types.is_decimal256(self.schema.field(place).type):
            why, cure = self._too_long(name)
            raise FidelityError(why, cure=f"{cure}.")
        return f"{self.prefix}{place}"

    def value(self, name: str) -> str:
        """As `column`, with NaN as the null that it means."""
        return without_nan(self.column(name), self.schema.field(self._places[name]).type)

    def key(self, names: Iterable[str]) -> str:
        """Several columns, as SQL, to compare rows by: NaN and null are alike."""
        return ", ".join(self.value(name) for name in names)


def _honest(column: str, kind: Any) -> str:
    """A column without what its file says of its least and greatest: no NaN is among them, and DuckDB believes it."""
    import pyarrow as pa

    return f"if({column} IS NULL, NULL, {column}) AS {column}" if pa.types.is_floating(kind) else column


def without_nan(column: str, kind: Any) -> str:
    """A column of that Arrow type, as SQL, with NaN as the null that it means."""
    import pyarrow as pa

    return f"(CASE WHEN isnan({column}) THEN NULL ELSE {column} END)" if pa.types.is_floating(kind) else column


LASTING = {"s": 1_000_000, "ms": 1_000, "us": 1}  # microseconds


def _lasting(column: str, field: Any, what: str) -> str:
    """A duration as the interval that it is: DuckDB takes it for whole numbers, of a unit that it does not say."""
    unit = field.type.unit
    if unit != "ns":
        return f"to_microseconds({column} * {LASTING[unit]})"
    why = f"{what}: {field.name!r} has nanoseconds, which no interval holds."
    finer = f"{duck.refusing(column, why, 'Round it to microseconds before')}::BIGINT"
    return f"to_microseconds(CASE WHEN {column} % 1000 <> 0 THEN {finer} ELSE {column} // 1000 END)"


@contextmanager
def judged(run: ModRun, path: str | Path) -> Iterator[Judged]:
    """An artifact for DuckDB; what it would not read as we do, CSV first, lies in the run's folder meanwhile."""
    found = Path(path)
    schema = _read_alike(found)
    if schema is not None:
        yield Judged.of(found, found, schema)
        return
    with storage_errors(str(run.folder)):
        make_folder(run.folder)
        handle, name = tempfile.mkstemp(prefix=".judged-", suffix=".parquet", dir=run.folder)
        os.close(handle)
    try:
        with opened(found) as (schema, pieces):
            renamed = [f"c{place}" for place in range(len(schema))]
            write_tables(Path(name), _with_names(schema, renamed), (piece.rename_columns(renamed) for piece in pieces))
        yield Judged.of(found, Path(name), schema)
    finally:
        os.unlink(name)


def _read_alike(path: Path) -> pa.Schema | None:
    """The columns of a file that DuckDB reads as we do; None for CSV, an index of pandas, a name that is DuckDB's."""
    from framework.formats.parquet import read_footer
    from framework.formats.parquet_foreign import PANDAS

    if path.suffix != ".parquet":
        return None
    with storage_errors(str(path)):
        metadata, _ = read_footer(path)
    schema = metadata.schema.to_arrow_schema()
    if PANDAS in (metadata.metadata or {}) or NUMBER in {name.casefold() for name in schema.names}:
        return None
    return schema.remove_metadata()


def _with_names(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([each.with_name(name) for each, name in zip(schema, names, strict=True)])


# --------------------------------------------------------------------------- numbers of rows


def numbers(connection: Any, sql: str) -> Numbers:
    """The row numbers that a query answers in its first column, in pieces."""
    _, pieces = duck.tables(connection, sql)
    for piece in pieces:
        yield piece.column(0).combine_chunks().to_numpy(zero_copy_only=False)


def repeats(connection: Any, rows: Judged, keys: Sequence[str], *, keep: str = "first", order: str = "") -> Numbers:
    """Numbers of the rows that repeat another one's keys and are not the one to keep; nulls are alike.

    Parameters
    ----------
    keep : {"first", "last", "none"}
    order : str
        What decides which is first, as SQL's ORDER BY, else the rows' order.
    """
    sql = repeating(connection, rows, keys, keep=keep, order=order)
    return iter(()) if sql is None else numbers(connection, f"{sql} ORDER BY {rows.row}")


def repeating(
    connection: Any, rows: Judged, keys: Sequence[str], *, keep: str = "first", order: str = "", where: str = "true"
) -> str | None:
    """SQL for what `repeats` gives, among the rows `where` is true of; None where there are none."""
    key = rows.key(keys)
    if not key:
        return None
    source = f"FROM {rows.source} WHERE {where}"
    several = f"SELECT hash({key}) AS h {source} GROUP BY h HAVING count(*) > 1"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE alike AS {several}")
    if connection.execute("SELECT count(*) FROM alike").fetchall() == [(0,)]:
        return None
    unwanted = {"first": "place > 1", "last": "place < many", "none": "many > 1"}[keep]
    by = ", ".join(part for part in (order, rows.row) if part)
    places = (
        f"row_number() OVER (PARTITION BY {key} ORDER BY {by}) AS place, count(*) OVER (PARTITION BY {key}) AS many"
    )
    few = f"SELECT {rows.row}, {places} {source} AND hash({key}) IN (FROM alike)"
    return f"SELECT {rows.row} FROM ({few}) WHERE {unwanted}"  # noqa: S608 - quoted


# --------------------------------------------------------------------------- rows by their numbers


class Carrier:
    """Rows of pieces that come one after another, taken by their numbers, which never go back.

    Parameters
    ----------
    schema : Arrow schema
    pieces : iterable of Arrow tables
    """

    def __init__(self, schema: pa.Schema, pieces: Iterable[pa.Table]) -> None:
        self.schema = schema
        self._pieces = iter(pieces)
        self._piece = schema.empty_table()
        self._begin = 0

    def take(self, wanted: Any) -> pa.Table:
        """The rows of these numbers, a NumPy array that ascends, where one may stand several times."""
        import numpy as np
        import pyarrow as pa

        found: list[pa.Table] = []
        done = 0
        while done < len(wanted):
            end = self._begin + self._piece.num_rows
            until = done + int(np.searchsorted(wanted[done:], end))
            if until > done:
                found.append(_taken(self._piece, wanted[done:until] - self._begin))
                done = until
            else:
                self._begin, self._piece = end, next(self._pieces)
        return pa.concat_tables(found) if found else self.schema.empty_table()


def _taken(piece: pa.Table, places: Any) -> pa.Table:
    first, last = int(places[0]), int(places[-1])
    if last - first + 1 == len(places) and (len(places) < 3 or bool((places[1:] > places[:-1]).all())):
        return piece.slice(first, len(places))
    return piece.take(places)


def only(schema: pa.Schema, pieces: Iterable[pa.Table], wanted: Numbers) -> Iterator[pa.Table]:
    """The rows of these numbers."""
    carrier = Carrier(schema, pieces)
    return (carrier.take(each) for each in wanted if len(each))


def without(pieces: Iterable[pa.Table], unwanted: Numbers) -> Iterator[pa.Table]:
    """All rows but those of these numbers."""
    import numpy as np
    import pyarrow as pa

    held, begin = np.empty(0, dtype=np.int64), 0
    for piece in pieces:
        end = begin + piece.num_rows
        while not len(held) or held[-1] < end:
            more = next(unwanted, None)
            if more is None:
                break
            held = np.concatenate([held, more])
        split = int(np.searchsorted(held, end))
        here, held = held[:split] - begin, held[split:]
        begin = end
        if not len(here):
            yield piece
            continue
        keep = np.ones(piece.num_rows, dtype=bool)
        keep[here] = False
        yield piece.filter(pa.array(keep))
    for _ in unwanted:  # a connection answers nothing else before an answer's end is seen
        pass


def beside(target: Path) -> Path:
    """Where the rows go that were refused, of an output: `<output>.rejected.parquet`."""
    return target.with_name(f"{target.name.removesuffix('.parquet')}.rejected.parquet")


def write_rejected(target: Path, source: Path, told: Iterable[pa.Table]) -> int:
    """Write refused rows with what is told of each, `_row` its number first: how many.

    Parameters
    ----------
    told : iterable of Arrow tables
        At least one, whose first column is `_row`, ascending.

    Raises
    ------
    ParameterError
        The rows have a column of such a name already.
    """
    answers = iter(told)
    first = next(answers)
    with opened(source) as (schema, pieces):
        taken = {name.casefold() for name in schema.names} & set(first.column_names)
        if taken:
            name = min(taken)
            raise ParameterError(f"{source.name} has a column {name!r} already.", cure="Rename it.", resource=name)
        carrier = Carrier(schema, pieces)
        whole = schema
        for extra in first.schema:
            whole = whole.append(extra)
        return write_tables(target, whole, (_beside(carrier, each) for each in chain([first], answers)))


def _beside(carrier: Carrier, told: pa.Table) -> pa.Table:
    table = carrier.take(told.column(ROW).combine_chunks().to_numpy())
    for name in told.column_names:
        table = table.append_column(told.schema.field(name), told.column(name))
    return table


def as_told(found: Numbers) -> Iterator[pa.Table]:
    """Row numbers as `write_rejected` takes them."""
    import numpy as np
    import pyarrow as pa

    for each in chain([np.empty(0, np.int64)], found):
        yield pa.table({ROW: pa.array(each, pa.int64())})
