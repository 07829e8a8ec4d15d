"""joiner: the pairs that a loop over both sides finds, in the left's order."""

from __future__ import annotations

import logging
import math
import re
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

from framework.errors import ColumnNotFoundError, ParameterError, ValidationException
from framework.mods.catalog import Mods
from framework.mods.run import ModRun

NUMBER = count()


def joined(root: Path, left: pa.Table, right: pa.Table, **values: Any) -> pa.Table:
    """What joiner makes of two tables."""
    pq.write_table(left, root / "left.parquet")
    pq.write_table(right, root / "right.parquet")
    run = ModRun("r1", "joiner", root / f"runs/{next(NUMBER)}", root, logging.getLogger("millpond.mods"))
    given = {"left_artifact": "left.parquet", "right_artifact": "right.parquet", **values}
    made = Mods(root).load("joiner").call(given, run)
    assert not list(run.folder.glob(".*")), "something was left in the run's folder"
    assert made.told.metrics["rows_processed"] == left.num_rows + right.num_rows
    table = pq.read_table(made.told.artifacts["output_data"])
    assert made.told.metrics["rows_output"] == table.num_rows
    return table


def lacks(key: tuple[Any, ...]) -> bool:
    return any(each is None or (isinstance(each, float) and math.isnan(each)) for each in key)


def pairs_of(
    left: list[tuple[Any, ...]], right: list[tuple[Any, ...]], how: str
) -> list[tuple[int | None, int | None]]:
    """By a loop over both sides."""
    found: list[tuple[int | None, int | None]] = []
    for i, one in enumerate(left):
        here = [j for j, other in enumerate(right) if not lacks(one) and one == other]
        if how in ("semi", "anti"):
            found += [(i, None)] if bool(here) == (how == "semi") else []
        elif here:
            found += [(i, j) for j in here]
        elif how in ("left", "outer"):
            found.append((i, None))
    if how in ("right", "outer"):
        met = {j for _, j in found}
        found += [(None, j) for j in range(len(right)) if j not in met]
    return found


KEYS = st.one_of(st.none(), st.integers(0, 3))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "A", "ä", "007", "7"]))
FLOATS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, math.nan]))
HOW = ["inner", "left", "right", "outer", "semi", "anti"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(KEYS, TEXTS, FLOATS), max_size=8),
    st.lists(st.tuples(KEYS, TEXTS, FLOATS), max_size=8),
    st.sampled_from(HOW),
    st.sampled_from([("k",), ("t",), ("f",), ("k", "t"), ("k", "t", "f")]),
)
def test_a_join_is_what_a_loop_over_both_sides_finds(
    tmp_path: Path, left: list[Any], right: list[Any], how: str, on: tuple[str, ...]
) -> None:
    """Pairs, order, nulls that match nothing, and the key of a row without a left, for every kind of join."""
    names, kinds = ("k", "t", "f"), (pa.int64(), pa.string(), pa.float64())

    def table(rows: list[Any], extra: str) -> pa.Table:
        columns = {
            name: pa.array([row[i] for row in rows], kinds[i], from_pandas=False) for i, name in enumerate(names)
        }
        chosen = {name: columns[name] for name in on}
        return pa.table({**chosen, extra: pa.array(range(len(rows)), pa.int32())})

    def key(row: Any) -> tuple[Any, ...]:
        return tuple(row[names.index(name)] for name in on)

    made = joined(tmp_path, table(left, "l"), table(right, "r"), on=list(on), how=how)
    wanted = pairs_of([key(row) for row in left], [key(row) for row in right], how)
    assert made.column("l").to_pylist() == [i for i, _ in wanted]
    if how in ("semi", "anti"):
        assert made.column_names == [*on, "l"]
        return
    assert made.column("r").to_pylist() == [j for _, j in wanted]
    keys = [key(left[i]) if i is not None else key(right[j]) for i, j in wanted]  # type: ignore[index]
    for place, name in enumerate(on):
        assert repr(made.column(name).to_pylist()) == repr([each[place] for each in keys])
        assert made.schema.field(name).type == kinds[names.index(name)]


