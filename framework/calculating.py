"""What every calculator shares: source by source through the runner, with a backup before each save.

A calculator is its formula only::

    class Doubled(Calculator):
        name, reads, saves = "doubled", "RAW - ", "DOUBLED_"

        def calculate(self, frame):
            return frame * 2
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from framework.attempt import attempt
from framework.engine import Runner
from framework.errors import ParameterError, StepError, StorageError
from framework.interfaces import ICalculator, IDataBackup, IDataSaver, IDataSource
from framework.results import Result
from framework.steps import Step

if TYPE_CHECKING:
    import pandas as pd


@runtime_checkable
class Covers(Protocol):
    """A backup service that can say whose data it keeps."""

    def covers(self, store: object) -> bool:
        """True if it backs up the very place that `store` writes to."""


class Calculator(ICalculator):
    """Reads `<reads><source>`, calculates, and saves `<saves><source>` with backup.

    A subclass gives the three names and `calculate`; `check` and `params` are there to be overridden.

    Parameters
    ----------
    config : object, optional
        Kept as `self.config`; the base asks nothing of it.
    logger : logging.Logger, optional
        `millpond.<name>` unless given.

    Attributes
    ----------
    name : str
        What it is called in results and logs.
    reads, saves : str
        Prefix of the datasets that it reads, and of those that it saves; they must differ.
    version : str
        Recorded with each step.

    Raises
    ------
    ParameterError
        A class without `name`, `reads` or `saves`, or one that would save over what it reads.
    """

    name: ClassVar[str]
    reads: ClassVar[str]
    saves: ClassVar[str]
    version: ClassVar[str] = "1"

    def __init__(self, config: object | None = None, logger: logging.Logger | None = None) -> None:
        self._check_names()
        self.config = config
        self.logger = logger or logging.getLogger(f"millpond.{self.name}")

    @abstractmethod
    def calculate(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The formula: a new frame from `frame`, which it leaves as it was; reads and writes nothing else."""

    @property
    def params(self) -> Mapping[str, Any]:
        """What it was set to, JSON-able; recorded with each step."""
        return {}

    def check(self) -> None:
        """Raise if it cannot be used: what `health_check` tries. Bounded in time, reads and writes nothing."""
        self._check_names()

    def health_check(self) -> bool:
        """True if its own settings can be used; the reason is logged if not. Never raises, touches no store."""
        tried = attempt(type(self).__name__, self.check)
        if tried.error is not None:
            self.logger.warning("calculator %s cannot be used: %s", tried.name, tried.error)
        return bool(tried)

    def run_complete_calculation(
        self,
        data_source: IDataSource,
        data_saver: IDataSaver,
        backup_service: IDataBackup | None,
        sources: Iterable[str] | None = None,
        *,
        on_done: Callable[[Result], None] | None = None,
    ) -> list[Result]:
        """Calculate each source and save it with backup; goes on after one that fails.

        Before each save `backup_service.backup_data(destination)` is called; no backup, no save, but a service
        that answers `(False, None)` knows nothing of that name yet, and then there is nothing to lose. With None, or
        when the service covers the saver's own store, it is `data_saver.save_with_backup`: one lock over both.

        Parameters
        ----------
        data_source : IDataSource
            Where `<reads><source>` is read.
        data_saver : IDataSaver
            Where `<saves><source>` is saved.
        backup_service : IDataBackup or None
        sources : iterable of str, optional
            Bare names (`energy`), with or without the prefix; one that is named twice is calculated once.
            None: all that `data_source` lists under the prefix.
        on_done : callable, optional
            Told of each Result as it comes, in this thread (progress bars).

        Returns
        -------
        list of Result
            One per source, named by its bare name, in the order given; true if it was saved. A failed one holds its
            error; `artifacts` name the destination, and the backup's id where it is known; `metrics` are `rows_in`
            and `rows_out`. Empty, with a WARNING in the log, when there is nothing to calculate.

        Raises
        ------
        ParameterError
            `sources` is not a list of names. Nothing was run.
        """
        wanted = self._listed(data_source) if sources is None else self._named(sources)
        if not wanted:
            given = "no sources were given" if sources is not None else f"no source's name starts with {self.reads!r}"
            self.logger.warning("%s: nothing to calculate, %s", self.name, given)
        results: dict[str, Result] = {}
        for bare in dict.fromkeys(wanted):
            results[bare] = self._run_one(bare, data_source, data_saver, backup_service)
            if on_done is not None:
                on_done(results[bare])
        return [results[bare] for bare in wanted]

    def _run_one(self, bare: str, source: IDataSource, saver: IDataSaver, backup: IDataBackup | None) -> Result:
        origin, destination = self.reads + bare, self.saves + bare

        def call() -> tuple[int, int, str | None]:
            frame = _frame(source.get_data(origin), f"{type(source).__name__}.get_data({origin!r})")
            answer = _frame(self.calculate(frame), f"{type(self).__name__}.calculate")
            return len(frame), len(answer), self._save(answer, destination, saver, backup)

        step = Step(bare, call, self.version, self.params, inputs=(origin,), outputs=(destination,))
        # One step at a time: a frame lives no longer than its own step, and a user's saver need not bear threads.
        result, value = Runner(self.logger).execute(step)
        if result:
            rows_in, rows_out, backup_id = value
            result.metrics.update(rows_in=rows_in, rows_out=rows_out)
            if backup_id is not None:
                result.artifacts["backup"] = backup_id
            self.logger.info("%s: %r (%d rows) to %r (%d rows)", self.name, origin, rows_in, destination, rows_out)
        return result

    def _save(self, frame: pd.DataFrame, destination: str, saver: IDataSaver, backup: IDataBackup | None) -> str | None:
        """Save with backup; the backup's id where it is known."""
        if backup is None or (isinstance(backup, Covers) and backup.covers(saver)):
            _demand(saver.save_with_backup(frame, destination), saver, destination)
            return None
        done, backup_id = backup.backup_data(destination)
        if not done:
            if backup_id is not None:
                raise StorageError(
                    f"{type(backup).__name__} answered that it did not back up {destination!r} ({backup_id}), "
                    "so nothing was saved.",
                    resource=destination,
                    operation="backup",
                )
            self.logger.info("%s: no backup of %r, there is nothing of that name yet", self.name, destination)
        _demand(saver.save_data(frame, destination), saver, destination)
        return backup_id

    def _listed(self, data_source: IDataSource) -> list[str]:
        names = dict.fromkeys(data_source.list_sources())
        # In one store with what it reads, its own output may begin with the prefix too ("AAA" and "AAA_").
        own = self.saves if self.saves.startswith(self.reads) else None
        mine = [n for n in names if n.startswith(self.reads) and not (own is not None and n.startswith(own))]
        return [n.removeprefix(self.reads) for n in mine]

    def _named(self, sources: Iterable[str]) -> list[str]:
        if isinstance(sources, str | bytes) or not isinstance(sources, Iterable):
            raise ParameterError(f"sources is {sources!r}, not a list of names.", cure=f"Pass sources=[{sources!r}].")
        names = list(sources)
        for place, name in enumerate(names):
            if not isinstance(name, str):
                raise ParameterError(f"sources[{place}] is {name!r}, not a name.", cure="Pass a list of str.")
        return [name.removeprefix(self.reads) for name in names]

    def _check_names(self) -> None:
        for what in ("name", "reads", "saves"):
            if not isinstance(getattr(self, what, None), str):
                raise ParameterError(
                    f"The calculator {type(self).__name__} has no {what!r}.",
                    cure=f'Write `{what} = "..."` in the class.',
                )
        if self.reads == self.saves:
            raise ParameterError(
                f"The calculator {type(self).__name__} saves over what it reads: both prefixes are {self.reads!r}.",
                cure="Give `saves` another prefix.",
            )


def _frame(value: Any, who: str) -> pd.DataFrame:
    """`value`, which must be a DataFrame: a forgotten `return` is told as what it is."""
    import pandas as pd

    if not isinstance(value, pd.DataFrame):
        raise StepError(f"{who} answered {type(value).__name__}, not a DataFrame.", cure="Return a DataFrame.")
    return value


def _demand(saved: object, saver: IDataSaver, destination: str) -> None:
    """A saver that says False has failed, whatever the contract says; one that says nothing has not."""
    if saved is not None and not saved:
        raise StorageError(
            f"{type(saver).__name__} answered {saved!r}: {destination!r} was not saved.",
            resource=destination,
            operation="save",
        )
