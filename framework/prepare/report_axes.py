"""Axes with round numbers or dates, and the canvas on which a picture of the report is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from html import escape
from typing import Any

from framework.prepare.report_text import cut, visible

WIDE, TALL = 420.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 22.0, 40.0
TICKS = 6
EPOCH = date(1970, 1, 1).toordinal()
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)


def fitted(number: float) -> str:
    """A coordinate, no longer than it must be."""
    return f"{number:.1f}".removesuffix(".0")


def short(number: Any) -> str:
    """A number as an axis has it: 12.5k, 3.2M, 0.004."""
    value = float(number)
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if letter == "k" else limit)
            return f"{scaled:.4g}{letter}".replace("-", "−") if abs(scaled) < 1e5 else f"{value:.2g}"
    return f"{value:,.4g}".replace("-", "−", 1) if value == value else ""


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis spans, where its ticks stand, and how a place on it is said."""

    low: float
    high: float
    ticks: list[tuple[float, str]]
    label: str
    say: Callable[[float], str]

    def share(self, value: float) -> float:
        """Where a value is, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def axis_of(
    low: float, high: float, *, label: str, is_date: bool = False, whole: bool = False, room: float = 0.03
) -> Axis:
    """An axis that holds both, with some room beyond what is not zero, and round ticks on it."""
    if is_date:
        return _dates(low, high, label)
    if not high - low > max(abs(low), abs(high)) * 1e-12:
        spare = abs(high) * 0.1 or 1.0
        low, high = low - spare, high + spare
    spare = min((high - low) * room, 1e300)
    low, high = low - (spare if low else 0.0), high + (spare if high else 0.0)
    step = _step((high - low) / TICKS)
    step = max(step, 1.0) if whole else step
    places = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ticks = [(place * step, short(place * step)) for place in places]
    return Axis(low, high, ticks, label, short)


def _step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, the nearest that is not smaller."""
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 1e-300 else 1e-300
    return next((each * power for each in (1, 2, 5) if each * power >= rough * 0.999), 10 * power)


def _dates(low: float, high: float, label: str) -> Axis:
    """Days since 1970; ticks at the beginnings of months or years, or at days."""
    if high - low < 1:
        low, high = low - 1, high + 1
    if high - low <= 70:
        step = next(each for each in (1, 2, 7, 14) if (high - low) / each <= TICKS + 1)
        places = [
            float(day) for day in range(math.ceil(low), math.floor(high) + 1) if (day - math.ceil(low)) % step == 0
        ]
        return Axis(low, high, [(day, _day(day)[5:]) for day in places], label, _day)
    step = next((each for each in MONTHS if (high - low) / 30.4 / each <= TICKS + 1), 1200)
    ticks = []
    first, last = _date(low), _date(high)
    for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        begin = float(date(month // 12, month % 12 + 1, 1).toordinal() - EPOCH)
        if month % step == 0 and low <= begin <= high:
            ticks.append((begin, f"{month // 12}" if step % 12 == 0 else f"{month // 12}-{month % 12 + 1:02}"))
    return Axis(low, high, ticks, label, _day)


def _date(day: float) -> date:
    return date.fromordinal(EPOCH) + timedelta(days=math.floor(day))


def _day(day: float) -> str:
    return _date(day).isoformat()


@dataclass(slots=True)
class Canvas:
    """A picture with two axes; what is drawn is in units of the axes."""

    x: Axis
    y: Axis
    shapes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + self.x.share(x) * (WIDE - LEFT - RIGHT),
            TALL - BOTTOM - self.y.share(y) * (TALL - TOP - BOTTOM),
        )

    def bar(self, left: float, right: float, height: float, words: str, *, gap: float = 0.04) -> None:
        """From zero to its height."""
        (begin, top), (end, base) = self._at(left, max(height, 0.0)), self._at(right, min(height, 0.0))
        room = (end - begin) * gap
        tall = max(base - top, 0.8)
        self.shapes.append(
            f'<rect class="mark" x="{fitted(begin + room)}" y="{fitted(base - tall)}" '
            f'width="{fitted(max(end - begin - 2 * room, 0.5))}" height="{fitted(tall)}" rx="1.5">'
            f"<title>{escape(words)}</title></rect>"
        )

    def name(self, place: float, name: str, *, of: int) -> None:
        """What a bar is called, under it."""
        at, _ = self._at(place, self.y.low)
        told = cut(name, max(int(64 / of), 2))
        self.names.append(f'<text x="{fitted(at)}" y="{fitted(TALL - BOTTOM + 14)}" class="mid">{escape(told)}</text>')

    def line(self, across: list[float], up: list[float]) -> None:
        """Through all points, with a gap where one is missing; a point that stands alone is a dot."""
        runs: list[list[tuple[float, float]]] = [[]]
        for x, y in zip(across, up, strict=True):
            if y != y:
                runs.append([])
            else:
                runs[-1].append(self._at(x, y))
        for run in runs:
            if len(run) == 1:
                self.shapes.append(f'<circle class="mark" cx="{fitted(run[0][0])}" cy="{fitted(run[0][1])}" r="1.6"/>')
            elif run:
                points = " ".join(f"{fitted(x)},{fitted(y)}" for x, y in run)
                self.shapes.append(f'<polyline class="stroke" points="{points}"/>')

    def point(self, x: float, y: float) -> None:
        """A dot that lets others be seen through it."""
        at, tall = self._at(x, y)
        self.shapes.append(f'<circle class="dot" cx="{fitted(at)}" cy="{fitted(tall)}" r="2"/>')

    def svg(self, title: str) -> str:
        """The whole picture."""
        base, right = TALL - BOTTOM, WIDE - RIGHT
        grid, texts = [], list(self.names)
        for tick, said in self.y.ticks:
            _, at = self._at(self.x.low, tick)
            grid.append(f'<line x1="{fitted(LEFT)}" x2="{fitted(right)}" y1="{fitted(at)}" y2="{fitted(at)}"/>')
            texts.append(f'<text x="{fitted(LEFT - 6)}" y="{fitted(at + 3.5)}" class="end">{escape(said)}</text>')
        for tick, said in self.x.ticks:
            at, _ = self._at(tick, self.y.low)
            texts.append(f'<text x="{fitted(at)}" y="{fitted(base + 14)}" class="mid">{escape(said)}</text>')
        texts.append(f'<text x="0" y="11" class="label">{_label(self.y.label)}</text>')
        texts.append(
            f'<text x="{fitted(right)}" y="{fitted(TALL - 7)}" class="label end">{_label(self.x.label)}</text>'
        )
        return (
            f'<svg class="plot" viewBox="0 0 {fitted(WIDE)} {fitted(TALL)}" role="img" '
            f'aria-label="{escape(visible(title))}"><g class="grid">{"".join(grid)}</g>{"".join(self.shapes)}'
            f'<g class="words">{"".join(texts)}</g></svg>'
        )


def _label(label: str) -> str:
    return escape(cut(visible(label), 60))
