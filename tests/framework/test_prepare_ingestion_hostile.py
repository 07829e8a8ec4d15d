"""What was made to mislead, to break or to hold up who reads it."""

from __future__ import annotations

import gc
import gzip
import io
import os
import struct
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from framework.errors import BaseFrameworkException, IngestionException, OptionError, StorageError
from framework.prepare.ingestion import DataIngestionService, IngestionResult

service = DataIngestionService()
PLAIN = b"id,name\n1,a\n2,b\n"


def read(data: str | bytes, **said: Any) -> tuple[Any, IngestionResult]:
    return service.ingest(io.BytesIO(data.encode() if isinstance(data, str) else data), **said)


def refusal(data: str | bytes, **said: Any) -> IngestionException:
    with pytest.raises(IngestionException) as refused:
        read(data, filename="x.csv", **said)
    assert refused.value.cure
    return refused.value


def zipped(name: str, data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return sink.getvalue()


# --------------------------------------------------------------------------- streams and arguments


class Given:
    """A stream that gives what it was given, or raises it."""

    def __init__(self, *blocks: Any) -> None:
        self.blocks = list(blocks)

    def read(self, _: int) -> Any:
        block = self.blocks.pop(0) if self.blocks else b""
        if isinstance(block, Exception):
            raise block
        return block


@pytest.mark.parametrize(
    ("block", "error", "why"),
    [
        (None, IngestionException, "no end"),
        ("5,6\n", IngestionException, "binary"),
        (ValueError("I/O operation on closed file."), IngestionException, "while it is open"),
        (OSError(5, "Input/output error"), StorageError, "Input/output"),
    ],
    ids=["none", "text", "closed", "fault"],
)
def test_a_stream_that_stops_in_the_midst_is_no_shorter_table(block: Any, error: type[Exception], why: str) -> None:
    """A stream that has nothing yet, or fails, is refused; what came before is not taken for all of it."""
    with pytest.raises(error, match=why):
        service.ingest(Given(PLAIN, block, b"3,c\n"))  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [None, 5, PLAIN, ["x.csv"]], ids=["none", "number", "bytes", "list"])
def test_what_is_neither_a_path_nor_a_stream_is_an_option_error(source: Any) -> None:
    """It says what a source is."""
    with pytest.raises(OptionError, match="stream"):
        service.ingest(source)


def test_a_name_that_no_file_can_have_is_a_typed_error() -> None:
    """The operating system refuses it."""
    with pytest.raises(StorageError, match="too long"):
        service.ingest("x" * 5_000)


