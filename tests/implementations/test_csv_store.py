"""The csv store: its own files, and those that others wrote."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework import DataFactory, as_settings
from framework.errors import (
    BaseFrameworkException,
    DatasetNameError,
    FidelityError,
    FormatError,
    IntegrityError,
    OptionError,
    StorageError,
)
from framework.testing import FolderConformance, assert_same, first_difference
from framework.testing.examples import SAME, column, text
from framework.testing.suite import OTHER, PLAIN, Rows


class TestCsvStore(FolderConformance):
    """CSV, read by pandas and written as text."""

    kind = "csv"
    suffix = ".csv"

    def raw_read(self, store: Any, name: str) -> Rows:
        frame = pd.read_csv(store.folder / f"{name}.csv").astype(object)
        return [tuple(row) for row in frame.where(frame.notna(), None).itertuples(index=False)]

    def raw_write(self, store: Any, name: str, rows: list[dict[str, Any]]) -> None:
        store.folder.mkdir(parents=True, exist_ok=True)
        lines = [list(rows[0]), *(row.values() for row in rows)]
        text = "".join(",".join("" if cell is None else str(cell) for cell in line) + "\n" for line in lines)
        (store.folder / f"{name}.csv").write_text(text)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return make(tmp_path)


def make(place: Path, **options: Any) -> Any:
    made: Any = DataFactory(as_settings(workspace=place)).create_store("csv", **options)
    made.folder.mkdir(exist_ok=True)
    return made


def put(store: Any, content: str | bytes, name: str = "d") -> Path:
    """A file that others wrote."""
    path: Path = store.folder / f"{name}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


COUNT = """
import sys
from framework import DataFactory, as_settings
store = DataFactory(as_settings(workspace=sys.argv[1])).create_store(sys.argv[2])
print(sum(map(len, store.iter_data(sys.argv[3], chunk_rows=20_000))))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(place: Path, kind: str, name: str, rows: int) -> int:
    """The most memory, in kB, that a process takes to go through the dataset in chunks."""
    command = [sys.executable, "-c", COUNT, str(place), kind, name]
    found, most = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(found) == rows
    return int(most)


def read(store: Any, *cells: str) -> pd.Series:
    """What a column of those cells is read as."""
    put(store, "x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    found: pd.Series = store.get_data("d")["x"]
    return found


# --------------------------------------------------------------------------- what others wrote


@pytest.mark.parametrize(
    "cells",
    [
        *(["007"], ["+1"], ["1E5"], ["1e5"], ["0x1F"], ["TRUE"], [" 1"], ["1 "], ["12345678901234567890"], ["1_000"]),
        *(["1", "a"], ["1.", "2."], [".5"], ["-"], ["1e400"], ["inf"], ["Infinity"]),
        *(["t", "f"], ["true", "TRUE"], ["yes", "no"], ["0.10000000000000000001"], ["9007199254740993.0"]),
        *(
            ["2024-13-01"],
            ["2024-02-30"],
            ["01/02/2024"],
            ["2024-01-01T25:00"],
            ["2024-01-01 10:00+02:00"],
        ),
        *(["NA"], ["NaN", "null"], ["NA", "a"], ["true", "NA"], ["None"], ["1", "None"], ["\u0661"], ["1", "#N/A"]),
    ],
    ids=str,
)
def test_what_would_lose_something_stays_text(store: Any, cells: list[str]) -> None:
    """A value that would not be written back as the same text keeps its whole column text."""
    found = read(store, *cells)
    assert str(found.dtype) == "object"
    assert found.tolist() == cells


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "-2", "0"], "int64", [1, -2, 0]),
        (["9223372036854775807", "-9223372036854775808"], "int64", [2**63 - 1, -(2**63)]),
        (["1", "NA"], "Int64", [1, pd.NA]),
        (["1", ""], "Int64", [1, pd.NA]),
        (["1.5", "2", "-0.25"], "float64", [1.5, 2.0, -0.25]),
        (["1.50", "2.0"], "float64", [1.5, 2.0]),
        (["2.5e-3", "1.0E+5"], "float64", [0.0025, 100000.0]),
        (["0.1", "0.30000000000000004", "1e-7"], "float64", [0.1, 0.30000000000000004, 1e-7]),
        (["1.5", "NaN", "null", "NA"], "float64", [1.5, None, None, None]),
        (["5e-324", "1.7976931348623157e+308"], "float64", [5e-324, 1.7976931348623157e308]),
        (["true", "false"], "bool", [True, False]),
        (["True", "False"], "bool", [True, False]),
        (["true", ""], "boolean", [True, pd.NA]),
        (["2024-02-29", "1999-12-31"], "datetime64[ns]", [pd.Timestamp("2024-02-29"), pd.Timestamp("1999-12-31")]),
        (["2024-01-01T10:00:00.123456789"], "datetime64[ns]", [pd.Timestamp("2024-01-01T10:00:00.123456789")]),
        (
            ["2024-01-01 10:00Z", "2024-01-01T10:00:00+00:00"],
            "datetime64[ns, UTC]",
            [pd.Timestamp("2024-01-01 10", tz="UTC")] * 2,
        ),
        (["2024-01-01", "NA", ""], "datetime64[ns]", [pd.Timestamp("2024-01-01"), pd.NaT, pd.NaT]),
        (["a", ""], "object", ["a", None]),
        (["", ""], "object", [None, None]),
    ],
    ids=str,
)
def test_what_loses_nothing_is_what_it_is(store: Any, cells: list[str], dtype: str, values: list[Any]) -> None:
    """Numbers, booleans and times are found where every value says the same as its text."""
    found = read(store, *cells)
    assert str(found.dtype) == dtype
    wanted = [np.nan if value is None and dtype == "float64" else value for value in values]
    assert [repr(cell) for cell in found.tolist()] == [repr(cell) for cell in wanted]


