"""A folder of files, handed over as its path."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from framework.errors import FidelityError, FormatError
from framework.files import make_folder
from framework.formats.handlers.handler import DataHandler, handler

PROVIDES = {
    "kind": "handler",
    "name": "dir",
    "object": "DirHandler",
    "aliases": ["directory"],
    "summary": "A folder, as a Path; it is made if it is not there",
}


@handler(name="dir", aliases=["directory"])
class DirHandler(DataHandler):
    """A folder: loaded as its Path, saved from another folder or from a mapping of names to bytes."""

    handles_directories: ClassVar[bool] = True

    def load(self, path: Path) -> Path:
        make_folder(path)
        return path

    def save(self, data: Any, path: Path) -> None:
        """Put the files of `data` at `path`; nothing to do when they are there already."""
        if isinstance(data, Mapping):
            _write(data, path)
        elif isinstance(data, str | os.PathLike):
            _copy(Path(data), path)
        else:
            raise FidelityError(
                f"The dir handler saves a folder's path or a mapping of names to bytes, not {type(data).__name__}."
            )


def _write(files: Mapping[Any, Any], path: Path) -> None:
    for name, content in files.items():
        inside = isinstance(name, str) and "\0" not in name and not name.startswith("/")
        if not inside or not name or any(part in ("", ".", "..") for part in name.split("/")):
            raise FidelityError(f"{name!r} is not the name of a file in a folder.", cure="Write sub/a.png.")
        if not isinstance(content, bytes | bytearray | memoryview):
            raise FidelityError(
                f"The content of {name!r} is {type(content).__name__}, and bytes are saved.", cure="Encode it first."
            )
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _copy(source: Path, path: Path) -> None:
    if not source.is_dir():
        raise FormatError(f"{source} is not a folder, and its files were to be saved.", resource=str(source))
    real, target = Path(os.path.realpath(source)), Path(os.path.realpath(path))
    if real == target:
        return
    if target.is_relative_to(real):
        raise FormatError(f"{source} holds {path}, and cannot be copied into itself.", resource=str(source))
    names = list(_files(real, ""))
    path.mkdir(parents=True, exist_ok=True)
    for name, is_folder in names:
        if is_folder:
            (path / name).mkdir(exist_ok=True)
        else:
            shutil.copyfile(real / name, path / name)


def _files(folder: Path, before: str) -> Iterator[tuple[str, bool]]:
    """What is to be copied: plain files and folders, nothing that leads elsewhere or never ends."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = before + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield name, True
            yield from _files(folder / entry.name, name + "/")
        elif entry.is_file():
            yield name, False
        else:
            raise FormatError(
                f"{folder / entry.name} is no plain file or folder.", cure="Move it away.", resource=entry.path
            )
