"""The types that a YAML names for a column: which texts and values are of one, in Arrow and in SQL alike."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from framework.errors import ParameterError, known_names

DAY = r"\d{4}-\d{2}-\d{2}"
TIME = DAY + r"([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?"
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)"
TRUE, FALSE = ("true", "t", "yes", "y", "on", "1"), ("false", "f", "no", "n", "off", "0")
PATTERNS = {
    "int": r"[+-]?\d+(\.0*)?",
    "float": NUMBER + r"([eE][+-]?\d+)?",
    "decimal": NUMBER + r"([eE][+-]?\d+)?",
    "bool": f"(?i){'|'.join((*TRUE, *FALSE))}",
    "date": DAY,
    "datetime": TIME,
    "instant": TIME + r"(Z|[+-]\d{2}:?\d{2})",
}
DATED = ("date", "datetime", "instant")  # which text spells in many ways
KINDS = ("int", "float", "bool", "date", "datetime", "instant", "text", "decimal")
MADE_OF = {  # besides text
    "int": ("int", "float", "bool", "decimal"),
    "float": ("float", "int", "decimal"),
    "decimal": ("decimal", "int", "float"),
    "bool": ("bool", "int"),
    "date": ("date", "datetime"),
    "datetime": ("datetime", "date"),
    "instant": ("instant",),
    "text": KINDS,
}
SQL_TYPES = {"int": "DECIMAL(38, 0)", "date": "DATE", "datetime": "TIMESTAMP", "instant": "TIMESTAMPTZ"}
_DIRECTIVE = re.compile(r"%[-_0^#:]*(.)")
_DECIMAL = re.compile(r"decimal(?:\(\s*(\d+)\s*,\s*(\d+)\s*\))?")


def checked(kind: str) -> str:
    """A type's name; ValueError with those that there are."""
    found = _DECIMAL.fullmatch(kind)
    if found is not None and found[1] and not (1 <= int(found[1]) <= 38 and int(found[2]) <= int(found[1])):
        raise ValueError(f"{kind!r} holds at most 38 digits, of which some stand behind the point: decimal(12, 2)")
    if found is None and kind not in KINDS:
        raise ValueError(f"there is no type {kind!r}. {known_names(kind, KINDS)}")
    return kind


def check_spelling(column: str, kind: str, spelling: str) -> None:
    """ValueError for a spelling, as strptime has it, of more or less than a date, a time or an instant is."""
    said = set(_DIRECTIVE.findall(spelling))
    if kind == "instant" and "z" not in said:
        raise ValueError(
            f"date_format {spelling!r} of {column!r}, an instant, does not say the zone: end it with %z, or make it "
            f"a datetime; give each column its own: date_format: {{{column}: ...}}"
        )
    if kind != "instant" and said & {"z", "Z"}:
        raise ValueError(
            f"date_format {spelling!r} of {column!r}, a {kind}, has a zone, which a {kind} would lose: make it an "
            "instant"
        )


def arrow_type(kind: str) -> Any:
    """The Arrow type of a type's name; a decimal without its digits has nine behind the point."""
    import pyarrow as pa

    found = _DECIMAL.fullmatch(kind)
    if found is not None:
        return pa.decimal128(int(found[1] or 38), int(found[2] or 9))
    return {
        "int": pa.int64,
        "float": pa.float64,
        "bool": pa.bool_,
        "date": pa.date32,
        "datetime": partial(pa.timestamp, "us"),
        "instant": partial(pa.timestamp, "us", "UTC"),
        "text": pa.string,
    }[kind]()


def kind_of(kind: Any) -> str | None:
    """The name of an Arrow type; None for one that has none, such as a list."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if pa.types.is_timestamp(kind):
        return "instant" if kind.tz else "datetime"
    tests = {
        "int": pa.types.is_integer,
        "float": pa.types.is_floating,
        "decimal": pa.types.is_decimal,
        "bool": pa.types.is_boolean,
        "date": pa.types.is_date,
        "text": is_text,
    }
    return next((name for name, test in tests.items() if test(kind)), None)


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _plain(kind: str) -> str:
    return kind.partition("(")[0]


# --------------------------------------------------------------------------- in Arrow


def check_can_be_made(name: str, there: Any, kind: str) -> None:
    """ParameterError where no value of that Arrow type could be of the type asked for."""
    import pyarrow as pa

    known = kind_of(there)
    if not (known == "text" or known in MADE_OF[_plain(kind)] or pa.types.is_null(there)):
        raise ParameterError(
            f"{name!r} is {there}, of which no {kind} can be made.",
            cure=f"Of {', '.join(('text', *MADE_OF[_plain(kind)]))} it can.",
            resource=name,
        )


def made(column: Any, kind: str, spelling: str | None = None) -> tuple[Any, Any]:
    """A column as another type, and which of its cells have a value that is none; those become null.

    Parameters
    ----------
    column : chunked array
    kind : str
    spelling : str, optional
        Of a date or time, as strptime has it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    target = arrow_type(kind)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    column = pc.if_else(pc.is_null(column, nan_is_null=True), pa.scalar(None, column.type), column)
    if pa.types.is_floating(column.type) and _plain(kind) == "decimal":
        column = column.cast(pa.string())  # its shortest spelling, not its binary digits
    if is_text(column.type) and kind != "text":
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    answer = _strptime(column, target, spelling) if spelling else _cast(_eligible(column, _plain(kind)), target)
    if kind == "float" and is_text(column.type):  # 1e999
        answer = pc.if_else(pc.is_inf(answer), pa.scalar(None, target), answer)
    return answer, pc.and_(pc.is_null(answer), pc.is_valid(column))


