"""A file's bytes in and out, compressed where its name says so, and the checks of options that handlers share."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from framework.checksums import CHUNK
from framework.errors import FormatError, IntegrityError, OptionError
from framework.formats.compression import MOST_UNPACKED, Read, codec_of, packed, unpacked

T = TypeVar("T")


def option(handler: str, name: str, value: T, kinds: type | tuple[type, ...], wanted: str) -> T:
    """The value of an option; OptionError when it is of another type. True is no number."""
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise OptionError(
            f"The option {name} of the {handler} handler is {value!r}.", cure=f"It is {wanted}.", resource=name
        )
    return value


def refuse_option(handler: str, name: str, value: Any, wanted: str) -> OptionError:
    """The error for a value that is of the right type and cannot be used."""
    return OptionError(
        f"The option {name} of the {handler} handler is {value!r}.", cure=f"It is {wanted}.", resource=name
    )


def known_encoding(handler: str, value: str) -> str:
    """The encoding's own name; OptionError for one that Python does not know as text."""
    import codecs

    option(handler, "encoding", value, str, "text, such as utf-8")
    try:
        found = codecs.lookup(value)
        plain = found._is_text_encoding and "a,1.5-\n".encode(found.name).decode(found.name) == "a,1.5-\n"
    except (LookupError, UnicodeError, ValueError):
        plain = False
    if not plain:
        raise refuse_option(handler, "encoding", value, "an encoding of text that Python knows, such as utf-8")
    return found.name


@contextmanager
def reading(path: Path, *, most: int = MOST_UNPACKED) -> Iterator[Read]:
    """A `read` of the file's content, unpacked."""
    with open(path, "rb") as file:
        codec = codec_of(path.name.lower())
        if codec is not None and not os.fstat(file.fileno()).st_size:
            raise FormatError(f"{path.name} is empty, and so no compressed file.", resource=str(path))
        yield unpacked(file.read, codec, path.name, most=most)


def read_whole(path: Path, *, most: int = MOST_UNPACKED) -> bytes:
    """All of the file's content."""
    blocks = []
    with reading(path, most=most) as read:
        while block := read(CHUNK):
            blocks.append(block)
    return b"".join(blocks)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A sink for the file's content, which is packed where its name says so."""
    with open(path, "wb") as file, packed(file, codec_of(path.name.lower())) as sink:
        yield sink


def decoded(data: bytes, encoding: str, path: Path) -> str:
    """As text; FormatError with the line of the first byte that is not in the encoding."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(
            f"{path.name}, line {line}: not {encoding}.",
            cure="Say its encoding with encoding=, or save it anew in UTF-8.",
            line=line,
            resource=str(path),
        ) from None


@contextmanager
def as_format_errors(path: Path, what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library says of a file's bytes into FormatError; the system's own errors pass."""
    try:
        yield
    except (FormatError, IntegrityError):
        raise
    except kinds as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # a place before the beginning
            raise
        said = str(error) or type(error).__name__
        raise FormatError(f"{path.name} is not {what} that can be read: {said}.", resource=str(path)) from error
