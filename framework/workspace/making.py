"""New mods and projects: what is written for a user to begin with."""

from __future__ import annotations

import os
import re
from pathlib import Path

from framework.errors import ConfigurationException, DatasetExistsError
from framework.files import make_folder, replace_bytes, storage_errors

MOD = '''"""Say in one line what it does."""

from framework import BaseModParams, InputArtifact, ModMetadata, ModResult, current_run
from framework.mods.artifacts import opened, write_tables

METADATA = ModMetadata(
    name="{name}",
    version="0.1.0",
    description="Says what it does",
    tags=["{tag}"],
    artifacts={{"consumes": ["input_artifact"], "makes": ["output_data"]}},
)


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact


def run(params: Params) -> dict:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    with opened(params.input_artifact) as (schema, pieces):
        target = here.output()
        rows = write_tables(target, schema, pieces)  # change each piece, an Arrow table, on its way
    result.add_metric("rows_output", rows)
    result.add_artifact("output_data", target)
    return result.success()


EXAMPLE = {{"input_artifact": "example.parquet"}}
EXAMPLE_FILES = {{"example.parquet": "id,name\\n1,Ada\\n2,Bob\\n"}}
'''

DEFAULTS = """project_name: "{name}"
project_version: "0.1.0"

mod_defaults:
  csv_reader:
    encoding: "utf-8"
    base_path: "data"

logging:
  base_path: "logs"
  retention_days: 30
"""

JOB = """# millpond run-job jobs/daily-etl/daily_etl.yaml
mods:
  csv_reader:
    input_path: "customers.csv"  # from base_path in project_defaults.yaml

  data_cleaner:
    null_strategy: "drop"

  csv_writer:
    output_path: "data/customers_clean.csv"
"""

DATA = "id,name,city\n007,Ada,London\n008,Bob,\n009,Cleo,Rome\n"


def mod_files(root: Path, name: str, kind: str) -> dict[Path, str]:
    """The files of a new mod."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigurationException(
            f"{name!r} is no name of a mod.", cure="Use small letters, digits and '_'.", resource=name
        )
    if kind not in ("sources", "transformers", "sinks", "solos"):
        raise ConfigurationException(
            f"There is no kind of mods {kind!r}.", cure="It is sources, transformers, sinks or solos.", resource=kind
        )
    return {root / "mods" / kind / f"{name}.py": MOD.format(name=name, tag=kind.removesuffix("s"))}


def project_files(folder: Path) -> dict[Path, str]:
    """The files of a new project."""
    name = re.sub(r"\W+", "_", folder.name).strip("_") or "project"
    return {
        folder / "millpond.yaml": "# A workspace of Millpond; millpond init shows what can be set.\n",
        folder / "project_defaults.yaml": DEFAULTS.format(name=name),
        folder / "jobs/daily-etl/daily_etl.yaml": JOB,
        folder / "data/customers.csv": DATA,
        folder / ".gitignore": "runs/\nlogs/\ndata/.millpond/\nbackup/\n",
    }


def write_new(files: dict[Path, str]) -> list[Path]:
    """Write them; DatasetExistsError if one is there already, and then none is written."""
    for path in files:
        if os.path.lexists(path):
            raise DatasetExistsError(f"{path} is there already.", cure="Choose another name.", resource=str(path))
    for path, text in files.items():
        with storage_errors(str(path)):
            make_folder(path.parent)
            replace_bytes(path, text.encode())
    return list(files)
