"""ArcticDB on LMDB: our store beside the raw library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data import frame_of
from rows import OURS, Call, Case, Place, Row, within

COLUMNS = ["close", "volume"]
CALLS = 3  # of writes, after two that are not timed


def _frame(place: Place) -> Any:
    return frame_of(place.folder, "prices").set_index("timestamp")


def _tenth(frame: Any) -> tuple[Any, Any]:
    """Two times with a tenth of the rows between them."""
    middle = len(frame) // 2
    return frame.index[middle], frame.index[middle + len(frame) // 10]


def _library(place: Place, frame: Any) -> Any:
    from arcticdb import Arctic

    made = Arctic(f"lmdb://{place.scratch('arctic')}?map_size=8GB").get_library("raw", create_if_missing=True)
    made.write("few", frame.head(10))
    made.read("few")
    return made


def _write_ours(place: Place) -> Call:
    """One version is kept, as of the library's: of several, each takes new pages of the file."""
    from cases.ours import store

    frame, made = _frame(place), store("arctic", place, versions=1)
    made.save_data(frame.head(10), "few")

    def call() -> int:
        made.save_data(frame, "written")
        return len(frame)

    return call


def _write_raw(place: Place) -> Call:
    frame = _frame(place)
    library = _library(place, frame)

    def call() -> int:
        library.write("written", frame, prune_previous_versions=True)
        return len(frame)

    return call


def _read_ours(call: Callable[[Any, Any], Any]) -> Callable[[Place], Call]:
    def prepare(place: Place) -> Call:
        from cases.ours import store

        frame, made = _frame(place), store("arctic", place)
        made.save_data(frame.head(10), "few")
        made.get_data("few")
        if not made.exists("read"):
            made.save_data(frame, "read")
        between = _tenth(frame)
        del frame
        return lambda: len(call(made, between))

    return prepare


def _read_raw(call: Callable[[Any, Any], Any]) -> Callable[[Place], Call]:
    def prepare(place: Place) -> Call:
        frame = _frame(place)
        library = _library(place, frame)
        if not library.has_symbol("read"):
            library.write("read", frame)
        between = _tenth(frame)
        del frame
        return lambda: len(call(library, between).data)

    return prepare


def _between(rows: int) -> int:
    """How many rows a tenth of the time has: whole minutes, both ends included."""
    import numpy as np
    from data import SYMBOLS

    minutes = np.repeat(np.arange(rows // SYMBOLS), SYMBOLS)
    start, end = minutes[len(minutes) // 2], minutes[len(minutes) // 2 + len(minutes) // 10]
    return int(((minutes >= start) & (minutes <= end)).sum())


def _part_ours(made: Any, between: tuple[Any, Any]) -> Any:
    return made.get_data("read", columns=COLUMNS, start=between[0], end=between[1])


def _part_raw(library: Any, between: tuple[Any, Any]) -> Any:
    return library.read("read", columns=COLUMNS, date_range=between)


ROWS = (
    Row(
        "arctic_write",
        "frame -> arctic, prices",
        (Case(OURS, OURS, _write_ours, calls=CALLS), Case("arcticdb", "arcticdb", _write_raw, calls=CALLS)),
        (within(1.25, "arcticdb"),),
        rounds=7,
    ),
    Row(
        "arctic_read",
        "arctic -> frame, prices",
        (
            Case(OURS, OURS, _read_ours(lambda made, _: made.get_data("read"))),
            Case("arcticdb", "arcticdb", _read_raw(lambda library, _: library.read("read"))),
        ),
        (within(1.1, "arcticdb"),),
        rounds=7,
    ),
    Row(
        "arctic_range",
        "arctic, a tenth of the time, 2 columns",
        (
            Case(OURS, OURS, _read_ours(_part_ours), calls=50),
            Case("arcticdb", "arcticdb", _read_raw(_part_raw), calls=50),
        ),
        (within(1.3, "arcticdb"),),
        size=_between,
    ),
)
