"""Finviz: pages of every layout, and the whole scraper against the replica of the site."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from framework.errors import BlockedError, FetchError, PageError, PartialFailure, SettingError, UnknownNameError
from framework.interfaces import IDataSaver
from scrapers.finviz import SOURCES, FinvizScraper, parse_screener, parse_value
from scrapers.finviz_replica import COLUMNS, SECTORS, VIEWS, FinvizReplica, Layout, Stock, make_stocks, page_html

LAYOUTS: tuple[Layout, ...] = ("2022", "2025", "2026")
STOCKS = make_stocks()


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


def _scraper(site: FinvizReplica, **options: Any) -> FinvizScraper:
    settings: dict[str, Any] = {"delay": 0.001, "backoff": 0.01, "retries": 2, "deadline": 5}
    return FinvizScraper(None, None, base_url=site.base_url, **(settings | options))


def _page(
    layout: Layout, stocks: Sequence[Stock], columns: Sequence[str] = COLUMNS, *, total: int | None = None
) -> str:
    return page_html(layout, stocks, columns, start=1, total=len(stocks) if total is None else total)


def _with(**texts: str) -> Stock:
    return STOCKS[0] | texts


# -- parsing


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("columns", [COLUMNS, VIEWS["111"], VIEWS["171"]])
def test_every_layout_and_view_is_read(layout: Layout, columns: Sequence[str]) -> None:
    """Headers in their order, each row's ticker, and the stated total."""
    frame, total = parse_screener(page_html(layout, STOCKS[20:40], columns, start=21, total=438))
    assert list(frame.columns) == list(columns)
    assert frame["Ticker"].tolist() == [stock["Ticker"] for stock in STOCKS[20:40]]
    assert frame["No."].tolist() == list(range(21, 41))
    assert total == 438


def test_all_layouts_say_the_same() -> None:
    """One page in three layouts is one frame: values, dtypes, names."""
    frames = [parse_screener(_page(layout, STOCKS[:50]))[0] for layout in LAYOUTS]
    assert_frame_equal(frames[0], frames[1])
    assert_frame_equal(frames[0], frames[2])


def test_values_are_those_of_the_page() -> None:
    """Text by text, without the parser's own arithmetic: percent, K, M, B and `-`."""
    frame, _ = parse_screener(_page("2025", STOCKS[:20]))
    for place, stock in enumerate(STOCKS[:20]):
        for name in ("Perf Week", "Market Cap", "P/E", "Avg Volume"):
            shown, value = stock[name], frame[name][place]
            if shown == "-":
                assert math.isnan(value)
                continue
            scale = {"%": 0.01, "K": 1e3, "M": 1e6, "B": 1e9}.get(shown[-1], 1)
            assert value == pytest.approx(float(shown.rstrip("%KMB")) * scale, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9.9%", 0.099),
        ("-0.21%", -0.0021),
        ("0.07%", 0.0007),
        ("1.65M", 1_650_000.0),
        ("89.69K", 89_690.0),
        ("1957.10B", 1_957_100_000_000.0),
        ("3.01T", 3_010_000_000_000.0),
        ("-554.30M", -554_300_000.0),
        ("9,448,297", 9_448_297.0),
        ("1,234.5%", 12.345),
        (".5", 0.5),
        ("0.00", 0.0),
    ],
)
def test_a_number_is_exactly_what_it_shows(text: str, value: float) -> None:
    """No float noise: 9.9% is 0.099 and not 0.09900000000000002."""
    number = parse_value(text)
    assert number is not None
    assert float(number) == value


_NO_NUMBERS = (
    ["", "-", "%", "A", "NA", "INF", "nan", "1e5", "1,23", "1_000", "٣"],
    ["1.91% 2.73%", "0.71% / 1.07", "53.15 - 137.98", "5/3/1973"],
)


@pytest.mark.parametrize("text", [text for line in _NO_NUMBERS for text in line])
def test_what_is_not_one_number_is_none(text: str) -> None:
    """Dates, pairs, words, and what Python alone would take for a number."""
    assert parse_value(text) is None


