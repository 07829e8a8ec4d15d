"""Car Log Reader: a GPS log of a real car, made ready for Latency Compensator."""

from __future__ import annotations

from logging import Logger

import numpy as np
import pandas as pd

from framework import plugin

from . import course
from .car_log import Columns, as_measurements, invented
from .config import CarLogReaderConfig, DemoCarLogConfig


@plugin(name="Car Log Reader", default_config=CarLogReaderConfig, version="1.0.0", tags=("demo", "data"))
def read_car_log(config: CarLogReaderConfig, logger: Logger) -> dict[str, pd.DataFrame]:
    """Read a log with latitudes and longitudes as metres around its first fix, and lay out a video of it."""
    columns = Columns(
        time=config.time_column,
        clock=config.clock_column,
        latitude=config.latitude_column,
        longitude=config.longitude_column,
        speed=config.speed_column,
        course=config.course_column,
        yaw_rate=config.yaw_rate_column,
    )
    measurements = as_measurements(
        config.car_log,
        columns,
        time_unit=config.time_unit_s,
        speed_unit=config.speed_unit_m_s,
        yaw_rate_clockwise=config.yaw_rate_clockwise,
        slowest_course=config.slowest_course_m_s,
    )
    end = float(measurements["time"].max())
    logger.info("%d rows in %.1f s", len(measurements), end)
    return {"latent_measurements": measurements, "video_manifest": course.manifest(0.0, end, fps=config.fps)}


@plugin(name="Demo Car Log", default_config=DemoCarLogConfig, version="1.0.0", tags=("demo", "data"))
def make_demo_car_log(config: DemoCarLogConfig) -> pd.DataFrame:
    """Invent a small log of the shape that Car Log Reader reads."""
    return invented(config.duration_s, np.random.default_rng(config.seed), latency=config.latency_s)
