"""One Python object as JSON and back, its exact type with it: what a column of mixed objects and a label are kept as.

Text, whole numbers, fractions, booleans, lists and dictionaries with text keys are JSON's own; whatever else is an
object with one key that says what it is: `{"$decimal": "1.10"}`.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.schema.zones import name_of, pandas_name, zone_of

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

NAN = np.nan
DEEPEST = 40


class Unheld(ValueError):
    """An object that has no exact form; its text says why."""


def dumps(cell: Any) -> str:
    """The object as JSON text, in ASCII; Unheld for one that could not be given back."""
    try:
        return json.dumps(told(cell))
    except ValueError as error:  # a whole number of more digits than Python prints
        raise Unheld(str(error)) from error


def loads(text: str) -> Any:
    """The object of that text."""
    return meant(json.loads(text))


@cache
def _kinds_of_missing() -> dict[str, Any]:
    return {"None": None, "nan": NAN, "NaT": pd.NaT, "NA": pd.NA}


def missing_of(name: str) -> Any:
    """What stands for a missing value, by its name: None, nan, NaT, NA."""
    return _kinds_of_missing()[name]


def is_missing(cell: Any) -> bool:
    """Whether it is None, a Python nan, NaT or NA: what a null stands for."""
    return cell is None or cell is pd.NaT or cell is pd.NA or (type(cell) is float and cell != cell)


def missing_name(cell: Any) -> str | None:
    """Which kind of missing it is; None for a value."""
    if not is_missing(cell):
        return None
    return "None" if cell is None else "NaT" if cell is pd.NaT else "NA" if cell is pd.NA else "nan"


def told(cell: Any, depth: int = 0) -> Any:
    """What JSON can say of an object."""
    kind = type(cell)
    if kind in (str, int, bool) or cell is None:
        return cell
    if depth > DEEPEST:
        raise Unheld(f"it lies more than {DEEPEST} levels deep")
    if kind is list:
        return [told(one, depth + 1) for one in cell]
    if kind is dict:
        return _told_dict(cell, depth)
    if kind is tuple:
        return {"$tuple": [told(one, depth + 1) for one in cell]}
    if kind is pd.Interval:
        return {"$interval": [told(cell.left, depth + 1), told(cell.right, depth + 1), cell.closed]}
    if isinstance(cell, np.generic):
        return {"$numpy": _told_numpy(cell)}
    if cell is pd.NaT or cell is pd.NA:
        return {"$missing": missing_name(cell)}
    if kind is float and math.isfinite(cell):
        return cell
    if kind not in _ways():
        raise Unheld(f"an object of {kind.__name__} is not held")
    name, way = _ways()[kind]
    return {f"${name}": way(cell)}


def _told_dict(cell: dict[Any, Any], depth: int) -> Any:
    if all(type(key) is str and not key.startswith("$") for key in cell):
        return {key: told(value, depth + 1) for key, value in cell.items()}
    return {"$dict": [[told(key, depth + 1), told(value, depth + 1)] for key, value in cell.items()]}


def meant(data: Any) -> Any:
    """The object that JSON's own `data` stands for."""
    if type(data) is list:
        return [meant(one) for one in data]
    if type(data) is not dict:
        return data
    key = next(iter(data), "")
    if not key.startswith("$"):
        return {key: meant(value) for key, value in data.items()}
    if len(data) != 1 or key not in BACK:
        raise ValueError(f"{key!r} says no kind of object that this Millpond knows")
    return BACK[key](data[key])


# --------------------------------------------------------------------------- each kind


def _told_numpy(cell: Any) -> list[Any]:
    kind = cell.dtype
    if kind.kind in "biuU":
        return [kind.str if kind.kind != "U" else "U", cell.item()]
    if kind.kind in "mM":
        return [kind.str, int(cell.view("i8"))]
    if kind.kind == "f" and kind.itemsize <= 8:
        return [kind.str, repr(float(cell))]
    if kind.kind == "c" and kind.itemsize <= 16:
        return [kind.str, *_told_complex(complex(cell))]
    raise Unheld(f"an object of numpy's {kind} is not held")


def _numpy(data: list[Any]) -> Any:
    name, first = data[0], data[1]
    if name == "U":
        return np.str_(first)
    kind = np.dtype(name)
    if kind.kind in "mM":
        return np.int64(first).view(kind)
    if kind.kind not in "biufc":
        raise ValueError(f"{name!r} is none of numpy's numbers")
    return kind.type(complex(float(first), float(data[2])) if kind.kind == "c" else first)


