"""What `mods show` tells of each mod: parameters in words, and an example that runs as it stands."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework import Workspace
from framework.mods.catalog import Mods
from framework.mods.example import example_of, told, write_example

MODS = Mods(Path("/"))
NAMES = [each.name for each in MODS.found]
LIGHT = ("solos", "sources", "transformers", "preparation", "sinks")


@contextmanager
def serving(pages: dict[str, Any]) -> Iterator[int]:
    """A server of these pages; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(pages[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_all_the_mods_are_there() -> None:
    """Those that a user is told of; none comes or goes unseen."""
    by_kind: dict[str, list[str]] = {}
    for each in MODS.found:
        by_kind.setdefault(each.kind, []).append(each.name)
    assert by_kind == {
        "sources": [
            "api_client",
            "csv_reader",
            "database_reader",
            "excel_reader",
            "json_reader",
            "parquet_reader",
            "s3_downloader",
            "store_reader",
        ],
        "transformers": ["aggregator", "data_cleaner", "deduplicator", "filter", "joiner", "sql", "validator"],
        "preparation": [
            "blueprint_compatibility",
            "data_ingestion",
            "data_preprocessing",
            "data_validation",
            "feature_engineering",
            "quality_assurance",
        ],
        "sinks": ["csv_writer", "database_writer", "s3_uploader", "store_writer"],
        "solos": ["backup_all", "data_quality_checker", "file_validator", "health_check"],
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_mod_runs(tmp_path: Path, name: str) -> None:
    """The job that `mods show` prints, on the files that come with it."""
    mod = MODS.load(name)
    job = write_example(mod, tmp_path)[0]
    assert job.read_text() == example_of(mod)
    with serving(getattr(mod.module, "EXAMPLE_SERVES", {})) as port:
        job.write_text(job.read_text().replace("{port}", str(port)))
        result = Workspace(tmp_path).run_job(job)
    assert result.outcome.ok, result.errors
    made = mod.metadata.artifacts.makes
    assert set(made) <= set(result.children[0].artifacts)


@pytest.mark.parametrize("name", NAMES)
def test_a_mod_is_told_in_words(name: str) -> None:
    """Every parameter is described, and the example names none that there is not."""
    mod = MODS.load(name)
    about = told(mod)
    assert about["version"].count(".") == 2
    assert [each["parameter"] for each in about["parameters"] if not each["what"]] == []
    example = yaml.safe_load(example_of(mod))["mods"][name]
    assert set(example) <= {*mod.known_params(), *mod.spellings()}


@pytest.mark.parametrize("kind", LIGHT)
def test_loading_a_mod_imports_nothing_heavy(kind: str) -> None:
    """What only its run needs is not there once it is loaded."""
    names = [each.module for each in MODS.found if each.kind == kind and each.name != "csv_reader"]
    heavy = {"pandas", "sqlalchemy", "requests", "openpyxl", "fsspec", "duckdb"}
    code = f"import sys; import {', '.join(names)}; print(*sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == []


def test_an_example_runs_in_the_midst_of_a_project(tmp_path: Path) -> None:
    """As the command that writes it tells: nothing of the project around it is taken for its own."""
    Workspace(tmp_path).new_project(tmp_path / "shop")
    write_example(MODS.load("csv_reader"), tmp_path / "shop" / "tried")
    command = [sys.executable, "-m", "framework", "run-job", "csv_reader.yaml"]
    done = subprocess.run(command, cwd=tmp_path / "shop" / "tried", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shop" / "tried" / "runs").is_dir()
