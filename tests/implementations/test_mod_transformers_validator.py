"""validator: each rule on values that keep it and break it, and what is done with the rows that break one."""

from __future__ import annotations

import logging
import math
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

from framework.errors import ColumnNotFoundError, ModError, OptionError, ParameterError
from framework.mods.catalog import Mods
from framework.mods.run import ModRun

NUMBER = count()


def made_of(root: Path, table: pa.Table, *rules: dict[str, Any], **values: Any) -> Any:
    """What the validator told of a table."""
    pq.write_table(table, root / "in.parquet")
    run = ModRun("r1", "validator", root / f"runs/{next(NUMBER)}", root, logging.getLogger("millpond.mods"))
    made = Mods(root).load("validator").call({"input_artifact": "in.parquet", "rules": list(rules), **values}, run)
    assert not list(run.folder.glob(".*")), "something was left in the run's folder"
    return made


def refused(root: Path, table: pa.Table, *rules: dict[str, Any]) -> list[tuple[int, str]]:
    """Number and rules of each row that is kept apart; the others are what is passed on."""
    made = made_of(root, table, *rules, on_fail="quarantine", max_rejected=1)
    rejected = pq.read_table(made.told.artifacts["rejected"])
    numbers = rejected.column("_row").to_pylist()
    good = [number for number in range(table.num_rows) if number not in set(numbers)]
    passed = pq.read_table(made.told.artifacts["output_data"])
    assert repr(passed.to_pylist()) == repr(table.take(pa.array(good, pa.int64())).to_pylist())
    assert rejected.column_names == [*table.column_names, "_rule", "_row"]
    assert repr(rejected.drop_columns(["_rule", "_row"]).to_pylist()) == repr(
        table.take(pa.array(numbers, pa.int64())).to_pylist()
    )
    assert made.told.outcome == ("WARNING" if numbers else "SUCCESS")
    assert made.told.metrics["rows_output"] == len(good)
    return list(zip(numbers, rejected.column("_rule").to_pylist(), strict=True))


def which(root: Path, column: pa.Array, **rule: Any) -> list[int]:
    """Numbers of the cells that break a rule."""
    return [number for number, _ in refused(root, pa.table({"x": column}), {"column": "x", **rule})]


