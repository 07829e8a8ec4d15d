"""PoliteClient: what joins pace, robots, guard and tries."""

from __future__ import annotations

import http.client
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import requests
import tenacity
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import DecodeError, HTTPError, IncompleteRead, NameResolutionError, NewConnectionError

from framework._version import __version__
from framework.errors import FetchError, ParameterError
from framework.http import robots
from framework.http.guard import Guard, GuardedAdapter, watched
from framework.http.pace import Pace
from framework.http.page import Ask, Page, Passing, judge, with_params
from framework.http.robots import Robots

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
LONGEST_WAIT = 60.0

Accept = Callable[[Page], FetchError | None]
"""Whether a page will do: None, or the error that it amounts to, for a try later; what it raises ends the tries."""


class PoliteClient:
    """Reads pages, politely; one for all threads.

    Parameters
    ----------
    user_agent : str, optional
        Who we are; `millpond/<version> (+<contact>)` unless given.
    contact : str, optional
        A mail address or a page where the site's owner can reach you.
    delay : float
        Least seconds between the starts of two requests to a host; a longer Crawl-delay of robots.txt wins.
    retries : int
        Further tries after a refusal (429, 503, or what `accept` says), another 5xx or a broken connection.
    backoff : float
        Seconds of the first wait; doubles each time, with jitter. A longer Retry-After wins.
    deadline : float
        Most seconds for one `get`: its turns, tries, waits and redirects together.
    timeout : float
        Most seconds of silence from the server.
    max_bytes : int
        Most bytes of a page, decompressed.
    allow_hosts : iterable of str
        `host` or `host:port` that may have a private address.
    respect_robots : bool
        robots.txt as RFC 9309 has it: with a 4xx everything is allowed, with a 5xx or no answer nothing is.
    proxies : mapping, optional
        Scheme to proxy URL; the environment's proxies and netrc are not read.
    logger : logging.Logger, optional

    Notes
    -----
    A host that refused up to the last try is asked once per `get`, until it answers again.
    """

    def __init__(
        self,
        *,
        user_agent: str | None = None,
        contact: str | None = None,
        delay: float = 1.0,
        retries: int = 5,
        backoff: float = 1.0,
        deadline: float = 120.0,
        timeout: float = 20.0,
        max_bytes: int = 16 * 1024 * 1024,
        allow_hosts: Iterable[str] = (),
        respect_robots: bool = True,
        proxies: Mapping[str, str] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        _check_limits(delay=delay, retries=retries, backoff=backoff)
        _check_limits(least=1e-3, deadline=deadline, timeout=timeout, max_bytes=max_bytes)
        self.user_agent = user_agent or f"millpond/{__version__} (+{contact or 'python-requests'})"
        self.delay = delay
        self.retries = retries
        self.backoff = backoff
        self.deadline = deadline
        self.timeout = timeout
        self.max_bytes = max_bytes
        self.logger = logger or logging.getLogger("millpond.http")
        self._pace = Pace()
        self._robots = Robots(self.user_agent.split("/")[0], self._read_robots) if respect_robots else None
        self._refusing: set[str] = set()
        self._session = _Session()
        self._session.trust_env = False
        self._session.proxies = dict(proxies or {})
        self._session.headers["User-Agent"] = self.user_agent
        adapter = GuardedAdapter(Guard(allow_hosts))
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Accept | None = None,
    ) -> Page:
        """The page at `url`.

        Parameters
        ----------
        params : mapping, optional
            Added to the query.
        headers : mapping, optional
            Sent to the URL's own origin, never to another that it redirects to.
        accept : callable, optional
            Says of a page with status 2xx whether it is a refusal, which is tried again after a wait.

        Raises
        ------
        BlockedError
            The site refuses us: 401, 403, 451, a challenge, robots.txt, or "too many requests" up to the last try.
        PageError
            404 or 410, or what `accept` says.
        FetchError
            Anything else: no connection, deadline, too large, cut short, redirect loop, an address that is not public.
        """
        ask = Ask.of(with_params(url, params), headers=headers, deadline=time.monotonic() + self.deadline)

        def once() -> Page:
            page = judge(*self._follow(ask, check_robots=True))
            if (error := accept(page) if accept else None) is not None:
                raise Passing(error, host=page.host, refused=True)
            return page

        return self._persist(once, ask, tries=self.retries + 1)

    def probe(self, url: str, *, deadline: float = 5.0) -> None:
        """One request, for the site's robots.txt: it returns if the site answers us, and raises FetchError if not."""
        ask = Ask.of(url, deadline=time.monotonic() + min(deadline, self.deadline)).robots()
        try:
            answer = self._send(ask, most=robots.MOST_BYTES, cut=True)
            if isinstance(answer, Page) and answer.status != 404:
                judge(answer, ask)
        except Passing as passing:
            raise passing.error from None

    def close(self) -> None:
        self._session.close()

    def _read_robots(self, ask: Ask) -> Page:
        def once() -> Page:
            page, there = self._follow(ask, check_robots=False)
            return page if robots.is_answer(page) else judge(page, there)

        return self._persist(once, ask, tries=min(3, self.retries + 1))

    def _persist(self, once: Callable[[], Page], ask: Ask, *, tries: int) -> Page:
        """Try until it works, the tries are used up or the next wait would pass the deadline."""
        started = time.monotonic()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=tenacity.stop_after_attempt(1 if ask.host in self._refusing else tries)
            | tenacity.stop_before_delay(ask.left),
            wait=self._wait,
            before_sleep=self._say,
            reraise=True,
        )
        try:
            page: Page = retrying(once)
        except Passing as last:
            if last.refused:
                self._refusing.add(ask.host)
            tried = int(retrying.statistics.get("attempt_number", 1))
            last.error.message += f" Tried {tried} times in {time.monotonic() - started:.0f} s." if tried > 1 else ""
            raise last.error from None
        self._refusing.discard(ask.host)
        return page

    def _wait(self, state: tenacity.RetryCallState) -> float:
        passing = _passing(state)
        doubled = min(LONGEST_WAIT, self.backoff * 2.0 ** min(state.attempt_number - 1, 30))
        wait = max(doubled + random.uniform(0, self.backoff), passing.retry_after)
        if passing.refused:
            self._pace.hold(passing.host, seconds=wait)
        return wait

    def _say(self, state: tenacity.RetryCallState) -> None:
        message = _passing(state).error.message
        self.logger.warning("%s Try %d; waiting %.1f s.", message, state.attempt_number, state.upcoming_sleep)

    def _follow(self, ask: Ask, *, check_robots: bool) -> tuple[Page, Ask]:
        """One try: the answer, of any status, after redirects; each hop is checked like the first."""
        most = self.max_bytes if check_robots else robots.MOST_BYTES
        for _ in range(MOST_REDIRECTS + 1):
            if check_robots and self._robots is not None:
                self._robots.check(ask)
            answer = self._send(ask, most=most, cut=not check_robots)
            if isinstance(answer, Page):
                return answer, ask
            ask = answer
        raise FetchError(f"{ask.shown} redirects more than {MOST_REDIRECTS} times.", resource=ask.host)

    def _send(self, ask: Ask, *, most: int, cut: bool) -> Page | Ask:
        """One request: an answer of any status, or where it redirects to; a body is read only with status 2xx.

        With `cut` a longer body is shortened to `most` bytes, else it is an error.
        """
        crawl_delay = self._robots.crawl_delay(ask) if self._robots is not None else 0.0
        self._pace.take_turn(ask, spacing=max(self.delay, crawl_delay))
        self.logger.debug("GET %s", ask.shown)
        try:
            with watched(ask.deadline), self._request(ask) as response:
                if response.status_code in REDIRECTS and response.headers.get("Location"):
                    return ask.redirected(response.headers["Location"])
                content = _body(response, ask, most=most, cut=cut) if 200 <= response.status_code < 300 else b""
                return Page(content, ask.url, response.status_code, CaseInsensitiveDict(response.headers))
        except (requests.RequestException, HTTPError, OSError) as error:
            if not ask.left:
                raise ask.late() from None
            broken = FetchError(f"{ask.shown} could not be read: {_reason(error)}.", resource=ask.host)
            if isinstance(error, ValueError):  # a URL that cannot be asked for
                raise broken from None
            raise Passing(broken, host=ask.host) from None  # the cause's text holds the whole URL

    def _request(self, ask: Ask) -> requests.Response:
        silence = max(0.001, min(self.timeout, ask.left))
        headers = dict(ask.headers)
        return self._session.get(
            ask.url, headers=headers, auth=ask.auth, stream=True, timeout=silence, allow_redirects=False
        )


