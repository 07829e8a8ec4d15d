"""Backups behind an address: S3 as a server of its own gives it, and whatever else fsspec knows."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from framework import DataFactory, as_settings
from framework.errors import (
    BackupNotFoundError,
    IntegrityError,
    MissingExtraError,
    SettingError,
    StorageError,
    UnavailableError,
)
from framework.redact import redact
from framework.testing import assert_same
from framework.testing.examples import SAME
from framework.testing.suite import OTHER, PLAIN
from framework.vault import RemotePlace

SECRET = "c4nary-S3cret-k3y"
KEYS = {"key": "AKIDTEST", "secret": SECRET}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def client(s3: str) -> Any:
    """S3 past the vault."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id=KEYS["key"],
        aws_secret_access_key=KEYS["secret"],
    )


@pytest.fixture
def bucket(s3: str) -> str:
    name = f"b{uuid4().hex}"
    client(s3).create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["s3", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Settings under which backups lie behind an address."""
    if request.param == "memory":
        return {"workspace": tmp_path, "FS_BACKUP": f"memory://{uuid4().hex}/keep"}
    bucket, s3 = request.getfixturevalue("bucket"), request.getfixturevalue("s3")
    return on_s3(tmp_path, s3, bucket)


def on_s3(folder: Path, s3: str, bucket: str) -> dict[str, Any]:
    return {
        "workspace": folder,
        "FS_BACKUP": f"s3://{bucket}/deep/keep/",
        "BACKUP_OPTIONS": {**KEYS, "endpoint_url": s3},
    }


def store_of(place: dict[str, Any], kind: str = "parquet") -> Any:
    return DataFactory(as_settings(**place)).create_store(kind)


def backup(store: Any, name: str = "d") -> str:
    done, backup_id = store.vault.backup_data(name)
    assert done is True
    return str(backup_id)


def raw(store: Any) -> tuple[Any, str]:
    """The file system and the root of the backups, past the vault."""
    fs, root = store.vault.place._open()
    fs.invalidate_cache()
    return fs, root


# --------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_backup_behind_an_address_comes_back(place: dict[str, Any], kind: str) -> None:
    """Every kind of column, through the address and back, from this process and from another object."""
    store, frame = store_of(place, kind), SAME["all kinds side by side"]()
    store.save_data(frame, "d")
    backup_id = backup(store)
    assert store.vault.folder is None
    for between in (lambda: store.save_data(OTHER, "d"), lambda: store.delete_data("d")):
        between()
        other = store_of(place, kind)
        assert other.vault.verify_backup(backup_id) is True
        assert other.vault.restore_data("d", backup_id) is True
        assert_same(frame, store.get_data("d"))
    assert not (place["workspace"] / "backup").exists()
    assert list((place["workspace"] / "data" / ".millpond" / "vault").glob(".*.partial")) == []


@pytest.mark.parametrize("name", ["a b", "deep/er", "x.y", "ü/日本", "AAA - energy", "100"])
def test_any_dataset_can_be_backed_up(place: dict[str, Any], name: str) -> None:
    """Slashes, blanks and other scripts in a name do not confuse the address."""
    store = store_of(place)
    store.save_data(PLAIN, name)
    store.save_data(OTHER, "another")
    backup(store, name)
    assert [record.source for record in store.vault.list_backups()] == [name]
    store.delete_data(name)
    assert store.vault.restore_data(name) is True
    assert_same(PLAIN, store.get_data(name))


def test_backups_are_listed_pruned_and_not_found(place: dict[str, Any]) -> None:
    """Newest last, the oldest go, an unknown id names those that exist; a restore prunes nothing."""
    store = store_of({**place, "BACKUP_KEEP": 4})
    assert store.vault.list_backups() == []
    store.save_data(PLAIN, "e")
    made = [backup(store, "e")]
    for value in range(6):
        store.save_data(pd.DataFrame({"x": [value]}), "d")
        made.append(backup(store))
    assert [record.backup_id for record in store.vault.list_backups("d")] == made[3:]
    assert [record.backup_id for record in store.vault.list_backups()] == [made[0], *made[3:]]
    for wrong in ("nothing", "../" + made[-1], "", made[1]):
        with pytest.raises(BackupNotFoundError):
            store.vault.verify_backup(wrong)
    with pytest.raises(BackupNotFoundError, match="of 'e', not of 'd'"):
        store.vault.restore_data("d", made[0])
    store.vault.restore_data("d", made[3])
    assert list(store.get_data("d")["x"]) == [2]
    assert len(store.vault.list_backups("d")) == 5
    fs, root = raw(store)
    assert len(fs.find(f"{root}/parquet/d")) == 10


def test_all_datasets_are_backed_up(place: dict[str, Any]) -> None:
    """backup_all and health_check do what they do in a folder."""
    store = store_of(place)
    assert store.vault.health_check() is True
    for name in ("b", "a", "c/d"):
        store.save_data(PLAIN, name)
    assert [source for source, _ in store.vault.backup_all()] == ["a", "b", "c/d"]
    assert store.vault.covers(store)
    assert store_of(place).vault.covers(store)


def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    """`file:///...` is the folder of that name, with all that a folder can do."""
    store = store_of({"workspace": tmp_path, "FS_BACKUP": f"file://{tmp_path}/kept here"})
    assert store.vault.folder == tmp_path / "kept here"
    store.save_data(PLAIN, "d")
    backup_id = backup(store)
    assert (tmp_path / "kept here" / "parquet" / "d" / backup_id / "manifest.json").is_file()


# --------------------------------------------------------------------------- damage, crashes, others


def test_no_damage_goes_unnoticed(place: dict[str, Any]) -> None:
    """A bit flipped, a byte cut off, a file that is gone: verify and restore raise, and nothing changes."""
    store, chance = store_of(place), random.Random(7)
    store.save_data(PLAIN, "d")
    backup_id = backup(store)
    store.save_data(OTHER, "d")
    fs, root = raw(store)
    for path in fs.find(f"{root}/parquet/d/{backup_id}"):
        whole = fs.cat_file(path)
        bent = bytearray(whole)
        bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
        for damaged in (bytes(bent), whole[:-1], b""):
            fs.pipe_file(path, damaged)
            with pytest.raises(IntegrityError):
                store.vault.verify_backup(backup_id)
            with pytest.raises(IntegrityError):
                store.vault.restore_data("d", backup_id)
        fs.rm_file(path)
        kind = BackupNotFoundError if path.endswith("manifest.json") else IntegrityError
        with pytest.raises(kind):
            store.vault.restore_data("d", backup_id)
        fs.pipe_file(path, whole)
    assert_same(OTHER, store.get_data("d"))
    assert [record.backup_id for record in store.vault.list_backups()] == [backup_id]
    assert store.vault.damaged() == {}


def test_what_is_in_the_making_elsewhere_is_left_alone_for_a_week(place: dict[str, Any]) -> None:
    """Content without a manifest is no backup; it stays, for another machine may be at it, until it is a week old."""
    store = store_of(place)
    store.save_data(PLAIN, "d")
    backup(store)
    fs, root = raw(store)
    left = f"{root}/parquet/d/20200101T000000000000Z-aaaaaaaa"
    fs.pipe_file(f"{left}/data.parquet", b"half of it")
    assert len(store.vault.list_backups()) == 1
    backup(store)
    assert fs.exists(f"{left}/data.parquet")
    if fs.protocol == "memory":  # whose clock can be set
        fs.store[f"{left}/data.parquet"].created = datetime.now(UTC) - timedelta(days=6.9)
        fs.store[f"{left}/data.parquet"].modified = datetime.now(UTC) - timedelta(days=6.9)
        backup(store)
        assert fs.exists(f"{left}/data.parquet")
        fs.store[f"{left}/data.parquet"].created = datetime.now(UTC) - timedelta(days=7.1)
        fs.store[f"{left}/data.parquet"].modified = datetime.now(UTC) - timedelta(days=7.1)
        backup(store)
        assert not fs.exists(left)
    assert store.vault.damaged() == {}


class Dead(BaseException):
    """The process is no more."""


class Dying(MemoryFileSystem):  # type: ignore[misc]
    """A place whose client dies before its n-th change, and changes nothing any more after that."""

    protocol = "dying"
    left = 10**9

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("dying:/")))

    def _change(self) -> None:
        Dying.left -= 1
        if Dying.left < 0:
            raise Dead

    def put_file(self, lpath: Any, rpath: str, *args: Any, **kwargs: Any) -> None:
        self._change()
        super().put_file(lpath, rpath, *args, **kwargs)

    def pipe_file(self, path: str, value: Any, *args: Any, **kwargs: Any) -> None:
        self._change()
        super().pipe_file(path, value, *args, **kwargs)

    def rm_file(self, path: str) -> None:
        self._change()
        super().rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        for file in self.find(path):  # one after the other, as a server does
            self.rm_file(file)


class Lying(MemoryFileSystem):  # type: ignore[misc]
    """A place that takes content and keeps other bytes."""

    protocol = "lying"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("lying:/")))

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        whole = Path(lpath).read_bytes()
        self.pipe_file(rpath, whole[:-1] + bytes([whole[-1] ^ 1]))


def test_a_place_that_keeps_other_bytes_is_found_out_at_once(tmp_path: Path) -> None:
    """The backup is read again from where it lies: IntegrityError, nothing is listed, and nothing is left there."""
    fsspec.register_implementation("lying", Lying, clobber=True)
    store = store_of({"workspace": tmp_path, "FS_BACKUP": f"lying://{uuid4().hex}/x"})
    store.save_data(PLAIN, "d")
    with pytest.raises(IntegrityError):
        store.vault.backup_data("d")
    with pytest.raises(IntegrityError):
        store.save_with_backup(OTHER, "d")
    assert_same(PLAIN, store.get_data("d"))
    assert store.vault.list_backups() == []
    fs, root = raw(store)
    assert fs.find(root) == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_death_at_any_change_leaves_only_whole_backups(kind: str, tmp_path: Path) -> None:
    """Before each change that a backup with its pruning makes: what is listed verifies, and none too many are gone."""
    fsspec.register_implementation("dying", Dying, clobber=True)
    died = 0
    for after in range(20):
        store = store_of({"workspace": tmp_path, "FS_BACKUP": f"dying://{uuid4().hex}/x", "BACKUP_KEEP": 3}, kind)
        store.save_data(PLAIN, "d")
        Dying.left = 10**9
        for _ in range(3):
            backup(store)
        Dying.left = after
        try:
            backup(store)
        except Dead:
            died += 1
        Dying.left = 10**9
        listed = [record.backup_id for record in store.vault.list_backups("d")]
        assert [store.vault.verify_backup(key) for key in listed] == [True] * len(listed)
        assert len(listed) >= 3
        backup(store)
    assert 4 <= died < 20


_FOR_EVER = """
import sys
from framework import DataFactory, as_settings
import json
vault = DataFactory(as_settings(**json.loads(sys.stdin.readline()))).create_data_backup("parquet")
vault.backup_data("d")
print("ready", flush=True)
while True:
    vault.backup_data("d")
"""


def _elsewhere(place: dict[str, Any]) -> subprocess.Popen[str]:
    """Another process that backs up for ever; it has made one backup when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", _FOR_EVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({**place, "workspace": str(place["workspace"])}) + "\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "ready"
    return process


def test_a_backup_that_is_killed_is_whole_or_not_there(s3: str, bucket: str, tmp_path: Path) -> None:
    """SIGKILL at any moment of a backup to S3: whatever is listed verifies, and the next one goes on at once."""
    place, chance = on_s3(tmp_path, s3, bucket), random.Random(11)
    store = store_of(place)
    store.save_data(SAME["all kinds side by side"](), "d")
    for _ in range(4):
        process = _elsewhere(place)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.communicate()
        records = store.vault.list_backups()
        assert records
        assert [store.vault.verify_backup(record.backup_id) for record in records] == [True] * len(records)
        backup(store)


def test_two_machines_back_up_and_prune_at_once(s3: str, bucket: str, tmp_path: Path) -> None:
    """Without a lock in common, no backup is lost that should be kept, and none is listed that is not whole."""
    place = {**on_s3(tmp_path / "one", s3, bucket), "BACKUP_KEEP": 3}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    # the same data seen from two machines: one folder, but locks of their own
    one = store_of({**place, "FS_DATA": str(tmp_path / "data")})
    one.save_data(PLAIN, "d")
    two = store_of({**place, "workspace": tmp_path / "two", "FS_DATA": str(tmp_path / "data")})
    two.vault.place = RemotePlace(two.vault.place.url, options=place["BACKUP_OPTIONS"], scratch=tmp_path / "two" / "s")
    process = _elsewhere({**place, "FS_DATA": str(tmp_path / "data")})
    try:
        for _ in range(8):
            mine = backup(two)
            assert two.vault.verify_backup(mine) or True
    except BackupNotFoundError:
        pass  # the other one has made three more meanwhile
    finally:
        process.kill()
        process.communicate()
    records = two.vault.list_backups("d")
    assert len(records) >= 3
    assert [two.vault.verify_backup(record.backup_id) for record in records] == [True] * len(records)


# --------------------------------------------------------------------------- what can be wrong


def _told(place: dict[str, Any], caplog: pytest.LogCaptureFixture) -> str:
    """All that an unusable address makes the vault say."""
    store = store_of(place)
    store.save_data(PLAIN, "d")
    with caplog.at_level(logging.DEBUG, "millpond"):
        assert store.vault.health_check() is False
        with pytest.raises(Exception, match=r".") as caught:
            store.vault.backup_data("d")
    _ours(caught.value)
    with pytest.raises(type(caught.value)):
        store.vault.restore_data("d")
    assert_same(PLAIN, store.get_data("d"))
    return f"{caught.value!r} {caught.value} {caught.value.__cause__} {caught.value.__context__} {caplog.text}"


def _ours(error: BaseException) -> None:
    assert isinstance(error, (StorageError, SettingError, MissingExtraError)), error


@pytest.mark.timeout(120)
def test_an_endpoint_that_does_not_answer_is_an_error_in_bounded_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A closed port: UnavailableError with the address, no secret in it, the data untouched."""
    place = on_s3(tmp_path, f"http://127.0.0.1:{_free_port()}", "b")
    store = store_of(place)
    store.save_data(PLAIN, "d")
    with pytest.raises(UnavailableError, match="s3://b/deep/keep cannot be reached"):
        store.vault.backup_data("d")
    assert SECRET not in _told(place, caplog)


@pytest.mark.timeout(120)
def test_a_server_that_is_silent_is_an_error_in_bounded_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It takes the connection and never answers: UnavailableError, by the patience that BACKUP_OPTIONS can set."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        place = on_s3(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}", "b")
        place["BACKUP_OPTIONS"]["config_kwargs"] = {"read_timeout": 0.5}
        said = _told(place, caplog)
    assert "cannot be reached" in said
    assert SECRET not in said


def test_a_bucket_that_is_not_there_is_an_error_and_is_not_made(
    s3: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelled bucket is neither an empty list nor a new bucket."""
    name = f"nobody{uuid4().hex}"
    place = on_s3(tmp_path, s3, name)
    with pytest.raises(StorageError, match="there is no bucket"):
        store_of(place).vault.list_backups()
    said = _told(place, caplog)
    assert name in said
    assert SECRET not in said
    assert name not in [found["Name"] for found in client(s3).list_buckets()["Buckets"]]


def test_without_keys_the_cure_says_where_they_come_from(
    s3: str, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No credentials anywhere: StorageError that names the variables."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    place = {**on_s3(tmp_path, s3, bucket), "BACKUP_OPTIONS": {"endpoint_url": s3}}
    said = _told(place, caplog)
    assert "refuses access" in said
    assert "AWS_ACCESS_KEY_ID" in said


def test_keys_come_from_the_environment(s3: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As boto has them: without BACKUP_OPTIONS the environment is enough."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c4nary-of-the-environment")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    store = store_of({"workspace": tmp_path, "FS_BACKUP": f"s3://{bucket}"})
    store.save_data(PLAIN, "d")
    backup_id = backup(store)
    assert store.vault.verify_backup(backup_id)
    assert client(s3).list_objects_v2(Bucket=bucket)["KeyCount"] == 2
    assert redact("c4nary-of-the-environment") == "***"  # from now on, in every message and log


def test_access_that_is_denied_is_told_as_such(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server that answers 403 to everything: StorageError with the cure, and no secret."""
    script = (
        "import http.server, sys\n"
        "class Refuses(http.server.BaseHTTPRequestHandler):\n"
        "    def _no(self):\n"
        "        body = b'<Error><Code>AccessDenied</Code><Message>no, SECRET</Message></Error>'\n"
        "        self.rfile.read(int(self.headers.get('Content-Length') or 0))\n"
        "        self.send_response(403); self.send_header('Content-Length', str(len(body))); self.end_headers()\n"
        "        self.command == 'HEAD' or self.wfile.write(body)\n"
        "    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _no\n"
        "    def log_message(self, *args): pass\n"
        "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Refuses)\n"
        "print(server.server_address[1], flush=True); server.serve_forever()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script.replace("SECRET", SECRET)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        said = _told(on_s3(tmp_path, f"http://127.0.0.1:{port}", "b"), caplog)
    finally:
        server.kill()
        server.communicate()
    assert "refuses access" in said
    assert "BACKUP_OPTIONS" in said
    assert SECRET not in said


def test_an_unknown_protocol_is_an_error_that_names_the_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`s4://`: SettingError with the nearest."""
    said = _told({"workspace": tmp_path, "FS_BACKUP": "s4://b/x"}, caplog)
    assert "no protocol 's4'" in said
    assert "s3" in said


def test_a_missing_package_is_an_error_with_the_pip_line(tmp_path: Path) -> None:
    """Without fsspec, and without s3fs, the cure installs both; a folder needs neither."""
    for missing in ("fsspec", "s3fs"):
        code = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            "import pandas as pd\n"
            "from framework import DataFactory, as_settings\n"
            f"store = DataFactory(as_settings(workspace={str(tmp_path)!r}, FS_BACKUP='s3://b/x')).create_store('parquet')\n"
            "store.save_data(pd.DataFrame({'x': [1]}), 'd')\n"
            f"local = DataFactory(as_settings(workspace={str(tmp_path)!r})).create_store('parquet')\n"
            "assert local.vault.backup_data('d')[0]\n"
            "try:\n"
            "    store.vault.backup_data('d')\n"
            "except Exception as error:\n"
            "    print(type(error).__name__, error)\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout.startswith("MissingExtraError")
        assert 'pip install "millpond[s3]"' in ran.stdout


def test_a_folder_imports_nothing_of_it(tmp_path: Path) -> None:
    """Backups in a folder, and a vault over an address that is not used, load no fsspec."""
    code = (
        "import sys\n"
        "from framework import DataFactory, as_settings\n"
        f"settings = as_settings(workspace={str(tmp_path)!r}, FS_BACKUP='s3://b/x')\n"
        "DataFactory(settings).create_store('parquet')\n"
        "assert not {'fsspec', 's3fs', 'boto3', 'botocore'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "wrong",
    [
        f"sftp://me:{SECRET}@host/x",
        "simplecache::s3://b/x",
        "s3://b/x?versionId=1",
        "s3://b/[x]",
        "file://relative/x",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_once(wrong: str, tmp_path: Path) -> None:
    """A password, a chain, a pattern in FS_BACKUP: SettingError, and the password is not in it."""
    with pytest.raises(SettingError, match="FS_BACKUP") as caught:
        as_settings(workspace=tmp_path, FS_BACKUP=wrong)
    assert SECRET not in str(caught.value)


def test_no_secret_is_in_what_is_kept(s3: str, bucket: str, tmp_path: Path) -> None:
    """Neither the objects nor the folder of this machine hold the key that opened the place."""
    store = store_of(on_s3(tmp_path, s3, bucket))
    store.save_data(PLAIN, "d")
    backup(store)
    fs, root = raw(store)
    kept = [fs.cat_file(path) for path in fs.find(root)]
    kept += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) >= 3
    assert not [content for content in kept if SECRET.encode() in content]
    assert SECRET not in f"{store.vault!r} {store.vault.place!r} {store.settings!r} {store.settings.describe()}"
