"""aggregator: what plain Python counts and adds up, group by group, as they were first seen."""

from __future__ import annotations

import logging
import math
import statistics
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.errors import ColumnNotFoundError, DataException, ParameterError
from framework.mods.catalog import Mods
from framework.mods.run import ModRun

NUMBER = count()


def grouped(root: Path, table: pa.Table, **values: Any) -> pa.Table:
    """What aggregator makes of a table."""
    pq.write_table(table, root / "in.parquet")
    run = ModRun("r1", "aggregator", root / f"runs/{next(NUMBER)}", root, logging.getLogger("millpond.mods"))
    made = Mods(root).load("aggregator").call({"input_artifact": "in.parquet", **values}, run)
    after = pq.read_table(made.told.artifacts["output_data"])
    assert made.told.metrics["rows_processed"] == table.num_rows
    assert made.told.metrics["rows_output"] == after.num_rows
    return after


def missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def quantile(values: list[float], q: float) -> float | None:
    if not values:
        return None
    place = (len(values) - 1) * q
    low, ordered = int(place), sorted(values)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


BY_HAND = {
    "sum": lambda values: sum(values) if values else None,
    "mean": lambda values: statistics.fmean(values) if values else None,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "std": lambda values: statistics.stdev(values) if len(values) > 1 else None,
    "median": lambda values: quantile(values, 0.5),
    "quantile": lambda values: quantile(values, 0.9),
}
NUMBERS = st.one_of(st.none(), st.integers(-5, 5))
REALS = st.one_of(st.none(), st.sampled_from([math.nan, 0.5, -1.25, 3.0, 1e6]))
KEYS = st.one_of(st.none(), st.sampled_from(["", "a", "A", "b"]))
GROUPS = st.one_of(st.none(), st.sampled_from([math.nan, 0.0, 1.0]))


def like(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(KEYS, GROUPS, NUMBERS, REALS), max_size=12), st.sampled_from([[], ["k"], ["k", "g"], ["g"]]))
def test_groups_are_what_plain_python_makes_of_them(tmp_path: Path, rows: list[Any], by: list[str]) -> None:
    """Every function over whole and real numbers; null is a group, NaN is null, groups stand as first seen."""
    names, kinds = ("k", "g", "i", "f"), (pa.string(), pa.float64(), pa.int32(), pa.float64())
    arrays = {
        name: pa.array([row[place] for row in rows], kinds[place], from_pandas=False)
        for place, name in enumerate(names)
    }
    asked = {
        f"{column}_{function}": {
            "column": column,
            "function": function,
            **({"q": 0.9} if function == "quantile" else {}),
        }
        for column in ("i", "f")
        for function in BY_HAND
    }
    after = grouped(tmp_path, pa.table(arrays), group_by=by, aggregations={"rows": {"function": "count"}, **asked})

    wanted: dict[Any, list[Any]] = {}
    for row in rows:
        key = tuple(None if missing(row[names.index(name)]) else row[names.index(name)] for name in by)
        wanted.setdefault(key, []).append(row)
    if not by and not rows:
        wanted = {(): []}
    found = after.to_pylist()
    assert [tuple(None if missing(each[name]) else each[name] for name in by) for each in found] == list(wanted)
    for each, members in zip(found, wanted.values(), strict=True):
        assert each["rows"] == len(members)
        for column in ("i", "f"):
            values = [row[names.index(column)] for row in members if not missing(row[names.index(column)])]
            for function, by_hand in BY_HAND.items():
                assert like(each[f"{column}_{function}"], by_hand(values)), (column, function)


def test_types_are_those_of_the_values(tmp_path: Path) -> None:
    """Sums of whole numbers are whole, of decimals decimals; min, max, first and last have the column's type."""
    table = pa.table(
        {
            "k": pa.array(["x", "x"]).dictionary_encode(),
            "i": pa.array([1, 2], pa.int8()),
            "u": pa.array([2**63, 5], pa.uint64()),
            "b": pa.array([True, True]),
            "d": pa.array([Decimal("1.10"), Decimal("2.20")]),
            "t": pa.array([5, 2], pa.timestamp("ns", "Europe/Berlin")),
            "c": pa.array(["z", "y"]).dictionary_encode(),
            "l": pa.array([7, 9], pa.duration("ms")),
        }
    )
    asked = {name: {"column": name, "function": "sum"} for name in "iubd"}
    asked |= {name: {"column": name, "function": "min"} for name in "tcl"}
    after = grouped(tmp_path, table, group_by=["k"], aggregations=asked)
    assert [str(field.type) for field in after.schema][1:] == [
        "int64", "uint64", "int64", "decimal128(38, 2)", "timestamp[ns, tz=Europe/Berlin]", "string", "duration[ms]",
    ]  # fmt: skip
    assert after.schema.field("k").type == table.schema.field("k").type
    row = {name: column[0] for name, column in after.to_pydict().items() if name not in "tl"}
    assert row == {"k": "x", "i": 3, "u": 2**63 + 5, "b": 2, "d": Decimal("3.30"), "c": "y"}
    assert after.column("t").cast(pa.int64()).to_pylist() == [2]
    assert after.column("l").cast(pa.int64()).to_pylist() == [7]


def test_a_sum_beyond_64_bits_is_an_error(tmp_path: Path) -> None:
    """It is not turned into a number that is about right."""
    with pytest.raises(DataException, match="DuckDB"):
        grouped(tmp_path, pa.table({"i": [2**63 - 1, 1]}), aggregations={"s": {"column": "i", "function": "sum"}})


def test_groups_over_many_pieces_stand_as_they_were_first_seen(tmp_path: Path) -> None:
    """300,000 rows in 1,000 groups, none in the order of its key."""
    rows = 300_000
    keys = [i * 7919 % 1000 for i in range(rows)]
    table = pa.table({"k": keys, "n": range(rows)})
    asked = {"first": {"column": "n", "function": "first"}, "last": {"column": "n", "function": "last"}}
    after = grouped(tmp_path, table, group_by=["k"], aggregations=asked)
    assert after.column("k").to_pylist() == list(dict.fromkeys(keys))
    assert after.column("first").to_pylist() == list(range(1000))
    assert after.column("last").to_pylist() == list(range(rows - 1000, rows))


@pytest.mark.parametrize(
    ("aggregations", "words"),
    [
        ({"s": {"column": "t", "function": "sum"}}, r"sum needs numbers, and 't' is string.*data_cleaner"),
        ({"s": {"function": "sum"}}, "sum needs a column"),
        ({"s": {"column": "i", "function": "quantile"}}, "needs q"),
        ({"s": {"column": "i", "function": "sum", "q": 0.5}}, "q belongs to quantile"),
        ({"k": {"column": "i", "function": "sum"}}, "two columns"),
        ({}, "aggregations"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, aggregations: Any, words: str) -> None:
    """Before a row is written."""
    with pytest.raises(ParameterError, match=words):
        grouped(tmp_path, pa.table({"k": [1], "i": [1], "t": ["x"]}), group_by=["k"], aggregations=aggregations)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Of a group, or of what is made of it."""
    count_of = {"n": {"column": "i", "function": "count"}}
    with pytest.raises(ColumnNotFoundError, match="no column 'kk'"):
        grouped(tmp_path, pa.table({"k": [1], "i": [1]}), group_by=["kk"], aggregations=count_of)
    with pytest.raises(ColumnNotFoundError, match="no column 'i'"):
        grouped(tmp_path, pa.table({"k": [datetime(2024, 1, 1)]}), group_by=["k"], aggregations=count_of)