class _Session(requests.Session):
    """Leaves redirects alone: they are followed by hand, and the body of one is never read."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _passing(state: tenacity.RetryCallState) -> Passing:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, Passing)  # nothing else is tried again
    return error


def _body(response: requests.Response, ask: Ask, *, most: int, cut: bool) -> bytes:
    """The decompressed body, at most `most` bytes of it ever held; one shorter than stated is an error of urllib3."""
    kept = bytearray()
    for chunk in response.raw.stream(64 * 1024, decode_content=True):
        kept += chunk
        if len(kept) > most and cut:
            return bytes(kept[:most])
        if len(kept) > most:
            raise FetchError(f"{ask.shown} is larger than {most} bytes.", cure="Raise max_bytes.", resource=ask.host)
    if not ask.left:  # cut by the watch: what looks like the end may not be it
        raise ask.late()
    return bytes(kept)


def _reason(error: BaseException) -> str:
    """What broke, in words that hold no URL."""
    chain = tuple(_chain(error))
    return next((words for kind, words in _REASONS if any(isinstance(e, kind) for e in chain)), type(error).__name__)


def _chain(error: object) -> Iterator[BaseException]:
    if isinstance(error, BaseException):
        yield error
        for inner in (*error.args, getattr(error, "reason", None), error.__cause__):
            yield from _chain(inner)


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror, NameResolutionError), "its name cannot be resolved"),
    ((http.client.IncompleteRead, IncompleteRead), "the body is shorter than stated"),
    (DecodeError, "its compression is broken"),
    ((requests.exceptions.SSLError, ssl.SSLError), "its TLS certificate or handshake is not valid"),
    ((requests.Timeout, TimeoutError), "no answer in time"),
    (requests.exceptions.InvalidURL, "the URL is not valid"),
    ((ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected), "the connection was cut"),
    (NewConnectionError, "no connection, it was refused or the host is not reachable"),
)


def _check_limits(*, least: float = 0.0, **limits: float) -> None:
    for name, value in limits.items():
        if not least <= value < float("inf"):
            raise ParameterError(f"{name}={value!r} is out of range.", cure=f"Give a number of at least {least:g}.")
