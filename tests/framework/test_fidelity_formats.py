"""The file formats, against the suite that every format must pass."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from framework.errors import FormatError
from framework.files import replacing
from framework.formats.csv import read_own, write_rows
from framework.formats.csv_foreign import Foreign, Source, Spelling
from framework.formats.parquet import read_parquet, write_parquet
from framework.schema import FrameSchema, Selection, decode, encode, only_rows
from framework.testing import FormatConformance


class TestParquet(FormatConformance):
    """Parquet keeps the schema in its footer."""

    suffix = ".parquet"

    def write(self, path: Path, frame: pd.DataFrame) -> None:
        write_parquet(path, *encode(frame))

    def read(self, path: Path, columns: Sequence[Any] | None = None) -> pd.DataFrame:
        return decode(*read_parquet(path, Selection.asked(columns)))

    def raw_write(self, path: Path, rows: list[dict[str, Any]]) -> None:
        pq.write_table(pa.Table.from_pylist(rows), path)

    def raw_read(self, path: Path) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in pq.read_table(path).to_pylist()]


class TestCsv(FormatConformance):
    """CSV has no place for a schema: who writes it keeps that beside."""

    suffix = ".csv"
    checksummed = False
    delimiter, encoding = ",", "utf-8"

    def write(self, path: Path, frame: pd.DataFrame) -> None:
        table, schema = encode(frame)
        with replacing(path) as sink:
            spelled = {"delimiter": self.delimiter, "encoding": self.encoding}
            multiline = write_rows(sink, table, schema, **spelled, codec=None)
        about = {"rows": table.num_rows, "multiline": multiline, **spelled}
        path.with_suffix(".json").write_text(json.dumps({"schema": schema.dumps(), "about": about}))

    def read(self, path: Path, columns: Sequence[Any] | None = None) -> pd.DataFrame:
        asked, kept = Selection.asked(columns), path.with_suffix(".json")
        if not kept.exists():
            source = Source(path.name, lambda: io.BytesIO(path.read_bytes()).read)
            spelling = Spelling(delimiter=self.delimiter, encoding=self.encoding)
            return decode(*Foreign([source], spelling).read(asked))
        told = json.loads(kept.read_text())
        schema = FrameSchema.loads(told["schema"])
        wanted = asked.of(schema, path.name)
        with open(path, "rb") as file:
            pieces = list(read_own(file.read, path.name, schema, wanted, **told["about"]))
        if not schema.fields and not path.stat().st_size:
            raise FormatError("The file is empty.")
        if not wanted.fields:
            return decode(only_rows(sum(piece.num_rows for piece in pieces)), wanted)
        empty = pa.schema([(field.name, field.arrow_type) for field in wanted.fields]).empty_table()
        return decode(pa.concat_tables(pieces or [empty]), wanted)

    def raw_write(self, path: Path, rows: list[dict[str, Any]]) -> None:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def raw_read(self, path: Path) -> list[tuple[Any, ...]]:
        with open(path, newline="") as file:
            _, *rows = csv.reader(file)
        return [(int(n), float(x) if x else None, t or None) for n, x, t in rows]


class TestCsvOfAnotherSpelling(TestCsv):
    """Another delimiter and encoding hold the same frames."""

    delimiter, encoding = ";", "utf-16"
    examples = 50

    def raw_write(self, path: Path, rows: list[dict[str, Any]]) -> None:
        with open(path, "w", newline="", encoding=self.encoding) as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=self.delimiter)
            writer.writeheader()
            writer.writerows(rows)

    def raw_read(self, path: Path) -> list[tuple[Any, ...]]:
        with open(path, newline="", encoding=self.encoding) as file:
            _, *rows = csv.reader(file, delimiter=self.delimiter)
        return [(int(n), float(x) if x else None, t or None) for n, x, t in rows]
