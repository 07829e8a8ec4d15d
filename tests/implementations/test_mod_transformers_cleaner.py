"""data_cleaner: what plain Python makes of the same rows, in the order that is promised."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.errors import ColumnNotFoundError, FormatError, ParameterError
from framework.mods.catalog import Mods
from framework.mods.run import ModRun

NUMBER = count()


def made_of(root: Path, table: pa.Table, **values: Any) -> Any:
    """What the cleaner made of a table: what it told, with the warnings."""
    pq.write_table(table, root / "in.parquet")
    run = ModRun("r1", "data_cleaner", root / f"runs/{next(NUMBER)}", root, logging.getLogger("millpond.mods"))
    made = Mods(root).load("data_cleaner").call({"input_artifact": "in.parquet", **values}, run)
    assert not list(run.folder.glob(".*")), "something was left in the run's folder"
    return made


def cleaned(root: Path, table: pa.Table, **values: Any) -> pa.Table:
    return pq.read_table(made_of(root, table, **values).told.artifacts["output_data"])


def missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def by_hand(rows: list[tuple[Any, ...]], least: int, strategy: str, duplicates: str) -> list[tuple[Any, ...]]:
    """The same in plain Python, for columns text, whole number, number; fill: `none` for the first."""
    after: list[tuple[Any, ...]] = []
    for text, *rest in rows:
        trimmed = None if text is None else text.strip(" \t\n")
        row = (None if trimmed is None or len(trimmed) < least else trimmed, *rest)
        if strategy == "drop" and any(map(missing, row)):
            continue
        if strategy == "fill":
            row = ("none" if missing(row[0]) else row[0], *row[1:])
        if strategy == "flag":
            row = (*row, *map(missing, row))
        after.append(row)
    if duplicates == "drop":
        seen: dict[Any, tuple[Any, ...]] = {}
        for row in after:
            seen.setdefault(tuple(None if missing(cell) else cell for cell in row), row)
        after = list(seen.values())
    return after


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from(["", " ", "a", " ab ", "abc", "\tabc\n", "äöü", "日本語", "ABC"])),
        st.one_of(st.none(), st.integers(-1, 1)),
        st.one_of(st.none(), st.sampled_from([0.5, math.nan, -0.0, 0.0])),
    ),
    max_size=10,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ROWS,
    st.integers(0, 4),
    st.sampled_from(["keep", "drop", "fill", "flag"]),
    st.sampled_from(["drop", "keep"]),
    st.booleans(),
)
def test_a_table_is_cleaned_as_plain_python_does_it(
    tmp_path: Path, rows: list[Any], least: int, strategy: str, duplicates: str, coded: bool
) -> None:
    """Trim, shorter text is null, nulls, duplicates of which the first stays: in this order, rows in theirs."""
    kinds = (pa.string(), pa.int64(), pa.float64())
    columns = [pa.array([row[i] for row in rows], kind, from_pandas=False) for i, kind in enumerate(kinds)]
    table = pa.table({"t": columns[0].dictionary_encode() if coded else columns[0], "i": columns[1], "f": columns[2]})
    fill = {"fill_value": {"t": "none"}} if strategy == "fill" else {}
    made = made_of(tmp_path, table, min_length=least, null_strategy=strategy, duplicates=duplicates, **fill)
    after = pq.read_table(made.told.artifacts["output_data"])
    wanted = by_hand(rows, least, strategy, duplicates)
    assert repr([tuple(row.values()) for row in after.to_pylist()]).replace("-0.0", "0.0") == repr(wanted).replace(
        "-0.0", "0.0"
    )
    assert [field.type for field in after.schema][1:3] == [pa.int64(), pa.float64()]
    metrics = made.told.metrics
    assert metrics["rows_processed"] == len(rows)
    assert metrics["rows_output"] == len(wanted)
    assert len(rows) - metrics["rows_dropped"] - metrics["duplicates_removed"] == len(wanted)


def test_the_job_of_the_specification(tmp_path: Path) -> None:
    """null_strategy: drop and min_length: 3 do what they say, and the duplicates are told in a warning; it succeeds."""
    table = pa.table({"name": ["Ada", " Ada ", "Li", None, "Ben"], "id": [1, 1, 2, 3, 4]})
    made = made_of(tmp_path, table, null_strategy="drop", min_length=3)
    assert pq.read_table(made.told.artifacts["output_data"]).to_pylist() == [
        {"name": "Ada", "id": 1},
        {"name": "Ben", "id": 4},
    ]
    assert made.told.outcome == "SUCCESS"
    assert made.warnings == ["Found 1 duplicate records, removed automatically"]
    shown = {name: made.told.metrics[name] for name in ("values_trimmed", "values_too_short", "rows_dropped")}
    assert shown == {"values_trimmed": 1, "values_too_short": 1, "rows_dropped": 2}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", {"1": 1, "+2": 2, "-3": -3, "4.0": 4, "9223372036854775807": 2**63 - 1},
         ["1.5", "0x1f", "1_0", "٣", "9223372036854775808", "1e3", "x"]),
        ("float", {"1": 1.0, "+2.5": 2.5, "-.5": -0.5, "4.": 4.0, "1e5": 1e5}, ["nan", "inf", "1e999", "1,5", "1 2"]),
        ("decimal(5,2)", {"1.25": Decimal("1.25"), "-3": Decimal("-3.00")}, ["1.255", "12345.00", "x"]),
        ("bool", {"Yes": True, "no": False, "1": True, "F": False}, ["2", "ja"]),
        ("date", {"2024-02-29": date(2024, 2, 29)}, ["2023-02-29", "24-1-1", "2024-01-01T00:00"]),
        ("datetime", {"2024-02-29": datetime(2024, 2, 29), "2024-02-29T10:00:01": datetime(2024, 2, 29, 10, 0, 1)},
         ["2024-02-29 10:00Z", "2024-02-29 25:00", "29.02.2024"]),
        ("instant", {"2024-02-29T10:00:00+01:00": datetime(2024, 2, 29, 9, tzinfo=UTC)}, ["2024-02-29 10:00"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_text_becomes_the_type_that_it_spells(tmp_path: Path, kind: str, good: dict[str, Any], bad: list[str]) -> None:
    """What spells a value becomes it, empty text is null, and what spells none is null too and is counted."""
    texts = [*good, "", *bad, None]
    made = made_of(tmp_path, pa.table({"x": texts}), types={"x": kind}, on_bad_type="null", duplicates="keep")
    after = pq.read_table(made.told.artifacts["output_data"]).column("x").to_pylist()
    assert after == [*good.values(), None, *[None] * len(bad), None]
    assert made.told.metrics["bad_types"] == {"x": len(bad)}
    assert made.warnings == [f"Found {len(bad)} values of 'x' that are no {kind}, made null"]
    for text in bad:
        with pytest.raises(FormatError, match=r"'x' is .* in row 1, which is no .*on_bad_type"):
            cleaned(tmp_path, pa.table({"x": [next(iter(good)), text]}), types={"x": kind})


@pytest.mark.parametrize(
    ("column", "kind", "wanted", "bad"),
    [
        (pa.array([1.0, 2.5, math.nan, 1e300]), "int", [1, None, None, None], 2),
        (pa.array([1, 2**53 + 1]), "float", [1.0, None], 1),
        (pa.array([0, 1, 2]), "bool", [False, True, None], 1),
        (pa.array([0.1, 1e20]), "decimal", [Decimal("0.100000000"), Decimal(10**20)], 0),
        (pa.array([datetime(2024, 1, 1), datetime(2024, 1, 1, 5)]), "date", [date(2024, 1, 1), None], 1),
        (pa.array([date(2024, 1, 1)]), "datetime", [datetime(2024, 1, 1)], 0),
        (pa.array([7, None]), "text", ["7", None], 0),
        (pa.array(["1", "x", "1"]).dictionary_encode(), "int", [1, None, 1], 1),
    ],
    ids=["float-int", "int-float", "int-bool", "float-decimal", "time-date", "date-time", "int-text", "category-int"],
)  # fmt: skip
def test_a_value_becomes_another_type_only_whole(
    tmp_path: Path, column: pa.Array, kind: str, wanted: list[Any], bad: int
) -> None:
    """What would lose something on the way is none of the type."""
    values = {"types": {"x": kind}, "on_bad_type": "null", "duplicates": "keep"}
    made = made_of(tmp_path, pa.table({"x": column}), **values)
    assert pq.read_table(made.told.artifacts["output_data"]).column("x").to_pylist() == wanted
    assert sum(made.told.metrics["bad_types"].values()) == bad


def test_dates_are_read_as_they_are_spelled(tmp_path: Path) -> None:
    """By a spelling of all or of one column; the 31st of February is no date."""
    table = pa.table({"d": ["03.02.2024", "31.02.2024", "2024-01-01"], "t": ["1/2/24 10:11"] * 3})
    after = cleaned(
        tmp_path,
        table,
        types={"d": "date", "t": "datetime"},
        date_format={"d": "%d.%m.%Y", "t": "%d/%m/%y %H:%M"},
        on_bad_type="null",
    )
    assert after.column("d").to_pylist() == [date(2024, 2, 3), None]
    assert after.column("t").to_pylist() == [datetime(2024, 2, 1, 10, 11)] * 2


def test_nulls_count_in_the_columns_named_alone(tmp_path: Path) -> None:
    """A row that lacks something elsewhere stays; a flag is made of just these columns."""
    table = pa.table({"a": pa.array([1, None], pa.int64()), "b": pa.array([None, "x"])})
    assert cleaned(tmp_path, table, null_strategy="drop", columns=["b"]).to_pylist() == [{"a": None, "b": "x"}]
    flagged = cleaned(tmp_path, table, null_strategy="flag", columns=["b"])
    assert flagged.column_names == ["a", "b", "b_is_null"]
    assert flagged.column("b_is_null").to_pylist() == [True, False]


def test_a_fill_keeps_the_columns_type(tmp_path: Path) -> None:
    """Nulls and NaN are filled, whole numbers stay whole numbers, dates may be written as text."""
    table = pa.table(
        {
            "i": pa.array([None, 2], pa.int16()),
            "f": pa.array([math.nan, None], from_pandas=False),
            "d": pa.array([None, date(2024, 1, 1)]),
            "c": pa.array([None, "x"]).dictionary_encode(),
        }
    )
    filled = {"i": 0, "f": 1.5, "d": "2020-01-01", "c": "?"}
    after = cleaned(tmp_path, table, null_strategy="fill", fill_value=filled)
    assert [field.type for field in after.schema][:3] == [pa.int16(), pa.float64(), pa.date32()]
    assert after.to_pydict() == {
        "i": [0, 2], "f": [1.5, 1.5], "d": [date(2020, 1, 1), date(2024, 1, 1)], "c": ["?", "x"]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"null_strategy": "fill"}, "needs fill_value"),
        ({"fill_value": 1}, "fill alone"),
        ({"types": {"a": "integer"}}, "there is no type 'integer'"),
        ({"types": {"a": "decimal(40,2)"}}, "38 digits"),
        ({"types": {"a": "date"}}, "of which no date can be made"),
        ({"null_strategy": "fill", "fill_value": "x"}, "fill_value 'x' is none for 'a'"),
        ({"null_strategy": "fill", "fill_value": {"a": 1.5}}, "fill_value 1.5 is none for 'a'"),
        ({"null_strategy": "flag", "columns": ["a"]}, "'a_is_null' already"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_row_is_written(
    tmp_path: Path, values: dict[str, Any], words: str
) -> None:
    """The error says what is wrong, and nothing is made."""
    table = pa.table({"a": pa.array([1, None], pa.int64()), "b": ["x", None], "a_is_null": [True, False]})
    with pytest.raises(ParameterError, match=words):
        made_of(tmp_path, table, **values)
    assert not list(tmp_path.rglob("output_data*"))


@pytest.mark.parametrize(
    "values", [{"trim": ["naem"]}, {"types": {"naem": "int"}}, {"columns": ["naem"]}, {"duplicate_keys": ["naem"]},
               {"min_length": {"naem": 2}}, {"null_strategy": "fill", "fill_value": {"naem": 2}}],
    ids=lambda values: next(iter(values)),
)  # fmt: skip
def test_a_column_that_is_not_there_is_named(tmp_path: Path, values: dict[str, Any]) -> None:
    """Wherever a parameter names it."""
    with pytest.raises(ColumnNotFoundError, match=r"no column 'naem'.*Did you mean 'name'"):
        made_of(tmp_path, pa.table({"name": ["x"]}), **values)


def test_duplicates_are_looked_for_in_the_keys_over_all_pieces(tmp_path: Path) -> None:
    """Of 300,000 rows with 100 keys, many pieces apart, the first stays; types that SQL lacks come through."""
    rows = 300_000
    table = pa.table(
        {
            "key": pa.array([i * i % 100 for i in range(rows)]),
            "lasts": pa.array(range(rows), pa.duration("ns")),
            "_row": pa.array(range(rows)),
        }
    )
    made = made_of(tmp_path, table, duplicate_keys=["key"])
    after = pq.read_table(made.told.artifacts["output_data"])
    firsts: dict[int, int] = {}
    for i in range(rows):
        firsts.setdefault(i * i % 100, i)
    assert after.column("_row").to_pylist() == list(firsts.values())
    assert after.schema.field("lasts").type == pa.duration("ns")
    assert made.told.metrics["duplicates_removed"] == rows - len(firsts)


def test_a_file_of_csv_is_cleaned_too(tmp_path: Path) -> None:
    """An artifact may be CSV, and is read as csv_reader does."""
    (tmp_path / "in.csv").write_text("id,name\n007, Ada \n007,Ada\n")
    run = ModRun("r1", "data_cleaner", tmp_path / "runs", tmp_path, logging.getLogger("millpond.mods"))
    made = Mods(tmp_path).load("data_cleaner").call({"input_artifact": "in.csv"}, run)
    assert pq.read_table(made.told.artifacts["output_data"]).to_pylist() == [{"id": "007", "name": "Ada"}]


CLEAN = """
import logging, resource, sys
from pathlib import Path
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
root = Path(sys.argv[1])
run = ModRun("r1", "data_cleaner", root / "runs", root, logging.getLogger("x"))
given = {"input_artifact": sys.argv[2], "null_strategy": "drop", "min_length": 3, "types": {"n": "int"}}
Mods(root).load("data_cleaner").call(given, run)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_file(tmp_path: Path) -> None:
    """12 million rows, 1.3 GB as text, take the gigabyte that DuckDB is given and the pieces at hand, not more."""
    with pq.ParquetWriter(tmp_path / "large.parquet", pa.schema([("t", pa.string()), ("n", pa.string())])) as writer:
        numbers = pa.array([str(i) for i in range(100_000)])
        for number in range(120):
            texts = pa.array([f" customer {number:09d}{i:09d} of a long name " * 2 for i in range(100_000)])
            writer.write_table(pa.table({"t": texts, "n": numbers}))
    asked = [sys.executable, "-c", CLEAN, str(tmp_path), "large.parquet"]
    peak = int(subprocess.run(asked, capture_output=True, check=True, text=True).stdout)
    assert peak < 1536, peak


