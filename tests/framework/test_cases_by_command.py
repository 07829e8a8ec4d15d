"""Cases through the command, as a user has them: exit codes, what stands, what is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = """
import time
from pathlib import Path
from typing import Annotated, Any, Optional
from framework import BasePlugin, DataSink, DataSource, plugin
from pydantic import BaseModel


class ChunkConfig(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    text: Annotated[Any, DataSource(name="text")]
    chunks: Optional[Annotated[Any, DataSink(name="chunks")]] = None
    max_tokens: int = 3
    api_key: str = ""
    sleep: float = 0.0
    fails: bool = False


@plugin(name="Chunk", default_config=ChunkConfig)
def chunk(config: ChunkConfig):
    print("this is printed by the step")
    time.sleep(config.sleep)
    if config.fails:
        raise ValueError("bad key " + config.api_key)
    return {"chunks": config.text["words"][: config.max_tokens], "key": len(config.api_key)}


class Asking(BasePlugin):
    def run(self, data_hub):
        data_hub.register("asked", data_hub.get("extra"))


class Grown(BasePlugin):
    tried = 0

    def run(self, data_hub):
        frame = data_hub.get("numbers")
        frame["v"] += 1
        Grown.tried += 1
        if Grown.tried == 1:
            raise OSError("once")
        data_hub.register("grown", frame)
"""
CASE = """
data_sources:
  text: {path: text.json}
  chunks: {path: made/chunks.json}
pipeline:
  - plugin: Chunk
    retries: 1
    timeout: 30
"""


class Project:
    """A folder with steps and a case, and the command run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "modules").mkdir()
        (folder / "modules" / "steps.py").write_text(STEPS)
        (folder / "millpond.yaml").write_text("settings: {}\n")
        self.case("demo", CASE)
        (folder / "cases" / "demo" / "text.json").write_text('{"words": ["a", "b", "c", "d", "e"]}')
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FS_", "DB_", "MILLPOND", "LEDGER", "ON_"))}
        self.env = {**kept, "PYTHONPATH": str(ROOT)}

    def case(self, name: str, text: str) -> Path:
        folder = self.folder / "cases" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "case.yaml").write_text(text)
        return folder

    def __call__(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "framework", *arguments]
        return subprocess.run(
            command, cwd=cwd or self.folder, env=self.env, capture_output=True, text=True, timeout=120
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_step_whose_time_is_up_ends_with_40_after_all_its_tries(project: Project) -> None:
    """The signal that ends a try is not taken for one that ends the command."""
    slow = CASE.replace("timeout: 30", "timeout: 1").replace("retries: 1", "retries: 2")
    project.case("demo", slow)
    done = project("pipeline", "--set", "Chunk.sleep=60")
    assert done.returncode == 40, done.stderr
    last = project.json("runs", "show", "last")
    assert (last["state"], last["steps"][0]["attempts"]) == ("failed", 3)


def test_a_secret_that_may_have_changed_lets_nothing_stand(project: Project) -> None:
    """Of a secret nothing is recorded, so that nothing is known of it."""
    assert project("pipeline", "--set", "Chunk.api_key=first-key").returncode == 0
    assert project("pipeline", "--resume", "--set", "Chunk.api_key=other-longer-key").returncode == 0
    made = json.loads((project.folder / "cases" / "demo" / "made" / "chunks.json").read_text())
    assert made["key"] == len("other-longer-key")


def test_a_number_of_tokens_is_no_secret(project: Project) -> None:
    """A parameter whose name holds such a word among others is shown, and its change is known."""
    assert project("pipeline", "--set", "Chunk.max_tokens=2").returncode == 0
    assert project.json("explain", "--set", "Chunk.max_tokens=2")[0]["would"] == "reuse"
    told = project.json("explain", "--set", "Chunk.max_tokens=4")[0]
    assert (told["would"], "2" in told["why"], "4" in told["why"]) == ("run", True, True)


def test_what_is_tried_again_finds_what_it_found_before(project: Project) -> None:
    """A try that failed leaves its input as it was, though it has changed it."""
    text = "data_sources:\n  numbers: numbers.csv\n  grown: made/grown.csv\npipeline:\n"
    folder = project.case("grown", f"{text}  - {{plugin: Grown, inputs: [numbers], outputs: [grown], retries: 1}}\n")
    (folder / "numbers.csv").write_text("v\n1\n2\n")
    assert project("pipeline", "--case", "grown").returncode == 0
    assert (folder / "made" / "grown.csv").read_text().split() == ["v", "2", "3"]


def test_what_a_step_reads_without_saying_so_is_kept_for_the_replay(project: Project) -> None:
    """A replayable run can be replayed though a source that it asked the hub for is gone."""
    text = "replayable: true\ndata_sources:\n  extra: extra.json\n  asked: made/asked.json\n"
    folder = project.case("asking", f"{text}pipeline:\n  - {{plugin: Asking, outputs: [asked]}}\n")
    (folder / "extra.json").write_text("[1, 2]")
    assert project("pipeline", "--case", "asking").returncode == 0
    (folder / "extra.json").unlink()
    for _ in range(2):  # and the last run is then the replay, which stands for what it replayed
        done = project("replay", "last")
        assert done.returncode == 0, done.stderr


def test_the_answer_in_json_is_json_alone_and_holds_no_secret(project: Project) -> None:
    """What a step prints goes to standard error, and an error's words are masked."""
    done = project("pipeline", "--json", "--set", "Chunk.api_key=CANARY_KEY_77", "--set", "Chunk.fails=true")
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["exit_code"]) == (30, "error", 30)
    assert "this is printed by the step" in done.stderr
    assert "CANARY_KEY_77" not in done.stdout + done.stderr
    shown = project("pipeline", "--set", "Chunk.api_key=CANARY_KEY_77", "--set", "Chunk.fails=true")
    assert "CANARY_KEY_77" not in shown.stdout + shown.stderr


