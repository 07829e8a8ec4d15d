"""DataHub: loaded when asked for, saved when it is safe to, and never one step's data changed by another."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework import DataFactory, as_settings
from framework.engine.hub import DataHub
from framework.engine.owning import own
from framework.errors import ConfigurationException, DatasetNotFoundError, StepError
from framework.formats.handlers.handler import DataHandler, Handlers, handler


@pytest.fixture
def hub(tmp_path: Path) -> DataHub:
    made = DataHub(tmp_path)
    made.add_data_sources(
        {
            "table": {"path": "table.csv"},
            "note": {"path": "note.json"},
            "frames": {"path": "out/frames", "handler": "dir"},
            "maybe": {"path": "maybe.json", "must_exist": False},
        }
    )
    (tmp_path / "note.json").write_text('{"n": [1]}')
    return made


def test_data_is_loaded_when_it_is_asked_for_and_once(hub: DataHub, caplog: pytest.LogCaptureFixture) -> None:
    """Naming it reads nothing; the second question is answered from memory."""
    assert not hub.describe()[2]["in_memory"]
    with caplog.at_level(logging.INFO, "millpond.hub"):
        first = hub.get("note")
        assert hub.get("note") is first
    assert [record.message for record in caplog.records] == ["loading note from note.json"]
    assert hub.describe()[2] == {
        "name": "note",
        "where": "note.json",
        "in_memory": True,
        "type": "dict",
        "rows": 1,
    }


@pytest.mark.parametrize("name", ["nothing", "table"])
def test_what_is_not_there_is_a_key_error_and_a_missing_file(hub: DataHub, name: str) -> None:
    """An unknown name, and a known one without its file: both errors at once."""
    with pytest.raises(DatasetNotFoundError) as caught:
        hub.get(name)
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, FileNotFoundError)


def test_an_unknown_name_is_told_with_the_nearest(hub: DataHub) -> None:
    """The cure names it."""
    with pytest.raises(DatasetNotFoundError, match="Did you mean 'table'"):
        hub.get("tabel")


def test_what_need_not_exist_is_none_until_it_does(hub: DataHub, tmp_path: Path) -> None:
    """must_exist: false."""
    assert hub.get("maybe") is None
    hub.release("maybe")
    (tmp_path / "maybe.json").write_text("3")
    assert hub.get("maybe") == 3


def test_what_is_registered_outside_of_a_step_is_saved_at_once(hub: DataHub, tmp_path: Path) -> None:
    """And held; what has no place is held alone."""
    frame = pd.DataFrame({"a": [1, 2]})
    hub.register("table", frame)
    assert pd.read_csv(tmp_path / "table.csv").equals(frame)
    hub.register("free", 3)
    assert hub.get("free") == 3
    assert hub.names() == ["frames", "free", "maybe", "note", "table"]
    assert "free" in hub
    assert "other" not in hub


def test_a_step_that_fails_has_registered_nothing(hub: DataHub, tmp_path: Path) -> None:
    """Within a step, what is registered is seen by the step alone until it has succeeded."""
    with hub.visited():
        hub.register("table", pd.DataFrame({"a": [1]}))
        hub.register("free", 3)
        assert hub.get("free") == 3
        assert "free" in hub.names()
        assert "free" in hub
    assert not (tmp_path / "table.csv").exists()
    assert "free" not in hub


def test_a_thread_that_a_step_starts_registers_for_the_step(hub: DataHub, tmp_path: Path) -> None:
    """Also what a helper thread registers waits for the step's success."""
    with hub.visited() as visit:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(hub.register, "note", {"n": 2}).result()
            assert pool.submit(hub.get, "note").result() == {"n": 2}
        assert json.loads((tmp_path / "note.json").read_text()) == {"n": [1]}
        assert visit.registered == {"note": {"n": 2}}


def test_a_hub_within_a_step_is_its_own(hub: DataHub, tmp_path: Path) -> None:
    """A step that uses another hub registers there, and at once."""
    other = DataHub(tmp_path / "other")
    other.add_data_sources({"x": {"path": "x.json"}})
    with hub.visited() as visit:
        other.register("x", 1)
        assert other.get("x") == 1
    assert visit.registered == {}
    assert (tmp_path / "other" / "x.json").exists()


