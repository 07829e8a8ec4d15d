"""The mods that stand alone: on real files, stores and a real HTTP server."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework import DataFactory, as_settings
from framework.attempt import attempt
from framework.errors import ColumnNotFoundError, DatasetNotFoundError, ModError, ParameterError, UnknownNameError
from framework.mods.artifacts import write_frame
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.steps import Made


@pytest.fixture
def factory(tmp_path: Path) -> DataFactory:
    return DataFactory(as_settings({}, workspace=tmp_path))


def called(root: Path, mod: str, values: dict[str, Any], factory: DataFactory | None = None) -> Made:
    folder, logger = root / "runs" / "r1" / mod, logging.getLogger("millpond.mods")
    opened = None if factory is None else factory.create_store
    run = ModRun(
        "r1", mod, folder, root, logger, open_store=opened, settings=None if factory is None else factory.settings
    )
    return Mods(root).load(mod).call(values, run)


def faults_of(root: Path, mod: str, values: dict[str, Any], factory: DataFactory | None = None) -> list[str]:
    """What the mod says is wrong; none if it succeeds."""
    done = attempt(mod, lambda: called(root, mod, values, factory))
    if done.error is None:
        return []
    assert isinstance(done.error, ModError), done.error
    assert done.error.exit_code == 30
    return done.error.errors


# --------------------------------------------------------------------------- file_validator


CSV = "id,name\n1,Ada\n2,Ben\n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text(CSV)
    return tmp_path


def test_a_file_that_is_as_it_must_be_passes(people: Path) -> None:
    """All checks at once, and the metrics of what was looked at."""
    values = {
        "path": "people.csv",
        "min_bytes": 1,
        "max_bytes": 100,
        "max_age_hours": 1,
        "extensions": ["csv"],
        "encoding": "ascii",
        "delimiter": ",",
        "columns": ["id", "name"],
        "min_rows": 2,
        "sha256": hashlib.sha256(CSV.encode()).hexdigest().upper(),
    }
    made = called(people, "file_validator", values)
    assert made.told.outcome == "SUCCESS"
    assert (made.told.metrics["rows_processed"], made.told.metrics["bytes_processed"]) == (2, len(CSV))


def test_all_that_is_wrong_is_told_at_once(people: Path) -> None:
    """One fault hides no other."""
    (people / "bad.txt").write_bytes(b"id;nom\n1;\xe9\n2\n")
    os.utime(people / "bad.txt", (time.time() - 7200, time.time() - 7200))
    values = {
        "path": "bad.txt",
        "min_bytes": 1000,
        "max_age_hours": 1,
        "extensions": [".csv"],
        "encoding": "utf-8",
        "columns": ["id"],
        "min_rows": 5,
        "sha256": "0" * 64,
    }
    told = " | ".join(faults_of(people, "file_validator", values))
    for words in ("fewer than 1000", "2.0 hours ago", "none of .csv", "not utf-8", "sha256"):
        assert words in told
    values |= {"encoding": "latin-1", "delimiter": ";"}
    told = " | ".join(faults_of(people, "file_validator", values))
    for words in ("line 3 has 1 cells, the header 2", "2 rows, fewer than 5"):
        assert words in told


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path": "peopel.csv"}, "there is people.csv"),
        ({"path": "none_*.csv"}, "no file has such a name"),
        ({"max_bytes": 3}, "more than 3"),
        ({"columns": ["nam"]}, "did you mean 'name'"),
        ({"delimiter": ";"}, "by ',' it would be 2"),
        ({"min_rows": 3}, "2 rows, fewer than 3"),
    ],
    ids=str,
)
def test_a_fault_says_what_is_there(people: Path, given: dict[str, Any], words: str) -> None:
    """And what was asked for."""
    (fault,) = faults_of(people, "file_validator", {"path": "people.csv", **given})
    assert words in fault


def test_a_fault_can_be_a_warning(people: Path) -> None:
    """on_fail: warn ends with 10."""
    made = called(people, "file_validator", {"path": "people.csv", "min_rows": 3, "on_fail": "warn"})
    assert made.told.outcome == "WARNING"


def test_every_file_of_a_pattern_is_checked(people: Path) -> None:
    """The fault names the file."""
    (people / "people2.csv").write_text("id,name\n")
    (fault,) = faults_of(people, "file_validator", {"path": "people*.csv", "min_rows": 1})
    assert fault.startswith("people2.csv:")


def test_compressed_files_and_parquet_are_looked_into(people: Path) -> None:
    """Rows and columns are of what is inside; damage is a fault, not an accident."""
    (people / "people.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    write_frame(people / "people.parquet", pd.DataFrame({"id": [1, 2]}))
    assert faults_of(people, "file_validator", {"path": "people.csv.gz", "min_rows": 2, "encoding": "utf-8"}) == []
    assert len(faults_of(people, "file_validator", {"path": "people.parquet", "min_rows": 3, "columns": ["x"]})) == 2
    (people / "people.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-9])
    assert faults_of(people, "file_validator", {"path": "people.csv.gz", "min_rows": 2, "encoding": "utf-8"})
    (people / "people.parquet").write_bytes(b"nothing")
    assert faults_of(people, "file_validator", {"path": "people.parquet", "min_rows": 1})


@pytest.mark.parametrize("given", [{"encoding": "utf-9"}, {"min_bytes": 5, "max_bytes": 1}, {"sha256": "x"}], ids=str)
def test_checks_that_cannot_be_meant_are_refused(people: Path, given: dict[str, Any]) -> None:
    """Before a file is opened."""
    with pytest.raises(ParameterError):
        called(people, "file_validator", {"path": "people.csv", **given})


# --------------------------------------------------------------------------- data_quality_checker


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    now = pd.Timestamp.now("UTC").floor("s")
    frame = pd.DataFrame(
        {
            "id": [1, 2, 2, 4],
            "name": ["a", None, "c", "d"],
            "age": [10.0, 200.0, np.nan, 30.0],
            "day": pd.to_datetime(["2024-01-01", "2024-06-01", "2025-01-01", None]),
            "seen": [now, now - pd.Timedelta(hours=5), None, None],
        }
    )
    write_frame(tmp_path / "rows.parquet", frame)
    return frame


def quality(root: Path, **given: Any) -> tuple[Made, dict[str, Any]]:
    made = called(root, "data_quality_checker", {"input_artifact": "rows.parquet", **given})
    return made, json.loads(Path(made.told.artifacts["report"]).read_text())


def test_the_score_is_that_of_the_formula(tmp_path: Path, rows: pd.DataFrame) -> None:
    """100 x (0.40 completeness + 0.30 uniqueness + 0.30 validity), counted by hand."""
    made, report = quality(
        tmp_path,
        completeness={"name": 0.5, "seen": 0.5},
        keys=["id"],
        ranges={"age": {"min": 0, "max": 130}, "day": {"max": "2024-12-31"}},
        on_fail="warn",
    )
    completeness = (3 / 4 + 2 / 4) / 2
    uniqueness = 3 / 4
    validity = (2 / 3 + 2 / 3) / 2
    assert report["score"] == round(100 * (0.4 * completeness + 0.3 * uniqueness + 0.3 * validity), 2)
    assert report["outside_range"] == {"age": 1, "day": 1}
    assert report["repeated_keys"] == 1
    assert (made.told.outcome, made.told.metrics["score"]) == ("WARNING", report["score"])


def test_without_thresholds_it_only_reports(tmp_path: Path, rows: pd.DataFrame) -> None:
    """Completeness is then the mean over all columns."""
    made, report = quality(tmp_path)
    assert made.told.outcome == "SUCCESS"
    assert report["passed"] is True
    assert {name: each["completeness"] for name, each in report["columns"].items()} == {
        "id": 1.0,
        "name": 0.75,
        "age": 0.75,
        "day": 0.75,
        "seen": 0.5,
    }
    assert report["completeness"] == 0.75


def test_every_threshold_that_is_broken_is_told(tmp_path: Path, rows: pd.DataFrame) -> None:
    """All at once, each with what was found; the report is written all the same."""
    told = faults_of(
        tmp_path,
        "data_quality_checker",
        {
            "input_artifact": "rows.parquet",
            "completeness": {"name": 0.9},
            "min_completeness": 0.6,
            "keys": "id",
            "ranges": {"age": {"max": 130}},
            "freshness": {"column": "day", "max_age_hours": 24},
            "min_rows": 10,
            "min_score": 99,
            "output_path": "report.json",
        },
    )
    assert [fault.split(",")[0].split(" is ")[0] for fault in told[:2]] == [
        "completeness of name",
        "completeness of seen",
    ]
    assert len(told) == 7
    assert json.loads((tmp_path / "report.json").read_text())["faults"] == told


def test_fresh_rows_are_fresh(tmp_path: Path, rows: pd.DataFrame) -> None:
    """The newest counts, by its zone."""
    made, report = quality(tmp_path, freshness={"column": "seen", "max_age_hours": 1})
    assert made.told.outcome == "SUCCESS"
    assert pd.Timestamp(report["newest"]) == rows["seen"].max()


def test_a_dataset_of_a_store_is_checked_like_an_artifact(tmp_path: Path, factory: DataFactory) -> None:
    """And nothing of it stays in the run's folder."""
    factory.create_store("csv").save_data(pd.DataFrame({"id": [1, 1], "x": ["a", None]}), "people")
    values = {"dataset": "csv:people", "keys": ["id"]}
    (fault,) = faults_of(tmp_path, "data_quality_checker", values, factory)
    assert fault.startswith("1 rows repeat")
    assert [each.name for each in (tmp_path / "runs" / "r1" / "data_quality_checker").iterdir()] == ["report.json"]
    with pytest.raises(DatasetNotFoundError):
        called(tmp_path, "data_quality_checker", {"dataset": "csv:none"}, factory)