@pytest.mark.parametrize(
    ("column", "rule", "wanted"),
    [
        (pa.array(["a", None, ""]), {"rule": "not_null"}, [1]),
        (pa.array([1.0, math.nan, None], from_pandas=False), {"rule": "not_null"}, [1, 2]),
        (pa.array([1, 2, 1, None, None, 1]), {"rule": "unique"}, [2, 5]),
        (pa.array([1, 2, 1, None, None, 1]), {"rule": "unique", "keep": "none"}, [0, 2, 5]),
        (pa.array([0, 1, 150, 151, None]), {"rule": "range", "min": 1, "max": 150}, [0, 3]),
        (pa.array([0.1, 0.5, math.nan, 9.0]), {"rule": "range", "min": 0.1, "max": 0.5}, [3]),
        (pa.array([0.1, 0.2], pa.float32()), {"rule": "range", "max": 0.1}, [1]),
        (pa.array([Decimal("0.10"), Decimal("0.11")]), {"rule": "range", "max": 0.1}, [1]),
        (pa.array([date(2024, 1, 1), date(2025, 1, 1)]), {"rule": "range", "max": "2024-06-30"}, [1]),
        (pa.array([datetime(2024, 1, 1, 5), None]), {"rule": "range", "max": date(2024, 1, 1)}, [0]),
        (pa.array([datetime(2024, 1, 1, 5, tzinfo=UTC)]), {"rule": "range", "max": "2024-01-01T04:59:00Z"}, [0]),
        (pa.array(["b", "d", None]), {"rule": "range", "min": "a", "max": "c"}, [1]),
        (pa.array(["a1", "xa1x", "a12", None, "a1\n"]), {"rule": "pattern", "pattern": r"[a-z]\d"}, [1, 2, 4]),
        (pa.array(["it's", "x"]), {"rule": "allowed", "values": ["it's"]}, [1]),
        (pa.array(["x", "y", None]).dictionary_encode(), {"rule": "allowed", "values": ["x"]}, [1]),
        (pa.array([1, 2]), {"rule": "allowed", "values": [1, 3]}, [1]),
        (pa.array([True, False]), {"rule": "allowed", "values": [True]}, [1]),
        (pa.array(["ä", "日本語", "", None]), {"rule": "length", "min": 1, "max": 2}, [1, 2]),
    ],
)
def test_a_rule_refuses_what_breaks_it(
    tmp_path: Path, column: pa.Array, rule: dict[str, Any], wanted: list[int]
) -> None:
    """What is missing breaks not_null alone."""
    assert which(tmp_path, column, **rule) == wanted


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", ["1", "+2", "-3.0", "9223372036854775807"], ["1.5", "0x1f", "1_0", "9223372036854775808", "x", "٣"]),
        ("float", ["1", "-.5", "1e5"], ["nan", "inf", "1,5"]),
        ("decimal(5,2)", ["1.25", "-3", "1e2", "2.5000"], ["1.255", "12345", "x", "0.100000000000000000001", "1e9"]),
        ("bool", ["Yes", "no", "1"], ["2", "ja"]),
        ("date", ["2024-02-29"], ["2023-02-29", "24-1-1", "2024-01-01T00:00"]),
        ("datetime", ["2024-02-29", "2024-02-29T10:00:01.5"], ["2024-02-29 10:00Z", "2024-02-29 25:00"]),
        ("instant", ["2024-02-29T10:00:00+01:00", "2024-02-29 10:00Z"], ["2024-02-29 10:00"]),
        ("text", ["x", ""], []),
    ],
)  # fmt: skip
def test_a_type_is_what_data_cleaner_would_make_of_the_text(
    tmp_path: Path, kind: str, good: list[str], bad: list[str]
) -> None:
    """Both mods mean the same by a type."""
    texts = pa.array([*good, *bad, None])
    assert which(tmp_path, texts, rule="type", type=kind) == list(range(len(good), len(good) + len(bad)))
    run = ModRun("r1", "data_cleaner", tmp_path / "c", tmp_path, logging.getLogger("millpond.mods"))
    given = {"input_artifact": "in.parquet", "types": {"x": kind}, "on_bad_type": "null", "duplicates": "keep"}
    made = Mods(tmp_path).load("data_cleaner").call(given, run)
    cells = pq.read_table(made.told.artifacts["output_data"]).column("x").to_pylist()
    assert [cell is None for cell in cells] == [*[False] * len(good), *[True] * (len(bad) + 1)]


def test_values_that_have_a_type_are_of_it(tmp_path: Path) -> None:
    """A whole number among numbers is an int; a number is no text, a truth no number."""
    assert which(tmp_path, pa.array([1.0, 1.5, None]), rule="type", type="int") == [1]
    assert which(tmp_path, pa.array([1, 2]), rule="type", type="float") == []
    assert which(tmp_path, pa.array([1, 2]), rule="type", type="text") == [0, 1]
    assert which(tmp_path, pa.array([True]), rule="type", type="int") == [0]
    assert which(tmp_path, pa.array([date(2024, 1, 1)]), rule="type", type="date") == []


