"""The workspace: what every door asks, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from framework import (
    BackupNotFoundError,
    ColumnNotFoundError,
    DatasetNotFoundError,
    FidelityError,
    IntegrityError,
    OptionError,
    PartialFailure,
    UnknownNameError,
    Workspace,
)
from framework.errors import DatasetExistsError
from scrapers.finviz_replica import FinvizReplica

DOWN = {"DB_SERVER": "127.0.0.1", "DB_PORT": 1}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DB_SERVER", "DB_URL", "DB_SCHEMA", "FS_DATA", "FS_TEMP", "FS_BACKUP", "FINVIZ_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def with_server(tmp_path: Path, postgres_url: str, postgres_schema: str) -> Workspace:
    return Workspace(tmp_path, config={"DB_URL": postgres_url, "DB_SCHEMA": postgres_schema})


def frame(rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame({"a": range(rows), "b": [f"row {n}" for n in range(rows)]})


# --------------------------------------------------------------------------- data


def test_relative_folders_start_in_the_workspace(workspace: Workspace, tmp_path: Path) -> None:
    """Data, temp and backup lie in the folder that was named, wherever the process is."""
    workspace.store("csv").save_data(frame(), "x")
    workspace.backup("csv:x")
    assert (tmp_path / "data" / "x.csv").is_file()
    assert list((tmp_path / "backup").rglob("manifest.json"))


@pytest.mark.parametrize("reference", ["", "x", ":", ":x", "csv:"])
def test_a_dataset_is_store_colon_name(workspace: Workspace, reference: str) -> None:
    """Anything less is an error that names the stores."""
    with pytest.raises(OptionError, match=r"Write store:name; stores: csv, postgres"):
        workspace.dataset(reference)


def test_an_unknown_store_is_told_with_the_nearest(workspace: Workspace) -> None:
    """Wherever a store is named."""
    calls: list[Any] = [
        lambda: workspace.store("cvs"),
        lambda: workspace.dataset("cvs:x"),
        lambda: workspace.datasets("cvs"),
        lambda: workspace.vault("cvs"),
        lambda: workspace.backup_all("cvs"),
        lambda: workspace.backups("cvs:"),
        lambda: workspace.health(["cvs"]),
        lambda: workspace.calculate("aaa", "cvs", "csv"),
        lambda: workspace.scrape("finviz", "cvs"),
    ]
    for call in calls:
        with pytest.raises(UnknownNameError, match="Did you mean 'csv'"):
            call()


def test_temp_is_never_backed_up(workspace: Workspace) -> None:
    """Asking for it names the stores that are."""
    workspace.store("temp").save_data(frame(), "x")
    for call in (workspace.backup, workspace.backups, workspace.restore):
        with pytest.raises(UnknownNameError, match=r"never backed up\. Stores with backups: csv"):
            call("temp:x")


def test_the_first_rows_and_the_columns_that_are_asked_for(workspace: Workspace) -> None:
    """head gives so many rows, of these columns in this order."""
    workspace.store("parquet").save_data(frame(20), "x")
    assert len(workspace.head("parquet:x")) == 10
    assert workspace.head("parquet:x", 1, columns=["b", "a"]).to_dict("list") == {"b": ["row 0"], "a": [0]}
    with pytest.raises(ColumnNotFoundError):
        workspace.head("parquet:x", columns=["c"])


def test_a_file_is_read_where_it_lies(workspace: Workspace, tmp_path: Path) -> None:
    """By a relative path, an absolute one, and through a link; nothing is written beside it."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    frame().to_csv(place / "x.csv", index=False)
    frame().to_parquet(place / "y.parquet")
    (tmp_path / "link.csv").symlink_to(place / "x.csv")
    for path in (place / "x.csv", place / "y.parquet", tmp_path / "link.csv"):
        assert workspace.head(str(path))["a"].tolist() == [0, 1, 2], path
        assert workspace.describe(str(path))[0].rows == 3
    assert sorted(path.name for path in place.iterdir()) == ["x.csv", "y.parquet"]
    with pytest.raises(DatasetNotFoundError, match=r"no file .*z\.csv.*Did you mean .*x\.csv"):
        workspace.head(str(place / "z.csv"))


def test_datasets_of_all_stores_leave_out_what_cannot_be_asked(tmp_path: Path) -> None:
    """A server that is down is told and left out; one that is named raises."""
    workspace, left_out = Workspace(tmp_path, config=DOWN), []
    workspace.store("csv").save_data(frame(), "x")
    assert workspace.datasets(on_left_out=lambda store, state: left_out.append((store, state))) == ["csv:x"]
    assert left_out == [("postgres", "down")]
    with pytest.raises(Exception, match="DB_SERVER"):
        workspace.datasets("postgres")