MUTABLE = {
    "frame": (lambda: pd.DataFrame({"a": [1, 2]}), lambda v: v.__setitem__("a", 9)),
    "cells": (lambda: pd.DataFrame({"a": [[1], [2]]}), lambda v: v["a"].iloc[0].append(9)),
    "series": (lambda: pd.Series([1, 2]), lambda v: v.__setitem__(0, 9)),
    "array": (lambda: np.array([1, 2]), lambda v: v.__setitem__(0, 9)),
    "object array": (lambda: np.array([[1], None], dtype=object), lambda v: v[0].append(9)),
    "nested": (lambda: {"a": [pd.DataFrame({"x": [1]})]}, lambda v: v["a"][0].__setitem__("x", 9)),
    "tuple": (lambda: ([1],), lambda v: v[0].append(9)),
    "own class": (lambda: Holder(), lambda v: v.held.append(9)),
}


class Holder:
    def __init__(self) -> None:
        self.held = [1]

    def __repr__(self) -> str:
        return f"Holder({self.held})"


@pytest.mark.parametrize("kind", MUTABLE)
def test_a_step_changes_what_it_was_given_and_no_other_sees_it(hub: DataHub, kind: str) -> None:
    """What a later step reads is handed out as a copy; the last may have the data itself."""
    make, change = MUTABLE[kind]
    hub.register("free", make())
    with hub.visited():
        change(hub.get("free"))
    with hub.visited(frozenset({"free"})):
        assert str(hub.get("free")) == str(make())
        assert hub.get("free") is hub.get("free")


def test_what_cannot_be_changed_or_copied_is_handed_out_as_it_is() -> None:
    """Numbers and text, and an object that refuses to be copied."""
    lock = threading.Lock()
    for value in (1, "x", b"x", None, ..., lock):
        assert own(value) is value


def test_an_ellipsis_is_held_and_refused_only_where_it_is_saved(hub: DataHub) -> None:
    """`...` stands for data in sketches of a flow."""
    hub.register("free", ...)
    assert hub.get("free") is ...
    with pytest.raises(TypeError):
        hub.register("note", ...)
    assert hub.get("note") == {"n": [1]}


def test_an_iterator_is_saved_as_it_comes_and_read_from_its_place(tmp_path: Path) -> None:
    """Each who asks reads what was saved; without a place it is a list, which can be read twice."""
    hub = DataHub(tmp_path)
    hub.add_data_sources({"lines": {"path": "lines.jsonl"}})
    hub.register("lines", ({"n": n} for n in range(3)))
    assert len(hub.get("lines")) == 3
    hub.register("free", iter([1, 2]))
    assert hub.get("free") == hub.get("free") == [1, 2]


def test_save_writes_where_it_is_told(hub: DataHub, tmp_path: Path) -> None:
    """By the path's ending, or by the handler that is named."""
    hub.save(data={"a": 1}, path="some/x.json", handler_args={"indent": 2})
    assert (tmp_path / "some" / "x.json").read_text().startswith('{\n  "a"')
    hub.save("text", "x.unknown", {"name": "text"})
    assert (tmp_path / "x.unknown").read_text() == "text"


def test_what_is_let_go_of_is_loaded_again_or_told(hub: DataHub) -> None:
    """What has a place comes back; of what has none the error says what to write."""
    hub.register("note", {"n": 4})
    hub.release("note")
    assert hub.get("note") == {"n": 4}
    hub.register("free", 1)
    hub.release("free")
    with pytest.raises(DatasetNotFoundError, match=r"let go of.*inputs"):
        hub.get("free")


def test_data_that_a_step_should_have_made_is_not_read_from_before(hub: DataHub) -> None:
    """What was there stays, and is an error to read; where it need not exist it will do."""
    hub.lack("note", "maker")
    with pytest.raises(StepError, match="'maker' made nothing for 'note'"):
        hub.get("note")
    hub.lack("maybe", "maker")
    assert hub.get("maybe") is None
    hub.register("note", 1)
    assert hub.get("note") == 1


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_a_folder_takes_its_place_when_the_step_has_succeeded(hub: DataHub, tmp_path: Path) -> None:
    """Written beside, swapped in whole; what was in the old one is gone, and nothing is left over."""
    out = tmp_path / "out"
    (out / "frames").mkdir(parents=True)
    (out / "frames" / "old.png").write_bytes(b"old")
    (out / "frames").chmod(0o750)
    with hub.visited():
        folder = hub.staged("frames")
        assert folder is not None
        assert folder == hub.staged("frames")
        (folder / "new.png").write_bytes(b"new")
        written = (folder / "new.png").stat().st_ino
        assert names(out / "frames") == ["old.png"]
        hub.put("frames", folder)
    assert names(out / "frames") == ["new.png"]
    assert (out / "frames" / "new.png").stat().st_ino == written  # moved, not copied
    assert (out / "frames").stat().st_mode & 0o777 == 0o750
    assert names(out) == ["frames"]
    assert hub.get("frames") == out / "frames"
    assert hub.staged("table") is None


