"""What a column of text from someone else's CSV is, losing nothing.

A column becomes a number, boolean or time only if every value, written back, gives the same text again, up to trailing
zeros of a fraction, an exponent with a point or a sign (`2.5e-3`), and ISO spellings of a time. So `007`, `+1`, `1E5`,
`0x1F`, `TRUE`, ` 1` and 20-digit ids stay text; `NA`, `NaN` and `null` are missing only in a column that is otherwise
numeric or temporal.

A `Guess` is told the cells bit by bit, and says at the end what all of them are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.schema import Field, natural

NULL_WORDS = ("NA", "NaN", "null")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|\+00:00)?)?")
SAFE_LENGTH = 15  # characters: with so few digits every text is one double and back
TINY = 1e-290
HEAD = 100  # cells looked at for what a column may be

MINUS, PLUS, POINT, ZERO, NINE, UPPER_Z = b"-+.09Z"
UNITS = ("ns", "us")


def natural_field(name: str, kind: pa.DataType, *, nulls: bool) -> Field:
    """The field that loses nothing for a column of that Arrow type."""
    column = pa.nulls(1 if nulls else 0, kind)  # pa.array would import pandas
    return natural(pa.table({name: column}), "").fields[0]


@dataclass(slots=True)
class Guess:
    """What a column may be, from the cells seen so far.

    Attributes
    ----------
    decimal : str
        What stands between a number's whole part and its fraction.
    """

    name: str
    decimal: str = "."
    family: str = ""  # number, time, boolean, text; none yet
    nulls: bool = False
    words: bool = False
    point: bool = False  # a number with a point, an exponent or a minus before zero
    whole: bool = True  # every number so far is an int64
    exact: bool = True  # every number so far is just one double
    zoned: bool | None = None
    units: set[str] = field(default_factory=lambda: set(UNITS))
    spellings: set[str] = field(default_factory=set)

    def add(self, cells: Any) -> Any:
        """Take note of the cells; what they are by themselves, None when that cannot be said yet."""
        self.nulls = self.nulls or cells.null_count > 0
        if cells.null_count == len(cells):
            return pa.chunked_array([pa.nulls(len(cells))])
        if not self.family:
            self.family = _family(_first(cells), self.decimal)
            if self.family == "boolean" and self.words:  # among booleans NA is text, wherever it stands
                self.family = "text"
        if self.family in ("", "text"):
            self.words = self.words or not self.family
            return cells if self.family else None
        typed = self._typed(cells)
        if typed is None and self.family != "boolean":
            words = pc.is_in(cells, value_set=pa.array(NULL_WORDS))
            if pc.any(words).as_py():
                self.words = True
                rest = pc.if_else(words, pa.scalar(None, pa.string()), cells)
                if rest.null_count == len(rest):  # nothing that could be in another zone, or none
                    return pa.chunked_array([pa.nulls(len(rest))])
                typed = self._typed(rest)
        if typed is None:
            self.family = "text"
            return cells
        return typed

    @property
    def type(self) -> pa.DataType:
        """What all cells together are."""
        if self.family == "number" and (self.exact if self.point else self.whole):
            return pa.float64() if self.point else pa.int64()
        if self.family == "time" and self.units:
            return pa.timestamp("ns" if "ns" in self.units else "us", "UTC" if self.zoned else None)
        return pa.bool_() if self.family == "boolean" else pa.string()

    @property
    def field(self) -> Field:
        kind = self.type
        return natural_field(self.name, kind, nulls=self.nulls or (self.words and not pa.types.is_string(kind)))

    def convert(self, cells: Any) -> Any:
        """The cells as `type`, which all of them are."""
        kind = self.type
        if pa.types.is_string(kind):
            return cells
        if self.words:
            words = pc.is_in(cells, value_set=pa.array(NULL_WORDS))
            cells = pc.if_else(words, pa.scalar(None, pa.string()), cells)
        return (_pointed(cells) if self.family == "number" and self.decimal != "." else cells).cast(kind)

    def _typed(self, cells: Any) -> Any:
        if self.family == "number":
            return self._numbers(cells)
        return self._times(cells) if self.family == "time" else self._booleans(cells)

    # ------------------------------------------------------------------ numbers

    def _numbers(self, cells: Any) -> Any:
        if self.decimal != ".":
            if pc.any(pc.match_substring(cells, ".")).as_py():
                return None
            cells = _pointed(cells)
        looks = [_look(chunk) for chunk in cells.chunks if len(chunk)]
        if not all(look.well for look in looks):
            return None
        self.point = self.point or any(look.point or look.exponent or look.minus_zero for look in looks)
        long = any(look.long for look in looks)
        if self.point:
            doubtful = long or any(look.exponent for look in looks)
            typed = _as_floats(cells, doubtful=doubtful) if self.exact else None
            self.exact = typed is not None
            return typed
        typed = _cast(cells, pa.int64())
        self.whole = self.whole and typed is not None
        if (long or typed is None) and self.exact:  # a point may yet come
            self.exact = _as_floats(cells, doubtful=True) is not None
        return cells if typed is None and self.exact else typed

    # ------------------------------------------------------------------ booleans and times

    def _booleans(self, cells: Any) -> Any:
        self.spellings |= set(pc.unique(cells).to_pylist()) - {None}
        if not (self.spellings <= {"true", "false"} or self.spellings <= {"True", "False"}):
            return None
        return _cast(cells, pa.bool_())

    def _times(self, cells: Any) -> Any:
        """Times in one zone or none: UTC if each says Z or +00:00; another offset stays text, which keeps it."""
        zoned = _zoned(cells)
        if zoned is None or self.zoned not in (None, zoned):
            return None
        self.zoned = zoned
        zone = "UTC" if zoned else None
        fine = _cast(cells, pa.timestamp("ns", zone)) if "ns" in self.units else None
        longest = pc.max(pc.binary_length(cells)).as_py() or 0
        many_digits = longest > len("2024-01-02T03:04:05.123456")
        coarse = (
            _cast(cells, pa.timestamp("us", zone)) if (fine is None or many_digits) and "us" in self.units else fine
        )
        if fine is coarse is None:
            return None
        self.units -= {unit for unit, times in zip(UNITS, (fine, coarse), strict=True) if times is None}
        return coarse if fine is None else fine


def _first(cells: Any) -> str | None:
    """The first cell that is neither missing nor a word for it."""
    for start in range(0, len(cells), HEAD):
        for cell in cells.slice(start, HEAD).to_pylist():
            if cell is not None and cell not in NULL_WORDS:
                return str(cell)
    return None


def _family(first: str | None, decimal: str) -> str:
    if first is None:
        return ""
    if NUMBER.fullmatch(first if decimal == "." else _pointed_text(first, decimal)):
        return "number"
    if TIME.fullmatch(first):
        return "time"
    return "boolean" if first.lower() in ("true", "false") else "text"


def _pointed_text(text: str, decimal: str) -> str:
    return text if "." in text else text.replace(decimal, ".")


def _pointed(cells: Any) -> Any:
    return pc.replace_substring(cells, ",", ".")


def _cast(cells: Any, kind: pa.DataType) -> Any:
    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None


# --------------------------------------------------------------------------- how numbers are spelled


@dataclass(frozen=True, slots=True)
class _Look:
    """What the bytes of some cells say.

    Attributes
    ----------
    well : bool
        No cell is empty, has a needless zero in front (007) or a point at an end, or holds a mark that no number has.
    long : bool
        A cell is longer than what surely is one double.
    """

    well: bool
    point: bool = False
    exponent: bool = False
    minus_zero: bool = False
    long: bool = False


def _look(chunk: Any) -> _Look:
    bad = _Look(well=False)
    length = np.diff(_bytes(chunk)[1])
    empty = int(len(length) - np.count_nonzero(length))
    if empty != chunk.null_count:
        chunk = chunk.drop_null()  # under some nulls there are words
        length = np.diff(_bytes(chunk)[1])
        empty = 0
        if not length.all():
            return bad
    text, begin = _bytes(chunk)
    body = text[begin[0] : begin[-1]]
    begin, end = begin[:-1], begin[1:]
    if empty:
        begin, end = begin[length > 0], end[length > 0]
    points, minuses = np.count_nonzero(body == POINT), np.count_nonzero(body == MINUS)
    digits = np.count_nonzero(body <= NINE) - np.count_nonzero(body < ZERO)
    exponent = digits + points + minuses != len(body)
    if exponent and not _exponents_well_written(chunk):
        return bad
    lead, start = text.take(begin), begin
    if minuses:
        negative = lead == MINUS
        start = np.minimum(begin + negative, end - 1)
        lead = text.take(start)
    if points and ((lead == POINT).any() or (text.take(end - 1) == POINT).any()):
        return bad
    zeros = np.flatnonzero(lead == ZERO)
    alone = end[zeros] - start[zeros] == 1
    after = text[start[zeros[~alone]] + 1]
    if (after - np.uint8(ZERO) < 10).any():
        return bad
    minus_zero = bool(minuses and (text[begin[zeros[alone]]] == MINUS).any())
    long = bool(length.max(initial=0) > SAFE_LENGTH)
    return _Look(True, bool(points), exponent, minus_zero, long)


def _bytes(chunk: Any) -> tuple[Any, Any]:
    """All cells' bytes in a row, and where each begins; the last entry is the end."""
    _, offsets, data = chunk.buffers()
    begin = np.frombuffer(offsets, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    return np.frombuffer(data if data is not None else b"", dtype=np.uint8), begin


def _exponents_well_written(chunk: Any) -> bool:
    return bool(pc.all(pc.match_substring_regex(chunk, f"^({NUMBER.pattern})$"), min_count=0).as_py())


def _zoned(cells: Any) -> bool | None:
    """Whether all times are UTC's; None if some are."""
    zoned = any(_has_zone(chunk) for chunk in cells.chunks if len(chunk))
    if not zoned:
        return False
    utc = pc.or_(pc.ends_with(cells, "Z"), pc.ends_with(cells, "+00:00"))
    return True if pc.all(utc, min_count=0).as_py() else None


def _has_zone(chunk: Any) -> bool:
    text, begin = _bytes(chunk)
    body = text[begin[0] : begin[-1]]
    return bool(np.count_nonzero(body == UPPER_Z) or np.count_nonzero(body == PLUS))


# --------------------------------------------------------------------------- what a double can be


def _as_floats(cells: Any, *, doubtful: bool) -> Any:
    """The cells as doubles, if each, written back, is the text again."""
    numbers = _cast(cells, pa.float64())
    if numbers is None or not doubtful:
        return numbers
    if not pc.all(pc.is_finite(numbers), min_count=0).as_py():
        return None
    tried = pc.fill_null(pc.greater(pc.binary_length(cells), SAFE_LENGTH), False)
    tiny = pc.fill_null(pc.less(pc.abs(numbers), TINY), False)
    if pc.any(tiny).as_py():  # there digits run out, or are gone; a zero has none
        tried = pc.or_(tried, pc.and_(tiny, pc.match_substring_regex(cells, "[1-9]").fill_null(False)))
    texts, values = cells, numbers
    if (pc.sum(tried).as_py() or 0) < len(cells) / 2:  # else to write all is cheaper than to pick
        texts, values, tried = cells.filter(tried), numbers.filter(tried), True
    other = pc.and_(pc.not_equal(values.cast(pa.string()), texts), tried)
    texts, values = texts.filter(other), values.filter(other)
    return numbers if all(map(_same_number, texts.to_pylist(), values.to_pylist())) else None


def _same_number(text: str, number: float) -> bool:
    if text.lstrip("-").isdigit() and len(text) > SAFE_LENGTH:
        return False  # an id
    return Decimal(text) == Decimal(repr(number))
