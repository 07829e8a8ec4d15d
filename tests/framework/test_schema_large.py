"""Frames large enough that their columns are decoded side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from framework.errors import FidelityError
from framework.schema import decode, encode
from framework.schema.frames import WORTH_THREADS
from framework.testing import assert_same

ROWS = WORTH_THREADS // 5 + 1


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
