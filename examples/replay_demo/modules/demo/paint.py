"""Colours, letters and smooth shapes: what the pictures are painted with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]

GROUND: Colour = (17, 22, 29)
GRID: Colour = (25, 32, 41)
KERB: Colour = (62, 72, 86)
ASPHALT: Colour = (36, 43, 53)
PANEL: Colour = (10, 14, 20)
TEXT: Colour = (229, 235, 241)
DIM: Colour = (138, 151, 166)
TRUE: Colour = (236, 240, 244)
MEASURED: Colour = (255, 166, 43)
COMPENSATED: Colour = (45, 212, 232)

FINER = 4  # shapes are drawn that much larger, then reduced: smooth edges


@lru_cache(maxsize=16)
def letters(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that a picture is the same on every machine."""
    return ImageFont.load_default(size)


class Patch:
    """A small part of a picture on which shapes are drawn finely, and then laid smoothly onto the picture.

    Parameters
    ----------
    points : sequence of (float, float)
        What will be drawn, in pixels of the picture; the patch is as large as they and `margin` need.
    margin : float
        Pixels.
    """

    def __init__(self, points: Sequence[Point], margin: float) -> None:
        spots = np.asarray(points, dtype="float64")
        low, high = np.floor(spots.min(axis=0) - margin), np.ceil(spots.max(axis=0) + margin)
        self.left, self.top = int(low[0]), int(low[1])
        self.width, self.height = (int(side) + 1 for side in high - low)
        self.mask = Image.new("L", (self.width * FINER, self.height * FINER))
        self.pen = ImageDraw.Draw(self.mask)

    def at(self, points: Sequence[Point]) -> list[Point]:
        """These points of the picture, on the patch."""
        return [((x - self.left) * FINER, (y - self.top) * FINER) for x, y in points]

    def area(self, points: Sequence[Point], strength: int = 255) -> None:
        self.pen.polygon(self.at(points), fill=strength)

    def line(self, points: Sequence[Point], width: float, strength: int = 255) -> None:
        """A line with round joints and ends."""
        spots = self.at(points)
        self.pen.line(spots, fill=strength, width=max(round(width * FINER), 1))
        for x, y in spots:
            self._disc(x, y, width * FINER / 2, strength)

    def disc(self, point: Point, radius: float, strength: int = 255) -> None:
        x, y = self.at([point])[0]
        self._disc(x, y, radius * FINER, strength)

    def _disc(self, x: float, y: float, radius: float, strength: int) -> None:
        self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=strength)

    def lay(self, picture: Image.Image, colour: Colour, offset: tuple[int, int] = (0, 0)) -> None:
        """Lay what was drawn onto a picture whose top left corner is `offset`."""
        picture.paste(colour, (self.left - offset[0], self.top - offset[1]), self.mask.reduce(FINER))


def outline_of_car(centre: Point, yaw: float, pixels_per_metre: float) -> list[Point]:
    """The outline of a car of 4.5 m x 1.8 m, its corners cut; `yaw` in rad from the right, upwards."""
    return _turned(_BODY, centre, yaw, pixels_per_metre)


def windows_of_car(centre: Point, yaw: float, pixels_per_metre: float) -> list[list[Point]]:
    """Its front and its rear window, which show where it heads."""
    return [_turned(window, centre, yaw, pixels_per_metre) for window in (_FRONT, _REAR)]


_LEFT = [(2.25, 0.35), (2.21, 0.58), (2.08, 0.76), (1.86, 0.87), (1.6, 0.9), (-1.8, 0.9), (-2.02, 0.86), (-2.17, 0.74),
         (-2.25, 0.5)]  # fmt: skip
_BODY = np.array(_LEFT + [(x, -y) for x, y in reversed(_LEFT)])
_FRONT = np.array([(1.15, 0.72), (0.55, 0.62), (0.55, -0.62), (1.15, -0.72)])
_REAR = np.array([(-1.25, 0.6), (-1.7, 0.68), (-1.7, -0.68), (-1.25, -0.6)])


def _turned(shape: np.ndarray, centre: Point, yaw: float, pixels_per_metre: float) -> list[Point]:
    cos, sin = np.cos(yaw) * pixels_per_metre, np.sin(yaw) * pixels_per_metre
    return [(centre[0] + x * cos - y * sin, centre[1] - x * sin - y * cos) for x, y in shape]
