"""What differs between a table and what it was; and the guard before one is replaced by far fewer rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from framework import Workspace
from framework.errors import BackupNotFoundError, ColumnNotFoundError, KeysError
from framework.workspace.comparing import compare

pytestmark = pytest.mark.usefixtures("modules_as_before")

STEP = """
import pandas as pd
from typing import Annotated, Optional
from pydantic import BaseModel
from framework import DataSink, plugin

class Config(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    rows: int = 10
    table: Optional[Annotated[pd.DataFrame, DataSink(name="table")]] = None

@plugin(name="Make", default_config=Config)
def make(config):
    return pd.DataFrame({"id": range(config.rows), "x": 1.5})
"""
CASE = "data_sources:\n  table: {{store: parquet, dataset: kept{more}}}\npipeline:\n  - plugin: Make\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a case that saves as many rows as it is told."""
    for name, text in {
        "millpond.yaml": "",
        "modules/steps.py": STEP,
        "cases/plain/case.yaml": CASE.format(more=""),
        "cases/loose/case.yaml": CASE.format(more=", allow_shrink: true"),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("rows", [0, 4])
def test_a_case_does_not_empty_or_halve_a_table(root: Path, rows: int) -> None:
    """Far fewer rows than before are refused, and the table stays as it was."""
    found = Workspace(root)
    assert found.run("plain")
    result = found.run("plain", {"Make.rows": rows})
    assert result.exit_code == 30
    assert "allow_shrink" in result.errors[0]
    assert len(found.head("parquet:kept", 100)) == 10


def test_half_of_the_rows_are_let_through(root: Path) -> None:
    """More than half gone is refused, half is not."""
    found = Workspace(root)
    assert found.run("plain")
    assert found.run("plain", {"Make.rows": 5})


def test_a_case_that_says_so_may_shrink_a_table(root: Path) -> None:
    """allow_shrink lets it happen."""
    found = Workspace(root)
    assert found.run("loose")
    assert found.run("loose", {"Make.rows": 0})
    assert found.head("parquet:kept").empty


def test_a_save_notes_what_changed(root: Path) -> None:
    """Rows and columns before and after are in the step's metrics, and on record."""
    found = Workspace(root)
    found.store("parquet").save_data(pd.DataFrame({"id": [1], "y": ["a"]}), "kept")
    step = found.run("plain").children[0]
    assert step.metrics["table"] == {
        "rows_before": 1,
        "rows_after": 10,
        "columns_added": ["x"],
        "columns_gone": ["y"],
        "columns_changed": {},
    }
    assert found.ran("last")[1][0].metrics["metrics"] == step.metrics


BEFORE = pd.DataFrame({"id": [1, 2, 3], "x": [1.0, None, 3.0], "old": ["a", "b", "c"]})
AFTER = pd.DataFrame({"id": [2, 3, 4], "x": [None, 3.5, 4.0], "new": [True, False, True]})


def test_rows_are_compared_by_keys() -> None:
    """A row that is in both and differs is one that changed; nothing beside nothing is the same."""
    found = compare(BEFORE, AFTER, ["id"])
    assert (found.rows_added, found.rows_gone, found.rows_changed) == (1, 1, 1)
    assert found.cells_changed == {"x": 1}
    assert (found.columns_added, found.columns_gone) == (["new"], ["old"])
    assert {"row": "changed", "id": 3, "x": "3.0 -> 3.5"} in found.examples


def test_rows_are_compared_whole_without_keys() -> None:
    """As often as each is there."""
    twice = pd.DataFrame({"a": [1, 1, 2]})
    found = compare(twice, pd.DataFrame({"a": [1, 2, 2]}))
    assert (found.rows_added, found.rows_gone, found.rows_changed) == (1, 1, None)
    assert compare(twice, twice.iloc[::-1]).same


def test_a_column_of_another_type_is_told() -> None:
    """Its cells are compared as they are written."""
    found = compare(pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": ["1", "3"]}))
    assert found.columns_changed == {"a": "int64 -> object"}
    assert (found.rows_added, found.rows_gone) == (1, 1)


def test_a_key_that_cannot_tell_rows_apart_is_refused() -> None:
    """A repeated key, and one that is not there, are errors."""
    with pytest.raises(KeysError):
        compare(pd.DataFrame({"a": [1, 1]}), AFTER.rename(columns={"id": "a"}), ["a"])
    with pytest.raises(ColumnNotFoundError, match="'id'"):
        compare(BEFORE, AFTER, ["idd"])


def test_a_dataset_is_compared_with_its_newest_backup(tmp_path: Path) -> None:
    """Unless another is named; and nothing of it stays behind."""
    found = Workspace(tmp_path)
    store = found.store("csv")
    store.save_data(BEFORE, "d")
    with pytest.raises(BackupNotFoundError):
        found.changes("csv:d")
    first = found.backup("csv:d")
    store.save_data(AFTER, "d")
    assert found.changes("csv:d", keys=["id"]).cells_changed == {"x": 1}
    found.backup("csv:d")
    assert found.changes("csv:d").same
    assert not found.changes("csv:d", first).same
    assert found.store("temp").list_sources() == []
