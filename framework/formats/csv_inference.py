"""What a column of text from someone else's CSV is, losing nothing.

A column becomes a number, boolean or time only if every value, written back, gives the same text again, up to trailing
zeros of a fraction, an exponent with a point or a sign (`2.5e-3`), and ISO spellings of a time. So `007`, `+1`, `1E5`,
`0x1F`, `TRUE`, ` 1` and 20-digit ids stay text; `NA`, `NaN` and `null` are missing only in a column that is otherwise
numeric or temporal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FormatError, OptionError, known_names
from framework.schema import Field, FrameSchema, encode, natural

NULL_WORDS = pa.array(["NA", "NaN", "null"])
NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?$"
TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|\+00:00)?)?$"
SAFE_LENGTH = 16  # a sign, a point and 15 digits other than an exponent's: every such text is one double and back


def infer(table: pa.Table) -> tuple[pa.Table, FrameSchema]:
    """The table of text with each column as what it is."""
    columns = [_infer_column(table.column(name)) for name in table.column_names]
    typed = pa.table(columns, names=table.column_names)
    return typed, natural(typed, "")


def _infer_column(column: Any) -> Any:
    values = column.drop_null()
    if not len(values):
        return column
    words = pc.is_in(values, value_set=NULL_WORDS)
    if pc.any(words).as_py():
        values = values.filter(pc.invert(words))
        if not len(values):
            return column
    for reading in (_integers, _floats, _booleans, _times):
        kind = reading(values)
        if kind is not None:
            return _convert(column, kind, len(values) + column.null_count < len(column))
    return column


def _convert(column: Any, kind: pa.DataType, worded: bool) -> Any:
    if worded:
        if pa.types.is_boolean(kind):
            return column
        column = pc.if_else(pc.is_in(column, value_set=NULL_WORDS), pa.scalar(None, pa.string()), column)
    return column.cast(kind)


def _integers(values: Any) -> pa.DataType | None:
    if not _looks(values, NUMBER):
        return None
    try:
        numbers = values.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    return pa.int64() if pc.all(pc.equal(numbers.cast(pa.string()), values)).as_py() else None


def _floats(values: Any) -> pa.DataType | None:
    if not _looks(values, NUMBER) or not pc.all(pc.match_substring_regex(values, NUMBER)).as_py():
        return None
    numbers = values.cast(pa.float64())
    if not pc.all(pc.is_finite(numbers)).as_py():
        return None
    long = pc.greater(pc.binary_length(values), SAFE_LENGTH)
    tiny = pc.less(pc.abs(numbers), 1e-290)  # where digits run out, and where they are gone
    doubtful = pc.and_(pc.or_(long, tiny), pc.not_equal(numbers.cast(pa.string()), values))
    texts = values.filter(doubtful)
    same = all(map(_same_number, texts.to_pylist(), numbers.filter(doubtful).to_pylist()))
    return pa.float64() if same else None


def _same_number(text: str, number: float) -> bool:
    if text.lstrip("-").isdigit() and len(text) > SAFE_LENGTH:
        return False  # an id
    return Decimal(text) == Decimal(repr(number))


def _booleans(values: Any) -> pa.DataType | None:
    if values[0].as_py() not in ("true", "false", "True", "False"):
        return None
    spellings = set(pc.unique(values).to_pylist())
    return pa.bool_() if spellings <= {"true", "false"} or spellings <= {"True", "False"} else None


def _times(values: Any) -> pa.DataType | None:
    if not _looks(values, TIME) or not pc.all(pc.match_substring_regex(values, TIME)).as_py():
        return None
    zoned = pc.or_(pc.ends_with(values, "Z"), pc.ends_with(values, "+00:00"))
    zone = "UTC" if pc.all(zoned).as_py() else None
    if zone is None and pc.any(zoned).as_py():
        return None
    for unit in ("ns", "us"):
        kind = pa.timestamp(unit, zone)
        try:
            values.cast(kind)
        except pa.ArrowInvalid:
            continue
        return kind
    return None


def _looks(values: Any, pattern: str) -> bool:
    """Whether the first value does: what saves the work on a column of text."""
    return bool(pc.match_substring_regex(values.slice(0, 1), pattern)[0].as_py())


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
    texts = pd.Series(cells.to_pandas(), name=column, dtype=object)
    if dtype not in ("str", "object"):
        texts = _cast(texts, dtype, name)
    table, schema = encode(texts.to_frame())
    return table.column(0), schema.fields[0]


def _cast(texts: Any, dtype: str, name: str) -> Any:
    try:
        wanted = pd.api.types.pandas_dtype(dtype)
    except TypeError as error:
        raise OptionError(f"dtype={dtype!r} of {texts.name!r} is not a pandas dtype.", resource=name) from error
    try:
        return _cast_all(texts, wanted)
    except (ValueError, TypeError, OverflowError):
        for place, text in enumerate(texts):
            try:
                _cast_all(pd.Series([text], dtype=object), wanted)
            except (ValueError, TypeError, OverflowError):
                raise FormatError(
                    f"{name}, row {place + 1}: {text!r} in column {texts.name!r} is not {dtype}.",
                    cure="Mend the cell, or leave the column out of dtype=.",
                    resource=name,
                ) from None
        raise


def _cast_all(texts: Any, dtype: Any) -> Any:
    if pd.api.types.is_bool_dtype(dtype):
        known = {"true": True, "false": False, "1": True, "0": False}
        strange = [text for text in texts.dropna() if text.lower() not in known]
        if strange:
            raise ValueError(strange[0])
        return texts.map(lambda text: None if text is None else known[text.lower()]).astype(dtype)
    if pd.api.types.is_extension_array_dtype(dtype) and pd.api.types.is_numeric_dtype(dtype):
        return pd.to_numeric(texts.where(texts.notna(), None)).astype(dtype)
    return texts.astype(dtype)
