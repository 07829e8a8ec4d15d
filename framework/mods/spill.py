"""Tables on their way into an artifact, on disk once they are many; and what a selection leaves of such tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from framework.files import make_folder, storage_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection

HELD = 1 << 26  # bytes in memory


class Spill:
    """Tables in their order, each of columns of its own; a file without a name in `folder` holds what is too much.

    Parameters
    ----------
    folder : Path
        Made when it is needed; nothing is left in it, also when the process dies.
    held : int
        Bytes that stay in memory.
    """

    def __init__(self, folder: Path, *, held: int = HELD) -> None:
        self._folder, self._most = folder, held
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._ends: list[int] = []
        self._file: IO[bytes] | None = None

    def add(self, table: pa.Table) -> None:
        """Behind all that are there."""
        self._tables.append(table)
        self._bytes += table.nbytes
        if self._bytes > self._most:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        with storage_errors(str(self._folder)):
            if self._file is None:
                make_folder(self._folder)
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=1 << 20)  # noqa: SIM115 (close is the end)
            for table in self._tables:
                with pa.ipc.new_stream(pa.PythonFile(_Kept(self._file), mode="w"), table.schema) as stream:
                    stream.write_table(table)
                self._ends.append(self._file.tell())
            self._file.flush()
        self._tables, self._bytes = [], 0

    def __iter__(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        begin = 0
        for end in self._ends:
            assert self._file is not None
            with storage_errors(str(self._folder)):
                self._file.seek(begin)
                data = self._file.read(end - begin)
            yield pa.ipc.open_stream(pa.BufferReader(data)).read_all()
            begin = end
        yield from self._tables

    def close(self) -> None:
        """Give back what it holds."""
        self._tables = []
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Kept:
    """A file that Arrow may write to, and not close."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.write, self.flush = file.write, file.flush

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """It is closed by who opened it."""


def selected(
    schema: FrameSchema, pieces: Iterable[pa.Table], selection: Selection, name: str, spill: Spill
) -> tuple[FrameSchema, Iterable[pa.Table]]:
    """Just the rows and columns that a selection asks for, of what a scan with it gave, and the schema of them.

    Which kinds of missing cells are left is known only when all rows were seen, so those that a condition chooses wait
    in `spill`.
    """
    if not selection.conditions:
        return schema, pieces
    from framework.schema import Cursor, counted
    from framework.schema.joining import merged

    cursor, tests, rows = Cursor(schema), selection.tests(schema, name), 0
    wanted = selection.narrowed(_nothing(schema), schema, name)[1]
    runs: dict[str, Any] = {}
    for piece in pieces:
        table, told = selection.exactly(piece, cursor.next(piece), name, tests)
        spill.add(table)
        rows += table.num_rows
        for field in told.fields:
            if len(field.missing) > 1 or len(_of(wanted, field.name).missing) > 1:
                runs[field.name] = merged(runs.get(field.name, ()) + field.missing)
    fields = tuple(replace(field, missing=runs.get(field.name, field.missing)) for field in wanted.fields)
    return counted(replace(wanted, fields=fields), rows), spill


def _of(schema: FrameSchema, name: str) -> Any:
    return next(field for field in schema.fields if field.name == name)


def _nothing(schema: FrameSchema) -> pa.Table:
    import pyarrow as pa

    return pa.table({field.name: pa.nulls(0, field.arrow_type) for field in schema.fields})


def as_pieces(schema: FrameSchema, pieces: Iterable[pa.Table]) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Pieces of one Arrow schema, for a file: categories stay, all else has its field's type."""
    import pyarrow as pa

    from framework.schema import fit

    rest = iter(pieces)
    first = next(rest, None)
    kinds = [
        first.column(field.name).type
        if first is not None and pa.types.is_dictionary(first.column(field.name).type)
        else field.arrow_type
        for field in schema.fields
    ]
    arrow = pa.schema(list(zip(schema.names, kinds, strict=True)))

    def shaped(table: pa.Table) -> pa.Table:
        if not schema.fields or table.schema.remove_metadata() == arrow:
            return table
        columns = []
        for field, kind in zip(schema.fields, kinds, strict=True):
            column = table.column(field.name)
            if column.type != kind:
                column = column.cast(kind) if pa.types.is_dictionary(kind) else fit(column, field)
            columns.append(column)
        return pa.table(columns, schema=arrow)

    def given() -> Iterator[pa.Table]:
        if first is not None:
            yield shaped(first)
            yield from map(shaped, rest)

    return arrow, given()
