"""The fingerprint of what a step gives or takes: equal for equal content, None where that cannot be known."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.checksums import CHUNK
from framework.errors import FidelityError

PLAIN = (str, int, float, bool, type(None))


def fingerprint_of(data: Any) -> str | None:
    """One text that is the same for the same content.

    Frames and series by `framework.schema`; plain values by their JSON, keys in order; bytes and arrays by dtype, shape
    and bytes; a Path by the content of the file or folder there. None for anything else.
    """
    if type(data) in (dict, list, *PLAIN):
        return _of_plain(data)
    if isinstance(data, bytes | bytearray | memoryview):
        return f"bytes:{hashlib.sha256(data).hexdigest()}"
    if isinstance(data, Path):
        return _of_path(data)
    if "pandas" in sys.modules:  # else it cannot be one of theirs
        return _of_array_or_frame(data)
    return None


def _of_plain(data: Any) -> str | None:
    try:
        if not _is_plain(data):
            return None
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):  # a number of thousands of digits; a list in itself
        return None
    return f"json:{hashlib.sha256(text.encode()).hexdigest()}"


def _is_plain(data: Any) -> bool:
    """Whether JSON tells it from all others: no key but text, no tuple, nothing derived."""
    if type(data) is dict:
        return all(type(key) is str for key in data) and all(map(_is_plain, data.values()))
    if type(data) is list:
        return all(map(_is_plain, data))
    return type(data) in PLAIN


def _of_array_or_frame(data: Any) -> str | None:
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return _of_frame(data)
    if isinstance(data, pd.Series):
        told = _of_frame(data.to_frame())
        return None if told is None else f"series{'' if data.name is not None else ' without a name'}:{told}"
    if isinstance(data, np.generic) or type(data) is np.ndarray:
        return _of_array(np.asarray(data))
    return None


def _of_frame(frame: Any) -> str | None:
    from framework.schema import encode, fingerprint

    try:
        return fingerprint(*encode(frame))
    except FidelityError:
        return None


def _of_array(array: Any) -> str | None:
    if array.dtype.hasobject:
        return None
    told = hashlib.sha256(repr((array.dtype.descr, array.shape)).encode())
    told.update(array.tobytes())
    return f"array:{told.hexdigest()}"


# --------------------------------------------------------------------------- files


def _of_path(path: Path) -> str | None:
    """By content alone: neither times nor the path itself count."""
    try:
        if path.is_dir():
            told = hashlib.sha256()
            for name, digest in _in_folder(path, ""):
                told.update(f"{len(name)}:{name}={digest}\n".encode(errors="surrogateescape"))
            return f"folder:{told.hexdigest()}"
        return f"file:{_of_file(path)}"
    except OSError:  # nothing there, or no plain file: nothing is known of it
        return None


def _in_folder(folder: Path, before: str) -> Iterator[tuple[str, str]]:
    """The names under a folder, sorted, with what stands for their content."""
    for name in sorted(os.listdir(folder)):
        path, shown = folder / name, before + name
        if path.is_dir():
            if path.is_symlink():
                raise OSError(f"{path} is a link to a folder")
            yield shown + "/", ""
            yield from _in_folder(path, shown + "/")
        else:
            yield shown, _of_file(path)


def _of_file(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is not a plain file")
    told = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            told.update(block)
    return told.hexdigest()
