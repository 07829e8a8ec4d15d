"""The configuration module of the storage toolkit's specification, as it stands, and ours beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

LISTING = """\
#!/usr/bin/env python
# coding:utf-8

config = None
logger = None

def get_config_logger(name, config=None):
    try:
        # relative import
        from sys import path;path.extend("..")
        from common.Helpers.helpers import init_logger

        if config is None:
            config=name
        config, logger = init_logger(name=name, config=config)

    except:
        # Basic configuration fallback
        import logging
        logging.basicConfig(level=logging.DEBUG)

        class Config:
            # Database
            DB_SERVER = "localhost" # For Postgres server
            DB_NAME = "my_project"
            DB_USER = "postgres"
            DB_PASSWORD = "password"
            DB_PORT = 5432

            # File System
            FS_DATA = "./data"      # For file based storage / Arctic storage
            FS_TEMP = "./temp"      # For temporary files

            # ArcticDB
            ARCTIC_HOST = "localhost" # For ArcticDB server
            ARCTIC_LIBRARY = "my_project_data"

        logger = logging.getLogger()
        config = Config()
    return config, logger
"""

HELPERS = """
import logging

def init_logger(name, config):
    logging.getLogger("stub").warning("asked")
    return {"FS_DATA": "from-helpers", "name": name, "config": config}, logging.getLogger("stub." + name)
"""

SHOW = """
import json
from framework.settings import as_settings
settings = as_settings(config)
print(json.dumps({
    "kind": type(config).__name__,
    "given": config if isinstance(config, dict) else None,
    "logger": logger.name,
    "settings": {n: getattr(settings, n) for n in ("DB_SERVER", "DB_NAME", "DB_PASSWORD", "DB_PORT", "FS_DATA",
                 "FS_TEMP", "FS_BACKUP", "ARCTIC_HOST", "ARCTIC_LIBRARY")},
    "database": settings.database and settings.database.url.get_secret_value(),
}))
"""
OURS = "from config import get_config_logger\n"
CALL = 'config, logger = get_config_logger("svc")\n'


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service's folder that is nobody's workspace."""
    folder = tmp_path / "x" / "y" / "service"
    folder.mkdir(parents=True)
    return folder


def with_helpers(folder: Path, text: str = HELPERS) -> Path:
    package = folder / "common" / "Helpers"
    package.mkdir(parents=True)
    for part in (folder / "common", package):
        (part / "__init__.py").touch()
    (package / "helpers.py").write_text(text)
    return folder


def python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    dropped = ("DB_", "FS_", "ARCTIC_", "CONFIG_PROVIDER", "PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    paths = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**inherited, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
    )


def answer(code: str, folder: Path, **environment: str) -> dict[str, Any]:
    done = python(code, folder, **environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_listing_without_helpers_gives_a_config_that_settings_take(service: Path) -> None:
    """Its plain Config names a server on localhost; what it lacks is ours."""
    found = answer(LISTING + CALL + SHOW, service)
    assert (found["kind"], found["logger"]) == ("Config", "root")
    assert found["settings"] == {
        "DB_SERVER": "localhost",
        "DB_NAME": "my_project",
        "DB_PASSWORD": "password",
        "DB_PORT": 5432,
        "FS_DATA": "./data",
        "FS_TEMP": "./temp",
        "FS_BACKUP": "./backup",
        "ARCTIC_HOST": "localhost",
        "ARCTIC_LIBRARY": "my_project_data",
    }
    assert found["database"] == "postgresql://postgres:password@localhost:5432/my_project"


@pytest.mark.parametrize("asked", ["", 'config="mine"'])
def test_with_helpers_the_listing_and_ours_answer_alike(service: Path, asked: str) -> None:
    """Both ask common.Helpers.helpers, which is given the name as the configuration unless one is passed."""
    with_helpers(service)
    call = f'config, logger = get_config_logger("svc", {asked})\n'
    listed, ours = (answer(text + call + SHOW, service) for text in (LISTING, OURS))
    assert ours == listed
    assert ours["logger"] == "stub.svc"
    assert ours["given"] == {"FS_DATA": "from-helpers", "name": "svc", "config": "mine" if asked else "svc"}


def test_without_helpers_ours_gives_settings_and_leaves_the_root_logger_alone(service: Path) -> None:
    """The defaults are Settings with the embedded database, and the logger millpond.<name>."""
    after = "\nimport logging; assert logging.getLogger().handlers == []"
    found = answer(OURS + CALL + SHOW + after, service)
    assert (found["kind"], found["logger"], found["database"]) == ("Settings", "millpond.svc", None)
    passed = 'config, logger = get_config_logger("svc", type("Config", (), {"FS_DATA": "mine"}))\n'
    assert answer(OURS + passed + SHOW, service)["settings"]["FS_DATA"] == "mine"


def test_config_provider_wins_over_helpers(service: Path) -> None:
    """CONFIG_PROVIDER=package.module:callable says who makes configuration and logger."""
    with_helpers(service)
    (service / "own.py").write_text(HELPERS.replace("from-helpers", "from-own"))
    found = answer(OURS + CALL + SHOW, service, CONFIG_PROVIDER="own:init_logger")
    assert found["given"]["FS_DATA"] == "from-own"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise RuntimeError('broken helpers')", "RuntimeError: broken helpers"),
        ("def init_logger(name, config): raise ImportError('inside')", "ImportError: inside"),
        (
            "import common.Helpers.helpers.deeper",
            "ModuleNotFoundError: No module named 'common.Helpers.helpers.deeper'",
        ),
    ],
)
def test_errors_of_the_helpers_themselves_pass(service: Path, text: str, error: str) -> None:
    """Only that there is no such module leads to the defaults; a broken one is not silently passed over."""
    with_helpers(service, text)
    done = python(OURS + CALL, service)
    assert done.returncode == 1
    assert error in done.stderr


def test_a_common_package_of_something_else_leads_to_the_defaults(service: Path) -> None:
    """`common` with no Helpers in it, or helpers without init_logger, is not a provider."""
    (service / "common.py").touch()
    assert answer(OURS + CALL + SHOW, service)["kind"] == "Settings"
    (service / "common.py").unlink()
    with_helpers(service, "x = 1")
    assert answer(OURS + CALL + SHOW, service)["kind"] == "Settings"


@pytest.mark.parametrize("named", ["nowhere:init_logger", "json:nothing", "json", ":x", ".json:loads", "json:"])
def test_a_config_provider_that_is_not_there_is_an_error(service: Path, named: str) -> None:
    """A mistyped provider does not turn into the defaults."""
    done = python(OURS + CALL, service, CONFIG_PROVIDER=named)
    assert done.returncode == 1
    assert "SettingError: CONFIG_PROVIDER" in done.stderr


def test_the_face_has_the_listing_s_names(service: Path) -> None:
    """`config.config` and `config.logger` are made at first use, once."""
    code = """
import config, json
assert config.config is config.config and config.logger.name == "millpond.config"
try:
    config.nothing
except AttributeError as error:
    print(json.dumps({"FS_DATA": config.config.FS_DATA, "error": str(error)}))
"""
    assert answer(code, service) == {"FS_DATA": "./data", "error": "module 'config' has no attribute 'nothing'"}
