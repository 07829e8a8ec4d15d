"""What a store that has mode="upsert" must pass beside the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.errors import DataException, KeysError, SchemaError
from framework.testing.examples import column, text
from framework.testing.same import assert_same
from framework.testing.suite import PLAIN, StoreSuite


def table(**columns: Any) -> pd.DataFrame:
    """A frame in which text is a column of objects."""
    made = {
        name: pd.Series(cells, dtype=object if isinstance(cells[0], str) else None) for name, cells in columns.items()
    }
    return pd.DataFrame(made)


OLD = table(k=[3, 1, 2], v=[0.5, 1.5, 2.5], t=["c", "a", "b"])


class UpsertConformance(StoreSuite):
    """Rows whose keys are there are replaced in their places; the others follow at the end."""

    def test_rows_are_replaced_in_place_and_added_at_the_end(self, store: Any) -> None:
        """Old rows keep their place, new ones follow in the order in which they came."""
        store.save_data(OLD, "d")
        new = table(k=[9, 1, 8], v=[9.5, -1.0, 8.5], t=["new", "A", "newer"])
        assert store.save_data(new, "d", mode="upsert", keys=["k"]) is True
        wanted = table(k=[3, 1, 2, 9, 8], v=[0.5, -1.0, 2.5, 9.5, 8.5], t=["c", "A", "b", "new", "newer"])
        assert_same(wanted, store.get_data("d"))
        assert (store.describe("d").rows, store.describe("d").version) == (5, 2)

    def test_many_upserts_keep_the_order(self, store: Any) -> None:
        """However often rows are updated, they stay where they were."""
        rows = 3000
        frame = pd.DataFrame({"k": np.random.default_rng(1).permutation(rows), "v": 0})
        store.save_data(frame, "d")
        for turn in range(1, 5):
            part = frame.iloc[turn::7].sample(frac=1, random_state=turn).reset_index(drop=True).assign(v=turn)
            store.save_data(part, "d", mode="upsert", keys="k")
            frame.iloc[turn::7, 1] = turn
        assert_same(frame, store.get_data("d"))
        store.save_data(frame.iloc[:3].assign(k=[-1, -2, -3]), "d", mode="append")
        assert list(store.get_data("d")["k"]) == [*frame["k"], -1, -2, -3]

    def test_the_first_upsert_is_a_save(self, store: Any) -> None:
        """Nothing is there yet: the rows are saved as they are."""
        store.save_data(OLD, "d", mode="upsert", keys=["k"])
        assert_same(OLD, store.get_data("d"))

    def test_an_index_that_has_a_name_is_the_key(self, store: Any) -> None:
        """keys=None takes the named index, all levels of it, or the DatetimeIndex."""
        indexes = (
            pd.Index(["a", "b"], dtype=object, name="key"),
            pd.MultiIndex.from_arrays([[1, 1], pd.Index(["a", "b"], dtype=object)], names=["i", "j"]),
            pd.date_range("2024-01-01", periods=2),
        )
        for index in indexes:
            frame = pd.DataFrame({"x": [1, 2]}, index=index)
            store.save_data(frame, "d")
            store.save_data(frame.iloc[1:].assign(x=5), "d", mode="upsert")
            assert_same(frame.assign(x=[1, 5]), store.get_data("d"))

    def test_several_keys_tell_rows_apart_together(self, store: Any) -> None:
        """Rows are the same when all keys are equal; text, times and categories can be keys."""
        when = pd.to_datetime(["2024-01-01", "2024-01-01", "2024-01-02"])
        frame = pd.DataFrame({"who": text("a", "b", "a")["x"], "when": when, "v": [1, 2, 3]})
        store.save_data(frame, "d")
        store.save_data(frame.iloc[1:2].assign(v=20).reset_index(drop=True), "d", mode="upsert", keys=["when", "who"])
        assert_same(frame.assign(v=[1, 20, 3]), store.get_data("d"))

    def test_columns_that_the_frame_lacks_stay(self, store: Any) -> None:
        """Old rows keep the columns that did not come; new rows have nothing there."""
        store.save_data(OLD, "d")
        store.save_data(table(k=[1, 9], t=["A", "Z"]), "d", mode="upsert", keys=["k"])
        got = store.get_data("d")
        assert list(got["t"]) == ["c", "A", "b", "Z"]
        assert list(got["v"][:3]) == [0.5, 1.5, 2.5]
        assert np.isnan(got["v"].iloc[3])

    def test_a_new_row_without_a_value_that_must_be_is_refused(self, store: Any) -> None:
        """A column of plain integers holds nothing missing, so a new row must bring its value."""
        store.save_data(pd.DataFrame({"k": [1], "n": [5]}), "d")
        with self.unchanged(store, "d"), pytest.raises(SchemaError, match="'n'"):
            store.save_data(pd.DataFrame({"k": [1, 2]}), "d", mode="upsert", keys=["k"])
        store.save_data(pd.DataFrame({"k": [1]}), "d", mode="upsert", keys=["k"])

    def test_columns_that_are_new_are_added(self, store: Any) -> None:
        """A column that the dataset does not have is added; rows that did not come lack it."""
        store.save_data(OLD, "d")
        store.save_data(OLD.iloc[1:].assign(more=[7, 8]), "d", mode="upsert", keys=["k"])
        assert_same(OLD.assign(more=pd.array([None, 7, 8], dtype="Int64")), store.get_data("d"))
        store.save_data(table(k=[5], t=["z"], more=[9]), "d", mode="upsert", keys=["k"])
        got = store.get_data("d")
        assert list(got["more"].array) == [pd.NA, 7, 8, 9]
        assert str(got["more"].dtype) == "Int64"

    def test_types_grow(self, store: Any) -> None:
        """An upsert may bring wider types; values that stay are what they were."""
        store.save_data(pd.DataFrame({"k": np.array([1, 2], "int8"), "v": [10, 20]}), "d")
        store.save_data(pd.DataFrame({"k": [2, 300], "v": [0.5, 1.5]}), "d", mode="upsert", keys=["k"])
        wanted = pd.DataFrame({"k": [1, 2, 300], "v": [10.0, 0.5, 1.5]})
        assert_same(wanted, store.get_data("d"))

    def test_a_key_that_is_no_column_yet_is_refused(self, store: Any) -> None:
        """Rows can be told apart only by what is there."""
        store.save_data(OLD, "d")
        with self.unchanged(store, "d"), pytest.raises(KeysError, match="new"):
            store.save_data(OLD.assign(new=[1, 2, 3]), "d", mode="upsert", keys=["new"])

    def test_keys_that_tell_nothing_apart_are_refused(self, store: Any) -> None:
        """No keys, unknown, null or repeated ones, in the frame or in the dataset: KeysError, and nothing changes."""
        store.save_data(OLD, "d")
        with self.unchanged(store, "d"):
            for keys in (None, [], ["nothing"]):
                with pytest.raises(KeysError):
                    store.save_data(OLD, "d", mode="upsert", keys=keys)
            with pytest.raises(KeysError, match="missing"):
                store.save_data(OLD.assign(t=text("a", None, "b")["x"]), "d", mode="upsert", keys=["t"])
            with pytest.raises(KeysError, match="repeated"):
                store.save_data(pd.concat([OLD, OLD], ignore_index=True), "d", mode="upsert", keys=["k"])
        store.save_data(pd.concat([OLD, OLD], ignore_index=True), "twice")
        with self.unchanged(store, "twice"), pytest.raises(KeysError, match="repeated"):
            store.save_data(OLD, "twice", mode="upsert", keys=["k"])

    def test_values_that_do_not_fit_are_refused(self, store: Any) -> None:
        """An upsert holds its values exactly or changes nothing."""
        store.save_data(OLD, "d")
        for bad in (OLD.assign(v=text("a", "b", "c")["x"]), OLD.assign(t=[1, 2, 3])):
            with self.unchanged(store, "d"), pytest.raises(DataException):
                store.save_data(bad, "d", mode="upsert", keys=["k"])

    def test_missing_kinds_are_kept_or_refused(self, store: Any) -> None:
        """An upsert that mixes None and NaN in a column of objects keeps both, or is refused by name."""
        store.save_data(pd.DataFrame({"k": [1, 2], "t": text("a", None)["x"]}), "d")
        store.save_data(pd.DataFrame({"k": [1], "t": text(None)["x"]}), "d", mode="upsert", keys=["k"])
        assert_same(pd.DataFrame({"k": [1, 2], "t": text(None, None)["x"]}), store.get_data("d"))
        before = self.raw_state(store)
        try:
            store.save_data(pd.DataFrame({"k": [1], "t": text(np.nan)["x"]}), "d", mode="upsert", keys=["k"])
        except DataException:
            assert self.raw_state(store) == before
        else:
            assert_same(pd.DataFrame({"k": [1, 2], "t": text(np.nan, None)["x"]}), store.get_data("d"))

    def test_no_row_upserts_nothing(self, store: Any) -> None:
        """An empty frame changes no row."""
        store.save_data(PLAIN, "d")
        store.save_data(PLAIN.iloc[:0], "d", mode="upsert", keys=["n"])
        assert_same(PLAIN, store.get_data("d"))

    def test_float_keys_that_are_nan_are_refused(self, store: Any) -> None:
        """NaN equals nothing, so it is no key."""
        store.save_data(column([0.5, 1.5]), "d")
        with self.unchanged(store, "d"), pytest.raises(KeysError):
            store.save_data(column([np.nan]), "d", mode="upsert", keys=["x"])
