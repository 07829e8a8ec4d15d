"""Compressed bytes as a stream."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from framework.errors import BaseFrameworkException, FormatError, IntegrityError
from framework.formats.compression import SUFFIXES, Codec, codec_of, packed, unpacked

TEXT = b"".join(b"%d,%d\n" % (row, row * row) for row in range(20_000))


def packed_bytes(codec: Codec) -> bytes:
    sink = io.BytesIO()
    with packed(sink, codec) as stream:
        stream.write(TEXT)
    return sink.getvalue()


def whole(data: bytes, codec: Codec, **options: int) -> bytes:
    read = unpacked(io.BytesIO(data).read, codec, "f", **options)
    return b"".join(iter(lambda: read(1000), b""))


@pytest.mark.parametrize("codec", SUFFIXES)
def test_what_is_packed_is_unpacked(codec: Codec) -> None:
    """Bit by bit, and several archives one after the other."""
    data = packed_bytes(codec)
    assert len(data) < len(TEXT) / 2
    assert whole(data, codec) == TEXT
    assert whole(data + data, codec) == TEXT + TEXT
    assert codec_of(f"x.csv{SUFFIXES[codec]}") == codec
    assert codec_of("x.csv") is None


def test_what_gzip_packed_is_unpacked() -> None:
    """By the standard library, both ways."""
    assert whole(gzip.compress(TEXT), "gzip") == TEXT
    assert gzip.decompress(packed_bytes("gzip")) == TEXT


@pytest.mark.parametrize("codec", SUFFIXES)
def test_what_is_cut_is_an_error(codec: Codec) -> None:
    """Wherever it ends too soon."""
    data = packed_bytes(codec)
    for length in (5, len(data) // 2, len(data) - 1):
        with pytest.raises(IntegrityError, match="f is damaged"):
            whole(data[:length], codec)


def test_a_bit_that_changed_in_gzip_is_an_error_or_harmless() -> None:
    """Its checksum holds: never other bytes."""
    data, chance = packed_bytes("gzip"), random.Random(3)
    for _ in range(200):
        bent = bytearray(data)
        bent[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            got = whole(bytes(bent), "gzip")
        except BaseFrameworkException:
            continue
        assert got == TEXT


def test_more_than_there_may_be_is_an_error() -> None:
    """A few bytes that stand for very many."""
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(FormatError, match=r"more than 1,000,000 bytes.*max_bytes="):
        whole(bomb, "gzip", most=1_000_000)
