"""The nexus specification's listings and commands, as they stand there: only imports and the command's name differ.

Its "Execution Flow" listings are no examples; of their names `DataHub` and the fields of `context` are public, and what
they show is tested here too.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Optional

import pandas as pd
import pytest
from pydantic import BaseModel

import framework
from framework import Context, DataHub, DataSink, DataSource, Workspace
from framework.steps.markers import markers
from framework.steps.plugin import OURS

DEMO = Path(__file__).parents[2] / "examples" / "replay_demo"

CLI = """
data-replay generate-data
# Run the demo pipeline
data-replay pipeline --case demo
# Example: Run only the "Frame Renderer" plugin for the demo case
data-replay plugin "Latency Compensator" --case demo
data-replay plugin "Frame Renderer" --case demo
data-replay plugin "Video Creator" --case demo
data-replay docs
"""

CONFIG_MODEL = """
from pydantic import BaseModel
from typing import Annotated, Optional
from nexus.core.plugin.typing import DataSource, DataSink

class MyPluginConfig(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    # Input: The framework will discover this, load the CSV, and inject a DataFrame.
    measurements: Annotated[
        pd.DataFrame,
        DataSource(name="latent_measurements")
    ]

    # Output: The framework will take the returned DataFrame and save it to this path.
    # This is marked as Optional because it's not an input; the framework handles it post-execution.
    predicted_states: Optional[Annotated[
        pd.DataFrame,
        DataSink(name="predicted_states")
    ]] = None

    # Algorithm Parameters
    latency_to_compensate_s: float = 0.2
"""

CASE = """
io_mapping:
  # --- For LatencyCompensator ---
  latent_measurements:
    path: "raw_data/latent_measurements.csv"
    handler: "csv"
  predicted_states:
    path: "intermediate/predicted_states.parquet"
    handler: "parquet"

  # --- For FrameRenderer ---
  video_manifest:
    path: "raw_data/video_manifest.csv"
    handler: "csv"
  # FrameRenderer's output is the input for VideoCreator
  rendered_frames:
    path: "intermediate/rendered_frames"
    handler: "dir" # Assuming a 'dir' handler that provides the path

pipeline:
  # The first plugin in the demo compensates for latency.
  - plugin: "Latency Compensator"
    config:
      latency_to_compensate_s: 0.2

  # The next plugin renders the results into image frames.
  - plugin: "Frame Renderer"
    config:
      zoom_factor: 5
"""

PLUGIN = '''
from nexus.core.plugin.decorator import plugin
from logging import Logger
import pandas as pd
from .config import MyPluginConfig

@plugin(
    name="My Awesome Plugin",
    default_config=MyPluginConfig
)
def my_plugin(config: MyPluginConfig, logger: Logger) -> pd.DataFrame:
    """Plugin docstring."""
    # The 'measurements' field in the config is a ready-to-use DataFrame.
    df = config.measurements.copy()

    # ... your logic here ...
    logger.info(f"Processing with latency_to_compensate_s = {config.latency_to_compensate_s}")

    # The return value will be automatically saved to the DataSink path
    return processed_df
'''

TREE = """
BaseFrameworkException
├── ConfigurationException
├── DataException
├── PluginException
├── ValidationException
└── FrameworkException
"""

MODULES = {"nexus.core.plugin.typing": "framework", "nexus.core.plugin.decorator": "framework"}
logger = logging.getLogger("millpond.specs")


def with_our_imports(code: str) -> str:
    """The listing with its import lines changed, and nothing else."""
    return re.sub(
        r"^from (\S+) import", lambda found: f"from {MODULES.get(found[1], found[1])} import", code, flags=re.M
    )


# --------------------------------------------------------------------------- the commands


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh copy of the demo."""
    copy = tmp_path_factory.mktemp("nexus") / "demo"
    made = ("raw_data", "intermediate", "output", "data", "backup", "logs", "__pycache__", ".millpond")
    shutil.copytree(DEMO, copy, ignore=shutil.ignore_patterns(*made))
    return copy


def typed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a user types in that folder; the drive is a short one."""
    words = command.replace("data-replay", f"{shlex.quote(sys.executable)} -m framework", 1)
    home = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": home, "MILLPOND__DEMO_DATA__DURATION_S": "0.5"}
    return subprocess.run(shlex.split(words), cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_commands_run(demo: Path) -> None:
    """All of them, one after the other; each plugin alone too, and the reference is the same each time."""
    for command in (line for line in CLI.strip().splitlines() if not line.startswith("#")):
        done = typed(command, demo)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    case = demo / "cases" / "demo"
    assert len(list((case / "intermediate/rendered_frames").glob("*.png"))) == 11
    assert (case / "output/replay.mp4").stat().st_size > 0
    reference = (demo / "REFERENCE.md").read_bytes()
    assert typed("data-replay docs", demo).returncode == 0
    assert (demo / "REFERENCE.md").read_bytes() == reference
    assert all(name in reference.decode() for name in ("Latency Compensator", "Frame Renderer", "Video Creator", "csv"))


def test_the_case_runs_as_it_stands(demo: Path) -> None:
    """On the data that `generate-data` made."""
    assert typed("data-replay generate-data", demo).returncode == 0
    case = demo / "cases" / "listing"
    shutil.copytree(demo / "cases/demo/raw_data", case / "raw_data")
    (case / "case.yaml").write_text(CASE)
    done = typed("data-replay pipeline --case listing", demo)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(case / "intermediate/predicted_states.parquet")) > 0
    assert len(list((case / "intermediate/rendered_frames").glob("*.png"))) == 11


# --------------------------------------------------------------------------- the listings


def test_the_config_model_declares_one_source_and_one_sink() -> None:
    """Found by their markers, the sink within its Optional."""
    names: dict[str, Any] = {"pd": pd}
    exec(compile(with_our_imports(CONFIG_MODEL), "config.py", "exec", dont_inherit=True), names)
    model = names["MyPluginConfig"]
    assert {field: source.name for field, source in markers(model, DataSource).items()} == {
        "measurements": "latent_measurements"
    }
    assert {field: sink.name for field, sink in markers(model, DataSink).items()} == {
        "predicted_states": "predicted_states"
    }


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace with the two listings as a package, and `processed_df` defined where the second assumes it."""
    folder = tmp_path / "plugins" / "awesome"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "config.py").write_text("import pandas as pd\n" + with_our_imports(CONFIG_MODEL))
    (folder / "mine.py").write_text(with_our_imports(PLUGIN) + '\nprocessed_df = pd.DataFrame({"x": [1.5]})\n')
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("awesome", "plugins")]:
        del sys.modules[name]


