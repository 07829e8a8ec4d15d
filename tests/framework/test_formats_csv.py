"""CSV of others: the right table, or the line where it is wrong; whatever the bytes are."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework.errors import BaseFrameworkException, FormatError
from framework.formats.csv_foreign import Spelling, read_file
from framework.schema import decode

WORDS = (
    *("a", "b c", " lead", "trail ", "é", "日本", "007", "1E5", "+1", "x,y", "x;y", 'say "so"', '"', "two\nlines"),
    *("cr\rhere", "crlf\r\nhere", "", "NA", "null", "-", "'", "a" * 300, "#", "=1+1", "\t", "true", "1.2.3"),
)
NUMBERS = ("0", "-1", "12", "3.50", "-0.25", "2.5e-3", "9007199254740993", "123456789012", "-0")
TIMES = ("2024-01-02", "2024-02-29T12:00", "1999-12-31 23:59:59")
MARKS = (",", ";", "\t", "|")
NULLS = ("", "NA", "NaN", "null")


class Messy:
    """A file made up from a seed, and what it must be read as.

    Attributes
    ----------
    rows : list of lists of text
        What its cells say, quotes taken off; None is an empty cell without quotes.
    fault : int or None
        The line that makes it no CSV.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        pick = self.chance.choice
        self.delimiter, self.end = pick(MARKS), pick(("\n", "\n", "\r\n", "\r"))
        self.encoding = pick(("utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"))
        wide = self.chance.randrange(1, 6)
        marks = ("", "é", "x,y", 'q"q') if wide > 1 else ("", "é")  # one column with a mark looks like several
        self.header = [f"c{place} {pick(marks)}" for place in range(wide)]
        if self.chance.random() < 0.2 and len(self.header) > 1:
            self.header[-1] = ""  # a delimiter at the end of the line
        self.pools = [pick((WORDS, NUMBERS, TIMES, ("7", "NA", "8", ""))) for _ in self.header]
        self.lines, self.rows, self.fault, self.line = [self._row(self.header)], [], None, 1
        self.line += self._height(self.lines[0])
        for _ in range(self.chance.randrange(0, 12)):
            self._add()
        if self.chance.random() < 0.5:
            self._spoil()

    @property
    def data(self) -> bytes:
        text = "".join(self.lines)
        text = text.removesuffix(self.end) if self.chance.random() < 0.3 else text
        return text.encode(self.encoding)

    def _add(self) -> None:
        if self.chance.random() < 0.1 and len(self.header) > 1:
            self.lines.append(self.end)
            self.line += 1
        row = [self._cell(pool) for pool in self.pools]
        if len(row) == 1 and row[0] is None:
            row = ["one"]  # a blank line says nothing in one column
        self.lines.append(self._row(row))
        self.rows.append(row)
        self.line += self._height(self.lines[-1])

    def _cell(self, pool: tuple[str, ...]) -> str | None:
        cell = self.chance.choice(pool)
        try:
            cell.encode(self.encoding)
        except UnicodeEncodeError:
            return "plain"
        return cell or None

    def _row(self, cells: list[Any]) -> str:
        return self.delimiter.join(map(self._spelled, cells)) + self.end

    def _spelled(self, cell: str | None) -> str:
        if cell is None:
            return ""
        must = any(mark in cell for mark in (self.delimiter, "\n", "\r")) or cell.startswith('"')
        quoted = must or self.chance.random() < 0.2
        return '"' + cell.replace('"', '""') + '"' if quoted and cell else cell

    def _height(self, text: str) -> int:
        return text.count("\n") + text.count("\r") - text.count("\r\n")

    def _spoil(self) -> None:
        """One thing that no CSV may have, in its last line."""
        wide = len(self.header)
        kinds = ["long", "nul", "open", "stray", "twice"] + ["short"] * (wide > 2)
        kind = self.chance.choice(kinds)
        self.fault = self.line
        cells = {"long": ["x"] * (wide + 1), "short": ["x"] * (wide - 1)}.get(kind, ["x"] * wide)
        line = self._row(cells)
        if kind == "nul":
            line = "\0" + line
        elif kind == "open":
            line = '"' + line
        elif kind == "stray":
            line = '"x"y' + self.delimiter.join([""] * wide) + self.end
        elif kind == "twice":
            self.lines[0], self.fault = self._row([*self.header, self.header[0]]), 1
            line = ""
        self.lines.append(line)


def check(path: Path, seed: int) -> str:
    """Read the file of that seed; AssertionError if it is another table, or another line is named."""
    made = Messy(seed)
    path.write_bytes(made.data)
    spelling = Spelling(delimiter=made.delimiter, encoding=made.encoding)
    if made.fault is not None:
        with pytest.raises(FormatError) as caught:
            read_file(path, spelling=spelling)
        assert caught.value.line == made.fault, (seed, str(caught.value))
        return "refused"
    frame = decode(*read_file(path, spelling=spelling))
    assert list(frame.columns) == made.header, seed
    assert len(frame) == len(made.rows), seed
    for place in range(len(made.header)):
        for got, cell in zip(frame.iloc[:, place].tolist(), made.rows, strict=True):
            assert says(got, cell[place]), (seed, got, cell[place])
    return "read"


