"""Backups behind an address of fsspec, such as `s3://bucket/folder`, where nothing can be renamed.

The content goes up first, is read again and checked, and the manifest goes up last: without one it is no backup. What
a crash leaves is therefore not listed. Another machine may be at its backup of the same dataset, so leftovers are only
removed when they are a week older than a new manifest, by the clock of the place itself.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from framework.attempt import Attempt, attempt
from framework.errors import IntegrityError, UnavailableError
from framework.files import make_folder, storage_errors
from framework.redact import redact, register_secret
from framework.vault.manifest import NAME, Manifest
from framework.vault.refusals import refusal

LEFTOVER = timedelta(days=7)
PROBE = 30.0  # seconds
_BUCKETS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "r2", "tos", "obs")
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FSSPEC_S3_SECRET", "FSSPEC_S3_TOKEN")

T = TypeVar("T")
Files = dict[str, dict[str, str]]  # backup id -> name -> path


class RemotePlace:
    """Backups behind an address.

    Parameters
    ----------
    url : str
        `protocol://...`, without a password.
    options : mapping, optional
        What fsspec passes to the protocol's file system, such as `key`, `secret`, `endpoint_url`.
    scratch : Path
        A folder of this machine for what goes up and what came down, and for the locks.
    """

    folder: Path | None = None

    def __init__(self, url: str, *, options: Mapping[str, Any] | None = None, scratch: Path) -> None:
        self.url = url.rstrip("/")
        self.protocol = url.partition("://")[0]
        self._options = dict(options or {})
        self._scratch = scratch
        self._opened: tuple[int, Any, str] | None = None

    @property
    def shown(self) -> str:
        return redact(self.url)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePlace) and (other.url, other._options) == (self.url, self._options)

    def __hash__(self) -> int:
        return hash(self.url)

    def __repr__(self) -> str:
        return f"<RemotePlace {self.shown}>"

    # ------------------------------------------------------------------ what is there

    def homes(self, store: str) -> list[str]:
        def call(fs: Any, root: str) -> list[str]:
            fs.invalidate_cache()
            try:
                found = fs.ls(f"{root}/{store}", detail=True)
            except FileNotFoundError:
                self._check_bucket(fs, root)
                return []
            names = (entry["name"].rstrip("/") for entry in found if entry["type"] == "directory")
            return sorted(f"{store}/{name.rpartition('/')[2]}" for name in names)

        return self._do("listing", call)

    def ids(self, home: str) -> list[str]:
        def call(fs: Any, root: str) -> list[str]:
            return sorted(key for key, files in self._files(fs, root, home).items() if NAME in files)

        return self._do("listing", call)

    def manifests(self, home: str) -> list[Attempt[bytes]]:
        def call(fs: Any, root: str) -> list[Attempt[bytes]]:
            paths = {key: files[NAME] for key, files in self._files(fs, root, home).items() if NAME in files}
            read = fs.cat(list(paths.values()), on_error="return") if paths else {}
            answers = []
            for key, path in sorted(paths.items()):
                found = read.get(path)
                if isinstance(found, Exception) and not isinstance(found, FileNotFoundError):
                    raise found
                gone = found is None or isinstance(found, FileNotFoundError)  # pruned meanwhile, by another machine
                answers.append(Attempt(key, None if gone else found, FileNotFoundError(key) if gone else None, 0.0))
            return answers

        return self._do("listing", call)

    def manifest(self, home: str, backup_id: str) -> bytes | None:
        def call(fs: Any, root: str) -> bytes | None:
            try:
                return cast(bytes, fs.cat_file(f"{root}/{home}/{backup_id}/{NAME}"))
            except (FileNotFoundError, IsADirectoryError):
                return None

        return self._do(f"reading the backup {backup_id}", call)

    def _files(self, fs: Any, root: str, home: str) -> Files:
        """The files in a home, those of finished backups and of others."""
        fs.invalidate_cache()
        found: Files = {}
        try:
            paths = fs.find(f"{root}/{home}")
        except FileNotFoundError:
            paths = []
        for path in paths:
            backup_id, name = path.split("/")[-2:]
            if path.strip("/") == f"{root}/{home}/{backup_id}/{name}".strip("/"):
                found.setdefault(backup_id, {})[name] = path
        if not found:
            self._check_bucket(fs, root)
        return found

    def _check_bucket(self, fs: Any, root: str) -> None:
        bucket = root.partition("/")[0]
        if self.protocol in _BUCKETS and not fs.exists(bucket):
            raise FileNotFoundError(f"there is no bucket {bucket!r}, or none that may be seen")

    # ------------------------------------------------------------------ there and back

    @contextmanager
    def making(self, home: str, backup_id: str) -> Iterator[Path]:
        with storage_errors(f"the folder in which {backup_id} is made"):
            make_folder(self._scratch)
            self._sweep_scratch()
            # by this name a file store knows that what lies in it is a backup
            folder = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=self._scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _sweep_scratch(self) -> None:
        for left in self._scratch.glob(".*.partial"):
            tried = attempt(left.name, left.stat)
            if tried.value is not None and time.time() - tried.value.st_mtime > LEFTOVER.total_seconds():
                shutil.rmtree(left, ignore_errors=True)

    def keep(self, home: str, backup_id: str, made: Path, manifest: Manifest) -> None:
        try:
            self._do(f"writing the backup {backup_id}", partial(self._put, home, backup_id, made, manifest))
            with self.at_hand(home, backup_id, manifest.files) as copy:
                manifest.check(copy)
            self._do(f"writing the backup {backup_id}", partial(self._finish, home, backup_id, manifest))
        except BaseException:
            attempt(f"removing what there is of {backup_id}", partial(self.remove, home, backup_id))
            raise
        attempt(f"sweeping {home}", partial(self._do, "sweeping", partial(self._sweep, home, backup_id)))

    def _put(self, home: str, backup_id: str, made: Path, manifest: Manifest, fs: Any, root: str) -> None:
        folder = f"{root}/{home}/{backup_id}"
        if self.protocol not in _BUCKETS:  # where making a folder could make a bucket
            fs.makedirs(folder, exist_ok=True)
        for name in manifest.files:
            fs.put_file(str(made / name), f"{folder}/{name}")

    def _finish(self, home: str, backup_id: str, manifest: Manifest, fs: Any, root: str) -> None:
        path = f"{root}/{home}/{backup_id}/{NAME}"
        fs.pipe_file(path, manifest.dumps())
        there = self._files(fs, root, home).get(backup_id, {})
        if sorted(there) != sorted([*manifest.files, NAME]) or fs.cat_file(path) != manifest.dumps():
            raise IntegrityError(f"The backup {backup_id} does not lie in {self.shown} as it was written.")

    def _sweep(self, home: str, made: str, fs: Any, root: str) -> None:
        files = self._files(fs, root, home)
        now = fs.modified(files[made][NAME])
        for backup_id, left in files.items():
            if NAME not in left and now - max(map(fs.modified, left.values())) > LEFTOVER:
                fs.rm(f"{root}/{home}/{backup_id}", recursive=True)

    @contextmanager
    def at_hand(self, home: str, backup_id: str, names: Iterable[str]) -> Iterator[Path]:
        def fetch(fs: Any, root: str) -> None:
            for name in names:
                try:
                    fs.get_file(f"{root}/{home}/{backup_id}/{name}", str(folder / name))
                except FileNotFoundError:
                    (folder / name).unlink(missing_ok=True)

        with self.making(home, backup_id) as folder:
            self._do(f"reading the backup {backup_id}", fetch)
            yield folder

    def remove(self, home: str, backup_id: str) -> None:
        def call(fs: Any, root: str) -> None:
            folder = f"{root}/{home}/{backup_id}"
            with suppress(FileNotFoundError):  # another machine was first, or it never had one
                fs.rm_file(f"{folder}/{NAME}")  # first: from now on it is no backup
            with suppress(FileNotFoundError):
                fs.rm(folder, recursive=True)

        self._do(f"removing the backup {backup_id}", call)

    # ------------------------------------------------------------------ the rest

    def lock(self, home: str) -> Path:
        return self._scratch / "locks" / f"{home}.lock"

    def probe(self) -> None:
        answers: list[Attempt[list[str]]] = []
        thread = threading.Thread(
            target=lambda: answers.append(attempt("probe", lambda: self.homes(""))), daemon=True, name="millpond-probe"
        )
        thread.start()
        thread.join(PROBE)
        if not answers:
            raise UnavailableError(f"{self.shown} did not answer within {PROBE:g} s.", resource=self.shown)
        if answers[0].error is not None:
            raise answers[0].error

    def _do(self, what: str, call: Callable[[Any, str], T]) -> T:
        """What the call answers, given the file system and the path in it; whatever it raises, as our own."""
        done = attempt(what, lambda: call(*self._open()))
        if done.error is not None:
            raise refusal(done.error, shown=self.shown, protocol=self.protocol, what=what)
        return cast(T, done.value)

    def _open(self) -> tuple[Any, str]:
        if self._opened is None or self._opened[0] != os.getpid():  # its connections belong to the process
            for name in _SECRETS:
                register_secret(os.environ.get(name))
            from fsspec.core import url_to_fs

            fs, root = url_to_fs(self.url, **self._bounded())
            fs.retries = 2  # s3fs has tries of its own around those of the client
            self._opened = (os.getpid(), fs, str(root).rstrip("/"))
        return self._opened[1:]

    def _bounded(self) -> dict[str, Any]:
        """The options, with an end to the patience where one can be set."""
        options = dict(self._options)
        if self.protocol in ("s3", "s3a"):
            patience = {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 1}}
            options["config_kwargs"] = {**patience, **options.get("config_kwargs", {})}
        return options
