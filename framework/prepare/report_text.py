"""Text of others as a report shows it: what cannot be seen, or turns what stands beside it, is written out."""

from __future__ import annotations

import unicodedata

from framework.redact import redact

LONGEST = 400  # characters of one text
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # controls, marks of direction and joiners, half characters, separators


def visible(text: str) -> str:
    """The text without secrets, its invisible characters written as `\\u202e`, cut where it is too long."""
    return cut(_written_out(redact(text)), LONGEST)


def _written_out(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_one(char) for char in text[: 4 * LONGEST])


def _one(char: str) -> str:
    if char in "\n\t":
        return " "
    if unicodedata.category(char) not in _HIDDEN:
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def cut(text: str, most: int) -> str:
    """No longer than that."""
    return text if len(text) <= most else text[: most - 1] + "…"
