"""What is found in a file of others: encoding, dialect, types, and where it is asked rather than guessed."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework.errors import DatasetNotFoundError, IngestionException, OptionError
from framework.mods.artifacts import read_frame
from framework.prepare.ingestion import DataIngestionService, IngestionResult

service = DataIngestionService()


def read(data: str | bytes, **said: Any) -> tuple[pd.DataFrame, IngestionResult]:
    frame, result = service.ingest(io.BytesIO(data.encode() if isinstance(data, str) else data), **said)
    return frame, result


def refusal(data: str | bytes, **said: Any) -> IngestionException:
    with pytest.raises(IngestionException) as refused:
        read(data, filename="x.csv", **said)
    return refused.value


def types(result: IngestionResult) -> list[str]:
    return [column["type"] for column in result.columns]


# --------------------------------------------------------------------------- encoding


@pytest.mark.parametrize(
    ("data", "encoding", "least", "most"),
    [
        (b"id,name\n1,Ann\n", "utf-8", 1, 1),
        ("id,name\n1,Müller, é\n".replace(", é", "é").encode(), "utf-8", 0.9, 0.9999),
        ("id,name\n1,Müller\n".encode("utf-8-sig"), "utf-8-sig", 1, 1),
        ("id,name\n1,Müller\n".encode("utf-16"), "utf-16", 1, 1),
        ("id,name\n1,Müller\n".encode("utf-16-le"), "utf-16-le", 0.8, 0.99),
        ("id,name\n1,Müller\n".encode("utf-16-be"), "utf-16-be", 0.8, 0.99),
        ("id,name\n1,Müller\n".encode("utf-32"), "utf-32", 1, 1),
        ("id,name\n1,“Müller” 5 €\n".encode("cp1252"), "cp1252", 0.6, 0.9),
        ("id,name\n1,Müller\x81\n".encode("latin-1"), "latin-1", 0.1, 0.5),
        (("id,name\n" + "1,abc\n" * 300_000 + "1,Müller\n").encode("cp1252"), "cp1252", 0.6, 0.9),
    ],
    ids=["ascii", "utf8", "bom", "utf16", "utf16le", "utf16be", "utf32", "cp1252", "latin1", "late-cp1252"],
)
def test_the_encoding_is_found_and_how_sure_that_is(data: bytes, encoding: str, least: float, most: float) -> None:
    """By its mark, its zero bytes, strict UTF-8, CP1252, or Latin-1 at last; a byte late in the file counts too."""
    frame, result = read(data)
    assert result.encoding == encoding
    assert least <= result.encoding_confidence <= most
    assert frame["name"].iloc[-1] in data.decode(encoding)
    assert (result.encoding_confidence < 0.6) == any("not sure" in warning for warning in result.warnings)


def test_an_encoding_that_is_said_is_not_changed() -> None:
    """A byte that it does not have is refused with its line; one that does not exist is an option error."""
    assert refusal(b"id,name\n1,a\n2,\xff\n", encoding="utf-8").line == 3
    assert read(b"id,name\n1,\xff\n", encoding="latin-1")[0]["name"].tolist() == ["ÿ"]
    with pytest.raises(OptionError, match="encoding"):
        read("a\n1\n", encoding="no-such")


# --------------------------------------------------------------------------- dialect


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_parts_every_record_alike(mark: str) -> None:
    """Other marks in the cells, or more of them than of it, do not mislead."""
    others = "".join({",", ";", "\t", "|"} - {mark})
    frame, result = read(f"id{mark}name\n1{mark}a{others}b\n2{mark}{others * 3}\n")
    assert result.dialect["delimiter"] == mark
    assert frame["name"].tolist() == [f"a{others}b", others * 3]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("a,b;c\n1,2;3\n4,5;6\n", 1),
        ("Report of May\na;b\n1;2\n3;4\n", 2),
        ("Report, May\na;b;c\n1;2;3\n", 2),
        ("text\nhello, world\n", 2),
        ("country,2019,2020\nUS,1.5,2.5\nDE,1.0,2.0\n", 1),
        ("2019,2020\n5,7\n", 1),
        ("a,b,a\n1,2,3\n", 1),
        (",,\n1,2,3\n", 1),
        ('"a,b\n1,2\n', 1),
        ("\n\n", 1),
        ("", 1),
    ],
)
def test_what_could_be_two_tables_is_refused_with_a_line(data: str, line: int) -> None:
    """Two delimiters that fit, a title, a header that may be a row, repeated names, nothing at all."""
    refused = refusal(data)
    assert refused.line == line
    assert refused.exit_code == 20


def test_a_header_is_told_from_a_row() -> None:
    """Words over numbers are a header; numbers and dates in the first record are a row; it can be said."""
    assert read("id,age\n1,2\n")[1].dialect["header"] is True
    frame, result = read("Ann,2020-01-02,5\nBob,2020-01-03,6\n")
    assert result.dialect["header"] is False
    assert frame.columns.tolist() == ["column_1", "column_2", "column_3"]
    assert len(frame) == 2
    assert len(read("2019,2020\n5,7\n", header=True)[0]) == 1
    assert len(read("a,b\nc,d\n", header=False)[0]) == 2


def test_single_quotes_are_found_and_an_apostrophe_is_none() -> None:
    """Where they hold the delimiter they quote; in a name they are a character."""
    frame, result = read("id,name\n1,'a, b'\n2,'O''Brien'\n")
    assert result.dialect["quote"] == "'"
    assert frame["name"].tolist() == ["a, b", "O'Brien"]
    assert read("id,name\n1,O'Brien\n2,'tis\n")[0]["name"].tolist() == ["O'Brien", "'tis"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_read_and_kept_within_quotes(end: str) -> None:
    """LF, CR, or both."""
    frame, _ = read(f'id,name{end}1,"a{end}b"{end}2,c{end}')
    assert frame["name"].tolist() == [f"a{end}b", "c"]


# --------------------------------------------------------------------------- numbers and dates


def test_a_decimal_comma_is_found_where_a_cell_settles_it() -> None:
    """12,50 is no thousand; the points between thousands stay text and are told."""
    frame, result = read("id;amount;sum\n1;12,50;1.234,50\n2;1,234;2,5\n")
    assert result.dialect["decimal"] == ","
    assert frame["amount"].tolist() == [12.5, 1.234]
    assert frame["sum"].tolist() == ["1.234,50", "2,5"]
    assert any("'sum'" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    "data",
    [
        "id;amount\n1;1,234\n2;2,500\n",
        "id;amount\n1;1.234\n2;2.500\n",
        'id,amount\n1,"1,234"\n2,"2,500"\n',
        'id,amount\n1,"1,5"\n2,"2,5"\n',
        "a;b\n1,5;1.5\n2,5;2.5\n",
        "id;amount\n" + "1;1,234\n" * 50_000,
    ],
    ids=["comma", "point", "quoted-thousand", "quoted-fraction", "both", "long"],
)
def test_a_decimal_sign_that_may_be_another_is_asked_for(data: str) -> None:
    """1,234 may be either; said, it is a number or stays text."""
    assert "decimal=" in str(refusal(data))
    column = data.partition("\n")[0].split(";" if ";" in data else ",")[1]
    kinds = {sign: dict(zip(*_named(read(data, decimal=sign)[1]), strict=True))[column] for sign in (".", ",")}
    assert sorted(kinds.values()) == ["float", "text"]


def _named(result: IngestionResult) -> tuple[list[str], list[str]]:
    return [column["name"] for column in result.columns], types(result)


def test_a_cell_late_in_the_file_settles_the_decimal_sign() -> None:
    """All rows are looked at, not the first of them."""
    rows = "1;1,234\n" * 50_000
    frame, _ = read(f"id;x\n{rows}2;0,5\n")
    assert frame["x"].iloc[-1] == 0.5
    frame, _ = read(f"id;x\n{rows}2;1,234,567\n")
    assert frame["x"].iloc[-1] == "1,234,567"


def test_day_and_month_are_told_apart_by_any_row() -> None:
    """A 31st settles it, wherever it stands, for its own column; a date that does not exist leaves text."""
    rows = "1,01/02/2024\n" * 50_000
    assert read(f"id,day\n{rows}2,31/12/2024\n")[0]["day"].iloc[0] == datetime(2024, 2, 1)
    assert read(f"id,day\n{rows}2,12/31/2024\n")[0]["day"].iloc[0] == datetime(2024, 1, 2)
    assert "'a'" in str(refusal("a,b\n01/02/2024,31/12/2024\n"))
    assert read("id,day\n1,31/02/2024\n")[0]["day"].tolist() == ["31/02/2024"]
    assert read("id,day\n1,03/03/2024\n")[0]["day"].tolist() == [pd.Timestamp(2024, 3, 3)]


def test_dates_with_day_and_month_in_doubt_are_asked_for() -> None:
    """Said, they are that; None leaves them as text."""
    data = "id,day\n1,01/02/2024\n2,03/04/2024\n"
    refused = refusal(data)
    assert refused.line == 1
    assert "date_format={'day': '%d/%m/%Y'}" in str(refused)
    assert read(data, date_format="%m/%d/%Y")[0]["day"].iloc[0] == datetime(2024, 1, 2)
    assert read(data, date_format={"day": "%d/%m/%Y"})[0]["day"].iloc[0] == datetime(2024, 2, 1)
    assert read(data, date_format={"day": None})[0]["day"].tolist() == ["01/02/2024", "03/04/2024"]


def test_nothing_is_lost_in_the_types() -> None:
    """Types over all rows; 007, NA among words and formulas are text; floats are exact; headers may be anything."""
    data = "__class__,zip,note,exact,count\n=1+1,007,NA,0.30000000000000004,1\n@SUM(A1),10115,b,1.5,\n"
    frame, result = read(data)
    assert types(result) == ["text", "text", "text", "float", "integer"]
    assert frame["__class__"].tolist() == ["=1+1", "@SUM(A1)"]
    assert frame["zip"].tolist() == ["007", "10115"]
    assert frame["exact"].tolist() == [0.30000000000000004, 1.5]
    assert result.columns[-1] == {"name": "count", "type": "integer", "nulls": 1}
    late, _ = read("a,b\n" + "1,1\n" * 600_000 + "1,x\n")
    assert late["b"].iloc[0] == "1"


# --------------------------------------------------------------------------- results, files, options


def test_a_file_is_written_as_parquet_with_the_same_rows(tmp_path: Path) -> None:
    """A frame and an artifact hold the same, and the result says the same of both."""
    source = tmp_path / "x.csv"
    source.write_text("id;amount;day\n" + "".join(f"{n};{n},5;{n % 28 + 1:02}.12.2024\n" for n in range(9_000)))
    frame, whole = service.ingest(source)
    path, piecewise = DataIngestionService(chunk_size=64).ingest(str(source), into=tmp_path / "x.parquet")
    assert path == tmp_path / "x.parquet"
    pd.testing.assert_frame_equal(read_frame(path), frame)
    assert {**whole.as_dict(), "seconds": 0} == {**piecewise.as_dict(), "seconds": 0}
    assert json.loads(json.dumps(whole.as_dict()))["rows"] == 9_000
    assert types(whole) == ["integer", "float", "datetime"]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    """As a frame and as a file."""
    frame, result = read("a,b\n")
    assert frame.shape == (0, 2)
    assert result.rows == 0
    path, _ = service.ingest(io.BytesIO(b"a,b\n"), into=tmp_path / "x.parquet")
    assert read_frame(path).columns.tolist() == ["a", "b"]


def test_a_file_that_is_not_there_names_what_is(tmp_path: Path) -> None:
    """A folder is refused."""
    (tmp_path / "customers.csv").write_text("a\n")
    with pytest.raises(DatasetNotFoundError, match=r"Did you mean 'customers\.csv'"):
        service.ingest(tmp_path / "customer.csv")
    with pytest.raises(IngestionException, match="folder"):
        service.ingest(tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        {"decimal": ";"},
        {"delimiter": "ab"},
        {"on_bad_rows": "skip"},
        {"header": 2},
        {"max_rows": 0},
        {"date_format": 3},
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(said: dict[str, Any]) -> None:
    """Before anything is read."""
    with pytest.raises(OptionError):
        read("a,b\n1,2\n", **said)


def test_ten_thousand_columns_are_read() -> None:
    """In a time that grows with their number, not its square."""
    names = ",".join(f"c{number}" for number in range(10_000))
    frame, _ = read(f"{names}\n{','.join('1' * 10_000)}\n")
    assert frame.shape == (1, 10_000)
