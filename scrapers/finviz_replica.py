"""A small stock screener on this machine, for the demo and the tests: invented companies in hand-made pages.

    with FinvizReplica(layout="2025", refusals=1) as site:
        FinvizScraper(base_url=site.base_url, delay=0.05).scrape_data(saver)

The pages have the structure of the real ones, faults included: rows that are never closed, anchors with stray quotes, a
logo letter before the ticker, and a refusal that says 200.
"""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

PROVIDES = {
    "kind": "site",
    "name": "finviz_replica",
    "object": "FinvizReplica",
    "extra": None,
    "summary": "A small stock screener on this machine, with invented companies",
}

Layout = Literal["2022", "2025", "2026"]
Stock = dict[str, str]


def _names(*lines: str) -> tuple[str, ...]:
    return tuple(name for line in lines for name in line.split(" | "))


COLUMNS = _names(
    "No. | Ticker | Sector | Company | Industry | Country | Market Cap | P/E | Fwd P/E | PEG | P/S | P/B | P/C | P/FCF",
    "Dividend | Payout Ratio | EPS | EPS this Y | EPS next Y | EPS past 5Y | EPS next 5Y | Sales past 5Y | EPS Q/Q",
    "Sales Q/Q | Outstanding | Float | Insider Own | Insider Trans | Inst Own | Inst Trans | Float Short | Short Ratio",
    "ROA | ROE | ROI | Curr R | Quick R | LTDebt/Eq | Debt/Eq | Gross M | Oper M | Profit M | Perf Week | Perf Month",
    "Perf Quart | Perf Half | Perf Year | Perf YTD | Beta | ATR | Volatility W | Volatility M | SMA20 | SMA50 | SMA200",
    "50D High | 50D Low | 52W High | 52W Low | RSI | from Open | Gap | Recom | Avg Volume | Rel Volume | Price",
    "Change | Volume | Earnings | Target Price | IPO Date",
)
"""The custom view's columns; their places are the numbers that `c=` takes."""

_OVERVIEW = _names(
    "No. | Ticker | Company | Sector | Industry | Country | Market Cap | P/E",
    "Price | Change | Volume",
)
_TECHNICAL = _names(
    "No. | Ticker | Beta | ATR | SMA20 | SMA50 | SMA200 | 52W High | 52W Low | RSI | Price | Change | from Open | Gap",
    "Volume",
)
VIEWS = {"110": _OVERVIEW, "111": _OVERVIEW, "170": _TECHNICAL, "171": _TECHNICAL}
CUSTOM = ("150", "151", "152")

SECTORS: dict[str, tuple[int, tuple[str, ...]]] = {
    "Basic Materials": (28, ("Copper", "Specialty Chemicals", "Gold")),
    "Communication Services": (31, ("Publishing", "Telecom Services", "Internet Content & Information")),
    "Consumer Cyclical": (44, ("Apparel Retail", "Auto Parts", "Restaurants")),
    "Consumer Defensive": (26, ("Packaged Foods", "Grocery Stores")),
    "Energy": (35, ("Oil & Gas Midstream", "Thermal Coal")),
    "Financial": (62, ("Banks - Regional", "Asset Management", "Insurance - Life")),
    "Healthcare": (58, ("Biotechnology", "Medical Devices", "Diagnostics & Research")),
    "Industrials": (41, ("Railroads", "Industrial Distribution", "Airlines")),
    "Real Estate": (24, ("REIT - Office", "REIT - Retail")),
    "Technology": (67, ("Semiconductors", "Software - Application", "Computer Hardware")),
    "Utilities": (22, ("Utilities - Regulated Water", "Utilities - Renewable")),
}
"""Sector to how many companies it has here, and its industries."""

CAPS = {
    "mega": (200e9, 900e9),
    "large": (10e9, 199e9),
    "mid": (2e9, 9.9e9),
    "small": (0.31e9, 1.9e9),
    "micro": (0.051e9, 0.29e9),
}
_CAP_SHARES = (4, 18, 28, 30, 20)
_ODD_TICKERS = ("A", "NA", "TRUE", "NULL", "IIX", "TTOM", "MMA", "BRQ-A", "AAON", "INF")
_FIRST = (
    "Alder Brook Cobalt Dunmore Ember Fenwick Gorse Halyard Iron Juniper Kestrel Larch Mossy Nettle Orchard Penrose"
)
_SECOND = "Bay Crest Dale Field Gate Harbour Isle Junction Knoll Lane Mill Point Ridge Stone Vale Works"
_KINDS = ("Inc", "Corp", "Ltd", "Group plc", "& Söhne AG", "Holdings Co.", "Farm's Own Inc")

