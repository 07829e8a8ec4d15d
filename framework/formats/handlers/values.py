"""Plain values: what JSON and YAML hold, and frames as lists of records."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from framework.errors import FidelityError, FormatError

EXACT = 1 << 53  # up to here a double tells every integer


# --------------------------------------------------------------------------- out


def plain_value(data: Any, what: str, *, nan: bool = False) -> Any:
    """The data in nothing but dict, list, str, int, float, bool and None; a tuple becomes a list.

    Raises
    ------
    FidelityError
        For anything else, and where it stands.
    """
    try:
        return _plain(data, what, "", nan)
    except RecursionError:
        raise FidelityError(
            f"The data is nested too deep for {what}, or holds itself.", cure="Save it in parts."
        ) from None


def _plain(data: Any, what: str, route: str, nan: bool) -> Any:
    if isinstance(data, float) and not nan and not math.isfinite(data):
        raise FidelityError(
            f"{data!r}{_at(route)} is no value that {what} holds.", cure="Use None for what is missing, or text."
        )
    if type(data) in (str, int, float, bool, type(None)):
        return data
    if isinstance(data, Mapping):
        return {_key(key, what, route): _plain(each, what, f"{route}.{key}", nan) for key, each in data.items()}
    if isinstance(data, list | tuple) and type(data) in (list, tuple):
        return [_plain(each, what, f"{route}[{place}]", nan) for place, each in enumerate(data)]
    if _is_numpy_scalar(data) and type(data.item()) in (str, int, float, bool):
        return _plain(data.item(), what, route, nan)
    raise FidelityError(
        f"A {type(data).__name__}{_at(route)} is no value that {what} holds.",
        cure="Turn it into text, numbers, lists and dictionaries first; for a frame lossy: true does.",
    )


def _is_numpy_scalar(data: Any) -> bool:
    return "numpy" in sys.modules and isinstance(data, sys.modules["numpy"].generic)


def _at(route: str) -> str:
    return f" at {route.lstrip('.')}" if route else ""


def _key(key: Any, what: str, route: str) -> str:
    if type(key) is not str:
        raise FidelityError(
            f"The key {key!r}{_at(route)} is not text, and {what} would make text of it.", cure=f"Use {str(key)!r}."
        )
    return key


# --------------------------------------------------------------------------- JSON in


_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|([{}])|([^\s{}\[\],:"]+)')


class _Refused(ValueError):
    """Something that JSON does not have, or has twice."""


def parse_json(text: str, name: str, *, line: int = 1) -> Any:
    """The value that the text says.

    Raises
    ------
    FormatError
        With the line: not JSON, a key twice in one object, NaN or Infinity, a number that no double reaches.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except json.JSONDecodeError as error:
        place, problem = error.pos, f"{error.msg} in column {error.colno}"
    except _Refused:
        place, problem = _refused(text)
    except ValueError as error:  # a number of thousands of digits
        place, problem = 0, str(error).partition(";")[0]
    except RecursionError:
        place, problem = 0, "nested too deep"
    at = line + text.count("\n", 0, place)
    raise FormatError(f"{name}, line {at}: {problem}.", line=at, resource=name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused
    return found


def _constant(word: str) -> NoReturn:
    raise _Refused(word)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Refused(text)
    return number


def _refused(text: str) -> tuple[int, str]:
    """Where what was refused stands, and what it is."""
    keys: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        string, colon, brace, word = token.groups()
        if brace == "{":
            keys.append(set())
        elif brace == "}":
            keys.pop()
        elif colon is not None:
            key = json.loads(string)
            if key in keys[-1]:
                return token.start(), f"the key {key!r} is set twice in one object"
            keys[-1].add(key)
        elif word in ("NaN", "Infinity", "-Infinity"):
            return token.start(), f"{word} is no JSON; write null for what is missing"
        elif word is not None and word[-1].isdigit() and math.isinf(float(word)):
            return token.start(), f"the number {word[:40]} is too large"
    raise AssertionError("nothing was refused")  # what is refused above is found here


# --------------------------------------------------------------------------- records


def frame_of(records: Iterable[Mapping[str, Any]]) -> Any:
    """A DataFrame of the records, columns in the order in which they come first; what a record lacks is missing.

    A column is a number, a boolean or text if all that it holds is; otherwise it holds the values as they are.
    """
    import pandas as pd

    rows, columns = 0, {}
    for record in records:
        for name in record:
            if name not in columns:
                columns[name] = [None] * rows
        for name, cells in columns.items():
            cells.append(record.get(name))
        rows += 1
    made = {place: column_of(cells) for place, cells in enumerate(columns.values())}
    frame = pd.DataFrame(made, index=pd.RangeIndex(rows))
    frame.columns = pd.Index(list(columns), dtype=object)
    return frame


def column_of(cells: list[Any]) -> Any:
    """A Series of the dtype that all of the cells have, or of objects; None is missing."""
    import pandas as pd

    kinds = {type(cell) for cell in cells}
    lacking, kinds = type(None) in kinds, kinds - {type(None)}
    there = [cell for cell in cells if type(cell) is int]
    dtype = "object"
    if kinds == {bool}:
        dtype = "boolean" if lacking else "bool"
    elif kinds == {int} and min(there) >= -(2**63) and max(there) < 2**63:
        dtype = "Int64" if lacking else "int64"
    elif kinds and kinds <= {int, float} and float in kinds and all(abs(cell) <= EXACT for cell in there):
        dtype = "float64"
    elif kinds == {datetime}:
        dtype = "datetime64[us]"
    return pd.Series(cells, dtype=dtype)


def records_of(frame: Any) -> list[dict[str, Any]]:
    """The rows as dictionaries of plain values, a missing cell None.

    Raises
    ------
    FidelityError
        For a column of a type that has no place in them: a time, a duration, bytes.
    """
    names = [str(label) for label in frame.columns]
    columns = [_cells(frame.iloc[:, place], names[place]) for place in range(len(names))]
    if not names:
        return [{} for _ in range(len(frame))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _cells(series: Any, name: str) -> list[Any]:
    missing = series.isna()
    cells = series.astype(object).tolist()
    return [None if gone else cell for gone, cell in zip(missing, cells, strict=True)]


def worded(records: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The records with whatever is no plain value as text."""
    for record in records:
        yield {name: _worded(cell) for name, cell in record.items()}


def _worded(cell: Any) -> Any:
    try:
        return plain_value(cell, "JSON")
    except FidelityError:
        return None if isinstance(cell, float) else cell.isoformat() if hasattr(cell, "isoformat") else str(cell)
