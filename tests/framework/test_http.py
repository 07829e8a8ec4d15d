"""The polite client against a server that does everything wrong."""

from __future__ import annotations

import gzip
import itertools
import logging
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from framework.errors import BlockedError, FetchError, PageError, ParameterError
from framework.http import Page, PoliteClient
from framework.http.guard import is_public
from framework.http.page import retry_after

Answer = Callable[["_Handler"], None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.seen.append((time.monotonic(), self.path, dict(self.headers)))
        path = self.path.split("?")[0]
        answers = self.server.answers.get(path, [_status(404)])
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[tuple[float, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def on(self, path: str, *answers: Answer) -> str:
        """Answer so, one after the other, the last for ever; the URL."""
        self.answers[path] = list(answers)
        return self.url + path

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.seen]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


def _status(code: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: _Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _raw(*parts: bytes, pause: float = 0.0, reset: bool = False) -> Answer:
    """Bytes as they are, with a pause between parts; then the connection is closed, or reset."""

    def answer(handler: _Handler) -> None:
        handler.close_connection = True
        for part in parts:
            handler.wfile.write(part)
            handler.wfile.flush()
            time.sleep(pause)
        if reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


OK = _status(200, b"whole")


@pytest.fixture
def site() -> Iterator[_Server]:
    with _running() as server:
        yield server


@pytest.fixture
def other() -> Iterator[_Server]:
    with _running() as server:
        yield server


class _running:
    def __enter__(self) -> _Server:
        self.server = _Server()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self.server

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def _client(*sites: _Server, **options: Any) -> PoliteClient:
    settings: dict[str, Any] = {"delay": 0, "backoff": 0.01, "retries": 2, "deadline": 5, "respect_robots": False}
    return PoliteClient(allow_hosts=[f"127.0.0.1:{s.server_port}" for s in sites], **(settings | options))


# -- what a page is


def test_a_page_is_whole_with_its_url_status_and_headers(site: _Server) -> None:
    """What the server sent is what the caller gets."""
    url = site.on("/page", _status(200, "größe".encode(), Content_Type="text/html; charset=utf-8"))
    page = _client(site).get(url, params={"c": "0,1", "q": "a b"})
    assert (page.text, page.status, page.headers["content-type"]) == ("größe", 200, "text/html; charset=utf-8")
    assert page.url == f"{url}?c=0,1&q=a+b"


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("é".encode("latin-1"), "text/html; charset=ISO-8859-1", "é"),
        ('<meta charset="windows-1252">€'.encode("cp1252"), "text/html", '<meta charset="windows-1252">€'),
        ("\ufeffé".encode(), "text/html; charset=ascii", "é"),
        ("é".encode(), "text/html; charset=nonsense", "é"),
        (b"\xff", "text/html", "\ufffd"),
    ],
)
def test_text_is_decoded_as_the_page_says(site: _Server, body: bytes, kind: str, text: str) -> None:
    """A byte order mark, the header, then the HTML name the encoding; one that does not exist is no crash."""
    assert _client(site).get(site.on("/p", _status(200, body, Content_Type=kind))).text == text


def test_it_says_who_it_is(site: _Server) -> None:
    """The site's owner can tell us from a browser, and find us."""
    url = site.on("/p", OK)
    _client(site, contact="me@example.org").get(url)
    agent = site.seen[0][2]["User-Agent"]
    assert agent.startswith("millpond/")
    assert "me@example.org" in agent


# -- broken connections and bodies


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), "shorter than stated"),
        (_raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"), "could not be read"),
        (_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", reset=True), "could not be read"),
        (_raw(reset=True), "cut"),
        (_raw(), "cut"),
        (_raw(b"this is not HTTP at all\r\n\r\n"), "could not be read"),
        (_status(200, b"not gzip", Content_Encoding="gzip"), "compression"),
        (_status(500), "500"),
        (_status(502), "502"),
    ],
)
def test_what_breaks_is_tried_again_and_then_an_error(site: _Server, fault: Answer, says: str) -> None:
    """A body that is not whole never becomes a page, and the tries are counted."""
    url = site.on("/p", fault)
    with pytest.raises(FetchError, match=says) as caught:
        _client(site).get(url)
    assert not isinstance(caught.value, BlockedError)
    assert len(site.seen) == 3
    assert "Tried 3 times" in str(caught.value)


