"""What is broken, packed, too much or interrupted on its way in."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework.errors import IngestionException, OptionError
from framework.mods.artifacts import read_frame
from framework.prepare.ingestion import DataIngestionService

service = DataIngestionService()
PLAIN = b"id,name\n1,a\n2,b\n"


def refusal(data: bytes, *, by: DataIngestionService = service, **said: Any) -> IngestionException:
    with pytest.raises(IngestionException) as refused:
        by.ingest(io.BytesIO(data), filename="x.csv", **said)
    return refused.value


def zipped(*members: tuple[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return sink.getvalue()


# --------------------------------------------------------------------------- packed


@pytest.mark.parametrize(
    ("data", "compression"),
    [
        (gzip.compress(PLAIN), "gzip"),
        (gzip.compress(PLAIN[:10]) + gzip.compress(PLAIN[10:]), "gzip"),
        (zipped(("in/x.csv", PLAIN)), "zip"),
        (zipped(("x.csv", PLAIN), ("__MACOSX/._x.csv", b"-"), (".DS_Store", b"-")), "zip"),
        (PLAIN, None),
    ],
    ids=["gzip", "two-members", "zip", "mac-zip", "plain"],
)
def test_what_is_packed_is_known_by_its_bytes(data: bytes, compression: str | None, tmp_path: Path) -> None:
    """Whatever it is called, from a file or a stream."""
    (tmp_path / "x.dat").write_bytes(data)
    for source in (tmp_path / "x.dat", io.BytesIO(data)):
        frame, result = service.ingest(source)
        assert frame["name"].tolist() == ["a", "b"]
        assert result.compression == compression
        assert result.bytes == len(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(PLAIN)[:-9], "damaged"),
        (gzip.compress(PLAIN) + b"rubbish", "damaged"),
        (zipped(("x.csv", PLAIN))[:-30], "damaged"),
        (zipped(("x.csv", PLAIN)).replace(PLAIN[:4], b"zzzz"), "damaged"),
        (zipped(("x.csv", PLAIN), ("y.csv", PLAIN)), "2 files (x.csv, y.csv)"),
        (zipped(), "no file"),
        (zipped(("[Content_Types].xml", b"-"), ("xl/workbook.xml", b"-")), "Excel"),
        (b"BZh91AY&SY", "bzip2"),
        (b"PAR1....PAR1", "Parquet"),
    ],
    ids=["cut", "rubbish", "cut-zip", "crc", "two", "none", "excel", "bzip2", "parquet"],
)
def test_a_packed_file_that_is_not_one_table_is_refused(data: bytes, why: str) -> None:
    """Damaged, several in one, or of another kind."""
    if why == "damaged" and data[:2] == b"PK" and len(data) > 100:
        data = data[:40] + bytes([data[40] ^ 255]) + data[41:]
    assert why in str(refusal(data))


@pytest.mark.timeout(60)
def test_a_bomb_stops_at_its_cap() -> None:
    """What comes out is counted, not what goes in; memory stays small."""
    small = DataIngestionService(max_file_size=1 << 20)
    lines = b"1,2\n" * (1 << 20)
    for packed in (gzip.compress(b"a,b\n" + lines), zipped(("x.csv", b"a,b\n" + lines))):
        assert len(packed) < 1 << 18
        assert "max_file_size" in str(refusal(packed, by=small))


def test_compression_can_be_switched_off() -> None:
    """Then it is refused, and says so."""
    plain = DataIngestionService(enable_compression=False)
    assert "enable_compression" in str(refusal(gzip.compress(PLAIN), by=plain))
    assert plain.ingest(io.BytesIO(PLAIN))[1].rows == 2


# --------------------------------------------------------------------------- limits


class Endless(io.RawIOBase):
    """A stream without an end, which counts what it gave."""

    given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return b"1" * size


@pytest.mark.timeout(60)
def test_a_stream_stops_at_the_limit(tmp_path: Path) -> None:
    """One without an end too; a file is refused by its size before it is read."""
    small = DataIngestionService(max_file_size=100_000, chunk_size=1_000)
    endless = Endless()
    with pytest.raises(IngestionException, match="100,000"):
        small.ingest(endless)
    assert endless.given <= 102_000
    (tmp_path / "x.csv").write_bytes(b"a\n" * 60_000)
    with pytest.raises(IngestionException, match="120,000"):
        small.ingest(tmp_path / "x.csv")


@pytest.mark.timeout(60)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no regular file is refused."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IngestionException, match="regular"):
        service.ingest(tmp_path / "pipe")


@pytest.mark.parametrize("length", [len(PLAIN) - 1, len(PLAIN) + 1, 1 << 40])
def test_a_wrong_content_length_is_refused(length: int) -> None:
    """Shorter, longer, or more than may be."""
    assert refusal(PLAIN, content_length=length)
    assert service.ingest(io.BytesIO(PLAIN), content_length=len(PLAIN))[1].rows == 2


def test_rows_columns_and_fields_have_limits() -> None:
    """At the limit they pass, beyond it they do not; a field names its line."""
    assert "max_rows" in str(refusal(PLAIN, max_rows=1))
    assert "max_columns" in str(refusal(PLAIN, max_columns=1))
    assert service.ingest(io.BytesIO(PLAIN), max_rows=2, max_columns=2)[1].rows == 2
    long = PLAIN + b"3," + "é".encode() * 50 + b"\n"
    assert refusal(long, max_field=49).line == 4
    assert service.ingest(io.BytesIO(long), max_field=50)[1].rows == 3


def grow(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"x,y\n" * 50_000)


def shrink(path: Path) -> None:
    os.truncate(path, 1_000)


def edit(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"c,d\nx,y\n")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("change", [grow, shrink, edit])
@pytest.mark.parametrize("call", [1, 20, 40])
def test_a_file_that_changes_while_it_is_read_is_refused(change: Any, call: int, tmp_path: Path) -> None:
    """It is gone through more than once: the rows of one state are not mixed with those of another."""
    path, calls = tmp_path / "x.csv", 0
    path.write_bytes(b"a,b\n" + b"1,2\n" * 500_000)
    os.utime(path, (1, 1))

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            change(path)

    with pytest.raises(IngestionException, match="changed while"):
        DataIngestionService(chunk_size=64).ingest(path, into=tmp_path / "x.parquet", check=check)
    assert calls >= call
    assert [each.name for each in tmp_path.iterdir()] == ["x.csv"]


def test_a_file_that_is_deleted_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    """It is open: what was there is what comes."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 500_000)
    frame, _ = DataIngestionService(chunk_size=64).ingest(path, check=lambda: path.unlink(missing_ok=True))
    assert len(frame) == 500_000