def test_dtypes_do_not_depend_on_the_page() -> None:
    """A page on which everything is missing has the dtypes of any other."""
    bare = [_with(**{name: "-" for name in COLUMNS if name not in ("No.", "Ticker", "Volume")})]
    assert parse_screener(_page("2025", bare))[0].dtypes.equals(parse_screener(_page("2025", STOCKS[:20]))[0].dtypes)
    dtypes = parse_screener(_page("2025", STOCKS[:20]))[0].dtypes
    assert {str(dtypes[name]) for name in ("No.", "Volume")} == {"Int64"}
    assert {str(dtypes[name]) for name in ("Market Cap", "Perf Week", "Price")} == {"float64"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ticker", ["A", "NA", "TRUE", "NULL", "INF", "MMA", "TTOM", "AAON", "IIX", "BRQ-A", "1E5"])
def test_a_ticker_is_the_text_it_is(layout: Layout, ticker: str) -> None:
    """Not a missing value, a truth or a number; and a doubled first letter is no logo."""
    frame, _ = parse_screener(_page(layout, [_with(Ticker=ticker, Company="NA", Industry="None")]))
    assert frame.loc[0, ["Ticker", "Company", "Industry"]].tolist() == [ticker, "NA", "None"]


def test_pairs_and_dates_stay_text() -> None:
    """One column, two values: nothing is chosen for the reader."""
    texts = {
        "Volatility": "1.91% 2.73%",
        "Dividend Est.": "0.71% / 1.07",
        "52W Range": "53.15 - 137.98",
        "Index": "DJIA S&P500",
    }
    columns = ["Ticker", *texts, "IPO Date", "Earnings"]
    frame, _ = parse_screener(_page("2026", [_with(**texts), _with(**dict.fromkeys(texts, "-"))], columns))
    assert frame.loc[0, list(texts)].tolist() == list(texts.values())
    assert frame.loc[1, list(texts)].isna().all()
    assert re.fullmatch(r"\d+/\d+/\d{4}", frame["IPO Date"][0])


def test_an_unknown_column_is_a_number_only_if_all_of_it_is() -> None:
    """The site adds columns; what they hold decides, and one odd value keeps all of them whole."""
    stocks = [_with(New="5.0%", Odd="5.0%"), _with(New="-", Odd="5 of 7")]
    frame, _ = parse_screener(_page("2025", stocks, ["Ticker", "New", "Odd"]))
    assert frame["New"][0] == 0.05
    assert math.isnan(frame["New"][1])
    assert frame["Odd"].tolist() == ["5.0%", "5 of 7"]


def test_headers_are_known_without_regard_to_case_and_none_is_lost() -> None:
    """The site has changed its capitals before; two equal headers are two columns."""
    html = _page("2025", [_with(**{"EPS THIS y": "1.5%"})], ["Ticker", "EPS THIS y", "EPS next Y", "EPS next Y"])
    frame, _ = parse_screener(html)
    assert list(frame.columns) == ["Ticker", "EPS this Y", "EPS next Y", "EPS next Y (2)"]
    assert frame["EPS this Y"][0] == 0.015


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sorted_by", ["No.", "Ticker", "Market Cap", "IPO Date"])
def test_the_sorted_column_is_neither_lost_nor_shifted(layout: Layout, sorted_by: str) -> None:
    """Its header holds a drawing too."""
    html = page_html(layout, STOCKS[:3], COLUMNS, start=1, total=3, sorted_by=sorted_by)
    named = html.replace("<use ", "<title>up</title><use ")
    assert list(parse_screener(named)[0].columns) == list(COLUMNS)


def test_change_is_change_in_every_layout() -> None:
    """The newest layout says "Change %"."""
    html = _page("2026", STOCKS[:3])
    assert "Change %" in html
    assert "Change" in parse_screener(html)[0].columns


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_result_of_nothing_is_a_frame_of_nothing(layout: Layout) -> None:
    """The headers are there, the total is 0, and the dtypes hold."""
    frame, total = parse_screener(_page(layout, []))
    assert (frame.shape, total) == ((0, len(COLUMNS)), 0)
    assert str(frame["Volume"].dtype) == "Int64"


@pytest.mark.parametrize(
    ("html", "says"),
    [
        ("", "it is empty"),
        ("Too many requests.", "it says 'Too many requests.'"),
        ("<html><head><title>Just a moment...</title></head></html>", "Just a moment"),
        ("<table><tr><th>Ticker</th></tr><tr><td>A</td></tr></table>", "no table of stocks"),
        ("\x00\x01\x02%PDF-1.7", "not a screener page"),
        ('{"stocks": []}', "not a screener page"),
    ],
)
def test_html_that_is_not_a_screener_is_a_page_error(html: str, says: str) -> None:
    """It says what it found instead."""
    with pytest.raises(PageError, match=says):
        parse_screener(html)


def _spoilt(old: str, new: str, layout: Layout = "2025") -> str:
    html = _page(layout, STOCKS[:3])
    assert old in html
    return html.replace(old, new, 1)


@pytest.mark.parametrize(
    ("html", "says"),
    [
        (_spoilt("</td></tr><tr class", "</td><td>1</td></tr><tr class"), "72 cells under 71 headers"),
        (_spoilt("<!-- TS\n" + STOCKS[0]["Ticker"], "<!-- TS\nWRONG"), "differ: 'WRONG' and"),
        (_spoilt("<!-- TS\n", "<!-- TS\nMORE|1|2\n", "2022"), "differ: 'MORE'"),
        (_spoilt(" / 3 Total", ""), "how many rows"),
        (_spoilt(">Ticker<", ">Symbol<"), "no Ticker column"),
        (_page("2025", [_with(**{"P/E": "cheap"})]), "'P/E' holds 'cheap'"),
        (_page("2025", [_with(Volume="1.5")]), "'Volume' holds '1.5'"),
    ],
)
def test_a_page_that_contradicts_itself_is_a_page_error(html: str, says: str) -> None:
    """A wrong number is worse than none."""
    with pytest.raises(PageError, match=says):
        parse_screener(html)


# -- the whole scraper


def test_the_whole_site_is_scraped() -> None:
    """Every source complete, all of them together with each ticker once; a refusal in the middle is no hindrance."""
    saver = Kept()
    with FinvizReplica(refusals=2) as site:
        assert _scraper(site).scrape_data(saver) is True
        sizes = {name: len(site.matching(code)) for name, code in SOURCES.items()}
        assert site.refusals == 0
    assert {name: len(table) for name, table in saver.tables.items() if name != "AAA - all"} == {
        f"AAA - {name}": size for name, size in sizes.items()
    }
    everything = saver.tables["AAA - all"]
    assert sorted(everything["Ticker"]) == sorted(stock["Ticker"] for stock in STOCKS)
    assert list(everything.columns) == [*COLUMNS, "source", "scraped_at"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_source_is_scraped_in_every_layout(layout: Layout) -> None:
    """Four pages, with a refusal before the last."""
    saver = Kept()
    with FinvizReplica(layout=layout, refusals=1) as site:
        _scraper(site).scrape_single_source("technology", saver)
        expected = [stock["Ticker"] for stock in site.matching("sec_technology")]
    assert saver.tables["AAA - technology"]["Ticker"].tolist() == expected


def test_the_sources_are_the_sectors_an_index_and_the_sizes() -> None:
    """Seventeen names, in their order; making the scraper connects to nothing."""
    names = FinvizScraper(None, None, base_url="http://127.0.0.1:9").get_available_sources()
    assert len(names) == 17
    assert names[0] == "basicmaterials"
    assert names[11:] == ["SnP500", "MegaCap", "LargeCap", "MidCap", "SmallCap", "MicroCap"]
    assert {f"sec_{re.sub('[^a-z]', '', sector.lower())}" for sector in SECTORS} == {SOURCES[n] for n in names[:11]}


def test_it_asks_for_all_columns_page_after_page() -> None:
    """v=152 with c=0 to c=70; each page starts after the rows so far; robots.txt comes first, once."""
    with FinvizReplica() as site:
        _scraper(site).scrape_single_source("technology", Kept())
        paths = [path for _, path in site.requests]
    assert paths[0] == "/robots.txt"
    queries = [parse_qs(urlsplit(path).query) for path in paths[1:]]
    assert [query["r"] for query in queries] == [["1"], ["21"], ["41"], ["61"]]
    assert all(query["c"] == [",".join(map(str, range(71)))] for query in queries)
    assert all((query["v"], query["f"]) == (["152"], ["sec_technology"]) for query in queries)


def test_larger_pages_are_taken_as_they_come() -> None:
    """Fifty rows a page for those who pay."""
    saver = Kept()
    with FinvizReplica(page_size=50) as site:
        _scraper(site).scrape_single_source("technology", saver)
        starts = [parse_qs(urlsplit(path).query)["r"] for _, path in site.requests[1:]]
    assert starts == [["1"], ["51"]]
    assert len(saver.tables["AAA - technology"]) == SECTORS["Technology"][0]


def test_another_view_is_scraped_too() -> None:
    """The columns are those that the page has."""
    saver = Kept()
    with FinvizReplica() as site:
        _scraper(site, view=111).scrape_single_source("SnP500", saver)
        assert "c=" not in site.requests[-1][1]
    assert list(saver.tables["AAA - SnP500"].columns[:11]) == list(VIEWS["111"])


def test_a_site_that_refuses_for_ever_is_blocked() -> None:
    """It ends, saves nothing, and says what the site said."""
    saver = Kept()
    with FinvizReplica(refusals=math.inf, refuse_after=0) as site:
        with pytest.raises(BlockedError, match=r"refuses: it says 'Too many requests\.'.*Tried 3 times"):
            _scraper(site).scrape_single_source("energy", saver)
        with pytest.raises(PartialFailure, match="17 of 17 failed") as caught:
            _scraper(site).scrape_data(saver)
    assert all(isinstance(result.error, BlockedError) for result in caught.value.report)
    assert saver.tables == {}


def test_a_site_that_blocks_is_blocked_at_once_and_not_healthy() -> None:
    """403: one request for the page, a cure in the message."""
    with FinvizReplica(blocked=True) as site:
        with pytest.raises(BlockedError, match=r"403 Forbidden.*refuses us.*another network"):
            _scraper(site).scrape_single_source("energy", Kept())
        assert len(site.requests) == 2
        assert _scraper(site).health_check() is False
        assert len(site.requests) == 3


def test_health_is_one_request() -> None:
    """True, quickly, and False when nobody is there."""
    with FinvizReplica() as site:
        scraper = _scraper(site)
        assert scraper.health_check() is True
        assert len(site.requests) == 1
        gone = _scraper(site)
    assert gone.health_check() is False


def test_what_robots_forbids_is_not_scraped() -> None:
    """No page is asked for, unless its owner has agreed."""
    with FinvizReplica(robots="User-agent: *\nDisallow: /screener.ashx\n") as site:
        with pytest.raises(BlockedError, match=r"robots\.txt forbids"):
            _scraper(site).scrape_single_source("energy", Kept())
        assert [path for _, path in site.requests] == ["/robots.txt"]
        assert _scraper(site, respect_robots=False).scrape_single_source("energy", Kept()) is True


def test_sources_side_by_side_keep_to_one_pace() -> None:
    """The delay is the host's, not the thread's."""
    with FinvizReplica() as site:
        _scraper(site, delay=0.1, workers=4).scrape_data(
            Kept(), sources=["energy", "utilities", "realestate", "MegaCap"]
        )
        times = [seen for seen, _ in site.requests]
    assert (len(times) - 1) / (times[-1] - times[0]) <= 1.05 / 0.1


def test_an_unknown_source_answers_with_the_nearest() -> None:
    """Before any request."""
    with FinvizReplica() as site:
        with pytest.raises(UnknownNameError, match="Did you mean 'SnP500'"):
            _scraper(site).scrape_single_source("snp500", Kept())
        assert site.requests == []


class Spoilt(FinvizReplica):
    """A replica whose pages are changed on their way out."""

    def __init__(self, change: Any, **options: Any) -> None:
        super().__init__(**options)
        self.change = change

    def answer(self, path: str) -> tuple[int, str, bytes]:
        status, kind, body = super().answer(path)
        if not path.startswith("/screener"):
            return status, kind, body
        number = sum(seen.startswith("/screener") for _, seen in self.requests)
        return status, kind, self.change(body.decode(), number, self).encode()


def _first_page(html: str, number: int, site: Spoilt) -> str:
    return site._page({"v": ["152"], "f": ["sec_technology"], "c": [",".join(map(str, range(71)))]})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_first_page, "came twice, after 20 of 67"),
        (lambda html, number, site: html.replace("/ 67 Total", "/ 70 Total"), "came twice, after 67 of 70"),
        (lambda html, number, site: html.replace("/ 67 Total", f"/ {67 + number} Total"), "a page later"),
        (lambda html, number, site: html.replace("/ 67 Total", "/ 50 Total"), "states 50 rows and gives 60"),
        (lambda html, number, site: html.replace("/ 67 Total", "/ 0 Total"), "states 0 rows and gives 20"),
        (lambda html, number, site: html[: len(html) // 2], "cells under|how many rows|list of tickers"),
        (
            lambda html, number, site: "<html><title>Maintenance</title></html>",
            "without a table.*Maintenance.*Tried 3 times",
        ),
        (lambda html, number, site: "", "it is empty"),
        (lambda html, number, site: re.sub("(?s)<tbody>.*</tbody>", "", html), "without a table"),
        (lambda html, number, site: "<title>Are you human? captcha</title>", "whether we are human"),
    ],
)
def test_what_is_not_the_whole_source_is_never_saved(change: Any, says: str) -> None:
    """Repeated, short, moving, torn, empty: an error, and no table."""
    saver = Kept()
    with Spoilt(change) as site, pytest.raises(FetchError, match=says):
        _scraper(site).scrape_single_source("technology", saver)
    assert saver.tables == {}


def test_a_total_that_moves_once_is_read_anew() -> None:
    """A stock was listed while we read."""
    saver = Kept()
    with Spoilt(lambda html, number, site: html.replace("/ 67", "/ 66") if number == 1 else html) as site:
        _scraper(site).scrape_single_source("technology", saver)
    assert saver.tables["AAA - technology"]["Ticker"].is_unique
    assert len(saver.tables["AAA - technology"]) == 67


@pytest.mark.parametrize("source", ["energy", "SnP500", "MegaCap"])
def test_an_ignored_filter_is_an_error(source: str) -> None:
    """A filter that the site does not know brings every stock there is; that is not the energy sector."""
    everything = page_html("2026", STOCKS[:20], COLUMNS, start=1, total=10_188)
    saver = Kept()
    with Spoilt(lambda html, number, site: everything) as site, pytest.raises(PageError, match="ignored the filter"):
        _scraper(site).scrape_single_source(source, saver)
    assert saver.tables == {}


def test_the_base_url_may_come_from_the_settings() -> None:
    """FINVIZ_BASE_URL of any object; its host may be this machine."""
    with FinvizReplica() as site:
        scraper = FinvizScraper(SimpleNamespace(FINVIZ_BASE_URL=site.base_url + "/"), delay=0.001)
        assert scraper.scrape_single_source("utilities", Kept()) is True


@pytest.mark.parametrize("url", ["finviz.com", "ftp://finviz.com", "https://", "http://[", "https://me:pw@finviz.com"])
def test_a_base_url_that_is_none_is_a_setting_error(url: str) -> None:
    """Said when the scraper is made, with an example, and without what may be a password."""
    with pytest.raises(SettingError, match=r"https://finviz\.com") as caught:
        FinvizScraper(base_url=url)
    assert "pw" not in str(caught.value)


# -- the replica


def test_the_replica_is_the_same_each_time() -> None:
    """And another one for another seed."""
    assert make_stocks() == STOCKS
    assert make_stocks(8) != STOCKS


def test_the_replica_has_what_the_demo_needs() -> None:
    """Each sector on two to four pages, a few of every size and of the index, odd tickers."""
    with FinvizReplica() as site:
        pages = [math.ceil(len(site.matching(code)) / 20) for code in SOURCES.values()]
    assert set(pages[:11]) == {2, 3, 4}
    assert all(pages)
    assert {"A", "NA", "TRUE"} <= {stock["Ticker"] for stock in STOCKS}
