"""What of a dataset is asked for: columns, and conditions that its rows must meet.

A missing value, NaN too, meets only `is null`. Text is compared by its characters' code points, categories that are
ordered by their order, times without a zone in the column's own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import ColumnNotFoundError, OptionError, known_names
from framework.schema.conditions import ABOUT_NULL, AMONG, COMPARE, OPS, Condition, Test, test_of
from framework.schema.fields import Field
from framework.schema.frames import FrameSchema
from framework.schema.missing import kept

TIMES: Final = type("Times", (), {"__repr__": lambda self: "the DatetimeIndex"})()


@dataclass(frozen=True, slots=True)
class Selection:
    """Columns and conditions.

    Attributes
    ----------
    columns : tuple of labels or None
        None stands for all.
    conditions : tuple of Condition
        All of them hold.
    """

    columns: tuple[Any, ...] | None = None
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def asked(
        cls,
        columns: Sequence[Any] | None = None,
        where: Sequence[tuple[Any, ...]] | None = None,
        *,
        start: Any = None,
        end: Any = None,
        time_column: Any = None,
    ) -> Selection:
        """The selection that a reader's arguments mean; OptionError for one that cannot be."""
        if columns is not None and (isinstance(columns, (str, bytes)) or not isinstance(columns, Iterable)):
            raise OptionError(f"columns= takes a list of labels, not {columns!r}.", cure=f"columns=[{columns!r}]")
        conditions = [_condition(given) for given in _listed(where)]
        by = TIMES if time_column is None else time_column
        for op, bound in ((">=", start), ("<=", end)):
            if bound is not None:
                conditions.append(Condition(_Moment(by), op, bound))
        return cls(None if columns is None else tuple(columns), tuple(conditions))

    @property
    def labels(self) -> list[Any] | None:
        """Labels of all that is needed, columns or index levels; None for everything."""
        if self.columns is None:
            return None
        named = [c.column.column if isinstance(c.column, _Moment) else c.column for c in self.conditions]
        return [*self.columns, *(label for label in named if label is not TIMES)]

    def of(self, schema: FrameSchema, source: str) -> FrameSchema:
        """The part of a dataset's schema that must be read: the columns asked for, and those of the conditions.

        Raises
        ------
        ColumnNotFoundError, OptionError
        """
        chosen = schema if self.columns is None else schema.select(self.columns, source)
        fields = {field.name: field for field in chosen.fields}
        for condition in self.conditions:
            field = _field_of(condition, schema, source)
            fields.setdefault(field.name, field)
        return replace(chosen, fields=tuple(fields.values()))

    def tests(self, schema: FrameSchema, source: str) -> tuple[Test, ...]:
        """The conditions in terms of the schema's fields."""
        return tuple(_test(condition, schema, source) for condition in self.conditions)

    def pushdown(self, schema: FrameSchema, source: str) -> tuple[Test, ...]:
        """The tests that a store may apply itself, as long as it gives at least the rows that meet them, in order.

        There are none where rows may not be left out: which of None and NaN a missing cell is, is told by its place.
        """
        if any(len(field.missing) > 1 for field in self.of(schema, source).fields):
            return ()
        return tuple(test for test in self.tests(schema, source) if not test.by_objects)

    def rows(
        self, table: pa.Table, schema: FrameSchema, source: str, tests: Sequence[Test] | None = None
    ) -> tuple[pa.Table, FrameSchema]:
        """The rows that meet all conditions."""
        tests = self.tests(schema, source) if tests is None else tests
        if not tests:
            return table, schema
        mask = tests[0].met(table.column(tests[0].field.name))
        for test in tests[1:]:
            mask = pc.and_(mask, test.met(table.column(test.field.name)))
        return kept(table, schema, mask)

    def exactly(
        self, table: pa.Table, schema: FrameSchema, source: str, tests: Sequence[Test] | None = None
    ) -> tuple[pa.Table, FrameSchema]:
        """Just the rows and columns asked for, of what a store gave; the tests are made unless they are at hand."""
        table, schema = self.rows(table, schema, source, tests)
        return self.narrowed(table, schema, source)

    def narrowed(self, table: pa.Table, schema: FrameSchema, source: str) -> tuple[pa.Table, FrameSchema]:
        """Without the columns that only the conditions needed."""
        if self.columns is None or not self.conditions:
            return table, schema
        schema = schema.select(self.columns, source)
        return (table.select(schema.names) if schema.fields else table.select([])), schema


