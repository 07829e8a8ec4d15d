"""Skimming a file: counts and ranges as they are, quantiles within what is promised, whatever the file is like."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import DatasetNotFoundError, IngestionException
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.profiling import QUANTILES, profile, profile_pieces
from framework.prepare.sketches import Moments, Sketch, room_of
from framework.prepare.skimming import skim

ROOM = 256
ORDERS = {
    "ascending": np.sort,
    "descending": lambda values: np.sort(values)[::-1],
    "as they come": lambda values: values,
    "two runs": lambda values: np.concatenate((np.sort(values[::2]), np.sort(values[1::2])[::-1])),
    "saw": lambda values: np.sort(values).reshape(100, -1).T.ravel(),
}


def ranks_are_near(ordered: Any, found: list[float], error: float) -> None:
    """Of each quantile found, the ranks that it has are within the error of the one asked for."""
    for share, value in zip(QUANTILES, found, strict=True):
        low, high = (np.searchsorted(ordered, value, side) / len(ordered) for side in ("left", "right"))
        assert low - error - 1 / len(ordered) <= share <= high + error + 1 / len(ordered)
        assert low < high, "it is none of the values"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["spread", "few", "heavy"])
def test_a_quantile_is_as_near_as_it_is_said_to_be(order: str, kind: str) -> None:
    """Whatever the order and the values, and though the room is small."""
    rng = np.random.default_rng(7)
    values = {"spread": rng.random(100_000), "few": rng.integers(0, 4, 100_000), "heavy": rng.pareto(0.5, 100_000)}[
        kind
    ]
    values = ORDERS[order](values.astype("float64"))
    sketch = Sketch(ROOM)
    for start in range(0, len(values), 999):
        sketch.add(values[start : start + 999])
    assert sketch.count == len(values)
    assert 0 < sketch.error < 0.05
    ranks_are_near(np.sort(values), sketch.quantiles(QUANTILES), sketch.error)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float), min_size=1, max_size=300), st.integers(1, 60))
def test_few_values_are_exact_and_more_are_near(values: list[float], piece: int) -> None:
    """Up to the room quantiles are NumPy's; moments are those of all values, in whatever pieces they come."""
    sketch, moments = Sketch(32), Moments()
    for start in range(0, len(values), piece):
        part = np.array(values[start : start + piece])
        sketch.add(part)
        moments.add(part, whole=True)
    found = sketch.quantiles(QUANTILES)
    if len(values) < 32:
        assert sketch.error == 0
        assert found == pytest.approx(list(np.quantile(values, QUANTILES)), rel=1e-12, abs=1e-9)
    else:
        ranks_are_near(np.sort(values), found, sketch.error)
    assert (moments.count, moments.low, moments.high) == (len(values), min(values), max(values))
    assert moments.whole == all(value.is_integer() for value in values)
    assert moments.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    if len(values) > 1:
        assert moments.std == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)


def test_the_error_that_is_promised_is_that_of_so_many_values() -> None:
    """0.034 % of ten million values and 0.052 % of a billion, of as many columns as have the whole room."""
    room = room_of(16)
    for count, promised in ((10_000_000, 0.00034), (1_000_000_000, 0.00052)):
        levels = int(math.log2(count / room)) + 1
        assert (levels + 2) / room == pytest.approx(promised, abs=0.000005)
    assert room_of(1) == room_of(16) == 32_768
    assert [room_of(columns) for columns in (17, 33, 10_000)] == [16_384, 8_192, 2_048]


def table(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    day = np.datetime64("2020-01-01", "s") + rng.integers(0, 10**8, rows)
    frame = pd.DataFrame(
        {
            "id": [f"C{place:06}" for place in range(rows)],
            "amount": rng.normal(50, 90, rows).round(3),
            "many": pd.array(rng.integers(-9, 9, rows), dtype="Int64"),
            "day": day,
            "plan": rng.choice(["a", "b, b", 'c "c"', "NA"], rows),
        }
    )
    frame.loc[rng.random(rows) < 0.1, ["amount", "day", "plan"]] = None
    frame.loc[rng.random(rows) < 0.2, "many"] = pd.NA
    return frame


def agree(found: Any, exact: Any, error: float) -> None:
    for one, other in zip(exact.columns, found.columns, strict=True):
        assert (one.name, one.count, one.nulls) == (other.name, other.count, other.nulls)
        if one.mean is not None:
            assert (other.min, other.max) == (one.min, one.max)
            assert other.mean == pytest.approx(one.mean)
            assert other.std == pytest.approx(one.std)
            assert list(other.quantiles) == list(one.quantiles)
        assert other.distinct is None
    assert (found.rows, found.exact, found.rank_error) == (exact.rows, False, error)


def test_a_skimmed_file_agrees_with_its_profile(tmp_path: Path) -> None:
    """CSV, packed CSV, CSV in another encoding with commas, Parquet: counts, nulls, ranges, moments, quantiles."""
    frame = table(20_000)
    exact = profile(frame)
    frame.to_csv(tmp_path / "x.csv", index=False)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes()))
    frame.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",", encoding="utf-16")
    frame.to_parquet(tmp_path / "x.parquet", row_group_size=3_000)
    for name in ("x.csv", "x.csv.gz", "comma.csv", "x.parquet"):
        found = skim(tmp_path / name)
        agree(found, exact, 0.0)
        for column in ("amount", "many"):
            assert found[column].quantiles == pytest.approx(exact[column].quantiles), name
        assert found["day"].min[:19].replace("T", " ") == exact["day"].min[:19]
        json.dumps(found.as_dict())
    assert skim(tmp_path / "x.csv")["many"].type == "int64"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comma.csv", "x.csv", "x.csv.gz", "x.parquet"]


