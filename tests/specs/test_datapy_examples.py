"""The datapy specification's listings and commands, as they stand there: only imports and the command's name differ.

Supplied around them is what they silently assume: the folders `/data` and `/logs`, the analytics database and the CSV.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

import framework
from framework import BaseModParams, ModMetadata, ModResult, Workspace
from framework.engine.references import Later

HOME = Path(__file__).parents[2]

RESULT = """
class ModResult:
    def __init__(self, mod_name: str):
        self.mod_name = mod_name
        self.start_time = time.time()
        self.run_id = f"{mod_name}_{uuid.uuid4().hex[:8]}"
        self.warnings = []
        self.errors = []
        self.metrics = {}
        self.artifacts = {}
        self.globals = {}

    def add_warning(self, message: str):
        self.warnings.append(message)

    def add_error(self, message: str):
        self.errors.append(message)

    def add_metric(self, key: str, value: Any):
        self.metrics[key] = value

    def add_artifact(self, key: str, path: str):
        self.artifacts[key] = path

    def add_global(self, key: str, value: Any):
        self.globals[key] = value  # Shared state values

    def success(self) -> Dict:
        return self._build_result("success")

    def warning(self) -> Dict:
        return self._build_result("warning")

    def error(self, exit_code: int = 30) -> Dict:
        return self._build_result("error", exit_code)
"""

BASE = """
class ModMetadata(BaseModel):
    name: str = Field(..., description="Mod name")
    version: str = Field(..., description="Mod version (semver)")
    description: str = Field(..., description="Mod description")
    author: Optional[str] = Field(None, description="Mod author")
    tags: List[str] = Field(default_factory=list, description="Mod tags")

class BaseModParams(BaseModel):
    _metadata: ModMetadata = Field(..., description="Required mod metadata")

    class Config:
        fields = {'_metadata': {'exclude': True}}
"""

MOD = """
# mods/sources/csv_reader.py
from datapy.mod_manager.base import BaseModParams, ModMetadata
from datapy.mod_manager.result import ModResult
from typing import Optional

# Required metadata for all mods
METADATA = ModMetadata(
    name="csv_reader",
    version="1.0.0",
    description="Reads CSV files with validation and format conversion",
    author="DataPy Team",
    tags=["source", "csv", "file"]
)

class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_path: str
    delimiter: str = ","
    encoding: Optional[str] = "utf-8"

def run(params: Params):
    result = ModResult("csv_reader")

    try:
        # Mod logic here
        result.add_metric("rows_processed", 10000)
        result.add_artifact("output_data", "/path/to/output.parquet")

        return result.success()
    except Exception as e:
        result.add_error(str(e))
        return result.error(exit_code=30)
"""

CLI_MOD = """
# Direct mod with params
python -m datapy run-mod datapy.mods.sources.csv_reader --params params.yaml
"""

CLI_SCRIPT = """
# Run any Python script with framework features
python -m datapy run-script /path/to/user_script.py --params params.yaml
"""

CLI_IN_A_PROJECT = """
# Execute from project directory
cd projects/customer-analytics

# Direct mod execution
python -m datapy run-mod datapy.mods.sources.csv_reader --params params.yaml

# Custom script execution
python -m datapy run-script jobs/daily-etl/daily_customer_etl.py --params custom_params.yaml
"""

SDK = """
from datapy.mod_manager.sdk import set_global_config, run_mod

# Set global configuration once
set_global_config({
    "base_path": "/data/2024-08-12",
    "log_level": "DEBUG",
    "log_path": "/logs/etl/"
})

# Run mods with minimal params
result = run_mod("datapy.mods.sources.csv_reader", {
    "input_path": "customers.csv",
    "delimiter": "|"
})
"""

DEFAULTS = """
# projects/customer-analytics/project_defaults.yaml
project_name: "customer_analytics"
project_version: "2.1.0"

# Project-specific mod defaults
mod_defaults:
  api_client:
    endpoint: "https://customer-analytics-api.internal.com"
    timeout: 60
    auth_method: "oauth2"

  database_reader:
    connection_string: "postgresql://analytics-db:5432/customer_data"
    pool_size: 20

  csv_reader:
    encoding: "utf-8"
    base_path: "/data/customer_analytics"

# Project logging settings
logging:
  base_path: "/logs/customer_analytics"
  retention_days: 30
