"""Cases through the command line: Ctrl-C and TERM in the middle of a step, two runs at once, parents that die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework import Workspace

PLUGINS = """
import os, subprocess, time
from pathlib import Path
from framework import plugin

@plugin(name="first")
def first(case_path, data_hub):
    data_hub.register("one", {"pid": os.getpid()})

@plugin(name="slow")
def slow(case_path, data_hub, how: str = "sleep"):
    data_hub.register("two", {"new": True})
    folder = data_hub.staged("frames")
    (folder / "half.png").write_bytes(b"half")
    (case_path / "under_way").write_text(str(os.getpid()))
    for _ in range(6000):
        if how == "python":
            sum(range(100_000))
        elif how == "child":
            subprocess.run(["sleep", "60"])
        else:
            time.sleep(0.05 if how == "naps" else 60)
    data_hub.register("frames", folder)
"""
CASE = """
data_sources:
  one: {path: one.json}
  two: {path: two.json}
  frames: {path: out/frames, handler: dir}
pipeline:
  - plugin: first
    outputs: [one]
  - plugin: slow
    timeout: TIME
    config: {how: HOW}
    inputs: [one]
    outputs: [two, frames]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with a case whose second step takes for ever; its outputs of before are there."""
    (tmp_path / "millpond.yaml").write_text("{}\n")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "steps.py").write_text(textwrap.dedent(PLUGINS))
    case = tmp_path / "cases" / "demo"
    (case / "out" / "frames").mkdir(parents=True)
    (case / "two.json").write_text('{"old": true}')
    (case / "out" / "frames" / "old.png").write_bytes(b"old")
    return case


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test started; none outlives it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for each in started:
        each.kill()
        each.communicate()


def start(
    case: Path, children: list[subprocess.Popen[str]], how: str, *more: str, timeout: float = 600
) -> subprocess.Popen[str]:
    (case / "case.yaml").write_text(CASE.replace("HOW", how).replace("TIME", str(timeout)))
    command = [sys.executable, "-m", "framework", "--workspace", str(case.parents[1]), "pipeline", "--case", "demo"]
    started = subprocess.Popen(
        [*command, *more], cwd=case, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    children.append(started)
    return started


def environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def under_way(case: Path, running: subprocess.Popen[str]) -> int:
    """The process in which the slow step is, once it is."""
    marker = case / "under_way"
    while not marker.exists() or not marker.read_text():
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    return int(marker.read_text())


def has_child(pid: int) -> bool:
    """Whether a process has started one that by now is another program."""
    pids = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return any("sleep" in Path(f"/proc/{each}/comm").read_text() for each in pids)


def is_gone(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


EXECUTORS = {
    "serial": (),
    "threads": ("--parallel", "2"),
    "processes": ("--parallel", "2", "--executor", "processes"),
}


INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.timeout(50)  # less than what a step's own child sleeps, which would hold the pipes open
@pytest.mark.parametrize(
    ("how", "number"),
    [
        pytest.param("sleep", INT, id="sleep-int"),
        pytest.param("naps", TERM, id="naps-term"),
        pytest.param("child", TERM, id="child-term"),
        pytest.param("sleep", TERM, id="sleep-term", marks=pytest.mark.slow),
        pytest.param("python", TERM, id="python-term", marks=pytest.mark.slow),
        pytest.param("python", INT, id="python-int", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_signal_in_the_middle_of_a_step_ends_all_with_50(
    place: Path, children: list[subprocess.Popen[str]], executor: str, how: str, number: signal.Signals
) -> None:
    """The ledger says CANCELLED, outputs are old or new, nothing is left beside them, no process goes on."""
    running = start(place, children, how, *EXECUTORS[executor])
    worker = under_way(place, running)
    while how == "child" and not has_child(worker):
        time.sleep(0.2)
    running.send_signal(number)
    assert running.wait(30) == 50, running.communicate()
    assert "Traceback" not in running.communicate()[1]
    while not is_gone(worker):
        time.sleep(0.02)
    row, steps = Workspace(place.parents[1]).ran()
    assert (row.state, row.exit_code, row.reason) == ("CANCELLED", 50, "broken off")
    assert [(step.name, step.state) for step in steps] == [("first", "COMPLETED"), ("slow", "CANCELLED")]
    assert json.loads((place / "two.json").read_text()) == {"old": True}
    assert os.listdir(place / "out" / "frames") == ["old.png"]
    assert set(json.loads((place / "one.json").read_text())) == {"pid"}
    if executor != "threads" or how in ("naps", "python"):  # a thread in another language is cut off
        assert os.listdir(place / "out") == ["frames"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_timeout_ends_with_40(place: Path, children: list[subprocess.Popen[str]], executor: str) -> None:
    """And with words; outputs are as they were."""
    running = start(place, children, "naps", *EXECUTORS[executor], timeout=1)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 40, (output, errors)
    assert "was not done after 1 s" in errors
    assert json.loads((place / "two.json").read_text()) == {"old": True}
    assert os.listdir(place / "out") == ["frames"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_run_that_is_killed_reads_crashed_and_takes_its_steps_with_it(
    place: Path, children: list[subprocess.Popen[str]], executor: str
) -> None:
    """KILL cannot be caught: the lock is free at once, no step goes on, and the ledger says what happened."""
    running = start(place, children, "sleep", *EXECUTORS[executor])
    worker = under_way(place, running)
    work = Workspace(place.parents[1])
    assert work.ran()[0].state == "IN_PROGRESS"
    running.kill()
    running.wait()
    while not is_gone(worker):
        time.sleep(0.02)
    row = work.ran()[0]
    assert (row.state, row.reason) == ("FAILED", "crashed")


@pytest.mark.timeout(120)
def test_a_second_run_of_a_case_is_locked_out_with_50(place: Path, children: list[subprocess.Popen[str]]) -> None:
    """Nothing of it is run, and the message says which case."""
    running = start(place, children, "sleep")
    under_way(place, running)
    second = start(place, children, "sleep")
    output, errors = second.communicate(timeout=60)
    assert second.returncode == 50, (output, errors)
    assert "Another run of demo goes on; nothing was run." in errors
    work: Any = Workspace(place.parents[1])
    assert len(work.runs()) == 1
