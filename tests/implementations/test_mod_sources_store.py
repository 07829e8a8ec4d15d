"""The mod that reads datasets of stores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework import DataFactory, as_settings
from framework.errors import (
    ColumnNotFoundError,
    ConfigurationException,
    DatasetNotFoundError,
    ParameterError,
    UnknownNameError,
)
from framework.mods.artifacts import read_frame
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.testing import assert_same

FRAME = pd.DataFrame(
    {
        "n": pd.array([1, None, 3, 4], "Int8"),
        "o": pd.Series(["007", None, np.nan, None], dtype=object),
        "c": pd.Categorical(["u", "v", "u", None], categories=["v", "u"], ordered=True),
        "f": np.array([0.1, np.nan, 3, -0.0], dtype="float32"),
    },
    index=pd.date_range("2024-05-01", periods=4, name="day", tz="Europe/Zurich"),
)
ASKED: dict[str, dict[str, Any]] = {
    "whole": {},
    "columns": {"columns": ["c", "n"]},
    "condition": {"where": [["n", ">", 1]]},
    "missing": {"where": [["o", "is null"]], "columns": ["o"]},
    "span": {"start": "2024-05-02", "end": "2024-05-03 12:00"},
    "nothing": {"where": [["n", ">", 99]]},
    "no columns": {"columns": []},
}


@pytest.fixture
def factory(tmp_path: Path) -> DataFactory:
    return DataFactory(as_settings({}, workspace=tmp_path))


@pytest.fixture
def read(tmp_path: Path, factory: DataFactory) -> Callable[..., pd.DataFrame]:
    """The frame that the mod's artifact is."""

    def called(**params: Any) -> pd.DataFrame:
        folder, logger = tmp_path / "runs" / "r1" / "store_reader", logging.getLogger("millpond.mods")
        run = ModRun("r1", "store_reader", folder, tmp_path, logger, open_store=factory.create_store)
        made = Mods(tmp_path).load("store_reader").call(params, run)
        return read_frame(made.told.artifacts["output_data"])

    return called


@pytest.mark.parametrize("store", ["csv", "parquet", "sqlite"])
@pytest.mark.parametrize("asked", ASKED)
def test_the_frame_is_the_one_that_the_store_gives(read: Any, factory: DataFactory, store: str, asked: str) -> None:
    """Values, dtypes, kinds of missing cells, categories and index are those of get_data, whole and in part."""
    made = factory.create_store(store)
    made.save_data(FRAME, "prices")
    wanted = {**ASKED[asked]}
    if "where" in wanted:
        wanted["where"] = [tuple(each) for each in wanted["where"]]
    assert_same(read(dataset=f"{store}:prices", **ASKED[asked]), made.get_data("prices", **wanted))


def test_a_counted_index_counts_the_rows_that_are_given(read: Any, factory: DataFactory) -> None:
    """A frame without an index of its own has none after a condition left rows out."""
    made = factory.create_store("parquet")
    made.save_data(FRAME.reset_index(drop=True), "prices")
    wanted = made.get_data("prices", where=[("n", ">", 1)])
    assert_same(read(dataset="prices", store="parquet", where=[["n", ">", 1]]), wanted)


def test_a_store_of_millpond_yaml_is_meant_by_its_name(tmp_path: Path) -> None:
    """What the workspace calls a store is a store here, with a colon or beside the dataset."""
    (tmp_path / "millpond.yaml").write_text("stores:\n  shop:\n    type: csv\n    delimiter: ';'\n")
    factory = DataFactory(as_settings(workspace=tmp_path))
    factory.create_store("shop").save_data(FRAME[["n"]].reset_index(drop=True), "prices")
    logger = logging.getLogger("millpond.mods")
    for asked in ({"dataset": "shop:prices"}, {"dataset": "prices", "store": "shop"}):
        run = ModRun("r1", "m", tmp_path / "runs", tmp_path, logger, open_store=factory.create_store)
        made = Mods(tmp_path).load("store_reader").call(asked, run)
        assert made.told.metrics["rows_output"] == 4


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"dataset": "prices"}, ParameterError, "store:prices"),
        ({"dataset": "csvv:prices"}, UnknownNameError, "Did you mean 'csv'"),
        ({"dataset": "csv:price"}, DatasetNotFoundError, "Did you mean 'prices'"),
        ({"dataset": "csv:prices", "columns": ["m"]}, ColumnNotFoundError, "no column 'm'"),
        ({"dataset": "csv:prices", "where": [["n", "~", 1]]}, ParameterError, "no operator"),
    ],
    ids=["store", "unknown", "dataset", "column", "operator"],
)
def test_what_is_wrong_is_named(
    read: Any, factory: DataFactory, params: dict[str, Any], error: type[Exception], says: str
) -> None:
    """Bad parameters end with exit code 20 and name what exists."""
    factory.create_store("csv").save_data(FRAME, "prices")
    with pytest.raises(error, match=says) as raised:
        read(**params)
    assert getattr(raised.value, "exit_code", None) == 20


def test_without_a_workspace_there_are_no_stores(tmp_path: Path) -> None:
    """Called by hand outside of a run, it says how to run it."""
    run = ModRun("r1", "store_reader", tmp_path / "r", tmp_path, logging.getLogger("millpond.mods"))
    with pytest.raises(ConfigurationException, match="without a workspace"):
        Mods(tmp_path).load("store_reader").call({"dataset": "csv:x"}, run)