@pytest.mark.parametrize("frame", [pd.DataFrame({"id": pd.Series([], dtype="int64")})], ids=["empty"])
def test_no_rows_are_no_accident(tmp_path: Path, frame: pd.DataFrame) -> None:
    """An empty artifact has a score, and too few rows if that is asked."""
    write_frame(tmp_path / "rows.parquet", frame)
    assert quality(tmp_path, keys=["id"])[1]["score"] == 100
    values = {"input_artifact": "rows.parquet", "min_rows": 1}
    assert faults_of(tmp_path, "data_quality_checker", values) == ["there are 0 rows, fewer than 1"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"keys": ["idd"]}, ColumnNotFoundError),
        ({"completeness": {"name": 95}}, ParameterError),
        ({"ranges": {"name": {"min": 1}, "age": {"min": "x"}}}, ParameterError),
        ({"freshness": {"column": "name", "max_age_hours": 1}}, ParameterError),
        ({"dataset": "csv:x"}, ParameterError),
    ],
    ids=str,
)
def test_what_cannot_be_checked_is_refused(
    tmp_path: Path, rows: pd.DataFrame, given: dict[str, Any], error: type[Exception]
) -> None:
    """With the name of what is wrong."""
    with pytest.raises(error):
        called(tmp_path, "data_quality_checker", {"input_artifact": "rows.parquet", **given})


