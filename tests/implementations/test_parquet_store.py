"""The parquet store."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework import DataFactory, as_settings
from framework.errors import (
    BaseFrameworkException,
    DatasetExistsError,
    FidelityError,
    OptionError,
    SchemaError,
    StorageError,
)
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


# --------------------------------------------------------------------------- row groups


MANY = 1_200_000  # of two row groups


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store that holds a million rows in several row groups."""
    made: Any = DataFactory(as_settings(workspace=tmp_path_factory.mktemp("large"))).create_store("parquet")
    text = pd.Series(["some text that is long enough to be seen"] * MANY, dtype=object)
    frame = pd.DataFrame({"n": range(MANY), "x": np.arange(MANY) / 3, "t": text})
    frame.loc[5, "x"] = np.nan
    made.save_data(frame, "d")
    return made


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (("n", ">=", MANY - 10), 10),
        (("n", "==", 3), 1),
        (("n", "in", [1, MANY - 1]), 2),
        (("n", "<", 0), 0),
        (("x", "is null"), 1),
        (("x", "not null"), MANY - 1),
        (("x", "<", 1.0), 3),
        (("t", "!=", "other"), MANY),
    ],
    ids=str,
)
def test_conditions_give_the_same_rows_whatever_is_passed_over(large: Any, condition: Any, rows: int) -> None:
    """Row groups that hold no such row are not read; those that may are."""
    assert len(large.get_data("d", columns=["n"], where=[condition])) == rows
    assert sum(map(len, large.iter_data("d", columns=["n"], where=[condition]))) == rows


