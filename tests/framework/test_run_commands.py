"""run-mod, run-job and run-script as a scheduler calls them: exit codes, the last line, logs, what is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.framework.conftest import Shop

ROOT = Path(__file__).resolve().parents[2]
KEYS = ["status", "execution_time", "metrics", "artifacts", "globals", "warnings", "errors", "exit_code", "logs"]
SCRIPT = """
import os, signal, subprocess, sys, time
from framework import get_params, run_mod, setup_logger
said = get_params()
setup_logger(__name__).debug("seen")
print("script", said.get("word"), sys.argv[1:])
how = said.get("how")
if how == "raises": raise ValueError("with " + said["token"])
if how == "killed": os.kill(os.getpid(), signal.SIGKILL)
if how == "mod": sys.exit(run_mod("plain", {"answer": "warning"})["exit_code"])
if how in ("sleeps", "stubborn"):
    if how == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("pids", "w").write(f"{os.getpid()} {child.pid}")
    time.sleep(600)
if isinstance(how, int): sys.exit(how)
"""
FILES = {
    "my_script.py": SCRIPT,
    "ok.yaml": "mods: {plain: {shows: from the mod}}\n",
    "fails.yaml": "mods: {plain: {fails: true}}\n",
    "warns.yaml": "mods: {plain: {answer: warning}}\n",
    "late.yaml": "timeout: 0.3\nmods: {plain: {sleeps: 600}}\n",
    "bad.yaml": "mods: {plain: {bath: 1}, nothing: {}}\n",
    "flat.yaml": "batch: ${globals.name}\n",
    "list.yaml": "mods: [plain]\n",
    "job_file.yaml": "globals: {name: x}\nmods: {one: {mod: plain, batch: 'b ${globals.name}'}, two: {mod: none}}\n",
    "kept.yaml": "globals: {log_path: kept, log_level: WARNING, log_format: json}\nmods: {plain: {shows: shown}}\n",
    "config/global.yaml": "globals: {name: everywhere}\n",
}
# name: (arguments, exit code, what the result must hold)
CALLS: dict[str, tuple[str, int, str]] = {
    "mod": ("run-mod plain --set batch=b7", 0, '"batch": "b7"'),
    "mod by module": ("run-mod mods.plain", 0, '"batch": "none"'),
    "mod with flat file": ("run-mod plain --params flat.yaml", 0, '"batch": "everywhere"'),
    "mod with job file": ("run-mod plain --params job_file.yaml", 0, '"batch": "b x"'),
    "mod warns": ("run-mod plain --set answer=warning", 10, '"odd"'),
    "mod unknown": ("run-mod plian", 20, "Did you mean 'plain'?"),
    "mod bad": ("run-mod plain --set bath=1 --set sleeps=x", 20, "Did you mean 'batch'?"),
    "mod with bad file": ("run-mod plain --params list.yaml", 20, "mods is not a mapping"),
    "mod without file": ("run-mod plain --params none.yaml", 20, "File not found: "),
    "mod raises": ("run-mod plain --set fails=true", 30, "it broke"),
    "mod late": ("run-mod plain --set sleeps=600 --timeout 0.3", 40, "0.3 s"),
    "mod usage": ("-v -q -v --workspace . run-mod", 20, "Missing"),
    "job": ("run-job ok.yaml", 0, "plain"),
    "job fails": ("run-job fails.yaml", 30, "it broke"),
    "job warns": ("run-job warns.yaml", 10, "plain: odd"),
    "job late": ("run-job late.yaml", 40, "0.3 s"),
    "job bad": ("run-job bad.yaml", 20, "There is no mod 'nothing'"),
    "job none": ("run-job none.yaml", 20, "There is no job"),
    "job usage": ("run-job ok.yaml --bogus", 20, "No such option"),
    "job resumed": ("run-job fails.yaml --resume", 30, "it broke"),
    "job kept": ("run-job kept.yaml", 0, "kept_"),
    "script": ("run-script my_script.py --params P a --json", 0, "my_script"),
    "script with its own": ("run-script --log-level DEBUG my_script.py -- --params x", 0, "my_script"),
    "script raises": ("run-script my_script.py --params P", 30, "exit code 1"),
    "script killed": ("run-script my_script.py --params P", 30, "SIGKILL"),
    "script of a mod": ("run-script my_script.py --params P", 10, "my_script"),
    "script none": ("run-script none.py", 20, "File not found: "),
    **{f"script {n}": ("run-script my_script.py --params P", n if n in (10, 20, 30, 40, 50) else 30, "")
       for n in (7, 20, 40, 50)},
}  # fmt: skip
HOW: dict[str, Any] = {"script raises": "raises", "script killed": "killed", "script of a mod": "mod"}


class Called:
    """What a caller sees of one command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.result: dict[str, Any] = json.loads(err.splitlines()[-1])


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MILLPOND", "FS_", "DB_", "ON_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "SHOP_TOKEN": "hush-hush-4711"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_shop: Callable[[Path], Shop]) -> Path:
    """A workspace of scripts and jobs."""
    root = tmp_path_factory.mktemp("caller")
    shop = make_shop(root)
    for name, text in FILES.items():
        shop.write(text, name)
    return root


