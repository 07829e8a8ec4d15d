"""Symbols that others wrote: read as their own library shows them, as far as that is a table."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pandas as pd
import pyarrow as pa

from framework.errors import FormatError, OptionError
from framework.schema import FrameSchema, Selection, encode, natural

from .asking import span
from .columns import INDEX, Held
from .symbols import At, Symbol


def read_foreign(symbol: Symbol, at: At, selection: Selection) -> tuple[pa.Table, FrameSchema]:
    """What is asked for, by the schema that loses nothing."""
    head = _head(symbol, at)
    if _by_pandas(head):
        table, schema = encode(_frame(symbol, at, **_narrowed(symbol, at, selection)))
    else:
        table = symbol.read(at)
        schema = natural(table, symbol.name)
    part = selection.of(schema, symbol.name)
    return table.select(part.names), part


def schema_of_foreign(symbol: Symbol, at: At) -> tuple[FrameSchema, int]:
    """Its columns, as far as the first row tells, and its number of rows."""
    head = _head(symbol, at)
    rows = symbol.library.get_description(symbol.key, as_of=at.number).row_count
    schema = _schema(symbol, at) if _by_pandas(head) else natural(head, symbol.name)
    return schema, rows


def foreign_frame(symbol: Symbol, at: At) -> tuple[Any, Any]:
    """All of it as ArcticDB takes it, with its metadata, to be written under another name."""
    if not _by_pandas(_head(symbol, at)):
        raise FormatError(
            f"{symbol.name!r} was written from Arrow, and is not renamed.", cure="Save it under the new name."
        )
    return symbol.read(at, output_format="PANDAS"), at.metadata


def _head(symbol: Symbol, at: At) -> pa.Table:
    if symbol.library._nvs.is_symbol_pickled(symbol.key, at.number):
        raise FormatError(
            f"{symbol.name!r} holds pickled Python objects, which are not read: they could run any code.",
            cure="Write it as a DataFrame of plain columns.",
            resource=symbol.name,
        )
    head = symbol.read(at, row_range=(0, 1))
    if not isinstance(head, pa.Table):
        raise FormatError(f"{symbol.name!r} holds {type(head).__name__}, which is no table.", resource=symbol.name)
    return head


def _by_pandas(head: pa.Table) -> bool:
    return b"pandas" in (head.schema.metadata or {})


def _frame(symbol: Symbol, at: At, **asked: Any) -> pd.DataFrame:
    data = symbol.read(at, output_format="PANDAS", **asked)
    return data.to_frame() if isinstance(data, pd.Series) else data


def _schema(symbol: Symbol, at: At) -> FrameSchema:
    return encode(_frame(symbol, at, row_range=(0, 1)), lossy=True)[1]


def _narrowed(symbol: Symbol, at: At, selection: Selection) -> dict[str, Any]:
    """The columns and the span of time that ArcticDB itself can pick."""
    if not selection.conditions and selection.columns is None:
        return {}
    schema, asked = _schema(symbol, at), {}
    labels, known = selection.labels, [field.label for field in schema.values]
    if labels is not None and all(type(label) is str for label in known):
        asked["columns"] = [label for label in known if label in labels] or known[:1]
    if symbol.library.get_description(symbol.key, as_of=at.number).sorted == "ASCENDING" and len(schema.levels) == 1:
        index = {field.name: Held(INDEX if field.level is not None else field.name, "time") for field in schema.fields}
        with suppress(OptionError):  # the first row alone does not tell the kinds of all columns
            asked["date_range"] = span(selection.tests(schema, symbol.name), index)
    return asked
