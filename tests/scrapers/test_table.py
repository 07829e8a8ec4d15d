"""Any table at an address, from a real server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from framework.errors import (
    BlockedError,
    FetchError,
    FormatError,
    OptionError,
    PageError,
    PartialFailure,
    SettingError,
    UnknownNameError,
)
from framework.factory import DataFactory
from framework.interfaces import IDataSaver
from scrapers.table import TableScraper, read_json

RATES = "day,rate,isin,n\n2026-01-05,0.9412,007,1\n2026-01-06,0.9398,008,\n"


class Pages(BaseHTTPRequestHandler):
    """Answers with what the test put there: path to (content type, body)."""

    pages: ClassVar[dict[str, tuple[str, bytes]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, body = self.pages.get(self.path, ("", b""))
        if kind.startswith("http"):
            self.send_response(302)
            self.send_header("Location", kind)
            self.end_headers()
            return
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing on the test's output."""


class Site:
    """A server, its address, and the pages that it has."""

    def __init__(self, url: str) -> None:
        self.url = url
        Pages.pages, Pages.asked = {}, []

    def put(self, path: str, body: str | bytes, kind: str) -> str:
        Pages.pages[path] = (kind, body.encode() if isinstance(body, str) else body)
        return self.url + path

    @property
    def asked(self) -> list[str]:
        return [path for path in Pages.asked if path != "/robots.txt"]


@pytest.fixture
def site() -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


class Kept(IDataSaver):
    """Keeps frames in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, pd.DataFrame] = {}

    def save_data(self, data: pd.DataFrame, destination: str) -> bool:
        self.tables[destination] = data
        return True

    def save_with_backup(self, data: pd.DataFrame, destination: str) -> bool:
        return self.save_data(data, destination)

    def health_check(self) -> bool:
        return True


def scraped(**options: Any) -> dict[str, pd.DataFrame]:
    kept = Kept()
    assert TableScraper(**{"delay": 0, **options}).scrape_data(kept)
    return kept.tables


# --------------------------------------------------------------------------- CSV


def test_a_csv_keeps_what_its_values_say(site: Site) -> None:
    """Times are times, numbers numbers, and 007 stays text; the table is called as its file."""
    tables = scraped(url=site.put("/a/daily%20rates.csv", RATES, "text/csv"))
    frame = tables["daily rates"]
    assert list(tables) == ["daily rates"]
    assert list(frame.columns) == ["day", "rate", "isin", "n", "source", "scraped_at"]
    assert frame["isin"].tolist() == ["007", "008"]
    assert frame["rate"].tolist() == [0.9412, 0.9398]
    assert (frame["day"].dtype.kind, frame["n"].isna().tolist()) == ("M", [False, True])
    assert set(frame["source"]) == {"daily rates"}


def test_a_csv_may_be_spelled_otherwise(site: Site) -> None:
    """Delimiter and encoding can be said; without one the server's encoding holds."""
    text = "name;n\nZürich;1\n"
    url = site.put("/cities", text.encode("cp1252"), "text/plain; charset=cp1252")
    assert scraped(url=url, delimiter=";")["cities"]["name"].tolist() == ["Zürich"]
    url = site.put("/more", text.encode("latin-1"), "application/octet-stream")
    assert scraped(url=url, delimiter=";", encoding="latin-1", name="b")["b"]["name"].tolist() == ["Zürich"]


def test_a_column_of_the_name_of_ours_is_renamed(site: Site) -> None:
    """A table may have a source of its own."""
    frame = scraped(url=site.put("/x.csv", "source,scraped_at\nme,never\n", "text/csv"))["x"]
    assert list(frame.columns) == ["source_there", "scraped_at_there", "source", "scraped_at"]


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("<!doctype html><title>Sign in</title>", PageError, "page of HTML"),
        ("a,b\n1\n", FormatError, "line 2"),
        ("", FormatError, "empty"),
    ],
)
def test_what_is_no_csv_is_an_error(site: Site, body: str, error: type[Exception], words: str) -> None:
    """A page to sign in on is never saved for a table."""
    with pytest.raises(PartialFailure, match=words) as failed:
        scraped(url=site.put("/x.csv", body, "text/html"))
    assert isinstance(failed.value.report[0].error, error)


# --------------------------------------------------------------------------- JSON


def test_the_list_at_a_path_is_the_table(site: Site) -> None:
    """A row for each object; what one lacks is missing; objects inside are columns, lists their text."""
    items = [
        {"id": 1, "name": "a", "at": {"lat": 1.5, "city": {"zip": "007"}}, "tags": ["x", 1], "on": True},
        {"id": None, "name": "b", "at": {"lat": 2}, "on": None, "more": 2.5},
        {"id": 3, "at": {}, "tags": []},
    ]
    url = site.put("/api?v=1", json.dumps({"data": {"items": items}}), "application/json; charset=utf-8")
    frame = scraped(url=url, path="data.items", name="things")["things"]
    assert list(frame.columns)[:7] == ["id", "name", "at.lat", "at.city.zip", "tags", "on", "more"]
    assert (str(frame["id"].dtype), frame["id"].tolist()) == ("Int64", [1, pd.NA, 3])
    assert (str(frame["on"].dtype), frame["on"].tolist()) == ("boolean", [True, pd.NA, pd.NA])
    assert frame["at.lat"].tolist()[:2] == [1.5, 2.0]
    assert frame["tags"].tolist()[::2] == ['["x", 1]', "[]"]
    assert frame["at.city.zip"].tolist()[0] == "007"