def says(got: Any, cell: str | None) -> bool:
    """Whether a value is what the cell's text says."""
    if got is None or got is pd.NA or got is pd.NaT or got != got:
        return cell is None or cell in NULLS
    if isinstance(got, bool):
        return str(got).lower() == cell
    if isinstance(got, (int, float)):
        return cell is not None and Decimal(repr(got)) == Decimal(cell)
    if isinstance(got, pd.Timestamp):
        return cell is not None and pd.Timestamp(cell) == got
    return bool(got == cell)


def test_made_up_files_are_read_right_or_refused_with_their_line(tmp_path: Path) -> None:
    """Quotes, line ends in cells, marks, encodings, blank lines, faults: the table that was meant, or its line."""
    outcomes = [check(tmp_path / "d.csv", seed) for seed in range(200)]
    assert {"read", "refused"} == set(outcomes)


@pytest.mark.slow
def test_two_thousand_made_up_files_are_read_right_or_refused(tmp_path: Path) -> None:
    """The same at length."""
    outcomes = [check(tmp_path / "d.csv", seed) for seed in range(200, 2200)]
    assert min(outcomes.count("read"), outcomes.count("refused")) > 600


PIECES = (
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"a",
    b"1",
    b"-",
    b".5",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b" ",
    b'""',
    b"NA",
)


def rubbish(seed: int) -> bytes:
    chance = random.Random(seed)
    parts = [chance.choice(PIECES) for _ in range(chance.randrange(0, 60))]
    return (b"a,b\n" if chance.random() < 0.5 else b"") + b"".join(parts)


def no_other_error(path: Path, seed: int) -> None:
    path.write_bytes(rubbish(seed))
    try:
        table, schema = read_file(path)
    except BaseFrameworkException:
        return
    assert len(decode(table, schema).columns) == len(schema.fields), seed


def test_whatever_the_bytes_are_the_error_is_ours(tmp_path: Path) -> None:
    """Rubbish is a table or an error of ours."""
    for seed in range(2000):
        no_other_error(tmp_path / "d.csv", seed)


@pytest.mark.slow
def test_whatever_the_bytes_are_the_error_is_ours_at_length(tmp_path: Path) -> None:
    """The same, many times over."""
    for seed in range(2000, 102_000):
        no_other_error(tmp_path / "d.csv", seed)


# --------------------------------------------------------------------------- files of many pieces


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (("1", "2.5"), "float64"),
        (("1", "x"), "object"),
        (("1", "007"), "object"),
        (("1", ""), "Int64"),
        (("NA", "1"), "Int64"),
        (("", "2024-01-01"), "datetime64[ns]"),
        (("2024-01-01", "0001-01-01"), "datetime64[us]"),
        (("true", "false"), "bool"),
        (("true", "TRUE"), "object"),
        (("9007199254740993", "0.5"), "object"),
        (("12345678901234567890", "0.5"), "object"),
        (("NA", "NA"), "object"),
    ],
)
def test_the_last_cell_of_a_large_file_counts_as_much_as_the_first(
    tmp_path: Path, cells: tuple[str, str], dtype: str
) -> None:
    """What a column is, is said by all cells; those of earlier pieces are then read as that, too."""
    first, last = cells
    filler = "y" * 1000
    rows = 20_000  # of a kilobyte: more than one piece
    (tmp_path / "d.csv").write_text("x,t\n" + f"{first},{filler}\n" * rows + f"{last},{filler}\n")
    frame = decode(*read_file(tmp_path / "d.csv"))
    assert str(frame["x"].dtype) == dtype
    assert len(frame) == rows + 1
    assert all(says(value, cell) for value, cell in zip(frame["x"].iloc[[0, -1]].tolist(), cells, strict=True))


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (b'1,"two\nlines, ' + b"z" * 900 + b'"\n', 2),
        (b'1,a"b' + b"z" * 900 + b"\n", 2),
        (b"1," + b"z" * 900 + b"\r\n", 2),
        (b"1," + b"z" * 900 + b"\r", 2),
    ],
    ids=["lines in quotes", "a quote in a cell", "CRLF", "CR"],
)
def test_a_record_is_never_cut(tmp_path: Path, record: bytes, fields: int) -> None:
    """Wherever a piece ends, each row is whole; and the line of a fault far behind is still right."""
    path = tmp_path / "d.csv"
    rows = 40_000
    path.write_bytes(b"n,t" + record[-1:] + record * rows)
    frame = decode(*read_file(path))
    assert frame["n"].tolist() == [1] * rows
    assert frame["t"].nunique() == 1
    height = 2 if b'"two' in record else 1
    with open(path, "ab") as file:
        file.write(b"1,2,3" + record[-1:])
    with pytest.raises(FormatError, match=f"3 fields, and the header has {fields}") as caught:
        read_file(path)
    assert caught.value.line == 2 + height * rows