def test_floats_are_exact(store: Any) -> None:
    """Every double that is written with its shortest digits is read as that very double."""
    chance = np.random.default_rng(17)
    bits = chance.integers(0, 2**64, 4000, dtype=np.uint64).view("float64")
    numbers = bits[np.isfinite(bits) & (np.abs(bits) > 1e-280)]
    found = read(store, *(repr(float(number)) for number in numbers if "." in repr(float(number))))
    wanted = [float(number) for number in numbers if "." in repr(float(number))]
    assert str(found.dtype) == "float64"
    assert found.tolist() == wanted


def test_a_quoted_empty_cell_is_empty_text(store: Any) -> None:
    """An empty cell is missing, a quoted one is the empty text."""
    put(store, 'x,y\na,1\n"",2\n,3\n')
    assert store.get_data("d")["x"].tolist() == ["a", "", None]


def test_what_spreadsheets_write_is_read(store: Any) -> None:
    """A byte order mark, CRLF, quoted line ends, blank lines and no line end at the end."""
    put(store, b'\xef\xbb\xbfid,note\r\n007,"two\r\nlines, ""quoted"""\r\n\r\n008,\xc3\xbc')
    got = store.get_data("d")
    assert list(got.columns) == ["id", "note"]
    assert got["id"].tolist() == ["007", "008"]
    assert got["note"].tolist() == ['two\r\nlines, "quoted"', "ü"]


def test_a_header_alone_is_a_table_without_rows(store: Any) -> None:
    """No row is no error."""
    put(store, "a,b\n")
    assert store.get_data("d").shape == (0, 2)
    assert store.describe("d").rows == 0


