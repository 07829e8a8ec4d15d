"""GPS logs: from degrees to metres, and an invented log to try it with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from framework import ColumnNotFoundError, ValidationException

from . import course
from .motion import Array

# The WGS 84 ellipsoid (National Geospatial-Intelligence Agency, NGA.STND.0036): half its width at the equator, m, and
# its first eccentricity squared.
EQUATOR = 6378137.0
ECCENTRICITY = 6.69437999014e-3


@dataclass(frozen=True)
class Columns:
    """What a log calls its columns; None: it has none."""

    time: str = "millis"
    clock: str | None = None
    latitude: str = "latitude"
    longitude: str = "longitude"
    speed: str | None = "speed"
    course: str | None = "course"
    yaw_rate: str | None = "yawrate"

    def all(self) -> list[str]:
        names = (self.time, self.clock, self.latitude, self.longitude, self.speed, self.course, self.yaw_rate)
        return [name for name in names if name]


def metres_per_degree(latitude: float) -> tuple[float, float]:
    """How long one degree of latitude and one of longitude are there, m.

    `pi/180` times the radii of curvature of the WGS 84 ellipsoid: along the meridian
    `a (1 - e^2) / (1 - e^2 sin^2)^(3/2)`, and along the parallel `a cos / sqrt(1 - e^2 sin^2)`.
    Source: J. P. Snyder, "Map Projections: A Working Manual", USGS 1987, equations 4-18 and 4-21.

    Parameters
    ----------
    latitude : float
        Degrees.
    """
    angle = np.radians(latitude)
    bent = 1 - ECCENTRICITY * np.sin(angle) ** 2
    north = np.radians(EQUATOR * (1 - ECCENTRICITY) / bent**1.5)
    east = np.radians(EQUATOR * np.cos(angle) / np.sqrt(bent))
    return float(north), float(east)


def local_metres(latitude: Array, longitude: Array) -> tuple[Array, Array]:
    """Metres to the east and to the north of the first fix that is there.

    A plane that touches the earth: within 10 km of that fix it is off by a few metres at most, which bends a map and
    not a car's way from one fix to the next. A log across the date line is one piece.
    """
    known = np.flatnonzero(np.isfinite(latitude) & np.isfinite(longitude))
    if not len(known):
        raise ValidationException("No row of the log has a latitude and a longitude.")
    first = known[0]
    north, east = metres_per_degree(float(latitude[first]))
    turned = (longitude - longitude[first] + 180) % 360 - 180
    return turned * east, (latitude - latitude[first]) * north


def seconds_of_day(clock: Array) -> Array:
    """A receiver's clock as s: hours, minutes, seconds and milliseconds in one number, HHMMSSmmm; on past midnight."""
    whole = clock // 1000
    seconds = whole // 10000 * 3600 + whole // 100 % 100 * 60 + whole % 100 + clock % 1000 / 1000
    known = np.isfinite(seconds)
    seconds[known] = np.unwrap(seconds[known], period=86400.0)
    return seconds


def on_the_clock_of(arrived: Array, measured: Array) -> Array:
    """When a receiver measured, s, on the clock by which its rows arrived.

    Nobody set the two clocks alike. So the row that came fastest is taken to have come at once; whatever also that one
    was late is the latency that remains to be compensated.
    """
    delays = arrived - measured
    return measured + (np.nanmin(delays) if np.isfinite(delays).any() else 0.0)


