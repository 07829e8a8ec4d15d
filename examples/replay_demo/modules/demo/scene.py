"""The pictures of the replay, from above."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from PIL import Image

from . import paint
from .display import Display
from .ground import Ground, Mark
from .motion import Array
from .paint import Colour, Patch, Point
from .story import Story

WIDEST = 300.0  # m, at zoom_factor 1
CALM = 0.6  # s; the camera follows the car's mean place in that time, so that the car may lead it
TRAIL, THREAD, DOT = 3.0, 1.4, 4.2  # pixels


@dataclass
class Scene:
    """Paints the frames of a story, in their order.

    Parameters
    ----------
    story : Story
    road : array of n x 2
        The middle of the road, m.
    dots : array of n x 3
        Time [s], x, y [m] of the measurements, which stay on the ground as dots.
    zoom : float
        The picture is 300 m wide, divided by this.
    width, height : int
        Pixels.
    """

    story: Story
    road: Array
    dots: Array
    zoom: float
    width: int = 960
    height: int = 540
    _dotted: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        self._scale = self.width * self.zoom / WIDEST
        self._dot = float(np.clip(DOT * self._scale / 16, 1.6, DOT))
        self._ground = Ground(self._scale, self.road)
        self._display = Display(self.story, self._scale, self.width, self.height)
        self._camera = _camera(self.story)

    def frame(self, number: int) -> Image.Image:
        """The picture of that row of the story; rows are asked for from first to last."""
        self._leave_trails(number)
        x, y = self._ground.pixel(*self._camera[number])
        left, top = round(x - self.width / 2), round(y - self.height / 2)
        picture = self._ground.view(left, top, self.width, self.height)
        self._paint_cars(picture, number, (left, top))
        self._display.paint(picture, number)
        return picture

    def _leave_trails(self, number: int) -> None:
        while self._dotted < len(self.dots) and self.dots[self._dotted, 0] <= self.story.times[number]:
            spot = self._ground.pixel(*self.dots[self._dotted, 1:])
            self._ground.mark(Mark(spot, spot, self._dot, _dimmed(paint.MEASURED)))
            self._dotted += 1
        for car, width, colour in (
            (self.story.true, THREAD, paint.TRUE),
            (self.story.compensated, TRAIL, paint.COMPENSATED),
        ):
            if number and np.isfinite(car[number - 1 : number + 1, :2]).all():
                start, end = (self._ground.pixel(*car[row, :2]) for row in (number - 1, number))
                if start != end:
                    self._ground.mark(Mark(start, end, width, _dimmed(colour)))

    def _paint_cars(self, picture: Image.Image, number: int, corner: tuple[int, int]) -> None:
        cars = ((self.story.true, paint.TRUE), (self.story.measured, paint.MEASURED))
        for car, colour in (*cars, (self.story.compensated, paint.COMPENSATED)):
            x, y, yaw = car[number]
            if np.isfinite(x):
                across, down = self._ground.pixel(x, y)
                centre = (across - corner[0], down - corner[1])
                _paint_car(picture, centre, yaw, self._scale, colour, solid=colour == paint.TRUE)


def _paint_car(picture: Image.Image, centre: Point, yaw: float, scale: float, colour: Colour, *, solid: bool) -> None:
    """A car; one that is not solid shows what is under it. From far away it is a dot."""
    yaw = yaw if np.isfinite(yaw) else 0.0
    size = max(scale, 2.2)  # never smaller than can be seen
    outline = paint.outline_of_car(centre, yaw, size)
    if max(centre) < -6 * size or centre[0] > picture.width + 6 * size or centre[1] > picture.height + 6 * size:
        return
    body = Patch(outline, margin=3)
    body.area(outline, 235 if solid else 105)
    body.lay(picture, colour)
    windows = Patch(outline, margin=3)
    for window in paint.windows_of_car(centre, yaw, size):
        windows.area(window, 210)
    windows.lay(picture, paint.GROUND)
    edge = Patch(outline, margin=3)
    edge.line([*outline, outline[0]], 1.6)
    edge.lay(picture, colour)


def _dimmed(colour: Colour) -> Colour:
    """That colour as it looks on the road when it shines through a little."""
    red, green, blue = (round(0.68 * a + 0.32 * b) for a, b in zip(colour, paint.ASPHALT, strict=True))
    return red, green, blue


def _camera(story: Story) -> Array:
    """Where the camera looks at in each frame, m: the car's mean place of a moment."""
    car = np.where(np.isfinite(story.compensated[:, :2]), story.compensated[:, :2], story.measured[:, :2])
    car = np.where(np.isfinite(story.true[:, :2]), story.true[:, :2], car)
    path = pd.DataFrame(car).bfill().ffill().fillna(0.0)
    step = float(np.median(np.diff(story.times))) if len(story.times) > 1 else CALM
    return path.rolling(2 * max(round(CALM / step / 2), 0) + 1, center=True, min_periods=1).mean().to_numpy()
