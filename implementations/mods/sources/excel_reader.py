"""A sheet of an Excel workbook as an artifact, read row by row: types kept, formulas by the values last computed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import Field, field_validator

from framework.errors import FormatError, OptionError, ParameterError, known_names
from framework.mods.artifacts import write_tables
from framework.mods.base import BaseModParams, InputPath, ModMetadata
from framework.mods.records import Rows
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.registry import missing_extra

METADATA = ModMetadata(
    name="excel_reader",
    version="1.0.0",
    description="Reads a sheet of an Excel workbook, or a range of it, with its types",
    author="Millpond",
    tags=["source", "excel", "file"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {"input_path": "customers.xlsx", "columns": ["id", "name"]}
EXAMPLE_FILES = {"customers.xlsx": "id,name,since\n1,Ada,2021-04-01\n2,Ben,2022-08-15\n"}
BATCH = 1 << 12  # rows
MOST_UNPACKED = 1 << 33
FORMULA = (b"<f>", b"<f ", b"<f/", b":f>", b":f ")
SIDES = (1, 1, 16_384, 1_048_576)  # first column and row, last column and row of a sheet


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_path: InputPath = Field(description="an .xlsx or .xlsm file")
    base_path: str | None = Field(None, description="where relative paths begin")
    sheet: str | int | None = Field(None, description="its name, or its number from 1 on; the first unless given")
    range: str | None = Field(None, description="only these cells, such as B3:F100 or B:F")
    header_row: int | None = Field(
        None, ge=0, description="the row of the columns' names, counted in the sheet; the first of the range unless "
        "given; 0 for none: the columns are then named A, B, C"
    )  # fmt: skip
    columns: list[str] | None = Field(None, min_length=1, description="only these")
    on_error: Literal["fail", "null"] = Field(
        "fail", description="what becomes of a cell such as #REF!; #N/A is a missing cell always"
    )
    max_bytes: int = Field(MOST_UNPACKED, gt=0, description="how much the file may hold when it is unpacked")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("range")
    @classmethod
    def _is_a_range(cls, text: str | None) -> str | None:
        if text is not None:
            _sides(text)
        return text


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    path = Path(params.input_path)
    reading = _Reading(path, params)
    with Rows(here.folder, columns=params.columns) as rows:
        names = reading.into(rows)
        schema, tables = rows.tables()
        target = here.output(params.output_path)
        written = write_tables(target, schema, tables)
        for note in [*reading.notes(), *rows.notes]:
            result.add_warning(note)
    here.logger.info("read %d rows and %d columns of %s", written, len(names), path.name)
    result.add_metric("rows_processed", rows.count)
    result.add_metric("rows_output", written)
    result.add_metric("rows_blank", reading.blank)
    result.add_artifact("output_data", target)
    return result.success()


def _sides(text: str | None) -> tuple[int, int, int, int]:
    """First column and row, last column and row."""
    if text is None:
        return SIDES
    import re

    told = re.fullmatch(r"\$?([A-Za-z]{1,3})\$?([1-9]\d{0,6})?:\$?([A-Za-z]{1,3})\$?([1-9]\d{0,6})?", text.strip())
    if told is None:
        raise ValueError(f"{text!r} is no range of cells: write it as B3:F100, or B:F for whole columns")
    left, right = _column(told[1]), _column(told[3])
    sides = (left, int(told[2] or 1), right, int(told[4] or SIDES[3]))
    if left > right or sides[1] > sides[3] or right > SIDES[2] or sides[3] > SIDES[3]:
        raise ValueError(f"{text!r} is no range of cells: it ends before it begins, or beyond the sheet")
    return sides


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _letters(column: int) -> str:
    text = ""
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


@dataclass
class _Reading:
    """One sheet on its way into rows.

    Attributes
    ----------
    blank : int
        Rows without a cell, which are passed over.
    """

    path: Path
    params: Params
    blank: int = 0
    errors: int = 0
    first_error: str = ""

    def notes(self) -> Iterator[str]:
        """What the reader should know."""
        if self.errors:
            yield f"{self.errors} cells that hold an error are missing; the first is {self.first_error}."

    def into(self, rows: Rows) -> list[str]:
        """All rows; the columns' names."""
        left, top, right, bottom = _sides(self.params.range)
        header = self.params.header_row
        header = top if header is None else header
        if header and header > bottom:
            raise ParameterError(f"header_row {header} is below the range {self.params.range}.")
        names: list[str] | None = None
        waiting: list[list[Any]] = []
        bounds = (left, min(header, top) if header else top, right, bottom)
        width = right - left + 1 if self.params.range is not None else 0
        for line, cells in self._cells(bounds):
            if header and line < max(header, top) and line != header:
                continue
            if line == header:
                names = self._names(cells, left, line)
                continue
            if all(cell is None for cell in cells):
                self.blank += 1
                continue
            if names is None and header:
                raise self._no_header(header)
            if names is None:
                names = [_letters(left + place) for place in range(width or len(cells))]
            names = names if header else _longer(names, cells, left, rows, waiting)
            waiting.append(self._fitted(cells, names, left, line))
            if len(waiting) >= BATCH:
                rows.add_rows(names, waiting)
                waiting = []
        if names is None:
            raise self._no_header(header)
        rows.add_rows(names, waiting)
        return names

    def _no_header(self, header: int) -> FormatError:
        where = f"row {header}" if header else "the sheet"
        return FormatError(
            f"{self.path.name} is empty: {where} holds no cell.",
            cure="Say sheet, range or header_row.",
            line=header or 1,
            resource=str(self.path),
        )

    def _names(self, cells: Sequence[Any], left: int, line: int) -> list[str]:
        """The columns' names, which the cells of the header hold."""
        there = list(cells)
        while there and there[-1] is None:
            there.pop()
        if not there:
            raise self._no_header(line)
        names: list[str] = []
        for place, cell in enumerate(there):
            name = None if cell is None else str(cell).strip() or None
            if name is None or name in names:
                what = "has no name" if name is None else f"has the name {name!r}, which another has"
                raise FormatError(
                    f"{self.path.name}, cell {_letters(left + place)}{line}: the column {what}.",
                    cure="Name it in the sheet, or say which range and header_row to read.",
                    line=line,
                    resource=str(self.path),
                )
            names.append(name)
        return names

    def _fitted(self, cells: Sequence[Any], names: list[str], left: int, line: int) -> list[Any]:
        """The cells of a row, as many as there are names."""
        for place, cell in enumerate(cells[len(names) :], len(names)):
            if cell is not None:
                raise FormatError(
                    f"{self.path.name}, cell {_letters(left + place)}{line}: it is beyond the {len(names)} columns "
                    "of the header.",
                    cure="Name its column, or leave it out by range.",
                    line=line,
                    resource=str(self.path),
                )
        given = list(cells[: len(names)])
        return given + [None] * (len(names) - len(given))

    # ------------------------------------------------------------------ cells

    def _cells(self, bounds: tuple[int, int, int, int]) -> Iterator[tuple[int, list[Any]]]:
        """The rows with their numbers, a formula as the value that was last computed."""
        with ExitStack() as opened:
            values = opened.enter_context(self._sheet(formulas=False))
            found = _rows(values, bounds)
            said = _rows(opened.enter_context(self._sheet(formulas=True)), bounds) if self._has_formulas() else None
            for line, row in enumerate(found, bounds[1]):
                cells = row if said is None else next(said)
                yield (
                    line,
                    [
                        self._value(cell, value, left=bounds[0] + place, line=line)
                        for place, (cell, value) in enumerate(zip(cells, row, strict=True))
                    ],
                )

    def _value(self, cell: Any, value: Any, *, left: int, line: int) -> Any:
        """What a cell holds; FormatError for a formula that was never computed."""
        if value.data_type == "e":
            return self._error(value.value, f"{_letters(left)}{line}", line)
        if cell.data_type == "f" and value.value is None and value.data_type != "str":  # that is the empty text
            raise FormatError(
                f"{self.path.name}, cell {_letters(left)}{line}: a formula whose value no program has computed.",
                cure="Open and save the file in a spreadsheet program.",
                line=line,
                resource=str(self.path),
            )
        return value.value

    def _error(self, said: Any, where: str, line: int) -> None:
        if said == "#N/A":
            return
        if self.params.on_error == "fail":
            raise FormatError(
                f"{self.path.name}, cell {where}: the error {said}.",
                cure="Mend it in a spreadsheet program, or say on_error: 'null'; #N/A alone is a missing cell.",
                line=line,
                resource=str(self.path),
            )
        self.errors += 1
        self.first_error = self.first_error or f"{said} in {where}"

    def _has_formulas(self) -> bool:
        """Whether some sheet holds one."""
        from framework.formats.handlers.archives import opened_zip

        with opened_zip(self.path, "an Excel workbook", most=self.params.max_bytes) as archive:
            sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith("xml")]
            return any(_tells_formula(archive.open(name)) for name in sheets)

    def _check_size(self) -> None:
        from framework.formats.handlers.archives import opened_zip

        with opened_zip(self.path, "an Excel workbook", most=self.params.max_bytes):
            pass  # not a bomb

    @contextmanager
    def _sheet(self, *, formulas: bool) -> Iterator[Any]:
        """The sheet, open."""
        from framework.formats.handlers.excel import BROKEN
        from framework.formats.handlers.streams import as_format_errors

        try:
            import openpyxl
            from openpyxl.utils.exceptions import InvalidFileException
        except ImportError as error:
            raise missing_extra(f"mod {METADATA.name!r}", "excel", error.name) from error
        self._check_size()
        broken = (*BROKEN, InvalidFileException)
        with as_format_errors(self.path, "an Excel workbook", *broken), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of extensions that only concern how it looks
            book = openpyxl.load_workbook(self.path, read_only=True, data_only=not formulas, keep_links=False)
        try:
            sheet = self._found(book)
            with as_format_errors(self.path, "an Excel workbook", *broken):
                yield sheet
        finally:
            book.close()

    def _found(self, book: Any) -> Any:
        sheets = book.worksheets
        titles = [sheet.title for sheet in sheets]
        asked = self.params.sheet
        if asked is None and sheets:
            return sheets[0]
        if isinstance(asked, int) and 1 <= asked <= len(sheets):
            return sheets[asked - 1]
        if isinstance(asked, str) and asked in titles:
            return sheets[titles.index(asked)]
        raise OptionError(
            f"{self.path.name} has no sheet {asked!r}.", cure=known_names(str(asked), titles), resource=str(self.path)
        )


def _rows(sheet: Any, bounds: tuple[int, int, int, int]) -> Iterator[Any]:
    """The rows that the sheet has, which itself may say of its size what is wrong."""
    left, top, right, bottom = bounds
    sheet.reset_dimensions()
    last = None if bottom == SIDES[3] else bottom
    return iter(sheet.iter_rows(top, last, left, None if right == SIDES[2] else right))


def _tells_formula(file: IO[bytes]) -> bool:
    """Whether a sheet's XML holds one."""
    before = b""
    with file:
        while block := file.read(1 << 20):
            if any(mark in before + block for mark in FORMULA):
                return True
            before = block[-4:]
    return False


def _longer(names: list[str], cells: Sequence[Any], left: int, rows: Rows, waiting: list[list[Any]]) -> list[str]:
    """The names of columns that no header tells, when a row is longer than those before it."""
    if len(cells) <= len(names) or all(cell is None for cell in cells[len(names) :]):
        return names
    rows.add_rows(names, waiting)
    waiting.clear()
    return [_letters(left + place) for place in range(len(cells))]
