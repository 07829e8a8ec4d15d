"""One sheet of an Excel workbook as a DataFrame: text stays text, numbers stay exact."""

from __future__ import annotations

import datetime as dt
import errno
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import FidelityError, FormatError, OptionError, known_names
from framework.formats.handlers.archives import opened_zip
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import as_format_errors, option
from framework.formats.handlers.values import EXACT, column_of

if TYPE_CHECKING:
    import pandas as pd

PROVIDES = {
    "kind": "handler",
    "name": "excel",
    "object": "ExcelHandler",
    "extensions": [".xlsx", ".xlsm"],
    "aliases": ["xlsx"],
    "extra": "excel",
    "requires": ["openpyxl"],
    "summary": "One sheet of an Excel workbook as a DataFrame",
}
MOST_UNPACKED = 1 << 28
MOST_ROWS, MOST_COLUMNS, LONGEST = 1_048_576, 16_384, 32_767
# What openpyxl and what it parses with raise for files that are not what they say.
BROKEN = (
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
)


@handler(name="excel", extensions=[".xlsx", ".xlsm"], aliases=["xlsx"])
class ExcelHandler(DataHandler):
    """A sheet whose first row holds the columns' names.

    Parameters
    ----------
    sheet : str, optional
        Its name; the first one.
    lossy : bool
        Save what will not be read back with the same values.
    max_bytes : int
        How much the file may hold when it is unpacked.
    """

    def __init__(
        self, *, sheet: str | None = None, lossy: bool = False, max_bytes: int = MOST_UNPACKED, **unknown: Any
    ) -> None:
        super().__init__(**unknown)
        self.sheet = option("excel", "sheet", sheet, (str, type(None)), "the name of a sheet")
        self.lossy = option("excel", "lossy", lossy, bool, "true or false")
        self.max_bytes = option("excel", "max_bytes", max_bytes, int, "a number of bytes")

    # ------------------------------------------------------------------ reading

    def load(self, path: Path) -> pd.DataFrame:
        import pandas as pd

        with opened_zip(path, "an Excel workbook", most=self.max_bytes):
            pass  # not a bomb
        rows = list(self._rows(path, formulas=True))
        if any(isinstance(cell, _Formula) for row in rows for cell in row):
            rows = _computed(rows, self._rows(path, formulas=False), path)
        while rows and not any(cell is not None for cell in rows[-1]):
            rows.pop()
        if not rows:
            raise FormatError(f"{path.name} is empty: it has no header.", line=1, resource=str(path))
        header = _header(rows[0], path)
        columns = [[row[place] if place < len(row) else None for row in rows[1:]] for place in range(len(header))]
        for line, row in enumerate(rows[1:], 2):
            if any(cell is not None for cell in row[len(header) :]):
                raise FormatError(
                    f"{path.name}, row {line}: a cell beyond the {len(header)} columns of the header.",
                    cure="Name the column, or clear the cell.",
                    line=line,
                    resource=str(path),
                )
        frame = pd.DataFrame({place: column_of(cells) for place, cells in enumerate(columns)})
        frame.columns = pd.Index(header, dtype=object)
        return frame

    def _rows(self, path: Path, *, formulas: bool) -> Iterator[list[Any]]:
        """The rows' cells, a formula as such or as the value that a spreadsheet program found."""
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException

        with as_format_errors(path, "an Excel workbook", *BROKEN, InvalidFileException), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of extensions that only concern how it looks
            book = openpyxl.load_workbook(path, read_only=True, data_only=not formulas, keep_links=False)
            try:
                sheet = self._sheet(book, path)
                sheet.reset_dimensions()  # which may be wrong, or claim millions
                for line, row in enumerate(sheet.iter_rows(), 1):
                    yield [_read_cell(cell, path, line) for cell in row]
            finally:
                book.close()

    def _sheet(self, book: Any, path: Path) -> Any:
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        if self.sheet is None and sheets:
            return next(iter(sheets.values()))
        if self.sheet in sheets:
            return sheets[self.sheet]
        raise FormatError(
            f"{path.name} has no sheet {self.sheet!r}.",
            cure=known_names(self.sheet or "", sheets),
            resource=str(path),
        )

    # ------------------------------------------------------------------ writing

    def save(self, data: Any, path: Path) -> None:
        import pandas as pd

        from framework.formats.handlers.faithful import check_same_values, check_shape, flattened, read_back

        if not isinstance(data, pd.DataFrame):
            raise FidelityError(f"The excel handler saves a DataFrame, not {type(data).__name__}.")
        if self.lossy:
            data = flattened(data, "Excel")
        else:
            check_shape(data, "Excel")
        if len(data) >= MOST_ROWS or len(data.columns) > MOST_COLUMNS or not len(data.columns):
            raise FidelityError(
                f"A sheet holds 1 to {MOST_COLUMNS:,} columns and up to {MOST_ROWS - 1:,} rows, "
                f"not {len(data.columns):,} and {len(data):,}.",
                cure="Save it as parquet.",
            )
        self._write(data, path)
        if self.lossy:
            return
        with read_back(path, "Excel"):
            check_same_values(data, self.load(path), "Excel")

    def _write(self, frame: Any, path: Path) -> None:
        import openpyxl

        columns = [_cells(frame.iloc[:, place], lossy=self.lossy) for place in range(len(frame.columns))]
        header = [_text(label) for label in frame.columns]
        book = openpyxl.Workbook(write_only=True)
        try:
            sheet = book.create_sheet(self.sheet or "Sheet1")
        except ValueError as error:
            raise OptionError(f"The option sheet of the excel handler is {self.sheet!r}: {error}.") from error
        with _disk_errors(sheet):
            sheet.append([_written(sheet, cell) for cell in header])
            for row in zip(*columns, strict=True):
                sheet.append([_written(sheet, cell) for cell in row])
            book.save(path)


