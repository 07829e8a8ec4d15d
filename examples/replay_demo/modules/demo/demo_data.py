"""Demo Data: what the demo replays, made up."""

from __future__ import annotations

from logging import Logger

import numpy as np
import pandas as pd

from framework import plugin

from . import course
from .config import DemoDataConfig


@plugin(name="Demo Data", default_config=DemoDataConfig, version="1.0.0", tags=("demo", "data"))
def make_demo_data(config: DemoDataConfig, logger: Logger) -> dict[str, pd.DataFrame]:
    """Drive a car over a course, and log it late, noisily and unevenly. One seed, one log."""
    states = course.truth(config.duration_s)
    measurements = course.measured(
        states,
        np.random.default_rng(config.seed),
        latency=config.latency_s,
        position_noise=config.position_noise_m,
        speed_noise=config.speed_noise_m_s,
        yaw_rate_noise=config.yaw_rate_noise_rad_s,
        stale_share=config.stale_share,
    )
    logger.info("%d measurements in %g s, each %g s late", len(measurements), config.duration_s, config.latency_s)
    return {
        "latent_measurements": measurements,
        "video_manifest": course.manifest(0.0, config.duration_s, fps=config.fps),
        "true_states": states,
    }