# --------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"a,b\n1,2\n1,2,3\n", 3, "3 fields"),
        (b"a,b\n1,2\n1\n", 3, "1 fields"),
        (b'a,b\n"1\n1",2\n3\n', 4, "1 fields"),
        (b"a,b\n" + b"1,2\n" * 300_000 + b"1\n" + b"1,2\n" * 9, 300_002, "1 fields"),
        (b"a,b\n\xff,2\n", 2, "utf-8"),
        (b"a,b\nx,2\n" + "Zürich".encode("cp1252") + b",2\n", 3, "encoding='cp1252'"),
        (b"a,b\n1,\0\n", 2, "NUL"),
        ("a,b\n1,2\n".encode("utf-16"), 1, "UTF-16|utf-8"),
        (b"a,a\n1,2\n", 1, "'a' more than once"),
        (b'a,b\n1,2\n"1,2\n3,4\n', 3, "never closed"),
        (b'a,b\n1,2\n"x"y,2\n', 3, "expected after"),
        (b"", 1, "empty"),
        (b"\n\n", 1, "empty"),
        (b"a;b\n1;2\n", 1, "delimiter=';'|Is the delimiter ';'"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_bad_file_is_an_error_with_its_line(store: Any, content: bytes, line: int, words: str) -> None:
    """Ragged rows, bad bytes, a NUL, an open quote, repeated headers: FormatError with the line, the file untouched."""
    path = put(store, content)
    for call in (store.get_data, store.describe, lambda name: store.save_data(OTHER, name, mode="append")):
        with pytest.raises(FormatError, match=words) as caught:
            call("d")
        assert caught.value.line == line
        assert "d" in str(caught.value)
    assert path.read_bytes() == content


# --------------------------------------------------------------------------- options


def test_a_delimiter_is_an_option(tmp_path: Path) -> None:
    """Semicolons or tabs, read and written, also where cells hold them."""
    for mark in (";", "\t", "|"):
        store = make(tmp_path, delimiter=mark)
        put(store, f'a{mark}b\n1{mark}"x{mark}y"\n')
        assert store.get_data("d")["b"].tolist() == [f"x{mark}y"]
        frame = text("plain", f"a{mark}b", None, "c,d").assign(n=1)
        store.save_data(frame, "own")
        assert_same(frame, store.get_data("own"))
        assert_same(frame, make(tmp_path).get_data("own"))  # the record knows the delimiter
        assert (store.folder / "own.csv").read_text().startswith(f"x{mark}n\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1"])
def test_an_encoding_is_an_option(tmp_path: Path, encoding: str) -> None:
    """Files in another encoding are read and written; the record knows it."""
    store = make(tmp_path, encoding=encoding)
    put(store, "näme,n\nZürich,1\n".encode(encoding))
    got = store.get_data("d")
    assert (list(got.columns), got["näme"].tolist(), got["n"].tolist()) == (["näme", "n"], ["Zürich"], [1])
    frame = text(*["Zürich", None, "a\nb", "ÿ"] * 9000)
    store.save_data(frame, "own")
    assert_same(frame, store.get_data("own"))
    assert_same(frame, make(tmp_path).get_data("own"))
    assert (store.folder / "own.csv").read_bytes().decode(encoding).count("Zürich") == 9000
    store.save_data(frame, "own", mode="append")
    assert len(store.get_data("own")) == 72_000


def test_what_an_encoding_has_no_letter_for_is_refused(tmp_path: Path) -> None:
    """Saving what the encoding cannot spell is a FidelityError, and the old file stays."""
    store = make(tmp_path, encoding="cp1252")
    store.save_data(PLAIN, "d")
    before = (store.folder / "d.csv").read_bytes()
    with pytest.raises(FidelityError, match="cp1252"):
        store.save_data(text("日本"), "d")
    assert (store.folder / "d.csv").read_bytes() == before
    assert_same(PLAIN, store.get_data("d"))


def test_dtypes_are_an_option(tmp_path: Path) -> None:
    """dtype= says what not to find out; a cell that is none of it is an error with its row."""
    store = make(tmp_path, dtype={"id": "str", "n": "float32", "when": "datetime64[s]", "ok": "bool", "i": "Int64"})
    put(store, "id,n,when,ok,i,free\n1,2,2024-01-01,1,5,7\n2,3.5,2024-01-02,FALSE,,8\n")
    got = store.get_data("d")
    assert [str(kind) for kind in got.dtypes] == ["object", "float32", "datetime64[s]", "bool", "Int64", "int64"]
    assert got["id"].tolist() == ["1", "2"]
    assert got["ok"].tolist() == [True, False]
    put(store, "id,n,when,ok,i,free\n1,2,2024-01-01,1,5,7\n2,x,2024-01-02,0,6,8\n")
    with pytest.raises(FormatError, match=r"line 3.*'x'.*'n'"):
        store.get_data("d")
    put(store, "n\n1\n", "other")
    with pytest.raises(OptionError, match="'id'"):
        store.get_data("other")
    with pytest.raises(OptionError, match="no_such"):
        make(tmp_path, dtype={"n": "no_such"}).get_data("other")