def test_numbers_of_json_stay_what_they_are() -> None:
    """Whole numbers are whole; those too large for it, and columns of several kinds, are text."""
    frame = read_json('[{"a": 1, "b": 1, "c": 12345678901234567890, "d": 1, "e": 9007199254740993},'
                      ' {"a": 2, "b": 0.5, "c": 1, "d": "x", "e": 0.5}]')  # fmt: skip
    assert [str(frame[name].dtype) for name in "ab"] == ["Int64", "float64"]
    assert frame["c"].tolist() == ["12345678901234567890", "1"]
    assert frame["d"].tolist() == ["1", "x"]
    assert frame["e"].tolist() == ["9007199254740993", "0.5"]


def test_an_empty_list_is_a_table_without_rows() -> None:
    """Nothing to tell is no error."""
    assert read_json('{"rows": []}', "rows").shape == (0, 0)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("<html>", "", "no JSON.*begins '<html>'"),
        ('{"a": [1]}', "", "'the top' is an object with the keys 'a', not a list. Set path="),
        ('{"data": {"items": []}}', "data.item", "no 'item' on the way to 'data.item'.*Did you mean 'items'"),
        ('{"data": null}', "data", "At 'data' is null, not a list"),
        ("[[]]", "1", "no '1'.*Known: 0"),
        ('[{"a": 1}, 2]', "", "Item 1 .* is a number, not an object"),
        ('[{"a.b": 1, "a": {"b": 2}}]', "", "two fields of one name"),
        ("[" * 100_000, "", "no JSON"),
    ],
)
def test_what_is_no_list_of_objects_is_told_as_what_it_is(text: str, path: str, words: str) -> None:
    """The error says what was found, and what to do."""
    with pytest.raises(PageError, match=words):
        read_json(text, path)


# --------------------------------------------------------------------------- sources and site


def test_several_tables_are_saved_each_under_its_name(site: Site) -> None:
    """One that fails does not hold up the others; there is no table of all."""
    sources = {
        "rates": site.put("/rates.csv", RATES, "text/csv"),
        "items": {"url": site.put("/items", '[{"a": 1}]', "text/plain"), "format": "json"},
        "gone": {"url": f"{site.url}/gone.csv"},
    }
    kept = Kept()
    scraper = TableScraper(sources=sources, delay=0)
    with pytest.raises(PartialFailure, match="gone: PageError"):
        scraper.scrape_data(kept)
    assert sorted(kept.tables) == ["items", "rates"]
    assert scraper.health_check() is True
    with pytest.raises(UnknownNameError, match="Did you mean 'rates'"):
        scraper.scrape_data(kept, sources=["rats"])


def test_sources_stand_in_a_file_of_the_workspace(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sources.yaml is read, with keys from the environment; the data go to any store."""
    monkeypatch.setenv("RATES_KEY", "s3cret")
    site.put("/rates.csv?key=s3cret", RATES, "text/csv")
    (tmp_path / "millpond.yaml").write_text("")
    (tmp_path / "sources.yaml").write_text(f'rates:\n  url: "{site.url}/rates.csv?key=${{RATES_KEY}}"\n')
    monkeypatch.chdir(tmp_path)
    factory = DataFactory()
    saver = factory.create_data_saver("parquet")
    assert factory.create_scraper("table", delay=0).scrape_data(saver)
    assert factory.create_data_source("parquet").get_data("rates")["isin"].tolist() == ["007", "008"]
    assert site.asked == ["/rates.csv?key=s3cret"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, OptionError, r"neither url= nor sources=.*--set url=https://.*sources\.yaml"),
        ({"sources": {"x": {}}}, OptionError, "'x': url: Field required"),
        ({"sources": {"x": {"url": "u", "pth": "a"}}}, OptionError, "Did you mean 'path'"),
        ({"sources": {"x": {"url": "u", "format": "xml"}}}, OptionError, "'csv' or 'json'"),
    ],
)
def test_a_source_that_cannot_be_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """Nothing is asked of any site."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        TableScraper(**options)
    (tmp_path / "sources.yaml").write_text("")
    with pytest.raises(SettingError, match="holds no sources"):
        TableScraper()


def test_it_is_as_polite_and_as_careful_as_every_scraper(site: Site) -> None:
    """robots.txt is obeyed, an answer that is too large ends, and no redirect leads to another private host."""
    url = site.put("/big.csv", "a\n" + "1\n" * 1000, "text/csv")
    with pytest.raises(PartialFailure, match="larger than 100 bytes"):
        scraped(url=url, max_bytes=100)
    port = site.url.rpartition(":")[2]
    site.put("/there.csv", b"", f"http://localhost:{port}/big.csv")
    with pytest.raises(PartialFailure, match="not public") as failed:
        scraped(url=site.url + "/there.csv")
    assert isinstance(failed.value.report[0].error, FetchError)
    site.put("/robots.txt", "User-agent: *\nDisallow: /\n", "text/plain")
    with pytest.raises(PartialFailure, match="robots") as failed:
        scraped(url=url)
    assert isinstance(failed.value.report[0].error, BlockedError)
