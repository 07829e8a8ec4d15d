"""What a column of text from someone else's CSV is, losing nothing.

A column becomes a number, boolean or time only if every value, written back, gives the same text again, up to trailing
zeros of a fraction, an exponent with a point or a sign (`2.5e-3`), and ISO spellings of a time. So `007`, `+1`, `1E5`,
`0x1F`, `TRUE`, ` 1` and 20-digit ids stay text; `NA`, `NaN` and `null` are missing only in a column that is otherwise
numeric or temporal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FormatError, OptionError, known_names
from framework.schema import Field, FrameSchema, encode, natural

NULL_WORDS = ("NA", "NaN", "null")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|\+00:00)?)?")
SAFE_LENGTH = 15  # characters: with so few digits every text is one double and back
HEAD = 100  # cells looked at for what a column may be

DIGIT, MINUS, POINT, EXPONENT, OTHER = 1, 2, 4, 8, 128
KINDS = np.full(256, OTHER, dtype=np.uint8)  # what each byte of a number may be
KINDS[ord("0") : ord("9") + 1] = DIGIT
KINDS[ord("-")], KINDS[ord(".")] = MINUS, POINT
KINDS[[ord("e"), ord("E"), ord("+")]] = EXPONENT


def infer(table: pa.Table) -> tuple[pa.Table, FrameSchema]:
    """The table of text with each column as what it is."""
    columns = [_infer_column(table.column(name)) for name in table.column_names]
    typed = pa.table(columns, names=table.column_names)
    return typed, natural(typed, "")


def _infer_column(column: Any) -> Any:
    """The column as what it is; itself if that is text."""
    first = _first(column)
    if first is None:
        return column
    typed = _typed(column, first)
    if typed is None and (NUMBER.fullmatch(first) or TIME.fullmatch(first)):
        words = pc.is_in(column, value_set=pa.array(NULL_WORDS))
        if pc.any(words).as_py():
            typed = _typed(pc.if_else(words, pa.scalar(None, pa.string()), column), first)
    return column if typed is None else typed


def _first(column: Any) -> str | None:
    """The first cell that is neither missing nor a word for it."""
    for start in range(0, len(column), HEAD):
        for cell in column.slice(start, HEAD).to_pylist():
            if cell is not None and cell not in NULL_WORDS:
                return str(cell)
    return None


def _typed(column: Any, first: str) -> Any:
    """The column as numbers, booleans or times, as its first cell suggests; None if another cell is none."""
    if NUMBER.fullmatch(first):
        return _numbers(column)
    if TIME.fullmatch(first):
        return _times(column)
    return _booleans(column) if first.lower() in ("true", "false") else None


# --------------------------------------------------------------------------- numbers


def _numbers(column: Any) -> Any:
    chunks = [chunk.drop_null() for chunk in column.chunks]
    kinds = [_kinds(chunk) for chunk in chunks]
    found = int(np.bitwise_or.reduce([0, *kinds]))
    if found & OTHER or not all(_well_written(chunk) for chunk in chunks if len(chunk)):
        return None
    if found & EXPONENT and not all(map(_exponents_well_written, chunks)):
        return None
    if not found & (POINT | EXPONENT) and not any(map(_has_minus_zero, chunks)):
        return _cast(column, pa.int64())  # None for a number of more digits, which then is an id
    numbers = _cast(column, pa.float64())
    return numbers if numbers is not None and _exact(column, numbers) else None


def _cast(column: Any, kind: pa.DataType) -> Any:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return None


def _bytes(chunk: Any) -> tuple[Any, Any]:
    """All cells' bytes in a row, and where each begins; the last entry is the end."""
    _, offsets, data = chunk.buffers()
    begin = np.frombuffer(offsets, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    return np.frombuffer(data if data is not None else b"", dtype=np.uint8), begin


def _kinds(chunk: Any) -> int:
    if not len(chunk):
        return 0
    text, begin = _bytes(chunk)
    return int(np.bitwise_or.reduce(KINDS[text[begin[0] : begin[-1]]], initial=0))


def _well_written(chunk: Any) -> bool:
    """Whether no cell is empty, has a needless zero in front (007), or begins or ends with anything but a digit."""
    text, begin = _bytes(chunk)
    start, end = begin[:-1].astype(np.int64), begin[1:]
    if (start == end).any():
        return False
    start += text[start] == ord("-")
    if (start == end).any():
        return False
    leading, last = text[start], text[end - 1]
    after = text[np.minimum(start + 1, end - 1)]
    needless = (leading == ord("0")) & (end - start > 1) & (KINDS[after] == DIGIT)
    return bool((KINDS[leading] == DIGIT).all() and (KINDS[last] == DIGIT).all() and not needless.any())


def _has_minus_zero(chunk: Any) -> bool:
    return bool(pc.any(pc.equal(chunk, "-0")).as_py())


def _exponents_well_written(chunk: Any) -> bool:
    return bool(pc.all(pc.match_substring_regex(chunk, f"^({NUMBER.pattern})$"), min_count=0).as_py())


def _exact(column: Any, numbers: Any) -> bool:
    """Whether each number, written back, is the text again; only those are tried that might not be."""
    if not pc.all(pc.is_finite(numbers), min_count=0).as_py():
        return False
    long = pc.greater(pc.binary_length(column), SAFE_LENGTH)
    tiny = pc.less(pc.abs(numbers), 1e-290)  # where digits run out, and where they are gone
    tried = pc.fill_null(pc.or_(long, tiny), False)
    if not pc.any(tried).as_py():
        return True
    texts, values = column.filter(tried), numbers.filter(tried)
    doubtful = pc.not_equal(values.cast(pa.string()), texts)
    return all(map(_same_number, texts.filter(doubtful).to_pylist(), values.filter(doubtful).to_pylist()))


def _same_number(text: str, number: float) -> bool:
    if text.lstrip("-").isdigit() and len(text) > SAFE_LENGTH:
        return False  # an id
    return Decimal(text) == Decimal(repr(number))


# --------------------------------------------------------------------------- booleans and times


def _booleans(column: Any) -> Any:
    spellings = set(pc.unique(column).to_pylist()) - {None}
    if not (spellings <= {"true", "false"} or spellings <= {"True", "False"}):
        return None
    return _cast(column, pa.bool_())


def _times(column: Any) -> Any:
    """Times in one zone or in none: UTC if every one says Z or +00:00; another offset stays text, which keeps it."""
    zoned = pc.or_(pc.ends_with(column, "Z"), pc.ends_with(column, "+00:00"))
    zone = "UTC" if pc.any(zoned).as_py() else None
    if zone is not None and not pc.all(zoned).as_py():
        return None
    for unit in ("ns", "us"):
        times = _cast(column, pa.timestamp(unit, zone))
        if times is not None:
            return times
    return None


def apply_dtypes(table: pa.Table, dtypes: Mapping[str, str], name: str) -> tuple[pa.Table, FrameSchema]:
    """Infer, but with the dtypes given for some columns.

    Raises
    ------
    OptionError
        For a column that is not there or a dtype that pandas does not know.
    FormatError
        For the first cell that is not of the dtype, with its line.
    """
    for column in dtypes:
        if column not in table.column_names:
            raise OptionError(f"dtype= names {column!r}.", cure=known_names(column, table.column_names), resource=name)
    others = [column for column in table.column_names if column not in dtypes]
    typed, schema = infer(table.select(others))
    parts = {field.name: (typed.column(field.name), field) for field in schema.fields}
    for column, dtype in dtypes.items():
        parts[column] = _as_dtype(table.column(column), column, dtype, name)
    columns = [parts[column][0] for column in table.column_names]
    fields: Sequence[Field] = [parts[column][1] for column in table.column_names]
    return pa.table(columns, names=table.column_names), FrameSchema(tuple(fields), schema.index, schema.columns)


def _as_dtype(cells: Any, column: str, dtype: str, name: str) -> tuple[Any, Field]:
    """The cells as that dtype: values and their Field; FormatError names the first cell that is none."""
    try:
        wanted = pd.api.types.pandas_dtype(dtype)
    except TypeError as error:
        raise OptionError(f"dtype={dtype!r} of {column!r} is not a pandas dtype.", resource=name) from error
    if wanted.kind == "O" or isinstance(wanted, (pd.StringDtype, pd.CategoricalDtype)) or dtype == "str":
        table, schema = encode(_texts(cells, column, object if dtype == "str" else wanted))
        return table.column(0), schema.fields[0]
    empty = encode(pd.DataFrame({column: pd.Series([], dtype=wanted)}))[1].fields[0]
    try:
        values = _read_as(cells, empty)
    except pa.ArrowInvalid:
        place = next(place for place, cell in enumerate(cells) if not _reads_as(cell, empty))
        raise _unfit(name, column, dtype, place, cells[place].as_py()) from None
    if values.null_count and not empty.nullable:
        place = values.is_null().index(True).as_py()
        raise _unfit(name, column, dtype, place, None)
    return values, empty


def _texts(cells: Any, column: str, dtype: Any) -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(cells.to_pandas(), dtype=object).astype(dtype)})


def _reads_as(cell: Any, field: Field) -> bool:
    try:
        _read_as(pa.chunked_array([pa.array([cell.as_py()], type=pa.string())]), field)
    except pa.ArrowInvalid:
        return False
    return True


def _read_as(cells: Any, field: Field) -> Any:
    """Each text as the field has it, strictly: no blanks, no underscores, times as ISO spells them."""
    if field.kind == "boolean":
        return pc.utf8_lower(cells).cast(pa.bool_())
    if field.kind == "integer" and not pc.all(pc.match_substring_regex(cells, "^-?[0-9]+$"), min_count=0).as_py():
        raise pa.ArrowInvalid("not digits")
    if field.kind == "instant":
        return cells.cast(pa.timestamp(field.arrow_type.unit, field.zone)).cast(field.arrow_type)
    return cells.cast(field.arrow_type)


def _unfit(name: str, column: str, dtype: str, place: int, text: str | None) -> FormatError:
    shown = "an empty cell" if text is None else repr(text)
    return FormatError(
        f"{name}, row {place + 1}: {shown} in column {column!r} is not {dtype}.",
        cure="Mend the cell, name a dtype that holds it, or leave the column out of dtype=.",
        resource=name,
    )
