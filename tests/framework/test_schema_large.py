"""Frames of many rows, and of tables that come in pieces: their memory is their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from framework.errors import FidelityError
from framework.schema import decode, encode
from framework.testing import assert_same

ROWS = 200_001


def large() -> pd.DataFrame:
    numbers = np.arange(ROWS)
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2024-01-02") + pd.to_timedelta(numbers, unit="s"),
            "text": pd.Series(["a", None, "b", "\u00e9"] * (ROWS // 4) + ["z"] * (ROWS % 4), dtype=object),
            "real": np.where(numbers % 7 == 0, np.nan, numbers / 3),
            "whole": pd.array(numbers, dtype="Int32"),
            "kind": pd.Categorical(numbers % 3),
        }
    )


def test_a_large_frame_comes_back_and_may_be_written_to() -> None:
    """The same values and dtypes in the same order; each column is its owner's."""
    frame = large()
    got = decode(*encode(frame))
    assert_same(frame, got)
    got.loc[0, "real"] = 1.5
    got.loc[0, "text"] = "changed"
    assert (got.loc[0, "real"], got.loc[0, "text"]) == (1.5, "changed")


def test_a_strange_cell_in_a_large_frame_is_named() -> None:
    """The error of one column is that of the frame."""
    table, schema = encode(large())
    with pytest.raises(FidelityError, match="'kind' holds 7, none of its categories"):
        decode(table.set_column(4, "kind", pa.array(np.full(ROWS, 7))), schema)


@pytest.mark.parametrize("pieces", [1, 2])
def test_who_writes_into_a_frame_changes_neither_its_table_nor_another_frame(pieces: int) -> None:
    """No column of a frame shares memory with the table that it was decoded from."""
    table, schema = encode(large())
    table = pa.concat_tables([table.slice(0, ROWS // pieces), table.slice(ROWS // pieces)]) if pieces > 1 else table
    first, second = decode(table, schema), decode(table, schema)
    cells = {"time": pd.Timestamp("1999-01-01"), "text": "new", "real": -1.0, "whole": -1, "kind": 2}
    for label, cell in cells.items():
        first[label].array[3] = cell
    assert_same(large(), second)
    assert_same(large(), decode(table, schema))