def test_nulls_are_an_option(tmp_path: Path) -> None:
    """nulls= names texts that are missing in every column."""
    store = make(tmp_path, nulls=["-", "n/a"])
    put(store, "n,t\n1,a\n-,n/a\n")
    got = store.get_data("d")
    assert got["n"].tolist() == [1, pd.NA]
    assert got["t"].tolist() == ["a", None]


@pytest.mark.parametrize(
    "option",
    [{"delimiter": ""}, {"delimiter": ",,"}, {"delimiter": '"'}, {"delimiter": "\n"}, {"encoding": "utf-99"}],
    ids=str,
)
def test_an_option_that_cannot_be_is_an_error(tmp_path: Path, option: dict[str, Any]) -> None:
    """A delimiter of no or two characters, an unknown encoding: OptionError that names the option."""
    with pytest.raises(OptionError, match=next(iter(option))):
        make(tmp_path, **option)


# --------------------------------------------------------------------------- the record beside a file


KINDS = SAME["all kinds side by side"]


def record_of(store: Any, name: str = "d") -> Path:
    return Path(store.folder) / ".millpond" / "csv" / f"{name}.csv.json"


def test_without_its_record_a_file_is_one_that_others_wrote(store: Any) -> None:
    """Every row is there, its types found anew; the next save knows them again."""
    store.save_data(KINDS(), "d")
    record_of(store).unlink()
    got = store.get_data("d")
    assert (len(got), list(got.columns)) == (3, list(KINDS().columns))
    assert got["i"].tolist() == [1, 2, 3]
    assert store.describe("d").version is None
    store.save_data(KINDS(), "d")
    assert_same(KINDS(), store.get_data("d"))


@pytest.mark.parametrize("damage", ["cut", "empty", "rubbish", "list", "bent"])
def test_a_damaged_record_is_an_error_and_no_other_dtypes(store: Any, damage: str) -> None:
    """Reading says what to do; deleting the record reads the file as one of others; saving replaces both."""
    store.save_data(KINDS(), "d")
    path, chance = record_of(store), random.Random(1)
    whole = path.read_bytes()
    bent = bytearray(whole)
    bent[chance.randrange(len(whole))] ^= 4
    damaged = {"cut": whole[:50], "empty": b"", "rubbish": b"\xff\0", "list": b"[]", "bent": bytes(bent)}
    path.write_bytes(damaged[damage])
    with pytest.raises(IntegrityError, match=r"delete .*d\.csv\.json to read the file"):
        store.get_data("d")
    store.save_data(KINDS(), "d")
    assert_same(KINDS(), store.get_data("d"))


def test_no_bit_of_a_record_can_change_what_is_read(store: Any) -> None:
    """One bit flipped anywhere in the record: the frame is the same, or that of a file without one, or an error."""
    store.save_data(KINDS(), "d")
    path, chance = record_of(store), random.Random(2)
    whole = path.read_bytes()
    path.unlink()
    bare = store.get_data("d")
    for at in chance.sample(range(len(whole)), 300):
        bent = bytearray(whole)
        bent[at] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(bent))
        try:
            got = store.get_data("d")
        except BaseFrameworkException:
            continue
        assert None in (first_difference(got, bare), first_difference(got, KINDS()))


def test_a_file_that_was_edited_is_read_as_it_is_now(store: Any) -> None:
    """After an edit by hand, of the same size too, the record does not stand for the file any more."""
    store.save_data(column([10, 20]), "d")
    path = store.folder / "d.csv"
    path.write_text("x\n10\n21\n")
    assert store.get_data("d")["x"].tolist() == [10, 21]
    path.write_text("x\n10\n21\nmore\n")
    assert store.get_data("d")["x"].tolist() == ["10", "21", "more"]
    store.save_data(column([1]), "d")
    assert store.describe("d").version == 1


def test_a_file_that_was_copied_back_is_still_ours(store: Any, tmp_path: Path) -> None:
    """The same bytes with another time and inode are known by their checksum."""
    store.save_data(KINDS(), "d")
    path = store.folder / "d.csv"
    shutil.copy(path, tmp_path / "aside")
    path.unlink()
    shutil.copy(tmp_path / "aside", path)
    os.utime(path, (1, 1))
    assert_same(KINDS(), store.get_data("d"))


