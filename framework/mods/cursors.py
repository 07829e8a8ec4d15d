"""How far a source was read: the largest value of a column and the rows that have it, so that none comes twice."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from framework.errors import DataException, SchemaError
from framework.mods.values import text_of

MOST_KNOWN = 10_000  # rows of the largest value that are known again; and as many others, where no order is known
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
Rank = Callable[[Any], Any]


def rank_of_cell(value: Any) -> Any:
    """What values of a database are compared by: none for text, which each database orders in its own way."""
    return None if isinstance(value, str) else value


class Progress:
    """Rows as they come, by a value that grows.

    Rows of the largest value may still come when it was read, so a source is asked for that value again, and those
    that are known are left out. Where they are too many to be known, only larger values are read.

    Of text that is neither a number nor a moment only the source knows the order (`ORD-10` is behind `ORD-9`, and `B`
    behind `a` or not). There no row is left out for being less, but only for being known: what came is remembered.

    Parameters
    ----------
    column : str
    kept : mapping, optional
        What `kept` gave the last time.
    start : optional
        From where on it is read the first time.
    rank : callable
        What values are compared by; None where no order of them is known.
    drops : bool
        Whether rows below the last value are left out, where a source gives them nevertheless.

    Attributes
    ----------
    since : optional
        From where on the source is to be read.
    value : optional
        The largest value so far.
    known : int
        How many rows were left out.
    """

    def __init__(
        self,
        column: str,
        kept: Mapping[str, Any] | None,
        *,
        start: Any = None,
        rank: Rank = rank_of_cell,
        drops: bool = False,
    ) -> None:
        self.column, self._rank, self._drops = column, rank, drops
        told = {} if kept is None else kept["known"]
        beside = {} if kept is None else kept.get("beside", {})
        self.value: Any = None if kept is None else loaded(kept["value"])
        self._begun = self.value
        self.since = start if kept is None else self.value
        self._before = None if told is None else Counter(told) + Counter(beside)
        self._seen = None if told is None else Counter(told)
        self._beside = Counter(beside)  # rows of no known order, the last of them at the end
        self._tops: frozenset[Any] | None = None
        self._forgot = False
        self.known = 0

    @property
    def asks_again(self) -> bool:
        """Whether rows of the last value itself are to be read again."""
        return self._before is not None

    @property
    def may_be_text(self) -> bool:
        """Whether the source itself has to say which value is the largest."""
        return self._begun is None or self._is_unordered(self._begun)

    def lead(self, largest: Any, beside: Iterable[Any]) -> None:
        """Take the source's word for the largest value, and for those that it holds to be the same."""
        tops = frozenset({largest, *beside})
        if self.value not in tops:
            self._seen = Counter()
        self.value, self._tops = largest, tops

    def is_new(self, value: Any, row: Any) -> bool:
        """Whether the row was not read before.

        Raises
        ------
        DataException
            It has no value.
        SchemaError
            Its value is of another type than those before it.
        """
        if value is None:
            raise DataException(
                f"A row has no value in the cursor's column {self.column!r}: it would be read each time, or never.",
                cure="Leave such rows out where they come from, or fill them.",
                resource=self.column,
            )
        if self._begun is not None and not self._is_beyond(value, row):
            self.known += 1
            return False
        self._note(value, row)
        return True

    def _is_beyond(self, value: Any, row: Any) -> bool:
        """Whether it is beyond what was read before, or beside it."""
        place = self._against(value, self._begun)
        if place:
            return place > 0 or not self._drops
        if self._before is None:
            return place is None or not self._drops
        mark = mark_of(row) if self._before else ""
        if self._before[mark] > 0:
            self._before[mark] -= 1
            if mark in self._beside:  # what came last is remembered longest
                self._beside[mark] = self._beside.pop(mark)
            return False
        return True

    def _note(self, value: Any, row: Any) -> None:
        """Remember a row that is new."""
        place = self._place(value)
        if place > 0:
            if self._is_unordered(value) or self._is_unordered(self.value):
                self._put_aside(self._seen or {})
            self.value, self._seen = value, Counter()
        if place >= 0:
            if self._seen is not None:
                self._seen[mark_of(row)] += 1
                if len(self._seen) > MOST_KNOWN:
                    self._seen = None
        elif self._tops is None and (self._is_unordered(value) or self._is_unordered(self.value)):
            self._put_aside({mark_of(row): 1})

    def _place(self, value: Any) -> int:
        """Where it stands to the largest value; what has no order by its letters, so that one is chosen."""
        if self._tops is not None:
            return 0 if value in self._tops else -1
        place = self._against(value, self.value)
        return int(value > self.value) - int(value < self.value) if place is None else place

    def _put_aside(self, marks: Mapping[str, int]) -> None:
        for mark, count in marks.items():
            self._beside[mark] = self._beside.pop(mark, 0) + count
        while len(self._beside) > MOST_KNOWN:
            del self._beside[next(iter(self._beside))]
            self._forgot = True

    def _is_unordered(self, value: Any) -> bool:
        return isinstance(value, str) and self._rank(value) is None

    def _against(self, value: Any, other: Any) -> int | None:
        """1 for larger, 0 for the same, -1 for less; None for text of which no order is known."""
        if other is None:
            return 1
        texts = isinstance(value, str) and isinstance(other, str)
        try:
            mine, theirs = self._rank(value), self._rank(other)
            if texts and (mine is None or theirs is None):
                return None
            return int(mine > theirs) - int(mine < theirs)
        except TypeError:
            if texts:  # a number and a moment
                return None
            raise SchemaError(
                f"The cursor's column {self.column!r} holds {type(value).__name__} {value}, and was read up to "
                f"{type(other).__name__} {other}.",
                cure="Let all of it be of one type.",
                resource=self.column,
            ) from None

    @property
    def notes(self) -> Iterator[str]:
        """What the reader should know."""
        if self._seen is None:
            comes = (
                "may come twice" if self._drops and self._is_unordered(self.value) else "that come later are not read"
            )
            yield (
                f"More than {MOST_KNOWN:,} rows have the value {self.value} in {self.column!r}, by which new ones are "
                f"found: rows of that value {comes}."
            )
        if self._forgot:
            yield (
                f"{self.column!r} holds text that is neither number nor moment, so rows are known again by themselves, "
                f"and only the last {MOST_KNOWN:,} are remembered: where more of them come anew, some come twice."
            )

    def kept(self) -> dict[str, Any] | None:
        """What to keep for the next time, as JSON has it; it never goes back."""
        if self.value is None:
            return None
        known = None if self._seen is None else dict(sorted(self._seen.items()))
        beside = {"beside": dict(self._beside)} if self._beside else {}
        return {"value": stored(self.value), "known": known, **beside}


def mark_of(row: Any) -> str:
    """What tells a row from others."""
    if isinstance(row, Mapping):
        text = text_of(dict(row))
    else:
        text = "\x1f".join("" if cell is None else f"{type(cell).__name__}:{text_of(cell)}" for cell in row)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def stored(value: Any) -> Any:
    """A value as JSON holds it."""
    if type(value) in (bool, int, float, str):
        return value
    if isinstance(value, date):
        return {"datetime" if isinstance(value, datetime) else "date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, bytes | memoryview):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    return str(value)


def loaded(kept: Any) -> Any:
    """The value that `stored` made that of."""
    if not isinstance(kept, Mapping):
        return kept
    [(name, text)] = kept.items()
    make: dict[str, Callable[[str], Any]] = {
        "datetime": datetime.fromisoformat,
        "date": date.fromisoformat,
        "decimal": Decimal,
        "bytes": base64.b64decode,
    }
    return make[name](text)


def rank_of_text(value: Any) -> Any:
    """What values from JSON are compared by: numbers and moments as such, also where they are text; no other text."""
    if not isinstance(value, str):
        return value
    if NUMBER.fullmatch(value):
        return Decimal(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
