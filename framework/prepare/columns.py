"""Columns as the steps of preparation take them: numbers and flags as float64 with NaN, texts as codes and levels.

Whatever a step does to a row depends on that row and on what was learnt, never on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.errors import CompatibilityException, ProcessingException
from framework.prepare.blueprint import Field, Kind
from framework.prepare.checks import FLAGS, YEARS, Checked, Mask, blanks, check_column, times_of
from framework.prepare.checks import plain as folded
from framework.prepare.issues import shown

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

QUARTERS = (0.25, 0.5, 0.75)
FAMILIES = {
    "string": "text", "integer": "number", "floating": "number", "mixed-integer-float": "number", "decimal": "number",
    "boolean": "flag", "date": "datetime", "datetime": "datetime", "datetime64": "datetime", "empty": "empty",
}  # fmt: skip
OF_KIND = {
    "identifier": "identifier", "datetime": "datetime", "number": "number", "integer": "number",
    "category": "text", "text": "text", "flag": "flag",
}  # fmt: skip


@dataclass(slots=True)
class Texts:
    """A column of texts: for each row the place of its text among `levels`, -1 where it is missing."""

    codes: Any
    levels: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Any) -> Texts:
        """Those rows, by a mask."""
        return Texts(self.codes[rows], self.levels)

    def objects(self) -> Any:
        """The texts themselves, None where missing."""
        return np.array([*self.levels, None], dtype=object)[self.codes]


@dataclass(slots=True)
class Table:
    """Typed columns of equal length, and the labels of their rows.

    Attributes
    ----------
    index : pandas.Index
    columns : dict
        By name: a float64, datetime64[ns] or object array, or Texts.
    """

    index: pd.Index
    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(self.index)

    def where(self, rows: Any) -> Table:
        """The rows where the mask is true."""
        if rows.all():
            return self
        return Table(self.index[rows], {name: _taken(column, rows) for name, column in self.columns.items()})

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """A frame of those columns, texts as objects."""
        made = {name: plain(self.columns[name]) for name in names}
        return pd.DataFrame(made, index=self.index, copy=False)


def _taken(column: Any, rows: Any) -> Any:
    return column.take(rows) if isinstance(column, Texts) else column[rows]


def plain(column: Any) -> Any:
    """The column as an array."""
    return column.objects() if isinstance(column, Texts) else column


def missing(column: Any) -> Any:
    """A mask of the values that are missing, None where none is."""
    if isinstance(column, Texts):
        lacking = column.codes < 0
        return lacking if lacking.any() else None
    lacking = pd.isna(column)
    return lacking if lacking.any() else None


def family(column: pd.Series) -> str:
    """What a column holds: number, text, datetime, flag, or empty when nothing is there."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return family(column.cat.categories.to_series())
    if pd.api.types.is_bool_dtype(dtype):
        found = "flag"
    elif pd.api.types.is_numeric_dtype(dtype):
        found = "number"
    elif pd.api.types.is_datetime64_any_dtype(dtype):
        found = "datetime"
    else:
        return _family_of_objects(column)
    first = column.iloc[:1].isna()
    return "empty" if first.all() and column.isna().all() else found


def _family_of_objects(column: pd.Series) -> str:
    """Text of nothing but white space is missing, and says nothing."""
    found = pd.api.types.infer_dtype(column, skipna=True)
    first = column.iloc[0] if len(column) else None
    if found == "empty" or (found == "string" and isinstance(first, str) and first.strip()):
        return FAMILIES[found]
    empty = blanks(column)
    if empty.any():
        found = pd.api.types.infer_dtype(column[~empty], skipna=True)
    return FAMILIES.get(found, "text")


def typed(column: pd.Series, kind: str) -> Any:
    """The column as its kind has it.

    Raises
    ------
    ProcessingException
        A value is none of that kind; the message says which, and in which row.
    """
    if isinstance(column.dtype, pd.CategoricalDtype) and OF_KIND[kind] != "text":
        column = column.astype(column.cat.categories.dtype)
    return {
        "identifier": _identifiers,
        "number": _numbers,
        "text": _texts,
        "datetime": _datetimes,
        "flag": _flags,
    }[OF_KIND[kind]](column)


def _identifiers(column: pd.Series) -> Any:
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
    if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
        gone = _checked(column, "identifier", "an identifier").missing
        if gone.any() and (gone & column.notna().to_numpy()).any():
            values = values.copy()
            values[gone] = None
    return values


def _numbers(column: pd.Series) -> Any:
    dtype = column.dtype
    plain_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    if plain_number and not pd.api.types.is_complex_dtype(dtype):
        numbers = np.ascontiguousarray(column.to_numpy("float64", na_value=np.nan))
        _refuse(column, np.isinf(numbers), "a finite number")
        return numbers
    checked = _checked(column, "number", "a finite number")
    return np.where(checked.missing, np.nan, checked.numbers)