def test_row_groups_without_a_row_that_is_asked_for_are_not_read(large: Any, tmp_path: Path) -> None:
    """Damage in one of them is not noticed by a condition on others, and is by all else."""
    path = large.folder / "d.parquet"
    whole = path.read_bytes()
    first = pq.ParquetFile(path).metadata.row_group(0).column(0)
    bent = bytearray(whole)
    bent[(first.dictionary_page_offset or first.data_page_offset) + first.total_compressed_size // 2] ^= 1
    path.write_bytes(bytes(bent))
    try:
        assert len(large.get_data("d", where=[("n", ">=", MANY - 10)])) == 10
        for where in (None, [("n", "<", 10)]):
            with pytest.raises(BaseFrameworkException, match="d"):
                large.get_data("d", where=where)
            with pytest.raises(BaseFrameworkException, match="d"):
                list(large.iter_data("d", where=where))
    finally:
        path.write_bytes(whole)


COUNT = """
import sys
from framework import DataFactory, as_settings
store = DataFactory(as_settings(workspace=sys.argv[1])).create_store("parquet")
print(sum(map(len, store.iter_data(sys.argv[2], chunk_rows=20_000))))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("writer", ["ours", "pandas", "arrow"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, writer: str) -> None:
    """In chunks, a file five times as large takes little more."""
    store: Any = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet")
    store.folder.mkdir()
    peaks = []
    for rows in (400_000, 2_000_000):
        words = pd.Series([f"some text that is long enough to be seen {row}" for row in range(rows)], dtype=object)
        frame = pd.DataFrame({"n": range(rows), "t": words})
        if writer == "ours":
            store.save_data(frame, "d")
        elif writer == "pandas":
            frame.to_parquet(store.folder / "d.parquet")
        else:
            pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(None), store.folder / "d.parquet")
        command = [sys.executable, "-c", COUNT, str(tmp_path), "d"]
        found, most = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(found) == rows
        peaks.append(int(most))
    assert peaks[1] - peaks[0] < 120_000, peaks  # its frame grew by 300 MB


@pytest.mark.parametrize("codec", ["snappy", "gzip", "zstd", "none"])
def test_a_compression_is_an_option(tmp_path: Path, codec: str) -> None:
    """Written so, and read whatever it is; another one is an OptionError."""
    store: Any = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet", compression=codec)
    store.save_data(PLAIN, "d")
    told = pq.ParquetFile(store.folder / "d.parquet").metadata.row_group(0).column(0).compression
    assert told == {"none": "UNCOMPRESSED"}.get(codec, codec.upper())
    other: Any = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet")
    assert_same(PLAIN, other.get_data("d"))
    with pytest.raises(OptionError, match="compression"):
        DataFactory(as_settings(workspace=tmp_path)).create_store("parquet", compression="lzo")


def test_what_pandas_wrote_is_the_same_in_chunks(store: Any) -> None:
    """Index, gaps, categories and zones are those of the whole in every chunk."""
    n = 200_000
    frame = pd.DataFrame(
        {
            "gap": [1.0, None] * (n // 2),
            "i": pd.array([1, None] * (n // 2), dtype="Int64"),
            "c": pd.Categorical(["u", None] * (n // 2 - 1) + ["v", "w"]),
            "z": pd.date_range("2020", periods=n, freq="min", tz="Europe/Paris"),
            "s": pd.Series([None] * (n - 1) + ["late"], dtype=object),
        },
        index=pd.RangeIndex(5, n + 5, name="k"),
    )
    frame.to_parquet(store.folder / "d.parquet")
    whole = store.get_data("d")
    start = 0
    for chunk in store.iter_data("d", chunk_rows=70_000):
        assert_same(whole.iloc[start : start + len(chunk)], chunk)
        start += len(chunk)
    assert start == n


# --------------------------------------------------------------------------- parts


def parts(store: Any, name: str, *tables: Any, mark: bool = True) -> Path:
    folder: Path = store.folder / name
    folder.mkdir()
    for place, table in enumerate(tables):
        pq.write_table(table, folder / f"part-{place:05d}-3c1f.snappy.parquet")
    if mark:
        (folder / "_SUCCESS").touch()
        (folder / "._SUCCESS.crc").touch()
    return folder


def test_parts_of_another_tool_are_one_dataset(store: Any) -> None:
    """Listed, described, read, in chunks and backed up as one; each part's types are held by those of all."""
    parts(
        store,
        "t",
        pa.table({"a": pa.array([1, None], pa.int32()), "b": ["x", "y"], "c": pa.array([1, 2], pa.uint8())}),
        pa.table({"b": ["z"], "a": pa.array([2**40], pa.int64())}),
    )
    store.save_data(PLAIN, "own/part-1")
    assert store.list_sources() == ["own/part-1", "t"]
    got = store.get_data("t")
    assert [str(kind) for kind in got.dtypes] == ["Int64", "object", "UInt8"]
    assert got["a"].tolist() == [1, pd.NA, 2**40]
    assert got["c"].tolist() == [1, 2, pd.NA]
    assert_same(got, pd.concat(store.iter_data("t", chunk_rows=2)))
    assert list(store.get_data("t", columns=["b"], where=[("a", ">", 1)])["b"]) == ["z"]
    assert store.describe("t").rows == 3
    assert store.vault.backup_data("t")[0]
    assert store.list_sources() == ["own/part-1", "t"]


def test_parts_are_only_read(store: Any) -> None:
    """Saving, deleting, renaming, and saving among them are refused, and nothing changes."""
    folder = parts(store, "t", pa.table({"a": [1]}))
    before = sorted(path.name for path in folder.iterdir())
    store.save_data(PLAIN, "other")
    for call in (
        lambda: store.save_data(PLAIN, "t"),
        lambda: store.save_data(PLAIN, "t", mode="append"),
        lambda: store.save_data(PLAIN, "t/more"),
        lambda: store.delete_data("t"),
        lambda: store.rename_data("t", "u"),
    ):
        with pytest.raises(StorageError, match="only read"):
            call()
    with pytest.raises(DatasetExistsError):
        store.rename_data("other", "t")
    assert sorted(path.name for path in folder.iterdir()) == before
    assert store.list_sources() == ["other", "t"]


def test_parts_that_are_not_one_table_are_an_error_that_names_them(store: Any) -> None:
    """Numbers in one and text in another."""
    parts(store, "t", pa.table({"a": [1], "b": [1]}), pa.table({"a": ["x"], "b": [2]}))
    with pytest.raises(SchemaError, match=r"'a' of 't' is int64 in part-00000.* and string in part-00001"):
        store.get_data("t")


def test_folders_that_name_a_column_are_one_dataset(store: Any) -> None:
    """What the folders say is a column, a number where each is one."""
    table = pa.table({"day": [1, 2, 3], "year": [2023, 2024, 2024], "m": ["01", "02", "02"]})
    pq.write_to_dataset(table, store.folder / "t", partition_cols=["year", "m"])
    got = store.get_data("t")
    assert got["day"].tolist() == [1, 2, 3]
    assert got["year"].tolist() == [2023, 2024, 2024]
    assert got["m"].tolist() == ["01", "02", "02"]
    assert store.list_sources() == ["t"]
    assert_same(got, pd.concat(store.iter_data("t", chunk_rows=1)))


def test_two_hundred_bits_of_a_file_of_several_pages(store: Any) -> None:
    """A bit flipped anywhere, the footer included, never gives another frame; nor in chunks, nor with a condition."""
    frame = pd.DataFrame({"n": np.arange(3000), "t": pd.Series([f"row {n % 70}" for n in range(3000)], dtype=object)})
    frame.columns = pd.Index(["n", "t"], dtype=object)
    store.save_data(frame, "d")
    path = store.folder / "d.parquet"
    whole, chance = path.read_bytes(), random.Random(23)
    for at in chance.sample(range(len(whole)), 200):
        bent = bytearray(whole)
        bent[at] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(bent))
        for wanted, call in (
            (frame, lambda: pd.concat(store.iter_data("d", chunk_rows=700))),
            (frame.iloc[2990:].reset_index(drop=True), lambda: store.get_data("d", where=[("n", ">=", 2990)])),
        ):
            try:
                got = call()
            except BaseFrameworkException:
                continue
            assert_same(wanted, got)


