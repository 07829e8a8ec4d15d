"""What is wrong with the values of one column, by its field: missing, of another type, out of range, not as written.

Each verdict is made of a whole column by Arrow, and of each distinct text only once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as each_own
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.prepare.blueprint import Field
from framework.prepare.patterns import matches

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

Mask = np.ndarray[Any, np.dtype[np.bool_]]

# Text that is a number, a flag or a whole number; what looks otherwise is none, `inf` and `nan` with it.
NUMBER = r"\A[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"
FLAGS = {"true": True, "yes": True, "y": True, "t": True, "1": True, "on": True}
FLAGS |= {"false": False, "no": False, "n": False, "f": False, "0": False, "off": False}
NUMBERS = ("floating", "integer", "mixed-integer-float", "integer-na", "empty")  # as pandas calls objects
YEARS = (1678, 2261)  # whole ones that nanoseconds can count
PIECE = 1 << 15  # objects
SAMPLE = 2048  # values by which it is judged whether a column repeats itself


@dataclass(slots=True)
class Checked:
    """What was found of one column.

    Attributes
    ----------
    field : Field
    column : str
    rows : int
    missing : mask
        Null, NaN, or text of nothing but white space.
    broken : dict
        By rule (type, range, pattern, allowed): the rows that break it. A row breaks one at most, the first.
    numbers : array, optional
        Of a number's column: as float64, those that are missing or no number NaN.
    values : array
        As Arrow has them.
    """

    field: Field
    column: str
    rows: int
    missing: Mask
    values: pa.Array
    broken: dict[str, Mask] = each_own(default_factory=dict)
    numbers: Any = None

    @property
    def there(self) -> int:
        """How many values are not missing."""
        return self.rows - int(np.count_nonzero(self.missing))

    @property
    def completeness(self) -> float:
        """The share of rows that have a value; none of no rows."""
        return self.there / self.rows if self.rows else 0.0

    @property
    def invalid(self) -> int:
        """How many values break some rule."""
        return sum(int(np.count_nonzero(mask)) for mask in self.broken.values())

    @property
    def validity(self) -> float:
        """The share of values that break no rule; all of none."""
        return 1.0 - self.invalid / self.there if self.there else 1.0


def check_column(values: pd.Series, field: Field, *, column: str, types: bool = True, rules: bool = True) -> Checked:
    """Check one column.

    Parameters
    ----------
    values : Series
    field : Field
    column : str
        What it is called in the data.
    types : bool
        Whether values of another type count as broken; they are never judged further.
    rules : bool
        Whether range, pattern and allowed values are judged.
    """
    array = arrow_of(values)
    missing = _mask(pc.is_null(array, nan_is_null=pa.types.is_floating(array.type)))
    coded = Coded.of(array)
    if coded is not None:
        missing = missing | coded.where(_blank)
    checked = Checked(field, column, len(array), missing, array)
    odd, typed = TYPED[field.kind](array, coded, missing)
    if field.kind == "datetime" and values.dtype == object and pd.api.types.infer_dtype(values).startswith("mixed"):
        number = np.fromiter((isinstance(cell, (int, float)) for cell in values), bool, len(values)) & ~missing
        odd = number if odd is None else odd | number
    if field.kind in ("number", "integer"):
        checked.numbers = typed
    if types and odd is not None and odd.any():
        checked.broken["type"] = odd
    if rules:
        for name, mask in _rules(field, array, coded, typed):
            known = mask & ~missing if odd is None else mask & ~missing & ~odd
            for other in checked.broken.values():
                known &= ~other
            if known.any():
                checked.broken[name] = known
    return checked


def arrow_of(values: pd.Series) -> pa.Array:
    """A column as Arrow: what is missing null; what no one type can hold, as text."""
    try:
        array = _of_objects(values.to_numpy()) if values.dtype == object else pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError, ValueError, TypeError):
        array = pa.array([None if gone else _text(cell) for cell, gone in zip(values, values.isna(), strict=True)])
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of more text than one array holds
        array = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in array.chunks])
    if pa.types.is_dictionary(array.type) and not is_text(array.type.value_type):
        array = array.dictionary_decode()
    return array.cast(pa.float64()) if pa.types.is_decimal(array.type) else array


def _of_objects(cells: Any) -> pa.Array:
    """A piece at a time, for while Arrow looks at objects no other thread gets on."""
    pieces = []
    for at in range(0, len(cells), PIECE):
        pieces.append(pa.array(cells[at : at + PIECE], from_pandas=True))
        time.sleep(0)  # who waits for the interpreter need not wait until it is taken away
    alike = len({piece.type for piece in pieces}) == 1
    array = pa.concat_arrays(pieces) if alike else pa.array(cells, from_pandas=True)
    if pa.types.is_floating(array.type) and pd.api.types.infer_dtype(cells, skipna=True) not in NUMBERS:
        raise TypeError("Arrow takes True for a number where another float goes before it")
    return array


def _text(cell: object) -> str:
    return str(cell).encode("utf-8", "replace").decode()


def _mask(array: pa.Array) -> Mask:
    """Null as False."""
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


@dataclass(slots=True)
class Coded:
    """Text, each distinct value once where it repeats itself.

    Attributes
    ----------
    values : array
        Text.
    codes : array of int, optional
        Which value each row has, -1 for null; None where `values` are the rows themselves.
    """

    values: pa.Array
    codes: Any = None

    @classmethod
    def of(cls, array: pa.Array) -> Coded | None:
        """None for what is not text."""
        if pa.types.is_dictionary(array.type):
            if not is_text(array.type.value_type):
                return None
            coded = array
        elif not is_text(array.type):
            return None
        elif _repeats(array):
            coded = array.dictionary_encode()
        else:
            return cls(array)
        return cls(coded.dictionary, coded.indices.fill_null(-1).to_numpy(zero_copy_only=False))

    def where(self, judge: Callable[[pa.Array], Mask]) -> Mask:
        """The rows whose value the judge says True of; null is not asked."""
        verdict = judge(self.values)
        if self.codes is None:
            return verdict
        if not verdict.any():
            return np.zeros(len(self.codes), dtype=bool)
        return np.asarray(np.append(verdict, False)[self.codes], dtype=bool)

    def numbers(self, made: Callable[[pa.Array], Any]) -> Any:
        """What is made of each value, by row; NaN for null."""
        values = made(self.values)
        return values if self.codes is None else np.append(values, np.nan)[self.codes]


def _repeats(array: pa.Array) -> bool:
    """Whether few values are distinct: by a sample from the whole of it."""
    if len(array) <= SAMPLE:
        return False
    places = np.linspace(0, len(array) - 1, SAMPLE).astype(np.int64)
    return len(pc.unique(array.take(pa.array(places)))) * 4 < SAMPLE


def _blank(values: pa.Array) -> Mask:
    return _mask(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(values)), 0))


# Types. Each answers: which values are of another type (None: none), and the values as the rules see them.


def _number(array: pa.Array, coded: Coded | None, missing: Mask) -> tuple[Mask | None, Any]:
    kind = array.type
    if coded is not None:
        numbers = coded.numbers(_numbers_of)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if array.null_count == 0 and pa.types.is_integer(kind):
            return None, numbers
    else:
        return ~missing, np.full(len(array), np.nan)
    odd = ~np.isfinite(numbers) & ~missing
    return (odd, np.where(odd, np.nan, numbers)) if odd.any() else (None, numbers)


def _integer(array: pa.Array, coded: Coded | None, missing: Mask) -> tuple[Mask | None, Any]:
    odd, numbers = _number(array, coded, missing)
    if pa.types.is_integer(array.type):
        return odd, numbers
    broken = (np.floor(numbers) != numbers) & ~missing
    if not broken.any():
        return odd, numbers
    return broken if odd is None else odd | broken, np.where(broken, np.nan, numbers)


def _numbers_of(texts: pa.Array) -> Any:
    """Text as numbers, NaN for what is none."""
    trimmed = pc.utf8_trim_whitespace(texts)
    fine = _mask(pc.match_substring_regex(trimmed, NUMBER))
    numbers = np.full(len(texts), np.nan)
    numbers[fine] = [float(text) for text in trimmed.filter(pa.array(fine)).to_pylist()]
    return numbers


def _datetime(array: pa.Array, coded: Coded | None, missing: Mask) -> tuple[Mask | None, Any]:
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return _uncountable(array), None
    if coded is None:
        return ~missing, None
    return coded.where(lambda texts: ~_instants(texts)) & ~missing, None


def _uncountable(array: pa.Array) -> Mask | None:
    """Which times lie beyond what nanoseconds can count; None where none does."""
    if getattr(array.type, "unit", None) == "ns":
        return None
    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        array = array.cast(pa.timestamp(array.type.unit))
    first, last = (pc.year(end).as_py() for end in pc.min_max(array).values())
    if first is None or YEARS[0] <= first <= last <= YEARS[1]:
        return None
    years = pc.year(array)
    return _mask(pc.or_(pc.less(years, YEARS[0]), pc.greater(years, YEARS[1])))


def _instants(texts: pa.Array) -> Mask:
    """Which texts are dates or times of ISO 8601, within what nanoseconds can count."""
    return np.asarray(to_times(pd.Series(texts.to_pylist(), dtype=object)).notna())


def to_times(texts: pd.Series) -> pd.Series:
    """Times of ISO 8601 in UTC; NaT for what is none, or beyond what nanoseconds can count.

    `now` and `today`, which pandas would read as such, are no dates: they would mean another one tomorrow.
    """
    stripped = texts.str.strip() if len(texts) else texts
    written = stripped.where(stripped.str[:1].str.isdigit().eq(True)) if len(texts) else stripped
    times = pd.to_datetime(written, errors="coerce", format="ISO8601", utc=True)
    return times.where(times.dt.year.between(*YEARS))


def times_of(checked: Checked) -> Any:
    """A column of times as datetime64[ns], those of a zone in UTC; NaT for what is missing or none."""
    array = checked.values
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        beyond = _uncountable(array)
        if beyond is not None:
            array = pc.if_else(pa.array(beyond), pa.scalar(None, array.type), array)
        zone = getattr(array.type, "tz", None)
        ticks = array.cast(pa.timestamp("ns", tz=zone)).cast(pa.int64()).fill_null(np.iinfo("int64").min)
        return ticks.to_numpy(zero_copy_only=False).view("datetime64[ns]")
    coded = Coded.of(array)
    if coded is None:
        return np.full(checked.rows, np.datetime64("NaT", "ns"))
    times = to_times(pd.Series(coded.values.to_pylist(), dtype=object)).dt.tz_localize(None)
    known = times.to_numpy("datetime64[ns]")
    return known if coded.codes is None else np.append(known, np.datetime64("NaT", "ns"))[coded.codes]


def blanks(values: pd.Series) -> Mask:
    """Which cells are text of nothing but white space: they are missing, as empty ones are."""
    if values.dtype == object or pd.api.types.is_string_dtype(values.dtype):
        coded = Coded.of(arrow_of(values))
        if coded is not None:
            return coded.where(_blank)
    return np.zeros(len(values), dtype=bool)


def _flag(array: pa.Array, coded: Coded | None, missing: Mask) -> tuple[Mask | None, Any]:
    if pa.types.is_boolean(array.type):
        return None, None
    if coded is not None:
        return coded.where(lambda texts: ~_among(texts, FLAGS)) & ~missing, None
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return ~_mask(pc.is_in(array, pa.array([0, 1]).cast(array.type))) & ~missing, None
    return ~missing, None


def _words(array: pa.Array, coded: Coded | None, missing: Mask) -> tuple[Mask | None, Any]:
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    types = pa.types
    fine = (types.is_integer, types.is_floating, types.is_boolean, types.is_timestamp, types.is_date, types.is_null)
    told = coded is not None or any(test(kind) for test in fine)
    return (None if told else ~missing), None


TYPED: dict[str, Callable[[pa.Array, Coded | None, Mask], tuple[Mask | None, Any]]] = {
    "number": _number,
    "integer": _integer,
    "datetime": _datetime,
    "flag": _flag,
    "identifier": _words,
    "category": _words,
    "text": _words,
}


# Rules.


def _rules(field: Field, array: pa.Array, coded: Coded | None, typed: Any) -> list[tuple[str, Mask]]:
    found = []
    if typed is not None and (field.minimum is not None or field.maximum is not None):
        found.append(("range", _outside(typed, field.minimum, field.maximum)))
    if field.pattern is not None or field.allowed is not None:
        texts = coded if coded is not None else Coded(as_text(array))
        if field.pattern is not None:
            pattern = field.pattern
            found.append(("pattern", texts.where(lambda values: ~matches(values, pattern))))
        if field.allowed is not None:
            allowed = {plain(each): True for each in field.allowed}
            found.append(("allowed", texts.where(lambda values: ~_among(values, allowed))))
    return found


def _outside(numbers: Any, minimum: float | None, maximum: float | None) -> Mask:
    outside = np.zeros(len(numbers), dtype=bool)
    with np.errstate(invalid="ignore"):
        if minimum is not None:
            outside |= numbers < minimum
        if maximum is not None:
            outside |= numbers > maximum
    return outside


def as_text(array: pa.Array) -> pa.Array:
    """Values as they would be written: a whole number without a point; null for what cannot be."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        return array if is_text(array.type) else pc.cast(array, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.nulls(len(array), pa.string())


def plain(text: str) -> str:
    """A text without case and the space around it."""
    return text.strip().casefold()


def _among(values: pa.Array, known: dict[str, bool]) -> Mask:
    return np.fromiter((text is not None and plain(text) in known for text in values.to_pylist()), bool, len(values))
