"""Which encoding a file is in, and how sure that is.

In this order: a byte order mark; UTF-16 without one, by its zero bytes; UTF-8 if every byte fits; CP1252 if every byte
is one of its characters; else Latin-1, in which every byte is some character.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from framework.formats.compression import Read

BLOCK = 1 << 20
MARKS = (  # those of UTF-32 begin as UTF-16's do
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNDEFINED = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])  # in CP1252
LETTERS = bytes(byte for byte in range(0xC0, 0x100) if byte not in (0xD7, 0xF7))
TYPOGRAPHIC = bytes([0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97, 0xA0, 0xA3, 0xA7, 0xAB, 0xB0, 0xBB])
HIGH = bytes(range(0x80, 0x100))


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, as Python names it.

    Attributes
    ----------
    confidence : float
        0 to 1; 1 where nothing else is possible.
    why : str
    """

    name: str
    confidence: float
    why: str


def of_sample(sample: bytes) -> Encoding | None:
    """The encoding as the beginning of a file shows it; None where all its bytes must be looked at."""
    for mark, name in MARKS:
        if sample.startswith(mark):
            return Encoding(name, 1.0, "a byte order mark")
    wide = _utf16(sample)
    if wide is not None:
        return wide
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return None
    several = sum(char > "\x7f" for char in text) if not sample.isascii() else 0
    if not several:
        return Encoding("utf-8", 1.0, "only ASCII")
    return Encoding("utf-8", round(1 - 0.1 ** min(several, 4), 4), "every byte fits UTF-8")


def _utf16(sample: bytes) -> Encoding | None:
    """By its zero bytes: text of our alphabets has them in every other place."""
    if len(sample) < 4 or b"\0" not in sample:
        return None
    even, odd = (sample[start::2].count(0) / len(sample[start::2]) for start in (0, 1))
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > 0.5 and others < 0.05:
            return Encoding(name, round(min(0.99, 0.5 + zeros / 2), 2), "zero bytes in every other place")
    return None


def of_whole(read: Read) -> Encoding:
    """The one-byte encoding of a file that is not UTF-8, by all its bytes."""
    high = letters = 0
    undefined = several = False
    while block := read(BLOCK):
        marked = block.translate(None, bytes(range(0x80)))
        high += len(marked)
        letters += len(marked) - len(marked.translate(None, LETTERS + TYPOGRAPHIC))
        undefined = undefined or len(marked.translate(None, UNDEFINED)) < len(marked)
        several = several or _looks_utf8(block)
    share = letters / high if high else 1.0
    if undefined:
        name, sure, why = "latin-1", 0.3, "bytes that neither UTF-8 nor CP1252 has"
    else:
        name, sure, why = "cp1252", 0.5 + 0.35 * share, "every byte is one of CP1252's, and some are not UTF-8"
    if several:
        return Encoding(name, round(sure / 2, 2), f"{why}; others look like UTF-8 that is broken in places")
    return Encoding(name, round(sure, 2), why)


def _looks_utf8(block: bytes) -> bool:
    """Whether there are pairs that UTF-8 would have, and hardly a text in CP1252: a letter with an accent, a sign."""
    if block.isascii():
        return False
    kept = block.decode("utf-8", "ignore")
    return any(char > "\x7f" for char in kept)
