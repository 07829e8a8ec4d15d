"""Whose turn it is: the one rate limit of a client."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from framework.errors import BlockedError
from framework.http.page import LATER, Ask


class Pace:
    """One request at a time and spacing, for each host; shared by all threads."""

    def __init__(self) -> None:
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._next: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def take_turn(self, ask: Ask, *, spacing: float) -> None:
        """Wait for the host's next turn and take it; an error at once if it comes after the deadline."""
        with self._lock:
            turns = self._turns[ask.host]
        if not turns.acquire(timeout=ask.left):
            raise ask.late()
        try:
            while (pause := self._next[ask.host] - time.monotonic()) > 0:  # another thread's refusal may move it
                if pause >= ask.left:
                    raise BlockedError(
                        f"{ask.host} wants the next request in {pause:.0f} s only, which is past the deadline.",
                        cure=LATER,
                        resource=ask.host,
                    )
                time.sleep(pause)
            with self._lock:
                self._next[ask.host] = max(self._next[ask.host], time.monotonic() + spacing)
        finally:
            turns.release()

    def hold(self, host: str, *, seconds: float) -> None:
        """No turn before `seconds` from now, for any thread."""
        with self._lock:
            self._next[host] = max(self._next[host], time.monotonic() + seconds)