def test_what_breaks_once_is_read_at_the_next_try(site: _Server) -> None:
    """A hiccup is not the user's problem."""
    short = _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
    assert _client(site).get(site.on("/p", short, _status(503), OK)).text == "whole"


def test_a_server_that_is_not_there_is_an_error_with_its_reason() -> None:
    """Nothing listens: said in words, not as a stack of library names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = PoliteClient(allow_hosts=["127.0.0.1"], delay=0, backoff=0.01, retries=1, respect_robots=False)
    with pytest.raises(FetchError, match="refused or the host is not reachable"):
        client.get(f"http://127.0.0.1:{port}/")


def test_a_name_that_does_not_exist_is_an_error_with_its_reason() -> None:
    """The reserved top level .invalid never resolves."""
    with pytest.raises(FetchError, match="cannot be resolved"):
        PoliteClient(delay=0, backoff=0.01, retries=0, respect_robots=False).get("http://nowhere.invalid/")


@pytest.mark.parametrize(
    "fault",
    [
        _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 100, pause=0.05),
        _raw(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 100, pause=0.05),
        _raw(b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 90, pause=0.05),
    ],
    ids=["body", "body without length", "headers"],
)
def test_a_slow_drip_ends_at_the_deadline(site: _Server, fault: Answer) -> None:
    """A byte now and then never times out by itself; the deadline holds, and the piece is not a page."""
    url = site.on("/p", fault)
    started = time.monotonic()
    with pytest.raises(FetchError, match="deadline"):
        _client(site, deadline=0.5).get(url)
    assert time.monotonic() - started < 1.5


def test_silence_ends_at_the_timeout(site: _Server) -> None:
    """A server that accepts and says nothing is given up."""
    url = site.on("/p", _raw(b"", pause=3))
    with pytest.raises(FetchError, match="no answer in time"):
        _client(site, timeout=0.1, retries=0).get(url)


# -- too much


@pytest.mark.parametrize(
    "answer",
    [_status(200, b"x" * 200_000), _status(200, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")],
    ids=["plain", "gzip bomb"],
)
def test_a_page_over_the_cap_is_refused_at_once(site: _Server, answer: Answer) -> None:
    """Decompressed bytes count, and it is not asked for again."""
    url = site.on("/p", answer)
    with pytest.raises(FetchError, match="larger than 100000 bytes"):
        _client(site, max_bytes=100_000).get(url)
    assert len(site.seen) == 1


# -- refusals


@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_clear_refusal_is_blocked_at_once(site: _Server, status: int) -> None:
    """It says no: asking again would be rude."""
    with pytest.raises(BlockedError, match=str(status)):
        _client(site).get(site.on("/p", _status(status)))
    assert len(site.seen) == 1


def test_a_challenge_is_blocked_at_once(site: _Server) -> None:
    """A 503 that asks for a browser will not pass by waiting."""
    with pytest.raises(BlockedError):
        _client(site).get(site.on("/p", _status(503, cf_mitigated="challenge")))
    assert len(site.seen) == 1


def test_a_page_that_is_not_there_is_a_page_error_at_once(site: _Server) -> None:
    """404 is an answer, not a failure to answer."""
    with pytest.raises(PageError, match="404"):
        _client(site).get(site.url + "/none")
    assert len(site.seen) == 1


def test_a_bad_request_is_an_error_at_once(site: _Server) -> None:
    """The same question would get the same answer."""
    with pytest.raises(FetchError, match="400"):
        _client(site).get(site.on("/p", _status(400)))
    assert len(site.seen) == 1


def test_retry_after_is_waited_for(site: _Server) -> None:
    """The site's own number wins over ours."""
    _client(site).get(site.on("/p", _status(429, Retry_After="1"), OK))
    assert site.seen[1][0] - site.seen[0][0] >= 1


def test_retry_after_may_be_a_date(site: _Server) -> None:
    """HTTP allows both."""
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    _client(site).get(site.on("/p", _status(503, Retry_After=then), OK))
    assert site.seen[1][0] - site.seen[0][0] >= 0.8


