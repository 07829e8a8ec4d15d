"""Finviz: the stock screener's table views, sector by sector.

`parse_screener` reads one page by its header names, in every layout that the site has had since 2020. `FinvizScraper`
reads the pages of a source until the total that the site states; a short or repeated result is an error, never a table.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pandas as pd
from bs4 import BeautifulSoup, Tag

from framework.errors import BlockedError, FetchError, PageError, SettingError
from framework.http import Page, PoliteClient
from framework.scraping import Scraper, TablePage, read_all_pages, typed_column
from framework.settings import as_settings

PROVIDES = {
    "kind": "scraper",
    "name": "finviz",
    "object": "FinvizScraper",
    "extra": "scrape",
    "summary": "Finviz stock screener: 11 sectors, the S&P 500 and five sizes",
}

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "basicmaterials": "sec_basicmaterials",
        "communicationservices": "sec_communicationservices",
        "consumercyclical": "sec_consumercyclical",
        "consumerdefensive": "sec_consumerdefensive",
        "energy": "sec_energy",
        "financial": "sec_financial",
        "healthcare": "sec_healthcare",
        "industrials": "sec_industrials",
        "realestate": "sec_realestate",
        "technology": "sec_technology",
        "utilities": "sec_utilities",
        "SnP500": "idx_sp500",
        "MegaCap": "cap_mega",
        "LargeCap": "cap_large",
        "MidCap": "cap_mid",
        "SmallCap": "cap_small",
        "MicroCap": "cap_micro",
    }
)
"""Source name to the site's filter."""

CUSTOM_VIEWS = (150, 151, 152)
CUSTOM_COLUMNS = ",".join(str(number) for number in range(71))


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split(" | "))


TEXT = _names(
    "Ticker | Company | Sector | Industry | Country | Exchange | Index | Earnings | IPO Date | Volatility | Tags",
    "Dividend Est. | Dividend TTM | Dividend Ex Date | 52W Range | 50D Range | Optionable | Shortable | Range",
)
COUNTS = _names("No. | Volume | Trades | Employees")
MEASURES = _names(
    "Market Cap | P/E | Fwd P/E | PEG | P/S | P/B | P/C | P/FCF | Dividend | Payout Ratio | EPS | EPS this Y",
    "EPS next Y | EPS past 5Y | EPS next 5Y | Sales past 5Y | EPS Q/Q | Sales Q/Q | Outstanding | Float | Insider Own",
    "Insider Trans | Inst Own | Inst Trans | Float Short | Short Ratio | ROA | ROE | ROI | ROIC | Curr R | Quick R",
    "LTDebt/Eq | Debt/Eq | Gross M | Oper M | Profit M | Perf Week | Perf Month | Perf Quart | Perf Half | Perf Year",
    "Perf YTD | Beta | ATR | Volatility W | Volatility M | SMA20 | SMA50 | SMA200 | 50D High | 50D Low | 52W High",
    "52W Low | RSI | from Open | Gap | Recom | Avg Volume | Rel Volume | Price | Change | Target Price",
)

_KNOWN = {header.casefold(): header for header in TEXT | COUNTS | MEASURES} | {"change %": "Change"}
_NUMBER = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)?(\.\d+)?([%KMBT]?)", re.ASCII)
_POWER = {"%": -2, "": 0, "K": 3, "M": 6, "B": 9, "T": 12}
_TOTAL = re.compile(r"Total:\s*([\d,]+)|/\s*([\d,]+)\s*Total", re.ASCII)
_CHECK = re.compile(r"<!--\s*TS\s(.*?)TE\s*-->", re.DOTALL)
_TOO_MANY = re.compile(r"too many requests", re.IGNORECASE)
_CHALLENGE = re.compile(r"captcha|cf-chl|<title>\s*(?:just a moment|access denied|attention required)", re.IGNORECASE)
_MOST_ROWS = 1000  # of which most do not belong: the filter was ignored