# --------------------------------------------------------------------------- what is said is honoured, or refused


def test_an_instant_is_read_in_the_spelling_that_is_given(tmp_path: Path) -> None:
    """With its zone; a day that there is not is none, on whichever side of midnight UTC it lies."""
    texts = [
        "01.02.2024 10:00 +0100",
        "31.04.2024 00:30 +0100",
        "30.02.2024 00:30 +0100",
        "31.01.2024 23:30 -0100",
        "x",
    ]
    values = {"types": {"t": "instant"}, "date_format": "%d.%m.%Y %H:%M %z", "on_bad_type": "null"}
    after = cleaned(tmp_path, pa.table({"t": texts}), duplicates="keep", **values)["t"]
    good = [datetime(2024, 2, 1, 9, tzinfo=UTC), None, None, datetime(2024, 2, 1, 0, 30, tzinfo=UTC), None]
    assert after.to_pylist() == good
    assert after.type == pa.timestamp("us", "UTC")


def test_a_time_that_is_spelled_in_full_is_no_date(tmp_path: Path) -> None:
    """A date is not what is left when the time was cut off; midnight alone is one."""
    table = pa.table({"d": ["01.02.2024 10:30", "02.02.2024 00:00"]})
    values: dict[str, Any] = {"types": {"d": "date"}, "date_format": "%d.%m.%Y %H:%M"}
    with pytest.raises(FormatError, match=r"'01\.02\.2024 10:30' in row 0, which is no date"):
        made_of(tmp_path, table, **values)
    assert cleaned(tmp_path, table, on_bad_type="null", **values)["d"].to_pylist() == [None, date(2024, 2, 2)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"date_format": {"d": "%d.%m.%Y"}}, "types"),
        ({"date_format": "%d.%m.%Y"}, "types"),
        ({"date_format": {"d": "%d.%m.%Y"}, "types": {"d": "text"}}, "types"),
        ({"date_format": "%d.%m.%Y", "types": {"d": "instant"}}, "does not say the zone"),
        ({"date_format": "%d.%m.%Y %%z", "types": {"d": "instant"}}, "does not say the zone"),
        ({"date_format": "%d.%m.%Y %z", "types": {"d": "datetime"}}, "would lose"),
        ({"date_format": "%d.%m.%Y %z", "types": {"d": "date"}}, "would lose"),
        ({"duplicates": "keep", "duplicate_keys": ["d"]}, "drops nothing"),
        ({"min_length": {"n": 3}}, "'n' is int64"),
        ({"trim": ["n"]}, "'n' is int64"),
    ],
)
def test_what_would_do_nothing_is_refused(values: dict[str, Any], why: str, tmp_path: Path) -> None:
    """A parameter that has no effect on what it names, or loses what it reads, is an error with its reason."""
    with pytest.raises(ParameterError, match=why):
        made_of(tmp_path, pa.table({"d": ["01.02.2024"], "n": [1]}), **values)
