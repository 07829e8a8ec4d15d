"""One condition in the terms of the field that it is about, and which cells meet it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import OptionError, known_names
from framework.schema.bounds import NUMBERS, as_object, as_scalar, floating, held_type, is_gone, whole
from framework.schema.columns import decode_column
from framework.schema.fields import Field

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
NAMES = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
AMONG = ("in", "not in")
ABOUT_NULL = ("is null", "not null")
OPS = (*COMPARE, *AMONG, *ABOUT_NULL)
IN_ARROW = ("integer", "float", "boolean", "text", "bytes", "date", "time", "instant", "duration")
WITH_NAN = ("decimal", "mixed", "complex")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as it was given: a column's label or an index level's name, an operator, a value."""

    column: Any
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Test:
    """A condition on one field, its value in the field's own terms.

    Attributes
    ----------
    field : Field
    op : str
        One of `OPS`.
    value : pyarrow scalar, pyarrow array, object, frozenset or None
        Of the field's Arrow type (floats as doubles); an array for `in` and `not in`; None for the null ones. Python's
        own where it is compared `by_objects`.
    """

    field: Field
    op: str
    value: Any = None

    def met(self, column: Any) -> Any:
        """Which cells meet it: booleans without a missing one."""
        if self.by_objects:
            return pa.chunked_array([pa.array(self._met_by_objects(column), pa.bool_())])
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_float16(column.type):
            column = pa.chunked_array([pa.array(column.to_numpy().astype("float32"), from_pandas=True)])
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
        there = pc.is_valid(column)
        if pa.types.is_floating(column.type):
            there = pc.and_(there, pc.invert(pc.is_nan(column).fill_null(False)))
        if self.op == "is null":
            return pc.invert(there)
        if self.op == "not null":
            return there
        value = _like(self.value, column.type)
        if self.op in AMONG:
            found = pc.is_in(column, value_set=value)
            return pc.and_(there, found if self.op == "in" else pc.invert(found))
        return pc.and_(there, COMPARE[self.op](column, value).fill_null(False))

    @property
    def by_objects(self) -> bool:
        """Whether stored text or counts are compared as what they mean, which may be a NaN."""
        return self.field.kind not in IN_ARROW and (self.op not in ABOUT_NULL or self.field.kind in WITH_NAN)

    def _met_by_objects(self, column: Any) -> list[bool]:
        """For kinds that are stored as text or counts: as Python compares what they mean."""
        cells = decode_column(column, self.field)
        known = [not is_gone(cell) for cell in cells]
        if self.op in ABOUT_NULL:
            return [there is (self.op == "not null") for there in known]
        if self.field.kind == "mixed":
            cells = [_told_apart(cell) for cell in cells]
        if self.op in AMONG:
            wanted = self.op == "in"
            return [
                there and (isinstance(cell, Hashable) and cell in self.value) is wanted
                for cell, there in zip(cells, known, strict=True)
            ]
        compare = getattr(operator, NAMES[self.op])
        return [there and bool(compare(cell, self.value)) for cell, there in zip(cells, known, strict=True)]


def _told_apart(cell: Any) -> Any:
    """A cell that is equal to no other but its like: 1 and True are not."""
    return ("a boolean", cell) if isinstance(cell, bool) else cell


def _like(value: Any, kind: pa.DataType) -> Any:
    return value if value.type == kind else value.cast(kind)


def test_of(condition: Condition, field: Field) -> Test:
    """The test that a condition comes to for that field; OptionError for a value that cannot be compared."""
    if condition.op in ABOUT_NULL:
        return Test(field, condition.op)
    if field.kind not in IN_ARROW and field.categories is None:
        several = condition.op in AMONG
        given = condition.value if several else [condition.value]
        values = [as_object(value, condition.op, field) for value in given]
        if field.kind == "mixed":
            values = [_told_apart(value) for value in values]
        return Test(field, condition.op, frozenset(values) if several else values[0])
    if field.kind not in IN_ARROW:
        raise OptionError(f"{field.label!r} has categories that are not compared.", cure="Use 'is null' or 'not null'.")
    if condition.op in AMONG:
        return Test(field, condition.op, _several(condition, field))
    return _compared(condition, field)


def _compared(condition: Condition, field: Field) -> Test:
    op, value = condition.op, condition.value
    if field.categories is not None and op not in ("==", "!="):
        return _by_order(condition, field)
    if is_gone(value):
        raise OptionError(f"{value!r} is a missing value, which {op!r} never meets.", cure="Use 'is null'.")
    number = NUMBERS.get(field.kind)
    if number is None:
        scalar = as_scalar(value, field)
        return Test(field, op, scalar)
    exact = number(value, field)
    return Test(field, *(floating if field.kind == "float" else whole)(op, exact, field))


def _several(condition: Condition, field: Field) -> Any:
    """The values as one array, without those that no cell can be."""
    plain = {"text": str, "integer": int}.get(field.kind)
    if plain is not None and field.categories is None and {type(value) for value in condition.value} == {plain}:
        try:
            return pa.array(condition.value, field.arrow_type)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass  # one of them is beyond the type: looked at one by one
    scalars = []
    for value in condition.value:
        if is_gone(value):
            raise OptionError(
                f"{value!r} is a missing value, which {condition.op!r} never meets.", cure="Use 'is null'."
            )
        test = _compared(Condition(condition.column, "==", value), field)
        if test.op == "==":
            scalars.append(test.value.as_py() if field.kind not in ("time", "instant", "duration") else test.value)
    if field.kind in ("time", "instant", "duration"):
        numbers = pa.array([scalar.cast(pa.int64()).as_py() for scalar in scalars], pa.int64())
        return numbers.cast(field.arrow_type)
    return pa.array(scalars, pa.float64() if field.kind == "float" else held_type(field))


def _by_order(condition: Condition, field: Field) -> Test:
    """A comparison of ordered categories, as the list of those that meet it."""
    known = list(field.categories or ())
    if not field.ordered:
        raise OptionError(f"The categories of {field.label!r} have no order.", cure="Use ==, != or in.")
    plain = replace(field, categories=None)
    values = pa.array(known, held_type(plain))
    wanted = _compared(Condition(condition.column, "==", condition.value), plain)
    places = [at for at in range(len(known)) if wanted.op == "==" and values[at] == _like(wanted.value, values.type)]
    if not places:
        shown = known_names(str(condition.value), map(str, known))
        raise OptionError(f"{condition.value!r} is no category of {field.label!r}.", cure=shown)
    picked = [bool(COMPARE[condition.op](pa.scalar(at), pa.scalar(places[0])).as_py()) for at in range(len(known))]
    return Test(field, "in", values.filter(pa.array(picked, pa.bool_())))