ALL: Final = Selection()


def expression(tests: Sequence[Test]) -> Any:
    """The tests as one Arrow expression, for a scan that leaves rows out; None when there is none."""
    parts = [_expressed(test) for test in tests if test.field.type != "halffloat"]
    whole = None
    for part in parts:
        whole = part if whole is None else whole & part
    return whole


def _expressed(test: Test) -> Any:
    column = pc.field(test.field.name)
    if test.field.type == "float" and test.value is not None:  # a cast of doubles would hide their statistics
        column = column.cast(pa.float64())
    if test.op == "is null":
        return column.is_null(nan_is_null=test.field.kind == "float")
    if test.op == "not null":
        return column.is_valid()
    if test.op in AMONG:
        return column.isin(test.value) if test.op == "in" else ~column.isin(test.value)
    return COMPARE[test.op](column, test.value)


# --------------------------------------------------------------------------- what was given


@dataclass(frozen=True, slots=True)
class _Moment:
    """Stands for the column of a condition that start= or end= made."""

    column: Any


def _listed(where: Any) -> Sequence[Any]:
    if where is None:
        return ()
    if isinstance(where, (list, tuple)) and not (len(where) in (2, 3) and isinstance(where[1], str)):
        return where
    raise OptionError(f"where= takes a list of (column, op, value), not {where!r}.", cure="where=[('price', '>', 5)]")


def _condition(given: Any) -> Condition:
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise OptionError(f"A condition is (column, op, value), not {given!r}.", cure="where=[('price', '>', 5)]")
    column, op = given[0], given[1]
    if op not in OPS:
        raise OptionError(f"{op!r} is no operator of where=.", cure=known_names(str(op), OPS, most=len(OPS)))
    if op in ABOUT_NULL:
        if len(given) == 3 and given[2] is not None:
            raise OptionError(f"{op!r} takes no value.", cure=f"where=[({column!r}, {op!r}, None)]")
        return Condition(column, op)
    if len(given) == 2:
        raise OptionError(f"The condition ({column!r}, {op!r}) has no value.")
    value = given[2]
    if op in AMONG:
        if isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) != 1 or not isinstance(value, Iterable):
            raise OptionError(f"{op!r} takes a list of values, not {value!r}.", cure=f"({column!r}, {op!r}, [...])")
        array: Any = value
        numbers = getattr(getattr(array, "dtype", None), "kind", None) in ("i", "u", "f", "b")
        value = tuple(array.tolist() if numbers else array)
    return Condition(column, op, value)


def _test(condition: Condition, schema: FrameSchema, source: str) -> Test:
    return test_of(condition, _field_of(condition, schema, source))


def _field_of(condition: Condition, schema: FrameSchema, source: str) -> Field:
    if isinstance(condition.column, _Moment):
        return _field_of_times(condition.column.column, schema, source)
    return _field(condition.column, schema, source)


def _field(label: Any, schema: FrameSchema, source: str) -> Field:
    found = schema.labelled(label)
    if len(found) > 1:
        raise OptionError(f"{source!r} has {len(found)} columns {label!r}: a condition needs one.", resource=source)
    if found:
        return found[0]
    names = [str(field.label) for field in schema.fields if field.label is not None]
    shown = label if isinstance(label, Hashable) else repr(label)
    raise ColumnNotFoundError(
        f"{source!r} has no column {shown!r}.", cure=known_names(str(label), names), resource=source
    )


def _field_of_times(column: Any, schema: FrameSchema, source: str) -> Field:
    if column is TIMES:
        found = schema.levels[0] if len(schema.levels) == 1 else None
    else:
        names = [str(field.label) for field in schema.values]
        found = next(iter(schema.labelled(column)), None)
        if found is None:
            raise ColumnNotFoundError(
                f"{source!r} has no column {column!r}, the time_column.", cure=known_names(str(column), names)
            )
    if found is None or found.kind not in ("time", "instant") or found.categories is not None:
        raise OptionError(
            f"start= and end= need times, and {source!r} has no DatetimeIndex.",
            cure="Create the store with time_column='<a column of times>'.",
        )
    return found
