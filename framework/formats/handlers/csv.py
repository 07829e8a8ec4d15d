"""CSV without a record beside it: written such that whoever reads it back finds the same values."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import FidelityError
from framework.formats.compression import MOST_UNPACKED
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import known_encoding, option, refuse_option, writing

if TYPE_CHECKING:
    import pandas as pd

PROVIDES = {
    "kind": "handler",
    "name": "csv",
    "object": "CsvHandler",
    "extensions": [".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz"],
    "summary": "A DataFrame as CSV; nothing is guessed that cannot be guessed back",
}
ROWS = 1 << 16  # that are put into words at a time


@handler(name="csv", extensions=[".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz"])
class CsvHandler(DataHandler):
    """A DataFrame as CSV.

    Parameters
    ----------
    delimiter : str, optional
        One mark; a comma, or a tab in a .tsv file.
    encoding : str
    decimal : {".", ","}
        What stands before a number's fraction.
    dtype : mapping of column to pandas dtype, optional
        What not to find out: `{id: str}`.
    nulls : list of str
        Texts that are missing cells.
    date_format : str or mapping of column to str, optional
        How times are spelled, as `strftime` says it.
    lossy : bool
        Save what will not be read back with the same values.
    max_bytes : int
        How much a compressed file may hold.
    """

    def __init__(
        self,
        *,
        delimiter: str | None = None,
        encoding: str = "utf-8",
        decimal: str = ".",
        dtype: Mapping[str, str] | None = None,
        nulls: Sequence[str] = (),
        date_format: str | Mapping[str, str] | None = None,
        lossy: bool = False,
        max_bytes: int = MOST_UNPACKED,
        **unknown: Any,
    ) -> None:
        super().__init__(**unknown)
        self.delimiter, self.decimal = delimiter, decimal
        self._check_marks()
        self.encoding = known_encoding("csv", encoding)
        self.dtype = option("csv", "dtype", dtype, (Mapping, type(None)), "a mapping of columns to pandas dtypes")
        self.nulls = tuple(option("csv", "nulls", nulls, (list, tuple), "a list of texts"))
        self.date_format = option(
            "csv",
            "date_format",
            date_format,
            (str, Mapping, type(None)),
            "a format such as '%d.%m.%Y'",
        )
        self.lossy = option("csv", "lossy", lossy, bool, "true or false")
        self.max_bytes = option("csv", "max_bytes", max_bytes, int, "a number of bytes")

    def _check_marks(self) -> None:
        mark = self.delimiter
        if self.decimal not in (".", ","):
            raise refuse_option("csv", "decimal", self.decimal, "'.' or ','")
        if mark is None:
            if self.decimal == ",":
                raise refuse_option("csv", "decimal", ",", "',' only beside a delimiter that is another, such as ';'")
            return
        fits = isinstance(mark, str) and len(mark) == 1 and mark.isascii() and (mark == "\t" or mark.isprintable())
        if not fits or mark.isalnum() or mark in "\"+-.: '" or mark == self.decimal:
            wanted = "one mark such as , ; | or a tab, and none that numbers, times or quotes hold"
            raise refuse_option("csv", "delimiter", mark, wanted)

    def load(self, path: Path) -> pd.DataFrame:
        from framework.schema import decode

        return decode(*self._read(path))

    def _read(self, path: Path) -> Any:
        from framework.formats.csv_foreign import Foreign, Spelling, source_of
        from framework.schema import ALL

        spelled = Spelling(
            self._mark(path), self.encoding, self.nulls, self.decimal, dict(self.dtype or {}), self.date_format
        )
        with open(path, "rb") as file:
            return Foreign([source_of(file, path.name, most=self.max_bytes)], spelled).read(ALL)

    def _mark(self, path: Path) -> str:
        return self.delimiter or ("\t" if ".tsv" in path.name.lower() else ",")

    def save(self, data: Any, path: Path) -> None:
        import pandas as pd

        from framework.formats.handlers.faithful import check_shape, check_tables, flattened, read_back
        from framework.schema import encode

        if not isinstance(data, pd.DataFrame):
            raise FidelityError(
                f"The csv handler saves a DataFrame, not {type(data).__name__}.",
                cure="For a Series: to_frame(). For other things: json, yaml or text.",
            )
        if self.lossy:
            data = flattened(data, "CSV")
        else:
            check_shape(data, "CSV")
        table, schema = encode(data, lossy=self.lossy)
        self._write(path, table, schema)
        if not self.lossy and len(schema.fields):
            with read_back(path, "CSV"):
                check_tables((table, schema), self._read(path), "CSV")

    def _write(self, path: Path, table: Any, schema: Any) -> None:
        """UTF-8 in pieces of rows, put into the encoding on the way."""
        mark = self._mark(path)
        if not schema.fields:
            raise FidelityError("A frame without a column cannot be saved as CSV.", cure="Save it as parquet.")
        with writing(path) as sink:
            for text in _lines(table, schema, mark, self.decimal):
                try:
                    sink.write(text.encode(self.encoding))
                except UnicodeEncodeError as error:
                    raise FidelityError(
                        f"{error.object[error.start]!r} cannot be written in {self.encoding}.",
                        cure="Leave encoding at utf-8.",
                    ) from error


def _lines(table: Any, schema: Any, mark: str, decimal: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from framework.schema import plain

    names = pa.array([str(field.label) for field in schema.values])
    yield mark.join(_quoted(names, mark).to_pylist()) + "\n"
    table = plain(table, schema)
    for start in range(0, table.num_rows, ROWS):
        part = table.slice(start, ROWS).combine_chunks()
        texts = [_spelled(part.column(field.name), field, mark, decimal) for field in schema.values]
        rows = pc.binary_join_element_wise(*texts, mark, null_handling="replace", null_replacement="")
        yield "\n".join(rows.to_pylist()) + "\n"


def _spelled(column: Any, field: Any, mark: str, decimal: str) -> Any:
    """The cells as text, a missing one null."""
    import pyarrow as pa

    if field.kind == "bytes":
        cells = [None if cell is None else base64.b64encode(cell).decode() for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(cells, pa.string())])
    if field.kind == "duration":
        counts = column.cast(pa.int64()).to_pylist()
        cells = [None if count is None else f"{count} {column.type.unit}" for count in counts]
        return pa.chunked_array([pa.array(cells, pa.string())])
    if pa.types.is_floating(column.type):
        return _numbers(column, decimal)
    text = column.cast(pa.string())
    if field.kind in ("time", "instant"):
        return _brief(text)
    return text if field.kind in ("integer", "boolean", "date") else _quoted(text, mark)


def _brief(times: Any) -> Any:
    """Times without the zeros at the end of their fraction."""
    import pyarrow.compute as pc

    whole = pc.replace_substring_regex(times, r"\.0+(Z?)$", r"\1")
    return pc.replace_substring_regex(whole, r"(\.[0-9]*[1-9])0+(Z?)$", r"\1\2")


def _numbers(column: Any, decimal: str) -> Any:
    """Each float in the fewest digits that tell it, with a point: 1.0 is no integer."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wide = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
    wide = wide.cast(pa.float64())
    text = pc.if_else(pc.is_nan(wide), pa.scalar(None, pa.string()), wide.cast(pa.string()))
    whole = pc.match_substring_regex(text, "^-?[0-9]+$")
    text = pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)
    return text if decimal == "." else pc.replace_substring(text, ".", decimal)


def _quoted(text: Any, mark: str) -> Any:
    """In quotes where it must be: empty text, which unquoted would be missing, and what holds a mark."""
    import pyarrow.compute as pc

    special = pc.match_substring_regex(text, f'^$|[{re.escape(mark)}"\r\n]|^\ufeff|^[ \t]|[ \t]$')
    inner = pc.replace_substring(text, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', inner, '"', ""), text)
