"""What every scraper shares: sources side by side, pages to the stated total, saving, progress, the report.

A scraper says which sources it has, how one is fetched and what is asked to see whether the site answers:

    class Quotes(Scraper):
        name = "quotes"
        key = "id"
        client = PoliteClient(delay=1)

        def get_available_sources(self) -> list[str]:
            return ["life", "love"]

        def fetch(self, source: str) -> pd.DataFrame:
            return pd.DataFrame(json.loads(self.client.get(f"https://quotes.example/{source}.json").text))

        def probe(self) -> None:
            self.client.probe("https://quotes.example")
"""

from __future__ import annotations

import logging
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from framework.attempt import attempt
from framework.engine import Runner
from framework.errors import PageError, SchemaError, StorageError, UnknownNameError, known_names
from framework.interfaces import IDataSaver, IScraper
from framework.results import Result, raise_if_any_failed
from framework.steps import Step

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
ADDED = ("source", "scraped_at")


class Scraper(IScraper):
    """Base of scrapers; see the module's text for a whole one.

    Parameters
    ----------
    config : object, optional
        Settings, or any object with their names.
    logger : logging.Logger, optional
    workers : int
        Sources side by side, in threads.
    progress : bool, optional
        A bar on stderr; on a terminal unless False.

    Attributes
    ----------
    name : str
        What it is called in logs and reports.
    prefix : str
        A source is saved as `<prefix><source>`, all of them together as `<prefix>all`.
    key : str or None
        The column that names a row; in the table of all sources each key is once.
    """

    name: ClassVar[str]
    prefix: ClassVar[str] = ""
    key: ClassVar[str | None] = None

    def __init__(
        self,
        config: object | None = None,
        logger: logging.Logger | None = None,
        *,
        workers: int = 4,
        progress: bool | None = None,
    ) -> None:
        self.config = config
        self.logger = logger or logging.getLogger(f"millpond.{self.name}")
        self.workers = workers
        self.progress = progress
        self._bar: _Bar | None = None

    @abstractmethod
    def fetch(self, source: str) -> pd.DataFrame:
        """The whole of one source, or an error; called in threads."""

    @abstractmethod
    def get_available_sources(self) -> list[str]:
        """Names that `fetch` accepts, in the order in which they are saved."""

    @abstractmethod
    def probe(self) -> None:
        """One bounded request, which raises FetchError if the site does not answer us."""

    def scrape_data(self, data_saver: IDataSaver, *, sources: Sequence[str] | None = None) -> bool:
        """Scrape every source and save what can be had.

        Parameters
        ----------
        data_saver : IDataSaver
            Called in this thread only, one table at a time, each as soon as it is there.
        sources : sequence of str, optional
            Only these; then there is no table of all.

        Returns
        -------
        bool
            True: everything is saved.

        Raises
        ------
        PartialFailure
            Some failed; the others are saved. Its report has a Result per source. The table of all is then not saved.
        UnknownNameError
            There is no source of that name; nothing was scraped.
        """
        wanted = list(dict.fromkeys(self.get_available_sources() if sources is None else sources))
        report = self._scrape(wanted, data_saver, with_all=sources is None)
        raise_if_any_failed(report, f"Scraping {self.name}")
        return True

    def scrape_single_source(self, source_name: str, data_saver: IDataSaver) -> bool:
        """Scrape one source and save it; True, or the error that it failed of."""
        for result in self._scrape([source_name], data_saver, with_all=False):
            result.raise_if_failed()
        return True

    def health_check(self) -> bool:
        """True if the site answers us: one request, of a few seconds at most; never raises."""
        tried = attempt(self.name, self.probe)
        if tried.error is not None:
            self.logger.warning("%s is not healthy: %s", self.name, tried.error)
        return bool(tried)

    def tell_rows(self, rows: int) -> None:
        """Move the progress bar, if there is one, by `rows` more rows."""
        if self._bar is not None:
            self._bar.add_rows(rows)

    def _scrape(self, sources: list[str], saver: IDataSaver, *, with_all: bool) -> list[Result]:
        self._check_names(sources)
        fetched: dict[str, pd.DataFrame] = {}
        saved: dict[str, pd.DataFrame] = {}
        failed: list[str] = []

        def fetch(source: str) -> None:
            fetched[source] = self._fetch_stamped(source)

        def done(result: Result) -> None:
            """In the calling thread, as each source ends."""
            if result:
                frame = fetched.pop(result.name)
                self._save(saver, frame, f"{self.prefix}{result.name}", result)
                saved[result.name] = frame
            if not result:
                failed.append(result.name)
            if failed or not with_all:
                saved.clear()  # they are kept for the table of all only
            bar.add_source(result.name)

        steps = [
            Step(source, partial(fetch, source), outputs=(f"{self.prefix}{source}",), params={"scraper": self.name})
            for source in sources
        ]
        with self._shown_bar(len(sources)) as bar:
            runner = Runner(self.logger, workers=self.workers, on_done=done)
            report = [result for result, _ in runner.execute_all([(step, {}) for step in steps])]
        if with_all and not failed and saved:
            report += self._save_all([saved[source] for source in sources], saver)
        return report

    def _check_names(self, sources: Sequence[str]) -> None:
        known = self.get_available_sources()
        for source in sources:
            if source not in known:
                raise UnknownNameError(
                    f"{self.name} has no source {source!r}.", cure=known_names(source, known), resource=source
                )

    def _fetch_stamped(self, source: str) -> pd.DataFrame:
        """What `fetch` brings, with where and when it was scraped."""
        import pandas as pd

        started = datetime.now(UTC)
        frame = self.fetch(source).reset_index(drop=True)
        if taken := [name for name in ADDED if name in frame.columns]:
            raise SchemaError(f"{self.name} has a column {taken[0]!r} of its own.", cure="Let fetch rename it.")
        frame["source"] = typed_column([source] * len(frame), "text")
        frame["scraped_at"] = pd.Series([started] * len(frame), dtype="datetime64[us, UTC]")
        return frame

    def _save_all(self, frames: list[pd.DataFrame], saver: IDataSaver) -> list[Result]:
        """The table of all sources; a Result only if it failed."""
        result = Result(ALL)
        tried = attempt(ALL, lambda: join_tables(frames, key=self.key))
        if tried.value is None:
            return [result.fail(tried.error or SchemaError("There is nothing to join."))]
        self._save(saver, tried.value, f"{self.prefix}{ALL}", result)
        return [] if result else [result]

    def _save(self, saver: IDataSaver, frame: pd.DataFrame, destination: str, result: Result) -> None:
        """Save, and let a failure be the result's."""
        tried = attempt(destination, lambda: saver.save_data(frame, destination))
        error = tried.error
        if error is None and tried.value is False:
            error = StorageError(f"{type(saver).__name__} did not save {destination!r}, and gave no reason.")
        if error is not None:
            self.logger.error("%s was scraped and could not be saved: %s", destination, error)
            result.fail(error)
            return
        result.metrics["rows"] = len(frame)
        result.artifacts = {destination: destination}

    @contextmanager
    def _shown_bar(self, sources: int) -> Iterator[_Bar]:
        with _Bar(self.name, sources, shown=self.progress is not False and sys.stderr.isatty()) as bar:
            self._bar = bar
            try:
                yield bar
            finally:
                self._bar = None