def _told_complex(cell: complex) -> list[str]:
    return [repr(cell.real), repr(cell.imag)]


def _told_zone(zone: Any, naming: Callable[[Any], str | None] = name_of) -> str | None:
    if zone is None:
        return None
    name = naming(zone)
    if name is None:
        raise Unheld(f"the time zone {str(zone)[:60]} has no name by which it can be found again")
    return name


def _told_datetime(cell: dt.datetime) -> list[Any]:
    zone = _told_zone(cell.tzinfo)
    bare = cell.replace(tzinfo=None, fold=0).isoformat()
    if zone is None or not zone.startswith("pytz/"):
        return [bare, zone, cell.fold]
    offset: Any = cell.utcoffset()
    made = [bare, zone, cell.fold, int(offset.total_seconds())]  # pytz has an object for each offset of a zone
    if _datetime(made).isoformat() != cell.isoformat():
        raise Unheld(f"{cell!r} is a time that its zone does not have")
    return made


def _datetime(data: list[Any]) -> dt.datetime:
    bare = dt.datetime.fromisoformat(data[0])
    if data[1] is None:
        return bare.replace(fold=data[2])
    zone = zone_of(data[1])
    if len(data) == 4:
        return zone.fromutc(bare - dt.timedelta(seconds=data[3])).replace(fold=data[2])  # type: ignore[no-any-return]
    return bare.replace(tzinfo=zone, fold=data[2])


def _told_time(cell: dt.time) -> list[Any]:
    return [cell.replace(tzinfo=None, fold=0).isoformat(), _told_zone(cell.tzinfo), cell.fold]


def _time(data: list[Any]) -> dt.time:
    zone = None if data[1] is None else zone_of(data[1])
    return dt.time.fromisoformat(data[0]).replace(tzinfo=zone, fold=data[2])


def _told_stamp(cell: Any) -> list[Any]:
    made = [int(cell.asm8.view("i8")), cell.unit, _told_zone(cell.tzinfo, pandas_name)]
    if cell.fold and _stamp(made).fold != cell.fold:
        raise Unheld(f"{cell!r} has a fold without a zone")
    return made


def _stamp(data: list[Any]) -> Any:
    stamp: Any = pd.Timestamp(np.datetime64(data[0], data[1]))
    return stamp if data[2] is None else stamp.tz_localize("UTC").tz_convert(zone_of(data[2]))


@cache
def _ways() -> dict[type, tuple[str, Callable[[Any], Any]]]:
    """Of each type of object its name and how it is told."""
    return {
        float: ("float", repr),
        bytes: ("bytes", lambda cell: base64.b64encode(cell).decode()),
        complex: ("complex", _told_complex),
        Decimal: ("decimal", str),
        dt.date: ("date", dt.date.isoformat),
        dt.datetime: ("datetime", _told_datetime),
        dt.time: ("time", _told_time),
        dt.timedelta: ("timedelta", lambda cell: [cell.days, cell.seconds, cell.microseconds]),
        uuid.UUID: ("uuid", str),
        pd.Timestamp: ("Timestamp", _told_stamp),
        pd.Timedelta: ("Timedelta", lambda cell: [int(cell.asm8.view("i8")), cell.unit]),
        pd.Period: ("Period", lambda cell: [cell.ordinal, cell.freqstr]),
    }


BACK: dict[str, Callable[[Any], Any]] = {
    "$tuple": lambda data: tuple(meant(one) for one in data),
    "$dict": lambda data: {meant(key): meant(value) for key, value in data},
    "$interval": lambda data: pd.Interval(meant(data[0]), meant(data[1]), data[2]),
    "$numpy": _numpy,
    "$missing": lambda name: missing_of(name),
    "$float": lambda data: NAN if data == "nan" else float(data),
    "$bytes": lambda data: base64.b64decode(data, validate=True),
    "$complex": lambda data: complex(float(data[0]), float(data[1])),
    "$decimal": Decimal,
    "$date": dt.date.fromisoformat,
    "$datetime": _datetime,
    "$time": _time,
    "$timedelta": lambda data: dt.timedelta(*data),
    "$uuid": uuid.UUID,
    "$Timestamp": _stamp,
    "$Timedelta": lambda data: pd.Timedelta(np.timedelta64(data[0], data[1])),
    "$Period": lambda data: pd.Period(ordinal=data[0], freq=data[1]),
}
