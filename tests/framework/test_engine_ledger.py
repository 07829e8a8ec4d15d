"""The ledger: every run on record whoever else writes, crashed ones told, within bounds, without secrets."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.engine import Runner
from framework.engine.hub import DataHub
from framework.engine.ledger import HOST, Ledger, RunRow, StepRow, differences
from framework.engine.ledger_tables import FORMAT
from framework.engine.plan import plan_of
from framework.engine.records import Record
from framework.errors import (
    ConfigurationException,
    IntegrityError,
    LockedError,
    StorageError,
    UnavailableError,
    UnknownNameError,
)
from framework.steps import Step

SECRET = "s3cr3t-c4n4ry"


@pytest.fixture(params=["file", "sqlalchemy", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger lies: a file of ours, SQLite behind SQLAlchemy, a PostgreSQL server."""
    if request.param == "file":
        return str(tmp_path / "ledger.sqlite")
    if request.param == "sqlalchemy":
        return f"sqlite+pysqlite:///{tmp_path / 'other.sqlite'}"
    address, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')
    return f"{address}{'&' if '?' in address else '?'}options=-csearch_path%3D{schema}"


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Any:
    made = Ledger(url, tmp_path / "runs")
    yield made
    made.close()


def a_run(run_id: str, **more: Any) -> RunRow:
    return RunRow(run_id, "case", "demo", "/cases/demo", more.pop("started_at", time.time()), **more)


def a_step(run_id: str, name: str = "one", **more: Any) -> StepRow:
    return StepRow(run_id, more.pop("place", 0), name, "COMPLETED", "SUCCESS", time.time(), 0.1, **more)


def keep(ledger: Ledger, row: RunRow, *steps: StepRow) -> None:
    with ledger.run(row) as writer:
        for step in steps:
            writer.step(step)
        row.state, row.outcome, row.exit_code = "COMPLETED", "SUCCESS", 0


def test_what_was_kept_is_found_again(ledger: Ledger) -> None:
    """All of a run and its steps, by its id, the beginning of it, or as the last one."""
    record = Record("a", "a.csv", "file:1", (3, 4, 5), 2, 10, "how")
    step = a_step(
        "demo_11aa", inputs=[record], outputs=[record], warnings=["w"], params='{"x": [1, "f:1"]}', memory=2**40
    )
    keep(ledger, a_run("demo_11aa", plan={"steps": [1]}, versions={"python": "3"}, user="me"), step)
    keep(ledger, a_run("demo_22bb"))
    row = ledger.find("demo_11")
    assert (row.run_id, row.state, row.plan, row.versions, row.user) == (
        "demo_11aa",
        "COMPLETED",
        {"steps": [1]},
        {"python": "3"},
        "me",
    )
    assert row.seconds is not None
    assert ledger.steps("demo_11aa") == [step]
    assert ledger.find("last").run_id == "demo_22bb"
    assert [each.run_id for each in ledger.runs()] == ["demo_22bb", "demo_11aa"]
    assert [each.run_id for each in ledger.runs(limit=1, key="/cases/demo")] == ["demo_22bb"]
    assert ledger.runs(key="/other") == []


@pytest.mark.parametrize(("asked", "told"), [("demo_", "2 runs begin with"), ("dmeo", "no run"), ("%", "no run")])
def test_an_unknown_run_is_told_with_those_that_there_are(ledger: Ledger, asked: str, told: str) -> None:
    """Also where two begin alike; no letter stands for others."""
    for run_id in ("demo_1", "demo_2"):
        keep(ledger, a_run(run_id))
    with pytest.raises(UnknownNameError, match=told) as caught:
        ledger.find(asked)
    assert "demo_1" in str(caught.value)


def test_the_last_success_of_each_step_is_found(ledger: Ledger) -> None:
    """The newest row that says it was done, also if a later run failed before it."""
    keep(
        ledger,
        a_run("r1", started_at=time.time() - 2),
        a_step("r1", "a", code="1"),
        a_step("r1", "b", place=1, code="1"),
    )
    bad = a_step("r2", "b", place=1, code="2")
    bad.state = "FAILED"
    keep(ledger, a_run("r2", started_at=time.time() - 1), a_step("r2", "a", code="2"), bad)
    found = ledger.last_steps("/cases/demo", ["a", "b", "c"])
    assert {name: row.code for name, row in found.items()} == {"a": "2", "b": "1"}