def _eligible(column: Any, kind: str) -> Any:
    """The column without the values that a cast would take, and that are none of the type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_text(column.type) and kind != "text":
        fits = pc.match_substring_regex(column, f"^({PATTERNS[kind]})$")
        column = pc.if_else(fits, column, pa.scalar(None, column.type))
        if kind == "int":
            return pc.replace_substring_regex(column, r"^\+|\.0*$", "")
        if kind == "bool":
            return pc.is_in(pc.utf8_lower(column), pa.array(TRUE)) if not column.null_count else _truth(column)
        return pc.replace_substring_regex(column, r"^\+", "")
    if kind == "bool" and pa.types.is_integer(column.type):
        return pc.if_else(pc.is_in(column, pa.array([0, 1], column.type)), column, pa.scalar(None, column.type))
    if kind == "date" and pa.types.is_timestamp(column.type):
        whole = pc.equal(pc.floor_temporal(column, unit="day"), column)
        return pc.if_else(whole, column, pa.scalar(None, column.type))
    return column


def _truth(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    said = pc.is_in(pc.utf8_lower(column), pa.array(TRUE))
    return pc.if_else(pc.is_valid(column), said, pa.scalar(None, pa.bool_()))


def _cast(column: Any, target: Any) -> Any:
    """The column as that type, null where a value does not fit."""
    import pyarrow as pa

    try:
        return column.cast(target)
    except pa.ArrowInvalid:  # one at least; each value is tried once
        coded = column.combine_chunks().dictionary_encode()
        values = [_cast_one(coded.dictionary.slice(place, 1), target) for place in range(len(coded.dictionary))]
        chosen = pa.concat_arrays(values).take(coded.indices) if values else pa.nulls(len(column), target)
        return pa.chunked_array([chosen])


def _cast_one(value: Any, target: Any) -> Any:
    import pyarrow as pa

    try:
        return value.cast(target)
    except pa.ArrowInvalid:
        return pa.nulls(1, target)


def _strptime(column: Any, target: Any, spelling: str) -> Any:
    """Dates in that spelling; Arrow takes the 31st of February for the 2nd of March, so what may be such is tried.

    A value that has a time is no date.
    """
    from datetime import datetime

    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.strptime(column, format=spelling, unit="us", error_is_null=True)
    day = pc.day(found)
    doubted = pc.less_equal(day, 3)
    if found.type.tz:  # of the day before or after, by the zone
        doubted = pc.or_(pc.less_equal(day, 4), pc.greater_equal(day, 28))
    doubtful = pc.unique(column.filter(pc.fill_null(doubted, fill_value=False)))
    wrong = [text for text in doubtful.to_pylist() if not _is_spelled(datetime, text, spelling)]
    if wrong:
        found = pc.if_else(pc.is_in(column, pa.array(wrong, column.type)), pa.scalar(None, found.type), found)
    return (_eligible(found, "date") if pa.types.is_date(target) else found).cast(target)


def _is_spelled(kind: Any, text: str, spelling: str) -> bool:
    try:
        kind.strptime(text, spelling)
    except ValueError:
        return False
    return True


# --------------------------------------------------------------------------- in SQL


def fits(value: str, there: Any, kind: str) -> str:
    """SQL that says of a value that is not null whether it is of the type.

    Parameters
    ----------
    value : str
        The column, as SQL.
    there : Arrow type
    """
    known, plain = kind_of(there), _plain(kind)
    if plain == "decimal" and plain != kind and known in ("decimal", "int", "float"):
        return _has_place(value, str(known), arrow_type(kind))
    if known == "text" and plain != "text":
        cast = _cast_in_sql(value, kind)
        return f"(regexp_full_match({value}, '{PATTERNS[plain]}'){f' AND {cast}' if cast else ''})"
    if known == "float" and plain == "int":
        return f"(isfinite({value}) AND {value} = trunc({value}))"
    if known == "decimal" and plain == "int":
        return f"({value} = trunc({value}))"
    if known == "bool" or (known == "int" and plain == "bool") or (plain == "date" and known == "datetime"):
        return "true" if known == plain else "false"
    return "true" if known in MADE_OF[plain] and (plain != "text" or known == "text") else "false"


def _has_place(value: str, known: str, digits: Any) -> str:
    """Whether a number has no more digits than a decimal, on either side of the point."""
    before, behind = digits.precision - digits.scale, digits.scale
    if known == "float":
        cast = f"TRY_CAST({value} AS DECIMAL({digits.precision}, {behind}))"
        return f"coalesce({cast}::DOUBLE = {value}, false)"
    return f"regexp_full_match({value}::VARCHAR, '-?0*\\d{{0,{before}}}(\\.\\d{{0,{behind}}}0*)?')"


def _cast_in_sql(value: str, kind: str) -> str:
    plain = _plain(kind)
    if plain == "int":
        whole = f"TRY_CAST(split_part({value}, '.', 1) AS {SQL_TYPES['int']})"
        return f"coalesce({whole} BETWEEN -9223372036854775808 AND 9223372036854775807, false)"
    if plain == "decimal":
        digits = arrow_type(kind)
        cast = f"TRY_CAST({value} AS DECIMAL({digits.precision}, {digits.scale}))"  # rounds what it has no place for
        plainly = f"regexp_full_match({value}, '[+-]?\\d*(\\.\\d{{0,{digits.scale}}}0*)?') AND {cast} IS NOT NULL"
        return f"({plainly} OR coalesce(contains(lower({value}), 'e') AND {cast} = TRY_CAST({value} AS DOUBLE), false))"
    return f"TRY_CAST({value} AS {SQL_TYPES[plain]}) IS NOT NULL" if plain in SQL_TYPES else ""
