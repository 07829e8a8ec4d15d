"""JSON as an artifact: lines and arrays record by record, documents by the path of their records; numbers exact."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from glob import glob, has_magic
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from framework.errors import FormatError, ParameterError
from framework.files import storage_errors
from framework.formats.compression import MOST_UNPACKED, Read
from framework.formats.handlers.streams import reading
from framework.formats.records import pieces
from framework.mods.artifacts import write_tables
from framework.mods.base import BaseModParams, InputPath, ModMetadata
from framework.mods.records import Rows
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.mods.values import STRICT, flattened, json_value, records_in

METADATA = ModMetadata(
    name="json_reader",
    version="1.0.0",
    description="Reads JSON arrays, JSON Lines and nested documents, plain or compressed",
    author="Millpond",
    tags=["source", "json", "jsonl", "file"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {"input_path": "orders.json", "records_path": "result.orders", "flatten": True}
EXAMPLE_FILES = {
    "orders.json": """{"result": {"orders": [
  {"id": 1, "price": 9.5, "customer": {"name": "Ada", "city": "Bern"}, "items": ["ink", "pen"]},
  {"id": 2, "price": 120, "customer": {"name": "Ben"}, "items": []}
]}}
""",
}
LINES = (".jsonl", ".ndjson")
BLOCK = 1 << 20  # bytes
LONGEST = 1 << 28  # characters of one record
SPACE = " \t\r\n"


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_path: InputPath = Field(description="a .json or .jsonl file, also .gz or .zst, or a pattern such as *.jsonl")
    base_path: str | None = Field(None, description="where relative paths begin")
    format: Literal["auto", "lines", "document"] = Field(
        "auto", description="lines: one record a line; document: one value, such as an array; auto: as the file looks"
    )
    records_path: str | None = Field(
        None, min_length=1, description="keys, joined by dots, under which the records are"
    )
    flatten: bool = Field(False, description="make columns a.b of nested objects, which are else kept as JSON text")
    columns: list[str] | None = Field(None, min_length=1, description="only these")
    max_bytes: int = Field(MOST_UNPACKED, gt=0, description="how much a compressed file may hold")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    paths = list(_files(params.input_path))
    with Rows(here.folder, columns=params.columns) as rows:
        for path in paths:
            with storage_errors(str(path)):
                found = _records(path, params)
                rows.add(flattened(found, path.name) if params.flatten else found)
        schema, tables = rows.tables()
        target = here.output(params.output_path)
        written = write_tables(target, schema, tables)
        for note in rows.notes:
            result.add_warning(note)
    here.logger.info("read %d records of %d files", written, len(paths))
    result.add_metric("rows_processed", rows.count)
    result.add_metric("rows_output", written)
    result.add_metric("files", len(paths))
    result.add_artifact("output_data", target)
    return result.success()


def _files(pattern: str) -> Iterator[Path]:
    names = sorted(glob(pattern)) if has_magic(pattern) and not Path(pattern).exists() else [pattern]
    for name in names:
        if Path(name).is_dir():
            raise ParameterError(f"{name} is a folder.", cure=f"Say which of its files: {name}/*.jsonl", resource=name)
        yield Path(name)


def _records(path: Path, params: Params) -> Iterator[Mapping[str, Any]]:
    form = _form(path, params)
    if form == "lines":
        yield from _in_lines(path, params)
    elif form == "array":
        yield from _in_array(path, params)
    else:
        with reading(path, most=params.max_bytes) as read:
            text = "".join(_texts(read, path))
        yield from records_in(json_value(text, path.name), params.records_path, path.name)


# --------------------------------------------------------------------------- what it is


def _form(path: Path, params: Params) -> str:
    """`lines`, `array` (an array whose records are read one by one) or `document`."""
    if params.format == "lines":
        return "lines"
    plain = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    if params.format == "auto" and plain.endswith(LINES):
        return "lines"
    with reading(path, most=params.max_bytes) as read:
        begins = "".join(islice(_texts(read, path), 1)).lstrip(SPACE)
    if not begins:
        raise FormatError(f"{path.name} is empty.", cure="An empty list is []; say format: lines.", resource=path.name)
    if begins[0] == "[" and params.records_path is None:
        return "array"
    return "lines" if params.format == "auto" and begins[0] == "{" and _is_lines(begins) else "document"


def _is_lines(begins: str) -> bool:
    """Whether the first line is a whole record, and another follows it."""
    first, _, rest = begins.partition("\n")
    try:
        STRICT.decode(first)
    except (ValueError, RecursionError):
        return False
    return rest.lstrip(SPACE)[:1] == "{"


def _texts(read: Read, path: Path) -> Iterator[str]:
    """The file's text, bit by bit, without a byte order mark."""
    decoder, line, first = codecs.getincrementaldecoder("utf-8")(), 1, True
    while True:
        block = read(BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            raise FormatError(
                f"{path.name}, line {line}: not UTF-8.", cure="JSON is UTF-8: save it anew.", line=line
            ) from None
        line += text.count("\n")
        yield text.removeprefix("\ufeff") if first else text
        first = False
        if not block:
            return


# --------------------------------------------------------------------------- lines


def _in_lines(path: Path, params: Params) -> Iterator[Mapping[str, Any]]:
    """The record of each line, or those at the path in it; blank lines are passed over."""
    line, name = 0, path.name
    with reading(path, most=params.max_bytes) as read:
        for piece in pieces(read, name, quoted=False):
            for text in piece.split(b"\n"):
                line += 1
                if text and not text.isspace():
                    yield from _of_line(text, name, line, params.records_path)
            line -= piece.endswith(b"\n")  # behind its last line end nothing begins


def _of_line(text: bytes, name: str, line: int, where: str | None) -> Sequence[Mapping[str, Any]]:
    try:
        said = text.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{name}, line {line}: not UTF-8.", line=line, resource=name) from None
    value = json_value(said, name, line=line)
    if where is not None:
        return records_in(value, where, f"{name}, line {line}")
    if type(value) is dict:
        return (value,)
    raise FormatError(
        f"{name}, line {line}: {said.strip()[:40]} is no record.",
        cure="Each line is one {...}; for an array say format: document.",
        line=line,
        resource=name,
    )


# --------------------------------------------------------------------------- an array


def _in_array(path: Path, params: Params) -> Iterator[Mapping[str, Any]]:
    """The records of the array that the file is, without holding it."""
    with reading(path, most=params.max_bytes) as read:
        text = _Text(_texts(read, path), path.name)
        text.take("[")
        if text.next() == "]":
            text.take("]")
        else:
            while True:
                value = text.value()
                if type(value) is not dict:
                    records_in([value], None, f"{path.name}, line {text.line}")  # which says what is wrong
                yield value
                if text.next() == "]":
                    text.take("]")
                    break
                text.take(",")
        if text.next():
            raise text.broken("there is more behind the array")


class _Text:
    """A text that comes in blocks, and where one is in it."""

    def __init__(self, blocks: Iterator[str], name: str) -> None:
        self._blocks, self.name = blocks, name
        self._held, self._at, self.line = "", 0, 1

    def _more(self) -> bool:
        """Whether there is another block; what was read is let go of."""
        block = next(self._blocks, None)
        while block == "":
            block = next(self._blocks, None)
        if block is None:
            return False
        self.line += self._held.count("\n", 0, self._at)
        self._held, self._at = self._held[self._at :] + block, 0
        if len(self._held) > LONGEST + 2 * BLOCK:
            raise self.broken(f"a record of more than {LONGEST:,} characters")
        return True

    def next(self) -> str:
        """The next character that is no space; none at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in SPACE:
                    return self._held[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, mark: str) -> None:
        """Go past the mark, which must be there."""
        found = self.next()
        if found != mark:
            raise self.broken(f"{mark!r} is expected, not {found!r}" if found else "it is cut: the array has no end")
        self._at += 1

    def value(self) -> Any:
        """Go past the value that begins here."""
        if not self.next():
            raise self.broken("it is cut: the array has no end")
        wanted = 0
        while True:
            if len(self._held) - self._at >= wanted:
                try:
                    value, end = STRICT.raw_decode(self._held, self._at)
                    if end < len(self._held):  # else a number may go on
                        self._at = end
                        return value
                except (ValueError, RecursionError):
                    pass  # it may only be cut
                wanted = 2 * (len(self._held) - self._at)  # a long value is not tried at each block
            if not self._more():
                break
        return self._last()

    def _last(self) -> Any:
        """The value that the end of the file cuts, or that is wrong: the place of the first fault is told."""
        try:
            value, self._at = STRICT.raw_decode(self._held, self._at)
        except (ValueError, RecursionError):
            rest = self._held[self._at :]
            here = self.line + self._held.count("\n", 0, self._at)
            return json_value(rest, self.name, line=here)
        return value

    def broken(self, why: str) -> FormatError:
        here = self.line + self._held.count("\n", 0, self._at)
        return FormatError(f"{self.name}, line {here}: {why}.", line=here, resource=self.name)
