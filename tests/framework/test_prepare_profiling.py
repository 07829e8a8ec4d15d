"""Profiles of columns, against what plain Python reckons."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.prepare.profiling import QUANTILES, profile, profile_parquet, profile_pieces

NUMBERS = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e9, 1e9), st.just(math.nan))


def quantile(values: list[float], share: float) -> float:
    """By its definition, exactly."""
    ordered = sorted(map(Fraction, values))
    place = Fraction(share) * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def agrees_on_top(top: list[dict[str, Any]], values: list[Any]) -> None:
    counts = Counter(values)
    often = sorted((count for count in counts.values() if count > 1), reverse=True)[:5]
    assert [each["count"] for each in top] == often
    assert all(counts[each["value"]] == each["count"] for each in top)


@settings(deadline=None)
@given(st.lists(NUMBERS, max_size=40))
def test_numbers_are_as_python_reckons_them(values: list[float]) -> None:
    """Counts, range, mean, deviation, quantiles and what comes most often."""
    found = profile(pd.DataFrame({"x": np.array(values, dtype="float64")}))["x"]
    there = [value for value in values if not math.isnan(value)]
    assert (found.count, found.nulls, found.distinct) == (len(there), len(values) - len(there), len(set(there)))
    if not there:
        assert found.min is None
        return
    assert (found.min, found.max) == (min(there), max(there))
    assert found.mean == pytest.approx(statistics.fmean(there), rel=1e-9, abs=1e-6)
    if len(there) > 1:
        assert found.std == pytest.approx(statistics.stdev(there), rel=1e-6, abs=1e-6)
    for share in QUANTILES:
        assert found.quantiles[str(share)] == pytest.approx(quantile(there, share), rel=1e-9, abs=1e-9)
    agrees_on_top(found.top, there)


# Without NUL, which to a category of pandas is nothing.
LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", " ", "é", "C9"]), LETTERS), max_size=40))
def test_texts_are_as_python_counts_them(values: list[str | None]) -> None:
    """Distinct, least and greatest by their bytes, and what comes most often, however the column is kept."""
    there = [value for value in values if value is not None]
    for column in (
        pd.Series(values, dtype=object),
        pd.Series(values, dtype="category"),
        pd.Series(values, dtype="string"),
    ):
        found = profile(pd.DataFrame({"x": column}))["x"]
        assert (found.count, found.nulls, found.distinct) == (len(there), len(values) - len(there), len(set(there)))
        if there:
            assert (found.min, found.max) == (min(there, key=str.encode), max(there, key=str.encode))
        agrees_on_top(found.top, there)


def test_a_long_column_that_repeats_itself_is_counted_by_its_values() -> None:
    """The way for few distinct texts agrees with that for many."""
    texts = [f"t{place % 7}" for place in range(10_000)] + ["once"]
    found = profile(pd.DataFrame({"x": texts}))["x"]
    assert (found.distinct, found.min, found.max) == (8, "once", "t6")
    agrees_on_top(found.top, texts)
    rare = [str(place % 9_000) for place in range(10_000)]
    many = profile(pd.DataFrame({"x": [*rare, "7", "7"]}))["x"]
    assert (many.distinct, many.min, many.max) == (9_000, "0", "999")
    assert many.top[0] == {"value": "7", "count": 4}
    assert [each["count"] for each in many.top] == [4, 2, 2, 2, 2]


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))), max_size=20))
def test_times_are_in_their_order(values: list[datetime | None]) -> None:
    """The least, the greatest and the middle are times that are there."""
    found = profile(pd.DataFrame({"x": pd.Series(values, dtype="datetime64[ns]")}))["x"]
    there = sorted(value for value in values if value is not None)
    assert (found.count, found.distinct) == (len(there), len(set(there)))
    if there:
        ends = [pd.Timestamp(told) for told in (found.min, found.max, found.quantiles["0.5"])]
        assert ends == [there[0], there[-1], there[(len(there) - 1) // 2]]


def test_odd_columns_have_a_profile() -> None:
    """Flags, whole numbers beyond 2**53, values without end, lists, nothing at all, two columns of one name."""
    frame = pd.DataFrame(
        {
            "flag": pd.array([True, None, True], dtype="boolean"),
            "whole": pd.array([2**60 + 1, None, 2**60], dtype="Int64"),
            "endless": [math.inf, 1e308, 1.0],
            "lists": [[1], [1], None],
            "none": [None, None, None],
            "mixed": [1, "a", "a"],
        }
    )
    found = profile(frame)
    assert (found["flag"].distinct, found["flag"].top) == (1, [{"value": True, "count": 2}])
    assert (found["whole"].min, found["whole"].max) == (2**60, 2**60 + 1)
    assert (found["endless"].max, found["endless"].mean) == (math.inf, 1.0)
    assert (found["lists"].count, found["lists"].distinct) == (2, 1)
    assert (found["none"].count, found["none"].nulls) == (0, 3)
    assert found["mixed"].top == [{"value": "a", "count": 2}]
    assert [each.count for each in profile(pd.DataFrame([[1, 2]], columns=["x", "x"])).columns] == [1, 1]
    assert profile(pd.DataFrame()).columns == []
    json.dumps(found.as_dict())


def test_what_is_secret_is_not_shown() -> None:
    """Of a column with a telling name no value is."""
    found = profile(pd.DataFrame({"password": ["hunter2", "hunter2", "x"], "note": ["token=abc", "token=abc", "y"]}))
    assert "hunter2" not in json.dumps(found.as_dict())
    assert "abc" not in json.dumps(found.as_dict())


def table(rows: int) -> pa.Table:
    rng = np.random.default_rng(3)
    return pa.table(
        {
            "id": [f"C{place:06}" for place in range(rows)],
            "amount": pa.array(rng.normal(50, 9, rows), mask=rng.random(rows) < 0.1),
            "many": rng.integers(0, 9, rows),
            "day": pa.array(rng.integers(0, 10**6, rows), pa.timestamp("s")),
            "plan": pa.array(rng.choice(["a", "b", "c"], rows)).dictionary_encode(),
            "flag": rng.random(rows) < 0.5,
            "lists": [[place] for place in range(rows)],
        }
    )


def test_what_streams_by_agrees_with_what_is_there(tmp_path: Path) -> None:
    """Counts, range and moments are the same; what is estimated comes near."""
    whole = table(20_000)
    pq.write_table(whole, tmp_path / "x.parquet", row_group_size=3_000)
    exact, found = profile(whole), profile_parquet(tmp_path / "x.parquet")
    assert (found.rows, found.exact, exact.exact) == (20_000, False, True)
    for one, other in zip(exact.columns, found.columns, strict=True):
        assert (one.name, one.count, one.nulls) == (other.name, other.count, other.nulls)
        if one.name != "lists":
            assert other.distinct == pytest.approx(one.distinct, rel=0.2)
        if one.mean is not None:
            assert other.mean == pytest.approx(one.mean)
            assert other.std == pytest.approx(one.std)
            assert (other.min, other.max) == (one.min, one.max)
            assert other.quantiles["0.5"] == pytest.approx(one.quantiles["0.5"], rel=0.02)
    assert {each["value"] for each in found["plan"].top} == {"a", "b", "c"}
    json.dumps(found.as_dict())


def test_values_without_end_do_not_stop_what_streams_by() -> None:
    """NaN is missing; the mean is of what can be squared."""
    piece = pa.record_batch({"x": [math.inf, math.nan, 1e300, 1.0, 3.0, None]})
    found = profile_pieces(piece.schema, [piece])["x"]
    assert (found.count, found.nulls, found.max, found.mean, found.std) == (4, 2, math.inf, 2.0, math.sqrt(2))
    assert profile_pieces(piece.schema, []).rows == 0


class Stopped(BaseException):
    """What a caller raises to stop."""


def test_an_error_of_the_pieces_is_theirs_and_a_stop_stops() -> None:
    """Neither is wrapped in DuckDB's words."""
    piece = pa.record_batch({"x": [1.0]})

    def pieces() -> Iterator[pa.RecordBatch]:
        yield piece
        raise FileNotFoundError("gone")

    def stop() -> None:
        raise Stopped

    with pytest.raises(FileNotFoundError, match="gone"):
        profile_pieces(piece.schema, pieces())
    with pytest.raises(Stopped):
        profile_pieces(piece.schema, [piece], check=stop)
    with pytest.raises(Stopped):
        profile(pd.DataFrame({"x": [1]}), check=stop)
