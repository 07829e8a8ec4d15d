"""Any table in any dialect comes back right, or is refused with a line and a reason; it is never silently wrong."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.attempt import attempt
from framework.errors import IngestionException
from framework.prepare.ingestion import DataIngestionService

service = DataIngestionService()
words = st.text("abcxyzäöüéßñ ,;\t|\"'=.-\n", max_size=8).map(lambda tail: f"w{tail}")
odd = st.sampled_from(["007", "NA", "=1+1", "@SUM(A1)", "+5", "1e5", "TRUE", "1_000", "0x1F", "", " x ", "null"])
ISO = "%Y-%m-%d"


@dataclass
class Written:
    """A file, what it says, and how."""

    data: bytes
    names: list[str]
    rows: list[list[str | None]]
    said: dict[str, Any]
    formats: list[str | None]


@st.composite
def columns(draw: st.DrawFn, decimal: str, count: int) -> tuple[list[str | None], str | None]:
    """The cells of one column, and how its dates are written."""
    kind = draw(st.sampled_from(["integer", "float", "grouped", "text", "odd", "date", "flag"]))
    spelled = draw(st.sampled_from([ISO, "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y %H:%M"])) if kind == "date" else None
    absent = st.sampled_from(["NA", "NaN", "null"]) if draw(st.booleans()) else st.nothing()
    other = "." if decimal == "," else ","
    made = {
        "integer": absent | st.integers(-(10**6), 10**20).map(str),
        "float": absent
        | st.decimals(-9999, 9999, places=draw(st.integers(1, 4))).map(lambda x: str(x).replace(".", decimal)),
        "grouped": st.integers(-9999, 10**7).map(lambda x: f"{x:,}".replace(",", other))
        | st.integers(-9999, 10**7).map(
            lambda x: f"{x:,}.5".replace(",", ";").replace(".", decimal).replace(";", other)
        ),
        "text": words,
        "odd": words | odd,
        "date": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda day: day.strftime(spelled or ISO)),
        "flag": st.sampled_from(["true", "false"]),
    }[kind]
    cells: list[str | None] = draw(st.lists(made | st.none(), min_size=count, max_size=count))
    return cells, spelled


@st.composite
def files(draw: st.DrawFn) -> Written:
    width, count = draw(st.integers(1, 5)), draw(st.integers(0, 12))
    delimiter = draw(st.sampled_from(",;\t|"))
    decimal = "," if delimiter != "," and draw(st.booleans()) else "."
    made = [draw(columns(decimal, count)) for _ in range(width)]
    rows = [list(row) for row in zip(*(cells for cells, _ in made), strict=True)]
    names = draw(
        st.lists(words | st.sampled_from(["__class__", "id", "=x"]), min_size=width, max_size=width, unique=True)
    )
    if width == 1:
        names = [name.translate(dict.fromkeys(map(ord, ",;\t|"))) for name in names]  # else it looks like several
    header = draw(st.booleans()) or all(cell is None for row in rows for cell in row)  # else it is empty
    if not header:
        names = [f"column_{place + 1}" for place in range(width)]
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    marks = ",;\t|" if width == 1 else delimiter
    text = written([names, *rows] if header else rows, delimiter, end, marks, all_quoted=quoting == csv.QUOTE_ALL)
    if draw(st.booleans()):
        text = text.removesuffix(end) if width > 1 else text
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]))
    data = packed(text.encode(encoding), draw(st.sampled_from(["", "gzip", "zip"])))
    formats = [spelled for _, spelled in made]
    said = {"encoding": encoding, "delimiter": delimiter, "decimal": decimal, "header": header}
    dates = {name: spelled for name, spelled in zip(names, formats, strict=True) if spelled not in (None, ISO)}
    return Written(data, names, rows, {**said, "date_format": dates}, formats)


def written(rows: list[list[str | None]], delimiter: str, end: str, marks: str = ",", *, all_quoted: bool) -> str:
    """What is missing is nothing at all, and an empty text is in quotes."""

    def cell(text: str | None) -> str:
        if text is None:
            return ""
        special = all_quoted or text == "" or text != text.strip() or any(mark in text for mark in f'{marks}"\r\n')
        return '"' + text.replace('"', '""') + '"' if special else text

    return "".join(delimiter.join(map(cell, row)) + end for row in rows)


def packed(data: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(data)
    if how == "zip":
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inside.csv", data)
        return sink.getvalue()
    return data


def means(cell: str | None, value: Any, decimal: str, spelled: str | None) -> bool:
    """Whether a value is what the cell says."""
    if cell is None or (cell in ("NA", "NaN", "null") and not isinstance(value, str)):
        return bool(pd.isna(value))
    if isinstance(value, str):
        return value == cell
    if pd.isna(value) or (isinstance(value, int | float) and cell.count(",") + cell.count(".") > 1):
        return False
    if isinstance(value, datetime):
        return datetime.strptime(cell, spelled or ISO) == value
    if str(value) in ("True", "False"):
        return str(value).lower() == cell.lower()
    return float(Decimal(cell.replace(decimal, "."))) == value if "." in str(value) else int(cell) == int(value)


def wrong(file: Written, frame: pd.DataFrame) -> list[Any]:
    """The cells that are not what the file says."""
    assert list(frame.columns) == file.names
    assert len(frame) == len(file.rows)
    found = []
    for place, spelled in enumerate(file.formats):
        values = frame.iloc[:, place].tolist()
        for row, value in zip(file.rows, values, strict=True):
            if not means(row[place], value, file.said["decimal"], spelled):
                found.append((place, row[place], value))
    return found


thorough = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def comes_back_when_told(file: Written) -> None:
    frame, result = service.ingest(io.BytesIO(file.data), **file.said)
    assert wrong(file, frame) == []
    assert [column["nulls"] for column in result.columns] == [int(frame[name].isna().sum()) for name in file.names]


def is_right_or_refused(file: Written) -> None:
    header = None if file.said["header"] else False
    tried = attempt("ingest", lambda: service.ingest(io.BytesIO(file.data), header=header))
    if isinstance(tried.error, IngestionException):
        told, line = str(tried.error), tried.error.line
        assert line is not None
        assert any(word in told for word in (f"line {line}", "more than once", "is empty"))
        return
    assert tried.error is None
    assert tried.value is not None
    assert wrong(file, tried.value[0]) == []


@settings(thorough, max_examples=150)
@given(files())
def test_a_file_whose_dialect_is_said_comes_back_whole(file: Written) -> None:
    """With encoding, delimiter, decimal sign, date formats and header said, every cell is what was written."""
    comes_back_when_told(file)


@settings(thorough, max_examples=150)
@given(files())
def test_a_file_of_which_nothing_is_said_is_read_right_or_refused(file: Written) -> None:
    """What is found out is right, or it is a refusal with the line: never another table."""
    is_right_or_refused(file)


@pytest.mark.slow
@settings(thorough, max_examples=2000)
@given(files())
def test_two_thousand_files_are_right_or_refused(file: Written) -> None:
    """As above, both ways, of many more."""
    comes_back_when_told(file)
    is_right_or_refused(file)


# --------------------------------------------------------------------------- any text at all

FRAGMENTS = [
    "a",
    "bc",
    ",",
    ",",
    '"',
    '"',
    "\n",
    "\n",
    "\r",
    "\r\n",
    " ",
    "é",
    '""',
    '","',
    '",\n"',
    '"\n',
    '\n"',
    "\0",
]
scraps = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


def one_by_one(text: str, width: int) -> tuple[list[list[str]], list[int]]:
    """The good records as Python's own module reads them, and the lines of the bad: after one, on at the next line."""
    lines = list(io.StringIO(text, newline=""))
    good: list[list[str]] = []
    bad, at = [], 0
    while at < len(lines):
        reader = csv.reader(lines[at:], strict=True)
        try:
            record, taken = next(reader), reader.line_num
        except csv.Error:
            record, taken = [], 0
        if not taken or (record and len(record) != width) or any("\0" in cell for cell in record):
            bad.append(at + 1)
        elif record or width == 1:
            good.append(record or [""])
        at += max(taken, 1)
    return good, bad


