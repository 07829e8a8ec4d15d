"""JSON: any value that it has, or a DataFrame as records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from framework.errors import FidelityError, FormatError
from framework.formats.compression import MOST_UNPACKED
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.jsonl import frame_records, in_utf8, is_frame
from framework.formats.handlers.streams import decoded, option, read_whole, refuse_option, writing
from framework.formats.handlers.values import frame_of, parse_json, plain_value

PROVIDES = {
    "kind": "handler",
    "name": "json",
    "object": "JsonHandler",
    "extensions": [".json", ".json.gz", ".json.zst"],
    "summary": "Any JSON value; a DataFrame as records",
}


@handler(name="json", extensions=[".json", ".json.gz", ".json.zst"])
class JsonHandler(DataHandler):
    """A JSON value.

    Parameters
    ----------
    frame : bool
        Load a list of records as a DataFrame.
    indent : int, optional
        Spaces a level; None for all in one line.
    lossy : bool
        Save a DataFrame's times and the like as text, and drop its index.
    max_bytes : int
        How much a compressed file may hold.
    """

    def __init__(
        self,
        *,
        frame: bool = False,
        indent: int | None = 2,
        lossy: bool = False,
        max_bytes: int = MOST_UNPACKED,
        **unknown: Any,
    ) -> None:
        super().__init__(**unknown)
        self.frame = option("json", "frame", frame, bool, "true or false")
        self.indent = option("json", "indent", indent, (int, type(None)), "a number of spaces, or null")
        if indent is not None and not 0 <= indent <= 16:
            raise refuse_option("json", "indent", indent, "0 to 16, or null")
        self.lossy = option("json", "lossy", lossy, bool, "true or false")
        self.max_bytes = option("json", "max_bytes", max_bytes, int, "a number of bytes")

    def load(self, path: Path) -> Any:
        text = decoded(read_whole(path, most=self.max_bytes), "utf-8-sig", path)
        value = parse_json(text, path.name)
        if not self.frame:
            return value
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise FormatError(
                f"{path.name} is no list of records, which frame: true asks for.",
                cure="Leave frame out to load what it is.",
                resource=str(path),
            )
        return frame_of(value)

    def save(self, data: Any, path: Path) -> None:
        value = list(frame_records(data, "JSON", lossy=self.lossy)) if is_frame(data) else plain_value(data, "JSON")
        try:
            text = json.dumps(value, indent=self.indent, ensure_ascii=False, allow_nan=False)
        except RecursionError:
            raise FidelityError("The data is nested too deep for JSON.", cure="Save it in parts.") from None
        with writing(path) as sink:
            sink.write(in_utf8(text + "\n", "JSON"))
