"""The fingerprint of a frame: made when it is first asked for, so its speed is that of reading the frame once."""

from __future__ import annotations

from collections.abc import Callable

from data import VALUES, frame_of, table_of
from rows import OURS, Call, Case, Goal, Place, Row

TEXTS = ["customer_id", "country", "segment", "channel"]


def _of(name: str, columns: list[str]) -> Callable[[Place], Call]:
    def prepare(place: Place) -> Call:
        from framework.schema import encode, fingerprint

        frame = frame_of(place.folder, name)[columns]
        fingerprint(*encode(frame.head(10)))
        table, schema = encode(frame)

        def call() -> int:
            fingerprint(table, schema)
            return len(frame)

        return call

    return prepare


def _bytes(name: str, columns: list[str]) -> Callable[[Place], int]:
    return lambda place: int(table_of(place.folder, name).select(columns).nbytes)


ROWS = (
    Row(
        "fingerprint_numbers",
        "fingerprint, numbers",
        (Case(OURS, OURS, _of("prices", ["timestamp", *VALUES]), calls=3),),
        (Goal(1.0, (), ">= 1 GB/s"),),
        rate=_bytes("prices", ["timestamp", *VALUES]),
    ),
    Row(
        "fingerprint_text",
        "fingerprint, text",
        (Case(OURS, OURS, _of("customers", TEXTS), calls=3),),
        (Goal(0.2, (), ">= 0.2 GB/s"),),
        size=lambda rows: rows // 2,
        rate=_bytes("customers", TEXTS),
    ),
)