@pytest.mark.parametrize("text", ["", "soon", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", "٣"])
def test_a_retry_after_that_says_nothing_is_no_wait(text: str) -> None:
    """Nonsense and the past are 0 seconds."""
    assert retry_after(text) == 0


def test_a_retry_after_past_the_deadline_ends_at_once(site: _Server) -> None:
    """Nobody waits for what cannot come, and the error says how long the site wants."""
    url = site.on("/p", _status(429, Retry_After="3600"))
    started = time.monotonic()
    with pytest.raises(BlockedError, match="wait 3600 s"):
        _client(site).get(url)
    assert time.monotonic() - started < 1
    assert len(site.seen) == 1


def test_too_many_requests_for_ever_is_blocked(site: _Server) -> None:
    """429 to the last try: the error names the host and the cure."""
    with pytest.raises(BlockedError, match=r"429 Too Many Requests.*larger delay"):
        _client(site).get(site.on("/p", _status(429)))
    assert len(site.seen) == 3


def _refusal(page: Page) -> FetchError | None:
    return BlockedError(f"{page.host} says {page.text!r}.") if page.text == "Too many requests." else None


def test_a_refusal_with_status_200_is_tried_again(site: _Server) -> None:
    """The caller says what a refusal looks like."""
    url = site.on("/p", _status(200, b"Too many requests."), OK)
    assert _client(site).get(url, accept=_refusal).text == "whole"


def test_a_refusal_with_status_200_for_ever_is_blocked(site: _Server) -> None:
    """It ends, with what the site said."""
    url = site.on("/p", _status(200, b"Too many requests."))
    with pytest.raises(BlockedError, match=r"127\.0\.0\.1 says 'Too many requests\.'\. Tried 3 times"):
        _client(site).get(url, accept=_refusal)


def test_what_accept_raises_ends_the_tries(site: _Server) -> None:
    """A page that no wait will better."""

    def accept(page: Page) -> FetchError | None:
        raise PageError("Another site.")

    with pytest.raises(PageError, match=r"^Another site\.$"):
        _client(site).get(site.on("/p", OK), accept=accept)
    assert len(site.seen) == 1


def test_a_host_that_refused_to_the_end_is_asked_once_until_it_answers(site: _Server) -> None:
    """Twenty sources do not hammer a site that said no; and one answer lifts it."""
    client = _client(site)
    refusing = site.on("/no", _status(429))
    for expected in (3, 4):
        with pytest.raises(BlockedError):
            client.get(refusing)
        assert len(site.seen) == expected
    client.get(site.on("/yes", OK))
    with pytest.raises(BlockedError):
        client.get(refusing)
    assert site.paths().count("/no") == 7


def test_one_threads_refusal_holds_the_others(site: _Server) -> None:
    """While the site asks to wait, no other thread asks either."""
    client = _client(site)
    refused = site.on("/no", _status(429, Retry_After="1"), OK)
    asked = site.on("/yes", OK)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.get, refused)
        time.sleep(0.2)
        client.get(asked)
        first.result()
    start = site.seen[0][0]
    assert [seen - start >= 1 for seen, _, _ in site.seen[1:]] == [True, True]


# -- pace


def test_threads_together_keep_to_one_pace(site: _Server) -> None:
    """Eight threads are not eight times as fast: the server counts."""
    delay, client = 0.05, _client(site, delay=0.05)
    url = site.on("/p", OK)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client.get, [url] * 20))
    times = sorted(seen for seen, _, _ in site.seen)
    assert (len(times) - 1) / (times[-1] - times[0]) <= 1.05 / delay
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.5 * delay


def test_a_longer_crawl_delay_wins(site: _Server) -> None:
    """robots.txt may ask for more patience than we have."""
    site.on("/robots.txt", _status(200, b"User-agent: *\nCrawl-delay: 0.4\n"))
    client, url = _client(site, respect_robots=True), site.on("/p", OK)
    client.get(url)
    client.get(url)
    assert site.seen[2][0] - site.seen[1][0] >= 0.38


def test_a_turn_past_the_deadline_is_an_error_at_once(site: _Server) -> None:
    """A Crawl-delay of a day does not hang a job for a day."""
    site.on("/robots.txt", _status(200, b"User-agent: *\nCrawl-delay: 86400\n"))
    client, url = _client(site, respect_robots=True), site.on("/p", OK)
    client.get(url)
    with pytest.raises(BlockedError, match="next request in 8"):
        client.get(url)


# -- robots.txt