REFUSAL = b"Too many requests."


def make_stocks(seed: int = 7) -> list[Stock]:
    """Every stock of the replica as the texts that its pages show, by ticker; the same ones for a seed."""
    rng = random.Random(seed)
    tickers = _tickers(rng, sum(count for count, _ in SECTORS.values()))
    stocks = []
    for sector, (count, industries) in SECTORS.items():
        for number in range(count):
            industry = industries[number % len(industries)]
            stocks.append(_stock(rng, tickers.pop(), sector=sector, industry=industry))
    return sorted(stocks, key=lambda stock: stock["Ticker"])


def _tickers(rng: random.Random, count: int) -> list[str]:
    tickers = set(_ODD_TICKERS)
    while len(tickers) < count:
        tickers.add("".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=rng.choice((2, 3, 4, 4)))))
    shuffled = sorted(tickers)
    rng.shuffle(shuffled)
    return shuffled


def _stock(rng: random.Random, ticker: str, *, sector: str, industry: str) -> Stock:
    size = rng.choices(list(CAPS), weights=_CAP_SHARES)[0]
    cap = math.exp(rng.uniform(*map(math.log, CAPS[size])))
    price = round(math.exp(rng.gauss(3.3, 0.9)), 2) + 0.5
    company = f"{rng.choice(_FIRST.split())} {rng.choice(_SECOND.split())} {rng.choice(_KINDS)}"
    texts = {name: _value(rng, name, price) for name in COLUMNS}
    texts |= {"Ticker": ticker, "Company": company, "Sector": sector, "Industry": industry}
    texts |= {"Country": rng.choice(("USA", "USA", "USA", "Norway", "Japan")), "Market Cap": _short(cap)}
    texts |= {"Price": f"{price:.2f}", "Outstanding": _short(cap / price), "Float": _short(0.9 * cap / price)}
    in_index = size in ("mega", "large") and texts["Country"] == "USA"
    return texts | {"_size": size, "_index": "sp500" if in_index else ""}


_SHARES = _names(
    "Payout Ratio | Insider Own | Inst Own | Float Short | Volatility W | Volatility M | 50D Low | 52W Low"
)
_SIGNED = re.compile(r"EPS .*|Sales .*|.* Trans|RO[AEI]|.* M|Perf .*|SMA\d+|\d+[DW] .*|from Open|Gap|Change|Dividend")
_MISSING = {"P/E": 0.3, "Fwd P/E": 0.2, "PEG": 0.4, "Dividend": 0.4, "EPS next 5Y": 0.3, "P/FCF": 0.3, "Beta": 0.1}


def _value(rng: random.Random, name: str, price: float) -> str:
    if rng.random() < _MISSING.get(name, 0.02) and name != "Volume":
        return "-"
    if name in _SHARES:
        return f"{abs(rng.gauss(20, 15)):.2f}%"
    if _SIGNED.fullmatch(name):
        return f"{rng.gauss(4, 18):.2f}%"
    made: dict[str, Callable[[], str]] = {
        "Volume": lambda: f"{int(math.exp(rng.gauss(13, 1.5))):,}",
        "Avg Volume": lambda: _short(math.exp(rng.gauss(13, 1.5))),
        "Earnings": lambda: rng.choice(("Oct 29 AMC", "Nov 03 BMO", "May 05/b")),
        "IPO Date": lambda: f"{rng.randint(1, 12)}/{rng.randint(1, 28)}/{rng.randint(1961, 2024)}",
        "EPS": lambda: f"{rng.gauss(2, 3):.2f}",
        "RSI": lambda: f"{rng.uniform(15, 85):.2f}",
        "Recom": lambda: f"{rng.uniform(1, 5):.2f}",
        "Target Price": lambda: f"{price * rng.uniform(0.8, 1.6):.2f}",
    }
    return made.get(name, lambda: f"{math.exp(rng.gauss(1, 0.9)):.2f}")()


def _short(value: float) -> str:
    """1650000 as "1.65M", as the site shows it."""
    power, letter = next(((p, s) for p, s in ((9, "B"), (6, "M"), (3, "K")) if value >= 10**p), (0, ""))
    return f"{value / 10**power:.2f}{letter}"


def page_html(
    layout: Layout,
    stocks: Sequence[Stock],
    columns: Sequence[str],
    *,
    start: int,
    total: int,
    sorted_by: str = "Ticker",
) -> str:
    """One page: `stocks` are its rows, the first of which is number `start` of `total`."""
    cells = [_row(stock, columns, start + place) for place, stock in enumerate(stocks)]
    return _LAYOUTS[layout](cells, columns, start=start, total=total, sorted_by=sorted_by)


