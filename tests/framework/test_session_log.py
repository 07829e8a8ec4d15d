"""A session's log: a file of its own, a line of JSON for each message, no secret in it."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import time_machine

from framework.errors import StorageError
from framework.logs import JsonFormatter, session_log
from framework.redact import register_secret

LOG = logging.getLogger("millpond.test")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_it_is_named_by_stem_and_local_time_and_holds_a_line_for_each_message(tmp_path: Path) -> None:
    """From INFO on; what `extra` adds are keys; afterwards nothing more goes into it."""
    root = logging.getLogger().handlers[:]
    before = logging.getLogger("millpond").level
    with session_log(tmp_path / "logs", "demo") as path:
        LOG.info("one %d\ntwo", 1, extra={"rows": 3})
        LOG.debug("not this")
        logging.getLogger("other").error("nor this")
        assert logging.getLogger().handlers == root
    LOG.info("nor this")
    assert re.fullmatch(r"demo_\d{8}_\d{6}\.log", path.name)
    assert path.parent == tmp_path / "logs"
    (line,) = lines(path)
    assert (line["message"], line["level"], line["logger"], line["rows"]) == ("one 1\ntwo", "INFO", LOG.name, 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert logging.getLogger("millpond").level == before


@pytest.mark.parametrize(("stem", "name"), [("a/b c", "a_b_c"), ("../x", ".._x"), ("", "session"), ("é", "é")])
def test_its_name_is_that_of_a_file(tmp_path: Path, stem: str, name: str) -> None:
    """Whatever the case is called."""
    with session_log(tmp_path, stem) as path:
        assert path.parent == tmp_path
        assert path.name.startswith(f"{name}_20")


def test_a_name_that_is_taken_gets_the_process_number(tmp_path: Path) -> None:
    """Two sessions of one second do not share a file."""
    with time_machine.travel("2026-03-04 05:06:07", tick=False), session_log(tmp_path, "x") as first:
        with session_log(tmp_path, "x") as second:
            LOG.info("both")
        LOG.info("first")
    assert second.name == first.name.replace(".log", f"_{os.getpid()}.log")
    assert [len(lines(path)) for path in (first, second)] == [2, 1]


CHILD = """
import logging, sys, time
from pathlib import Path
from framework.logs import session_log
with session_log(Path(sys.argv[1]), "same") as path:
    for number in range(50):
        logging.getLogger("millpond.child").info("line %d", number)
print(path)
"""


def test_three_processes_at_once_have_a_log_each(tmp_path: Path) -> None:
    """Each holds its own lines and no other's."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    children = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {Path(child.communicate()[0].strip()) for child in children}
    assert len(paths) == len(os.listdir(tmp_path)) == 3
    for path in paths:
        assert [line["message"] for line in lines(path)] == [f"line {number}" for number in range(50)]


class Kind(Enum):
    ONE = "postgresql://u:c4n4ry-in-enum@h/d"


def test_no_secret_is_in_it_and_each_line_is_json(tmp_path: Path) -> None:
    """Message, arguments, traceback, extra of any type and depth; a mask swallows no quote."""
    register_secret("l0ng-c4n4ry-value")
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with session_log(tmp_path, "x") as path:
        LOG.info("l0ng-c4n4ry-value %s", {"k": "l0ng-c4n4ry-value"})
        LOG.info("password=c4n4ry\\ and 'x'", extra={"deep": [{"url": "postgresql://u:c4n4ry@h/d"}], "kind": Kind.ONE})
        LOG.info("odd", extra={"endless": endless, "set": {1}, "object": object(), ("t",): 1} | {"path": Path("x")})
        try:
            raise ValueError("password=c4n4ry")
        except ValueError:
            LOG.exception("failed")
    text = path.read_text()
    assert "c4n4ry" not in text
    assert len(lines(path)) == 4
    assert lines(path)[1]["message"].endswith("=*** and 'x'")
    assert "Traceback" in lines(path)[-1]["error"]
    assert lines(path)[2]["set"] == [1]


def test_the_formatter_can_be_used_with_a_handler_of_ones_own(tmp_path: Path) -> None:
    """A record by itself becomes one line."""
    record = logging.makeLogRecord({"msg": "said %s", "args": ("so",), "name": "millpond", "levelname": "INFO"})
    assert json.loads(JsonFormatter().format(record))["message"] == "said so"
    unfit = logging.makeLogRecord({"msg": "said %d %d", "args": ("password=c4n4ry",)})
    assert "c4n4ry" not in JsonFormatter().format(unfit)


READ_ONLY = """
import os, sys
from pathlib import Path
from framework.errors import StorageError
from framework.logs import session_log
os.setgid(65534); os.setuid(65534)
try:
    with session_log(Path(sys.argv[1]), "x"):
        print("opened")
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody without rights")
def test_a_folder_that_may_only_be_read_is_a_storage_error(tmp_path: Path) -> None:
    """With what to do about it."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("pytest", "test")):
            folder.chmod(0o755)
    root = str(Path(__file__).parents[2])
    said = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert "logging.base_path" in said


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    """And nothing else is tried."""
    (tmp_path / "logs").write_text("")
    with pytest.raises(StorageError), session_log(tmp_path / "logs", "x"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_disk_that_is_full_does_not_end_what_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run goes on to its end; that its log is not whole is said."""
    (tmp_path / "x_20260304_050607.log").symlink_to("/dev/full")
    (tmp_path / f"x_20260304_050607_{os.getpid()}.log").symlink_to("/dev/full")
    with time_machine.travel("2026-03-04 05:06:07", tick=False), session_log(tmp_path, "x"):
        LOG.info("cannot be written")
    assert "No space left" in capsys.readouterr().err
