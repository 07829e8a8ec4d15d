"""The sinks beside databases: stores, CSV files, uploads; looked at past them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import logging
import math
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from framework import DataFactory, as_settings
from framework.errors import (
    BaseFrameworkException,
    ColumnNotFoundError,
    DataException,
    DatasetExistsError,
    FidelityError,
    IntegrityError,
    KeysError,
    ParameterError,
    StorageError,
    UnavailableError,
    UnknownNameError,
)
from framework.mods.artifacts import read_frame, write_frame
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.redact import redact
from framework.steps import Made

SECRET = "up-s3cret-f0r-tests"


def people(*ids: int, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": list(ids), "name": [f"n{each}" for each in ids], **columns})


@pytest.fixture
def factory(tmp_path: Path) -> DataFactory:
    return DataFactory(as_settings({}, workspace=tmp_path))


def called(root: Path, mod: str, values: dict[str, Any], *, load: str = "", factory: DataFactory | None = None) -> Made:
    opened = None if factory is None else (lambda name: factory.create_store(name, role="saver"))
    folder, logger = root / "runs" / "r1" / mod, logging.getLogger("millpond.mods")
    settings = None if factory is None else factory.settings
    run = ModRun("r1", mod, folder, root, logger, load_id=load, open_store=opened, settings=settings)
    return Mods(root).load(mod).call(values, run)


# --------------------------------------------------------------------------- store_writer


def stored(factory: DataFactory, frame: pd.DataFrame, *, load: str = "", **given: Any) -> dict[str, Any]:
    root = factory.settings.workspace
    write_frame(root / "came.parquet", frame)
    values = {"input_artifact": "came.parquet", "dataset": "csv:people", **given}
    return dict(called(root, "store_writer", values, load=load, factory=factory).told.metrics)


@pytest.mark.parametrize("store", ["csv", "parquet", "sqlite", "temp"])
def test_rows_become_a_dataset_of_any_store(factory: DataFactory, store: str) -> None:
    """The store gives back the frame that the artifact was."""
    frame = people(1, 2, code=["007", None])
    stored(factory, frame, dataset=f"{store}:people")
    pd.testing.assert_frame_equal(factory.create_store(store).get_data("people"), frame)


def test_what_changed_against_the_dataset_before_is_told(factory: DataFactory) -> None:
    """Rows, and columns added, gone and of another type."""
    first = stored(factory, people(1, 2, old=[1, 2], kind=[1, 2]))
    assert (first["rows_before"], first["rows_after"]) == (0, 2)
    assert first["columns_added"] == ["id", "name", "old", "kind"]
    second = stored(factory, people(1, 2, 3, kind=[0.5, 1, 2], new=["a", "b", "c"]))
    assert (second["rows_before"], second["rows_after"], second["rows_output"]) == (2, 3, 3)
    assert second["columns_added"] == ["new"]
    assert second["columns_gone"] == ["old"]
    assert second["columns_changed"] == {"kind": "int64 -> float64"}


def test_append_adds_a_load_once(factory: DataFactory) -> None:
    """A re-run of the same run adds nothing, and says so."""
    stored(factory, people(1), mode="append", load="run-1")
    again = stored(factory, people(1), mode="append", load="run-1")
    assert (again["rows_output"], again["rows_skipped"], again["rows_after"]) == (0, 1, 1)
    more = stored(factory, people(1), mode="append", load="run-2")
    assert (more["rows_output"], more["rows_skipped"], more["rows_after"]) == (1, 0, 2)


def test_upsert_by_keys(factory: DataFactory) -> None:
    """Rows with the same keys are replaced, others added; keys that repeat are refused."""
    stored(factory, people(1, 2), mode="upsert", keys="id")
    stored(factory, people(2, 3).assign(name="new"), mode="upsert", keys=["id"])
    assert factory.create_store("csv").get_data("people")["name"].tolist() == ["n1", "new", "new"]
    with pytest.raises(KeysError):
        stored(factory, people(4, 4), mode="upsert", keys=["id"])


@pytest.mark.parametrize("left", [0, 2])
def test_a_replace_that_would_empty_or_halve_a_dataset_is_refused(factory: DataFactory, left: int) -> None:
    """The dataset is as it was, unless it is said to be meant."""
    five = people(1, 2, 3, 4, 5)
    stored(factory, five)
    with pytest.raises(DataException, match="allow_shrink"):
        stored(factory, five.iloc[:left])
    assert len(factory.create_store("csv").get_data("people")) == 5
    stored(factory, five.iloc[:left], allow_shrink=True)
    assert len(factory.create_store("csv").get_data("people")) == left


def test_the_temp_store_is_there_to_be_replaced(factory: DataFactory) -> None:
    """What passes through it may shrink."""
    stored(factory, people(1, 2, 3, 4, 5), dataset="temp:people")
    stored(factory, people(1), dataset="temp:people")
    assert len(factory.create_store("temp").get_data("people")) == 1


def test_a_backup_is_made_before(factory: DataFactory) -> None:
    """It holds what was there."""
    stored(factory, people(1, 2), backup=True)
    stored(factory, people(3, 4), backup=True)
    vault: Any = factory.create_data_backup("csv")
    (record,) = vault.list_backups("people")
    vault.restore_data("people", record.backup_id)
    assert factory.create_store("csv").get_data("people")["id"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"dataset": "people"}, ParameterError),
        ({"dataset": "nosuch:people"}, UnknownNameError),
        ({"mode": "upsert"}, ParameterError),
        ({"mode": "append", "keys": ["id"]}, ParameterError),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_told(factory: DataFactory, given: dict[str, Any], error: type[Exception]) -> None:
    """Before anything is saved."""
    with pytest.raises(error):
        stored(factory, people(1), **given)
    assert factory.create_store("csv").list_sources() == []


# --------------------------------------------------------------------------- csv_writer


def spelled(root: Path, frame: pd.DataFrame, output: str = "out.csv", **given: Any) -> Made:
    write_frame(root / "came.parquet", frame)
    return called(root, "csv_writer", {"input_artifact": "came.parquet", "output_path": output, **given})


def test_a_csv_file_is_read_by_others_as_it_was(tmp_path: Path) -> None:
    """Python's own reader finds each cell; a missing one is empty, a text of digits keeps its zeros."""
    frame = pd.DataFrame(
        {
            "id": pd.array([1, None], dtype="Int64"),
            "text": ['a "b", c\nd', ""],
            "code": ["007", None],
            "at": pd.to_datetime(["2024-01-01 10:00", None]),
        }
    )
    made = spelled(tmp_path, frame)
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "text", "code", "at"]
    assert rows[1][:3] == ["1", 'a "b", c\nd', "007"]
    assert rows[1][3].startswith("2024-01-01 10:00:00")
    assert rows[2] == ["", "", "", ""]
    assert made.told.artifacts["output_data"] == str(tmp_path / "out.csv")
    assert made.told.metrics["rows_output"] == 2


