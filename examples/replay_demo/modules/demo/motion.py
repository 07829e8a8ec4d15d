"""The constant-turn-rate-and-velocity (CTRV) model: how a car moves when neither speed nor yaw rate changes.

The state is `(x, y, speed, yaw, yaw_rate)` in m, m, m/s, rad, rad/s; yaw is counted from the x axis (east) to the left.

Sources: R. Schubert, E. Richter, G. Wanielik, "Comparison and Evaluation of Advanced Motion Models for Vehicle
Tracking", FUSION 2008 (the model); Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with Applications to Tracking
and Navigation", Wiley 2001, chapter 6 (white-noise acceleration). Here an arc is written as its chord, which is the
same value and needs no second formula for a car that drives straight on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

X, Y, SPEED, YAW, YAW_RATE = range(5)
SMALL = 1e-4  # rad; below it the next term of a series is under the rounding of a double


def wrapped(angle: float) -> float:
    """The same angle between -pi (included) and pi, in rad."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def sinc(angle: float) -> float:
    """`sin(u) / u`, and 1 at 0."""
    return 1 - angle**2 / 6 if abs(angle) < SMALL else float(np.sin(angle)) / angle


def sinc_slope(angle: float) -> float:
    """The derivative of `sin(u) / u`: `(cos(u) - sinc(u)) / u`, and `-u / 3` near 0."""
    return -angle / 3 if abs(angle) < SMALL else (float(np.cos(angle)) - sinc(angle)) / angle


def moved(state: Array, seconds: float) -> Array:
    """Where the car is after that time.

    With `u = yaw_rate * seconds / 2` the chord of the arc is `speed * seconds * sin(u) / u` long and points along
    `yaw + u`.

    Parameters
    ----------
    state : array of 5
        x [m], y [m], speed [m/s], yaw [rad], yaw_rate [rad/s].
    seconds : float
        May be negative: where the car was.

    Returns
    -------
    array of 5
        Its yaw lies between -pi and pi.
    """
    x, y, speed, yaw, yaw_rate = state
    half = yaw_rate * seconds / 2
    chord = speed * seconds * sinc(half)
    return np.array(
        [
            x + chord * np.cos(yaw + half),
            y + chord * np.sin(yaw + half),
            speed,
            wrapped(yaw + 2 * half),
            yaw_rate,
        ]
    )


def jacobian(state: Array, seconds: float) -> Array:
    """The derivatives of `moved` by the state, exact also for a yaw rate of 0.

    Returns
    -------
    array of 5 x 5
        Row: component of the state afterwards. Column: component of the state before.
    """
    _, _, speed, yaw, yaw_rate = state
    half = yaw_rate * seconds / 2
    shape, slope = sinc(half), sinc_slope(half)
    cos, sin = np.cos(yaw + half), np.sin(yaw + half)
    by_rate = speed * seconds**2 / 2
    result = np.eye(5)
    result[X, SPEED] = seconds * shape * cos
    result[Y, SPEED] = seconds * shape * sin
    result[X, YAW] = -speed * seconds * shape * sin
    result[Y, YAW] = speed * seconds * shape * cos
    result[X, YAW_RATE] = by_rate * (slope * cos - shape * sin)
    result[Y, YAW_RATE] = by_rate * (slope * sin + shape * cos)
    result[YAW, YAW_RATE] = seconds
    return result


def process_noise(state: Array, seconds: float, *, acceleration: float, yaw_acceleration: float) -> Array:
    """The covariance that accelerations, of which the model knows nothing, add in that time.

    Both accelerations are white noise of constant density, integrated over the step. So one step of 0.2 s adds what
    two of 0.1 s add, and uneven steps need no other numbers. Along the car its acceleration is integrated twice; across
    it, the yaw acceleration three times, times the speed.

    Parameters
    ----------
    state : array of 5
    seconds : float
        0 or more.
    acceleration : float
        Density of the acceleration along the car, m/s^2 per sqrt(Hz).
    yaw_acceleration : float
        Density of the yaw acceleration, rad/s^2 per sqrt(Hz).

    Returns
    -------
    array of 5 x 5
        Units are the products of those of the state; symmetric, no negative eigenvalue.
    """
    _, _, speed, yaw, yaw_rate = state
    t = abs(seconds)
    direction = yaw + yaw_rate * seconds / 2
    cos, sin = np.cos(direction), np.sin(direction)
    along = np.array([[cos, 0], [sin, 0], [0, 1], [0, 0], [0, 0]])
    across = np.array([[-sin * speed, 0, 0], [cos * speed, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]])
    twice = np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]])
    thrice = np.array(
        [[t**5 / 20, t**4 / 8, t**3 / 6], [t**4 / 8, t**3 / 3, t**2 / 2], [t**3 / 6, t**2 / 2, t]],
    )
    noise: Array = acceleration**2 * along @ twice @ along.T + yaw_acceleration**2 * across @ thrice @ across.T
    return noise
