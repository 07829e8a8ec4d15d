"""Latency Compensator: where the car is, from where it was."""

from __future__ import annotations

from logging import Logger

import pandas as pd

from framework import plugin

from .compensation import compensated
from .config import LatencyCompensatorConfig
from .kalman import Noise


@plugin(name="Latency Compensator", default_config=LatencyCompensatorConfig, version="1.0.0", tags=("demo",))
def compensate_latency(config: LatencyCompensatorConfig, logger: Logger) -> pd.DataFrame:
    """Follow the car with an extended Kalman filter, and look ahead by the latency at each arrival."""
    noise = Noise(
        position=config.position_std_m,
        speed=config.speed_std_m_s,
        yaw=config.yaw_std_rad,
        yaw_rate=config.yaw_rate_std_rad_s,
        acceleration=config.acceleration_noise,
        yaw_acceleration=config.yaw_acceleration_noise,
    )
    states = compensated(
        config.measurements,
        latency=config.latency_to_compensate_s,
        noise=noise,
        stale_after=config.stale_after_s,
        logger=logger,
    )
    logger.info("%d states, compensated for %g s", len(states), config.latency_to_compensate_s)
    return states
