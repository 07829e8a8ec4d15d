"""What differs between two tables: columns, rows, cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from framework.errors import ColumnNotFoundError, KeysError, known_names
from framework.mods.duck import quoted

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5  # rows that are told in full


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs.

    Attributes
    ----------
    columns_added, columns_gone : list of str
    columns_changed : mapping
        Of a column, its dtype before and now.
    rows_before, rows_after, rows_added, rows_gone : int
        Without keys a row that changed is one that is gone and one that is added.
    rows_changed : int or None
        With keys: rows that are in both, and differ.
    cells_changed : mapping
        With keys: of a column, in how many rows it differs.
    examples : list of mapping
        A few rows: what became of each, and its cells.
    """

    rows_before: int
    rows_after: int
    columns_added: list[str] = field(default_factory=list)
    columns_gone: list[str] = field(default_factory=list)
    columns_changed: dict[str, str] = field(default_factory=dict)
    rows_added: int = 0
    rows_gone: int = 0
    rows_changed: int | None = None
    cells_changed: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs; the order of rows does not count."""
        columns = self.columns_added or self.columns_gone or self.columns_changed
        return not (columns or self.rows_added or self.rows_gone or self.rows_changed)


def compare(before: pd.DataFrame, after: pd.DataFrame, keys: Sequence[str] = ()) -> Comparison:
    """What differs between two frames.

    Parameters
    ----------
    keys : sequence of str
        What rows are told apart by; whole rows are compared without.

    Raises
    ------
    ColumnNotFoundError
        A key is not in both.
    KeysError
        A key is repeated.
    """
    import duckdb

    from framework.schema import encode

    tables = [encode(frame) for frame in (before, after)]
    names = [[each.name for each in schema.fields] for _, schema in tables]
    kinds = [{each.name: each.shown for each in schema.fields} for _, schema in tables]
    common = [name for name in names[1] if name in names[0]]
    for key in keys:
        if key not in common:
            raise ColumnNotFoundError(
                f"There is no column {key!r} in both.", cure=known_names(key, common), resource=key
            )
    with closing(duckdb.connect(":memory:")) as connection:
        for name, (table, _) in zip(("before", "after"), tables, strict=True):
            connection.register(name, table)
        found = _Asking(connection, common, kinds).by_keys(keys) if keys else _Asking(connection, common, kinds).whole()
    return Comparison(
        len(before),
        len(after),
        [name for name in names[1] if name not in names[0]],
        [name for name in names[0] if name not in names[1]],
        {name: f"{kinds[0][name]} -> {kinds[1][name]}" for name in common if kinds[0][name] != kinds[1][name]},
        **found,
    )


class _Asking:
    """Questions to DuckDB about the tables `before` and `after`."""

    def __init__(self, connection: Any, common: list[str], kinds: list[dict[str, str]]) -> None:
        self.connection, self.common = connection, common
        # Of another type now, they are compared as they are written.
        self.cells = {
            name: quoted(name) if kinds[0][name] == kinds[1][name] else f"CAST({quoted(name)} AS VARCHAR)"
            for name in common
        }

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.connection.execute(sql).fetchall()
        return found

    def _count(self, sql: str) -> int:
        return int(self._rows(f"SELECT count(*) FROM ({sql})")[0][0])  # noqa: S608 - names are quoted

    def whole(self) -> dict[str, Any]:
        """Whole rows, as often as each is there."""
        if not self.common:
            return {}
        listed = ", ".join(f"{cell} AS {quoted(name)}" for name, cell in self.cells.items())
        added = f"SELECT {listed} FROM after EXCEPT ALL SELECT {listed} FROM before"  # noqa: S608 - names are quoted
        gone = f"SELECT {listed} FROM before EXCEPT ALL SELECT {listed} FROM after"  # noqa: S608 - names are quoted
        examples = [*self._examples("added", added), *self._examples("gone", gone)]
        return {"rows_added": self._count(added), "rows_gone": self._count(gone), "examples": examples}

    def by_keys(self, keys: Sequence[str]) -> dict[str, Any]:
        """Rows of the same keys beside each other."""
        by = ", ".join(self.cells[key] for key in keys)
        for table in ("before", "after"):
            if self._count(f"SELECT 1 FROM {table} GROUP BY {by} HAVING count(*) > 1"):  # noqa: S608
                raise KeysError(f"{', '.join(keys)} is repeated in what was {table}.", cure="Name more keys with -k.")
        listed = ", ".join(f"{cell} AS {quoted(name)}" for name, cell in self.cells.items())
        old, new = (f"(SELECT {listed} FROM {table})" for table in ("before", "after"))  # noqa: S608
        meet = " AND ".join(f"o.{quoted(key)} IS NOT DISTINCT FROM n.{quoted(key)}" for key in keys)
        added = f"SELECT n.* FROM {new} n ANTI JOIN {old} o ON {meet}"  # noqa: S608 - names are quoted
        gone = f"SELECT o.* FROM {old} o ANTI JOIN {new} n ON {meet}"  # noqa: S608 - names are quoted
        differ = {
            name: f"o.{quoted(name)} IS DISTINCT FROM n.{quoted(name)}" for name in self.common if name not in keys
        }
        found = {"rows_added": self._count(added), "rows_gone": self._count(gone), "rows_changed": 0}
        examples = [*self._examples("added", added), *self._examples("gone", gone)]
        if not differ:
            return {**found, "examples": examples}
        both = f"FROM {old} o JOIN {new} n ON {meet}"
        sums = ", ".join(f"count(*) FILTER (WHERE {test})" for test in differ.values())
        any_of = " OR ".join(differ.values())
        told = self._rows(f"SELECT count(*) FILTER (WHERE {any_of}), {sums} {both}")[0]
        changed = {name: count for name, count in zip(differ, told[1:], strict=True) if count}
        shown = ", ".join([*(f"n.{quoted(key)}" for key in keys), *(f"o.{quoted(c)}, n.{quoted(c)}" for c in changed)])
        sample = self._rows(f"SELECT {shown} {both} WHERE {any_of} LIMIT {SHOWN}") if changed else []
        examples += [_changed(row, keys, list(changed)) for row in sample]
        return {**found, "rows_changed": told[0], "cells_changed": changed, "examples": examples}

    def _examples(self, what: str, sql: str) -> Iterator[dict[str, Any]]:
        for row in self._rows(f"SELECT * FROM ({sql}) LIMIT {SHOWN}"):  # noqa: S608 - names are quoted
            yield {"row": what, **dict(zip(self.common, row, strict=True))}


def _changed(row: tuple[Any, ...], keys: Sequence[str], changed: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"row": "changed", **dict(zip(keys, row, strict=False))}
    for place, name in enumerate(changed):
        then, now = row[len(keys) + 2 * place : len(keys) + 2 * place + 2]
        if then != now:
            told[name] = f"{then} -> {now}"
    return told


__all__ = ["Comparison", "compare"]
