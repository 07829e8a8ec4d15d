"""From late measurements to where the car is now: the loop over a log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from logging import Logger

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from framework import ColumnNotFoundError, ValidationException

from .kalman import Belief, Noise, corrected, drifted, heading, predicted, started, turned_polar
from .motion import SPEED, YAW, YAW_RATE, Array, X, Y

NEEDED = ("time", "x", "y")
MEASURED = {"x": X, "y": Y, "speed": SPEED, "yaw": YAW, "yaw_rate": YAW_RATE}
STATES = ["time", "x", "y", "speed", "yaw", "yaw_rate", "position_std"]


@dataclass
class Filter:
    """A car's filter: fed with measurements in the order of their times, it knows where the car is.

    Parameters
    ----------
    noise : Noise
    """

    noise: Noise
    time: float = -np.inf  # s; of what was taken in last
    _start: Belief | None = field(default=None, repr=False)
    _belief: Belief | None = field(default=None, repr=False)

    def feed(self, time: float, measured: dict[int, float]) -> None:
        """Take in what was true at that time, which is not before the last; nothing measured just moves on."""
        seconds, self.time = time - self.time, time
        if self._belief is not None:
            self._belief = corrected(predicted(self._belief, seconds), measured)
        elif self._start is not None:
            places = {key: value for key, value in measured.items() if key in (X, Y)}
            self._start = corrected(drifted(self._start, seconds), places)
            self._belief = heading(self._start, _rest(measured))
        elif X in measured:
            self._start = started(measured, self.noise)
            self._belief = heading(self._start, _rest(measured))

    def at(self, time: float) -> Belief | None:
        """What is believed of a time that is not before the last, as a CTRV state; None before any position."""
        if self._belief is not None:
            return predicted(self._belief, time - self.time)
        return turned_polar(drifted(self._start, time - self.time)) if self._start is not None else None


def _rest(measured: dict[int, float]) -> dict[int, float]:
    return {key: value for key, value in measured.items() if key not in (X, Y)}


def compensated(
    measurements: pd.DataFrame,
    *,
    latency: float,
    noise: Noise | None = None,
    stale_after: float = 1.0,
    logger: Logger | None = None,
) -> pd.DataFrame:
    """Where the car was at each arrival of a measurement, although each measurement shows it `latency` earlier.

    The filter steps from one measurement's time to the next by the real time between them, then looks ahead from there
    to the arrival. A gap is one long step.

    Parameters
    ----------
    measurements : DataFrame
        `time` [s], the arrival, never decreasing; `x`, `y` [m]; and, when they are there, `speed` [m/s], `yaw` [rad],
        `yaw_rate` [rad/s]. A missing or infinite value is left out, the rest of its row is used. A row without a time
        is skipped. Two rows of one time are both used. A log that says when it took each measurement has a column
        `measured_at` [s, on the same clock as `time`]; a row without one, or with an older one than the row above,
        measures nothing.
    latency : float
        s, 0 or more: how long before `measured_at`, or without that column before its arrival, a row was true.
    noise : Noise, optional
    stale_after : float
        s. A receiver that has nothing new repeats its last value to the last digit: such a repeat is left out until it
        has gone on for that long; then it is believed, for the car stands.
    logger : Logger, optional
        Told what was left out.

    Returns
    -------
    DataFrame
        One row per measurement from the first position on: time [s], x, y [m], speed [m/s], yaw [rad],
        yaw_rate [rad/s], position_std [m] (the root of the two position variances' sum).

    Raises
    ------
    ColumnNotFoundError
        time, x or y is missing.
    ValidationException
        A time is earlier than the one before it, or nothing in the table can be used.
    """
    rows = usable(measurements, logger=logger)
    if not len(rows):
        return pd.DataFrame({name: np.empty(0) for name in STATES})
    states = [
        (time, *belief.state, position_std(belief))
        for time, belief in believed(rows, latency=latency, noise=noise or Noise(), stale_after=stale_after)
    ]
    if not states:
        raise ValidationException(
            "No measurement has both x and y, so nobody can say where the car is.", cure="Look at the columns x and y."
        )
    return pd.DataFrame(states, columns=STATES)


def believed(
    rows: pd.DataFrame, *, latency: float, noise: Noise, stale_after: float = 1.0
) -> Iterator[tuple[float, Belief]]:
    """The arrival and what is believed of that moment, for each row from the first position on."""
    car = Filter(noise)
    taken = rows["measured_at"] if "measured_at" in rows.columns else rows["time"]
    true_at = np.minimum(taken.to_numpy(), rows["time"].to_numpy()) - latency
    for then, (arrival, measured) in zip(true_at, fresh(rows, stale_after=stale_after), strict=True):
        if then >= car.time:
            car.feed(float(then), measured)
        belief = car.at(arrival)
        if belief is not None:
            yield arrival, belief


def position_std(belief: Belief) -> float:
    """How far off the position may be, m: the root of the sum of both variances."""
    return float(np.sqrt(belief.covariance[X, X] + belief.covariance[Y, Y]))


def usable(measurements: pd.DataFrame, *, logger: Logger | None = None) -> pd.DataFrame:
    """The rows that have a time, as floats with NaN for what cannot be used; what is left out goes to the log."""
    missing = [name for name in NEEDED if name not in measurements.columns]
    if missing:
        raise ColumnNotFoundError(
            f"The measurements have no column {', '.join(missing)}; they have {', '.join(map(str, measurements))}.",
            cure="Rename the columns, or read the log with the step 'Car Log Reader'.",
        )
    names = ["time", *(name for name in ("measured_at", *MEASURED) if name in measurements.columns)]
    rows = measurements[names].astype("float64").replace([np.inf, -np.inf], np.nan)
    timeless = int(rows["time"].isna().sum())
    rows = rows[rows["time"].notna()].reset_index(drop=True)
    _refuse_disorder(rows["time"].to_numpy())
    if logger and timeless:
        logger.warning("%d measurements have no time: skipped", timeless)
    for name in names[1:]:
        gaps = int(rows[name].isna().sum())
        if logger and gaps:
            logger.warning("%d of %d measurements have no usable %s: skipped there", gaps, len(rows), name)
    older = int((rows["measured_at"] < rows["measured_at"].cummax()).sum()) if "measured_at" in rows else 0
    if logger and older:
        logger.warning("%d measurements are older than one that arrived before them: skipped", older)
    return rows


def _refuse_disorder(times: Array) -> None:
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise ValidationException(
            f"Measurement {row} (from 0) arrives at {times[row]} s, before the one above it ({times[row - 1]} s).",
            cure="Sort the measurements by time.",
        )


def fresh(rows: pd.DataFrame, *, stale_after: float) -> Iterator[tuple[float, dict[int, float]]]:
    """Each row's time and the values in it that say something new, by the state's component.

    x and y are one value: the fix.
    """
    groups = [["x", "y"], *([name] for name in rows.columns if name in ("speed", "yaw", "yaw_rate"))]
    believable = {tuple(group): _believable(rows, group, stale_after=stale_after) for group in groups}
    columns = {name: rows[name].to_numpy() for name in rows.columns}
    for row, time in enumerate(columns["time"]):
        yield (
            float(time),
            {
                MEASURED[name]: float(columns[name][row])
                for group in believable
                if believable[group][row]
                for name in group
            },
        )


def _believable(rows: pd.DataFrame, group: list[str], *, stale_after: float) -> NDArray[np.bool_]:
    values = rows[group].to_numpy()
    present = ~np.isnan(values).any(axis=1)
    times = rows["time"].to_numpy()
    result: NDArray[np.bool_] = present.copy()
    last, since = None, 0.0
    for row in np.flatnonzero(present):
        if last is not None and (values[row] == last).all():
            result[row] = times[row] - since >= stale_after
        else:
            last, since = values[row], times[row]
    return result