def test_old_runs_are_forgotten_by_age_and_count(ledger: Ledger) -> None:
    """When another ends; with their steps."""
    now = time.time()
    keep(ledger, a_run("old", started_at=now - 400 * 86400), a_step("old"))
    ledger.keep_runs = 3
    for number in range(5):
        keep(ledger, a_run(f"r{number}", started_at=now + number), a_step(f"r{number}"))
    assert [row.run_id for row in ledger.runs()] == ["r4", "r3", "r2"]
    assert ledger.steps("r0") == []
    assert ledger.steps("old") == []
    assert len(ledger.steps("r4")) == 1
    assert ledger.prune(keep_runs=1, keep_days=365) == 2


def test_by_default_there_are_bounds(tmp_path: Path) -> None:
    """A thousand runs and a year."""
    made = Ledger(str(tmp_path / "l"), tmp_path)
    assert (made.keep_runs, made.keep_days) == (1000, 365)


def in_child(code: str, *arguments: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=root, stdout=subprocess.PIPE, text=True)


CRASHING = """
import os, sys, time
from pathlib import Path
from framework.engine.ledger import Ledger, RunRow
ledger = Ledger(sys.argv[1], Path(sys.argv[2]))
with ledger.run(RunRow("dies", "case", "demo", "/cases/demo", float(sys.argv[3]))):
    print("under way", flush=True)
    sys.stdin.read() if len(sys.argv) > 4 else time.sleep(60)
"""


