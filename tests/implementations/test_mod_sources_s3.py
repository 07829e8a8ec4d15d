"""The mod that downloads files: from S3 as a server of its own gives it, from memory and from folders."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from framework.errors import (
    DatasetNotFoundError,
    IntegrityError,
    ParameterError,
    StorageError,
    UnavailableError,
)
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.redact import redact
from framework.steps import Made

SECRET = "c4nary-of-the-downloader"
KEYS = {"key": "AKIDTEST", "secret": SECRET}


@pytest.fixture
def bucket(s3: str) -> Any:
    """A bucket, past the mod."""
    import boto3

    access = {"aws_access_key_id": KEYS["key"], "aws_secret_access_key": SECRET}
    made = boto3.resource("s3", endpoint_url=s3, region_name="us-east-1", **access).Bucket(f"b{uuid4().hex}")
    made.create()
    return made


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Made]:
    def called(**params: Any) -> Made:
        folder, logger = tmp_path / "runs" / "r1" / "s3_downloader", logging.getLogger("millpond.mods")
        run = ModRun("r1", "s3_downloader", folder, tmp_path, logger)
        return Mods(tmp_path).load("s3_downloader").call(params, run)

    return called


def options(s3: str) -> dict[str, Any]:
    return {**KEYS, "endpoint_url": s3}


def test_a_file_comes_whole_from_s3(call: Any, s3: str, bucket: Any) -> None:
    """Its bytes lie in the run's folder under its own name, or where output_path says."""
    content = bytes(range(256)) * 40_000
    bucket.put_object(Key="in/day.bin", Body=content)
    made = call(url=f"s3://{bucket.name}/in/day.bin", storage_options=options(s3))
    path = Path(made.told.artifacts["output_data"])
    assert (path.name, path.read_bytes()) == ("day.bin", content)
    assert made.told.metrics["bytes"] == len(content)
    again = call(
        url=f"s3://{bucket.name}/in/day.bin",
        storage_options=options(s3),
        output_path="kept/here.bin",
        checksum=f"sha256:{hashlib.sha256(content).hexdigest()}",
        size=len(content),
    )
    assert Path(again.told.artifacts["output_data"]).read_bytes() == content


def test_a_pattern_brings_each_file_to_its_place(call: Any, s3: str, bucket: Any) -> None:
    """Files of several folders lie in folders of their names; others do not come."""
    for key in ("in/a/1.csv", "in/b/1.csv", "in/b/note.txt", "out/1.csv"):
        bucket.put_object(Key=key, Body=key.encode())
    made = call(url=f"s3://{bucket.name}/in/**/*.csv", storage_options=options(s3))
    folder = Path(made.told.artifacts["output_data"])
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a/1.csv": "in/a/1.csv", "b/1.csv": "in/b/1.csv"}
    assert made.told.metrics["files"] == 2


@pytest.mark.parametrize(
    "wrong", [{"checksum": f"md5:{'0' * 32}"}, {"size": 3}, {"max_bytes": 3}], ids=["checksum", "size", "max_bytes"]
)
def test_what_is_not_what_was_meant_leaves_the_old_file(call: Any, tmp_path: Path, wrong: dict[str, Any]) -> None:
    """A download that fails its checks changes nothing, and leaves nothing beside."""
    name = f"/{uuid4().hex}.csv"
    fsspec.filesystem("memory").pipe_file(name, b"id\n1\n")
    (tmp_path / "kept.csv").write_text("old")
    with pytest.raises((IntegrityError, StorageError)):
        call(url=f"memory:/{name}", output_path="kept.csv", **wrong)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir() if path.is_file()] == [("kept.csv", "old")]


class _Damaging(BaseHTTPRequestHandler):
    """An S3 whose object is not the one that its ETag is of."""

    protocol_version = "HTTP/1.1"
    content, meant = b"hwole content", b"whole content"

    def do_HEAD(self) -> None:
        self.send_response(206 if self.headers.get("Range") else 200)
        self.send_header("ETag", f'"{hashlib.md5(self.meant).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("Content-Range", f"bytes 0-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Last-Modified", "Wed, 01 May 2024 10:00:00 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_file_that_was_damaged_on_the_way_is_refused(call: Any, tmp_path: Path) -> None:
    """What comes is held against the ETag: the same length with other bytes is no download."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Damaging) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(IntegrityError, match="its md5 is"):
            call(url="s3://bucket/d.bin", storage_options=options(url))
        server.shutdown()
    assert not list(tmp_path.rglob("d.bin"))


def test_no_more_than_the_bound_is_fetched_of_what_does_not_tell_its_size(call: Any, tmp_path: Path) -> None:
    """A server that says no length sends as much as it likes; what is beyond the bound is not written."""

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"x" * 9_000_000)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/day.bin"
        with pytest.raises(StorageError, match="more than 5,000,000 bytes"):
            call(url=url, max_bytes=5_000_000, output_path="day.bin")
        assert not (tmp_path / "day.bin").exists()
        assert call(url=url, max_bytes=9_000_000, output_path="day.bin").told.metrics["bytes"] == 9_000_000
    finally:
        server.shutdown()
        server.server_close()


def test_a_file_of_this_machine_is_named_from_the_workspace_on(call: Any, tmp_path: Path) -> None:
    """file:// with a relative path begins at the workspace."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("id\n1\n")
    made = call(url="file://in/a.csv")
    assert Path(made.told.artifacts["output_data"]).read_text() == "id\n1\n"
    assert Path(made.told.artifacts["output_data"]).is_relative_to(tmp_path / "runs")


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"url": "file://gone.csv"}, DatasetNotFoundError, "gone.csv"),
        ({"url": "file://gone_*.csv"}, DatasetNotFoundError, "No file"),
        ({"url": "file://."}, ParameterError, "is a folder"),
        ({"url": "s4://b/x"}, ParameterError, "no protocol 's4'"),
        ({"url": "b/x"}, ParameterError, "no address"),
        ({"url": "s3://b/"}, ParameterError, "is a folder"),
        ({"url": "s3://b/x", "checksum": "md5:123"}, ParameterError, "hex digits"),
        ({"url": "s3://b/x*", "size": 1}, ParameterError, "pattern"),
    ],
    ids=["gone", "no-match", "folder", "protocol", "no-url", "slash", "checksum", "pattern"],
)
def test_what_is_wrong_is_named(call: Any, params: dict[str, Any], error: type[Exception], says: str) -> None:
    """Bad parameters end with exit code 20 and their cure."""
    with pytest.raises(error, match=says) as raised:
        call(**params)
    assert getattr(raised.value, "exit_code", None) == 20


def test_s3_that_has_no_such_file_or_does_not_answer(call: Any, s3: str, bucket: Any) -> None:
    """What is not there is not found; what does not answer cannot be reached; neither shows the key."""
    with pytest.raises(DatasetNotFoundError, match="gone"):
        call(url=f"s3://{bucket.name}/gone", storage_options=options(s3))
    with pytest.raises(UnavailableError, match="cannot be reached") as raised:
        call(url="s3://b/x", storage_options=options("http://127.0.0.1:9"))
    assert SECRET not in str(raised.value)
    assert SECRET not in redact(f"it said {SECRET}")