def test_configured_stores_are_stores_like_any_other(tmp_path: Path) -> None:
    """Their names are listed, described, backed up and restored; one of an unknown type is told, not fatal."""
    (tmp_path / "millpond.yaml").write_text("stores:\n  old: {type: csv, delimiter: ';'}\n  odd: {type: nope}\n")
    workspace = Workspace(tmp_path)
    workspace.store("old").save_data(frame(), "x")
    assert ";" in (tmp_path / "data" / "x.csv").read_text().splitlines()[0]
    rows = {row["store"]: row for row in workspace.stores()}
    assert (rows["old"]["type"], rows["old"]["ready"]) == ("csv", True)
    assert (rows["odd"]["ready"], "no store 'nope'" in rows["odd"]["why"]) == (False, True)
    assert len({tuple(row) for row in workspace.stores()}) == 1
    workspace.backup("old:x")
    workspace.remove("old:x")
    assert workspace.restore("old:x") is True
    assert "old:x" in workspace.datasets()
    assert {row["store"]: row["state"] for row in workspace.health()}["odd"] == "down"


# --------------------------------------------------------------------------- runs


def test_scraping_tells_what_was_saved(workspace: Workspace) -> None:
    """Each dataset and its rows."""
    with FinvizReplica() as site:
        saved = workspace.scrape("finviz", "temp", ["energy", "utilities"], base_url=site.base_url, delay=0.0)
        assert saved == {
            "temp:AAA - energy": len(site.matching("sec_energy")),
            "temp:AAA - utilities": len(site.matching("sec_utilities")),
        }
    assert workspace.datasets("temp") == sorted(saved)


def test_a_calculation_of_an_unknown_source_runs_nothing(workspace: Workspace) -> None:
    """It is bad input, told before the first source is calculated."""
    with FinvizReplica() as site:
        workspace.scrape("finviz", "temp", ["energy"], base_url=site.base_url, delay=0.0)
    with pytest.raises(DatasetNotFoundError, match="Did you mean 'AAA - energy'"):
        workspace.calculate("aaa", "temp", "csv", ["energy", "enrgy"])
    assert workspace.datasets("csv") == []
    told: list[str] = []
    (result,) = workspace.calculate("aaa", "temp", "csv", ["AAA - energy"], on_done=lambda done: told.append(done.name))
    assert (result.name, told) == ("energy", ["energy"])
    assert workspace.datasets("csv") == ["csv:AAA_energy"]


def test_a_calculation_saves_what_it_can(workspace: Workspace) -> None:
    """One source that lacks its columns fails; the other is saved, and the report has both."""
    with FinvizReplica() as site:
        workspace.scrape("finviz", "temp", ["energy"], base_url=site.base_url, delay=0.0)
    workspace.store("temp").save_data(frame(), "AAA - broken")
    with pytest.raises(PartialFailure) as failed:
        workspace.calculate("aaa", "temp", "csv")
    assert {result.name: bool(result) for result in failed.value.report} == {"broken": False, "energy": True}
    assert workspace.datasets("csv") == ["csv:AAA_energy"]


# --------------------------------------------------------------------------- backups


