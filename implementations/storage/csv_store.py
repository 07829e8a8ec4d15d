"""CSV files in a folder: ours with a record beside them, and whatever others put there."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pydantic import Field, field_validator, model_validator

from framework.errors import DatasetNameError, OptionError
from framework.files import copy_into, remove, replacing, under_real
from framework.folder import OWN, Saved, copy_synced, is_backup
from framework.formats.compression import MOST_UNPACKED, SUFFIXES, Read, codec_of, unpacked
from framework.parts_folder import PartsFolder
from framework.sidecar import Record, find, opened, put, remove_record, stat_of, verified
from framework.store import StoreOptions

if TYPE_CHECKING:  # so that a store can be looked into without loading pandas
    import pyarrow as pa

    from framework.folder import Pieces
    from framework.formats.csv_foreign import Foreign, Source
    from framework.formats.parts import PartFile
    from framework.schema import FrameSchema, Selection

PROVIDES = {
    "kind": "store",
    "name": "csv",
    "object": "CsvStore",
    "roles": ["source", "saver", "backup"],
    "extra": None,
    "summary": "CSV files in FS_DATA",
}


class CsvOptions(StoreOptions):
    """How the files are spelled.

    Attributes
    ----------
    delimiter : str
        One character.
    encoding : str
        Of files that others wrote, and of those that are saved.
    compression : {"gzip", "zstd"}, optional
        Of files that are saved, `x.csv.gz` and `x.csv.zst`; whatever a file's is, it can be read.
    dtype : mapping of column to pandas dtype
        For files that others wrote: what not to find out.
    nulls : list of str
        For files that others wrote: texts that are missing, in every column.
    decimal : {".", ","}
        For files that others wrote: what stands before a number's fraction.
    date_format : str or mapping of column to str, optional
        For files that others wrote: how times are spelled, as `strftime` says it. One for all holds for the columns
        whose every cell is so; for a column that is named, a cell that is not is an error.
    max_bytes : int
        For compressed files that others wrote: how much may be in them.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    compression: Literal["gzip", "zstd"] | None = None
    dtype: Mapping[str, str] = {}
    nulls: Sequence[str] = ()
    decimal: Literal[".", ","] = "."
    date_format: str | Mapping[str, str] | None = None
    max_bytes: int = Field(default=MOST_UNPACKED, ge=1)

    @field_validator("delimiter")
    @classmethod
    def _one_mark(cls, value: str) -> str:
        mark = len(value) == 1 and value.isascii() and (value == "\t" or value.isprintable())
        if not mark or value.isalnum() or value in "\"+-.: '":
            raise ValueError("it is one mark such as , ; | or a tab, and none that numbers, times or quotes hold")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            found = codecs.lookup(value).name
            plain = "a,1.5-\n".encode(found).decode(found) == "a,1.5-\n"
        except (LookupError, UnicodeError, TypeError, ValueError):
            plain = False
        if not plain or found in ("idna", "punycode"):
            raise ValueError(f"{value!r} is not an encoding of text that Python knows")
        return found

    @field_validator("nulls")
    @classmethod
    def _list_of_texts(cls, value: Sequence[str]) -> Sequence[str]:
        if isinstance(value, str):
            raise ValueError(f"it is a list of texts: [{value!r}]")
        return value

    @field_validator("date_format")
    @classmethod
    def _with_marks(cls, value: str | Mapping[str, str] | None) -> str | Mapping[str, str] | None:
        for spelled in value.values() if isinstance(value, Mapping) else [value] if value is not None else []:
            if "%" not in spelled:
                raise ValueError(f"{spelled!r} is no format such as '%d.%m.%Y'")
        return value

    @model_validator(mode="after")
    def _together(self) -> CsvOptions:
        if self.decimal == self.delimiter:
            raise OptionError("The options decimal and delimiter of the csv store are the same mark.")
        both = set(self.dtype) & set(self.date_format if isinstance(self.date_format, Mapping) else ())
        if both:
            raise OptionError(f"The options dtype and date_format of the csv store both say what {min(both)!r} is.")
        return self