@pytest.fixture(scope="module")
def calls(place: Path) -> dict[str, Called]:
    """All of them, one after the other, by a shell script that keeps what it sees."""
    lines = ["set -u"]
    for number, (name, (arguments, _, _)) in enumerate(CALLS.items()):
        if " P" in arguments:
            how = HOW.get(name, int(name.split()[1]) if name.split()[-1].isdigit() else "")
            (place / f"p{number}.yaml").write_text(f"word: w\nhow: {how}\ntoken: ${{secret:SHOP_TOKEN}}\n")
        command = f"{sys.executable} -m framework {arguments.replace(' P', f' p{number}.yaml')}"
        lines.append(f"{command} >out{number} 2>err{number} </dev/null; echo $? >code{number}")
    script = place / "caller.sh"
    script.write_text("\n".join(lines))
    subprocess.run(["sh", str(script)], cwd=place, env=environment(), check=True, timeout=200)
    return {
        name: Called(
            *(int((place / f"code{n}").read_text()), (place / f"out{n}").read_text(), (place / f"err{n}").read_text())
        )
        for n, name in enumerate(CALLS)
    }


@pytest.mark.parametrize("name", CALLS)
def test_a_caller_sees_the_code_and_the_result_as_the_last_line(calls: dict[str, Called], name: str) -> None:
    """As JSON with every key, also for what could not begin, and the same code in it."""
    called, (_, code, told) = calls[name], CALLS[name]
    assert (called.code, called.result["exit_code"]) == (code, code), called.err
    assert list(called.result)[: len(KEYS)] == KEYS
    assert called.result["status"] == {0: "success", 10: "warning"}.get(code, "error")
    assert told in json.dumps(called.result, ensure_ascii=False)


def test_standard_output_is_the_users_alone(calls: dict[str, Called]) -> None:
    """A mod's and a script's words, and a script has its own arguments."""
    spoken = {name: called.out for name, called in calls.items() if called.out}
    assert spoken["job"] == "from the mod\n"
    assert spoken["script"] == "script w ['a', '--json']\n"
    assert spoken["script with its own"] == "script None ['--params', 'x']\n"
    assert not {name for name in spoken if not name.startswith(("script", "job"))}


def test_standard_error_is_json_line_by_line(calls: dict[str, Called]) -> None:
    """Of what has begun."""
    for name in ("mod", "job fails", "job kept", "script"):
        assert [json.loads(line) for line in calls[name].err.splitlines()]


def test_a_secret_of_a_script_is_shown_nowhere(calls: dict[str, Called], place: Path) -> None:
    """What the script itself writes to standard error is its own."""
    result = json.dumps(calls["script raises"].result)
    logs = "".join(path.read_text() for path in (place / "logs").iterdir())
    assert "hush-hush" not in result + logs
    for path in (place / "data" / ".millpond").rglob("*"):
        assert not path.is_file() or b"hush-hush" not in path.read_bytes()


