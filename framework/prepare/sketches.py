"""Quantiles and moments of numbers that come a piece at a time, in memory that hardly grows with their count.

Munro and Paterson, Selection and sorting with limited storage (1980); Manku, Rajagopalan and Lindsay, Approximate
medians and other quantiles in one pass and with limited memory (1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from framework.prepare.anomalies import quantile_of

ROOM = 1 << 15  # values of a level
COLUMNS = 16  # so many have that room; more share it
LEAST_ROOM = 1 << 11
GREATEST = 1e150  # whose square is still a number: mean and std are of values up to it


def room_of(columns: int) -> int:
    """The room that each of so many columns has, a power of two."""
    shared = ROOM * COLUMNS // max(columns, COLUMNS)
    return max(1 << (shared.bit_length() - 1), LEAST_ROOM)


class Sketch:
    """Quantiles of all values that were added: exact while they fit into the room, else near.

    A room that is full is sorted, and every other value goes on to the next level, where it stands for two. That moves
    no rank by more than what one value stands for, so that of n values and L levels a rank is off by at most
    (L + 2) n / room: for a room of 32,768 by 0.034 % of ten million values and by 0.052 % of a billion. It does not
    depend on the order in which they come.
    """

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self.count = 0
        self._new, self._filled = np.empty(room), 0
        self._levels: list[Any] = []
        self._full: list[bool] = []  # which levels have half a room of values
        self._odd = 0

    @property
    def error(self) -> float:
        """The most by which a rank is off, as a share of the count; 0 where quantiles are exact."""
        return (len(self._levels) + 2) / self.room if self._levels else 0.0

    def add(self, values: Any) -> None:
        """Some more, none of them NaN."""
        self.count += len(values)
        at = 0
        while at < len(values):
            taken = min(self.room - self._filled, len(values) - at)
            self._new[self._filled : self._filled + taken] = values[at : at + taken]
            self._filled += taken
            at += taken
            if self._filled == self.room:
                self._new.sort()
                self._pass_on(0, self._new)
                self._filled = 0

    def _pass_on(self, level: int, ordered: Any) -> None:
        """Every other value goes to that level; now the even ones and now the odd, so that errors make up."""
        if level == len(self._levels):
            self._levels.append(np.empty(self.room))
            self._full.append(False)
        half, room = self.room // 2, self._levels[level]
        self._odd ^= 1
        if not self._full[level]:
            room[:half] = ordered[self._odd :: 2]
            self._full[level] = True
            return
        room[half:] = ordered[self._odd :: 2]
        room.sort(kind="stable")  # of two runs in order, a merge
        self._full[level] = False
        self._pass_on(level + 1, room)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """The values at those shares of all; linear between two values where they are exact, as NumPy has it."""
        if not self.count:
            return []
        if not self._levels:
            ordered = np.sort(self._new[: self._filled])
            with np.errstate(invalid="ignore"):  # between two without end
                return [quantile_of(ordered, share) for share in shares]
        parts = [self._new[: self._filled]]
        stands_for = [np.ones(self._filled, dtype=np.int64)]
        for level, room in enumerate(self._levels):
            if self._full[level]:
                parts.append(room[: self.room // 2])
                stands_for.append(np.full(self.room // 2, 2 << level, dtype=np.int64))
        values = np.concatenate(parts)
        order = values.argsort(kind="stable")
        upto = np.concatenate(stands_for)[order].cumsum()
        ranks = [share * (self.count - 1) + 1 for share in shares]
        places = np.minimum(np.searchsorted(upto, ranks), len(values) - 1)
        return [float(values[order[place]]) for place in places]


class Moments:
    """Count, range, mean and deviation of all values that were added (Chan, Golub and LeVeque 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.low: Any = np.inf
        self.high: Any = -np.inf
        self.whole = True
        self._fit, self._mean, self._square = 0, 0.0, 0.0

    def add(self, values: Any, *, whole: bool = False) -> None:
        """Some more, none of them NaN; `whole` asks whether they are whole numbers."""
        if not len(values):
            return
        low, high = self.within(values)
        self.whole = self.whole and whole and bool((np.floor(values) == values).all())
        if low < -GREATEST or high > GREATEST:
            values = values[np.abs(values) <= GREATEST]
        if len(values):
            self._merge(len(values), float(values.mean()), values)

    def within(self, values: Any) -> tuple[Any, Any]:
        """Take note of their range alone."""
        low, high = values.min().item(), values.max().item()
        self.count += len(values)
        self.low, self.high = min(self.low, low), max(self.high, high)
        return low, high

    def _merge(self, count: int, mean: float, values: Any) -> None:
        away = values - mean
        apart, both = mean - self._mean, self._fit + count
        self._square += float(np.square(away, out=away).sum()) + apart * apart * self._fit * (count / both)
        self._mean += apart * (count / both)
        self._fit = both

    @property
    def mean(self) -> float | None:
        return self._mean if self._fit else None

    @property
    def std(self) -> float | None:
        """Of a sample, n - 1."""
        return float(np.sqrt(self._square / (self._fit - 1))) if self._fit > 1 else None