def is_as_python_reads_it(body: str, width: int, piece: int) -> None:
    """Refused at its first bad line, or read; put aside, all but the bad lines are read."""
    text = ",".join("hij"[:width]) + "\n" + body
    by, said = (
        DataIngestionService(chunk_size=piece),
        {"encoding": "utf-8", "delimiter": ",", "header": True, "date_format": {}},
    )
    good, bad = one_by_one(text, width)
    tried = attempt("ingest", lambda: by.ingest(io.BytesIO(text.encode()), **said))
    assert (tried.value is None) == bool(bad)
    frame, result = by.ingest(io.BytesIO(text.encode()), on_bad_rows="quarantine", **said)
    assert [line for line, _ in result.refused] == bad
    assert frame.fillna("").to_numpy().tolist() == good[1:]
    if bad:
        assert isinstance(tried.error, IngestionException)
        assert tried.error.line == bad[0]


@settings(thorough, max_examples=200)
@given(body=scraps, width=st.integers(1, 3), piece=st.sampled_from([16, 8192]))
def test_any_text_is_read_as_python_reads_it_or_refused_at_its_first_bad_line(
    body: str, width: int, piece: int
) -> None:
    """Quotes, line ends and delimiters in whatever order: no row more, fewer, or other than there are."""
    is_as_python_reads_it(body, width, piece)


@pytest.mark.slow
@settings(thorough, max_examples=2000)
@given(body=scraps, width=st.integers(1, 3), piece=st.sampled_from([16, 8192]))
def test_two_thousand_texts_are_read_as_python_reads_them(body: str, width: int, piece: int) -> None:
    """As above, of many more."""
    is_as_python_reads_it(body, width, piece)


@settings(thorough, max_examples=100)
@given(
    rows=st.lists(st.tuples(st.integers(0, 99).map(str), words), min_size=1, max_size=20),
    fault=st.sampled_from(["1", "1,2,3", '"x"y,2', "1,\0", '1,"open']),
    data=st.data(),
)
def test_a_broken_row_is_named_by_its_line_and_put_aside_alone(
    rows: list[tuple[str, str]], fault: str, data: st.DataObject
) -> None:
    """Refusing, the line is that of the fault; putting aside, every other row comes back."""
    place = data.draw(st.integers(0, len(rows))) if "open" not in fault else len(rows)
    before = written([["id", "name"], *map(list, rows[:place])], ",", "\n", all_quoted=False)
    text = before + fault + "\n" + written(list(map(list, rows[place:])), ",", "\n", all_quoted=False)
    line = before.count("\n") + 1
    with pytest.raises(IngestionException) as refused:
        service.ingest(io.BytesIO(text.encode()), delimiter=",", header=True)
    assert refused.value.line == line
    frame, result = service.ingest(
        io.BytesIO(text.encode()), delimiter=",", header=True, on_bad_rows="quarantine", date_format={}
    )
    assert [at for at, _ in result.refused] == [line]
    assert [(str(number), name) for number, name in frame.itertuples(index=False)] == rows
