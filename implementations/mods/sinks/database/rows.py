"""Rows by executemany: for every database that has no faster way here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import time
from decimal import Decimal
from functools import partial
from typing import Any

import sqlalchemy as sa

from framework.errors import SchemaError
from framework.schema import Field

from .kinds import family, fitted
from .table import Target

SMALLEST, LARGEST = -(2**63), 2**63 - 1
PYTHON: dict[str, Callable[[Any], Any]] = {"decimal": Decimal, "clock": time.fromisoformat, "uuid": uuid.UUID}


class AsItIs(sa.types.UserDefinedType[Any]):
    """A number that the driver gets as it is; SQLAlchemy would make a float of every one for SQLite."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "NUMERIC"


def _bound(target: Target, name: str, column: str) -> Any:
    """The place of a value in a statement."""
    return sa.bindparam(name, type_=AsItIs() if _by_floats(target, column) else target.columns[column])


def _by_floats(target: Target, column: str) -> bool:
    """Whether the database has only floats for the decimals of a column, as SQLite has."""
    exact = target.connection.dialect.supports_native_decimal
    return not exact and family(target.columns[column]) == "decimal"


def write(target: Target, fields: list[Field], pieces: Iterable[Any], *, keys: list[str], batch_size: int) -> int:
    """Add the rows, in the place of those with the same keys if there are any; how many came.

    Raises
    ------
    SchemaError
        A value does not fit, or rows in the place of others would lose what the table has more.
    """
    put = _adding(target, fields) if not keys else _merging(target, fields, keys)
    come = 0
    for batch in _batches(target, fields, pieces, batch_size):
        put(batch)
        come += len(batch)
    return come


def _inserting(target: Target, fields: list[Field]) -> Any:
    return sa.insert(target.table).values({each.name: _bound(target, each.name, each.name) for each in fields})


def _adding(target: Target, fields: list[Field]) -> Callable[[list[dict[str, Any]]], None]:
    statement = _inserting(target, fields)
    return lambda batch: _run(target, statement, batch)


def _run(target: Target, statement: Any, batch: list[dict[str, Any]]) -> None:
    target.connection.execute(statement, batch)


def _merging(target: Target, fields: list[Field], keys: list[str]) -> Callable[[list[dict[str, Any]]], None]:
    if target.dialect == "sqlite" and target.is_unique(keys):
        from sqlalchemy.dialects.sqlite import insert

        new = insert(target.table).values({each.name: _bound(target, each.name, each.name) for each in fields})
        changed = {each.name: new.excluded[each.name] for each in fields if each.name not in keys}
        merge: Any = new.on_conflict_do_nothing(index_elements=keys)
        if changed:
            merge = new.on_conflict_do_update(index_elements=keys, set_=changed)
        return lambda batch: _run(target, merge, batch)
    check_whole(target, fields)
    old = [target.table.c[key] == _bound(target, f"millpond_{place}", key) for place, key in enumerate(keys)]
    gone, added = sa.delete(target.table).where(sa.and_(*old)), _inserting(target, fields)

    def in_their_place(batch: list[dict[str, Any]]) -> None:
        _run(target, gone, [{f"millpond_{place}": row[key] for place, key in enumerate(keys)} for row in batch])
        _run(target, added, batch)

    return in_their_place


def check_whole(target: Target, fields: list[Field]) -> None:
    """SchemaError when a row put in another's place would lose what the table has and nobody brings."""
    lost = sorted(set(target.columns) - {each.name for each in fields})
    if lost:
        raise SchemaError(
            f"{target.shown} has no unique index on the keys, so rows would be replaced whole, and lose {lost}.",
            cure="Make a unique index on the keys in the database, or bring these columns too.",
            resource=target.shown,
        )


def _batches(target: Target, fields: list[Field], pieces: Iterable[Any], size: int) -> Iterator[list[dict[str, Any]]]:
    """The rows as Python's own values, some at a time."""
    kinds = target.columns
    into = {each.name: family(kinds[each.name]) for each in fields}
    makers = {each.name: _maker(target, each.name, into[each.name]) for each in fields}
    for piece in pieces:
        for start in range(0, piece.num_rows, size):
            part = piece.slice(start, size)
            cells = [
                _cells(
                    fitted(part.column(each.name), each, into[each.name], target.dialect, target.shown),
                    makers[each.name],
                )
                for each in fields
            ]
            names = [each.name for each in fields]
            yield [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]


def _maker(target: Target, column: str, into: str) -> Callable[[Any], Any] | None:
    """What makes a value for the driver of one of Arrow's; None for what is one already."""
    return partial(_number, target=target, column=column) if _by_floats(target, column) else PYTHON.get(into)


def _number(text: str, *, target: Target, column: str) -> int | float:
    """A whole number as such, another as the float that it is; SchemaError for one that no float is."""
    exact = Decimal(text)
    if exact.is_finite() and exact == exact.to_integral_value() and SMALLEST <= exact <= LARGEST:
        return int(exact)
    nearest = float(exact)
    if exact.is_finite() and Decimal(repr(nearest)) != exact:
        raise SchemaError(
            f"Column {column!r} of {target.shown} is {target.columns[column]}, which {target.dialect} keeps as floats "
            f"of some 15 digits: it would round {exact}; nothing was changed.",
            cure="Give the column the type TEXT in the database, or round the values before.",
            resource=target.shown,
        )
    return nearest


def _cells(column: Any, make: Callable[[Any], Any] | None) -> list[Any]:
    cells: list[Any] = column.to_pylist()
    return cells if make is None else [None if cell is None else make(str(cell)) for cell in cells]
