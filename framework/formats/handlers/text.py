"""Text, every character as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framework.errors import FidelityError
from framework.formats.compression import MOST_UNPACKED
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import decoded, known_encoding, option, read_whole, writing

PROVIDES = {
    "kind": "handler",
    "name": "text",
    "object": "TextHandler",
    "extensions": [".txt", ".md", ".log", ".html", ".txt.gz"],
    "summary": "Text, every character as it is",
}


@handler(name="text", extensions=[".txt", ".md", ".log", ".html", ".txt.gz"])
class TextHandler(DataHandler):
    """A text.

    Parameters
    ----------
    encoding : str
    max_bytes : int
        How much a compressed file may hold.
    """

    def __init__(self, *, encoding: str = "utf-8", max_bytes: int = MOST_UNPACKED, **unknown: Any) -> None:
        super().__init__(**unknown)
        self.encoding = known_encoding("text", encoding)
        self.max_bytes = option("text", "max_bytes", max_bytes, int, "a number of bytes")

    def load(self, path: Path) -> str:
        return decoded(read_whole(path, most=self.max_bytes), self.encoding, path)

    def save(self, data: Any, path: Path) -> None:
        if not isinstance(data, str):
            raise FidelityError(
                f"The text handler saves text, not {type(data).__name__}.", cure="For other things: json, yaml, bytes."
            )
        try:
            content = data.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise FidelityError(
                f"{error.object[error.start]!r} cannot be written in {self.encoding}.", cure="Leave encoding at utf-8."
            ) from None
        with writing(path) as sink:
            sink.write(content)
