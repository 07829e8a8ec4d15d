"""The mods that read files: CSV, JSON, Excel and Parquet."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import logging
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework.errors import ColumnNotFoundError, DatasetNotFoundError, FormatError, OptionError, ParameterError
from framework.mods.artifacts import read_frame, read_table
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.steps import Made
from framework.testing import assert_same

Call = Callable[..., Made]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Run a mod of that name in a workspace of the test's own."""

    def called(name: str, **params: Any) -> Made:
        run = ModRun("r1", name, tmp_path / "runs" / "r1" / name, tmp_path, logging.getLogger("millpond.mods"))
        return Mods(tmp_path).load(name).call(params, run)

    return called


def table(made: Made) -> pa.Table:
    """The artifact as Arrow has it."""
    return read_table(made.told.artifacts["output_data"])


def frame(made: Made) -> pd.DataFrame:
    return read_frame(made.told.artifacts["output_data"])


# --------------------------------------------------------------------------- CSV


def test_csv_keeps_leading_zeros_and_missing_integers(call: Call, tmp_path: Path) -> None:
    """Text that looks like a number stays text, and an integer column with a gap stays one of integers."""
    (tmp_path / "c.csv").write_text("id,n\n007,1\n008,\n")
    read = table(call("csv_reader", input_path="c.csv"))
    assert read.to_pydict() == {"id": ["007", "008"], "n": [1, None]}
    assert read.schema.field("n").type == pa.int64()


def test_csv_of_several_files_is_one_table_in_the_order_of_their_names(call: Call, tmp_path: Path) -> None:
    """A pattern reads all that it names, from base_path on."""
    (tmp_path / "in").mkdir()
    for day in (2, 1):
        (tmp_path / "in" / f"day_{day}.csv").write_text(f"day|n\n{day}|1.5\n")
    made = call("csv_reader", input_path="day_*.csv", base_path="in", delimiter="|")
    assert table(made).to_pydict() == {"day": [1, 2], "n": [1.5, 1.5]}
    assert made.told.metrics["rows_processed"] == 2


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"input_path": "gone.csv"}, DatasetNotFoundError, "gone.csv"),
        ({"input_path": "c.csv", "columns": ["idd"]}, ColumnNotFoundError, "Did you mean 'id'"),
        ({"input_path": "."}, ParameterError, "is a folder"),
        ({"input_path": "c.csv", "encoding": "utf-99"}, ParameterError, "utf-99"),
        ({"input_path": "c.csv", "delimiter": ".", "decimal": "."}, ParameterError, "delimiter"),
    ],
    ids=["gone", "column", "folder", "encoding", "delimiter"],
)
def test_csv_says_what_is_wrong(
    call: Call, tmp_path: Path, params: dict[str, Any], error: type[Exception], says: str
) -> None:
    """What cannot be read is an error for bad input, with the cure."""
    (tmp_path / "c.csv").write_text("id\n1\n")
    with pytest.raises(error, match=says) as raised:
        call("csv_reader", **params)
    assert getattr(raised.value, "exit_code", None) == 20


# --------------------------------------------------------------------------- JSON

RECORDS = [{"id": 1, "name": "Ada", "tags": ["a"]}, {"id": 2, "city": "Bern"}]
WANTED = {"id": [1, 2], "name": ["Ada", None], "tags": ['["a"]', None], "city": [None, "Bern"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps(RECORDS)),
        ("indented.json", "\ufeff" + json.dumps(RECORDS, indent=2)),
        ("a.jsonl", "\n".join(map(json.dumps, RECORDS))),
        ("blank.ndjson", "\n\n" + "\n \n".join(map(json.dumps, RECORDS)) + "\n\n"),
        ("lines.json", "\n".join(map(json.dumps, RECORDS)) + "\n"),
        ("a.json.gz", json.dumps(RECORDS)),
        ("a.jsonl.gz", "\n".join(map(json.dumps, RECORDS))),
    ],
    ids=["array", "indented", "lines", "blank-lines", "lines-called-json", "array-gz", "lines-gz"],
)
def test_json_is_read_in_every_form(call: Call, tmp_path: Path, name: str, content: str) -> None:
    """An array, lines, compressed or with blank lines: the same records."""
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert table(call("json_reader", input_path=name)).to_pydict() == WANTED


