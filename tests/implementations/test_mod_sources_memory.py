"""The memory of sources does not grow with what they read: each runs in a process of its own, at two sizes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

SMALL, LARGE = 1_000_000, 4_000_000  # rows: both more than what is held at a time
MORE = 120  # MB that the large one may take beyond the small one, which is some 250 MB smaller
RUN = """
import json, logging, resource, sys
from pathlib import Path
from framework import DataFactory, as_settings
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
name, params, root = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
stores = DataFactory(as_settings({}, workspace=root)).create_store
run = ModRun("r1", name, root / "runs", root, logging.getLogger("m"), open_store=stores)
rows = Mods(root).load(name).call(params, run).told.metrics["rows_output"]
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def made(rows: int) -> Iterator[pa.Table]:
    """Rows of numbers and text."""
    random = np.random.default_rng(1)
    for start in range(0, rows, 100_000):
        count = min(100_000, rows - start)
        yield pa.table(
            {
                "id": np.arange(start, start + count),
                "code": pa.array(random.integers(0, 1 << 40, count)).cast(pa.string()),
                "price": random.random(count).round(4),
                "qty": random.integers(0, 1000, count),
                "note": pa.array(random.integers(0, 1 << 60, count)).cast(pa.string()),
            }
        )


def source(root: Path, kind: str, rows: int, url: str) -> dict[str, Any]:
    """The parameters of a mod that reads so many rows of that kind."""
    tables = made(rows)
    path = root / f"{rows}.{kind}"
    if kind == "jsonl":
        with open(path, "w") as file:
            file.writelines(json.dumps(row) + "\n" for table in tables for row in table.to_pylist())
    elif kind == "parquet":
        (root / "data").mkdir(exist_ok=True)
        path = root / "data" / path.name
        with pq.ParquetWriter(path, next(made(1)).schema) as sink:
            for table in tables:
                sink.write_table(table)
    elif kind == "csv":
        with pc.CSVWriter(path, next(made(1)).schema) as sink:
            for table in tables:
                sink.write_table(table)
    elif kind == "db":
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE t (id, code, price, qty, note)")
            for table in tables:
                db.executemany(
                    "INSERT INTO t VALUES (?, ?, ?, ?, ?)", [tuple(row.values()) for row in table.to_pylist()]
                )
            db.commit()
        return {"connection_string": f"sqlite:///{path}", "table": "t"}
    else:
        text = f"SELECT i AS id, md5(i::text) AS note, i / 7.0::float8 AS price FROM generate_series(1, {rows}) i"
        return {"connection_string": url, "query": text}
    return {"input_path": str(path)}


def peak(root: Path, mod: str, params: dict[str, Any]) -> int:
    """The most memory of a run, in MB."""
    command = [sys.executable, "-c", RUN, mod, json.dumps(params), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[1])


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("mod", "kind"),
    [
        ("csv_reader", "csv"),
        ("json_reader", "jsonl"),
        ("parquet_reader", "parquet"),
        ("store_reader", "parquet"),
        ("database_reader", "db"),
        ("database_reader", "postgres"),
    ],
    ids=["csv", "jsonl", "parquet", "store", "sqlite", "postgres"],
)
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, postgres_url: str, mod: str, kind: str) -> None:
    """Four times the rows take about the same memory, under a condition too."""
    where = {"where": [["qty", ">", 5]]} if kind == "parquet" else {}
    peaks = []
    for rows in (SMALL, LARGE):
        params = {**source(tmp_path, kind, rows, postgres_url), **where}
        if mod == "store_reader":
            params = {"dataset": f"parquet:{rows}", **where}
        peaks.append(peak(tmp_path, mod, params))
    assert peaks[1] <= peaks[0] + MORE, peaks
