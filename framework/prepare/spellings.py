"""What the texts of a file say of how its numbers and dates are written, and where they say two things at once.

A mark before three digits may stand before a fraction or between thousands, and 01/02 may be either day. One cell that
can be only one of them settles it; where none does, the reader is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import IngestionException, OptionError, known_names
from framework.formats.csv_dtypes import Dated, UnfitCell
from framework.formats.csv_foreign import Spelling
from framework.formats.csv_inference import NULL_WORDS
from framework.schema import FrameSchema

WHOLE = "^[-+]?[0-9]+$"
ID = "^[-+]?0[0-9]+$"  # which no number begins with
# of a mark x and the other y: 0x5, 12x25, 1234x5, 1y234x56, 1y234y567
SURE = (
    r"^[-+]?(0[0-9]*X[0-9]+|[0-9]+X([0-9]{1,2}|[0-9]{4,})|[0-9]{4,}X[0-9]+"
    r"|[0-9]{1,3}(Y[0-9]{3})+X[0-9]+|[0-9]{1,3}(Y[0-9]{3}){2,})$"
)
EITHER = r"^[-+]?[1-9][0-9]{0,2}X[0-9]{3}$"
DAY = re.compile(r"[0-9]{1,2}([-/.])[0-9]{1,2}\1[0-9]{4}(.*)")
YEAR = re.compile(r"[0-9]{4}([/.])[0-9]{1,2}\1[0-9]{1,2}(.*)")


def _patterns(mark: str) -> tuple[str, str]:
    other = "." if mark == "," else ","
    sure = SURE.replace("X", re.escape(mark)).replace("Y", re.escape(other))
    return sure, EITHER.replace("X", re.escape(mark))


PATTERNS = {mark: _patterns(mark) for mark in (",", ".")}


@dataclass(slots=True)
class Marks:
    """What the cells of one column say of a comma and a point in numbers.

    Attributes
    ----------
    alive : bool
        Every cell so far is a number, with whatever marks.
    sure : set of str
        The marks that stand before a fraction, by some cell.
    either : set of str
        Those that may, or may part thousands.
    """

    alive: bool = True
    sure: set[str] = field(default_factory=set)
    either: set[str] = field(default_factory=set)

    def add(self, cells: Any) -> None:
        if not self.alive:
            return
        cells = _said(cells)
        explained = pc.match_substring_regex(cells, WHOLE)
        if pc.all(explained, min_count=0).as_py():
            self.alive = not pc.any(pc.match_substring_regex(cells, ID), min_count=0).as_py()
            return
        for mark, (sure, either) in PATTERNS.items():
            for pattern, found in ((sure, self.sure), (either, self.either)):
                fits = pc.match_substring_regex(cells, pattern)
                if pc.any(fits, min_count=0).as_py():
                    found.add(mark)
                    explained = pc.or_(explained, fits)
        self.alive = bool(pc.all(explained, min_count=0).as_py()) and len(self.sure) < 2

    @property
    def marked(self) -> bool:
        return self.alive and bool(self.sure or self.either)


def _said(cells: Any) -> Any:
    """Without what is missing, and the words for it."""
    cells = cells.drop_null()
    return cells.filter(pc.invert(pc.is_in(cells, value_set=pa.array(NULL_WORDS))))


@dataclass(slots=True)
class Days:
    """Which day and month the dates of one column are.

    Attributes
    ----------
    formats : list of str
        Those that every cell so far is in; none yet before the first cell.
    differ : bool
        Whether two of them give different days.
    """

    name: str
    alive: bool = True
    seen: bool = False
    differ: bool = False
    formats: list[str] = field(default_factory=list)

    def add(self, cells: Any) -> None:
        if not self.alive:
            return
        cells = cells.drop_null()
        if not len(cells):
            return
        if not self.seen:
            self.formats = formats_of(str(cells[0].as_py()))
            self.seen = True
        read = {spelled: times for spelled in self.formats if (times := self._read(cells, spelled)) is not None}
        self.formats = list(read)
        self.alive = bool(read)
        if len(read) == 2:
            first, second = read.values()
            self.differ = self.differ or not first.equals(second)

    def _read(self, cells: Any, spelled: str) -> Any:
        try:
            return Dated(self.name, spelled).add(cells)
        except UnfitCell:
            return None

    @property
    def format(self) -> str | None:
        """The one that it is; None if it is none, or either."""
        return self.formats[0] if self.alive and self.formats and (len(self.formats) == 1 or not self.differ) else None

    @property
    def unsure(self) -> bool:
        return self.alive and self.seen and self.format is None


def formats_of(text: str) -> list[str]:
    """The formats that a text may be a date in, as `strptime` has them; none of what it is not."""
    for pattern, orders in ((DAY, ("d{0}%m{0}%Y", "m{0}%d{0}%Y")), (YEAR, ("Y{0}%m{0}%d",))):
        found = pattern.fullmatch(text)
        clock = _clock(found[2]) if found else None
        if found and clock is not None:
            return [f"%{order.format(found[1])}{clock}" for order in orders]
    return []


def _clock(text: str) -> str | None:
    if not text:
        return ""
    found = re.fullmatch(r"([ T])[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?", text)
    return None if not found else f"{found[1]}%H:%M" + (":%S" if found[2] else "") + (".%f" if found[3] else "")


# --------------------------------------------------------------------------- what a whole file says


class Evidence:
    """What is known of a file's decimal mark and dates: first from its sample, then from whole columns.

    Parameters
    ----------
    decimal, date_format
        What the caller said; neither is looked for then.
    line : int
        Of the first record, for what is refused.
    """

    def __init__(
        self,
        names: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        delimiter: str,
        decimal: str | None,
        date_format: str | Mapping[str, str | None] | None,
        file: str,
        line: int,
    ) -> None:
        self.delimiter, self.said_decimal, self.file, self.line = delimiter, decimal, file, line
        self.one_format = date_format if isinstance(date_format, str) else None
        self.left = set(date_format) if isinstance(date_format, Mapping) else set()  # columns that were spoken of
        told = date_format if isinstance(date_format, Mapping) else {}
        self.said_dates = {column: spelled for column, spelled in told.items() if spelled}
        self._check_columns(names)
        self.marks = {name: Marks() for name in names}
        self.days = {name: Days(name) for name in names}
        whole = [row for row in rows if len(row) == len(names)]
        for name, column in zip(names, zip(*whole, strict=True), strict=False):
            self._add(name, pa.chunked_array([pa.array([cell or None for cell in column], pa.string())]))
        self.shared = self._shared()
        self.sure = decimal or self._of_sample()

    def _check_columns(self, names: Sequence[str]) -> None:
        for column in self.left:
            if column not in names:
                cure = known_names(column, names)
                raise OptionError(f"date_format= names {column!r}.", cure=cure, resource=self.file)

    def _add(self, name: str, cells: Any) -> None:
        if self.said_decimal is None:
            self.marks[name].add(cells)
        if self.one_format is None and name not in self.left:
            self.days[name].add(cells)

    def _of_sample(self) -> str | None:
        """The decimal mark, where the sample alone settles it."""
        try:
            return self.decimal([])
        except IngestionException:
            return None

    def _shared(self) -> str | None:
        """The one format of all dates in the sample, where each column of them settles it by itself."""
        dated = [each for each in self.days.values() if each.alive and each.seen]
        found = {each.formats[0] for each in dated}
        alone = all(len(each.formats) == 1 for each in dated)
        return found.pop() if alone and len(found) == 1 and not self.left else None

    @property
    def first(self) -> Spelling:
        """How to read the file to begin with."""
        dates = self.one_format or self.shared or self.said_dates or None
        return Spelling(self.delimiter, decimal=self.sure or ".", date_format=dates)

    def unsettled(self, schema: FrameSchema) -> list[str]:
        """The columns of which all cells must be looked at as text."""
        wanted = []
        for each in schema.fields:
            days, marks = self.days[each.name], self.marks[each.name]
            dated = self.one_format is None and each.name not in self.left and days.alive
            marked = self.said_decimal is None and marks.alive
            perhaps_point = each.kind == "float" and self.sure is None and self.delimiter != ","
            unseen = each.kind == "time" and not days.seen
            if (dated and (each.kind == "text" or unseen)) or (marked and (each.kind == "text" or perhaps_point)):
                wanted.append(each.name)
        return wanted

    def add(self, piece: Any) -> None:
        """All cells of those columns, a piece at a time."""
        for name in piece.column_names:
            self._add(name, piece.column(name))

    def settled(self, schema: FrameSchema) -> Spelling:
        """How to read the file, all cells having been looked at.

        Raises
        ------
        IngestionException
            It can be read in more than one way.
        """
        points = [each.name for each in schema.fields if each.kind == "float"] if self.delimiter == "," else []
        decimal = self.said_decimal or self.decimal(points) or "."
        if self.one_format:
            return Spelling(self.delimiter, decimal=decimal, date_format=self.one_format)
        dates = {**self.said_dates, **self.dates()}
        found = self.first.date_format
        same = isinstance(found, str) and set(dates.values()) == {found}
        return Spelling(self.delimiter, decimal=decimal, date_format=found if same else dates or None)

    def decimal(self, points: Sequence[str]) -> str | None:
        """What stands before a fraction; None if nothing says so.

        Parameters
        ----------
        points : sequence of str
            Columns that are numbers with a point in a file whose delimiter is the comma, where that is the custom.
        """
        there = {column: found for column, found in self.marks.items() if found.marked}
        comma = [column for column, found in there.items() if "," in found.sure]
        point = [*points, *(column for column, found in there.items() if "." in found.sure)]
        doubtful = [column for column, found in there.items() if not found.sure]
        if self.delimiter == ",":
            if point:
                return "."
            doubtful = [*comma, *(column for column in doubtful if "," in there[column].either)]
        elif comma and point:
            raise self._either(f"{comma[0]!r} has a decimal comma, and {point[0]!r} a decimal point")
        elif comma or point:
            return "," if comma else "."
        if doubtful:
            raise self._either(f"the mark in the numbers of {doubtful[0]!r} may stand before a fraction or a thousand")
        return None

    def _either(self, why: str) -> IngestionException:
        cure = "Pass decimal=',' or decimal='.'; what is then no number stays text."
        return IngestionException(
            f"{self.file}, line {self.line}: {why}.", cure=cure, line=self.line, resource=self.file
        )

    def dates(self) -> dict[str, str]:
        """The format of each column of dates, which must settle it by itself: others may be written otherwise."""
        for column, each in self.days.items():
            if each.unsure:
                first, second = each.formats
                raise IngestionException(
                    f"{self.file}, line {self.line}: the dates of {column!r} may have the day or the month first.",
                    cure=f"Pass date_format={{{column!r}: {first!r}}} or {second!r}, or None to leave it as text.",
                    line=self.line,
                    resource=self.file,
                )
        return {column: each.format for column, each in self.days.items() if each.format}

    def told(self, schema: FrameSchema) -> list[str]:
        """What a reader should know of what was found."""
        notes = []
        for each in schema.fields:
            days, marks = self.days[each.name], self.marks[each.name]
            if each.kind == "time" and days.alive and days.seen and self.one_format is None:
                notes.append(f"The dates of {each.name!r} were read as {days.formats[0]}.")
            if each.kind == "text" and marks.marked:
                notes.append(
                    f"{each.name!r} holds numbers with marks between thousands, needless zeros or too many digits: "
                    "it is text."
                )
        return notes