def test_json_numbers_keep_all_their_digits(call: Call, tmp_path: Path) -> None:
    """Integers beyond 64 bits and fractions beyond a double are decimals; those that a double holds are floats."""
    (tmp_path / "n.jsonl").write_text(
        '{"big": 123456789012345678901234567890, "u": 18446744073709551615, "f": 0.1, "d": 0.12345678901234567890123}\n'
        '{"big": 1, "u": 3, "f": 1e-5, "d": 2}\n'
    )
    read = table(call("json_reader", input_path="n.jsonl"))
    assert read.column("big").to_pylist() == [Decimal("123456789012345678901234567890"), Decimal(1)]
    assert read.column("u").to_pylist() == [2**64 - 1, 3]
    assert read.column("f").to_pylist() == [0.1, 1e-5]
    assert read.schema.field("f").type == pa.float64()
    assert read.column("d").to_pylist() == [Decimal("0.12345678901234567890123"), Decimal(2)]


def test_json_integers_beside_floats_lose_nothing(call: Call, tmp_path: Path) -> None:
    """A large integer among floats, wherever they stand, makes the column one of decimals, and rounds none."""
    lines = [*(f'{{"n": {n}.5}}' for n in range(9000)), '{"n": 9007199254740993}']
    (tmp_path / "n.jsonl").write_text("\n".join(lines))
    cells = table(call("json_reader", input_path="n.jsonl")).column("n").to_pylist()
    assert cells[-1] == Decimal("9007199254740993")
    assert cells[:3] == [Decimal("0.5"), Decimal("1.5"), Decimal("2.5")]


def test_json_of_several_kinds_is_text_and_says_so(call: Call, tmp_path: Path) -> None:
    """A column that holds numbers and text is text, and a warning names it."""
    (tmp_path / "m.json").write_text('[{"a": "007"}, {"a": 7}, {"a": true}, {"a": null}]')
    made = call("json_reader", input_path="m.json")
    assert table(made).to_pydict() == {"a": ["007", "7", "true", None]}
    assert "boolean and integer and text" in made.warnings[0]


