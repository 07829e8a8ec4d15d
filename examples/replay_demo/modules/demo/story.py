"""What each picture of the replay has to show: where the cars are at its time, and how far off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from framework import ColumnNotFoundError, ValidationException

from . import course
from .motion import Array, moved


@dataclass(frozen=True)
class Story:
    """All that the pictures show, one row for each; NaN where nothing is known yet.

    Attributes
    ----------
    frames : array of int
    times : array, s
    true, measured, compensated : array of n x 3
        x, y [m] and yaw [rad].
    speed : array, m/s
        Of the compensated car.
    has_truth : bool
    """

    frames: np.ndarray
    times: Array
    true: Array
    measured: Array
    compensated: Array
    speed: Array
    has_truth: bool

    def off(self, car: Array) -> Array:
        """How far that car is from the true one, m; without a truth, from the compensated one."""
        other = self.true if self.has_truth else self.compensated
        distances: Array = np.hypot(*(car[:, :2] - other[:, :2]).T)
        return distances


def story(
    manifest: pd.DataFrame, measurements: pd.DataFrame, states: pd.DataFrame, truth: pd.DataFrame | None
) -> Story:
    """What happens in each frame of the manifest.

    The measured car is the last measurement that has arrived; the compensated one is the last state, moved on to the
    frame's time; the true one lies between two true states.

    Raises
    ------
    ColumnNotFoundError, ValidationException
        The manifest lacks a column, repeats a frame or goes back in time.
    """
    frames, times = _timeline(manifest)
    true = np.full((len(times), 3), np.nan)
    if truth is not None and len(truth):
        inside = (times >= truth["time"].iloc[0]) & (times <= truth["time"].iloc[-1])
        true[inside] = course.at(truth, times[inside])[["x", "y", "yaw"]].to_numpy()
    present = _present(states, times)
    return Story(
        frames=frames,
        times=times,
        true=true,
        measured=_arrived(measurements, times, present[:, 3]),
        compensated=present[:, [0, 1, 3]],
        speed=present[:, 2],
        has_truth=truth is not None and len(truth) > 0,
    )


def _timeline(manifest: pd.DataFrame) -> tuple[np.ndarray, Array]:
    missing = [name for name in ("frame", "time") if name not in manifest.columns]
    if missing:
        raise ColumnNotFoundError(
            f"The video manifest has no column {', '.join(missing)}; it has {', '.join(map(str, manifest))}.",
            cure="It needs `frame`, a number, and `time`, in seconds.",
        )
    frames, times = manifest["frame"].to_numpy(dtype="int64"), manifest["time"].to_numpy(dtype="float64")
    if len(np.unique(frames)) < len(frames) or (frames < 0).any():
        raise ValidationException("The video manifest has a frame twice, or a negative one.", resource="frame")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ValidationException(
            "The times of the video manifest do not increase from row to row.",
            cure="Sort it by time, one row for each frame.",
        )
    return frames, times


def _present(states: pd.DataFrame, times: Array) -> Array:
    """Each frame's (x, y, speed, yaw, yaw_rate): the last state that is not later, moved on to the frame's time."""
    found = np.full((len(times), 5), np.nan)
    values = states[["x", "y", "speed", "yaw", "yaw_rate"]].to_numpy()
    known = states["time"].to_numpy()
    for frame, last in enumerate(np.searchsorted(known, times, side="right") - 1):
        if last >= 0:
            found[frame] = moved(values[last], times[frame] - known[last])
    return found


def _arrived(measurements: pd.DataFrame, times: Array, yaw: Array) -> Array:
    """Each frame's last measurement; where no yaw is measured, the compensated car's."""
    rows = measurements[np.isfinite(measurements[["time", "x", "y"]]).all(axis=1)]
    found = np.full((len(times), 3), np.nan)
    last = np.searchsorted(rows["time"].to_numpy(), times, side="right") - 1
    there = last >= 0
    found[there, :2] = rows[["x", "y"]].to_numpy()[last[there]]
    found[:, 2] = yaw
    if "yaw" in rows.columns:
        heading = rows["yaw"].to_numpy()[last[there]]
        found[there, 2] = np.where(np.isfinite(heading), heading, yaw[there])
    return found
