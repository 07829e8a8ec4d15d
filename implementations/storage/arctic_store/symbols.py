"""One dataset's symbol: its versions read, written and verified, pruned, deleted; the writer's lock is the caller's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.errors import FormatError, IntegrityError, LockedError

from . import sharing
from .handles import strictly
from .places import digest, symbol_of
from .records import Record, record_of
from .sharing import Unsettled

CHAIN = 500  # versions after which all older ones go: ArcticDB's list of the deleted ones makes each save slower
SLACK = 10  # small versions are pruned several at once
SMALL = 100_000


@dataclass(frozen=True, slots=True)
class At:
    """One version."""

    number: int
    metadata: Any

    @property
    def record(self) -> Record | None:
        return record_of(self.metadata)

    @property
    def readable(self) -> Record | None:
        """The record; None for a damaged one too, so that it can be replaced."""
        try:
            return self.record
        except FormatError:
            return None


@dataclass(frozen=True, slots=True)
class Symbol:
    """Where a dataset is, or may be.

    Attributes
    ----------
    folder : Path
        Of the locks.
    keep : int
        How many versions.
    """

    library: Any
    name: str
    folder: Path
    keep: int

    @property
    def key(self) -> str:
        return symbol_of(self.name)

    @property
    def there(self) -> bool:
        """Whether there is a dataset."""
        return self.library is not None and self.library.has_symbol(self.key) and not self._coming

    @property
    def _coming(self) -> bool:
        """Whether it is being renamed to: what is there counts once the old one is gone."""
        coming = [note.old for note in sharing.unsettled(self.folder) if note.name == self.name and note.old]
        return any(self.library.has_symbol(symbol_of(old)) for old in coming)

    def latest(self) -> At | None:
        from arcticdb.exceptions import NoDataFoundException

        if self.library is None or self._coming:
            return None
        try:
            with strictly():
                item = self.library.read_metadata(self.key)
        except NoDataFoundException:
            return None
        return At(item.version, item.metadata)

    @contextmanager
    def held(self) -> Iterator[At | None]:
        """The latest version, which nobody prunes meanwhile; None when there is none."""
        while (at := self.latest()) is not None:
            with sharing.reading(self.folder, self.key, at.number) as mine:
                if mine and self.library.has_symbol(self.key, as_of=at.number):
                    yield at
                    return
            time.sleep(0.005)
        yield None

    def read(self, at: At, **asked: Any) -> Any:
        """What ArcticDB gives of the version, as Arrow unless asked for otherwise."""
        import pyarrow as pa

        given = {"output_format": "PYARROW", "arrow_string_format_default": pa.string(), **asked}
        with strictly():
            return self.library.read(self.key, as_of=at.number, **given).data

    def size(self) -> int:
        """The bytes that all versions' rows take."""
        sizes = self.library.admin_tools().get_sizes_for_symbol(self.key)
        return sum(each.bytes_compressed for kind, each in sizes.items() if kind.name == "TABLE_DATA")

    # ------------------------------------------------------------------ changing

    def put(self, write: Callable[..., Any], frame: Any, metadata: Any) -> None:
        """Write, and hold what the library then reports against what was given; then prune."""
        number = write(self.key, frame, metadata=metadata).version
        with strictly():
            told = self.library.read_metadata(self.key)
        rows = self.library.get_description(self.key, as_of=number).row_count
        record, after = record_of(metadata), len(frame)
        if record is not None:
            after = record.rows if record.held else 0
        if (told.version, told.metadata, rows) != (number, metadata, after):
            self.library.delete(self.key, versions=[number])
            raise IntegrityError(
                f"{self.name!r}: ArcticDB reports {rows} rows in version {told.version}, and {after} were written.",
                cure="Try again; what was there before is untouched.",
            )
        if record is not None:
            self._prune(number, record)

    def kept(self, at: At) -> tuple[int, ...]:
        """Our versions up to that one, oldest first."""
        record = at.readable
        if record is None:
            return ()
        return (*(v for v in record.kept if self.library.has_symbol(self.key, as_of=v)), at.number)

    def _prune(self, number: int, record: Record) -> None:
        kept = record.kept
        if record.ours and kept and number // CHAIN > kept[-1] // CHAIN:
            with sharing.unread(self.folder, self.key, kept) as free:
                if len(free) == len(kept):
                    self.library.prune_previous_versions(self.key)
                    return
        doomed = kept[: max(len(kept) + 1 - self.keep, 0)]
        if len(doomed) > (SLACK if record.rows < SMALL else 0):
            with sharing.unread(self.folder, self.key, doomed) as free:
                if free:
                    self.library.delete(self.key, versions=free)

    def delete(self, timeout: float) -> None:
        """Delete all versions once nobody reads one; LockedError if that takes too long."""
        end = time.monotonic() + timeout
        while True:
            leases = {int(lease.name.split(".")[1]) for lease in self.folder.glob(f"{digest(self.key)}.*.lease")}
            wanted = leases | {self.library.read_metadata(self.key).version}
            with sharing.unread(self.folder, self.key, wanted) as free:
                if len(free) == len(wanted):
                    self.library.delete(self.key)
                    return
            if time.monotonic() > end:
                raise LockedError(
                    f"{self.name!r} is being read, and was for {timeout:g} s.",
                    cure="Try again when the reader has finished, or wait longer with LOCK_TIMEOUT.",
                    resource=self.name,
                )
            time.sleep(0.02)

    # ------------------------------------------------------------------ what a writer's death leaves

    @contextmanager
    def unsettled(self, old: str | None = None) -> Iterator[None]:
        """What is done in here makes, deletes or renames the dataset; a death in between is made good later."""
        note = Unsettled(self.name, old)
        sharing.announce(self.folder, note)
        try:
            yield
        finally:
            self.finish(note)

    def finish(self, note: Unsettled, *, after_death: bool = False) -> None:
        """Undo a rename that was not completed; see to it that the symbol is listed if it is there."""
        if note.old and self.library.has_symbol(symbol_of(note.old)) and self.library.has_symbol(self.key):
            self.library.delete(self.key)
        if after_death and self.library.has_symbol(self.key) != (self.key in self.library.list_symbols()):
            self.library.reload_symbol_list()
        sharing.settled(self.folder, note)


def name_on_record(library: Any, key: str) -> str | None:
    """The dataset of a symbol whose name does not tell it."""
    with strictly():
        record = record_of(library.read_metadata(key).metadata)
    return record.name if record else None
