"""Tables as symbols of an ArcticDB library: files of LMDB by default, or any ARCTIC_URI.

A frame lies there as plain numbers, text and times, in ArcticDB's own format; what makes it the frame that was saved
lies in the version's metadata. A sorted DatetimeIndex is the symbol's own, so anybody sees a time series.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr

from framework.attempt import attempt
from framework.errors import DatasetNameError, MissingExtraError, StorageError, UnavailableError
from framework.files import lock_for, locked
from framework.folder import Saved, describe
from framework.interfaces import Description
from framework.store import Save, Store, StoreOptions

from . import sharing
from .handles import SECONDS, opened, reach, release
from .places import digest, name_of, place_of
from .symbols import At, Symbol, name_on_record
from .trouble import StaleError, errors_of

if TYPE_CHECKING:  # so that a store can be made without loading pandas
    import pandas as pd
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection

PROVIDES = {
    "kind": "store",
    "name": "arctic",
    "object": "ArcticStore",
    "roles": ["source", "saver", "backup"],
    "extra": "arctic",
    "summary": "Symbols of an ArcticDB library, in LMDB files under FS_DATA or at ARCTIC_URI",
}

_PANDAS = importlib.metadata.version("pandas")
if int(_PANDAS.partition(".")[0]) > 2:
    raise MissingExtraError(
        f"The store 'arctic' needs pandas 2, and this is {_PANDAS}: ArcticDB does not support pandas 3.",
        cure='Install it with: pip install "millpond[arctic]" "pandas<3", or choose another store.',
    )
if importlib.util.find_spec("arcticdb") is None:
    raise ModuleNotFoundError("No module named 'arcticdb'", name="arcticdb")

LONGEST_NAME = 1000


class ArcticOptions(StoreOptions):
    """Which library, and how much of the past it keeps.

    Attributes
    ----------
    uri : str, optional
        An address as ArcticDB takes it; the settings say it unless given.
    library : str, optional
        ARCTIC_LIBRARY unless given.
    versions : int
        How many of ArcticDB's versions of a dataset are kept; of small ones up to 10 more.
    map_size : str, optional
        How large the LMDB files may grow, such as `200GB`; ArcticDB's own limit unless given.
    """

    uri: SecretStr | None = None
    library: str | None = Field(default=None, min_length=1)
    versions: int = Field(default=10, ge=1, strict=True)
    map_size: str | None = Field(default=None, pattern=r"^[1-9][0-9]*(KB|MB|GB|TB)$")


class ArcticStore(Store):
    """One symbol per dataset."""

    kind = "arctic"
    Options = ArcticOptions
    options: ArcticOptions

    def __init__(self, settings: Any, **given: Any) -> None:
        super().__init__(settings, **given)
        uri = self.options.uri.get_secret_value() if self.options.uri else None
        self.place = place_of(settings, uri, self.options.map_size)
        self.library = self.options.library or settings.ARCTIC_LIBRARY
        self._locks = self.place.locks / digest(self.library)[:16]

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.kind, self.place.shown, self.library)

    def canonical(self, name: str) -> str:
        fit = isinstance(name, str) and name.strip() and "\0" not in name and len(name) <= LONGEST_NAME
        if fit and name == name.encode(errors="replace").decode():
            return name
        raise DatasetNameError(
            f"{str(name)[:80]!r} is not a dataset name in ArcticDB.",
            cure=f"Use text without NUL, of at most {LONGEST_NAME} characters.",
        )

    # ------------------------------------------------------------------ the library

    @contextmanager
    def _opened(self, name: str | None = None, *, make: bool = False) -> Iterator[Any]:
        """The library, or None when there is none and none is to be made."""
        what = self.name if name is None else f"{self.name}:{name}"
        gone = None if name is None or make else lambda: self.unknown(name)
        with errors_of(what, gone), ExitStack() as stack:
            library = stack.enter_context(opened(self.place, self.library, self))
            if library is None and make:
                with locked(lock_for(self._locks / "library.lock"), timeout=30, what=self.name):
                    library = stack.enter_context(opened(self.place, self.library, self, make=True))
            yield library

    def _symbol(self, library: Any, name: str) -> Symbol:
        return Symbol(library, name, self._locks, self.options.versions)

    @contextmanager
    def _at(self, name: str) -> Iterator[tuple[Symbol, At]]:
        """The dataset's latest version, held while it is read."""
        with self._opened(name) as library:
            symbol = self._symbol(library, name)
            with symbol.held() as at:
                if at is None:
                    raise self.unknown(name)
                yield symbol, at

    def close(self) -> None:
        """Let go of the library; it is closed when no other store of this process has it open."""
        release(self.place, self)

    def exists(self, name: str) -> bool:
        with self._opened() as library:
            return self._symbol(library, name).there

    def list_sources(self) -> list[str]:
        with self._opened() as library:
            if library is None:
                return []
            names: set[str] = set()
            for symbol in library.list_symbols():
                name = name_of(symbol)
                name = name or name_on_record(library, symbol)
                names |= {name} if name else set()
            for note in sharing.unsettled(self._locks):
                for name in filter(None, (note.name, note.old)):
                    (names.add if self._symbol(library, name).there else names.discard)(name)
            return sorted(names)

    def _probe(self) -> None:
        folder = self.place.folder
        if folder is not None and not self.place.there:
            while not folder.exists():  # it is made by the first save
                folder = folder.parent
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise StorageError(f"{folder} cannot be read and written.", cure="Give this user leave to it.")
            return
        reach(self.place)
        answers: list[Any] = []
        asking = threading.Thread(
            target=lambda: answers.append(attempt("probe", lambda: self.exists("a probe"))), daemon=True
        )
        asking.start()
        asking.join(SECONDS)
        if not answers:
            raise UnavailableError(f"{self.place.shown} does not answer within {SECONDS:g} s.")
        if answers[0].error is not None:
            raise answers[0].error

    # ------------------------------------------------------------------ reading

    def _frame(self, name: str, selection: Selection) -> pd.DataFrame:
        from .direct import plain_frame

        with self._at(name) as (symbol, at):
            record = at.record
            frame = None if record is None else plain_frame(symbol, at, record, selection)
        return super()._frame(name, selection) if frame is None else frame

    def _read(self, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        from .asking import how_to_read
        from .columns import nothing, received
        from .foreign import read_foreign

        with self._at(name) as (symbol, at):
            record = at.record
            if record is None:
                return read_foreign(symbol, at, selection)
            schema = selection.of(record.schema, name)
            if not (record.held and record.rows):
                return nothing(record.rows, schema), schema
            asked, held = how_to_read(record, schema, selection.pushdown(record.schema, name))
            return received(symbol.read(at, **asked), schema, held, record.nulls, name), schema

    @contextmanager
    def _scan(self, name: str, selection: Selection) -> Iterator[tuple[FrameSchema, Iterable[pa.Table]]]:
        from .asking import how_to_read, row_slices
        from .columns import received

        with self._at(name) as (symbol, at):
            record = at.record
            if record is None or not (record.held and record.rows):
                table, schema = self._read(name, selection)
                yield schema, [table]
                return
            schema = selection.of(record.schema, name)
            asked, held = how_to_read(record, schema, selection.pushdown(record.schema, name))
            slices = row_slices(symbol, at, record.rows, asked)
            yield schema, (received(each, schema, held, record.nulls, name) for each in slices)

    def describe(self, name: str) -> Description:
        name = self.canonical(name)
        with self._at(name) as (symbol, at):
            record, size = at.record, symbol.size()
            if record is None:
                from .foreign import schema_of_foreign

                schema, rows = schema_of_foreign(symbol, at)
                return describe(self.name, name, schema, Saved(rows), size)
        return describe(self.name, name, record.schema, Saved(record.rows, record.saved_at, record.version), size)

    def _save_ids(self, name: str) -> tuple[str, ...]:
        with self._opened() as library:
            at = self._symbol(library, name).latest()
        record = at.readable if at else None
        return record.save_ids if record else ()

    # ------------------------------------------------------------------ writing

    def _hold(self, name: str, timeout: float) -> AbstractContextManager[None]:
        return locked(lock_for(self._locks / f"{digest(name)}.lock"), timeout=timeout, what=f"{self.name}:{name}")

    def _write(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> None:
        try:
            self._write_after_the_latest(name, table, schema, save)
        except StaleError:
            self._write_after_the_latest(name, table, schema, save)

    def _write_after_the_latest(self, name: str, table: pa.Table, schema: FrameSchema, save: Save) -> None:
        from .adding import added
        from .columns import nulls_of, to_frame
        from .records import Record

        with self._opened(name, make=True) as library:
            symbol = self._symbol(library, name)
            self._settle(symbol)
            at = symbol.latest()
            before = at.readable if at else None
            if before and save.save_id in before.save_ids:
                return  # it was made by one who died before anybody could see it
            if save.mode == "append" and at and before:
                more = added(symbol, at, before, table, schema, save, source=f"{self.name}:{name}")
                if more is not None:
                    symbol.put(library.append, *more)
                    return
            table, schema = self._merged(name, table, schema, save)
            frame, held = to_frame(table, schema)
            record = Record(
                name,
                schema,
                held,
                table.num_rows,
                (before.version if before else 0) + 1,
                datetime.now(UTC),
                save.ids(before.save_ids if before else ()),
                nulls_of(table),
                symbol.kept(at) if at else (),
                ours=at is None or (before is not None and before.ours),
            )
            with nullcontext() if at else symbol.unsettled():
                symbol.put(library.write, frame, record.dumps())

    def _delete(self, name: str) -> None:
        with self._opened(name) as library:
            symbol = self._symbol(library, name)
            self._settle(symbol)
            with symbol.unsettled():
                symbol.delete(self._patience)

    def _rename(self, old: str, new: str) -> None:
        from framework.schema import ALL

        from .columns import to_frame
        from .foreign import foreign_frame

        with self._opened(old) as library:
            source, target = self._symbol(library, old), self._symbol(library, new)
            self._settle(source)
            self._settle(target)
            with target.unsettled(old):
                with self._at(old) as (_, at):
                    record = at.record
                    if record is None:
                        target.put(library.write, *foreign_frame(source, at))
                    else:
                        frame, held = to_frame(*self._read(old, ALL))
                        moved = replace(record, name=new, held=held, kept=(), pieces=0, ours=True)
                        target.put(library.write, frame, moved.dumps())
                source.delete(self._patience)

    @property
    def _patience(self) -> float:
        given = self.options.lock_timeout
        return self.settings.LOCK_TIMEOUT if given is None else given

    def _settle(self, symbol: Symbol) -> None:
        """Make good what a writer that died left of this dataset, whose lock is held."""
        for note in sharing.unsettled(self._locks):
            if note.name == symbol.name:
                symbol.finish(note, after_death=True)
            elif note.old == symbol.name:
                with self.locked(note.name):
                    self._symbol(symbol.library, note.name).finish(note, after_death=True)
