"""Which code a step is: its file and what that imports from the workspace, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.steps.code import code_version

FILES = {
    "modules/__init__.py": "",
    "modules/demo/__init__.py": "from . import registry",
    "modules/demo/registry.py": "x = 1",
    "modules/demo/step.py": "from .near import a\nfrom ..far import b\nimport modules.absolute\nfrom tools import c\n",
    "modules/demo/near.py": "from .deeper import stuff",
    "modules/demo/deeper/__init__.py": "from .cycle import stuff",
    "modules/demo/deeper/cycle.py": "from modules.demo.step import x\nstuff = 1",
    "modules/far.py": "def f():\n    from . import lazy",
    "modules/lazy.py": "",
    "modules/absolute.py": "import modules.stars",
    "modules/stars/__init__.py": "",
    "src/tools/__init__.py": "from tools import *",
    "src/tools/c.py": "",
    "src/tools/starred.py": "",
    "modules/demo/unrelated.py": "",
    "modules/other.py": "import modules.demo.step",
    "unrelated.py": "",
}
UNRELATED = ("modules/demo/unrelated.py", "modules/other.py", "unrelated.py")
STEP = "modules/demo/step.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace whose step imports most of it."""
    for name, text in FILES.items():
        path = tmp_path / "workspace" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "workspace"


@pytest.mark.parametrize("name", [name for name in FILES if name not in UNRELATED])
def test_a_change_of_what_it_imports_is_a_change(root: Path, name: str) -> None:
    """At any depth, relative and absolute, inside a function, in a package's `__init__.py`, around a cycle."""
    before = code_version(root / STEP, root)
    (root / name).write_text(FILES[name] + "\n# changed")
    assert code_version(root / STEP, root) != before


@pytest.mark.parametrize("name", UNRELATED)
def test_a_change_of_anything_else_is_none(root: Path, name: str) -> None:
    """Neither a neighbour nor who imports the step."""
    before = code_version(root / STEP, root)
    (root / name).write_text("changed = True")
    assert code_version(root / STEP, root) == before


def test_a_module_that_comes_later_counts(root: Path) -> None:
    """What could not be imported yesterday, and can today, is another code."""
    (root / STEP).write_text("try:\n    import modules.optional\nexcept ImportError:\n    pass\n")
    before = code_version(root / STEP, root)
    (root / "modules/optional.py").write_text("")
    assert code_version(root / STEP, root) != before


def test_it_is_the_same_wherever_the_workspace_lies(root: Path, tmp_path: Path) -> None:
    """Moved, or reached by a link."""
    before = code_version(root / STEP, root)
    (tmp_path / "link").symlink_to(root)
    assert code_version(tmp_path / "link" / STEP, tmp_path / "link") == before
    moved = root.rename(tmp_path / "elsewhere")
    assert code_version(moved / STEP, moved) == before


def test_a_file_that_moves_within_the_workspace_is_another_code(root: Path) -> None:
    """Its name is part of what it is."""
    before = code_version(root / "unrelated.py", root)
    assert code_version((root / "unrelated.py").rename(root / "renamed.py"), root) != before


def test_what_cannot_be_read_is_never_the_same(root: Path) -> None:
    """So that nothing is taken for unchanged: a file that is gone, or no Python, also one that is only imported."""
    (root / "modules/far.py").write_text("def f(:")
    assert code_version(root / STEP, root) != code_version(root / STEP, root)
    gone = root / "gone.py"
    assert code_version(gone, root) != code_version(gone, root)
    assert code_version(None, root) == ""


def test_a_file_outside_the_workspace_counts_with_its_neighbours(root: Path, tmp_path: Path) -> None:
    """An installed package that steps come from."""
    package = tmp_path / "installed"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "step.py").write_text("from . import inner")
    (package / "inner.py").write_text("")
    before = code_version(package / "step.py", root)
    (package / "inner.py").write_text("x = 1")
    assert code_version(package / "step.py", root) != before