def test_another_handler_of_the_workspace_lets_nothing_stand(project: Project) -> None:
    """What loads and saves for the steps is part of their code."""
    handler = (
        "from pathlib import Path\nfrom framework import handler\n\n\n@handler(name='note', extensions=['.note'])\n"
        "class Note:\n    def load(self, path: Path):\n        return {'words': path.read_text().split()}\n\n"
        "    def save(self, data, path: Path):\n        path.write_text(' '.join(data['words']))\n"
    )
    (project.folder / "modules" / "notes.py").write_text(handler)
    folder = project.case("note", CASE.replace("text.json", "text.note"))
    (folder / "text.note").write_text("a b c d")
    assert project("pipeline", "--case", "note").returncode == 0
    assert project.json("explain", "--case", "note")[0]["would"] == "reuse"
    (project.folder / "modules" / "notes.py").write_text(handler.replace("read_text()", "read_text().upper()"))
    assert project.json("explain", "--case", "note")[0]["would"] == "run"


def test_a_case_is_run_from_anywhere_by_its_folder(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The workspace is that of the case's folder where the current one has none."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = project("check", "--case", str(project.folder / "cases" / "demo"), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert list(elsewhere.iterdir()) == []


def test_rows_that_were_read_are_counted(project: Project) -> None:
    """The record of an input says how many rows it had."""
    text = "data_sources:\n  numbers: numbers.csv\n  grown: made/grown.csv\npipeline:\n"
    folder = project.case("rows", f"{text}  - {{plugin: Grown, inputs: [numbers], outputs: [grown], retries: 1}}\n")
    (folder / "numbers.csv").write_text("v\n1\n2\n3\n")
    assert project("pipeline", "--case", "rows").returncode == 0
    step = project.json("runs", "show", "last")["steps"][0]
    assert [record["rows"] for record in step["outputs"]] == [3]