@contextmanager
def _disk_errors(sheet: Any) -> Iterator[None]:
    """The system's errors as such, also where openpyxl writes by lxml, which has a class of its own for them."""
    import openpyxl

    kinds: tuple[type[Exception], ...] = (OSError,)
    if openpyxl.LXML:
        from lxml.etree import SerialisationError

        kinds = (OSError, SerialisationError)
    try:
        yield
    except kinds as error:
        for end in (sheet._rows.close, sheet._writer.xf.close, sheet._writer.cleanup):  # which would fail unheard later
            with suppress(*kinds):
                end()
        if isinstance(error, OSError):
            raise
        code = getattr(errno, str(error).removeprefix("IO_"), errno.EIO)
        raise OSError(code, os.strerror(code)) from error


class _Formula:
    """A cell whose value is to be computed."""


def _read_cell(cell: Any, path: Path, line: int) -> Any:
    if cell.data_type == "f":
        return _Formula()
    if cell.data_type == "e":
        if cell.value == "#N/A":
            return None
        raise FormatError(
            f"{path.name}, cell {cell.coordinate}: the error {cell.value}.",
            cure="Mend it in a spreadsheet program; #N/A alone is a missing cell.",
            line=line,
            resource=str(path),
        )
    return cell.value


def _computed(rows: list[list[Any]], values: Iterator[list[Any]], path: Path) -> list[list[Any]]:
    """The rows with what a spreadsheet program found for each formula."""
    answer = []
    for line, (row, found) in enumerate(zip(rows, values, strict=True), 1):
        for cell, value in zip(row, found, strict=True):
            if isinstance(cell, _Formula) and value is None:
                raise FormatError(
                    f"{path.name}, row {line}: a formula whose value no program has computed.",
                    cure="Open and save the file in a spreadsheet program.",
                    line=line,
                    resource=str(path),
                )
        answer.append(found)
    return answer


def _header(row: list[Any], path: Path) -> list[Any]:
    while row and row[-1] is None:
        row = row[:-1]
    for place, label in enumerate(row):
        if label is None or label in row[:place]:
            what = "no name" if label is None else f"the name {label!r}, which another has"
            raise FormatError(
                f"{path.name}: column {place + 1} has {what}.",
                cure="Give each column a name of its own in the first row.",
                line=1,
                resource=str(path),
            )
    return [label if isinstance(label, str) else str(label) for label in row]


# --------------------------------------------------------------------------- cells out


def _cells(series: Any, *, lossy: bool) -> list[Any]:
    """The cells as a sheet takes them: a number as its digits, so that none is rounded; a missing one None."""
    label, missing = series.name, series.isna()
    cells = series.astype(object).tolist()
    return [None if gone else _cell(cell, label, lossy=lossy) for gone, cell in zip(missing, cells, strict=True)]


class _Number(str):
    """The digits of a number."""


def _cell(cell: Any, label: Any, *, lossy: bool) -> Any:
    cell = cell.item() if hasattr(cell, "dtype") and hasattr(cell, "item") else cell
    if isinstance(cell, bool):
        return cell
    if isinstance(cell, int | float):
        return _number(cell, label, lossy=lossy)
    if isinstance(cell, dt.datetime) and cell.tzinfo is None and cell.year >= 1900:
        return cell.to_pydatetime(warn=False) if hasattr(cell, "to_pydatetime") else cell  # the check sees what is lost
    if isinstance(cell, str) or lossy:
        return _text(str(cell))
    raise FidelityError(
        f"Column {label!r}: {type(cell).__name__} {cell!r} has no place in a sheet.",
        cure="Save it as parquet, or accept text with lossy: true.",
    )


def _number(cell: int | float, label: Any, *, lossy: bool) -> Any:
    if isinstance(cell, int) and abs(cell) <= EXACT:
        return _Number(cell)
    if isinstance(cell, float) and abs(cell) != float("inf"):
        return _Number(repr(cell))
    if lossy:
        return str(cell)
    raise FidelityError(
        f"Column {label!r}: Excel rounds the number {cell}.", cure="Make text of it, or save it as parquet."
    )


def _text(cell: str) -> str:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if len(cell) > LONGEST:
        raise FidelityError(f"A text of {len(cell):,} characters: a sheet's cell holds {LONGEST:,}.")
    strange = ILLEGAL_CHARACTERS_RE.search(cell)
    if strange:
        raise FidelityError(f"The character {strange[0]!r} has no place in a sheet.", cure="Save it as parquet.")
    return cell


def _written(sheet: Any, cell: Any) -> Any:
    """A cell of the type that it is: openpyxl would take the text =1+1 for a formula, and round a number."""
    from openpyxl.cell import WriteOnlyCell

    if not isinstance(cell, str):
        return cell
    made = WriteOnlyCell(sheet, str(cell))
    made.data_type = "n" if isinstance(cell, _Number) else "s"
    return made
