"""Frames of plain columns, which ArcticDB gives just as they were: without the way through Arrow and back."""

from __future__ import annotations

import pandas as pd

from framework.schema import Field, FrameSchema, Selection

from .asking import how_to_read
from .columns import INDEX, Held
from .records import Record
from .symbols import At, Symbol


def plain_frame(symbol: Symbol, at: At, record: Record, selection: Selection) -> pd.DataFrame | None:
    """The frame that is asked for; None when it takes more than ArcticDB's own columns to make it."""
    schema = selection.of(record.schema, symbol.name)
    if not (record.rows and record.held and all(type(field.label) is str for field in schema.values)):
        return None
    tests = selection.tests(record.schema, symbol.name)
    if any(test.field.level is None or test.op not in ("<=", ">=") for test in tests):
        return None
    asked, held = how_to_read(record, schema, tests)
    if not all(map(_is_plain, schema.fields, held)) or (tests and held[0].name != INDEX):
        return None
    if record.schema.columns != {"kind": "index", "dtype": "object", "names": [None]}:
        return None
    given = symbol.read(at, output_format="PANDAS", **{**asked, "query_builder": None})
    names = [mine.name for mine in held if mine.name != INDEX]
    if not set(names) <= set(given.columns):
        return None  # others wrote it, and carried our record along
    if not schema.levels and len(given) != record.rows:
        return None
    columns = {place: given[name] for place, name in enumerate(names)}
    frame = pd.DataFrame(columns, given.index, copy=False)  # anew, for ArcticDB's own is not equal to another
    frame.index = frame.index.rename(schema.levels[0].label) if schema.levels else _counted(schema)
    frame.columns = pd.Index([field.label for field in schema.values], dtype=object)
    return frame


def _is_plain(field: Field, mine: Held) -> bool:
    if mine.there is not None or field.categories is not None or field.zone is not None:
        return False
    if field.level is not None:
        return mine.name == INDEX and field.dtype == "datetime64[ns]"
    if mine.how == "text":
        return field.kind == "text" and field.dtype == "object" and all(kind == "None" for kind, _ in field.missing)
    if mine.how == "time":
        return field.dtype == "datetime64[ns]"
    return mine.how in ("same", "gaps") and field.dtype in NUMBERS


NUMBERS = ("float32", "float64", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


def _counted(schema: FrameSchema) -> pd.RangeIndex:
    from framework.schema.labels import label_from_json

    spec = schema.index
    return pd.RangeIndex(spec["start"], spec["stop"], spec["step"], name=label_from_json(spec["name"]))
