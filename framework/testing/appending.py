"""What append adds, how a dataset's columns and types grow with it, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.errors import SchemaError
from framework.testing.examples import SAME, column, text
from framework.testing.same import assert_same
from framework.testing.suite import PLAIN, StoreSuite

# What -> the old rows, and new ones that do not fit behind them.
UNFIT: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "text to numbers": (column([1, 2]), text("a")),
    "numbers to text": (text("a"), column([1])),
    "booleans to numbers": (column([1]), column([True])),
    "an integer beyond all types": (column([-1]), column([2**64 - 1], "uint64")),
    "a float beside an integer that no float is": (column([2**53 + 1]), column([0.5])),
    "an integer that no float is": (column([0.5]), column([2**53 + 1])),
    "finer times beside one that does not reach": (
        column(np.array(["9000-01-01"], "M8[s]")),
        column(np.array([1], "M8[ns]")),
    ),
    "times in a zone to naive ones": (
        column(pd.to_datetime(["2024-01-01"])),
        column(pd.to_datetime(["2024-01-01"], utc=True)),
    ),
    "other ordered categories": (
        column(pd.Categorical(["a"], categories=["a", "b"], ordered=True)),
        column(pd.Categorical(["a"], categories=["b", "a"], ordered=True)),
    ),
    "text to categories": (column(pd.Categorical(["a"])), text("a")),
    "a column of integers too few": (pd.DataFrame({"x": [1], "y": [2]}), column([1])),
    "another column": (column([1]), pd.DataFrame({"y": [1]})),
    "a named index to a RangeIndex": (column([1]), pd.DataFrame({"x": [1]}, index=pd.Index([5], name="k"))),
    "another index": (
        pd.DataFrame({"x": [1]}, index=pd.Index([5], name="k")),
        pd.DataFrame({"x": [1]}, index=pd.Index([5], name="l")),
    ),
}

# What -> the old rows, the new ones, and what is there after the append.
GROWS: dict[str, tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]] = {
    "a larger integer": (column([1], "int8"), column([300], "int16"), column([1, 300], "int16")),
    "a negative beside unsigned": (column([1], "uint8"), column([-1], "int8"), column([1, -1], "int16")),
    "floats beside integers": (column([1, 2]), column([0.5]), column([1.0, 2.0, 0.5])),
    "whole floats beside integers": (column([1, 2]), column([3.0]), column([1.0, 2.0, 3.0])),
    "a finer float": (column([0.5], "float32"), column([0.1]), column([0.5, 0.1])),
    "a larger float": (column([0.5], "float32"), column([1e300]), column([0.5, 1e300])),
    "missing integers": (
        column([1, 2]),
        column(pd.array([None], dtype="Int64")),
        column(pd.array([1, 2, None], dtype="Int64")),
    ),
    "missing booleans": (
        column([True]),
        column(pd.array([None], dtype="boolean")),
        column(pd.array([True, None], dtype="boolean")),
    ),
    "a finer time": (
        column(np.array([7], "M8[s]")),
        column(np.array([1], "M8[ms]")),
        column(np.array([7000, 1], "M8[ms]")),
    ),
    "a finer time in a zone": (
        column(pd.to_datetime([7], unit="s", utc=True).as_unit("s").tz_convert("Asia/Tokyo")),
        column(pd.to_datetime([1], unit="ns", utc=True).tz_convert("Asia/Tokyo")),
        column(pd.to_datetime([7 * 10**9, 1], unit="ns", utc=True).tz_convert("Asia/Tokyo")),
    ),
    "text beside nothing but missing cells": (text(None, None), column([1.5]), column([np.nan, np.nan, 1.5])),
    "nothing but missing cells": (column([1.5]), text(None), column([1.5, np.nan])),
    "a new column of integers": (
        column([1]),
        pd.DataFrame({"x": [2], "y": [5]}),
        pd.DataFrame({"x": [1, 2], "y": pd.array([None, 5], dtype="Int64")}),
    ),
    "a new column of text": (
        column([1]),
        pd.DataFrame({"x": [2], "t": text("a")["x"]}),
        pd.DataFrame({"x": [1, 2], "t": text(None, "a")["x"]}),
    ),
    "a new column of times": (
        column([1]),
        pd.DataFrame({"w": np.array(["2024-01-01"], "M8[ns]"), "x": [2]}),
        pd.DataFrame({"x": [1, 2], "w": np.array(["NaT", "2024-01-01"], "M8[ns]")}),
    ),
    "a new column of categories": (
        column([1]),
        pd.DataFrame({"x": [2], "c": pd.Categorical(["b"], categories=["b", "a"])}),
        pd.DataFrame({"x": [1, 2], "c": pd.Categorical([None, "b"], categories=["b", "a"])}),
    ),
    "a column of text too few": (
        pd.DataFrame({"x": [1], "t": text("a")["x"]}),
        column([2]),
        pd.DataFrame({"x": [1, 2], "t": text("a", None)["x"]}),
    ),
    "a column of floats too few": (
        pd.DataFrame({"x": [1], "f": [0.5]}),
        column([2]),
        pd.DataFrame({"x": [1, 2], "f": [0.5, np.nan]}),
    ),
}


class Appending(StoreSuite):
    """Rows behind rows."""

    @pytest.mark.parametrize("what", SAME)
    def test_appended_rows_follow_the_others(self, store: Any, what: str) -> None:
        """Rows appended to rows of their kind come after them, each as it was."""
        frame = SAME[what]()
        store.save_data(frame, "d")
        store.save_data(frame, "d", mode="append")
        both = store.get_data("d")
        assert len(both) == 2 * len(frame)
        old = frame.index
        if isinstance(old, pd.RangeIndex):
            wanted = pd.RangeIndex(old.start, old.start + 2 * len(old) * old.step, old.step, name=old.name)
            assert_same(pd.DataFrame(index=wanted), pd.DataFrame(index=both.index))
            both, frame = both.reset_index(drop=True), frame.reset_index(drop=True)
            assert_same(frame, both.iloc[: len(frame)].reset_index(drop=True))
            assert_same(frame, both.iloc[len(frame) :].reset_index(drop=True))
        else:
            assert_same(frame, both.iloc[: len(frame)])
            assert_same(frame, both.iloc[len(frame) :])

    def test_append_makes_what_is_not_there(self, store: Any) -> None:
        """The first append is a save."""
        store.save_data(PLAIN, "d", mode="append")
        assert_same(PLAIN, store.get_data("d"))

    def test_appending_no_row_changes_no_row(self, store: Any) -> None:
        """An empty frame of the same columns is appended without effect on what is there."""
        store.save_data(PLAIN, "d")
        store.save_data(PLAIN.iloc[:0], "d", mode="append")
        assert_same(PLAIN, store.get_data("d"))

    def test_columns_are_matched_by_label(self, store: Any) -> None:
        """Appended columns may come in another order; the dataset's own stays."""
        store.save_data(PLAIN, "d")
        store.save_data(PLAIN[["t", "x", "n"]], "d", mode="append")
        assert_same(pd.concat([PLAIN, PLAIN], ignore_index=True), store.get_data("d"))

    def test_integers_appended_to_floats_become_floats_and_it_is_said(self, store: Any) -> None:
        """describe notes that integers were appended to a float column."""
        store.save_data(column([0.5]), "d")
        store.save_data(column([2**53]), "d", mode="append")
        assert_same(column([0.5, float(2**53)]), store.get_data("d"))
        assert any("integers" in note and "x" in note for note in store.describe("d").notes)

    def test_new_categories_are_appended(self, store: Any) -> None:
        """Categories that are not ordered grow by the new ones, at their end."""
        store.save_data(column(pd.Categorical(["b", "a"], categories=["b", "a"])), "d")
        store.save_data(column(pd.Categorical(["c", None, "a"], categories=["a", "c"])), "d", mode="append")
        wanted = pd.Categorical(["b", "a", "c", None, "a"], categories=["b", "a", "c"])
        assert_same(column(wanted), store.get_data("d"))

    def test_missing_kinds_are_appended(self, store: Any) -> None:
        """None and NaN that are appended stay what they are."""
        store.save_data(text("a", None), "d")
        store.save_data(text(np.nan, "b", None), "d", mode="append")
        assert_same(text("a", None, np.nan, "b", None), store.get_data("d"))

    @pytest.mark.parametrize("what", UNFIT)
    def test_rows_that_do_not_fit_are_refused(self, store: Any, what: str) -> None:
        """Appending what the columns do not hold exactly is a SchemaError, and the old data stays as it is."""
        old, new = UNFIT[what]
        store.save_data(old, "d")
        with self.unchanged(store, "d"), pytest.raises(SchemaError):
            store.save_data(new, "d", mode="append")

    @pytest.mark.parametrize("what", GROWS)
    def test_columns_and_types_grow(self, store: Any, what: str) -> None:
        """Appended rows may bring columns and wider types; every value that was there stays what it was."""
        old, new, wanted = GROWS[what]
        store.save_data(old, "d")
        store.save_data(new, "d", mode="append")
        assert_same(wanted, store.get_data("d"))
        store.save_data(wanted, "d", mode="append")
        assert_same(wanted, store.get_data("d").iloc[len(wanted) :].reset_index(drop=True))
