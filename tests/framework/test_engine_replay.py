"""Replay: a run once more with what it read, whatever has become of that; nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework import Workspace
from framework.errors import ConfigurationException, IntegrityError, StorageError
from framework.vault.contents import Contents, digests_of
from framework.workspace.flows import How

PLUGINS = """
import random
import pandas as pd
from framework import plugin

@plugin(name="total")
def total(data_hub, table, folder, factor: float = 2.0, secret_token: str = "none"):
    names = sorted(path.name for path in folder.iterdir())
    data_hub.register("sums", table.assign(x=table.x * factor))
    data_hub.register("names", names)

@plugin(name="tell")
def tell(data_hub, sums):
    data_hub.register("told", {"sum": float(sums.x.sum())})

@plugin(name="dice")
def dice(data_hub, told):
    data_hub.register("thrown", {"number": random.random()})
"""
CASE = """
replayable: true
data_sources:
  table: TABLE
  folder: {path: raw/folder, handler: dir}
  sums: {path: made/sums.parquet}
  names: {path: made/names.json}
  told: {path: made/told.json}
  thrown: {path: made/thrown.json}
pipeline:
  - {plugin: total, inputs: [table, folder], outputs: [sums, names], config: {factor: 3.0, secret_token: hush-hush-1}}
  - {plugin: tell, inputs: [sums], outputs: [told]}
"""
DICE = "  - {plugin: dice, inputs: [told], outputs: [thrown]}\n"


class Place:
    """A workspace with a replayable case that reads a table and a folder."""

    def __init__(self, folder: Path, table: str, settings: dict[str, Any]) -> None:
        self.folder, self.table, self.settings = folder, table, settings
        self.case = folder / "cases" / "demo"
        (folder / "plugins").mkdir()
        self.code(PLUGINS)
        (self.case / "raw" / "folder" / "deep" / "empty").mkdir(parents=True)
        (self.case / "raw" / "folder" / "one.txt").write_text("1")
        (self.case / "raw" / "folder" / "deep" / "two.txt").write_text("2")
        (folder / "millpond.yaml").write_text("{}\n")
        self.write()

    def code(self, text: str) -> None:
        (self.folder / "plugins" / "steps.py").write_text(text)

    def write(self, more: str = "") -> None:
        place = "{path: raw/table.csv}" if self.table == "file" else f"{{store: {self.table}, dataset: raw/table}}"
        (self.case / "case.yaml").write_text(CASE.replace("TABLE", place) + more)

    @property
    def work(self) -> Workspace:
        return Workspace(self.folder, config=self.settings)

    def source(self, values: list[int]) -> None:
        frame = pd.DataFrame({"x": values})
        if self.table == "file":
            frame.to_csv(self.case / "raw" / "table.csv", index=False)
        else:
            self.work.store(self.table).save_data(frame, "raw/table")

    def made(self) -> dict[str, tuple[bytes, int]]:
        """All files of the case with their times."""
        files = [path for path in sorted(self.case.rglob("*")) if path.is_file()]
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(params=["file", "parquet", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Its table is a file, or lies in a store."""
    settings: dict[str, Any] = {}
    if request.param == "postgres":
        settings["DB_URL"] = request.getfixturevalue("postgres_url")
        settings["DB_SCHEMA"] = request.getfixturevalue("postgres_schema")
    made = Place(tmp_path, request.param, settings)
    made.source([1, 2, 3])
    return made


@pytest.fixture
def filed(tmp_path: Path) -> Place:
    made = Place(tmp_path, "file", {})
    made.source([1, 2, 3])
    return made


def test_a_run_whose_sources_have_changed_since_is_replayed_to_the_same(place: Place) -> None:
    """Every output has the fingerprint that it had, and no file of the case is written."""
    first = place.work.run("demo").raise_if_failed()
    place.source([7, 8])
    (place.case / "raw" / "folder" / "one.txt").unlink()
    (place.case / "raw" / "folder" / "three.txt").write_text("3")
    place.work.run("demo").raise_if_failed()
    before = place.made()
    done = place.work.replay(first.run_id)
    assert done.same, [done.result.errors, done.outputs]
    assert [(each.step, each.output) for each in done.outputs] == [
        ("total", "sums"),
        ("total", "names"),
        ("tell", "told"),
    ]
    assert done.first_difference is None
    assert done.folder is None
    assert place.made() == before
    assert os.listdir(place.work.settings.own_folder / "replays") == []
    assert place.work.ran(done.run_id)[0].replay_of == first.run_id


def test_a_run_whose_sources_are_gone_is_replayed(filed: Place) -> None:
    """Also with the case's folder in ruins."""
    first = filed.work.run("demo").raise_if_failed()
    (filed.case / "raw" / "table.csv").unlink()
    (filed.case / "made" / "told.json").unlink()
    assert filed.work.replay(first.run_id).same
    assert not (filed.case / "made" / "told.json").exists()


def test_the_first_step_that_differs_is_named(filed: Place) -> None:
    """Other code: it is said whose code is not what it was, and what was made can be looked at."""
    first = filed.work.run("demo").raise_if_failed()
    filed.code(PLUGINS.replace("sums.x.sum()", "sums.x.sum() + 1"))
    done = filed.work.replay(first.run_id)
    assert not done.same
    assert done.first_difference is not None
    assert (done.first_difference.step, done.first_difference.output) == ("tell", "told")
    assert "tell" in done.changed_code
    assert done.folder is not None
    assert json.loads((done.folder / "made" / "told.json").read_text()) == {"sum": 19.0}
    assert json.loads((filed.case / "made" / "told.json").read_text()) == {"sum": 18.0}