def test_an_older_save_copied_back_is_still_ours(store: Any, tmp_path: Path) -> None:
    """The record describes the file before the last save too, which a crash may have left there."""
    store.save_data(KINDS(), "d")
    shutil.copy2(store.folder / "d.csv", tmp_path / "aside")
    store.save_data(PLAIN, "d")
    shutil.copy2(tmp_path / "aside", store.folder / "d.csv")
    assert_same(KINDS(), store.get_data("d"))


def test_a_file_under_another_name_is_one_of_others(store: Any) -> None:
    """A copy under a new name has no record: its rows are there, its dtypes are found."""
    store.save_data(KINDS(), "d")
    shutil.copy(store.folder / "d.csv", store.folder / "e.csv")
    assert store.get_data("e")["i"].tolist() == [1, 2, 3]
    assert store.describe("e").saved_at is None


def test_text_is_quoted_and_missing_is_not(store: Any) -> None:
    """What lies there is plain CSV: text quoted, a missing cell empty, bytes as base64, durations as counts."""
    store.save_data(pd.DataFrame({"t": text("a", None, "")["x"], "n": [1.5, np.nan, -0.0]}), "d")
    assert (store.folder / "d.csv").read_text() == 't,n\n"a",1.5\n,\n"",-0\n'
    store.save_data(text(b"ab", None), "d")
    assert (store.folder / "d.csv").read_text() == 'x\n"YWI="\n\n'


def test_a_large_table_with_line_ends_in_its_cells_comes_back(store: Any) -> None:
    """Cells with CR or LF alone, and one longer than a block, over many blocks."""
    words = ["a\rb", "c\nd", "e" * 30, "", None] * 60_000
    frame = text(*words, "f" * 5_000_000, "g\r")
    store.save_data(frame, "d")
    assert_same(frame, store.get_data("d"))
    frame = text(*["a\rb", "plain"] * 200_000)
    store.save_data(frame, "d")
    assert_same(frame, store.get_data("d"))


def test_cells_of_many_lines_are_whole_wherever_a_piece_of_the_file_ends(store: Any) -> None:
    """Nearly every line end stands in a cell."""
    frame = text(*["line\n" * 50] * 50_000)
    store.save_data(frame, "d")
    assert_same(frame, store.get_data("d"))
    assert_same(frame, pd.concat(store.iter_data("d")))


def test_dates_far_off_are_refused(store: Any) -> None:
    """CSV spells years of four digits; others are refused, with the cure."""
    for frame in (column(np.array(["10000-01-01"], "M8[s]")), column(np.array(["-0001-01-01"], "M8[s]"))):
        with pytest.raises(FidelityError, match="parquet"):
            store.save_data(frame, "d")
    store.save_data(text(dt.date(1, 1, 1)), "d")
    assert store.get_data("d")["x"].tolist() == [dt.date(1, 1, 1)]


# --------------------------------------------------------------------------- bits that changed


def test_a_bit_that_changed_behind_our_back_is_an_error(store: Any) -> None:
    """Where size and time say that the file is as it was saved, and a bit is not: IntegrityError, in chunks too."""
    store.save_data(KINDS(), "d")
    path, chance = store.folder / "d.csv", random.Random(5)
    whole, stat = path.read_bytes(), path.stat()
    for at in chance.choices(range(len(whole)), k=200):
        bent = bytearray(whole)
        bent[at] ^= 1 << chance.randrange(8)
        with open(path, "r+b") as file:
            file.write(bent)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        for call in (store.get_data, lambda name: list(store.iter_data(name))):
            with pytest.raises(IntegrityError, match="not those that were saved"):
                call("d")