def join_tables(frames: Sequence[pd.DataFrame], *, key: str | None) -> pd.DataFrame:
    """One table of several, each key once: its first row. A column of different dtypes becomes text."""
    import pandas as pd

    names = list(dict.fromkeys(name for frame in frames for name in frame.columns))
    mixed = [name for name in names if len({str(frame[name].dtype) for frame in frames if name in frame}) > 1]
    joined = pd.concat([_with_text(frame, mixed) for frame in frames], ignore_index=True)
    return joined.drop_duplicates(subset=[key], ignore_index=True) if key is not None else joined


def _with_text(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    copy = frame.copy()
    for name in names:
        if name in frame:
            missing = frame[name].isna()
            copy[name] = typed_column(
                [None if gone else str(v) for v, gone in zip(frame[name], missing, strict=True)], "text"
            )
    return copy


def typed_column(values: Sequence[Any], kind: Literal["text", "count", "measure"]) -> pd.Series[Any]:
    """A column whose dtype is that of its kind, whatever is missing (None): text, Int64 or float64."""
    import pandas as pd

    if kind == "text":
        return pd.Series(values, dtype=pd.Series(["text"]).dtype)
    if kind == "count":
        return pd.Series([None if value is None else int(value) for value in values], dtype="Int64")
    return pd.Series([None if value is None else float(value) for value in values], dtype="float64")


@dataclass(frozen=True, slots=True)
class TablePage:
    """One page of a table that comes in pages.

    Attributes
    ----------
    rows : pandas.DataFrame
    total : int
        How many rows the site says all pages have together.
    """

    rows: pd.DataFrame
    total: int


class _TotalChanged(PageError):
    """The site's total moved between two pages."""


def read_all_pages(
    read: Callable[[int], TablePage], *, key: str, on_page: Callable[[int], None] | None = None
) -> pd.DataFrame:
    """All rows of a table that comes in pages, exactly as many as the site states, or an error.

    Parameters
    ----------
    read : callable
        The page that starts at a row, counted from 1.
    key : str
        The column that names a row; one that comes twice is a page that came twice.
    on_page : callable, optional
        Told how many rows each page brought.

    Raises
    ------
    PageError
        If a page is empty or repeated, the columns change, the rows are not as many as stated, or the stated number
        changes a second time: after the first, all pages are read anew.
    """
    try:
        return _read_to_total(read, key=key, on_page=on_page)
    except _TotalChanged:
        return _read_to_total(read, key=key, on_page=on_page)


def _read_to_total(
    read: Callable[[int], TablePage], *, key: str, on_page: Callable[[int], None] | None
) -> pd.DataFrame:
    import pandas as pd

    pages: list[TablePage] = []
    seen: set[Any] = set()
    while not pages or len(seen) < pages[0].total:
        page = read(len(seen) + 1)
        pages.append(page)
        _check_page(page, pages[0], seen, key=key)
        seen.update(page.rows[key])
        if on_page is not None:
            on_page(len(page.rows))
    if len(seen) != pages[0].total:
        raise PageError(f"The site states {pages[0].total} rows and gives {len(seen)}.")
    return pd.concat([page.rows for page in pages], ignore_index=True)


def _check_page(page: TablePage, first: TablePage, seen: set[Any], *, key: str) -> None:
    if page.total != first.total:
        raise _TotalChanged(f"The site stated {first.total} rows, and {page.total} a page later.", cure="Scrape again.")
    if page.rows.empty:
        raise PageError(f"A page has no rows; the site states {page.total} and gave {len(seen)}.")
    if list(page.rows.columns) != list(first.rows.columns):
        raise PageError("The columns change from one page to the next.")
    again = [value for value in page.rows[key] if value in seen]
    if again or page.rows[key].duplicated().any():
        raise PageError(f"A page or row came twice, after {len(seen)} of {page.total} rows.", cure="Scrape again.")


class _Bar:
    """A progress bar over sources that also counts rows; nothing at all unless shown."""

    def __init__(self, name: str, sources: int, *, shown: bool) -> None:
        self._rows = 0
        self._progress: Any = None
        if shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rows]:,} rows  {task.fields[last]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task(name, total=sources, rows=0, last="")

    def __enter__(self) -> _Bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def add_rows(self, rows: int) -> None:
        self._rows += rows
        if self._progress is not None:
            self._progress.update(self._task, rows=self._rows)

    def add_source(self, source: str) -> None:
        if self._progress is not None:
            self._progress.update(self._task, advance=1, last=source)
