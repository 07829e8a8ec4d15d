"""Workspace: a folder with its settings, data and backups, and all that a door asks of it."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from framework.attempt import attempt_all
from framework.errors import OptionError
from framework.interfaces import Description, IDataSaver, Mode
from framework.results import Result, raise_if_any_failed
from framework.store import Store
from framework.workspace.conditions import conditions_in
from framework.workspace.copying import Copied, Way, copy_one
from framework.workspace.files import SUFFIXES, File
from framework.workspace.places import Place
from framework.workspace.preparing import Preparing

if TYPE_CHECKING:
    import pandas as pd

    from framework.workspace.comparing import Comparison

Told = Callable[[Result], None]


class Workspace(Preparing):
    """A folder with `millpond.yaml`; without one, the current folder. Relative paths start there.

    Parameters
    ----------
    folder : path, optional
        Found from the current folder unless given.
    config : object, optional
        Settings, or any object with attributes of their names.
    logger : logging.Logger, optional
    """

    # ------------------------------------------------------------------ data

    def head(
        self, reference: str, rows: int = 10, *, columns: Sequence[str] | None = None, where: Sequence[str] = ()
    ) -> pd.DataFrame:
        """The first rows of a dataset.

        Parameters
        ----------
        columns : sequence of str, optional
        where : sequence of str
            Conditions such as `price > 5`, `ticker in A,B`, `sold is null`; rows that meet them all.

        Raises
        ------
        DatasetNotFoundError, ColumnNotFoundError, OptionError
        """
        place = self.readable(reference)
        given: dict[str, Any] = {"columns": list(columns) if columns else None}
        if where:
            given["where"] = conditions_in(where, _columns_of(self._describe(place)))
        if isinstance(place, File):
            return place.get_data(**given).head(rows)
        store, name = place
        with closing(cast(Any, store.iter_data(name, chunk_rows=max(rows, 1), **given))) as frames:
            first: pd.DataFrame = next(frames)
            return first.head(rows)

    def describe(self, reference: str, *, fingerprint: bool = False) -> tuple[Description, str | None]:
        """What is known of a dataset; with its fingerprint when that is asked for."""
        place = self.readable(reference)
        if not fingerprint:
            return self._describe(place), None
        digest = place.fingerprint() if isinstance(place, File) else place[0].fingerprint(place[1])
        return self._describe(place), digest

    def _describe(self, place: Place) -> Description:
        return place.describe() if isinstance(place, File) else place[0].describe(place[1])

    def rename(self, old: str, new: str) -> str:
        """Give a dataset another name in its store, `name` or `store:name`: what it is called now.

        Raises
        ------
        DatasetExistsError
            There is one called that.
        OptionError
            The new name is in another store.
        """
        store, name = self.dataset(old)
        kind = old.partition(":")[0]
        other, colon, named = new.partition(":")
        if colon and other != kind:
            self._check_store(other, self.names())
            raise OptionError(
                f"{new!r} is in another store than {old!r}.",
                cure=f"millpond copy {shlex.quote(old)} {shlex.quote(new)}, and then millpond rm {shlex.quote(old)}",
                resource=new,
            )
        store.rename_data(name, named if colon else new)
        return f"{kind}:{store.canonical(named if colon else new)}"

    def copy(
        self, source: str, target: str, *, mode: Mode | None = None, keys: Sequence[str] = (), lossy: bool = False
    ) -> list[Copied]:
        """Copy a dataset (`store:name`, the path of a file) or all of a store (`store:`) to another place.

        Parameters
        ----------
        target : str
            `store:name`, `store:` for the same name there, or the path of a .csv or .parquet file.
        mode : {"replace", "append", "upsert"}, optional
            Unless given it is replace, and refused where what is there has no backup.
        keys : sequence of str
            What upsert tells rows apart by.
        lossy : bool
            Keep as text what the target cannot hold exactly.

        Raises
        ------
        DatasetExistsError, FidelityError, OptionError
        PartialFailure
            Some datasets of a store failed; the others are copied.
        """
        way = Way(mode, tuple(keys), lossy)
        if not source.endswith(":"):
            place = self.readable(source)
            return [copy_one(place, self._target(target, place), way)]
        if not target.endswith(":"):
            raise OptionError(f"All of {source} goes to another store.", cure="Write its name and a colon: parquet:")
        origin, home = self.store(source[:-1]), self.store(target[:-1])
        calls = [(f"{source}{n}", partial(copy_one, (origin, n), (home, n), way)) for n in origin.list_sources()]
        attempts = attempt_all(calls)
        report = [Result(done.name, execution_time=done.seconds) for done in attempts]
        for result, done in zip(report, attempts, strict=True):
            if done.error is not None:
                result.fail(done.error)
        raise_if_any_failed(report, f"copying all of {source[:-1]}")
        return [done.value for done in attempts if done.value is not None]

    def changes(self, reference: str, against: str | None = None, *, keys: Sequence[str] = ()) -> Comparison:
        """What differs between a dataset and what it was.

        Parameters
        ----------
        reference : str
            `store:name`, or the path of a file.
        against : str, optional
            Another dataset or file, or a backup's id; its newest backup unless given.
        keys : sequence of str
            What rows are told apart by; whole rows are compared without.

        Raises
        ------
        BackupNotFoundError
            It has none.
        """
        from framework.workspace.comparing import compare

        after = self._frame(self.readable(reference))
        if against is not None and (":" in against or against.endswith(tuple(SUFFIXES))):
            return compare(self._frame(self.readable(against)), after, keys)
        return compare(self._frame_of_backup(reference, against), after, keys)

    @staticmethod
    def _frame(place: Place) -> pd.DataFrame:
        if isinstance(place, File):
            return place.get_data()
        found: pd.DataFrame = place[0].get_data(place[1])
        return found

    def _frame_of_backup(self, reference: str, backup_id: str | None) -> pd.DataFrame:
        """What a backup holds, by way of the temp store."""
        _, vault, name = self._backed(reference)
        temp, passing = self.store("temp"), f"diff_{uuid.uuid4().hex[:12]}"
        try:
            vault.restore_data(name, backup_id, into=f"temp:{passing}")
            found: pd.DataFrame = temp.get_data(passing)
            return found
        finally:
            if temp.exists(passing):
                temp.delete_data(passing)

    def remove(self, reference: str) -> bool:
        """Delete a dataset; its backups stay."""
        store, name = self.dataset(reference)
        return store.delete_data(name)

    # ------------------------------------------------------------------ runs

    def scrape(self, name: str, to: str, sources: Sequence[str] = (), **options: Any) -> dict[str, int]:
        """Let a scraper save what it reads to a store: each dataset and its rows; PartialFailure with the report."""
        scraper, saver = self.factory.create_scraper(name, **options), _Noting(self.store(to))
        if sources:
            cast(Any, scraper).scrape_data(saver, sources=list(sources))
        else:
            scraper.scrape_data(saver)
        return {f"{to}:{dataset}": rows for dataset, rows in saver.saved.items()}

    def calculate(
        self,
        name: str,
        source: str,
        to: str,
        sources: Sequence[str] = (),
        *,
        on_done: Told | None = None,
        **options: Any,
    ) -> list[Result]:
        """Let a calculator read from one store and save to another, with backup.

        Raises
        ------
        DatasetNotFoundError
            One of `sources` is not there; nothing was run.
        PartialFailure
            Some failed; the others are saved.
        """
        calculator = cast(Any, self.factory.create_calculator(name, **options))
        reader, saver = self.store(source), self.store(to)
        for wanted in sources:
            prefix = getattr(calculator, "reads", "")
            dataset = reader.canonical(prefix + wanted.removeprefix(prefix))
            if not reader.exists(dataset):
                raise reader.unknown(dataset)
        results: list[Result] = calculator.run_complete_calculation(
            reader, saver, saver.vault, list(sources) or None, on_done=on_done
        )
        raise_if_any_failed(results, f"calculation {name}")
        return results


class _Noting(IDataSaver):
    """A saver that remembers what was saved through it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.saved: dict[str, int] = {}

    def save_data(self, data: pd.DataFrame, destination: str, **options: Any) -> bool:
        saved = self.store.save_data(data, destination, **options)
        self.saved[destination] = len(data)
        return saved

    def save_with_backup(self, data: pd.DataFrame, destination: str, **options: Any) -> bool:
        saved = self.store.save_with_backup(data, destination, **options)
        self.saved[destination] = len(data)
        return saved

    def health_check(self) -> bool:
        return self.store.health_check()


def _columns_of(described: Description) -> dict[str, str]:
    """Columns and named index levels, each with its dtype."""
    levels = (part.partition(": ") for part in described.index.split(", "))
    return {name: dtype for name, colon, dtype in levels if colon} | dict(described.columns)