def _datetimes(column: pd.Series) -> Any:
    if column.dtype == "datetime64[ns]":
        return column.to_numpy()
    if pd.api.types.is_datetime64_any_dtype(column.dtype) and not isinstance(column.dtype, pd.ArrowDtype):
        _countable(column)
        if isinstance(column.dtype, np.dtype):
            return column.to_numpy("datetime64[ns]")
    return times_of(_checked(column, "datetime", "a date as ISO 8601 has it"))


def zone_of(column: pd.Series) -> str | None:
    """The time zone of a column of times, if it has one."""
    zone = getattr(column.dtype, "tz", None)
    return None if zone is None else str(zone)


def _countable(column: pd.Series) -> None:
    first, last = column.min(), column.max()
    if first.year < YEARS[0] or last.year > YEARS[1]:
        raise ProcessingException(
            f"{column.name} holds a time before {YEARS[0]} or after {YEARS[1]}: {first} to {last}.",
            cure="Write a time that is not known as a missing one.",
            resource=str(column.name),
        )


def _texts(column: pd.Series) -> Texts:
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) not in FAMILIES:
        _checked(column, "text", "a text, a number, a date or a flag")
        column = column.map(_text, na_action="ignore")  # for as objects 1 and True are one
    codes, distinct = pd.factorize(column, use_na_sentinel=True)
    levels = [_text(level) for level in distinct]
    if len(set(levels)) < len(levels) or any(not level.strip() for level in levels):  # 1 and "1" are one text
        places: dict[str, int] = {}
        again = [places.setdefault(level, len(places)) if level.strip() else -1 for level in levels]
        codes, levels = np.array([*again, -1])[codes], list(places)
    return Texts(codes, levels)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)


def _flags(column: pd.Series) -> Any:
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        values = column.to_numpy("float64", na_value=np.nan)
        _refuse(column, ~(np.isin(values, (0.0, 1.0)) | np.isnan(values)), "yes or no")
        return np.ascontiguousarray(values)
    _checked(column, "flag", "yes or no")
    texts = _texts(column)
    known = [float(FLAGS[folded(level)]) for level in texts.levels]
    return np.array([*known, np.nan])[texts.codes]


def _checked(column: pd.Series, kind: Kind, wanted: str) -> Checked:
    """The column as validation sees it; refused is what it would call of another type."""
    checked = check_column(column, Field(str(column.name), kind), column=str(column.name), rules=False)
    if "type" in checked.broken:
        _refuse(column, checked.broken["type"], wanted)
    return checked


def _refuse(column: pd.Series, wrong: Mask, wanted: str) -> None:
    if wrong.any():
        place = int(wrong.argmax())
        raise ProcessingException(
            f"{column.name} holds what is not {wanted} in {int(wrong.sum())} rows, "
            f"the first at row {place + 1}: {shown(column.iloc[place], str(column.name))!r}.",
            cure="Correct those values, or leave them empty: an empty one is missing.",
            resource=str(column.name),
        )


@dataclass(frozen=True, slots=True)
class Between:
    """Where a quantile lies: part of the way from one value to the next in their order."""

    first: float
    second: float
    part: float
    middle: bool

    @property
    def value(self) -> float:
        """Linear as `numpy.quantile` gives it, and in the middle the median as `numpy.median` does."""
        first, second, part = self.first, self.second, self.part
        if not (np.isfinite(second - first) and np.isfinite(first + second)):  # too great for the usual order of steps
            return first * (1 - part) + second * part
        if self.middle:
            return (first + second) / 2 if part else first
        return first + (second - first) * part if part < 0.5 else second - (second - first) * (1 - part)

    def within(self, low: float, high: float) -> Between:
        """Where it lies once all values are brought within those bounds."""
        first, second = (min(max(each, low), high) for each in (self.first, self.second))
        return Between(first, second, self.part, self.middle)


def places(values: Any, shares: Sequence[float] = QUARTERS) -> list[Between]:
    """Where those quantiles lie.

    By sorting: numpy sorts numbers by vectors, which takes less than half of what its partition does.
    """
    ordered = np.sort(values)
    last = len(ordered) - 1
    made = []
    for share in shares:
        place = share * last
        low = int(place)
        first, second = float(ordered[low]), float(ordered[min(low + 1, last)])
        made.append(Between(first, second, place - low, share == 0.5))
    return made


def quantiles(values: Any, shares: Sequence[float]) -> list[float]:
    """Linear quantiles as `numpy.quantile` gives them, and of 0.5 the median as `numpy.median` does."""
    return [each.value for each in places(values, shares)]


def no_repeated_names(frame: pd.DataFrame) -> None:
    """Refuse a frame in which two columns have one name, or one has a name that is no text."""
    other = [name for name in frame.columns if not isinstance(name, str)]
    if other:
        raise CompatibilityException(f"Names of columns that are no texts: {other[:5]}.", cure="Rename them.")
    repeated = frame.columns[frame.columns.duplicated()].unique().tolist()
    if repeated:
        raise CompatibilityException(f"Columns of one name: {repeated}.", cure="Rename all but one.")


def listed(counts: Mapping[str, int], *, most: int = 20) -> Iterator[tuple[str, int]]:
    """The most frequent, in order."""
    yield from sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:most]