@dataclass(frozen=True, slots=True)
class _Table:
    """One page as text: missing is None, nothing is converted yet."""

    columns: list[str]
    rows: list[list[str | None]]
    total: int

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=pd.Index(self.columns, dtype=object), dtype=object)


def parse_screener(html: str) -> tuple[pd.DataFrame, int]:
    """Read one page of any table view of the screener.

    Parameters
    ----------
    html : str
        The page; layouts of 2020-22, 2023-25 and 2026.

    Returns
    -------
    frame : pandas.DataFrame
        One row per stock, columns named and ordered as the page's headers ("Change %" is "Change"; of two equal headers
        the second gets " (2)"). Percent is a fraction (9.9% is 0.099), K, M, B, T are multiplied out, `-` is missing.
        Counts (No., Volume) are Int64, measures float64; names, dates and pairs of values are text. A header that is
        not known here is float64 if all of its values are numbers, else text.
    stated_total : int
        How many rows the site says the whole result has.

    Raises
    ------
    PageError
        If it is not a page of the screener's table, or its parts contradict one another.
    """
    table = _read_table(html)
    if table is None:
        raise PageError(
            f"This is not a screener page: it has no table of stocks ({_what_it_says(html)}).",
            cure="Pass the HTML of a table view such as v=111 or v=152.",
        )
    return _typed(table.frame()), table.total


def parse_value(text: str) -> Decimal | None:
    """The number that a cell shows: "9.9%" is 0.099, "1.65M" is 1650000; None if it shows none."""
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return None
    digits = (found[2] or "0").replace(",", "") + (found[3] or "")
    return Decimal(found[1] + digits).scaleb(_POWER[found[4]])


def _read_table(html: str) -> _Table | None:
    soup = BeautifulSoup(html, "lxml")
    header = soup.select_one("table.screener_table th, td.table-top, td.table-top-s")
    table = header.find_parent("table") if header else None
    if header is None or table is None or header.parent is None:
        return None
    names = _header_names(header.parent.find_all(header.name, recursive=False))
    if "Ticker" not in names:
        raise PageError(f"The page's table has no Ticker column; it has: {', '.join(names)}.")
    rows = [row for row in table.find_all("tr") if row is not header.parent and row.find_parent("table") is table]
    cells = [_cells(row, names) for row in rows if row.find("td", recursive=False)]
    _cross_check(html, [row[names.index("Ticker")] for row in cells])
    return _Table(names, cells, _stated_total(soup))


def _header_names(cells: Sequence[Tag]) -> list[str]:
    names: list[str] = []
    for cell in cells:
        for arrow in cell.find_all("svg"):  # the sorted column's
            arrow.extract()
        text = _text(cell)
        name = _KNOWN.get(text.casefold(), text)
        names.append(f"{name} ({names.count(name) + 1})" if name in names else name)
    return names


def _cells(row: Tag, names: Sequence[str]) -> list[str | None]:
    cells = row.find_all("td", recursive=False)
    if len(cells) != len(names):
        raise PageError(f"A row has {len(cells)} cells under {len(names)} headers.")
    ticker = names.index("Ticker")
    texts: list[str | None] = [None if (text := _text(cell)) in ("", "-") else text for cell in cells]
    texts[ticker] = _ticker(cells[ticker])
    return texts


def _ticker(cell: Tag) -> str:
    """The layout of 2026 draws a logo letter before the ticker, so the cell's whole text is not it."""
    link = cell.select_one("a.tab-link, a.screener-link-primary")
    ticker = str(cell.get("data-boxover-ticker") or "").strip() or (_text(link) if link else "") or _text(cell)
    if not ticker:
        raise PageError("A row has no ticker.")
    return ticker


def _text(tag: Tag) -> str:
    return " ".join(tag.get_text().split())


