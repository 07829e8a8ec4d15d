"""The arctic store on an object store: moto's S3, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pytest

from framework.testing import assert_same, elsewhere
from framework.testing.examples import SAME
from framework.testing.suite import OTHER, PLAIN, StoreSuite, told

if int(pd.__version__.partition(".")[0]) > 2:
    pytest.skip("ArcticDB does not support pandas 3", allow_module_level=True)
pytest.importorskip("arcticdb", reason="the extra arctic is not installed")
pytest.importorskip("moto.server", reason="moto[server], a stand-in for S3, is not installed")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server that is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield port
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, "moto did not start"
            time.sleep(0.1)


class TestArcticOnS3(StoreSuite):
    """The core of what the suite asks of LMDB."""

    kind = "arctic"
    uri: str

    @pytest.fixture(autouse=True)
    def _bucket(self, port: int) -> None:
        bucket = f"bucket-{uuid4().hex[:12]}"
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{bucket}", method="PUT")
        urllib.request.urlopen(request, timeout=10).close()
        self.uri = f"s3://127.0.0.1:{bucket}?port={port}&access=me&secret=secret&region=us-east-1"

    def settings(self, place: Path) -> dict[str, Any]:
        return {"ARCTIC_URI": self.uri}

    def test_an_empty_bucket_stays_empty(self, store: Any) -> None:
        """Listing, asking and probing make nothing."""
        assert store.list_sources() == []
        assert not store.exists("d")
        assert store.health_check() is True

    def test_frames_come_back(self, store: Any) -> None:
        """Frames of each kind are held as they are on files."""
        for what in list(SAME)[::4]:
            frame = SAME[what]()
            store.save_data(frame, "d")
            assert_same(SAME[what](), store.get_data("d"))

    def test_the_calls(self, store: Any) -> None:
        """Append, upsert, rename, describe, read in part and in chunks, back up, restore, delete."""
        frame = pd.DataFrame({"x": [1, 2, 3]}, index=pd.date_range("2024-01-01", periods=3, name="day"))
        store.save_data(frame, "a/ü *", save_id="one")
        store.save_data(frame.shift(freq="3D"), "a/ü *", mode="append")
        store.save_data(frame.iloc[1:2].assign(x=20), "a/ü *", mode="upsert")
        assert store.list_sources() == ["a/ü *"]
        assert store.rename_data("a/ü *", "b") is True
        assert store.list_sources() == ["b"]
        assert list(store.get_data("b", start="2024-01-02", end="2024-01-04")["x"]) == [20, 3, 1]
        assert [len(chunk) for chunk in store.iter_data("b", chunk_rows=4, where=[("x", "<", 20)])] == [4, 1]
        assert (store.describe("b").rows, store.describe("b").version) == (6, 3)
        assert store.save_data(frame, "b", save_id="one") is True
        assert len(store.get_data("b")) == 6
        assert store.vault.backup_data("b")[0] is True
        store.save_data(OTHER, "b")
        assert store.vault.restore_data("b") is True
        assert len(store.get_data("b")) == 6
        store.delete_data("b")
        assert store.list_sources() == []

    def test_names_that_differ_are_different(self, store: Any) -> None:
        """A name is data, also as a part of an object's key."""
        names = sorted(["a", "A", "a ", "a.", "a/b", "..", "a%2Fb", "a+b", "x" * 200, "日本", "#?"])
        for place, name in enumerate(names):
            store.save_data(pd.DataFrame({"x": [place]}), name)
        assert store.list_sources() == names
        assert [int(store.get_data(name)["x"].iloc[0]) for name in names] == list(range(len(names)))

    def test_processes_of_one_host_lose_nothing(self, store: Any, tmp_path: Path) -> None:
        """A process and this one append to one symbol: every row is there."""
        with self.process(elsewhere.append_rows, self.recipe(tmp_path), "d", 0, 10) as (_, pipe):
            assert told(pipe) == "ready"
            pipe.send("go")
            for place in range(10):
                store.save_data(pd.DataFrame({"who": [1] * 2, "when": [2 * place, 2 * place + 1]}), "d", mode="append")
            assert told(pipe) == "done"
        frame = store.get_data("d")
        for who in range(2):
            assert list(frame.loc[frame["who"] == who, "when"]) == list(range(20))

    def test_a_place_of_ones_own(self, tmp_path: Path) -> None:
        """path_prefix tells two places in one bucket apart, and their identities."""
        one, two = (self.make_store(tmp_path, uri=f"{self.uri}&path_prefix={prefix}") for prefix in ("one", "two"))
        one.save_data(PLAIN, "d")
        assert two.list_sources() == []
        assert one.identity != two.identity
        assert "secret=" not in repr(one.identity)
