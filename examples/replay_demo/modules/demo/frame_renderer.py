"""Frame Renderer: what happened, as pictures from above."""

from __future__ import annotations

from logging import Logger
from pathlib import Path

from framework import plugin

from .config import FrameRendererConfig
from .rendering import rendered


@plugin(name="Frame Renderer", default_config=FrameRendererConfig, version="1.0.0", tags=("demo", "video"))
def render_frames(config: FrameRendererConfig, logger: Logger) -> Path | None:
    """Paint the measured, the compensated and, where it is known, the true car: one picture for each frame."""
    if config.rendered_frames is None:
        return None
    count = rendered(
        config.rendered_frames,
        manifest=config.video_manifest,
        measurements=config.measurements,
        states=config.predicted_states,
        truth=config.true_states,
        zoom=config.zoom_factor,
        width=config.width,
        height=config.height,
    )
    logger.info("%d pictures of %d x %d", count, config.width, config.height)
    return config.rendered_frames
