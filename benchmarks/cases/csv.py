"""CSV: files that others wrote, to a frame with dates; a frame to a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from data import DATES, frame_of
from rows import OURS, Call, Case, Place, Row, faster, within

FEW = 1000  # lines of the file on which a reader is warmed
GAPS = {"prices": (), "customers": ("age", "n_orders")}  # whole numbers, some missing
TEXT = {"prices": ("symbol",), "customers": ("customer_id", "country", "segment", "channel")}


def _beginning(place: Place, name: str) -> str:
    """A file with the first lines of that one."""
    path = place.scratch("warm") / f"{name}.csv"
    if not path.exists():
        with open(place.folder / f"{name}.csv") as source, open(path, "w") as sink:
            sink.writelines(line for line, _ in zip(source, range(FEW), strict=False))
    return str(path)


def _load(name: str, reader: Callable[[str], Callable[[str], Any]]) -> Callable[[Place], Call]:
    """The call that reads the file with what `reader` gives for its name."""

    def prepare(place: Place) -> Call:
        read = reader(name)
        read(_beginning(place, name))
        return lambda: len(read(str(place.folder / f"{name}.csv")))

    return prepare


def _ours(name: str) -> Callable[[Place], Call]:
    def prepare(place: Place) -> Call:
        from cases.ours import store

        made = store("csv", place)
        folder = made.settings.data_folder
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_beginning(place, name), folder / f"{name}_few.csv")
        there = folder / f"{name}.csv"
        if not there.exists():
            shutil.copyfile(place.folder / f"{name}.csv", there)
        made.get_data(f"{name}_few")
        return lambda: len(made.get_data(name))

    return prepare


def _pandas(name: str) -> Callable[[str], Any]:
    import pandas as pd

    return lambda path: pd.read_csv(path, parse_dates=DATES[name])


def _pandas_3(name: str, text: tuple[str, ...] = ()) -> Callable[[str], Any]:
    """Told what it does not find by itself: that "NA" is a text, and which whole numbers have gaps.

    Its text lies in Arrow's memory unless `text` names the columns: then it is Python's, as under pandas 2. It would
    still make 7 of "007".
    """
    import pandas as pd

    kinds = {**dict.fromkeys(GAPS[name], "Int64"), **dict.fromkeys(text, object)}
    return lambda path: pd.read_csv(path, parse_dates=DATES[name], dtype=kinds, keep_default_na=False, na_values=[""])


def _pandas_3_objects(name: str) -> Callable[[str], Any]:
    return _pandas_3(name, TEXT[name])


def _pyarrow(name: str) -> Callable[[str], Any]:
    import pyarrow.csv as csv

    options = csv.ConvertOptions(strings_can_be_null=True)
    return lambda path: csv.read_csv(path, convert_options=options).to_pandas(date_as_object=False)


def _polars(name: str) -> Callable[[str], Any]:
    import polars as pl

    return lambda path: pl.read_csv(path, try_parse_dates=True).to_pandas()


def _load_row(name: str, size: Callable[[int], int]) -> Row:
    return Row(
        f"csv_load_{name}",
        f"csv of others -> frame, {name}",
        (
            Case(OURS, OURS, _ours(name)),
            Case("pandas 2", "pandas2", _load(name, _pandas)),
            Case("pandas 3", "pandas3", _load(name, _pandas_3)),
            Case("pandas 3, text as objects", "pandas3", _load(name, _pandas_3_objects)),
            Case("pyarrow -> pandas", "pandas2", _load(name, _pyarrow)),
            Case("polars -> pandas", "polars", _load(name, _polars)),
        ),
        (within(1.15, "pyarrow -> pandas", "pandas 3"),),
        size=size,
    )


# --------------------------------------------------------------------------- frame -> csv


def _save_ours(place: Place) -> Call:
    from cases.ours import warmed

    frame, made = frame_of(place.folder, "prices"), warmed("csv", place)

    def call() -> int:
        made.save_data(frame, "saved")
        return len(frame)

    return call


def _own(place: Place) -> Call:
    from cases.ours import saved

    made = saved("csv", place, "own", frame_of(place.folder, "prices"))
    return lambda: len(made.get_data("own"))


def _save(writer: Callable[[], Callable[[Any, str], object]]) -> Callable[[Place], Call]:
    def prepare(place: Place) -> Call:
        frame, write = frame_of(place.folder, "prices"), writer()
        folder = place.scratch("written")
        write(frame.head(10), str(folder / "few.csv"))

        def call() -> int:
            write(frame, str(folder / "prices.csv"))
            return len(frame)

        return call

    return prepare


def _pandas_writer() -> Callable[[Any, str], object]:
    import pandas  # noqa: F401

    return lambda frame, path: frame.to_csv(path, index=False)


def _pyarrow_writer() -> Callable[[Any, str], object]:
    import pyarrow as pa
    import pyarrow.csv as csv

    return lambda frame, path: csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), path)


def _polars_writer() -> Callable[[Any, str], object]:
    import polars as pl

    return lambda frame, path: pl.from_pandas(frame).write_csv(path)


ROWS = (
    _load_row("prices", lambda rows: rows),
    _load_row("customers", lambda rows: rows // 2),
    Row(
        "csv_save",
        "frame -> csv, prices",
        (
            Case(OURS, OURS, _save_ours),
            Case("pandas 2", "pandas2", _save(_pandas_writer)),
            Case("pyarrow", "pandas2", _save(_pyarrow_writer)),
            Case("polars", "polars", _save(_polars_writer)),
        ),
        (faster(6, "pandas 2"),),
        rounds=3,
    ),
    Row(
        "csv_load_own",
        "csv of our own -> frame, prices",
        (Case(OURS, OURS, _own), Case("pyarrow -> pandas", "pandas2", _load("prices", _pyarrow))),
        (),
    ),
)
