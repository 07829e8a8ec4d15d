"""Files as they must be before anything is made of them: all that is wrong with them at once."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import IO, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from framework.errors import DataException, nearest
from framework.files import storage_errors
from framework.mods.base import BaseModParams, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run

METADATA = ModMetadata(
    name="file_validator",
    version="1.0.0",
    description="Checks files before they are used: size, age, encoding, columns, rows, checksum",
    author="Millpond",
    tags=["solo", "file", "validation"],
)
EXAMPLE = {"path": "customers.csv", "extensions": [".csv"], "columns": ["id", "name"], "min_rows": 2, "min_bytes": 1}
EXAMPLE_FILES = {"customers.csv": "id,name\n1,Ada\n2,Ben\n"}
BLOCK = 1 << 20
LIKELY = ",;\t|"
LONGEST_CELL = 1 << 24


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    path: str = Field(min_length=1, description="the file, or a pattern such as day_*.csv, of which there must be one")
    base_path: str | None = Field(None, description="where relative paths begin")
    min_bytes: int | None = Field(None, ge=0, description="that it has at least")
    max_bytes: int | None = Field(None, ge=0, description="that it has at most")
    max_age_hours: float | None = Field(None, gt=0, description="since it was written")
    extensions: list[str] | None = Field(None, min_length=1, description="how its name may end: .csv, .csv.gz")
    encoding: str | None = Field(None, description="in which all of it must be readable; rows are read as utf-8 else")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="by which all lines have as many cells")
    columns: list[str] | None = Field(None, min_length=1, description="that the header must have")
    min_rows: int | None = Field(None, ge=0, description="below the header; of CSV and Parquet")
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$", description="of its bytes")
    on_fail: Literal["error", "warn"] = Field("error", description="what a fault makes of the result")

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        try:
            codecs.lookup(encoding or "utf-8")
        except LookupError:
            raise ValueError(f"Python knows no encoding {encoding!r}; write utf-8, cp1252 or such") from None
        return encoding

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Params:
        if None not in (self.min_bytes, self.max_bytes) and cast(int, self.min_bytes) > cast(int, self.max_bytes):
            raise ValueError("min_bytes is more than max_bytes")
        return self


@dataclass(slots=True)
class Seen:
    """What was found in one file."""

    faults: list[str]
    rows: int | None = None


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    full = here.at(params.path, params.base_path)
    paths = [Path(each) for each in sorted(glob(str(full)))] if has_magic(str(full)) and not full.exists() else [full]
    faults = [] if paths else [f"{params.path}: no file has such a name"]
    rows, size = 0, 0
    for path in paths:
        seen = _checked(path, params)
        faults += [f"{path.name}: {fault}" for fault in seen.faults]
        rows += seen.rows or 0
        size += path.stat().st_size if path.is_file() else 0
    result.add_metric("files", len(paths))
    result.add_metric("bytes_processed", size)
    result.add_metric("rows_processed", rows)
    result.add_metric("faults", len(faults))
    here.logger.info("%d files, %d faults", len(paths), len(faults))
    say = result.add_warning if params.on_fail == "warn" else result.add_error
    for fault in faults:
        say(fault)
    if not faults:
        return result.success()
    return result.warning() if params.on_fail == "warn" else result.error(30)


def _checked(path: Path, params: Params) -> Seen:
    """All that is wrong with a file."""
    if not path.is_file():
        close = nearest(path.name, [each.name for each in path.parent.glob("*")] if path.parent.is_dir() else [])
        what = "it is a folder" if path.is_dir() else "it is not there" + (f"; there is {close}" if close else "")
        return Seen([what])
    with storage_errors(str(path)):
        faults = [*_of_outside(path, params), *_of_bytes(path, params)]
        if params.columns is None and params.min_rows is None and params.delimiter is None:
            return Seen(faults)
        found = _of_parquet(path, params) if path.name.endswith(".parquet") else _of_csv(path, params)
    return Seen([*faults, *found.faults], found.rows)


def _of_outside(path: Path, params: Params) -> Iterator[str]:
    about = path.stat()
    if params.min_bytes is not None and about.st_size < params.min_bytes:
        yield f"it has {about.st_size} bytes, fewer than {params.min_bytes}"
    if params.max_bytes is not None and about.st_size > params.max_bytes:
        yield f"it has {about.st_size} bytes, more than {params.max_bytes}"
    hours = (time.time() - about.st_mtime) / 3600
    if params.max_age_hours is not None and hours > params.max_age_hours:
        yield f"it was written {hours:.1f} hours ago, more than {params.max_age_hours:g}"
    ends = tuple(each if each.startswith(".") else f".{each}" for each in params.extensions or ())
    if ends and not path.name.lower().endswith(tuple(map(str.lower, ends))):
        yield f"its name ends with none of {', '.join(ends)}"


def _of_bytes(path: Path, params: Params) -> Iterator[str]:
    """Checksum and encoding, in one reading."""
    if params.sha256 is None and params.encoding is None:
        return
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if params.sha256 is not None and digest.hexdigest() != params.sha256.lower():
        yield f"its sha256 is {digest.hexdigest()}, not {params.sha256.lower()}"
    if params.encoding is not None and not path.name.endswith(".parquet"):
        yield from _of_encoding(path, params.encoding)


def _of_encoding(path: Path, encoding: str) -> Iterator[str]:
    decoder, place = codecs.getincrementaldecoder(encoding)(), 0
    try:
        with closing(_unpacked(path)) as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
                place += len(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        yield f"it is not {encoding}: {error.reason} near byte {place + error.start}"
    except (OSError, EOFError) as error:
        yield f"it cannot be unpacked: {error}"


def _unpacked(path: Path) -> IO[bytes]:
    """Its bytes, without the compression that its name tells of."""
    from framework.formats.compression import codec_of

    codec = codec_of(path.name)
    if codec is None:
        return open(path, "rb")
    import pyarrow as pa

    return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(str(path), "rb"), codec))


# --------------------------------------------------------------------------- what is in it


def _of_csv(path: Path, params: Params) -> Seen:
    """Header, and the cells of each line, as Python's own reader finds them."""
    delimiter, seen = params.delimiter or ",", Seen([], 0)
    try:
        with io.TextIOWrapper(cast(Any, _unpacked(path)), encoding=params.encoding or "utf-8-sig", newline="") as text:
            csv.field_size_limit(LONGEST_CELL)
            lines = csv.reader(text, delimiter=delimiter)
            header = next(lines, [])
            seen.faults += _of_header(header, delimiter, params)
            seen.faults += _of_lines(lines, len(header), seen)
    except UnicodeDecodeError as error:
        if params.encoding is None:  # else it is told already
            seen.faults.append(f"it is not UTF-8: {error.reason} at byte {error.start}; say its encoding")
        return seen
    except (csv.Error, OSError, EOFError) as error:
        seen.faults.append(f"it cannot be read as CSV: {error}")
        return seen
    seen.faults += _too_few(seen.rows or 0, params)
    return seen


