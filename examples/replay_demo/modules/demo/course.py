"""A car's course with its truth, and the late, noisy, uneven log that a receiver would make of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .motion import Array, moved

TRUTH_STEP = 0.01  # s
SMOOTHING = 0.7  # s; no pedal and no steering wheel jumps

# One lap of 20 s: when (s) and how fast (m/s); from when (s) and how curved (1/m, to the left).
LAP = 20.0
SPEEDS = [(0.0, 0), (0.8, 0), (3.8, 12), (5.0, 8), (6.8, 8), (9.0, 14), (10.4, 12), (13.0, 0), (14.0, 0), (16.6, 10),
          (17.8, 9), (19.8, 0), (20.0, 0)]  # fmt: skip
CURVES = [(0.0, 0), (4.2, 1 / 15), (6.6, 0), (7.6, -1 / 40), (9.4, 1 / 45), (11.0, 0), (14.9, -1 / 18), (17.0, 1 / 25),
          (18.8, 0)]  # fmt: skip


def truth(duration: float) -> pd.DataFrame:
    """The car's true states, every 0.01 s from 0 to `duration`: straights, curves, changes of speed, stops.

    Returns
    -------
    DataFrame
        time [s], x, y [m], speed [m/s], yaw [rad], yaw_rate [rad/s]. After 20 s the same pedals and the same wheel
        again, from where the car then stands.
    """
    times = np.arange(round(duration / TRUTH_STEP) + 1) * TRUTH_STEP
    knots = np.array(SPEEDS)
    speeds = _smooth(np.interp(times % LAP, knots[:, 0], knots[:, 1]))
    since = np.searchsorted([when for when, _ in CURVES], times % LAP, side="right") - 1
    curvature = _smooth(np.array([curve for _, curve in CURVES])[since])
    state = np.array([0.0, 0.0, speeds[0], 0.0, speeds[0] * curvature[0]])
    states = [state]
    for speed, rate in zip(speeds[1:], (speeds * curvature)[1:], strict=True):
        state = moved(state, TRUTH_STEP)
        state[2], state[4] = speed, rate
        states.append(state)
    return pd.DataFrame(np.column_stack([times, states]), columns=["time", "x", "y", "speed", "yaw", "yaw_rate"])


def _smooth(values: Array) -> Array:
    width = round(SMOOTHING / TRUTH_STEP)
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def at(states: pd.DataFrame, times: Array) -> pd.DataFrame:
    """The states at these times, between the rows in a straight line; a yaw turns the short way. Ends are held."""
    known = states["time"].to_numpy()
    found = {
        name: np.interp(times, known, np.unwrap(states[name]) if name == "yaw" else states[name])
        for name in states.columns
        if name != "time"
    }
    return pd.DataFrame({"time": times, **found})


def arrivals(duration: float, rng: np.random.Generator, *, gaps: int = 2) -> Array:
    """When measurements arrive, s: every 0.05 to 0.1 s, with some gaps of 0.3 to 0.8 s."""
    steps = rng.uniform(0.05, 0.1, int(duration / 0.05) + 1)
    inside = np.flatnonzero(np.cumsum(steps) < duration * 0.9)
    if gaps and len(inside) > 20 * gaps:
        steps[rng.choice(inside[10:], gaps, replace=False)] = rng.uniform(0.3, 0.8, gaps)
    times: Array = np.cumsum(steps)
    return np.round(times[times <= duration], 6)


def measured(
    true_states: pd.DataFrame,
    rng: np.random.Generator,
    *,
    latency: float,
    position_noise: float = 0.5,
    speed_noise: float = 0.3,
    yaw_rate_noise: float = 0.03,
    stale_share: float = 0.05,
) -> pd.DataFrame:
    """What a receiver, a speedometer and a gyroscope say of these states, each row stamped when it arrives.

    Parameters
    ----------
    true_states : DataFrame
        As `truth` gives them.
    rng : numpy.random.Generator
    latency : float
        s: a row shows where the car was that long before. Before its first state the car stood there.
    position_noise, speed_noise, yaw_rate_noise : float
        Standard deviations: m in each axis, m/s, rad/s.
    stale_share : float
        Share of rows in which the receiver has nothing new and repeats its last fix.

    Returns
    -------
    DataFrame
        time [s], x, y [m], speed [m/s], yaw_rate [rad/s].
    """
    times = arrivals(float(true_states["time"].iloc[-1]), rng)
    rows = at(true_states, times - latency).drop(columns="yaw")
    rows["time"] = times
    for names, noise in ((["x", "y"], position_noise), (["speed"], speed_noise), (["yaw_rate"], yaw_rate_noise)):
        rows[names] += rng.normal(0, noise, (len(rows), len(names)))
    stale = rng.random(len(rows)) < stale_share
    stale[:1] = False
    rows.loc[stale, ["x", "y"]] = np.nan
    rows[["x", "y"]] = rows[["x", "y"]].ffill()
    return rows.round(6)


def manifest(start: float, end: float, *, fps: float) -> pd.DataFrame:
    """A video's frames from start to end (s): `frame` counts from 0, `time` is when it shows the scene, s."""
    frames = np.arange(int((end - start) * fps + 1e-9) + 1)
    return pd.DataFrame({"frame": frames, "time": start + frames / fps})
