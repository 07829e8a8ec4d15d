"""Rules, profiles and columns for a model, of customers that are in memory: ours, and as others do it.

By hand the same rules are written with what each brings along. Peers are given the data as they like it best: a
frame, a table of Arrow's, their own. Those that prepare columns impute medians and the most frequent text, scale by
median and quartiles, and encode each text as columns of 0 and 1; ours beside checks the types, looks for dates that lie
ahead, caps what is far off, makes a feature, and writes down what it learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data import frame_of, table_of
from rows import Call, Place

NUMBERS = ["age", "n_orders", "income", "balance", "score", "lifetime_value"]
AMONG = {
    "country": ("US", "GB", "DE", "FR", "JP", "BR", "IN", "CA", "AU", "SE", "NO", "IT"),
    "segment": ("consumer", "small_business", "enterprise", "public"),
    "channel": ("web", "store", "phone", "partner", "mobile_app"),
}
THERE = ("customer_id", "signup_date", "balance", "score", "lifetime_value", "country", "channel", "churned")
SHARES = (0.25, 0.5, 0.75)


def blueprint() -> Any:
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


# --------------------------------------------------------------------------- rules


def _checked_by(call: Callable[[Any], Any], few: Any, whole: Any) -> Call:
    call(few)
    rows = len(whole)

    def work() -> int:
        call(whole)
        return rows

    return work


def validate(place: Place) -> Call:
    from framework.prepare.validation import DataValidationService

    service, plan, frame = DataValidationService({"statistical_validation": False}), blueprint(), _frame(place)

    def call(data: Any) -> None:
        service.validate(data, plan).raise_if_failed()

    return _checked_by(call, frame.head(100), frame)


def pandera(place: Place) -> Call:
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


def rules_by_hand(place: Place) -> Call:
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


def rules_in_sql(place: Place) -> Call:
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


def rules_in_polars(place: Place) -> Call:
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


def profile(place: Place) -> Call:
    from framework.prepare.profiling import profile

    frame = _frame(place)
    return _checked_by(profile, frame.head(100), frame)


def describe(place: Place) -> Call:
    frame = _frame(place)
    return _checked_by(lambda data: data.describe(include="all"), frame.head(100), frame)


def summarize(place: Place) -> Call:
    import duckdb

    connection, table = duckdb.connect(), table_of(place.folder, "customers")

    def call(data: Any) -> Any:
        connection.register("customers", data)
        return connection.execute("SUMMARIZE customers").fetchall()

    return _checked_by(call, table.slice(0, 100), table)


def polars_describe(place: Place) -> Call:
    import polars as pl

    table = pl.from_arrow(table_of(place.folder, "customers"))
    return _checked_by(lambda data: data.describe(), table.head(100), table)


# --------------------------------------------------------------------------- columns for a model


def fit(place: Place) -> Call:
    from framework.prepare.preprocessing import DataPreprocessingService

    config = {"missing_value_strategy": "median", "encoding_strategy": "onehot", "scaling_method": "robust"}
    service, plan, frame = DataPreprocessingService(config), blueprint(), _frame(place)
    return _checked_by(lambda data: service.fit(data, plan, as_of="2030-01-01"), frame.head(100), frame)


def transformer(place: Place) -> Call:
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


def columns_by_hand(place: Place) -> Call:
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


def columns_in_polars(place: Place) -> Call:
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
