"""The files that pass from mod to mod: Parquet, a piece at a time, with what is known of each beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import ColumnNotFoundError, FormatError, known_names
from framework.files import replace_bytes, storage_errors
from framework.formats.handlers.content import fingerprint_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from framework.schema import FrameSchema

METADATA = ".metadata.json"
FORMAT = 1


@contextmanager
def opened(path: str | Path, columns: Sequence[str] | None = None) -> Iterator[tuple[pa.Schema, Iterator[pa.Table]]]:
    """A Parquet file, or one of CSV: its Arrow schema, and its rows in pieces of some ten thousand.

    Raises
    ------
    FormatError, IntegrityError
        It is not what its name says, or damaged.
    ColumnNotFoundError
    """
    stack = ExitStack()
    schema, pieces = _entered(stack, Path(path), columns)
    try:
        yield schema, pieces
    finally:
        stack.close()  # knowing nothing of an error of the caller's, which is no damage of the file


def _entered(stack: ExitStack, path: Path, columns: Sequence[str] | None) -> tuple[pa.Schema, Iterator[pa.Table]]:
    from framework.schema import Selection

    selection = Selection.asked(columns=list(columns) if columns is not None else None)
    with storage_errors(str(path)), ExitStack() as opening:
        if path.name.endswith((".csv", ".csv.gz", ".csv.zst")):
            from framework.formats.csv_foreign import Foreign, Spelling, source_of

            file = opening.enter_context(open(path, "rb"))
            read, rows = Foreign([source_of(file, path.stem)], Spelling()).scan(selection)
            pieces: Iterator[pa.Table] = opening.enter_context(closing(rows))
            told = arrow_of(read)
        else:
            from framework.formats.parquet import scan_parquet

            schema, tables = opening.enter_context(scan_parquet(path, selection))
            first, pieces = _looked_at(iter(tables))
            told = _without_rows(path, schema) if first is None else first.schema.remove_metadata()
        stack.enter_context(opening.pop_all())
    return told, pieces


def frame_schema(path: str | Path, arrow: pa.Schema) -> FrameSchema:
    """What an artifact's columns are as those of a frame: on record in Parquet of ours, else what loses nothing."""
    if str(path).endswith(".parquet"):
        from framework.formats.parquet import read_footer

        with storage_errors(str(path)):
            return read_footer(Path(path))[1]
    from framework.schema import natural

    return natural(arrow.empty_table(), Path(path).name)


def arrow_of(schema: FrameSchema) -> pa.Schema:
    """The Arrow schema of a frame's columns."""
    import pyarrow as pa

    return pa.schema([(each.name, each.arrow_type) for each in schema.fields])


def _without_rows(path: Path, schema: FrameSchema) -> pa.Schema:
    """The Arrow schema of a file that has no row to tell it."""
    import pyarrow as pa

    from framework.formats.parquet import read_footer

    there = read_footer(path)[0].schema.to_arrow_schema()
    return pa.schema([there.field(name) for name in schema.names])


def _looked_at(tables: Iterator[pa.Table]) -> tuple[pa.Table | None, Iterator[pa.Table]]:
    from itertools import chain

    first = next(tables, None)
    return first, iter(()) if first is None else chain([first], tables)


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All of an artifact, as an Arrow table."""
    import pyarrow as pa

    with opened(path, columns) as (schema, pieces):
        tables = list(pieces)
        return pa.concat_tables(tables) if tables else schema.empty_table()


def read_frame(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All of an artifact, as the frame that it was."""
    from framework.formats.parquet import read_parquet
    from framework.schema import Selection, decode, natural

    if not str(path).endswith(".parquet"):
        came = read_table(path, columns)
        return decode(came, natural(came, Path(path).name))
    asked = Selection.asked(columns=list(columns) if columns is not None else None)
    with storage_errors(str(path)):
        table, schema = read_parquet(Path(path), asked)
    return decode(table, schema)


def write_frame(path: Path, frame: pd.DataFrame) -> int:
    """Put a frame there as an artifact, atomically, to be read back as it is: its rows."""
    from framework.formats.parquet import write_parquet
    from framework.schema import encode

    table, schema = encode(frame)
    with storage_errors(str(path)):
        write_parquet(path, table, schema)
    return len(frame)


def write_tables(path: Path, arrow: pa.Schema, pieces: Iterable[pa.Table], schema: FrameSchema | None = None) -> int:
    """Put tables there as one artifact, atomically, a piece at a time: its rows.

    Parameters
    ----------
    schema : FrameSchema, optional
        What they are as a frame, where that is known.
    """
    from framework.formats.parquet import write_pieces

    with storage_errors(str(path)):
        return write_pieces(path, arrow, pieces, schema)


def check_columns(wanted: Iterable[str], there: Iterable[str], what: str) -> None:
    """ColumnNotFoundError for the first column that is not there, with the nearest name."""
    known = list(there)
    for name in wanted:
        if name not in known:
            raise ColumnNotFoundError(f"{what} has no column {name!r}.", cure=known_names(name, known), resource=name)


# --------------------------------------------------------------------------- what is known of one


def described(path: Path, *, mod: str, version: str, run_id: str) -> dict[str, Any]:
    """What is written beside a file that a mod made."""
    told: dict[str, Any] = {
        "format": FORMAT,
        "file": path.name,
        "bytes": path.stat().st_size,
        "fingerprint": fingerprint_of(path),
        "made_by": {"mod": mod, "version": version, "run_id": run_id},
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    if path.suffix == ".parquet":
        from framework.formats.parquet import read_footer

        metadata, schema = read_footer(path)
        told["rows"] = metadata.num_rows
        told["columns"] = [{"name": str(each.label), "type": each.shown} for each in schema.fields]
    return told


def describe(path: Path, *, mod: str, version: str, run_id: str) -> Path:
    """Write what is known of `x.parquet` to `x.metadata.json`; where it is."""
    beside = path.with_name(path.name.removesuffix(path.suffix) + METADATA)
    told = described(path, mod=mod, version=version, run_id=run_id)
    with storage_errors(str(beside)):
        replace_bytes(beside, json.dumps(told, indent=2, ensure_ascii=False).encode() + b"\n")
    return beside


def description(path: Path) -> dict[str, Any]:
    """What `describe` wrote beside a file."""
    beside = path.with_name(path.name.removesuffix(path.suffix) + METADATA)
    with storage_errors(str(beside)):
        text = beside.read_bytes()
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise FormatError(f"{beside.name} is not JSON: {error}.", resource=str(beside)) from error
    return told
