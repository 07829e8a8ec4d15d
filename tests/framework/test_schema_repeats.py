"""Columns in which few objects stand in many cells: they are looked at once, and come back as if all had been."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from framework.errors import FidelityError
from framework.schema import decode, encode, objects
from framework.testing import assert_same

ROWS = 5000


def column(*cells: Any) -> pd.Series:
    """Those objects over and over."""
    held = np.empty(ROWS, dtype=object)
    for place in range(ROWS):
        held[place] = cells[place * 7 % len(cells)]
    return pd.Series(held, dtype=object)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(("a", "", "é", "b" * 300), id="texts"),
        pytest.param(("a", None, "NA"), id="texts-and-none"),
        pytest.param(("a", np.nan, "b"), id="texts-and-nan"),
        pytest.param((b"\x00", b"", None), id="bytes"),
        pytest.param((True, False, None), id="booleans"),
        pytest.param((1, 10**12, None), id="integers"),
        pytest.param((1.5, float("nan"), None), id="floats"),
        pytest.param((Decimal("1.10"), Decimal("1.1"), None), id="decimals"),
        pytest.param((dt.date(2024, 1, 2), pd.NaT), id="dates"),
        pytest.param((1, "1", (1, 2), None), id="mixed"),
        pytest.param((None,), id="nothing"),
    ],
)
def test_objects_that_are_repeated_come_back(cells: tuple[Any, ...]) -> None:
    """A column of few objects comes back exactly, whatever they are."""
    frame = pd.DataFrame({"a": column(*cells), "b": range(ROWS)})
    assert objects.once(frame["a"].to_numpy())[1] is not None  # it goes the way that this is about
    assert_same(decode(*encode(frame)), frame)


def test_repeated_or_not_the_schema_is_the_same() -> None:
    """What goes on record does not depend on whether equal cells are one object."""
    one = pd.DataFrame({"a": column("xxx", "yy", None)})
    many = pd.DataFrame({"a": [None if cell is None else "".join(list(cell)) for cell in one["a"]]}, dtype=object)
    table, schema = encode(one)
    other, like = encode(many)
    assert schema == like
    assert table.column("a").combine_chunks().equals(other.column("a").combine_chunks())


def test_a_column_of_a_wider_block_is_read_by_its_own_cells() -> None:
    """Cells that lie apart in memory, as those of a transposed frame do, are taken as they are."""
    wide = np.array([["a", "x"], ["b", "y"]] * (ROWS // 2), dtype=object)
    frame = pd.DataFrame(wide, columns=["one", "two"])
    assert_same(decode(*encode(frame[::-1].reset_index(drop=True))), frame[::-1].reset_index(drop=True))


def test_an_object_that_is_not_held_is_refused_where_it_is_repeated() -> None:
    """What has no exact form is refused by the name of its column."""
    with pytest.raises(FidelityError, match="'a'"):
        encode(pd.DataFrame({"a": column(object())}))


def test_text_beyond_one_piece_of_arrow_goes_into_several() -> None:
    """No piece holds more bytes than it may."""
    codes = np.arange(ROWS) % 3
    spread = objects.spread(pa.array(["x" * 10, "y", None]), pa.array(codes), most=3000)
    assert [len(piece) for piece in spread.chunks] == [300] * 16 + [200]
    assert spread.to_pylist() == [["x" * 10, "y", None][code] for code in codes]


@pytest.mark.parametrize("cells", [[1.5, -np.inf], [np.nan, 1.0], [np.nan], []], ids=str)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_with_and_without_gaps_come_back(cells: list[float], dtype: str) -> None:
    """NaN is a missing cell, and infinity is none."""
    frame = pd.DataFrame({"a": np.array(cells, dtype=dtype)})
    table, schema = encode(frame)
    assert table.column("a").null_count == int(np.isnan(frame["a"].to_numpy()).sum())
    assert_same(decode(table, schema), frame)


@pytest.mark.parametrize("cells", [["2024-01-01", "NaT"], ["1900-01-01"], ["NaT"], []], ids=str)
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_times_with_and_without_gaps_come_back(cells: list[str], unit: str) -> None:
    """NaT is a missing cell."""
    frame = pd.DataFrame({"a": np.array(cells, dtype=f"M8[{unit}]")})
    frame["b"] = frame["a"] - np.datetime64("2000-01-01", unit)
    table, schema = encode(frame)
    assert table.column("a").null_count == table.column("b").null_count == int(frame["a"].isna().sum())
    assert_same(decode(table, schema), frame)