"""

JOB = """
# projects/customer-analytics/jobs/daily-etl/daily_customer_etl.yaml
globals:
  base_path: "/data/2024-08-12"
  log_level: "DEBUG"
  log_path: "/logs/etl/"
  log_format: "json"
  encoding: "utf-8"

mods:
  csv_reader:
    input_path: "customers.csv"  # Inherits base_path from project defaults
    delimiter: "|"

  data_cleaner:
    null_strategy: "drop"
    min_length: 3

  database_writer:
    table_name: "customers"  # Inherits connection_string from project defaults
    batch_size: 1000
"""

SUCCESS = """
{
    "status": "success",        # success, warning, error
    "execution_time": 2.34,     # seconds
    "metrics": {
        "rows_processed": 10000,
        "rows_output": 9876,
        "memory_used_mb": 45.2
    },
    "artifacts": {
        "output_data": "/data/processed/customers_clean.parquet",
        "metadata": "/data/processed/customers_clean.metadata.json"
    },
    "globals": {                # Shared state for cross-mod communication
        "batch_id": "BATCH_20240812_001",
        "total_records": 10000,
        "processing_date": "2024-08-12"
    },
    "warnings": [
        "Found 124 duplicate records, removed automatically"
    ],
    "errors": [],
    "logs": {
        "log_file": "/logs/etl/customer_etl_job_20240812_143022.log",
        "session_id": "session-uuid-12345",
        "run_id": "component-uuid-67890"
    }
}
"""

ERROR = """
{
    "status": "error",
    "execution_time": 0.5,
    "errors": ["File not found: /data/missing_file.csv"],
    "exit_code": 20,
    "globals": {},              # Empty but present for consistency
    "logs": {
        "log_file": "/logs/etl/customer_etl_job_20240812_143022.log",
        "session_id": "session-uuid-12345",
        "run_id": "component-uuid-67890"
    }
}
"""

LOG_NAMES = """
# CLI execution
python -m datapy run-job customer_etl_job.yaml csv_reader
# → Creates: /logs/etl/customer_etl_job_20240812_143022.log

# Python script execution
python my_data_pipeline.py
# → Creates: /logs/etl/my_data_pipeline_20240812_143022.log
"""

LOGGER = """
from datapy.mod_manager.logger import setup_logger

# Logger automatically detects session and writes to consolidated file
logger = setup_logger(__name__)
logger.info("Processing started", extra={"rows": 1000, "component": "csv_reader"})
"""

LOG_LEVEL = """
python -m datapy run-job job_config.yaml csv_reader --log-level DEBUG
"""

SCRIPT = """
# projects/customer-analytics/jobs/daily-etl/daily_customer_etl.py
from datapy.mod_manager.sdk import set_global_config, run_mod

# Set job-level configuration
set_global_config({
    "base_path": "/data/2024-08-12",
    "log_level": "INFO",
    "log_path": "/logs/customer_etl/"
})

# Execute mod pipeline using framework mods
csv_result = run_mod("datapy.mods.sources.csv_reader", {
    "input_path": "customers.csv",
    "delimiter": "|"
})

if csv_result["status"] == "success":
    clean_result = run_mod("datapy.mods.transformers.data_cleaner", {
        "input_artifact": csv_result["artifacts"]["output_data"],
        "null_strategy": "drop"
    })

    if clean_result["status"] == "success":
        load_result = run_mod("datapy.mods.sinks.database_writer", {
            "input_artifact": clean_result["artifacts"]["output_data"],
            "table_name": "customers"
        })