@pytest.mark.parametrize(
    "said",
    [
        {"date_format": "%Q"},
        {"date_format": "%d/%m/%Y%"},
        {"date_format": "%d/%d/%Y"},
        {"date_format": "mixed"},
        {"date_format": {"name": "%Q"}},
        {"date_format": {"name": 5}},
        {"date_format": {5: "%Y"}},
        {"date_format": {"nome": None}},
        {"content_length": "16"},
        {"content_length": -1},
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_meant_is_an_option_error(said: dict[str, Any]) -> None:
    """A format that strptime does not know, a column that is not there, a length that is none."""
    with pytest.raises(OptionError):
        read(PLAIN, **said)


def test_where_it_is_written_may_be_text(tmp_path: Path) -> None:
    """As a path may."""
    path, result = read(PLAIN + b"3\n", into=str(tmp_path / "x.parquet"), on_bad_rows="quarantine")
    assert path == tmp_path / "x.parquet"
    assert result.rejected == str(tmp_path / "x.rejected.parquet")


@pytest.mark.parametrize("at", [1, 10, 100, 300])
@pytest.mark.parametrize("into", [True, False])
def test_what_stops_in_the_midst_leaves_nothing(at: int, into: bool, tmp_path: Path) -> None:
    """No file beside the target, no thread, no open file."""
    source, calls = tmp_path / "x.csv", 0
    source.write_bytes(b"a,b\n" + b"1,2\n" * 100_000 + b"3\n" + b"1,2\n" * 100_000)

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyError("stop")

    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with pytest.raises(KeyError):
        DataIngestionService(chunk_size=16).ingest(
            source, into=tmp_path / "x.parquet" if into else None, on_bad_rows="quarantine", check=check
        )
    gc.collect()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, files)
    assert [each.name for each in tmp_path.iterdir()] == ["x.csv"]


# --------------------------------------------------------------------------- packed


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (zipped("x.zip", zipped("x.csv", PLAIN)), "a zip"),
        (zipped("x.csv.gz", gzip.compress(PLAIN)), "gzip"),
        (gzip.compress(gzip.compress(PLAIN)), "gzip"),
        (gzip.compress(b"PAR1" + bytes(50)), "Parquet"),
    ],
    ids=["zip-in-zip", "gzip-in-zip", "gzip-in-gzip", "parquet-in-gzip"],
)
def test_what_is_packed_twice_is_refused_as_that(data: bytes, what: str) -> None:
    """By what is in it, not by the NUL bytes that would be found."""
    assert what in str(refusal(data))


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [(24, 10, "damaged"), (20, 10, "damaged"), (24, 0xFFFFFFF0, "max_file_size"), (42, 99_999, "damaged")],
    ids=["size", "packed-size", "huge", "place"],
)
def test_a_zip_whose_list_lies_is_refused(at: int, value: int, why: str) -> None:
    """Of a member's size, packed or not, or of its place."""
    data = bytearray(zipped("../../x.csv", PLAIN * 100))
    struct.pack_into("<L", data, data.rfind(b"PK\1\2") + at, value)
    assert why in str(refusal(bytes(data)))


@pytest.mark.parametrize("packed", [zipped("x.csv", PLAIN), gzip.compress(PLAIN)], ids=["zip", "gzip"])
def test_no_byte_of_an_archive_can_break_the_reader(packed: bytes) -> None:
    """Each byte in turn is another: the table, or a refusal of ours."""
    for place in range(len(packed)):
        for value in (0, 1, 0x7F, 0xFF, packed[place] ^ 1):
            data = packed[:place] + bytes([value]) + packed[place + 1 :]
            try:
                frame, _ = read(data)
            except BaseFrameworkException:
                continue
            assert frame["name"].tolist() == ["a", "b"]


# --------------------------------------------------------------------------- dialects


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_that_tells_excel_its_delimiter_is_no_header(first: str) -> None:
    """In a table of two columns it would fit."""
    refused = refusal(f"{first}\nid;name\n1;x\n2;y\n")
    assert refused.line == 1
    assert "delimiter=';'" in str(refused)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("before", [0, 100_000])
@pytest.mark.parametrize("bad_rows", ["refuse", "quarantine"])
def test_lines_that_each_open_a_quote_to_the_end_are_refused_in_time(before: int, bad_rows: Any) -> None:
    """Read anew from every line, they would take hours."""
    data = b"id,v\n" + b"1,2\n" * before + b'x","\n' * 200_000
    line = refusal(data, on_bad_rows=bad_rows).line
    assert line is not None
    assert line >= before + 2


@pytest.mark.timeout(60)
def test_a_quote_that_is_never_closed_is_told_in_time() -> None:
    """Of two million lines, at the line where it is opened; put aside, it takes one line with it."""
    assert refusal(b'a,b\n1,"' + b"x,y\n" * 2_000_000, delimiter=",", header=True).line == 2
    frame, result = read(b'a,b\n1,"' + b"x,y\n" * 200_000, delimiter=",", header=True, on_bad_rows="quarantine")
    assert len(frame) == 199_999
    assert [line for line, _ in result.refused] == [2]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_quote_that_is_open_through_as_much_as_may_be_is_told_in_time() -> None:
    """In a time that grows with the file, not its square."""
    assert refusal(b'a,b\n1,"' + (b"x" * 97 + b",y\n") * 900_000, delimiter=",", header=True).line == 2