def _of_header(header: list[str], delimiter: str, params: Params) -> Iterator[str]:
    if not header:
        yield "it has no header"
        return
    other = max(LIKELY, key=header[0].count)
    if len(header) == 1 and other != delimiter and other in header[0]:
        yield f"its header is one cell by {delimiter!r}; by {other!r} it would be {header[0].count(other) + 1}"
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        yield f"its header repeats {', '.join(repeated)}"
    yield from _lacking(header, params)


def _lacking(names: list[str], params: Params) -> Iterator[str]:
    for name in params.columns or ():
        if name not in names:
            close = nearest(name, names)
            yield f"it has no column {name!r}" + (f"; did you mean {close!r}?" if close else "")


def _of_lines(lines: Any, width: int, seen: Seen) -> Iterator[str]:
    """Count the rows; the first that has another number of cells than the header, and how many such there are."""
    first, odd, rows = "", 0, 0
    for cells in lines:
        if not cells:
            continue
        rows += 1
        if len(cells) != width:
            odd += 1
            first = first or f"line {lines.line_num} has {len(cells)} cells, the header {width}"
    seen.rows = rows
    if odd:
        yield first + (f"; so have {odd - 1} others another number" if odd > 1 else "")


def _of_parquet(path: Path, params: Params) -> Seen:
    from framework.formats.parquet import read_footer

    try:
        footer, schema = read_footer(path)
    except DataException as error:
        return Seen([str(error)])
    rows = int(footer.num_rows)
    return Seen([*_lacking([str(each.label) for each in schema.fields], params), *_too_few(rows, params)], rows)


def _too_few(rows: int, params: Params) -> Iterator[str]:
    if params.min_rows is not None and rows < params.min_rows:
        yield f"it has {rows} rows, fewer than {params.min_rows}"