def test_a_row_has_the_names_of_all_rules_that_it_broke(tmp_path: Path) -> None:
    """In the order of the rules; composite keys, expressions over columns, names given and made, and one twice."""
    table = pa.table(
        {
            "a": [1, 1, 1, 2],
            "b": ["x", "y", "x", None],
            "start": [date(2024, 1, 1)] * 4,
            "end": [date(2024, 2, 1), date(2023, 1, 1), date(2023, 1, 1), None],
        }
    )
    found = refused(
        tmp_path,
        table,
        {"rule": "unique", "columns": ["a", "b"]},
        {"rule": "expression", "check": '"end" >= start', "name": "ends late"},
        {"rule": "not_null", "columns": ["b", "end"]},
        {"rule": "range", "column": "a", "max": 1},
        {"rule": "range", "column": "a", "min": 0, "max": 1},
    )
    assert found == [
        (1, "ends late"),
        (2, "unique(a, b); ends late"),
        (3, "not_null(b); not_null(end); range(a); range(a) #2"),
    ]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.integers(0, 3))), max_size=10)
)
def test_rows_are_refused_as_plain_python_refuses_them(tmp_path: Path, rows: list[Any]) -> None:
    """not_null, range, unique over two columns and an expression, on any rows."""
    table = pa.table({name: pa.array([row[i] for row in rows], pa.int64()) for i, name in enumerate("ab")})
    rules = [
        {"rule": "not_null", "column": "a"},
        {"rule": "range", "column": "a", "max": 2},
        {"rule": "unique", "columns": ["a", "b"]},
        {"rule": "expression", "check": "a <= b"},
    ]
    wanted, seen = [], set()
    for number, (a, b) in enumerate(rows):
        broken = ["not_null(a)"] if a is None else ["range(a)"] if a > 2 else []
        if a is not None and b is not None:
            broken += ["unique(a, b)"] if (a, b) in seen else []
            broken += ["expression(a <= b)"] if a > b else []
            seen.add((a, b))
        if broken:
            wanted.append((number, "; ".join(broken)))
    assert refused(tmp_path, table, *rules) == wanted


AGES = pa.table({"age": [1, 2, 300, 4]})
RULE = {"rule": "range", "column": "age", "max": 150}


def test_error_lets_nothing_pass(tmp_path: Path) -> None:
    """The run fails with 30 and tells the counts; there is no output."""
    with pytest.raises(
        ModError, match=r"1 of 4 rows break a rule \(range\(age\): 1\); nothing was passed on"
    ) as caught:
        made_of(tmp_path, AGES, RULE)
    assert caught.value.exit_code == 30
    assert caught.value.made.told.metrics["rules"] == {"range(age)": 1}
    assert not list(tmp_path.rglob("output_data*"))


def test_warn_lets_all_pass_with_a_warning(tmp_path: Path) -> None:
    """The output is the input, to the byte."""
    made = made_of(tmp_path, AGES, RULE, on_fail="warn")
    assert made.told.outcome == "WARNING"
    assert made.warnings == ["1 of 4 rows break a rule (range(age): 1)"]
    assert Path(made.told.artifacts["output_data"]).read_bytes() == (tmp_path / "in.parquet").read_bytes()


def test_more_than_max_rejected_is_an_error_and_nothing_passes(tmp_path: Path) -> None:
    """The rows stay beside to be looked at; at the very share it is none."""
    with pytest.raises(ModError, match=r"1 of 4 rows.*more than max_rejected: 0\.05") as caught:
        made_of(tmp_path, AGES, RULE, on_fail="quarantine")
    assert caught.value.exit_code == 30
    assert [path.name for path in tmp_path.rglob("output_data*.parquet")] == ["output_data.rejected.parquet"]
    made = made_of(tmp_path, AGES, RULE, on_fail="quarantine", max_rejected=0.25)
    assert made.warnings == ["1 of 4 rows break a rule (range(age): 1), kept in output_data.rejected.parquet"]


@pytest.mark.parametrize("on_fail", ["error", "warn", "quarantine"])
def test_rows_that_keep_all_rules_pass_as_they_are(tmp_path: Path, on_fail: str) -> None:
    """No warning, and of a quarantine an empty file with the columns."""
    made = made_of(tmp_path, AGES, {**RULE, "max": 300}, on_fail=on_fail)
    assert made.told.outcome == "SUCCESS"
    assert not made.warnings
    assert Path(made.told.artifacts["output_data"]).read_bytes() == (tmp_path / "in.parquet").read_bytes()
    if on_fail == "quarantine":
        assert pq.read_table(made.told.artifacts["rejected"]).to_pydict() == {"age": [], "_rule": [], "_row": []}


