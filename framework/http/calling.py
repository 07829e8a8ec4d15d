"""Caller: requests to an API that its user may use, with credentials, at a pace; robots.txt does not concern it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from framework._version import __version__
from framework.errors import BlockedError, FetchError, PageError
from framework.http.guard import Guard, GuardedAdapter, watched
from framework.http.page import BUSY, PASSING, REFUSED, Page, retry_after
from framework.redact import redact, register_secret

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
MOST_SAID = 2048  # bytes of what an error's page says
BLOCK = 1 << 16
LONGEST_BACKOFF = 60.0


class Credentials(Protocol):
    """What shows an API who asks."""

    def headers(self, *, anew: bool) -> Mapping[str, str]:
        """What is sent along; `anew` after the API refused what was sent before."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes
    ----------
    body : optional
        Sent as JSON.
    form : mapping, optional
        Sent as a form instead.
    """

    url: str
    method: str = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        return origin_of(self.url)

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold keys."""
        return redact(self.origin + urlsplit(self.url).path)


def origin_of(url: str) -> str:
    """Scheme, host and port; FetchError for what is no URL of the web."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise FetchError("The URL cannot be read.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError(f"Only http and https URLs with a host are called, not {parts.scheme!r}.")
    usual = {"http": 80, "https": 443}[parts.scheme]
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{place}" + ("" if port in (None, usual) else f":{port}")


class Caller:
    """Calls an API, one request after the other.

    Parameters
    ----------
    url : str
        Of the API; its origin, and those of `others`, may be called and get the credentials.
    credentials : Credentials, optional
    timeout : float
        Most seconds for one answer, all of it.
    rate : float, optional
        Most requests a second.
    retries : int
        Further tries after a broken connection, 429 or a 5xx.
    backoff : float
        Seconds of the first wait; doubles each time, with jitter. Retry-After wins where it is longer.
    longest_wait : float
        A longer Retry-After is an error at once.
    max_bytes : int
        Most bytes of an answer, decompressed.
    """

    def __init__(
        self,
        url: str,
        *,
        others: Iterable[str] = (),
        credentials: Credentials | None = None,
        timeout: float = 30.0,
        rate: float | None = None,
        retries: int = 5,
        backoff: float = 1.0,
        longest_wait: float = 300.0,
        max_bytes: int = 1 << 26,
        verify: str | bool = True,
        logger: logging.Logger | None = None,
    ) -> None:
        self.origins = {origin_of(each) for each in (url, *others)}
        self.credentials = credentials
        self.timeout, self.retries, self.backoff = timeout, retries, backoff
        self.longest_wait, self.max_bytes = longest_wait, max_bytes
        self.requests = 0
        self.logger = logger or logging.getLogger("millpond.http")
        self._spacing = 1 / rate if rate else 0.0
        self._next = self._deadline = 0.0
        self._session = requests.Session()
        self._session.trust_env = False  # no netrc: nothing is sent that was not given
        self._session.verify = verify
        self._session.headers["User-Agent"] = f"millpond/{__version__}"
        adapter = GuardedAdapter(Guard(urlsplit(origin).hostname or "" for origin in self.origins))
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def call(self, call: Call, *, expected: Iterable[int] = ()) -> Page:
        """The answer, of a status 2xx or one that is `expected`.

        Raises
        ------
        BlockedError
            The API refuses us: 401, 403, or "too many requests" up to the last try.
        PageError
            404 or 410.
        FetchError
            Anything else: no connection, no answer in time, too large, another address than was allowed.
        """
        anew = False
        for attempt in range(self.retries + 1):
            page, broken = self._tried(call, anew=anew)
            if page is not None:
                if 200 <= page.status < 300 or page.status in expected:
                    return page
                if page.status == 401 and self.credentials is not None and not anew:
                    anew = True
                    page, broken = self._tried(call, anew=True)
                    if page is not None and (200 <= page.status < 300 or page.status in expected):
                        return page
            if page is not None:
                broken = refusal(call, page)
                if page.status not in PASSING:
                    raise broken
            assert broken is not None
            if attempt == self.retries:
                broken.message += f" Tried {attempt + 1} times." if attempt else ""
                raise broken
            self._wait(attempt, page, broken)
        raise AssertionError("the last try answers or raises")

    def _wait(self, attempt: int, page: Page | None, broken: FetchError) -> None:
        doubled = min(LONGEST_BACKOFF, self.backoff * 2.0**attempt)
        asked = retry_after(page.headers.get("Retry-After", "")) if page is not None else 0.0
        if asked > self.longest_wait:
            broken.cure = f"Try again later; it asks to wait {asked:.0f} s, and {self.longest_wait:g} s is the most."
            raise broken
        wait = max(doubled + random.uniform(0, self.backoff), asked)
        self.logger.warning("%s Try %d; waiting %.1f s.", broken.message, attempt + 1, wait)
        time.sleep(wait)

    def _tried(self, call: Call, *, anew: bool) -> tuple[Page | None, FetchError | None]:
        """One answer of any status, redirects followed; or what broke on the way, which may be over at the next try."""
        for _ in range(MOST_REDIRECTS + 1):
            self._check_origin(call)
            secret = self.credentials.headers(anew=anew) if self.credentials is not None else {}
            try:
                page = self._sent(call, secret)
            except (requests.RequestException, HTTPError, OSError) as error:
                if isinstance(error, FetchError):
                    raise
                why = "no answer in time" if time.monotonic() >= self._deadline else _reason(error)
                return None, FetchError(f"{call.shown} could not be read: {why}.", resource=call.origin)
            where = page.headers.get("Location") if page.status in REDIRECTS else None
            if not where:
                return page, None
            if call.method != "GET":
                raise FetchError(f"{call.shown} redirects a {call.method}.", cure="Say the endpoint that it means.")
            call = replace(call, url=urljoin(page.url, where), params={})
        raise FetchError(f"{call.shown} redirects more than {MOST_REDIRECTS} times.", resource=call.origin)

    def _check_origin(self, call: Call) -> None:
        if call.origin not in self.origins:
            known = ", ".join(sorted(self.origins))
            raise FetchError(
                f"The API leads to {call.origin}, and credentials are given for {known} only.",
                cure="If it belongs to the API, name it in other_hosts.",
                resource=call.origin,
            )

    def _sent(self, call: Call, secret: Mapping[str, str]) -> Page:
        """One request."""
        pause = self._next - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        self._next = time.monotonic() + self._spacing
        self.requests += 1
        self._deadline = time.monotonic() + self.timeout
        with (
            watched(self._deadline),
            self._session.request(
                call.method,
                call.url,
                params=call.params or None,
                headers={"Accept": "application/json", **call.headers, **secret},
                json=call.body,
                data=call.form,
                stream=True,
                timeout=self.timeout,
                allow_redirects=False,
            ) as response,
        ):
            content = self._body(call, response)
            return Page(content, response.url, response.status_code, CaseInsensitiveDict(response.headers))

    def _body(self, call: Call, response: requests.Response) -> bytes:
        good = 200 <= response.status_code < 300
        kept = bytearray()
        for block in response.raw.stream(BLOCK, decode_content=True):
            kept += block
            if not good and len(kept) > MOST_SAID:
                return bytes(kept[:MOST_SAID])
            if len(kept) > self.max_bytes:
                raise FetchError(
                    f"{call.shown}: an answer of more than {self.max_bytes:,} bytes.",
                    cure="Ask for smaller pages, or raise max_bytes.",
                    resource=call.origin,
                )
        if time.monotonic() >= self._deadline:  # cut by the watch: what looks like the end may not be it
            raise requests.Timeout
        return bytes(kept)


def refusal(call: Call, page: Page) -> FetchError:
    """What a status amounts to, with what the API says of it."""
    said = redact(" ".join(page.text.split()))[:200]
    words = f"{call.shown} answered {page.status}" + (f": {said}" if said and not said.startswith("<") else "") + "."
    if page.status in REFUSED:
        cure = "Are the credentials right, and may they read this? See auth_method."
        return BlockedError(words, cure=cure, resource=call.origin)
    if page.status in BUSY:
        return BlockedError(words, cure="Try again later, or with a lower rate_limit.", resource=call.origin)
    if page.status in (404, 410):
        return PageError(words, cure="Is the endpoint right?", resource=call.origin)
    return FetchError(words, resource=call.origin)


def _reason(error: Exception) -> str:
    """What broke, in words that hold no URL."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate or handshake is not valid"
    if isinstance(error, (requests.Timeout, TimeoutError)):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection, it was refused or cut, or its name is not known"
    return "the answer was cut or broken"


# --------------------------------------------------------------------------- credentials


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same headers always."""

    sent: Mapping[str, str] = field(repr=False)

    def headers(self, *, anew: bool) -> Mapping[str, str]:
        return self.sent


class ClientCredentials:
    """A bearer token by OAuth 2.0 client credentials (RFC 6749, 4.4), had anew before it ends or once it is refused.

    Parameters
    ----------
    ask : callable
        Asks for a token: what the server answers.
    """

    def __init__(self, ask: Callable[[], Mapping[str, Any]]) -> None:
        self._ask = ask
        self._token = ""
        self._ends = 0.0

    def headers(self, *, anew: bool) -> Mapping[str, str]:
        if anew or not self._token or time.monotonic() >= self._ends:
            told = self._ask()
            token = told.get("access_token")
            if not isinstance(token, str) or not token:
                raise BlockedError("The token's server gave no access_token.", cure="Is token_url right?")
            register_secret(token)
            lasts: Any = told.get("expires_in")
            lasts = float(lasts) if isinstance(lasts, (int, float)) or str(lasts).isdigit() else float("inf")
            self._token, self._ends = token, time.monotonic() + 0.9 * lasts
        return {"Authorization": f"Bearer {self._token}"}