def test_delimiter_encoding_columns_and_header_are_as_asked(tmp_path: Path) -> None:
    """Each of them is seen in the bytes."""
    frame = pd.DataFrame({"a": ["ä"], "b": [1], "c": [2]})
    spelled(tmp_path, frame, delimiter=";", encoding="latin-1", columns=["c", "a"])
    assert (tmp_path / "out.csv").read_bytes() == b'c;a\n2;"\xe4"\n'
    spelled(tmp_path, frame, encoding="utf-16", header=False)
    assert (tmp_path / "out.csv").read_bytes().decode("utf-16") == '"ä",1,2\n'


def test_a_name_that_ends_with_gz_is_compressed(tmp_path: Path) -> None:
    """gzip itself unpacks it."""
    spelled(tmp_path, people(1, 2), "out.csv.gz")
    with gzip.open(tmp_path / "out.csv.gz", "rt") as file:
        assert file.read() == 'id,name\n1,"n1"\n2,"n2"\n'


def test_many_rows_are_written_in_their_order(tmp_path: Path) -> None:
    """Several pieces make one file, whose rows csv_reader gives back."""
    frame = people(*range(150_000))
    spelled(tmp_path, frame)
    back = called(tmp_path, "csv_reader", {"input_path": "out.csv"})
    assert read_frame(back.told.artifacts["output_data"]).to_dict("list") == frame.to_dict("list")


def test_a_file_that_cannot_be_written_whole_is_not_written(tmp_path: Path) -> None:
    """What was under that name stays, and nothing is left beside it."""
    spelled(tmp_path, people(1))
    before = (tmp_path / "out.csv").read_bytes()
    frame = people(*range(100_000))
    frame.loc[99_999, "name"] = "€"
    with pytest.raises(FidelityError, match="latin-1"):
        spelled(tmp_path, frame, encoding="latin-1")
    assert (tmp_path / "out.csv").read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["came.parquet", "out.csv"]