def test_logs_are_named_after_the_file_and_lie_where_the_job_says(calls: dict[str, Called], place: Path) -> None:
    """The job's, the parameters', or the mod's name, and the local time; from the level on that was said."""
    stems = {
        "mod": "plain",
        "mod with flat file": "flat",
        "job fails": "fails",
        "script": "my_script",
        "job kept": "kept",
    }
    for name, stem in stems.items():
        log = Path(calls[name].result["logs"]["log_file"])
        assert re.fullmatch(rf"{stem}_\d{{8}}_\d{{6}}(_\d+)?\.log", log.name)
        assert log.parent == place / ("kept" if name == "job kept" else "logs")
    kept = [json.loads(line) for line in Path(calls["job kept"].result["logs"]["log_file"]).read_text().splitlines()]
    assert [each["message"] for each in kept] == ["shown: shown"]
    levels = {
        name: {
            json.loads(line)["level"] for line in Path(calls[name].result["logs"]["log_file"]).read_text().splitlines()
        }
        for name in ("script", "script with its own")
    }
    assert ["DEBUG" in each for each in levels.values()] == [False, True]


def test_a_script_and_its_mods_write_one_log_and_one_session(calls: dict[str, Called]) -> None:
    """Though they are two processes."""
    logs = calls["script of a mod"].result["logs"]
    lines = [json.loads(line) for line in Path(logs["log_file"]).read_text().splitlines()]
    assert {each["session_id"] for each in lines} == {logs["session_id"]}
    assert any(each["message"] == "step 'plain' started" for each in lines)


# --------------------------------------------------------------------------- being ended


def started(place: Path, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "framework", *arguments]
    return subprocess.Popen(command, cwd=place, env=environment(), stdout=pipe, stderr=pipe, text=True)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(there: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 60
    while not (found := there()) and time.monotonic() < ends:
        time.sleep(0.02)
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("how", "limit", "number"),
    [
        ("sleeps", "2", None),
        ("sleeps", "", signal.SIGTERM),
        ("stubborn", "", signal.SIGTERM),
        ("sleeps", "", signal.SIGINT),
    ],
)
def test_a_script_that_is_ended_leaves_no_process(place: Path, how: str, limit: str, number: int | None) -> None:
    """By its time with 40, by TERM and INT with 50; what it started is gone, whether it heeds the word or not."""
    pids = place / "pids"
    pids.unlink(missing_ok=True)
    (place / "sleep.yaml").write_text(f"how: {how}\n")
    process = started(
        place, "run-script", "my_script.py", "--params", "sleep.yaml", *(["--timeout", limit] if limit else [])
    )
    script, child = map(int, wait_until(lambda: pids.exists() and pids.read_text()).split())
    assert lives(script)
    if number is not None:
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    code = 50 if number else 40
    assert (process.returncode, json.loads(err.splitlines()[-1])["exit_code"]) == (code, code)
    assert wait_until(lambda: not (lives(script) or lives(child)))


@pytest.mark.timeout(120)
def test_a_job_that_is_told_to_end_says_so_and_another_finds_it_locked(place: Path) -> None:
    """50 for both: the second ran nothing; afterwards the run reads cancelled, and the job can run."""
    (place / "long.yaml").write_text("mods: {plain: {sleeps: 600, shows: begun}}\n")
    log = place / "log"
    before = log.read_text().count("plain")
    first = started(place, "run-job", "long.yaml")
    wait_until(lambda: log.read_text().count("plain") > before)
    second = started(place, "run-job", "../" + place.name + "/long.yaml")
    _, err = second.communicate(timeout=60)
    told = json.loads(err.splitlines()[-1])
    assert (second.returncode, told["exit_code"]) == (50, 50)
    assert "nothing was run" in told["errors"][0]
    first.terminate()
    _, err = first.communicate(timeout=60)
    assert (first.returncode, json.loads(err.splitlines()[-1])["status"]) == (50, "error")
    shown = subprocess.run(
        [sys.executable, "-m", "framework", "runs", "list", "--json"],
        cwd=place,
        env=environment(),
        capture_output=True,
        check=True,
    )
    assert json.loads(shown.stdout)[0]["state"].upper() == "CANCELLED"


def test_a_reader_that_has_enough_does_not_hide_a_failure(place: Path) -> None:
    """Standard output is closed; the code is that of the run."""
    (place / "loud.yaml").write_text("mods: {plain: {shows: loud, answer: error}}\n")
    process = started(place, "run-job", "loud.yaml")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(err.splitlines()[-1])["exit_code"]) == (30, 30)
