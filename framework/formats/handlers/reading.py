"""A load with typed errors: what is missing, of the wrong kind, or not readable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from framework.errors import DatasetNotFoundError, FormatError, known_names
from framework.files import storage_errors
from framework.formats.handlers.writing import recover


class Loads(Protocol):
    """What a handler is here."""

    def load(self, path: Path) -> Any: ...


def load_checked(handler: Loads, path: Path, *, must_exist: bool = True) -> Any:
    """What the handler reads at that path; None when nothing is there and nothing need be.

    Raises
    ------
    DatasetNotFoundError
        Nothing is there; a FileNotFoundError too. Names the nearest that is.
    FormatError
        A folder where a file is expected, the reverse, or content that is not what the format demands.
    StorageError
        The system does not let it be read.
    """
    path = Path(path)
    folders = bool(getattr(handler, "handles_directories", False))
    with storage_errors(str(path)):
        if not path.exists():
            recover(path)
        if not path.exists() and not folders:
            if must_exist:
                raise _missing(path)
            return None
        _check_kind(path, folders=folders)
        return handler.load(path)


def _check_kind(path: Path, *, folders: bool) -> None:
    """FormatError for a folder that should be a file, and so on; a pipe would make the reader wait for ever."""
    if folders and path.exists() and not path.is_dir():
        raise FormatError(
            f"{path} is a file, and a folder is expected.", cure="Name another path or handler.", resource=str(path)
        )
    if not folders and path.is_dir():
        raise FormatError(
            f"{path} is a folder, and a file is expected.", cure="For a folder say handler: dir.", resource=str(path)
        )
    if not folders and not path.is_file():
        raise FormatError(f"{path} is not a plain file.", resource=str(path))


def _missing(path: Path) -> DatasetNotFoundError:
    folder = path.parent
    if not folder.is_dir():
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        lost = path.relative_to(folder).parts[0]
        cure = f"{folder} has no {lost!r}."
        return DatasetNotFoundError(f"There is no file {path}.", cure=cure, resource=str(path))
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    cure = known_names(path.name, names) if names else f"The folder {folder} is empty."
    return DatasetNotFoundError(f"There is no file {path}.", cure=cure, resource=str(path))
