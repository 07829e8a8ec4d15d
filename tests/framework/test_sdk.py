"""Mods from Python: one call each, a configuration for all of them, one log for a session."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from framework import clear_global_config, get_global_config, get_params, global_config, run_mod, sdk, set_global_config
from framework.errors import ParameterError

if TYPE_CHECKING:
    from tests.framework.conftest import Shop

ROOT = Path(__file__).resolve().parents[2]
KEYS = ["status", "execution_time", "metrics", "artifacts", "globals", "warnings", "errors", "exit_code", "logs"]


@pytest.fixture(autouse=True)
def a_session_of_its_own(shop: Shop) -> Iterator[None]:
    """No test has another's session or configuration."""
    import logging

    logger = logging.getLogger("millpond")
    handlers, level = logger.handlers[:], logger.level
    sdk._open.close()
    sdk._logs = None
    yield
    clear_global_config()
    sdk._open.close()
    sdk._logs = None
    logger.handlers[:], logger.level = handlers, level
    logger.setLevel(level)


# --------------------------------------------------------------------------- run_mod


def test_the_answer_is_the_dictionary_of_the_specification(shop: Shop) -> None:
    """Key for key, of its types, and the same when it has been JSON."""
    shop.write("id|name\n007|Ada\n", "customers.csv")
    result = run_mod("implementations.mods.sources.csv_reader", {"input_path": "customers.csv", "delimiter": "|"})
    assert list(result) == KEYS
    assert (result["status"], result["exit_code"], result["errors"], result["warnings"]) == ("success", 0, [], [])
    assert {"rows_processed", "rows_output", "memory_used_mb"} <= set(result["metrics"])
    assert {name: Path(path).exists() for name, path in result["artifacts"].items()} == {
        "output_data": True,
        "metadata": True,
    }
    assert type(result["execution_time"]) is float
    assert set(result["logs"]) == {"log_file", "session_id", "run_id"}
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    row, (step,) = shop.workspace.ran()
    assert (row.run_id, row.kind, step.name) == (result["logs"]["run_id"], "mod", "csv_reader")


@pytest.mark.parametrize(
    ("name", "params", "code", "status", "told"),
    [
        ("csv_raeder", {}, 20, "error", "Did you mean 'csv_reader'?"),
        ("no.such.module", {}, 20, "error", "no.such.module"),
        ("source", {"rows": "x", "rowz": 1}, 20, "error", "Did you mean 'rows'?"),
        ("source", {"base_path": "${nothing}"}, 20, "error", "nothing"),
        ("middle", {"input_artifact": "none"}, 20, "error", "File not found: "),
        ("middle", {}, 20, "error", "input_artifact"),
        ("plain", {"fails": True}, 30, "error", "it broke"),
        ("plain", {"answer": "nothing"}, 30, "error", "NoneType"),
        ("plain", {"answer": "odd"}, 30, "error", "'fine'"),
        ("plain", {"answer": "error"}, 30, "error", "does not say why"),
        ("plain", {"answer": "warning"}, 10, "warning", ""),
    ],
)
def test_it_never_raises(shop: Shop, name: str, params: dict[str, Any], code: int, status: str, told: str) -> None:
    """20 for what could not begin, 30 for what broke; all keys are there."""
    result = run_mod(name, params)
    assert (list(result), result["exit_code"], result["status"]) == (KEYS, code, status)
    assert told in "; ".join(result["errors"])
    assert all(result["logs"].values())
    json.dumps(result)


@pytest.mark.parametrize("params", [[], "text", 3, {3: 4}, {"a.b": 1}, {"": 1}])
def test_parameters_of_another_kind_are_bad_input(params: Any) -> None:
    """Nor does that raise."""
    assert run_mod("plain", params)["exit_code"] == 20


def test_ctrl_c_passes(shop: Shop) -> None:
    """Who stops the script stops the mod, and the run reads so."""
    with pytest.raises(KeyboardInterrupt):
        run_mod("plain", {"asks": "now"})
    assert shop.workspace.ran()[0].state == "CANCELLED"


@pytest.mark.timeout(30)
def test_a_mod_that_takes_too_long_ends_with_40() -> None:
    """In the main thread and in another."""
    answers = [run_mod("plain", {"sleeps": 60}, timeout=0.2)]
    thread = threading.Thread(target=lambda: answers.append(run_mod("plain", {"sleeps": 60}, timeout=0.2)))
    thread.start()
    thread.join()
    assert [(each["status"], each["exit_code"]) for each in answers] == [("error", 40)] * 2


def test_a_log_that_cannot_be_written_is_an_error_of_the_call(shop: Shop) -> None:
    """And does not raise either."""
    (shop.root / "logs").write_text("in the way")
    result = run_mod("plain")
    assert (result["status"], result["exit_code"]) == ("error", 30)
    assert "log" in result["errors"][0]


# --------------------------------------------------------------------------- the configuration


