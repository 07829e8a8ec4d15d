"""What every scraper gets from its base: saving, the table of all, the report, pages to the stated total."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pandas as pd
import pytest

from framework.errors import BlockedError, FetchError, PageError, PartialFailure, StorageError, UnknownNameError
from framework.http import PoliteClient
from framework.interfaces import IDataSaver
from framework.scraping import Scraper, TablePage, join_tables, read_all_pages, typed_column


class Kept(IDataSaver):
    """Keeps frames in memory; refuses the names it is told to, and says in which threads it was called."""

    def __init__(self, *, refuses: str = "", answers: bool = True) -> None:
        self.tables: dict[str, pd.DataFrame] = {}
        self.threads: set[threading.Thread] = set()
        self.refuses = refuses
        self.answers = answers

    def save_data(self, data: pd.DataFrame, destination: str) -> bool:
        self.threads.add(threading.current_thread())
        if destination == self.refuses:
            raise OSError("disk full")
        self.tables[destination] = data
        return self.answers

    def save_with_backup(self, data: pd.DataFrame, destination: str) -> bool:
        return self.save_data(data, destination)

    def health_check(self) -> bool:
        return True


class Shelf(Scraper):
    """A site of lists: a source is a list of keys, or the error that it fails of."""

    name: ClassVar[str] = "shelf"
    prefix: ClassVar[str] = "S - "
    key: ClassVar[str | None] = "key"

    def __init__(self, lists: Mapping[str, list[str] | Exception], **options: Any) -> None:
        super().__init__(**options)
        self.lists = lists
        self.fetched: list[str] = []

    def get_available_sources(self) -> list[str]:
        return list(self.lists)

    def fetch(self, source: str) -> pd.DataFrame:
        self.fetched.append(source)
        keys = self.lists[source]
        if isinstance(keys, Exception):
            raise keys
        time.sleep(0.01 * len(keys))  # the longest list ends last
        self.tell_rows(len(keys))
        return pd.DataFrame({"key": keys, "from": [source] * len(keys)})

    def probe(self) -> None:
        for keys in self.lists.values():
            if isinstance(keys, Exception):
                raise keys


GOOD: dict[str, list[str] | Exception] = {"b": ["x", "y", "z"], "a": ["y", "w"], "c": ["NA"]}
BAD: dict[str, list[str] | Exception] = {"b": ["x"], "a": BlockedError("No."), "c": ["z"]}


# -- scraping all


def test_every_source_is_saved_under_its_name() -> None:
    """The prefix, the source, and all of them together."""
    saver = Kept()
    assert Shelf(GOOD).scrape_data(saver) is True
    assert sorted(saver.tables) == ["S - a", "S - all", "S - b", "S - c"]


def test_rows_say_where_and_when_they_come_from() -> None:
    """`source` is text; `scraped_at` is one UTC time for the source."""
    saver, before = Kept(), datetime.now(UTC)
    Shelf(GOOD).scrape_data(saver)
    table = saver.tables["S - b"]
    assert table["source"].tolist() == ["b", "b", "b"]
    assert str(table["scraped_at"].dtype) == "datetime64[us, UTC]"
    assert table["scraped_at"].nunique() == 1
    assert before <= table["scraped_at"][0] <= datetime.now(UTC)


def test_the_table_of_all_has_each_key_once_in_the_order_of_sources() -> None:
    """Not in the order in which they ended; the first row of a key stays."""
    saver = Kept()
    Shelf(GOOD).scrape_data(saver)
    table = saver.tables["S - all"]
    assert table["key"].tolist() == ["x", "y", "z", "w", "NA"]
    assert table["from"].tolist() == ["b", "b", "b", "a", "c"]
    assert table.index.tolist() == [0, 1, 2, 3, 4]


def test_what_can_be_had_is_saved_and_the_failure_reported() -> None:
    """One source fails: the others are there, the table of all is not, and the report has each in its order."""
    saver = Kept()
    with pytest.raises(PartialFailure, match=r"1 of 3 failed\. a: BlockedError: No\.") as caught:
        Shelf(BAD).scrape_data(saver)
    assert sorted(saver.tables) == ["S - b", "S - c"]
    assert [(r.name, bool(r)) for r in caught.value.report] == [("b", True), ("a", False), ("c", True)]
    assert caught.value.report[0].metrics == {"rows": 1}
    assert caught.value.report[0].artifacts == {"S - b": "S - b"}


def test_a_saver_that_fails_fails_that_source_only() -> None:
    """A full disk for one table does not lose the others, and all is not all without it."""
    saver = Kept(refuses="S - b")
    with pytest.raises(PartialFailure, match="b: OSError: disk full") as caught:
        Shelf(GOOD).scrape_data(saver)
    assert sorted(saver.tables) == ["S - a", "S - c"]
    assert [bool(r) for r in caught.value.report] == [False, True, True]


def test_a_table_of_all_that_cannot_be_saved_is_reported() -> None:
    """The sources are saved; the failure is named."""
    saver = Kept(refuses="S - all")
    with pytest.raises(PartialFailure, match="all: OSError") as caught:
        Shelf(GOOD).scrape_data(saver)
    assert [r.name for r in caught.value.report] == ["b", "a", "c", "all"]
    assert sorted(saver.tables) == ["S - a", "S - b", "S - c"]


def test_a_saver_that_answers_false_has_not_saved() -> None:
    """False is not taken for success."""
    with pytest.raises(PartialFailure, match="did not save"):
        Shelf(GOOD).scrape_data(Kept(answers=False))


def test_the_saver_is_called_in_the_callers_thread_only() -> None:
    """Any saver will do, also one that is not made for threads."""
    saver = Kept()
    Shelf(GOOD, workers=3).scrape_data(saver)
    assert saver.threads == {threading.current_thread()}


def test_some_sources_give_no_table_of_all() -> None:
    """What is asked for, once each; a table of all would lie."""
    saver = Kept()
    assert Shelf(GOOD).scrape_data(saver, sources=["a", "b", "a"]) is True
    assert sorted(saver.tables) == ["S - a", "S - b"]


def test_an_unknown_source_is_named_before_anything_is_scraped() -> None:
    """With the nearest that exists."""
    shelf, saver = Shelf({"energy": ["x"], "utilities": ["y"]}), Kept()
    with pytest.raises(UnknownNameError, match=r"no source 'enrgy'.*Did you mean 'energy'"):
        shelf.scrape_data(saver, sources=["utilities", "enrgy"])
    assert (shelf.fetched, saver.tables) == ([], {})


def test_a_column_of_the_sites_own_is_not_overwritten() -> None:
    """A site with a `source` of its own is an error, not a loss."""

    class Clash(Shelf):
        def fetch(self, source: str) -> pd.DataFrame:
            return pd.DataFrame({"key": ["x"], "source": ["Reuters"]})

    with pytest.raises(PartialFailure, match="column 'source' of its own"):
        Clash(GOOD).scrape_data(Kept())


# -- scraping one


def test_one_source_is_saved_alone() -> None:
    """Under its own name, and no table of all."""
    saver = Kept()
    assert Shelf(BAD).scrape_single_source("c", saver) is True
    assert list(saver.tables) == ["S - c"]


def test_one_source_raises_its_own_error() -> None:
    """Not a report: there is one thing to say."""
    with pytest.raises(BlockedError, match="No"):
        Shelf(BAD).scrape_single_source("a", Kept())
    with pytest.raises(StorageError):
        Shelf(BAD).scrape_single_source("c", Kept(answers=False))
    with pytest.raises(UnknownNameError, match="Known: a, b, c"):
        Shelf(BAD).scrape_single_source("nothing", Kept())


# -- health and progress


def test_a_health_check_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    """False, and the reason in the log."""
    assert Shelf(GOOD).health_check() is True
    with caplog.at_level(logging.WARNING):
        assert Shelf(BAD).health_check() is False
        assert Shelf({"a": ZeroDivisionError()}).health_check() is False
    assert "shelf is not healthy: No." in caplog.text


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stderr", "progress", "shown"),
    [(_Terminal(), None, True), (_Terminal(), False, False), (io.StringIO(), None, False)],
)
def test_a_bar_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO, progress: bool | None, shown: bool
) -> None:
    """Rows and sources on a terminal; nothing in a cron mail, and nothing when it is not wanted."""
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    Shelf(GOOD, progress=progress).scrape_data(Kept())
    assert ("6 rows" in stderr.getvalue()) is shown
    assert bool(stderr.getvalue()) is shown


# -- pages


class Pages:
    """A table in pages of two, which can go wrong."""

    def __init__(self, keys: list[str], *, totals: list[int] | None = None, size: int = 2) -> None:
        self.keys = keys
        self.totals = totals or [len(keys)]
        self.size = size
        self.starts: list[int] = []

    def read(self, start: int) -> TablePage:
        self.starts.append(start)
        keys = self.keys[start - 1 : start - 1 + self.size]
        total = self.totals.pop(0) if len(self.totals) > 1 else self.totals[0]
        return TablePage(pd.DataFrame({"key": keys}), total)


def test_pages_go_on_to_the_stated_total() -> None:
    """The next page starts after the rows so far, whatever a page holds."""
    told: list[int] = []
    pages = Pages(list("abcdefg"), size=3)
    assert read_all_pages(pages.read, key="key", on_page=told.append)["key"].tolist() == list("abcdefg")
    assert (pages.starts, told) == ([1, 4, 7], [3, 3, 1])


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        (Pages(list("abc"), totals=[5]), "no rows; the site states 5 and gave 3"),
        (Pages([], totals=[0]), "no rows"),
        (Pages(list("abcdab")), "came twice, after 4 of 6"),
        (Pages(list("abbc")), "came twice"),
        (Pages(list("aabc")), "came twice"),
        (Pages(list("abcc"), totals=[3]), "came twice"),
        (Pages(list("abcd"), totals=[3]), "states 3 rows and gives 4"),
        (Pages(list("abcd"), totals=[4, 5, 4, 5]), "stated 4 rows, and 5 a page later"),
    ],
)
def test_what_is_not_the_whole_table_is_an_error(pages: Pages, says: str) -> None:
    """Short, empty, repeated, too long, or moving: never a table."""
    with pytest.raises(PageError, match=says):
        read_all_pages(pages.read, key="key")


def test_a_total_that_changes_once_starts_the_source_anew() -> None:
    """A stock was listed meanwhile; the second reading is whole."""
    pages = Pages(list("abcd"), totals=[3, 4, 4])
    assert read_all_pages(pages.read, key="key")["key"].tolist() == list("abcd")
    assert pages.starts == [1, 3, 1, 3]


def test_columns_that_change_between_pages_are_an_error() -> None:
    """Half a table in another view is not the table."""

    def read(start: int) -> TablePage:
        return TablePage(pd.DataFrame({"key": [start], f"c{start}": [0]}), 2)

    with pytest.raises(PageError, match="columns change"):
        read_all_pages(read, key="key")


# -- columns


@pytest.mark.parametrize(("kind", "dtype"), [("count", "Int64"), ("measure", "float64"), ("text", None)])
def test_a_columns_dtype_does_not_depend_on_its_values(kind: Any, dtype: str | None) -> None:
    """All there, some missing, all missing, none: the same dtype."""
    values = [["7", "8"], ["7", None], [None, None], []]
    dtypes = {str(typed_column(v, kind).dtype) for v in values}
    assert dtypes == {dtype or str(pd.Series(["a"]).dtype)}
    assert typed_column([None, "7"], kind).isna().tolist() == [True, False]


def test_tables_whose_columns_differ_are_joined_as_text() -> None:
    """Numbers in one and words in another: nothing is lost, and the column is of one kind."""
    frames = [
        pd.DataFrame({"key": ["a", "b"], "v": [1.5, None]}),
        pd.DataFrame({"key": ["c"], "v": ["1.5x"], "only": [7]}),
    ]
    joined = join_tables(frames, key="key")
    assert [v if isinstance(v, str) else None for v in joined["v"]] == ["1.5", None, "1.5x"]
    assert joined["only"].isna().tolist() == [True, True, False]


# -- a second scraper


@pytest.fixture
def quotes_site() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shelf = {
                "/life.json": [{"id": 1, "text": "NA"}],
                "/love.json": [{"id": 1, "text": "x"}, {"id": 2, "text": "y"}],
            }
            body = json.dumps(shelf.get(self.path)).encode()
            self.send_response(200 if self.path in shelf else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


class Quotes(Scraper):
    """Another site: this is all there is to write."""

    name = "quotes"
    key = "id"

    def __init__(self, host: str) -> None:
        super().__init__()
        self.url = f"http://{host}"
        self.client = PoliteClient(delay=0.01, backoff=0.01, retries=1, allow_hosts=[host])

    def get_available_sources(self) -> list[str]:
        return ["life", "love"]

    def fetch(self, source: str) -> pd.DataFrame:
        rows = json.loads(self.client.get(f"{self.url}/{source}.json").text)
        return pd.DataFrame({"id": [r["id"] for r in rows], "text": typed_column([r["text"] for r in rows], "text")})

    def probe(self) -> None:
        self.client.probe(self.url)


def test_a_second_scraper_is_a_page_of_code(quotes_site: str) -> None:
    """Sources, fetch and probe of a real site; the base does the rest."""
    saver, quotes = Kept(), Quotes(quotes_site)
    assert quotes.health_check() is True
    assert quotes.scrape_data(saver) is True
    assert {name: len(table) for name, table in saver.tables.items()} == {"life": 1, "love": 2, "all": 2}
    assert saver.tables["all"]["text"].tolist() == ["NA", "y"]


def test_a_site_that_is_gone_is_not_healthy_and_not_scraped() -> None:
    """Both say so; neither hangs."""
    quotes = Quotes("127.0.0.1:9")
    assert quotes.health_check() is False
    with pytest.raises(FetchError, match="refused or the host is not reachable"):
        quotes.scrape_single_source("life", Kept())
