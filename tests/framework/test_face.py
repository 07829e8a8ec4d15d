"""The front door: what it offers, and what opening it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import framework

HEAVY = ["pandas", "numpy", "pyarrow", "pydantic", "yaml", "typer", "rich", "requests", "psycopg", "sqlalchemy", "bs4"]


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh process has after running `code`."""
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_the_face_offers_what_it_lists() -> None:
    """Every name of __all__ is there, and there is no other."""
    assert framework.__all__ == sorted(framework.__all__)
    for name in framework.__all__:
        assert getattr(framework, name) is not None
    assert set(framework._HOME_OF) | {"__version__"} == set(framework.__all__)


def test_the_face_is_locked() -> None:
    """A name that comes or goes is a decision: change this list with it."""
    assert len(framework.__all__) == 85
    assert {"DataFactory", "Settings", "Workspace", "get_config_logger", "Scraper", "Calculator"} <= set(
        framework.__all__
    )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """Probing for a name does not load anything or raise something odd."""
    with pytest.raises(AttributeError, match="no attribute 'DataFactroy'"):
        framework.DataFactroy  # noqa: B018 - the access is what is tested


def test_importing_the_face_loads_nothing_heavy() -> None:
    """`import framework` is free: a service pays for what it uses."""
    assert not loaded_by("import framework") & set(HEAVY)


def test_listing_components_imports_none_of_them() -> None:
    """Names are read as text; what they need is loaded when they are made."""
    code = "from framework import registry\nassert registry.named('store')\nassert registry.named('scraper')"
    assert not loaded_by(code) & set(HEAVY)


def test_making_a_store_loads_no_pandas(tmp_path: Path) -> None:
    """Each store, by its name, is made without what it needs only once it is used."""
    made = f"factory = DataFactory({{'FS_DATA': {str(tmp_path / 'data')!r}}})"
    each = "for name in registry.named('store'): factory.create_store(name)"
    loaded = loaded_by(f"from framework import DataFactory, registry\n{made}\n{each}")
    assert {"pydantic", "psycopg"} <= loaded
    assert not loaded & {"pandas", "numpy", "pyarrow", "arcticdb", "pgpq"}


def test_a_csv_store_adds_only_pandas_and_pyarrow(tmp_path: Path) -> None:
    """Who reads a CSV does not load a database driver or an HTTP client."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "d.csv").write_text("a\n1\n")
    made = f"from framework import DataFactory\nDataFactory({{'FS_DATA': {str(tmp_path / 'data')!r}}})"
    loaded = loaded_by(f"{made}.create_data_source('csv').get_data('d')")
    assert not loaded & {"psycopg", "adbc_driver_postgresql", "pgpq", "requests", "bs4", "sqlalchemy", "rich", "typer"}
    assert {"pyarrow"} <= loaded