def test_it_fills_parameters_of_its_names_and_the_call_wins(shop: Shop) -> None:
    """What is set is set anew as a whole, and given out as a copy."""
    shop.write("project_name: x\nmod_defaults: {plain: {batch: project}}\n", "project_defaults.yaml")
    set_global_config({"batch": "global", "unknown": 1})
    assert run_mod("plain")["metrics"]["batch"] == "global"
    assert run_mod("plain", {"batch": "call"})["metrics"]["batch"] == "call"
    assert run_mod("plain", {"batch": "${globals.unknown}!"})["metrics"]["batch"] == "1!"
    get_global_config()["batch"] = "changed"
    assert get_global_config() == {"batch": "global", "unknown": 1}
    set_global_config({"other": 1})
    assert run_mod("plain")["metrics"]["batch"] == "project"
    clear_global_config()
    assert get_global_config() == {}


@pytest.mark.parametrize(
    "config",
    [
        {"log_level": "LOUD"},
        {"log_format": "xml"},
        {"log_path": 3},
        {"base_path": []},
        {"a b": 1},
        {3: 1},
        [],
        "x",
        None,
    ],
    ids=str,
)
def test_what_cannot_be_set_is_refused_and_changes_nothing(config: Any) -> None:
    """With what could be."""
    set_global_config({"base_path": "/data", "log_level": "debug"})
    with pytest.raises(ParameterError):
        set_global_config(config)
    assert get_global_config() == {"base_path": "/data", "log_level": "debug"}


def test_threads_see_it_and_a_task_may_have_its_own() -> None:
    """Side by side, each its own; afterwards what was set before."""
    set_global_config({"batch": "process"})

    async def one(batch: str | None) -> str:
        if batch is None:
            await asyncio.sleep(0.01)
            return str((await asyncio.to_thread(run_mod, "plain"))["metrics"]["batch"])
        with global_config({"batch": batch}) as mine:
            await asyncio.sleep(0.02)
            made = await asyncio.to_thread(run_mod, "plain")
            assert mine == get_global_config() == {"batch": batch}
            return str(made["metrics"]["batch"])

    async def all_of_them() -> list[str]:
        return list(await asyncio.gather(*[one(each) for each in ("a", None, "b")]))

    assert asyncio.run(all_of_them()) == ["a", "process", "b"]
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(get_global_config()))
    thread.start()
    thread.join()
    assert seen == [{"batch": "process"}]


# --------------------------------------------------------------------------- the session


def lines(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_session_has_one_log_whatever_a_task_sets(shop: Shop) -> None:
    """It lies where the configuration says, from the level on that it says, each line with mod, run and session."""
    set_global_config({"log_path": str(shop.root / "elsewhere"), "log_level": "DEBUG", "log_format": "json"})
    first = run_mod("plain", {"shows": "hello"})
    with global_config({"batch": "b"}):
        second = run_mod("plain", {"shows": "again"})
    clear_global_config()
    third = run_mod("plain")
    assert first["logs"]["log_file"] == second["logs"]["log_file"] == third["logs"]["log_file"]
    assert [each.name for each in (shop.root / "elsewhere").iterdir()] == [Path(first["logs"]["log_file"]).name]
    (line,) = [each for each in lines(first["logs"]["log_file"]) if each["message"] == "shown: hello"]
    assert (line["mod"], line["run_id"], line["session_id"]) == (
        "plain",
        first["logs"]["run_id"],
        first["logs"]["session_id"],
    )
    assert not (shop.root / "logs").exists()


SCRIPT = """
from framework import get_params, run_mod, set_global_config, setup_logger
logger = setup_logger(__name__)
set_global_config({"log_path": "elsewhere", "log_level": "INFO"})
logger.info("begun", extra={"rows": 3, "component": "mine"})
for _ in range(2):
    result = run_mod("plain", {"batch": "b"})
    assert result["status"] == "success", result
print("out", get_params())
"""


def test_the_log_is_named_after_the_script_also_of_three_at_once(shop: Shop) -> None:
    """A file for each process; what `extra` adds are keys of its line; standard output is the script's."""
    script = shop.write(SCRIPT, "jobs/my_pipeline.py")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MILLPOND")}
    env = {**kept, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen([sys.executable, str(script)], env=env, stdout=pipe, stderr=pipe, text=True) for _ in range(3)
    ]
    for each in started:
        out, err = each.communicate(timeout=60)
        assert (each.returncode, out) == (0, "out {}\n"), err
        assert all(json.loads(line)["session_id"] for line in err.splitlines())
    made = sorted((shop.root / "elsewhere").iterdir())
    assert len(made) == 3
    for path in made:
        assert re.fullmatch(r"my_pipeline_\d{8}_\d{6}(_\d+)?\.log", path.name)
        told = lines(path)
        assert len({each["session_id"] for each in told}) == 1
        begun = next(each for each in told if each["message"] == "begun")
        assert (begun["rows"], begun["component"], begun["level"]) == (3, "mine", "INFO")
        assert len({each["run_id"] for each in told if "run_id" in each}) == 2


def test_parameters_of_a_script_that_nothing_started_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a file of them that is gone is an error in words."""
    assert get_params() == {}
    monkeypatch.setenv("MILLPOND_PARAMS", "/gone")
    with pytest.raises(ParameterError, match="cannot be read"):
        get_params()