def test_a_bit_of_every_byte_after_the_rows(store: Any) -> None:
    """Flipped alone, it gives the same frame or an error, in what is read and in what is told."""
    frame = pd.DataFrame({"n": range(10), "x": np.arange(10) / 7})
    frame.columns = pd.Index(["n", "x"], dtype=object)
    store.save_data(frame, "d")
    path = store.folder / "d.parquet"
    whole = path.read_bytes()
    begin = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    for at in range(8 * begin, 8 * len(whole), 7):
        bent = bytearray(whole)
        bent[at // 8] ^= 1 << at % 8
        path.write_bytes(bytes(bent))
        with suppress(BaseFrameworkException):
            assert_same(frame, store.get_data("d"))
        with suppress(BaseFrameworkException):
            assert store.describe("d").rows == 10


def test_what_another_tool_wrote_anew_with_our_notes_is_read(store: Any) -> None:
    """Arrow carries the notes along and not the checksums: the dtypes are those that were saved."""
    store.save_data(PLAIN, "d")
    path = store.folder / "d.parquet"
    pq.write_table(pq.read_table(path), path)
    assert_same(PLAIN, store.get_data("d"))


def test_other_tools_read_a_file_with_its_mark(store: Any) -> None:
    """What stands between rows and footer is passed over."""
    store.save_data(PLAIN, "d")
    path = store.folder / "d.parquet"
    assert b"MILLPOND" in path.read_bytes()
    assert len(pd.read_parquet(path)) == len(PLAIN)
    with pa.OSFile(str(path)) as source:
        assert pq.read_table(source).num_rows == len(PLAIN)


def test_numbers_that_snappy_does_not_make_smaller_are_left_as_they_are(tmp_path: Path) -> None:
    """They are read sooner; what it does make smaller is compressed, and a codec for size is taken for all."""
    chance = np.random.default_rng(1)
    frame = pd.DataFrame({"dense": chance.random(5000), "small": chance.integers(0, 1 << 14, 5000)})
    for codec, dense in (("snappy", "UNCOMPRESSED"), ("zstd", "ZSTD")):
        store: Any = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet", compression=codec)
        store.save_data(frame, "d")
        group = pq.ParquetFile(store.folder / "d.parquet").metadata.row_group(0)
        assert [group.column(at).compression for at in (0, 1)] == [dense, codec.upper()]
        assert_same(frame, store.get_data("d"))


def test_versions_count_on_over_a_file_of_any_size(tmp_path: Path) -> None:
    """What is on record of the save before is read from its footer: versions and ids, of few columns and of many."""
    store: Any = DataFactory(as_settings(workspace=tmp_path)).create_store("parquet")
    for columns in (1, 1500):
        frame = pd.DataFrame({f"column {at}": [at] for at in range(columns)})
        for save_id in ("a", "b"):
            store.save_data(frame, f"d{columns}", mode="append", save_id=save_id)
        assert store.describe(f"d{columns}").version == 2
        store.save_data(frame, f"d{columns}", mode="append", save_id="a")
        assert (store.describe(f"d{columns}").rows, store.describe(f"d{columns}").version) == (2, 2)