def test_a_long_cell_with_line_ends_does_not_end_the_sample() -> None:
    """It is longer than what is looked at first."""
    cell = "x\n" * 200_000
    frame, _ = read(f'a,b\n1,"{cell}"\n3,c\n')
    assert frame["b"].tolist() == [cell, "c"]


def test_single_quotes_are_found_where_each_holds_the_delimiter() -> None:
    """None of them opens and closes within one field then."""
    frame, _ = read("id,name\n" + "1,'a, b'\n" * 5)
    assert frame["name"].tolist() == ["a, b"] * 5


@pytest.mark.parametrize(
    "data",
    [
        ",".join(f"c{n}" + "x" * 500 for n in range(10_000)) + "\n" + ",".join("1" * 10_000) + "\n",
        "x" * 5_000_000 + "\n2\n",
        "1" * 5_000_000,
        "a\1b,c\n1,2\n",
    ],
    ids=["wide", "word", "number", "control"],
)
def test_a_first_record_that_is_none_is_refused_with_its_line(data: str) -> None:
    """Longer than is looked at, or not text."""
    assert refusal(data).line == 1


def test_a_number_of_many_digits_is_no_year_and_no_error() -> None:
    """Python makes no integer of so many."""
    frame, _ = read("1" * 5_000 + "\n" + "2" * 5_000 + "\n")
    assert frame["column_1"].tolist() == ["1" * 5_000, "2" * 5_000]


# --------------------------------------------------------------------------- rows put aside


@pytest.mark.parametrize("bad", ["2,3", "2\0", '"x"y', '"'], ids=["ragged", "nul", "quotes", "open"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_row_put_aside_leaves_no_empty_row_in_a_table_of_one_column(bad: str, end: str) -> None:
    """There a blank line is a row; those of the file stay, and what is wrong later is named by its own line."""
    frame, result = read(end.join(["a", "1", bad, "", "4", ""]), delimiter=",", header=True, on_bad_rows="quarantine")
    assert frame["a"].isna().tolist() == [False, True, False]
    assert [line for line, _ in result.refused] == [3]
    dated = end.join(["a", "2020-01-01", bad, bad.replace('"', "'"), "2020-01-02", "x", "2020-01-03", ""])
    said: dict[str, Any] = {"on_bad_rows": "quarantine", "delimiter": ",", "header": True}
    if bad != '"x"y' and bad != '"':
        assert refusal(dated, **said, date_format={"a": "%Y-%m-%d"}).line == 6


def test_lines_keep_their_numbers_after_rows_put_aside_whatever_ends_them() -> None:
    """CR alone too."""
    data = "a,b\r1,2020-01-01\r2\r3,2020-01-01\r4,x\r"
    assert refusal(data, on_bad_rows="quarantine", date_format={"b": "%Y-%m-%d"}).line == 5


@pytest.mark.parametrize("quote", ['"', "'"])
def test_rows_in_another_encoding_are_not_put_aside_as_broken(quote: str) -> None:
    """A file that begins as ASCII may be in CP1252, and its later rows are as good as its first."""
    rows = f"1,{quote}a, b{quote}\n" * 300_000
    data = f"id,name\n{rows}2,c,d\n3,Müller\n".encode("cp1252")
    frame, result = read(data, delimiter=",", header=True, on_bad_rows="quarantine")
    assert result.encoding == "cp1252"
    assert frame["name"].iloc[-1] == "Müller"
    assert [line for line, _ in result.refused] == [300_002]


def test_warnings_are_of_the_table_that_came_out() -> None:
    """Not of the rows that were put aside, and none twice."""
    data = "id;v;w\n1;12,50;1.234,50\n2;1.234,50;" + "y" * 60 + "\n3;1,5;2.234,50\n"
    frame, result = read(data, max_field=50, on_bad_rows="quarantine")
    assert frame["v"].tolist() == [12.5, 1.5]
    assert len(result.warnings) == 1
    assert "'w'" in result.warnings[0]