# --------------------------------------------------------------------------- backup_all


def test_all_datasets_of_all_stores_are_backed_up(tmp_path: Path, factory: DataFactory) -> None:
    """Each can be put back; no store is made by it that nobody used."""
    for kind in ("csv", "parquet"):
        factory.create_store(kind).save_data(pd.DataFrame({"x": [1, 2]}), f"in_{kind}")
    made = called(tmp_path, "backup_all", {"verify": True}, factory)
    assert made.told.metrics["backups"] == 2
    for kind in ("csv", "parquet"):
        vault: Any = factory.create_data_backup(kind)
        (record,) = vault.list_backups(f"in_{kind}")
        assert vault.verify_backup(record.backup_id)
    assert {"postgres"} <= set(made.told.metrics["stores_left_out"])
    assert not (factory.settings.own_folder / "postgres").exists()
    assert not (factory.settings.own_folder / "arctic").exists()


def test_what_cannot_be_backed_up_stops_no_other(tmp_path: Path, factory: DataFactory) -> None:
    """The rest has its backup; what failed is told, with 30."""
    store: Any = factory.create_store("parquet")
    for name in ("a", "b", "c"):
        store.save_data(pd.DataFrame({"x": [1, 2]}), name)
    (factory.settings.data_folder / "b.parquet").write_bytes(b"damaged")
    (fault,) = faults_of(tmp_path, "backup_all", {"stores": ["parquet"]}, factory)
    assert fault.startswith("parquet:b:")
    vault: Any = factory.create_data_backup("parquet")
    assert {record.source for record in vault.list_backups()} == {"a", "c"}


@pytest.mark.parametrize("name", ["temp", "nosuch"])
def test_a_store_without_backups_is_named(tmp_path: Path, factory: DataFactory, name: str) -> None:
    """Before anything is backed up, with those that have them."""
    with pytest.raises(UnknownNameError, match="Known: arctic"):
        called(tmp_path, "backup_all", {"stores": ["csv", name]}, factory)


# --------------------------------------------------------------------------- health_check


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ok" else 503)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing of it on the terminal."""


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_is_up_is_up(tmp_path: Path, factory: DataFactory, site: str) -> None:
    """Stores, an address, room on the disk: success."""
    values = {"stores": ["csv", "temp"], "urls": [f"{site}/ok"], "min_free_mb": 0.1}
    made = called(tmp_path, "health_check", values, factory)
    assert made.told.outcome == "SUCCESS"
    assert made.told.metrics["checks"] == {"csv": "up", "temp": "up", f"{site}/ok": "up", "disk": "up"}


