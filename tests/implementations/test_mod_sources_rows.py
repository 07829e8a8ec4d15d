"""What sources do with rows that are wide, without a field, or named by what is no text."""

from __future__ import annotations

import logging
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from framework.errors import FormatError
from framework.mods.artifacts import read_table
from framework.mods.catalog import Mods
from framework.mods.records import Rows
from framework.mods.run import ModRun
from framework.steps import Made

Call = Callable[..., Made]
WIDE = 1_000_000  # characters of a row
MANY = 100


@pytest.fixture
def call(tmp_path: Path) -> Call:
    def called(name: str, **params: Any) -> Made:
        run = ModRun("r1", name, tmp_path / "runs" / "r1" / name, tmp_path, logging.getLogger("millpond.mods"))
        return Mods(tmp_path).load(name).call(params, run)

    return called


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """The most memory of Python's own values, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize("nested", [False, True], ids=["text", "nested"])
def test_records_wait_by_their_length_not_by_their_number(tmp_path: Path, peak: Any, nested: bool) -> None:
    """Some wide records are in memory, and not thousands of them."""
    made = ({"id": at, "b": {"c": ["x" * WIDE]} if nested else "x" * WIDE} for at in range(MANY))
    with Rows(tmp_path, held=1 << 24) as rows:
        rows.add(made)
        schema, tables = rows.tables()
        assert (rows.count, schema.names) == (MANY, ["id", "b"])
        assert sum(table.num_rows for table in tables) == MANY
    assert peak() < 60 * WIDE


def test_wide_rows_of_a_database_are_fetched_some_at_a_time(call: Call, tmp_path: Path, peak: Any) -> None:
    """However many rows a batch may have, those that are large come in smaller ones, all of them and in their order."""
    with closing(sqlite3.connect(tmp_path / "wide.db")) as db:
        db.execute("CREATE TABLE t (id INTEGER, b TEXT)")
        db.executemany("INSERT INTO t VALUES (?, ?)", ((at, "x" * (WIDE // 2)) for at in range(4 * MANY)))
        db.commit()
    tracemalloc.reset_peak()
    made = call("database_reader", connection_string="sqlite:///wide.db", table="t")
    assert peak() < 270 * WIDE
    assert read_table(made.told.artifacts["output_data"]).column("id").to_pylist() == list(range(4 * MANY))


@pytest.mark.parametrize(
    ("name", "text"),
    [("e.json", "[{}, {}, {}]"), ("e.jsonl", "{}\n{}\n{}\n"), ("e.json", '{"a": {}}')],
    ids=["array", "lines", "document"],
)
def test_records_without_a_field_are_an_error(call: Call, tmp_path: Path, name: str, text: str) -> None:
    """No file keeps rows without a column, so three records do not become none without a word."""
    (tmp_path / name).write_text(text)
    path = {"records_path": "a"} if "a" in text else {}
    with pytest.raises(FormatError, match="none of them has a field"):
        call("json_reader", input_path=name, **path)


def test_a_record_without_a_field_beside_others_is_a_row(call: Call, tmp_path: Path) -> None:
    """It lacks all that the others have, and a list without a record is no error."""
    (tmp_path / "e.json").write_text('[{}, {"a": 1}, {}]')
    made = call("json_reader", input_path="e.json")
    assert read_table(made.told.artifacts["output_data"]).to_pylist() == [{"a": None}, {"a": 1}, {"a": None}]
    (tmp_path / "n.json").write_text("[]")
    assert call("json_reader", input_path="n.json").told.metrics["rows_output"] == 0


@pytest.mark.parametrize("flatten", [False, True], ids=["as-is", "flat"])
def test_a_field_whose_name_is_no_text_is_named(call: Call, tmp_path: Path, flatten: bool) -> None:
    """Half of a surrogate pair ends with what is wrong and its cure."""
    (tmp_path / "s.json").write_text('[{"a\\ud800": 1}]')
    with pytest.raises(FormatError, match="surrogate"):
        call("json_reader", input_path="s.json", flatten=flatten)
