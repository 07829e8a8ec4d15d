"""Who is told of a failed run: a command or an address, and that goes wrong without harm."""

from __future__ import annotations

import http.server
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework import Workspace
from framework.engine.alarm import tell

SECRET = "s3cr3t-c4n4ry"
LOG = logging.getLogger("millpond.test")
STORY: dict[str, Any] = {
    "run_id": "demo_1",
    "name": "demo",
    "errors": [f'postgresql://u:{SECRET}@host/db and password={SECRET} and password="{SECRET}" said "no"'],
    "path": Path("x"),
}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    got: list[tuple[dict[str, str], bytes]]
    answer: str


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        if self.server.answer == "hang":
            time.sleep(20)
        elif self.server.answer == "drip":
            for _ in range(200):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: " if not _ else b"x")
                self.wfile.flush()
                time.sleep(0.1)
        elif self.server.answer == "nonsense":
            self.wfile.write(b"nonsense\r\n\r\n")
        else:
            self.send_response(int(self.server.answer))
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.got, made.answer = [], "200"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/hook"


def test_an_address_gets_the_story_as_json(server: Server, tmp_path: Path) -> None:
    """Valid JSON, with no secret in it."""
    assert tell(address(server), STORY, folder=tmp_path, logger=LOG)
    ((headers, body),) = server.got
    assert headers["Content-Type"] == "application/json"
    told = json.loads(body)
    assert told["run_id"] == "demo_1"
    assert told["path"] == "x"
    assert SECRET not in told["errors"][0].split('password="')[0]
    assert "postgresql://u:***@host/db" in told["errors"][0]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("answer", ["500", "404", "hang", "drip", "nonsense"])
def test_an_address_that_does_not_answer_well_is_a_warning(
    server: Server, tmp_path: Path, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it does, within the time that it has."""
    server.answer = answer
    assert not tell(address(server), STORY, folder=tmp_path, logger=LOG, longest=0.5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "could not be told" in caplog.text


def command(code: str) -> str:
    return f"{sys.executable} -c '{code}'"


def test_a_command_gets_the_story_on_its_standard_input(tmp_path: Path) -> None:
    """Run in the folder that it is given, with the run's name and id in its environment."""
    code = 'import os, sys; open("told", "w").write(os.environ["MILLPOND_RUN_ID"] + sys.stdin.read())'
    assert tell(command(code), STORY, folder=tmp_path, logger=LOG)
    told = (tmp_path / "told").read_text()
    assert told.startswith("demo_1{")
    assert json.loads(told.removeprefix("demo_1"))["name"] == "demo"


BAD = {
    "fails": command('import sys; sys.exit("password=s3cr3t-c4n4ry it broke")'),
    "is not there": "/no/such/command",
    "cannot be read": 'echo "unclosed',
    "is empty": " ",
    "hangs": command("import time; time.sleep(60)"),
    "leaves a child": "sh -c 'sleep 60 & sleep 60'",
    "reads nothing": command("import sys; sys.exit(3)"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", BAD)
def test_a_command_that_goes_wrong_is_a_warning(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also one that never ends, whose children hold on to what it was given."""
    story = {**STORY, "more": "x" * 1_000_000}
    assert not tell(BAD[what], story, folder=tmp_path, logger=LOG, longest=1.0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert SECRET not in caplog.text


def test_a_run_that_fails_tells_and_one_that_succeeds_does_not(tmp_path: Path) -> None:
    """As the case or the settings say; the run's own result is what it was."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "steps.py").write_text(
        "from framework import plugin\n\n@plugin(name='bad')\ndef bad(data_hub, number: int = 0):\n"
        "    data_hub.register('out', 1 / number)\n"
    )
    case = tmp_path / "cases" / "demo"
    case.mkdir(parents=True)
    (case / "case.yaml").write_text("pipeline:\n  - {plugin: bad, outputs: [out]}\n")
    (tmp_path / "millpond.yaml").write_text("{}\n")
    code = 'import sys; open("told", "a").write(sys.stdin.read() + chr(10))'
    work = Workspace(tmp_path, config={"ON_FAILURE": command(code)})
    assert work.run("demo", {"bad.number": 2})
    assert not (tmp_path / "told").exists()
    result = work.run("demo")
    assert isinstance(result.error, ZeroDivisionError)
    told = json.loads((tmp_path / "told").read_text())
    assert told["run_id"] == result.run_id
    assert (told["name"], told["status"], told["exit_code"]) == ("demo", "error", 30)
    assert told["children"][0]["name"] == "bad"
