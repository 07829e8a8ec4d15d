"""Rows of Python's values as an artifact: what each column is, is found over all rows, and nothing is rounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from framework.errors import ColumnNotFoundError, FormatError, known_names
from framework.mods.spill import HELD, Spill
from framework.mods.values import text_of

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1 << 13  # rows that are one piece,
HEAVY = 1 << 24  # or fewer, where their text is as long as that
EXACT = 1 << 53  # up to here a double tells every integer
DIGITS = (18, 38, 76)  # of decimals: few widths, so that a table has the same one from day to day
KINDS: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "float",
    Decimal: "decimal",
    str: "text",
    bytes: "bytes",
    bytearray: "bytes",
    memoryview: "bytes",
    date: "date",
    time: "clock",
    timedelta: "duration",
    dict: "nested",
    list: "nested",
    tuple: "nested",
    set: "nested",
    UUID: "uuid",
}
NUMBERS = {"integer", "float", "decimal"}


class Rows:
    """Collects rows, and gives them as Arrow tables of one schema.

    Integers beyond 64 bits and numbers of more digits than a double keeps are decimals; what is nested is JSON; a
    column of several kinds is text, and `notes` says so.

    Parameters
    ----------
    folder : Path
        Where they wait, once they are many.
    columns : sequence of str, optional
        Only these.
    kinds : mapping of column to Arrow type, optional
        What a column is in which there is no value.
    """

    def __init__(
        self,
        folder: Path,
        *,
        columns: Sequence[str] | None = None,
        kinds: Mapping[str, pa.DataType] | None = None,
        held: int = HELD,
    ) -> None:
        self.count = 0
        self.kinds = dict(kinds or {})
        self._wanted = None if columns is None else list(columns)
        self._columns: dict[str, _Column] = {}
        self._known: set[str] = set()
        self._waiting: list[Mapping[str, Any]] = []
        self._weight = 0  # of those that wait
        self._spill = Spill(folder, held=held)

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Records; what one lacks is missing."""
        for record in records:
            self._waiting.append(record)
            self._weight += weight_of(record.values())
            if len(self._waiting) >= BATCH or self._weight >= HEAVY:
                self._take_waiting()

    def _take_waiting(self) -> None:
        records, self._waiting, self._weight = self._waiting, [], 0
        if records:
            names = list(dict.fromkeys(chain.from_iterable(records)))
            self._take(names, ([record.get(name) for record in records] for name in names), len(records))

    def add_rows(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Rows of cells in the order of `names`."""
        self._take_waiting()
        for some in _bundles(rows):
            self._take(names, map(list, zip(*some, strict=True)), len(some))
        if not rows:
            self._take(names, ([] for _ in names), 0)

    def _take(self, names: Sequence[str], columns: Iterable[list[Any]], count: int) -> None:
        import pyarrow as pa

        self.count += count
        for name in set(names) - self._known:
            _check_name(name)
        self._known.update(names)
        made = {}
        for name, cells in zip(names, columns, strict=True):
            if self._wanted is None or name in self._wanted:
                made[name] = self._columns.setdefault(name, _Column(name)).taken(cells)
        if count:
            self._spill.add(pa.table(made) if made else pa.table({"": pa.nulls(count)}))

    def tables(self) -> tuple[pa.Schema, Iterator[pa.Table]]:
        """The schema of all rows, and the rows.

        Raises
        ------
        ColumnNotFoundError
            No row has a column that was asked for.
        FormatError
            There are rows, and no columns: no file can hold that.
        """
        import pyarrow as pa

        self._take_waiting()
        if self.count and not self._known:
            raise FormatError(
                f"{self.count:,} records came, and none of them has a field.",
                cure="Is this what was to be read? Say where the records are.",
            )
        names = list(self._columns) if self._wanted is None else self._wanted
        self._measure_floats()
        for name in names:
            if name not in self._columns:
                raise ColumnNotFoundError(
                    f"There is no column {name!r}.", cure=known_names(name, self._known), resource=name
                )
        finals = [self._columns[name].final(self.kinds.get(name)) for name in names]
        schema = pa.schema(list(zip(names, finals, strict=True)))
        return schema, (self._shaped(piece, schema) for piece in self._spill)

    def _measure_floats(self) -> None:
        """Look again at floats that came before something that no double keeps."""
        import pyarrow as pa

        mixed = [column for column in self._columns.values() if column.is_mixed]
        for piece in self._spill if mixed else ():
            for column in mixed:
                cells = piece.column(column.name) if column.name in piece.column_names else None
                if cells is not None and pa.types.is_floating(cells.type):
                    for cell in cells.drop_null().to_pylist():
                        column.measure_digits(cell)

    def _shaped(self, piece: pa.Table, schema: pa.Schema) -> pa.Table:
        import pyarrow as pa

        there = set(piece.column_names)
        columns = [
            converted(piece.column(field.name), field.type)
            if field.name in there
            else pa.chunked_array([pa.nulls(piece.num_rows, field.type)])
            for field in schema
        ]
        return pa.table(columns, schema=schema)

    @property
    def notes(self) -> list[str]:
        """What the reader should know of the columns."""
        shown = self._columns.values() if self._wanted is None else (self._columns[name] for name in self._wanted)
        return [note for column in shown if (note := column.note())]

    def close(self) -> None:
        self._spill.close()

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def weight_of(cells: Iterable[Any]) -> int:
    """About how many bytes of text the cells hold, also nested ones."""
    found = 0
    for cell in cells:
        kind = type(cell)
        if kind is str or kind is bytes:
            found += len(cell)
        elif kind is dict:
            found += weight_of(cell) + weight_of(cell.values())
        elif kind is list:
            found += weight_of(cell)
    return found


def _bundles(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows, so many at a time as are one piece."""
    start = weight = 0
    for at, row in enumerate(rows):
        weight += weight_of(row)
        if at - start + 1 >= BATCH or weight >= HEAVY:
            yield rows[start : at + 1]
            start, weight = at + 1, 0
    if start < len(rows):
        yield rows[start:]


def _check_name(name: str) -> None:
    """FormatError when it is no text that a file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise FormatError(
            f"A column is named {name!r}, and {name[error.start]!r} is no character.",
            cure="Mend the name: it holds half of a surrogate pair.",
        ) from None


# --------------------------------------------------------------------------- one column


class _Column:
    """What the cells of a column are, seen a piece at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kinds: set[str] = set()
        self.low = self.high = 0
        self.whole = self.fraction = 0  # digits before and behind the point
        self.odd = False  # a decimal that is no number

    def taken(self, cells: list[Any]) -> Any:
        """The cells as Arrow's, as narrow as they are by themselves."""
        types = set(map(type, cells))
        types.discard(type(None))
        kinds = {KINDS.get(kind) or _kind_of(kind, cells) for kind in types}
        if "time" in kinds:
            kinds = kinds - {"time"} | {_zoned(cell) for cell in cells if isinstance(cell, datetime)}
        if "clock" in kinds and any(isinstance(cell, time) and cell.tzinfo is not None for cell in cells):
            kinds, cells = {"text"}, [None if cell is None else text_of(cell) for cell in cells]
        self.kinds |= kinds
        if kinds & {"integer", "decimal"}:
            self._measure(cells, kinds)
        try:
            return _narrow(cells, kinds)
        except UnicodeEncodeError as error:
            raise FormatError(
                f"Column {self.name!r} holds {error.object[error.start]!r}, which is no character.",
                cure="Mend the text: it holds half of a surrogate pair.",
                resource=self.name,
            ) from None

    def _measure(self, cells: list[Any], kinds: set[str]) -> None:
        if kinds == {"integer"}:
            whole = [cell for cell in cells if cell is not None]
        else:
            whole = [cell for cell in cells if isinstance(cell, int) and not isinstance(cell, bool)]
        if whole:
            self.low, self.high = min(self.low, min(whole)), max(self.high, max(whole))
        for cell in cells if "decimal" in kinds or self.is_mixed else ():
            if isinstance(cell, Decimal | float):
                self.measure_digits(cell)

    def measure_digits(self, number: Decimal | float) -> None:
        """Take note of how many there are before and behind the point."""
        said = Decimal(repr(number)) if isinstance(number, float) else number
        if not said.is_finite():
            self.odd = True
            return
        _, digits, exponent = said.as_tuple()
        assert isinstance(exponent, int)
        self.whole = max(self.whole, len(digits) + exponent)
        self.fraction = max(self.fraction, -exponent)

    @property
    def is_mixed(self) -> bool:
        """Whether there are floats among numbers that doubles do not keep."""
        return "float" in self.kinds <= NUMBERS and (
            "decimal" in self.kinds or not -EXACT <= self.low <= self.high <= EXACT
        )

    def final(self, kind: pa.DataType | None) -> pa.DataType:
        """The type that holds all of them."""
        import pyarrow as pa

        if not self.kinds:
            return kind if kind is not None else pa.string()
        if self.kinds <= NUMBERS:
            return self._number()
        if self.kinds <= {"date", "time"} and len(self.kinds) == 2:
            return pa.timestamp("us")
        return _arrow(next(iter(self.kinds))) if len(self.kinds) == 1 else pa.string()

    def _number(self) -> pa.DataType:
        import pyarrow as pa

        if self.kinds == {"integer"}:
            if max(self.high, -self.low - 1) < 1 << 63:
                return pa.int64()
            if self.low == 0 and self.high < 1 << 64:
                return pa.uint64()
        elif "decimal" not in self.kinds and not self.is_mixed:
            return pa.float64()
        whole = max(self.whole, len(str(max(self.high, -self.low))))
        digits = next((most for most in DIGITS if whole + self.fraction <= most), None)
        if digits is None or self.odd:
            return pa.string()
        return pa.decimal128(digits, self.fraction) if digits <= 38 else pa.decimal256(digits, self.fraction)

    def note(self) -> str | None:
        """What is said of a column that is text, and was not."""
        import pyarrow as pa

        if not pa.types.is_string(self.final(None)) or len(self.kinds - NUMBERS) == len(self.kinds) < 2:
            return None
        return f"Column {self.name!r} holds {' and '.join(sorted(self.kinds))}: all of it is kept as text."


def _kind_of(kind: type, cells: list[Any]) -> str:
    """The kind of cells of a class that is not among the usual ones."""
    for base, name in ((datetime, "time"), *KINDS.items()):
        if issubclass(kind, base):
            return name
    return "text"


def _zoned(cell: datetime) -> str:
    return "time" if cell.tzinfo is None else "instant"


def _arrow(kind: str) -> Any:
    import pyarrow as pa

    return {
        "boolean": pa.bool_(),
        "text": pa.string(),
        "uuid": pa.string(),
        "nested": pa.string(),
        "bytes": pa.binary(),
        "date": pa.date32(),
        "clock": pa.time64("us"),
        "duration": pa.duration("us"),
        "time": pa.timestamp("us"),
        "instant": pa.timestamp("us", "UTC"),
        "integer": pa.int64(),
        "float": pa.float64(),
    }.get(kind, pa.string())


def _narrow(cells: list[Any], kinds: set[str]) -> Any:
    import pyarrow as pa

    if not kinds:
        return pa.nulls(len(cells))
    if kinds == {"integer", "float"} and all(type(cell) is not int or -EXACT <= cell <= EXACT for cell in cells):
        kinds = {"float"}
    if len(kinds) > 1 or kinds & {"decimal", "nested", "uuid"}:
        return pa.array([None if cell is None else text_of(cell) for cell in cells], pa.string())
    kind = next(iter(kinds))
    if kind == "text" and not set(map(type, cells)) <= {str, type(None)}:
        cells = [cell if cell is None or type(cell) is str else text_of(cell) for cell in cells]
    if kind == "instant":
        cells = [None if cell is None else cell.astimezone(UTC) for cell in cells]
    try:
        return pa.array(cells, _arrow(kind))
    except OverflowError:
        return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())


def converted(column: Any, kind: pa.DataType) -> Any:
    """A column of some piece as the type that all pieces have."""
    import pyarrow as pa

    types = pa.types
    if column.type == kind:
        return column
    if types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    if types.is_decimal(kind):
        texts = [None if cell is None else _digits(cell) for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string()).cast(kind)])
    if types.is_string(kind) and not types.is_string(column.type):
        texts = [None if cell is None else text_of(cell) for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column.cast(kind)


def _digits(cell: Any) -> str:
    return format(Decimal(repr(cell) if isinstance(cell, float) else cell), "f")