def test_chunks_before_the_damage_are_right(store: Any) -> None:
    """Every block is held against its checksum before it is read."""
    frame = pd.DataFrame({"n": range(3_000_000)})
    store.save_data(frame, "d")
    path = store.folder / "d.csv"
    stat = path.stat()
    with open(path, "r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    given = 0
    chunks = store.iter_data("d", chunk_rows=10_000)

    def take() -> None:
        nonlocal given
        for chunk in chunks:
            assert chunk["n"].tolist() == list(range(given, given + len(chunk)))
            given += len(chunk)

    with pytest.raises(IntegrityError):
        take()
    assert 0 < given < 3_000_000


# --------------------------------------------------------------------------- compressed


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_compressed_files_are_written_and_read(tmp_path: Path, codec: str) -> None:
    """The name stays; the file says how it is packed; saves, appends, renames and chunks are as ever."""
    store, ending = make(tmp_path, compression=codec), {"gzip": "gz", "zstd": "zst"}[codec]
    store.save_data(KINDS(), "d")
    assert [path.name for path in store.folder.glob("*.csv*")] == [f"d.csv.{ending}"]
    assert_same(KINDS(), store.get_data(f"d.csv.{ending}"))
    store.save_data(KINDS(), "d", mode="append")
    assert len(pd.concat(store.iter_data("d", chunk_rows=2))) == 6
    store.rename_data("d", "deep/e")
    assert make(tmp_path).list_sources() == ["deep/e"]
    assert len(make(tmp_path).get_data("deep/e")) == 6
    store.delete_data("deep/e")
    assert store.list_sources() == []
    assert not list(store.folder.rglob("*.json"))


def test_a_save_takes_the_place_of_the_file_however_it_was_packed(tmp_path: Path) -> None:
    """One file is left, of theirs or ours; versions count on."""
    put(make(tmp_path), "a,b\n1,2\n")
    for version, codec in enumerate(["gzip", "zstd", None, "gzip"], start=1):
        store = make(tmp_path, compression=codec)
        store.save_data(PLAIN, "d")
        assert len(list(store.folder.glob("*.csv*"))) == 1
        assert store.describe("d").version == version
        assert_same(PLAIN, store.get_data("d"))


def test_a_save_that_died_before_it_removed_the_other_file_is_the_dataset(tmp_path: Path) -> None:
    """The record of the new file knows the one that it took the place of, theirs or ours."""
    for first in (lambda: put(make(tmp_path), "a,b\n1,2\n"), lambda: make(tmp_path).save_data(OTHER, "d")):
        first()
        plain = make(tmp_path).folder / "d.csv"
        os.link(plain, tmp_path / "aside")
        store = make(tmp_path, compression="gzip")
        store.save_data(PLAIN, "d")
        os.link(tmp_path / "aside", plain)
        (tmp_path / "aside").unlink()
        assert_same(PLAIN, store.get_data("d"))
        assert store.list_sources() == ["d"]
        store.delete_data("d")
        assert not list(store.folder.glob("*.csv*"))


def test_two_files_of_one_name_are_an_error_that_names_both(store: Any) -> None:
    """Neither is taken for the other, nor written."""
    put(store, "a,b\n1,2\n")
    packed = store.folder / "d.csv.gz"
    packed.write_bytes(gzip.compress(b"a,b\n3,4\n"))
    for call in (store.get_data, store.describe, store.delete_data, lambda name: store.save_data(PLAIN, name)):
        with pytest.raises(DatasetNameError, match=r"d\.csv and d\.csv\.gz"):
            call("d")
    packed.unlink()
    assert store.get_data("d")["a"].tolist() == [1]


def test_a_compressed_file_of_others_is_read(store: Any) -> None:
    """Types found, damage named; what would not end is stopped."""
    path = store.folder / "d.csv.gz"
    path.write_bytes(gzip.compress(b"id,n\n007,1\n008,2\n"))
    assert store.get_data("d")["id"].tolist() == ["007", "008"]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(IntegrityError, match="damaged"):
        store.get_data("d")
    path.write_bytes(gzip.compress(b"n\n" + b"1\n" * 1_000_000))
    small = DataFactory(as_settings(workspace=store.settings.workspace)).create_store("csv", max_bytes=100_000)
    with pytest.raises(FormatError, match="max_bytes"):
        small.get_data("d")


# --------------------------------------------------------------------------- spelled otherwise


def test_decimals_and_dates_are_options(tmp_path: Path) -> None:
    """1,5 is a number where that is said; 1.5 then is none; dates are read as they are spelled."""
    store = make(tmp_path, delimiter=";", decimal=",", date_format="%d.%m.%Y")
    put(store, "n;t;d;i\n1,5;1.5;31.12.2024;7\n-0,25;2;01.02.2024;8\n")
    got = store.get_data("d")
    assert got["n"].tolist() == [1.5, -0.25]
    assert got["t"].tolist() == ["1.5", "2"]
    assert got["d"].tolist() == [pd.Timestamp("2024-12-31"), pd.Timestamp("2024-02-01")]
    assert got["i"].tolist() == [7, 8]
    strict = make(tmp_path, delimiter=";", date_format={"d": "%d.%m.%Y"})
    put(strict, "d;e\n31.12.2024;31.12.2024\n\n2024-01-02;x\n")
    with pytest.raises(FormatError, match=r"line 4: '2024-01-02' in column 'd'"):
        strict.get_data("d")
    put(strict, "d;e\n31.12.2024;31.12.2024\n;x\n")
    assert strict.get_data("d")["d"].tolist() == [pd.Timestamp("2024-12-31"), pd.NaT]
    assert strict.get_data("d")["e"].tolist() == ["31.12.2024", "x"]


def test_categories_and_text_are_dtypes(tmp_path: Path) -> None:
    """Chunks have the categories of the whole."""
    store = make(tmp_path, dtype={"c": "category", "s": "string", "i": "Int16"})
    put(store, "c,s,i\nb,1,1\na,2,\n,,3\n")
    got = store.get_data("d")
    assert [str(kind) for kind in got.dtypes] == ["category", "string", "Int16"]
    assert list(got["c"].cat.categories) == ["a", "b"]
    assert_same(got, pd.concat(store.iter_data("d", chunk_rows=1)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decimal": ","}, "decimal"),
        ({"decimal": "'"}, "decimal"),
        ({"compression": "bz2"}, "compression"),
        ({"date_format": "dd.mm.yyyy"}, "date_format"),
        ({"date_format": {"d": "%d"}, "dtype": {"d": "str"}}, "date_format"),
        ({"nulls": "NA"}, "nulls"),
        ({"max_bytes": 0}, "max_bytes"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_an_error(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """Each is named."""
    with pytest.raises(OptionError, match=words):
        make(tmp_path, **options)
    put(make(tmp_path), "a\n1\n")
    with pytest.raises(OptionError, match="'b'"):
        make(tmp_path, date_format={"b": "%d"}).get_data("d")


# --------------------------------------------------------------------------- parts and chunks


def test_parts_of_another_tool_are_one_dataset(store: Any) -> None:
    """Types are found over all parts; other columns in one are an error that names it; nothing is written there."""
    folder = store.folder / "t"
    for year, content in ((2023, "a,b\n1,x\n"), (2024, "a,b\n1.5,y\n")):
        (folder / f"year={year}").mkdir(parents=True)
        (folder / f"year={year}" / "data_0.csv").write_text(content)
    assert store.list_sources() == ["t"]
    wanted = pd.DataFrame({"a": [1.0, 1.5], "b": pd.Series(["x", "y"], dtype=object), "year": [2023, 2024]})
    wanted.columns = pd.Index(list(wanted.columns), dtype=object)
    assert_same(wanted, store.get_data("t"))
    assert_same(wanted, pd.concat(store.iter_data("t", chunk_rows=1)))
    assert store.describe("t").rows == 2
    for name in ("t", "t/new", "t/year=2023/new"):
        with pytest.raises((StorageError, DatasetNameError)):
            store.save_data(PLAIN, name)
    (folder / "year=2024" / "data_1.csv").write_text("a,c\n1,2\n")
    with pytest.raises(FormatError, match=r"data_1\.csv has the columns"):
        store.get_data("t")


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "others"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ours: bool) -> None:
    """In chunks, a file four times as large takes no more."""
    store = make(tmp_path)
    peaks = []
    for times in (10, 40):
        frame = pd.DataFrame({"n": range(60_000 * times), "t": "some text that is long enough to be seen"})
        store.save_data(frame.astype({"t": object}), "d")
        if not ours:
            shutil.copy(store.folder / "d.csv", store.folder / "theirs.csv")
        peaks.append(peak(tmp_path, "csv", "d" if ours else "theirs", len(frame)))
    assert peaks[1] - peaks[0] < 40_000, peaks  # the file grew by 50 MB, its frame by 200 MB
