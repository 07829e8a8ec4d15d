"""The data replay specification's listings and commands, as they stand there but for imports and the command's name."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from framework import Workspace
from framework.errors import BaseFrameworkException
from framework.workspace.flows import How

RUN_A_CASE = "python demo_run.py --case cases/demo"

PLUGIN = """
   from modules.base_plugin import BasePlugin
   from core.data_hub import DataHub

   class MyNewPlugin(BasePlugin):
       def run(self, data_hub: DataHub):
           super().run(data_hub)

           # Get data from the DataHub
           input_data = data_hub.get("some_input_data")

           # ... your processing logic ...
           output_data = ...

           # Register your output data with the DataHub
           data_hub.register("my_output_data", output_data)
"""

CASE = """
case_name: "ExampleCase"

# 1. Define all data "nouns" of the pipeline
data_sources:
  raw_data:
    path: "path/to/initial_data.csv" # Source file for lazy loading
  processed_data:
    path: "intermediate/processed.parquet" # Destination file for auto-persistence

# 2. Define the pipeline steps (the "verbs")
pipeline:
  - plugin: InitialDataReader
    outputs: ["raw_data"] # Loads the data defined in data_sources

  - plugin: MyNewPlugin
    # The plugin's config can access these lists
    inputs: ["raw_data"]
    outputs: ["processed_data"]
    config:
      my_param: 42
"""

READS_ITS_CONFIG = """
from framework import BasePlugin

class MyNewPlugin(BasePlugin):
    def __init__(self, config=None, logger=None):
        super().__init__(config, logger)
        self.param = self.config["my_param"]

    def run(self, data_hub):
        super().run(data_hub)
        for source, made in zip(self.config["inputs"], self.config["outputs"]):
            data_hub.register(made, data_hub.get(source) * self.param)
"""

MODULES = {"modules.base_plugin": "framework", "core.data_hub": "framework"}


def with_our_imports(code: str) -> str:
    """The listing with its import lines changed, and nothing else."""
    return re.sub(r"from (\S+) import", lambda match: f"from {MODULES[match[1]]} import", textwrap.dedent(code))


def project(folder: Path, plugin: str, case: str) -> Path:
    """A project with that plugin in `modules/`, and that case as a template copied by hand."""
    for name, text in {
        "config/global.yaml": "",
        "modules/own/my_new_plugin.py": plugin,
        "templates/car_tracking_case.yaml": case,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "cases" / "demo").mkdir(parents=True)
    (folder / "templates" / "car_tracking_case.yaml").rename(folder / "cases" / "demo" / "case.yaml")
    return folder


def typed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a user types in that folder."""
    words = command.replace("python demo_run.py", f"{shlex.quote(sys.executable)} -m framework pipeline")
    home = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": home}
    return subprocess.run(shlex.split(words), cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_case_runs(tmp_path: Path) -> None:
    """Its plugin reads `self.config`; what it makes lies where the case says, and the source is untouched."""
    folder = project(tmp_path, READS_ITS_CONFIG, CASE)
    source = folder / "cases/demo/path/to/initial_data.csv"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"a,b\r\n1,2\r\n3,4\r\n")
    before = source.stat()
    done = typed(RUN_A_CASE, folder)
    assert done.returncode == 0, done.stderr
    made = pd.read_parquet(folder / "cases/demo/intermediate/processed.parquet")
    assert made.to_dict("list") == {"a": [42, 126], "b": [84, 168]}
    assert source.read_bytes() == b"a,b\r\n1,2\r\n3,4\r\n"
    assert (source.stat().st_mtime_ns, source.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_the_case_without_its_source_runs_nothing(tmp_path: Path) -> None:
    """The source is looked for before the first step: exit 20, with its place in the case."""
    folder = project(tmp_path, READS_ITS_CONFIG, CASE)
    done = typed(RUN_A_CASE, folder)
    assert done.returncode == 20
    assert "cases/demo/case.yaml:6: 'raw_data' is not there: no path/to/initial_data.csv." in done.stderr
    assert not (folder / "cases/demo/intermediate").exists()


REGISTERS = "data_sources: {some_input_data: {path: some.csv}%s}\npipeline: [MyNewPlugin]"


def test_the_plugin_runs(tmp_path: Path) -> None:
    """`...` is registered, and held in memory alone."""
    folder = project(tmp_path, with_our_imports(PLUGIN), REGISTERS % "")
    (folder / "cases/demo/some.csv").write_text("a\n1\n")
    done = typed(RUN_A_CASE, folder)
    assert done.returncode == 0, done.stderr
    workspace = Workspace(folder)
    flow = workspace.flow("demo")
    assert workspace.run("demo", how=How()).raise_if_failed()
    assert [node.step.name for node in flow.plan.nodes] == ["MyNewPlugin"]


def test_what_no_format_can_hold_is_an_error_only_where_it_is_kept(tmp_path: Path) -> None:
    """`...` with a place in the case: the step fails with a typed error, and nothing is left there."""
    folder = project(tmp_path, with_our_imports(PLUGIN), REGISTERS % ", my_output_data: {path: my.parquet}")
    (folder / "cases/demo/some.csv").write_text("a\n1\n")
    assert typed(RUN_A_CASE, folder).returncode == 30
    with pytest.raises(BaseFrameworkException):
        Workspace(folder).run("demo").raise_if_failed()
    assert sorted(path.name for path in (folder / "cases/demo").iterdir()) == ["case.yaml", "some.csv"]


def test_a_template_is_copied_by_the_command_as_by_hand(tmp_path: Path) -> None:
    """`new-case` does steps 1 to 3 of "How to run a case"."""
    folder = project(tmp_path, READS_ITS_CONFIG, CASE)
    (folder / "templates/car_tracking_case.yaml").write_text(CASE)
    Workspace(folder).new_case("other", "car_tracking")
    assert (folder / "cases/other/case.yaml").read_text() == CASE