def test_too_many_rows_are_not_read_to_their_end() -> None:
    """It stops some pieces after the limit."""
    calls = [0, 0]

    def reading(place: int, most: int) -> None:
        def check() -> None:
            calls[place] += 1

        by = DataIngestionService(chunk_size=64)
        by.ingest(io.BytesIO(b"a,b\n" + b"1,2\n" * 300_000), max_rows=most, check=check)

    reading(0, 300_000)
    with pytest.raises(IngestionException, match="max_rows"):
        reading(1, 10)
    spooled = 1_200_004 // 64
    assert calls[1] - spooled < (calls[0] - spooled) / 2


def test_a_file_beyond_its_rows_leaves_nothing_behind(tmp_path: Path) -> None:
    """No artifact, whole or half."""
    with pytest.raises(IngestionException):
        service.ingest(io.BytesIO(b"a,b\n" + b"1,2\n" * 9), into=tmp_path / "x.parquet", max_rows=8)
    assert list(tmp_path.iterdir()) == []


def test_text_and_strange_names_are_refused_or_made_harmless() -> None:
    """A stream of str is no file; a name is its last part, without what a terminal would obey."""
    with pytest.raises(IngestionException, match="binary"):
        service.ingest(io.StringIO("a,b\n1,2\n"))  # type: ignore[arg-type]
    assert service.ingest(io.BytesIO(PLAIN), filename="../../etc/\x1b[31mx.csv")[1].file == "?[31mx.csv"
    with pytest.raises(OptionError):
        DataIngestionService(chunk_size=0)


# --------------------------------------------------------------------------- bad rows

BROKEN = b'id,name\n1,a\n2\n3,c,d\n"x"y,4\n5,\0\n6,f\n7,"open\n8,h\n'
FAULTS = [3, 4, 5, 6, 8]


def test_bad_rows_are_refused_by_the_first_of_them() -> None:
    """Too few fields in line 3."""
    assert refusal(BROKEN).line == 3


