"""DataHub: all data of a run, by name. Loaded when first asked for, saved when registered, let go of when done with."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.engine.entries import Entry, entry_of
from framework.engine.owning import own
from framework.engine.records import ABSENT, Place, Record, Stamp, record_of, rows_of, stamp_of
from framework.errors import ConfigurationException, DataException, DatasetNotFoundError, StepError, known_names
from framework.files import make_folder, storage_errors, sync_folder
from framework.formats.handlers.handler import DataHandler, Handlers, load_checked, save_atomically
from framework.formats.handlers.writing import recover, staging, swap, sync_tree
from framework.mods.guard import replaced
from framework.store import Store

OpenStore = Callable[[str], Store]


@dataclass(slots=True)
class Visit:
    """What one step does to the hub: what it has read and what it has registered so far."""

    hub: DataHub
    read: list[str] = field(default_factory=list)
    registered: dict[str, Any] = field(default_factory=dict)
    staged: dict[str, Path] = field(default_factory=dict)
    last: frozenset[str] = frozenset()  # names that no later step reads, so that it may have the data itself
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the tables that it saved
    open: ExitStack = field(default_factory=ExitStack)


_visit: ContextVar[Visit | None] = ContextVar("millpond_visit", default=None)


class DataHub:
    """The data of a run.

    Parameters
    ----------
    case_path : path
        Where relative paths begin.
    logger : logging.Logger, optional
    handlers : Handlers, optional
        The file formats that it knows; those of Millpond unless given.
    open_store : callable, optional
        Gives the store of a name, for data that lies in one.
    """

    def __init__(
        self,
        case_path: str | os.PathLike[str],
        logger: logging.Logger | None = None,
        *,
        handlers: Handlers | None = None,
        open_store: OpenStore | None = None,
    ) -> None:
        self.case_path = Path(case_path)
        self.logger = logger or logging.getLogger("millpond.hub")
        self.handlers = handlers or Handlers()
        self._open_store = open_store
        self._data: dict[str, Any] = {}
        self._entries: dict[str, Entry] = {}
        self._records: dict[str, Record] = {}
        self._loaded_at: dict[str, Stamp | None] = {}
        self._made: set[str] = set()  # what was registered, not loaded
        self._lacking: dict[str, str] = {}  # what a step should have made and did not, and which
        self._let_go: set[str] = set()
        self._visits: list[Visit] = []
        self._guard = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    # ------------------------------------------------------------------ what there is

    def add_data_sources(self, sources: Mapping[str, Entry | Mapping[str, Any]]) -> None:
        """Name more data: each an Entry, or `{path, handler, handler_args, must_exist}`, or `{store, dataset}`."""
        for name, said in sources.items():
            self._entries[name] = said if isinstance(said, Entry) else entry_of(name, said, self.case_path)

    def names(self) -> list[str]:
        """All names, of what is in memory and of what can be loaded."""
        visit = self._here()
        return sorted({*self._data, *self._entries, *(visit.registered if visit else ())})

    def __contains__(self, name: object) -> bool:
        visit = self._here()
        return self.holds(name) or (visit is not None and name in visit.registered)

    def holds(self, name: object) -> bool:
        """Whether it is in memory or can be loaded, whatever the step that runs has registered so far."""
        return name in self._data or name in self._entries

    def was_made(self, name: str) -> bool:
        """Whether it was registered in this run, not loaded."""
        return name in self._made

    def entry(self, name: str) -> Entry | None:
        """Where that data lies; None for what is in memory alone."""
        return self._entries.get(name)

    def describe(self) -> list[dict[str, Any]]:
        """Of each name: where it lies, whether it is in memory, its type, its rows."""
        rows = []
        for name in self.names():
            value, entry = self._data.get(name), self._entries.get(name)
            shape = len(value) if value is not None and hasattr(value, "__len__") else None
            rows.append(
                {
                    "name": name,
                    "where": entry.ref if entry else "memory",
                    "in_memory": name in self._data,
                    "type": type(value).__name__ if name in self._data else None,
                    "rows": shape,
                }
            )
        return rows

    # ------------------------------------------------------------------ reading

    def get(self, name: str) -> Any:
        """The data of that name, loaded if it is not in memory.

        Raises
        ------
        DatasetNotFoundError
            There is none of that name, or no file where it should lie. It is a KeyError and a FileNotFoundError.
        FormatError
            What lies there cannot be read.
        """
        visit = self._here()
        if visit is None:
            return self._get(name)
        if name in visit.registered:
            return visit.registered[name]
        if name not in visit.read:
            visit.read.append(name)
        value = self._get(name)
        return value if name in visit.last else own(value)

    def _here(self) -> Visit | None:
        """What the step that asks does; also from a thread that it started, as long as no other step runs."""
        visit = _visit.get()
        if visit is not None and visit.hub is self:
            return visit
        return self._visits[0] if len(self._visits) == 1 and visit is None else None

    def _get(self, name: str) -> Any:
        if name in self._data:
            return self._data[name]
        with self._guard:
            lock = self._loading.setdefault(name, threading.Lock())
        with lock:
            if name in self._data:
                return self._data[name]
            value = self._load(name)
            if not hasattr(value, "__next__"):  # it can be taken once: who asks next loads again
                self._data[name] = value
            return value

    def _load(self, name: str) -> Any:
        entry = self._entries.get(name)
        if name in self._lacking and (entry is None or entry.must_exist is not False):
            raise StepError(
                f"{self._lacking[name]!r} made nothing for {name!r}, which is to be read now.",
                cure=f"Let it make {name!r}, or say `must_exist: false` if what was there before will do.",
                resource=name,
            )
        if entry is None:
            raise self._unknown(name)
        stamp = stamp_of(self._place(entry))
        known = self._records.get(name)
        if known is not None and known.stamp != stamp:
            self._records.pop(name, None)
        self._loaded_at[name] = stamp
        value = self._read(entry)
        if isinstance(value, Path) and stamp is None:  # it was made just now
            self._loaded_at.pop(name, None)
        return value

    def _read(self, entry: Entry) -> Any:
        wanted = entry.must_exist is not False
        self.logger.info("loading %s from %s", entry.name, entry.ref)
        if entry.store is not None:
            store = self.store(entry)
            dataset = store.canonical(str(entry.dataset))
            return store.get_data(dataset) if wanted or store.exists(dataset) else None
        assert entry.path is not None
        return load_checked(self._handler(entry), entry.path, must_exist=wanted)

    def _handler(self, entry: Entry) -> DataHandler:
        return self.handlers.make(name=entry.handler, path=entry.path, options=entry.options)

    def _unknown(self, name: str) -> DatasetNotFoundError:
        if name in self._let_go:
            cure = "Name it under `inputs` of the step that reads it last, and it is kept until then."
            said = f"The data {name!r} was in memory alone, and let go of after the last step that says it reads it."
            return DatasetNotFoundError(said, cure=cure, resource=name)
        return DatasetNotFoundError(
            f"There is no data {name!r} in the hub.", cure=known_names(name, self.names()), resource=name
        )

    def store(self, entry: Entry) -> Store:
        """The store that an entry names."""
        if self._open_store is None:
            raise ConfigurationException(
                f"{entry.name!r} lies in the store {entry.store}, and this hub knows no stores.",
                cure="Run it through a Workspace, or give the hub open_store=DataFactory().create_store.",
            )
        return self._open_store(str(entry.store))

    # ------------------------------------------------------------------ writing

    def register(self, name: str, data: Any) -> None:
        """Hold data under a name, and save it if it has a place; within a step, once the step has succeeded."""
        visit = self._here()
        if visit is not None:
            visit.registered[name] = data
            return
        self.put(name, data)

    def put(self, name: str, data: Any) -> None:
        """Hold the data, and save it if it has a place."""
        entry = self._entries.get(name)
        if entry is not None:
            data = self._saved(entry, data)
        elif hasattr(data, "__next__"):  # it can be taken once, and has no place from which to take it again
            data = list(data)
        with self._guard:
            self._records.pop(name, None)
            self._lacking.pop(name, None)
            self._loaded_at.pop(name, None)
            self._made.add(name)
            if hasattr(data, "__next__"):  # who asks for it reads what was saved
                self._data.pop(name, None)
            else:
                self._data[name] = data

    def lack(self, name: str, maker: str) -> None:
        """Note that a step made nothing of that name: what was there before stays, and is not read for it."""
        with self._guard:
            self._lacking[name] = maker
            self._data.pop(name, None)

    def lacks(self, name: str) -> bool:
        """Whether a step of this run made nothing of that name."""
        return name in self._lacking

    def _saved(self, entry: Entry, data: Any) -> Any:
        self.logger.info("saving %s to %s", entry.name, entry.ref)
        if entry.store is not None:
            data = _whole(data) if hasattr(data, "__next__") else data
            self._save_to_store(entry, data)
            return data
        assert entry.path is not None
        handler = self._handler(entry)
        if not self._swapped(entry, handler, data):
            save_atomically(handler, data, entry.path)
        return entry.path if handler.handles_directories else data

    def _save_to_store(self, entry: Entry, data: Any) -> None:
        """Replace a table, unless that would empty or more than halve it; what changed goes to the visit's notes."""
        store = self.store(entry)
        name = store.canonical(str(entry.dataset))
        changes = replaced(store, name, data, rows_of(data), what=entry.ref, allow=entry.allow_shrink)
        visit = self._here()
        if visit is not None:
            visit.changes[entry.name] = changes

    def _swapped(self, entry: Entry, handler: DataHandler, data: Any) -> bool:
        """Let the folder that a step was given and filled take its place; False where that is not what it made."""
        from framework.formats.handlers.dir import DirHandler

        visit = self._here()
        staged = visit.staged.get(entry.name) if visit is not None else None
        if staged is None or type(handler) is not DirHandler or not isinstance(data, str | os.PathLike):
            return False
        target = Path(os.path.realpath(str(entry.path)))
        if Path(data) != staged or not staged.is_dir() or (target.exists() and not target.is_dir()):
            return False
        with storage_errors(str(target)):
            recover(target)
            if target.exists():
                staged.chmod(target.stat().st_mode & 0o7777)
            sync_tree(staged)
            swap(staged, target, staged.parent)
            sync_folder(target.parent)
        return True

    def adopt(
        self, data: Mapping[str, Any], records: Sequence[Record], made: Iterable[str], lacking: Mapping[str, str] = {}
    ) -> None:
        """Take over what a step has made in another process: data of memory alone, and what it is."""
        with self._guard:
            for name in made:
                self._made.add(name)
                self._data.pop(name, None)
                self._records.pop(name, None)
                self._loaded_at.pop(name, None)
                self._lacking.pop(name, None)
            self._data.update(data)
            self._records.update({record.name: record for record in records})
            self._lacking.update(lacking)

    def save(self, data: Any, path: str | os.PathLike[str], handler_args: Mapping[str, Any] | None = None) -> None:
        """Save data to a path, relative to the case, by the handler that its ending or `handler_args["name"]` names."""
        options = dict(handler_args or {})
        full = Path(self.case_path, path)
        save_atomically(self.handlers.make(name=options.pop("name", None), path=full, options=options), data, full)

    def staged(self, name: str) -> Path | None:
        """An empty folder to write into, for data that is a folder; None for other data."""
        visit, entry = self._here(), self._entries.get(name)
        if visit is None or entry is None or entry.path is None:
            return None
        if not self._handler(entry).handles_directories:
            return None
        if name not in visit.staged:
            target = Path(os.path.realpath(entry.path))
            with storage_errors(str(target)):
                recover(target)
                make_folder(target.parent)
                folder = visit.open.enter_context(staging(target)) / target.name
                folder.mkdir()
            visit.staged[name] = folder
        return visit.staged[name]

    @contextmanager
    def visited(self, last: frozenset[str] = frozenset()) -> Iterator[Visit]:
        """While a step runs: what it reads is noted, what it registers is held back, what it staged is removed."""
        visit = Visit(self, last=last)
        token = _visit.set(visit)
        self._visits.append(visit)
        try:
            yield visit
        finally:
            self._visits.remove(visit)
            with suppress(ValueError):  # another thread's
                _visit.reset(token)
            visit.open.close()

    def release(self, name: str) -> None:
        """Let go of what is in memory; what has a place can be loaded again."""
        with self._guard:
            if self._data.pop(name, self) is not self and name not in self._entries:
                self._let_go.add(name)

    def tidy(self, names: Iterable[str]) -> None:
        """Remove what a process that died in the middle of a save left beside these."""
        folders: dict[str, list[str]] = {}
        for name in names:
            entry = self._entries.get(name)
            if entry is None or entry.path is None:
                continue
            folder, file = os.path.split(entry.path)
            if folder not in folders:
                folders[folder] = []
                with suppress(OSError):
                    folders[folder] = [each for each in os.listdir(folder) if each.endswith(".staging")]
            if folders[folder] and any(each.startswith(f".{file}.") for each in folders[folder]):
                with suppress(OSError):  # the save that follows says why
                    recover(entry.path)

    # ------------------------------------------------------------------ records

    def record(self, name: str) -> Record:
        """What the data is: where it lies, its fingerprint, its rows."""
        known = self._records.get(name)
        if known is None:
            entry = self._entries.get(name)
            told = entry is None or entry.store is not None or name in self._made  # a source file: by its bytes
            value = self._data.get(name) if told else None
            known = self._recorded(name, entry, value, self._loaded_at.get(name))
            if known.rows is None and name in self._data:
                known = replace(known, rows=rows_of(self._data[name]))
            self._records[name] = known
        return known

    def known(self, name: str) -> Record | None:
        """What is on record of the data, without looking at it."""
        return self._records.get(name)

    def recall(self, record: Record) -> None:
        """Take the word of an earlier run for what the data is."""
        self._records[record.name] = record

    def _recorded(self, name: str, entry: Entry | None, value: Any, loaded_at: Stamp | None = None) -> Record:
        if entry is None:
            return record_of(name, "memory", None, value)
        made = record_of(name, entry.ref, self._place(entry), value, loaded_at=loaded_at)
        how = _how(entry)
        return Record(name, entry.ref, made.fingerprint, made.stamp, made.rows, made.bytes, how) if how else made

    def _place(self, entry: Entry) -> Place:
        if entry.path is not None:
            return entry.path
        store = self.store(entry)
        return store, store.canonical(str(entry.dataset))

    def now(self, then: Record) -> Record | None:
        """What lies there now, if it is what was recorded then; None if it is not, or if that cannot be known."""
        entry = self._entries.get(then.name)
        if entry is None or then.fingerprint is None or entry.ref != then.ref or _how(entry) != then.how:
            return None
        place = self._place(entry)
        stamp = stamp_of(place)
        if stamp == then.stamp and (stamp is not None or then.fingerprint == ABSENT):
            return None if stamp is None and isinstance(place, Path) and place.exists() else then
        if stamp is None and isinstance(place, Path):
            return None
        now = self._recorded(then.name, entry, None if then.is_of_bytes else self._again(entry))
        return now if now.fingerprint == then.fingerprint else None

    def _again(self, entry: Entry) -> Any:
        """What can be read of it; None where it cannot."""
        with suppress(DataException):
            return self._read(entry)
        return None


def _whole(frames: Iterator[Any]) -> Any:
    """One frame of those that come one after the other."""
    import pandas as pd

    found = list(frames)
    return pd.concat(found) if found and all(isinstance(each, pd.DataFrame) for each in found) else found


def _how(entry: Entry) -> str:
    """The handler and options that a case names, in short."""
    if not entry.handler and not entry.options:
        return ""
    return json.dumps([entry.handler, dict(entry.options)], default=str, sort_keys=True)