def test_a_folder_of_a_step_that_fails_is_as_it_was_and_nothing_is_left(hub: DataHub, tmp_path: Path) -> None:
    """Whatever the step had written."""
    with hub.visited():
        folder = hub.staged("frames")
        assert folder is not None
        (folder / "new.png").write_bytes(b"new")
    assert names(tmp_path / "out") == []


def test_what_a_killed_step_left_beside_a_folder_is_tidied(hub: DataHub, tmp_path: Path) -> None:
    """Also when nothing is written there again."""
    child = os.fork()
    if child == 0:
        with hub.visited():
            folder = hub.staged("frames")
            assert folder is not None
            (folder / "half.png").write_bytes(b"half")
            os._exit(9)
    os.waitpid(child, 0)
    assert len(names(tmp_path / "out")) == 1
    hub.tidy(["frames", "note", "free"])
    assert names(tmp_path / "out") == []


@handler(name="slow", extensions=[".slow"])
class Slow(DataHandler):
    """Takes its time, so that all who ask ask meanwhile."""

    def load(self, path: Path) -> list[str]:
        time.sleep(0.1)
        return [path.read_text()]


def test_many_threads_load_a_thing_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One loads, the others wait for it; all register without losing anything."""
    hub = DataHub(tmp_path, handlers=Handlers([Slow]))
    hub.add_data_sources({"note": {"path": "note.slow"}})
    (tmp_path / "note.slow").write_text("x")
    start = threading.Barrier(8)

    def work(number: int) -> int:
        start.wait()
        found = id(hub.get("note"))
        for each in range(50):
            hub.register(f"{number} {each}", each)
        return found

    with caplog.at_level(logging.INFO, "millpond.hub"), ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(work, range(8)))) == 1
    assert len([record for record in caplog.records if "loading" in record.message]) == 1
    assert len(hub.names()) == 1 + 400


# --------------------------------------------------------------------------- stores


@pytest.fixture(params=["csv", "parquet", "postgres"])
def in_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DataHub]:
    """A hub whose `table` lies in a store of each kind."""
    settings: dict[str, Any] = {"FS_DATA": str(tmp_path / "data")}
    if request.param == "postgres":
        settings |= {
            "DB_URL": request.getfixturevalue("postgres_url"),
            "DB_SCHEMA": request.getfixturevalue("postgres_schema"),
        }
    store = DataFactory(as_settings(settings, workspace=tmp_path)).create_store(request.param)
    hub = DataHub(tmp_path, open_store=lambda name: store)
    hub.add_data_sources(
        {
            "table": {"store": request.param, "dataset": "some/table"},
            "maybe": {"store": request.param, "dataset": "none", "must_exist": False},
        }
    )
    yield hub
    store.close() if hasattr(store, "close") else None


def test_an_entry_may_lie_in_a_store(in_store: DataHub) -> None:
    """Saved and loaded by the store, with a record by which it is known again; iterators as one table."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert in_store.get("maybe") is None
    with pytest.raises(KeyError):
        in_store.get("table")
    in_store.register("table", frame)
    in_store.release("table")
    pd.testing.assert_frame_equal(in_store.get("table"), frame)
    record = in_store.record("table")
    assert record.rows == 2
    assert record.fingerprint
    assert in_store.now(record) == record
    in_store.register("table", iter([frame, frame]))
    in_store.release("table")
    assert len(in_store.get("table")) == 4
    assert in_store.now(record) is None
    in_store.register("table", frame)
    again = in_store.now(record)
    assert again is not None
    assert again.fingerprint == record.fingerprint


def test_a_hub_that_knows_no_stores_says_how_to_give_it_some(tmp_path: Path) -> None:
    """The cure names both ways."""
    hub = DataHub(tmp_path)
    hub.add_data_sources({"table": {"store": "csv"}})
    with pytest.raises(ConfigurationException, match="open_store"):
        hub.get("table")
