"""What the calls of a store do and refuse: names, modes, columns, spans of time, what is on record."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework.errors import (
    ColumnNotFoundError,
    ConfigurationException,
    DataException,
    DatasetExistsError,
    DatasetNameError,
    DatasetNotFoundError,
    OptionError,
)
from framework.interfaces import Deletes, Describes, IDataSaver, IDataSource, Iterates, Renames
from framework.testing.examples import SAME, column, text, times
from framework.testing.same import assert_same
from framework.testing.suite import OTHER, PLAIN, PLAIN_ROWS, StoreSuite

BAD_NAMES = ["", " ", "a\0b", "\0", "x" * 3000, "\ud800", None, 7, b"bytes", ("t",)]


class Saving(StoreSuite):
    """The calls of a store, one after the other."""

    # ------------------------------------------------------------------ names

    @pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:20])
    def test_a_name_that_no_store_may_hold_is_refused(self, store: Any, name: Any) -> None:
        """Each call raises DatasetNameError for it, and nothing is made."""
        calls = (store.get_data, lambda name: store.save_data(PLAIN, name), store.delete_data, store.describe)
        with self.unchanged(store):
            for call in calls:
                with pytest.raises(DatasetNameError):
                    call(name)

    @pytest.mark.parametrize(
        "name", ["a", "two words", "AAA - energy", "x.y", "deep/er/name", "ü", "日本", "N" * 60, "-"]
    )
    def test_a_name_is_data(self, store: Any, name: str) -> None:
        """Letters of any script, digits, space, dot, dash and slashes between segments name a dataset."""
        store.save_data(PLAIN, name)
        assert store.list_sources() == [name]
        assert_same(PLAIN, store.get_data(name))
        store.delete_data(name)
        assert store.list_sources() == []

    def test_names_that_differ_are_different(self, store: Any) -> None:
        """Case, a final space or dot and a long common beginning make different datasets."""
        names = ["a", "A", "a ", "a.", "a/b", "a b", "x" * 150 + "1", "x" * 150 + "2"]
        for place, name in enumerate(names):
            store.save_data(column([place]), name)
        assert store.list_sources() == sorted(names)
        assert [int(store.get_data(name)["x"].iloc[0]) for name in names] == list(range(len(names)))

    # ------------------------------------------------------------------ what is not there

    def test_an_unknown_dataset_is_an_error_that_names_the_nearest(self, store: Any) -> None:
        """Reading, describing and deleting what is not there say what is."""
        store.save_data(PLAIN, "prices")
        for call in (store.get_data, store.describe, store.delete_data, store.fingerprint):
            with pytest.raises(DatasetNotFoundError, match=r"'price'.*Did you mean 'prices'\?.*Known: prices"):
                call("price")

    def test_an_empty_store_has_nothing(self, store: Any) -> None:
        """A store in which nothing was saved lists nothing, and says so."""
        assert store.list_sources() == []
        assert store.health_check() is True
        with pytest.raises(DatasetNotFoundError, match="There are none yet"):
            store.get_data("prices")

    def test_an_unknown_column_is_an_error_that_names_the_nearest(self, store: Any) -> None:
        """columns= with a label that is not there says what is."""
        store.save_data(pd.DataFrame({"price": [1], "volume": [2]}), "d")
        with pytest.raises(ColumnNotFoundError, match=r"'prise'.*Did you mean 'price'\?.*volume"):
            store.get_data("d", columns=["prise"])

    def test_an_unknown_option_is_an_error(self, tmp_path: Path) -> None:
        """A misspelt option names the one that it resembles; one that cannot be is refused."""
        with pytest.raises(OptionError, match=r"'tiem_column'.*Did you mean 'time_column'"):
            self.make_store(tmp_path, tiem_column="t")
        for option in ({"lock_timeout": "soon"}, {"lock_timeout": -1}, {"lock_timeout": float("nan")}):
            with pytest.raises(OptionError, match="lock_timeout"):
                self.make_store(tmp_path, **option)

    def test_an_unknown_mode_is_an_error(self, store: Any) -> None:
        """A mode other than the three is refused, and so are keys without an upsert."""
        with self.unchanged(store):
            with pytest.raises(OptionError, match=r"'apend'.*replace, append, upsert"):
                store.save_data(PLAIN, "kept", mode="apend")
            with pytest.raises(OptionError, match="upsert"):
                store.save_data(PLAIN, "kept", keys=["n"])

    # ------------------------------------------------------------------ reading a part

    def test_columns_are_given_in_the_order_asked_for(self, store: Any) -> None:
        """columns= picks and orders; the index always comes."""
        frame = PLAIN.set_index(pd.Index(["a", "b", "c"], dtype=object, name="key"))
        store.save_data(frame, "d")
        assert_same(frame[["t", "n"]], store.get_data("d", columns=["t", "n"]))
        assert_same(frame[[]], store.get_data("d", columns=[]))
        with pytest.raises(OptionError, match=r"columns=\['n'\]"):
            store.get_data("d", columns="n")

    @pytest.mark.parametrize("what", [what for what in SAME if "label" in what or "column" in what])
    def test_columns_of_any_label_can_be_picked(self, store: Any, what: str) -> None:
        """columns= takes the labels as they are, text or not, and gives what pandas gives for them."""
        frame = SAME[what]()
        store.save_data(frame, "d")
        for label in list(dict.fromkeys(frame.columns))[:5]:
            got = store.get_data("d", columns=[label])
            wanted = frame.loc[:, [known == label and type(known) is type(label) for known in frame.columns]]
            assert [*got.columns] == [*wanted.columns]
            assert got.index.equals(wanted.index)
            assert all(got.iloc[:, place].equals(wanted.iloc[:, place]) for place in range(wanted.shape[1]))

    def test_start_and_end_are_inclusive(self, store: Any) -> None:
        """start= and end= take the rows of the DatetimeIndex between them, both ends included."""
        frame = pd.DataFrame({"x": range(5)}, index=pd.date_range("2024-01-01", periods=5, name="day"))
        store.save_data(frame, "d")
        got = store.get_data("d", start="2024-01-02", end=pd.Timestamp("2024-01-04"), columns=["x"])
        assert_same(frame.iloc[1:4], got)
        assert_same(frame.iloc[3:], store.get_data("d", start="2024-01-04"))
        assert_same(frame.iloc[:0], store.get_data("d", end="2023-12-31"))
        got.iloc[0, 0] = 99

    def test_start_and_end_in_a_zone(self, store: Any) -> None:
        """A bound without a zone is in the index's own; one with another zone is the same moment."""
        index = pd.date_range("2024-01-01", periods=3, freq="h", tz="America/New_York")
        frame = pd.DataFrame({"x": range(3)}, index=index)
        store.save_data(frame, "d")
        assert_same(frame.iloc[1:], store.get_data("d", start="2024-01-01 01:00"))
        assert_same(frame.iloc[1:], store.get_data("d", start=datetime(2024, 1, 1, 6, tzinfo=UTC)))

    def test_start_and_end_by_a_column(self, tmp_path: Path) -> None:
        """The option time_column says what start= and end= apply to, read or not; a missing time is never between."""
        store = self.make_store(tmp_path, time_column="when")
        frame = pd.DataFrame({"x": range(3), "when": times(["2024-01-01", None, "2024-01-03"])})
        store.save_data(frame, "d")
        last = frame.loc[[2]].reset_index(drop=True)
        assert_same(last, store.get_data("d", start="2024-01-02"))
        assert_same(frame.loc[[0]].reset_index(drop=True), store.get_data("d", end="2024-01-01"))
        assert_same(last[["x"]], store.get_data("d", start="2024-01-02", columns=["x"]))
        store.save_data(PLAIN, "timeless")
        with pytest.raises(ColumnNotFoundError, match="when"):
            store.get_data("timeless", start="2024-01-01")

    def test_a_bound_that_cannot_be_compared_is_an_error(self, store: Any) -> None:
        """No times, no such time, a zone where there is none: each is an OptionError in words."""
        store.save_data(PLAIN, "timeless")
        store.save_data(pd.DataFrame({"x": [1]}, index=pd.to_datetime(["2024-01-01"])), "naive")
        with pytest.raises(OptionError, match="time_column"):
            store.get_data("timeless", start="2024-01-01")
        with pytest.raises(OptionError, match="'soon'"):
            store.get_data("naive", start="soon")
        with pytest.raises(OptionError, match="zone"):
            store.get_data("naive", end=datetime(2024, 1, 1, tzinfo=UTC))

    # ------------------------------------------------------------------ one save, tried again

    @pytest.mark.parametrize("mode", ["replace", "append", "upsert"])
    def test_a_save_that_is_tried_again_adds_nothing(self, store: Any, mode: Any) -> None:
        """The same save_id a second time changes nothing, also after other saves, and answers True."""
        given: dict[str, Any] = {"mode": mode, "keys": ["n"] if mode == "upsert" else None}
        store.save_data(PLAIN, "d")
        assert store.save_data(OTHER, "d", save_id="load-1", **given) is True
        store.save_data(OTHER.assign(n=8), "d", mode="append", save_id="load-2")
        with self.unchanged(store, "d"):
            for ours in ("load-1", "load-2"):
                assert store.save_data(OTHER, "d", save_id=ours, **given) is True
        store.save_data(OTHER, "d", mode="append", save_id="load-3")
        assert list(store.get_data("d")["n"])[-2:] == [8, 7]
        assert store.save_data(PLAIN, "elsewhere", save_id="load-1") is True
        assert_same(PLAIN, store.get_data("elsewhere"))

    def test_a_replace_takes_the_ids_of_earlier_saves_with_their_rows(self, store: Any) -> None:
        """What was replaced can be saved again under its id; the replace's own id stays on record."""
        store.save_data(PLAIN, "d")
        store.save_data(OTHER, "d", mode="append", save_id="load-1")
        store.save_data(PLAIN, "d")
        store.save_data(OTHER, "d", mode="append", save_id="load-1")
        assert list(store.get_data("d")["n"]) == [3, 1, 2, 7]
        store.save_data(PLAIN, "d", save_id="load-2")
        with self.unchanged(store, "d"):
            store.save_data(OTHER, "d", save_id="load-2")
        store.save_data(OTHER, "d", mode="append", save_id="load-1")
        assert list(store.get_data("d")["n"]) == [3, 1, 2, 7]

    def test_a_restore_brings_back_just_the_ids_of_the_saves_that_it_brings_back(self, store: Any) -> None:
        """A save that it undid can be made again; one that is in the backup is not made twice."""
        if store.vault is None:
            return
        store.save_data(PLAIN, "d", save_id="load-1")
        backup_id = store.vault.backup_data("d")[1]
        store.save_data(OTHER, "d", mode="append", save_id="load-2")
        store.vault.restore_data("d", backup_id)
        with self.unchanged(store, "d"):
            store.save_data(OTHER, "d", mode="append", save_id="load-1")
        store.save_data(OTHER, "d", mode="append", save_id="load-2")
        assert list(store.get_data("d")["n"]) == [3, 1, 2, 7]

    def test_an_id_that_is_none_is_refused(self, store: Any) -> None:
        """save_id= is text that is neither empty nor endless."""
        with self.unchanged(store):
            for bad in ("", "x" * 1000, 7):
                with pytest.raises(OptionError, match="save_id"):
                    store.save_data(PLAIN, "kept", save_id=bad)

    # ------------------------------------------------------------------ rename

    def test_a_dataset_can_be_renamed(self, store: Any) -> None:
        """rename_data moves rows, types and what is on record; the old name is free."""
        frame = PLAIN.set_axis(pd.Index([7, 8, 9], name="key"), axis=0)
        store.save_data(frame, "a b", save_id="one")
        store.save_data(frame, "a b", mode="append")
        assert store.rename_data("a b", "deep/er") is True
        assert store.list_sources() == ["deep/er"]
        assert_same(pd.concat([frame, frame]), store.get_data("deep/er"))
        assert store.describe("deep/er").version == 2
        with pytest.raises(DatasetNotFoundError):
            store.get_data("a b")
        store.save_data(OTHER, "a b")
        assert store.describe("a b").version == 1
        with self.unchanged(store, "deep/er"):
            store.save_data(frame, "deep/er", mode="append", save_id="one")

    def test_a_table_of_others_can_be_renamed(self, store: Any) -> None:
        """Its rows are read under the new name as they were under the old one."""
        self.raw_write(store, "theirs", [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}])
        frame = store.get_data("theirs")
        store.rename_data("theirs", "ours")
        assert store.list_sources() == ["ours"]
        assert_same(frame, store.get_data("ours"))

    def test_a_rename_that_cannot_be_changes_nothing(self, store: Any) -> None:
        """A name that is taken, its own too, one that is not there, one that no store holds: each is an error."""
        store.save_data(OTHER, "there")
        with self.unchanged(store):
            for taken in ("there", "kept"):
                with pytest.raises(DatasetExistsError, match=taken):
                    store.rename_data("kept", taken)
            with pytest.raises(DatasetNotFoundError, match="'kep'"):
                store.rename_data("kep", "new")
            with pytest.raises(DatasetNameError):
                store.rename_data("kept", "a\0b")

    # ------------------------------------------------------------------ what is on record

    def test_a_store_is_a_source_and_a_saver(self, store: Any) -> None:
        """The interfaces and the powers that every store has."""
        for power in (IDataSource, IDataSaver, Describes, Deletes, Renames, Iterates):
            assert isinstance(store, power)

    def test_a_description_tells_what_is_there(self, store: Any) -> None:
        """Rows, bytes, columns, index, time and version, counted up by each save."""
        before = datetime.now(UTC) - timedelta(seconds=2)
        store.save_data(OTHER, "d")
        store.save_data(PLAIN.set_axis(pd.Index([7, 8, 9], name="key"), axis=0), "d")
        told = store.describe("d")
        assert (told.name, told.store, told.rows, told.version) == ("d", store.name, 3, 2)
        assert dict(told.columns) == {"n": "int64", "x": "float64", "t": "object"}
        assert told.index == "key: int64"
        assert told.bytes > 0
        assert before <= told.saved_at <= datetime.now(UTC) + timedelta(seconds=2)
        store.save_data(PLAIN.set_axis(pd.Index([1, 2, 3], name="key"), axis=0), "d", mode="append")
        assert (store.describe("d").rows, store.describe("d").version) == (6, 3)

    def test_a_table_of_others_is_described(self, store: Any) -> None:
        """Rows and columns of a table that others made; no time and no version."""
        self.raw_write(store, "theirs", [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}])
        told = store.describe("theirs")
        assert (told.name, told.store, told.rows) == ("theirs", store.name, 2)
        assert list(told.columns) == ["n", "t"]
        assert (told.saved_at, told.version) == (None, None)

    def test_the_list_is_sorted_and_readable(self, store: Any) -> None:
        """list_sources gives names in order, each of which get_data takes."""
        for name in ("b", "a/z", "C", "a"):
            store.save_data(PLAIN, name)
        assert store.list_sources() == ["C", "a", "a/z", "b"]
        for name in store.list_sources():
            assert_same(PLAIN, store.get_data(name))

    def test_deleted_data_is_gone(self, store: Any) -> None:
        """delete_data removes the dataset and nothing else; a new one of that name starts anew."""
        store.save_data(PLAIN, "kept")
        before = self.raw_state(store)
        store.save_data(PLAIN, "d")
        assert store.delete_data("d") is True
        assert store.list_sources() == ["kept"]
        assert self.raw_state(store) == before
        with pytest.raises(DatasetNotFoundError):
            store.delete_data("d")
        store.save_data(OTHER, "d", mode="append")
        assert_same(OTHER, store.get_data("d"))
        assert store.describe("d").version == 1

    def test_the_raw_library_reads_just_the_rows(self, store: Any) -> None:
        """What is saved is an ordinary table: its rows, in their order, to anybody's eyes."""
        store.save_data(PLAIN, "d")
        assert self.raw_read(store, "d") == PLAIN_ROWS
        store.save_data(OTHER, "d", mode="append")
        assert self.raw_read(store, "d") == [*PLAIN_ROWS, (7, 8.5, "new")]
        store.save_data(OTHER, "d")
        assert self.raw_read(store, "d") == [(7, 8.5, "new")]

    # ------------------------------------------------------------------ save_with_backup

    def test_a_save_with_backup_keeps_what_it_replaces(self, store: Any, caplog: pytest.LogCaptureFixture) -> None:
        """The first save has nothing to keep and says so; the second leaves the first one in the vault."""
        if store.vault is None:
            with self.unchanged(store), pytest.raises(ConfigurationException, match="vault"):
                store.save_with_backup(OTHER, "kept")
            return
        with caplog.at_level(logging.INFO, logger="millpond"):
            assert store.save_with_backup(PLAIN, "d") is True
        assert any("nothing to back up" in record.getMessage() for record in caplog.records)
        assert store.vault.list_backups() == []
        assert store.save_with_backup(OTHER, "d", mode="append") is True
        (record,) = store.vault.list_backups("d")
        assert record.rows == 3
        assert len(store.get_data("d")) == 4
        assert store.vault.restore_data("d") is True
        assert_same(PLAIN, store.get_data("d"))

    def test_no_backup_no_save(self, store: Any) -> None:
        """When the backup cannot be made, or says that it made none, the save does not happen."""
        if store.vault is None:
            return
        store.save_data(PLAIN, "kept")
        store.settings.backup_folder.write_text("a file where the folder should be")
        with self.unchanged(store), pytest.raises(DataException):
            store.save_with_backup(OTHER, "kept")
        store.vault = _Forgetful()
        with self.unchanged(store), pytest.raises(DataException, match="backup"):
            store.save_with_backup(OTHER, "kept")

    def test_no_save_that_is_refused_makes_a_backup(self, store: Any) -> None:
        """Data that no store holds is refused before anything is backed up."""
        if store.vault is None:
            return
        with self.unchanged(store), pytest.raises(DataException):
            store.save_with_backup(text({1}, "a"), "kept")
        assert store.vault.list_backups() == []


class _Forgetful:
    """A backup service that finds nothing to keep."""

    def backup_data(self, source: str) -> tuple[bool, str | None]:
        return False, None
