"""Times and memory of saving and loading, side by side with pandas, as ratios from one run.

    python benchmarks/run.py [--rows N] [--rounds N] [--json FILE]

Each measurement is one call in its own process; imports and making the frame are not timed. Cases take turns, so
that a drift of the speed falls on all. Ours include what the contract costs: locks, fsync, read-back,
checksums, schema. The frame is `prices`: time, symbol, four floats, an integer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# Work -> who does it. The ratio is ours to theirs.
WORK = {
    "csv save": ("millpond_csv_save", "pandas_csv_save"),
    "csv load": ("millpond_csv_load", "pandas_csv_load"),
    "csv load, of others": ("millpond_foreign_load", "pandas_csv_load"),
    "parquet save": ("millpond_parquet_save", "pandas_parquet_save"),
    "parquet load": ("millpond_parquet_load", "pandas_parquet_load"),
    "postgres save": ("millpond_postgres_save", "pandas_postgres_save"),
    "postgres load": ("millpond_postgres_load", "pandas_postgres_load"),
}
SQL_ROWS = 200_000  # to_sql takes minutes for all; its time grows with the rows


def make_prices(rows: int):  # type: ignore[no-untyped-def]
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    symbols = np.array([f"S{n:03d}" for n in range(100)], dtype=object)
    close = np.round(100 + rng.normal(0, 1, rows).cumsum() % 50, 4)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2020-01-01", periods=rows, freq="s"),
            "symbol": symbols[rng.integers(0, 100, rows)],
            "open": np.round(close + rng.normal(0, 0.1, rows), 4),
            "high": np.round(close + 0.25, 4),
            "low": np.round(close - 0.25, 4),
            "close": close,
            "volume": rng.integers(1, 1_000_000, rows),
        }
    )


def store(kind: str, folder: Path):  # type: ignore[no-untyped-def]
    from framework.factory import DataFactory
    from framework.settings import as_settings

    return DataFactory(as_settings(None, workspace=folder)).create_store(kind)


def engine(url: str):  # type: ignore[no-untyped-def]
    import sqlalchemy

    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: __import__("psycopg").connect(url))


def prepare(case: str, folder: Path, rows: int, url: str) -> tuple[Callable[[], object], int]:
    """The call to time, and how many rows it moves."""
    who, kind, verb = case.split("_")
    frame = make_prices(rows)
    plain = folder / "plain"
    plain.mkdir(exist_ok=True)
    if who == "millpond":
        if kind == "foreign":
            place = store("csv", folder)
            place.settings.data_folder.mkdir(exist_ok=True)
            if not (place.settings.data_folder / "foreign.csv").exists():
                frame.to_csv(place.settings.data_folder / "foreign.csv", index=False)
            return lambda: place.get_data("foreign"), rows
        place = store(kind, folder)
        if verb == "save":
            place.save_data(frame.head(10), "prices")
            return lambda: place.save_data(frame, "prices"), rows
        if not place.exists("prices") or place.describe("prices").rows != rows:
            place.save_data(frame, "prices")
        return lambda: place.get_data("prices"), rows
    import pandas as pd

    if kind == "csv":
        if verb == "save":
            return lambda: frame.to_csv(plain / "prices.csv", index=False), rows
        if not (plain / "load.csv").exists():
            frame.to_csv(plain / "load.csv", index=False)
        return lambda: pd.read_csv(plain / "load.csv", parse_dates=["timestamp"]), rows
    if kind == "parquet":
        if verb == "save":
            return lambda: frame.to_parquet(plain / "prices.parquet"), rows
        frame.to_parquet(plain / "load.parquet")
        return lambda: pd.read_parquet(plain / "load.parquet"), rows
    connection = engine(url)
    if verb == "save":
        part = frame.head(SQL_ROWS)
        return lambda: part.to_sql("pandas_prices", connection, if_exists="replace", index=False), len(part)
    store("postgres", folder).save_data(frame, "prices")
    return lambda: pd.read_sql("SELECT * FROM prices", connection), rows


def measure(case: str, folder: Path, rows: int, url: str) -> None:
    """Time one call in this process and print what it took."""
    call, moved = prepare(case, folder, rows, url)
    started = time.perf_counter()
    call()
    seconds = (time.perf_counter() - started) * rows / moved
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"case": case, "seconds": seconds, "peak_mb": peak, "scaled": moved != rows}))


def run_case(case: str, folder: Path, rows: int, url: str) -> dict[str, object]:
    command = [sys.executable, __file__, "--case", case, "--folder", str(folder), "--rows", str(rows)]
    done = subprocess.run(command, env={**os.environ, "BENCH_URL": url}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{case} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_all(rows: int, rounds: int, folder: Path) -> list[dict[str, object]]:
    from framework.workspace import Workspace

    server = Workspace(folder).server()
    url = server.url()
    times: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    scaled: set[str] = set()
    try:
        cases = list(dict.fromkeys(case for pair in WORK.values() for case in pair))
        for turn in range(rounds):
            for case in cases:
                told = run_case(case, folder, rows, url)
                times.setdefault(case, []).append(float(str(told["seconds"])))
                peaks[case] = max(peaks.get(case, 0.0), float(str(told["peak_mb"])))
                if told["scaled"]:
                    scaled.add(case)
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
    finally:
        server.stop()
    report: list[dict[str, object]] = []
    for work, (ours, theirs) in WORK.items():
        mine, other = statistics.median(times[ours]), statistics.median(times[theirs])
        report.append(
            {
                "work": work,
                "millpond_s": round(mine, 3),
                "pandas_s": round(other, 3),
                "times_faster": round(other / mine, 2),
                "millpond_peak_mb": round(peaks[ours]),
                "pandas_peak_mb": round(peaks[theirs]),
                "note": f"pandas scaled from {SQL_ROWS:,} rows" if theirs in scaled else "",
            }
        )
    return report


def show(report: list[dict[str, object]], rows: int, rounds: int) -> None:
    import pandas
    import pyarrow

    cores = os.cpu_count()
    print(f"prices, {rows:,} rows x 7; median of {rounds}; {cores} cores; Python {platform.python_version()},", end=" ")
    print(f"pandas {pandas.__version__}, pyarrow {pyarrow.__version__}")
    print(f"{'':22}{'millpond':>10}{'pandas':>10}{'faster':>9}{'memory':>16}")
    for row in report:
        peak = f"{row['millpond_peak_mb']} / {row['pandas_peak_mb']} MB"
        note = f"  {row['note']}" if row["note"] else ""
        print(
            f"{row['work']:22}{row['millpond_s']:>8} s{row['pandas_s']:>8} s{row['times_faster']:>8}x{peak:>16}{note}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the report there")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        measure(given.case, given.folder, given.rows, os.environ["BENCH_URL"])
        return
    folder = Path(tempfile.mkdtemp(prefix="millpond-bench-"))
    (folder / "millpond.yaml").write_text("settings:\n  FS_DATA: ./data\n")
    try:
        report = run_all(given.rows, given.rounds, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(report, given.rows, given.rounds)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
