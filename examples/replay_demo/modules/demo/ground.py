"""The ground that cars drive on: a grid, the road, and the trails, painted once on tiles and kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from . import paint
from .motion import Array
from .paint import Colour, Patch, Point

TILE = 512  # pixels
KEPT = 48  # tiles; what is painted beyond that is painted again when it comes back into view
FINER = 3
ROAD = 7.0  # m wide
KERB = 0.35  # m more on each side
SHORTEST = 0.5  # m; a road's pieces


@dataclass(frozen=True)
class Mark:
    """One piece of a trail, in pixels of the ground: a line, or a dot where both ends are one."""

    start: Point
    end: Point
    width: float
    colour: Colour

    def touches(self, box: tuple[float, float, float, float]) -> bool:
        left, top, right, bottom = box
        (x0, y0), (x1, y1) = self.start, self.end
        reach = self.width + 1
        across = max(x0, x1) + reach >= left and min(x0, x1) - reach <= right
        return across and max(y0, y1) + reach >= top and min(y0, y1) - reach <= bottom


@dataclass
class Ground:
    """A plane of tiles.

    Its pixels count to the right and downwards from where x and y are 0.

    Parameters
    ----------
    pixels_per_metre : float
    road : array of n x 2
        The middle of the road, m; empty: none is painted.
    """

    pixels_per_metre: float
    road: Array
    _marks: list[Mark] = field(default_factory=list)
    _tiles: OrderedDict[tuple[int, int], Image.Image] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._course = _thinned(self.road) * (self.pixels_per_metre, -self.pixels_per_metre)

    def pixel(self, x: float, y: float) -> Point:
        """The pixel of a place in metres."""
        return x * self.pixels_per_metre, -y * self.pixels_per_metre

    def mark(self, mark: Mark) -> None:
        """Add a piece to a trail; only the tiles that it touches are painted on."""
        self._marks.append(mark)
        for corner, tile in self._tiles.items():
            if mark.touches(_box(corner)):
                _lay(mark, tile, corner)

    def view(self, left: int, top: int, width: int, height: int) -> Image.Image:
        """The part of the ground that begins at that pixel."""
        picture = Image.new("RGB", (width, height))
        for corner in _corners(left, top, width, height):
            picture.paste(self._tile(corner), (corner[0] * TILE - left, corner[1] * TILE - top))
        return picture

    def _tile(self, corner: tuple[int, int]) -> Image.Image:
        if corner not in self._tiles:
            self._tiles[corner] = self._painted(corner)
            if len(self._tiles) > KEPT:
                self._tiles.popitem(last=False)
        self._tiles.move_to_end(corner)
        return self._tiles[corner]

    def _painted(self, corner: tuple[int, int]) -> Image.Image:
        large = Image.new("RGB", (TILE * FINER, TILE * FINER), paint.GROUND)
        pen = ImageDraw.Draw(large)
        self._paint_grid(pen, corner)
        for width, colour in ((ROAD + 2 * KERB, paint.KERB), (ROAD, paint.ASPHALT)):
            self._paint_road(pen, corner, width * self.pixels_per_metre, colour)
        tile = large.reduce(FINER)
        for mark in self._marks:
            if mark.touches(_box(corner)):
                _lay(mark, tile, corner)
        return tile

    def _paint_grid(self, pen: ImageDraw.ImageDraw, corner: tuple[int, int]) -> None:
        step = round_length(80 / self.pixels_per_metre) * self.pixels_per_metre
        for axis in (0, 1):
            first = np.ceil(corner[axis] * TILE / step) * step
            for at in np.arange(first, (corner[axis] + 1) * TILE, step):
                place = (at - corner[axis] * TILE) * FINER
                ends = [(place, 0), (place, TILE * FINER)]
                pen.line([end[:: 1 - 2 * axis] for end in ends], fill=paint.GRID, width=FINER)

    def _paint_road(self, pen: ImageDraw.ImageDraw, corner: tuple[int, int], width: float, colour: Colour) -> None:
        spots = self._course - np.array(corner) * TILE
        near = ((spots > -width - TILE) & (spots < 2 * TILE + width)).all(axis=1)
        for i in np.flatnonzero(near):
            x, y = spots[i] * FINER
            reach = width / 2 * FINER
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
            if i + 1 < len(spots):
                pen.line([(x, y), tuple(spots[i + 1] * FINER)], fill=colour, width=round(width * FINER))


def round_length(metres: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... (also 0.5, 0.2, ...) that is not above `metres`."""
    power = 10.0 ** np.floor(np.log10(metres))
    return float(power * max(step for step in (1, 2, 5) if step * power <= metres * (1 + 1e-9)))


def _thinned(points: Array) -> Array:
    """Points at least half a metre apart, the last one with them."""
    kept: list[Array] = []
    for point in points:
        if not kept or np.hypot(*(point - kept[-1])) >= SHORTEST:
            kept.append(point)
    if kept:
        kept.append(points[-1])
    return np.array(kept).reshape(-1, 2)


def _box(corner: tuple[int, int]) -> tuple[int, int, int, int]:
    return corner[0] * TILE, corner[1] * TILE, (corner[0] + 1) * TILE, (corner[1] + 1) * TILE


def _corners(left: int, top: int, width: int, height: int) -> Iterator[tuple[int, int]]:
    for row in range(top // TILE, (top + height - 1) // TILE + 1):
        for column in range(left // TILE, (left + width - 1) // TILE + 1):
            yield column, row


def _lay(mark: Mark, tile: Image.Image, corner: tuple[int, int]) -> None:
    patch = Patch([mark.start, mark.end], margin=mark.width + 1)
    patch.line([mark.start, mark.end], mark.width)
    patch.lay(tile, mark.colour, (corner[0] * TILE, corner[1] * TILE))
