"""Preparing a file of customers for a model: reading, rules, profiles, columns, and all of it from file to dataset.

The rules are those of `_blueprint`; by hand the same are written with what each brings along. Peers are given the data
as they like it best: a frame, a table of Arrow's, their own. Those that prepare columns impute medians and the most
frequent text, scale by median and quartiles, and encode each text as columns of 0 and 1; ours beside checks the types,
looks for dates that lie ahead, caps what is far off, makes a feature, and writes down what it learnt.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cases.etl import TIMES, file_of
from data import DATES, frame_of, table_of
from rows import OURS, Call, Case, Goal, Place, Row, within

NUMBERS = ["age", "n_orders", "income", "balance", "score", "lifetime_value"]
AMONG = {
    "country": ("US", "GB", "DE", "FR", "JP", "BR", "IN", "CA", "AU", "SE", "NO", "IT"),
    "segment": ("consumer", "small_business", "enterprise", "public"),
    "channel": ("web", "store", "phone", "partner", "mobile_app"),
}
THERE = ("customer_id", "signup_date", "balance", "score", "lifetime_value", "country", "channel", "churned")
SHARES = (0.25, 0.5, 0.75)
SMALL = "millpond, 114 MB"
CALLS = 3  # of what works on a frame, after two that are not timed
LARGEST = 1 << 40  # bytes of a file
TICK = 0.01  # seconds


def _blueprint() -> Any:
    """What a customer is, with a feature of dates, as a blueprint has it."""
    from framework.prepare.blueprint import Blueprint, Feature, Field

    def make(frame: Any, as_of: Any, learnt: Any) -> Any:
        return ((as_of - frame["signup_date"]).dt.days / 30.0).to_frame("tenure")

    fields = (
        Field("customer_id", "identifier", pattern=r"C\d{9}"),
        Field("signup_date", "datetime"),
        Field("last_order_date", "datetime", required=False),
        Field("age", "number", required=False, minimum=18, maximum=120),
        Field("n_orders", "integer", required=False, minimum=0),
        Field("income", "number", required=False, minimum=0),
        Field("balance", "number"),
        Field("score", "number", minimum=0, maximum=1),
        Field("lifetime_value", "number", minimum=0),
        *(Field(name, "category", required=name != "segment", allowed=words) for name, words in AMONG.items()),
        Field("churned", "flag"),
    )
    features = (Feature("tenure", ("signup_date",)),)
    return Blueprint(
        "customers", "customers", fields, features, ("customer_id",), make, time="signup_date", target="churned"
    )


def _frame(place: Place) -> Any:
    return frame_of(place.folder, "customers")


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


# --------------------------------------------------------------------------- rules


def _checked_by(call: Callable[[Any], Any], few: Any, whole: Any) -> Call:
    call(few)
    rows = len(whole)

    def work() -> int:
        call(whole)
        return rows

    return work


def _validate(place: Place) -> Call:
    from framework.prepare.validation import DataValidationService

    service, blueprint, frame = DataValidationService({"statistical_validation": False}), _blueprint(), _frame(place)

    def call(data: Any) -> None:
        service.validate(data, blueprint).raise_if_failed()

    return _checked_by(call, frame.head(100), frame)


def _pandera(place: Place) -> Call:
    import pandera.pandas as pa

    check, column = pa.Check, pa.Column
    among = {name: column(None, [check.isin(words)], nullable=name == "segment") for name, words in AMONG.items()}
    schema = pa.DataFrameSchema(
        {
            "customer_id": column(None, [check.str_matches(r"^C\d{9}$")], nullable=False, unique=True),
            "signup_date": column(None, nullable=False),
            "age": column(None, [check.in_range(18, 120)], nullable=True),
            "n_orders": column(None, [check.ge(0)], nullable=True),
            "income": column(None, [check.ge(0)], nullable=True),
            "balance": column(None, nullable=False),
            "score": column(None, [check.in_range(0, 1)], nullable=False),
            "lifetime_value": column(None, [check.ge(0)], nullable=False),
            "churned": column(None, [check.isin([0, 1])], nullable=False),
            **among,
        }
    )
    frame = _frame(place)
    return _checked_by(lambda data: schema.validate(data, lazy=True), frame.head(100), frame)


def _rules_by_hand(place: Place) -> Call:
    frame = _frame(place)

    def call(data: Any) -> int:
        wrong = [data[name].isna().sum() for name in THERE]
        wrong.append(data["customer_id"].duplicated().sum())
        wrong.append((~data["customer_id"].str.match(r"^C\d{9}$")).sum())
        for name, low, high in (("age", 18, 120), ("score", 0, 1)):
            wrong.append(((data[name] < low) | (data[name] > high)).sum())
        wrong += [(data[name] < 0).sum() for name in ("n_orders", "income", "lifetime_value")]
        for name, words in {**AMONG, "churned": (0, 1)}.items():
            wrong.append((~(data[name].isin(words) | data[name].isna())).sum())
        assert not sum(wrong)
        return len(wrong)

    return _checked_by(call, frame.head(100), frame)


def _rules_in_sql(place: Place) -> Call:
    import duckdb

    connection = duckdb.connect()
    wrong = [f"{name} IS NULL" for name in THERE]
    wrong += [
        "NOT regexp_full_match(customer_id, 'C\\d{9}')",
        "age NOT BETWEEN 18 AND 120",
        "score NOT BETWEEN 0 AND 1",
    ]
    wrong += [f"{name} < 0" for name in ("n_orders", "income", "lifetime_value")]
    wrong += [f"{name} NOT IN {words}" for name, words in AMONG.items()] + ["churned NOT IN (0, 1)"]
    counts = ", ".join(f"count(*) FILTER ({each})" for each in wrong)
    query = f"SELECT count(customer_id) - count(DISTINCT customer_id), {counts} FROM customers"  # noqa: S608

    def call(table: Any) -> None:
        connection.register("customers", table)
        assert not sum(connection.execute(query).fetchall()[0])

    table = table_of(place.folder, "customers")
    return _checked_by(call, table.slice(0, 100), table)


def _rules_in_polars(place: Place) -> Call:
    import polars as pl

    column, table = pl.col, pl.from_arrow(table_of(place.folder, "customers"))
    wrong = [pl.len() - column("customer_id").n_unique(), (~column("customer_id").str.contains(r"^C\d{9}$")).sum()]
    wrong += [column(name).null_count().alias(f"no_{name}") for name in THERE]
    wrong += [(~column("age").is_between(18, 120)).sum(), (~column("score").is_between(0, 1)).sum()]
    wrong += [(column(name) < 0).sum() for name in ("n_orders", "income", "lifetime_value")]
    wrong += [(~column(name).is_in(list(words))).sum() for name, words in {**AMONG, "churned": (0, 1)}.items()]
    numbered = [each.alias(f"w{place}") for place, each in enumerate(wrong)]

    def call(data: Any) -> None:
        assert not sum(data.lazy().select(numbered).collect().row(0))

    return _checked_by(call, table.head(100), table)


# --------------------------------------------------------------------------- profile


def _profile(place: Place) -> Call:
    from framework.prepare.profiling import profile

    frame = _frame(place)
    return _checked_by(profile, frame.head(100), frame)


def _describe(place: Place) -> Call:
    frame = _frame(place)
    return _checked_by(lambda data: data.describe(include="all"), frame.head(100), frame)


def _summarize(place: Place) -> Call:
    import duckdb

    connection, table = duckdb.connect(), table_of(place.folder, "customers")

    def call(data: Any) -> Any:
        connection.register("customers", data)
        return connection.execute("SUMMARIZE customers").fetchall()

    return _checked_by(call, table.slice(0, 100), table)


def _polars_describe(place: Place) -> Call:
    import polars as pl

    table = pl.from_arrow(table_of(place.folder, "customers"))
    return _checked_by(lambda data: data.describe(), table.head(100), table)


# --------------------------------------------------------------------------- columns for a model


def _fit(place: Place) -> Call:
    from framework.prepare.preprocessing import DataPreprocessingService

    config = {"missing_value_strategy": "median", "encoding_strategy": "onehot", "scaling_method": "robust"}
    service, blueprint, frame = DataPreprocessingService(config), _blueprint(), _frame(place)
    return _checked_by(lambda data: service.fit(data, blueprint, as_of="2030-01-01"), frame.head(100), frame)


def _transformer(place: Place) -> Call:
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, RobustScaler

    texts = list(AMONG)
    frame = _frame(place)[[*NUMBERS, *texts]]
    frame[texts] = frame[texts].where(frame[texts].notna(), np.nan)  # None it does not take for missing
    encoder = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    made = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(strategy="median"), RobustScaler()), NUMBERS),
            ("c", make_pipeline(SimpleImputer(strategy="most_frequent"), encoder), texts),
        ]
    )
    return _checked_by(made.fit_transform, frame.head(1000), frame)


def _columns_by_hand(place: Place) -> Call:
    import numpy as np
    import pandas as pd

    def call(data: Any) -> Any:
        scaled, parts = [], []
        for name in NUMBERS:
            values = data[name].to_numpy("float64")
            low, middle, high = np.quantile(values[~np.isnan(values)], SHARES)
            scaled.append((np.where(np.isnan(values), middle, values) - middle) / ((high - low) or 1))
        for name in AMONG:
            codes, levels = pd.factorize(data[name], sort=True)
            codes = np.where(codes < 0, np.bincount(codes[codes >= 0]).argmax(), codes)
            flags = np.zeros((len(data), len(levels)))
            flags[np.arange(len(data)), codes] = 1
            parts.append(flags)
        return np.hstack([np.column_stack(scaled), *parts])

    frame = _frame(place)
    return _checked_by(call, frame.head(1000), frame)


def _columns_in_polars(place: Place) -> Call:
    import polars as pl

    texts = list(AMONG)
    table = pl.from_arrow(table_of(place.folder, "customers")).select([*NUMBERS, *texts])

    def scaled(name: str) -> Any:
        known = pl.col(name)
        return (known.fill_null(known.median()) - known.median()) / (known.quantile(0.75) - known.quantile(0.25))

    def call(data: Any) -> Any:
        most = [pl.col(name).fill_null(pl.col(name).drop_nulls().mode().first()) for name in texts]
        return data.with_columns([scaled(name) for name in NUMBERS] + most).to_dummies(texts).to_numpy()

    return _checked_by(call, table.head(1000), table)


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
    made.process_file_sync(_few(place), _blueprint(), as_of="2030-01-01")
    return made


def _process(place: Place, *, times: int, rows: int) -> Call:
    """`rows` is of how many the work of the row consists, to which nothing is scaled: a smaller file is beside it."""
    made, path, blueprint = _pipeline(place), file_of(place, times), _blueprint()

    def call() -> int:
        frame, _ = made.process_file_sync(path, blueprint, as_of="2030-01-01")
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
    made, path, blueprint = _pipeline(place), place.folder / "customers.csv", _blueprint()

    async def ticking() -> float:
        longest, work = 0.0, asyncio.create_task(made.process_file(path, blueprint, as_of="2030-01-01"))
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
        _validate,
        {
            "pandera": ("pandera", _pandera),
            "pandas by hand": ("pandas2", _rules_by_hand),
            "DuckDB on Arrow": ("duckdb", _rules_in_sql),
            "polars": ("polars", _rules_in_polars),
        },
        (Goal(0.5, (), ">= 500 MB/s"),),
    ),
    _row(
        "prepare_profile",
        "profile of every column, customers",
        _profile,
        {
            "pandas describe": ("pandas2", _describe),
            "DuckDB SUMMARIZE": ("duckdb", _summarize),
            "polars describe": ("polars", _polars_describe),
        },
        (Goal(0.24, (), ">= 240 MB/s"),),
    ),
    _row(
        "prepare_columns",
        "impute, cap, scale, encode, customers",
        _fit,
        {
            "scikit-learn": ("sklearn", _transformer),
            "numpy by hand": ("pandas2", _columns_by_hand),
            "polars": ("polars", _columns_in_polars),
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
