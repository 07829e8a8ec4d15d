"""Zip files, which may stand for far more than they hold."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framework.errors import FormatError
from framework.formats.handlers.streams import as_format_errors


@contextmanager
def opened_zip(path: Path, what: str, *, most: int) -> Iterator[zipfile.ZipFile]:
    """The archive; what it says of sizes is what a member can at most give.

    Raises
    ------
    FormatError
        Not a zip file, a damaged one, or one that holds more than `most` bytes.
    """
    kinds = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
    with as_format_errors(path, what, *kinds), zipfile.ZipFile(path) as archive:
        check_size(archive, path, most)
        yield archive


def check_size(archive: zipfile.ZipFile, path: Path, most: int) -> None:
    """FormatError when the members together say that they are more than that."""
    total = sum(info.file_size for info in archive.infolist())
    if total > most:
        raise FormatError(
            f"{path.name} holds {total:,} bytes when it is unpacked, and {most:,} are allowed.",
            cure="If that is right, say max_bytes=.",
            resource=str(path),
        )
