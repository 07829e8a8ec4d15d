"""Single values: JSON in and out with all its digits, values as text, and the records of a document."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from framework.errors import FormatError, known_names

SURE = 15  # digits that every double keeps


def text_of(value: Any) -> str:
    """A value as text that loses nothing."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 100 else str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list | tuple | set):
        return dumped(value)
    return repr(value) if isinstance(value, float) else str(value)


# --------------------------------------------------------------------------- JSON


class _Refused(ValueError):
    """Something that JSON does not have, or has twice."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused
    return found


def _constant(word: str) -> Any:
    raise _Refused(word)


def exactly(text: str) -> float | Decimal:
    """The number that the text says: a double where one keeps all its digits."""
    number = float(text)
    if math.isinf(number):
        raise _Refused(text)
    if len(text) <= SURE:
        return number
    said = Decimal(text)
    digits = len(said.as_tuple().digits)
    if digits <= SURE or Decimal(repr(number)) == said or (digits <= 17 and Decimal(format(number, ".17g")) == said):
        return number
    return said


STRICT = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=exactly)


def json_value(text: str, name: str, *, line: int = 1) -> Any:
    """The value that the text says, its numbers exact.

    Raises
    ------
    FormatError
        With the line: not JSON, a key twice in one object, NaN or Infinity, nested too deep.
    """
    try:
        return STRICT.decode(text)
    except (ValueError, RecursionError) as error:
        from framework.formats.handlers.values import parse_json

        parse_json(text, name, line=line)  # which says where
        raise FormatError(f"{name}, line {line}: {error}.", line=line, resource=name) from error


class _HasDecimal(Exception):
    """Python's own JSON would round it."""


def dumped(value: Any) -> str:
    """A nested value as JSON, its numbers with all their digits."""
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":"))
    except _HasDecimal:
        return _dumped(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        raise _HasDecimal
    return sorted(value, key=str) if isinstance(value, set) else text_of(value)


def _dumped(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{dumped(str(key))}:{_dumped(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple | set):
        return "[" + ",".join(map(_dumped, value)) + "]"
    return str(value) if isinstance(value, Decimal) and value.is_finite() else dumped(value)


# --------------------------------------------------------------------------- records in documents


def records_in(value: Any, path: str | None, name: str) -> list[Mapping[str, Any]]:
    """The records of a document: those at `path` (keys joined by dots), a list of them or a single one.

    Raises
    ------
    FormatError
        There is nothing of that path, or what is there are no records.
    """
    found, gone = value, ""
    for key in path.split(".") if path else ():
        if not isinstance(found, Mapping) or key not in found:
            keys = known_names(key, found) if isinstance(found, Mapping) else f"There is {_what(found)}."
            raise FormatError(f"{name} has no {key!r}{gone}, where its records should be.", cure=keys, resource=name)
        found, gone = found[key], f"{gone or ' in '}{'.' if gone else ''}{key}"
    found = [found] if isinstance(found, Mapping) else [] if found is None and path else found
    if not isinstance(found, list):
        raise FormatError(f"{name}: {_what(found)} is no list of records.", cure="Say records_path.", resource=name)
    for place, record in enumerate(found):
        if not isinstance(record, Mapping):
            raise FormatError(
                f"{name}: {_what(record)} is no record (number {place + 1} of {len(found)}).",
                cure="Each is {...}; records_path says where they are.",
                resource=name,
            )
    return found


def _what(value: Any) -> str:
    shown = dumped(value)
    return shown if len(shown) <= 40 else f"{shown[:40]}..."


def flattened(records: Iterable[Mapping[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """The records with `{"a": {"b": 1}}` as `{"a.b": 1}`; lists stay.

    Raises
    ------
    FormatError
        A record has both.
    """
    for record in records:
        flat: dict[str, Any] = {}
        for key, value in _leaves(record, ""):
            if key in flat:
                raise FormatError(f"{name}: a record has {key!r} twice once it is flat.", cure="Leave flatten out.")
            flat[key] = value
        yield flat


def _leaves(record: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield before + key, value
