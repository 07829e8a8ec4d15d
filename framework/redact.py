"""Secrets that must not be seen: which they are, and text without them.

Settings register the secrets that they hold; the log's formatter, and whoever shows foreign text, asks for `redact`.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

# A scheme, a user, and a password that may hold an unescaped `@` or `/`: up to the last `@` before white space.
# The lengths are bounded so that hostile text cannot make the search slow.
_USER = r"(?P<before>\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s:/?#@]{0,200}:)"
_USERINFO = re.compile(_USER + r"(?P<secret>\S{1,500})(?=@)")
_USERINFO_ALONE = re.compile(_USER + r"(?P<secret>.+)(?=@)", re.DOTALL)
_PARAMETER = re.compile(
    r"(?P<before>\b(?:password|passwd|pwd|secret|token|api_?key)=)(?P<secret>'(?:\\.|[^'\\])*'|[^\s&;,'\"]+)",
    re.IGNORECASE,
)
_SHORT = 12  # a shorter secret is masked only where it stands alone, else logs become unreadable
_TOO_SHORT = 4  # and one shorter than this cannot be told from ordinary text

_lock = threading.Lock()
_forms: set[str] = set()
_known: re.Pattern[str] | None = None


def register_secret(value: str | None) -> None:
    """From now on `redact` masks `value`: as it is, percent-encoded, in base64, and as `repr` and JSON would show it.

    A URL's password is registered with it. Values shorter than 4 characters are not masked by value.
    """
    global _known
    if not value:
        return
    passwords = [match["secret"] for match in _USERINFO_ALONE.finditer(value)]
    found = {form for secret in {value, *passwords, *map(unquote, passwords)} for form in _spellings(secret)}
    with _lock:
        if found <= _forms:
            return
        _forms.update(found)
        longest_first = sorted(_forms, key=len, reverse=True)
        _known = re.compile("|".join(map(_pattern, longest_first)))


def _spellings(secret: str) -> set[str]:
    if len(secret) < _TOO_SHORT:
        return set()
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lowered = {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in encoded}
    in_base64 = base64.b64encode(secret.encode(errors="surrogatepass")).decode()
    escaped = {repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, in_base64, in_base64.rstrip("="), *encoded, *lowered, *escaped}


def _pattern(form: str) -> str:
    return re.escape(form) if len(form) >= _SHORT else rf"(?<![^\W_]){re.escape(form)}(?![^\W_])"


def redact(text: str) -> str:
    """The text with every registered secret, every password in a URL and every `password=...` masked."""
    spans: list[tuple[int, int]] = []  # of the text as it was, for what one rule masks must not hide from another
    if _known is not None:
        spans += [match.span() for match in _known.finditer(text)]
    if "://" in text:
        spans += [match.span("secret") for match in _USERINFO.finditer(text)]
    if "=" in text:
        spans += [match.span("secret") for match in _PARAMETER.finditer(text)]
    shown, end = [], 0
    for start, stop in sorted(spans):
        if start >= end:
            shown += [text[end:start], MASK]
        end = max(end, stop)
    return "".join([*shown, text[end:]])


def redacted(url: str) -> str:
    """One URL with its password masked, however it is written; the rest of it can be shown."""
    return _PARAMETER.sub(rf"\g<before>{MASK}", _USERINFO_ALONE.sub(rf"\g<before>{MASK}", url))
