"""One column behind another: the field that holds the cells of both, each as it was, and the new cells in its type."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FidelityError, SchemaError
from framework.schema.columns import decode_column
from framework.schema.fields import (
    ARROW,
    FLOATS,
    INTEGERS,
    MASKED,
    MOST_RUNS,
    WIDER,
    Column,
    Field,
    Runs,
    fit,
    nothing_of,
    type_of,
)
from framework.schema.kindred import canonical, fits, merged, nothing, runs_for
from framework.schema.objects import retold

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

UNITS = ("s", "ms", "us", "ns")
CLOCKS = {unit: f"time{32 if unit in ('s', 'ms') else 64}[{unit}]" for unit in UNITS}
READ_BACK = ("time", "instant", "duration", "date", "decimal", "clock", "complex", "bytes")
NUMPY = {**{name: name for name in INTEGERS}, **{alias: name for name, alias in FLOATS.items()}}
Told = tuple[Field, Column]


class Old(Protocol):
    """What there is to know of the old rows, by a column's stored name."""

    def nulls(self, name: str) -> int:
        """How many cells are missing."""

    def span(self, name: str) -> tuple[int, int] | None:
        """The least and greatest value of integers, or of times as counts of their unit; None when all are missing."""


def widened(mine: Field, new: Told, *, old: Old, rows: int, source: str, retells: bool) -> Told:
    """The old field, as it must be to hold the new cells too, and these in its type.

    Parameters
    ----------
    rows : int
        How many old ones there are.
    retells : bool
        Whether the old cells can be written anew, in another kind.

    Raises
    ------
    SchemaError
        When there is no such field.
    """
    (theirs, column), taken = new, False
    if not len(column):
        return mine, nothing(0, mine)
    if theirs.kind.startswith("interval[integer") and theirs.kind != mine.kind and theirs.categories is None:
        theirs, column = in_floats(theirs, column, source)
    come = column.null_count
    alike = theirs.kind == mine.kind and mine.categories is not None and theirs.categories is not None
    if come == len(column) and not alike and rows:
        field = mine  # missing cells are of any kind
    elif _is_empty(mine, theirs, old, rows):
        field, taken = replace(theirs, name=mine.name, missing=()), True
        field = replace(field, note=f"was empty in the first {rows} rows") if rows else field
    else:
        field, column = _holding(mine, theirs, column, old, source, retells=retells)
    if not field.nullable and (come or (taken and rows)):
        field = lacking(field, source, note=field.note or "missing cells were appended")
    field = _with_missing(field, mine, theirs, old, come, source)
    return field, nothing(len(column), field) if come == len(column) else fit(column, field)


def lacking(field: Field, source: str, *, note: str | None) -> Field:
    """The field with a dtype that has missing cells; SchemaError if there is none."""
    if field.dtype not in WIDER:
        raise unfit(field.label, source, f"is {field.shown}, which holds nothing missing")
    return replace(field, dtype=WIDER[field.dtype], note=note)


def _is_empty(mine: Field, theirs: Field, old: Old, rows: int) -> bool:
    """Whether the old rows leave open what the column is."""
    if mine.categories:
        return False
    if not rows:
        return mine.dtype == "object"
    if mine.dtype == f"null{ARROW}":
        return True
    return theirs.kind != mine.kind and old.nulls(mine.name) == rows


def _with_missing(field: Field, mine: Field, theirs: Field, old: Old, come: int, source: str) -> Field:
    """The field with the kinds of its missing cells; a note where the dtype has another kind than came."""
    come_as = runs_for(theirs, come)
    if field.dtype != "object" or field.categories is not None:
        other = sorted({name for name, _ in come_as} - {nothing_of(field)})
        note = f"missing cells that came as {' and '.join(other)} are {nothing_of(field)}" if other else None
        return replace(field, missing=(), note=field.note or note)
    if not come and mine.dtype == "object" and mine.categories is None:
        return replace(field, missing=mine.missing)
    runs = merged(runs_for(mine, old.nulls(mine.name)) + come_as)
    return replace(field, missing=bounded(runs, field.label, source))


def bounded(runs: Runs, label: Any, source: str) -> Runs:
    """The runs; SchemaError for more than are kept."""
    if len(runs) > MOST_RUNS:
        raise SchemaError(
            f"In column {label!r} of {source!r} None and NaN would alternate too often to be told apart.",
            cure="Let them all be None.",
            resource=source,
        )
    return runs


