"""What a run found: medians, ratios, goals; as lines on a terminal, as JSON, as a table for the docs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rows import OURS, Goal, Place, Row

BEGIN, END = "<!-- made by benchmarks/run.py -->\n", "<!-- until here -->\n"


@dataclass(slots=True)
class Timed:
    """What one case took, a figure for each round."""

    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    part: int | None = None
    error: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def memory(self) -> float | None:
        return max(self.peak_mb) if self.peak_mb else None


@dataclass(slots=True)
class Line:
    """Ours beside one other."""

    work: str
    who: str
    ours: float
    theirs: float | None
    ratio: float
    best: float
    target: str = ""
    reached: bool | None = None
    ours_mb: float | None = None
    theirs_mb: float | None = None
    note: str = ""
    told: str = ""  # of memory, in the docs


def lines(row: Row, timed: dict[str, Timed], place: Place) -> Iterator[Line]:
    """One line for each other that was measured, with the goal that speaks of it."""
    ours = timed.get(OURS)
    if ours is None or not ours.seconds:
        return
    if row.rate is not None and not row.goals[0].of:
        yield _rate_line(row, ours, place)
    if row.most_mb is not None and ours.memory is not None:
        yield _memory_line(row, ours.memory)
    goals = {_fastest(goal, timed): goal for goal in row.goals}
    if "" in goals and row.rate is None:
        goal = goals[""]
        reached = ours.median <= goal.factor
        yield Line(row.title, "", ours.median, None, ours.median / goal.factor, 0, goal.text, reached, ours.memory)
    for who, other in timed.items():
        if who != OURS and other.seconds:
            line = _line(row, who, ours, other, goals.get(who))
            if row.rate is not None:
                rates = [row.rate(place) / each.median / 1e6 for each in (ours, other)]
                line.note = "; ".join(part for part in (f"{rates[0]:.0f} / {rates[1]:.0f} MB/s", line.note) if part)
            line.told = (
                f"; {ours.memory:.0f} / {other.memory:.0f} MB" if row.memory and ours.memory and other.memory else ""
            )
            yield line


def _fastest(goal: Goal, timed: dict[str, Timed]) -> str | None:
    """Which of those that a goal names was the fastest here; "" when it names none, None when all are absent."""
    if not goal.of:
        return ""
    there = [who for who in goal.of if who in timed and timed[who].seconds]
    return min(there, key=lambda who: timed[who].median) if there else None


def _line(row: Row, who: str, ours: Timed, other: Timed, goal: Goal | None) -> Line:
    ratio, best = ours.median / other.median, ours.best / other.best
    target, reached = ("", None) if goal is None else (goal.text, ratio <= goal.factor)
    note = f"scaled from {other.part:,} rows" if other.part else ""
    return Line(
        row.title, who, ours.median, other.median, ratio, best, target, reached, ours.memory, other.memory, note
    )


def _rate_line(row: Row, ours: Timed, place: Place) -> Line:
    assert row.rate is not None
    goal, rate = row.goals[0], row.rate(place) / ours.median / 1e9
    note = f"{rate:.2f} GB/s" if rate >= 1 else f"{rate * 1000:.0f} MB/s"
    return Line(row.title, "", ours.median, None, rate, 0, goal.text, rate >= goal.factor, note=note)


def _memory_line(row: Row, peak: float) -> Line:
    assert row.most_mb is not None
    target, note = f"<= {row.most_mb:.0f} MB", f"{peak:.0f} MB"
    return Line(f"{row.title}: memory", "", 0, None, 0, 0, target, peak <= row.most_mb, note=note)


# --------------------------------------------------------------------------- shown


def text(found: list[Line]) -> str:
    """For a terminal."""
    answer, before = [_spread("", "millpond", "other", "", "ratio", "best", "target", "reached", "memory MB", "")], ""
    for line in found:
        work = line.work if line.work != before else ""
        before = line.work
        alone = line.theirs is None
        theirs = "" if line.theirs is None else seconds(line.theirs)
        ratios = ("", "") if alone else (f"{line.ratio:.2f}", f"{line.best:.2f}")
        reached = {True: "yes", False: "NO", None: ""}[line.reached]
        told = (
            work,
            seconds(line.ours) if line.ours else "",
            theirs,
            line.who,
            *ratios,
            line.target,
            reached,
            _memory(line),
            line.note,
        )
        answer.append(_spread(*told))
    return "\n".join(answer)


def _spread(*cells: str) -> str:
    widths = ("<40", ">10", ">10", "<34", ">7", ">7", "<14", "<8", ">12", "<1")
    return " ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _memory(line: Line) -> str:
    if line.ours_mb is None or line.theirs_mb is None:
        return ""
    return f"{line.ours_mb:.0f} / {line.theirs_mb:.0f}"


def seconds(value: float) -> str:
    """A time with three digits or so."""
    if value >= 10:
        return f"{value:.1f} s"
    if value >= 0.1:
        return f"{value:.2f} s"
    return f"{value * 1000:.1f} ms" if value >= 0.001 else f"{value * 1e6:.0f} us"


def markdown(found: list[Line], head: str) -> str:
    """The same as a table for the docs, ratios alone: times are of one machine."""
    answer = [head, "", "| work | beside | ratio | target | reached |", "|---|---|---|---|---|"]
    for line in found:
        if line.theirs is None:
            ratio = line.note or seconds(line.ours)
        else:
            faster = f" ({1 / line.ratio:.1f}x faster)" if line.ratio < 0.7 else ""
            ratio = f"{line.ratio:.2f}{faster}{line.told}"
        reached = {True: "yes", False: "no", None: ""}[line.reached]
        answer.append(f"| {line.work} | {line.who} | {ratio} | {line.target} | {reached} |")
    return "\n".join(answer) + "\n"


def put_into(page: Path, table: str) -> None:
    """Put the table into the page, between its marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has not the marks {BEGIN.strip()} and {END.strip()}.")
    page.write_text(f"{before}{BEGIN}{table}{END}{after}", encoding="utf-8")


def as_json(rows: dict[str, dict[str, Timed]], found: list[Line], about: dict[str, Any]) -> dict[str, Any]:
    """All figures of a run."""
    cases = {row: {who: asdict(each) for who, each in timed.items()} for row, timed in rows.items()}
    return {"about": about, "lines": [asdict(line) for line in found], "cases": cases}