@pytest.mark.parametrize("given", [{"delimiter": ",,"}, {"delimiter": '"'}, {"encoding": "utf-9"}], ids=str)
def test_what_no_csv_file_has_is_refused(tmp_path: Path, given: dict[str, str]) -> None:
    """Before anything is written."""
    with pytest.raises(ParameterError):
        spelled(tmp_path, people(1), **given)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the nearest that is."""
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'name'"):
        spelled(tmp_path, people(1), columns=["names"])


# --------------------------------------------------------------------------- s3_uploader


@pytest.fixture
def bucket(s3: str) -> str:
    name = f"b{uuid4().hex}"
    client(s3).create_bucket(Bucket=name)
    return name


def client(s3: str) -> Any:
    import boto3

    keys = {"aws_access_key_id": "AKIDTEST", "aws_secret_access_key": SECRET}
    return boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **keys)


def options(s3: str) -> dict[str, Any]:
    return {"key": "AKIDTEST", "secret": SECRET, "endpoint_url": s3}


def uploaded(root: Path, url: str, **given: Any) -> Made:
    return called(root, "s3_uploader", {"input_artifact": "came.bin", "url": url, **given})


@pytest.mark.parametrize("size", [0, 1000, 12_000_000], ids=["empty", "small", "in parts"])
def test_what_arrives_is_what_was_sent(tmp_path: Path, s3: str, bucket: str, size: int) -> None:
    """S3's own client reads the same bytes, under the file's name where the address ends with a slash."""
    content = bytes(range(250)) * (size // 250)
    (tmp_path / "came.bin").write_bytes(content)
    made = uploaded(tmp_path, f"s3://{bucket}/folder/", storage_options=options(s3))
    assert client(s3).get_object(Bucket=bucket, Key="folder/came.bin")["Body"].read() == content
    assert made.told.metrics["bytes_output"] == size
    assert made.told.metrics["sha256"] == hashlib.sha256(content).hexdigest()


def test_what_is_there_is_replaced_only_if_it_may_be(tmp_path: Path, s3: str, bucket: str) -> None:
    """overwrite: false makes it an error, and what is there stays."""
    (tmp_path / "came.bin").write_bytes(b"one")
    given = {"storage_options": options(s3)}
    uploaded(tmp_path, f"s3://{bucket}/x", overwrite=False, **given)
    (tmp_path / "came.bin").write_bytes(b"two")
    with pytest.raises(DatasetExistsError):
        uploaded(tmp_path, f"s3://{bucket}/x", overwrite=False, **given)
    assert client(s3).get_object(Bucket=bucket, Key="x")["Body"].read() == b"one"
    uploaded(tmp_path, f"s3://{bucket}/x", **given)
    assert client(s3).get_object(Bucket=bucket, Key="x")["Body"].read() == b"two"


def test_a_folder_is_a_place_too(tmp_path: Path) -> None:
    """A file:// address is written beside and renamed, folders made."""
    (tmp_path / "came.bin").write_bytes(b"content")
    uploaded(tmp_path, f"file://{tmp_path}/a/b/")
    assert (tmp_path / "a" / "b" / "came.bin").read_bytes() == b"content"
    assert len(list((tmp_path / "a" / "b").iterdir())) == 1


def test_a_bucket_that_is_not_there_is_an_error_without_the_secret(tmp_path: Path, s3: str) -> None:
    """The secret is in no error, and masked wherever it would be shown afterwards."""
    (tmp_path / "came.bin").write_bytes(b"x")
    with pytest.raises(StorageError) as caught:
        uploaded(tmp_path, "s3://no-such-bucket/x", storage_options=options(s3))
    assert SECRET not in str(caught.value)
    assert SECRET not in redact(f"the secret is {SECRET}")


@pytest.mark.timeout(60)
def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """Within bounded time."""
    (tmp_path / "came.bin").write_bytes(b"x")
    with pytest.raises(UnavailableError):
        uploaded(tmp_path, "s3://bucket/x", storage_options=options("http://127.0.0.1:1"))


@pytest.mark.parametrize("url", ["bucket/x", "s3://", "nosuch://x/y"])
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    """Each as a typed error that ends with 20."""
    (tmp_path / "came.bin").write_bytes(b"x")
    with pytest.raises(BaseFrameworkException) as caught:
        uploaded(tmp_path, url)
    assert caught.value.exit_code == 20


class Losing(MemoryFileSystem):
    """A place that loses the last byte of what it is given."""

    protocol = "losing"
    store: ClassVar[dict[str, Any]] = {}

    def _open(self, path: str, mode: str = "rb", **given: Any) -> Any:
        file = super()._open(path, mode, **given)
        if mode == "wb":
            write = file.write
            file.write = lambda block: write(block[:-1] + b"?")
        return file