def unfit(label: Any, source: str, why: str) -> SchemaError:
    return SchemaError(
        f"Column {label!r} of {source!r} {why}.",
        cure="Convert the new rows, or save with mode='replace'.",
        resource=source,
        operation="append",
    )


# --------------------------------------------------------------------------- which field holds both


def _holding(mine: Field, theirs: Field, column: Column, old: Old, source: str, *, retells: bool) -> Told:
    kinds = {mine.kind, theirs.kind}
    if mine.categories is not None:
        return _with_categories(mine, theirs, column, source)
    if len(kinds) == 2 and "mixed" in kinds and mine.dtype == theirs.dtype == "object" and theirs.categories is None:
        if mine.kind == "mixed":
            return mine, retold(decode_column(column, theirs), mine.label)
        if retells:
            return replace(mine, kind="mixed", type="string", note="objects of several types were appended"), column
    if len(kinds) == 1 or kinds == {"integer", "float"}:
        for field in _candidates(mine, theirs, old):
            if _holds(field, theirs, column):
                return field, column
        raise unfit(mine.label, source, f"is {mine.shown}, and a new value does not fit")
    raise unfit(mine.label, source, f"holds {mine.kind}, and the new rows hold {theirs.kind}")


def _candidates(mine: Field, theirs: Field, old: Old) -> Iterator[Field]:
    """The old field and those to which it may grow, the nearest first."""
    if (mine.kind, theirs.kind) == ("float", "integer"):
        yield replace(mine, note="integers were appended to floats")
    else:
        yield mine
    if mine.dtype == "object":
        return
    if mine.kind in WIDENING:
        yield from WIDENING[mine.kind](mine, theirs, old)


def _holds(field: Field, theirs: Field, column: Column) -> bool:
    """Whether every value is the same in the field, also when it is read."""
    if not fits(column, field):
        return False
    if field.dtype == theirs.dtype or field.kind not in READ_BACK:
        return True
    return _reads(fit(column, field), replace(field, missing=()))


def _reads(column: Column, field: Field) -> bool:
    """Whether pandas gives the values of a column back: its types do not reach as far as Arrow's."""
    try:
        cells = decode_column(column, field)
    except FidelityError:
        return False
    if field.kind == "complex":
        numbers = [f"{cell.real!r} {cell.imag!r}" for cell in cells.astype("complex128").tolist()]
        return bool(numbers == column.to_pylist())
    if (field.kind, _is_arrow(field)) in (("clock", False), ("decimal", True)):
        show = dt.time.isoformat if field.kind == "clock" else str
        printed = [None if pd.isna(cell) else show(cell) for cell in cells]
        given = pa.chunked_array([printed], type=pa.string())
        return bool(canonical(given, field).equals(canonical(column, field)))
    return bool(np.count_nonzero(pd.isna(cells)) == column.null_count)


# --------------------------------------------------------------------------- wider fields


def _numbers(mine: Field, theirs: Field, old: Old) -> Iterator[Field]:
    """A number type for both, unless an old value would change in it."""
    both: Any = np.result_type(NUMPY[mine.type], NUMPY[theirs.type])
    masked = mine.dtype in MASKED or (theirs.dtype in MASKED and mine.kind == "integer" and not _is_arrow(mine))
    if mine.kind == theirs.kind == "integer" and both.kind == "f":  # of the signed and the largest unsigned ones
        both = np.dtype(np.int64 if mine.type == "uint64" else np.uint64)
        span, reach = old.span(mine.name), np.iinfo(both)
        if span is not None and not reach.min <= span[0] <= span[1] <= reach.max:
            return
    if masked and both == np.float16:
        both = np.dtype(np.float32)
    if mine.kind == "integer" and both.kind == "f":
        span, most = old.span(mine.name), 2 ** (np.finfo(both).nmant + 1)
        if span is not None and not -most <= span[0] <= span[1] <= most:
            return
        mine = replace(mine, note="floats were appended to integers")
    kind, alias = ("float", FLOATS[both.name]) if both.kind == "f" else ("integer", both.name)
    dtype = both.name.capitalize().replace("Uint", "UInt") if masked else both.name
    yield replace(mine, kind=kind, type=alias, dtype=f"{alias}{ARROW}" if _is_arrow(mine) else dtype)


def _times(mine: Field, theirs: Field, old: Old) -> Iterator[Field]:
    """Times in the unit of the new ones, when it is finer and the old ones reach in it."""
    was, unit = (str(field.arrow_type.unit) for field in (mine, theirs))
    steps = UNITS.index(unit) - UNITS.index(was)
    if steps <= 0:
        return
    span = old.span(mine.name)
    if span is None or max(abs(span[0]), abs(span[1])) * 1000**steps < 2**63:
        finer = {name: getattr(mine, name).replace(f"[{was}", f"[{unit}", 1) for name in ("type", "dtype")}
        yield replace(mine, **finer)