def test_many_rows_are_within_the_error_that_is_told(tmp_path: Path) -> None:
    """Of a file and of pieces, and no two runs differ."""
    values = np.random.default_rng(2).lognormal(10, 1, 200_000).round(2)
    pq.write_table(pa.table({"x": values}), tmp_path / "x.parquet")
    pd.DataFrame({"x": values, "y": 1}).to_csv(tmp_path / "x.csv", index=False)
    found = [skim(tmp_path / "x.parquet"), skim(tmp_path / "x.csv"), skim(tmp_path / "x.csv")]
    found.append(profile_pieces(pa.schema([("x", pa.float64())]), pa.table({"x": values}).to_batches(7_000)))
    for each in found:
        assert 0 < each.rank_error < 0.0004
        ranks_are_near(np.sort(values), list(each["x"].quantiles.values()), each.rank_error)
    assert found[1].columns == found[2].columns


LATE = 100_000  # rows, beyond the sample


@pytest.mark.parametrize(
    ("first", "late", "kind", "nulls"),
    [
        ("12", "007", "string", 0),
        ("12", "twelve", "string", 0),
        ("12", "NA", "int64", 1),
        ("12", "2.5", "double", 0),
        ("12", "", "int64", 1),
        ("1.5", "1,5", "string", 0),
        ("1.5", "NaN", "double", 1),
        ("1.5", "null", "double", 1),
        ("0.5", "inf", "string", 0),
        ("2024-01-02", "2024-01-02 03:04:05", "timestamp[us]", 0),
        ("2024-01-02", "31.12.2024", "string", 0),
        ("", "x", "string", LATE),
        ("", "7", "int64", LATE),
        ("", "", "null", LATE + 1),
    ],
)
def test_one_cell_far_down_decides_what_a_column_is(
    tmp_path: Path, first: str, late: str, kind: str, nulls: int
) -> None:
    """As it does in ingestion: one that is none makes text of it, and the counts are right all the same."""
    rows = f'"{first}",a\n'.replace('""', "") * LATE
    (tmp_path / "x.csv").write_text(f'x,y\n{rows}"{late}",NA\n'.replace('""', ""))
    found = skim(tmp_path / "x.csv")
    assert (found["x"].type, found["x"].nulls, found.rows) == (kind, nulls, LATE + 1)
    assert (found["y"].type, found["y"].nulls) == ("string", 0)
    assert bool(found["x"].quantiles) == (kind in ("int64", "double"))


ODD = {
    "only a header": b"x,y\n",
    "a byte order mark": b"\xef\xbb\xbfx,y\n1,2\n3,\n",
    "ends of lines of Windows": b"x,y\r\n1,2\r\n,4\r\n",
    "blank lines": b"x,y\n1,2\n\n3,4\n\n\n5,\n",
    "a line end in quotes": b'x,y\n1,"a\nb"\n2,c\n',
    "doubled quotes": b'x,y\n1,"a ""b"", c"\n2,""\n',
    "no end": b"x,y\n1,2\n3,4",
    "no header": b"1,2.5\n3,4.5\n5,\n",
    "semicolons": b"x;y\n1;2.5\n2;3.5\n",
    "one column": b"x\n1\n\n3\n",
    "apostrophes": b"x,y\n1,'a,b'\n2,'c,d'\n3,'e,f'\n",
    "too few fields": b"x,y\n1,2\n3\n",
    "a name twice": b"x,x\n1,2\n3,4\n",
    "nothing": b"",
}


@pytest.mark.parametrize("said", ODD)
def test_an_odd_file_is_what_it_is_to_ingestion(tmp_path: Path, said: str) -> None:
    """The same columns with as many rows and nulls, or refused with the same words."""
    (tmp_path / "x.csv").write_bytes(ODD[said])

    def told(call: Any) -> Any:
        try:
            return call()
        except IngestionException as error:
            return str(error)

    def ingested() -> Any:
        result = DataIngestionService().ingest(tmp_path / "x.csv")[1]
        return result.rows, [(each["name"], each["nulls"]) for each in result.columns]

    def skimmed() -> Any:
        found = skim(tmp_path / "x.csv")
        return found.rows, [(each.name, each.nulls) for each in found.columns]

    assert told(skimmed) == told(ingested)


def test_names_of_files_are_no_patterns(tmp_path: Path) -> None:
    """Of two files whose names a pattern fits, the one that was named is read."""
    (tmp_path / "a[b].csv").write_text("x,y\n1,2\n")
    (tmp_path / "ab.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "it's.csv").write_text("x,y\n1,2\n3,4\n5,6\n")
    assert [skim(tmp_path / name).rows for name in ("a[b].csv", "ab.csv", "it's.csv")] == [1, 2, 3]


def test_what_is_no_table_is_refused_with_the_line(tmp_path: Path) -> None:
    """By ingestion, in its words."""
    (tmp_path / "x.csv").write_text("x,y\n" + "1,2\n" * LATE + "1,2,3\n")
    with pytest.raises(IngestionException) as refused:
        skim(tmp_path / "x.csv")
    assert refused.value.line == LATE + 2
    with pytest.raises(DatasetNotFoundError):
        skim(tmp_path / "none.csv")


class Stopped(BaseException):
    """What a caller raises to stop."""


def test_skimming_can_be_stopped(tmp_path: Path) -> None:
    """By what `check` raises, of either kind of file."""

    def stop() -> None:
        raise Stopped

    (tmp_path / "x.csv").write_text("x,y\n1,2\n")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    for name in ("x.csv", "x.parquet"):
        with pytest.raises(Stopped):
            skim(tmp_path / name, check=stop)
