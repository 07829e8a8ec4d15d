"""The data of a run, made anew from a seed: as Arrow files, from which frames are made, and as CSV as others write it.

`prices`: minute bars of 500 symbols: time, symbol, four floats of four digits, an integer. `customers`: half as many
rows of ids, dates, whole numbers with gaps, floats of two and of seventeen digits, categories with gaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SYMBOLS = 500
DATES = {"prices": ["timestamp"], "customers": ["signup_date", "last_order_date"]}
VALUES = ("open", "high", "low", "close", "volume")


def make(folder: Path, rows: int) -> None:
    """Put prices and customers there, as `.arrow` and `.csv`."""
    for name, table in (("prices", prices(rows)), ("customers", customers(rows // 2))):
        _write(folder / f"{name}.arrow", table)
        _write_csv(folder / f"{name}.csv", table)
    ten = "".join(f"{number:03d},name {number},{number}.5,2026-01-{number + 1:02d}\n" for number in range(10))
    (folder / "ten.csv").write_text(f"id,name,amount,day\n{ten}")


def prices(rows: int, seed: int = 1) -> Any:
    """Bars in the order of time: `rows` is a multiple of the number of symbols or loses the rest."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    minutes = rows // SYMBOLS
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    symbols = [f"{''.join(rng.choice(letters, rng.integers(1, 4)))}{number}" for number in range(SYMBOLS)]
    times = np.datetime64("2024-01-02T09:30", "ns") + np.arange(minutes) * np.timedelta64(60, "s")
    shape = (minutes, SYMBOLS)
    close = rng.uniform(20, 400, SYMBOLS) * np.exp(rng.normal(0, 0.0008, shape).cumsum(axis=0))
    first = close * (1 + rng.normal(0, 0.0005, shape))
    above, below = (np.abs(rng.normal(0, 0.0005, shape)) for _ in range(2))
    four = {
        "open": first,
        "high": np.maximum(first, close) * (1 + above),
        "low": np.minimum(first, close) * (1 - below),
        "close": close,
    }
    return pa.table(
        {
            "timestamp": np.repeat(times, SYMBOLS),
            "symbol": pa.array(symbols * minutes, type=pa.string()),
            **{name: values.ravel().round(4) for name, values in four.items()},
            "volume": rng.lognormal(9, 1.2, minutes * SYMBOLS).astype("int64"),
        }
    )


def customers(rows: int, seed: int = 2) -> Any:
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)

    def gaps(values: Any, share: float) -> Any:
        return pa.array(values, mask=rng.random(rows) < share)

    def among(*words: str) -> Any:
        return np.array(words)[rng.integers(0, len(words), rows)]

    signup = np.datetime64("2012-01-01", "D") + rng.integers(0, 4300, rows).astype("timedelta64[D]")
    last = signup + rng.integers(0, 700, rows).astype("timedelta64[D]")
    return pa.table(
        {
            "customer_id": [f"C{number:09d}" for number in range(rows)],
            "signup_date": signup,
            "last_order_date": gaps(last, 0.12),
            "age": gaps(rng.integers(18, 95, rows), 0.05),
            "n_orders": gaps(rng.poisson(14, rows), 0.03),
            "income": gaps(rng.lognormal(10.6, 0.5, rows).round(2), 0.08),
            "balance": rng.normal(1500, 900, rows).round(2),
            "score": rng.random(rows),
            "lifetime_value": rng.gamma(2.0, 800.0, rows),
            "country": among("US", "GB", "DE", "FR", "JP", "BR", "IN", "CA", "AU", "SE", "NO", "IT"),
            "segment": gaps(among("consumer", "consumer", "small_business", "enterprise", "public"), 0.02),
            "channel": among("web", "store", "phone", "partner", "mobile_app"),
            "churned": (rng.random(rows) < 0.17).astype("int64"),
        }
    )


def _write(path: Path, table: Any) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1 << 20)


def _write_csv(path: Path, table: Any) -> None:
    """Times by the second, nothing in quotes, a missing cell empty."""
    import pyarrow as pa
    import pyarrow.csv as csv

    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.timestamp("s")))
    csv.write_csv(table, path, csv.WriteOptions(quoting_style="none", quoting_header="none"))


def table_of(folder: Path, name: str) -> Any:
    import pyarrow as pa

    with pa.OSFile(str(folder / f"{name}.arrow"), "rb") as source:
        return pa.ipc.open_file(source).read_all()


def frame_of(folder: Path, name: str) -> Any:
    """A frame as a user has it, in memory of its own."""
    return table_of(folder, name).to_pandas(date_as_object=False)


def changes(folder: Path, turn: int, count: int) -> Any:
    """Rows to upsert: nine tenths change rows that are there, one tenth are new; others with each turn."""
    import numpy as np
    import pandas as pd

    frame = frame_of(folder, "prices")
    rng = np.random.default_rng(100 + turn)
    new = count // 10
    changed = frame.iloc[np.sort(rng.choice(len(frame), count - new, replace=False))].copy()
    changed["close"] = (changed["close"] * 1.01).round(4)
    changed["volume"] += 1
    fresh = frame.tail(new).copy()
    fresh["timestamp"] += pd.Timedelta(days=10 + 10 * turn)
    return pd.concat([changed, fresh], ignore_index=True)