@pytest.mark.parametrize("status", [404, 403, 410, 400])
def test_robots_with_a_4xx_allows_everything(site: _Server, status: int) -> None:
    """RFC 9309: unavailable is not forbidden."""
    site.on("/robots.txt", _status(status))
    assert _client(site, respect_robots=True).get(site.on("/p", OK)).text == "whole"


@pytest.mark.parametrize("fault", [_status(500), _status(503), _status(429), _raw(reset=True)])
def test_robots_that_cannot_be_read_forbids_everything(site: _Server, fault: Answer) -> None:
    """RFC 9309: unreachable is forbidden; the page is not asked for, and nor is robots.txt at once again."""
    site.on("/robots.txt", fault)
    client, url = _client(site, respect_robots=True), site.on("/p", OK)
    for _ in range(2):
        with pytest.raises(BlockedError, match=r"robots\.txt could not be read, which forbids everything"):
            client.get(url)
    assert set(site.paths()) == {"/robots.txt"}
    assert len(site.seen) <= 3


def test_what_robots_forbids_is_not_asked_for(site: _Server) -> None:
    """Our own name's rules win over those for all."""
    site.on("/robots.txt", _status(200, b"User-agent: *\nAllow: /\n\nUser-agent: millpond\nDisallow: /private\n"))
    client = _client(site, respect_robots=True)
    with pytest.raises(BlockedError, match=r"robots\.txt forbids"):
        client.get(site.on("/private/x", OK))
    assert client.get(site.on("/public", OK)).text == "whole"
    assert "/private/x" not in site.paths()


def test_robots_is_read_once_by_all_threads(site: _Server) -> None:
    """Side by side is no reason to ask twice."""
    site.on("/robots.txt", _status(200, b"User-agent: *\nDisallow:\n"))
    client, url = _client(site, respect_robots=True), site.on("/p", OK)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client.get, [url] * 16))
    assert site.paths().count("/robots.txt") == 1


def test_robots_speaks_for_where_a_redirect_leads(site: _Server, other: _Server) -> None:
    """A hop to another origin asks that origin's robots.txt."""
    other.on("/robots.txt", _status(200, b"User-agent: *\nDisallow: /\n"))
    url = site.on("/p", _status(302, Location=other.on("/q", OK)))
    with pytest.raises(BlockedError, match="forbids"):
        _client(site, other, respect_robots=True).get(url)
    assert other.paths() == ["/robots.txt"]


# -- redirects and addresses


def test_a_redirect_is_followed(site: _Server) -> None:
    """The page says where it was found."""
    site.on("/b", OK)
    page = _client(site).get(site.on("/a", _status(301, Location="/b?x=1")))
    assert (page.text, page.url) == ("whole", f"{site.url}/b?x=1")


def test_the_body_of_a_redirect_is_not_read(site: _Server) -> None:
    """Else a redirect could hold what a page may not."""
    site.on("/b", OK)
    endless = _raw(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 99999999\r\n\r\n", b"x", pause=2)
    started = time.monotonic()
    assert _client(site).get(site.on("/a", endless)).text == "whole"
    assert time.monotonic() - started < 1


def test_a_redirect_loop_is_an_error(site: _Server) -> None:
    """It ends after five hops."""
    with pytest.raises(FetchError, match="redirects more than 5 times"):
        _client(site).get(site.on("/a", _status(302, Location="/a")))
    assert len(site.seen) == 6


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "javascript:alert(1)"])
def test_a_redirect_to_what_is_not_http_is_an_error(site: _Server, where: str) -> None:
    """Only http and https, at each hop."""
    with pytest.raises(FetchError):
        _client(site).get(site.on("/a", _status(302, Location=where)))


def test_a_redirect_to_a_private_address_is_refused(site: _Server, other: _Server) -> None:
    """A site cannot make us read our own machine's other services."""
    other.on("/secret", OK)
    url = site.on("/a", _status(302, Location=f"{other.url}/secret"))
    with pytest.raises(FetchError, match="not public"):
        _client(site).get(url)
    assert other.seen == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_refused_in_every_spelling(site: _Server, host: str) -> None:
    """What counts is the address that a name means."""
    with pytest.raises(FetchError, match="not public"):
        PoliteClient(delay=0, retries=0, respect_robots=False).get(f"http://{host}:{site.server_port}/")
    assert site.seen == []


_PRIVATE = (
    "10.0.0.1 172.16.9.9 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 198.18.0.1",
    "::1 :: fe80::1%eth0 fc00::1 ff02::1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: ::127.0.0.1",
)