def test_values_and_types_of_both_sides_are_carried_as_they_are(tmp_path: Path) -> None:
    """Types that DuckDB does not hold exactly come through: categories, wide decimals, nanoseconds, durations."""
    odd = {
        "category": pa.array(["x", None, "y"]).dictionary_encode(),
        "wide": pa.array([Decimal("1" * 40 + ".25"), None, Decimal("-3.50")], pa.decimal256(60, 2)),
        "instant": pa.array([1, None, 1700000000123456789], pa.timestamp("ns", "Europe/Berlin")),
        "lasts": pa.array([5, None, -5], pa.duration("ns")),
        "small": pa.array([1.5, None, -2.0], pa.float32()).cast(pa.float16()),
        "bytes": pa.array([b"\x00\xff", None, b""]),
        "long": pa.array(["a", None, "b"], pa.large_string()),
    }
    left = pa.table({"id": pa.array([3, 1, 2]), **odd})
    right = pa.table({"id": pa.array([1, 2, 3]), **odd})
    made = joined(tmp_path, left, right, on="id", suffixes=["", "_r"])
    assert made.column("id").to_pylist() == [3, 1, 2]
    for name, values in odd.items():
        assert made.schema.field(name).type == values.type
        assert made.schema.field(f"{name}_r").type == values.type
        assert made.column(name).to_pylist() == values.to_pylist()
        assert made.column(f"{name}_r").to_pylist() == [values.to_pylist()[i] for i in (2, 0, 1)]


def test_keys_of_other_names_stay_two_columns(tmp_path: Path) -> None:
    """left_on and right_on keep each side's key; a column that both have gets the suffix."""
    left = pa.table({"id": [10, 11], "customer": ["a", "b"]})
    right = pa.table({"key": ["b", "c"], "id": [7, 8]})
    made = joined(tmp_path, left, right, left_on="customer", right_on="key", how="outer")
    assert made.to_pylist() == [
        {"id": 10, "customer": "a", "key": None, "id_right": None},
        {"id": 11, "customer": "b", "key": "b", "id_right": 7},
        {"id": None, "customer": None, "key": "c", "id_right": 8},
    ]


def test_whole_numbers_of_any_width_meet_and_the_key_holds_both(tmp_path: Path) -> None:
    """An int32 key meets an int64 one, and the output's key is wide enough for a right row's value."""
    left = pa.table({"id": pa.array([1, 2], pa.int32())})
    right = pa.table({"id": pa.array([2, 2**40], pa.int64())})
    assert joined(tmp_path, left, right, on="id", how="outer").column("id").to_pylist() == [1, 2, 2**40]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.date32()], ids=str)
def test_keys_of_types_that_cannot_be_compared_are_refused(tmp_path: Path, kind: pa.DataType) -> None:
    """Text "007" is no number 7: the error names both types."""
    with pytest.raises(ParameterError, match=rf"string.*{re.escape(str(kind))}.*data_cleaner"):
        joined(
            tmp_path, pa.table({"id": ["007"]}), pa.table({"id": pa.array([7]).cast(pa.int32()).cast(kind)}), on="id"
        )