"""

# What the job is set to, of each parameter the value and the place that says it: the job's globals win over the
# project's defaults, and what the job does not say of the database is what database_reader's defaults say.
PROJECT, DAILY = "project_defaults.yaml", "jobs/daily-etl/daily_customer_etl.yaml"
GOLDEN = {
    "csv_reader": {
        "encoding": ("utf-8", f"{DAILY}:7"),
        "base_path": ("/data/2024-08-12", f"{DAILY}:3"),
        "input_path": ("customers.csv", f"{DAILY}:11"),
        "delimiter": ("|", f"{DAILY}:12"),
    },
    "data_cleaner": {
        "null_strategy": ("drop", f"{DAILY}:15"),
        "min_length": (3, f"{DAILY}:16"),
        "input_artifact": ("${mods.csv_reader.artifacts.output_data}", "csv_reader, before it"),
    },
    "database_writer": {
        "table_name": ("customers", f"{DAILY}:19"),
        "batch_size": (1000, f"{DAILY}:20"),
        "connection_string": ("postgresql://analytics-db:5432/customer_data", f"{PROJECT}:13"),
        "input_artifact": ("${mods.data_cleaner.artifacts.output_data}", "data_cleaner, before it"),
    },
}

CUSTOMERS = "id|name|city\n007|Ada|London\n008|Ben|\n009| Cleo |Rome\n007|Ada|London\n010|Li|Oslo\n"
PARAMS = "input_path: {}/data/2024-08-12/customers.csv\ndelimiter: '|'\n"
STAMPED = r"_\d{8}_\d{6}\.log"


# --------------------------------------------------------------------------- what is supplied around them


def with_our_names(code: str) -> str:
    """The listing with its import lines, dotted modules and the command's name changed, and nothing else."""
    code = re.sub(r"^from datapy\.\S+ import", "from framework import", code, flags=re.MULTILINE)
    code = code.replace("python -m datapy", "python -m framework").replace("datapy.mods.", "implementations.mods.")
    return re.sub(r"^python\b", shlex.quote(sys.executable), code, flags=re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """A machine on which the specification's paths and its database are the test's own."""

    folder: Path
    database: str

    @property
    def project(self) -> Path:
        return self.folder / "projects" / "customer-analytics"

    @property
    def daily(self) -> Path:
        return self.project / "jobs" / "daily-etl"

    def ours(self, text: str) -> str:
        """A listing for this machine."""
        text = text.replace('"/data/', f'"{self.folder}/data/').replace('"/logs/', f'"{self.folder}/logs/')
        text = text.replace("/path/to/user_script.py", str(self.folder / "user_script.py"))
        return text.replace("postgresql://analytics-db:5432/customer_data", self.database)

    def write(self, path: Path, listing: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.ours(with_our_names(listing)).lstrip("\n"))
        return path

    def typed(self, commands: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What a user types there."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DB_", "MILLPOND"))}
        return subprocess.run(
            ["bash", "-euc", self.ours(with_our_names(commands))],
            cwd=folder or self.folder,
            env={**environment, "PYTHONPATH": str(HOME)},
            capture_output=True,
            text=True,
            check=False,
        )

    def logs(self, folder: str) -> list[Path]:
        return sorted((self.folder / "logs" / folder).glob("*.log"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The project's defaults and its data, and no database."""
    return made(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing")


@pytest.fixture
def with_database(tmp_path: Path, postgres_url: str, postgres_schema: str) -> Place:
    """The same, with the analytics database: a schema of the tests' server."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {postgres_schema}")
    joined = "&" if "?" in postgres_url else "?"
    return made(tmp_path, f"{postgres_url}{joined}options=-csearch_path%3D{postgres_schema}")


def made(folder: Path, database: str) -> Place:
    place = Place(folder, database)
    for day in ("2024-08-12", "customer_analytics"):
        (folder / "data" / day).mkdir(parents=True)
    (folder / "data/2024-08-12/customers.csv").write_text(CUSTOMERS)
    place.write(place.project / PROJECT, DEFAULTS)
    place.write(place.daily / "daily_customer_etl.yaml", JOB)
    return place


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The result that a command ends its standard error with."""
    found: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    return found


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def loaded(place: Place, columns: str = "*") -> list[tuple[Any, ...]]:
    with psycopg.connect(place.database) as connection:
        return connection.execute(f"SELECT {columns} FROM customers ORDER BY id").fetchall()


# --------------------------------------------------------------------------- the classes


def listed(source: str, name: str) -> ast.ClassDef:
    return next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)


def test_mod_result_has_the_listed_methods() -> None:
    """Each with the parameters, in their order, and the defaults that the listing gives them."""
    methods = [node for node in listed(RESULT, "ModResult").body if isinstance(node, ast.FunctionDef)]
    assert len(methods) == 9
    for method in methods:
        ours = inspect.signature(getattr(ModResult, method.name)).parameters
        assert list(ours) == [each.arg for each in method.args.args], method.name
        defaults = [each.default for each in ours.values() if each.default is not inspect.Parameter.empty]
        assert defaults == [ast.literal_eval(each) for each in method.args.defaults], method.name


def test_mod_result_has_the_listed_attributes() -> None:
    """Empty at first, with a run_id of the mod's name and eight hexadecimal digits."""
    names = {
        node.attr for node in ast.walk(listed(RESULT, "ModResult").body[0])
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }  # fmt: skip
    result = ModResult("csv_reader")
    assert names == {"mod_name", "start_time", "run_id", "warnings", "errors", "metrics", "artifacts", "globals"}
    assert re.fullmatch(r"csv_reader_[0-9a-f]{8}", result.run_id)
    assert [result.warnings, result.errors] == [[], []]
    assert [result.metrics, result.artifacts, result.globals] == [{}, {}, {}]
    assert isinstance(result.start_time, float)


@pytest.mark.parametrize(("method", "code"), [("success", 0), ("warning", 10), ("error", 30)])
def test_mod_result_says_how_it_ended(method: str, code: int) -> None:
    """The dictionary holds what was added, under its status and exit code."""
    result = ModResult("csv_reader")
    result.add_warning("w")
    result.add_error("e")
    result.add_metric("rows", 1)
    result.add_artifact("output_data", "/a.parquet")
    result.add_global("batch_id", "B1")
    told = getattr(result, method)()
    assert (told["status"], told["exit_code"]) == (method, code)
    assert (told["warnings"], told["errors"], told["metrics"]) == (["w"], ["e"], {"rows": 1})
    assert (told["artifacts"], told["globals"]) == ({"output_data": "/a.parquet"}, {"batch_id": "B1"})
    assert told["logs"]["run_id"] == result.run_id
    assert ModResult("m").error(exit_code=20)["exit_code"] == 20


def plain(kind: Any) -> Any:
    """A type as a tree of its origin and its arguments, whether written `Optional[str]` or `str | None`."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.Union, frozenset(map(plain, typing.get_args(kind)))
    return typing.get_origin(kind) or kind, tuple(map(plain, typing.get_args(kind)))


def test_mod_metadata_has_the_listed_fields() -> None:
    """In their order, with the types, defaults and descriptions of the listing; after them may come others."""
    fields = [node for node in listed(BASE, "ModMetadata").body if isinstance(node, ast.AnnAssign)]
    ours = ModMetadata.model_fields
    assert list(ours)[: len(fields)] == [ast.unparse(each.target) for each in fields]
    for each in fields:
        info = ours[ast.unparse(each.target)]
        words = {word.arg: word.value for word in each.value.keywords}
        assert plain(info.annotation) == plain(eval(ast.unparse(each.annotation), vars(typing)))
        assert info.description == ast.literal_eval(words["description"])
        assert info.is_required() == (each.value.args != [] and ast.unparse(each.value.args[0]) == "...")
    assert ModMetadata(name="m", version="1.0.0", description="d").model_dump(include={"author", "tags"}) == {
        "author": None,
        "tags": [],
    }


def test_the_metadata_of_params_is_no_parameter() -> None:
    """`_metadata` is declared by the base, and left out of what is written, as the listing's Config wants."""
    own = ModMetadata(name="m", version="1.0.0", description="d")

    class Params(BaseModParams):
        _metadata: ModMetadata = own
        size: int = 1

    assert "_metadata" in BaseModParams.__private_attributes__
    assert Params()._metadata == own
    assert Params().model_dump() == {"size": 1}


# --------------------------------------------------------------------------- the mod


def test_the_mod_runs_as_it_stands(place: Place) -> None:
    """Through run_mod, by its module, though a mod of ours has its name; its artifact that is not there is told so."""
    place.write(place.project / "mods/sources/csv_reader.py", MOD)
    caller = (
        "import json\nfrom framework import run_mod\n"
        "ours = run_mod('mods.sources.csv_reader', {'input_path': '2024-08-12/customers.csv'})\n"
        "wrong = run_mod('mods.sources.csv_reader', {'input_path': 'gone.csv'})\n"
        "both = run_mod('csv_reader', {'input_path': 'gone.csv'})\n"
        "print(json.dumps([ours, wrong, both]))\n"
    )
    (place.project / "call.py").write_text(caller)
    (place.project / PROJECT).write_text("project_name: mine\n")
    (place.project / "2024-08-12").symlink_to(place.folder / "data/2024-08-12")
    done = place.typed("python call.py", place.project)
    assert done.returncode == 0, done.stderr
    result, missing, both = json.loads(done.stdout)
    assert (result["status"], result["exit_code"], result["errors"]) == ("success", 0, [])
    assert result["metrics"].pop("memory_used_mb") > 0
    assert result["metrics"] == {"rows_processed": 10000, "output_data_exists": False}
    assert result["artifacts"] == {"output_data": "/path/to/output.parquet"}
    assert missing["exit_code"] == 20
    assert both["exit_code"] == 20
    assert "mods.sources.csv_reader" in both["errors"][0]


# --------------------------------------------------------------------------- the commands


def test_run_mod_runs_as_typed(place: Place) -> None:
    """With a file of parameters; the result is the last line of standard error, and standard output is the user's."""
    (place.folder / "params.yaml").write_text(PARAMS.format(place.folder))
    done = place.typed(CLI_MOD)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert last_line(done)["metrics"]["rows_output"] == 5


USER_SCRIPT = """
import sys
from framework import get_params, run_mod
params = get_params()
result = run_mod("csv_reader", params)
print(sys.argv[1:], params["delimiter"], result["status"])
"""


def test_run_script_runs_as_typed(place: Place) -> None:
    """The script reads the parameters, and what it prints is all of standard output."""
    place.write(place.folder / "user_script.py", USER_SCRIPT)
    (place.folder / "params.yaml").write_text(PARAMS.format(place.folder))
    done = place.typed(CLI_SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[] | success\n"
    assert last_line(done)["status"] == "success"


def test_the_commands_of_a_project_run_from_its_folder(with_database: Place) -> None:
    """A mod takes what its parameters leave open from the project's defaults; the project's script loads its rows."""
    place = with_database
    place.write(place.daily / "daily_customer_etl.py", SCRIPT)
    (place.project / "params.yaml").write_text("input_path: customers.csv\ndelimiter: '|'\n")
    (place.project / "custom_params.yaml").write_text("why: because\n")
    (place.folder / "data/customer_analytics/customers.csv").write_text("id|name\n1|Ada\n")
    done = place.typed(CLI_IN_A_PROJECT)
    assert done.returncode == 0, done.stderr
    assert loaded(place, "id") == [("007",), ("009",), ("010",)]
    assert [path.name[:6] for path in place.logs("customer_analytics")] == ["daily_", "params"]


# --------------------------------------------------------------------------- from Python


def test_the_sdk_script_runs(place: Place) -> None:
    """What is set once holds for the mod: its base path, and where the session logs, from which level on."""
    script = place.write(place.folder / "sdk_script.py", SDK)
    script.write_text(script.read_text() + "\nimport json\nprint(json.dumps(result))\n")
    done = place.typed("python sdk_script.py")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["metrics"]["rows_output"]) == ("success", 5)
    (log,) = place.logs("etl")
    assert result["logs"]["log_file"] == str(log)
    assert re.fullmatch(rf"sdk_script{STAMPED}", log.name)


def test_the_python_script_runs(with_database: Place) -> None:
    """From any folder it finds its project; three mods, the last of which loads what the first two left."""
    script = with_database.write(with_database.daily / "daily_customer_etl.py", SCRIPT)
    done = with_database.typed(f"python {script}", with_database.folder)
    assert done.returncode == 0, done.stderr
    assert loaded(with_database) == [("007", "Ada", "London"), ("009", "Cleo", "Rome"), ("010", "Li", "Oslo")]
    (log,) = with_database.logs("customer_etl")
    assert re.fullmatch(rf"daily_customer_etl{STAMPED}", log.name)
    lines = lines_of(log)
    assert {line["mod"] for line in lines if "mod" in line} >= {"csv_reader", "database_writer"}
    assert {line["level"] for line in lines} <= {"INFO", "WARNING"}
    assert len({line["session_id"] for line in lines}) == 1


# --------------------------------------------------------------------------- the job


def spelled(value: Any) -> Any:
    return str(value.of[0]) if isinstance(value, Later) else value


def test_the_parameters_are_the_golden_list(place: Place) -> None:
    """Of each parameter of the job its value, and the file and line that say it."""
    there = Place(place.folder, "postgresql://analytics-db:5432/customer_data")
    (there.project / PROJECT).write_text(DEFAULTS.lstrip("\n"))
    (there.daily / "daily_customer_etl.yaml").write_text(JOB.lstrip("\n"))
    job = Workspace(there.project).job(there.daily / "daily_customer_etl.yaml")
    found = {
        use.name: {name: (spelled(each.value), each.origin) for name, each in use.params.items()} for use in job.uses
    }
    assert found == GOLDEN
    assert list(found) == list(yaml.safe_load(JOB)["mods"])


@pytest.mark.parametrize(
    ("setting", "environment", "expected"),
    [
        ("csv_reader.base_path=/mine", None, ("/mine", "--set")),
        (None, "/theirs", ("/theirs", "environment MILLPOND__CSV_READER__BASE_PATH")),
        ("csv_reader.base_path=/mine", "/theirs", ("/mine", "--set")),
    ],
    ids=["set", "environment", "both"],
)
def test_the_environment_and_the_call_win(
    place: Place,
    setting: str | None,
    environment: str | None,
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over all that files say; the call over the environment."""
    if environment is not None:
        monkeypatch.setenv("MILLPOND__CSV_READER__BASE_PATH", environment)
    job = Workspace(place.project).job(place.daily / "daily_customer_etl.yaml", [setting] if setting else [])
    said = job.use("csv_reader").params["base_path"]
    assert said.value == expected[0]
    assert said.origin.startswith(expected[1])


def test_a_mods_own_block_wins_over_globals_and_they_over_the_project(place: Place) -> None:
    """Project defaults, then the job's globals, then the mod's own parameters."""
    path = place.daily / "daily_customer_etl.yaml"
    path.write_text(path.read_text().replace('delimiter: "|"', 'delimiter: "|"\n    encoding: "cp1252"'))
    job = Workspace(place.project).job(path)
    assert job.use("csv_reader").params["encoding"].value == "cp1252"
    path.write_text(path.read_text().replace("  base_path:", "  nothing_path:"))
    said = Workspace(place.project).job(path).use("csv_reader").params["base_path"]
    assert (said.value, said.origin) == (f"{place.folder}/data/customer_analytics", f"{PROJECT}:18")


def test_a_global_is_put_in_where_it_is_referred_to(place: Place) -> None:
    """`${globals.base_path}` stands for what the job says."""
    path = place.daily / "daily_customer_etl.yaml"
    path.write_text(path.read_text().replace('"customers.csv"', '"${globals.base_path}/customers.csv"'))
    said = Workspace(place.project).job(path).use("csv_reader").params["input_path"]
    assert said.value == f"{place.folder}/data/2024-08-12/customers.csv"


@pytest.mark.parametrize("depth", [0, 1, 2, 3], ids=["here", "parent", "grandparent", "too deep"])
def test_project_defaults_are_found_up_to_two_folders_above(place: Place, depth: int) -> None:
    """In the current folder, its parent, or that one's; further up there are none."""
    inner = place.project.joinpath(*("a", "b", "c")[:depth])
    inner.mkdir(parents=True, exist_ok=True)
    (inner / "p.yaml").write_text("input_path: customers.csv\ndelimiter: '|'\n")
    (place.folder / "data/customer_analytics/customers.csv").write_text("id|name\n1|Ada\n")
    done = place.typed(CLI_MOD.replace("params.yaml", "p.yaml"), inner)
    assert done.returncode == (0 if depth < 3 else 20), done.stderr


def test_the_job_runs(with_database: Place) -> None:
    """Read, cleaned, loaded: of five rows one is a duplicate, one has a null, and one name is too short."""
    place = with_database
    done = place.typed("python -m datapy run-job jobs/daily-etl/daily_customer_etl.yaml", place.project)
    assert done.returncode == 0, done.stderr
    assert loaded(place) == [("007", "Ada", "London"), ("009", "Cleo", "Rome")]
    assert [child["name"] for child in last_line(done)["children"]] == list(GOLDEN)
    (log,) = place.logs("etl")
    assert re.fullmatch(rf"daily_customer_etl{STAMPED}", log.name)


# --------------------------------------------------------------------------- the results


def kinds_of(value: Any) -> Any:
    """The types of a value: of what it is, or of all that it holds."""
    if isinstance(value, Mapping):
        return {key: kinds_of(each) for key, each in value.items()}
    return [type(each) for each in value] if isinstance(value, list) else type(value)


TELLING = '''
"""Tells what the specification's success response shows."""

import pathlib

from framework import BaseModParams, ModMetadata, ModResult, current_run, setup_logger

METADATA = ModMetadata(name="telling", version="0.1.0", description="Tells what it was told to")


class Params(BaseModParams):
    encoding: str = "utf-8"
    base_path: str | None = None


def run(params):
    result = ModResult("telling")
    path = current_run("telling").output("processed/customers_clean.parquet")
    path.parent.mkdir(exist_ok=True)
    import pandas as pd
    pd.DataFrame({"id": [1]}).to_parquet(path)
    result.add_metric("rows_processed", 10000)
    result.add_metric("rows_output", 9876)
    result.add_artifact("output_data", path)
    result.add_global("batch_id", "BATCH_20240812_001")
    result.add_global("total_records", 10000)
    result.add_global("processing_date", "2024-08-12")
    result.add_warning("Found 124 duplicate records, removed automatically")
    log = setup_logger(__name__)
    log.debug("a detail")
    log.info("said by a mod", extra={"rows": 1000, "component": "csv_reader"})
    return result.success()
'''


@pytest.fixture
def answers(place: Place) -> tuple[dict[str, Any], dict[str, Any]]:
    """The results of two calls, as a script has them and prints them: one that succeeds and one that fails."""
    place.write(place.project / "mods/solos/telling.py", TELLING)
    script = (
        "import json\nfrom framework import run_mod, set_global_config\n"
        'set_global_config({"log_path": "/logs/etl/", "log_level": "DEBUG"})\n'
        "told = [run_mod('telling'), run_mod('csv_reader', {'input_path': \"/data/missing_file.csv\"})]\n"
        "assert json.loads(json.dumps(told)) == told\n"
        "print(json.dumps(told))\n"
    )
    place.write(place.project / "customer_etl_job.py", script)
    done = place.typed("python customer_etl_job.py", place.project)
    assert done.returncode == 0, done.stderr
    success, error = json.loads(done.stdout)
    return success, error


def test_a_success_has_the_listed_keys_types_and_values(place: Place, answers: Any) -> None:
    """All of the listing's, beside them exit_code alone; what the mod told is there as it was told."""
    result, listing = answers[0], ast.literal_eval(SUCCESS.strip())
    assert set(result) == {*listing, "exit_code"}
    assert kinds_of({key: result[key] for key in listing}) == kinds_of(listing)
    same = ("status", "globals", "warnings", "errors")
    assert {key: result[key] for key in same} == {key: listing[key] for key in same}
    clean = place.project / "processed/customers_clean"
    assert result["artifacts"] == {"output_data": f"{clean}.parquet", "metadata": f"{clean}.metadata.json"}
    assert json.loads(clean.with_suffix(".metadata.json").read_text())["rows"] == 1
    assert result["exit_code"] == 0


def test_an_error_has_the_listed_keys_types_and_values(place: Place, answers: Any) -> None:
    """All of the listing's; metrics, artifacts and warnings are there too, and empty."""
    result, listing = answers[1], ast.literal_eval(ERROR.strip())
    assert set(result) == {*listing, "metrics", "artifacts", "warnings"}
    assert kinds_of({key: result[key] for key in listing}) == kinds_of(listing)
    assert (result["status"], result["exit_code"], result["globals"]) == ("error", 20, {})
    assert [result["metrics"], result["artifacts"], result["warnings"]] == [{}, {}, []]
    assert f"File not found: {place.folder}/data/missing_file.csv" in result["errors"][0]


def test_what_the_results_say_of_logs_is_so(place: Place, answers: Any) -> None:
    """One file and one session for both, a run each; the file holds the lines of that session."""
    success, error = (answer["logs"] for answer in answers)
    (log,) = place.logs("etl")
    assert re.fullmatch(rf"customer_etl_job{STAMPED}", log.name)
    assert success["log_file"] == error["log_file"] == str(log)
    assert success["session_id"] == error["session_id"]
    assert success["run_id"] != error["run_id"]
    assert {line["session_id"] for line in lines_of(log)} == {success["session_id"]}


# --------------------------------------------------------------------------- the logs


def test_three_processes_log_to_a_file_each(place: Place) -> None:
    """A job's is called after its file, a script's after the script, each with the time at which it began."""
    for name in ("customer_etl_job.yaml", "job_config.yaml"):
        place.write(place.project / name, JOB)
    place.write(place.project / "my_data_pipeline.py", SDK)
    for command in (*[each for each in LOG_NAMES.splitlines() if each.startswith("python")], LOG_LEVEL):
        done = place.typed(command, place.project)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    logs = place.logs("etl")
    assert [re.sub(STAMPED, "", log.name) for log in logs] == ["customer_etl_job", "job_config", "my_data_pipeline"]
    sessions = [{line["session_id"] for line in lines_of(log)} for log in logs]
    assert [len(each) for each in sessions] == [1, 1, 1]
    assert len(set.union(*sessions)) == 3


def test_a_loggers_extra_keys_are_fields_of_the_line(place: Place) -> None:
    """In the session's file and on standard error, beside the time, the level and the session."""
    script = place.write(place.folder / "my_data_pipeline.py", LOGGER)
    opened = 'from framework import set_global_config\nset_global_config({"log_path": "/logs/etl/"})\n'
    script.write_text(place.ours(opened) + script.read_text())
    done = place.typed("python my_data_pipeline.py")
    assert done.returncode == 0, done.stderr
    (log,) = place.logs("etl")
    (line,) = [each for each in lines_of(log) if each["message"] == "Processing started"]
    assert (line["rows"], line["component"], line["level"]) == (1000, "csv_reader", "INFO")
    assert {"time", "session_id"} <= set(line)
    assert line in [json.loads(each) for each in done.stderr.splitlines()]


def test_a_script_that_only_logs_finds_the_session(place: Place) -> None:
    """Run by the command, the listing as it stands writes to the command's file, with the command's session."""
    place.write(place.project / "my_data_pipeline.py", LOGGER)
    done = place.typed("python -m datapy run-script my_data_pipeline.py", place.project)
    assert done.returncode == 0, done.stderr
    (log,) = place.logs("customer_analytics")
    assert re.fullmatch(rf"my_data_pipeline{STAMPED}", log.name)
    lines = lines_of(log)
    assert [line["rows"] for line in lines if line["message"] == "Processing started"] == [1000]
    assert {line["session_id"] for line in lines} == {last_line(done)["logs"]["session_id"]}


def test_a_script_that_only_logs_begins_the_session(place: Place) -> None:
    """Run by Python, the listing as it stands has a file of its own, without anything else being called."""
    place.write(place.project / "my_data_pipeline.py", LOGGER)
    done = place.typed("python my_data_pipeline.py", place.project)
    assert done.returncode == 0, done.stderr
    (log,) = place.logs("customer_analytics")
    assert re.fullmatch(rf"my_data_pipeline{STAMPED}", log.name)
    assert [line["rows"] for line in lines_of(log) if line["message"] == "Processing started"] == [1000]


def test_a_logger_made_first_logs_where_the_script_says_later(place: Place) -> None:
    """One file for the script, in the folder that it sets after it has made its logger."""
    script = place.write(place.project / "my_data_pipeline.py", LOGGER)
    made, said = script.read_text().split("logger.info")
    opened = place.ours('from framework import set_global_config\nset_global_config({"log_path": "/logs/etl/"})\n')
    script.write_text(f"{made}{opened}logger.info{said}")
    done = place.typed("python my_data_pipeline.py", place.project)
    assert done.returncode == 0, done.stderr
    (log,) = place.logs("etl")
    assert [line["rows"] for line in lines_of(log) if line["message"] == "Processing started"] == [1000]
    assert place.logs("customer_analytics") == []


def test_what_a_mod_logs_says_which_mod_and_run(place: Place, answers: Any) -> None:
    """Its lines have the mod's name and the run's id, without its doing anything for it."""
    (log,) = place.logs("etl")
    (line,) = [each for each in lines_of(log) if each["message"] == "said by a mod"]
    assert (line["mod"], line["run_id"]) == ("telling", answers[0]["logs"]["run_id"])
    assert (line["rows"], line["component"]) == (1000, "csv_reader")


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_the_log_level_is_the_commands(place: Place, level: str) -> None:
    """`--log-level` wins over the job's own: a detail is logged, in the file and on standard error, only with DEBUG."""
    place.write(place.project / "mods/solos/telling.py", TELLING)
    own = "INFO" if level == "DEBUG" else "DEBUG"
    job = JOB.replace('"DEBUG"', f'"{own}"').replace("  csv_reader:\n", "  csv_reader: {mod: telling}\n  first:\n")
    place.write(place.project / "job_config.yaml", job.replace("first:", "first:\n    mod: csv_reader", 1))
    done = place.typed(LOG_LEVEL.replace("DEBUG", level), place.project)
    assert done.returncode == 0, done.stderr
    (log,) = place.logs("etl")
    details = [line for line in lines_of(log) if line["message"] == "a detail"]
    assert len(details) == (1 if level == "DEBUG" else 0)
    assert ("a detail" in done.stderr) == (level == "DEBUG")


def test_the_names_are_exported() -> None:
    """All that the listings import comes from the package's face."""
    listings = (MOD, SDK, LOGGER, SCRIPT)
    names = {name.strip() for code in listings for found in re.findall(r"^from datapy\S* import (.*)$", code, re.M)
             for name in found.split(",")}  # fmt: skip
    assert names == {"BaseModParams", "ModMetadata", "ModResult", "set_global_config", "run_mod", "setup_logger"}
    assert names <= set(framework.__all__)
