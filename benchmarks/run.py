"""Times and memory beside the peers', as ratios from one run.

    python benchmarks/run.py [--only csv,parquet] [--rows N] [--rounds N] [--quick] [--json FILE] [--page FILE]

Ours includes what the contract costs: locks, fsync, read-back, checksums, schema. Each measurement is made in a process
of its own, in the environment of its peer, and those of a row take turns, so that a drift of the machine's speed
falls on all. The ratio is of the medians; `best` is that of the fastest. A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import data  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
from rows import Case, Place, Row  # noqa: E402

SECTIONS = (
    "csv",
    "parquet",
    "postgres",
    "upsert",
    "arctic",
    "small",
    "fingerprint",
    "startup",
    "engine",
    "etl",
    "prepare",
)
ROWS, QUICK_ROWS = 2_000_000, 50_000
ENOUGH = 60.0  # seconds after which a row of three rounds is done
LONGEST = 600  # seconds that one measurement may take
SILENT = {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "HAMILTON_TELEMETRY_ENABLED": "false",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
}


def picked(only: str) -> dict[str, list[Row]]:
    """The rows of each section whose name, or whose section's, begins with one of those words."""
    words = tuple(word.strip() for word in only.split(",") if word.strip()) or ("",)
    sections = {name: importlib.import_module(f"cases.{name}").ROWS for name in SECTIONS}
    chosen = {name: [row for row in rows if row.name.startswith(words)] for name, rows in sections.items()}
    if not any(chosen.values()):
        names = ", ".join(row.name for rows in sections.values() for row in rows)
        sys.exit(f"No row begins with {only!r}. Known: {names}.")
    return {name: rows for name, rows in chosen.items() if rows}


# --------------------------------------------------------------------------- one measurement


def environment(place: Place, case: Case) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DB_", "FS_", "ARCTIC_", "PYTHON"))
    }
    homes = {"PREFECT_HOME": str(place.folder / "prefect"), "DAGSTER_HOME": str(place.scratch("dagster"))}
    ours = {"PYTHONPATH": str(ROOT)} if case.peer == peers.OURS else {}
    return {**kept, **SILENT, **homes, **ours}


def measured(section: str, row: Row, case: Case, place: Place) -> dict[str, Any]:
    """What the case told of itself; {"error": ...} when it failed."""
    if case.command is not None:
        return _commanded(case, place)
    script = [str(peers.python_of(case.peer)), str(ROOT / "benchmarks" / "measure.py"), section, row.name, case.who]
    told = json.dumps({**asdict(place), "folder": str(place.folder)})
    try:
        done = subprocess.run(
            script,
            input=told,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            env=environment(place, case),
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {LONGEST} s"}
    if done.returncode:
        return {"error": _last_words(done.stderr)}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _last_words(said: str) -> str:
    return " ".join(said.strip().splitlines()[-3:])[-300:] or "it failed and said nothing"


def _commanded(case: Case, place: Place) -> dict[str, Any]:
    """A command from start to end, once untimed and once timed."""
    assert case.command is not None
    word, *rest = case.command
    command = [str(peers.python_of(case.peer) if word == "python" else peers.command_of(case.peer)), *rest]
    folder, variables = place.scratch("cwd"), environment(place, case)
    for _ in range(2):
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=variables, timeout=LONGEST)
        seconds = time.perf_counter() - started
        if done.returncode:
            return {"error": _last_words(done.stderr)}
    return {"seconds": [seconds], "peak_mb": None, "part": None}


def taken(row: Row, section: str, place: Place, rounds: int | None) -> dict[str, report.Timed]:
    """All rounds of a row."""
    timed = {case.who: report.Timed() for case in row.cases if peers.present(case.peer)}
    cases = [case for case in row.cases if case.who in timed]
    started = time.monotonic()
    for turn in range(rounds or row.rounds):
        if turn >= 3 and time.monotonic() - started > ENOUGH:
            break
        first = turn % len(cases) if cases else 0
        for case in cases[first:] + cases[:first]:
            one = timed[case.who]
            if one.error is None and turn < (case.turns or turn + 1):
                _note(one, _turn(section, row, case, place, turn))
    for who, one in timed.items():
        if one.error:
            print(f"  {row.name}, {who}: {one.error}", file=sys.stderr)
    return timed


