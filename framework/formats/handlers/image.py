"""Pictures as arrays of height x width x channels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from framework.errors import FidelityError, FormatError
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import as_format_errors, option, refuse_option

PROVIDES = {
    "kind": "handler",
    "name": "image",
    "object": "ImageHandler",
    "extensions": [".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"],
    "extra": "image",
    "requires": ["PIL"],
    "summary": "A picture as an array of height x width x channels",
}
PLAIN = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA"}  # what a picture is and what is made of it
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
MOST_PIXELS = 178_956_970


@handler(name="image", extensions=[".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"])
class ImageHandler(DataHandler):
    """A picture: loaded as a uint8 array of height x width x channels, saved from one or from a Pillow image.

    Parameters
    ----------
    quality : int
        Of a JPEG or WebP, 1 to 100; a JPEG is never quite what was saved.
    lossy : bool
        Load a picture of other kinds (16 bits, CMYK, several frames) as its first frame in RGB.
    max_pixels : int
    """

    def __init__(
        self, *, quality: int = 95, lossy: bool = False, max_pixels: int = MOST_PIXELS, **unknown: Any
    ) -> None:
        super().__init__(**unknown)
        self.quality = option("image", "quality", quality, int, "1 to 100")
        if not 1 <= quality <= 100:
            raise refuse_option("image", "quality", quality, "1 to 100")
        self.lossy = option("image", "lossy", lossy, bool, "true or false")
        self.max_pixels = option("image", "max_pixels", max_pixels, int, "a number of pixels")

    def load(self, path: Path) -> Any:
        import numpy as np
        from PIL import Image

        kinds = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
        with as_format_errors(path, "a picture", *kinds), warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we count for ourselves
            with Image.open(path) as picture:
                self._check_size(picture, path)
                _check_sums(picture, path)
                array = np.asarray(self._plain(picture, path))
        return array[:, :, None] if array.ndim == 2 else array

    def _check_size(self, picture: Any, path: Path) -> None:
        width, height = picture.size
        if width * height > self.max_pixels:
            raise FormatError(
                f"{path.name} has {width:,} x {height:,} pixels, and {self.max_pixels:,} are allowed.",
                cure="If that is right, say max_pixels=.",
                resource=str(path),
            )

    def _plain(self, picture: Any, path: Path) -> Any:
        """The picture in one of the kinds that eight bits a channel tell."""
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and not self.lossy:
            raise FormatError(f"{path.name} has {frames} frames.", cure="Take the first with lossy: true.")
        if picture.mode in ("P", "PA"):
            clear = picture.mode == "PA" or "transparency" in picture.info
            return picture.convert("RGBA" if clear else "RGB")
        if picture.mode not in PLAIN:
            if not self.lossy:
                raise FormatError(
                    f"{path.name} is of the kind {picture.mode}, which eight bits of RGB do not tell.",
                    cure="Take what they do with lossy: true.",
                    resource=str(path),
                )
            return picture.convert("RGB")
        return picture.convert(PLAIN[picture.mode])

    def save(self, data: Any, path: Path) -> None:
        from PIL import Image

        picture = data if isinstance(data, Image.Image) else _picture(data)
        if min(picture.size) == 0:
            raise FidelityError("A picture without a pixel cannot be saved.")
        options: dict[str, Any] = {"quality": self.quality} if path.suffix.lower() in (".jpg", ".jpeg") else {}
        if path.suffix.lower() == ".webp":
            options = {"lossless": True}
        try:
            picture.save(path, **options)
        except ValueError as error:  # an extension that Pillow does not know
            raise FormatError(f"{path.name} cannot be written as a picture: {error}.", resource=str(path)) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise FidelityError(f"{path.name}: {error}.", cure="Save it as .png, or as RGB.") from error


def _check_sums(picture: Any, path: Path) -> None:
    """SyntaxError where a sum in the file is not that of its bytes: Pillow looks at those of a PNG only when asked."""
    from PIL import Image

    if picture.format == "PNG":
        with Image.open(path) as again:
            again.verify()


def _picture(data: Any) -> Any:
    import numpy as np
    from PIL import Image

    if not isinstance(data, np.ndarray):
        raise FidelityError(f"The image handler saves an array or a Pillow image, not {type(data).__name__}.")
    check_pixels(data)
    pixels = data[:, :, 0] if data.ndim == 3 and data.shape[2] == 1 else data
    return Image.fromarray(np.ascontiguousarray(pixels), mode=None) if pixels.size else Image.new("L", (0, 0))


def check_pixels(array: Any) -> None:
    """FidelityError for what is not height x width, or x 1 to 4 channels, of uint8."""
    if str(array.dtype) != "uint8":
        raise FidelityError(
            f"A picture is an array of uint8, not {array.dtype}.",
            cure='For 0.0 to 1.0: (data * 255).round().astype("uint8").',
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in MODES):
        shape = " x ".join(map(str, array.shape))
        raise FidelityError(f"A picture is height x width x 1 to 4 channels, not {shape}.")
