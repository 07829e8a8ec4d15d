"""From pictures to a video that plays everywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from PIL import Image

CLOCK = 90_000  # ticks per second; the usual clock of video, which every usual frame rate divides well
THREADS = 1  # how many there are changes the bytes; no machine has fewer


def frame_rate(times: Sequence[float]) -> Fraction:
    """Frames per second, from the middle one of the steps between the times (s); 1 for a single frame."""
    steps = sorted(after - before for before, after in pairwise(times))
    return Fraction(1 / steps[len(steps) // 2]).limit_denominator(1001) if steps else Fraction(1)


def encoded(pictures: Sequence[Path], times: Sequence[float], *, quality: int = 20) -> bytes:
    """An H.264 video (mp4, yuv420p) that shows each picture at its time.

    Parameters
    ----------
    pictures : sequence of Path
        All of one size; an odd last row or column is left out, since H.264 holds colours for 2 x 2 pixels.
    times : sequence of float
        s, increasing, one for each picture. Uneven steps stay uneven.
    quality : int
        H.264's constant rate factor, 0 (best) to 51.

    Returns
    -------
    bytes
    """
    with Image.open(pictures[0]) as first:
        width, height = (side // 2 * 2 for side in first.size)
    rate = frame_rate(times)
    starts = [round((time - times[0]) * CLOCK) for time in times]
    ends = [*starts[1:], starts[-1] + round(CLOCK / rate)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "video.mp4"  # not memory: the index is moved to the front when all else is written
        # "bf" 0: with frames that look ahead, a video of uneven steps is given a wrong length.
        with av.open(file, "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream(
                "libx264", rate=rate, options={"crf": str(quality), "preset": "veryfast", "bf": "0"}
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = stream.time_base = Fraction(1, CLOCK)
            stream.codec_context.thread_count = THREADS
            for path, start, end in zip(pictures, starts, ends, strict=True):
                with Image.open(path) as picture:
                    pixels = np.asarray(picture.convert("RGB").crop((0, 0, width, height)))
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base, frame.duration = start, Fraction(1, CLOCK), end - start
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return file.read_bytes()
