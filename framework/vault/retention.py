"""Which backups may go: never those that someone may need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

KEEP = 30
FLOOR = 3

T = TypeVar("T")


def spare(backups: Sequence[T], *, keep: int, good: Callable[[T], bool]) -> list[T]:
    """Those that are older than the last `keep` and than the `FLOOR` newest good ones.

    Parameters
    ----------
    backups : sequence
        Oldest first.
    keep : int
        How many of the newest stay, good or not.
    good : callable
        Whether one can be restored. It costs a reading of all its bytes, so only as many are asked, from the newest
        on, as it takes to find `FLOOR` good ones.
    """
    if len(backups) <= keep:
        return []
    found = 0
    for place in range(len(backups) - 1, -1, -1):
        found += good(backups[place])
        if found == FLOOR:
            return list(backups[: min(place, len(backups) - keep)])
    return []