@pytest.mark.timeout(60)
def test_a_run_whose_process_is_gone_reads_crashed(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """While it runs it reads IN_PROGRESS; nobody has to tidy up after it, and it is forgotten like another."""
    child = in_child(CRASHING, url, str(tmp_path / "runs"), str(time.time() - 400 * 86400))
    assert child.stdout is not None
    child.stdout.readline()
    assert ledger.find("dies").state == "IN_PROGRESS"
    assert ledger.prune(keep_runs=1000, keep_days=365) == 0
    child.kill()
    child.communicate()
    row = ledger.find("dies")
    assert (row.state, row.reason, row.ended_at) == ("FAILED", "crashed", None)
    assert ledger.runs()[0].reason == "crashed"
    assert len(os.listdir(tmp_path / "runs")) == 1
    assert ledger.prune(keep_runs=1000, keep_days=365) == 1
    assert os.listdir(tmp_path / "runs") == []


def test_a_run_of_another_workspace_is_not_taken_for_crashed(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """One ledger for two: its lock lies elsewhere, and its process lives."""
    other = Ledger(url, tmp_path / "elsewhere")
    with ledger.run(a_run("here")):
        assert other.find("here").state == "IN_PROGRESS"
    other.close()
    far = a_run("far")
    keep(ledger, far)
    ledger.tables.update_run("far", {"state": "IN_PROGRESS", "host": HOST + "x"})
    assert ledger.find("far").state == "IN_PROGRESS"


WRITING = """
import sys, time
from pathlib import Path
from framework.engine.ledger import Ledger, RunRow, StepRow
for number in range(int(sys.argv[4])):
    ledger = Ledger(sys.argv[1], Path(sys.argv[2]))
    run_id = f"p{sys.argv[3]}_{number}"
    row = RunRow(run_id, "case", "demo", "/cases/demo", time.time())
    with ledger.run(row) as writer:
        for place in range(3):
            writer.step(StepRow(run_id, place, f"s{place}", "COMPLETED", "SUCCESS", time.time(), 0.0))
        row.state = "COMPLETED"
    ledger.close()
"""


@pytest.mark.timeout(280)
def test_many_processes_write_at_once_and_nothing_is_missing(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """Eight processes, fifty runs each (four and ten behind SQLAlchemy), from an empty place: each is whole."""
    each = 50 if "://" not in url else 10
    count = 8 if "://" not in url else 4
    children = [in_child(WRITING, url, str(tmp_path / "runs"), str(n), str(each)) for n in range(count)]
    assert [child.wait(250) for child in children] == [0] * count
    rows = ledger.runs()
    assert len(rows) == count * each
    assert {row.state for row in rows} == {"COMPLETED"}
    assert all(len(ledger.steps(row.run_id)) == 3 for row in rows)


def test_a_file_is_in_wal_mode(tmp_path: Path) -> None:
    """So that readers and writers do not wait for each other."""
    ledger = Ledger(str(tmp_path / "l"), tmp_path / "runs")
    keep(ledger, a_run("r"))
    ledger.close()
    with sqlite3.connect(tmp_path / "l") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)


# --------------------------------------------------------------------------- refusals


def one_step(tmp_path: Path, ledger: Ledger, before: Callable[[], Any] = lambda: None, *, fails: bool = False) -> Any:
    """A run of one step that writes a file; `before` is called while the step is under way."""
    hub = DataHub(tmp_path)
    hub.add_data_sources({"a": {"path": "a.json"}})

    def call() -> Any:
        before()
        time.sleep(0.25)  # long enough to be written at once
        return {"v": 1 // 0 if fails else 1}

    row = a_run(f"run_{time.time_ns()}")
    with ledger.run(row) as writer:
        plan = plan_of("p", [(Step("one", call, outputs=("a",)), "p:1")], sources=())
        result = Runner().run(plan, hub, writer=writer)
        row.state = result.outcome.state
    return result


def test_a_ledger_that_is_locked_at_the_beginning_lets_nothing_run(tmp_path: Path) -> None:
    """A typed error with the ledger's name, and no output."""
    ledger = Ledger(str(tmp_path / "l"), tmp_path / "runs", wait=0.2)
    keep(ledger, a_run("r"))
    holder = sqlite3.connect(tmp_path / "l", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockedError, match="another process"):
        one_step(tmp_path, ledger)
    assert not (tmp_path / "a.json").exists()
    holder.close()
    assert one_step(tmp_path, ledger)


def test_a_ledger_that_is_locked_at_the_end_loses_no_output(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was made is saved; the error says that it is, and a step's own failure comes before it."""
    ledger = Ledger(str(tmp_path / "l"), tmp_path / "runs", wait=0.2)
    keep(ledger, a_run("r"))
    holder = sqlite3.connect(tmp_path / "l", isolation_level=None)
    with pytest.raises(LockedError, match="is over, and what it made is saved, but not recorded"):
        one_step(tmp_path, ledger, lambda: holder.execute("BEGIN IMMEDIATE"))
    assert json.loads((tmp_path / "a.json").read_text()) == {"v": 1}
    holder.execute("ROLLBACK")
    result = one_step(tmp_path, ledger, lambda: holder.execute("BEGIN IMMEDIATE"), fails=True)
    assert isinstance(result.error, ZeroDivisionError)
    assert "not recorded" in caplog.text
    holder.close()
    assert ledger.find("last").reason is None or ledger.find("last").state == "IN_PROGRESS"


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_ledger_is_told_with_the_cure(tmp_path: Path, content: bytes) -> None:
    """It is not overwritten."""
    (tmp_path / "l").write_bytes(content)
    with pytest.raises(IntegrityError, match="Move it aside"):
        one_step(tmp_path, Ledger(str(tmp_path / "l"), tmp_path / "runs"))
    assert (tmp_path / "l").read_bytes() == content
    assert not (tmp_path / "a.json").exists()


def test_a_ledger_in_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    """A file stands where its folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        one_step(tmp_path, Ledger(str(tmp_path / "file" / "l"), tmp_path / "runs"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="LEDGER_URL"):
        one_step(tmp_path, Ledger(str(tmp_path / "folder"), tmp_path / "runs"))


READ_ONLY = """
import os, sys
from pathlib import Path
from framework.engine.ledger import Ledger, RunRow
from framework.errors import StorageError
os.setgid(65534); os.setuid(65534)
try:
    with Ledger(sys.argv[1], Path(sys.argv[2])).run(RunRow("r", "case", "demo", "k", 1.0)):
        print("ran")
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody without rights")
def test_a_ledger_that_may_only_be_read_is_a_storage_error(tmp_path: Path) -> None:
    """With what to do about it."""
    keep(Ledger(str(tmp_path / "l"), tmp_path / "runs"), a_run("r0"))
    (tmp_path / "runs").chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    said = in_child(READ_ONLY, str(tmp_path / "l"), str(tmp_path / "runs")).communicate()[0]
    assert "Give yourself the right" in said


FULL = """
import resource, sys, time
from pathlib import Path
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from framework.engine.ledger import Ledger, RunRow
from framework.errors import StorageError
ledger = Ledger(sys.argv[1], Path(sys.argv[2]))
with ledger.run(RunRow("r0", "case", "demo", "k", time.time())) as writer:
    writer.row.state = "COMPLETED"
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    with ledger.run(RunRow("r1", "case", "demo", "k", 2.0, plan={"x": "y" * 100_000})):
        print("ran")
except StorageError as error:
    print("refused:", error)
"""


def test_a_full_disk_is_a_storage_error_and_what_was_kept_stays(tmp_path: Path) -> None:
    """The run does not begin; the runs of before can be read."""
    said = in_child(FULL, str(tmp_path / "l"), str(tmp_path / "runs")).communicate()[0]
    assert said.startswith("refused: The ledger")
    assert [row.run_id for row in Ledger(str(tmp_path / "l"), tmp_path / "runs").runs()] == ["r0"]


def test_a_ledger_of_a_later_format_is_left_alone(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """With the two cures."""
    keep(ledger, a_run("r"))
    if "://" in url:
        with ledger.tables._engine.begin() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql("INSERT INTO millpond_format VALUES (99)")
    else:
        with sqlite3.connect(url) as connection:
            connection.execute("PRAGMA user_version=99")
    ledger.close()
    later = Ledger(url, tmp_path / "runs")
    with pytest.raises(ConfigurationException, match=r"later Millpond \(format 99; .*LEDGER_URL"):
        later.runs()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nosuch://x", ConfigurationException),
        ("sqlite+nodriver:///x", ConfigurationException),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/db", UnavailableError),
        (f"postgresql://u:{SECRET}@127.0.0.1:notaport/db", ConfigurationException),
    ],
    ids=["dialect", "driver", "nobody there", "port"],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(
    url: str, error: type[Exception], tmp_path: Path
) -> None:
    """A typed error each."""
    with pytest.raises(error) as caught:
        Ledger(url, tmp_path).runs()
    assert SECRET not in str(caught.value)


# --------------------------------------------------------------------------- secrets


def test_no_secret_is_in_the_ledger(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """Not in parameters, plans, errors, reasons or warnings: passwords in addresses are masked."""
    address = f"postgresql://u:{SECRET}@host/db"
    row = a_run("r", plan={"steps": [{"params": {"source": address, "more": [address]}}]})

    def call() -> Any:
        raise ValueError(f"{address} refused, password={SECRET}")

    with ledger.run(row) as writer:
        step = Step("one", call, params={"source": address, "deep": {"x": [address]}}, outputs=("a",))
        result = Runner().run(plan_of("p", [(step, "p:1")], sources=()), DataHub(tmp_path), writer=writer)
        writer.step(a_step("r", "two", place=1, warnings=[address], error=address))
        row.state, row.reason = result.outcome.state, result.errors[0]
    everything = str([ledger.tables.runs(), ledger.tables.steps("r")])
    assert SECRET not in everything
    assert everything.count("postgresql://u:***@host/db") >= 7
    assert json.loads(ledger.steps("r")[0].params)["source"] == ["postgresql://u:***@host/db", ""]


class Colour:
    def __str__(self) -> str:
        return "red"


def test_parameters_of_any_type_are_kept(ledger: Ledger) -> None:
    """Paths, sets, tuples, what JSON does not know and what holds itself."""
    endless: list[Any] = []
    endless.append(endless)
    odd = {"path": Path("x"), "set": {2, 1}, "tuple": (1,), 3: Colour(), "endless": endless, "nul": None}
    keep(ledger, a_run("r", plan=odd))
    plan = ledger.find("r").plan
    assert (plan["path"], plan["set"], plan["tuple"], plan["3"], plan["nul"]) == ("x", [1, 2], [1], "red", None)


# --------------------------------------------------------------------------- two runs


def test_two_runs_differ_in_what_differs() -> None:
    """Code, version, parameters, inputs and outputs of each step, and steps that only one has."""
    one = [
        a_step("1", "a", code="x", params='{"p": [1, ""], "gone": [2, ""]}', outputs=[Record("o", "o", "f1")]),
        a_step("1", "b"),
    ]
    other = [
        a_step("2", "a", code="y", version="2", params='{"p": [3, ""]}', outputs=[Record("o", "o", "f2")]),
        a_step("2", "c", inputs=[Record("i", "i", "f")]),
    ]
    found = {(each["step"], each["what"]): (each["one"], each["other"]) for each in differences(one, other)}
    assert found == {
        ("a", "version"): ("", "2"),
        ("a", "code"): ("x", "y"),
        ("a", "parameter p"): (1, 3),
        ("a", "parameter gone"): (2, None),
        ("a", "output o"): ("f1", "f2"),
        ("b", "step"): ("there", None),
        ("c", "step"): (None, "there"),
    }
    assert differences(one, one) == []
