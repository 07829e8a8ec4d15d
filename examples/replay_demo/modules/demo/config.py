"""What each step can be set to, and which data it reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import BaseModel, Field

from framework import DataSink, DataSource

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DemoDataConfig(BaseModel):
    """A car's course and the log of it."""

    model_config = {"arbitrary_types_allowed": True}

    latent_measurements: Annotated[pd.DataFrame, DataSink(name="latent_measurements")] | None = None
    video_manifest: Annotated[pd.DataFrame, DataSink(name="video_manifest")] | None = None
    true_states: Annotated[pd.DataFrame, DataSink(name="true_states")] | None = None

    seed: int = Field(7, ge=0, description="another seed, another noise")
    duration_s: float = Field(20.0, gt=0, le=3600, description="how long the car drives")
    latency_s: Seconds = Field(0.2, description="a measurement shows where the car was that long before it arrives")
    position_noise_m: NotNegative = Field(0.5, description="standard deviation in each axis")
    speed_noise_m_s: NotNegative = Field(0.3, description="standard deviation of the speedometer")
    yaw_rate_noise_rad_s: NotNegative = Field(0.03, description="standard deviation of the gyroscope")
    stale_share: float = Field(0.05, ge=0, lt=1, description="share of rows that repeat the last fix")
    fps: float = Field(20.0, gt=0, le=240, description="frames per second of the video")


class LatencyCompensatorConfig(BaseModel):
    """Late measurements in, the car's present states out."""

    model_config = {"arbitrary_types_allowed": True}

    measurements: Annotated[pd.DataFrame, DataSource(name="latent_measurements")]
    predicted_states: Annotated[pd.DataFrame, DataSink(name="predicted_states")] | None = None

    latency_to_compensate_s: Seconds = Field(0.2, description="how old a measurement is when it arrives")
    position_std_m: Positive = Field(0.5, description="of a measured position, in each axis")
    speed_std_m_s: Positive = Field(0.3, description="of a measured speed")
    yaw_std_rad: Positive = Field(0.05, description="of a measured yaw")
    yaw_rate_std_rad_s: Positive = Field(0.03, description="of a measured yaw rate")
    acceleration_noise: Positive = Field(2.0, description="how hard the car may accelerate, m/s^2 per sqrt(Hz)")
    yaw_acceleration_noise: Positive = Field(0.5, description="how hard it may steer, rad/s^2 per sqrt(Hz)")
    stale_after_s: Seconds = Field(1.0, description="a value repeated for that long is believed: the car stands")


class FrameRendererConfig(BaseModel):
    """Measured, compensated and, where it is known, true car from above."""

    model_config = {"arbitrary_types_allowed": True}

    measurements: Annotated[pd.DataFrame, DataSource(name="latent_measurements")]
    predicted_states: Annotated[pd.DataFrame, DataSource(name="predicted_states")]
    video_manifest: Annotated[pd.DataFrame, DataSource(name="video_manifest")]
    true_states: Annotated[pd.DataFrame, DataSource(name="true_states", must_exist=False)] | None = None
    rendered_frames: Annotated[Path, DataSink(name="rendered_frames")] | None = None

    zoom_factor: float = Field(5.0, ge=0.1, le=50, description="the picture is 300 m wide, divided by this")
    width: int = Field(960, ge=480, le=3840, multiple_of=2, description="pixels")
    height: int = Field(540, ge=270, le=2160, multiple_of=2, description="pixels")


class VideoCreatorConfig(BaseModel):
    """Pictures in, a video out."""

    model_config = {"arbitrary_types_allowed": True}

    rendered_frames: Annotated[Path, DataSource(name="rendered_frames")]
    video_manifest: Annotated[pd.DataFrame, DataSource(name="video_manifest")]
    replay_video: Annotated[bytes, DataSink(name="replay_video")] | None = None

    quality: int = Field(20, ge=0, le=51, description="H.264's rate factor: lower is better and larger")


class CarLogReaderConfig(BaseModel):
    """A GPS log with latitude and longitude in, measurements in metres out."""

    model_config = {"arbitrary_types_allowed": True}

    car_log: Annotated[pd.DataFrame, DataSource(name="car_log")]
    latent_measurements: Annotated[pd.DataFrame, DataSink(name="latent_measurements")] | None = None
    video_manifest: Annotated[pd.DataFrame, DataSink(name="video_manifest")] | None = None

    time_column: str = Field("millis", description="when the row arrived")
    time_unit_s: Positive = Field(0.001, description="seconds in one unit of that column")
    clock_column: str | None = Field(None, description="when the receiver measured, HHMMSSmmm; null: none")
    latitude_column: str = Field("latitude", description="degrees, north positive")
    longitude_column: str = Field("longitude", description="degrees, east positive")
    speed_column: str | None = Field("speed", description="null: the log has none")
    speed_unit_m_s: Positive = Field(1 / 3.6, description="m/s in one unit of that column; 1/3.6 is km/h")
    course_column: str | None = Field("course", description="degrees from north, clockwise; null: none")
    yaw_rate_column: str | None = Field("yawrate", description="degrees per second; null: none")
    yaw_rate_clockwise: bool = Field(False, description="whether a positive yaw rate turns to the right")
    slowest_course_m_s: NotNegative = Field(1.0, description="below it a course says nothing, and is left out")
    fps: float = Field(20.0, gt=0, le=240, description="frames per second of the video")


class DemoCarLogConfig(BaseModel):
    """A small invented log of the shape that Car Log Reader reads."""

    model_config = {"arbitrary_types_allowed": True}

    car_log: Annotated[pd.DataFrame, DataSink(name="car_log")] | None = None

    seed: int = Field(7, ge=0, description="another seed, another noise")
    duration_s: float = Field(20.0, gt=0, le=3600, description="how long the car drives")
    latency_s: Seconds = Field(0.2, description="a row shows where the car was that long before")
