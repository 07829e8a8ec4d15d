"""What is written over the pictures: legend with errors, time and speed, scale bar, and a chart of the errors."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from . import paint
from .ground import round_length
from .motion import Array
from .paint import Colour, Patch, Point
from .story import Story

EDGE = 16  # pixels between a panel and the picture's edge
LEGEND_WIDTH = 286
CHART = (300, 120)
CLOCK = (132, 70)
SMALL, NORMAL, LARGE = 13, 15, 26


class Display:
    """The panels; what does not change is painted once.

    Parameters
    ----------
    story : Story
    pixels_per_metre : float
    width, height : int
        Of the pictures, pixels.
    """

    def __init__(self, story: Story, pixels_per_metre: float, width: int, height: int) -> None:
        self._story = story
        self._cars: list[tuple[str, Colour, Array | None]] = [
            ("measured", paint.MEASURED, story.off(story.measured)),
            ("compensated", paint.COMPENSATED, story.off(story.compensated)),
        ]
        if story.has_truth:
            self._cars.insert(0, ("truth", paint.TRUE, None))
        else:
            self._cars[1] = ("compensated", paint.COMPENSATED, None)
        self._curves = [(colour, errors) for _, colour, errors in self._cars if errors is not None]
        self._measure = "error, m" if story.has_truth else "distance, m"
        self._clock = (width - EDGE - CLOCK[0], EDGE)
        self._chart = (width - EDGE - CHART[0], height - EDGE - CHART[1])
        self._legend = (LEGEND_WIDTH, 26 + 24 * len(self._cars) + 6)
        self._top = self._round_top()
        self._still = self._paint_still(width, height, pixels_per_metre)
        self._painted = [
            (x, y, x + across, y + down)
            for (x, y), (across, down) in (
                ((EDGE, EDGE), self._legend),
                (self._clock, CLOCK),
                (self._chart, CHART),
                ((0, height - EDGE - 44), (260, 44)),
            )
        ]
        self._drawn = 0

    def paint(self, picture: Image.Image, number: int) -> None:
        """Write what that frame has to say onto its picture; frames come from first to last."""
        self._lengthen_curves(number)
        for box in self._painted:  # the rest of it is empty
            part = self._still.crop(box)
            picture.paste(part, box[:2], part)
        pen = ImageDraw.Draw(picture)
        story = self._story
        x, y = self._clock
        pen.text((x + CLOCK[0] - 12, y + 8), f"{story.times[number]:.2f} s", paint.TEXT, paint.letters(LARGE), "ra")
        if np.isfinite(story.speed[number]):
            speed = f"{abs(story.speed[number]) * 3.6:.0f} km/h"
            pen.text((x + CLOCK[0] - 12, y + 42), speed, paint.DIM, paint.letters(NORMAL), "ra")
        for row, (_, _, errors) in enumerate(self._cars):
            if errors is not None and np.isfinite(errors[number]):
                place = (EDGE + LEGEND_WIDTH - 12, EDGE + 27 + 24 * row)
                pen.text(place, f"{errors[number]:.2f} m", paint.TEXT, paint.letters(NORMAL), "ra")
        for colour, errors in self._curves:
            if np.isfinite(errors[number]):
                dot = Patch([self._at(number, errors[number])], margin=5)
                dot.disc(self._at(number, errors[number]), 3.2)
                dot.lay(picture, colour)

    # ---------------------------------------------------------------- what does not change

    def _paint_still(self, width: int, height: int, pixels_per_metre: float) -> Image.Image:
        still = Image.new("RGBA", (width, height))
        pen = ImageDraw.Draw(still)
        for corner, size in (((EDGE, EDGE), self._legend), (self._clock, CLOCK), (self._chart, CHART)):
            still.alpha_composite(_panel(size), corner)
        self._write_legend(still, pen)
        self._write_chart(pen)
        _write_scale(pen, EDGE + 4, height - EDGE - 6, pixels_per_metre)
        return still

    def _write_legend(self, still: Image.Image, pen: ImageDraw.ImageDraw) -> None:
        reference = "off the truth" if self._story.has_truth else "off the compensated car"
        pen.text((EDGE + LEGEND_WIDTH - 12, EDGE + 8), reference, paint.DIM, paint.letters(SMALL), "ra")
        for row, (name, colour, _) in enumerate(self._cars):
            y = EDGE + 27 + 24 * row
            outline = paint.outline_of_car((EDGE + 26, y + 9), 0.0, 5.6)
            swatch = Patch(outline, margin=2)
            swatch.area(outline)
            still.paste((*colour, 255), (swatch.left, swatch.top), swatch.mask.reduce(paint.FINER))
            pen.text((EDGE + 50, y), name, paint.TEXT, paint.letters(NORMAL))

    def _write_chart(self, pen: ImageDraw.ImageDraw) -> None:
        x, y = self._chart
        pen.text((x + 12, y + 8), self._measure, paint.DIM, paint.letters(SMALL))
        for value in (0.0, self._top):
            right, level = self._at(len(self._story.times) - 1, value)
            pen.line([(x + 34, level), (right, level)], fill=(*paint.KERB, 255))
            pen.text((x + 28, level), f"{value:g}", paint.DIM, paint.letters(SMALL), "rm")

    # ---------------------------------------------------------------- the chart

    def _round_top(self) -> float:
        largest = max((float(np.nanmax(errors, initial=0.0)) for _, errors in self._curves), default=0.0)
        step = round_length(max(largest, 0.4) / 2)
        return float(np.ceil(largest / step) * step) or step

    def _at(self, number: int, value: float) -> Point:
        x, y = self._chart
        times = self._story.times
        share = (times[number] - times[0]) / max(times[-1] - times[0], 1e-9)
        return x + 36 + share * (CHART[0] - 50), y + CHART[1] - 14 - value / self._top * (CHART[1] - 46)

    def _lengthen_curves(self, number: int) -> None:
        while self._drawn < number:
            for colour, errors in self._curves:
                ends = errors[self._drawn : self._drawn + 2]
                if np.isfinite(ends).all():
                    points = [self._at(self._drawn + i, value) for i, value in enumerate(ends)]
                    piece = Patch(points, margin=3)
                    piece.line(points, 1.6)
                    self._still.paste((*colour, 255), (piece.left, piece.top), piece.mask.reduce(paint.FINER))
            self._drawn += 1


def _panel(size: tuple[int, int]) -> Image.Image:
    large = Image.new("L", (size[0] * paint.FINER, size[1] * paint.FINER))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), 8 * paint.FINER, fill=205)
    panel = Image.new("RGBA", size, (*paint.PANEL, 255))
    panel.putalpha(large.reduce(paint.FINER))
    return panel


def _write_scale(pen: ImageDraw.ImageDraw, left: int, bottom: int, pixels_per_metre: float) -> None:
    metres = round_length(180 / pixels_per_metre)
    right = left + metres * pixels_per_metre
    for ends in ([(left, bottom), (right, bottom)], *([(x, bottom - 5), (x, bottom)] for x in (left, right))):
        pen.line(ends, fill=(*paint.TEXT, 255), width=2)
    pen.text(((left + right) / 2, bottom - 8), f"{metres:g} m", paint.TEXT, paint.letters(NORMAL), "ms")