def as_measurements(
    log: pd.DataFrame,
    columns: Columns | None = None,
    *,
    time_unit: float = 0.001,
    speed_unit: float = 1 / 3.6,
    yaw_rate_clockwise: bool = False,
    slowest_course: float = 1.0,
) -> pd.DataFrame:
    """A GPS log as measurements in metres.

    Parameters
    ----------
    log : DataFrame
    columns : Columns, optional
        What the log calls them.
    time_unit : float
        Seconds in one unit of its time.
    speed_unit : float
        m/s in one unit of its speed.
    yaw_rate_clockwise : bool
        Whether its positive yaw rate (degrees/s) turns to the right.
    slowest_course : float
        m/s. The course of a car that is slower is left out: a receiver makes it up.

    Returns
    -------
    DataFrame
        time [s, from the earliest row], x (east), y (north) [m], and, as far as the log has them, measured_at [s, on
        the same clock], speed [m/s], yaw [rad from east to the left], yaw_rate [rad/s to the left].

    Raises
    ------
    ColumnNotFoundError, ValidationException
    """
    columns = columns or Columns()
    missing = [name for name in columns.all() if name not in log.columns]
    if missing:
        raise ColumnNotFoundError(
            f"The log has no column {', '.join(missing)}; it has {', '.join(map(str, log.columns))}.",
            cure="Say what it is called (time_column, latitude_column, ...), or null for one that it lacks.",
        )
    values = {name: log[name].to_numpy(dtype="float64") for name in columns.all()}
    times = values[columns.time]
    if not np.isfinite(times).any():
        raise ValidationException(f"No row of the log has a time in {columns.time!r}.")
    rows = pd.DataFrame({"time": (times - np.nanmin(times)) * time_unit})
    if columns.clock:
        rows["measured_at"] = on_the_clock_of(rows["time"].to_numpy(), seconds_of_day(values[columns.clock]))
    rows["x"], rows["y"] = local_metres(values[columns.latitude], values[columns.longitude])
    if columns.speed:
        rows["speed"] = values[columns.speed] * speed_unit
    if columns.course:
        yaw = np.radians(90 - values[columns.course])
        rows["yaw"] = (yaw + np.pi) % (2 * np.pi) - np.pi
        if columns.speed:
            rows.loc[~(rows["speed"] >= slowest_course), "yaw"] = np.nan
    if columns.yaw_rate:
        rows["yaw_rate"] = np.radians(values[columns.yaw_rate]) * (-1 if yaw_rate_clockwise else 1)
    return rows


def invented(duration: float, rng: np.random.Generator, *, latency: float) -> pd.DataFrame:
    """A log as a computer in a car writes it.

    A gyroscope is read every 20 ms, a receiver has something new every 100 ms, and the computer falls behind by up to
    0.8 s and catches up again.

    Returns
    -------
    DataFrame
        millis (of some day), time (the receiver's clock, HHMMSSmmm), speed [km/h], course [degrees from north],
        yawrate [degrees/s to the left], latitude, longitude [degrees].
    """
    taken = np.arange(0.0, duration, 0.02)
    held = np.arange(len(taken)) // 5 * 5
    shown = course.at(course.truth(duration), taken - latency)
    noisy = shown[["x", "y"]].to_numpy() + rng.normal(0, 0.4, (len(shown), 2))
    place, speed, yaw = noisy[held], shown["speed"].to_numpy()[held], shown["yaw"].to_numpy()[held]
    behind = 0.4 * (1 - np.cos(2 * np.pi * taken / duration)) + rng.uniform(0, 0.01, len(taken))
    north, east = metres_per_degree(52.0)
    clock = np.round(taken[held] * 1000).astype("int64")
    return pd.DataFrame(
        {
            "millis": np.round(1.7e12 + (taken + behind) * 1000, 3),
            "time": 120000000 + clock // 60000 * 100000 + clock % 60000,
            "speed": np.round(np.abs(speed + rng.normal(0, 0.1, len(held))[held]) * 3.6, 2),
            "course": np.round(np.degrees(np.pi / 2 - yaw) % 360, 2),
            "yawrate": np.round(np.degrees(shown["yaw_rate"] + rng.normal(0, 0.02, len(shown))), 4),
            "latitude": np.round(52.0 + place[:, 1] / north, 7),
            "longitude": np.round(13.0 + place[:, 0] / east, 7),
        }
    )
