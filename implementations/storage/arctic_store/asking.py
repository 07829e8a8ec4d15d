"""A selection in ArcticDB's own terms: at least the rows that are asked for."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from framework.schema import FrameSchema, Test

from .columns import INDEX, NS, Held
from .records import Record
from .symbols import At, Symbol

SMALLEST, LARGEST, CELLS = 10_000, 100_000, 2_000_000  # rows of a piece, and its cells
FIRST, LAST = pd.Timestamp.min.value, pd.Timestamp.max.value


def span(tests: Sequence[Test], held: dict[str, Held]) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """First and last time of the index that can be meant; None for all."""
    first, last = FIRST, LAST
    for test in tests:
        if held[test.field.name].name == INDEX and test.op in ("==", "<", "<=", ">", ">="):
            moment = test.value.value * NS[test.field.arrow_type.unit]
            first = max(first, moment) if test.op in ("==", ">", ">=") else first
            last = min(last, moment) if test.op in ("==", "<", "<=") else last
    if (first, last) == (FIRST, LAST):
        return None
    return pd.Timestamp(min(first, LAST)), pd.Timestamp(max(last, FIRST))


def query(tests: Sequence[Test], held: dict[str, Held]) -> Any:
    """The conditions that ArcticDB applies while it reads; None when there is none."""
    from arcticdb import QueryBuilder

    whole = None
    for test in tests:
        mine = held[test.field.name]
        if not _understood(test, mine):
            continue
        builder = QueryBuilder()
        column = builder[mine.name]
        value = test.value.to_pylist() if test.op in ("in", "not in") else test.value.as_py()
        part = getattr(column, COMPARE[test.op])(value)
        whole = part if whole is None else whole & part
    if whole is None:
        return None
    return QueryBuilder()[whole]


COMPARE = {
    "==": "__eq__",
    "<": "__lt__",
    "<=": "__le__",
    ">": "__gt__",
    ">=": "__ge__",
    "in": "isin",
}


def _understood(test: Test, mine: Held) -> bool:
    if mine.name == INDEX or test.op not in COMPARE or (test.op == "in" and not len(test.value)):
        return False
    if test.field.kind == "text":
        return mine.how == "text" and test.op in ("==", "in")
    return test.field.kind in ("integer", "float") and mine.how in ("same", "gaps")


def how_to_read(record: Record, part: FrameSchema, tests: Sequence[Test]) -> tuple[dict[str, Any], tuple[Held, ...]]:
    """What to ask ArcticDB for, to have those fields, and how they are held."""
    known = dict(zip(record.schema.names, record.held, strict=True))
    held = tuple(known[field.name] for field in part.fields)
    columns = [name for each in held for name in (each.name, each.there) if name]
    if not columns and INDEX not in [each.name for each in held]:
        columns = [record.held[0].name]  # some column, so that the rows are counted
    return {"columns": columns, "date_range": span(tests, known), "query_builder": query(tests, known)}, held


def row_slices(symbol: Symbol, at: At, rows: int, asked: dict[str, Any]) -> Iterator[pa.Table]:
    """The rows of the version in pieces of bounded size."""
    between = asked.pop("date_range")
    first, last = 0, rows
    if between is not None:
        first = _row_of(symbol, at, rows, lambda moment: moment >= between[0].value)
        last = _row_of(symbol, at, rows, lambda moment: moment > between[1].value)
    step = max(SMALLEST, min(LARGEST, CELLS // max(len(asked["columns"]), 1)))
    for start in range(first, last, step):
        yield symbol.read(at, row_range=(start, min(start + step, last)), **asked)


def _row_of(symbol: Symbol, at: At, rows: int, meets: Callable[[int], bool]) -> int:
    """The first row whose time meets it; the times are sorted."""

    def there(row: int) -> bool:
        table = symbol.read(at, row_range=(row, row + 1), columns=[])
        return meets(table.column(0).cast(pa.int64())[0].as_py())

    return bisect.bisect_left(range(rows), True, key=there)
