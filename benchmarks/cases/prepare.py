"""Preparing a file of customers for a model: reading, rules, profiles, columns, and all of it from file to dataset."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cases.etl import TIMES, file_of
from cases.prepare_frames import (
    NUMBERS,
    SHARES,
    blueprint,
    columns_by_hand,
    columns_in_polars,
    describe,
    fit,
    pandera,
    polars_describe,
    profile,
    rules_by_hand,
    rules_in_polars,
    rules_in_sql,
    summarize,
    transformer,
    validate,
)
from data import DATES
from rows import OURS, Call, Case, Goal, Place, Row, within

SMALL = "millpond, 114 MB"
CALLS = 3  # of what works on a frame, after two that are not timed
LARGEST = 1 << 40  # bytes of a file
TICK = 0.01  # seconds


def _bytes(place: Place, *, times: int = 1) -> int:
    return file_of(place, times).stat().st_size


def _customers(rows: int) -> int:
    return rows // 2


def _few(place: Place) -> Path:
    """The first lines, on which is imported what is imported late."""
    path = place.scratch("few") / "customers.csv"
    if not path.exists():
        with open(place.folder / "customers.csv", "rb") as source:
            path.write_bytes(b"".join(itertools.islice(source, 200)))
    return path


# --------------------------------------------------------------------------- reading


def _ingest(place: Place) -> Call:
    from framework.prepare.ingestion import DataIngestionService

    service = DataIngestionService(max_file_size=LARGEST)
    service.ingest(_few(place))
    return lambda: len(service.ingest(place.folder / "customers.csv")[0])


def _pandas_read(place: Place) -> Call:
    import pandas as pd

    return lambda: len(pd.read_csv(place.folder / "customers.csv", parse_dates=DATES["customers"]))


def _pyarrow_read(place: Place) -> Call:
    import pyarrow.csv as csv

    options = csv.ConvertOptions(strings_can_be_null=True)

    def read(path: Path) -> int:
        return len(csv.read_csv(path, convert_options=options).to_pandas(date_as_object=False))

    read(_few(place))
    return lambda: read(place.folder / "customers.csv")


# --------------------------------------------------------------------------- nulls and quantiles of a large file


def _skim(place: Place) -> Call:
    from framework.prepare.skimming import skim

    skim(_few(place))
    path = file_of(place, TIMES)
    return lambda: skim(path).rows


def _pandas_quantiles(place: Place) -> Call:
    import pandas as pd

    path = file_of(place, TIMES)

    def call() -> int:
        frame = pd.read_csv(path)
        frame.isna().sum()
        frame[NUMBERS].quantile(list(SHARES))
        return len(frame)

    return call


def _polars_quantiles(place: Place) -> Call:
    import polars as pl

    path = file_of(place, TIMES)

    def call() -> int:
        lazy = pl.scan_csv(path)
        wanted = [pl.len()] + [pl.col(name).null_count().alias(f"no_{name}") for name in lazy.collect_schema()]
        wanted += [
            pl.col(name).quantile(share, "linear").alias(f"{name}_{share}") for name in NUMBERS for share in SHARES
        ]
        return int(lazy.select(wanted).collect(engine="streaming").row(0)[0])

    return call


def _duckdb_quantiles(place: Place, *, call: str) -> Call:
    import duckdb

    path, connection = file_of(place, TIMES), duckdb.connect()
    source = f"read_csv('{path}')"
    names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]  # noqa: S608
    wanted = [f"count({name})" for name in names] + [f"{call}({name}, {list(SHARES)})" for name in NUMBERS]
    query = f"SELECT count(*), {', '.join(wanted)} FROM {source}"  # noqa: S608
    return lambda: int(connection.execute(query).fetchall()[0][0])


# --------------------------------------------------------------------------- from file to dataset


def _pipeline(place: Place) -> Any:
    from framework.prepare import DataPipeline
    from framework.prepare.ingestion import DataIngestionService
    from framework.settings import as_settings

    folder = place.scratch("prepare")
    (folder / "millpond.yaml").touch()
    made = DataPipeline(settings=as_settings(workspace=folder), ingestion=DataIngestionService(max_file_size=LARGEST))
    made.process_file_sync(_few(place), blueprint(), as_of="2030-01-01")
    return made


def _process(place: Place, *, times: int, rows: int) -> Call:
    """`rows` is of how many the work of the row consists, to which nothing is scaled: a smaller file is beside it."""
    made, path, plan = _pipeline(place), file_of(place, times), blueprint()

    def call() -> int:
        frame, _ = made.process_file_sync(path, plan, as_of="2030-01-01")
        return len(frame) * rows // times

    return call


def _pieces(place: Place, *, times: int, rows: int) -> Call:
    from framework.prepare.ingestion import DataIngestionService

    service, path = DataIngestionService(max_file_size=LARGEST), file_of(place, times)
    target = place.scratch("pieces") / f"customers_{times}.parquet"
    service.ingest(_few(place), into=target)
    return lambda: int(service.ingest(path, into=target)[1].rows) * rows // times


def _gap(place: Place) -> Callable[[], float]:
    """The longest time that a ticker of ten milliseconds was kept waiting, beyond them."""
    made, path, plan = _pipeline(place), place.folder / "customers.csv", blueprint()

    async def ticking() -> float:
        longest, work = 0.0, asyncio.create_task(made.process_file(path, plan, as_of="2030-01-01"))
        while not work.done():
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            longest = max(longest, time.perf_counter() - before - TICK)
        await work
        return longest

    return lambda: asyncio.run(ticking())


def _row(
    name: str, title: str, ours: Any, others: dict[str, tuple[str, Any]], goals: tuple[Goal, ...], calls: int = CALLS
) -> Row:
    made = {OURS: (OURS, ours), **others}
    cases = tuple(Case(who, peer, prepare, calls=calls) for who, (peer, prepare) in made.items())
    return Row(name, title, cases, goals, size=_customers, rate=_bytes, rounds=5)


def _of_size(name: str, title: str, prepare: Callable[..., Call], goals: tuple[Goal, ...], rounds: int) -> Row:
    """The large file beside the small one."""
    return Row(
        name,
        title,
        (
            Case(OURS, OURS, partial(prepare, times=TIMES, rows=TIMES)),
            Case(SMALL, OURS, partial(prepare, times=1, rows=TIMES)),
        ),
        goals,
        size=lambda rows: rows // 2 * TIMES,
        memory=True,
        rounds=rounds,
    )


ROWS = (
    _row(
        "prepare_read",
        "csv -> frame, encoding and types found",
        _ingest,
        {"pyarrow -> pandas": ("pandas2", _pyarrow_read), "pandas 2": ("pandas2", _pandas_read)},
        (within(1.18, "pyarrow -> pandas"),),
        calls=1,
    ),
    _row(
        "prepare_rules",
        "rules, customers",
        validate,
        {
            "pandera": ("pandera", pandera),
            "pandas by hand": ("pandas2", rules_by_hand),
            "DuckDB on Arrow": ("duckdb", rules_in_sql),
            "polars": ("polars", rules_in_polars),
        },
        (Goal(0.5, (), ">= 500 MB/s"),),
    ),
    _row(
        "prepare_profile",
        "profile of every column, customers",
        profile,
        {
            "pandas describe": ("pandas2", describe),
            "DuckDB SUMMARIZE": ("duckdb", summarize),
            "polars describe": ("polars", polars_describe),
        },
        (Goal(0.24, (), ">= 240 MB/s"),),
    ),
    _row(
        "prepare_columns",
        "impute, cap, scale, encode, customers",
        fit,
        {
            "scikit-learn": ("sklearn", transformer),
            "numpy by hand": ("pandas2", columns_by_hand),
            "polars": ("polars", columns_in_polars),
        },
        (Goal(0.16, (), ">= 160 MB/s"),),
    ),
    Row(
        "prepare_skim",
        "nulls and quantiles of a file, 1 GB",
        (
            Case(OURS, OURS, _skim),
            Case("pandas 2", "pandas2", _pandas_quantiles, turns=1),
            Case("polars, streaming", "polars", _polars_quantiles),
            Case("DuckDB, exact", "duckdb", partial(_duckdb_quantiles, call="quantile_cont")),
            Case("DuckDB, approximate", "duckdb", partial(_duckdb_quantiles, call="approx_quantile")),
        ),
        (Goal(0.25, (), ">= 250 MB/s"),),
        size=lambda rows: rows // 2 * TIMES,
        rate=partial(_bytes, times=TIMES),
        memory=True,
        most_mb=400,
        rounds=3,
    ),
    _of_size("prepare_pieces", "csv -> parquet in pieces, 1 GB", _pieces, (within(11, SMALL),), 1),
    Row(
        "prepare_gap",
        "longest gap of a ticker beside process_file",
        (Case(OURS, OURS, _gap),),
        (Goal(0.1, (), "<= 100 ms"),),
        size=_customers,
        rounds=3,
    ),
    _of_size("prepare_file", "file -> dataset, 1 GB", _process, (within(11, SMALL),), 1),
)
