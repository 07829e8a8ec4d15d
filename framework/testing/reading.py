"""Reading a part of a dataset: conditions on its rows, and its rows in chunks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from framework.errors import ColumnNotFoundError, DatasetNotFoundError, OptionError
from framework.testing.examples import SAME, column, text
from framework.testing.same import assert_same
from framework.testing.suite import PLAIN, StoreSuite

ROWS = pd.DataFrame(
    {
        "n": [5, 1, 3, 2, 4],
        "x": [0.5, np.nan, -1.5, 2.0, np.inf],
        "t": pd.Series(["b", None, "é", "B", "a"], dtype=object),
        "w": np.array(["2024-01-01", "2024-01-02", "NaT", "2024-01-02T12", "2023-12-31"], "M8[ns]"),
        "i": pd.array([1, None, 3, 2, 1], dtype="Int64"),
        "b": [True, False, True, False, True],
        "c": pd.Categorical(["lo", "hi", None, "mid", "lo"], categories=["lo", "mid", "hi"], ordered=True),
        "d": pd.Series([date(2024, 1, 1), None, date(2024, 1, 3), date(2023, 1, 1), date(2024, 1, 1)], dtype=object),
        "z": pd.DatetimeIndex(
            np.array(["2024-01-01T05", "NaT", "2024-01-01", "2024-01-01", "2024-01-02"], "M8[ns]"), tz="UTC"
        ).tz_convert("America/New_York"),
        "s": pd.to_timedelta([1, 2, None, 4, 5], unit="h"),
        "u": np.array([0, 2**64 - 1, 5, 6, 7], dtype="uint64"),
        "f": np.array([0.5, 1.5, np.nan, 3.5, 4.5], dtype="float16"),
        "m": pd.Series([Decimal("1.10"), None, Decimal("2.5"), Decimal("NaN"), Decimal("-1")], dtype=object),
        "p": pd.period_range("2024-01", periods=5, freq="M"),
        "g": pd.Series([UUID(int=place) for place in range(5)], dtype=object),
    }
)

# The condition -> the places of the rows that meet it.
MET: list[tuple[list[tuple[Any, ...]], list[int]]] = [
    ([("n", "==", 3)], [2]),
    ([("n", "!=", 3)], [0, 1, 3, 4]),
    ([("n", ">", 3)], [0, 4]),
    ([("n", ">=", 3), ("n", "<", 5)], [2, 4]),
    ([("n", "<", 2.5)], [1, 3]),
    ([("n", "<=", 2.5)], [1, 3]),
    ([("n", ">", 2.5)], [0, 2, 4]),
    ([("n", ">=", 2.5)], [0, 2, 4]),
    ([("n", "==", 2.5)], []),
    ([("n", "!=", 2.5)], [0, 1, 2, 3, 4]),
    ([("n", "<", 10**30)], [0, 1, 2, 3, 4]),
    ([("n", ">", float("inf"))], []),
    ([("n", "in", [1, 5, 2**70, 2.5])], [0, 1]),
    ([("n", "not in", [1, 5])], [2, 3, 4]),
    ([("n", "in", [])], []),
    ([("n", "not in", [])], [0, 1, 2, 3, 4]),
    ([("x", ">", 0)], [0, 3, 4]),
    ([("x", "!=", 2)], [0, 2, 4]),
    ([("x", "is null")], [1]),
    ([("x", "not null", None)], [0, 2, 3, 4]),
    ([("x", "in", [0.5, float("inf")])], [0, 4]),
    ([("x", "not in", [0.5])], [2, 3, 4]),
    ([("t", "==", "b")], [0]),
    ([("t", "<", "a")], [3]),
    ([("t", ">", "a")], [0, 2]),
    ([("t", "is null")], [1]),
    ([("t", "in", ["a", "é"])], [2, 4]),
    ([("t", "not in", ["a"])], [0, 2, 3]),
    ([("w", ">=", "2024-01-02")], [1, 3]),
    ([("w", "<", pd.Timestamp("2024-01-01 00:00:00.000000001"))], [0, 4]),
    ([("w", "==", np.datetime64("2024-01-02"))], [1]),
    ([("w", "in", [date(2024, 1, 1)])], [0]),
    ([("i", "==", 1)], [0, 4]),
    ([("i", "!=", 1)], [2, 3]),
    ([("i", "is null")], [1]),
    ([("b", "==", True)], [0, 2, 4]),
    ([("b", "in", [False])], [1, 3]),
    ([("c", "==", "lo")], [0, 4]),
    ([("c", ">=", "mid")], [1, 3]),
    ([("c", "is null")], [2]),
    ([("c", "in", ["hi", "unheard of"])], [1]),
    ([("d", ">=", date(2024, 1, 1))], [0, 2, 4]),
    ([("d", "==", "2023-01-01")], [3]),
    ([("z", ">=", pd.Timestamp("2024-01-01 05:00", tz="UTC"))], [0, 4]),
    ([("z", ">=", "2024-01-01 00:00")], [0, 4]),
    ([("s", ">", pd.Timedelta(hours=2))], [3, 4]),
    ([("s", "<=", "1h 30min")], [0]),
    ([("u", ">", 2**63)], [1]),
    ([("u", ">=", -1)], [0, 1, 2, 3, 4]),
    ([("f", "<", 2)], [0, 1]),
    ([("f", "is null")], [2]),
    ([("m", ">", 1)], [0, 2]),
    ([("m", "in", [Decimal("2.50")])], [2]),
    ([("m", "is null")], [1, 3]),
    ([("m", "not null")], [0, 2, 4]),
    ([("p", ">=", "2024-04")], [3, 4]),
    ([("g", "==", UUID(int=2))], [2]),
    ([("n", ">", 1), ("t", "!=", "b"), ("b", "==", True)], [2, 4]),
]

REFUSED: list[Any] = [
    [("n", "=", 3)],
    [("n", "==")],
    [("n", "==", "three")],
    [("n", "==", None)],
    [("n", "in", 3)],
    [("n", "in", [None])],
    [("n", "is null", 3)],
    [("t", "==", 3)],
    [("t", "in", "abc")],
    [("w", ">", "soon")],
    [("w", ">", pd.Timestamp("2024-01-01", tz="UTC"))],
    [("b", "==", 1)],
    [("c", "<", "unheard of")],
    [("x", ">", float("nan"))],
    [("d", ">", "soon")],
    [("m", "==", "1.10")],
    [("p", ">", "soon")],
    [("g", "==", "a")],
    ("n", "==", 3),
    "n == 3",
    [3],
]


def wanted(places: list[int]) -> pd.DataFrame:
    return ROWS.iloc[places].reset_index(drop=True)


class Reading(StoreSuite):
    """Parts of a dataset."""

    @pytest.fixture
    def rows(self, store: Any) -> Any:
        """A store that holds `ROWS` under "d"."""
        store.save_data(ROWS, "d")
        return store

    # ------------------------------------------------------------------ where

    def test_rows_that_meet_the_conditions(self, rows: Any) -> None:
        """where= gives just the rows that meet all conditions, in their order; a missing value meets only `is null`."""
        for where, places in MET:
            assert_same(wanted(places), rows.get_data("d", where=where))

    def test_conditions_on_columns_that_are_not_asked_for(self, rows: Any) -> None:
        """A condition may name a column that columns= leaves out."""
        got = rows.get_data("d", columns=["t", "n"], where=[("x", ">", 0), ("c", "!=", "mid")])
        assert_same(wanted([0, 4])[["t", "n"]], got)
        assert len(rows.get_data("d", columns=[], where=[("n", ">", 3)])) == 2

    def test_conditions_on_the_index(self, store: Any) -> None:
        """A level of the index is named by its name, and stays the index."""
        frame = ROWS[["n", "x"]].set_index(pd.MultiIndex.from_arrays([[1, 1, 2, 2, 3], ROWS["n"]], names=["g", "k"]))
        store.save_data(frame, "d")
        assert_same(frame.iloc[1:4], store.get_data("d", where=[("g", "<=", 2), ("k", "<", 5)]))
        assert_same(frame.iloc[4:][["x"]], store.get_data("d", columns=["x"], where=[("g", "==", 3)]))

    def test_conditions_and_a_span_of_time(self, store: Any) -> None:
        """start= and end= hold beside where=."""
        frame = ROWS[["n", "x"]].set_axis(pd.date_range("2024-01-01", periods=5), axis=0)
        store.save_data(frame, "d")
        assert_same(frame.iloc[2:4], store.get_data("d", where=[("n", "<", 5)], start="2024-01-03", end="2024-01-04"))

    def test_missing_kinds_stay_what_they_are(self, store: Any) -> None:
        """None and NaN among the rows that are left are in their places."""
        frame = pd.DataFrame({"n": range(5), "t": text(None, np.nan, "a", np.nan, None)["x"]})
        store.save_data(frame, "d")
        for places in ([1, 3, 4], [0, 2], [1], []):
            got = store.get_data("d", where=[("n", "in", places)])
            assert_same(frame.iloc[places].reset_index(drop=True), got)

    @pytest.mark.parametrize("where", REFUSED, ids=repr)
    def test_a_condition_that_cannot_be_is_refused(self, rows: Any, where: Any) -> None:
        """An unknown operator, no value, one that cannot be compared: OptionError in words."""
        with pytest.raises(OptionError):
            rows.get_data("d", where=where)

    def test_a_condition_on_an_unknown_column_is_an_error(self, rows: Any) -> None:
        """It names the nearest."""
        with pytest.raises(ColumnNotFoundError, match=r"'nn'.*Known"):
            rows.get_data("d", where=[("nn", "==", 1)])

    def test_conditions_on_a_table_of_others(self, store: Any) -> None:
        """where= and columns= work on what others made."""
        self.raw_write(store, "theirs", [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}, {"n": 3, "t": None}])
        assert list(store.get_data("theirs", where=[("n", ">", 1)])["n"]) == [2, 3]
        got = store.get_data("theirs", columns=["n"], where=[("t", "not null")])
        assert list(got.columns) == ["n"]
        assert list(got["n"]) == [1, 2]

    # ------------------------------------------------------------------ chunks

    @pytest.mark.parametrize("what", SAME)
    def test_chunks_together_are_the_frame(self, store: Any, what: str) -> None:
        """iter_data gives the rows of get_data, dtypes and index too, a few at a time."""
        frame = SAME[what]()
        store.save_data(frame, "d")
        for rows in (1, 2, 1000) if len(frame) < 1000 else (1000, 7001):  # one by one, many take long
            chunks = list(store.iter_data("d", chunk_rows=rows))
            assert [len(chunk) for chunk in chunks[:-1]] == [rows] * (len(chunks) - 1)
            assert sum(map(len, chunks)) == len(frame)
            start = 0
            for chunk in chunks:
                assert_same(frame.iloc[start : start + len(chunk)], chunk)
                start += len(chunk)

    def test_chunks_of_many_rows(self, store: Any) -> None:
        """Chunks are of the size asked for, whatever the store's own pieces are, and a RangeIndex goes on."""
        n = 10_007
        frame = pd.DataFrame({"n": range(n), "t": pd.Series([None if i % 7 else f"t{i}" for i in range(n)])})
        frame["t"] = frame["t"].astype(object).where(frame["t"].notna(), None)
        store.save_data(frame, "d")
        chunks = list(store.iter_data("d", chunk_rows=1000))
        assert [len(chunk) for chunk in chunks] == [1000] * 10 + [7]
        assert_same(frame, pd.concat(chunks))
        picked = list(store.iter_data("d", chunk_rows=500, columns=["n"], where=[("n", ">=", 9000)]))
        assert [len(chunk) for chunk in picked] == [500, 500, 7]
        assert list(picked[1]["n"]) == list(range(9500, 10_000))
        assert picked[1].index[0] == 500

    def test_chunks_are_of_one_snapshot(self, store: Any) -> None:
        """A save between two chunks does not show in the later one, and is not kept waiting."""
        frame = pd.DataFrame({"n": range(5000)})
        store.save_data(frame, "d")
        chunks = store.iter_data("d", chunk_rows=100)
        got = [next(chunks)]
        store.save_data(PLAIN, "other")
        store.save_data(frame + 1, "d", mode="append")
        got += list(chunks)
        assert_same(frame, pd.concat(got))
        assert len(store.get_data("d")) == 10_000

    def test_chunks_that_nobody_takes_are_let_go(self, store: Any) -> None:
        """An iterator that is closed half way keeps nothing from being replaced or deleted."""
        store.save_data(column(range(1000)), "d")
        chunks = store.iter_data("d", chunk_rows=10)
        next(chunks)
        chunks.close()
        store.save_data(PLAIN, "d")
        store.delete_data("d")
        assert store.list_sources() == []

    def test_no_row_is_one_empty_chunk(self, store: Any) -> None:
        """A dataset without a row, or of which none meets the conditions, gives one frame that says its dtypes."""
        store.save_data(PLAIN.iloc[:0], "d")
        assert_same(PLAIN.iloc[:0], *store.iter_data("d"))
        store.save_data(PLAIN, "d")
        assert_same(PLAIN.iloc[:0], *store.iter_data("d", where=[("n", ">", 99)]))

    def test_chunks_that_cannot_be_are_refused_at_once(self, store: Any) -> None:
        """An unknown dataset and a size that is none are errors of the call, not of the first chunk."""
        with pytest.raises(DatasetNotFoundError):
            store.iter_data("nothing")
        store.save_data(PLAIN, "d")
        for size in (0, -1, 1.5, True):
            with pytest.raises(OptionError, match="chunk_rows"):
                store.iter_data("d", chunk_rows=size)
        with pytest.raises(ColumnNotFoundError, match="'nope'"):
            store.iter_data("d", columns=["nope"])
        with pytest.raises(OptionError, match="'three'"):
            store.iter_data("d", where=[("n", "==", "three")])

    def test_chunks_are_of_the_moment_of_the_call(self, store: Any) -> None:
        """A save between the call and the first chunk does not show either."""
        store.save_data(column(range(100)), "d")
        chunks = store.iter_data("d", chunk_rows=70)
        store.save_data(column(range(50)), "d", mode="append")
        assert_same(column(range(100)), pd.concat(list(chunks)))

    def test_chunks_of_a_table_of_others(self, store: Any) -> None:
        """All chunks have the dtypes that get_data finds in the whole."""
        rows = [{"n": i, "x": None if i == 37 else i / 2, "t": "a" if i < 30 else None} for i in range(50)]
        self.raw_write(store, "theirs", rows)
        chunks = list(store.iter_data("theirs", chunk_rows=7))
        whole = store.get_data("theirs")
        assert all(chunk.dtypes.equals(whole.dtypes) for chunk in chunks)
        assert_same(whole, pd.concat(chunks))
