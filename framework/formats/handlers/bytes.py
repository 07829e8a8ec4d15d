"""Bytes as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framework.errors import FidelityError
from framework.formats.handlers.handler import DataHandler, handler

PROVIDES = {
    "kind": "handler",
    "name": "bytes",
    "object": "BytesHandler",
    "extensions": [".bin"],
    "aliases": ["binary"],
    "summary": "Bytes as they are",
}


@handler(name="bytes", extensions=[".bin"], aliases=["binary"])
class BytesHandler(DataHandler):
    """The bytes of any file, whatever its name."""

    def load(self, path: Path) -> bytes:
        return path.read_bytes()

    def save(self, data: Any, path: Path) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise FidelityError(f"The bytes handler saves bytes, not {type(data).__name__}.", cure="For a str: text.")
        path.write_bytes(data)
