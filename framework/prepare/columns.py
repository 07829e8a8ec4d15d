"""Columns as the steps of preparation take them: numbers and flags as float64 with NaN, texts as codes and levels.

Whatever a step does to a row depends on that row and on what was learnt, never on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.errors import CompatibilityException, ProcessingException

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

FAMILIES = {
    "string": "text", "integer": "number", "floating": "number", "mixed-integer-float": "number", "decimal": "number",
    "boolean": "flag", "date": "datetime", "datetime": "datetime", "datetime64": "datetime", "empty": "empty",
}  # fmt: skip
OF_KIND = {
    "identifier": "identifier", "datetime": "datetime", "number": "number", "integer": "number",
    "category": "text", "text": "text", "flag": "flag",
}  # fmt: skip
YES_NO = {"true": 1.0, "yes": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "0": 0.0}


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
        return FAMILIES.get(pd.api.types.infer_dtype(column, skipna=True), "text")
    first = column.iloc[:1].isna()
    return "empty" if first.all() and column.isna().all() else found


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
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def _numbers(column: pd.Series) -> Any:
    if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
        values = pd.to_numeric(column, errors="coerce")
        _refuse(column, values.isna() & column.notna(), "a number")
        column = values
    elif not pd.api.types.is_numeric_dtype(column.dtype):
        _refuse(column, column.notna(), "a number")
    numbers = np.ascontiguousarray(column.to_numpy("float64", na_value=np.nan))
    if np.isinf(numbers).any():
        _refuse(column, pd.Series(np.isinf(numbers), index=column.index), "a finite number")
    return numbers


def _datetimes(column: pd.Series) -> Any:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        raise ProcessingException(
            f"{column.name} has the time zone {column.dtype.tz}; times are prepared without one.",
            cure="Convert it first: column.dt.tz_convert('UTC').dt.tz_localize(None).",
            resource=str(column.name),
        )
    if not pd.api.types.is_datetime64_dtype(column.dtype):
        known = column.notna()
        numeric = known & pd.Series([isinstance(value, (int, float)) for value in column], index=column.index)
        _refuse(column, numeric, "a date")
        values = pd.to_datetime(column, errors="coerce", format="ISO8601")
        _refuse(column, values.isna() & known, "a date as ISO 8601 has it")
        return _datetimes(values)
    try:
        return column.astype("datetime64[ns]").to_numpy()
    except pd.errors.OutOfBoundsDatetime as error:
        raise ProcessingException(
            f"{column.name} holds a time before 1677 or after 2262: {column.min()} to {column.max()}.",
            cure="Write a time that is not known as a missing one.",
            resource=str(column.name),
        ) from error


def _texts(column: pd.Series) -> Texts:
    codes, distinct = pd.factorize(column, use_na_sentinel=True)
    levels = [_text(level) for level in distinct]
    if len(set(levels)) < len(levels):  # 1 and "1" are one text
        places: dict[str, int] = {}
        again = np.array([places.setdefault(level, len(places)) for level in levels] + [-1])
        codes, levels = again[codes], list(places)
    return Texts(codes, levels)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)


def _flags(column: pd.Series) -> Any:
    if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
        known = {level: YES_NO.get(str(level).strip().casefold()) for level in column.dropna().unique()}
        read = column.map(known).astype("float64")
        _refuse(column, read.isna() & column.notna(), "yes or no")
        return np.ascontiguousarray(read.to_numpy())
    values = column.to_numpy("float64", na_value=np.nan)
    _refuse(column, pd.Series(~(np.isin(values, (0.0, 1.0)) | np.isnan(values)), index=column.index), "yes or no")
    return np.ascontiguousarray(values)


def _refuse(column: pd.Series, wrong: pd.Series, wanted: str) -> None:
    if wrong.any():
        first = column[wrong].iloc[0]
        raise ProcessingException(
            f"{column.name} holds what is not {wanted} in {int(wrong.sum())} rows, "
            f"the first at row {wrong.to_numpy().argmax() + 1}: {str(first)[:60]!r}.",
            cure="Correct those values, or let the stages before refuse such rows.",
            resource=str(column.name),
        )


def quantiles(values: Any, shares: Sequence[float]) -> list[float]:
    """Linear quantiles as `numpy.quantile` gives them, and of 0.5 the median as `numpy.median` does.

    By sorting: numpy sorts numbers by vectors, which takes less than half of what its partition does.
    """
    ordered = np.sort(values)
    last = len(ordered) - 1
    made = []
    for share in shares:
        place = share * last
        low = int(place)
        first, second = float(ordered[low]), float(ordered[min(low + 1, last)])
        part = place - low
        if share == 0.5:
            made.append((first + second) / 2 if part else first)
        else:
            made.append(first + (second - first) * part if part < 0.5 else second - (second - first) * (1 - part))
    return made


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
