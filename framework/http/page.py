"""What is asked for, what comes back, and what an answer means."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from framework.errors import BlockedError, FetchError, PageError

REFUSED = frozenset({401, 403, 407, 451})
BUSY = frozenset({429, 503})
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
LATER = "Try again later, with a larger delay between requests."


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer.

    Attributes
    ----------
    content : bytes
        The body, decompressed.
    url : str
        Where it was found, after redirects.
    status : int
    headers : mapping
        Names without regard to case.
    """

    content: bytes = field(repr=False)
    url: str = field(repr=False)
    status: int
    headers: Mapping[str, str] = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def text(self) -> str:
        """The body in the encoding that a byte order mark, the header or the HTML names, else UTF-8."""
        named = re.search(r"charset=[\"']?([\w.:-]+)", self.headers.get("Content-Type", ""), re.IGNORECASE)
        meta = re.search(rb"<meta[^>]{0,200}charset=[\"']?([\w.:-]+)", self.content[:2048], re.IGNORECASE)
        encoding = named[1] if named else meta[1].decode("ascii", "replace") if meta else "utf-8"
        if self.content.startswith(b"\xef\xbb\xbf"):
            encoding = "utf-8-sig"
        try:
            return self.content.decode(encoding, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to ask for: a URL without credentials, what is sent with it, and until when (monotonic seconds)."""

    url: str
    deadline: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str, *, deadline: float, headers: Mapping[str, str] | None = None) -> Ask:
        """FetchError if it is not an http or https URL with a host."""
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname or ""
            host.encode("idna")
        except ValueError:
            raise FetchError("The URL cannot be read.") from None
        if parts.scheme not in ("http", "https") or not host:
            raise FetchError(f"Only http and https URLs with a host are read, not {parts.scheme!r}.")
        place = (f"[{host}]" if ":" in host else host) + ("" if port is None else f":{port}")
        auth = (parts.username or "", parts.password or "") if "@" in parts.netloc else None
        return cls(
            urlunsplit((parts.scheme, place, parts.path or "/", parts.query, "")), deadline, dict(headers or {}), auth
        )

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold keys."""
        return self.origin + urlsplit(self.url).path

    @property
    def left(self) -> float:
        """Seconds until the deadline, not below 0."""
        return max(0.0, self.deadline - time.monotonic())

    def redirected(self, location: str) -> Ask:
        """Where it redirects to; credentials go to the same origin only, and none are taken from the answer."""
        try:
            url = urljoin(self.url, location)
        except ValueError:
            raise FetchError(f"{self.shown} redirects to what is not a URL.", resource=self.host) from None
        there = Ask.of(url, deadline=self.deadline)
        same = there.origin == self.origin
        return Ask(there.url, self.deadline, self.headers if same else {}, self.auth if same else None)

    def robots(self) -> Ask:
        """The robots.txt that speaks for it."""
        return Ask(f"{self.origin}/robots.txt", self.deadline)

    def late(self) -> FetchError:
        return FetchError(
            f"{self.shown} was not read before the deadline.",
            cure="Raise the deadline, or try later.",
            resource=self.host,
        )


class Passing(Exception):
    """What may be over at the next try; `error` is what it amounts to if it is not."""

    def __init__(self, error: FetchError, *, host: str, retry_after: float = 0.0, refused: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.host = host
        self.retry_after = retry_after
        self.refused = refused
        if refused and error.cure is None:
            error.cure = LATER


def judge(page: Page, ask: Ask) -> Page:
    """The page itself if its status is 2xx; else what its status means is raised."""
    if 200 <= page.status < 300:
        return page
    said = f"{ask.shown} answered {page.status} {_PHRASES.get(page.status, '')}".rstrip()
    if page.status in REFUSED or page.headers.get("cf-mitigated") == "challenge":
        raise BlockedError(
            f"{said}: {ask.host} refuses us.",
            cure="Try later and less often, from another network, or use what the site offers to programs.",
            resource=ask.host,
        )
    if page.status in BUSY:
        wait = retry_after(page.headers.get("Retry-After", ""))
        asks = f" and asks to wait {wait:.0f} s" if wait else ""
        raise Passing(BlockedError(f"{said}{asks}.", resource=ask.host), host=ask.host, retry_after=wait, refused=True)
    if page.status in PASSING:
        raise Passing(FetchError(f"{said}.", resource=ask.host), host=ask.host)
    if page.status in (404, 410):
        raise PageError(f"{said}: there is no such page.", resource=ask.host)
    raise FetchError(f"{said}.", resource=ask.host)


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def retry_after(text: str) -> float:
    """Seconds to wait, from a number or a date; 0 if it is neither."""
    if re.fullmatch(r"\s*\d{1,9}\s*", text, re.ASCII):
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def with_params(url: str, params: Mapping[str, Any] | None) -> str:
    """The URL with `params` added to its query; commas stay readable."""
    if not params:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(params, doseq=True, safe=',')}"
