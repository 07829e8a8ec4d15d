"""What only ArcticDB has: versions, leases, one handle per process, pickles, maps that are full, symbols of others."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework import DataFactory, as_settings
from framework.errors import (
    DatasetNotFoundError,
    FormatError,
    IntegrityError,
    LockedError,
    OptionError,
    SettingError,
    StorageError,
    UnavailableError,
)
from framework.testing import assert_same, elsewhere
from framework.testing.suite import OTHER, PLAIN, StoreSuite, told

if int(pd.__version__.partition(".")[0]) > 2:
    pytest.skip("ArcticDB does not support pandas 3", allow_module_level=True)
pytest.importorskip("arcticdb", reason="the extra arctic is not installed")

from implementations.storage.arctic_store import handles, sharing
from implementations.storage.arctic_store.places import name_of, place_of, symbol_of
from implementations.storage.arctic_store.symbols import CHAIN

CANARY = "canary-3f9b"
SERIES = pd.DataFrame({"x": np.arange(6.0)}, index=pd.date_range("2024-01-01", periods=6, name="day"))


class Canary:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


class TestArcticAlone(StoreSuite):
    kind = "arctic"

    def library(self, store: Any, *, make: bool = True) -> Any:
        return handles.opened(store.place, store.library, self, make=make)

    def versions(self, store: Any, name: str) -> list[int]:
        with self.library(store) as library:
            return sorted(each.version for each in library.list_versions(symbol_of(name)))

    # ------------------------------------------------------------------ where it is

    def test_making_a_store_opens_nothing(self, tmp_path: Path) -> None:
        """A store that is made, listed, asked and probed while it is empty leaves no file, and loads no library."""
        code = (
            "import sys; from framework import DataFactory, as_settings\n"
            f"store = DataFactory(as_settings(workspace={str(tmp_path)!r})).create_store('arctic')\n"
            "assert 'arcticdb' not in sys.modules\n"
            "assert store.list_sources() == [] and store.health_check() and not store.exists('d')"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("lacking", "error", "cure"),
        [
            ("sys.modules['arcticdb'] = None", "MissingExtraError", 'pip install "millpond[arctic]"'),
            ("sys.path.insert(0, 'with pandas 3')", "MissingExtraError", '"pandas<3"'),
        ],
        ids=["no arcticdb", "pandas 3"],
    )
    def test_what_it_needs_is_said(self, tmp_path: Path, lacking: str, error: str, cure: str) -> None:
        """Without the package, or under pandas 3, it is listed, and making it is an error with the cure."""
        code = (
            f"import sys; {lacking}\nfrom framework import DataFactory\n"
            "factory = DataFactory(); assert 'arctic' in factory.list_data_sources()\n"
            "try: factory.create_data_source('arctic')\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        installed = tmp_path / "with pandas 3" / "pandas-3.0.1.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 3.0.1\n")
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(error)
        assert cure in done.stdout

    def test_the_settings_say_where(self, tmp_path: Path) -> None:
        """ARCTIC_URI wins; no host or localhost is a folder under FS_DATA; another host alone is an error."""
        own = str(tmp_path / "data/.millpond/arctic")
        for host in (None, "", "localhost"):
            place = place_of(as_settings(workspace=tmp_path, ARCTIC_HOST=host), None, None)
            assert str(place.folder) == own
        with pytest.raises(SettingError, match=r"ARCTIC_URI.*s3://db\.example"):
            DataFactory(as_settings(workspace=tmp_path, ARCTIC_HOST="db.example")).create_store("arctic")
        settings = as_settings(workspace=tmp_path, ARCTIC_HOST="db.example", ARCTIC_URI=f"lmdb://{tmp_path}/there")
        assert str(place_of(settings, None, None).folder) == f"{tmp_path}/there"

    def test_no_credential_is_shown(self, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
        """Identity, repr, options, errors and the log of a server that is down are without what its address holds."""
        uri = f"s3://127.0.0.1:bucket?port=1&region=eu&access=user-{CANARY}&secret={CANARY}%2F"
        store = self.make_store(tmp_path, uri=uri)
        said = [repr(store), repr(store.options), *store.identity, store.place.shown]
        assert store.place.shown == "s3://127.0.0.1:bucket&port=1&region=eu"
        with caplog.at_level(logging.DEBUG):
            assert store.health_check() is False
            assert isinstance(store.why_unusable(), UnavailableError)
            with pytest.raises(UnavailableError) as caught:
                store.get_data("d")
        said += [str(caught.value), repr(caught.value.__cause__), caplog.text, *capfd.readouterr()]
        assert not [text for text in said if CANARY in text]

    def test_libraries_are_apart(self, tmp_path: Path) -> None:
        """The option library= is another place for datasets."""
        one, two = self.make_store(tmp_path), self.make_store(tmp_path, library="other")
        one.save_data(PLAIN, "d")
        assert two.list_sources() == []
        two.save_data(OTHER, "d")
        assert_same(PLAIN, one.get_data("d"))
        assert one.identity != two.identity

    @pytest.mark.parametrize("option", [{"versions": 0}, {"versions": True}, {"map_size": "much"}, {"library": ""}])
    def test_an_option_that_cannot_be_is_refused(self, tmp_path: Path, option: dict[str, Any]) -> None:
        """A number of versions below one, and sizes that are none."""
        with pytest.raises(OptionError, match=next(iter(option))):
            self.make_store(tmp_path, **option)

    # ------------------------------------------------------------------ names

    @pytest.mark.parametrize(
        "name", ["a*b", "a&b", "<>", "a\nb", "ü/日本", "millpond~x", "=20", "%41", "日" * 300, "x" * 255]
    )
    def test_a_name_that_is_no_symbol_is_mapped(self, tmp_path: Path, name: str) -> None:
        """What ArcticDB does not take is kept under another symbol, and listed, renamed and deleted by its own name."""
        store = self.make_store(tmp_path)
        symbol = symbol_of(name)
        assert len(symbol) < 255
        assert symbol.isascii()
        assert name_of(symbol) in (name, None)
        store.save_data(PLAIN, name)
        assert store.list_sources() == [name]
        store.rename_data(name, "plain")
        store.rename_data("plain", name)
        assert store.list_sources() == [name]
        assert_same(PLAIN, store.get_data(name))
        store.delete_data(name)
        assert store.list_sources() == []

    # ------------------------------------------------------------------ to others' eyes

    def test_a_time_series_is_one_to_anybody(self, store: Any) -> None:
        """A sorted DatetimeIndex is the symbol's own: raw reads show it, and pick by its dates."""
        store.save_data(SERIES, "d")
        store.save_data(SERIES.shift(freq="6D"), "d", mode="append")
        with self.library(store) as library:
            span = (pd.Timestamp("2024-01-03"), pd.Timestamp("2024-01-08"))
            raw = library.read("d", date_range=span).data
        assert list(raw.index) == list(pd.date_range(*span))
        assert raw.index.name == "day"
        assert list(raw["x"]) == [2.0, 3.0, 4.0, 5.0, 0.0, 1.0]

    def test_rows_that_come_late_are_kept_in_their_order(self, store: Any) -> None:
        """Times appended before the last one are a table's rows like others, in the order in which they came."""
        store.save_data(SERIES, "d")
        store.save_data(SERIES.iloc[:2], "d", mode="append")
        both = pd.concat([SERIES, SERIES.iloc[:2]])
        assert_same(both, store.get_data("d"))
        assert_same(both[both.index <= "2024-01-02"], store.get_data("d", end="2024-01-02"))

    def test_a_column_called_index_beside_a_series_without_a_name(self, store: Any) -> None:
        """ArcticDB's own word for such an index hides no column."""
        frame = SERIES.rename_axis(None).assign(index=range(6), __index__="a")
        store.save_data(frame, "d")
        assert_same(frame, store.get_data("d"))
        assert_same(frame[["index"]], store.get_data("d", columns=["index"]))
        assert_same(frame.iloc[2:4], store.get_data("d", start="2024-01-03", end="2024-01-04"))

    def test_a_series_of_others_is_read_in_part(self, store: Any) -> None:
        """Columns and dates of what the raw library wrote are picked; its index stays one."""
        with self.library(store) as library:
            library.write("theirs", SERIES.assign(t=["a", None, "b", "c", "d", "e"], n=range(6)))
        got = store.get_data("theirs", columns=["n"], start="2024-01-02", end="2024-01-03", where=[("t", "not null")])
        assert list(got["n"]) == [2]
        assert got.index.name == "day"
        store.save_data(SERIES.assign(t="z", n=9), "theirs", mode="append")
        assert len(store.get_data("theirs")) == 12
        assert self.versions(store, "theirs") == [0, 1]  # theirs are not pruned

    def test_what_others_keep_beside_tables(self, store: Any) -> None:
        """A Series of theirs is a table of one column; an array is none, and is refused by name."""
        with self.library(store) as library:
            library.write("series", pd.Series([1.5, 2.5], name="s"))
            library.write("array", np.arange(3))
        assert list(store.get_data("series")["s"]) == [1.5, 2.5]
        with pytest.raises(FormatError, match="array"):
            store.get_data("array")

    # ------------------------------------------------------------------ nothing is unpickled

    def test_what_is_pickled_is_refused_and_not_run(self, store: Any, tmp_path: Path) -> None:
        """A pickled symbol, and pickled metadata, raise FormatError for each call; no code in them runs."""
        trace = tmp_path / "trace"
        with self.library(store) as library:
            library.write_pickle("pickled", {"x": Canary(trace)})
            library.write("noted", PLAIN, metadata={"x": Canary(trace)})
        for name in ("pickled", "noted"):
            calls = (store.get_data, store.describe, store.fingerprint, lambda name: list(store.iter_data(name)))
            for call in calls:
                with pytest.raises(FormatError, match="pickled"):
                    call(name)
        assert store.list_sources() == ["noted", "pickled"]
        assert not trace.exists()
        with self.library(store) as library:  # to the library's own user nothing has changed
            assert library.read("pickled").data is not None
        assert trace.exists()

    def test_a_pickled_symbol_is_replaced(self, store: Any, tmp_path: Path) -> None:
        """A save in its place leaves a table."""
        with self.library(store) as library:
            library.write_pickle("d", {"x": 1})
        store.save_data(PLAIN, "d")
        assert_same(PLAIN, store.get_data("d"))

    def test_a_damaged_record_is_an_error(self, store: Any) -> None:
        """A record whose checksum is another is no record: reading raises, saving anew mends it."""
        store.save_data(PLAIN, "d")
        with self.library(store) as library:
            item = library.read("d")
            note = item.metadata["millpond"].replace("rows", "ROWS", 1)
            library.write("d", item.data, metadata={"millpond": note})
            library.write("e", PLAIN[["n"]], metadata=item.metadata)
        for name in ("d", "e"):
            with pytest.raises(FormatError):
                store.get_data(name)
            store.save_data(PLAIN, name)
            assert_same(PLAIN, store.get_data(name))

    # ------------------------------------------------------------------ versions

    def test_versions_are_kept_and_pruned(self, tmp_path: Path) -> None:
        """As many as the option says, small ones up to ten more; the newest is what is read."""
        for keep in (1, 3):
            store = self.make_store(tmp_path, versions=keep, library=f"keeps {keep}")
            for value in range(40):
                store.save_data(pd.DataFrame({"n": [value]}), "d")
                assert keep <= len(self.versions(store, "d")) <= keep + 10 or value < keep
            assert list(store.get_data("d")["n"]) == [39]
            assert store.describe("d").version == 40

    @pytest.mark.slow
    def test_a_long_row_of_versions_is_cut(self, tmp_path: Path) -> None:
        """However often a dataset is saved, the record of deleted versions does not grow for ever."""
        store = self.make_store(tmp_path, versions=3)
        frame = pd.DataFrame({"n": [1]})
        with self.library(store) as library:
            for _ in range(CHAIN - 5):
                library.write("d", frame, prune_previous_versions=True)
        store.save_data(frame, "d")
        store.delete_data("d")
        for value in range(12):
            store.save_data(pd.DataFrame({"n": [value]}), "d")
        versions = self.versions(store, "d")
        assert versions[0] >= CHAIN
        assert list(store.get_data("d")["n"]) == [11]

    def test_a_version_that_is_read_is_not_pruned(self, tmp_path: Path) -> None:
        """Chunks go on from the version they began with, whatever is saved, and pruned, by whom."""
        store = self.make_store(tmp_path, versions=1)
        frame = pd.DataFrame({"n": range(250_000)})
        store.save_data(frame, "d")
        chunks = store.iter_data("d", chunk_rows=10_000)
        first = next(chunks)
        with self.process(elsewhere.replace_for_ever, self.recipe(tmp_path, versions=1), "d", 1) as (_, pipe):
            for value in range(1, 16):
                assert told(pipe) == value
        assert_same(frame, pd.concat([first, *chunks]))
        for value in range(16, 30):
            store.save_data(elsewhere.whole(value), "d")
        assert len(self.versions(store, "d")) <= 12

    def test_what_is_read_is_not_deleted(self, tmp_path: Path) -> None:
        """Deleting and renaming wait for the reader, then give up; once it has gone they go on."""
        store = self.make_store(tmp_path, lock_timeout=0.2)
        store.save_data(PLAIN, "d")
        chunks = store.iter_data("d", chunk_rows=1)
        next(chunks)
        for call in (lambda: store.delete_data("d"), lambda: store.rename_data("d", "e")):
            with pytest.raises(LockedError, match="being read"):
                call()
            assert store.list_sources() == ["d"]
        assert len(list(chunks)) == 2
        assert store.rename_data("d", "e") is True
        assert store.delete_data("e") is True

    def test_many_small_appends_are_joined(self, store: Any) -> None:
        """Rows appended one by one do not stay one by one, and none is lost on the way."""
        for value in range(130):
            store.save_data(pd.DataFrame({"n": [value]}), "d", mode="append")
        assert list(store.get_data("d")["n"]) == list(range(130))
        with self.library(store) as library:
            assert library.compact_data_explain_plan("d").num_row_slices_before < 60
        assert len(self.versions(store, "d")) <= 21

    def test_a_write_that_the_library_reports_otherwise_is_taken_back(self, store: Any) -> None:
        """When the version that is there afterwards is not the one that was written, the old one stays."""
        from implementations.storage.arctic_store.symbols import Symbol

        store.save_data(PLAIN, "d")
        with self.library(store) as library:
            symbol = Symbol(library, "d", store._locks, 3)
            at = symbol.latest()
            assert at is not None
            with pytest.raises(IntegrityError, match="reports 1 rows"):
                symbol.put(library.write, OTHER, at.metadata)
        assert_same(PLAIN, store.get_data("d"))

    # ------------------------------------------------------------------ handles

    def test_one_handle_for_all_stores_of_a_process(self, tmp_path: Path) -> None:
        """Two stores over one place, by whatever path, share its files; the last to close closes them."""
        (tmp_path / "link").symlink_to(tmp_path)
        one, two = self.make_store(tmp_path), self.make_store(tmp_path / "link")
        one.save_data(PLAIN, "d")
        assert_same(PLAIN, two.get_data("d"))
        assert len(_files_of(tmp_path)) == 6
        one.close()
        assert_same(PLAIN, two.get_data("d"))
        chunks = two.iter_data("d", chunk_rows=1)
        next(chunks)
        two.close()
        assert len(list(chunks)) == 2  # who reads goes on
        assert _files_of(tmp_path) == []
        assert_same(PLAIN, one.get_data("d"))

    def test_a_child_opens_its_own(self, store: Any) -> None:
        """After a fork, children and parent write side by side, and the parent's files outlive its children."""
        store.save_data(PLAIN, "d")
        children = [multiprocessing.get_context("fork").Process(target=_append, args=(store, 20)) for _ in range(2)]
        for child in children:
            child.start()
        for _ in range(20):
            store.save_data(OTHER, "d", mode="append")
        for child in children:
            child.join(60)
            assert child.exitcode == 0
        assert len(store.get_data("d")) == 3 + 60

    def test_a_full_map_leaves_the_old_data(self, tmp_path: Path) -> None:
        """A save beyond map_size raises StorageError with the cure; a larger one, after close, takes it."""
        store = self.make_store(tmp_path, map_size="2MB")
        store.save_data(PLAIN, "d")
        large = pd.DataFrame({"n": np.random.default_rng(3).random(1_000_000)})
        for mode in ("replace", "append"):
            with pytest.raises(StorageError, match="map_size"):
                store.save_data(large if mode == "replace" else large.assign(x=0.5, t="a"), "d", mode=mode)
            assert_same(PLAIN, store.get_data("d"))
        larger = self.make_store(tmp_path, map_size="100MB")
        with pytest.raises(SettingError, match="close"):
            larger.get_data("d")
        store.close()
        assert larger.save_data(large, "d") is True
        assert_same(large, larger.get_data("d"))

    # ------------------------------------------------------------------ deaths

    @pytest.mark.parametrize("gone", [False, True])
    def test_a_rename_that_died_is_old_or_new(self, store: Any, gone: bool) -> None:
        """While the old one is there, it is not done; with the old one gone it is; the next writer tidies up."""
        store.save_data(PLAIN, "old")
        note = sharing.Unsettled("new", "old")
        sharing.announce(store._locks, note)
        with self.library(store) as library:
            item = library.read("old")
            library.write("new", item.data, metadata=item.metadata)
            if gone:
                library.delete("old")
        there = "new" if gone else "old"
        assert store.list_sources() == [there]
        assert_same(PLAIN, store.get_data(there))
        with pytest.raises(DatasetNotFoundError):
            store.get_data("old" if gone else "new")
        store.save_data(OTHER, "old")
        assert store.list_sources() == (["new", "old"] if gone else ["old"])
        assert sharing.unsettled(store._locks) == []
        store.delete_data("old")
        assert store.list_sources() == (["new"] if gone else [])

    def test_deaths_at_any_moment_leave_old_or_new(self, tmp_path: Path) -> None:
        """SIGKILL while datasets are made, appended to, renamed and deleted: each is whole, listed, or not there."""
        chance, store = random.Random(5), self.make_store(tmp_path, versions=2)
        for death in range(15):
            with self.process(_come_and_go, self.recipe(tmp_path, versions=2)) as (process, pipe):
                assert told(pipe) == "begun"
                time.sleep(chance.uniform(0, 0.12))
                process.kill()
                process.join()
            listed = store.list_sources()
            assert sum(name in listed for name in ("one", "two")) <= 1, f"death {death}: {listed}"
            for name in ("one", "two"):
                frame = None
                with suppress(DatasetNotFoundError):
                    frame = store.get_data(name)
                assert (frame is not None) == (name in listed), f"death {death}"
                if frame is not None:
                    rows = len(frame)
                    assert list(frame["n"]) == list(range(rows))
                    assert rows in (1000, 1500)
                    assert store.describe(name).rows == rows
        for name in store.list_sources():
            store.delete_data(name)
        assert store.list_sources() == []
        store.save_data(PLAIN, "one")
        assert sharing.unsettled(store._locks) in ([], [sharing.Unsettled("two", "one")])

    @pytest.mark.parametrize("times", [40, pytest.param(150, marks=pytest.mark.slow)])
    def test_two_processes_append_to_one_symbol(self, tmp_path: Path, times: int) -> None:
        """Side by side, with versions pruned all the while: no row is lost."""
        store = self.make_store(tmp_path, versions=1)
        recipe = self.recipe(tmp_path, versions=1)
        with (
            self.process(elsewhere.append_rows, recipe, "d", 0, times) as (_, one),
            self.process(elsewhere.append_rows, recipe, "d", 1, times) as (_, two),
        ):
            assert told(one) == told(two) == "ready"
            one.send("go")
            two.send("go")
            assert told(one, 120) == told(two, 120) == "done"
        frame = store.get_data("d")
        for who in range(2):
            assert list(frame.loc[frame["who"] == who, "when"]) == list(range(2 * times))
        assert store.describe("d").version == 2 * times


def _files_of(place: Path) -> list[str]:
    folder = Path("/proc/self/fd")
    links = []
    for each in folder.iterdir():
        with suppress(OSError):
            links.append(os.readlink(each))
    return [link for link in links if link.startswith(os.path.realpath(place)) and link.endswith(".mdb")]


def _append(store: Any, times: int) -> None:
    for _ in range(times):
        store.save_data(OTHER, "d", mode="append")
    assert len(_files_of(store.place.folder)) == 12, "the parent's files are to be left alone, and others opened"


def _come_and_go(pipe: Any, recipe: elsewhere.Recipe) -> None:
    store = elsewhere.make(recipe)
    pipe.send("begun")
    frame = pd.DataFrame({"n": range(1500)})
    while True:
        for name in store.list_sources():
            store.delete_data(name)
        store.save_data(frame.iloc[:1000], "one")
        store.save_data(frame.iloc[1000:].reset_index(drop=True), "one", mode="append")
        store.rename_data("one", "two")
        store.rename_data("two", "one")
