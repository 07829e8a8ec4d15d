"""The registry: folders and entry points are the list, read without importing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framework import registry
from framework.errors import ConfigurationException, MissingExtraError, UnknownNameError


def run(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_stores_come_in_the_order_in_which_they_are_shown() -> None:
    """The names that users know first, additions after."""
    assert registry.named("store", "source") == ["csv", "postgres", "arctic", "temp", "parquet", "sqlite"]
    assert registry.named("store", "saver") == ["csv", "postgres", "arctic", "temp", "parquet", "sqlite"]
    assert registry.named("store", "backup") == ["csv", "postgres", "arctic", "parquet", "sqlite"]


def test_a_file_in_a_services_own_folder_is_a_component(tmp_path: Path) -> None:
    """`calculators/` beside a service adds to ours and hides none."""
    (tmp_path / "calculators").mkdir()
    (tmp_path / "calculators" / "mine.py").write_text(
        'PROVIDES = {"kind": "calculator", "name": "mine", "object": "Mine"}\nclass Mine: pass\n'
    )
    code = "from framework import registry as r; print(r.named('calculator'), r.find('calculator', 'mine').load())"
    assert run(code, tmp_path).strip() == "['aaa', 'mine'] <class 'calculators.mine.Mine'>"


def test_an_entry_point_of_another_distribution_is_a_component(tmp_path: Path) -> None:
    """A package that is installed beside us adds a store by its metadata alone."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[millpond]\nmemory = other_store:MemoryStore\n")
    (tmp_path / "other_store.py").write_text(
        'PROVIDES = {"kind": "store", "name": "memory", "object": "MemoryStore", "roles": ["source"]}\n'
        "print('imported')\nclass MemoryStore: pass\n"
    )
    listed = run("from framework import registry as r; print(r.named('store', 'source'))", tmp_path)
    assert listed.strip() == "['csv', 'postgres', 'arctic', 'temp', 'parquet', 'memory', 'sqlite']"
    loaded = run("from framework import registry as r; print(r.find('store', 'memory').load().__name__)", tmp_path)
    assert loaded.split() == ["imported", "MemoryStore"]


def test_two_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    """Never does the last one win."""
    (tmp_path / "calculators").mkdir()
    (tmp_path / "calculators" / "mine.py").write_text(
        'PROVIDES = {"kind": "calculator", "name": "aaa", "object": "Mine"}\n'
    )
    told = run("from framework import registry as r; r.named('calculator')", tmp_path)
    assert "Two implementations are the calculator 'aaa'" in told
    assert "calculators.mine" in told
    assert "calculators.aaa" in told


def test_an_unknown_name_answers_with_those_that_are_known_and_the_nearest() -> None:
    """The cure is in the message."""
    with pytest.raises(
        UnknownNameError, match=r"no store 'parqet'\. Did you mean 'parquet'\? Known: arctic, csv, parquet"
    ):
        registry.find("store", "parqet")
    with pytest.raises(UnknownNameError, match="no store 'temp' that is a backup"):
        registry.find("store", "temp", "backup")


def test_a_package_that_is_missing_answers_with_the_pip_line() -> None:
    """And a module of ours that is missing is a defect, not a missing extra."""
    entry = registry.Entry("store", "x", "no_such_package_at_all", "X", extra="postgres")
    with pytest.raises(MissingExtraError, match=r'pip install "millpond\[postgres\]"'):
        entry.load()
    with pytest.raises(ModuleNotFoundError) as caught:
        registry.Entry("store", "x", "implementations.no_such", "X", extra="postgres").load()
    assert not isinstance(caught.value, MissingExtraError)


def test_provides_is_a_literal(tmp_path: Path) -> None:
    """It is read and never run."""
    path = tmp_path / "made.py"
    path.write_text("PROVIDES = {'kind': print('run')}\n")
    with pytest.raises(ConfigurationException, match="not a literal"):
        registry.read_provides(path)
    path.write_text("x = 1\n")
    assert registry.read_provides(path) is None
