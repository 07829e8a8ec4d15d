"""The data that a case names: where each piece lies, and how it is read and written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.engine.faults import Faults
from framework.yaml import Document, Route

FILE = "case.yaml"
KEYS = ("path", "handler", "handler_args", "must_exist", "store", "dataset", "outside", "allow_shrink")
TABLES = ("data_sources", "io_mapping")  # two spellings of one table
_OF_FILES = ("handler", "handler_args", "outside")  # what means nothing in a store


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of data.

    Attributes
    ----------
    name : str
    path : Path, optional
        A file or folder, absolute.
    store, dataset : str, optional
        A table of a store.
    handler : str, optional
        The name of its format; told by the file's ending unless given.
    options : mapping
        The handler's options.
    must_exist : bool, optional
        Whether it is an error when there is none; as the step says unless given.
    where : str
        `file:line`.
    allow_shrink : bool
        Whether a table may be emptied, or more than halved.
    """

    name: str
    path: Path | None = None
    store: str | None = None
    dataset: str | None = None
    handler: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    must_exist: bool | None = None
    where: str = ""
    shown: str = ""
    allow_shrink: bool = False

    @property
    def ref(self) -> str:
        """Where it lies, in a word: a path, or `store:dataset`."""
        return self.shown or (f"{self.store}:{self.dataset}" if self.store else str(self.path))


def read_entries(document: Document, folder: Path, faults: Faults) -> dict[str, Entry]:
    """The data of a case file, of both spellings."""
    found: dict[str, Entry] = {}
    seen: dict[str, str] = {}
    for table in TABLES:
        entries = document.value.get(table)
        if entries is None:
            continue
        if not isinstance(entries, dict):
            faults.add(document.where((table,)), f"{table} is not a mapping.", "Write `name: {path: ...}` under it.")
            continue
        for name, said in entries.items():
            where = document.where((table, name))
            if name in seen:
                cure = f"They are one table: take out one; the other is at {seen[name]}."
                faults.add(where, f"{name!r} is in data_sources and in io_mapping.", cure)
                continue
            seen[name] = where
            entry = _Reading(name, said, document, (table, name), folder, faults).entry()
            if entry is not None:
                found[name] = entry
    return found


def entry_of(name: str, said: Mapping[str, Any], folder: Path, where: str = "add_data_sources") -> Entry:
    """The entry that a mapping says, as `data_sources` would; CaseError with its faults."""
    faults = Faults()
    document = Document({"data_sources": {name: dict(said)}}, where, {})
    entry = _Reading(name, dict(said), document, ("data_sources", name), folder, faults).entry()
    faults.check(where)
    assert entry is not None
    return entry


@dataclass(slots=True)
class _Reading:
    name: str
    given: Any
    document: Document
    route: Route
    folder: Path
    faults: Faults

    def fault(self, key: str | None, message: str, cure: str | None = None) -> None:
        self.faults.add(self.document.where(self.route if key is None else (*self.route, key)), message, cure)

    def entry(self) -> Entry | None:
        """The entry; None where what is wrong with it leaves nothing to go on with."""
        said = {"path": self.given} if isinstance(self.given, str) else self.given
        if not isinstance(said, dict):
            self.fault(None, f"{self.name!r} is not a mapping.", "Write `path:`, or `store:` and `dataset:`, under it.")
            return None
        if isinstance(said.get("path"), os.PathLike):
            said = {**said, "path": os.fspath(said["path"])}
        for key in said:
            if key not in KEYS:
                where = self.document.where((*self.route, key))
                self.faults.unknown(where, f"{self.name!r} has no key {key!r}.", str(key), KEYS)
        for key in ("store", "dataset", "handler", "path"):
            if said.get(key) is not None and not (isinstance(said[key], str) and said[key].strip()):
                self.fault(key, f"{key} of {self.name!r} is {said[key]!r}.", "Write text.")
                return None
        for key in ("must_exist", "outside", "allow_shrink"):
            if not isinstance(said.get(key), (bool, type(None))):
                self.fault(key, f"{key} of {self.name!r} is {said[key]!r}.", "Write true or false.")
        return self._table(said) if said.get("store") is not None else self._file(said)

    def _table(self, said: Mapping[str, Any]) -> Entry | None:
        if said.get("path") is not None:
            self.fault("path", f"{self.name!r} has a path and a store.", "It lies in one place: take out one of them.")
            return None
        for key in _OF_FILES:
            if said.get(key) is not None:
                self.fault(key, f"{self.name!r} lies in a store, where {key} means nothing.", "Take it out.")
        return Entry(
            self.name,
            None,
            said["store"],
            said.get("dataset") or self.name,
            must_exist=said.get("must_exist"),
            where=self.document.where(self.route),
            allow_shrink=said.get("allow_shrink") is True,
        )

    def _file(self, said: Mapping[str, Any]) -> Entry | None:
        if said.get("dataset") is not None:
            self.fault("dataset", f"{self.name!r} has a dataset and no store.", "Write `store:` beside it.")
            return None
        path = said.get("path")
        if path is None:
            self.fault(
                None, f"{self.name!r} says no place.", "Write `path: folder/file.csv`, or `store:` and `dataset:`."
            )
            return None
        full = self._place(path, leave=said.get("outside") is True)
        handler, options, must_exist = self._handling(said)
        if full is None:
            return None
        shown = path if _inside(full, self.folder) else str(full)
        where = self.document.where(self.route)
        return Entry(self.name, full, None, None, handler, options, must_exist, where, shown)

    def _handling(self, said: Mapping[str, Any]) -> tuple[str | None, dict[str, Any], bool | None]:
        options = said.get("handler_args")
        if options is not None and not isinstance(options, dict):
            self.fault("handler_args", f"handler_args of {self.name!r} is not a mapping.", "Write `option: value`.")
        options = dict(options) if isinstance(options, dict) else {}
        named = options.pop("name", None)
        must_exist = said.get("must_exist", options.pop("must_exist", None))
        return said.get("handler") or named, options, must_exist if isinstance(must_exist, bool) else None

    def _place(self, path: str, *, leave: bool) -> Path | None:
        """Where a path leads; nothing where it may not."""
        if "\0" in path:
            self.fault("path", f"The path of {self.name!r} holds a NUL.")
            return None
        full = Path(self.folder, os.path.expanduser(path))
        if not (leave or _inside(full, self.folder)):
            said = f"The path of {self.name!r} leaves the case's folder: {path}."
            self.fault("path", said, "Write `outside: true` beside it if that is meant.")
            return None
        real, home = os.path.realpath(full), os.path.realpath(self.folder)
        if home == real or home.startswith(real.rstrip(os.sep) + os.sep):
            self.fault("path", f"The path of {self.name!r} is the case's own folder: {path}.", "Name one in it.")
            return None
        if real == os.path.join(home, FILE):
            self.fault("path", f"The path of {self.name!r} is the case's own file.", "Name another.")
            return None
        return full


def _inside(path: Path, folder: Path) -> bool:
    """Whether it lies in the folder, links followed."""
    real, home = os.path.realpath(path), os.path.realpath(folder)
    return real == home or real.startswith(home.rstrip(os.sep) + os.sep)