def _stated_total(soup: BeautifulSoup) -> int:
    for place in soup.find_all(["td", "div", "span"], class_="count-text") or soup.find_all(id="screener-total"):
        if found := _TOTAL.search(_text(place)):
            return int((found[1] or found[2]).replace(",", ""))
    raise PageError("The page does not say how many rows there are in all.")


def _cross_check(html: str, tickers: Sequence[str | None]) -> None:
    """The older layouts name each row's ticker in a comment too."""
    if found := _CHECK.search(html):
        named = [line.split("|")[0].strip() for line in found[1].splitlines() if line.strip()]
        if named != list(tickers):
            odd = next(
                (pair for pair in zip(named, tickers, strict=False) if pair[0] != pair[1]), (len(named), len(tickers))
            )
            raise PageError(f"The page's table and its own list of tickers differ: {odd[0]!r} and {odd[1]!r}.")


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    columns = {name: _typed_values(name, frame[name].tolist()) for name in frame.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))


def _typed_values(name: str, texts: Sequence[str | None]) -> pd.Series:
    kind = name.split(" (")[0]
    if kind in TEXT:
        return typed_column(texts, "text")
    values = [None if text is None else parse_value(text) for text in texts]
    odd = next((text for text, value in zip(texts, values, strict=True) if text is not None and value is None), None)
    if kind in COUNTS:
        odd = next((text for text, value in zip(texts, values, strict=True) if value is not None and value % 1), odd)
    if odd is None:
        return typed_column(values, "count" if kind in COUNTS else "measure")
    if kind in COUNTS or kind in MEASURES:
        raise PageError(f"The column {name!r} holds {odd!r}, which is not a number.")
    return typed_column(texts, "text")


class FinvizScraper(Scraper):
    """Scrapes the screener: 11 sectors, the S&P 500, five sizes (`get_available_sources`).

    Parameters
    ----------
    config : object, optional
        Settings or any object with their names; FINVIZ_BASE_URL is read.
    logger : logging.Logger, optional
    base_url : str, optional
        Scheme and host; without it the setting's. Its host may be a local one.
    delay : float
        Least seconds between two requests to the host, all threads together.
    view : int
        The site's table view; 152 is the custom one, asked for all of its 71 columns.
    workers : int
        Sources side by side.
    retries : int
        Further tries of a page that was refused.
    backoff : float, optional
        Seconds of the first wait after a refusal; doubles each time. Twice the delay, at least 0.5, unless given.
    deadline : float
        Most seconds for one page, waits included.
    progress : bool, optional
        A progress bar on stderr; on a terminal unless False.
    user_agent, respect_robots
        See `framework.http.PoliteClient`.
    """

    name: ClassVar[str] = "finviz"
    prefix: ClassVar[str] = "AAA - "
    key: ClassVar[str | None] = "Ticker"

    def __init__(
        self,
        config: object | None = None,
        logger: logging.Logger | None = None,
        *,
        base_url: str | None = None,
        delay: float = 1.0,
        view: int = 152,
        workers: int = 4,
        retries: int = 5,
        backoff: float | None = None,
        deadline: float = 180.0,
        progress: bool | None = None,
        user_agent: str | None = None,
        respect_robots: bool = True,
    ) -> None:
        super().__init__(config, logger, workers=workers, progress=progress)
        self.base_url = _checked_base(base_url or as_settings(config).FINVIZ_BASE_URL)
        self.view = view
        self.client = PoliteClient(
            user_agent=user_agent,
            delay=delay,
            retries=retries,
            backoff=max(0.5, 2 * delay) if backoff is None else backoff,
            deadline=deadline,
            allow_hosts=[urlsplit(self.base_url).netloc],
            respect_robots=respect_robots,
            logger=self.logger,
        )

    def get_available_sources(self) -> list[str]:
        return list(SOURCES)

    def fetch(self, source: str) -> pd.DataFrame:
        """All pages of one source as one frame; see `parse_screener` for its columns."""
        pages = read_all_pages(lambda start: self._page(source, start), key="Ticker", on_page=self.tell_rows)
        return _typed(pages)

    def probe(self) -> None:
        self.client.probe(self.base_url)

    def _page(self, source: str, start: int) -> TablePage:
        tables: list[_Table] = []
        params: dict[str, Any] = {"v": self.view, "f": SOURCES[source], "r": start}
        if self.view in CUSTOM_VIEWS:
            params["c"] = CUSTOM_COLUMNS
        self.client.get(f"{self.base_url}/screener.ashx", params=params, accept=_keep_table(tables))
        page = TablePage(tables[-1].frame(), tables[-1].total)
        self._check_filter(source, page)
        return page

    def _check_filter(self, source: str, page: TablePage) -> None:
        """The site ignores a filter that it does not know, and answers with every stock there is."""
        foreign = _foreign(SOURCES[source], page)
        if foreign * 2 <= len(page.rows):  # a few strays are values that moved since the site last sorted them
            return
        if page.total > _MOST_ROWS:
            raise PageError(
                f"The site ignored the filter {SOURCES[source]!r}: {foreign} of {len(page.rows)} rows do not belong."
            )
        self.logger.warning("%s: %d rows of a page of %r do not belong to it", self.name, foreign, source)


