"""Kalman filters for a car: a linear one until it is known where the car heads, then the extended one on CTRV.

Source: Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with Applications to Tracking and Navigation", Wiley 2001:
chapter 5 (the filter, the Joseph form of its update) and chapter 10 (its extension to curved models).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .motion import SPEED, YAW, YAW_RATE, Array, X, Y, jacobian, moved, process_noise, wrapped


@dataclass(frozen=True)
class Noise:
    """Standard deviations of what is measured, and densities of what the model does not know.

    Parameters
    ----------
    position, speed, yaw, yaw_rate : float
        Of one measurement: m (each axis), m/s, rad, rad/s.
    acceleration, yaw_acceleration : float
        m/s^2 and rad/s^2, per sqrt(Hz).
    """

    position: float = 0.5
    speed: float = 0.3
    yaw: float = 0.05
    yaw_rate: float = 0.03
    acceleration: float = 2.0
    yaw_acceleration: float = 0.5

    def of(self, component: int) -> float:
        return (self.position, self.position, self.speed, self.yaw, self.yaw_rate)[component]


@dataclass(frozen=True)
class Belief:
    """What a filter believes: a state and its covariance."""

    state: Array
    covariance: Array
    noise: Noise = field(default_factory=Noise)


def corrected(belief: Belief, measured: dict[int, float]) -> Belief:
    """The belief after a measurement of some of the state's components.

    `K = P H' S^-1` with `S = H P H' + R`; the covariance in Joseph's form `(I - K H) P (I - K H)' + K R K'`, which
    stays symmetric and positive whatever the rounding. A yaw's difference is taken the short way round.

    Parameters
    ----------
    belief : Belief
    measured : dict of int to float
        Component of the state (its index) to what was measured; none leaves the belief as it is.
    """
    if not measured:
        return belief
    components = list(measured)
    picks = np.eye(len(belief.state))[components]
    variances = np.diag([belief.noise.of(component) ** 2 for component in components])
    difference = np.array([measured[component] for component in components]) - picks @ belief.state
    angled = len(belief.state) == 5  # the starting filter's fourth component is a velocity
    if angled and YAW in measured:
        difference[components.index(YAW)] = wrapped(difference[components.index(YAW)])
    spread = picks @ belief.covariance @ picks.T + variances
    gain = np.linalg.solve(spread, picks @ belief.covariance).T
    state = belief.state + gain @ difference
    if angled:
        state[YAW] = wrapped(state[YAW])
    rest = np.eye(len(state)) - gain @ picks
    covariance = rest @ belief.covariance @ rest.T + gain @ variances @ gain.T
    return replace(belief, state=state, covariance=covariance)


def predicted(belief: Belief, seconds: float) -> Belief:
    """The belief after that time without a measurement: `F P F' + Q`, on the CTRV model."""
    step = jacobian(belief.state, seconds)
    noise = process_noise(
        belief.state,
        seconds,
        acceleration=belief.noise.acceleration,
        yaw_acceleration=belief.noise.yaw_acceleration,
    )
    covariance = step @ belief.covariance @ step.T + noise
    return replace(belief, state=moved(belief.state, seconds), covariance=covariance)


# ------------------------------------------------------------- until the car's direction is known: (x, y, vx, vy)

FASTEST = 20.0  # m/s; how fast a car may be of which no speed is known, as a standard deviation of each velocity
TURNING = 0.3  # rad/s; how unsure the start is of the yaw rate
SURE = 4.0  # a speed that many standard deviations above 0 has a direction


def started(measured: dict[int, float], noise: Noise) -> Belief:
    """The belief from a first position; a speed measured with it says how large the velocities may be."""
    fastest = float(np.hypot(measured[SPEED], noise.speed)) if SPEED in measured else FASTEST
    covariance = np.diag([noise.position**2, noise.position**2, fastest**2, fastest**2])
    return Belief(np.array([measured[X], measured[Y], 0.0, 0.0]), covariance, noise)


def drifted(start: Belief, seconds: float) -> Belief:
    """The starting belief after that time: constant velocity, white-noise acceleration in each axis."""
    step = np.eye(4)
    step[0, 2] = step[1, 3] = seconds
    t = abs(seconds)
    one_axis = np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]]) * start.noise.acceleration**2
    covariance = step @ start.covariance @ step.T + np.kron(one_axis, np.eye(2))
    return replace(start, state=step @ start.state, covariance=covariance)


def heading(start: Belief, measured: dict[int, float]) -> Belief | None:
    """The CTRV belief that follows from the starting one; None while nobody can say where the car heads.

    Either speed and yaw are measured, or the positions show a speed that is clearly not 0.

    Parameters
    ----------
    start : Belief
    measured : dict of int to float
        Speed, yaw and yaw rate of that moment, as far as they were measured.
    """
    if SPEED in measured and YAW in measured:
        return _as_measured(start, measured)
    slowest = SURE * np.sqrt(np.linalg.eigvalsh(start.covariance[2:, 2:])[-1])
    return corrected(turned_polar(start), measured) if np.hypot(*start.state[2:]) >= slowest else None


def turned_polar(start: Belief) -> Belief:
    """The starting belief as a CTRV state: `speed = hypot(vx, vy)`, `yaw = atan2(vy, vx)`, and a yaw rate about 0.

    The covariance goes through the derivatives of these two; of a car that stands, speed and yaw are unknown.
    """
    vx, vy = start.state[2:]
    speed = float(np.hypot(vx, vy))
    polar = np.zeros((5, 4))
    polar[X, 0] = polar[Y, 1] = 1
    if speed > 0:
        polar[SPEED, 2:] = vx / speed, vy / speed
        polar[YAW, 2:] = -vy / speed**2, vx / speed**2
    covariance = polar @ start.covariance @ polar.T
    if speed == 0:
        covariance[SPEED, SPEED] = start.covariance[2, 2] + start.covariance[3, 3]
        covariance[YAW, YAW] = np.pi**2 / 3  # of an angle that may be any
    covariance[YAW_RATE, YAW_RATE] = TURNING**2
    state = np.array([start.state[0], start.state[1], speed, np.arctan2(vy, vx), 0.0])
    return Belief(state, covariance, start.noise)


def _as_measured(start: Belief, measured: dict[int, float]) -> Belief:
    noise = start.noise
    covariance = np.diag([0.0, 0.0, noise.speed**2, noise.yaw**2, TURNING**2])
    covariance[:2, :2] = start.covariance[:2, :2]
    state = np.array([start.state[0], start.state[1], measured[SPEED], wrapped(measured[YAW]), 0.0])
    rate = {YAW_RATE: measured[YAW_RATE]} if YAW_RATE in measured else {}
    return corrected(Belief(state, covariance, noise), rate)
