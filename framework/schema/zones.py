"""Time zones by name: what pandas finds again by itself, and what says whose object it was.

A plain name is pandas' own (`Europe/Paris`, `UTC+05:30`). Where the object was another library's than the one that
pandas would take, the library stands before it: `zoneinfo/Europe/Paris`, `pytz/...`, `dateutil/...`; `offset/5400`
and `pytz/offset/90` are fixed distances from UTC, in seconds and minutes.
"""

from __future__ import annotations

import datetime as dt
import importlib
import zoneinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd


LIBRARIES = ("zoneinfo/", "pytz/", "dateutil/", "offset/")


def zone_is_known(zone: str) -> bool:
    """Whether pandas finds a time zone of that name."""
    try:
        pd.DatetimeTZDtype("ns", zone)
    except (TypeError, KeyError, ValueError):
        return False
    return True


def pandas_name(zone: Any) -> str | None:
    """The name by which a zone of pandas' times is found again; None when there is none."""
    for name in (str(zone), name_of(zone)):
        try:
            if name is not None and pd.DatetimeTZDtype("ns", zone_of(name)) == pd.DatetimeTZDtype("ns", zone):
                return name
        except (TypeError, KeyError, ValueError):
            continue
    return None


def name_of(zone: Any) -> str | None:
    """The name of a tzinfo object, its library before it; None for one of an unknown kind."""
    if zone is dt.UTC:
        return "UTC"
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        plain = zone == dt.timezone(offset) and str(zone) == str(dt.timezone(offset)) and not offset.microseconds
        return f"offset/{offset // dt.timedelta(seconds=1)}" if plain else None
    if isinstance(zone, zoneinfo.ZoneInfo):
        return f"zoneinfo/{zone.key}" if zone.key else None
    library = type(zone).__module__.split(".")[0]
    return _of_pytz(zone) if library == "pytz" else _of_dateutil(zone) if library == "dateutil" else None


def _of_pytz(zone: Any) -> str | None:
    if getattr(zone, "zone", None):
        return f"pytz/{zone.zone}"
    minutes = getattr(zone, "_minutes", None)
    return None if minutes is None else f"pytz/offset/{minutes}"


def _of_dateutil(zone: Any) -> str | None:
    tz = importlib.import_module("dateutil.tz")

    if isinstance(zone, tz.tzutc):
        return "dateutil/UTC"
    file = getattr(zone, "_filename", None)
    if not isinstance(file, str):
        return None
    name = file.split("zoneinfo/", 1)[-1]
    return f"dateutil/{name}" if tz.gettz(name) == zone else None


def zone_of(name: str) -> Any:
    """The tzinfo object of a name, or the name itself where pandas finds it; ValueError for one that is not there."""
    library = next((prefix for prefix in LIBRARIES if name.startswith(prefix)), None)
    if library is None:
        return dt.UTC if name == "UTC" else name
    key = name.removeprefix(library)
    try:
        if library == "offset/":
            return dt.timezone(dt.timedelta(seconds=int(key)))
        found = zoneinfo.ZoneInfo(key) if library == "zoneinfo/" else FINDERS[library](key)
    except (LookupError, OSError) as error:
        raise ValueError(f"this machine knows no time zone {name!r}") from error
    if found is None:
        raise ValueError(f"this machine knows no time zone {name!r}")
    return found


def shown(name: str) -> str:
    """The zone's name without the library that it came from, as it is the same wherever it is read."""
    if "offset/" not in name:
        return name.split("/", 1)[1] if name.startswith(LIBRARIES) else name
    count = int(name.rsplit("/", 1)[1]) * (60 if name.startswith("pytz/") else 1)
    return str(dt.timezone(dt.timedelta(seconds=count)))


def _in_pytz(key: str) -> Any:
    try:
        pytz = importlib.import_module("pytz")
    except ImportError:  # it came with another pandas; the zone is the same
        return zone_of(f"offset/{int(key[7:]) * 60}") if key.startswith("offset/") else zoneinfo.ZoneInfo(key)
    return pytz.FixedOffset(int(key[7:])) if key.startswith("offset/") else pytz.timezone(key)


def _in_dateutil(key: str) -> Any:
    tz = importlib.import_module("dateutil.tz")

    return tz.UTC if key == "UTC" else tz.gettz(key)


FINDERS = {"pytz/": _in_pytz, "dateutil/": _in_dateutil}