def _complex(mine: Field, theirs: Field, old: Old) -> Iterator[Field]:
    yield replace(mine, dtype=np.result_type(mine.dtype, theirs.dtype).name)


def _decimals(mine: Field, theirs: Field, old: Old) -> Iterator[Field]:
    """Arrow's decimals with more digits, or Python's, which have any number."""
    if _is_arrow(theirs):
        each = [type_of(field.dtype.removesuffix(ARROW)) for field in (mine, theirs)]
        scale = max(one.scale for one in each)
        digits = max(one.precision - one.scale for one in each) + scale
        if digits <= 76:
            yield replace(mine, dtype=f"decimal{128 if digits <= 38 else 256}({digits}, {scale}){ARROW}")
    yield replace(mine, dtype="object", note="decimals of more digits were appended")


def _clocks(mine: Field, theirs: Field, old: Old) -> Iterator[Field]:
    was = str(type_of(mine.dtype.removesuffix(ARROW)).unit)
    for unit in UNITS[UNITS.index(was) + 1 :]:
        yield replace(mine, dtype=f"{CLOCKS[unit]}{ARROW}")


def _bytes(mine: Field, theirs: Field, old: Old) -> Iterator[Field]:
    if mine.dtype.startswith("fixed"):
        yield replace(mine, dtype=f"binary{ARROW}")


WIDENING = {
    "integer": _numbers,
    "float": _numbers,
    "time": _times,
    "instant": _times,
    "duration": _times,
    "complex": _complex,
    "decimal": _decimals,
    "clock": _clocks,
    "bytes": _bytes,
}


def _is_arrow(field: Field) -> bool:
    return field.dtype.endswith(ARROW)


# --------------------------------------------------------------------------- categories and intervals


def _with_categories(mine: Field, theirs: Field, column: Column, source: str) -> Told:
    """The old categories and behind them those that are new; the new cells spelled as the old ones are."""
    if theirs.categories is None:
        raise unfit(mine.label, source, "has categories, and the new rows have none")
    if mine.kind != theirs.kind:
        raise unfit(mine.label, source, f"holds {mine.kind}, and the new rows hold {theirs.kind}")
    inner, given = (replace(field, categories=None, missing=(), ordered=False) for field in (mine, theirs))
    values = pa.chunked_array([pa.array(theirs.categories, type=given.arrow_type)])
    if not _holds(inner, given, values):
        raise unfit(mine.label, source, f"has categories that are {inner.shown}, and a new one does not fit")
    fitted = fit(values, inner)
    own = pa.chunked_array([pa.array(mine.categories, type=inner.arrow_type)])
    known = dict(zip(canonical(own, inner).to_pylist(), own.to_pylist(), strict=True))
    keys = canonical(fitted, inner).to_pylist()
    if (mine.ordered or theirs.ordered) and (keys != list(known) or mine.ordered != theirs.ordered):
        raise unfit(mine.label, source, "has ordered categories, and the new rows have others")
    more = tuple(value for key, value in zip(keys, fitted.to_pylist(), strict=True) if key not in known)
    spelled = [known.get(key, value) for key, value in zip(keys, fitted.to_pylist(), strict=True)]
    field = replace(mine, categories=mine.categories + more if mine.categories else more)
    try:
        decode_column(nothing(0, inner), field)
    except FidelityError:
        raise unfit(mine.label, source, "has categories that are equal to new ones of another type") from None
    codes = pc.index_in(column, value_set=values.combine_chunks())
    return field, pa.chunked_array([pa.array(spelled, type=inner.arrow_type)]).take(codes)


def in_floats(field: Field, column: Column, source: str) -> Told:
    """Intervals of integers as those of floats, which can be missing; SchemaError if one would change."""
    closed = field.kind.removesuffix("]").rsplit(" ", 1)[1]
    texts = []
    for text in column.to_pylist():
        ends = [None, None] if text is None else json.loads(text)
        floats = [None if end is None else float(end) for end in ends]
        if floats != ends:
            raise unfit(field.label, source, "lacks values elsewhere, and holds integers that no float holds")
        texts.append(None if text is None else json.dumps(floats))
    name = f"interval[float double float64 {closed}]"
    told = replace(field, kind=name, dtype=f"interval[float64, {closed}]")
    return told, pa.chunked_array([pa.array(texts, type=pa.string())])