def test_a_step_that_throws_dice_differs(filed: Place) -> None:
    """Its code is what it was, and its output is not."""
    filed.write(DICE)
    first = filed.work.run("demo").raise_if_failed()
    done = filed.work.replay(first.run_id)
    assert done.first_difference is not None
    assert done.first_difference.step == "dice"
    assert done.changed_code == []


def test_parameters_are_those_of_the_run_and_secrets_are_not_kept(filed: Place) -> None:
    """What the case says now does not count, but for what was not kept because it is secret."""
    filed.code(
        PLUGINS.replace("secret_token: str", "site: str = '', secret_token: str").replace(
            'data_hub.register("names", names)', 'data_hub.register("names", [*names, site])'
        )
    )
    text = (filed.case / "case.yaml").read_text()
    (filed.case / "case.yaml").write_text(text.replace("factor: 3.0", 'factor: 3.0, site: "http://u:pw-4-site@host/x"'))
    first = filed.work.run("demo", {"total.factor": 5.0}).raise_if_failed()
    assert "pw-4-site" not in str(filed.work.ran(first.run_id))
    text = (filed.case / "case.yaml").read_text()
    (filed.case / "case.yaml").write_text(text.replace("factor: 3.0", "factor: 9.0"))
    assert filed.work.replay(first.run_id).same
    for path in filed.folder.rglob("*"):
        if path.is_file() and path.name != "case.yaml":
            assert b"hush-hush-1" not in path.read_bytes(), path


def test_a_run_whose_inputs_were_not_kept_says_how_to_keep_them(filed: Place) -> None:
    """The case's own word, or the option."""
    run = filed.work.run("demo", how=How(keep_inputs=False)).raise_if_failed()
    with pytest.raises(ConfigurationException, match=r"replayable: true.*--keep-inputs"):
        filed.work.replay(run.run_id)


def test_a_run_that_read_nothing_new_can_be_replayed_too(filed: Place) -> None:
    """One in which all stood is replayed to what stood; a step that has a secret would not stand."""
    case = filed.case / "case.yaml"
    case.write_text(case.read_text().replace(", secret_token: hush-hush-1", ""))
    filed.work.run("demo").raise_if_failed()
    second = filed.work.run("demo", how=How(resume=True))
    assert {child.outcome.name for child in second.children} == {"SKIPPED"}
    assert filed.work.replay("last").same


def kept_files(place: Place) -> list[Path]:
    folder = place.work.contents.folder
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_runs_read_is_kept_once_each_and_goes_with_the_last_run(place: Place) -> None:
    """Three runs on one table keep it once; pruning sweeps what none of those that are left needs."""
    runs = [place.work.run("demo").raise_if_failed() for _ in range(2)]
    first = kept_files(place)
    assert len(first) == 3  # the table, and two files of the folder
    place.source([9])
    last = place.work.run("demo").raise_if_failed()
    assert len(kept_files(place)) == 4
    for path in kept_files(place):
        os.utime(path, (1, time.time() - 3 * 86400))
    assert place.work.prune_runs(keep=1) == (2, 1)
    assert len(kept_files(place)) == 3
    assert [row.run_id for row in place.work.runs()] == [last.run_id]
    assert place.work.replay(last.run_id).same
    assert runs[0].run_id not in [row.run_id for row in place.work.runs()]


def test_what_was_kept_just_now_is_not_swept(filed: Place) -> None:
    """Its run may not be on record yet; kept again, an old file is as new."""
    contents = filed.work.contents
    digest = contents.keep(filed.case / "raw" / "table.csv")["file"]
    assert contents.sweep(()) == 0
    (path,) = kept_files(filed)
    os.utime(path, (1, 1))
    contents.keep(filed.case / "raw" / "table.csv")
    assert contents.sweep(()) == 0
    os.utime(path, (1, 1))
    assert contents.sweep({digest}) == 0
    assert contents.sweep(()) == 1
    assert kept_files(filed) == []


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "flipped": flipped,
    "cut": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_of_what_was_kept_is_told(filed: Place, damage: str) -> None:
    """Never taken for what it was; the next run that reads the same keeps it whole again."""
    first = filed.work.run("demo").raise_if_failed()
    for path in kept_files(filed):
        DAMAGES[damage](path)
    with pytest.raises(IntegrityError, match="gone" if damage == "gone" else "damaged"):
        filed.work.replay(first.run_id)
    filed.work.run("demo").raise_if_failed()
    assert filed.work.replay(first.run_id).same


def test_a_folder_is_given_back_as_it_was(tmp_path: Path) -> None:
    """With the folders that hold nothing; names that lead out of it are refused."""
    source = tmp_path / "source"
    (source / "a" / "empty").mkdir(parents=True)
    (source / "a" / "x").write_bytes(b"x")
    contents = Contents(tmp_path / "kept")
    kept = contents.keep(source)
    contents.fetch(kept, tmp_path / "back")
    assert (tmp_path / "back" / "a" / "x").read_bytes() == b"x"
    assert (tmp_path / "back" / "a" / "empty").is_dir()
    assert len(list(digests_of(kept))) == 1
    for name in ("../out", "/tmp/out"):
        with pytest.raises(IntegrityError, match="not the name"):
            contents.fetch({**kept, "files": {name: next(digests_of(kept))}}, tmp_path / "other")


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_not_kept(tmp_path: Path) -> None:
    """A pipe would make the reader wait for ever."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "pipe")
    with pytest.raises(StorageError, match="no plain file"):
        Contents(tmp_path / "kept").keep(tmp_path / "folder")