def _row(stock: Stock, columns: Sequence[str], number: int) -> list[str]:
    return [str(number) if name == "No." else stock[name] for name in columns]


def _html_2022(cells: list[list[str]], columns: Sequence[str], *, start: int, total: int, sorted_by: str) -> str:
    """Header cells in a row that is never closed, the total beside a select of pages, and a check in a comment."""

    def head(name: str) -> str:
        kind, arrow = ("-s", '<img align="top" src="arrow.gif" alt="">') if name == sorted_by else ("", "")
        return f'<td class="table-top{kind}" style="cursor:pointer;">{arrow}{escape(name)}</td>\n'

    def cell(name: str, text: str) -> str:
        kind = "-primary" if name == "Ticker" else ""
        link = f'<a href="quote.ashx?t=x&ty=c" class="screener-link{kind}">{_coloured(text, "is-")}</a>'
        return f'<td height="10" class="screener-body-table-nw">{link}</td>'

    body = "".join(
        f'<tr class="table-{"light" if place % 2 else "dark"}-row-cp">\n{"".join(map(cell, columns, row))}</tr>'
        for place, row in enumerate(cells)
    )
    count = f'<td width="140" class="count-text"><b>Total: </b>{total} #{start}</td>'
    pages = '<td class="count-text"><select id="pageSelect"><option value=1>Page 1/9</option></select></td>'
    return (
        '<html><head><title>Stock Screener</title><meta charset="UTF-8"></head><body><table><tr><td><table><tr>'
        f'{count}<td><a href="#" class="tab-link">save</a></td>{pages}</tr></table></td></tr>'
        f'<tr><td><table bgcolor="#d3d3d3"><tr align="center">\n{"".join(map(head, columns))}{body}</table>\n</td></tr>'
        f"<tr><td><table><tr>{count}</tr></table></div>\n</tr></td>{_check(cells, columns)}\n</table></body></html>"
    )


def _html_2025(cells: list[list[str]], columns: Sequence[str], *, start: int, total: int, sorted_by: str) -> str:
    """A thead whose sorted cell holds a drawing, stray quotes in anchors, the total as "#1 / 412 Total"."""

    def cell(name: str, text: str) -> str:
        stray = 'class="tab-link"' if name == "Ticker" else '"=""'
        shown = _coloured(text, "color-text is-")
        return (
            f'<td data-boxover="body=[&lt;b&gt;x&lt;/b&gt;]"><a href="quote.ashx?t=x&amp;ty=c" {stray}>{shown}</a></td>'
        )

    body = "".join(f'<tr class="styled-row is-striped">\n{"".join(map(cell, columns, row))}</tr>' for row in cells)
    return (
        _modern(_heads(columns, sorted_by), body, start=start, total=total) + _check(cells, columns) + "</body></html>"
    )


def _html_2026(cells: list[list[str]], columns: Sequence[str], *, start: int, total: int, sorted_by: str) -> str:
    """A logo letter before each ticker, which is an attribute too; "Change %"; no check."""

    def cell(name: str, text: str) -> str:
        if name != "Ticker":
            return f'<td><a href="stock?t=x">{_coloured(text, "color-text is-")}</a></td>'
        logo = f'<a class="company-ticker"><img src="logo.png" alt=""><span>{text[0]}</span></a>'
        link = f'<a class="tab-link" href="stock?t=x">{escape(text)}</a>'
        return f'<td data-boxover-ticker="{escape(text)}">{logo}{link}</td>'

    body = "".join(f'<tr class="styled-row">{"".join(map(cell, columns, row))}</tr>' for row in cells)
    named = ["Change %" if name == "Change" else name for name in columns]
    return _modern(_heads(named, sorted_by), body, start=start, total=total) + "</body></html>"


def _heads(columns: Sequence[str], sorted_by: str) -> str:
    arrow = '<svg width="16" height="16">\n<use href="icons.svg#chevronUp"></use>\n</svg>'
    return "\n".join(
        f'<th class="table-header">{escape(name)}{arrow if name == sorted_by else ""}</th>' for name in columns
    )


def _modern(heads: str, body: str, *, start: int, total: int) -> str:
    return (
        '<html><head><title>Stock Screener</title></head><body><table id="filter-table-top"><tr><td>Exchange</td></tr>'
        f'</table><div id="screener-total" class="count-text whitespace-nowrap">#{start} / {total} Total</div>'
        '<table><tbody><tr id="screener-table"><td><table class="styled-table-new is-rounded is-tabular-nums w-full '
        f'screener_table"><thead>\n<tr align="center">{heads}\n</tr></thead>\n<tbody>{body}</tbody></table></td></tr>'
        '</tbody></table><table><tr><td class="count-text"></td></tr></table>'
    )


