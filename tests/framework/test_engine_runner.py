"""The runner on plans: the same in each executor, whatever a step does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework.engine import Runner
from framework.engine.hub import DataHub
from framework.engine.ledger import Ledger, RunRow, StepRow
from framework.engine.plan import plan_of
from framework.errors import FidelityError, OptionError, StepError, StepTimeoutError
from framework.results import Outcome, Result
from framework.steps import Made, Step

WAYS: dict[str, dict[str, Any]] = {
    "serial": {},
    "threads": {"workers": 2},
    "processes": {"workers": 2, "executor": "processes"},
    "one process": {"executor": "processes"},
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How steps are executed."""
    return WAYS[request.param]


class Desk:
    """A folder with a hub and a ledger, in which plans run one way."""

    def __init__(self, folder: Path, way: dict[str, Any]) -> None:
        self.folder, self.way = folder, way
        self.hub = DataHub(folder)
        self.hub.add_data_sources({name: {"path": f"{name}.json"} for name in ("a", "b", "c", "d")})
        self.hub.add_data_sources({"frames": {"path": "out/frames", "handler": "dir"}})
        (folder / "a.json").write_text('{"v": 1}')
        self.done: list[Result] = []
        self.begun: list[str] = []
        self.rows: list[StepRow] = []

    def run(self, *steps: Step, **more: Any) -> Result:
        written = {name for step in steps for name in step.outputs}
        plan = plan_of("case", [(step, step.name) for step in steps], sources={"a", "b", "c", "d"} - written)
        runner = Runner(on_done=self.done.append, on_start=lambda step: self.begun.append(step.name), **self.way)
        ledger = Ledger(str(self.folder / "ledger"), self.folder / "runs")
        run_id = f"run_{time.time_ns()}"
        with ledger.run(RunRow(run_id, "case", "case", "case", time.time())) as writer:
            result = runner.run(plan, self.hub, writer=writer, **more)
            writer.row.state = result.outcome.state
        self.rows = ledger.steps(run_id)
        ledger.close()
        return result

    def text(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text())

    def beside(self) -> list[str]:
        return sorted(name for name in os.listdir(self.folder) if name not in ("ledger", "runs", "out"))


@pytest.fixture
def desk(tmp_path: Path, way: dict[str, Any]) -> Desk:
    return Desk(tmp_path, way)


def step(name: str, call: Callable[..., Any], reads: str = "", writes: str = "", **more: Any) -> Step:
    """A step by the letters of what it reads and writes."""
    return Step(name, call, inputs=tuple(reads), outputs=tuple(writes), takes=tuple(reads), **more)


def plus_one(**data: Any) -> Any:
    return {"v": sum(each["v"] for each in data.values()) + 1}


# --------------------------------------------------------------------------- what is the same in each


def test_records_hooks_and_results_are_the_same_in_each(desk: Desk) -> None:
    """Inputs and outputs with fingerprints and rows, each step begun and done once, artifacts, the row of each."""
    result = desk.run(step("one", plus_one, "a", "b"), step("two", plus_one, "ab", "c"), step("three", plus_one, "c"))
    assert result, result.errors
    assert desk.text("c") == {"v": 4}
    assert [child.name for child in result.children] == ["one", "two", "three"]
    assert result.artifacts == {"b": "b.json", "c": "c.json"}
    assert sorted(desk.begun) == sorted(each.name for each in desk.done) == ["one", "three", "two"]
    assert [row.name for row in desk.rows] == ["one", "two", "three"]
    assert [record.name for record in desk.rows[1].inputs] == ["a", "b"]
    assert desk.rows[0].outputs[0].fingerprint == desk.rows[1].inputs[1].fingerprint
    assert desk.rows[0].inputs[0].fingerprint.startswith("file:")
    assert desk.rows[0].outputs[0].rows is None
    assert desk.rows[0].outputs[0].bytes == (desk.folder / "b.json").stat().st_size
    assert all(row.state == "COMPLETED" and row.attempts == 1 for row in desk.rows)


def test_data_in_memory_goes_from_step_to_step(desk: Desk) -> None:
    """Frames that no place is said for; nothing is in memory that nobody reads any more."""
    frame = pd.DataFrame({"x": [1, 2]})
    steps = [
        Step("make", lambda: frame.copy(), outputs=("frame",)),
        Step("sum", lambda frame: {"v": int(frame.x.sum())}, inputs=("frame",), outputs=("b",), takes=("frame",)),
    ]
    assert desk.run(*steps)
    assert desk.text("b") == {"v": 3}
    assert "frame" not in desk.hub