def test_json_records_lie_under_a_path_and_are_made_flat(call: Call, tmp_path: Path) -> None:
    """records_path leads to the records, flatten makes columns of what is nested in them."""
    (tmp_path / "d.json").write_text('{"r": {"items": [{"a": {"b": {"c": 1}, "d": {}}}, {"a": {"b": {"c": 2}}}]}}')
    made = call("json_reader", input_path="d.json", records_path="r.items", flatten=True)
    assert table(made).to_pydict() == {"a.b.c": [1, 2], "a.d": ["{}", None]}
    with pytest.raises(FormatError, match="Did you mean 'items'"):
        call("json_reader", input_path="d.json", records_path="r.itens")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("b.json", '[{"a": 1},', "cut"),
        ("b.json", '[{"a": 1},\n {"a": 1, "a": 2}]', "line 2: the key 'a' is set twice"),
        ("b.json", '[{"a": 1}\n{"a": 2}]', "line 2: ',' is expected"),
        ("b.json", '[{"a": 1}] []', "more behind"),
        ("b.json", '[{"a": NaN}]', "NaN is no JSON"),
        ("b.json", "[1]", "1 is no record"),
        ("b.json", "", "is empty"),
        ("b.jsonl", '{"a": 1}\n\n{"a": ', "line 3"),
        ("b.jsonl", '{"a": 1}\n[2]\n', "line 2: .* is no record"),
        ("b.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "line 2: not UTF-8"),
        ("b.json", '[{"a": "\\ud800"}]', "no character"),
    ],
    ids=["cut", "twice", "comma", "behind", "nan", "number", "empty", "line", "list", "latin", "surrogate"],
)
def test_json_that_is_broken_says_where(call: Call, tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    """What is no JSON is an error with its line, and no artifact is made."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FormatError, match=says):
        call("json_reader", input_path=name)
    assert not list(tmp_path.rglob("output_data.parquet"))


def test_json_records_are_whole_wherever_a_block_ends(call: Call, tmp_path: Path) -> None:
    """Records that lie across the blocks in which an array is read come out as they are."""
    records = [{"i": i, "text": "é" * (i % 700), "deep": {"x": [i, {"y": "]},{["}]}} for i in range(6000)]
    (tmp_path / "a.json").write_text(json.dumps(records, ensure_ascii=False, indent=1))
    read = table(call("json_reader", input_path="a.json"))
    assert read.column("i").to_pylist() == list(range(6000))
    assert read.column("text").to_pylist() == [each["text"] for each in records]
    assert [json.loads(each) for each in read.column("deep").to_pylist()] == [each["deep"] for each in records]


def test_json_does_not_unpack_a_bomb(call: Call, tmp_path: Path) -> None:
    """A compressed file that holds more than max_bytes is refused."""
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 100_000))
    with pytest.raises(FormatError, match="more than 1,000 bytes"):
        call("json_reader", input_path="b.jsonl.gz", max_bytes=1000)


# --------------------------------------------------------------------------- Excel


def workbook(path: Path, rows: list[list[Any]], **more: list[list[Any]]) -> None:
    """A workbook with a sheet of these rows, and others."""
    book = openpyxl.Workbook()
    for name, content in {"Sheet1": rows, **more}.items():
        sheet = book.active if name == "Sheet1" else book.create_sheet(name)
        assert sheet is not None
        sheet.title = name
        for row in content:
            sheet.append(row)
    book.save(path)


def test_excel_keeps_types(call: Call, tmp_path: Path) -> None:
    """Text that looks like a number, integers with gaps, floats, dates, times and truths come out as they are."""
    day = dt.datetime(2024, 2, 29, 13, 45)
    rows = [["id", "n", "f", "when", "at", "ok"], ["007", 1, 1.5, day, dt.time(7, 30), True], ["008"], ["009", 3, 2]]
    workbook(tmp_path / "x.xlsx", rows)
    read = table(call("excel_reader", input_path="x.xlsx"))
    assert read.column("id").to_pylist() == ["007", "008", "009"]
    assert read.column("n").to_pylist() == [1, None, 3]
    assert read.schema.field("n").type == pa.int64()
    assert read.column("f").to_pylist() == [1.5, None, 2.0]
    assert read.column("when").to_pylist() == [day, None, None]
    assert read.column("at").to_pylist() == [dt.time(7, 30), None, None]
    assert read.column("ok").to_pylist() == [True, None, None]


def test_excel_dates_of_the_other_epoch_are_right(call: Call, tmp_path: Path) -> None:
    """A workbook that counts days from 1904 gives the same dates."""
    book = openpyxl.Workbook()
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    assert book.active is not None
    book.active.append(["when"])
    book.active.append([dt.datetime(2024, 2, 29)])
    book.save(tmp_path / "mac.xlsx")
    assert table(call("excel_reader", input_path="mac.xlsx")).to_pydict() == {"when": [dt.datetime(2024, 2, 29)]}


def test_excel_reads_the_sheet_range_and_header_that_are_asked_for(call: Call, tmp_path: Path) -> None:
    """A sheet by name or number, a range, a header above it or none."""
    other = [["Report of May"], [], ["", "day", "n", "note"], ["", 1, 10, "x"], ["", 2, 20, "y"], ["", 3, 30, "z"]]
    other = [[cell or None for cell in row] for row in other]
    workbook(tmp_path / "x.xlsx", [["a"], [1]], Other=other)
    assert table(call("excel_reader", input_path="x.xlsx", sheet="Other", range="B3:C5")).to_pydict() == {
        "day": [1, 2],
        "n": [10, 20],
    }
    below = call("excel_reader", input_path="x.xlsx", sheet=2, range="B5:D6", header_row=3, columns=["note", "day"])
    assert table(below).to_pydict() == {"note": ["y", "z"], "day": [2, 3]}
    bare = call("excel_reader", input_path="x.xlsx", sheet=2, range="B4:C9", header_row=0)
    assert table(bare).to_pydict() == {"B": [1, 2, 3], "C": [10, 20, 30]}


def with_cells(path: Path, cells: str) -> None:
    """A workbook whose sheet holds this XML, as spreadsheet programs write what openpyxl does not."""
    workbook(path, [["a", "b"]])
    made = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                data = data.replace(b"</sheetData>", cells.encode() + b"</sheetData>")
            new.writestr(name, data)
    made.replace(path)


def test_excel_formulas_have_the_values_that_were_computed(call: Call, tmp_path: Path) -> None:
    """A formula is its value; one that gave the empty text is missing; one never computed is an error that names it."""
    one = '<row r="2"><c r="A2"><f>1+1</f><v>2</v></c><c r="B2" t="str"><f>""</f><v></v></c></row>'
    with_cells(tmp_path / "f.xlsx", one)
    assert table(call("excel_reader", input_path="f.xlsx")).to_pydict() == {"a": [2], "b": [None]}
    with_cells(tmp_path / "g.xlsx", one.replace("<v>2</v>", ""))
    with pytest.raises(FormatError, match="cell A2: a formula whose value"):
        call("excel_reader", input_path="g.xlsx")


def test_excel_names_the_cell_that_holds_an_error(call: Call, tmp_path: Path) -> None:
    """#REF! is an error with its cell, or missing with a warning where that is asked for; #N/A is missing."""
    with_cells(
        tmp_path / "e.xlsx",
        '<row r="2"><c r="A2" t="e"><v>#N/A</v></c><c r="B2" t="e"><v>#REF!</v></c></row>'
        '<row r="3"><c r="A3"><v>3</v></c></row>',
    )
    with pytest.raises(FormatError, match="cell B2: the error #REF!"):
        call("excel_reader", input_path="e.xlsx")
    made = call("excel_reader", input_path="e.xlsx", on_error="null")
    assert table(made).to_pydict() == {"a": [3], "b": [None]}
    assert "#REF! in B2" in made.warnings[0]


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"sheet": "Shet1"}, OptionError, "Did you mean 'Sheet1'"),
        ({"sheet": 3}, OptionError, "no sheet 3"),
        ({"range": "B2"}, ParameterError, "B3:F100"),
        ({"columns": ["aa"]}, ColumnNotFoundError, "no column 'aa'"),
        ({"header_row": 2}, FormatError, "cell B2: the column has no name"),
    ],
    ids=["name", "number", "range", "column", "header"],
)
def test_excel_says_what_is_wrong(
    call: Call, tmp_path: Path, params: dict[str, Any], error: type[Exception], says: str
) -> None:
    """What is not there is named, with what is."""
    workbook(tmp_path / "x.xlsx", [["a", "b", "c"], [1, None, 3]])
    with pytest.raises(error, match=says):
        call("excel_reader", input_path="x.xlsx", **params)