@pytest.mark.parametrize(
    "wrong",
    [{"urls": ["{site}/broken"]}, {"urls": ["http://127.0.0.1:1/"]}, {"min_free_mb": 1e12}, {"stores": ["csv", "no"]}],
    ids=["answers 503", "does not answer", "disk", "no such store"],
)
def test_what_is_partly_up_is_degraded(tmp_path: Path, factory: DataFactory, site: str, wrong: dict[str, Any]) -> None:
    """One thing is down and another up: a warning that says which."""
    wrong = {
        name: [each.format(site=site) for each in value] if name == "urls" else value for name, value in wrong.items()
    }
    made = called(tmp_path, "health_check", {"stores": ["csv"], **wrong}, factory)
    assert made.told.outcome == "WARNING"
    assert made.told.metrics["state"] == "degraded"


def test_what_is_down_is_down(tmp_path: Path, factory: DataFactory, site: str) -> None:
    """Nothing answers, or something vital does not: 30, with every reason."""
    broken = f"{site}/broken"
    (fault,) = faults_of(tmp_path, "health_check", {"urls": [broken]}, factory)
    assert "503" in fault
    values = {"stores": ["csv"], "urls": [broken], "vital": [broken]}
    assert len(faults_of(tmp_path, "health_check", values, factory)) == 1
    assert faults_of(tmp_path, "health_check", {"stores": ["csv"], "vital": ["postgress"]}, factory)


def test_a_password_in_an_address_is_not_shown(tmp_path: Path, factory: DataFactory) -> None:
    """Neither when it is down, nor when it is no address at all."""
    (fault,) = faults_of(tmp_path, "health_check", {"urls": ["http://u:hushhush@127.0.0.1:1/"]}, factory)
    assert "hushhush" not in fault
    with pytest.raises(ParameterError) as caught:
        called(tmp_path, "health_check", {"urls": ["ftp://u:hushhush@x/"]}, factory)
    assert "hushhush" not in str(caught.value)


def test_all_stores_that_are_installed_are_asked(tmp_path: Path, factory: DataFactory) -> None:
    """When nothing is named; and looking makes nothing."""
    made = called(tmp_path, "health_check", {}, factory)
    assert {"csv", "parquet", "sqlite", "temp"} <= set(made.told.metrics["checks"])
    assert not (factory.settings.own_folder / "postgres").exists()


# --------------------------------------------------------------------------- the examples that are shown


@pytest.mark.parametrize("mod", ["file_validator", "data_quality_checker", "backup_all", "health_check"])
def test_the_example_of_a_solo_works(factory: DataFactory, mod: str) -> None:
    """On the files that belong to it."""
    root, module = factory.settings.workspace, Mods(factory.settings.workspace).load(mod).module
    for name, text in module.EXAMPLE_FILES.items():
        (root / name).write_text(text)
    assert called(root, mod, dict(module.EXAMPLE), factory).told.outcome == "SUCCESS"


def test_what_is_all_but_complete_is_not_complete(tmp_path: Path) -> None:
    """One cell of three million that lacks breaks a threshold of 1, and the report does not say 1."""
    frame = pd.DataFrame({"x": pd.array(np.arange(3_000_000), "Int64")})
    frame.loc[5, "x"] = pd.NA
    write_frame(tmp_path / "almost.parquet", frame)
    values = {"input_artifact": "almost.parquet", "completeness": {"x": 1.0}, "min_score": 100}
    faults = faults_of(tmp_path, "data_quality_checker", values)
    assert [fault.split(",")[0] for fault in faults] == ["completeness of x is 0.999999", "the score is 99.99"]
    done = called(tmp_path, "data_quality_checker", {**values, "on_fail": "warn", "output_path": "report.json"})
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["completeness"], report["columns"]["x"]["completeness"]) == (0.999999, 0.999999)
    assert done.told.metrics["score"] == report["score"] == 99.99


@pytest.mark.parametrize("least", [0.05, 0.15, 0.29, 0.57, 0.95, 0.99])
def test_a_share_that_is_just_what_is_asked_passes(least: float, tmp_path: Path) -> None:
    """95 cells of 100 are 0.95, whatever float that is."""
    there = round(least * 100)
    write_frame(tmp_path / "came.parquet", pd.DataFrame({"x": ["a"] * there + [None] * (100 - there)}))
    values = {"input_artifact": "came.parquet", "completeness": {"x": least}}
    assert faults_of(tmp_path, "data_quality_checker", values) == []
    assert faults_of(tmp_path, "data_quality_checker", {**values, "completeness": {"x": least + 1e-9}}) != []


def test_a_key_that_is_nan_repeats_one_that_is_null(tmp_path: Path) -> None:
    """Both are missing, and two rows without a key have the same."""
    pq.write_table(pa.table({"k": [1.0, float("nan"), None]}), tmp_path / "came.parquet")
    faults = faults_of(tmp_path, "data_quality_checker", {"input_artifact": "came.parquet", "keys": ["k"]})
    assert faults == ["1 rows repeat the keys k of others"]
