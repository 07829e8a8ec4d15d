"""The parquet store."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework import DataFactory, as_settings
from framework.errors import BaseFrameworkException, FidelityError
from framework.testing import FolderConformance, assert_same
from framework.testing.examples import SAME
from framework.testing.suite import OTHER, PLAIN, Rows


class TestParquetStore(FolderConformance):
    """Parquet, read and written by pyarrow alone."""

    kind = "parquet"
    suffix = ".parquet"

    def raw_read(self, store: Any, name: str) -> Rows:
        return [tuple(row.values()) for row in pq.read_table(store.folder / f"{name}.parquet").to_pylist()]

    def raw_write(self, store: Any, name: str, rows: list[dict[str, Any]]) -> None:
        store.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), store.folder / f"{name}.parquet")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made: Any = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet")
    made.folder.mkdir()
    return made


def test_it_lies_in_fs_data(store: Any, tmp_path: Path) -> None:
    """Each dataset is one Parquet file, which pandas reads without us."""
    store.save_data(PLAIN, "deep/er")
    assert pd.read_parquet(tmp_path / "data" / "deep" / "er.parquet")["n"].tolist() == [3, 1, 2]


@pytest.mark.parametrize("what", SAME)
def test_what_pandas_wrote_comes_back_as_pandas_reads_it(store: Any, what: str) -> None:
    """A file by DataFrame.to_parquet has the index and dtypes that pandas gives it, or is refused."""
    frame, path = SAME[what](), store.folder / "d.parquet"
    try:
        frame.to_parquet(path)
        wanted = pd.read_parquet(path)
    except (ValueError, TypeError, pa.ArrowException):
        return  # pandas itself cannot
    try:
        got = store.get_data("d")
    except FidelityError:
        return
    pd.testing.assert_frame_equal(got, wanted, check_exact=True, check_freq=False)
    assert store.describe("d").rows == len(wanted)


def test_types_of_arrow_alone_are_read(store: Any) -> None:
    """A file by pyarrow keeps what its types say: nulls in integers, times to their unit, dictionaries."""
    table = pa.table(
        {
            "i": pa.array([1, None], pa.int32()),
            "u": pa.array([1, 2], pa.uint64()),
            "b": pa.array([True, None]),
            "t": pa.array(["a", None], pa.large_string()),
            "s": pa.array([1, None], pa.timestamp("ms")),
            "z": pa.array([1, None], pa.timestamp("us", "Europe/Paris")),
            "d": pa.array([1, None], pa.date32()),
            "c": pa.array(["x", "x"]).dictionary_encode(),
            "f": pa.array([np.nan, None], pa.float64()),
        }
    )
    pq.write_table(table, store.folder / "d.parquet")
    got = store.get_data("d")
    assert [str(kind) for kind in got.dtypes] == [
        *("Int32", "uint64", "boolean", "object", "datetime64[ms]", "datetime64[us, Europe/Paris]"),
        *("object", "category", "float64"),
    ]
    assert got["i"].tolist() == [1, pd.NA]
    assert got["t"].tolist() == ["a", None]


def test_a_column_that_is_not_read_can_be_left_out(store: Any) -> None:
    """A list column is refused by its name, and the others are given with columns=; describing goes on."""
    pq.write_table(pa.table({"n": [1, 2], "l": [[1], [2]]}), store.folder / "d.parquet")
    with pytest.raises(FidelityError, match=r"'l'.*columns="):
        store.get_data("d")
    assert store.get_data("d", columns=["n"])["n"].tolist() == [1, 2]
    assert dict(store.describe("d").columns) == {"n": "int64", "l": "list<element: int64>"}


def test_chunks_of_a_dictionary_that_differ_are_one_category(store: Any) -> None:
    """Row groups with different dictionaries are read as one column."""
    table = pa.table({"c": pa.array(["a", "b"]).dictionary_encode()})
    with pq.ParquetWriter(store.folder / "d.parquet", table.schema) as writer:
        writer.write_table(table)
        writer.write_table(pa.table({"c": pa.array(["z", None]).dictionary_encode()}))
    assert store.get_data("d")["c"].astype(object).tolist()[:3] == ["a", "b", "z"]


def test_damage_is_noticed_or_harmless(store: Any) -> None:
    """After one bit of the file was flipped, reading raises a typed error or gives the very same frame."""
    frame = pd.DataFrame({"x": np.arange(200), "t": pd.Series([f"row {n}" for n in range(200)], dtype=object)})
    store.save_data(frame, "d")
    path = store.folder / "d.parquet"
    whole, chance, noticed = path.read_bytes(), random.Random(11), 0
    for at in chance.sample(range(len(whole)), 400):
        bent = bytearray(whole)
        bent[at] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(bent))
        try:
            got = store.get_data("d")
            store.describe("d")
        except BaseFrameworkException:
            noticed += 1
        else:
            assert_same(frame, got)
    assert noticed > 200


def test_a_file_that_was_cut_is_an_error(store: Any) -> None:
    """Whatever is missing at the end of the file, reading raises; the file can be replaced."""
    store.save_data(PLAIN, "d")
    path = store.folder / "d.parquet"
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BaseFrameworkException, match="d"):
            store.get_data("d")
    store.save_data(OTHER, "d")
    assert_same(OTHER, store.get_data("d"))
