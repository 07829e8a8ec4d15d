"""JSON lines: one record a line, read and written one by one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from framework.errors import FidelityError, FormatError
from framework.formats.compression import MOST_UNPACKED
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import option, reading, writing
from framework.formats.handlers.values import frame_of, parse_json, plain_value, records_of, worded
from framework.formats.records import pieces

PROVIDES = {
    "kind": "handler",
    "name": "jsonl",
    "object": "JsonlHandler",
    "extensions": [".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.zst"],
    "summary": "One record a line, as a DataFrame or a list of dictionaries",
}


@handler(name="jsonl", extensions=[".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.zst"])
class JsonlHandler(DataHandler):
    """Records, one a line.

    Parameters
    ----------
    frame : bool
        Load a DataFrame; else a list of dictionaries.
    lossy : bool
        Save a DataFrame's times and the like as text, and drop its index.
    max_bytes : int
        How much a compressed file may hold.
    """

    def __init__(
        self, *, frame: bool = True, lossy: bool = False, max_bytes: int = MOST_UNPACKED, **unknown: Any
    ) -> None:
        super().__init__(**unknown)
        self.frame = option("jsonl", "frame", frame, bool, "true or false")
        self.lossy = option("jsonl", "lossy", lossy, bool, "true or false")
        self.max_bytes = option("jsonl", "max_bytes", max_bytes, int, "a number of bytes")

    def load(self, path: Path) -> Any:
        records = self._records(path)
        return frame_of(records) if self.frame else list(records)

    def _records(self, path: Path) -> Iterator[dict[str, Any]]:
        """One after the other; blank lines are passed over."""
        line = 0
        with reading(path, most=self.max_bytes) as read:
            for piece in pieces(read, path.name, quoted=False):
                for text in piece.split(b"\n"):
                    line += 1
                    if text.strip():
                        yield self._record(text, path, line)
                line -= 1  # a piece ends where the next begins

    def _record(self, text: bytes, path: Path, line: int) -> dict[str, Any]:
        try:
            said = text.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError:
            raise FormatError(f"{path.name}, line {line}: not UTF-8.", line=line, resource=str(path)) from None
        value = parse_json(said, path.name, line=line)
        if not isinstance(value, dict):
            raise FormatError(
                f"{path.name}, line {line}: {said.strip()[:40]} is no record.",
                cure="Each line is one {...}.",
                line=line,
                resource=str(path),
            )
        return value

    def save(self, data: Any, path: Path) -> None:
        records = frame_records(data, "JSON", lossy=self.lossy) if is_frame(data) else _plain_records(data)
        with writing(path) as sink:
            for record in records:
                text = json.dumps(record, ensure_ascii=False, allow_nan=False)
                sink.write(in_utf8(text + "\n", "JSON"))


def _plain_records(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, str | bytes | dict) or not isinstance(data, Iterable):
        raise FidelityError(
            f"The jsonl handler saves a DataFrame or records, not {type(data).__name__}.", cure="For one value: json."
        )
    for place, record in enumerate(data):
        value = plain_value(record, "JSON")
        if not isinstance(value, dict):
            raise FidelityError(f"Record {place} is {type(record).__name__}, and each is a dictionary.")
        yield value


def is_frame(data: Any) -> bool:
    return "pandas" in sys.modules and isinstance(data, sys.modules["pandas"].DataFrame)


def frame_records(frame: Any, what: str, *, lossy: bool) -> Iterable[dict[str, Any]]:
    """The frame's rows; FidelityError when they are not read back with the same values."""
    from framework.formats.handlers.faithful import check_same_values, check_shape, flattened

    if lossy:
        return worded(records_of(flattened(frame, what)))
    check_shape(frame, what)
    records = [plain_value(record, what) for record in records_of(frame)]
    check_same_values(frame, frame_of(records), what)
    return records


def in_utf8(text: str, what: str) -> bytes:
    """The text as bytes; FidelityError for half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise FidelityError(f"{error.object[error.start]!r} is no character that {what} holds.") from None
