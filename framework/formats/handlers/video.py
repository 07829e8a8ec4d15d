"""Video: frames in, a file that plays everywhere out; read frame by frame."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from framework.errors import FidelityError, FormatError, OptionError
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import option, refuse_option

PROVIDES = {
    "kind": "handler",
    "name": "video",
    "object": "VideoHandler",
    "extensions": [".mp4", ".mov", ".mkv"],
    "extra": "video",
    "requires": ["av"],
    "summary": "Frames as an H.264 video",
}
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FASTEST = 1000  # frames a second


@dataclass(frozen=True)
class Video:
    """A video's frames, read anew by each loop over them: uint8 arrays of height x width x 3."""

    path: Path
    container: str
    fps: Fraction
    width: int
    height: int

    def __iter__(self) -> Iterator[Any]:
        import av

        with (
            open(self.path, "rb") as file,
            _decoding(self.path),
            av.open(file, "r", format=self.container, metadata_errors="replace") as source,
        ):
            stream, count = source.streams.video[0], 0
            for frame in source.decode(stream):
                count += 1
                yield frame.to_ndarray(format="rgb24")
            if count < stream.frames:
                raise FormatError(
                    f"{self.path.name} is cut: {count} of {stream.frames} frames are there.", resource=str(self.path)
                )


@handler(name="video", extensions=[".mp4", ".mov", ".mkv"])
class VideoHandler(DataHandler):
    """A video in H.264. It is never quite what was saved.

    Saved from arrays of height x width x 3 (uint8), or from the pictures of a folder in the order of their numbers; an
    odd width or height is padded by one. Loaded as a `Video`, whose frames are decoded one by one.

    Parameters
    ----------
    fps : number or text such as "30000/1001", optional
        Frames a second; needed where the data does not say it by `fps` of its own.
    quality : int
        0 is without loss and large, 51 the smallest.
    """

    def __init__(self, *, fps: float | str | None = None, quality: int = 20, **unknown: Any) -> None:
        super().__init__(**unknown)
        self.fps = None if fps is None else _rate(fps)
        self.quality = option("video", "quality", quality, int, "0 to 51")
        if not 0 <= quality <= 51:
            raise refuse_option("video", "quality", quality, "0 to 51")

    def load(self, path: Path) -> Video:
        import av

        container = _container(path)
        with (
            open(path, "rb") as file,
            _decoding(path),  # by its extension and never by its content, which might name other files
            av.open(file, "r", format=container, metadata_errors="replace") as source,
        ):
            stream = next(iter(source.streams.video), None)
            if stream is None or stream.codec_context is None or not stream.average_rate:
                raise FormatError(f"{path.name} holds no video that can be decoded.", resource=str(path))
            return Video(path, container, Fraction(stream.average_rate), stream.width, stream.height)

    def save(self, data: Any, path: Path) -> None:
        frames, said = _frames_of(data)
        fps = self.fps or (None if said is None else _rate(said))
        if fps is None:
            raise OptionError("The video handler needs fps, the frames a second.", cure="Say handler_args: {fps: 25}.")
        arrays = _checked(frames)
        first = next(arrays, None)
        if first is None:
            raise FidelityError("A video without a frame cannot be saved.")
        self._write(path, first, arrays, fps)

    def _write(self, path: Path, first: Any, others: Iterator[Any], fps: Fraction) -> None:
        import av

        height, width = first.shape[0], first.shape[1]
        with open(path, "wb") as file, av.open(file, "w", format=_container(path)) as target:
            stream: Any = target.add_stream("libx264", rate=fps, options={"crf": str(self.quality)})
            stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
            for number, array in enumerate(_with(first, others)):
                frame = av.VideoFrame.from_ndarray(_even(array), format="rgb24")
                frame.pts, frame.time_base = number, 1 / fps
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """What FFmpeg says of a file's content as FormatError, whatever number it gives it; the system's errors pass."""
    import av

    try:
        yield
    except (av.FFmpegError, OSError) as error:
        if not isinstance(error, av.FFmpegError) and error.errno != errno.EINVAL:  # a place before the beginning
            raise
        raise FormatError(f"{path.name} is not a video that can be read: {error}.", resource=str(path)) from error


def _rate(value: Any) -> Fraction:
    wanted = 'a number above 0, such as 25, 12.5 or "30000/1001"'
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise refuse_option("video", "fps", value, wanted)
    try:
        rate = Fraction(value).limit_denominator(1001)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise refuse_option("video", "fps", value, wanted) from None
    if not 0 < rate <= FASTEST:
        raise refuse_option("video", "fps", value, wanted)
    return rate


def _container(path: Path) -> str:
    found = CONTAINERS.get(path.suffix.lower())
    if found is None:
        raise FormatError(
            f"{path.name} has no extension of a video.", cure=f"Use {', '.join(CONTAINERS)}.", resource=str(path)
        )
    return found


# --------------------------------------------------------------------------- frames


def _frames_of(data: Any) -> tuple[Iterable[Any], Any]:
    """What to show, and how fast if the data says so."""
    if isinstance(data, Mapping) and "frames" in data:
        return data["frames"], data.get("fps")
    if isinstance(data, str | Path):
        return _pictures(Path(data)), None
    if isinstance(data, Iterable) and not isinstance(data, bytes | Mapping):
        return data, getattr(data, "fps", None)
    raise FidelityError(f"The video handler saves frames or a folder of pictures, not {type(data).__name__}.")


def _pictures(folder: Path) -> Iterator[Any]:
    """The pictures of a folder, frame_2 before frame_10."""
    from framework.formats.handlers.image import ImageHandler

    if not folder.is_dir():
        raise FormatError(f"{folder} is no folder of pictures.", resource=str(folder))
    reader = ImageHandler()
    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    for path in sorted(found, key=lambda path: _numbered(path.name)):
        yield reader.load(path)


def _numbered(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _checked(frames: Iterable[Any]) -> Iterator[Any]:
    """Each frame as height x width x 3, all of one size."""
    from framework.formats.handlers.image import check_pixels

    size = None
    for number, frame in enumerate(frames):
        if not hasattr(frame, "dtype") or not hasattr(frame, "ndim"):
            raise FidelityError(f"Frame {number} is {type(frame).__name__}, and each is an array.")
        check_pixels(frame)
        array = frame[:, :, None] if frame.ndim == 2 else frame
        if array.shape[2] not in (1, 3):
            raise FidelityError(
                f"Frame {number} has {array.shape[2]} channels, and a video holds 3.", cure="Drop alpha."
            )
        size = size or array.shape[:2]
        if array.shape[:2] != size or 0 in size:
            raise FidelityError(
                f"Frame {number} is {array.shape[1]} x {array.shape[0]}, and the first is {size[1]} x {size[0]}.",
                cure="Make all frames of one size.",
            )
        yield array.repeat(3, axis=2) if array.shape[2] == 1 else array


def _with(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _even(array: Any) -> Any:
    """The frame with its last row and column once more where their number is odd."""
    import numpy as np

    height, width = array.shape[:2]
    if height % 2 or width % 2:
        array = np.pad(array, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(array)
