"""One measurement, in a process of its own: `measure.py SECTION ROW WHO` and the place as JSON on standard input.

The clock runs around the call alone. Before, a call of the same kind on few rows has imported what is imported late.
What takes some tenths of a second is called several times, and the median counts: on a virtual machine whose host takes
free memory back, a page touched for the first time takes up to seventeen times as long, whoever happens to touch it.
The memory is the highest that the process had during the call (VmHWM, put back before it), which includes what it
holds anyway: the frame to save.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from rows import Case, Place, Row

WARMING = 10  # calls before those that are timed, of what is called often


def find(section: str, row: str, who: str) -> tuple[Row, Case]:
    """The case of those names."""
    rows: tuple[Row, ...] = importlib.import_module(f"cases.{section}").ROWS
    found = next(each for each in rows if each.name == row)
    return found, next(case for case in found.cases if case.who == who)


def measure(row: Row, case: Case, place: Place) -> dict[str, object]:
    """Seconds of each call, scaled to all rows, and the peak of memory in MB."""
    assert case.prepare is not None
    size = row.size(place.rows)
    expected = min(case.part or size, size)
    call = case.prepare(place)
    for _ in range(min(case.calls - 1, WARMING)):
        call()
    gc.collect()
    _forget_peak()
    times = []
    for _ in range(max(1, case.calls // 10) if place.quick else case.calls):
        started = time.perf_counter()
        moved = call()
        if isinstance(moved, float):
            times.append(moved)
            continue
        times.append((time.perf_counter() - started) * size / expected)
        if moved != expected:
            raise RuntimeError(f"{row.name}, {case.who}: {moved} rows of {expected}")
    return {"seconds": times, "peak_mb": _peak(), "part": expected if expected < size else None}


def _forget_peak() -> None:
    with suppress(OSError):  # on another system the peak is that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    told = json.load(sys.stdin)
    place = Place(**{**told, "folder": Path(told["folder"])})
    answer = measure(*find(*sys.argv[1:4]), place)
    print("\n" + json.dumps(answer), flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)  # servers that the peer started: they would hold our end of the pipe
    os._exit(0)  # what is left open is no part of any figure


if __name__ == "__main__":
    main()
