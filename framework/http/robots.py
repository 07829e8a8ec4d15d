"""robots.txt of each origin, read once (RFC 9309, by protego)."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from protego import Protego

from framework.errors import BlockedError, FetchError
from framework.http.page import LATER, PASSING, Ask, Page

MOST_BYTES = 500 * 1024
KEPT = 24 * 3600.0
FAILURE_KEPT = 300.0


@dataclass(frozen=True, slots=True)
class _Rules:
    """What it allows until then; `rules` is None if it could not be read, and `why` says so."""

    rules: Protego | None
    until: float
    why: str = ""


class Robots:
    """What each origin allows.

    With a 4xx everything is allowed; with a 5xx, a 429 or no answer nothing is, for five minutes.

    Parameters
    ----------
    agent : str
        The name that rules are looked up by.
    read : callable
        Reads a robots.txt with all tries that it deserves; an answer of any status, or FetchError.
    """

    def __init__(self, agent: str, read: Callable[[Ask], Page]) -> None:
        self._agent = agent
        self._read = read
        self._known: dict[str, _Rules] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def check(self, ask: Ask) -> None:
        """BlockedError if we may not ask for that URL."""
        known = self._rules(ask)
        if known.rules is None:
            raise BlockedError(
                f"{ask.origin}/robots.txt could not be read, which forbids everything. {known.why}",
                cure=LATER,
                resource=ask.host,
            )
        if not known.rules.can_fetch(ask.url, self._agent):
            raise BlockedError(
                f"{ask.origin}/robots.txt forbids {ask.shown}.",
                cure="Ask the site's owner, or set respect_robots=False if you have their leave.",
                resource=ask.host,
            )

    def crawl_delay(self, ask: Ask) -> float:
        """Seconds that it asks for between requests, as far as it has been read."""
        known = self._known.get(ask.origin)
        return float(known.rules.crawl_delay(self._agent) or 0.0) if known is not None and known.rules else 0.0

    def _rules(self, ask: Ask) -> _Rules:
        with self._lock:
            lock = self._locks[ask.origin]
        if not lock.acquire(timeout=ask.left):
            raise ask.late()
        try:
            known = self._known.get(ask.origin)
            if known is None or time.monotonic() >= known.until:
                known = self._known[ask.origin] = self._learn(ask.robots())
            return known
        finally:
            lock.release()

    def _learn(self, ask: Ask) -> _Rules:
        try:
            page = self._read(ask)
        except FetchError as error:
            return _Rules(None, time.monotonic() + FAILURE_KEPT, error.message)
        return _Rules(Protego.parse(page.text if page.status < 300 else ""), time.monotonic() + KEPT)


def is_answer(page: Page) -> bool:
    """True if the status says all there is to know: 2xx has rules, and 3xx or 4xx has none."""
    return page.status < 500 and page.status not in PASSING