def test_bad_rows_are_put_aside_with_line_reason_and_text(tmp_path: Path) -> None:
    """The others are read; a stray quote takes one line with it, not the rest."""
    path, result = service.ingest(io.BytesIO(BROKEN), into=tmp_path / "x.parquet", on_bad_rows="quarantine")
    assert read_frame(path)["id"].tolist() == [1, 6, 8]
    assert result.rows == 3
    assert result.rows_refused == len(FAULTS)
    assert [line for line, _ in result.refused] == FAULTS
    aside = read_frame(tmp_path / "x.rejected.parquet")
    assert result.rejected == str(tmp_path / "x.rejected.parquet")
    assert aside["_line"].tolist() == FAULTS
    assert aside["_text"].tolist() == ["2", "3,c,d", '"x"y,4', "5,\0", '7,"open']
    assert aside["_why"].iloc[0] == "1 fields, and the header has 2"


def test_where_the_rejected_go_can_be_said(tmp_path: Path) -> None:
    """Beside a frame too; without bad rows there is no file."""
    frame, result = service.ingest(io.BytesIO(BROKEN), rejected=tmp_path / "bad.parquet", on_bad_rows="quarantine")
    assert len(frame) == 3
    assert len(read_frame(tmp_path / "bad.parquet")) == 5
    _, result = service.ingest(io.BytesIO(PLAIN), rejected=tmp_path / "no.parquet", on_bad_rows="quarantine")
    assert result.rejected is None
    assert not (tmp_path / "no.parquet").exists()


def test_bytes_that_are_not_in_the_encoding_and_long_fields_are_put_aside() -> None:
    """Each alone."""
    data = b"id,name\n1,\xff\n2,b\n3," + b"x" * 50 + b"\n"
    frame, result = service.ingest(io.BytesIO(data), encoding="utf-8", max_field=49, on_bad_rows="quarantine")
    assert frame["id"].tolist() == [2]
    assert [line for line, _ in result.refused] == [2, 4]
    assert "0xff" in result.refused[0][1]


@pytest.mark.parametrize("bad_rows", ["refuse", "quarantine"])
def test_a_byte_that_another_encoding_lacks_is_refused_with_its_line(bad_rows: Any) -> None:
    """It cannot be told where its row ends, so it is not put aside."""
    data = b"id,name\n1,a\n2,\xff\n3,c\n"
    assert refusal(data, encoding="ascii", delimiter=",", on_bad_rows=bad_rows).line == 3


def test_lines_are_those_of_the_file_after_rows_put_aside_and_without_a_header() -> None:
    """What is wrong later is named by its own line."""
    data = b"1,2020-01-01\n2\n3,2020-01-02\n4,x\n5,2020-01-03\n"
    said: dict[str, Any] = {"header": False, "delimiter": ",", "date_format": {"column_2": "%Y-%m-%d"}}
    assert refusal(data, **said).line == 2
    refused = refusal(data, **said, on_bad_rows="quarantine")
    assert refused.line == 4
    assert "line 4" in str(refused)


def test_a_header_that_is_broken_is_never_put_aside() -> None:
    """Without it nobody knows what the columns are."""
    assert refusal(b'"id,name\n1,2\n3,4\n', on_bad_rows="quarantine").line == 1


# --------------------------------------------------------------------------- interrupted


def test_what_check_raises_stops_the_reading(tmp_path: Path) -> None:
    """Between pieces, and nothing is left."""

    class Stop(Exception):
        pass

    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Stop

    (tmp_path / "x.csv").write_bytes(b"a,b\n" + b"1,2\n" * 100_000)
    with pytest.raises(Stop):
        DataIngestionService(chunk_size=64).ingest(tmp_path / "x.csv", into=tmp_path / "x.parquet", check=check)
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_without_the_memory_it_is_tried_once_more_in_half_the_pieces(tmp_path: Path) -> None:
    """Then it is refused, with what to do."""
    (tmp_path / "x.csv").write_bytes(b"a,b\n" + b"1,2\n" * 200_000)
    by = DataIngestionService(chunk_size=256)

    def counting(fails: int) -> tuple[list[int], Any]:
        calls = [0]

        def check() -> None:
            calls[0] += 1
            if calls[0] <= fails:
                raise MemoryError

        return calls, check

    plain, check = counting(0)
    whole = by.ingest(tmp_path / "x.csv", check=check)[0]
    halved, check = counting(1)
    again = by.ingest(tmp_path / "x.csv", check=check)[0]
    pd.testing.assert_frame_equal(again, whole)
    assert halved[0] > 1.5 * plain[0]
    with pytest.raises(IngestionException, match="into="):
        by.ingest(tmp_path / "x.csv", check=counting(2)[1])