def test_the_plugin_can_be_called_directly(package: Path) -> None:
    """It is a plain function, and a step."""
    mine, config = importlib.import_module("awesome.mine"), importlib.import_module("awesome.config")
    made = mine.my_plugin(config.MyPluginConfig(measurements=pd.DataFrame({"a": [1]})), logger)
    assert made is mine.processed_df
    assert getattr(mine.my_plugin, OURS).name == "My Awesome Plugin"
    assert mine.my_plugin.__doc__ == "Plugin docstring."


def test_the_plugin_runs_in_a_case(package: Path) -> None:
    """Its data is loaded, its parameter is what the case says, and what it returns lies at its sink."""
    case = package / "cases" / "demo"
    case.mkdir(parents=True)
    mapping = CASE.split("pipeline:")[0]
    (case / "case.yaml").write_text(
        f"{mapping}\npipeline:\n  - plugin: My Awesome Plugin\n    config: {{latency_to_compensate_s: 0.5}}\n"
    )
    (case / "raw_data").mkdir()
    (case / "raw_data/latent_measurements.csv").write_text("a\n1\n")
    (package / "millpond.yaml").write_text("")
    said: list[str] = []

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log = logging.getLogger("millpond.test_nexus")
    log.setLevel(logging.INFO)
    log.addHandler(Told())
    assert Workspace(package, logger=log).run("demo").raise_if_failed()
    assert pd.read_parquet(case / "intermediate/predicted_states.parquet")["x"].tolist() == [1.5]
    assert "Processing with latency_to_compensate_s = 0.5" in said


def test_the_exceptions_are_the_tree() -> None:
    """Six names, exported; each with its time, its resource and its operation."""
    root, *names = re.findall(r"\w+", TREE)
    base = getattr(framework, root)
    for name in names:
        kind = getattr(framework, name)
        assert kind.__bases__ == (base,)
        error = kind("wrong", resource="prices", operation="read")
        assert {"time", "resource", "operation"} <= set(error.context)


# --------------------------------------------------------------------------- what the flow shows


def test_the_context_has_its_fields() -> None:
    """data_hub, logger, project_root, case_path, config."""
    assert {field.name for field in fields(Context)} == {"data_hub", "logger", "project_root", "case_path", "config"}


def test_the_hub_is_used_as_the_flow_shows(tmp_path: Path) -> None:
    """Made with `case_path=` and `logger=`; sources are added, and loaded when asked for; data is saved."""
    hub = DataHub(case_path=tmp_path, logger=logger)
    (tmp_path / "a.csv").write_text("x\n1\n")
    hub.add_data_sources({"a": {"path": "a.csv", "handler_args": {"name": "csv"}}, "gone": {"path": "gone.csv"}})
    assert hub.get("a")["x"].tolist() == [1]
    assert hub.get("a") is hub.get("a")
    hub.save(data=hub.get("a"), path=tmp_path / "out" / "b.parquet", handler_args={"name": "parquet"})
    assert pd.read_parquet(tmp_path / "out/b.parquet")["x"].tolist() == [1]
    with pytest.raises(FileNotFoundError):
        hub.get("gone")
    with pytest.raises(KeyError):
        hub.get("nope")


def test_a_marker_may_have_options_of_its_handler() -> None:
    """`handler_args` of the mapping win over the marker's."""

    class Config(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        read: Annotated[pd.DataFrame, DataSource(name="a", handler_args={"name": "csv", "delimiter": ";"})]
        made: Optional[Annotated[pd.DataFrame, DataSink(name="b", handler_args={"name": "csv"})]] = None  # noqa: UP045

    assert markers(Config, DataSource)["read"].handler_args == {"name": "csv", "delimiter": ";"}
    assert markers(Config, DataSink)["made"].handler_args == {"name": "csv"}
