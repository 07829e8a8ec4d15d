"""Rows into rows, against a dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import KeysError
from framework.schema import append, decode, encode, upsert
from framework.testing import assert_same
from framework.testing.examples import column, text

KEYS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), unique=True, max_size=12)
CELLS = [None, float("nan"), "x", "y"]


def made(keys: list[tuple[int, str]], cells: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "i": pd.array([i for i, _ in keys], dtype="int64"),
            "j": pd.Series([j for _, j in keys], dtype=object),
            "v": pd.Series(cells, dtype=object),
        }
    )


@given(KEYS, KEYS, st.randoms(use_true_random=False))
def test_an_upsert_is_what_a_dictionary_does(old: Any, new: Any, random: Any) -> None:
    """Rows whose keys are there are replaced in their places, the others follow; None and NaN stay what they are."""
    before = made(old, [random.choice(CELLS) for _ in old])
    after = made(new, [random.choice(CELLS) for _ in new])
    rows = dict(zip(old, before["v"], strict=True)) | dict(zip(new, after["v"], strict=True))
    got = decode(*upsert(encode(before), encode(after), ["i", "j"], "d"))
    assert_same(made(list(rows), list(rows.values())), got)


@given(KEYS, KEYS, st.randoms(use_true_random=False))
def test_a_column_that_does_not_come_stays(old: Any, new: Any, random: Any) -> None:
    """Rows that are there keep what the new rows lack; rows that are new have None."""
    before = made(old, [random.choice(CELLS) for _ in old])
    rows = dict.fromkeys(new) | dict(zip(old, before["v"], strict=True))
    got = decode(*upsert(encode(before), encode(made(new, [None] * len(new))[["j", "i"]]), ["i", "j"], "d"))
    order = old + [key for key in new if key not in old]
    assert_same(made(order, [rows[key] for key in order]), got)


@pytest.mark.parametrize(
    "keys",
    [
        np.array([1, 2], "uint64"),
        np.array([0.5, -0.0]),
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
        pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
        pd.Categorical(["a", "b"]),
        pd.array(["a", "b"], dtype="string"),
        pd.array([True, False]),
        pd.to_timedelta([1, 2], unit="s"),
        pd.Series([b"a", b"\xff"], dtype=object),
    ],
    ids=lambda keys: str(keys.dtype),
)
def test_rows_are_told_apart_by_any_kind_of_key(keys: Any) -> None:
    """Numbers, times, text, categories, booleans, durations and bytes can be keys."""
    frame = pd.DataFrame({"k": keys, "v": [1, 2]})
    got = decode(*upsert(encode(frame), encode(frame.iloc[1:].assign(v=5)), ["k"], "d"))
    assert_same(frame.assign(v=[1, 5]), got)


def test_keys_repeated_where_they_are_not_needed_do_no_harm() -> None:
    """Rows that are there twice stay so, as long as no new row means them."""
    old = pd.DataFrame({"k": [1, 1, 2], "v": [1, 2, 3]})
    got = decode(*upsert(encode(old), encode(pd.DataFrame({"k": [2], "v": [9]})), ["k"], "d"))
    assert_same(old.assign(v=[1, 2, 9]), got)
    with pytest.raises(KeysError, match="repeated"):
        upsert(encode(old), encode(pd.DataFrame({"k": [1], "v": [9]})), ["k"], "d")


def test_missing_cells_of_grown_columns_are_told() -> None:
    """A column of text that is added holds None where it was not, and the kinds that came behind."""
    old, new = encode(column([1, 2])), encode(pd.DataFrame({"x": [3, 4], "t": text(np.nan, None)["x"]}))
    wanted = pd.DataFrame({"x": [1, 2, 3, 4], "t": text(None, None, np.nan, None)["x"]})
    assert_same(wanted, decode(*append(old, new, "d")))
    assert_same(wanted, decode(*upsert(old, new, ["x"], "d")))
