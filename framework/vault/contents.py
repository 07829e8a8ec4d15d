"""What runs have read, kept by content, once each."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from framework.errors import IntegrityError, StorageError
from framework.files import copy_into, replacing, sha256, storage_errors

RECENT = 86400  # seconds for which what was kept stays, for its run may not be on record yet


class Contents:
    """Files by the hash of their bytes.

    Parameters
    ----------
    folder : Path
        Absolute; made by the first file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, path: Path) -> Mapping[str, Any]:
        """Keep a file, or all files of a folder: what `fetch` needs to give them back."""
        with storage_errors(f"keeping {path.name}"):
            if not path.is_dir():
                return {"name": path.name, "file": self._keep(path)}
            files = {os.path.relpath(file, path): self._keep(file) for file in _files(path)}
            folders = [os.path.relpath(folder, path) for folder in _empty_folders(path)]
            return {"name": path.name, "files": files, **({"folders": folders} if folders else {})}

    def _keep(self, path: Path) -> str:
        if not path.is_file():
            raise StorageError(f"{path} is no plain file, and cannot be kept.", resource=str(path))
        digest = sha256(path)
        target = self._place(digest)
        if target.is_file() and sha256(target) == digest:  # one that was damaged is written anew
            os.utime(target)  # it is wanted again: no sweep takes it before the run is on record
            return digest
        with replacing(target) as sink, open(path, "rb") as source:
            copy_into(sink, source)
            if sink.sha256 != digest:
                raise IntegrityError(
                    f"{path.name} was written while it was being kept.", cure="Run again.", resource=str(path)
                )
        return digest

    def fetch(self, kept: Mapping[str, Any], target: Path) -> None:
        """Put what was kept at `target`, checked against its hashes; IntegrityError when it is gone or damaged."""
        with storage_errors(f"fetching {kept['name']}"):
            if "file" in kept:
                self._fetch(kept["file"], target)
                return
            target.mkdir(parents=True, exist_ok=True)
            for name in kept.get("folders", ()):
                _within(target, name).mkdir(parents=True, exist_ok=True)
            for name, digest in kept["files"].items():
                self._fetch(digest, _within(target, name))

    def _fetch(self, digest: str, target: Path) -> None:
        source = self._place(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copyfile(source, target)
            if sha256(target) == digest:
                return
        raise IntegrityError(
            f"What was kept of {target.name} is {'damaged' if source.is_file() else 'gone'}.",
            cure="Runs whose inputs are gone cannot be replayed.",
            resource=digest,
        )

    def sweep(self, wanted: Collection[str]) -> int:
        """Remove what is not wanted any more: how many files. What was kept within the last day stays."""
        gone = 0
        for path in _files(self.folder) if self.folder.is_dir() else ():
            if path.name in wanted or _age(path) < RECENT:
                continue
            with suppress(FileNotFoundError):  # another sweep took it
                path.unlink()
                gone += not path.name.startswith(".")  # what a killed writer left counts for nothing
        return gone

    def _place(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest


def digests_of(kept: Mapping[str, Any]) -> Iterator[str]:
    """The hashes that something kept stands on."""
    if "file" in kept:
        yield kept["file"]
    yield from kept.get("files", {}).values()


def _files(folder: Path) -> list[Path]:
    return sorted(Path(place, file) for place, _, files in os.walk(folder) for file in files)


def _empty_folders(folder: Path) -> list[Path]:
    return sorted(Path(place) for place, folders, files in os.walk(folder) if not folders and not files)


def _within(folder: Path, name: str) -> Path:
    """The path of a file in the folder; IntegrityError for a name that leads out of it."""
    if os.path.isabs(name) or ".." in Path(name).parts:
        raise IntegrityError(f"{name!r} is not the name of a file in {folder.name}.", resource=name)
    return folder / name


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
