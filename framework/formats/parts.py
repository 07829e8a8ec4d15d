"""A folder of part files that another tool wrote as one table: Spark, Dask, polars, DuckDB, Arrow.

It is one when all that lies in it are files of one kind, in it or in folders `column=value`, and something says that
they belong together: a mark (`_SUCCESS`, `_metadata`), such a folder, or names that only parts have. What begins with
`_` or a dot is passed over, as these tools do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

MARKS = ("_SUCCESS", "_metadata", "_common_metadata")
NOTHING = "__HIVE_DEFAULT_PARTITION__"
PART = re.compile(r"(part[-._]?[0-9].*|data_[0-9]+|[0-9]{8})")
FOLDER = re.compile(r"([^=/]+)=(.*)")
MOST_LEVELS = 8


@dataclass(frozen=True, slots=True)
class PartFile:
    """One part, with what its folders say of its rows."""

    path: Path
    values: dict[str, str | None]


def parts_of(folder: Path, suffixes: Sequence[str]) -> list[PartFile]:
    """The parts of the table that the folder is, in the order of their names; none if it is no such table."""
    try:
        found = list(_found(folder, suffixes, {}, 0))
        marked = any((folder / mark).is_file() for mark in MARKS)
    except (_Other, NotADirectoryError, FileNotFoundError):
        return []
    columns = {tuple(part.values) for part in found}
    if len(columns) != 1:
        return []
    named = all(PART.fullmatch(_stem(part.path.name, suffixes)) for part in found)
    return found if marked or named or columns != {()} else []


class _Other(Exception):
    """Something that no folder of parts holds."""


def _found(folder: Path, suffixes: Sequence[str], values: dict[str, str | None], level: int) -> Iterator[PartFile]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith(("_", ".")):
            continue
        if entry.is_dir(follow_symlinks=False):
            told = FOLDER.fullmatch(entry.name)
            if not told or level == MOST_LEVELS:
                raise _Other
            value = unquote(told[2])
            more = {**values, unquote(told[1]): None if value == NOTHING else value}
            yield from _found(folder / entry.name, suffixes, more, level + 1)
        elif entry.is_file(follow_symlinks=False) and entry.name.endswith(tuple(suffixes)):
            yield PartFile(folder / entry.name, values)
        else:
            raise _Other


def _stem(name: str, suffixes: Sequence[str]) -> str:
    return next((name.removesuffix(suffix) for suffix in suffixes if name.endswith(suffix)), name)
