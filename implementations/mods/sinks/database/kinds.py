"""Kinds of columns: which type a database has for each, and what of it fits into a column that is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from framework.errors import SchemaError
from framework.schema import Field

LONGEST_KEY = 255  # characters of a key's text, where a database wants to know
NO_ZONES = ("sqlite", "mysql", "mariadb")
NO_CASE = (*NO_ZONES, "mssql")
WIDTHS: dict[str, Any] = {
    **dict.fromkeys(("int8", "int16", "uint8"), sa.SmallInteger),
    **dict.fromkeys(("int32", "uint16"), sa.Integer),
    **dict.fromkeys(("halffloat", "float"), sa.REAL),
}
# Into which families of types the values of a kind go without becoming others.
TAKES = {
    "integer": ("integer", "decimal", "float", "text"),
    "float": ("float", "decimal", "integer"),
    "boolean": ("boolean",),
    "text": ("text", "uuid", "other"),
    "bytes": ("bytes",),
    "date": ("date", "time", "text"),
    "time": ("time", "text"),
    "instant": ("instant", "text"),
    "duration": ("duration",),
    "decimal": ("decimal", "text"),
    "clock": ("clock", "text"),
    "uuid": ("uuid", "text"),
}


def check_fields(fields: list[Field], what: str, *, longest: int) -> None:
    """SchemaError for a kind that no database has a type for, a name that it would cut, or no column at all."""
    if not fields:
        raise SchemaError(f"The rows for {what} have no column.", cure="Give them one.", resource=what)
    for field in fields:
        if len(field.name.encode()) > longest:
            raise SchemaError(
                f"The column's name {field.name[:40]!r}... has more than the {longest} bytes that the database keeps.",
                cure="Rename it before.",
                resource=what,
            )
        if field.kind not in TAKES:
            raise SchemaError(
                f"Column {field.name!r} holds {field.shown}, for which a database has no type; {what} is as it was.",
                cure="Leave it out, or make text of it before.",
                resource=what,
            )


def check_case(names: list[str], dialect: str, what: str) -> None:
    """SchemaError for two columns that only case tells apart, where the database does not look at it."""
    by_case: dict[str, str] = {}
    for name in names if dialect in NO_CASE else ():
        other = by_case.setdefault(name.casefold(), name)
        if other != name:
            raise SchemaError(
                f"The columns {other!r} and {name!r} are one name in {what}; it is as it was.",
                cure="Rename one before.",
                resource=what,
            )


def declared(field: Field, dialect: str, *, key: bool) -> Any:
    """The type of a new column."""
    if field.kind == "text":
        return sa.Text() if dialect in ("postgresql", "sqlite") or not key else sa.String(LONGEST_KEY)
    if field.kind == "integer":
        return sa.Numeric(20, 0) if field.type == "uint64" else WIDTHS.get(field.type, sa.BigInteger)()
    if field.kind == "float":
        return WIDTHS.get(field.type, sa.Double)()
    if field.kind == "decimal":
        return {"postgresql": sa.Numeric(), "sqlite": sa.Text()}.get(dialect, sa.Numeric(38, 10))
    if field.kind == "duration":
        return sa.Interval() if dialect == "postgresql" else sa.BigInteger()
    if field.kind == "uuid":
        return sa.Uuid() if dialect == "postgresql" else sa.String(36)
    if field.kind in ("time", "instant"):
        return _stamp(dialect, zoned=field.kind == "instant")
    plain = {"boolean": sa.Boolean, "bytes": sa.LargeBinary, "date": sa.Date, "clock": sa.Time}
    return plain[field.kind]()


def _stamp(dialect: str, *, zoned: bool) -> Any:
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects.mysql import DATETIME

        return DATETIME(fsp=6)
    return sa.DateTime(timezone=zoned)


def family(kind: Any) -> str:
    """What a database's type is for, in the words of kinds; of a domain, what the type below it is for."""
    kind = getattr(kind, "data_type", kind)
    bit = kind.__class__.__name__ == "BIT" or getattr(kind, "display_width", None) == 1  # of MSSQL, of MySQL
    if bit or isinstance(kind, sa.Boolean):
        return "boolean"
    if isinstance(kind, sa.DateTime):
        return "instant" if getattr(kind, "timezone", False) else "time"
    if "INTERVAL" in kind.__class__.__name__.upper():
        return "duration"
    known = (
        (sa.Integer, "integer"),
        (sa.Float, "float"),
        (sa.Numeric, "decimal"),
        (sa.Date, "date"),
        (sa.Time, "clock"),
        (sa.Uuid, "uuid"),
        (sa.LargeBinary, "bytes"),
        (sa.String, "text"),
    )
    return next((name for each, name in known if isinstance(kind, each)), "other")


def fits(field: Field, into: str, dialect: str) -> bool:
    """Whether values of that kind go into a type of that family."""
    if dialect != "postgresql" and (field.kind, into) == ("duration", "integer"):
        return True
    if dialect == "sqlite" and (field.kind, into) == ("boolean", "integer"):  # which is how it holds them
        return True
    if dialect in NO_ZONES and (field.kind, into) == ("instant", "time"):
        return True
    return into in TAKES[field.kind]


def fitted(column: Any, field: Field, into: str, dialect: str, what: str) -> Any:
    """The values for a column of that family; SchemaError for what it cannot hold as it is."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):  # whose missing cells may be NaN
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if column.null_count == len(column):
        return pa.nulls(len(column), _plain(into))
    if not fits(field, into, dialect):
        raise _unfit(field, f"{field.kind} where {what} has a column for {_word(into)}", what)
    try:
        return _made(field.kind, into)(column)
    except pa.ArrowInvalid as error:
        raise _unfit(field, f"values that the column of {what} cannot hold exactly: {error}", what) from error


def _unfit(field: Field, why: str, what: str) -> SchemaError:
    return SchemaError(
        f"Column {field.name!r} brings {why}; nothing was changed.",
        cure="Change its type before, as data_cleaner's types does, or the column in the database.",
        resource=what,
    )


def _word(into: str) -> str:
    return {"time": "times", "instant": "times with a zone", "other": "something else"}.get(into, into)


def _plain(into: str) -> pa.DataType:
    return PLAIN.get(into, pa.string())


PLAIN = {
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
    "instant": pa.timestamp("us", "UTC"),
    "duration": pa.duration("us"),
}


def _made(kind: str, into: str) -> Callable[[Any], Any]:
    """What makes values of a kind such as the family holds."""
    if kind == "duration" and into == "integer":
        return lambda column: column.cast(pa.duration("us")).cast(pa.int64())
    if kind == "instant" and into == "time":
        return lambda column: column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    if kind == "integer" and into == "integer":  # unsigned ones of 64 bits may be more than it holds
        return lambda column: column.cast(pa.int64())
    return lambda column: column.cast(_plain(into))