def _coloured(text: str, prefix: str) -> str:
    if not re.fullmatch(r"-?\d+\.\d+%", text):
        return escape(text)
    return f'<span class="{prefix}{"negative" if text.startswith("-") else "positive"}">{text}</span>'


def _check(cells: list[list[str]], columns: Sequence[str]) -> str:
    """ticker|price|volume of each row, as the older layouts have them."""
    places = [columns.index(name) if name in columns else None for name in ("Ticker", "Price", "Volume")]
    if places[0] is None:
        return ""
    lines = ["|".join("" if p is None else row[p].replace(",", "") for p in places) for row in cells]
    return "<!-- TS\n" + "\n".join(lines) + "\nTE -->"


_LAYOUTS: dict[str, Callable[..., str]] = {"2022": _html_2022, "2025": _html_2025, "2026": _html_2026}


class FinvizReplica:
    """The replica as a server on 127.0.0.1; use it in a `with`.

    Parameters
    ----------
    layout : {"2022", "2025", "2026"}
    refusals : float
        How many pages are answered "Too many requests." (status 200), `math.inf` for ever.
    refuse_after : int
        How many pages come before the first refusal.
    blocked : bool
        Answer everything with 403.
    robots : str or None
        What robots.txt says; None: there is none.
    page_size : int
    seed : int
        Of the invented companies.

    Attributes
    ----------
    base_url : str
    requests : list of (float, str)
        Monotonic time and path of each request so far.
    """

    def __init__(
        self,
        *,
        layout: Layout = "2025",
        refusals: float = 0,
        refuse_after: int = 3,
        blocked: bool = False,
        robots: str | None = "User-agent: *\nDisallow: /api/\n",
        page_size: int = 20,
        seed: int = 7,
    ) -> None:
        self.layout = layout
        self.refusals = refusals
        self.refuse_after = refuse_after
        self.blocked = blocked
        self.robots = robots
        self.page_size = page_size
        self.stocks = make_stocks(seed)
        self.requests: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FinvizReplica:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body for a path with its query."""
        with self._lock:
            self.requests.append((time.monotonic(), path))
        url = urlsplit(path)
        if self.blocked:
            return 403, "text/html", b"<html><head><title>Access denied</title></head></html>"
        if url.path == "/robots.txt":
            return (404, "text/plain", b"") if self.robots is None else (200, "text/plain", self.robots.encode())
        if url.path != "/screener.ashx":
            return 404, "text/html", b"<html><head><title>Not found</title></head></html>"
        if self._refuses():
            return 200, "text/html", REFUSAL
        return 200, "text/html; charset=utf-8", self._page(parse_qs(url.query)).encode()

    def matching(self, filters: str) -> list[Stock]:
        """Stocks that pass all `filters` ("sec_energy,cap_small"); one that is not known is ignored."""
        return [stock for stock in self.stocks if all(_passes(stock, code) for code in filters.split(","))]

    def _refuses(self) -> bool:
        with self._lock:
            self.refuse_after -= 1
            if self.refuse_after >= 0 or self.refusals <= 0:
                return False
            self.refusals -= 1
            return True

    def _page(self, query: dict[str, list[str]]) -> str:
        view = query.get("v", ["111"])[0]
        if view not in CUSTOM and view not in VIEWS:
            return "<html><head><title>Stock Screener</title></head><body>charts</body></html>"
        numbers = query.get("c", [",".join(map(str, range(20)))])[0].split(",")
        columns = VIEWS.get(view) or [COLUMNS[int(n)] for n in numbers if n.isdecimal() and int(n) < len(COLUMNS)]
        found = self.matching(query.get("f", [""])[0])
        wanted = query.get("r", ["1"])[0]
        start = min(max(int(wanted) if wanted.isdecimal() else 1, 1), max(len(found), 1))  # past the end: the last row
        rows = found[start - 1 : start - 1 + self.page_size]
        return page_html(self.layout, rows, columns, start=start, total=len(found))


def _passes(stock: Stock, code: str) -> bool:
    kind, _, value = code.partition("_")
    if kind == "sec":
        return re.sub("[^a-z]", "", stock["Sector"].lower()) == value
    if kind == "cap" and value in CAPS:
        return stock["_size"] == value
    if code == "idx_sp500":
        return stock["_index"] == "sp500"
    return True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent: a reader that hangs up is no fault of the site."""


def _handler(site: FinvizReplica) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, kind, body = site.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: `requests` tells what came."""

    return Handler
