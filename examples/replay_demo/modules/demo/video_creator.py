"""Video Creator: the pictures as a video."""

from __future__ import annotations

from logging import Logger

from framework import ValidationException, plugin

from .config import VideoCreatorConfig
from .video import encoded, frame_rate


@plugin(name="Video Creator", default_config=VideoCreatorConfig, version="1.0.0", tags=("demo", "video"))
def create_video(config: VideoCreatorConfig, logger: Logger) -> bytes:
    """Encode the pictures as H.264 in an mp4, each shown at its own time, at the data's own frame rate."""
    manifest = config.video_manifest
    pictures = [config.rendered_frames / f"frame_{frame:06d}.png" for frame in manifest["frame"]]
    missing = [path.name for path in pictures if not path.is_file()]
    if missing or not pictures:
        raise ValidationException(
            f"{len(missing)} of {len(pictures)} pictures are missing"
            + (f", the first is {missing[0]}." if missing else ": the video manifest has no frame."),
            cure="Run 'Frame Renderer' on this manifest first.",
            resource="rendered_frames",
        )
    times = manifest["time"].tolist()
    video = encoded(pictures, times, quality=config.quality)
    logger.info("%d frames, %.4g per second, %.1f MB", len(pictures), float(frame_rate(times)), len(video) / 1e6)
    return video