def _keep_table(tables: list[_Table]) -> Callable[[Page], FetchError | None]:
    """What tells the client whether a page will do, and keeps the table of the one that did."""

    def accept(page: Page) -> FetchError | None:
        table = _read_table(page.text)
        if table is not None and (table.rows or not table.total):
            tables.append(table)
            return None
        says = _what_it_says(page.text)
        if table is None and _CHALLENGE.search(page.text):
            raise BlockedError(f"{page.host} asks whether we are human ({says}).", cure="Try later, and less often.")
        if _TOO_MANY.search(page.text[:2000]):
            return BlockedError(f"{page.host} refuses: {says}.")
        return PageError(f"{page.host} answered with a page without a table of stocks ({says}).")

    return accept


def _foreign(code: str, page: TablePage) -> int:
    """How many rows of the page do not belong to a sector, a size or an index, as far as it tells."""
    kind, _, wanted = code.partition("_")
    if kind == "idx":
        return len(page.rows) if page.total > _MOST_ROWS else 0
    if kind == "sec" and "Sector" in page.rows:
        sectors = [re.sub(r"[^a-z]", "", str(sector).casefold()) for sector in page.rows["Sector"]]
        return sum(sector != wanted for sector in sectors) if len(set(sectors)) > 1 else 0  # one sector: it was renamed
    if kind == "cap" and "Market Cap" in page.rows:
        low, high = _CAPS[wanted]
        caps = [parse_value(text) for text in page.rows["Market Cap"] if text is not None]
        return sum(cap is not None and not low <= cap <= high for cap in caps)
    return 0


_CAPS = {
    "mega": (Decimal("200e9"), Decimal("Infinity")),
    "large": (Decimal("10e9"), Decimal("200e9")),
    "mid": (Decimal("2e9"), Decimal("10e9")),
    "small": (Decimal("300e6"), Decimal("2e9")),
    "micro": (Decimal("50e6"), Decimal("300e6")),
}
"""Market values in dollars, ends included: the page shows them rounded."""


def _what_it_says(html: str) -> str:
    """A few words of a page that is not the one we want, for an error."""
    soup = BeautifulSoup(html[:20_000], "lxml")
    text = _text(soup.title) if soup.title and _text(soup.title) else _text(soup)
    return f"it says {text[:80]!r}" if text else "it is empty"


def _checked_base(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or "@" in parts.netloc)
    except ValueError:
        good = False
    if not good:
        raise SettingError(
            "The base URL of Finviz is not a scheme and a host.",
            cure="Give FINVIZ_BASE_URL or base_url= as https://finviz.com.",
            resource="FINVIZ_BASE_URL",
        )
    return url.rstrip("/")
