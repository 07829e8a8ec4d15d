"""Pictures of a report, as SVG that stands in the page: its colours are the page's, by day and by night.

They are drawn by hand: a page of thirty pictures takes milliseconds, no thread shares anything, and a text in one is
escaped like any other. A picture of more rows than a screen has points is of a sample, always the same, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.prepare.blueprint import Plot
from framework.prepare.report_axes import Axis, Canvas, axis_of, fitted, short
from framework.prepare.report_text import visible

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

SAMPLE = 100_000  # rows of a histogram
POINTS = 1_500  # of a scatter
VERTICES = 1_200  # of a line
BINS = 30
BARS = 12
SPARK_BINS = 24
DAY = 86_400.0
LARGEST = 1e150  # the span of two such numbers is still a number


def drawn(plot: Plot, columns: Mapping[str, pd.Series]) -> tuple[str, str]:
    """The picture of a blueprint's plot as SVG, and what is to be said under it.

    Parameters
    ----------
    columns : mapping
        By name, of one index; where one that the plot needs is missing, the SVG is empty and the words say it.
    """
    lacking = [name for name in (plot.x, plot.y) if name is not None and name not in columns]
    if lacking:
        return "", f"Not drawn: {', '.join(lacking)} is not among the columns."
    x, y = columns[plot.x], None if plot.y is None else columns[plot.y]
    kind = plot.kind
    if kind in ("line", "scatter") and (y is None or not _is_measured(x)):
        kind = "bar"
    if kind == "histogram" and not _is_measured(x):
        kind = "bar"
    if y is not None and not _is_measured(y):
        return "", f"Not drawn: {plot.y} is no number."
    return DRAW[kind](x, y, plot)


def _is_measured(column: pd.Series) -> bool:
    kind = pd.api.types
    return kind.is_numeric_dtype(column.dtype) or kind.is_datetime64_any_dtype(column.dtype)


def _is_date(column: pd.Series | None) -> bool:
    return column is not None and bool(pd.api.types.is_datetime64_any_dtype(column.dtype))


def measured(column: pd.Series) -> Any:
    """A column as float64, dates as days since 1970; NaN where nothing is, or what no axis can hold."""
    if _is_date(column):
        naive = column if getattr(column.dtype, "tz", None) is None else column.dt.tz_convert(None)
        seconds = naive.to_numpy("datetime64[s]")
        return np.where(np.isnat(seconds), np.nan, seconds.astype("int64") / DAY)
    values = column.to_numpy("float64", na_value=np.nan)
    return np.where(np.abs(values) < LARGEST, values, np.nan)


def sampled(count: int, most: int) -> Any:
    """Which of so many rows are drawn, in order: always the same; all where they are not too many."""
    if count <= most:
        return slice(None)
    return np.sort(np.random.default_rng(0).integers(0, count, most))


def _words(*parts: str) -> str:
    said = [part for part in parts if part]
    told = "; ".join(said)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def _of_sample(count: int, most: int) -> str:
    return f"a sample of {most:,} of {count:,} rows" if count > most else ""


# ---------------------------------------------------------------------------------------------- histogram


def histogram(x: pd.Series, y: pd.Series | None, plot: Plot) -> tuple[str, str]:
    """How many rows have which values."""
    values = measured(x)[sampled(len(x), SAMPLE)]
    known = values[~np.isnan(values)]
    if not len(known):
        return "", "Nothing to draw: there is no value."
    low, high, beyond = _span(known)
    edges = _edges(known, low, high, BINS)
    counts, edges = np.histogram(known, bins=edges)
    canvas = Canvas(
        axis_of(float(edges[0]), float(edges[-1]), is_date=_is_date(x), label=plot.x, room=0.0),
        axis_of(0, float(max(counts.max(), 1)), label="rows", whole=True),
    )
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            canvas.bar(left, right, count, f"{canvas.x.say(left)} to {canvas.x.say(right)}: {count:,} rows")
    return canvas.svg(plot.title), _words(_of_sample(len(x), SAMPLE), beyond)


def _span(known: Any) -> tuple[float, float, str]:
    """From where to where is drawn: not the far tails that would press all others into one bar."""
    low, high = float(known.min()), float(known.max())
    first, last = (float(each) for each in np.quantile(known, (0.005, 0.995)))
    if not last > first or high - low <= 2 * (last - first):
        return low, high, ""
    room = (last - first) * 0.25
    low, high = max(low, first - room), min(high, last + room)
    left = int(np.count_nonzero((known < low) | (known > high)))
    return low, high, f"{left:,} values lie further out" if left else ""


def _edges(known: Any, low: float, high: float, bins: int) -> Any:
    """A bar for each whole number where they are few, else bars of one width."""
    if high - low <= bins and bool((known == np.rint(known)).all()):
        return np.arange(math.floor(low), math.ceil(high) + 2) - 0.5
    if high - low <= abs(high) * 1e-9:
        room = abs(high) * 0.05 or 0.5
        return np.array([low - room, low - room / 5, high + room / 5, high + room])
    return np.linspace(low, high, bins + 1)


# ---------------------------------------------------------------------------------------------- bars


def bars(x: pd.Series, y: pd.Series | None, plot: Plot) -> tuple[str, str]:
    """How many rows each value has, or the mean of what they have there."""
    known = x.notna() if y is None else x.notna() & y.notna()
    keys = x[known]
    if not len(keys):
        return "", "Nothing to draw: there is no value."
    grouped = keys.groupby(keys, observed=True, sort=True)
    sizes = grouped.size()
    heights = (
        sizes if y is None else pd.Series(measured(y[known]), index=keys.index).groupby(keys, observed=True).mean()
    )
    kept = heights.loc[sizes.nlargest(BARS).index].dropna()
    kept = kept.sort_index() if _is_measured(x) else kept.sort_values(ascending=False, kind="stable")
    if not len(kept):
        return "", "Nothing to draw: there is no value."
    numbers = [float(each) for each in kept]
    label = "rows" if y is None else f"mean of {plot.y}"
    spread = axis_of(min(0.0, *numbers), max(0.0, *numbers), label=label, whole=y is None)
    canvas = Canvas(Axis(-0.5, len(kept) - 0.5, [], plot.x, short), spread)
    for place, (key, height) in enumerate(zip(kept.index, numbers, strict=True)):
        name = key.date().isoformat() if _is_date(x) else short(key) if _is_measured(x) else visible(str(key))
        canvas.bar(place - 0.5, place + 0.5, height, f"{name}: {spread.say(height)}", gap=0.15)
        canvas.name(place, name, of=len(kept))
    left = len(sizes) - len(kept)
    return canvas.svg(plot.title), _words(f"the {len(kept)} most frequent; {left:,} more are not drawn" if left else "")


# ---------------------------------------------------------------------------------------------- lines


def line(x: pd.Series, y: pd.Series, plot: Plot) -> tuple[str, str]:
    """One number over another or over time; what stands at one place is summed."""
    across, up = measured(x), measured(y)
    there = ~np.isnan(across)
    at, up = across[there], up[there]
    if not len(at) or np.isnan(up).all():
        return "", "Nothing to draw: there is no value."
    places, which = np.unique(at, return_inverse=True)
    several = len(places) < len(at)
    known = ~np.isnan(up)
    heights = np.bincount(which[known], weights=up[known], minlength=len(places))
    heights[np.bincount(which[known], minlength=len(places)) == 0] = np.nan
    label = f"{plot.y}, summed at each {plot.x}" if several else str(plot.y)
    lowest, highest = float(np.nanmin(heights)), float(np.nanmax(heights))
    base = 0.0 if 0 <= lowest < highest * 0.6 else lowest
    canvas = Canvas(
        axis_of(float(places[0]), float(places[-1]), is_date=_is_date(x), label=plot.x),
        axis_of(base, highest, is_date=_is_date(y), label=label),
    )
    drawn_at = _extremes(heights, VERTICES)
    canvas.line(places[drawn_at].tolist(), heights[drawn_at].tolist())
    return canvas.svg(plot.title), _words(
        f"the highest and lowest of each of {VERTICES // 2} stretches" if len(drawn_at) < len(places) else ""
    )


def _extremes(heights: Any, most: int) -> Any:
    """Places of the highest and lowest of each stretch, so that no peak is lost."""
    if len(heights) <= most:
        return np.arange(len(heights))
    made = []
    for stretch in np.array_split(np.arange(len(heights)), most // 2):
        part = heights[stretch]
        gone = np.isnan(part).all()
        made += [int(stretch[0])] if gone else [int(stretch[np.nanargmin(part)]), int(stretch[np.nanargmax(part)])]
    return np.unique(made)


# ---------------------------------------------------------------------------------------------- points


def scatter(x: pd.Series, y: pd.Series, plot: Plot) -> tuple[str, str]:
    """One number over another, a point a row."""
    across, up = measured(x), measured(y)
    there = np.flatnonzero(~(np.isnan(across) | np.isnan(up)))
    if not len(there):
        return "", "Nothing to draw: no row has both values."
    rows = there[sampled(len(there), POINTS)]
    (left, right, wide), (low, high, tall) = _span(across[rows]), _span(up[rows])
    canvas = Canvas(
        axis_of(left, right, is_date=_is_date(x), label=plot.x),
        axis_of(low, high, is_date=_is_date(y), label=str(plot.y)),
    )
    for one, other in zip(across[rows].tolist(), up[rows].tolist(), strict=True):
        if left <= one <= right and low <= other <= high:
            canvas.point(one, other)
    return canvas.svg(plot.title), _words(_of_sample(len(there), POINTS), wide, "" if wide else tall)


DRAW: dict[str, Callable[[Any, Any, Plot], tuple[str, str]]] = {
    "histogram": histogram, "bar": bars, "line": line, "scatter": scatter,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- beside a feature


def spark(column: pd.Series) -> str:
    """A small distribution without axes, empty where nothing is there."""
    if not _is_measured(column):
        return ""
    values = measured(column)[sampled(len(column), SAMPLE)]
    known = values[~np.isnan(values)]
    if not len(known):
        return ""
    low, high, _ = _span(known)
    counts, _ = np.histogram(known, bins=_edges(known, low, high, SPARK_BINS))
    wide = 120 / len(counts)
    shapes = []
    for place, count in enumerate(counts.tolist()):
        tall = max(30 * count / counts.max(), 1) if count else 0
        if tall:
            shapes.append(
                f'<rect x="{fitted(place * wide)}" y="{fitted(32 - tall)}" width="{fitted(max(wide - 0.8, 0.4))}" '
                f'height="{fitted(tall)}"/>'
            )
    return f'<svg class="spark" viewBox="0 0 120 32" role="img" aria-label="distribution">{"".join(shapes)}</svg>'
