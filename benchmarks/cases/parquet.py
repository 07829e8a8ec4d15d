"""Parquet, both ways, against pandas and pyarrow with what they do unless told otherwise."""

from __future__ import annotations

from data import frame_of
from rows import OURS, Call, Case, Place, Row, within

CALLS = 3  # of loads, after two that are not timed


def _save_ours(place: Place) -> Call:
    from cases.ours import warmed

    frame, made = frame_of(place.folder, "prices"), warmed("parquet", place)

    def call() -> int:
        made.save_data(frame, "saved")
        return len(frame)

    return call


def _save_pandas(place: Place) -> Call:
    frame, folder = frame_of(place.folder, "prices"), place.scratch("written")
    frame.head(10).to_parquet(folder / "few.parquet")

    def call() -> int:
        frame.to_parquet(folder / "prices.parquet")
        return len(frame)

    return call


def _load_ours(place: Place) -> Call:
    from cases.ours import saved

    made = saved("parquet", place, "loaded", frame_of(place.folder, "prices"))
    return lambda: len(made.get_data("loaded"))


def _load_pandas(place: Place) -> Call:
    import pandas as pd

    folder = place.scratch("written")
    frame = frame_of(place.folder, "prices")
    frame.head(10).to_parquet(folder / "few.parquet")
    pd.read_parquet(folder / "few.parquet")
    path = folder / "loaded.parquet"
    if not path.exists():
        frame.to_parquet(path)
    del frame
    return lambda: len(pd.read_parquet(path))


ROWS = (
    Row(
        "parquet_save",
        "frame -> parquet, prices",
        (Case(OURS, OURS, _save_ours), Case("pandas 2 + pyarrow", "pandas2", _save_pandas)),
        (within(1.25, "pandas 2 + pyarrow"),),
        rounds=9,
    ),
    Row(
        "parquet_load",
        "parquet -> frame, prices",
        (
            Case(OURS, OURS, _load_ours, calls=CALLS),
            Case("pandas 2 + pyarrow", "pandas2", _load_pandas, calls=CALLS),
        ),
        (within(1.1, "pandas 2 + pyarrow"),),
        rounds=9,
    ),
)