def _turn(section: str, row: Row, case: Case, place: Place, turn: int) -> dict[str, Any]:
    os.sync()  # what another wrote is not to be written out during this turn
    if row.server:
        _checkpoint(place.url)
    at = Place(place.folder, place.rows, place.url, turn, place.quick)
    return measured(section, row, case, at)


def _note(one: report.Timed, told: dict[str, Any]) -> None:
    one.error = told.get("error")
    if one.error is None:
        one.seconds.append(report.statistics.median(told["seconds"]))
        one.part = told["part"]
        if told["peak_mb"] is not None:
            one.peak_mb.append(told["peak_mb"])


# --------------------------------------------------------------------------- the run


@contextmanager
def server(folder: Path, given: str, *, needed: bool) -> Iterator[str]:
    """The address of a PostgreSQL: the one given, or one of this run's own."""
    if given or not needed:
        yield given
        return
    from framework.workspace import Workspace

    own = Workspace(folder).server()
    try:
        yield str(own.url())
    finally:
        own.stop()


def _checkpoint(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def about(place: Place, url: str) -> dict[str, Any]:
    """What the figures depend on."""
    from importlib.metadata import version

    told = {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "rows": place.rows,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("pandas", "pyarrow")},
        "peers": {
            name: " ".join(wanted) if peers.present(name) else "absent" for name, wanted in peers.required().items()
        },
    }
    if url:
        import psycopg

        with psycopg.connect(url) as connection:
            told["postgresql"] = str(connection.execute("SHOW server_version").fetchone()[0])
    return told


def headline(told: dict[str, Any]) -> str:
    server = f", PostgreSQL {told['postgresql']}" if "postgresql" in told else ""
    return (
        f"{told['rows']:,} rows; {told['cores']} cores; Python {told['python']}, pandas {told['pandas']},"
        f" pyarrow {told['pyarrow']}{server}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="rows whose names begin so, by comma: csv,postgres_save")
    parser.add_argument("--rows", type=int, help=f"of prices; {ROWS:,} unless given, {QUICK_ROWS:,} with --quick")
    parser.add_argument("--rounds", type=int, help="of every row, instead of its own number")
    parser.add_argument("--quick", action="store_true", help="few rows, two rounds: to try it out")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--page", type=Path, help="put the table of ratios into that page")
    parser.add_argument("--url", default="", help="a PostgreSQL to use instead of an embedded one")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder unless given")
    given = parser.parse_args()
    given.rows = (given.rows or (QUICK_ROWS if given.quick else ROWS)) // data.SYMBOLS * data.SYMBOLS
    given.rounds = given.rounds or (2 if given.quick else None)
    if given.rows < 20 * data.SYMBOLS:
        parser.error(f"--rows is at least {20 * data.SYMBOLS}")
    return given


def main() -> None:
    given = arguments()
    chosen = picked(given.only)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is to be stopped all the same
    folder = Path(tempfile.mkdtemp(prefix="millpond-bench-", dir=given.folder))
    try:
        failed = run(given, chosen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)


def run(given: argparse.Namespace, chosen: dict[str, list[Row]], folder: Path) -> list[str]:
    """Measure, show, write; the rows that ours did not finish."""
    began = time.monotonic()
    data.make(folder, given.rows)
    found: list[report.Line] = []
    results: dict[str, dict[str, report.Timed]] = {}
    needed = any(row.server for rows in chosen.values() for row in rows)
    with server(folder, given.url, needed=needed) as url:
        place = Place(folder, given.rows, url, 0, given.quick)
        told = about(place, url)
        for section, rows in chosen.items():
            for row in rows:
                print(f"{row.title} ...", file=sys.stderr, flush=True)
                results[row.name] = taken(row, section, place, given.rounds)
                found += report.lines(row, results[row.name], place)
    told["seconds"] = round(time.monotonic() - began)
    print(headline(told), report.text(found), sep="\n\n")
    for peer, what in told["peers"].items():
        if what == "absent":
            print(f"{peer} is absent")
    if given.json:
        given.json.write_text(json.dumps(report.as_json(results, found, told), indent=1))
    if given.page:
        report.put_into(given.page, report.markdown(found, headline(told)))
    return [name for name, timed in results.items() if not timed[peers.OURS].seconds]


if __name__ == "__main__":
    main()