class CsvStore(PartsFolder):
    """One CSV file per dataset in FS_DATA."""

    kind = "csv"
    suffix = ".csv"
    suffixes = (".csv", *(f".csv{suffix}" for suffix in SUFFIXES.values()))
    Options = CsvOptions
    options: CsvOptions

    @property
    def folder(self) -> Path:
        return self.settings.data_folder

    # ------------------------------------------------------------------ which file

    def path(self, name: str) -> Path:
        there = [] if name.endswith(self.suffixes) else self._files(name)
        if not there:
            return super().path(name)
        return there[0] if len(there) == 1 else self._current(there, name)

    def _current(self, there: list[Path], name: str) -> Path:
        """Of several files of one dataset the one that a save put in the place of the others, and died."""
        stale = set()
        for path in there:
            with open(path, "rb") as file:
                record = find(self._record(path), file)
            for other, *told in record.instead if record else ():
                stale |= {each for each in there if each.name == other and told == list(stat_of(each).values())}
        left = [path for path in there if path not in stale]
        if len(left) != 1:
            shown = " and ".join(path.name for path in there)
            raise DatasetNameError(
                f"{name!r} is {shown}, and either could be meant.", cure="Move one of them away.", resource=name
            )
        return left[0]

    def _record(self, path: Path) -> Path:
        """Where the record of a file lies: under our own folder, or beside a backup's copy."""
        root, full = os.path.realpath(self.folder), str(path)
        if full.startswith(root + os.sep) and not is_backup(path.parent):
            return Path(under_real(root, f"{OWN}/csv/{full[len(root) + 1 :]}.json"))
        return path.with_name(path.name + ".record.json")

    # ------------------------------------------------------------------ writing

    def _write_file(self, path: Path, name: str, table: pa.Table, schema: FrameSchema, saved: Saved) -> None:
        from framework.formats.csv import write_rows

        assert saved.saved_at is not None
        packing = self.options.compression
        path = self._target(name, self.suffix + (SUFFIXES[packing] if packing else ""), path)
        sidecar = self._record(path)
        about: dict[str, Any] = {"delimiter": self.options.delimiter, "encoding": self.options.encoding}
        others = self._others(name, path)
        text, saved_at, multiline = schema.dumps(), saved.saved_at.isoformat(), False

        def record(beside: Path) -> None:
            told = Record(
                **stat_of(beside),
                **about,
                sha256=sink.sha256,
                blocks=sink.blocks,
                schema=text,
                rows=saved.rows,
                saved_at=saved_at,
                version=saved.version or 1,
                multiline=multiline,
                save_ids=saved.save_ids,
                instead=_told(others),
            )
            put(sidecar, told, path)

        with replacing(path, verify=record) as sink:
            multiline = write_rows(sink, table, schema, codec=codec_of(path.name), **about)
        for other in others:
            self._remove(other)

    def _target(self, name: str, ending: str, current: Path | None = None) -> Path:
        if current is not None and self.ending(current) == ending:
            return current
        return super().path(name if name.endswith(self.suffixes) else name + ending)

    def _others(self, name: str, path: Path) -> list[Path]:
        """Files of the dataset that one at `path` takes the place of."""
        if name.endswith(self.suffixes):
            return []
        bare = str(path).removesuffix(self.ending(path))
        others = [bare + suffix for suffix in self.suffixes if path.name != os.path.basename(bare + suffix)]
        return [Path(other) for other in others if os.path.isfile(other) and not os.path.islink(other)]

    def _remove(self, path: Path) -> None:
        remove(path)
        remove_record(self._record(path))

    # ------------------------------------------------------------------ reading

    def _read_file(self, path: Path, name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        with opened(path, self._record(path)) as (file, record):
            if record is None:
                return self._foreign([self._source(file, path)]).read(selection)
            from framework.formats.csv import together

            schema, pieces = self._own(file, name, record, selection)
            return together(pieces), schema

    @contextmanager
    def _scan_file(self, path: Path, name: str, selection: Selection) -> Iterator[Pieces]:
        with opened(path, self._record(path)) as (file, record):
            if record is None:
                schema, pieces = self._foreign([self._source(file, path)]).scan(selection)
                with closing(pieces):
                    yield schema, _met(pieces, schema, selection, name)
            else:
                yield self._own(file, name, record, selection)

    def _own(
        self, file: BinaryIO, name: str, record: Record, selection: Selection
    ) -> tuple[FrameSchema, Iterator[pa.Table]]:
        from framework.formats.csv import read_own
        from framework.schema import FrameSchema

        whole = FrameSchema.loads(record.schema)
        tests, wanted = selection.pushdown(whole, name), selection.of(whole, name)
        pieces = read_own(
            unpacked(verified(file, record, name), codec_of(file.name), name),
            name,
            whole,
            wanted,
            tests,
            rows=record.rows,
            delimiter=record.delimiter,
            encoding=record.encoding,
            multiline=record.multiline,
        )
        return wanted, pieces

    def _foreign(self, sources: Sequence[Source]) -> Foreign:
        from framework.formats.csv_foreign import Foreign, Spelling

        told = self.options
        return Foreign(
            sources,
            Spelling(told.delimiter, told.encoding, told.nulls, told.decimal, told.dtype, told.date_format),
        )

    def _source(self, file: BinaryIO, path: Path) -> Source:
        from framework.formats.csv_foreign import source_of

        return source_of(file, path.name, most=self.options.max_bytes)

    # ------------------------------------------------------------------ parts

    def _read_parts(self, parts: Sequence[PartFile], name: str, selection: Selection) -> tuple[pa.Table, FrameSchema]:
        return self._parted(parts, name).read(selection)

    def _scan_parts(self, parts: Sequence[PartFile], name: str, selection: Selection) -> Pieces:
        return self._parted(parts, name).scan(selection)

    def _saved_parts(self, parts: Sequence[PartFile], name: str) -> tuple[Saved, FrameSchema]:
        from framework.schema import ALL

        table, schema = self._parted(parts, name).read(ALL)
        return Saved(table.num_rows), schema

    def _parted(self, parts: Sequence[PartFile], name: str) -> Foreign:
        from framework.formats.csv_foreign import Source

        return self._foreign([Source(part.path.name, self._opener(part.path), part.values) for part in parts])

    def _opener(self, path: Path) -> Callable[[], Read]:
        def begin() -> Read:
            return unpacked(_closing(path), codec_of(path.name), path.name, most=self.options.max_bytes)

        return begin

    # ------------------------------------------------------------------ what is on record

    def _before(self, path: Path) -> Saved | None:
        with open(path, "rb") as file:
            record = find(self._record(path), file)
        return None if record is None else _saved_of(record)

    def _saved(self, path: Path, name: str) -> tuple[Saved, FrameSchema]:
        from framework.schema import ALL, FrameSchema

        with opened(path, self._record(path)) as (file, record):
            if record is not None:
                return _saved_of(record), FrameSchema.loads(record.schema)
            schema, _ = (foreign := self._foreign([self._source(file, path)])).scan(ALL)
            return Saved(foreign.rows), schema

    def _move_file(self, source: Path, target: Path) -> None:
        with open(source, "rb") as file:
            record = find(self._record(source), file)
        ending = self.ending(source)
        if ending != self.suffix:
            target = target.with_name(target.name.removesuffix(self.suffix) + ending)
        if record is not None:  # it lies there before the file does, and tells it by its inode
            put(self._record(target), record, target)
        super()._move_file(source, target)
        remove_record(self._record(source))

    def _delete(self, name: str) -> None:
        current = self.path(name)
        for other in self._files(name):
            if other != current:
                self._remove(other)
        super()._delete(name)
        try:
            remove_record(self._record(current))
        except OSError as error:  # the data is gone, and the record of a file that is not there describes nothing
            self.logger.warning("%s:%s is deleted, but not its record: %s", self.name, name, error.strerror)

    def _copy(self, path: Path, copy: Path) -> None:
        with opened(path, self._record(path)) as (file, record):
            copy_synced(file, copy)
        if record is not None:
            put(self._record(copy), replace(record, **stat_of(copy)), copy)

    def _adopt_file(self, kept: Path, name: str) -> None:
        path = self._target(name, self.ending(kept))
        others = self._others(name, path)

        def tell(beside: Path) -> None:
            if record is not None:
                put(self._record(path), replace(record, **stat_of(beside), instead=_told(others)), path)

        with opened(kept, self._record(kept)) as (file, record), replacing(path, verify=tell) as sink:
            copy_into(sink, file)
        for other in others:
            self._remove(other)


def _told(files: Iterable[Path]) -> tuple[tuple[str, int, int, int], ...]:
    """What tells files that are replaced under another name."""
    stats = ((file.name, file.stat()) for file in files)
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats)


def _met(pieces: Iterable[pa.Table], schema: FrameSchema, selection: Selection, name: str) -> Iterator[pa.Table]:
    from framework.formats.csv import meeting

    tests = selection.pushdown(schema, name)
    return (meeting(piece, tests) for piece in pieces)


def _closing(path: Path) -> Read:
    """A `read` of the file, which is closed at its end."""
    file = open(path, "rb")  # noqa: SIM115  # by the last read

    def next_bytes(size: int) -> bytes:
        block = file.read(size)
        if not block:
            file.close()
        return block

    return next_bytes


def _saved_of(record: Record) -> Saved:
    return Saved(record.rows, record.when, record.version, tuple(record.save_ids))