@pytest.mark.parametrize("address", [address for line in _PRIVATE for address in line.split()])
def test_addresses_that_are_not_public(address: str) -> None:
    """Private, shared, link-local, multicast, and private ones wrapped in IPv6."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_that_are_public(address: str) -> None:
    """The guard lets the internet through."""
    assert is_public(address)


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server of another's may answer with both."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: both)
    with pytest.raises(FetchError, match="not public"):
        PoliteClient(delay=0, retries=0, respect_robots=False).get("http://example.org/")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x/", "http://", "//x/y", "http://x:port/", "http://a..b/"]
)
def test_only_http_urls_with_a_host_are_read(url: str) -> None:
    """Anything else is an error before any connection."""
    with pytest.raises(FetchError):
        PoliteClient(respect_robots=False).get(url)


# -- secrets


def test_credentials_stay_with_their_origin(site: _Server, other: _Server) -> None:
    """Neither the caller's headers nor the URL's own credentials reach a second origin."""
    other.on("/q", OK)
    url = site.on("/p", _status(302, Location="/r"))
    site.on("/r", _status(302, Location=f"{other.url}/q"))
    client = _client(site, other)
    client.get(url, headers={"Authorization": "Bearer canary", "Cookie": "a=canary", "X-Api-Key": "canary"})
    client.get(url.replace("127.0.0.1", "me:canary@127.0.0.1"))
    assert [headers["X-Api-Key"] for _, path, headers in site.seen[:2]] == ["canary", "canary"]
    assert all("Authorization" in headers for _, _, headers in site.seen)
    assert not any("canary" in str(headers) or "Authorization" in headers for _, _, headers in other.seen)


@pytest.mark.parametrize(
    "fault", [_status(500), _status(403), _status(404), _raw(reset=True), _status(302, Location="/p")]
)
def test_no_error_or_log_holds_a_secret_of_the_url(
    site: _Server, fault: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither user, password nor query: not in the message, the traceback or the log."""
    secret = "yranac"[::-1]  # not in this file's lines, which tracebacks show
    site.on("/p", fault)
    logger = logging.getLogger("test.secrets")
    with caplog.at_level(logging.DEBUG, logger="test.secrets"), pytest.raises(FetchError) as caught:
        _client(site, logger=logger).get(f"http://{secret}:{secret}@127.0.0.1:{site.server_port}/p?token={secret}")
    shown = "".join(traceback.format_exception(caught.value)) + "".join(r.getMessage() for r in caplog.records)
    assert secret not in shown
    assert "GET" in shown


def test_no_error_of_a_server_that_is_gone_holds_a_secret_of_the_url() -> None:
    """The library's own message would hold the query."""
    secret, gone = "yranac"[::-1], _Server()
    gone.server_close()
    client = PoliteClient(allow_hosts=["127.0.0.1"], delay=0, backoff=0.01, retries=1, respect_robots=False)
    with pytest.raises(FetchError) as caught:
        client.get(f"http://{secret}:{secret}@127.0.0.1:{gone.server_port}/p?token={secret}")
    assert secret not in "".join(traceback.format_exception(caught.value))


# -- the rest


def test_probe_is_one_request(site: _Server) -> None:
    """A health check costs the site one small file."""
    _client(site).probe(site.url)
    assert site.paths() == ["/robots.txt"]


@pytest.mark.parametrize("answer", [_status(403), _status(429), _status(500), _raw(reset=True)])
def test_probe_of_a_site_that_does_not_answer_us_is_an_error(site: _Server, answer: Answer) -> None:
    """Also one request only."""
    site.on("/robots.txt", answer)
    with pytest.raises(FetchError):
        _client(site).probe(site.url)
    assert len(site.seen) == 1


def test_a_client_that_nobody_uses_makes_no_connection(site: _Server) -> None:
    """Creating is not connecting."""
    _client(site).close()
    assert site.seen == []


@pytest.mark.parametrize("options", [{"delay": -1}, {"retries": -1}, {"deadline": 0}, {"timeout": float("inf")}])
def test_limits_out_of_range_are_refused(options: dict[str, float]) -> None:
    """A negative delay would be no politeness at all."""
    with pytest.raises(ParameterError, match=next(iter(options))):
        PoliteClient(**options)
