"""A store among others: other threads, other processes, other tools, and deaths in the middle of a save."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from framework.errors import DatasetNotFoundError, LockedError
from framework.testing import elsewhere
from framework.testing.examples import column, text
from framework.testing.same import assert_same
from framework.testing.suite import OTHER, PLAIN, PLAIN_ROWS, StoreSuite, told


class Sharing(StoreSuite):
    """Others read and write the same place, and some of them die.

    Attributes
    ----------
    deaths : int
        How many writers are killed.
    reading_seconds : float
        How long a reader reads beside a writer.
    """

    deaths: ClassVar[int] = 20
    reading_seconds: ClassVar[float] = 1.5

    # ------------------------------------------------------------------ tables of others

    def test_a_table_of_others_is_read(self, store: Any) -> None:
        """What the raw library wrote is a dataset: listed, read in its order, its types found."""
        self.raw_write(store, "theirs", [{"n": 2, "x": 0.5, "t": "b"}, {"n": 1, "x": None, "t": None}])
        assert store.list_sources() == ["theirs"]
        wanted = pd.DataFrame({"n": [2, 1], "x": [0.5, None], "t": pd.Series(["b", None], dtype=object)})
        assert_same(wanted.set_axis(pd.Index(["n", "x", "t"], dtype=object), axis=1), store.get_data("theirs"))
        assert list(store.get_data("theirs", columns=["t", "n"]).columns) == ["t", "n"]

    def test_a_table_of_others_is_saved_over(self, store: Any) -> None:
        """A table that others made can be appended to, replaced, backed up and deleted like any other."""
        self.raw_write(store, "theirs", [{"n": 2, "t": "b"}, {"n": 1, "t": "a"}])
        store.save_data(pd.DataFrame({"n": [3], "t": ["c"]}), "theirs", mode="append")
        assert self.raw_read(store, "theirs") == [(2, "b"), (1, "a"), (3, "c")]
        if store.vault is not None:
            assert store.vault.backup_data("theirs")[0] is True
            store.save_data(OTHER, "theirs")
            assert store.vault.restore_data("theirs") is True
            assert list(store.get_data("theirs")["n"]) == [2, 1, 3]
        store.save_data(PLAIN, "theirs")
        assert_same(PLAIN, store.get_data("theirs"))
        store.delete_data("theirs")
        assert store.list_sources() == []

    def test_a_table_that_others_changed_is_read_as_it_is_now(self, store: Any) -> None:
        """When others put a table of the same name there, their rows and types are given, not those on record."""
        store.save_data(PLAIN, "d")
        self.raw_write(store, "d", [{"n": "x1", "more": 1.5}, {"n": "x2", "more": 2.5}])
        got = store.get_data("d")
        assert (list(got.columns), list(got["n"]), list(got["more"])) == (["n", "more"], ["x1", "x2"], [1.5, 2.5])
        assert store.describe("d").rows == 2
        store.save_data(PLAIN, "d")
        assert_same(PLAIN, store.get_data("d"))

    def test_rows_that_others_changed_are_read_as_they_are_now(self, store: Any) -> None:
        """Other rows under the same columns are given, whether or not their types are still those on record."""
        store.save_data(PLAIN, "d")
        self.raw_write(store, "d", [{"n": 5, "x": 1.5, "t": "their own"}])
        got = store.get_data("d")
        assert [tuple(row) for row in got.itertuples(index=False)] == [(5, 1.5, "their own")]

    # ------------------------------------------------------------------ one writer

    def test_a_second_process_waits_and_then_gives_up(self, tmp_path: Path) -> None:
        """While another process writes a dataset, a save of it waits its patience out and changes nothing."""
        store: Any = self.make_store(tmp_path, lock_timeout=0.3)
        store.save_data(PLAIN, "kept")
        with self.process(elsewhere.hold, self.recipe(tmp_path), "kept") as (_, pipe):
            assert told(pipe) == "held"
            with self.unchanged(store):
                for call, arguments in ((store.save_data, (OTHER, "kept")), (store.delete_data, ("kept",))):
                    began = time.monotonic()
                    with pytest.raises(LockedError, match="LOCK_TIMEOUT"):
                        call(*arguments)
                    assert 0.25 <= time.monotonic() - began < 5
            store.save_data(OTHER, "another")  # a lock is one dataset's
            assert_same(PLAIN, store.get_data("kept"))  # and readers do not wait
            pipe.send("let go")
            assert told(pipe) == "free"
            assert store.save_data(OTHER, "kept") is True

    def test_a_second_thread_waits_for_the_first(self, tmp_path: Path) -> None:
        """Threads that share a store take turns as processes do."""
        store, patient = self.make_store(tmp_path, lock_timeout=0.2), self.make_store(tmp_path)
        store.save_data(PLAIN, "kept")
        with ThreadPoolExecutor(1) as pool:
            with store.locked("kept"):
                with pytest.raises(LockedError):
                    pool.submit(store.save_data, OTHER, "kept").result(timeout=10)
                waiting = pool.submit(patient.save_data, OTHER, "kept")
                time.sleep(0.1)
                assert not waiting.done()
                assert store.save_data(PLAIN.iloc[:1], "kept") is True  # who holds the lock goes on
            assert waiting.result(timeout=10) is True
        assert_same(OTHER, store.get_data("kept"))

    def test_a_writer_that_fails_lets_go(self, tmp_path: Path) -> None:
        """An error under the lock frees it."""
        store = self.make_store(tmp_path, lock_timeout=0.3)
        with pytest.raises(ZeroDivisionError), store.locked("kept"):
            _ = 1 / 0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(self.make_store(tmp_path, lock_timeout=0.3).save_data, PLAIN, "kept").result() is True

    def test_processes_that_append_lose_nothing(self, store: Any, tmp_path: Path) -> None:
        """Two processes and a thread append to one dataset at once: every row is there, each writer's in its order."""
        times, recipe = 12, self.recipe(tmp_path)
        with (
            self.process(elsewhere.append_rows, recipe, "d", 0, times) as (_, one),
            self.process(elsewhere.append_rows, recipe, "d", 1, times) as (_, two),
        ):
            assert told(one) == told(two) == "ready"
            one.send("go")
            two.send("go")
            for place in range(times):
                rows = pd.DataFrame({"who": [2] * 2, "when": [2 * place, 2 * place + 1]})
                store.save_data(rows, "d", mode="append")
            assert told(one) == told(two) == "done"
        frame = store.get_data("d")
        for who in range(3):
            assert list(frame.loc[frame["who"] == who, "when"]) == list(range(2 * times)), f"writer {who}"
        assert len(frame) == 6 * times
        assert store.describe("d").version == 3 * times

    # ------------------------------------------------------------------ old or new

    def test_a_reader_beside_a_writer_sees_whole_saves_only(self, store: Any, tmp_path: Path) -> None:
        """While another process replaces a dataset over and over, every read is one save, and never an older one."""
        reads, newest, committed = 0, 0, 0
        with self.process(elsewhere.replace_for_ever, self.recipe(tmp_path), "d", 1) as (_, pipe):
            assert told(pipe) == 1
            end = time.monotonic() + self.reading_seconds
            while time.monotonic() < end:
                while pipe.poll():
                    committed = pipe.recv()
                value = elsewhere.value_of(store.get_data("d"))
                assert value >= max(newest, committed), "an older save was read after a newer one"
                newest, reads = value, reads + 1
                assert store.describe("d").rows > 0
        assert reads > 5
        assert newest > 3

    def test_readers_in_threads_see_whole_saves_only(self, store: Any) -> None:
        """One store object may be read by several threads while it is written."""
        store.save_data(elsewhere.whole(1), "d")
        stop = threading.Event()

        def read() -> int:
            count = 0
            while not stop.is_set():
                elsewhere.value_of(store.get_data("d"))
                count += 1
            return count

        with ThreadPoolExecutor(3) as pool:
            reading = [pool.submit(read) for _ in range(2)]
            try:
                for value in range(2, 14):
                    store.save_data(elsewhere.whole(value), "d")
            finally:
                stop.set()
            assert all(done.result(timeout=30) > 0 for done in reading)

    def test_a_reader_beside_a_deletion_is_told_so(self, store: Any) -> None:
        """A dataset that goes away while it is read is not found, or is the whole one that it was."""
        stop = threading.Event()

        def come_and_go() -> None:
            while not stop.is_set():
                store.save_data(elsewhere.whole(3), "d")
                store.delete_data("d")

        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(come_and_go)
            try:
                end = time.monotonic() + self.reading_seconds / 2
                while time.monotonic() < end:
                    with suppress(DatasetNotFoundError):
                        elsewhere.value_of(store.get_data("d"))
                    with suppress(DatasetNotFoundError):
                        store.describe("d")
                    assert store.list_sources() in ([], ["d"])
            finally:
                stop.set()
            going.result(timeout=30)

    def test_a_writer_that_is_killed_leaves_old_or_new(self, store: Any, tmp_path: Path) -> None:
        """SIGKILL at any moment of a save: the dataset is the last save or the next, and the next writer goes on."""
        chance, first = random.Random(20), 1
        for death in range(self.deaths):
            with self.process(elsewhere.replace_for_ever, self.recipe(tmp_path), "d", first) as (process, pipe):
                assert told(pipe) == first
                time.sleep(chance.uniform(0, 0.06))
                process.kill()
                process.join()
                committed = first
                with suppress(EOFError):
                    while pipe.poll():
                        committed = pipe.recv()
            value = elsewhere.value_of(store.get_data("d"))
            assert committed <= value <= committed + 1, f"death {death}"
            began = time.monotonic()
            store.save_data(elsewhere.whole(value + 1), "d")
            assert time.monotonic() - began < 5, "a dead writer kept the next one waiting"
            assert elsewhere.value_of(store.get_data("d")) == value + 1
            first = value + 2
        store.save_data(PLAIN, "d")
        lies = self.raw_state(store)
        store.delete_data("d")
        for _ in range(2):  # a store may keep something beside a dataset once it has been replaced
            store.save_data(PLAIN, "d")
        assert len(self.raw_state(store)) == len(lies), "a dead writer left something"

    def test_another_process_sees_what_was_saved(self, store: Any, tmp_path: Path) -> None:
        """A save that returned True is there for a process that starts afterwards."""
        frame = column([1, 2]).join(text("a", None).rename(columns={"x": "t"}))
        store.save_data(frame, "d")
        with self.process(elsewhere.read, self.recipe(tmp_path), "d") as (_, pipe):
            assert told(pipe) == {"x": [1, 2], "t": ["a", None]}

    def test_a_store_goes_on_after_a_fork(self, store: Any) -> None:
        """A child that was forked from a process with an open store uses its own handles; the parent's stay whole."""
        import multiprocessing

        store.save_data(PLAIN, "d")
        child = multiprocessing.get_context("fork").Process(target=_save_in_child, args=(store,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert_same(PLAIN, store.get_data("d"))
        assert_same(OTHER, store.get_data("from the child"))
        assert self.raw_read(store, "d") == PLAIN_ROWS


def _save_in_child(store: Any) -> None:
    store.save_data(OTHER, "from the child")
    assert_same(PLAIN, store.get_data("d"))