def test_many_pieces_are_held_to_the_rules(tmp_path: Path) -> None:
    """Of 300,000 rows every thousandth is refused; a column of a name of ours is no hindrance."""
    table = pa.table({"c0": range(300_000), "file_row_number": [i % 1000 for i in range(300_000)]})
    found = refused(
        tmp_path, table, {"rule": "range", "column": "file_row_number", "min": 1}, {"rule": "unique", "column": "c0"}
    )
    assert found == [(number, "range(file_row_number)") for number in range(0, 300_000, 1000)]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"rule": "range", "column": "n"}, "range needs min or max"),
        ({"rule": "not_null"}, "needs a column"),
        ({"rule": "not_null", "column": "n", "min": 1}, "min is none of what not_null takes"),
        ({"rule": "pattern", "column": "t", "pattern": "("}, "no regular expression"),
        ({"rule": "expression", "check": "n > (SELECT 1)"}, "a query inside"),
        ({"rule": "expression", "check": "n >"}, "no SQL"),
        ({"rule": "type", "column": "n", "type": "integer"}, "no type 'integer'"),
        ({"rule": "range", "column": "t", "min": 1}, "1 cannot be compared with 't'"),
        ({"rule": "allowed", "column": "n", "values": ["1"]}, "'1' cannot be compared with 'n'"),
        ({"rule": "pattern", "column": "n", "pattern": "x"}, "pattern is about text"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(tmp_path: Path, rule: dict[str, Any], words: str) -> None:
    """Before a row is judged."""
    with pytest.raises(ParameterError, match=words):
        made_of(tmp_path, pa.table({"n": [1], "t": ["x"]}), rule)


def test_a_rule_names_a_column_that_is_there(tmp_path: Path) -> None:
    """In column, and in an expression, which is about one row: it counts nothing."""
    table = pa.table({"name": ["x"]})
    for rule in ({"rule": "not_null", "column": "nmae"}, {"rule": "expression", "check": "nmae > 'a'"}):
        with pytest.raises(ColumnNotFoundError, match=r"no column 'nmae'.*'name'"):
            made_of(tmp_path, table, rule)
    with pytest.raises(OptionError, match="DuckDB"):
        made_of(tmp_path, table, {"rule": "expression", "check": "count(*) > 1"})


def test_a_column_called_as_the_rejected_ones_is_refused(tmp_path: Path) -> None:
    """A rejected file is not validated again by accident into two columns `_rule`."""
    with pytest.raises(ParameterError, match=r"a column '_row' already.*Rename"):
        refused(tmp_path, pa.table({"_row": [1]}), {"rule": "not_null", "column": "_row"})


@pytest.mark.parametrize(
    ("column", "kind", "wanted"),
    [
        (pa.array([Decimal("12345.678"), Decimal("123.450"), Decimal("-123.456"), None]), "decimal(5, 2)", [0, 2]),
        (pa.array([Decimal("0.120"), Decimal("0.123"), Decimal("1.000")]), "decimal(2, 2)", [1, 2]),
        (pa.array([123456, 999, -1000, 0]), "decimal(5, 2)", [0, 2]),
        (pa.array([123.45, 1234.5, 0.125, math.nan, -0.5]), "decimal(5, 2)", [1, 2]),
        (pa.array([Decimal(10**37), Decimal(1)], pa.decimal128(38, 0)), "decimal(38, 2)", [0]),
        (pa.array([Decimal("12345.678")]), "decimal", []),
    ],
)
def test_a_decimal_has_the_digits_of_its_type_on_both_sides(
    column: pa.Array, kind: str, wanted: list[int], tmp_path: Path
) -> None:
    """A number of too many digits is none of decimal(5, 2), in whatever type it comes; noughts at its end are none."""
    assert which(tmp_path, column, rule="type", type=kind) == wanted


def test_null_among_the_allowed_values_changes_nothing(tmp_path: Path) -> None:
    """What is null passes anyway; a list of nothing but null allows no value."""
    texts = pa.array(["a", "b", None])
    assert which(tmp_path, texts, rule="allowed", values=[None, "a"]) == [1]
    assert which(tmp_path, texts, rule="allowed", values=[None]) == [0, 1]
