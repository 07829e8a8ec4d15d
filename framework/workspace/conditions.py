"""Conditions as they are typed: `price > 5`, `ticker in A,B`, `sold is null`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from framework.errors import ColumnNotFoundError, OptionError, known_names

Condition = tuple[str, str, Any]
OPERATORS = ("==", "!=", "<=", ">=", "<", ">", "not in", "in", "is null", "not null")
_SIGN = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*")
_WORD = re.compile(r"\s+(not\s+in|in|is\s+null|not\s+null)(?:\s+|$)", re.IGNORECASE)
_TRUTH = {"true": True, "false": False}


def conditions_in(texts: Sequence[str], columns: Mapping[str, str]) -> list[Condition]:
    """`(column, op, value)` of each text, the value of the column's own kind.

    Parameters
    ----------
    texts : sequence of str
    columns : mapping of str to str
        What there is, each with its dtype.

    Raises
    ------
    OptionError, ColumnNotFoundError
    """
    return [_condition(text, columns) for text in texts]


def _condition(text: str, columns: Mapping[str, str]) -> Condition:
    splits = sorted(_splits(text), key=lambda split: len(split[0]), reverse=True)
    if not splits:
        raise OptionError(
            f"{text!r} is no condition.", cure=f"Write 'column op value'; op is one of {', '.join(OPERATORS)}."
        )
    for column, op, rest in splits:  # a column's name may hold a sign or a word, too
        if column in columns:
            return column, op, _value(rest, op, columns[column], text)
    named = splits[-1][0]
    raise ColumnNotFoundError(f"There is no column {named!r}.", cure=known_names(named, columns), resource=named)


def _splits(text: str) -> Iterator[tuple[str, str, str]]:
    for pattern in (_SIGN, _WORD):
        for found in pattern.finditer(text):
            column, op, rest = text[: found.start()], found[1], text[found.end() :]
            if column.strip():
                yield column.strip(), " ".join(op.lower().split()), rest.strip()


def _value(text: str, op: str, dtype: str, whole: str) -> Any:
    if op in ("is null", "not null"):
        if text:
            raise OptionError(f"{whole!r}: {op!r} takes no value.")
        return None
    if op in ("in", "not in"):
        (cells,) = csv.reader([text], skipinitialspace=True) if text else ([],)
        return [_typed(cell.strip(), dtype, whole) for cell in cells]
    if not text:
        raise OptionError(f"{whole!r} has no value after {op}.")
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else _typed(text, dtype, whole)


def _typed(text: str, dtype: str, whole: str) -> Any:
    """The text as what the column holds; times and text stay text."""
    kind = dtype.casefold()
    if kind.startswith("bool") and text.casefold() in _TRUTH:
        return _TRUTH[text.casefold()]
    if kind.startswith(("int", "uint", "float", "double", "decimal")):
        from decimal import Decimal, InvalidOperation

        try:
            number = Decimal(text)
        except InvalidOperation:
            raise OptionError(f"{whole!r}: {text!r} is no number, and the column is {dtype}.") from None
        if kind.startswith("decimal"):
            return number
        if not number.is_finite():
            return float(text)
        return int(number) if number == number.to_integral_value() and abs(number.adjusted()) < 400 else number
    return text
