"""From tables to a folder of pictures."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from .motion import Array
from .scene import Scene
from .story import story

WAITING = 8  # pictures that wait for the disk at once


def rendered(
    folder: Path,
    *,
    manifest: pd.DataFrame,
    measurements: pd.DataFrame,
    states: pd.DataFrame,
    truth: pd.DataFrame | None = None,
    zoom: float = 5.0,
    width: int = 960,
    height: int = 540,
) -> int:
    """Write one picture, `frame_000000.png`, for each row of the manifest.

    Parameters
    ----------
    folder : Path
        Exists.
    manifest : DataFrame
        `frame`, a number, and `time` [s], increasing.
    measurements, states, truth : DataFrame
        `time` [s], `x`, `y` [m]; states and truth with `speed` [m/s], `yaw` [rad], `yaw_rate` [rad/s].
    zoom : float
        A picture is 300 m wide, divided by this.
    width, height : int
        Pixels.

    Returns
    -------
    int
        How many.
    """
    told = story(manifest, measurements, states, truth)
    dots = measurements[["time", "x", "y"]].to_numpy(dtype="float64")
    scene = Scene(told, _road(states, truth), dots[np.isfinite(dots).all(axis=1)], zoom, width, height)
    with ThreadPoolExecutor(max_workers=2) as pool:  # compressing runs beside painting
        written: deque[Future[None]] = deque()
        for row, frame in enumerate(told.frames):
            written.append(pool.submit(_write, scene.frame(row), folder / f"frame_{frame:06d}.png"))
            if len(written) > WAITING:
                written.popleft().result()
        for each in written:
            each.result()
    return len(told.frames)


def _road(states: pd.DataFrame, truth: pd.DataFrame | None) -> Array:
    """The car drives in the middle of the road; where no truth is known, the compensated one's mean of a second."""
    if truth is not None and len(truth):
        return truth[["x", "y"]].to_numpy(dtype="float64")
    steps = states["time"].diff()
    rows = 2 * round(0.5 / max(float(steps.median()), 0.01)) + 1 if len(states) > 1 else 1
    return states[["x", "y"]].rolling(rows, center=True, min_periods=1).mean().to_numpy(dtype="float64")


def _write(picture: Image.Image, path: Path) -> None:
    picture.save(path, format="PNG", compress_level=1)