def test_excel_that_is_none_is_refused(call: Call, tmp_path: Path) -> None:
    """A file that is no workbook, or is cut, is a FormatError."""
    workbook(tmp_path / "x.xlsx", [["a"], [1]])
    whole = (tmp_path / "x.xlsx").read_bytes()
    for content in (b"id\n1\n", whole[: len(whole) // 2]):
        (tmp_path / "b.xlsx").write_bytes(content)
        with pytest.raises(FormatError, match="Excel workbook"):
            call("excel_reader", input_path="b.xlsx")


# --------------------------------------------------------------------------- Parquet


def test_parquet_keeps_the_frame_that_was_written(call: Call, tmp_path: Path) -> None:
    """What pandas wrote has its index, categories and dtypes after it was read, whole or in part."""
    written = pd.DataFrame(
        {"n": [1, 2, 3], "c": pd.Categorical(["x", "y", "x"])},
        index=pd.date_range("2024-01-01", periods=3, name="day", unit="us"),
    )
    written.to_parquet(tmp_path / "p.parquet")
    assert_same(frame(call("parquet_reader", input_path="p.parquet")), pd.read_parquet(tmp_path / "p.parquet"))
    part = call("parquet_reader", input_path="p.parquet", columns=["c"], where=[["n", ">=", 2]])
    assert_same(frame(part), pd.read_parquet(tmp_path / "p.parquet").iloc[1:][["c"]])
    assert part.told.metrics["rows_dropped"] == 1


def test_parquet_of_others_keeps_its_arrow_types(call: Call, tmp_path: Path) -> None:
    """Decimals and dates of a file without a frame stay what they are, under a condition too."""
    written = pa.table(
        {
            "d": pa.array([Decimal("1.50"), Decimal("2.25"), None], pa.decimal128(9, 2)),
            "day": pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 2), None]),
            "n": pa.array([1, None, 3], pa.int32()),
        }
    )
    pq.write_table(written, tmp_path / "p.parquet")
    assert table(call("parquet_reader", input_path="p.parquet")).equals(written)
    picked = table(call("parquet_reader", input_path="p.parquet", where=[["day", "==", "2024-01-02"]]))
    assert picked.equals(written.slice(1, 1))
    none = table(call("parquet_reader", input_path="p.parquet", where=[["n", ">", 99]]))
    assert none.num_rows == 0


def test_parquet_of_parts_is_one_table(call: Call, tmp_path: Path) -> None:
    """A folder of parts has the columns that its folders name; a pattern reads the files that it names."""
    for year in (2023, 2024):
        folder = tmp_path / "sales" / f"year={year}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"n": [year - 2000, 1]}), folder / "part-0.parquet")
    whole = call("parquet_reader", input_path="sales", where=[["n", ">", 1]])
    assert table(whole).to_pydict() == {"n": [23, 24], "year": [2023, 2024]}
    assert whole.told.metrics["files"] == 2
    some = call("parquet_reader", input_path="sales/*/part-*.parquet")
    assert table(some).to_pydict() == {"n": [23, 1, 24, 1]}


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"where": [["n", "=>", 1]]}, ParameterError, "no operator"),
        ({"columns": ["nn"]}, ColumnNotFoundError, "Did you mean 'n'"),
        ({"where": [["m", ">", 1]]}, ColumnNotFoundError, "no column 'm'"),
    ],
    ids=["operator", "column", "condition"],
)
def test_parquet_says_what_is_wrong(
    call: Call, tmp_path: Path, params: dict[str, Any], error: type[Exception], says: str
) -> None:
    """A condition that cannot be met, or a column that is not there, is an error for bad parameters."""
    pq.write_table(pa.table({"n": [1]}), tmp_path / "p.parquet")
    with pytest.raises(error, match=says) as raised:
        call("parquet_reader", input_path="p.parquet", **params)
    assert getattr(raised.value, "exit_code", None) == 20
