"""How far a source was read: the largest value of a column and the rows that have it, so that none comes twice."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from framework.errors import DataException, SchemaError
from framework.mods.values import text_of

MOST_KNOWN = 10_000  # rows of the largest value that are known again
Rank = Callable[[Any], Any]


class Progress:
    """Rows as they come, by a value that grows.

    Rows of the largest value may still come when it was read, so a source is asked for that value again, and those
    that are known are left out. Where they are too many to be known, only larger values are read.

    Parameters
    ----------
    column : str
    kept : mapping, optional
        What `kept` gave the last time.
    start : optional
        From where on it is read the first time.
    rank : callable
        What values are compared by.
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
        rank: Rank = lambda value: value,
        drops: bool = False,
    ) -> None:
        self.column, self._rank, self._drops = column, rank, drops
        told = {} if kept is None else kept["known"]
        self.value: Any = None if kept is None else loaded(kept["value"])
        self._begun = self.value
        self.since = start if kept is None else self.value
        self._before = None if told is None else Counter(told)
        self._seen = None if told is None else Counter(told)
        self.known = 0

    @property
    def asks_again(self) -> bool:
        """Whether rows of the last value itself are to be read again."""
        return self._before is not None

    def is_new(self, value: Any, row: Any) -> bool:
        """Whether the row was not read before.

        Raises
        ------
        DataException
            It has no value.
        SchemaError
            Its value is of another type than those before it.
        """
        if self._begun is not None and not self._is_beyond(value, row):
            self.known += 1
            return False
        place = self._against(value, self.value)
        if place > 0:
            self.value, self._seen = value, Counter()
        if place >= 0 and self._seen is not None:
            self._seen[mark_of(row)] += 1
            if len(self._seen) > MOST_KNOWN:
                self._seen = None
        return True

    def _is_beyond(self, value: Any, row: Any) -> bool:
        """Whether it is beyond what was read before, or beside it."""
        place = self._against(value, self._begun)
        if place < 0:
            return not self._drops
        if place > 0:
            return True
        if self._before is None:
            return not self._drops
        mark = mark_of(row) if self._before else ""
        if self._before[mark] > 0:
            self._before[mark] -= 1
            return False
        return True

    def _against(self, value: Any, other: Any) -> int:
        """1 for larger, 0 for the same, -1 for less."""
        if value is None:
            raise DataException(
                f"A row has no value in the cursor's column {self.column!r}: it would be read each time, or never.",
                cure="Leave such rows out where they come from, or fill them.",
                resource=self.column,
            )
        if other is None:
            return 1
        try:
            mine, theirs = self._rank(value), self._rank(other)
            return int(mine > theirs) - int(mine < theirs)
        except TypeError:
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
            yield (
                f"More than {MOST_KNOWN:,} rows have the value {self.value} in {self.column!r}, by which new ones are "
                "found: rows of that value that come later are not read."
            )

    def kept(self) -> dict[str, Any] | None:
        """What to keep for the next time, as JSON has it; it never goes back."""
        if self.value is None:
            return None
        known = None if self._seen is None else dict(sorted(self._seen.items()))
        return {"value": stored(self.value), "known": known}


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
    """What values from JSON are compared by: whole numbers and moments as such, also where they are text."""
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return moment.timestamp() if moment.tzinfo else (moment - datetime(1970, 1, 1)).total_seconds()