def test_a_step_cannot_change_what_another_reads(desk: Desk) -> None:
    """Each has data of its own, whoever comes first."""

    def spoil(b: Any) -> Any:
        found, b["v"] = b["v"], -1
        return {"v": found}

    assert desk.run(step("one", plus_one, "a", "b"), step("two", spoil, "b", "c"), step("three", spoil, "b", "d"))
    assert desk.text("c") == desk.text("d") == {"v": 2}


def test_a_failure_leaves_what_comes_later_not_run(desk: Desk) -> None:
    """The error is the run's; what was not run says so, and its outputs are as they were."""
    result = desk.run(step("bad", lambda a: 1 // 0, "a", "b"), step("after", plus_one, "b", "c"))
    assert not result
    assert (result.exit_code, result.outcome) == (30, Outcome.ERROR)
    assert isinstance(result.error, ZeroDivisionError)
    assert [child.outcome for child in result.children] == [Outcome.ERROR, Outcome.CANCELLED]
    assert result.children[1].errors == ["not run: an earlier step failed"]
    assert [row.state for row in desk.rows] == ["FAILED", "CANCELLED"]
    assert desk.beside() == ["a.json"]
    with pytest.raises(ZeroDivisionError):
        result.raise_if_failed()
    assert json.dumps(result.as_dict())


def test_keep_going_does_what_does_not_depend_on_it(desk: Desk) -> None:
    """And nothing else; the run has failed all the same, of the error and not of what was not run."""
    steps = [
        step("bad", lambda a: 1 // 0, "a", "b"),
        step("after", plus_one, "b", "c"),
        step("other", plus_one, "a", "d"),
    ]
    result = desk.run(*steps, keep_going=True)
    assert [child.outcome.name for child in result.children] == ["ERROR", "CANCELLED", "SUCCESS"]
    assert result.children[1].errors == ["not run: 'bad', which comes before it, failed"]
    assert isinstance(result.error, ZeroDivisionError)
    assert desk.text("d") == {"v": 2}


def test_a_step_is_tried_again_and_its_attempts_are_counted(desk: Desk) -> None:
    """The second try succeeds; what is wrong with the input is not tried again."""
    marker = desk.folder / "tried"

    def at_second(a: Any) -> Any:
        if not marker.exists():
            marker.touch()
            raise OSError("once")
        return a

    assert desk.run(step("again", at_second, "a", "b", retries=1))
    assert desk.rows[0].attempts == 2

    def wrong(a: Any) -> Any:
        raise OptionError("not that")

    result = Desk(desk.folder, desk.way).run(step("wrong", wrong, "a", "b", retries=3))
    assert result.exit_code == 20


@pytest.mark.timeout(30)
@pytest.mark.parametrize("hang", ["sleep", "python", "swallows"])
def test_a_step_that_hangs_is_ended(desk: Desk, hang: str) -> None:
    """In a sleep, in Python code, and where it catches all that it can: 40, and its outputs are as they were."""

    def hung(a: Any) -> Any:
        ends = time.monotonic() + (1.2 if hang == "swallows" else 60)
        while time.monotonic() < ends:
            with suppress(BaseException) if hang == "swallows" else nullcontext():
                time.sleep(60 if hang == "sleep" and "workers" not in desk.way else 0.01)
        return a

    result = desk.run(step("hung", hung, "a", "b", timeout=0.3), step("after", plus_one, "b", "c"))
    assert (result.exit_code, result.outcome) == (40, Outcome.TIMEOUT)
    assert isinstance(result.error, StepTimeoutError)
    assert [row.state for row in desk.rows] == ["FAILED", "CANCELLED"]
    assert desk.beside() == ["a.json"]


@pytest.mark.timeout(30)
def test_a_step_that_ends_in_time_is_not_rung_for(desk: Desk) -> None:
    """A timeout that was not reached leaves nothing that rings later."""
    steps = [step("quick", plus_one, "a", "b", timeout=1), step("slow", lambda b: time.sleep(1.2) or b, "b", "c")]
    assert desk.run(*steps)


class Odd(BaseException):
    pass


def raised(error: BaseException) -> Callable[..., Any]:
    def call(**data: Any) -> Any:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "called sys.exit(3)"),
        (SystemExit(), "called sys.exit(None)"),
        (Odd("odd"), "raised Odd: odd"),
        (asyncio.CancelledError(), "raised CancelledError"),
        (GeneratorExit(), "raised GeneratorExit"),
    ],
    ids=["exit", "exit without a code", "own class", "cancelled", "generator"],
)
def test_whatever_a_step_raises_is_its_error(desk: Desk, error: BaseException, told: str) -> None:
    """Also what is no Exception: the step fails with 30, and the run goes on to its end."""
    result = desk.run(step("odd", raised(error), "a", "b"), step("other", plus_one, "a", "c"), keep_going=True)
    assert result.exit_code == 30
    assert told in result.errors[0]
    assert result.children[1]