def test_backing_up_what_is_not_there_is_an_error(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """One error with the nearest name, and no warning beside it."""
    workspace.store("csv").save_data(frame(), "prices")
    with pytest.raises(DatasetNotFoundError, match="Did you mean 'prices'"):
        workspace.backup("csv:prics")
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_backup_all_reports_each_dataset(workspace: Workspace, tmp_path: Path) -> None:
    """The broken one is in the report by its name; the rest of its store and of the others is backed up."""
    for reference in ("csv:a", "csv:c", "parquet:x"):
        store, _, name = reference.partition(":")
        workspace.store(store).save_data(frame(), name)
    (tmp_path / "data" / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(PartialFailure, match="1 of") as failed:
        workspace.backup_all()
    assert [result.name for result in failed.value.report if not result] == ["parquet:b"]
    assert {f"{record.store}:{record.source}" for record in workspace.backups()} == {"csv:a", "csv:c", "parquet:x"}
    (tmp_path / "data" / "b.parquet").unlink()
    assert [name for name, _ in workspace.backup_all()] == ["csv:a", "csv:c", "parquet:x"]
    assert [name for name, _ in workspace.backup_all("parquet")] == ["parquet:x"]


def test_backup_all_does_not_pass_over_a_server_that_is_down(tmp_path: Path) -> None:
    """What was set and does not answer is a failure; an embedded server that never ran is nothing to back up."""
    assert Workspace(tmp_path).backup_all() == []
    assert not (tmp_path / "data" / ".millpond" / "postgres").exists()
    with pytest.raises(PartialFailure, match="postgres: UnavailableError"):
        Workspace(tmp_path, config=DOWN).backup_all()


def test_backups_are_listed_by_dataset_by_store_and_together(workspace: Workspace) -> None:
    """Newest last; a name that neither has data nor backups is an error with the nearest."""
    workspace.store("csv").save_data(frame(), "x")
    workspace.store("csv").save_data(frame(), "new")
    workspace.store("parquet").save_data(frame(), "y")
    made = [workspace.backup(reference) for reference in ("csv:x", "parquet:y", "csv:x")]
    assert [record.backup_id for record in workspace.backups("csv:x")] == [made[0], made[2]]
    assert [record.backup_id for record in workspace.backups("csv:")] == [made[0], made[2]]
    assert [record.backup_id for record in workspace.backups()] == made
    assert workspace.backups("csv:new") == []
    with pytest.raises(BackupNotFoundError, match="no dataset 'z'"):
        workspace.backups("csv:z")
    workspace.remove("csv:x")
    assert len(workspace.backups("csv:x")) == 2


def test_verifying_names_what_is_damaged(workspace: Workspace, tmp_path: Path) -> None:
    """All are checked; one by its id raises what is wrong with it, and an unknown id says so."""
    workspace.store("csv").save_data(frame(), "x")
    good, bad = workspace.backup("csv:x"), workspace.backup("csv:x")
    (kept,) = (tmp_path / "backup").rglob(f"{bad}/data.csv")
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(PartialFailure, match=bad) as failed:
        workspace.verify()
    assert [(r.name, r.artifacts["dataset"], bool(r)) for r in failed.value.report] == [
        (good, "csv:x", True),
        (bad, "csv:x", False),
    ]
    with pytest.raises(IntegrityError, match=bad):
        workspace.verify(bad)
    assert [(r.name, r.artifacts) for r in workspace.verify(good)] == [(good, {"dataset": "csv:x"})]
    with pytest.raises(BackupNotFoundError, match=f"no backup '{good[:-1]}'.*Did you mean"):
        workspace.verify(good[:-1])


def test_restoring_takes_the_newest_unless_one_is_named(workspace: Workspace) -> None:
    """One of another dataset, and a dataset without any, are refused."""
    workspace.store("csv").save_data(frame(), "y")
    other = workspace.backup("csv:y")
    workspace.store("csv").save_data(frame(1), "x")
    first = workspace.backup("csv:x")
    workspace.store("csv").save_data(frame(2), "x")
    workspace.backup("csv:x")
    workspace.remove("csv:x")
    workspace.restore("csv:x")
    assert len(workspace.head("csv:x")) == 2
    workspace.restore("csv:x", first)
    assert len(workspace.head("csv:x")) == 1
    with pytest.raises(BackupNotFoundError, match="'y'"):
        workspace.restore("csv:x", other)
    with pytest.raises(BackupNotFoundError):
        workspace.restore("csv:z")


def test_a_table_goes_the_same_way(with_server: Workspace, postgres_url: str, postgres_schema: str) -> None:
    """Save, back up, delete, restore in PostgreSQL, seen by SQL alone."""
    with_server.store("postgres").save_data(frame(), "x: y")
    with_server.backup("postgres:x: y")
    assert with_server.remove("postgres:x: y") is True
    assert with_server.restore("postgres:x: y") is True
    with psycopg.connect(postgres_url) as connection:
        query = sql.SQL("SELECT a, b FROM {}").format(sql.Identifier(postgres_schema, "x: y"))
        assert connection.execute(query).fetchall() == [(0, "row 0"), (1, "row 1"), (2, "row 2")]


# --------------------------------------------------------------------------- health and the server


def test_health_tells_each_store_and_why(tmp_path: Path) -> None:
    """Up without a reason, down with one; asking starts no server and writes nothing."""
    rows = {row["store"]: row for row in Workspace(tmp_path).health() if row["state"] != "not installed"}
    assert {row["state"] for row in rows.values()} == {"up"}
    assert {row["why"] for row in rows.values()} == {None}
    assert list(tmp_path.iterdir()) == []
    rows = {row["store"]: row for row in Workspace(tmp_path, config=DOWN).health()}
    assert rows["postgres"]["state"] == "down"
    assert "127.0.0.1" in rows["postgres"]["why"]


def test_an_embedded_server_that_never_ran_is_unused(workspace: Workspace) -> None:
    """Using it would start it, so it is up; without waking it is unused."""
    assert workspace.health(["postgres"])[0]["state"] == "up"
    assert workspace.health(["postgres"], wake=False)[0]["state"] == "unused"


def test_a_server_elsewhere_is_not_ours_to_manage(tmp_path: Path) -> None:
    """server() refuses, and does not show the password."""
    workspace = Workspace(tmp_path, config={**DOWN, "DB_PASSWORD": "geheim-1234"})
    with pytest.raises(OptionError, match="Unset DB_SERVER and DB_URL") as refused:
        workspace.server()
    assert "geheim" not in str(refused.value)


# --------------------------------------------------------------------------- moved and copied


def test_a_rename_stays_in_its_store(workspace: Workspace) -> None:
    """By a plain name or by store:name; what is called so already, or another store, is refused."""
    workspace.store("parquet").save_data(frame(), "x")
    workspace.store("parquet").save_data(frame(1), "y")
    assert workspace.rename("parquet:x", "z") == "parquet:z"
    assert workspace.rename("parquet:z", "parquet:x") == "parquet:x"
    with pytest.raises(DatasetExistsError):
        workspace.rename("parquet:x", "y")
    with pytest.raises(OptionError, match="millpond copy parquet:x csv:x, and then millpond rm parquet:x"):
        workspace.rename("parquet:x", "csv:x")
    assert len(workspace.head("parquet:x")) == 3


def test_a_copy_that_fails_leaves_the_target_as_it_is(workspace: Workspace, tmp_path: Path) -> None:
    """What a CSV cannot hold is refused, in a store and in a file, and nothing is half written."""
    odd = pd.DataFrame({"a": ["x\0y"]})
    workspace.store("parquet").save_data(odd, "odd")
    workspace.store("csv").save_data(frame(), "x")
    (tmp_path / "x.csv").write_text("mine\n")
    with pytest.raises(FidelityError):
        workspace.copy("parquet:odd", "csv:x")
    with pytest.raises(FidelityError):
        workspace.copy("parquet:odd", str(tmp_path / "x.csv"), mode="replace")
    assert len(workspace.head("csv:x")) == 3
    assert (tmp_path / "x.csv").read_text() == "mine\n"
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_file_among_the_data_is_the_dataset(workspace: Workspace, tmp_path: Path) -> None:
    """Copied to by its path, it is saved by its store, with what the store knows of it."""
    kinds = pd.DataFrame({"n": pd.Categorical(["a", None])})
    workspace.store("parquet").save_data(kinds, "kinds")
    (done,) = workspace.copy("parquet:kinds", str(tmp_path / "data" / "kinds.csv"))
    assert (done.target, done.lost) == ("csv:kinds", ())
    pd.testing.assert_frame_equal(workspace.head(str(tmp_path / "data" / "kinds.csv")), kinds)
    (done,) = workspace.copy("parquet:kinds", str(tmp_path / "kinds.csv"))
    assert done.lost == ("n: category",)


def test_a_table_is_copied_to_and_from_the_server(with_server: Workspace, tmp_path: Path) -> None:
    """Names that files may not have stay with the server; everything else goes both ways."""
    frame().to_csv(tmp_path / "in.csv", index=False)
    (done,) = with_server.copy(str(tmp_path / "in.csv"), "postgres:")
    assert (done.target, done.rows, done.did) == ("postgres:in", 3, "new")
    (done,) = with_server.copy(str(tmp_path / "in.csv"), "postgres:in")
    assert done.backup == with_server.backups("postgres:in")[-1].backup_id
    with_server.store("postgres").save_data(frame(), "x: y")
    with pytest.raises(PartialFailure) as failed:
        with_server.copy("postgres:", "parquet:")
    assert {result.name: bool(result) for result in failed.value.report} == {
        "postgres:in": True,
        "postgres:x: y": False,
    }
    assert with_server.datasets("parquet") == ["parquet:in"]


def test_a_backup_is_put_elsewhere(workspace: Workspace) -> None:
    """Into another name or store, and the dataset stays as it is."""
    workspace.store("csv").save_data(frame(3), "x")
    workspace.backup("csv:x")
    workspace.store("csv").save_data(frame(1), "x")
    assert workspace.restore("csv:x", into="parquet:drill") is True
    assert (len(workspace.head("parquet:drill")), len(workspace.head("csv:x"))) == (3, 1)
    with pytest.raises(UnknownNameError, match="Did you mean 'parquet'"):
        workspace.restore("csv:x", into="parqet:drill")
    with pytest.raises(OptionError, match="Write store:name"):
        workspace.restore("csv:x", into="drill")
