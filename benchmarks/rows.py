"""What a benchmark is made of: rows of cases that take turns, and the goals that ours is held against.

Imported by the run and by each process that measures, ours or a peer's: it needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = "millpond"


@dataclass(frozen=True, slots=True)
class Place:
    """What a measuring process is given.

    Attributes
    ----------
    folder : Path
        Of this run, with the data in it.
    rows : int
        Of `prices`; `customers` has half as many.
    url : str
        The PostgreSQL server, or nothing.
    turn : int
        Which round this is, from 0.
    quick : bool
        Whether it is only tried out.
    """

    folder: Path
    rows: int
    url: str
    turn: int
    quick: bool

    def scratch(self, *names: str) -> Path:
        """A folder of that name in the run's, made where it is missing."""
        folder = self.folder.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


Call = Callable[[], int | float]  # a float is the seconds, where the work itself tells them


@dataclass(frozen=True, slots=True)
class Case:
    """One way of doing the work.

    Attributes
    ----------
    who : str
        As it is shown.
    peer : str
        Whose environment it runs in.
    prepare : callable, optional
        Gives the call that is timed, which says how many rows it moved. What it does before is not timed.
    command : sequence of str, optional
        Instead: the command that is timed, from start to end; its first word is `python` or one of the environment's.
    part : int, optional
        It moves only so many rows, and its time is scaled up.
    calls : int
        How often it is called in one process; the median counts.
    turns : int, optional
        It takes part in so many rounds at most.
    """

    who: str
    peer: str
    prepare: Callable[[Place], Call] | None = None
    command: Sequence[str] | None = None
    part: int | None = None
    calls: int = 1
    turns: int | None = None

    @property
    def ours(self) -> bool:
        return self.who == OURS


@dataclass(frozen=True, slots=True)
class Goal:
    """Ours is to take at most `factor` times what the fastest of `of` takes; of none: at most `factor` itself."""

    factor: float
    of: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One work, done by several.

    Attributes
    ----------
    name : str
        By which `--only` picks it.
    size : callable
        How many rows the work has, given those of `prices`.
    rate : callable, optional
        Bytes moved, given the place, for what is judged by GB/s rather than by seconds.
    server : bool
        Whether it needs PostgreSQL.
    rounds : int
        At most; a row stops after three when it has taken a minute.
    memory : bool
        Whether the peaks of memory are told beside the times.
    most_mb : float, optional
        The peak that ours is held against.
    """

    name: str
    title: str
    cases: tuple[Case, ...]
    goals: tuple[Goal, ...]
    size: Callable[[int], int] = lambda rows: rows
    rate: Callable[[Place], int] | None = None
    server: bool = False
    rounds: int = 5
    memory: bool = False
    most_mb: float | None = None


def faster(times: float, of: str) -> Goal:
    """To be that many times faster than `of`."""
    return Goal(1 / times, (of,), f">= {times:g}x faster")


def within(factor: float, *of: str) -> Goal:
    """To take at most that many times what the fastest of those takes."""
    return Goal(factor, of, f"<= {factor:g}x")
