"""A workspace with mods of its own, for the tests of mods and jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.results import Result
from framework.workspace import Workspace

HEAD = '''"""For tests."""
import json, os, signal, sys, threading, time
from pathlib import Path
from typing import Optional
from pydantic import SecretStr
from framework import BaseModParams, InputArtifact, ModMetadata, ModResult, current_run
'''
# `log` is one line for each call of a mod: which use of it, and what it was given
MODS = {
    "source": """
METADATA = ModMetadata(name="source", version="1.2.0", description="Makes rows", tags=["source"],
                       artifacts={"makes": ["output_data"]})
class Params(BaseModParams):
    _metadata: ModMetadata = METADATA
    rows: int = 2
    base_path: Optional[str] = None
    tells: dict = {}
    incremental: bool = False
    fails: bool = False
    dies: bool = False
def run(params):
    here, result = current_run("source"), ModResult("source")
    with open(here.root / "log", "a") as file: file.write(here.mod + "\\n")
    if params.dies: os.kill(os.getpid(), signal.SIGKILL)
    if params.fails: raise ValueError("no rows today")
    begin = (here.cursor("rows") or 0) if params.incremental else 0
    made = here.output()
    made.parent.mkdir(parents=True, exist_ok=True)
    path = made.with_name("output_data.json")
    path.write_text(json.dumps(list(range(begin, begin + params.rows))))
    if params.incremental: here.move_cursor("rows", begin + params.rows)
    for key, value in params.tells.items(): result.add_global(key, value)
    result.add_metric("rows_output", params.rows)
    result.add_artifact("output_data", path)
    return result.success()
""",
    "middle": """
METADATA = ModMetadata(name="middle", version="1.0.0", description="Hands rows on", tags=["transformer"],
                       artifacts={"consumes": ["input_artifact"], "makes": ["output_data"]})
class Params(BaseModParams):
    input_artifact: InputArtifact
    warns: bool = False
def run(params):
    here, result = current_run("middle"), ModResult("middle")
    with open(here.root / "log", "a") as file: file.write(here.mod + "\\n")
    path = here.output().with_name("output_data.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Path(params.input_artifact).read_text())
    result.add_artifact("output_data", path)
    if params.warns:
        result.add_warning("odd rows")
        return result.warning()
    return result.success()
""",
    "sink": """
METADATA = ModMetadata(name="sink", version="1.0.0", description="Keeps rows", tags=["sink"],
                       artifacts={"consumes": ["input_artifact"]})
class Params(BaseModParams):
    input_artifact: InputArtifact
    fails: bool = False
    dies: bool = False
def run(params):
    here, result = current_run("sink"), ModResult("sink")
    with open(here.root / "log", "a") as file: file.write(here.mod + "\\n")
    if params.fails: raise ValueError("the server is away")
    kept = here.root / "kept.json"
    there = json.loads(kept.read_text()) if kept.exists() else {}
    there.setdefault(here.load_id, json.loads(Path(params.input_artifact).read_text()))
    kept.write_text(json.dumps(there))
    if params.dies: os.kill(os.getpid(), signal.SIGKILL)
    return result.success()
""",
    "plain": """
METADATA = ModMetadata(name="plain", version="1.0.0", description="Says nothing of files")
class Params(BaseModParams):
    batch: str = "none"
    fails: bool = False
    until: int = 0
    sleeps: float = 0.0
    meets: int = 0
    secret: Optional[SecretStr] = None
    shows: str = ""
    asks: str = ""
    answer: str = "success"
def run(params):
    here, result = current_run("plain"), ModResult("plain")
    log = here.root / "log"
    with open(log, "a") as file: file.write(here.mod + "\\n")
    if params.meets:
        ends = time.monotonic() + 60
        while len(log.read_text().split()) < params.meets and time.monotonic() < ends: time.sleep(0.01)
    time.sleep(params.sleeps)
    if params.shows:
        here.logger.warning("shown: %s", params.shows)
        print(params.shows)
    if params.fails: raise ValueError("it broke " + params.shows)
    if params.asks: raise KeyboardInterrupt
    if len(log.read_text().split()) < params.until: raise OSError("not yet")
    result.add_metric("batch", params.batch)
    if params.answer == "warning": result.add_warning("odd")
    if params.answer == "nothing": return None
    if params.answer == "odd": return {"status": "fine"}
    return getattr(result, params.answer)()
""",
}


class Shop:
    """A workspace in a folder, with the mods above."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace(root)

    def write(self, text: str, name: str = "jobs/etl.yaml") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, text: str, **how: Any) -> Result:
        """Run a job of this text, on which nothing of earlier runs has an effect but their records."""
        return self.workspace.run_job(self.write(text), **how)

    @property
    def log(self) -> list[str]:
        """The uses of mods that ran, in order; forgotten once asked for."""
        path = self.root / "log"
        told = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return told

    @property
    def kept(self) -> list[int]:
        """All rows that the sink has kept."""
        path = self.root / "kept.json"
        return [row for rows in json.loads(path.read_text()).values() for row in rows] if path.exists() else []


def _make(root: Path) -> Shop:
    (root / "mods").mkdir(parents=True)
    (root / "millpond.yaml").write_text("settings: {}\n")
    for name, text in MODS.items():
        (root / "mods" / f"{name}.py").write_text(HEAD + text)
    return Shop(root)


@pytest.fixture(scope="session")
def make_shop() -> Callable[[Path], Shop]:
    """Makes a workspace with mods for tests in a folder."""
    return _make


@pytest.fixture
def shop(tmp_path: Path, modules_as_before: None, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A workspace with mods for tests, and the current folder."""
    monkeypatch.chdir(tmp_path)
    return _make(tmp_path)