def test_an_error_that_cannot_be_packed_is_told_in_words(desk: Desk) -> None:
    """Packed it is only between processes; there its words arrive."""

    class Local(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    result = desk.run(step("bad", raised(Local(1, 2)), "a", "b"))
    assert "Local: 1 and 2" in result.errors[0]


@pytest.mark.parametrize(
    ("value", "told"),
    [(3, "returned int for 2 outputs"), ({"x": 1}, "returned dict"), ((1, 2), "returned tuple")],
    ids=["number", "other names", "tuple"],
)
def test_a_step_that_returns_the_wrong_thing_is_told_what_to_return(desk: Desk, value: Any, told: str) -> None:
    """The names of its outputs are in the cure."""
    result = desk.run(step("wrong", lambda a: value, "a", "bc"))
    assert told in result.errors[0]
    assert "Return a mapping with b, c." in result.errors[0]


def test_data_that_its_format_cannot_hold_fails_the_step(desk: Desk) -> None:
    """What was there stays."""
    (desk.folder / "b.json").write_text("1")
    result = desk.run(step("wrong", lambda a: object(), "a", "b"))
    assert isinstance(result.error, FidelityError)
    assert desk.text("b") == 1


def test_none_for_an_output_warns_and_leaves_what_was_there(desk: Desk) -> None:
    """Ten is the exit code, and the words are the step's; a declared output that is not made warns too."""
    (desk.folder / "b.json").write_text("1")
    result = desk.run(step("none", lambda a: Made({"b": None}, ["nothing new"]), "a", "bc"))
    assert (result.outcome, result.exit_code) == (Outcome.WARNING, 10)
    assert result.warnings == ["none: nothing new", "none: 'none' declares 'c' and made none."]
    assert desk.text("b") == 1
    assert desk.rows[0].warnings
    assert desk.rows[0].outputs == []


def test_none_for_an_output_that_is_read_later_is_an_error(desk: Desk) -> None:
    """What an earlier run left there is not taken for it."""
    (desk.folder / "b.json").write_text('{"v": 8}')
    result = desk.run(step("none", lambda a: Made({"b": None}), "a", "b"), step("after", plus_one, "b", "c"))
    assert isinstance(result.error, StepError)
    assert "'none' made nothing for 'b'" in result.errors[0]
    assert not (desk.folder / "c.json").exists()


def test_a_class_registers_what_it_makes_also_without_saying_so(desk: Desk) -> None:
    """Into memory and into its place; a later step finds both."""

    def register() -> Made:
        desk.hub.register("b", {"v": desk.hub.get("a")["v"]})
        desk.hub.register("free", {"v": 7})
        return Made()

    def use() -> Made:
        desk.hub.register("c", {"v": desk.hub.get("b")["v"] + desk.hub.get("free")["v"]})
        return Made()

    result = desk.run(Step("one", register), Step("two", use))
    assert result, result.errors
    assert desk.text("c") == {"v": 8}
    assert [record.name for record in desk.rows[0].inputs] == ["a"]
    assert [record.name for record in desk.rows[1].outputs] == ["c"]


def test_a_folder_is_swapped_in_when_its_step_has_succeeded(desk: Desk) -> None:
    """And is not there at all when it fails."""

    def paint(then: Callable[[], Any]) -> Callable[..., Any]:
        def call(a: Any) -> Made:
            folder = desk.hub.staged("frames")
            assert folder is not None
            (folder / "1.png").write_bytes(b"1")
            then()
            return Made({"frames": folder})

        return call

    bad = Step("paint", paint(lambda: 1 // 0), inputs=("a",), outputs=("frames",), takes=("a",))
    assert not desk.run(bad)
    assert os.listdir(desk.folder / "out") == []
    good = Step("paint", paint(lambda: None), inputs=("a",), outputs=("frames",), takes=("a",))
    other = Desk(desk.folder / "other", desk.way) if (desk.folder / "other").mkdir() is None else desk
    desk.hub = other.hub
    assert other.run(good)
    assert os.listdir(other.folder / "out") == ["frames"]
    assert os.listdir(other.folder / "out" / "frames") == ["1.png"]


def test_what_a_step_prints_is_seen(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """Wherever it runs."""
    desk.run(step("talk", lambda a: print("said so", flush=False), "a"))
    sys.stdout.flush()
    assert capfd.readouterr().out.count("said so") == 1


# --------------------------------------------------------------------------- side by side


@pytest.mark.timeout(60)
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_steps_that_do_not_depend_on_each_other_run_side_by_side(tmp_path: Path, executor: str) -> None:
    """Each waits until the other has begun: one after the other they never end."""
    desk = Desk(tmp_path, {"workers": 2, "executor": executor})

    def meet(mine: str, other: str) -> Callable[..., Any]:
        def call(a: Any) -> Any:
            (tmp_path / mine).touch()
            while not (tmp_path / other).exists():
                time.sleep(0.01)
            return a

        return call

    result = desk.run(
        step("one", meet("x", "y"), "a", "b", timeout=20), step("two", meet("y", "x"), "a", "c", timeout=20)
    )
    assert result, result.errors


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_after_a_failure_nothing_more_begins(tmp_path: Path, executor: str) -> None:
    """Of what was free to run and had not begun, none does; the run's error is the failure."""
    desk = Desk(tmp_path, {"workers": 2, "executor": executor})
    for number in range(10):
        desk.hub.add_data_sources({f"o{number}": {"path": f"o{number}.json"}})

    def fails(a: Any) -> Any:
        raise ValueError("early")

    def slow(a: Any) -> Any:
        time.sleep(0.2)
        return a

    steps = [Step(f"s{n}", slow, inputs=("a",), outputs=(f"o{n}",), takes=("a",)) for n in range(10)]
    result = desk.run(steps[0], step("fails", fails, "a", "b"), *steps[1:])
    names = [child.outcome.name for child in result.children]
    assert names[:2] == ["SUCCESS", "ERROR"]
    assert set(names[2:]) == {"CANCELLED"}
    assert isinstance(result.error, ValueError)


@pytest.mark.timeout(60)
def test_a_process_that_does_not_heed_its_timeout_is_killed(tmp_path: Path) -> None:
    """A call of another language that holds everything up: 40 all the same, with what it had started."""
    import ctypes

    desk = Desk(tmp_path, {"executor": "processes"})

    def hung(a: Any) -> Any:
        started = subprocess.Popen(["sleep", "600"])
        (tmp_path / "pid").write_text(str(started.pid))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # as one that starts its call anew
        ctypes.PyDLL(None).sleep(600)  # keeps the interpreter's lock

    result = desk.run(step("hung", hung, "a", "b", timeout=0.2))
    assert result.exit_code == 40
    gone(int((tmp_path / "pid").read_text()))


def gone(pid: int) -> None:
    """Wait until a process is gone; the test's own timeout ends this."""
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        time.sleep(0.02)


def test_a_process_that_dies_is_an_error_of_its_step(tmp_path: Path) -> None:
    """By a signal or by its own hand: told with the way it went."""
    desk = Desk(tmp_path, {"executor": "processes"})
    result = desk.run(step("killed", lambda a: os.kill(os.getpid(), 9), "a", "b"))
    assert "was killed by SIGKILL" in result.errors[0]
    result = Desk(tmp_path, desk.way).run(step("left", lambda a: os._exit(4), "a", "b"))
    assert "ended itself with 4" in result.errors[0]


def test_data_in_memory_that_cannot_leave_its_process_is_told(tmp_path: Path) -> None:
    """With the two ways out."""
    desk = Desk(tmp_path, {"executor": "processes"})
    result = desk.run(Step("lock", lambda: threading.Lock(), outputs=("free",)))
    assert isinstance(result.error, FidelityError)
    assert "a path or a store" in result.errors[0]


def test_a_step_in_a_process_may_start_processes(tmp_path: Path) -> None:
    """As it may in this one."""
    import multiprocessing

    desk = Desk(tmp_path, {"executor": "processes"})

    def call(a: Any) -> Any:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return {"v": pool.apply(abs, (-4,))}

    assert desk.run(step("pool", call, "a", "b", timeout=20)).raise_if_failed()
    assert desk.text("b") == {"v": 4}


def test_there_are_two_executors() -> None:
    """Another name is told with those that there are."""
    with pytest.raises(OptionError, match="threads"):
        Runner(executor="thread").execute_all([])


def test_ctrl_c_in_a_step_passes_and_what_was_under_way_is_on_record(tmp_path: Path) -> None:
    """It is no failure of the step; the ledger says that it was broken off, and what was done before stands."""
    desk = Desk(tmp_path, {})
    plan = plan_of(
        "case",
        [(step("one", plus_one, "a", "b"), "1"), (step("two", raised(KeyboardInterrupt()), "b", "c"), "2")],
        sources={"a"},
    )
    ledger = Ledger(str(tmp_path / "ledger"), tmp_path / "runs")
    with (
        pytest.raises(KeyboardInterrupt),
        ledger.run(RunRow("run", "case", "case", "case", time.time())) as writer,
    ):
        Runner().run(plan, desk.hub, writer=writer)
    assert [(row.name, row.state, row.error) for row in ledger.steps("run")] == [
        ("one", "COMPLETED", None),
        ("two", "CANCELLED", "broken off"),
    ]