def test_what_arrives_damaged_is_found(tmp_path: Path) -> None:
    """As many bytes, but others: it is read again and compared."""
    fsspec.register_implementation("losing", Losing, clobber=True)
    (tmp_path / "came.bin").write_bytes(b"content")
    with pytest.raises(IntegrityError, match="not what was sent"):
        uploaded(tmp_path, "losing://place/x")
    uploaded(tmp_path, "losing://place/x", verify=False)


# --------------------------------------------------------------------------- the examples that are shown


@pytest.mark.parametrize("mod", ["database_writer", "store_writer", "csv_writer", "s3_uploader"])
def test_the_example_that_is_shown_works(factory: DataFactory, mod: str) -> None:
    """On the files that belong to it."""
    root, module = factory.settings.workspace, Mods(factory.settings.workspace).load(mod).module
    for name, text in module.EXAMPLE_FILES.items():
        (root / name).with_suffix(".csv").write_text(text)
        if name.endswith(".parquet"):
            write_frame(root / name, pd.read_csv((root / name).with_suffix(".csv")))
    made = called(root, mod, dict(module.EXAMPLE), factory=factory)
    assert made.told.outcome == "SUCCESS"
    assert made.told.metrics.get("rows_output", 2) == 2


def test_an_artifact_of_others_is_taken(tmp_path: Path) -> None:
    """Parquet that another wrote, with dictionaries in it."""
    frame = pd.DataFrame({"kind": pd.Categorical(["a", "b", "a"]), "x": [1, 2, 3]})
    frame.to_parquet(tmp_path / "theirs.parquet")
    assert pq.read_schema(tmp_path / "theirs.parquet").names == ["kind", "x"]
    called(tmp_path, "csv_writer", {"input_artifact": "theirs.parquet", "output_path": "out.csv"})
    assert (tmp_path / "out.csv").read_text() == 'kind,x\n"a",1\n"b",2\n"a",3\n'


SHOWN = """
    import sys
    from pathlib import Path
    from framework.mods.catalog import Mods
    mods = Mods(Path.cwd())
    for name in sys.argv[1:]:
        mods.load(name)
    heavy = ("pandas", "pyarrow", "numpy", "duckdb", "sqlalchemy", "psycopg", "fsspec", "requests")
    print(sorted(set(heavy) & set(sys.modules)))
"""


def test_loading_a_mod_loads_nothing_heavy() -> None:
    """What a mod needs is imported when it runs, so that mods are listed and shown at once."""
    names = ["database_writer", "store_writer", "csv_writer", "s3_uploader"]
    names += ["file_validator", "data_quality_checker", "backup_all", "health_check"]
    command = [sys.executable, "-c", textwrap.dedent(SHOWN), *names]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_nan_is_an_empty_cell(tmp_path: Path) -> None:
    """It is a missing value, and not the text nan."""
    table = pa.table({"id": [1, 2, 3], "x": pa.array([5.0, math.nan, 2.5])})
    pq.write_table(table, tmp_path / "came.parquet")
    called(tmp_path, "csv_writer", {"input_artifact": "came.parquet", "output_path": "out.csv"})
    assert (tmp_path / "out.csv").read_text() == "id,x\n1,5\n2,\n3,2.5\n"


@pytest.mark.parametrize("encoding", ["hex", "rot13", "base64", "undefined"])
def test_an_encoding_that_makes_no_bytes_of_text_is_refused(encoding: str, tmp_path: Path) -> None:
    """Python knows codecs that are none of text: they are refused before a file is begun."""
    write_frame(tmp_path / "came.parquet", people(1))
    values = {"input_artifact": "came.parquet", "output_path": "out.csv", "encoding": encoding}
    with pytest.raises(ParameterError, match="no encoding"):
        called(tmp_path, "csv_writer", values)
    assert not (tmp_path / "out.csv").exists()


def test_a_csv_artifact_as_a_frame_has_its_whole_numbers_beside_a_gap(tmp_path: Path) -> None:
    """9007199254740993 is no float, in a column with a gap neither."""
    (tmp_path / "came.csv").write_text("id,n\n1,9007199254740993\n2,\n")
    frame = read_frame(tmp_path / "came.csv")
    assert (str(frame["n"].dtype), int(frame["n"].iloc[0])) == ("Int64", 9007199254740993)
    assert frame["n"].isna().tolist() == [False, True]