@pytest.mark.parametrize(
    ("validate", "left", "right", "fails"),
    [
        ("one_to_one", [1, 2], [2, 1], None),
        ("one_to_one", [1, 1], [1], "left"),
        ("one_to_one", [1], [1, 1], "right"),
        ("one_to_many", [1], [1, 1], None),
        ("one_to_many", [1, 1], [1], "left"),
        ("many_to_one", [1, 1], [1], None),
        ("many_to_one", [1], [1, 1], "right"),
        ("many_to_many", [1, 1], [1, 1], None),
        ("one_to_one", [None, None], [None, None], None),
    ],
)
def test_validate_holds_a_side_to_one_row_of_each_key(
    tmp_path: Path, validate: str, left: list[Any], right: list[Any], fails: str | None
) -> None:
    """The error names the side and the key; null keys, which match nothing, count for nothing."""
    tables = (pa.table({"id": pa.array(each, pa.int64())}) for each in (left, right))
    if fails is None:
        joined(tmp_path, *tables, on="id", validate=validate)
    else:
        with pytest.raises(ValidationException, match=f"2 rows of the {fails}.*id=1"):
            joined(tmp_path, *tables, on="id", validate=validate)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error has the column that is near."""
    with pytest.raises(ColumnNotFoundError, match=r"left\.parquet has no column 'idd'.*'id'"):
        joined(tmp_path, pa.table({"id": [1]}), pa.table({"id": [1]}), on="idd")


@pytest.mark.parametrize(
    "values", [{}, {"on": "id", "left_on": "id"}, {"left_on": ["id"]}, {"left_on": ["id"], "right_on": ["id", "x"]}]
)
def test_keys_are_said_once_and_wholly(tmp_path: Path, values: dict[str, Any]) -> None:
    """Neither, both, or sides of unequal length are errors before anything is read."""
    with pytest.raises(ParameterError, match="left_on and right_on"):
        joined(tmp_path, pa.table({"id": [1]}), pa.table({"id": [1]}), **values)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Suffixes that make two names one are an error that says so."""
    left, right = pa.table({"id": [1], "x": [1], "x_right": [2]}), pa.table({"id": [1], "x": [3]})
    with pytest.raises(ParameterError, match=r"'x_right'.*suffixes"):
        joined(tmp_path, left, right, on="id")


def test_a_join_of_several_pieces_and_names_that_sql_takes_for_one(tmp_path: Path) -> None:
    """200,000 rows in either order meet by their keys, with columns `a`, `A`, `c0` and `_row` on both sides."""
    rows = 200_000
    left = pa.table({"a": range(rows), "A": range(rows), "c0": range(rows), "_row": range(rows)})
    right = pa.table({"a": range(rows - 1, -1, -1), "A": range(rows), "c0": range(rows), "_row": range(rows)})
    made = joined(tmp_path, left, right, on="a")
    assert made.column("a").to_pylist() == list(range(rows))
    assert made.column("A").to_pylist() == made.column("_row").to_pylist() == list(range(rows))
    assert made.column("A_right").to_pylist() == made.column("_row_right").to_pylist() == list(range(rows - 1, -1, -1))


def test_times_with_a_zone_meet_by_their_instant(tmp_path: Path) -> None:
    """One instant in two zones is one key."""
    left = pa.table({"at": pa.array([datetime(2024, 1, 1, 12)], pa.timestamp("us", "UTC"))})
    right = left.cast(pa.schema([("at", pa.timestamp("ns", "Asia/Tokyo"))])).append_column("x", pa.array([1]))
    assert joined(tmp_path, left, right, on="at").column("x").to_pylist() == [1]


@pytest.mark.parametrize("how", ["inner", "outer", "right"])
def test_whole_numbers_beyond_the_signed_ones_are_joined_with_those_below_zero(how: str, tmp_path: Path) -> None:
    """A key that no integer type holds on both sides is a decimal without a fraction: none is lost."""
    left = pa.table({"k": pa.array([1, 2**64 - 1], pa.uint64()), "v": [1, 2]})
    right = pa.table({"k": pa.array([-1, 1], pa.int64()), "w": [3, 4]})
    only = {"inner": {1}, "outer": {1, 2**64 - 1, -1}, "right": {1, -1}}[how]
    for one, other in ((left, right), (right, left)):
        mirrored = how if one is left else {"right": "left"}.get(how, how)
        assert {int(key) for key in joined(tmp_path, one, other, on="k", how=mirrored)["k"].to_pylist()} == only
